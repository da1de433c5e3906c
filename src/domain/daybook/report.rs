//! The daily report (日报告) and the nil report (零报告): the record that is stored and sent, made of a day's account, with
//! the conditions under which a day may be called nil (`nil`); `making` fills it.
//!
//! A nil report says that nothing happened, and that it was watched. So it needs both: every counter zero, **and** data of
//! every device above the site's threshold, a clock that could be believed, and no time in which nobody looked. A day that
//! fails in any of these is an ordinary report, and says in which ([`WhyNot`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calendar::Date;
use super::tally::{ClockTally, Durations, DutyTally, HazardTally, SiteLine};
use crate::domain::actor::Actor;
use crate::domain::audit::{Digest, Head};
use crate::domain::time::Timestamp;

/// Devices and alarms that a report names; more are counted. It must fit into an envelope, and be read by a person.
pub const MAX_NAMED: usize = 200;

/// Which report it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// 日报告.
    Daily,
    /// 零报告.
    Nil,
    /// Days of which no report was made, and none will be, in one record.
    Omitted,
    /// When a report reached the platform.
    Delivery,
}

/// The object of a `report` document about a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DailyReport {
    /// `daily` or `nil`.
    pub what: ReportKind,
    /// The day: local date of its last moment.
    pub day: Date,
    /// First moment that it covers.
    pub from: Timestamp,
    /// First moment that it does not cover any more.
    pub to: Timestamp,
    /// Version, from 1.
    pub version: u32,
    /// Hash of the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Digest>,
    /// Earlier versions whose facts are not in this one, because their account was no longer kept when the day came again:
    /// together with this one they are the day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adds_to: Vec<Digest>,
    /// Why there is another version; absent with the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
    /// When it was due.
    pub due_at: Timestamp,
    /// When it was made.
    pub generated_at: Timestamp,
    /// Trust in that time.
    pub clock_trust: String,
    /// Whether it was made after its time and the grace; computed. Whether it was sent in time is told by the delivery.
    pub is_late: bool,
    /// By how much it was made after its time, in milliseconds.
    pub late_by_ms: u64,
    /// Whether it is made up for: the gateway was off, or its clock unknown, when it was due.
    pub made_up: bool,
    /// Whether nobody looked on that day at all.
    pub omitted: bool,
    /// Why it is no nil report; empty when it is one.
    pub why_not_nil: Vec<WhyNot>,
    /// Data coverage.
    pub coverage: CoverageSection,
    /// Alarms.
    pub alarms: AlarmSection,
    /// The store and its gaps at the end of the day, and what was recorded in it; absent where it was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreSection>,
    /// Starts and time off.
    pub running: RunningSection,
    /// The clock over the day.
    pub clock: ClockSection,
    /// States of the site.
    pub site: SiteSection,
    /// Duty.
    pub duty: DutySection,
    /// Hidden hazards.
    pub hazards: HazardSection,
    /// Accidents.
    pub accidents: AccidentSection,
    /// Writes to outputs that were done.
    pub outputs_done: u64,
    /// Writes to outputs that were not.
    pub outputs_failed: u64,
    /// Passages by direction and class, such as `in.hazmat`; absent where nobody passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passages: Option<BTreeMap<String, u64>>,
    /// Head of the audit chain when the report was made (`domain.md` rule 142).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Head>,
    /// Hash of everything above.
    pub hash: Digest,
}

/// Why there is another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
}

/// Why a day is no nil report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyNot {
    /// A word: `alarms`, `coverage`, `silent`, `clock`, …
    pub code: String,
    /// For people, Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// Data coverage: of all devices, and of each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CoverageSection {
    /// Received of expected, in percent with two digits, rounded down; absent where nothing was expected.
    pub pct: Option<f64>,
    /// What a nil report needs.
    pub nil_pct: f64,
    /// Polls that the whole day should have brought, also while the gateway was off.
    pub expected: u64,
    /// Polls answered in full.
    pub received: u64,
    /// How many devices were to be read.
    pub n_devices: u64,
    /// Devices by coverage, the worst first, at most [`MAX_NAMED`].
    pub devices: Vec<DeviceLine>,
    /// Devices of which nothing came at the end of the day.
    pub silent: Vec<SilentLine>,
    /// Silent ones beyond those named.
    pub more_silent: u64,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceLine {
    /// Its id.
    pub device: String,
    /// Received of expected, in percent.
    pub pct: Option<f64>,
    /// Polls that the day should have brought.
    pub expected: u64,
    /// Polls answered in full.
    pub received: u64,
    /// Polls that fell due while the gateway ran.
    pub due: u64,
    /// Polls that failed, in whole or in part.
    pub bad: u64,
    /// Polls that never ran.
    pub skipped: u64,
}

/// A silent device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentLine {
    /// Its id.
    pub device: String,
    /// The last time it answered; absent where that was before anybody remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// Times of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// How many could not be measured.
    pub unmeasured: u64,
    /// Shortest, in milliseconds.
    pub min_ms: Option<u64>,
    /// Lower median of the first [`super::tally::MAX_DURATIONS`].
    pub median_ms: Option<u64>,
    /// Longest.
    pub max_ms: Option<u64>,
}

impl From<&Durations> for Times {
    fn from(durations: &Durations) -> Self {
        Self {
            count: durations.count,
            unmeasured: durations.unmeasured,
            min_ms: durations.min,
            median_ms: durations.median(),
            max_ms: durations.max,
        }
    }
}

