//! Vehicles at a barrier: what should happen each day, and what happens all the same.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

use super::support::*;
use crate::domain::gate::hardware::{Act, Carried, Input, LaneCommand, LaneDevice, LaneReceipt, Moved, Seen};
use crate::domain::gate::lane::spec::{Closes, LaneSpec, Position, Service};
use crate::domain::gate::lane::told::{CallWhy, LaneFault, Outcome, Output};
use crate::domain::gate::lane::{ArmAt, Hand, Phase};
use crate::domain::gate::verdict::Verdict;
use crate::domain::order::LaneRule;
use crate::domain::time::ClockTrust;

pub(super) fn world() -> World {
    let mut world = World::new(&barrier());
    world.log.clear();
    world
}

#[test]
fn a_truck_is_read_decided_let_through_and_the_arm_closes_behind_it() {
    let mut world = world();
    world.arrives("皖A12345");
    world.run(2000);
    assert_eq!(world.lane.phase(), Phase::Passing);
    world.drives_through();
    world.run(6000);
    assert_eq!(world.steps(), ["detected", "identified", "decided", "opened", "entered", "completed"]);
    assert_eq!((world.outcomes(), world.acts()), (vec![Outcome::Crossed], vec!["open", "close"]));
    assert_eq!((world.lane.phase(), world.lane.arm_at(world.now().mono)), (Phase::Idle, ArmAt::Down));
    assert!(world.faults().is_empty() && world.calls().is_empty());
    let answered = world
        .count(|output| matches!(output, Output::Command(LaneCommand { act: Act::Open { answers: Some(_) }, .. })));
    assert_eq!((answered, world.dismissed()), (1, 0), "the camera's answer carries the pulse, once");
}

/// `domain.md` A20, 7.
#[test]
fn a_camera_that_sends_the_same_event_four_times_makes_one_passage() {
    let mut world = world();
    world.on(Input::Approach);
    let seen = world.read("皖A12345");
    for _ in 0..4 {
        world.run(300);
        world.event(Seen::Plate(seen.clone()));
    }
    world.run(1000);
    world.read("皖A12345");
    assert_eq!(world.steps(), ["detected", "identified", "decided", "opened"]);
    assert_eq!((world.acts(), world.dismissed()), (vec!["open"], 5), "each resend is stopped, and moves nothing");
}

/// A20, 8.
#[test]
fn two_hundred_records_of_an_outage_move_nothing_and_each_is_told_once() {
    let mut world = world();
    for n in 0..200 {
        let mut seen = world.plate(&format!("皖A{n:05}"));
        (seen.live, seen.offline) = (false, true);
        world.event(Seen::Plate(seen.clone()));
        world.event(Seen::Plate(seen));
    }
    world.run(3000);
    assert_eq!((world.count(|output| matches!(output, Output::Step(_))), world.acts()), (200, vec![]));
    assert_eq!((world.dismissed(), world.lane.phase()), (400, Phase::Idle));
}

/// A20, 9, and line 5 of what proves the issue.
#[test]
fn the_fire_contact_opens_for_a_blocked_vehicle_at_the_exit() {
    let mut world = World::new(&exit());
    world.decider = Decider::Says(Verdict::Deny);
    world.arrives("皖A12345");
    assert_eq!((world.lane.phase(), world.acts()), (Phase::Decided, vec![]));
    world.on(Input::Fire);
    world.run(1600);
    assert_eq!((world.lane.phase(), world.acts()), (Phase::Held, vec!["hold"]));
    assert_eq!(world.lane.arm_at(world.now().mono), ArmAt::Up);
    world.drives_through();
    assert_eq!(world.outcomes(), [Outcome::Free], "recorded, though nobody decides it");
    world.run(60_000);
    world.off(Input::Fire);
    world.run(60_000);
    assert_eq!(world.acts(), ["hold"], "until a person resets it");
    assert!(world.hand(&Hand::ResetFire, &guard()).is_err());
    world.hand(&Hand::ResetFire, &supervisor()).unwrap();
    world.run(10_000);
    assert_eq!((world.acts(), world.lane.phase()), (vec!["hold", "end_hold", "close"], Phase::Idle));
}

