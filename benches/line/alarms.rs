//! From the change of a register to the alarm: at the broker, stored before it was told, and on the page's event stream; one at
//! a time, and a thousand at once.

use std::collections::{BTreeMap, BTreeSet};
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
/// Places of the page's list that show an alarm when there are more.
const PLACES: usize = 39;

/// When an alarm was first seen.
#[derive(Default)]
struct Seen {
    broker: BTreeMap<String, Instant>,
    page: BTreeMap<String, Instant>,
    /// Told before they were committed: these say so.
    unstored: BTreeSet<String>,
    /// How often each alarm was told as raised: more than once is one invented, or sent twice.
    raised: BTreeMap<String, BTreeSet<u64>>,
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
    let interval = Duration::from_millis(interval_ms);
    singles(&field, &seen, interval + WITHIN);
    flood(&field, &seen, interval + FLOOD_WITHIN);
    let twice = seen.lock().unwrap().raised.values().filter(|seqs| seqs.len() > 1).count();
    println!(
        "raised more than once: {twice}; told before they were committed: {}",
        seen.lock().unwrap().unstored.len()
    );
    assert_eq!(gateway.sigterm(), Some(0), "the gateway did not end well");
}

fn singles(field: &Field, seen: &Shared, limit: Duration) {
    let mut changed = BTreeMap::new();
    for n in 0..SINGLES {
        // Another device each time, at another place of its interval.
        let (device, register) = (n * 2 % DEVICES, 1 + u16::try_from(n / DEVICES).unwrap());
        field.hold(device, register..register + 1, Some(ABOVE));
        changed.insert(format!("{}.high", Folder::tag(device, register)), now());
        live(Duration::from_millis(337));
    }
    print_ages("single alarms", &changed, seen, limit, changed.len());
}

fn flood(field: &Field, seen: &Shared, limit: Duration) {
    let at = now();
    let mut changed = BTreeMap::new();
    for device in (1..DEVICES).step_by(2).take(FLOOD) {
        field.hold(device, 1..REGISTERS, Some(ABOVE));
        changed.extend((1..REGISTERS).map(|register| (format!("{}.high", Folder::tag(device, register)), at)));
    }
    print_ages(&format!("a flood of {}", changed.len()), &changed, seen, limit, PLACES);
}

/// What is asked of an alarm: told within the interval of its poll and this.
const WITHIN: Duration = Duration::from_millis(200);
/// Of a flood, none may come later than its poll and this.
const FLOOD_WITHIN: Duration = Duration::from_secs(1);
/// Longest wait for what should have been there long since.
const PATIENCE: Duration = Duration::from_secs(30);

fn print_ages(what: &str, changed: &BTreeMap<String, Instant>, seen: &Shared, limit: Duration, on_page: usize) {
    let there = |of: &BTreeMap<String, Instant>| changed.keys().filter(|alarm| of.contains_key(*alarm)).count();
    let is_there = |seen: &Seen| there(&seen.broker) == changed.len() && there(&seen.page) >= on_page;
    let began = now();
    while began.elapsed() < PATIENCE && !is_there(&seen.lock().unwrap()) {
        live(Duration::from_millis(20));
    }
    let seen = seen.lock().unwrap();
    let stored = seen.broker.iter().filter(|(alarm, _)| !seen.unstored.contains(*alarm));
    let stored: BTreeMap<String, Instant> = stored.map(|(alarm, at)| (alarm.clone(), *at)).collect();
    let places =
        [("committed", &stored, changed.len()), ("broker", &seen.broker, changed.len()), ("page", &seen.page, on_page)];
    for (place, of, wanted) in places {
        let ages = changed.iter().filter_map(|(alarm, at)| Some(of.get(alarm)?.saturating_duration_since(*at)));
        let ages = Quantiles::of(ages.collect());
        let met = there(of) >= wanted && ages.at(0.99) <= limit.as_secs_f64() * 1e3;
        println!(
            "{what}, {place}: {} of {} (wanted {wanted}); p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms; asked for: {} ms, {}",
            there(of),
            changed.len(),
            ages.at(0.5),
            ages.at(0.99),
            ages.at(1.0),
            limit.as_millis(),
            if met { "met" } else { "MISSED" }
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
                        let alarm = record.pointer("/alarm/alarm").and_then(|alarm| alarm.as_str());
                        let Some(alarm) = alarm.filter(|_| first).map(str::to_owned) else { continue };
                        if record.get("unstored").is_some() && !seen.broker.contains_key(&alarm) {
                            seen.unstored.insert(alarm.clone());
                        }
                        seen.broker.entry(alarm.clone()).or_insert(at);
                        seen.raised.entry(alarm).or_default().extend(record.get("seq").and_then(|seq| seq.as_u64()));
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
