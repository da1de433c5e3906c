//! Alarms on the line, by the real binary: a register changes and the city knows; a person acknowledges on the machine and the
//! record has his name; killed in the middle, nothing is forgotten; with the broker away, everything arrives in order.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

#[path = "line_alarms/by_hand.rs"]
mod by_hand;
#[path = "support/certificates.rs"]
mod certificates;
#[path = "line_alarms/clock.rs"]
mod clock;
#[path = "support/https.rs"]
mod https;
mod support;
#[path = "line_alarms/texts.rs"]
mod texts;

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use parkgate::sim::image::Image;
use parkgate::sim::server::Server;
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use support::process::{Gateway, Mosquitto};
use support::scene::parkgate;
use support::wait::{SOON, eventually, free_port, until};

/// A detector in tenths of %LEL at register 0, a pressure at register 1.
struct Field {
    server: Server,
    _runtime: tokio::runtime::Runtime,
}

impl Field {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start([1])).unwrap();
        let field = Self { server, _runtime: runtime };
        field.show(0, 100);
        field
    }

    fn show(&self, lel: u16, pressure: u16) {
        let image = Image { holding: vec![lel * 10, pressure], ..Image::default() };
        self.server.show(1, Arc::new(image));
    }
}

/// What the city received, record by record, with the lane of its envelope.
struct City {
    records: Arc<Mutex<Vec<(String, String, Value)>>>,
    _thread: JoinHandle<()>,
}

impl City {
    fn listens(port: u16) -> Self {
        let records = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&records);
        let mut options = MqttOptions::new(format!("city-{}-{port}", std::process::id()), "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 64);
        let thread = std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        for stream in ["alarm", "passage", "event", "registry", "telemetry"] {
                            client.try_subscribe(format!("parkgate/v1/p/g/{stream}"), QoS::AtLeastOnce).unwrap();
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let envelope: Value = serde_json::from_slice(&publish.payload).unwrap();
                        let word = |name: &str| envelope[name].as_str().unwrap_or_default().to_owned();
                        let all = envelope["records"].as_array().cloned().unwrap_or_default();
                        let lines = all.into_iter().map(|record| (word("stream"), word("lane"), record));
                        to.lock().unwrap().extend(lines);
                    }
                    Ok(_) => {}
                    Err(_) => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        });
        Self { records, _thread: thread }
    }

    /// The records of an alarm, each once, in the order of their numbers.
    fn of(&self, alarm: &str) -> Vec<Value> {
        let records = self.records.lock().unwrap();
        let mut of: Vec<(u64, Value)> = records
            .iter()
            .filter(|(stream, _, record)| stream == "alarm" && record["alarm"]["alarm"] == alarm)
            .map(|(_, _, record)| (record["seq"].as_u64().unwrap(), record["alarm"].clone()))
            .collect();
        of.sort_by_key(|(seq, _)| *seq);
        of.dedup_by_key(|(seq, _)| *seq);
        of.into_iter().map(|(_, record)| record).collect()
    }

    /// Waits for a record of `alarm` that went to `state` by `cause`.
    fn hears(&self, alarm: &str, state: &str, cause: &str) -> Value {
        until(SOON, &format!("{alarm} is {state} by {cause}"), || {
            self.of(alarm).into_iter().rev().find(|record| record["to"] == state && record["cause"] == cause)
        })
    }

    /// What happened to an alarm in an outage came as history, with its own time.
    fn came_afterwards(&self, alarm: &str) {
        let records = self.records.lock().unwrap();
        let mut of =
            records.iter().filter(|(stream, _, record)| stream == "alarm" && record["alarm"]["alarm"] == alarm);
        let (_, lane, record) = of.next().unwrap();
        assert_eq!(lane, "history", "{record}");
        assert_eq!(record["t"], record["alarm"]["t"]);
    }

    /// Whether a record of an alarm came before the store had it, and said so.
    fn heard_unstored(&self, alarm: &str) -> bool {
        let records = self.records.lock().unwrap();
        let mut of = records.iter().filter(|(stream, ..)| stream == "alarm");
        of.any(|(_, _, record)| record["alarm"]["alarm"] == alarm && record["unstored"] == true)
    }

    fn documents(&self, stream: &str, member: &str) -> Vec<Value> {
        let records = self.records.lock().unwrap();
        let of = records.iter().filter(|(of, _, record)| of == stream && record.get(member).is_some());
        of.map(|(_, _, record)| record[member].clone()).collect()
    }
}

