//! Whether the configuration changed on disk: a stamp to compare, taken every second or so by `app`.
//!
//! Names, lengths and times of change are enough: editors and Excel write a new file or a new time. A stamp that
//! differs says "look"; the new configuration is loaded and validated before anything else happens. A stamp taken while
//! a file is being written differs once more when it is finished, so take it over only when two stamps agree.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::FILES;

/// What the files looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeStamp(Vec<(PathBuf, Option<Look>)>);

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

/// Takes a stamp of the folder's own files and of `also` (secrets, certificates: `Config::files`). A file that is
/// missing or cannot be read is part of the stamp too.
pub fn stamp(dir: &Path, also: &[PathBuf]) -> ChangeStamp {
    let mut paths: Vec<_> = FILES.iter().map(|name| dir.join(name)).chain(also.iter().cloned()).collect();
    paths.sort();
    paths.dedup();
    ChangeStamp(paths.into_iter().map(|path| (path.clone(), look(&path))).collect())
}

fn look(path: &Path) -> Option<Look> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some(Look { modified: meta.modified().ok(), len: meta.len(), inode: meta.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_new_and_a_replaced_file_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("points.csv");
        std::fs::write(&file, "a").unwrap();
        let first = stamp(dir.path(), &[]);
        assert_eq!(stamp(dir.path(), std::slice::from_ref(&file)), first);
        std::fs::write(&file, "ab").unwrap();
        let second = stamp(dir.path(), &[]);
        assert_ne!(second, first);
        std::fs::write(dir.path().join("uplink.toml"), "").unwrap();
        let third = stamp(dir.path(), &[]);
        assert_ne!(third, second);
        std::fs::write(dir.path().join("new"), "ab").unwrap();
        std::fs::rename(dir.path().join("new"), &file).unwrap();
        assert_ne!(stamp(dir.path(), &[]), third);
        std::fs::write(dir.path().join("~$points.csv"), "lock").unwrap();
    }
}
