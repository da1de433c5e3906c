//! The wire form of records and envelopes (`config/envelope.schema.json` is the published description).
//!
//! ```json
//! {"v":1,"gateway":"gw-east","epoch":"01K…","boot":17,"reg":42,"stream":"telemetry","lane":"live","clock":"synced",
//!  "sent_at":"2026-11-23T08:00:01.250Z","records":[…]}
//! ```
//!
//! Each record has `seq`, `t` (RFC 3339, UTC, ms; `null` only for a gap whose times are unknown) and exactly one of:
//!
//! | member | what |
//! |---|---|
//! | `values` | with `basis`, `device`; `quality` names what is not good; `mode` only when not real; `historical` only of what
//! |          | was read afterwards from the source's history |
//! | `coverage` | `{device, from, to, due, ok, bad, skipped}` |
//! | `boot` | `{software, last_seen, off_ms, clean}` |
//! | `clock` | `{from, to, offset_ms}` |
//! | `registry` | the revision |
//! | `link` | `{device, up, reason}` |
//! | `answer` | the answer to a command |
//! | `source_gap` | `{device, points, from, to, reason}`: values that the source had and that were not received |
//! | `write` | `{output, device, value, raw, seen, result, detail, issuer, key, elapsed_ms}`; `mode` only when not real |
//! | `loop_test` | `{point, device, issuer, expected, read, quality, passed, detail}`; `mode` always `commissioning` |
//! | `alarm`, `active_alarms`, `site`, `report`, `duty`, `accident`, `hazard`, `audit`, `service`, `message` | what a state machine of
//! |          | danger or duty gave out: an object of its own; `mode` only when not real |
//! | `gap` | `{epoch, stream, from_seq, to_seq, from_t, to_t, count, exact, reason}` |
//! | `part` | `{no, of, text}`: a record too large for one message; the texts 1..=of together are the record's JSON |
//! | `unreadable` | `{why}`: the record is stored but can not be told: its revision is gone, it is damaged, or beyond all limits |
//!
//! `unstored: true` marks a record told before it was stored; should it be lost in the store, a gap may name its number
//! as well, and the record told stands.
//!
//! Tags and device names are escaped once per revision ([`REVISIONS`] are kept); a record costs one decode and one pass
//! of writing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::codec;
use crate::domain::output::{LoopTest, OutputWrite};
use crate::domain::reading::Quality;
use crate::domain::record::{Body, Boot, ClockChange, Coverage, Entry, Gap, Mode, Samples, SourceGap, Stamp};
use crate::domain::registry::Registry;
use crate::domain::time::{ClockTrust, Timestamp};

use super::feed::Feed;
use super::json;
use super::source::Registries;

/// Revisions whose keys are kept ready: the current one, the one before, and what a backlog goes through.
pub const REVISIONS: usize = 4;
/// Closes what [`Writer::open`] opened.
pub const CLOSE: &[u8] = b"]}";

/// In which lane an envelope travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// As it happens.
    Live,
    /// What could not be delivered when it happened.
    History,
}

impl Lane {
    /// Returns the word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::History => "history",
        }
    }
}

/// What all records of one envelope agree in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Start counter.
    pub boot: u32,
    /// Registry revision.
    pub rev: u32,
    /// Trust in wall time.
    pub trust: ClockTrust,
}

impl From<&Stamp> for Group {
    fn from(stamp: &Stamp) -> Self {
        Self { boot: stamp.boot, rev: stamp.rev, trust: stamp.trust }
    }
}

/// How a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// In its own form.
    Whole,
    /// As `unreadable`.
    Unreadable,
}

/// Writes records and envelopes of one gateway.
#[derive(Debug)]
pub struct Writer<R> {
    registries: R,
    gateway: String,
    epoch: String,
    /// `None` where a revision is not kept: it is not looked for again with each of its records.
    revisions: BTreeMap<u32, Option<Revision>>,
}

/// A revision with its names ready to be written.
#[derive(Debug)]
struct Revision {
    registry: Arc<Registry>,
    devices: Vec<DeviceKeys>,
}

#[derive(Debug)]
struct DeviceKeys {
    /// The id as a JSON string.
    name: Vec<u8>,
    points: Vec<PointKey>,
}

#[derive(Debug)]
struct PointKey {
    /// The tag as a JSON string and a colon.
    key: Box<[u8]>,
    decimals: Option<u8>,
}

impl<R: Registries> Writer<R> {
    /// Returns a writer for `gateway` within `epoch`.
    pub fn new(registries: R, gateway: &str, epoch: &str) -> Self {
        Self { registries, gateway: gateway.to_owned(), epoch: epoch.to_owned(), revisions: BTreeMap::new() }
    }

