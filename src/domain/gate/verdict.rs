//! What was decided, with every reason: a value that can be stored, shown, and decided again a year later.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::word::{DecisionId, Direction, LaneId, PassageId};
use crate::domain::time::{ClockTrust, Timestamp};

/// What is to be done with what came. Ordered by strength: of several reasons, the strongest verdict holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may pass.
    Allow,
    /// A guard confirms or refuses.
    Refer,
    /// It stays where it is until something is cleared up; a guard comes.
    Hold,
    /// It may not pass, and turns back.
    Deny,
}

impl Verdict {
    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Refer => "refer",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }

    /// Returns it in Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Allow => "放行",
            Self::Refer => "人工确认",
            Self::Hold => "暂扣待查",
            Self::Deny => "拒绝",
        }
    }
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// Code of `domain.md` A19, with its subject after a colon where it has one: `DOC_EXPIRED:tank`.
    pub code: String,
    /// What it asks for.
    pub verdict: Verdict,
    /// In Chinese, for the driver and the guard.
    pub zh: String,
    /// In English.
    pub en: String,
    /// Id of the policy that said so; absent where code did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// A decision: its inputs, what it was decided by, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// The passage.
    pub passage: PassageId,
    /// The lane.
    pub lane: LaneId,
    /// Which way.
    pub direction: Direction,
    /// When, with the trust of the clock.
    pub at: Timestamp,
    /// Trust of the clock.
    pub clock: ClockTrust,
    /// What was known.
    pub facts: Facts,
    /// Revision of the registry of the gates that the facts are of.
    pub register_rev: u64,
    /// Revision of the policies: the digest of the set.
    pub policy_rev: String,
    /// What holds.
    pub verdict: Verdict,
    /// Every reason, the strongest first; for `Allow` one that says why.
    pub reasons: Vec<Reason>,
}
