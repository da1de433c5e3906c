//! What sharing asks of the rest of the gateway. `app` implements it with the engine's task, which owns the account.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use crate::clock::Clock;
use crate::domain::gate::inside::{Event, Have};
use crate::domain::gate::word::GatewayId;
use crate::domain::snapshot::PeersStatus;
use crate::domain::time::Mono;

/// The account of who is inside, as sharing sees it. Each call is done before the next one of the same caller.
pub trait Account: Send + Sync + 'static {
    /// What is here; `None`: nobody answers any more.
    fn have(&self) -> impl Future<Output = Option<Have>> + Send;
    /// What a peer lacks of it and is stored, the oldest of each gateway first, at most a batch.
    fn lacking(&self, peer: Have) -> impl Future<Output = Vec<Arc<Event>>> + Send;
    /// Takes events of peers in.
    fn take(&self, events: Vec<Event>) -> impl Future<Output = ()> + Send;
    /// This peer was heard, and in step, at this time.
    fn heard(&self, peer: GatewayId, at: Mono) -> impl Future<Output = ()> + Send;
}

/// What the task runs on.
pub struct Inputs<A> {
    /// Settings.
    pub settings: Settings,
    /// Under which start of the gateway its own events are written.
    pub boot: u32,
    /// The account.
    pub account: A,
    /// Events that are stored now. What does not fit is found by what the gateways have.
    pub stored: mpsc::Receiver<Arc<Event>>,
    /// How it stands.
    pub status: watch::Sender<Arc<PeersStatus>>,
    /// Clock.
    pub clock: Clock,
    /// Ends it.
    pub stop: CancellationToken,
}
