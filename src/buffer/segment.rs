//! One segment: one sled database in a folder of its own, and what sled lacks around it.
//!
//! Key: first seq (8 bytes) and part (2 bytes), both big-endian. Value: `batch.rs`. The keys are spread over sled trees
//! of at most [`TREE_BYTES`], each named by its first key. The reason is measured: appending to one tree splits a leaf at
//! 17 values and writes all of it again each time, 2 to 3 times the payload in all; a tree that ends before its tenth
//! value writes each value once. It also keeps every leaf far below 128 KiB, above which sled would move it to a blob
//! file that our fsync does not reach.
//!
//! sled panics on damaged files, so each use of it stands in [`guarded`].

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::batch::{self, HEADER, Header, Value};
use super::manifest::Segment;
use crate::domain::ranges::RangeSet;
use crate::domain::record::Entry;
use crate::domain::time::Timestamp;
use crate::sys::disk;

/// Bytes of values after which a new tree begins; see the module's head.
const TREE_BYTES: usize = 64 * 1024;
/// sled's page cache per open segment. Records are written once and mostly read once, in order.
const CACHE: u64 = 4 << 20;
/// sled's own write buffer and unit of its file.
const SLED_SEGMENT: usize = 512 * 1024;
/// How often, and how long apart, a locked database is tried again: sled lets go of its file a moment after the drop.
const LOCK_TRIES: usize = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Name of a value: first seq and part, big-endian.
pub(super) type Key = [u8; 10];

/// Returns the key of a part of the batch that begins with `first`.
pub(super) fn key(first: u64, part: u16) -> Key {
    let mut key = [0; 10];
    let (seq, rest) = key.split_at_mut(8);
    seq.copy_from_slice(&first.to_be_bytes());
    rest.copy_from_slice(&part.to_be_bytes());
    key
}

/// Why a segment could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// sled refused.
    #[error("sled: {0}")]
    Sled(String),
    /// sled panicked: its files are damaged.
    #[error("sled panicked: {0}")]
    Panicked(String),
}

impl SegmentError {
    /// Returns whether there is no space left.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Io(e) if disk::is_full(e))
    }

    /// Returns whether the machine failed, not the file's contents: then the same file may be good later.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Io(_))
    }
}

impl From<sled::Error> for SegmentError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(e) => Self::Io(e),
            other @ (sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Corruption { .. }) => Self::Sled(other.to_string()),
        }
    }
}

/// Runs `f`, a panic becoming an error.
pub(super) fn guarded<T>(f: impl FnOnce() -> Result<T, SegmentError>) -> Result<T, SegmentError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words");
        Err(SegmentError::Panicked(text.to_owned()))
    })
}

fn open_db(path: &Path) -> Result<sled::Db, SegmentError> {
    // No flusher thread of sled's: it would fsync each database twice a second and only log what fails.
    let config = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None).segment_size(SLED_SEGMENT);
    for _ in 0..LOCK_TRIES {
        match guarded(|| Ok(config.open()?)) {
            Err(SegmentError::Io(e)) if e.to_string().contains("could not acquire lock") => {
                std::thread::sleep(LOCK_PAUSE);
            }
            other => return other,
        }
    }
    // Another handle is slow to close; nothing is damaged.
    Err(io::Error::new(io::ErrorKind::WouldBlock, format!("`{}` stays locked", path.display())).into())
}

/// One tree of a segment: the unit of the time index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) name: Key,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) wall: (Timestamp, Timestamp),
}

impl Block {
    fn new(name: Key, h: &Header) -> Self {
        Self { name, first: h.first, last: h.last(), wall: h.wall }
    }

    fn extend(&mut self, h: &Header) {
        self.last = self.last.max(h.last());
        self.wall = (self.wall.0.min(h.wall.0), self.wall.1.max(h.wall.1));
    }
}

/// A segment as readers see it.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) first: u64,
    db: sled::Db,
    pub(super) blocks: Vec<Block>,
}

/// What a look through a whole segment found.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// Numbers held in whole, valid batches.
    pub(super) found: RangeSet,
    /// Their times.
    pub(super) segment: Segment,
    headers: Vec<Header>,
}

