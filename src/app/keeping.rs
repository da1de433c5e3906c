//! When the engine hands on what must survive a restart. Pure.
//!
//! ```text
//!  what no record brings back ─── changed ──▶ at once
//!  the gates ─── changed ── GATES_AFTER ──▶ handed on
//!  danger ─── changed, and DANGER_EVERY since the last ──▶ handed on
//!  nothing ─── ANYWAY since the last ──▶ handed on
//! ```
//!
//! The gates are handed on a moment *after* they changed: what changed them is a vehicle that waits for its arm, and copying and
//! saving the state costs a processor a millisecond or two that it has the better use for. As much would be lost if they were
//! handed on as often and at once.

use std::time::Duration;

use crate::domain::time::Mono;

/// How often danger is handed on while it changes: what is not saved yet comes back from the records.
const DANGER_EVERY: Duration = Duration::from_secs(1);
/// How long after a change the gates are: what a lane does is over in seconds, and no record brings back where it stood.
const GATES_AFTER: Duration = Duration::from_millis(200);
/// How often it is handed on while nothing is told: the day's account grows with every poll.
const ANYWAY: Duration = Duration::from_secs(30);

/// Counters that move when what they stand for has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Revisions {
    pub(super) danger: u64,
    /// What no record brings back.
    pub(super) alone: u64,
    pub(super) gates: u64,
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keeping {
    handed: Revisions,
    at: Mono,
    /// Since when the gates differ from what was handed on.
    gates_since: Option<Mono>,
}

impl Keeping {
    /// Returns whether it is time to hand on, and takes it as done.
    pub(super) fn is_due(&mut self, now: Mono, revisions: Revisions) -> bool {
        if revisions.gates != self.handed.gates {
            self.gates_since.get_or_insert(now);
        }
        let age = now.since(self.at);
        let due = revisions.alone != self.handed.alone
            || (revisions.danger != self.handed.danger && age >= DANGER_EVERY)
            || self.deadline().is_some_and(|deadline| deadline <= now)
            || age >= ANYWAY;
        if due {
            *self = Self { handed: revisions, at: now, gates_since: None };
        }
        due
    }

    /// When the gates must be handed on, if they must.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.gates_since.map(|since| since + GATES_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Mono = Mono::from_secs(100);

    fn ms(ms: u64) -> Mono {
        ZERO + Duration::from_millis(ms)
    }

    fn begun() -> Keeping {
        let mut keeping = Keeping::default();
        assert!(keeping.is_due(ZERO, Revisions::default()), "nothing was ever handed on");
        keeping
    }

    #[test]
    fn a_passage_is_handed_on_after_its_arm_has_been_ordered_and_however_much_goes_on_not_later() {
        let mut keeping = begun();
        let handed: Vec<u64> = (1..=40)
            .filter(|step| keeping.is_due(ms(step * 20), Revisions { gates: *step, ..Revisions::default() }))
            .collect();
        assert_eq!(handed, [11, 22, 33], "first changed after 20 ms: handed on after 220, 440, 660 ms");
        assert_eq!(keeping.deadline(), Some(ms(34 * 20 + 200)), "and the engine wakes for the rest");
        assert!(keeping.is_due(ms(34 * 20 + 200), Revisions { gates: 40, ..Revisions::default() }));
        assert_eq!(keeping.deadline(), None);
    }

    #[test]
    fn what_no_record_brings_back_is_handed_on_at_once_and_the_rest_in_its_time() {
        let mut keeping = begun();
        let danger = Revisions { danger: 1, ..Revisions::default() };
        assert!(!keeping.is_due(ms(999), danger));
        assert!(keeping.is_due(ms(1_000), danger));
        let alone = Revisions { alone: 1, ..danger };
        assert!(keeping.is_due(ms(1_001), alone));
        assert!(!keeping.is_due(ms(31_000), alone), "nothing changed");
        assert!(keeping.is_due(ms(31_001), alone), "the account of the day grows all the same");
    }
}
