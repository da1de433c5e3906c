//! Restarts: nothing is invented, lost or cleared, whatever the clock says (`reliability.md` rows 26 to 28).

use std::time::Duration;

use super::super::action::Action;
use super::super::severity::{Priority, Recipient, Shelving};
use super::super::spec::*;
use super::super::state::{Cause, State};
use super::bench::*;
use crate::domain::actor::Role;
use crate::domain::instrument::InstrumentState;
use crate::domain::reading::Quality;
use crate::domain::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
/// 1970, an hour back, ten years forward.
const CLOCKS: [i64; 3] = [0, -3_600_000, 10 * 365 * 86_400_000];

/// 1970 is a time, the others are steps.
fn wall(park: &Bench, clock: i64) -> Timestamp {
    if clock == 0 { Timestamp(7_000) } else { Timestamp(park.now.wall.0 + clock) }
}

fn high(ordinal: u16) -> AlarmSpec {
    AlarmSpec { levels: vec![level(80.0, Priority::Red)], ..alarm(at(0, ordinal), Condition::High) }
}

/// One alarm in each state: p0 normal, p1 B, p2 C, p3 D, p4 E, p5 F, p6 G, p7 H, p8 I, p9 waits for its on-delay.
fn in_every_state() -> Bench {
    let spec = |ordinal: u16| AlarmSpec {
        latching: matches!(ordinal, 4 | 5),
        suppressed_when: (ordinal == 7).then(|| when(20, super::super::ask::Test::On)),
        on_delay: if ordinal == 9 { MINUTE } else { Duration::ZERO },
        ..high(ordinal)
    };
    let mut park = Bench::new(book((0..10).map(spec).collect(), vec![]));
    let id = |ordinal: u16| format!("d0.p{ordinal}.high");
    for ordinal in 1..9 {
        park.read(ordinal, good(85.0));
    }
    for ordinal in [2, 5] {
        park.ack(&id(ordinal)).unwrap();
    }
    for ordinal in [3, 4, 5] {
        park.read(ordinal, good(1.0));
    }
    park.shelve(&id(6), 4 * HOUR).unwrap();
    park.read(20, bit(true));
    let out = Action::OutOfService { alarm: id(8), time: 48 * HOUR, reason: "换表".into() };
    park.act(&out, &supervisor()).unwrap();
    park.act(&Action::Approve { alarm: id(8) }, &person("赵主任", &[Role::Supervisor])).unwrap();
    park.read(9, good(85.0));
    let letters: String = (0..10).map(|o| park.state(&id(o)).letter()).collect();
    assert_eq!(letters, "ABCDEFGHIA");
    park
}

#[test]
fn every_state_comes_back_as_it_was_from_the_snapshot_or_from_the_records_alone() {
    let park = in_every_state();
    for clock in CLOCKS {
        let wall = wall(&park, clock);
        for again in [
            park.restart(park.alarms.saved(park.now), vec![], wall),
            park.restart(Default::default(), park.records.clone(), wall),
            park.restart(park.alarms.saved(park.now), park.records.clone(), wall),
        ] {
            assert!(again.records.is_empty(), "a restart is no event of an alarm");
            let set = |park: &Bench| {
                let alarms = park.alarms.active_set(park.now).alarms.into_iter();
                alarms.map(|a| (a.alarm, a.occ, a.n, a.state, a.level)).collect::<Vec<_>>()
            };
            assert_eq!(set(&again), set(&park));
            assert_eq!(again.alarms.active_set(again.now).hash, park.alarms.active_set(park.now).hash);
        }
    }
    let saved = park.alarms.saved(park.now);
    let again = park.restart(saved.clone(), vec![], park.now.wall);
    let text = |saved: &_| serde_json::to_string_pretty(saved).unwrap();
    assert_eq!(text(&again.alarms.saved(again.now)), text(&saved), "the roles of persons are not kept, all else is");
}

#[test]
fn what_stood_stands_until_a_measurement_and_delays_begin_anew() {
    let park = in_every_state();
    for clock in CLOCKS {
        let mut again = park.restart(park.alarms.saved(park.now), vec![], wall(&park, clock));
        again.read(1, bad(Quality::Comm));
        again.pass(59 * MINUTE);
        assert!(again.records.is_empty(), "{:?}", again.records);
        again.read(9, good(85.0));
        again.pass(Duration::from_secs(59));
        assert!(again.records.is_empty());
        again.pass(SECOND);
        assert_eq!((again.last().alarm.as_ref(), again.last().occ.boot), ("d0.p9.high", 18));
        again.read(1, good(1.0));
        assert_eq!((again.last().cause, again.last().occ.boot), (Cause::Clear, 17), "the old occurrence goes on");
    }
}

#[test]
fn a_shelf_ends_when_its_time_is_over_not_when_the_clock_says_so() {
    let park = in_every_state();
    for clock in CLOCKS {
        let mut again = park.restart(park.alarms.saved(park.now), vec![], wall(&park, clock));
        again.pass(3 * HOUR);
        assert_eq!(again.state("d0.p6.high"), State::Shelved);
        again.pass(HOUR);
        assert_eq!(again.last().cause, Cause::ShelfExpired);
        assert_eq!(again.state("d0.p6.high"), State::Unacked);
        again.pass(44 * HOUR);
        assert_eq!(again.state("d0.p8.high"), State::Unacked);
    }
}