/// Brings a lane into each of its states.
pub(super) fn into(phase: Phase, world: &mut World) {
    if phase == Phase::Idle {
        return;
    }
    world.decider = Decider::Silent;
    if phase == Phase::Approach {
        world.on(Input::Approach);
        return world.run(200);
    }
    world.arrives("皖A12345");
    if phase == Phase::Identified {
        return;
    }
    let ask = world.asks.pop().unwrap();
    if phase == Phase::Decided {
        return world.answer(&ask, Verdict::Hold);
    }
    if phase == Phase::Held {
        world.lane.handle_rule("k", LaneRule::Open, false, world.now());
        return world.run(3000);
    }
    world.answer(&ask, Verdict::Allow);
    world.run(200);
    if phase == Phase::Opening {
        return;
    }
    world.run(3000);
    if phase == Phase::Passing {
        return;
    }
    world.drives_through();
    if phase == Phase::Clearing {
        world.on(Input::Beam);
        return world.run(200);
    }
    while world.lane.phase() != Phase::Closing {
        world.run(100);
    }
    world.run(300);
}

/// What proves the issue, 5: in each state, with the store failing, a broken clock, and a lane out of service.
#[test]
fn the_fire_contact_opens_within_two_seconds_whatever_the_lane_is_doing_and_stays() {
    for phase in Phase::ALL {
        for cut in [false, true] {
            let mut world = World::new(&exit());
            into(*phase, &mut world);
            assert!(world.lane.phase() == *phase || *phase == Phase::Clearing, "{phase}: {}", world.lane.phase());
            (world.store, world.trust) = (Store::Fails, ClockTrust::Unsynced);
            world.wall = 0;
            world.lane.handle_service(Service::Stopped, world.now());
            world.drain();
            let before = world.ms;
            world.set(Input::Fire, if cut { None } else { Some(true) });
            world.run(2000);
            let held = world.log.iter().rev().find_map(|(at, output)| match output {
                Output::Command(LaneCommand { act: Act::HoldOpen, .. }) => Some(*at),
                _ => None,
            });
            let held = held.unwrap_or_else(|| panic!("{phase}: not held open"));
            assert!(*phase == Phase::Held || held - before <= 1500, "{phase}: after {} ms", held - before);
            world.run(1500);
            assert_eq!(world.lane.arm_at(world.now().mono), ArmAt::Up, "{phase}");
            world.off(Input::Fire);
            world.on(Input::Approach);
            world.run(120_000);
            assert_eq!((world.lane.phase(), world.lane.arm_at(world.now().mono)), (Phase::Held, ArmAt::Up), "{phase}");
        }
    }
}

/// A20, 10.
#[test]
fn a_vehicle_under_the_arm_for_ten_minutes_is_never_closed_on_and_alarms() {
    let mut world = world();
    world.arrives("皖A12345");
    world.run(2000);
    world.on(Input::UnderArm);
    world.on(Input::Beam);
    world.run(599_000);
    assert!(!world.faults().contains(&LaneFault::Stuck));
    world.run(2000);
    assert!(world.faults().contains(&LaneFault::Stuck));
    assert_eq!(world.acts(), ["open"]);
    assert!(world.hand(&Hand::Close, &guard()).is_err(), "something is passing");
    world.off(Input::UnderArm);
    world.off(Input::Beam);
    world.off(Input::Approach);
    world.run(10_000);
    assert_eq!((world.outcomes(), world.acts()), (vec![Outcome::TurnedBack], vec!["open", "close"]));
}

