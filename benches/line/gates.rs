//! From the push of a plate to the relay on the wire: the camera's simulator posts, the gateway decides by 50,000 permits and
//! 200 policies, audits, commits, and writes the relay of the lane's module; then the vehicle drives through and the arm comes
//! down, so that the next one finds the lane as it is on a working day.
//!
//! | case | what |
//! |---|---|
//! | one | one vehicle at a time, at twenty lanes in turn |
//! | twenty | at all twenty lanes at once |
//! | + telemetry | the same beside 5,000 values/s |
//! | memory | store, audit and register on a file system in memory: what the fsync costs |
//!
//! The time runs from before the connection is opened to when the module has the write, and so takes in HTTP, digest
//! authentication and Modbus.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::gate::lane::spec::GAP;
use parkgate::domain::time::Timestamp;
use parkgate::lane::modbus::request::Framing;
use parkgate::sim::gatehouse::camera::SimCamera;
use parkgate::sim::gatehouse::module::SimModule;
use parkgate::sim::load::folder::Folder;
use parkgate::sim::load::{Contents, Field, Layout, Spec};
use tokio::sync::Semaphore;

use super::Quantiles;
use super::support::clock::Clock as ShiftedClock;
use super::support::platform::{Manners, Platform};
use super::support::process::{Gateway, Mosquitto};
use super::support::wait::{free_port, wall_ms};

const LANES: usize = 20;
const PERMITS: usize = 50_000;
/// Policies altogether; the shipped set is a part of them.
const POLICIES: usize = 200;
/// The telemetry beside it: 50 devices with 100 registers, each second.
const DEVICES: usize = 50;
const REGISTERS: u16 = 100;
/// The arm's way up or down.
const TRAVEL: Duration = Duration::from_millis(200);
/// What is asked for at p99, with a real fsync and without.
const WITHIN: Duration = Duration::from_millis(50);
const WITHIN_IN_MEMORY: Duration = Duration::from_millis(5);
/// What telemetry may add.
const WORSE_BY: f64 = 1.2;

/// Measures and prints; `rounds` vehicles come to each lane in each case.
pub(crate) fn measure(rounds: usize) {
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let memory = Path::new("/dev/shm");
    let quiet = [1, LANES].map(|at_once| case("fsync", disk, false, at_once, rounds));
    let busy = [1, LANES].map(|at_once| case("fsync", disk, true, at_once, rounds));
    let [in_memory, _] = [1, LANES].map(|at_once| case("memory", memory, false, at_once, rounds));
    for (quiet, busy) in quiet.iter().zip(&busy) {
        judge("with a real fsync", quiet.at(0.99), WITHIN.as_secs_f64() * 1e3);
        judge("beside telemetry", busy.at(0.99), quiet.at(0.99) * WORSE_BY);
    }
    judge("without fsync, one at a time", in_memory.at(0.99), WITHIN_IN_MEMORY.as_secs_f64() * 1e3);
}

fn judge(what: &str, p99: f64, asked: f64) {
    println!("{what}: p99 {p99:.1} ms, asked for {asked:.1} ms, {}", if p99 <= asked { "met" } else { "MISSED" });
}

fn case(name: &str, place: &Path, telemetry: bool, at_once: usize, rounds: usize) -> Quantiles {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let took = runtime.block_on(async {
        let mut scene = Scene::set(place, telemetry, rounds).await;
        let took = scene.drive(at_once, rounds).await;
        tokio::task::spawn_blocking(move || scene.end()).await.unwrap();
        took
    });
    let beside = if telemetry { ", 5,000 values/s beside" } else { "" };
    let (n, took) = (took.len(), Quantiles::of(took));
    println!(
        "{name}, {at_once} at once{beside}: {n} of {}; p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        LANES * rounds,
        took.at(0.5),
        took.at(0.99),
        took.at(1.0)
    );
    took
}

struct Scene {
    cameras: Vec<SimCamera>,
    modules: Vec<Arc<SimModule>>,
    gateway: Gateway,
    _dir: [tempfile::TempDir; 2],
    _field: Field,
    _beside: Option<(Mosquitto, Platform)>,
}

