//! The list of hidden hazards: who may do which step of the loop in [`super::hazard`], what the gateway proposes by itself
//! (one open hazard for a cause, and no more than people can look at), and how overdue ones escalate.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calendar::Minute;
use super::effect::{Context, Count, Done, FlagKind, needs, person, same_person, text};
use super::hazard::{Again, Commitments, Hazard, HazardAction, HazardRecord, HazardState, HazardStep, Listing};
use crate::domain::actor::{Actor, Refused, Role, Via};
use crate::domain::document::DocumentKind;
use crate::domain::order::{Order, OrderKind, Urgency};

/// Hazards that are not closed: far more than a park has people for; further ones are refused, with words.
pub(super) const MAX_HAZARDS: usize = 1000;
/// Proposals of the gateway that nobody has looked at. When so many wait, more would bury them: further ones are counted, in
/// the day's report.
pub(super) const MAX_PROPOSALS: usize = 100;
/// Levels to which an overdue hazard escalates when fewer channels are named; then it has been said often enough, and its
/// alarm stands. One that is returned begins again at the first.
const ESCALATIONS: usize = 3;

/// The hazards that are not closed; also what is saved of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hazards {
    pub(super) open: BTreeMap<String, Hazard>,
    pub(super) by_cause: BTreeMap<String, String>,
    made: u64,
}

/// A step on its way.
struct Change<'a> {
    step: HazardStep,
    actor: &'a Actor,
    comment: String,
}

impl Hazards {
    pub(super) fn open(&self) -> impl Iterator<Item = &Hazard> {
        self.open.values()
    }

    /// Proposes a hazard for a cause, unless one is open for it.
    pub(super) fn propose(&mut self, cause: &str, place: &str, text: String, cx: &mut Context<'_>) {
        if self.by_cause.contains_key(cause) {
            return;
        }
        let waiting = self.open.values().filter(|h| h.state == HazardState::Found && h.cause.is_some()).count();
        if waiting >= MAX_PROPOSALS || self.open.len() >= MAX_HAZARDS {
            return cx.count(Count::NotProposed);
        }
        let id = self.add(Some(cause.to_owned()), place.to_owned(), text, &Actor::gateway(), cx);
        self.by_cause.insert(cause.to_owned(), id);
        cx.count(Count::Proposed);
    }

    /// Notes that the gateway no longer sees the cause. The hazard stays: why it was is for people to find out.
    pub(super) fn cause_gone(&mut self, cause: &str, cx: &mut Context<'_>) {
        let Some(hazard) = self.by_cause.get(cause).and_then(|id| self.open.get_mut(id)) else { return };
        let gateway = Actor::gateway();
        // Legal in every state that is not over, and those are not kept.
        drop(apply(
            hazard,
            Change { step: HazardStep::CauseGone, actor: &gateway, comment: String::new() },
            cx,
            |_| (),
        ));
    }

    /// Escalates what is past its time limit. Only a clock that is trusted says that a day is over.
    pub(super) fn look(&mut self, cx: &mut Context<'_>) {
        if !cx.trusted() {
            return;
        }
        let rules = &cx.rules.hazard;
        let most = u32::try_from(rules.channels.len().max(ESCALATIONS)).unwrap_or(u32::MAX);
        let (every, calendar) = (rules.escalate_every, cx.calendar);
        for hazard in self.open.values_mut().filter(|hazard| hazard.state == HazardState::Rectifying) {
            let Some(deadline) = hazard.five.as_ref().map(|five| five.deadline) else { continue };
            // Returned by a clock that was ahead: nobody waits for that time to come.
            if let Some(again) = hazard.again.as_mut().filter(|again| again.since > cx.now.wall) {
                again.since = cx.now.wall;
            }
            let over = calendar.instant(deadline.plus(1), Minute::MIDNIGHT);
            let since = hazard.again.map_or(over, |again| over.max(again.since));
            let mut due = since.after(every * hazard.level());
            while hazard.level() < most && due <= cx.now.wall {
                escalate(hazard, cx);
                due = due.after(every);
            }
        }
    }

