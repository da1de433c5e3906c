//! The end-to-end harness itself, against mosquitto alone: what the stories of the line believe must be true first. And what a
//! platform fills by signed commands, through the real binary: the register of the gates, and waybills.
#![expect(clippy::unwrap_used, reason = "a test may")]

#[path = "line_platform/city.rs"]
mod city;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use city::{City, ISSUER, SECRET};
use parkgate::domain::record::Stream;
use serde_json::{Value, json};
use support::clock::Clock;
use support::platform::{Manners, Platform, publish_once};
use support::process::{Gateway, Mosquitto};
use support::wait::{SOON, eventually, free_port, wall_ms};

fn envelope(lane: &str, seqs: &[(u64, &str)]) -> Vec<u8> {
    let records: Vec<Value> = seqs
        .iter()
        .map(|(seq, counter)| {
            let values: Value = serde_json::from_str(&format!("{{\"D0R0\":{counter},\"D0R1\":5}}")).unwrap();
            json!({"seq": seq, "t": "2026-11-23T08:00:00.120Z", "basis": "poll", "device": "dev-0", "values": values})
        })
        .collect();
    json!({"v": 1, "gateway": "gw-load", "epoch": "01KAAAAAAAAAAAAAAAAAAAAAAA", "boot": 1, "reg": 1,
           "stream": "telemetry", "lane": lane, "clock": "synced", "sent_at": "2026-11-23T08:00:00.150Z",
           "records": records})
    .to_string()
    .into_bytes()
}

#[test]
fn the_platform_of_the_tests_keeps_accounts_and_counters_over_a_broker_restart() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let manners = Manners { acks: true, strict: true };
    let platform = Platform::start(broker.port(), "load-park", "gw-load", &manners);
    let topic = format!("{}/telemetry", platform.base());
    // Until the platform has subscribed, what is published goes nowhere.
    eventually(SOON, "two records", || {
        publish_once(broker.port(), &topic, envelope("live", &[(1, "65534"), (2, "65535")]));
        platform.count(Stream::Telemetry) == 2
    });

    broker.stop();
    broker.resume();
    // The platform subscribes again by itself; until it has, what is published goes nowhere.
    eventually(SOON, "records after the restart", || {
        publish_once(broker.port(), &topic, envelope("history", &[(3, "0"), (4, "null"), (5, "3")]));
        platform.count(Stream::Telemetry) == 5
    });
    let desk = platform.desk();
    let tally = desk.counters.tallies()["dev-0"];
    assert_eq!((tally.received, tally.missing, tally.largest_hole, tally.backwards), (4, 2, 2, 0));
    let closing = desk.account.close([1, 1, 1, 1, 1, 6]);
    assert!(closing.closes(), "{closing:?} {:?}", desk.faults);
    assert_eq!(closing.received, 5);
}

#[test]
fn the_platform_of_the_tests_acknowledges_only_when_told_to() {
    let Some(broker) = Mosquitto::start() else { return };
    let silent = Platform::start(broker.port(), "load-park", "gw-load", &Manners { acks: false, strict: false });
    let (client, mut connection) =
        rumqttc::Client::new(rumqttc::MqttOptions::new("ack-watch", "127.0.0.1", broker.port()), 4);
    client.try_subscribe(format!("{}/ack", silent.base()), rumqttc::QoS::AtLeastOnce).unwrap();
    eventually(SOON, "two records", || {
        publish_once(broker.port(), &format!("{}/telemetry", silent.base()), envelope("live", &[(1, "1"), (2, "2")]));
        silent.count(Stream::Telemetry) == 2
    });
    // The watcher subscribes while nothing is acknowledged; then the platform may.
    for event in connection.iter() {
        match event.unwrap() {
            rumqttc::Event::Incoming(rumqttc::Packet::SubAck(_)) => silent.set_acks(true),
            rumqttc::Event::Incoming(rumqttc::Packet::Publish(ack)) => {
                let ack: Value = serde_json::from_slice(&ack.payload).unwrap();
                assert_eq!(ack["stream"], "telemetry");
                assert_eq!(ack["stored"], json!([[1, 2]]));
                return;
            }
            rumqttc::Event::Incoming(_) | rumqttc::Event::Outgoing(_) => {}
        }
    }
}

