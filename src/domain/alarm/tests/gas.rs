//! Gas: the scenarios 12 to 14 of `domain.md` A20, and the rules of A10.

use std::time::Duration;

use super::super::ask::Test;
use super::super::record::AlarmRecord;
use super::super::severity::{Class, Priority};
use super::super::spec::*;
use super::super::state::{Cause, State};
use super::super::view::{Fact, InstrumentRecord};
use super::bench::*;
use crate::domain::instrument::InstrumentState;
use crate::domain::reading::{Quality, Reading};
use crate::domain::record::Mode;

const GAS: &str = "d0.p0.gas";
const FAULT: &str = "d0.p0.gas_fault";
const DIFFER: &str = "d0.p0.disagreement";
const LONG: &str = "d0.p0.state_too_long";
const RED: Priority = Priority::Red;
const MINUTE: Duration = Duration::from_secs(60);

/// `p1`, `p2` the controller's alarm bits, `p3` its fault bit, `p4` its inhibit bit.
fn controller() -> Detector {
    let bit = |level, ordinal| ControllerBit { level, side: Side::High, when: when(ordinal, Test::On) };
    Detector {
        bits: vec![bit(1, 1), bit(2, 2)],
        fault: vec![when(3, Test::On)],
        inhibit: vec![when(4, Test::On)],
        ..detector()
    }
}

fn of_instrument(condition: Condition) -> AlarmSpec {
    AlarmSpec { class: Class::Gas, ..alarm(at(0, 0), condition) }
}

fn park_of(detector: Detector, compare: bool) -> Bench {
    let limits = vec![(InstrumentState::Calibration, 30 * MINUTE), (InstrumentState::Inhibited, 10 * MINUTE)];
    let alarms = vec![
        gas_alarm(0, compare),
        of_instrument(Condition::GasFault { detector: 0 }),
        AlarmSpec { on_delay: SETTLE, ..of_instrument(Condition::Disagreement { detector: 0 }) },
        of_instrument(Condition::StateTooLong { detector: 0, limits }),
    ];
    Bench::new(book(alarms, vec![detector]))
}

fn by_value() -> Bench {
    park_of(detector(), true)
}

/// A controller that measures and is quiet.
fn with_controller() -> Bench {
    let mut park = park_of(controller(), true);
    park.read_all(&poll(3.0, [false; 4]));
    assert!(park.records.is_empty());
    park
}

/// One answer of the controller: value, and the bits L1, L2, fault, inhibit.
fn poll(value: f64, bits: [bool; 4]) -> Vec<(u16, Reading, Option<InstrumentState>)> {
    let bits = bits.into_iter().zip(1..).map(|(on, ordinal)| (ordinal, bit(on), None));
    [(0, good(value), None)].into_iter().chain(bits).collect()
}

fn gas_path(park: &Bench) -> Vec<(char, char, Cause)> {
    let of_gas = park.records.iter().filter(|record| record.alarm.as_ref() == GAS);
    of_gas.map(|r| (r.from.letter(), r.to.letter(), r.cause)).collect()
}

