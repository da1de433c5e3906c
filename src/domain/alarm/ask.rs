//! Questions to the value of a point: the controller's bits, the conditions of digital and combined alarms, and suppression
//! by design are made of them.

use super::super::reading::{Quality, Reading, Value};
use super::spec::PointRef;

/// Something that is true or not of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointCondition {
    /// The point.
    pub at: PointRef,
    /// What is asked of its value.
    pub test: Test,
}

/// What may be asked of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// Not 0.
    On,
    /// 0.
    Off,
    /// This number.
    Equals(f64),
    /// This number or more.
    AtLeast(f64),
    /// Less than this number.
    Below(f64),
    /// One bit of a whole number, 0 the lowest, is set.
    Bit(u8),
}

impl Test {
    /// Returns whether it holds of a measurement; `None` when the reading is none.
    pub fn of(self, reading: Reading) -> Option<bool> {
        let value = reading.value().filter(|_| reading.quality == Quality::Good)?;
        Some(match self {
            Self::On => value.as_f64() != 0.0,
            Self::Off => value.as_f64() == 0.0,
            Self::Equals(wanted) => at_least(value, wanted) && at_most(value, wanted),
            Self::AtLeast(limit) => at_least(value, limit),
            Self::Below(limit) => !at_least(value, limit),
            Self::Bit(bit) => bit_of(value, bit),
        })
    }
}

/// Returns whether a value has reached a limit from below. A 32-bit float is compared as one, so that a transmitter's 0.7
/// has reached the limit 0.7, although neither number is exactly that.
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
pub(super) fn at_least(value: Value, limit: f64) -> bool {
    match value {
        Value::Single(v) => v >= limit as f32,
        Value::Number(_) | Value::Integer(_) | Value::Counter(_) | Value::Bool(_) => value.as_f64() >= limit,
    }
}

/// Returns whether a value has reached a limit from above.
#[expect(clippy::cast_possible_truncation, reason = "see `at_least`")]
pub(super) fn at_most(value: Value, limit: f64) -> bool {
    match value {
        Value::Single(v) => v <= limit as f32,
        Value::Number(_) | Value::Integer(_) | Value::Counter(_) | Value::Bool(_) => value.as_f64() <= limit,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a register of at most 64 bits, ≥ 0")]
fn bit_of(value: Value, bit: u8) -> bool {
    let raw = match value {
        Value::Counter(n) => n,
        Value::Integer(n) => n.cast_unsigned(),
        Value::Bool(on) => u64::from(on),
        Value::Number(_) | Value::Single(_) => value.as_f64().max(0.0) as u64,
    };
    bit < 64 && raw >> bit & 1 == 1
}