/// The folder of a gateway with one door, whose register the city may fill.
fn folder(dir: &Path, web: u16, broker: u16) {
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    write(
        "gateway.toml",
        &format!(
            "[gateway]\npark = \"p\"\nid = \"g\"\n[store]\ndir = \"data/s\"\nmirror_dir = \"data/m\"\n\
             state_dir = \"data/t\"\nquota = \"64MiB\"\nballast = \"64KiB\"\n[web]\nlisten = \"127.0.0.1:{web}\"\n"
        ),
    );
    write("devices.toml", "[[device]]\nid = \"plc\"\nhost = \"127.0.0.1\"\nport = 9\n");
    write("points.csv", "uid,tag,name,device,table,address,encoding\nu1,T1,one,plc,holding,0,u16\n");
    write(
        "uplink.toml",
        &format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {broker}\nack = \"broker\"\n\
             [[mqtt.command_key]]\nid = \"k1\"\nissuer = \"{ISSUER}\"\nsecret_file = \"city.key\"\n"
        ),
    );
    write("city.key", SECRET);
    fs::set_permissions(dir.join("city.key"), fs::Permissions::from_mode(0o600)).unwrap();
    write("site.toml", "[[lane]]\nid = \"door\"\ndirection = \"both\"\ncarries = \"persons\"\n");
    write(
        "gates.toml",
        &format!(
            "[register]\nissuers = [\"{ISSUER}\"]\n\
             [[gate]]\nid = \"g1\"\nname = \"一号门\"\nclass = \"general_goods\"\nmanned = true\n\
             [[module]]\nid = \"io\"\nhost = \"127.0.0.1\"\nport = 9\ninputs = 8\nrelays = 4\n\
             [[lane]]\nid = \"door\"\ngate = \"g1\"\n[lane.inputs]\ndoor_open = \"io:1\"\nexit_button = \"io:2\"\n\
             [lane.outputs]\nopen = \"io:1\"\nhold = \"io:2\"\n"
        ),
    );
}

