//! What a park is made of and what is registered in it: lanes, zones, bays; vehicles, persons, permits, waybills.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parkgate::domain::gate::desk;
use parkgate::domain::gate::gates::Settings;
use parkgate::domain::gate::hardware::Input;
use parkgate::domain::gate::hazmat::apart::{Signature, Table};
use parkgate::domain::gate::hazmat::goods::{FireGroup, Goods, HazardClass, PackingGroup, Portion, Unit};
use parkgate::domain::gate::hazmat::lot::{Area, BaySpec};
use parkgate::domain::gate::hazmat::waybill::{Purpose, Waybill, WaybillState};
use parkgate::domain::gate::hazmat::{self, rules};
use parkgate::domain::gate::inside::{self, ZoneRule};
use parkgate::domain::gate::lane::spec::{Closes, Fail, Flow, LaneSpec, Position, Service, Timing};
use parkgate::domain::gate::plate::{Plate, PlateColour};
use parkgate::domain::gate::presented::Credential;
use parkgate::domain::gate::register;
use parkgate::domain::gate::register::permit::{Approval, Approver, Permit, PermitKind, PermitStage};
use parkgate::domain::gate::register::row::{
    CarrierLicence, Company, CredentialKey, Holder, ListKind, ListSource, Listing, Person, Qualification, Row, Vehicle,
};
use parkgate::domain::gate::word::{
    BayId, CompanyId, GateClass, GateId, GatewayId, LaneId, LaneKind, ListingId, PaperKind, PermitId, PersonKind,
    PersonRef, Skill, VehicleClass, WaybillNo, ZoneClass, ZoneId,
};
use parkgate::domain::order::LaneRule;
use parkgate::domain::time::Timestamp;

use super::park::Park;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Who receives goods.
pub(crate) const WORKS: &str = "91320000000000000X";

// What the park is made of.

/// One zone; a gate for dangerous goods, one for everything else, one where nobody is, a door. No parking.
pub(crate) fn small_park() -> Settings {
    let hazmat = [VehicleClass::Hazmat, VehicleClass::HazWaste];
    let general = [VehicleClass::Goods, VehicleClass::Small];
    let lanes = [
        vehicles("h-in", "g1", GateClass::HazmatOnly, Flow::In, &hazmat),
        vehicles("h-out", "g1", GateClass::HazmatOnly, Flow::Out, &hazmat),
        vehicles("g-in", "g2", GateClass::GeneralGoods, Flow::In, &general),
        vehicles("g-out", "g2", GateClass::GeneralGoods, Flow::Out, &general),
        vehicles("u-in", "g3", GateClass::LightUnmanned, Flow::In, &[VehicleClass::Small]),
        door("door", "g2"),
    ];
    let zones = [(ZoneId::new("park"), ZoneRule::of(ZoneClass::General))];
    settings(lanes.into(), zones.into(), rules::Rules { items: Vec::new(), ..rules::Rules::default() })
}

/// A whole park: works as a zone within it that is entered by dispatch, and a parking for dangerous goods.
pub(crate) fn whole_park(bays: u32) -> Settings {
    let hazmat = [VehicleClass::Hazmat];
    let general = [VehicleClass::Goods, VehicleClass::Small];
    let works = |spec: LaneSpec| LaneSpec { zone: ZoneId::new("works"), zone_from: ZoneId::new("park"), ..spec };
    let weighs = |spec: LaneSpec| LaneSpec { scale: true, ..spec };
    let lanes = [
        weighs(vehicles("h-in", "g1", GateClass::HazmatOnly, Flow::In, &hazmat)),
        weighs(vehicles("h-out", "g1", GateClass::HazmatOnly, Flow::Out, &hazmat)),
        works(vehicles("w-in", "g4", GateClass::HazmatOnly, Flow::In, &hazmat)),
        works(vehicles("w-out", "g4", GateClass::HazmatOnly, Flow::Out, &hazmat)),
        vehicles("g-in", "g2", GateClass::GeneralGoods, Flow::In, &general),
        vehicles("g-out", "g2", GateClass::GeneralGoods, Flow::Out, &general),
        door("door", "g2"),
    ];
    let works = ZoneRule { parent: Some(ZoneId::new("park")), ..ZoneRule::of(ZoneClass::Key) };
    let zones = [(ZoneId::new("park"), ZoneRule::of(ZoneClass::General)), (ZoneId::new("works"), works)];
    let bay = |n: u32| BaySpec {
        id: BayId::new(format!("B{n:02}")),
        area: Area::Loaded,
        fire: FireGroup::A,
        toxic: false,
        beside: BTreeSet::new(),
    };
    let digest = Table::default().digest();
    let signature = Signature { by: "zhao".into(), on: "2026-11-01".into(), digest };
    let hazmat = rules::Rules {
        items: Vec::new(),
        table: Table::new(Table::default_rules(), Some(signature)),
        bays: (1..=bays).map(bay).collect(),
        dispatch_zones: [ZoneId::new("works")].into(),
        ..rules::Rules::default()
    };
    settings(lanes.into(), zones.into(), hazmat)
}

