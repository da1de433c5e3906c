//! The pictures of passages: files in a folder of their own, beside the store and below a quota of their own.
//!
//! ```text
//! <dir>/20261126/<passage>.0.sealed    the whole      <dir>/20261126/<passage>.1.sealed    the plate
//!       └ day (UTC) on which it came, so that a day is forgotten as a folder
//! <dir>/unsent/<ms since 1970>.<sha256>.<file>    an empty file for each that the platform is to have and does not have yet
//! ```
//!
//! - **Oldest go first** where the quota is full. A picture that would leave less than [`RESERVE`] free on the disk is refused:
//!   pictures never take the room that records need.
//! - **Nothing is fsynced**: it would stand in line with the entries that a barrier waits for. A power cut may take the pictures of
//!   the last half minute; their records keep the hash, and [`read`] gives no half of one.
//! - **What is to be sent survives a restart** by its marker, which is there before its picture is; the oldest is next. One that
//!   goes unsent, for the quota, by its time, or because its file is not what its hash says, is named to who asked: a gap is told.
//! - Folder 0700, files 0600, and sealed: pictures are personal data. A file is `PGPS`, nonce (12), and the JPEG under
//!   ChaCha20-Poly1305, bound to its name, by the key in the state folder: who takes the disk of the pictures alone has none of
//!   them. Without that key they are as good as gone; a new one is made then, since no gate waits for pictures. Whole days are
//!   forgotten by schedule, and not by a clock that cannot be trusted.
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

use super::persons::keys::{self, KeyFile};
use super::settings::Pictures as Settings;
use crate::domain::gate::picture::PictureKind;
use crate::domain::gate::word::PassageId;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp, civil, days_from_civil};
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
/// Beginning of a file.
const MAGIC: &[u8; 4] = b"PGPS";
/// Bytes of a nonce.
const NONCE: usize = 12;
/// Folder of the markers.
const UNSENT: &str = "unsent";
/// A picture is sent when it has lain so long: its record goes before it.
pub const SETTLED: Duration = Duration::from_secs(5);
/// So long one is set aside that the platform cannot take now, while it takes others.
pub const ASIDE: Duration = Duration::from_secs(600);
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

/// What went for something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// How many.
    pub pictures: u64,
    /// Hashes of those among them that the platform was to have.
    pub unsent: Vec<String>,
}

/// What is to be sent next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This one.
    Picture {
        /// SHA-256, hexadecimal digits.
        sha256: String,
        /// The file.
        jpeg: Vec<u8>,
    },
    /// Its file is gone, cannot be read, or is not what its hash says; it is not given again.
    Damaged(String),
    /// None, now.
    Nothing,
}

/// What seals them. Never shown.
struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Reads the key file; `made`: one is made where there is none.
    fn read(file: &Path, made: bool) -> io::Result<Self> {
        let keys = KeyFile::open(file, !made).map_err(io::Error::other)?;
        keys.masters.last().map(|master| Self(master.key)).ok_or_else(|| io::Error::other("the key file holds no key"))
    }

    fn seal(&self, name: &str, jpeg: &[u8]) -> io::Result<Vec<u8>> {
        let (nonce, sealed) = keys::seal(&self.0, name.as_bytes(), jpeg.to_vec()).map_err(io::Error::other)?;
        Ok([MAGIC.as_slice(), &nonce, &sealed].concat())
    }

    /// Opens a file; `None`: it is not whole, or another one.
    fn unseal(&self, name: &str, file: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = file.strip_prefix(MAGIC.as_slice())?.split_first_chunk::<NONCE>()?;
        keys::open(&self.0, name.as_bytes(), *nonce, sealed)
    }
}

/// The pictures that are kept.
#[derive(Debug)]
pub struct Album {
    settings: Settings,
    key: Key,
    reserve: u64,
    /// Bytes by day.
    days: BTreeMap<String, u64>,
    /// Markers of what the platform does not have yet, with the time before which it is not sent. Not more than the quota has room
    /// for.
    unsent: BTreeMap<String, Option<Mono>>,
}