    /// Appends the head of an envelope, up to the opening bracket of its records. [`CLOSE`] ends it.
    pub fn open(&self, out: &mut Vec<u8>, feed: Feed, lane: Lane, group: Group, sent_at: Timestamp) {
        out.extend_from_slice(b"{\"v\":1,\"gateway\":");
        json::string(out, &self.gateway);
        out.extend_from_slice(b",\"epoch\":");
        json::string(out, &self.epoch);
        out.extend_from_slice(b",\"boot\":");
        json::unsigned(out, group.boot.into());
        out.extend_from_slice(b",\"reg\":");
        json::unsigned(out, group.rev.into());
        out.extend_from_slice(b",\"stream\":\"");
        out.extend_from_slice(feed.as_str().as_bytes());
        out.extend_from_slice(b"\",\"lane\":\"");
        out.extend_from_slice(lane.as_str().as_bytes());
        out.extend_from_slice(b"\",\"clock\":\"");
        out.extend_from_slice(group.trust.as_str().as_bytes());
        out.extend_from_slice(b"\",\"sent_at\":");
        json::time(out, sent_at);
        out.extend_from_slice(b",\"records\":[");
    }

    /// Appends a record of a stream.
    pub fn record(&mut self, out: &mut Vec<u8>, entry: &Entry, unstored: bool) -> Written {
        let at = out.len();
        let why = match self.try_record(out, entry, unstored) {
            Ok(()) => return Written::Whole,
            Err(why) => why,
        };
        out.truncate(at);
        unreadable(out, entry.seq, entry.stamp.wall, &why);
        Written::Unreadable
    }

    /// Appends an entry of the gap ledger.
    pub fn gap(&self, out: &mut Vec<u8>, gap: &Gap) {
        head(out, gap.no, gap.to_t.or(gap.from_t));
        out.extend_from_slice(b",\"gap\":{\"epoch\":");
        json::string(out, &self.epoch);
        text(out, "stream", gap.stream.as_str());
        number(out, "from_seq", *gap.seqs.start());
        number(out, "to_seq", *gap.seqs.end());
        member(out, "from_t");
        json::time_or_null(out, gap.from_t);
        member(out, "to_t");
        json::time_or_null(out, gap.to_t);
        number(out, "count", gap.count);
        member(out, "exact");
        json::boolean(out, gap.exact);
        text(out, "reason", gap.reason.as_str());
        out.extend_from_slice(b"}}");
    }

    fn try_record(&mut self, out: &mut Vec<u8>, entry: &Entry, unstored: bool) -> Result<(), String> {
        let revision = self.revision(entry.stamp.rev).ok_or("its registry revision is not kept")?;
        let body = codec::decode(&entry.body, &revision.registry).map_err(|e| e.to_string())?;
        head(out, entry.seq, Some(time_of(&body).unwrap_or(entry.stamp.wall)));
        revision.body(out, &body, entry.stamp.wall)?;
        if unstored {
            out.extend_from_slice(b",\"unstored\":true");
        }
        out.push(b'}');
        Ok(())
    }

    fn revision(&mut self, rev: u32) -> Option<&Revision> {
        if !self.revisions.contains_key(&rev) {
            let found = self.registries.get(rev).map(Revision::new);
            if self.revisions.len() >= REVISIONS {
                self.revisions.pop_first();
            }
            self.revisions.insert(rev, found);
        }
        self.revisions.get(&rev)?.as_ref()
    }
}

impl Revision {
    fn new(registry: Arc<Registry>) -> Self {
        let devices = registry.devices.iter().map(|device| DeviceKeys {
            name: quoted(device.id.as_str()),
            points: device
                .points
                .iter()
                .map(|p| PointKey { key: key_of(p.tag.as_str()), decimals: p.decimals })
                .collect(),
        });
        let devices = devices.collect();
        Self { registry, devices }
    }

    fn device(&self, index: u16) -> Result<&DeviceKeys, &'static str> {
        self.devices.get(usize::from(index)).ok_or("its device is not in the revision")
    }

    /// Appends the members behind `t`.
    fn body(&self, out: &mut Vec<u8>, body: &Body, t: Timestamp) -> Result<(), &'static str> {
        match body {
            Body::Samples(samples) => samples_body(out, samples, self.device(samples.device)?)?,
            Body::Coverage(coverage) => coverage_body(out, coverage, self.device(coverage.device)?, t),
            Body::Boot(boot) => boot_body(out, boot),
            Body::Clock(change) => clock_body(out, change),
            Body::Registry { json } => raw(out, "registry", json)?,
            Body::Link { device, up, reason } => {
                member(out, "link");
                out.extend_from_slice(b"{\"device\":");
                out.extend_from_slice(&self.device(*device)?.name);
                member(out, "up");
                json::boolean(out, *up);
                text(out, "reason", reason);
                out.push(b'}');
            }
            Body::Answer { json } => raw(out, "answer", json)?,
            Body::SourceGap(gap) => source_gap_body(out, gap, self.device(gap.device)?)?,
            Body::Write(write) => write_body(out, write),
            Body::LoopTest(test) => loop_test_body(out, test),
            Body::Document { kind, mode, json } => {
                raw(out, kind.as_str(), json)?;
                if *mode != Mode::Real {
                    text(out, "mode", mode.as_str());
                }
            }
        }
        Ok(())
    }
}