/// A20, 11.
#[test]
fn an_arm_that_does_not_move_in_six_seconds_is_an_alarm_and_is_not_ordered_again() {
    let mut world = world();
    world.bar.broken = true;
    world.arrives("皖A12345");
    world.run(5900);
    assert!(world.faults().is_empty());
    world.run(200);
    assert_eq!((world.faults(), world.calls()), (vec![LaneFault::NotMoved], vec![CallWhy::NotMoved]));
    world.run(40_000);
    assert_eq!((world.outcomes(), world.acts()), (vec![Outcome::NotEntered], vec!["open"]));
    (world.bar.broken, world.bar.moves) = (false, 0);
    world.off(Input::Approach);
    world.run(2000);
    world.arrives("皖A99999");
    world.run(3000);
    assert!(world.lane.view(world.now()).faults.is_empty(), "the next one clears it");
}

#[test]
fn whoever_does_not_come_loses_the_opening_after_thirty_seconds() {
    let mut world = world();
    world.arrives("皖A12345");
    world.run(28_000);
    assert!(world.outcomes().is_empty());
    world.run(10_000);
    assert_eq!((world.outcomes(), world.acts()), (vec![Outcome::NotEntered], vec!["open", "close"]));
}

#[test]
fn who_turns_back_closes_the_passage_by_the_camera_or_by_the_loops() {
    let mut world = world();
    world.arrives("皖A12345");
    world.run(2000);
    world.event(Seen::Moved { device: "cam".into(), how: Moved::TurnedBack });
    world.off(Input::Approach);
    world.run(6000);
    assert_eq!((world.outcomes(), world.lane.phase()), (vec![Outcome::TurnedBack], Phase::Idle));
    world.decider = Decider::Says(Verdict::Deny);
    world.run(10_000);
    world.arrives("皖A22222");
    world.off(Input::Approach);
    world.run(2000);
    assert_eq!((world.outcomes().len(), world.acts()), (2, vec!["open", "close"]), "refused, and gone");
}

#[test]
fn a_second_vehicle_behind_the_first_is_tail_gating_and_a_trailer_is_not() {
    let mut world = world();
    world.arrives("皖A12345");
    world.run(2000);
    for (input, on) in [(Input::UnderArm, true), (Input::Beam, true), (Input::Exit, true)] {
        world.set(input, Some(on));
        world.run(300);
    }
    world.off(Input::Exit);
    world.run(700);
    world.on(Input::Exit);
    world.run(1000);
    assert_eq!(world.outcomes(), [Outcome::Crossed], "between tractor and trailer");
    world.off(Input::Exit);
    world.run(1500);
    world.on(Input::Exit);
    assert_eq!(world.outcomes(), [Outcome::Crossed, Outcome::Tailgate]);
    assert!(world.faults().contains(&LaneFault::Tailgate));
    for input in [Input::UnderArm, Input::Beam, Input::Exit, Input::Approach] {
        world.off(input);
    }
    world.run(6000);
    assert_eq!(world.acts(), ["open", "close"]);
}

#[test]
fn what_comes_under_the_closing_arm_stops_it_and_opens_it_again() {
    for blind in [false, true] {
        let mut world = world();
        into(Phase::Closing, &mut world);
        if blind {
            world.silent.insert(Input::Beam);
        } else {
            world.on(Input::Beam)
        };
        world.run(2500);
        assert_eq!(world.acts(), ["open", "close", "stop", "open"], "blind: {blind}");
        world.run(60_000);
        assert_eq!(world.acts().len(), 4, "and it stays open");
        assert!(world.faults().contains(&LaneFault::LeftOpen));
        world.silent.clear();
        world.off(Input::Beam);
        world.run(6000);
        assert_eq!((world.acts().last(), world.lane.phase()), (Some(&"close"), Phase::Idle));
    }
}

#[test]
fn a_guard_that_missed_a_vehicle_is_not_believed_until_it_has_worked_again() {
    let mut world = world();
    world.arrives("皖A12345");
    world.run(2000);
    for (input, on) in [
        (Input::UnderArm, true),
        (Input::Approach, false),
        (Input::Exit, true),
        (Input::UnderArm, false),
        (Input::Exit, false),
    ] {
        world.set(input, Some(on));
        world.run(400);
    }
    world.run(30_000);
    assert_eq!(world.acts(), ["open"], "the beam has seen nothing of a whole truck");
    assert!(world.faults().contains(&LaneFault::InputSuspect));
    world.on(Input::Beam);
    world.run(400);
    world.off(Input::Beam);
    world.run(3000);
    assert_eq!(world.acts(), ["open", "close"]);
}

