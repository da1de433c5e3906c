//! The gates on the line, by the real binary: cameras, modules, readers and a board are simulated on real sockets, the register
//! is imported by the command line, and the city hears each step. What moves is looked at on the relays themselves.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

#[path = "line_gates/asked.rs"]
mod asked;
#[path = "line_gates/bad_input.rs"]
mod bad_input;
#[path = "support/certificates.rs"]
mod certificates;
#[path = "line_gates/cuts.rs"]
mod cuts;
#[path = "line_gates/fire.rs"]
mod fire;
#[path = "support/https.rs"]
mod https;
#[path = "line_gates/peers.rs"]
mod peers;
#[path = "line_gates/real_parts.rs"]
mod real_parts;
mod support;
#[path = "line_gates/yard.rs"]
mod yard;

use std::time::Duration;

use parkgate::lane::vzenith::answer::{Fire, NO_MOVE, offline_taken, opening};
use parkgate::sim::gatehouse::camera::Pulse;
use parkgate::sim::gatehouse::module::Plant;
use parkgate::sim::gatehouse::serial::SimReader;
use serde_json::Value;
use support::wait::{SOON, eventually, until};
use yard::{CARD, KNOWN, NOBODY, STRANGER, Yard, change, drives_through, ended, is, shows};

/// The first output of the camera that opens by its answer, for half a second.
const FIRES: Fire = Fire::Output { io: 0, pulse: Duration::from_millis(500) };

#[test]
fn a_known_vehicle_goes_in_by_its_plate_and_nothing_that_comes_later_moves_an_arm() {
    let Some(mut yard) = Yard::set() else { return };
    let gateway = yard.gateway();
    let (mut way_in, mut way_out) = (yard.camera("cam-in"), yard.camera("cam-out"));
    yard.heard(&mut way_in);
    yard.heard(&mut way_out);
    is(&yard.east_in, "the module is read", |plant| plant.reads > 3);

    // In: the module opens; the camera is told that it moves nothing.
    shows(&yard.east_in, |plant| plant.approach = true);
    let (number, answers) = yard.sees(&mut way_in, KNOWN);
    assert_eq!(answers, [NO_MOVE], "its module opens, not its answer");
    drives_through(&yard.east_in);
    let plant = is(&yard.east_in, "the arm is down again", |plant| plant.pulses[1] == 1 && plant.is_down());
    assert_eq!((plant.pulses, plant.hit, plant.both), ([1, 1, 0], false, false));
    let first = ended(&yard, "east-in", 1, "crossed");
    assert_eq!(first["verdict"], "allow", "{first}");
    assert_eq!(yard.runtime.block_on(way_in.send_again(number, KNOWN)).unwrap(), NO_MOVE);

    // One that nobody knows stays before the arm.
    shows(&yard.east_in, |plant| plant.approach = true);
    let (_, answers) = yard.sees(&mut way_in, STRANGER);
    assert_eq!(answers, [NO_MOVE]);
    until(SOON, "the stranger is refused", || {
        yard.city.objects("passage", "decision").into_iter().find(|decision| decision["verdict"] == "deny")
    });
    shows(&yard.east_in, |plant| plant.approach = false);

    // Out: the camera's own answer fires its relay, once.
    shows(&yard.east_out, |plant| plant.approach = true);
    let (number, answers) = yard.sees(&mut way_out, KNOWN);
    assert_eq!(answers, [opening(FIRES)]);
    change(&yard.east_out, Plant::raise);
    drives_through(&yard.east_out);
    is(&yard.east_out, "the arm is down again", |plant| plant.pulses[1] == 1 && plant.is_down());
    ended(&yard, "east-out", 1, "crossed");
    for _ in 0..2 {
        assert_eq!(yard.runtime.block_on(way_out.send_again(number, KNOWN)).unwrap(), NO_MOVE);
    }
    assert_eq!(way_out.pulses, [Pulse::Answer { plate_id: number, io: 0, ms: 500 }]);

    // What the camera kept while its network was away is told late, and moves nothing.
    let nowhere = ([127, 0, 0, 1], 9).into();
    let mut away = way_out.reconnected(nowhere);
    away.patience = Duration::from_millis(200);
    let (kept, answers) = yard.sees(&mut away, KNOWN);
    assert!(answers.is_empty());
    let mut back = away.reconnected(([127, 0, 0, 1], yard.cameras).into());
    assert_eq!(yard.runtime.block_on(back.send_kept()), 1, "{}", offline_taken(kept));
    let late = until(SOON, "the late record", || {
        yard.passages("east-out").into_iter().find(|passage| passage["late"] == true)
    });
    assert_eq!(late["camera"]["number"], kept, "{late}");
    assert_eq!(back.pulses.len(), 1);
    assert_eq!(yard.east_out.as_ref().unwrap().look().pulses, [0, 1, 0], "no arm was opened for it");
    assert!(!yard.board.shown().is_empty(), "the board was written to");

    // The pictures that came with its plate are on its record, and the city has them by their names.
    let city = yard.city.clone();
    let named = || {
        let passages = city.objects("passage", "passage").into_iter().filter(|passage| passage["lane"] == "east-in");
        let kept = |picture: &Value| picture["sha256"].as_str().map(str::to_owned);
        passages
            .filter_map(|passage| passage["pictures"].as_array()?.iter().map(kept).collect())
            .find(|all: &Vec<_>| all.len() == 2)
    };
    let pictures = until(SOON, "its two pictures are on record", named);
    eventually(SOON, "the city has them too", || pictures.iter().all(|sha256| yard.files.has(sha256)));

    // A beam that was checked is believed again; a lane that leads one way is not turned.
    yard.guard("trust", "east-in", &["--input", "beam"]);
    let why = yard.refused(&["lane"], &["turn", "--lane", "east-in", "--why", "换向", "--to", "out"]);
    assert!(why.contains("one direction"), "{why}");

    // A module that is unplugged is an alarm.
    let down = || {
        let alarms = city.objects("alarm", "alarm").into_iter();
        alarms.filter(|alarm| alarm["alarm"] == "lane.east-in.device" && alarm["to"] == "unacked").count()
    };
    let before = down();
    yard.east_in = None;
    eventually(SOON, "an alarm of the module", || down() > before);
    assert_eq!(gateway.sigterm(), Some(0));
}

