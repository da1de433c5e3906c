//! Musters: scenario 20 and what goes wrong around it; and what holds after any sequence of steps.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::print::{Contact, Sheet, html, text};
use super::*;
use crate::domain::actor::Via;
use crate::domain::gate::inside::tests::{Gate, person, plate, rules, truck, vehicle, zone};
use crate::domain::gate::inside::{InsideAction, Stock, Stocks, Who};
use crate::domain::gate::word::{Direction, PassageId, VehicleClass};
use crate::domain::time::ClockTrust;

const IN: Direction = Direction::In;
const OUT: Direction = Direction::Out;

/// The gates and the musters, joined as the application joins them.
struct Park {
    gate: Gate,
    musters: Musters,
    fed: usize,
    documents: Vec<(Mode, serde_json::Value)>,
    facts: Vec<MusterFact>,
}

fn warden() -> Actor {
    Actor { name: "赵安全".into(), via: Via::Page, roles: [Role::Guard, Role::Supervisor].into() }
}

impl Park {
    fn new() -> Self {
        let mut gate = Gate::new("east", rules());
        gate.sign(0, 0);
        let mut park = Self { gate, musters: Musters::new(1), fed: 0, documents: vec![], facts: vec![] };
        park.feed();
        park
    }

    fn feed(&mut self) {
        for event in self.gate.stored.iter().skip(self.fed) {
            self.musters.handle_event(event, &self.gate.inside, self.gate.now());
        }
        self.fed = self.gate.stored.len();
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.musters.poll_output() {
            match output {
                Output::Document(document) => {
                    self.documents.push((document.mode, serde_json::from_str(&document.json).unwrap()));
                }
                Output::Fact(fact) => self.facts.push(fact),
            }
        }
    }

    fn begin(&mut self, drill: bool) -> String {
        let begin = Begin { zone: zone("park"), episode: "ep-1".into(), drill };
        let id = self.musters.begin(begin, &warden(), &self.gate.inside, self.gate.now()).unwrap();
        self.drain();
        id
    }

    fn walk(&mut self, way: Direction, name: &str) -> PassageId {
        let id = self.gate.walk(way, name);
        self.feed();
        id
    }

    fn act(&mut self, id: &str, action: MusterAction) -> Result<(), Refused> {
        let done = self.musters.act(id, action, &warden(), self.gate.now());
        self.drain();
        done
    }

    fn check_in(&mut self, id: &str, name: &str) {
        self.act(id, MusterAction::CheckIn { person: PersonRef::new(name), point: "1号集合点".into() }).unwrap();
    }

    fn numbers(&self, id: &str) -> Numbers {
        self.musters.roll(id).unwrap().numbers()
    }

    fn restart(&mut self, off: u64) {
        let saved = serde_json::to_string(&self.musters.saved()).unwrap();
        self.gate.restart(off, rules());
        let saved: Saved = serde_json::from_str(&saved).unwrap();
        self.musters = Musters::restore(self.gate.boot, saved, &self.gate.inside, self.gate.now());
        self.feed();
    }

    fn print(&self, id: &str) -> (String, String) {
        let who = |person: &PersonRef| {
            (person.as_str() == "p-55").then(|| Contact {
                name: "钱<五五>".into(),
                company: "甲公司".into(),
                phone: "13800000055".into(),
            })
        };
        let sheet = Sheet { park: "临港化工园区", offset_min: 480, at: Timestamp(self.gate.wall), who: &who };
        let roll = self.musters.roll(id).unwrap();
        (text(roll, &sheet), html(roll, &sheet))
    }
}

