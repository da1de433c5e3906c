//! The handles of an open store: what the rest of the gateway holds.

use std::collections::BTreeSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::appender::Appender;
use super::delivered::Delivered;
use super::files::lock;
use super::journal::Journal;
use super::keeper::Keeper;
use super::marks::N;
use super::reader::{Ask, Page, QUESTIONS, ReadError, Reader};
use super::recovery::{self, OpenError, Recovered, at};
use super::segment::Active;
use super::settings::Settings;
use super::shared::{Begin, Nudge, Shared};
use super::writer::{BULK_QUEUE, Job, URGENT_QUEUE, Writer, is_urgent};
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Gap, Stream};
use crate::domain::snapshot::StoreStatus;
use crate::domain::time::{Mono, Now, Timestamp};
use crate::sys::disk;

/// Nudges that may wait for the keeper; one would do.
const NUDGES: usize = 16;
/// Pause between attempts to tell a busy reader that the store ends.
const READER_PAUSE: Duration = Duration::from_millis(5);
/// Most attempts to make room on a disk that is full at start: the ballast and some segments.
const ROOM_ATTEMPTS: usize = 16;

/// An opened store.
#[derive(Debug)]
pub struct Opened {
    /// For the engine.
    pub appender: Appender,
    /// For all others.
    pub store: Store,
    /// What is known of the run before.
    pub start: Start,
}

/// What a start knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Identity of the store, a ULID; new only when the store was replaced.
    pub epoch: String,
    /// Start counter: +1 each open in this epoch, durable already.
    pub boot: u32,
    /// The last sign of life of the run before, at most 10 s older than its end.
    pub last_seen: Option<LastSeen>,
    /// Whether the run before ended by `close`.
    pub clean: bool,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSeen {
    /// Wall time, as the records' clock had it.
    pub wall: Timestamp,
    /// Time since the machine's start; compares only where `machine_boot_id` is the same.
    pub mono: Mono,
    /// The kernel's id of the machine's boot.
    pub machine_boot_id: String,
}

/// Why the store did not end cleanly. What was queued is stored as far as possible; the next start reports the rest.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The last writes failed.
    #[error("the store could not be closed cleanly: {0}")]
    Unclean(String),
    /// It was closed before.
    #[error("the store is closed already")]
    Closed,
}

/// A handle to the open store. Cheap to clone. When the last one goes without `close`, the store writes what is queued
/// and ends, and the next start reports an unclean end.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    asks: mpsc::Sender<Ask>,
    wake: [SyncSender<Job>; 2],
    threads: Mutex<Option<Threads>>,
}

#[derive(Debug)]
struct Threads {
    writers: Vec<JoinHandle<()>>,
    keeper: JoinHandle<Result<(), String>>,
    reader: JoinHandle<()>,
}

/// Opens the store; blocking. Starts its threads `store-urgent`, `store-bulk`, `store-keeper` and `store-reader`.
///
/// # Errors
/// The folder cannot be used, another process has it, or the disk is full and nothing may be removed.
pub fn open(settings: Settings, now: Now) -> Result<Opened, OpenError> {
    let dir = settings.dir.clone();
    create_durably(&dir).map_err(at(&dir))?;
    let mirror = create_durably(&settings.mirror_dir).err();
    let lock = disk::lock_exclusive(&dir.join("lock")).map_err(at(&dir))?.ok_or(OpenError::Locked(dir.clone()))?;
    let mut dropped = BTreeSet::new();
    let mut attempts = 0;
    let mut recovered = loop {
        match recovery::recover(&settings, now, &dropped) {
            Err(error) if error.is_full() && attempts < ROOM_ATTEMPTS => {
                attempts += 1;
                if !recovery::make_room(&settings, &mut dropped).map_err(at(&dir))? {
                    return Err(error);
                }
            }
            other => break other?,
        }
    };
    recovered.trouble.extend(mirror.map(|e| e.to_string()));
    start(settings, now, lock, recovered)
}

/// Creates a folder and those above it; a power cut does not take it away again with all that was synced in it.
fn create_durably(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|a| !a.as_os_str().is_empty() && !a.exists()).collect();
    std::fs::create_dir_all(dir)?;
    let parents = missing.into_iter().filter_map(Path::parent);
    parents.filter(|p| !p.as_os_str().is_empty()).try_for_each(disk::sync_dir)
}

