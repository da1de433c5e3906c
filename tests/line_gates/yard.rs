//! The stage of the gates: a gate with a lane in that its module opens, a lane out that the camera's answer opens, and a door;
//! everything at them is simulated on real sockets.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkgate::domain::time::Timestamp;
use parkgate::lane::modbus::request::Framing;
use parkgate::sim::gatehouse::camera::SimCamera;
use parkgate::sim::gatehouse::module::{Plant, SimModule};
use parkgate::sim::gatehouse::serial::{SimBoard, SimReader};
use parkgate::sim::orders::{self, Order};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use tokio::runtime::Runtime;
use warp::Filter;

use super::support::city::City;
use super::support::clock::Clock;
use super::support::process::{Gateway, Mosquitto, log_of};
use super::support::wait::{SOON, eventually, free_port, until, wall_ms};

/// A vehicle on the allow list.
pub(crate) const KNOWN: &str = "皖R12345";
/// So many others on it, for stories in which one would be taken for the same that came a moment ago.
const N_OTHERS: usize = 12;
/// One that nobody knows.
pub(crate) const STRANGER: &str = "皖R99999";
/// How long an arm takes.
const TRAVEL: Duration = Duration::from_millis(200);
/// The card of a person on the allow list: facility 18, number 13398, as Wiegand 26 with its parity.
pub(crate) const CARD: &[u8] = b"W26:091A2B00\n";
/// A card of nobody.
pub(crate) const NOBODY: &[u8] = b"W26:EA0DC080\n";
/// What the city listens to.
const STREAMS: &[&str] = &["alarm", "passage", "event"];
/// What a truck shows on the weighbridge that stands still: kilograms, and the indicator's own word.
const STILL: [u16; 5] = [0, 1_500, 0, 0, 1];
/// The same that does not.
const ROLLS: [u16; 5] = [0, 1_500, 0, 0, 0];

/// Another vehicle on the allow list, 0 to [`N_OTHERS`].
pub(crate) fn other(n: usize) -> String {
    format!("皖R123{n:02}")
}

/// What differs from story to story.
pub(crate) struct Plan {
    /// Id of the gateway.
    pub(crate) gateway: &'static str,
    /// What `site.toml` says of the park.
    pub(crate) park: &'static str,
    /// What the way in declares for its fire contact.
    pub(crate) on_fire: &'static str,
    /// The way in has a weighbridge.
    pub(crate) scale: bool,
    /// The way in has a second camera, which signs its pushes.
    pub(crate) signs: bool,
    /// Where the module of the way in is, where it is not simulated here.
    pub(crate) east_in: Option<u16>,
    /// Where the store and all states are kept; absent: in the folder itself.
    pub(crate) states: Option<PathBuf>,
    /// More of `gates.toml`.
    pub(crate) gates: String,
    /// Times of the lanes for vehicles.
    pub(crate) timing: &'static str,
    /// A policy of the site's own.
    pub(crate) policy: Option<&'static str>,
    /// Where pictures go, where it is not the city's own server: what stands under `[attachments]`.
    pub(crate) attachments: Option<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            gateway: "g",
            park: "",
            on_fire: "open",
            scale: false,
            signs: false,
            east_in: None,
            states: None,
            gates: String::new(),
            timing: "",
            policy: None,
            attachments: None,
        }
    }
}

