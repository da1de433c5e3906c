//! What the parts of the daybook have in common: what they are given, what they give back, and time limits that hold over a
//! restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::fact::{Moment, ms};
use super::rules::Rules;
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::document::{Document, DocumentKind};
use crate::domain::order::Order;
use crate::domain::record::Mode;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// A report whose way to the platform is followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// A version of a daily report.
    Daily {
        /// Its day.
        day: super::calendar::Date,
        /// Its version, from 1.
        version: u32,
    },
    /// A confirmed report of an accident.
    Accident {
        /// The accident.
        accident: String,
        /// Number of the report within it, from 1.
        no: u32,
    },
}

/// A state that the alarm machine makes an alarm of: it is there until it is said not to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Which.
    pub kind: FlagKind,
    /// What it is about: a check, a shift, a hazard, an accident. With `kind` it names the state.
    pub subject: String,
    /// Whether it is so now.
    pub active: bool,
    /// For people, Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// Kinds of [`Flag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// A duty check was not answered in time; until somebody answers one.
    DutyUnanswered,
    /// Nobody took over the shift in time, or nobody is on the roster; until somebody takes over.
    DutyNotTaken,
    /// A hidden hazard is past its time limit; until its rectification is submitted.
    HazardOverdue,
    /// The hour for the first report of an accident is nearly over; until it is confirmed.
    AccidentFirstSoon,
    /// The hour is over; until the first report is confirmed.
    AccidentFirstLate,
}

impl FlagKind {
    /// Returns the word that ends the alarm's id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DutyUnanswered => "duty_unanswered",
            Self::DutyNotTaken => "duty_not_taken",
            Self::HazardOverdue => "hazard_overdue",
            Self::AccidentFirstSoon => "accident_first_soon",
            Self::AccidentFirstLate => "accident_first_late",
        }
    }
}

/// What an action did, in words for who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Id of what it was done to, or of what it made.
    pub id: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Done {
    pub(super) fn new(id: impl Into<String>, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { id: id.into(), zh: zh.into(), en: en.into() }
    }
}

/// What a part gives back.
#[derive(Debug)]
pub(super) enum Effect {
    Document(Document),
    Tracked(Delivery, Due, Document),
    Flag(Flag),
    Order(Order),
    Count(Count),
}

/// When something is due, and how much later it may come without being late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) at: Timestamp,
    pub(super) grace_ms: u64,
}

/// What a part adds to the day's account.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Handover,
    NotTaken,
    Asked,
    Answered(Duration),
    Unanswered,
    Late,
    Found,
    Proposed,
    NotProposed,
    Dismissed,
    Accepted,
    Returned,
    Closed,
    Overdue,
    AccidentOpened,
    AccidentReport,
    AccidentLate,
}

/// What a part is given with every call.
pub(super) struct Context<'a> {
    pub(super) now: Now,
    pub(super) boot: u32,
    pub(super) rules: &'a Rules,
    pub(super) calendar: &'a dyn Calendar,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl Context<'_> {
    pub(super) fn trusted(&self) -> bool {
        self.now.trust != ClockTrust::Unsynced
    }

    pub(super) fn tell(&mut self, kind: DocumentKind, record: &impl Serialize) {
        self.effects.push(Effect::Document(Document::of(kind, Mode::Real, self.now.mono, record)));
    }

    pub(super) fn track(&mut self, delivery: Delivery, due: Due, kind: DocumentKind, record: &impl Serialize) {
        self.effects.push(Effect::Tracked(delivery, due, Document::of(kind, Mode::Real, self.now.mono, record)));
    }

    pub(super) fn flag(&mut self, kind: FlagKind, subject: &str, active: bool, zh: String, en: String) {
        self.effects.push(Effect::Flag(Flag { kind, subject: subject.to_owned(), active, zh, en }));
    }

    pub(super) fn count(&mut self, count: Count) {
        self.effects.push(Effect::Count(count));
    }

    pub(super) fn order(&mut self, order: Order) {
        self.effects.push(Effect::Order(order));
    }
}

/// Refuses an actor who has none of the roles.
pub(super) fn needs(actor: &Actor, roles: &[Role]) -> Result<(), Refused> {
    if roles.iter().any(|role| actor.has(*role)) {
        return Ok(());
    }
    Err(roles.first().map_or_else(|| Refused::new("不允许", "not allowed"), |role| Refused::role(*role)))
}

/// Refuses what does not come from a person with a name.
pub(super) fn person(actor: &Actor) -> Result<(), Refused> {
    if actor.via == crate::domain::actor::Via::Gateway || actor.name.trim().is_empty() {
        return Err(Refused::new("须由具名人员办理", "a person with a name must do this"));
    }
    Ok(())
}

/// Longest text that a person may give with an action, in characters: a screen of it, not a file.
pub const MAX_TEXT: usize = 2000;

/// Refuses a text that is empty or endless; `zh` and `en` name it.
pub(super) fn text(text: &str, zh: &str, en: &str) -> Result<String, Refused> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Refused::new(format!("缺少{zh}"), format!("{en} is missing")));
    }
    if text.chars().count() > MAX_TEXT {
        return Err(Refused::new(
            format!("{zh}超过 {MAX_TEXT} 字"),
            format!("{en} is longer than {MAX_TEXT} characters"),
        ));
    }
    Ok(text.to_owned())
}

/// Returns whether both are the same person, as names are typed.
pub(super) fn same_person(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// A time limit on the monotonic clock. Over a restart it goes on with the time that is known to have passed: all of it
/// where both wall clocks were trusted, else at least the time the gateway was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limit {
    from_ms: u64,
    limit_ms: u64,
    spent_ms: u64,
}

impl Limit {
    pub(super) fn new(now: Now, limit: Duration) -> Self {
        Self { from_ms: now.mono.millis(), limit_ms: ms(limit), spent_ms: 0 }
    }

    pub(super) fn elapsed(&self, now: Mono) -> Duration {
        Duration::from_millis(self.spent_ms.saturating_add(now.millis().saturating_sub(self.from_ms)))
    }

    pub(super) fn ends(&self) -> Mono {
        Mono::from_millis(self.from_ms.saturating_add(self.limit_ms.saturating_sub(self.spent_ms)))
    }

    pub(super) fn over(&self, now: Mono) -> bool {
        self.elapsed(now) >= Duration::from_millis(self.limit_ms)
    }

    pub(super) fn limit(&self) -> Duration {
        Duration::from_millis(self.limit_ms)
    }

    /// Goes on in a new run.
    pub(super) fn resume(&mut self, saved: Moment, now: Moment) {
        let ran = saved.mono_ms.saturating_sub(self.from_ms);
        let off = saved.until(now).map_or(0, ms);
        self.spent_ms = self.spent_ms.saturating_add(ran).saturating_add(off);
        self.from_ms = now.mono_ms;
    }
}
