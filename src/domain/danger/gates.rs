//! What danger and the gates tell one another: orders of the site for lanes that this gateway moves go there; what is wrong at
//! the gates becomes alarms; and what holds at each lane is what the gates decide by.
//!
//! A fault of a lane has an alarm of its own, `lane.<id>.<word>`. What comes and goes with vehicles, persons and tickets shares one
//! for each word, `inside.<word>` and so on, active while there is any; who it is about stands in the message beside it and in
//! the gates' own records. A fault that has no end of its own is told active and then, at once, not: its alarm stands until it
//! is acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::alarm::severity::{Class, Priority, Shelving};
use super::super::alarm::spec::{AlarmBook, AlarmSpec, Condition, Level, Subject};
use super::super::gate::gates::Surroundings;
use super::super::gate::hazmat::record::ViolationKind;
use super::super::gate::lane::LaneFault;
use super::super::gate::word::{LaneId, ZoneId};
use super::super::order::LaneRule;
use super::super::record::Mode;
use super::super::site::around::{AtLane, Evacuation};
use super::super::site::drill::Figures;
use super::super::site::{ServiceState, ServiceSubject, SiteBook, State};
use super::super::time::Now;
use super::channels::{Notice, keep};
use super::{Danger, Machine};

/// Which machine of the gates speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// A lane, by its id.
    Lane(String),
    /// The account of who is inside.
    Inside,
    /// Dangerous goods.
    Hazmat,
    /// The desk: who is asked.
    Desk,
    /// Musters.
    Muster,
    /// All of it.
    Gates,
}

impl Room {
    fn prefix(&self) -> String {
        match self {
            Self::Lane(lane) => format!("lane.{lane}"),
            Self::Inside => "inside".to_owned(),
            Self::Hazmat => "hazmat".to_owned(),
            Self::Desk => "desk".to_owned(),
            Self::Muster => "muster".to_owned(),
            Self::Gates => "gates".to_owned(),
        }
    }
}

/// Something at the gates that deserves an alarm, or no longer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateFact {
    /// Who says so.
    pub room: Room,
    /// What is wrong: the word of the alarm.
    pub word: String,
    /// Whom or what it is about; with room and word the name of the fault.
    pub subject: String,
    /// Whether it is so now.
    pub active: bool,
    /// For people, Chinese; empty where the alarm says it all.
    pub zh: String,
    /// English.
    pub en: String,
}

/// An order of the site for a lane that this gateway moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneOrder {
    /// Its key.
    pub key: String,
    /// The lane.
    pub lane: LaneId,
    /// What is wanted of it.
    pub rule: LaneRule,
    /// The state that holds there.
    pub state: State,
    /// A drill wants it.
    pub drill: bool,
}

/// Words that are no lane's: room, word, priority, Chinese, English.
const SHARED: [(&str, &str, Priority, &str, &str); 13] = [
    ("inside", "over_capacity", Priority::Orange, "区域超员", "more are inside a zone than may be"),
    ("inside", "overstay", Priority::Yellow, "超时滞留", "somebody stays longer than he may"),
    ("inside", "negative", Priority::Yellow, "在园人数为负，须清点", "more left than were inside: a count is due"),
    ("inside", "review", Priority::Yellow, "多次违规，须人工处理", "repeated violations: a person has to look"),
    ("inside", "conflict", Priority::Yellow, "出入记录矛盾", "records of who is inside contradict one another"),
    ("inside", "in_doubt", Priority::Yellow, "通行结果不明", "it is not known whether something passed"),
    ("desk", "unanswered", Priority::Orange, "岗亭求助无人应答", "a lane waits and nobody answers"),
    ("desk", "queue", Priority::Orange, "排队接近公共道路", "a queue grows towards the public road"),
    ("desk", "queue_blind", Priority::Yellow, "排队长度无法监测", "nobody sees how long a queue is"),
    ("desk", "desk_full", Priority::Orange, "待答复事项过多", "too many questions wait"),
    ("muster", "unaccounted", Priority::Red, "人员清点：有人未到", "muster: persons are unaccounted for"),
    ("muster", "sos", Priority::Red, "人员求救", "a person calls for help"),
    (
        "gates",
        "unsettled",
        Priority::Yellow,
        "门岗有待人工核对事项",
        "something at the gates needs a person to settle it",
    ),
];

