//! The small files beside the segments (marks, manifests, delivered): one JSON text each, replaced atomically.
//!
//! ```text
//! {json}\n
//! crc32c {8 hex digits: CRC32C of the JSON text with its newline}\n
//! ```
//! A file that does not end in a matching CRC line is damaged as a whole.

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys::disk;

/// What became of reading a small file.
#[derive(Debug)]
pub(super) enum Read<T> {
    /// Whole.
    Good(T),
    /// Not there.
    Absent,
    /// There, and not to be believed.
    Damaged(String),
}

impl<T> Read<T> {
    /// Returns the contents, where they are whole.
    pub(super) fn good(self) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Absent | Self::Damaged(_) => None,
        }
    }
}

/// Reads and checks `path`.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Read<T> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Read::Absent,
        Err(e) => return Read::Damaged(e.to_string()),
    };
    match parse(&bytes) {
        Some(value) => Read::Good(value),
        None => Read::Damaged("the checksum does not match".to_owned()),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let end = bytes.len().checked_sub(TRAILER)?;
    let (text, trailer) = bytes.split_at_checked(end)?;
    (trailer == self::trailer(text).as_bytes()).then(|| serde_json::from_slice(text).ok())?
}

/// `crc32c ` + 8 digits + newline.
const TRAILER: usize = 16;

fn trailer(text: &[u8]) -> String {
    format!("crc32c {:08x}\n", crc32c::crc32c(text))
}

/// Replaces `path` atomically and durably.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    bytes.push(b'\n');
    let trailer = trailer(&bytes);
    bytes.extend_from_slice(trailer.as_bytes());
    disk::write_atomic(path, &bytes)
}

/// Locks, also after a panic of another holder: all states behind these locks are whole between two statements, and a
/// store that stops because one thread panicked would lose more.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_and_any_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert!(matches!(read::<Vec<u64>>(&path), Read::Absent));
        write(&path, &vec![1_u64, 2, 3]).unwrap();
        assert_eq!(read::<Vec<u64>>(&path).good(), Some(vec![1, 2, 3]));
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(read::<Vec<u64>>(&path), Read::Damaged(_)), "byte {at}");
        }
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        assert!(matches!(read::<Vec<u64>>(&path), Read::Damaged(_)));
    }
}
