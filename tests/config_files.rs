//! The configuration folder as people have it: the shipped files, a folder of mistakes, tables from Excel, and rubbish.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parkgate::config::{self, Config, Loaded, Problems, Severity, disk_need, load, report};
use parkgate::domain::alarm::severity::{Class, Shelving};
use parkgate::domain::alarm::spec::AlarmSpec;
use parkgate::domain::record::Mode;
use parkgate::domain::registry::{Commissioning, Deadband};
use parkgate::domain::site::state::State;
use parkgate::domain::time::Timestamp;
use parkgate::field::settings::{Encoding, Source, Table, planned_buses};
use parkgate::output::settings::{Feedback, Idle, Place};
use parkgate::policy;
use parkgate::policy::settings::{Parameters, PolicyFile, Sources};
use proptest::prelude::*;

#[path = "config_files/alarm_rules.rs"]
mod alarm_rules;
#[path = "config_files/fire.rs"]
mod fire;
#[path = "config_files/horns.rs"]
mod horns;
#[path = "config_files/park.rs"]
mod park;
#[path = "config_files/templates.rs"]
mod templates;

fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A copy that the test may change; secrets in it are private, whatever the checkout made of them.
fn copy(from: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_files(&repo(from), dir.path());
    if repo(from).join("policies").is_dir() {
        copy_files(&repo(from).join("policies"), &dir.path().join("policies"));
    }
    dir
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
        let to = to.join(entry.file_name());
        fs::copy(entry.path(), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn with_points(points: &[u8]) -> Result<Loaded, Problems> {
    let dir = copy("config/examples/excel-gb18030");
    fs::write(dir.path().join("points.csv"), points).unwrap();
    load(dir.path())
}

/// A small valid folder; `more` is added to `gateway.toml`.
fn small(more: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let folders = "[store]\ndir = \"s\"\nmirror_dir = \"m\"\nstate_dir = \"t\"\n";
    fs::write(dir.path().join("gateway.toml"), format!("[gateway]\npark = \"p\"\nid = \"g\"\n{folders}{more}"))
        .unwrap();
    fs::write(dir.path().join("devices.toml"), "[[device]]\nid = \"d\"\nhost = \"127.0.0.1\"\n").unwrap();
    points(&dir, "u1,T1,one,d,holding,0,u16\n");
    dir
}

fn points(dir: &tempfile::TempDir, rows: &str) {
    let head = "uid,tag,name,device,table,address,encoding\n";
    fs::write(dir.path().join("points.csv"), format!("{head}{rows}")).unwrap();
}

fn loaded(dir: &Path) -> Config {
    load(dir).map(|l| l.config).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_shipped_folder_loads_without_a_warning() {
    for folder in ["config", "config/examples/excel-gb18030", "config/examples/opcua"] {
        let loaded = load(&repo(folder)).unwrap_or_else(|problems| panic!("{folder}:\n{problems}"));
        assert!(loaded.warnings.is_empty(), "{folder}:\n{}", report(&loaded.warnings));
    }
}

#[test]
fn the_shipped_files_show_the_defaults() {
    let shipped = loaded(&repo("config"));
    let dir = copy("config");
    fs::write(
        dir.path().join("gateway.toml"),
        "[gateway]\npark = \"demo-park\"\nid = \"gw-east\"\nname = \"东区网关\"\n",
    )
    .unwrap();
    fs::write(dir.path().join("uplink.toml"), "[mqtt]\nhost = \"127.0.0.1\"\n").unwrap();
    let devices = fs::read_to_string(dir.path().join("devices.toml")).unwrap();
    let (_, own) = devices.split_once("[[device]]").unwrap();
    fs::write(dir.path().join("devices.toml"), format!("[[device]]{own}")).unwrap();
    let bare = loaded(dir.path());
    assert_eq!(shipped.store, bare.store);
    assert_eq!((shipped.web, shipped.state_dir, shipped.gateway), (bare.web, bare.state_dir, bare.gateway));
    assert_eq!((shipped.uplink, shipped.expected_change), (bare.uplink, bare.expected_change));
    assert_eq!((shipped.devices, shipped.specs), (bare.devices, bare.specs));
}

#[test]
fn the_shipped_policies_are_those_that_are_built_in() {
    let shipped = loaded(&repo("config")).policies;
    assert_eq!(shipped.parameters, Parameters::default(), "parameters.toml shows the defaults");
    let name = |file: &PolicyFile| file.path.file_name().unwrap().to_str().unwrap().to_owned();
    let files: Vec<_> = shipped.own.iter().map(|file| (name(file), file.text.clone())).collect();
    let built_in: Vec<_> =
        policy::shipped::FILES.iter().map(|(n, text)| ((*n).to_owned(), (*text).to_owned())).collect();
    assert_eq!(files, built_in);
    assert_eq!(loaded(small("").path()).policies, Sources::default(), "without the folder: the shipped set");
    let tables = config::policies::tables(&repo("config"));
    assert_eq!(tables.len(), policy::shipped::TABLES.len());
}

#[test]
fn the_shipped_state_of_the_site_shows_its_defaults() {
    let (shipped, bare) = (loaded(&repo("config")).site, loaded(small("").path()).site);
    assert_eq!((shipped.hands, shipped.city, shipped.channels), (bare.hands, bare.city, bare.channels));
    assert_eq!((shipped.longest_drill, shipped.longest_bypass), (bare.longest_drill, bare.longest_bypass));
    let zones: Vec<_> = shipped.zones.iter().map(|zone| (zone.id.as_str(), zone.parent)).collect();
    assert_eq!(zones, [("park", None), ("tank-farm", Some(0))]);
    assert_eq!((bare.zones.len(), bare.lanes.len()), (1, 0), "without the file: the park");
    assert!(shipped.rules.iter().all(|rule| !rule.acts), "a rule proposes unless the site says that it acts");
    assert!(!bare.points.is_empty(), "commissioning is a state of every point");
}

#[test]
fn the_city_may_ask_only_for_the_states_that_are_written() {
    let dir = small("");
    let told = |states: &str| {
        fs::write(dir.path().join("site.toml"), format!("[city]\nissuers = [\"city\"]\n{states}")).unwrap();
        loaded(dir.path()).site.city.states.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(told("states = [\"lockdown_in\"]\n"), [State::LockdownIn]);
    assert_eq!(told(""), State::EMERGENCIES);
}

/// Every example that the annotated file has as a comment is one that can be used.
#[test]
fn the_examples_of_the_state_of_the_site_can_be_used() {
    let dir = small("");
    let rows = "x1,XS101,no,d,discrete,0,bool,fast,\nx2,XS102,nc,d,discrete,1,bool,fast,\nh1,HS101,key,d,discrete,2,bool,fast,\n\
                w1,WS101,speed,d,input,3,u16,normal,m/s\nw2,WD101,direction,d,input,4,u16,normal,\n";
    let head = "uid,tag,name,device,table,address,encoding,class,unit\n";
    fs::write(dir.path().join("points.csv"), format!("{head}{rows}")).unwrap();
    let outputs =
        "[[output]]\nid = \"siren-tank-1\"\ndevice = \"d\"\naddress = \"0x00017\"\nvalues = { on = 1, off = 0 }\n";
    fs::write(dir.path().join("outputs.toml"), outputs).unwrap();
    // The second way of wiring a fire input is left out.
    let used = examples("config/site.toml", &["point = \"XA101\"", "normal = [", "fire = ["]);
    let entry = "[[lane]]\nid = \"gate-1-in\"\ndirection = \"in\"\ncarries = \"vehicles\"\n";
    fs::write(dir.path().join("site.toml"), format!("{used}{entry}")).unwrap();
    let site = loaded(dir.path()).site;
    assert_eq!((site.lanes.len(), site.signals.len(), site.fire.len(), site.keys.len()), (2, 1, 1, 1));
    assert_eq!((site.fire[0].lanes.len(), site.wind.is_some(), site.texts.len()), (2, true, 1));
    assert!(site.to_string().contains("2 条车道"), "{site}");
}

/// Comments of an annotated file that are a key or a section become one; with `other`, those lines are left out.
fn examples(file: &str, other: &[&str]) -> String {
    let shipped = fs::read_to_string(repo(file)).unwrap();
    let example = |line: &str| {
        let text = line.strip_prefix("# ")?;
        let key = text.split_once(" = ").is_some_and(|(key, _)| {
            key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.'))
        });
        let section = text.starts_with('[') && text.ends_with(']');
        let left_out = other.iter().any(|way| text.starts_with(way));
        (!left_out && (key || section)).then(|| text.to_owned())
    };
    shipped.lines().map(|line| example(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[test]
fn the_examples_of_the_gates_can_be_used_and_show_the_defaults() {
    use parkgate::domain::gate::hardware::Input;
    use parkgate::domain::gate::lane::spec::{Conduct, Fail, LaneSpec, Timing, Trouble};
    let dir = small("");
    let site = "[[lane]]\nid = \"gate-1-out\"\nname = \"一号门出口\"\ndirection = \"out\"\ncarries = \"vehicles\"\n\
                [[lane]]\nid = \"planned\"\ndirection = \"in\"\ncarries = \"vehicles\"\ncommissioning = \"planned\"\n";
    fs::write(dir.path().join("site.toml"), site).unwrap();
    fs::write(dir.path().join("gates.toml"), examples("config/gates.toml", &[])).unwrap();
    fs::write(dir.path().join("park-ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    for file in ["cam-1.password", "barriers.password", "codes.key", "codes-next.key", "peers.password", "queue-1.key"]
    {
        let secret = dir.path().join(file);
        fs::write(&secret, format!("x7Kp-221b of {file}\n")).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let loaded = load(dir.path()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{}", report(&loaded.warnings));
    let gates = loaded.config.gates;
    assert_eq!((gates.gates.len(), gates.lanes.len(), gates.devices.cameras.len(), gates.files.len()), (1, 1, 1, 7));
    let listening = &gates.listening;
    assert_eq!((listening.cameras.unwrap().port(), listening.known.len(), listening.codes.0.len()), (8090, 1, 2));
    assert!(loaded.config.files.iter().any(|file| file.ends_with("gates.toml")));
    let lane: &LaneSpec = &gates.lanes[0];
    assert_eq!((lane.name.as_str(), lane.fail, lane.timing), ("一号门出口", Fail::Safe, Timing::default()));
    assert!(lane.has_guards() && lane.scale && lane.inputs.contains(&Input::Fire));
    let usual = |trouble: &Trouble| lane.conduct.get(trouble) == Some(&Conduct::usual(*trouble, false));
    assert!(Trouble::ALL.iter().all(usual), "{:?}", lane.conduct);
    let goods = parkgate::domain::gate::word::VehicleClass::Goods;
    assert_eq!([0, 12 * 60].map(|minute| lane.window_open(goods, Some(minute))), [Some(true), Some(false)]);
    let fire = gates.wiring[0].inputs.iter().find(|wire| wire.input == Input::Fire).unwrap();
    assert!(fire.at.closed_at_rest && fire.at.channel == 9);
    let shown = format!("{:?}", gates.devices.cameras[0]);
    assert!(!shown.contains("x7Kp") && !shown.contains("120"), "no secret is shown: {shown}");
    let album = gates.pictures.unwrap();
    assert_eq!((album.quota_bytes, album.keep), (2 << 30, Duration::from_secs(90 * 86_400)));
    let peers = gates.peers.unwrap();
    assert_eq!((peers.peers.len(), peers.broker.port, peers.silent_after), (1, 8883, Duration::from_secs(60)));
    assert_eq!((&gates.inside.peers, peers.gateway.as_str()), (&peers.peers, "g"));
    assert!(!format!("{:?}", peers.broker).contains("x7Kp"), "no password is shown");
    assert_eq!(loaded_gates(&repo("config")), (0, 0), "the shipped file is nothing but comments");
}

fn loaded_gates(dir: &Path) -> (usize, usize) {
    let gates = loaded(dir).gates;
    (gates.gates.len(), gates.lanes.len())
}

#[test]
fn the_shipped_table_means_what_it_says() {
    let config = loaded(&repo("config"));
    let (Source::Modbus(plc), spec) = (&config.devices[0], &config.specs[0]) else { panic!("not Modbus") };
    assert_eq!(plc.points.len(), spec.points.len());
    let classes: Vec<_> = plc.classes.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(classes, ["fast", "normal", "slow"]);
    assert_eq!(plc.points[0].class, 1);
    assert_eq!((plc.points[0].decimals, plc.points[1].decimals, plc.points[2].decimals), (Some(1), None, Some(3)));
    assert_eq!(spec.points[1].deadband, Deadband::Absolute(0.012));
    assert_eq!((plc.points[4].table, plc.points[4].encoding), (Table::Holding, Encoding::Bit(3)));
    assert_eq!((plc.points[5].table, plc.points[5].address), (Table::Holding, 12));
    assert_eq!(spec.points[5].max_silence, Duration::from_secs(300));
    let (Source::Modbus(gas), spec) = (&config.devices[1], &config.specs[1]) else { panic!("not Modbus") };
    assert_eq!((gas.unit, gas.points[0].address), (3, 0));
    assert_eq!((spec.points[0].deadband, spec.points[1].commissioning), (Deadband::Off, Commissioning::Commissioning));
    assert_eq!(config.store.consumers, ["platform"]);
}

#[test]
fn a_device_behind_an_opc_ua_server_has_nodes_and_everything_else_as_the_others() {
    let config = loaded(&repo("config/examples/opcua"));
    let (Source::OpcUa(unit), spec) = (&config.devices[0], &config.specs[0]) else { panic!("not OPC UA") };
    assert_eq!(unit.server.url, "opc.tcp://192.168.20.5:4840");
    assert_eq!(unit.server.security.to_string(), "Basic256Sha256 SignAndEncrypt");
    assert_eq!(unit.points[0].node.to_string(), "nsu=http://dcs.example/unit-1;s=TI2101.PV");
    assert_eq!(unit.classes.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["fast", "normal", "slow"]);
    assert_eq!((unit.points[1].scale, unit.points[1].decimals, unit.points[1].class), (0.001, Some(6), 0));
    assert_eq!(spec.points[1].deadband, Deadband::Absolute(0.008));
    assert_eq!(unit.server.queue_for(unit.classes[0].interval), 10);
}

#[test]
fn the_shipped_gates_and_zones_say_what_holds_without_them() {
    use parkgate::domain::gate::inside::ZoneRule;
    use parkgate::domain::gate::word::{ZoneClass, ZoneId};
    use parkgate::domain::gate::{desk, inside, register};
    let config = loaded(&repo("config"));
    assert_eq!(config.gates.desk, desk::Rules::default());
    assert_eq!(config.gates.inside, inside::Rules::default());
    assert_eq!(config.gates.register, register::rules::Rules::default());
    let settings = config.gates_settings(Timestamp(0));
    assert_eq!(settings.register.utc_offset_s, 8 * 3600);
    assert_eq!(settings.inside.zones[&ZoneId::new("park")], ZoneRule::of(ZoneClass::General));
    let tanks = &settings.inside.zones[&ZoneId::new("tank-farm")];
    assert_eq!((tanks.class, tanks.parent.clone()), (ZoneClass::Core, Some(ZoneId::new("park"))));
    assert!(tanks.training_needed);
}

#[test]
fn a_folder_of_mistakes_gives_exactly_its_list() {
    let folders = [
        "mistakes",
        "mistakes-alarms",
        "mistakes-crossed",
        "mistakes-duty",
        "mistakes-gates",
        "mistakes-hazmat",
        "mistakes-opcua",
        "mistakes-policies",
        "mistakes-site",
        "syntax",
        "buses",
    ];
    for name in folders {
        let dir = copy(&format!("tests/fixtures/config/{name}"));
        let problems = load(dir.path()).unwrap_err();
        let text = problems.to_string().replace(&dir.path().display().to_string(), "config");
        let golden = repo(&format!("tests/fixtures/config/{name}.txt"));
        if std::env::var_os("PARKGATE_BLESS").is_some() {
            fs::write(&golden, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&golden).unwrap(), "{name}: PARKGATE_BLESS=1 writes the list anew");
    }
}

#[test]
fn an_output_may_stand_on_a_bus_and_exclusion_and_rank_are_taken_over() {
    let dir = small("[store.streams.telemetry]\nretention = \"1d\"\n");
    let devices = "[[bus]]\nid = \"b\"\nport = \"/dev/ttyS1\"\n[[device]]\nid = \"d\"\nbus = \"b\"\nunit = 9\n";
    fs::write(dir.path().join("devices.toml"), devices).unwrap();
    let row = "uid,tag,name,device,table,address,encoding\nu1,T1,one,d,holding,0,u16\n";
    fs::write(dir.path().join("points.csv"), row).unwrap();
    let outputs = r#"
        [[output]]
        id = "close"
        device = "d"
        address = "0x00002"
        values = { on = 1, off = 0 }

        [[output]]
        id = "open"
        device = "d"
        table = "holding"
        address = "7"
        values = { up = 2, idle = 5 }
        rest = "idle"
        excludes = ["close"]
        priority = { up = 9 }
    "#;
    fs::write(dir.path().join("outputs.toml"), outputs).unwrap();
    let outputs = load(dir.path()).unwrap().config.outputs;
    let [close, open] = &*outputs else { panic!("{outputs:?}") };
    assert_eq!((&close.place, close.unit), (&Place::Bus { id: "b".to_owned() }, 9));
    assert_eq!((close.excludes[0].as_str(), open.excludes[0].as_str()), ("open", "close"), "each names the other");
    assert_eq!(close.idle, Some(Idle { raw: Some(0), at: Feedback::Coil(1), seen: 0 }));
    assert_eq!(open.idle, Some(Idle { raw: Some(5), at: Feedback::Holding(7), seen: 5 }));
    let [idle, up] = &*open.values else { panic!("{open:?}") };
    assert_eq!((idle.rank, up.rank), (0, 9));
    assert!(open.energises(up) && !open.energises(idle));
}

#[test]
fn a_bus_whose_plan_cannot_fit_is_refused_with_the_sum_or_accepted_by_word() {
    let dir = small("[store.streams.telemetry]\nretention = \"1d\"\n");
    let write = |bus: &str| {
        let devices =
            format!("[[bus]]\nid = \"b\"\nport = \"/dev/ttyS1\"\n{bus}\n[[device]]\nid = \"d\"\nbus = \"b\"\n");
        fs::write(dir.path().join("devices.toml"), format!("[defaults]\nturnaround = \"0ms\"\n{devices}")).unwrap();
    };
    let head = "uid,tag,name,device,table,address,encoding,class\n";
    let rows: String = (0..125).map(|a| format!("u{a},T{a},one,d,holding,{a},u16,fast\n")).collect();
    fs::write(dir.path().join("points.csv"), format!("{head}{rows}")).unwrap();
    write("");
    let told = load(dir.path()).map(drop).unwrap_err().to_string();
    // 3.65 + 8.33 + 3.65 + 265.6 ms at 9600 8N1 for 8 and 255 characters, five times a second.
    assert!(told.contains("d fast 281.2 ms / 200ms = 140.6 % = 140.6 %, more than 100 %"), "{told}");
    assert!(told.contains("1.5 times as long, or baud = 19200 (70.3 %)"), "{told}");
    write("overload = \"accept\"");
    let accepted = loaded(dir.path());
    let planned = planned_buses(&accepted.devices);
    assert!(planned[0].to_string().contains("140.6 %，已接受过载 / overload accepted"), "{}", planned[0]);
    write("baud = 19200");
    loaded(dir.path());
}

#[test]
fn a_secret_written_into_the_file_is_never_repeated() {
    let dir = copy("tests/fixtures/config/mistakes");
    let problems = load(dir.path()).unwrap_err();
    assert!(!problems.to_string().contains("hunter2") && !format!("{problems:?}").contains("hunter2"));
}

#[test]
fn every_saving_of_a_table_gives_the_same_configuration() {
    let gb = fs::read(repo("config/examples/excel-gb18030/points.csv")).unwrap();
    let (text, _, wrong) = encoding_rs::GB18030.decode(&gb);
    assert!(!wrong);
    let utf16: Vec<u8> = std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let savings = [
        text.as_bytes().to_vec(),
        format!("\u{FEFF}{text}").into_bytes(),
        utf16,
        text.replace("\r\n", "\n").into_bytes(),
        text.replace(',', ";").into_bytes(),
        text.replace(',', "\t").into_bytes(),
    ];
    let first = with_points(&gb).unwrap().config;
    assert_eq!(first.specs[1].points[0].tag.as_str(), "LT202");
    assert_eq!(first.specs[1].points[0].name, "202 号罐液位（备用）");
    for saving in savings {
        let again = with_points(&saving).unwrap_or_else(|problems| panic!("{problems}")).config;
        assert_eq!((&again.devices, &again.specs), (&first.devices, &first.specs));
        assert_eq!(again.specs, first.specs);
    }
}

#[test]
fn what_cannot_fit_is_refused_and_the_advice_is_good() {
    let dir = small("quota = \"64MiB\"\nsegment = \"1MiB\"\n");
    let rows = (0..2000).map(|i| format!("u{i},T{i},n,d,holding,{i},u16\n")).collect::<String>();
    points(&dir, &rows);
    let problems = load(dir.path()).unwrap_err();
    let problem = problems.0.iter().find(|p| p.what.en.contains("values/s stored")).unwrap();
    let advice = problem.instead.en.split('"').collect::<Vec<_>>();
    let (quota, retention) = (advice[1], advice[3]);
    let text = fs::read_to_string(dir.path().join("gateway.toml")).unwrap();
    fs::write(dir.path().join("gateway.toml"), text.replace("64MiB", quota)).unwrap();
    assert!(disk_need(&loaded(dir.path())).fits());
    let keep = format!("{text}[store.streams.telemetry]\nretention = \"{retention}\"\n");
    fs::write(dir.path().join("gateway.toml"), keep).unwrap();
    assert!(disk_need(&loaded(dir.path())).fits());
}

#[test]
fn the_need_of_disk_follows_its_formula() {
    let dir = small("expected_change = 0.5\n[store.streams.telemetry]\nretention = \"10d\"\n");
    let need = disk_need(&loaded(dir.path()));
    assert_eq!((need.points, need.devices, need.read_per_second, need.stored_per_second), (1, 1, 1.0, 0.5));
    assert!((need.telemetry_per_second - (0.5 * 6.0 + 48.0 / 60.0)).abs() < 1e-9);
    let reserved = f64::from(224 << 20);
    assert!((need.need - (need.telemetry + reserved)).abs() < 1.0);
    assert_eq!(need.telemetry, f64::from(64 << 20), "what is reserved counts where it is more");
    assert!(need.to_string().contains("need: 288 MiB of quota 2.0 GiB"), "{need}");
}

#[test]
fn a_quota_larger_than_the_disk_is_refused() {
    let problems = load(small("quota = \"16TiB\"\n").path()).unwrap_err();
    assert!(problems.0.iter().any(|p| p.what.en.contains("has only")), "{problems}");
}

#[test]
fn a_device_without_points_and_an_open_secret_are_remarked() {
    let dir = small("");
    fs::write(
        dir.path().join("devices.toml"),
        "[[device]]\nid = \"d\"\nhost = \"127.0.0.1\"\n[[device]]\nid = \"e\"\nhost = \"127.0.0.2\"\n",
    )
    .unwrap();
    let secret = dir.path().join("pw");
    fs::write(&secret, "geheim\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let login = "[mqtt]\nhost = \"mqtt.example.cn\"\n[mqtt.login]\nuser = \"u\"\npassword_file = \"pw\"\n";
    fs::write(dir.path().join("uplink.toml"), login).unwrap();
    let loaded = load(dir.path()).unwrap();
    assert_eq!(loaded.config.uplink.unwrap().broker.login.unwrap().password, "geheim");
    assert!(loaded.config.files.contains(&secret));
    let warnings: Vec<_> = loaded.warnings.iter().map(|p| p.what.en.as_str()).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("`e` has no points") && warnings[1].contains("in the clear"), "{warnings:?}");
    assert!(warnings[2].contains("every user of this machine"), "{warnings:?}");
}

#[test]
fn missing_files_and_folders_are_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let problems = load(dir.path()).unwrap_err();
    assert_eq!(problems.0.len(), 3, "{problems}");
    let problems = load(&dir.path().join("nowhere")).unwrap_err();
    assert!(problems.to_string().contains("no configuration folder"), "{problems}");
}

#[test]
fn a_wrong_device_or_class_is_told_once_not_at_every_point() {
    for (wrong, count) in [
        ("[[device]]\nid = \"d\"\nhost = \"\"\naddress_notation = \"modicon\"\n", 1),
        ("[[device]]\nid = \"设备\"\nhost = \"h\"\n", 1),
        ("[classes]\nodd = \"1ms\"\n[[device]]\nid = \"d\"\nhost = \"h\"\naddress_notation = \"modicon\"\n", 1),
        ("[[device]\n", 1),
    ] {
        let dir = small("");
        fs::write(dir.path().join("devices.toml"), wrong).unwrap();
        let head = "uid,tag,name,device,table,address,encoding,class,max_silence\n";
        let id = if wrong.contains("设备") { "设备" } else { "d" };
        fs::write(dir.path().join("points.csv"), format!("{head}u,T,n,{id},holding,40001,u16,odd,500ms\n")).unwrap();
        let found = load(dir.path()).unwrap_err();
        let others = found.0.iter().filter(|p| !p.what.en.contains("no poll class"));
        assert_eq!(others.count(), count, "{wrong}:\n{found}");
    }
}

#[test]
fn the_largest_park_of_the_benchmark_loads() {
    let dir = small("[store.streams.telemetry]\nretention = \"30min\"\n");
    let ids = 0..200;
    let devices =
        ids.clone().map(|d| format!("[[device]]\nid = \"d{d}\"\nhost = \"127.0.0.1\"\nport = {}\n", 2000 + d));
    fs::write(dir.path().join("devices.toml"), devices.collect::<String>()).unwrap();
    let row = |(d, i)| format!("u{d}-{i},T{d}-{i},点,d{d},holding,{i},u16\n");
    let rows = ids.flat_map(|d| (0..500).map(move |i| (d, i))).map(row);
    points(&dir, &rows.collect::<String>());
    let config = loaded(dir.path());
    assert_eq!(config.specs.iter().map(|s| s.points.len()).sum::<usize>(), 100_000);
}

#[test]
fn a_large_table_of_one_mistake_is_told_in_bounds() {
    let dir = small("");
    let rows = (0..5000).map(|i| format!("u{i},T{i},n,d,holding,99999,u16\n")).collect::<String>();
    points(&dir, &rows);
    let problems = load(dir.path()).unwrap_err();
    assert_eq!(problems.0.len(), config::problem::MAX_PROBLEMS + 1);
    assert!(problems.0.iter().all(|p| p.severity == Severity::Error));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let dir = copy("config");
        for name in config::FILES {
            let good = fs::read(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name), &bytes).unwrap();
            drop(load(dir.path()));
            fs::write(dir.path().join(name), good).unwrap();
        }
    }

    #[test]
    fn a_damaged_file_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), which in 0_usize..config::FILES.len()) {
        let dir = copy("config");
        let path = dir.path().join(config::FILES[which]);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()).max(at + 1));
        fs::write(&path, &bytes).unwrap();
        drop(load(dir.path()));
    }

    #[test]
    fn cells_of_any_text_never_panic(cells in prop::collection::vec("[0-9４x.:%\"a-fＡ号 -]{0,8}", 31)) {
        let points = fs::read_to_string(repo("config/points.csv")).unwrap();
        let header = points.lines().find(|l| l.starts_with("标识")).unwrap();
        drop(with_points(format!("{header}\n{}\n", cells.join(",")).as_bytes()));
    }
}

#[test]
fn more_points_than_records_can_name_are_refused() {
    let dir = small("");
    // Sixteen bits of 4,097 registers: one more than 65,536 points.
    let row = |n: u32| format!("u{n},T{n},one,d,holding,{},bit{}\n", n / 16, n % 16);
    points(&dir, &(0..65_537).map(row).collect::<String>());
    let said = load(dir.path()).unwrap_err().to_string();
    assert!(said.contains("one device has 65537 points"), "{}", said.lines().take(6).collect::<Vec<_>>().join("\n"));
    points(&dir, &(0..65_536).map(row).collect::<String>());
    let said = load(dir.path()).err().map(|problems| problems.to_string()).unwrap_or_default();
    assert!(!said.contains("one device has"), "{said}");
}

#[test]
fn a_certificate_where_the_key_belongs_is_found_before_the_first_connection() {
    let dir = small("");
    let pem = |what: &str| format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----\n");
    fs::write(dir.path().join("cert.pem"), pem("CERTIFICATE")).unwrap();
    fs::write(dir.path().join("key.pem"), pem("EC PRIVATE KEY")).unwrap();
    let with = |ca: &str, cert: &str, key: &str| {
        let tls = format!("[mqtt.tls]\nca_file = \"{ca}\"\ncert_file = \"{cert}\"\nkey_file = \"{key}\"\n");
        fs::write(dir.path().join("uplink.toml"), format!("[mqtt]\nhost = \"127.0.0.1\"\n{tls}")).unwrap();
        load(dir.path()).map(drop).map_err(|problems| problems.to_string())
    };
    assert_eq!(with("cert.pem", "cert.pem", "key.pem"), Ok(()));
    let told = with("key.pem", "cert.pem", "cert.pem").unwrap_err();
    assert!(told.contains("key.pem` holds no `-----BEGIN CERTIFICATE-----`"), "{told}");
    assert!(told.contains("cert.pem` holds no `PRIVATE KEY-----`"), "{told}");
}

#[test]
fn two_devices_of_one_id_are_found_also_when_one_has_another_mistake() {
    let dir = small("");
    fs::write(
        dir.path().join("devices.toml"),
        "[[device]]\nid = \"d\"\nhost = \"127.0.0.1\"\n[[device]]\nid = \"d\"\n",
    )
    .unwrap();
    let told = load(dir.path()).map(drop).unwrap_err().to_string();
    assert!(told.contains("`host` is missing") && told.contains("`d` is used twice"), "{told}");
}

/// The settings of a device polled by Modbus.
fn modbus(source: &Source) -> &parkgate::field::settings::Device {
    match source {
        Source::Modbus(device) => device,
        Source::OpcUa(_) | Source::Derived { .. } => panic!("{} is not polled by Modbus", source.id()),
    }
}

/// A folder of one device with a profile and no point table; `keys` are the device's, `rows` those of a table.
fn profiled(keys: &str, table: Option<&str>) -> tempfile::TempDir {
    let dir = small("");
    fs::write(dir.path().join("devices.toml"), format!("[[device]]\nid = \"gas-1\"\nhost = \"h\"\n{keys}")).unwrap();
    match table {
        Some(table) => fs::write(dir.path().join("points.csv"), table).unwrap(),
        None => fs::remove_file(dir.path().join("points.csv")).unwrap(),
    }
    dir
}

fn problems(dir: &tempfile::TempDir) -> Vec<String> {
    let all = load(dir.path()).map_or_else(|problems| problems.0, |loaded| loaded.warnings);
    let short = |p: &config::Problem| format!("{}: {}; {}", p.at, p.what.en, p.instead.en);
    all.iter().map(|p| short(p).replace(&format!("{}/", dir.path().display()), "")).collect()
}

#[test]
fn a_device_by_profile_is_three_lines_and_each_channel_has_its_points() {
    let dir = profiled("profile = \"gas-controller\"\ntags = \"GD-7\"\nchannels = 2\n", None);
    let config = loaded(dir.path());
    let points: Vec<_> = config.specs[0].points.iter().map(|p| (p.uid.as_str(), p.tag.as_str())).collect();
    assert_eq!(
        points[..4],
        [
            ("gas-1.gas1", "GD-701"),
            ("gas-1.state1", "GD-701.ST"),
            ("gas-1.alarm1", "GD-701.ALM"),
            ("gas-1.gas2", "GD-702")
        ]
    );
    assert_eq!((points.len(), config.specs[0].name.as_str()), (6, "气体报警控制器"));
    let device = modbus(&config.devices[0]);
    assert_eq!((device.points[3].table, device.points[3].address), (Table::Input, 3));
    assert_eq!((device.timeout, device.max_register_hole), (Duration::from_secs(2), 0), "the profile's own");
    assert_eq!(config.specs[0].points[0].deadband, Deadband::Off);
}

#[test]
fn a_profile_counts_for_itself_whatever_the_site_says_of_its_addresses() {
    for counting in ["address_base = 1", "address_notation = \"modicon\"", "address_notation = \"plain\""] {
        let dir = profiled(&format!("profile = \"tank-gauge\"\n{counting}\n"), None);
        let config = loaded(dir.path());
        let device = modbus(&config.devices[0]);
        assert_eq!(device.points.iter().map(|p| p.address).take(7).collect::<Vec<_>>(), [0, 2, 4, 6, 8, 10, 12]);
    }
}

#[test]
fn a_device_and_the_point_table_may_change_single_cells_and_add_points() {
    let keys = "name = \"泵区\"\nprofile = \"gas-controller\"\nchannels = 1\nhazard_source = \"HS-1\"\ntimeout = \"5s\"\n\
                set.gas1 = { range = [0, 10], unit = \"ppm\", scale = 0.01 }\n";
    let table = "uid,tag,name,device,table,address,encoding,range_high,deadband\n\
                 gas-1.gas1,,,,,,,20,\ngas-1.state1,AT701.ST,,gas-1,,,,,\nmore,HL701,声光,gas-1,coil,0,bool,,\n";
    let dir = profiled(keys, Some(table));
    assert_eq!(problems(&dir), Vec::<String>::new());
    let config = loaded(dir.path());
    let points = &config.specs[0].points;
    assert_eq!((points[0].range, points[0].unit.as_str(), points[0].decimals), (Some((0.0, 20.0)), "ppm", Some(2)));
    assert_eq!((points[0].name.as_str(), points[0].tag.as_str()), ("泵区 1通道浓度", "gas-1.01"));
    assert_eq!((points[1].tag.as_str(), points[3].tag.as_str()), ("AT701.ST", "HL701"));
    assert_eq!(points[0].platform.hazard_source.as_deref(), Some("HS-1"));
    let device = modbus(&config.devices[0]);
    assert_eq!(device.timeout, Duration::from_secs(5), "the device's own key goes before the profile's");
}

#[test]
fn a_bus_with_other_settings_than_the_maker_delivers_is_warned_of() {
    let warned = |bus: &str, profile: &str| {
        let dir = profiled("", None);
        let bus = format!("[[bus]]\nid = \"b\"\nport = \"/dev/ttyS1\"\n{bus}\n");
        let device = format!("[[device]]\nid = \"d\"\nbus = \"b\"\nunit = 1\nprofile = \"{profile}\"\n");
        fs::write(dir.path().join("devices.toml"), bus + &device).unwrap();
        problems(&dir)
    };
    assert!(warned("baud = 9600", "gas-controller").is_empty());
    let told = warned("baud = 19200\nparity = \"even\"", "gas-controller").join("\n");
    assert!(
        told.contains("the bus has 19200 8E1, and devices of profile `gas-controller` are delivered with 9600 8N1"),
        "{told}"
    );
    // A type of several makers: each of their settings is right.
    assert!(warned("baud = 9600\nstop_bits = 2", "transfer-switch").is_empty());
    assert!(warned("baud = 19200\nparity = \"even\"\nstop_bits = 2", "transfer-switch").is_empty());
    assert_eq!(warned("baud = 9600", "transfer-switch").len(), 1);
    assert!(warned("baud = 4800", "gas-detector-midas").is_empty(), "of a device on Ethernet nothing is known");
}

#[test]
fn every_mistake_with_a_profile_has_its_place_and_its_answer() {
    let wrong = |keys: &str, table: Option<&str>| problems(&profiled(keys, table)).join("\n");
    let told = wrong("profile = \"gas-controler\"\n", None);
    assert!(
        told.contains(
            "devices.toml:4:11: [[device]] profile: there is no profile `gas-controler`; did you mean `gas-controller`?"
        ),
        "{told}"
    );
    let told = wrong("profile = \"gas-controller\"\nset.gas9 = { range = [0, 10] }\nset.gas1.rnage = [0, 1]\n", None);
    assert!(told.contains("profile `gas-controller` has no point `gas9`; did you mean `gas1`?"), "{told}");
    assert!(told.contains("[device.set.gas1] rnage: unknown key `rnage`; did you mean `range`?"), "{told}");
    let told = wrong("tags = \"GD\"\n", Some("uid,tag,name,device,table,address,encoding\n"));
    assert!(told.contains("unknown key `tags`; only beside `profile`"), "{told}");
    let head = "uid,tag,name,device,table,address,encoding\n";
    let told =
        wrong("profile = \"gas-controller\"\n", Some(&format!("{head}gas-1.gas11,,,,,,\ngas-1.gas1,,,other,,,\n")));
    assert!(told.contains("points.csv:2: column 标识 (uid): device `gas-1` has no point with the uid `gas-1.gas11`; did you mean `gas-1.gas1`?"), "{told}");
    assert!(
        told.contains("points.csv:3: column 设备 (device): this uid is a point of the profile of device `gas-1`"),
        "{told}"
    );
}

#[test]
fn a_profile_of_the_site_goes_before_the_shipped_one_and_its_mistakes_are_told_once() {
    let dir = profiled("profile = \"own\"\n[[device]]\nid = \"gas-2\"\nhost = \"g\"\nprofile = \"own\"\n", None);
    fs::create_dir(dir.path().join("profiles")).unwrap();
    let own = "[profile]\nname = \"x\"\n[[block]]\nsource = \"s\"\nbasis = \"site\"\npoints = [\n\
               { id = \"a\", tag = \"A\", name = \"a\", table = \"holding\", address = 0, encoding = \"u17\" },\n]\n";
    fs::write(dir.path().join("profiles/own.toml"), own).unwrap();
    let told = problems(&dir);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("profiles/own.toml:7:"), "{told:?}");
    fs::write(dir.path().join("profiles/own.toml"), own.replace("u17", "u16")).unwrap();
    let config = loaded(dir.path());
    assert_eq!(config.specs[1].points[0].tag.as_str(), "gas-2.A");
    assert!(config.files.contains(&dir.path().join("profiles/own.toml")));
    assert_eq!(config.profiles[0].to_string().matches("1 to check against the manual").count(), 1);
}

#[test]
fn every_shipped_profile_makes_a_device_without_a_word_of_complaint() {
    let shipped = fs::read_dir(repo("config/profiles")).unwrap().map(|e| e.unwrap().path());
    for path in shipped {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let dir = profiled(&format!("profile = \"{name}\"\n"), None);
        assert_eq!(problems(&dir), Vec::<String>::new(), "{name}");
        let config = loaded(dir.path());
        assert!(!config.specs[0].points.is_empty() && config.profiles[0].shipped, "{name} is built in");
    }
}

fn with_derived(derived: &str) -> tempfile::TempDir {
    let dir = small("");
    points(&dir, "u1,T1,one,d,holding,0,u16\nu2,T2,two,d,holding,1,u16\nu3,T3,three,d,holding,2,u16\n");
    fs::write(dir.path().join("derived.toml"), derived).unwrap();
    dir
}

#[test]
fn derived_points_stand_on_a_device_of_their_own() {
    let point = |n: u8, keys: &str| format!("[[point]]\nuid = \"x{n}\"\ntag = \"X{n}\"\nname = \"x\"\n{keys}\n");
    let vote = point(1, "formula = \"vote\"\ninputs = [\"T1\", \"T2\", \"T3\"]\nneed = 2\nabove = 25");
    let rate = point(2, "formula = \"rate\"\ninputs = [\"X3\"]\nwindow = \"5min\"\nper = \"1h\"\nunit = \"m/h\"");
    let sum = point(3, "formula = \"sum\"\ninputs = [\"T1\", \"T2\"]\ndecimals = 1");
    let config = loaded(with_derived(&format!("{vote}{rate}{sum}")).path());
    let device = config.specs.last().unwrap();
    assert_eq!((device.id.as_str(), device.points.len()), ("derived", 3));
    assert_eq!(device.points.iter().map(|p| p.decimals).collect::<Vec<_>>(), [Some(0), Some(3), Some(1)]);
    let inputs = device.points[1].instrument.as_ref().unwrap().derived.as_ref().unwrap();
    assert_eq!(inputs.inputs[0].as_str(), "x3", "made of another derived point, wherever it stands");
    assert_eq!(config.devices.last().unwrap().class_of().len(), 3);
}

#[test]
fn every_mistake_in_a_derived_point_has_its_place() {
    let wrong = |keys: &str| {
        let head = "[[point]]\nuid = \"x1\"\ntag = \"X1\"\nname = \"x\"\n";
        problems(&with_derived(&format!("{head}{keys}"))).join("\n")
    };
    for (keys, told) in [
        ("formula = \"sum\"\ninputs = [\"T11\"]\n", "derived.toml:6:10: [[point]] inputs: there is no tag `T11`"),
        ("formula = \"summe\"\ninputs = [\"T1\"]\n", "`summe` is not accepted; write one of \"sum\""),
        ("formula = \"ratio\"\ninputs = [\"T1\"]\n", "1 inputs where 2 to 2 are needed"),
        ("formula = \"vote\"\ninputs = [\"T1\"]\nneed = 2\n", "1 inputs where 2 to 200 are needed"),
        ("formula = \"sum\"\ninputs = [\"T1\", \"X1\"]\n", "`X1` is made of itself"),
        ("formula = \"convert\"\ninputs = [\"T1\"]\nto = \"ppm\"\n", "`molar_mass` is missing"),
        ("formula = \"sum\"\ninputs = []\n", "not a list of tags"),
        ("formula = \"sum\"\ninputs = [\"T1\"]\nneed = 2\n", "unknown key `need`"),
        (
            "formula = \"sum\"\ninputs = [\"T1\"]\n[[point]]\nuid = \"u1\"\ntag = \"T1\"\nname = \"x\"\nformula = \"sum\"\ninputs = [\"T2\"]\n",
            "`T1` is another point's already",
        ),
    ] {
        let found = wrong(keys);
        assert!(found.contains(told), "{keys}:\n{found}");
    }
}

#[test]
fn every_mistake_in_how_a_point_is_judged_has_its_place() {
    let dir = small("");
    let head = "uid,tag,name,device,table,address,encoding,range_low,range_high,signal,state_of,states,frozen,below\n";
    let told = |row: &str| {
        let word = "w,W,word,d,holding,9,u16,,,,,0=monitoring;1=fault,,\n";
        fs::write(dir.path().join("points.csv"), format!("{head}{row}\n{word}")).unwrap();
        problems(&dir).join("\n")
    };
    for (row, wanted) in [
        ("a,A,a,d,holding,0,u16,0,100,4-20mA,w,,24h except 0,-5%", ""),
        ("a,A,a,d,holding,0,u16,,,4-20mA,,,,", "a 4-20mA signal without a range"),
        ("a,A,a,d,holding,0,u16,0,1,0-10V,,,,", "`0-10V` is not accepted; write 4-20mA"),
        ("a,A,a,d,holding,0,u16,,,,ww,,,", "no point with the uid `ww`; did you mean `w`?"),
        ("a,A,a,d,holding,0,u16,,,,a,,,", "`a` has no states"),
        ("a,A,a,d,holding,0,u16,,,,,0=monitoring;1=kaputt,,", "`kaputt` is no state"),
        ("a,A,a,d,holding,0,u16,,,,,,24h but 0,", "write e.g. 24h, or 24h except 0"),
        ("a,A,a,d,holding,0,u16,,,,,,,-5%", "there is no range"),
        ("a,A,a,d,holding,0,bit1,,,,,,24h,", "a bit may stand still"),
    ] {
        let found = told(row);
        assert!(if wanted.is_empty() { found.is_empty() } else { found.contains(wanted) }, "{row}:\n{found}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every shipped profile with one byte changed, or cut off, is a profile or a list of problems with places.
    #[test]
    fn a_damaged_profile_never_panics_and_its_problems_have_places(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        cut in any::<prop::sample::Index>(), rubbish in prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 0..300)),
    ) {
        let all: Vec<_> = fs::read_dir(repo("config/profiles")).unwrap().map(|f| f.unwrap().path()).collect();
        let mut bytes = fs::read(&all[which.index(all.len())]).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()).max(at + 1));
        let dir = profiled("profile = \"own\"\n", None);
        fs::create_dir(dir.path().join("profiles")).unwrap();
        fs::write(dir.path().join("profiles/own.toml"), rubbish.unwrap_or(bytes)).unwrap();
        if let Err(problems) = load(dir.path()) {
            prop_assert!(problems.0.iter().all(|p| p.at.line.is_some() || !p.at.file.ends_with("own.toml")), "{}", problems);
        }
    }
}

/// Alarms of a configuration: id, limits, deadband of the first level.
fn alarms(config: &Config) -> Vec<(String, Vec<f64>, f64)> {
    let limits = |alarm: &AlarmSpec| alarm.levels.iter().filter_map(|level| level.limit).collect();
    config
        .alarms
        .book
        .alarms
        .iter()
        .map(|a| (a.id.to_string(), limits(a), a.levels.first().map_or(0.0, |level| level.deadband)))
        .collect()
}

fn alarm<'c>(config: &'c Config, id: &str) -> &'c AlarmSpec {
    let found = config.alarms.book.alarms.iter().find(|alarm| &*alarm.id == id);
    found.unwrap_or_else(|| panic!("no alarm {id}: {:?}", alarms(config)))
}

