//! The gates on the line, by the real binary: cameras, modules, readers and a board are simulated on real sockets, the register
//! is imported by the command line, and the city hears each step. What moves is looked at on the relays themselves.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkgate::lane::modbus::request::Framing;
use parkgate::lane::vzenith::answer::{Fire, NO_MOVE, offline_taken, opening};
use parkgate::sim::gatehouse::camera::{Pulse, SimCamera};
use parkgate::sim::gatehouse::module::{Plant, SimModule};
use parkgate::sim::gatehouse::serial::{SimBoard, SimReader};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use support::clock::Clock;
use support::process::{Gateway, Mosquitto};
use support::wait::{SOON, eventually, free_port, until, wall_ms};
use tokio::runtime::Runtime;

/// A vehicle on the allow list.
const KNOWN: &str = "皖R12345";
/// Others on it, for stories in which one would be taken for the same that came a moment ago.
const OTHERS: [&str; 4] = ["皖R12301", "皖R12302", "皖R12303", "皖R12304"];
/// One that nobody knows.
const STRANGER: &str = "皖R99999";
/// How long an arm takes.
const TRAVEL: Duration = Duration::from_millis(200);
/// The card of a person on the allow list: facility 18, number 13398, as Wiegand 26 with its parity.
const CARD: &[u8] = b"W26:091A2B00\n";
/// The first output of the camera that opens by its answer, for half a second.
const FIRES: Fire = Fire::Output { io: 0, pulse: Duration::from_millis(500) };

/// What the city received: each record of a stream once, by its number.
#[derive(Clone, Default)]
struct City(Arc<Mutex<BTreeMap<(String, u64), Value>>>);

impl City {
    fn listens(port: u16) -> Self {
        let city = Self::default();
        let told = Arc::clone(&city.0);
        let mut options = MqttOptions::new(format!("gates-{port}"), "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 64);
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        for stream in ["alarm", "passage", "event"] {
                            client.try_subscribe(format!("parkgate/v1/p/g/{stream}"), QoS::AtLeastOnce).unwrap();
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => keep(&mut told.lock().unwrap(), &publish.payload),
                    Ok(_) => {}
                    // The broker may be away, and ends with the story.
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        });
        city
    }

    /// Objects of a kind on the passage stream, in the order of their numbers.
    fn told(&self, kind: &str) -> Vec<Value> {
        self.of("passage", kind)
    }

    fn of(&self, stream: &str, kind: &str) -> Vec<Value> {
        let told = self.0.lock().unwrap();
        let of = told.iter().filter(|((of, _), record)| of == stream && record.get(kind).is_some());
        of.map(|(_, record)| record[kind].clone()).collect()
    }

    /// The last version of each passage of a lane, in the order in which they began.
    fn passages(&self, lane: &str) -> Vec<Value> {
        let (mut order, mut last) = (Vec::new(), BTreeMap::new());
        for passage in self.told("passage").into_iter().filter(|passage| passage["lane"] == lane) {
            let id = passage["passage"].as_str().unwrap_or_default().to_owned();
            if last.insert(id.clone(), passage).is_none() {
                order.push(id);
            }
        }
        order.into_iter().filter_map(|id| last.remove(&id)).collect()
    }
}

fn keep(told: &mut BTreeMap<(String, u64), Value>, payload: &[u8]) {
    let envelope: Value = serde_json::from_slice(payload).unwrap();
    let stream = envelope["stream"].as_str().unwrap_or_default();
    for record in envelope["records"].as_array().cloned().unwrap_or_default() {
        let number = record["seq"].as_u64().unwrap_or_default();
        told.insert((stream.to_owned(), number), record);
    }
}

/// A gate with a lane in that its module opens, a lane out that the camera's answer opens, and a door.
struct Yard {
    runtime: Runtime,
    east_in: Option<SimModule>,
    east_out: Option<SimModule>,
    door: Option<SimModule>,
    card_in: SimReader,
    card_out: SimReader,
    board: SimBoard,
    cameras: u16,
    web: u16,
    city: City,
    broker: Mosquitto,
    clock: Clock,
    dir: tempfile::TempDir,
}

