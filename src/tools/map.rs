//! Which addresses exist: blocks are read, and what is refused is halved until it is found. Pure; the probe asks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::field::modbus::{Answer, Meaning, meaning_of};

/// Registers asked for at once: small enough for devices that take no more than 60.
const BLOCK: u16 = 50;

/// A search over a range of one table.
#[derive(Clone, Debug)]
pub struct Search {
    /// What is still to be asked, the next last: first address and count.
    todo: Vec<(u16, u16)>,
    found: BTreeMap<u16, u16>,
    total: u32,
    done: u32,
    /// The first exception that was no "illegal address".
    trouble: Option<u8>,
}

impl Search {
    /// Returns a search over addresses as on the wire.
    pub fn new(range: RangeInclusive<u16>) -> Self {
        let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
        let mut todo = Vec::new();
        let mut at = first;
        while at <= last {
            let count = (last - at + 1).min(u32::from(BLOCK));
            todo.extend(u16::try_from(at).ok().zip(u16::try_from(count).ok()));
            at += count;
        }
        todo.reverse();
        Self { todo, found: BTreeMap::new(), total: last.saturating_sub(first) + 1, done: 0, trouble: None }
    }

    /// Returns what to ask next: first address and count.
    pub fn next(&self) -> Option<(u16, u16)> {
        self.todo.last().copied()
    }

    /// Takes the answer to [`Search::next`].
    pub fn took(&mut self, answer: &Answer) {
        let Some((start, count)) = self.todo.pop() else { return };
        match answer {
            Answer::Registers(words) => self.fill(start, count, words.iter().copied()),
            Answer::Bits(bits) => self.fill(start, count, bits.iter().map(|on| u16::from(*on))),
            Answer::Exception(code) => match meaning_of(*code) {
                Meaning::Refused if count > 1 => {
                    let half = count / 2;
                    self.todo.push((start + half, count - half));
                    self.todo.push((start, half));
                }
                Meaning::Refused => self.done += 1,
                // Nothing of this table will be answered, or not now.
                Meaning::Unsupported | Meaning::Trouble | Meaning::NoDevice => {
                    self.done += u32::from(count);
                    self.trouble.get_or_insert(*code);
                    if meaning_of(*code) == Meaning::Unsupported {
                        self.todo.clear();
                    }
                }
            },
        }
    }

    /// Gives the block up: no answer came.
    pub fn skipped(&mut self) {
        if let Some((_, count)) = self.todo.pop() {
            self.done += u32::from(count);
        }
    }

    fn fill(&mut self, start: u16, count: u16, words: impl Iterator<Item = u16>) {
        self.done += u32::from(count);
        self.found.extend((0..count).filter_map(|i| start.checked_add(i)).zip(words));
    }

    /// Returns what was found, by address.
    pub fn found(&self) -> &BTreeMap<u16, u16> {
        &self.found
    }

    /// Returns how far it is: addresses decided, and all.
    pub fn progress(&self) -> (u32, u32) {
        (self.done, self.total)
    }

    /// Returns the first exception that was no "illegal address".
    pub fn trouble(&self) -> Option<u8> {
        self.trouble
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_that_exists_is_found_and_no_other() {
        let exists = |at: u16| (0..84).contains(&at) || (100..120).contains(&at) || (121..141).contains(&at);
        let mut search = Search::new(0..=199);
        let mut asked = 0;
        while let Some((start, count)) = search.next() {
            asked += 1;
            let all = (start..start + count).all(exists);
            search.took(&if all { Answer::Registers((start..start + count).collect()) } else { Answer::Exception(2) });
        }
        let expected: BTreeMap<u16, u16> = (0..200).filter(|at| exists(*at)).map(|at| (at, at)).collect();
        assert_eq!(*search.found(), expected);
        assert_eq!(search.progress(), (200, 200));
        assert!(asked < 250, "{asked} requests");
    }

    #[test]
    fn a_table_that_is_not_there_costs_one_request_and_the_last_address_can_be_searched() {
        let mut search = Search::new(0..=999);
        search.took(&Answer::Exception(1));
        assert_eq!((search.next(), search.trouble()), (None, Some(1)));
        assert_eq!(Search::new(65_530..=65_535).next(), Some((65_530, 6)));
    }
}
