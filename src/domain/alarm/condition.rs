//! What the points say of an alarm, by its condition: each limit with its deadband, each rate over its window. Gas stands in
//! `gas.rs`. Only a measurement raises or clears, with two exceptions: beyond the range a value is beyond every limit on
//! that side, and what is suspect may raise gas (there it says so).

use std::collections::VecDeque;
use std::time::Duration;

use super::super::instrument::InstrumentState;
use super::super::reading::{Quality, Reading, Value};
use super::super::time::Mono;
use super::ask::{PointCondition, at_least, at_most};
use super::points::{Cell, Points};
use super::settle::{Switches, Verdict};
use super::spec::{AlarmSpec, Change, Condition, Level, Reference, Side, Subject};

/// Samples kept of a rate's window; beyond it every second one goes. A rate over a window needs its ends, not its middle.
const WINDOW_SAMPLES: usize = 64;

/// What was measured of late, for a rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Window(VecDeque<(Mono, f64)>);

impl Window {
    /// Takes a measurement; returns the change per minute over the window, `None` while it is not full.
    fn take(&mut self, at: Mono, value: f64, window: Duration) -> Option<f64> {
        let samples = &mut self.0;
        if samples.back().is_none_or(|(last, _)| *last < at) {
            samples.push_back((at, value));
        }
        let newest = samples.back().copied()?;
        // The first sample is the last one that is not younger than the window.
        while samples.get(1).is_some_and(|(second, _)| newest.0.since(*second) >= window) {
            samples.pop_front();
        }
        if samples.len() > WINDOW_SAMPLES {
            let mut nth = 0;
            samples.retain(|_| {
                nth += 1;
                nth % 2 == 1 || nth > WINDOW_SAMPLES
            });
        }
        let oldest = samples.front().copied()?;
        let span = newest.0.since(oldest.0);
        (span >= window && !span.is_zero()).then(|| (newest.1 - oldest.1) / span.as_secs_f64() * 60.0)
    }
}

/// What a condition that is not about gas is judged by.
pub(super) struct Scene<'a> {
    pub(super) spec: &'a AlarmSpec,
    pub(super) points: &'a Points,
    /// Which levels are on: they are left only beyond the deadband.
    pub(super) on: &'a Switches,
    /// Of channels and external conditions: the level, where somebody has told it.
    pub(super) told: Option<u8>,
}

/// Judges a condition; of gas it knows nothing.
pub(super) fn judge(scene: &Scene<'_>, window: &mut Window) -> Verdict {
    let cell = scene.spec.subject.point().and_then(|at| scene.points.cell(at));
    match &scene.spec.condition {
        Condition::High => limit(scene, cell, Side::High),
        Condition::Low => limit(scene, cell, Side::Low),
        Condition::Rate { window: span, change } => rate(scene, cell, *span, *change, window),
        Condition::Deviation { from } => deviation(scene, cell, *from),
        Condition::Digital { test } => Verdict::of(cell.and_then(|cell| cell.reading).and_then(|r| test.of(r))),
        Condition::All { conditions } => Verdict::of(all(conditions, scene.points)),
        Condition::Quality { of } => match quality(scene, cell) {
            Some(quality) if of.contains(&quality) && quality != Quality::Good => Verdict::at(1),
            Some(Quality::Good | Quality::OverRange | Quality::UnderRange) => Verdict::at(0),
            Some(_) | None => Verdict::UNKNOWN,
        },
        Condition::Flatline => flatline(scene, cell),
        Condition::Comm => match scene.spec.subject {
            Subject::Device { index, .. } => Verdict::of(scene.points.link(index).map(|up| !up)),
            Subject::Point { .. } | Subject::Gateway => Verdict::UNKNOWN,
        },
        Condition::RollUp { .. } | Condition::Channel { .. } | Condition::External => {
            scene.told.map_or(Verdict::UNKNOWN, Verdict::at)
        }
        Condition::Gas { .. }
        | Condition::GasFault { .. }
        | Condition::Disagreement { .. }
        | Condition::StateTooLong { .. } => Verdict::UNKNOWN,
    }
}

