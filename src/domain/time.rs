//! The two times: [`Mono`] rules every delay and timeout, [`Timestamp`] is what people and the platform read, and never
//! travels without its [`ClockTrust`].

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Time that only goes forward: since the machine's start (`CLOCK_BOOTTIME`). Constructible from literals in tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub Duration);

impl Mono {
    /// Returns the time `secs` seconds after the machine's start.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Returns the time `ms` milliseconds after the machine's start.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// Returns how long before `self` the time `earlier` was; zero when it was not before.
    pub fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, delay: Duration) -> Mono {
        Mono(self.0.saturating_add(delay))
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;

    fn sub(self, delay: Duration) -> Mono {
        Mono(self.0.saturating_sub(delay))
    }
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

/// How far the wall clock can be believed. Travels with every record (IEC 61850 `ClockNotSynchronized`, IEC 60870-5 IV).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockTrust {
    /// The kernel says the clock is disciplined.
    Synced,
    /// It was disciplined since this start, and is running free now.
    Holdover,
    /// It has not been disciplined since this start: plausible at best, 1970 at worst.
    Unsynced,
}

impl ClockTrust {
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
