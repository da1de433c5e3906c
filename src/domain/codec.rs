//! The stored form of a record's body: small, because every byte wears the flash; readable for ever, because it names
//! its own kind and leans only on the registry revision in the record's stamp.
//!
//! # Format, version 1
//!
//! `varint` is LEB128; `zigzag` maps signed to unsigned (0, −1, 1, −2 → 0, 1, 2, 3); `text` is varint length + UTF-8;
//! fixed-width numbers are little-endian.
//!
//! ```text
//! body     := kind:u8 …
//! 1 samples: device:varint flags:u8 (basis | mode << 2 | 16 historical | 32 t given) [t:zigzag(ms)]
//!            n_runs:varint run* cell*
//!     run  := skipped:varint length:varint         ordinals not covered since the last run, then how many are
//!     cell := varint, its low two bits:
//!         00  good number; the rest is zigzag(value × 10^decimals) with the point's `decimals`
//!         01  good value of form (rest): 0 f32, 1 f64, 2 i64 zigzag, 3 u64 varint, 4 false, 5 true
//!         10  quality (rest), then the cell of the value
//!         11  quality (rest), no value
//! 2 coverage: device from:zigzag(ms) due ok bad skipped, all varint
//! 3 boot:     software:text flags:u8 (1 clean, 2 last_seen given, 4 off_ms given) [last_seen:zigzag] [off_ms:varint]
//! 4 clock:    from:u8 to:u8 offset_ms:zigzag
//! 5 registry: json:text
//! 6 link:     device:varint up:u8 reason:text
//! 7 answer:   json:text
//! 8 source gap: device flags:u8 (reason | 128 from given) [from:zigzag(ms)] to:zigzag(ms)
//!            n_runs:varint run*      of the points concerned; none: any
//! 9 output:   what:u8, then
//!     0 write:     output device value issuer key detail, all text; result:u8 mode:u8 flags:u8 (1 raw, 2 seen given)
//!                  [raw:varint] [seen:varint] elapsed_ms:varint
//!     1 loop test: tag device issuer expected read quality detail, all text; passed:u8
//! 10 document: what:u8 mode:u8 json:text
//! ```
//!
//! # Limits
//!
//! At most 65,536 cells; texts at most 16 MiB. Bytes after the body, unknown kinds, forms or qualities, ordinals beyond
//! the device's points: an error, never a panic and never a guess.

use bytes::Bytes;

use super::document::DocumentKind;
use super::output::{LoopTest, OutputWrite, WriteResult};
use super::reading::{Quality, Reading, Readings, Value};
use super::record::{Basis, Body, Boot, ClockChange, Coverage, Mode, Samples, SourceGap, SourceGapReason};
use super::registry::{DeviceSpec, Registry};
use super::time::{ClockTrust, Timestamp};

/// Longest text a body may hold: a registry of 100,000 points.
const MAX_TEXT_BYTES: usize = 16 << 20;
/// Most cells a body may hold: all ordinals of a device.
const MAX_CELLS: u64 = 1 << 16;
/// Mantissas beyond this are stored as floats: they would not survive the way back.
const MAX_MANTISSA: f64 = 1e15;

/// Why a stored body could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// It ended too early.
    #[error("the body ends too early")]
    Short,
    /// It says something this version does not know, or that cannot be.
    #[error("the body holds an invalid {0}")]
    Invalid(&'static str),
    /// It names a device or point that its revision does not have.
    #[error("revision {rev} has no {what} {index}")]
    Unknown {
        /// Revision.
        rev: u32,
        /// `device` or `point`.
        what: &'static str,
        /// Its index.
        index: u64,
    },
}

