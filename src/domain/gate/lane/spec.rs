//! What a lane is: validated configuration. The machine takes it as it is; `config/gates.toml` is where it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::gate::hardware::Input;
use crate::domain::gate::word::{Direction, GateClass, GateId, LaneId, LaneKind, VehicleClass, ZoneId, words};
use crate::domain::order::LaneRule;
use crate::domain::site::ServiceState;

/// A "clear" that is older than this says nothing (`reliability.md` §5.1): the hardware repeats a live input within 200 ms,
/// so that two may be lost.
pub const FRESH: Duration = Duration::from_millis(500);

/// Between two commands that move the arm (`domain.md` rule 64): relays and motors need to come to rest.
pub const GAP: Duration = Duration::from_secs(1);

/// An input of which nothing was heard for so long is dead, whatever it said last. Fifteen of the hardware's repetitions.
pub const SILENCE: Duration = Duration::from_secs(3);

/// The contact of the fire linkage may be silent for longer, as the whole of the hardware's side restarts in less: a
/// release of every lane because a program restarted would be a danger of its own. A contact that *says* that it is dead is
/// believed at once.
pub const FIRE_SILENCE: Duration = Duration::from_secs(10);

/// The two independent means that must both say "clear" before anything closes.
pub const GUARDS: [Input; 2] = [Input::UnderArm, Input::Beam];

/// A lane.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneSpec {
    /// Unique in the park.
    pub id: LaneId,
    /// Name as people say it, Chinese.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Its gate.
    pub gate: GateId,
    /// Class of the gate.
    pub gate_class: GateClass,
    /// Somebody is at the gate.
    pub manned: bool,
    /// The zone that it leads into.
    pub zone: ZoneId,
    /// The zone that it leads out of when one goes in.
    pub zone_from: ZoneId,
    /// Persons or vehicles.
    pub kind: LaneKind,
    /// Which way.
    pub flow: Flow,
    /// Classes of vehicles that it takes; empty at a lane for persons.
    pub classes: BTreeSet<VehicleClass>,
    /// When it takes which of them; a class without a window is always taken.
    pub windows: Vec<Window>,
    /// Inputs that it has.
    pub inputs: BTreeSet<Input>,
    /// How it is seen where the arm stands.
    pub position: Position,
    /// Who closes.
    pub closes: Closes,
    /// What the lock or the arm does without power.
    pub fail: Fail,
    /// What it does when its own fire contact speaks: `Open`, `RescueOnly` or, where it only leads in, `NoEntry`.
    pub on_fire: LaneRule,
    /// It has a camera of its own: a decision waits for the plate.
    pub camera: bool,
    /// It has a weighbridge: a decision waits for the weight.
    pub scale: bool,
    /// The guard's button confirms what was referred to a guard; otherwise it only calls.
    pub button_confirms: bool,
    /// What it does in each trouble.
    pub conduct: BTreeMap<Trouble, Conduct>,
    /// Its times.
    pub timing: Timing,
    /// Its commissioning by the file.
    pub service: Service,
}

impl LaneSpec {
    /// Returns whether it is a way out.
    pub fn leads_out(&self) -> bool {
        self.gate_class == GateClass::Emergency || self.flow != Flow::In
    }

    /// Returns whether it takes dangerous goods.
    pub fn is_hazmat(&self) -> bool {
        self.gate_class == GateClass::HazmatOnly || self.classes.iter().any(|class| class.is_hazmat())
    }

    /// Returns whether the lane's windows take this class at this minute of the park's day, 0..1440; `None` where there are
    /// windows and the minute is not known. A window whose end is before its beginning crosses midnight; a class that no window
    /// names is always taken, whatever the clock says.
    pub fn window_open(&self, class: VehicleClass, minute: Option<u16>) -> Option<bool> {
        let mut windows = self.windows.iter().filter(|window| window.classes.contains(&class)).peekable();
        if windows.peek().is_none() {
            return Some(true);
        }
        minute.map(|minute| windows.any(|window| window.contains(minute)))
    }

