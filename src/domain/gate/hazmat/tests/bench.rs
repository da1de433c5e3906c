//! A park with a hazmat parking, and what is needed to tell stories in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::gate::facts::HazmatFacts;
use crate::domain::gate::hazmat::apart::{Signature, Table};
use crate::domain::gate::hazmat::goods::{FireGroup, Goods, HazardClass, Portion, Unit};
use crate::domain::gate::hazmat::kept::Line;
use crate::domain::gate::hazmat::lot::{Area, BaySpec};
use crate::domain::gate::hazmat::record::{Output, Phase, Violation, ViolationKind};
use crate::domain::gate::hazmat::rules::Rules;
use crate::domain::gate::hazmat::waybill::{Purpose, Waybill, WaybillState};
use crate::domain::gate::hazmat::{Asked, Entered, Escort, Hazmat, Known, Left, Saved, Went};
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::register::facts::Carrier;
use crate::domain::gate::word::{BayId, CompanyId, Direction, PassageId, PersonRef, WaybillNo, ZoneId};
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// A yellow plate.
pub(crate) fn plate(text: &str) -> Plate {
    Plate::new(text, PlateColour::Yellow)
}

/// So many kilograms of something of a class, of which nothing else is said.
pub(crate) fn goods(un: u16, class: HazardClass, kg: f64) -> Goods {
    Goods {
        un,
        name: "货物".into(),
        class,
        subsidiary: BTreeSet::new(),
        packing_group: None,
        quantity: kg,
        unit: Unit::Kilogram,
        mass_kg: None,
        portion: Portion::Full,
        packages: 0,
        fire_group: None,
        natures: None,
    }
}

/// A waybill under way: 30 t of methanol for the works in the park.
pub(crate) fn waybill(number: &str, tractor: &str) -> Waybill {
    Waybill {
        number: WaybillNo::new(number),
        state: WaybillState::InTransit,
        purpose: Purpose::Deliver,
        carrier: CompanyId::new("carrier"),
        consignor: CompanyId::new("consignor"),
        loader: CompanyId::new("loader"),
        consignee: CompanyId::new("works"),
        driver: PersonRef::new("driver"),
        escort: Some(PersonRef::new("escort")),
        tractor: plate(tractor),
        trailer: None,
        goods: vec![goods(1230, HazardClass::C3, 30_000.0)],
        waste: false,
        manifest: None,
        route: None,
        not_before: None,
        not_after: None,
    }
}

/// A bay for loaded vehicles of a fire group.
pub(crate) fn bay(id: &str, fire: &str, beside: &[&str]) -> BaySpec {
    BaySpec {
        id: BayId::new(id),
        area: Area::Loaded,
        fire: FireGroup::from_name(fire).unwrap(),
        toxic: false,
        beside: beside.iter().map(|id| BayId::new(*id)).collect(),
    }
}

/// The shipped table, signed.
pub(crate) fn armed() -> Table {
    let digest = Table::default().digest();
    Table::new(Table::default_rules(), Some(Signature { by: "李四".into(), on: "2026-11-01".into(), digest }))
}

/// A park, its clock, and what came out of it.
pub(crate) struct Park {
    pub(crate) hazmat: Hazmat,
    pub(crate) mono: Mono,
    pub(crate) wall: Timestamp,
    pub(crate) trust: ClockTrust,
    pub(crate) outputs: Vec<Output>,
    /// What was kept of the waybills and their checks.
    kept: Vec<Line>,
    passages: u32,
}

impl Park {
    pub(crate) fn rules() -> Rules {
        Rules {
            bays: vec![bay("A1", "2", &["A2"]), bay("A2", "2", &["A3"]), bay("A3", "2", &[]), bay("L1", "1", &[])],
            table: armed(),
            dispatch_zones: [ZoneId::new("works")].into(),
            ..Rules::default()
        }
    }

    pub(crate) fn new() -> Self {
        Self::under(Self::rules())
    }

    pub(crate) fn under(rules: Rules) -> Self {
        Self {
            hazmat: Hazmat::new(Arc::new(rules)),
            mono: Mono::from_secs(5000),
            wall: Timestamp(1_795_507_200_000),
            trust: ClockTrust::Synced,
            outputs: Vec::new(),
            kept: Vec::new(),
            passages: 0,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono: self.mono, wall: self.wall, trust: self.trust }
    }

