//! Opening a store: what the small files promise is held against what is there; every difference becomes a gap.
//!
//! | found | then |
//! |---|---|
//! | marks in the store or in the mirror | same epoch; numbers go on above the larger reservation |
//! | no marks, but a manifest | same epoch; numbers go on far above everything known ([`JUMP`]) |
//! | nothing, or empty manifests without marks: a first start cut short | a new epoch |
//! | mirror only, no folder of a stream | same epoch; what was not delivered is a gap `store_replaced` |
//! | a run that did not end by `close` | last stored to reservation is a gap `crash_uncommitted` |
//! | a promised number that is not there | a gap `damaged` |

use std::collections::BTreeSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::batch;
use super::delivered::Delivered;
use super::files;
use super::journal;
use super::keeper::{ballast_path, min_block};
use super::ledger::{Ledger, LedgerFiles, Loss};
use super::manifest::{self, Manifest, Segment};
use super::marks::{self, Marks, N};
use super::mend;
use super::retention;
use super::salvage;
use super::segment::{Active, SegmentError, View, db_file, let_go, remove_folder};
use super::settings::Settings;
use super::shelf::Shelf;
use super::writer::{is_urgent, segment_limit};
use crate::domain::ranges::RangeSet;
use crate::domain::record::{GapReason, Stream};
use crate::domain::time::{Now, Timestamp};
use crate::sys::disk;

/// How far numbers jump when both copies of the marks are gone: more than any reservation ever was ahead.
const JUMP: u64 = 1 << 24;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the store `{0}` is in use by another process")]
    Locked(PathBuf),
    /// A folder or file refuses.
    #[error("the store `{path}` cannot be opened: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The machine failed under a segment.
    #[error("a segment of {stream} cannot be opened: {why}")]
    Segment {
        /// Which stream.
        stream: &'static str,
        /// What was said.
        why: String,
        /// Whether there is no space.
        full: bool,
    },
    /// A thread could not be started.
    #[error("the store's threads cannot be started: {0}")]
    Threads(io::Error),
}

impl OpenError {
    /// Returns whether there is no space left.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => disk::is_full(source),
            Self::Segment { full, .. } => *full,
            Self::Locked(_) | Self::Threads(_) => false,
        }
    }
}

/// Names the path that an error belongs to.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Io { path, source }
}

/// A store brought into order, before its threads run.
pub(super) struct Recovered {
    pub(super) marks: Marks,
    /// Last numbers given before this start.
    pub(super) base: [u64; N],
    pub(super) committed: [u64; N],
    pub(super) shelves: [Shelf; N],
    pub(super) active: [Option<Active>; N],
    pub(super) ledger: Ledger,
    pub(super) files: LedgerFiles,
    pub(super) before: Option<Marks>,
    pub(super) trouble: Vec<String>,
}

/// Makes room on a full disk at start: first the ballast goes, then the oldest telemetry segments. Returns whether
/// something went; a removed segment is added to `dropped`.
pub(super) fn make_room(settings: &Settings, dropped: &mut BTreeSet<u64>) -> io::Result<bool> {
    let ballast = ballast_path(&settings.dir);
    if ballast.exists() {
        disk::remove_file_if_there(&ballast)?;
        return Ok(true);
    }
    let dir = settings.dir.join(Stream::Telemetry.as_str());
    let mut firsts = folders(&dir)?;
    // The newest may be the one that was written; it stays.
    firsts.pop_last();
    let Some(first) = firsts.first().copied() else { return Ok(false) };
    tracing::error!(segment = first, "The disk is full at start; the oldest telemetry goes.");
    remove_folder(&dir.join(manifest::folder(first)))?;
    dropped.insert(first);
    Ok(true)
}

/// The first numbers of the segment folders in `dir`.
fn folders(dir: &Path) -> io::Result<BTreeSet<u64>> {
    let names = std::fs::read_dir(dir)?.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    Ok(names.filter_map(|n| manifest::first_of(&n)).collect())
}

