//! What the configuration says to the daybook: `report.toml` and `duty.toml`, checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calendar::{Date, Minute};
use crate::domain::phone::Phones;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The daily report.
    pub report: ReportRules,
    /// Duty.
    pub duty: DutyRules,
    /// Hidden hazards.
    pub hazard: HazardRules,
    /// Accident reports.
    pub accident: AccidentRules,
    /// Telephones of those on duty and of the control room.
    pub phones: Phones,
}

/// The daily report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRules {
    /// Local time at which it is made.
    pub at: Minute,
    /// Local time at which one report's day ends and the next begins.
    pub cut: Minute,
    /// How long after it is due it must have been made, and sent.
    pub late_after: Duration,
    /// Data coverage below which a day is no nil report, in hundredths of a percent, 0..=10,000.
    pub nil_coverage: u32,
    /// A device of which nothing came for so long is silent.
    pub silent_after: Duration,
}

impl Default for ReportRules {
    fn default() -> Self {
        let five = Minute::new(17, 0).unwrap_or_default();
        Self {
            at: five,
            cut: five,
            late_after: Duration::from_secs(1800),
            nil_coverage: 9500,
            silent_after: Duration::from_secs(900),
        }
    }
}

/// Duty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DutyRules {
    /// Shifts of a day, in order of their beginning.
    pub shifts: Vec<Shift>,
    /// Who is on them; an entry for a date counts before one for a weekday.
    pub roster: Vec<RosterEntry>,
    /// How long after the beginning of a shift it must have been taken over.
    pub handover_within: Duration,
    /// Local times at which the gateway itself asks whether somebody is there.
    pub checks: Vec<Minute>,
    /// How long its own checks wait for the answer.
    pub check_limit: Duration,
}

impl Default for DutyRules {
    fn default() -> Self {
        Self {
            shifts: Vec::new(),
            roster: Vec::new(),
            handover_within: Duration::from_secs(1800),
            checks: Vec::new(),
            check_limit: Duration::from_secs(600),
        }
    }
}

/// A shift (班次).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Its name, e.g. `白班`; unique.
    pub name: String,
    /// When it begins. It ends when the next one begins: somebody is on duty all day.
    pub begins: Minute,
}

/// Who is on a shift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// On which days.
    pub day: RosterDay,
    /// Name of the shift.
    pub shift: String,
    /// Operator on duty (值班).
    pub operator: String,
    /// Leader on duty (带班).
    pub leader: String,
}

/// Days of a roster entry: those on which the shift begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RosterDay {
    /// One date.
    Date(Date),
    /// A day of the week, 0 Monday to 6 Sunday.
    Weekday(u8),
    /// Every day.
    Every,
}

/// Hidden hazards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HazardRules {
    /// A device silent for so long is proposed as a hazard; zero proposes none.
    pub silent_for: Duration,
    /// Occurrences of one alarm within 24 hours that make a hazard; 0 proposes none.
    pub repeats: u32,
    /// Failures of one output within 24 hours that make a hazard; 0 proposes none.
    pub output_failures: u32,
    /// How often an overdue hazard escalates anew.
    pub escalate_every: Duration,
    /// Channels to which overdue hazards are told, the first at once, each next one an escalation later.
    pub channels: Vec<String>,
}

impl Default for HazardRules {
    fn default() -> Self {
        Self {
            silent_for: Duration::from_secs(4 * 3600),
            repeats: 5,
            output_failures: 3,
            escalate_every: Duration::from_secs(24 * 3600),
            channels: Vec::new(),
        }
    }
}

/// Accident reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccidentRules {
    /// Time from the moment the head of the unit knows to the first report; at most an hour by law.
    pub first_within: Duration,
    /// How long before that it is said aloud that the time is running.
    pub warn_before: Duration,
}

impl Default for AccidentRules {
    fn default() -> Self {
        Self { first_within: Duration::from_secs(3600), warn_before: Duration::from_secs(900) }
    }
}
