//! Persons at a door and at a turnstile.

use super::support::*;
use crate::domain::gate::hardware::{Input, Seen, Unreadable};
use crate::domain::gate::lane::spec::{LaneSpec, Service};
use crate::domain::gate::lane::told::{LaneFault, Outcome, Output};
use crate::domain::gate::lane::{Hand, Phase};
use crate::domain::gate::presented::Credential;
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::Direction;
use crate::domain::order::LaneRule;
use crate::domain::time::ClockTrust;

fn world() -> World {
    let mut world = World::new(&door());
    world.off(Input::DoorOpen);
    world.run(400);
    world.log.clear();
    world
}

fn shows(world: &mut World, who: &str, direction: Direction) {
    let credential = Credential::Card { digest: who.into() };
    world.event(Seen::Shown { reader: "r".into(), direction, credential });
}

fn walks(world: &mut World) {
    world.on(Input::DoorOpen);
    world.run(1500);
    world.off(Input::DoorOpen);
    world.run(300);
}

#[test]
fn a_person_who_comes_in_is_decided_and_one_who_leaves_is_not_asked() {
    let mut world = world();
    shows(&mut world, "li", Direction::In);
    walks(&mut world);
    assert_eq!(world.steps(), ["detected", "identified", "decided", "opened", "entered", "completed"]);
    world.decider = Decider::Says(Verdict::Deny);
    shows(&mut world, "wang", Direction::In);
    world.run(500);
    assert_eq!(world.acts(), ["open"]);
    shows(&mut world, "wang", Direction::Out);
    assert_eq!(world.acts(), ["open", "open"], "in the same instant");
    walks(&mut world);
    assert_eq!(world.outcomes(), [Outcome::Crossed, Outcome::NotEntered, Outcome::Crossed]);
    assert_eq!(world.asks.len(), 1, "and it is decided for the record");
}

/// With a policy set that forbids everything, a store that fails, a clock unsynced, a lane out of service.
#[test]
fn persons_leave_at_once_whatever_fails() {
    type Way = (&'static str, fn(&mut World));
    let ways: [Way; 4] = [
        ("card", |world| shows(world, "li", Direction::Out)),
        ("button", |world| world.on(Input::ExitButton)),
        ("forged token", |world| {
            let why = Unreadable::Forged;
            world.event(Seen::NotShown { reader: "r".into(), direction: Direction::Out, why });
        }),
        ("twice", |world| {
            shows(world, "li", Direction::Out);
            world.log.clear();
            shows(world, "li", Direction::Out);
        }),
    ];
    for (name, way) in ways {
        for rule in [LaneRule::Normal, LaneRule::Guarded, LaneRule::NoEntry] {
            for service in [Service::InService, Service::Stopped, Service::Commissioning] {
                let mut world = world();
                world.decider = Decider::Says(Verdict::Deny);
                world.lane.handle_service(service, world.now());
                world.lane.handle_rule("k", rule, false, world.now());
                (world.store, world.trust) = (Store::Fails, ClockTrust::Unsynced);
                world.set(Input::DoorOpen, None);
                let before = world.acts().len();
                way(&mut world);
                assert!(world.acts().len() > before || name == "twice" && !world.acts().is_empty(), "{name}, {rule:?}");
            }
        }
    }
}

#[test]
fn a_door_that_opens_without_anybodys_right_is_told_and_one_left_open_too() {
    let mut world = world();
    world.on(Input::DoorOpen);
    assert_eq!((world.faults(), world.outcomes()), (vec![LaneFault::Forced], vec![Outcome::Forced]));
    world.run(31_000);
    assert!(world.faults().contains(&LaneFault::DoorHeld));
    world.off(Input::DoorOpen);
    world.run(400);
    assert!(world.lane.view(world.now()).faults.is_empty());
}

#[test]
fn fire_and_the_site_hold_a_door_and_who_shows_a_card_is_still_entered() {
    let mut world = world();
    world.on(Input::Fire);
    assert_eq!((world.acts(), world.lane.phase()), (vec!["hold"], Phase::Held));
    shows(&mut world, "li", Direction::Out);
    walks(&mut world);
    assert_eq!((world.outcomes(), world.acts()), (vec![Outcome::Free], vec!["hold"]));
    world.run(60_000);
    world.off(Input::Fire);
    world.run(1000);
    world.hand(&Hand::ResetFire, &supervisor()).unwrap();
    world.run(1000);
    assert_eq!((world.acts(), world.lane.phase()), (vec!["hold", "end_hold"], Phase::Idle));
}

#[test]
fn a_turnstile_counts_one_for_one_right() {
    let inputs = [Input::Passed, Input::ExitButton, Input::Fire].into();
    let mut world = World::new(&LaneSpec { inputs, ..door() });
    world.off(Input::Passed);
    shows(&mut world, "li", Direction::In);
    for _ in 0..2 {
        world.on(Input::Passed);
        world.run(300);
        world.off(Input::Passed);
        world.run(300);
    }
    assert_eq!(world.outcomes(), [Outcome::Crossed, Outcome::Tailgate]);
    assert_eq!(world.count(|output| matches!(output, Output::Fact(fact) if fact.fault == LaneFault::Tailgate)), 2);
}

#[test]
fn who_is_let_in_and_does_not_come_is_not_inside_and_a_guard_never_refuses_who_leaves() {
    let mut world = world();
    shows(&mut world, "li", Direction::In);
    world.run(31_000);
    assert_eq!((world.outcomes(), world.lane.phase()), (vec![Outcome::NotEntered], Phase::Idle));
    world.decider = Decider::Says(Verdict::Refer);
    shows(&mut world, "wu", Direction::In);
    world.hand(&Hand::Open { emergency: false }, &guard()).unwrap();
    assert_eq!(world.acts(), ["open", "open"]);
}
