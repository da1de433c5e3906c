//! Accident reports (`domain.md` rule 118): the first within the hour, continued ones while things change, the final one; each
//! drafted, and told only when a person has confirmed it.
//!
//! ```text
//!  open ──first──▶ reported ──continued──▶ reported ──final──▶ final ──supplement (casualties)──▶ final
//!    │ hour nearly over: flag; over: flag, `late`                        30 days; traffic and fire 7
//!    └─ withdraw ─▶ (it was none; before the first report only)
//! ```
//!
//! The hour runs on the monotonic clock from the moment the head of the unit knows. Late is computed, never typed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::effect::{Context, Count, Delivery, Done, Due, FlagKind, Limit, needs, person, text};
use super::fact::{Moment, ms};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::document::DocumentKind;
use crate::domain::time::{Mono, Timestamp};

/// Accidents that are kept at a time; a park that has more has other worries, and further ones are refused with words.
pub const MAX_ACCIDENTS: usize = 32;

const DAY: Duration = Duration::from_secs(86_400);

/// Kind of accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccidentKind {
    /// 泄漏.
    Leak,
    /// 火灾.
    Fire,
    /// 爆炸.
    Explosion,
    /// 中毒窒息.
    Poisoning,
    /// 道路交通.
    Traffic,
    /// Any other.
    Other,
}

impl AccidentKind {
    /// Returns how long after the accident changes of the casualties are reported: 30 days, traffic and fire 7.
    pub fn casualty_window(self) -> Duration {
        match self {
            Self::Traffic | Self::Fire => DAY * 7,
            Self::Leak | Self::Explosion | Self::Poisoning | Self::Other => DAY * 30,
        }
    }
}

/// People harmed, as known at the time of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Casualties {
    /// 死亡.
    pub dead: u32,
    /// 失踪.
    pub missing: u32,
    /// 重伤.
    pub badly_injured: u32,
    /// 轻伤.
    pub injured: u32,
}

/// Which report it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// 首报.
    First,
    /// 续报.
    Continued,
    /// 终报.
    Final,
    /// 补报: casualties after the final report.
    Supplement,
}

impl Stage {
    fn zh(self) -> &'static str {
        match self {
            Self::First => "首报",
            Self::Continued => "续报",
            Self::Final => "终报",
            Self::Supplement => "补报",
        }
    }
}

/// What can be done about an accident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum AccidentAction {
    /// Says that there is one; the hour runs from now.
    Open {
        /// Kind.
        kind: AccidentKind,
        /// Where.
        place: String,
        /// What is known.
        text: String,
        /// When it happened; absent is now.
        occurred_at: Option<Timestamp>,
    },
    /// Writes a report, which is told when it is confirmed. A newer draft takes the place of the one before.
    Draft {
        /// The accident.
        id: String,
        /// Which report.
        stage: Stage,
        /// Its text.
        text: String,
        /// People harmed.
        casualties: Casualties,
    },
    /// Confirms the draft of this number.
    Confirm {
        /// The accident.
        id: String,
        /// Number of the draft, so that nobody confirms what he has not read.
        draft: u32,
    },
    /// It was none; only before the first report.
    Withdraw {
        /// The accident.
        id: String,
        /// Why.
        why: String,
    },
}

/// The object of an `accident` document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum AccidentRecord {
    /// An accident was opened, drafted for, warned of, found late or withdrawn.
    Note {
        /// Which of these.
        note: NoteKind,
        /// The accident.
        accident: AccidentLine,
        /// Who; the gateway for what a clock did.
        by: Actor,
        /// When.
        at: Timestamp,
        /// Text or reason.
        text: String,
        /// The draft that was written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        draft: Option<Draft>,
    },
    /// A report, confirmed.
    Report(AccidentReport),
}

/// What a note tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Opened.
    Opened,
    /// A draft was written.
    Drafted,
    /// The hour is nearly over.
    DueSoon,
    /// The hour is over.
    Late,
    /// Withdrawn.
    Withdrawn,
}

/// What is known of an accident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccidentLine {
    /// Its id.
    pub id: String,
    /// Kind.
    pub kind: AccidentKind,
    /// Where.
    pub place: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was said to the gateway.
    pub known_at: Timestamp,
    /// When the first report is due.
    pub due_at: Timestamp,
}

