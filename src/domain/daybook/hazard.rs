//! Hidden hazards (隐患) and their closed loop (闭环, `domain.md` A16).
//!
//! ```text
//!           register      grade         assign         commit (five)        submit            accept           close
//!  found ──────────▶ registered ──▶ graded ──▶ assigned ──────────▶ rectifying ──▶ submitted ─────▶ accepted ────▶ closed
//!    │                                                                   ▲             │
//!    └─ dismiss ─▶ dismissed                                             └── return ◀──┘  (not accepted: it stays on the list)
//! ```
//!
//! Nothing else is possible. Rectifying begins only with all five commitments (五落实). Who accepts is neither who was charged
//! with it, nor who took responsibility, nor who submitted it. Past its time limit it escalates until it is submitted, and the
//! submission then needs a written explanation; if it is returned then, it escalates anew from that moment. 挂牌督办 is put on
//! and taken off by the authority only, and while it is on, nobody closes the hazard.
//!
//! The gateway itself only ever finds: whether it is a hazard is for people to say. The machine is `hazards`.

use serde::{Deserialize, Serialize};

use super::calendar::Date;
use crate::domain::actor::Actor;
use crate::domain::time::Timestamp;

/// Where a hazard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HazardState {
    /// Somebody, or the gateway, saw it.
    Found,
    /// A person has put it on the list.
    Registered,
    /// General or major.
    Graded,
    /// Somebody is charged with it.
    Assigned,
    /// Five commitments are made; it is being put right.
    Rectifying,
    /// Said to be put right.
    Submitted,
    /// Another person has seen that it is.
    Accepted,
    /// Off the list (销号).
    Closed,
    /// It was none; with a reason.
    Dismissed,
}

impl HazardState {
    /// All states, in the order of the loop.
    pub const ALL: [HazardState; 9] = [
        Self::Found,
        Self::Registered,
        Self::Graded,
        Self::Assigned,
        Self::Rectifying,
        Self::Submitted,
        Self::Accepted,
        Self::Closed,
        Self::Dismissed,
    ];

    /// Returns the word for people, Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Found => "已发现",
            Self::Registered => "已登记",
            Self::Graded => "已定级",
            Self::Assigned => "已交办",
            Self::Rectifying => "整改中",
            Self::Submitted => "待验收",
            Self::Accepted => "已验收",
            Self::Closed => "已销号",
            Self::Dismissed => "不属实",
        }
    }

    /// Returns whether nothing more happens.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Dismissed)
    }
}

/// What happens to a hazard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HazardStep {
    /// Seen.
    Find,
    /// Put on the list.
    Register,
    /// Graded.
    Grade,
    /// Given to somebody.
    Assign,
    /// The five commitments.
    Commit,
    /// Said to be put right.
    Submit,
    /// Seen to be put right.
    Accept,
    /// Not accepted.
    Return,
    /// Taken off the list.
    Close,
    /// It was none.
    Dismiss,
    /// A word on how it goes.
    Progress,
    /// Its time limit has passed.
    Overdue,
    /// The gateway no longer sees the cause.
    CauseGone,
    /// 挂牌督办 by an authority.
    List,
    /// The authority took it off.
    Unlist,
}

impl HazardStep {
    /// All steps.
    pub const ALL: [HazardStep; 15] = [
        Self::Find,
        Self::Register,
        Self::Grade,
        Self::Assign,
        Self::Commit,
        Self::Submit,
        Self::Accept,
        Self::Return,
        Self::Close,
        Self::Dismiss,
        Self::Progress,
        Self::Overdue,
        Self::CauseGone,
        Self::List,
        Self::Unlist,
    ];