/// What an alarm may take that waits for a store which does not answer: its poll, and 200 ms, on a machine with other work.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

fn folder(dir: &Path, field: u16, broker: u16, web: u16) {
    let write = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
    write(
        "gateway.toml",
        format!(
            "[gateway]\npark = \"p\"\nid = \"g\"\n[store]\ndir = \"data/s\"\nmirror_dir = \"data/m\"\nstate_dir = \"data/t\"\n\
             quota = \"64MiB\"\nballast = \"64KiB\"\n[store.streams.telemetry]\nretention = \"1h\"\n\
             [web]\nlisten = \"127.0.0.1:{web}\"\n"
        ),
    );
    write(
        "devices.toml",
        format!("[classes]\nfast = \"200ms\"\n[[device]]\nid = \"gas-1\"\nhost = \"127.0.0.1\"\nport = {field}\n"),
    );
    write(
        "points.csv",
        "标识,位号,名称,设备,寄存器类型,地址,编码,系数,单位,量程下限,量程上限,死区,轮询类,测点类型,高报,高高报,一级报警,二级报警,气体\n\
         u1,AT701,泵区可燃气体,gas-1,holding,0,u16,0.1,%LEL,0,100,off,fast,gas,,,25,50,可燃\n\
         u2,PT701,泵区压力,gas-1,holding,1,u16,1,kPa,0,1000,off,fast,,800,900,,,\n"
            .to_owned(),
    );
    uplink(dir, broker);
}

fn uplink(dir: &Path, broker: u16) {
    let text = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {broker}\nack = \"broker\"\n");
    fs::write(dir.join("uplink.toml"), text).unwrap();
}

fn said(dir: &Path, command: &[&str], more: &[&str]) -> String {
    let output = run(dir, command, more);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command:?} {more:?}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn run(dir: &Path, command: &[&str], more: &[&str]) -> Output {
    parkgate(&[command, &["--config", dir.to_str().unwrap()], more].concat())
}

fn numbers(records: &[Value]) -> Vec<u64> {
    records.iter().map(|record| record["n"].as_u64().unwrap()).collect()
}

