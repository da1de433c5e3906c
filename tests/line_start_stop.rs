//! Stopping, starting, reloading: SIGTERM loses nothing, SIGHUP disturbs nobody it need not, mistakes are refused.

mod support;

use std::fs;
use std::time::Duration;

use parkgate::domain::record::Stream;
use parkgate::sim::load::folder::Folder;
use support::scene::{Scene, edit, parkgate, says};
use support::wait::{SOON, eventually};

/// `EX_CONFIG` and `EX_USAGE` of sysexits.h.
const EX_CONFIG: i32 = 78;
const EX_USAGE: i32 = 64;

fn quick(folder: &mut Folder) {
    folder.interval = Duration::from_millis(200);
}

fn no_gap(scene: &Scene) {
    let desk = scene.platform.desk();
    for stream in Stream::ALL {
        assert!(desk.account.gaps(stream).is_empty(), "{stream:?}: {:?}", desk.account.gaps(stream));
    }
}

#[test]
fn sigterm_delivers_what_was_read_and_the_next_start_has_no_gap() {
    let Some(scene) = Scene::set(10, 20, quick) else { return };
    for _ in 0..3 {
        let gateway = scene.gateway();
        scene.heard_from_all(5);
        assert_eq!(gateway.sigterm(), Some(0));
        scene.closes();
    }
    scene.nothing_is_wrong();
    // At each of three stops one answer may have been on its way: it was answered, and nobody was there to read it.
    let missing = scene.platform.desk().counters.missing();
    assert!(missing <= 3 * 10, "{missing} polls are missing");
    no_gap(&scene);
    let boots = scene.platform.desk().counters.boots().values().cloned().collect::<Vec<_>>();
    assert!(boots.iter().all(|b| b.iter().copied().eq(1..=3)), "{boots:?}");
}

#[test]
fn sigterm_during_an_outage_keeps_what_was_read_for_the_next_start() {
    let Some(mut scene) = Scene::set(10, 20, quick) else { return };
    let gateway = scene.gateway();
    scene.heard_from_all(2);
    scene.broker.stop();
    scene.asked_all(10);
    assert_eq!(gateway.sigterm(), Some(0));
    let answered: Vec<u64> = scene.seen().iter().map(|s| s.polls).collect();
    scene.broker.resume();
    let gateway = scene.gateway();
    eventually(SOON, "what was read before the stop", || {
        let desk = scene.platform.desk();
        let counters = &desk.counters;
        answered.iter().enumerate().all(|(i, polls)| counters.received(&Folder::device(i)) + 1 >= *polls)
    });
    // An end begins no history: it waits in the store for the next start. So let it be sent first.
    eventually(SOON, "nothing waits", || gateway.metric("parkgate_uplink_waiting_records", &["event"]) == Some(0.0));
    eventually(SOON, "nothing waits", || gateway.metric("parkgate_uplink_waiting_records", &["registry"]) == Some(0.0));
    assert_eq!(gateway.sigterm(), Some(0));
    scene.closes();
    scene.nothing_is_wrong();
    no_gap(&scene);
}

#[test]
fn a_reload_touches_only_the_device_that_changed() {
    let Some(scene) = Scene::set(8, 20, quick) else { return };
    let gateway = scene.gateway();
    scene.heard_from_all(5);
    let before = scene.seen();
    // One point less and another name: a new registry revision, and another configuration of one device.
    edit(&scene.dir.path().join("points.csv"), "u-0-19,D0R19,测点 0-19,dev-0,holding,19,u16,off,60s\n", "");
    edit(&scene.dir.path().join("points.csv"), "测点 0-18", "液位 0-18");
    gateway.sighup();
    eventually(SOON, "the new revision at the platform", || scene.platform.count(Stream::Registry) >= 2);
    scene.heard_from_all(5);
    let after = scene.seen();
    for (i, (before, after)) in before.iter().zip(&after).enumerate().skip(1) {
        assert_eq!(before.accepted, after.accepted, "device {i} lost its connection by the change of another");
    }
    assert_eq!(gateway.sigterm(), Some(0));
    scene.closes();
    scene.nothing_is_wrong();
    no_gap(&scene);
    let desk = scene.platform.desk();
    let tallies = desk.counters.tallies();
    assert!(tallies.iter().filter(|(d, _)| **d != "dev-0").all(|(_, t)| t.missing == 0), "{tallies:?}");
}

