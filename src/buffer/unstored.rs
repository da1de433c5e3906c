//! Alarm and passage records of this run that the store does not have: waiting for its disk, or refused by it. Who tells them
//! to the platform keeps them too (`uplink/held.rs`), but begins anew with each of his restarts; these are what he is handed
//! then.
//!
//! ```text
//!   queued ──▶ waiting ──stored──▶ forgotten          refused (queue or stream full) ──▶ refused ──delivered──▶ forgotten
//! ```
//!
//! At most [`RECORDS`] of each kind and stream, beyond it the oldest goes: it has been told the longest, and the set of active
//! alarms is told anew with each connection.

use std::collections::VecDeque;

use crate::domain::ranges::RangeSet;
use crate::domain::record::Entry;

/// Records of one stream that wait, and as many that were refused: together they leave half of the live channel to what is
/// made meanwhile (`app::N_QUEUED_LIVE`).
const RECORDS: usize = 256;

/// See the module. Of one stream.
#[derive(Debug, Default)]
pub(super) struct Unstored {
    waiting: VecDeque<Entry>,
    refused: VecDeque<Entry>,
}

impl Unstored {
    /// This is queued; what is stored up to `stored` waits no longer.
    pub(super) fn wait(&mut self, entry: Entry, stored: u64) {
        self.forget_stored(stored);
        keep(&mut self.waiting, entry);
    }

    /// This was not taken.
    pub(super) fn refuse(&mut self, entry: Entry) {
        keep(&mut self.refused, entry);
    }

    /// Returns what neither the store, stored up to `stored`, nor the platform has, ascending.
    pub(super) fn entries(&mut self, stored: u64, delivered: &RangeSet) -> Vec<Entry> {
        self.forget_stored(stored);
        self.refused.retain(|entry| !delivered.contains(entry.seq));
        let waiting = self.waiting.iter().filter(|entry| !delivered.contains(entry.seq));
        let mut entries: Vec<Entry> = waiting.chain(&self.refused).cloned().collect();
        entries.sort_unstable_by_key(|entry| entry.seq);
        entries
    }

    fn forget_stored(&mut self, stored: u64) {
        while self.waiting.front().is_some_and(|entry| entry.seq <= stored) {
            self.waiting.pop_front();
        }
    }
}

fn keep(kept: &mut VecDeque<Entry>, entry: Entry) {
    if kept.len() >= RECORDS {
        kept.pop_front();
    }
    kept.push_back(entry);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Stamp;
    use crate::domain::time::{ClockTrust, Mono, Timestamp};

    fn entry(seq: u64) -> Entry {
        let stamp =
            Stamp { boot: 1, rev: 1, mono: Mono::from_secs(seq), wall: Timestamp(9), trust: ClockTrust::Synced };
        Entry { seq, stamp, body: vec![0; 40].into() }
    }

    fn seqs(unstored: &mut Unstored, stored: u64, delivered: &RangeSet) -> Vec<u64> {
        unstored.entries(stored, delivered).iter().map(|entry| entry.seq).collect()
    }

    #[test]
    fn what_waits_and_what_was_refused_is_handed_out_in_order_until_somebody_has_it() {
        let mut unstored = Unstored::default();
        [1, 2, 5].into_iter().for_each(|seq| unstored.wait(entry(seq), 0));
        [3, 4].into_iter().for_each(|seq| unstored.refuse(entry(seq)));
        let none = RangeSet::new();
        assert_eq!(seqs(&mut unstored, 0, &none), [1, 2, 3, 4, 5]);
        assert_eq!(seqs(&mut unstored, 0, &[1..=1, 3..=3].into_iter().collect()), [2, 4, 5]);
        // The disk takes them; 4 stays a gap, and is only here.
        assert_eq!(seqs(&mut unstored, 5, &none), [4]);
    }

    #[test]
    fn a_disk_that_takes_nothing_for_days_costs_no_more_than_a_few_hundred_records() {
        let mut unstored = Unstored::default();
        (1..=1_000).for_each(|seq| unstored.wait(entry(seq), 0));
        (1_001..=2_000).for_each(|seq| unstored.refuse(entry(seq)));
        let kept = seqs(&mut unstored, 0, &RangeSet::new());
        assert_eq!((kept.len(), kept.first(), kept.last()), (2 * RECORDS, Some(&745), Some(&2_000)));
    }
}
