//! A folder with every kind of device becomes sessions, and a reload changes only what changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::load;
use crate::domain::gate::word::LaneId;
use crate::lane::relay::{Block, Contact};
use crate::lane::route::To;

const SITE: &str = r#"
[[lane]]
id = "east-in"
direction = "in"
carries = "vehicles"
[[lane]]
id = "door"
direction = "both"
carries = "persons"
"#;

const GATES: &str = r#"
[listen]
cameras = "127.0.0.1:0"
terminals = "127.0.0.2:0"
[[terminal]]
id = "t-1"
phone = "013800138000"
datum = "gcj02"
[codes]
key_file = "codes.key"
[[gate]]
id = "east"
name = "东门"
class = "general_goods"
manned = true
[[camera]]
id = "cam-1"
make = "vzenith"
serial = "s-1"
key_file = "codes.key"
relay = 1
[[module]]
id = "io-1"
host = "127.0.0.1"
port = 9
inputs = 16
flash = 3
pulse = "700ms"
[[module]]
id = "io-2"
host = "127.0.0.1"
port = 9
unit = 2
function = 4
inputs = 17
[[reader]]
id = "card-in"
host = "127.0.0.1"
port = 9
[[reader]]
id = "card-out"
converter = "lines"
host = "127.0.0.1"
port = 9
unit = 2
[[push]]
id = "radar-1"
key_file = "codes.key"
queues = ["east-in"]
[[board]]
id = "led-1"
host = "127.0.0.1"
port = 9
[[scale]]
id = "scale-1"
host = "127.0.0.1"
port = 9

[[lane]]
id = "east-in"
gate = "east"
classes = ["goods"]
cameras = ["cam-1"]
board = "led-1"
scale = "scale-1"
[lane.inputs]
approach = "cam-1:2 nc"
under_arm = "io-1:1"
beam = "io-1:2 nc"
open_limit = "io-1:3"
close_limit = "io-1:4"
exit = "io-2:17"
[lane.outputs]
open = "io-1:1"
close = "io-1:3"
[[lane]]
id = "door"
gate = "east"
readers_in = ["card-in"]
readers_out = ["card-out"]
[lane.inputs]
door_open = "io-1:9"
exit_button = "io-1:10"
[lane.outputs]
open = "io-1:5"
hold = "io-1:6"
"#;

fn gates(dir: &Path, text: &str) -> Gates {
    let folders = "[store]\ndir = \"s\"\nmirror_dir = \"m\"\nstate_dir = \"t\"\n";
    fs::write(dir.join("gateway.toml"), format!("[gateway]\npark = \"p\"\nid = \"g\"\n{folders}")).unwrap();
    fs::write(dir.join("devices.toml"), "[[device]]\nid = \"d\"\nhost = \"127.0.0.1\"\n").unwrap();
    let points = "uid,tag,name,device,table,address,encoding\nu1,T1,one,d,holding,0,u16\n";
    fs::write(dir.join("points.csv"), points).unwrap();
    fs::write(dir.join("site.toml"), SITE).unwrap();
    fs::write(dir.join("gates.toml"), text).unwrap();
    fs::write(dir.join("codes.key"), "a key of more than sixteen bytes\n").unwrap();
    fs::set_permissions(dir.join("codes.key"), fs::Permissions::from_mode(0o600)).unwrap();
    load(dir).unwrap_or_else(|problems| panic!("{problems}")).config.gates
}

fn lane(id: &str) -> LaneId {
    LaneId::new(id)
}