impl Yard {
    /// Sets the stage; `None` after a skip.
    fn set() -> Option<Self> {
        let broker = Mosquitto::start()?;
        // On the disk of the build, not on a /tmp that may be memory.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let beside = dir.path().join("beside");
        fs::create_dir(&beside).unwrap();
        let clock = Clock::make(&beside)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let module = || runtime.block_on(SimModule::start(Framing::Tcp, TRAVEL)).unwrap();
        let (east_in, east_out, door) = (module(), module(), module());
        let reader = || runtime.block_on(SimReader::start()).unwrap();
        let (card_in, card_out) = (reader(), reader());
        let board = runtime.block_on(SimBoard::start(false)).unwrap();
        let (cameras, web) = (free_port(), free_port());
        let city = City::listens(broker.port());
        let yard = Self {
            runtime,
            east_in: Some(east_in),
            east_out: Some(east_out),
            door: Some(door),
            card_in,
            card_out,
            board,
            cameras,
            web,
            city,
            broker,
            clock,
            dir,
        };
        yard.write();
        yard.import();
        Some(yard)
    }

    fn write(&self) {
        let write = |name: &str, text: String| fs::write(self.dir.path().join(name), text).unwrap();
        let web = self.web;
        write(
            "gateway.toml",
            format!(
                "[gateway]\npark = \"p\"\nid = \"g\"\n[store]\ndir = \"data/s\"\nmirror_dir = \"data/m\"\n\
                 state_dir = \"data/t\"\nquota = \"64MiB\"\nballast = \"64KiB\"\n[store.streams.telemetry]\n\
                 retention = \"1h\"\n[web]\nlisten = \"127.0.0.1:{web}\"\n"
            ),
        );
        write("devices.toml", "[[device]]\nid = \"plc\"\nhost = \"127.0.0.1\"\nport = 9\n".to_owned());
        write("points.csv", "uid,tag,name,device,table,address,encoding\nu1,T1,one,plc,holding,0,u16\n".to_owned());
        write(
            "uplink.toml",
            format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nack = \"broker\"\n", self.broker.port()),
        );
        write("site.toml", SITE.to_owned());
        write("gates.toml", self.gates());
        write("cam.password", "x7Kp-221b\n".to_owned());
        let secret = self.dir.path().join("cam.password");
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn gates(&self) -> String {
        let port = |module: &Option<SimModule>| module.as_ref().unwrap().addr().port();
        let mut text = format!("[listen]\ncameras = \"127.0.0.1:{}\"\n{GATE}", self.cameras);
        for (id, relay) in [("cam-in", ""), ("cam-out", "relay = 0\n")] {
            text += &format!(
                "[[camera]]\nid = \"{id}\"\nmake = \"vzenith\"\nserial = \"{id}\"\nuser = \"cam\"\n\
                 password_file = \"cam.password\"\nsilent_after = \"5min\"\n{relay}"
            );
        }
        let modules = [("io-in", &self.east_in), ("io-out", &self.east_out), ("io-door", &self.door)];
        for (id, module) in modules {
            let port = port(module);
            text += &format!(
                "[[module]]\nid = \"{id}\"\nhost = \"127.0.0.1\"\nport = {port}\ninputs = 16\nrelays = 4\n\
                 pulse = \"200ms\"\ntimeout = \"3s\"\n"
            );
        }
        for (id, reader) in [("card-in", &self.card_in), ("card-out", &self.card_out)] {
            let port = reader.addr().port();
            text += &format!("[[reader]]\nid = \"{id}\"\nconverter = \"lines\"\nhost = \"127.0.0.1\"\nport = {port}\n");
        }
        let port = self.board.addr().port();
        text += &format!("[[board]]\nid = \"led-in\"\nhost = \"127.0.0.1\"\nport = {port}\n");
        for (lane, of) in [("east-in", "in"), ("east-out", "out")] {
            let board = if of == "in" { "board = \"led-in\"\n" } else { "" };
            text += &format!(
                "[[lane]]\nid = \"{lane}\"\ngate = \"east\"\nclasses = [\"small\", \"goods\"]\n\
                 cameras = [\"cam-{of}\"]\n{board}[lane.inputs]\nunder_arm = \"io-{of}:1\"\nbeam = \"io-{of}:2\"\n\
                 fire = \"io-{of}:3 nc\"\nopen_limit = \"io-{of}:4\"\nclose_limit = \"io-{of}:5\"\n\
                 exit = \"io-{of}:6\"\napproach = \"io-{of}:7\"\nguard_button = \"io-{of}:8\"\n[lane.outputs]\n\
                 open = \"io-{of}:1\"\nclose = \"io-{of}:2\"\nstop = \"io-{of}:3\"\nhold = \"io-{of}:4\"\n"
            );
        }
        text + DOOR
    }

