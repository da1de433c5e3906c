//! The engine: takes what the field says, keeps what stands, gives out what is to be recorded.
//!
//! A value without clock, task or I/O. Its driver (`app::engine`) does, in a loop: hand in one input
//! ([`Engine::handle_event`], [`Engine::handle_plan`], [`Engine::handle_refresh`], or [`Engine::handle_timeout`] when
//! [`Engine::poll_timeout`] has come), then drain [`Engine::poll_output`] until it is empty.
//!
//! What it guarantees:
//! - Every reading with a known slot updates the state and is counted, whatever report by exception says.
//! - Full values follow a start, a reload, a device's reconnect and a refresh: what the platform then holds is whole. A
//!   point whose next reading is far off, or does not come, is repeated as it stands, with the time it was read.
//! - Every device has a coverage record each [`COVERAGE_EVERY`], also when nothing came; a class of which nothing is
//!   heard turns [`Quality::Stale`].
//! - What an instrument gives while it is calibrated, tested or faulty is never a measurement ([`super::judge`]).
//! - A device that has not answered for [`LOST_AFTER`] has no good point left, however rarely its points are read.
//! - No record spans registry revisions: what was counted under the old one is recorded before the new one begins.
//! - A step of the wall clock, or a change of its trust, is a record of its own; stamps before it are never rewritten.

mod derivations;
mod device;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::derivations::Derivations;
use self::device::Device;
use super::field_event::{FieldEvent, GapNotice, LOST_AFTER, LinkChange, LinkState, Origin, Poll, Sample};
use super::id::DeviceSlot;
use super::judge::{Judge, Judged};
use super::output::{LoopTest, OutputWrite};
use super::reading::{Quality, Reading};
use super::record::{Basis, Body, Boot, ClockChange, Coverage, Mode, Record, Samples, SourceGap, Stamp, Stream};
use super::registry::{Commissioning, DeviceSpec, Registry};
use super::snapshot::{Snapshot, Totals};
use super::time::{Mono, Now, Timestamp};

/// How often each device's coverage is recorded: half of the 60 s that the feed promises, so that a late tick keeps it.
pub const COVERAGE_EVERY: Duration = Duration::from_secs(30);
/// How often the engine looks at the clock and at what it has not heard.
pub const TICK: Duration = Duration::from_secs(1);
/// A difference between wall and monotonic progress within one tick that is a step: NTP slews 0.5 ms in that time.
pub const CLOCK_STEP_MS: i64 = 500;

/// What the engine works on: a registry revision and how its devices are polled.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The revision.
    pub registry: Arc<Registry>,
    /// Its wire form, recorded on the `registry` stream.
    pub registry_json: String,
    /// One per device of the registry, in its order.
    pub devices: Vec<PlanDevice>,
}

/// How one device is polled.
#[derive(Clone, Debug)]
pub struct PlanDevice {
    /// Its slot; a slot that the engine knows already keeps its state.
    pub slot: DeviceSlot,
    /// Interval of each poll class.
    pub classes: Vec<Duration>,
    /// Poll class of each point, in ordinal order.
    pub class_of: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    boot: u32,
    started: Mono,
    registry: Arc<Registry>,
    devices: Vec<Device>,
    by_slot: BTreeMap<DeviceSlot, usize>,
    derivations: Derivations,
    outputs: VecDeque<Record>,
    totals: Totals,
    last_look: Now,
    next_tick: Mono,
}

/// Whose time a record of readings has.
#[derive(Clone, Copy)]
struct Told {
    basis: Basis,
    t: Option<Timestamp>,
    historical: bool,
}

impl Told {
    const POLLED: Self = Self { basis: Basis::Poll, t: None, historical: false };
}

impl From<Origin> for Told {
    fn from(origin: Origin) -> Self {
        let (basis, t, historical) = match origin {
            Origin::Polled => return Self::POLLED,
            Origin::Source(t) => (Basis::Source, Some(t), false),
            Origin::Received(t) => (Basis::Received, t, false),
            Origin::History(t) => (Basis::Source, Some(t), true),
        };
        Self { basis, t, historical }
    }
}

/// Readings of one time.
type Cells = Vec<(u16, Reading)>;

impl Engine {
    /// Starts an engine: records the boot and the registry revision.
    pub fn new(boot: u32, boot_body: Boot, plan: Plan, now: Now) -> Self {
        let mut engine = Self {
            boot,
            started: now.mono,
            registry: plan.registry.clone(),
            devices: Vec::new(),
            by_slot: BTreeMap::new(),
            derivations: Derivations::default(),
            outputs: VecDeque::new(),
            totals: Totals::default(),
            last_look: now,
            next_tick: now.mono + TICK,
        };
        engine.push(Stream::Event, now, Body::Boot(boot_body));
        engine.install(plan, now);
        engine
    }

    /// Takes over a new configuration: devices whose slot stays keep their state, full values follow from all.
    pub fn handle_plan(&mut self, plan: Plan, now: Now) {
        self.handle_stop(now);
        self.install(plan, now);
    }

    /// Asks for full values, e.g. because the platform is back.
    pub fn handle_refresh(&mut self, now: Now) {
        self.look_at_clock(now);
        self.refresh(now);
    }

    /// Takes one message of the field.
    pub fn handle_event(&mut self, event: FieldEvent, now: Now) {
        self.look_at_clock(now);
        match event {
            FieldEvent::Sample(sample) => self.handle_sample(&sample, now),
            FieldEvent::Poll(poll) => self.handle_poll(&poll, now),
            FieldEvent::Link(change) => self.handle_link(change, now),
            FieldEvent::Gap(gap) => self.handle_gap(gap, now),
        }
    }

