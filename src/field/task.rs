//! The task of a link: one owner of one connection or bus, serving all devices behind it.
//!
//! ```text
//!  ┌─▶ take over a new configuration ─▶ what is ready, most urgent first ──nothing──▶ sleep until it is ─┐
//!  │                                             │                                                      │
//!  │        back-off: the poll is done           ▼                                                      │
//!  │        without asking  ◀──────────── the device's next step ──Ask──▶ connect if need be, one request│
//!  └───────────────── events to the engine ◀──────┴──────────────────────────────────┘ ◀────────────────┘
//! ```
//!
//! - One request is under way at a time; between two requests the most urgent class of any device goes on, so a long
//!   slow poll does not hold up a fast one.
//! - After any fault a TCP connection is dropped and the next request opens another at once; only the device that
//!   failed rests. If connecting itself fails, all devices of the link are down and the next try waits the link's own
//!   back-off. A bus stays open as long as it carries anything (`modbus/session/rtu.rs`); on it a device that failed rests
//!   until a late answer is hardly to be expected ([`Lateness`]), and then answers a probe first where a later one still
//!   could pass for its answer ([`Owed`]).
//! - When the engine does not keep up, sending waits; polls are then late, and skipped ones counted.
//! - `stop` abandons the request under way. So does a reload that takes its device away, after a short grace in which
//!   the answer is awaited (and thrown away), so that the devices that stay keep their connection.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::id::DeviceSlot;
use crate::domain::time::Mono;

use super::Joints;
use super::backoff::Backoff;
use super::errand::{Errand, N_WAITING};
use super::lateness::Lateness;
use super::meter::Meter;
use super::modbus::Answer;
use super::modbus::class::Ask;
use super::modbus::owed::{Owed, Question};
use super::modbus::plan::Limits;
use super::modbus::rtu::Stray;
use super::modbus::session::{Call, Exchange, Fault, ModbusLink, Noted};
use super::outbox::Outbox;
use super::schedule::fnv1a;
use super::settings::{Device, Endpoint, Link};
use super::tap::Taps;
use super::unit::{Ready, Unit, first};

mod errands;

/// Runs one link until `stop`. `link` is a watch: at a reload new devices appear, changed ones have a new slot; devices
/// whose slot stays keep connection, schedule and what was learnt of them. An empty device list ends it.
///
/// # Errors
///
/// When nobody takes the events any more.
pub async fn run_link(
    link: watch::Receiver<Arc<Link>>,
    joints: Joints,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), String> {
    match Runner::new(link, joints, clock, stop).run().await {
        End::Stopped => Ok(()),
        End::NobodyListens => Err("the engine takes no more readings".to_owned()),
    }
}

/// A request of a device that a reload takes away gets this long to be answered: an answer is thrown away, but leaves
/// the connection fit for the devices that stay. Longer than nearly every answer, shorter than a poll interval.
const GRACE_OF_REMOVED: Duration = Duration::from_millis(500);

/// A bus says this often how it stands: as often as the page looks.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Why a link's task ends.
enum End {
    Stopped,
    NobodyListens,
}

/// What became of a request.
enum Outcome {
    Answered {
        answer: Answer,
        sent: Mono,
    },
    Failed(Fault),
    /// A reload took the device away meanwhile.
    Vanished,
}

struct Runner {
    signals: Signals,
    joints: Joints,
    clock: Clock,
    rng: fastrand::Rng,
    endpoint: Endpoint,
    units: Vec<Unit>,
    connection: Option<ModbusLink>,
    backoff: Backoff,
    lateness: Lateness,
    /// What the slaves of a bus were asked and did not answer; empty on TCP. It outlives connections and reloads: the wires
    /// stay the same.
    owed: Owed,
    /// Units found to be late in the exchange just over.
    late: Vec<u8>,
    taps: Arc<Taps>,
    /// What is measured of a bus; `None` on TCP.
    meter: Option<Meter>,
    /// When the bus says next how it stands.
    tell_at: Mono,
    /// Errands that wait for their turn; `None` on TCP.
    errands: Option<mpsc::Receiver<Errand>>,
    out: Outbox,
}

