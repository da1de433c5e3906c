//! The two writer threads: alarm and passage on one, committed at once; the rest on the other, committed in groups.
//!
//! ```text
//!            put, flush, fsync ok                      size reached
//!   open ───────────────────────────▶ open (stored) ─────────────────▶ sealed, next commit creates a new segment
//!    │ any error
//!    ▼
//!   failed: the handle is dropped, the segment sealed at what was stored before (the reader verifies it when it is read),
//!           the same records go into a NEW segment after a pause; a failed fsync is never tried again and believed
//! ```
//! While a writer is failed its queue fills; what does not fit becomes a `store_failed` gap (`appender.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::batch;
use super::journal::Journal;
use super::segment::{Active, SegmentError, let_go, remove_folder};
use super::settings::Settings;
use super::shared::{Shared, mono_now};
use super::shelf::Shelf;
use crate::domain::record::{Entry, GapReason, Stream};
use crate::domain::time::Mono;
use crate::sys;

/// Records that may wait for the urgent writer: an alarm flood of a whole park, some minutes of gate traffic.
pub(super) const URGENT_QUEUE: usize = 4096;
/// Records that may wait for the bulk writer: 20 s at 800 records/s, about 5 MB.
pub(super) const BULK_QUEUE: usize = 16_384;
/// Bytes of bodies that wait in a group before it is committed early.
const GROUP_BYTES: usize = 1 << 20;
/// Longest wait of event, registry and report: rare, and people wait for them.
const SOON: Duration = Duration::from_millis(50);
/// How often an idle writer looks whether the store ends.
const IDLE: Duration = Duration::from_millis(200);
/// Records taken from the queue between two looks at what is due.
const DRAIN: usize = 1024;
/// Pauses between attempts of a failed store.
const RETRY_INITIAL: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Largest segment of telemetry, whatever the settings say. sled 0.34 keeps a whole open segment in memory: it looks at
/// its cache only after 64 accesses in each of 256 shards, which a segment never reaches.
const LARGE_SEGMENT: u64 = 16 << 20;
/// Largest segment of a stream other than telemetry: their records are small and few.
const SMALL_SEGMENT: u64 = 8 << 20;
/// Segments that must fit into the quota, so that there is always an old one to remove.
const QUOTA_SEGMENTS: u64 = 8;

/// What a writer is sent.
#[derive(Debug)]
pub(super) enum Job {
    /// Store this.
    Record(Stream, Entry),
    /// Look whether the store ends.
    Wake,
}

/// Returns whether the stream is committed at once.
pub(super) fn is_urgent(stream: Stream) -> bool {
    matches!(stream, Stream::Alarm | Stream::Passage)
}

/// Returns the on-disk size at which a segment of `stream` is sealed.
pub(super) fn segment_limit(settings: &Settings, stream: Stream) -> u64 {
    let of_quota = (settings.quota_bytes / QUOTA_SEGMENTS).max(1 << 20);
    let limit = settings.segment_bytes.min(of_quota).min(LARGE_SEGMENT);
    if stream == Stream::Telemetry { limit } else { limit.min(SMALL_SEGMENT) }
}

/// One stream of a writer.
#[derive(Debug)]
struct Lane {
    stream: Stream,
    active: Option<Active>,
    pending: Vec<Entry>,
    bytes: usize,
    due: Option<Mono>,
}

/// A writer thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    name: &'static str,
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    lanes: Vec<Lane>,
    journal: Option<Journal>,
}

impl Writer {
    /// Returns the writer of `streams`, going on with the segments in `active`.
    pub(super) fn new(
        name: &'static str,
        shared: Arc<Shared>,
        jobs: Receiver<Job>,
        streams: Vec<(Stream, Option<Active>)>,
        journal: Option<Journal>,
    ) -> Self {
        let lane = |(stream, active)| Lane { stream, active, pending: Vec::new(), bytes: 0, due: None };
        Self { name, shared, jobs, lanes: streams.into_iter().map(lane).collect(), journal }
    }

