//! Past decisions made again under other policies, and what would change: looked at before a new set is put in force.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{Asked, Policies, decide};
use crate::domain::gate::verdict::{Decision, Reason, Verdict};
use crate::domain::gate::word::{DecisionId, LaneId, PassageId};
use crate::domain::time::Timestamp;

/// Differences kept of one replay: more than anybody reads; what goes beyond is counted.
pub const MAX_DIFFERENCES: usize = 1000;

/// Makes a decision again under `policies`: same names, same time, same facts.
pub fn replay(decision: &Decision, policies: &dyn Policies) -> Decision {
    let asked = Asked {
        id: decision.id.clone(),
        passage: decision.passage.clone(),
        at: decision.at,
        register_rev: decision.register_rev,
    };
    decide(asked, decision.facts.clone(), policies)
}

/// What differs between two decisions about the same passage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The decision.
    pub id: DecisionId,
    /// The passage.
    pub passage: PassageId,
    /// The lane.
    pub lane: LaneId,
    /// When it was decided.
    pub at: Timestamp,
    /// What held.
    pub before: Verdict,
    /// What would hold.
    pub after: Verdict,
    /// Reasons that would no longer be there.
    pub gone: Vec<Reason>,
    /// Reasons that would be new, or would ask for something else.
    pub new: Vec<Reason>,
}

/// Returns what differs: verdict, codes, or what a code asks for. Words alone are no difference.
pub fn compare(before: &Decision, after: &Decision) -> Option<Difference> {
    let missing = |from: &Decision, of: &Decision| -> Vec<Reason> {
        let there = |one: &Reason| of.reasons.iter().any(|r| r.code == one.code && r.verdict == one.verdict);
        from.reasons.iter().filter(|one| !there(one)).cloned().collect()
    };
    let (gone, new) = (missing(before, after), missing(after, before));
    let same = before.verdict == after.verdict && gone.is_empty() && new.is_empty();
    (!same).then(|| Difference {
        id: before.id.clone(),
        passage: before.passage.clone(),
        lane: before.lane.clone(),
        at: before.at,
        before: before.verdict,
        after: after.verdict,
        gone,
        new,
    })
}

/// What a replay of many decisions found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Decisions made again.
    pub decisions: u64,
    /// Those that came out the same.
    pub same: u64,
    /// Those whose verdict changed, by what it was and what it would be.
    pub verdicts: BTreeMap<(Verdict, Verdict), u64>,
    /// The first [`MAX_DIFFERENCES`] differences, in the order of the decisions.
    pub differences: Vec<Difference>,
    /// Differences beyond them.
    pub beyond: u64,
}

impl Replayed {
    /// Makes one more decision again and keeps what differs.
    pub fn add(&mut self, decision: &Decision, policies: &dyn Policies) {
        self.decisions += 1;
        let Some(difference) = compare(decision, &replay(decision, policies)) else {
            self.same += 1;
            return;
        };
        if difference.before != difference.after {
            *self.verdicts.entry((difference.before, difference.after)).or_default() += 1;
        }
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(difference);
        } else {
            self.beyond += 1;
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = |reasons: &[Reason]| reasons.iter().map(|r| r.code.as_str()).collect::<Vec<_>>().join(" ");
        let Self { passage, lane, at, before, after, .. } = self;
        write!(f, "{at}  {lane}  {passage}  {} → {}", before.zh(), after.zh())?;
        write!(f, "  -[{}] +[{}]", codes(&self.gone), codes(&self.new))
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        let Self { decisions, same, beyond, .. } = self;
        if *beyond > 0 {
            writeln!(f, "另有 {beyond} 处不同未列出 | {beyond} more differences are not listed")?;
        }
        for ((before, after), n) in &self.verdicts {
            let way = if after < before { "放宽 looser" } else { "收紧 tighter" };
            writeln!(f, "{} → {}：{n}（{way}）", before.zh(), after.zh())?;
        }
        write!(f, "重演 {decisions} 次决定，{same} 次相同 | {decisions} decisions made again, {same} the same")
    }
}
