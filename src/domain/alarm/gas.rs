//! Gas by GB/T 50493 and GB 16808 (`domain.md` A10, rules 80 to 90).
//!
//! The controller's own alarm bits raise the alarm, whatever the value says; the gateway's comparison is the second opinion;
//! the higher of both counts, and a difference that lasts is an alarm of its own. Every reading is judged, none delayed.
//!
//! | instrument | controller's bits | value |
//! |---|---|---|
//! | monitoring | count | counts; over range it is at the highest level, below the range it clears nothing |
//! | state word without a name | count | raises, clears nothing |
//! | fault | count | clears nothing; the fault is an alarm |
//! | inhibited, maintenance, warm-up, bump test, calibration, simulation | say nothing | says nothing: what stood, stands |
//! | silent | as they were last told, clear nothing | clears nothing; the silence is an alarm |
//!
//! A state word in another request than the bits, or bits in another poll class, may come after the gas from the bottle:
//! give the bits the same state word (`state_of`), then a bit that was read in calibration is no measurement either.
//! Nothing here writes to a controller: a reset here is not a reset there (rule 87).

use std::sync::Arc;
use std::time::Duration;

use super::super::instrument::InstrumentState;
use super::super::reading::{Quality, Reading};
use super::super::time::{Mono, Timestamp};
use super::condition::{Scene, holds, level_of, quality, top};
use super::instance::Lasting;
use super::points::Points;
use super::settle::{Switches, Verdict};
use super::spec::{AlarmBook, AlarmSpec, Condition, Detector, Side};

/// Returns the watches of a book, of which nothing is known yet.
pub(super) fn watches(book: &AlarmBook, now: Mono) -> Vec<Watch> {
    let mut compared = vec![Vec::new(); book.detectors.len()];
    for (index, spec) in book.alarms.iter().enumerate() {
        if let Condition::Gas { detector, compare: true, .. } = spec.condition
            && let Some(of_detector) = compared.get_mut(detector)
        {
            of_detector.push(index);
        }
    }
    compared.into_iter().map(|compared| Watch::new(compared.into(), now)).collect()
}

/// What is remembered of one instrument.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Watch {
    /// What it is doing.
    pub(super) state: InstrumentState,
    /// Since when, by the clock that rules.
    pub(super) since: Lasting,
    /// Since when, to be told; `None` while it has been so from the beginning.
    pub(super) told: Option<Timestamp>,
    /// Highest level of the controller's bits in this state; `None` while none of them was read.
    pub(super) seen: Option<u8>,
    /// Highest level that the value has reached since both were quiet, by side: high, low.
    pub(super) agreed: [u8; 2],
    /// Indices of the gas alarms whose values are compared.
    compared: Arc<[usize]>,
}

impl Watch {
    /// Returns the watch of an instrument of which nothing is known.
    pub(super) fn new(compared: Arc<[usize]>, now: Mono) -> Self {
        Self {
            compared,
            state: InstrumentState::Monitoring,
            since: Lasting::from(now),
            told: None,
            seen: None,
            agreed: [0; 2],
        }
    }

    /// Takes over what was watched under an earlier configuration.
    pub(super) fn carry(&mut self, old: Self) {
        *self = Self { compared: Arc::clone(&self.compared), ..old };
    }

    /// Looks at what stands. Returns the watch before, where the instrument does something else now.
    pub(super) fn look(&mut self, detector: &Detector, points: &Points, now: (Mono, Timestamp)) -> Option<Self> {
        let before = state_of(detector, points).filter(|state| *state != self.state).map(|state| {
            let fresh = Self {
                state,
                since: Lasting::from(now.0),
                told: Some(now.1),
                ..Self::new(Arc::clone(&self.compared), now.0)
            };
            std::mem::replace(self, fresh)
        });
        if let Some(level) = [Side::High, Side::Low].into_iter().filter_map(|side| bits(detector, side, points).0).max()
        {
            self.seen = Some(self.seen.map_or(level, |seen| seen.max(level)));
        }
        before
    }
}

