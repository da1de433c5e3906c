//! What an OPC UA server says of a variable, as a reading: status code to quality, scalar to value (`domain.md` 107, 109).
//!
//! | status code (OPC 10000-4 §7.39) | quality | value |
//! |---|---|---|
//! | Good | good, or by the point's range | kept |
//! | Good, limit bits low / high / constant | under_range / over_range / suspect | kept |
//! | GoodLocalOverride | substituted | kept |
//! | Uncertain: LastUsableValue, NoCommunicationLastUsableValue | stale | kept |
//! | SubstituteValue, SimulatedValue, TransducerInManual | substituted | kept |
//! | SensorCalibration | calibration | kept |
//! | EngineeringUnitsExceeded, SensorNotAccurate with limit bits | over_range / under_range by the limit bits | kept |
//! | any other Uncertain | suspect | kept |
//! | Bad: NoCommunication, CommunicationError, NotConnected, Timeout, Shutdown, … | comm | none |
//! | OutOfService | stopped | none |
//! | any other Bad, and the reserved severity 11 | sensor | none |
//!
//! A bad status never carries a measurement, whatever value came with it. A good one with something that is no number
//! (text, array, structure, nothing, NaN) is `sensor`, and the caller learns what it was. The bits for a change of structure or
//! meaning do not touch the value; the overflow bit tells of others that are lost ([`overflowed`]).

use ::opcua::types::Variant;

use super::super::scaling::Scaling;
use crate::domain::reading::{Quality, Reading, Value};

/// The code without its low half, where limit, overflow and other bits stand.
const CODE: u32 = 0xFFFF_0000;
/// The info type `DataValue`, under which the limit and overflow bits mean something.
const INFO: u32 = 0x0C00;
const INFO_DATA_VALUE: u32 = 0x0400;
const OVERFLOW: u32 = 0x80;

/// Bad codes that say that the server does not reach the instrument.
const COMM: [u32; 15] = [
    0x8005_0000, // BadCommunicationError
    0x800A_0000, // BadTimeout
    0x800C_0000, // BadShutdown
    0x800D_0000, // BadServerNotConnected
    0x800E_0000, // BadServerHalted
    0x8025_0000, // BadSessionIdInvalid
    0x8026_0000, // BadSessionClosed
    0x8028_0000, // BadSubscriptionIdInvalid
    0x8031_0000, // BadNoCommunication
    0x8032_0000, // BadWaitingForInitialData
    0x8086_0000, // BadSecureChannelClosed
    0x808A_0000, // BadNotConnected
    0x80AC_0000, // BadConnectionRejected
    0x80AD_0000, // BadDisconnect
    0x80AE_0000, // BadConnectionClosed
];
const OUT_OF_SERVICE: u32 = 0x808D_0000;
const LOCAL_OVERRIDE: u32 = 0x0096_0000;
const STALE: [u32; 2] = [0x408F_0000, 0x4090_0000];
const SUBSTITUTED: [u32; 3] = [0x4091_0000, 0x4208_0000, 0x4209_0000];
const CALIBRATION: u32 = 0x420A_0000;
const EXCEEDED: u32 = 0x4094_0000;

/// What a value could not be read as a number for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoNumber(pub &'static str);

/// Returns whether the server lost values of this variable before this one, because its queue was full.
pub fn overflowed(status: u32) -> bool {
    status & INFO == INFO_DATA_VALUE && status & OVERFLOW != 0
}

/// Reads one value. The second tells of a usable status with something that is no number.
pub fn reading(value: Option<&Variant>, status: u32, scaling: &Scaling) -> (Reading, Option<NoNumber>) {
    let limit = if status & INFO == INFO_DATA_VALUE { status >> 8 & 3 } else { 0 };
    let quality = match status >> 30 {
        0 => good(status & CODE, limit),
        1 => Some(uncertain(status & CODE, limit)),
        _ => return (Reading::missing(bad(status & CODE)), None),
    };
    let value = match value.map_or(Err(NoNumber("nothing")), |value| number(value, scaling)) {
        Ok(value) => value,
        Err(why) => return (Reading::missing(Quality::Sensor), Some(why)),
    };
    match quality {
        None => (scaling.judged(value), None),
        // The value of a loop is made of its current; one that is broken has none, whatever the server calls it.
        Some(quality) => {
            let judged = scaling.judged(value);
            (if judged.has_value() { judged.with_quality(quality) } else { judged }, None)
        }
    }
}

/// Returns the quality of a point that the server refuses to watch.
pub fn bad(code: u32) -> Quality {
    match code & CODE {
        OUT_OF_SERVICE => Quality::Stopped,
        code if COMM.contains(&code) => Quality::Comm,
        _ => Quality::Sensor,
    }
}