/// Brings the store in `settings.dir` into order. The caller holds its lock.
pub(super) fn recover(settings: &Settings, now: Now, dropped: &BTreeSet<u64>) -> Result<Recovered, OpenError> {
    let found = marks::load(&settings.dir, &settings.mirror_dir);
    let mut manifests = Stream::ALL.map(|s| Manifest::load(&settings.dir.join(s.as_str())));
    let good = || manifests.iter().filter_map(good);
    let known_epoch = good().next().map(|m| m.epoch.clone());
    let known_boot = good().map(|m| m.boot).max().unwrap_or(0);
    // The mirror of another store must not take this one's place.
    let is_ours = |m: &Marks| found.own || known_epoch.as_ref().is_none_or(|epoch| *epoch == m.epoch);
    let before = found.marks.clone().filter(is_ours);
    let is_unused = before.is_none() && !found.damaged && !good().any(|m| !m.segments.is_empty());
    let known_epoch = known_epoch.filter(|_| !(is_unused && is_without_segments(settings)));
    let epoch = before.as_ref().map(|m| m.epoch.clone()).or(known_epoch);
    let vanished = before.is_some() && !found.own && manifests.iter().all(|m| matches!(m, files::Read::Absent));
    let is_new = epoch.is_none();
    let epoch = epoch.unwrap_or_else(|| new_epoch(now));
    if is_new {
        // Its numbers are of a store that is gone; in this one they are somebody else's.
        journal::forget(&settings.dir).map_err(at(&settings.dir))?;
    }
    let (files, ledger) = LedgerFiles::load(&settings.dir, &settings.mirror_dir, &epoch);
    let ledger = if is_new { ledger.emptied() } else { ledger };
    let boot = before.as_ref().map_or(known_boot, |m| m.boot).saturating_add(1);
    let delivered = Delivered::load(&settings.dir, &epoch);
    let mut state = State {
        settings,
        before: before.as_ref(),
        epoch: &epoch,
        vanished,
        is_new,
        ledger: &ledger,
        delivered: &delivered,
        dropped,
    };
    let mut streams = Vec::with_capacity(N);
    for (stream, manifest) in Stream::ALL.into_iter().zip(manifests.iter_mut()) {
        let manifest = std::mem::replace(manifest, files::Read::Absent);
        streams.push(state.stream(stream, manifest, now)?);
    }
    let mut started = streams.into_iter();
    let mut all: [Option<StreamStart>; N] = std::array::from_fn(|_| started.next());
    let of =
        |f: fn(&StreamStart) -> u64| std::array::from_fn(|r| all.get(r).and_then(|s| s.as_ref().map(f)).unwrap_or(0));
    let (base, committed): ([u64; N], [u64; N]) = (of(|s| s.base), of(|s| s.committed));
    let losses = all.iter_mut().flatten().flat_map(|s| std::mem::take(&mut s.losses)).collect();
    let shelf = |r: usize, s: Option<&StreamStart>| {
        let segments = s.map(|s| s.segments.clone()).unwrap_or_default();
        Shelf::new(retention::stream_of(r), &settings.dir, &epoch, boot, segments)
    };
    let shelves = std::array::from_fn(|r| shelf(r, all.get(r).and_then(Option::as_ref)));
    let active = all.each_mut().map(|s| s.as_mut().and_then(|s| s.active.take()));
    let marks = next_marks(before.as_ref(), &epoch, boot, base, committed);
    let recovered =
        Recovered { marks, base, committed, shelves, active, ledger, files, before, trouble: found.trouble };
    finish(settings, recovered, losses)
}

fn good(manifest: &files::Read<Manifest>) -> Option<&Manifest> {
    match manifest {
        files::Read::Good(manifest) => Some(manifest),
        files::Read::Absent | files::Read::Damaged(_) => None,
    }
}

/// Returns whether no stream has a segment: without marks beside it, that is a first start cut short. It gave no number.
fn is_without_segments(settings: &Settings) -> bool {
    let is_empty = |s: &Stream| {
        let there = folders(&settings.dir.join(s.as_str()));
        there.map_or_else(|e| e.kind() == io::ErrorKind::NotFound, |firsts| firsts.is_empty())
    };
    Stream::ALL.iter().all(is_empty)
}

/// Makes durable what was found out: losses first, then the manifests, then the marks with the new reservation.
fn finish(settings: &Settings, mut r: Recovered, losses: Vec<Loss>) -> Result<Recovered, OpenError> {
    let gaps = r.ledger.number(losses);
    for gap in &gaps {
        tracing::warn!(
            stream = gap.stream.as_str(),
            from = gap.seqs.start(),
            to = gap.seqs.end(),
            reason = gap.reason.as_str(),
            "Numbers are missing since the last run."
        );
    }
    r.files.append(&r.ledger, &gaps).map_err(at(&settings.dir.join("ledger")))?;
    r.ledger.publish(gaps);
    for (shelf, active) in r.shelves.iter().zip(&r.active) {
        if let Some(active) = active {
            shelf.begin(active);
        }
        shelf.persist().map_err(at(&shelf.dir))?;
    }
    let mirror = r.marks.store(&settings.dir, &settings.mirror_dir).map_err(at(&settings.dir.join("marks")))?;
    r.trouble.extend(mirror);
    Ok(r)
}

