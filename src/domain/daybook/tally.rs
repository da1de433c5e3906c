//! The account of a span of time: numbers that add up, so that what was counted before the clock was known can be put into
//! its day afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::effect::Count;
use super::fact::{CoverageFact, Moment, ms};
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// Durations of one kind that a day remembers one by one: its median is exact up to here, and states how many it is the
/// median of. 20,000 alarms a day are more than anybody answers; 4 bytes each.
pub const MAX_DURATIONS: usize = 20_000;

/// Steps of the clock, states of the site and the like that a day lists; more are counted only. A page that a person reads.
pub const MAX_LISTED: usize = 100;

/// Durations of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// How many there were.
    pub count: u64,
    /// How many could not be measured, because they began under a clock that nobody trusts.
    pub unmeasured: u64,
    /// Shortest, in milliseconds.
    pub min: Option<u64>,
    /// Longest, in milliseconds.
    pub max: Option<u64>,
    /// The first [`MAX_DURATIONS`] of them, in milliseconds, in no order.
    pub each: Vec<u64>,
}

impl Durations {
    /// Adds one; `None` is one that cannot be known.
    pub(super) fn add(&mut self, duration: Option<Duration>) {
        self.count += 1;
        let Some(duration) = duration.map(ms) else {
            self.unmeasured += 1;
            return;
        };
        self.min = Some(self.min.map_or(duration, |min| min.min(duration)));
        self.max = Some(self.max.map_or(duration, |max| max.max(duration)));
        if self.each.len() < MAX_DURATIONS {
            self.each.push(duration);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.unmeasured += other.unmeasured;
        self.min = self.min.into_iter().chain(other.min).min();
        self.max = self.max.into_iter().chain(other.max).max();
        let room = MAX_DURATIONS.saturating_sub(self.each.len());
        self.each.extend(other.each.iter().take(room));
    }

    /// Returns the lower median of those kept.
    pub fn median(&self) -> Option<u64> {
        let mut sorted = self.each.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().checked_sub(1)? / 2).copied()
    }
}

/// What was due and what came of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTally {
    /// Time over which polls were counted, in milliseconds; the rest of the day the gateway was off or did not know it.
    pub watched_ms: u64,
    /// Polls that fell due.
    pub due: u64,
    /// Polls answered in full.
    pub ok: u64,
    /// Polls that failed, in whole or in part.
    pub bad: u64,
    /// Polls that never ran.
    pub skipped: u64,
    /// The last time that a poll was answered in full.
    pub last_ok: Option<Moment>,
}

/// Alarms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmTally {
    /// Occurrences that began.
    pub raised: u64,
    /// The same by class and level, e.g. `gas/2`.
    pub by: BTreeMap<String, u64>,
    /// Rises to a higher level.
    pub worse: u64,
    /// Acknowledgements, with the time since the alarm was raised or became worse.
    pub to_ack: Durations,
    /// Causes that went away, with the time since the alarm was raised.
    pub to_clear: Durations,
    /// Shelvings.
    pub shelved: u64,
    /// Floods.
    pub floods: u64,
    /// Times that an alarm began to chatter.
    pub chattering: u64,
    /// Occurrences of drills, tests and commissioning; in none of the numbers above.
    pub not_real: u64,
}

/// The clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockTally {
    /// Time with a disciplined clock, in milliseconds.
    pub synced_ms: u64,
    /// Time with a clock running free after it was disciplined.
    pub holdover_ms: u64,
    /// Time with a clock that was not disciplined since the start.
    pub unsynced_ms: u64,
    /// Steps: when (by the new clock) and by how many milliseconds.
    pub steps: Vec<(Timestamp, i64)>,
    /// Steps beyond those listed.
    pub more_steps: u64,
}

/// An episode of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteLine {
    /// When.
    pub at: Timestamp,
    /// Zone.
    pub zone: String,
    /// State.
    pub state: String,
    /// Whether it is a drill.
    pub drill: bool,
}

/// Duty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyTally {
    /// Handovers.
    pub handovers: u64,
    /// Shifts that nobody took over in time.
    pub not_taken: u64,
    /// Duty checks asked.
    pub asked: u64,
    /// Duty checks answered in time, with the time it took.
    pub answered: Durations,
    /// Duty checks whose time ran out.
    pub unanswered: u64,
    /// Answers that came too late.
    pub late: u64,
}