impl Scene {
    async fn set(place: &Path, telemetry: bool, rounds: usize) -> Self {
        let dir = tempfile::tempdir_in(place).unwrap();
        let mut modules = Vec::new();
        for _ in 0..LANES {
            modules.push(Arc::new(SimModule::start(Framing::Tcp, TRAVEL).await.unwrap()));
        }
        let (web, push) = (free_port(), free_port());
        // A gateway has at least one device.
        let devices = if telemetry { DEVICES } else { 1 };
        let layout = Layout::PortEach;
        let spec = Spec { devices, registers: REGISTERS, contents: Contents::Walk, layout, seed: 1 };
        let field = Field::start(&spec).unwrap();
        let broker = telemetry.then(|| Mosquitto::start().unwrap());
        let mut folder = Folder::new(field.places(), REGISTERS, web);
        if let Some(broker) = &broker {
            folder = folder.with_uplink(broker.port());
        }
        folder.quota = "4GiB".to_owned();
        folder.write(dir.path()).unwrap();
        write_gates(dir.path(), push, &modules);
        import(dir.path(), rounds);
        // As on a gateway whose clock is disciplined: no permit can be dated by another one.
        let beside_it = tempfile::tempdir().unwrap();
        let clock = ShiftedClock::make(beside_it.path()).unwrap();
        let beside = broker.map(|broker| {
            let manners = Manners { acks: true, strict: false };
            let platform = Platform::start(broker.port(), &folder.park, &folder.gateway, &manners);
            (broker, platform)
        });
        let mut gateway = Gateway::start_with(dir.path(), web, clock.env());
        gateway.wait_ready();
        let cameras = (0..LANES).map(|lane| {
            let (device, serial) = (format!("cam-{lane}"), format!("serial-{lane}"));
            SimCamera::new(([127, 0, 0, 1], push).into(), &device, &serial, "parkgate", SECRET, wall_s())
        });
        Self { cameras: cameras.collect(), modules, gateway, _dir: [dir, beside_it], _field: field, _beside: beside }
    }

    /// Lets vehicles come, at most `at_once` waiting for their arm at one time; returns what each waited.
    async fn drive(&mut self, at_once: usize, rounds: usize) -> Vec<Duration> {
        let turn = Arc::new(Semaphore::new(at_once));
        for module in &self.modules {
            seen(|| (module.look().reads > 10).then_some(())).await.unwrap();
        }
        let mut lanes = tokio::task::JoinSet::new();
        for (lane, (camera, module)) in self.cameras.drain(..).zip(&self.modules).enumerate() {
            let (turn, module) = (Arc::clone(&turn), Arc::clone(module));
            let plates = (0..rounds).map(move |round| plate(lane * rounds + round)).collect();
            lanes.spawn(lane_of_vehicles(camera, module, turn, plates));
        }
        let all = lanes.join_all().await;
        all.into_iter().flatten().collect()
    }

    fn end(self) {
        assert_eq!(self.gateway.sigterm(), Some(0), "the gateway did not end well");
    }
}

async fn lane_of_vehicles(
    mut camera: SimCamera,
    module: Arc<SimModule>,
    turn: Arc<Semaphore>,
    plates: Vec<String>,
) -> Vec<Duration> {
    let clock = Clock::system();
    // The first push is asked for its proof, and the first heartbeat makes the camera known.
    camera.heartbeat().await;
    let mut took = Vec::new();
    for plate in plates {
        let permit = turn.acquire().await.unwrap();
        let pushed = clock.mono();
        module.change(|plant| plant.opened_at = None);
        camera.see(&plate).await;
        let opened = seen(|| module.look().opened_at).await;
        drop(permit);
        assert!(opened.is_some(), "the arm was not opened for {plate}");
        took.extend(opened.map(|opened| opened.since(pushed)));
        seen(|| module.look().is_up().then_some(())).await;
        module.change(|plant| plant.vehicle = true);
        tokio::time::sleep(Duration::from_millis(300)).await;
        module.change(|plant| plant.vehicle = false);
        seen(|| module.look().is_down().then_some(())).await;
        // Between two movements an arm comes to rest, whoever waits: no part of what is measured.
        tokio::time::sleep(GAP).await;
    }
    took
}

