//! How numbers, spans and times are written for people: fixed width where they change, never more digits than are true.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::lang::Lang;
use crate::domain::reading::Value;
use crate::domain::registry::PointSpec;
use crate::domain::time::Timestamp;

/// Longest unrounded number shown; floats that would be longer are cut to [`DIGITS`] significant digits.
const LONGEST: usize = 10;
/// Significant digits of a shortened float: those of an `f32`.
const DIGITS: i32 = 7;

/// The park's zone with its name.
#[derive(Clone, Debug)]
pub struct Zone {
    zone: TimeZone,
    name: String,
}

impl Zone {
    /// Returns the zone of this IANA name, or `None` when the machine does not know it.
    pub fn named(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        Some(Self { zone, name: name.to_owned() })
    }

    /// Returns UTC.
    pub fn utc() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }

    /// Returns the IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns date, time and offset, e.g. `2026-11-23 16:00:01 +08:00`.
    pub fn date_time(&self, at: Timestamp) -> String {
        self.write(at, "%Y-%m-%d %H:%M:%S %:z")
    }

    /// Returns the time of day, e.g. `16:00:01`.
    pub fn time(&self, at: Timestamp) -> String {
        self.write(at, "%H:%M:%S")
    }

    /// Returns the time of day without seconds, e.g. `16:00`.
    pub fn minute(&self, at: Timestamp) -> String {
        self.write(at, "%H:%M")
    }

    fn write(&self, at: Timestamp, pattern: &str) -> String {
        match jiff::Timestamp::from_millisecond(at.0) {
            Ok(time) => time.to_zoned_datetime(self.zone.clone()).strftime(pattern).to_string(),
            Err(_) => format!("{} ms", at.0),
        }
    }
}

/// Returns date and time in UTC, e.g. `2026-11-23 08:00:01Z`.
pub fn utc(at: Timestamp) -> String {
    Zone::utc().write(at, "%Y-%m-%d %H:%M:%SZ")
}

/// Returns a value with the point's decimals; floats without them in their shortest form, but not endless.
pub fn value(value: Value, decimals: Option<u8>) -> String {
    match (value, decimals) {
        (Value::Number(v), Some(decimals)) => format!("{v:.*}", usize::from(decimals)),
        (Value::Single(v), Some(decimals)) => format!("{v:.*}", usize::from(decimals)),
        (Value::Number(v), None) => shortened(v.to_string(), v),
        (Value::Single(v), None) => shortened(v.to_string(), f64::from(v)),
        (Value::Integer(_) | Value::Counter(_) | Value::Bool(_), _) => value.to_string(),
    }
}

/// Returns the decimals that a point is shown with: its own; of a float, what tells a thousandth of its range apart (an
/// instrument is not better than that, and a column of nine digits can not be read); `None` without either.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=6")]
pub fn decimals(spec: &PointSpec) -> Option<u8> {
    let of_range = |(low, high): (f64, f64)| (3.0 - (high - low).log10()).ceil().clamp(0.0, 6.0) as u8;
    spec.decimals.or_else(|| spec.range.filter(|(low, high)| high > low).map(of_range))
}

/// Returns a plain number, shortened.
pub fn number(v: f64) -> String {
    shortened(v.to_string(), v)
}

#[expect(clippy::cast_possible_truncation, reason = "the exponent of an f64 is within ±400")]
fn shortened(shortest: String, v: f64) -> String {
    if shortest.len() <= LONGEST {
        return shortest;
    }
    if v != 0.0 && !(1e-4..1e9).contains(&v.abs()) {
        return format!("{v:.4e}");
    }
    let whole = if v == 0.0 { 1 } else { v.abs().log10().floor() as i32 + 1 };
    let places = usize::try_from(DIGITS - whole).unwrap_or(0);
    let cut = format!("{v:.places$}");
    if cut.contains('.') { cut.trim_end_matches('0').trim_end_matches('.').to_owned() } else { cut }
}

/// Returns a count in groups of three, e.g. `1 234 567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// Returns bytes with a binary unit, e.g. `1.5 GiB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = n as f64;
    let mut unit = UNITS[0];
    for next in UNITS.into_iter().skip(1) {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{n} B") } else { format!("{size:.1} {unit}") }
}