/// Whether what an instrument gives in this state tells of the air.
fn tells(state: InstrumentState) -> bool {
    match state {
        InstrumentState::Monitoring | InstrumentState::Unknown | InstrumentState::Fault => true,
        InstrumentState::Inhibited
        | InstrumentState::Maintenance
        | InstrumentState::WarmUp
        | InstrumentState::BumpTest
        | InstrumentState::Calibration
        | InstrumentState::Simulation => false,
    }
}

/// What an instrument is doing, by its state word and the controller's inhibit bits; `None` while nobody says.
fn state_of(detector: &Detector, points: &Points) -> Option<InstrumentState> {
    let inhibited = detector.inhibit.iter().any(|bit| holds(bit, points) == Some(true));
    let cell = points.cell(detector.at);
    let silent = |reading: Reading| matches!(reading.quality, Quality::Comm | Quality::Stale);
    let word = cell.filter(|cell| cell.reading.is_some_and(|r| !silent(r))).map(|cell| cell.state);
    match (word, inhibited) {
        (Some(state), false) => Some(state.unwrap_or(InstrumentState::Monitoring)),
        (Some(state), true) => Some(state.unwrap_or(InstrumentState::Inhibited).max(InstrumentState::Inhibited)),
        (None, true) => Some(InstrumentState::Inhibited),
        (None, false) => None,
    }
}

/// The level of the controller's bits of one side, by those that were read, and whether all of them were.
fn bits(detector: &Detector, side: Side, points: &Points) -> (Option<u8>, bool) {
    let mut level = None;
    let mut all = true;
    for bit in detector.bits.iter().filter(|bit| bit.side == side) {
        match holds(&bit.when, points) {
            Some(on) => level = level.max(Some(if on { bit.level } else { 0 })),
            None => all = false,
        }
    }
    (level, all)
}

/// Judges a condition that is about gas. `None` for the others.
pub(super) fn judge(scene: &Scene<'_>, book: &AlarmBook, watches: &mut [Watch]) -> Option<Verdict> {
    let index = scene.spec.condition.detector()?;
    let (detector, watch) = (book.detectors.get(index)?, watches.get_mut(index)?);
    let condition = &scene.spec.condition;
    if let Condition::Gas { side, compare, .. } = condition {
        Some(gas(scene, detector, watch, *side, *compare))
    } else if let Condition::GasFault { .. } = condition {
        Some(fault(scene, detector, watch))
    } else if let Condition::Disagreement { .. } = condition {
        Some(disagreement(scene, book, index, watch))
    } else if let Condition::StateTooLong { limits, .. } = condition {
        Some(too_long(watch, limits))
    } else {
        None
    }
}

/// Whether the instrument has been in its state for longer than this may last.
fn too_long(watch: &Watch, limits: &[(InstrumentState, Duration)]) -> Verdict {
    let limit = limits.iter().find(|(state, _)| *state == watch.state).map(|(_, limit)| *limit);
    match limit {
        Some(limit) => Verdict { lasting: Some((watch.since.at, watch.since.left(limit))), ..Verdict::at(1) },
        None => Verdict::at(0),
    }
}

fn gas(scene: &Scene<'_>, detector: &Detector, watch: &Watch, side: Side, compare: bool) -> Verdict {
    if !tells(watch.state) {
        return Verdict::UNKNOWN;
    }
    let (told, all_told) = bits(detector, side, scene.points);
    let told = told.unwrap_or(0).min(top(&scene.spec.levels));
    let reading = scene.points.reading(detector.at);
    if !compare {
        // Wherever the controller's set points lie, what is over the range is beyond them (rule 88).
        let is_over = side == Side::High && reading.is_some_and(|reading| reading.quality == Quality::OverRange);
        let level = if is_over { top(&scene.spec.levels) } else { told };
        return Verdict { level, certain: all_told && !is_over, lasting: None };
    }
    let measured = by_value(scene.spec, detector, side, reading, scene.on);
    Verdict { level: told.max(measured.level), certain: all_told && measured.certain, lasting: None }
}

/// Whether a reading below the range is one of clean air all the same: the signal swings around its zero.
fn swings(detector: &Detector, reading: Reading) -> bool {
    reading.quality == Quality::UnderRange && reading.as_f64().is_some_and(|value| value >= detector.drift)
}