/// A confirmed report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccidentReport {
    /// The accident.
    pub accident: AccidentLine,
    /// Number of the report, from 1.
    pub no: u32,
    /// Which.
    pub stage: Stage,
    /// Its text.
    pub text: String,
    /// People harmed.
    pub casualties: Casualties,
    /// Who wrote it.
    pub drafted_by: Actor,
    /// Who confirmed it.
    pub confirmed_by: Actor,
    /// When: the time that counts here. When it reached the platform, a `delivery` document tells.
    pub generated_at: Timestamp,
    /// Time from the moment it was known, in milliseconds on the monotonic clock.
    pub after_ms: u64,
    /// Whether a first report came after its time; computed.
    pub is_late: bool,
}

/// A report that waits for a person's confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Number of the draft within the accident, from 1.
    pub no: u32,
    /// Which report it is to be.
    pub stage: Stage,
    /// Its text.
    pub text: String,
    /// People harmed.
    pub casualties: Casualties,
    /// Who wrote it.
    pub by: Actor,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Accident {
    line: AccidentLine,
    limit: Limit,
    pub(super) warned: bool,
    pub(super) late: bool,
    pub(super) draft: Option<Draft>,
    pub(super) drafts: u32,
    pub(super) reports: u32,
    pub(super) last: Option<Stage>,
}

impl Accident {
    /// Returns an accident of which nothing was reported yet.
    pub(super) fn new(line: AccidentLine, limit: Limit) -> Self {
        Self { line, limit, warned: false, late: false, draft: None, drafts: 0, reports: 0, last: None }
    }
}

/// The accidents; also what is saved of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Accidents {
    pub(super) known: BTreeMap<String, Accident>,
    made: u64,
}

/// An accident for the page.
#[derive(Clone, Debug, PartialEq)]
pub struct AccidentView {
    /// What is known.
    pub accident: AccidentLine,
    /// The last confirmed report.
    pub last: Option<Stage>,
    /// Time left for the first report; `None` once it is confirmed, zero when it is late.
    pub left: Option<Duration>,
    /// Number of the draft that waits for a confirmation.
    pub draft: Option<u32>,
}

impl Accidents {
    pub(super) fn look(&mut self, cx: &mut Context<'_>) {
        for accident in self.known.values_mut().filter(|accident| accident.last.is_none()) {
            let elapsed = accident.limit.elapsed(cx.now.mono);
            let soon = accident.limit.limit().saturating_sub(cx.rules.accident.warn_before);
            if !accident.warned && elapsed >= soon {
                accident.warned = true;
                note(NoteKind::DueSoon, accident, &Actor::gateway(), String::new(), cx);
                flag(FlagKind::AccidentFirstSoon, &accident.line, true, cx);
            }
            if !accident.late && accident.limit.over(cx.now.mono) {
                accident.late = true;
                note(NoteKind::Late, accident, &Actor::gateway(), String::new(), cx);
                cx.count(Count::AccidentLate);
                flag(FlagKind::AccidentFirstLate, &accident.line, true, cx);
            }
        }
        if cx.trusted() {
            let now = cx.now.wall;
            let over = |line: &AccidentLine| now >= line.occurred_at.after(line.kind.casualty_window());
            self.known.retain(|_, accident| accident.last < Some(Stage::Final) || !over(&accident.line));
        }
    }

    pub(super) fn next_timeout(&self, warn_before: Duration) -> Option<Mono> {
        let waiting = self.known.values().filter(|accident| accident.last.is_none() && !accident.late);
        let next = |a: &Accident| if a.warned { a.limit.ends() } else { a.limit.ends() - warn_before };
        waiting.map(next).min()
    }

    pub(super) fn resume(&mut self, saved: Moment, now: Moment) {
        self.known.values_mut().for_each(|accident| accident.limit.resume(saved, now));
    }

    pub(super) fn open(&self) -> usize {
        self.known.values().filter(|accident| accident.last < Some(Stage::Final)).count()
    }

    pub(super) fn view(&self, now: Mono) -> Vec<AccidentView> {
        let view = |accident: &Accident| AccidentView {
            accident: accident.line.clone(),
            last: accident.last,
            left: accident.last.is_none().then(|| accident.limit.ends().since(now)),
            draft: accident.draft.as_ref().map(|draft| draft.no),
        };
        self.known.values().map(view).collect()
    }

