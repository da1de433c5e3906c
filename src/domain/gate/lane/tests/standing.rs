//! What stands over every single passage: holds by persons, the rules of the site, troubles, service, restarts.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

use super::stories::{into, world};
use super::support::*;
use crate::domain::gate::hardware::{Input, Seen};
use crate::domain::gate::lane::spec::{Conduct, LaneSpec, Trouble};
use crate::domain::gate::lane::told::{CallWhy, LaneFault, Outcome, Output};
use crate::domain::gate::lane::{Hand, Phase};
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::VehicleClass;
use crate::domain::order::LaneRule;
use crate::domain::time::ClockTrust;

#[test]
fn a_hold_is_a_named_persons_with_a_reason_and_an_end() {
    let mut world = world();
    let until = crate::domain::time::Timestamp(world.now().wall.0 + 60_000);
    let hold = Hand::HoldOpen { until };
    assert!(world.lane.handle_hand(&hold, &guard(), "  ", world.now()).is_err(), "no reason");
    let far = Hand::HoldOpen { until: crate::domain::time::Timestamp(until.0 + 86_400_000) };
    assert!(world.hand(&far, &guard()).unwrap_err().contains("12 hours"));
    world.store = Store::Fails;
    world.hand(&hold, &guard()).unwrap();
    world.run(2000);
    assert!(world.acts().is_empty(), "it could not be entered");
    world.store = Store::Works;
    world.hand(&hold, &guard()).unwrap();
    world.run(2000);
    assert_eq!((world.acts(), world.lane.phase()), (vec!["hold"], Phase::Held));
    world.arrives("皖A12345");
    world.drives_through();
    assert_eq!(world.outcomes(), [Outcome::Free]);
    world.run(70_000);
    assert_eq!((world.acts(), world.lane.phase()), (vec!["hold", "end_hold", "close"], Phase::Idle));
}

#[test]
fn the_rules_of_the_site_are_followed_and_answered() {
    let mut world = world();
    for (rule, verdict, acts) in [
        (LaneRule::NoEntry, Verdict::Deny, 0),
        (LaneRule::Guarded, Verdict::Refer, 0),
        (LaneRule::RescueOnly, Verdict::Allow, 1),
    ] {
        world.lane.handle_rule("k", rule, false, world.now());
        world.drain();
        world.arrives("皖A12345");
        world.run(1000);
        assert_eq!((world.lane.view(world.now()).verdict, world.acts().len()), (Some(verdict), acts), "{rule:?}");
        world.off(Input::Approach);
        world.run(60_000);
    }
    let receipts = |world: &World| world.count(|output| matches!(output, Output::Receipt { .. }));
    assert_eq!(receipts(&world), 3);
    world.lane.handle_rule("open", LaneRule::Open, false, world.now());
    world.drain();
    assert_eq!(receipts(&world), 3, "ordered is not moved");
    world.run(3000);
    assert_eq!(receipts(&world), 4);
    let mut way_out = World::new(&exit());
    way_out.lane.handle_rule("k", LaneRule::RescueOnly, false, way_out.now());
    way_out.run(2000);
    assert_eq!(way_out.acts(), ["hold"], "a way out is open while only rescue may come in");
    let mut way_out = World::new(&exit());
    way_out.decider = Decider::Says(Verdict::Deny);
    way_out.lane.handle_rule("k", LaneRule::NoEntry, false, way_out.now());
    way_out.arrives("皖A12345");
    way_out.run(300);
    assert_eq!(way_out.acts(), ["open"], "out is free");
}

#[test]
fn each_trouble_has_its_conduct_and_it_is_shown() {
    let conduct = |trouble, conduct| {
        let mut spec = barrier();
        spec.conduct.insert(trouble, conduct);
        spec
    };
    let verdict = |world: &mut World| {
        world.arrives("皖A12345");
        world.run(300);
        world.lane.view(world.now()).verdict
    };
    for (how, wanted) in
        [(Conduct::Decide, Verdict::Allow), (Conduct::Refer, Verdict::Refer), (Conduct::NoEntry, Verdict::Deny)]
    {
        let mut world = World::new(&conduct(Trouble::Lists, how));
        world.lane.handle_trouble(Trouble::Lists, true, world.now());
        assert_eq!(verdict(&mut world), Some(wanted));
        let view = world.lane.view(world.now());
        assert_eq!((view.troubles[0].conduct, view.troubles[0].zh.contains("名单过期")), (how, true));
        let mut world = World::new(&conduct(Trouble::Clock, how));
        world.trust = ClockTrust::Unsynced;
        assert_eq!(verdict(&mut world), Some(wanted));
    }
    let mut dead = world();
    dead.set(Input::Beam, None);
    assert_eq!(verdict(&mut dead), Some(Verdict::Refer), "what opens now could not be closed");
    assert!(dead.faults().contains(&LaneFault::InputDead));
    assert!(dead.calls().contains(&CallWhy::Trouble(Trouble::Loop)));
    let mut way_out = World::new(&LaneSpec { conduct: conduct(Trouble::Peers, Conduct::NoEntry).conduct, ..exit() });
    way_out.lane.handle_trouble(Trouble::Peers, true, way_out.now());
    assert_eq!(verdict(&mut way_out), Some(Verdict::Refer), "a vehicle that leaves is at worst referred");
}