impl Album {
    /// Opens the folder, making it where it is missing, and counts what is in it.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn open(settings: Settings) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(settings.dir.join(UNSENT))?;
        remove_file_if_there(&settings.dir.join(INCOMING))?;
        let key = Key::read(&settings.key_file, true)?;
        let mut days = BTreeMap::new();
        for day in days_of(&settings.dir)? {
            let bytes = fs::read_dir(settings.dir.join(&day))?.flatten();
            let bytes = bytes.filter_map(|file| file.metadata().ok()).map(|meta| on_disk(meta.len())).sum();
            days.insert(day, bytes);
        }
        let markers = fs::read_dir(settings.dir.join(UNSENT))?.flatten();
        let markers = markers.filter_map(|marker| marker.file_name().into_string().ok());
        let unsent = markers.filter(|marker| parts_of(marker).is_some()).map(|marker| (marker, None)).collect();
        Ok(Self { settings, key, reserve: RESERVE, days, unsent })
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
    pub fn limit(&mut self, settings: Settings) {
        self.settings = Settings { dir: std::mem::take(&mut self.settings.dir), ..settings };
    }

    /// Returns how many the platform does not have yet.
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Keeps a picture with its hash (SHA-256, hexadecimal digits). Returns which older ones went for it.
    ///
    /// # Errors
    /// [`NotKept`]; then nothing of it is left.
    pub fn keep(
        &mut self,
        passage: &PassageId,
        kind: PictureKind,
        (jpeg, sha256): (&[u8], &str),
        now: Now,
    ) -> Result<Gone, NotKept> {
        let at = Timestamp(now.wall.0.max(0));
        let (day, name) = (day_of(at), name_of(passage.as_str(), kind));
        let marker = self.settings.send.contains(&kind).then(|| format!("{:013}.{sha256}.{name}", at.0));
        let folder = self.settings.dir.join(&day);
        let path = folder.join(&name);
        if path.exists() {
            return Err(NotKept::There);
        }
        let file = self.key.seal(&name, jpeg).map_err(NotKept::Failed)?;
        let needed = on_disk(u64::try_from(file.len()).unwrap_or(u64::MAX));
        let gone = self.make_room(needed)?;
        if free_bytes(&self.settings.dir).is_some_and(|free| free < needed.saturating_add(self.reserve)) {
            return Err(NotKept::Full);
        }
        let refused = |error: io::Error| if is_full(&error) { NotKept::Full } else { NotKept::Failed(error) };
        let incoming = self.settings.dir.join(INCOMING);
        let marked = |dir: &Path| marker.as_ref().map_or(Ok(()), |marker| write(&dir.join(UNSENT).join(marker), &[]));
        let written = write(&incoming, &file)
            .and_then(|()| DirBuilder::new().recursive(true).mode(0o700).create(&folder))
            .and_then(|()| marked(&self.settings.dir))
            .and_then(|()| fs::rename(&incoming, &path));
        if let Err(error) = written {
            // What is half written would only take room; the cause is told.
            drop(remove_file_if_there(&incoming));
            marker.iter().for_each(|marker| drop(remove_file_if_there(&self.settings.dir.join(UNSENT).join(marker))));
            return Err(refused(error));
        }
        self.unsent.extend(marker.map(|marker| (marker, Some(now.mono + SETTLED))));
        *self.days.entry(day).or_default() += needed;
        Ok(gone)
    }

    /// Returns what is to be sent next. What cannot be read is not tried again: one bad block keeps no other picture back.
    pub fn next_unsent(&mut self, now: Mono) -> Next {
        let is_due = |not_before: &Option<Mono>| not_before.is_none_or(|at| at <= now);
        let due = self.unsent.iter().find(|(_, not_before)| is_due(not_before));
        let Some(marker) = due.map(|(marker, _)| marker.clone()) else { return Next::Nothing };
        let Some((at, sha256, name)) = parts_of(&marker) else { return Next::Nothing };
        let file = fs::read(self.settings.dir.join(day_of(at)).join(name)).ok();
        let jpeg = file.and_then(|file| self.key.unseal(name, &file));
        if let Some(jpeg) = jpeg.filter(|jpeg| hex_sha256(jpeg) == sha256) {
            return Next::Picture { sha256: sha256.to_owned(), jpeg };
        }
        self.settle(&marker);
        Next::Damaged(sha256.to_owned())
    }

