//! The gates in the engine's task: what the hardware of the lanes says goes in, what it is to do comes out.
//!
//! ```text
//!  app/lanes ──mpsc GateInput──▶ engine task: Engine and Keeper (owns Gates) ──mpsc LaneCommand──▶ app/lanes
//!  page, commands ──Request::Gates(Ask)──▶       │  ├─ documents and entries of the audit ──▶ Engine ──▶ store
//!                                                │  └─ its own changes of the register ──mpsc Prepared──▶ register
//!                                                └─ facts ──▶ alarms;  orders of the site ──▶ lanes, in the same turn
//! ```
//!
//! - **Gate inputs first.** Before each other input of the engine's task at most [`N_INPUTS_PER_TURN`] of them are served.
//! - **Audit before barrier.** An entry that a lane waits for is a record of the passage stream, which the urgent writer
//!   commits at once; when the store's durable number covers it, the lane hears so and orders ([`super::pending`]). Where nothing is
//!   written within half the life of an opening, the lane hears that too, and does what it declares: nobody comes in by it, and
//!   whoever leaves still leaves.
//! - **Who leaves waits for nothing**: what a lane orders at once is sent before anything of its turn is recorded.
//! - **Nobody is waited for.** A full channel to the hardware refuses the command, and the lane hears that it did.
//!
//! Without lanes in the configuration there is no [`Keeper`], and nothing of this costs anything.

mod facts;
pub(super) mod start;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::pending::{Entered, OnDisk, Pending, Promise};
use super::shares::Shares;
use crate::domain::actor::{Actor, Refused};
use crate::domain::danger::Danger;
use crate::domain::danger::gates::{GateFact, LaneOrder};
use crate::domain::gate::decide::Policies;
use crate::domain::gate::gates::act::{Done, GateAct};
use crate::domain::gate::gates::view::GatesView;
use crate::domain::gate::gates::{Gates, MAX_ONE_BY_ONE, Output, PictureOf, Saved, Surroundings};
use crate::domain::gate::hardware::{CameraEvent, Carried, LaneCommand, LaneEvent, LaneReceipt, News, TerminalEvent};
use crate::domain::gate::hazmat::Hazmat;
use crate::domain::gate::hazmat::kept::{Line, Thing};
use crate::domain::gate::hazmat::record::Output as HazmatOutput;
use crate::domain::gate::inside::Have;
use crate::domain::gate::inside::event::Event;
use crate::domain::gate::lane::{Hand, Lane};
use crate::domain::gate::muster::Roll;
use crate::domain::gate::picture::{MissingPictures, Picture};
use crate::domain::gate::register::Register;
use crate::domain::gate::register::change::Prepared;
use crate::domain::gate::word::{GatewayId, LaneId, PassageId, ZoneId};
use crate::domain::site::around::Evacuation;
use crate::domain::site::drill::Figures;
use crate::domain::time::{Mono, Now};

/// What the hardware says, on its way to the engine. Twenty lanes with a dozen inputs each, said again each 200 ms, are 1,200
/// a second: nearly a second of a stalled engine. Beyond it the sessions wait, and a silent input grows old by itself.
pub(super) const N_QUEUED_GATE_INPUTS: usize = 1024;
/// Gate inputs that are served before any other input: a dozen lanes at the same moment.
pub(super) const N_INPUTS_PER_TURN: usize = 64;
/// Commands on their way to the hardware: every lane of a large park released at once, with text on every board. Beyond it a
/// command is refused, and its lane alarms.
pub(super) const N_QUEUED_COMMANDS: usize = 256;
/// Changes of the register on their way to its store: uses of permits, a few a second at worst. Beyond it a change holds until
/// the next start only, and that is said aloud.
pub(super) const N_QUEUED_CHANGES: usize = 1024;

/// What reaches the gates from outside of the engine's task.
#[derive(Debug)]
pub(super) enum GateInput {
    /// The hardware of a lane said something.
    Event(LaneEvent),
    /// What became of a command.
    Receipt(LaneReceipt),
    /// A terminal of a vehicle said something.
    Terminal(TerminalEvent),
    /// Whose picture is it that came with this event of a camera?
    PictureOf {
        /// The camera's lane.
        lane: LaneId,
        /// The event.
        event: CameraEvent,
        /// To whoever has it.
        answer: oneshot::Sender<PictureOf>,
    },
    /// What became of a picture of a passage.
    Picture(PassageId, Picture),
    /// Pictures that the platform was to get and does not.
    MissingPictures(MissingPictures),
    /// Another system of the park said something.
    News(News),
}

