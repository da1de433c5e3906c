//! Files that must survive a power cut: atomic replacement, directory syncs, locks, and the space that is left.
//!
//! A rename is durable only after an fsync of the file before it and of the folder after it; a new file only after an
//! fsync of its folder. `nix` wraps `flock` and `statvfs` safely; nothing here needs `unsafe`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// Returns the bytes that an unprivileged process may still write on the file system of `path`.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// Makes the entries of the folder `dir` durable.
///
/// # Errors
/// The folder cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes the contents of the file `path` durable.
///
/// # Errors
/// The file cannot be opened or synced.
pub fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Replaces `path` by `bytes`: after a power cut it holds the old or the new contents, never a mixture.
///
/// # Errors
/// Writing, syncing or renaming failed; then the old contents stand.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let tmp = with_suffix(path, ".tmp");
    let mut file = File::create(&tmp)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&tmp, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Takes the exclusive lock of the file `path`, creating it; `None` when another process holds it.
///
/// # Errors
/// The file cannot be created or locked for another reason.
pub fn lock_exclusive(path: &Path) -> io::Result<Option<Flock<File>>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Returns the bytes that the files below `dir` take on the disk; what cannot be read counts nothing.
pub fn disk_usage(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_usage(&entry.path()),
            Ok(meta) => allocated(&meta),
            Err(_) => 0,
        })
        .sum()
}

/// Returns the bytes that one file takes on the disk.
pub fn allocated(meta: &std::fs::Metadata) -> u64 {
    meta.blocks().saturating_mul(512)
}

/// Creates `path` with `bytes` really allocated (not sparse) and durable.
///
/// # Errors
/// There is no room, or writing failed; then nothing is left behind.
pub fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    let result = fill(path, bytes);
    if result.is_err() {
        // The half-written file would keep the space it was meant to guard.
        remove_file_if_there(path)?;
    }
    result
}

fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let length = i64::try_from(bytes).unwrap_or(i64::MAX);
    // posix_fallocate works on file systems without extents too: there the C library writes zeroes.
    nix::fcntl::posix_fallocate(&file, 0, length)?;
    file.flush()?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes the file `path`; one that is not there is no error.
///
/// # Errors
/// The file is there and cannot be removed.
pub fn remove_file_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Returns whether the error means that there is no space left (disk, quota of the file system, or size limit).
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atomic_write_replaces_the_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, b"a longer text").unwrap();
        write_atomic(&path, b"short").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert!(!dir.path().join("f.tmp").exists());
    }

    #[test]
    fn a_second_lock_on_the_same_file_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = lock_exclusive(&path).unwrap();
        assert!(first.is_some());
        assert!(lock_exclusive(&path).unwrap().is_none());
        drop(first);
        assert!(lock_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn an_allocated_file_takes_its_space() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ballast");
        allocate(&path, 1 << 20).unwrap();
        assert!(disk_usage(dir.path()) >= 1 << 20);
        assert!(free_bytes(dir.path()).is_some());
    }
}
