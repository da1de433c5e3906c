//! What holds after any sequence of steps: more than 10⁵ random ones, restarts and clock jumps among them.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::site::fire::LineState;

#[derive(Clone, Debug)]
enum Step {
    Propose(usize, State),
    Confirm,
    Reject,
    End(usize),
    GiveBack(usize),
    Normal(usize),
    ResetFire(usize),
    StartDrill(usize, State, bool),
    EndDrill,
    Contact(bool, Option<bool>),
    Loop(Option<u8>),
    Key(Option<bool>),
    Wind(u8, u16),
    Gas(u8, usize, u8),
    City(usize, State),
    Answers(bool),
    Fails,
    Wait(u32),
    Clock(i64),
    Restart,
    Service(usize, ServiceState),
}

const ZONES: [&str; 4] = ["park", "tanks", "store", "office"];
const INPUTS: [&str; 2] = ["fire-main", "fire-tanks"];

fn step() -> impl Strategy<Value = Step> {
    let emergency = || select(State::EMERGENCIES.to_vec());
    let maybe = |of: BoxedStrategy<bool>| prop_oneof![4 => of.prop_map(Some), 1 => Just(None)];
    prop_oneof![
        8 => (0..4usize, emergency()).prop_map(|(zone, state)| Step::Propose(zone, state)),
        8 => Just(Step::Confirm),
        1 => Just(Step::Reject),
        8 => (0..4usize).prop_map(Step::End),
        16 => (0..8usize).prop_map(Step::GiveBack),
        8 => (0..4usize).prop_map(Step::Normal),
        6 => (0..2usize).prop_map(Step::ResetFire),
        6 => (0..4usize, emergency(), any::<bool>()).prop_map(|(zone, state, all)| Step::StartDrill(zone, state, all)),
        2 => Just(Step::EndDrill),
        8 => (any::<bool>(), maybe(any::<bool>().boxed())).prop_map(|(no, value)| Step::Contact(no, value)),
        6 => prop_oneof![1 => Just(None), 6 => select(vec![6u8, 6, 6, 16, 1]).prop_map(Some)].prop_map(Step::Loop),
        2 => maybe(any::<bool>().boxed()).prop_map(Step::Key),
        2 => (0..60u8, 0..400u16).prop_map(|(speed, from)| Step::Wind(speed, from)),
        4 => (0..5u8, 0..4usize, 0..3u8).prop_map(|(uid, zone, level)| Step::Gas(uid, zone, level)),
        1 => (0..4usize, emergency()).prop_map(|(zone, state)| Step::City(zone, state)),
        2 => any::<bool>().prop_map(Step::Answers),
        2 => Just(Step::Fails),
        8 => select(vec![1u32, 400, 1_000, 5_000, 20_000, 90_000]).prop_map(Step::Wait),
        1 => select(vec![-3_600_000i64, 315_360_000_000, -1_795_507_200_000]).prop_map(Step::Clock),
        3 => Just(Step::Restart),
        3 => (0..8usize, select(ServiceState::ALL.to_vec())).prop_map(|(lane, to)| Step::Service(lane, to)),
    ]
}

fn random_book(acts: bool) -> SiteBook {
    let mut book = book();
    book.rules[0].acts = acts;
    book.city.acts = acts;
    book
}

