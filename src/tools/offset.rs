//! Does the manual count from 0 or from 1? A wrong guess reads the neighbour's register. Pure.
//!
//! For each place whose value is known ([`Known`]) the registers around it are read; each shift is judged by how many of
//! the known values it explains, in any encoding, and how well.

use std::collections::BTreeMap;

use super::places::Known;
use super::rank::{Candidate, rank};

/// The shifts that are tried: one down, none, one up.
pub const SHIFTS: [i32; 3] = [0, -1, 1];
/// Registers read from each place: the widest encoding.
pub const WIDTH: u16 = 4;

/// How well one shift explains what is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Added to the address as written.
    pub shift: i32,
    /// For each known place, the likeliest reading that is as expected.
    pub explained: Vec<Option<Candidate>>,
}

impl Judgement {
    /// Returns how many of the known values it explains.
    pub fn hits(&self) -> usize {
        self.explained.iter().flatten().count()
    }

    fn score(&self) -> i32 {
        self.explained.iter().flatten().map(|candidate| candidate.score).sum()
    }
}

/// Returns the shifts, the best first. `words` holds what was read: (index of the known place, wire address) → register.
pub fn judge(known: &[Known], words: &BTreeMap<(usize, u16), u16>) -> Vec<Judgement> {
    let mut all: Vec<Judgement> = SHIFTS
        .iter()
        .map(|shift| {
            let explained = known.iter().enumerate().map(|(i, known)| explain(i, known, *shift, words));
            Judgement { shift: *shift, explained: explained.collect() }
        })
        .collect();
    all.sort_by_key(|judgement| (std::cmp::Reverse(judgement.hits()), std::cmp::Reverse(judgement.score())));
    all
}

fn explain(index: usize, known: &Known, shift: i32, words: &BTreeMap<(usize, u16), u16>) -> Option<Candidate> {
    let start = u16::try_from(i32::from(known.address) + shift).ok()?;
    let span = (0..WIDTH).map_while(|i| words.get(&(index, start.checked_add(i)?)).copied());
    let best = rank(&[span.collect()], Some(known.value)).into_iter().next()?;
    best.expected.then_some(best)
}

/// Returns what a shift means for the configuration, Chinese and English.
pub fn meaning(shift: i32, notation: bool) -> &'static str {
    match (shift, notation) {
        (0, true) => "4xxxx 记法，照写即可 / the notation as written: write it so",
        (-1, true) => "手册多算了一个，编号减 1 / the manual counts one too many: write one less",
        (1, true) => "手册从 0 起算，编号加 1 / the manual counts from 0: write one more",
        (0, false) => "从 0 起算 address_base = 0 / counts from 0: address_base = 0",
        (-1, false) => "从 1 起算 address_base = 1 / counts from 1: address_base = 1",
        (_, _) => "编号加 1 / write one more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::places::known;

    fn read(known: &[Known], device: &[u16]) -> BTreeMap<(usize, u16), u16> {
        let cells = device.iter().zip(0_u16..).map(|(word, at)| (at, *word));
        (0..known.len()).flat_map(|i| cells.clone().map(move |(at, word)| ((i, at), word))).collect()
    }

    #[test]
    fn an_address_list_that_counts_from_one_is_found_by_one_known_value() {
        let listed = [known("holding:3=25.0").unwrap()];
        let found = judge(&listed, &read(&listed, &[0, 0, 250, 7, 9, 0, 0, 0]));
        assert_eq!((found[0].shift, found[0].hits()), (-1, 1));
        assert!(meaning(found[0].shift, false).contains("address_base = 1"));
    }

    #[test]
    fn two_known_values_decide_where_one_could_be_chance() {
        let listed = [known("40002=17").unwrap(), known("40005=99").unwrap()];
        // 17 stands at two places; only one shift has both.
        let found = judge(&listed, &read(&listed, &[17, 17, 4, 3, 99, 5, 6, 7, 8, 9]));
        assert_eq!((found[0].shift, found[0].hits()), (0, 2));
    }

    #[test]
    fn what_explains_nothing_has_no_hits() {
        let listed = [known("40001=23.4").unwrap()];
        assert_eq!(judge(&listed, &read(&listed, &[1, 2, 3, 4, 5, 6]))[0].hits(), 0);
        assert_eq!(judge(&listed, &BTreeMap::new())[0].hits(), 0);
    }
}
