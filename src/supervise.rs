//! Named tasks: who runs, who restarts, who takes the process down, and how all of it ends.
//!
//! - A **core** task (engine, housekeeping) that ends unasked ends the process: the rest is drained, the exit code is
//!   not zero, systemd starts anew.
//! - A **restartable** task (a device's reader, the uplink, the page) that ends unasked, well or not, is built again
//!   from its factory after a bounded, growing delay; others do not notice. The delay starts anew after a healthy minute.
//! - A core task that fails while it is drained is kept in mind ([`Supervisor::failure`]): the end was not in order.
//! - A **drain** goes with the stream: stop the sources, let the middle run dry when its input closes, one grace for
//!   all, then abort by name. A task that does not even take the abort (it blocks its thread) is left behind by name.
//!
//! **Invariant:** this module alone calls `tokio::spawn`.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_catch::CatchPanic;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::time::Mono;

#[cfg(panic = "abort")]
compile_error!("parkgate must unwind: sled's panics on damaged files are caught and the segment quarantined");

/// First delay before a restartable task is started again.
pub const RESTART_INITIAL: Duration = Duration::from_millis(500);
/// Longest delay between restarts: long enough not to busy the machine, short enough that nobody drives to the site.
pub const RESTART_MAX: Duration = Duration::from_secs(30);
/// A task that ran this long was healthy; its next failure starts at [`RESTART_INITIAL`] again.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// Time for aborted tasks to be gone. An abort takes hold at the next await; only a blocked thread needs longer.
const ABORT_WITHIN: Duration = Duration::from_millis(300);

/// A core task that ended unasked.
#[derive(Debug, thiserror::Error)]
#[error("task `{name}` ended: {why}")]
pub struct CoreFailed {
    /// Which.
    pub name: String,
    /// Its own words, or the panic's.
    pub why: String,
}

/// All tasks of the gateway, by name.
#[derive(Debug)]
pub struct Supervisor {
    clock: Clock,
    tasks: JoinSet<Result<(), String>>,
    names: BTreeMap<Id, Entry>,
    /// The first core task that failed while it was drained.
    failed: Option<CoreFailed>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    core: bool,
    stop: CancellationToken,
}

impl Supervisor {
    /// Returns a supervisor without tasks.
    pub fn new(clock: Clock) -> Self {
        Self { clock, tasks: JoinSet::new(), names: BTreeMap::new(), failed: None }
    }

    /// Starts a core task. It ends when `stop` is cancelled or its input closes; an end before that is a failure.
    pub fn core<F>(&mut self, name: impl Into<String>, stop: CancellationToken, run: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.spawn(Entry { name: name.into(), core: true, stop }, run);
    }

    /// Starts a restartable task from `factory`, which gets the token that ends it.
    pub fn restartable<M, F>(&mut self, name: impl Into<String>, stop: CancellationToken, factory: M)
    where
        M: FnMut(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let entry = Entry { name: name.into(), core: false, stop: stop.clone() };
        let run = keep_running(entry.name.clone(), stop, self.clock.clone(), factory);
        self.spawn(entry, run);
    }

    fn spawn<F>(&mut self, entry: Entry, run: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let handle = self.tasks.spawn(run);
        self.names.insert(handle.id(), entry);
    }