#[test]
fn scenario_12_two_levels_latched_until_reset_and_indicated_anew() {
    let mut park = by_value();
    park.read(0, good(24.9));
    assert!(park.records.is_empty());
    park.read(0, good(25.0));
    assert_eq!((park.last().level, park.last().priority, park.last().class), (1, Priority::Orange, Class::Gas));
    assert_eq!(
        park.facts.last(),
        Some(&Fact::Gas { zone: "罐区".into(), level: 1, detectors: vec![("d0.p0".into(), 1)] })
    );
    park.ack(GAS).unwrap();
    park.read(0, good(50.0));
    assert_eq!((park.last().level, park.state(GAS)), (2, State::Unacked), "a new acknowledgement");
    park.ack(GAS).unwrap();
    park.read(0, good(30.0));
    let before = park.now.mono;
    let refused = park.reset(GAS).unwrap_err();
    assert!(refused.zh.contains("仍存在"), "{refused}");
    assert_eq!((park.last().cause, park.state(GAS)), (Cause::ResetRefused, State::Unacked));
    assert!(park.now.mono.since(before) <= Duration::from_secs(20), "GB 16808: within 20 s");
    park.ack(GAS).unwrap();
    park.read(0, good(10.0));
    park.pass(24 * HOUR);
    assert_eq!(park.state(GAS), State::LatchedAcked, "it latches");
    assert_eq!(park.facts.last(), Some(&Fact::Gas { zone: "罐区".into(), level: 0, detectors: vec![] }));
    park.reset(GAS).unwrap();
    let path = [
        ('A', 'B', Cause::Active),
        ('B', 'C', Cause::Ack),
        ('C', 'B', Cause::LevelUp),
        ('B', 'C', Cause::Ack),
        ('C', 'C', Cause::LevelDown),
        ('C', 'B', Cause::ResetRefused),
        ('B', 'C', Cause::Ack),
        ('C', 'F', Cause::Clear),
        ('F', 'A', Cause::Reset),
    ];
    assert_eq!(gas_path(&park), path);
    assert_eq!(park.last().peak, Some(50.0));
}

#[test]
fn level_2_stays_shown_and_told_until_the_reset_and_is_then_indicated_as_it_is() {
    let mut park = by_value();
    park.read(0, good(55.0));
    park.ack(GAS).unwrap();
    park.facts.clear();
    park.read(0, good(30.0));
    let record = park.last().clone();
    assert_eq!((record.cause, record.level, record.now_level, record.priority), (Cause::LevelDown, 2, Some(1), RED));
    assert_eq!(record.limit, Some(50.0), "what is told is that of the level that is latched");
    let stands =
        |park: &Bench| (park.alarms.active(park.now)[0].last.level, park.alarms.active_set(park.now).alarms[0].level);
    assert_eq!(stands(&park), (2, 2), "page and active set");
    assert!(park.facts.is_empty(), "the rules of the site go on counting a detector at level 2");
    // A restart on the way forgets neither.
    let saved = park.alarms.saved(park.now);
    let mut again = park.restart(saved, vec![], park.now.wall);
    again.read(0, good(31.0));
    assert!(again.records.is_empty(), "nothing new: {:?}", again.records);
    assert_eq!(stands(&again), (2, 2));
    // A reset while level 1 lasts shows it as it is, at once: GB 16808 gives it 20 s.
    assert!(park.reset(GAS).is_err());
    let record = park.last().clone();
    assert_eq!(
        (record.cause, record.level, record.now_level, record.to),
        (Cause::ResetRefused, 1, None, State::Unacked)
    );
    assert_eq!((record.peak_level, stands(&park)), (2, (1, 1)));
    assert!(matches!(park.facts.last(), Some(Fact::Gas { level: 1, .. })));
}

#[test]
fn level_2_that_went_and_came_back_as_level_1_before_the_reset_is_still_level_2() {
    let mut park = by_value();
    park.read(0, good(55.0));
    park.read(0, good(3.0));
    assert_eq!((park.last().level, park.last().now_level, park.state(GAS)), (2, None, State::LatchedUnacked));
    assert!(matches!(park.facts.last(), Some(Fact::Gas { level: 0, .. })), "the air was measured clean");
    park.read(0, good(30.0));
    assert_eq!((park.last().cause, park.last().level, park.last().now_level), (Cause::Active, 2, Some(1)));
    park.read(0, good(55.0));
    assert_eq!((park.last().cause, park.last().level, park.state(GAS)), (Cause::LevelUp, 2, State::Unacked));
    park.ack(GAS).unwrap();
    park.read(0, good(3.0));
    park.reset(GAS).unwrap();
    park.read(0, good(30.0));
    assert_eq!((park.last().level, park.last().now_level, park.last().n), (1, None, 1), "a reset ends the latch");
}