fn start(
    settings: Settings,
    now: Now,
    lock: nix::fcntl::Flock<std::fs::File>,
    r: Recovered,
) -> Result<Opened, OpenError> {
    let start = start_of(&r);
    for why in &r.trouble {
        tracing::warn!(%why, "A small file of the store was damaged or could not be written; its copy served.");
    }
    let delivered = Delivered::load(&settings.dir, &r.marks.epoch);
    let (nudges, nudged) = sync_channel(NUDGES);
    let journal = Journal::open(&settings.dir);
    let shared = Arc::new(Shared::new(Begin {
        settings,
        epoch: r.marks.epoch.clone(),
        shelves: r.shelves,
        base: r.base,
        reserved: r.marks.reserved,
        committed: r.committed,
        ledger: r.ledger,
        delivered,
        now,
        nudges,
        lock,
    }));
    if let Err(error) = &journal {
        shared.set_trouble("journal", Some(format!("应急日志不可用 (no journal): {error}")));
    }
    let (urgent, urgent_jobs) = sync_channel(URGENT_QUEUE);
    let (bulk, bulk_jobs) = sync_channel(BULK_QUEUE);
    let (asks, asked) = mpsc::channel(QUESTIONS);
    let running = Arc::new(AtomicUsize::new(2));
    let mut lanes: Vec<(Stream, Option<Active>)> = Stream::ALL.into_iter().zip(r.active).collect();
    let rest = lanes.split_off(lanes.iter().take_while(|(s, _)| is_urgent(*s)).count());
    let keeper = Keeper::new(Arc::clone(&shared), nudged, r.files, r.marks, asks.clone(), Arc::clone(&running));
    let threads = Threads {
        writers: vec![
            spawn_writer("store-urgent", &shared, urgent_jobs, lanes, journal.ok(), &running)?,
            spawn_writer("store-bulk", &shared, bulk_jobs, rest, None, &running)?,
        ],
        keeper: spawn("store-keeper", move || keeper.run())?,
        reader: {
            let reader = Reader::new(Arc::clone(&shared), asked);
            spawn("store-reader", move || reader.run())?
        },
    };
    let appender = Appender::new(Arc::clone(&shared), urgent.clone(), bulk.clone());
    let inner = Inner { shared, asks, wake: [urgent, bulk], threads: Mutex::new(Some(threads)) };
    Ok(Opened { appender, store: Store { inner: Arc::new(inner) }, start })
}

fn start_of(r: &Recovered) -> Start {
    let seen = r.before.as_ref().and_then(|m| m.seen.as_ref());
    Start {
        epoch: r.marks.epoch.clone(),
        boot: r.marks.boot,
        last_seen: seen.map(|s| LastSeen {
            wall: Timestamp(s.wall),
            mono: Mono::from_millis(s.mono),
            machine_boot_id: s.machine.clone(),
        }),
        clean: r.before.as_ref().is_some_and(|m| m.clean),
    }
}

fn spawn<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(OpenError::Threads)
}

/// Counts a writer as gone also when it panicked: the keeper must not wait for it for ever.
struct Gone(Arc<AtomicUsize>, Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.set_trouble("writer", Some("写线程崩溃 (a writer thread died)".to_owned()));
            self.1.crashed.store(true, Ordering::Release);
        }
        self.0.fetch_sub(1, Ordering::AcqRel);
        self.1.nudge();
    }
}

fn spawn_writer(
    name: &'static str,
    shared: &Arc<Shared>,
    jobs: Receiver<Job>,
    lanes: Vec<(Stream, Option<Active>)>,
    journal: Option<Journal>,
    running: &Arc<AtomicUsize>,
) -> Result<JoinHandle<()>, OpenError> {
    let writer = Writer::new(name, Arc::clone(shared), jobs, lanes, journal);
    let gone = Gone(Arc::clone(running), Arc::clone(shared));
    spawn(name, move || {
        let _gone = gone;
        writer.run();
    })
}

impl Store {
    /// Returns the last stored number of each stream, by rank, as it grows.
    pub fn committed(&self) -> watch::Receiver<[u64; N]> {
        self.inner.shared.committed.subscribe()
    }

    /// Returns the last number of each stream that survives a power cut: stored, or, for alarm and passage while sled
    /// fails, in the journal.
    pub fn durable(&self) -> watch::Receiver<[u64; N]> {
        self.inner.shared.durable.subscribe()
    }

    /// Returns the state of the store, at most a second old.
    pub fn status(&self) -> watch::Receiver<Arc<StoreStatus>> {
        self.inner.shared.status.subscribe()
    }

