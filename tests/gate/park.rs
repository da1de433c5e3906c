//! A park in virtual time: lanes with arms that move, loops that are said again each 200 ms, a store that answers, and what
//! drives and walks through it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parkgate::domain::actor::Actor;
use parkgate::domain::document::DocumentKind;
use parkgate::domain::gate::gates::{Gates, Output, Settings};
use parkgate::domain::gate::hardware::{
    Act, CameraEvent, Carried, Input, LaneCommand, LaneEvent, LaneReceipt, PlateSeen, Seen,
};
use parkgate::domain::gate::hazmat;
use parkgate::domain::gate::hazmat::goods::{Goods, HazardClass, PackingGroup, Portion, Unit};
use parkgate::domain::gate::hazmat::waybill::{Purpose, Waybill, WaybillState};
use parkgate::domain::gate::inside::{self, Stock, ZoneRule};
use parkgate::domain::gate::lane::spec::{Closes, Fail, Flow, LaneSpec, Position, Service, Timing};
use parkgate::domain::gate::lane::{ArmAt, AuditReceipt, Call};
use parkgate::domain::gate::plate::{Plate, PlateColour};
use parkgate::domain::gate::presented::{Credential, PlateRead};
use parkgate::domain::gate::register::change::{Change, ChangeSet, Origin};
use parkgate::domain::gate::register::permit::{Approval, Approver, Permit, PermitKind, PermitStage};
use parkgate::domain::gate::register::row::{
    CredentialKey, Holder, ListKind, ListSource, Listing, Person, Qualification, Row, Vehicle,
};
use parkgate::domain::gate::register::{self, Register};
use parkgate::domain::gate::verdict::Decision;
use parkgate::domain::gate::word::{
    CompanyId, Direction, GateClass, GateId, GatewayId, LaneId, LaneKind, ListingId, PaperKind, PermitId, PersonKind,
    PersonRef, Skill, VehicleClass, WaybillNo, ZoneClass, ZoneId,
};
use parkgate::domain::order::{LaneRule, Urgency};
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};
use parkgate::policy::PolicyBook;
use parkgate::policy::settings::{Parameters, PolicyFile, Sources};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// 2026-11-26 in the morning, Beijing.
const MORNING: i64 = 1_795_651_200_000;
const TICK: u64 = 100;
/// The arm needs 1.5 s from down to up.
const TRAVEL: i32 = 15;

/// One lane's world.
struct World {
    spec: Arc<LaneSpec>,
    says: BTreeMap<Input, Option<bool>>,
    arm: i32,
    moves: i32,
    acts: Vec<&'static str>,
}

pub(crate) struct Park {
    pub(crate) gates: Gates,
    worlds: BTreeMap<LaneId, World>,
    ms: u64,
    wall: i64,
    trust: ClockTrust,
    store: AuditReceipt,
    events: u64,
    decisions: Vec<Decision>,
    calls: Vec<Call>,
}

