//! What must be there: the segments of one stream. File `manifest` in the stream's folder (form: `files.rs`).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;

const FILE: &str = "manifest";

/// One segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    /// Its first number, and in 16 hex digits the name of its folder.
    pub(super) first: u64,
    /// Its last number as of this writing; `first - 1` while it is empty. Final when sealed or after a clean end.
    pub(super) last: u64,
    /// Records in it; `last - first + 1` less the numbers of the ledger.
    pub(super) count: u64,
    /// Smallest wall time of its records, ms.
    pub(super) from: i64,
    /// Largest wall time of its records, ms.
    pub(super) to: i64,
    /// Largest wall time among those records whose clock was synced or in holdover; 0 for none. Rules its age.
    pub(super) trusted_to: i64,
    /// Bytes on disk.
    pub(super) bytes: u64,
    /// Whether it is closed for good.
    pub(super) sealed: bool,
}

impl Segment {
    /// Returns an empty segment that begins with `first`.
    pub(super) fn empty(first: u64) -> Self {
        Self { first, last: first.saturating_sub(1), from: i64::MAX, to: i64::MIN, ..Self::default() }
    }

    /// Returns whether it holds records.
    pub(super) fn has_records(&self) -> bool {
        self.last >= self.first
    }

    /// Returns whether nothing is left of what it held: its line stays until the ledger has its numbers.
    pub(super) fn is_hollow(&self) -> bool {
        self.sealed && self.count == 0 && self.has_records()
    }

    /// Returns the name of its folder.
    pub(super) fn folder(&self) -> String {
        folder(self.first)
    }
}

/// Returns the name of the folder of the segment that begins with `first`.
pub(super) fn folder(first: u64) -> String {
    format!("{first:016x}")
}

/// Returns the first number of the segment in the folder `name`.
pub(super) fn first_of(name: &str) -> Option<u64> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok())?
}

/// The contents of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Version of the form, 1.
    pub(super) format: u32,
    /// The store they belong to.
    pub(super) epoch: String,
    /// Start counter of the run that wrote it: what is left of it when both copies of the marks are lost.
    #[serde(default)]
    pub(super) boot: u32,
    /// Ascending by `first`.
    pub(super) segments: Vec<Segment>,
}

impl Manifest {
    /// Reads the manifest of the stream in `dir`.
    pub(super) fn load(dir: &Path) -> files::Read<Self> {
        files::read(&dir.join(FILE))
    }

    /// Writes it into the stream's folder `dir`.
    pub(super) fn store(epoch: &str, boot: u32, segments: &BTreeMap<u64, Segment>, dir: &Path) -> io::Result<()> {
        let segments = segments.values().cloned().collect();
        files::write(&dir.join(FILE), &Self { format: 1, epoch: epoch.to_owned(), boot, segments })
    }
}
