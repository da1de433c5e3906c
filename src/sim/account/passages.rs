//! What the receiver knows of each passage: its versions come one after the other under one id, and the last says what became of
//! it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

/// Passages that are kept; a demo has a few hundred. Beyond it no new one is counted, and the account says so by not closing.
const MAX_PASSAGES: usize = 50_000;

/// A passage's document, as far as the account needs it.
#[derive(Deserialize)]
pub(in crate::sim) struct RawPassage<'a> {
    #[serde(borrow)]
    passage: Cow<'a, str>,
    #[serde(borrow)]
    lane: Cow<'a, str>,
    #[serde(borrow, default)]
    outcome: Option<Cow<'a, str>>,
}

/// A decision's document, as far as the account needs it.
#[derive(Deserialize)]
pub(in crate::sim) struct RawDecision<'a> {
    #[serde(borrow)]
    verdict: Cow<'a, str>,
}

/// Outcomes after which something is on the other side, as `domain/gate/lane` words them.
const THROUGH: [&str; 5] = ["crossed", "tailgate", "forced", "by_hand", "free"];

/// All of one epoch.
#[derive(Debug, Default)]
pub(super) struct Passages {
    /// By id: lane, and what became of it as the version with the highest number says.
    known: BTreeMap<String, (u64, String, Option<String>)>,
    verdicts: BTreeMap<String, u32>,
}

/// What the account says of passages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassagesClosing {
    /// Passages received.
    pub passages: u32,
    /// Of these, by lane, those that ended on the other side.
    pub through: BTreeMap<String, u32>,
    /// Decisions received, by verdict.
    pub verdicts: BTreeMap<String, u32>,
}

impl Passages {
    /// Takes a record of a passage that was not received before; `seq` tells which version is the later one.
    pub(super) fn take(&mut self, seq: u64, raw: &RawPassage<'_>) {
        let id = raw.passage.as_ref();
        let newer = self.known.get(id).map_or(self.known.len() < MAX_PASSAGES, |(known, ..)| *known < seq);
        if newer {
            let outcome = raw.outcome.as_ref().map(|outcome| outcome.clone().into_owned());
            self.known.insert(id.to_owned(), (seq, raw.lane.clone().into_owned(), outcome));
        }
    }

    /// Takes a decision that was not received before.
    pub(super) fn take_decision(&mut self, raw: &RawDecision<'_>) {
        *self.verdicts.entry(raw.verdict.clone().into_owned()).or_default() += 1;
    }

    pub(super) fn close(&self) -> PassagesClosing {
        let mut through = BTreeMap::new();
        for (_, lane, outcome) in self.known.values() {
            if outcome.as_ref().is_some_and(|outcome| THROUGH.contains(&outcome.as_str())) {
                *through.entry(lane.clone()).or_default() += 1;
            }
        }
        let passages = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        PassagesClosing { passages, through, verdicts: self.verdicts.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::lane::told::Outcome;

    #[test]
    fn the_last_version_of_a_passage_counts_whichever_comes_first() {
        let mut passages = Passages::default();
        let versions = [
            (9, r#"{"passage":"p-1","lane":"in","outcome":"crossed"}"#),
            (3, r#"{"passage":"p-1","lane":"in","phase":"decided"}"#),
            (4, r#"{"passage":"p-2","lane":"in","outcome":"turned_back"}"#),
            (5, r#"{"passage":"p-3","lane":"out"}"#),
        ];
        for (seq, json) in versions {
            passages.take(seq, &serde_json::from_str(json).unwrap());
        }
        let closing = passages.close();
        assert_eq!((closing.passages, closing.through), (3, BTreeMap::from([("in".to_owned(), 1)])));
    }

    #[test]
    fn what_counts_as_through_is_what_the_lanes_count() {
        for outcome in Outcome::ALL {
            assert_eq!(THROUGH.contains(&outcome.as_str()), outcome.counts(), "{outcome}");
        }
    }
}
