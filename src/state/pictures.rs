//! The pictures of passages: files in a folder of their own, beside the store and below a quota of their own.
//!
//! ```text
//! <dir>/20261126/<passage>.0.jpg    the whole        <dir>/20261126/<passage>.1.jpg    the plate
//!       └ day (UTC) on which it came, so that a day is forgotten as a folder
//! ```
//!
//! - **Oldest go first** where the quota is full. A picture that would leave less than [`RESERVE`] free on the disk is refused:
//!   pictures never take the room that records need.
//! - **Nothing is fsynced**: it would stand in line with the entries that a barrier waits for. A power cut may take the last
//!   pictures; their records keep the hash, and [`read`] gives no half of one.
//! - Folder 0700, files 0600: pictures are personal data. Whole days are forgotten by schedule, and not by a clock that cannot
//!   be trusted.
//! - A passage whose id is no plain file name goes by the digest of it.
//!
//! All of it blocks.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, digest};

use super::settings::Pictures as Settings;
use crate::domain::gate::picture::PictureKind;
use crate::domain::gate::word::PassageId;
use crate::domain::time::{ClockTrust, Now, Timestamp, civil};
use crate::sys::disk::{free_bytes, is_full, remove_file_if_there};

/// Room on the disk that pictures leave to records, state and log: the store's ballast, four times over.
pub const RESERVE: u64 = 256 << 20;
/// A file takes whole blocks of the disk.
const BLOCK: u64 = 4096;
/// Part of the quota that is freed at a time, so that not each picture lists a day's folder.
const FREED_AT_A_TIME: u64 = 64;
/// Longest name that a passage has as a file.
const MAX_NAME: usize = 120;
/// A file that is written, until it is whole.
const INCOMING: &str = "incoming";
const DAY_MS: i64 = 86_400_000;

/// Why a picture was not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The passage has one of its kind.
    #[error("the passage has a picture of this kind")]
    There,
    /// The disk has no room for pictures.
    #[error("the disk has no room for pictures")]
    Full,
    /// The disk refused it.
    #[error("the disk refused it")]
    Failed(#[source] io::Error),
}

/// The pictures that are kept.
#[derive(Debug)]
pub struct Album {
    settings: Settings,
    reserve: u64,
    /// Bytes by day.
    days: BTreeMap<String, u64>,
}

