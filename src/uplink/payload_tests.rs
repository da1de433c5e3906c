//! Facts about `payload.rs` and `body.rs`.

use std::sync::Arc;
use std::time::Duration;

use smallvec::smallvec;

use super::super::body::quoted;
use super::*;
use crate::domain::document::DocumentKind;
use crate::domain::id::{DeviceId, PointUid, Tag};
use crate::domain::reading::{Quality, Reading, Value};
use crate::domain::record::{Basis, Body, Boot, ClockChange, Coverage, GapReason, Mode, Samples, SourceGap, Stream};
use crate::domain::registry::{Commissioning, Deadband, DeviceSpec, PlatformCodes, PointSpec, Registry};
use crate::domain::time::Mono;

struct One(Arc<Registry>);

impl Registries for One {
    fn get(&self, rev: u32) -> Option<Arc<Registry>> {
        (rev == self.0.rev).then(|| Arc::clone(&self.0))
    }
}

fn point(tag: &str, decimals: Option<u8>) -> PointSpec {
    PointSpec {
        uid: PointUid::new(tag),
        tag: Tag::new(tag),
        name: String::new(),
        unit: String::new(),
        decimals,
        range: None,
        deadband: Deadband::Off,
        max_silence: Duration::from_secs(60),
        interval: Duration::from_secs(1),
        platform: PlatformCodes::default(),
        commissioning: Commissioning::InService,
        instrument: None,
    }
}

fn registry() -> Arc<Registry> {
    let points = vec![point("TT101", Some(1)), point("LT\"1", None), point("AT701", None)];
    let device = DeviceSpec { id: DeviceId::new("plc-tank-1"), name: "罐区".into(), points };
    Arc::new(Registry { rev: 42, devices: vec![Arc::new(device)] })
}

fn entry(body: &Body) -> Entry {
    let stamp = Stamp {
        boot: 17,
        rev: 42,
        mono: Mono::from_secs(1),
        wall: Timestamp(1_795_420_800_120),
        trust: ClockTrust::Synced,
    };
    Entry { seq: 1001, stamp, body: codec::encode(body, &registry()) }
}

fn written(body: &Body) -> String {
    let mut writer = Writer::new(One(registry()), "gw-east", "01K");
    let mut out = Vec::new();
    assert_eq!(writer.record(&mut out, &entry(body), false), Written::Whole);
    String::from_utf8(out).unwrap()
}

#[test]
fn samples_are_written_as_the_contract_shows() {
    let cells = smallvec![
        (0, Reading::good(Value::Number(23.4))),
        (1, Reading::new(Some(Value::Single(5.71)), Quality::OverRange)),
        (2, Reading::missing(Quality::Comm)),
    ];
    let body =
        Body::Samples(Samples { device: 0, basis: Basis::Poll, t: None, historical: false, mode: Mode::Real, cells });
    assert_eq!(
        written(&body),
        r#"{"seq":1001,"t":"2026-11-23T08:00:00.120Z","basis":"poll","device":"plc-tank-1","values":{"TT101":23.4,"LT\"1":5.71,"AT701":null},"quality":{"LT\"1":"over_range","AT701":"comm"}}"#
    );
}

#[test]
fn a_source_tells_its_own_time_and_history_says_that_it_is() {
    let cells = smallvec![(0, Reading::good(Value::Number(23.4)))];
    let t = Some(Timestamp(1_795_420_740_120));
    let samples = Samples { device: 0, basis: Basis::Source, t, historical: true, mode: Mode::Real, cells };
    assert_eq!(
        written(&Body::Samples(samples)),
        r#"{"seq":1001,"t":"2026-11-23T07:59:00.120Z","basis":"source","device":"plc-tank-1","values":{"TT101":23.4},"historical":true}"#
    );
}

