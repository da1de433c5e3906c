//! Where commands of the lanes part to their devices, and what devices say comes together.
//!
//! ```text
//!  engine ──LaneCommand──▶ route ──tried──▶ session of the device        sessions ──LaneEvent, TerminalEvent──▶ pump ──▶ engine
//!                            ▲ └─another device, or the receipt──▶ engine
//!                            └──LaneReceipt── sessions
//! ```
//!
//! A command never waits: a session that does not take it counts as a device that failed, and the router asks the next one.
//! Events wait for the engine, which holds their devices back; so nothing that was said is lost. After the stop nothing is
//! carried out any more, and the hub ends when the last session has.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::GateInput;
use crate::clock::Clock;
use crate::domain::gate::hardware::{Carried, LaneCommand, LaneEvent, LaneReceipt, News, TerminalEvent};
use crate::domain::gate::word::LaneId;
use crate::lane::route::{Equipment, Next, Router, To};

/// Events on their way to the engine: the inputs of 20 lanes, five times a second each, for more than half a second.
pub(super) const N_QUEUED_EVENTS: usize = 1024;
/// Receipts on their way to the router, which takes them at once.
pub(super) const N_QUEUED_RECEIPTS: usize = 64;
/// Positions of terminals on their way to the engine; beyond it they wait in the terminals.
pub(super) const N_QUEUED_TERMINAL_EVENTS: usize = 256;

/// What other systems say, on its way to the engine: room for two pushes at their longest; beyond it they are refused, and say
/// it again.
pub(super) const N_QUEUED_NEWS: usize = 1024;

/// Where commands for a device go; its session puts a new way here at each of its starts.
pub(super) type Door = watch::Receiver<Option<mpsc::Sender<LaneCommand>>>;

/// What each lane has, and the doors of its devices.
#[derive(Clone, Debug, Default)]
pub(super) struct Doors(pub(super) BTreeMap<LaneId, (Equipment, BTreeMap<To, Door>)>);

/// The ends that the hub holds.
pub(super) struct Ends {
    pub(super) commands: mpsc::Receiver<LaneCommand>,
    pub(super) receipts: mpsc::Receiver<LaneReceipt>,
    pub(super) events: mpsc::Receiver<LaneEvent>,
    pub(super) terminals: mpsc::Receiver<TerminalEvent>,
    pub(super) news: mpsc::Receiver<News>,
    pub(super) doors: watch::Receiver<Arc<Doors>>,
    pub(super) engine: mpsc::Sender<GateInput>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

/// Runs until all sessions have ended.
pub(super) async fn run(ends: Ends) -> Result<(), String> {
    let Ends { commands, receipts, events, terminals, news, doors, engine, clock, stop } = ends;
    let mut desk = Desk { routers: BTreeMap::new(), doors, clock, stop };
    tokio::join!(
        desk.route(commands, receipts, &engine),
        pump(events, GateInput::Event, &engine),
        pump(terminals, GateInput::Terminal, &engine),
        pump(news, GateInput::News, &engine),
    );
    Ok(())
}

/// Passes on in order. Without an engine there is nobody to tell.
async fn pump<T>(mut from: mpsc::Receiver<T>, as_input: impl Fn(T) -> GateInput, engine: &mpsc::Sender<GateInput>) {
    while let Some(one) = from.recv().await {
        let _ended = engine.send(as_input(one)).await;
    }
}

struct Desk {
    routers: BTreeMap<LaneId, Router>,
    doors: watch::Receiver<Arc<Doors>>,
    clock: Clock,
    stop: CancellationToken,
}

impl Desk {
    async fn route(
        &mut self,
        mut commands: mpsc::Receiver<LaneCommand>,
        mut receipts: mpsc::Receiver<LaneReceipt>,
        engine: &mpsc::Sender<GateInput>,
    ) {
        loop {
            let told = tokio::select! {
                biased;
                receipt = receipts.recv() => match receipt {
                    Some(receipt) => self.receipt(receipt),
                    None => return,
                },
                Some(command) = commands.recv() => self.command(command),
            };
            for receipt in told {
                let _ended = engine.send(GateInput::Receipt(receipt)).await;
            }
        }
    }

    /// The router of a lane as it is equipped now; what was under way under another equipment is not given to another device.
    fn router(&mut self, lane: &LaneId) -> &mut Router {
        let has = self.doors.borrow().0.get(lane).map(|(has, _)| *has).unwrap_or_default();
        let router = self.routers.entry(lane.clone()).or_insert_with(|| Router::new(has));
        if router.has() != has {
            *router = Router::new(has);
        }
        router
    }

    fn command(&mut self, command: LaneCommand) -> Vec<LaneReceipt> {
        let now = self.clock.mono();
        if self.stop.is_cancelled() {
            let why = Carried::Refused("网关停止 / the gateway stops".to_owned());
            return vec![receipt_of(&command, now, why)];
        }
        match self.router(&command.lane).handle_command(command, now) {
            Ok(orders) => orders.into_iter().flat_map(|(to, command)| self.order(to, command)).collect(),
            Err(receipt) => vec![receipt],
        }
    }

