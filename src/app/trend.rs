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
/// Bytes read for one trend at most: the hour of a park of 5,000 values/s; of a larger one, samples over the hour.
const MAX_BYTES: usize = 48 << 20;
/// Windows into which a larger hour is cut: about one for every two pixels of the drawing.
const N_WINDOWS: u32 = 360;

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
    let n = n_windows(store);
    // Between two windows of a sampled hour nothing was read, which does not mean that nothing is there.
    let hold = if n == 1 { Trend::hold_of(spec) } else { Trend::hold_of(spec).max(SPAN * 2 / N_WINDOWS) };
    let from = to.before(SPAN);
    let unavailable = |e: crate::buffer::ReadError| TrendError::Unavailable(e.to_string());
    if let Some(seqs) = store.seqs_between(Stream::Telemetry, from.before(hold), to).await.map_err(unavailable)? {
        for window in windows(seqs, u64::from(n)) {
            scan.window(store, window, MAX_BYTES / n as usize).await.map_err(unavailable)?;
        }
    }
    Ok(Trend { tag: Tag::new(tag), from, to, samples: scan.samples, holes: scan.holes, hold })
}

fn find<'a>(registry: &'a Registry, tag: &str) -> Option<&'a PointSpec> {
    registry.devices.iter().flat_map(|d| &d.points).find(|p| p.tag.as_str() == tag)
}

/// One window for a stream that is small enough to be read whole.
fn n_windows(store: &Store) -> u32 {
    let status = store.status();
    let bytes = status.borrow().streams.get(Stream::Telemetry.rank()).map_or(0, |s| s.bytes);
    if bytes <= MAX_BYTES as u64 { 1 } else { N_WINDOWS }
}

fn windows(seqs: RangeInclusive<u64>, n: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
    let (first, last) = seqs.into_inner();
    let width = (last - first).saturating_add(1).div_ceil(n);
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
}

impl<'a> Scan<'a> {
    fn new(book: &'a RegistryBook, current: Arc<Registry>, uid: PointUid) -> Self {
        Self { book, uid, places: BTreeMap::new(), current, samples: Vec::new(), holes: Vec::new(), last: None }
    }

    /// Reads at most about `max_bytes` from the start of the window.
    async fn window(
        &mut self,
        store: &Store,
        seqs: RangeInclusive<u64>,
        max_bytes: usize,
    ) -> Result<(), crate::buffer::ReadError> {
        let (mut next, last) = seqs.into_inner();
        let mut left = max_bytes;
        while next <= last && left > 0 {
            let page = store.read(Stream::Telemetry, next..=last, left.min(PAGE_BYTES)).await?;
            if page.next <= next {
                return Ok(());
            }
            next = page.next;
            left = left.saturating_sub(PAGE_BYTES);
            self.take_page(&page);
        }
        Ok(())
    }

    fn take_page(&mut self, page: &Page) {
        let mut missing = page.missing.iter().map(|m| *m.start()).peekable();
        for entry in &page.entries {
            // Numbers that are not there are a hole between the records around them.
            let mut after_gap = false;
            while missing.next_if(|start| *start < entry.seq).is_some() {
                after_gap = true;
            }
            self.take(entry, after_gap);
        }
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
            self.samples.push(TrendSample { at: entry.stamp.wall, reading: *reading });
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
    }
}
