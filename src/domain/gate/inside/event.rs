//! What the gateways of one park share about who is inside: events, each written once by one gateway and never changed.
//!
//! An event has a place in the log of the gateway that wrote it ([`Source`] and `seq`, contiguous from 1; a new start of the
//! gateway is a new source, so a number lost in a crash is never given twice), and a place in time (`at`, ties broken by
//! [`EventId`]). What changes is a further event with the same id and a higher version. So the logs of several gateways are
//! sets that only grow, and whoever has the same set knows the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::fold::Fold;
use crate::domain::actor::Actor;
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{
    CompanyId, Direction, GateId, GatewayId, LaneId, PassageId, PersonRef, TerminalId, VehicleClass, ZoneId, words,
};
use crate::domain::time::{ClockTrust, Timestamp};

/// One start of one gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The gateway.
    pub gateway: GatewayId,
    /// Counts its starts.
    pub boot: u32,
}

/// What an event is called: where its first version stands. The same in all its versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventId {
    /// Who wrote it first.
    pub source: Source,
    /// Its number there.
    pub n: u64,
}

impl EventId {
    /// Reads an id as lists show it: `gw-east-3-17`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().rsplitn(3, '-');
        let (n, boot, gateway) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        let source = Source { gateway: GatewayId::new(gateway), boot };
        (!gateway.is_empty()).then_some(Self { source, n })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.source.gateway, self.source.boot, self.n)
    }
}

/// Where an event stands in the one line of all events: total, and the same at every gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// Time.
    pub at: Timestamp,
    /// Breaks ties.
    pub id: EventId,
}

/// One entry of the shared log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Who wrote it.
    pub source: Source,
    /// Its number there, contiguous from 1.
    pub seq: u64,
    /// What it is a version of.
    pub id: EventId,
    /// Version, from 1.
    pub version: u32,
    /// Its place in time. By the writer's clock as far as it was trusted, else by the time since it last was.
    pub at: Timestamp,
    /// How far that clock was trusted.
    pub clock: ClockTrust,
    /// What happened.
    pub body: Body,
}

impl Event {
    /// Returns where it stands in the line.
    pub fn order(&self) -> Order {
        Order { at: self.at, id: self.id.clone() }
    }

    /// Returns the passage that it is about, when something crossed.
    pub fn crossed(&self) -> Option<&Crossed> {
        match &self.body {
            Body::Crossed(crossed) => Some(crossed),
            Body::Void { .. }
            | Body::Corrected(_)
            | Body::Counted(_)
            | Body::Violated(_)
            | Body::Reviewed { .. }
            | Body::Loose(_)
            | Body::Settled { .. } => None,
        }
    }

    /// Returns what it does to one count; `None` when nothing.
    pub fn effect(&self, zone: &ZoneId, stock: Stock) -> Option<Fold> {
        match &self.body {
            Body::Crossed(crossed) => {
                let n = i64::from(crossed.of(stock));
                let sign = i64::from(crossed.enters.contains(zone)) - i64::from(crossed.leaves.contains(zone));
                (n * sign != 0).then(|| Fold::step(n * sign))
            }
            Body::Corrected(one) => {
                (one.zones.contains(zone) && one.stock == stock && one.by != 0).then(|| Fold::step(i64::from(one.by)))
            }
            Body::Counted(count) => count.zones.get(zone).map(|stocks| Fold::count(i64::from(stocks.of(stock)))),
            Body::Void { .. } | Body::Violated(_) | Body::Reviewed { .. } | Body::Loose(_) | Body::Settled { .. } => {
                None
            }
        }
    }

    /// Returns every count that it does something to.
    pub fn counters(&self) -> Vec<(ZoneId, Stock)> {
        match &self.body {
            Body::Crossed(crossed) => {
                let zones = crossed.enters.iter().chain(&crossed.leaves);
                zones.flat_map(|zone| crossed.stocks().into_iter().map(|stock| (zone.clone(), stock))).collect()
            }
            Body::Corrected(one) => one.zones.iter().map(|zone| (zone.clone(), one.stock)).collect(),
            Body::Counted(count) => {
                let all = || Stock::all();
                count.zones.keys().flat_map(|zone| all().map(|stock| (zone.clone(), stock))).collect()
            }
            Body::Void { .. } | Body::Violated(_) | Body::Reviewed { .. } | Body::Loose(_) | Body::Settled { .. } => {
                Vec::new()
            }
        }
    }

