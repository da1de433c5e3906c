//! Named tasks: who runs, who restarts, who takes the process down, and how all of it ends.
//!
//! - A **core** task (engine, store watcher) that ends unasked ends the process: the rest is drained, the exit code is
//!   not zero, systemd starts anew.
//! - A **restartable** task (a device's reader, the uplink, the page) is built again from its factory after a bounded,
//!   growing delay; others do not notice. The delay starts anew after a healthy minute.
//! - A **drain** goes with the stream: stop the sources, let the middle run dry when its input closes, one grace for
//!   all, then abort by name.
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
        Self { clock, tasks: JoinSet::new(), names: BTreeMap::new() }
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

    /// Waits for all tasks to end by themselves until `deadline`, then aborts the rest. Returns the names aborted.
    pub async fn drain(&mut self, deadline: Mono) -> Vec<String> {
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(joined) = self.tasks.join_next_with_id() => {
                    self.note_end(joined);
                }
                () = self.clock.sleep_until(deadline) => break,
            }
        }
        let left: Vec<String> = self.names.values().map(|e| e.name.clone()).collect();
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
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
                Some(joined) = self.tasks.join_next_with_id() => {
                    self.note_end(joined);
                }
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

/// Runs what `factory` builds until it ends well or `stop` is cancelled, with growing delays between failures.
async fn keep_running<M, F>(name: String, stop: CancellationToken, clock: Clock, mut factory: M) -> Result<(), String>
where
    M: FnMut(CancellationToken) -> F + Send,
    F: Future<Output = Result<(), String>> + Send,
{
    let mut delay = RESTART_INITIAL;
    loop {
        let began = clock.mono();
        let why = match CatchPanic::new(AssertUnwindSafe(factory(stop.clone()))).await {
            Ok(Ok(())) => return Ok(()),
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
        self.last_ms.store(u64::try_from(now.0.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
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
