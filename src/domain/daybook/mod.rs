//! The daybook (台账): what happened on a day of the park, who was on duty, which hazards are on the list, and the reports
//! that must go out about it (`domain.md` A14 to A16, A20 17). It is fed with facts, keeps the account, and makes reports at
//! their local time, link or no link.
//!
//! ```text
//!  facts ──▶ Moment ──trusted──▶ the open day ──due──▶ DailyReport v1 ──fact dated later, or a person──▶ v2 (prev: hash of v1)
//!               │                     ▲                   └─ all zero, all watched ─▶ nil report
//!               └─unsynced──▶ held ───┘ dated by the offset when the clock is trusted; at the next report by the clock of then
//! ```
//!
//! **Days.** A day goes from cut to cut on the clocks of the park and is named by the date of its last moment; the next day
//! begins where it ends, so every moment is in one day, also where clocks are changed in spring and autumn. A fact is counted
//! once: in the day in which it happened, or, when that day is reported already (a clock that went back an hour, an account
//! that arrived a moment after the cut), in the one that is open.
//!
//! **Clocks.** Delays run on the monotonic clock. While the wall clock is not trusted, facts are held, not dated; it is used
//! for the report's time all the same where it is *plausible*: not before the last time that was known, and not more than
//! [`MAX_LEAP`] after it. So a gateway with a battery clock and without NTP reports every evening (never nil), and one that
//! wakes up in 1970, or ten years ahead, waits. Days that were missed are made up for, at most [`MAX_MADE_UP`] one by one;
//! more are one record that says so; so are the days over which a trusted clock leaps while the gateway runs, for nobody has
//! lived them. If a *trusted* clock goes back by days, the days that come again get new versions.
//!
//! **Nothing is overwritten.** A report is a record; what is corrected is a new version that carries the hash of the old one.
//! Lateness and omission are computed from times, never given.
//!
//! In reading order: [`calendar`], [`fact`], [`tally`], [`report`] with `making` and its `nil` conditions, `memory` (where
//! facts go), `standing` (what stood open when a day ended), `reports` (when reports are made), [`replay`] (what a restart
//! brings back), [`duty`], [`hazard`] with `hazards`, [`accident`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub mod accident;
pub mod calendar;
pub mod duty;
pub mod effect;
pub mod fact;
pub mod hazard;
mod hazards;
mod making;
mod memory;
mod nil;
#[cfg(test)]
mod people_tests;
#[cfg(test)]
mod property_tests;
pub mod replay;
pub mod report;
mod reports;
pub mod rules;
mod standing;
pub mod tally;
#[cfg(test)]
mod tests;

pub use accident::{AccidentAction, AccidentView};
pub use calendar::{Calendar, Date, FixedOffset, LocalDay, Minute};
pub use duty::{DutyAction, DutyView};
pub use effect::{Delivery, Done, Flag, FlagKind};
pub use fact::{AlarmFact, AlarmStep, CoverageFact, Fact, Moment};
pub use hazard::{Hazard, HazardAction};
pub use report::{DailyReport, ReportKind, StoreAccount, StreamAccount};
pub use rules::Rules;

use crate::domain::actor::{Actor, Refused};
use crate::domain::audit::{Digest, Head};
use crate::domain::document::Document;
use crate::domain::order::Order;
use crate::domain::time::{Mono, Now, Timestamp};
use effect::{Context, Effect};
use memory::Memory;

/// How often the daybook wants to be woken at the least: a step of the wall clock is noticed within it.
pub const TICK: Duration = Duration::from_secs(60);

/// How far beyond the last time that was known a clock that nobody disciplined is believed: longer than a plant stands
/// still for repair, shorter than any mistake of years.
pub const MAX_LEAP: Duration = Duration::from_secs(31 * 86_400);

/// Missed days that are reported one by one; of more, one record says how many. A month, as the bureaus count.
pub const MAX_MADE_UP: i32 = 31;

/// Days whose account is kept after they are reported, so that they can still be corrected: a week and the open one.
pub const KEPT_DAYS: usize = 8;

/// What the daybook gives out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To be recorded.
    Document(Document),
    /// To be recorded; when it has a number, [`Daybook::handle_recorded`] is told, so that its delivery can be reported.
    Report(Delivery, Document),
    /// To be done.
    Order(Order),
    /// A state of which the alarm machine makes an alarm.
    Flag(Flag),
}

/// What people do with the daybook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum Action {
    /// Duty.
    Duty(DutyAction),
    /// Hidden hazards.
    Hazard(HazardAction),
    /// Accidents.
    Accident(AccidentAction),
    /// A new version of a day's report, of its account as it stands now.
    Report(Correct),
}

/// See [`Action::Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correct {
    /// The day.
    pub day: Date,
    /// Why.
    pub reason: String,
}

/// What was kept over a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    at: Moment,
    /// When the daybook last looked at its clocks: up to then the time is counted.
    #[serde(default)]
    looked: Option<Moment>,
    memory: Memory,
}

