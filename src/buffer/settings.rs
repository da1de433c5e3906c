//! What the store must know; validated by `config`.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::record::Stream;

/// Settings of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Folder of the segments, manifests and the ledger.
    pub dir: PathBuf,
    /// Folder of the mirror: epoch, high-water marks and ledger once more, outside the store.
    pub mirror_dir: PathBuf,
    /// Bytes all segments together may take, measured on disk.
    pub quota_bytes: u64,
    /// Size of the ballast file that is given up to get out of a full disk.
    pub ballast_bytes: u64,
    /// On-disk size at which a segment is closed, 1 MiB..=64 MiB.
    pub segment_bytes: u64,
    /// Longest time telemetry waits for its commit, 50 ms..=1 s.
    pub commit_interval: Duration,
    /// Per stream, by rank.
    pub streams: [StreamSettings; Stream::ALL.len()],
    /// Consumers that must have a record before it may go, e.g. `platform`. Empty where there is no uplink.
    pub consumers: Vec<String>,
}

/// Settings of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// How long records are kept, delivered or not.
    pub retention: Duration,
    /// Bytes that no lower stream may take.
    pub reserved_bytes: u64,
}
