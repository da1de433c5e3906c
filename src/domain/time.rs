//! The two times: [`Mono`] rules every delay and timeout, [`Timestamp`] is what people and the platform read, and never
//! travels without its [`ClockTrust`].

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Time that only goes forward: since the machine's start (`CLOCK_BOOTTIME`), in whole nanoseconds, of which 64 bits last for
/// 584 years. Constructible from literals in tests.
///
/// One nanosecond more is kept, so that an `Option<Mono>` is no larger: every point, alarm and lane has some.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(NonZeroU64);

impl Mono {
    /// Returns the time `secs` seconds after the machine's start.
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_nanos(secs.saturating_mul(1_000_000_000))
    }

    /// Returns the time `ms` milliseconds after the machine's start.
    pub const fn from_millis(ms: u64) -> Self {
        Self::from_nanos(ms.saturating_mul(1_000_000))
    }

    /// Returns the time `ns` nanoseconds after the machine's start.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(ns))
    }

    /// Returns how long after the machine's start this is.
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// Returns how many whole seconds after the machine's start this is.
    pub const fn seconds(self) -> u64 {
        self.nanos() / 1_000_000_000
    }

    /// Returns how many whole milliseconds after the machine's start this is.
    pub const fn millis(self) -> u64 {
        self.nanos() / 1_000_000
    }

    /// Returns how many nanoseconds after the machine's start this is.
    pub const fn nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// Returns how long before `self` the time `earlier` was; zero when it was not before.
    pub const fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Mono {
    /// The machine's start.
    fn default() -> Self {
        Self::from_nanos(0)
    }
}

impl From<Duration> for Mono {
    /// So long after the machine's start.
    fn from(since_start: Duration) -> Self {
        Self::from_nanos(nanos(since_start))
    }
}

impl fmt::Debug for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mono").field(&self.since_start()).finish()
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, delay: Duration) -> Mono {
        Mono(self.0.saturating_add(nanos(delay)))
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;

    fn sub(self, delay: Duration) -> Mono {
        Mono::from_nanos(self.nanos().saturating_sub(nanos(delay)))
    }
}

/// The nanoseconds of a span; what is longer than 584 years is as long as those.
const fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos() as u64)
}

/// Wall time: milliseconds since 1970-01-01T00:00:00Z. Printed in UTC; days and reports use the park's zone elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns this time moved back by `age`.
    pub fn before(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns this time moved forward by `delay`.
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    /// UTC with milliseconds, as on the wire: `2026-11-23T08:00:00.120Z`. Years beyond 0000..=9999 are clamped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY_MS: i64 = 86_400_000;
        let ms = self.0.clamp(-62_167_219_200_000, 253_402_300_799_999);
        let (year, month, day) = civil(ms.div_euclid(DAY_MS));
        let of_day = ms.rem_euclid(DAY_MS);
        let (h, m, s, ms) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    }
}

impl Timestamp {
    /// Reads what `Display` writes: `2026-11-23T08:00:00.120Z`, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
        if bytes.len() != 24 || marks.iter().any(|(at, mark)| bytes.get(*at) != Some(mark)) {
            return None;
        }
        let number = |at: usize, n: usize| {
            bytes
                .get(at..at + n)?
                .iter()
                .try_fold(0i64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
        let (h, m, s, ms) = (number(11, 2)?, number(14, 2)?, number(17, 2)?, number(20, 3)?);
        let days = days_from_civil(year, month, day);
        let real = civil(days) == (year, month, day) && h < 24 && m < 60 && s < 60;
        real.then(|| Self(((days * 24 + h) * 60 + m) * 60_000 + s * 1000 + ms))
    }
}

impl Serialize for Timestamp {
    /// As `Display`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a time such as 2026-11-23T08:00:00.120Z"))
    }
}

/// Returns the number of days from 1970-01-01 to this date (H. Hinnant, `days_from_civil`). A date that does not exist gives
/// the day of another one.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Returns year, month and day of the day `days` after 1970-01-01, in the proleptic Gregorian calendar (H. Hinnant,
/// "chrono-compatible low-level date algorithms", `civil_from_days`).
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// How long a clock that nobody disciplines any more counts as [`ClockTrust::Holdover`].
///
/// The kernel itself calls it disciplined until its estimate of the error reaches 16 s, which grows by 500 ppm: 8.9 h after
/// the last correction. With these 15 h it has then run free for a day. A plain crystal whose own error the discipline has
/// taken out strays by up to 50 ppm with the temperature of a field cabinet: 86,400 s × 50 ppm = 4.3 s, just within the 5 s
/// a day that GB 50396-2007 5.1.3 allows a host. Beyond it nobody can promise that.
pub const HOLDOVER_MAX: Duration = Duration::from_secs(15 * 3600);