#[test]
fn a_reload_with_mistakes_is_refused_and_the_old_configuration_goes_on() {
    let Some(scene) = Scene::set(4, 10, quick) else { return };
    let gateway = scene.gateway();
    scene.heard_from_all(3);
    let before = scene.seen();
    let points = scene.dir.path().join("points.csv");
    let good = fs::read_to_string(&points).unwrap();
    fs::write(&points, good.replace("dev-2,holding,3,u16", "dev-2,holding,70000,u61")).unwrap();
    let said = gateway.log().matches("points.csv").count();
    gateway.sighup();
    says(&gateway, "points.csv", said);
    let refused = |yes: f64| gateway.metric("parkgate_config_refused", &[]) == Some(yes);
    eventually(SOON, "the refusal in the metrics", || refused(1.0));
    let page = gateway.get("/").map(|(_, body)| body).unwrap_or_default();
    assert!(page.contains("points.csv") && page.contains("70000"), "the page does not say what is wrong");
    scene.heard_from_all(5);
    assert!(scene.seen().iter().zip(&before).all(|(a, b)| a.accepted == b.accepted), "a connection was given up");

    fs::write(&points, good.replace("测点 1-1,", "压力 1-1,")).unwrap();
    gateway.sighup();
    eventually(SOON, "the corrected revision at the platform", || scene.platform.count(Stream::Registry) >= 2);
    scene.heard_from_all(3);
    eventually(SOON, "its end in the metrics", || refused(0.0));
    assert_eq!(gateway.sigterm(), Some(0));
    scene.closes();
    scene.nothing_is_wrong();
    no_gap(&scene);
}

#[test]
fn a_platform_that_never_acknowledges_gets_everything_again_until_it_does() {
    let adjust = |folder: &mut Folder| {
        quick(folder);
        if let Some(uplink) = &mut folder.uplink {
            uplink.ack_timeout = Duration::from_secs(2);
        }
    };
    let Some(scene) = Scene::set(4, 10, adjust) else { return };
    scene.platform.set_acks(false);
    let gateway = scene.gateway();
    let held = |scene: &Scene| scene.platform.count(Stream::Telemetry);
    eventually(SOON, "records come again", || {
        scene.platform.desk().account.totals().duplicates > 50 && held(&scene) > 50
    });
    assert_eq!(gateway.sigterm(), Some(0));

    // Nothing was acknowledged, so a new run begins with the oldest.
    let before = scene.platform.desk().account.totals().duplicates;
    let gateway = scene.gateway();
    eventually(SOON, "the new run sends the old again", || {
        scene.platform.desk().account.totals().duplicates > before + 50
    });
    scene.platform.set_acks(true);
    // Once acknowledged, nothing comes again: two looks a time-out apart see the same number.
    eventually(SOON, "no record comes again", || {
        let duplicates = scene.platform.desk().account.totals().duplicates;
        support::wait::live(Duration::from_secs(3));
        scene.platform.desk().account.totals().duplicates == duplicates
    });
    assert_eq!(gateway.sigterm(), Some(0));
    scene.closes();
    scene.nothing_is_wrong();
    no_gap(&scene);
}

#[test]
fn check_tells_every_mistake_and_the_exit_code_says_what_kind_it_is() {
    let Some(scene) = Scene::set(2, 5, quick) else { return };
    let dir = scene.dir.path().to_str().unwrap();
    let good = parkgate(&["check", "--config", dir]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");

    let points = scene.dir.path().join("points.csv");
    edit(&points, "D0R1,测点 0-1,dev-0,holding,1,u16", "D0R1,测点 0-1,dev-0,holding,70000,u16");
    edit(&points, "D1R2,测点 1-2,dev-1,holding,2,u16", "D1R2,测点 1-2,dev-9,holding,2,u61");
    edit(&scene.dir.path().join("gateway.toml"), "quota = ", "qouta = ");
    edit(&scene.dir.path().join("uplink.toml"), "\"platform\"", "\"nobody\"");
    for command in ["check", "run"] {
        let bad = parkgate(&[command, "--config", dir]);
        assert_eq!(bad.status.code(), Some(EX_CONFIG), "{bad:?}");
        let said = String::from_utf8_lossy(&bad.stderr).into_owned() + &String::from_utf8_lossy(&bad.stdout);
        for mistake in ["70000", "dev-9", "u61", "qouta", "nobody", "points.csv", "gateway.toml", "uplink.toml"] {
            assert!(said.contains(mistake), "`{command}` does not tell `{mistake}`:\n{said}");
        }
    }
    assert_eq!(parkgate(&["check", "--confgi", dir]).status.code(), Some(EX_USAGE));
    assert_eq!(parkgate(&["chekc"]).status.code(), Some(EX_USAGE));
    assert_eq!(parkgate(&["check", "--config", "/nowhere/at/all"]).status.code(), Some(EX_CONFIG));
}