/// The daybook as the page and the command line show it.
#[derive(Clone, Debug)]
pub struct View {
    /// Duty.
    pub duty: DutyView,
    /// Hazards on the list.
    pub hazards: Vec<Hazard>,
    /// Accidents.
    pub accidents: Vec<AccidentView>,
    /// The next report; `None` while nobody knows what day it is.
    pub next: Option<LocalDay>,
    /// Reports made, by day: version and hash; the newest last.
    pub reports: Vec<(Date, u32, Digest)>,
    /// Reports that have not reached the platform.
    pub undelivered: usize,
    /// Whether facts are held for which no day is known.
    pub undated: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Daybook {
    boot: u32,
    rules: Arc<Rules>,
    calendar: Arc<dyn Calendar>,
    started: Moment,
    last: Now,
    /// The last look of this start under a clock that was trusted.
    trusted: Option<Now>,
    /// The day of the last fact: most of the next ones are in it too.
    today: Option<LocalDay>,
    memory: Memory,
    /// When devices were last looked through, and what is old was forgotten.
    swept: Option<Mono>,
    account: Option<StoreAccount>,
    audit: Option<Head>,
    /// While records of before the restart are followed: nothing is proposed or made then.
    follows: bool,
    outputs: VecDeque<Output>,
}

impl Daybook {
    /// Opens an empty daybook. `boot` is the start counter of the gateway.
    pub fn new(rules: Arc<Rules>, calendar: Arc<dyn Calendar>, boot: u32, now: Now) -> Self {
        Self {
            boot,
            rules,
            calendar,
            started: Moment::of(boot, now.mono, now),
            last: now,
            trusted: None,
            today: None,
            memory: Memory::default(),
            swept: None,
            account: None,
            audit: None,
            follows: false,
            outputs: VecDeque::new(),
        }
    }

    /// Returns what must be kept over a restart.
    pub fn saved(&self, now: Now) -> Saved {
        let looked = Moment::of(self.boot, self.last.mono, self.last);
        Saved { at: Moment::of(self.boot, now.mono, now), looked: Some(looked), memory: self.memory.clone() }
    }

    /// Takes the rules of a new configuration, and the devices that are to be read from now on.
    pub fn install<'a>(&mut self, rules: Arc<Rules>, devices: impl IntoIterator<Item = &'a str>, now: Now) {
        self.rules = rules;
        self.today = None;
        let at = Moment::of(self.boot, now.mono, now);
        self.memory.install(devices, at);
    }

    /// Takes a fact that happened at `at`, not after `now`.
    pub fn handle(&mut self, fact: Fact, at: Mono, now: Now) {
        let at = Moment::of(self.boot, at, now);
        if at.trusted {
            // What changes what stands open must not change what stood at the end of the day before.
            let today = self.day_at(at.wall).date;
            self.end_days(today);
        }
        match fact {
            Fact::Coverage(fact) => self.coverage(&fact, at),
            Fact::Alarm(fact) => self.alarm(fact, at, now),
            Fact::AlarmFlood => self.tally_at(at).alarms.floods += 1,
            Fact::Chattering => self.tally_at(at).alarms.chattering += 1,
            Fact::Boot { last_seen, off, clean } => self.booted(last_seen, off, clean, at, now),
            Fact::Site { zone, state, drill } => {
                let line = tally::SiteLine { at: at.wall, zone, state, drill };
                self.tally_at(at).site(line);
            }
            Fact::Output { output, done } => self.output(&output, done, at, now),
            Fact::Passage { counter } => *self.tally_at(at).passages.entry(counter).or_default() += 1,
        }
    }

    /// Takes the store's account of itself: once a minute, and before a report.
    pub fn handle_account(&mut self, account: StoreAccount, now: Now) {
        if let Some(day) = self.day_now(now) {
            self.memory.accounts.insert(day.date, account.clone());
            while self.memory.accounts.len() > KEPT_DAYS {
                self.memory.accounts.pop_first();
            }
        }
        self.account = Some(account);
    }

    /// Takes the head of the audit chain.
    pub fn handle_audit(&mut self, head: Head) {
        self.audit = Some(head);
    }

    /// Returns who is on duty: operator and leader of the current shift, where they are known.
    pub fn on_duty(&self) -> (Option<&str>, Option<&str>) {
        let shift = self.memory.duty.watch.as_ref().map(|watch| &watch.line);
        (shift.and_then(|line| line.operator.as_deref()), shift.and_then(|line| line.leader.as_deref()))
    }

    /// Does what a person, or the platform, wants.
    ///
    /// # Errors
    /// With words for who asked, when it is not done.
    pub fn handle_action(&mut self, action: Action, actor: &Actor, now: Now) -> Result<Done, Refused> {
        self.look(now);
        match action {
            Action::Duty(action) => self.with(now, |memory, cx| memory.duty.act(action, actor, cx)),
            Action::Hazard(action) => self.with(now, |memory, cx| memory.hazards.act(action, actor, cx)),
            Action::Accident(action) => self.with(now, |memory, cx| memory.accidents.act(action, actor, cx)),
            Action::Report(correct) => self.correct(&correct, actor, now),
        }
    }

