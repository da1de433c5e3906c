//! What the engine does when the wall clock is wrong (`reliability.md` 26 to 28): the same inputs by the monotonic clock give
//! the same records in the same order; only what people read as time differs, and that is said.

use super::*;
use crate::domain::document::DocumentKind;
use crate::domain::reading::Value;
use crate::domain::registry::testing::registry_with;
use crate::domain::time::ClockTrust;

const YEAR_MS: i64 = 31_556_952_000;
/// When the clock is put right, or wrong.
const STEP_AT: u64 = 150;

/// What the clock shows beside the truth, and what it says of itself, before the step and after it.
type Shown = (i64, ClockTrust);

fn at(secs: u64, (before, after): (Shown, Shown)) -> Now {
    let (off, trust) = if secs < STEP_AT { before } else { after };
    let truth = 1_795_420_800_000 + i64::try_from(secs).unwrap() * 1_000;
    Now { mono: Mono::from_secs(secs), wall: Timestamp(truth + off), trust }
}

/// Five minutes of a device that answers, falls silent, is lost, and comes back.
fn five_minutes(clock: (Shown, Shown)) -> Vec<Record> {
    let second = Duration::from_secs(1);
    let device = PlanDevice { slot: DeviceSlot(1), classes: vec![second], class_of: vec![0, 0] };
    let registry = Arc::new(registry_with(1, 2, |_| Some(1)));
    let plan = Plan {
        registry,
        registry_json: "{}".into(),
        devices: vec![device],
        danger: super::super::danger::Rules::default(),
    };
    let boot = Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true };
    let mut engine = Engine::new(7, boot, plan, at(0, clock));
    let mut records = Vec::new();
    for secs in 1..300 {
        let (now, mono) = (at(secs, clock), Mono::from_secs(secs));
        let is_silent = (100..130).contains(&secs) || (145..175).contains(&secs);
        let state = match secs {
            1 | 175 => Some(LinkState::Up),
            145 => Some(LinkState::Down { reason: "no answer".into(), retry: second }),
            _ => None,
        };
        if let Some(state) = state {
            engine.handle_event(FieldEvent::Link(LinkChange { slot: DeviceSlot(1), at: mono, state }), now);
        }
        if !is_silent {
            let value = |n: u64| Reading::good(Value::Number(f64::from(u32::try_from(n).unwrap())));
            let readings = [(0, value(secs / 7)), (1, value(5))].into_iter().collect();
            let sample = Sample { slot: DeviceSlot(1), at: mono, origin: Origin::Polled, readings };
            engine.handle_event(FieldEvent::Sample(sample), now);
        }
        engine.handle_timeout(now);
        records.extend(std::iter::from_fn(|| engine.poll_output()));
    }
    records
}

/// The records without what the wall clock says. Documents of the days are left out: which day it is, is the wall clock's to
/// say, and `daybook` bounds what a wrong one can cost.
fn timeless(records: &[Record]) -> Vec<(Stream, Mono, Body)> {
    let body = |body: &Body| {
        if let Body::Coverage(coverage) = body {
            return Body::Coverage(Coverage { from: Timestamp(0), ..*coverage });
        }
        body.clone()
    };
    let of_a_day = |body: &Body| matches!(body, Body::Document { kind, .. } if *kind != DocumentKind::Alarm);
    let told = records.iter().filter(|r| !matches!(r.body, Body::Clock(_)) && !of_a_day(&r.body));
    told.map(|r| (r.stream, r.stamp.mono, body(&r.body))).collect()
}

#[test]
fn a_clock_that_steps_invents_nothing_loses_nothing_and_keeps_the_order() {
    const RIGHT: Shown = (0, ClockTrust::Synced);
    let truth = five_minutes((RIGHT, RIGHT));
    assert!(truth.iter().filter(|r| matches!(r.body, Body::Link { .. })).count() == 3, "comes, goes, comes");
    assert!(truth.len() > 40, "{}", truth.len());
    assert!(!truth.iter().any(|r| matches!(r.body, Body::Clock(_))));
    let cases = [
        ("booted in 1970", (-1_795_420_800_000, ClockTrust::Unsynced), RIGHT),
        ("an hour back", RIGHT, (-3_600_000, ClockTrust::Synced)),
        ("ten years forward", RIGHT, (10 * YEAR_MS, ClockTrust::Synced)),
        ("holdover ends", (0, ClockTrust::Holdover), (0, ClockTrust::Unsynced)),
    ];
    for (what, before, after) in cases {
        let records = five_minutes((before, after));
        assert_eq!(timeless(&records), timeless(&truth), "{what}");
        let told = |r: &&Record| if let Body::Clock(change) = r.body { Some(change) } else { None };
        let changes: Vec<ClockChange> = records.iter().filter_map(|r| told(&r)).collect();
        assert_eq!(changes, [ClockChange { from: before.1, to: after.1, offset_ms: after.0 - before.0 }], "{what}");
        let at = records.iter().position(|r| matches!(r.body, Body::Clock(_))).unwrap();
        let off = |r: &Record| r.stamp.wall.0 - 1_795_420_800_000 - i64::try_from(r.stamp.mono.millis()).unwrap();
        let (earlier, later) = records.split_at(at);
        assert!(earlier.iter().all(|r| (off(r), r.stamp.trust) == before), "{what}: nothing is rewritten");
        assert!(later.iter().all(|r| (off(r), r.stamp.trust) == after), "{what}: told before the first stamp after it");
    }
}