/// Whoever did something and hears of it when its entry of the audit is on the disk, or is not and will not be soon.
pub(super) type Heard = oneshot::Sender<Result<OnDisk, Refused>>;

/// What others ask of the gates.
pub(super) enum Ask {
    /// Somebody does something at a lane.
    Lane(Box<LaneAct>, Actor, Heard),
    /// What stands at the gates.
    View(oneshot::Sender<Arc<GatesView>>),
    /// Somebody tells the gates something: an answer, a count, a check.
    Act(Box<GateAct>, Actor, oneshot::Sender<Result<Done, Refused>>),
    /// The list of a muster that runs; the only one where none is named.
    Roll(Option<String>, oneshot::Sender<Option<Roll>>),
    /// Other policies, from the next decision on.
    Policies(Arc<dyn Policies + Send + Sync>),
    /// The register is held for a change; answered with its revision. No use of a permit is counted meanwhile.
    HoldRegister(oneshot::Sender<u64>),
    /// The next revision of the register, stored; answered with whether it fits what the gates have, and with what they do not
    /// need any more: to let go of it takes time, with many rows.
    Register(Next, oneshot::Sender<(bool, Next)>),
    /// The hold is over; what waited is counted.
    ReleaseRegister,
    /// Something is to be done with the dangerous goods, by a few steps that do not wait.
    Hazmat(HazmatAct),
    /// Events of the park's other gateways.
    Shared(Vec<Event>),
    /// What the account of who is inside has.
    Have(oneshot::Sender<Have>),
    /// What somebody lacks of it and is saved, at most a batch.
    Lacking(Have, oneshot::Sender<Vec<Arc<Event>>>),
    /// Another gateway was heard, and in step, at this time.
    Heard(GatewayId, Mono),
}

/// The register's next revision, on its way into the gates.
#[derive(Debug)]
pub(super) enum Next {
    /// A change of at most [`MAX_ONE_BY_ONE`] rows.
    Rows(Box<Prepared>),
    /// The whole register, as whoever stored it has it.
    Whole(Box<Register>),
}

impl Next {
    /// Returns what was stored as the gates take it; `register` has it already.
    pub(super) fn of(prepared: Prepared, register: &Register) -> Self {
        if prepared.entries.len() > MAX_ONE_BY_ONE {
            Self::Whole(Box::new(register.clone()))
        } else {
            Self::Rows(Box::new(prepared))
        }
    }
}

/// Steps with the dangerous goods that do not wait; whoever wants to know what came of them keeps an end of a channel in them.
pub(super) type HazmatAct = Box<dyn FnOnce(&mut Hazmat, Now) + Send>;

fn promise(done: Result<(), Refused>, answer: Heard) -> Promise {
    Box::new(move |on_disk| drop(answer.send(done.map(|()| on_disk))))
}

/// What somebody does at a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LaneAct {
    /// Where.
    pub(super) lane: LaneId,
    /// What.
    pub(super) hand: Hand,
    /// Why; never empty.
    pub(super) why: String,
}

/// What of the gates must survive a restart.
#[derive(Clone, Debug)]
pub(super) struct KeptGates {
    /// What stood.
    pub(super) saved: Saved,
    /// Evacuations for which people are being counted, or were.
    pub(super) counted: BTreeSet<Evacuation>,
    /// Events of the account that are not known to be saved yet, with their places in line.
    pub(super) events: Vec<(u64, Arc<Event>)>,
    /// The same of the waybills and their checks.
    pub(super) book: Vec<(u64, Line)>,
}

/// Up to which places in line something is known to be saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UpTo {
    /// Events of the account.
    pub(super) events: Option<u64>,
    /// Lines of the book.
    pub(super) book: Option<u64>,
}

/// What an output of the gates is to whoever watches: alarms, and words to people.
pub(super) enum Word {
    /// Something deserves an alarm, or no longer does.
    Fact(GateFact),
    /// Somebody is to be told, Chinese and English.
    People(String, String),
}