/// Returns the time of a record whose source has its own.
fn time_of(body: &Body) -> Option<Timestamp> {
    if let Body::Samples(samples) = body { samples.t } else { None }
}

/// Appends a record that can not be told.
pub fn unreadable(out: &mut Vec<u8>, seq: u64, t: Timestamp, why: &str) {
    head(out, seq, Some(t));
    out.extend_from_slice(b",\"unreadable\":{\"why\":");
    json::string(out, why);
    out.extend_from_slice(b"}}");
}

/// Appends part `no` of `of` of a record whose JSON is too large for one message.
pub fn part(out: &mut Vec<u8>, seq: u64, t: Timestamp, (no, of): (usize, usize), chunk: &str) {
    head(out, seq, Some(t));
    out.extend_from_slice(b",\"part\":{\"no\":");
    json::unsigned(out, no as u64);
    number(out, "of", of as u64);
    text(out, "text", chunk);
    out.extend_from_slice(b"}}");
}

/// Splits `text` so that each chunk takes at most `room` bytes once escaped (at least one character each).
pub fn chunks(text: &str, room: usize) -> Vec<&str> {
    let mut chunks = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, c) in text.char_indices() {
        let cost = match c {
            '"' | '\\' => 2,
            '\0'..='\x1f' => 6,
            _ => c.len_utf8(),
        };
        if size + cost > room && at > start {
            chunks.extend(text.get(start..at));
            (start, size) = (at, 0);
        }
        size += cost;
    }
    chunks.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    chunks
}

fn samples_body(out: &mut Vec<u8>, samples: &Samples, device: &DeviceKeys) -> Result<(), &'static str> {
    out.extend_from_slice(b",\"basis\":\"");
    out.extend_from_slice(samples.basis.as_str().as_bytes());
    out.extend_from_slice(b"\",\"device\":");
    out.extend_from_slice(&device.name);
    out.extend_from_slice(b",\"values\":{");
    let mut bad = false;
    for (i, (ordinal, reading)) in samples.cells.iter().enumerate() {
        let point = device.points.get(usize::from(*ordinal)).ok_or("its point is not in the revision")?;
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&point.key);
        match reading.value {
            Some(value) => json::value(out, value, point.decimals),
            None => out.extend_from_slice(b"null"),
        }
        bad |= reading.quality != Quality::Good;
    }
    out.push(b'}');
    if bad {
        qualities(out, samples, device);
    }
    if samples.mode != Mode::Real {
        text(out, "mode", samples.mode.as_str());
    }
    if samples.historical {
        member(out, "historical");
        json::boolean(out, true);
    }
    Ok(())
}

fn source_gap_body(out: &mut Vec<u8>, gap: &SourceGap, device: &DeviceKeys) -> Result<(), &'static str> {
    out.extend_from_slice(b",\"source_gap\":{\"device\":");
    out.extend_from_slice(&device.name);
    out.extend_from_slice(b",\"points\":[");
    for (i, ordinal) in gap.points.iter().enumerate() {
        let point = device.points.get(usize::from(*ordinal)).ok_or("its point is not in the revision")?;
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(point.key.strip_suffix(b":").unwrap_or(&point.key));
    }
    out.extend_from_slice(b"],\"from\":");
    json::time_or_null(out, gap.from);
    member(out, "to");
    json::time(out, gap.to);
    text(out, "reason", gap.reason.as_str());
    out.push(b'}');
    Ok(())
}

