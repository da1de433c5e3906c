//! What stands open, as it stood when each day ended: a report may be made hours after the end of its day, and must tell of
//! the day, not of those hours. And what a day began with: a day over which something stood is no nil day, even when nothing
//! of it moved.
//!
//! ```text
//!        cut             cut    at: report of the day between the cuts
//!  ───────┼───────────────┼─────────┼──▶
//!   carried over      stood at the end
//! ```

use serde::{Deserialize, Serialize};

use super::Daybook;
use super::calendar::Date;
use super::hazard::Grade;
use super::memory::OpenAlarm;
use super::report::{HazardSection, MAX_NAMED, OpenLine};
use super::tally::CarriedTally;

/// What stands open at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) n_alarms: u64,
    /// The oldest of them, at most [`MAX_NAMED`].
    pub(super) alarms: Vec<OpenLine>,
    /// Without the steps of the day.
    pub(super) hazards: HazardSection,
    pub(super) accidents: u64,
}

impl Standing {
    fn carried(&self) -> CarriedTally {
        let hazards = self.hazards.open.values().sum();
        CarriedTally { alarms: self.n_alarms, hazards, accidents: self.accidents }
    }
}

impl Daybook {
    /// Returns what stands open now.
    pub(super) fn standing(&self) -> Standing {
        let line = |(occ, open): (&String, &OpenAlarm)| OpenLine {
            alarm: open.alarm.clone(),
            occ: occ.clone(),
            class: open.class.clone(),
            level: open.level,
            since: open.raised.wall,
            acknowledged: open.unacked.is_none(),
        };
        let mut alarms: Vec<OpenLine> = self.memory.open.iter().map(line).collect();
        alarms.sort_by(|a, b| (a.since, &a.occ).cmp(&(b.since, &b.occ)));
        let n_alarms = alarms.len() as u64;
        alarms.truncate(MAX_NAMED);
        Standing { n_alarms, alarms, hazards: self.hazards_open(), accidents: self.memory.accidents.open() as u64 }
    }

    /// Returns what stood open at the end of a day; of one that is not over, what stands now.
    pub(super) fn standing_of(&self, date: Date) -> Standing {
        // Of days that ended unseen one after the other the last is kept: nothing moved in between.
        let ended = self.memory.ended.range(date..).next();
        ended.map_or_else(|| self.standing(), |(_, standing)| standing.clone())
    }

    /// Notes what stands at the end of the days before `today`, if that was not done yet. To be called before anything is
    /// changed today.
    pub(super) fn end_days(&mut self, today: Date) {
        let last = self.memory.ended.last_key_value().map(|(date, _)| date.plus(1));
        if last.or(self.memory.next).is_none_or(|open| today <= open) {
            return;
        }
        let standing = self.standing();
        self.carry(standing.carried(), today);
        self.memory.ended.insert(today.plus(-1), standing);
    }

    /// The clock says that these days are not over after all: they end again.
    pub(super) fn days_come_again(&mut self, today: Date) {
        if self.memory.ended.last_key_value().is_some_and(|(last, _)| *last >= today) {
            drop(self.memory.ended.split_off(&today));
        }
    }

    /// A day whose account begins anew in its middle begins with what stands now.
    pub(super) fn begin_anew(&mut self, today: Date) {
        let carried = self.standing().carried();
        self.carry(carried, today);
    }

    fn carry(&mut self, carried: CarriedTally, today: Date) {
        if carried == CarriedTally::default() {
            return;
        }
        // A day that is reported takes nothing more.
        let date = self.memory.next.map_or(today, |next| today.max(next));
        self.memory.days.entry(date).or_default().carried.merge(&carried);
    }

    fn hazards_open(&self) -> HazardSection {
        let mut section = HazardSection::default();
        for hazard in self.memory.hazards.open() {
            let state = format!("{:?}", hazard.state).to_lowercase();
            *section.open.entry(state).or_default() += 1;
            section.open_major += u64::from(hazard.grade == Some(Grade::Major));
            section.open_overdue += u64::from(hazard.overdue > 0);
            section.open_listed += u64::from(hazard.listed.is_some());
        }
        section
    }
}