    /// Records the answer to a command.
    pub fn handle_answer(&mut self, json: String, now: Now) {
        self.push(Stream::Event, now, Body::Answer { json });
    }

    /// Records a write to an output, whatever became of it.
    pub fn handle_write(&mut self, write: OutputWrite, now: Now) {
        self.push(Stream::Event, now, Body::Write(write));
    }

    /// Records an engineer's loop test of a point.
    pub fn handle_loop_test(&mut self, test: LoopTest, now: Now) {
        self.push(Stream::Event, now, Body::LoopTest(test));
    }

    /// Records a kept revision once more, because the platform asked for it.
    pub fn handle_registry_again(&mut self, json: String, now: Now) {
        self.push(Stream::Registry, now, Body::Registry { json });
    }

    /// Returns when [`Engine::handle_timeout`] must next be called.
    pub fn poll_timeout(&self) -> Mono {
        self.next_tick
    }

    /// Lets time pass up to `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        if now.mono < self.next_tick {
            return;
        }
        self.next_tick = now.mono + TICK;
        self.look_at_clock(now);
        for index in 0..self.devices.len() {
            self.mark_stale(index, now);
            self.mark_lost(index, now);
            if self.devices.get(index).is_some_and(|d| d.coverage_due <= now.mono) {
                self.record_coverage(index, now);
            }
        }
    }

    /// Records what was counted so far; the last input of a run.
    pub fn handle_stop(&mut self, now: Now) {
        self.look_at_clock(now);
        for index in 0..self.devices.len() {
            self.record_coverage(index, now);
        }
    }

    /// Returns the next record to be stored and sent.
    pub fn poll_output(&mut self) -> Option<Record> {
        self.outputs.pop_front()
    }

    /// Returns the revision in force.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Returns what stands, for the page. Costs one pass over all points.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot {
            now,
            boot: self.boot,
            started: self.started,
            registry: self.registry.clone(),
            devices: self.devices.iter().map(Device::view).collect(),
            totals: self.totals(),
        }
    }

    /// Returns the counters since the start.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn install(&mut self, plan: Plan, now: Now) {
        let mut known: BTreeMap<DeviceSlot, Device> = self.devices.drain(..).map(|d| (d.slot, d)).collect();
        self.registry = plan.registry;
        self.push(Stream::Registry, now, Body::Registry { json: plan.registry_json });
        let n_devices = plan.devices.len();
        self.devices = plan
            .devices
            .iter()
            .enumerate()
            .map(|(i, d)| {
                let mut device = known.remove(&d.slot).unwrap_or_else(|| Device::new(d, now));
                let spec = self.registry.devices.get(i);
                device.judge_by(spec.and_then(|spec| Judge::new(spec, &d.class_of)));
                // Spread over the period, so that two hundred devices do not report in one instant.
                let phase = COVERAGE_EVERY.mul_f64((i + 1) as f64 / n_devices as f64);
                device.coverage_due = now.mono + phase;
                device
            })
            .collect();
        self.by_slot = self.devices.iter().enumerate().map(|(i, d)| (d.slot, i)).collect();
        self.derivations = Derivations::new(&self.registry);
        self.refresh(now);
    }

    fn refresh(&mut self, now: Now) {
        for index in 0..self.devices.len() {
            let (Some(device), Some(spec)) = (self.devices.get_mut(index), self.registry.devices.get(index)) else {
                continue;
            };
            for (at, cells) in device.forget_reports(spec, now.mono) {
                self.push_samples(index, cells, Told::POLLED, at, now);
            }
        }
    }

    fn handle_sample(&mut self, sample: &Sample, now: Now) {
        let Some((index, device, _)) = find(&self.by_slot, &mut self.devices, &self.registry, sample.slot) else {
            self.totals.stale_events += 1;
            return;
        };
        if let Origin::History(_) = sample.origin {
            // What was is recorded, every value of it, and changes nothing of what is.
            let known = |(ordinal, _): &&(u16, Reading)| usize::from(*ordinal) < device.points.len();
            let past = |(ordinal, reading): &(u16, Reading)| {
                (*ordinal, device.judge.as_ref().map_or(*reading, |judge| judge.past(*ordinal, *reading)))
            };
            let cells = sample.readings.iter().filter(known).map(past).collect();
            return self.push_samples(index, cells, sample.origin.into(), sample.at, now);
        }
        let Some(judge) = &mut device.judge else {
            return self.stand(index, &sample.readings, sample.at, sample.origin, now);
        };
        let points = &device.points;
        let standing = |ordinal: u16| points.get(usize::from(ordinal)).and_then(|point| point.reading);
        let judged = judge.take(sample, standing);
        self.totals.states_unknown += judge.take_strange();
        self.stand_judged(index, judged, now);
    }

    fn stand_judged(&mut self, index: usize, judged: Vec<Judged>, now: Now) {
        for Judged { at, fresh, origin, readings } in judged {
            if fresh {
                self.stand(index, &readings, at, origin, now);
            } else {
                self.restate(index, &readings, at, now);
            }
        }
    }

    /// Lets readings stand, and what is derived from them.
    fn stand(&mut self, index: usize, readings: &[(u16, Reading)], time: Mono, origin: Origin, now: Now) {
        self.stand_alone(index, readings, time, origin, now);
        self.follow(index, readings, time, now);
    }

    fn follow(&mut self, index: usize, readings: &[(u16, Reading)], time: Mono, now: Now) {
        if self.derivations.is_empty() {
            return;
        }
        let devices = &self.devices;
        let point = |(device, ordinal): (usize, u16)| devices.get(device)?.points.get(usize::from(ordinal))?.reading;
        let derived = self.derivations.follow(index, readings.iter().map(|(ordinal, _)| *ordinal), time, point);
        for (device, readings) in derived {
            self.stand_alone(device, &readings, time, Origin::Polled, now);
        }
    }

    /// Lets readings stand: they are counted, and reported if they are worth it.
    fn stand_alone(&mut self, index: usize, readings: &[(u16, Reading)], time: Mono, origin: Origin, now: Now) {
        let (Some(device), Some(spec)) = (self.devices.get_mut(index), self.registry.devices.get(index)) else {
            return;
        };
        let mut cells = Vec::with_capacity(readings.len());
        for (ordinal, reading) in readings {
            let at = usize::from(*ordinal);
            let (Some(point), Some(meaning)) = (device.points.get_mut(at), spec.points.get(at)) else { continue };
            point.reading = Some(*reading);
            point.at = Some(time);
            if let Some(class) = device.classes.get_mut(usize::from(point.class)) {
                class.last_heard = now.mono;
            }
            match reading.value {
                Some(_) => self.totals.readings += 1,
                None => self.totals.readings_bad += 1,
            }
            if point.reporter.report(*reading, time, meaning) {
                cells.push((*ordinal, *reading));
            }
        }
        self.push_samples(index, cells, origin.into(), time, now);
    }

    /// Lets what stands be understood anew, without having been read again.
    fn restate(&mut self, index: usize, readings: &[(u16, Reading)], time: Mono, now: Now) {
        let (Some(device), Some(spec)) = (self.devices.get_mut(index), self.registry.devices.get(index)) else {
            return;
        };
        let mut cells = Vec::new();
        for (ordinal, reading) in readings {
            let at = usize::from(*ordinal);
            let (Some(point), Some(meaning)) = (device.points.get_mut(at), spec.points.get(at)) else { continue };
            point.reading = Some(*reading);
            if point.reporter.report(*reading, time, meaning) {
                cells.push((*ordinal, *reading));
            }
        }
        self.push_samples(index, cells, Told::POLLED, time, now);
        self.follow(index, readings, time, now);
    }

    fn handle_gap(&mut self, gap: GapNotice, now: Now) {
        let Some((index, ..)) = find(&self.by_slot, &mut self.devices, &self.registry, gap.slot) else {
            self.totals.stale_events += 1;
            return;
        };
        let GapNotice { at, points, from, to, reason, .. } = gap;
        let body = Body::SourceGap(SourceGap { device: index_of(index), points, from, to, reason });
        self.push_at(Stream::Telemetry, at, now, body);
    }

    fn handle_poll(&mut self, poll: &Poll, now: Now) {
        let Some((index, device, _)) = find(&self.by_slot, &mut self.devices, &self.registry, poll.slot) else {
            self.totals.stale_events += 1;
            return;
        };
        let judged = device.judge.as_mut().map(|judge| judge.poll_ended(poll.class)).unwrap_or_default();
        let Some(class) = device.classes.get_mut(usize::from(poll.class)) else { return };
        let before = class.account.counts();
        class.account.take(poll);
        class.last_heard = now.mono;
        class.stale = false;
        let new = class.account.counts().since(&before);
        if poll.ok {
            // A source that sends only what changes has confirmed the rest: as if it had been read then.
            let points = device.points.iter_mut().filter(|point| point.class == poll.class);
            points.for_each(|point| point.at = point.at.map(|at| at.max(poll.started)));
        }
        self.totals.polls_due += new.due();
        self.totals.polls_skipped += new.skipped;
        self.totals.worst_late = self.totals.worst_late.max(class.account.worst_late());
        self.stand_judged(index, judged, now);
    }

    fn handle_link(&mut self, change: LinkChange, now: Now) {
        let Some((index, device, _)) = find(&self.by_slot, &mut self.devices, &self.registry, change.slot) else {
            self.totals.stale_events += 1;
            return;
        };
        let (was_up, is_up) = (device.link == LinkState::Up, change.state == LinkState::Up);
        let first_word = device.link == LinkState::Connecting;
        if was_up != is_up || device.link_since.is_none() {
            device.link_since = Some(change.at);
        }
        if is_up && !was_up {
            device.points.iter_mut().for_each(|p| p.reporter.forget());
        }
        device.link = change.state;
        let reason = match &device.link {
            LinkState::Connecting => return,
            LinkState::Up => String::new(),
            LinkState::Down { reason, .. } => reason.clone(),
        };
        if was_up != is_up || first_word {
            let body = Body::Link { device: index_of(index), up: is_up, reason };
            self.push_at(Stream::Event, change.at, now, body);
        }
    }

    fn mark_stale(&mut self, index: usize, now: Now) {
        let Some(device) = self.devices.get_mut(index) else { return };
        let silent = device.newly_silent(now.mono);
        if silent.is_empty() {
            return;
        }
        let points = || (0_u16..).zip(&device.points);
        let stale: Vec<(u16, Reading)> = points()
            .filter(|(_, point)| silent.contains(&point.class))
            .map(|(o, p)| (o, Reading { value: p.reading.and_then(|r| r.value), quality: Quality::Stale }))
            .collect();
        let silent = stale.iter().map(|(ordinal, _)| *ordinal).collect();
        let standing = |ordinal: u16| device.points.get(usize::from(ordinal)).and_then(|point| point.reading);
        let anew = device.judge.as_mut().map(|judge| judge.silent(&silent, now.mono, standing)).unwrap_or_default();
        self.restate(index, &stale, now.mono, now);
        self.stand_judged(index, anew, now);
    }

    /// An hourly value of a device that is down must not stand as good until its hour has come.
    fn mark_lost(&mut self, index: usize, now: Now) {
        let Some(device) = self.devices.get_mut(index) else { return };
        let down = matches!(device.link, LinkState::Down { .. });
        let lost = down && device.link_since.is_some_and(|since| now.mono.since(since) >= LOST_AFTER);
        if std::mem::replace(&mut device.lost, lost) || !lost {
            return;
        }
        let missing = Reading::missing(Quality::Comm);
        let mut all = Vec::with_capacity(device.points.len());
        for (ordinal, point) in (0_u16..).zip(&mut device.points).filter(|(_, point)| point.reading != Some(missing)) {
            point.at = Some(now.mono);
            all.push((ordinal, missing));
        }
        if let Some(judge) = &mut device.judge {
            // Whatever the words said is over; every point is `comm` anyway.
            let ordinals = (0_u16..).zip(&device.points).map(|(ordinal, _)| ordinal).collect();
            drop(judge.silent(&ordinals, now.mono, |_| Some(missing)));
        }
        self.restate(index, &all, now.mono, now);
    }

    fn record_coverage(&mut self, index: usize, now: Now) {
        let Some(device) = self.devices.get_mut(index) else { return };
        let new = device.counts_since_coverage(now.mono);
        let from = device.coverage_from.wall;
        device.coverage_from = now;
        device.coverage_due = now.mono + COVERAGE_EVERY;
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let coverage = Coverage {
            device: index_of(index),
            from,
            due: count(new.due()),
            ok: count(new.ok),
            bad: count(new.bad),
            skipped: count(new.skipped),
        };
        self.push(Stream::Telemetry, now, Body::Coverage(coverage));
    }

    fn look_at_clock(&mut self, now: Now) {
        let last = std::mem::replace(&mut self.last_look, now);
        let elapsed_ms = i64::try_from(now.mono.since(last.mono).as_millis()).unwrap_or(i64::MAX);
        let step_ms = now.wall.0.saturating_sub(last.wall.0).saturating_sub(elapsed_ms);
        if step_ms.abs() < CLOCK_STEP_MS && now.trust == last.trust {
            return;
        }
        let offset_ms = if step_ms.abs() < CLOCK_STEP_MS { 0 } else { step_ms };
        self.push(Stream::Event, now, Body::Clock(ClockChange { from: last.trust, to: now.trust, offset_ms }));
        // A span must not be measured by two clocks: what was counted so far ends here, on the new one.
        for device in &mut self.devices {
            device.coverage_from.wall = Timestamp(device.coverage_from.wall.0.saturating_add(offset_ms));
        }
    }

    fn push_samples(&mut self, index: usize, cells: Cells, told: Told, at: Mono, now: Now) {
        if cells.is_empty() {
            return;
        }
        self.totals.values_recorded += cells.len() as u64;
        let (real, commissioning) = self.by_mode(index, cells);
        for (mode, cells) in [(Mode::Real, real), (Mode::Commissioning, commissioning)] {
            if !cells.is_empty() {
                let Told { basis, t, historical } = told;
                let samples = Samples { device: index_of(index), basis, t, historical, mode, cells };
                self.push_at(Stream::Telemetry, at, now, Body::Samples(samples));
            }
        }
    }

    /// A record has one mode: what is still being commissioned travels apart, so that no test value passes for real.
    fn by_mode(&self, index: usize, cells: Cells) -> (Cells, Cells) {
        let points = self.registry.devices.get(index).map_or(&[][..], |d| &d.points);
        let is_real = |(ordinal, _): &(u16, Reading)| {
            points.get(usize::from(*ordinal)).is_none_or(|p| p.commissioning != Commissioning::Commissioning)
        };
        if cells.iter().all(is_real) { (cells, Vec::new()) } else { cells.into_iter().partition(is_real) }
    }

    fn push(&mut self, stream: Stream, now: Now, body: Body) {
        self.push_at(stream, now.mono, now, body);
    }

    fn push_at(&mut self, stream: Stream, at: Mono, now: Now, body: Body) {
        let stamp =
            Stamp { boot: self.boot, rev: self.registry.rev, mono: at, wall: now.wall_at(at), trust: now.trust };
        if let Some(count) = self.totals.records.get_mut(stream.rank()) {
            *count += 1;
        }
        self.outputs.push_back(Record { stream, stamp, body });
    }
}

