//! The keeper thread: everything small and durable beside the segments. Ledger, marks, delivered ranges, retention,
//! quota, ballast, status. It works in ticks, so its writes are bounded per second whatever the load.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::mpsc;

use super::files::lock;
use super::ledger::{LedgerFiles, Loss};
use super::manifest::Segment;
use super::marks::{Marks, N, Seen};
use super::mend;
use super::reader::Ask;
use super::retention::{self, Plan, Shelved, Why};
use super::segment::remove_folder;
use super::shared::{Nudge, Shared, mono_now};
use crate::domain::ranges::RangeSet;
use crate::domain::record::{GapReason, Stream};
use crate::domain::snapshot::{StoreStatus, StreamStatus};
use crate::domain::time::{Mono, Timestamp};
use crate::sys;
use crate::sys::disk;

/// How often the keeper looks unasked.
const TICK: Duration = Duration::from_millis(250);
/// How often delivered ranges are written after a change, the policy runs, and the status goes out.
const SECOND: Duration = Duration::from_secs(1);
/// How often the sign of life is written.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Pause between two segments of the background verification: it must not be felt by readers.
const VERIFY_EVERY: Duration = Duration::from_secs(2);
/// How often a ballast that was given up is tried again.
const BALLAST_EVERY: Duration = Duration::from_secs(30);
/// Numbers reserved ahead at first: what a crash at most reports as uncertain.
pub(super) const MIN_BLOCK_TELEMETRY: u64 = 8192;
/// See [`MIN_BLOCK_TELEMETRY`].
pub(super) const MIN_BLOCK_OTHERS: u64 = 512;
/// Largest reservation. Blocks double while they last less than a minute, so that even at full load a dead disk is
/// noticed for minutes before numbers run out.
const MAX_BLOCK: u64 = 262_144;
const BLOCK_LASTS: Duration = Duration::from_secs(60);
/// Free space that is enough to go on: a new segment and all small files. Less of it after an error makes room.
const ROOM: u64 = 3 << 20;
/// Attempts to write the small files at the end on a full disk, making room before each.
const END_ATTEMPTS: usize = 8;
/// Name of the ballast file.
const BALLAST: &str = "ballast";

/// Returns the first reservation of a stream.
pub(super) fn min_block(rank: usize) -> u64 {
    if rank == Stream::Telemetry.rank() { MIN_BLOCK_TELEMETRY } else { MIN_BLOCK_OTHERS }
}

/// Returns the path of the ballast file.
pub(super) fn ballast_path(dir: &std::path::Path) -> PathBuf {
    dir.join(BALLAST)
}

/// The keeper thread's state.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    nudges: Receiver<Nudge>,
    files: LedgerFiles,
    marks: Marks,
    blocks: [u64; N],
    extended: [Mono; N],
    asks: mpsc::Sender<Ask>,
    unverified: VecDeque<(Stream, u64)>,
    writers: Arc<AtomicUsize>,
    done: Times,
    quarantine: (u64, u64),
}

/// When each periodic work was last done.
#[derive(Debug, Default)]
struct Times {
    second: Mono,
    sign: Mono,
    verify: Mono,
    ballast: Mono,
}

