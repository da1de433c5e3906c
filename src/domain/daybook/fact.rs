//! What the daybook is told: small facts, so that it depends on no other machine's types.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::alarm::record::AlarmRecord;
use crate::domain::alarm::state::{Cause, State};
use crate::domain::record::Mode;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// When something happened, so that it can be dated later by a clock that is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Start counter of the gateway: monotonic times of two starts are not compared.
    pub boot: u32,
    /// Monotonic time in milliseconds.
    pub mono_ms: u64,
    /// Wall time by the clock of then, or by the one that was trusted later in the same run.
    pub wall: Timestamp,
    /// Whether `wall` can be believed.
    pub trusted: bool,
}

impl Moment {
    /// Returns the moment `at` of this run.
    pub(super) fn of(boot: u32, at: Mono, now: Now) -> Self {
        let trusted = now.trust != ClockTrust::Unsynced;
        Self { boot, mono_ms: at.millis(), wall: now.wall_at(at), trusted }
    }

    /// Returns the monotonic time; of use in the same run only.
    pub(super) fn mono(self) -> Mono {
        Mono::from_millis(self.mono_ms)
    }

    /// Returns the moment so much earlier.
    pub(super) fn earlier(self, by: Duration) -> Self {
        Self { mono_ms: self.mono_ms.saturating_sub(ms(by)), wall: self.wall.before(by), ..self }
    }

    /// Dates a moment of this run by a clock that is trusted now.
    pub(super) fn settle(&mut self, boot: u32, now: Now) {
        if self.boot == boot && !self.trusted && now.trust != ClockTrust::Unsynced {
            self.wall = now.wall_at(self.mono());
            self.trusted = true;
        }
    }

    /// Returns the time from `self` to `later`, where it can be known: by the monotonic clock within a run, else by wall
    /// clocks that were both trusted.
    pub(super) fn until(self, later: Moment) -> Option<Duration> {
        if self.boot == later.boot {
            return Some(Duration::from_millis(later.mono_ms.saturating_sub(self.mono_ms)));
        }
        let both = self.trusted && later.trusted;
        both.then(|| u64::try_from(later.wall.0.saturating_sub(self.wall.0)).ok().map(Duration::from_millis)).flatten()
    }
}

/// Returns whole milliseconds.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Something that belongs into the day's account.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// What was due and what came of one device; each at most a minute, also when nothing changed.
    Coverage(CoverageFact),
    /// A transition of an alarm.
    Alarm(AlarmFact),
    /// More alarms came than a person can take in (`domain.md` rule 95).
    AlarmFlood,
    /// An alarm began to chatter.
    Chattering,
    /// The gateway started.
    Boot {
        /// Wall time of the last sign of life before, where one is known.
        last_seen: Option<Timestamp>,
        /// How long it was off, where both clocks allow to say it.
        off: Option<Duration>,
        /// Whether the last run ended by an orderly stop.
        clean: bool,
    },
    /// The site, or a zone of it, entered a state.
    Site {
        /// Zone; `park` for all of it.
        zone: String,
        /// The state's word; `normal` ends an episode.
        state: String,
        /// Whether it is a drill.
        drill: bool,
    },
    /// A write to an output ended.
    Output {
        /// The output, or the barrier behind it.
        output: String,
        /// Whether it was done and seen to be done.
        done: bool,
    },
    /// Somebody or something crossed at a gate of this gateway.
    Passage {
        /// Direction and class, such as `in.hazmat` or `out.person`.
        counter: String,
    },
}

/// What was due and what came of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageFact {
    /// Id of the device.
    pub device: String,
    /// Length of the span that ends at the fact's time.
    pub span: Duration,
    /// Polls that fell due.
    pub due: u32,
    /// Polls answered in full.
    pub ok: u32,
    /// Polls that failed, in whole or in part.
    pub bad: u32,
    /// Polls that never ran.
    pub skipped: u32,
}

/// A transition of an alarm, as far as the day's account needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmFact {
    /// Id of the alarm.
    pub alarm: String,
    /// Its occurrence, unique in the epoch.
    pub occ: String,
    /// Class, a word such as `gas`.
    pub class: String,
    /// Level, 1 or 2.
    pub level: u8,
    /// What happened.
    pub step: AlarmStep,
    /// Whether the occurrence is over with it: nothing is left to do.
    pub over: bool,
    /// Whether the world meant it.
    pub mode: Mode,
}

impl From<&AlarmRecord> for AlarmFact {
    fn from(record: &AlarmRecord) -> Self {
        Self {
            alarm: record.alarm.to_string(),
            occ: record.occ.to_string(),
            class: record.class.as_str().to_owned(),
            level: record.level,
            step: match record.cause {
                Cause::Active if record.from == State::Normal => AlarmStep::Raised,
                Cause::Active => AlarmStep::Again,
                Cause::LevelUp => AlarmStep::Worse,
                Cause::Ack => AlarmStep::Acknowledged,
                Cause::Clear => AlarmStep::Cleared,
                Cause::Shelved => AlarmStep::Shelved,
                _ if record.to == State::Unacked && record.from != State::Unacked => AlarmStep::Again,
                Cause::LevelDown
                | Cause::Reset
                | Cause::ResetRefused
                | Cause::Unshelved
                | Cause::ShelfExpired
                | Cause::ShelfBroken
                | Cause::OutOfService
                | Cause::Returned
                | Cause::ServiceExpired
                | Cause::Suppressed
                | Cause::Unsuppressed
                | Cause::Removed
                | Cause::Escalated
                | Cause::Receipt => AlarmStep::Other,
            },
            over: record.to == State::Normal || record.cause == Cause::Removed,
            mode: record.mode,
        }
    }
}

/// What happened to an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmStep {
    /// The occurrence began.
    Raised,
    /// It became worse: a new acknowledgement is due.
    Worse,
    /// The cause is back before the occurrence was over.
    Again,
    /// A person acknowledged.
    Acknowledged,
    /// The cause is gone.
    Cleared,
    /// Put aside for a time, with a reason.
    Shelved,
    /// Any other transition.
    Other,
}
