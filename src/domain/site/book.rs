//! What the state of the site is made of: zones, lanes, signals, inputs and rights. Validated configuration; the machine
//! takes it as it is and refers to zones, lanes and muster points by their index in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::service::{ServiceState, ServiceSubject};
use super::state::State;
use crate::domain::actor::Role;
use crate::domain::id::PointUid;
use crate::domain::order::LaneRule;

/// Id of the zone that is the whole park; every gateway has it.
pub const PARK: &str = "park";

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteBook {
    /// Zones, each after its parent; the first one is the park.
    pub zones: Vec<Zone>,
    /// Muster points (集合点).
    pub musters: Vec<Muster>,
    /// Lanes and doors.
    pub lanes: Vec<Lane>,
    /// Sirens, signs and whatever else an output switches by the state.
    pub signals: Vec<Signal>,
    /// Where texts go.
    pub channels: Vec<Channel>,
    /// Texts of the site's own, instead of the built-in ones.
    pub texts: BTreeMap<State, Text>,
    /// The weather station, where there is one.
    pub wind: Option<WindStation>,
    /// Inputs of the fire linkage (消防联动).
    pub fire: Vec<FireInput>,
    /// Hard keys (手动按钮、钥匙开关).
    pub keys: Vec<Key>,
    /// What several detectors together mean.
    pub rules: Vec<Rule>,
    /// What the city platform may do.
    pub city: City,
    /// What people may do.
    pub hands: Hands,
    /// A drill that nobody ends ends by itself after this.
    pub longest_drill: Duration,
    /// Longest bypass of an interlock (联锁摘除) that may be asked for.
    pub longest_bypass: Duration,
    /// The points of the gateway and what their table says of their commissioning, by uid.
    pub points: BTreeMap<PointUid, ServicePoint>,
}

impl Default for SiteBook {
    /// A gateway without `site.toml`: one zone, the park, no lanes; a state can be declared and told all the same.
    fn default() -> Self {
        Self {
            zones: vec![Zone::park()],
            musters: Vec::new(),
            lanes: Vec::new(),
            signals: Vec::new(),
            channels: vec![Channel { id: "page".into(), in_drill: true }],
            texts: BTreeMap::new(),
            wind: None,
            fire: Vec::new(),
            keys: Vec::new(),
            rules: Vec::new(),
            city: City::default(),
            hands: Hands::default(),
            longest_drill: Duration::from_secs(4 * 3600),
            longest_bypass: Duration::from_secs(72 * 3600),
            points: BTreeMap::new(),
        }
    }
}

impl SiteBook {
    /// Returns the subject by its identity: a point may be named by its tag, as people call it.
    pub fn named(&self, subject: ServiceSubject) -> ServiceSubject {
        let ServiceSubject::Point(name) = &subject else { return subject };
        if self.points.contains_key(&PointUid::new(name.as_str())) {
            return subject;
        }
        let by_tag = self.points.iter().find(|(_, point)| point.tag == *name).map(|(uid, _)| uid.as_str().to_owned());
        by_tag.map_or(subject, ServiceSubject::Point)
    }

    /// Returns whether the site itself lives by the point: contacts, keys, the wind.
    pub fn is_wired(&self, subject: &ServiceSubject) -> bool {
        let ServiceSubject::Point(uid) = subject else { return false };
        self.watched().contains(&PointUid::new(uid.as_str()))
    }

    /// Returns the index of the zone with this id.
    pub fn zone(&self, id: &str) -> Option<usize> {
        self.zones.iter().position(|zone| zone.id == id)
    }

    /// Returns the index of the lane with this id.
    pub fn lane(&self, id: &str) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.id == id)
    }

    /// Returns the zone itself and what it lies in, the park last.
    pub fn up(&self, zone: usize) -> impl Iterator<Item = usize> + '_ {
        // Parents stand before their children, so that the walk ends whatever the book says.
        std::iter::successors(Some(zone), |at| self.zones.get(*at)?.parent.filter(|parent| parent < at))
    }

    /// Returns whether `zone` is `outer` or lies in it.
    pub fn within(&self, zone: usize, outer: usize) -> bool {
        self.up(zone).any(|at| at == outer)
    }

    /// Returns the muster points of a zone with their bearings, or those of the nearest zone around it that has any.
    pub fn muster_of(&self, zone: usize) -> &[(usize, f64)] {
        self.up(zone)
            .filter_map(|at| self.zones.get(at))
            .map(|zone| zone.muster.as_slice())
            .find(|muster| !muster.is_empty())
            .unwrap_or_default()
    }

    /// Returns the points that the machine wants to hear of: contacts, keys and the weather station.
    pub fn watched(&self) -> BTreeSet<&PointUid> {
        let fire = self.fire.iter().flat_map(|input| input.line.points());
        let keys = self.keys.iter().map(|key| &key.point);
        let wind = self.wind.iter().flat_map(|wind| [&wind.speed, &wind.direction]);
        fire.chain(keys).chain(wind).collect()
    }
}

