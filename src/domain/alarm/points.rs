//! What stands of the points that alarms look at, and who looks at which: a reading finds its cell in one step, and the
//! cell its watchers. A reading that says what the last one said ends there, and so does one of a point at rest.
//!
//! A point is at rest while none of its own alarms is open, its instrument does what it did, and one measurement after the other
//! lies so far from every limit that none of those who watch it could tell them apart:
//!
//! | watched | why it cannot |
//! |---|---|
//! | a limit, of gas too | below the limit by its deadband, the level is 0 whatever the switches say |
//! | quality, flat line, fault of a detector | they look at quality and state, which are the same |
//! | state of a detector, and how long it lasts | the state is the same; the bits that say more are points of their own |
//! | controller and gateway do not agree | the gateway measures no level, and is farther from it than deadband and margin: whether that is a difference is up to the bits |
//!
//! Delays that run are looked at by their own timers. An open alarm is shown its worst value, and so sees every reading. Where
//! anything else is watched (rates, deviations, digital and combined conditions, suppression), there is no rest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::super::instrument::InstrumentState;
use super::super::reading::{Quality, Reading};
use super::super::time::Mono;
use super::spec::{AlarmBook, AlarmSpec, Condition, Detector, PointRef, Reference, Side, Subject};

/// Who is to be asked again when a point says something new. The order is that of asking: what an instrument does, and
/// what is suppressed, is known before an alarm is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watcher {
    /// A detector, by index in the book.
    Detector(usize),
    /// The suppression of an alarm, by index in the book.
    Suppression(usize),
    /// An alarm, by index in the book.
    Alarm(usize),
}

/// What stands of one point: one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Cell {
    /// `None` until something was read, and after its device was lost.
    pub(super) reading: Option<Reading>,
    /// What its instrument was doing then, where a word tells it.
    pub(super) state: Option<InstrumentState>,
    /// When it was read.
    pub(super) at: Mono,
    /// Whether a reading counts that says the same again: where a change over time is watched.
    timed: bool,
    /// How many of the point's own alarms are not normal.
    open: u32,
    /// Between these, the ends not included, it may rest; nothing lies between them where something is watched that sees
    /// every change.
    rest: (f64, f64),
    /// Whether what stands lies there.
    rests: bool,
    watchers: Range<u32>,
}

const _: () = assert!(size_of::<Cell>() == 64);

/// Nothing lies between these.
const RESTLESS: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

impl Cell {
    /// Lets a reading stand. Returns whether that says something new.
    #[inline(always)]
    fn stand(&mut self, reading: &Reading, state: Option<InstrumentState>, at: Mono) -> bool {
        self.at = at;
        let rests = self.is_at_rest(reading);
        if rests && self.rests && self.open == 0 && self.state == state {
            self.reading = Some(*reading);
            return false;
        }
        if !self.timed && self.state == state && self.reading.as_ref() == Some(reading) {
            return false;
        }
        (self.reading, self.state, self.rests) = (Some(*reading), state, rests);
        true
    }

