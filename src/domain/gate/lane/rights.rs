//! What stands over every single passage: rule of the site, fire contact, hold by a person, service, direction, and whether
//! the lane is armed.

use serde::{Deserialize, Serialize};

use super::spec::{LaneSpec, Service};
use super::told::{Authority, CallWhy, LaneFault, Output};
use super::{Lane, Phase};
use crate::domain::actor::Actor;
use crate::domain::gate::word::{Direction, LaneKind};
use crate::domain::order::{LaneRule, Receipt};
use crate::domain::time::{Mono, Now, Timestamp};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub(super) site: LaneRule,
    pub(super) drill: bool,
    /// An order of the site that has no receipt yet.
    pub(super) order: Option<String>,
    /// The fire contact spoke, and nobody has reset it.
    pub(super) fire: bool,
    pub(super) hold: Option<Hold>,
    pub(super) service: Service,
    /// A test under commissioning, until then.
    pub(super) test: Option<Mono>,
    pub(super) direction: Direction,
    /// The camera opened by its own list, and nobody has armed the lane again.
    pub(super) disarmed: bool,
}

/// A hold by a named person.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) by: String,
    pub(super) why: String,
    pub(super) until: Mono,
    pub(super) until_wall: Timestamp,
    /// Key of the entry in the audit that it waits for.
    pub(super) waits: Option<String>,
    /// It stood before a restart: it goes on only where the arm is seen to be up, and moves nothing.
    pub(super) found: bool,
}

/// A hold, as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHold {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// Until when.
    pub until: Timestamp,
    /// How long that was away when it was saved, in milliseconds: what counts where the clock cannot be trusted.
    pub left_ms: u64,
}

impl Rights {
    pub(super) fn new(spec: &LaneSpec) -> Self {
        Self {
            site: LaneRule::Normal,
            drill: false,
            order: None,
            fire: false,
            hold: None,
            service: spec.service,
            test: None,
            direction: spec.flow.usual(),
            disarmed: false,
        }
    }
}

impl Lane {
    /// Takes a rule of the site, under the key of its order. `drill`: a drill that moves barriers ordered it.
    pub fn handle_rule(&mut self, key: &str, rule: LaneRule, drill: bool, now: Now) {
        if let Some(old) = self.rights.order.take() {
            let failed = Receipt::Failed("被新的指令取代 / another order came".into());
            self.outputs.push_back(Output::Receipt { key: old, receipt: failed });
        }
        (self.rights.site, self.rights.drill) = (rule, drill);
        self.rights.order = Some(key.to_owned());
        self.revision += 1;
        self.advance(now);
        if !self.opens(self.rule()) || self.arm.holding_seen {
            self.order_ends(Receipt::Done);
        }
    }

    /// Takes its commissioning, as the site has it. The site has entered who changed it and why; the same again changes nothing.
    pub fn handle_service(&mut self, service: Service, now: Now) {
        if self.rights.service != service {
            self.serve(service, now);
        }
        self.advance(now);
    }

    fn serve(&mut self, service: Service, now: Now) {
        self.rights.service = service;
        self.rights.test = None;
        if service != Service::InService {
            self.rights.hold = None;
            let free = self.current.as_ref().is_some_and(|passage| self.leaves_freely(passage.direction));
            if self.release.is_some() && !free {
                self.drop_release(now);
                self.refer(CallWhy::Referred, now);
            }
        }
        self.revision += 1;
    }

    pub(super) fn order_ends(&mut self, receipt: Receipt) {
        if let Some(key) = self.rights.order.take() {
            self.outputs.push_back(Output::Receipt { key, receipt });
        }
    }

    /// Returns the rule in force: the stronger of the site's and the fire contact's.
    pub fn rule(&self) -> LaneRule {
        let fire = if self.rights.fire { self.spec.on_fire } else { LaneRule::Normal };
        if fire.strength() > self.rights.site.strength() { fire } else { self.rights.site }
    }

