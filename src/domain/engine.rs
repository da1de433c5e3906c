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
//! - Every reading that stands is judged by the alarms ([`super::danger`]) before report by exception, and what they order is
//!   given out by [`Engine::poll_order`], which is to be drained first.
//! - No record spans registry revisions: what was counted under the old one is recorded before the new one begins.
//! - A step of the wall clock, or a change of its trust, is a record of its own; stamps before it are never rewritten.

mod danger;
mod derivations;
mod device;
mod plan;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use self::danger::ACTIVE_SET_EVERY;
pub use self::plan::{Plan, PlanDevice};

use self::derivations::{Derivations, Due};
use self::device::{BySlot, Device};
use super::danger::Danger;
use super::daybook::{Delivery, Fact};
use super::field_event::{FieldEvent, GapNotice, LOST_AFTER, LinkChange, LinkState, Origin, Poll, Sample};
use super::id::DeviceSlot;
use super::judge::{Judge, Judged};
use super::output::{LoopTest, OutputWrite, WriteResult};
use super::reading::{Quality, Reading, Readings};
use super::record::{Basis, Body, Boot, ClockChange, Coverage, Mode, Record, Samples, SourceGap, Stamp, Stream};
use super::registry::{Commissioning, Registry};
use super::snapshot::{Snapshot, Totals};
use super::time::{Mono, Now, Timestamp};

/// How often each device's coverage is recorded: half of the 60 s that the feed promises, so that a late tick keeps it.
pub const COVERAGE_EVERY: Duration = Duration::from_secs(30);
/// How often the engine looks at the clock and at what it has not heard.
pub const TICK: Duration = Duration::from_secs(1);
/// A difference between wall and monotonic progress within one tick that is a step: NTP slews 0.5 ms in that time.
pub const CLOCK_STEP_MS: i64 = 500;