fn find<'a>(
    by_slot: &BTreeMap<DeviceSlot, usize>,
    devices: &'a mut [Device],
    registry: &'a Registry,
    slot: DeviceSlot,
) -> Option<(usize, &'a mut Device, &'a DeviceSpec)> {
    let index = *by_slot.get(&slot)?;
    Some((index, devices.get_mut(index)?, registry.devices.get(index)?))
}

/// INVARIANT: the configuration admits at most 65,536 devices, and points per device.
fn index_of(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::derived::{Derived, Formula};
    use crate::domain::id::PointUid;
    use crate::domain::instrument::{Instrument, InstrumentState, StateMap};
    use crate::domain::reading::Value;
    use crate::domain::registry::testing::registry_with;
    use crate::domain::time::ClockTrust;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(secs: u64) -> Now {
        let wall = Timestamp(1_700_000_000_000 + i64::try_from(secs).unwrap() * 1_000);
        Now { mono: Mono::from_secs(secs), wall, trust: ClockTrust::Synced }
    }

    fn plan(rev: u32, slots: &[u32]) -> Plan {
        let mut registry = registry_with(slots.len(), 2, |_| Some(1));
        registry.rev = rev;
        let device = |slot: &u32| PlanDevice { slot: DeviceSlot(*slot), classes: vec![SECOND], class_of: vec![0, 0] };
        Plan { registry: Arc::new(registry), registry_json: "{}".into(), devices: slots.iter().map(device).collect() }
    }

    fn boot() -> Boot {
        Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true }
    }

    fn started(slots: &[u32]) -> Engine {
        let mut engine = Engine::new(7, boot(), plan(1, slots), at(0));
        drain(&mut engine);
        engine
    }

    fn drain(engine: &mut Engine) -> Vec<Record> {
        std::iter::from_fn(|| engine.poll_output()).collect()
    }

    fn sample(slot: u32, secs: u64, values: &[f64]) -> FieldEvent {
        let readings = values.iter().zip(0u16..).map(|(v, o)| (o, Reading::good(Value::Number(*v)))).collect();
        FieldEvent::Sample(Sample {
            slot: DeviceSlot(slot),
            at: Mono::from_secs(secs),
            origin: Origin::Polled,
            readings,
        })
    }

    fn poll(slot: u32, secs: u64, ok: bool) -> FieldEvent {
        let due = Mono::from_secs(secs);
        FieldEvent::Poll(Poll { slot: DeviceSlot(slot), class: 0, due, started: due, ended: due, ok, skipped: 0 })
    }

    fn link(slot: u32, secs: u64, state: LinkState) -> FieldEvent {
        FieldEvent::Link(LinkChange { slot: DeviceSlot(slot), at: Mono::from_secs(secs), state })
    }

    fn down() -> LinkState {
        LinkState::Down { reason: "no answer within 1 s".into(), retry: SECOND }
    }

    fn samples_of(records: &[Record]) -> Vec<&Samples> {
        records.iter().filter_map(|r| if let Body::Samples(s) = &r.body { Some(s) } else { None }).collect()
    }

    fn coverages(records: &[Record]) -> Vec<Coverage> {
        records.iter().filter_map(|r| if let Body::Coverage(c) = &r.body { Some(*c) } else { None }).collect()
    }

    #[test]
    fn a_point_being_commissioned_never_passes_for_real() {
        let mut plan = plan(1, &[1]);
        let mut registry = (*plan.registry).clone();
        registry.devices[0] = {
            let mut device = (*registry.devices[0]).clone();
            device.points[1].commissioning = Commissioning::Commissioning;
            device.into()
        };
        plan.registry = Arc::new(registry);
        let mut engine = Engine::new(7, boot(), plan, at(0));
        drain(&mut engine);
        engine.handle_event(sample(1, 1, &[1.0, 2.0]), at(1));
        let records = drain(&mut engine);
        let told: Vec<_> =
            samples_of(&records).iter().map(|s| (s.mode, s.cells.iter().map(|c| c.0).collect())).collect();
        assert_eq!(told, [(Mode::Real, vec![0]), (Mode::Commissioning, vec![1])]);
    }

    fn tick_through(engine: &mut Engine, from: u64, to: u64) -> Vec<Record> {
        let mut records = Vec::new();
        for secs in from..=to {
            engine.handle_timeout(at(secs));
            records.extend(drain(engine));
        }
        records
    }

    #[test]
    fn a_start_records_the_boot_and_what_the_points_mean() {
        let mut engine = Engine::new(7, boot(), plan(3, &[0]), at(5));
        let records = drain(&mut engine);
        assert_eq!(records.iter().map(|r| r.stream).collect::<Vec<_>>(), [Stream::Event, Stream::Registry]);
        assert!(records.iter().all(|r| r.stamp.boot == 7 && r.stamp.rev == 3 && r.stamp.wall == at(5).wall));
    }

    #[test]
    fn a_reading_carries_the_time_it_was_taken_not_the_time_it_arrived() {
        let mut engine = started(&[0]);
        engine.handle_event(sample(0, 10, &[1.0, 2.0]), at(13));
        let records = drain(&mut engine);
        assert_eq!(records[0].stamp.wall, at(10).wall);
        assert_eq!(records[0].stamp.mono, Mono::from_secs(10));
    }

    #[test]
    fn report_by_exception_stands_before_the_stream_only() {
        let mut engine = started(&[0]);
        for secs in 1..=5 {
            engine.handle_event(sample(0, secs, &[1.0, 2.0]), at(secs));
        }
        let records = drain(&mut engine);
        assert_eq!(samples_of(&records).len(), 1, "nothing changed after the first");
        assert_eq!(engine.totals().readings, 10, "but every reading was taken");
        assert_eq!(engine.snapshot(at(5)).devices[0].points[0].at, Some(Mono::from_secs(5)));
    }

    fn sourced(secs: u64, origin: Origin, value: f64) -> FieldEvent {
        let readings = vec![(0, Reading::good(Value::Number(value)))];
        FieldEvent::Sample(Sample { slot: DeviceSlot(0), at: Mono::from_secs(secs), origin, readings })
    }

    #[test]
    fn a_source_keeps_its_own_time_and_the_stamp_keeps_ours() {
        let mut engine = started(&[0]);
        let far = Timestamp(4_000_000_000_000);
        engine.handle_event(sourced(10, Origin::Source(far), 1.0), at(13));
        engine.handle_event(sourced(11, Origin::Received(None), 2.0), at(13));
        let records = drain(&mut engine);
        let told: Vec<_> = samples_of(&records).iter().map(|s| (s.basis, s.t, s.historical)).collect();
        assert_eq!(told, [(Basis::Source, Some(far), false), (Basis::Received, None, false)]);
        assert_eq!(records[0].stamp.wall, at(10).wall, "a source's wrong clock does not reach the store");
    }

    /// Device 0: point 0 is gas, point 1 the state word of its detector.
    fn detector() -> Plan {
        let mut plan = plan(1, &[0]);
        let mut registry = (*plan.registry).clone();
        let mut device = (*registry.devices[0]).clone();
        let states = StateMap::parse("0=monitoring; 1=calibration; 2=fault").ok();
        device.points[0].instrument = Some(Arc::new(Instrument { state_of: Some(1), ..Instrument::default() }));
        device.points[1].instrument = Some(Arc::new(Instrument { states, ..Instrument::default() }));
        registry.devices[0] = Arc::new(device);
        plan.registry = Arc::new(registry);
        plan
    }

    #[test]
    fn a_detector_in_calibration_is_reported_at_once_and_never_as_a_measurement() {
        let mut engine = Engine::new(7, boot(), detector(), at(0));
        drain(&mut engine);
        engine.handle_event(sample(0, 1, &[2.0, 0.0]), at(1));
        engine.handle_event(sample(0, 2, &[50.0, 1.0]), at(2));
        engine.handle_event(sample(0, 3, &[50.0, 1.0]), at(3));
        let records = drain(&mut engine);
        let told: Vec<_> = samples_of(&records).iter().map(|s| s.cells.clone()).collect();
        let number = |v| Reading::good(Value::Number(v));
        assert_eq!(
            told,
            [
                vec![(0, number(2.0)), (1, number(0.0))],
                vec![(0, Reading::missing(Quality::Calibration)), (1, number(1.0))],
            ]
        );
        let view = engine.snapshot(at(3)).devices[0].points[0];
        assert_eq!(view.state, Some((InstrumentState::Calibration, Mono::from_secs(2))));
    }

    #[test]
    fn a_reload_does_not_forget_what_the_instrument_is_doing() {
        let mut engine = Engine::new(7, boot(), detector(), at(0));
        engine.handle_event(sample(0, 1, &[50.0, 1.0]), at(1));
        engine.handle_plan(Plan { registry_json: "{}".into(), ..detector() }, at(2));
        let view = engine.snapshot(at(2)).devices[0].points[0];
        assert_eq!(view.reading, Some(Reading::missing(Quality::Calibration)));
        assert_eq!(view.state, Some((InstrumentState::Calibration, Mono::from_secs(1))));
    }

    #[test]
    fn a_strange_state_is_counted() {
        let mut engine = Engine::new(7, boot(), detector(), at(0));
        engine.handle_event(sample(0, 1, &[2.0, 9.0]), at(1));
        assert_eq!(engine.totals().states_unknown, 1);
        assert_eq!(engine.snapshot(at(1)).devices[0].points[0].reading.map(|r| r.quality), Some(Quality::Suspect));
    }

    #[test]
    fn a_sum_and_what_is_made_of_it_follow_the_readings_of_any_device() {
        let mut plan = plan(1, &[0, 1, 2]);
        let mut registry = (*plan.registry).clone();
        let mut device = (*registry.devices[2]).clone();
        let derived = |formula, inputs: &[&str]| {
            let inputs = inputs.iter().map(|uid| PointUid::new(*uid)).collect();
            Some(Arc::new(Instrument { derived: Some(Derived { formula, inputs }), ..Instrument::default() }))
        };
        // The first is made of the second, which is made of points of two devices.
        device.points[0].instrument = derived(Formula::Convert { factor: 2.0 }, &["u-2-1"]);
        device.points[1].instrument = derived(Formula::Sum, &["u-0-0", "u-1-1"]);
        registry.devices[2] = Arc::new(device);
        plan.registry = Arc::new(registry);
        plan.devices[2].classes.clear();
        let mut engine = Engine::new(7, boot(), plan, at(0));
        let standing = |engine: &Engine| {
            let device = &engine.snapshot(at(9)).devices[2];
            assert_eq!(device.link, LinkState::Up);
            device.points.iter().map(|p| p.reading.map(|r| (r.value.map(Value::as_f64), r.quality))).collect::<Vec<_>>()
        };
        engine.handle_event(sample(0, 1, &[1.5, 9.0]), at(1));
        assert_eq!(standing(&engine), [None, None], "not every input was read");
        engine.handle_event(sample(1, 2, &[9.0, 2.0]), at(2));
        assert_eq!(standing(&engine), [Some((Some(7.0), Quality::Good)), Some((Some(3.5), Quality::Good))]);
        let records = drain(&mut engine);
        assert!(samples_of(&records).iter().any(|s| s.device == 2 && s.cells.len() == 2), "told like any point");
        let stale = tick_through(&mut engine, 3, 40);
        assert!(samples_of(&stale).iter().any(|s| s.device == 2));
        assert_eq!(standing(&engine)[1].map(|r| r.1), Some(Quality::Stale), "made of what is silent");
    }

    #[test]
    fn history_is_recorded_whole_and_disturbs_nothing_of_what_is() {
        let mut engine = started(&[0]);
        engine.handle_event(sourced(10, Origin::Source(at(10).wall), 5.0), at(10));
        drain(&mut engine);
        for (secs, value) in [(3, 9.0), (4, 9.0)] {
            engine.handle_event(sourced(11, Origin::History(at(secs).wall), value), at(11));
        }
        let records = drain(&mut engine);
        assert_eq!(samples_of(&records).iter().filter(|s| s.historical && s.cells.len() == 1).count(), 2);
        let view = engine.snapshot(at(11)).devices[0].points[0];
        assert_eq!((view.reading, view.at), (Some(Reading::good(Value::Number(5.0))), Some(Mono::from_secs(10))));
        engine.handle_event(sourced(12, Origin::Source(at(12).wall), 5.0), at(12));
        assert!(drain(&mut engine).is_empty(), "report by exception still compares with the last value of the present");
    }

    #[test]
    fn a_hole_of_the_source_is_a_record_beside_the_values_around_it() {
        let mut engine = started(&[0]);
        let gap = GapNotice {
            slot: DeviceSlot(0),
            at: Mono::from_secs(9),
            points: vec![1],
            from: Some(at(3).wall),
            to: at(9).wall,
            reason: crate::domain::record::SourceGapReason::Overflow,
        };
        engine.handle_event(FieldEvent::Gap(gap.clone()), at(9));
        engine.handle_event(FieldEvent::Gap(GapNotice { slot: DeviceSlot(7), ..gap }), at(9));
        let records = drain(&mut engine);
        assert!(
            matches!(&records[..], [Record { stream: Stream::Telemetry, body: Body::SourceGap(g), .. }] if g.points == [1])
        );
        assert_eq!(engine.totals().stale_events, 1);
    }

    #[test]
    fn full_values_follow_a_reconnect_of_the_device_and_of_the_platform() {
        let mut engine = started(&[0]);
        engine.handle_event(link(0, 0, LinkState::Up), at(0));
        engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
        engine.handle_event(link(0, 2, down()), at(2));
        engine.handle_event(link(0, 3, LinkState::Up), at(3));
        drain(&mut engine);
        engine.handle_event(sample(0, 4, &[1.0, 2.0]), at(4));
        assert_eq!(samples_of(&drain(&mut engine))[0].cells.len(), 2);
        engine.handle_refresh(at(5));
        assert_eq!(drain(&mut engine).len(), 0, "the next reading is a moment away");
        engine.handle_event(sample(0, 5, &[1.0, 2.0]), at(5));
        assert_eq!(samples_of(&drain(&mut engine))[0].cells.len(), 2);
    }

    #[test]
    fn a_refresh_repeats_what_would_keep_the_platform_waiting_with_the_time_it_was_read() {
        let mut hourly = plan(1, &[0]);
        hourly.devices[0].classes = vec![Duration::from_secs(3600)];
        let mut engine = Engine::new(7, boot(), hourly, at(0));
        engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
        drain(&mut engine);
        engine.handle_refresh(at(1_800));
        let records = drain(&mut engine);
        assert_eq!(samples_of(&records)[0].cells.len(), 2);
        assert_eq!(records[0].stamp.wall, at(1).wall, "nobody read it since");
    }

    #[test]
    fn a_refresh_says_again_that_a_point_is_stale() {
        let mut engine = started(&[0]);
        engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
        assert_eq!(samples_of(&tick_through(&mut engine, 2, 40)).len(), 2);
        engine.handle_refresh(at(41));
        let records = drain(&mut engine);
        assert!(samples_of(&records)[0].cells.iter().all(|(_, r)| r.quality == Quality::Stale));
        assert_eq!(records[0].stamp.wall, at(41).wall);
    }

    #[test]
    fn a_poll_of_many_slow_requests_is_not_stale_while_its_readings_come() {
        let mut engine = started(&[0]);
        for secs in 1..=60 {
            engine.handle_event(sample(0, secs, &[1.0, 2.0]), at(secs));
            engine.handle_timeout(at(secs));
        }
        let stale = |r: &Samples| r.cells.iter().any(|(_, c)| c.quality == Quality::Stale);
        assert!(!samples_of(&drain(&mut engine)).into_iter().any(stale));
    }

    #[test]
    fn a_point_never_read_has_no_time_although_it_is_stale() {
        let mut engine = started(&[0]);
        tick_through(&mut engine, 1, 40);
        let view = engine.snapshot(at(40)).devices[0].points[0];
        assert_eq!((view.reading, view.at), (Some(Reading::missing(Quality::Stale)), None));
    }

    #[test]
    fn a_device_that_goes_and_comes_is_two_events_however_often_it_is_tried() {
        let mut engine = started(&[0]);
        for (secs, state) in [(0, LinkState::Up), (1, down()), (2, down()), (4, down()), (8, LinkState::Up)] {
            engine.handle_event(link(0, secs, state), at(secs));
        }
        let ups: Vec<bool> = drain(&mut engine)
            .iter()
            .filter_map(|r| if let Body::Link { up, .. } = r.body { Some(up) } else { None })
            .collect();
        assert_eq!(ups, [true, false, true]);
    }

    #[test]
    fn coverage_comes_for_every_device_also_when_nothing_else_does() {
        let mut engine = started(&[0, 1]);
        for secs in 1..=60 {
            engine.handle_event(poll(0, secs, secs % 10 != 0), at(secs));
        }
        let records = tick_through(&mut engine, 61, 95);
        let of = |device| coverages(&records).into_iter().filter(|c| c.device == device).collect::<Vec<_>>();
        let heard = of(0);
        assert_eq!((heard[0].ok, heard[0].bad), (54, 6));
        assert_eq!(of(1)[0].ok, 0);
        assert!(of(1)[0].skipped > 0, "a reader of which nothing is heard is missed");
        for c in coverages(&records) {
            assert_eq!(c.due, c.ok + c.bad + c.skipped);
        }
    }

    #[test]
    fn a_class_of_which_nothing_is_heard_turns_stale_once() {
        let mut engine = started(&[0]);
        engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
        engine.handle_event(poll(0, 1, true), at(1));
        drain(&mut engine);
        let records = tick_through(&mut engine, 2, 40);
        let stale = samples_of(&records);
        assert_eq!(stale.len(), 1);
        assert!(stale[0].cells.iter().all(|(_, r)| r.quality == Quality::Stale && r.value.is_some()));
    }

    #[test]
    fn an_hourly_value_of_a_device_that_is_down_does_not_stand_as_good() {
        let mut plan = plan(1, &[0]);
        plan.devices[0].classes = vec![SECOND, SECOND * 3600];
        plan.devices[0].class_of = vec![0, 1];
        let mut engine = Engine::new(7, boot(), plan, at(0));
        engine.handle_event(link(0, 1, LinkState::Up), at(1));
        engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
        drain(&mut engine);
        let good = |engine: &Engine| {
            let points = engine.snapshot(at(99)).devices[0].points.clone();
            points.iter().filter(|p| p.reading.is_some_and(|r| r.quality == Quality::Good)).count()
        };
        // A break that is over soon.
        engine.handle_event(link(0, 2, down()), at(2));
        tick_through(&mut engine, 3, 9);
        engine.handle_event(link(0, 10, LinkState::Up), at(10));
        assert_eq!((samples_of(&tick_through(&mut engine, 10, 14)).len(), good(&engine)), (0, 2));
        // One that lasts, with each probe told, and each poll ended without asking.
        let mut records = Vec::new();
        for secs in 20..40 {
            engine.handle_event(link(0, secs, down()), at(secs));
            engine.handle_event(poll(0, secs, false), at(secs));
            records.extend(tick_through(&mut engine, secs, secs));
        }
        let told = samples_of(&records);
        assert_eq!((told.len(), good(&engine)), (1, 0), "once");
        assert!(told[0].cells.iter().map(|(o, r)| (*o, *r)).eq([0, 1].map(|o| (o, Reading::missing(Quality::Comm)))));
        // The next one is told as well.
        engine.handle_event(link(0, 41, LinkState::Up), at(41));
        engine.handle_event(sample(0, 41, &[1.0, 2.0]), at(41));
        assert_eq!(good(&engine), 2);
        tick_through(&mut engine, 42, 43);
        engine.handle_event(link(0, 44, down()), at(44));
        assert_eq!(samples_of(&tick_through(&mut engine, 45, 55)).len(), 1);
    }

    #[test]
    fn a_reload_keeps_what_stays_and_refuses_what_went() {
        let mut engine = started(&[0, 1]);
        engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
        engine.handle_event(sample(1, 1, &[1.0, 2.0]), at(1));
        drain(&mut engine);
        engine.handle_plan(plan(2, &[0, 5]), at(2));
        let records = drain(&mut engine);
        assert_eq!(coverages(&records).len(), 2, "what was counted is recorded");
        assert!(records.iter().filter(|r| matches!(r.body, Body::Coverage(_))).all(|r| r.stamp.rev == 1));
        assert!(records.iter().any(|r| matches!(r.body, Body::Registry { .. }) && r.stamp.rev == 2));
        engine.handle_event(sample(1, 3, &[9.0, 9.0]), at(3));
        assert_eq!((drain(&mut engine).len(), engine.totals().stale_events), (0, 1));
        assert!(engine.snapshot(at(3)).devices[0].points[0].reading.is_some());
    }

    #[test]
    fn a_step_of_the_clock_is_told_and_nothing_is_rewritten() {
        let mut engine = started(&[0]);
        engine.handle_timeout(at(1));
        let stepped = Now { wall: Timestamp(at(2).wall.0 + 3_600_000), ..at(2) };
        engine.handle_timeout(stepped);
        let records = drain(&mut engine);
        let Body::Clock(change) = records[0].body else { panic!("no clock record") };
        assert_eq!(change.offset_ms, 3_600_000);
        assert_eq!(tick_through(&mut engine, 2, 2).len(), 0, "told once");
    }

    #[test]
    fn a_step_is_told_before_the_first_record_stamped_after_it() {
        let mut engine = started(&[0]);
        engine.handle_timeout(at(1));
        let stepped = Now { mono: Mono::from_millis(1_200), wall: Timestamp(at(1).wall.0 + 90_000), ..at(1) };
        engine.handle_event(sample(0, 1, &[1.0, 2.0]), stepped);
        let records = drain(&mut engine);
        assert!(matches!(records[0].body, Body::Clock(c) if c.offset_ms == 89_800), "{:?}", records[0]);
        assert!(matches!(records[1].body, Body::Samples(_)));
    }

    #[test]
    fn gaining_trust_is_told_with_no_step() {
        let mut engine = Engine::new(1, boot(), plan(1, &[0]), Now { trust: ClockTrust::Unsynced, ..at(0) });
        drain(&mut engine);
        engine.handle_timeout(at(1));
        let Body::Clock(change) = drain(&mut engine)[0].body else { panic!("no clock record") };
        assert_eq!(change, ClockChange { from: ClockTrust::Unsynced, to: ClockTrust::Synced, offset_ms: 0 });
    }

    #[test]
    fn the_same_inputs_give_the_same_records() {
        let run = || {
            let mut engine = Engine::new(7, boot(), plan(1, &[0, 1]), at(0));
            for secs in 1..200 {
                engine.handle_event(sample(u32::from(secs % 3 == 0), secs, &[(secs % 7) as f64, 2.0]), at(secs));
                engine.handle_event(poll(0, secs, secs % 5 != 0), at(secs));
                engine.handle_timeout(at(secs));
            }
            drain(&mut engine)
        };
        assert_eq!(run(), run());
    }
}
