//! The room of what the gateway must remember over a restart beside its records: registry revisions, command ids, and
//! later latches, occupancy and lists.
//!
//! Each thing is one file `<name>.state`, replaced as a whole:
//!
//! ```text
//! magic "PGST" | version u8 = 1 | 3 zero bytes | length u32 LE | CRC32C u32 LE of the payload | payload
//! ```
//!
//! A save writes `<name>.tmp`, fsyncs it, keeps the old file as `<name>.prev` if it is whole, renames, and fsyncs the
//! folder: after a power cut there is the old state or the new one, never half of either. A damaged file falls back to
//! `.prev`. The folder itself is fsynced into its parents when it is made.

pub mod lines;
pub mod persons;
pub mod pictures;
pub mod register;
pub mod registry;
pub mod seen;
pub mod settings;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"PGST";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 16;
/// Largest payload: a registry of 100,000 points is about 30 MB.
const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// Why state could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("cannot {what} `{path}`")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// Neither the file nor its predecessor is whole.
    #[error("`{path}` is damaged, and so is its predecessor")]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The payload is larger than any state may be.
    #[error("state `{name}` of {bytes} bytes is larger than {MAX_PAYLOAD_BYTES}")]
    TooLarge {
        /// Which state.
        name: String,
        /// How large.
        bytes: usize,
    },
}

/// The folder of durable states.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

impl State {
    /// Opens the folder, making it where it is missing.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`] when it cannot be made.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        let made: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        // A folder that a power cut takes away takes with it what was durable inside.
        for parent in made.iter().filter_map(|path| path.parent()) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            sync_dir(parent)?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Reads state `name`; `None` when it was never saved.
    ///
    /// # Errors
    ///
    /// [`StateError::Damaged`] when neither the file nor its predecessor is whole, [`StateError::Io`] when unreadable.
    pub fn load(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path(name, "state");
        let current = read_whole(&path)?;
        let previous = match current {
            Whole::Payload(payload) => return Ok(Some(payload)),
            Whole::Missing | Whole::Damaged => read_whole(&self.path(name, "prev"))?,
        };
        match (current, previous) {
            (_, Whole::Payload(payload)) => {
                tracing::warn!(state = name, "State file is damaged or missing; its predecessor is used.");
                Ok(Some(payload))
            }
            (Whole::Missing, Whole::Missing) => Ok(None),
            _ => Err(StateError::Damaged { path }),
        }
    }

    /// Replaces state `name`; durable when it returns.
    ///
    /// # Errors
    ///
    /// [`StateError`]; the old state then still stands.
    pub fn save(&self, name: &str, payload: &[u8]) -> Result<(), StateError> {
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD_BYTES);
        let Some(length) = length else {
            return Err(StateError::TooLarge { name: name.to_owned(), bytes: payload.len() });
        };
        let (path, tmp, prev) = (self.path(name, "state"), self.path(name, "tmp"), self.path(name, "prev"));
        let mut file = File::create(&tmp).map_err(io_error("create", &tmp))?;
        let head = head_of(length, crc32c::crc32c(payload));
        file.write_all(&head).and_then(|()| file.write_all(payload)).map_err(io_error("write", &tmp))?;
        file.sync_all().map_err(io_error("sync", &tmp))?;
        // A damaged file must not push out the predecessor that stands in for it.
        if matches!(read_whole(&path), Ok(Whole::Payload(_))) {
            fs::rename(&path, &prev).map_err(io_error("rename", &path))?;
        }
        fs::rename(&tmp, &path).map_err(io_error("rename", &tmp))?;
        sync_dir(&self.dir)
    }

    /// Returns the names of all states there are, damaged ones among them.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`] when the folder cannot be read.
    pub fn names(&self) -> Result<BTreeSet<String>, StateError> {
        let entries = fs::read_dir(&self.dir).map_err(io_error("read", &self.dir))?;
        let files = entries.flatten().map(|entry| PathBuf::from(entry.file_name()));
        let states = files.filter(|file| file.extension().is_some_and(|e| e == "state" || e == "prev"));
        Ok(states.filter_map(|file| file.file_stem()?.to_str().map(str::to_owned)).collect())
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.dir.join(format!("{name}.{extension}"))
    }
}

