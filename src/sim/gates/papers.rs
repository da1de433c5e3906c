//! Who is registered at the demo's gates, as its platform sends it: companies, persons, vehicles, lists, permits, waybills. All of
//! it is made up; the numbers of documents are none that anybody has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::gate::identity::{IdKind, IdNumber};
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::register::change::Message;
use crate::domain::gate::register::draft::{
    Draft, HolderDraft, ListingDraft, PermitDraft, PersonDraft, Who, WrittenCard,
};
use crate::domain::gate::register::permit::{Approval, Approver, Permit, PermitKind, PermitStage};
use crate::domain::gate::register::row::{Company, Holder, ListKind, ListSource, Qualification, Table, Vehicle};
use crate::domain::gate::wiegand::{ByteOrder, Card, encode};
use crate::domain::gate::word::{CompanyId, GateId, ListingId, PaperKind, PermitId, PersonKind, Skill, VehicleClass};
use crate::domain::time::Timestamp;

/// The car of somebody who works here.
pub const STAFF_CAR: &str = "鲁C88T01";
/// The car of a visitor who came yesterday, and by another gate.
pub const VISITOR: &str = "鲁A3K7L2";
/// A truck with ordinary goods.
pub const TRUCK: &str = "鲁C6P512";
/// A tank truck with everything in order.
pub const TANKER: &str = "鲁C1H338";
/// A tank truck whose tank was not inspected in time, and that comes without its escort.
pub const OLD_TANKER: &str = "鲁C7H904";

/// Tables that the platform sends.
pub const N_TABLES: usize = Table::ALL.len();

const DAY: Duration = Duration::from_secs(86_400);
/// The enterprise that everybody comes to.
const WORKS: &str = "91440300755691882F";

/// A person: name, number of the document, kind, card, qualification.
struct Somebody {
    name: &'static str,
    id: &'static str,
    kind: PersonKind,
    card: u32,
    skill: Option<Skill>,
}

const PEOPLE: [Somebody; 5] = [
    Somebody { name: "张伟", id: "DEMO00001", kind: PersonKind::Staff, card: 1_193_001, skill: None },
    Somebody { name: "李娜", id: "DEMO00002", kind: PersonKind::Contractor, card: 1_193_002, skill: None },
    Somebody {
        name: "王强",
        id: "DEMO00003",
        kind: PersonKind::Driver,
        card: 1_193_003,
        skill: Some(Skill::HazmatDriver),
    },
    Somebody {
        name: "刘洋",
        id: "DEMO00004",
        kind: PersonKind::Escort,
        card: 1_193_004,
        skill: Some(Skill::HazmatEscort),
    },
    Somebody {
        name: "陈杰",
        id: "DEMO00005",
        kind: PersonKind::Driver,
        card: 1_193_005,
        skill: Some(Skill::HazmatDriver),
    },
];

/// Whose card is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardOf {
    /// Somebody who works here.
    Staff,
    /// Somebody who works for a contractor.
    Contractor,
    /// Who drives the tanker.
    Driver,
    /// Who escorts it.
    Escort,
    /// Who drives the old tanker.
    OtherDriver,
    /// Nobody's.
    Nobody,
}

impl CardOf {
    /// Returns the line that a reader sends when it is shown.
    pub fn line(self) -> String {
        let card = match self {
            Self::Staff => 1_193_001,
            Self::Contractor => 1_193_002,
            Self::Driver => 1_193_003,
            Self::Escort => 1_193_004,
            Self::OtherDriver => 1_193_005,
            Self::Nobody => 7_777_777,
        };
        let bits = encode(Card(card), 26, ByteOrder::Straight).unwrap_or_default();
        let bytes =
            bits.chunks(8).map(|eight| (0..8).fold(0_u8, |byte, i| byte << 1 | u8::from(eight.get(i) == Some(&true))));
        format!("W26:{}\n", bytes.map(|byte| format!("{byte:02X}")).collect::<String>())
    }
}

/// Returns the plate of a vehicle with its colour.
pub fn plate(text: &str) -> Plate {
    let large = [TRUCK, TANKER, OLD_TANKER].contains(&text);
    Plate::new(text, if large { PlateColour::Yellow } else { PlateColour::Blue })
}

/// Returns the numbers of the waybills of a trip, counted from 1: the tanker's, the old tanker's.
pub fn numbers(trip: u64) -> [String; 2] {
    [format!("YD-{trip:04}-1"), format!("YD-{trip:04}-2")]
}

/// Returns the waybills of a trip as the platform sends them, on top of those of the trip before: persons are named by their
/// documents, because the gateway alone has references to them.
pub fn waybills(trip: u64) -> Value {
    let named = |n: usize| json!({ "id": { "kind": "other", "number": PEOPLE.get(n).map_or("", |who| who.id) } });
    let goods = json!({
        "un": 1230, "name": "甲醇", "class": "3", "packing_group": "II", "quantity": 28.5, "unit": "t", "fire_group": "2",
    });
    let waybill = |number: &str, text: &str, driver: usize, escort: Option<usize>| {
        json!({
            "number": number, "state": "dispatched", "purpose": "deliver", "carrier": WORKS, "consignor": WORKS,
            "loader": WORKS, "consignee": WORKS, "driver": named(driver), "escort": escort.map(named),
            "tractor": plate(text), "trailer": null, "goods": [goods],
        })
    };
    let [one, two] = numbers(trip);
    let put = [waybill(&one, TANKER, 2, Some(3)), waybill(&two, OLD_TANKER, 4, None)];
    json!({ "from": trip.checked_sub(1).filter(|before| *before > 0), "to": trip, "put": put })
}

