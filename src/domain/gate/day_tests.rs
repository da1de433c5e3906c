//! A day at a real park's scale in virtual time, at the two gateways of one park: 1,200 vehicles' passages, 180 trucks with
//! dangerous goods among them, a shift of people, an outage of the line between the gateways over midday, a camera that was
//! offline, a gateway that is killed, a drill with its muster. In the evening the account closes to the last vehicle.
//!
//! `cargo test --release a_day_at_a_real_park -- --nocapture` prints it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::desk::{self, Answer, Ask, Asked, Desk};
use super::inside::tests::{Gate, rules, truck, zone};
use super::inside::{Late, Rules, Step, Stock, Stocks, Who, passage::Outcome, reconcile::Item};
use super::muster::{self, Begin as BeginMuster, MusterAction, Musters};
use super::verdict::{Reason, Verdict};
use super::word::{Direction, GatewayId, LaneId, LaneKind, PersonRef, VehicleClass};
use crate::domain::actor::{Actor, Role, Via};
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::record::Mode;
use crate::domain::time::Timestamp;

/// Trucks with dangerous goods, other vehicles, and people on foot: each comes once and leaves once.
const HAZMAT: usize = 180;
const OTHERS: usize = 420;
const PEOPLE: usize = 800;
/// Opening stock, counted and signed at midnight: (persons, works vehicles).
const STOCK: (u32, u32) = (40, 12);
const HOUR: u64 = 3600;
/// The line between the gateways is down.
const CUT: std::ops::Range<u64> = 11 * HOUR..14 * HOUR;
/// The camera of the west gate's exit is offline.
const BLIND: std::ops::Range<u64> = 15 * HOUR..16 * HOUR;

/// Something that happens, at its second of the day, at one of the gates.
struct Happens {
    at: u64,
    east: bool,
    way: Direction,
    who: Who,
    hazmat: bool,
    n: usize,
}

fn lead() -> Actor {
    Actor { name: "周总值班".into(), via: Via::Page, roles: [Role::Supervisor, Role::Guard].into() }
}

/// The day, made by arithmetic: nothing in it is left to chance, and no two runs differ.
fn the_day() -> Vec<Happens> {
    let mut day = Vec::new();
    let mut both = |n: usize, from: u64, span: u64, stay: u64, who: Who, hazmat: bool| {
        let mixed = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let comes = from + mixed % span;
        let leaves = comes + stay / 2 + (mixed >> 13) % stay;
        for (way, at, east) in
            [(Direction::In, comes, !mixed.is_multiple_of(3)), (Direction::Out, leaves, (mixed >> 7).is_multiple_of(2))]
        {
            // Dangerous goods have their own gate, in the east.
            day.push(Happens { at, east: east || hazmat, way, who: who.clone(), hazmat, n });
        }
    };
    for n in 0..HAZMAT {
        both(n, 6 * HOUR, 11 * HOUR, 3 * HOUR, truck(&format!("鲁H{n:05}"), VehicleClass::Hazmat), true);
    }
    let classes = [VehicleClass::Goods, VehicleClass::Small, VehicleClass::Bus];
    for n in HAZMAT..HAZMAT + OTHERS {
        let class = if n % 20 == 3 { VehicleClass::HazWaste } else { classes[n % 3] };
        let who = truck(&format!("鲁K{n:05}"), class);
        // Every third comes without names: one unidentified person in it.
        let who = if n % 3 == 0 { Who { persons: vec![], unidentified: 1, ..who } } else { who };
        both(n, 5 * HOUR, 13 * HOUR, 2 * HOUR, who, false);
    }
    for n in HAZMAT + OTHERS..HAZMAT + OTHERS + PEOPLE {
        let who = Who { persons: vec![PersonRef::new(format!("staff-{n}"))], ..Who::default() };
        both(n, 6 * HOUR, 3 * HOUR, 8 * HOUR, who, false);
    }
    day.sort_by_key(|one| (one.at, one.n, one.way));
    day
}

struct Park {
    east: Gate,
    west: Gate,
    desk: Desk,
    musters: Musters,
    fed: usize,
    /// What the west gate's exit camera kept while it was offline.
    kept: Vec<super::inside::Begin>,
    second: u64,
    lines: String,
    tickets: [u32; 3],
    drill_documents: usize,
}

impl Park {
    fn open() -> Self {
        let rules = |peer: &str| Rules { peers: [GatewayId::new(peer)].into(), ..rules() };
        let (east, west) = (Gate::new("east", rules("west")), Gate::new("west", rules("east")));
        let desk_rules = desk::Rules::default();
        Self {
            east,
            west,
            desk: Desk::new(1, desk_rules),
            musters: Musters::new(1),
            fed: 0,
            kept: vec![],
            second: 0,
            lines: String::new(),
            tickets: [0; 3],
            drill_documents: 0,
        }
    }

