//! The gap ledger: which numbers can not be sent, and why. Append-only between compactions, mirrored outside the store.
//!
//! ```text
//! {8 hex digits: CRC32C of the JSON text} {json}\n          one line per entry
//! first line: the head  {"format":1,"epoch":"01K…","next_no":…,"accounted":[[[from,to],…] per stream],"lost":[[reason,count],…],"lost_stream":[…]}
//! others: a gap         {"no":…,"stream":"telemetry","from":…,"to":…,"from_t":…,"to_t":…,"count":…,"exact":…,"reason":"quota"}
//! ```
//! Reading stops at the first line that is not whole (a torn append); of the two copies the one that reaches further
//! counts, if it is of this epoch: a mirror of another store explains nothing of this one. A gap cut off that way comes back at the next start, because its numbers are still missing from the
//! segments. Entries that every consumer has acknowledged leave at a compaction; the head keeps their numbers, so that
//! the hole they explain is not reported twice. **Invariant:** `no` is contiguous and never used twice; the numbers of a
//! stream are in at most one gap.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::marks::N;
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Gap, GapReason, Stream};
use crate::domain::time::Timestamp;
use crate::sys::disk;

const FILE: &str = "ledger";
/// Acknowledged entries that make a compaction worth its write.
const COMPACT_AT: usize = 64;

/// A gap before it has a number in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) stream: Stream,
    pub(super) seqs: RangeInclusive<u64>,
    pub(super) times: (Option<Timestamp>, Option<Timestamp>),
    pub(super) exact: bool,
    pub(super) reason: GapReason,
}

/// The ledger in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    epoch: String,
    entries: BTreeMap<u64, Gap>,
    last_no: u64,
    accounted: [RangeSet; N],
    lost: BTreeMap<GapReason, u64>,
    lost_stream: [u64; N],
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    /// Empty in files of before it was kept.
    #[serde(default)]
    epoch: String,
    next_no: u64,
    accounted: Vec<Vec<(u64, u64)>>,
    lost: Vec<(String, u64)>,
    lost_stream: [u64; N],
}

#[derive(Serialize, Deserialize)]
struct Line {
    no: u64,
    stream: String,
    from: u64,
    to: u64,
    from_t: Option<i64>,
    to_t: Option<i64>,
    count: u64,
    exact: bool,
    reason: String,
}

impl Ledger {
    /// Gives numbers to what of `losses` is not in the ledger yet; a loss that is partly known becomes several gaps.
    pub(super) fn number(&self, losses: Vec<Loss>) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        let mut known: BTreeMap<Stream, RangeSet> = BTreeMap::new();
        for loss in losses {
            let known = known.entry(loss.stream).or_insert_with(|| self.accounted(loss.stream));
            while let Some(hole) = known.first_hole(loss.seqs.clone()) {
                let count = (hole.end() - hole.start()).saturating_add(1);
                known.insert(hole.clone());
                let no = self.last_no.saturating_add(gaps.len() as u64).saturating_add(1);
                let (from_t, to_t) = loss.times;
                let (stream, exact, reason) = (loss.stream, loss.exact, loss.reason);
                gaps.push(Gap { no, stream, seqs: hole, from_t, to_t, count, exact, reason });
            }
        }
        gaps
    }

    /// Takes in gaps that are durable now.
    pub(super) fn publish(&mut self, gaps: Vec<Gap>) {
        for gap in gaps {
            if let (Some(set), Some(n)) =
                (self.accounted.get_mut(gap.stream.rank()), self.lost_stream.get_mut(gap.stream.rank()))
            {
                set.insert(gap.seqs.clone());
                *n = n.saturating_add(gap.count);
            }
            let n = self.lost.entry(gap.reason).or_default();
            *n = n.saturating_add(gap.count);
            self.last_no = self.last_no.max(gap.no);
            self.entries.insert(gap.no, gap);
        }
    }

    /// Returns the entries from number `from_no` on, at most `max`.
    pub(super) fn gaps(&self, from_no: u64, max: usize) -> Vec<Gap> {
        self.entries.range(from_no..).take(max).map(|(_, g)| g.clone()).collect()
    }

    /// Returns all numbers of `stream` that are in a gap.
    pub(super) fn accounted(&self, stream: Stream) -> RangeSet {
        self.accounted.get(stream.rank()).cloned().unwrap_or_default()
    }

    /// Returns how many numbers were lost, by reason and by stream, of all time.
    pub(super) fn lost(&self) -> (Vec<(GapReason, u64)>, [u64; N]) {
        (self.lost.iter().map(|(r, n)| (*r, *n)).collect(), self.lost_stream)
    }

    /// Returns how many entries `acknowledged` does not have, and how many there ever were.
    pub(super) fn open_and_total(&self, acknowledged: &RangeSet) -> (u64, u64) {
        let open = self.entries.keys().filter(|no| !acknowledged.contains(**no)).count();
        (open as u64, self.last_no)
    }

    /// Returns whether [`Ledger::compact`] would forget something.
    pub(super) fn is_worth_compacting(&self, acknowledged: &RangeSet) -> bool {
        self.entries.keys().filter(|no| acknowledged.contains(**no)).count() >= COMPACT_AT
    }

    /// Forgets the entries in `acknowledged` when there are enough of them; returns whether it did.
    pub(super) fn compact(&mut self, acknowledged: &RangeSet) -> bool {
        let done: Vec<u64> = self.entries.keys().copied().filter(|no| acknowledged.contains(*no)).collect();
        if done.len() < COMPACT_AT {
            return false;
        }
        for no in done {
            self.entries.remove(&no);
        }
        true
    }

    /// Returns a ledger of the same epoch without entries.
    pub(super) fn emptied(self) -> Self {
        Self { epoch: self.epoch, ..Self::default() }
    }

    fn render(&self) -> Vec<u8> {
        let head = Head {
            format: 1,
            epoch: self.epoch.clone(),
            next_no: self.last_no.saturating_add(1),
            accounted: self.accounted.iter().map(pairs).collect(),
            lost: self.lost.iter().map(|(r, n)| (r.as_str().to_owned(), *n)).collect(),
            lost_stream: self.lost_stream,
        };
        let mut bytes = line(&head);
        for gap in self.entries.values() {
            bytes.extend_from_slice(&gap_line(gap));
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split_inclusive(|b| *b == b'\n');
        let head: Head = whole(lines.next()?)?;
        let mut ledger = Self { last_no: head.next_no.checked_sub(1)?, epoch: head.epoch, ..Self::default() };
        for (set, ranges) in ledger.accounted.iter_mut().zip(&head.accounted) {
            *set = ranges.iter().map(|(a, b)| *a..=*b).collect();
        }
        ledger.lost = head.lost.iter().filter_map(|(r, n)| Some((GapReason::from_name(r)?, *n))).collect();
        ledger.lost_stream = head.lost_stream;
        for gap in lines.map_while(whole::<Line>).filter_map(gap_of) {
            if gap.no > ledger.last_no {
                ledger.publish(vec![gap]);
            } else {
                ledger.entries.insert(gap.no, gap);
            }
        }
        Some(ledger)
    }
}