    /// The platform has this one, or never will.
    pub fn ended(&mut self, sha256: &str) {
        let is = |marker: &&String| parts_of(marker).is_some_and(|(_, of, _)| of == sha256);
        let markers: Vec<String> = self.unsent.keys().filter(is).cloned().collect();
        markers.iter().for_each(|marker| self.settle(marker));
    }

    /// The platform cannot take this one now: others go first, for [`ASIDE`].
    pub fn set_aside(&mut self, sha256: &str, now: Mono) {
        let is = |marker: &str| parts_of(marker).is_some_and(|(_, of, _)| of == sha256);
        let of_it = self.unsent.iter_mut().filter(|(marker, _)| is(marker));
        of_it.for_each(|(_, not_before)| *not_before = Some(now + ASIDE));
    }

    /// Marks a passage's picture to be sent, once more or at last. Returns its hash; `None`: there is none, or none any more.
    ///
    /// # Errors
    /// The disk does not take the marker.
    pub fn want(&mut self, passage: &PassageId, kind: PictureKind) -> io::Result<Option<String>> {
        let name = name_of(passage.as_str(), kind);
        let of_day = |day: &String| Some((day.clone(), fs::read(self.settings.dir.join(day).join(&name)).ok()?));
        let Some((day, file)) = self.days.keys().rev().find_map(of_day) else { return Ok(None) };
        let Some(jpeg) = self.key.unseal(&name, &file) else { return Ok(None) };
        let sha256 = hex_sha256(&jpeg);
        let is = |marker: &String| parts_of(marker).is_some_and(|(_, of, file)| (of, file) == (&sha256, &name));
        if !self.unsent.keys().any(is) {
            let marker = format!("{:013}.{sha256}.{name}", begin_of(&day).0);
            write(&self.settings.dir.join(UNSENT).join(&marker), &[])?;
            self.unsent.insert(marker, None);
        }
        Ok(Some(sha256))
    }

    /// Takes a marker away. One that the disk does not let go comes back at the next start; its picture is sent twice then, and
    /// is the same.
    fn settle(&mut self, marker: &str) {
        self.unsent.remove(marker);
        drop(remove_file_if_there(&self.settings.dir.join(UNSENT).join(marker)));
    }

    /// A picture goes: its marker too. Returns the hash where there was one.
    fn unmark(&mut self, is: impl Fn(Timestamp, &str) -> bool) -> Option<String> {
        let of = |marker: &&String| parts_of(marker).is_some_and(|(at, _, name)| is(at, name));
        let marker = self.unsent.keys().find(of)?.clone();
        self.settle(&marker);
        parts_of(&marker).map(|(_, sha256, _)| sha256.to_owned())
    }

