//! What was recorded after the last save, followed at a restart: each record does to the memory what the step did of which it
//! tells, and counts what it counted. Nothing is proposed, made, asked or recorded again by it. So a kill between a record and
//! the next save loses nothing that was recorded.
//!
//! What no record tells is not brought back: floods and chattering of the moments since the save, proposals that found no room.

use std::time::Duration;

use serde::Deserialize;

use super::accident::{Accident, AccidentRecord, Accidents, NoteKind, Stage};
use super::duty::{CHECK_STALE, Check, CheckLine, CheckState, Duty, DutyRecord, ShiftLine, Watch};
use super::effect::{Context, Count, Delivery, Due, Limit};
use super::fact::{Fact, Moment, ms};
use super::hazard::{HazardRecord, HazardState, HazardStep};
use super::hazards::{self, Hazards};
use super::making::late_after;
use super::memory::{DEVICE_SILENT, Memory, Reported, UnderWay};
use super::report::{DailyReport, DeliveryReport, OmittedReport, ReportKind};
use super::reports::MAX_UNDER_WAY;
use super::{Daybook, Saved};
use crate::domain::actor::Via;
use crate::domain::time::{ClockTrust, Now};

/// A record of before the restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Start in which it was made.
    pub boot: u32,
    /// When, by the clocks of then.
    pub at: Now,
    /// Its number in its stream.
    pub seq: u64,
    /// What it tells.
    pub word: Word,
}

/// What a record tells the daybook.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// A fact of the day.
    Fact(Fact),
    /// A document of kind `duty`.
    Duty(Box<DutyRecord>),
    /// A document of kind `hazard`.
    Hazard(Box<HazardRecord>),
    /// A document of kind `accident`.
    Accident(Box<AccidentRecord>),
    /// A document of kind `report`.
    Report(Box<ReportRecord>),
}

/// A document of kind `report`, by its `what`.
#[derive(Clone, Debug, PartialEq)]
pub enum ReportRecord {
    /// A version of a daily or nil report.
    Day(Box<DailyReport>),
    /// Days without one.
    Omitted(OmittedReport),
    /// One has reached the platform.
    Delivery(DeliveryReport),
}

impl<'de> Deserialize<'de> for ReportRecord {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let value = serde_json::Value::deserialize(deserializer)?;
        let what = value.get("what").cloned().unwrap_or_default();
        let record = match serde_json::from_value(what).map_err(D::Error::custom)? {
            ReportKind::Daily | ReportKind::Nil => {
                serde_json::from_value(value).map(|report| Self::Day(Box::new(report)))
            }
            ReportKind::Omitted => serde_json::from_value(value).map(Self::Omitted),
            ReportKind::Delivery => serde_json::from_value(value).map(Self::Delivery),
        };
        record.map_err(D::Error::custom)
    }
}

impl Daybook {
    /// Goes on with what an earlier run has saved, and the records made since, in their order. To be called once, at the start:
    /// `new`, `install`, `restore`, then the fact of the boot, so that the time off is known before the reports that were
    /// missed in it are made.
    pub fn restore(&mut self, saved: Option<Saved>, later: impl IntoIterator<Item = Past>, now: Now) {
        let here = Moment::of(self.boot, now.mono, now);
        let boot = self.boot;
        let (mut last, looked, memory) = match saved {
            Some(Saved { at, looked, memory }) => (Some(at), looked.or(Some(at)), memory),
            None => (None, None, Memory::default()),
        };
        let installed = std::mem::replace(&mut self.memory, memory).devices;
        self.follows = true;
        self.last = looked.map_or(now, clock_of);
        for past in later {
            let at = Moment::of(past.boot, past.at.mono, past.at);
            match last {
                Some(before) if before.boot == at.boot => {}
                Some(before) => {
                    self.memory.resume(before, at);
                    self.last = past.at;
                }
                None => self.last = past.at,
            }
            self.boot = past.boot;
            // Streams are read one after the other: what is a moment older brings no time back.
            if past.at.mono >= self.last.mono {
                self.keep_time(past.at);
            }
            self.follow(past);
            last = Some(at);
        }
        self.follows = false;
        (self.boot, self.last, self.today) = (boot, now, None);
        if let Some(before) = last {
            self.memory.resume(before, here);
        }
        self.memory.install(installed.keys().map(String::as_str), here);
        self.with(now, |memory, cx| {
            memory.duty.say_again(cx);
            memory.hazards.say_again(cx);
            memory.accidents.say_again(cx);
        });
    }

