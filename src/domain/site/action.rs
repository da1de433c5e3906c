//! What people and the city ask of the site machine, and what comes back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::service::ServiceAction;
use super::state::State;
use super::warning::Warning;

/// What a person asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// The first of two steps: proposes a state for a zone.
    Propose {
        /// Zone.
        zone: String,
        /// One of [`State::EMERGENCIES`].
        state: State,
        /// Why; may be empty, there may be no time.
        #[serde(default)]
        reason: String,
    },
    /// The second: confirms a proposal, a person's or the gateway's own.
    Confirm {
        /// Its number.
        proposal: u64,
    },
    /// Rejects a proposal.
    Reject {
        /// Its number.
        proposal: u64,
        /// Why; never empty.
        reason: String,
    },
    /// Ends an emergency: the zone goes to RECOVERY, and nothing moves.
    End {
        /// Zone.
        zone: String,
        /// Why; never empty.
        reason: String,
    },
    /// Gives one lane back to its normal control.
    GiveBack {
        /// Lane.
        lane: String,
    },
    /// Returns a zone from RECOVERY to NORMAL, when all its lanes are back.
    Normal {
        /// Zone.
        zone: String,
        /// Why; never empty.
        reason: String,
    },
    /// Resets a fire input whose line is quiet again: its lanes are no longer held open by it.
    ResetFire {
        /// The input.
        input: String,
        /// Why; never empty.
        reason: String,
    },
    /// Begins a drill.
    StartDrill {
        /// Zone.
        zone: String,
        /// What it rehearses: one of [`State::EMERGENCIES`].
        rehearses: State,
        /// Barriers and doors move too.
        #[serde(default)]
        barriers: bool,
        /// What for.
        #[serde(default)]
        comment: String,
    },
    /// Says something for the report of the running drill.
    Comment {
        /// What; never empty.
        text: String,
    },
    /// Ends the running drill with its report.
    EndDrill {
        /// What was seen.
        #[serde(default)]
        comment: String,
    },
    /// Confirms that a warning of the city was read.
    AcknowledgeWarning {
        /// Its id.
        id: String,
    },
    /// Commissioning of points and lanes, bypass of interlocks.
    Service(ServiceAction),
}

/// What was done, in words for who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// Number of the proposal or bypass that the action opened.
    pub number: Option<u64>,
}

impl Done {
    /// Says so.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into(), number: None }
    }

    /// Adds the number.
    pub fn with(self, number: u64) -> Self {
        Self { number: Some(number), ..self }
    }
}

/// A command of the city platform; the uplink has verified signature, target, expiry and that it is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CityCommand {
    /// The command's id.
    pub id: String,
    /// Who issued it.
    pub issuer: String,
    /// What it asks.
    pub what: CityOrder,
}

/// What the city asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CityOrder {
    /// A state for a zone.
    State {
        /// Zone.
        zone: String,
        /// One of [`State::EMERGENCIES`].
        state: State,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// A warning to be shown, acknowledged, and used as a fact while it is valid.
    Warn(Warning),
    /// A warning is withdrawn before its time.
    Withdraw {
        /// Its id.
        id: String,
    },
}

/// How long something lasts, in whole seconds, for records.
pub(super) fn seconds(duration: Duration) -> u64 {
    duration.as_secs()
}
