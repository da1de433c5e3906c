//! Sets of sequence numbers as ranges: what is delivered, what is in flight, what is missing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A set of `u64` kept as disjoint, non-adjacent ranges.
///
/// Its size is the number of holes, not of members: a stream that is delivered in order is one range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// Start → end, both included. INVARIANT: for consecutive entries, `end + 1 < next start`.
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// Returns the empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds all numbers of `range`; an empty range adds none. Returns how many were new.
    pub fn insert(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (mut start, mut end) = range.into_inner();
        if start > end {
            return 0;
        }
        let wanted = (start, end);
        let mut new = (end - start).saturating_add(1);
        // Everything that overlaps or touches [start, end] melts into one range.
        let touching: Vec<(u64, u64)> = self
            .ranges
            .range(..=end.saturating_add(1))
            .rev()
            .map(|(s, e)| (*s, *e))
            .take_while(|(_, e)| e.saturating_add(1) >= start)
            .collect();
        for (s, e) in touching {
            let (overlap_from, overlap_to) = (s.max(wanted.0), e.min(wanted.1));
            if overlap_from <= overlap_to {
                new = new.saturating_sub(overlap_to - overlap_from + 1);
            }
            self.ranges.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.ranges.insert(start, end);
        new
    }

    /// Removes all numbers of `range`.
    pub fn remove(&mut self, range: RangeInclusive<u64>) {
        let (start, end) = range.into_inner();
        if start > end {
            return;
        }
        let touching: Vec<(u64, u64)> =
            self.ranges.range(..=end).rev().map(|(s, e)| (*s, *e)).take_while(|(_, e)| *e >= start).collect();
        for (s, e) in touching {
            self.ranges.remove(&s);
            if s < start {
                self.ranges.insert(s, start - 1);
            }
            if e > end {
                self.ranges.insert(end + 1, e);
            }
        }
    }

    /// Returns whether `n` is in the set.
    pub fn contains(&self, n: u64) -> bool {
        self.ranges.range(..=n).next_back().is_some_and(|(_, e)| *e >= n)
    }

    /// Returns whether all of `range` is in the set; true for an empty range.
    pub fn covers(&self, range: RangeInclusive<u64>) -> bool {
        let (start, end) = range.into_inner();
        start > end || self.ranges.range(..=start).next_back().is_some_and(|(_, e)| *e >= end)
    }

    /// Returns the first number ≥ `from` that is *not* in the set.
    pub fn first_missing(&self, from: u64) -> u64 {
        match self.ranges.range(..=from).next_back() {
            Some((_, e)) if *e >= from => e.saturating_add(1),
            Some(_) | None => from,
        }
    }

    /// Returns the first range of numbers within `within` that are *not* in the set.
    pub fn first_hole(&self, within: RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
        let (start, end) = within.into_inner();
        let from = self.first_missing(start);
        if from > end {
            return None;
        }
        let to = self.ranges.range(from..).next().map_or(end, |(s, _)| end.min(s - 1));
        Some(from..=to)
    }

    /// Returns the parts of `within` that are in the set, ascending.
    pub fn inside(&self, within: RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let (start, end) = within.into_inner();
        if start > end {
            return Vec::new();
        }
        let overlapping = self.ranges.range(..=end).rev().take_while(|(_, e)| **e >= start);
        let mut parts: Vec<_> = overlapping.map(|(s, e)| *s.max(&start)..=*e.min(&end)).collect();
        parts.reverse();
        parts
    }

    /// Returns the parts of `within` that are not in the set, ascending.
    pub fn outside(&self, within: RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let (mut from, to) = within.into_inner();
        let mut parts = Vec::new();
        while let Some(hole) = (from <= to).then(|| self.first_hole(from..=to)).flatten() {
            let end = *hole.end();
            parts.push(hole);
            if end == u64::MAX {
                break;
            }
            from = end + 1;
        }
        parts
    }

    /// Returns how many numbers of `within` are not in the set.
    pub fn missing(&self, within: RangeInclusive<u64>) -> u64 {
        let (start, end) = within.into_inner();
        if start > end {
            return 0;
        }
        let held: u64 = self
            .ranges
            .range(..=end)
            .rev()
            .take_while(|(_, e)| **e >= start)
            .map(|(s, e)| e.min(&end) - s.max(&start) + 1)
            .sum();
        (end - start).saturating_add(1).saturating_sub(held)
    }

    /// Returns the ranges in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<u64>> + '_ {
        self.ranges.iter().map(|(s, e)| *s..=*e)
    }

    /// Returns the number of ranges.
    pub fn n_ranges(&self) -> usize {
        self.ranges.len()
    }

    /// Returns how many numbers are in the set.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(s, e)| e - s + 1).fold(0, u64::saturating_add)
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns the largest member.
    pub fn last(&self) -> Option<u64> {
        self.ranges.values().next_back().copied()
    }
}

