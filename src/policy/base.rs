//! Ordinary comings and goings with nothing wrong about them: what decision tables start from, and what the names in the
//! texts of policies are checked against.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::Parameters;
use super::view::View;
use crate::domain::gate::facts::{
    AntiPassback, EscortFact, Facts, GatewayFacts, HazmatFacts, LaneFacts, Listed, PaperState, PermitFacts,
    PermitState, PersonFacts, SiteFacts, Subject, VehicleFacts, WaybillFact, ZoneFacts,
};
use crate::domain::gate::hazmat::goods::SmallQuantity;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::word::{
    CompanyId, Direction, GateClass, GateId, LaneId, LaneKind, ManifestNo, PaperKind, PermitId, PersonKind, PersonRef,
    VehicleClass, WaybillNo, ZoneClass, ZoneId,
};
use crate::domain::order::LaneRule;
use crate::domain::site::State;
use crate::domain::time::ClockTrust;

/// Who comes in a base.
#[derive(Clone, Copy)]
enum Who {
    Person(PersonKind),
    Vehicle(VehicleClass),
    /// A vehicle of general goods for which a dangerous-goods waybill was found.
    Declared,
}

/// Names of the bases in both languages, and what they are.
const BASES: [(&str, &str, Who, Direction); 18] = [
    ("staff_in", "员工进", Who::Person(PersonKind::Staff), Direction::In),
    ("staff_out", "员工出", Who::Person(PersonKind::Staff), Direction::Out),
    ("contractor_in", "承包商进", Who::Person(PersonKind::Contractor), Direction::In),
    ("visitor_in", "访客进", Who::Person(PersonKind::Visitor), Direction::In),
    ("visitor_out", "访客出", Who::Person(PersonKind::Visitor), Direction::Out),
    ("small_in", "小型车进", Who::Vehicle(VehicleClass::Small), Direction::In),
    ("small_out", "小型车出", Who::Vehicle(VehicleClass::Small), Direction::Out),
    ("goods_in", "普货车进", Who::Vehicle(VehicleClass::Goods), Direction::In),
    ("goods_out", "普货车出", Who::Vehicle(VehicleClass::Goods), Direction::Out),
    ("declared_in", "普货车带危货运单进", Who::Declared, Direction::In),
    ("bus_in", "通勤车进", Who::Vehicle(VehicleClass::Bus), Direction::In),
    ("works_in", "工程车进", Who::Vehicle(VehicleClass::Works), Direction::In),
    ("hazmat_in", "危化车进", Who::Vehicle(VehicleClass::Hazmat), Direction::In),
    ("hazmat_out", "危化车出", Who::Vehicle(VehicleClass::Hazmat), Direction::Out),
    ("hazwaste_in", "危废车进", Who::Vehicle(VehicleClass::HazWaste), Direction::In),
    ("hazwaste_out", "危废车出", Who::Vehicle(VehicleClass::HazWaste), Direction::Out),
    ("rescue_in", "应急车进", Who::Vehicle(VehicleClass::Rescue), Direction::In),
    ("rescue_out", "应急车出", Who::Vehicle(VehicleClass::Rescue), Direction::Out),
];

/// Returns the names of the bases, English and Chinese.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    BASES.iter().map(|(en, zh, _, _)| (*en, *zh))
}

/// Returns the facts of a base by either of its names.
pub fn facts(name: &str) -> Option<Facts> {
    let (_, _, who, direction) = BASES.iter().find(|(en, zh, _, _)| *en == name || *zh == name)?;
    Some(of(*who, *direction))
}

fn of(who: Who, direction: Direction) -> Facts {
    let (kind, subject) = match who {
        Who::Person(kind) => (LaneKind::Person, Subject::Person(person(kind, direction))),
        Who::Vehicle(class) => (LaneKind::Vehicle, Subject::Vehicle(vehicle(class, direction))),
        Who::Declared => {
            let goods = Some(goods(VehicleClass::Goods));
            let with_goods = VehicleFacts { hazmat: goods, ..vehicle(VehicleClass::Goods, direction) };
            (LaneKind::Vehicle, Subject::Vehicle(with_goods))
        }
    };
    Facts {
        lane: lane(kind, direction),
        zone: zone(),
        site: SiteFacts { state: State::Normal, rule: LaneRule::Normal, fire: false, warnings: BTreeMap::new() },
        gateway: GatewayFacts {
            clock: ClockTrust::Synced,
            permits_age_s: Some(60),
            block_list_age_s: Some(60),
            peers_heard: Some(true),
            store_ok: true,
            inside_known: true,
        },
        subject,
    }
}