    fn say(&mut self, line: &str) {
        let (h, m) = (self.second / HOUR, self.second / 60 % 60);
        writeln!(self.lines, "{h:02}:{m:02}  {line}").unwrap();
    }

    /// Goes on to a second of the day. The gateways talk each minute, unless the line is cut.
    fn until(&mut self, second: u64) {
        while self.second < second {
            let step = (second - self.second).min(60 - self.second % 60);
            self.east.wait(step);
            self.west.wait(step);
            self.second += step;
            if self.second.is_multiple_of(60) && !CUT.contains(&self.second) {
                self.talk();
            }
            while self.desk.poll_timeout().is_some_and(|due| due <= self.east.now().mono) {
                self.desk.handle_timeout(self.east.now());
            }
        }
        self.feed();
    }

    fn talk(&mut self) {
        self.east.send(&mut self.west);
        self.west.send(&mut self.east);
        let (east, west) = (GatewayId::new("east"), GatewayId::new("west"));
        let (to_east, to_west) = (self.east.now(), self.west.now());
        self.east.inside.heard(west, to_east);
        self.west.inside.heard(east, to_west);
    }

    /// The musters of the east gateway, which the duty room looks at.
    fn feed(&mut self) {
        for event in self.east.stored.iter().skip(self.fed) {
            self.musters.handle_event(event, &self.east.inside, self.east.now());
        }
        self.fed = self.east.stored.len();
        while let Some(output) = self.musters.poll_output() {
            if let muster::Output::Document(document) = output {
                assert_eq!(document.mode, Mode::Drill, "it is a drill");
                self.drill_documents += 1;
            }
        }
    }

    fn happen(&mut self, one: &Happens) {
        self.until(one.at);
        let gate = if one.east { &mut self.east } else { &mut self.west };
        let mut begin = gate.begin(one.way, one.who.clone());
        if one.who.vehicle.is_some() {
            let number = (one.n * 2 + usize::from(one.way == Direction::Out)) as u64;
            begin.camera = Some(CameraEvent { serial: format!("cam-{}", gate.name), number });
            if one.way == Direction::Out {
                // Nobody says who is in it when it leaves.
                (begin.who.persons, begin.who.unidentified, begin.occupants_unknown) = (vec![], 0, true);
            }
        }
        if !one.east && one.way == Direction::Out && begin.camera.is_some() && BLIND.contains(&one.at) {
            begin.device_time = Some(Timestamp(gate.wall));
            self.kept.push(begin);
            return;
        }
        // A read comes again while it is being worked on.
        let again = one.n.is_multiple_of(17).then(|| begin.clone());
        if one.hazmat && one.way == Direction::In && one.n.is_multiple_of(9) {
            self.refer(begin, one.n);
        } else {
            self.turn_back_first(one, &begin);
            let gate = if one.east { &mut self.east } else { &mut self.west };
            gate.pass(begin);
        }
        let gate = if one.east { &mut self.east } else { &mut self.west };
        if let Some(again) = again.filter(|again| again.camera.is_some()) {
            gate.inside.begin(again, gate.now()).unwrap_err();
        }
    }

    /// Every thirtieth vehicle turns back first, and comes again.
    fn turn_back_first(&mut self, one: &Happens, begin: &super::inside::Begin) {
        if one.n % 30 != 7 || one.who.vehicle.is_none() {
            return;
        }
        let gate = if one.east { &mut self.east } else { &mut self.west };
        let id = gate.inside.passage_id();
        let first = super::inside::Begin { passage: id.clone(), camera: None, ..begin.clone() };
        gate.inside.begin(first, gate.now()).unwrap();
        gate.decide(&id, Verdict::Allow);
        gate.inside.step(&id, Step::Ended(Outcome::TurnedBack), gate.now()).unwrap();
        gate.drain();
    }

