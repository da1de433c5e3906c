//! Report by exception: which readings are worth a telemetry record. It stands before the telemetry stream only; every
//! reading reaches everything else.
//!
//! A reading is reported when it is the first (after a start, a reload, a reconnect), when its quality changed, when
//! its value left the deadband around the value last *reported*, or when the next reading would come after its longest
//! silence. So a slow drift cannot creep away, and a point that never changes is still heard in time.

use super::reading::{Reading, Value};
use super::registry::{Deadband, PointSpec};
use super::time::Mono;

/// What was last reported of one point, and when the next reading is worth it: the part of its meaning that every reading
/// needs, kept here so that none has to look for it.
#[derive(Clone, Copy, Debug)]
pub struct Reporter {
    last: Option<Reading>,
    /// Before this time a reading that says nothing new is not worth a report.
    quiet_before: Mono,
    /// How far from the last one a value says nothing new; negative where every value does.
    width: f64,
    /// How long after a report it is quiet: as long as the next reading would still come before the longest silence. In
    /// nanoseconds.
    quiet_for: u64,
}

impl Default for Reporter {
    /// Of a point of which nothing is known: every reading is reported.
    fn default() -> Self {
        Self { last: None, quiet_before: Mono::default(), width: EVERY_VALUE, quiet_for: 0 }
    }
}

/// A width that no difference is within.
const EVERY_VALUE: f64 = -1.0;

impl Reporter {
    /// Takes over what the point means; the next reading is reported whatever it is.
    pub fn follow(&mut self, meaning: &PointSpec) {
        self.width = match meaning.deadband {
            Deadband::Off => EVERY_VALUE,
            Deadband::Absolute(width) => width.max(0.0),
        };
        // A reading that comes just then is the last that would be in time.
        let patience = meaning.max_silence.checked_sub(meaning.interval);
        self.quiet_for = patience.map_or(0, |patience| Mono::from(patience).nanos().saturating_add(1));
        self.forget();
    }

    /// Returns whether `reading`, read at `at`, is to be reported, and remembers it if so.
    #[inline(always)]
    pub fn report(&mut self, reading: &Reading, at: Mono) -> bool {
        if at < self.quiet_before && !self.is_news(reading) {
            return false;
        }
        self.last = Some(*reading);
        self.quiet_before = Mono::from_nanos(at.nanos().saturating_add(self.quiet_for));
        true
    }

    /// Forgets what was reported: the next reading is reported whatever it is.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Whether a reading says something else than the last that was reported.
    #[inline(always)]
    fn is_news(&self, new: &Reading) -> bool {
        let Some(last) = &self.last else { return true };
        if last.quality != new.quality {
            return true;
        }
        // What points mostly are first.
        match (last.number(), new.number()) {
            (Some(last), Some(new)) => !self.is_within(last, new),
            _ if last.is_same_value(new) && self.width >= 0.0 => false,
            _ => self.is_other_value(last.value(), new.value()),
        }
    }

    #[inline(never)]
    fn is_other_value(&self, last: Option<Value>, new: Option<Value>) -> bool {
        match (last, new) {
            // 64-bit counters differ although their `f64` forms may not.
            (Some(last), Some(new)) if self.width == 0.0 => last != new,
            (Some(last), Some(new)) => !self.is_within(last.as_f64(), new.as_f64()),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        }
    }