/// Hidden hazards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HazardTally {
    /// Found by people.
    pub found: u64,
    /// Proposed by the gateway.
    pub proposed: u64,
    /// Not proposed because too many proposals are open.
    pub not_proposed: u64,
    /// Dismissed, with a reason.
    pub dismissed: u64,
    /// Accepted.
    pub accepted: u64,
    /// Returned at acceptance.
    pub returned: u64,
    /// Closed.
    pub closed: u64,
    /// Escalations because of the time limit.
    pub overdue: u64,
}

/// Accidents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccidentTally {
    /// Opened.
    pub opened: u64,
    /// Reports confirmed.
    pub reports: u64,
    /// First reports whose hour ran out.
    pub late: u64,
}

/// What stood open when the span began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedTally {
    /// Alarms.
    pub alarms: u64,
    /// Hidden hazards.
    pub hazards: u64,
    /// Accidents without a final report.
    pub accidents: u64,
}

/// Everything that was counted over a span.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// By device.
    pub devices: BTreeMap<String, DeviceTally>,
    /// Alarms.
    pub alarms: AlarmTally,
    /// Starts of the gateway.
    pub boots: u64,
    /// Starts after an end that was no orderly stop.
    pub unclean: u64,
    /// Starts of which nobody knows how long the gateway was off before.
    pub off_unknown: u64,
    /// Time off, in milliseconds.
    pub off_ms: u64,
    /// The clock.
    pub clock: ClockTally,
    /// States that the site entered.
    pub site: Vec<SiteLine>,
    /// States beyond those listed.
    pub more_site: u64,
    /// States other than normal that were entered in earnest.
    pub site_real: u64,
    /// Drills begun.
    pub drills: u64,
    /// Duty.
    pub duty: DutyTally,
    /// Hidden hazards.
    pub hazards: HazardTally,
    /// Accidents.
    pub accidents: AccidentTally,
    /// What stood open when it began.
    #[serde(default)]
    pub carried: CarriedTally,
    /// Passages by direction and class: some dozens of words at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub passages: BTreeMap<String, u64>,
    /// Writes to outputs that were done.
    pub outputs_done: u64,
    /// Writes to outputs that were not done, or not seen to be.
    pub outputs_failed: u64,
    /// Whether facts are in it of which nobody knows whether they belong here.
    pub undated: bool,
}

impl Tally {
    pub(super) fn coverage(&mut self, fact: &CoverageFact, at: Moment) {
        let device = match self.devices.get_mut(&fact.device) {
            Some(device) => device,
            None => self.devices.entry(fact.device.clone()).or_default(),
        };
        device.watched_ms += ms(fact.span);
        device.due += u64::from(fact.due);
        device.ok += u64::from(fact.ok);
        device.bad += u64::from(fact.bad);
        device.skipped += u64::from(fact.skipped);
        if fact.ok > 0 {
            device.last_ok = Some(at);
        }
    }

    pub(super) fn passed(&mut self, trust: ClockTrust, elapsed: Duration) {
        let clock = &mut self.clock;
        *match trust {
            ClockTrust::Synced => &mut clock.synced_ms,
            ClockTrust::Holdover => &mut clock.holdover_ms,
            ClockTrust::Unsynced => &mut clock.unsynced_ms,
        } += ms(elapsed);
    }

    pub(super) fn step(&mut self, at: Timestamp, offset_ms: i64) {
        if self.clock.steps.len() < MAX_LISTED {
            self.clock.steps.push((at, offset_ms));
        } else {
            self.clock.more_steps += 1;
        }
    }

    pub(super) fn site(&mut self, line: SiteLine) {
        if line.state != "normal" {
            *(if line.drill { &mut self.drills } else { &mut self.site_real }) += 1;
        }
        if self.site.len() < MAX_LISTED {
            self.site.push(line);
        } else {
            self.more_site += 1;
        }
    }

