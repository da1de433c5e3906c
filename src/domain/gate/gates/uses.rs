//! Uses of permits, and the changes of the register that others make: both are revisions of one register, one after the other.
//!
//! ```text
//!  whoever changes the register ─ hold ─▶ uses wait here ─ prepared, stored ─▶ handle_register ─▶ release: they are counted
//!                                                        └ not to be stored ──────────────────────▶ release: they are counted
//! ```
//! What is prepared while it is held fits when it is stored, and a use is never lost between the two. It is held for as long as a
//! disk needs; a permit that is presented twice within that time at two lanes is told as one that could not be counted.
//!
//! No lane waits for a long list: what changes more than [`MAX_ONE_BY_ONE`] rows is put together by whoever stored it, and taken
//! over in one step, however many they are.

use serde::{Deserialize, Serialize};

use super::super::inside::Passage;
use super::super::register::Register;
use super::super::register::change::{Prepared, Refusal};
use super::super::word::{PassageId, PermitId};
use super::{Gates, Output};
use crate::domain::time::Now;

/// Uses that wait while the register is held: passages of a minute at fifteen lanes, many times longer than a disk needs. One
/// more is told as one that a person has to look at.
const MAX_WAITING: usize = 1024;
/// Rows that are laid over the register one by one: what the platform changes in a few minutes, and less than a millisecond.
pub const MAX_ONE_BY_ONE: usize = 128;

/// A use that begins or ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "use", rename_all = "snake_case")]
pub(super) enum Use {
    /// It begins with an entry into the park.
    Begins { permit: PermitId, entry: PassageId },
    /// It ends with the exit.
    Ends { permit: PermitId, entry: Option<PassageId>, exit: PassageId },
}

impl Use {
    fn passage(&self) -> &PassageId {
        match self {
            Self::Begins { entry, .. } => entry,
            Self::Ends { exit, .. } => exit,
        }
    }
}

/// The register's turn: whether somebody changes it, and what waits meanwhile.
#[derive(Debug, Default)]
pub(super) struct Turn {
    held: bool,
    waiting: Vec<Use>,
}

impl Turn {
    /// Returns what waits, for a restart.
    pub(super) fn waiting(&self) -> &[Use] {
        &self.waiting
    }
}

impl Gates {
    /// Holds the register for whoever changes it, until [`Gates::release_register`]; returns its revision. No use of a permit is
    /// counted meanwhile, so that what is prepared against this revision fits.
    pub fn hold_register(&mut self) -> u64 {
        self.turn.held = true;
        self.register.rev()
    }

    /// Takes over a change of a few rows that was prepared against the register and is stored. Returns whether it fits; else
    /// nothing changes.
    #[must_use]
    pub fn handle_register(&mut self, prepared: &Prepared) -> bool {
        self.register.commit(prepared)
    }

    /// Takes over the next revision of the register as a whole: made and stored elsewhere, from this one. `next` becomes the
    /// revision before it: letting go of tens of thousands of rows is not for whoever serves lanes. Returns whether it fits; else
    /// nothing changes.
    #[must_use]
    pub fn swap_register(&mut self, next: &mut Register) -> bool {
        let fits = next.rev() == self.register.rev().saturating_add(1);
        if fits {
            std::mem::swap(&mut self.register, next);
        }
        fits
    }

    /// Ends the hold; what waited is counted.
    pub fn release_register(&mut self, now: Now) {
        self.turn.held = false;
        for use_of in std::mem::take(&mut self.turn.waiting) {
            self.revision += 1;
            self.count(&use_of, now);
        }
    }

    /// Counts what waited when the gateway ended: whoever held the register is gone, and one that was counted already counts no
    /// more.
    pub(super) fn count_waited(&mut self, waited: &[Use], now: Now) {
        waited.iter().for_each(|use_of| self.count(use_of, now));
    }

    /// Counts the use of a permit: it begins with an entry into the park, and is over with the exit.
    pub(super) fn use_permit(&mut self, passage: &Passage, permit: Option<&PermitId>, now: Now) {
        let Some(permit) = permit.cloned() else { return };
        let id = passage.passage.clone();
        let use_of = match self.sides(&passage.lane, passage.direction) {
            (None, Some(_)) => Use::Begins { permit, entry: id },
            (Some(_), None) => Use::Ends { permit, entry: passage.pair.clone(), exit: id },
            _ => return,
        };
        self.used(use_of, now);
    }

