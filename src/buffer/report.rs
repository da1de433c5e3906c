//! What is in a store, told from its small files alone: works offline, and beside a running daemon, and writes nothing.
//!
//! A running daemon writes a manifest when a segment begins or ends and the marks at least every 10 s, so the last
//! numbers may be that old; nothing here takes the store's lock.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::delivered::Delivered;
use super::files;
use super::ledger::{Ledger, LedgerFiles};
use super::manifest::{Manifest, Segment};
use super::marks;
use super::mend;
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Gap, GapReason, Stream};
use crate::domain::time::Timestamp;
use crate::sys::disk;

/// Gaps listed in words; the ledger has all.
const LISTED: usize = 20;

/// Why a store cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is none.
    #[error("there is no store in `{0}`")]
    NoStore(PathBuf),
}

/// One stream of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamReport {
    /// First number kept; 0 when nothing is.
    pub first: u64,
    /// Last number stored, as of the last marks or manifest.
    pub last: u64,
    /// Largest number that may have been given.
    pub reserved: u64,
    /// Segments.
    pub segments: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// Wall time of the oldest record kept.
    pub oldest: Option<Timestamp>,
    /// Numbers in gaps, of all time.
    pub lost: u64,
    /// Per consumer that ever acknowledged something: records kept that it does not have and that are in no gap.
    pub waiting: BTreeMap<String, u64>,
    /// What is wrong with the stream's files.
    pub trouble: Option<String>,
}

/// What is in a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Identity of the store.
    pub epoch: String,
    /// Start counter.
    pub boot: u32,
    /// Whether the last run ended by `close`; false also while one runs.
    pub clean: bool,
    /// Last sign of life, at most 10 s older than the end of a run.
    pub seen: Option<Timestamp>,
    /// One per stream, by rank.
    pub streams: Vec<(Stream, StreamReport)>,
    /// Entries of the ledger that are not yet forgotten.
    pub gaps: Vec<Gap>,
    /// Entries of the ledger ever.
    pub gaps_total: u64,
    /// Numbers lost by reason, of all time.
    pub lost: Vec<(GapReason, u64)>,
    /// Folders in quarantine.
    pub quarantined: u64,
    /// Their bytes.
    pub quarantined_bytes: u64,
    /// Bytes free on the file system.
    pub free_bytes: Option<u64>,
    /// What is wrong with the small files.
    pub trouble: Vec<String>,
}

/// Describes the store in `dir` with its mirror, reading small files only.
///
/// # Errors
/// There is no store.
pub fn describe(dir: &Path, mirror_dir: &Path) -> Result<Report, ReportError> {
    let found = marks::load(dir, mirror_dir);
    let Some(marks) = found.marks else { return Err(ReportError::NoStore(dir.to_owned())) };
    let (_, ledger) = LedgerFiles::load(dir, mirror_dir, &marks.epoch);
    let delivered = Delivered::load(dir, &marks.epoch);
    let streams = Stream::ALL
        .into_iter()
        .map(|s| {
            let of = |numbers: &[u64; marks::N]| numbers.get(s.rank()).copied().unwrap_or(0);
            (s, stream(dir, s, of(&marks.stored), of(&marks.reserved), &ledger, &delivered))
        })
        .collect();
    let (quarantined, quarantined_bytes) = mend::in_quarantine(dir);
    Ok(Report {
        epoch: marks.epoch,
        boot: marks.boot,
        clean: marks.clean,
        seen: marks.seen.map(|s| Timestamp(s.wall)),
        streams,
        gaps: ledger.gaps(1, usize::MAX),
        gaps_total: ledger.open_and_total(&RangeSet::new()).1,
        lost: ledger.lost().0,
        quarantined,
        quarantined_bytes,
        free_bytes: disk::free_bytes(dir),
        trouble: found.trouble,
    })
}

fn stream(
    dir: &Path,
    stream: Stream,
    stored: u64,
    reserved: u64,
    ledger: &Ledger,
    delivered: &Delivered,
) -> StreamReport {
    let (segments, trouble) = match Manifest::load(&dir.join(stream.as_str())) {
        files::Read::Good(manifest) => (manifest.segments, None),
        files::Read::Absent => (Vec::new(), None),
        files::Read::Damaged(why) => (Vec::new(), Some(why)),
    };
    let last = segments.iter().map(|s| s.last).max().unwrap_or(0).max(stored);
    let first = segments.iter().find(|s| s.has_records() || !s.sealed).map_or(0, |s| s.first);
    let lost = ledger.lost().1.get(stream.rank()).copied().unwrap_or(0);
    let waiting = delivered
        .consumers(stream)
        .into_iter()
        .map(|consumer| {
            let mut settled = delivered.of(stream, &consumer);
            for range in ledger.accounted(stream).iter() {
                settled.insert(range);
            }
            let waiting = if first == 0 { 0 } else { settled.missing(first..=last) };
            (consumer, waiting)
        })
        .collect();
    StreamReport {
        first,
        last,
        reserved,
        segments: segments.len(),
        bytes: segments.iter().map(|s| bytes_of(dir, stream, s)).sum(),
        oldest: segments.iter().find(|s| s.has_records()).map(|s| Timestamp(s.from)),
        lost,
        waiting,
        trouble,
    }
}

/// The manifest has the size of sealed segments; the open one is measured.
fn bytes_of(dir: &Path, stream: Stream, segment: &Segment) -> u64 {
    if segment.sealed {
        return segment.bytes;
    }
    disk::disk_usage(&dir.join(stream.as_str()).join(segment.folder()))
}

fn time(at: Option<Timestamp>) -> String {
    at.and_then(|t| jiff::Timestamp::from_millisecond(t.0).ok()).map_or_else(|| "-".to_owned(), |t| format!("{t:.0}"))
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.clean { "closed cleanly" } else { "running, or not closed cleanly" };
        writeln!(f, "epoch {}  start {}  {end}  last seen {}", self.epoch, self.boot, time(self.seen))?;
        writeln!(
            f,
            "{:<10} {:>12} {:>12} {:>9} {:>12} {:<20} {:>10}  waiting",
            "stream", "first", "last", "segments", "bytes", "oldest", "lost"
        )?;
        for (stream, s) in &self.streams {
            let waiting: Vec<String> = s.waiting.iter().map(|(c, n)| format!("{c} {n}")).collect();
            writeln!(
                f,
                "{:<10} {:>12} {:>12} {:>9} {:>12} {:<20} {:>10}  {}",
                stream.as_str(),
                s.first,
                s.last,
                s.segments,
                mebibytes(s.bytes),
                time(s.oldest),
                s.lost,
                waiting.join(", ")
            )?;
            if let Some(trouble) = &s.trouble {
                writeln!(f, "  manifest damaged: {trouble}; the next start rebuilds it")?;
            }
        }
        for gap in self.gaps.iter().rev().take(LISTED).rev() {
            let most = if gap.exact { "" } else { "at most " };
            let (from, to) = (gap.seqs.start(), gap.seqs.end());
            let reason = gap.reason.as_str();
            writeln!(f, "gap {} {} {from}..={to}: {most}{} lost, {reason}", gap.no, gap.stream.as_str(), gap.count)?;
        }
        writeln!(f, "gaps {} in all, {} kept in the ledger", self.gaps_total, self.gaps.len())?;
        writeln!(f, "quarantine {} folders, {}", self.quarantined, mebibytes(self.quarantined_bytes))?;
        if let Some(free) = self.free_bytes {
            writeln!(f, "free on disk {}", mebibytes(free))?;
        }
        self.trouble.iter().try_for_each(|trouble| writeln!(f, "trouble: {trouble}"))
    }
}
