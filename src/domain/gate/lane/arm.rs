//! What moves the arm or the lock: holding open, opening once, closing when clear, going up again, and whether it was seen
//! to move.

use std::time::Duration;

use super::inputs::ArmAt;
use super::spec::{GAP, Position};
use super::told::{Audit, Authority, CallWhy, LaneFault, Output, Step};
use super::{Lane, Phase};
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditResult, Deed};
use crate::domain::gate::hardware::{Act, CameraEvent, Carried, LaneCommand, LaneReceipt};
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::LaneKind;
use crate::domain::order::{Receipt, Urgency};
use crate::domain::time::{Mono, Now};

/// A lane that is to be held open and is not seen to be is ordered again: soon at first, since life may be at stake.
const AGAIN: Duration = Duration::from_secs(6);
/// So often it is ordered at that pace; then the arm is broken, and it is ordered each [`SELDOM`].
const QUICK: u32 = 10;
/// Twice a minute: each order is an entry of the audit.
const SELDOM: Duration = Duration::from_secs(30);
/// A lane that could not close, or was stopped by something under the arm, so often waits for [`SELDOM`] between trials.
const TRIALS: u32 = 3;
/// A command that is no opening for one passage must be on its way within this, or the next one is made.
pub(super) const LIFE: Duration = Duration::from_secs(2);
/// A person who leaves and whose lock did not take the command is opened for again, for so long.
const LEAVING: Duration = Duration::from_secs(10);

/// Which way the arm was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Motion {
    Open,
    Hold,
    Close,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Arm {
    /// The last command that moves it: none may follow within [`GAP`].
    last: Option<Mono>,
    /// What was ordered and is not proven: its key, and until when it must be.
    pending: Option<(String, Motion, Mono)>,
    /// The contact that holds it open is closed.
    holding: bool,
    /// And it was seen to be up.
    pub(super) holding_seen: bool,
    /// The order to hold it open: its key.
    hold: Option<String>,
    /// That order was not carried out, or nobody knows: that the arm is seen up then says nothing of what keeps it there.
    hold_lost: bool,
    again: Option<Mono>,
    /// So often it was ordered to be held open, or up again after a stop.
    orders: u32,
    /// It is to go up again, because something came under it while it closed.
    reverse: bool,
    trials: u32,
    rest_until: Option<Mono>,
    /// It was seen down, and has not been seen up since.
    pub(super) down: bool,
}

impl Arm {
    pub(super) fn gap_over(&self, now: Mono) -> bool {
        self.last.is_none_or(|last| now.since(last) >= GAP)
    }

    /// Returns whether nothing is ordered that has not been proven.
    pub(super) fn at_rest(&self) -> bool {
        self.pending.is_none() && !self.reverse && !self.holding
    }

    /// What was ordered was seen.
    pub(super) fn proven(&mut self) {
        (self.pending, self.trials, self.rest_until) = (None, 0, None);
    }

    pub(super) fn is_holding(&self) -> bool {
        self.holding
    }
}

impl Lane {
    pub(super) fn deed(&self, action: &str, actor: &Actor, detail: &str) -> Deed {
        Deed {
            actor: actor.clone(),
            action: action.to_owned(),
            object: self.spec.id.as_str().to_owned(),
            before: None,
            after: None,
            result: AuditResult::Done,
            detail: detail.to_owned(),
        }
    }

    pub(super) fn audit(&mut self, key: String, deed: Deed, urgency: Urgency) {
        self.outputs.push_back(Output::Audit(Audit { key, deed, urgency }));
        self.revision += 1;
    }

    /// Enters something that moves nothing.
    pub(super) fn note(&mut self, action: &str, actor: &Actor, detail: &str) {
        let (key, deed) = (self.name("n"), self.deed(action, actor, detail));
        self.audit(key, deed, Urgency::AtOnce);
    }

    pub(super) fn command(&mut self, key: String, act: Act, not_after: Mono) {
        let lane = self.spec.id.clone();
        self.outputs.push_back(Output::Command(LaneCommand { key, lane, act, not_after }));
        self.revision += 1;
    }