#[test]
fn scenario_13_a_detector_in_calibration_at_60_percent_raises_no_gas_alarm() {
    let mut park = by_value();
    park.read_in(0, good(0.0), Some(InstrumentState::Monitoring));
    for _ in 0..10 {
        park.read_in(0, good(60.0), Some(InstrumentState::Calibration));
    }
    assert!(park.records.is_empty());
    let shown = park.alarms.instruments(park.now);
    let shown: Vec<_> = shown.iter().map(|i| (i.tag.as_ref(), i.state.as_ref(), i.for_s, i.may_s)).collect();
    assert_eq!(shown, [("d0.p0", "calibration", 9, Some(1800))]);
    park.pass(30 * MINUTE);
    assert_eq!(park.last().alarm.as_ref(), LONG, "limited in time");
    park.read_in(0, good(0.0), Some(InstrumentState::Monitoring));
    assert_eq!(park.last().cause, Cause::Clear);
    assert!(park.alarms.instruments(park.now).is_empty());
    park.read_in(0, good(60.0), Some(InstrumentState::Monitoring));
    assert_eq!((park.last().alarm.as_ref(), park.last().level), (GAS, 2), "now it is gas");
}

#[test]
fn scenario_14_a_silent_detector_keeps_its_alarm_and_is_an_alarm() {
    let mut park = by_value();
    park.read(0, good(30.0));
    park.read(0, bad(Quality::Comm));
    park.pass(HOUR);
    assert_eq!(park.state(GAS), State::Unacked);
    let active = park.alarms.active(park.now);
    let gas = active.iter().find(|alarm| alarm.last.alarm.as_ref() == GAS).unwrap();
    assert!(gas.stale && gas.active, "{gas:?}");
    assert_eq!((park.state(FAULT), park.last().quality), (State::Unacked, Some(Quality::Comm)));
    park.ack(GAS).unwrap();
    park.read(0, good(3.0));
    assert_eq!(park.state(GAS), State::LatchedAcked);
    park.read(0, bad(Quality::Stale));
    assert!(park.reset(GAS).unwrap_err().en.contains("no measurement"), "nothing shows that the air is clean");
}

#[test]
fn every_state_that_is_no_measurement_is_silent_and_keeps_what_stood() {
    use InstrumentState::*;
    for state in [Inhibited, Maintenance, WarmUp, BumpTest, Calibration, Simulation] {
        let mut park = by_value();
        park.read_in(0, good(60.0), Some(state));
        assert!(gas_path(&park).is_empty(), "{state:?}");
        park.read_in(0, good(60.0), Some(Monitoring));
        park.read_in(0, good(0.0), Some(state));
        assert_eq!(park.state(GAS), State::Unacked, "{state:?} clears nothing");
    }
}

#[test]
fn the_controllers_bits_raise_whatever_the_value_says_and_the_difference_is_an_alarm() {
    let mut park = with_controller();
    park.read_all(&poll(3.0, [true, false, false, false]));
    assert_eq!((park.state(GAS), park.last().level), (State::Unacked, 1));
    assert_eq!(park.state(DIFFER), State::Normal, "not before it has settled");
    park.pass(SETTLE);
    assert_eq!(park.state(DIFFER), State::Unacked);
    park.read_all(&poll(3.0, [true, true, false, false]));
    assert_eq!(park.alarms.active(park.now)[1].last.level, 2);
    // A field controller set wrongly: the value is beyond the gateway's limit, its bits are quiet.
    let mut park = with_controller();
    park.read_all(&poll(30.0, [false; 4]));
    park.pass(SETTLE);
    assert_eq!((park.state(GAS), park.state(DIFFER)), (State::Unacked, State::Unacked));
}

