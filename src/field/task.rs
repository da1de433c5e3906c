//! The task of a link: one owner of one connection, serving all devices behind one address.
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
//! - After any fault the connection is dropped and the next request opens another at once; only the device that
//!   failed rests. If connecting itself fails, all devices of the link are down and the next try waits the link's own
//!   back-off.
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
use crate::domain::field_event::FieldEvent;
use crate::domain::id::DeviceSlot;
use crate::domain::time::Mono;

use super::backoff::Backoff;
use super::modbus::Answer;
use super::modbus::class::Ask;
use super::modbus::session::{Fault, ModbusLink};
use super::outbox::Outbox;
use super::schedule::fnv1a;
use super::settings::{Device, Endpoint, Link};
use super::unit::{Ready, Unit, first};

/// Runs one link until `stop`. `link` is a watch: at a reload new devices appear, changed ones have a new slot; devices
/// whose slot stays keep connection, schedule and what was learnt of them. An empty device list ends it.
///
/// # Errors
///
/// When nobody takes the events any more.
pub async fn run_link(
    link: watch::Receiver<Arc<Link>>,
    events: mpsc::Sender<FieldEvent>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), String> {
    match Runner::new(link, events, clock, stop).run().await {
        End::Stopped => Ok(()),
        End::NobodyListens => Err("the engine takes no more readings".to_owned()),
    }
}

/// A request of a device that a reload takes away gets this long to be answered: an answer is thrown away, but leaves
/// the connection fit for the devices that stay. Longer than nearly every answer, shorter than a poll interval.
const GRACE_OF_REMOVED: Duration = Duration::from_millis(500);

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
    events: mpsc::Sender<FieldEvent>,
    clock: Clock,
    rng: fastrand::Rng,
    endpoint: Endpoint,
    units: Vec<Unit>,
    connection: Option<ModbusLink>,
    backoff: Backoff,
    out: Outbox,
}

impl Runner {
    fn new(
        link: watch::Receiver<Arc<Link>>,
        events: mpsc::Sender<FieldEvent>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        let endpoint = link.borrow().endpoint.clone();
        let started_ms = u64::try_from(clock.mono().0.as_millis()).unwrap_or_default();
        let rng = fastrand::Rng::with_seed(u64::from(fnv1a(&endpoint.to_string())) << 32 ^ started_ms);
        let signals = Signals { link, stop, watching: true, fresh: true };
        let backoff = link_backoff(&[]);
        Self {
            signals,
            events,
            clock,
            rng,
            endpoint,
            units: Vec::new(),
            connection: None,
            backoff,
            out: Outbox::default(),
        }
    }

    async fn run(mut self) -> End {
        loop {
            if self.signals.is_fresh() {
                self.take_over();
            }
            if self.units.is_empty() || self.signals.stop.is_cancelled() {
                return End::Stopped;
            }
            if let Err(end) = self.turn().await {
                return end;
            }
        }
    }

    /// Does the most urgent step, or sleeps until there is one.
    async fn turn(&mut self) -> Result<(), End> {
        self.flush().await?;
        let now = self.clock.mono();
        match self.most_urgent(now) {
            Some((unit, ready)) if ready.at <= now => self.step(unit, ready.class, now).await,
            next => {
                let wake = self.clock.sleep_until_opt(next.map(|(_, ready)| ready.at));
                self.signals.rest(wake).await
            }
        }
    }

    fn most_urgent(&self, now: Mono) -> Option<(usize, Ready)> {
        let all = self.units.iter().enumerate().flat_map(|(index, unit)| unit.ready().map(move |ready| (index, ready)));
        all.reduce(|a, b| first(a, b, now))
    }

    async fn step(&mut self, index: usize, class: usize, now: Mono) -> Result<(), End> {
        let Some(unit) = self.units.get_mut(index) else { return Ok(()) };
        let Some(ask) = unit.step(class, now, &mut self.out) else { return Ok(()) };
        let (slot, device) = (unit.slot(), Arc::clone(unit.device()));
        let outcome = self.exchange(slot, &device, ask).await?;
        let now = self.clock.mono();
        let Some(unit) = self.units.get_mut(index) else { return Ok(()) };
        match outcome {
            Outcome::Answered { answer, sent } => {
                let was_up = unit.is_up();
                unit.answered(class, &answer, sent, now, &mut self.rng, &mut self.out);
                if !was_up && unit.is_up() {
                    tracing::info!(device = %device.id, "Device answers.");
                }
            }
            Outcome::Failed(Fault::Unreachable(reason)) => self.link_down(&reason, now),
            Outcome::Failed(fault) => {
                let reason = fault.to_string();
                log_down(unit, &reason);
                unit.failed(&reason, now, &mut self.rng, &mut self.out);
            }
            Outcome::Vanished => {}
        }
        Ok(())
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
            let read = connection.read(device.unit, ask, device.timeout);
            match self.signals.guard(slot, &self.endpoint, read).await? {
                Some(Ok((connection, answer))) => {
                    self.connection = Some(connection);
                    let there = self.signals.has(slot);
                    return Ok(if there { Outcome::Answered { answer, sent } } else { Outcome::Vanished });
                }
                Some(Err(_)) | None if !self.signals.has(slot) => return Ok(Outcome::Vanished),
                Some(Err(Fault::Closed(_))) if had_served => {}
                Some(Err(fault)) => return Ok(Outcome::Failed(fault)),
                None => return Ok(Outcome::Vanished),
            }
        }
    }

    /// Takes the connection, or opens one.
    async fn connected(&mut self, slot: DeviceSlot, device: &Device) -> Result<Option<Result<ModbusLink, Fault>>, End> {
        if let Some(connection) = self.connection.take() {
            return Ok(Some(Ok(connection)));
        }
        let connect = ModbusLink::connect(&self.endpoint, device.timeout);
        let connected = self.signals.guard(slot, &self.endpoint, connect).await?;
        if let Some(Ok(_)) = connected {
            self.backoff.reset();
        }
        Ok(connected)
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
            let event = match self.events.try_send(event) {
                Ok(()) => continue,
                Err(TrySendError::Closed(_)) => return Err(End::NobodyListens),
                Err(TrySendError::Full(event)) => event,
            };
            tokio::select! {
                sent = self.events.send(event) => sent.map_err(|_| End::NobodyListens)?,
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

    /// Waits for `wake`, a reload or the stop.
    async fn rest(&mut self, wake: impl Future<Output = ()>) -> Result<(), End> {
        tokio::select! {
            () = wake => Ok(()),
            () = self.stop.cancelled() => Err(End::Stopped),
            changed = self.link.changed(), if self.watching => {
                self.note(changed.is_ok());
                Ok(())
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