#[test]
fn of_fifty_seven_inside_fifty_leave_five_check_in_and_two_are_named_with_last_gate_and_time() {
    let mut park = Park::new();
    for n in 0..57 {
        park.gate.wait(30);
        park.walk(IN, &format!("p-{n}"));
    }
    let id = park.begin(false);
    assert_eq!(park.numbers(&id).listed, 57);
    for n in 0..50 {
        park.gate.wait(3);
        park.walk(OUT, &format!("p-{n}"));
    }
    park.restart(20);
    (50..55).for_each(|n| park.check_in(&id, &format!("p-{n}")));
    let numbers = park.numbers(&id);
    assert_eq!((numbers.listed, numbers.safe, numbers.unaccounted), (57, 55, 2));
    let (page, web) = park.print(&id);
    let open: Vec<&str> = page.lines().filter(|line| line.contains("UNACCOUNTED")).collect();
    assert_eq!(
        open,
        [
            "52 | 钱<五五> | 甲公司 | 13800000055 | park | gate-east/east-in | 2026-11-26 08:28:00 | 未到 UNACCOUNTED",
            "53 | p-56 |  |  | park | gate-east/east-in | 2026-11-26 08:28:30 | 未到 UNACCOUNTED",
        ]
    );
    assert!(page.contains("应到 listed 57    安全 safe 55    未到 unaccounted 2"));
    let first = page.lines().position(|line| line.contains("UNACCOUNTED")).unwrap();
    assert!(page.lines().skip(first + 2).all(|line| line.contains("安全")), "those who are looked for stand first");
    assert!(web.contains("钱&lt;五五&gt;") && !web.contains("<五五>") && web.matches("class=\"open\"").count() == 2);
    assert!(!web.contains("http"), "it needs nothing from anywhere");
    for row in [51, 52] {
        assert!(park.act(&id, MusterAction::Account { row, reason: " ".into() }).is_err(), "how is it known?");
        park.act(&id, MusterAction::Account { row, reason: "泵房找到".into() }).unwrap();
    }
    assert!(park.facts.last().is_some_and(|fact| !fact.active && fact.what == MusterFault::Unaccounted(0)));
    park.act(&id, MusterAction::End { reason: "全部安全".into() }).unwrap();
    let (mode, ended) = park.documents.last().unwrap();
    assert_eq!((*mode, &ended["what"], &ended["numbers"]["safe"]), (Mode::Real, &"ended".into(), &57.into()));
    assert_eq!(park.musters.running().count(), 0);
}

#[test]
fn everybody_in_a_vehicle_is_on_the_list_and_as_many_unidentified_as_the_count_has_more() {
    let mut park = Park::new();
    park.gate.wait(1);
    park.gate.sign(9, 2);
    park.gate.drive(IN, "鲁A11111", VehicleClass::Hazmat);
    let mut begin =
        park.gate.begin(IN, Who { persons: vec![], unidentified: 3, ..truck("鲁A22222", VehicleClass::Bus) });
    begin.gate = crate::domain::gate::word::GateId::new("gate-bus");
    park.gate.pass(begin);
    park.feed();
    let id = park.begin(false);
    let numbers = park.numbers(&id);
    assert_eq!((numbers.listed, numbers.unidentified), (14, 12), "9 counted, 2 with names, 3 in the bus");
    let bus = |park: &Park| {
        park.musters
            .roll(&id)
            .unwrap()
            .rows
            .iter()
            .filter(|row| row.with == Some(plate("鲁A22222")) && row.state == RowState::Unaccounted)
            .count()
    };
    assert_eq!(bus(&park), 3);
    park.gate.wait(1);
    // The bus leaves with two of its three; one stranger leaves unread.
    let bus_out = Who { persons: vec![], unidentified: 2, ..truck("鲁A22222", VehicleClass::Bus) };
    for who in [bus_out, Who { unidentified: 1, ..Who::default() }] {
        let begin = park.gate.begin(OUT, who);
        park.gate.pass(begin);
    }
    park.feed();
    let numbers = park.numbers(&id);
    assert_eq!((bus(&park), numbers.safe, numbers.unread_out), (1, 2, 1), "who left unread accounts for nobody");
    park.restart(20);
    assert_eq!(park.numbers(&id), numbers, "nobody is counted twice");
    assert!(park.print(&id).0.contains("未刷卡离开"));
}

#[test]
fn who_goes_in_again_is_unaccounted_for_again_and_rescue_is_kept_apart() {
    let mut park = Park::new();
    park.walk(IN, "p-1");
    park.gate.wait(5);
    let id = park.begin(false);
    park.gate.wait(5);
    park.walk(OUT, "p-1");
    assert_eq!(park.numbers(&id).unaccounted, 0);
    assert_eq!(park.musters.poll_timeout(), None);
    park.gate.wait(5);
    park.walk(IN, "p-1");
    assert_eq!(park.numbers(&id).unaccounted, 1, "he went back");
    assert!(park.facts.last().unwrap().active);
    park.walk(IN, "fire-1");
    assert_eq!((park.numbers(&id).listed, park.numbers(&id).after), (1, 1));
    park.gate.wait(5);
    park.walk(OUT, "fire-1");
    assert_eq!(park.numbers(&id).after, 0);
    park.check_in(&id, "p-9");
    assert_eq!(park.musters.roll(&id).unwrap().strangers.len(), 1, "checked in, and on no list");
}

