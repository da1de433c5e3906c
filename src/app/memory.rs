//! What danger must remember over a restart: kept as a state file, brought back with the documents recorded since.
//!
//! ```text
//!  engine ──Kept (watch: only the newest counts)──▶ keeper ──▶ log of the account's events, then state file `danger`
//!  start: state file ──▶ + documents of the store newer than it ──▶ Engine::restore, Gates::restore, before the first decision
//! ```
//!
//! Alarms, site, daybook and audit all come back so: a kill between a record and the next save loses nothing recorded.
//! The engine never waits for the file, and the file never holds what the store may have lost: it names the last number of
//! each stream that it includes, and a start reads on from there. A store that was replaced is read from its beginning.
//!
//! The gates come back from the same file, with the passages recorded since: an arm may have been ordered to open by an entry
//! that is newer than the file. The events of who is inside, too many to be written anew each time, stand in a log beside it;
//! those that a kill kept out of it are on the passage stream.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::engine::Request;
use super::gates::{KeptGates, UpTo, start};
use crate::buffer::{Opened, Store};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::codec;
use crate::domain::danger::{Recorded, Saved, Texts, Word};
use crate::domain::daybook::{StoreAccount, StreamAccount};
use crate::domain::document::DocumentKind;
use crate::domain::engine::Engine;
use crate::domain::gate::gates;
use crate::domain::gate::hazmat::kept::{Line, folded};
use crate::domain::gate::inside::event::Source;
use crate::domain::gate::inside::{Event, Passage};
use crate::domain::record::Stream;
use crate::domain::registry::Registry;
use crate::domain::site::around::Evacuation;
use crate::domain::snapshot::StoreStatus;
use crate::domain::time::Timestamp;
use crate::state::State;
use crate::state::lines::LineLog;
use crate::state::registry::RegistryBook;
use crate::uplink::source::CONSUMER;

/// Name of the state file.
const NAME: &str = "danger";
/// Names of the gates' logs: the events of who is inside, the waybills with their checks.
const EVENTS: &str = "events.jsonl";
const BOOK: &str = "waybills.jsonl";
/// Streams by whose records danger is brought back; telemetry carries what was due and what came.
const STREAMS: [Stream; 5] = [Stream::Alarm, Stream::Passage, Stream::Event, Stream::Report, Stream::Telemetry];
/// Numbers of a stream that are read at most, the newest: without its state file a gateway would read half a year. An alarm
/// that has stood for so long stands in the active set of the platform all the same.
const READ_AT_MOST: u64 = 200_000;
/// The same of telemetry: what was read since the last save, at most half a minute of the largest park. Without a state file
/// the account of the day begins anew, and nothing of it is read.
const TELEMETRY_AT_MOST: u64 = 20_000;
/// How often the daybook hears of the store: well within the grace of a report, and of its delivery.
const ACCOUNT_EVERY: Duration = Duration::from_secs(10);
/// Bytes read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// What the engine hands on.
#[derive(Debug)]
pub(super) struct Kept {
    /// The last number of each stream, by rank, that is included.
    pub(super) seqs: [u64; 6],
    /// What stood.
    pub(super) saved: Saved,
    /// The same of the gates, where there are any.
    pub(super) gates: Option<KeptGates>,
}

/// The state file.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    epoch: String,
    seqs: [u64; 6],
    saved: Texts,
    /// As text: what a later version cannot read costs the gates alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    gates: String,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    counted: BTreeSet<Evacuation>,
}

/// What the gates get back.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// What stood; `None` at the first start, or when it cannot be read.
    pub(super) saved: Option<gates::Saved>,
    /// Evacuations for which people were being counted.
    pub(super) counted: BTreeSet<Evacuation>,
    /// Events of the account.
    pub(super) events: Vec<Event>,
    /// Those of them that a kill kept out of the log: they are to be saved with the next state, which says that it has them.
    pub(super) unlogged: Vec<Event>,
    /// The waybills and their checks.
    pub(super) book: Vec<Line>,
}

