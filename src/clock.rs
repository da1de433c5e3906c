//! The only reader of the operating system's time: monotonic for every delay, wall time with its trust.
//!
//! Everything else takes `now` as an argument, or sleeps by [`Clock::sleep_until`]; so a test with tokio's paused time
//! moves the whole gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};
use crate::sys;

/// A difference between the kernel's two clocks below this is the time between reading them.
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);

const NEVER: u64 = u64::MAX;

/// A handle to the machine's clocks. Cheap to clone; all clones share the trust last read from the kernel.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: Instant,
    origin_mono: Duration,
    origin_slept: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    trust: AtomicU8,
    /// The kernel is not asked any more.
    fixed: AtomicBool,
    /// When the kernel last said that the clock is disciplined, in milliseconds of [`Mono`]; [`NEVER`] in this run.
    synced_ms: AtomicU64,
    /// How long the machine has slept since the origin: tokio's time leaves it out, ours does not.
    slept_ms: AtomicU64,
    max_error_us: AtomicU64,
    steps: AtomicU64,
    last_step_ms: AtomicI64,
}

impl Clock {
    /// Returns the machine's clock, its trust read once. Must be called inside a tokio runtime.
    pub fn system() -> Self {
        let clock = Self {
            origin: instant_now(),
            origin_mono: sys::clock::boottime(),
            origin_slept: sys::clock::slept().unwrap_or_default(),
            shared: Arc::new(Shared {
                trust: AtomicU8::new(code_of(ClockTrust::Unsynced)),
                fixed: AtomicBool::new(false),
                synced_ms: AtomicU64::new(NEVER),
                slept_ms: AtomicU64::new(0),
                max_error_us: AtomicU64::new(0),
                steps: AtomicU64::new(0),
                last_step_ms: AtomicI64::new(0),
            }),
        };
        clock.refresh_trust();
        clock
    }

    /// Returns all clocks at this instant.
    pub fn now(&self) -> Now {
        self.notice_sleep();
        Now { mono: self.mono(), wall: wall_now(), trust: self.trust() }
    }

    /// Returns monotonic time.
    pub fn mono(&self) -> Mono {
        Mono::from(self.origin_mono + self.slept() + instant_now().saturating_duration_since(self.origin))
    }

    /// A machine that slept wakes up with its wall clock gone on: without this it would look like a step of that clock.
    fn notice_sleep(&self) {
        let Some(slept) = sys::clock::slept() else { return };
        let slept = slept.saturating_sub(self.origin_slept);
        if slept >= self.slept() + SHORTEST_SLEEP {
            let ms = u64::try_from(slept.as_millis()).unwrap_or(u64::MAX);
            self.shared.slept_ms.fetch_max(ms, Ordering::Relaxed);
        }
    }

    fn slept(&self) -> Duration {
        Duration::from_millis(self.shared.slept_ms.load(Ordering::Relaxed))
    }

    /// Returns the trust in wall time as of the last [`Clock::refresh_trust`].
    pub fn trust(&self) -> ClockTrust {
        trust_of(self.shared.trust.load(Ordering::Relaxed))
    }

