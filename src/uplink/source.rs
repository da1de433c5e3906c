//! What the uplink asks of the rest of the gateway. `app` implements these for the store and the configuration.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::command::Command;
use super::settings::Settings;
use crate::clock::Clock;
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Entry, Gap, Stream};
use crate::domain::registry::Registry;
use crate::domain::snapshot::UplinkStatus;

/// Name under which the platform's acknowledgements are kept in the store.
pub const CONSUMER: &str = "platform";

/// A stretch of a stream as the store gave it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What is there, ascending.
    pub entries: Vec<Entry>,
    /// Numbers within the scanned span that are not there: gaps.
    pub missing: Vec<RangeInclusive<u64>>,
    /// First number that was not scanned.
    pub next: u64,
}

/// Why a page could not be read; tried again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(pub String);

/// The store as the uplink sees it. Same shapes as `buffer::Store`.
pub trait Source: Send + Sync + 'static {
    /// Last stored number per stream, by rank.
    fn committed(&self) -> watch::Receiver<[u64; 6]>;
    /// Reads from the start of `seqs`, at most about `max_bytes` of bodies (at least one record where there is one).
    fn read(
        &self,
        stream: Stream,
        seqs: RangeInclusive<u64>,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Page, ReadError>> + Send;
    /// First kept ..= last stored.
    fn span(&self, stream: Stream) -> impl Future<Output = RangeInclusive<u64>> + Send;
    /// What `consumer` has.
    fn delivered(&self, stream: Stream, consumer: &str) -> impl Future<Output = RangeSet> + Send;
    /// Notes what `consumer` has from now on.
    fn deliver(
        &self,
        stream: Stream,
        consumer: &str,
        ranges: Vec<RangeInclusive<u64>>,
    ) -> impl Future<Output = ()> + Send;
    /// Entries of the gap ledger from number `from_no`, ascending.
    fn gaps(&self, from_no: u64, max: usize) -> impl Future<Output = Vec<Gap>> + Send;
    /// Entries of the ledger that `consumer` has.
    fn gaps_delivered(&self, consumer: &str) -> impl Future<Output = RangeSet> + Send;
    /// Notes what `consumer` has of the ledger.
    fn deliver_gaps(&self, consumer: &str, nos: Vec<RangeInclusive<u64>>) -> impl Future<Output = ()> + Send;
}

/// The registry revisions that are kept.
pub trait Registries: Send + Sync + 'static {
    /// Returns the revision `rev`, as long as a record may refer to it.
    fn get(&self, rev: u32) -> Option<Arc<Registry>>;
}

/// A future that can be kept behind a trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps the ids of commands over a restart: a command is executed once.
pub trait CommandMemory: Send + Sync + 'static {
    /// Returns what was saved last; empty when nothing ever was.
    fn load(&self) -> Boxed<'_, Vec<u8>>;
    /// Saves `blob` durably (≤ 64 KiB). A command is accepted only after this.
    fn save(&self, blob: Vec<u8>) -> Boxed<'_, Result<(), String>>;
}

/// A record at the moment it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Its stream.
    pub stream: Stream,
    /// The record.
    pub entry: Entry,
}

/// Who speaks.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Identity of the store.
    pub epoch: String,
    /// Start counter.
    pub boot: u32,
    /// Software version.
    pub software: String,
    /// Current registry revision.
    pub registry: watch::Receiver<u32>,
}

/// Everything the uplink runs on.
pub struct Inputs<S, R> {
    /// Validated settings.
    pub settings: Settings,
    /// The store.
    pub source: S,
    /// The registry revisions.
    pub registries: R,
    /// Records as they are made; the sender drops what does not fit, the uplink reads it from `source`.
    pub live: mpsc::Receiver<Live>,
    /// Next number per stream, by rank.
    pub next: watch::Receiver<[u64; 6]>,
    /// Who speaks.
    pub identity: Identity,
    /// What the application must do or record for a command.
    pub commands: mpsc::Sender<Command>,
    /// Ids of commands over a restart.
    pub memory: Arc<dyn CommandMemory>,
    /// How it stands, at least once a second.
    pub status: watch::Sender<Arc<UplinkStatus>>,
    /// Time.
    pub clock: Clock,
    /// Asks for an orderly end.
    pub stop: CancellationToken,
}