/// An event of the account, as documents have it.
#[derive(Deserialize)]
struct Told {
    event: Event,
}

/// The state file beside the store.
#[derive(Debug)]
pub(super) struct Memory {
    state: State,
    book: RegistryBook,
    store: Store,
    epoch: String,
    /// Folder of what the gates keep line by line, where there are any.
    lines: Option<PathBuf>,
    /// The logs in it, once they are read.
    logs: Logs,
}

/// What the gates keep line by line; without a log it is lost with the next start.
#[derive(Debug, Default)]
struct Logs {
    events: Option<LineLog<Event>>,
    book: Option<LineLog<Line>>,
}

impl Logs {
    /// Appends what is not known to be saved yet. Returns up to where it is now.
    fn append(&mut self, gates: &KeptGates) -> io::Result<UpTo> {
        let mut up_to = UpTo::default();
        if let Some(log) = &mut self.events {
            log.append(gates.events.iter().map(|(_, event)| &**event))?;
            up_to.events = gates.events.last().map(|(at, _)| *at);
        }
        if let Some(log) = &mut self.book {
            log.append(gates.book.iter().map(|(_, line)| line))?;
            up_to.book = gates.book.iter().map(|(at, _)| *at).max();
        }
        Ok(up_to)
    }

    /// Leaves out what does not count any more, now and then.
    fn compact(&mut self, gates: &KeptGates) -> io::Result<()> {
        let not_folded = |mut events: Vec<Event>| {
            events.retain(|event| !gates.saved.is_folded(event));
            events
        };
        self.events.as_mut().map_or(Ok(()), |log| log.compact(not_folded))?;
        self.book.as_mut().map_or(Ok(()), |log| log.compact(folded))
    }
}

impl Memory {
    pub(super) fn new(state: State, config: &Config, opened: &Opened) -> Self {
        let book = RegistryBook::new(state.clone());
        let (store, epoch) = (opened.store.clone(), opened.start.epoch.clone());
        Self { state, book, store, epoch, lines: start::lines_dir(config), logs: Logs::default() }
    }

    pub(super) fn store(&self) -> Store {
        self.store.clone()
    }

    /// Brings back what stood: the state file, and the documents recorded since. What cannot be read is told in the log;
    /// danger then begins with what could be.
    pub(super) async fn brought_back(mut self, engine: &mut Engine, clock: &Clock) -> (Self, Remembered) {
        let file = self.file();
        let known = |stream: Stream| match &file {
            Some(file) if file.epoch == self.epoch => file.seqs.get(stream.rank()).copied().unwrap_or(0),
            _ => 0,
        };
        let mut later = Vec::new();
        for stream in STREAMS {
            read_since(&self.store, stream, known(stream), &self.book, &mut later).await;
        }
        let mut remembered = Remembered::default();
        if let Some(dir) = self.lines.take() {
            remembered = self.remembered(&dir, file.as_ref(), &later);
        }
        let saved = file.map(|file| file.saved).unwrap_or_default();
        for trouble in engine.restore(&saved, &later, clock.now()) {
            tracing::error!(%trouble, "Something that stood before the restart could not be brought back.");
        }
        (self, remembered)
    }

    fn remembered(&mut self, dir: &Path, file: Option<&File>, later: &[Recorded]) -> Remembered {
        let (log, mut events) =
            opened(dir, EVENTS, "Who was inside before the restart cannot be read: a count is due.");
        let (book_log, book) =
            opened(dir, BOOK, "The waybills of before the restart cannot be read: ask for the whole list.");
        self.logs = Logs { events: log, book: book_log };
        let logged: BTreeSet<(Source, u64)> = events.iter().map(|event| (event.source.clone(), event.seq)).collect();
        let told = later.iter().filter_map(event_of);
        let unlogged: Vec<Event> = told.filter(|event| !logged.contains(&(event.source.clone(), event.seq))).collect();
        events.extend(unlogged.iter().cloned());
        let text = file.map(|file| file.gates.as_str()).filter(|text| !text.is_empty());
        let mut saved: Option<gates::Saved> = text.and_then(|text| {
            let read = serde_json::from_str(text);
            read.map_err(|error| tracing::error!(%error, "How the gates stood before the restart is not understood."))
                .ok()
        });
        if let Some(saved) = &mut saved {
            saved.learn(later.iter().filter_map(passage_of));
        }
        let counted = file.map(|file| file.counted.clone()).unwrap_or_default();
        Remembered { saved, counted, events, unlogged, book }
    }