fn next_marks(before: Option<&Marks>, epoch: &str, boot: u32, base: [u64; N], stored: [u64; N]) -> Marks {
    let mut reserved = base;
    for (rank, n) in reserved.iter_mut().enumerate() {
        *n = n.saturating_add(min_block(rank));
    }
    Marks {
        format: 1,
        write: before.map_or(0, |m| m.write).saturating_add(1),
        epoch: epoch.to_owned(),
        boot,
        clean: false,
        reserved,
        stored,
        settled: before.map_or([0; N], |m| m.settled),
        seen: before.and_then(|m| m.seen.clone()),
    }
}

fn new_epoch(now: Now) -> String {
    let ms = u64::try_from(now.wall.0).unwrap_or(0);
    // 80 random bits: two gateways made in the same millisecond differ.
    let random = (u128::from(fastrand::u64(..)) << 16) | u128::from(fastrand::u16(..));
    ulid::Ulid::from_parts(ms, random).to_string()
}

struct State<'a> {
    settings: &'a Settings,
    before: Option<&'a Marks>,
    epoch: &'a str,
    vanished: bool,
    is_new: bool,
    ledger: &'a Ledger,
    delivered: &'a Delivered,
    dropped: &'a BTreeSet<u64>,
}

struct StreamStart {
    base: u64,
    committed: u64,
    segments: Vec<Segment>,
    active: Option<Active>,
    losses: Vec<Loss>,
}

/// A stream while it is brought into order.
struct Recovering {
    stream: Stream,
    dir: PathBuf,
    accounted: RangeSet,
    clean: bool,
    /// What was stored for certain.
    known: u64,
    /// Numbers that are there, or lost with a reason already.
    explained: RangeSet,
    segments: Vec<Segment>,
    active: Option<Active>,
    losses: Vec<Loss>,
}

impl State<'_> {
    fn stream(&mut self, stream: Stream, manifest: files::Read<Manifest>, now: Now) -> Result<StreamStart, OpenError> {
        let dir = self.settings.dir.join(stream.as_str());
        std::fs::create_dir_all(&dir).map_err(at(&dir))?;
        let rank = stream.rank();
        let of = |numbers: &[u64; N]| numbers.get(rank).copied().unwrap_or(0);
        let (stored, settled) = self.before.map_or((0, 0), |m| (of(&m.stored), of(&m.settled)));
        if self.is_new {
            // What a folder of an unknown store holds is not ours to number.
            put_away_all(&self.settings.dir, stream, &dir).map_err(at(&dir))?;
        }
        mend::finish(&dir).map_err(at(&dir))?;
        let (promised, lowest) = self.promised(stream, &dir, manifest, stored, settled).map_err(at(&dir))?;
        let known = promised.iter().map(|s| s.last).max().unwrap_or(0).max(stored);
        let clean = self.before.is_some_and(|m| m.clean);
        let accounted = self.ledger.accounted(stream);
        let mut r = Recovering {
            stream,
            dir,
            explained: accounted.clone(),
            accounted,
            clean,
            known,
            segments: Vec::new(),
            active: None,
            losses: Vec::new(),
        };
        let failed =
            |e: SegmentError| OpenError::Segment { stream: stream.as_str(), why: e.to_string(), full: e.is_full() };
        for segment in promised {
            let was_dropped = stream == Stream::Telemetry && self.dropped.contains(&segment.first);
            if was_dropped {
                r.drop(&segment, &self.delivered.by_all(stream, &self.settings.consumers)).map_err(failed)?;
            } else {
                r.segment(self.settings, segment).map_err(failed)?;
            }
        }
        if is_urgent(stream) {
            r.drain_journal(self.settings).map_err(failed)?;
        }
        let last = r.segments.iter().map(|s| s.last).max().unwrap_or(0);
        let committed = last.max(stored);
        let base = match self.before {
            Some(m) => of(&m.reserved).max(committed),
            None if self.is_new => 0,
            None => committed.saturating_add(JUMP),
        };
        let from = if self.vanished { settled.saturating_add(1) } else { lowest };
        r.explain(from..=base, self.vanished, now.wall);
        Ok(StreamStart { base, committed, segments: r.segments, active: r.active, losses: r.losses })
    }

    /// Returns what must be there, and the lowest number that must be.
    fn promised(
        &self,
        stream: Stream,
        dir: &Path,
        manifest: files::Read<Manifest>,
        stored: u64,
        settled: u64,
    ) -> io::Result<(Vec<Segment>, u64)> {
        let there = folders(dir)?;
        match manifest {
            files::Read::Good(manifest) if manifest.epoch == self.epoch => {
                // A folder that the manifest does not name was begun, or given up, when the power went.
                for first in there.iter().filter(|f| !manifest.segments.iter().any(|s| s.first == **f)) {
                    remove_folder(&dir.join(manifest::folder(*first)))?;
                }
                let lowest = manifest.segments.first().map_or(stored.saturating_add(1), |s| s.first);
                Ok((manifest.segments, lowest))
            }
            files::Read::Good(_) => {
                put_away_all(&self.settings.dir, stream, dir)?;
                Ok((Vec::new(), settled.saturating_add(1)))
            }
            files::Read::Absent | files::Read::Damaged(_) => {
                let mut segments: Vec<Segment> = Vec::new();
                for first in there {
                    if let Some(before) = segments.last_mut() {
                        before.last = before.last.min(first.saturating_sub(1));
                    }
                    segments.push(described(dir, stream, first)?);
                }
                segments.retain(Segment::has_records);
                Ok((segments, settled.saturating_add(1)))
            }
        }
    }
}

