//! Alarms while the wall clock is wrong, by the real binary (`reliability.md` 26 to 28): nothing is invented, lost, cleared or
//! told in another order; what is stamped by a wrong clock says so, and the step is told.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::support::city::{City, Told};
use super::support::clock::Clock;
use super::support::process::{Gateway, Mosquitto};
use super::support::wait::{SOON, eventually, free_port, wall_ms};
use super::{Field, folder, said};

/// How far the clock is beside the truth, milliseconds, and what the gateway thinks of it.
type Shown = (i64, &'static str);
const RIGHT: Shown = (0, "synced");
/// What a machine may lag behind, and what this story's own looks take.
const NEAR: i64 = 10_000;

/// The streams that tell of it.
const STREAMS: &[&str] = &["alarm", "event", "report", "telemetry", "gap"];

fn word<'a>(told: &'a Told, pointer: &str) -> &'a str {
    told.record.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The records of all alarms in their order, without the sets of all that stand.
fn alarms(city: &City) -> Vec<Told> {
    city.of("alarm").into_iter().filter(|told| told.record.get("alarm").is_some()).collect()
}

/// Their transitions: alarm and cause. Whom they were told in between depends on how long this takes.
fn transitions(city: &City) -> Vec<(String, String)> {
    let told = alarms(city).into_iter().filter(|told| !is_note(told));
    told.map(|told| (word(&told, "/alarm/alarm").to_owned(), word(&told, "/alarm/cause").to_owned())).collect()
}

fn hears(city: &City, alarm: &str, cause: &str) {
    let wanted = (alarm.to_owned(), cause.to_owned());
    eventually(SOON, &format!("{alarm} by {cause}"), || transitions(city).last() == Some(&wanted));
}

/// Waits until the steps told so far, from the record `after` on, are together as long as this.
fn hears_of_a_step(city: &City, after: usize, shown: Shown, by_ms: i64) {
    let changes = || {
        let events = city.of("event").into_iter().skip(after);
        let changes: Vec<Told> = events.filter(|told| told.record.get("clock").is_some()).collect();
        changes
    };
    eventually(SOON, "the step and the trust are told", || {
        let changes = changes();
        let sum: i64 = changes.iter().filter_map(|told| told.record["clock"]["offset_ms"].as_i64()).sum();
        (sum - by_ms).abs() < NEAR && changes.last().is_some_and(|told| word(told, "/clock/to") == shown.1)
    });
}

/// Waits for readings that were made and told after now.
fn hears_readings(city: &City) {
    let before = city.of("telemetry").len();
    eventually(SOON, "readings go on", || city.of("telemetry").len() > before + 3);
}

fn is_note(told: &Told) -> bool {
    ["escalated", "receipt"].contains(&word(told, "/alarm/cause"))
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
    let (field, city, web) = (Field::start(), City::listens(broker.port(), "g", STREAMS), free_port());
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
    hears(&city, "AT701.gas", "active");
    said(&park, &["ack", "AT701.gas"], &[]);
    hears(&city, "AT701.gas", "ack");
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
            hears_of_a_step(&city, events, *shown, shown.0);
            shown
        }
    };
    hears_readings(&city);
    assert_eq!(standing(), before, "nothing was raised or cleared");
    field.show(30, 850);
    hears(&city, "PT701.high", "active");

    // It is put right: both stand, and live on.
    let (events, before) = (city.of("event").len(), standing());
    clock.show(RIGHT.0, true);
    hears_of_a_step(&city, events, RIGHT, -shown.0);
    hears_readings(&city);
    assert_eq!(standing(), before, "nothing was raised or cleared");
    field.show(30, 950);
    hears(&city, "PT701.high", "level_up");
    field.show(10, 950);
    hears(&city, "AT701.gas", "clear");
    said(&park, &["reset", "AT701.gas"], &[]);
    hears(&city, "AT701.gas", "reset");
    assert_eq!(gateway.sigterm(), Some(0));
    check(&city, *shown)
}

/// Whether every number up to the last one was told, or lies in a gap: what the cut took was reserved, and perhaps never used.
fn is_whole(city: &City, stream: &str) -> bool {
    let gaps = city.of("gap").into_iter().map(|told| told.record["gap"].clone()).filter(|gap| gap["stream"] == stream);
    let gaps: Vec<(u64, u64)> =
        gaps.filter_map(|gap| Some((gap["from_seq"].as_u64()?, gap["to_seq"].as_u64()?))).collect();
    let numbers: BTreeSet<u64> = city.numbers(stream).into_iter().collect();
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
    assert_eq!(transitions(city), order.map(pair), "in their order, each once, and no other");
    for stream in ["alarm", "event", "report"] {
        eventually(SOON, &format!("every number of {stream} is told, or stands in a gap"), || is_whole(city, stream));
    }
    let (alarms, now) = (alarms(city), wall_ms());
    for (n, told) in alarms.iter().filter(|told| !is_note(told)).enumerate() {
        // The third was raised while the clock was wrong.
        let (off, trust) = if n == 2 { wrong } else { RIGHT };
        let t: jiff::Timestamp = word(told, "/t").parse().unwrap();
        let age = now + off - t.as_millisecond();
        let story = i64::try_from(SOON.as_millis()).unwrap() * 10;
        assert!((-NEAR..story).contains(&age), "{told:?} is of the clock that was shown then: {age} ms old");
        assert_eq!(told.clock, trust, "{told:?}");
    }
    for alarm in ["AT701.gas", "PT701.high"] {
        let of: Vec<&Told> = alarms.iter().filter(|told| word(told, "/alarm/alarm") == alarm).collect();
        let numbers: Vec<u64> = of.iter().filter_map(|told| told.record["alarm"]["n"].as_u64()).collect();
        assert_eq!(numbers, (1..=of.len() as u64).collect::<Vec<_>>(), "{of:?}");
        assert!(of.iter().all(|told| word(told, "/alarm/occ") == word(of[0], "/alarm/occ")), "one occurrence: {of:?}");
    }
    let reports = city.of("report");
    let count = |what: &str| reports.iter().filter(|told| word(told, "/report/what") == what).count();
    let leaps = usize::from(wrong.0 > 86_400_000);
    // The daybook looks at the clock now and then: it may not have seen the leap at all.
    assert!(count("omitted") <= leaps, "days that nobody lived are one record: {reports:?}");
    assert!(count("daily") + count("nil") <= 1, "and have no reports of their own: {reports:?}");
    alarms
}
