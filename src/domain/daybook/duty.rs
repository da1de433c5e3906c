//! Duty (值班): who is on, with the leader (带班); the handover; the duty check (查岗, `domain.md` rules 122 and 123).
//!
//! ```text
//!  shift begins ──▶ waiting for handover ──taken over──▶ on duty ──next shift──▶ …
//!                          └─ time up ─▶ not taken (flag) ─taken over─▶ on duty
//!
//!  asked ──answer of a person──▶ answered            a check is closed by the first answer in time;
//!    └─ time up ─▶ unanswered (flag) ─answer─▶ late   a late answer is recorded and stays late
//! ```
//!
//! Limits run on the monotonic clock. Shifts and scheduled checks follow the clock on the wall, where it is known: one that
//! goes back does not begin a shift, nor ask a check, a second time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calendar::{Date, Minute};
use super::effect::{Context, Count, Done, FlagKind, Limit, needs, person, text};
use super::fact::{Moment, ms};
use super::rules::{RosterDay, Shift};
use crate::domain::actor::{Actor, Refused, Role, Via};
use crate::domain::document::DocumentKind;
use crate::domain::time::{Mono, Timestamp};

/// Duty checks that wait for an answer: the platform asks one at a time; sixteen at once is somebody's mistake, and refused.
pub const MAX_OPEN_CHECKS: usize = 16;
/// Checks past their time that are remembered, so that a late answer still finds its question; the oldest goes.
pub const MAX_EXPIRED_CHECKS: usize = 64;
/// Roster entries made by command: a year of three shifts; the oldest day goes.
pub const MAX_ASSIGNED: usize = 1100;
/// A scheduled check that was due longer ago is not asked any more: the gateway was off, or the clock was stepped.
pub(super) const CHECK_STALE: Duration = Duration::from_secs(600);
/// A shift that begins so much before the current one is no clock set back an hour, but one that was far ahead.
const FAR_BACK_MS: i64 = 26 * 3_600_000;

/// What can be done about duty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum DutyAction {
    /// The actor takes over the current shift.
    TakeOver {
        /// What the shift before leaves behind.
        note: String,
    },
    /// Puts people on a shift of one date.
    Assign {
        /// Date on which the shift begins.
        date: Date,
        /// The shift.
        shift: String,
        /// Operator.
        operator: String,
        /// Leader (带班).
        leader: String,
    },
    /// Asks whether somebody is there.
    Ask {
        /// Minutes for the answer, 1..=255.
        limit_min: u8,
        /// The asker's own number for it; may be empty.
        reference: String,
    },
    /// Answers a check: the given one, or the oldest that waits.
    Answer {
        /// Id of the check; empty for the oldest.
        check: String,
        /// Comment; may be empty.
        note: String,
    },
}

/// The object of a `duty` document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum DutyRecord {
    /// A shift began.
    Shift(ShiftLine),
    /// Somebody took over.
    Handover {
        /// The shift.
        #[serde(flatten)]
        shift: ShiftLine,
        /// Who took over.
        by: Actor,
        /// When.
        at: Timestamp,
        /// After how long from the beginning of the shift, in milliseconds.
        after_ms: u64,
        /// Later than the limit.
        late: bool,
        /// What the shift before leaves behind.
        note: String,
    },
    /// Nobody took over in time.
    NotTaken(ShiftLine),
    /// People were put on a shift.
    Roster {
        /// Date on which the shift begins.
        date: Date,
        /// The shift.
        shift: String,
        /// Operator.
        operator: String,
        /// Leader.
        leader: String,
        /// Who did it.
        by: Actor,
    },
    /// A check was asked, answered, or its time ran out.
    Check(CheckLine),
}

/// A shift with its people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftLine {
    /// Date on which it begins.
    pub date: Date,
    /// Its name.
    pub shift: String,
    /// When it began.
    pub begins: Timestamp,
    /// Operator by the roster; absent where the roster has nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Leader by the roster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
}

/// A duty check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckLine {
    /// Its id.
    pub check: String,
    /// `asked`, `answered`, `unanswered` or `late`.
    pub state: CheckState,
    /// Who asked.
    pub asked_by: Actor,
    /// The asker's own number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// When.
    pub asked_at: Timestamp,
    /// Time for the answer, in milliseconds.
    pub limit_ms: u64,
    /// Operator on duty by the roster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// When it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// After how long, in milliseconds, on the monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// Comment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// State of a duty check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Waiting.
    Asked,
    /// Answered in time.
    Answered,
    /// Its time ran out.
    Unanswered,
    /// Answered after its time.
    Late,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) line: CheckLine,
    pub(super) limit: Limit,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Watch {
    pub(super) line: ShiftLine,
    pub(super) limit: Limit,
    pub(super) taken_by: Option<String>,
    pub(super) not_taken: bool,
}