fn settings(lanes: Vec<LaneSpec>, zones: BTreeMap<ZoneId, ZoneRule>, hazmat: rules::Rules) -> Settings {
    let desk = |spec: &LaneSpec| desk::LaneRule {
        gate: spec.gate.clone(),
        manned: spec.manned,
        turn_back: ("在岗亭前掉头".into(), "turn round before the booth".into()),
        room: None,
    };
    let desk = lanes.iter().map(|spec| (spec.id.clone(), desk(spec))).collect();
    Settings {
        gateway: GatewayId::new("gw"),
        lanes: lanes.into_iter().map(Arc::new).collect(),
        register: register::rules::Rules::default(),
        inside: inside::Rules { zones, ..inside::Rules::default() },
        hazmat: Arc::new(hazmat),
        desk: desk::Rules { lanes: desk, ..desk::Rules::default() },
    }
}

pub(crate) fn vehicles(id: &str, gate: &str, class: GateClass, flow: Flow, classes: &[VehicleClass]) -> LaneSpec {
    use Input::{Approach, ArmOff, Beam, CloseLimit, Exit, Fire, OpenLimit, UnderArm};
    LaneSpec {
        id: LaneId::new(id),
        name: id.into(),
        name_en: id.into(),
        gate: GateId::new(gate),
        gate_class: class,
        manned: class != GateClass::LightUnmanned,
        zone: ZoneId::new("park"),
        zone_from: ZoneId::new("outside"),
        kind: LaneKind::Vehicle,
        flow,
        classes: classes.iter().copied().collect(),
        windows: Vec::new(),
        inputs: [Approach, UnderArm, Beam, Exit, OpenLimit, CloseLimit, ArmOff, Fire].into(),
        position: Position::Limits,
        closes: Closes::Gateway,
        fail: if flow == Flow::Out { Fail::Safe } else { Fail::Secure },
        on_fire: if flow == Flow::Out { LaneRule::Open } else { LaneRule::NoEntry },
        camera: true,
        scale: false,
        button_confirms: false,
        conduct: BTreeMap::new(),
        timing: Timing::default(),
        service: Service::InService,
    }
}

pub(crate) fn door(id: &str, gate: &str) -> LaneSpec {
    LaneSpec {
        kind: LaneKind::Person,
        flow: Flow::Both,
        classes: BTreeSet::new(),
        inputs: [Input::DoorOpen, Input::Passed, Input::Fire].into(),
        position: Position::None,
        closes: Closes::Controller,
        fail: Fail::Safe,
        on_fire: LaneRule::Open,
        ..vehicles(id, gate, GateClass::GeneralGoods, Flow::Both, &[])
    }
}

// What is registered.

pub(crate) fn yellow(text: &str) -> Plate {
    Plate::new(text, PlateColour::Yellow)
}

pub(crate) fn card(person: &str) -> Credential {
    Credential::Card { digest: format!("digest of {person}") }
}

pub(crate) fn person(name: &str, kind: PersonKind, skill: Option<Skill>, until: Timestamp) -> Person {
    let held = |skill| (skill, Qualification { until, classes: BTreeSet::new() });
    Person {
        person: PersonRef::new(name),
        kind,
        company: None,
        credentials: [(CredentialKey(card(name)), None)].into(),
        skills: skill.map(held).into_iter().collect(),
        training_until: Some(until),
        left: None,
    }
}