fn take(park: &mut Park, step: &Step, acts: bool) {
    let zone = |at: &usize| ZONES[*at].to_owned();
    let reason = || "x".to_owned();
    let action = match step {
        Step::Propose(at, state) => Action::Propose { zone: zone(at), state: *state, reason: reason() },
        Step::Confirm | Step::Reject => {
            let open = park.site.view(park.now()).proposals;
            let Some(proposal) = open.last().map(|open| open.proposal) else { return };
            match step {
                Step::Confirm => Action::Confirm { proposal },
                _ => Action::Reject { proposal, reason: reason() },
            }
        }
        Step::End(at) => Action::End { zone: zone(at), reason: reason() },
        Step::GiveBack(at) => Action::GiveBack { lane: park.site.book().lanes[*at].id.clone() },
        Step::Normal(at) => Action::Normal { zone: zone(at), reason: reason() },
        Step::ResetFire(at) => Action::ResetFire { input: INPUTS[*at].into(), reason: reason() },
        Step::StartDrill(at, state, barriers) => {
            Action::StartDrill { zone: zone(at), rehearses: *state, barriers: *barriers, comment: reason() }
        }
        Step::EndDrill => Action::EndDrill { comment: reason() },
        Step::Service(at, to) => {
            let subject = ServiceSubject::Lane(park.site.book().lanes[*at].id.clone());
            Action::Service(ServiceAction::Move { subject, to: *to, reason: reason() })
        }
        wire => return take_wire(park, wire, acts),
    };
    // Many are refused; what matters is what then holds.
    drop(park.act(action, &lead()));
}

fn take_wire(park: &mut Park, step: &Step, acts: bool) {
    let bit = |value: Option<bool>| value.map_or_else(lost, |value| Reading::good(Value::Bool(value)));
    match step {
        Step::Contact(no, value) => park.give(if *no { "no" } else { "nc" }, bit(*value)),
        Step::Loop(value) => park.give("loop", value.map_or_else(lost, |v| Reading::good(Value::Number(v.into())))),
        Step::Key(value) => park.give("key", bit(*value)),
        Step::Wind(speed, from) => {
            park.read("ws", f64::from(*speed) / 10.0);
            park.read("wd", f64::from(*from));
        }
        Step::Gas(uid, zone, level) => park.gas(&format!("g{uid}"), ZONES[*zone], *level),
        Step::City(zone, state) => {
            let what = CityOrder::State { zone: ZONES[*zone].into(), state: *state, reason: String::new() };
            let command = CityCommand { id: "c".into(), issuer: "city".into(), what };
            let now = park.now();
            drop(park.site.handle_command(command, now));
            park.drain();
        }
        Step::Answers(answers) => park.answers = *answers,
        Step::Fails => {
            let now = park.now();
            if let Some(key) = park.orders.last().map(|order| order.key.clone()) {
                park.site.handle_receipt(&key, Receipt::Failed("jammed".into()), now);
                park.drain();
            }
        }
        Step::Wait(ms) => park.wait(u64::from(*ms)),
        Step::Clock(step) => park.clock_off = (park.clock_off + step).clamp(-1_795_507_200_000, 900_000_000_000),
        _ => {
            let (lanes, values) = (park.lanes.clone(), park.values.clone());
            park.restart(random_book(acts));
            assert_eq!((&park.lanes, &park.values), (&lanes, &values), "a restart moves nothing");
        }
    }
}

/// What the records say of each zone, and whether the running drill may move barriers.
#[derive(Default)]
struct Told {
    states: BTreeMap<String, State>,
    barriers: bool,
    keys: BTreeSet<String>,
}

fn check_records(park: &mut Park, told: &mut Told) {
    for (mode, record) in park.records.drain(..) {
        match record {
            SiteRecord::State { zone, from, to, .. } => {
                assert!(from.may_become(to), "{zone}: {from:?} to {to:?}");
                assert_eq!(told.states.insert(zone, to).unwrap_or_default(), from, "no step is left out");
            }
            SiteRecord::DrillStarted { barriers, .. } => told.barriers = barriers,
            SiteRecord::Ordered { order: OrderKind::Lane { lane, rule }, key, .. } => {
                assert!(mode != Mode::Drill || told.barriers, "a drill moved {lane} to {rule:?}");
                assert!(told.keys.insert(key), "a key is used once");
            }
            _ => {}
        }
    }
}