/// How bad a fault of a lane is.
fn of_lane(fault: LaneFault) -> Priority {
    match fault {
        LaneFault::Forced | LaneFault::AuditFailed | LaneFault::Fire => Priority::Red,
        LaneFault::NotMoved
        | LaneFault::Tailgate
        | LaneFault::InputSuspect
        | LaneFault::Limits
        | LaneFault::OwnList
        | LaneFault::FireLine => Priority::Orange,
        LaneFault::Stuck
        | LaneFault::LeftOpen
        | LaneFault::ManualOpen
        | LaneFault::InputDead
        | LaneFault::Late
        | LaneFault::Device
        | LaneFault::DoorHeld
        | LaneFault::HoldEnded => Priority::Yellow,
    }
}

/// How bad a violation with dangerous goods is.
fn of_violation(kind: ViolationKind) -> Priority {
    match kind {
        ViolationKind::Sos | ViolationKind::Incompatible => Priority::Red,
        ViolationKind::Overstay
        | ViolationKind::WrongBay
        | ViolationKind::NoBay
        | ViolationKind::NotDispatched
        | ViolationKind::NoWaybill
        | ViolationKind::OffRoute
        | ViolationKind::Restricted
        | ViolationKind::PositionLost
        | ViolationKind::VehicleAlarm
        | ViolationKind::WeightMismatch => Priority::Orange,
        ViolationKind::StayWarning
        | ViolationKind::DispatchOverdue
        | ViolationKind::ExitUnseen
        | ViolationKind::TerminalKept
        | ViolationKind::Speeding
        | ViolationKind::StoppedOutside
        | ViolationKind::PositionJump
        | ViolationKind::DatumMismatch
        | ViolationKind::DriverAlarm
        | ViolationKind::TerminalRule
        | ViolationKind::TerminalFault
        | ViolationKind::TerminalMismatch => Priority::Yellow,
    }
}

/// Adds the alarms of the gates to a book, for the lanes that this gateway moves; none without such a lane.
pub(super) fn add_to(book: &mut AlarmBook, site: &SiteBook, lanes: &BTreeSet<String>) {
    if lanes.is_empty() {
        return;
    }
    let known: BTreeSet<Arc<str>> = book.alarms.iter().map(|alarm| alarm.id.clone()).collect();
    // Whoever is told of the gateway's other troubles is told of these.
    let escalation = book.alarms.iter().find(|alarm| alarm.class == Class::System).and_then(|alarm| alarm.escalation);
    let mut add = |id: String, class: Class, priority: Priority, zone: Option<&str>, text: String| {
        let id: Arc<str> = id.into();
        if known.contains(&id) {
            return;
        }
        book.alarms.push(AlarmSpec {
            id,
            subject: Subject::Gateway,
            condition: Condition::External,
            class,
            levels: vec![Level { limit: None, deadband: 0.0, priority, shelving: Shelving::Allowed }],
            on_delay: Duration::ZERO,
            off_delay: Duration::ZERO,
            latching: false,
            group: None,
            suppressed_when: None,
            escalation,
            annunciators: Vec::new(),
            hazard_source: None,
            zone: zone.map(Into::into),
            text,
            likely_cause: String::new(),
            response: String::new(),
            mode: Mode::Real,
        });
    };
    for lane in site.lanes.iter().filter(|lane| lanes.contains(&lane.id)) {
        let zone = site.zones.get(lane.zone).map(|zone| zone.id.as_str());
        for fault in LaneFault::ALL.iter().copied() {
            let text = format!("{} {} | {}: {}", lane.name, fault.zh(), lane.name_en, fault.en());
            add(format!("lane.{}.{fault}", lane.id), Class::Equipment, of_lane(fault), zone, text);
        }
    }
    for kind in ViolationKind::ALL.iter().copied() {
        let text = format!("危化品车辆 {} | dangerous goods: {}", kind.zh(), kind.as_str().replace('_', " "));
        add(format!("hazmat.{kind}"), Class::System, of_violation(kind), None, text);
    }
    for (room, word, priority, zh, en) in SHARED {
        add(format!("{room}.{word}"), Class::System, priority, None, format!("{zh} | {en}"));
    }
}