#[test]
fn an_alarm_lives_through_a_kill_and_an_outage_and_every_step_has_its_name_and_number() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let (field, city) = (Field::start(), City::listens(broker.port()));
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let web = free_port();
    folder(dir.path(), field.server.addr().port(), broker.port(), web);
    let gateway = Gateway::start_ready(dir.path(), web);

    // A register changes; the city knows, and the page.
    field.show(30, 100);
    let raised = city.hears("AT701.gas", "unacked", "active");
    let occ = raised["occ"].as_str().unwrap().to_owned();
    assert_eq!((raised["n"].as_u64(), raised["level"].as_u64()), (Some(1), Some(1)), "{raised}");
    assert_eq!((raised["value"].as_f64(), raised["limit"].as_f64()), (Some(30.0), Some(25.0)), "{raised}");
    eventually(SOON, "the page shows it", || {
        gateway.get("/alarms?lang=en").is_some_and(|(_, page)| page.contains("AT701.gas") && page.contains(&occ))
    });

    // A person acknowledges on the machine: the record has the name that the kernel gave.
    said(dir.path(), &["ack", "AT701.gas"], &["--comment", "已到现场"]);
    let acked = city.hears("AT701.gas", "acked", "ack");
    let who = said(dir.path(), &["alarms"], &["--csv"]);
    assert_eq!((acked["occ"].as_str(), acked["comment"].as_str()), (Some(occ.as_str()), Some("已到现场")));
    assert!(who.contains("AT701.gas") && who.contains(acked["actor"]["name"].as_str().unwrap()), "{who}");
    let refused = run(dir.path(), &["ack", "AT701.gas"], &["--occ", "99-1"]);
    assert!(!refused.status.success(), "an acknowledgement of another occurrence is refused");

    // A kill may take what was said a moment ago and is not stored yet: nobody has seen it then. The city has seen this.
    eventually(SOON, "the refusal is in the audit", || {
        city.documents("passage", "audit").iter().any(|entry| entry["result"] == "refused")
    });

    // Killed: it stands as it stood, and goes on within the same occurrence.
    gateway.kill9();
    let gateway = Gateway::start_ready(dir.path(), web);
    let again = said(dir.path(), &["alarms"], &["--csv"]);
    assert!(again.contains(&occ) && again.contains("acked"), "{again}");
    field.show(60, 100);
    let worse = city.hears("AT701.gas", "unacked", "level_up");
    assert_eq!((worse["occ"].as_str(), worse["level"].as_u64()), (Some(occ.as_str()), Some(2)), "{worse}");

    // The broker is away: what happens meanwhile arrives, in order, with the number that belongs to it.
    broker.stop();
    field.show(10, 850);
    eventually(SOON, "both are known on the machine", || {
        let listed = said(dir.path(), &["alarms"], &["--csv"]);
        listed.contains("latched_unacked") && listed.contains("PT701.high")
    });
    broker.resume();
    city.hears("AT701.gas", "latched_unacked", "clear");
    city.hears("PT701.high", "unacked", "active");
    city.came_afterwards("PT701.high");
    said(dir.path(), &["ack", "AT701.gas"], &[]);
    said(dir.path(), &["reset", "AT701.gas"], &[]);
    city.hears("AT701.gas", "normal", "reset");
    let records = city.of("AT701.gas");
    let transitions: Vec<u64> = numbers(&records);
    assert_eq!(transitions, (1..=transitions.len() as u64).collect::<Vec<_>>(), "{records:?}");
    assert!(records.iter().all(|record| record["occ"] == occ.as_str()), "{records:?}");

    the_site_is_declared_in_two_steps(dir.path(), &city);
    every_action_is_in_the_chain(&city);
    assert_eq!(gateway.sigterm(), Some(0));
}

fn the_site_is_declared_in_two_steps(dir: &Path, city: &City) {
    let proposed = said(dir, &["site"], &["propose", "park", "evacuate", "--reason", "泵区泄漏"]);
    let number = proposed.rsplit(':').next().unwrap().trim().to_owned();
    said(dir, &["site"], &["confirm", &number]);
    let declared = || {
        let told = city.documents("event", "site");
        told.into_iter().find(|site| site["what"] == "state" && site["to"] == "evacuate")
    };
    let site = until(SOON, "the city hears of the evacuation", declared);
    assert_eq!(site["zone"], "park", "{site}");
    let shown = said(dir, &["site"], &[]);
    assert!(shown.contains("疏散 evacuate"), "{shown}");
}

fn every_action_is_in_the_chain(city: &City) {
    let entries = || {
        let mut entries = city.documents("passage", "audit");
        entries.sort_by_key(|entry| entry["seq"].as_u64());
        entries.dedup_by_key(|entry| entry["seq"].as_u64());
        entries
    };
    eventually(SOON, "six actions and a refusal in the audit", || entries().len() >= 6);
    let entries = entries();
    let refused = entries.iter().filter(|entry| entry["result"] == "refused").count();
    assert_eq!(refused, 1, "{entries:?}");
    for pair in entries.windows(2) {
        assert_eq!(pair[0]["hash"], pair[1]["prev_hash"], "{pair:?}");
    }
}

