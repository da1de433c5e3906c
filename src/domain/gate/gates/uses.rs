//! Uses of permits, and the changes of the register that others make: both are revisions of one register, one after the other.
//!
//! ```text
//!  whoever changes the register ─ hold ─▶ uses wait here ─ prepared, stored ─▶ handle_register ─▶ release: they are counted
//!                                                        └ not to be stored ──────────────────────▶ release: they are counted
//! ```
//! What is prepared while it is held fits when it is stored, and a use is never lost between the two. It is held for as long as a
//! disk needs; a permit that is presented twice within that time at two lanes is told as one that could not be counted.

use super::super::inside::Passage;
use super::super::register::change::{Prepared, Refusal};
use super::super::word::{PassageId, PermitId};
use super::{Gates, Output};
use crate::domain::time::Now;

/// Uses that wait while the register is held: passages of a minute at fifteen lanes, many times longer than a disk needs. One
/// more is told as one that a person has to look at.
const MAX_WAITING: usize = 1024;

/// A use that begins or ends.
#[derive(Clone, Debug)]
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

impl Gates {
    /// Holds the register for whoever changes it, until [`Gates::release_register`]; returns its revision. No use of a permit is
    /// counted meanwhile, so that what is prepared against this revision fits.
    pub fn hold_register(&mut self) -> u64 {
        self.turn.held = true;
        self.register.rev()
    }

    /// Ends the hold; what waited is counted.
    pub fn release_register(&mut self, now: Now) {
        self.turn.held = false;
        for use_of in std::mem::take(&mut self.turn.waiting) {
            self.count(&use_of, now);
        }
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
        if !self.turn.held {
            return self.count(&use_of, now);
        }
        if self.turn.waiting.len() < MAX_WAITING {
            self.turn.waiting.push(use_of);
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
