//! The value of one sled key: a compressed batch of consecutive records of one stream. Pure.
//!
//! All integers little-endian; `varint` is LEB128, `zigzag` maps signed to unsigned before it.
//!
//! ```text
//! offset size  header
//!      0    4  magic B7 'p' 'g' 01
//!      4    4  CRC32C of everything from offset 8 to the end of the value
//!      8    4  length of the whole value, header included
//!     12    1  version, 1; bit 7 set: no record of the batch has an unsynced clock
//!     13    1  stream, its rank
//!     14    2  part: index of this value among those of its batch
//!     16    2  parts: values of this batch; 1 unless a single record is larger than a value may be
//!     18    2  count of records, 1..=4096
//!     20    8  first seq; the records are `first..first+count`, without a hole
//!     28    8  smallest wall time of the records, ms
//!     36    8  largest wall time
//!     44    4  length of the uncompressed payload of the whole batch
//!     48    …  payload (of all parts put together): an LZ4 block, or the plain bytes when that is not shorter
//!
//! payload, once per record
//!      1  flags: bit 0 = boot, rev and trust are those of the record before
//!         boot varint, rev varint, trust u8 (0 synced, 1 holdover, 2 unsynced)   unless bit 0
//!         zigzag varint: monotonic time, ns, minus that of the record before (first: minus 0)
//!         zigzag varint: wall time, ms, minus that of the record before (first: minus smallest wall time)
//!         varint body length, body
//! ```
//!
//! The CRC and the length stand in the value itself, so a batch found anywhere in a damaged file proves itself.

use bytes::Bytes;

use crate::domain::record::{Entry, Stamp, Stream};
use crate::domain::time::{ClockTrust, Mono, Timestamp};

/// First bytes of each value.
pub(super) const MAGIC: [u8; 4] = [0xB7, b'p', b'g', 0x01];
/// Bytes before the payload.
pub(super) const HEADER: usize = 48;
/// A batch is closed when its uncompressed payload reaches this: large enough that header, CRC and sled's own words are
/// under 1 %, small enough that four fit into one sled tree (see `segment.rs`).
pub(super) const TARGET: usize = 15 * 1024;
/// Largest payload of one value; a single record beyond it is cut into parts. Far below an eighth of a mebibyte, where
/// sled would move it to a file of its own that our fsync does not reach.
pub(super) const PART: usize = 15 * 1024;
/// Largest value.
pub(super) const MAX_VALUE: usize = HEADER + PART;
/// Most records of a batch.
const MAX_COUNT: usize = 4096;
/// Largest body of a record, 16 MiB: a registry revision of a large park is some megabytes.
pub const MAX_BODY: usize = 16 << 20;
/// Largest uncompressed payload that is believed when read: one record of the largest body and its stamp.
const MAX_RAW: usize = MAX_BODY + 64 + TARGET;
const VERSION: u8 = 1;
const TRUSTED: u8 = 0x80;
const SAME: u8 = 1;

/// Why bytes are not a batch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum BatchError {
    /// Shorter than it says, wrong magic, version or CRC.
    #[error("not a valid value")]
    Invalid,
    /// Valid on the outside, senseless inside.
    #[error("payload does not decode")]
    Payload,
}

/// What stands in the head of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) stream: u8,
    /// Whether all its records have a clock that was synced, or in holdover.
    pub(super) trusted: bool,
    pub(super) part: u16,
    pub(super) parts: u16,
    pub(super) count: u16,
    pub(super) first: u64,
    pub(super) wall: (Timestamp, Timestamp),
    pub(super) raw_len: u32,
    pub(super) len: usize,
}

impl Header {
    /// Returns the last number of the batch.
    pub(super) fn last(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count).saturating_sub(1))
    }
}

/// One value ready to be stored.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
}

/// Returns the values that hold `entries`, in order. Batches are cut where numbers are not consecutive, at
/// [`TARGET`] bytes and at 4096 records.
pub(super) fn encode(stream: Stream, entries: &[Entry]) -> Vec<Value> {
    let mut values = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let (batch, tail) = rest.split_at(batch_len(rest));
        encode_batch(stream, batch, &mut values);
        rest = tail;
    }
    values
}

