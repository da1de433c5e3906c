//! The register's log in sled: one generation is one sled database, begun by a snapshot of all rows, followed by the changes.
//!
//! ```text
//! tree "rows": (0, part)    the snapshot: a head, then its rows         tree "past": (rev, part) older changes, digests only
//! tree "log":  (rev, part)  one set of changes each: a head, then its entries
//! ```
//! Key: revision u64 and part u32, big-endian. Value: CRC32C u32 of the rest | try u32 | lz4 of JSON. The head (part 0) says
//! how many parts follow; a set counts only when all of them are there and are of the same try. So a set that a crash cut off
//! is none, and what an earlier attempt left under the same number is not mixed with it.
//!
//! sled panics on damaged files, so each use of it stands in [`guarded`]; its flush is no fsync, so ours follows.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sys::disk;

/// sled's page cache: the log is read once, at start.
const CACHE: u64 = 4 << 20;
/// Most of JSON in one value: some 8 KiB compressed, which sled keeps in its leaves.
const PART_BYTES: usize = 48 * 1024;
/// Largest unpacked part; more is damage.
const MAX_PART: usize = 1 << 20;
/// How often, and how long apart, a locked database is tried again: sled lets go of its file a moment after the drop.
const LOCK_TRIES: usize = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why the log could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// sled refused, or panicked: its files are damaged.
    #[error("sled: {0}")]
    Sled(String),
}

impl From<sled::Error> for LogError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Io(error),
            other @ (sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Corruption { .. }) => Self::Sled(other.to_string()),
        }
    }
}

/// Runs `f`, a panic becoming an error.
pub(super) fn guarded<T>(f: impl FnOnce() -> Result<T, LogError>) -> Result<T, LogError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
        Err(LogError::Sled(text.to_owned()))
    })
}

/// A tree of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Rows,
    Log,
    Past,
}

impl Tree {
    fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Log => "log",
            Self::Past => "past",
        }
    }
}

/// The head of a set, with how many parts follow it.
#[derive(Serialize, Deserialize)]
struct Head<H> {
    parts: u32,
    head: H,
}

/// An open generation.
#[derive(Debug)]
pub(super) struct Log {
    db: sled::Db,
    raw: File,
}