/// Whether the command went well, and what it printed.
fn parkgate(dir: &Path, clock: &Clock, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkgate"));
    // Of the tools on files each command has its folder, of the desk's the desk.
    let (before, after) = args.split_at(if matches!(args, ["registry" | "audit", ..]) { args.len() } else { 1 });
    command.args(before).args(["--config", dir.to_str().unwrap()]).args(after);
    command.envs(clock.env()).stdin(Stdio::null());
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn companies(version: u64, base: Option<u64>, names: &[(&str, &str)]) -> Value {
    let rows: Vec<Value> = names.iter().map(|(id, name)| json!({"company": {"id": id, "name": name}})).collect();
    let mut list = json!({"table": "companies", "version": version, "as_of": "2026-11-23T08:00:00.000Z", "rows": rows});
    if let Some(base) = base {
        list.as_object_mut().unwrap().insert("base".to_owned(), json!(base));
    }
    json!({"list": list})
}

fn waybills(from: Option<u64>, to: u64) -> Value {
    let waybill = json!({
        "number": "W-1", "state": "enterprise_review", "purpose": "deliver", "carrier": "C1", "consignor": "C1",
        "loader": "C1", "consignee": "C2", "driver": "p-1", "escort": "p-2", "tractor": {"text": "鲁A12345", "colour": "yellow"},
        "trailer": null, "goods": [{"un": 1230, "name": "甲醇", "class": "3", "quantity": 20.0, "unit": "t"}],
    });
    json!({"list": {"from": from, "to": to, "put": [waybill]}})
}

/// A gateway with a clock that it trusts, and the city that it hears. `None` after a skip.
fn started(dir: &Path, broker: &Mosquitto) -> Option<(Clock, Gateway, City)> {
    let beside = dir.join("beside");
    fs::create_dir(&beside).unwrap();
    let (clock, web) = (Clock::make(&beside)?, free_port());
    folder(dir, web, broker.port());
    let mut gateway = Gateway::start_with(dir, web, clock.env());
    gateway.wait_ready();
    let mut city = City::listens(broker.port());
    city.is_heard();
    Some((clock, gateway, city))
}

/// The city was answered so.
fn answers(words: (String, String, String), state: &str, code: &str, detail: &str) {
    assert!(words.0 == state && words.1 == code && words.2.contains(detail), "{words:?}");
}

#[test]
fn lists_of_the_platform_take_force_and_never_go_back_and_what_takes_a_person_takes_two() {
    let Some(broker) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = folder.path();
    let Some((clock, gateway, mut city)) = started(dir, &broker) else { return };

    // A whole list, a delta over it, the same again, one that does not fit, one that goes back.
    let (one, two) = (("91440300755691882F", "一"), ("913702007702909412", "二"));
    answers(city.says("register", &companies(3, None, &[one])), "done", "ok", "revision 1: 1 rows");
    answers(city.says("register", &companies(4, Some(3), &[two])), "done", "ok", "revision 2: 1 rows");
    answers(city.says("register", &companies(4, Some(3), &[two])), "done", "held", "");
    answers(city.says("register", &companies(7, Some(6), &[])), "failed", "whole_needed", "companies 4");
    answers(city.says("register", &companies(2, None, &[one])), "failed", "refused", "never goes back");
    answers(city.says("waybills", &waybills(None, 5)), "done", "ok", "version 5: 1 waybills, 0 refused");
    answers(city.says("waybills", &waybills(None, 4)), "failed", "refused", "not newer");
    answers(city.says("waybills", &waybills(Some(9), 10)), "failed", "whole_needed", "5");
    // A forged one changes nothing, is not answered, and counted.
    let forged = city.send("register", &companies(9, None, &[]).to_string(), "another secret of sixteen bytes");
    eventually(SOON, "the forged list is counted", || {
        gateway.metric("parkgate_uplink_refused_total", &["command_signature"]) == Some(1.0)
    });
    answers(city.says("register", &companies(5, Some(4), &[])), "done", "ok", "revision 3: 0 rows");
    assert!(!city.is_answered(&forged));
    let run = |args: &[&str]| parkgate(dir, &clock, args);
    let (_, told) = run(&["registry", "show"]);
    assert!(
        told.lines().any(|line| line.contains("companies") && line.contains("2  ") && line.contains(" 5 ")),
        "{told}"
    );

    // What is the platform's is changed there; what was written here takes two persons.
    let permits = dir.join("permits.csv");
    let day = |days: i64| {
        let day = jiff::Timestamp::from_millisecond(wall_ms() + days * 86_400_000).unwrap();
        day.to_string().chars().take(10).collect::<String>()
    };
    let row = format!("P-1,vehicle,皖R12345,蓝,待企业审核,{},{}", day(-1), day(30));
    fs::write(&permits, format!("id,kind,plate,colour,stage,from,until\n{row}\n")).unwrap();
    let (imported, told) = run(&["registry", "import", permits.to_str().unwrap()]);
    assert!(imported && told.contains("imported: 1 added"), "{told}");
    let (_, told) = run(&["permits", "list"]);
    assert!(told.contains("P-1") && told.contains("waiting_enterprise"), "{told}");
    let (approved, told) = run(&["permits", "approve", "P-1", "--why", "企业电话确认"]);
    assert!(approved && told.contains("the permit is in `waiting_park` now"), "{told}");
    let (approved, told) = run(&["permits", "approve", "P-1"]);
    assert!(!approved && told.contains("the two stages take two persons"), "{told}");
    let (_, told) = run(&["permits", "show", "P-1"]);
    assert!(told.contains("enterprise passes; 企业电话确认"), "{told}");
    // A waybill is reviewed, and verified by another one.
    let (stepped, told) = run(&["waybills", "approve", "W-1"]);
    assert!(stepped && told.contains("`regulator_verify`"), "{told}");
    let (stepped, told) = run(&["waybills", "approve", "W-1"]);
    assert!(!stepped && told.contains("another one must verify it"), "{told}");
    let (_, told) = run(&["waybills", "list"]);
    assert!(told.contains("W-1") && told.contains("鲁A12345") && told.contains("regulator_verify"), "{told}");
    let (proved, told) = run(&["audit", "verify"]);
    assert!(proved && told.contains("the chain holds"), "{told}");
    assert_eq!(gateway.sigterm(), Some(0));

    // Of a stopped gateway the folder tells the same.
    let (shown, told) = run(&["registry", "show", "companies", two.0]);
    assert!(shown && told.contains("companies version 4"), "{told}");
    let (exported, told) = run(&["registry", "export", "companies"]);
    assert!(exported && told.lines().filter(|line| line.contains("\"company\"")).count() == 2, "{told}");
    assert!(!run(&["permits", "list"]).0, "what takes the gateway says so");
}

#[test]
fn the_city_lists_a_hazard_takes_it_off_and_asks_whether_somebody_is_on_duty() {
    let Some(broker) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = folder.path();
    let Some((clock, gateway, mut city)) = started(dir, &broker) else { return };
    let run = |args: &[&str]| parkgate(dir, &clock, args);
    answers(city.orders("duty_check", &json!({"limit_min": 5})), "done", "ok", "dc-");

    let (found, told) = run(&["hazard", "find", "一号罐区", "护栏松动"]);
    assert!(found, "{told}");
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let id = told.split(word).find(|word| word.starts_with("hz-")).unwrap().to_owned();
    let listing = json!({"level": "city", "body": "市应急管理局", "notice": "2026-11-24"});
    let list = |id: &str| json!({"hazard": id, "list": listing});
    let unlist = json!({"hazard": id, "unlist": "验收合格"});
    answers(city.orders("hazard_listing", &unlist), "failed", "refused", "it is not listed");
    answers(city.orders("hazard_listing", &list("hz-9-9")), "failed", "refused", "no open hazard");
    answers(city.orders("hazard_listing", &json!({"hazard": id})), "failed", "arguments", "");
    // A forged one lists nothing, is not answered, and counted.
    let forged = city.send("hazard_listing", &list(&id).to_string(), "another secret of sixteen bytes");
    eventually(SOON, "the forged listing is counted", || {
        gateway.metric("parkgate_uplink_refused_total", &["command_signature"]) == Some(1.0)
    });
    assert!(!city.is_answered(&forged));
    let (_, told) = run(&["hazard"]);
    assert!(told.contains(&id) && !told.contains("市应急管理局"), "{told}");

    answers(city.orders("hazard_listing", &list(&id)), "done", "ok", &id);
    let (_, told) = run(&["hazard"]);
    assert!(told.contains("市应急管理局"), "{told}");
    answers(city.orders("hazard_listing", &unlist), "done", "ok", &id);
    let (_, told) = run(&["hazard"]);
    assert!(told.contains(&id) && !told.contains("市应急管理局"), "{told}");
    let (proved, told) = run(&["audit", "verify"]);
    assert!(proved && told.contains("the chain holds"), "{told}");
    assert_eq!(gateway.sigterm(), Some(0));
}