/// Returns the level that a value has reached. A level that is on is left only beyond its deadband.
pub(super) fn level_of(levels: &[Level], side: Side, value: Value, on: &Switches) -> u8 {
    let reached = |(index, level): (usize, &Level)| {
        let n = index + 1;
        let limit = level.limit?;
        let band = if on.is_on(n) { level.deadband } else { 0.0 };
        let is_in = match side {
            Side::High if band > 0.0 => value.as_f64() > limit - band,
            Side::High => at_least(value, limit),
            Side::Low if band > 0.0 => value.as_f64() < limit + band,
            Side::Low => at_most(value, limit),
        };
        is_in.then(|| u8::try_from(n).unwrap_or(u8::MAX))
    };
    levels.iter().enumerate().filter_map(reached).max().unwrap_or(0)
}

/// The highest level.
pub(super) fn top(levels: &[Level]) -> u8 {
    u8::try_from(levels.len()).unwrap_or(u8::MAX)
}

fn limit(scene: &Scene<'_>, cell: Option<&Cell>, side: Side) -> Verdict {
    let Some(reading) = cell.and_then(|cell| cell.reading) else { return Verdict::UNKNOWN };
    let levels = &scene.spec.levels;
    match (reading.quality, reading.value(), side) {
        (Quality::Good, Some(value), _) => Verdict::at(level_of(levels, side, value, scene.on)),
        (Quality::OverRange, _, Side::High) | (Quality::UnderRange, _, Side::Low) => Verdict::at_least(top(levels)),
        _ => Verdict::UNKNOWN,
    }
}

fn measured(reading: Option<Reading>) -> Option<Value> {
    reading.filter(|reading| reading.quality == Quality::Good)?.value()
}

/// The level of a distance from 0.
fn level_of_distance(scene: &Scene<'_>, distance: f64) -> Verdict {
    Verdict::at(level_of(&scene.spec.levels, Side::High, Value::Number(distance), scene.on))
}

fn rate(scene: &Scene<'_>, cell: Option<&Cell>, span: Duration, change: Change, window: &mut Window) -> Verdict {
    let value = cell.and_then(|cell| Some((cell.at, measured(cell.reading)?)));
    let Some((at, value)) = value else { return Verdict::UNKNOWN };
    let Some(rate) = window.take(at, value.as_f64(), span) else { return Verdict::UNKNOWN };
    let distance = match change {
        Change::Rise => rate,
        Change::Fall => -rate,
        Change::Any => rate.abs(),
    };
    level_of_distance(scene, distance)
}

fn deviation(scene: &Scene<'_>, cell: Option<&Cell>, from: Reference) -> Verdict {
    let wanted = match from {
        Reference::Value(value) => Some(value),
        Reference::Point(at) => measured(scene.points.reading(at)).map(Value::as_f64),
    };
    let value = cell.and_then(|cell| measured(cell.reading)).map(Value::as_f64);
    value.zip(wanted).map_or(Verdict::UNKNOWN, |(value, wanted)| level_of_distance(scene, (value - wanted).abs()))
}

/// Whether all hold. One that is known not to settles it, whatever the others are.
fn all(conditions: &[PointCondition], points: &Points) -> Option<bool> {
    let answers = || conditions.iter().map(|condition| holds(condition, points));
    if answers().any(|answer| answer == Some(false)) {
        return Some(false);
    }
    answers().all(|answer| answer == Some(true)).then_some(true)
}

/// Returns whether a condition holds by a measurement.
pub(super) fn holds(condition: &PointCondition, points: &Points) -> Option<bool> {
    condition.test.of(points.reading(condition.at)?)
}

/// The quality that counts: silence of a point whose device does not answer is not the point's.
pub(super) fn quality(scene: &Scene<'_>, cell: Option<&Cell>) -> Option<Quality> {
    let reading = cell?.reading?;
    let device = scene.spec.subject.point().map(|at| at.device)?;
    let is_silence = matches!(reading.quality, Quality::Comm | Quality::Stale);
    let is_of_the_device = is_silence && scene.points.link(device) == Some(false);
    (!is_of_the_device).then_some(reading.quality)
}

fn flatline(scene: &Scene<'_>, cell: Option<&Cell>) -> Verdict {
    match (quality(scene, cell), cell.and_then(|cell| cell.state)) {
        // A code that nobody has named is suspect too, and no flat line.
        (Some(Quality::Suspect), Some(InstrumentState::Unknown)) | (None, _) => Verdict::UNKNOWN,
        (Some(Quality::Suspect), _) => Verdict::at(1),
        (Some(Quality::Good | Quality::OverRange | Quality::UnderRange), _) => Verdict::at(0),
        (Some(_), _) => Verdict::UNKNOWN,
    }
}