    /// Waits until a core task ends unasked; restartable tasks that end are forgotten. Pending for ever without tasks.
    pub async fn core_failure(&mut self) -> CoreFailed {
        loop {
            match self.tasks.join_next_with_id().await {
                Some(joined) => {
                    if let Some(failed) = self.note_end(joined) {
                        return failed;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Takes the core task that failed first while tasks were drained.
    pub fn failure(&mut self) -> Option<CoreFailed> {
        self.failed.take()
    }

    fn note_drained(&mut self, joined: Result<(Id, Result<(), String>), JoinError>) {
        let failed = self.note_end(joined);
        self.failed = self.failed.take().or(failed);
    }

    /// Waits for all tasks to end by themselves until `deadline`, then aborts the rest and returns, whatever they do, at
    /// most 300 ms later. Returns the names aborted.
    pub async fn drain(&mut self, deadline: Mono) -> Vec<String> {
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(joined) = self.tasks.join_next_with_id() => self.note_drained(joined),
                () = self.clock.sleep_until(deadline) => break,
            }
        }
        let left: Vec<String> = self.names.values().map(|e| e.name.clone()).collect();
        self.tasks.abort_all();
        let gone = async { while self.tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = gone => {}
            () = self.clock.sleep_until(self.clock.mono() + ABORT_WITHIN) => {}
        }
        self.names.clear();
        left
    }

    /// Waits until the tasks called `name` have ended, or `deadline`; returns the name once for each that has not. Other
    /// tasks that end meanwhile are noted as in [`Supervisor::drain`].
    pub async fn drain_named(&mut self, name: &str, deadline: Mono) -> Vec<String> {
        loop {
            let left: Vec<String> = self.names.values().map(|e| e.name.clone()).filter(|n| n == name).collect();
            if left.is_empty() {
                return left;
            }
            tokio::select! {
                Some(joined) = self.tasks.join_next_with_id() => self.note_drained(joined),
                () = self.clock.sleep_until(deadline) => return left,
            }
        }
    }

    fn note_end(&mut self, joined: Result<(Id, Result<(), String>), JoinError>) -> Option<CoreFailed> {
        let (id, why) = match joined {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(why))) => (id, Some(why)),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        let entry = self.names.remove(&id)?;
        if let Some(why) = &why {
            tracing::error!(task = %entry.name, %why, "Task failed.");
        }
        let unasked = !entry.stop.is_cancelled();
        (entry.core && (unasked || why.is_some()))
            .then(|| CoreFailed { name: entry.name, why: why.unwrap_or_else(|| "it ended unasked".to_owned()) })
    }
}

/// Runs what `factory` builds, again and again until `stop` is cancelled, with growing delays in between.
async fn keep_running<M, F>(name: String, stop: CancellationToken, clock: Clock, mut factory: M) -> Result<(), String>
where
    M: FnMut(CancellationToken) -> F + Send,
    F: Future<Output = Result<(), String>> + Send,
{
    let mut delay = RESTART_INITIAL;
    loop {
        let began = clock.mono();
        // Building it is part of the attempt: a factory that panics is tried again, too.
        let attempt = async { factory(stop.clone()).await };
        let why = match CatchPanic::new(AssertUnwindSafe(attempt)).await {
            Ok(Ok(())) => "it ended unasked".to_owned(),
            Ok(Err(why)) => why,
            Err(panic) => format!("panic: {panic}"),
        };
        if stop.is_cancelled() {
            return Ok(());
        }
        if clock.mono().since(began) >= HEALTHY_AFTER {
            delay = RESTART_INITIAL;
        }
        tracing::warn!(task = %name, %why, delay_ms = delay.as_millis(), "Task failed and is started again.");
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = clock.sleep_until(clock.mono() + delay) => {}
        }
        delay = (delay * 2).min(RESTART_MAX);
    }
}

/// A sign of life that a loop gives each time it turns; the systemd watchdog is fed only while all are fresh.
#[derive(Clone, Debug)]
pub struct Pulse {
    name: &'static str,
    last_ms: Arc<AtomicU64>,
}

impl Pulse {
    /// Returns a pulse that beat at `now`.
    pub fn new(name: &'static str, now: Mono) -> Self {
        let pulse = Self { name, last_ms: Arc::new(AtomicU64::new(0)) };
        pulse.beat(now);
        pulse
    }

    /// Says "still turning".
    pub fn beat(&self, now: Mono) {
        self.last_ms.store(now.millis(), Ordering::Relaxed);
    }

    /// Returns how long ago the last beat was.
    pub fn age(&self, now: Mono) -> Duration {
        now.since(Mono::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }

    /// Returns its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// A future that turns a panic of its inner future into a value.
mod futures_catch {
    use std::any::Any;
    use std::future::Future;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// See the module.
    pub(super) struct CatchPanic<F> {
        inner: Pin<Box<F>>,
    }

    impl<F> CatchPanic<F> {
        pub(super) fn new(inner: AssertUnwindSafe<F>) -> Self {
            Self { inner: Box::pin(inner.0) }
        }
    }

    impl<F: Future> Future for CatchPanic<F> {
        type Output = Result<F::Output, String>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let inner = self.inner.as_mut();
            match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
                Err(panic) => Poll::Ready(Err(words_of(panic.as_ref()))),
            }
        }
    }

    fn words_of(panic: &(dyn Any + Send)) -> String {
        panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without words".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn supervisor() -> (Supervisor, Clock) {
        let clock = Clock::system();
        (Supervisor::new(clock.clone()), clock)
    }

    /// Notes when each attempt began, in milliseconds since the first.
    #[derive(Clone)]
    struct Attempts(Clock, Arc<Mutex<Vec<Mono>>>);

    impl Attempts {
        fn new(clock: &Clock) -> Self {
            Self(clock.clone(), Arc::default())
        }

        fn note(&self) -> usize {
            let mut times = self.1.lock().unwrap();
            times.push(self.0.mono());
            times.len()
        }

        fn millis(&self) -> Vec<u128> {
            let times = self.1.lock().unwrap();
            times.iter().map(|t| t.since(times[0]).as_millis()).collect()
        }
    }