    /// Returns whether a rule holds this lane open. A way out opens whenever rescue alone may come in.
    fn opens(&self, rule: LaneRule) -> bool {
        match rule {
            LaneRule::Open => true,
            LaneRule::RescueOnly => self.spec.leads_out(),
            LaneRule::Normal | LaneRule::NoEntry | LaneRule::Guarded => false,
        }
    }

    /// Returns by what right the lane is to be held open, the strongest first.
    pub(super) fn held_by(&self) -> Option<Authority> {
        if self.rights.fire && self.opens(self.spec.on_fire) {
            return Some(Authority::Fire);
        }
        if self.opens(self.rights.site) {
            return Some(Authority::Site(self.rights.site));
        }
        let hold = self.rights.hold.as_ref().filter(|hold| hold.waits.is_none() && !hold.found)?;
        Some(Authority::Hold(hold.by.clone()))
    }

    /// Returns whether the lane moves for what is no matter of life.
    pub(super) fn may_move(&self) -> bool {
        match self.rights.service {
            Service::InService => true,
            Service::Commissioning => self.rights.test.is_some(),
            Service::Stopped => false,
        }
    }

    pub(super) fn is_commissioning(&self) -> bool {
        self.rights.service == Service::Commissioning
    }

    pub(super) fn is_drill(&self) -> bool {
        self.rights.drill && !self.rights.fire && self.rights.site != LaneRule::Normal
    }

    /// Returns whether whoever leaves here is not asked: a person always, a vehicle while the site keeps others from coming
    /// in.
    pub(super) fn leaves_freely(&self, direction: Direction) -> bool {
        let free = matches!(self.rule(), LaneRule::NoEntry | LaneRule::RescueOnly | LaneRule::Open);
        direction == Direction::Out && (self.spec.kind == LaneKind::Person || free)
    }

    /// A camera opened by its own list: a lane for dangerous goods is not armed any more.
    pub(super) fn disarm(&mut self, device: &str) {
        if self.spec.is_hazmat() {
            self.rights.disarmed = true;
            self.tell(LaneFault::OwnList, device, true);
            self.revision += 1;
        }
    }

    pub(super) fn end_hold(&mut self, actor: &Actor, why: &str) {
        if let Some(hold) = self.rights.hold.take() {
            let why = if why.is_empty() { format!("{}：{}", hold.by, hold.why) } else { why.to_owned() };
            self.note("lane.hold_end", actor, &why);
            self.revision += 1;
        }
    }

    /// A hold and a test end by their time; a hold that stood before a restart goes on where the arm is up, and ends where it
    /// is not: a restart moves nothing.
    pub(super) fn watch_rights(&mut self, now: Now) {
        if self.rights.test.is_some_and(|until| now.mono >= until) {
            self.rights.test = None;
            self.note("lane.test_end", &Actor::gateway(), "");
        }
        let Some(hold) = &mut self.rights.hold else { return };
        if now.mono >= hold.until {
            let why = format!("到期 / its time is over: {}", hold.until_wall);
            return self.end_hold(&Actor::gateway(), &why);
        }
        if hold.found {
            match self.inputs.arm(&self.spec, now.mono) {
                super::ArmAt::Up => hold.found = false,
                super::ArmAt::Down | super::ArmAt::Between => {
                    self.pulse(LaneFault::HoldEnded, "");
                    self.end_hold(&Actor::gateway(), "重启后道闸不在开位 / the arm was not up after a restart");
                }
                super::ArmAt::Unknown => {}
            }
        }
    }

    pub(super) fn rights_dues(&self) -> impl Iterator<Item = Mono> {
        [self.rights.test, self.rights.hold.as_ref().map(|hold| hold.until)].into_iter().flatten()
    }

    /// Returns whether nothing stands in the lane and nothing moves.
    pub(super) fn is_empty(&self, now: Now) -> bool {
        use crate::domain::gate::hardware::Input;
        let quiet = self.phase == Phase::Idle && self.waiting.is_none() && self.current.is_none();
        let loops = [Input::Approach, Input::UnderArm, Input::Beam, Input::Exit, Input::DoorOpen];
        let mut there = loops.into_iter().filter(|input| self.spec.inputs.contains(input));
        quiet && there.all(|input| self.inputs.on(input, now.mono) == Some(false))
    }
}
