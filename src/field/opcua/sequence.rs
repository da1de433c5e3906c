//! Numbers of notifications: whether one is missing.
//!
//! Data notifications of a subscription are numbered from 1 without holes (after 2^32 − 1 comes 1); a keep-alive carries the
//! number that the next one will have. Responses may overtake one another on their way through the client library, so a
//! missing number is given a moment to arrive before it is called lost. A response that was on its way when a connection broke
//! is still with the server, which sends it again when asked by its number.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::time::Mono;

/// How long a missing number may still arrive, by itself or asked for: the server is asked once, right after a turn.
const GRACE: Duration = Duration::from_secs(3);
/// Most missing numbers asked for one by one; a larger hole is one loss at once.
const MAX_MISSING: u32 = 100;

/// The numbers of one subscription.
#[derive(Debug, Default)]
pub struct Sequence {
    next: Option<u32>,
    missing: BTreeMap<u32, Missing>,
    lost: bool,
}

#[derive(Debug)]
struct Missing {
    since: Mono,
    asked: bool,
}

impl Sequence {
    /// Takes the number of a notification; `data`: it is one with data, which uses the number up. Returns whether others were
    /// told before it that come after it.
    pub fn take(&mut self, number: u32, data: bool, now: Mono) -> bool {
        let next = *self.next.get_or_insert(number);
        if data && self.missing.remove(&number).is_some() {
            return true;
        }
        let ahead = number.wrapping_sub(next);
        if ahead > u32::MAX / 2 {
            return true; // told before, or a server that repeats the last number in its keep-alives
        }
        if ahead > MAX_MISSING {
            self.lost = true;
        } else {
            let numbers = std::iter::successors(Some(next), |n| Some(after(*n))).take_while(|n| *n != number);
            self.missing.extend(numbers.map(|n| (n, Missing { since: now, asked: false })));
        }
        self.next = Some(if data { after(number) } else { number });
        false
    }

    /// Returns the numbers that the server should be asked for, each once.
    pub fn to_ask(&mut self) -> Vec<u32> {
        let unasked = self.missing.iter_mut().filter(|(_, missing)| !missing.asked);
        unasked.map(|(number, missing)| (missing.asked = true, *number).1).collect()
    }

    /// Returns whether numbers are lost since the last call.
    pub fn lost(&mut self, now: Mono) -> bool {
        let before = self.missing.len();
        self.missing.retain(|_, missing| now.since(missing.since) < GRACE);
        std::mem::take(&mut self.lost) || self.missing.len() < before
    }
}

fn after(number: u32) -> u32 {
    number.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(numbers: &[(u32, bool)]) -> bool {
        let mut sequence = Sequence::default();
        for (number, data) in numbers {
            sequence.take(*number, *data, Mono::default());
        }
        sequence.lost(Mono::from_secs(5))
    }

    #[test]
    fn numbers_without_a_hole_lose_nothing_whatever_stands_between_them() {
        assert!(!lost(&[(1, true), (2, true), (3, false), (3, true), (4, false), (4, false), (4, true)]));
        assert!(!lost(&[(7, false), (7, true)]));
        assert!(!lost(&[(u32::MAX - 1, true), (u32::MAX, true), (1, true), (2, true)]));
        assert!(!lost(&[(4, true), (4, false), (5, true)]), "a server that repeats the last number in a keep-alive");
    }

    #[test]
    fn a_missing_number_is_a_loss_also_when_a_keep_alive_shows_it() {
        assert!(lost(&[(1, true), (3, true)]));
        assert!(lost(&[(1, true), (3, false)]));
        assert!(lost(&[(1, true), (90_000, true)]));
    }

    #[test]
    fn one_that_was_overtaken_is_waited_for() {
        let mut sequence = Sequence::default();
        let late = [1, 3, 2, 4].map(|number| {
            let late = sequence.take(number, true, Mono::default());
            assert!(!sequence.lost(Mono::from_millis(300)));
            late
        });
        assert_eq!(late, [false, false, true, false]);
        assert!(!sequence.lost(Mono::from_secs(5)));
    }

    #[test]
    fn the_server_is_asked_once_for_what_is_missing() {
        let mut sequence = Sequence::default();
        for number in [7, 10] {
            sequence.take(number, true, Mono::default());
        }
        assert_eq!((sequence.to_ask(), sequence.to_ask()), (vec![8, 9], vec![]));
        assert!(sequence.take(8, true, Mono::default()) && sequence.take(9, true, Mono::default()));
        assert!(!sequence.lost(Mono::from_secs(9)));
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut sequence = Sequence::default();
        for number in [1, 5] {
            sequence.take(number, true, Mono::default());
        }
        assert!(sequence.lost(Mono::from_secs(4)));
        assert!(!sequence.lost(Mono::from_secs(9)));
    }
}