    /// Says that a report has its number in the stream.
    pub fn handle_recorded(&mut self, delivery: &Delivery, seq: u64) {
        self.memory.recorded(delivery, seq);
    }

    /// Says which numbers of the report stream the platform has stored.
    pub fn handle_delivered(&mut self, stored: &dyn Fn(u64) -> bool, now: Now) {
        self.delivered(stored, now);
    }

    /// Looks at the clocks: makes what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.look(now);
    }

    /// Returns when [`Daybook::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let due = self.memory.next.map(|date| {
            // Asked after every input: the day that it is has been worked out already.
            let day = self.today.filter(|today| today.date == date).unwrap_or_else(|| self.day(date));
            let due = day.due_at;
            self.last.mono + Duration::from_millis(making::lateness(self.last.wall, due))
        });
        let first = self.memory.accidents.next_timeout(self.rules.accident.warn_before);
        let tick = self.last.mono + TICK;
        [due, first, self.memory.duty.next_timeout()]
            .into_iter()
            .flatten()
            .filter(|at| *at > self.last.mono)
            .min()
            .map_or(Some(tick), |at| Some(at.min(tick)))
    }

    /// Returns the next thing to be recorded or done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns the newest version of a day's report, where it is still kept.
    pub fn report(&self, day: Date) -> Option<&DailyReport> {
        self.memory.reports.get(&day)
    }

    /// Returns the report of a day as it would be made now, without making it: of the open day, so far.
    pub fn preview(&self, day: Date, now: Now) -> Option<DailyReport> {
        let known = self.memory.days.contains_key(&day) || self.memory.next == Some(day);
        let account = || (self.memory.days.get(&day), self.standing_of(day));
        known.then(|| self.draw_of(self.day_up_to(day, now), account(), None, now))
    }

    /// Returns the account of the open day up to now. While nobody knows what day it is, that of the time since this start: the
    /// view's `undated` says so.
    pub fn so_far(&self, now: Now) -> Option<DailyReport> {
        if self.memory.held.is_empty() {
            return self.preview(self.memory.next?, now);
        }
        let mut tally = tally::Tally::default();
        self.memory.held.iter().for_each(|held| tally.merge(&held.tally));
        let starts = now.wall.before(now.mono.since(self.started.mono()));
        let (ends, rules) = (just_after(now), &self.rules.report);
        let day = LocalDay { starts, ends, ..LocalDay::at(&*self.calendar, now.wall, rules.cut, rules.at) };
        Some(self.draw_of(day, (Some(&tally), self.standing()), None, now))
    }

    /// Returns what the page and the command line show.
    pub fn view(&self, now: Now) -> View {
        let reported = &self.memory.reported;
        View {
            duty: self.memory.duty.view(now.mono),
            hazards: self.memory.hazards.open().cloned().collect(),
            accidents: self.memory.accidents.view(now.mono),
            next: self.memory.next.map(|date| self.day(date)),
            reports: reported.iter().map(|(day, reported)| (*day, reported.version, reported.hash)).collect(),
            undelivered: self.memory.undelivered(),
            undated: self.memory.has_undated(),
        }
    }

    /// Lets a part work, and takes what it gives back.
    fn with<T>(&mut self, now: Now, work: impl FnOnce(&mut Memory, &mut Context<'_>) -> T) -> T {
        let (rules, calendar) = (self.rules.clone(), self.calendar.clone());
        let mut effects = Vec::new();
        let mut cx = Context { now, boot: self.boot, rules: &rules, calendar: &*calendar, effects: &mut effects };
        let done = work(&mut self.memory, &mut cx);
        let at = Moment::of(self.boot, now.mono, now);
        for effect in effects {
            match effect {
                Effect::Document(document) => self.outputs.push_back(Output::Document(document)),
                Effect::Tracked(delivery, due, document) => self.give_out(delivery, None, due, now, document),
                Effect::Flag(flag) => self.outputs.push_back(Output::Flag(flag)),
                Effect::Order(order) => self.outputs.push_back(Output::Order(order)),
                Effect::Count(count) => self.tally_at(at).count(count),
            }
        }
        done
    }

    /// A day as far as it has come: what is still to come of it is not missing.
    fn day_up_to(&self, date: Date, now: Now) -> LocalDay {
        let day = self.day(date);
        LocalDay { ends: day.ends.min(just_after(now)).max(day.starts), ..day }
    }

    fn day(&self, date: Date) -> LocalDay {
        LocalDay::of(&*self.calendar, date, self.rules.report.cut, self.rules.report.at)
    }

    fn day_at(&mut self, wall: Timestamp) -> LocalDay {
        if let Some(today) = self.today.filter(|today| today.contains(wall)) {
            return today;
        }
        let day = LocalDay::at(&*self.calendar, wall, self.rules.report.cut, self.rules.report.at);
        *self.today.insert(day)
    }
}

/// An end before which a device has answered that answered just now.
fn just_after(now: Now) -> Timestamp {
    now.wall.after(Duration::from_millis(1))
}
