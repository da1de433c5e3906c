//! The hardware of the gates in the daemon: a session for each device that `gates.toml` names, and the hub between them and the
//! engine.
//!
//! ```text
//!  engine ──LaneCommand──▶ hub ──▶ session (1/device and lane)      camera listener, terminal listener
//!    ▲                      ▲ └ another device, where the first did nothing
//!    └──GateInput───────────┴── LaneReceipt, LaneEvent, TerminalEvent
//! ```
//!
//! - A session that fails is started again alone, with growing delays; each tells at its start that what it hears is dead.
//! - A reload starts and ends only sessions that changed. Where one takes the place of another, it waits for its end: an address
//!   has one owner.
//! - Nothing moves at a start: a session has no command from before. Nothing moves at the end: the hub refuses what comes after
//!   the stop, modules take back the contacts that are on, and the engine hears the last event.
//! - A QR code is good once, at whichever reader: one task judges them all.
//! - What a camera showed is remembered on disk ([`memory`]), so that its resend after a restart is none.
//! - Pictures go a way of their own, which nothing waits for ([`pictures`]).

mod counts;
mod hub;
mod keys;
mod memory;
pub(super) mod pictures;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(super) use self::counts::Counts;
use self::hub::Doors;
use self::keys::Keys;
use self::memory::Seens;
use self::plan::{CameraSeat, Session};
use super::Gateway;
use super::gates::GateInput;
use super::gates::start::Hardware;
use crate::clock::Clock;
use crate::config::gates::{Gates, PushDevice, TerminalDevice};
use crate::domain::field_event::FieldEvent;
use crate::domain::gate::hardware::{LaneCommand, LaneEvent, LaneReceipt, News, TerminalEvent};
use crate::domain::gate::picture::PictureKind;
use crate::lane::camera::session::{self as cameras, Outlets};
use crate::lane::coding::Key;
use crate::lane::jtt808;
use crate::lane::reader::session::Codes;
use crate::lane::{board, isapi, reader, relay, scale};
use crate::state::settings::Pictures as Album;
use crate::supervise::Supervisor;

/// Commands on their way to a device: an arm has one under way, a board shows the newest. The cameras' listener answers as many
/// vehicles at a time as a park has lanes with one.
const N_QUEUED_COMMANDS: usize = 32;
/// Connections of terminals beside one for each: those that come again before their old one is known to be gone.
const SPARE_CONNECTIONS: usize = 64;

/// What the hardware is started with.
pub(super) struct Parts {
    /// What the engine orders.
    pub(super) commands: mpsc::Receiver<LaneCommand>,
    /// To the gates in the engine.
    pub(super) engine: mpsc::Sender<GateInput>,
    /// Held to the end: the engine then hears also what the last session said.
    pub(super) events: mpsc::Sender<FieldEvent>,
    /// Where states are kept.
    pub(super) state_dir: PathBuf,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

/// All sessions of the running configuration.
pub(super) struct Lanes {
    running: BTreeMap<String, Running>,
    doors: watch::Sender<Arc<Doors>>,
    codes: watch::Sender<Vec<Key>>,
    /// Where pictures are kept.
    album: watch::Sender<Option<Album>>,
    /// Which of them the platform is to get.
    sent: BTreeSet<PictureKind>,
    shelf: pictures::Shelf,
    shared: Option<Shared>,
    stop: CancellationToken,
}

struct Running {
    session: Session,
    door: watch::Sender<Option<mpsc::Sender<LaneCommand>>>,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// What sessions have in common.
#[derive(Clone)]
struct Shared {
    events: mpsc::Sender<LaneEvent>,
    receipts: mpsc::Sender<LaneReceipt>,
    terminals: mpsc::Sender<TerminalEvent>,
    news: mpsc::Sender<News>,
    seens: Seens,
    pictures: pictures::Ways,
    codes: Codes,
    keys: Keys,
    counts: Counts,
    clock: Clock,
}

/// Says that a session has ended for good.
struct Ended(CancellationToken);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Gateway {
    /// Starts the hardware of the gates, where the configuration has lanes.
    pub(super) fn start_lanes(&mut self) {
        let hardware = self.gates.as_mut().and_then(|ends| ends.hardware.take());
        let (Some(Hardware { inputs, commands }), Some(events)) = (hardware, self.events.clone()) else { return };
        let (state_dir, clock, stop) = (self.config.state_dir.clone(), self.clock.clone(), self.stops.field.clone());
        let parts = Parts { commands, engine: inputs, events, state_dir, clock, stop };
        let mut lanes = Lanes::start(&mut self.supervisor, parts);
        lanes.apply(&mut self.supervisor, &self.config.gates);
        if let Some(counts) = lanes.counts() {
            self.views.with_gate_calls(counts, lanes.album.subscribe());
        }
        self.lanes = Some(lanes);
    }