    fn used(&mut self, use_of: Use, now: Now) {
        if !self.turn.held {
            return self.count(&use_of, now);
        }
        if self.turn.waiting.len() < MAX_WAITING {
            self.turn.waiting.push(use_of);
            self.revision += 1;
        } else {
            let (zh, en) =
                ("登记册正在更新，预约未计次", "the register is being changed: a use of a permit was not counted");
            let passage = use_of.passage().clone();
            self.outputs.push_back(Output::Unsettled { passage, zh: zh.into(), en: en.into() });
        }
    }

    fn count(&mut self, use_of: &Use, now: Now) {
        match self.prepared(use_of, now) {
            Ok(Some(prepared)) if self.register.commit(&prepared) => {
                self.outputs.push_back(Output::Register(Box::new(prepared)));
            }
            Ok(_) => {}
            Err(refusal) => {
                let words = refusal.words();
                let passage = use_of.passage().clone();
                self.outputs.push_back(Output::Unsettled { passage, zh: words.zh, en: words.en });
            }
        }
    }

    fn prepared(&self, use_of: &Use, now: Now) -> Result<Option<Prepared>, Refusal> {
        match use_of {
            Use::Begins { permit, entry } => self.register.begin_use(permit, entry, &now),
            Use::Ends { permit, entry, exit } => self.register.complete_use(permit, entry.as_ref(), exit, &now),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::actor::Actor;
    use crate::domain::gate::decide::{Judged, Policies};
    use crate::domain::gate::facts::Facts;
    use crate::domain::gate::gates::Settings;
    use crate::domain::gate::plate::{Plate, PlateColour};
    use crate::domain::gate::register::change::{Change, ChangeSet, Origin};
    use crate::domain::gate::register::permit::{Permit, PermitKind, PermitStage};
    use crate::domain::gate::register::row::{Holder, Row};
    use crate::domain::gate::register::{self, Register};
    use crate::domain::gate::word::GatewayId;
    use crate::domain::gate::{desk, hazmat, inside};
    use crate::domain::time::{ClockTrust, Mono, Timestamp};

    struct Silent;

    impl Policies for Silent {
        fn judge(&self, _: &Facts) -> Judged {
            Judged::default()
        }

        fn revision(&self) -> &str {
            "silent"
        }
    }

    fn now() -> Now {
        Now { mono: Mono::from_secs(100), wall: Timestamp(1_795_651_200_000), trust: ClockTrust::Synced }
    }

    fn permit(id: &str) -> Row {
        Row::Permit(Arc::new(Permit {
            id: PermitId::new(id),
            kind: PermitKind::Vehicle,
            holder: Holder::Vehicle(Plate::new("皖A12345", PlateColour::Blue)),
            trailer: None,
            persons: BTreeSet::new(),
            company: None,
            stage: PermitStage::ParkPassed,
            approvals: Vec::new(),
            from: Timestamp(0),
            until: Timestamp(i64::MAX / 2),
            hours: None,
            plan_in: None,
            plan_out: None,
            gates_in: BTreeSet::new(),
            gates_out: BTreeSet::new(),
            uses_allowed: Some(3),
            uses: 0,
            begun: BTreeSet::new(),
            counted: BTreeSet::new(),
            purpose: String::new(),
        }))
    }

    fn set(row: Row) -> ChangeSet {
        let (by, why) = (Actor::gateway(), "test".to_owned());
        ChangeSet { by, origin: Origin::Local, why, changes: vec![Change::Put(row)], named: Vec::new(), version: None }
    }

    fn gates() -> Gates {
        gates_with(register::rules::Rules::default())
    }

    fn gates_with(rules: register::rules::Rules) -> Gates {
        let mut register = Register::default();
        let prepared = register.prepare(set(permit("P1")), &now()).unwrap();
        assert!(register.commit(&prepared));
        let settings = Settings {
            gateway: GatewayId::new("gw"),
            lanes: Vec::new(),
            register: rules,
            inside: inside::Rules::default(),
            hazmat: Arc::new(hazmat::rules::Rules::default()),
            desk: desk::Rules::default(),
        };
        Gates::new(Arc::new(settings), Arc::new(Silent), register, 1, now())
    }

    fn begins(entry: &str) -> Use {
        Use::Begins { permit: PermitId::new("P1"), entry: PassageId::new(entry) }
    }

    fn stored(gates: &mut Gates) -> Vec<u64> {
        let outputs = std::iter::from_fn(|| gates.poll_output());
        outputs.filter_map(|output| if let Output::Register(set) = output { Some(set.rev) } else { None }).collect()
    }

    #[test]
    fn a_use_while_the_register_is_held_waits_for_the_change_and_is_counted_after_it() {
        let mut gates = gates();
        gates.used(begins("p1"), now());
        assert_eq!(stored(&mut gates), [2]);
        assert_eq!(gates.hold_register(), 2);
        let prepared = gates.register().prepare(set(permit("P2")), &now()).unwrap();
        gates.used(begins("p2"), now());
        assert_eq!(stored(&mut gates), Vec::<u64>::new(), "what was prepared would not fit any more");
        assert!(gates.handle_register(&prepared));
        gates.release_register(now());
        assert_eq!((stored(&mut gates), gates.register().rev()), (vec![4], 4));
        let begun = &gates.register().permit(&PermitId::new("P1")).unwrap().begun;
        assert_eq!(begun.iter().map(PassageId::as_str).collect::<Vec<_>>(), ["p1", "p2"]);
    }

    #[test]
    fn a_use_that_waits_over_a_restart_is_counted_once_after_it() {
        let mut gates = gates();
        gates.used(begins("p1"), now());
        gates.hold_register();
        gates.used(begins("p2"), now());
        let saved = serde_json::to_string(&gates.saved(now())).unwrap();
        let after = |register: Register| {
            let saved = serde_json::from_str(&saved).unwrap();
            let (settings, policies) = (gates.settings.clone(), Arc::new(Silent));
            Gates::restore(settings, policies, register, 2, saved, [], now())
        };
        let mut again = after(gates.register().clone());
        let begun = |gates: &Gates| gates.register().permit(&PermitId::new("P1")).unwrap().begun.len();
        assert_eq!((stored(&mut again), begun(&again)), (vec![3], 2));
        let mut twice = after(again.register().clone());
        assert_eq!((stored(&mut twice), begun(&twice)), (vec![], 2), "its store had it already");
    }

    #[test]
    fn a_register_taken_over_as_a_whole_is_the_one_that_row_by_row_would_have_become() {
        let (mut by_row, mut whole) = (gates(), gates());
        for gates in [&mut by_row, &mut whole] {
            gates.used(begins("p1"), now());
            gates.hold_register();
        }
        let prepared = whole.register().prepare(set(permit("P2")), &now()).unwrap();
        let mut next = whole.register().clone();
        assert!(next.commit(&prepared) && by_row.handle_register(&prepared));
        assert!(whole.swap_register(&mut next));
        assert_eq!(next.rev(), 2, "what it was before is given back");
        assert!(!whole.swap_register(&mut next), "it never goes back");
        for gates in [&mut by_row, &mut whole] {
            gates.used(begins("p2"), now());
            gates.release_register(now());
        }
        assert!(by_row.register().rows().eq(whole.register().rows()));
        assert_eq!((whole.register().rev(), by_row.register().rev()), (4, 4), "and uses are counted on it");
    }

    #[test]
    fn lists_that_grow_old_are_due_to_be_shown_in_time_and_fresh_ones_at_once() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let stale = register::rules::Stale { hazmat: hours(4), persons: hours(24), vehicles: Duration::ZERO };
        let mut gates = gates_with(register::rules::Rules { stale, ..register::rules::Rules::default() });
        let at = |age: u64| {
            let now = now();
            Now { mono: now.mono + Duration::from_secs(age), wall: now.wall.after(Duration::from_secs(age)), ..now }
        };
        gates.handle_timeout(at(0));
        assert_eq!((gates.stale(&at(0)), gates.stale_due(&at(0))), ([false; 3], Some(at(4 * 3600 + 1).mono)));
        let old = at(4 * 3600 + 1);
        assert_eq!((gates.stale(&old), gates.stale_due(&old)), ([true, false, false], Some(old.mono)));
        assert!(gates.poll_timeout(old).is_some_and(|due| due <= old.mono), "a lane is to show it");
        gates.handle_timeout(old);
        assert_eq!(
            gates.stale_due(&old),
            Some(at(24 * 3600 + 1).mono),
            "it is shown; the next limit is that of visitors"
        );
        let fresh = gates.register().prepare(set(permit("P2")), &old).unwrap();
        assert!(gates.handle_register(&fresh));
        assert_eq!((gates.stale(&old), gates.stale_due(&old)), ([false; 3], Some(old.mono)), "and at once no longer");
        // A clock that is not trusted is a trouble of its own.
        let unsynced = Now { trust: ClockTrust::Unsynced, ..at(40 * 3600) };
        assert_eq!(gates.stale(&unsynced), [false; 3]);
    }

    #[test]
    fn a_change_that_cannot_be_stored_is_given_up_and_uses_go_on() {
        let mut gates = gates();
        assert_eq!(gates.hold_register(), 1);
        gates.used(begins("p1"), now());
        gates.release_register(now());
        assert_eq!(stored(&mut gates), [2]);
        let rows: BTreeMap<_, _> = gates.register().rows().map(|held| (held.row.key(), held.owner)).collect();
        assert_eq!(rows.len(), 1);
    }
}