#[test]
fn late_records_and_corrections_reach_the_list_and_it_is_said_again_until_all_are_found() {
    let mut park = Park::new();
    park.walk(IN, "p-1");
    park.walk(IN, "p-2");
    park.gate.wait(600);
    let id = park.begin(false);
    // Before T0 somebody came in past a camera that was offline, and p-1 had left.
    let late = |park: &mut Park, way, name: &str, ago: i64| {
        let mut begin = park.gate.begin(way, Who { persons: vec![PersonRef::new(name)], ..Who::default() });
        begin.device_time = Some(Timestamp(park.gate.wall - ago * 1000));
        park.gate.inside.late(begin, park.gate.now());
        park.gate.drain();
        park.feed();
    };
    late(&mut park, IN, "p-3", 300);
    late(&mut park, OUT, "p-1", 200);
    let numbers = park.numbers(&id);
    assert_eq!((numbers.listed, numbers.safe), (3, 1));
    assert!(park.musters.roll(&id).unwrap().rows[2].added);
    let said = |park: &Park| park.facts.iter().filter(|fact| fact.active).count();
    let before = said(&park);
    let due = park.musters.poll_timeout().unwrap();
    park.gate.wait(due.since(park.gate.now().mono).as_secs() + 1);
    park.musters.handle_timeout(park.gate.now());
    park.drain();
    assert_eq!(said(&park), before + 1, "said again after {REMIND:?}");
    let correct = |subject| InsideAction::Correct {
        zone: zone("park"),
        stock: Stock::Persons,
        by: -1,
        subject: Some(subject),
        reason: "录像：已离开".into(),
    };
    park.gate.act(correct(person("p-3")));
    park.feed();
    assert_eq!(park.numbers(&id).unaccounted, 1);
    // An exit that was somebody else's is taken back: he is looked for again.
    let event = {
        park.gate.wait(1);
        park.walk(OUT, "p-2");
        park.gate.stored.last().unwrap().id.clone()
    };
    assert_eq!(park.numbers(&id).unaccounted, 0);
    park.gate.act(InsideAction::Void { event, reason: "他人持卡".into() });
    let voided = park.gate.stored.last().unwrap().clone();
    assert!(voided.subjects().is_empty());
    park.feed();
    assert_eq!(park.numbers(&id).unaccounted, 1, "his card, not he");
}

#[test]
fn a_call_for_help_stands_first_and_puts_who_calls_on_the_list() {
    let mut park = Park::new();
    for name in ["p-1", "p-2"] {
        park.walk(IN, name);
    }
    let id = park.begin(false);
    let at = Timestamp(park.gate.wall);
    let sos = |name: &str, on| Tracked::Sos { person: PersonRef::new(name), on, at };
    let position = Position { place: "2#泵房 一层".into(), at };
    park.musters.handle_tracked(&Tracked::Position { person: PersonRef::new("p-2"), position }, park.gate.now());
    park.musters.handle_tracked(&sos("p-2", true), park.gate.now());
    park.musters.handle_tracked(&sos("p-7", true), park.gate.now());
    park.drain();
    let roll = park.musters.roll(&id).unwrap();
    assert_eq!(roll.in_order().iter().map(|row| row.n).collect::<Vec<_>>(), [2, 1, 0]);
    assert_eq!(roll.numbers().listed, 3);
    assert!(park.facts.iter().any(|fact| fact.what == MusterFault::Sos(1) && fact.zh.contains("2#泵房")));
    assert!(park.print(&id).0.contains("2#泵房 一层"));
    park.musters.handle_tracked(&sos("p-2", false), park.gate.now());
    park.drain();
    assert!(park.facts.last().is_some_and(|fact| !fact.active));
    park.act(&id, MusterAction::End { reason: "移交消防".into() }).unwrap();
    let open: Vec<_> = park
        .facts
        .iter()
        .fold(BTreeMap::new(), |mut last, fact| {
            let key = match fact.what {
                MusterFault::Sos(n) => n,
                MusterFault::Unaccounted(_) => 999,
            };
            last.insert(key, fact.active);
            last
        })
        .into_iter()
        .filter(|(_, active)| *active)
        .collect();
    assert_eq!(open, [], "what was told is taken back at the end");
}