    /// Hands a command to a device. What could not be handed over is a receipt like any other.
    fn order(&mut self, to: To, command: LaneCommand) -> Vec<LaneReceipt> {
        let doors = self.doors.borrow().clone();
        let door = doors.0.get(&command.lane).and_then(|(_, doors)| doors.get(&to));
        let way = door.and_then(|door| door.borrow().clone());
        let handed = match way {
            Some(way) => way.try_send(command).map_err(|error| match error {
                mpsc::error::TrySendError::Full(command) => (command, "设备忙 / the device takes no more"),
                mpsc::error::TrySendError::Closed(command) => {
                    (command, "设备任务重启中 / the device's task is starting again")
                }
            }),
            None => Err((command, "设备任务未运行 / the device's task does not run")),
        };
        match handed {
            Ok(()) => Vec::new(),
            Err((command, why)) => {
                let failed = receipt_of(&command, self.clock.mono(), Carried::Failed(why.to_owned()));
                self.receipt(failed)
            }
        }
    }

    fn receipt(&mut self, receipt: LaneReceipt) -> Vec<LaneReceipt> {
        let now = self.clock.mono();
        match self.router(&receipt.lane).handle_receipt(receipt, now) {
            Next::Receipt(receipt) => vec![receipt],
            // At most once more: the router knows the second device's receipt for what it is.
            Next::Again(to, command) => self.order(to, command),
            Next::Nothing => Vec::new(),
        }
    }
}

fn receipt_of(command: &LaneCommand, at: crate::domain::time::Mono, carried: Carried) -> LaneReceipt {
    LaneReceipt { key: command.key.clone(), lane: command.lane.clone(), at, carried }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::gate::hardware::{Act, CameraEvent, Seen};
    use crate::lane::route::Contacts;

    struct Rig {
        commands: mpsc::Sender<LaneCommand>,
        receipts: mpsc::Sender<LaneReceipt>,
        events: mpsc::Sender<LaneEvent>,
        inputs: mpsc::Receiver<GateInput>,
        camera: watch::Sender<Option<mpsc::Sender<LaneCommand>>>,
        relay: watch::Sender<Option<mpsc::Sender<LaneCommand>>>,
        clock: Clock,
        stop: CancellationToken,
    }

    fn lane() -> LaneId {
        LaneId::new("east-in")
    }

    fn rig() -> (Rig, impl Future<Output = Result<(), String>>) {
        let (commands, commands_out) = mpsc::channel(8);
        let (receipts, receipts_out) = mpsc::channel(8);
        let (events, events_out) = mpsc::channel(8);
        let ((_none, terminals), (_nothing, news)) = (mpsc::channel(1), mpsc::channel(1));
        let (engine, inputs) = mpsc::channel(8);
        let (camera, relay) = (watch::Sender::new(None), watch::Sender::new(None));
        let contacts = Contacts { open: true, ..Contacts::default() };
        let has = Equipment { camera: true, camera_opens: true, relay: contacts, ..Equipment::default() };
        let doors = BTreeMap::from([(To::Camera, camera.subscribe()), (To::Relay, relay.subscribe())]);
        let doors = Arc::new(Doors(BTreeMap::from([(lane(), (has, doors))])));
        let (clock, stop) = (Clock::system(), CancellationToken::new());
        let ends = Ends {
            commands: commands_out,
            receipts: receipts_out,
            events: events_out,
            terminals,
            news,
            doors: watch::Sender::new(doors).subscribe(),
            engine,
            clock: clock.clone(),
            stop: stop.clone(),
        };
        (Rig { commands, receipts, events, inputs, camera, relay, clock, stop }, run(ends))
    }

    impl Rig {
        fn open(&self, key: &str) -> LaneCommand {
            let answers = Some(CameraEvent { serial: "s".to_owned(), number: 1 });
            let not_after = self.clock.mono() + Duration::from_secs(60);
            LaneCommand { key: key.to_owned(), lane: lane(), act: Act::Open { answers }, not_after }
        }

        async fn carried(&mut self) -> Carried {
            match self.inputs.recv().await {
                Some(GateInput::Receipt(receipt)) => receipt.carried,
                _ => panic!("no receipt"),
            }
        }
    }

    #[tokio::test]
    async fn a_command_that_a_device_does_not_take_goes_to_the_next_and_one_receipt_comes_back() {
        let (mut rig, hub) = rig();
        let story = async {
            rig.commands.send(rig.open("no device runs")).await.unwrap();
            assert!(matches!(rig.carried().await, Carried::Failed(_)));

            let (way, mut taken) = mpsc::channel(1);
            rig.relay.send_replace(Some(way));
            rig.commands.send(rig.open("relay runs")).await.unwrap();
            let command = taken.recv().await.unwrap();
            assert_eq!(command.key, "relay runs");
            let sent = receipt_of(&command, rig.clock.mono(), Carried::Sent);
            rig.receipts.send(sent).await.unwrap();
            assert_eq!(rig.carried().await, Carried::Sent);

            let (way, dead) = mpsc::channel(1);
            drop(dead);
            rig.camera.send_replace(Some(way));
            rig.commands.send(rig.open("camera died")).await.unwrap();
            assert_eq!(taken.recv().await.unwrap().key, "camera died");

            rig.stop.cancel();
            rig.commands.send(rig.open("too late")).await.unwrap();
            assert!(matches!(rig.carried().await, Carried::Refused(_)));
            assert!(taken.try_recv().is_err(), "nothing moves after the stop");
            let said = LaneEvent {
                lane: lane(),
                at: rig.clock.mono(),
                what: Seen::Weight(crate::domain::gate::hardware::Weight::Dead),
            };
            rig.events.send(said).await.unwrap();
            assert!(matches!(rig.inputs.recv().await, Some(GateInput::Event(_))), "and what is said is still heard");
            drop((rig.receipts, rig.events));
        };
        let (ended, ()) = tokio::join!(hub, story);
        ended.unwrap();
    }
}