    pub(super) fn dismiss(&mut self, answers: CameraEvent, now: Now) {
        let key = self.name("d");
        self.command(key, Act::Dismiss { answers }, now.mono + LIFE);
    }

    /// Moves the arm by the gateway's own will, and enters it at once.
    fn order(&mut self, act: Act, action: &str, why: &str, motion: Option<Motion>, now: Now) {
        let (key, deed) = (self.name("c"), self.deed(action, &Actor::gateway(), why));
        self.audit(key.clone(), deed, Urgency::AtOnce);
        self.command(key.clone(), act, now.mono + LIFE);
        if let Some(motion) = motion {
            self.arm.last = Some(now.mono);
            self.arm.pending = Some((key, motion, now.mono + self.spec.timing.travel));
        }
    }

    /// Opens once, by a release whose audit is settled.
    pub(super) fn open(&mut self, key: String, answers: Option<CameraEvent>, not_after: Mono, now: Now) {
        self.command(key.clone(), Act::Open { answers }, not_after);
        self.arm.last = Some(now.mono);
        self.arm.pending = Some((key, Motion::Open, now.mono + self.spec.timing.travel));
        (self.arm.trials, self.arm.rest_until, self.arm.reverse) = (0, None, false);
    }

    /// What the arm has to do by itself: be held open, be let go, go up again; and whether it did what it was told.
    pub(super) fn advance_arm(&mut self, now: Now) {
        self.check_proof(now);
        match (self.held_by(), self.arm.holding) {
            (Some(authority), false) => self.begin_hold(authority, now),
            (Some(_), true) => self.keep_hold(now),
            (None, true) => self.let_go(now),
            (None, false) if self.arm.reverse && self.arm.gap_over(now.mono) => {
                self.arm.reverse = false;
                self.arm.orders += 1;
                self.order(
                    Act::Open { answers: None },
                    "lane.reopen",
                    "道闸下有物 / something under the arm",
                    Some(Motion::Open),
                    now,
                );
            }
            (None, false) => {}
        }
    }

    fn begin_hold(&mut self, authority: Authority, now: Now) {
        if self.phase == Phase::Closing {
            self.stop(now);
            self.go(Phase::Clearing, now);
        }
        if !self.arm.gap_over(now.mono) {
            return;
        }
        if let Some(release) = self.release.take() {
            // What it was to be opened for passes by the hold.
            release.answers.into_iter().for_each(|answers| self.dismiss(answers, now));
        }
        (self.arm.reverse, self.arm.holding, self.arm.holding_seen, self.arm.orders) = (false, true, false, 0);
        self.order_hold(&authority, now);
        self.answer_no(now);
        if self.current.is_none() {
            self.current = self.waiting.take();
        }
        for passage in [&mut self.current, &mut self.waiting].into_iter().flatten() {
            passage.authority = authority.clone();
        }
        self.go(Phase::Held, now);
    }

    fn order_hold(&mut self, authority: &Authority, now: Now) {
        let why = match authority {
            Authority::Fire => "消防联动 / fire linkage".to_owned(),
            Authority::Site(rule) => format!("应急状态 / state of the site: {rule:?}"),
            Authority::Hold(by) => format!("{by}：{}", self.rights.hold.as_ref().map_or("", |hold| hold.why.as_str())),
            Authority::Decision(_)
            | Authority::Hand(_)
            | Authority::Leaving
            | Authority::ByHand
            | Authority::Nothing => String::new(),
        };
        // A person's hold was entered when he asked for it, under a key of its own: this one is of the command.
        self.order(Act::HoldOpen, "lane.hold_open", &why, Some(Motion::Hold), now);
        self.arm.orders += 1;
        self.arm.hold = self.arm.pending.as_ref().map(|(key, ..)| key.clone());
        self.arm.hold_lost = false;
        let pace = if self.arm.orders < QUICK { AGAIN } else { SELDOM };
        self.arm.again = Some(now.mono + pace.max(self.spec.timing.travel));
    }