fn qualities(out: &mut Vec<u8>, samples: &Samples, device: &DeviceKeys) {
    out.extend_from_slice(b",\"quality\":{");
    let mut first = true;
    for (ordinal, reading) in samples.cells.iter().filter(|(_, r)| r.quality != Quality::Good) {
        let Some(point) = device.points.get(usize::from(*ordinal)) else { continue };
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(&point.key);
        out.push(b'"');
        out.extend_from_slice(reading.quality.as_str().as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
}

fn coverage_body(out: &mut Vec<u8>, coverage: &Coverage, device: &DeviceKeys, t: Timestamp) {
    out.extend_from_slice(b",\"coverage\":{\"device\":");
    out.extend_from_slice(&device.name);
    member(out, "from");
    json::time(out, coverage.from);
    member(out, "to");
    json::time(out, t);
    number(out, "due", coverage.due.into());
    number(out, "ok", coverage.ok.into());
    number(out, "bad", coverage.bad.into());
    number(out, "skipped", coverage.skipped.into());
    out.push(b'}');
}

fn boot_body(out: &mut Vec<u8>, boot: &Boot) {
    out.extend_from_slice(b",\"boot\":{\"software\":");
    json::string(out, &boot.software);
    member(out, "last_seen");
    json::time_or_null(out, boot.last_seen);
    member(out, "off_ms");
    match boot.off_ms {
        Some(ms) => json::unsigned(out, ms),
        None => out.extend_from_slice(b"null"),
    }
    member(out, "clean");
    json::boolean(out, boot.clean);
    out.push(b'}');
}

fn clock_body(out: &mut Vec<u8>, change: &ClockChange) {
    out.extend_from_slice(b",\"clock\":{\"from\":\"");
    out.extend_from_slice(change.from.as_str().as_bytes());
    out.push(b'"');
    text(out, "to", change.to.as_str());
    member(out, "offset_ms");
    json::signed(out, change.offset_ms);
    out.push(b'}');
}

fn write_body(out: &mut Vec<u8>, write: &OutputWrite) {
    out.extend_from_slice(b",\"write\":{\"output\":");
    json::string(out, &write.output);
    text(out, "device", &write.device);
    text(out, "value", &write.value);
    for (name, n) in [("raw", write.raw), ("seen", write.seen)] {
        member(out, name);
        match n {
            Some(n) => json::unsigned(out, n.into()),
            None => out.extend_from_slice(b"null"),
        }
    }
    text(out, "result", write.result.as_str());
    text(out, "detail", &write.detail);
    text(out, "issuer", &write.issuer);
    text(out, "key", &write.key);
    number(out, "elapsed_ms", write.elapsed_ms.into());
    out.push(b'}');
    if write.mode != Mode::Real {
        text(out, "mode", write.mode.as_str());
    }
}

fn loop_test_body(out: &mut Vec<u8>, test: &LoopTest) {
    out.extend_from_slice(b",\"loop_test\":{\"point\":");
    json::string(out, &test.tag);
    text(out, "device", &test.device);
    text(out, "issuer", &test.issuer);
    text(out, "expected", &test.expected);
    text(out, "read", &test.read);
    text(out, "quality", &test.quality);
    member(out, "passed");
    json::boolean(out, test.passed);
    text(out, "detail", &test.detail);
    out.push(b'}');
    text(out, "mode", Mode::Commissioning.as_str());
}

/// Appends JSON text made elsewhere, after a look that it is JSON: one bad text must not spoil an envelope.
fn raw(out: &mut Vec<u8>, name: &str, text: &str) -> Result<(), &'static str> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| "its text is not JSON")?;
    member(out, name);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn head(out: &mut Vec<u8>, seq: u64, t: Option<Timestamp>) {
    out.extend_from_slice(b"{\"seq\":");
    json::unsigned(out, seq);
    out.extend_from_slice(b",\"t\":");
    json::time_or_null(out, t);
}

fn member(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    json::key(out, name);
}

fn number(out: &mut Vec<u8>, name: &str, n: u64) {
    member(out, name);
    json::unsigned(out, n);
}

fn text(out: &mut Vec<u8>, name: &str, text: &str) {
    member(out, name);
    json::string(out, text);
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::string(&mut out, text);
    out
}

fn key_of(tag: &str) -> Box<[u8]> {
    let mut out = quoted(tag);
    out.push(b':');
    out.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::document::DocumentKind;
    use crate::domain::id::{DeviceId, PointUid, Tag};
    use crate::domain::reading::{Reading, Value};
    use crate::domain::record::{Basis, GapReason, Stream};
    use crate::domain::registry::{Commissioning, Deadband, DeviceSpec, PlatformCodes, PointSpec};
    use crate::domain::time::Mono;
    use std::time::Duration;

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
        let cells = vec![
            (0, Reading::good(Value::Number(23.4))),
            (1, Reading { value: Some(Value::Single(5.71)), quality: Quality::OverRange }),
            (2, Reading::missing(Quality::Comm)),
        ];
        let body = Body::Samples(Samples {
            device: 0,
            basis: Basis::Poll,
            t: None,
            historical: false,
            mode: Mode::Real,
            cells,
        });
        assert_eq!(
            written(&body),
            r#"{"seq":1001,"t":"2026-11-23T08:00:00.120Z","basis":"poll","device":"plc-tank-1","values":{"TT101":23.4,"LT\"1":5.71,"AT701":null},"quality":{"LT\"1":"over_range","AT701":"comm"}}"#
        );
    }

    #[test]
    fn a_source_tells_its_own_time_and_history_says_that_it_is() {
        let cells = vec![(0, Reading::good(Value::Number(23.4)))];
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
}
