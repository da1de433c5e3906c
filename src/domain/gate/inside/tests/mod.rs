//! Stories of who is inside: at one gateway, and at two that share what they know.

mod properties;
mod scale;
mod stories;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::{Crossing, VehicleSeen};
use super::*;
use crate::domain::actor::{Actor, Role, Via};
use crate::domain::document::DocumentKind;
use crate::domain::gate::facts::AntiPassback;
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::*;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// 2026-11-26T00:00:00Z.
pub(in crate::domain::gate) const DAY: i64 = 1_795_651_200_000;

pub(in crate::domain::gate) fn zone(name: &str) -> ZoneId {
    ZoneId::new(name)
}

pub(in crate::domain::gate) fn plate(text: &str) -> Plate {
    Plate::new(text, PlateColour::Yellow)
}

pub(in crate::domain::gate) fn vehicle(text: &str) -> Subject {
    Subject::Vehicle(plate(text))
}

pub(in crate::domain::gate) fn person(name: &str) -> Subject {
    Subject::Person(PersonRef::new(name))
}

pub(in crate::domain::gate) fn lead() -> Actor {
    Actor { name: "李班长".into(), via: Via::Page, roles: [Role::Supervisor].into() }
}

/// A park with a key zone inside; hazmat stays six hours, at most forty of them.
pub(in crate::domain::gate) fn rules() -> Rules {
    let park = ZoneRule {
        vehicles_max: [(VehicleClass::Hazmat, 40)].into(),
        vehicles_stay: [(VehicleClass::Hazmat, Duration::from_secs(6 * 3600))].into(),
        persons_stay: Some(Duration::from_secs(16 * 3600)),
        anti_passback: AntiPassback::Hard,
        ..ZoneRule::of(ZoneClass::General)
    };
    let tanks = ZoneRule { parent: Some(zone("park")), persons_max: Some(9), ..ZoneRule::of(ZoneClass::Key) };
    Rules { zones: [(zone("park"), park), (zone("tanks"), tanks)].into(), ..Rules::default() }
}

/// Counts with what was clamped, places, conflicts.
pub(in crate::domain::gate) type Known =
    (Vec<((ZoneId, Stock), (u32, u32))>, BTreeMap<Subject, Place>, BTreeSet<Conflict>);

/// A gateway with its store: what came out to be stored is what a restart finds.
pub(in crate::domain::gate) struct Gate {
    pub(in crate::domain::gate) inside: Inside,
    pub(in crate::domain::gate) name: String,
    pub(in crate::domain::gate) boot: u32,
    pub(in crate::domain::gate) mono: u64,
    pub(in crate::domain::gate) wall: i64,
    pub(in crate::domain::gate) trust: ClockTrust,
    pub(in crate::domain::gate) stored: Vec<Event>,
    pub(in crate::domain::gate) saved: Option<Saved>,
    pub(in crate::domain::gate) documents: Vec<(DocumentKind, serde_json::Value)>,
    pub(in crate::domain::gate) facts: Vec<InsideFact>,
}

impl Gate {
    pub(in crate::domain::gate) fn new(name: &str, rules: Rules) -> Self {
        let (wall, trust) = (DAY, ClockTrust::Synced);
        let now = Now { mono: Mono::from_millis(5_000), wall: Timestamp(wall), trust };
        let mut gate = Self {
            inside: Inside::new(GatewayId::new(name), 1, rules, now),
            name: name.into(),
            boot: 1,
            mono: 5_000,
            wall,
            trust,
            stored: Vec::new(),
            saved: None,
            documents: Vec::new(),
            facts: Vec::new(),
        };
        gate.drain();
        gate
    }

    pub(in crate::domain::gate) fn now(&self) -> Now {
        Now { mono: Mono::from_millis(self.mono), wall: Timestamp(self.wall), trust: self.trust }
    }

    /// Takes what came out; saves what has changed.
    pub(in crate::domain::gate) fn drain(&mut self) {
        while let Some(output) = self.inside.poll_output() {
            match output {
                Output::Document(document) => {
                    assert!(document.json.starts_with('{'), "{}", document.json);
                    self.documents.push((document.kind, serde_json::from_str(&document.json).unwrap()));
                }
                Output::Event(event) => {
                    // As it is stored and sent.
                    let text = serde_json::to_string(&*event).unwrap();
                    let back: Event = serde_json::from_str(&text).unwrap();
                    assert_eq!(back, *event, "what is stored is what was");
                    self.stored.push(back);
                }
                Output::Fact(fact) => self.facts.push(fact),
            }
        }
        self.saved = Some(self.inside.saved(self.now()));
    }

    /// Lets time go by, minding what is due.
    pub(in crate::domain::gate) fn wait(&mut self, secs: u64) {
        let until = self.mono + secs * 1000;
        for _ in 0..100_000 {
            let due = self.inside.poll_timeout(self.now()).map(|due| due.millis());
            let Some(due) = due.filter(|due| *due <= until) else { break };
            let step = due.max(self.mono) - self.mono;
            (self.mono, self.wall) = (self.mono + step, self.wall + i64::try_from(step).unwrap());
            self.inside.handle_timeout(self.now());
            self.drain();
        }
        let step = until - self.mono;
        (self.mono, self.wall) = (until, self.wall + i64::try_from(step).unwrap());
    }

