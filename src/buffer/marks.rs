//! What the numbering needs to survive: epoch, start counter, how far numbers are reserved, the last sign of life.
//!
//! File `marks` (form: `files.rs`), once in the store's folder and once in the mirror. The copy with the larger `write`
//! counts; so one of the two writes is enough, and a lost folder costs nothing that the other still has. **Invariant:**
//! no number above `reserved` has ever been given out.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use crate::domain::record::Stream;

/// Number of streams.
pub(super) const N: usize = Stream::ALL.len();
/// Name of the file.
const FILE: &str = "marks";

/// The last sign of life of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Wall time, ms.
    pub(super) wall: i64,
    /// Time since the machine's start, ms.
    pub(super) mono: u64,
    /// The kernel's id of the machine's boot.
    pub(super) machine: String,
}

/// The contents of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    /// Version of the form, 1.
    pub(super) format: u32,
    /// +1 with each write.
    pub(super) write: u64,
    /// Identity of the store, a ULID.
    pub(super) epoch: String,
    /// Start counter.
    pub(super) boot: u32,
    /// Whether the run ended by `close`.
    pub(super) clean: bool,
    /// Per stream: the largest number that may have been given.
    pub(super) reserved: [u64; N],
    /// Per stream: the last number known to be stored when this was written.
    pub(super) stored: [u64; N],
    /// Per stream: all numbers up to this one are delivered to every consumer, or are in the ledger, or were deleted
    /// in their time.
    pub(super) settled: [u64; N],
    /// The last sign of life.
    pub(super) seen: Option<Seen>,
}

/// What the two copies say.
#[derive(Debug)]
pub(super) struct Found {
    /// The copy that counts.
    pub(super) marks: Option<Marks>,
    /// Whether the one in the store's folder was there and whole.
    pub(super) own: bool,
    /// Whether a copy was there and not to be believed.
    pub(super) damaged: bool,
    /// What was wrong with a copy, for people.
    pub(super) trouble: Vec<String>,
}

/// Reads both copies. Where they name different epochs, the store's own one counts.
pub(super) fn load(dir: &Path, mirror: &Path) -> Found {
    let mut trouble = Vec::new();
    let mut read = |folder: &Path| match files::read::<Marks>(&folder.join(FILE)) {
        files::Read::Good(marks) => Some(marks),
        files::Read::Absent => None,
        files::Read::Damaged(why) => {
            trouble.push(format!("marks in `{}`: {why}", folder.display()));
            None
        }
    };
    let (own, mirrored) = (read(dir), read(mirror));
    let is_own = own.is_some();
    let marks = match (own, mirrored) {
        (Some(a), Some(b)) if a.epoch == b.epoch => Some(newest(a, b)),
        (Some(a), _) => Some(a),
        (None, b) => b,
    };
    Found { marks, own: is_own, damaged: !trouble.is_empty(), trouble }
}

/// The younger of two copies, with the larger of each reservation: a copy whose folder could not be written is old.
fn newest(a: Marks, b: Marks) -> Marks {
    let (mut young, old) = if a.write >= b.write { (a, b) } else { (b, a) };
    if !young.clean {
        for (y, o) in young.reserved.iter_mut().zip(old.reserved) {
            *y = (*y).max(o);
        }
    }
    young
}

impl Marks {
    /// Writes both copies. One that succeeds is enough; what failed with the other is returned for people.
    pub(super) fn store(&self, dir: &Path, mirror: &Path) -> io::Result<Option<String>> {
        let own = files::write(&dir.join(FILE), self);
        let mirrored = files::write(&mirror.join(FILE), self);
        match (own, mirrored) {
            (Ok(()), Ok(())) => Ok(None),
            (Err(e), Ok(())) => Ok(Some(format!("marks in `{}`: {e}", dir.display()))),
            (Ok(()), Err(e)) => Ok(Some(format!("marks in `{}`: {e}", mirror.display()))),
            (Err(e), Err(_)) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(write: u64, reserved: u64) -> Marks {
        Marks { format: 1, write, epoch: "E".into(), boot: 1, reserved: [reserved; N], ..Marks::default() }
    }

    #[test]
    fn the_younger_copy_counts_and_a_lost_folder_costs_nothing() {
        let (dir, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(marks(1, 10).store(dir.path(), mirror.path()).unwrap(), None);
        files::write(&mirror.path().join(FILE), &marks(2, 20)).unwrap();
        assert_eq!(load(dir.path(), mirror.path()).marks.unwrap().reserved, [20; N]);
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        let found = load(dir.path(), mirror.path());
        assert_eq!((found.own, found.marks.unwrap().write), (false, 2));
    }

    #[test]
    fn one_folder_that_cannot_be_written_is_told_and_two_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = Path::new("/proc/nowhere");
        assert!(marks(1, 1).store(dir.path(), nowhere).unwrap().is_some());
        assert!(marks(1, 1).store(nowhere, nowhere).is_err());
    }
}