    pub(super) fn act(&mut self, action: HazardAction, actor: &Actor, cx: &mut Context<'_>) -> Result<Done, Refused> {
        use HazardAction as A;
        match action {
            A::Find { place, text: what } => self.find(&place, &what, actor, cx),
            A::List { id, listing } => self.list(&id, Some(listing), String::new(), actor, cx),
            A::Unlist { id, comment } => self.list(&id, None, comment, actor, cx),
            A::Register { id, comment } => self.step(&id, HazardStep::Register, comment, actor, cx, |_| ()),
            A::Grade { id, grade } => {
                self.step(&id, HazardStep::Grade, String::new(), actor, cx, |h| h.grade = Some(grade))
            }
            A::Assign { id, to } => {
                let to = text(&to, "责任人", "the person")?;
                self.step(&id, HazardStep::Assign, String::new(), actor, cx, |h| h.assigned = Some(to))
            }
            A::Commit { id, five } => {
                let five = checked(five, cx)?;
                self.step(&id, HazardStep::Commit, String::new(), actor, cx, |h| h.five = Some(five))
            }
            A::Submit { id, comment, explanation } => self.submit(&id, comment, &explanation, actor, cx),
            A::Accept { id, comment } => {
                self.step(&id, HazardStep::Accept, comment, actor, cx, |h| h.accepted_by = Some(actor.name.clone()))
            }
            A::Return { id, why } => {
                let why = text(&why, "退回原因", "the reason")?;
                self.send_back(&id, why, actor, cx)
            }
            A::Close { id, comment } => self.step(&id, HazardStep::Close, comment, actor, cx, |_| ()),
            A::Dismiss { id, why } => {
                let why = text(&why, "原因", "the reason")?;
                self.step(&id, HazardStep::Dismiss, why, actor, cx, |_| ())
            }
            A::Progress { id, text: how } => {
                let how = text(&how, "进展", "the progress")?;
                self.step(&id, HazardStep::Progress, how, actor, cx, |_| ())
            }
        }
    }

    fn find(&mut self, place: &str, what: &str, actor: &Actor, cx: &mut Context<'_>) -> Result<Done, Refused> {
        person(actor)?;
        // The authority finds hazards too.
        if actor.via != Via::Platform {
            needs(actor, &[Role::Operator, Role::Guard, Role::Supervisor])?;
        }
        let (place, what) = (text(place, "地点", "the place")?, text(what, "内容", "the text")?);
        if self.open.len() >= MAX_HAZARDS {
            return Err(Refused::new(
                format!("未销号的隐患已有 {MAX_HAZARDS} 项，请先办理"),
                format!("{MAX_HAZARDS} hazards are open; deal with some of them first"),
            ));
        }
        let id = self.add(None, place, what, actor, cx);
        cx.count(Count::Found);
        Ok(Done::new(&*id, format!("隐患 {id} 已上报"), format!("hazard {id} reported")))
    }

    fn add(
        &mut self,
        cause: Option<String>,
        place: String,
        text: String,
        actor: &Actor,
        cx: &mut Context<'_>,
    ) -> String {
        self.made += 1;
        let id = format!("hz-{}-{}", cx.boot, self.made);
        let hazard = Hazard {
            id: id.clone(),
            cause,
            place,
            text,
            state: HazardState::Found,
            found_at: cx.now.wall,
            found_by: actor.name.clone(),
            grade: None,
            assigned: None,
            five: None,
            submitted_by: None,
            accepted_by: None,
            returned: 0,
            overdue: 0,
            again: None,
            explanation: None,
            listed: None,
            n: 1,
        };
        tell(HazardStep::Find, None, actor, String::new(), &hazard, cx);
        self.open.insert(id.clone(), hazard);
        id
    }