    pub(super) fn count(&mut self, count: Count) {
        let (duty, hazards, accidents) = (&mut self.duty, &mut self.hazards, &mut self.accidents);
        let counter = match count {
            Count::Answered(after) => return duty.answered.add(Some(after)),
            Count::Handover => &mut duty.handovers,
            Count::NotTaken => &mut duty.not_taken,
            Count::Asked => &mut duty.asked,
            Count::Unanswered => &mut duty.unanswered,
            Count::Late => &mut duty.late,
            Count::Found => &mut hazards.found,
            Count::Proposed => &mut hazards.proposed,
            Count::NotProposed => &mut hazards.not_proposed,
            Count::Dismissed => &mut hazards.dismissed,
            Count::Accepted => &mut hazards.accepted,
            Count::Returned => &mut hazards.returned,
            Count::Closed => &mut hazards.closed,
            Count::Overdue => &mut hazards.overdue,
            Count::AccidentOpened => &mut accidents.opened,
            Count::AccidentReport => &mut accidents.reports,
            Count::AccidentLate => &mut accidents.late,
        };
        *counter += 1;
    }

    /// Dates what was counted under a clock that nobody knew, by one that is trusted.
    pub(super) fn settle(&mut self, boot: u32, now: Now) {
        self.devices.values_mut().filter_map(|device| device.last_ok.as_mut()).for_each(|m| m.settle(boot, now));
    }

    /// Adds another span to this one.
    pub(super) fn merge(&mut self, other: &Tally) {
        for (id, theirs) in &other.devices {
            let ours = self.devices.entry(id.clone()).or_default();
            ours.watched_ms += theirs.watched_ms;
            ours.due += theirs.due;
            ours.ok += theirs.ok;
            ours.bad += theirs.bad;
            ours.skipped += theirs.skipped;
            ours.last_ok = [ours.last_ok, theirs.last_ok].into_iter().flatten().max_by_key(|moment| moment.wall);
        }
        self.alarms.merge(&other.alarms);
        self.boots += other.boots;
        self.unclean += other.unclean;
        self.off_unknown += other.off_unknown;
        self.off_ms += other.off_ms;
        self.clock.synced_ms += other.clock.synced_ms;
        self.clock.holdover_ms += other.clock.holdover_ms;
        self.clock.unsynced_ms += other.clock.unsynced_ms;
        other.clock.steps.iter().for_each(|(at, offset)| self.step(*at, *offset));
        self.clock.more_steps += other.clock.more_steps;
        let (real, drills) = (self.site_real, self.drills);
        other.site.iter().for_each(|line| self.site(line.clone()));
        self.more_site += other.more_site;
        (self.site_real, self.drills) = (real + other.site_real, drills + other.drills);
        self.duty.merge(&other.duty);
        self.hazards.merge(&other.hazards);
        self.accidents.opened += other.accidents.opened;
        self.accidents.reports += other.accidents.reports;
        self.accidents.late += other.accidents.late;
        self.carried.merge(&other.carried);
        other.passages.iter().for_each(|(counter, n)| *self.passages.entry(counter.clone()).or_default() += n);
        self.outputs_done += other.outputs_done;
        self.outputs_failed += other.outputs_failed;
        self.undated |= other.undated;
    }
}

impl CarriedTally {
    /// The most of either: what stood in both is one thing.
    pub(super) fn merge(&mut self, other: &Self) {
        self.alarms = self.alarms.max(other.alarms);
        self.hazards = self.hazards.max(other.hazards);
        self.accidents = self.accidents.max(other.accidents);
    }
}

impl AlarmTally {
    fn merge(&mut self, other: &Self) {
        self.raised += other.raised;
        other.by.iter().for_each(|(key, n)| *self.by.entry(key.clone()).or_default() += n);
        self.worse += other.worse;
        self.to_ack.merge(&other.to_ack);
        self.to_clear.merge(&other.to_clear);
        self.shelved += other.shelved;
        self.floods += other.floods;
        self.chattering += other.chattering;
        self.not_real += other.not_real;
    }
}

impl DutyTally {
    fn merge(&mut self, other: &Self) {
        self.handovers += other.handovers;
        self.not_taken += other.not_taken;
        self.asked += other.asked;
        self.answered.merge(&other.answered);
        self.unanswered += other.unanswered;
        self.late += other.late;
    }
}

impl HazardTally {
    fn merge(&mut self, other: &Self) {
        self.found += other.found;
        self.proposed += other.proposed;
        self.not_proposed += other.not_proposed;
        self.dismissed += other.dismissed;
        self.accepted += other.accepted;
        self.returned += other.returned;
        self.closed += other.closed;
        self.overdue += other.overdue;
    }
}