#[test]
fn a_hazmat_lane_whose_camera_opened_by_itself_waits_for_a_person_to_arm_it() {
    let mut world = World::new(&LaneSpec { classes: [VehicleClass::Hazmat].into(), ..barrier() });
    let mut seen = world.plate("皖A12345");
    seen.opened_by_camera = true;
    world.event(Seen::Plate(seen));
    world.run(60_000);
    world.arrives("皖A22222");
    world.run(500);
    assert_eq!(
        (world.lane.view(world.now()).verdict, world.lane.view(world.now()).disarmed),
        (Some(Verdict::Hold), true)
    );
    world.restart();
    assert!(world.lane.view(world.now()).disarmed, "a restart arms nothing");
    world.run(2000);
    assert!(world.hand(&Hand::Arm { list_off: false }, &supervisor()).unwrap_err().contains("list"));
    assert!(world.hand(&Hand::Arm { list_off: true }, &guard()).is_err());
    world.hand(&Hand::Arm { list_off: true }, &supervisor()).unwrap();
    assert!(!world.lane.view(world.now()).disarmed);
    assert!(world.acts().is_empty());
}

#[test]
fn what_is_out_of_service_or_being_commissioned_moves_nothing_but_for_life() {
    use crate::domain::gate::lane::spec::Service;
    let mut world = World::new(&LaneSpec { service: Service::Commissioning, ..barrier() });
    world.arrives("皖A12345");
    world.run(1000);
    assert!(world.acts().is_empty() && world.hand(&Hand::Open { emergency: false }, &guard()).is_err());
    world.off(Input::Approach);
    world.run(30_000);
    let until = crate::domain::time::Timestamp(world.now().wall.0 + 60_000);
    world.hand(&Hand::Test { until: Some(until) }, &supervisor()).unwrap();
    world.arrives("皖A12345");
    world.run(1000);
    assert_eq!(world.acts(), ["open"], "a test was chosen");
    assert!(world.log.iter().all(|(_, output)| match output {
        Output::Step(step) => step.mode == crate::domain::record::Mode::Commissioning,
        _ => true,
    }));
}

#[test]
fn a_reversible_lane_turns_only_while_it_is_empty() {
    use crate::domain::gate::lane::spec::Flow;
    use crate::domain::gate::word::Direction;
    let mut world = World::new(&LaneSpec { flow: Flow::Reversible(Direction::In), ..exit() });
    world.on(Input::Approach);
    assert!(world.hand(&Hand::Turn(Direction::Out), &guard()).is_err());
    world.off(Input::Approach);
    world.run(2000);
    world.set(Input::Exit, None);
    assert!(world.hand(&Hand::Turn(Direction::Out), &guard()).is_err(), "a dead loop may hide one");
    world.off(Input::Exit);
    world.hand(&Hand::Turn(Direction::Out), &guard()).unwrap();
    assert_eq!(world.lane.view(world.now()).direction, Direction::Out);
    world.restart();
    assert_eq!(world.lane.view(world.now()).direction, Direction::Out);
}

/// I6: whatever it was doing.
#[test]
fn a_restart_moves_nothing_and_ends_what_nobody_saw_the_end_of() {
    for phase in Phase::ALL.iter().filter(|phase| **phase != Phase::Held) {
        let mut world = world();
        into(*phase, &mut world);
        let ended = world.outcomes().len();
        world.log.clear();
        world.restart();
        world.run(5000);
        assert!(world.acts().is_empty(), "{phase}: {:?}", world.acts());
        let outcomes = world.outcomes();
        let wanted: &[Outcome] = match phase {
            Phase::Opening | Phase::Passing => &[Outcome::Unclear],
            _ => &[],
        };
        assert_eq!(outcomes, wanted, "{phase}, {ended} before");
    }
}

/// A module says first that its inputs are dead, and then what they are.
#[test]
fn what_stands_behind_the_arm_when_the_gateway_starts_does_not_cross_a_second_time() {
    let mut world = world();
    world.arrives("皖A12345");
    world.run(2000);
    for input in [Input::UnderArm, Input::Beam, Input::Exit] {
        world.on(input);
        world.run(300);
    }
    assert_eq!(world.outcomes(), [Outcome::Crossed]);
    world.restart();
    for input in [Input::UnderArm, Input::Beam, Input::Exit] {
        world.event(Seen::Input { input, on: None });
    }
    world.run(1000);
    [Input::Approach, Input::UnderArm, Input::Beam, Input::Exit].into_iter().for_each(|input| world.off(input));
    world.run(8000);
    // What the loop before the arm still saw has turned back.
    let crossings = world.outcomes().into_iter().filter(|outcome| *outcome != Outcome::TurnedBack).count();
    assert_eq!(crossings, 1, "{:?}", world.outcomes());
}

#[test]
fn a_hold_goes_on_after_a_restart_only_where_the_arm_is_up() {
    for moved in [false, true] {
        let mut world = world();
        let until = crate::domain::time::Timestamp(world.now().wall.0 + 600_000);
        world.hand(&Hand::HoldOpen { until }, &guard()).unwrap();
        world.run(3000);
        if moved {
            world.bar.at = 0;
            (world.bar.moves, world.bar.held) = (0, false);
            world.set(Input::OpenLimit, Some(false));
            world.set(Input::CloseLimit, Some(true));
        }
        world.log.clear();
        world.restart();
        world.run(3000);
        let wanted = if moved { vec![] } else { vec!["hold"] };
        assert_eq!(world.acts(), wanted);
        assert_eq!(world.faults().contains(&LaneFault::HoldEnded), moved);
    }
}

#[test]
fn a_release_by_fire_goes_on_after_a_restart() {
    let mut world = World::new(&exit());
    world.on(Input::Fire);
    world.run(3000);
    world.off(Input::Fire);
    world.log.clear();
    world.restart();
    world.run(2000);
    assert_eq!((world.acts(), world.lane.phase()), (vec!["hold"], Phase::Held));
}
