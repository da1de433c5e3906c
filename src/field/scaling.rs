//! From a raw number to a reading in the point's unit: scale, offset, decimals, range. The same for every protocol.
//!
//! Of a current loop (`signal = 4-20mA`) scale and offset give the current in mA, and the range is what 4 and 20 mA mean.
//! Its limits are those of NAMUR NE 43 (`domain.md` A10 rule 88), not those of the range:
//!
//! | current in mA | quality | value |
//! |---|---|---|
//! | below 3.6 | sensor: broken wire, or the transmitter says fault | none |
//! | 3.6 to below 3.8 | under_range | kept |
//! | 3.8 to 20.5 | good, also the little beyond the ends of the range | linear |
//! | above 20.5, below 21 | over_range | kept |
//! | 21 and above | sensor: short circuit, or the transmitter says fault | none |

use crate::domain::reading::{Quality, Reading, Value};

use super::settings::Signal;

/// Below it a loop has a fault; NAMUR NE 43, in mA like the four that follow.
const FAULT_LOW: f64 = 3.6;
/// Where the measuring range of a loop begins.
const MEASURES_FROM: f64 = 3.8;
/// Where it ends.
const MEASURES_TO: f64 = 20.5;
/// From here on a loop has a fault.
const FAULT_HIGH: f64 = 21.0;
/// The current at the lower end of the range.
const LIVE_ZERO: f64 = 4.0;
/// How much current the range takes.
const SPAN: f64 = 16.0;
/// Currents are compared to the millionth: 3.6 as a 32-bit float is a little less.
const MILLIONTH: f64 = 1e6;

/// Beyond 2^53 a double has no decimals to round.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// How one point's raw number becomes a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    scaled: bool,
    decimals: Option<u8>,
    scale: f64,
    offset: f64,
    /// Infinite where the point has no range: a hundred thousand of these are held, so they are kept small.
    low: f64,
    high: f64,
    signal: Signal,
}

impl Scaling {
    /// Returns the scaling of a point.
    pub fn new(scale: f64, offset: f64, decimals: Option<u8>, range: Option<(f64, f64)>) -> Self {
        #[expect(clippy::float_cmp, reason = "exactly the default, as written in the point table")]
        let scaled = scale != 1.0 || offset != 0.0;
        let (low, high) = range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        Self { scaled, decimals, scale, offset, low, high, signal: Signal::Value }
    }

    /// Returns the same for another kind of signal.
    #[must_use]
    pub fn of(self, signal: Signal) -> Self {
        Self { signal, ..self }
    }

    /// Returns whether the number stays as it is: 64-bit integers then keep all their digits.
    pub fn is_identity(&self) -> bool {
        !self.scaled
    }

    /// Returns a number scaled and rounded; `None` when that is not finite.
    pub fn number(&self, raw: f64) -> Option<Value> {
        let scaled = if self.scaled { raw * self.scale + self.offset } else { raw };
        let rounded = if self.signal == Signal::Loop { scaled } else { self.rounded(scaled) };
        // `+ 0.0` turns -0 into 0: a tank is not minus empty.
        rounded.is_finite().then_some(Value::Number(rounded + 0.0))
    }

    /// Returns a 32-bit float: as it is when nothing is done to it, so that it prints in its own shortest form.
    pub fn single(&self, raw: f32) -> Option<Value> {
        if self.scaled || self.decimals.is_some() {
            return self.number(f64::from(raw));
        }
        raw.is_finite().then_some(Value::Single(raw + 0.0))
    }

    /// Returns the value with its quality by the range; the value is kept. Of a loop `value` is the current.
    pub fn judged(&self, value: Value) -> Reading {
        if self.signal == Signal::Loop {
            return self.of_current(value.as_f64());
        }
        let quality = match self.beyond(value) {
            (true, _) => Quality::OverRange,
            (false, true) => Quality::UnderRange,
            (false, false) => Quality::Good,
        };
        Reading::new(Some(value), quality)
    }

    fn of_current(&self, current: f64) -> Reading {
        let current = rounded(current, MILLIONTH);
        let quality = match current {
            fault if !(FAULT_LOW..FAULT_HIGH).contains(&fault) => return Reading::missing(Quality::Sensor),
            low if low < MEASURES_FROM => Quality::UnderRange,
            high if high > MEASURES_TO => Quality::OverRange,
            _ => Quality::Good,
        };
        let value = self.low + (current - LIVE_ZERO) / SPAN * (self.high - self.low);
        let value = self.rounded(value);
        if value.is_finite() {
            Reading::new(Some(Value::Number(value + 0.0)), quality)
        } else {
            Reading::missing(Quality::Sensor)
        }
    }

