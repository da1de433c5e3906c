//! The decision: fixed code first, then the policies, then the strongest of all reasons.
//!
//! ```text
//!  facts ─▶ a person leaves? ──────────────────────────────────────────────▶ ALLOW, nothing else is asked
//!           │ no
//!           ▼
//!           evacuation, fire, lane released? ─ leaving ────────────────────▶ ALLOW            (A19 row 1)
//!           │ no                             ─ entering ───────────────────▶ DENY, rescue REFER
//!           ▼
//!           lane out of service, something under the arm or not known? ────▶ HOLD             (row 2)
//!           ▼
//!           what no policy may change: store, lane disarmed, order of the site, plate or class not known ─┐
//!           policies: forbids, permits, notes                                (rows 3 to 17) ──────────────┤
//!           no permit: default deny ──────────────────────────────────────────────────────────────────────┤
//!                                                                                                         ▼
//!           bound: a vehicle leaving at worst HOLD, rescue at worst REFER ──▶ the strongest verdict, every reason
//! ```
//!
//! - **A person leaving is always allowed**: no policy, credential, clock, store or state is asked first ([`decide`]).
//! - **Default deny**: what no policy permits is refused. A permit never takes a reason away.
//! - **Unknown is never good**: a policy that cannot be evaluated because a fact is not known forbids, by the contract of
//!   [`Policies`] (Cedar alone would skip it).
//! - **A value**: the same facts under the same policies give the same decision on another day ([`replay`]).
//!
//! A duplicate read (row 5) is no decision: the lane recognises it by its passage before anything is asked.

#[cfg(test)]
pub(crate) mod chance;
mod fixed;
pub mod order;
pub mod replay;
#[cfg(test)]
mod tests;

pub use replay::{Difference, Replayed, compare, replay};

use super::facts::{Facts, Subject};
use super::verdict::{Decision, Reason, Verdict};
use super::word::{DecisionId, Direction, PassageId};
use crate::domain::time::Timestamp;

/// The policies, whatever language they are written in.
pub trait Policies {
    /// Returns what the policies say of these facts. A forbid that cannot be evaluated, for want of a fact or by any error,
    /// is among [`Judged::forbids`]; policies that cannot be asked at all return a forbid that says so.
    fn judge(&self, facts: &Facts) -> Judged;

    /// Returns the digest of the set.
    fn revision(&self) -> &str;
}

/// What policies say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Policies that permit; none of them: default deny.
    pub permits: Vec<Reason>,
    /// Policies that forbid, or could not be evaluated. One that asks for `Allow` is taken as `Deny`.
    pub forbids: Vec<Reason>,
    /// Remarks that change nothing; always `Allow`.
    pub notes: Vec<Reason>,
}

/// What is asked, beside the facts: the names that the answer bears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Id that the decision gets.
    pub id: DecisionId,
    /// The passage.
    pub passage: PassageId,
    /// When, by the wall clock; its trust is among the facts.
    pub at: Timestamp,
    /// Revision of the registry of the gates that the facts are of.
    pub register_rev: u64,
}

/// Decides. Pure: the same arguments give the same decision.
pub fn decide(asked: Asked, facts: Facts, policies: &dyn Policies) -> Decision {
    let reasons = order::sorted(reasons(&facts, policies));
    let verdict = reasons.iter().map(|reason| reason.verdict).max().unwrap_or_else(|| worst(&facts));
    Decision {
        id: asked.id,
        passage: asked.passage,
        lane: facts.lane.lane.clone(),
        direction: facts.lane.direction,
        at: asked.at,
        clock: facts.gateway.clock,
        register_rev: asked.register_rev,
        policy_rev: policies.revision().to_owned(),
        verdict,
        reasons,
        facts,
    }
}

/// Returns the strongest verdict that these facts can have: what life safety leaves of a refusal.
pub fn worst(facts: &Facts) -> Verdict {
    match (&facts.subject, facts.lane.direction) {
        (Subject::Person(_), Direction::Out) => Verdict::Allow,
        _ if facts.is_rescue() => Verdict::Refer,
        (Subject::Vehicle(_), Direction::Out) => Verdict::Hold,
        (_, Direction::In) => Verdict::Deny,
    }
}

fn reasons(facts: &Facts, policies: &dyn Policies) -> Vec<Reason> {
    let worst = worst(facts);
    if let Some(reason) = fixed::stopping(facts) {
        return vec![Reason { verdict: reason.verdict.min(worst), ..reason }];
    }
    let Judged { permits, forbids, notes } = policies.judge(facts);
    let mut against: Vec<Reason> = forbids.into_iter().map(forbidding).collect();
    for reason in fixed::standing(facts) {
        // The policy's words are the site's own; the fixed reason is needed only where none of them says as much.
        if !against.iter().any(|said| said.code == reason.code && said.verdict >= reason.verdict) {
            against.push(reason);
        }
    }
    if permits.is_empty() {
        against.push(fixed::not_permitted());
    }
    let allowed = |reason: Reason| Reason { verdict: Verdict::Allow, ..reason };
    let said: Vec<Reason> = if against.is_empty() { permits.into_iter().map(allowed).collect() } else { against };
    let bounded = said.into_iter().map(|reason| Reason { verdict: reason.verdict.min(worst), ..reason });
    bounded.chain(notes.into_iter().map(allowed)).collect()
}

/// A forbid that asks for `Allow` is a broken one, and a broken forbid forbids.
fn forbidding(reason: Reason) -> Reason {
    let verdict = if reason.verdict == Verdict::Allow { Verdict::Deny } else { reason.verdict };
    Reason { verdict, ..reason }
}
