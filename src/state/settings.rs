//! What the configuration settles of this room.

use std::path::PathBuf;
use std::time::Duration;

/// Where pictures of passages are kept, how much, how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Folder.
    pub dir: PathBuf,
    /// Bytes on the disk, at most.
    pub quota_bytes: u64,
    /// How long; days are forgotten whole.
    pub keep: Duration,
}
