//! From the change of a register to the alarm: at the broker, stored before it was told, and on the page's event stream; one at
//! a time, and a thousand at once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parkgate::sim::load::folder::Folder;
use parkgate::sim::load::{Contents, Field, Layout, Spec};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

use super::support::platform::{Manners, Platform};
use super::support::process::{Gateway, Mosquitto};
use super::support::wait::{SOON, eventually, free_port, live, now};
use super::{Quantiles, WARM_POLLS};

/// 20,000 points.
const DEVICES: usize = 200;
const REGISTERS: u16 = 100;
/// The limit, and what exceeds it; the walk stays below both.
const HIGH: u16 = 20_000;
const ABOVE: u16 = 30_000;
/// Single alarms measured.
const SINGLES: usize = 100;
/// Devices of the flood: each but its counter alarms.
const FLOOD: usize = 11;

/// When an alarm was first seen.
#[derive(Default)]
struct Seen {
    broker: BTreeMap<String, Instant>,
    page: BTreeMap<String, Instant>,
    unstored: usize,
}

type Shared = Arc<Mutex<Seen>>;

/// Measures and prints.
pub(crate) fn measure(interval_ms: u64) {
    let Some(broker) = Mosquitto::start() else { return };
    let spec =
        Spec { devices: DEVICES, registers: REGISTERS, contents: Contents::Walk, layout: Layout::PortEach, seed: 1 };
    let field = Field::start(&spec).unwrap();
    let mut folder = Folder::new(field.places(), REGISTERS, free_port()).with_uplink(broker.port());
    folder.interval = Duration::from_millis(interval_ms);
    folder.quota = "8GiB".to_owned();
    folder.high = Some(HIGH);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    folder.write(dir.path()).unwrap();
    let manners = Manners { acks: true, strict: false };
    let platform = Platform::start(broker.port(), &folder.park, &folder.gateway, &manners);
    let seen = Shared::default();
    subscribe(broker.port(), &platform, &seen);
    let gateway = Gateway::start_ready(dir.path(), folder.web_port);
    eventually(SOON, "every device at the platform", || {
        let desk = platform.desk();
        (0..DEVICES).all(|i| desk.counters.received(&Folder::device(i)) >= WARM_POLLS)
    });
    look_at_page(folder.web_port, &seen);
    singles(&field, &seen, interval_ms);
    flood(&field, &seen, interval_ms);
    println!("told before they were stored: {}", seen.lock().unwrap().unstored);
    assert_eq!(gateway.sigterm(), Some(0), "the gateway did not end well");
}

fn singles(field: &Field, seen: &Shared, interval_ms: u64) {
    let mut changed = BTreeMap::new();
    for n in 0..SINGLES {
        // Another device each time, at another place of its interval.
        let (device, register) = (n * 2 % DEVICES, 1 + u16::try_from(n / DEVICES).unwrap());
        field.hold(device, register..register + 1, Some(ABOVE));
        changed.insert(format!("{}.high", Folder::tag(device, register)), now());
        live(Duration::from_millis(337));
    }
    print_ages("single alarms", &changed, seen, interval_ms);
}

fn flood(field: &Field, seen: &Shared, interval_ms: u64) {
    let at = now();
    let mut changed = BTreeMap::new();
    for device in (1..DEVICES).step_by(2).take(FLOOD) {
        field.hold(device, 1..REGISTERS, Some(ABOVE));
        changed.extend((1..REGISTERS).map(|register| (format!("{}.high", Folder::tag(device, register)), at)));
    }
    print_ages(&format!("a flood of {}", changed.len()), &changed, seen, interval_ms);
}

fn print_ages(what: &str, changed: &BTreeMap<String, Instant>, seen: &Shared, interval_ms: u64) {
    let all = |of: &BTreeMap<String, Instant>| changed.keys().all(|alarm| of.contains_key(alarm));
    let began = now();
    while began.elapsed() < Duration::from_secs(30) && !all(&seen.lock().unwrap().broker) {
        live(Duration::from_millis(20));
    }
    let seen = seen.lock().unwrap();
    for (place, of) in [("broker", &seen.broker), ("page", &seen.page)] {
        let ages = changed.iter().filter_map(|(alarm, at)| Some(of.get(alarm)?.saturating_duration_since(*at)));
        let ages: Vec<Duration> = ages.collect();
        let n = ages.len();
        let ages = Quantiles::of(ages);
        println!(
            "{what}, {place}: {n} of {} seen; p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms (interval {interval_ms} ms)",
            changed.len(),
            ages.at(0.5),
            ages.at(0.99),
            ages.at(1.0)
        );
    }
}

/// Notes when each alarm first reaches the broker.
fn subscribe(port: u16, platform: &Platform, seen: &Shared) {
    let (topic, seen) = (format!("{}/alarm", platform.base()), Arc::clone(seen));
    let mut options = MqttOptions::new(format!("watch-{}", std::process::id()), "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(16 << 20, 16 << 20);
    let (client, mut connection) = Client::new(options, 64);
    std::thread::spawn(move || {
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => client.try_subscribe(&topic, QoS::AtLeastOnce).unwrap(),
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let at = now();
                    let envelope: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
                    let mut seen = seen.lock().unwrap();
                    for record in envelope.get("records").and_then(|all| all.as_array()).into_iter().flatten() {
                        let first = record.pointer("/alarm/n").is_some_and(|n| *n == 1);
                        seen.unstored += usize::from(record.get("unstored").is_some());
                        let alarm = record.pointer("/alarm/alarm").and_then(|alarm| alarm.as_str());
                        if let Some(alarm) = alarm.filter(|_| first) {
                            seen.broker.entry(alarm.to_owned()).or_insert(at);
                        }
                    }
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
}

/// Notes when each alarm first stands in the event stream of the page. (Of a flood, the page shows its first places.)
fn look_at_page(port: u16, seen: &Shared) {
    let seen = Arc::clone(seen);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /events?page=alarms&lang=en HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let at = now();
            let names = line.split('"').filter(|word| word.ends_with(".high"));
            let mut seen = seen.lock().unwrap();
            for alarm in names {
                seen.page.entry(alarm.to_owned()).or_insert(at);
            }
        }
    });
}