#[test]
fn a_controller_that_follows_within_the_settling_time_or_latches_does_not_differ() {
    let mut park = with_controller();
    park.read_all(&poll(30.0, [false; 4]));
    park.read_all(&poll(31.0, [true, false, false, false]));
    park.pass(MINUTE);
    park.read_all(&poll(3.0, [true, false, false, false]));
    park.pass(HOUR);
    assert_eq!(park.state(DIFFER), State::Normal, "the bit is latched there until it is reset there");
    assert_eq!(park.state(GAS), State::Unacked, "and so the alarm stays active");
    let text = serde_json::to_string(&park.alarms.saved(park.now)).unwrap();
    let mut again = park.restart(serde_json::from_str(&text).unwrap(), vec![], park.now.wall);
    again.read_all(&poll(3.0, [true, false, false, false]));
    again.pass(HOUR);
    assert_eq!(again.state(DIFFER), State::Normal, "a restart does not forget that they had agreed");
    park.read_all(&poll(3.0, [false; 4]));
    assert_eq!(park.state(GAS), State::LatchedUnacked);
    let mut plain = park_of(Detector { bits_latch: false, ..controller() }, true);
    plain.read_all(&poll(30.0, [true, false, false, false]));
    plain.read_all(&poll(3.0, [true, false, false, false]));
    plain.pass(SETTLE);
    assert_eq!(plain.state(DIFFER), State::Unacked);
}

#[test]
fn a_bit_read_in_one_answer_with_the_state_is_seen_with_it() {
    let mut park = with_controller();
    let calibrating = Some(InstrumentState::Calibration);
    // Bits first: the order of ordinals is not that of events.
    park.read_all(&[(1, bit(true), None), (2, bit(true), None), (0, good(60.0), calibrating)]);
    assert!(park.records.is_empty());
}

#[test]
fn fault_bit_silence_frozen_and_drift_are_faults_and_no_gas() {
    for (value, fault) in [
        (good(3.0), true),
        (bad(Quality::Comm), false),
        (bad(Quality::Stale), false),
        (good(3.0).with_quality(Quality::Suspect), false),
        (good(-6.0).with_quality(Quality::UnderRange), false),
        (bad(Quality::Sensor), false),
    ] {
        let mut park = with_controller();
        park.read_all(&[(0, value, None), (3, bit(fault), None)]);
        assert_eq!((park.state(FAULT), park.state(GAS)), (State::Unacked, State::Normal), "{value:?}");
        park.read_all(&poll(3.0, [false; 4]));
        assert_eq!(park.state(FAULT), State::ReturnedUnacked);
    }
    let mut park = with_controller();
    park.read_in(0, good(60.0), Some(InstrumentState::Fault));
    assert_eq!((park.state(FAULT), park.state(GAS)), (State::Unacked, State::Normal));
}

#[test]
fn an_answer_that_a_controller_owes_is_no_fault_of_its_detectors() {
    let mut park = with_controller();
    park.link(true);
    park.read_all(&poll(3.0, [false; 4]));
    // As the reader tells it: the device first, then what could not be read any more.
    park.link(false);
    park.read_all(&[0, 1, 2, 3, 4].map(|ordinal| (ordinal, bad(Quality::Comm), None)));
    park.pass(MINUTE);
    park.link(true);
    park.read_all(&poll(3.0, [false; 4]));
    assert!(park.records.is_empty(), "{:?}", park.records);
    park.read_all(&[(0, bad(Quality::Comm), None)]);
    assert_eq!(park.state(FAULT), State::Unacked, "silent by itself, on a controller that answers");
}

#[test]
fn a_signal_that_swings_around_its_zero_is_clean_air_and_one_that_drifts_away_is_a_fault() {
    let mut park = with_controller();
    let swinging = good(-0.1).with_quality(Quality::UnderRange);
    for value in [swinging, good(0.1), swinging, good(-5.0).with_quality(Quality::UnderRange)] {
        park.read_all(&[(0, value, None), (1, bit(false), None), (2, bit(false), None), (3, bit(false), None)]);
    }
    assert!(park.records.is_empty(), "{:?}", park.records);
    park.read(0, good(-5.1).with_quality(Quality::UnderRange));
    assert_eq!(park.state(FAULT), State::Unacked);

    let mut park = by_value();
    park.read(0, good(60.0));
    park.read(0, swinging);
    assert_eq!(park.last().cause, Cause::Clear, "the air is clean again");
}