fn by_value(spec: &AlarmSpec, detector: &Detector, side: Side, reading: Option<Reading>, on: &Switches) -> Verdict {
    let Some(reading) = reading else { return Verdict::UNKNOWN };
    let level = |value| level_of(&spec.levels, side, value, on);
    match (reading.quality, reading.value(), side) {
        (Quality::Good, Some(value), _) => Verdict::at(level(value)),
        (Quality::UnderRange, Some(value), Side::High) if swings(detector, reading) => Verdict::at(level(value)),
        (Quality::OverRange, _, Side::High) | (Quality::UnderRange, _, Side::Low) => {
            Verdict::at_least(top(&spec.levels))
        }
        (Quality::Suspect, Some(value), _) => Verdict::at_least(level(value)),
        _ => Verdict::UNKNOWN,
    }
}

fn fault(scene: &Scene<'_>, detector: &Detector, watch: &Watch) -> Verdict {
    let told = |on: bool| detector.fault.iter().any(|bit| holds(bit, scene.points) == Some(on));
    if told(true) || watch.state == InstrumentState::Fault {
        return Verdict::at(1);
    }
    let all_told = detector.fault.iter().all(|bit| holds(bit, scene.points).is_some());
    let cell = scene.points.cell(detector.at);
    match quality(scene, cell) {
        Some(Quality::UnderRange) if cell.and_then(|cell| cell.reading).is_some_and(|it| swings(detector, it)) => {
            if all_told {
                Verdict::at(0)
            } else {
                Verdict::UNKNOWN
            }
        }
        Some(Quality::Comm | Quality::Stale | Quality::Sensor | Quality::Suspect | Quality::UnderRange) => {
            Verdict::at(1)
        }
        Some(Quality::Good | Quality::OverRange) if all_told => Verdict::at(0),
        Some(_) | None => Verdict::UNKNOWN,
    }
}

/// Compares both opinions over all gas alarms of the detector. Only what is measured, while it is measured, can differ.
fn disagreement(scene: &Scene<'_>, book: &AlarmBook, index: usize, watch: &mut Watch) -> Verdict {
    let Some(detector) = book.detectors.get(index) else { return Verdict::UNKNOWN };
    let reading = scene.points.reading(detector.at);
    if watch.state != InstrumentState::Monitoring {
        return Verdict::UNKNOWN;
    }
    let mut verdict = Verdict::at(0);
    for gas in Arc::clone(&watch.compared).iter().filter_map(|index| book.alarms.get(*index)) {
        let Condition::Gas { side, .. } = gas.condition else { continue };
        match differ(gas, detector, side, reading, scene.points, watch) {
            Some(false) => {}
            Some(true) => return Verdict::at(1),
            None => verdict = Verdict::UNKNOWN,
        }
    }
    verdict
}

/// Whether controller and value differ on one side; `None` while one of them is silent.
fn differ(
    gas: &AlarmSpec,
    detector: &Detector,
    side: Side,
    reading: Option<Reading>,
    points: &Points,
    watch: &mut Watch,
) -> Option<bool> {
    let (Some(told), true) = bits(detector, side, points) else { return None };
    let verdict = by_value(gas, detector, side, reading, &Switches::default());
    let over = reading.is_some_and(|reading| reading.quality == Quality::OverRange) && verdict.level > 0;
    let measured = if verdict.certain || over { verdict.level } else { return None };
    let agreed = watch.agreed.get_mut(usize::from(side == Side::Low))?;
    *agreed = if told == 0 && measured == 0 { 0 } else { (*agreed).max(measured) };
    let value = reading?.as_f64();
    let may_differ = gas.levels.iter().zip(1_u8..).any(|(level, n)| {
        let Some((limit, value)) = level.limit.zip(value) else { return over && told < n };
        // How far beyond the limit, and how far behind it, the value is.
        let beyond = if side == Side::High { value - limit } else { limit - value };
        let value_says = measured >= n && (over || beyond >= detector.margin);
        let value_denies = measured < n && -beyond > detector.margin + level.deadband;
        let latched = detector.bits_latch && *agreed >= n;
        (told < n && value_says) || (told >= n && value_denies && !latched)
    });
    Some(may_differ)
}
