//! A drill (演练) and its report.

use serde::{Deserialize, Serialize};

use super::state::State;
use crate::domain::time::{Mono, Timestamp};

/// Comments kept in one drill: a sheet of paper. Later ones are refused, in words.
pub const MAX_COMMENTS: usize = 200;

/// The report with which every drill ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillReport {
    /// The drill's episode.
    pub episode: String,
    /// Zone.
    pub zone: String,
    /// What was rehearsed.
    pub rehearsed: State,
    /// Whether barriers moved.
    pub barriers: bool,
    /// How it ended.
    pub outcome: DrillOutcome,
    /// Who began it.
    pub begun_by: String,
    /// Who ended it; the gateway where nobody did.
    pub ended_by: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When the first order was given.
    pub first_order_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How long it lasted, by the monotonic clock.
    pub duration_s: u64,
    /// What became of its orders.
    pub orders: DrillOrders,
    /// What was said, in order.
    pub comments: Vec<Comment>,
    /// When the first person left; filled in by the gates.
    pub first_out_at: Option<Timestamp>,
    /// When the last person left; filled in by the gates.
    pub last_out_at: Option<Timestamp>,
    /// How many were not accounted for; filled in by the gates.
    pub missing: Option<u32>,
}

/// How a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillOutcome {
    /// A person ended it.
    Completed,
    /// A real signal ended it.
    Preempted,
    /// It outlasted its time.
    Expired,
}

/// What became of a drill's orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillOrders {
    /// Given.
    pub given: u32,
    /// With a receipt that they were carried out.
    pub done: u32,
    /// Taken by their channel.
    pub sent: u32,
    /// Failed, or without a receipt in time.
    pub failed: u32,
}

/// Something said in a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
}

/// What the report of a drill has of its muster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// When the first person of the list left.
    pub first_out_at: Option<Timestamp>,
    /// When the last one did.
    pub last_out_at: Option<Timestamp>,
    /// How many were not accounted for.
    pub missing: u32,
}

/// A running drill.
#[derive(Clone, Debug)]
pub(super) struct Drill {
    pub(super) episode: String,
    /// Index of the zone.
    pub(super) zone: usize,
    pub(super) rehearses: State,
    pub(super) barriers: bool,
    pub(super) begun_by: String,
    pub(super) started: Mono,
    pub(super) started_at: Timestamp,
    pub(super) first_order_at: Option<Timestamp>,
    pub(super) orders: DrillOrders,
    pub(super) comments: Vec<Comment>,
    pub(super) ends: Mono,
    /// Of its muster, where the gates count people; they tell it anew after a restart.
    pub(super) figures: Option<Figures>,
}

impl Drill {
    /// Notes what was said; returns whether there was room.
    pub(super) fn comment(&mut self, at: Timestamp, by: &str, text: &str) -> bool {
        let room = self.comments.len() < MAX_COMMENTS;
        if room && !text.is_empty() {
            self.comments.push(Comment { at, by: by.to_owned(), text: text.to_owned() });
        }
        room
    }
}