    /// Runs until the store ends; then everything queued is stored.
    pub(super) fn run(mut self) {
        loop {
            let ends = self.receive();
            if self.shared.is_killed() {
                break;
            }
            let now = mono_now();
            for n in 0..self.lanes.len() {
                self.settle(n, now, ends);
            }
            if ends {
                break;
            }
        }
        self.finish();
    }

    /// Takes in what waits; returns whether this was the last of it.
    fn receive(&mut self) -> bool {
        let closing = self.shared.is_closing();
        let due = self.lanes.iter().filter_map(|l| l.due).min();
        let wait = due.map_or(IDLE, |at| at.since(mono_now()).min(IDLE));
        let first = if closing { Ok(Job::Wake) } else { self.jobs.recv_timeout(wait) };
        match first {
            Ok(Job::Record(stream, entry)) => self.take(stream, entry),
            Ok(Job::Wake) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return true,
        }
        for _ in 0..DRAIN {
            match self.jobs.try_recv() {
                Ok(Job::Record(stream, entry)) => self.take(stream, entry),
                Ok(Job::Wake) => {}
                Err(_) => return closing,
            }
        }
        false
    }

    fn take(&mut self, stream: Stream, entry: Entry) {
        let Some(lane) = self.lanes.iter_mut().find(|l| l.stream == stream) else { return };
        let wait = match stream {
            Stream::Alarm | Stream::Passage => Duration::ZERO,
            Stream::Telemetry => self.shared.settings.commit_interval,
            Stream::Event | Stream::Registry | Stream::Report => SOON.min(self.shared.settings.commit_interval),
        };
        let now = mono_now();
        lane.bytes += entry.body.len();
        lane.pending.push(entry);
        let wait = if lane.bytes >= GROUP_BYTES { Duration::ZERO } else { wait };
        lane.due = Some(lane.due.map_or(now + wait, |due| due.min(now + wait)));
    }

    /// Commits lane `n` if it is due, however often that takes; gives up only when the store ends.
    fn settle(&mut self, n: usize, now: Mono, all: bool) {
        let is_due = |l: &Lane| !l.pending.is_empty() && (all || l.due.is_some_and(|due| due <= now));
        if !self.lanes.get(n).is_some_and(is_due) {
            return;
        }
        let mut pause = RETRY_INITIAL;
        loop {
            let before = mono_now();
            let Some(lane) = self.lanes.get_mut(n) else { return };
            match lane.commit(&self.shared) {
                Ok(()) => {
                    self.shared.note_commit(mono_now().since(before));
                    break;
                }
                Err(error) => lane.fail(&self.shared, self.name, &error),
            }
            if self.shared.is_killed() {
                return;
            }
            let journaled = self.journal.as_mut().map_or(0, |j| j.rescue(&self.shared, lane.stream, &lane.pending));
            if self.shared.is_closing() {
                // The journal must keep what it has: it is not settled.
                return lane.give_up(&self.shared, journaled);
            }
            self.wait(pause);
            pause = (pause * 2).min(RETRY_MAX);
        }
        self.shared.set_trouble(self.name, None);
        if let (Some(journal), Some(lane)) = (self.journal.as_mut(), self.lanes.get(n)) {
            journal.settled(&self.shared, lane.stream);
        }
    }

    /// Waits before the next attempt of a failed store. Where there is a journal, what comes meanwhile goes into it at
    /// once: a gate waits for that.
    fn wait(&mut self, pause: Duration) {
        if self.journal.is_none() {
            return std::thread::sleep(pause);
        }
        let until = mono_now() + pause;
        self.rescue_all();
        loop {
            let left = until.since(mono_now());
            if left.is_zero() || self.shared.is_closing() {
                return;
            }
            if self.lanes.iter().map(|l| l.pending.len()).sum::<usize>() >= URGENT_QUEUE {
                return std::thread::sleep(left);
            }
            match self.jobs.recv_timeout(left.min(IDLE)) {
                Ok(Job::Record(stream, entry)) => self.take(stream, entry),
                Ok(Job::Wake) | Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return std::thread::sleep(left),
            }
            while let Ok(Job::Record(stream, entry)) = self.jobs.try_recv() {
                self.take(stream, entry);
            }
            self.rescue_all();
        }
    }

