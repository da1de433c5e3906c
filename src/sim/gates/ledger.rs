//! What really passed at the gates of the demo, as the world itself knows: the far end's passages are held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What passed a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Went under the arm, or into the turnstile.
    pub begun: u32,
    /// Is through, and the gateway had the time to see it: the arm is down again.
    pub done: u32,
}

/// The ledger; its clones are one.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    lanes: BTreeMap<&'static str, Passed>,
    /// Vehicles inside.
    inside: BTreeSet<&'static str>,
}

impl Ledger {
    /// Something goes through a lane now.
    pub(super) fn begins(&self, lane: &'static str) {
        self.book().lanes.entry(lane).or_default().begun += 1;
    }

    /// It is through.
    pub(super) fn ends(&self, lane: &'static str) {
        self.book().lanes.entry(lane).or_default().done += 1;
    }

    /// A vehicle is inside from now on, or no longer.
    pub(super) fn moves(&self, plate: &'static str, inside: bool) {
        let _ = if inside { self.book().inside.insert(plate) } else { self.book().inside.remove(plate) };
    }

    /// Returns whether a vehicle is inside.
    pub(super) fn is_inside(&self, plate: &str) -> bool {
        self.book().inside.contains(plate)
    }

    /// Returns what has passed up to now, by lane.
    pub fn look(&self) -> BTreeMap<&'static str, Passed> {
        self.book().lanes.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lanes at which the far end has other passages than the world: `(lane, in the world, at the far end)`. Who was on his way
/// through when it ended may be there or not.
pub fn disagree(world: &BTreeMap<&'static str, Passed>, told: &BTreeMap<String, u32>) -> Vec<(String, Passed, u32)> {
    let lanes = world.keys().map(|lane| (*lane).to_owned()).chain(told.keys().cloned());
    let lanes: BTreeSet<String> = lanes.collect();
    let of = |lane: String| {
        let passed = world.get(lane.as_str()).copied().unwrap_or_default();
        let seen = told.get(&lane).copied().unwrap_or(0);
        (lane, passed, seen)
    };
    lanes.into_iter().map(of).filter(|(_, passed, seen)| !(passed.done..=passed.begun).contains(seen)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_too_many_or_too_few_is_found_and_one_under_way_may_be_either() {
        let ledger = Ledger::default();
        (0..3).for_each(|_| ledger.begins("in"));
        (0..2).for_each(|_| ledger.ends("in"));
        let told = |n: u32| BTreeMap::from([("in".to_owned(), n)]);
        let wrong = |n| disagree(&ledger.look(), &told(n)).len();
        assert_eq!([1, 2, 3, 4].map(wrong), [1, 0, 0, 1]);
        assert_eq!(disagree(&ledger.look(), &BTreeMap::new()).len(), 1, "none told");
        let ghost = BTreeMap::from([("in".to_owned(), 2), ("out".to_owned(), 1)]);
        assert_eq!(disagree(&ledger.look(), &ghost), [("out".to_owned(), Passed::default(), 1)]);
    }
}