#[test]
fn the_limits_of_the_shipped_table_are_its_alarms() {
    let config = loaded(&repo("config"));
    let all = alarms(&config);
    let of =
        |id: &str| all.iter().find(|(known, ..)| known == id).map(|(_, limits, deadband)| (limits.clone(), *deadband));
    assert_eq!(of("TT101.high"), Some((vec![40.0, 50.0], 1.0)), "1 % of the range (rule 93)");
    assert_eq!(of("LT101.low"), Some((vec![1.0, 0.5], 0.25)), "5 % would be more than half of the gap");
    assert_eq!(of("AT701.gas"), Some((vec![25.0, 50.0], 2.5)));
    assert_eq!((of("AT702.gas_low").unwrap().0, of("AT702.gas").unwrap().0), (vec![19.5], vec![23.5]));
    assert!(of("gas-1.comm").is_some() && of("TT101.quality").is_some() && of("AT701.gas_fault").is_some());
    assert!(of("TT101.low").is_none() && of("derived.comm").is_none());
    let gas = alarm(&config, "AT701.gas");
    assert!(gas.latching && gas.on_delay.is_zero() && gas.class == Class::Gas);
    let shelving: Vec<_> = gas.levels.iter().map(|level| level.shelving).collect();
    assert_eq!(shelving, [Shelving::Allowed, Shelving::SecondPerson], "rule 94");
    assert_eq!(
        (alarm(&config, "LT101.low").on_delay, alarm(&config, "AT702.gas").mode),
        (Duration::from_secs(60), Mode::Commissioning)
    );
    assert_eq!(config.alarms.book.problems(), []);
    assert!(config.alarms.findings.is_empty(), "{:?}", config.alarms.findings);
}

