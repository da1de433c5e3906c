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
            let (overlap_from, overlap_to) = (s.max(start), e.min(end));
            if overlap_from <= overlap_to && range_within(overlap_from, overlap_to, start, end) {
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

fn range_within(from: u64, to: u64, start: u64, end: u64) -> bool {
    start <= from && to <= end
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