#[test]
fn a_drill_is_a_drill_in_every_document_and_a_real_event_ends_it() {
    let mut park = Park::new();
    park.walk(IN, "p-1");
    let drill = park.begin(true);
    park.gate.wait(20);
    park.walk(OUT, "p-1");
    let figures = park.musters.roll(&drill).unwrap().figures();
    assert_eq!((figures.first_out_at, figures.missing), (figures.last_out_at, 0));
    assert!(figures.first_out_at.is_some());
    assert!(park.print(&drill).0.contains("【演练】"));
    assert!(park.documents.iter().all(|(mode, _)| *mode == Mode::Drill), "kept apart from real ones");
    park.walk(IN, "p-2");
    let real = park.begin(false);
    assert_ne!(real, drill);
    assert!(park.musters.roll(&drill).is_none());
    assert!(park.documents.iter().any(|(mode, json)| *mode == Mode::Drill && json["what"] == "ended"));
    let again = Begin { zone: zone("park"), episode: "ep-2".into(), drill: true };
    assert!(park.musters.begin(again, &warden(), &park.gate.inside, park.gate.now()).is_err());
    assert_eq!(park.begin(false), real, "one muster of a zone");
}

#[test]
fn who_may_not_does_not_and_nobody_acts_without_a_name() {
    let mut park = Park::new();
    park.walk(IN, "p-1");
    let id = park.begin(false);
    let auditor = Actor { name: "审".into(), via: Via::Page, roles: [Role::Auditor].into() };
    let nameless = Actor { name: " ".into(), ..warden() };
    let guard = Actor { roles: [Role::Guard].into(), ..warden() };
    let account = || MusterAction::Account { row: 0, reason: "见到本人".into() };
    for (actor, action) in [
        (&auditor, account()),
        (&nameless, account()),
        (&guard, MusterAction::End { reason: "完".into() }),
        (&guard, MusterAction::Account { row: 7, reason: "谁".into() }),
    ] {
        assert!(park.musters.act(&id, action.clone(), actor, park.gate.now()).is_err(), "{action:?}");
    }
    park.musters.act(&id, account(), &guard, park.gate.now()).unwrap();
    park.act(&id, MusterAction::TakeBack { row: 0, reason: "认错人".into() }).unwrap();
    let row = &park.musters.roll(&id).unwrap().rows[0];
    assert_eq!((&row.state, row.taken_back.len()), (&RowState::Unaccounted, 1));
}