    /// Returns the records of `seqs` that are stored, up to about `max_bytes` of bodies, at least one.
    ///
    /// # Errors
    /// The disk refuses, or the store is closed. Damage is no error: what is gone is in `missing`.
    pub async fn read(&self, stream: Stream, seqs: RangeInclusive<u64>, max_bytes: usize) -> Result<Page, ReadError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Read { stream, seqs, max_bytes, reply }).await?;
        answer.await.map_err(|_| ReadError::Closed)?
    }

    /// Returns the first kept to the last stored number; empty when nothing is kept.
    pub async fn span(&self, stream: Stream) -> RangeInclusive<u64> {
        let stored = self.inner.shared.committed.borrow().get(stream.rank()).copied().unwrap_or(0);
        let first = self.inner.shared.shelf(stream).first_kept();
        first.unwrap_or(stored.saturating_add(1))..=stored
    }

    /// Returns the numbers between which all records lie whose wall time is in `from..=to`. May be wider by a block of
    /// 64 KiB on either side, and by more where the clock was stepped.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn seqs_between(
        &self,
        stream: Stream,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<RangeInclusive<u64>>, ReadError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Between { stream, times: (from, to), reply }).await?;
        answer.await.map_err(|_| ReadError::Closed)?
    }

    async fn ask(&self, ask: Ask) -> Result<(), ReadError> {
        self.inner.asks.send(ask).await.map_err(|_| ReadError::Closed)
    }

    /// Returns what `consumer` has of `stream`.
    pub async fn delivered(&self, stream: Stream, consumer: &str) -> RangeSet {
        lock(&self.inner.shared.delivered).of(stream, consumer)
    }

    /// Takes down that `consumer` has `ranges` of `stream`. Durable at most about a second later; losing that second
    /// only means duplicates.
    pub async fn deliver(&self, stream: Stream, consumer: &str, ranges: Vec<RangeInclusive<u64>>) {
        lock(&self.inner.shared.delivered).add(stream, consumer, ranges);
    }

    /// Returns the gaps from entry `from_no` of the ledger on, at most `max`. Entries that every consumer acknowledged
    /// may be gone.
    pub async fn gaps(&self, from_no: u64, max: usize) -> Vec<Gap> {
        lock(&self.inner.shared.ledger).gaps(from_no, max)
    }

    /// Returns the entries of the ledger that `consumer` has.
    pub async fn gaps_delivered(&self, consumer: &str) -> RangeSet {
        lock(&self.inner.shared.delivered).gaps_of(consumer)
    }

    /// Takes down that `consumer` has the ledger's entries `nos`.
    pub async fn deliver_gaps(&self, consumer: &str, nos: Vec<RangeInclusive<u64>>) {
        lock(&self.inner.shared.delivered).add_gaps(consumer, nos);
    }

    /// Stores everything queued, syncs it, gives unused numbers back and marks the end as clean. The engine must have
    /// stopped: what is appended from now on gets no number.
    ///
    /// # Errors
    /// The last writes failed, or it was closed before. Nothing that was stored is in danger.
    pub async fn close(&self) -> Result<(), CloseError> {
        let inner = Arc::clone(&self.inner);
        let joined = tokio::task::spawn_blocking(move || inner.end(true)).await;
        joined.map_err(|e| CloseError::Unclean(e.to_string()))?
    }

    /// Ends the threads at once, as a killed process would: nothing queued is written. For tests; blocking.
    #[doc(hidden)]
    pub fn kill(&self) {
        self.inner.shared.killed.store(true, Ordering::Release);
        drop(self.inner.end(false));
    }
}

impl Inner {
    fn end(&self, orderly: bool) -> Result<(), CloseError> {
        let Some(threads) = lock(&self.threads).take() else { return Err(CloseError::Closed) };
        self.shared.orderly.store(orderly, Ordering::Release);
        self.wake_up();
        let writers = threads.writers.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        let kept = threads.keeper.join();
        // The reader may be busy with questions; a full channel drains by itself.
        while let Err(mpsc::error::TrySendError::Full(_)) = self.asks.try_send(Ask::End) {
            std::thread::sleep(READER_PAUSE);
        }
        let reader = threads.reader.join();
        self.shared.unlock();
        match kept {
            Ok(Ok(())) if writers == 0 && reader.is_ok() => Ok(()),
            Ok(Err(why)) => Err(CloseError::Unclean(why)),
            _ => Err(CloseError::Unclean("a thread of the store died".to_owned())),
        }
    }

    fn wake_up(&self) {
        self.shared.closing.store(true, Ordering::Release);
        for queue in &self.wake {
            // A full queue means that the writer is awake.
            drop(queue.try_send(Job::Wake));
        }
        drop(self.shared.nudges.try_send(Nudge::Close));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake_up();
        drop(self.asks.try_send(Ask::End));
    }
}
