//! One reading: a value or none, and how far it can be believed. A missing value is not a zero.

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// What a point read. Never NaN or infinite: the decoder turns those into [`Quality::Sensor`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A scaled or short number, already in the point's unit and rounded to the point's `decimals` where it has them.
    Number(f64),
    /// An unscaled 32-bit float, printed by its own shortest form (23.4, never 23.399999618530273).
    Single(f32),
    /// An unscaled signed 64-bit integer; a string on the wire, because JSON numbers lose digits beyond 2^53.
    Integer(i64),
    /// An unscaled unsigned 64-bit integer; a string on the wire for the same reason.
    Counter(u64),
    /// A coil, a discrete input or one bit of a register.
    Bool(bool),
}

impl Value {
    /// Returns the value as a number for comparison with limits and deadbands; bits are 0 and 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "64-bit counters lose digits only in comparisons, never on the wire"
    )]
    #[inline]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Number(v) => v,
            Self::Single(v) => f64::from(v),
            Self::Integer(v) => v as f64,
            Self::Counter(v) => v as f64,
            Self::Bool(v) => f64::from(u8::from(v)),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(v) => write!(f, "{v}"),
            Self::Single(v) => write!(f, "{v}"),
            Self::Integer(v) => write!(f, "{v}"),
            Self::Counter(v) => write!(f, "{v}"),
            Self::Bool(v) => write!(f, "{}", u8::from(*v)),
        }
    }
}

/// Why a reading may not be used as a measurement. A closed, versioned list on the wire (`design.md`, feed contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// A measurement.
    Good,
    /// No answer, a broken connection, or an answer that was not one.
    Comm,
    /// The device answers, but says or shows that this value is none (exception, NaN, invalid code).
    Sensor,
    /// Above the point's range; the value is kept.
    OverRange,
    /// Below the point's range; the value is kept.
    UnderRange,
    /// The instrument is being calibrated.
    Calibration,
    /// The instrument is under maintenance.
    Maintenance,
    /// The point is stopped (停用) by a named person.
    Stopped,
    /// Set by hand.
    Substituted,
    /// Older than its longest silence.
    Stale,
    /// Frozen or implausible.
    Suspect,
}

impl Quality {
    /// All qualities, in the order of their wire codes.
    pub const ALL: [Quality; 11] = [
        Self::Good,
        Self::Comm,
        Self::Sensor,
        Self::OverRange,
        Self::UnderRange,
        Self::Calibration,
        Self::Maintenance,
        Self::Stopped,
        Self::Substituted,
        Self::Stale,
        Self::Suspect,
    ];

    /// Returns the word used on the wire; good readings carry none there.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Comm => "comm",
            Self::Sensor => "sensor",
            Self::OverRange => "over_range",
            Self::UnderRange => "under_range",
            Self::Calibration => "calibration",
            Self::Maintenance => "maintenance",
            Self::Stopped => "stopped",
            Self::Substituted => "substituted",
            Self::Stale => "stale",
            Self::Suspect => "suspect",
        }
    }

    /// Returns the stored code, 0 for good.
    pub fn code(self) -> u8 {
        Self::ALL.iter().position(|q| *q == self).and_then(|i| u8::try_from(i).ok()).unwrap_or(u8::MAX)
    }

    /// Returns the quality with this stored code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// A value with its quality. There is no value exactly when nothing that could be one was read.
///
/// Ten bytes, although a [`Value`] alone has sixteen: every point has two of them, and what a park says in the hour that the
/// store stands still waits in memory.
#[derive(Clone, Copy)]
pub struct Reading {
    bits: [u8; 8],
    kind: Kind,
    /// How far to believe it.
    pub quality: Quality,
}

/// Readings of one device at one time: point ordinal, ascending, and what was read.
///
/// Many requests, and nearly all records, have no more than four: those are handed on as they are, from task to task, and
/// nothing is allocated for them. More in place, and every message would be larger than most need.
pub type Readings = SmallVec<[(u16, Reading); 4]>;

/// What the bits of a reading are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Missing,
    Number,
    Single,
    Integer,
    Counter,
    Bool,
}

impl Reading {
    /// What was read, in the point's unit, and how far to believe it.
    #[inline]
    pub fn new(value: Option<Value>, quality: Quality) -> Self {
        let (kind, bits) = match value {
            None => (Kind::Missing, 0),
            Some(Value::Number(v)) => (Kind::Number, v.to_bits()),
            Some(Value::Single(v)) => (Kind::Single, u64::from(v.to_bits())),
            Some(Value::Integer(v)) => (Kind::Integer, v.cast_unsigned()),
            Some(Value::Counter(v)) => (Kind::Counter, v),
            Some(Value::Bool(v)) => (Kind::Bool, u64::from(v)),
        };
        Self { bits: bits.to_ne_bytes(), kind, quality }
    }

