//! `kill -9` and power cuts at each step of a passage, by the real binary: no arm moves by itself, no passage is lost or told
//! twice, and who is inside is counted right.
//!
//! The power is cut by an ext4 of our own that is shut down ([`Disk`]): all that the gateway keeps is on it.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use parkgate::lane::vzenith::answer::NO_MOVE;
use parkgate::sim::gatehouse::camera::SimCamera;
use parkgate::sim::gatehouse::module::{Manner, Plant};
use serde_json::Value;

use super::support::disk::{self, Disk};
use super::support::process::Gateway;
use super::support::wait::{SOON, eventually, until};
use super::support::{require_root, skip};
use super::yard::{Plan, STRANGER, Yard, change, is, other, shows};

/// Megabytes of the disk whose power is cut: the store's quota, and everything beside it.
const DISK_MB: u64 = 256;

/// What becomes of a passage that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing was opened: it did not come in.
    Outside,
    /// It was opened for, and nobody can say whether it crossed.
    Doubt,
    /// The same, and what stood under the arm drives on: somebody is seen to go through an open arm, and whether that was the
    /// vehicle of which nobody can say, a person clears up.
    DoubtAndOn,
    /// It crossed.
    Crossed,
    /// It crossed at the very moment: it is counted, or in doubt, and never neither or both.
    CrossedOrDoubt,
}

/// How a passage is brought to a step; the thing that ends the life is called there, where the step lasts no longer.
type Lead = fn(&Yard, &mut SimCamera, &str);

