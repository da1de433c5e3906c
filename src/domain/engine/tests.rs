//! Facts about the engine.

use super::*;
use crate::domain::danger::Rules;
use crate::domain::derived::{Derived, Formula};
use crate::domain::document::DocumentKind;
use crate::domain::id::PointUid;
use crate::domain::instrument::{Instrument, InstrumentState, StateMap};
use crate::domain::reading::Value;
use crate::domain::registry::testing::registry_with;
use crate::domain::time::ClockTrust;

const SECOND: Duration = Duration::from_secs(1);

fn at(secs: u64) -> Now {
    let wall = Timestamp(1_700_000_000_000 + i64::try_from(secs).unwrap() * 1_000);
    Now { mono: Mono::from_secs(secs), wall, trust: ClockTrust::Synced }
}

fn plan(rev: u32, slots: &[u32]) -> Plan {
    let mut registry = registry_with(slots.len(), 2, |_| Some(1));
    registry.rev = rev;
    let device = |slot: &u32| PlanDevice { slot: DeviceSlot(*slot), classes: vec![SECOND], class_of: vec![0, 0] };
    let devices = slots.iter().map(device).collect();
    Plan { registry: Arc::new(registry), registry_json: "{}".into(), devices, danger: Rules::default() }
}

fn boot() -> Boot {
    Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true }
}

fn started(slots: &[u32]) -> Engine {
    let mut engine = Engine::new(7, boot(), plan(1, slots), at(0));
    drain(&mut engine);
    engine
}

fn drain(engine: &mut Engine) -> Vec<Record> {
    std::iter::from_fn(|| engine.poll_output()).collect()
}

fn sample(slot: u32, secs: u64, values: &[f64]) -> FieldEvent {
    let readings = values.iter().zip(0u16..).map(|(v, o)| (o, Reading::good(Value::Number(*v)))).collect();
    FieldEvent::Sample(Sample { slot: DeviceSlot(slot), at: Mono::from_secs(secs), origin: Origin::Polled, readings })
}

fn poll(slot: u32, secs: u64, ok: bool) -> FieldEvent {
    let due = Mono::from_secs(secs);
    FieldEvent::Poll(Poll { slot: DeviceSlot(slot), class: 0, due, started: due, ended: due, ok, skipped: 0 })
}

fn link(slot: u32, secs: u64, state: LinkState) -> FieldEvent {
    FieldEvent::Link(LinkChange { slot: DeviceSlot(slot), at: Mono::from_secs(secs), state })
}

fn down() -> LinkState {
    LinkState::Down { reason: "no answer within 1 s".into(), retry: SECOND }
}

fn samples_of(records: &[Record]) -> Vec<&Samples> {
    records.iter().filter_map(|r| if let Body::Samples(s) = &r.body { Some(s) } else { None }).collect()
}

fn coverages(records: &[Record]) -> Vec<Coverage> {
    records.iter().filter_map(|r| if let Body::Coverage(c) = &r.body { Some(*c) } else { None }).collect()
}

#[test]
fn a_point_being_commissioned_never_passes_for_real() {
    let mut plan = plan(1, &[1]);
    let mut registry = (*plan.registry).clone();
    registry.devices[0] = {
        let mut device = (*registry.devices[0]).clone();
        device.points[1].commissioning = Commissioning::Commissioning;
        device.into()
    };
    plan.registry = Arc::new(registry);
    let mut engine = Engine::new(7, boot(), plan, at(0));
    drain(&mut engine);
    engine.handle_event(sample(1, 1, &[1.0, 2.0]), at(1));
    let records = drain(&mut engine);
    let told: Vec<_> = samples_of(&records).iter().map(|s| (s.mode, s.cells.iter().map(|c| c.0).collect())).collect();
    assert_eq!(told, [(Mode::Real, vec![0]), (Mode::Commissioning, vec![1])]);
}

