//! Life first, by the real binary: what a lane declares for its fire contact happens in whatever state of the lane and stays, and
//! persons leave at once, with the store full, the broker gone, the clock wrong and policies that forbid everything.
//!
//! Figures: `cargo test --test line_gates fire -- --nocapture`.

use std::process::Command;
use std::thread;
use std::time::Duration;

use parkgate::lane::vzenith::answer::NO_MOVE;
use parkgate::sim::gatehouse::camera::SimCamera;
use parkgate::sim::gatehouse::module::{Manner, Plant, SimModule};

use super::support;
use super::support::process::Gateway;
use super::support::wait::{SOON, eventually, now, until};
use super::yard::{NOBODY, Plan, STRANGER, Yard, change, is, other, shows};

/// What is asserted of what takes two seconds at worst ([`PROMISE`]): a machine with other work is no fault of the gateway.
const GENEROUS: Duration = Duration::from_secs(10);
/// From the contact to the relay: a look at the contact each 100 ms, and at most the second that relays and motors need between
/// two commands.
const PROMISE: Duration = Duration::from_secs(2);

/// A lane with what stands at it.
struct Place<'a> {
    yard: &'a Yard,
    lane: &'static str,
    module: &'a Option<SimModule>,
    camera: SimCamera,
    has_scale: bool,
}