fn lane(kind: LaneKind, direction: Direction) -> LaneFacts {
    LaneFacts {
        lane: LaneId::new("east-1"),
        gate: GateId::new("east"),
        gate_class: GateClass::GeneralGoods,
        kind,
        direction,
        direction_ok: true,
        classes: VehicleClass::ALL.iter().copied().filter(|_| kind == LaneKind::Vehicle).collect(),
        manned: true,
        in_service: true,
        under_arm: Some(false),
        window_open: Some(true),
        disarmed: false,
    }
}

fn zone() -> ZoneFacts {
    ZoneFacts {
        zone: ZoneId::new("park"),
        class: ZoneClass::General,
        persons: 57,
        persons_max: Some(2000),
        vehicles: 12,
        vehicles_max: Some(300),
        gas_level: 0,
        anti_passback: AntiPassback::Hard,
        training_needed: true,
    }
}

fn permit() -> PermitFacts {
    PermitFacts {
        permit: Some(PermitId::new("P-2026-0001")),
        state: PermitState::Valid,
        gate_ok: Some(true),
        window_open: Some(true),
        company: Some(CompanyId::new("91440300755691882F")),
    }
}

fn person(kind: PersonKind, direction: Direction) -> PersonFacts {
    PersonFacts {
        person: Some(PersonRef::new("p-0001")),
        person_kind: Some(kind),
        listed: Listed::default(),
        permit: permit(),
        training_valid: Some(true),
        inside: Some(direction == Direction::Out),
    }
}

fn vehicle(class: VehicleClass, direction: Direction) -> VehicleFacts {
    let papers: &[PaperKind] = match class {
        VehicleClass::Hazmat | VehicleClass::HazWaste => PaperKind::ALL,
        VehicleClass::NonMotor | VehicleClass::Rescue => &[],
        VehicleClass::Goods | VehicleClass::Small | VehicleClass::Works | VehicleClass::Bus => {
            &[PaperKind::Licence, PaperKind::Insurance]
        }
    };
    VehicleFacts {
        plate: Some(Plate::new("皖R12345", PlateColour::Yellow)),
        readable: true,
        fake: false,
        exempt: class == VehicleClass::Rescue,
        class: Some(class),
        listed: Listed::default(),
        permit: permit(),
        papers: papers.iter().map(|kind| (*kind, PaperState::Valid)).collect(),
        gross_kg: Some(41_200),
        gross_max_kg: Some(49_000),
        inside: Some(direction == Direction::Out),
        untrained: 0,
        unsettled: BTreeSet::new(),
        hazmat: class.is_hazmat().then(|| goods(class)),
    }
}

fn goods(class: VehicleClass) -> HazmatFacts {
    HazmatFacts {
        waybill: Some(WaybillNo::new("YD-2026-0001")),
        waybill_state: WaybillFact::Ready,
        manifest: (class == VehicleClass::HazWaste).then(|| ManifestNo::new("LD-2026-0001")),
        waybill_matches: Some(true),
        small_quantity: SmallQuantity::No,
        scope_ok: Some(true),
        tank_medium_ok: Some(true),
        tank: true,
        driver_ok: Some(true),
        escort: EscortFact::Present,
        weight_ok: Some(true),
        dispatched: Some(true),
        bays_free: Some(4),
        bay_compatible: Some(true),
        unloading_free: Some(2),
        route_ok: Some(true),
        checks_failed: BTreeSet::new(),
        checks_open: BTreeSet::new(),
    }
}

/// Returns one view of each kind of principal in which every fact is known and nothing is absent.
pub(super) fn samples() -> Vec<View> {
    let blocked = Listed { blocked: Some("多次违停".into()), allowed: false };
    let kinds = [Who::Person(PersonKind::Staff), Who::Vehicle(VehicleClass::HazWaste)];
    let mut all: Vec<Facts> = kinds.into_iter().map(|who| of(who, Direction::In)).collect();
    let mut unread = of(Who::Vehicle(VehicleClass::HazWaste), Direction::In);
    if let Subject::Vehicle(vehicle) = &mut unread.subject {
        vehicle.readable = false;
    }
    all.extend([unread, of(Who::Vehicle(VehicleClass::Rescue), Direction::In)]);
    for facts in &mut all {
        match &mut facts.subject {
            Subject::Person(person) => person.listed = blocked.clone(),
            Subject::Vehicle(vehicle) => vehicle.listed = blocked.clone(),
        }
    }
    all.iter().map(|facts| View::of(facts, &Parameters::default())).collect()
}