/// Where the gateway puts its pictures: an HTTP server that keeps each by its name.
pub(crate) struct Files {
    port: u16,
    held: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Files {
    fn start(runtime: &Runtime) -> Self {
        let held = Arc::new(Mutex::new(BTreeMap::new()));
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let (port, keep) = (listener.local_addr().unwrap().port(), Arc::clone(&held));
        let put = warp::put().and(warp::path!("p" / String / String)).and(warp::body::bytes());
        let put = put.map(move |_gateway: String, sha256: String, jpeg: bytes::Bytes| {
            keep.lock().unwrap().insert(sha256, jpeg.to_vec());
            warp::http::StatusCode::CREATED
        });
        runtime.spawn(warp::serve(put).incoming(listener).run());
        Self { port, held }
    }

    /// The city loses one.
    pub(crate) fn loses(&self, sha256: &str) {
        self.held.lock().unwrap().remove(sha256);
    }

    /// Whether it has this one, and it is what its name says.
    pub(crate) fn has(&self, sha256: &str) -> bool {
        self.held.lock().unwrap().get(sha256).is_some_and(|jpeg| parkgate::lane::coding::sha256(jpeg) == sha256)
    }
}

/// See the module.
pub(crate) struct Yard {
    pub(crate) runtime: Runtime,
    pub(crate) east_in: Option<SimModule>,
    pub(crate) east_out: Option<SimModule>,
    pub(crate) door: Option<SimModule>,
    pub(crate) card_in: SimReader,
    pub(crate) card_out: SimReader,
    pub(crate) board: SimBoard,
    /// Its holding registers are the weighbridge's.
    scale: SimModule,
    pub(crate) cameras: u16,
    web: u16,
    pub(crate) city: City,
    /// The pictures that the city has.
    pub(crate) files: Files,
    pub(crate) broker: Mosquitto,
    pub(crate) clock: Clock,
    plan: Plan,
    /// Commands of the city so far.
    asked: AtomicU32,
    dir: tempfile::TempDir,
}

impl Yard {
    /// Sets the stage; `None` after a skip.
    pub(crate) fn set() -> Option<Self> {
        Self::set_with(Plan::default())
    }

    /// The same, otherwise.
    pub(crate) fn set_with(plan: Plan) -> Option<Self> {
        let broker = Mosquitto::start()?;
        // On the disk of the build, not on a /tmp that may be memory.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let beside = dir.path().join("beside");
        fs::create_dir(&beside).unwrap();
        let clock = Clock::make(&beside)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let module = || runtime.block_on(SimModule::start(Framing::Tcp, TRAVEL)).unwrap();
        let (east_in, east_out, door, scale) = (module(), module(), module(), module());
        let reader = || runtime.block_on(SimReader::start()).unwrap();
        let (card_in, card_out) = (reader(), reader());
        let board = runtime.block_on(SimBoard::start(false)).unwrap();
        let (cameras, web) = (free_port(), free_port());
        let city = City::listens(broker.port(), plan.gateway, STREAMS);
        let files = Files::start(&runtime);
        let yard = Self {
            runtime,
            east_in: Some(east_in),
            east_out: Some(east_out),
            door: Some(door),
            card_in,
            card_out,
            board,
            scale,
            cameras,
            web,
            city,
            files,
            broker,
            clock,
            plan,
            asked: AtomicU32::new(0),
            dir,
        };
        yard.weighs(true);
        yard.write();
        yard.import();
        Some(yard)
    }