    fn follow(&mut self, past: Past) {
        let Past { at, seq, word, .. } = past;
        match word {
            Word::Fact(fact) => self.handle(fact, at.mono, at),
            Word::Duty(record) => self.with(at, |memory, cx| memory.duty.follow(*record, cx)),
            Word::Hazard(record) => {
                let silent = record.hazard.cause.as_deref().and_then(|cause| cause.strip_prefix(DEVICE_SILENT));
                if let Some(device) = silent.and_then(|device| self.memory.devices.get_mut(device)) {
                    device.proposed |= record.step == HazardStep::Find;
                }
                self.with(at, |memory, cx| memory.hazards.follow(*record, cx));
            }
            Word::Accident(record) => {
                if let AccidentRecord::Report(report) = &*record {
                    let due = match report.stage {
                        Stage::First => Due { at: report.accident.due_at, grace_ms: 0 },
                        Stage::Continued | Stage::Final | Stage::Supplement => {
                            Due { at: report.generated_at, grace_ms: ms(self.rules.report.late_after) }
                        }
                    };
                    let of = Delivery::Accident { accident: report.accident.id.clone(), no: report.no };
                    let generated_at = report.generated_at;
                    self.follow_under_way(UnderWay { of, seq: Some(seq), hash: None, due, generated_at });
                }
                self.with(at, |memory, cx| memory.accidents.follow(*record, cx));
            }
            Word::Report(record) => self.follow_report(*record, seq),
        }
    }

    fn follow_report(&mut self, record: ReportRecord, seq: u64) {
        match record {
            ReportRecord::Delivery(arrived) => self.memory.under_way.retain(|under_way| under_way.of != arrived.of),
            ReportRecord::Omitted(OmittedReport { from_day, to_day, .. }) => {
                self.hand_on_omitted(from_day, to_day);
                self.memory.next = self.memory.next.max(Some(to_day.plus(1)));
            }
            ReportRecord::Day(report) => {
                let (day, version, hash) = (report.day, report.version, report.hash);
                self.take_undated(day);
                self.memory.changed.remove(&day);
                let adds_to = report.adds_to.clone();
                self.memory.reported.insert(day, Reported { version, hash, gone: false, adds_to });
                let due = Due { at: report.due_at, grace_ms: late_after(&self.rules.report) };
                let generated_at = report.generated_at;
                let of = Delivery::Daily { day, version };
                self.follow_under_way(UnderWay { of, seq: Some(seq), hash: Some(hash), due, generated_at });
                self.memory.reports.insert(day, *report);
                self.memory.next = self.memory.next.max(Some(day.plus(1)));
            }
        }
    }

    fn follow_under_way(&mut self, under_way: UnderWay) {
        let all = &mut self.memory.under_way;
        all.retain(|known| known.of != under_way.of);
        all.push(under_way);
        if all.len() > MAX_UNDER_WAY {
            all.remove(0);
        }
    }
}

/// The clock at a moment, as far as the moment knows it.
fn clock_of(at: Moment) -> Now {
    let trust = if at.trusted { ClockTrust::Synced } else { ClockTrust::Unsynced };
    Now { mono: at.mono(), wall: at.wall, trust }
}

impl Duty {
    fn follow(&mut self, record: DutyRecord, cx: &mut Context<'_>) {
        match record {
            DutyRecord::Shift(line) => {
                let limit = Limit::new(cx.now, cx.rules.duty.handover_within);
                self.watch = Some(Watch { line, limit, taken_by: None, not_taken: false });
            }
            DutyRecord::Handover { shift, by, .. } => {
                cx.count(Count::Handover);
                if let Some(watch) = self.watch_of(&shift) {
                    (watch.taken_by, watch.not_taken) = (Some(by.name), false);
                }
            }
            DutyRecord::NotTaken(line) => {
                cx.count(Count::NotTaken);
                if let Some(watch) = self.watch_of(&line) {
                    watch.not_taken = true;
                }
            }
            DutyRecord::Roster { date, shift, operator, leader, .. } => self.put(date, shift, operator, leader),
            DutyRecord::Check(line) => self.follow_check(line, cx),
        }
    }

    fn watch_of(&mut self, line: &ShiftLine) -> Option<&mut Watch> {
        self.watch.as_mut().filter(|watch| watch.line.date == line.date && watch.line.shift == line.shift)
    }