/// Moves all segment folders of a stream into quarantine.
fn put_away_all(store: &Path, stream: Stream, dir: &Path) -> io::Result<()> {
    for first in folders(dir)? {
        mend::put_away(store, stream, first, &dir.join(manifest::folder(first)))?;
    }
    Ok(())
}

/// Returns the manifest line of a segment whose manifest is lost, from its raw bytes.
fn described(dir: &Path, stream: Stream, first: u64) -> io::Result<Segment> {
    let path = dir.join(manifest::folder(first));
    let pieces = salvage::scan(&db_file(&path), stream)?;
    let found = salvage::covered(pieces.values().map(|p| &p.header));
    let walls = || pieces.values().map(|p| p.header.wall);
    Ok(Segment {
        first,
        last: found.last().unwrap_or(first.saturating_sub(1)),
        count: found.len(),
        from: walls().map(|w| w.0.0).min().unwrap_or(i64::MAX),
        to: walls().map(|w| w.1.0).max().unwrap_or(i64::MIN),
        trusted_to: pieces.values().filter(|p| p.header.trusted).map(|p| p.header.wall.1.0).max().unwrap_or(0),
        bytes: disk::disk_usage(&path),
        sealed: true,
    })
}

impl Recovering {
    /// The segment was removed at this start to make room: what was not delivered is lost.
    fn drop(&mut self, segment: &Segment, delivered: &RangeSet) -> Result<(), SegmentError> {
        for seqs in retention::undelivered(segment, delivered) {
            self.lose(segment, seqs, GapReason::Quota);
        }
        self.explained.insert(segment.first..=segment.last);
        Ok(remove_folder(&self.dir.join(segment.folder()))?)
    }

    fn segment(&mut self, settings: &Settings, segment: Segment) -> Result<(), SegmentError> {
        let path = self.dir.join(segment.folder());
        if segment.is_hollow() {
            self.lose(&segment, segment.first..=segment.last, GapReason::Damaged);
            return Ok(remove_folder(&path)?);
        }
        if !db_file(&path).exists() {
            self.lose(&segment, segment.first..=segment.last, GapReason::Damaged);
            return Ok(remove_folder(&path)?);
        }
        if segment.sealed {
            self.explained.insert(segment.first..=segment.last);
            self.segments.push(segment);
            return Ok(());
        }
        self.unsealed(settings, &path, segment)
    }

    /// The segment that was being written: looked through at once.
    fn unsealed(&mut self, settings: &Settings, path: &Path, segment: Segment) -> Result<(), SegmentError> {
        let must = Segment { last: segment.last.max(self.known), ..segment.clone() };
        let pieces = salvage::scan(&db_file(path), self.stream)?;
        let raw = salvage::covered(pieces.values().map(|p| &p.header));
        if !self.holds(&must, &raw) {
            return self.mend(settings, &segment);
        }
        match View::open(path, segment.first) {
            Ok((view, contents)) if self.holds(&must, &contents.found) => self.resume(settings, path, view, contents),
            Ok((view, _)) => {
                let_go(view);
                self.mend(settings, &segment)
            }
            Err(error) if error.is_full() => Err(error),
            Err(_) => self.mend(settings, &segment),
        }
    }