/// Encodes `body` under `registry`, which must be the revision named in the record's stamp.
pub fn encode(body: &Body, registry: &Registry) -> Bytes {
    let mut out = Writer(Vec::with_capacity(512));
    match body {
        Body::Samples(samples) => out.samples(samples, registry),
        Body::Coverage(coverage) => out.coverage(coverage),
        Body::Boot(boot) => out.boot(boot),
        Body::Clock(change) => out.clock(*change),
        Body::Registry { json } => out.tagged_text(5, json),
        Body::Link { device, up, reason } => {
            out.0.push(6);
            out.varint(u64::from(*device));
            out.0.push(u8::from(*up));
            out.text(reason);
        }
        Body::Answer { json } => out.tagged_text(7, json),
        Body::SourceGap(gap) => out.source_gap(gap),
        Body::Write(write) => out.write(write),
        Body::LoopTest(test) => out.loop_test(test),
        Body::Document { kind, mode, json } => {
            let (kind, mode) = (index_of(&DocumentKind::ALL, kind), index_of(&Mode::ALL, mode));
            out.0.extend_from_slice(&[10, kind, mode]);
            out.text(json);
        }
    }
    Bytes::from(out.0)
}

/// Decodes a body under the revision named in its stamp.
///
/// # Errors
///
/// [`CodecError`] when the bytes are not a body of version 1 or do not fit the revision.
pub fn decode(bytes: &[u8], registry: &Registry) -> Result<Body, CodecError> {
    let mut input = Reader(bytes);
    let body = match input.byte()? {
        1 => Body::Samples(input.samples(registry)?),
        2 => Body::Coverage(input.coverage()?),
        3 => Body::Boot(input.boot()?),
        4 => Body::Clock(input.clock()?),
        5 => Body::Registry { json: input.text()? },
        6 => Body::Link { device: input.device()?, up: input.byte()? != 0, reason: input.text()? },
        7 => Body::Answer { json: input.text()? },
        8 => Body::SourceGap(input.source_gap(registry)?),
        9 => match input.byte()? {
            0 => Body::Write(Box::new(input.write()?)),
            1 => Body::LoopTest(Box::new(input.loop_test()?)),
            _ => return Err(CodecError::Invalid("output record")),
        },
        10 => Body::Document {
            kind: *DocumentKind::ALL.get(usize::from(input.byte()?)).ok_or(CodecError::Invalid("document"))?,
            mode: *Mode::ALL.get(usize::from(input.byte()?)).ok_or(CodecError::Invalid("mode"))?,
            json: input.text()?,
        },
        _ => return Err(CodecError::Invalid("kind")),
    };
    if input.0.is_empty() { Ok(body) } else { Err(CodecError::Invalid("end")) }
}

/// Returns the device of a samples body without reading the rest; `None` for other kinds. For scans such as a trend.
pub fn samples_device(bytes: &[u8]) -> Option<u16> {
    let mut input = Reader(bytes);
    (input.byte().ok()? == 1).then(|| input.device().ok()).flatten()
}

struct Writer(Vec<u8>);

impl Writer {
    fn samples(&mut self, samples: &Samples, registry: &Registry) {
        self.0.push(1);
        self.varint(u64::from(samples.device));
        let basis = index_of(&Basis::ALL, &samples.basis);
        let mode = index_of(&Mode::ALL, &samples.mode);
        let marks = u8::from(samples.historical) << 4 | u8::from(samples.t.is_some()) << 5;
        self.0.push(basis | mode << 2 | marks);
        if let Some(t) = samples.t {
            self.varint(zigzag(t.0));
        }
        self.runs(samples.cells.iter().map(|cell| cell.0).collect());
        let device = registry.devices.get(usize::from(samples.device));
        for (ordinal, reading) in &samples.cells {
            self.cell(reading, decimals_of(device, *ordinal));
        }
    }

    fn runs(&mut self, ordinals: Vec<u16>) {
        let runs = || ordinals.chunk_by(|a, b| u32::from(*a) + 1 == u32::from(*b));
        self.varint(runs().count() as u64);
        let mut next = 0u64;
        for run in runs() {
            let first = run.first().map_or(next, |ordinal| u64::from(*ordinal));
            self.varint(first.saturating_sub(next));
            self.varint(run.len() as u64);
            next = first + run.len() as u64;
        }
    }