    pub(super) fn act(&mut self, action: AccidentAction, actor: &Actor, cx: &mut Context<'_>) -> Result<Done, Refused> {
        person(actor)?;
        match action {
            AccidentAction::Open { kind, place, text: what, occurred_at } => {
                needs(actor, &[Role::Supervisor, Role::Operator])?;
                self.begin(kind, (&place, &what), occurred_at, actor, cx)
            }
            AccidentAction::Draft { id, stage, text: what, casualties } => {
                needs(actor, &[Role::Operator, Role::Supervisor])?;
                let what = text(&what, "报告内容", "the text")?;
                let accident = self.known.get_mut(&id).ok_or_else(|| unknown(&id))?;
                possible(accident, stage, cx)?;
                accident.drafts += 1;
                let no = accident.drafts;
                accident.draft = Some(Draft { no, stage, text: what.clone(), casualties, by: actor.clone() });
                note(NoteKind::Drafted, accident, actor, what, cx);
                let zh = stage.zh();
                Ok(Done::new(&*id, format!("{zh}草稿 {no}，待确认"), format!("draft {no} waits for a confirmation")))
            }
            AccidentAction::Confirm { id, draft } => {
                needs(actor, &[Role::Supervisor])?;
                let accident = self.known.get_mut(&id).ok_or_else(|| unknown(&id))?;
                confirm(accident, draft, actor, cx)
            }
            AccidentAction::Withdraw { id, why } => {
                needs(actor, &[Role::Supervisor])?;
                let why = text(&why, "原因", "the reason")?;
                let accident = self.known.get(&id).ok_or_else(|| unknown(&id))?;
                if accident.last.is_some() {
                    return Err(Refused::new(
                        "首报已发出，请用续报或终报更正",
                        "the first report is out: correct it by a continued or the final one",
                    ));
                }
                note(NoteKind::Withdrawn, accident, actor, why, cx);
                lower(accident, cx);
                self.known.remove(&id);
                Ok(Done::new(&*id, format!("事故 {id} 已撤销"), format!("accident {id} withdrawn")))
            }
        }
    }

    fn begin(
        &mut self,
        kind: AccidentKind,
        (place, what): (&str, &str),
        occurred_at: Option<Timestamp>,
        actor: &Actor,
        cx: &mut Context<'_>,
    ) -> Result<Done, Refused> {
        let (place, what) = (text(place, "地点", "the place")?, text(what, "内容", "the text")?);
        if self.known.len() >= MAX_ACCIDENTS {
            return Err(Refused::new(
                format!("已有 {MAX_ACCIDENTS} 起事故未了结"),
                format!("{MAX_ACCIDENTS} accidents are kept already"),
            ));
        }
        if occurred_at.is_some_and(|at| cx.trusted() && at > cx.now.wall) {
            return Err(Refused::new("发生时间在将来", "it cannot have happened in the future"));
        }
        self.made += 1;
        let id = format!("ac-{}-{}", cx.boot, self.made);
        let within = cx.rules.accident.first_within;
        let now = cx.now.wall;
        let line = AccidentLine {
            id: id.clone(),
            kind,
            place,
            occurred_at: occurred_at.unwrap_or(now),
            known_at: now,
            due_at: now.after(within),
        };
        let accident = Accident::new(line, Limit::new(cx.now, within));
        note(NoteKind::Opened, &accident, actor, what, cx);
        cx.count(Count::AccidentOpened);
        self.known.insert(id.clone(), accident);
        let minutes = within.as_secs() / 60;
        Ok(Done::new(
            &*id,
            format!("事故 {id} 已登记，{minutes} 分钟内须首报"),
            format!("accident {id} opened; the first report is due within {minutes} min"),
        ))
    }
}

