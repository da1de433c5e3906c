//! The reader thread: reads, time index, verification and salvage of sealed segments. No writer ever waits for it.
//!
//! A sealed segment is verified when it is first opened: its raw bytes are looked through before sled may touch them,
//! then sled's own view of it; numbers that the manifest promises and that are in neither are damage. What is damaged is
//! mended (`mend.rs`), and what could not be saved is a `damaged` gap.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::manifest::Segment;
use super::mend;
use super::salvage;
use super::segment::{SegmentError, View, db_file, let_go};
use super::shared::Shared;
use super::shelf::Shelf;
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Entry, GapReason, Stream};
use crate::domain::time::Timestamp;
use crate::sys;

/// Questions that may wait: the uplink's sessions, the page, the keeper.
pub(super) const QUESTIONS: usize = 64;
/// Sealed segments kept open: one that is drained and one that is looked at. Each takes a page cache.
const OPEN_SEGMENTS: usize = 2;
/// What a record counts beside its body against `max_bytes`.
const ENTRY_OVERHEAD: usize = 64;

/// Some records of a stream, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records found.
    pub entries: Vec<Entry>,
    /// Numbers of the scanned span that are not there: each is in a gap of the ledger, will be within a second, or was
    /// deleted in its time.
    pub missing: Vec<RangeInclusive<u64>>,
    /// The first number that was not scanned. Never beyond the last stored one plus one.
    pub next: u64,
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refuses for now (no space, no descriptors, an input error); try again later.
    #[error("segment {segment} of {stream} cannot be read now: {why}", stream = stream.as_str())]
    Unavailable {
        /// The stream.
        stream: Stream,
        /// First number of the segment.
        segment: u64,
        /// What the system said.
        why: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// A question to the reader.
#[derive(Debug)]
pub(super) enum Ask {
    Read {
        stream: Stream,
        seqs: RangeInclusive<u64>,
        max_bytes: usize,
        reply: oneshot::Sender<Result<Page, ReadError>>,
    },
    Between {
        stream: Stream,
        times: (Timestamp, Timestamp),
        reply: oneshot::Sender<Between>,
    },
    Verify {
        stream: Stream,
        first: u64,
    },
    End,
}

/// Answer of the time index.
pub(super) type Between = Result<Option<RangeInclusive<u64>>, ReadError>;

/// The reader thread's state.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    asks: mpsc::Receiver<Ask>,
    /// Least recently used first.
    open: VecDeque<(Stream, View)>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, asks: mpsc::Receiver<Ask>) -> Self {
        Self { shared, asks, open: VecDeque::new() }
    }

    /// Runs until the store ends.
    pub(super) fn run(mut self) {
        while let Some(ask) = self.asks.blocking_recv() {
            if self.shared.is_killed() {
                break;
            }
            // An asker that is gone does not want its answer.
            match ask {
                Ask::Read { stream, seqs, max_bytes, reply } => drop(reply.send(self.read(stream, &seqs, max_bytes))),
                Ask::Between { stream, times, reply } => drop(reply.send(self.between(stream, times))),
                Ask::Verify { stream, first } => self.verify(stream, first),
                Ask::End => break,
            }
        }
        for (_, view) in self.open.drain(..) {
            let_go(view);
        }
    }

    fn read(&mut self, stream: Stream, seqs: &RangeInclusive<u64>, max_bytes: usize) -> Result<Page, ReadError> {
        let shared = Arc::clone(&self.shared);
        let shelf = shared.shelf(stream);
        let committed = shared.committed.borrow().get(stream.rank()).copied().unwrap_or(0);
        let (from, to) = (*seqs.start(), (*seqs.end()).min(committed));
        let lost = shared.accounted(stream);
        let mut page = Filling { page: Page { next: from, ..Page::default() }, to, left: max_bytes, lost };
        if from > to {
            return Ok(page.page);
        }
        for segment in shelf.overlapping(from, to) {
            let Some(view) = self.view(shelf, &segment)? else { continue };
            if !page.fill(&segment, &view).map_err(|e| unavailable(stream, &segment, &e))? {
                return Ok(page.done(from));
            }
        }
        page.page.next = to.saturating_add(1);
        Ok(page.done(from))
    }

    fn between(&mut self, stream: Stream, (from, to): (Timestamp, Timestamp)) -> Between {
        let shared = Arc::clone(&self.shared);
        let shelf = shared.shelf(stream);
        let committed = shared.committed.borrow().get(stream.rank()).copied().unwrap_or(0);
        let mut span: Option<(u64, u64)> = None;
        for segment in shelf.segments() {
            if !segment.has_records() || segment.from > to.0 || segment.to < from.0 {
                continue;
            }
            let inside = segment.from >= from.0 && segment.to <= to.0;
            let found = if inside {
                Some((segment.first, segment.last))
            } else {
                self.view(shelf, &segment)?.and_then(|view| view.between(from, to))
            };
            if let Some((first, last)) = found {
                span = Some(span.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
            }
        }
        Ok(span.map(|(first, last)| first..=last.min(committed)))
    }

    fn verify(&mut self, stream: Stream, first: u64) {
        let shared = Arc::clone(&self.shared);
        let shelf = shared.shelf(stream);
        let Some(segment) = shelf.segments().into_iter().find(|s| s.first == first && s.sealed) else { return };
        if let Err(error) = self.view(shelf, &segment) {
            tracing::warn!(%error, "A segment could not be verified now.");
        }
    }

    /// Closes what is removed and what was not used for longest, before another one takes its memory.
    fn make_way(&mut self) {
        let before = self.open.len();
        let shared = Arc::clone(&self.shared);
        let (kept, gone) = self.open.drain(..).partition(|(s, v)| shared.shelf(*s).has(v.first));
        self.open = kept;
        let_go::<VecDeque<(Stream, View)>>(gone);
        while self.open.len() >= OPEN_SEGMENTS {
            let_go(self.open.pop_front());
        }
        if self.open.len() < before {
            sys::memory::trim();
        }
    }

    /// Returns the view of `segment`; `None` when nothing is left of it.
    fn view(&mut self, shelf: &Shelf, segment: &Segment) -> Result<Option<View>, ReadError> {
        if let Some(view) = shelf.active_view(segment.first) {
            return Ok(Some(view));
        }
        if let Some(at) = self.open.iter().position(|(s, v)| *s == shelf.stream && v.first == segment.first)
            && let Some(found) = self.open.remove(at)
        {
            let view = found.1.clone();
            self.open.push_back(found);
            return Ok(Some(view));
        }
        self.make_way();
        // The writer may have gone on, or the keeper removed it, since the asker looked.
        let Some(segment) = &shelf.get(segment.first).filter(|s| !s.is_hollow()) else { return Ok(None) };
        let opened = open_verified(&self.shared, shelf, segment);
        let Some(view) = opened.map_err(|e| unavailable(shelf.stream, segment, &e))? else { return Ok(None) };
        self.open.push_back((shelf.stream, view.clone()));
        Ok(Some(view))
    }
}

