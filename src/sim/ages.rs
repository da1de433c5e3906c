//! A histogram of ages in bounded memory: exact below 64 ms, within 1/32 (3 %) above.

use std::time::Duration;

/// Sub-buckets per power of two; the relative error is one over it.
const SUB: u64 = 32;
/// Below this many milliseconds every millisecond has its own bucket.
const EXACT: u64 = 2 * SUB;
/// Largest age told apart: 2^32 ms is 49 days, longer than any telemetry is kept.
const MAX_MS: u64 = 1 << 32;
/// Buckets up to [`MAX_MS`].
const BUCKETS: usize = 64 + 32 * 27;

/// Ages in milliseconds, counted.
#[derive(Clone, Debug)]
pub struct Ages {
    counts: Vec<u64>,
    total: u64,
    max_ms: u64,
}

impl Default for Ages {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max_ms: 0 }
    }
}

impl Ages {
    /// Adds `n` members of age `ms`; what is below zero (clocks disagree) counts as zero.
    pub fn add(&mut self, ms: i64, n: u64) {
        let ms = u64::try_from(ms).unwrap_or(0).min(MAX_MS);
        if let Some(count) = self.counts.get_mut(bucket(ms)) {
            *count += n;
            self.total += n;
            self.max_ms = self.max_ms.max(ms);
        }
    }

    /// Returns how many members there are.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Returns the upper edge of the bucket in which the `per_mille`-th member stands; `None` without members.
    pub fn quantile(&self, per_mille: u64) -> Option<Duration> {
        let wanted = self.total.saturating_mul(per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        let index = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Duration::from_millis(upper(index).min(self.max_ms)))
    }

    /// Returns the median.
    pub fn p50(&self) -> Option<Duration> {
        self.quantile(500)
    }

    /// Returns the 99th percentile.
    pub fn p99(&self) -> Option<Duration> {
        self.quantile(990)
    }

    /// Returns the largest age, exact.
    pub fn max(&self) -> Option<Duration> {
        (self.total > 0).then(|| Duration::from_millis(self.max_ms))
    }
}

/// Bucket of an age: itself when small, else by its power of two and the five bits below the highest.
fn bucket(ms: u64) -> usize {
    if ms < EXACT {
        return usize::try_from(ms).unwrap_or(0);
    }
    let shift = u64::from(ms.ilog2()) - 5;
    usize::try_from(EXACT + (shift - 1) * SUB + (ms >> shift) - SUB).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// Largest age that falls into the bucket.
fn upper(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    if index < EXACT {
        return index;
    }
    let shift = (index - EXACT) / SUB + 1;
    let high = (index - EXACT) % SUB + SUB;
    ((high + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_falls_into_a_bucket_whose_edge_is_at_most_a_thirtysecond_above_it() {
        for ms in (0..5_000).chain([59_999, 60_000, 3_600_000, 86_400_000 * 40]) {
            let edge = upper(bucket(ms));
            assert!(edge >= ms && edge <= ms + ms / 32, "{ms} -> {edge}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_members() {
        let mut ages = Ages::default();
        assert_eq!(ages.p99(), None);
        for ms in 1..=100 {
            ages.add(ms, 10);
        }
        assert_eq!(ages.p50(), Some(Duration::from_millis(50)));
        assert_eq!(ages.p99(), Some(Duration::from_millis(99)));
        assert_eq!(ages.max(), Some(Duration::from_millis(100)));
        ages.add(-5, 1);
        assert_eq!(ages.len(), 1001);
    }
}