#[test]
fn a_gas_detector_without_a_word_about_alarms_is_judged_by_the_clause_and_found() {
    let keys = "profile = \"gas-controller\"\nchannels = 2\nzone = \"tank-1\"\nset.gas2 = { unit = \"ppm\", range = [0, 10] }\n";
    let config = loaded(profiled(keys, None).path());
    let gas = alarm(&config, "gas-1.01.gas");
    assert_eq!(
        (gas.levels[0].limit, gas.levels[1].limit, gas.zone.as_deref()),
        (Some(25.0), Some(50.0), Some("tank-1"))
    );
    let unknown = alarm(&config, "gas-1.02.gas");
    assert_eq!((unknown.levels.len(), unknown.levels[0].limit), (2, None), "its controller's bits alone");
    let found: Vec<_> = config.alarms.findings.iter().map(|finding| finding.what.en.as_str()).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("judged by the ceilings of the clause, 25 / 50 %LEL"), "{found:?}");
    assert!(found[1].contains("which gas it is is not written"), "{found:?}");
    let text = config.alarms.to_string();
    assert!(text.contains("2 gas detectors, 2 with their controller's own alarm bits"), "{text}");
    for id in ["gas-1.01.disagreement", "gas-1.01.state_too_long", "gas-1.comm"] {
        alarm(&config, id);
    }
}