impl fmt::Display for SiteBook {
    /// One line for `parkgate check`, and one more where lanes stand beside the fire linkage.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (zones, lanes, signals) = (self.zones.len(), self.lanes.len(), self.signals.len());
        let (fire, keys, rules) = (self.fire.len(), self.keys.len(), self.rules.len());
        writeln!(
            f,
            "站区：{zones} 个区域，{lanes} 条车道，{signals} 个信号，{fire} 路消防联动，{keys} 个按钮，{rules} 条规则 / \
             site: {zones} zones, {lanes} lanes, {signals} signals, {fire} fire inputs, {keys} keys, {rules} rules"
        )?;
        let released: BTreeSet<usize> = self.fire.iter().flat_map(|input| input.lanes.iter().copied()).collect();
        let left = self.lanes.iter().enumerate().filter(|(at, _)| fire > 0 && !released.contains(at));
        let left: Vec<&str> = left.map(|(_, lane)| lane.id.as_str()).collect();
        if !left.is_empty() {
            let left = left.join(", ");
            writeln!(f, "  不由任何消防输入直接释放 / released by no fire input itself: {left}")?;
        }
        Ok(())
    }
}

/// A part of the park with a state of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// `[a-z0-9-]`, unique.
    pub id: String,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// The zone around it, an earlier one; `None` for the park alone.
    pub parent: Option<usize>,
    /// Muster points and the direction in which each lies, seen from the middle of this zone: degrees from north, 0..360.
    pub muster: Vec<(usize, f64)>,
}

impl Zone {
    /// The whole park.
    pub fn park() -> Self {
        Self { id: PARK.into(), name: "园区".into(), name_en: "the park".into(), parent: None, muster: Vec::new() }
    }
}

/// Where people gather.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Muster {
    /// Unique.
    pub id: String,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: String,
}

/// Which way a lane leads, seen from the zone that it leads into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Into the zone.
    In,
    /// Out of the zone.
    Out,
    /// Both ways, or one at a time.
    Both,
}

/// Who uses a lane; persons and vehicles have lanes of their own (`domain.md`, rule 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// People on foot: doors and turnstiles.
    Persons,
    /// Vehicles: barriers.
    Vehicles,
}

/// What a lane does when its fire linkage speaks (GB 55024-2022, 5.3.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFire {
    /// Open and held open, both ways.
    #[default]
    Open,
    /// Open out; in for rescue only.
    Rescue,
    /// Lets nobody in. For lanes that only lead in: one that leads out opens all the same.
    NoEntry,
}

/// A lane or a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Unique.
    pub id: String,
    /// Name as people say it, Chinese.
    pub name: String,
    /// English name; the id where none is written.
    pub name_en: String,
    /// The zone that it leads into.
    pub zone: usize,
    /// Which way.
    pub direction: Direction,
    /// Who.
    pub carries: Carries,
    /// Belongs to an emergency gate (应急卡口): normally closed, an exit when people must leave.
    pub emergency: bool,
    /// What it does on fire.
    pub on_fire: OnFire,
    /// Its commissioning by the file.
    pub service: ServiceState,
}

impl Lane {
    /// Returns whether it is a way out.
    pub fn leads_out(&self) -> bool {
        self.emergency || self.direction != Direction::In
    }

    /// Returns the rule of quiet days. A lane out of service goes by a guard; no person waits for one to leave.
    pub fn at_rest(&self, service: ServiceState) -> LaneRule {
        match (self.emergency || service == ServiceState::Stopped, self.carries) {
            (false, _) => LaneRule::Normal,
            (true, Carries::Persons) => LaneRule::NoEntry,
            (true, Carries::Vehicles) => LaneRule::Guarded,
        }
    }

    /// Returns the rule while its fire linkage speaks.
    pub fn on_fire(&self) -> LaneRule {
        match self.on_fire {
            OnFire::Open => LaneRule::Open,
            OnFire::Rescue => LaneRule::RescueOnly,
            OnFire::NoEntry if self.leads_out() => LaneRule::RescueOnly,
            OnFire::NoEntry => LaneRule::NoEntry,
        }
    }

    /// Returns the rule that `state` has for the lane, where the state is that of its own zone or one around it.
    pub fn inside(&self, state: State) -> Option<LaneRule> {
        match state {
            State::Normal | State::Drill | State::Recovery => None,
            State::LockdownIn | State::Shelter => Some(LaneRule::NoEntry),
            State::Evacuate if self.emergency || self.direction == Direction::Out => Some(LaneRule::Open),
            State::Evacuate => Some(LaneRule::RescueOnly),
        }
    }

    /// Returns the rule that `state` has for the lane, where the state is that of a zone within its own: the way out of that
    /// zone leads through this one's exits.
    pub fn on_the_way(&self, state: State) -> Option<LaneRule> {
        self.inside(state).filter(|_| state == State::Evacuate && self.leads_out())
    }
}