#[test]
fn an_answer_that_comes_too_late_moves_nothing_and_is_asked_anew_where_the_vehicle_still_stands() {
    let mut world = world();
    world.decider = Decider::Silent;
    world.arrives("皖A12345");
    world.run(5000);
    assert_eq!(world.calls(), [CallWhy::NoDecision]);
    let ask = world.asks.remove(0);
    world.decider = Decider::Says(Verdict::Allow);
    world.answer(&ask, Verdict::Allow);
    world.run(2000);
    assert_eq!((world.acts(), world.faults()), (vec!["open"], vec![LaneFault::Late]), "by the new answer");

    let mut gone = World::new(&LaneSpec { inputs: without(&barrier(), &[Input::Approach]), ..barrier() });
    gone.decider = Decider::Silent;
    gone.read("皖A12345");
    gone.run(5000);
    let ask = gone.asks.remove(0);
    gone.answer(&ask, Verdict::Allow);
    gone.run(5000);
    assert!(
        gone.acts().is_empty() && gone.calls().contains(&CallWhy::DecisionLate),
        "nobody knows whether it stands there"
    );
    let other = world.rule(&ask, Verdict::Allow);
    world.lane.handle_ruling(&other, world.now());
    world.drain();
    assert_eq!(world.acts(), ["open"], "an answer to another question moves nothing");
}

fn without(spec: &LaneSpec, less: &[Input]) -> std::collections::BTreeSet<Input> {
    spec.inputs.iter().copied().filter(|input| !less.contains(input)).collect()
}

#[test]
fn nothing_moves_in_before_the_audit_is_stored_and_exits_do_not_wait_for_it() {
    let mut entry = world();
    entry.store = Store::Silent;
    entry.arrives("皖A12345");
    entry.run(2000);
    assert!(entry.acts().is_empty());
    entry.run(60_000);
    assert!(entry.acts().is_empty() && entry.calls().contains(&CallWhy::DecisionLate));
    let mut entry = world();
    entry.store = Store::Fails;
    entry.arrives("皖A12345");
    entry.run(2000);
    assert_eq!((entry.acts(), entry.calls()), (vec![], vec![CallWhy::AuditFailed]));
    assert!(entry.hand(&Hand::Open { emergency: false }, &guard()).is_ok());
    entry.run(2000);
    assert!(entry.acts().is_empty(), "nor by a guard: it could not be entered who did it");
    entry.store = Store::Journal;
    entry.hand(&Hand::Open { emergency: false }, &guard()).unwrap();
    entry.run(2000);
    assert_eq!(entry.acts(), ["open"], "the small journal will do");
    for store in [Store::Silent, Store::Fails] {
        let mut way_out = World::new(&exit());
        way_out.store = store;
        way_out.arrives("皖A12345");
        way_out.run(300);
        assert_eq!(way_out.acts(), ["open"], "{store:?}");
    }
}

#[test]
fn a_vehicle_that_comes_while_another_has_the_lane_is_next() {
    let mut world = world();
    world.arrives("皖A11111");
    world.run(2000);
    for input in [Input::UnderArm, Input::Beam] {
        world.on(input);
    }
    world.off(Input::Approach);
    world.run(500);
    world.on(Input::Exit);
    world.run(300);
    world.on(Input::Approach);
    world.read("皖A22222");
    world.run(300);
    for input in [Input::UnderArm, Input::Beam, Input::Exit] {
        world.off(input);
    }
    world.run(8000);
    assert_eq!(world.acts(), ["open", "close", "open"]);
    world.drives_through();
    world.run(6000);
    assert_eq!(world.outcomes(), [Outcome::Crossed, Outcome::Crossed]);
}