/// Brings a lane into a state.
type Into = fn(&mut Place<'_>);

const STATES: [(&str, Into); 10] = [
    ("idle", |_| ()),
    ("approach", approach),
    ("identified", identified),
    ("decided", decided),
    ("opening", opening),
    ("passing", passing),
    ("passing, under the arm", under),
    ("clearing", clearing),
    ("closing", closing),
    ("its arm does not move", fault),
];

fn approach(place: &mut Place<'_>) {
    change(place.module, |plant| plant.approach = true);
    place.yard.phase(place.lane, "approach");
}

/// Where there is a weighbridge on which it rolls; elsewhere it is decided the moment it is read.
fn identified(place: &mut Place<'_>) {
    approach(place);
    if place.has_scale {
        place.yard.sees(&mut place.camera, &other(0));
        place.yard.phase(place.lane, "identified");
    }
}

fn decided(place: &mut Place<'_>) {
    place.yard.weighs(true);
    approach(place);
    place.yard.sees(&mut place.camera, STRANGER);
    place.yard.phase(place.lane, "decided");
}

/// By a person: where nothing is stored, no decision lets anybody in.
fn opening(place: &mut Place<'_>) {
    change(place.module, |plant| plant.manner = Manner::Jammed);
    approach(place);
    place.yard.guard("open", place.lane, &["--emergency"]);
    place.yard.phase(place.lane, "opening");
}

fn passing(place: &mut Place<'_>) {
    approach(place);
    place.yard.guard("open", place.lane, &["--emergency"]);
    is(place.module, "the arm is up", Plant::is_up);
    place.yard.phase(place.lane, "passing");
}

fn under(place: &mut Place<'_>) {
    passing(place);
    shows(place.module, |plant| plant.vehicle = true);
}

fn clearing(place: &mut Place<'_>) {
    under(place);
    change(place.module, |plant| (plant.exit, plant.approach) = (true, false));
    place.yard.phase(place.lane, "clearing");
}

fn closing(place: &mut Place<'_>) {
    clearing(place);
    change(place.module, |plant| (plant.vehicle, plant.exit, plant.manner) = (false, false, Manner::Jammed));
    place.yard.phase(place.lane, "closing");
}

fn fault(place: &mut Place<'_>) {
    opening(place);
    eventually(SOON, "it is seen not to move", || {
        let faults = place.yard.lane(place.lane)["faults"].to_string();
        faults.contains("not_moved")
    });
}

/// Lets no file grow any more: the store is full, and everything beside it.
fn fills(gateway: &Gateway) -> Option<()> {
    let prlimit = support::require_cmd("prlimit")?;
    let pid = gateway.pid().to_string();
    let set = Command::new(prlimit).args(["--pid", &pid, "--fsize=0:unlimited"]).status().unwrap();
    assert!(set.success());
    Some(())
}

/// Lets the fire contacts of all lanes open at once, and waits until each has closed the contact that holds it open; returns how
/// long that took at each.
fn held(places: &[Place<'_>], state: &str) -> Vec<Duration> {
    let began = now();
    places.iter().for_each(|place| change(place.module, |plant| plant.fire = true));
    let mut took = vec![None; places.len()];
    while took.iter().any(Option::is_none) {
        for (place, took) in places.iter().zip(&mut took) {
            let seen = place.module.as_ref().unwrap().look().coil(3);
            *took = took.or(seen.then(|| began.elapsed()));
            assert!(took.is_some() || began.elapsed() < SOON, "{state}: {} is not held open", place.lane);
        }
        thread::sleep(Duration::from_millis(2));
    }
    took.into_iter().flatten().collect()
}

#[test]
fn fire_opens_in_each_state_of_a_lane_with_the_store_full_and_the_broker_gone_and_it_stays() {
    let plan = Plan { scale: true, timing: "travel = \"2s\"", ..Plan::default() };
    let Some(mut yard) = Yard::set_with(plan) else { return };
    // What it weighed before would be believed for a moment.
    yard.weighs(false);
    let gateway = Gateway::start_to_fill(yard.dir(), yard.web(), yard.clock.env());
    let (mut way_in, mut way_out) = (yard.camera("cam-in"), yard.camera("cam-out"));
    for (module, camera) in [(&yard.east_in, &mut way_in), (&yard.east_out, &mut way_out)] {
        yard.heard(camera);
        is(module, "the module is read", |plant| plant.reads > 3);
    }
    if fills(&gateway).is_none() {
        return;
    }
    yard.broker.stop();
    let place = |lane, module, camera, has_scale| Place { yard: &yard, lane, module, camera, has_scale };
    let mut places = [place("east-in", &yard.east_in, way_in, true), place("east-out", &yard.east_out, way_out, false)];
    let mut worst = Duration::ZERO;
    for (state, into) in STATES {
        thread::scope(|scope| places.iter_mut().for_each(|place| drop(scope.spawn(move || into(place)))));
        let took = held(&places, state);
        println!("fire while {state}: held open after {took:?} (way in, way out)");
        worst = took.into_iter().fold(worst, Duration::max);
        stays_until_a_person_resets_it(&places, state);
    }
    let cases = 2 * STATES.len();
    println!(
        "worst contact to coil {} ms of {} ms, {cases} cases, store full, broker gone",
        worst.as_millis(),
        PROMISE.as_millis()
    );
    assert!(worst < GENEROUS, "{worst:?}");
    gateway.kill9();
}

/// Changes something at each place, and lets the gateway see it.
fn shows_all(places: &[Place<'_>], what: fn(&mut Plant)) {
    thread::scope(|scope| places.iter().for_each(|place| drop(scope.spawn(move || shows(place.module, what)))));
}

/// What stands there goes through; the contact at rest again closes nothing; a person gives the lanes back, and lowers their arms.
fn stays_until_a_person_resets_it(places: &[Place<'_>], state: &str) {
    for Place { module, .. } in places {
        // An arm that was broken is mended, and goes up.
        change(module, |plant| plant.manner = Manner::Honest);
        is(module, "the arm is up", Plant::is_up);
    }
    shows_all(places, |plant| plant.vehicle = true);
    shows_all(places, |plant| (plant.exit, plant.approach) = (true, false));
    shows_all(places, |plant| (plant.vehicle, plant.exit, plant.fire) = (false, false, false));
    for Place { yard, module, lane, .. } in places {
        let plant = module.as_ref().unwrap().look();
        assert!(plant.coil(3) && plant.is_up() && !plant.both, "{state}: {lane} stays open");
        yard.guard("reset-fire", lane, &[]);
    }
    let closes = |Place { yard, module, lane, .. }: &Place<'_>| {
        is(module, "it is let go", |plant| !plant.coil(3));
        change(module, Plant::lower);
        is(module, "the arm is down", Plant::is_down);
        yard.phase(lane, "idle");
    };
    thread::scope(|scope| places.iter().for_each(|place| drop(scope.spawn(move || closes(place)))));
}

#[test]
fn a_way_in_that_declares_no_entry_admits_nobody_from_the_fire_until_a_person_resets_it() {
    let Some(yard) = Yard::set_with(Plan { on_fire: "no_entry", ..Plan::default() }) else { return };
    let gateway = yard.gateway();
    let mut camera = yard.camera("cam-in");
    yard.heard(&mut camera);
    is(&yard.east_in, "the module is read", |plant| plant.reads > 3);
    let denied = || yard.city.objects("passage", "decision").iter().filter(|told| told["verdict"] == "deny").count();
    for (n, fire) in [true, false].into_iter().enumerate() {
        shows(&yard.east_in, |plant| (plant.fire, plant.approach) = (fire, true));
        eventually(SOON, "the lane knows of the fire", || yard.lane("east-in")["fire"] == true);
        let (_, answers) = yard.sees(&mut camera, &other(n));
        assert_eq!(answers, [NO_MOVE]);
        eventually(SOON, "it is refused", || denied() == n + 1);
        shows(&yard.east_in, |plant| plant.approach = false);
        yard.phase("east-in", "idle");
    }
    let plant = yard.east_in.as_ref().unwrap().look();
    assert_eq!((plant.pulses, plant.coil(3)), ([0; 3], false));
    yard.guard("reset-fire", "east-in", &[]);
    shows(&yard.east_in, |plant| plant.approach = true);
    yard.sees(&mut camera, &other(2));
    is(&yard.east_in, "the next one is let in", |plant| plant.pulses[0] == 1);
    assert_eq!(gateway.sigterm(), Some(0));
}

/// A policy that lets nobody through, whichever way.
const SHUT: &str = r#"
@code("ALL_SHUT")
@verdict("deny")
@zh("全部禁止")
@en("everything is forbidden")
forbid (principal, action, resource);
"#;

#[test]
fn persons_leave_at_once_when_all_is_forbidden_nothing_is_stored_the_clock_is_wrong_and_the_broker_is_gone() {
    let Some(mut yard) = Yard::set_with(Plan { policy: Some(SHUT), ..Plan::default() }) else { return };
    yard.clock.show(-86_400_000 * 365, false);
    let gateway = Gateway::start_to_fill(yard.dir(), yard.web(), yard.clock.env());
    is(&yard.door, "the module is read", |plant| plant.reads > 3);
    if fills(&gateway).is_none() {
        return;
    }
    yard.broker.stop();
    let mut worst = Duration::ZERO;
    for n in 0..4 {
        let (by_card, before) = (n % 2 == 0, yard.door.as_ref().unwrap().look().pulses[0]);
        let began = now();
        if by_card {
            yard.runtime.block_on(yard.card_out.send(NOBODY));
        } else {
            change(&yard.door, |plant| plant.more[1] = true);
        }
        until(SOON, "the door is released", || (yard.door.as_ref().unwrap().look().pulses[0] > before).then_some(()));
        let took = began.elapsed();
        println!(
            "a person leaves by {}: released after {took:?}",
            if by_card { "a card of nobody" } else { "the button" }
        );
        worst = worst.max(took);
        shows(&yard.door, |plant| (plant.more[0], plant.more[1]) = (true, false));
        shows(&yard.door, |plant| plant.more[0] = false);
        yard.phase("door", "idle");
    }
    assert!(worst < GENEROUS, "{worst:?}");

    change(&yard.door, |plant| plant.fire = true);
    is(&yard.door, "the door is held open", |plant| plant.coil(3));
    shows(&yard.door, |plant| plant.fire = false);
    assert!(yard.door.as_ref().unwrap().look().coil(3), "until a person resets it");
    gateway.kill9();
}
