//! What the configuration settles of this room.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::gate::picture::PictureKind;

/// Where pictures of passages are kept, how much, how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Folder.
    pub dir: PathBuf,
    /// The key under which they lie there: a file apart from them.
    pub key_file: PathBuf,
    /// Bytes on the disk, at most.
    pub quota_bytes: u64,
    /// How long; days are forgotten whole.
    pub keep: Duration,
    /// Which of them the platform is to get.
    pub send: BTreeSet<PictureKind>,
}
