//! How many alarms come: floods (more than ten within ten minutes, rule 95), counted by the second, so that a flood of any
//! size takes no more room than its seconds.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::time::Mono;

/// The span over which alarms are counted.
pub const FLOOD_SPAN: Duration = Duration::from_secs(600);
/// More raises than this within the span are a flood: what one operator can still read.
pub const FLOOD_LIMIT: u64 = 10;
/// An alarm that is active for longer is stale: it tells nothing any more.
pub const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Raises of late.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// Second and number, at most one for each second of the span.
    by_second: VecDeque<(u64, u64)>,
    within: u64,
    /// Most within any span since the start.
    pub(super) peak: u64,
    /// All since the start.
    pub(super) total: u64,
}

impl Flood {
    /// Notes a raise.
    pub(super) fn note(&mut self, at: Mono) {
        self.forget(at);
        let second = at.seconds();
        match self.by_second.back_mut() {
            Some((last, n)) if *last == second => *n += 1,
            _ => self.by_second.push_back((second, 1)),
        }
        self.within += 1;
        self.total += 1;
        self.peak = self.peak.max(self.within);
    }

    /// Returns how many there were within the span that ends now.
    pub(super) fn within(&self, now: Mono) -> u64 {
        let from = (now - FLOOD_SPAN).seconds();
        let all = now.since_start() < FLOOD_SPAN;
        self.by_second.iter().filter(|(second, _)| all || *second > from).map(|(_, n)| n).sum()
    }

    fn forget(&mut self, now: Mono) {
        let from = (now - FLOOD_SPAN).seconds();
        while now.since_start() >= FLOOD_SPAN && self.by_second.front().is_some_and(|(second, _)| *second <= from) {
            let gone = self.by_second.pop_front().map_or(0, |(_, n)| n);
            self.within = self.within.saturating_sub(gone);
        }
    }
}