    /// Takes over changed devices and wiring, where the lanes themselves are those that the engine has.
    pub(super) fn reload_lanes(&mut self, new: &mut Gates) {
        let same = |old: &Gates| {
            old.devices == new.devices
                && old.wiring == new.wiring
                && old.listening == new.listening
                && old.pictures == new.pictures
        };
        if new.lanes != self.config.gates.lanes || same(&self.config.gates) {
            return;
        }
        let Some(lanes) = &mut self.lanes else { return };
        self.config.gates.devices = std::mem::take(&mut new.devices);
        self.config.gates.wiring = std::mem::take(&mut new.wiring);
        self.config.gates.listening = std::mem::take(&mut new.listening);
        self.config.gates.pictures = std::mem::take(&mut new.pictures);
        lanes.apply(&mut self.supervisor, &self.config.gates);
        tracing::info!("New hardware of the lanes is in force.");
    }
}

impl Lanes {
    /// Starts the hub and the memory of the cameras; [`Lanes::apply`] starts the sessions.
    pub(super) fn start(supervisor: &mut Supervisor, parts: Parts) -> Self {
        let Parts { commands, engine, events: held, state_dir, clock, stop } = parts;
        let (events, events_out) = mpsc::channel(hub::N_QUEUED_EVENTS);
        let (receipts, receipts_out) = mpsc::channel(hub::N_QUEUED_RECEIPTS);
        let (terminals, terminals_out) = mpsc::channel(hub::N_QUEUED_TERMINAL_EVENTS);
        let (news, news_out) = mpsc::channel(hub::N_QUEUED_NEWS);
        let doors = watch::Sender::new(Arc::default());
        let ends = hub::Ends {
            commands,
            receipts: receipts_out,
            events: events_out,
            terminals: terminals_out,
            news: news_out,
            doors: doors.subscribe(),
            engine: engine.clone(),
            clock: clock.clone(),
            stop: stop.clone(),
        };
        supervisor.core("lanes", stop.clone(), async move {
            let ended = hub::run(ends).await;
            drop(held);
            ended
        });
        let keys = Keys::open(&state_dir);
        let (seens, keeping) = memory::open(state_dir);
        supervisor.core("camera memory", stop.clone(), keeping);
        let of_codes = watch::Sender::new(Vec::new());
        let (codes, judging) = reader::session::judge_codes(of_codes.subscribe(), clock.clone());
        supervisor.core("codes", stop.clone(), async move {
            judging.await;
            Ok(())
        });
        let counts = Counts::default();
        let album = watch::Sender::new(None);
        let (of_pictures, settings) = (counts.pictures.clone(), album.subscribe());
        let parts = pictures::Parts { engine, settings, counts: of_pictures, clock: clock.clone() };
        let (ways, shelf, keeping) = pictures::open(parts);
        supervisor.core("pictures", stop.clone(), keeping);
        let shared = Shared { events, receipts, terminals, news, seens, pictures: ways, codes, keys, counts, clock };
        let (running, sent, shared) = (BTreeMap::new(), BTreeSet::new(), Some(shared));
        Self { running, doors, codes: of_codes, album, sent, shelf, shared, stop }
    }

    /// Ends sessions that are not wanted any more or not as they are, and starts those that are.
    pub(super) fn apply(&mut self, supervisor: &mut Supervisor, gates: &Gates) {
        let Some(shared) = &self.shared else { return };
        let plan = plan::of(gates);
        self.codes.send_replace(plan::codes(gates));
        let send = self.sent.clone();
        self.album.send_replace(gates.pictures.clone().map(|album| Album { send, ..album }));
        let mut before = BTreeMap::new();
        self.running.retain(|name, running| {
            let same = plan.sessions.get(name) == Some(&running.session);
            if !same {
                running.stop.cancel();
                before.insert(name.clone(), running.ended.clone());
            }
            same
        });
        for (name, session) in plan.sessions {
            if self.running.contains_key(&name) {
                continue;
            }
            let before = before.remove(&name).unwrap_or_else(super::cancelled);
            let running = started(supervisor, &name, session, before, shared, self.stop.child_token());
            self.running.insert(name, running);
        }
        let door = |name: &String| self.running.get(name).map(|running| running.door.subscribe());
        let lanes = plan.lanes.into_iter().map(|(lane, (has, doors))| {
            let doors = doors.into_iter().filter_map(|(to, name)| Some((to, door(&name)?))).collect();
            (lane, (has, doors))
        });
        self.doors.send_replace(Arc::new(Doors(lanes.collect())));
    }