    /// A truck that a person has to look at: most are answered at once, some by the duty room after the guard's time.
    fn refer(&mut self, begin: super::inside::Begin, n: usize) {
        let id = begin.passage.clone();
        let reason = Reason {
            code: "PLATE_UNREADABLE".into(),
            verdict: Verdict::Refer,
            zh: "号牌不清".into(),
            en: "plate".into(),
            policy: None,
        };
        let ask = Ask {
            lane: begin.lane.clone(),
            lane_kind: LaneKind::Vehicle,
            direction: begin.direction,
            kind: Ask::kind_of(Verdict::Refer, std::slice::from_ref(&reason)).unwrap(),
            passage: Some(id.clone()),
            decision: None,
            reasons: vec![reason],
            subject: None,
            company: None,
        };
        self.east.inside.begin(begin, self.east.now()).unwrap();
        self.east.decide(&id, Verdict::Refer);
        let Asked::Ticket(ticket) = self.desk.ask(ask, self.east.now()) else { panic!("a vehicle is asked about") };
        self.tickets[0] += 1;
        if n.is_multiple_of(27) {
            // It takes longer than one turn.
            self.until(self.second + 75);
            self.tickets[1] += 1;
        }
        self.desk.answer(&ticket, Answer::Pass, &lead(), "人工核对号牌", self.east.now()).unwrap();
        let answer =
            super::inside::passage::Answered {
                actor: lead(), verdict: Verdict::Allow, reason: "人工核对号牌".into()
            };
        self.east.inside.step(&id, Step::Answered(answer), self.east.now()).unwrap();
        self.east.inside.step(&id, Step::Completed, self.east.now()).unwrap();
        self.east.drain();
        while let Some(output) = self.desk.poll_output() {
            self.tickets[2] += u32::from(matches!(output, desk::Output::Answered(_)));
        }
    }

    fn zones(&self, gate: &Gate) -> Stocks {
        gate.inside.stocks(&zone("park"))
    }
}

/// How many of each stock are inside after `second`, by the plainest arithmetic.
fn truth(day: &[Happens], second: u64) -> (i64, BTreeMap<VehicleClass, i64>) {
    let mut persons = i64::from(STOCK.0);
    let mut vehicles: BTreeMap<VehicleClass, i64> = [(VehicleClass::Works, i64::from(STOCK.1))].into();
    for one in day.iter().filter(|one| one.at <= second) {
        let sign = if one.way == Direction::In { 1 } else { -1 };
        persons += sign * i64::try_from(one.who.persons.len() + usize::from(one.who.unidentified)).unwrap();
        if let Some(vehicle) = &one.who.vehicle {
            *vehicles.entry(vehicle.class).or_default() += sign;
        }
    }
    vehicles.retain(|_, n| *n > 0);
    (persons, vehicles)
}