/// Returns how strong a rule is ([`LaneRule::strength`]).
pub fn strength(rule: LaneRule) -> u8 {
    rule.strength()
}

/// An output that shows or sounds the state of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Id of the output.
    pub output: String,
    /// The zone whose state it tells, as that zone has it from itself and the zones around it.
    pub zone: usize,
    /// The output's value in each state; where one has none, that of normal is taken, and without that nothing is ordered.
    pub values: BTreeMap<State, String>,
    /// Takes part in drills.
    pub in_drill: bool,
    /// Writing its value again does no harm.
    pub repeats: bool,
}

/// A way of telling people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub id: String,
    /// Takes part in drills.
    pub in_drill: bool,
}

/// A text with `{zone}`, `{muster}` and `{wind}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// Where the wind is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct WindStation {
    /// Point of the speed, in m/s.
    pub speed: PointUid,
    /// Point of the direction from which it blows, degrees from north.
    pub direction: PointUid,
    /// Below this speed (m/s) the direction says nothing.
    pub calm: f64,
    /// A reading older than this says nothing.
    pub stale: Duration,
}

/// One input of the fire linkage.
#[derive(Clone, Debug, PartialEq)]
pub struct FireInput {
    /// Unique.
    pub id: String,
    /// Name as people say it.
    pub name: String,
    /// The zone that it speaks for.
    pub zone: usize,
    /// Its gate's lanes: released by a signal, and by a broken line.
    pub lanes: Vec<usize>,
    /// How it is wired.
    pub line: Line,
    /// How long the line may look wrong (contacts turning over, one lost answer) before it is broken.
    pub settle: Duration,
    /// A contact that was not read for this long is not believed.
    pub silence: Duration,
    /// Whether a signal declares EVACUATE for the zone; otherwise it only releases the lanes.
    pub evacuates: bool,
}

/// How a fire input is supervised.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A contact that closes on fire and one that opens, from the same relay.
    Pair {
        /// Normally open: true on fire.
        no: PointUid,
        /// Normally closed: false on fire.
        nc: PointUid,
    },
    /// A loop with an end-of-line resistor, read as a value; outside both windows the line is broken.
    Resistor {
        /// The point.
        point: PointUid,
        /// From and to, in the point's unit: at rest.
        normal: (f64, f64),
        /// From and to: fire.
        fire: (f64, f64),
    },
}

impl Line {
    /// Returns the points of the line.
    pub fn points(&self) -> Vec<&PointUid> {
        match self {
            Self::Pair { no, nc } => vec![no, nc],
            Self::Resistor { point, .. } => vec![point],
        }
    }
}

/// A hard key: turning it declares a state at once; its cover is the first of the two steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Unique.
    pub id: String,
    /// Name as people say it.
    pub name: String,
    /// The point.
    pub point: PointUid,
    /// What the point reads when the key is turned.
    pub turned: bool,
    /// For this zone.
    pub zone: usize,
    /// This state.
    pub state: State,
}

/// Several detectors at a level mean a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Unique.
    pub id: String,
    /// Counts the detectors of this zone and of those within it; `None`: of each zone by itself.
    pub zone: Option<usize>,
    /// How many.
    pub detectors: usize,
    /// At this gas level or a higher one.
    pub level: u8,
    /// What it means.
    pub state: State,
    /// Declares it; otherwise proposes.
    pub acts: bool,
}

/// What the city platform may do; nothing without an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct City {
    /// Issuers of commands.
    pub issuers: BTreeSet<String>,
    /// States that they may ask for.
    pub states: BTreeSet<State>,
    /// Declares; otherwise proposes.
    pub acts: bool,
}

impl Default for City {
    fn default() -> Self {
        Self { issuers: BTreeSet::new(), states: State::EMERGENCIES.into(), acts: false }
    }
}

/// What people may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hands {
    /// May propose a state, and reject a proposal.
    pub propose: BTreeSet<Role>,
    /// May confirm one.
    pub confirm: BTreeSet<Role>,
    /// May end a state, give lanes back, reset the fire linkage, return to normal.
    pub end: BTreeSet<Role>,
    /// May run drills.
    pub drill: BTreeSet<Role>,
    /// The one who confirms is not the one who proposed.
    pub two_persons: bool,
    /// A person's proposal lapses after this.
    pub confirm_within: Duration,
}

impl Default for Hands {
    fn default() -> Self {
        let supervisor = BTreeSet::from([Role::Supervisor]);
        Self {
            propose: BTreeSet::from([Role::Guard, Role::Operator, Role::Supervisor]),
            confirm: supervisor.clone(),
            end: supervisor.clone(),
            drill: supervisor,
            two_persons: false,
            confirm_within: Duration::from_secs(60),
        }
    }
}

/// What is known of a point before anybody changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePoint {
    /// Its tag.
    pub tag: String,
    /// Its commissioning by the point table.
    pub service: ServiceState,
}