fn check_world(park: &Park) {
    let view = park.site.view(park.now());
    let book = park.site.book();
    let own: Vec<State> = view.zones.iter().map(|zone| zone.state).collect();
    let lanes = || book.lanes.iter().zip(&view.lanes).filter(|(_, view)| view.service.exists());
    for (at, _) in own.iter().enumerate().filter(|(_, state)| **state == State::Evacuate) {
        for (lane, _) in lanes().filter(|(lane, _)| lane.leads_out()) {
            if book.within(lane.zone, at) || book.within(at, lane.zone) {
                let rule = park.lane(&lane.id);
                let open = rule == LaneRule::Open || (rule == LaneRule::RescueOnly && lane.direction != Direction::Out);
                assert!(open, "{} is {rule:?} while {} is evacuated", lane.id, ZONES[at]);
            }
        }
    }
    let latched: Vec<bool> = view.fire.iter().map(|fire| fire.latched).collect();
    for (input, fire) in book.fire.iter().zip(&view.fire) {
        assert!(fire.latched || !matches!(fire.line, LineState::Signal | LineState::Broken));
        for (lane, _) in input.lanes.iter().filter_map(|at| lanes().find(|(lane, _)| lane.id == book.lanes[*at].id)) {
            let rule = park.lane(&lane.id);
            let released = strength(rule) >= strength(lane.on_fire());
            assert!(!fire.latched || released, "{} is {rule:?} on fire", lane.id);
        }
    }
    let drills = own.iter().filter(|state| **state == State::Drill).count();
    assert_eq!(drills, usize::from(view.drill.is_some()));
    if let Some(drill) = &view.drill {
        assert!(own.iter().all(|state| matches!(state, State::Normal | State::Drill)), "something real in a drill");
        if !drill.barriers && !latched.contains(&true) {
            for (lane, view) in lanes() {
                let rule = park.lane(&lane.id);
                let never = !park.lanes.contains_key(&lane.id);
                assert!(never || rule == lane.at_rest(view.service), "{} is {rule:?} in a drill", lane.id);
            }
        }
    }
}

fn check_orders(park: &mut Park, seen: &mut usize) {
    for order in park.orders.iter().skip(*seen) {
        if let OrderKind::Lane { lane, rule } = &order.what {
            let book = park.site.book();
            let lane = book.lane(lane).map(|at| &book.lanes[at]).expect("only lanes of the book");
            let exit = lane.carries == Carries::Persons && lane.leads_out();
            assert!(!exit || *rule != LaneRule::Guarded, "a guard decides who leaves by {}", lane.id);
        }
    }
    *seen = park.orders.len();
}

proptest! {
    // 300 runs of 350 steps are 105,000.
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_exits_open_and_people_leave(
        steps in prop::collection::vec(step(), 350),
        acts in any::<bool>(),
    ) {
        let mut park = Park::quiet(random_book(acts));
        let (mut told, mut seen) = (Told::default(), 0);
        for step in &steps {
            if matches!(step, Step::Restart) {
                seen = 0;
            }
            take(&mut park, step, acts);
            check_records(&mut park, &mut told);
            check_world(&park);
            check_orders(&mut park, &mut seen);
        }
    }
}

/// The order of strengths is that of opening: nothing that shuts outranks what opens.
#[test]
fn of_two_rules_for_a_lane_the_more_open_one_holds() {
    let by_strength = [LaneRule::Normal, LaneRule::Guarded, LaneRule::NoEntry, LaneRule::RescueOnly, LaneRule::Open];
    assert!(by_strength.windows(2).all(|pair| strength(pair[0]) < strength(pair[1])));
}

#[test]
fn the_table_of_states_is_the_one_in_the_head() {
    use State::{Drill, Evacuate, LockdownIn, Normal, Recovery, Shelter};
    let table: [(State, &[State]); 6] = [
        (Normal, &[Drill, LockdownIn, Shelter, Evacuate]),
        (Drill, &[Normal, LockdownIn, Shelter, Evacuate]),
        (Recovery, &[Normal, LockdownIn, Shelter, Evacuate]),
        (LockdownIn, &[Recovery, Shelter, Evacuate]),
        (Shelter, &[Recovery, LockdownIn, Evacuate]),
        (Evacuate, &[Recovery, Shelter]),
    ];
    for (from, to) in table {
        let reached: Vec<State> = State::ALL.into_iter().filter(|to| from.may_become(*to)).collect();
        assert_eq!(reached, to, "{from:?}");
    }
}
