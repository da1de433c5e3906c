//! Which segments go, and why. Pure.
//!
//! A sealed segment goes in its time: delivered to every consumer and older than the stream's retention. Its age is told
//! by records, not by the wall clock of this minute, and only where clocks were trusted: a board that wakes up in 1970
//! or in 2099 deletes nothing for it. Over quota, the oldest telemetry goes first, then report, registry and event, each
//! down to its reserved bytes; alarm and passage are never deleted before their time, they refuse new records instead.

use super::manifest::Segment;
use super::marks::N;
use crate::domain::ranges::RangeSet;
use crate::domain::record::Stream;

/// What the policy looks at, per stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelved {
    /// Ascending.
    pub(super) segments: Vec<Segment>,
    /// Numbers that are delivered to every consumer or in a gap.
    pub(super) settled: RangeSet,
    pub(super) retention_ms: i64,
    pub(super) reserved_bytes: u64,
}

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Past its time.
    Aged,
    /// To make room.
    Quota,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Rank of the stream, first number of the segment, reason.
    pub(super) remove: Vec<(usize, u64, Why)>,
    /// Streams that refuse new records from now on.
    pub(super) refuse: [bool; N],
}

/// Streams below this rank are never deleted before their time.
const NEVER_BEFORE_TIME: usize = 2;

/// Decides. `quota` bounds the bytes of all streams and `other` bytes together; under `pressure` (no space on the disk)
/// at least one segment goes whatever the quota says, if any may.
pub(super) fn plan(shelves: &[Shelved; N], other: u64, quota: u64, pressure: bool) -> Plan {
    let newest = shelves.iter().flat_map(|s| &s.segments).map(|s| s.trusted_to).max().unwrap_or(0);
    let mut plan = Plan::default();
    let mut bytes: [u64; N] = std::array::from_fn(|_| 0);
    let mut left: [Vec<&Segment>; N] = std::array::from_fn(|_| Vec::new());
    for (rank, (shelf, (bytes, left))) in shelves.iter().zip(bytes.iter_mut().zip(left.iter_mut())).enumerate() {
        for (n, segment) in shelf.segments.iter().enumerate() {
            if is_aged(shelf, n, segment, newest) {
                plan.remove.push((rank, segment.first, Why::Aged));
            } else {
                *bytes = bytes.saturating_add(segment.bytes);
                left.push(segment);
            }
        }
    }
    let total = |bytes: &[u64; N]| bytes.iter().copied().fold(other, u64::saturating_add);
    let target = if pressure && plan.remove.is_empty() { quota.min(total(&bytes).saturating_sub(1)) } else { quota };
    for (rank, (shelf, left)) in shelves.iter().zip(&left).enumerate().skip(NEVER_BEFORE_TIME).rev() {
        for segment in left.iter().filter(|s| s.sealed) {
            let Some(own) = bytes.get_mut(rank) else { break };
            let after = own.saturating_sub(segment.bytes);
            if after < shelf.reserved_bytes {
                break;
            }
            let before = *own;
            if total(&bytes) <= target {
                break;
            }
            plan.remove.push((rank, segment.first, Why::Quota));
            if let Some(own) = bytes.get_mut(rank) {
                *own = before.saturating_sub(segment.bytes);
            }
        }
    }
    for (rank, (shelf, bytes_of)) in shelves.iter().zip(bytes).enumerate().take(NEVER_BEFORE_TIME) {
        if let Some(refuse) = plan.refuse.get_mut(rank) {
            *refuse = total(&bytes) > quota && bytes_of >= shelf.reserved_bytes;
        }
    }
    plan
}

/// A segment is as young as its youngest record, and no older than the one after it begins: times of an untrusted clock
/// in it make it younger, never older. The last segment is never aged.
fn is_aged(shelf: &Shelved, n: usize, segment: &Segment, newest: i64) -> bool {
    let Some(next) = shelf.segments.get(n + 1).filter(|next| next.has_records()) else { return false };
    let at = segment.to.max(next.from);
    segment.sealed
        && at.saturating_add(shelf.retention_ms) < newest
        && shelf.settled.covers(segment.first..=segment.last)
}