    /// Lets `span` of (paused) time pass in steps, so that timers fire at their time.
    async fn pass(clock: &Clock, span: Duration) {
        clock.sleep_until(clock.mono() + span).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_task_is_started_again_with_growing_delays_and_one_that_ends_or_panics_as_well() {
        let (mut supervisor, clock) = supervisor();
        let attempts = Attempts::new(&clock);
        let (noted, stop) = (attempts.clone(), CancellationToken::new());
        supervisor.restartable("page", stop.clone(), move |_| {
            let n = noted.note();
            assert!(n != 2, "the second is not even built");
            async move {
                match n {
                    1 => Err("the port is taken".to_owned()),
                    3 => Ok(()),
                    4 => panic!("in the task"),
                    _ => Err("again".to_owned()),
                }
            }
        });
        pass(&clock, Duration::from_secs(100)).await;
        let delays: Vec<u128> = attempts.millis().windows(2).map(|t| t[1] - t[0]).collect();
        // Tokio's timers have a millisecond's grain.
        let grown = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
        assert_eq!(delays.len(), grown.len(), "{delays:?}");
        assert!(delays.iter().zip(grown).all(|(d, g)| d.abs_diff(g) <= 2), "{delays:?}");
        stop.cancel();
        assert!(supervisor.drain(clock.mono() + RESTART_MAX).await.is_empty(), "a stop does not wait for the delay");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_healthy_minute_the_delay_is_short_again() {
        let (mut supervisor, clock) = supervisor();
        let attempts = Attempts::new(&clock);
        let (noted, own) = (attempts.clone(), clock.clone());
        supervisor.restartable("uplink", CancellationToken::new(), move |_| {
            let (n, clock) = (noted.note(), own.clone());
            async move {
                if n == 4 {
                    clock.sleep_until(clock.mono() + HEALTHY_AFTER).await;
                }
                Err("lost".to_owned())
            }
        });
        pass(&clock, Duration::from_secs(66)).await;
        let times = attempts.millis();
        assert!((times[4] - times[3]).abs_diff(60_500) <= 3, "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_core_task_that_ends_unasked_is_a_failure_whatever_it_says() {
        let (mut supervisor, _) = supervisor();
        supervisor.core("engine", CancellationToken::new(), async { Ok(()) });
        assert_eq!(supervisor.core_failure().await.to_string(), "task `engine` ended: it ended unasked");
        supervisor.core("engine", CancellationToken::new(), async { Err("disk".to_owned()) });
        assert_eq!(supervisor.core_failure().await.why, "disk");
        supervisor.core("engine", CancellationToken::new(), async { panic!("bad sum") });
        assert!(supervisor.core_failure().await.why.contains("bad sum"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_was_asked_for_is_no_failure_but_one_with_an_error_is() {
        let (mut supervisor, _) = supervisor();
        let asked = CancellationToken::new();
        asked.cancel();
        supervisor.core("housekeeping", asked.clone(), async { Ok(()) });
        supervisor.restartable("page", asked.clone(), |_| async { Err("late".to_owned()) });
        supervisor.core("engine", asked, async { Err("the last record".to_owned()) });
        assert_eq!(supervisor.core_failure().await.name, "engine");
    }

    #[tokio::test(start_paused = true)]
    async fn a_core_task_that_fails_while_it_is_drained_is_not_forgotten() {
        let (mut supervisor, clock) = supervisor();
        let stop = CancellationToken::new();
        for (name, panics) in [("engine", true), ("commands", false)] {
            let stopped = stop.clone();
            supervisor.core(name, stop.clone(), async move {
                stopped.cancelled().await;
                assert!(!panics, "in the last record");
                Ok(())
            });
        }
        stop.cancel();
        let deadline = clock.mono() + Duration::from_secs(3);
        assert!(supervisor.drain_named("engine", deadline).await.is_empty());
        assert!(supervisor.drain(deadline).await.is_empty());
        let failed = supervisor.failure();
        assert!(failed.is_some_and(|f| f.name == "engine" && f.why.contains("in the last record")));
        assert!(supervisor.failure().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_names_what_hangs_and_waits_no_longer_than_its_deadline() {
        let (mut supervisor, clock) = supervisor();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        supervisor.core("engine", stop.clone(), async move {
            stopped.cancelled().await;
            Ok(())
        });
        supervisor.restartable("link 10.0.0.9:502", stop.clone(), |_| std::future::pending());
        stop.cancel();
        let began = clock.mono();
        let deadline = began + Duration::from_secs(3);
        assert!(supervisor.drain_named("engine", deadline).await.is_empty());
        assert_eq!(supervisor.drain_named("link 10.0.0.9:502", deadline).await, ["link 10.0.0.9:502"]);
        assert_eq!(supervisor.drain(deadline).await, ["link 10.0.0.9:502"]);
        assert!(clock.mono().since(began) < Duration::from_secs(4));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_task_that_blocks_its_thread_does_not_hold_up_the_end() {
        let (mut supervisor, clock) = supervisor();
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (began_tx, began) = tokio::sync::oneshot::channel();
        supervisor.core("stuck", CancellationToken::new(), async move {
            began_tx.send(()).ok();
            blocked.recv().ok();
            Ok(())
        });
        began.await.unwrap();
        assert_eq!(supervisor.drain(clock.mono()).await, ["stuck"]);
        drop(release);
    }

    #[test]
    fn a_pulse_is_as_old_as_its_last_beat() {
        let pulse = Pulse::new("engine", Mono::from_secs(5));
        assert_eq!(pulse.age(Mono::from_secs(9)), Duration::from_secs(4));
        pulse.beat(Mono::from_secs(9));
        assert_eq!(pulse.age(Mono::from_secs(9)), Duration::ZERO);
    }
}