impl Keeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        nudges: Receiver<Nudge>,
        files: LedgerFiles,
        marks: Marks,
        asks: mpsc::Sender<Ask>,
        writers: Arc<AtomicUsize>,
    ) -> Self {
        let sealed = |s: Stream| shared.shelf(s).segments().into_iter().filter(|g| g.sealed).map(move |g| (s, g.first));
        let unverified = Stream::ALL.into_iter().flat_map(sealed).collect();
        let quarantine = mend::in_quarantine(&shared.settings.dir);
        let blocks = std::array::from_fn(min_block);
        let now = mono_now();
        let done = Times { second: now, sign: now, verify: now, ballast: Mono::default() };
        let extended = [now; N];
        Self { shared, nudges, files, marks, blocks, extended, asks, unverified, writers, done, quarantine }
    }

    /// Runs until both writers are done; returns what kept the end from being an orderly one.
    pub(super) fn run(mut self) -> Result<(), String> {
        self.publish();
        loop {
            match self.nudges.recv_timeout(TICK) {
                Ok(Nudge::Close) | Ok(Nudge::Look) | Err(_) => {}
            }
            if self.shared.is_killed() {
                return Err("killed".to_owned());
            }
            let ends = self.shared.is_closing() && self.writers.load(Ordering::Acquire) == 0;
            self.tick();
            if ends {
                let shared = Arc::clone(&self.shared);
                let end = self.end();
                if !shared.is_orderly() {
                    // The last handle was dropped: nobody joins us.
                    shared.unlock();
                }
                return end;
            }
        }
    }

    fn tick(&mut self) {
        let now = mono_now();
        if let Err(error) = self.write_losses() {
            self.trouble("ledger", &error);
        }
        if let Err(error) = self.reserve(now) {
            self.trouble("marks", &error);
        }
        if self.shared.pressure.swap(false, Ordering::AcqRel) {
            self.make_room();
        }
        if now.since(self.done.second) >= SECOND {
            self.done.second = now;
            self.each_second(now);
        }
        if now.since(self.done.verify) >= VERIFY_EVERY {
            self.done.verify = now;
            self.verify_one();
        }
    }

    fn each_second(&mut self, now: Mono) {
        if let Err(error) = self.write_delivered() {
            self.trouble("delivered", &error);
        }
        if let Err(error) = self.compact_ledger() {
            self.trouble("ledger", &error);
        }
        if now.since(self.done.sign) >= SIGN_OF_LIFE
            && let Err(error) = self.write_marks()
        {
            self.trouble("marks", &error);
        }
        let plan = self.plan(false);
        self.carry_out(&plan);
        if now.since(self.done.ballast) >= BALLAST_EVERY {
            self.done.ballast = now;
            self.restore_ballast();
        }
        self.publish();
    }

    fn trouble(&self, who: &'static str, error: &io::Error) {
        if disk::is_full(error) {
            self.shared.pressure.store(true, Ordering::Release);
        }
        tracing::error!(file = who, %error, "The store could not write a small file; it is tried again.");
        self.shared.set_trouble(who, Some(format!("写入失败 (writing failed): {who}: {error}")));
    }

    /// Numbers the losses that wait, makes them durable, then visible.
    fn write_losses(&mut self) -> io::Result<()> {
        let losses = self.shared.take_losses();
        if losses.is_empty() {
            return Ok(());
        }
        let ledger = lock(&self.shared.ledger).clone();
        let gaps = ledger.number(losses.clone());
        if let Err(error) = self.files.append(&ledger, &gaps) {
            self.shared.return_losses(losses);
            return Err(error);
        }
        lock(&self.shared.ledger).publish(gaps);
        self.shared.set_trouble("ledger", None);
        for shelf in &self.shared.shelves {
            let accounted = lock(&self.shared.ledger).accounted(shelf.stream);
            shelf.forget_hollow(&accounted);
        }
        Ok(())
    }

    /// Reserves more numbers where less than half a block is left.
    fn reserve(&mut self, now: Mono) -> io::Result<()> {
        let mut wanted = self.marks.reserved;
        let mut changed = false;
        for (rank, wanted) in wanted.iter_mut().enumerate() {
            let (Some(block), Some(at)) = (self.blocks.get_mut(rank), self.extended.get_mut(rank)) else { continue };
            let given = load(&self.shared.next, rank).saturating_sub(1);
            if wanted.saturating_sub(given) >= *block / 2 {
                continue;
            }
            if now.since(*at) < BLOCK_LASTS {
                *block = (*block * 2).min(MAX_BLOCK);
            }
            *at = now;
            *wanted = given.saturating_add(*block);
            changed = true;
        }
        if changed {
            let before = std::mem::replace(&mut self.marks.reserved, wanted);
            if let Err(error) = self.write_marks() {
                self.marks.reserved = before;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes the marks; only then are the numbers in them for use.
    fn write_marks(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        self.marks.write += 1;
        self.marks.stored = *shared.committed.borrow();
        self.marks.settled = std::array::from_fn(|rank| {
            let stream = retention::stream_of(rank);
            let stored = self.marks.stored.get(rank).copied().unwrap_or(0);
            let first = shared.shelf(stream).first_kept().unwrap_or(stored.saturating_add(1));
            self.settled(stream).first_missing(first).saturating_sub(1).min(stored)
        });
        let (mono, wall) = shared.now();
        self.marks.seen = Some(Seen { wall: wall.0, mono: mono.millis(), machine: sys::clock::machine_boot_id() });
        let mirror = self.marks.store(&shared.settings.dir, &shared.settings.mirror_dir)?;
        shared.set_trouble("marks", None);
        shared.set_trouble("mirror", mirror.map(|why| format!("镜像失败 (mirror failed): {why}")));
        for (reserved, durable) in shared.reserved.iter().zip(self.marks.reserved) {
            reserved.store(durable, Ordering::Release);
        }
        self.done.sign = mono_now();
        Ok(())
    }

    /// Numbers that nobody waits for: delivered to every consumer, or in a gap.
    fn settled(&self, stream: Stream) -> RangeSet {
        let mut set = lock(&self.shared.delivered).by_all(stream, &self.shared.settings.consumers);
        for range in self.shared.accounted(stream).iter() {
            set.insert(range);
        }
        set
    }

    fn write_delivered(&mut self) -> io::Result<()> {
        let write = {
            let mut delivered = lock(&self.shared.delivered);
            if !std::mem::take(&mut delivered.dirty) {
                return Ok(());
            }
            delivered.writer(&self.shared.epoch)
        };
        if let Err(error) = write(&self.shared.settings.dir) {
            lock(&self.shared.delivered).dirty = true;
            return Err(error);
        }
        self.shared.set_trouble("delivered", None);
        Ok(())
    }

    /// Lets go of what every consumer has of the ledger; without consumers that is all of it.
    fn compact_ledger(&mut self) -> io::Result<()> {
        let acknowledged = lock(&self.shared.delivered).gaps_by_all(&self.shared.settings.consumers);
        if !lock(&self.shared.ledger).is_worth_compacting(&acknowledged) {
            return Ok(());
        }
        let mut ledger = lock(&self.shared.ledger).clone();
        if ledger.compact(&acknowledged) {
            self.files.rewrite(&ledger)?;
            *lock(&self.shared.ledger) = ledger;
            self.shared.set_trouble("ledger", None);
        }
        Ok(())
    }

    fn plan(&self, pressure: bool) -> Plan {
        let shelves: [Shelved; N] = std::array::from_fn(|rank| {
            let stream = retention::stream_of(rank);
            let settings = self.shared.settings.streams.get(rank);
            Shelved {
                segments: self.shared.shelf(stream).segments(),
                settled: self.settled(stream),
                retention_ms: settings.map_or(i64::MAX, |s| i64::try_from(s.retention.as_millis()).unwrap_or(i64::MAX)),
                reserved_bytes: settings.map_or(0, |s| s.reserved_bytes),
            }
        });
        retention::plan(&shelves, self.quarantine.1, self.shared.settings.quota_bytes, pressure)
    }

    fn carry_out(&mut self, plan: &Plan) {
        for (refuse, flag) in plan.refuse.iter().zip(&self.shared.refuse) {
            flag.store(*refuse, Ordering::Release);
        }
        let full: Vec<&str> =
            Stream::ALL.iter().zip(plan.refuse).filter(|(_, refuse)| *refuse).map(|(s, _)| s.as_str()).collect();
        let words = (!full.is_empty()).then(|| format!("存储已满，拒绝新记录 (full, refuses): {}", full.join(", ")));
        self.shared.set_trouble("full", words);
        let makes_room = !full.is_empty() || plan.remove.iter().any(|(_, _, why)| *why == Why::Quota);
        if makes_room && self.quarantine.0 > 0 {
            // Damaged folders, their records salvaged already, go before any record does; then the plan is made anew.
            tracing::warn!(bytes = self.quarantine.1, "The quarantine is given up to make room.");
            if let Err(error) = mend::give_up_quarantine(&self.shared.settings.dir) {
                self.trouble("segment", &error);
            }
            let left = mend::in_quarantine(&self.shared.settings.dir);
            if std::mem::replace(&mut self.quarantine, left).1 > left.1 {
                return;
            }
        }
        for (rank, first, why) in &plan.remove {
            if let Err(error) = self.remove(retention::stream_of(*rank), *first, *why) {
                self.trouble("segment", &error);
                return;
            }
        }
        self.shared.set_trouble("segment", None);
    }

    /// Removes a segment: first what it loses is in the ledger, then it is out of the manifest, then its files go.
    fn remove(&mut self, stream: Stream, first: u64, why: Why) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let shelf = shared.shelf(stream);
        let Some(segment) = shelf.segments().into_iter().find(|s| s.first == first && s.sealed) else { return Ok(()) };
        if why == Why::Quota {
            self.lose_undelivered(stream, &segment)?;
        }
        shelf.replace(first, None);
        let persisted = shelf.persist();
        if persisted.as_ref().is_err_and(disk::is_full) {
            // Without room for a manifest the files must go first; the ledger has what they held.
            remove_folder(&shelf.path(first))?;
            return shelf.persist();
        }
        persisted?;
        remove_folder(&shelf.path(first))
    }

    fn lose_undelivered(&mut self, stream: Stream, segment: &Segment) -> io::Result<()> {
        let times = (Some(Timestamp(segment.from)), Some(Timestamp(segment.to)));
        for seqs in retention::undelivered(segment, &self.settled(stream)) {
            tracing::warn!(
                stream = stream.as_str(),
                from = seqs.start(),
                to = seqs.end(),
                "Undelivered records go: no space."
            );
            self.shared.lose(Loss { stream, seqs, times, exact: true, reason: GapReason::Quota });
        }
        self.write_losses()
    }

    /// The disk is full: the ballast goes, then segments by policy.
    fn make_room(&mut self) {
        let ballast = ballast_path(&self.shared.settings.dir);
        if ballast.exists() {
            tracing::error!("The disk is full; the ballast is given up.");
            self.done.ballast = mono_now();
            if let Err(error) = disk::remove_file_if_there(&ballast) {
                self.trouble("ballast", &error);
            }
        }
        // Several places may have failed for the same want of space: what one removal gave is enough for all.
        if disk::free_bytes(&self.shared.settings.dir).is_some_and(|free| free >= ROOM) {
            return;
        }
        let plan = self.plan(true);
        self.carry_out(&plan);
    }

    /// Makes the ballast anew when there is room for it and for work beside it.
    fn restore_ballast(&mut self) {
        let settings = &self.shared.settings;
        let path = ballast_path(&settings.dir);
        if settings.ballast_bytes == 0 || path.exists() {
            self.shared.set_trouble("ballast", None);
            return;
        }
        let needed = settings.ballast_bytes.saturating_mul(2);
        if disk::free_bytes(&settings.dir).is_none_or(|free| free < needed) {
            self.shared.set_trouble("ballast", Some("磁盘将满 (the disk is nearly full)".to_owned()));
            return;
        }
        match disk::allocate(&path, settings.ballast_bytes) {
            Ok(()) => self.shared.set_trouble("ballast", None),
            Err(error) => self.trouble("ballast", &error),
        }
    }

    /// Asks the reader to verify one more segment; a busy reader is left alone.
    fn verify_one(&mut self) {
        let Some((stream, first)) = self.unverified.pop_front() else { return };
        if self.shared.shelf(stream).has(first) && self.asks.try_send(Ask::Verify { stream, first }).is_err() {
            self.unverified.push_back((stream, first));
        }
    }

    fn publish(&mut self) {
        self.quarantine = mend::in_quarantine(&self.shared.settings.dir);
        let status = self.status();
        self.shared.status.send_if_modified(|old| {
            let changed = **old != status;
            if changed {
                *old = Arc::new(status);
            }
            changed
        });
    }

    fn status(&self) -> StoreStatus {
        let shared = &self.shared;
        let trouble = shared.trouble();
        let streams: [StreamStatus; N] = std::array::from_fn(|rank| self.stream_status(rank));
        let acknowledged = match shared.settings.consumers.is_empty() {
            true => RangeSet::new(),
            false => lock(&shared.delivered).gaps_by_all(&shared.settings.consumers),
        };
        let ledger = lock(&shared.ledger);
        let (gaps_open, gaps_total) = ledger.open_and_total(&acknowledged);
        StoreStatus {
            epoch: shared.epoch.clone(),
            healthy: trouble.is_none(),
            trouble,
            bytes: streams.iter().map(|s| s.bytes).fold(0, u64::saturating_add),
            streams,
            quota_bytes: shared.settings.quota_bytes,
            free_bytes: disk::free_bytes(&shared.settings.dir),
            gaps_open,
            gaps_total,
            lost: ledger.lost().0,
            quarantined: self.quarantine.0,
            reopened: shared.stats.reopened.load(Ordering::Relaxed),
            worst_commit: Duration::from_micros(shared.stats.worst_commit_us.load(Ordering::Relaxed)),
            commits: shared.stats.commits.load(Ordering::Relaxed),
        }
    }

    fn stream_status(&self, rank: usize) -> StreamStatus {
        let stream = retention::stream_of(rank);
        let segments = self.shared.shelf(stream).segments();
        let kept = || segments.iter().filter(|s| s.has_records());
        let stored = self.shared.committed.borrow().get(rank).copied().unwrap_or(0);
        let first = kept().next().map_or(0, |s| s.first);
        let waiting = if first == 0 { 0 } else { self.settled(stream).missing(first..=stored) };
        StreamStatus {
            first,
            stored,
            next: load(&self.shared.next, rank),
            bytes: segments.iter().map(|s| s.bytes).sum(),
            segments: segments.len() as u64,
            oldest: kept().next().map(|s| Timestamp(s.from)),
            waiting,
            lost: lock(&self.shared.ledger).lost().1.get(rank).copied().unwrap_or(0),
        }
    }

    /// The last writes, making room for them where there is none.
    fn end(mut self) -> Result<(), String> {
        let mut result = self.write_last();
        for _ in 0..END_ATTEMPTS {
            if !result.as_ref().is_err_and(disk::is_full) {
                break;
            }
            self.make_room();
            result = self.write_last();
        }
        self.publish();
        result.map_err(|e| e.to_string())
    }

    /// Clean only if everything given is stored or in the ledger, and the manifests say so.
    fn write_last(&mut self) -> io::Result<()> {
        self.write_losses()?;
        self.write_delivered()?;
        self.shared.shelves.iter().try_for_each(super::shelf::Shelf::persist)?;
        let unclean = self.marks.clone();
        if self.shared.is_orderly() {
            self.marks.clean = true;
            self.marks.reserved = std::array::from_fn(|rank| load(&self.shared.next, rank).saturating_sub(1));
        }
        let written = self.write_marks();
        if written.is_err() {
            (self.marks.clean, self.marks.reserved) = (unclean.clean, unclean.reserved);
        }
        written
    }
}

fn load(numbers: &[AtomicU64; N], rank: usize) -> u64 {
    numbers.get(rank).map_or(0, |n| n.load(Ordering::Acquire))
}