    /// Returns the kernel's estimate of the clock's error, where it gave one.
    pub fn max_error(&self) -> Option<Duration> {
        match self.shared.max_error_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us)),
        }
    }

    /// Returns how long ago the kernel last said that the clock is disciplined; `None` when it never did in this run.
    pub fn since_synced(&self) -> Option<Duration> {
        match self.shared.synced_ms.load(Ordering::Relaxed) {
            NEVER => None,
            ms => Some(self.mono().since(Mono::from_millis(ms))),
        }
    }

    /// Returns how often wall time was stepped in this run, and the last step in milliseconds.
    pub fn steps(&self) -> (u64, Option<i64>) {
        let n = self.shared.steps.load(Ordering::Relaxed);
        (n, (n > 0).then(|| self.shared.last_step_ms.load(Ordering::Relaxed)))
    }

    /// Notes a step that the engine found.
    pub fn note_step(&self, step_ms: i64) {
        self.shared.last_step_ms.store(step_ms, Ordering::Relaxed);
        self.shared.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the trust until the next [`Clock::refresh_trust`]: for tests on machines whose clock nobody disciplines.
    pub fn assume_trust(&self, trust: ClockTrust) {
        self.shared.trust.store(code_of(trust), Ordering::Relaxed);
    }

    /// Sets the trust for good: for a park that is simulated, and its time server with it.
    pub fn always_trust(&self, trust: ClockTrust) {
        self.shared.fixed.store(true, Ordering::Relaxed);
        self.assume_trust(trust);
    }

    /// Asks the kernel whether the clock is disciplined. A discipline lost is holdover, and ends in unsynced
    /// ([`ClockTrust::of`]).
    pub fn refresh_trust(&self) {
        let kernel = sys::clock::kernel_state();
        self.note_kernel(kernel.synced);
        let error_us = kernel.max_error.map_or(0, |e| u64::try_from(e.as_micros()).unwrap_or(u64::MAX));
        self.shared.max_error_us.store(error_us, Ordering::Relaxed);
    }

    fn note_kernel(&self, synced: bool) {
        if synced {
            let ms = self.mono().millis();
            self.shared.synced_ms.store(ms, Ordering::Relaxed);
        }
        if !self.shared.fixed.load(Ordering::Relaxed) {
            let trust = ClockTrust::of(synced, self.since_synced());
            self.shared.trust.store(code_of(trust), Ordering::Relaxed);
        }
    }

    /// Waits until `at`; returns at once when it has passed.
    pub async fn sleep_until(&self, at: Mono) {
        tokio::time::sleep_until(self.origin + at.since_start().saturating_sub(self.origin_mono + self.slept())).await;
    }

    /// Waits until `at`, or for ever when there is nothing to wait for.
    pub async fn sleep_until_opt(&self, at: Option<Mono>) {
        match at {
            Some(at) => self.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is where time enters")]
fn instant_now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this module is where time enters")]
fn wall_now() -> Timestamp {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Timestamp(ms)
}

fn code_of(trust: ClockTrust) -> u8 {
    match trust {
        ClockTrust::Unsynced => 0,
        ClockTrust::Holdover => 1,
        ClockTrust::Synced => 2,
    }
}

fn trust_of(code: u8) -> ClockTrust {
    match code {
        2 => ClockTrust::Synced,
        1 => ClockTrust::Holdover,
        _ => ClockTrust::Unsynced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_that_the_machine_slept_counts_and_is_not_waited_for_again() {
        let clock = Clock::system();
        let began = clock.mono();
        clock.sleep_until(began + Duration::from_secs(5)).await;
        let awake = clock.mono();
        assert!(awake.since(began).abs_diff(Duration::from_secs(5)) <= Duration::from_millis(2), "{awake:?}");
        clock.shared.slept_ms.store(3_600_000, Ordering::Relaxed);
        assert_eq!(clock.mono().since(awake), Duration::from_secs(3600));
        clock.sleep_until(began + Duration::from_secs(3_606)).await;
        let woken = clock.mono().since(began + Duration::from_secs(3_606));
        assert!(woken <= Duration::from_millis(2), "{woken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_nobody_disciplines_any_more_says_for_how_long_and_is_not_believed_for_ever() {
        let clock = Clock::system();
        clock.shared.synced_ms.store(NEVER, Ordering::Relaxed);
        clock.note_kernel(false);
        assert_eq!((clock.trust(), clock.since_synced()), (ClockTrust::Unsynced, None));
        clock.note_kernel(true);
        assert_eq!(clock.trust(), ClockTrust::Synced);
        let lost = clock.mono();
        let after = async |hours: u64| {
            clock.sleep_until(lost + Duration::from_secs(hours * 3600)).await;
            clock.note_kernel(false);
            (clock.trust(), clock.since_synced().map(|age| age.as_secs() / 3600))
        };
        assert_eq!(after(1).await, (ClockTrust::Holdover, Some(1)));
        assert_eq!(after(16).await, (ClockTrust::Unsynced, Some(16)));
        clock.note_kernel(true);
        assert_eq!(clock.trust(), ClockTrust::Synced);
    }

    #[tokio::test]
    async fn a_machine_that_did_not_sleep_has_no_sleep_however_often_it_is_asked() {
        let clock = Clock::system();
        for _ in 0..10_000 {
            clock.now();
        }
        assert_eq!(clock.slept(), Duration::ZERO);
    }
}
