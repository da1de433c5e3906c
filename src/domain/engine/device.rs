//! What the engine remembers of one device: its connection, its poll classes, its points as they stand.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::coverage::{ClassAccount, Counts};
use super::super::field_event::LinkState;
use super::super::id::DeviceSlot;
use super::super::judge::Judge;
use super::super::reading::{Quality, Reading, Readings};
use super::super::registry::{Commissioning, PointSpec};
use super::super::report::Reporter;
use super::super::snapshot::{ClassView, DeviceView, PointView};
use super::super::time::{Mono, Now};
use super::{COVERAGE_EVERY, PlanDevice, index_of};

/// Intervals without any word of a class before its points are stale; at least [`STALE_AT_LEAST`].
const STALE_INTERVALS: u32 = 3;
/// Points polled more rarely than this are repeated at a refresh instead of waited for.
const SLOW_ABOVE: Duration = Duration::from_secs(10);
/// See [`STALE_INTERVALS`]: longer than the longest sensible request timeout.
const STALE_AT_LEAST: Duration = Duration::from_secs(15);

/// One device: what every sample asks for is in one cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Device {
    pub(super) points: Vec<Point>,
    pub(super) classes: Vec<Class>,
    pub(super) judge: Option<Box<Judge>>,
    pub(super) slot: DeviceSlot,
    /// Whether any of its points is stopped.
    pub(super) stops: bool,
    /// Whether any of its points is still being commissioned.
    pub(super) commissions: bool,
    /// Whether its points have been marked since it went down.
    pub(super) lost: bool,
    pub(super) link: LinkState,
    pub(super) link_since: Option<Mono>,
    pub(super) coverage_from: Now,
    pub(super) coverage_due: Mono,
    pub(super) covered: Counts,
}

/// One of its poll classes: three cache lines.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Class {
    pub(super) account: ClassAccount,
    pub(super) last_heard: Mono,
    /// Longer than this nothing is heard of it only if something is wrong.
    patience: Duration,
    pub(super) stale: bool,
    /// Whether its source sends by itself what changes; what is polled says each time all there is.
    pub(super) sends: bool,
}

/// One of its points: one cache line, because every reading asks for it.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Point {
    pub(super) class: u8,
    pub(super) reading: Option<Reading>,
    /// When a device last gave a reading.
    pub(super) at: Option<Mono>,
    pub(super) reporter: Reporter,
}

impl Device {
    /// Returns a device of which nothing was heard yet.
    pub(super) fn new(plan: &PlanDevice, now: Now) -> Self {
        let class = |interval: &Duration| Class {
            account: ClassAccount::new(*interval, now.mono),
            patience: (*interval * STALE_INTERVALS).max(STALE_AT_LEAST),
            last_heard: now.mono,
            stale: false,
            sends: false,
        };
        let point = |class: &u8| Point { class: *class, reading: None, at: None, reporter: Reporter::default() };
        let is_computed = plan.classes.is_empty() && !plan.class_of.is_empty();
        Self {
            slot: plan.slot,
            // Points without poll classes are computed: nothing connects to them.
            link: if is_computed { LinkState::Up } else { LinkState::Connecting },
            link_since: None,
            lost: false,
            classes: plan.classes.iter().map(class).collect(),
            points: plan.class_of.iter().map(point).collect(),
            stops: false,
            commissions: false,
            judge: None,
            coverage_from: now,
            coverage_due: now.mono + COVERAGE_EVERY,
            covered: Counts::default(),
        }
    }

    /// Takes over what its points mean; the next reading of each is a report.
    pub(super) fn follow(&mut self, specs: &[PointSpec]) {
        self.stops = specs.iter().any(|spec| spec.commissioning.is_stopped());
        self.commissions = specs.iter().any(|spec| spec.commissioning == Commissioning::Commissioning);
        for (point, spec) in self.points.iter_mut().zip(specs) {
            point.reporter.follow(spec);
            if let Some(reading) = point.reading.as_mut().filter(|_| spec.commissioning.is_stopped()) {
                reading.quality = Quality::Stopped;
            }
        }
    }

    /// Takes over how its readings are judged; what was seen so far stays.
    pub(super) fn judge_by(&mut self, mut judge: Option<Box<Judge>>) {
        if let (Some(new), Some(old)) = (&mut judge, &self.judge) {
            new.carry(old);
        }
        self.judge = judge;
    }