    fn rescue_all(&mut self) {
        let Some(journal) = self.journal.as_mut() else { return };
        for lane in &self.lanes {
            journal.rescue(&self.shared, lane.stream, &lane.pending);
        }
    }

    /// Closes the segments; the keeper writes the manifests.
    fn finish(self) {
        for lane in self.lanes {
            let shelf = self.shared.shelf(lane.stream);
            if let Some(active) = lane.active {
                shelf.let_go();
                let_go(active);
            }
        }
    }
}

impl Lane {
    /// Stores all that is pending.
    fn commit(&mut self, shared: &Shared) -> Result<(), SegmentError> {
        let Some(first) = self.pending.first().map(|e| e.seq) else { return Ok(()) };
        let shelf = shared.shelf(self.stream);
        if self.active.is_none() {
            self.active = Some(begin(shelf, first)?);
            shared.set_trouble("seal", None);
        }
        let Some(active) = self.active.as_mut() else { return Ok(()) };
        let from_block = active.n_blocks().saturating_sub(1);
        for value in batch::encode(self.stream, &self.pending) {
            active.put(&value)?;
        }
        active.commit()?;
        shelf.committed(active, from_block);
        shared.stored(self.stream, &self.pending);
        let is_large = active.segment.bytes >= segment_limit(&shared.settings, self.stream);
        self.clear();
        // What is stored is stored: a manifest that cannot be written now is written when the next segment begins.
        if is_large && let Err(error) = self.seal(shelf) {
            shared.set_trouble("seal", Some(format!("清单写入失败 (manifest): {error}")));
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.pending.clear();
        self.bytes = 0;
        self.due = None;
    }

    fn seal(&mut self, shelf: &Shelf) -> Result<(), SegmentError> {
        if let Some(active) = self.active.take() {
            let segment = active.segment.clone();
            shelf.seal(segment);
            let_go(active);
            sys::memory::trim();
            shelf.persist()?;
        }
        Ok(())
    }

    /// The store failed under this lane: the handle goes, what was stored stays, what is pending waits.
    fn fail(&mut self, shared: &Shared, who: &'static str, error: &SegmentError) {
        let shelf = shared.shelf(self.stream);
        shared.stats.reopened.fetch_add(1, Ordering::Relaxed);
        if error.is_full() {
            shared.pressure.store(true, Ordering::Release);
            shared.nudge();
        }
        let words = if error.is_full() { "磁盘已满 (disk full)" } else { "写入失败 (writing failed)" };
        shared.set_trouble(who, Some(format!("{words}: {}: {error}", self.stream.as_str())));
        tracing::error!(stream = self.stream.as_str(), %error, "The store failed; it is opened anew.");
        if let Some(active) = self.active.take() {
            let segment = active.segment.clone();
            shelf.seal(segment.clone());
            let_go(active);
            // Best effort: the next `begin` writes the manifest before anything is stored in a new segment.
            if let Err(error) = shelf.persist() {
                tracing::warn!(stream = self.stream.as_str(), %error, "The manifest could not be written.");
            }
            if !segment.has_records() {
                drop(remove_folder(&shelf.path(segment.first)));
            }
        }
    }

    /// The store ends and will not take these. Those up to `journaled` are in the journal: the next start takes them.
    fn give_up(&mut self, shared: &Shared, journaled: u64) {
        for entry in self.pending.iter().filter(|e| e.seq > journaled) {
            shared.lose_exact(self.stream, entry.seq..=entry.seq, Some(entry.stamp.wall), GapReason::StoreFailed);
        }
        self.clear();
    }
}

/// Creates the segment that begins with `first` and puts it into the manifest before anything is stored in it.
fn begin(shelf: &Shelf, first: u64) -> Result<Active, SegmentError> {
    let created = Active::create(&shelf.dir, first);
    let active = match created {
        Ok(active) => active,
        Err(error) => {
            // What was created so far would take the space that is missing.
            drop(remove_folder(&shelf.path(first)));
            return Err(error);
        }
    };
    shelf.begin(&active);
    if let Err(error) = shelf.persist() {
        shelf.seal(active.segment.clone());
        let_go(active);
        drop(remove_folder(&shelf.path(first)));
        return Err(error.into());
    }
    Ok(active)
}
