//! What happens at the gates, one story each.

use super::*;
use crate::domain::gate::inside::event::{Body, Loose, Violation, ViolationKind};

fn gate() -> Gate {
    let mut gate = Gate::new("east", rules());
    gate.sign(0, 0);
    gate
}

const IN: Direction = Direction::In;
const OUT: Direction = Direction::Out;
const HAZMAT: VehicleClass = VehicleClass::Hazmat;

#[test]
fn only_a_completed_passage_counts() {
    let mut gate = gate();
    let begin = gate.begin(IN, truck("鲁A11111", HAZMAT));
    let id = begin.passage.clone();
    gate.inside.begin(begin, gate.now()).unwrap();
    gate.decide(&id, Verdict::Allow);
    assert_eq!((gate.hazmat(), gate.count(Stock::Persons)), (0, 0), "decided is not inside");
    gate.inside.step(&id, Step::Passing, gate.now()).unwrap();
    gate.inside.step(&id, Step::Completed, gate.now()).unwrap();
    assert_eq!((gate.hazmat(), gate.count(Stock::Persons)), (1, 2));
    assert_eq!(gate.inside.step(&id, Step::Completed, gate.now()), Err(NotTaken::Over), "once");
    gate.drain();
    let versions: Vec<_> = gate.documents.iter().filter(|(kind, _)| *kind == DocumentKind::Passage).collect();
    assert!(versions.iter().all(|(_, passage)| passage["passage"] == id.as_str()));
    assert_eq!(versions.iter().map(|(_, passage)| passage["version"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(versions.last().unwrap().1["direction_code"], 2, "the city's 2 is in");
    assert_eq!(versions.last().unwrap().1["kind_code"], 3);
}

#[test]
fn what_was_let_through_and_does_not_come_has_not_entered_unless_it_comes_after_all() {
    let mut gate = gate();
    let begin = gate.begin(IN, truck("鲁A11111", HAZMAT));
    let id = begin.passage.clone();
    gate.inside.begin(begin, gate.now()).unwrap();
    gate.decide(&id, Verdict::Allow);
    gate.wait(31);
    let ended = gate.inside.passages().find(|passage| passage.passage == id).unwrap();
    assert_eq!(ended.outcome, Some(Outcome::NotEntered));
    assert_eq!(gate.hazmat(), 0);
    gate.inside.step(&id, Step::Completed, gate.now()).unwrap();
    assert_eq!(gate.hazmat(), 1, "what the loops saw outranks what was expected");
}

#[test]
fn a_camera_that_sends_an_event_four_times_makes_one_passage() {
    let mut gate = gate();
    let mut first = gate.begin(IN, truck("鲁A11111", HAZMAT));
    first.camera = camera(7);
    let id = gate.pass(first);
    for _ in 0..4 {
        let mut again = gate.begin(IN, truck("鲁A11111", HAZMAT));
        again.camera = camera(7);
        assert_eq!(gate.inside.begin(again, gate.now()), Err(NotTaken::Duplicate(id.clone())));
    }
    assert_eq!(gate.hazmat(), 1);
    gate.restart(5, rules());
    let mut again = gate.begin(IN, truck("鲁A11111", HAZMAT));
    again.camera = camera(7);
    assert_eq!(gate.inside.begin(again, gate.now()), Err(NotTaken::Duplicate(id)), "also after a restart");
    let day = gate.inside.reconcile(Timestamp(DAY), Timestamp(DAY + 86_400_000), gate.now());
    assert_eq!(day.numbers["resent"], 1, "named in the account of the day: {:?}", day.items);
}

#[test]
fn two_hundred_records_of_a_camera_that_was_offline_for_three_hours_take_their_own_places() {
    let mut gate = gate();
    let mut twin = Gate::new("east", rules());
    twin.sign(0, 0);
    // The gateway with the lost camera sees the exits only; its twin sees everything in time.
    let mut kept = Vec::new();
    for n in 0..200u64 {
        let text = format!("鲁B{n:05}");
        for one in [&mut gate, &mut twin] {
            one.wait(54);
        }
        let mut begin = twin.begin(IN, truck(&text, HAZMAT));
        (begin.camera, begin.device_time) = (camera(n), Some(Timestamp(gate.wall)));
        kept.push(Begin { passage: gate.inside.passage_id(), ..begin.clone() });
        twin.pass(begin);
        if n % 2 == 1 {
            gate.drive(OUT, &text, HAZMAT);
            twin.drive(OUT, &text, HAZMAT);
        }
    }
    assert_eq!((gate.hazmat(), twin.hazmat()), (0, 100), "a hundred exits of what was never seen to come in");
    assert!(gate.facts.iter().any(|fact| fact.fault == InsideFault::Negative && fact.active), "and that is told");
    // The records come newest first, twice.
    for begin in kept.iter().rev() {
        assert_eq!(gate.inside.late(begin.clone(), gate.now()), Late::Entered);
        assert!(matches!(gate.inside.late(begin.clone(), gate.now()), Late::Known(_)));
    }
    gate.drain();
    assert_eq!(gate.hazmat(), 100, "as if every record had come in time");
    let told = |gate: &Gate| {
        gate.inside.account().line().values().filter_map(|e| e.crossed()).map(|c| c.late).filter(|late| *late).count()
    };
    assert_eq!((told(&gate), told(&twin)), (200, 0));
    assert!(
        gate.facts
            .iter()
            .rev()
            .find(|fact| fact.fault == InsideFault::Negative && fact.subject == "hazmat")
            .is_some_and(|fact| !fact.active)
    );
    let late = |(kind, passage): &&(DocumentKind, serde_json::Value)| {
        *kind == DocumentKind::Passage && passage["late"] == true && passage["offline"] == true
    };
    assert_eq!(gate.documents.iter().filter(late).count(), 200);
    let day = gate.inside.reconcile(Timestamp(DAY), Timestamp(gate.wall + 1), gate.now());
    assert_eq!((day.passages["in.hazmat"], day.passages["out.hazmat"], day.passages["late"]), (200, 100, 200));
}

#[test]
fn a_late_record_without_a_time_that_can_be_believed_is_listed_and_not_counted() {
    let mut gate = gate();
    for at in [None, Some(Timestamp(0)), Some(Timestamp(DAY + 86_400_000))] {
        let mut begin = gate.begin(IN, truck("鲁A11111", HAZMAT));
        begin.device_time = at;
        assert_eq!(gate.inside.late(begin, gate.now()), Late::Undated);
    }
    assert_eq!(gate.hazmat(), 0);
    gate.wait(60);
    let day = gate.inside.reconcile(Timestamp(DAY), Timestamp(gate.wall), gate.now());
    assert_eq!(day.numbers["undated"], 3);
}

#[test]
fn an_exit_without_an_entry_leaves_zero_is_told_and_a_signed_count_ends_it() {
    let mut gate = gate();
    gate.drive(OUT, "鲁A11111", HAZMAT);
    assert_eq!((gate.hazmat(), gate.count(Stock::Persons)), (0, 0));
    assert!(gate.facts.iter().any(|fact| fact.fault == InsideFault::Negative && fact.active));
    gate.wait(1);
    let day = gate.inside.reconcile(Timestamp(DAY), Timestamp(gate.wall), gate.now());
    assert_eq!((day.numbers["out_without_in"], day.numbers["negative"]), (1, 2));
    gate.wait(5);
    gate.sign(57, 12);
    assert_eq!((gate.hazmat(), gate.count(Stock::Persons)), (12, 57), "the opening stock is what was signed");
    assert!(gate.facts.iter().rev().find(|fact| fact.fault == InsideFault::Negative).is_some_and(|fact| !fact.active));
    gate.drive(OUT, "鲁C00001", HAZMAT);
    assert_eq!((gate.hazmat(), gate.count(Stock::Persons)), (11, 56), "one of the stock left");
}

#[test]
fn a_correction_needs_who_and_why_and_is_an_event_that_can_be_taken_back() {
    let mut gate = gate();
    let correct = |reason: &str| InsideAction::Correct {
        zone: zone("tanks"),
        stock: Stock::Persons,
        by: 3,
        subject: None,
        reason: reason.into(),
    };
    assert!(gate.inside.act(correct("  "), &lead(), gate.now()).is_err(), "why?");
    let guard = Actor { name: "王".into(), via: Via::Page, roles: [Role::Guard].into() };
    assert!(gate.inside.act(correct("盘点"), &guard, gate.now()).is_err(), "who?");
    let id = gate.act(correct("视频核对"));
    assert_eq!(gate.count(Stock::Persons), 3, "the zones around are corrected with it");
    gate.act(InsideAction::Void { event: id.clone(), reason: "数错了".into() });
    assert_eq!(gate.count(Stock::Persons), 0);
    assert!(gate.inside.act(InsideAction::Void { event: id, reason: "again".into() }, &lead(), gate.now()).is_err());
    let recorded = |word: &str| {
        gate.documents.iter().any(|(kind, json)| {
            *kind == DocumentKind::Inside
                && json["event"]["body"]["what"] == word
                && json["event"]["body"]["actor"]["name"] == "李班长"
        })
    };
    assert!(recorded("corrected") && recorded("void") && recorded("counted"));
}

#[test]
fn zones_nest_and_a_gate_between_them_moves_nobody_out_of_the_park() {
    let rules = rules();
    assert_eq!(border(&rules, None, Some("tanks")).enters, [zone("tanks"), zone("park")]);
    let mut gate = gate();
    gate.walk(IN, "p-1");
    let mut inner = gate.begin(IN, Who { persons: vec![PersonRef::new("p-1")], ..Who::default() });
    inner.crossing = border(&rules, Some("park"), Some("tanks"));
    gate.pass(inner);
    let persons =
        |gate: &Gate| ["park", "tanks"].map(|name| gate.inside.account().count(&zone(name), Stock::Persons).0);
    assert_eq!(persons(&gate), [1, 1]);
    let mut leaves = gate.begin(OUT, Who { persons: vec![PersonRef::new("p-1")], ..Who::default() });
    leaves.crossing = border(&rules, Some("tanks"), Some("park"));
    gate.pass(leaves);
    assert_eq!(persons(&gate), [1, 0]);
    gate.walk(OUT, "p-1");
    assert_eq!(persons(&gate), [0, 0]);
}

#[test]
fn who_came_in_a_vehicle_and_walked_out_is_not_counted_out_again_with_it() {
    let mut gate = gate();
    gate.drive(IN, "鲁A11111", HAZMAT);
    assert_eq!(gate.count(Stock::Persons), 2);
    gate.walk(OUT, "鲁A11111-escort");
    gate.drive(OUT, "鲁A11111", HAZMAT);
    assert_eq!((gate.hazmat(), gate.count(Stock::Persons)), (0, 0));
    assert!(!gate.facts.iter().any(|fact| fact.fault == InsideFault::Negative), "{:?}", gate.facts);
    // Nobody known by name: one unidentified driver in, one out.
    let mut begin = gate.begin(IN, Who { persons: vec![], ..truck("鲁A22222", VehicleClass::Goods) });
    begin.occupants_unknown = true;
    gate.pass(begin);
    assert_eq!(gate.count(Stock::Persons), 1);
    gate.drive(OUT, "鲁A22222", VehicleClass::Small);
    assert_eq!(gate.count(Stock::Persons), 0);
    assert_eq!(gate.count(Stock::Vehicles(VehicleClass::Goods)), 0, "it goes out as what it was counted in as");
}

#[test]
fn who_left_in_a_truck_is_settled_when_its_entry_at_the_other_gate_is_heard_of() {
    let (mut east, mut west) = (Gate::new("east", rules()), Gate::new("west", rules()));
    east.sign(0, 0);
    east.send(&mut west);
    // The line is cut: in by the east gate, out by the west gate, which has never heard of it.
    east.drive(IN, "鲁A11111", HAZMAT);
    for gate in [&mut east, &mut west] {
        gate.wait(3600);
    }
    west.drive(OUT, "鲁A11111", HAZMAT);
    assert_eq!(west.stored.last().unwrap().crossed().unwrap().heads(), 1, "somebody must have driven it");
    for _ in 0..2 {
        east.send(&mut west);
        west.send(&mut east);
    }
    assert_eq!(east.known(), west.known());
    assert_eq!((east.hazmat(), east.count(Stock::Persons)), (0, 0), "driver and escort left with it");
    assert!(east.inside.conflicts().is_empty(), "it is no conflict: {:?}", east.inside.conflicts());
    // The camera at the door was offline: the escort had walked out before.
    let mut late = west.begin(OUT, Who { persons: vec![PersonRef::new("鲁A11111-escort")], ..Who::default() });
    late.device_time = Some(Timestamp(west.wall - 600_000));
    assert_eq!(west.inside.late(late, west.now()), Late::Entered);
    west.drain();
    assert_eq!(west.count(Stock::Persons), 0);
    let negative =
        west.facts.iter().rev().find(|fact| fact.fault == InsideFault::Negative && fact.subject == "persons");
    assert!(negative.is_none_or(|fact| !fact.active), "nobody left twice");
}

#[test]
fn after_a_gap_nobody_claims_to_know_who_is_inside_until_he_is_seen() {
    let mut gate = gate();
    let inside = |gate: &Gate, name: &str, way, hazmat| {
        gate.inside.passback(&person(name), &zone("park"), way, hazmat, false, gate.now().mono)
    };
    gate.wait(1);
    gate.act(InsideAction::Count {
        zones: [(zone("park"), Stocks::default())].into(),
        list: Some([(zone("park"), BTreeSet::new())].into()),
        reason: "空园".into(),
    });
    gate.walk(IN, "p-1");
    let hard = AntiPassback::Hard;
    assert_eq!(inside(&gate, "p-1", IN, false), facts::Passback { inside: Some(true), setting: hard });
    assert_eq!(inside(&gate, "p-2", IN, false), facts::Passback { inside: Some(false), setting: hard });
    gate.restart(20, rules());
    assert_eq!(inside(&gate, "p-1", IN, false).inside, Some(true), "a short restart leaves no gap");
    assert!(gate.inside.inside_known());
    gate.restart(900, rules());
    assert!(!gate.inside.inside_known());
    let unknown = |setting| facts::Passback { inside: None, setting };
    assert_eq!(inside(&gate, "p-1", IN, false), unknown(AntiPassback::Soft), "told, and let in");
    assert_eq!(inside(&gate, "p-1", IN, true), unknown(hard), "dangerous goods wait for a person");
    assert_eq!(inside(&gate, "p-1", OUT, true), unknown(AntiPassback::Soft), "nobody is kept in by it");
    gate.walk(OUT, "p-1");
    assert_eq!(inside(&gate, "p-1", IN, false), facts::Passback { inside: Some(false), setting: hard }, "seen again");
    gate.trust = ClockTrust::Unsynced;
    gate.restart(1, rules());
    assert_eq!(inside(&gate, "p-1", IN, false).inside, None, "of unknown length is a gap");
    let emergency = gate.inside.passback(&person("p-1"), &zone("park"), IN, true, true, gate.now().mono);
    assert_eq!(emergency.setting, AntiPassback::Off);
}

#[test]
fn with_a_clock_of_1970_what_comes_later_still_counts_later() {
    let mut gate = gate();
    gate.wait(3600);
    gate.drive(IN, "鲁A11111", HAZMAT);
    gate.wall = 0;
    gate.trust = ClockTrust::Unsynced;
    gate.restart(0, rules());
    gate.wait(60);
    gate.drive(OUT, "鲁A11111", HAZMAT);
    assert_eq!((gate.hazmat(), gate.count(Stock::Persons)), (0, 0));
    assert!(gate.inside.account().place(&vehicle("鲁A11111")).unwrap().zones.is_empty());
    assert!(!gate.facts.iter().any(|fact| fact.fault == InsideFault::Negative));
}

#[test]
fn a_restart_under_way_leaves_the_passage_in_doubt_on_the_list_until_a_person_clears_it_up() {
    let mut gate = gate();
    let begin = gate.begin(IN, truck("鲁A11111", HAZMAT));
    let id = begin.passage.clone();
    gate.inside.begin(begin, gate.now()).unwrap();
    gate.decide(&id, Verdict::Allow);
    gate.inside.step(&id, Step::Passing, gate.now()).unwrap();
    gate.drain();
    gate.restart(20, rules());
    assert_eq!(gate.hazmat(), 0);
    let ends = |gate: &Gate| {
        let of = gate
            .documents
            .iter()
            .filter(|(kind, json)| *kind == DocumentKind::Passage && json["passage"] == id.as_str());
        of.filter(|(_, json)| json["phase"] == "completed" || json["phase"] == "ended").count()
    };
    assert_eq!(ends(&gate), 1, "it has one end");
    assert!(gate.facts.iter().any(|fact| fact.fault == InsideFault::InDoubt && fact.active));
    gate.wait(1);
    let open = |gate: &mut Gate| {
        let day = gate.inside.reconcile(Timestamp(DAY), Timestamp(gate.wall), gate.now());
        day.items.into_iter().find_map(|item| {
            if let reconcile::Item::Loose { event, kind, .. } = item { Some((event, kind)) } else { None }
        })
    };
    let (event, kind) = open(&mut gate).unwrap();
    assert_eq!(kind, "in_doubt");
    gate.act(InsideAction::Settle { event, crossed: false, reason: "录像：未进".into() });
    assert_eq!((open(&mut gate), gate.hazmat()), (None, 0));
    let last = gate.documents.iter().rev().find(|(kind, _)| *kind == DocumentKind::Passage).unwrap();
    assert_eq!((last.1["passage"].as_str(), last.1["outcome"].as_str()), (Some(id.as_str()), Some("not_entered")));
    assert!(gate.facts.last().is_some_and(|fact| fact.fault == InsideFault::InDoubt && !fact.active));
    gate.restart(20, rules());
    assert_eq!(ends(&gate), 2, "in doubt, and what a person knew then; no third one");
    assert_eq!(open(&mut gate), None);
}

#[test]
fn a_passage_in_doubt_that_a_person_says_has_crossed_counts_once_from_the_moment_of_the_doubt() {
    let mut gate = gate();
    let doubtful = |gate: &mut Gate, plate: &str| {
        let begin = gate.begin(IN, truck(plate, HAZMAT));
        let id = begin.passage.clone();
        gate.inside.begin(begin, gate.now()).unwrap();
        gate.decide(&id, Verdict::Allow);
        gate.inside.step(&id, Step::Passing, gate.now()).unwrap();
        gate.drain();
        gate.restart(20, rules());
        let is = |event: &&Event| matches!(&event.body, Body::Loose(Loose::InDoubt { passage, .. }) if *passage == id);
        gate.stored.iter().rev().find(is).unwrap().id.clone()
    };
    let event = doubtful(&mut gate, "鲁A11111");
    gate.wait(3_600);
    let settle = InsideAction::Settle { event, crossed: true, reason: "录像：已进".into() };
    gate.act(settle.clone());
    assert_eq!(gate.hazmat(), 1);
    assert!(gate.inside.act(settle, &lead(), gate.now()).is_err(), "it is in doubt no more");
    // What was counted between the doubt and the word of a person has it already.
    let event = doubtful(&mut gate, "鲁A22222");
    gate.wait(60);
    gate.sign(4, 2);
    gate.act(InsideAction::Settle { event, crossed: true, reason: "录像：已进".into() });
    assert_eq!((gate.hazmat(), gate.count(Stock::Persons)), (2, 4));
}

#[test]
fn tailgating_counts_the_follower_and_three_violations_in_thirty_days_are_for_a_person() {
    let mut gate = gate();
    let leader = gate.drive(IN, "鲁A11111", HAZMAT);
    for n in 0..3 {
        assert_eq!(gate.inside.reviews().count(), 0);
        let follower = gate.begin(IN, truck("鲁A99999", VehicleClass::Small));
        gate.inside.unauthorised(follower, Some(leader.clone()), gate.now()).unwrap();
        gate.drain();
        assert_eq!(gate.count(Stock::Vehicles(VehicleClass::Small)), 1);
        gate.wait(60);
        gate.drive(OUT, "鲁A99999", VehicleClass::Small);
        gate.wait(if n == 0 { 86_400 * 2 } else { 60 });
    }
    assert_eq!(gate.inside.reviews().collect::<Vec<_>>(), [&vehicle("鲁A99999")]);
    assert!(gate.facts.iter().any(|fact| fact.fault == InsideFault::Review && fact.active));
    gate.act(InsideAction::Review { subject: vehicle("鲁A99999"), reason: "列入黑名单".into() });
    assert_eq!(gate.inside.reviews().count(), 0);
    let one = Violation { subject: Some(vehicle("鲁A99999")), kind: ViolationKind::Speeding, passage: None };
    gate.inside.violated(one, gate.now());
    assert_eq!(gate.inside.reviews().count(), 0, "counted anew");
    let tail = gate.stored.iter().filter(|event| {
        matches!(&event.body, Body::Violated(violation) if violation.kind == ViolationKind::Tailgate && violation.passage.is_some())
    });
    assert_eq!(tail.count(), 3);
}

#[test]
fn an_overstay_is_told_at_its_limit_again_while_it_lasts_and_ends_with_the_exit() {
    let mut gate = gate();
    gate.drive(IN, "鲁A11111", HAZMAT);
    let told = |gate: &Gate, active| {
        gate.facts.iter().filter(|fact| fact.fault == InsideFault::Overstay && fact.active == active).count()
    };
    gate.wait(6 * 3600 - 1);
    assert_eq!(told(&gate, true), 0);
    gate.wait(2);
    assert_eq!(told(&gate, true), 1);
    gate.restart(60, rules());
    assert_eq!(told(&gate, true), 1, "a restart does not tell it anew");
    gate.wait(3600);
    assert_eq!(told(&gate, true), 3, "every half hour");
    gate.wait(1);
    let day = gate.inside.reconcile(Timestamp(DAY), Timestamp(gate.wall), gate.now());
    assert_eq!(day.numbers["in_without_out"], 1);
    gate.drive(OUT, "鲁A11111", HAZMAT);
    assert_eq!(told(&gate, false), 1);
    gate.wait(7200);
    assert_eq!(told(&gate, true), 3);
}

#[test]
fn more_than_may_be_inside_is_told_once_and_its_end_too() {
    let mut gate = gate();
    let rules = rules();
    let go = |gate: &mut Gate, way, n: u32, from: Option<&str>, to: Option<&str>| {
        let mut begin =
            gate.begin(way, Who { unidentified: 1, persons: vec![PersonRef::new(format!("p-{n}"))], ..Who::default() });
        begin.crossing = border(&rules, from, to);
        gate.pass(begin);
    };
    (0..6).for_each(|n| go(&mut gate, IN, n, None, Some("tanks")));
    let facts = |gate: &Gate| {
        gate.facts
            .iter()
            .filter(|fact| fact.fault == InsideFault::OverCapacity)
            .map(|fact| fact.active)
            .collect::<Vec<_>>()
    };
    assert_eq!(facts(&gate), [true], "12 where 9 may be");
    let zone_facts = gate.inside.zone_facts(&zone("tanks"), None, 2).unwrap();
    assert_eq!((zone_facts.persons, zone_facts.persons_max, zone_facts.gas_level), (12, Some(9), 2));
    (0..2).for_each(|n| go(&mut gate, OUT, n, Some("tanks"), None));
    assert_eq!(facts(&gate), [true, false]);
}

#[test]
fn two_gateways_that_were_cut_off_know_the_same_afterwards_and_show_what_cannot_be() {
    let rules = |peer: &str| Rules { peers: [GatewayId::new(peer)].into(), ..rules() };
    let (mut east, mut west) = (Gate::new("east", rules("west")), Gate::new("west", rules("east")));
    east.sign(0, 0);
    east.send(&mut west);
    let heard = |gate: &mut Gate, peer: &str| gate.inside.heard(GatewayId::new(peer), gate.now());
    heard(&mut east, "west");
    heard(&mut west, "east");
    assert_eq!(west.inside.peers_heard(west.now().mono), Some(true));
    east.drive(IN, "鲁A11111", HAZMAT);
    east.send(&mut west);
    // The cut: the truck leaves by the west gate, comes in there again, and its twin plate by the east gate.
    for gate in [&mut east, &mut west] {
        gate.wait(120);
    }
    assert_eq!(west.inside.peers_heard(west.now().mono), Some(false));
    assert_eq!(
        west.inside.inside_of(&vehicle("鲁A11111"), &zone("park"), west.now().mono),
        None,
        "who can say, cut off?"
    );
    west.drive(OUT, "鲁A11111", HAZMAT);
    for gate in [&mut east, &mut west] {
        gate.wait(60);
    }
    let out = west.drive(IN, "鲁A11111", HAZMAT);
    east.wait(10);
    east.drive(IN, "鲁A11111", HAZMAT);
    // One camera serves both: its event came in at both.
    for gate in [&mut east, &mut west] {
        let mut begin = gate.begin(IN, truck("鲁D00001", HAZMAT));
        begin.camera = camera(99);
        gate.pass(begin);
    }
    assert_ne!(east.known(), west.known());
    east.send(&mut west);
    west.send(&mut east);
    assert_eq!(east.known(), west.known());
    assert_eq!(east.hazmat(), 3, "the twin plate twice, and the one that two gateways saw once");
    assert!(matches!(east.inside.conflicts().first(), Some(Conflict::SameRead { .. })));
    assert!(west.facts.iter().any(|fact| fact.fault == InsideFault::Conflict && fact.active));
    east.wait(1);
    let day = east.inside.reconcile(Timestamp(DAY), Timestamp(east.wall), east.now());
    let twice = |item: &&reconcile::Item| matches!(item, reconcile::Item::InTwice { subject: Subject::Vehicle(_), passage, .. } if *passage != out);
    assert_eq!(day.items.iter().filter(twice).count(), 1, "{:?}", day.items);
    let event = east.inside.conflicts().first().unwrap().event();
    east.act(InsideAction::Settle { event, crossed: false, reason: "一台相机推两网关，已核对".into() });
    east.send(&mut west);
    assert!(east.inside.conflicts().is_empty() && west.inside.conflicts().is_empty(), "settled at both");
    let told = west.facts.iter().rev().find(|fact| fact.fault == InsideFault::Conflict);
    assert!(told.is_some_and(|fact| !fact.active));
    // What came from the other is stored here too.
    west.restart(5, rules("east"));
    assert_eq!(east.known(), west.known());
}

#[test]
fn an_event_that_is_changed_on_both_sides_of_a_cut_is_the_same_everywhere_and_is_shown() {
    let (mut east, mut west) = (Gate::new("east", rules()), Gate::new("west", rules()));
    east.sign(10, 4);
    let id = east.act(InsideAction::Correct {
        zone: zone("park"),
        stock: Stock::Persons,
        by: 2,
        subject: None,
        reason: "漏计".into(),
    });
    east.send(&mut west);
    for gate in [&mut east, &mut west] {
        let reason = format!("{} 撤销", gate.name);
        gate.act(InsideAction::Void { event: id.clone(), reason });
    }
    west.send(&mut east);
    east.send(&mut west);
    assert_eq!(east.known(), west.known());
    assert_eq!(east.count(Stock::Persons), 10);
    assert!(matches!(east.inside.conflicts().first(), Some(Conflict::TwoVersions { version: 2, .. })));
}

#[test]
fn the_oldest_events_become_a_stock_and_nothing_else_changes() {
    let few = || Rules { max_events: 40, ..rules() };
    let (mut bounded, mut whole) = (Gate::new("east", few()), Gate::new("east", rules()));
    for gate in [&mut bounded, &mut whole] {
        gate.sign(5, 3);
        for n in 0..300u32 {
            gate.wait(30);
            let text = format!("鲁E{:05}", n % 70);
            gate.drive(
                if n / 70 % 2 == 0 { IN } else { OUT },
                &text,
                if n % 3 == 0 { HAZMAT } else { VehicleClass::Goods },
            );
        }
        gate.drain();
    }
    assert_eq!(bounded.inside.account().line().len(), 40);
    let inside = |gate: &Gate| {
        let zones = |(subject, place): (&Subject, &Place)| {
            (!place.zones.is_empty()).then(|| (subject.clone(), place.zones.clone()))
        };
        (gate.known().0, gate.inside.account().places().filter_map(zones).collect::<BTreeMap<_, _>>())
    };
    assert_eq!(inside(&bounded), inside(&whole));
    bounded.restart(5, few());
    assert!(bounded.stored.len() < 60, "what is folded need not be stored any longer: {}", bounded.stored.len());
    assert_eq!(inside(&bounded), inside(&whole), "also over a restart");
    // What a peer kept of that time comes too late to be counted, and is shown.
    let old = whole.stored[3].clone();
    let stranger = Event { source: Source { gateway: GatewayId::new("west"), boot: 1 }, ..old };
    let stranger = Event { id: EventId { source: stranger.source.clone(), n: stranger.seq }, ..stranger };
    bounded.inside.merge([stranger.clone(), stranger], bounded.now());
    assert_eq!(inside(&bounded).0, inside(&whole).0);
    assert_eq!(bounded.inside.conflicts().len(), 1);
}

#[test]
fn weights_and_cards_that_other_rooms_find_are_on_the_list_of_the_day() {
    let mut gate = gate();
    let passage = gate.drive(IN, "鲁A11111", HAZMAT);
    gate.inside.loose(Loose::Card { passage: passage.clone(), terminal: TerminalId::new("T-7") }, gate.now());
    let weight = Loose::Weight { passage, plate: Some(plate("鲁A11111")), declared_kg: 20_000, weighed_kg: 17_500 };
    gate.inside.loose(weight, gate.now());
    gate.wait(1);
    let day = gate.inside.reconcile(Timestamp(DAY), Timestamp(gate.wall), gate.now());
    assert_eq!((day.numbers["card"], day.numbers["weight"]), (1, 1));
    gate.drain();
    let (kind, json) = gate.documents.last().unwrap();
    assert_eq!(*kind, DocumentKind::Inside);
    let back: reconcile::Reconciliation = serde_json::from_value(json["reconciliation"].clone()).unwrap();
    assert_eq!(back, day);
}

#[test]
fn a_forged_or_foolish_count_is_refused() {
    let mut gate = gate();
    let count = |zones, list| InsideAction::Count { zones, list, reason: "盘点".into() };
    let stocks = |persons| Stocks { persons, ..Stocks::default() };
    for action in [
        count(BTreeMap::new(), None),
        count([(zone("moon"), stocks(1))].into(), None),
        count([(zone("park"), stocks(1_000_000))].into(), None),
        count([(zone("park"), stocks(0))].into(), Some([(zone("park"), [person("p-1")].into())].into())),
        InsideAction::Void {
            event: EventId { source: Source { gateway: GatewayId::new("x"), boot: 1 }, n: 1 },
            reason: "x".into(),
        },
    ] {
        assert!(gate.inside.act(action.clone(), &lead(), gate.now()).is_err(), "{action:?}");
    }
}
