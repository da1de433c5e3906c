//! Writing JSON by hand: the uplink writes 100,000 values a second, and what it writes has a fixed shape.
//!
//! Every function appends to a `Vec<u8>` that stays valid UTF-8. Numbers have no float noise: a value rounded to the
//! point's decimals prints those digits (trailing zeros dropped), any other the shortest text that reads back the same.

use crate::domain::reading::Value;
use crate::domain::time::{Timestamp, civil};

/// 10^0 ..= 10^9: decimals beyond nine take the general path.
const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Below this every integral f64 is exact and its text the shortest.
const EXACT: f64 = 1e15;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z: what four digits of a year can say.
const TIMES: (i64, i64) = (-62_135_596_800_000, 253_402_300_799_999);
const DAY_MS: i64 = 86_400_000;

/// Appends `text` as a JSON string with its quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Appends `text` escaped, without quotes.
pub fn escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.push(hex(byte >> 4));
                out.push(hex(byte & 15));
            }
            _ => out.push(byte),
        }
    }
}

/// Appends `"name":`. `name` needs no escaping (a literal of ours).
pub fn key(out: &mut Vec<u8>, name: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends an unsigned number.
pub fn unsigned(out: &mut Vec<u8>, n: u64) {
    write(out, &n);
}

/// Appends a signed number.
pub fn signed(out: &mut Vec<u8>, n: i64) {
    write(out, &n);
}

/// Appends `true` or `false`.
pub fn boolean(out: &mut Vec<u8>, b: bool) {
    out.extend_from_slice(if b { b"true" } else { b"false" });
}

/// Appends a value; `decimals` is what numbers of this point are rounded to, where they are.
pub fn value(out: &mut Vec<u8>, value: Value, decimals: Option<u8>) {
    match value {
        Value::Number(v) => match decimals {
            Some(d) => decimal(out, v, d),
            None => float(out, v),
        },
        Value::Single(v) if v.fract() == 0.0 && f64::from(v).abs() < EXACT => float(out, f64::from(v)),
        Value::Single(v) => write(out, &v),
        Value::Integer(v) => quoted(out, |out| signed(out, v)),
        Value::Counter(v) => quoted(out, |out| unsigned(out, v)),
        Value::Bool(v) => boolean(out, v),
    }
}

/// Appends a time as a JSON string: RFC 3339, UTC, milliseconds.
pub fn time(out: &mut Vec<u8>, t: Timestamp) {
    let ms = t.0.clamp(TIMES.0, TIMES.1);
    let (days, in_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    out.push(b'"');
    digits(out, year, 1000);
    out.push(b'-');
    digits(out, month, 10);
    out.push(b'-');
    digits(out, day, 10);
    out.push(b'T');
    digits(out, in_day / 3_600_000, 10);
    out.push(b':');
    digits(out, in_day / 60_000 % 60, 10);
    out.push(b':');
    digits(out, in_day / 1000 % 60, 10);
    out.push(b'.');
    digits(out, in_day % 1000, 100);
    out.extend_from_slice(b"Z\"");
}

/// Appends a time, or `null`.
pub fn time_or_null(out: &mut Vec<u8>, t: Option<Timestamp>) {
    match t {
        Some(t) => time(out, t),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends `v`, which is already rounded to `decimals`, by integer arithmetic; falls back when it is not.
#[expect(clippy::cast_possible_truncation, reason = "integral and below 1e15 by the test before")]
#[expect(clippy::float_cmp, reason = "the question is whether the short text reads back as exactly this value")]
fn decimal(out: &mut Vec<u8>, v: f64, decimals: u8) {
    let Some(power) = POWERS.get(usize::from(decimals)).copied() else { return float(out, v) };
    let scaled = (v * power).round();
    if scaled.abs() >= EXACT || scaled / power != v {
        return float(out, v);
    }
    let (scaled, power) = (scaled as i64, power as i64);
    if scaled < 0 {
        out.push(b'-');
    }
    let (whole, mut rest) =
        (scaled.unsigned_abs() / power.unsigned_abs(), scaled.unsigned_abs() % power.unsigned_abs());
    unsigned(out, whole);
    if rest == 0 {
        return;
    }
    out.push(b'.');
    let mut unit = power.unsigned_abs();
    while rest > 0 {
        unit /= 10;
        out.push(digit(rest / unit));
        rest %= unit;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "integral and below 1e15 by the test before")]
fn float(out: &mut Vec<u8>, v: f64) {
    if v.fract() == 0.0 && v.abs() < EXACT { signed(out, v as i64) } else { write(out, &v) }
}

/// Appends by serde_json (shortest floats, fast integers; a number that is none would be `null`).
fn write<T: serde::Serialize>(out: &mut Vec<u8>, v: &T) {
    if serde_json::to_writer(&mut *out, v).is_err() {
        out.extend_from_slice(b"null");
    }
}

fn quoted(out: &mut Vec<u8>, inner: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    inner(out);
    out.push(b'"');
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

fn digit(n: u64) -> u8 {
    b'0' + (n % 10) as u8
}

/// Appends the digits of `n` from the place `unit` down.
fn digits(out: &mut Vec<u8>, n: i64, unit: i64) {
    let mut unit = unit;
    while unit > 0 {
        out.push(digit((n / unit).unsigned_abs()));
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_print_without_noise() {
        let print = |v, d| text(|o| value(o, v, d));
        assert_eq!(print(Value::Number(23.4), Some(1)), "23.4");
        assert_eq!(print(Value::Number(0.1 + 0.2), None), "0.30000000000000004");
        assert_eq!(print(Value::Number(5.0), Some(2)), "5");
        assert_eq!(print(Value::Number(-0.05), Some(2)), "-0.05");
        assert_eq!(print(Value::Number(1.25), Some(1)), "1.25");
        assert_eq!(print(Value::Single(23.4), None), "23.4");
        assert_eq!(print(Value::Single(5.0), None), "5");
        assert_eq!(print(Value::Counter(u64::MAX), None), "\"18446744073709551615\"");
        assert_eq!(print(Value::Integer(-9), None), "\"-9\"");
        assert_eq!(print(Value::Bool(true), None), "true");
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(text(|o| string(o, "a\"\\\n\u{1}罐区")), "\"a\\\"\\\\\\n\\u0001罐区\"");
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(text(|o| time(o, Timestamp(0))), "\"1970-01-01T00:00:00.000Z\"");
        assert_eq!(text(|o| time(o, Timestamp(1_795_420_801_250))), "\"2026-11-23T08:00:01.250Z\"");
        assert_eq!(text(|o| time(o, Timestamp(i64::MIN))), "\"0001-01-01T00:00:00.000Z\"");
        assert_eq!(text(|o| time(o, Timestamp(i64::MAX))), "\"9999-12-31T23:59:59.999Z\"");
    }

    proptest! {
        #[test]
        fn rounded_numbers_read_back_exactly(n in -1_000_000_000_i64..1_000_000_000, d in 0u8..7) {
            let v = n as f64 / POWERS[usize::from(d)];
            let printed = text(|o| value(o, Value::Number(v), Some(d)));
            prop_assert_eq!(printed.parse::<f64>().unwrap(), v);
            prop_assert!(printed.len() <= 12, "{}", printed);
        }

        #[test]
        fn any_finite_number_reads_back_exactly(v in proptest::num::f64::NORMAL, d in proptest::option::of(0u8..12)) {
            let printed = text(|o| value(o, Value::Number(v), d));
            // By std, which reads exactly; serde_json without `float_roundtrip` does not.
            prop_assert_eq!(printed.parse::<f64>().unwrap().to_bits(), v.to_bits());
        }

        #[test]
        fn times_agree_with_jiff(ms in -62_135_596_800_000_i64..253_402_300_799_999) {
            let printed = text(|o| time(o, Timestamp(ms)));
            let parsed: jiff::Timestamp = printed.trim_matches('"').parse().unwrap();
            prop_assert_eq!(parsed.as_millisecond(), ms);
        }

        #[test]
        fn strings_read_back(s in ".*") {
            let printed = text(|o| string(o, &s));
            prop_assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), s);
        }
    }
}