    fn file(&self) -> Option<File> {
        let bytes = self.state.load(NAME).unwrap_or_else(|error| {
            let error = crate::cli::chain(error);
            tracing::error!(%error, "What stood before the restart cannot be read; the records are.");
            None
        })?;
        let read = serde_json::from_slice(&bytes);
        read.map_err(|error| tracing::error!(%error, "What stood before the restart is not understood.")).ok()
    }

    /// Saves what the engine hands on, the newest only, until the engine is gone.
    pub(super) async fn keep(
        mut self,
        mut kept: watch::Receiver<Option<Arc<Kept>>>,
        requests: mpsc::Sender<Request>,
    ) -> Result<(), String> {
        while kept.changed().await.is_ok() {
            let newest = kept.borrow_and_update().clone();
            if let Some(newest) = newest
                && let Some(up_to) = self.save(newest).await
            {
                // The engine may have ended: this was the last.
                drop(requests.send(Request::Saved(up_to)).await);
            }
        }
        Ok(())
    }

    /// Returns how much of what the gates keep line by line is logged, where that is news.
    async fn save(&mut self, kept: Arc<Kept>) -> Option<UpTo> {
        let (state, epoch, logs) = (self.state.clone(), self.epoch.clone(), std::mem::take(&mut self.logs));
        let saving = tokio::task::spawn_blocking(move || saving(&state, epoch, logs, &kept));
        let (up_to, saved) = match saving.await {
            Ok((logs, up_to, saved)) => {
                self.logs = logs;
                (up_to, saved)
            }
            Err(error) => (None, Err(error.to_string())),
        };
        if let Err(error) = saved {
            // The records still say all of it; the next change tries again.
            tracing::error!(%error, "What stands cannot be saved.");
        }
        up_to
    }
}

/// Opens a log of the gates, and reads it.
fn opened<T: Serialize + DeserializeOwned>(dir: &Path, name: &str, what: &str) -> (Option<LineLog<T>>, Vec<T>) {
    match LineLog::open(dir, name) {
        Ok((log, logged)) => (Some(log), logged),
        Err(error) => {
            let error = crate::cli::chain(error);
            tracing::error!(%error, "{what}");
            (None, Vec::new())
        }
    }
}

/// Logs first: the file says that it includes what is in them. Without a log events stay on the passage stream alone.
fn saving(state: &State, epoch: String, mut logs: Logs, kept: &Kept) -> (Logs, Option<UpTo>, Result<(), String>) {
    let mut up_to = None;
    if let Some(gates) = &kept.gates {
        match logs.append(gates) {
            Ok(so_far) => up_to = Some(so_far).filter(|so_far| *so_far != UpTo::default()),
            Err(error) => return (logs, None, Err(error.to_string())),
        }
        if let Err(error) = logs.compact(gates) {
            tracing::error!(%error, "What the gates keep line by line cannot be written anew; it grows.");
        }
    }
    let gates = kept.gates.as_ref();
    let file = File {
        epoch,
        seqs: kept.seqs,
        saved: kept.saved.texts(),
        gates: gates.map(|gates| serde_json::to_string(&gates.saved).unwrap_or_default()).unwrap_or_default(),
        counted: gates.map(|gates| gates.counted.clone()).unwrap_or_default(),
    };
    let bytes = serde_json::to_vec(&file).map_err(|error| error.to_string());
    (logs, up_to, bytes.and_then(|bytes| state.save(NAME, &bytes).map_err(crate::cli::chain)))
}