/// Waits for something to be seen, but not forever.
async fn seen<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..5_000 {
        if let Some(found) = look() {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

const SECRET: &str = "a password of the cameras";

fn plate(n: usize) -> String {
    format!("皖R{n:05}")
}

fn wall_s() -> i64 {
    wall_ms() / 1000
}

fn write_gates(dir: &Path, push: u16, modules: &[Arc<SimModule>]) {
    let mut site = String::new();
    let mut gates = format!(
        "[listen]\ncameras = \"127.0.0.1:{push}\"\n\n[[gate]]\nid = \"gate-1\"\nname = \"一号门\"\nname_en = \"gate 1\"\n\
         class = \"general_goods\"\nfrom = \"outside\"\nclasses = [\"small\"]\n"
    );
    for (lane, module) in modules.iter().enumerate() {
        write!(
            site,
            "[[lane]]\nid = \"lane-{lane}\"\nname = \"车道{lane}\"\ndirection = \"in\"\ncarries = \"vehicles\"\n\n"
        )
        .unwrap();
        let (port, io, cam) = (module.addr().port(), format!("io-{lane}"), format!("cam-{lane}"));
        write!(
            gates,
            r#"
[[camera]]
id = "{cam}"
make = "vzenith"
serial = "serial-{lane}"
user = "parkgate"
password_file = "cameras.password"
silent_after = "5min"

[[module]]
id = "{io}"
host = "127.0.0.1"
port = {port}
inputs = 8
relays = 4

[[lane]]
id = "lane-{lane}"
gate = "gate-1"
classes = ["small"]
cameras = ["{cam}"]
position = "limits"
closes = "gateway"
fail = "secure"
[lane.inputs]
under_arm = "{io}:1"
beam = "{io}:2"
fire = "{io}:3 nc"
open_limit = "{io}:4"
close_limit = "{io}:5"
[lane.outputs]
open = "{io}:1"
close = "{io}:2"
stop = "{io}:3"
[lane.timing]
clear_for = "500ms"
same_vehicle = "300ms"
duplicate = "3s"
"#
        )
        .unwrap();
    }
    std::fs::write(dir.join("site.toml"), site).unwrap();
    std::fs::write(dir.join("gates.toml"), gates).unwrap();
    write_secret(&dir.join("cameras.password"));
    write_policies(&dir.join("policies"));
}

fn write_secret(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, SECRET).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// As many policies as a site with many rules of its own: each looks at the permit's company, and none applies.
fn write_policies(dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    let stale = "[stale]\nhazmat = \"0s\"\nvisitor = \"0s\"\nfixed = \"0s\"\n";
    std::fs::write(dir.join("parameters.toml"), stale).unwrap();
    let shipped = parkgate::policy::PolicyBook::load(&parkgate::policy::settings::Sources::default()).unwrap().count();
    let mut own = String::new();
    for n in shipped..POLICIES {
        write!(
            own,
            "@code(\"SITE_{n}\")\n@verdict(\"deny\")\n@zh(\"本园区规则{n}\")\n@en(\"rule {n} of the site\")\n\
             forbid (principal is Vehicle, action == Action::\"enter\", resource)\n\
             when {{ principal.permit has company && principal.permit.company == \"company-{n}\" }};\n\n"
        )
        .unwrap();
    }
    std::fs::write(dir.join("90-site.cedar"), own).unwrap();
}

/// Fills the register as its user does: files of vehicles and permits, by the command line.
fn import(dir: &Path, rounds: usize) {
    let (vehicles, permits) = (dir.join("vehicles.csv"), dir.join("permits.csv"));
    let rows = |head: &str, row: &dyn Fn(usize) -> String| {
        (0..PERMITS).fold(format!("{head}\n"), |mut all, n| {
            all.push_str(&row(n));
            all.push('\n');
            all
        })
    };
    let of_vehicles = rows("plate,colour,class", &|n| format!("{},blue,small", plate(n)));
    let day = |ahead: i64| -> String {
        let at = Timestamp(wall_ms() + ahead * 86_400_000);
        at.to_string().chars().take(10).collect()
    };
    let (from, until) = (day(-1), day(300));
    let of_permits = rows("id,kind,plate,colour,stage,from,until,uses", &|n| {
        format!("P{n},普通车辆,{},blue,园区通过,{from},{until},unlimited", plate(n))
    });
    // Those who come are regulars as well.
    let lists = dir.join("lists.csv");
    let mut of_lists = "id,kind,plate,colour,from,reason\n".to_owned();
    (0..LANES * rounds).for_each(|n| of_lists.push_str(&format!("L{n},allow,{},blue,2020-01-01,通勤\n", plate(n))));
    std::fs::write(&lists, of_lists).unwrap();
    std::fs::write(&vehicles, of_vehicles).unwrap();
    std::fs::write(&permits, of_permits).unwrap();
    for (table, file) in [("vehicles", &vehicles), ("permits", &permits), ("lists", &lists)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkgate"));
        command.args(["registry", "import", "--config"]).arg(dir).args(["--as", table]).arg(file);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}
