//! What the store's tests share: a store in a temporary folder, records that can be told apart, patient waiting.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::allow_attributes,
    reason = "each test uses a part"
)]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use parkgate::buffer::settings::{Settings, StreamSettings};
use parkgate::buffer::{Opened, Store, open};
use parkgate::domain::record::{Stamp, Stream};
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// Wall time of record 0.
const T0: i64 = 1_790_000_000_000;
/// How long a state may take before a test fails: a busy machine, never a measure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A store in a temporary folder.
pub struct Bench {
    _dir: Option<tempfile::TempDir>,
    settings: Settings,
}

impl Bench {
    /// Returns one with small, usual settings.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// Returns one with changed settings.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings_in(dir.path());
        change(&mut settings);
        Self { _dir: Some(dir), settings }
    }

    /// Returns its settings.
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }

    /// Opens it.
    pub fn open(&self) -> Opened {
        open(self.settings(), now()).unwrap()
    }
}

/// Returns the settings of a store below `dir`.
pub fn settings_in(dir: &Path) -> Settings {
    Settings {
        dir: dir.join("store"),
        mirror_dir: dir.join("mirror"),
        quota_bytes: 1 << 30,
        ballast_bytes: 0,
        segment_bytes: 8 << 20,
        commit_interval: Duration::from_millis(50),
        streams: [StreamSettings { retention: Duration::from_secs(30 * 86_400), reserved_bytes: 0 }; 6],
        consumers: vec!["platform".to_owned()],
    }
}

/// Returns a fixed now.
pub fn now() -> Now {
    Now { mono: Mono::default(), wall: Timestamp(T0), trust: ClockTrust::Synced }
}

/// Returns the stamp of record `n`.
pub fn stamp(n: u64) -> Stamp {
    let ms = i64::try_from(n).unwrap() * 20;
    Stamp {
        boot: 1,
        rev: 7,
        mono: Mono::from_millis(n * 20 + n % 3),
        wall: Timestamp(T0 + ms),
        trust: ClockTrust::Synced,
    }
}

/// Returns a body that tells stream and number: some 300 bytes that do not compress, and differ in length.
pub fn body(stream: Stream, n: u64) -> Bytes {
    let mut rng = fastrand::Rng::with_seed(n * 6 + stream.rank() as u64);
    let length = 250 + rng.usize(..100);
    (0..length).map(|_| rng.u8(..)).collect()
}

/// Waits until `seq` is stored.
pub async fn committed_to(store: &Store, stream: Stream, seq: u64) {
    let mut committed = store.committed();
    let stored = committed.wait_for(|all| all[stream.rank()] >= seq);
    tokio::time::timeout(PATIENCE, stored).await.unwrap().unwrap();
}

/// Waits until `state` is true.
pub async fn eventually(what: &str, mut state: impl AsyncFnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if state().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}

/// Says that a test could not run here; a failure where everything must run.
pub fn skip(why: &str) {
    assert!(std::env::var_os("PARKGATE_NO_SKIP").is_none(), "must not be skipped: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Copies a folder and all in it.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