    /// Returns both guards are there, which the gateway needs to close.
    pub fn has_guards(&self) -> bool {
        GUARDS.iter().all(|guard| self.inputs.contains(guard))
    }

    /// Returns what it does in this trouble.
    pub fn conduct_in(&self, trouble: Trouble) -> Conduct {
        self.conduct.get(&trouble).copied().unwrap_or_else(|| Conduct::usual(trouble, self.is_hazmat()))
    }
}

/// Which way a lane leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Into its zone.
    In,
    /// Out of it.
    Out,
    /// Both at any time: doors, whose readers say which way.
    Both,
    /// One at a time; changed by a person, only while it is empty. This is the one that it starts with.
    Reversible(Direction),
}

impl Flow {
    /// Returns the direction of something whose hardware does not say which way it goes.
    pub fn usual(self) -> Direction {
        match self {
            Self::In => Direction::In,
            Self::Out | Self::Both => Direction::Out,
            Self::Reversible(direction) => direction,
        }
    }
}

/// Times of day at which classes are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Classes.
    pub classes: BTreeSet<VehicleClass>,
    /// Minute of the park's day, 0..1440.
    pub from: u16,
    /// The first minute after it; before `from` where the window crosses midnight, equal where it is the whole day.
    pub to: u16,
}

impl Window {
    /// Returns whether this minute of the day lies in it.
    pub fn contains(&self, minute: u16) -> bool {
        match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }
}

words! {
    /// How it is seen where the arm stands.
    Position {
        /// By two limit switches.
        Limits = "limits", "限位开关";
        /// By the word of the barrier's own controller.
        Status = "status", "道闸控制器状态";
        /// Not at all: a lock. What its module took counts as done.
        None = "none", "无";
    }
}

words! {
    /// Who closes.
    Closes {
        /// The gateway, with a fresh "clear" of two means.
        Gateway = "gateway", "网关";
        /// The barrier's controller, or the door itself; the gateway never orders it.
        Controller = "controller", "道闸控制器";
    }
}

words! {
    /// What lock or arm do without power.
    Fail {
        /// Free: ways out for persons always.
        Safe = "safe", "断电释放";
        /// Shut: a way in for dangerous goods, say.
        Secure = "secure", "断电保持";
    }
}

words! {
    /// Commissioning of a lane.
    Service {
        /// It works.
        InService = "in_service", "投用";
        /// It is being commissioned: nothing moves unless a person chose a test, or life is at stake.
        Commissioning = "commissioning", "联调";
        /// Out of service: nothing moves unless life is at stake.
        Stopped = "stopped", "停用";
    }
}

impl From<ServiceState> for Service {
    fn from(state: ServiceState) -> Self {
        match state {
            ServiceState::Commissioning => Self::Commissioning,
            ServiceState::InService => Self::InService,
            // What is not there yet, or not any more, moves nothing.
            ServiceState::Planned | ServiceState::Stopped | ServiceState::Removed => Self::Stopped,
        }
    }
}

words! {
    /// Something that a lane needs to decide well, and does not have.
    Trouble {
        /// No camera.
        Camera = "camera", "相机离线";
        /// No reader.
        Reader = "reader", "读卡器离线";
        /// A loop or beam is dead, or was seen to miss a vehicle.
        Loop = "loop", "地感或防砸失效";
        /// The clock cannot be trusted.
        Clock = "clock", "时钟未同步";
        /// Permits or block list are older than allowed.
        Lists = "lists", "名单过期";
        /// The gateway has just started, and has not yet seen how everything stands.
        Restart = "restart", "网关刚启动";
        /// Other gates that share their passages are not heard of.
        Peers = "peers", "与其他卡口失联";
    }
}

impl Trouble {
    /// Returns it in English, as a person says it.
    pub fn en(self) -> &'static str {
        match self {
            Self::Camera => "no camera is heard",
            Self::Reader => "no reader is heard",
            Self::Loop => "a loop or beam is dead, or missed a vehicle",
            Self::Clock => "the clock is not synchronised",
            Self::Lists => "permits or block lists are too old",
            Self::Restart => "the gateway has just started",
            Self::Peers => "the park's other gates are not heard",
        }
    }
}