    #[inline(always)]
    fn is_within(&self, last: f64, new: f64) -> bool {
        (new - last).abs() <= self.width
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::reading::Quality;
    use crate::domain::registry::testing::registry_with;

    /// Polled each second, silent for a minute at most.
    fn meaning(deadband: Deadband) -> PointSpec {
        PointSpec { deadband, ..registry_with(1, 1, |_| None).devices[0].points[0].clone() }
    }

    fn number(v: f64) -> Reading {
        Reading::good(Value::Number(v))
    }

    fn reported(deadband: Deadband, readings: &[(u64, Reading)]) -> Vec<bool> {
        let mut reporter = Reporter::default();
        reporter.follow(&meaning(deadband));
        readings.iter().map(|(s, r)| reporter.report(r, Mono::from_secs(*s))).collect()
    }

    #[test]
    fn a_slow_drift_is_measured_from_the_last_reported_value() {
        let drift: Vec<_> = (0..8u32).map(|i| (u64::from(i), number(f64::from(i) * 0.4))).collect();
        assert_eq!(reported(Deadband::Absolute(1.0), &drift), [true, false, false, true, false, false, true, false]);
    }

    #[test]
    fn a_silent_point_is_heard_at_its_longest_silence() {
        let still = [(0, number(5.0)), (59, number(5.0)), (60, number(5.0)), (61, number(5.0))];
        assert_eq!(reported(Deadband::Absolute(0.0), &still), [true, false, true, false]);
    }

    #[test]
    fn jitter_does_not_double_the_silence_of_a_point_polled_as_rarely_as_it_may_be_silent() {
        let slow = PointSpec { interval: Duration::from_secs(60), ..meaning(Deadband::Absolute(0.0)) };
        let mut reporter = Reporter::default();
        reporter.follow(&slow);
        let told = |ms: u64| reporter.report(&number(5.0), Mono::from_millis(ms));
        assert_eq!([0, 60_004, 120_001, 179_990].map(told), [true; 4]);
    }

    #[test]
    fn every_change_of_quality_is_reported_whatever_the_deadband() {
        let over = Reading::new(Some(Value::Number(5.0)), Quality::OverRange);
        let lost = Reading::missing(Quality::Comm);
        let story = [(0, number(5.0)), (1, over), (2, lost), (3, lost), (4, number(5.0))];
        assert_eq!(reported(Deadband::Absolute(100.0), &story), [true, true, true, false, true]);
    }

    #[test]
    fn a_counter_beyond_the_digits_of_a_float_is_still_seen_to_move() {
        let at = |n| Reading::good(Value::Counter(n));
        let story = [(0, at(u64::MAX - 1)), (1, at(u64::MAX)), (2, at(u64::MAX))];
        assert_eq!(reported(Deadband::Absolute(0.0), &story), [true, true, false]);
    }

    #[test]
    fn off_reports_every_value_but_repeats_no_missing_one() {
        let lost = Reading::missing(Quality::Comm);
        let story = [(0, number(5.0)), (1, number(5.0)), (2, lost), (3, lost)];
        assert_eq!(reported(Deadband::Off, &story), [true, true, true, false]);
    }

    /// What is news by the words of the module, without a short way.
    fn is_news(last: Reading, new: Reading, deadband: Deadband) -> bool {
        match (last.value(), new.value()) {
            _ if last.quality != new.quality => true,
            (None, None) => false,
            (Some(last), Some(new)) => match deadband {
                Deadband::Off => true,
                Deadband::Absolute(width) if width <= 0.0 => last != new,
                Deadband::Absolute(width) => (new.as_f64() - last.as_f64()).abs() > width,
            },
            (Some(_), None) | (None, Some(_)) => true,
        }
    }

    /// Near one another, so that both outcomes are frequent.
    fn any_reading() -> impl Strategy<Value = Reading> {
        let near = -3_i8..4;
        let value = prop_oneof![
            near.clone().prop_map(|n| Value::Number(f64::from(n) * 0.1)),
            near.clone().prop_map(|n| Value::Single(f32::from(n) * 0.1)),
            near.clone().prop_map(|n| Value::Integer(i64::MAX - 3 + i64::from(n))),
            near.prop_map(|n| Value::Counter(u64::MAX - 4 + u64::from(n.unsigned_abs()))),
            any::<bool>().prop_map(Value::Bool),
        ];
        let quality = prop_oneof![4 => Just(Quality::Good), 1 => Just(Quality::Suspect)];
        (prop::option::weighted(0.9, value), quality).prop_map(|(value, quality)| Reading::new(value, quality))
    }

    proptest! {
        #[test]
        fn the_short_way_reports_what_the_long_one_does(
            deadband in prop_oneof![
                Just(Deadband::Off), Just(Deadband::Absolute(0.0)), Just(Deadband::Absolute(-1.0)),
                Just(Deadband::Absolute(0.1)), Just(Deadband::Absolute(0.2)), Just(Deadband::Absolute(1.0)),
            ],
            max_silence in prop_oneof![Just(1_000_u64), Just(3_000), Just(500)],
            story in prop::collection::vec((0_u64..1_500, any_reading(), prop::bool::weighted(0.05)), 1..80),
        ) {
            let meaning = PointSpec { max_silence: Duration::from_millis(max_silence), ..meaning(deadband) };
            let patience = meaning.max_silence.checked_sub(meaning.interval);
            let mut reporter = Reporter::default();
            reporter.follow(&meaning);
            let (mut last, mut now) = (None::<(Reading, u64)>, 0);
            for (passed, reading, forgets) in story {
                now += passed;
                if forgets {
                    reporter.forget();
                    last = None;
                }
                let is_quiet = last.is_some_and(|(last, at)| {
                    let in_time = patience.is_some_and(|patience| Duration::from_millis(now - at) <= patience);
                    in_time && !is_news(last, reading, deadband)
                });
                prop_assert_eq!(reporter.report(&reading, Mono::from_millis(now)), !is_quiet);
                if !is_quiet {
                    last = Some((reading, now));
                }
            }
        }
    }
}