    /// Orders again what was not seen to be open.
    fn keep_hold(&mut self, now: Now) {
        let arm = self.inputs.arm(&self.spec, now.mono);
        if arm == ArmAt::Up && !self.arm.hold_lost {
            return;
        }
        let proven_by_receipt = self.spec.position == Position::None && self.arm.holding_seen && !self.arm.hold_lost;
        let due = self.arm.again.is_some_and(|again| now.mono >= again);
        if due && !proven_by_receipt && self.arm.gap_over(now.mono) {
            let authority = self.held_by().unwrap_or(Authority::Nothing);
            self.order_hold(&authority, now);
        }
    }

    fn let_go(&mut self, now: Now) {
        if !self.arm.gap_over(now.mono) {
            return;
        }
        (self.arm.holding, self.arm.holding_seen, self.arm.again, self.arm.pending) = (false, false, None, None);
        (self.arm.hold, self.arm.hold_lost) = (None, false);
        self.order(Act::EndHold, "lane.end_hold", "", None, now);
        self.arm.last = Some(now.mono);
        if let Some(waiting) = &mut self.waiting {
            // It had its right from the hold alone.
            waiting.authority = Authority::Nothing;
        }
        let next = match (self.spec.kind, self.current.is_some()) {
            (_, true) => Phase::Passing,
            (LaneKind::Vehicle, false) => Phase::Clearing,
            (LaneKind::Person, false) => Phase::Idle,
        };
        self.go(next, now);
    }

    fn stop(&mut self, now: Now) {
        self.arm.pending = None;
        self.order(Act::Stop, "lane.stop", "", None, now);
    }

    /// Something is or may be under the closing arm.
    pub(super) fn reverse(&mut self, now: Now) {
        self.stop(now);
        (self.arm.reverse, self.arm.orders) = (true, 0);
        self.tried(now);
        self.go(Phase::Clearing, now);
    }

    fn tried(&mut self, now: Now) {
        self.arm.trials += 1;
        if self.arm.trials >= TRIALS {
            self.arm.rest_until = Some(now.mono + SELDOM);
        }
    }

    /// Closes, if everything that must be known is known.
    pub(super) fn close_when_clear(&mut self, now: Now) {
        let rests = self.arm.rest_until.is_some_and(|until| now.mono < until);
        let quiet = self.arm.at_rest() && self.arm.gap_over(now.mono) && self.held_by().is_none();
        if rests || !quiet || !self.may_move() || self.rights.hold.is_some() {
            return;
        }
        if self.inputs.clear_to_close(&self.spec, now.mono, self.spec.timing.clear_for) {
            self.order(Act::Close, "lane.close", "", Some(Motion::Close), now);
            self.go(Phase::Closing, now);
        }
    }

    /// Was it seen to move?
    fn check_proof(&mut self, now: Now) {
        let arm = self.inputs.arm(&self.spec, now.mono);
        if arm == ArmAt::Up && self.arm.holding && !self.arm.holding_seen {
            self.hold_seen(now);
        }
        let Some((_, motion, until)) = &self.arm.pending else { return };
        let (motion, until) = (*motion, *until);
        match motion {
            Motion::Open if arm == ArmAt::Up => self.opened(now),
            Motion::Open | Motion::Hold | Motion::Close if now.mono >= until => {
                self.not_moved(motion, "未在规定时间内到位 / not at its limit in time", now)
            }
            Motion::Open | Motion::Hold | Motion::Close => {}
        }
    }

    fn hold_seen(&mut self, now: Now) {
        self.arm.holding_seen = true;
        self.arm.proven();
        self.tell(LaneFault::NotMoved, "", false);
        self.order_ends(Receipt::Done);
        self.opened_for_current(now);
        self.revision += 1;
    }

    fn opened(&mut self, now: Now) {
        self.arm.proven();
        self.tell(LaneFault::NotMoved, "", false);
        if self.phase == Phase::Opening {
            self.opened_for_current(now);
            self.go(Phase::Passing, now);
        }
        self.revision += 1;
    }