    /// Returns everybody and everything known by name that it says a place of.
    pub fn subjects(&self) -> BTreeSet<Subject> {
        match &self.body {
            Body::Crossed(crossed) => crossed.subjects(),
            Body::Corrected(one) => one.subject.iter().cloned().collect(),
            Body::Counted(count) => count.list.iter().flat_map(|list| list.values().flatten()).cloned().collect(),
            Body::Void { .. } | Body::Violated(_) | Body::Reviewed { .. } | Body::Loose(_) | Body::Settled { .. } => {
                BTreeSet::new()
            }
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Body {
    /// A passage was completed.
    Crossed(Crossed),
    /// A further version that takes the event back.
    Void {
        /// Who.
        actor: Actor,
        /// Why.
        reason: String,
    },
    /// A count was corrected.
    Corrected(Correction),
    /// Somebody counted, and signed.
    Counted(Count),
    /// A rule was broken.
    Violated(Violation),
    /// Somebody looked at the violations of a subject: they are counted anew from here.
    Reviewed {
        /// Whose.
        subject: Subject,
        /// Who looked.
        actor: Actor,
        /// What came of it.
        reason: String,
    },
    /// Something that the day's reconciliation has to name.
    Loose(Loose),
    /// That was cleared up, or a conflict was.
    Settled {
        /// Which event.
        of: EventId,
        /// Who.
        actor: Actor,
        /// How.
        reason: String,
    },
}

/// Who or what is known by a name of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A vehicle.
    Vehicle(Plate),
    /// A person.
    Person(PersonRef),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vehicle(plate) => plate.fmt(f),
            Self::Person(person) => person.fmt(f),
        }
    }
}

/// What is counted in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stock {
    /// Persons, on foot and in vehicles.
    Persons,
    /// Vehicles of a class.
    Vehicles(VehicleClass),
}

impl Stock {
    /// Returns all of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Persons).chain(VehicleClass::ALL.iter().copied().map(Self::Vehicles))
    }
}

/// Numbers of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stocks {
    /// Persons, on foot and in vehicles.
    pub persons: u32,
    /// Vehicles by class; a class that is not named has none.
    #[serde(default)]
    pub vehicles: BTreeMap<VehicleClass, u32>,
}

impl Stocks {
    /// Returns one of the numbers.
    pub fn of(&self, stock: Stock) -> u32 {
        match stock {
            Stock::Persons => self.persons,
            Stock::Vehicles(class) => self.vehicles.get(&class).copied().unwrap_or(0),
        }
    }
}

/// A vehicle as it crossed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VehicleSeen {
    /// Its plate; `None`: it had none, or it could not be read.
    pub plate: Option<Plate>,
    /// Its class; what the lane is for, where nothing else is known.
    pub class: VehicleClass,
}

/// The borders that a passage crosses: every zone that is entered or left by it, also those around it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    /// Entered, the innermost first.
    pub enters: Vec<ZoneId>,
    /// Left, the innermost first.
    pub leaves: Vec<ZoneId>,
}

/// A completed passage, as far as counts and lists need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossed {
    /// The passage.
    pub passage: PassageId,
    /// Gate.
    pub gate: GateId,
    /// Lane.
    pub lane: LaneId,
    /// Which way.
    pub direction: Direction,
    /// Zones entered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enters: Vec<ZoneId>,
    /// Zones left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaves: Vec<ZoneId>,
    /// The vehicle; `None`: on foot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle: Option<VehicleSeen>,
    /// Persons who are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<PersonRef>,
    /// Persons beside them who are not.
    #[serde(default)]
    pub unidentified: u16,
    /// Nobody said who was in the vehicle (see `assumed.rs`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assumed: bool,
    /// For whom they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// The camera's own number of it: two events with the same one are one passage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraEvent>,
    /// A camera kept it while it was offline, and it was entered afterwards at its own time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Somebody or something let it pass. Not so when it followed another one, or the barrier was forced.
    pub authorised: bool,
}

