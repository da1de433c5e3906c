//! How far the points of OPC UA servers are stored when the gateway starts: where the hole that its own absence left begins.
//!
//! The store itself says so, not a file beside it: after a power cut what counts is what is on the disk, and a value that is
//! there is not told twice. Its telemetry is read backwards from the last record before the start, until every point has been
//! met, [`LOOK_BACK`] is reached, or [`MAX_BYTES`] are read. A point that was not met, of a device that was, has nothing stored
//! behind the oldest record seen: its hole begins there. Nothing is known of a device that was not met; it has no hole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::buffer::{ReadError, Store};
use crate::domain::codec;
use crate::domain::id::{DeviceSlot, PointUid};
use crate::domain::record::{Body, Entry, Stream};
use crate::domain::registry::Registry;
use crate::domain::time::Timestamp;
use crate::field::settings::opcua::Stored;
use crate::state::registry::RegistryBook;
use crate::supervise::Supervisor;

/// Records older than this before the last one are not looked at: every point is told each 60 s unless its table says
/// otherwise, and a hole that begins earlier is asked of the server from here on only.
const LOOK_BACK: Duration = Duration::from_secs(3600);
/// Bytes of records read at most: a minute of 100,000 values/s, some ten of 10,000; half a second on a small computer.
const MAX_BYTES: usize = 48 << 20;
/// Records read at once, backwards.
const N_AT_ONCE: u64 = 2_000;
/// Bytes asked of the store at once.
const PAGE_BYTES: usize = 512 << 10;

type Places = BTreeMap<PointUid, (DeviceSlot, u16)>;

/// What the look-up needs.
struct Parts {
    store: Store,
    book: RegistryBook,
    /// The first telemetry number of this start.
    next: u64,
    points: Places,
}

/// Begins to look how far `points` are stored, before any of them is read; `None` where there is nothing to look for.
pub(super) fn look_up(
    supervisor: &mut Supervisor,
    stop: &CancellationToken,
    store: &Store,
    book: &RegistryBook,
    points: Places,
) -> Option<watch::Receiver<Option<Arc<Stored>>>> {
    let last = store.committed().borrow().get(Stream::Telemetry.rank()).copied().unwrap_or_default();
    if points.is_empty() || last == 0 {
        return None;
    }
    let parts = Parts { store: store.clone(), book: book.clone(), next: last.saturating_add(1), points };
    let (found_tx, found) = watch::channel(None);
    let parts = Arc::new(parts);
    supervisor.restartable("stored", stop.clone(), move |stop| {
        let (parts, found) = (Arc::clone(&parts), found_tx.clone());
        async move {
            tokio::select! {
                read = read(&parts) => match read {
                    Ok(stored) => drop(found.send_replace(Some(Arc::new(stored)))),
                    Err(error) => {
                        tracing::warn!(%error, "What is stored cannot be read: no history of the restart.");
                        found.send_replace(Some(Arc::default()));
                    }
                },
                () = stop.cancelled() => {}
            }
            stop.cancelled().await;
            Ok(())
        }
    });
    Some(found)
}

async fn read(parts: &Parts) -> Result<Stored, ReadError> {
    let first = *parts.store.span(Stream::Telemetry).await.start();
    let revision = |rev| parts.book.get(rev);
    let mut scan = Scan::new(&parts.points, &revision);
    let (mut end, mut bytes) = (parts.next, 0);
    while end > first && bytes < MAX_BYTES && !scan.is_done() {
        let start = end.saturating_sub(N_AT_ONCE).max(first);
        let mut next = start;
        while next < end {
            let page = parts.store.read(Stream::Telemetry, next..=end - 1, PAGE_BYTES).await?;
            for entry in &page.entries {
                bytes += entry.body.len();
                scan.take(entry);
            }
            if page.next <= next {
                break;
            }
            next = page.next;
        }
        end = start;
    }
    Ok(scan.ends())
}

type Revision<'a> = &'a (dyn Fn(u32) -> Option<Arc<Registry>> + Sync);

/// What has been seen, from the last record backwards.
struct Scan<'a> {
    points: &'a Places,
    revision: Revision<'a>,
    /// Each device of each revision met, where any of its points are asked for.
    devices: BTreeMap<(u32, u16), Option<Arc<Registry>>>,
    /// The points that those devices had.
    known: BTreeSet<(DeviceSlot, u16)>,
    stored: Stored,
    newest: Option<Timestamp>,
    oldest: Option<Timestamp>,
}

impl<'a> Scan<'a> {
    fn new(points: &'a Places, revision: Revision<'a>) -> Self {
        let (devices, known, stored) = (BTreeMap::new(), BTreeSet::new(), Stored::new());
        Self { points, revision, devices, known, stored, newest: None, oldest: None }
    }

    fn is_done(&self) -> bool {
        let far = self.newest.zip(self.oldest).is_some_and(|(newest, oldest)| oldest < newest.before(LOOK_BACK));
        far || self.stored.len() == self.points.len()
    }

