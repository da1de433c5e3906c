//! Joins the senders of text messages to the engine: a text goes to the sender of its channel, what became of it and how the
//! channel stands come back.
//!
//! ```text
//!  engine ──Text──▶ Ways ──▶ sms session (one for each channel) ──Said──▶ Receipt, Channel ──▶ engine
//! ```
//!
//! Orders of outputs have a queue of their own (`orders.rs`): a flood of texts takes no siren's place.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Gateway;
use super::engine::Request;
use crate::clock::Clock;
use crate::config::alarms::{Alarms, Via};
use crate::domain::danger::Text;
use crate::domain::order::Receipt;
use crate::domain::time::Mono;
use crate::sms::queue::N_WAITING;
use crate::sms::{self, Said};
use crate::supervise::Supervisor;

/// What senders say on its way to the engine: a state, and the receipts of a joined text, which wait for one another.
const N_QUEUED_SAID: usize = 64;

type Inlet = mpsc::Sender<(Text, Mono)>;

/// Where texts go, by channel. Cheap to clone; a reload changes which senders run.
#[derive(Clone, Debug)]
pub(super) struct Ways(watch::Receiver<BTreeMap<String, Inlet>>);

impl Ways {
    /// Hands a text to the sender of its channel; never waits.
    ///
    /// # Errors
    ///
    /// Key and receipt of what cannot be handed on.
    pub(super) fn send(&self, text: Text, now: Mono) -> Result<(), (String, Receipt)> {
        let (key, channel) = (text.key.clone(), text.channel.clone());
        let inlet = self.0.borrow().get(&channel).cloned();
        let failed = |why: &str| Err((key, Receipt::Failed(why.to_owned())));
        let Some(inlet) = inlet else {
            return failed("短信任务未运行 / the sender of text messages does not run");
        };
        match inlet.try_send((text, now)) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => failed("待发短信过多 / too many texts wait"),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                failed("短信任务正在重启 / the sender of text messages is starting anew")
            }
        }
    }
}

/// The senders that run.
#[derive(Debug)]
pub(super) struct Texts {
    ways: watch::Sender<BTreeMap<String, Inlet>>,
    running: BTreeMap<String, (sms::settings::Gateway, CancellationToken)>,
}

impl Texts {
    /// Returns none yet, and where texts go.
    pub(super) fn new() -> (Self, Ways) {
        let (ways, receiver) = watch::channel(BTreeMap::new());
        (Self { ways, running: BTreeMap::new() }, Ways(receiver))
    }

    /// Ends senders that the configuration has no more or otherwise, and starts those it has.
    fn apply(
        &mut self,
        alarms: &Alarms,
        supervisor: &mut Supervisor,
        (requests, clock, stop): (&mpsc::Sender<Request>, &Clock, &CancellationToken),
    ) {
        let wanted: BTreeMap<String, sms::settings::Gateway> = alarms
            .channels
            .iter()
            .filter_map(|channel| match &channel.via {
                Via::Text(gateway) => Some((channel.id.to_string(), gateway.clone())),
                Via::Page | Via::Platform | Via::Output { .. } => None,
            })
            .collect();
        self.running.retain(|channel, (gateway, stop)| {
            let stays = wanted.get(channel) == Some(gateway);
            if !stays {
                stop.cancel();
                self.ways.send_modify(|ways| drop(ways.remove(channel)));
            }
            stays
        });
        for (channel, gateway) in wanted {
            if self.running.contains_key(&channel) {
                continue;
            }
            let stop = stop.child_token();
            self.running.insert(channel.clone(), (gateway.clone(), stop.clone()));
            let (ways, requests, clock) = (self.ways.clone(), requests.clone(), clock.clone());
            supervisor.restartable(format!("texts {channel}"), stop, move |stop| {
                // A new channel with each start: what the last one left in it is missed, and its order says so.
                let (inlet, texts) = mpsc::channel(N_WAITING);
                ways.send_modify(|ways| drop(ways.insert(channel.clone(), inlet)));
                run(gateway.clone(), texts, requests.clone(), clock.clone(), stop)
            });
        }
    }
}

async fn run(
    gateway: sms::settings::Gateway,
    texts: sms::session::Texts,
    requests: mpsc::Sender<Request>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), String> {
    let (said_tx, mut said) = mpsc::channel(N_QUEUED_SAID);
    let tell = async {
        while let Some(said) = said.recv().await {
            let request = match said {
                Said::Receipt(key, receipt) => Request::Receipt(key, receipt),
                Said::State(channel, state) => Request::Channel(channel, state),
            };
            drop(requests.send(request).await);
        }
    };
    tokio::join!(sms::session::run(gateway, texts, said_tx, clock, stop), tell);
    Ok(())
}

impl Gateway {
    /// Has the senders run that a configuration names.
    pub(super) fn apply_texts(&mut self, alarms: &Alarms) {
        let around = (&self.requests, &self.clock, &self.stops.field);
        self.doers.texts.apply(alarms, &mut self.supervisor, around);
    }
}