    /// Lets time pass, waking the machine whenever it asks for it.
    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.mono + time;
        while let Some(at) = self.hazmat.poll_timeout().filter(|at| *at <= until) {
            self.pass(at.since(self.mono));
            self.hazmat.handle_timeout(self.now());
            self.drain();
        }
        self.pass(until.since(self.mono));
    }

    fn pass(&mut self, time: Duration) {
        self.mono = self.mono + time;
        self.wall = self.wall.after(time);
    }

    /// The gateway is off for so long, and its monotonic clock begins anew.
    pub(crate) fn restart(&mut self, off: Duration) {
        self.kept.extend(self.hazmat.take_kept());
        let json = serde_json::to_string(&(self.hazmat.save(self.now()), &self.kept)).unwrap();
        self.wall = self.wall.after(off);
        self.mono = Mono::from_secs(3);
        let (saved, kept): (Saved, Vec<Line>) = serde_json::from_str(&json).unwrap();
        self.hazmat = Hazmat::restore(Arc::clone(self.hazmat.rules()), saved, kept, self.now());
    }

    pub(crate) fn drain(&mut self) {
        self.outputs.extend(std::iter::from_fn(|| self.hazmat.poll_output()));
    }

    pub(crate) fn passage(&mut self) -> PassageId {
        self.passages += 1;
        PassageId::new(format!("p{}", self.passages))
    }

    pub(crate) fn put(&mut self, waybill: Waybill) {
        let now = self.now();
        self.hazmat.handle_waybill(waybill, "张三", now).unwrap();
        self.drain();
    }

    pub(crate) fn check_all(&mut self, number: &str) {
        let ids: Vec<_> = self.hazmat.rules().items.iter().map(|item| item.id.clone()).collect();
        for id in ids {
            let now = self.now();
            self.hazmat.handle_check(&WaybillNo::new(number), &id, true, "张三", "", now).unwrap();
        }
        self.drain();
    }

    pub(crate) fn enter(&mut self, text: &str, gross_kg: Option<u32>) -> PassageId {
        let passage = self.passage();
        let entered = Entered { passage: passage.clone(), plate: plate(text), zone: ZoneId::new("park"), gross_kg };
        self.hazmat.handle_entered(entered, self.now());
        self.drain();
        passage
    }

    pub(crate) fn go(&mut self, text: &str, to: &str) {
        let went = Went { passage: self.passage(), plate: plate(text), to: ZoneId::new(to) };
        self.hazmat.handle_went(went, self.now());
        self.drain();
    }

    pub(crate) fn leave(&mut self, text: &str, gross_kg: Option<u32>) {
        let left = Left { passage: self.passage(), plate: plate(text), gross_kg };
        self.hazmat.handle_left(left, self.now());
        self.drain();
    }

    /// Parks a vehicle where it was sent.
    pub(crate) fn park(&mut self, text: &str) {
        let bay = self.hazmat.lot().promised(&plate(text)).unwrap().clone();
        self.hazmat.handle_parked(&bay, &plate(text), self.now()).unwrap();
        self.drain();
    }

    pub(crate) fn facts(&self, text: &str, direction: Direction, zone: &str, gross_kg: Option<u32>) -> HazmatFacts {
        self.facts_with(text, direction, zone, gross_kg, &known())
    }

    pub(crate) fn facts_with(
        &self,
        text: &str,
        direction: Direction,
        zone: &str,
        gross_kg: Option<u32>,
        known: &Known,
    ) -> HazmatFacts {
        let (plate, zone) = (plate(text), ZoneId::new(zone));
        let asked = Asked { plate: &plate, trailer: None, direction, zone: &zone, gross_kg, known };
        self.hazmat.facts(&asked, self.now())
    }

    /// Takes the violations that came out since the last time, without their ends.
    pub(crate) fn violations(&mut self) -> Vec<(ViolationKind, Option<String>)> {
        let begun = |violation: &Violation| violation.phase != Phase::Over;
        let taken = self.take_violations().into_iter().filter(begun);
        taken.map(|violation| (violation.kind, violation.subject)).collect()
    }

    pub(crate) fn take_violations(&mut self) -> Vec<Violation> {
        self.drain();
        let outputs = std::mem::take(&mut self.outputs);
        outputs
            .into_iter()
            .filter_map(|output| if let Output::Violation(v) = output { Some(v) } else { None })
            .collect()
    }
}

/// Everything is known of vehicle and people, and all of it is good.
pub(crate) fn known() -> Known {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Known {
        carrier: Some(Carrier { scope: words(&["3", "8"]), tank: true, media: words(&["UN1230", "1170"]) }),
        licence: Some(words(&["2", "3", "8"])),
        tare_kg: Some(18_000),
        driver: Some(PersonRef::new("driver")),
        driver_ok: Some(true),
        escort: Some(Escort { person: PersonRef::new("escort"), qualified: Some(true) }),
        visits: Some(CompanyId::new("works")),
    }
}