    fn follow_check(&mut self, line: CheckLine, cx: &mut Context<'_>) {
        let of = |checks: &mut Vec<Check>| {
            let at = checks.iter().position(|check| check.line.check == line.check);
            at.map(|at| checks.remove(at))
        };
        match line.state {
            CheckState::Asked => {
                cx.count(Count::Asked);
                if line.asked_by.via == Via::Gateway {
                    self.note_scheduled(&line, cx);
                }
                let limit = Limit::new(cx.now, Duration::from_millis(line.limit_ms));
                self.open.push(Check { line, limit });
            }
            CheckState::Answered => {
                cx.count(Count::Answered(Duration::from_millis(line.after_ms.unwrap_or_default())));
                of(&mut self.open);
                // Somebody is there: what stood unanswered before is history.
                self.expired.clear();
            }
            CheckState::Unanswered => {
                cx.count(Count::Unanswered);
                if let Some(check) = of(&mut self.open) {
                    self.expired.push(Check { line, ..check });
                }
            }
            CheckState::Late => {
                cx.count(Count::Late);
                of(&mut self.expired);
            }
        }
    }

    /// A scheduled check that was asked is not asked again.
    fn note_scheduled(&mut self, line: &CheckLine, cx: &Context<'_>) {
        let today = cx.calendar.date_at(line.asked_at);
        for date in [today.plus(-1), today] {
            for time in &cx.rules.duty.checks {
                let due = cx.calendar.instant(date, *time);
                if due <= line.asked_at && line.asked_at < due.after(CHECK_STALE) {
                    self.asked.insert((date, *time));
                }
            }
        }
    }
}

impl Hazards {
    fn follow(&mut self, record: HazardRecord, cx: &mut Context<'_>) {
        let HazardRecord { step, hazard, .. } = record;
        let count = if step == HazardStep::Find {
            Some(if hazard.cause.is_some() { Count::Proposed } else { Count::Found })
        } else if step == HazardStep::Overdue {
            Some(Count::Overdue)
        } else {
            hazards::counted(step)
        };
        count.into_iter().for_each(|count| cx.count(count));
        if hazard.state.is_over() {
            self.open.remove(&hazard.id);
            hazard.cause.map(|cause| self.by_cause.remove(&cause));
            return;
        }
        if let Some(cause) = &hazard.cause {
            self.by_cause.insert(cause.clone(), hazard.id.clone());
        }
        self.open.insert(hazard.id.clone(), hazard);
    }

    /// Says again which are overdue: whoever made an alarm of it has started anew.
    fn say_again(&self, cx: &mut Context<'_>) {
        let overdue = |hazard: &&super::Hazard| hazard.overdue > 0 && hazard.state == HazardState::Rectifying;
        for hazard in self.open.values().filter(overdue) {
            hazards::flag(hazard, true, cx);
        }
    }
}

impl Accidents {
    fn follow(&mut self, record: AccidentRecord, cx: &mut Context<'_>) {
        match record {
            AccidentRecord::Note { note, accident: line, draft, .. } => {
                if note == NoteKind::Opened {
                    cx.count(Count::AccidentOpened);
                    let hour = line.due_at.0.saturating_sub(line.known_at.0);
                    let limit = Limit::new(cx.now, Duration::from_millis(u64::try_from(hour).unwrap_or_default()));
                    self.known.insert(line.id.clone(), Accident::new(line, limit));
                    return;
                }
                if note == NoteKind::Withdrawn {
                    self.known.remove(&line.id);
                    return;
                }
                let Some(accident) = self.known.get_mut(&line.id) else { return };
                match note {
                    NoteKind::Drafted => {
                        accident.drafts = draft.as_ref().map_or(accident.drafts, |draft| draft.no);
                        accident.draft = draft;
                    }
                    NoteKind::DueSoon => accident.warned = true,
                    NoteKind::Late => {
                        accident.late = true;
                        cx.count(Count::AccidentLate);
                    }
                    NoteKind::Opened | NoteKind::Withdrawn => {}
                }
            }
            AccidentRecord::Report(report) => {
                cx.count(Count::AccidentReport);
                if let Some(accident) = self.known.get_mut(&report.accident.id) {
                    accident.draft = None;
                    accident.reports = report.no;
                    accident.last = accident.last.max(Some(report.stage));
                }
            }
        }
    }

    fn say_again(&self, cx: &mut Context<'_>) {
        for accident in self.known.values().filter(|accident| accident.last.is_none()) {
            super::accident::raise(accident, cx);
        }
    }
}

impl Duty {
    fn say_again(&self, cx: &mut Context<'_>) {
        self.expired.iter().for_each(|check| super::duty::unanswered(&check.line, true, cx));
        if let Some(watch) = self.watch.as_ref().filter(|watch| watch.not_taken) {
            super::duty::not_taken(&watch.line, true, cx);
        }
    }
}