fn confirm(accident: &mut Accident, number: u32, actor: &Actor, cx: &mut Context<'_>) -> Result<Done, Refused> {
    let Some(draft) = accident.draft.take_if(|draft| draft.no == number) else {
        return Err(Refused::new(
            format!("没有待确认的草稿 {number}"),
            format!("draft {number} does not wait for a confirmation"),
        ));
    };
    let Draft { stage, text, casualties, by, .. } = draft;
    // The limit may have run out since nobody looked.
    let after = accident.limit.elapsed(cx.now.mono);
    let is_late = stage == Stage::First && accident.limit.over(cx.now.mono);
    if is_late && !accident.late {
        accident.late = true;
        note(NoteKind::Late, accident, &Actor::gateway(), String::new(), cx);
        cx.count(Count::AccidentLate);
    }
    accident.reports += 1;
    accident.last = accident.last.max(Some(stage));
    let (id, no) = (accident.line.id.clone(), accident.reports);
    let report = AccidentReport {
        accident: accident.line.clone(),
        no,
        stage,
        text,
        casualties,
        drafted_by: by,
        confirmed_by: actor.clone(),
        generated_at: cx.now.wall,
        after_ms: ms(after),
        is_late,
    };
    let delivery = Delivery::Accident { accident: id.clone(), no };
    // The first has its hour; of the others nobody says when, but they are not to lie about.
    let due = match stage {
        Stage::First => Due { at: accident.line.due_at, grace_ms: 0 },
        Stage::Continued | Stage::Final | Stage::Supplement => {
            Due { at: cx.now.wall, grace_ms: ms(cx.rules.report.late_after) }
        }
    };
    cx.track(delivery, due, DocumentKind::Accident, &AccidentRecord::Report(report));
    cx.count(Count::AccidentReport);
    if stage == Stage::First {
        lower(accident, cx);
    }
    let zh = stage.zh();
    Ok(Done::new(&*id, format!("{zh}已确认并上报"), "the report is confirmed and on its way"))
}

fn possible(accident: &Accident, stage: Stage, cx: &Context<'_>) -> Result<(), Refused> {
    let last = accident.last;
    let line = &accident.line;
    let over = cx.trusted() && cx.now.wall >= line.occurred_at.after(line.kind.casualty_window());
    match (stage, last) {
        (Stage::First, None) | (Stage::Continued | Stage::Final, Some(Stage::First | Stage::Continued)) => Ok(()),
        (Stage::Supplement, Some(Stage::Final | Stage::Supplement)) if over => {
            let days = line.kind.casualty_window().as_secs() / DAY.as_secs();
            Err(Refused::new(
                format!("事故发生已超过 {days} 天，伤亡变化不再补报"),
                format!("changes of the casualties are reported within {days} days of the accident"),
            ))
        }
        (Stage::Supplement, Some(Stage::Final | Stage::Supplement)) => Ok(()),
        (Stage::First, Some(_)) => Err(Refused::new("首报已发出", "the first report is out already")),
        (_, None) => Err(Refused::new("须先首报", "the first report comes first")),
        (Stage::Continued | Stage::Final, Some(Stage::Final | Stage::Supplement)) => {
            Err(Refused::new("终报已发出，只能补报伤亡变化", "the final report is out: only casualties may be added"))
        }
        (Stage::Supplement, Some(Stage::First | Stage::Continued)) => {
            Err(Refused::new("终报之前请用续报", "before the final report, write a continued one"))
        }
    }
}

fn unknown(id: &str) -> Refused {
    Refused::new(format!("没有事故 `{id}`"), format!("there is no accident `{id}`"))
}

fn note(kind: NoteKind, accident: &Accident, by: &Actor, text: String, cx: &mut Context<'_>) {
    let draft = accident.draft.clone().filter(|_| kind == NoteKind::Drafted);
    let (by, at) = (by.clone(), cx.now.wall);
    let record = AccidentRecord::Note { note: kind, accident: accident.line.clone(), by, at, text, draft };
    cx.tell(DocumentKind::Accident, &record);
}

/// Puts up the flags that belong up.
pub(super) fn raise(accident: &Accident, cx: &mut Context<'_>) {
    if accident.warned {
        flag(FlagKind::AccidentFirstSoon, &accident.line, true, cx);
    }
    if accident.late {
        flag(FlagKind::AccidentFirstLate, &accident.line, true, cx);
    }
}

/// Takes down the flags that are up.
fn lower(accident: &Accident, cx: &mut Context<'_>) {
    if accident.warned {
        flag(FlagKind::AccidentFirstSoon, &accident.line, false, cx);
    }
    if accident.late {
        flag(FlagKind::AccidentFirstLate, &accident.line, false, cx);
    }
}

fn flag(kind: FlagKind, line: &AccidentLine, active: bool, cx: &mut Context<'_>) {
    let AccidentLine { id, place, .. } = line;
    let (zh, en) =
        if kind == FlagKind::AccidentFirstSoon { ("时限将到", "is nearly due") } else { ("已超时", "is late") };
    let (zh, en) =
        (format!("事故 {id}（{place}）首报{zh}"), format!("the first report of accident {id} ({place}) {en}"));
    cx.flag(kind, id, active, zh, en);
}
