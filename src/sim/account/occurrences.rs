//! What the receiver knows of each occurrence of an alarm: the steps must follow one another without a hole, and what is
//! raised must be cleared before it is raised again. Held against the numbers of the alarms themselves (`occ`, `n`), which
//! nobody but the alarm machine gives: a step lost before it had a number in the stream would show here and nowhere else.

use std::collections::BTreeMap;

use serde::Deserialize;
use std::borrow::Cow;

/// Occurrences that are kept; a demo has a few hundred. Beyond it the oldest go, and are judged when they go.
const MAX_OCCURRENCES: usize = 50_000;
/// Faults kept in words; the rest is only counted.
const MAX_FAULTS: usize = 20;

/// An alarm's document, as far as the account needs it.
#[derive(Deserialize)]
pub(in crate::sim) struct RawAlarm<'a> {
    #[serde(borrow)]
    pub(in crate::sim) alarm: Cow<'a, str>,
    #[serde(borrow)]
    pub(in crate::sim) occ: Cow<'a, str>,
    pub(in crate::sim) n: u32,
    #[serde(borrow)]
    pub(in crate::sim) cause: Cow<'a, str>,
}

/// What a step does to the cause of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Raised,
    Cleared,
    Other,
}

/// All of one epoch.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    /// By alarm and occurrence: the steps by their numbers.
    known: BTreeMap<(String, String), BTreeMap<u32, Step>>,
    records: u64,
    faults: Vec<String>,
}

/// What the account says of alarms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlarmsClosing {
    /// Records of transitions received.
    pub records: u64,
    /// Occurrences among them.
    pub occurrences: u64,
    /// What does not add up, in words; empty when all does.
    pub faults: Vec<String>,
}

impl Occurrences {
    /// Takes a record that was not received before.
    pub(super) fn take(&mut self, raw: &RawAlarm<'_>) {
        self.records += 1;
        let step = match raw.cause.as_ref() {
            "active" => Step::Raised,
            "clear" => Step::Cleared,
            _ => Step::Other,
        };
        let key = (raw.alarm.clone().into_owned(), raw.occ.clone().into_owned());
        let twice = self.known.entry(key.clone()).or_default().insert(raw.n, step).is_some();
        if twice {
            note(&mut self.faults, format!("{} {}: step {} came under two numbers", key.0, key.1, raw.n));
        }
        if self.known.len() > MAX_OCCURRENCES
            && let Some((key, steps)) = self.known.pop_first()
        {
            judge(&key, &steps, &mut self.faults);
        }
    }

    /// Says whether all steps are there and in their order. Where the stream itself has lost numbers, holes are explained.
    pub(super) fn close(&self, explained: bool) -> AlarmsClosing {
        let mut faults = self.faults.clone();
        if !explained {
            self.known.iter().for_each(|(key, steps)| judge(key, steps, &mut faults));
        }
        AlarmsClosing { records: self.records, occurrences: self.known.len() as u64, faults }
    }
}

fn note(faults: &mut Vec<String>, fault: String) {
    if faults.len() < MAX_FAULTS {
        faults.push(fault);
    }
}

fn judge((alarm, occ): &(String, String), steps: &BTreeMap<u32, Step>, faults: &mut Vec<String>) {
    let mut raised = false;
    for ((n, step), wanted) in steps.iter().zip(1_u32..) {
        if *n != wanted {
            return note(faults, format!("{alarm} {occ}: step {wanted} is missing"));
        }
        match (step, raised) {
            (Step::Raised, false) => raised = true,
            (Step::Cleared, true) => raised = false,
            (Step::Raised, true) => return note(faults, format!("{alarm} {occ}: raised twice, at step {n}")),
            (Step::Cleared, false) => return note(faults, format!("{alarm} {occ}: cleared unraised, at step {n}")),
            (Step::Other, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(steps: &[(u32, &str)]) -> Vec<String> {
        let mut occurrences = Occurrences::default();
        for (n, cause) in steps {
            occurrences.take(&RawAlarm { alarm: "a".into(), occ: "1-1".into(), n: *n, cause: (*cause).into() });
        }
        occurrences.close(false).faults
    }

    #[test]
    fn steps_follow_one_another_in_whatever_order_they_come_and_what_is_raised_is_cleared() {
        assert_eq!(closed(&[(1, "active"), (3, "clear"), (2, "ack"), (4, "active")]), Vec::<String>::new());
        assert_eq!(closed(&[(1, "active"), (3, "clear")]), ["a 1-1: step 2 is missing"]);
        assert_eq!(closed(&[(2, "clear")]), ["a 1-1: step 1 is missing"]);
        assert_eq!(closed(&[(1, "active"), (2, "active")]), ["a 1-1: raised twice, at step 2"]);
        assert_eq!(closed(&[(1, "shelved"), (2, "clear")]), ["a 1-1: cleared unraised, at step 2"]);
        assert_eq!(closed(&[(1, "active"), (1, "active")]), ["a 1-1: step 1 came under two numbers"]);
    }
}
