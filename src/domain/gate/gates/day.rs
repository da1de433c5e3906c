//! The account of a day is closed by itself: ten minutes after the park's midnight, so that cameras and other gateways have
//! sent what was on its way (`domain.md` rule 60). Days that the gateway was off for are closed at its next start, as far back
//! as [`MAX_DAYS`]; none by a clock that cannot be trusted.

use std::time::Duration;

use super::Gates;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// What late records of the day are waited for.
const SETTLE: Duration = Duration::from_secs(600);
/// Days that are closed at once, at most: whoever was off for longer reads the passages themselves.
const MAX_DAYS: i64 = 7;
const DAY_MS: i64 = 86_400_000;

impl Gates {
    /// Closes the days that are over and not closed yet.
    pub(super) fn close_days(&mut self, now: Now) {
        let Some(today) = self.settled_day(now) else { return };
        // A gateway that never closed one begins with the day that it was started on.
        let last = *self.closed.get_or_insert(today - 1);
        if last >= today - 1 {
            return;
        }
        for day in (last + 1).max(today - MAX_DAYS)..today {
            let (from, to) = (self.begins(day), self.begins(day + 1));
            self.inside.reconcile(from, to, now);
        }
        self.closed = Some(today - 1);
        self.revision += 1;
    }

    /// Returns when the next day is to be closed.
    pub(super) fn day_due(&self, now: Now) -> Option<Mono> {
        let today = self.settled_day(now)?;
        let left = self.begins(today + 1).after(SETTLE).0.saturating_sub(now.wall.0);
        Some(now.mono + Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    /// The park's day, counted from 1970, as it was a while ago.
    fn settled_day(&self, now: Now) -> Option<i64> {
        let local = now.wall.before(SETTLE).0.saturating_add(self.offset_ms());
        (now.trust != ClockTrust::Unsynced).then(|| local.div_euclid(DAY_MS))
    }

    fn begins(&self, day: i64) -> Timestamp {
        Timestamp(day.saturating_mul(DAY_MS).saturating_sub(self.offset_ms()))
    }

    fn offset_ms(&self) -> i64 {
        i64::from(self.settings.register.utc_offset_s) * 1000
    }
}