impl View {
    /// Opens the segment in `path` and looks through all of it.
    pub(super) fn open(path: &Path, first: u64) -> Result<(Self, Contents), SegmentError> {
        let db = open_db(path)?;
        guarded(|| {
            let mut names: Vec<Key> = db.tree_names().iter().filter_map(|n| n.as_ref().try_into().ok()).collect();
            names.sort_unstable();
            let mut view = Self { first, db, blocks: Vec::new() };
            let mut contents = Contents { segment: Segment::empty(first), ..Contents::default() };
            for name in names {
                view.index_tree(name, &mut contents)?;
            }
            contents.found = super::salvage::covered(contents.headers.iter());
            contents.headers = Vec::new();
            contents.segment.count = contents.found.len();
            contents.segment.last = contents.found.last().unwrap_or(first.saturating_sub(1));
            Ok((view, contents))
        })
    }

    fn index_tree(&mut self, name: Key, contents: &mut Contents) -> Result<(), SegmentError> {
        let tree = self.db.open_tree(name)?;
        let mut block: Option<Block> = None;
        for item in tree.iter() {
            let (k, value) = item?;
            let Some(header) = valid(&k, &value) else { continue };
            block.get_or_insert_with(|| Block::new(name, &header)).extend(&header);
            note(&mut contents.segment, &header);
            contents.headers.push(header);
        }
        self.blocks.extend(block);
        Ok(())
    }

