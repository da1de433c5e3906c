//! What people do: each action is checked by role, occurrence and rule, then is one step of the table; see the table in
//! [`super::action`]. Words of refusal name what would help.

use std::sync::Arc;
use std::time::Duration;

use super::super::actor::{Actor, Refused, Role};
use super::super::time::{Mono, Now};
use super::action::{Action, COMMENT_MAX, Done, REQUEST_STANDS};
use super::instance::{Hidden, Lasting, Occurrence};
use super::machine::Alarms;
use super::record::Occ;
use super::severity::Shelving;
use super::spec::{SERVICE_MAX, SHELF_MAX, SHELF_TOTAL_MAX};
use super::state::{Cause, State};
use super::transition::{By, shelving_at};

/// What waits for a second person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Who asked.
    pub(super) actor: Actor,
    pub(super) wish: Wish,
    pub(super) asked: Lasting,
}

/// What somebody wants to hide, for how long, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) cause: Cause,
    pub(super) time: Duration,
    pub(super) reason: String,
}

impl Alarms {
    /// Does what a person wants, or refuses it whole.
    ///
    /// # Errors
    /// Why not, in words for the person.
    pub fn handle_action(&mut self, action: &Action, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let done = match action {
            Action::Ack { alarm, occ, seen, comment } => self.ack(alarm, *occ, *seen, comment.as_deref(), actor, now),
            Action::Reset { alarm, occ, comment } => self.reset(alarm, *occ, comment.as_deref(), actor, now),
            Action::Silence => need(actor, &[Role::Operator]).map(|()| {
                self.silence(now);
                Done::Done
            }),
            Action::Shelve { alarm, time, reason } => self.hide(alarm, Cause::Shelved, *time, reason, actor, now),
            Action::OutOfService { alarm, time, reason } => {
                self.hide(alarm, Cause::OutOfService, *time, reason, actor, now)
            }
            Action::Approve { alarm } => self.approve(alarm, actor, now),
            Action::Unshelve { alarm } => self.show(alarm, Cause::Unshelved, State::Shelved, actor, now),
            Action::Return { alarm } => self.show(alarm, Cause::Returned, State::OutOfService, actor, now),
        };
        self.drain(now);
        done
    }

    fn find(&self, alarm: &str) -> Result<usize, Refused> {
        self.index
            .by_id
            .get(alarm)
            .copied()
            .ok_or_else(|| Refused::new(format!("没有编号为“{alarm}”的报警"), format!("there is no alarm `{alarm}`")))
    }

    fn occurrence(&self, index: usize, occ: Occ) -> Result<&Occurrence, Refused> {
        let open = self.instances.get(index).and_then(|instance| instance.open.as_deref());
        match open {
            Some(open) if open.occ == occ => Ok(open),
            Some(open) => Err(Refused::new(
                format!("报警已是第 {} 次发生，不是 {occ}；请查看后再操作", open.occ),
                format!("this is occurrence {} by now, not {occ}: look at it first", open.occ),
            )),
            None => Err(Refused::new(
                format!("报警已恢复正常，{occ} 已结束"),
                format!("the alarm is normal, {occ} is over"),
            )),
        }
    }

    fn ack(
        &mut self,
        alarm: &str,
        occ: Occ,
        seen: Option<u32>,
        comment: Option<&str>,
        actor: &Actor,
        now: Now,
    ) -> Result<Done, Refused> {
        need(actor, &[Role::Operator])?;
        let comment = said(comment)?;
        let index = self.find(alarm)?;
        let open = self.occurrence(index, occ)?;
        if seen.is_some_and(|seen| seen < open.raised_n) {
            return Err(Refused::new(
                "您查看之后报警又升级或再次发生，请查看后再确认",
                "it was raised again since you looked: look again, then acknowledge",
            ));
        }
        if !open.state.is_unacked() {
            return Err(Refused::new(
                format!("当前状态“{}”无需确认", open.state.zh()),
                format!("in state `{}` there is nothing to acknowledge", open.state.as_str()),
            ));
        }
        self.act(index, Cause::Ack, By { actor: Some(actor.clone()), comment, ..By::default() }, now)
    }

