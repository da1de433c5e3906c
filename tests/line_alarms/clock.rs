//! Alarms while the wall clock is wrong, by the real binary (`reliability.md` 26 to 28): nothing is invented, lost, cleared or
//! told in another order; what is stamped by a wrong clock says so, and the step is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;

use super::support::clock::Clock;
use super::support::process::{Gateway, Mosquitto};
use super::support::wait::{SOON, eventually, free_port, wall_ms};
use super::{Field, folder, said};

/// How far the clock is beside the truth, milliseconds, and what the gateway thinks of it.
type Shown = (i64, &'static str);
const RIGHT: Shown = (0, "synced");
/// What a machine may lag behind, and what this story's own looks take.
const NEAR: i64 = 10_000;

/// A record as it was told.
#[derive(Clone, Debug)]
struct Told {
    /// Trust in its time, as its envelope has it.
    clock: String,
    record: Value,
}

impl Told {
    fn word(&self, pointer: &str) -> &str {
        self.record.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Everything told, by stream and number.
#[derive(Clone, Default)]
struct City(Arc<Mutex<BTreeMap<(String, u64), Told>>>);

impl City {
    fn listens(port: u16) -> Self {
        let city = Self::default();
        let told = Arc::clone(&city.0);
        let mut options = MqttOptions::new(format!("clock-{port}"), "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 64);
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        for stream in ["alarm", "event", "report", "telemetry", "gap"] {
                            client.try_subscribe(format!("parkgate/v1/p/g/{stream}"), QoS::AtLeastOnce).unwrap();
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => keep(&mut told.lock().unwrap(), &publish.payload),
                    Ok(_) => {}
                    // The broker ends with the story.
                    Err(_) => return,
                }
            }
        });
        city
    }

    fn of(&self, stream: &str) -> Vec<Told> {
        let told = self.0.lock().unwrap();
        told.iter().filter(|((of, _), _)| of == stream).map(|(_, told)| told.clone()).collect()
    }

    /// The records of all alarms in their order, without the sets of all that stand.
    fn alarms(&self) -> Vec<Told> {
        self.of("alarm").into_iter().filter(|told| told.record.get("alarm").is_some()).collect()
    }

    /// Their transitions: alarm and cause. Whom they were told in between depends on how long this takes.
    fn transitions(&self) -> Vec<(String, String)> {
        let told = self.alarms().into_iter().filter(|told| !is_note(told));
        told.map(|told| (told.word("/alarm/alarm").to_owned(), told.word("/alarm/cause").to_owned())).collect()
    }

    fn hears(&self, alarm: &str, cause: &str) {
        let wanted = (alarm.to_owned(), cause.to_owned());
        eventually(SOON, &format!("{alarm} by {cause}"), || self.transitions().last() == Some(&wanted));
    }

    /// Waits until the steps told so far, from the record `after` on, are together as long as this.
    fn hears_of_a_step(&self, after: usize, shown: Shown, by_ms: i64) {
        let changes = || {
            let events = self.of("event").into_iter().skip(after);
            let changes: Vec<Told> = events.filter(|told| told.record.get("clock").is_some()).collect();
            changes
        };
        eventually(SOON, "the step and the trust are told", || {
            let changes = changes();
            let sum: i64 = changes.iter().filter_map(|told| told.record["clock"]["offset_ms"].as_i64()).sum();
            (sum - by_ms).abs() < NEAR && changes.last().is_some_and(|told| told.word("/clock/to") == shown.1)
        });
    }

    /// Waits for readings that were made and told after now.
    fn hears_readings(&self) {
        let before = self.of("telemetry").len();
        eventually(SOON, "readings go on", || self.of("telemetry").len() > before + 3);
    }
}

fn is_note(told: &Told) -> bool {
    ["escalated", "receipt"].contains(&told.word("/alarm/cause"))
}

/// Told twice is the same both times.
fn keep(told: &mut BTreeMap<(String, u64), Told>, payload: &[u8]) {
    let envelope: Value = serde_json::from_slice(payload).unwrap();
    let word = |name: &str| envelope[name].as_str().unwrap_or_default().to_owned();
    for mut record in envelope["records"].as_array().cloned().unwrap_or_default() {
        // Whether it was stored by then may differ; it says nothing of the clock.
        record.as_object_mut().unwrap().remove("unstored");
        let key = (word("stream"), record["seq"].as_u64().unwrap_or_default());
        // The ledger of gaps is sent under the clock of whoever sends it.
        let clock = if key.0 == "gap" { String::new() } else { word("clock") };
        let new = Told { clock, record };
        if let Some(before) = told.insert(key, new.clone()) {
            assert_eq!((before.clock, before.record), (new.clock, new.record), "one number, two records");
        }
    }
}

/// How the clock becomes wrong.
enum Wrong {
    /// The power fails, and the machine starts without a battery clock.
    Boot(Shown),
    /// A time server sets it while the gateway runs.
    Step(Shown),
}

#[test]
fn a_boot_in_1970_and_the_step_to_the_truth_touch_no_alarm() {
    let told = story(&Wrong::Boot((-wall_ms(), "unsynced")));
    let at_1970 = told.iter().filter(|told| told.record["t"].as_str().unwrap().starts_with("1970-01-01"));
    assert!(at_1970.clone().count() > 0 && at_1970.clone().all(|told| told.clock == "unsynced"), "{told:?}");
}

#[test]
fn a_clock_that_steps_an_hour_back_while_running_touches_no_alarm() {
    story(&Wrong::Step((-3_600_000, "synced")));
}

#[test]
fn a_clock_that_a_time_server_sets_ten_years_ahead_touches_no_alarm() {
    story(&Wrong::Step((10 * 365 * 86_400_000, "synced")));
}

/// Two alarms stand while the clock goes wrong and while it is put right. Returns the records of the alarms.
fn story(wrong: &Wrong) -> Vec<Told> {
    let Some(broker) = Mosquitto::start() else { return Vec::new() };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let own = dir.path().join("clock");
    fs::create_dir(&own).unwrap();
    let Some(clock) = Clock::make(&own) else { return Vec::new() };
    let (field, city, web) = (Field::start(), City::listens(broker.port()), free_port());
    let park = dir.path().join("park");
    fs::create_dir(&park).unwrap();
    folder(&park, field.server.addr().port(), broker.port(), web);
    let start = || {
        let mut gateway = Gateway::start_with(&park, web, clock.env());
        gateway.wait_ready();
        gateway
    };
    // A machine that is busy may lose a poll; that says nothing of the clock.
    let standing = || said(&park, &["alarms"], &["--csv"]).replace("，失去测量 no measurement", "");

    // One alarm stands, acknowledged.
    let mut gateway = start();
    field.show(30, 100);
    city.hears("AT701.gas", "active");
    said(&park, &["ack", "AT701.gas"], &[]);
    city.hears("AT701.gas", "ack");
    let before = standing();

    // The clock goes wrong: it stands as it stood, and another one is raised.
    let shown = match wrong {
        Wrong::Boot(shown) => {
            gateway.kill9();
            clock.show(shown.0, shown.1 == "synced");
            gateway = start();
            shown
        }
        Wrong::Step(shown) => {
            let events = city.of("event").len();
            clock.show(shown.0, shown.1 == "synced");
            city.hears_of_a_step(events, *shown, shown.0);
            shown
        }
    };
    city.hears_readings();
    assert_eq!(standing(), before, "nothing was raised or cleared");
    field.show(30, 850);
    city.hears("PT701.high", "active");

    // It is put right: both stand, and live on.
    let (events, before) = (city.of("event").len(), standing());
    clock.show(RIGHT.0, true);
    city.hears_of_a_step(events, RIGHT, -shown.0);
    city.hears_readings();
    assert_eq!(standing(), before, "nothing was raised or cleared");
    field.show(30, 950);
    city.hears("PT701.high", "level_up");
    field.show(10, 950);
    city.hears("AT701.gas", "clear");
    said(&park, &["reset", "AT701.gas"], &[]);
    city.hears("AT701.gas", "reset");
    assert_eq!(gateway.sigterm(), Some(0));
    check(&city, *shown)
}

/// Whether every number up to the last one was told, or lies in a gap: what the cut took was reserved, and perhaps never used.
fn is_whole(city: &City, stream: &str) -> bool {
    let gaps = city.of("gap").into_iter().map(|told| told.record["gap"].clone()).filter(|gap| gap["stream"] == stream);
    let gaps: Vec<(u64, u64)> =
        gaps.filter_map(|gap| Some((gap["from_seq"].as_u64()?, gap["to_seq"].as_u64()?))).collect();
    let told = city.0.lock().unwrap();
    let numbers: BTreeSet<u64> = told.keys().filter(|(of, _)| of == stream).map(|(_, seq)| *seq).collect();
    let last = numbers.last().copied().unwrap_or(0);
    (1..=last).all(|seq| numbers.contains(&seq) || gaps.iter().any(|(from, to)| (*from..=*to).contains(&seq)))
}

fn check(city: &City, wrong: Shown) -> Vec<Told> {
    let pair = |(alarm, cause): (&str, &str)| (alarm.to_owned(), cause.to_owned());
    let order = [
        ("AT701.gas", "active"),
        ("AT701.gas", "ack"),
        ("PT701.high", "active"),
        ("PT701.high", "level_up"),
        ("AT701.gas", "clear"),
        ("AT701.gas", "reset"),
    ];
    assert_eq!(city.transitions(), order.map(pair), "in their order, each once, and no other");
    for stream in ["alarm", "event", "report"] {
        eventually(SOON, &format!("every number of {stream} is told, or stands in a gap"), || is_whole(city, stream));
    }
    let (alarms, now) = (city.alarms(), wall_ms());
    for (n, told) in alarms.iter().filter(|told| !is_note(told)).enumerate() {
        // The third was raised while the clock was wrong.
        let (off, trust) = if n == 2 { wrong } else { RIGHT };
        let t: jiff::Timestamp = told.word("/t").parse().unwrap();
        let age = now + off - t.as_millisecond();
        let story = i64::try_from(SOON.as_millis()).unwrap() * 10;
        assert!((-NEAR..story).contains(&age), "{told:?} is of the clock that was shown then: {age} ms old");
        assert_eq!(told.clock, trust, "{told:?}");
    }
    for alarm in ["AT701.gas", "PT701.high"] {
        let of: Vec<&Told> = alarms.iter().filter(|told| told.word("/alarm/alarm") == alarm).collect();
        let numbers: Vec<u64> = of.iter().filter_map(|told| told.record["alarm"]["n"].as_u64()).collect();
        assert_eq!(numbers, (1..=of.len() as u64).collect::<Vec<_>>(), "{of:?}");
        assert!(of.iter().all(|told| told.word("/alarm/occ") == of[0].word("/alarm/occ")), "one occurrence: {of:?}");
    }
    let reports = city.of("report");
    let count = |what: &str| reports.iter().filter(|told| told.word("/report/what") == what).count();
    let leaps = usize::from(wrong.0 > 86_400_000);
    // The daybook looks at the clock now and then: it may not have seen the leap at all.
    assert!(count("omitted") <= leaps, "days that nobody lived are one record: {reports:?}");
    assert!(count("daily") + count("nil") <= 1, "and have no reports of their own: {reports:?}");
    alarms
}