impl Runner {
    fn new(link: watch::Receiver<Arc<Link>>, joints: Joints, clock: Clock, stop: CancellationToken) -> Self {
        let endpoint = link.borrow().endpoint.clone();
        let started_ms = clock.mono().millis();
        let rng = fastrand::Rng::with_seed(u64::from(fnv1a(&endpoint.to_string())) << 32 ^ started_ms);
        let signals = Signals { link, stop, watching: true, fresh: true };
        let backoff = link_backoff(&[]);
        let taps = Arc::clone(&joints.taps.borrow());
        Self {
            signals,
            joints,
            clock,
            rng,
            endpoint,
            units: Vec::new(),
            connection: None,
            backoff,
            lateness: Lateness::default(),
            owed: Owed::default(),
            late: Vec::new(),
            taps,
            meter: None,
            tell_at: Mono::default(),
            errands: None,
            out: Outbox::default(),
        }
    }

    async fn run(mut self) -> End {
        loop {
            if self.signals.is_fresh() {
                self.take_over();
            }
            if self.units.is_empty() || self.signals.stop.is_cancelled() {
                self.forget_bus();
                return End::Stopped;
            }
            if let Err(end) = self.turn().await {
                self.forget_bus();
                return end;
            }
        }
    }

    /// Does the most urgent step, or sleeps until there is one.
    async fn turn(&mut self) -> Result<(), End> {
        self.flush().await?;
        let now = self.clock.mono();
        self.tell_of_bus(now);
        if let Some(errand) = self.errands.as_mut().and_then(|errands| errands.try_recv().ok()) {
            return self.run_errand(errand).await;
        }
        match self.most_urgent(now) {
            Some((unit, ready)) if ready.at <= now => self.step(unit, ready.class, now).await,
            next => {
                let tell = self.meter.as_ref().map(|_| self.tell_at);
                let next = next.map(|(_, ready)| ready.at).into_iter().chain(tell).min();
                let wake = self.clock.sleep_until_opt(next);
                match &mut self.errands {
                    Some(errands) => match self.signals.rest(first_of(wake, errands)).await? {
                        Some(Some(errand)) => self.run_errand(errand).await,
                        Some(None) | None => Ok(()),
                    },
                    None => self.signals.rest(wake).await.map(drop),
                }
            }
        }
    }

    /// Says how the bus stands, about once a second.
    fn tell_of_bus(&mut self, now: Mono) {
        if let Some(meter) = self.meter.as_ref().filter(|_| now >= self.tell_at) {
            self.tell_at = now + TELL_EVERY;
            let status = Arc::new(meter.status(now));
            self.joints.buses.send_modify(|buses| drop(buses.insert(status.id.clone(), status)));
        }
    }

    /// A bus that is not read any more stands nowhere.
    fn forget_bus(&mut self) {
        if let Endpoint::Bus(bus) = &self.endpoint {
            self.joints.buses.send_modify(|buses| drop(buses.remove(&bus.id)));
            self.errands = None;
            self.joints.lenders.send_modify(|lenders| lenders.retain(|_, lender| !lender.is_closed()));
        }
    }

    fn most_urgent(&self, now: Mono) -> Option<(usize, Ready)> {
        let all = self.units.iter().enumerate().flat_map(|(index, unit)| unit.ready().map(move |ready| (index, ready)));
        all.reduce(|a, b| first(a, b, now))
    }

