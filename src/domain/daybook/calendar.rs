//! Days of the park, as its clocks on the wall count them. The core has no table of time zones: a [`Calendar`] is given to
//! it, a pure mapping between local time and instants, so that a day of 23 or 25 hours is a day like any other.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::time::{Timestamp, civil, days_from_civil};

/// A date of the park: days since 1970-01-01. Written `2026-11-23`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

impl Date {
    /// Reads `2026-11-23`; a date that does not exist is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-').map(|part| {
            let digits = part.len() <= 4 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<i64>().ok()).flatten()
        });
        let date = (parts.next()??, parts.next()??, parts.next()??);
        Self::of(date).filter(|_| text.len() == 10)
    }

    /// Returns the date of year, month and day; `None` for one that does not exist.
    pub fn of(date: (i64, i64, i64)) -> Option<Self> {
        let days = days_from_civil(date.0, date.1, date.2);
        (civil(days) == date).then(|| i32::try_from(days).ok().map(Self)).flatten()
    }

    /// Returns year, month and day.
    pub fn parts(self) -> (i64, i64, i64) {
        civil(i64::from(self.0))
    }

    /// Returns the date so many days later; negative is earlier.
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Returns the day of the week, 0 Monday to 6 Sunday.
    pub fn weekday(self) -> u8 {
        // 1970-01-01 was a Thursday.
        u8::try_from((i64::from(self.0) + 3).rem_euclid(7)).unwrap_or(0)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a date such as 2026-11-23"))
    }
}

/// A local time of day in minutes, 0..1440. Written `17:00`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(u16);

impl Minute {
    /// Midnight, at which the day begins.
    pub const MIDNIGHT: Minute = Minute(0);

    /// Returns `hour:minute`, if there is such a time.
    pub const fn new(hour: u16, minute: u16) -> Option<Self> {
        if hour < 24 && minute < 60 { Some(Self(hour * 60 + minute)) } else { None }
    }

    /// Reads `17:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let two = |part: &str| {
            (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten()
        };
        Self::new(two(hour)?, two(minute)?)
    }

    /// Returns the minutes since midnight, 0..1440.
    pub fn minutes(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for Minute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Minute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a time of day such as 17:00"))
    }
}

/// Local time in the park's zone.
pub trait Calendar: fmt::Debug + Send + Sync {
    /// Returns the local date at this instant.
    fn date_at(&self, at: Timestamp) -> Date;

    /// Returns the instant at which this time is on the clocks of that date. A time that a change of the clocks leaves out
    /// is as far behind the change; one that comes twice is the first.
    fn instant(&self, date: Date, time: Minute) -> Timestamp;
}

/// A zone with one offset for ever, such as Beijing's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedOffset {
    /// Minutes east of Greenwich.
    pub minutes: i32,
}

impl FixedOffset {
    /// UTC+8.
    pub const BEIJING: FixedOffset = FixedOffset { minutes: 480 };

    fn ms(self) -> i64 {
        i64::from(self.minutes) * 60_000
    }
}

impl Calendar for FixedOffset {
    fn date_at(&self, at: Timestamp) -> Date {
        let days = at.0.saturating_add(self.ms()).div_euclid(86_400_000);
        Date(i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX }))
    }

    fn instant(&self, date: Date, time: Minute) -> Timestamp {
        Timestamp(i64::from(date.0) * 86_400_000 + i64::from(time.0) * 60_000 - self.ms())
    }
}

/// One day as a report covers it, and when the report is due. The end of a day is the start of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalDay {
    /// Local date of its last moment: with a cut at 17:00 the day begins on the afternoon before.
    pub date: Date,
    /// Its first moment.
    pub starts: Timestamp,
    /// The first moment of the next day.
    pub ends: Timestamp,
    /// When its report is due: not before it ends.
    pub due_at: Timestamp,
}

impl LocalDay {
    /// Returns the day named `date`, which ends at `cut` and is reported at the next `at`.
    pub fn of(calendar: &dyn Calendar, date: Date, cut: Minute, at: Minute) -> Self {
        let base = if cut == Minute::MIDNIGHT { date.plus(1) } else { date };
        let (starts, ends) = (calendar.instant(base.plus(-1), cut), calendar.instant(base, cut));
        let due_at = match calendar.instant(base, at) {
            due_at if due_at >= ends => due_at,
            _ => calendar.instant(base.plus(1), at),
        };
        Self { date, starts, ends, due_at }
    }

    /// Returns the day to which the instant belongs.
    pub fn at(calendar: &dyn Calendar, instant: Timestamp, cut: Minute, at: Minute) -> Self {
        let date = calendar.date_at(instant);
        let day = Self::of(calendar, date, cut, at);
        if instant >= day.ends {
            Self::of(calendar, date.plus(1), cut, at)
        } else if instant < day.starts {
            Self::of(calendar, date.plus(-1), cut, at)
        } else {
            day
        }
    }