/// How far the wall clock can be believed. Travels with every record (IEC 61850 `ClockNotSynchronized`, IEC 60870-5 IV).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockTrust {
    /// The kernel says the clock is disciplined.
    Synced,
    /// It was disciplined since this start, and is running free now, for less than [`HOLDOVER_MAX`].
    Holdover,
    /// It has not been disciplined since this start, or not for [`HOLDOVER_MAX`]: plausible at best, 1970 at worst.
    Unsynced,
}

impl ClockTrust {
    /// Returns the trust in a clock: whether the kernel says that it is disciplined, and how long ago it last said so in this
    /// run.
    pub fn of(synced: bool, since_synced: Option<Duration>) -> Self {
        match since_synced {
            _ if synced => Self::Synced,
            Some(age) if age < HOLDOVER_MAX => Self::Holdover,
            Some(_) | None => Self::Unsynced,
        }
    }

    /// Returns the word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Holdover => "holdover",
            Self::Unsynced => "unsynced",
        }
    }
}

impl fmt::Display for ClockTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One look at all clocks, taken by `clock.rs` and handed to the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time.
    pub mono: Mono,
    /// Wall time at the same instant.
    pub wall: Timestamp,
    /// Trust in `wall`.
    pub trust: ClockTrust,
}

impl Now {
    /// Returns the wall time of the earlier (or equal) monotonic instant `at`, by the clock as it stands now.
    pub fn wall_at(&self, at: Mono) -> Timestamp {
        self.wall.before(self.mono.since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holdover_ends_when_the_clock_may_have_strayed_too_far() {
        let hour = Duration::from_secs(3600);
        let age = |hours: u32| Some(hour * hours);
        assert_eq!(ClockTrust::of(true, None), ClockTrust::Synced);
        assert_eq!(ClockTrust::of(false, None), ClockTrust::Unsynced, "never in this run");
        assert_eq!(ClockTrust::of(false, age(14)), ClockTrust::Holdover);
        assert_eq!(ClockTrust::of(false, age(15)), ClockTrust::Unsynced);
        assert_eq!(ClockTrust::of(true, age(15)), ClockTrust::Synced);
        let free = HOLDOVER_MAX.as_secs_f64() + 16.0 / 500e-6;
        assert!(free * 50e-6 < 5.0, "the arithmetic of the constant");
    }

    #[test]
    fn time_since_the_start_stays_within_its_584_years() {
        let (start, noon) = (Mono::default(), Mono::from_secs(43_200));
        assert_eq!((noon - Duration::from_secs(43_201), start.since(noon)), (start, Duration::ZERO));
        let last = noon + Duration::MAX;
        assert_eq!((last, last + Duration::from_nanos(1)), (Mono::from_nanos(u64::MAX), last));
        assert_eq!((Mono::from_secs(u64::MAX), Mono::from(Duration::MAX)), (last, last));
        assert_eq!((start.nanos(), noon.millis(), noon.seconds()), (0, 43_200_000, 43_200));
        assert_eq!(Mono::from_millis(1_500).since_start(), Duration::from_millis(1_500));
        assert_eq!((size_of::<Mono>(), size_of::<Option<Mono>>()), (8, 8));
    }

    #[test]
    fn wall_time_prints_as_on_the_wire() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_507_200_120, "2026-11-24T08:00:00.120Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(Timestamp(ms).to_string(), text);
        }
    }

    #[test]
    fn what_is_printed_is_read_back_and_nothing_else() {
        for ms in (-62_167_219_200_000i64..253_402_300_799_999).step_by(86_400_000 * 97 + 12_345_678) {
            assert_eq!(Timestamp::parse(&Timestamp(ms).to_string()), Some(Timestamp(ms)));
        }
        for text in [
            "",
            "2026-02-30T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01 00:00:00.000Z",
            "2026-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert_eq!(serde_json::from_str::<Timestamp>("\"1970-01-01T00:00:00.001Z\"").unwrap(), Timestamp(1));
        assert_eq!(serde_json::to_string(&Timestamp(1)).unwrap(), "\"1970-01-01T00:00:00.001Z\"");
    }

    #[test]
    fn it_agrees_with_a_calendar_library_over_the_centuries() {
        for day in (-700_000i64..2_900_000).step_by(97) {
            let ms = day * 86_400_000 + 12_345_678;
            let expected = jiff::Timestamp::from_millisecond(ms).map(|t| format!("{t:.3}"));
            if let Ok(expected) = expected
                && !expected.starts_with('-')
            {
                assert_eq!(Timestamp(ms).to_string(), expected);
            }
        }
    }
}
