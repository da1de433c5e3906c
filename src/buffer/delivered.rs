//! What each consumer has: ranges of numbers per stream, and entries of the ledger. In memory; written to the file
//! `delivered` (form: `files.rs`) at most a second after a change. Losing that second only means duplicates.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use super::ledger::pairs;
use super::marks::N;
use crate::domain::ranges::RangeSet;
use crate::domain::record::Stream;

const FILE: &str = "delivered";
/// Most ranges kept per stream and consumer. A platform that acknowledges every second record would need one range per
/// record; beyond this the highest islands are forgotten, which costs duplicates only.
const MAX_RANGES: usize = 4096;

/// Delivered numbers, per stream and consumer.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    streams: [BTreeMap<String, RangeSet>; N],
    gaps: BTreeMap<String, RangeSet>,
    /// Changed since the last write.
    pub(super) dirty: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct Form {
    format: u32,
    epoch: String,
    streams: BTreeMap<String, BTreeMap<String, Vec<(u64, u64)>>>,
    gaps: BTreeMap<String, Vec<(u64, u64)>>,
}

impl Delivered {
    /// Reads the file; one that is absent, damaged or of another epoch means that nothing is known to be delivered.
    pub(super) fn load(dir: &Path, epoch: &str) -> Self {
        let Some(form) = files::read::<Form>(&dir.join(FILE)).good().filter(|f| f.epoch == epoch) else {
            return Self::default();
        };
        let mut delivered = Self::default();
        for (set, stream) in delivered.streams.iter_mut().zip(Stream::ALL) {
            *set = form.streams.get(stream.as_str()).map(sets).unwrap_or_default();
        }
        delivered.gaps = sets(&form.gaps);
        delivered
    }

    /// Returns the bytes-to-be of the file.
    fn form(&self, epoch: &str) -> Form {
        let of = |sets: &BTreeMap<String, RangeSet>| sets.iter().map(|(c, s)| (c.clone(), pairs(s))).collect();
        Form {
            format: 1,
            epoch: epoch.to_owned(),
            streams: Stream::ALL.iter().zip(&self.streams).map(|(s, sets)| (s.as_str().to_owned(), of(sets))).collect(),
            gaps: of(&self.gaps),
        }
    }

    /// Returns what writes the present state, to be called without a lock held.
    pub(super) fn writer(&self, epoch: &str) -> impl FnOnce(&Path) -> io::Result<()> + use<> {
        let form = self.form(epoch);
        move |dir| files::write(&dir.join(FILE), &form)
    }

    /// Returns what `consumer` has of `stream`.
    pub(super) fn of(&self, stream: Stream, consumer: &str) -> RangeSet {
        self.streams.get(stream.rank()).and_then(|sets| sets.get(consumer)).cloned().unwrap_or_default()
    }

    /// Returns the consumers that have something of `stream`.
    pub(super) fn consumers(&self, stream: Stream) -> Vec<String> {
        self.streams.get(stream.rank()).map(|sets| sets.keys().cloned().collect()).unwrap_or_default()
    }

    /// Returns the entries of the ledger that `consumer` has.
    pub(super) fn gaps_of(&self, consumer: &str) -> RangeSet {
        self.gaps.get(consumer).cloned().unwrap_or_default()
    }

    /// Takes down that `consumer` has `ranges` of `stream`.
    pub(super) fn add(&mut self, stream: Stream, consumer: &str, ranges: Vec<RangeInclusive<u64>>) {
        let Some(sets) = self.streams.get_mut(stream.rank()) else { return };
        self.dirty |= insert(sets.entry(consumer.to_owned()).or_default(), ranges);
    }

    /// Takes down that `consumer` has the ledger's entries `nos`.
    pub(super) fn add_gaps(&mut self, consumer: &str, nos: Vec<RangeInclusive<u64>>) {
        self.dirty |= insert(self.gaps.entry(consumer.to_owned()).or_default(), nos);
    }