#[test]
fn an_arm_opened_at_the_barrier_itself_is_told_and_who_goes_through_is_counted() {
    let mut world = world();
    world.bar.moves = 1;
    world.run(2000);
    assert_eq!(world.faults(), [LaneFault::ManualOpen]);
    world.drives_through();
    world.run(6000);
    assert_eq!((world.outcomes(), world.acts()), (vec![Outcome::ByHand], vec!["close"]));
    world.bar.moves = 1;
    world.run(90_000);
    assert_eq!(world.acts(), ["close", "close"], "rule 66: after its longest time, when clear");
}

#[test]
fn who_drives_through_a_closed_arm_is_told() {
    let mut world = world();
    world.decider = Decider::Says(Verdict::Deny);
    world.arrives("皖A12345");
    world.drives_through();
    assert!(world.faults().contains(&LaneFault::Forced));
    assert_eq!((world.outcomes(), world.acts()), (vec![Outcome::Forced], vec![]));
    world.on(Input::Exit);
    world.run(8000);
    world.off(Input::Exit);
    assert_eq!(world.outcomes().len(), 1, "what parks behind the arm has not crossed it");
}

#[test]
fn a_lane_whose_controller_closes_is_never_told_to() {
    let mut world = World::new(&LaneSpec { closes: Closes::Controller, ..barrier() });
    world.arrives("皖A12345");
    world.run(2000);
    world.drives_through();
    world.run(5000);
    assert_eq!(
        (world.outcomes(), world.acts(), world.lane.phase()),
        (vec![Outcome::Crossed], vec!["open"], Phase::Clearing)
    );
    world.bar.moves = -1;
    world.run(3000);
    assert_eq!(world.lane.phase(), Phase::Idle);
    assert!(world.faults().is_empty());
}

#[test]
fn without_a_loop_behind_the_arm_the_loop_under_it_says_that_one_has_crossed() {
    let spec = LaneSpec { inputs: without(&barrier(), &[Input::Exit]), ..barrier() };
    let mut world = World::new(&spec);
    world.arrives("皖A12345");
    world.run(2000);
    world.on(Input::Beam);
    world.run(300);
    world.off(Input::Beam);
    world.run(3000);
    assert!(world.outcomes().is_empty(), "somebody walked through the beam");
    world.drives_through();
    world.run(6000);
    assert_eq!((world.outcomes(), world.acts()), (vec![Outcome::Crossed], vec!["open", "close"]));
}

#[test]
fn a_hold_that_the_module_did_not_take_is_ordered_again_within_two_seconds_wherever_the_arm_stands() {
    for jammed in [false, true] {
        let mut world = World::new(&exit());
        into(Phase::Closing, &mut world);
        world.bar.broken = jammed;
        // Longer ago than commands are apart: the hold waits for nothing.
        world.run(if jammed { 1500 } else { 800 });
        assert_eq!(world.lane.phase(), Phase::Closing);
        world.deaf_after_stop = 50;
        world.on(Input::Fire);
        world.run(1900);
        assert!(world.bar.held, "jammed: {jammed}: {:?}", world.acts());
        world.run(60_000);
        let orders = world.acts().iter().filter(|act| **act == "hold").count();
        assert!(orders <= 2 || jammed, "jammed: {jammed}: {:?}", world.acts());
    }
}

#[test]
fn what_comes_under_a_closing_arm_is_opened_for_though_the_module_did_not_take_it_at_first() {
    let mut world = world();
    into(Phase::Closing, &mut world);
    world.bar.broken = true;
    // Longer ago than commands are apart: the opening waits for nothing, and is not taken.
    world.run(1500);
    world.bar.broken = false;
    assert_eq!(world.lane.phase(), Phase::Closing);
    world.deaf_after_stop = 50;
    world.on(Input::UnderArm);
    world.run(4000);
    assert_eq!((world.bar.at, world.bar.moves), (UP, 1), "{:?}", world.acts());
    let opened = world.acts().iter().filter(|act| **act == "open").count();
    assert_eq!(opened, 3, "for the vehicle, not taken, and once again: {:?}", world.acts());
}

