//! The folder and the disk: everything `config` reads from the machine.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Largest file read. A point table of 200,000 rows has about 30 MB.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Reads a file of bounded size; never waits on a pipe or a device.
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("more than 64 MiB"));
    }
    Ok(bytes)
}

/// Returns the files of a folder whose names end in `.extension`, by name, at most so many; none when there is no folder.
pub(super) fn files_in(folder: &Path, extension: &str, most: usize) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == extension)).take(most).collect();
    files.sort();
    files
}

/// The disk under a folder that may not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    /// Size of the file system in bytes.
    pub(super) total: u64,
    /// Bytes free to us, what already lies in the folder included.
    pub(super) usable: u64,
}

/// Looks at the disk under `folder`; `None` when the system does not say.
pub(super) fn disk(folder: &Path) -> Option<Disk> {
    let folder = &std::path::absolute(folder).ok()?;
    let there = folder.ancestors().find(|p| p.is_dir())?;
    let stat = statvfs(there).ok()?;
    let block = stat.fragment_size();
    let used = if there == folder.as_path() { bytes_in(folder, 0) } else { 0 };
    let free = block.saturating_mul(stat.blocks_available());
    Some(Disk { total: block.saturating_mul(stat.blocks()), usable: free.saturating_add(used) })
}

/// Depth of the store: folder, stream, segment, files.
const MAX_DEPTH: u8 = 4;

fn bytes_in(folder: &Path, depth: u8) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() && depth < MAX_DEPTH => bytes_in(&entry.path(), depth + 1),
        Ok(meta) => meta.blocks().saturating_mul(512),
        Err(_) => 0,
    });
    sizes.fold(0, u64::saturating_add)
}