impl FromIterator<RangeInclusive<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u64>>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Change {
        Insert(u64, u64),
        Remove(u64, u64),
    }

    fn change() -> impl Strategy<Value = Change> {
        let span = (0u64..60, 0u64..12).prop_map(|(a, n)| (a, a + n));
        prop_oneof![span.clone().prop_map(|(a, b)| Change::Insert(a, b)), span.prop_map(|(a, b)| Change::Remove(a, b)),]
    }

    proptest! {
        #[test]
        fn it_is_the_set_it_says_it_is(changes in proptest::collection::vec(change(), 0..40), from in 0u64..80, n in 0u64..20) {
            let mut set = RangeSet::new();
            let mut model = BTreeSet::new();
            for change in changes {
                match change {
                    Change::Insert(a, b) => {
                        let new = (a..=b).filter(|n| model.insert(*n)).count();
                        prop_assert_eq!(set.insert(a..=b), new as u64);
                    }
                    Change::Remove(a, b) => {
                        set.remove(a..=b);
                        model.retain(|n| !(a..=b).contains(n));
                    }
                }
            }
            prop_assert_eq!(set.iter().flatten().collect::<BTreeSet<_>>(), model.clone());
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert_eq!(set.last(), model.last().copied());
            prop_assert_eq!(set.contains(from), model.contains(&from));
            prop_assert_eq!(set.first_missing(from), (from..).find(|n| !model.contains(n)).unwrap());
            prop_assert_eq!(set.missing(from..=from + n), (from..=from + n).filter(|n| !model.contains(n)).count() as u64);
            prop_assert_eq!(set.covers(from..=from + n), (from..=from + n).all(|n| model.contains(&n)));
            let within = |there: bool| (from..=from + n).filter(|n| model.contains(n) == there).collect::<Vec<_>>();
            for (parts, numbers) in [(set.inside(from..=from + n), within(true)), (set.outside(from..=from + n), within(false))] {
                prop_assert!(parts.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start()));
                prop_assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>(), numbers);
            }
            let hole = set.first_hole(from..=from + n);
            let first = (from..=from + n).find(|n| !model.contains(n));
            prop_assert_eq!(hole.as_ref().map(|h| *h.start()), first);
            if let Some(hole) = hole {
                prop_assert!(hole.clone().all(|n| !model.contains(&n)));
                prop_assert!(*hole.end() == from + n || model.contains(&(hole.end() + 1)));
            }
            for pair in set.iter().collect::<Vec<_>>().windows(2) {
                prop_assert!(pair[0].end() + 1 < *pair[1].start(), "touching ranges are one");
            }
        }
    }

    #[test]
    fn an_empty_range_changes_nothing() {
        let mut set = RangeSet::new();
        #[expect(clippy::reversed_empty_ranges, reason = "that is the case under test")]
        let new = set.insert(5..=4);
        assert_eq!((new, set.is_empty()), (0, true));
    }

    #[test]
    fn the_ends_of_u64_do_not_overflow() {
        let set: RangeSet = [u64::MAX - 1..=u64::MAX, 0..=0].into_iter().collect();
        assert_eq!((set.n_ranges(), set.first_missing(0), set.contains(u64::MAX)), (2, 1, true));
    }
}
