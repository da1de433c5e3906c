//! Lists of the platform that are longer than one command: they come in parts, each a command of its own, and count only when
//! all of them are there.
//!
//! A part that does not belong to the list under way begins anew with its own: the platform sends one list at a time, and what
//! was not finished is not finished. After a restart nothing of a list is left, and the platform hears how many parts are here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hazmat::book::Update;
use super::register::change::Message;

/// Parts of one list: at 64 KiB each, more than the largest table, and as much memory as it may take.
pub const MAX_PARTS: u32 = 400;

/// A list that can come in parts.
pub trait InParts {
    /// Returns whether both are parts of the same list.
    fn is_with(&self, other: &Self) -> bool;

    /// Adds the rows of a later part.
    fn extend(&mut self, later: Self);
}

impl InParts for Message {
    fn is_with(&self, other: &Self) -> bool {
        (self.table, self.version, self.base, self.as_of) == (other.table, other.version, other.base, other.as_of)
    }

    fn extend(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.removed.extend(later.removed);
    }
}

impl<P> InParts for Update<P> {
    fn is_with(&self, other: &Self) -> bool {
        (self.from, self.to) == (other.from, other.to)
    }

    fn extend(&mut self, later: Self) {
        self.put.extend(later.put);
        self.removed.extend(later.removed);
    }
}

/// One part of a list, or the whole of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part<T> {
    /// Its rows, under the head of the list.
    pub list: T,
    /// Which part, from 1.
    #[serde(default = "one")]
    pub part: u32,
    /// How many there are.
    #[serde(default = "one")]
    pub parts: u32,
}

fn one() -> u32 {
    1
}

impl<T> Part<T> {
    /// Returns whether the numbers make sense.
    pub fn is_sound(&self) -> bool {
        (1..=MAX_PARTS).contains(&self.parts) && (1..=self.parts).contains(&self.part)
    }
}

/// What a part came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added<T> {
    /// The list is whole.
    Whole(T),
    /// So many of so many parts are here.
    Waits {
        /// Parts that are here.
        here: usize,
        /// Parts that there are.
        of: u32,
    },
}

/// The list under way.
#[derive(Clone, Debug)]
pub struct Assembly<T> {
    parts: BTreeMap<u32, T>,
    of: u32,
}

impl<T> Default for Assembly<T> {
    fn default() -> Self {
        Self { parts: BTreeMap::new(), of: 0 }
    }
}

impl<T: InParts> Assembly<T> {
    /// Takes a part, which must be sound. One that comes again stands for the one before.
    pub fn add(&mut self, part: Part<T>) -> Added<T> {
        let Part { list, part, parts } = part;
        let belongs = self.parts.values().next().is_none_or(|first| self.of == parts && first.is_with(&list));
        if !belongs {
            self.parts.clear();
        }
        self.of = parts;
        self.parts.insert(part, list);
        if self.parts.len() < usize::try_from(parts).unwrap_or(usize::MAX) {
            return Added::Waits { here: self.parts.len(), of: parts };
        }
        let mut all = std::mem::take(&mut self.parts).into_values();
        let Some(mut whole) = all.next() else { return Added::Waits { here: 0, of: parts } };
        all.for_each(|later| whole.extend(later));
        Added::Whole(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(version: u64, part: u32, parts: u32) -> Part<Update> {
        let removed = vec![super::super::word::WaybillNo::new(format!("W-{version}-{part}"))];
        Part { list: Update { from: None, to: version, put: Vec::new(), removed }, part, parts }
    }

    fn removed(added: Added<Update>) -> Vec<String> {
        match added {
            Added::Whole(update) => update.removed.iter().map(ToString::to_string).collect(),
            Added::Waits { here, of } => vec![format!("{here}/{of}")],
        }
    }

    #[test]
    fn a_list_counts_when_all_its_parts_are_there_in_whatever_order() {
        let mut assembly = Assembly::default();
        assert_eq!(removed(assembly.add(part(4, 1, 1))), ["W-4-1"], "whole at once");
        assert_eq!(removed(assembly.add(part(5, 3, 3))), ["1/3"]);
        assert_eq!(removed(assembly.add(part(5, 1, 3))), ["2/3"]);
        assert_eq!(removed(assembly.add(part(5, 1, 3))), ["2/3"], "again is no other one");
        assert_eq!(removed(assembly.add(part(5, 2, 3))), ["W-5-1", "W-5-2", "W-5-3"]);
    }

    #[test]
    fn parts_of_two_lists_are_never_put_together() {
        let mut assembly = Assembly::default();
        assert_eq!(removed(assembly.add(part(5, 1, 2))), ["1/2"]);
        assert_eq!(removed(assembly.add(part(6, 2, 2))), ["1/2"], "the newer list begins anew");
        assert_eq!(removed(assembly.add(part(6, 1, 2))), ["W-6-1", "W-6-2"]);
        for (number, of) in [(0, 1), (2, 1), (1, 0), (1, MAX_PARTS + 1)] {
            assert!(!part(7, number, of).is_sound(), "{number} of {of}");
        }
    }
}
