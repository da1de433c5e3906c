//! A tank truck with everything valid, by commands alone: who is inside is counted and signed, its waybill is entered from paper,
//! its checks are answered; it enters. With the same waybill it does not enter again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use parkgate::sim::gatehouse::module::{Plant, SimModule};
use parkgate::sim::gates::papers::{CardOf, TANKER};
use parkgate::sim::gates::{Gatehouse, LANES};
use serde_json::Value;

use super::support::clock::Clock;
use super::support::process::Gateway;
use super::support::wait::{SOON, eventually, free_port, live, until, wall_ms};
use super::{line, refused, said};

/// Numbers of documents that nobody has.
const DRIVER: &str = "TEST00003";
const ESCORT: &str = "TEST00004";
const WORKS: &str = "91440300755691882F";
/// Offset of the park's clock: eight hours.
const EAST: i64 = 8 * 3_600_000;
const HOUR: i64 = 3_600_000;
/// The same plate within this is the same read.
const DUPLICATE: Duration = Duration::from_secs(3);

/// A time as the files of the register have it, so many hours from now.
fn local(hours: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(wall_ms() + EAST + hours * HOUR).unwrap().to_string();
    at.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

fn write_folder(dir: &Path, gatehouse: &Gatehouse, web_port: u16) {
    super::folder(dir, free_port(), web_port);
    fs::remove_file(dir.join("outputs.toml")).unwrap();
    let lane = |lane: &parkgate::sim::gates::LaneKind| {
        let carries = if lane.classes.is_empty() { "persons" } else { "vehicles" };
        let (id, way) = (lane.id, lane.direction);
        format!("[[lane]]\nid = \"{id}\"\ndirection = \"{way}\"\ncarries = \"{carries}\"\n")
    };
    fs::write(dir.join("site.toml"), LANES.iter().map(lane).collect::<String>()).unwrap();
    gatehouse.write(dir).unwrap();
    let gates = fs::read_to_string(dir.join("gates.toml")).unwrap();
    let timing = format!("[lane.timing]\nduplicate = \"{}s\"\n[lane.inputs]", DUPLICATE.as_secs());
    fs::write(dir.join("gates.toml"), gates.replace("[lane.inputs]", &timing)).unwrap();
    fs::set_permissions(dir.join("camera.password"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn tables() -> [(&'static str, String); 5] {
    let (from, until, year) = (local(-1), local(20), local(24 * 300));
    let valid = format!("{year},{year},{year},{year}");
    [
        // Dangerous goods stay out until it is known who is to be kept out.
        ("lists.csv", format!("id,kind,plate,colour,source,from,reason\nL-1,黑名单,鲁A00001,黄,park,{from},欠费\n")),
        ("companies.csv", format!("uscc,name\n{WORKS},示范化工\n")),
        (
            "persons.csv",
            format!(
                "name,id_kind,id_no,kind,cards,training_until,driver_until,escort_until\n\
                 王强,other,{DRIVER},driver,0001193003,{year},{year},\n刘洋,other,{ESCORT},escort,0001193004,{year},,{year}\n"
            ),
        ),
        (
            "vehicles.csv",
            format!(
                "plate,colour,class,licence_until,insurance_until,transport_until,tank_until,tank,scope,media,gross_max_kg\n\
                 {TANKER},黄,hazmat,{valid},是,3,1230,49000\n"
            ),
        ),
        (
            "permits.csv",
            format!(
                "id,kind,plate,colour,company,stage,enterprise_by,park_by,from,until,uses,purpose\n\
                 P-1,危化车辆,{TANKER},黄,{WORKS},园区通过,钱一,孙二,{from},{until},2,送货\n"
            ),
        ),
    ]
}

fn waybill() -> String {
    let mut waybill: Value = serde_json::from_str(&said(&["hazmat", "template"])).unwrap();
    let person = |number: &str| serde_json::json!({ "id": { "kind": "other", "number": number } });
    (waybill["driver"], waybill["escort"]) = (person(DRIVER), person(ESCORT));
    waybill["tractor"]["text"] = TANKER.into();
    waybill["trailer"] = Value::Null;
    waybill["goods"][0]["subsidiary"] = serde_json::json!([]);
    waybill.to_string()
}

/// Lets the gateway see what was changed.
fn shows(module: &SimModule, change: impl FnOnce(&mut Plant)) {
    module.change(change);
    let before = module.look().reads;
    eventually(SOON, "the inputs are read", || module.look().reads >= before + 3);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one walk, told from its beginning to its end")]
fn a_tank_truck_with_everything_valid_enters_once_and_not_again_with_the_same_waybill() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let beside = dir.path().join("beside");
    fs::create_dir(&beside).unwrap();
    let Some(clock) = Clock::make(&beside) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let gatehouse = runtime.block_on(Gatehouse::start()).unwrap();
    let web_port = free_port();
    write_folder(dir.path(), &gatehouse, web_port);
    let config = dir.path().to_str().unwrap();
    let run = |words: &[&str]| said(&[words, &["--config", config]].concat());
    let fails = |words: &[&str]| refused(&[words, &["--config", config]].concat());
    let mut gateway = Gateway::start_with(dir.path(), web_port, clock.env());
    gateway.wait_ready();
    for (name, text) in tables() {
        let file = beside.join(name);
        fs::write(&file, text).unwrap();
        run(&["registry", "import", file.to_str().unwrap()]);
    }

    // Who is inside is not known before somebody has counted and signed.
    line(&run(&["inside"]), &["sign a count"]);
    assert!(fails(&["inside", "count", "moon", "--persons", "0", "--why", "点名"]).contains("no zone `moon`"));
    line(
        &run(&["inside", "count", "park", "--persons", "0", "--by-name", "--why", "开园点名"]),
        &["known from here on"],
    );
    // The waybill, from paper; then the list, item by item.
    let file = beside.join("waybill.json");
    fs::write(&file, waybill()).unwrap();
    let file = file.to_str().unwrap();
    line(&run(&["hazmat", "enter", file, "--why", "平台中断，凭纸质运单"]), &["is entered", "dispatched"]);
    assert!(fails(&["hazmat", "check", "YD-2026-0001", "godos", "--pass"]).contains("vehicle_papers"));
    assert!(fails(&["hazmat", "check", "YD-2026-0001", "goods", "--fail"]).contains("what is wrong"));
    let shown: Value = serde_json::from_str(&run(&["hazmat", "--json", "show", "YD-2026-0001"])).unwrap();
    let items = shown["checks"].as_array().unwrap().iter().map(|check| check["item"].as_str().unwrap().to_owned());
    let items: Vec<String> = items.collect();
    for item in &items {
        run(&["hazmat", "check", "YD-2026-0001", item, "--pass"]);
    }
    line(&run(&["hazmat", "show", "YD-2026-0001"]), &["goods", "合格 passed"]);

    // It comes, is known by its plate and the cards of its crew, and goes in.
    let lane = gatehouse.lanes.iter().find(|lane| lane.kind.id == "chem-in").unwrap();
    let (module, reader) = (&lane.module, lane.reader_in.as_ref().unwrap());
    let mut camera = lane.camera(gatehouse.cameras);
    camera.colour = 2;
    eventually(SOON, "a heartbeat is answered", || {
        runtime.block_on(camera.heartbeat()).is_some_and(|answer| answer.status == 200)
    });
    let last = |run: &dyn Fn(&[&str]) -> String| {
        let stands: Value = serde_json::from_str(&run(&["lanes", "--json"])).unwrap();
        let lanes = stands["lanes"].as_array().cloned().unwrap();
        lanes.into_iter().find(|lane| lane["id"] == "chem-in").unwrap()["last"].clone()
    };
    let comes = |camera: &mut parkgate::sim::gatehouse::camera::SimCamera| {
        shows(module, |plant| plant.approach = true);
        camera.clock = wall_ms() / 1000;
        runtime.block_on(camera.see(TANKER));
        for card in [CardOf::Driver, CardOf::Escort] {
            runtime.block_on(reader.send(card.line().as_bytes()));
        }
    };
    comes(&mut camera);
    until(SOON, "it is allowed", || {
        let last = last(&run);
        (last["verdict"] == "allow").then_some(()).or_else(|| {
            assert!(last["verdict"] != "deny" || !last["reasons"].to_string().contains("CHECK_"), "{last}");
            None
        })
    });
    eventually(SOON, "the arm is up", || module.look().is_up());
    shows(module, |plant| plant.vehicle = true);
    shows(module, |plant| (plant.exit, plant.approach) = (true, false));
    shows(module, |plant| plant.vehicle = false);
    shows(module, |plant| plant.exit = false);
    until(SOON, "it is inside", || {
        let inside: Value = serde_json::from_str(&run(&["inside", "--json"])).unwrap();
        let zone = &inside["zones"][0];
        (zone["persons"]["now"] == 2 && zone["vehicles"]["hazmat"]["now"] == 1).then_some(())
    });
    line(&run(&["hazmat"]), &[TANKER, "arrived"]);
    assert!(!run(&["hazmat", "show", "YD-2026-0001"]).contains("not used"));
    eventually(SOON, "the arm is down", || module.look().is_down());

    // The same waybill admits nobody a second time; what it names cannot be changed any more.
    let copy = waybill().replace("\"quantity\":30", "\"quantity\":31");
    fs::write(file, copy).unwrap();
    assert!(fails(&["hazmat", "enter", file, "--why", "再次"]).contains("not changed any more"));
    let before = module.look().pulses;
    // Seen again sooner it would be the same read, and so would each read after it.
    live(DUPLICATE + Duration::from_secs(1));
    comes(&mut camera);
    let second = until(SOON, "it is refused", || Some(last(&run)).filter(|last| last["verdict"] == "deny"));
    assert!(second["reasons"].to_string().contains("WAYBILL_USED"), "{second}");
    assert_eq!(module.look().pulses[0], before[0], "and the arm stays down");
    // Everything that was told is in the chain.
    line(&run(&["audit", "verify"]), &["the chain holds: entries 1 to"]);
    // Killed, it still has the waybill with its checks and its use.
    gateway.kill9();
    let mut gateway = Gateway::start_with(dir.path(), web_port, clock.env());
    gateway.wait_ready();
    let shown = run(&["hazmat", "show", "YD-2026-0001"]);
    line(&shown, &["goods", "合格 passed"]);
    assert!(!shown.contains("not used"), "{shown}");
    assert!(fails(&["hazmat", "enter", file, "--why", "再次"]).contains("not changed any more"));
    assert_eq!(gateway.sigterm(), Some(0));
}
