//! Which events of which cameras were seen, so that what a camera sends again after a restart is known as a resend.
//!
//! ```text
//! file    camera-events.log    entries one after the other, appended and fsynced; rewritten when most of it is forgotten
//! entry   mark 0xC7 | length of the serial number u8 | serial number | number u64 LE | time i64 LE | CRC32C u32 LE of all before
//! ```
//!
//! The time is the camera's, seconds since 1970; `i64::MIN`: it gave none. Of each camera the last [`KEPT`] are kept. An entry
//! that is damaged is passed over, and those behind it are found again by their mark. Where the disk refuses, everything is
//! written anew at the next try: nothing that was noted in memory is missing from a later file.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::domain::gate::hardware::CameraEvent;
use crate::sys::disk;

/// Events of each camera: its desk remembers as many.
pub const KEPT: usize = 10_000;
const FILE: &str = "camera-events.log";
const MARK: u8 = 0xC7;
/// Entries that are only history before the file is rewritten, beside as many as are kept.
const SLACK: usize = 20_000;

/// An event that was seen, with the camera's time of it in seconds since 1970.
pub type Seen = (CameraEvent, Option<i64>);

/// The events, in memory and in the file.
#[derive(Debug)]
pub struct SeenLog {
    path: PathBuf,
    /// By serial number, the oldest first.
    kept: BTreeMap<String, VecDeque<(u64, Option<i64>)>>,
    written: usize,
    file: Option<File>,
}

impl SeenLog {
    /// Reads the file in `dir`; without one, nothing was seen.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Self::of(path, &bytes))
    }

    /// The events of a file that could not be read: none. It is written anew at the first event.
    pub fn without(dir: &Path) -> Self {
        Self::of(dir.join(FILE), &[])
    }

    fn of(path: PathBuf, bytes: &[u8]) -> Self {
        let mut log = Self { path, kept: BTreeMap::new(), written: 0, file: None };
        let mut rest = bytes;
        while let Some((_, behind)) = rest.split_first() {
            match entry(rest) {
                Some((seen, after)) => {
                    log.note(seen);
                    log.written += 1;
                    rest = after;
                }
                None => rest = behind,
            }
        }
        log
    }

    /// Returns all of them, of each camera the oldest first.
    pub fn all(&self) -> Vec<Seen> {
        let of = |(serial, events): (&String, &VecDeque<(u64, Option<i64>)>)| {
            let serial = serial.clone();
            let events: Vec<_> = events.iter().copied().collect();
            events.into_iter().map(move |(number, sec)| (CameraEvent { serial: serial.clone(), number }, sec))
        };
        self.kept.iter().flat_map(of).collect()
    }

    /// Notes events and makes them durable.
    ///
    /// # Errors
    /// When the disk refuses; the events are noted in memory, and written with the next ones.
    pub fn append(&mut self, seen: &[Seen]) -> io::Result<()> {
        seen.iter().for_each(|one| self.note(one.clone()));
        let kept: usize = self.kept.values().map(VecDeque::len).sum();
        let written = match self.file.take() {
            Some(file) if self.written + seen.len() <= kept + SLACK => self.write_on(file, seen),
            _ => self.write_anew(kept),
        };
        self.file = Some(written?);
        Ok(())
    }

    fn write_on(&mut self, mut file: File, seen: &[Seen]) -> io::Result<File> {
        file.write_all(&bytes_of(seen))?;
        file.sync_data()?;
        self.written += seen.len();
        Ok(file)
    }

    fn write_anew(&mut self, kept: usize) -> io::Result<File> {
        disk::write_atomic(&self.path, &bytes_of(&self.all()))?;
        self.written = kept;
        OpenOptions::new().append(true).open(&self.path)
    }

    fn note(&mut self, (event, sec): Seen) {
        let events = self.kept.entry(event.serial).or_default();
        events.push_back((event.number, sec));
        if events.len() > KEPT {
            events.pop_front();
        }
    }
}