    /// Makes the next reading of every point a report. Returns, by time, what stands of the points that would keep the
    /// platform waiting: those polled rarely, and those that are stale.
    pub(super) fn forget_reports(&mut self, now: Mono) -> BTreeMap<Mono, Readings> {
        let mut standing: BTreeMap<Mono, Readings> = BTreeMap::new();
        for (ordinal, point) in self.points.iter_mut().enumerate() {
            point.reporter.forget();
            let Some(class) = self.classes.get(usize::from(point.class)) else { continue };
            let Some(reading) = point.reading.filter(|_| class.stale || class.account.interval() > SLOW_ABOVE) else {
                continue;
            };
            let at = point.at.filter(|_| !class.stale).unwrap_or(now);
            point.reporter.report(&reading, at);
            standing.entry(at).or_default().push((index_of(ordinal), reading));
        }
        standing
    }

    /// Returns the classes of which nothing was heard for too long and that were not yet known to be stale.
    pub(super) fn newly_silent(&mut self, now: Mono) -> Vec<u8> {
        let mut silent = Vec::new();
        for (i, class) in self.classes.iter_mut().enumerate() {
            if !class.stale && now.since(class.last_heard) > class.patience {
                class.stale = true;
                silent.extend(u8::try_from(i));
            }
        }
        silent
    }

    /// Returns what was counted since the last coverage record.
    pub(super) fn counts_since_coverage(&mut self, now: Mono) -> Counts {
        let mut total = Counts::default();
        for class in &mut self.classes {
            class.account.expire(now);
            let counts = class.account.counts();
            total.ok += counts.ok;
            total.bad += counts.bad;
            total.skipped += counts.skipped;
        }
        let new = total.since(&self.covered);
        self.covered = total;
        new
    }

    /// Returns what stands, for the page.
    pub(super) fn view(&self) -> DeviceView {
        DeviceView {
            slot: self.slot,
            link: self.link.clone(),
            link_since: self.link_since,
            classes: self.classes.iter().map(|c| class_view(&c.account)).collect(),
            points: (0_u16..).zip(&self.points).map(|(ordinal, point)| self.view_of(ordinal, point)).collect(),
        }
    }
}

impl Device {
    fn view_of(&self, ordinal: u16, point: &Point) -> PointView {
        let state = self.judge.as_ref().and_then(|judge| judge.state(ordinal));
        PointView { reading: point.reading, at: point.at, state }
    }
}

fn class_view(account: &ClassAccount) -> ClassView {
    let counts = account.counts();
    let percentiles = account.percentiles();
    ClassView {
        interval: account.interval(),
        p50: percentiles.map(|[p50, ..]| p50),
        p95: percentiles.map(|[_, p95, _]| p95),
        p99: percentiles.map(|[.., p99]| p99),
        worst_late: account.worst_late(),
        due: counts.due(),
        ok: counts.ok,
        bad: counts.bad,
        skipped: counts.skipped,
    }
}

/// Which device has which slot, found in one step: index + 1 from the lowest slot on, 0 for none. Slots are given one after the
/// other, so that this has no more places than slots were ever given.
#[derive(Debug, Default)]
pub(super) struct BySlot {
    lowest: u32,
    indices: Vec<u32>,
}

impl BySlot {
    /// Returns the index of the device in the registry.
    #[inline]
    pub(super) fn find(&self, slot: DeviceSlot) -> Option<usize> {
        let at = usize::try_from(slot.0.checked_sub(self.lowest)?).ok()?;
        usize::try_from(*self.indices.get(at)?).ok()?.checked_sub(1)
    }
}

impl FromIterator<DeviceSlot> for BySlot {
    /// The slots of the devices, in their order.
    fn from_iter<I: IntoIterator<Item = DeviceSlot>>(slots: I) -> Self {
        let slots: Vec<u32> = slots.into_iter().map(|slot| slot.0).collect();
        let (Some(lowest), Some(highest)) = (slots.iter().min(), slots.iter().max()) else { return Self::default() };
        let mut indices = vec![0; usize::try_from(highest - lowest).map_or(0, |last| last + 1)];
        for (slot, index) in slots.iter().zip(1_u32..) {
            let at = usize::try_from(slot - lowest).ok();
            if let Some(place) = at.and_then(|at| indices.get_mut(at)) {
                *place = index;
            }
        }
        Self { lowest: *lowest, indices }
    }
}

const _: () = assert!(size_of::<Point>() == 64 && size_of::<(u16, Reading)>() == 12);
