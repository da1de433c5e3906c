//! What the engine's task leaves for others, beside the store and the live channel: both ends.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::memory::Kept;
use super::orders::{self, Job};
use super::texts::{Texts, Ways};
use crate::config::Service;

/// Where the engine's task leaves what it made, beside the store and the live channel.
pub(super) struct Outlets {
    /// Next number of each stream.
    pub(super) next: watch::Sender<[u64; 6]>,
    /// Grows with every word of danger, for the viewers of the page.
    pub(super) news: watch::Sender<u64>,
    /// Orders to be carried out.
    pub(super) orders: mpsc::Sender<Job>,
    /// Where text messages go.
    pub(super) texts: Ways,
    /// What must survive a restart.
    pub(super) kept: watch::Sender<Option<Arc<Kept>>>,
    /// Commissioning of points as people have changed it.
    pub(super) service: watch::Sender<Arc<Service>>,
}

/// The other ends of [`Outlets`].
pub(super) struct Inlets {
    pub(super) next: watch::Receiver<[u64; 6]>,
    pub(super) news: watch::Receiver<u64>,
    pub(super) orders: mpsc::Receiver<Job>,
    pub(super) texts: Texts,
    pub(super) kept: watch::Receiver<Option<Arc<Kept>>>,
}

/// Returns both ends of what the engine's task leaves; `numbers` are the next ones of the store.
pub(super) fn outlets(numbers: [u64; 6], service: watch::Sender<Arc<Service>>) -> (Outlets, Inlets) {
    let (next_tx, next) = watch::channel(numbers);
    let (news_tx, news) = watch::channel(0);
    let (orders_tx, orders) = mpsc::channel(orders::N_WAITING);
    let (kept_tx, kept) = watch::channel(None);
    let (senders, texts) = Texts::new();
    let outlets = Outlets { next: next_tx, news: news_tx, orders: orders_tx, texts, kept: kept_tx, service };
    (outlets, Inlets { next, news, orders, texts: senders, kept })
}