/// Returns what is to be told of an output.
pub(super) fn words(output: Output) -> Vec<Word> {
    let facts = |facts: Vec<GateFact>| facts.into_iter().map(Word::Fact).collect();
    match output {
        Output::LaneFact(fact) => vec![Word::Fact(facts::of_lane(fact))],
        Output::InsideFact(fact) => vec![Word::Fact(facts::of_inside(fact))],
        Output::DeskFact(fact) => vec![Word::Fact(facts::of_desk(fact))],
        Output::MusterFact(fact) => match facts::of_muster(&fact) {
            Some(fact) => vec![Word::Fact(fact)],
            None => vec![Word::People(fact.zh, fact.en)],
        },
        Output::Violation(violation) => facts(facts::of_violation(&violation)),
        Output::Unsettled { passage, zh, en } => facts(facts::unsettled(&passage, &zh, &en).into()),
        Output::Told(told) => vec![Word::People(told.zh, told.en)],
        Output::Bay(HazmatOutput::Call { plate, bay }) => {
            vec![Word::People(format!("{plate} 可驶入，泊位 {bay}"), format!("{plate} may come: bay {bay}"))]
        }
        Output::Bay(HazmatOutput::Guide { plate, bay }) => {
            vec![Word::People(format!("{plate} 请驶往泊位 {bay}"), format!("{plate} is to go to bay {bay}"))]
        }
        // The desk has a ticket for a call, and the answer to a list of waybills that does not fit asks for the whole list
        // (`app/lists.rs`: `whole_needed`); the rest is not for people, or has gone its way.
        Output::Call(_)
        | Output::AskWaybills { .. }
        | Output::Bay(_)
        | Output::Audit { .. }
        | Output::Deed(_)
        | Output::Command(_)
        | Output::Document(_)
        | Output::Share(_)
        | Output::Register(_)
        | Output::Receipt { .. } => Vec::new(),
    }
}

/// Where the gates leave what is not the engine's.
#[derive(Debug)]
pub(super) struct Ways {
    /// To the hardware.
    pub(super) commands: mpsc::Sender<LaneCommand>,
    /// To the store of the register.
    pub(super) changes: mpsc::Sender<Prepared>,
    /// To the park's other gateways.
    pub(super) shares: Shares,
}

/// The gates, with what the engine's task must remember of them.
pub(super) struct Keeper {
    gates: Gates,
    ways: Ways,
    /// Entries of the audit that lanes wait for, by lane and key. While none can be written, entries into the park hold.
    pending: Pending<(LaneId, String)>,
    /// Revisions of danger when the gates were last told of it.
    seen: Option<(u64, u64)>,
    /// Evacuations for which people are being counted, or were.
    counted: BTreeSet<Evacuation>,
    /// Events of the account since the last that is known to be saved, with their places in line.
    events: Vec<(u64, Arc<Event>)>,
    next_event: u64,
    /// How those waybills stand that differ from what is known to be saved, with their places in line.
    book: BTreeMap<Thing, (u64, Line)>,
    next_line: u64,
    /// The drill whose muster was last asked for, and the revision of the gates then.
    figured: Option<(String, u64)>,
}

impl Keeper {
    pub(super) fn new(gates: Gates, ways: Ways, counted: BTreeSet<Evacuation>) -> Self {
        let (pending, events) = (Pending::default(), Vec::new());
        let book = BTreeMap::new();
        Self { gates, ways, pending, seen: None, counted, events, next_event: 0, book, next_line: 0, figured: None }
    }

    /// Takes what danger has to say to a decision, where that has changed; and lets people be counted where they leave.
    pub(super) fn look_at(&mut self, danger: &Danger, now: Now) {
        let revisions = danger.revisions();
        if self.seen.replace(revisions) == Some(revisions) {
            return;
        }
        let store_failed = self.pending.is_stuck();
        self.gates.handle_surroundings(|around| *around = Surroundings { store_failed, ..danger.surroundings() });
        for (lane, state) in danger.lanes_in_service() {
            self.gates.handle_commissioning(&lane, state.into(), now);
        }
        let evacuations: BTreeSet<Evacuation> = danger.evacuations().into_iter().collect();
        for evacuation in evacuations.difference(&self.counted) {
            let Evacuation { zone, episode, drill } = evacuation;
            let began =
                self.gates.handle_evacuation(&ZoneId::new(zone.as_str()), episode, *drill, &Actor::gateway(), now);
            if let Err(refused) = began {
                tracing::error!(%refused, zone, "Nobody is counted in an evacuation.");
            }
        }
        self.counted = evacuations;
    }

