//! What the site machine tells: documents of kind `site`, each one of these as a JSON object with its `what`; facts for the
//! alarm machine; orders.

use serde::{Deserialize, Serialize};

use super::state::State;
use super::warning::Warning;
use crate::domain::actor::Actor;
use crate::domain::document::Document;
use crate::domain::order::{Order, OrderKind, Receipt};
use crate::domain::time::Timestamp;

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To be recorded.
    Document(Document),
    /// To be done.
    Order(Order),
    /// For the alarm machine.
    Fact(SiteFact),
}

/// Something about the site that deserves an alarm, or no longer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFact {
    /// What is wrong; with `subject` the stable name of the alarm.
    pub fault: SiteFault,
    /// Id of the input, key, lane, output, channel, proposal or bypass.
    pub subject: String,
    /// Id of the zone concerned; the park where it is not more exact.
    pub zone: String,
    /// Whether it is so now.
    pub active: bool,
    /// For people, Chinese.
    pub zh: String,
    /// For people, English.
    pub en: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SiteFault {
    /// The line of a fire input is broken or its module is lost.
    FireLine,
    /// A hard key cannot be read.
    Key,
    /// An order was not carried out, or there is no word that it was.
    Order,
    /// A state is proposed and waits for a person.
    Proposal,
    /// A bypass of an interlock has outlasted its time.
    Bypass,
}

impl SiteFault {
    /// Returns the word used in the names of alarms.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FireLine => "fire_line",
            Self::Key => "key",
            Self::Order => "order",
            Self::Proposal => "proposal",
            Self::Bypass => "bypass",
        }
    }
}

/// Why a state was declared, proposed or left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", content = "of", rename_all = "snake_case")]
pub enum Cause {
    /// A person, in two steps: number of the proposal.
    Hand(u64),
    /// A person, in one step: ending, returning, drills.
    Person,
    /// A hard key.
    Key(String),
    /// A signal of a fire input.
    Fire(String),
    /// A broken line of a fire input.
    BrokenLine(String),
    /// A rule over detectors.
    Rule(String),
    /// A command of the city: its id.
    City(String),
    /// A real signal, in a drill.
    Preempted,
    /// A drill outlasted its time.
    Expired,
    /// A zone was removed from the configuration; the zone around it took its state over.
    Removed,
}

/// One entry of the site's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum SiteRecord {
    /// A zone went from one state to another.
    State {
        /// One per emergency or drill, from leaving NORMAL to returning to it.
        episode: String,
        /// Zone.
        zone: String,
        /// Before.
        from: State,
        /// After.
        to: State,
        /// Why.
        cause: Cause,
        /// Who.
        actor: Actor,
        /// In his words.
        reason: String,
    },
    /// A state was proposed.
    Proposed {
        /// Number.
        proposal: u64,
        /// Zone.
        zone: String,
        /// State.
        state: State,
        /// Why.
        cause: Cause,
        /// Who.
        actor: Actor,
        /// In his words.
        reason: String,
    },
    /// A proposal ended: what became of it.
    Settled {
        /// Number.
        proposal: u64,
        /// What.
        outcome: Settlement,
        /// Who.
        actor: Actor,
        /// In his words.
        reason: String,
    },
    /// An order was given.
    Ordered {
        /// Key.
        key: String,
        /// What is to be done.
        order: OrderKind,
        /// Whether it did not wait for the disk.
        at_once: bool,
        /// 1 for the first time, more for each repetition.
        attempt: u32,
    },
    /// What became of an order.
    Receipt {
        /// Key.
        key: String,
        /// What was to be done.
        order: OrderKind,
        /// What became of it.
        receipt: Receipt,
        /// Milliseconds after it was given.
        after_ms: u64,
    },
    /// An order has no receipt in time.
    Unanswered {
        /// Key.
        key: String,
        /// What was to be done.
        order: OrderKind,
        /// Milliseconds waited.
        after_ms: u64,
    },
    /// A fire input changed.
    Fire {
        /// Input.
        input: String,
        /// Zone.
        zone: String,
        /// What its line says now.
        line: super::fire::LineState,
        /// Why, where it is broken: a word.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        why: Option<String>,
        /// Lanes that it releases.
        released: Vec<String>,
    },
    /// A fire input was reset.
    FireReset {
        /// Input.
        input: String,
        /// Who.
        actor: Actor,
        /// Why.
        reason: String,
    },
    /// A hard key was turned, or turned back, or cannot be read.
    Key {
        /// Key.
        key: String,
        /// `None` where it cannot be read.
        turned: Option<bool>,
    },
    /// A lane went back to its normal control.
    GaveBack {
        /// Lane.
        lane: String,
        /// Who.
        actor: Actor,
    },
    /// A drill began.
    DrillStarted {
        /// Its episode.
        episode: String,
        /// Zone.
        zone: String,
        /// What it rehearses.
        rehearses: State,
        /// Whether barriers move.
        barriers: bool,
        /// Who.
        actor: Actor,
        /// What for.
        comment: String,
    },
    /// Somebody said something in a drill; the report has it too.
    DrillComment {
        /// The drill's episode.
        episode: String,
        /// What, by whom.
        comment: super::drill::Comment,
    },
    /// A drill ended.
    DrillReport(super::drill::DrillReport),
    /// A warning of the city came, was acknowledged, or ended.
    Warning {
        /// The warning.
        warning: Warning,
        /// What happened to it.
        step: WarningStep,
        /// Who.
        actor: Actor,
    },
    /// Time of a restart: what stood, and was ordered again.
    Restored {
        /// Zones that are not normal, with their states.
        zones: Vec<(String, State)>,
        /// When what stood was saved.
        saved_at: Timestamp,
    },
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// Confirmed: the state is declared.
    Confirmed,
    /// Rejected by a person.
    Rejected,
    /// Not confirmed in time.
    Lapsed,
    /// Its cause is gone, or the state stands already.
    Withdrawn,
}

/// What happened to a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningStep {
    /// It came.
    Received,
    /// It came again with other content.
    Changed,
    /// A person has read it.
    Acknowledged,
    /// The city took it back.
    Withdrawn,
    /// Its time is over.
    Expired,
    /// There was no room for it any more.
    Dropped,
}