    /// Makes room below the quota: the oldest go.
    fn make_room(&mut self, needed: u64) -> Result<Gone, NotKept> {
        let quota = self.settings.quota_bytes;
        if needed > quota {
            return Err(NotKept::Full);
        }
        if self.bytes().saturating_add(needed) <= quota {
            return Ok(Gone::default());
        }
        let (aim, mut gone) = (quota.saturating_sub(needed.max(quota / FREED_AT_A_TIME)), Gone::default());
        while self.bytes() > aim {
            let Some(day) = self.days.keys().next().cloned() else { break };
            let folder = self.settings.dir.join(&day);
            for (_, path, bytes) in by_age(&folder).map_err(NotKept::Failed)? {
                if self.bytes() <= aim {
                    return Ok(gone);
                }
                remove_file_if_there(&path).map_err(NotKept::Failed)?;
                gone.pictures += 1;
                gone.unsent.extend(self.unmark(|_, name| path.file_name().is_some_and(|file| file == name)));
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

    /// Forgets the days whose time is over. Returns what went.
    ///
    /// # Errors
    /// The disk refused it; the next look goes on.
    pub fn forget(&mut self, now: Now) -> io::Result<Gone> {
        if now.trust == ClockTrust::Unsynced {
            return Ok(Gone::default());
        }
        let keep_ms = i64::try_from(self.settings.keep.as_millis()).unwrap_or(i64::MAX);
        let first = day_of(Timestamp(now.wall.0.saturating_sub(keep_ms)));
        let due: Vec<String> = self.days.keys().take_while(|day| **day < first).cloned().collect();
        let mut gone = Gone::default();
        for day in due {
            let folder = self.settings.dir.join(&day);
            gone.pictures += by_age(&folder).map_or(0, |files| u64::try_from(files.len()).unwrap_or(0));
            while let Some(unsent) = self.unmark(|at, _| day_of(at) == day) {
                gone.unsent.push(unsent);
            }
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.days.remove(&day),
            };
        }
        Ok(gone)
    }
}

/// Reads a passage's picture, 0 the whole, 1 the plate; `None` where there is none, or none any more.
pub fn read(settings: &Settings, passage: &str, number: u8) -> Option<Vec<u8>> {
    let Settings { dir, key_file, .. } = settings;
    let name = name_of(passage, PictureKind::of_number(number)?);
    let days = days_of(dir).ok()?;
    let file = days.iter().rev().find_map(|day| fs::read(dir.join(day).join(&name)).ok())?;
    // A power cut may have left a file without its end.
    Key::read(key_file, false).ok()?.unseal(&name, &file)
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

/// When the day of a folder begins.
fn begin_of(day: &str) -> Timestamp {
    let digits = day.parse::<i64>().unwrap_or(0);
    Timestamp(days_from_civil(digits / 10_000, digits / 100 % 100, digits % 100).saturating_mul(DAY_MS).max(0))
}

/// Takes a marker apart: when its picture came, its hash, its file.
fn parts_of(marker: &str) -> Option<(Timestamp, &str, &str)> {
    let (at, rest) = marker.split_once('.')?;
    let (sha256, name) = rest.split_once('.')?;
    Some((Timestamp(at.parse().ok()?), sha256, name)).filter(|_| sha256.len() == 64)
}

fn hex_sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name_of(passage: &str, kind: PictureKind) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let number = kind.number();
    if passage.len() <= MAX_NAME && !passage.starts_with('.') && passage.bytes().all(plain) {
        return format!("{passage}.{number}.sealed");
    }
    format!("{}.{number}.sealed", hex_sha256(passage.as_bytes()))
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
        let (keep, send) = (Duration::from_secs(90 * 86_400), [PictureKind::Plate].into());
        let (dir, key_file) = (dir.join("pictures"), dir.join("pictures.key"));
        let settings = Settings { dir, key_file, quota_bytes, keep, send };
        Album { reserve: 0, ..Album::open(settings).unwrap() }
    }

    /// What a reader is told of an album.
    fn of(dir: &tempfile::TempDir) -> Settings {
        let (root, key_file) = (dir.path().join("pictures"), dir.path().join("pictures.key"));
        Settings { dir: root, key_file, quota_bytes: 0, keep: Duration::ZERO, send: [].into() }
    }

    fn at(ms: i64) -> Now {
        Now { mono: Mono::default(), wall: Timestamp(ms), trust: ClockTrust::Synced }
    }

    fn keep(album: &mut Album, passage: &str, ms: i64) -> Result<u64, NotKept> {
        let jpeg = jpeg(10_000);
        let kept = album.keep(&PassageId::new(passage), PictureKind::Whole, (&jpeg, &hex_sha256(&jpeg)), at(ms));
        kept.map(|gone| gone.pictures)
    }

    /// A plate, which the platform is to have. Returns its hash.
    fn keep_plate(album: &mut Album, passage: &str, ms: i64) -> (String, Gone) {
        let jpeg = [jpeg(10_000), passage.as_bytes().to_vec()].concat();
        let sha256 = hex_sha256(&jpeg);
        let gone = album.keep(&PassageId::new(passage), PictureKind::Plate, (&jpeg, &sha256), at(ms)).unwrap();
        (sha256, gone)
    }

    fn next(album: &mut Album) -> Result<String, Option<String>> {
        match album.next_unsent(Mono::from_millis(60_000)) {
            Next::Picture { sha256, .. } => Ok(sha256),
            Next::Damaged(sha256) => Err(Some(sha256)),
            Next::Nothing => Err(None),
        }
    }

    #[test]
    fn a_picture_is_found_by_its_passage_also_after_a_restart_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = self::album(dir.path(), 1 << 20);
        assert_eq!(keep(&mut album, "gw-1-p1", DAY).unwrap(), 0);
        assert!(matches!(keep(&mut album, "gw-1-p1", DAY), Err(NotKept::There)));
        let strange = "east.late.44:19/../../etc";
        let plate = jpeg(9);
        album.keep(&PassageId::new(strange), PictureKind::Plate, (&plate, &hex_sha256(&plate)), at(DAY)).unwrap();
        let before = album.bytes();
        drop(album);
        let album = self::album(dir.path(), 1 << 20);
        assert_eq!((album.bytes(), before), (12_288 + 4096, 12_288 + 4096));
        let root = dir.path().join("pictures");
        assert_eq!(read(&of(&dir), "gw-1-p1", 0).map(|jpeg| jpeg.len()), Some(10_000));
        assert_eq!(read(&of(&dir), strange, 1).map(|jpeg| jpeg.len()), Some(9));
        assert_eq!(
            (read(&of(&dir), "gw-1-p1", 1), read(&of(&dir), "gw-1-p2", 0), read(&of(&dir), "gw-1-p1", 7)),
            (None, None, None)
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let day = root.join("20241004");
        assert_eq!((mode(&root), mode(&day), mode(&day.join("gw-1-p1.0.sealed"))), (0o700, 0o700, 0o600));
        assert_eq!(fs::read_dir(&root).unwrap().count(), 2, "what is strange stays inside");
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
        let here = |n: u32| read(&of(&dir), &format!("p{n}"), 0).is_some();
        assert_eq!([0, 1, 2, 3, 4, 5].map(here), [false, false, true, true, true, true]);
        assert!(album.bytes() <= 12_288 * 4);
        album.limit(Settings { quota_bytes: 10_000, ..album.settings().clone() });
        assert!(matches!(keep(&mut album, "p6", DAY), Err(NotKept::Full)), "larger than all the room there is");
    }

    #[test]
    fn nothing_lies_in_clear_and_what_was_changed_or_has_lost_its_key_is_no_picture() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = album(dir.path(), 1 << 20);
        keep(&mut album, "p1", DAY).unwrap();
        let path = dir.path().join("pictures/20241004/p1.0.sealed");
        let mut file = fs::read(&path).unwrap();
        assert!(
            file.starts_with(b"PGPS") && !file.windows(8).any(|eight| eight == [0; 8]),
            "it is mostly zeros in clear"
        );
        assert_eq!(read(&of(&dir), "p1", 0), Some(jpeg(10_000)));
        fs::copy(&path, path.with_file_name("p2.0.sealed")).unwrap();
        assert_eq!(read(&of(&dir), "p2", 0), None, "another passage's");
        *file.last_mut().unwrap() ^= 1;
        fs::write(&path, &file).unwrap();
        assert_eq!(read(&of(&dir), "p1", 0), None);
        keep(&mut album, "p3", DAY).unwrap();
        fs::remove_file(dir.path().join("pictures.key")).unwrap();
        assert_eq!(read(&of(&dir), "p3", 0), None);
        assert!(!dir.path().join("pictures.key").exists(), "who looks makes no key");
    }