impl Album {
    /// Opens the folder, making it where it is missing, and counts what is in it.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn open(settings: Settings) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&settings.dir)?;
        remove_file_if_there(&settings.dir.join(INCOMING))?;
        let mut days = BTreeMap::new();
        for day in days_of(&settings.dir)? {
            let bytes = fs::read_dir(settings.dir.join(&day))?.flatten();
            let bytes = bytes.filter_map(|file| file.metadata().ok()).map(|meta| on_disk(meta.len())).sum();
            days.insert(day, bytes);
        }
        Ok(Self { settings, reserve: RESERVE, days })
    }

    /// Returns what it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the bytes that are kept.
    pub fn bytes(&self) -> u64 {
        self.days.values().sum()
    }

    /// Takes other limits; the folder stays.
    pub fn limit(&mut self, quota_bytes: u64, keep: Duration) {
        (self.settings.quota_bytes, self.settings.keep) = (quota_bytes, keep);
    }

    /// Keeps a picture that came at `at`. Returns how many older ones went for it.
    ///
    /// # Errors
    /// [`NotKept`]; then nothing of it is left.
    pub fn keep(&mut self, passage: &PassageId, kind: PictureKind, jpeg: &[u8], at: Timestamp) -> Result<u64, NotKept> {
        let (day, name) = (day_of(at), name_of(passage.as_str(), kind));
        let folder = self.settings.dir.join(&day);
        let path = folder.join(name);
        if path.exists() {
            return Err(NotKept::There);
        }
        let needed = on_disk(u64::try_from(jpeg.len()).unwrap_or(u64::MAX));
        let gone = self.make_room(needed)?;
        if free_bytes(&self.settings.dir).is_some_and(|free| free < needed.saturating_add(self.reserve)) {
            return Err(NotKept::Full);
        }
        let refused = |error: io::Error| if is_full(&error) { NotKept::Full } else { NotKept::Failed(error) };
        let incoming = self.settings.dir.join(INCOMING);
        let written = write(&incoming, jpeg)
            .and_then(|()| DirBuilder::new().recursive(true).mode(0o700).create(&folder))
            .and_then(|()| fs::rename(&incoming, &path));
        if let Err(error) = written {
            // What is half written would only take room; the cause is told.
            drop(remove_file_if_there(&incoming));
            return Err(refused(error));
        }
        *self.days.entry(day).or_default() += needed;
        Ok(gone)
    }

    /// Makes room below the quota: the oldest go.
    fn make_room(&mut self, needed: u64) -> Result<u64, NotKept> {
        let quota = self.settings.quota_bytes;
        if needed > quota {
            return Err(NotKept::Full);
        }
        if self.bytes().saturating_add(needed) <= quota {
            return Ok(0);
        }
        let (aim, mut gone) = (quota.saturating_sub(needed.max(quota / FREED_AT_A_TIME)), 0);
        while self.bytes() > aim {
            let Some(day) = self.days.keys().next().cloned() else { break };
            let folder = self.settings.dir.join(&day);
            for (_, path, bytes) in by_age(&folder).map_err(NotKept::Failed)? {
                if self.bytes() <= aim {
                    return Ok(gone);
                }
                remove_file_if_there(&path).map_err(NotKept::Failed)?;
                gone += 1;
                if let Some(held) = self.days.get_mut(&day) {
                    *held = held.saturating_sub(bytes);
                }
            }
            // A folder in which somebody has put something else stays, and counts nothing.
            drop(fs::remove_dir(&folder));
            self.days.remove(&day);
        }
        Ok(gone)
    }

    /// Forgets the days whose time is over. Returns how many pictures went.
    ///
    /// # Errors
    /// The disk refused it; the next look goes on.
    pub fn forget(&mut self, now: Now) -> io::Result<u64> {
        if now.trust == ClockTrust::Unsynced {
            return Ok(0);
        }
        let keep_ms = i64::try_from(self.settings.keep.as_millis()).unwrap_or(i64::MAX);
        let first = day_of(Timestamp(now.wall.0.saturating_sub(keep_ms)));
        let due: Vec<String> = self.days.keys().take_while(|day| **day < first).cloned().collect();
        let mut gone = 0;
        for day in due {
            let folder = self.settings.dir.join(&day);
            gone += by_age(&folder).map_or(0, |files| u64::try_from(files.len()).unwrap_or(0));
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.days.remove(&day),
            };
        }
        Ok(gone)
    }
}

/// Reads a passage's picture, 0 the whole, 1 the plate; `None` where there is none, or none any more.
pub fn read(dir: &Path, passage: &str, number: u8) -> Option<Vec<u8>> {
    let name = name_of(passage, PictureKind::of_number(number)?);
    let days = days_of(dir).ok()?;
    let jpeg = days.iter().rev().find_map(|day| fs::read(dir.join(day).join(&name)).ok())?;
    // A power cut may have left a file without its end.
    jpeg.starts_with(&[0xFF, 0xD8, 0xFF]).then_some(jpeg)
}

/// The days that have a folder, the oldest first. What else lies there is none of ours.
fn days_of(dir: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut days: Vec<String> =
        names.filter(|name| name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_digit())).collect();
    days.sort();
    Ok(days)
}

/// The files of a folder with their bytes on the disk, the oldest first.
fn by_age(folder: &Path) -> io::Result<Vec<(SystemTime, PathBuf, u64)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?.flatten(),
    };
    let files = entries.filter_map(|entry| {
        let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path(), on_disk(meta.len())))
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    Ok(files)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

fn on_disk(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK).saturating_mul(BLOCK)
}

fn day_of(at: Timestamp) -> String {
    let (year, month, day) = civil(at.0.div_euclid(DAY_MS));
    format!("{:04}{month:02}{day:02}", year.clamp(0, 9999))
}

