//! A sick device costs the others nothing: silent, hanging up, late; and one silent unit among fifty behind an address.
//!
//! The achieved intervals are printed as the devices saw them; CI asserts only that the healthy ones were polled on,
//! heard of at the platform, and lost nothing, for a loaded machine may be late.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use parkgate::sim::load::folder::Folder;
use parkgate::sim::load::{Contents, Field, Layout, Manner, Spec};
use support::scene::Scene;
use support::wait::{eventually, live, secs_from_env};

const INTERVAL: Duration = Duration::from_millis(500);
/// Healthy devices must have been polled at least this part of what was due, in percent.
const AT_LEAST: u32 = 50;

fn adjust(folder: &mut Folder) {
    folder.interval = INTERVAL;
    folder.timeout = Duration::from_millis(300);
}

/// Lets the field live and returns, of each healthy device, how often it was polled; prints their intervals.
fn polled(scene: &Scene, sick: &[usize]) -> BTreeMap<usize, u64> {
    let window = secs_from_env("PARKGATE_ISOLATION_SECS", 8);
    scene.field.forget_times();
    let before = scene.seen();
    live(window);
    let after = scene.seen();
    let healthy = |i: &usize| !sick.contains(i);
    let mut intervals: Vec<Duration> =
        scene.field.intervals().into_iter().enumerate().filter(|(i, _)| healthy(i)).flat_map(|(_, d)| d).collect();
    intervals.sort_unstable();
    let at = |percent: usize| intervals.get((intervals.len().saturating_sub(1)) * percent / 100);
    println!("healthy devices, configured {INTERVAL:?}: p50 {:?}, p99 {:?}, worst {:?}", at(50), at(99), at(100));
    let counts = before.iter().zip(&after).map(|(b, a)| a.polls - b.polls).enumerate().filter(|(i, _)| healthy(i));
    let due = window.as_millis() / INTERVAL.as_millis();
    let least = u64::try_from(due).unwrap() * u64::from(AT_LEAST) / 100;
    let counts: BTreeMap<usize, u64> = counts.collect();
    assert!(counts.values().all(|n| *n >= least), "due {due}: {counts:?}");
    counts
}

fn healthy_lost_nothing(scene: &Scene, sick: &[usize]) {
    scene.closes();
    scene.nothing_is_wrong();
    let sick: Vec<String> = sick.iter().map(|i| Folder::device(*i)).collect();
    let desk = scene.platform.desk();
    for (device, tally) in desk.counters.tallies() {
        let well = tally.missing == 0 || sick.iter().any(|s| s == device);
        assert!(well, "{device}: {tally:?}");
    }
}

#[test]
fn three_sick_devices_of_fifty_cost_the_others_nothing() {
    let Some(scene) = Scene::set(50, 20, adjust) else { return };
    let sick = [7, 23, 41];
    let gateway = scene.gateway();
    scene.heard_from_all(2);
    scene.field.behave(7, Manner::Silent);
    scene.field.behave(23, Manner::HangsUp);
    scene.field.behave(41, Manner::Late(Duration::from_millis(320)));
    polled(&scene, &sick);
    for device in sick {
        scene.field.behave(device, Manner::Answers);
    }
    // Well again, they are heard again.
    scene.heard_from_all(2);
    assert_eq!(gateway.sigterm(), Some(0));
    healthy_lost_nothing(&scene, &sick);
}

#[test]
fn one_silent_unit_of_fifty_behind_one_address_lets_the_others_be_polled() {
    let spec = Spec { devices: 50, registers: 20, contents: Contents::Walk, layout: Layout::OnePort, seed: 3 };
    let Some(mut scene) = Scene::set(1, 20, adjust) else { return };
    scene.field = Field::start(&spec).unwrap();
    scene.folder.places = scene.field.places().to_vec();
    scene.folder.write(scene.dir.path()).unwrap();
    let gateway = scene.gateway();
    scene.heard_from_all(2);
    scene.field.behave(30, Manner::Silent);
    polled(&scene, &[30]);
    scene.field.behave(30, Manner::Answers);
    eventually(support::wait::SOON, "the silent unit is polled again", || {
        let before = scene.seen()[30].polls;
        live(INTERVAL);
        scene.seen()[30].polls > before
    });
    assert_eq!(gateway.sigterm(), Some(0));
    healthy_lost_nothing(&scene, &[30]);
}