    fn reset(
        &mut self,
        alarm: &str,
        occ: Occ,
        comment: Option<&str>,
        actor: &Actor,
        now: Now,
    ) -> Result<Done, Refused> {
        need(actor, &[Role::Operator])?;
        let comment = said(comment)?;
        let index = self.find(alarm)?;
        let open = self.occurrence(index, occ)?;
        let by = By { actor: Some(actor.clone()), comment, ..By::default() };
        let latching = self.book.alarms.get(index).is_some_and(|spec| spec.latching);
        let state = open.state;
        if state == State::LatchedAcked && self.instances.get(index).is_some_and(|instance| instance.unknown) {
            return Err(Refused::new(
                "测点当前无有效测量值，不能证明险情已消除；恢复测量后再复位",
                "the point gives no measurement, nothing shows that the cause is gone: reset when it measures again",
            ));
        }
        if state == State::LatchedUnacked {
            return Err(Refused::new("请先确认，再复位", "acknowledge it first, then reset"));
        }
        if state.is_active() && latching {
            // Rule 85: while the cause lasts it is indicated anew, at once instead of within 20 s.
            let level = self.instances.get(index).map(|instance| instance.switches.level());
            self.step(index, Cause::ResetRefused, level.filter(|level| *level > 0), by, now);
            return Err(Refused::new(
                "报警原因仍存在，不能复位，已重新报警",
                "the cause is still there: it is not reset, and is indicated anew",
            ));
        }
        self.act(index, Cause::Reset, by, now)
    }

    fn hide(
        &mut self,
        alarm: &str,
        cause: Cause,
        time: Duration,
        reason: &str,
        actor: &Actor,
        now: Now,
    ) -> Result<Done, Refused> {
        need(actor, &[Role::Supervisor])?;
        let reason = said(Some(reason))?.ok_or_else(|| Refused::new("必须写明原因", "a reason is needed"))?;
        let index = self.find(alarm)?;
        let wish = Wish { cause, time, reason };
        self.check_wish(index, &wish, now)?;
        let allowed = self.allowed(index, cause);
        if allowed == Shelving::Allowed {
            return self.grant(index, wish, actor, None, now);
        }
        self.requests.retain(|_, request| request.asked.elapsed(now.mono) < REQUEST_STANDS);
        self.requests.insert(index, Request { actor: actor.clone(), wish, asked: Lasting::from(now.mono) });
        Ok(Done::AwaitsApproval)
    }

    /// Who may hide an alarm as it stands now. Out of service always takes two.
    fn allowed(&self, index: usize, cause: Cause) -> Shelving {
        let open = self.instances.get(index).and_then(|instance| instance.open.as_ref());
        let level = open.map_or(0, |open| open.level);
        let at_level = self.book.alarms.get(index).map_or(Shelving::Never, |spec| shelving_at(spec, level));
        if cause == Cause::OutOfService { Shelving::SecondPerson } else { at_level }
    }

    fn check_wish(&self, index: usize, wish: &Wish, now: Now) -> Result<(), Refused> {
        if wish.time.is_zero() {
            return Err(Refused::new("时长必须大于 0", "the time must be more than 0"));
        }
        let open = self.instances.get(index).and_then(|instance| instance.open.as_ref());
        if wish.cause == Cause::OutOfService {
            return if wish.time > SERVICE_MAX {
                Err(Refused::new("停用最长 31 天", "out of service for 31 days at most"))
            } else {
                Ok(())
            };
        }
        if self.allowed(index, wish.cause) == Shelving::Never {
            return Err(Refused::new("该级别的报警不得搁置", "at this level the alarm must not be shelved"));
        }
        if open.is_some_and(|open| open.state == State::OutOfService) {
            return Err(Refused::new("报警已停用，无需搁置", "it is out of service already"));
        }
        if wish.time > SHELF_MAX {
            return Err(Refused::new("一次搁置最长 8 小时", "8 hours on the shelf at most"));
        }
        let shelved = open.and_then(|open| open.hidden).map_or(Duration::ZERO, |h| h.since.elapsed(now.mono));
        if shelved + wish.time > SHELF_TOTAL_MAX {
            return Err(Refused::new("连续搁置合计最长 12 小时", "12 hours on the shelf at most, extensions included"));
        }
        Ok(())
    }