#[test]
fn a_point_is_stopped_and_brought_back_while_the_gateway_runs_and_over_a_kill() {
    let Some(broker) = Mosquitto::start() else { return };
    let (field, city) = (Field::start(), City::listens(broker.port()));
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let web = free_port();
    folder(dir.path(), field.server.addr().port(), broker.port(), web);
    let gateway = Gateway::start_ready(dir.path(), web);
    let point = || {
        let registries = city.documents("registry", "registry");
        let newest = registries.into_iter().max_by_key(|registry| registry["rev"].as_u64())?;
        Some((newest["rev"].as_u64()?, newest["devices"][0]["points"][0].clone()))
    };
    let commissioned = |word: &str| {
        until(SOON, &format!("the registry says {word}"), || {
            point().filter(|(_, point)| point["commissioning"] == word)
        })
    };
    let (first, told) = commissioned("in_service");
    assert_eq!((&told["gas"], &told["limits"]["gas"]), (&"可燃".into(), &serde_json::json!([25.0, 50.0])), "{told}");

    let nobody = run(dir.path(), &["service"], &["point", "XX9", "stopped", "--reason", "换探头"]);
    assert!(!nobody.status.success());
    said(dir.path(), &["service"], &["point", "AT701", "stopped", "--reason", "换探头"]);
    assert!(commissioned("stopped").0 > first, "what changed has a revision of its own");
    let stopped = || {
        let records = city.records.lock().unwrap();
        records.iter().any(|(stream, _, record)| stream == "telemetry" && record["quality"]["AT701"] == "stopped")
    };
    eventually(SOON, "its values are told as stopped", stopped);
    // Gas there and pressure: the second is an alarm, the first is none, also in the next start.
    field.show(60, 850);
    city.hears("PT701.high", "unacked", "active");
    gateway.kill9();
    let gateway = Gateway::start_ready(dir.path(), web);
    let listed = said(dir.path(), &["service"], &[]);
    assert!(listed.contains("AT701") && listed.contains("停用 stopped") && listed.contains("换探头"), "{listed}");
    field.show(60, 950);
    city.hears("PT701.high", "unacked", "level_up");
    assert_eq!(city.of("AT701.gas"), Vec::<Value>::new(), "a stopped point makes no alarm");
    said(dir.path(), &["service"], &["point", "AT701", "in_service", "--reason", "LT-7"]);
    let raised = city.hears("AT701.gas", "unacked", "active");
    assert_eq!((raised["level"].as_u64(), raised["mode"].as_str()), (Some(2), Some("real")), "{raised}");
    let (rev, _) = commissioned("in_service");
    assert_eq!(raised["limits_rev"].as_u64(), Some(rev), "its limits are those of the registry that names it");
    assert_eq!(gateway.sigterm(), Some(0));
}

#[test]
fn an_alarm_is_told_although_the_store_does_not_write_and_says_so() {
    let (Some(mut broker), Some(other)) = (Mosquitto::start(), Mosquitto::start()) else { return };
    let Some(prlimit) = support::require_cmd("prlimit") else { return };
    if !support::require_root("the limit of another process is raised again") {
        return;
    }
    let (field, city) = (Field::start(), City::listens(broker.port()));
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let web = free_port();
    folder(dir.path(), field.server.addr().port(), broker.port(), web);
    let gateway = Gateway::start_to_fill(dir.path(), web, []);
    let may_write = |bytes: &str| {
        let limit = format!("--fsize={bytes}:unlimited");
        let pid = gateway.pid().to_string();
        let set = std::process::Command::new(&prlimit).args(["--pid", &pid, &limit]).status().unwrap();
        assert!(set.success());
    };
    field.show(10, 850);
    city.hears("PT701.high", "unacked", "active");
    may_write("0");
    city.hears("gateway.store", "unacked", "active");
    let changed = support::wait::now();
    field.show(60, 850);
    city.hears("AT701.gas", "unacked", "active");
    let took = changed.elapsed();
    println!("from the register to the city, told unstored: {took:?}, with a poll of 200 ms and 200 ms for the store");
    assert!(took < TOLD_WITHIN, "{took:?}");
    assert!(city.heard_unstored("AT701.gas"), "it is marked as not stored");

    // The broker goes as well, and the uplink begins anew with another one: what only memory has is not forgotten.
    broker.stop();
    field.show(60, 950);
    eventually(SOON, "it is known on the machine", || {
        let listed = said(dir.path(), &["alarms"], &["--csv"]);
        listed.lines().any(|line| line.contains("PT701.high") && line.contains("950"))
    });
    let city = City::listens(other.port());
    uplink(dir.path(), other.port());
    city.hears("PT701.high", "unacked", "level_up");
    assert!(city.heard_unstored("PT701.high"));
    may_write("unlimited");
    city.hears("gateway.store", "returned_unacked", "clear");
    assert_eq!(gateway.sigterm(), Some(0));
}