#[test]
fn a_point_that_is_planned_stopped_or_gone_measures_nothing_whatever_it_reads() {
    let changed = |rev: u32, commissioning| {
        let mut plan = plan(rev, &[1]);
        let mut registry = (*plan.registry).clone();
        let mut device = (*registry.devices[0]).clone();
        device.points[1].commissioning = commissioning;
        registry.devices[0] = device.into();
        plan.registry = Arc::new(registry);
        plan
    };
    let mut engine = Engine::new(7, boot(), plan(1, &[1]), at(0));
    engine.handle_event(sample(1, 1, &[1.0, 2.0]), at(1));
    drain(&mut engine);
    let qualities = |records: &[Record]| -> Vec<(u16, Quality)> {
        samples_of(records).iter().flat_map(|s| s.cells.iter().map(|(o, r)| (*o, r.quality))).collect()
    };
    for commissioning in [Commissioning::Stopped, Commissioning::Planned, Commissioning::Removed] {
        engine.handle_plan(changed(2, commissioning), at(2));
        drain(&mut engine);
        engine.handle_event(sample(1, 3, &[5.0, 9.0]), at(3));
        assert_eq!(qualities(&drain(&mut engine)), [(0, Quality::Good), (1, Quality::Stopped)], "{commissioning:?}");
    }
    engine.handle_plan(changed(3, Commissioning::InService), at(4));
    drain(&mut engine);
    engine.handle_event(sample(1, 5, &[5.0, 8.0]), at(5));
    assert_eq!(qualities(&drain(&mut engine)), [(0, Quality::Good), (1, Quality::Good)]);
}

fn tick_through(engine: &mut Engine, from: u64, to: u64) -> Vec<Record> {
    let mut records = Vec::new();
    for secs in from..=to {
        engine.handle_timeout(at(secs));
        records.extend(drain(engine));
    }
    records
}

#[test]
fn a_start_records_the_boot_and_what_the_points_mean() {
    let mut engine = Engine::new(7, boot(), plan(3, &[0]), at(5));
    let records = drain(&mut engine);
    assert_eq!(records.iter().map(|r| r.stream).collect::<Vec<_>>(), [Stream::Event, Stream::Registry]);
    assert!(records.iter().all(|r| r.stamp.boot == 7 && r.stamp.rev == 3 && r.stamp.wall == at(5).wall));
}

#[test]
fn a_reading_carries_the_time_it_was_taken_not_the_time_it_arrived() {
    let mut engine = started(&[0]);
    engine.handle_event(sample(0, 10, &[1.0, 2.0]), at(13));
    let records = drain(&mut engine);
    assert_eq!(records[0].stamp.wall, at(10).wall);
    assert_eq!(records[0].stamp.mono, Mono::from_secs(10));
}

#[test]
fn report_by_exception_stands_before_the_stream_only() {
    let mut engine = started(&[0]);
    for secs in 1..=5 {
        engine.handle_event(sample(0, secs, &[1.0, 2.0]), at(secs));
    }
    let records = drain(&mut engine);
    assert_eq!(samples_of(&records).len(), 1, "nothing changed after the first");
    assert_eq!(engine.totals().readings, 10, "but every reading was taken");
    assert_eq!(engine.snapshot(at(5)).devices[0].points[0].at, Some(Mono::from_secs(5)));
}

fn sourced(secs: u64, origin: Origin, value: f64) -> FieldEvent {
    let readings = [(0, Reading::good(Value::Number(value)))].into_iter().collect();
    FieldEvent::Sample(Sample { slot: DeviceSlot(0), at: Mono::from_secs(secs), origin, readings })
}

#[test]
fn a_source_keeps_its_own_time_and_the_stamp_keeps_ours() {
    let mut engine = started(&[0]);
    let far = Timestamp(4_000_000_000_000);
    engine.handle_event(sourced(10, Origin::Source(far), 1.0), at(13));
    engine.handle_event(sourced(11, Origin::Received(None), 2.0), at(13));
    let records = drain(&mut engine);
    let told: Vec<_> = samples_of(&records).iter().map(|s| (s.basis, s.t, s.historical)).collect();
    assert_eq!(told, [(Basis::Source, Some(far), false), (Basis::Received, None, false)]);
    assert_eq!(records[0].stamp.wall, at(10).wall, "a source's wrong clock does not reach the store");
}