    fn submit(
        &mut self,
        id: &str,
        comment: String,
        explanation: &str,
        actor: &Actor,
        cx: &mut Context<'_>,
    ) -> Result<Done, Refused> {
        let late = self.open.get(id).is_some_and(|h| h.overdue > 0 && h.state == HazardState::Rectifying);
        let explanation = match explanation.trim() {
            "" if late => {
                return Err(Refused::new("已超期，须书面说明原因", "it is overdue: explain in writing why"));
            }
            "" => None,
            given => Some(text(given, "说明", "the explanation")?),
        };
        let by = actor.name.clone();
        let done = self.step(id, HazardStep::Submit, comment, actor, cx, |h| {
            h.submitted_by = Some(by);
            h.explanation = explanation.or(h.explanation.take());
        })?;
        if let Some(hazard) = self.open.get(id).filter(|_| late) {
            flag(hazard, false, cx);
        }
        Ok(done)
    }

    /// What is returned past its time limit is told at once, and escalates anew: its alarm went down when it was submitted.
    fn send_back(&mut self, id: &str, why: String, actor: &Actor, cx: &mut Context<'_>) -> Result<Done, Refused> {
        let since = cx.now.wall;
        let done = self.step(id, HazardStep::Return, why, actor, cx, |h| {
            h.returned += 1;
            h.again = Some(Again { since, before: h.overdue });
        })?;
        // That it is overdue was found by a clock that was trusted: whatever the clock is worth now.
        if let Some(hazard) = self.open.get_mut(id).filter(|hazard| hazard.overdue > 0) {
            escalate(hazard, cx);
        }
        self.look(cx);
        Ok(done)
    }

    fn list(
        &mut self,
        id: &str,
        listing: Option<Listing>,
        comment: String,
        actor: &Actor,
        cx: &mut Context<'_>,
    ) -> Result<Done, Refused> {
        if actor.via != Via::Platform {
            return Err(Refused::new(
                "挂牌督办只能由主管部门下达和解除",
                "only the authority lists a hazard, and takes it off",
            ));
        }
        let body = listing.as_ref().map(|listing| text(&listing.body, "督办机关", "the body")).transpose()?;
        let listing = listing.zip(body).map(|(listing, body)| Listing { body, ..listing });
        let comment = if comment.trim().is_empty() { String::new() } else { text(&comment, "说明", "the comment")? };
        let hazard = self.open.get_mut(id).ok_or_else(|| unknown(id))?;
        let step = if listing.is_some() { HazardStep::List } else { HazardStep::Unlist };
        if step == HazardStep::Unlist && hazard.listed.is_none() {
            return Err(Refused::new("未挂牌", "it is not listed"));
        }
        apply(hazard, Change { step, actor, comment }, cx, |h| h.listed = listing)
    }

    fn step(
        &mut self,
        id: &str,
        step: HazardStep,
        comment: String,
        actor: &Actor,
        cx: &mut Context<'_>,
        change: impl FnOnce(&mut Hazard),
    ) -> Result<Done, Refused> {
        person(actor)?;
        needs(actor, roles(step))?;
        let hazard = self.open.get_mut(id).ok_or_else(|| unknown(id))?;
        allowed(hazard, step, actor)?;
        let comment = if comment.trim().is_empty() { String::new() } else { text(&comment, "说明", "the comment")? };
        let done = apply(hazard, Change { step, actor, comment }, cx, change)?;
        if hazard.state.is_over() {
            let cause = hazard.cause.clone();
            self.open.remove(id);
            cause.map(|cause| self.by_cause.remove(&cause));
        }
        counted(step).into_iter().for_each(|count| cx.count(count));
        Ok(done)
    }
}

/// What a person's step adds to the day's account.
pub(super) fn counted(step: HazardStep) -> Option<Count> {
    let counted = [
        (HazardStep::Accept, Count::Accepted),
        (HazardStep::Return, Count::Returned),
        (HazardStep::Close, Count::Closed),
        (HazardStep::Dismiss, Count::Dismissed),
    ];
    counted.into_iter().find(|(of, _)| *of == step).map(|(_, count)| count)
}

fn roles(step: HazardStep) -> &'static [Role] {
    let by_operators = [HazardStep::Register, HazardStep::Submit, HazardStep::Progress];
    if by_operators.contains(&step) { &[Role::Operator, Role::Supervisor] } else { &[Role::Supervisor] }
}

fn unknown(id: &str) -> Refused {
    Refused::new(format!("没有未销号的隐患 `{id}`"), format!("there is no open hazard `{id}`"))
}