    /// Returns the numbers of `stream` that all `consumers` have; every number where there is no consumer.
    pub(super) fn by_all(&self, stream: Stream, consumers: &[String]) -> RangeSet {
        common(consumers.iter().map(|c| self.of(stream, c)))
    }

    /// Returns the ledger's entries that all `consumers` have.
    pub(super) fn gaps_by_all(&self, consumers: &[String]) -> RangeSet {
        common(consumers.iter().map(|c| self.gaps_of(c)))
    }
}

fn sets(form: &BTreeMap<String, Vec<(u64, u64)>>) -> BTreeMap<String, RangeSet> {
    form.iter()
        .map(|(c, ranges)| (c.clone(), ranges.iter().map(|(a, b)| *a..=(*b).min(u64::MAX - 1)).collect()))
        .collect()
}

fn insert(set: &mut RangeSet, ranges: Vec<RangeInclusive<u64>>) -> bool {
    // The last number is never given: with it, the count of all of u64 would not fit.
    let new: u64 =
        ranges.into_iter().map(|r| set.insert(*r.start()..=(*r.end()).min(u64::MAX - 1))).fold(0, u64::saturating_add);
    let island = set.iter().nth(MAX_RANGES).map(|range| *range.start());
    if let Some(start) = island {
        set.remove(start..=u64::MAX);
    }
    new > 0
}

/// The numbers in all sets: everything but what any of them misses.
fn common(mut sets: impl Iterator<Item = RangeSet>) -> RangeSet {
    let first = sets.next().unwrap_or_else(|| std::iter::once(0..=u64::MAX).collect());
    sets.fold(first, |both, set| {
        let mut out = both;
        let mut from = 0;
        while let Some(hole) = set.first_hole(from..=u64::MAX) {
            out.remove(hole.clone());
            let Some(next) = hole.end().checked_add(1) else { break };
            from = next;
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_and_another_epoch_starts_empty() {
        let dir = tempfile::tempdir().unwrap();
        let mut delivered = Delivered::default();
        delivered.add(Stream::Alarm, "platform", vec![1..=5, 8..=9]);
        delivered.add_gaps("platform", vec![1..=2]);
        assert!(delivered.dirty);
        delivered.writer("E")(dir.path()).unwrap();
        let again = Delivered::load(dir.path(), "E");
        assert_eq!(again.of(Stream::Alarm, "platform"), delivered.of(Stream::Alarm, "platform"));
        assert_eq!(again.gaps_of("platform").len(), 2);
        assert!(Delivered::load(dir.path(), "F").of(Stream::Alarm, "platform").is_empty());
    }

    #[test]
    fn what_all_have_is_what_none_misses() {
        let mut delivered = Delivered::default();
        delivered.add(Stream::Event, "a", vec![1..=10]);
        delivered.add(Stream::Event, "b", vec![4..=6, 9..=20]);
        let both = delivered.by_all(Stream::Event, &["a".into(), "b".into()]);
        assert_eq!(pairs(&both), [(4, 6), (9, 10)]);
        assert!(delivered.by_all(Stream::Event, &[]).covers(1..=u64::MAX));
        assert!(delivered.by_all(Stream::Event, &["a".into(), "c".into()]).is_empty());
    }

    #[test]
    fn all_of_u64_twice_is_no_overflow() {
        let mut delivered = Delivered::default();
        for _ in 0..2 {
            delivered.add(Stream::Alarm, "p", vec![0..=u64::MAX]);
        }
        assert!(delivered.of(Stream::Alarm, "p").contains(5));
    }

    #[test]
    fn islands_beyond_the_bound_are_forgotten() {
        let mut delivered = Delivered::default();
        delivered.add(Stream::Telemetry, "p", (0..6000).map(|n| n * 2..=n * 2).collect());
        delivered.add(Stream::Telemetry, "p", vec![1..=1]);
        let set = delivered.of(Stream::Telemetry, "p");
        assert!(set.n_ranges() <= MAX_RANGES && set.contains(0) && set.contains(1));
    }
}