impl Crossed {
    /// Returns how many of a stock crossed.
    pub fn of(&self, stock: Stock) -> u32 {
        match stock {
            Stock::Persons => self.heads(),
            Stock::Vehicles(class) => u32::from(self.vehicle.as_ref().is_some_and(|vehicle| vehicle.class == class)),
        }
    }

    /// Returns how many persons crossed.
    pub fn heads(&self) -> u32 {
        u32::try_from(self.persons.len()).unwrap_or(u32::MAX).saturating_add(u32::from(self.unidentified))
    }

    /// Returns everybody and everything known by name that crossed.
    pub fn subjects(&self) -> BTreeSet<Subject> {
        let plate = self.vehicle.as_ref().and_then(|vehicle| vehicle.plate.clone());
        plate.map(Subject::Vehicle).into_iter().chain(self.persons.iter().cloned().map(Subject::Person)).collect()
    }

    fn stocks(&self) -> Vec<Stock> {
        let persons = (self.heads() > 0).then_some(Stock::Persons);
        let vehicle = self.vehicle.as_ref().map(|vehicle| Stock::Vehicles(vehicle.class));
        persons.into_iter().chain(vehicle).collect()
    }
}

/// A correction of a count: an event like any other, with who and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// Zones whose count is corrected.
    pub zones: BTreeSet<ZoneId>,
    /// Which count.
    pub stock: Stock,
    /// By how many, up or down.
    pub by: i32,
    /// Who or what is inside after all (up), or is not (down), where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Who corrects.
    pub actor: Actor,
    /// Why.
    pub reason: String,
}

/// A signed count: what was found inside at a moment. Nothing before it changes the counts of its zones any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// What was found, by zone.
    pub zones: BTreeMap<ZoneId, Stocks>,
    /// Everybody and everything that is known by name, where the count was made by name: who is not on the list of a zone
    /// is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<BTreeMap<ZoneId, BTreeSet<Subject>>>,
    /// Who signs.
    pub actor: Actor,
    /// How it was counted.
    pub reason: String,
}

words! {
    /// What rule was broken.
    ViolationKind {
        /// Followed another vehicle through (尾随).
        Tailgate = "tailgate", "尾随闯入";
        /// Broke or lifted the arm.
        Forced = "forced", "冲卡";
        /// Stayed too long.
        Overstay = "overstay", "超时滞留";
        /// Too fast.
        Speeding = "speeding", "超速";
        /// Off its approved route, or in a restricted area.
        OffRoute = "off_route", "偏离路线";
        /// Parked where it must not.
        Parking = "parking", "违停";
        /// Left without giving back its terminal or card.
        Terminal = "terminal", "定位卡未归还";
        /// Used somebody else's papers or plate.
        Papers = "papers", "冒用证照";
    }
}

/// A rule was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// By whom; `None`: not known.
    pub subject: Option<Subject>,
    /// Which.
    pub kind: ViolationKind,
    /// The passage that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passage: Option<PassageId>,
}

/// Something that the day's reconciliation has to name, told by another room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "loose", rename_all = "snake_case")]
pub enum Loose {
    /// Weights in and out, and the waybill, do not agree.
    Weight {
        /// Passage of the exit, or of the entry where that is what does not agree.
        passage: PassageId,
        /// The vehicle.
        plate: Option<Plate>,
        /// What the papers say was moved, kilograms.
        declared_kg: i64,
        /// What the scale says, kilograms.
        weighed_kg: i64,
    },
    /// A card or terminal was not given back.
    Card {
        /// Passage that it was handed out with.
        passage: PassageId,
        /// Which.
        terminal: TerminalId,
    },
    /// A passage that nobody knows the end of: the gateway was off, or the sensors did not say.
    InDoubt {
        /// Which.
        passage: PassageId,
        /// Who, where known.
        subject: Option<Subject>,
        /// Which way it would have gone.
        direction: Direction,
        /// Why it is not known.
        why: String,
    },
    /// A camera's late record without a time that can be believed, or too old to be entered.
    Undated {
        /// The camera's number of it.
        camera: Option<CameraEvent>,
        /// Plate, where read.
        plate: Option<Plate>,
        /// The time that it gave.
        device_time: Option<Timestamp>,
    },
}
