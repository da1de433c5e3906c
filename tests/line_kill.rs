//! `kill -9` in the middle of an outage and of a drain, again and again: what was in the store arrives exactly as it was
//! stored, what is missing stands in a `crash_uncommitted` gap, and every device is heard again after each start.

mod support;

use std::time::Duration;

use parkgate::domain::record::Stream;
use support::scene::Scene;
use support::wait::{live, now};

/// Kills while the broker is away, and while the backlog drains.
const KILLS_IN_OUTAGE: u32 = 10;
const KILLS_IN_DRAIN: u32 = 3;
/// Between two polls of a device.
const INTERVAL: Duration = Duration::from_millis(500);
/// Polls a kill may cost one device: those of the last second (not committed), one answered and not yet numbered, and
/// as many again because a loaded disk commits late.
const LOST_PER_KILL: u64 = 6;

#[test]
fn a_gateway_killed_again_and_again_delivers_what_it_had_stored() {
    let Some(mut scene) = Scene::set(50, 20, |folder| folder.interval = INTERVAL) else { return };
    let mut gateway = scene.gateway();
    scene.heard_from_all(2);
    scene.broker.stop();
    for kill in 1..=KILLS_IN_OUTAGE {
        live(Duration::from_millis(1_000 + 137 * u64::from(kill)));
        gateway.kill9();
        let began = now();
        gateway = scene.gateway();
        let ready = began.elapsed();
        scene.asked_all(2);
        println!("kill {kill}: ready after {ready:?}, every device asked twice after {:?}", began.elapsed());
    }
    // Every device is recorded under this boot before the drain begins to count.
    scene.asked_all(3);
    scene.broker.resume();
    for kill in 1..=KILLS_IN_DRAIN {
        live(Duration::from_millis(150 * u64::from(kill)));
        gateway.kill9();
        gateway = scene.gateway();
        let began = now();
        // What was not stored dies with the next kill: every device must be heard under this boot before it.
        scene.heard_under_boot(1 + KILLS_IN_OUTAGE + kill);
        println!("kill {kill} of the drain: every device published again after {:?}", began.elapsed());
    }
    scene.heard_from_all(2);
    assert_eq!(gateway.sigterm(), Some(0));
    scene.closes();
    scene.nothing_is_wrong();
    println!("{}", scene.account());
    every_hole_is_a_crash(&scene);
    every_device_in_every_boot(&scene);
}

/// Every poll that a device answered and nobody holds lies within a `crash_uncommitted` gap, and there are few.
fn every_hole_is_a_crash(scene: &Scene) {
    let desk = scene.platform.desk();
    let gaps = desk.account.gaps(Stream::Telemetry);
    assert!(gaps.keys().all(|reason| reason == "crash_uncommitted"), "{gaps:?}");
    let crashes = gaps.get("crash_uncommitted").cloned().unwrap_or_default();
    let holes = desk.counters.holes();
    let worst = holes.iter().map(|(_, n)| *n).max().unwrap_or(0);
    println!("{} polls missing in {} holes, the worst {worst}; gaps {crashes:?}", desk.counters.missing(), holes.len());
    for (seqs, missing) in holes {
        let explained = crashes.iter().any(|gap| gap.start() <= seqs.end() && gap.end() >= seqs.start());
        assert!(explained, "{missing} polls are missing between records {seqs:?}, and no gap says so: {crashes:?}");
        assert!(missing <= LOST_PER_KILL, "{missing} polls are missing between records {seqs:?}");
    }
}

fn every_device_in_every_boot(scene: &Scene) {
    let desk = scene.platform.desk();
    let boots = desk.counters.boots();
    assert_eq!(boots.len(), 50);
    let expected: Vec<u32> = (1..=1 + KILLS_IN_OUTAGE + KILLS_IN_DRAIN).collect();
    for (device, boots) in boots {
        assert_eq!(boots.into_iter().collect::<Vec<_>>(), expected, "{device}");
    }
}