/// Returns the undelivered numbers of a segment: what its removal before its time loses.
pub(super) fn undelivered(segment: &Segment, settled: &RangeSet) -> Vec<std::ops::RangeInclusive<u64>> {
    let mut lost = Vec::new();
    let mut from = segment.first;
    while let Some(hole) = settled.first_hole(from..=segment.last) {
        from = hole.end().saturating_add(1);
        lost.push(hole);
    }
    lost
}

/// Returns the name of the stream with this rank, for people.
pub(super) fn stream_of(rank: usize) -> Stream {
    Stream::ALL.get(rank).copied().unwrap_or(Stream::Telemetry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const T: usize = 5;

    fn segment(n: u64, day: i64, bytes: u64) -> Segment {
        let (first, last) = (n * 100 + 1, n * 100 + 100);
        let (from, to) = (day * DAY, (day + 1) * DAY - 1);
        Segment { first, last, count: 100, from, to, trusted_to: to, bytes, sealed: true }
    }

    fn shelves(telemetry: Vec<Segment>, delivered_to: u64) -> [Shelved; N] {
        let mut shelves: [Shelved; N] = Default::default();
        for shelf in &mut shelves {
            shelf.retention_ms = 30 * DAY;
        }
        shelves[T].segments = telemetry;
        shelves[T].settled = std::iter::once(1..=delivered_to).collect();
        shelves
    }

    #[test]
    fn a_segment_goes_when_delivered_and_past_its_time_and_not_before() {
        let segments: Vec<Segment> = (0..40).map(|n| segment(n, n as i64, 10)).collect();
        let plan = plan(&shelves(segments, 300), 0, u64::MAX, false);
        assert_eq!(plan.remove, [(T, 1, Why::Aged), (T, 101, Why::Aged), (T, 201, Why::Aged)]);
    }

    #[test]
    fn records_of_1970_are_as_young_as_what_follows_and_2099_unsynced_ages_nothing() {
        let mut segments: Vec<Segment> = (0..3).map(|n| segment(n, 20_000 + n as i64, 10)).collect();
        (segments[0].from, segments[0].to) = (0, 5);
        assert!(plan(&shelves(segments.clone(), 300), 0, u64::MAX, false).remove.is_empty());
        (segments[2].to, segments[2].trusted_to) = (60_000 * DAY, 0);
        assert!(plan(&shelves(segments, 300), 0, u64::MAX, false).remove.is_empty());
    }

    #[test]
    fn over_quota_the_oldest_telemetry_goes_down_to_what_is_reserved() {
        let mut all = shelves((0..10).map(|n| segment(n, 0, 10)).collect(), 0);
        all[2].segments = vec![segment(0, 0, 10)];
        assert_eq!(plan(&all, 0, 85, false).remove, [(T, 1, Why::Quota), (T, 101, Why::Quota), (T, 201, Why::Quota)]);
        all[T].reserved_bytes = 90;
        assert_eq!(plan(&all, 0, 85, false).remove, [(T, 1, Why::Quota), (2, 1, Why::Quota)]);
        assert_eq!(plan(&all, 0, 1000, true).remove, [(T, 1, Why::Quota)]);
    }

    #[test]
    fn a_full_alarm_stream_refuses_and_is_not_deleted() {
        let mut all = shelves(vec![], 0);
        all[0].segments = (0..10).map(|n| segment(n, 0, 10)).collect();
        let plan = plan(&all, 0, 50, false);
        assert!(plan.remove.is_empty() && plan.refuse[0]);
        assert!(!super::plan(&all, 0, 200, false).refuse[0]);
    }

    #[test]
    fn only_what_was_not_delivered_is_lost() {
        let settled = [1..=20, 40..=50].into_iter().collect();
        assert_eq!(undelivered(&segment(0, 0, 1), &settled), [21..=39, 51..=100]);
    }
}