#[test]
fn each_device_gets_a_session_and_a_module_one_for_each_of_its_lanes() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan::of(&gates(dir.path(), GATES));
    let names: Vec<&str> = plan.sessions.keys().map(String::as_str).collect();
    let expected = [
        "cameras",
        "lane door card-in",
        "lane door card-out",
        "lane door io-1",
        "lane east-in io-1",
        "lane east-in io-2",
        "lane east-in led-1",
        "lane east-in scale-1",
        "terminals",
    ];
    assert_eq!(names, expected);
    let Some(Session::Relay(module)) = plan.sessions.get("lane east-in io-1") else { panic!("no module") };
    let flash = |register, coil| Some(Contact::Flash { register, words: vec![4, 7], coil: Some(coil) });
    assert_eq!((module.open.clone(), module.close.clone(), module.hold), (flash(3, 0), flash(13, 2), None));
    assert_eq!(module.inputs.iter().map(|wire| (wire.bit, wire.closed_at_rest)).max(), Some((3, false)));
    assert_eq!(module.block, Block { function: 2, start: 0, count: 16 });
    let Some(Session::Relay(other)) = plan.sessions.get("lane east-in io-2") else { panic!("no module") };
    assert_eq!((other.block, other.open.is_some()), (Block { function: 4, start: 0, count: 2 }, false));
    let Some(Session::Relay(door)) = plan.sessions.get("lane door io-1") else { panic!("no module") };
    assert_eq!((door.open.as_ref().and_then(Contact::coil), door.hold), (Some(4), Some(5)));

    let (has, doors) = &plan.lanes[&lane("east-in")];
    assert!(has.camera && has.camera_opens && has.relay.open && has.relay.close && has.board && !has.relay.hold);
    assert_eq!(doors[&To::Relay], "lane east-in io-1");
    assert_eq!((doors[&To::Camera].as_str(), doors.len()), ("cameras", 3));
    let (has, doors) = &plan.lanes[&lane("door")];
    assert!(!has.camera && has.relay.open && has.relay.hold && !has.relay.close);
    assert_eq!(doors.keys().copied().collect::<Vec<_>>(), [To::Relay]);

    let Some(Session::Cameras(_, (seats, pushers))) = plan.sessions.get("cameras") else { panic!("no cameras") };
    assert_eq!(plan::pushers(pushers)[0].queues, [lane("east-in")].into());
    let camera = seats[0].camera();
    assert_eq!(
        camera.inputs.iter().map(|(source, wired)| (*source, wired.closed_at_rest)).collect::<Vec<_>>(),
        [(1, true)]
    );
    assert!(camera.fire.is_some() && camera.looks == Some(crate::domain::gate::word::Direction::In));
    let Some(Session::Terminals(_, known)) = plan.sessions.get("terminals") else { panic!("no terminals") };
    assert_eq!(plan::terminals(known)[0].phone, "13800138000");
}

#[tokio::test]
async fn a_reload_disturbs_only_what_changed_and_the_end_waits_for_all() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let mut supervisor = Supervisor::new(clock.clone());
    let (_orders, commands) = mpsc::channel(8);
    let (engine, mut inputs) = mpsc::channel(8);
    let (events, mut held) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let state_dir = dir.path().join("t");
    let parts =
        Parts { commands, engine, events, state_dir: state_dir.clone(), clock: clock.clone(), stop: stop.clone() };
    let mut lanes = Lanes::start(&mut supervisor, parts);
    lanes.apply(&mut supervisor, &gates(dir.path(), GATES));
    let told = tokio::time::timeout(Duration::from_secs(60), inputs.recv()).await.unwrap();
    assert!(matches!(told, Some(GateInput::Event(_))), "the hardware is heard");
    let ways: BTreeMap<String, CancellationToken> =
        lanes.running.iter().map(|(name, running)| (name.clone(), running.stop.clone())).collect();

    let changed = GATES.replace("within_kg", "").replace("pulse = \"700ms\"", "pulse = \"300ms\"");
    lanes.apply(&mut supervisor, &gates(dir.path(), &changed));
    let cancelled: Vec<&str> =
        ways.iter().filter(|(_, stop)| stop.is_cancelled()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(cancelled, ["lane door io-1", "lane east-in io-1"]);
    let without = changed.replace("board = \"led-1\"\n", "");
    lanes.apply(&mut supervisor, &gates(dir.path(), &without));
    assert!(ways["lane east-in led-1"].is_cancelled() && !lanes.running.contains_key("lane east-in led-1"));
    assert!(!ways["cameras"].is_cancelled());

    stop.cancel();
    lanes.clear();
    let draining = supervisor.drain(clock.mono() + Duration::from_secs(30));
    let (left, ()) = tokio::join!(draining, async { while inputs.recv().await.is_some() {} });
    assert!(left.is_empty(), "{left:?}");
    assert!(held.recv().await.is_none(), "the engine hears until the last of them has ended");
    assert!(state_dir.join("terminal-codes.state").exists());
}