    /// A measurement.
    #[inline]
    pub fn good(value: Value) -> Self {
        Self::new(Some(value), Quality::Good)
    }

    /// No value, and why.
    #[inline]
    pub fn missing(quality: Quality) -> Self {
        Self::new(None, quality)
    }

    /// The same value, to be believed so far.
    #[inline]
    #[must_use]
    pub fn with_quality(self, quality: Quality) -> Self {
        Self { quality, ..self }
    }

    /// Returns what was read, in the point's unit.
    #[inline]
    pub fn value(&self) -> Option<Value> {
        let bits = u64::from_ne_bytes(self.bits);
        Some(match self.kind {
            Kind::Missing => return None,
            Kind::Number => Value::Number(f64::from_bits(bits)),
            Kind::Single => Value::Single(f32::from_bits(low_32(bits))),
            Kind::Integer => Value::Integer(bits.cast_signed()),
            Kind::Counter => Value::Counter(bits),
            Kind::Bool => Value::Bool(bits != 0),
        })
    }

    /// Returns the value if it is a [`Value::Number`], what most are.
    #[inline(always)]
    pub fn number(&self) -> Option<f64> {
        (self.kind == Kind::Number).then(|| f64::from_bits(u64::from_ne_bytes(self.bits)))
    }

    /// Returns the value as a number for comparison with limits ([`Value::as_f64`]).
    #[inline(always)]
    pub fn as_f64(&self) -> Option<f64> {
        match self.number() {
            Some(number) => Some(number),
            None => self.other_as_f64(),
        }
    }

    #[inline(never)]
    fn other_as_f64(&self) -> Option<f64> {
        self.value().map(Value::as_f64)
    }

    /// Returns whether both are the same value to the last bit, or none.
    #[inline(always)]
    pub fn is_same_value(&self, other: &Self) -> bool {
        (self.kind, self.bits) == (other.kind, other.bits)
    }

    /// Returns whether anything was read that could be a value.
    #[inline]
    pub fn has_value(&self) -> bool {
        self.kind != Kind::Missing
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a `Single` was put in with 32 bits")]
fn low_32(bits: u64) -> u32 {
    bits as u32
}

impl PartialEq for Reading {
    /// As values are: 0.0 and -0.0 are one.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        (self.quality, self.kind) == (other.quality, other.kind)
            && (self.bits == other.bits || self.value() == other.value())
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("value", &self.value()).field("quality", &self.quality).finish()
    }
}

const _: () = assert!(size_of::<Reading>() == 10 && size_of::<Option<Reading>>() == 10);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Option<Value>> {
        prop_oneof![
            Just(None),
            prop_oneof![Just(0.0), Just(-0.0), -1e9..1e9].prop_map(|v| Some(Value::Number(v))),
            prop_oneof![Just(0.0_f32), Just(-0.0), -1e9_f32..1e9].prop_map(|v| Some(Value::Single(v))),
            prop_oneof![Just(0), any::<i64>()].prop_map(|v| Some(Value::Integer(v))),
            prop_oneof![Just(0), any::<u64>()].prop_map(|v| Some(Value::Counter(v))),
            any::<bool>().prop_map(|v| Some(Value::Bool(v))),
        ]
    }

    proptest! {
        /// The ten bytes are another form of a value and a quality, and mean the same in every question.
        #[test]
        fn a_reading_is_its_value_and_its_quality(
            (a, b) in (any_value(), any_value()),
            (p, q) in (prop::sample::select(&Quality::ALL[..]), prop::sample::select(&Quality::ALL[..])),
        ) {
            let (one, other) = (Reading::new(a, p), Reading::new(b, q));
            prop_assert_eq!((one.value(), one.quality), (a, p));
            prop_assert_eq!(one.has_value(), a.is_some());
            prop_assert_eq!(one.as_f64(), a.map(Value::as_f64));
            prop_assert_eq!(one.number(), a.and_then(|a| if let Value::Number(v) = a { Some(v) } else { None }));
            prop_assert_eq!(one == other, a == b && p == q);
            prop_assert!(!one.is_same_value(&other) || a == b);
            prop_assert!(one.is_same_value(&one.with_quality(q)));
            prop_assert_eq!(one.with_quality(q), Reading::new(a, q));
        }
    }
}