/// See the module.
#[derive(Debug)]
pub struct Engine {
    boot: u32,
    started: Mono,
    registry: Arc<Registry>,
    devices: Vec<Device>,
    by_slot: BySlot,
    derivations: Derivations,
    danger: Danger,
    next_active_set: Mono,
    /// Of the document that was polled last.
    delivery: Option<Delivery>,
    /// The start, until the daybook is told of it.
    booted: Option<Boot>,
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

impl Engine {
    /// Starts an engine: records the boot and the registry revision.
    pub fn new(boot: u32, boot_body: Boot, plan: Plan, now: Now) -> Self {
        let mut engine = Self {
            boot,
            started: now.mono,
            registry: plan.registry.clone(),
            devices: Vec::new(),
            by_slot: BySlot::default(),
            derivations: Derivations::default(),
            danger: Danger::new(plan.danger.clone(), &plan.registry, boot, now),
            next_active_set: now.mono + ACTIVE_SET_EVERY,
            delivery: None,
            booted: Some(boot_body.clone()),
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
        let danger = plan.danger.clone();
        self.install(plan, now);
        self.danger.install(danger, &self.registry, now);
        self.endanger_all(now);
    }

    /// Asks for full values and the active alarms, e.g. because the platform is back.
    pub fn handle_refresh(&mut self, now: Now) {
        self.look_at_clock(now);
        self.refresh(now);
        self.handle_active_set(now);
    }

    /// Takes one message of the field.
    pub fn handle_event(&mut self, mut event: FieldEvent, now: Now) {
        self.look_at_clock(now);
        match event {
            // Not moved: it is the largest there is, and the most frequent.
            FieldEvent::Sample(ref mut sample) => self.handle_sample(sample, now),
            FieldEvent::Poll(poll) => self.handle_poll(&poll, now),
            FieldEvent::Link(change) => self.handle_link(change, now),
            FieldEvent::Gap(gap) => self.handle_gap(*gap, now),
        }
    }

    /// Records the answer to a command.
    pub fn handle_answer(&mut self, json: String, now: Now) {
        self.push(Stream::Event, now, Body::Answer { json });
    }

    /// Records a write to an output, whatever became of it.
    pub fn handle_write(&mut self, write: OutputWrite, now: Now) {
        let done = write.result == WriteResult::Done;
        self.note(Fact::Output { output: write.output.clone(), done }, now);
        self.push(Stream::Event, now, Body::Write(Box::new(write)));
    }

    /// Records an engineer's loop test of a point.
    pub fn handle_loop_test(&mut self, test: LoopTest, now: Now) {
        self.push(Stream::Event, now, Body::LoopTest(Box::new(test)));
    }

    /// Records a kept revision once more, because the platform asked for it.
    pub fn handle_registry_again(&mut self, json: String, now: Now) {
        self.push(Stream::Registry, now, Body::Registry { json });
    }

    /// Returns when [`Engine::handle_timeout`] must next be called.
    pub fn poll_timeout(&self) -> Mono {
        self.next_tick.min(self.danger_timeout())
    }

    /// Lets time pass up to `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        self.danger_tick(now);
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
        self.outputs.pop_front().or_else(|| self.next_document())
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
            danger: self.danger.view(now),
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
                device.follow(spec.map_or(&[][..], |spec| &spec.points));
                // Spread over the period, so that two hundred devices do not report in one instant.
                let phase = COVERAGE_EVERY.mul_f64((i + 1) as f64 / n_devices as f64);
                device.coverage_due = now.mono + phase;
                device
            })
            .collect();
        self.by_slot = self.devices.iter().map(|device| device.slot).collect();
        self.derivations = Derivations::new(&self.registry);
        self.refresh(now);
    }

    fn refresh(&mut self, now: Now) {
        for index in 0..self.devices.len() {
            let Some(device) = self.devices.get_mut(index) else { continue };
            for (at, cells) in device.forget_reports(now.mono) {
                self.push_samples(index, cells, Told::POLLED, at, now);
            }
        }
    }

    fn handle_sample(&mut self, sample: &mut Sample, now: Now) {
        let Some((index, device)) = find(&self.by_slot, &mut self.devices, sample.slot) else {
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
            return self.stand(index, &mut sample.readings, sample.at, sample.origin, now);
        };
        let points = &device.points;
        let standing = |ordinal: u16| points.get(usize::from(ordinal)).and_then(|point| point.reading);
        let beside = judge.take(sample, standing);
        self.totals.states_unknown += judge.take_strange();
        self.stand_judged(index, beside.before, now);
        self.stand(index, &mut sample.readings, sample.at, sample.origin, now);
        self.stand_judged(index, beside.after, now);
    }

    fn stand_judged(&mut self, index: usize, judged: impl IntoIterator<Item = Judged>, now: Now) {
        for Judged { at, fresh, origin, mut readings } in judged {
            if fresh {
                self.stand(index, &mut readings, at, origin, now);
            } else {
                self.restate(index, readings, at, now);
            }
        }
    }

    /// Lets readings stand, and what is derived from them.
    fn stand(&mut self, index: usize, readings: &mut Readings, time: Mono, origin: Origin, now: Now) {
        let fed = self.derivations.fed_by(index, readings);
        self.stand_alone(index, readings, time, origin, now);
        if !fed.is_empty() {
            self.follow(fed, time, now);
        }
    }

    fn follow(&mut self, fed: Due, time: Mono, now: Now) {
        let devices = &self.devices;
        let point = |(device, ordinal): (usize, u16)| devices.get(device)?.points.get(usize::from(ordinal))?.reading;
        for (device, mut readings) in self.derivations.follow(fed, time, point) {
            self.stand_alone(device, &mut readings, time, Origin::Polled, now);
        }
    }

    /// Lets readings stand: they are counted, and reported if they are worth it. Danger sees all of them first; then the
    /// same cells, less those that are not worth it, are the record.
    fn stand_alone(&mut self, index: usize, readings: &mut Readings, time: Mono, origin: Origin, now: Now) {
        self.mark_stopped(index, readings);
        self.endanger(index, readings, time, now);
        let Some(Device { points, classes, .. }) = self.devices.get_mut(index) else { return };
        let (mut known, mut bad, mut heard) = (0_u64, 0_u64, None);
        keep(readings, |ordinal, reading| {
            let Some(point) = points.get_mut(usize::from(ordinal)) else { return false };
            point.reading = Some(*reading);
            point.at = Some(time);
            known = known.wrapping_add(1);
            bad = bad.wrapping_add(u64::from(!reading.has_value()));
            // Readings of one request are of one class, mostly.
            if heard != Some(point.class) {
                heard = Some(point.class);
                if let Some(class) = classes.get_mut(usize::from(point.class)) {
                    class.last_heard = now.mono;
                    class.sends |= origin != Origin::Polled;
                }
            }
            point.reporter.report(reading, time)
        });
        self.totals.readings += known - bad;
        self.totals.readings_bad += bad;
        if !readings.is_empty() {
            self.push_samples(index, std::mem::take(readings), origin.into(), time, now);
        }
    }

    /// Lets what stands be understood anew, without having been read again.
    fn restate(&mut self, index: usize, mut readings: Readings, time: Mono, now: Now) {
        let fed = self.derivations.fed_by(index, &readings);
        self.mark_stopped(index, &mut readings);
        self.endanger(index, &readings, time, now);
        let Some(Device { points, .. }) = self.devices.get_mut(index) else { return };
        keep(&mut readings, |ordinal, reading| {
            let Some(point) = points.get_mut(usize::from(ordinal)) else { return false };
            point.reading = Some(*reading);
            point.reporter.report(reading, time)
        });
        self.push_samples(index, readings, Told::POLLED, time, now);
        if !fed.is_empty() {
            self.follow(fed, time, now);
        }
    }

    /// What is read at a stopped point is no measurement, and its silence is no fault: it is told apart from both (rule 102).
    fn mark_stopped(&self, index: usize, readings: &mut [(u16, Reading)]) {
        let device = self.devices.get(index).filter(|device| device.stops);
        let Some(spec) = device.and_then(|_| self.registry.devices.get(index)) else { return };
        for (ordinal, reading) in readings {
            if spec.points.get(usize::from(*ordinal)).is_some_and(|point| point.commissioning.is_stopped()) {
                reading.quality = Quality::Stopped;
            }
        }
    }

    fn handle_gap(&mut self, gap: GapNotice, now: Now) {
        let Some((index, _)) = find(&self.by_slot, &mut self.devices, gap.slot) else {
            self.totals.stale_events += 1;
            return;
        };
        let GapNotice { at, points, from, to, reason, .. } = gap;
        let body = Body::SourceGap(SourceGap { device: index_of(index), points, from, to, reason });
        self.push_at(Stream::Telemetry, at, now, body);
    }

    fn handle_poll(&mut self, poll: &Poll, now: Now) {
        let Some((index, device)) = find(&self.by_slot, &mut self.devices, poll.slot) else {
            self.totals.stale_events += 1;
            return;
        };
        let judged = device.judge.as_mut().map(|judge| judge.poll_ended(poll.class)).unwrap_or_default();
        let Some(class) = device.classes.get_mut(usize::from(poll.class)) else { return };
        let new = class.account.take(poll);
        class.last_heard = now.mono;
        class.stale = false;
        if poll.ok && class.sends {
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
        let Some((index, device)) = find(&self.by_slot, &mut self.devices, change.slot) else {
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
            self.danger.handle_link(index, is_up, now);
        }
    }

    fn mark_stale(&mut self, index: usize, now: Now) {
        let Some(device) = self.devices.get_mut(index) else { return };
        let silent = device.newly_silent(now.mono);
        if silent.is_empty() {
            return;
        }
        let points = || (0_u16..).zip(&device.points);
        let stale: Readings = points()
            .filter(|(_, point)| silent.contains(&point.class))
            .map(|(o, p)| (o, Reading::new(p.reading.and_then(|r| r.value()), Quality::Stale)))
            .collect();
        let silent = stale.iter().map(|(ordinal, _)| *ordinal).collect();
        let standing = |ordinal: u16| device.points.get(usize::from(ordinal)).and_then(|point| point.reading);
        let anew = device.judge.as_mut().map(|judge| judge.silent(&silent, now.mono, standing)).unwrap_or_default();
        self.restate(index, stale, now.mono, now);
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
        let mut all = Readings::with_capacity(device.points.len());
        for (ordinal, point) in (0_u16..).zip(&mut device.points).filter(|(_, point)| point.reading != Some(missing)) {
            point.at = Some(now.mono);
            all.push((ordinal, missing));
        }
        if let Some(judge) = &mut device.judge {
            // Whatever the words said is over; every point is `comm` anyway.
            let ordinals = (0_u16..).zip(&device.points).map(|(ordinal, _)| ordinal).collect();
            drop(judge.silent(&ordinals, now.mono, |_| Some(missing)));
        }
        self.restate(index, all, now.mono, now);
    }

    fn record_coverage(&mut self, index: usize, now: Now) {
        let Some(device) = self.devices.get_mut(index) else { return };
        let new = device.counts_since_coverage(now.mono);
        let from = device.coverage_from.wall;
        let span = now.mono.since(device.coverage_from.mono);
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
        self.note_coverage(&coverage, span, now);
        self.push(Stream::Telemetry, now, Body::Coverage(coverage));
    }

    #[inline]
    fn look_at_clock(&mut self, now: Now) {
        // What came in one turn comes at one time.
        if now != self.last_look {
            self.look_at_clocks(now);
        }
    }

    fn look_at_clocks(&mut self, now: Now) {
        let last = std::mem::replace(&mut self.last_look, now);
        let elapsed = now.mono.since(last.mono);
        let elapsed_ms = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000);
        let elapsed_ms = elapsed_ms.saturating_add(i64::from(elapsed.subsec_millis()));
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

    fn push_samples(&mut self, index: usize, cells: Readings, told: Told, at: Mono, now: Now) {
        if cells.is_empty() {
            return;
        }
        self.totals.values_recorded += cells.len() as u64;
        let Told { basis, t, historical } = told;
        let of_mode =
            |mode, cells| Body::Samples(Samples { device: index_of(index), basis, t, historical, mode, cells });
        if !self.devices.get(index).is_some_and(|device| device.commissions) {
            return self.push_at(Stream::Telemetry, at, now, of_mode(Mode::Real, cells));
        }
        let (real, commissioning) = self.by_mode(index, cells);
        for (mode, cells) in [(Mode::Real, real), (Mode::Commissioning, commissioning)] {
            if !cells.is_empty() {
                self.push_at(Stream::Telemetry, at, now, of_mode(mode, cells));
            }
        }
    }

    /// A record has one mode: what is still being commissioned travels apart, so that no test value passes for real.
    fn by_mode(&self, index: usize, cells: Readings) -> (Readings, Readings) {
        let points = self.registry.devices.get(index).map_or(&[][..], |d| &d.points);
        let is_real = |(ordinal, _): &(u16, Reading)| {
            points.get(usize::from(*ordinal)).is_none_or(|p| p.commissioning != Commissioning::Commissioning)
        };
        if cells.iter().all(is_real) { (cells, Readings::new()) } else { cells.into_iter().partition(is_real) }
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

/// Leaves the cells that are wanted, in their order: `Vec::retain`, but in one loop, into which the question is built.
#[inline(always)]
fn keep(cells: &mut Readings, mut is_wanted: impl FnMut(u16, &Reading) -> bool) {
    let mut kept = 0;
    let all = cells.as_mut_slice();
    for at in 0..all.len() {
        let Some(cell) = all.get(at).copied().filter(|(ordinal, reading)| is_wanted(*ordinal, reading)) else {
            continue;
        };
        if let Some(place) = all.get_mut(kept) {
            *place = cell;
        }
        kept += 1;
    }
    cells.truncate(kept);
}

#[inline]
fn find<'a>(by_slot: &BySlot, devices: &'a mut [Device], slot: DeviceSlot) -> Option<(usize, &'a mut Device)> {
    let index = by_slot.find(slot)?;
    Some((index, devices.get_mut(index)?))
}

/// INVARIANT: the configuration admits at most 65,536 devices, and points per device.
fn index_of(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod tests;