    fn import(&self) {
        let day = |days: i64| {
            let at = jiff::Timestamp::from_millisecond(wall_ms() + days * 86_400_000).unwrap();
            at.to_string().chars().take(10).collect::<String>()
        };
        let (from, until) = (day(-1), day(30));
        let others = |row: &dyn Fn(usize, &str) -> String| {
            OTHERS.iter().enumerate().map(|(n, plate)| row(n, plate)).collect::<String>()
        };
        let other_vehicles = others(&|_, plate| format!("{plate},蓝,small\n"));
        let other_entries = others(&|n, plate| format!("L-1{n},allow,{plate},蓝,,2020-01-01,通勤\n"));
        let files = [
            ("companies.csv", "uscc,name\n91440300755691882F,示范化工\n".to_owned()),
            (
                "permits.csv",
                format!(
                    "id,kind,plate,colour,company,stage,enterprise_by,park_by,from,until,purpose\n\
                     P-1,普通车辆,{KNOWN},蓝,91440300755691882F,园区通过,钱一,孙二,{from},{until},送货\n"
                ),
            ),
            ("vehicles.csv", format!("plate,colour,class\n{KNOWN},蓝,small\n{other_vehicles}")),
            ("persons.csv", "name,id_no,kind,cards\n张伟,11010519491231002X,staff,\"018,13398\"\n".to_owned()),
            (
                "lists.csv",
                format!(
                    "id,kind,plate,colour,id_no,from,reason\nL-1,allow,{KNOWN},蓝,,2020-01-01,通勤\n\
                     L-2,allow,,,11010519491231002X,2020-01-01,员工\n{other_entries}"
                ),
            ),
        ];
        let dir = self.dir.path().join("data");
        fs::create_dir_all(&dir).unwrap();
        let config = self.dir.path().to_str().unwrap();
        for (name, text) in files {
            let file = dir.join(name);
            fs::write(&file, text).unwrap();
            let mut import = Command::new(env!("CARGO_BIN_EXE_parkgate"));
            import.args(["registry", "import", "--config", config, file.to_str().unwrap()]);
            let done = import.envs(self.clock.env()).output().unwrap();
            let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{name}: {told}");
        }
    }

    fn gateway(&self) -> Gateway {
        let mut gateway = Gateway::start_with(self.dir.path(), self.web, self.clock.env());
        gateway.wait_ready();
        gateway
    }

    fn camera(&self, id: &str) -> SimCamera {
        let to = ([127, 0, 0, 1], self.cameras).into();
        SimCamera::new(to, id, id, "cam", "x7Kp-221b", wall_ms() / 1000)
    }