/// A permit, valid from an hour ago for a day, that both stages have passed.
pub(crate) fn permit(id: &str, kind: PermitKind, holder: Holder, from: Timestamp, uses: Option<u32>) -> Permit {
    let approved = |stage: Approver| Approval { stage, by: format!("{stage:?}"), at: Some(from), passed: true };
    Permit {
        id: PermitId::new(id),
        kind,
        holder,
        trailer: None,
        persons: BTreeSet::new(),
        company: None,
        stage: PermitStage::ParkPassed,
        approvals: vec![approved(Approver::Enterprise), approved(Approver::Park)],
        from: from.before(HOUR),
        until: from.after(DAY),
        hours: None,
        plan_in: None,
        plan_out: None,
        gates_in: BTreeSet::new(),
        gates_out: BTreeSet::new(),
        uses_allowed: uses,
        uses: 0,
        begun: BTreeSet::new(),
        counted: BTreeSet::new(),
        purpose: "story".into(),
    }
}

fn vehicle(plate: &str, class: VehicleClass) -> Vehicle {
    Vehicle {
        plate: yellow(plate),
        class,
        company: None,
        papers: BTreeMap::new(),
        gross_max_kg: None,
        tare_kg: None,
        tank: false,
        scope: BTreeSet::new(),
        media: BTreeSet::new(),
    }
}

/// Thirty tonnes of methanol for the works.
pub(crate) fn waybill(number: &str, plate: &str, driver: &str, escort: &str) -> Waybill {
    let company = |name: &str| CompanyId::new(name);
    let goods = Goods {
        un: 1230,
        name: "甲醇".into(),
        class: HazardClass::C3,
        subsidiary: BTreeSet::new(),
        packing_group: Some(PackingGroup::II),
        quantity: 30_000.0,
        unit: Unit::Kilogram,
        mass_kg: None,
        portion: Portion::Full,
        packages: 0,
        fire_group: None,
        natures: None,
    };
    Waybill {
        number: WaybillNo::new(number),
        state: WaybillState::InTransit,
        purpose: Purpose::Deliver,
        carrier: company("carrier"),
        consignor: company("consignor"),
        loader: company("loader"),
        consignee: company(WORKS),
        driver: PersonRef::new(driver),
        escort: Some(PersonRef::new(escort)),
        tractor: yellow(plate),
        trailer: None,
        goods: vec![goods],
        waste: false,
        manifest: None,
        route: None,
        not_before: None,
        not_after: None,
    }
}

impl Park {
    /// A tank lorry with its driver, escort, permit and waybill, all valid today.
    pub(crate) fn truck(&mut self, plate: &str, waybill: &str) {
        self.truck_with(plate, waybill, ("driver", "escort"), |_, _| {});
    }

    pub(crate) fn truck_with(
        &mut self,
        plate: &str,
        number: &str,
        (driver, escort): (&str, &str),
        change: impl FnOnce(&mut Vehicle, Timestamp),
    ) {
        let wall = self.now().wall;
        let year = wall.after(365 * DAY);
        let mut lorry = Vehicle {
            papers: PaperKind::OF_VEHICLE.iter().map(|kind| (*kind, year)).collect(),
            gross_max_kg: Some(49_000),
            tare_kg: Some(18_000),
            tank: true,
            scope: ["3".to_owned()].into(),
            media: ["1230".to_owned()].into(),
            ..vehicle(plate, VehicleClass::Hazmat)
        };
        change(&mut lorry, wall);
        let id = format!("P-{plate}");
        let holder = Holder::Vehicle(yellow(plate));
        self.put(vec![
            Row::Vehicle(Arc::new(lorry)),
            Row::Person(Arc::new(person(driver, PersonKind::Driver, Some(Skill::HazmatDriver), year))),
            Row::Person(Arc::new(person(escort, PersonKind::Escort, Some(Skill::HazmatEscort), year))),
            Row::Permit(Arc::new(permit(&id, PermitKind::Hazmat, holder, wall, Some(1)))),
        ]);
        let waybill = waybill(number, plate, driver, escort);
        let now = self.now();
        self.gates.handle_hazmat(|hazmat| hazmat.handle_waybill(waybill, "story", now), now).unwrap();
        self.drain();
    }