fn batch_len(entries: &[Entry]) -> usize {
    let mut bytes = 0_usize;
    let mut expected = entries.first().map_or(0, |e| e.seq);
    for (n, entry) in entries.iter().enumerate() {
        let size = entry.body.len() + 24;
        if n > 0 && (entry.seq != expected || bytes + size > TARGET || n >= MAX_COUNT) {
            return n;
        }
        bytes += size;
        expected = entry.seq.saturating_add(1);
    }
    entries.len()
}

fn encode_batch(stream: Stream, batch: &[Entry], values: &mut Vec<Value>) {
    let Some(first) = batch.first() else { return };
    let min = batch.iter().map(|e| e.stamp.wall).min().unwrap_or_default();
    let max = batch.iter().map(|e| e.stamp.wall).max().unwrap_or_default();
    let raw = payload(batch, min);
    let packed = lz4_flex::block::compress(&raw);
    let body: &[u8] = if packed.len() < raw.len() { &packed } else { &raw };
    let parts = body.len().div_ceil(PART).max(1);
    for (n, chunk) in body.chunks(PART).enumerate() {
        let header = Header {
            stream: u8::try_from(stream.rank()).unwrap_or(u8::MAX),
            trusted: batch.iter().all(|e| e.stamp.trust != ClockTrust::Unsynced),
            part: u16::try_from(n).unwrap_or(u16::MAX),
            parts: u16::try_from(parts).unwrap_or(u16::MAX),
            count: u16::try_from(batch.len()).unwrap_or(u16::MAX),
            first: first.seq,
            wall: (min, max),
            raw_len: u32::try_from(raw.len()).unwrap_or(u32::MAX),
            len: HEADER + chunk.len(),
        };
        values.push(Value { header, bytes: value_bytes(&header, chunk) });
    }
}

fn value_bytes(h: &Header, chunk: &[u8]) -> Vec<u8> {
    let mut tail = Vec::with_capacity(h.len);
    tail.extend_from_slice(&u32::try_from(h.len).unwrap_or(u32::MAX).to_le_bytes());
    tail.extend_from_slice(&[VERSION | if h.trusted { TRUSTED } else { 0 }, h.stream]);
    tail.extend_from_slice(&h.part.to_le_bytes());
    tail.extend_from_slice(&h.parts.to_le_bytes());
    tail.extend_from_slice(&h.count.to_le_bytes());
    tail.extend_from_slice(&h.first.to_le_bytes());
    tail.extend_from_slice(&h.wall.0.0.to_le_bytes());
    tail.extend_from_slice(&h.wall.1.0.to_le_bytes());
    tail.extend_from_slice(&h.raw_len.to_le_bytes());
    tail.extend_from_slice(chunk);
    let crc = crc32c::crc32c(&tail);
    let mut bytes = Vec::with_capacity(h.len);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.append(&mut tail);
    bytes
}

fn payload(batch: &[Entry], wall_base: Timestamp) -> Vec<u8> {
    let mut raw = Vec::with_capacity(batch.iter().map(|e| e.body.len() + 24).sum());
    let mut before: Option<Stamp> = None;
    for entry in batch {
        let stamp = entry.stamp;
        let same = before.is_some_and(|b| (b.boot, b.rev, b.trust) == (stamp.boot, stamp.rev, stamp.trust));
        raw.push(if same { SAME } else { 0 });
        if !same {
            put_varint(&mut raw, u64::from(stamp.boot));
            put_varint(&mut raw, u64::from(stamp.rev));
            raw.push(trust_code(stamp.trust));
        }
        let (mono, wall) = before.map_or((0, wall_base.0), |b| (nanos(b.mono), b.wall.0));
        put_varint(&mut raw, zigzag(nanos(stamp.mono).wrapping_sub(mono)));
        put_varint(&mut raw, zigzag(stamp.wall.0.wrapping_sub(wall)));
        put_varint(&mut raw, entry.body.len() as u64);
        raw.extend_from_slice(&entry.body);
        before = Some(stamp);
    }
    raw
}