/// Device 0: point 0 is gas, point 1 the state word of its detector.
fn detector() -> Plan {
    let mut plan = plan(1, &[0]);
    let mut registry = (*plan.registry).clone();
    let mut device = (*registry.devices[0]).clone();
    let states = StateMap::parse("0=monitoring; 1=calibration; 2=fault").ok();
    device.points[0].instrument = Some(Arc::new(Instrument { state_of: Some(1), ..Instrument::default() }));
    device.points[1].instrument = Some(Arc::new(Instrument { states, ..Instrument::default() }));
    registry.devices[0] = Arc::new(device);
    plan.registry = Arc::new(registry);
    plan
}

#[test]
fn a_detector_in_calibration_is_reported_at_once_and_never_as_a_measurement() {
    let mut engine = Engine::new(7, boot(), detector(), at(0));
    drain(&mut engine);
    engine.handle_event(sample(0, 1, &[2.0, 0.0]), at(1));
    engine.handle_event(sample(0, 2, &[50.0, 1.0]), at(2));
    engine.handle_event(sample(0, 3, &[50.0, 1.0]), at(3));
    let records = drain(&mut engine);
    let told: Vec<_> = samples_of(&records).iter().map(|s| s.cells.to_vec()).collect();
    let number = |v| Reading::good(Value::Number(v));
    assert_eq!(
        told,
        [vec![(0, number(2.0)), (1, number(0.0))], vec![(0, Reading::missing(Quality::Calibration)), (1, number(1.0))],]
    );
    let view = engine.snapshot(at(3)).devices[0].points[0];
    assert_eq!(view.state, Some((InstrumentState::Calibration, Mono::from_secs(2))));
}

#[test]
fn a_reload_does_not_forget_what_the_instrument_is_doing() {
    let mut engine = Engine::new(7, boot(), detector(), at(0));
    engine.handle_event(sample(0, 1, &[50.0, 1.0]), at(1));
    engine.handle_plan(Plan { registry_json: "{}".into(), ..detector() }, at(2));
    let view = engine.snapshot(at(2)).devices[0].points[0];
    assert_eq!(view.reading, Some(Reading::missing(Quality::Calibration)));
    assert_eq!(view.state, Some((InstrumentState::Calibration, Mono::from_secs(1))));
}

#[test]
fn a_strange_state_is_counted() {
    let mut engine = Engine::new(7, boot(), detector(), at(0));
    engine.handle_event(sample(0, 1, &[2.0, 9.0]), at(1));
    assert_eq!(engine.totals().states_unknown, 1);
    assert_eq!(engine.snapshot(at(1)).devices[0].points[0].reading.map(|r| r.quality), Some(Quality::Suspect));
}

#[test]
fn a_sum_and_what_is_made_of_it_follow_the_readings_of_any_device() {
    let mut plan = plan(1, &[0, 1, 2]);
    let mut registry = (*plan.registry).clone();
    let mut device = (*registry.devices[2]).clone();
    let derived = |formula, inputs: &[&str]| {
        let inputs = inputs.iter().map(|uid| PointUid::new(*uid)).collect();
        Some(Arc::new(Instrument { derived: Some(Derived { formula, inputs }), ..Instrument::default() }))
    };
    // The first is made of the second, which is made of points of two devices.
    device.points[0].instrument = derived(Formula::Convert { factor: 2.0 }, &["u-2-1"]);
    device.points[1].instrument = derived(Formula::Sum, &["u-0-0", "u-1-1"]);
    registry.devices[2] = Arc::new(device);
    plan.registry = Arc::new(registry);
    plan.devices[2].classes.clear();
    let mut engine = Engine::new(7, boot(), plan, at(0));
    let standing = |engine: &Engine| {
        let device = &engine.snapshot(at(9)).devices[2];
        assert_eq!(device.link, LinkState::Up);
        device.points.iter().map(|p| p.reading.map(|r| (r.value().map(Value::as_f64), r.quality))).collect::<Vec<_>>()
    };
    engine.handle_event(sample(0, 1, &[1.5, 9.0]), at(1));
    assert_eq!(standing(&engine), [None, None], "not every input was read");
    engine.handle_event(sample(1, 2, &[9.0, 2.0]), at(2));
    assert_eq!(standing(&engine), [Some((Some(7.0), Quality::Good)), Some((Some(3.5), Quality::Good))]);
    let records = drain(&mut engine);
    assert!(samples_of(&records).iter().any(|s| s.device == 2 && s.cells.len() == 2), "told like any point");
    let stale = tick_through(&mut engine, 3, 40);
    assert!(samples_of(&stale).iter().any(|s| s.device == 2));
    assert_eq!(standing(&engine)[1].map(|r| r.1), Some(Quality::Stale), "made of what is silent");
}

