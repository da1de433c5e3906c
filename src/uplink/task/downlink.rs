//! What comes down: acknowledgements and commands, judged by the pure halves and carried out here.

use std::sync::Arc;

use rumqttc::Publish;

use super::jobs::{Done, Unsaved};
use super::{Hub, Phase};
use crate::domain::site::CityCommand;
use crate::domain::time::{Mono, Now};
use crate::uplink::ack;
use crate::uplink::command::{Accepted, Action, Command, Judgement, answer};
use crate::uplink::feed::Session;
use crate::uplink::settings::AckMode;
use crate::uplink::source::{Registries, Source};

impl<S: Source, R: Registries> Hub<S, R> {
    /// A message of the `ack` topic.
    pub(super) fn on_ack(&mut self, publish: &Publish, now: Mono) {
        if self.settings.ack == AckMode::Broker {
            return self.refuse("ack_not_used");
        }
        match ack::parse(&publish.payload, &self.identity.epoch) {
            Ok(ack) => {
                let acked = self.outbox.on_ack(&ack);
                if acked.new > 0 {
                    self.last_ack = Some(now);
                }
                if acked.unsent {
                    self.refuse("ack_unsent");
                }
            }
            Err(error) => self.refuse(error.counter()),
        }
    }

    /// A message of a `cmd` topic. At the end, when nobody records answers any more, it is left at the broker, which gives
    /// it again to the next start: an id must not be spent on a command that is neither done nor answered.
    pub(super) fn on_command(&mut self, publish: Publish, now: Now) {
        if self.phase != Phase::Running || self.commands.is_closed() {
            return;
        }
        let rev = *self.identity.registry.borrow();
        let generation = self.connection(Session::Commands).generation;
        let name = self.topics.command_name(&publish.topic).unwrap_or_default();
        match self.gate.judge(name, &publish.payload, publish.retain, rev, now) {
            Judgement::Accept(accepted) => {
                self.unsaved.push(Unsaved { accepted, publish, generation });
                self.save_ids();
            }
            Judgement::Refuse { counter, answer } => {
                self.refuse(counter);
                if let Some(json) = answer {
                    self.give(Command::Answer { json });
                }
                self.acknowledge(&publish, generation);
            }
        }
    }

    /// Saves the ids of what was accepted, one save at a time: of two at once the older could be the last to reach the
    /// disk, and an id be forgotten whose command is done.
    fn save_ids(&mut self) {
        if self.saving || self.unsaved.is_empty() {
            return;
        }
        self.saving = true;
        let (memory, blob, commands) = (Arc::clone(&self.memory), self.gate.save(), std::mem::take(&mut self.unsaved));
        self.jobs.start(async move {
            let saved = memory.save(blob).await;
            Done::Remembered(commands, saved)
        });
    }

    /// The ids of these commands are saved, or could not be.
    pub(super) fn on_saved(&mut self, commands: Vec<Unsaved>, saved: &Result<(), String>) {
        self.saving = false;
        for Unsaved { accepted, publish, generation } in commands {
            match saved {
                Ok(()) => self.perform(accepted),
                Err(error) => {
                    tracing::error!(id = %accepted.id, %error, "A command's id could not be saved; it is not done.");
                    let failed = answer(&accepted.id, &accepted.name, "failed", "not_saved", Some(error));
                    self.give(Command::Answer { json: failed });
                }
            }
            self.acknowledge(&publish, generation);
        }
        self.save_ids();
    }

    /// The command's id is saved: it is done now.
    fn perform(&mut self, accepted: Accepted) {
        let Accepted { id, name, issuer, action } = accepted;
        tracing::info!(%id, %name, "Command is done.");
        let reply =
            |state, code, detail: Option<&str>| Command::Answer { json: answer(&id, &name, state, code, detail) };
        match action {
            Action::Resend(feed, range) => {
                let again = self.outbox.feed(feed).resend(range);
                self.give(reply("done", "ok", Some(&format!("{again} records are sent again"))));
            }
            Action::State => {
                self.due.state = self.clock.mono();
                self.give(reply("done", "ok", None));
            }
            Action::Registry(rev) => {
                self.give(reply("accepted", "ok", None));
                self.give(Command::Registry { id, rev });
            }
            Action::Values(selection) => {
                self.give(reply("accepted", "ok", None));
                self.give(Command::Values { id, selection });
            }
            Action::ActiveAlarms => self.give(Command::ActiveAlarms { id }),
            Action::Inside(ask) => {
                self.give(reply("accepted", "ok", None));
                self.give(Command::Inside { id, ask });
            }
            Action::Attachment(ask) => {
                self.give(reply("accepted", "ok", None));
                self.give(Command::Attachment { id, ask });
            }
            Action::DutyCheck(limit_min) => {
                self.give(reply("accepted", "ok", None));
                self.give(Command::DutyCheck { id, issuer, limit_min });
            }
            Action::Hazard(what) => {
                self.give(reply("accepted", "ok", None));
                self.give(Command::Hazard { id, issuer, what });
            }
            Action::Site(what) => {
                self.give(reply("accepted", "ok", None));
                self.give(Command::Site(CityCommand { id, issuer, what }));
            }
            // A list has many parts: its answers are as many already.
            Action::Register(part) => self.give(Command::Register { id, issuer, part }),
            Action::Waybills(part) => self.give(Command::Waybills { id, issuer, part }),
        }
    }

    /// Hands something to the application.
    fn give(&mut self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::warn!("The application does not take a command or its answer.");
            self.refuse("command_unanswered");
        }
    }

    /// Tells the broker that a command need not come again, over the connection it came by.
    fn acknowledge(&mut self, publish: &Publish, generation: u64) {
        let connection = self.connection(Session::Commands);
        let Some(link) = connection.link.as_ref().filter(|_| connection.generation == generation) else { return };
        if link.client.try_ack(publish).is_err() {
            tracing::warn!("Could not acknowledge a command; it comes again and is refused as repeated.");
        }
    }
}
