//! From a raw number to a reading in the point's unit: scale, offset, decimals, range. The same for every protocol.

use crate::domain::reading::{Quality, Reading, Value};

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
}

impl Scaling {
    /// Returns the scaling of a point.
    pub fn new(scale: f64, offset: f64, decimals: Option<u8>, range: Option<(f64, f64)>) -> Self {
        #[expect(clippy::float_cmp, reason = "exactly the default, as written in the point table")]
        let scaled = scale != 1.0 || offset != 0.0;
        let (low, high) = range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        Self { scaled, decimals, scale, offset, low, high }
    }

    /// Returns whether the number stays as it is: 64-bit integers then keep all their digits.
    pub fn is_identity(&self) -> bool {
        !self.scaled
    }

    /// Returns a number scaled and rounded; `None` when that is not finite.
    pub fn number(&self, raw: f64) -> Option<Value> {
        let scaled = if self.scaled { raw * self.scale + self.offset } else { raw };
        let rounded = self.decimals.map_or(scaled, |decimals| rounded(scaled, 10_f64.powi(i32::from(decimals))));
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

    /// Returns the value with its quality by the range; the value is kept.
    pub fn judged(&self, value: Value) -> Reading {
        let quality = match self.beyond(value) {
            (true, _) => Quality::OverRange,
            (false, true) => Quality::UnderRange,
            (false, false) => Quality::Good,
        };
        Reading { value: Some(value), quality }
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