impl Danger {
    /// Takes something of the gates. What it says stands among the messages of the page as well: the alarm has no room for whom
    /// it is about.
    pub fn handle_gate_fact(&mut self, fact: GateFact, now: Now) {
        let GateFact { room, word, subject, active, zh, en } = fact;
        if active && !zh.is_empty() {
            self.tell_people(zh, en, now);
        }
        let id = format!("{}.{word}", room.prefix());
        if let Some((id, active)) = self.faults.set_in(id, &subject, active) {
            self.alarms.handle_external(&id, u8::from(active), now);
        }
        self.settle(now);
    }

    /// Returns the episode of the drill that runs, whose muster is wanted for its report ([`Danger::handle_figures`]).
    pub fn drill(&self) -> Option<&str> {
        self.site.drill()
    }

    /// Takes how the muster of a drill stands.
    pub fn handle_figures(&mut self, episode: &str, figures: Figures) {
        self.site.handle_figures(episode, figures);
    }

    /// Puts a message of the gates on the page. The gates have it in their own records.
    pub fn tell_people(&mut self, zh: String, en: String, now: Now) {
        let notice = Notice { t: now.wall, at: now.mono, channel: "page".to_owned(), zh, en };
        keep(&mut self.notices, notice);
    }

    /// Returns the next order for a lane that this gateway moves. To be drained after every input, before [`Danger::poll_order`]:
    /// what became of it comes back by [`Danger::handle_receipt`].
    pub fn poll_lane_order(&mut self) -> Option<LaneOrder> {
        let (key, lane, rule) = self.lane_orders.pop_front()?;
        let AtLane { state, drill, .. } =
            self.site.at_lane(&lane).unwrap_or(AtLane { state: State::Normal, rule, drill: false });
        Some(LaneOrder { key, lane: LaneId::new(lane), rule, state, drill })
    }

    /// Returns what holds at each lane that this gateway moves, for a start: orders of before it are not repeated.
    pub fn lanes_now(&self) -> Vec<LaneOrder> {
        let lanes = self.site.at_lanes().into_iter().filter(|(lane, _)| self.rules.lanes.contains(lane));
        let order = |(lane, at): (String, AtLane)| LaneOrder {
            key: format!("start.{lane}"),
            lane: LaneId::new(lane),
            rule: at.rule,
            state: at.state,
            drill: at.drill,
        };
        lanes.map(order).collect()
    }

    /// Returns what the gates decide by and others know; of the store they know themselves.
    pub fn surroundings(&self) -> Surroundings {
        let zones = self.site.gas_levels().into_iter();
        Surroundings {
            site: self.lanes_now().into_iter().map(|at| (at.lane, (at.state, at.rule))).collect(),
            gas: zones.map(|(zone, level)| (ZoneId::new(zone), level)).collect(),
            warnings: self.site.warned_of(),
            store_failed: false,
            episode: self.site.emergency().map(str::to_owned),
        }
    }

    /// Returns the commissioning of each lane that this gateway moves, as people have it now.
    pub fn lanes_in_service(&self) -> Vec<(LaneId, ServiceState)> {
        let state = |lane: &String| self.site.service_of(&ServiceSubject::Lane(lane.clone()));
        self.rules.lanes.iter().filter_map(|lane| Some((LaneId::new(lane.as_str()), state(lane)?))).collect()
    }

    /// Returns the zones whose people are to be counted.
    pub fn evacuations(&self) -> Vec<Evacuation> {
        self.site.evacuations()
    }

    pub(super) fn order_lane(&mut self, key: &str, lane: &str, rule: LaneRule) {
        self.lane_orders.push_back((key.to_owned(), lane.to_owned(), rule));
        self.awaits(Machine::Site, key);
    }
}