fn assert_true(park: &Park, day: &[Happens], second: u64) {
    let (persons, vehicles) = truth(day, second);
    for gate in [&park.east, &park.west] {
        let stocks = park.zones(gate);
        let known: BTreeMap<VehicleClass, i64> =
            stocks.vehicles.iter().map(|(class, n)| (*class, i64::from(*n))).collect();
        assert_eq!((i64::from(stocks.persons), known), (persons, vehicles.clone()), "{} at {second}", gate.name);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a day has an order, and is read from top to bottom")]
fn a_day_at_a_real_park_closes_to_the_last_vehicle() {
    let day = the_day();
    let vehicles = day.iter().filter(|one| one.who.vehicle.is_some()).count();
    assert_eq!((vehicles, day.iter().filter(|one| one.hazmat).count()), (1_200, 360));
    let mut park = Park::open();
    let zones = [
        (zone("park"), Stocks { persons: STOCK.0, vehicles: [(VehicleClass::Works, STOCK.1)].into() }),
        (zone("tanks"), Stocks::default()),
    ]
    .into();
    park.east.act(super::inside::InsideAction::Count {
        zones, list: None, reason: "零点盘点，周总值班签字".into()
    });
    park.talk();
    let mut at = day.iter().peekable();
    let mut go = |park: &mut Park, second: u64| {
        while let Some(one) = at.next_if(|one| one.at <= second) {
            park.happen(one);
        }
        park.until(second.max(park.second));
    };

    go(&mut park, CUT.start - 60);
    park.talk();
    assert_true(&park, &day, CUT.start - 60);
    let inside = park.zones(&park.east);
    park.say(&format!("line between the gateways cut; inside {} persons, {:?}", inside.persons, inside.vehicles));
    go(&mut park, CUT.start + HOUR);
    assert_ne!(park.east.known(), park.west.known(), "each knows its own");
    assert_eq!(park.west.inside.peers_heard(park.west.now().mono), Some(false));
    // The west gateway is killed in the cut, and is back after 40 s.
    park.west.restart(40, Rules { peers: [GatewayId::new("east")].into(), ..rules() });
    park.say("gateway west killed, back after 40 s");
    // The restart moved its clock by 40 s; the day goes on by it.
    park.west.wall -= 40_000;
    go(&mut park, CUT.end);
    park.talk();
    assert_eq!(park.east.known(), park.west.known(), "after the cut both know the same");
    assert_true(&park, &day, CUT.end);
    park.say("line is back: both gateways know the same, and it is the truth");

    // 14:30: a drill. Who is on foot leaves or checks in; the duty room has the list.
    go(&mut park, 14 * HOUR + 1800);
    park.talk();
    park.feed();
    let begin = BeginMuster { zone: zone("park"), episode: "drill-1".into(), drill: true };
    let muster = park.musters.begin(begin, &lead(), &park.east.inside, park.east.now()).unwrap();
    let listed = park.musters.roll(&muster).unwrap().numbers();
    assert_eq!(i64::from(listed.listed), truth(&day, 14 * HOUR + 1800).0, "everybody inside is on the list");
    go(&mut park, 14 * HOUR + 2700);
    let rows: Vec<_> = park
        .musters
        .roll(&muster)
        .unwrap()
        .in_order()
        .iter()
        .map(|row| (row.n, row.who.clone(), row.state.clone()))
        .collect();
    for (n, who, state) in rows.into_iter().filter(|(_, _, state)| *state == muster::RowState::Unaccounted) {
        let action = match who {
            muster::Occupant::Person(person) if n % 40 != 0 => {
                MusterAction::CheckIn { person, point: "1号集合点".into() }
            }
            muster::Occupant::Person(_) | muster::Occupant::Unidentified => {
                MusterAction::Account { row: n, reason: "安全员点名".into() }
            }
        };
        assert_eq!(state, muster::RowState::Unaccounted);
        park.musters.act(&muster, action, &lead(), park.east.now()).unwrap();
    }
    let (numbers, figures) =
        (park.musters.roll(&muster).unwrap().numbers(), park.musters.roll(&muster).unwrap().figures());
    assert_eq!((numbers.unaccounted, figures.missing, numbers.safe), (0, 0, numbers.listed));
    assert!(figures.first_out_at.is_some());
    park.musters.act(&muster, MusterAction::End { reason: "演练结束".into() }, &lead(), park.east.now()).unwrap();
    park.feed();
    park.say(&format!("drill: {} on the list, all accounted for", numbers.listed));

    go(&mut park, 18 * HOUR);
    assert!(park.kept.len() > 5, "the camera kept {} records", park.kept.len());
    let kept = std::mem::take(&mut park.kept);
    for begin in kept.iter().rev() {
        assert_eq!(park.west.inside.late(begin.clone(), park.west.now()), Late::Entered);
        assert!(matches!(park.west.inside.late(begin.clone(), park.west.now()), Late::Known(_)), "sent twice");
    }
    park.west.drain();
    park.talk();
    assert_true(&park, &day, 18 * HOUR);
    park.say(&format!("{} records of the camera that was offline entered at their own times", kept.len()));

    go(&mut park, 24 * HOUR);
    park.talk();
    assert_true(&park, &day, 24 * HOUR);
    assert_eq!(park.east.known(), park.west.known());
    let from = Timestamp(super::inside::tests::DAY);
    let closed = park.east.inside.reconcile(from, Timestamp(park.east.wall), park.east.now());
    let sum = |way: &str| {
        closed
            .passages
            .iter()
            .filter(|(name, _)| name.starts_with(way) && !name.ends_with("person") && !name.ends_with("occupants"))
            .map(|(_, n)| n)
            .sum::<u64>()
    };
    assert_eq!((sum("in."), sum("out.")), (600, 600), "{:?}", closed.passages);
    assert_eq!((closed.passages["in.hazmat"], closed.passages["out.hazmat"]), (180, 180));
    assert_eq!((closed.passages["in.person"], closed.passages["out.person"]), (800, 800));
    let stocks = park.zones(&park.east);
    assert_eq!(
        (stocks.persons, stocks.vehicles),
        (STOCK.0, [(VehicleClass::Works, STOCK.1)].into()),
        "what was there at midnight is there"
    );
    let bad = |item: &&Item| !matches!(item, Item::Late { .. } | Item::Resent { .. });
    assert_eq!(closed.items.iter().filter(bad).collect::<Vec<_>>(), Vec::<&Item>::new(), "nothing is left to clear up");
    assert_eq!(park.tickets[0], park.tickets[2], "every ticket was answered");
    assert_eq!(park.desk.open().count(), 0);
    assert_eq!(park.east.inside.account().count(&zone("park"), Stock::Persons).1, 0);
    assert!(park.drill_documents > 10);
    let line = format!(
        "in {} out {} vehicles ({} / {} hazmat), {} tickets ({} passed on), inside {} persons and {} works vehicles: as at midnight",
        sum("in."),
        sum("out."),
        closed.passages["in.hazmat"],
        closed.passages["out.hazmat"],
        park.tickets[0],
        park.tickets[1],
        STOCK.0,
        STOCK.1
    );
    park.say(&line);
    assert_eq!(LaneId::new("east-in"), park.east.begin(Direction::In, Who::default()).lane);
    println!("{}", park.lines);
}
