//! What is due when: a fixed-rate grid per poll class, shifted by a phase of the device's own.
//!
//! ```text
//!   grid      │     │     │     │     │          due = start + phase + n · interval
//!   polls     ██    ███████████████   ██         the instants under a poll are skipped and counted:
//!                         s     s                they stand in the next poll's `skipped`
//! ```
//!
//! A grid does not drift: a late poll does not move the instants after it. Between classes that are ready at once the
//! one with the earlier [`Grid::deadline`] goes first (due + interval): fast before slow when both fall due together,
//! and nobody starves on a link that is too slow for all, because a deadline that waits stands still.

use std::time::Duration;

use crate::domain::time::Mono;

/// First polls are spread over at most this time, so that a restart shows every device within two seconds.
pub const MAX_PHASE: Duration = Duration::from_secs(1);
/// Shorter intervals are not scheduled (the configuration refuses anything below 100 ms).
const MIN_INTERVAL: Duration = Duration::from_millis(1);
/// A device that answers again is asked at once for what it owes, but for what falls due within this time.
const CATCH_UP_ABOVE: Duration = Duration::from_secs(5);

/// The instants at which one poll class of one device is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    interval: Duration,
    due: Mono,
    skipped: u32,
    /// A poll between two instants, when there is one.
    extra: Option<Mono>,
}

impl Grid {
    /// Returns a grid whose first instant is `now` plus the phase of the device `id`.
    pub fn new(now: Mono, interval: Duration, id: &str) -> Self {
        let interval = interval.max(MIN_INTERVAL);
        Self { interval, due: now + phase_of(id, interval), skipped: 0, extra: None }
    }

    /// Returns its interval.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns when the next poll (or the one under way) is due.
    pub fn due(&self) -> Mono {
        self.extra.unwrap_or(self.due)
    }

    /// Returns when the poll after that is due: the time by which this one should be over.
    pub fn deadline(&self) -> Mono {
        self.due() + self.interval
    }

    /// Makes a poll due at `now`, beside the grid, unless an instant is near anyway.
    pub fn catch_up(&mut self, now: Mono) {
        if self.due.since(now) > CATCH_UP_ABOVE {
            self.extra = Some(now);
        }
    }

    /// Ends the poll that was due at [`Grid::due`] and goes to the first instant not before `ended`. Returns how many
    /// instants had been skipped before the poll that ended.
    pub fn finish(&mut self, ended: Mono) -> u32 {
        if self.extra.take().is_some() {
            // The instants that came meanwhile, usually none, were not polled.
            let steps = steps_until(self.interval, ended.since(self.due));
            self.due = self.due + self.interval.saturating_mul(steps);
            return std::mem::replace(&mut self.skipped, steps);
        }
        let steps = steps_until(self.interval, ended.since(self.due)).max(1);
        self.due = self.due + self.interval.saturating_mul(steps);
        std::mem::replace(&mut self.skipped, steps - 1)
    }

    /// Returns the first instant not before `at`, counted from the current one.
    pub fn first_from(&self, at: Mono) -> Mono {
        self.due + self.interval.saturating_mul(steps_until(self.interval, at.since(self.due)))
    }
}

/// Returns how many intervals it takes to cover `elapsed`.
fn steps_until(interval: Duration, elapsed: Duration) -> u32 {
    let steps = elapsed.as_nanos().div_ceil(interval.as_nanos().max(1));
    u32::try_from(steps).unwrap_or(u32::MAX)
}

/// Returns the device's share of the interval (of one second at most): the same at each start, spread over devices.
fn phase_of(id: &str, interval: Duration) -> Duration {
    let share = f64::from(fnv1a(id)) / (f64::from(u32::MAX) + 1.0);
    interval.min(MAX_PHASE).mul_f64(share)
}

/// FNV-1a with a final mix (names that differ in the last digit must not lie side by side).
pub(crate) fn fnv1a(text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(interval_ms: u64) -> Grid {
        Grid { interval: Duration::from_millis(interval_ms), due: Mono::from_secs(100), skipped: 0, extra: None }
    }

    #[test]
    fn a_poll_in_time_skips_nothing_and_does_not_drift() {
        let mut grid = grid(1000);
        for n in 1..=50 {
            assert_eq!(grid.finish(grid.due() + Duration::from_millis(990)), 0);
            assert_eq!(grid.due(), Mono::from_secs(100 + n));
        }
    }

    #[test]
    fn a_poll_to_catch_up_moves_no_instant() {
        let mut grid = grid(60_000);
        grid.catch_up(Mono::from_secs(98));
        assert_eq!(grid.due(), Mono::from_secs(100), "that is soon");
        grid.catch_up(Mono::from_secs(50));
        assert_eq!((grid.due(), grid.finish(Mono::from_secs(51)), grid.due()), (at(50), 0, at(100)));
        grid.catch_up(Mono::from_secs(90));
        assert_eq!((grid.finish(Mono::from_secs(101)), grid.due()), (0, at(160)));
        assert_eq!(grid.finish(Mono::from_secs(161)), 1, "the instant at 100");
    }

    fn at(secs: u64) -> Mono {
        Mono::from_secs(secs)
    }

    #[test]
    fn instants_under_a_long_poll_are_counted_in_the_next_one() {
        let mut grid = grid(1000);
        assert_eq!(grid.finish(Mono::from_millis(102_500)), 0);
        assert_eq!(grid.due(), Mono::from_secs(103));
        assert_eq!(grid.finish(Mono::from_millis(103_010)), 2);
        assert_eq!(grid.finish(Mono::from_millis(104_010)), 0);
    }

    #[test]
    fn an_instant_at_the_very_end_of_a_poll_is_not_skipped() {
        let mut grid = grid(1000);
        grid.finish(Mono::from_secs(101));
        assert_eq!(grid.due(), Mono::from_secs(101));
    }

    #[test]
    fn two_hundred_devices_do_not_fire_in_one_instant() {
        let mut tenths = [0_u32; 10];
        for n in 0..200 {
            let due = Grid::new(Mono::default(), Duration::from_secs(1), &format!("plc-{n}")).due();
            assert!(due < Mono::from_secs(1));
            tenths[usize::try_from(due.millis() / 100).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|n| (8..=36).contains(n)), "{tenths:?}");
    }

    #[test]
    fn a_slow_class_is_first_polled_within_a_second_too() {
        let grid = Grid::new(Mono::default(), Duration::from_secs(3600), "meter-3");
        assert!(grid.due().since_start() <= MAX_PHASE);
    }

    proptest! {
        #[test]
        fn every_instant_is_polled_or_counted(interval in 100_u64..2000, runs in prop::collection::vec(0_u64..5000, 1..60)) {
            let mut grid = grid(interval);
            let (mut polls, mut skipped) = (0_u64, 0_u64);
            for run in &runs {
                skipped += u64::from(grid.finish(grid.due() + Duration::from_millis(*run)));
                polls += 1;
            }
            let instants = grid.due().since(Mono::from_secs(100)).as_millis() / u128::from(interval);
            prop_assert_eq!(u128::from(polls + skipped + u64::from(grid.skipped)), instants);
        }

        #[test]
        fn the_first_instant_from_a_time_is_on_the_grid_and_the_first(interval in 1_u64..5000, at in 0_u64..200_000) {
            let grid = grid(interval);
            let at = Mono::from_millis(at);
            let first = grid.first_from(at);
            prop_assert!(first >= at && first >= grid.due());
            prop_assert!(first == grid.due() || first - Duration::from_millis(interval) < at);
            prop_assert_eq!(first.since(grid.due()).as_millis() % u128::from(interval), 0);
        }
    }
}