fn sync_dir(dir: &Path) -> Result<(), StateError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))
}

enum Whole {
    Payload(Vec<u8>),
    Missing,
    Damaged,
}

fn read_whole(path: &Path) -> Result<Whole, StateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(payload_of(&bytes).map_or(Whole::Damaged, |p| Whole::Payload(p.to_vec()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Whole::Missing),
        Err(e) => Err(io_error("read", path)(e)),
    }
}

fn head_of(length: u32, crc: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let fields = MAGIC.iter().chain(&[VERSION, 0, 0, 0]).copied().chain(length.to_le_bytes()).chain(crc.to_le_bytes());
    head.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    head
}

fn payload_of(bytes: &[u8]) -> Option<&[u8]> {
    let (head, payload) = bytes.split_at_checked(HEAD_BYTES)?;
    let expected = head_of(u32::try_from(payload.len()).ok()?, crc32c::crc32c(payload));
    (head == expected).then_some(payload)
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        (dir, state)
    }

    #[test]
    fn what_was_saved_is_loaded_and_what_was_not_is_none() {
        let (_dir, state) = state();
        assert_eq!(state.load("a").unwrap(), None);
        state.save("a", b"one").unwrap();
        state.save("a", b"two").unwrap();
        assert_eq!(state.load("a").unwrap().as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn a_damaged_file_falls_back_to_its_predecessor() {
        let (_dir, state) = state();
        state.save("a", b"one").unwrap();
        state.save("a", b"two").unwrap();
        let path = state.path("a", "state");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(state.load("a").unwrap().as_deref(), Some(&b"one"[..]));
        fs::write(state.path("a", "prev"), b"").unwrap();
        assert!(matches!(state.load("a"), Err(StateError::Damaged { .. })));
    }

    #[test]
    fn a_power_cut_between_the_renames_leaves_the_old_state() {
        let (_dir, state) = state();
        state.save("a", b"one").unwrap();
        fs::rename(state.path("a", "state"), state.path("a", "prev")).unwrap();
        fs::write(state.path("a", "tmp"), b"half").unwrap();
        assert_eq!(state.load("a").unwrap().as_deref(), Some(&b"one"[..]));
    }

    #[test]
    fn a_save_over_a_damaged_file_keeps_the_predecessor_that_stood_in_for_it() {
        let (_dir, state) = state();
        state.save("a", b"one").unwrap();
        state.save("a", b"two").unwrap();
        fs::write(state.path("a", "state"), b"rubbish").unwrap();
        state.save("a", b"three").unwrap();
        // A cut between the renames of that save would have left only the predecessor.
        fs::remove_file(state.path("a", "state")).unwrap();
        assert_eq!(state.load("a").unwrap().as_deref(), Some(&b"one"[..]));
    }

    #[test]
    fn a_save_that_fails_leaves_the_old_state() {
        let (_dir, state) = state();
        state.save("a", b"one").unwrap();
        // The new file cannot be made.
        fs::create_dir(state.path("a", "tmp")).unwrap();
        assert!(matches!(state.save("a", b"two"), Err(StateError::Io { .. })));
        assert_eq!(state.load("a").unwrap().as_deref(), Some(&b"one"[..]));
        assert!(matches!(state.save("b", &vec![0; MAX_PAYLOAD_BYTES + 1]), Err(StateError::TooLarge { .. })));
    }

    #[test]
    fn every_state_is_named_once_whatever_is_left_of_it() {
        let (_dir, state) = state();
        state.save("a", b"one").unwrap();
        state.save("a", b"two").unwrap();
        fs::write(state.path("b", "prev"), b"").unwrap();
        fs::write(state.path("c", "tmp"), b"").unwrap();
        assert_eq!(state.names().unwrap().into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let whole = [&head_of(3, crc32c::crc32c(b"one"))[..], b"one"].concat();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(payload_of(&bytes), None, "bit {bit}");
        }
    }
}