/// The duty machine; also what is saved of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Duty {
    assigned: BTreeMap<Date, BTreeMap<String, (String, String)>>,
    pub(super) watch: Option<Watch>,
    pub(super) open: Vec<Check>,
    pub(super) expired: Vec<Check>,
    pub(super) asked: BTreeSet<(Date, Minute)>,
    made: u64,
}

/// Who is on duty, for the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DutyView {
    /// The current shift; `None` without shifts, or while the clock is not known.
    pub shift: Option<ShiftLine>,
    /// Who took it over.
    pub taken_by: Option<String>,
    /// Whether nobody did, although it was time.
    pub not_taken: bool,
    /// Checks that wait for an answer, each with the time left.
    pub waiting: Vec<(CheckLine, Duration)>,
}

impl Duty {
    /// Looks at the clock. `known` is false while nobody knows what time it is.
    pub(super) fn look(&mut self, known: bool, cx: &mut Context<'_>) {
        self.expire(cx);
        if known {
            self.change_shift(cx);
            self.scheduled(cx);
        }
        self.watch_handover(cx);
    }

    pub(super) fn next_timeout(&self) -> Option<Mono> {
        let handover = self.watch.as_ref().filter(|watch| watch.taken_by.is_none() && !watch.not_taken);
        self.open.iter().map(|check| check.limit.ends()).chain(handover.map(|watch| watch.limit.ends())).min()
    }

    pub(super) fn resume(&mut self, saved: Moment, now: Moment) {
        self.open.iter_mut().chain(&mut self.expired).for_each(|check| check.limit.resume(saved, now));
        self.watch.iter_mut().for_each(|watch| watch.limit.resume(saved, now));
    }

    pub(super) fn view(&self, now: Mono) -> DutyView {
        let left = |check: &Check| (check.line.clone(), Duration::from_millis(ms(check.limit.ends().since(now))));
        DutyView {
            shift: self.watch.as_ref().map(|watch| watch.line.clone()),
            taken_by: self.watch.as_ref().and_then(|watch| watch.taken_by.clone()),
            not_taken: self.watch.as_ref().is_some_and(|watch| watch.not_taken),
            waiting: self.open.iter().map(left).collect(),
        }
    }

    pub(super) fn act(&mut self, action: DutyAction, actor: &Actor, cx: &mut Context<'_>) -> Result<Done, Refused> {
        match action {
            DutyAction::TakeOver { note } => self.take_over(&note, actor, cx),
            DutyAction::Assign { date, shift, operator, leader } => {
                self.assign((date, shift), (operator, leader), actor, cx)
            }
            DutyAction::Ask { limit_min, reference } => {
                if actor.via != Via::Platform {
                    needs(actor, &[Role::Supervisor])?;
                }
                let limit = Duration::from_secs(60 * u64::from(limit_min.max(1)));
                self.ask(actor.clone(), reference, limit, cx)
            }
            DutyAction::Answer { check, note } => self.answer(&check, note, actor, cx),
        }
    }

    fn take_over(&mut self, note: &str, actor: &Actor, cx: &mut Context<'_>) -> Result<Done, Refused> {
        person(actor)?;
        needs(actor, &[Role::Operator, Role::Supervisor])?;
        let Some(watch) = &mut self.watch else {
            return Err(Refused::new(
                "没有班次：未配置，或时钟未知",
                "there is no shift: none is configured, or nobody knows the time",
            ));
        };
        let note = if note.trim().is_empty() { String::new() } else { text(note, "交接内容", "the note")? };
        let after = watch.limit.elapsed(cx.now.mono);
        watch.taken_by = Some(actor.name.clone());
        let late = std::mem::take(&mut watch.not_taken);
        let record = DutyRecord::Handover {
            shift: watch.line.clone(),
            by: actor.clone(),
            at: cx.now.wall,
            after_ms: ms(after),
            late,
            note,
        };
        let name = watch.line.shift.clone();
        cx.tell(DocumentKind::Duty, &record);
        cx.count(Count::Handover);
        if late {
            not_taken(&watch.line, false, cx);
        }
        Ok(Done::new(&*name, format!("已接班：{name}"), format!("shift {name} taken over")))
    }

    fn assign(
        &mut self,
        (date, shift): (Date, String),
        (operator, leader): (String, String),
        actor: &Actor,
        cx: &mut Context<'_>,
    ) -> Result<Done, Refused> {
        person(actor)?;
        needs(actor, &[Role::Supervisor])?;
        if !cx.rules.duty.shifts.iter().any(|known| known.name == shift) {
            return Err(Refused::new(format!("没有班次“{shift}”"), format!("there is no shift `{shift}`")));
        }
        let operator = text(&operator, "值班人", "the operator")?;
        let leader = text(&leader, "带班领导", "the leader")?;
        self.put(date, shift.clone(), operator.clone(), leader.clone());
        let id = format!("{date} {shift}");
        let record = DutyRecord::Roster { date, shift, operator, leader, by: actor.clone() };
        cx.tell(DocumentKind::Duty, &record);
        Ok(Done::new(&*id, format!("已排班：{id}"), format!("roster set for {id}")))
    }