    fn write(&self) {
        let write = |name: &str, text: String| fs::write(self.dir.path().join(name), text).unwrap();
        let Plan { gateway, park, on_fire, states, policy, .. } = &self.plan;
        let (web, states) = (self.web, states.clone().unwrap_or_else(|| PathBuf::from("data")));
        let states = states.display();
        write(
            "gateway.toml",
            format!(
                "[gateway]\npark = \"p\"\nid = \"{gateway}\"\n[store]\ndir = \"{states}/s\"\n\
                 mirror_dir = \"{states}/m\"\nstate_dir = \"{states}/t\"\nquota = \"64MiB\"\nballast = \"64KiB\"\n\
                 [store.streams.telemetry]\nretention = \"1h\"\n[web]\nlisten = \"127.0.0.1:{web}\"\n"
            ),
        );
        write("devices.toml", "[[device]]\nid = \"plc\"\nhost = \"127.0.0.1\"\nport = 9\n".to_owned());
        write("points.csv", "uid,tag,name,device,table,address,encoding\nu1,T1,one,plc,holding,0,u16\n".to_owned());
        let own = format!("host = \"127.0.0.1\"\nport = {}\n", self.files.port);
        write("uplink.toml", self.uplink(self.plan.attachments.as_ref().unwrap_or(&own)));
        write("site.toml", format!("[park]\n{park}\n{}", SITE.replace("ON_FIRE", on_fire)));
        write("gates.toml", self.gates());
        if let Some(policy) = policy {
            fs::create_dir(self.dir.path().join("policies")).unwrap();
            write("policies/90-own.cedar", (*policy).to_owned());
        }
        for (name, text) in [("cam.password", "x7Kp-221b\n"), ("cam.key", SIGNED_WITH), ("city.key", orders::SECRET)] {
            write(name, text.to_owned());
            fs::set_permissions(self.dir.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// `uplink.toml`, with pictures going there.
    pub(crate) fn uplink(&self, attachments: &str) -> String {
        let (port, key, issuer) = (self.broker.port(), orders::KEY, orders::ISSUER);
        format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nack = \"broker\"\n\
             [[mqtt.command_key]]\nid = \"{key}\"\nissuer = \"{issuer}\"\nsecret_file = \"city.key\"\n\
             [attachments]\npictures = \"both\"\nrate = \"1MiB\"\n{attachments}"
        )
    }

    fn gates(&self) -> String {
        let port = |module: &Option<SimModule>| module.as_ref().unwrap().addr().port();
        let mut text = format!("[listen]\ncameras = \"127.0.0.1:{}\"\n{GATE}", self.cameras);
        let digest = "user = \"cam\"\npassword_file = \"cam.password\"\n";
        let signs = self.plan.signs.then_some(("cam-key", "key_file = \"cam.key\"\n", ""));
        let cameras = [("cam-in", digest, ""), ("cam-out", digest, "relay = 0\n")];
        for (id, proof, relay) in cameras.into_iter().chain(signs) {
            let serial = self.serial(id);
            text += &format!(
                "[[camera]]\nid = \"{id}\"\nmake = \"vzenith\"\nserial = \"{serial}\"\n{proof}silent_after = \"5min\"\n\
                 {relay}"
            );
        }
        let in_port = self.plan.east_in.unwrap_or_else(|| port(&self.east_in));
        for (id, port) in [("io-in", in_port), ("io-out", port(&self.east_out)), ("io-door", port(&self.door))] {
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
        if self.plan.scale {
            let port = self.scale.addr().port();
            text +=
                &format!("[[scale]]\nid = \"scale-in\"\nhost = \"127.0.0.1\"\nport = {port}\nstill_for = \"500ms\"\n");
        }
        text += &self.plan.gates;
        for (lane, of) in [("east-in", "in"), ("east-out", "out")] {
            let scale = if self.plan.scale { "scale = \"scale-in\"\n" } else { "" };
            let (cameras, more) = match of {
                "in" if self.plan.signs => ("\"cam-in\", \"cam-key\"", format!("board = \"led-in\"\n{scale}")),
                "in" => ("\"cam-in\"", format!("board = \"led-in\"\n{scale}")),
                _ => ("\"cam-out\"", String::new()),
            };
            text += &format!(
                "[[lane]]\nid = \"{lane}\"\ngate = \"east\"\nclasses = [\"small\", \"goods\"]\n\
                 cameras = [{cameras}]\n{more}[lane.inputs]\nunder_arm = \"io-{of}:1\"\nbeam = \"io-{of}:2\"\n\
                 fire = \"io-{of}:3 nc\"\nopen_limit = \"io-{of}:4\"\nclose_limit = \"io-{of}:5\"\n\
                 exit = \"io-{of}:6\"\napproach = \"io-{of}:7\"\nguard_button = \"io-{of}:8\"\n[lane.outputs]\n\
                 open = \"io-{of}:1\"\nclose = \"io-{of}:2\"\nstop = \"io-{of}:3\"\nhold = \"io-{of}:4\"\n\
                 [lane.timing]\n{}\n",
                self.plan.timing
            );
        }
        text + DOOR
    }

    fn import(&self) {
        let (from, until) = (day(-1), day(30));
        let others = |row: &dyn Fn(usize, &str) -> String| (0..N_OTHERS).map(|n| row(n, &other(n))).collect::<String>();
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
        for (name, text) in files {
            let done = self.imports(name, &text, &[]);
            let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{name}: {told}");
        }
    }

    /// Imports a file into the register, whether the gateway runs or not.
    pub(crate) fn imports(&self, name: &str, text: &str, more: &[&str]) -> Output {
        let dir = self.dir.path().join("data");
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join(name);
        fs::write(&file, text).unwrap();
        self.command(&["registry", "import"]).args(more).arg(file).output().unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkgate"));
        command.args(words).arg("--config").arg(self.dir.path()).envs(self.clock.env());
        command
    }

    /// Runs a command of `parkgate` on this folder, which must succeed; returns what it printed.
    pub(crate) fn says(&self, words: &[&str], more: &[&str]) -> String {
        let output = self.command(words).args(more).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?} {more:?}: {told}{}", String::from_utf8_lossy(&output.stderr));
        told
    }

    /// The same where it is refused; returns why.
    pub(crate) fn refused(&self, words: &[&str], more: &[&str]) -> String {
        let output = self.command(words).args(more).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{words:?} {more:?} is done: {told}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// A guard does something at a lane.
    pub(crate) fn guard(&self, what: &str, lane: &str, more: &[&str]) {
        self.says(&["lane"], &[&[what, "--lane", lane, "--why", "测试 test"], more].concat());
    }

    /// What the gates show to people.
    pub(crate) fn stands(&self) -> Value {
        serde_json::from_str(&self.says(&["lanes", "--json"], &[])).unwrap()
    }

    /// A lane as it shows itself.
    pub(crate) fn lane(&self, lane: &str) -> Value {
        let stands = self.stands();
        let lanes = stands["lanes"].as_array().cloned().unwrap_or_default();
        lanes.into_iter().find(|of| of["id"] == lane).unwrap()
    }

    /// Waits until a lane does this.
    pub(crate) fn phase(&self, lane: &str, phase: &str) {
        let mut seen = Value::Null;
        let deadline = super::support::wait::now() + SOON;
        while seen["phase"] != phase {
            let late = super::support::wait::now() > deadline;
            assert!(!late, "{lane} never was {phase}: {seen}");
            seen = self.lane(lane);
        }
    }

    /// Vehicles that are inside, and passages of which nobody knows whether they crossed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let stands = self.stands();
        let vehicles = stands.pointer("/inside/zones/0/vehicles").and_then(Value::as_object).cloned();
        let vehicles = vehicles.into_iter().flatten().filter_map(|(_, count)| count["now"].as_u64()).sum();
        let in_doubt = stands.pointer("/inside/in_doubt").and_then(Value::as_array).into_iter().flatten();
        (vehicles, in_doubt.count() as u64)
    }

    /// The last version of each passage of a lane that the city has, in the order in which they began.
    pub(crate) fn passages(&self, lane: &str) -> Vec<Value> {
        let (mut order, mut last) = (Vec::new(), BTreeMap::new());
        let of_lane = self.city.objects("passage", "passage").into_iter().filter(|passage| passage["lane"] == lane);
        for passage in of_lane {
            let id = passage["passage"].as_str().unwrap_or_default().to_owned();
            if last.insert(id.clone(), passage).is_none() {
                order.push(id);
            }
        }
        order.into_iter().filter_map(|id| last.remove(&id)).collect()
    }

    /// The city sends a signed command; returns its id. What it is answered comes on the stream of events.
    pub(crate) fn asks(&self, name: &'static str, args: &Value) -> String {
        let id = format!("c-{}", self.asked.fetch_add(1, Ordering::Relaxed));
        let target = format!("p/{}", self.plan.gateway);
        let signed = Order { name, args: args.to_string() }.signed(&target, &id, Timestamp(wall_ms()));
        let mut options = MqttOptions::new(format!("asks-{id}"), "127.0.0.1", self.broker.port());
        options.set_keep_alive(Duration::from_secs(30));
        let (client, mut connection) = Client::new(options, 4);
        client.publish(format!("parkgate/v1/{target}/cmd/{name}"), QoS::AtLeastOnce, false, signed).unwrap();
        let taken = |event| matches!(event, Ok(Event::Incoming(Packet::PubAck(_))));
        assert!(connection.iter().take(100).any(taken), "the broker did not take {id}");
        id
    }

    /// Whether what stands on the weighbridge stands still.
    pub(crate) fn weighs(&self, still: bool) {
        let words = if still { STILL } else { ROLLS };
        self.scale.change(|plant| plant.registers.iter_mut().zip(words).for_each(|(register, word)| *register = word));
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn web(&self) -> u16 {
        self.web
    }

    pub(crate) fn gateway(&self) -> Gateway {
        let mut gateway = Gateway::start_with(self.dir.path(), self.web, self.clock.env());
        gateway.wait_ready();
        gateway
    }

    pub(crate) fn camera(&self, id: &str) -> SimCamera {
        let to = ([127, 0, 0, 1], self.cameras).into();
        SimCamera::new(to, id, &self.serial(id), "cam", "x7Kp-221b", wall_ms() / 1000)
    }

    /// Each gateway has cameras of its own, but for the one that signs its pushes.
    fn serial(&self, id: &str) -> String {
        let gateway = self.plan.gateway;
        if id == "cam-key" { id.to_owned() } else { format!("{gateway}-{id}") }
    }

    /// Heard for the first time, with its inputs at rest.
    pub(crate) fn heard(&self, camera: &mut SimCamera) {
        eventually(SOON, "a heartbeat is answered", || {
            self.runtime.block_on(camera.heartbeat()).is_some_and(|answer| answer.status == 200)
        });
    }

    pub(crate) fn sees(&self, camera: &mut SimCamera, plate: &str) -> (u64, Vec<String>) {
        self.runtime.block_on(camera.see(plate))
    }
}

impl Drop for Yard {
    /// What the city heard says why a story failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for kind in ["decision", "passage", "ticket"] {
                self.city.objects("passage", kind).iter().for_each(|told| println!("{kind}: {told}"));
            }
            let log = fs::read_to_string(log_of(self.dir.path())).unwrap_or_default();
            println!("{log}");
        }
    }
}

/// A day of the register, so many from today.
pub(crate) fn day(days: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(wall_ms() + days * 86_400_000).unwrap();
    at.to_string().chars().take(10).collect()
}

/// Waits until a plant is as it should be.
pub(crate) fn is(module: &Option<SimModule>, what: &str, seen: impl Fn(&Plant) -> bool) -> Plant {
    let module = module.as_ref().unwrap();
    until(SOON, what, || Some(module.look()).filter(|plant| seen(plant)))
}

pub(crate) fn change(module: &Option<SimModule>, change: impl FnOnce(&mut Plant)) {
    module.as_ref().unwrap().change(change);
}

/// Lets the gateway see what was changed.
pub(crate) fn shows(module: &Option<SimModule>, what: impl FnOnce(&mut Plant)) {
    change(module, what);
    let before = module.as_ref().unwrap().look().reads;
    is(module, "the inputs are read", |plant| plant.reads >= before + 3);
}

/// The vehicle before the open arm goes through.
pub(crate) fn drives_through(module: &Option<SimModule>) {
    is(module, "the arm is up", Plant::is_up);
    shows(module, |plant| plant.vehicle = true);
    shows(module, |plant| (plant.exit, plant.approach) = (true, false));
    shows(module, |plant| plant.vehicle = false);
    shows(module, |plant| plant.exit = false);
}

/// The last passage of a lane, once it has ended so.
pub(crate) fn ended(yard: &Yard, lane: &str, count: usize, outcome: &str) -> Value {
    until(SOON, &format!("passage {count} of {lane} is {outcome}"), || {
        let passages = yard.passages(lane);
        let last = passages.last().filter(|_| passages.len() == count)?;
        (last["outcome"] == outcome).then(|| last.clone())
    })
}

/// What the camera that signs its pushes signs them with.
pub(crate) const SIGNED_WITH: &str = "5f1d0c6a9b7e4d2f8a3c1e0b6d9f7a5c";

const SITE: &str = r#"
[[lane]]
id = "east-in"
direction = "in"
carries = "vehicles"
on_fire = "ON_FIRE"
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
