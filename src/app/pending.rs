//! Entries of the audit that somebody waits for, until the store has them or it is too late: a lane before it opens, a person
//! before he hears that it is done. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::gate::lane::AuditReceipt;
use crate::domain::record::Stream;
use crate::domain::time::Mono;

/// Entries that wait at once. A lane has one opening and one hold that wait; twice a large park's lanes, and more than people ask
/// for in the patience of a disk. Beyond it an entry counts as failed at once, and whoever waits does what he declares for that.
const MAX_WAITING: usize = 256;

/// Whether the entries of the audit about what was done are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OnDisk(pub(super) bool);

impl OnDisk {
    /// What is added to the words for whoever did it: nothing where all is well.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        if self.0 { ("", "") } else { ("（审计未能保存）", " (its entry of the audit could not be stored)") }
    }
}

/// An answer that waits for an entry.
pub(super) type Promise = Box<dyn FnOnce(OnDisk) + Send>;

/// How long an answer waits for a disk: longer than a slow card needs, and less than a person's patience.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entered<T> {
    /// What waits.
    pub(super) what: T,
    /// Its number on the passage stream; 0 where it got none, or was given up at once.
    pub(super) seq: u64,
    /// When it is too late.
    pub(super) until: Mono,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pending<T> {
    waiting: VecDeque<Entered<T>>,
    /// What is decided already, to be told next.
    failed: VecDeque<Entered<T>>,
    /// An entry was written neither to the store nor to the journal beside it: nothing is until the passage stream is durable up
    /// to here.
    stuck: Option<u64>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), failed: VecDeque::new(), stuck: None }
    }
}

impl<T> Pending<T> {
    /// Returns whether the last that is known is that entries cannot be written.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// Returns whether somebody waits for the store.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty() || !self.failed.is_empty() || self.is_stuck()
    }

    /// Waits for an entry.
    pub(super) fn push(&mut self, entered: Entered<T>) {
        if entered.seq == 0 || self.waiting.len() >= MAX_WAITING {
            self.failed.push_back(entered);
        } else {
            self.waiting.push_back(entered);
        }
    }

    /// Returns what has become of the next entry of which that is known. `durable` and `committed` are the last numbers of each
    /// stream, by rank: what is durable and not committed stands in the journal beside the store.
    pub(super) fn next(
        &mut self,
        durable: &[u64; 6],
        committed: &[u64; 6],
        now: Mono,
    ) -> Option<(Entered<T>, AuditReceipt)> {
        let of = |numbers: &[u64; 6]| numbers.get(Stream::Passage.rank()).copied().unwrap_or(0);
        let (durable, committed) = (of(durable), of(committed));
        self.stuck = self.stuck.filter(|seq| durable < *seq);
        if let Some(failed) = self.failed.pop_front() {
            self.stuck = Some(failed.seq.max(durable + 1));
            return Some((failed, AuditReceipt::Failed));
        }
        // In their order: a number covers every one before it.
        let at = self.waiting.iter().position(|entered| entered.seq <= durable || entered.until <= now)?;
        let entered = self.waiting.remove(at)?;
        let receipt = match entered.seq {
            seq if seq <= committed => AuditReceipt::Stored,
            seq if seq <= durable => AuditReceipt::Journalled,
            seq => {
                self.stuck = Some(seq);
                AuditReceipt::Failed
            }
        };
        Some((entered, receipt))
    }

    /// Returns when something is told at the latest.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let now = self.failed.iter().map(|_| Mono::default());
        self.waiting.iter().map(|entered| entered.until).chain(now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(seq: u64, until_ms: u64) -> Entered<&'static str> {
        Entered { what: "in-1", seq, until: Mono::from_millis(until_ms) }
    }

    fn told(pending: &mut Pending<&'static str>, durable: u64, committed: u64, at_ms: u64) -> Vec<(u64, AuditReceipt)> {
        let of = |seq| [0, seq, 0, 0, 0, 0];
        let next = || pending.next(&of(durable), &of(committed), Mono::from_millis(at_ms));
        std::iter::from_fn(next).map(|(entered, receipt)| (entered.seq, receipt)).collect()
    }

    #[test]
    fn an_entry_is_stored_journalled_or_too_late_and_told_once() {
        assert_eq!(Stream::Passage.rank(), 1);
        let mut pending = Pending::default();
        for (seq, until) in [(5, 1_000), (6, 1_000), (7, 900)] {
            pending.push(entered(seq, until));
        }
        assert_eq!(told(&mut pending, 4, 4, 10), []);
        assert_eq!(pending.deadline(), Some(Mono::from_millis(900)));
        assert_eq!(told(&mut pending, 6, 5, 20), [(5, AuditReceipt::Stored), (6, AuditReceipt::Journalled)]);
        assert_eq!(told(&mut pending, 6, 6, 899), []);
        assert!(!pending.is_stuck());
        assert_eq!(told(&mut pending, 6, 6, 900), [(7, AuditReceipt::Failed)]);
        assert!(pending.is_stuck() && pending.waits(), "nothing is known to be written");
        assert_eq!((told(&mut pending, 9, 9, 2_000), pending.deadline()), (vec![], None));
        assert!(!pending.is_stuck() && !pending.waits(), "until it is");
    }

    #[test]
    fn what_got_no_number_and_what_is_too_much_fails_at_once() {
        let mut pending = Pending::default();
        pending.push(entered(0, 1_000));
        assert_eq!(pending.deadline(), Some(Mono::default()), "at once");
        assert_eq!(told(&mut pending, 0, 0, 1), [(0, AuditReceipt::Failed)]);
        let most = MAX_WAITING as u64;
        (1..=most + 1).for_each(|seq| pending.push(entered(seq, 1_000)));
        assert_eq!(told(&mut pending, 0, 0, 1), [(most + 1, AuditReceipt::Failed)]);
        assert_eq!(told(&mut pending, most, most, 1).len(), MAX_WAITING);
    }
}
