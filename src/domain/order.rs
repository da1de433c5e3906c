//! What a state machine wants done in the world: the machine orders, the application carries it out, and what became of it
//! comes back under the order's key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alarm::severity::Recipient;

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Unique in the epoch; the idempotency key of the write, and the name of the receipt.
    pub key: String,
    /// What is to be done.
    pub what: OrderKind,
    /// Whether it may wait until its reason is stored.
    pub urgency: Urgency,
}

/// When an order may be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Life safety: at once, recorded after.
    AtOnce,
    /// When its reason is stored, or its deadline has come.
    AfterCommit,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// A value of an output, both by their names in `outputs.toml`.
    Output {
        /// Id of the output.
        output: String,
        /// Name of the value.
        value: String,
    },
    /// A rule for a lane, until another one comes.
    Lane {
        /// Id of the lane.
        lane: String,
        /// The rule.
        rule: LaneRule,
    },
    /// A text for people, by a named channel.
    Message {
        /// Id of the channel.
        channel: String,
        /// Chinese.
        zh: String,
        /// English.
        en: String,
        /// Who is meant; by a channel to persons (text messages) those on duty and the control room where nobody is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Addressee>,
    },
}

/// Whom a text is meant for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    /// Who.
    pub who: Recipient,
    /// Code of the hazard source, of its responsible persons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Arc<str>>,
}

/// What a lane does by order of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneRule {
    /// Decides by its permits.
    Normal,
    /// Lets nobody in; out is free.
    NoEntry,
    /// Open and held open.
    Open,
    /// Rescue only in, open out.
    RescueOnly,
    /// A guard decides each passage.
    Guarded,
}

impl LaneRule {
    /// Returns how strong it is: of several for one lane, the strongest holds. Letting people out and rescue in outranks
    /// keeping others from coming in.
    pub fn strength(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::Guarded => 1,
            Self::NoEntry => 2,
            Self::RescueOnly => 3,
            Self::Open => 4,
        }
    }
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    /// Done, and seen to be done.
    Done,
    /// Taken by the channel; nobody has confirmed that it arrived.
    Sent,
    /// The same, by a gateway that gave it references: those of the text message's parts, as the network counts them.
    Accepted(String),
    /// Not done, or not known to be; why, for people.
    Failed(String),
}