/// What the table alone does not say.
fn allowed(hazard: &Hazard, step: HazardStep, actor: &Actor) -> Result<(), Refused> {
    let mut rectifiers = [&hazard.assigned, &hazard.submitted_by]
        .into_iter()
        .flatten()
        .chain(hazard.five.as_ref().map(|five| &five.responsible));
    let judges = matches!(step, HazardStep::Accept | HazardStep::Return);
    if judges && rectifiers.any(|name| same_person(name, &actor.name)) {
        return Err(Refused::new("验收人不能是整改人", "who put it right does not accept it"));
    }
    if step == HazardStep::Close && hazard.listed.is_some() {
        return Err(Refused::new(
            "挂牌督办未解除，不能销号",
            "it is listed by the authority, which must take it off first",
        ));
    }
    Ok(())
}

fn checked(five: Commitments, cx: &Context<'_>) -> Result<Commitments, Refused> {
    let five = Commitments {
        responsible: text(&five.responsible, "责任", "the responsible person")?,
        measures: text(&five.measures, "措施", "what is done")?,
        funds: text(&five.funds, "资金", "the funds")?,
        deadline: five.deadline,
        plan: text(&five.plan, "预案", "the plan for the meantime")?,
    };
    if cx.trusted() && five.deadline < cx.calendar.date_at(cx.now.wall) {
        return Err(Refused::new("时限已过去", "the time limit is in the past"));
    }
    Ok(five)
}

fn apply(
    hazard: &mut Hazard,
    Change { step, actor, comment }: Change<'_>,
    cx: &mut Context<'_>,
    change: impl FnOnce(&mut Hazard),
) -> Result<Done, Refused> {
    let from = hazard.state;
    let Some(to) = step.from(from) else {
        let (zh, word) = (from.zh(), format!("{from:?}").to_lowercase());
        return Err(Refused::new(
            format!("隐患现为“{zh}”，不能这样办理"),
            format!("not possible while the hazard is {word}"),
        ));
    };
    change(hazard);
    hazard.state = to;
    hazard.n += 1;
    tell(step, Some(from), actor, comment, hazard, cx);
    let (id, zh, word) = (&hazard.id, to.zh(), format!("{to:?}").to_lowercase());
    Ok(Done::new(id, format!("隐患 {id}：{zh}"), format!("hazard {id}: {word}")))
}

fn tell(
    step: HazardStep,
    from: Option<HazardState>,
    actor: &Actor,
    comment: String,
    hazard: &Hazard,
    cx: &mut Context<'_>,
) {
    let record = HazardRecord { step, from, actor: actor.clone(), at: cx.now.wall, comment, hazard: hazard.clone() };
    cx.tell(DocumentKind::Hazard, &record);
}

fn escalate(hazard: &mut Hazard, cx: &mut Context<'_>) {
    let gateway = Actor::gateway();
    let change = Change { step: HazardStep::Overdue, actor: &gateway, comment: String::new() };
    if apply(hazard, change, cx, |h| h.overdue += 1).is_err() {
        return;
    }
    cx.count(Count::Overdue);
    let (zh, en) = flag(hazard, true, cx);
    let level = usize::try_from(hazard.level()).unwrap_or(usize::MAX).saturating_sub(1);
    if let Some(channel) = cx.rules.hazard.channels.get(level).cloned() {
        let key = format!("{}-overdue-{}", hazard.id, hazard.n);
        cx.order(Order { key, what: OrderKind::Message { channel, zh, en, to: None }, urgency: Urgency::AfterCommit });
    }
}

pub(super) fn flag(hazard: &Hazard, active: bool, cx: &mut Context<'_>) -> (String, String) {
    let Hazard { id, place, text, .. } = hazard;
    let zh = format!("隐患 {id} 超期未整改：{place}，{text}");
    let en = format!("hazard {id} is past its time limit: {place}, {text}");
    cx.flag(FlagKind::HazardOverdue, id, active, zh.clone(), en.clone());
    (zh, en)
}

/// Returns whether `duration` is one that a rule uses; zero switches the rule off.
pub(super) fn in_use(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}