    /// Those of all watchers that look at this point.
    fn watchers_in<'w>(&self, all: &'w [Watcher]) -> &'w [Watcher] {
        let index = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        all.get(index(self.watchers.start)..index(self.watchers.end)).unwrap_or_default()
    }

    #[inline(always)]
    fn is_at_rest(&self, reading: &Reading) -> bool {
        let (low, high) = self.rest;
        let between = |value: f64| low < value && value < high;
        reading.quality == Quality::Good && reading.as_f64().is_some_and(between)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Points {
    /// By device and ordinal: cell + 1, 0 for none.
    by_device: Vec<Vec<u32>>,
    cells: Vec<Cell>,
    watchers: Vec<Watcher>,
    links: BTreeMap<usize, bool>,
    comm: BTreeMap<usize, Vec<usize>>,
}

impl Points {
    /// Returns the points of a book, of which nothing is known yet.
    pub(super) fn new(book: &AlarmBook) -> Self {
        let mut looks: BTreeMap<PointRef, (BTreeSet<Watcher>, bool)> = BTreeMap::new();
        let mut look = |at: PointRef, watcher: Watcher, timed: bool| {
            let entry = looks.entry(at).or_default();
            entry.0.insert(watcher);
            entry.1 |= timed;
        };
        let mut comm: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, spec) in book.alarms.iter().enumerate() {
            let timed = matches!(spec.condition, Condition::Rate { .. });
            inputs(spec, book).into_iter().for_each(|at| look(at, Watcher::Alarm(index), timed));
            if let Some(condition) = &spec.suppressed_when {
                look(condition.at, Watcher::Suppression(index), false);
            }
            if let (Condition::Comm, Subject::Device { index: device, .. }) = (&spec.condition, &spec.subject) {
                comm.entry(*device).or_default().push(index);
            }
        }
        for (index, _) in book.detectors.iter().enumerate() {
            detector_inputs(book, index).into_iter().for_each(|at| look(at, Watcher::Detector(index), false));
        }
        let mut points = Self { comm, ..Self::default() };
        for (at, (watchers, timed)) in looks {
            let rest = rest(at, &watchers, book).unwrap_or(RESTLESS);
            points.add(at, watchers, timed, rest);
        }
        points
    }

    fn add(&mut self, at: PointRef, watchers: BTreeSet<Watcher>, timed: bool, rest: (f64, f64)) {
        let end = |watchers: &[Watcher]| u32::try_from(watchers.len()).unwrap_or(u32::MAX);
        let from = end(&self.watchers);
        self.watchers.extend(watchers);
        let watchers = from..end(&self.watchers);
        let (reading, state, rests) = (None, None, false);
        self.cells.push(Cell { reading, state, at: Mono::default(), timed, open: 0, rest, rests, watchers });
        if self.by_device.len() <= at.device {
            self.by_device.resize_with(at.device + 1, Vec::new);
        }
        let Some(of_device) = self.by_device.get_mut(at.device) else { return };
        let ordinal = usize::from(at.ordinal);
        if of_device.len() <= ordinal {
            of_device.resize(ordinal + 1, 0);
        }
        if let Some(slot) = of_device.get_mut(ordinal) {
            *slot = u32::try_from(self.cells.len()).unwrap_or(0);
        }
    }

    fn index(&self, device: usize, ordinal: u16) -> Option<usize> {
        let slot = *self.by_device.get(device)?.get(usize::from(ordinal))?;
        usize::try_from(slot).ok()?.checked_sub(1)
    }

    /// Lets readings of a device stand. Adds the watchers to be asked to `asked`; none of a reading that says nothing new.
    #[inline]
    pub(super) fn stand<'r, I>(&mut self, device: usize, readings: I, at: Mono, asked: &mut Vec<Watcher>)
    where
        I: IntoIterator<Item = (u16, &'r Reading, Option<InstrumentState>)>,
    {
        let Some(of_device) = self.by_device.get(device).filter(|of_device| !of_device.is_empty()) else { return };
        for (ordinal, reading, state) in readings {
            let Some(slot) = of_device.get(usize::from(ordinal)) else { continue };
            let index = usize::try_from(*slot).ok().and_then(|slot| slot.checked_sub(1));
            let Some(cell) = index.and_then(|index| self.cells.get_mut(index)) else { continue };
            if cell.stand(reading, state, at) {
                asked.extend_from_slice(cell.watchers_in(&self.watchers));
            }
        }
    }

    /// Notes that an alarm of a point has left the normal state, or is back.
    pub(super) fn note_open(&mut self, at: PointRef, is_open: bool) {
        let cell = self.index(at.device, at.ordinal).and_then(|index| self.cells.get_mut(index));
        if let Some(cell) = cell {
            cell.open = if is_open { cell.open.saturating_add(1) } else { cell.open.saturating_sub(1) };
        }
    }

    /// Forgets which alarms are open.
    pub(super) fn close_all(&mut self) {
        self.cells.iter_mut().for_each(|cell| cell.open = 0);
    }

    /// Returns what stands of a point.
    pub(super) fn cell(&self, at: PointRef) -> Option<&Cell> {
        self.cells.get(self.index(at.device, at.ordinal)?)
    }

    /// Returns the reading that stands of a point.
    pub(super) fn reading(&self, at: PointRef) -> Option<Reading> {
        self.cell(at)?.reading
    }

    /// Returns the reading that stands of an alarm's own point.
    pub(super) fn reading_of(&self, spec: &AlarmSpec) -> Option<Reading> {
        self.reading(spec.subject.point()?)
    }

    /// Returns whether the device answers; `None` until it is known.
    pub(super) fn link(&self, device: usize) -> Option<bool> {
        self.links.get(&device).copied()
    }

    /// Notes whether a device answers. Returns the alarms that are about that. When it answers again, what stands of its
    /// points as lost is not known any more: the next reading says.
    pub(super) fn set_link(&mut self, device: usize, up: bool) -> Vec<usize> {
        let before = self.links.insert(device, up);
        if up && before == Some(false) {
            let of_device = self.by_device.get(device).into_iter().flatten();
            let cells: Vec<usize> = of_device.filter_map(|slot| usize::try_from(*slot).ok()?.checked_sub(1)).collect();
            for index in cells {
                let Some(cell) = self.cells.get_mut(index) else { continue };
                let lost = |reading: &Reading| matches!(reading.quality, Quality::Comm | Quality::Stale);
                cell.reading = cell.reading.filter(|reading| !lost(reading));
            }
        }
        self.comm.get(&device).cloned().unwrap_or_default()
    }
}

/// How near to a limit is near beside its deadband, as a share of it: a 32-bit float is compared as one, and rounds.
const NEAR: f64 = 1e-6;

/// Returns between which values nothing that watches this point can change; `None` where there is no such place.
fn rest(at: PointRef, watchers: &BTreeSet<Watcher>, book: &AlarmBook) -> Option<(f64, f64)> {
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for watcher in watchers {
        let spec = match watcher {
            Watcher::Detector(index) => {
                measures(at, *index, book)?;
                continue;
            }
            Watcher::Suppression(_) => return None,
            Watcher::Alarm(index) => book.alarms.get(*index).filter(|spec| spec.subject.point() == Some(at))?,
        };
        let margin = match spec.condition.detector() {
            Some(index) => measures(at, index, book)?.margin,
            None => 0.0,
        };
        // From each limit, how far away it is not near any more.
        let limits = || {
            spec.levels.iter().filter_map(|level| Some((level.limit?, level.deadband + margin))).map(|(limit, band)| {
                let rounding = (limit.abs() + band) * NEAR;
                (limit, band + rounding)
            })
        };
        match &spec.condition {
            Condition::High | Condition::Gas { side: Side::High, compare: true, .. } => {
                high = limits().map(|(limit, band)| limit - band).fold(high, f64::min);
            }
            Condition::Low | Condition::Gas { side: Side::Low, compare: true, .. } => {
                low = limits().map(|(limit, band)| limit + band).fold(low, f64::max);
            }
            Condition::Quality { .. }
            | Condition::Flatline
            | Condition::Gas { compare: false, .. }
            | Condition::GasFault { .. }
            | Condition::Disagreement { .. }
            | Condition::StateTooLong { .. } => {}
            Condition::Rate { .. }
            | Condition::Deviation { .. }
            | Condition::Digital { .. }
            | Condition::All { .. }
            | Condition::Comm
            | Condition::RollUp { .. }
            | Condition::Channel { .. }
            | Condition::External => return None,
        }
    }
    (low < high).then_some((low, high))
}

/// Returns a detector if this point is what it measures, and none of the bits that say more of it.
fn measures(at: PointRef, index: usize, book: &AlarmBook) -> Option<&Detector> {
    let detector = book.detectors.get(index).filter(|detector| detector.at == at)?;
    (!others(detector).any(|other| other == at)).then_some(detector)
}

/// The points by which an alarm is judged.
fn inputs(spec: &AlarmSpec, book: &AlarmBook) -> BTreeSet<PointRef> {
    let of_detector = spec.condition.detector().map(|index| detector_inputs(book, index));
    let mut inputs = of_detector.unwrap_or_default();
    if let Condition::Deviation { from: Reference::Point(other) } = &spec.condition {
        inputs.insert(*other);
    }
    if let Condition::All { conditions } = &spec.condition {
        inputs.extend(conditions.iter().map(|condition| condition.at));
    }
    inputs.extend(spec.subject.point());
    inputs
}

fn detector_inputs(book: &AlarmBook, index: usize) -> BTreeSet<PointRef> {
    let Some(detector) = book.detectors.get(index) else { return BTreeSet::new() };
    others(detector).chain([detector.at]).collect()
}

/// The points of a controller's bits.
fn others(detector: &Detector) -> impl Iterator<Item = PointRef> + '_ {
    let bits = detector.bits.iter().map(|bit| bit.when.at);
    bits.chain(detector.fault.iter().chain(&detector.inhibit).map(|condition| condition.at))
}