    pub(in crate::domain::gate) fn restart(&mut self, off_secs: u64, rules: Rules) {
        self.boot += 1;
        self.mono = 1_000;
        self.wall += i64::try_from(off_secs * 1000).unwrap();
        let saved = self.saved.clone().unwrap();
        let text = serde_json::to_string(&saved).unwrap();
        let saved: Saved = serde_json::from_str(&text).unwrap();
        self.stored.retain(|event| !saved.is_folded(event));
        let id = GatewayId::new(self.name.as_str());
        self.inside = Inside::restore(id, self.boot, rules, saved, self.stored.clone(), &BTreeSet::new(), self.now());
        self.drain();
    }

    pub(in crate::domain::gate) fn begin(&mut self, way: Direction, who: Who) -> Begin {
        let park = zone("park");
        let (from, to) = if way == Direction::In { (None, Some(&park)) } else { (Some(&park), None) };
        Begin {
            passage: self.inside.passage_id(),
            gate: GateId::new(format!("gate-{}", self.name)),
            lane: LaneId::new(format!("{}-{way}", self.name)),
            lane_kind: if who.vehicle.is_some() { LaneKind::Vehicle } else { LaneKind::Person },
            direction: way,
            crossing: self.inside.rules().crossing(from, to),
            who,
            occupants_unknown: false,
            read: None,
            camera: None,
            device_time: None,
            pictures: vec![],
            gross_kg: None,
            episode: None,
        }
    }

    /// Something comes, is allowed, and crosses.
    pub(in crate::domain::gate) fn pass(&mut self, begin: Begin) -> PassageId {
        let id = begin.passage.clone();
        self.inside.begin(begin, self.now()).unwrap();
        self.decide(&id, Verdict::Allow);
        self.inside.step(&id, Step::Passing, self.now()).unwrap();
        self.inside.step(&id, Step::Completed, self.now()).unwrap();
        self.drain();
        id
    }

    pub(in crate::domain::gate) fn decide(&mut self, id: &PassageId, verdict: Verdict) {
        let reasons = vec!["OK".to_owned()];
        let decided = Decided { verdict, reasons, links: Default::default() };
        self.inside.step(id, Step::Decided(decided), self.now()).unwrap();
    }

    pub(in crate::domain::gate) fn drive(&mut self, way: Direction, text: &str, class: VehicleClass) -> PassageId {
        let mut begin = self.begin(way, truck(text, class));
        begin.occupants_unknown = way == Direction::Out;
        if begin.occupants_unknown {
            begin.who.persons.clear();
        }
        self.pass(begin)
    }

    pub(in crate::domain::gate) fn walk(&mut self, way: Direction, name: &str) -> PassageId {
        let begin = self.begin(way, Who { persons: vec![PersonRef::new(name)], ..Who::default() });
        self.pass(begin)
    }

    pub(in crate::domain::gate) fn count(&self, stock: Stock) -> u32 {
        self.inside.account().count(&zone("park"), stock).0
    }

    pub(in crate::domain::gate) fn hazmat(&self) -> u32 {
        self.count(Stock::Vehicles(VehicleClass::Hazmat))
    }

    pub(in crate::domain::gate) fn act(&mut self, action: InsideAction) -> EventId {
        let id = self.inside.act(action, &lead(), self.now()).unwrap();
        self.drain();
        id
    }

    pub(in crate::domain::gate) fn sign(&mut self, persons: u32, hazmat: u32) {
        let stocks = Stocks { persons, vehicles: [(VehicleClass::Hazmat, hazmat)].into() };
        let zones = [(zone("park"), stocks), (zone("tanks"), Stocks::default())].into();
        self.act(InsideAction::Count { zones, list: None, reason: "开园盘点".into() });
    }

    /// Gives `peer` everything that it lacks.
    pub(in crate::domain::gate) fn send(&mut self, peer: &mut Gate) {
        loop {
            let events: Vec<Event> =
                self.inside.lacking(&peer.inside.have()).iter().map(|event| Event::clone(event)).collect();
            if events.is_empty() {
                return;
            }
            peer.inside.merge(events, peer.now());
            peer.drain();
        }
    }

    /// What every gateway of the park must agree on.
    pub(in crate::domain::gate) fn known(&self) -> Known {
        let account = self.inside.account();
        let counts = account.counters().map(|(zone, stock)| ((zone.clone(), *stock), account.count(zone, *stock)));
        let counts = counts.filter(|(_, count)| *count != (0, 0)).collect();
        let places = account.places().map(|(subject, place)| (subject.clone(), place.clone())).collect();
        (counts, places, self.inside.conflicts())
    }
}

pub(in crate::domain::gate) fn truck(text: &str, class: VehicleClass) -> Who {
    Who {
        vehicle: Some(VehicleSeen { plate: Some(plate(text)), class }),
        persons: vec![PersonRef::new(format!("{text}-driver")), PersonRef::new(format!("{text}-escort"))],
        ..Who::default()
    }
}

pub(in crate::domain::gate) fn camera(number: u64) -> Option<CameraEvent> {
    Some(CameraEvent { serial: "cam-1".into(), number })
}

/// A zone's border alone, for gates between zones.
pub(in crate::domain::gate) fn border(rules: &Rules, from: Option<&str>, to: Option<&str>) -> Crossing {
    rules.crossing(from.map(zone).as_ref(), to.map(zone).as_ref())
}