impl Log {
    /// Opens the database in `path`, making it where it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let is_new = !path.join("db").exists();
        // No flusher thread of sled's: it would fsync twice a second and only log what fails.
        let config = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None);
        for _ in 0..LOCK_TRIES {
            match guarded(|| Ok(config.open()?)) {
                Err(LogError::Io(error)) if error.to_string().contains("could not acquire lock") => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(error) => return Err(error),
                Ok(db) => {
                    let log = Self { db, raw: File::open(path.join("db"))? };
                    if is_new {
                        log.sync()?;
                        disk::sync_file(&path.join("conf"))?;
                        disk::sync_dir(path)?;
                        path.parent().map_or(Ok(()), disk::sync_dir)?;
                    }
                    return Ok(log);
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, format!("`{}` stays locked", path.display())).into())
    }

    /// Writes a set under `rev`; durable only after [`Log::sync`].
    pub(super) fn put<H: Serialize, T: Serialize>(
        &self,
        tree: Tree,
        rev: u64,
        head: H,
        items: impl Iterator<Item = T>,
    ) -> Result<(), LogError> {
        let nonce = fastrand::u32(..);
        guarded(|| {
            let tree = self.db.open_tree(tree.name())?;
            let (mut part, mut text) = (0_u32, String::new());
            let flush = |part: &mut u32, text: &mut String| -> Result<(), LogError> {
                *part += 1;
                tree.insert(key(rev, *part), pack(nonce, text.as_bytes()))?;
                text.clear();
                Ok(())
            };
            for item in items {
                let line = serde_json::to_string(&item).map_err(io::Error::other)?;
                text.push_str(&line);
                text.push('\n');
                if text.len() >= PART_BYTES {
                    flush(&mut part, &mut text)?;
                }
            }
            if !text.is_empty() {
                flush(&mut part, &mut text)?;
            }
            // The head last: without it there is no set.
            let head = serde_json::to_vec(&Head { parts: part, head }).map_err(io::Error::other)?;
            tree.insert(key(rev, 0), pack(nonce, &head))?;
            Ok(())
        })
    }

    /// Makes everything that was put durable: sled's flush, then our own fsync, because sled's is none.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        guarded(|| {
            self.db.flush()?;
            self.raw.sync_data()?;
            Ok(())
        })?;
        // Somebody deleted it under us: what goes into it now is gone with the handle.
        let deleted = std::os::unix::fs::MetadataExt::nlink(&self.raw.metadata()?) == 0;
        if deleted { Err(io::Error::new(io::ErrorKind::NotFound, "the log was deleted").into()) } else { Ok(()) }
    }

    /// Reads the set under `rev`; `None`: there is no whole one.
    pub(super) fn get<H: DeserializeOwned, T: DeserializeOwned>(
        &self,
        tree: Tree,
        rev: u64,
    ) -> Result<Option<(H, Vec<T>)>, LogError> {
        guarded(|| {
            let tree = self.db.open_tree(tree.name())?;
            let Some((nonce, head)) = tree.get(key(rev, 0))?.as_deref().and_then(unpack) else { return Ok(None) };
            let Ok(head) = serde_json::from_slice::<Head<H>>(&head) else { return Ok(None) };
            let mut items = Vec::new();
            for part in 1..=head.parts {
                let found = tree.get(key(rev, part))?;
                let text = found.as_deref().and_then(unpack).filter(|(of, _)| *of == nonce);
                let Some((_, text)) = text else { return Ok(None) };
                for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let Ok(item) = serde_json::from_slice(line) else { return Ok(None) };
                    items.push(item);
                }
            }
            Ok(Some((head.head, items)))
        })
    }

    /// Returns the revisions that have anything in a tree, in order.
    pub(super) fn revs(&self, tree: Tree) -> Result<Vec<u64>, LogError> {
        guarded(|| {
            let tree = self.db.open_tree(tree.name())?;
            let mut revs = Vec::new();
            for item in &tree {
                let (key, _) = item?;
                let rev = key.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
                revs.extend(rev.filter(|rev| revs.last() != Some(rev)));
            }
            Ok(revs)
        })
    }

    /// Lets go of the database; sled writes what it has left, and may fail or panic over it.
    pub(super) fn close(self) {
        let dropped = guarded(|| {
            drop(self);
            Ok(())
        });
        if let Err(error) = dropped {
            tracing::warn!(%error, "Closing the register's log failed; it is verified when it is opened again.");
        }
    }
}

fn key(rev: u64, part: u32) -> [u8; 12] {
    let mut key = [0; 12];
    let bytes = rev.to_be_bytes().into_iter().chain(part.to_be_bytes());
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    key
}

fn pack(nonce: u32, text: &[u8]) -> Vec<u8> {
    let mut rest = nonce.to_le_bytes().to_vec();
    rest.extend(lz4_flex::compress_prepend_size(text));
    let mut value = crc32c::crc32c(&rest).to_le_bytes().to_vec();
    value.extend(rest);
    value
}

fn unpack(value: &[u8]) -> Option<(u32, Vec<u8>)> {
    let (crc, rest) = value.split_at_checked(4)?;
    if crc != crc32c::crc32c(rest).to_le_bytes() {
        return None;
    }
    let (nonce, packed) = rest.split_at_checked(4)?;
    let size = packed.get(..4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)?;
    let fits = usize::try_from(size).is_ok_and(|size| size <= MAX_PART);
    let text = fits.then(|| lz4_flex::decompress_size_prepended(packed).ok())??;
    Some((u32::from_le_bytes(nonce.try_into().ok()?), text))
}