    /// Heard for the first time, with its inputs at rest.
    fn heard(&self, camera: &mut SimCamera) {
        eventually(SOON, "a heartbeat is answered", || {
            self.runtime.block_on(camera.heartbeat()).is_some_and(|answer| answer.status == 200)
        });
    }

    fn sees(&self, camera: &mut SimCamera, plate: &str) -> (u64, Vec<String>) {
        self.runtime.block_on(camera.see(plate))
    }
}

impl Drop for Yard {
    /// What the city heard says why a story failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for kind in ["decision", "passage", "ticket"] {
                self.city.told(kind).iter().for_each(|told| println!("{kind}: {told}"));
            }
            let log = fs::read_to_string(support::process::log_of(self.dir.path())).unwrap_or_default();
            println!("{log}");
        }
    }
}

/// Waits until a plant is as it should be.
fn is(module: &Option<SimModule>, what: &str, seen: impl Fn(&Plant) -> bool) -> Plant {
    let module = module.as_ref().unwrap();
    until(SOON, what, || Some(module.look()).filter(|plant| seen(plant)))
}

fn change(module: &Option<SimModule>, change: impl FnOnce(&mut Plant)) {
    module.as_ref().unwrap().change(change);
}

/// Lets the gateway see what was changed.
fn shows(module: &Option<SimModule>, what: impl FnOnce(&mut Plant)) {
    change(module, what);
    let before = module.as_ref().unwrap().look().reads;
    is(module, "the inputs are read", |plant| plant.reads >= before + 3);
}

/// The vehicle before the open arm goes through.
fn drives_through(module: &Option<SimModule>) {
    is(module, "the arm is up", Plant::is_up);
    shows(module, |plant| plant.vehicle = true);
    shows(module, |plant| (plant.exit, plant.approach) = (true, false));
    shows(module, |plant| plant.vehicle = false);
    shows(module, |plant| plant.exit = false);
}

/// The last passage of a lane, once it has ended so.
fn ended(yard: &Yard, lane: &str, count: usize, outcome: &str) -> Value {
    until(SOON, &format!("passage {count} of {lane} is {outcome}"), || {
        let passages = yard.city.passages(lane);
        let last = passages.last().filter(|_| passages.len() == count)?;
        (last["outcome"] == outcome).then(|| last.clone())
    })
}

const SITE: &str = r#"
[[lane]]
id = "east-in"
direction = "in"
carries = "vehicles"
[[lane]]
id = "east-out"
direction = "out"
carries = "vehicles"
[[lane]]
id = "door"
direction = "both"
carries = "persons"
"#;

const GATE: &str = r#"
[[gate]]
id = "east"
name = "东门"
class = "general_goods"
manned = true
"#;

const DOOR: &str = r#"
[[lane]]
id = "door"
gate = "east"
readers_in = ["card-in"]
readers_out = ["card-out"]
[lane.inputs]
door_open = "io-door:9"
exit_button = "io-door:10"
fire = "io-door:3 nc"
[lane.outputs]
open = "io-door:1"
hold = "io-door:4"
"#;

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
        yard.city.told("decision").into_iter().find(|decision| decision["verdict"] == "deny")
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
        yard.city.passages("east-out").into_iter().find(|passage| passage["late"] == true)
    });
    assert_eq!(late["camera"]["number"], kept, "{late}");
    assert_eq!(back.pulses.len(), 1);
    assert_eq!(yard.east_out.as_ref().unwrap().look().pulses, [0, 1, 0], "no arm was opened for it");
    assert!(!yard.board.shown().is_empty(), "the board was written to");

    // A module that is unplugged is an alarm.
    let city = yard.city.clone();
    let down = || {
        let alarms = city.of("alarm", "alarm").into_iter();
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
        yard.city.told("decision").into_iter().find(|decision| decision["verdict"] == "deny")
    });
    assert_eq!(yard.door.as_ref().unwrap().look().pulses[0], 1);
    yard.runtime.block_on(yard.card_out.send(b"W26:EA0DC080\n"));
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