/// Returns the header of the valid value at the start of `bytes`, its CRC checked.
pub(super) fn check(bytes: &[u8]) -> Result<Header, BatchError> {
    let len = usize::try_from(u32_at(bytes, 8)?).map_err(|_| BatchError::Invalid)?;
    if !bytes.starts_with(&MAGIC) || !(HEADER..=MAX_VALUE).contains(&len) {
        return Err(BatchError::Invalid);
    }
    let checked = bytes.get(8..len).ok_or(BatchError::Invalid)?;
    let version = *bytes.get(12).ok_or(BatchError::Invalid)?;
    if version & !TRUSTED != VERSION || crc32c::crc32c(checked) != u32_at(bytes, 4)? {
        return Err(BatchError::Invalid);
    }
    Ok(Header {
        trusted: version & TRUSTED != 0,
        stream: *bytes.get(13).ok_or(BatchError::Invalid)?,
        part: u16_at(bytes, 14)?,
        parts: u16_at(bytes, 16)?,
        count: u16_at(bytes, 18)?,
        first: u64_at(bytes, 20)?,
        wall: (time_at(bytes, 28)?, time_at(bytes, 36)?),
        raw_len: u32_at(bytes, 44)?,
        len,
    })
}

/// Returns the records of a batch from the payloads of all its parts put together.
pub(super) fn decode(header: &Header, body: Vec<u8>) -> Result<Vec<Entry>, BatchError> {
    let raw_len = usize::try_from(header.raw_len).map_err(|_| BatchError::Payload)?;
    if raw_len > MAX_RAW {
        return Err(BatchError::Payload);
    }
    let raw = if body.len() == raw_len {
        body
    } else {
        lz4_flex::block::decompress(&body, raw_len).map_err(|_| BatchError::Payload)?
    };
    decode_payload(header, &Bytes::from(raw))
}

fn decode_payload(header: &Header, raw: &Bytes) -> Result<Vec<Entry>, BatchError> {
    let mut at = Cursor { bytes: raw, at: 0 };
    let mut entries: Vec<Entry> = Vec::with_capacity(usize::from(header.count));
    for n in 0..u64::from(header.count) {
        let before = entries.last().map(|e| e.stamp);
        let (boot, rev, trust) = match (at.byte()? & SAME, before) {
            (SAME, Some(b)) => (b.boot, b.rev, b.trust),
            (SAME, None) => return Err(BatchError::Payload),
            _ => (at.varint_u32()?, at.varint_u32()?, trust_of(at.byte()?)?),
        };
        let (mono, wall) = before.map_or((0, header.wall.0.0), |b| (nanos(b.mono), b.wall.0));
        let mono = mono.wrapping_add(unzigzag(at.varint()?));
        let wall = wall.wrapping_add(unzigzag(at.varint()?));
        let length = usize::try_from(at.varint()?).map_err(|_| BatchError::Payload)?;
        let body = at.slice(length)?;
        let mono = Mono::from_nanos(u64::try_from(mono).map_err(|_| BatchError::Payload)?);
        let stamp = Stamp { boot, rev, mono, wall: Timestamp(wall), trust };
        entries.push(Entry { seq: header.first.saturating_add(n), stamp, body });
    }
    Ok(entries)
}

struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Result<u8, BatchError> {
        let byte = *self.bytes.get(self.at).ok_or(BatchError::Payload)?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, BatchError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BatchError::Payload)
    }

    fn varint_u32(&mut self) -> Result<u32, BatchError> {
        u32::try_from(self.varint()?).map_err(|_| BatchError::Payload)
    }

    fn slice(&mut self, length: usize) -> Result<Bytes, BatchError> {
        let end = self.at.checked_add(length).filter(|e| *e <= self.bytes.len()).ok_or(BatchError::Payload)?;
        let slice = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(slice)
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Nanoseconds since the machine's start: 292 years of them fit.
fn nanos(mono: Mono) -> i64 {
    i64::try_from(mono.nanos()).unwrap_or(i64::MAX)
}

fn trust_code(trust: ClockTrust) -> u8 {
    match trust {
        ClockTrust::Synced => 0,
        ClockTrust::Holdover => 1,
        ClockTrust::Unsynced => 2,
    }
}

fn trust_of(code: u8) -> Result<ClockTrust, BatchError> {
    match code {
        0 => Ok(ClockTrust::Synced),
        1 => Ok(ClockTrust::Holdover),
        2 => Ok(ClockTrust::Unsynced),
        _ => Err(BatchError::Payload),
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], BatchError> {
    bytes.get(at..at + N).and_then(|b| b.try_into().ok()).ok_or(BatchError::Invalid)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, BatchError> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, BatchError> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, BatchError> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

fn time_at(bytes: &[u8], at: usize) -> Result<Timestamp, BatchError> {
    array_at(bytes, at).map(|b| Timestamp(i64::from_le_bytes(b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(values: &[Value]) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut body = Vec::new();
        for value in values {
            let header = check(&value.bytes).unwrap();
            assert_eq!(header, value.header);
            body.extend_from_slice(&value.bytes[HEADER..]);
            if header.part + 1 == header.parts {
                entries.extend(decode(&header, std::mem::take(&mut body)).unwrap());
            }
        }
        entries
    }

    prop_compose! {
        fn entry()(gap in 0_u64..3, boot in 0_u32..3, rev in 0_u32..3, mono in 0_u64..1 << 60, wall in any::<i64>(),
            trust in 0_u8..3, body in proptest::collection::vec(any::<u8>(), 0..900)) -> (u64, Stamp, Vec<u8>) {
            let stamp = Stamp { boot, rev, mono: Mono::from_nanos(mono), wall: Timestamp(wall),
                trust: trust_of(trust).unwrap() };
            (gap / 2, stamp, body)
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(records in proptest::collection::vec(entry(), 1..80)) {
            let mut seq = 1;
            let entries: Vec<Entry> = records.into_iter().map(|(gap, stamp, body)| {
                seq += 1 + gap;
                Entry { seq, stamp, body: body.into() }
            }).collect();
            prop_assert_eq!(decoded(&encode(Stream::Event, &entries)), entries);
        }

        #[test]
        fn no_flipped_bit_passes(at in 0_usize..400, bit in 0_u8..8) {
            let stamp = Stamp { boot: 1, rev: 1, mono: Mono::from_secs(5), wall: Timestamp(7), trust: ClockTrust::Synced };
            let entries = [Entry { seq: 9, stamp, body: vec![3; 300].into() }];
            let mut bytes = encode(Stream::Alarm, &entries).remove(0).bytes;
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(check(&bytes).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600), count in 0_u16..50) {
            let header = Header { stream: 0, trusted: true, part: 0, parts: 1, count, first: 1, wall: (Timestamp(0), Timestamp(0)),
                raw_len: u32::try_from(bytes.len()).unwrap(), len: HEADER };
            prop_assert!(check(&bytes).is_err());
            let _ignored = decode(&header, bytes).is_ok();
        }
    }

    #[test]
    fn a_record_larger_than_a_value_is_cut_into_parts() {
        let mut rng = fastrand::Rng::with_seed(7);
        let body: Vec<u8> = (0..100_000).map(|_| rng.u8(..)).collect();
        let stamp = Stamp { boot: 1, rev: 1, mono: Mono::from_secs(5), wall: Timestamp(7), trust: ClockTrust::Synced };
        let entries = [Entry { seq: 9, stamp, body: body.into() }];
        let values = encode(Stream::Registry, &entries);
        assert_eq!(values.len(), 7);
        assert!(values.iter().all(|v| v.bytes.len() <= MAX_VALUE));
        assert_eq!(decoded(&values), entries);
    }
}
