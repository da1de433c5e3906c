//! What persons do to a lane: every one of them named, with a reason, and entered in the audit before anything moves.

use super::rights::Hold;
use super::spec::{Flow, Service};
use super::told::{Authority, LaneFault};
use super::{ArmAt, Lane, Phase};
use crate::domain::actor::{Actor, Refused, Role, Via};
use crate::domain::gate::hardware::Input;
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::{Direction, LaneKind};
use crate::domain::order::Urgency;
use crate::domain::time::{Now, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest hold that may be asked for: a shift. Who wants it longer asks again, so that nobody forgets an open gate.
const LONGEST_HOLD: Duration = Duration::from_secs(12 * 3600);
/// Longest test under commissioning: a working day.
const LONGEST_TEST: Duration = Duration::from_secs(8 * 3600);

/// What a person does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Opens once, for what waits or for what nobody has read.
    Open {
        /// Life is at stake: it does not wait for the audit, and is carried out in any service.
        emergency: bool,
    },
    /// Refuses what waits.
    Refuse,
    /// Has what waits decided by a person, whatever was decided of it; what is being opened for is past that.
    Refer,
    /// Closes what stands open. The arm closes when everything is clear, as always.
    Close,
    /// Holds open until then.
    HoldOpen {
        /// Until when.
        until: Timestamp,
    },
    /// Ends a hold.
    EndHold,
    /// Turns a reversible lane; only while it is empty.
    Turn(Direction),
    /// Under commissioning: lets it move for a test, until then; `None` ends it.
    Test {
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Arms a lane whose camera had opened by its own list.
    Arm {
        /// He has seen that the camera's own list is off.
        list_off: bool,
    },
    /// Resets the release by the fire contact, which must be at rest.
    ResetFire,
    /// Has checked an input that had missed a vehicle.
    TrustInput(Input),
}

impl Hand {
    /// Returns the word for the audit.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open { emergency: false } => "lane.open",
            Self::Open { emergency: true } => "lane.open_emergency",
            Self::Refuse => "lane.refuse",
            Self::Refer => "lane.refer",
            Self::Close => "lane.close",
            Self::HoldOpen { .. } => "lane.hold",
            Self::EndHold => "lane.hold_end",
            Self::Turn(_) => "lane.turn",
            Self::Test { .. } => "lane.test",
            Self::Arm { .. } => "lane.arm",
            Self::ResetFire => "lane.reset_fire",
            Self::TrustInput(_) => "lane.trust_input",
        }
    }

    fn role(&self) -> Role {
        match self {
            Self::Open { .. }
            | Self::Refuse
            | Self::Refer
            | Self::Close
            | Self::HoldOpen { .. }
            | Self::EndHold
            | Self::Turn(_) => Role::Guard,
            Self::Test { .. } | Self::Arm { .. } | Self::ResetFire | Self::TrustInput(_) => Role::Supervisor,
        }
    }
}

impl Lane {
    /// Carries out what a person does. Guards and supervisors open, refuse, close, hold and turn; the rest is the
    /// supervisor's.
    ///
    /// # Errors
    /// Words for who asked, when it is refused; nothing has changed then but the audit.
    pub fn handle_hand(&mut self, hand: &Hand, actor: &Actor, why: &str, now: Now) -> Result<(), Refused> {
        self.advance(now);
        let done = self.allowed_hand(hand, actor, why).and_then(|()| self.hand(hand, actor, why.trim(), now));
        if let Err(refused) = &done {
            let key = self.name("n");
            let mut deed = self.deed(hand.as_str(), actor, &format!("{}（{why}）", refused.zh));
            deed.result = crate::domain::audit::AuditResult::Refused;
            self.audit(key, deed, Urgency::AtOnce);
        }
        self.advance(now);
        done
    }

    fn allowed_hand(&self, hand: &Hand, actor: &Actor, why: &str) -> Result<(), Refused> {
        let role = hand.role();
        if !actor.has(role) && !actor.has(Role::Supervisor) {
            return Err(Refused::role(role));
        }
        if actor.via == Via::Platform {
            // No command from afar opens a lane; it may ask the guard.
            return Err(Refused::new("平台不能直接操作车道", "the platform cannot move a lane"));
        }
        if why.trim().is_empty() || actor.name.trim().is_empty() {
            return Err(Refused::new("需要姓名和理由", "this needs a name and a reason"));
        }
        Ok(())
    }

