//! A lane as people see it: what it does, what holds it, what it lacks and what it does because of that.

use serde::Serialize;

use super::rights::SavedHold;
use super::spec::{Conduct, Position, Service, Trouble};
use super::told::LaneFault;
use super::watch::words_of;
use super::{ArmAt, Lane, Phase};
use crate::domain::gate::facts::LaneFacts;
use crate::domain::gate::hardware::Input;
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::{Direction, GateClass, GateId, LaneId, LaneKind, PassageId, VehicleClass};
use crate::domain::order::LaneRule;
use crate::domain::time::Now;

/// See the module. Words are Chinese and English beside each other, as the page shows them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneView {
    /// Id.
    pub id: LaneId,
    /// Name, Chinese.
    pub name: String,
    /// Name, English.
    pub name_en: String,
    /// Gate.
    pub gate: GateId,
    /// Its class.
    pub gate_class: GateClass,
    /// Somebody is there.
    pub manned: bool,
    /// Who uses it.
    pub kind: LaneKind,
    /// Which way now.
    pub direction: Direction,
    /// What it does.
    pub phase: Phase,
    /// In a few words, Chinese.
    pub doing: String,
    /// In a few words, English.
    pub doing_en: String,
    /// For how long, milliseconds.
    pub for_ms: u64,
    /// Where the arm stands: `up`, `down`, `between`; absent: not known.
    pub arm: Option<&'static str>,
    /// The same in words, and where it is not known, why; Chinese.
    pub arm_zh: &'static str,
    /// English.
    pub arm_en: &'static str,
    /// Whether something is under the arm; absent: it may be.
    pub under_arm: Option<bool>,
    /// Rule in force.
    pub rule: LaneRule,
    /// Released by the fire contact.
    pub fire: bool,
    /// Held open by a person.
    pub hold: Option<SavedHold>,
    /// Service.
    pub service: Service,
    /// A test moves it.
    pub testing: bool,
    /// Its camera had opened by its own list.
    pub disarmed: bool,
    /// The plate before it or in it.
    pub plate: Option<String>,
    /// The verdict about that.
    pub verdict: Option<Verdict>,
    /// Something waits behind.
    pub queue: bool,
    /// What it lacks, and what it does because of that.
    pub troubles: Vec<TroubleView>,
    /// What is wrong with it.
    pub faults: Vec<FaultView>,
}

/// A trouble and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TroubleView {
    /// What it lacks.
    pub trouble: Trouble,
    /// What it does: entries.
    pub conduct: Conduct,
    /// Chinese: `相机离线：人工确认`.
    pub zh: String,
    /// English.
    pub en: String,
}

/// A fault that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultView {
    /// What.
    pub fault: LaneFault,
    /// Input or device.
    pub subject: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl ArmAt {
    /// Returns the word for it; `None`: not known.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Down => Some("down"),
            Self::Between => Some("between"),
            Self::Up => Some("up"),
        }
    }
}

impl Lane {
    /// Returns what people see.
    pub fn view(&self, now: Now) -> LaneView {
        let spec = &self.spec;
        let plate =
            self.current.as_ref().and_then(|passage| passage.plate.as_ref()).and_then(|read| read.plate.as_ref());
        let hold = self.rights.hold.as_ref().map(|hold| SavedHold {
            by: hold.by.clone(),
            why: hold.why.clone(),
            until: hold.until_wall,
            left_ms: u64::try_from(hold.until.since(now.mono).as_millis()).unwrap_or(u64::MAX),
        });
        let (doing, doing_en) = self.doing();
        let (arm_zh, arm_en) = self.arm_words(now);
        LaneView {
            id: spec.id.clone(),
            name: spec.name.clone(),
            name_en: spec.name_en.clone(),
            gate: spec.gate.clone(),
            gate_class: spec.gate_class,
            manned: spec.manned,
            kind: spec.kind,
            direction: self.direction(),
            phase: self.phase,
            doing,
            doing_en,
            for_ms: u64::try_from(now.mono.since(self.since).as_millis()).unwrap_or(u64::MAX),
            arm: self.arm_at(now.mono).as_str(),
            arm_zh,
            arm_en,
            under_arm: self.inputs.under_arm(spec, now.mono),
            rule: self.rule(),
            fire: self.rights.fire,
            hold,
            service: self.rights.service,
            testing: self.rights.test.is_some(),
            disarmed: self.rights.disarmed,
            plate: plate.map(ToString::to_string),
            verdict: self.current.as_ref().and_then(|passage| passage.verdict),
            queue: self.waiting.is_some(),
            troubles: self.troubles.iter().map(|trouble| self.trouble_view(*trouble)).collect(),
            faults: self.faults.iter().map(|(fault, subject)| self.fault_view(*fault, subject)).collect(),
        }
    }