fn name_of(passage: &str, kind: PictureKind) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let number = kind.number();
    if passage.len() <= MAX_NAME && !passage.starts_with('.') && passage.bytes().all(plain) {
        return format!("{passage}.{number}.jpg");
    }
    let digest = digest(&SHA256, passage.as_bytes());
    let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits}.{number}.jpg")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::domain::time::Mono;

    const DAY: i64 = 20_000 * DAY_MS;

    fn jpeg(bytes: usize) -> Vec<u8> {
        [&[0xFF, 0xD8, 0xFF][..], &vec![0; bytes.saturating_sub(5)], &[0xFF, 0xD9]].concat()
    }

    fn album(dir: &Path, quota_bytes: u64) -> Album {
        let settings = Settings { dir: dir.join("pictures"), quota_bytes, keep: Duration::from_secs(90 * 86_400) };
        Album { reserve: 0, ..Album::open(settings).unwrap() }
    }

    fn keep(album: &mut Album, passage: &str, at: i64) -> Result<u64, NotKept> {
        album.keep(&PassageId::new(passage), PictureKind::Whole, &jpeg(10_000), Timestamp(at))
    }

    #[test]
    fn a_picture_is_found_by_its_passage_also_after_a_restart_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = self::album(dir.path(), 1 << 20);
        assert_eq!(keep(&mut album, "gw-1-p1", DAY).unwrap(), 0);
        assert!(matches!(keep(&mut album, "gw-1-p1", DAY), Err(NotKept::There)));
        let strange = "east.late.44:19/../../etc";
        album.keep(&PassageId::new(strange), PictureKind::Plate, &jpeg(9), Timestamp(DAY)).unwrap();
        let before = album.bytes();
        drop(album);
        let album = self::album(dir.path(), 1 << 20);
        assert_eq!((album.bytes(), before), (12_288 + 4096, 12_288 + 4096));
        let root = dir.path().join("pictures");
        assert_eq!(read(&root, "gw-1-p1", 0).map(|jpeg| jpeg.len()), Some(10_000));
        assert_eq!(read(&root, strange, 1).map(|jpeg| jpeg.len()), Some(9));
        assert_eq!(
            (read(&root, "gw-1-p1", 1), read(&root, "gw-1-p2", 0), read(&root, "gw-1-p1", 7)),
            (None, None, None)
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let day = root.join("20241004");
        assert_eq!((mode(&root), mode(&day), mode(&day.join("gw-1-p1.0.jpg"))), (0o700, 0o700, 0o600));
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "what is strange stays inside");
    }

    #[test]
    fn where_the_quota_is_full_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = album(dir.path(), 12_288 * 4);
        for n in 0..4 {
            assert_eq!(keep(&mut album, &format!("p{n}"), DAY + i64::from(n / 2) * DAY_MS).unwrap(), 0);
        }
        assert_eq!(keep(&mut album, "p4", DAY + DAY_MS).unwrap(), 1);
        assert_eq!(keep(&mut album, "p5", DAY + DAY_MS).unwrap(), 1);
        let root = dir.path().join("pictures");
        let here = |n: u32| read(&root, &format!("p{n}"), 0).is_some();
        assert_eq!([0, 1, 2, 3, 4, 5].map(here), [false, false, true, true, true, true]);
        assert!(album.bytes() <= 12_288 * 4);
        album.limit(10_000, Duration::from_secs(86_400));
        assert!(matches!(keep(&mut album, "p6", DAY), Err(NotKept::Full)), "larger than all the room there is");
    }

    #[test]
    fn pictures_leave_room_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = Album { reserve: u64::MAX / 2, ..album(dir.path(), 1 << 30) };
        assert!(matches!(keep(&mut album, "p1", DAY), Err(NotKept::Full)));
        assert_eq!((album.bytes(), read(&dir.path().join("pictures"), "p1", 0)), (0, None));
    }

    #[test]
    fn a_folder_that_is_gone_is_told_and_nothing_half_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = album(dir.path(), 1 << 20);
        let root = dir.path().join("pictures");
        fs::remove_dir(&root).unwrap();
        fs::write(&root, "a file").unwrap();
        assert!(matches!(keep(&mut album, "p1", DAY), Err(NotKept::Failed(_))));
    }

    #[test]
    fn what_is_over_is_forgotten_by_whole_days_and_by_no_clock_that_cannot_be_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = album(dir.path(), 1 << 20);
        for n in 0..3 {
            keep(&mut album, &format!("p{n}"), DAY + i64::from(n) * DAY_MS).unwrap();
        }
        let after = |days: i64, trust| Now { mono: Mono::default(), wall: Timestamp(DAY + days * DAY_MS), trust };
        assert_eq!(album.forget(after(90, ClockTrust::Synced)).unwrap(), 0, "the ninetieth day is kept to its end");
        assert_eq!(album.forget(after(92, ClockTrust::Unsynced)).unwrap(), 0);
        assert_eq!(album.forget(after(92, ClockTrust::Synced)).unwrap(), 2);
        let root = dir.path().join("pictures");
        assert_eq!([0, 1, 2].map(|n| read(&root, &format!("p{n}"), 0).is_some()), [false, false, true]);
        assert_eq!(album.bytes(), 12_288);
    }
}