    /// Hands the batches that reach to `from` or beyond to `f`, in order, until it returns false.
    pub(super) fn batches(&self, from: u64, mut f: impl FnMut(Vec<Entry>) -> bool) -> Result<(), SegmentError> {
        guarded(|| {
            let start = self.start_of(from)?;
            let at = self.blocks.partition_point(|b| b.name <= start).saturating_sub(1);
            let mut parts: Vec<u8> = Vec::new();
            let mut due = 0_u16;
            for block in self.blocks.get(at..).unwrap_or_default() {
                for item in self.db.open_tree(block.name)?.range(start..) {
                    let (k, value) = item?;
                    let Some(header) = valid(&k, &value).filter(|h| h.last() >= from) else { continue };
                    if header.part == 0 {
                        parts.clear();
                    } else if header.part != due {
                        continue;
                    }
                    due = header.part.saturating_add(1);
                    parts.extend_from_slice(value.get(HEADER..).unwrap_or_default());
                    if due < header.parts {
                        continue;
                    }
                    let Ok(entries) = batch::decode(&header, std::mem::take(&mut parts)) else { continue };
                    if !f(entries) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    /// Returns the key of the first part of the last batch that begins at or before `from`.
    fn start_of(&self, from: u64) -> Result<Key, SegmentError> {
        let upper = key(from, u16::MAX);
        let at = self.blocks.partition_point(|b| b.name <= upper);
        let Some(block) = at.checked_sub(1).and_then(|i| self.blocks.get(i)) else { return Ok(key(0, 0)) };
        let last = self.db.open_tree(block.name)?.range(..=upper).next_back().transpose()?;
        let first = last.and_then(|(k, _)| k.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes));
        Ok(key(first.unwrap_or(0), 0))
    }

    /// Returns the first and last number of the blocks that touch `from..=to`.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> Option<(u64, u64)> {
        let touched = || self.blocks.iter().filter(|b| b.wall.0 <= to && b.wall.1 >= from);
        Some((touched().map(|b| b.first).min()?, touched().map(|b| b.last).max()?))
    }
}

/// The header of a value that is whole and stands under its own key.
fn valid(k: &[u8], value: &[u8]) -> Option<Header> {
    batch::check(value).ok().filter(|h| k == key(h.first, h.part) && h.len == value.len())
}

/// Widens the times of `segment` by a batch.
fn note(segment: &mut Segment, h: &Header) {
    segment.from = segment.from.min(h.wall.0.0);
    segment.to = segment.to.max(h.wall.1.0);
    if h.trusted {
        segment.trusted_to = segment.trusted_to.max(h.wall.1.0);
    }
}

/// The segment that is being written. One owner: the stream's writer.
#[derive(Debug)]
pub(super) struct Active {
    /// Its line of the manifest, as far as it is committed.
    pub(super) segment: Segment,
    view: View,
    uncommitted: Segment,
    raw: File,
    tree: Option<sled::Tree>,
    tree_bytes: usize,
}

impl Active {
    /// Creates the segment that begins with `first` below `stream_dir`, durably. What a crash left under its name goes.
    pub(super) fn create(stream_dir: &Path, first: u64) -> Result<Self, SegmentError> {
        Self::create_at(&stream_dir.join(super::manifest::folder(first)), first)
    }

    /// As [`Active::create`], in a folder of any name.
    pub(super) fn create_at(path: &Path, first: u64) -> Result<Self, SegmentError> {
        remove_folder(path)?;
        let db = open_db(path)?;
        for file in ["conf", "db"] {
            disk::sync_file(&path.join(file))?;
        }
        for folder in [&path.join("blobs"), path] {
            disk::sync_dir(folder)?;
        }
        path.parent().map_or(Ok(()), disk::sync_dir)?;
        let view = View { first, db, blocks: Vec::new() };
        Self::resume(path, view, Segment::empty(first))
    }

    /// Goes on with a segment that was looked through.
    pub(super) fn resume(path: &Path, view: View, segment: Segment) -> Result<Self, SegmentError> {
        let raw = File::open(path.join("db"))?;
        let uncommitted = segment.clone();
        Ok(Self { segment, view, uncommitted, raw, tree: None, tree_bytes: 0 })
    }

    /// Inserts a value. Stored only after [`Active::commit`].
    pub(super) fn put(&mut self, value: &Value) -> Result<(), SegmentError> {
        let (h, name) = (value.header, key(value.header.first, value.header.part));
        guarded(|| {
            if self.tree.is_none() || self.tree_bytes + value.bytes.len() > TREE_BYTES {
                self.tree = Some(self.view.db.open_tree(name)?);
                self.tree_bytes = 0;
                self.view.blocks.push(Block::new(name, &h));
            }
            let Some(tree) = &self.tree else { return Ok(()) };
            tree.insert(name, value.bytes.as_slice())?;
            self.tree_bytes += value.bytes.len();
            if let Some(block) = self.view.blocks.last_mut() {
                block.extend(&h);
            }
            Ok(())
        })?;
        note(&mut self.uncommitted, &h);
        self.uncommitted.last = self.uncommitted.last.max(h.last());
        if h.part == 0 {
            self.uncommitted.count += u64::from(h.count);
        }
        Ok(())
    }

    /// Makes everything inserted durable: sled's flush, then our own fsync, because sled's is none.
    pub(super) fn commit(&mut self) -> Result<(), SegmentError> {
        guarded(|| {
            self.view.db.flush()?;
            self.raw.sync_data()?;
            Ok(())
        })?;
        let meta = self.raw.metadata()?;
        if meta.nlink() == 0 {
            // Somebody deleted it under us: what goes into it now is gone with the handle.
            return Err(io::Error::new(io::ErrorKind::NotFound, "the segment was deleted").into());
        }
        self.uncommitted.bytes = disk::allocated(&meta);
        self.segment = self.uncommitted.clone();
        Ok(())
    }

    /// Returns the segment as readers may see it now.
    pub(super) fn view(&self) -> View {
        self.view.clone()
    }

    /// Returns how many trees there are.
    pub(super) fn n_blocks(&self) -> usize {
        self.view.blocks.len()
    }

    /// Returns the blocks from index `from` on.
    pub(super) fn blocks_from(&self, from: usize) -> &[Block] {
        self.view.blocks.get(from..).unwrap_or_default()
    }
}

/// Lets go of a database; sled writes what it has left, and may fail or panic over it.
pub(super) fn let_go<T>(handle: T) {
    let dropped = guarded(|| {
        drop(handle);
        Ok(())
    });
    if let Err(error) = dropped {
        tracing::warn!(%error, "Closing a segment failed; it will be verified when it is opened again.");
    }
}

/// Removes a folder and all in it, or a file that stands in its place; one that is not there is no error.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => disk::remove_file_if_there(path),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Returns the sled file of the segment folder `path`.
pub(super) fn db_file(path: &Path) -> PathBuf {
    path.join("db")
}