#[test]
fn a_person_goes_in_by_a_card_and_out_whatever_is_broken() {
    let Some(mut yard) = Yard::set() else { return };
    let gateway = yard.gateway();
    is(&yard.door, "the module is read", |plant| plant.reads > 3);

    yard.runtime.block_on(yard.card_in.send(CARD));
    is(&yard.door, "the door is released", |plant| plant.pulses[0] == 1);
    shows(&yard.door, |plant| plant.more[0] = true);
    shows(&yard.door, |plant| plant.more[0] = false);
    ended(&yard, "door", 1, "crossed");

    // A card of nobody opens nothing; on the way out it opens.
    yard.runtime.block_on(yard.card_in.send(b"W26:00000000\nW26:EA0DC080\n"));
    until(SOON, "the card of nobody is refused", || {
        yard.city.objects("passage", "decision").into_iter().find(|decision| decision["verdict"] == "deny")
    });
    assert_eq!(yard.door.as_ref().unwrap().look().pulses[0], 1);
    yard.runtime.block_on(yard.card_out.send(NOBODY));
    is(&yard.door, "the door is released", |plant| plant.pulses[0] == 2);
    shows(&yard.door, |plant| plant.more[0] = true);
    shows(&yard.door, |plant| plant.more[0] = false);

    // The reader is dead: the button opens.
    yard.card_out = yard.runtime.block_on(SimReader::start()).unwrap();
    shows(&yard.door, |plant| plant.more[1] = true);
    is(&yard.door, "the door is released", |plant| plant.pulses[0] == 3);
    shows(&yard.door, |plant| plant.more[1] = false);
    assert_eq!(gateway.sigterm(), Some(0));
}