    fn take(&mut self, entry: &Entry) {
        let wall = entry.stamp.wall;
        self.newest = self.newest.max(Some(wall));
        self.oldest = Some(self.oldest.map_or(wall, |oldest| oldest.min(wall)));
        let Some(device) = codec::samples_device(&entry.body) else { return };
        let Some(registry) = self.device(entry.stamp.rev, device) else { return };
        let Ok(Body::Samples(samples)) = codec::decode(&entry.body, &registry) else { return };
        // Without a time of its own it says only that nothing came.
        let Some(t) = samples.t else { return };
        let spec = registry.devices.get(usize::from(device));
        for (ordinal, _) in &samples.cells {
            let point = spec.and_then(|spec| spec.points.get(usize::from(*ordinal)));
            let Some(place) = point.and_then(|point| self.points.get(&point.uid)) else { continue };
            let last = self.stored.entry(*place).or_insert(t);
            *last = t.max(*last);
        }
    }

    /// The revision of a record, where it is of a device that has points asked for.
    fn device(&mut self, rev: u32, device: u16) -> Option<Arc<Registry>> {
        if let Some(known) = self.devices.get(&(rev, device)) {
            return known.clone();
        }
        let registry = (self.revision)(rev);
        let spec = registry.as_ref().and_then(|registry| registry.devices.get(usize::from(device)));
        let points = spec.into_iter().flat_map(|spec| &spec.points);
        let places: Vec<(DeviceSlot, u16)> = points.filter_map(|point| self.points.get(&point.uid).copied()).collect();
        let asked = registry.clone().filter(|_| !places.is_empty());
        self.known.extend(places);
        self.devices.insert((rev, device), asked.clone());
        asked
    }

    fn ends(mut self) -> Stored {
        let Some(oldest) = self.oldest else { return Stored::new() };
        for place in self.known {
            self.stored.entry(place).or_insert(oldest);
        }
        self.stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::{Reading, Value};
    use crate::domain::record::{Basis, Mode, Samples, Stamp};
    use crate::domain::registry::testing::registry_with;
    use crate::domain::time::{ClockTrust, Mono};

    fn entry(registry: &Registry, wall: i64, t: Option<i64>, device: u16, ordinals: &[u16]) -> Entry {
        let cells = ordinals.iter().map(|ordinal| (*ordinal, Reading::good(Value::Number(1.0)))).collect();
        let (basis, t) = (Basis::Source, t.map(Timestamp));
        let body = Body::Samples(Samples { device, basis, t, historical: false, mode: Mode::Real, cells });
        let wall = Timestamp(wall);
        let stamp = Stamp { boot: 1, mono: Mono::default(), wall, trust: ClockTrust::Synced, rev: registry.rev };
        Entry { seq: 1, stamp, body: codec::encode(&body, registry) }
    }

    #[test]
    fn the_last_stored_time_of_each_point_counts_and_a_silent_one_begins_where_the_look_ended() {
        let registry = Arc::new(registry_with(2, 3, |_| None));
        let uid = |device: usize, point: usize| registry.devices[device].points[point].uid.clone();
        let slot = DeviceSlot(7);
        // The second device is the server's; one of its points is new and stands in no revision yet.
        let mut points: Places = (0_u16..3).map(|n| (uid(1, usize::from(n)), (slot, n))).collect();
        points.insert(PointUid::new("new"), (slot, 3));
        let revision = |rev| (rev == registry.rev).then(|| Arc::clone(&registry));
        let mut scan = Scan::new(&points, &revision);
        for (wall, t, device, ordinals) in [
            (9_000, Some(8_990), 1, &[0_u16][..]),
            (8_500, None, 1, &[0, 1, 2]),
            (8_000, Some(7_990), 1, &[0, 1]),
            (7_000, Some(6_990), 0, &[0, 1, 2]),
        ] {
            scan.take(&entry(&registry, wall, t, device, ordinals));
            assert!(!scan.is_done());
        }
        let found: Vec<_> = scan.ends().into_iter().map(|((_, ordinal), t)| (ordinal, t.0)).collect();
        assert_eq!(found, [(0, 8_990), (1, 7_990), (2, 7_000)]);
    }

    #[test]
    fn the_look_back_has_an_end_and_an_unknown_device_has_no_hole() {
        let registry = Arc::new(registry_with(1, 1, |_| None));
        let points = Places::from([(PointUid::new("elsewhere"), (DeviceSlot(1), 0))]);
        let revision = |rev| (rev == registry.rev).then(|| Arc::clone(&registry));
        let mut scan = Scan::new(&points, &revision);
        let hour = i64::try_from(LOOK_BACK.as_millis()).unwrap();
        scan.take(&entry(&registry, 10 * hour, Some(1), 0, &[0]));
        assert!(!scan.is_done());
        scan.take(&entry(&registry, 9 * hour - 1, Some(1), 0, &[0]));
        assert!(scan.is_done());
        assert!(scan.ends().is_empty());
    }
}