fn unavailable(stream: Stream, segment: &Segment, error: &SegmentError) -> ReadError {
    ReadError::Unavailable { stream, segment: segment.first, why: error.to_string() }
}

/// A page being filled.
struct Filling {
    page: Page,
    to: u64,
    left: usize,
    /// Numbers in gaps: not given out, even where a removal was cut short after the gap was written.
    lost: RangeSet,
}

impl Filling {
    /// Adds the wanted records of a segment; returns false when the page is full. A batch that starts within the
    /// segment's committed numbers ends within them.
    fn fill(&mut self, segment: &Segment, view: &View) -> Result<bool, SegmentError> {
        let last = self.to.min(segment.last);
        let mut full = false;
        view.batches(self.page.next.max(segment.first), |entries| {
            for entry in entries {
                if entry.seq > last {
                    return false;
                }
                if entry.seq < self.page.next || self.lost.contains(entry.seq) {
                    continue;
                }
                let size = entry.body.len() + ENTRY_OVERHEAD;
                if size > self.left && !self.page.entries.is_empty() {
                    full = true;
                    return false;
                }
                self.left = self.left.saturating_sub(size);
                self.page.next = entry.seq.saturating_add(1);
                self.page.entries.push(entry);
            }
            true
        })?;
        Ok(!full)
    }