/// Alarms of the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmSection {
    /// Occurrences that began.
    pub raised: u64,
    /// The same by class and level, e.g. `gas/2`.
    pub by: BTreeMap<String, u64>,
    /// Rises to a higher level.
    pub worse: u64,
    /// Acknowledged, with the times it took.
    pub acknowledged: Times,
    /// Cleared, with the times it took.
    pub cleared: Times,
    /// Shelvings.
    pub shelved: u64,
    /// Floods.
    pub floods: u64,
    /// Times that an alarm began to chatter.
    pub chattering: u64,
    /// Of drills, tests and commissioning; in none of the numbers above.
    pub not_real: u64,
    /// How many were open at the end of the day.
    pub n_open: u64,
    /// The oldest of them, at most [`MAX_NAMED`].
    pub open: Vec<OpenLine>,
    /// How many were open when the day began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub carried: u64,
}

/// An open alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLine {
    /// Id of the alarm.
    pub alarm: String,
    /// Its occurrence.
    pub occ: String,
    /// Class.
    pub class: String,
    /// Level.
    pub level: u8,
    /// Since when.
    pub since: Timestamp,
    /// Whether somebody has acknowledged it.
    pub acknowledged: bool,
}

/// What the store says of itself; given by the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreAccount {
    /// When it was taken.
    pub as_of: Timestamp,
    /// Epoch of the store.
    pub epoch: String,
    /// By stream.
    pub streams: BTreeMap<String, StreamAccount>,
    /// Entries of the gap ledger since the epoch began.
    pub gaps: u64,
    /// Records that these entries say cannot be sent again, at most.
    pub lost: u64,
    /// Entries that the platform has not acknowledged.
    pub gaps_waiting: u64,
    /// Whether the store works now.
    pub failed: bool,
    /// Bytes used.
    pub used_bytes: u64,
    /// Bytes that it may use.
    pub quota_bytes: u64,
}

/// One stream of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamAccount {
    /// The next number to be given.
    pub next_seq: u64,
    /// Records that wait for the platform; 0 where there is no uplink.
    pub waiting: u64,
}

/// The store's account of the day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreSection {
    /// At the end.
    pub account: StoreAccount,
    /// Records made in the day, by stream; absent where its beginning is not known, or the store was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<BTreeMap<String, u64>>,
    /// Gaps that came in the day; absent as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_gaps: Option<u64>,
    /// Whether the store was replaced in the day.
    pub replaced: bool,
}

/// Starts and time off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningSection {
    /// Starts.
    pub boots: u64,
    /// Starts after an end that was no orderly stop.
    pub unclean: u64,
    /// Time off, as far as it is known, in milliseconds.
    pub off_ms: u64,
    /// Starts of which nobody knows how long the gateway was off before.
    pub off_unknown: u64,
    /// Time of the day in which nobody looked: off, or not yet there.
    pub unwatched_ms: u64,
}

/// The clock over the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSection {
    /// Whether it could be believed all the time, and did not jump.
    pub trusted: bool,
    /// Times under each trust, and steps.
    #[serde(flatten)]
    pub tally: ClockTally,
}

/// States of the site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSection {
    /// States other than normal entered in earnest.
    pub real: u64,
    /// Drills begun.
    pub drills: u64,
    /// Each, in order.
    pub states: Vec<SiteLine>,
    /// States beyond those listed.
    pub more: u64,
}

/// Duty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutySection {
    /// Handovers.
    pub handovers: u64,
    /// Shifts that nobody took over in time.
    pub not_taken: u64,
    /// Duty checks asked.
    pub asked: u64,
    /// Answered in time, with the times it took.
    pub answered: Times,
    /// Unanswered.
    pub unanswered: u64,
    /// Answered too late.
    pub late: u64,
}

impl From<&DutyTally> for DutySection {
    fn from(tally: &DutyTally) -> Self {
        Self {
            handovers: tally.handovers,
            not_taken: tally.not_taken,
            asked: tally.asked,
            answered: Times::from(&tally.answered),
            unanswered: tally.unanswered,
            late: tally.late,
        }
    }
}

/// Hidden hazards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HazardSection {
    /// Steps of the day.
    #[serde(flatten)]
    pub steps: HazardTally,
    /// On the list at the end of the day (挂账), by state.
    pub open: BTreeMap<String, u64>,
    /// Of these, major ones.
    pub open_major: u64,
    /// Of these, past their time limit.
    pub open_overdue: u64,
    /// Of these, listed by an authority (挂牌督办).
    pub open_listed: u64,
    /// How many were on the list when the day began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub carried: u64,
}

/// Accidents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccidentSection {
    /// Opened.
    pub opened: u64,
    /// Reports confirmed.
    pub reports: u64,
    /// First reports that were late.
    pub late: u64,
    /// Without a final report at the end of the day.
    pub open: u64,
    /// Without one when the day began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub carried: u64,
}

/// Days of which no report was made one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OmittedReport {
    /// `omitted`.
    pub what: ReportKind,
    /// First day.
    pub from_day: Date,
    /// Last day.
    pub to_day: Date,
    /// How many.
    pub count: u64,
    /// When this was written.
    pub generated_at: Timestamp,
    /// For people, Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// When a report reached the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// `delivery`.
    pub what: ReportKind,
    /// Which report.
    pub of: super::effect::Delivery,
    /// Hash of the daily report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Digest>,
    /// When it was due.
    pub due_at: Timestamp,
    /// When it was made.
    pub generated_at: Timestamp,
    /// When the platform said that it has stored it.
    pub sent_at: Timestamp,
    /// Whether that was after its time and the grace; computed.
    pub is_late: bool,
    /// By how much after its time, in milliseconds.
    pub late_by_ms: u64,
}

/// Reports of before this was told have no zero either: their hashes stay what they are.
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl DailyReport {
    /// Returns the hash that the report should carry.
    pub fn computed_hash(&self) -> Digest {
        let bare = Self { hash: Digest::default(), ..self.clone() };
        Digest::of(serde_json::to_string(&bare).unwrap_or_default().as_bytes())
    }
}
