//! The members of a record behind `t`, by what it is; the table stands in [`super::payload`].
//!
//! Tags and device names are escaped once per revision.

use std::sync::Arc;

use super::json;
use crate::domain::output::{LoopTest, OutputWrite};
use crate::domain::reading::Quality;
use crate::domain::record::{Body, Boot, ClockChange, Coverage, Mode, Samples, SourceGap};
use crate::domain::registry::Registry;
use crate::domain::time::Timestamp;

/// A revision with its names ready to be written.
#[derive(Debug)]
pub(super) struct Revision {
    pub(super) registry: Arc<Registry>,
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

impl Revision {
    /// Returns the revision with its names escaped.
    pub(super) fn new(registry: Arc<Registry>) -> Self {
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
    pub(super) fn body(&self, out: &mut Vec<u8>, body: &Body, t: Timestamp) -> Result<(), &'static str> {
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
pub(super) fn time_of(body: &Body) -> Option<Timestamp> {
    if let Body::Samples(samples) = body { samples.t } else { None }
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
        match reading.value() {
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

pub(super) fn head(out: &mut Vec<u8>, seq: u64, t: Option<Timestamp>) {
    out.extend_from_slice(b"{\"seq\":");
    json::unsigned(out, seq);
    out.extend_from_slice(b",\"t\":");
    json::time_or_null(out, t);
}

pub(super) fn member(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    json::key(out, name);
}

pub(super) fn number(out: &mut Vec<u8>, name: &str, n: u64) {
    member(out, name);
    json::unsigned(out, n);
}

pub(super) fn text(out: &mut Vec<u8>, name: &str, text: &str) {
    member(out, name);
    json::string(out, text);
}

pub(super) fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::string(&mut out, text);
    out
}

fn key_of(tag: &str) -> Box<[u8]> {
    let mut out = quoted(tag);
    out.push(b':');
    out.into_boxed_slice()
}