    /// Returns whether the instant is in the day.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.starts <= instant && instant < self.ends
    }

    /// Returns its length in milliseconds.
    pub fn length_ms(&self) -> u64 {
        u64::try_from(self.ends.0.saturating_sub(self.starts.0)).unwrap_or(0)
    }

    /// Returns how many milliseconds of `from..to` lie in the day.
    pub fn overlap_ms(&self, from: Timestamp, to: Timestamp) -> u64 {
        let (from, to) = (from.max(self.starts), to.min(self.ends));
        u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)
    }
}

#[cfg(test)]
pub(super) mod testing {
    use jiff::civil::DateTime;
    use jiff::tz::TimeZone;

    use super::*;

    /// A zone of the tz database, as the application gives it.
    #[derive(Debug)]
    pub(crate) struct Zone(pub(crate) TimeZone);

    impl Zone {
        pub(crate) fn named(name: &str) -> Self {
            Self(TimeZone::get(name).unwrap())
        }
    }

    impl Calendar for Zone {
        fn date_at(&self, at: Timestamp) -> Date {
            let date = self.0.to_datetime(jiff::Timestamp::from_millisecond(at.0).unwrap()).date();
            Date::parse(&date.to_string()).unwrap()
        }

        fn instant(&self, date: Date, time: Minute) -> Timestamp {
            let local: DateTime = format!("{date}T{time}:00").parse().unwrap();
            Timestamp(self.0.to_ambiguous_timestamp(local).compatible().unwrap().as_millisecond())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Zone;
    use super::*;

    fn minute(text: &str) -> Minute {
        Minute::parse(text).unwrap()
    }

    #[test]
    fn dates_and_times_are_read_as_they_are_written_and_nothing_else_is() {
        for text in ["1970-01-01", "2026-11-23", "2028-02-29"] {
            assert_eq!(Date::parse(text).unwrap().to_string(), text);
        }
        for text in ["2027-02-29", "2026-1-1", "26-11-23", "2026-11-23 ", "", "2026-13-01"] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert_eq!(minute("17:00").to_string(), "17:00");
        for text in ["24:00", "7:00", "17:60", "1700", ""] {
            assert_eq!(Minute::parse(text), None, "{text}");
        }
        assert_eq!(Date::parse("2026-11-23").unwrap().weekday(), 0, "a Monday");
    }

    #[test]
    fn a_day_cut_at_five_is_named_by_the_date_on_which_it_ends_and_reported_at_once() {
        let five = minute("17:00");
        let day = LocalDay::of(&FixedOffset::BEIJING, Date::parse("2026-11-23").unwrap(), five, five);
        assert_eq!(day.starts.to_string(), "2026-11-22T09:00:00.000Z");
        assert_eq!(day.ends.to_string(), "2026-11-23T09:00:00.000Z");
        assert_eq!(day.due_at, day.ends);
    }

    #[test]
    fn a_calendar_day_is_reported_on_the_next_morning() {
        let date = Date::parse("2026-11-23").unwrap();
        let day = LocalDay::of(&FixedOffset::BEIJING, date, Minute::MIDNIGHT, minute("08:00"));
        assert_eq!(day.starts.to_string(), "2026-11-22T16:00:00.000Z");
        assert_eq!(day.ends.to_string(), "2026-11-23T16:00:00.000Z");
        assert_eq!(day.due_at.to_string(), "2026-11-24T00:00:00.000Z");
    }

    #[test]
    fn days_meet_without_gap_and_without_overlap_in_zones_with_and_without_summer_time() {
        let zones: [Box<dyn Calendar>; 4] = [
            Box::new(FixedOffset::BEIJING),
            Box::new(Zone::named("Asia/Shanghai")),
            Box::new(Zone::named("Europe/Berlin")),
            Box::new(Zone::named("America/Santiago")),
        ];
        for zone in &zones {
            for (cut, at) in [("17:00", "17:00"), ("00:00", "00:30"), ("02:30", "08:00"), ("23:59", "00:00")] {
                let (cut, at) = (minute(cut), minute(at));
                let mut day = LocalDay::of(&**zone, Date::parse("2026-01-01").unwrap(), cut, at);
                for _ in 0..800 {
                    let next = LocalDay::of(&**zone, day.date.plus(1), cut, at);
                    assert_eq!(day.ends, next.starts);
                    assert!(day.due_at >= day.ends && day.due_at < next.due_at);
                    assert!((82_800_000..=90_000_000).contains(&day.length_ms()), "{day:?}");
                    for instant in [day.starts, Timestamp(day.ends.0 - 1), Timestamp(day.starts.0 + 40_000_000)] {
                        assert_eq!(LocalDay::at(&**zone, instant, cut, at), day, "{zone:?} {instant}");
                    }
                    day = next;
                }
            }
        }
    }
}
