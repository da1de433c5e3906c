//! Values that stand still or stay too low (`domain.md` A10 rule 89): a detector whose cell is dead, a transmitter that
//! repeats itself. Off unless the point says so; then the quality is `suspect`, the value kept.
//!
//! - **Frozen**: no change of the value (as decoded, before any deadband) for the time given. Only time in which readings
//!   came counts, so that an outage does not make a sound instrument suspect. A healthy live-zero signal always shows some
//!   noise in its last digit; a detector that cuts its noise off stands at 0 for weeks and is healthy: such a point says
//!   `except 0`, and is then judged only while it stands at another value.
//! - **Below**: a value under the limit (−5 % of the span in rule 89) for the time given: the signal drifted away.
//!
//! `over_range` stands: a detector held at the top of its range is an alarm first and a doubt second.

use std::time::Duration;

use super::instrument::{Below, Frozen};
use super::reading::{Quality, Reading, Value};
use super::time::Mono;

/// What is remembered of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Flatline {
    frozen: Option<Frozen>,
    below: Option<Below>,
    last: Option<Value>,
    seen: Option<Mono>,
    still: Duration,
    /// For how long it has been low.
    low: Option<Duration>,
}

impl Flatline {
    /// Returns a watch that has seen nothing.
    pub fn new(frozen: Option<Frozen>, below: Option<Below>) -> Self {
        Self { frozen, below, last: None, seen: None, still: Duration::ZERO, low: None }
    }

    /// Takes a reading taken at `at`, and returns it as it is to be understood.
    pub fn take(&mut self, reading: Reading, at: Mono) -> Reading {
        let Some(value) = reading.value() else {
            self.pause();
            return reading;
        };
        let passed = self.seen.replace(at).map_or(Duration::ZERO, |seen| at.since(seen));
        self.still = if self.last == Some(value) { self.still + passed } else { Duration::ZERO };
        self.last = Some(value);
        let below = self.below.filter(|below| value.as_f64() < below.limit);
        self.low = below.map(|_| self.low.map_or(Duration::ZERO, |low| low + passed));
        let stays_low = below.zip(self.low).is_some_and(|(below, low)| low >= below.stays);
        let doubted = stays_low || self.is_frozen(value);
        let may_be_doubted = matches!(reading.quality, Quality::Good | Quality::UnderRange);
        if doubted && may_be_doubted { reading.with_quality(Quality::Suspect) } else { reading }
    }

    /// Notes that for a time nothing is measured: it does not count.
    pub fn pause(&mut self) {
        self.seen = None;
    }

    /// Takes over what another watch of the same point has seen.
    pub fn carry(&mut self, old: &Self) {
        let Self { last, seen, still, low, .. } = old;
        (self.last, self.seen, self.still, self.low) = (*last, *seen, *still, *low);
    }

    fn is_frozen(&self, value: Value) -> bool {
        self.frozen.is_some_and(|frozen| self.still >= frozen.after && frozen.except != Some(value.as_f64()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn number(v: f64) -> Reading {
        Reading::good(Value::Number(v))
    }

    fn after_an_hour(except: Option<f64>) -> Flatline {
        Flatline::new(Some(Frozen { after: HOUR, except }), None)
    }

    /// Readings each minute; the qualities given.
    fn each_minute(watch: &mut Flatline, from: u64, readings: impl IntoIterator<Item = Reading>) -> Vec<Quality> {
        readings.into_iter().zip(from..).map(|(r, i)| watch.take(r, Mono::from_secs(i * 60)).quality).collect()
    }

    #[test]
    fn a_value_that_stands_still_for_an_hour_is_suspect_until_it_moves() {
        let mut watch = after_an_hour(None);
        let told = each_minute(&mut watch, 0, std::iter::repeat_n(number(4.2), 62).chain([number(4.3), number(4.3)]));
        assert_eq!(told.iter().position(|q| *q == Quality::Suspect), Some(60));
        assert_eq!(told[61..], [Quality::Suspect, Quality::Good, Quality::Good]);
    }

    #[test]
    fn the_zero_of_a_healthy_detector_is_no_flat_line_where_the_point_says_so() {
        let still = |v: f64| std::iter::repeat_n(number(v), 200);
        let all_good = |told: Vec<Quality>| told.iter().all(|q| *q == Quality::Good);
        assert!(all_good(each_minute(&mut after_an_hour(Some(0.0)), 0, still(0.0))));
        assert!(!all_good(each_minute(&mut after_an_hour(Some(0.0)), 0, still(0.1))));
        assert!(!all_good(each_minute(&mut after_an_hour(None), 0, still(0.0))));
    }

    #[test]
    fn an_outage_does_not_count_as_standing_still() {
        let mut watch = after_an_hour(None);
        let lost = std::iter::repeat_n(Reading::missing(Quality::Comm), 500);
        let told = each_minute(&mut watch, 0, std::iter::repeat_n(number(4.2), 30).chain(lost).chain([number(4.2)]));
        assert_eq!(told.last(), Some(&Quality::Good));
        let told = each_minute(&mut watch, 531, std::iter::repeat_n(number(4.2), 40));
        assert_eq!(told.iter().position(|q| *q == Quality::Suspect), Some(30), "29 minutes before it, 31 after");
    }

    #[test]
    fn what_stays_below_is_suspect_and_what_dips_is_not() {
        let below = Below { limit: -5.0, stays: Duration::from_secs(120) };
        let mut watch = Flatline::new(None, Some(below));
        let under = |v| number(v).with_quality(Quality::UnderRange);
        let story = [number(0.0), under(-6.0), number(-4.0), under(-6.1), under(-6.2), under(-6.3), number(0.1)];
        use Quality::{Good, Suspect, UnderRange};
        let told = each_minute(&mut watch, 0, story);
        assert_eq!(told, [Good, UnderRange, Good, UnderRange, UnderRange, Suspect, Good]);
    }

    #[test]
    fn over_range_stands_however_long() {
        let over = number(100.0).with_quality(Quality::OverRange);
        let told = each_minute(&mut after_an_hour(None), 0, std::iter::repeat_n(over, 200));
        assert!(told.iter().all(|q| *q == Quality::OverRange));
    }

    proptest! {
        #[test]
        fn values_are_never_touched_and_only_doubted_after_the_time(
            values in prop::collection::vec((0_u8..3, 1_u64..600), 1..80),
        ) {
            let mut watch = after_an_hour(None);
            let (mut now, mut run, mut last) = (0, 0, None);
            for (value, step) in values {
                now += step;
                run = if last == Some(value) { run + step } else { 0 };
                last = Some(value);
                let told = watch.take(number(f64::from(value)), Mono::from_secs(now));
                prop_assert_eq!(told.value(), number(f64::from(value)).value());
                prop_assert_eq!(told.quality == Quality::Suspect, run >= 3600);
            }
        }
    }
}