#[test]
fn history_is_recorded_whole_and_disturbs_nothing_of_what_is() {
    let mut engine = started(&[0]);
    engine.handle_event(sourced(10, Origin::Source(at(10).wall), 5.0), at(10));
    drain(&mut engine);
    for (secs, value) in [(3, 9.0), (4, 9.0)] {
        engine.handle_event(sourced(11, Origin::History(at(secs).wall), value), at(11));
    }
    let records = drain(&mut engine);
    assert_eq!(samples_of(&records).iter().filter(|s| s.historical && s.cells.len() == 1).count(), 2);
    let view = engine.snapshot(at(11)).devices[0].points[0];
    assert_eq!((view.reading, view.at), (Some(Reading::good(Value::Number(5.0))), Some(Mono::from_secs(10))));
    engine.handle_event(sourced(12, Origin::Source(at(12).wall), 5.0), at(12));
    assert!(drain(&mut engine).is_empty(), "report by exception still compares with the last value of the present");
}

#[test]
fn a_hole_of_the_source_is_a_record_beside_the_values_around_it() {
    let mut engine = started(&[0]);
    let gap = GapNotice {
        slot: DeviceSlot(0),
        at: Mono::from_secs(9),
        points: vec![1],
        from: Some(at(3).wall),
        to: at(9).wall,
        reason: crate::domain::record::SourceGapReason::Overflow,
    };
    engine.handle_event(FieldEvent::Gap(Box::new(gap.clone())), at(9));
    engine.handle_event(FieldEvent::Gap(Box::new(GapNotice { slot: DeviceSlot(7), ..gap })), at(9));
    let records = drain(&mut engine);
    assert!(
        matches!(&records[..], [Record { stream: Stream::Telemetry, body: Body::SourceGap(g), .. }] if g.points == [1])
    );
    assert_eq!(engine.totals().stale_events, 1);
}

#[test]
fn full_values_follow_a_reconnect_of_the_device_and_of_the_platform() {
    let mut engine = started(&[0]);
    engine.handle_event(link(0, 0, LinkState::Up), at(0));
    engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
    engine.handle_event(link(0, 2, down()), at(2));
    engine.handle_event(link(0, 3, LinkState::Up), at(3));
    drain(&mut engine);
    engine.handle_event(sample(0, 4, &[1.0, 2.0]), at(4));
    assert_eq!(samples_of(&drain(&mut engine))[0].cells.len(), 2);
    engine.handle_refresh(at(5));
    let told = drain(&mut engine);
    assert!(samples_of(&told).is_empty(), "the next reading is a moment away");
    let is_active_set =
        |r: &Record| matches!(&r.body, Body::Document { kind, .. } if *kind == DocumentKind::ActiveAlarms);
    assert!(told.len() == 1 && told.iter().all(is_active_set), "{told:?}");
    engine.handle_event(sample(0, 5, &[1.0, 2.0]), at(5));
    assert_eq!(samples_of(&drain(&mut engine))[0].cells.len(), 2);
}

#[test]
fn a_refresh_repeats_what_would_keep_the_platform_waiting_with_the_time_it_was_read() {
    let mut hourly = plan(1, &[0]);
    hourly.devices[0].classes = vec![Duration::from_secs(3600)];
    let mut engine = Engine::new(7, boot(), hourly, at(0));
    engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
    drain(&mut engine);
    engine.handle_refresh(at(1_800));
    let records = drain(&mut engine);
    assert_eq!(samples_of(&records)[0].cells.len(), 2);
    assert_eq!(records[0].stamp.wall, at(1).wall, "nobody read it since");
}