/// `None`: good as far as the server knows; the range decides.
fn good(code: u32, limit: u32) -> Option<Quality> {
    match (code, limit) {
        (LOCAL_OVERRIDE, _) => Some(Quality::Substituted),
        (_, 1) => Some(Quality::UnderRange),
        (_, 2) => Some(Quality::OverRange),
        (_, 3) => Some(Quality::Suspect),
        _ => None,
    }
}

fn uncertain(code: u32, limit: u32) -> Quality {
    match code {
        _ if STALE.contains(&code) => Quality::Stale,
        _ if SUBSTITUTED.contains(&code) => Quality::Substituted,
        CALIBRATION => Quality::Calibration,
        EXCEEDED if limit == 1 => Quality::UnderRange,
        EXCEEDED => Quality::OverRange,
        _ if limit == 1 => Quality::UnderRange,
        _ if limit == 2 => Quality::OverRange,
        _ => Quality::Suspect,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a scaled 64-bit counter is a measurement of 53 bits")]
fn number(value: &Variant, scaling: &Scaling) -> Result<Value, NoNumber> {
    let number = |raw: f64| scaling.number(raw).ok_or(NoNumber("a number that is not finite"));
    match value {
        Variant::Boolean(v) => Ok(Value::Bool(*v)),
        Variant::SByte(v) => number(f64::from(*v)),
        Variant::Byte(v) => number(f64::from(*v)),
        Variant::Int16(v) => number(f64::from(*v)),
        Variant::UInt16(v) => number(f64::from(*v)),
        Variant::Int32(v) => number(f64::from(*v)),
        Variant::UInt32(v) => number(f64::from(*v)),
        Variant::Int64(v) if scaling.is_identity() => Ok(Value::Integer(*v)),
        Variant::Int64(v) => number(*v as f64),
        Variant::UInt64(v) if scaling.is_identity() => Ok(Value::Counter(*v)),
        Variant::UInt64(v) => number(*v as f64),
        Variant::Float(v) => scaling.single(*v).ok_or(NoNumber("a number that is not finite")),
        Variant::Double(v) => number(*v),
        Variant::Empty => Err(NoNumber("nothing")),
        Variant::String(_) | Variant::LocalizedText(_) | Variant::QualifiedName(_) | Variant::XmlElement(_) => {
            Err(NoNumber("text"))
        }
        Variant::DateTime(_) => Err(NoNumber("a time")),
        Variant::Array(_) | Variant::ByteString(_) => Err(NoNumber("an array")),
        Variant::Guid(_)
        | Variant::StatusCode(_)
        | Variant::NodeId(_)
        | Variant::ExpandedNodeId(_)
        | Variant::ExtensionObject(_)
        | Variant::Variant(_)
        | Variant::DataValue(_)
        | Variant::DiagnosticInfo(_) => Err(NoNumber("a structure")),
    }
}

#[cfg(test)]
mod tests {
    use ::opcua::types::{DateTime, Guid, StatusCode, UAString};
    use proptest::prelude::*;

    use super::*;

    fn plain() -> Scaling {
        Scaling::new(1.0, 0.0, None, None)
    }

    fn quality_of(status: u32) -> (Quality, bool) {
        let (reading, _) = reading(Some(&Variant::Double(5.0)), status, &plain());
        (reading.quality, reading.value().is_some())
    }

    #[test]
    fn each_status_code_becomes_the_quality_that_the_platform_knows() {
        let cases = [
            (StatusCode::Good, Quality::Good),
            (StatusCode::GoodLocalOverride, Quality::Substituted),
            (StatusCode::UncertainLastUsableValue, Quality::Stale),
            (StatusCode::UncertainNoCommunicationLastUsableValue, Quality::Stale),
            (StatusCode::UncertainSubstituteValue, Quality::Substituted),
            (StatusCode::UncertainSimulatedValue, Quality::Substituted),
            (StatusCode::UncertainSensorCalibration, Quality::Calibration),
            (StatusCode::UncertainEngineeringUnitsExceeded, Quality::OverRange),
            (StatusCode::UncertainSubNormal, Quality::Suspect),
            (StatusCode::Uncertain, Quality::Suspect),
            (StatusCode::BadNoCommunication, Quality::Comm),
            (StatusCode::BadNotConnected, Quality::Comm),
            (StatusCode::BadOutOfService, Quality::Stopped),
            (StatusCode::BadSensorFailure, Quality::Sensor),
            (StatusCode::BadDeviceFailure, Quality::Sensor),
            (StatusCode::BadConfigurationError, Quality::Sensor),
            (StatusCode::BadNodeIdUnknown, Quality::Sensor),
        ];
        for (status, quality) in cases {
            assert_eq!(quality_of(status.bits()), (quality, !status.is_bad()), "{status}");
        }
    }

    #[test]
    fn the_bits_beside_the_code_do_not_hide_it() {
        let noise = 0xC000; // structure and semantics changed
        assert_eq!(quality_of(0x8031_0000 | noise).0, Quality::Comm);
        assert_eq!(quality_of(0x0000_0400 | 1 << 8).0, Quality::UnderRange);
        assert_eq!(quality_of(0x0000_0400 | 2 << 8).0, Quality::OverRange);
        assert_eq!(quality_of(0x0000_0400 | 3 << 8).0, Quality::Suspect);
        assert_eq!(quality_of(2 << 8).0, Quality::Good, "limit bits mean nothing without their info type");
        assert_eq!(quality_of(0x4094_0000 | 0x0400 | 1 << 8).0, Quality::UnderRange);
        assert!(overflowed(0x0480) && !overflowed(0x0080) && !overflowed(0x0400));
    }

    #[test]
    fn every_scalar_keeps_its_digits() {
        let read = |value: Variant| reading(Some(&value), 0, &plain()).0.value().unwrap();
        assert_eq!(read(Variant::Boolean(true)), Value::Bool(true));
        assert_eq!(read(Variant::SByte(-3)), Value::Number(-3.0));
        assert_eq!(read(Variant::UInt32(u32::MAX)), Value::Number(4_294_967_295.0));
        assert_eq!(read(Variant::Int64(i64::MIN)), Value::Integer(i64::MIN));
        assert_eq!(read(Variant::UInt64(u64::MAX)), Value::Counter(u64::MAX));
        assert_eq!(read(Variant::Float(23.4)), Value::Single(23.4));
        let (scaled, _) = reading(Some(&Variant::Int16(234)), 0, &Scaling::new(0.1, -1.0, Some(1), Some((0.0, 20.0))));
        assert_eq!(scaled, Reading::new(Some(Value::Number(22.4)), Quality::OverRange));
    }

    #[test]
    fn what_is_no_number_is_a_fault_of_the_point_and_says_what_it_was() {
        let cases = [
            (Some(Variant::String(UAString::from("12.5"))), "text"),
            (Some(Variant::from(vec![1.0_f64])), "an array"),
            (Some(Variant::DateTime(Box::new(DateTime::null()))), "a time"),
            (Some(Variant::Guid(Box::new(Guid::null()))), "a structure"),
            (Some(Variant::Double(f64::NAN)), "a number that is not finite"),
            (Some(Variant::Empty), "nothing"),
            (None, "nothing"),
        ];
        for (value, what) in cases {
            let got = reading(value.as_ref(), 0, &plain());
            assert_eq!(got, (Reading::missing(Quality::Sensor), Some(NoNumber(what))));
        }
    }

    fn variant() -> impl Strategy<Value = Variant> {
        prop_oneof![
            Just(Variant::Empty),
            any::<bool>().prop_map(Variant::Boolean),
            any::<i8>().prop_map(Variant::SByte),
            any::<u8>().prop_map(Variant::Byte),
            any::<i16>().prop_map(Variant::Int16),
            any::<u16>().prop_map(Variant::UInt16),
            any::<i32>().prop_map(Variant::Int32),
            any::<u32>().prop_map(Variant::UInt32),
            any::<i64>().prop_map(Variant::Int64),
            any::<u64>().prop_map(Variant::UInt64),
            any::<u32>().prop_map(|bits| Variant::Float(f32::from_bits(bits))),
            any::<u64>().prop_map(|bits| Variant::Double(f64::from_bits(bits))),
            ".{0,8}".prop_map(|text| Variant::String(UAString::from(text))),
            prop::collection::vec(any::<f64>(), 0..4).prop_map(Variant::from),
            any::<u32>().prop_map(|bits| Variant::StatusCode(StatusCode::from(bits))),
            any::<i32>().prop_map(|v| Variant::Variant(Box::new(Variant::Int32(v)))),
        ]
    }

    proptest! {
        #[test]
        fn no_value_with_no_status_code_panics_and_a_bad_one_never_gives_a_measurement(
            value in prop::option::of(variant()),
            status: u32,
            scale in -1e6_f64..1e6,
            offset in -1e6_f64..1e6,
            decimals in prop::option::of(0_u8..7),
            range in prop::option::of((-1e9_f64..0.0, 0.0_f64..1e9)),
        ) {
            let (reading, _) = reading(value.as_ref(), status, &Scaling::new(scale, offset, decimals, range));
            prop_assert!(status >> 30 < 2 || reading.value().is_none());
            prop_assert!(status >> 30 == 0 || reading.quality != Quality::Good);
            prop_assert!(reading.value().is_some() || reading.quality != Quality::Good);
            prop_assert!(reading.value().is_none_or(|v| v.as_f64().is_finite()));
        }
    }
}