#[test]
fn over_range_holds_the_highest_level_and_a_wrap_does_not_clear_it() {
    let mut park = by_value();
    park.read(0, good(100.0).with_quality(Quality::OverRange));
    assert_eq!(park.last().level, 2);
    for after in [good(-20.0).with_quality(Quality::UnderRange), bad(Quality::Sensor)] {
        park.read(0, after);
        assert_eq!(park.state(GAS), State::Unacked);
        assert_eq!(park.alarms.active(park.now)[0].last.level, 2);
    }
    // Suspect, as a state word without a name makes it, is neither believed nor hidden.
    let mut park = by_value();
    park.read_in(0, good(60.0), Some(InstrumentState::Unknown));
    assert_eq!(park.state(GAS), State::Unacked);
    park.read_in(0, good(0.0), Some(InstrumentState::Unknown));
    assert_eq!(park.state(GAS), State::Unacked);
}

#[test]
fn over_range_is_the_highest_level_also_where_only_the_controller_knows_its_set_points() {
    let mut park = park_of(controller(), false);
    park.read_all(&poll(60.0, [false; 4]));
    assert!(park.records.is_empty(), "what it means only the bits tell");
    let over = good(100.0).with_quality(Quality::OverRange);
    let quiet = || (1..5).map(|ordinal| (ordinal, bit(false), None));
    park.read_all(&[(0, over, None)].into_iter().chain(quiet()).collect::<Vec<_>>());
    assert_eq!((park.state(GAS), park.last().level), (State::Unacked, 2));
    park.read_all(&poll(60.0, [false; 4]));
    assert_eq!(park.last().cause, Cause::Clear);
}

#[test]
fn inhibition_is_listed_silent_and_limited() {
    let mut park = with_controller();
    park.read_all(&poll(60.0, [true, true, false, true]));
    assert!(park.records.is_empty(), "a person has silenced it");
    assert_eq!(park.alarms.instruments(park.now)[0].state.as_ref(), "inhibited");
    park.pass(10 * MINUTE);
    assert_eq!(park.last().alarm.as_ref(), LONG);
    park.read_all(&poll(60.0, [true, true, false, false]));
    assert_eq!(park.state(GAS), State::Unacked);
}

#[test]
fn a_bump_test_is_a_record_of_mode_test_and_tells_what_the_controller_made_of_it() {
    let mut park = with_controller();
    let test = Some(InstrumentState::BumpTest);
    park.read_all(&[(0, good(50.0), test)]);
    park.read_all(&[(1, bit(true), None), (2, bit(true), None)]);
    park.read_all(&[(1, bit(false), None), (2, bit(false), None)]);
    park.read_all(&[(0, good(0.0), Some(InstrumentState::Monitoring))]);
    assert!(park.records.is_empty());
    let told = park.documents.iter().map(|document| {
        assert_eq!(document.mode, Mode::Test);
        serde_json::from_str::<InstrumentRecord>(&document.json).unwrap()
    });
    let told: Vec<_> = told.map(|r| (r.from.to_string(), r.to.to_string(), r.lasted_ms, r.level_seen)).collect();
    let words = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let ((a, b), (c, d)) = (words("monitoring", "bump_test"), words("bump_test", "monitoring"));
    assert_eq!(told, [(a, b, None, None), (c, d, Some(3000), Some(2))]);
}

