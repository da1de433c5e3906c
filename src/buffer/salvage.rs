//! Finding batches in the raw bytes of a sled file, without sled: it stores values as they are, and each of ours proves
//! itself by magic, length and CRC.
//!
//! Used before sled may touch a segment (a file cut short opens "well", empty, and is destroyed by that), and to take out
//! of a damaged one what is whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::batch::{self, Header, MAGIC, MAX_VALUE};
use crate::domain::ranges::RangeSet;
use crate::domain::record::Stream;

/// Bytes read at a time; bounds the memory whatever the file's size.
const WINDOW: usize = 1 << 20;

/// Where a valid value stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) header: Header,
    pub(super) offset: u64,
}

/// All valid values of a file, by first number and part. Copies that sled left behind are the same bytes.
pub(super) type Pieces = BTreeMap<(u64, u16), Piece>;

/// Returns the valid values of `stream` in the sled file `path`; a file that is not there has none.
pub(super) fn scan(path: &Path, stream: Stream) -> io::Result<Pieces> {
    let mut pieces = Pieces::new();
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(pieces),
        other => other?,
    };
    let mut window = vec![0_u8; WINDOW];
    let mut base = 0_u64;
    loop {
        let length = read_window(&file, &mut window, base)?;
        let bytes = window.get(..length).unwrap_or_default();
        let at_end = length < WINDOW;
        let used = scan_window(bytes, base, stream, at_end, &mut pieces);
        if at_end {
            return Ok(pieces);
        }
        base += used as u64;
    }
}

/// Scans `bytes`; returns how far. A value that may reach beyond the window is left to the next one.
fn scan_window(bytes: &[u8], base: u64, stream: Stream, at_end: bool, pieces: &mut Pieces) -> usize {
    let limit = if at_end { bytes.len() } else { bytes.len().saturating_sub(MAX_VALUE) };
    let mut at = 0;
    while let Some(found) = bytes.get(at..limit).and_then(|rest| rest.iter().position(|b| *b == MAGIC[0])) {
        at += found;
        let candidate = bytes.get(at..).unwrap_or_default();
        match candidate.starts_with(&MAGIC).then(|| batch::check(candidate)) {
            Some(Ok(header)) if usize::from(header.stream) == stream.rank() => {
                pieces.insert((header.first, header.part), Piece { header, offset: base + at as u64 });
                at += header.len;
            }
            _ => at += 1,
        }
    }
    at.max(limit)
}

fn read_window(file: &File, window: &mut [u8], base: u64) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = window.get_mut(length..).filter(|r| !r.is_empty()) {
        match file.read_at(rest, base + length as u64) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(length)
}

/// Returns the bytes of `piece`, its CRC checked once more.
pub(super) fn value(file: &File, piece: &Piece) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0_u8; piece.header.len];
    file.read_exact_at(&mut bytes, piece.offset)?;
    match batch::check(&bytes) {
        Ok(header) if header == piece.header => Ok(bytes),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the value changed under the scan")),
    }
}

/// Returns the numbers that `headers` hold in whole batches. `headers` ascend by first number and part.
pub(super) fn covered<'a>(headers: impl Iterator<Item = &'a Header>) -> RangeSet {
    let mut set = RangeSet::new();
    let mut next_part = (0, 0);
    for h in headers {
        let follows = if h.part == 0 { true } else { next_part == (h.first, h.part) };
        next_part = if follows { (h.first, h.part.saturating_add(1)) } else { (0, 0) };
        if follows && h.count > 0 && h.part.saturating_add(1) == h.parts {
            set.insert(h.first..=h.last());
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::{Entry, Stamp};
    use crate::domain::time::{ClockTrust, Mono, Timestamp};

    #[test]
    fn values_are_found_between_rubbish_also_across_windows_and_damaged_ones_are_not() {
        let stamp = Stamp { boot: 1, rev: 1, mono: Mono::from_secs(1), wall: Timestamp(1), trust: ClockTrust::Synced };
        let mut rng = fastrand::Rng::with_seed(3);
        let mut bytes = Vec::new();
        for seq in 1..=400_u64 {
            let body: Vec<u8> = (0..8000).map(|_| rng.u8(..)).collect();
            bytes.extend((0..rng.usize(..300)).map(|_| rng.u8(..)));
            bytes.extend_from_slice(&MAGIC);
            let mut value = batch::encode(Stream::Event, &[Entry { seq, stamp, body: body.into() }]).remove(0).bytes;
            if seq == 77 {
                value[5000] ^= 1;
            }
            bytes.extend(value);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        std::fs::write(&path, &bytes).unwrap();
        let pieces = scan(&path, Stream::Event).unwrap();
        let set = covered(pieces.values().map(|p| &p.header));
        assert_eq!(set.iter().collect::<Vec<_>>(), [1..=76, 78..=400]);
        let file = File::open(&path).unwrap();
        assert!(pieces.values().all(|p| value(&file, p).is_ok()));
        assert!(scan(&path, Stream::Alarm).unwrap().is_empty());
        assert!(scan(&dir.path().join("nothing"), Stream::Alarm).unwrap().is_empty());
    }
}