words! {
    /// What a lane does in a trouble, the strictest last. A vehicle that leaves is at worst referred to a guard, a person who
    /// leaves is never asked.
    Conduct {
        /// It goes on deciding; what it decides carries the trouble.
        Decide = "decide", "照常判定";
        /// A guard decides each passage.
        Refer = "refer", "人工确认";
        /// Nobody comes in.
        NoEntry = "no_entry", "停止进入";
    }
}

impl Conduct {
    /// Returns it in English, as a person says it.
    pub fn en(self) -> &'static str {
        match self {
            Self::Decide => "decides as usual",
            Self::Refer => "a guard decides each passage",
            Self::NoEntry => "nobody comes in",
        }
    }

    /// Returns what a lane does where nothing else is configured. What cannot be identified is referred anyway; a lane whose
    /// guards are dead would stay open behind each vehicle; the rest is stricter where dangerous goods pass
    /// (`domain.md` rule 146, `reliability.md` §5.1).
    pub fn usual(trouble: Trouble, hazmat: bool) -> Self {
        match trouble {
            Trouble::Camera | Trouble::Reader | Trouble::Loop => Self::Refer,
            Trouble::Clock | Trouble::Lists | Trouble::Restart if hazmat => Self::Refer,
            Trouble::Clock | Trouble::Lists | Trouble::Restart | Trouble::Peers => Self::Decide,
        }
    }
}

/// Times of a lane. Bounds stand in `config/gates.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Life of an opening, from the moment at which what is to pass was last seen standing there.
    pub open_life: Duration,
    /// The limit must be reached within this (rule 68).
    pub travel: Duration,
    /// Decided and opened, and nobody entered (rule 57).
    pub not_entered: Duration,
    /// Longest time open without a passage; then it closes when clear (rule 66).
    pub max_open: Duration,
    /// Both means have been clear this long before it closes.
    pub clear_for: Duration,
    /// Something under the arm for so long is an alarm (A20, 10).
    pub stuck: Duration,
    /// The same plate within this is the same passage.
    pub duplicate: Duration,
    /// A gap of a loop's signal shorter than this is between tractor and trailer, not between two vehicles.
    pub same_vehicle: Duration,
    /// Something waits before the arm and nothing was read or decided: a person is called.
    pub patience: Duration,
    /// How long a decision waits for the plate, from the first that was shown without one.
    pub read: Duration,
    /// How long a decision waits for the weight.
    pub weigh: Duration,
    /// A door that stands open for so long is told.
    pub door_held: Duration,
    /// The fire contact may be dead for so long (a module's one lost answer) before that releases.
    pub fire_settle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            open_life: Duration::from_secs(3),
            travel: Duration::from_secs(6),
            not_entered: Duration::from_secs(30),
            max_open: Duration::from_secs(60),
            clear_for: Duration::from_millis(1500),
            stuck: Duration::from_secs(600),
            duplicate: Duration::from_secs(10),
            same_vehicle: Duration::from_secs(1),
            patience: Duration::from_secs(15),
            // Of the two seconds from reading to acting (GB 50396-2007 5.1.2) the rest is for deciding and opening.
            read: Duration::from_millis(1500),
            weigh: Duration::from_secs(8),
            door_held: Duration::from_secs(30),
            fire_settle: Duration::from_millis(500),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_cross_midnight() {
        let night = Window { classes: BTreeSet::from([VehicleClass::Hazmat]), from: 22 * 60, to: 5 * 60 };
        let inside: Vec<u16> = [0, 299, 300, 1319, 1320, 1439].into_iter().filter(|at| night.contains(*at)).collect();
        assert_eq!(inside, [0, 299, 1320, 1439]);
        let whole = Window { from: 0, to: 0, ..night };
        assert!((0..1440).all(|at| whole.contains(at)));
    }
}