#[test]
fn oxygen_has_two_sides() {
    let side = |side, limit| {
        let spec = gas_alarm(0, true);
        let condition = Condition::Gas { detector: 0, side, compare: true };
        let id = format!("d0.p0.{}", condition.word()).into();
        AlarmSpec { id, levels: vec![level(limit, Priority::Red)], condition, ..spec }
    };
    let mut park = Bench::new(book(vec![side(Side::High, 23.5), side(Side::Low, 19.5)], vec![detector()]));
    for v in [20.9, 19.5, 20.9, 23.5] {
        park.read(0, good(v));
    }
    let told: Vec<_> = park.records.iter().map(|r| (r.alarm.to_string(), r.cause)).collect();
    let told: Vec<_> = told.iter().map(|(id, cause)| (id.as_str(), *cause)).collect();
    let low = "d0.p0.gas_low";
    assert_eq!(told, [(low, Cause::Active), (low, Cause::Clear), (GAS, Cause::Active)]);
    assert_eq!(park.records.iter().rev().find(|r| r.alarm.as_ref() == low).unwrap().peak, Some(19.5));
}

#[test]
fn a_panel_without_values_alarms_by_its_bits_alone() {
    let mut park = park_of(controller(), false);
    park.read_all(&poll(0.0, [true, false, false, false]));
    assert_eq!((park.state(GAS), park.last().limit), (State::Unacked, None));
    park.read_all(&poll(0.0, [false; 4]));
    assert_eq!(park.state(GAS), State::LatchedUnacked);
}

#[test]
fn a_second_level_without_a_limit_is_raised_by_the_controllers_bit() {
    let gas = || AlarmSpec { levels: vec![level(25.0, Priority::Orange), level(None, RED)], ..gas_alarm(0, true) };
    let differ = AlarmSpec { on_delay: SETTLE, ..of_instrument(Condition::Disagreement { detector: 0 }) };
    assert_eq!(book(vec![gas()], vec![detector()]).problems().len(), 1, "without the bit nothing would raise it");
    let whole = book(vec![gas(), differ], vec![controller()]);
    assert_eq!(whole.problems(), []);
    let mut park = Bench::new(whole);
    park.read_all(&poll(30.0, [true, false, false, false]));
    assert_eq!((park.last().level, park.last().limit), (1, Some(25.0)));
    park.read_all(&poll(30.0, [true, true, false, false]));
    assert_eq!((park.last().level, park.last().limit, park.last().priority), (2, None, RED));
    park.pass(SETTLE + SECOND);
    assert!(
        park.records.iter().all(|record| record.alarm.as_ref() == GAS),
        "the gateway knows no limit to differ about"
    );
}

#[test]
fn the_zone_knows_its_detectors_and_forgets_the_hidden_ones() {
    let second = AlarmSpec { id: "d0.p9.gas".into(), ..gas_alarm(1, true) };
    let second = AlarmSpec { subject: alarm(at(0, 9), Condition::High).subject, ..second };
    let other = Detector { at: at(0, 9), uid: crate::domain::id::PointUid::new("u-d0.p9"), ..detector() };
    let mut park = Bench::new(book(vec![gas_alarm(0, true), second], vec![detector(), other]));
    park.read(0, good(60.0));
    park.read(9, good(30.0));
    let two = Fact::Gas { zone: "罐区".into(), level: 2, detectors: vec![("d0.p0".into(), 2), ("d0.p9".into(), 1)] };
    assert_eq!(park.facts.last(), Some(&two));
    park.shelve("d0.p9.gas", HOUR).unwrap();
    let one = Fact::Gas { zone: "罐区".into(), level: 2, detectors: vec![("d0.p0".into(), 2)] };
    assert_eq!(park.facts.last(), Some(&one));
    let records: Vec<AlarmRecord> = park.records.clone();
    let again = park.restart(park.alarms.saved(park.now), records, park.now.wall);
    assert_eq!(again.facts.last(), Some(&one), "told anew after a restart");
    park.alarms.install(std::sync::Arc::new(book(vec![], vec![])), park.now);
    park.drain();
    let none = Fact::Gas { zone: "罐区".into(), level: 0, detectors: vec![] };
    assert_eq!(park.facts.last(), Some(&none), "a zone without detectors has no gas, as far as anybody knows");
}