#[test]
fn a_refresh_says_again_that_a_point_is_stale() {
    let mut engine = started(&[0]);
    engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
    assert_eq!(samples_of(&tick_through(&mut engine, 2, 40)).len(), 2);
    engine.handle_refresh(at(41));
    let records = drain(&mut engine);
    assert!(samples_of(&records)[0].cells.iter().all(|(_, r)| r.quality == Quality::Stale));
    assert_eq!(records[0].stamp.wall, at(41).wall);
}

#[test]
fn a_poll_of_many_slow_requests_is_not_stale_while_its_readings_come() {
    let mut engine = started(&[0]);
    for secs in 1..=60 {
        engine.handle_event(sample(0, secs, &[1.0, 2.0]), at(secs));
        engine.handle_timeout(at(secs));
    }
    let stale = |r: &Samples| r.cells.iter().any(|(_, c)| c.quality == Quality::Stale);
    assert!(!samples_of(&drain(&mut engine)).into_iter().any(stale));
}

#[test]
fn a_point_never_read_has_no_time_although_it_is_stale() {
    let mut engine = started(&[0]);
    tick_through(&mut engine, 1, 40);
    let view = engine.snapshot(at(40)).devices[0].points[0];
    assert_eq!((view.reading, view.at), (Some(Reading::missing(Quality::Stale)), None));
}

#[test]
fn a_device_that_goes_and_comes_is_two_events_however_often_it_is_tried() {
    let mut engine = started(&[0]);
    for (secs, state) in [(0, LinkState::Up), (1, down()), (2, down()), (4, down()), (8, LinkState::Up)] {
        engine.handle_event(link(0, secs, state), at(secs));
    }
    let ups: Vec<bool> = drain(&mut engine)
        .iter()
        .filter_map(|r| if let Body::Link { up, .. } = r.body { Some(up) } else { None })
        .collect();
    assert_eq!(ups, [true, false, true]);
}

#[test]
fn coverage_comes_for_every_device_also_when_nothing_else_does() {
    let mut engine = started(&[0, 1]);
    for secs in 1..=60 {
        engine.handle_event(poll(0, secs, secs % 10 != 0), at(secs));
    }
    let records = tick_through(&mut engine, 61, 95);
    let of = |device| coverages(&records).into_iter().filter(|c| c.device == device).collect::<Vec<_>>();
    let heard = of(0);
    assert_eq!((heard[0].ok, heard[0].bad), (54, 6));
    assert_eq!(of(1)[0].ok, 0);
    assert!(of(1)[0].skipped > 0, "a reader of which nothing is heard is missed");
    for c in coverages(&records) {
        assert_eq!(c.due, c.ok + c.bad + c.skipped);
    }
}

#[test]
fn a_class_of_which_nothing_is_heard_turns_stale_once() {
    let mut engine = started(&[0]);
    engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
    engine.handle_event(poll(0, 1, true), at(1));
    drain(&mut engine);
    let records = tick_through(&mut engine, 2, 40);
    let stale = samples_of(&records);
    assert_eq!(stale.len(), 1);
    assert!(stale[0].cells.iter().all(|(_, r)| r.quality == Quality::Stale && r.value().is_some()));
}

#[test]
fn an_hourly_value_of_a_device_that_is_down_does_not_stand_as_good() {
    let mut plan = plan(1, &[0]);
    plan.devices[0].classes = vec![SECOND, SECOND * 3600];
    plan.devices[0].class_of = vec![0, 1];
    let mut engine = Engine::new(7, boot(), plan, at(0));
    engine.handle_event(link(0, 1, LinkState::Up), at(1));
    engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
    drain(&mut engine);
    let good = |engine: &Engine| {
        let points = engine.snapshot(at(99)).devices[0].points.clone();
        points.iter().filter(|p| p.reading.is_some_and(|r| r.quality == Quality::Good)).count()
    };
    // A break that is over soon.
    engine.handle_event(link(0, 2, down()), at(2));
    tick_through(&mut engine, 3, 9);
    engine.handle_event(link(0, 10, LinkState::Up), at(10));
    assert_eq!((samples_of(&tick_through(&mut engine, 10, 14)).len(), good(&engine)), (0, 2));
    // One that lasts, with each probe told, and each poll ended without asking.
    let mut records = Vec::new();
    for secs in 20..40 {
        engine.handle_event(link(0, secs, down()), at(secs));
        engine.handle_event(poll(0, secs, false), at(secs));
        records.extend(tick_through(&mut engine, secs, secs));
    }
    let told = samples_of(&records);
    assert_eq!((told.len(), good(&engine)), (1, 0), "once");
    assert!(told[0].cells.iter().map(|(o, r)| (*o, *r)).eq([0, 1].map(|o| (o, Reading::missing(Quality::Comm)))));
    // The next one is told as well.
    engine.handle_event(link(0, 41, LinkState::Up), at(41));
    engine.handle_event(sample(0, 41, &[1.0, 2.0]), at(41));
    assert_eq!(good(&engine), 2);
    tick_through(&mut engine, 42, 43);
    engine.handle_event(link(0, 44, down()), at(44));
    assert_eq!(samples_of(&tick_through(&mut engine, 45, 55)).len(), 1);
}