    /// Returns how the muster of a drill stands, where the gates have changed since it was last asked for.
    pub(super) fn figures_of(&mut self, drill: Option<&str>) -> Option<(String, Figures)> {
        let asked = drill.map(|drill| (drill.to_owned(), self.gates.revision()));
        if self.figured == asked {
            return None;
        }
        self.figured = asked;
        let roll = self.gates.musters().running().find(|roll| Some(roll.episode.as_str()) == drill)?;
        Some((roll.episode.clone(), roll.figures()))
    }

    /// Returns whether the lane is one of these.
    pub(super) fn moves(&self, lane: &LaneId) -> bool {
        self.gates.lanes().any(|at| at.spec().id == *lane)
    }

    /// Takes an order of the site.
    pub(super) fn rule(&mut self, order: &LaneOrder, now: Now) {
        self.gates.handle_rule(&order.lane, &order.key, order.rule, order.state, order.drill, now);
    }

    /// Changes with whatever [`Keeper::kept`] must not lose.
    pub(super) fn revision(&self) -> u64 {
        self.gates.revision().wrapping_add(self.next_event)
    }

    /// Returns what must survive a restart.
    pub(super) fn kept(&mut self, now: Now) -> KeptGates {
        for line in self.gates.take_kept() {
            self.book.insert(line.thing(), (self.next_line, line));
            self.next_line += 1;
        }
        let (counted, book) = (self.counted.clone(), self.book.values().cloned().collect());
        KeptGates { saved: self.gates.saved(now), counted, events: self.events.clone(), book }
    }

    /// Keeps an event of the account until it is known to be saved. When as many wait as the account keeps one by one, the
    /// oldest is a part of the account's sums by now, and saved with them.
    pub(super) fn share(&mut self, event: Arc<Event>) {
        if self.events.len() >= self.gates.inside().rules().max_events.max(1) {
            self.events.remove(0);
        }
        self.events.push((self.next_event, event));
        self.next_event += 1;
    }

    /// This is saved.
    pub(super) fn saved(&mut self, up_to: UpTo) {
        if let Some(up_to) = up_to.book {
            self.book.retain(|_, (at, _)| *at > up_to);
        }
        let unsaved = up_to.events.map_or(0, |up_to| self.events.partition_point(|(at, _)| *at <= up_to));
        for (_, event) in self.events.drain(..unsaved) {
            self.ways.shares.share(event);
        }
    }

    /// Returns what a peer lacks. What is not saved is none of its business yet: a kill might take it back.
    fn lacking(&self, peer: &Have) -> Vec<Arc<Event>> {
        let mut lacking = self.gates.inside().lacking(peer);
        lacking.retain(|event| !self.events.iter().any(|(_, unsaved)| Arc::ptr_eq(unsaved, event)));
        lacking
    }

    /// Takes what reached the gates.
    pub(super) fn take(&mut self, input: GateInput, now: Now) {
        match input {
            GateInput::Event(event) => self.gates.handle_event(&event, now),
            GateInput::Receipt(receipt) => self.gates.handle_receipt(&receipt, now),
            GateInput::Terminal(event) => self.gates.handle_terminal(&event, now),
            // Whoever asked may be gone: the gateway ends.
            GateInput::PictureOf { lane, event, answer } => drop(answer.send(self.gates.picture_of(&lane, &event))),
            GateInput::News(news) => self.gates.handle_news(news, now),
            GateInput::Picture(passage, picture) => self.gates.handle_picture(&passage, picture, now),
            GateInput::MissingPictures(missing) => self.gates.handle_missing_pictures(&missing, now),
        }
    }

