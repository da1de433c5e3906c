//! The last hour of one point, read from the kept segments: what the page draws is what the store holds, not what memory
//! remembers.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::buffer::{Page, Store};
use crate::domain::codec;
use crate::domain::id::{PointUid, Tag};
use crate::domain::record::{Body, Entry, Stream};
use crate::domain::registry::{PointSpec, Registry};
use crate::domain::snapshot::Snapshot;
use crate::domain::time::Timestamp;
use crate::state::registry::RegistryBook;
use crate::web::{Trend, TrendError, TrendSample};

/// The span shown.
const SPAN: Duration = Duration::from_secs(3600);
/// Bytes asked of the store at once.
const PAGE_BYTES: usize = 512 << 10;
/// Bytes of records read for one trend at most. An hour that has more is read in windows, of each the beginning.
const MAX_BYTES: usize = 48 << 20;
/// Windows into which a larger hour is cut: about one for every two pixels of the drawing.
const N_WINDOWS: u32 = 360;
/// Records between two estimates may differ in size: an hour that may need more than this is cut.
const WHOLE_BELOW: usize = MAX_BYTES / 2;

/// Reads the trend of the point with this tag.
pub(super) async fn read(
    store: &Store,
    book: &RegistryBook,
    snapshot: &Snapshot,
    tag: &str,
) -> Result<Trend, TrendError> {
    let spec = find(&snapshot.registry, tag).ok_or_else(|| TrendError::Unknown(tag.to_owned()))?;
    let to = snapshot.now.wall;
    let mut scan = Scan::new(book, snapshot.registry.clone(), spec.uid.clone());
    let mut hold = Trend::hold_of(spec);
    let from = to.before(SPAN);
    let unavailable = |e: crate::buffer::ReadError| TrendError::Unavailable(e.to_string());
    if let Some(seqs) = store.seqs_between(Stream::Telemetry, from.before(hold), to).await.map_err(unavailable)? {
        let sample = store.read(Stream::Telemetry, seqs.clone(), PAGE_BYTES).await.map_err(unavailable)?;
        let (n, budget) = cut(&seqs, sample.next, bytes_of(&sample.entries));
        if n > 1 {
            // Between two windows nothing was read, which does not mean that nothing is there.
            hold = hold.max(SPAN * 2 / N_WINDOWS);
        }
        for window in windows(seqs, n) {
            scan.window(store, window, budget).await.map_err(unavailable)?;
        }
    }
    // What a source sent late, or was read from its history, stands where it belongs.
    scan.samples.sort_by_key(|sample| sample.at);
    Ok(Trend { tag: Tag::new(tag), from, to, samples: scan.samples, holes: scan.holes, hold })
}

fn find<'a>(registry: &'a Registry, tag: &str) -> Option<&'a PointSpec> {
    registry.devices.iter().flat_map(|d| &d.points).find(|p| p.tag.as_str() == tag)
}

/// Returns into how many windows `seqs` is cut and how many bytes are read of each, by its first page: `bytes` of records
/// up to (not including) number `next`.
fn cut(seqs: &RangeInclusive<u64>, next: u64, bytes: usize) -> (u64, usize) {
    let (first, last) = (*seqs.start(), *seqs.end());
    let scanned = next.saturating_sub(first).max(1);
    let whole = (bytes as u64).saturating_mul(last.saturating_sub(first) + 1) / scanned;
    let n = if whole <= WHOLE_BELOW as u64 { 1 } else { N_WINDOWS };
    (u64::from(n), MAX_BYTES / n as usize)
}

fn bytes_of(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.body.len()).sum()
}

fn windows(seqs: RangeInclusive<u64>, n: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
    let (first, last) = seqs.into_inner();
    // Rounded up: the last window must not end before the hour does.
    let width = (last.saturating_sub(first) + 1).div_ceil(n).max(1);
    (0..n).map(move |i| first + i * width).take_while(move |start| *start <= last).map(move |start| {
        let end = if n == 1 { last } else { (start + width - 1).min(last) };
        start..=end
    })
}

struct Scan<'a> {
    book: &'a RegistryBook,
    uid: PointUid,
    /// Where the point is in each revision met: device and ordinal.
    places: BTreeMap<u32, Option<(Arc<Registry>, u16, u16)>>,
    current: Arc<Registry>,
    samples: Vec<TrendSample>,
    holes: Vec<(Timestamp, Timestamp)>,
    last: Option<(u32, Timestamp)>,
    /// Whether numbers were missing behind the last record taken: the hole ends with the next one, on whatever page.
    after_gap: bool,
}

impl<'a> Scan<'a> {
    fn new(book: &'a RegistryBook, current: Arc<Registry>, uid: PointUid) -> Self {
        Self {
            book,
            uid,
            places: BTreeMap::new(),
            current,
            samples: Vec::new(),
            holes: Vec::new(),
            last: None,
            after_gap: false,
        }
    }

