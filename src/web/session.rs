//! A viewer's session: one look at the gateway per second for all viewers together, and the stream of events to each.
//!
//! Wire form of an event, one a second, and one more as soon as an alarm or the site changes:
//! `{"shape":"1a2b3c4d","at":"2026-11-23 16:00:01 +08:00","set":[[17,"23.4","plain"],[18,43.2,"warn"]]}`. `set` holds the
//! cells that changed since the last event of this stream (all of them in the first): number of the cell, text (or
//! percent of a bar), class. A `shape` other than that of the loaded page tells the script to load it anew.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio_util::sync::{CancellationToken, ReusableBoxFuture};
use warp::sse::Event;

use super::park::{Gates, Park};
use super::view::{Cell, Look, Page};
use crate::domain::time::Mono;

/// One event a second: what an eye can follow, and all viewers share the look.
const TICK_MS: u64 = 1000;
/// A look younger than this is shared.
const LOOK_AGE: Duration = Duration::from_millis(500);
/// What changes within this time is told in one event: a flood of alarms is not a flood of events.
const GATHER: Duration = Duration::from_millis(50);
/// Time the engine has to answer; beyond it the page says that it does not.
const ENGINE_PATIENCE: Duration = Duration::from_secs(2);
/// Time after which the browser tries a broken stream again.
const RETRY: Duration = Duration::from_secs(2);

/// Shares looks between viewers.
#[derive(Debug)]
pub(super) struct Hub<P> {
    park: P,
    last: Mutex<Option<Arc<Look>>>,
}

impl<P: Park> Hub<P> {
    pub(super) fn new(park: P) -> Self {
        Self { park, last: Mutex::new(None) }
    }

    pub(super) fn park(&self) -> &P {
        &self.park
    }

    /// Returns a look of the last half second, taking one if there is none. Callers at the same time share it.
    pub(super) async fn look(&self) -> Arc<Look> {
        self.look_since(self.park.now().mono - LOOK_AGE).await
    }

    /// Returns a look that is not older than `earliest`.
    async fn look_since(&self, earliest: Mono) -> Arc<Look> {
        let mut last = self.last.lock().await;
        if let Some(look) = last.as_ref().filter(|look| look.now.mono >= earliest) {
            return Arc::clone(look);
        }
        let look = Arc::new(self.take().await);
        *last = Some(Arc::clone(&look));
        look
    }

    async fn take(&self) -> Look {
        // Both are asked of one task: side by side, a silent one costs its viewers the patience once.
        let (snapshot, gates) = tokio::join!(
            tokio::time::timeout(ENGINE_PATIENCE, self.park.snapshot()),
            tokio::time::timeout(ENGINE_PATIENCE, self.park.gates()),
        );
        Look {
            identity: self.park.identity(),
            version: self.park.version(),
            now: self.park.now(),
            snapshot: snapshot.ok().flatten(),
            gates: gates.unwrap_or(Gates::Silent),
            store: self.park.store(),
            uplink: self.park.uplink(),
            peers: self.park.peers(),
            opcua: self.park.opcua(),
            buses: self.park.buses(),
            gate_calls: self.park.gate_calls(),
            config: self.park.config(),
            clock: self.park.clock(),
            readiness: self.park.ready(),
        }
    }

    /// Waits for the next full second of the monotonic clock and returns a look of that second: all viewers wake
    /// together and share it.
    async fn next_look(&self) -> Arc<Look> {
        let ms = self.park.now().mono.millis();
        let second = ms - ms % TICK_MS + TICK_MS;
        tokio::time::sleep(Duration::from_millis(second - ms)).await;
        self.look_since(Mono::from_millis(second)).await
    }
}

/// What one viewer watches.
pub(super) struct Watch<P> {
    pub(super) hub: Arc<Hub<P>>,
    /// Makes the viewer's page of a look.
    pub(super) page: Box<dyn Fn(&Look) -> Page + Send + Sync>,
    pub(super) stop: CancellationToken,
    /// Held as long as the stream lives.
    pub(super) _place: OwnedSemaphorePermit,
}

type Step<P> = Option<(Event, State<P>)>;

struct State<P> {
    watch: Watch<P>,
    sent: Vec<Cell>,
    /// Number of the state of danger that was told last.
    seen: u64,
    first: bool,
}

impl<P: Park> State<P> {
    /// Waits for the next event; `None` when the gateway stops.
    async fn step(mut self) -> Step<P> {
        let stop = self.watch.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            event = self.next() => Some((event, self)),
        }
    }

    /// The look of the next second, or one of right now when an alarm or the site has changed.
    async fn next_look(&mut self) -> Arc<Look> {
        let (hub, seen) = (&self.watch.hub, self.seen);
        let changed = async {
            let seen = hub.park.news(seen).await;
            tokio::time::sleep(GATHER).await;
            seen
        };
        tokio::select! {
            look = hub.next_look() => look,
            seen = changed => {
                self.seen = seen;
                hub.look_since(hub.park.now().mono).await
            }
        }
    }

    async fn next(&mut self) -> Event {
        let look = if self.first { self.watch.hub.look().await } else { self.next_look().await };
        let page = (self.watch.page)(&look);
        let cells: Vec<Cell> = page.live().into_iter().cloned().collect();
        let data = patch(&page, &cells, &self.sent);
        self.sent = cells;
        let event = Event::default().data(data);
        if std::mem::take(&mut self.first) { event.retry(RETRY) } else { event }
    }
}

fn patch(page: &Page, cells: &[Cell], sent: &[Cell]) -> String {
    let changed = cells.iter().enumerate().filter(|(i, cell)| sent.get(*i) != Some(*cell));
    let set: Vec<serde_json::Value> = changed
        .map(|(i, cell)| match cell.bar {
            Some(percent) => serde_json::json!([i, (percent * 10.0).round() / 10.0, cell.tone.class()]),
            None => serde_json::json!([i, cell.text, cell.tone.class()]),
        })
        .collect();
    serde_json::json!({ "shape": page.shape(), "at": page.frame.time.text, "set": set }).to_string()
}

/// The events of one viewer. Ends when the gateway stops.
pub(super) struct Events<P> {
    next: Option<ReusableBoxFuture<'static, Step<P>>>,
}

impl<P: Park> Events<P> {
    pub(super) fn new(watch: Watch<P>) -> Self {
        let state = State { watch, sent: Vec::new(), seen: 0, first: true };
        Self { next: Some(ReusableBoxFuture::new(state.step())) }
    }
}

impl<P: Park> warp::Stream for Events<P> {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(next) = self.next.as_mut() else {
            return Poll::Ready(None);
        };
        match ready!(next.poll(cx)) {
            Some((event, state)) => {
                next.set(state.step());
                Poll::Ready(Some(Ok(event)))
            }
            None => {
                self.next = None;
                Poll::Ready(None)
            }
        }
    }
}

/// Runs `future` with a limit; used where a slow store must not hold a page.
pub(super) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}