    pub(super) fn opened_for_current(&mut self, now: Now) {
        let Some(passage) = self.current.as_mut().filter(|passage| passage.may_pass() && !passage.opened) else {
            return;
        };
        passage.opened = true;
        let (id, authority) = (passage.id.clone(), passage.authority.clone());
        self.step(id, Step::Opened { authority }, now);
    }

    /// Ordered, and not seen to have happened. What was opened for goes on: a limit switch may be dead, and the arm up.
    fn not_moved(&mut self, motion: Motion, why: &str, now: Now) {
        self.arm.pending = None;
        self.tell_with(LaneFault::NotMoved, "", true, why);
        match motion {
            Motion::Open if self.phase == Phase::Opening => {
                self.call(CallWhy::NotMoved, now);
                self.go(Phase::Passing, now);
            }
            Motion::Open => {}
            Motion::Hold => {
                self.call(CallWhy::NotMoved, now);
                self.order_ends(Receipt::Failed(why.to_owned()));
            }
            Motion::Close => {
                self.tried(now);
                self.go(Phase::Clearing, now);
            }
        }
        self.revision += 1;
    }

    /// Takes what became of a command. That it was taken is no movement, except where nothing else can be seen.
    pub fn handle_receipt(&mut self, receipt: &LaneReceipt, now: Now) {
        let pending = self.arm.pending.as_ref().filter(|(key, ..)| *key == receipt.key).map(|(_, motion, _)| *motion);
        if let Some(motion) = pending {
            match &receipt.carried {
                Carried::Sent if self.spec.position == Position::None => match motion {
                    Motion::Hold => self.hold_seen(now),
                    Motion::Open | Motion::Close => self.opened(now),
                },
                // What was sent and not answered may have been done: the limits will say.
                Carried::Sent | Carried::Unanswered(_) => {}
                Carried::Expired => self.not_carried(motion, "过期未发 / expired", now),
                Carried::Refused(why) | Carried::Failed(why) => self.not_carried(motion, why, now),
            }
        }
        self.hold_carried(receipt, now);
        self.advance(now);
    }

    /// A hold that its module did not take, or did not answer, is ordered again as soon as may be, wherever the arm stands; a few
    /// times at that pace.
    fn hold_carried(&mut self, receipt: &LaneReceipt, now: Now) {
        if !self.arm.holding || self.arm.hold.as_ref() != Some(&receipt.key) {
            return;
        }
        self.arm.hold_lost = receipt.carried != Carried::Sent;
        if self.arm.hold_lost && self.arm.orders < QUICK {
            self.arm.again = Some(now.mono + GAP);
        }
    }

    fn not_carried(&mut self, motion: Motion, why: &str, now: Now) {
        if motion == Motion::Open && self.phase == Phase::Clearing && self.arm.orders < QUICK {
            // What is under the arm is opened for as soon as its module takes a command again.
            (self.arm.reverse, self.arm.last) = (true, Some(now.mono));
        }
        if motion != Motion::Open || self.phase != Phase::Opening {
            return self.not_moved(motion, why, now);
        }
        self.arm.pending = None;
        self.tell_with(LaneFault::NotMoved, "", true, why);
        let leaving = self.current.as_ref().filter(|passage| passage.authority == Authority::Leaving);
        if leaving.is_some_and(|passage| now.mono.since(passage.first) < LEAVING) {
            self.call(CallWhy::NotMoved, now);
            return self.release_leaving(now);
        }
        if let Some(passage) = &mut self.current {
            (passage.verdict, passage.authority) = (Some(Verdict::Refer), Authority::Nothing);
        }
        self.call(CallWhy::NotMoved, now);
        self.go(Phase::Decided, now);
    }

    pub(super) fn arm_dues(&self) -> Vec<Mono> {
        let arm = &self.arm;
        let pending = arm.pending.as_ref().map(|(_, _, until)| *until);
        let gap = arm.last.map(|last| last + GAP);
        [pending, gap, arm.again, arm.rest_until].into_iter().flatten().collect()
    }
}