    fn rounded(&self, value: f64) -> f64 {
        self.decimals.map_or(value, |decimals| rounded(value, 10_f64.powi(i32::from(decimals))))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a single is compared as one: 0.1 as f32 lies above 0.1")]
    fn beyond(&self, value: Value) -> (bool, bool) {
        match value {
            Value::Bool(_) => (false, false),
            Value::Single(v) => (v > self.high as f32, v < self.low as f32),
            Value::Number(_) | Value::Integer(_) | Value::Counter(_) => {
                let v = value.as_f64();
                (v > self.high, v < self.low)
            }
        }
    }
}

/// Rounds to the decimals of `factor` (a power of ten); the quotient of two integers prints with no more decimals.
fn rounded(value: f64, factor: f64) -> f64 {
    let shifted = value * factor;
    if shifted.abs() < EXACT { shifted.round() / factor } else { value }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A loop of 0..100 %LEL, the current in µA.
    fn lel() -> Scaling {
        Scaling::new(0.001, 0.0, Some(2), Some((0.0, 100.0))).of(Signal::Loop)
    }

    fn read(scaling: &Scaling, raw: f64) -> (Option<f64>, Quality) {
        let reading = scaling.number(raw).map_or(Reading::missing(Quality::Sensor), |value| scaling.judged(value));
        (reading.value().map(Value::as_f64), reading.quality)
    }

    #[test]
    fn a_loop_is_judged_by_the_limits_of_namur() {
        use Quality::{Good, OverRange, Sensor, UnderRange};
        // domain.md rule 88: < 3.6 fault low, 3.8..20.5 linear, ≥ 21 fault high.
        let vectors = [
            (0.0, None, Sensor),
            (3_599.0, None, Sensor),
            (3_600.0, Some(-2.5), UnderRange),
            (3_799.0, Some(-1.26), UnderRange),
            (3_800.0, Some(-1.25), Good),
            (4_000.0, Some(0.0), Good),
            (12_000.0, Some(50.0), Good),
            (20_000.0, Some(100.0), Good),
            (20_500.0, Some(103.13), Good),
            (20_501.0, Some(103.13), OverRange),
            (20_999.0, Some(106.24), OverRange),
            (21_000.0, None, Sensor),
            (22_500.0, None, Sensor),
        ];
        for (micro_amps, value, quality) in vectors {
            assert_eq!(read(&lel(), micro_amps), (value, quality), "{micro_amps} µA");
        }
    }

    #[test]
    fn counts_of_a_module_are_a_current_by_scale_and_offset() {
        // 0..27648 for 4..20 mA, as analogue modules of PLCs count.
        let counts = Scaling::new(16.0 / 27_648.0, 4.0, Some(3), Some((-50.0, 150.0))).of(Signal::Loop);
        assert_eq!(read(&counts, 0.0), (Some(-50.0), Quality::Good));
        assert_eq!(read(&counts, 13_824.0), (Some(50.0), Quality::Good));
        assert_eq!(read(&counts, -4_864.0), (None, Quality::Sensor), "the module's count for a broken wire");
    }

    #[test]
    fn a_limit_sent_as_a_32_bit_float_is_the_limit() {
        let float = Scaling::new(1.0, 0.0, Some(2), Some((0.0, 100.0))).of(Signal::Loop);
        let quality = |current: f32| float.single(current).map(|value| float.judged(value).quality);
        assert_eq!(quality(3.6), Some(Quality::UnderRange));
        assert_eq!(quality(3.8), Some(Quality::Good));
        assert_eq!(quality(21.0), Some(Quality::Sensor));
        assert_eq!(quality(f32::NAN), None);
    }

    proptest! {
        #[test]
        fn a_loop_fault_never_has_a_value_and_a_measurement_always_has(current in -5.0..30.0_f64) {
            let (value, quality) = read(&lel(), current * 1000.0);
            prop_assert_eq!(value.is_none(), quality == Quality::Sensor);
            if quality == Quality::Good {
                prop_assert!((3.799..=20.501).contains(&current));
            }
        }
    }
}