    #[test]
    fn pictures_leave_room_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = Album { reserve: u64::MAX / 2, ..album(dir.path(), 1 << 30) };
        assert!(matches!(keep(&mut album, "p1", DAY), Err(NotKept::Full)));
        assert_eq!((album.bytes(), read(&of(&dir), "p1", 0)), (0, None));
    }

    #[test]
    fn a_folder_that_is_gone_is_told_and_nothing_half_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = album(dir.path(), 1 << 20);
        let root = dir.path().join("pictures");
        fs::remove_dir_all(&root).unwrap();
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
        let (unsent, _) = keep_plate(&mut album, "p0", DAY);
        assert_eq!(
            album.forget(after(90, ClockTrust::Synced)).unwrap().pictures,
            0,
            "the ninetieth day is kept to its end"
        );
        assert_eq!(album.forget(after(92, ClockTrust::Unsynced)).unwrap().pictures, 0);
        let gone = album.forget(after(92, ClockTrust::Synced)).unwrap();
        assert_eq!(gone, Gone { pictures: 3, unsent: vec![unsent] });
        assert_eq!([0, 1, 2].map(|n| read(&of(&dir), &format!("p{n}"), 0).is_some()), [false, false, true]);
        assert_eq!(album.bytes(), 12_288);
    }

    #[test]
    fn what_the_platform_asks_for_is_sent_once_more_while_it_is_here_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = self::album(dir.path(), 1 << 20);
        let (plate, _) = keep_plate(&mut album, "p1", DAY);
        keep(&mut album, "p2", DAY + 5).unwrap();
        let whole = hex_sha256(&jpeg(10_000));
        album.ended(&plate);
        assert_eq!(next(&mut album), Err(None));
        let mut want = |passage: &str, kind| album.want(&PassageId::new(passage), kind).unwrap();
        assert_eq!(want("p1", PictureKind::Plate), Some(plate.clone()), "it has it, or had it");
        assert_eq!(want("p2", PictureKind::Whole), Some(whole.clone()), "it was not to have it");
        assert_eq!(want("p2", PictureKind::Whole), Some(whole.clone()), "asking twice is one");
        assert_eq!((want("p2", PictureKind::Plate), want("p3", PictureKind::Whole)), (None, None));
        assert_eq!(album.unsent(), 2);
        drop(album);
        let mut album = self::album(dir.path(), 1 << 20);
        let first = next(&mut album).unwrap();
        album.ended(&first);
        let second = next(&mut album).unwrap();
        album.ended(&second);
        assert_eq!(std::collections::BTreeSet::from([first, second]), [plate, whole].into());
        assert_eq!(next(&mut album), Err(None));
    }

    #[test]
    fn one_that_the_platform_cannot_take_now_holds_up_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = album(dir.path(), 1 << 20);
        let [first, second] = ["p1", "p2"].map(|passage| keep_plate(&mut album, passage, DAY).0);
        let given = next(&mut album).unwrap();
        let other = if given == first { second } else { first };
        album.set_aside(&given, Mono::from_millis(60_000));
        assert_eq!(next(&mut album), Ok(other.clone()));
        album.ended(&other);
        assert_eq!(next(&mut album), Err(None));
        let later = album.next_unsent(Mono::from_millis(60_000) + ASIDE);
        assert!(matches!(later, Next::Picture { sha256, .. } if sha256 == given));
    }

    #[test]
    fn what_the_platform_is_to_have_is_given_oldest_first_over_restarts_until_it_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = album(dir.path(), 1 << 20);
        let (second, _) = keep_plate(&mut album, "p2", DAY + 2);
        let (first, _) = keep_plate(&mut album, "p1", DAY + 1);
        keep(&mut album, "p1", DAY).unwrap();
        assert_eq!(album.next_unsent(Mono::from_millis(4_999)), Next::Nothing, "its record goes before it");
        assert_eq!((next(&mut album), next(&mut album)), (Ok(first.clone()), Ok(first.clone())));
        let mut album = self::album(dir.path(), 1 << 20);
        assert_eq!(
            album.next_unsent(Mono::default()),
            Next::Picture { sha256: first.clone(), jpeg: [jpeg(10_000), b"p1".to_vec()].concat() }
        );
        album.ended(&first);
        assert_eq!((next(&mut album), album.unsent()), (Ok(second.clone()), 1));
        // A power cut has left half of a file.
        let path = dir.path().join("pictures/20241004/p2.1.sealed");
        fs::write(&path, jpeg(7)).unwrap();
        assert_eq!((next(&mut album), next(&mut album)), (Err(Some(second)), Err(None)));
        let mut album = self::album(dir.path(), 1 << 20);
        assert_eq!(next(&mut album), Err(None), "nothing is left of them");
    }

    #[test]
    fn what_goes_for_the_quota_unsent_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut album = album(dir.path(), 12_288 * 3);
        let (first, _) = keep_plate(&mut album, "p1", DAY + 1);
        let (second, _) = keep_plate(&mut album, "p2", DAY + 2);
        album.ended(&first);
        let (third, _) = keep_plate(&mut album, "p3", DAY + 3);
        assert_eq!(keep_plate(&mut album, "p4", DAY + 4).1, Gone { pictures: 1, unsent: Vec::new() }, "it was sent");
        assert_eq!(keep_plate(&mut album, "p5", DAY + 5).1, Gone { pictures: 1, unsent: vec![second] });
        assert_eq!(next(&mut album), Ok(third));
    }
}