#[test]
fn killed_in_the_middle_of_a_passage_no_arm_moves_by_itself_and_no_passage_is_lost_or_doubled() {
    let Some(yard) = Yard::set() else { return };
    let mut way_in = yard.camera("cam-in");
    for (step, plate) in OTHERS.into_iter().enumerate() {
        let gateway = yard.gateway();
        yard.heard(&mut way_in);
        shows(&yard.east_in, |plant| plant.pulses = [0; 3]);
        // Where the last life left a vehicle before the arm, it is another one now.
        shows(&yard.east_in, |plant| plant.approach = true);
        let (number, _) = yard.sees(&mut way_in, plate);
        if step > 0 {
            is(&yard.east_in, "the arm is up", Plant::is_up);
        }
        if step > 1 {
            shows(&yard.east_in, |plant| plant.vehicle = true);
        }
        if step > 2 {
            shows(&yard.east_in, |plant| (plant.exit, plant.approach) = (true, false));
        }
        gateway.kill9();
        let before = yard.east_in.as_ref().unwrap().look().pulses;
        let gateway = yard.gateway();
        yard.heard(&mut way_in);
        assert_eq!(yard.runtime.block_on(way_in.send_again(number, plate)).unwrap(), NO_MOVE, "step {step}");
        let read = yard.east_in.as_ref().unwrap().look().reads;
        is(&yard.east_in, "the new life reads its inputs", |plant| plant.reads > read + 10);
        let after = yard.east_in.as_ref().unwrap().look().pulses;
        assert_eq!(after[0], before[0], "step {step}: no opening by itself");
        shows(&yard.east_in, |plant| (plant.vehicle, plant.exit, plant.approach) = (false, false, false));
        let of = || {
            let passages = yard.city.passages("east-in").into_iter();
            passages.filter(|passage| passage["camera"]["number"] == number).count()
        };
        until(SOON, "the passage is at the city", || (of() > 0).then_some(()));
        assert_eq!(of(), 1, "step {step}: once");
        gateway.kill9();
        shows_at_rest(&yard);
    }
}

/// Between two lives a person lowers the arm by hand.
fn shows_at_rest(yard: &Yard) {
    change(&yard.east_in, Plant::lower);
    is(&yard.east_in, "the arm is down", Plant::is_down);
}

#[test]
fn fire_opens_and_persons_leave_with_the_store_full_and_the_broker_gone() {
    let Some(prlimit) = support::require_cmd("prlimit") else { return };
    let Some(mut yard) = Yard::set() else { return };
    let gateway = Gateway::start_to_fill(yard.dir.path(), yard.web);
    is(&yard.door, "the module is read", |plant| plant.reads > 3);
    is(&yard.east_out, "the module is read", |plant| plant.reads > 3);
    let pid = gateway.pid().to_string();
    let set = Command::new(prlimit).args(["--pid", &pid, "--fsize=0:unlimited"]).status().unwrap();
    assert!(set.success());
    yard.broker.stop();

    yard.runtime.block_on(yard.card_out.send(b"W26:EA0DC080\n"));
    is(&yard.door, "the door is released", |plant| plant.pulses[0] == 1);
    shows(&yard.door, |plant| plant.more[0] = true);
    shows(&yard.door, |plant| plant.more[0] = false);
    change(&yard.east_out, |plant| plant.fire = true);
    change(&yard.door, |plant| plant.fire = true);
    is(&yard.east_out, "the way out is held open", |plant| plant.coil(3) && plant.is_up());
    is(&yard.door, "the door is held open", |plant| plant.coil(3));
    // The contact at rest again: it stays open until a person resets it.
    shows(&yard.east_out, |plant| plant.fire = false);
    shows(&yard.door, |plant| plant.fire = false);
    assert!(yard.east_out.as_ref().unwrap().look().coil(3) && yard.door.as_ref().unwrap().look().coil(3));
    gateway.kill9();
}