    async fn step(&mut self, index: usize, class: usize, now: Mono) -> Result<(), End> {
        let Some(unit) = self.units.get_mut(index) else { return Ok(()) };
        let Some(wanted) = unit.step(class, now, &mut self.out) else { return Ok(()) };
        let (slot, device) = (unit.slot(), Arc::clone(unit.device()));
        let question = self.owed.question(device.unit, wanted, unit.known(class), &Limits::of(&device), now);
        let ask = match question {
            Question::AsIs => wanted,
            Question::Probe(probe) => probe,
            Question::NotBefore(then) => {
                let reason = "a late answer could not be told from a timely one";
                unit.failed_for(reason, then.since(now), now, &mut self.rng, &mut self.out);
                return Ok(());
            }
        };
        let outcome = self.exchange(slot, &device, ask).await?;
        let now = self.clock.mono();
        let Some(unit) = self.units.get_mut(index) else { return Ok(()) };
        match outcome {
            Outcome::Answered { answer, sent } => {
                let was_up = unit.is_up();
                match question {
                    Question::Probe(_) => unit.probed(&answer, now, &mut self.rng, &mut self.out),
                    Question::AsIs | Question::NotBefore(_) => {
                        unit.answered(class, &answer, sent, now, &mut self.rng, &mut self.out);
                    }
                }
                if !was_up && unit.is_up() {
                    tracing::info!(device = %device.id, "Device answers.");
                }
            }
            Outcome::Failed(Fault::Unreachable(reason)) => self.link_down(&reason, now),
            Outcome::Failed(fault) => {
                let reason = fault.to_string();
                let rest = match self.endpoint {
                    Endpoint::Tcp { .. } => Duration::ZERO,
                    Endpoint::Bus(_) => self.lateness.rest(device.unit),
                };
                log_down(unit, &reason);
                unit.failed_for(&reason, rest, now, &mut self.rng, &mut self.out);
            }
            Outcome::Vanished => {}
        }
        self.distrust(now);
        Ok(())
    }

    /// Sends to rest whoever answered and then turned out to be late: what it answered may have been an older answer.
    fn distrust(&mut self, now: Mono) {
        for unit_id in std::mem::take(&mut self.late) {
            let Some(unit) = self.units.iter_mut().find(|unit| unit.device().unit == unit_id && unit.is_up()) else {
                continue;
            };
            let rest = self.lateness.rest(unit_id);
            tracing::warn!(device = %unit.device().id, ?rest, "Device answers later than its timeout.");
            unit.failed_for("answers later than its timeout", rest, now, &mut self.rng, &mut self.out);
        }
    }

    /// Asks over the connection, opening one if there is none. A connection that had served and is found closed is
    /// opened again once: peers close idle connections.
    async fn exchange(&mut self, slot: DeviceSlot, device: &Device, ask: Ask) -> Result<Outcome, End> {
        loop {
            let connection = match self.connected(slot, device).await? {
                Some(Ok(connection)) => connection,
                Some(Err(fault)) if self.signals.has(slot) => return Ok(Outcome::Failed(fault)),
                Some(Err(_)) | None => return Ok(Outcome::Vanished),
            };
            let had_served = connection.has_served();
            let sent = self.clock.mono();
            let taps = self.taps();
            let exceptions = self.owed.tells_exceptions(device.unit, ask, sent);
            let call = Call { unit: device.unit, ask, within: device.timeout, exceptions, tap: taps.of(&device.id) };
            let read = self.signals.guard(slot, &self.endpoint, connection.read(call)).await?;
            let there = self.signals.has(slot);
            let Some(Exchange { link, outcome, noted }) = read else {
                if matches!(self.endpoint, Endpoint::Bus(_)) {
                    self.owed.in_vain(device.unit, ask, sent, self.clock.mono());
                }
                return Ok(Outcome::Vanished);
            };
            self.connection = link;
            self.note(device.unit, ask, sent, outcome.as_ref().err(), &noted);
            match outcome {
                _ if !there => return Ok(Outcome::Vanished),
                Ok(answer) => return Ok(Outcome::Answered { answer, sent }),
                Err(Fault::Closed(_)) if had_served && !noted.sent => {}
                Err(fault) => return Ok(Outcome::Failed(fault)),
            }
        }
    }

    /// Returns who is looked at now.
    fn taps(&mut self) -> Arc<Taps> {
        if self.joints.taps.has_changed().unwrap_or(false) {
            self.taps = Arc::clone(&self.joints.taps.borrow_and_update());
        }
        Arc::clone(&self.taps)
    }

