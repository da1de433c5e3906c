//! What the page, the demo and the tests look at: joins the page to the engine, the store, the uplink and the clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::VERSION;
use super::engine::Request;
use super::gates::Ask;
use super::lanes::{Counts as GateCalls, pictures};
use super::trend;
use crate::buffer;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::snapshot::{
    BusStatus, ClockStatus, ConfigStatus, OpcUaStatus, PeersStatus, Snapshot, StoreStatus, UplinkStatus,
};
use crate::domain::time::Now;
use crate::field::Buses;
use crate::state::registry::RegistryBook;
use crate::state::settings::Pictures as Album;
use crate::supervise::Pulse;
use crate::web::{Gates, Identity, Park, Readiness, Trend, TrendError};

/// An engine that has not answered a look within this is not answering.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A loop that has not turned for this long is told as hung.
const FRESH: Duration = Duration::from_secs(5);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Views {
    clock: Clock,
    identity: Identity,
    /// The configuration has lanes; only a restart changes that.
    has_gates: bool,
    store: buffer::Store,
    store_status: watch::Receiver<Arc<StoreStatus>>,
    uplink: watch::Receiver<Arc<UplinkStatus>>,
    news: watch::Receiver<u64>,
    opcua: watch::Receiver<OpcUaStatus>,
    buses: watch::Receiver<Buses>,
    config: watch::Receiver<Arc<ConfigStatus>>,
    requests: mpsc::Sender<Request>,
    book: RegistryBook,
    pulses: Vec<Pulse>,
    /// Where sharing with the park's other gateways says how it stands.
    pub(super) peers: watch::Sender<Arc<PeersStatus>>,
    /// Where devices of the gates call; `None` without lanes.
    gate_calls: Option<GateCalls>,
    /// Where pictures of passages are kept; `None` without lanes.
    album: Option<watch::Receiver<Option<Album>>>,
}

/// What [`Views`] are made of.
pub(super) struct Parts<'a> {
    pub(super) opcua: watch::Receiver<OpcUaStatus>,
    pub(super) status_of_config: watch::Receiver<Arc<ConfigStatus>>,
    pub(super) clock: Clock,
    pub(super) config: &'a Config,
    pub(super) start: &'a buffer::Start,
    pub(super) store: buffer::Store,
    pub(super) uplink: watch::Receiver<Arc<UplinkStatus>>,
    pub(super) news: watch::Receiver<u64>,
    pub(super) buses: watch::Receiver<Buses>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) book: RegistryBook,
    pub(super) pulses: Vec<Pulse>,
}

impl Views {
    pub(super) fn new(parts: Parts<'_>) -> Self {
        Self {
            identity: Identity {
                park: parts.config.gateway.park.clone(),
                gateway: parts.config.gateway.id.clone(),
                name: parts.config.gateway.name.clone(),
                epoch: parts.start.epoch.clone(),
                boot: parts.start.boot,
            },
            has_gates: !parts.config.gates.lanes.is_empty(),
            clock: parts.clock,
            store_status: parts.store.status(),
            store: parts.store,
            uplink: parts.uplink,
            peers: watch::Sender::default(),
            news: parts.news,
            opcua: parts.opcua,
            buses: parts.buses,
            config: parts.status_of_config,
            requests: parts.requests,
            book: parts.book,
            pulses: parts.pulses,
            gate_calls: None,
            album: None,
        }
    }

    /// Shows also what is counted where devices of the gates call, and the pictures of passages.
    pub(super) fn with_gate_calls(&mut self, counts: GateCalls, album: watch::Receiver<Option<Album>>) {
        (self.gate_calls, self.album) = (Some(counts), Some(album));
    }
}

impl Park for Views {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let (answer_tx, answer_rx) = oneshot::channel();
        let ask = async {
            self.requests.send(Request::Snapshot(answer_tx)).await.ok()?;
            answer_rx.await.ok()
        };
        tokio::time::timeout(ANSWER_WITHIN, ask).await.ok().flatten()
    }

    async fn gates(&self) -> Gates {
        if !self.has_gates {
            return Gates::Absent;
        }
        let (answer_tx, answer_rx) = oneshot::channel();
        let ask = async {
            self.requests.send(Request::Gates(Ask::View(answer_tx))).await.ok()?;
            answer_rx.await.ok()
        };
        let view = tokio::time::timeout(ANSWER_WITHIN, ask).await.ok().flatten();
        view.map_or(Gates::Silent, Gates::View)
    }

    async fn news(&self, seen: u64) -> u64 {
        let mut news = self.news.clone();
        let newer = news.wait_for(|now| *now != seen).await.map(|now| *now);
        match newer {
            Ok(now) => now,
            Err(_) => std::future::pending().await,
        }
    }

    fn store(&self) -> Arc<StoreStatus> {
        self.store_status.borrow().clone()
    }

    fn uplink(&self) -> Arc<UplinkStatus> {
        self.uplink.borrow().clone()
    }

    fn peers(&self) -> Arc<PeersStatus> {
        self.peers.borrow().clone()
    }

    fn config(&self) -> Arc<ConfigStatus> {
        self.config.borrow().clone()
    }

    fn opcua(&self) -> OpcUaStatus {
        self.opcua.borrow().clone()
    }

    fn buses(&self) -> Vec<Arc<BusStatus>> {
        self.buses.borrow().values().cloned().collect()
    }

    fn gate_calls(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.gate_calls.as_ref().map(GateCalls::all).unwrap_or_default()
    }

    fn clock(&self) -> ClockStatus {
        let (steps, last_step_ms) = self.clock.steps();
        let (trust, since_synced) = (self.clock.trust(), self.clock.since_synced());
        ClockStatus { trust, steps, last_step_ms, since_synced, max_error: self.clock.max_error() }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn ready(&self) -> Readiness {
        let now = self.clock.mono();
        let mut reasons: Vec<String> = self
            .pulses
            .iter()
            .filter(|p| p.age(now) > FRESH)
            .map(|p| format!("任务 {0} 停转 / task {0} does not turn", p.name()))
            .collect();
        let live = reasons.is_empty();
        let store = self.store();
        if !store.healthy {
            reasons.push(store.trouble.clone().unwrap_or_else(|| "存储不可写 / the store does not write".to_owned()));
        }
        Readiness { live, ready: reasons.is_empty(), reasons }
    }

    async fn trend(&self, tag: &str) -> Result<Trend, TrendError> {
        let snapshot = self.snapshot().await.ok_or_else(|| TrendError::Unavailable("no snapshot".to_owned()))?;
        trend::read(&self.store, &self.book, &snapshot, tag).await
    }

    async fn picture(&self, passage: &str, number: u8) -> Option<Vec<u8>> {
        let settings = self.album.as_ref()?.borrow().clone()?;
        pictures::read(settings, passage.to_owned(), number).await
    }

    fn version(&self) -> &'static str {
        VERSION
    }
}