/// Returns the ranges of a set as pairs, both ends included.
pub(super) fn pairs(set: &RangeSet) -> Vec<(u64, u64)> {
    set.iter().map(RangeInclusive::into_inner).collect()
}

fn line<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain structs of numbers and strings always serialize; an empty text would fail the check when read.
    let text = serde_json::to_string(value).unwrap_or_default();
    format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes())).into_bytes()
}

fn gap_line(gap: &Gap) -> Vec<u8> {
    line(&Line {
        no: gap.no,
        stream: gap.stream.as_str().to_owned(),
        from: *gap.seqs.start(),
        to: *gap.seqs.end(),
        from_t: gap.from_t.map(|t| t.0),
        to_t: gap.to_t.map(|t| t.0),
        count: gap.count,
        exact: gap.exact,
        reason: gap.reason.as_str().to_owned(),
    })
}

fn whole<T: for<'a> Deserialize<'a>>(line: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (crc, json) = text.split_once(' ')?;
    (u32::from_str_radix(crc, 16).ok()? == crc32c::crc32c(json.as_bytes())).then(|| serde_json::from_str(json).ok())?
}

fn gap_of(line: Line) -> Option<Gap> {
    (line.from <= line.to).then_some(())?;
    Some(Gap {
        no: line.no,
        stream: Stream::from_name(&line.stream)?,
        seqs: line.from..=line.to,
        from_t: line.from_t.map(Timestamp),
        to_t: line.to_t.map(Timestamp),
        count: line.count,
        exact: line.exact,
        reason: GapReason::from_name(&line.reason)?,
    })
}

/// The two copies on disk.
#[derive(Debug)]
pub(super) struct LedgerFiles {
    copies: [Copy; 2],
}

#[derive(Debug)]
struct Copy {
    path: PathBuf,
    /// An append failed half-way: only a whole rewrite makes the file readable again.
    rewrite: bool,
}

impl LedgerFiles {
    /// Reads both copies of the store `epoch` without writing; the one that reaches further counts.
    pub(super) fn load(dir: &Path, mirror: &Path, epoch: &str) -> (Self, Ledger) {
        let copies = [dir, mirror].map(|d| Copy { path: d.join(FILE), rewrite: true });
        let mut best = Ledger { epoch: epoch.to_owned(), ..Ledger::default() };
        for copy in &copies {
            let read = std::fs::read(&copy.path).ok().and_then(|bytes| Ledger::parse(&bytes));
            let is_ours = |l: &Ledger| l.epoch.is_empty() || l.epoch == epoch;
            if let Some(ledger) = read.filter(|l| is_ours(l) && l.last_no >= best.last_no) {
                best = Ledger { epoch: epoch.to_owned(), ..ledger };
            }
        }
        (Self { copies }, best)
    }