#[derive(Clone, Debug)]
enum Act {
    Walk(Direction, u8),
    Drive(Direction, u8, u16),
    Late(Direction, u8, u16),
    CheckIn(u8),
    Account(u32),
    TakeBack(u32),
    Sos(u8, bool),
    Correct(u8, bool),
    Begin(bool),
    End,
    Wait(u16),
    Restart,
    Fed(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let way = || select(vec![IN, OUT]);
    prop_oneof![
        8 => (way(), 0..15u8).prop_map(|(way, n)| Act::Walk(way, n)),
        4 => (way(), 0..4u8, 0..4u16).prop_map(|(way, n, more)| Act::Drive(way, n, more)),
        2 => (way(), 0..15u8, 1..900u16).prop_map(|(way, n, ago)| Act::Late(way, n, ago)),
        3 => (0..20u8).prop_map(Act::CheckIn),
        2 => (0..30u32).prop_map(Act::Account),
        1 => (0..30u32).prop_map(Act::TakeBack),
        1 => (0..20u8, any::<bool>()).prop_map(|(n, on)| Act::Sos(n, on)),
        1 => (0..15u8, any::<bool>()).prop_map(|(n, up)| Act::Correct(n, up)),
        2 => any::<bool>().prop_map(Act::Begin),
        1 => Just(Act::End),
        4 => (0..400u16).prop_map(Act::Wait),
        1 => Just(Act::Restart),
        2 => (0..500usize).prop_map(Act::Fed),
    ]
}

fn take(park: &mut Park, act: &Act) {
    let id = park.musters.running().next().map(|roll| roll.muster.clone()).unwrap_or_default();
    let name = |n: u8| format!("p-{n}");
    match act {
        Act::Walk(way, n) => drop(park.walk(*way, &name(*n))),
        Act::Drive(way, n, more) => {
            let who = Who { unidentified: *more, ..truck(&format!("鲁M{n:05}"), VehicleClass::Goods) };
            let begin = park.gate.begin(*way, who);
            park.gate.pass(begin);
        }
        Act::Late(way, n, ago) => {
            let mut begin = park
                .gate
                .begin(*way, Who { persons: vec![PersonRef::new(name(*n))], unidentified: 1, ..Who::default() });
            begin.device_time = Some(Timestamp(park.gate.wall - i64::from(*ago) * 1000));
            park.gate.inside.late(begin, park.gate.now());
            park.gate.drain();
        }
        Act::CheckIn(n) => {
            drop(park.act(&id, MusterAction::CheckIn { person: PersonRef::new(name(*n)), point: "A".into() }))
        }
        Act::Account(row) => drop(park.act(&id, MusterAction::Account { row: *row, reason: "x".into() })),
        Act::TakeBack(row) => drop(park.act(&id, MusterAction::TakeBack { row: *row, reason: "x".into() })),
        Act::Sos(n, on) => {
            let at = Timestamp(park.gate.wall);
            park.musters
                .handle_tracked(&Tracked::Sos { person: PersonRef::new(name(*n)), on: *on, at }, park.gate.now());
        }
        Act::Correct(n, up) => {
            let (zone, stock, reason) = (zone("park"), Stock::Persons, "x".into());
            let subject = Some(person(&name(*n)));
            park.gate.act(InsideAction::Correct { zone, stock, by: if *up { 1 } else { -1 }, subject, reason });
        }
        Act::Begin(drill) => {
            let begin = Begin { zone: zone("park"), episode: "e".into(), drill: *drill };
            drop(park.musters.begin(begin, &warden(), &park.gate.inside, park.gate.now()));
        }
        Act::End => drop(park.act(&id, MusterAction::End { reason: "x".into() })),
        Act::Wait(secs) => {
            park.gate.wait(u64::from(*secs));
            park.musters.handle_timeout(park.gate.now());
        }
        Act::Restart => park.restart(20),
        Act::Fed(n) => {
            // The same event again changes nothing that is settled by names.
            if let Some(event) = park.gate.stored.get(*n).cloned() {
                park.musters.handle_event(&event, &park.gate.inside, park.gate.now());
            }
        }
    }
    park.feed();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 260, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn safe_and_unaccounted_are_the_list_and_nobody_leaves_it(acts in prop::collection::vec(act(), 400)) {
        let mut park = Park::new();
        let mut lists: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for act in &acts {
            take(&mut park, act);
            for roll in park.musters.running() {
                let numbers = roll.numbers();
                prop_assert_eq!(numbers.safe + numbers.unaccounted, numbers.listed);
                prop_assert_eq!(numbers.listed as usize, roll.rows.len());
                let before = lists.get(&roll.muster).map(Vec::as_slice).unwrap_or_default();
                prop_assert!(before.iter().zip(&roll.rows).all(|(old, new)| (old.n, &old.who) == (new.n, &new.who)));
                prop_assert!(before.len() <= roll.rows.len(), "nobody leaves the list");
                let added = roll.rows.iter().skip(before.len());
                prop_assert!(before.is_empty() || added.clone().all(|row| row.added), "what is added says so");
                // Whoever the account has inside, and who is not known to be safe otherwise, is on the list or came after.
                for subject in park.gate.inside.account().places().filter(|(_, place)| !place.zones.is_empty()).map(|(subject, _)| subject) {
                    if let crate::domain::gate::inside::Subject::Person(person) = subject {
                        let row = roll.rows.iter().find(|row| row.who == Occupant::Person(person.clone()));
                        prop_assert!(row.is_some() || roll.after.contains_key(person), "{} is forgotten", person);
                        let exit = row.is_some_and(|row| matches!(row.state, RowState::Safe { how: How::Exit { .. }, .. }));
                        prop_assert!(!exit, "{} is inside, and was said to have left", person);
                    }
                }
                lists.insert(roll.muster.clone(), roll.rows.clone());
            }
            let real = park.musters.running().any(|roll| !roll.drill);
            prop_assert!(!real || park.musters.running().all(|roll| !roll.drill), "no drill beside a real one");
        }
    }
}

#[test]
fn a_list_of_thousands_is_frozen_and_told_in_parts() {
    let mut park = Park::new();
    park.gate.wait(1);
    park.gate.act(InsideAction::Count {
        zones: [(zone("park"), Stocks { persons: 30_000, ..Stocks::default() })].into(),
        list: None,
        reason: "盘点".into(),
    });
    park.feed();
    let id = park.begin(false);
    let numbers = park.numbers(&id);
    assert_eq!((numbers.listed, numbers.unaccounted, numbers.unidentified), (30_000, 30_000, 30_000));
    let roll = park.musters.roll(&id).unwrap();
    assert_eq!((roll.rows.len(), roll.uncounted), (roll::MAX_ROWS, 10_000));
    assert_eq!(park.documents.len(), 1 + roll::MAX_ROWS / PART);
    assert_eq!(park.gate.trust, ClockTrust::Synced);
    assert!(Duration::from_secs(60) < REMIND);
    assert!(park.gate.inside.account().place(&vehicle("鲁A11111")).is_none());
}