    /// Returns the page with its holes.
    fn done(mut self, from: u64) -> Page {
        let mut expected = from;
        for entry in &self.page.entries {
            if entry.seq > expected {
                self.page.missing.push(expected..=entry.seq - 1);
            }
            expected = entry.seq.saturating_add(1);
        }
        if expected < self.page.next {
            self.page.missing.push(expected..=self.page.next - 1);
        }
        self.page
    }
}

/// Opens a sealed segment, everything the manifest promises checked; mends it where that is not there.
fn open_verified(shared: &Shared, shelf: &Shelf, segment: &Segment) -> Result<Option<View>, SegmentError> {
    let path = shelf.path(segment.first);
    let accounted = shared.accounted(shelf.stream);
    let pieces = salvage::scan(&db_file(&path), shelf.stream)?;
    let raw = salvage::covered(pieces.values().map(|p| &p.header));
    if lacks(segment, &accounted, &raw) {
        return mend_segment(shared, shelf, segment);
    }
    match View::open(&path, segment.first) {
        Ok((view, contents)) if !lacks(segment, &accounted, &contents.found) => Ok(Some(view)),
        Ok((view, _)) => {
            let_go(view);
            mend_segment(shared, shelf, segment)
        }
        Err(error) if error.is_transient() => Err(error),
        Err(_) => mend_segment(shared, shelf, segment),
    }
}

/// Returns whether a number that the segment must hold is neither found nor accounted for.
fn lacks(segment: &Segment, accounted: &RangeSet, found: &RangeSet) -> bool {
    !missing(segment, accounted, found).is_empty()
}

fn missing(segment: &Segment, accounted: &RangeSet, found: &RangeSet) -> Vec<RangeInclusive<u64>> {
    let mut known = accounted.clone();
    for range in found.iter() {
        known.insert(range);
    }
    super::retention::undelivered(segment, &known)
}

fn mend_segment(shared: &Shared, shelf: &Shelf, segment: &Segment) -> Result<Option<View>, SegmentError> {
    if !shelf.has(segment.first) {
        return Ok(None);
    }
    let salvaged = mend::rebuild(&shared.settings.dir, shelf.stream, segment, segment.last)?;
    if !shelf.has(segment.first) {
        // The keeper removed it meanwhile, with its own gap.
        super::segment::remove_folder(&shelf.path(segment.first))?;
        return Ok(None);
    }
    let found = salvaged.as_ref().map(|(_, found)| found.clone()).unwrap_or_default();
    let mut lost = 0_u64;
    for seqs in missing(segment, &shared.accounted(shelf.stream), &found) {
        lost = lost.saturating_add(seqs.end() - seqs.start()).saturating_add(1);
        let times = (Some(Timestamp(segment.from)), Some(Timestamp(segment.to)));
        shared.lose(super::ledger::Loss { stream: shelf.stream, seqs, times, exact: true, reason: GapReason::Damaged });
    }
    tracing::error!(stream = shelf.stream.as_str(), segment = segment.first, lost, "A segment was damaged and mended.");
    // Where nothing is left, an empty line keeps the place: without it, a power cut before the keeper wrote the gap would
    // leave nobody who knows of the numbers.
    let hollow = || Segment { count: 0, bytes: 0, sealed: true, ..segment.clone() };
    shelf.replace(segment.first, Some(salvaged.as_ref().map_or_else(hollow, |(s, _)| s.clone())));
    shared.nudge();
    shelf.persist()?;
    let Some((segment, _)) = salvaged else { return Ok(None) };
    View::open(&shelf.path(segment.first), segment.first).map(|(view, _)| Some(view))
}