#[test]
fn a_field_controller_that_is_set_wrongly_is_told_of_and_monitored() {
    let keys = "profile = \"gas-detector-midas\"\nset.gas = { gas = \"H2S\", l1 = 7, l2 = 14 }\n";
    let config = loaded(profiled(keys, None).path());
    let set = alarm(&config, "gas-1.HI.SET.high");
    let limit = set.levels[0].limit.unwrap();
    assert!((14.35..14.5).contains(&limit) && set.class == Class::Equipment && set.text.contains("5.5.2-3"), "{set:?}");
    let detector = &config.alarms.book.detectors[0];
    assert_eq!(detector.bits.iter().map(|bit| bit.level).collect::<Vec<_>>(), [1, 2]);
    alarm(&config, "gas-1.C.gas");
    let text = config.alarms.to_string();
    assert!(text.contains("nobody has verified the limits of H2S in oel.csv"), "{text}");
}

#[test]
fn the_shipped_alarm_file_shows_the_defaults() {
    let shipped = loaded(&repo("config"));
    let dir = copy("config");
    let file = fs::read_to_string(dir.path().join("alarms.toml")).unwrap();
    let own: Vec<&str> =
        file.split("\n[[").filter(|part| part.starts_with("alarm]]") || part.starts_with("unit]]")).collect();
    assert_eq!(own.len(), 2);
    let bare: String = own.iter().map(|part| format!("[[{part}\n")).collect();
    fs::write(dir.path().join("alarms.toml"), bare).unwrap();
    let mut bare = loaded(dir.path());
    assert_eq!(shipped.alarms.channels, bare.alarms.channels);
    let book = std::sync::Arc::make_mut(&mut bare.alarms.book);
    let ladder = |name: &str| book.escalations.iter().find(|ladder| &*ladder.name == name).cloned();
    assert!(shipped.alarms.book.escalations.iter().all(|known| ladder(&known.name).as_ref() == Some(known)));
    assert_eq!(shipped.alarms.book.alarms, book.alarms);
    for id in ["PA101.digital", "LT101.rate", "PT101.low"] {
        alarm(&shipped, id);
    }
    let level = alarm(&shipped, "LT101.high");
    assert!(level.text.starts_with("一号罐 液位高") && !level.response.is_empty(), "{level:?}");
}

#[test]
fn a_zone_that_the_site_does_not_have_is_told() {
    let dir = small("");
    let table = "uid,tag,name,device,table,address,encoding,unit,range_low,range_high,kind,l1,l2,zone\n\
                 a,GD1,one,d,holding,0,f32,%LEL,0,100,gas,25,50,tank-1\nb,GD2,two,d,holding,2,f32,%LEL,0,100,gas,25,50,tank-2\n";
    fs::write(dir.path().join("points.csv"), table).unwrap();
    assert_eq!(problems(&dir), Vec::<String>::new(), "without a file the site has no zones to compare with");
    fs::write(dir.path().join("site.toml"), "[[zone]]\nid = \"tank-1\"\nname = \"罐区\"\n").unwrap();
    let told = problems(&dir);
    let of_zone: Vec<_> = told.iter().filter(|problem| problem.contains("zone `")).collect();
    assert_eq!(of_zone.len(), 1, "{told:?}");
    assert!(
        of_zone[0].starts_with(
            "points.csv:3: column 分区 (zone): there is no zone `tank-2` in site.toml; did you mean `tank-1`?"
        ),
        "{told:?}"
    );
}