/// The event of the account that a record tells, if it tells one.
fn event_of(recorded: &Recorded) -> Option<Event> {
    let Word::Document { kind: DocumentKind::Inside, json, .. } = &recorded.word else { return None };
    // A conflict or an account of a day is none.
    serde_json::from_str::<Told>(json).map(|told| told.event).ok()
}

/// The passage that a record tells of, if it tells of one.
fn passage_of(recorded: &Recorded) -> Option<Passage> {
    let Word::Document { kind: DocumentKind::Passage, json, .. } = &recorded.word else { return None };
    serde_json::from_str(json).ok()
}

async fn read_since(store: &Store, stream: Stream, known: u64, book: &RegistryBook, later: &mut Vec<Recorded>) {
    let span = store.span(stream).await;
    let end = *span.end();
    let most = match stream {
        Stream::Telemetry if known == 0 => return,
        Stream::Telemetry => TELEMETRY_AT_MOST,
        Stream::Alarm | Stream::Passage | Stream::Event | Stream::Registry | Stream::Report => READ_AT_MOST,
    };
    let mut next = (*span.start()).max(known + 1).max(end.saturating_sub(most));
    let mut registry: Option<Arc<Registry>> = None;
    while next <= end {
        let page = match store.read(stream, next..=end, PAGE_BYTES).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, stream = stream.as_str(), "Records since the last state cannot be read.");
                return;
            }
        };
        if page.next <= next {
            return;
        }
        next = page.next;
        for entry in page.entries {
            if registry.as_ref().is_none_or(|registry| registry.rev != entry.stamp.rev) {
                registry = book.get(entry.stamp.rev);
            }
            // Under a revision that is not kept any more, what names no point can be read all the same.
            let none = Registry { rev: entry.stamp.rev, devices: Vec::new() };
            let registry = registry.as_deref().unwrap_or(&none);
            let body = codec::decode(&entry.body, registry).ok();
            later.extend(body.and_then(|body| Recorded::of(entry.seq, &entry.stamp, body, registry)));
        }
    }
}

/// Tells the engine whether the store writes, each time it changes; and every [`ACCOUNT_EVERY`] what the day's account needs
/// of it: how it stands, and which reports the platform has.
pub(super) async fn watch_store(
    store: Store,
    requests: mpsc::Sender<Request>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), String> {
    let mut status = store.status();
    let (mut told, mut next) = (true, clock.mono());
    loop {
        let now = status.borrow_and_update().clone();
        // Before its first word it has no epoch.
        let known = !now.epoch.is_empty();
        if known && now.healthy != told {
            told = now.healthy;
            drop(requests.send(Request::Store(told)).await);
        }
        if known && next <= clock.mono() {
            next = clock.mono() + ACCOUNT_EVERY;
            let delivered = store.delivered(Stream::Report, CONSUMER).await;
            let account = Box::new(account_of(&now, clock.now().wall));
            drop(requests.send(Request::Account(account, delivered)).await);
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = status.changed() => if changed.is_err() {
                stop.cancelled().await;
            },
        }
    }
}

fn account_of(status: &StoreStatus, as_of: Timestamp) -> StoreAccount {
    let streams = Stream::ALL
        .iter()
        .zip(&status.streams)
        .map(|(stream, one)| (stream.as_str().to_owned(), StreamAccount { next_seq: one.next, waiting: one.waiting }));
    StoreAccount {
        as_of,
        epoch: status.epoch.clone(),
        streams: streams.collect(),
        gaps: status.gaps_total,
        lost: status.lost.iter().map(|(_, n)| *n).fold(0, u64::saturating_add),
        gaps_waiting: status.gaps_open,
        failed: !status.healthy,
        used_bytes: status.bytes,
        quota_bytes: status.quota_bytes,
    }
}