    /// A truck of ordinary goods with a waybill for so many kilograms in limited quantity.
    pub(crate) fn parcels(&mut self, plate: &str, number: &str, kg: f64) {
        let wall = self.now().wall;
        let year = wall.after(365 * DAY);
        let papers = PaperKind::OF_VEHICLE.iter().map(|kind| (*kind, year)).collect();
        let truck = Vehicle { papers, ..vehicle(plate, VehicleClass::Goods) };
        let permit = permit(&format!("P-{plate}"), PermitKind::Truck, Holder::Vehicle(yellow(plate)), wall, Some(1));
        let driver = person("driver", PersonKind::Driver, None, year);
        self.put(vec![Row::Vehicle(Arc::new(truck)), Row::Person(Arc::new(driver)), Row::Permit(Arc::new(permit))]);
        let mut waybill = Waybill { escort: None, ..waybill(number, plate, "driver", "driver") };
        let small = |goods: &mut Goods| (goods.portion, goods.quantity, goods.packages) = (Portion::Limited, kg, 40);
        waybill.goods.iter_mut().for_each(small);
        let now = self.now();
        self.gates.handle_hazmat(|hazmat| hazmat.handle_waybill(waybill, "story", now), now).unwrap();
        self.drain();
    }

    /// The licence of who carries, with what is left of it; `None`: it is over.
    pub(crate) fn carrier(&mut self, left: Option<Duration>, scope: &str) {
        let wall = self.now().wall;
        let until = left.map_or_else(|| wall.before(DAY), |left| wall.after(left));
        let carrier = Some(CarrierLicence { until, scope: [scope.to_owned()].into() });
        let company = Company { id: CompanyId::new("carrier"), name: "承运".into(), platform_code: None, carrier };
        self.put(vec![Row::Company(Arc::new(company))]);
    }

    /// A car with a permit for any number of uses.
    pub(crate) fn car(&mut self, plate: &str) {
        let id = format!("P-{plate}");
        let holder = Holder::Vehicle(yellow(plate));
        let permit = permit(&id, PermitKind::Vehicle, holder, self.now().wall, None);
        self.put(vec![Row::Vehicle(Arc::new(vehicle(plate, VehicleClass::Small))), Row::Permit(Arc::new(permit))]);
    }

    /// A visitor who may come once.
    pub(crate) fn visitor(&mut self, name: &str) {
        let wall = self.now().wall;
        let holder = Holder::Person(PersonRef::new(name));
        let permit = permit(&format!("P-{name}"), PermitKind::Person, holder, wall, Some(1));
        let visitor = person(name, PersonKind::Visitor, None, wall.after(365 * DAY));
        self.put(vec![Row::Person(Arc::new(visitor)), Row::Permit(Arc::new(permit))]);
    }

    /// A visitor who is expected tomorrow.
    pub(crate) fn visitor_from_tomorrow(&mut self, name: &str) {
        let wall = self.now().wall;
        let holder = Holder::Person(PersonRef::new(name));
        let permit = permit(&format!("P-{name}"), PermitKind::Person, holder, wall.after(DAY), Some(1));
        let visitor = person(name, PersonKind::Visitor, None, wall.after(365 * DAY));
        self.put(vec![Row::Person(Arc::new(visitor)), Row::Permit(Arc::new(permit))]);
    }

    pub(crate) fn block(&mut self, plate: &str) {
        let listing = Listing {
            id: ListingId::new(format!("B-{plate}")),
            kind: ListKind::Block,
            holder: Holder::Vehicle(yellow(plate)),
            source: ListSource::Park,
            from: self.now().wall,
            until: None,
            reason: "屡次违停".into(),
        };
        self.put(vec![Row::Listing(Arc::new(listing))]);
    }

    /// The works say how many places they have.
    pub(crate) fn works_publish(&mut self, places: u32) {
        let now = self.now();
        self.gates
            .handle_hazmat(|hazmat: &mut hazmat::Hazmat| hazmat.handle_quota(&CompanyId::new(WORKS), places, now), now);
        self.drain();
    }
}