    /// Puts people on a shift.
    pub(super) fn put(&mut self, date: Date, shift: String, operator: String, leader: String) {
        if let Some(watch) = self.watch.as_mut().filter(|watch| watch.line.date == date && watch.line.shift == shift) {
            watch.line.operator = Some(operator.clone());
            watch.line.leader = Some(leader.clone());
        }
        self.assigned.entry(date).or_default().insert(shift, (operator, leader));
        while self.assigned.values().map(BTreeMap::len).sum::<usize>() > MAX_ASSIGNED {
            self.assigned.pop_first();
        }
    }

    fn ask(
        &mut self,
        asked_by: Actor,
        reference: String,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Result<Done, Refused> {
        if self.open.len() >= MAX_OPEN_CHECKS {
            return Err(Refused::new(
                format!("已有 {MAX_OPEN_CHECKS} 次查岗等待应答"),
                format!("{MAX_OPEN_CHECKS} duty checks wait for an answer already"),
            ));
        }
        self.made += 1;
        let line = CheckLine {
            check: format!("dc-{}-{}", cx.boot, self.made),
            state: CheckState::Asked,
            asked_by,
            reference,
            asked_at: cx.now.wall,
            limit_ms: ms(limit),
            operator: self.watch.as_ref().and_then(|watch| watch.line.operator.clone()),
            answered_at: None,
            after_ms: None,
            by: None,
            note: String::new(),
        };
        let id = line.check.clone();
        cx.tell(DocumentKind::Duty, &DutyRecord::Check(line.clone()));
        cx.count(Count::Asked);
        self.open.push(Check { line, limit: Limit::new(cx.now, limit) });
        let minutes = limit.as_secs() / 60;
        Ok(Done::new(
            &*id,
            format!("查岗 {id}，{minutes} 分钟内应答"),
            format!("duty check {id}, to be answered in {minutes} min"),
        ))
    }

    fn answer(&mut self, id: &str, note: String, actor: &Actor, cx: &mut Context<'_>) -> Result<Done, Refused> {
        person(actor)?;
        needs(actor, &[Role::Operator, Role::Supervisor, Role::Guard])?;
        if actor.via == Via::Platform {
            return Err(Refused::new("查岗须在现场应答", "a duty check is answered on site, not by who asks"));
        }
        // Whose time ran out just now, and nobody has looked yet, is late.
        self.expire(cx);
        let find = |checks: &[Check]| checks.iter().position(|check| id.is_empty() || check.line.check == id);
        let (mut check, state) = if let Some(at) = find(&self.open) {
            (self.open.remove(at), CheckState::Answered)
        } else if let Some(at) = find(&self.expired) {
            (self.expired.remove(at), CheckState::Late)
        } else {
            return Err(Refused::new("没有等待应答的查岗", "no duty check waits for an answer"));
        };
        let after = check.limit.elapsed(cx.now.mono);
        check.line.state = state;
        check.line.answered_at = Some(cx.now.wall);
        check.line.after_ms = Some(ms(after));
        check.line.by = Some(actor.clone());
        check.line.note = note.chars().take(super::effect::MAX_TEXT).collect();
        let id = check.line.check.clone();
        cx.tell(DocumentKind::Duty, &DutyRecord::Check(check.line.clone()));
        if state == CheckState::Late {
            cx.count(Count::Late);
            unanswered(&check.line, false, cx);
            return Ok(Done::new(
                &*id,
                format!("查岗 {id} 已应答，但已超时"),
                format!("duty check {id} answered, too late"),
            ));
        }
        cx.count(Count::Answered(after));
        // Somebody is there: what stood unanswered before is history, not a state.
        self.expired.drain(..).for_each(|check| unanswered(&check.line, false, cx));
        Ok(Done::new(&*id, format!("查岗 {id} 已应答"), format!("duty check {id} answered")))
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        let (over, open) = std::mem::take(&mut self.open).into_iter().partition(|c| c.limit.over(cx.now.mono));
        self.open = open;
        let over: Vec<Check> = over;
        for mut check in over {
            check.line.state = CheckState::Unanswered;
            cx.tell(DocumentKind::Duty, &DutyRecord::Check(check.line.clone()));
            cx.count(Count::Unanswered);
            unanswered(&check.line, true, cx);
            self.expired.push(check);
        }
        while self.expired.len() > MAX_EXPIRED_CHECKS {
            let oldest = self.expired.remove(0);
            unanswered(&oldest.line, false, cx);
        }
    }

    fn change_shift(&mut self, cx: &mut Context<'_>) {
        let Some((date, shift, begins)) = shift_at(&cx.rules.duty.shifts, cx) else {
            if let Some(watch) = self.watch.take().filter(|watch| watch.not_taken) {
                not_taken(&watch.line, false, cx);
            }
            return;
        };
        if let Some(watch) = &self.watch {
            let same = watch.line.date == date && watch.line.shift == shift.name;
            let back = begins <= watch.line.begins && watch.line.begins.0.saturating_sub(begins.0) < FAR_BACK_MS;
            if same || back {
                return;
            }
        }
        if let Some(watch) = self.watch.take().filter(|watch| watch.not_taken) {
            not_taken(&watch.line, false, cx);
        }
        let (operator, leader) = self.people(date, &shift.name, cx).unzip();
        let line = ShiftLine { date, shift: shift.name, begins, operator, leader };
        cx.tell(DocumentKind::Duty, &DutyRecord::Shift(line.clone()));
        let limit = Limit::new(cx.now, cx.rules.duty.handover_within);
        self.watch = Some(Watch { line, limit, taken_by: None, not_taken: false });
    }

    fn people(&self, date: Date, shift: &str, cx: &Context<'_>) -> Option<(String, String)> {
        if let Some(people) = self.assigned.get(&date).and_then(|day| day.get(shift)) {
            return Some(people.clone());
        }
        let days = [RosterDay::Date(date), RosterDay::Weekday(date.weekday()), RosterDay::Every];
        let roster = &cx.rules.duty.roster;
        let entry =
            days.iter().find_map(|day| roster.iter().find(|entry| entry.day == *day && entry.shift == shift))?;
        Some((entry.operator.clone(), entry.leader.clone()))
    }

    fn watch_handover(&mut self, cx: &mut Context<'_>) {
        let Some(watch) = &mut self.watch else { return };
        if watch.taken_by.is_some() || watch.not_taken || !watch.limit.over(cx.now.mono) {
            return;
        }
        watch.not_taken = true;
        cx.tell(DocumentKind::Duty, &DutyRecord::NotTaken(watch.line.clone()));
        cx.count(Count::NotTaken);
        not_taken(&watch.line, true, cx);
    }

    fn scheduled(&mut self, cx: &mut Context<'_>) {
        let today = cx.calendar.date_at(cx.now.wall);
        for date in [today.plus(-1), today] {
            for time in &cx.rules.duty.checks {
                let due = cx.calendar.instant(date, *time);
                let fresh = due <= cx.now.wall && cx.now.wall < due.after(CHECK_STALE);
                if fresh && self.asked.insert((date, *time)) {
                    // Refused only when too many wait already; their silence says the same.
                    drop(self.ask(Actor::gateway(), String::new(), cx.rules.duty.check_limit, cx));
                }
            }
        }
        // A clock set back or forth by an hour or a day finds them; what is further away is nothing to remember.
        self.asked.retain(|(date, _)| date.0.abs_diff(today.0) <= 2);
    }
}

/// Returns the shift on duty: date on which it began, the shift, and when.
fn shift_at(shifts: &[Shift], cx: &Context<'_>) -> Option<(Date, Shift, Timestamp)> {
    let today = cx.calendar.date_at(cx.now.wall);
    let begun = |date: Date| {
        let each = shifts.iter().map(move |shift| (date, shift, cx.calendar.instant(date, shift.begins)));
        each.filter(|(_, _, begins)| *begins <= cx.now.wall).max_by_key(|(_, _, begins)| *begins)
    };
    let (date, shift, begins) = begun(today).or_else(|| begun(today.plus(-1)))?;
    Some((date, shift.clone(), begins))
}

pub(super) fn unanswered(line: &CheckLine, active: bool, cx: &mut Context<'_>) {
    let (id, minutes) = (&line.check, line.limit_ms / 60_000);
    let zh = format!("查岗 {id} 未在 {minutes} 分钟内应答");
    let en = format!("duty check {id} was not answered within {minutes} min");
    cx.flag(FlagKind::DutyUnanswered, id, active, zh, en);
}

pub(super) fn not_taken(line: &ShiftLine, active: bool, cx: &mut Context<'_>) {
    let ShiftLine { date, shift, operator, .. } = line;
    let who = operator.as_deref().unwrap_or("无人排班");
    let en_who = operator.as_deref().unwrap_or("nobody on the roster");
    let zh = format!("{date} {shift} 无人接班（{who}）");
    let en = format!("nobody took over shift {shift} of {date} ({en_who})");
    cx.flag(FlagKind::DutyNotTaken, &format!("{date} {shift}"), active, zh, en);
}