    fn hand(&mut self, hand: &Hand, actor: &Actor, why: &str, now: Now) -> Result<(), Refused> {
        match hand {
            Hand::Open { emergency } => return self.open_by_hand(*emergency, actor, why, now),
            Hand::Refuse => return self.refuse_by_hand(actor, why, now),
            Hand::Refer => return self.refer_by_hand(actor, why, now),
            Hand::Close => return self.close_by_hand(actor, why, now),
            Hand::HoldOpen { until } => return self.hold_by_hand(*until, actor, why, now),
            Hand::EndHold if self.rights.hold.is_none() => {
                return Err(Refused::new("没有常开", "nothing is held open"));
            }
            Hand::EndHold => {
                self.end_hold(actor, why);
                return Ok(());
            }
            Hand::Turn(direction) => self.turn(*direction, now)?,
            Hand::Test { until } => self.test(*until, now)?,
            Hand::Arm { list_off } => self.arm_again(*list_off)?,
            Hand::ResetFire => self.reset_fire(now)?,
            Hand::TrustInput(input) => {
                self.inputs.trust(*input);
            }
        }
        self.note(hand.as_str(), actor, &format!("{hand:?}：{why}"));
        Ok(())
    }

    fn stopped() -> Refused {
        Refused::new(
            "车道停用或联调中，未选择测试，不动作",
            "the lane is stopped or being commissioned, and moves nothing",
        )
    }

    fn open_by_hand(&mut self, emergency: bool, actor: &Actor, why: &str, now: Now) -> Result<(), Refused> {
        if !self.may_move() && !emergency {
            return Err(Self::stopped());
        }
        if self.arm.is_holding() {
            return Err(Refused::new("已处于常开", "it is held open already"));
        }
        let waits = matches!(self.phase, Phase::Idle | Phase::Approach | Phase::Identified | Phase::Decided);
        // What was opened for and does not move may be opened for again.
        let again = self.phase == Phase::Passing && self.current.as_ref().is_some_and(super::Passage::may_pass);
        if self.release.is_some() || !(waits || again) {
            return Err(Refused::new("正在动作，请稍后", "it is moving; try again"));
        }
        if self.current.is_none() {
            self.current = Some(self.begin(self.direction(), now.mono, now));
        }
        let not_after = now.mono + self.spec.timing.open_life;
        if let Some(passage) = &mut self.current {
            passage.looked = now.mono;
        }
        let urgency = if emergency { Urgency::AtOnce } else { Urgency::AfterCommit };
        self.release_by(Authority::Hand(actor.name.clone()), actor, why, (not_after, urgency), now);
        Ok(())
    }

    fn refuse_by_hand(&mut self, actor: &Actor, why: &str, now: Now) -> Result<(), Refused> {
        let waits =
            matches!(self.phase, Phase::Approach | Phase::Identified | Phase::Decided) && self.release.is_none();
        let Some(passage) = self.current.as_mut().filter(|_| waits) else {
            return Err(Refused::new("没有等待的通行", "nothing waits"));
        };
        if self.spec.kind == LaneKind::Person && passage.direction == Direction::Out {
            return Err(Refused::new("人员离开不得拒绝", "a person who leaves is never refused"));
        }
        passage.verdict = Some(Verdict::Deny);
        let detail = format!("{} {why}", passage.id);
        self.note("lane.refuse", actor, &detail);
        self.answer_no(now);
        self.go(Phase::Decided, now);
        Ok(())
    }

    fn refer_by_hand(&mut self, actor: &Actor, why: &str, now: Now) -> Result<(), Refused> {
        let waits = matches!(self.phase, Phase::Approach | Phase::Identified | Phase::Decided);
        let Some(passage) = self.current.as_ref().filter(|_| waits) else {
            return Err(Refused::new("没有等待的通行", "nothing waits"));
        };
        if self.spec.kind == LaneKind::Person && passage.direction == Direction::Out {
            return Err(Refused::new("人员离开不得拦截", "a person who leaves is never kept"));
        }
        let detail = format!("{} {why}", passage.id);
        self.drop_release(now);
        self.note("lane.refer", actor, &detail);
        self.refer(super::CallWhy::Referred, now);
        Ok(())
    }

    fn close_by_hand(&mut self, actor: &Actor, why: &str, now: Now) -> Result<(), Refused> {
        if self.spec.kind == LaneKind::Person || self.spec.closes != super::spec::Closes::Gateway {
            return Err(Refused::new("此车道由其控制器关闭", "the controller of this lane closes it"));
        }
        if self.held_by().is_some() || self.rights.hold.is_some() {
            return Err(Refused::new("处于常开，请先解除", "it is held open; end that first"));
        }
        if !self.may_move() {
            return Err(Self::stopped());
        }
        if self.phase == Phase::Opening || self.current.is_some() {
            return Err(Refused::new("有车等待或正在通行", "something waits or is passing"));
        }
        if self.arm_at(now.mono) == ArmAt::Down {
            return Err(Refused::new("已经关闭", "it is closed"));
        }
        self.note("lane.close_asked", actor, why);
        if self.phase != Phase::Closing {
            self.go(Phase::Clearing, now);
        }
        Ok(())
    }

