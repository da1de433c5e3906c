//! What is code and no policy: life safety, the safety of the arm, and what would make every policy worthless (no audit, no
//! plate, no class, an order of the site).

use crate::domain::gate::facts::{Facts, Subject, VehicleFacts};
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::domain::gate::word::{Direction, LaneKind, PersonKind, VehicleClass};
use crate::domain::order::LaneRule;
use crate::domain::site::State;

impl Facts {
    /// Returns whether rescue services want to pass: never refused by the gateway alone (`domain.md` rule 6).
    pub fn is_rescue(&self) -> bool {
        match &self.subject {
            Subject::Person(person) => person.person_kind == Some(PersonKind::Rescue),
            Subject::Vehicle(vehicle) => vehicle.exempt || vehicle.class == Some(VehicleClass::Rescue),
        }
    }

    /// Returns whether this lane is released by an evacuation, the fire linkage, or what either left open.
    pub fn is_released(&self) -> bool {
        let site = &self.site;
        site.state == State::Evacuate || site.fire || matches!(site.rule, LaneRule::Open | LaneRule::RescueOnly)
    }
}

impl VehicleFacts {
    /// Returns whether it is known which vehicle it is.
    pub fn is_identified(&self) -> bool {
        self.readable && self.plate.is_some()
    }
}

fn reason(code: &str, verdict: Verdict, zh: &str, en: &str) -> Reason {
    Reason { code: code.into(), verdict, zh: zh.into(), en: en.into(), policy: None }
}

/// Rows 1 and 2 of A19, and the person who leaves: what ends the asking.
pub(super) fn stopping(facts: &Facts) -> Option<Reason> {
    let leaves = facts.lane.direction == Direction::Out;
    if leaves && facts.is_released() {
        return Some(reason(
            "EMG_RELEASE",
            Verdict::Allow,
            "应急释放：出口放行",
            "emergency release: the way out is free",
        ));
    }
    if leaves && matches!(facts.subject, Subject::Person(_)) {
        return Some(reason("OK", Verdict::Allow, "人员离开一律放行", "a person may always leave"));
    }
    if facts.is_released() {
        return Some(if facts.is_rescue() {
            reason(
                "EXEMPT_CONFIRM",
                Verdict::Refer,
                "应急状态，救援进入由门岗确认",
                "emergency: the guard confirms rescue services",
            )
        } else {
            reason(
                "EMG_NO_ENTRY",
                Verdict::Deny,
                "应急状态，只准救援进入",
                "emergency: nobody but rescue services may enter",
            )
        });
    }
    lane(facts)
}

fn lane(facts: &Facts) -> Option<Reason> {
    let lane = &facts.lane;
    if !lane.in_service {
        return Some(reason(
            "LANE_OUT_OF_SERVICE",
            Verdict::Hold,
            "车道停用，请等待门岗",
            "the lane is out of service",
        ));
    }
    match lane.under_arm {
        _ if lane.kind == LaneKind::Person => None,
        Some(false) => None,
        Some(true) => Some(reason("UNDER_ARM", Verdict::Hold, "道闸杆下有物，暂不动作", "something is under the arm")),
        None => Some(reason(
            "UNDER_ARM",
            Verdict::Hold,
            "杆下检测失效，按有物处理",
            "the sensors under the arm are dead: taken as occupied",
        )),
    }
}

/// What holds whatever the policies say, beside what they say.
pub(super) fn standing(facts: &Facts) -> Vec<Reason> {
    let mut found = Vec::new();
    if facts.site.rule == LaneRule::Guarded {
        found.push(reason(
            "GUARDED",
            Verdict::Refer,
            "本车道由门岗逐一确认",
            "a guard decides each passage of this lane",
        ));
    }
    if facts.lane.direction == Direction::In {
        entering(facts, &mut found);
    }
    found
}

fn entering(facts: &Facts, found: &mut Vec<Reason>) {
    if facts.site.rule == LaneRule::NoEntry {
        found.push(reason("LOCKDOWN", Verdict::Deny, "封控中，只出不进", "lockdown: nobody enters"));
    }
    if !facts.gateway.store_ok {
        let (zh, en) = ("存储故障，入口暂停自动放行", "the store fails: no entry can be recorded");
        found.push(reason("STORE_FAILED", Verdict::Hold, zh, en));
    }
    if facts.lane.disarmed {
        let (zh, en) =
            ("相机曾按自身名单开闸，本车道未恢复", "the camera opened by its own list; the lane is not armed again");
        found.push(reason("LANE_DISARMED", Verdict::Hold, zh, en));
    }
    let Subject::Vehicle(vehicle) = &facts.subject else { return };
    if facts.is_rescue() {
        found.push(reason("EXEMPT_CONFIRM", Verdict::Refer, "应急车辆，门岗确认", "rescue: the guard confirms"));
    } else if !vehicle.is_identified() {
        found.push(reason("PLATE_UNREADABLE", Verdict::Refer, "车牌未识别，门岗核对", "the plate cannot be read"));
    } else if vehicle.class.is_none() {
        found.push(reason("CLASS_UNKNOWN", Verdict::Refer, "车辆类别未知，门岗核对", "the class is not known"));
    }
    if vehicle.fake {
        found.push(reason("PLATE_FAKE", Verdict::Refer, "疑似假牌，门岗核对", "the plate may be forged"));
    }
}

/// Default deny.
pub(super) fn not_permitted() -> Reason {
    reason("NOT_PERMITTED", Verdict::Deny, "没有策略准许通行", "no policy permits it")
}
