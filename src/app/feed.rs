//! Joins the uplink to the store and to the book of registry revisions; adapters never import one another.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tokio::sync::watch;

use crate::buffer;
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Gap, Stream};
use crate::domain::registry::Registry;
use crate::state::registry::RegistryBook;
use crate::uplink;

/// The store as the uplink reads it.
pub(super) struct Feed {
    store: buffer::Store,
}

impl Feed {
    pub(super) fn new(store: buffer::Store) -> Self {
        Self { store }
    }
}

impl uplink::Source for Feed {
    fn committed(&self) -> watch::Receiver<[u64; 6]> {
        self.store.committed()
    }

    async fn read(
        &self,
        stream: Stream,
        seqs: RangeInclusive<u64>,
        max_bytes: usize,
    ) -> Result<uplink::Page, uplink::ReadError> {
        let page = self.store.read(stream, seqs, max_bytes).await.map_err(|e| uplink::ReadError(e.to_string()))?;
        Ok(uplink::Page { entries: page.entries, missing: page.missing, next: page.next })
    }

    async fn span(&self, stream: Stream) -> RangeInclusive<u64> {
        self.store.span(stream).await
    }

    async fn delivered(&self, stream: Stream, consumer: &str) -> RangeSet {
        self.store.delivered(stream, consumer).await
    }

    async fn deliver(&self, stream: Stream, consumer: &str, ranges: Vec<RangeInclusive<u64>>) {
        self.store.deliver(stream, consumer, ranges).await;
    }

    async fn gaps(&self, from_no: u64, max: usize) -> Vec<Gap> {
        self.store.gaps(from_no, max).await
    }

    async fn gaps_delivered(&self, consumer: &str) -> RangeSet {
        self.store.gaps_delivered(consumer).await
    }

    async fn deliver_gaps(&self, consumer: &str, nos: Vec<RangeInclusive<u64>>) {
        self.store.deliver_gaps(consumer, nos).await;
    }
}

/// The revisions as the uplink reads them: the one in force as everybody shares it, older ones from the book.
pub(super) struct Registries {
    book: RegistryBook,
    current: watch::Receiver<Arc<Registry>>,
}

impl Registries {
    pub(super) fn new(book: RegistryBook, current: watch::Receiver<Arc<Registry>>) -> Self {
        Self { book, current }
    }
}

impl uplink::Registries for Registries {
    fn get(&self, rev: u32) -> Option<Arc<Registry>> {
        let current = self.current.borrow().clone();
        if current.rev == rev { Some(current) } else { self.book.get(rev) }
    }
}