    fn holds(&self, must: &Segment, found: &RangeSet) -> bool {
        let mut known = self.accounted.clone();
        for range in found.iter() {
            known.insert(range);
        }
        known.covers(must.first..=must.last)
    }

    fn resume(
        &mut self,
        settings: &Settings,
        path: &Path,
        view: View,
        contents: super::segment::Contents,
    ) -> Result<(), SegmentError> {
        let mut segment = contents.segment;
        segment.bytes = disk::disk_usage(path);
        for range in contents.found.iter() {
            self.explained.insert(range);
        }
        let has_room = segment.bytes < segment_limit(settings, self.stream);
        if has_room && segment.has_records() {
            let mut active = Active::resume(path, view, segment.clone())?;
            // What was found may be in the page cache only, after a kill: stored means synced.
            active.commit()?;
            self.active = Some(active);
        } else {
            let_go(view);
            segment.sealed = true;
        }
        if segment.has_records() {
            self.segments.push(segment);
        } else {
            remove_folder(path)?;
        }
        Ok(())
    }

    fn mend(&mut self, settings: &Settings, segment: &Segment) -> Result<(), SegmentError> {
        tracing::error!(stream = self.stream.as_str(), segment = segment.first, "The open segment is damaged.");
        let salvaged = mend::rebuild(&settings.dir, self.stream, segment, u64::MAX)?;
        if let Some((segment, found)) = salvaged {
            for range in found.iter() {
                self.explained.insert(range);
            }
            self.segments.push(segment);
        }
        Ok(())
    }

    /// Puts what the journal has above everything stored into a segment.
    fn drain_journal(&mut self, settings: &Settings) -> Result<(), SegmentError> {
        let last = self.segments.iter().map(|s| s.last).max().unwrap_or(0).max(self.known);
        let mut entries = journal::entries(&settings.dir, self.stream).unwrap_or_else(|error| {
            // Its numbers become a gap like any that a crash left uncommitted; the store must open.
            tracing::error!(stream = self.stream.as_str(), %error, "The journal cannot be read.");
            Vec::new()
        });
        entries.retain(|e| e.seq > last && !self.accounted.contains(e.seq));
        let Some(first) = entries.first().map(|e| e.seq) else { return Ok(()) };
        tracing::warn!(stream = self.stream.as_str(), count = entries.len(), "Records are taken from the journal.");
        let mut active = match self.active.take() {
            Some(active) => active,
            None => Active::create(&self.dir, first)?,
        };
        for value in batch::encode(self.stream, &entries) {
            active.put(&value)?;
        }
        active.commit()?;
        self.segments.retain(|s| s.first != active.segment.first);
        self.segments.push(active.segment.clone());
        for entry in &entries {
            self.explained.insert(entry.seq..=entry.seq);
        }
        self.active = Some(active);
        Ok(())
    }

    fn lose(&mut self, segment: &Segment, seqs: RangeInclusive<u64>, reason: GapReason) {
        let times = (Some(Timestamp(segment.from)), Some(Timestamp(segment.to)));
        self.explained.insert(seqs.clone());
        self.losses.push(Loss { stream: self.stream, seqs, times, exact: true, reason });
    }

    /// Every number of `span` that is neither there nor lost already becomes a gap.
    fn explain(&mut self, span: RangeInclusive<u64>, vanished: bool, now: Timestamp) {
        let times = (self.segments.last().map(|s| Timestamp(s.to)), Some(now));
        while let Some(hole) = self.explained.first_hole(span.clone()) {
            let certain = self.known.max(*span.start()).min(*hole.end());
            let (seqs, exact, reason) = if vanished {
                (hole, false, GapReason::StoreReplaced)
            } else if *hole.start() <= self.known {
                (*hole.start()..=certain, true, GapReason::Damaged)
            } else if self.clean {
                (hole, true, GapReason::Damaged)
            } else {
                (hole, false, GapReason::CrashUncommitted)
            };
            self.explained.insert(seqs.clone());
            self.losses.push(Loss { stream: self.stream, seqs, times, exact, reason });
        }
    }
}
