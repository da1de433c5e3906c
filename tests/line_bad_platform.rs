//! A platform, or somebody with its password, that sends what no platform should: refused, counted, nothing lost.

mod support;

use std::time::Duration;

use serde_json::json;
use support::platform::{publish_once, publish_retained};
use support::process::Gateway;
use support::scene::Scene;
use support::wait::{SOON, eventually};

const TEN_MEGABYTES: usize = 10 << 20;

fn refused(gateway: &Gateway) -> f64 {
    gateway.metric("parkgate_uplink_refused_total", &[]).unwrap_or(0.0)
}

#[test]
fn garbage_and_ten_megabytes_on_its_topics_cost_nothing() {
    let Some(scene) = Scene::set(10, 20, |f| f.interval = Duration::from_millis(200)) else { return };
    let gateway = scene.gateway();
    scene.heard_from_all(3);
    let port = scene.broker.port();
    let ack = format!("{}/ack", scene.platform.base());
    let epoch = scene.platform.desk().account.epoch().unwrap().to_owned();

    let garbage: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\xff\xfe\x00garbage".to_vec(),
        b"{\"epoch\":".to_vec(),
        b"[]".to_vec(),
        b"[".repeat(30_000),
        json!({"epoch": "01JZZZZZZZZZZZZZZZZZZZZZZZ", "stream": "telemetry", "stored": [[1, 5]]}).to_string().into(),
        json!({"epoch": epoch, "stream": "nonsense", "stored": [[1, 5]]}).to_string().into(),
        json!({"epoch": epoch, "stream": "telemetry", "stored": [[9, 5]]}).to_string().into(),
        json!({"epoch": epoch, "stream": "telemetry", "stored": [[1_000_000_000, u64::MAX]]}).to_string().into(),
        json!({"epoch": epoch, "stream": "telemetry", "stored": [[-1, 5]]}).to_string().into(),
        json!({"epoch": epoch, "stream": "telemetry", "stored": "all of it"}).to_string().into(),
    ];
    let before = refused(&gateway);
    let n = u32::try_from(garbage.len()).unwrap();
    for payload in garbage {
        publish_once(port, &ack, payload);
    }
    // An empty payload is what takes a retained message back, and may be passed over.
    eventually(SOON, "the garbage is counted", || refused(&gateway) >= before + f64::from(n - 1));
    publish_once(port, &format!("{}/cmd/open_lane", scene.platform.base()), b"please".to_vec());
    scene.heard_from_all(3);

    publish_once(port, &ack, vec![b'x'; TEN_MEGABYTES]);
    publish_once(port, &format!("{}/cmd/anything", scene.platform.base()), vec![b'y'; TEN_MEGABYTES]);
    scene.heard_from_all(10);

    assert_eq!(gateway.sigterm(), Some(0));
    scene.closes();
    scene.nothing_is_wrong();
    scene.holds_every_poll(1);
}

/// Retained, the broker gives it again with every subscription: a session that breaks over it would break for ever.
#[test]
fn ten_megabytes_retained_on_the_ack_topic_do_not_stop_the_feed() {
    let Some(scene) = Scene::set(4, 10, |f| f.interval = Duration::from_millis(200)) else { return };
    publish_retained(scene.broker.port(), &format!("{}/ack", scene.platform.base()), vec![b'x'; TEN_MEGABYTES]);
    let gateway = scene.gateway();
    scene.heard_from_all(10);
    assert_eq!(gateway.sigterm(), Some(0));
    scene.closes();
    scene.nothing_is_wrong();
}