/// A step of the lane's diagram.
type Step = (&'static str, Lead, End);

/// The step in which it rolls on the weighbridge.
const ROLLS: &str = "identified, while it is weighed";

/// The steps of the lane's diagram, in their order.
const STEPS: [Step; 11] = [
    ("approach", approaches, End::Outside),
    (ROLLS, rolls, End::Outside),
    ("decided: refused", refused, End::Outside),
    ("ordered, the contact just on", ordered, End::Doubt),
    ("opening", opening, End::Doubt),
    ("passing: open, nobody has entered", passing, End::Doubt),
    ("passing: under the arm", under, End::DoubtAndOn),
    ("behind the arm, just so", behind, End::CrossedOrDoubt),
    ("clearing", clearing, End::Crossed),
    ("closing", closing, End::Crossed),
    ("closed", closed, End::Crossed),
];

fn approaches(yard: &Yard, _: &mut SimCamera, _: &str) {
    change(&yard.east_in, |plant| plant.approach = true);
    yard.phase("east-in", "approach");
}

fn rolls(yard: &Yard, camera: &mut SimCamera, plate: &str) {
    approaches(yard, camera, plate);
    yard.sees(camera, plate);
    yard.phase("east-in", "identified");
}

fn refused(yard: &Yard, camera: &mut SimCamera, _: &str) {
    approaches(yard, camera, "");
    yard.sees(camera, STRANGER);
    yard.phase("east-in", "decided");
}

/// Ends the moment the contact goes on. What the gateway keeps of its lanes was kept just before, when it came to the
/// loop: of the opening the entry of the audit alone is durable.
fn ordered(yard: &Yard, camera: &mut SimCamera, plate: &str) {
    let look = || yard.east_in.as_ref().unwrap().look();
    change(&yard.east_in, |plant| plant.approach = true);
    let before = look().reads;
    let soon = |what: &str, seen: &dyn Fn(&Plant) -> bool| {
        let began = super::support::wait::now();
        while !seen(&look()) {
            assert!(began.elapsed() < SOON, "never: {what}");
            thread::sleep(Duration::from_micros(500));
        }
    };
    soon("the loop is read", &|plant| plant.reads > before);
    // Its camera does not wait for the rest of the answer.
    camera.patience = Duration::from_millis(50);
    thread::scope(|scope| {
        scope.spawn(|| yard.sees(camera, plate));
        soon("the contact is on", &|plant| plant.pulses[0] == 1);
    });
}

fn opening(yard: &Yard, camera: &mut SimCamera, plate: &str) {
    change(&yard.east_in, |plant| plant.manner = Manner::Jammed);
    approaches(yard, camera, plate);
    yard.sees(camera, plate);
    yard.phase("east-in", "opening");
}

fn passing(yard: &Yard, camera: &mut SimCamera, plate: &str) {
    approaches(yard, camera, plate);
    yard.sees(camera, plate);
    is(&yard.east_in, "the arm is up", Plant::is_up);
    yard.phase("east-in", "passing");
}

fn under(yard: &Yard, camera: &mut SimCamera, plate: &str) {
    passing(yard, camera, plate);
    change(&yard.east_in, |plant| plant.vehicle = true);
    eventually(SOON, "it is under the arm", || yard.lane("east-in")["under_arm"] == true);
}

fn behind(yard: &Yard, camera: &mut SimCamera, plate: &str) {
    under(yard, camera, plate);
    change(&yard.east_in, |plant| (plant.exit, plant.approach) = (true, false));
    let before = yard.east_in.as_ref().unwrap().look().reads;
    is(&yard.east_in, "the loop behind is read", |plant| plant.reads > before);
}

/// It has crossed, and keeps the arm from closing by standing on the loop under it.
fn clearing(yard: &Yard, camera: &mut SimCamera, plate: &str) {
    under(yard, camera, plate);
    change(&yard.east_in, |plant| (plant.exit, plant.approach) = (true, false));
    yard.phase("east-in", "clearing");
}

fn closing(yard: &Yard, camera: &mut SimCamera, plate: &str) {
    clearing(yard, camera, plate);
    change(&yard.east_in, |plant| plant.manner = Manner::Jammed);
    change(&yard.east_in, |plant| (plant.vehicle, plant.exit) = (false, false));
    yard.phase("east-in", "closing");
}

fn closed(yard: &Yard, camera: &mut SimCamera, plate: &str) {
    clearing(yard, camera, plate);
    change(&yard.east_in, |plant| (plant.vehicle, plant.exit) = (false, false));
    yard.phase("east-in", "idle");
}

#[test]
fn killed_at_each_step_of_a_passage_no_arm_moves_by_itself_no_passage_is_lost_or_doubled_and_the_counts_are_right() {
    in_halves(|steps| {
        let Some(yard) = Yard::set_with(plan(None)) else { return };
        story(&yard, &Gateway::kill9, steps);
    });
}

/// Whoever is let in and does not come is given up after a while that a story can wait for.
fn plan(states: Option<PathBuf>) -> Plan {
    Plan { scale: true, states, timing: "not_entered = \"10s\"", ..Plan::default() }
}

/// Tells the story at two gates at once, half of the steps at each: most of its time is spent waiting.
fn in_halves(told: impl Fn(&[Step]) + Sync) {
    let (first, second) = STEPS.split_at(STEPS.len() / 2);
    thread::scope(|scope| {
        scope.spawn(|| told(first));
        told(second);
    });
}

#[test]
fn after_a_power_cut_at_each_step_of_a_passage_it_is_the_same() {
    if !require_root("a power cut needs a loop mount") {
        return;
    }
    if let Err(why) = disk::in_a_namespace("cuts::inside") {
        skip(&why);
    }
}

#[test]
#[ignore = "run in a mount namespace of its own by the test above"]
fn inside() {
    if !disk::is_inside() {
        return;
    }
    in_halves(|steps| {
        let dir = tempfile::tempdir().unwrap();
        let disk = match Disk::create(&dir.path().canonicalize().unwrap(), DISK_MB) {
            Ok(disk) => disk,
            Err(why) => return skip(&why),
        };
        let Some(yard) = Yard::set_with(plan(Some(disk.mount.join("gateway")))) else { return };
        let cut = |gateway: Gateway| {
            disk.cut();
            gateway.kill9();
            disk.reboot();
        };
        story(&yard, &cut, steps);
    });
}

/// One life for each step: it ends in the middle of a passage, and the next one takes up what it left.
fn story(yard: &Yard, cut: &dyn Fn(Gateway), steps: &[Step]) {
    let mut camera = yard.camera("cam-in");
    let mut gateway = yard.gateway();
    yard.heard(&mut camera);
    // How many were opened for, and of how many of them it is certain that they crossed, or that nobody can say.
    let (mut number, mut through, mut crossed, mut doubted) = (0, 0, 0, 0);
    for (n, (step, lead, end)) in steps.iter().copied().enumerate() {
        let plate = other(n);
        shows(&yard.east_in, |plant| plant.pulses = [0; 3]);
        lead(yard, &mut camera, &plate);
        let before = look(yard).pulses;
        cut(gateway);
        // What stands on the weighbridge of the next life rolls in one step: what it weighed before would be believed for a moment.
        yard.weighs(steps.get(n + 1).is_none_or(|(next, ..)| *next != ROLLS));
        gateway = yard.gateway();
        camera.patience = Duration::from_secs(10);
        yard.heard(&mut camera);
        if step != "approach" {
            number += 1;
            let shown = if end == End::Outside && step.starts_with("decided") { STRANGER } else { &plate };
            let answer = yard.runtime.block_on(camera.send_again(number, shown));
            assert_eq!(answer.as_deref(), Some(NO_MOVE), "{step}: a resend moves nothing");
        }
        let reads = look(yard).reads;
        let after = is(&yard.east_in, "the new life reads its inputs", |plant| plant.reads > reads + 10);
        assert_eq!((after.pulses, after.coil(3)), (before, false), "{step}: nothing moves by itself");
        goes_on(yard, end == End::DoubtAndOn);
        through += u64::from(end != End::Outside);
        crossed += u64::from(end == End::Crossed);
        doubted += u64::from([End::Doubt, End::DoubtAndOn].contains(&end));
        let counts = yard.counts();
        println!("{step}: (inside, in doubt) {counts:?}; (open, close, stop) {:?}", look(yard).pulses);
        let right = counts.0 + counts.1 == through && counts.0 >= crossed && counts.1 >= doubted;
        assert!(right, "{step}: (inside, in doubt) {counts:?} of {through}: {:#}", yard.stands()["inside"]);
        if step != "approach" {
            told_once(yard, step, number, end);
        }
    }
    assert_eq!(gateway.sigterm(), Some(0));
}

fn look(yard: &Yard) -> Plant {
    yard.east_in.as_ref().unwrap().look()
}

/// What stood there goes away, and a person lowers an arm that is up.
fn goes_on(yard: &Yard, through: bool) {
    change(&yard.east_in, |plant| plant.manner = Manner::Honest);
    if through {
        shows(&yard.east_in, |plant| (plant.exit, plant.approach) = (true, false));
    }
    shows(&yard.east_in, |plant| (plant.vehicle, plant.exit, plant.approach) = (false, false, false));
    change(&yard.east_in, Plant::lower);
    is(&yard.east_in, "the arm is down", Plant::is_down);
    yard.phase("east-in", "idle");
}

/// The city has the passage of this number of the camera once, and how it ended.
fn told_once(yard: &Yard, step: &str, number: u64, end: End) {
    let outcomes = || {
        let passages = yard.passages("east-in").into_iter();
        passages.filter(|passage| passage["camera"]["number"] == number).collect::<Vec<Value>>()
    };
    let told = until(SOON, &format!("{step}: the end of passage {number} is at the city"), || {
        let told = outcomes();
        told.iter().any(|passage| passage.get("outcome").is_some()).then_some(told)
    });
    let outcome = told[0]["outcome"].as_str().unwrap_or_default();
    let good: &[&str] = match end {
        End::Outside => &["refused", "turned_back", "not_entered"],
        End::Doubt | End::DoubtAndOn => &["in_doubt"],
        End::Crossed => &["crossed"],
        End::CrossedOrDoubt => &["crossed", "in_doubt"],
    };
    assert!(told.len() == 1 && good.contains(&outcome), "{step}: {told:?}");
}