/// Returns a short span with the digits that matter: `0.4 ms`, `850 ms`, `12.3 s`, `4:05 min`, `3 h 07 min`, `2 d 3 h`.
pub fn span(span: Duration, lang: Lang) -> String {
    let ms = span.as_secs_f64() * 1000.0;
    let secs = span.as_secs();
    let (min, hour, day) = (secs / 60, secs / 3600, secs / 86_400);
    match secs {
        0 if ms < 10.0 && ms > 0.0 => format!("{ms:.1} ms"),
        0 => format!("{ms:.0} ms"),
        1..60 => format!("{:.1} s", ms / 1000.0),
        60..3600 => format!("{min}:{:02} min", secs % 60),
        3600..86_400 => format!("{hour} h {:02} min", min % 60),
        _ => format!("{day} {} {} h", lang.pick("天", "d"), hour % 24),
    }
}

/// Returns a configured interval without noise: `100 ms`, `1 s`, `5 min`.
pub fn interval(interval: Duration) -> String {
    let ms = interval.as_millis();
    match ms {
        _ if ms.is_multiple_of(60_000) && ms > 0 => format!("{} min", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        _ => format!("{ms} ms"),
    }
}

/// Returns an achieved interval in the unit of its configured one, so that the two compare at a glance.
pub fn achieved(achieved: Duration, configured: Duration) -> String {
    if configured < Duration::from_secs(1) {
        format!("{:.0} ms", achieved.as_secs_f64() * 1000.0)
    } else {
        format!("{:.3} s", achieved.as_secs_f64())
    }
}

/// Returns an age to the tenth of a second below a minute.
pub fn age(age: Duration, lang: Lang) -> String {
    if age < Duration::from_secs(60) { format!("{:.1} s", age.as_secs_f64()) } else { span(age, lang) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_the_decimals_of_their_point() {
        assert_eq!(value(Value::Number(23.0), Some(1)), "23.0");
        assert_eq!(value(Value::Single(23.4), None), "23.4");
        assert_eq!(value(Value::Number(0.1 + 0.2), None), "0.3");
        assert_eq!(value(Value::Number(1.0 / 3.0), None), "0.3333333");
        assert_eq!(value(Value::Number(-123_456.789_012_3), None), "-123456.8");
        assert_eq!(
            value(Value::Number(1.23e-17), None),
            "1.23e-17".parse::<f64>().map_or(String::new(), |v| format!("{v:.4e}"))
        );
        assert_eq!(value(Value::Counter(u64::MAX), None), "18446744073709551615");
        assert_eq!(value(Value::Bool(true), None), "1");
    }

    #[test]
    fn a_float_is_shown_to_a_thousandth_of_its_range() {
        let of = |range| decimals(&PointSpec { decimals: None, range, ..crate::web::view::tests::point_spec("T") });
        assert_eq!(
            [of(Some((0.0, 150.0))), of(Some((-0.1, 0.6))), of(Some((0.0, 4e9))), of(None)],
            [Some(1), Some(4), Some(0), None]
        );
        assert_eq!(value(Value::Single(57.238_415), Some(1)), "57.2");
    }

    #[test]
    fn spans_read_like_speech() {
        let of = |ms| span(Duration::from_millis(ms), Lang::En);
        assert_eq!(
            [of(0), of(4), of(850), of(12_340), of(245_000), of(11_220_000), of(183_600_000)],
            ["0 ms", "4.0 ms", "850 ms", "12.3 s", "4:05 min", "3 h 07 min", "2 d 3 h"]
        );
    }

    #[test]
    fn counts_and_bytes_are_grouped() {
        assert_eq!(count(1_234_567), "1\u{a0}234\u{a0}567");
        assert_eq!(count(12), "12");
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(2 << 30)], ["0 B", "1023 B", "1.5 KiB", "2.0 GiB"]);
    }

    #[test]
    fn times_are_in_the_parks_zone_with_its_offset() {
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let at = Timestamp(1_795_420_801_000);
        assert_eq!(utc(at), "2026-11-23 08:00:01Z");
        assert_eq!(zone.date_time(at), "2026-11-23 16:00:01 +08:00");
        assert!(Zone::named("Asia/Nowhere").is_none());
        assert_eq!(zone.time(Timestamp(i64::MAX)), format!("{} ms", i64::MAX));
    }

    #[test]
    fn an_achieved_interval_is_in_the_unit_of_its_configured_one() {
        let (fast, slow) = (Duration::from_millis(200), Duration::from_secs(1));
        assert_eq!(achieved(Duration::from_micros(201_400), fast), "201 ms");
        assert_eq!(achieved(Duration::from_micros(1_001_400), slow), "1.001 s");
        assert_eq!([interval(fast), interval(slow), interval(Duration::from_secs(300))], ["200 ms", "1 s", "5 min"]);
    }
}
