//! What was due and what came, per poll class: counted on the grid of due times, so that a poll that nobody reports (a
//! reader that died) is missed just as one that failed.

use std::time::Duration;

use super::field_event::Poll;
use super::time::Mono;

/// How many achieved intervals a class remembers: a p99 needs about a hundred; 128 × 4 bytes per class is nothing.
const N_INTERVALS: usize = 128;

/// Polls counted by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answered in full.
    pub ok: u64,
    /// Failed, in whole or in part.
    pub bad: u64,
    /// Fell due and never ran.
    pub skipped: u64,
}

impl Counts {
    /// Returns how many fell due.
    pub fn due(&self) -> u64 {
        self.ok + self.bad + self.skipped
    }

    /// Returns what came since `earlier`.
    pub fn since(&self, earlier: &Counts) -> Counts {
        Counts { ok: self.ok - earlier.ok, bad: self.bad - earlier.bad, skipped: self.skipped - earlier.skipped }
    }
}

/// The account of one poll class of one device.
#[derive(Clone, Debug)]
pub struct ClassAccount {
    interval: Duration,
    /// Due time up to which polls are counted.
    counted: Mono,
    /// Whether any poll was heard yet; before that `counted` is only when listening began.
    heard: bool,
    last_started: Option<Mono>,
    counts: Counts,
    worst_late: Duration,
    intervals: Vec<u32>,
    oldest: usize,
}

impl ClassAccount {
    /// Returns an empty account of a class polled every `interval`, listening from `now`.
    pub fn new(interval: Duration, now: Mono) -> Self {
        Self {
            interval,
            counted: now,
            heard: false,
            last_started: None,
            counts: Counts::default(),
            worst_late: Duration::ZERO,
            intervals: Vec::new(),
            oldest: 0,
        }
    }

    /// Takes the end of one poll into account, and returns what that counts. One that ended so late that
    /// [`ClassAccount::expire`] gave it up stays counted as skipped: what was due is counted once.
    #[inline]
    pub fn take(&mut self, poll: &Poll) -> Counts {
        self.worst_late = self.worst_late.max(poll.started.since(poll.due));
        if self.heard && poll.due <= self.counted {
            self.last_started = None;
            return Counts::default();
        }
        let missed = match self.heard {
            true if self.is_next(poll.due) => 0,
            true => self.steps_to(poll.due).saturating_sub(1),
            false => u64::from(poll.skipped),
        };
        self.counts.skipped += missed;
        if poll.ok {
            self.counts.ok += 1;
            self.take_interval(poll.started);
        } else {
            self.counts.bad += 1;
            self.last_started = None;
        }
        self.counted = poll.due;
        self.heard = true;
        Counts { ok: u64::from(poll.ok), bad: u64::from(!poll.ok), skipped: missed }
    }

    /// Counts as skipped what fell due long ago and was never heard of. One interval and the longest request timeout are
    /// left to polls still under way.
    pub fn expire(&mut self, now: Mono) {
        let horizon = now - (self.interval * 2 + Duration::from_secs(5));
        if horizon <= self.counted {
            return;
        }
        let silent = self.steps_to(horizon);
        self.counts.skipped += silent;
        self.counted = self.counted + self.interval * u32::try_from(silent).unwrap_or(u32::MAX);
        if silent > 0 {
            self.heard = true;
        }
    }

    /// Returns the configured interval.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns the counts since the account began.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the largest delay between due and started.
    pub fn worst_late(&self) -> Duration {
        self.worst_late
    }

    /// Returns median, 95th and 99th percentile of the last achieved intervals between polls answered one after the other.
    pub fn percentiles(&self) -> Option<[Duration; 3]> {
        let mut sorted = self.intervals.clone();
        sorted.sort_unstable();
        let at = |share: usize| {
            let index = (sorted.len() * share).div_ceil(100).saturating_sub(1);
            sorted.get(index).map(|us| Duration::from_micros(u64::from(*us)))
        };
        Some([at(50)?, at(95)?, at(99)?])
    }