    fn hold_by_hand(&mut self, until: Timestamp, actor: &Actor, why: &str, now: Now) -> Result<(), Refused> {
        let away = u64::try_from(until.0.saturating_sub(now.wall.0)).map(Duration::from_millis);
        let away = away.ok().filter(|away| !away.is_zero() && *away <= LONGEST_HOLD);
        let Some(away) = away else {
            return Err(Refused::new("结束时间须在 12 小时之内", "it must end within 12 hours"));
        };
        if !self.may_move() {
            return Err(Self::stopped());
        }
        let key = self.name("h");
        let deed = self.deed("lane.hold", actor, &format!("至 {until}：{why}"));
        self.audit(key.clone(), deed, Urgency::AfterCommit);
        let (by, why) = (actor.name.clone(), why.to_owned());
        let hold = Hold { by, why, until: now.mono + away, until_wall: until, waits: Some(key), found: false };
        // One that is held already stays so while the new entry is stored.
        let waits = hold.waits.clone().filter(|_| self.rights.hold.as_ref().is_none_or(|hold| hold.waits.is_some()));
        self.rights.hold = Some(Hold { waits, ..hold });
        self.revision += 1;
        Ok(())
    }

    fn turn(&mut self, direction: Direction, now: Now) -> Result<(), Refused> {
        if !matches!(self.spec.flow, Flow::Reversible(_)) {
            return Err(Refused::new("此车道方向固定", "this lane has one direction"));
        }
        if !self.is_empty(now) || self.arm_at(now.mono) != ArmAt::Down {
            return Err(Refused::new(
                "车道须空闲、各地感明确无车、道闸在关位",
                "it must be empty, every loop clear, and the arm down",
            ));
        }
        self.rights.direction = direction;
        self.revision += 1;
        Ok(())
    }

    fn test(&mut self, until: Option<Timestamp>, now: Now) -> Result<(), Refused> {
        if self.rights.service != Service::Commissioning {
            return Err(Refused::new("只有联调中的车道可以测试", "only a lane under commissioning is tested"));
        }
        let Some(until) = until else {
            self.rights.test = None;
            return Ok(());
        };
        let away = u64::try_from(until.0.saturating_sub(now.wall.0)).map(Duration::from_millis).ok();
        let Some(away) = away.filter(|away| !away.is_zero() && *away <= LONGEST_TEST) else {
            return Err(Refused::new("结束时间须在 8 小时之内", "it must end within 8 hours"));
        };
        self.rights.test = Some(now.mono + away);
        self.revision += 1;
        Ok(())
    }

    fn arm_again(&mut self, list_off: bool) -> Result<(), Refused> {
        if !self.rights.disarmed {
            return Err(Refused::new("车道未解除布防", "the lane is armed"));
        }
        if !list_off {
            return Err(Refused::new("请先关闭相机的离线白名单", "put the camera's own list off first"));
        }
        self.rights.disarmed = false;
        let told: BTreeSet<String> = self
            .faults
            .iter()
            .filter(|(fault, _)| *fault == LaneFault::OwnList)
            .map(|(_, device)| device.clone())
            .collect();
        told.iter().for_each(|device| self.tell(LaneFault::OwnList, device, false));
        self.revision += 1;
        Ok(())
    }

    fn reset_fire(&mut self, now: Now) -> Result<(), Refused> {
        if !self.rights.fire {
            return Err(Refused::new("没有消防联动释放", "no release by the fire contact"));
        }
        if self.inputs.on(Input::Fire, now.mono) != Some(false) {
            return Err(Refused::new("消防触点未恢复正常", "the fire contact is not at rest"));
        }
        self.rights.fire = false;
        self.tell(LaneFault::Fire, "", false);
        self.revision += 1;
        Ok(())
    }

    /// The guard's button at the lane: it confirms what was referred to a guard, where the site has it so, and calls else.
    pub(super) fn guard_button(&mut self, now: Now) {
        let referred = self.current.as_ref().is_some_and(|passage| passage.verdict == Some(Verdict::Refer));
        let confirms = self.spec.button_confirms && referred && self.phase == Phase::Decided && self.release.is_none();
        if !confirms {
            return self.call_button(now);
        }
        let name = format!("{}:{}", self.spec.id, Input::GuardButton.as_str());
        let actor = Actor { name, via: Via::Panel, roles: BTreeSet::from([Role::Guard]) };
        if let Err(refused) = self.open_by_hand(false, &actor, "值守按钮确认 / confirmed by the guard's button", now)
        {
            self.note("lane.open", &actor, &refused.zh);
        }
    }
}