    /// Makes `new` durable; `ledger` is the state before them. One copy that succeeds is enough.
    pub(super) fn append(&mut self, ledger: &Ledger, new: &[Gap]) -> io::Result<()> {
        let lines: Vec<u8> = new.iter().flat_map(gap_line).collect();
        let mut after = None;
        let results = self.copies.each_mut().map(|copy| {
            if !copy.rewrite && append(&copy.path, &lines).is_ok() {
                return Ok(());
            }
            let whole = after.get_or_insert_with(|| {
                let mut after = ledger.clone();
                after.publish(new.to_vec());
                after.render()
            });
            let written = disk::write_atomic(&copy.path, whole);
            copy.rewrite = written.is_err();
            written
        });
        let [own, mirror] = results;
        own.or(mirror)
    }

    /// Replaces both copies by `ledger`.
    pub(super) fn rewrite(&mut self, ledger: &Ledger) -> io::Result<()> {
        for copy in &mut self.copies {
            copy.rewrite = true;
        }
        self.append(ledger, &[])
    }
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(seqs: RangeInclusive<u64>) -> Loss {
        Loss {
            stream: Stream::Telemetry,
            seqs,
            times: (None, Some(Timestamp(5))),
            exact: true,
            reason: GapReason::Quota,
        }
    }

    fn add(files: &mut LedgerFiles, ledger: &mut Ledger, seqs: RangeInclusive<u64>) {
        let gaps = ledger.number(vec![loss(seqs)]);
        files.append(ledger, &gaps).unwrap();
        ledger.publish(gaps);
    }

    #[test]
    fn gaps_survive_and_no_number_is_in_two_of_them() {
        let (dir, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut files, mut ledger) = LedgerFiles::load(dir.path(), mirror.path(), "E");
        add(&mut files, &mut ledger, 5..=9);
        add(&mut files, &mut ledger, 3..=12);
        let expected = ledger.gaps(1, 10);
        assert_eq!(expected.iter().map(|g| g.seqs.clone()).collect::<Vec<_>>(), [5..=9, 3..=4, 10..=12]);
        assert_eq!(LedgerFiles::load(dir.path(), mirror.path(), "E").1.gaps(1, 10), expected);
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert_eq!(LedgerFiles::load(dir.path(), mirror.path(), "E").1.gaps(1, 10), expected);
    }

    #[test]
    fn a_copy_of_another_epoch_does_not_count_however_far_it_reaches() {
        let (dir, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut files, mut ledger) = LedgerFiles::load(dir.path(), mirror.path(), "E");
        add(&mut files, &mut ledger, 5..=9);
        assert!(LedgerFiles::load(dir.path(), mirror.path(), "F").1.gaps(1, 9).is_empty());
        assert_eq!(LedgerFiles::load(dir.path(), mirror.path(), "E").1.gaps(1, 9).len(), 1);
    }

    #[test]
    fn a_torn_append_costs_its_line_only_and_the_mirror_makes_it_good() {
        let (dir, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut files, mut ledger) = LedgerFiles::load(dir.path(), mirror.path(), "E");
        add(&mut files, &mut ledger, 1..=1);
        add(&mut files, &mut ledger, 5..=9);
        let path = dir.path().join(FILE);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        assert_eq!(LedgerFiles::load(dir.path(), mirror.path(), "E").1.gaps(1, 9).len(), 2);
        assert_eq!(LedgerFiles::load(dir.path(), dir.path(), "E").1.gaps(1, 9).len(), 1);
    }

    #[test]
    fn compaction_forgets_acknowledged_entries_but_not_their_numbers() {
        let (dir, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut files, mut ledger) = LedgerFiles::load(dir.path(), mirror.path(), "E");
        for n in 0..100 {
            add(&mut files, &mut ledger, n * 10..=n * 10 + 1);
        }
        assert!(ledger.compact(&[1..=90].into_iter().collect()));
        files.rewrite(&ledger).unwrap();
        let again = LedgerFiles::load(dir.path(), mirror.path(), "E").1;
        assert_eq!(again.gaps(1, 99).len(), 10);
        assert_eq!(again.open_and_total(&RangeSet::new()), (10, 100));
        assert!(again.number(vec![loss(0..=1)]).is_empty());
        assert_eq!(again.lost().1[Stream::Telemetry.rank()], 200);
    }
}