    /// Reads the first `budget` bytes of a window, in pages.
    async fn window(
        &mut self,
        store: &Store,
        seqs: RangeInclusive<u64>,
        mut budget: usize,
    ) -> Result<(), crate::buffer::ReadError> {
        let (mut next, last) = seqs.into_inner();
        while next <= last && budget > 0 {
            let page = store.read(Stream::Telemetry, next..=last, PAGE_BYTES.min(budget)).await?;
            if page.next <= next {
                return Ok(());
            }
            next = page.next;
            budget = budget.saturating_sub(bytes_of(&page.entries));
            self.take_page(&page);
        }
        Ok(())
    }

    fn take_page(&mut self, page: &Page) {
        let mut missing = page.missing.iter().map(|m| *m.start()).peekable();
        for entry in &page.entries {
            // Numbers that are not there are a hole between the records around them.
            let mut after_gap = std::mem::take(&mut self.after_gap);
            while missing.next_if(|start| *start < entry.seq).is_some() {
                after_gap = true;
            }
            self.take(entry, after_gap);
        }
        self.after_gap |= missing.next().is_some();
    }

    fn take(&mut self, entry: &Entry, after_gap: bool) {
        self.note_hole(entry, after_gap);
        let Some((registry, device, ordinal)) = self.place_in(entry.stamp.rev) else { return };
        if codec::samples_device(&entry.body) != Some(device) {
            return;
        }
        let Ok(Body::Samples(samples)) = codec::decode(&entry.body, &registry) else { return };
        let cell = samples.cells.binary_search_by_key(&ordinal, |c| c.0).ok().and_then(|i| samples.cells.get(i));
        if let Some((_, reading)) = cell {
            self.samples.push(TrendSample { at: samples.t.unwrap_or(entry.stamp.wall), reading: *reading });
        }
    }

    /// Between the last record of one start and the first of the next, and across a gap, nothing is known.
    fn note_hole(&mut self, entry: &Entry, after_gap: bool) {
        let here = (entry.stamp.boot, entry.stamp.wall);
        if let Some((boot, wall)) = self.last.replace(here)
            && (boot != here.0 || after_gap)
        {
            self.holes.push((wall, here.1));
        }
    }

    fn place_in(&mut self, rev: u32) -> Option<(Arc<Registry>, u16, u16)> {
        let (book, current, uid) = (self.book, &self.current, &self.uid);
        self.places
            .entry(rev)
            .or_insert_with(|| {
                let registry = if rev == current.rev { current.clone() } else { book.get(rev)? };
                let (device, ordinal) = place_of(&registry, uid)?;
                Some((registry, device, ordinal))
            })
            .clone()
    }
}

fn place_of(registry: &Registry, uid: &PointUid) -> Option<(u16, u16)> {
    registry.devices.iter().enumerate().find_map(|(d, device)| {
        let ordinal = device.points.iter().position(|p| p.uid == *uid)?;
        Some((u16::try_from(d).ok()?, u16::try_from(ordinal).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_small_stream_whole_and_a_large_one_evenly() {
        assert_eq!(windows(5..=1000, 1).collect::<Vec<_>>(), [5..=1000]);
        let many: Vec<_> = windows(1..=3600, 360).collect();
        assert_eq!((many.len(), many[0].clone(), many[359].clone()), (360, 1..=10, 3591..=3600));
        assert_eq!(windows(7..=7, 360).collect::<Vec<_>>(), [7..=7]);
        for last in 1..2_000 {
            let all: Vec<u64> = windows(1..=last, 360).flatten().collect();
            assert_eq!(all, (1..=last).collect::<Vec<_>>(), "every number once, to the end");
        }
    }

    #[test]
    fn a_hole_at_the_end_of_a_page_ends_with_the_first_record_of_the_next() {
        use crate::domain::record::Stamp;
        use crate::domain::registry::testing::registry_with;
        use crate::domain::time::{ClockTrust, Mono};
        let dir = tempfile::tempdir().unwrap();
        let book = RegistryBook::new(crate::state::State::open(dir.path()).unwrap());
        let mut scan = Scan::new(&book, Arc::new(registry_with(1, 1, |_| None)), PointUid::new("none"));
        let page = |seq: u64, missing| {
            let wall = Timestamp(i64::try_from(seq).unwrap() * 1000);
            let stamp = Stamp { boot: 1, rev: 1, mono: Mono::from_secs(seq), wall, trust: ClockTrust::Synced };
            Page { entries: vec![Entry { seq, stamp, body: Vec::new().into() }], missing, next: seq + 1 }
        };
        scan.take_page(&page(1, vec![2..=4]));
        scan.take_page(&page(5, Vec::new()));
        scan.take_page(&page(6, Vec::new()));
        assert_eq!(scan.holes, [(Timestamp(1000), Timestamp(5000))]);
    }

    #[test]
    fn an_hour_is_cut_when_it_is_too_large_and_every_window_has_its_share() {
        assert_eq!(cut(&(1..=3_600), 3_601, 400_000), (1, MAX_BYTES));
        let (n, budget) = cut(&(1..=1_000_000), 5_001, PAGE_BYTES);
        assert_eq!(n, u64::from(N_WINDOWS));
        assert!(budget * 360 <= MAX_BYTES && budget * 360 > MAX_BYTES - 1_000);
        assert_eq!(cut(&(7..=7), 7, 0), (1, MAX_BYTES), "nothing of it is there");
    }
}