    /// Learns from what an exchange showed of the bus.
    fn note(&mut self, unit: u8, ask: Ask, sent: Mono, fault: Option<&Fault>, noted: &Noted) {
        let now = self.clock.mono();
        if let Some(meter) = &mut self.meter {
            meter.exchanged(unit, sent, now, fault, noted);
        }
        self.note_late(&noted.before, now);
        if noted.sent && fault.is_some() {
            self.owed.in_vain(unit, ask, sent, now);
        }
        self.note_late(&noted.strays, now);
        match fault {
            Some(Fault::Silent(_) | Fault::Garbled(_)) => self.lateness.in_vain(unit, sent),
            Some(Fault::Closed(_) | Fault::Unreachable(_)) => {}
            None => self.owed.answered(unit),
        }
    }

    /// Frames that were no answer: known late ones, or such as should not be.
    fn note_late(&mut self, strays: &[Stray], now: Mono) {
        for stray in strays {
            match self.owed.late(*stray, now) {
                Some(late) => self.lateness.late(stray.unit, late),
                None if self.lateness.stray(stray.unit, now) => self.late.push(stray.unit),
                None => {}
            }
        }
    }

    /// Takes the connection, or opens one.
    async fn connected(&mut self, slot: DeviceSlot, device: &Device) -> Result<Option<Result<ModbusLink, Fault>>, End> {
        if let Some(connection) = self.connection.take() {
            return Ok(Some(Ok(connection)));
        }
        let connect = ModbusLink::connect(&self.endpoint, device.timeout, &self.clock);
        let connected = self.signals.guard(slot, &self.endpoint, connect).await?;
        if let Some(connected) = &connected {
            self.note_opening(connected.as_ref().err());
        }
        Ok(connected)
    }

    fn note_opening(&mut self, fault: Option<&Fault>) {
        if fault.is_none() {
            self.backoff.reset();
        }
        if let Some(meter) = &mut self.meter {
            meter.opened(fault.map(ToString::to_string).as_deref());
        }
    }

    fn link_down(&mut self, reason: &str, now: Mono) {
        let until = now + self.backoff.fail(&mut self.rng);
        for unit in &mut self.units {
            log_down(unit, reason);
            unit.down(reason, until, now, &mut self.out);
        }
    }

    /// Takes over the configuration: units whose slot stays stay as they are.
    fn take_over(&mut self) {
        let link = self.signals.newest();
        if link.endpoint != self.endpoint {
            self.endpoint = link.endpoint.clone();
            self.connection = None;
        }
        let now = self.clock.mono();
        let mut old: BTreeMap<DeviceSlot, Unit> = self.units.drain(..).map(|unit| (unit.slot(), unit)).collect();
        for (slot, device) in &link.devices {
            let kept = old.remove(slot);
            self.units.push(kept.unwrap_or_else(|| Unit::new(*slot, Arc::clone(device), now, &mut self.out)));
        }
        self.backoff = link_backoff(&link.devices);
        self.lateness = Lateness::of(&link.devices);
        if let Endpoint::Bus(bus) = &link.endpoint {
            match &mut self.meter {
                Some(meter) => meter.plan(bus, &link.devices),
                None => self.meter = Some(Meter::new(bus, &link.devices, now)),
            }
            if self.errands.is_none() {
                let (lender, errands) = mpsc::channel(N_WAITING);
                self.errands = Some(errands);
                self.joints.lenders.send_modify(|lenders| drop(lenders.insert(bus.id.clone(), lender)));
            }
        }
        tracing::info!(
            link = %self.endpoint, devices = self.units.len(), dropped = old.len(), "Link configured."
        );
    }

    /// Sends what the devices said; waits while the engine's queue is full.
    async fn flush(&mut self) -> Result<(), End> {
        for refused in self.out.refused.drain(..) {
            tracing::warn!(
                device = %name_of(&self.units, refused.slot), table = ?refused.table, address = refused.address,
                width = refused.width, code = refused.code, "Device refuses a register; correct the point table."
            );
        }
        for event in self.out.events.drain(..) {
            let event = match self.joints.events.try_send(event) {
                Ok(()) => continue,
                Err(TrySendError::Closed(_)) => return Err(End::NobodyListens),
                Err(TrySendError::Full(event)) => event,
            };
            tokio::select! {
                sent = self.joints.events.send(event) => sent.map_err(|_| End::NobodyListens)?,
                () = self.signals.stop.cancelled() => return Err(End::Stopped),
            }
        }
        Ok(())
    }
}