    fn cell(&mut self, reading: &Reading, decimals: Option<u8>) {
        let quality = u64::from(reading.quality.code());
        match (reading.value(), reading.quality) {
            (Some(value), Quality::Good) => self.value(value, decimals),
            (Some(value), _) => {
                self.varint(quality << 2 | 2);
                self.value(value, decimals);
            }
            (None, _) => self.varint(quality << 2 | 3),
        }
    }

    fn value(&mut self, value: Value, decimals: Option<u8>) {
        match value {
            Value::Number(v) => match decimals.and_then(|d| mantissa(v, d)) {
                Some(m) => self.varint(zigzag(m) << 2),
                None => {
                    self.varint(1 << 2 | 1);
                    self.0.extend_from_slice(&v.to_le_bytes());
                }
            },
            Value::Single(v) => {
                self.varint(1);
                self.0.extend_from_slice(&v.to_le_bytes());
            }
            Value::Integer(v) => {
                self.varint(2 << 2 | 1);
                self.varint(zigzag(v));
            }
            Value::Counter(v) => {
                self.varint(3 << 2 | 1);
                self.varint(v);
            }
            Value::Bool(v) => self.varint((4 + u64::from(v)) << 2 | 1),
        }
    }

    fn source_gap(&mut self, gap: &SourceGap) {
        self.0.push(8);
        self.varint(u64::from(gap.device));
        self.0.push(index_of(&SourceGapReason::ALL, &gap.reason) | u8::from(gap.from.is_some()) << 7);
        if let Some(from) = gap.from {
            self.varint(zigzag(from.0));
        }
        self.varint(zigzag(gap.to.0));
        self.runs(gap.points.clone());
    }

    fn coverage(&mut self, c: &Coverage) {
        self.0.push(2);
        self.varint(u64::from(c.device));
        self.varint(zigzag(c.from.0));
        for count in [c.due, c.ok, c.bad, c.skipped] {
            self.varint(u64::from(count));
        }
    }

    fn boot(&mut self, boot: &Boot) {
        self.0.push(3);
        self.text(&boot.software);
        let flags =
            u8::from(boot.clean) | u8::from(boot.last_seen.is_some()) << 1 | u8::from(boot.off_ms.is_some()) << 2;
        self.0.push(flags);
        if let Some(at) = boot.last_seen {
            self.varint(zigzag(at.0));
        }
        if let Some(ms) = boot.off_ms {
            self.varint(ms);
        }
    }

    fn clock(&mut self, change: ClockChange) {
        self.0.push(4);
        self.0.push(trust_code(change.from));
        self.0.push(trust_code(change.to));
        self.varint(zigzag(change.offset_ms));
    }

    fn write(&mut self, write: &OutputWrite) {
        self.0.extend_from_slice(&[9, 0]);
        for text in [&write.output, &write.device, &write.value, &write.issuer, &write.key, &write.detail] {
            self.text(text);
        }
        self.0.push(index_of(&WriteResult::ALL, &write.result));
        self.0.push(index_of(&Mode::ALL, &write.mode));
        self.0.push(u8::from(write.raw.is_some()) | u8::from(write.seen.is_some()) << 1);
        for n in [write.raw, write.seen].into_iter().flatten() {
            self.varint(u64::from(n));
        }
        self.varint(u64::from(write.elapsed_ms));
    }

    fn loop_test(&mut self, test: &LoopTest) {
        self.0.extend_from_slice(&[9, 1]);
        let texts = [&test.tag, &test.device, &test.issuer, &test.expected, &test.read, &test.quality, &test.detail];
        for text in texts {
            self.text(text);
        }
        self.0.push(u8::from(test.passed));
    }

