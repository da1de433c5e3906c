//! A ticket: a question of a gate to people, whom it goes to and for how long, and its answer.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::actor::Actor;
use crate::domain::gate::inside::Subject;
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::domain::gate::word::{CompanyId, DecisionId, Direction, GateId, LaneId, LaneKind, PassageId, words};
use crate::domain::time::{Mono, Timestamp};

words! {
    /// What is asked.
    TicketKind {
        /// Whether it may pass (REFER).
        Refer = "refer", "人工确认";
        /// What is to be cleared up before it goes on (HOLD).
        Hold = "hold", "暂扣待查";
        /// Whether this is a rescue vehicle: at once.
        Rescue = "rescue", "应急车辆确认";
        /// Somebody pressed the call button.
        Call = "call", "呼叫";
    }
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressee {
    /// The guard of the gate.
    Guard(GateId),
    /// The enterprise that receives the goods.
    Enterprise(CompanyId),
    /// The duty room of the park: somebody is there day and night. Always the last one.
    DutyRoom,
}

impl Addressee {
    /// Returns it in Chinese, for the driver.
    pub fn zh(&self) -> &'static str {
        match self {
            Self::Guard(_) => "门岗",
            Self::Enterprise(_) => "收货企业",
            Self::DutyRoom => "值班室",
        }
    }

    /// Returns it in English.
    pub fn en(&self) -> &'static str {
        match self {
            Self::Guard(_) => "the guard",
            Self::Enterprise(_) => "the receiving enterprise",
            Self::DutyRoom => "the duty room",
        }
    }
}

/// One addressee, and how long he has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who.
    pub to: Addressee,
    /// How long, in seconds; then the next one is asked, or, the last one, again.
    pub within_s: u64,
}

/// How long each is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A guard.
    pub guard: Duration,
    /// An enterprise: somebody has to go and look.
    pub enterprise: Duration,
    /// The duty room.
    pub duty_room: Duration,
    /// Whoever is asked about a rescue vehicle.
    pub rescue: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            guard: Duration::from_secs(60),
            enterprise: Duration::from_secs(300),
            duty_room: Duration::from_secs(60),
            rescue: Duration::from_secs(15),
        }
    }
}

/// What a lane asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// The lane.
    pub lane: LaneId,
    /// Who uses it.
    pub lane_kind: LaneKind,
    /// Which way.
    pub direction: Direction,
    /// What.
    pub kind: TicketKind,
    /// The passage; `None` with a call.
    pub passage: Option<PassageId>,
    /// The decision that asks.
    pub decision: Option<DecisionId>,
    /// Its reasons.
    pub reasons: Vec<Reason>,
    /// Who or what waits, where known.
    pub subject: Option<Subject>,
    /// The enterprise that receives the goods.
    pub company: Option<CompanyId>,
}

impl Ask {
    /// Returns what a verdict asks; `None`: it asks nothing, because it is clear.
    pub fn kind_of(verdict: Verdict, reasons: &[Reason]) -> Option<TicketKind> {
        match verdict {
            Verdict::Refer | Verdict::Hold if reasons.iter().any(|reason| reason.code == "EXEMPT_CONFIRM") => {
                Some(TicketKind::Rescue)
            }
            Verdict::Refer => Some(TicketKind::Refer),
            Verdict::Hold => Some(TicketKind::Hold),
            Verdict::Allow | Verdict::Deny => None,
        }
    }

    /// Returns whom it goes to, one after the other. The duty room is always the last.
    pub(super) fn turns(&self, gate: Option<&GateId>, manned: bool, patience: Patience) -> Vec<Turn> {
        let turn = |to, within: Duration| Turn { to, within_s: within.as_secs().max(1) };
        let rescue = self.kind == TicketKind::Rescue;
        let mut turns = Vec::new();
        if let Some(company) = self.company.as_ref().filter(|_| self.is_for_the_enterprise()) {
            turns.push(turn(Addressee::Enterprise(company.clone()), patience.enterprise));
        } else if let Some(gate) = gate.filter(|_| manned) {
            turns.push(turn(Addressee::Guard(gate.clone()), if rescue { patience.rescue } else { patience.guard }));
        }
        turns.push(turn(Addressee::DutyRoom, if rescue { patience.rescue } else { patience.duty_room }));
        turns
    }

    /// What only the receiving enterprise can clear up: it has no place to unload, or has not called for the goods.
    fn is_for_the_enterprise(&self) -> bool {
        let theirs = |reason: &Reason| matches!(reason.code.as_str(), "NO_UNLOADING_SLOT" | "NOT_DISPATCHED");
        let asks = |reason: &&Reason| reason.verdict != Verdict::Allow;
        let mut reasons = self.reasons.iter().filter(asks).peekable();
        reasons.peek().is_some() && reasons.all(theirs)
    }
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It passes.
    Pass,
    /// It turns back.
    TurnBack,
    /// Spoken with (a call).
    Spoken,
}

impl Answer {
    /// Returns the word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::TurnBack => "turn_back",
            Self::Spoken => "spoken",
        }
    }

    /// Returns it in Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Pass => "放行",
            Self::TurnBack => "劝返",
            Self::Spoken => "已通话",
        }
    }
}

/// A question of a gate to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its id.
    pub ticket: String,
    /// What is asked.
    pub ask: Ask,
    /// Whom it goes to, in order.
    pub turns: Vec<Turn>,
    /// Whose turn it is: index into `turns`.
    pub turn: usize,
    /// How often the last one was asked again.
    pub again: u32,
    /// Calls: how often the button was pressed.
    pub presses: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// How it ended.
    pub end: Option<End>,
    /// When it goes on; in the saved form, how long until then.
    #[serde(skip)]
    pub(super) deadline: Mono,
}

/// How a ticket ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum End {
    /// Somebody answered.
    Answered {
        /// What.
        answer: Answer,
        /// Who.
        actor: Actor,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Whoever waited is gone.
    Gone {
        /// When.
        at: Timestamp,
    },
    /// Another passage came to the lane.
    Superseded {
        /// When.
        at: Timestamp,
    },
    /// There were too many: it was said to the duty room, and is on record.
    Displaced {
        /// When.
        at: Timestamp,
    },
}

impl Ticket {
    /// Returns who is asked now.
    pub fn addressee(&self) -> &Addressee {
        self.turns.get(self.turn).or_else(|| self.turns.last()).map_or(&Addressee::DutyRoom, |turn| &turn.to)
    }

    /// Returns whether nobody is left to ask but the one who is asked.
    pub fn is_last(&self) -> bool {
        self.turn + 1 >= self.turns.len()
    }

    /// Returns how long who is asked now still has.
    pub fn left(&self, now: Mono) -> Duration {
        self.deadline.since(now)
    }

    pub(super) fn within(&self) -> Duration {
        Duration::from_secs(self.turns.get(self.turn).map_or(60, |turn| turn.within_s))
    }
}