#[test]
fn steps_of_the_clock_while_it_runs_change_nothing() {
    let run = |steps: &[i64]| {
        let mut park = Bench::new(book(vec![AlarmSpec { on_delay: MINUTE, off_delay: MINUTE, ..high(0) }], vec![]));
        park.read(0, good(85.0));
        park.now.wall = Timestamp(park.now.wall.0 + steps.first().unwrap_or(&0));
        park.pass(2 * MINUTE);
        park.shelve("d0.p0.high", HOUR).unwrap();
        park.now.wall = Timestamp(park.now.wall.0 + steps.last().unwrap_or(&0));
        park.pass(HOUR);
        park.read(0, good(1.0));
        park.pass(2 * MINUTE);
        let told = park.records.iter().map(|r| (r.n, r.cause, r.to, r.level)).collect::<Vec<_>>();
        (told, park.now.mono)
    };
    let quiet = run(&[]);
    assert_eq!(quiet.0.len(), 4);
    for steps in [[-3_600_000, 3_600_000], [10 * 365 * 86_400_000, -20 * 365 * 86_400_000]] {
        assert_eq!(run(&steps), quiet);
    }
}

#[test]
fn a_ladder_goes_on_where_it_stood() {
    let step = |secs, channel: &str| Step {
        after: Duration::from_secs(secs),
        channel: channel.into(),
        to: Recipient::ControlRoom,
    };
    let steps = vec![step(0, "page"), step(600, "sms"), step(1200, "phone")];
    let book = AlarmBook {
        escalations: vec![Escalation { name: "默认".into(), steps }],
        ..book(vec![AlarmSpec { escalation: Some(0), ..high(0) }], vec![])
    };
    let mut park = Bench::new(book);
    park.read(0, good(85.0));
    let early = park.alarms.saved(park.now);
    park.pass(Duration::from_secs(700));
    let n = park.records.len();
    let late = park.alarms.saved(park.now);
    let mut again = park.restart(late, vec![], park.now.wall);
    again.pass(Duration::from_secs(499));
    assert!(again.orders.is_empty());
    again.pass(SECOND + SECOND);
    assert_eq!(again.orders.len(), 1, "the third step, 1200 s after the raise");
    assert_eq!(again.records[0].n as usize, n + 1);
    // From an old snapshot and the records since: what was told was told; the rest waits no less than it must.
    let mut again = park.restart(early, park.records.clone(), park.now.wall);
    again.pass(Duration::from_secs(599));
    assert!(again.orders.is_empty());
    again.pass(SECOND + SECOND);
    assert_eq!(again.orders.len(), 1);
}

#[test]
fn instruments_and_requests_come_back() {
    let limits = vec![(InstrumentState::Calibration, 30 * MINUTE)];
    let long = alarm(at(0, 0), Condition::StateTooLong { detector: 0, limits });
    let severe = Level { shelving: Shelving::SecondPerson, ..level(None, Priority::Red) };
    let long = AlarmSpec { levels: vec![severe], ..long };
    let mut park = Bench::new(book(vec![long], vec![detector()]));
    park.read_in(0, good(60.0), Some(InstrumentState::Calibration));
    park.pass(20 * MINUTE);
    park.shelve("d0.p0.state_too_long", HOUR).unwrap();
    let mut again = park.restart(park.alarms.saved(park.now), vec![], Timestamp(0));
    assert!(again.documents.is_empty());
    assert_eq!(again.alarms.instruments(again.now)[0].for_s, 1200);
    again.read_in(0, good(60.0), Some(InstrumentState::Calibration));
    again.pass(9 * MINUTE);
    assert!(again.records.is_empty());
    again.pass(MINUTE);
    assert_eq!(again.last().alarm.as_ref(), "d0.p0.state_too_long", "30 minutes, 20 of them before the restart");
    let approve = Action::Approve { alarm: "d0.p0.state_too_long".into() };
    assert!(again.act(&approve, &supervisor()).is_err(), "not who asked");
    again.act(&approve, &person("赵主任", &[Role::Supervisor])).unwrap();
}

#[test]
fn an_alarm_that_the_configuration_has_no_more_is_closed_with_its_own_numbers() {
    let mut park = Bench::new(book(vec![high(0)], vec![]));
    park.read(0, good(85.0));
    let occ = park.occ("d0.p0.high");
    let saved = park.alarms.saved(park.now);
    park.alarms = super::super::Alarms::new(book(vec![high(1)], vec![]).into(), 18, park.now);
    let again = park.restart(saved, vec![], park.now.wall);
    let record = again.last();
    assert_eq!((record.occ, record.n, record.cause, record.to), (occ, 2, Cause::Removed, State::Normal));
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let park = in_every_state();
    for record in &park.records {
        let text = record.document(park.now.mono).json;
        let read: super::super::record::AlarmRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(!text.contains("null"), "what is absent is left out: {text}");
    }
    let text = park.alarms.active_set_document(park.now).json;
    let set: super::super::view::ActiveSet = serde_json::from_str(&text).unwrap();
    assert_eq!((set.alarms.len(), set.counts.shelved, set.hash.len()), (8, 1, 64));
}