    fn approve(&mut self, alarm: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        need(actor, &[Role::Supervisor])?;
        let index = self.find(alarm)?;
        let waits = |request: &&Request| request.asked.elapsed(now.mono) < REQUEST_STANDS;
        let Some(request) = self.requests.get(&index).filter(waits).cloned() else {
            return Err(Refused::new(
                "没有待批准的申请，或申请已过期",
                "nothing waits for approval, or it was asked too long ago",
            ));
        };
        if request.actor.name == actor.name {
            return Err(Refused::new("申请人不能批准自己的申请", "who asked must not approve"));
        }
        self.check_wish(index, &request.wish, now)?;
        self.requests.remove(&index);
        self.grant(index, request.wish, &request.actor, Some(actor), now)
    }

    fn grant(
        &mut self,
        index: usize,
        wish: Wish,
        actor: &Actor,
        approver: Option<&Actor>,
        now: Now,
    ) -> Result<Done, Refused> {
        let hidden = self.hidden(index, wish.cause, wish.time, approver.is_some(), now.mono);
        let by = By {
            actor: Some(actor.clone()),
            approver: approver.cloned(),
            comment: Some(wish.reason),
            hidden: Some(hidden),
            told: None,
        };
        self.act(index, wish.cause, by, now)
    }

    fn hidden(&self, index: usize, cause: Cause, time: Duration, approved: bool, now: Mono) -> Hidden {
        let open = self.instances.get(index).and_then(|instance| instance.open.as_ref());
        let lies = open.filter(|open| cause == Cause::Shelved && open.state == State::Shelved);
        let since = lies.and_then(|open| open.hidden).map_or(Lasting::from(now), |hidden| hidden.since);
        let covers = if approved { Shelving::SecondPerson } else { Shelving::Allowed };
        Hidden { since, until: now + time, covers }
    }

    fn show(&mut self, alarm: &str, cause: Cause, from: State, actor: &Actor, now: Now) -> Result<Done, Refused> {
        need(actor, &[Role::Supervisor, Role::Operator])?;
        let index = self.find(alarm)?;
        let state = self.instances.get(index).map(super::instance::Instance::state).unwrap_or_default();
        if state != from {
            return Err(Refused::new(
                format!("报警当前状态为“{}”", state.zh()),
                format!("its state is `{}`", state.as_str()),
            ));
        }
        self.act(index, cause, By { actor: Some(actor.clone()), ..By::default() }, now)
    }

    fn act(&mut self, index: usize, cause: Cause, by: By, now: Now) -> Result<Done, Refused> {
        if self.step(index, cause, None, by, now) {
            return Ok(Done::Done);
        }
        let state = self.instances.get(index).map(super::instance::Instance::state).unwrap_or_default();
        Err(Refused::new(
            format!("当前状态“{}”不能这样操作", state.zh()),
            format!("that cannot be done in state `{}`", state.as_str()),
        ))
    }

    /// Returns what waits for a second person: alarm, who asked, why, and how long it will still wait.
    pub fn requests(&self, now: Now) -> Vec<(Arc<str>, Actor, String, Duration)> {
        let left = |request: &Request| REQUEST_STANDS.saturating_sub(request.asked.elapsed(now.mono));
        self.requests
            .iter()
            .filter(|(_, request)| !left(request).is_zero())
            .filter_map(|(index, request)| {
                let id = Arc::clone(&self.book.alarms.get(*index)?.id);
                Some((id, request.actor.clone(), request.wish.reason.clone(), left(request)))
            })
            .collect()
    }
}

/// Refuses who has none of these roles.
fn need(actor: &Actor, roles: &[Role]) -> Result<(), Refused> {
    match roles.first() {
        Some(first) if !roles.iter().any(|role| actor.has(*role)) => Err(Refused::role(*first)),
        _ => Ok(()),
    }
}

/// What a person said, without the spaces around it; `None` when that is nothing.
fn said(comment: Option<&str>) -> Result<Option<String>, Refused> {
    let comment = comment.map(str::trim).filter(|comment| !comment.is_empty());
    if comment.is_some_and(|comment| comment.chars().count() > COMMENT_MAX) {
        return Err(Refused::new(format!("说明最多 {COMMENT_MAX} 字"), format!("{COMMENT_MAX} characters at most")));
    }
    Ok(comment.map(str::to_owned))
}
