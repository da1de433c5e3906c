//! The platform is back: it hears at once how the whole park stands, not only what changes from then on.

mod support;

use std::time::Duration;

use parkgate::sim::load::folder::Folder;
use parkgate::sim::load::{Contents, Field, Layout, Spec};
use support::process::{Gateway, Mosquitto};
use support::wait::{SOON, eventually, free_port};

const N_REGISTERS: u16 = 2_000;

fn recorded(gateway: &Gateway) -> f64 {
    gateway.metric("parkgate_values_recorded_total", &[]).unwrap_or(0.0)
}

#[test]
fn full_values_follow_each_reconnect_of_the_platform() {
    let Some(mut broker) = Mosquitto::start() else { return };
    // All registers but the counter stand still, and may be silent for an hour: what else is recorded was asked for.
    let spec =
        Spec { devices: 1, registers: N_REGISTERS, contents: Contents::Still, layout: Layout::PortEach, seed: 1 };
    let field = Field::start(&spec).unwrap();
    let mut folder = Folder::new(field.places(), N_REGISTERS, free_port()).with_uplink(broker.port());
    folder.report_all = false;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    folder.write(dir.path()).unwrap();
    let points = dir.path().join("points.csv");
    let quiet = std::fs::read_to_string(&points).unwrap().replace(",60s\n", ",1h\n");
    std::fs::write(&points, quiet).unwrap();

    let gateway = Gateway::start_ready(dir.path(), folder.web_port);
    let bulk_up = || gateway.metric("parkgate_uplink_session_up", &["bulk"]) == Some(1.0);
    for _ in 0..2 {
        eventually(SOON, "the session", bulk_up);
        // Until the full values of this session are through, whatever came before them.
        let mut last = -1.0;
        eventually(SOON, "only the counter is recorded", || {
            support::wait::live(Duration::from_secs(3));
            let now = recorded(&gateway);
            std::mem::replace(&mut last, now) + 20.0 > now && now >= f64::from(N_REGISTERS)
        });
        broker.stop();
        eventually(SOON, "the session is down", || !bulk_up());
        let before = recorded(&gateway);
        broker.resume();
        eventually(SOON, "full values", || recorded(&gateway) >= before + f64::from(N_REGISTERS - 1));
    }
    assert_eq!(gateway.sigterm(), Some(0));
}