/// The two things that interrupt a link: the stop, and a reload.
struct Signals {
    link: watch::Receiver<Arc<Link>>,
    stop: CancellationToken,
    /// Whether a reload can still come (the sender lives).
    watching: bool,
    /// Whether there is a configuration not taken over yet.
    fresh: bool,
}

impl Signals {
    fn is_fresh(&self) -> bool {
        self.fresh || self.link.has_changed().unwrap_or(false)
    }

    fn newest(&mut self) -> Arc<Link> {
        self.fresh = false;
        Arc::clone(&self.link.borrow_and_update())
    }

    /// Waits for `work` done for the device `slot`; gives it up on stop, and (`None`) when a reload takes the device
    /// away, after [`GRACE_OF_REMOVED`] if others go on using the connection.
    async fn guard<T>(
        &mut self,
        slot: DeviceSlot,
        endpoint: &Endpoint,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, End> {
        tokio::pin!(work);
        while self.has(slot) {
            tokio::select! {
                biased;
                done = &mut work => return Ok(Some(done)),
                () = self.stop.cancelled() => return Err(End::Stopped),
                changed = self.link.changed(), if self.watching => self.note(changed.is_ok()),
            }
        }
        let grace = if self.keeps(endpoint) { GRACE_OF_REMOVED } else { Duration::ZERO };
        tokio::select! {
            done = tokio::time::timeout(grace, work) => Ok(done.ok()),
            () = self.stop.cancelled() => Err(End::Stopped),
        }
    }

    /// Waits for `wake`, a reload or the stop; returns what `wake` gave.
    async fn rest<T>(&mut self, wake: impl Future<Output = T>) -> Result<Option<T>, End> {
        tokio::select! {
            woken = wake => Ok(Some(woken)),
            () = self.stop.cancelled() => Err(End::Stopped),
            changed = self.link.changed(), if self.watching => {
                self.note(changed.is_ok());
                Ok(None)
            }
        }
    }

    fn note(&mut self, alive: bool) {
        self.watching = alive;
        self.fresh |= alive;
    }

    /// Returns whether the newest configuration has devices at this address.
    fn keeps(&self, endpoint: &Endpoint) -> bool {
        let link = self.link.borrow();
        link.endpoint == *endpoint && !link.devices.is_empty()
    }

    /// Returns whether the device is (still) configured; looks only when there was a reload.
    fn has(&self, slot: DeviceSlot) -> bool {
        !self.is_fresh() || self.link.borrow().devices.iter().any(|(other, _)| *other == slot)
    }
}

/// Waits for an errand, at most until `wake`.
async fn first_of(wake: impl Future<Output = ()>, errands: &mut mpsc::Receiver<Errand>) -> Option<Errand> {
    tokio::select! {
        biased;
        Some(errand) = errands.recv() => Some(errand),
        () = wake => None,
    }
}

/// Returns the back-off of a link: the gentlest first step and the shortest longest one of its devices.
fn link_backoff(devices: &[(DeviceSlot, Arc<Device>)]) -> Backoff {
    let initial = devices.iter().map(|(_, d)| d.backoff_initial).max().unwrap_or(Duration::from_millis(500));
    let max = devices.iter().map(|(_, d)| d.backoff_max).min().unwrap_or(Duration::from_secs(30));
    Backoff::new(initial, max.max(initial))
}

fn name_of(units: &[Unit], slot: DeviceSlot) -> String {
    units.iter().find(|unit| unit.slot() == slot).map(|unit| unit.device().id.to_string()).unwrap_or_default()
}

/// Says it once, also of a device that never answered.
fn log_down(unit: &Unit, why: &str) {
    if !unit.is_down() {
        tracing::warn!(device = %unit.device().id, %why, "Device does not answer.");
    }
}