fn bytes_of(seen: &[Seen]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(seen.len() * 48);
    for (event, sec) in seen {
        // A serial number has at most 64 characters; one that is longer cannot be kept, and is none of ours.
        let Ok(length) = u8::try_from(event.serial.len()) else { continue };
        let mut entry = vec![MARK, length];
        entry.extend(event.serial.as_bytes());
        entry.extend(event.number.to_le_bytes());
        entry.extend(sec.unwrap_or(i64::MIN).to_le_bytes());
        let crc = crc32c::crc32c(&entry);
        entry.extend(crc.to_le_bytes());
        bytes.extend(entry);
    }
    bytes
}

/// Reads the entry that `bytes` begin with, and returns what is behind it.
fn entry(bytes: &[u8]) -> Option<(Seen, &[u8])> {
    let &[MARK, length, ref rest @ ..] = bytes else { return None };
    let (serial, rest) = rest.split_at_checked(usize::from(length))?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (sec, rest) = rest.split_first_chunk::<8>()?;
    let (crc, after) = rest.split_first_chunk::<4>()?;
    let whole = bytes.get(..18 + usize::from(length))?;
    if crc32c::crc32c(whole) != u32::from_le_bytes(*crc) {
        return None;
    }
    let serial = std::str::from_utf8(serial).ok()?.to_owned();
    let sec = Some(i64::from_le_bytes(*sec)).filter(|sec| *sec != i64::MIN);
    Some(((CameraEvent { serial, number: u64::from_le_bytes(*number) }, sec), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(serial: &str, number: u64) -> Seen {
        (CameraEvent { serial: serial.to_owned(), number }, (number != 7).then_some(1_772_337_600))
    }

    #[test]
    fn what_was_seen_is_known_after_a_restart_and_a_torn_or_damaged_entry_takes_no_other_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = SeenLog::open(dir.path()).unwrap();
        log.append(&[seen("a", 1), seen("b", 7)]).unwrap();
        log.append(&[seen("a", 2)]).unwrap();
        let all = [seen("a", 1), seen("a", 2), seen("b", 7)];
        assert_eq!(SeenLog::open(dir.path()).unwrap().all(), all);

        let path = dir.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        let (first, length) = (4, bytes.len());
        bytes[first] ^= 1;
        bytes.extend([MARK, 1, b'a', 0]);
        std::fs::write(&path, &bytes).unwrap();
        let mut log = SeenLog::open(dir.path()).unwrap();
        assert_eq!(log.all(), all[1..]);
        log.append(&[seen("a", 3)]).unwrap();
        let again = SeenLog::open(dir.path()).unwrap();
        assert_eq!(again.all(), [seen("a", 2), seen("a", 3), seen("b", 7)]);
        assert_eq!(std::fs::read(&path).unwrap().len(), length, "the first write after a start is a whole one");
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_file_stays_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = SeenLog::open(dir.path()).unwrap();
        for chunk in 0..8_u64 {
            let many: Vec<Seen> = (0..5_000).map(|n| seen("a", chunk * 5_000 + n)).collect();
            log.append(&many).unwrap();
        }
        let all = SeenLog::open(dir.path()).unwrap().all();
        assert_eq!((all.len(), all[0].0.number), (KEPT, 30_000));
        let length = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
        assert!(length <= 23 * u64::try_from(KEPT + SLACK).unwrap(), "{length}");
    }

    #[test]
    fn what_the_disk_refused_is_written_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = SeenLog::open(&dir.path().join("gone")).unwrap();
        log.append(&[seen("a", 1)]).unwrap_err();
        std::fs::create_dir(dir.path().join("gone")).unwrap();
        log.append(&[seen("a", 2)]).unwrap();
        assert_eq!(SeenLog::open(&dir.path().join("gone")).unwrap().all(), [seen("a", 1), seen("a", 2)]);
    }
}