    /// Does what is asked. Who looks is answered at once; of what somebody did the answer comes back, for when it is known what
    /// became of its entry of the audit: it is recorded in the same turn.
    pub(super) fn answer(&mut self, ask: Ask, now: Now) -> Option<Promise> {
        // Whoever asked may be gone; that is his business.
        match ask {
            Ask::Lane(act, actor, answer) => {
                let LaneAct { lane, hand, why } = *act;
                return Some(promise(self.gates.handle_hand(&lane, &hand, &actor, &why, now), answer));
            }
            Ask::View(answer) => drop(answer.send(Arc::new(self.gates.view(now)))),
            Ask::Act(act, actor, answer) => {
                let done = self.gates.handle_act(*act, &actor, now);
                return Some(Box::new(move |on_disk: OnDisk| {
                    let (zh, en) = on_disk.words();
                    let told = |done: Done| Done { zh: done.zh + zh, en: done.en + en };
                    drop(answer.send(done.map(told)));
                }));
            }
            Ask::Roll(muster, answer) => drop(answer.send(self.roll(muster.as_deref()))),
            Ask::Policies(policies) => self.gates.handle_policies(policies),
            Ask::HoldRegister(answer) => drop(answer.send(self.gates.hold_register())),
            Ask::ReleaseRegister => self.gates.release_register(now),
            Ask::Register(Next::Rows(prepared), answer) => {
                drop(answer.send((self.gates.handle_register(&prepared), Next::Rows(prepared))));
            }
            Ask::Register(Next::Whole(mut register), answer) => {
                drop(answer.send((self.gates.swap_register(&mut register), Next::Whole(register))));
            }
            Ask::Hazmat(act) => self.gates.handle_hazmat(|hazmat| act(hazmat, now), now),
            Ask::Shared(events) => self.gates.handle_shared(events, now),
            Ask::Have(answer) => drop(answer.send(self.gates.inside().have())),
            Ask::Lacking(have, answer) => drop(answer.send(self.lacking(&have))),
            Ask::Heard(peer, at) => self.gates.handle_heard(peer, Now { mono: at, ..now }),
        }
        None
    }

    fn roll(&self, muster: Option<&str>) -> Option<Roll> {
        let mut running = self.gates.musters().running();
        match muster {
            Some(muster) => running.find(|roll| roll.muster == muster).cloned(),
            None => running.next().filter(|_| running.next().is_none()).cloned(),
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Now) {
        if self.gates.poll_timeout(now).is_some_and(|due| due <= now.mono) {
            self.gates.handle_timeout(now);
        }
    }

    /// Returns when something is due.
    pub(super) fn due(&self, now: Now) -> Option<Mono> {
        self.gates.poll_timeout(now).into_iter().chain(self.pending.deadline()).min()
    }

    /// Returns what is to be done, in order, without what the hardware is to do: that has left already. A lane orders only what
    /// may be ordered, so that nothing of this turn need be recorded before it.
    pub(super) fn outputs(&mut self, now: Now) -> Vec<Output> {
        let mut rest = Vec::new();
        while let Some(output) = self.gates.poll_output() {
            if let Output::Command(command) = output {
                self.command(command, now);
            } else {
                rest.push(output);
            }
        }
        rest
    }

    /// Waits for an entry that a lane waits for; `seq` is its number on the passage stream, 0 where it has none.
    pub(super) fn wait_for(&mut self, lane: LaneId, key: String, seq: u64, now: Mono) {
        let spec = self.gates.lanes().find(|at| at.spec().id == lane).map(Lane::spec);
        let life = spec.map(|spec| spec.timing.open_life).unwrap_or_default();
        // Later than that it would be of no use: the opening lapses a moment after, and nobody would know why.
        self.pending.push(Entered { what: (lane, key), seq, until: now + life / 2 });
    }

    /// Tells the lanes what has become of their entries.
    pub(super) fn tell_entries(&mut self, durable: &[u64; 6], committed: &[u64; 6], now: Now) {
        let was = self.pending.is_stuck();
        while let Some((entered, receipt)) = self.pending.next(durable, committed, now.mono) {
            let (lane, key) = entered.what;
            self.gates.handle_audit(&lane, &key, receipt, now);
        }
        let is = self.pending.is_stuck();
        if was != is {
            self.gates.handle_surroundings(|around| around.store_failed = is);
        }
    }

    /// Returns whether a lane waits for the store.
    pub(super) fn waits(&self) -> bool {
        self.pending.waits()
    }

    /// Returns whether the last that is known is that entries of the audit cannot be written.
    pub(super) fn is_stuck(&self) -> bool {
        self.pending.is_stuck()
    }

    /// Hands a change of the register to its store.
    pub(super) fn store(&self, change: Prepared) {
        if let Err(error) = self.ways.changes.try_send(change) {
            tracing::error!(%error, "A use of a permit cannot be stored: it holds until the next start only.");
        }
    }

    fn command(&mut self, command: LaneCommand, now: Now) {
        if let Err(mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command)) =
            self.ways.commands.try_send(command)
        {
            let why = "硬件任务忙或已停止 / the task of the hardware is busy or has ended".to_owned();
            let LaneCommand { key, lane, .. } = command;
            let receipt = LaneReceipt { key, lane, at: now.mono, carried: Carried::Refused(why) };
            self.gates.handle_receipt(&receipt, now);
        }
    }
}