#[test]
fn a_hole_of_the_source_names_its_points() {
    let reason = crate::domain::record::SourceGapReason::Overflow;
    let gap = SourceGap { device: 0, points: vec![0, 2], from: None, to: Timestamp(1_795_420_740_120), reason };
    assert_eq!(
        written(&Body::SourceGap(gap)),
        r#"{"seq":1001,"t":"2026-11-23T08:00:00.120Z","source_gap":{"device":"plc-tank-1","points":["TT101","AT701"],"from":null,"to":"2026-11-23T07:59:00.120Z","reason":"overflow"}}"#
    );
}

#[test]
fn coverage_ends_at_the_records_own_time() {
    let from = Timestamp(1_795_420_740_120);
    let body = Body::Coverage(Coverage { device: 0, from, due: 60, ok: 58, bad: 1, skipped: 1 });
    assert_eq!(
        written(&body),
        r#"{"seq":1001,"t":"2026-11-23T08:00:00.120Z","coverage":{"device":"plc-tank-1","from":"2026-11-23T07:59:00.120Z","to":"2026-11-23T08:00:00.120Z","due":60,"ok":58,"bad":1,"skipped":1}}"#
    );
}

#[test]
fn a_document_stands_under_its_kind_and_says_when_it_is_not_real() {
    let alarm = |mode| Body::Document { kind: DocumentKind::Alarm, mode, json: "{\"n\":1}".into() };
    assert_eq!(written(&alarm(Mode::Real)), r#"{"seq":1001,"t":"2026-11-23T08:00:00.120Z","alarm":{"n":1}}"#);
    assert_eq!(
        written(&alarm(Mode::Drill)),
        r#"{"seq":1001,"t":"2026-11-23T08:00:00.120Z","alarm":{"n":1},"mode":"drill"}"#
    );
}

#[test]
fn what_can_not_be_told_says_so_and_keeps_its_number() {
    let mut writer = Writer::new(One(registry()), "gw-east", "01K");
    let mut out = Vec::new();
    let mut gone = entry(&Body::Answer { json: "{}".into() });
    gone.stamp.rev = 41;
    assert_eq!(writer.record(&mut out, &gone, false), Written::Unreadable);
    out.push(b'\n');
    assert_eq!(writer.record(&mut out, &entry(&Body::Answer { json: "{".into() }), false), Written::Unreadable);
    for line in String::from_utf8(out).unwrap().lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["seq"], 1001);
        assert!(record["unreadable"]["why"].is_string());
    }
}

#[test]
fn every_other_record_is_json() {
    let boot = Boot { software: "0.1.0".into(), last_seen: None, off_ms: Some(5), clean: true };
    let clock = ClockChange { from: ClockTrust::Unsynced, to: ClockTrust::Synced, offset_ms: -7 };
    let bodies = [
        Body::Boot(boot),
        Body::Clock(clock),
        Body::Link { device: 0, up: false, reason: "no \"answer\"".into() },
        Body::Registry { json: "{\"rev\":42}".into() },
    ];
    for body in &bodies {
        let text = written(body);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    let gap = Gap {
        no: 3,
        stream: Stream::Telemetry,
        seqs: 5..=9,
        from_t: None,
        to_t: None,
        count: 5,
        exact: false,
        reason: GapReason::CrashUncommitted,
    };
    let mut out = Vec::new();
    Writer::new(One(registry()), "gw-east", "01K").gap(&mut out, &gap);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"seq":3,"t":null,"gap":{"epoch":"01K","stream":"telemetry","from_seq":5,"to_seq":9,"from_t":null,"to_t":null,"count":5,"exact":false,"reason":"crash_uncommitted"}}"#
    );
}

#[test]
fn parts_join_to_the_whole() {
    let text = "{\"罐区\":\"\\n\u{1}\"}".repeat(50);
    let parts = chunks(&text, 40);
    assert_eq!(parts.concat(), text);
    for part in parts {
        assert!(quoted(part).len() <= 42);
    }
    assert!(chunks("", 10).is_empty());
}