/// Returns the tables of the register as they are at `now`, in the order in which they refer to one another.
pub fn tables(now: Timestamp) -> Vec<Message> {
    let table = |table, rows| Message { table, version: 1, base: None, as_of: now, rows, removed: Vec::new() };
    vec![
        table(Table::Companies, companies()),
        table(Table::Persons, persons(now)),
        table(Table::Vehicles, vehicles(now)),
        table(Table::Lists, lists(now)),
        table(Table::Permits, permits(now)),
    ]
}

fn companies() -> Vec<Draft> {
    let works =
        Company {
            id: CompanyId::new(WORKS), name: "示范精细化工有限公司".into(), platform_code: None, carrier: None
        };
    vec![Draft::Company(works)]
}

fn who(somebody: &Somebody) -> Option<Who> {
    let id = IdNumber::new(IdKind::Other, somebody.id).ok()?;
    Some(Who { id, name: Some(somebody.name.to_owned()), phone: None })
}

fn persons(now: Timestamp) -> Vec<Draft> {
    let year = now.after(365 * DAY);
    let draft = |somebody: &Somebody| {
        let skills = somebody.skill.map(|skill| (skill, Qualification { until: year, classes: BTreeSet::new() }));
        Some(Draft::Person(PersonDraft {
            who: who(somebody)?,
            kind: somebody.kind,
            company: Some(CompanyId::new(WORKS)),
            cards: [WrittenCard(Card(somebody.card))].into(),
            cards_until: None,
            skills: skills.into_iter().collect(),
            training_until: Some(year),
        }))
    };
    PEOPLE.iter().filter_map(draft).collect()
}

fn vehicles(now: Timestamp) -> Vec<Draft> {
    let year = now.after(365 * DAY);
    let valid: BTreeMap<PaperKind, Timestamp> = PaperKind::OF_VEHICLE.iter().map(|kind| (*kind, year)).collect();
    let vehicle = |text: &str, class| Vehicle {
        plate: plate(text),
        class,
        company: None,
        papers: valid.clone(),
        gross_max_kg: None,
        tare_kg: None,
        tank: false,
        scope: BTreeSet::new(),
        media: BTreeSet::new(),
    };
    let tanker = |text: &str| Vehicle {
        tank: true,
        scope: ["3".to_owned()].into(),
        media: ["1230".to_owned()].into(),
        gross_max_kg: Some(49_000),
        tare_kg: Some(18_000),
        ..vehicle(text, VehicleClass::Hazmat)
    };
    let mut old = tanker(OLD_TANKER);
    old.papers.insert(PaperKind::Tank, now.before(12 * DAY));
    let all = [
        vehicle(STAFF_CAR, VehicleClass::Small),
        vehicle(VISITOR, VehicleClass::Small),
        vehicle(TRUCK, VehicleClass::Goods),
        tanker(TANKER),
        old,
    ];
    all.into_iter().map(Draft::Vehicle).collect()
}

fn lists(now: Timestamp) -> Vec<Draft> {
    let from = now.before(30 * DAY);
    let allow = |id: &str, holder| {
        Draft::Listing(ListingDraft {
            id: ListingId::new(id),
            kind: ListKind::Allow,
            holder,
            source: ListSource::Enterprise,
            from,
            until: None,
            reason: "员工通勤".into(),
        })
    };
    let staff = PEOPLE.first().and_then(who).map(|who| allow("A-2", HolderDraft::Person(who)));
    [allow("A-1", HolderDraft::Vehicle(plate(STAFF_CAR)))].into_iter().chain(staff).collect()
}

/// A permit that both stages have passed, valid today.
fn permit(id: &str, kind: PermitKind, holder: HolderDraft, now: Timestamp) -> PermitDraft {
    let passed = |stage, by: &str| Approval { stage, by: by.into(), at: Some(now.before(DAY)), passed: true };
    // Whom it is for the gateway fills in.
    let nobody = Holder::Vehicle(plate(""));
    let permit = Permit {
        id: PermitId::new(id),
        kind,
        holder: nobody,
        trailer: None,
        persons: BTreeSet::new(),
        company: Some(CompanyId::new(WORKS)),
        stage: PermitStage::ParkPassed,
        approvals: vec![passed(Approver::Enterprise, "qian"), passed(Approver::Park, "sun")],
        from: now.before(DAY / 4),
        until: now.after(DAY / 2),
        hours: None,
        plan_in: None,
        plan_out: None,
        gates_in: BTreeSet::new(),
        gates_out: BTreeSet::new(),
        uses_allowed: None,
        uses: 0,
        begun: BTreeSet::new(),
        counted: BTreeSet::new(),
        purpose: "送货".into(),
    };
    PermitDraft { holder, with: Vec::new(), permit }
}

fn permits(now: Timestamp) -> Vec<Draft> {
    let of = |text: &str| HolderDraft::Vehicle(plate(text));
    let mut visitor = permit("P-1", PermitKind::Vehicle, of(VISITOR), now);
    (visitor.permit.from, visitor.permit.until) = (now.before(2 * DAY), now.before(DAY));
    visitor.permit.gates_in = [GateId::new("chemical")].into();
    let contractor = PEOPLE.get(1).and_then(who).map(HolderDraft::Person);
    let contractor = contractor.map(|who| permit("P-5", PermitKind::Person, who, now));
    let vehicles = [
        visitor,
        permit("P-2", PermitKind::Truck, of(TRUCK), now),
        permit("P-3", PermitKind::Hazmat, of(TANKER), now),
        permit("P-4", PermitKind::Hazmat, of(OLD_TANKER), now),
    ];
    vehicles.into_iter().chain(contractor).map(Draft::Permit).collect()
}
