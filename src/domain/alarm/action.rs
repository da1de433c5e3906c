//! What people do to alarms. Every action names the alarm, and the occurrence where one is meant: what was meant for an
//! earlier occurrence never meets a later one (rule 92). Each is done whole or refused with words.
//!
//! | action | role | refused |
//! |---|---|---|
//! | acknowledge | operator | another occurrence; raised again since the person looked; nothing to acknowledge |
//! | reset | operator | another occurrence; not latched; not acknowledged; cause not known to be gone. While active it is indicated anew |
//! | silence | operator | never; the next alarm sounds again |
//! | shelve | supervisor, and a second one where the level wants it | never where the level forbids; > 8 h, > 12 h in all; no reason |
//! | take out of service | supervisor and a second one | no reason; > 31 days |
//! | approve | supervisor, not the one who asked | nothing to approve, or asked too long ago |
//! | unshelve, return to service | supervisor or operator | where it is not |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::Occ;

/// Longest comment or reason, in characters: a line, not an essay; every one is kept for years.
pub const COMMENT_MAX: usize = 500;

/// How long a request waits for the second person: what was asked an hour ago was asked of another situation.
pub const REQUEST_STANDS: Duration = Duration::from_secs(3600);

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Acknowledge one occurrence.
    Ack {
        /// Id of the alarm.
        alarm: String,
        /// The occurrence that the person saw.
        occ: Occ,
        /// Number of the last record that the person saw. Where given, an alarm raised since is not acknowledged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<u32>,
        /// What the person says to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
    },
    /// Reset one latched occurrence here. It does not reset a controller.
    Reset {
        /// Id of the alarm.
        alarm: String,
        /// The occurrence that the person saw.
        occ: Occ,
        /// What the person says to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
    },
    /// Silence all horns (消音) until the next alarm.
    Silence,
    /// Put an alarm on the shelf, whether it is active or not.
    Shelve {
        /// Id of the alarm.
        alarm: String,
        /// For how long.
        #[serde(rename = "for_ms", with = "millis")]
        time: Duration,
        /// Why.
        reason: String,
    },
    /// Take it from the shelf.
    Unshelve {
        /// Id of the alarm.
        alarm: String,
    },
    /// Take an alarm out of service.
    OutOfService {
        /// Id of the alarm.
        alarm: String,
        /// For how long.
        #[serde(rename = "for_ms", with = "millis")]
        time: Duration,
        /// Why.
        reason: String,
    },
    /// Bring it back into service.
    Return {
        /// Id of the alarm.
        alarm: String,
    },
    /// Approve what another person asked for this alarm.
    Approve {
        /// Id of the alarm.
        alarm: String,
    },
}

impl Action {
    /// Returns the word of the action, as the command line and the audit have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ack { .. } => "ack",
            Self::Reset { .. } => "reset",
            Self::Silence => "silence",
            Self::Shelve { .. } => "shelve",
            Self::Unshelve { .. } => "unshelve",
            Self::OutOfService { .. } => "out_of_service",
            Self::Return { .. } => "return",
            Self::Approve { .. } => "approve",
        }
    }

    /// Returns the alarm it is about.
    pub fn alarm(&self) -> Option<&str> {
        match self {
            Self::Ack { alarm, .. }
            | Self::Reset { alarm, .. }
            | Self::Shelve { alarm, .. }
            | Self::Unshelve { alarm }
            | Self::OutOfService { alarm, .. }
            | Self::Return { alarm }
            | Self::Approve { alarm } => Some(alarm),
            Self::Silence => None,
        }
    }
}

/// What an action came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Done; records say what.
    Done,
    /// A second person must approve it within [`REQUEST_STANDS`].
    AwaitsApproval,
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