    fn tagged_text(&mut self, kind: u8, text: &str) {
        self.0.push(kind);
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are meant")]
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn samples(&mut self, registry: &Registry) -> Result<Samples, CodecError> {
        let device = self.device()?;
        let unknown = |what, index| CodecError::Unknown { rev: registry.rev, what, index };
        let spec = registry.devices.get(usize::from(device)).ok_or_else(|| unknown("device", u64::from(device)))?;
        let flags = self.byte()?;
        let basis = *Basis::ALL.get(usize::from(flags & 3)).ok_or(CodecError::Invalid("basis"))?;
        let mode = *Mode::ALL.get(usize::from(flags >> 2 & 3)).ok_or(CodecError::Invalid("mode"))?;
        if flags > 63 {
            return Err(CodecError::Invalid("flags"));
        }
        let t = if flags & 32 == 0 { None } else { Some(Timestamp(unzigzag(self.varint()?))) };
        let ordinals = self.runs()?;
        let mut cells = Readings::with_capacity(ordinals.len());
        for ordinal in ordinals {
            let point = spec.points.get(usize::from(ordinal)).ok_or_else(|| unknown("point", u64::from(ordinal)))?;
            cells.push((ordinal, self.cell(point.decimals)?));
        }
        Ok(Samples { device, basis, t, historical: flags & 16 != 0, mode, cells })
    }

    fn runs(&mut self) -> Result<Vec<u16>, CodecError> {
        let n_runs = self.varint()?;
        let mut ordinals = Vec::new();
        let mut next = 0u64;
        for _ in 0..n_runs.min(MAX_CELLS + 1) {
            let first = next.saturating_add(self.varint()?);
            let end = first.saturating_add(self.varint()?);
            if end > MAX_CELLS || end == first {
                return Err(CodecError::Invalid("run"));
            }
            ordinals.extend((first..end).filter_map(|o| u16::try_from(o).ok()));
            next = end;
        }
        if n_runs > MAX_CELLS { Err(CodecError::Invalid("run")) } else { Ok(ordinals) }
    }

    fn cell(&mut self, decimals: Option<u8>) -> Result<Reading, CodecError> {
        let head = self.varint()?;
        match head & 3 {
            2 => {
                let quality = quality_of(head >> 2)?;
                let inner = self.varint()?;
                Ok(Reading::new(Some(self.value(inner, decimals)?), quality))
            }
            3 => Ok(Reading::missing(quality_of(head >> 2)?)),
            _ => Ok(Reading::good(self.value(head, decimals)?)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "mantissas are below 1e15")]
    fn value(&mut self, head: u64, decimals: Option<u8>) -> Result<Value, CodecError> {
        let rest = head >> 2;
        match (head & 3, rest) {
            (0, _) => {
                let decimals = decimals.ok_or(CodecError::Invalid("decimal number"))?;
                Ok(Value::Number(unzigzag(rest) as f64 / pow10(decimals)))
            }
            (1, 0) => finite32(f32::from_le_bytes(self.array()?)).map(Value::Single),
            (1, 1) => finite64(f64::from_le_bytes(self.array()?)).map(Value::Number),
            (1, 2) => Ok(Value::Integer(unzigzag(self.varint()?))),
            (1, 3) => Ok(Value::Counter(self.varint()?)),
            (1, 4 | 5) => Ok(Value::Bool(rest == 5)),
            _ => Err(CodecError::Invalid("cell")),
        }
    }

    fn source_gap(&mut self, registry: &Registry) -> Result<SourceGap, CodecError> {
        let device = self.device()?;
        let unknown = |what, index| CodecError::Unknown { rev: registry.rev, what, index };
        let spec = registry.devices.get(usize::from(device)).ok_or_else(|| unknown("device", u64::from(device)))?;
        let flags = self.byte()?;
        let reason =
            *SourceGapReason::ALL.get(usize::from(flags & 127)).ok_or(CodecError::Invalid("reason of a gap"))?;
        let from = if flags & 128 == 0 { None } else { Some(Timestamp(unzigzag(self.varint()?))) };
        let to = Timestamp(unzigzag(self.varint()?));
        let points = self.runs()?;
        match points.last().filter(|last| usize::from(**last) >= spec.points.len()) {
            Some(last) => Err(unknown("point", u64::from(*last))),
            None => Ok(SourceGap { device, points, from, to, reason }),
        }
    }

    fn coverage(&mut self) -> Result<Coverage, CodecError> {
        Ok(Coverage {
            device: self.device()?,
            from: Timestamp(unzigzag(self.varint()?)),
            due: self.count()?,
            ok: self.count()?,
            bad: self.count()?,
            skipped: self.count()?,
        })
    }

    fn boot(&mut self) -> Result<Boot, CodecError> {
        let software = self.text()?;
        let flags = self.byte()?;
        let last_seen = if flags & 2 == 0 { None } else { Some(Timestamp(unzigzag(self.varint()?))) };
        let off_ms = if flags & 4 == 0 { None } else { Some(self.varint()?) };
        Ok(Boot { software, last_seen, off_ms, clean: flags & 1 != 0 })
    }

    fn clock(&mut self) -> Result<ClockChange, CodecError> {
        Ok(ClockChange {
            from: trust_of(self.byte()?)?,
            to: trust_of(self.byte()?)?,
            offset_ms: unzigzag(self.varint()?),
        })
    }

    fn write(&mut self) -> Result<OutputWrite, CodecError> {
        let [output, device, value, issuer, key, detail] = self.texts()?;
        let result = *WriteResult::ALL.get(usize::from(self.byte()?)).ok_or(CodecError::Invalid("result"))?;
        let mode = *Mode::ALL.get(usize::from(self.byte()?)).ok_or(CodecError::Invalid("mode"))?;
        let flags = self.byte()?;
        let raw = if flags & 1 == 0 { None } else { Some(self.register()?) };
        let seen = if flags & 2 == 0 { None } else { Some(self.register()?) };
        let elapsed_ms = self.count()?;
        Ok(OutputWrite { output, device, value, raw, seen, issuer, key, result, detail, elapsed_ms, mode })
    }

    fn loop_test(&mut self) -> Result<LoopTest, CodecError> {
        let [tag, device, issuer, expected, read, quality, detail] = self.texts()?;
        let passed = self.byte()? != 0;
        Ok(LoopTest { tag, device, issuer, expected, read, quality, passed, detail })
    }

    fn texts<const N: usize>(&mut self) -> Result<[String; N], CodecError> {
        let mut texts = std::array::from_fn(|_| String::new());
        for text in &mut texts {
            *text = self.text()?;
        }
        Ok(texts)
    }

    fn register(&mut self) -> Result<u16, CodecError> {
        u16::try_from(self.varint()?).map_err(|_| CodecError::Invalid("register"))
    }

    fn device(&mut self) -> Result<u16, CodecError> {
        u16::try_from(self.varint()?).map_err(|_| CodecError::Invalid("device"))
    }

    fn count(&mut self) -> Result<u32, CodecError> {
        u32::try_from(self.varint()?).map_err(|_| CodecError::Invalid("count"))
    }

    fn text(&mut self) -> Result<String, CodecError> {
        let len = usize::try_from(self.varint()?).map_err(|_| CodecError::Invalid("text length"))?;
        if len > MAX_TEXT_BYTES {
            return Err(CodecError::Invalid("text length"));
        }
        let (text, rest) = self.0.split_at_checked(len).ok_or(CodecError::Short)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(|_| CodecError::Invalid("text"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        let (first, rest) = self.0.split_first().ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Result<u64, CodecError> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(CodecError::Invalid("varint"))
    }
}

fn decimals_of(device: Option<&std::sync::Arc<DeviceSpec>>, ordinal: u16) -> Option<u8> {
    device.and_then(|d| d.points.get(usize::from(ordinal))).and_then(|p| p.decimals)
}

/// Returns `v × 10^decimals` as an integer when the way back gives exactly `v`.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked by the way back")]
fn mantissa(v: f64, decimals: u8) -> Option<i64> {
    let scaled = (v * pow10(decimals)).round();
    if scaled.abs() > MAX_MANTISSA || (v == 0.0 && v.is_sign_negative()) {
        return None;
    }
    let m = scaled as i64;
    (m as f64 / pow10(decimals) == v).then_some(m)
}

fn pow10(decimals: u8) -> f64 {
    const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    POWERS.get(usize::from(decimals)).copied().unwrap_or_else(|| 10f64.powi(i32::from(decimals)))
}

#[expect(clippy::cast_sign_loss, reason = "zigzag maps the sign to the low bit")]
fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

#[expect(clippy::cast_possible_wrap, reason = "the inverse of `zigzag`")]
fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

fn finite32(v: f32) -> Result<f32, CodecError> {
    if v.is_finite() { Ok(v) } else { Err(CodecError::Invalid("float")) }
}

fn finite64(v: f64) -> Result<f64, CodecError> {
    if v.is_finite() { Ok(v) } else { Err(CodecError::Invalid("float")) }
}

fn quality_of(code: u64) -> Result<Quality, CodecError> {
    u8::try_from(code).ok().and_then(Quality::from_code).ok_or(CodecError::Invalid("quality"))
}

fn trust_code(trust: ClockTrust) -> u8 {
    match trust {
        ClockTrust::Synced => 0,
        ClockTrust::Holdover => 1,
        ClockTrust::Unsynced => 2,
    }
}

fn trust_of(code: u8) -> Result<ClockTrust, CodecError> {
    match code {
        0 => Ok(ClockTrust::Synced),
        1 => Ok(ClockTrust::Holdover),
        2 => Ok(ClockTrust::Unsynced),
        _ => Err(CodecError::Invalid("trust")),
    }
}

fn index_of<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|x| x == one).and_then(|i| u8::try_from(i).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::registry::testing::registry_with;

    /// A device of 200 points whose decimals go 0, 1, 2, none, 0, …
    fn registry() -> Registry {
        registry_with(3, 200, |i| if i % 4 == 3 { None } else { u8::try_from(i % 4).ok() })
    }

    fn round_trip(body: &Body) -> Body {
        let registry = registry();
        decode(&encode(body, &registry), &registry).unwrap()
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(Value::Number),
            (-100_000i32..100_000).prop_map(|m| Value::Number(f64::from(m) / 10.0)),
            any::<f32>().prop_filter("finite", |v| v.is_finite()).prop_map(Value::Single),
            any::<i64>().prop_map(Value::Integer),
            any::<u64>().prop_map(Value::Counter),
            any::<bool>().prop_map(Value::Bool),
        ]
    }

    fn reading() -> impl Strategy<Value = Reading> {
        (proptest::option::of(value()), 0u8..11)
            .prop_map(|(value, q)| Reading::new(value, Quality::from_code(q).unwrap()))
            .prop_filter("no value is never good", |r| r.value().is_some() || r.quality != Quality::Good)
    }

    proptest! {
        #[test]
        fn samples_survive_the_way_to_the_store_and_back(
            device in 0u16..3,
            cells in proptest::collection::btree_map(0u16..200, reading(), 0..120),
            t in proptest::option::of(any::<i64>().prop_map(Timestamp)),
            historical: bool,
            (basis, mode) in (0..Basis::ALL.len(), 0..Mode::ALL.len()),
        ) {
            let (basis, mode) = (Basis::ALL[basis], Mode::ALL[mode]);
            let samples = Samples { device, basis, t, historical, mode, cells: cells.into_iter().collect() };
            let body = Body::Samples(samples);
            prop_assert_eq!(round_trip(&body), body);
        }

        #[test]
        fn source_gaps_survive_the_way_to_the_store_and_back(
            points in proptest::collection::btree_set(0u16..200, 0..60),
            from in proptest::option::of(any::<i64>().prop_map(Timestamp)),
            to: i64,
            reason in 0..SourceGapReason::ALL.len(),
        ) {
            let (points, reason) = (points.into_iter().collect(), SourceGapReason::ALL[reason]);
            let body = Body::SourceGap(SourceGap { device: 1, points, from, to: Timestamp(to), reason });
            prop_assert_eq!(round_trip(&body), body);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(decode(&bytes, &registry()));
            samples_device(&bytes);
        }

        #[test]
        fn a_cut_body_is_an_error_not_another_body(cut in 0usize..40) {
            let body = Body::Boot(Boot { software: "0.1.0".into(), last_seen: Some(Timestamp(5)), off_ms: Some(7), clean: true });
            let bytes = encode(&body, &registry());
            prop_assume!(cut < bytes.len());
            prop_assert!(decode(&bytes[..cut], &registry()).is_err());
        }
    }

    #[test]
    fn every_kind_survives() {
        let bodies = [
            Body::Coverage(Coverage { device: 2, from: Timestamp(-3), due: 60, ok: 57, bad: 2, skipped: 1 }),
            Body::Boot(Boot { software: "0.1.0".into(), last_seen: None, off_ms: None, clean: false }),
            Body::Clock(ClockChange { from: ClockTrust::Unsynced, to: ClockTrust::Synced, offset_ms: -86_400_000 }),
            Body::Registry { json: "{\"rev\":1}".into() },
            Body::Link { device: 1, up: false, reason: "无应答".into() },
            Body::Answer { json: "{}".into() },
            Body::Write(Box::new(OutputWrite {
                output: "gate-1-open".into(),
                device: "io-gate-1".into(),
                value: "open".into(),
                raw: Some(u16::MAX),
                seen: Some(0),
                issuer: "门卫".into(),
                key: "k-1".into(),
                result: WriteResult::NotConfirmed,
                detail: "the feedback shows 0".into(),
                elapsed_ms: 1_250,
                mode: Mode::Commissioning,
            })),
            Body::LoopTest(Box::new(LoopTest {
                tag: "TT101".into(),
                device: "plc-1".into(),
                issuer: "张工".into(),
                expected: "50".into(),
                read: "49.9 ℃".into(),
                quality: "good".into(),
                passed: true,
                detail: "± 0.5".into(),
            })),
        ];
        for body in bodies {
            assert_eq!(round_trip(&body), body);
        }
    }

    #[test]
    fn documents_survive_in_every_kind_and_mode_and_an_unknown_kind_is_an_error() {
        for (kind, mode) in DocumentKind::ALL.into_iter().flat_map(|kind| Mode::ALL.map(|mode| (kind, mode))) {
            let body = Body::Document { kind, mode, json: "{\"alarm\":\"罐区.high\"}".into() };
            assert_eq!(round_trip(&body), body);
        }
        let unknown = [10, u8::try_from(DocumentKind::ALL.len()).unwrap(), 0, 2, b'{', b'}'];
        assert_eq!(decode(&unknown, &registry()), Err(CodecError::Invalid("document")));
        assert_eq!(decode(&[10, 0, 4, 2, b'{', b'}'], &registry()), Err(CodecError::Invalid("mode")));
        assert_eq!(decode(&[10, 0, 0, 3, b'{', b'}'], &registry()), Err(CodecError::Short));
    }

    #[test]
    fn a_scaled_register_costs_three_bytes_at_most_and_a_full_block_little_more() {
        let registry = registry_with(1, 125, |_| Some(1));
        let cells =
            (0..125u16).map(|o| (o, Reading::good(Value::Number(f64::from(o) * 10.1 + 600.0)))).collect::<Vec<_>>();
        let rounded = cells
            .into_iter()
            .map(|(o, r)| (o, Reading::good(Value::Number((r.value().unwrap().as_f64() * 10.0).round() / 10.0))));
        let samples = Samples {
            device: 0,
            basis: Basis::Poll,
            t: None,
            historical: false,
            mode: Mode::Real,
            cells: rounded.collect(),
        };
        assert!(encode(&Body::Samples(samples), &registry).len() <= 125 * 3 + 8);
    }

    #[test]
    fn samples_name_a_device_and_point_of_their_revision_or_fail() {
        let wide = registry();
        let narrow = registry_with(1, 2, |_| Some(0));
        let cells = vec![(199, Reading::missing(Quality::Comm))];
        let bytes = encode(
            &Body::Samples(Samples {
                device: 0,
                basis: Basis::Poll,
                t: None,
                historical: false,
                mode: Mode::Real,
                cells: cells.into(),
            }),
            &wide,
        );
        assert_eq!(decode(&bytes, &narrow), Err(CodecError::Unknown { rev: 1, what: "point", index: 199 }));
    }
}