    fn take_interval(&mut self, started: Mono) {
        if let Some(last) = self.last_started.replace(started) {
            let us = u32::try_from(started.since(last).as_micros()).unwrap_or(u32::MAX);
            if self.intervals.len() < N_INTERVALS {
                self.intervals.push(us);
            } else if let Some(slot) = self.intervals.get_mut(self.oldest) {
                *slot = us;
                self.oldest = (self.oldest + 1) % N_INTERVALS;
            }
        }
    }

    /// Whether `due` is no later than the due time after the one counted last: nearly always, and seen without a division.
    fn is_next(&self, due: Mono) -> bool {
        due.since(self.counted) <= self.interval
    }

    /// Returns how many due times lie in (counted, due], to the nearest.
    fn steps_to(&self, due: Mono) -> u64 {
        let interval = self.interval.as_nanos().max(1);
        let steps = (due.since(self.counted).as_nanos() + interval / 2) / interval;
        u64::try_from(steps).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::DeviceSlot;

    const SECOND: Duration = Duration::from_secs(1);

    fn poll(due_ms: u64, late_ms: u64, ok: bool) -> Poll {
        let due = Mono::from_millis(due_ms);
        let started = due + Duration::from_millis(late_ms);
        Poll { slot: DeviceSlot(0), class: 0, due, started, ended: started, ok, skipped: 0 }
    }

    #[test]
    fn what_fell_due_between_two_polls_was_skipped() {
        let mut account = ClassAccount::new(SECOND, Mono::from_secs(0));
        for due in [1_000, 2_000, 5_000] {
            account.take(&poll(due, 3, true));
        }
        assert_eq!(account.counts(), Counts { ok: 3, bad: 0, skipped: 2 });
    }

    #[test]
    fn a_reader_that_died_leaves_polls_that_nobody_reports_and_they_count() {
        let mut account = ClassAccount::new(SECOND, Mono::from_secs(0));
        account.take(&poll(1_000, 0, true));
        account.expire(Mono::from_secs(61));
        assert_eq!(account.counts().skipped, 53, "60 due since, less the 7 s left to polls under way");
    }

    #[test]
    fn the_polls_of_a_reader_that_came_back_are_not_counted_twice() {
        let mut account = ClassAccount::new(SECOND, Mono::from_secs(0));
        account.take(&poll(1_000, 0, true));
        account.expire(Mono::from_secs(61));
        account.take(&poll(62_000, 0, true));
        assert_eq!(account.counts().due(), 62);
    }

    #[test]
    fn a_poll_that_took_longer_than_it_was_waited_for_is_due_once() {
        let mut account = ClassAccount::new(SECOND, Mono::from_secs(0));
        account.take(&poll(1_000, 0, true));
        account.expire(Mono::from_secs(20));
        account.take(&Poll { ended: Mono::from_secs(21), ..poll(2_000, 0, true) });
        account.take(&poll(22_000, 0, true));
        assert_eq!(account.counts().due(), 22);
    }

    #[test]
    fn an_hourly_class_is_due_once_an_hour_however_often_it_is_looked_at() {
        let hour = Duration::from_secs(3600);
        let mut account = ClassAccount::new(hour, Mono::from_secs(0));
        account.take(&poll(500, 0, true));
        for half_minute in 1..=240 {
            account.expire(Mono::from_secs(half_minute * 30));
        }
        assert_eq!(account.counts(), Counts { ok: 1, bad: 0, skipped: 0 });
        account.take(&poll(7_200_500, 0, false));
        assert_eq!(account.counts(), Counts { ok: 1, bad: 1, skipped: 1 });
    }

    #[test]
    fn intervals_are_taken_between_polls_answered_one_after_the_other() {
        let mut account = ClassAccount::new(SECOND, Mono::from_secs(0));
        for (due, late, ok) in
            [(1_000, 0, true), (2_000, 10, true), (3_000, 0, false), (4_000, 0, true), (5_000, 0, true)]
        {
            account.take(&poll(due, late, ok));
        }
        assert_eq!(account.percentiles(), Some([1_000, 1_010, 1_010].map(Duration::from_millis)));
        assert_eq!(account.worst_late(), Duration::from_millis(10));
    }
}
