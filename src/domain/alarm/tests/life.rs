//! The life of an alarm that is not about gas: limits, delays, other conditions, suppression, groups, reload.

use std::sync::Arc;
use std::time::Duration;

use super::super::ask::Test;
use super::super::problem::Wrong;
use super::super::severity::{Class, Priority};
use super::super::spec::*;
use super::super::state::{Cause, State};
use super::bench::*;
use crate::domain::instrument::InstrumentState;
use crate::domain::reading::{Quality, Reading, Value};

fn levels(limits: [f64; 2], deadband: f64) -> Vec<Level> {
    [(limits[0], Priority::Yellow), (limits[1], Priority::Red)]
        .map(|(limit, priority)| Level { deadband, ..level(limit, priority) })
        .into()
}

fn high() -> AlarmSpec {
    AlarmSpec { levels: levels([80.0, 90.0], 2.0), ..alarm(at(0, 0), Condition::High) }
}

const ID: &str = "d0.p0.high";

#[test]
fn a_level_rises_is_acknowledged_twice_and_returns_to_normal() {
    let mut park = Bench::new(book(vec![high()], vec![]));
    for v in [79.9, 80.0] {
        park.read(0, good(v));
    }
    park.ack(ID).unwrap();
    for v in [95.0, 88.1, 85.0, 78.1, 78.0] {
        park.read(0, good(v));
        if v == 95.0 {
            park.ack(ID).unwrap();
        }
    }
    let path = [
        ('A', 'B', Cause::Active),
        ('B', 'C', Cause::Ack),
        ('C', 'B', Cause::LevelUp),
        ('B', 'C', Cause::Ack),
        ('C', 'C', Cause::LevelDown),
        ('C', 'A', Cause::Clear),
    ];
    assert_eq!(park.path(), path);
    let record = park.last();
    assert_eq!(park.records.iter().map(|r| r.n).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!((record.value, record.peak, record.level, record.peak_level), (Some(78.0), Some(95.0), 1, 2));
    assert_eq!((record.limits_rev, record.limit, record.priority), (7, Some(80.0), Priority::Yellow));
    assert_eq!(park.records[2].limit, Some(90.0));
    assert_eq!(park.records[1].comment.as_deref(), Some("已派人"));
    assert!(record.t_active < record.t_ack && record.t_ack < record.t_clear);
}

#[test]
fn delays_keep_a_splash_quiet_and_a_measurement_ends_them() {
    let delay = Duration::from_secs(60);
    let mut park = Bench::new(book(vec![AlarmSpec { on_delay: delay, off_delay: delay, ..high() }], vec![]));
    park.read(0, good(85.0));
    park.pass(Duration::from_secs(58));
    park.read(0, good(79.0));
    assert!(park.records.is_empty(), "59 s are a splash");
    park.read(0, good(85.0));
    park.pass(delay);
    assert_eq!(park.path(), [('A', 'B', Cause::Active)], "raised by the clock, without another reading");
    park.read(0, good(70.0));
    park.pass(Duration::from_secs(30));
    park.read(0, bad(Quality::Comm));
    park.pass(HOUR);
    assert_eq!(park.state(ID), State::Unacked, "silence clears nothing, however long");
    park.read(0, good(70.0));
    park.pass(Duration::from_secs(59));
    assert_eq!(park.state(ID), State::Unacked, "the off-delay began anew");
    park.pass(SECOND);
    assert_eq!(park.last().to, State::ReturnedUnacked);
}

#[test]
fn a_raise_needs_a_measurement_at_the_end_of_its_delay() {
    let delay = Duration::from_secs(10);
    let mut park = Bench::new(book(vec![AlarmSpec { on_delay: delay, ..high() }], vec![]));
    park.read(0, good(85.0));
    park.read(0, bad(Quality::Sensor));
    park.pass(HOUR);
    assert!(park.records.is_empty());
    park.read(0, good(85.0));
    assert_eq!(park.path(), [('A', 'B', Cause::Active)], "it was so before and after");
}

#[test]
fn returned_but_not_acknowledged_it_stays_to_be_seen_and_sounds_again() {
    let mut park = Bench::new(book(vec![high()], vec![]));
    for v in [85.0, 70.0, 85.0, 70.0] {
        park.read(0, good(v));
    }
    let occ = park.occ(ID);
    park.ack(ID).unwrap();
    assert_eq!(park.path().last(), Some(&('D', 'A', Cause::Ack)));
    assert!(park.records.iter().all(|record| record.occ == occ));
    park.read(0, good(85.0));
    assert!(park.occ(ID) > occ, "another occurrence");
}

#[test]
fn beyond_the_range_is_beyond_the_limit_and_the_other_side_says_nothing() {
    let low = AlarmSpec { levels: levels([20.0, 10.0], 0.0), ..alarm(at(0, 0), Condition::Low) };
    let mut park = Bench::new(book(vec![high(), low], vec![]));
    let over = |quality| good(0.0).with_quality(quality);
    park.read(0, over(Quality::OverRange));
    assert_eq!((park.last().level, park.last().rule.as_ref()), (2, "high"));
    park.read(0, over(Quality::UnderRange));
    assert_eq!((park.last().level, park.last().rule.as_ref()), (2, "low"));
    assert_eq!(park.state(ID), State::Unacked, "a wrap to below the range clears nothing");
    assert_eq!(park.records.len(), 2);
}

#[test]
fn a_float_that_prints_as_the_limit_has_reached_it() {
    let spec = AlarmSpec { levels: vec![level(0.7, Priority::Blue)], ..alarm(at(0, 0), Condition::High) };
    let mut park = Bench::new(book(vec![spec], vec![]));
    park.read(0, Reading::good(Value::Single(0.7)));
    assert_eq!(park.last().value, Some(0.7));
}

#[test]
fn rate_is_taken_over_its_window() {
    let condition = Condition::Rate { window: Duration::from_secs(30), change: Change::Fall };
    let spec = AlarmSpec { levels: vec![level(5.0, Priority::Orange)], ..alarm(at(0, 0), condition) };
    let mut park = Bench::new(book(vec![spec], vec![]));
    for i in 0..60 {
        park.read(0, good(100.0 - 0.05 * f64::from(i)));
    }
    assert!(park.records.is_empty(), "3 a minute");
    for i in 0..40 {
        park.read(0, good(97.0 - 0.1 * f64::from(i)));
    }
    assert_eq!(park.path(), [('A', 'B', Cause::Active)], "6 a minute");
    for _ in 0..40 {
        park.read(0, good(93.0));
    }
    assert_eq!(park.last().cause, Cause::Clear, "a value that stands still has a rate too");
}

#[test]
fn deviation_follows_another_point_and_is_silent_without_it() {
    let condition = Condition::Deviation { from: Reference::Point(at(0, 1)) };
    let spec = AlarmSpec { levels: vec![level(10.0, Priority::Yellow)], ..alarm(at(0, 0), condition) };
    let mut park = Bench::new(book(vec![spec], vec![]));
    park.read(0, good(50.0));
    park.read(1, good(45.0));
    park.read(1, good(39.0));
    assert_eq!(park.path(), [('A', 'B', Cause::Active)]);
    park.read(1, bad(Quality::Comm));
    park.read(0, good(39.0));
    assert_eq!(park.records.len(), 1);
    park.read(1, good(39.0));
    assert_eq!(park.last().cause, Cause::Clear);
}

#[test]
fn combined_conditions_hold_together_or_not_at_all() {
    let conditions = vec![when(0, Test::On), when(1, Test::AtLeast(9.0))];
    let mut park = Bench::new(book(vec![alarm(at(0, 0), Condition::All { conditions })], vec![]));
    park.read(0, bit(true));
    park.read(1, good(9.5));
    assert_eq!(park.path(), [('A', 'B', Cause::Active)], "rain gate open while pH is high");
    park.read(1, bad(Quality::Sensor));
    assert_eq!(park.records.len(), 1);
    park.read(0, bit(false));
    assert_eq!(park.last().cause, Cause::Clear, "one that is known not to hold settles it");
}

#[test]
fn digital_quality_and_flat_line() {
    let of = [Quality::Sensor, Quality::Comm, Quality::Stale].into();
    let alarms = vec![
        alarm(at(0, 0), Condition::Digital { test: Test::Bit(3) }),
        alarm(at(0, 0), Condition::Quality { of }),
        alarm(at(0, 0), Condition::Flatline),
    ];
    let mut park = Bench::new(book(alarms, vec![]));
    park.read(0, Reading::good(Value::Counter(8)));
    park.read(0, bad(Quality::Sensor));
    park.read(0, good(4.0).with_quality(Quality::Suspect));
    park.read_in(0, good(4.0), Some(InstrumentState::Calibration));
    park.read(0, good(7.0));
    let told: Vec<_> = park.records.iter().map(|r| (r.rule.to_string(), r.cause)).collect();
    let expected = [
        ("digital", Cause::Active),
        ("quality", Cause::Active),
        ("flatline", Cause::Active),
        ("digital", Cause::Clear),
        ("quality", Cause::Clear),
        ("flatline", Cause::Clear),
    ];
    assert_eq!(told, expected.map(|(rule, cause)| (rule.to_owned(), cause)));
}

#[test]
fn a_lost_device_is_one_alarm_and_not_one_for_each_point() {
    let quality = |ordinal| AlarmSpec {
        on_delay: Duration::from_secs(10),
        ..alarm(at(0, ordinal), Condition::Quality { of: [Quality::Comm].into() })
    };
    let comm = AlarmSpec { on_delay: Duration::from_secs(5), ..of_device(0) };
    let mut park = Bench::new(book((0..50).map(quality).chain([comm]).collect(), vec![]));
    let all = |reading: Reading| (0..50).map(move |o| (o, reading, None)).collect::<Vec<_>>();
    park.link(true);
    park.read_all(&all(good(1.0)));
    park.read_all(&all(bad(Quality::Comm)));
    park.link(false);
    park.pass(HOUR);
    let told: Vec<_> = park.records.iter().map(|r| r.alarm.to_string()).collect();
    assert_eq!(told, ["d0.comm"]);
    park.link(true);
    park.pass(HOUR);
    assert_eq!(park.records.len(), 2, "the device answers; of its points nothing is known yet");
    park.read(7, bad(Quality::Comm));
    park.pass(Duration::from_secs(10));
    assert_eq!(park.last().alarm.as_ref(), "d0.p7.quality", "a point that is silent on a device that answers");
}

#[test]
fn a_stopped_unit_does_not_cry_low_flow() {
    let low = AlarmSpec {
        suppressed_when: Some(when(1, Test::Off)),
        levels: vec![level(10.0, Priority::Yellow)],
        ..alarm(at(0, 0), Condition::Low)
    };
    let mut park = Bench::new(book(vec![low], vec![]));
    park.read(1, bit(true));
    park.read(0, good(50.0));
    park.read(1, bit(false));
    park.read(0, good(0.0));
    assert_eq!(park.path(), [('A', 'H', Cause::Suppressed), ('H', 'H', Cause::Active)]);
    assert_eq!(park.last().beneath, Some(State::Unacked));
    park.read(0, good(50.0));
    park.read(0, good(0.0));
    park.read(1, bad(Quality::Comm));
    assert_eq!(park.last().cause, Cause::Unsuppressed, "nobody knows that the unit stands still");
    assert_eq!(park.state("d0.p0.low"), State::Unacked);
    park.read(1, bit(false));
    park.read(0, good(50.0));
    park.read(1, bit(true));
    assert_eq!(park.last().to, State::ReturnedUnacked, "it had been told and not acknowledged");
}

#[test]
fn a_suppression_that_the_configuration_has_no_more_ends_with_it() {
    let suppressed = AlarmSpec { suppressed_when: Some(when(1, Test::Off)), ..high() };
    let mut park = Bench::new(book(vec![suppressed], vec![]));
    park.read(1, bit(false));
    park.read(0, good(95.0));
    let saved = park.alarms.saved(park.now);
    let plain = Arc::new(book(vec![high()], vec![]));
    park.alarms.install(Arc::clone(&plain), park.now);
    park.drain();
    assert_eq!(park.path().last(), Some(&('H', 'B', Cause::Unsuppressed)));
    let again = park.restart(saved, vec![], park.now.wall);
    assert_eq!(again.path(), [('H', 'B', Cause::Unsuppressed)], "nor does a restart leave it hidden for ever");
}

#[test]
fn the_first_of_a_group_is_marked() {
    let of = |ordinal| AlarmSpec { group: Some("压缩机跳车".into()), ..alarm(at(0, ordinal), Condition::High) };
    let mut park = Bench::new(book((0..3).map(of).collect(), vec![]));
    for ordinal in [1, 0, 2] {
        park.read(ordinal, good(30.0));
    }
    assert_eq!(park.records.iter().map(|r| r.first_out).collect::<Vec<_>>(), [true, false, false]);
    for ordinal in 0..3 {
        park.read(ordinal, good(3.0));
        park.ack(&format!("d0.p{ordinal}.high")).unwrap();
    }
    park.read(2, good(30.0));
    assert!(park.last().first_out, "when all was normal, the next is the first");
}

#[test]
fn four_blue_points_make_a_yellow_item_and_two_orange_ones_a_red() {
    // Rule 137, the stage that is sourced.
    let colours = Priority::ALL.map(|p| level(f64::from(p as u8 + 1) * 10.0, p));
    let member = |o| AlarmSpec { levels: colours.to_vec(), ..alarm(at(0, o), Condition::High) };
    let rules =
        [(1, 1, 1), (1, 4, 2), (2, 3, 3), (3, 2, 4)].map(|(level, count, gives)| RollUp { level, count, gives });
    let members = (0..5).map(|o| format!("d0.p{o}.high").into()).collect();
    let item = of_gateway("pond.displacement", Condition::RollUp { members, rules: rules.to_vec() });
    let item = AlarmSpec { levels: Priority::ALL.map(|p| level(None, p)).to_vec(), ..item };
    let mut park = Bench::new(book((0..5).map(member).chain([item]).collect(), vec![]));
    let item = |park: &Bench| {
        let of_item = park.records.iter().rev().find(|r| r.alarm.as_ref() == "pond.displacement");
        of_item.map(|r| r.priority)
    };
    for (o, expected) in [(0, Priority::Blue), (1, Priority::Blue), (2, Priority::Blue), (3, Priority::Yellow)] {
        park.read(o, good(10.0));
        assert_eq!(item(&park), Some(expected));
    }
    for (o, expected) in [(0, Priority::Yellow), (1, Priority::Yellow), (2, Priority::Orange)] {
        park.read(o, good(20.0));
        assert_eq!(item(&park), Some(expected));
    }
    for o in [0, 1] {
        park.read(o, good(30.0));
    }
    assert_eq!(item(&park), Some(Priority::Red));
}

#[test]
fn what_others_know_is_an_alarm_too() {
    let mut park = Bench::new(book(vec![of_gateway("gateway.store", Condition::External), high()], vec![]));
    assert!(park.alarms.handle_external("gateway.store", 1, park.now));
    assert!(!park.alarms.handle_external(ID, 1, park.now), "not of a point");
    assert!(!park.alarms.handle_external("gateway.nothing", 1, park.now));
    park.drain();
    assert_eq!(park.path(), [('A', 'B', Cause::Active)]);
}

#[test]
fn a_reload_keeps_what_stays_and_closes_what_goes() {
    let other = AlarmSpec { levels: vec![level(60.0, Priority::Blue)], ..alarm(at(0, 1), Condition::High) };
    let mut park = Bench::new(book(vec![other, high()], vec![]));
    park.read(0, good(95.0));
    park.read(1, good(95.0));
    let occ = park.occ(ID);
    // The point stands elsewhere now, and the alarm has lost its second level.
    let moved = AlarmSpec { levels: vec![level(80.0, Priority::Yellow)], ..high() };
    let Subject::Point { uid, tag, device, unit, .. } = moved.subject.clone() else { panic!("it is a point's") };
    let moved = AlarmSpec { subject: Subject::Point { at: at(0, 5), uid, tag, device, unit }, ..moved };
    park.alarms.install(Arc::new(AlarmBook { rev: 8, ..book(vec![moved], vec![]) }), park.now);
    park.drain();
    assert_eq!(
        (park.last().alarm.as_ref(), park.last().cause, park.last().to),
        ("d0.p1.high", Cause::Removed, State::Normal)
    );
    assert_eq!((park.occ(ID), park.state(ID)), (occ, State::Unacked));
    let n = park.records.len();
    park.read(0, good(1.0));
    assert_eq!(park.records.len(), n, "nobody looks there any more");
    park.read(5, good(1.0));
    assert_eq!((park.last().cause, park.last().limits_rev, park.last().n), (Cause::Clear, 8, 2));
}

#[test]
fn counts_tell_floods_chattering_and_stale_alarms() {
    let alarms = (0..20).map(|o| alarm(at(0, o), Condition::High)).collect();
    let mut park = Bench::new(book(alarms, vec![]));
    for ordinal in 0..10 {
        park.read(ordinal, good(30.0));
    }
    assert!(!park.alarms.counts(park.now).flood);
    for v in [30.0, 3.0, 30.0, 3.0, 30.0] {
        park.read(10, good(v));
    }
    let counts = park.alarms.counts(park.now);
    assert_eq!((counts.active, counts.unacked, counts.flood), (11, 11, true));
    assert_eq!((counts.chattering, counts.last_10_min, counts.stale), (1, 13, 0));
    park.pass(25 * HOUR);
    let counts = park.alarms.counts(park.now);
    assert_eq!((counts.chattering, counts.last_10_min, counts.stale, counts.peak_10_min), (0, 0, 11, 13));
}

#[test]
fn what_no_book_may_contain_is_named() {
    let wrong = |spec: AlarmSpec| {
        let named = book(vec![spec], vec![]).problems();
        named.into_iter().map(|problem| problem.what).collect::<Vec<_>>()
    };
    assert_eq!(wrong(AlarmSpec { levels: vec![], ..high() }), [Wrong::Levels]);
    assert_eq!(wrong(AlarmSpec { levels: levels([90.0, 80.0], 0.0), ..high() }), [Wrong::Order]);
    assert_eq!(wrong(AlarmSpec { levels: levels([80.0, 90.0], -1.0), ..high() }), [Wrong::Deadband]);
    assert_eq!(wrong(AlarmSpec { levels: vec![level(None, Priority::Red)], ..high() }), [Wrong::Limit]);
    assert_eq!(wrong(AlarmSpec { escalation: Some(0), ..high() }), [Wrong::Reference]);
    let fire = AlarmSpec {
        class: Class::Fire,
        on_delay: SECOND,
        suppressed_when: Some(when(1, Test::On)),
        ..alarm(at(0, 0), Condition::Digital { test: Test::On })
    };
    assert_eq!(wrong(fire), [Wrong::Delayed, Wrong::NotLatching, Wrong::Suppressed]);
    let rate = Condition::Rate { window: Duration::ZERO, change: Change::Any };
    assert_eq!(wrong(alarm(at(0, 0), rate)), [Wrong::Window]);
    let twice = book(vec![high(), high()], vec![]).problems();
    assert_eq!(twice.iter().map(|p| (p.alarm.as_ref(), p.what)).collect::<Vec<_>>(), [(ID, Wrong::Twice)]);
}