    /// From now on pictures of these kinds are marked to be sent; returns where their sender finds them.
    pub(super) fn send(&mut self, kinds: BTreeSet<PictureKind>) -> pictures::Shelf {
        self.album.send_modify(|album| album.iter_mut().for_each(|album| album.send.clone_from(&kinds)));
        self.sent = kinds;
        self.shelf.clone()
    }

    /// Returns what is counted, also by sessions that a reload brings.
    pub(super) fn counts(&self) -> Option<Counts> {
        self.shared.as_ref().map(|shared| shared.counts.clone())
    }

    /// Lets go of everything that sessions share, so that the hub ends when the last of them has.
    pub(super) fn clear(&mut self) {
        self.shared = None;
        self.running.clear();
    }
}

fn started(
    supervisor: &mut Supervisor,
    name: &str,
    session: Session,
    before: CancellationToken,
    shared: &Shared,
    stop: CancellationToken,
) -> Running {
    let (door, ended) = (watch::Sender::new(None), CancellationToken::new());
    let (end, shared, what, way) = (Ended(ended.clone()), shared.clone(), session.clone(), door.clone());
    supervisor.restartable(name, stop.clone(), move |stop| {
        // The task owns this closure: both end together.
        let _owned = &end;
        // A new channel with each start: what was ordered of the last one is over.
        let (orders, commands) = mpsc::channel(N_QUEUED_COMMANDS);
        way.send_replace(Some(orders));
        let (before, shared, what) = (before.clone(), shared.clone(), what.clone());
        async move {
            tokio::select! {
                () = before.cancelled() => carry(what, shared, commands, stop).await,
                () = stop.cancelled() => Ok(()),
            }
        }
    });
    Running { session, door, stop, ended }
}

async fn carry(
    session: Session,
    shared: Shared,
    commands: mpsc::Receiver<LaneCommand>,
    stop: CancellationToken,
) -> Result<(), String> {
    let Shared { events, receipts, clock, .. } = shared.clone();
    match session {
        Session::Cameras(listen, seats) => return listened(listen, &seats, shared, commands, stop).await,
        Session::Terminals(listen, known) => return tracked(listen, &known, shared, stop).await,
        Session::Relay(module) => relay::session::run(module, commands, events, receipts, clock, stop).await,
        Session::Barrier(barrier) => isapi::session::run(barrier, commands, events, receipts, clock, stop).await,
        Session::Board(one) => board::session::run(one, commands, events, receipts, clock, stop).await,
        Session::Scale(one) => scale::session::run(one, events, clock, stop).await,
        Session::Reader(seat) => {
            let one = seat.reader(&shared.keys.look_up);
            reader::session::run(one, shared.codes, events, clock, stop).await;
        }
    }
    Ok(())
}

async fn listened(
    listen: SocketAddr,
    (seats, pushers): &(Vec<CameraSeat>, Vec<PushDevice>),
    shared: Shared,
    commands: mpsc::Receiver<LaneCommand>,
    stop: CancellationToken,
) -> Result<(), String> {
    let Shared { events, receipts, news, seens, pictures, keys, counts, clock, .. } = shared;
    let listener = bound(listen).await?;
    let known = seens.all().await;
    let pictures::Ways { pictures, lost } = pictures;
    let outlets = Outlets { events, receipts, pictures, lost, news, memory: seens, counts: counts.cameras };
    let seats = seats.iter().map(CameraSeat::camera).collect();
    let settings = cameras::Settings::at(listen, (plan::pushers(pushers), keys.look_up));
    cameras::serve(settings, listener, (seats, known), outlets, commands, clock, stop).await
}

async fn tracked(
    listen: SocketAddr,
    known: &[TerminalDevice],
    shared: Shared,
    stop: CancellationToken,
) -> Result<(), String> {
    let Shared { terminals, keys, counts, clock, .. } = shared;
    let listener = bound(listen).await?;
    let settings = jtt808::session::Settings { listen, max_connections: known.len() + SPARE_CONNECTIONS };
    let desk = jtt808::desk::Desk::new(plan::terminals(known), keys.terminals, keys.look_up);
    jtt808::session::serve(settings, listener, desk, terminals, counts.terminals, clock, stop).await;
    Ok(())
}

async fn bound(listen: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(listen).await.map_err(|error| format!("cannot listen on {listen}: {error}"))
}

#[cfg(test)]
mod tests;
