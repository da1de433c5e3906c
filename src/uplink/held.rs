//! What memory keeps of a feed until the platform or the store has it. Pure.
//!
//! ```text
//!   made, sent or not ──keep──▶ held ──delivered, or read from the store──▶ forgotten
//!                                └──beyond HELD_RECORDS or HELD_BYTES: the lowest──▶ let go (counted if nobody has it)
//! ```
//!
//! It ends with the uplink's task; the next one is handed what nobody else has by the store's appender, which lives longer
//! (`buffer/unstored.rs`).
//!
//! A number of which the store said that it has a gap in its place, while the record is here, is *only here*: it counts as
//! not stored, however far the store has come since.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::delivery::Queued;
use crate::domain::ranges::RangeSet;

/// Records of a feed in memory, queued and sent together: twice the store's urgent queue, which is what the store itself holds
/// while its disk takes nothing (`buffer/writer.rs`). The lowest goes first: it has been told the longest, and the active
/// set of alarms is told anew with each connection.
pub const HELD_RECORDS: usize = 8192;
/// Bytes of their bodies: a kilobyte each.
pub const HELD_BYTES: usize = 8 << 20;

/// See the module.
#[derive(Debug)]
pub struct Held<T> {
    records: BTreeMap<u64, Queued<T>>,
    bytes: usize,
    only_here: RangeSet,
    let_go: u64,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), bytes: 0, only_here: RangeSet::new(), let_go: 0 }
    }
}

impl<T: Clone> Held<T> {
    /// Keeps a record.
    pub fn keep(&mut self, record: Queued<T>) {
        self.bytes += record.bytes;
        if let Some(before) = self.records.insert(record.seq, record) {
            self.bytes -= before.bytes;
        }
    }

    /// Takes a record out, to be queued again.
    pub fn take(&mut self, seq: u64) -> Option<Queued<T>> {
        let record = self.records.remove(&seq)?;
        self.bytes -= record.bytes;
        Some(record)
    }

    /// Returns a copy of a record that stays here.
    pub fn copy(&self, seq: u64) -> Option<(u64, usize, T)> {
        self.records.get(&seq).map(|q| (seq, q.bytes, q.item.clone()))
    }

    /// These need no memory any more: they are delivered, or the store has them.
    pub fn forget(&mut self, range: RangeInclusive<u64>) {
        for seq in self.within(range.clone()) {
            self.take(seq);
        }
        self.only_here.remove(range);
    }

    /// Returns the numbers held within `range`, ascending.
    pub fn within(&self, range: RangeInclusive<u64>) -> Vec<u64> {
        if range.is_empty() { Vec::new() } else { self.records.range(range).map(|(seq, _)| *seq).collect() }
    }

    /// Returns the lowest number held.
    pub fn first(&self) -> Option<u64> {
        self.records.keys().next().copied()
    }

    /// The store has a gap in the place of this number.
    pub fn note_only_here(&mut self, seq: u64) {
        self.only_here.insert(seq..=seq);
    }

    /// Returns whether the store has a gap in the place of this number, which was here when that came out.
    pub fn is_only_here(&self, seq: u64) -> bool {
        self.only_here.contains(seq)
    }

    /// Returns whether these and `queued` records of `queued_bytes` are more than memory may hold.
    pub fn is_beyond(&self, queued: usize, queued_bytes: usize) -> bool {
        self.records.len() + queued > HELD_RECORDS || self.bytes + queued_bytes > HELD_BYTES
    }

    /// A number was let go that nobody has.
    pub fn note_let_go(&mut self) {
        self.let_go += 1;
    }

    /// Returns how many numbers were let go in this run that nobody had.
    pub fn let_go(&self) -> u64 {
        self.let_go
    }
}