pub(crate) fn codes(decision: &Decision) -> Vec<&str> {
    decision.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

impl Park {
    pub(crate) fn new() -> Self {
        let parameters = Parameters {
            stale_hazmat: Duration::ZERO,
            stale_visitor: Duration::ZERO,
            stale_fixed: Duration::ZERO,
            weigh: BTreeSet::new(),
            dispatch_zones: BTreeSet::new(),
            parking_zones: BTreeSet::new(),
            quota: false,
            ..Parameters::default()
        };
        let book = PolicyBook::load(&Sources { own: Vec::new(), parameters }).unwrap();
        Self::under(book)
    }

    pub(crate) fn forbidding_everything() -> Self {
        let text = "@code(\"NOBODY\")\n@verdict(\"deny\")\n@zh(\"一律禁止\")\n@en(\"nobody\")\nforbid (principal, action, resource);\n";
        let file = PolicyFile { path: "nobody.cedar".into(), text: text.into() };
        Self::under(PolicyBook::of(&[file], &Parameters::default()).unwrap())
    }

    fn under(book: PolicyBook) -> Self {
        let specs = [
            vehicles("h-in", "g1", GateClass::HazmatOnly, Flow::In, &[VehicleClass::Hazmat, VehicleClass::HazWaste]),
            vehicles("h-out", "g1", GateClass::HazmatOnly, Flow::Out, &[VehicleClass::Hazmat, VehicleClass::HazWaste]),
            vehicles("g-in", "g2", GateClass::GeneralGoods, Flow::In, &[VehicleClass::Goods, VehicleClass::Small]),
            vehicles("g-out", "g2", GateClass::GeneralGoods, Flow::Out, &[VehicleClass::Goods, VehicleClass::Small]),
            vehicles("u-in", "g3", GateClass::LightUnmanned, Flow::In, &[VehicleClass::Small]),
            door("door", "g2"),
        ];
        let lanes: Vec<Arc<LaneSpec>> = specs.into_iter().map(Arc::new).collect();
        let zone = ZoneRule { ..ZoneRule::of(ZoneClass::General) };
        let inside = inside::Rules { zones: [(ZoneId::new("park"), zone)].into(), ..inside::Rules::default() };
        let settings = Settings {
            gateway: GatewayId::new("gw-test"),
            lanes: lanes.clone(),
            register: register::rules::Rules::default(),
            inside,
            desk: parkgate::domain::gate::desk::Rules::default(),
            hazmat: Arc::new(hazmat::rules::Rules { items: Vec::new(), ..hazmat::rules::Rules::default() }),
        };
        let (ms, wall, trust) = (1_000_000, MORNING, ClockTrust::Synced);
        let now = Now { mono: Mono::from_millis(ms), wall: Timestamp(wall), trust };
        let gates = Gates::new(Arc::new(settings), Arc::new(book), Register::default(), 1, now);
        let world = |spec: &Arc<LaneSpec>| {
            let says = spec.inputs.iter().map(|input| (*input, Some(*input == Input::CloseLimit))).collect();
            World { spec: spec.clone(), says, arm: 0, moves: 0, acts: Vec::new() }
        };
        let worlds = lanes.iter().map(|spec| (spec.id.clone(), world(spec))).collect();
        let mut park = Self {
            gates,
            worlds,
            ms,
            wall: wall - i64::try_from(ms).unwrap(),
            trust,
            store: AuditReceipt::Stored,
            events: 0,
            decisions: Vec::new(),
            calls: Vec::new(),
        };
        let counted = inside::InsideAction::Count {
            zones: [(ZoneId::new("park"), inside::Stocks::default())].into(),
            list: Some([(ZoneId::new("park"), BTreeSet::new())].into()),
            reason: "开园清点".into(),
        };
        park.run(1_000);
        park.gates.handle_inside(counted, &supervisor(), park.now()).unwrap();
        park.drain();
        park
    }

    pub(crate) fn now(&self) -> Now {
        let wall = Timestamp(self.wall + i64::try_from(self.ms).unwrap());
        Now { mono: Mono::from_millis(self.ms), wall, trust: self.trust }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.ms + ms;
        while self.ms < end {
            self.ms += TICK;
            let lanes: Vec<LaneId> = self.worlds.keys().cloned().collect();
            for lane in &lanes {
                self.turn(lane);
                if self.ms.is_multiple_of(200) {
                    self.say_all(lane);
                }
            }
            self.gates.handle_timeout(self.now());
            self.drain();
        }
    }

    /// Sets the clock to this time of the park's day, or of the next.
    pub(crate) fn until_local(&mut self, hour: i64, minute: i64, second: i64) {
        let day = 86_400_000;
        let local = (self.now().wall.0 + 8 * 3_600_000).rem_euclid(day);
        let wanted = ((hour * 60 + minute) * 60 + second) * 1000;
        // The clock is set, and nothing else happens on the way.
        self.wall += (wanted - local).rem_euclid(day);
    }

    fn turn(&mut self, lane: &LaneId) {
        let Some(world) = self.worlds.get_mut(lane) else { return };
        let before = world.arm;
        world.arm = (world.arm + world.moves).clamp(0, TRAVEL);
        let at = world.arm;
        if at != before && world.spec.position == Position::Limits {
            self.set(lane.as_str(), Input::OpenLimit, Some(at == TRAVEL));
            self.set(lane.as_str(), Input::CloseLimit, Some(at == 0));
        }
    }

    fn say_all(&mut self, lane: &LaneId) {
        let Some(world) = self.worlds.get(lane) else { return };
        let all: Vec<_> = world.says.iter().map(|(input, on)| (*input, *on)).collect();
        for (input, on) in all {
            self.event(lane, Seen::Input { input, on });
        }
    }

    pub(crate) fn set(&mut self, lane: &str, input: Input, on: Option<bool>) {
        let lane = LaneId::new(lane);
        if let Some(world) = self.worlds.get_mut(&lane) {
            world.says.insert(input, on);
        }
        self.event(&lane, Seen::Input { input, on });
    }

    fn event(&mut self, lane: &LaneId, what: Seen) {
        let event = LaneEvent { lane: lane.clone(), at: self.now().mono, what };
        self.gates.handle_event(&event, self.now());
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.gates.poll_output() {
            match output {
                Output::Audit { lane, audit } if audit.urgency == Urgency::AfterCommit => {
                    self.gates.handle_audit(&lane, &audit.key, self.store, self.now());
                }
                Output::Command(command) => self.carry_out(&command),
                Output::Document(document) if document.kind == DocumentKind::Decision => {
                    self.decisions.push(serde_json::from_str(&document.json).unwrap());
                }
                Output::Call(call) => self.calls.push(call),
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, command: &LaneCommand) {
        let Some(world) = self.worlds.get_mut(&command.lane) else { return };
        let (moves, act) = match command.act {
            Act::Open { .. } => (1, Some("open")),
            Act::Close => (-1, Some("close")),
            Act::Stop => (0, Some("stop")),
            Act::HoldOpen => (1, Some("hold")),
            Act::EndHold | Act::Dismiss { .. } | Act::Show(_) => (world.moves, None),
        };
        world.moves = moves;
        world.acts.extend(act);
        let (key, lane) = (command.key.clone(), command.lane.clone());
        let receipt = LaneReceipt { key, lane, at: self.now().mono, carried: Carried::Sent };
        self.gates.handle_receipt(&receipt, self.now());
    }

    /// A vehicle comes to a lane and is read, after its people showed their cards. Returns what was decided last.
    pub(crate) fn comes(&mut self, lane: &str, plate: &str, people: &[&str]) -> Decision {
        let id = LaneId::new(lane);
        self.set(lane, Input::Approach, Some(true));
        let direction = if lane.ends_with("out") { Direction::Out } else { Direction::In };
        for person in people {
            let credential = card(person);
            self.event(&id, Seen::Shown { reader: format!("{lane}-reader"), direction, credential });
        }
        self.run(300);
        self.events += 1;
        let seen = PlateSeen {
            device: format!("{lane}-cam"),
            event: CameraEvent { serial: lane.into(), number: self.events },
            read: PlateRead { plate: Some(yellow(plate)), confidence: 96, fake: false, exempt: false },
            direction: None,
            device_time: Some(self.now().wall),
            live: true,
            offline: false,
            opened_by_camera: false,
            flags: BTreeSet::new(),
        };
        self.event(&id, Seen::Plate(seen));
        self.run(600);
        self.decisions.last().cloned().expect("something is decided")
    }

    /// It drives through an open arm, and the arm closes behind it.
    pub(crate) fn crosses(&mut self, lane: &str) {
        let steps = [
            (Input::UnderArm, true),
            (Input::Beam, true),
            (Input::Approach, false),
            (Input::Exit, true),
            (Input::UnderArm, false),
            (Input::Beam, false),
            (Input::Exit, false),
        ];
        for (input, on) in steps {
            self.set(lane, input, Some(on));
            self.run(600);
        }
        self.run(6_000);
    }

    /// It comes, and goes through if it may.
    pub(crate) fn drives(&mut self, lane: &str, plate: &str, people: &[&str]) -> Decision {
        let decision = self.comes(lane, plate, people);
        self.run(2_000);
        if self.is_up(lane) {
            self.crosses(lane);
        } else {
            self.set(lane, Input::Approach, Some(false));
            self.run(2_000);
        }
        decision
    }

    /// A person shows a card on the way in, and walks in if the door is released.
    pub(crate) fn walks(&mut self, lane: &str, person: &str) -> Decision {
        self.shows(lane, person, Direction::In);
        self.decisions.last().cloned().expect("something is decided")
    }

    pub(crate) fn walks_out(&mut self, lane: &str, person: &str) {
        self.shows(lane, person, Direction::Out);
    }

    fn shows(&mut self, lane: &str, person: &str, direction: Direction) {
        let id = LaneId::new(lane);
        let before = self.moves(lane).len();
        let reader = format!("{lane}-{direction}");
        self.event(&id, Seen::Shown { reader, direction, credential: card(person) });
        self.run(1_000);
        if self.moves(lane).len() > before {
            self.set(lane, Input::DoorOpen, Some(true));
            self.run(1_000);
            self.set(lane, Input::Passed, Some(true));
            self.run(300);
            self.set(lane, Input::Passed, Some(false));
            self.set(lane, Input::DoorOpen, Some(false));
            self.run(2_000);
        }
    }

    pub(crate) fn is_up(&self, lane: &str) -> bool {
        let lane = self.gates.lanes().find(|one| one.spec().id.as_str() == lane).unwrap();
        lane.arm_at(self.now().mono) == ArmAt::Up
    }

    pub(crate) fn moves(&self, lane: &str) -> Vec<&'static str> {
        self.worlds[&LaneId::new(lane)].acts.clone()
    }

    pub(crate) fn inside(&self, stock: Stock) -> u32 {
        self.gates.inside().stocks(&ZoneId::new("park")).of(stock)
    }

    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(crate) fn store_fails(&mut self) {
        self.store = AuditReceipt::Failed;
        self.gates.handle_surroundings(|around| around.store_failed = true);
    }

    pub(crate) fn clock_unsynced(&mut self) {
        self.trust = ClockTrust::Unsynced;
    }

    // What is registered.

    fn put(&mut self, rows: Vec<Row>) {
        let changes = rows.into_iter().map(Change::Put).collect();
        let (by, why) = (supervisor(), "story".to_owned());
        let set = ChangeSet { by, origin: Origin::Local, why, changes, named: Vec::new(), version: None };
        let prepared = self.gates.register().prepare(set, &self.now()).unwrap();
        assert!(self.gates.handle_register(&prepared));
    }

    /// A tank lorry with its driver, escort, permit and waybill, all valid today.
    pub(crate) fn truck(&mut self, plate: &str, waybill: &str) {
        self.truck_with(plate, waybill, |_, _| {});
    }

    pub(crate) fn truck_with(&mut self, plate: &str, waybill: &str, change: impl FnOnce(&mut Vehicle, Timestamp)) {
        let wall = self.now().wall;
        let year = wall.after(365 * DAY);
        let mut vehicle = Vehicle {
            plate: yellow(plate),
            class: VehicleClass::Hazmat,
            company: None,
            papers: PaperKind::ALL.iter().map(|kind| (*kind, year)).collect(),
            gross_max_kg: Some(49_000),
            tank: true,
            scope: ["3".to_owned()].into(),
            media: ["1230".to_owned()].into(),
        };
        change(&mut vehicle, wall);
        let rows = vec![
            Row::Vehicle(Arc::new(vehicle)),
            Row::Person(Arc::new(person("driver", PersonKind::Driver, Some((Skill::HazmatDriver, year)), year))),
            Row::Person(Arc::new(person("escort", PersonKind::Escort, Some((Skill::HazmatEscort, year)), year))),
            Row::Permit(Arc::new(permit(
                &format!("P-{plate}"),
                PermitKind::Hazmat,
                Holder::Vehicle(yellow(plate)),
                wall,
                Some(1),
            ))),
        ];
        self.put(rows);
        let company = |name: &str| CompanyId::new(name);
        let goods = Goods {
            un: 1230,
            name: "甲醇".into(),
            class: HazardClass::C3,
            subsidiary: [HazardClass::C61].into(),
            packing_group: Some(PackingGroup::II),
            quantity: 30_000.0,
            unit: Unit::Kilogram,
            mass_kg: None,
            portion: Portion::Full,
            packages: 0,
            fire_group: None,
            natures: None,
        };
        let waybill = Waybill {
            number: WaybillNo::new(waybill),
            state: WaybillState::InTransit,
            purpose: Purpose::Deliver,
            carrier: company("carrier"),
            consignor: company("consignor"),
            loader: company("loader"),
            consignee: company("consignee"),
            driver: PersonRef::new("driver"),
            escort: Some(PersonRef::new("escort")),
            tractor: yellow(plate),
            trailer: None,
            goods: vec![goods],
            waste: false,
            manifest: None,
            route: None,
            not_before: None,
            not_after: None,
        };
        let now = self.now();
        self.gates.handle_hazmat(|hazmat| hazmat.handle_waybill(waybill, "story", now), now).unwrap();
        self.drain();
    }

    pub(crate) fn car(&mut self, plate: &str) {
        let wall = self.now().wall;
        let vehicle = Vehicle {
            plate: yellow(plate),
            class: VehicleClass::Small,
            company: None,
            papers: BTreeMap::new(),
            gross_max_kg: None,
            tank: false,
            scope: BTreeSet::new(),
            media: BTreeSet::new(),
        };
        let permit = permit(&format!("P-{plate}"), PermitKind::Vehicle, Holder::Vehicle(yellow(plate)), wall, None);
        self.put(vec![Row::Vehicle(Arc::new(vehicle)), Row::Permit(Arc::new(permit))]);
    }

    pub(crate) fn visitor(&mut self, name: &str) {
        let wall = self.now().wall;
        let year = wall.after(365 * DAY);
        let holder = Holder::Person(PersonRef::new(name));
        let permit = permit(&format!("P-{name}"), PermitKind::Person, holder, wall, Some(1));
        self.put(vec![
            Row::Person(Arc::new(person(name, PersonKind::Visitor, None, year))),
            Row::Permit(Arc::new(permit)),
        ]);
    }

    pub(crate) fn block(&mut self, plate: &str) {
        let from = self.now().wall;
        let listing = Listing {
            id: ListingId::new(format!("B-{plate}")),
            kind: ListKind::Block,
            holder: Holder::Vehicle(yellow(plate)),
            source: ListSource::Park,
            from,
            until: None,
            reason: "屡次违停".into(),
        };
        self.put(vec![Row::Listing(Arc::new(listing))]);
    }
}

fn yellow(text: &str) -> Plate {
    Plate::new(text, PlateColour::Yellow)
}

fn card(person: &str) -> Credential {
    Credential::Card { digest: format!("digest of {person}") }
}

fn supervisor() -> Actor {
    use parkgate::domain::actor::{Role, Via};
    Actor { name: "zhao".into(), via: Via::Machine, roles: Role::ALL.into() }
}

fn person(name: &str, kind: PersonKind, skill: Option<(Skill, Timestamp)>, trained: Timestamp) -> Person {
    let held = |(skill, until)| (skill, Qualification { until, classes: BTreeSet::new() });
    Person {
        person: PersonRef::new(name),
        kind,
        company: None,
        credentials: [(CredentialKey(card(name)), None)].into(),
        skills: skill.map(held).into_iter().collect(),
        training_until: Some(trained),
        left: None,
    }
}

fn permit(id: &str, kind: PermitKind, holder: Holder, from: Timestamp, uses: Option<u32>) -> Permit {
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

fn vehicles(id: &str, gate: &str, class: GateClass, flow: Flow, classes: &[VehicleClass]) -> LaneSpec {
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
        scale: false,
        button_confirms: false,
        conduct: BTreeMap::new(),
        timing: Timing::default(),
        service: Service::InService,
    }
}

fn door(id: &str, gate: &str) -> LaneSpec {
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