    /// Returns the state after the step, or `None` where the step is not possible: the table of the module's head.
    pub fn from(self, state: HazardState) -> Option<HazardState> {
        use HazardState as S;
        match (state, self) {
            (S::Found, Self::Register) => Some(S::Registered),
            (S::Found, Self::Dismiss) => Some(S::Dismissed),
            (S::Registered, Self::Grade) => Some(S::Graded),
            (S::Graded, Self::Assign) => Some(S::Assigned),
            (S::Assigned, Self::Commit) | (S::Submitted, Self::Return) => Some(S::Rectifying),
            (S::Rectifying, Self::Submit) => Some(S::Submitted),
            (S::Submitted, Self::Accept) => Some(S::Accepted),
            (S::Accepted, Self::Close) => Some(S::Closed),
            (S::Rectifying, Self::Overdue) => Some(S::Rectifying),
            (state, Self::Progress | Self::CauseGone | Self::List | Self::Unlist) if !state.is_over() => Some(state),
            _ => None,
        }
    }
}

/// Grade (定级).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// 一般隐患.
    General,
    /// 重大事故隐患.
    Major,
}

/// The five commitments (五落实: 责任、措施、资金、时限、预案).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitments {
    /// 责任: who answers for it.
    pub responsible: String,
    /// 措施: what is done.
    pub measures: String,
    /// 资金: from what it is paid.
    pub funds: String,
    /// 时限: by the end of which day.
    pub deadline: Date,
    /// 预案: what if something happens meanwhile.
    pub plan: String,
}

/// 挂牌督办.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// `province`, `city` or `county`.
    pub level: ListingLevel,
    /// Supervising body.
    pub body: String,
    /// Date of the public notice.
    pub notice: Date,
}

/// Level of the authority that lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListingLevel {
    /// 县级.
    County,
    /// 市级.
    City,
    /// 省级.
    Province,
}

/// One hidden hazard as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hazard {
    /// Its id.
    pub id: String,
    /// What made the gateway propose it, e.g. `device_silent:gas-07`; absent when a person found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Where.
    pub place: String,
    /// What.
    pub text: String,
    /// State.
    pub state: HazardState,
    /// When it was found.
    pub found_at: Timestamp,
    /// By whom.
    pub found_by: String,
    /// Grade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Grade>,
    /// Who is charged with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<String>,
    /// The five commitments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub five: Option<Commitments>,
    /// Who said that it is put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// Who accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_by: Option<String>,
    /// How often it was returned at acceptance.
    #[serde(default)]
    pub returned: u32,
    /// How often it has escalated; 0 while it is in time.
    #[serde(default)]
    pub overdue: u32,
    /// Since when it is put right anew, after it was returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
    /// Why it was late, in writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// 挂牌督办.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listing>,
    /// Number of its last step, from 1.
    pub n: u32,
}

/// A hazard that was returned: past its time limit it escalates from the first level again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// When it was returned.
    pub since: Timestamp,
    /// How often it had escalated before.
    pub before: u32,
}

impl Hazard {
    /// Returns how far it has escalated since it was last begun to be put right.
    pub fn level(&self) -> u32 {
        self.overdue.saturating_sub(self.again.map_or(0, |again| again.before))
    }
}

/// The object of a `hazard` document: one step, and the hazard after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HazardRecord {
    /// What happened.
    pub step: HazardStep,
    /// State before; absent with the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<HazardState>,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Comment, reason, progress.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The hazard afterwards.
    pub hazard: Hazard,
}

/// What can be done about a hazard. The id is that of an open one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of the hazard, and `id` names it")]
pub enum HazardAction {
    /// Reports one.
    Find { place: String, text: String },
    /// Puts it on the list.
    Register { id: String, comment: String },
    /// Grades it.
    Grade { id: String, grade: Grade },
    /// Charges somebody with it.
    Assign { id: String, to: String },
    /// Makes the five commitments.
    Commit { id: String, five: Commitments },
    /// Says that it is put right; past the time limit with an explanation.
    Submit { id: String, comment: String, explanation: String },
    /// Accepts.
    Accept { id: String, comment: String },
    /// Does not accept, and says why.
    Return { id: String, why: String },
    /// Takes it off the list.
    Close { id: String, comment: String },
    /// It is none, and why.
    Dismiss { id: String, why: String },
    /// Says how it goes.
    Progress { id: String, text: String },
    /// The authority lists it.
    List { id: String, listing: Listing },
    /// The authority takes it off.
    Unlist { id: String, comment: String },
}