    fn arm_words(&self, now: Now) -> (&'static str, &'static str) {
        match (self.arm_at(now.mono), self.spec.position) {
            (ArmAt::Up, _) => ("开", "open"),
            (ArmAt::Down, _) => ("关", "closed"),
            (ArmAt::Between, _) => ("中间位置", "on its way, or stopped half way"),
            (ArmAt::Unknown, Position::None) => (
                "没有限位和状态反馈，看不到位置",
                "nothing here says where it stands: no limit switches, no controller's word",
            ),
            (ArmAt::Unknown, Position::Limits) => (
                "位置不明：限位没有信号或互相矛盾",
                "not known: the limit switches are silent, or contradict each other",
            ),
            (ArmAt::Unknown, Position::Status) => {
                ("位置不明：道闸控制器没有报告", "not known: the barrier's controller does not say")
            }
        }
    }

    fn doing(&self) -> (String, String) {
        let rule = match self.rule() {
            LaneRule::Normal => None,
            LaneRule::Guarded => Some(("逐次人工确认", "a guard decides each passage")),
            LaneRule::NoEntry => Some(("禁止进入，离开不受限", "nobody comes in, out is free")),
            LaneRule::RescueOnly => Some(("只放救援进入，离开不受限", "rescue only in, out is free")),
            LaneRule::Open => Some(("应急常开", "held open")),
        };
        let (mut zh, mut en) = (self.phase.zh().to_owned(), self.phase.as_str().to_owned());
        let service = Some(self.rights.service).filter(|service| *service != Service::InService);
        let service = service.map(|service| (service.zh(), service.as_str()));
        let disarmed = self.rights.disarmed.then_some(("未布防", "not armed"));
        for (more_zh, more_en) in [rule, service, disarmed].into_iter().flatten() {
            zh = format!("{zh}，{more_zh}");
            en = format!("{en}, {more_en}");
        }
        (zh, en)
    }

    /// A device that is down says why, as whoever listens to it has told.
    fn fault_view(&self, fault: LaneFault, subject: &str) -> FaultView {
        let (mut zh, mut en) = words_of(fault, subject);
        let why = self.devices.get(subject).filter(|_| fault == LaneFault::Device).map(|(.., why)| why.as_str());
        if let Some(why) = why.filter(|why| !why.is_empty()) {
            let (why, why_en) = why.split_once(" / ").unwrap_or((why, why));
            zh = format!("{zh}：{why}");
            en = format!("{en}: {why_en}");
        }
        FaultView { fault, subject: subject.to_owned(), zh, en }
    }

    fn trouble_view(&self, trouble: Trouble) -> TroubleView {
        let conduct = self.spec.conduct_in(trouble);
        let free = if self.spec.kind == LaneKind::Person { "，人员离开不受限" } else { "" };
        let free_en = if free.is_empty() { "" } else { "; persons leave freely" };
        TroubleView {
            trouble,
            conduct,
            zh: format!("{}：{}{free}", trouble.zh(), conduct.zh()),
            en: format!("{}: {}{free_en}", trouble.en(), conduct.en()),
        }
    }

    /// Returns what a decision is to know of the lane. `minute`: of the park's day; `None` when the clock cannot be trusted.
    pub fn facts(&self, direction: Direction, class: Option<VehicleClass>, minute: Option<u16>, now: Now) -> LaneFacts {
        LaneFacts {
            lane: self.spec.id.clone(),
            gate: self.spec.gate.clone(),
            gate_class: self.spec.gate_class,
            kind: self.spec.kind,
            direction,
            direction_ok: self.takes(direction),
            classes: self.spec.classes.clone(),
            manned: self.spec.manned,
            in_service: self.rights.service == Service::InService || self.rights.test.is_some(),
            under_arm: self.inputs.under_arm(&self.spec, now.mono),
            window_open: class.map_or(Some(true), |class| self.spec.window_open(class, minute)),
            disarmed: self.rights.disarmed,
        }
    }

    /// Returns the passage that has the lane, and whether anything gave it the right to pass.
    pub fn passage(&self) -> Option<(&PassageId, bool)> {
        self.current.as_ref().map(|passage| (&passage.id, passage.may_pass()))
    }

    /// Returns how many stand before the lane and have no right to pass, as far as its loops see: the one that is being dealt
    /// with and the one behind it. `None`: the loop before the lane cannot say.
    pub fn standing(&self, now: Now) -> Option<u16> {
        self.inputs.on(Input::Approach, now.mono)?;
        let first = self.current.as_ref().is_some_and(|passage| !passage.may_pass());
        Some(u16::from(first) + u16::from(self.waiting.is_some()))
    }

    /// Returns whether the lane's own fire contact speaks or is broken.
    pub fn fire(&self) -> bool {
        self.rights.fire
    }
}