#[test]
fn a_reload_keeps_what_stays_and_refuses_what_went() {
    let mut engine = started(&[0, 1]);
    engine.handle_event(sample(0, 1, &[1.0, 2.0]), at(1));
    engine.handle_event(sample(1, 1, &[1.0, 2.0]), at(1));
    drain(&mut engine);
    engine.handle_plan(plan(2, &[0, 5]), at(2));
    let records = drain(&mut engine);
    assert_eq!(coverages(&records).len(), 2, "what was counted is recorded");
    assert!(records.iter().filter(|r| matches!(r.body, Body::Coverage(_))).all(|r| r.stamp.rev == 1));
    assert!(records.iter().any(|r| matches!(r.body, Body::Registry { .. }) && r.stamp.rev == 2));
    engine.handle_event(sample(1, 3, &[9.0, 9.0]), at(3));
    assert_eq!((drain(&mut engine).len(), engine.totals().stale_events), (0, 1));
    assert!(engine.snapshot(at(3)).devices[0].points[0].reading.is_some());
}

#[test]
fn a_step_of_the_clock_is_told_and_nothing_is_rewritten() {
    let mut engine = started(&[0]);
    engine.handle_timeout(at(1));
    let stepped = Now { wall: Timestamp(at(2).wall.0 + 3_600_000), ..at(2) };
    engine.handle_timeout(stepped);
    let records = drain(&mut engine);
    let Body::Clock(change) = records[0].body else { panic!("no clock record") };
    assert_eq!(change.offset_ms, 3_600_000);
    assert_eq!(tick_through(&mut engine, 2, 2).len(), 0, "told once");
}

#[test]
fn a_step_is_told_before_the_first_record_stamped_after_it() {
    let mut engine = started(&[0]);
    engine.handle_timeout(at(1));
    let stepped = Now { mono: Mono::from_millis(1_200), wall: Timestamp(at(1).wall.0 + 90_000), ..at(1) };
    engine.handle_event(sample(0, 1, &[1.0, 2.0]), stepped);
    let records = drain(&mut engine);
    assert!(matches!(records[0].body, Body::Clock(c) if c.offset_ms == 89_800), "{:?}", records[0]);
    assert!(matches!(records[1].body, Body::Samples(_)));
}

#[test]
fn gaining_trust_is_told_with_no_step() {
    let mut engine = Engine::new(1, boot(), plan(1, &[0]), Now { trust: ClockTrust::Unsynced, ..at(0) });
    drain(&mut engine);
    engine.handle_timeout(at(1));
    let Body::Clock(change) = drain(&mut engine)[0].body else { panic!("no clock record") };
    assert_eq!(change, ClockChange { from: ClockTrust::Unsynced, to: ClockTrust::Synced, offset_ms: 0 });
}

#[test]
fn the_same_inputs_give_the_same_records() {
    let run = || {
        let mut engine = Engine::new(7, boot(), plan(1, &[0, 1]), at(0));
        for secs in 1..200 {
            engine.handle_event(sample(u32::from(secs % 3 == 0), secs, &[(secs % 7) as f64, 2.0]), at(secs));
            engine.handle_event(poll(0, secs, secs % 5 != 0), at(secs));
            engine.handle_timeout(at(secs));
        }
        drain(&mut engine)
    };
    assert_eq!(run(), run());
}

