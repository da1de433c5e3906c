//! What holds after any sequence of steps at two gateways: more than 10⁵ random ones, with restarts, crashes between store and
//! memory, late records, cuts, duplicates.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::gate::inside::event::Body;

#[derive(Clone, Debug)]
enum Act {
    Begin(Direction, u8, VehicleClass, Option<u64>),
    Walk(Direction, u8),
    Decide(Verdict),
    Passing,
    Complete,
    End,
    Pass(Direction, u8, VehicleClass, Option<u64>),
    Late(Direction, u8, u32, Option<u64>),
    Follow(Direction, u8),
    Correct(i32),
    Count(u32),
    Void(usize),
    Send,
    SendTwiceBackwards,
    Wait(u32),
    Restart(u16),
    Crash,
    Unsynced(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let way = || select(vec![Direction::In, Direction::Out]);
    let class = || select(vec![VehicleClass::Hazmat, VehicleClass::Goods, VehicleClass::Small]);
    let camera = || prop::option::weighted(0.7, 0..400u64);
    prop_oneof![
        6 => (way(), 0..12u8, class(), camera()).prop_map(|(w, n, c, e)| Act::Begin(w, n, c, e)),
        4 => (way(), 0..12u8).prop_map(|(w, n)| Act::Walk(w, n)),
        6 => select(vec![Verdict::Allow, Verdict::Allow, Verdict::Refer, Verdict::Deny]).prop_map(Act::Decide),
        4 => Just(Act::Passing),
        6 => Just(Act::Complete),
        2 => Just(Act::End),
        8 => (way(), 0..12u8, class(), camera()).prop_map(|(w, n, c, e)| Act::Pass(w, n, c, e)),
        4 => (way(), 0..12u8, 0..20_000u32, camera()).prop_map(|(w, n, s, e)| Act::Late(w, n, s, e)),
        1 => (way(), 0..12u8).prop_map(|(w, n)| Act::Follow(w, n)),
        2 => (-3..4i32).prop_map(Act::Correct),
        1 => (0..30u32).prop_map(Act::Count),
        1 => (0..1_000usize).prop_map(Act::Void),
        2 => Just(Act::Send),
        1 => Just(Act::SendTwiceBackwards),
        6 => select(vec![0u32, 1, 20, 40, 600, 7_300]).prop_map(Act::Wait),
        1 => select(vec![0u16, 30, 900]).prop_map(Act::Restart),
        1 => Just(Act::Crash),
        1 => any::<bool>().prop_map(Act::Unsynced),
    ]
}

/// What is to be looked at beside the gateway itself.
#[derive(Default)]
struct Seen {
    begun: BTreeSet<PassageId>,
    open: Option<PassageId>,
}

#[expect(clippy::too_many_lines, reason = "one arm per kind of step")]
fn take(gate: &mut Gate, peer: &mut Gate, seen: &mut Seen, act: &Act) {
    let event = |n: &Option<u64>| n.map(|number| CameraEvent { serial: "cam".into(), number });
    let who = |n: u8, class| truck(&format!("鲁P{n:05}"), class);
    let (documents, saved) = (gate.documents.len(), gate.saved.clone());
    match act {
        Act::Begin(way, n, class, camera) => {
            let mut begin = gate.begin(*way, who(*n, *class));
            begin.camera = event(camera);
            start(gate, seen, begin);
        }
        Act::Walk(way, n) => {
            let begin = gate.begin(*way, Who { persons: vec![PersonRef::new(format!("p-{n}"))], ..Who::default() });
            start(gate, seen, begin);
        }
        Act::Pass(way, n, class, camera) => {
            let mut begin = gate.begin(*way, who(*n, *class));
            begin.camera = event(camera);
            if *way == Direction::Out && n % 3 != 0 {
                // Nobody says who is in it.
                begin.who.persons.clear();
                begin.occupants_unknown = true;
            }
            if start(gate, seen, begin) {
                step(gate, seen, Step::Passing);
                step(gate, seen, Step::Completed);
            }
        }
        Act::Decide(verdict) => {
            let decided = Decided { verdict: *verdict, reasons: vec![], links: Default::default() };
            step(gate, seen, Step::Decided(decided));
        }
        Act::Passing => step(gate, seen, Step::Passing),
        Act::Complete => step(gate, seen, Step::Completed),
        Act::End => step(gate, seen, Step::Ended(Outcome::TurnedBack)),
        Act::Late(way, n, ago, camera) => {
            let mut begin = gate.begin(*way, who(*n, VehicleClass::Goods));
            begin.camera = event(camera);
            begin.device_time = Some(Timestamp(gate.wall - i64::from(*ago) * 1000));
            let id = begin.passage.clone();
            if gate.inside.late(begin, gate.now()) == Late::Entered {
                seen.begun.insert(id);
            }
        }
        Act::Follow(way, n) => {
            let begin = gate.begin(*way, who(*n, VehicleClass::Small));
            let id = begin.passage.clone();
            gate.inside.unauthorised(begin, seen.open.clone(), gate.now()).unwrap();
            seen.begun.insert(id);
        }
        Act::Correct(by) => {
            let (zone, stock, reason) = (zone("park"), Stock::Persons, "x".into());
            drop(gate.inside.act(
                InsideAction::Correct { zone, stock, by: *by, subject: None, reason },
                &lead(),
                gate.now(),
            ));
        }
        Act::Count(n) => gate.sign(*n, *n / 2),
        Act::Void(n) => {
            let ids: Vec<EventId> = gate.inside.account().line().keys().map(|order| order.id.clone()).collect();
            if let Some(event) = ids.get(n % ids.len().max(1)) {
                let event = event.clone();
                drop(gate.inside.act(InsideAction::Void { event, reason: "x".into() }, &lead(), gate.now()));
            }
        }
        Act::Send => gate.send(peer),
        Act::SendTwiceBackwards => {
            let all = || gate.stored.iter().rev().cloned().collect::<Vec<_>>();
            peer.inside.merge(all(), peer.now());
            peer.inside.merge(all(), peer.now());
            peer.drain();
        }
        Act::Wait(secs) => {
            gate.wait(u64::from(*secs));
            peer.wait(u64::from(*secs));
        }
        Act::Restart(off) => gate.restart(u64::from(*off), rules()),
        Act::Crash => {
            // The event of a crossing was stored; then the power went, before the step was.
            step(gate, seen, Step::Completed);
            gate.drain();
            gate.documents.truncate(documents);
            gate.saved = saved;
            gate.restart(20, rules());
        }
        Act::Unsynced(on) => gate.trust = if *on { ClockTrust::Unsynced } else { ClockTrust::Synced },
    }
    gate.drain();
    peer.drain();
}

fn start(gate: &mut Gate, seen: &mut Seen, begin: Begin) -> bool {
    let id = begin.passage.clone();
    let begun = gate.inside.begin(begin, gate.now()).is_ok();
    if begun {
        seen.begun.insert(id.clone());
        seen.open = Some(id);
    }
    begun
}

fn step(gate: &mut Gate, seen: &Seen, step: Step) {
    if let Some(id) = &seen.open {
        drop(gate.inside.step(id, step, gate.now()));
    }
}

/// The account, made in the plainest way from what a gateway has stored: the version that holds of each event, the first
/// event of each camera number, in the order of time.
fn plain(stored: &[Event]) -> BTreeMap<(ZoneId, Stock), (i64, i64)> {
    let mut holding: BTreeMap<EventId, &Event> = BTreeMap::new();
    for event in stored {
        let text = |event: &Event| (event.version, serde_json::to_string(event).unwrap());
        let held = holding.entry(event.id.clone()).or_insert(event);
        if text(event) > text(held) {
            *held = event;
        }
    }
    let mut cameras = BTreeSet::new();
    let twice = |event: &&&Event| {
        let camera = event.crossed().and_then(|crossed| crossed.camera.clone());
        camera.is_none_or(|camera| cameras.insert(camera))
    };
    let mut line: Vec<&&Event> = holding.values().filter(twice).collect();
    line.sort_by_key(|event| event.order());
    let mut counts = BTreeMap::new();
    for event in line {
        for (zone, stock) in event.counters() {
            let (count, clamped): &mut (i64, i64) = counts.entry((zone.clone(), stock)).or_default();
            let by = match &event.body {
                Body::Counted(found) => {
                    (*count, *clamped) = (i64::from(found.zones[&zone].of(stock)), 0);
                    0
                }
                Body::Crossed(crossed) if crossed.direction == Direction::In => i64::from(crossed.of(stock)),
                Body::Crossed(crossed) => -i64::from(crossed.of(stock)),
                Body::Corrected(one) => i64::from(one.by),
                Body::Void { .. }
                | Body::Violated(_)
                | Body::Reviewed { .. }
                | Body::Loose(_)
                | Body::Settled { .. } => 0,
            };
            let sum = *count + by;
            *clamped += (-sum).max(0);
            *count = sum.max(0);
        }
    }
    counts.into_iter().filter(|(_, count)| *count != (0, 0)).collect()
}

fn check_account(gate: &Gate) {
    let account = gate.inside.account();
    let known: BTreeMap<_, _> = account
        .counters()
        .map(|key| {
            let (count, clamped) = account.count(&key.0, key.1);
            (key.clone(), (i64::from(count), i64::from(clamped)))
        })
        .filter(|(_, count)| *count != (0, 0))
        .collect();
    assert_eq!(
        known,
        plain(&gate.stored),
        "in − out ± corrections, never below zero, and by how many it would have been"
    );
    for (subject, place) in account.places() {
        let last = account.line().values().rev().find(|event| event.subjects().contains(subject));
        let crossed = last.and_then(|event| event.crossed());
        if let Some(crossed) = crossed {
            assert_eq!(!place.zones.is_empty(), crossed.direction == Direction::In, "{subject} is where it went last");
        }
    }
}

/// Every passage that began has one end, and one event exactly when it crossed.
fn check_passages(gate: &mut Gate, seen: &Seen) {
    gate.trust = ClockTrust::Synced;
    gate.wait(3 * 3600);
    let own: Vec<&Event> = gate.stored.iter().filter(|event| event.source.gateway.as_str() == gate.name).collect();
    for id in &seen.begun {
        let versions: Vec<_> = gate
            .documents
            .iter()
            .filter(|(kind, json)| *kind == DocumentKind::Passage && json["passage"] == id.as_str())
            .map(|(_, json)| (json["version"].as_u64().unwrap(), json["phase"].as_str().unwrap().to_owned()))
            .collect();
        let last = versions.last().unwrap_or_else(|| panic!("{id} is lost"));
        let numbers: Vec<u64> = versions.iter().map(|(version, _)| *version).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{id}: each version once");
        let ended = versions.iter().filter(|(_, phase)| phase == "completed").count();
        let crossed = own.iter().filter(|event| event.version == 1);
        let crossed = crossed.filter(|event| event.crossed().is_some_and(|crossed| crossed.passage == *id)).count();
        assert!(last.1 == "completed" || last.1 == "ended", "{id} stays {}", last.1);
        assert_eq!((ended, crossed), if last.1 == "completed" { (1, 1) } else { (0, 0) }, "{id}: {versions:?}");
    }
    let doubtful = |passage: &Passage| passage.outcome == Some(Outcome::InDoubt);
    assert!(gate.inside.passages().all(doubtful), "what is over is forgotten, but for what a person has to settle");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 280, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_passages_and_what_gateways_agree_on(
        acts in prop::collection::vec((any::<bool>(), act()), 360..400),
        order in prop::collection::vec(any::<u64>(), 64),
    ) {
        let (mut east, mut west) = (Gate::new("east", rules()), Gate::new("west", rules()));
        let (mut of_east, mut of_west) = (Seen::default(), Seen::default());
        for (n, (at_east, act)) in acts.iter().enumerate() {
            if *at_east {
                take(&mut east, &mut west, &mut of_east, act);
            } else {
                take(&mut west, &mut east, &mut of_west, act);
            }
            if n % 40 == 0 {
                check_account(&east);
                check_account(&west);
            }
        }
        check_passages(&mut east, &of_east);
        check_passages(&mut west, &of_west);
        // Twice: what each hears it may have to say anew of its own exits.
        for _ in 0..2 {
            east.send(&mut west);
            west.send(&mut east);
        }
        check_account(&east);
        prop_assert_eq!(east.known(), west.known(), "after the cut both know the same");
        // A third one hears of everything, in some order, some of it twice.
        let mut third = Gate::new("north", rules());
        let mut heard: Vec<(u64, Event)> = east.stored.iter().chain(&west.stored).enumerate().map(|(n, event)| {
            (order[n % order.len()].wrapping_mul(n as u64 | 1), event.clone())
        }).collect();
        heard.sort_by_key(|(place, _)| *place);
        for part in heard.chunks(37) {
            third.inside.merge(part.iter().map(|(_, event)| event.clone()), third.now());
        }
        prop_assert_eq!(east.known(), third.known(), "in any order");
    }
}