/// Who shows his card before the plate is read is asked about once, with both.
#[test]
fn a_card_that_is_shown_first_waits_for_the_plate() {
    let mut world = world();
    world.decider = Decider::Silent;
    world.on(Input::Approach);
    world.run(300);
    world.shows("driver");
    world.run(800);
    world.shows("escort");
    assert_eq!((world.lane.phase(), world.asks.len()), (Phase::Identified, 0));
    world.read("皖A12345");
    world.run(5000);
    let [ask] = world.asks.as_slice() else { panic!("asked once: {:?}", world.asks) };
    assert!(ask.presented.plate.is_some() && ask.presented.credentials.len() == 2, "{ask:?}");
}

#[test]
fn a_camera_that_reads_nothing_is_waited_for_no_longer_than_its_time() {
    let mut world = world();
    world.decider = Decider::Silent;
    world.on(Input::Approach);
    // A vehicle that stood there for long has waited for nothing yet.
    world.run(5000);
    world.shows("driver");
    world.run(1400);
    assert_eq!(world.asks.len(), 0);
    world.run(100);
    assert_eq!(world.asks.len(), 1);
    // Whoever shows his card later waits for no camera any more.
    world.shows("escort");
    assert_eq!(world.asks.len(), 2);
    // And what the camera reads at last is asked about, as it is.
    world.read("皖A12345");
    assert!(world.asks.len() == 3 && world.asks[2].presented.plate.is_some());
}

#[test]
fn a_camera_that_is_down_or_not_there_is_not_waited_for() {
    let camera = |up| Seen::Device { device: "cam".into(), kind: LaneDevice::Camera, up, why: String::new() };
    let mut down = world();
    let mut without = World::new(&LaneSpec { camera: false, ..barrier() });
    down.event(camera(false));
    for world in [&mut down, &mut without] {
        world.decider = Decider::Silent;
        world.on(Input::Approach);
        world.shows("driver");
        assert_eq!(world.asks.len(), 1);
    }
    let mut fails = world();
    fails.decider = Decider::Silent;
    fails.event(camera(true));
    fails.on(Input::Approach);
    fails.shows("driver");
    assert_eq!(fails.asks.len(), 0);
    fails.event(camera(false));
    assert_eq!(fails.asks.len(), 1, "it went down while it was waited for");
}

#[test]
fn a_device_that_is_down_says_why() {
    let mut world = world();
    let why = "推送被拒：签名不对 / it signs with a wrong key".to_owned();
    world.event(Seen::Device { device: "cam".into(), kind: LaneDevice::Camera, up: false, why });
    let view = world.lane.view(world.now());
    let fault = view.faults.iter().find(|fault| fault.subject == "cam").unwrap();
    assert!(fault.zh.ends_with("（cam）：推送被拒：签名不对"), "{}", fault.zh);
    assert!(fault.en.ends_with("(cam): it signs with a wrong key"), "{}", fault.en);
}

#[test]
fn a_refused_command_is_told_and_a_guard_opens_by_a_new_one() {
    let mut world = world();
    world.store = Store::Silent;
    world.arrives("皖A12345");
    let key = world.log.iter().find_map(|(_, output)| match output {
        Output::Audit(audit) if audit.deed.action == "lane.open" => Some(audit.key.clone()),
        _ => None,
    });
    let key = key.unwrap();
    world.lane.handle_audit(&key, crate::domain::gate::lane::AuditReceipt::Stored, world.now());
    let receipt = LaneReceipt {
        key,
        lane: world.lane.spec().id.clone(),
        at: world.now().mono,
        carried: Carried::Failed("no answer".into()),
    };
    world.lane.handle_receipt(&receipt, world.now());
    assert_eq!(world.lane.phase(), Phase::Decided);
    while world.lane.poll_output().is_some() {}
    assert!(world.lane.view(world.now()).faults.iter().any(|fault| fault.fault == LaneFault::NotMoved));
    assert_ne!(world.lane.spec().position, Position::None);
}