/// What a poll says of a device of five points, mostly what the last one said.
fn some_poll(random: &mut fastrand::Rng, before: &[Reading; 5]) -> Readings {
    let some = |random: &mut fastrand::Rng, last: Reading| match random.u8(0..12) {
        0 => Reading::missing([Quality::Comm, Quality::Sensor][random.usize(0..2)]),
        1 => Reading::new(Some(Value::Number(7.0)), Quality::OverRange),
        2..5 => Reading::good(Value::Number(f64::from(random.u8(0..30)) / 10.0)),
        _ => last,
    };
    let all = random.u8(0..3) > 0;
    let said =
        before.iter().zip(0_u16..).filter(|_| all || random.bool()).map(|(last, o)| (o, *last)).collect::<Vec<_>>();
    said.into_iter().map(|(ordinal, last)| (ordinal, some(random, last))).collect()
}

/// The rule of `report.rs`, word for word, point by point, beside the engine's way through a whole poll.
#[test]
fn what_is_recorded_of_a_poll_is_what_the_rule_says_of_each_of_its_readings() {
    let mut plan = plan(1, &[9, 4]);
    let mut registry = registry_with(2, 5, |_| None);
    let spec = std::sync::Arc::make_mut(&mut registry.devices[0]);
    spec.points[1].deadband = crate::domain::registry::Deadband::Absolute(0.5);
    spec.points[2].max_silence = SECOND * 3;
    (spec.points[3].max_silence, spec.points[3].interval) = (SECOND, SECOND * 2);
    spec.points[4].deadband = crate::domain::registry::Deadband::Off;
    plan.registry = Arc::new(registry);
    plan.devices.iter_mut().for_each(|device| device.class_of = vec![0; 5]);
    let points = plan.registry.devices[0].points.clone();
    let mut engine = Engine::new(7, boot(), plan, at(0));
    drain(&mut engine);
    let mut random = fastrand::Rng::with_seed(3);
    let (mut stands, mut reported) = ([Reading::missing(Quality::Comm); 5], [None::<(Reading, u64)>; 5]);
    let (mut told, mut good, mut bad) = (0, 0, 0);
    for secs in 1..20_000 {
        let readings = some_poll(&mut random, &stands);
        let mut expected = Vec::new();
        for (ordinal, reading) in &readings {
            let index = usize::from(*ordinal);
            stands[index] = *reading;
            *(if reading.value().is_some() { &mut good } else { &mut bad }) += 1;
            let is_worth = reported[index].is_none_or(|(last, at)| {
                let value = |reading: Reading| reading.value().map(Value::as_f64);
                let moved = match (value(last), value(*reading), points[index].deadband) {
                    (Some(_), Some(_), crate::domain::registry::Deadband::Off) => true,
                    (Some(a), Some(b), crate::domain::registry::Deadband::Absolute(width)) => (a - b).abs() > width,
                    (a, b, _) => a != b,
                };
                let too_long = Duration::from_secs(secs - at) + points[index].interval > points[index].max_silence;
                moved || too_long || last.quality != reading.quality
            });
            if is_worth {
                reported[index] = Some((*reading, secs));
                expected.push((*ordinal, *reading));
            }
        }
        let (slot, mono) = (DeviceSlot(9), Mono::from_secs(secs));
        engine.handle_event(FieldEvent::Sample(Sample { slot, at: mono, origin: Origin::Polled, readings }), at(secs));
        let records = drain(&mut engine);
        let cells: Vec<_> = samples_of(&records).iter().flat_map(|samples| samples.cells.iter().copied()).collect();
        assert_eq!(cells, expected, "at {secs} s");
        told += cells.len();
        let of_it: Vec<_> = engine.devices[0].points.iter().map(|point| point.reading).collect();
        let read = stands.iter().map(|reading| Some(*reading).filter(|r| *r != Reading::missing(Quality::Comm)));
        assert!(of_it.iter().zip(read).all(|(is, should)| should.is_none() || *is == should), "at {secs} s");
    }
    assert_eq!((engine.totals().readings, engine.totals().readings_bad), (good, bad));
    assert!(told > 20_000, "{told}");
}
