//! What is done about a damaged segment: what is whole is salvaged into a fresh one, the old folder goes to quarantine.
//!
//! ```text
//! <stream>/<first>          damaged        build  <stream>/<first>.rebuild  from its whole batches, committed
//!                                          rename <stream>/<first>          to quarantine/<stream>-<first>-<n>
//!                                          rename <stream>/<first>.rebuild  to <stream>/<first>
//! ```
//! A crash between the two renames is finished by [`finish`] at the next start; before them the work is done again.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::batch::Value;
use super::manifest::{Segment, folder};
use super::salvage::{self, Piece};
use super::segment::{Active, SegmentError, db_file, let_go, remove_folder};
use crate::domain::ranges::RangeSet;
use crate::domain::record::Stream;
use crate::sys::disk;

/// Name of the quarantine below the store's folder.
pub(super) const QUARANTINE: &str = "quarantine";
/// Folders kept in quarantine, for an expert to look at. What was whole in them is salvaged already.
const KEEP: usize = 8;
const REBUILD: &str = ".rebuild";
/// Bytes salvaged between two commits; bounds sled's memory.
const CHUNK: usize = 1 << 20;

/// Salvages `segment` of `stream` below the store's folder `dir` and puts the damaged folder away. Returns what there is
/// instead and the numbers in it; `None` when nothing was whole. Numbers above `keep_to` were never committed and are
/// left out.
pub(super) fn rebuild(
    dir: &Path,
    stream: Stream,
    segment: &Segment,
    keep_to: u64,
) -> Result<Option<(Segment, RangeSet)>, SegmentError> {
    let stream_dir = dir.join(stream.as_str());
    let path = stream_dir.join(segment.folder());
    let fresh = stream_dir.join(format!("{}{REBUILD}", segment.folder()));
    if !path.exists() && fresh.exists() {
        // An attempt before this one got as far as here: what it salvaged is all there is.
        std::fs::rename(&fresh, &path)?;
    }
    let pieces = salvage::scan(&db_file(&path), stream)?;
    let covered = salvage::covered(pieces.values().map(|p| &p.header));
    let wanted: Vec<Piece> = pieces
        .into_values()
        .filter(|p| p.header.first >= segment.first && p.header.last() <= keep_to && covered.contains(p.header.first))
        .collect();
    let copied = (!wanted.is_empty()).then(|| copy(&path, &fresh, segment.first, &wanted)).transpose();
    let salvaged = copied.inspect_err(|_| {
        // Half of a copy would only take space; the next attempt makes it anew.
        drop(remove_folder(&fresh));
    })?;
    put_away(dir, stream, segment.first, &path)?;
    if salvaged.is_some() {
        std::fs::rename(&fresh, &path)?;
    }
    disk::sync_dir(&stream_dir)?;
    Ok(salvaged)
}

fn copy(path: &Path, fresh: &Path, first: u64, pieces: &[Piece]) -> Result<(Segment, RangeSet), SegmentError> {
    let file = File::open(db_file(path))?;
    let mut active = Active::create_at(fresh, first)?;
    let mut pending = 0;
    let mut headers = Vec::new();
    for piece in pieces {
        // A value that stopped being whole since the scan is left out; its batch does not count as found.
        let Ok(bytes) = salvage::value(&file, piece) else { continue };
        pending += bytes.len();
        headers.push(piece.header);
        active.put(&Value { header: piece.header, bytes })?;
        if pending >= CHUNK {
            active.commit()?;
            pending = 0;
        }
    }
    active.commit()?;
    let found = salvage::covered(headers.iter());
    let mut segment = active.segment.clone();
    let_go(active);
    segment.sealed = true;
    segment.count = found.len();
    segment.last = found.last().unwrap_or(first.saturating_sub(1));
    segment.bytes = disk::disk_usage(fresh);
    Ok((segment, found))
}

/// Moves the folder `path` into the quarantine; one that is not there is no error.
pub(super) fn put_away(dir: &Path, stream: Stream, first: u64, path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let quarantine = dir.join(QUARANTINE);
    std::fs::create_dir_all(&quarantine)?;
    let name = |n: u32| quarantine.join(format!("{}-{}-{n}", stream.as_str(), folder(first)));
    let free = (0..u32::MAX).map(name).find(|p| !p.exists()).unwrap_or_else(|| name(u32::MAX));
    std::fs::rename(path, &free)?;
    // What is kept too long is no reason to fail: the work on the segment must go on.
    if let Err(error) = prune(&quarantine, KEEP) {
        tracing::warn!(%error, "The quarantine could not be pruned.");
    }
    disk::sync_dir(&quarantine)
}

/// Removes all but the `keep` youngest folders; what else people left there is theirs.
fn prune(quarantine: &Path, keep: usize) -> io::Result<()> {
    let mut folders: Vec<(std::time::SystemTime, PathBuf)> = std::fs::read_dir(quarantine)?
        .flatten()
        .filter_map(|e| e.metadata().ok().filter(std::fs::Metadata::is_dir).map(|m| (m, e.path())))
        .filter_map(|(m, path)| Some((m.modified().ok()?, path)))
        .collect();
    folders.sort();
    let surplus = folders.len().saturating_sub(keep);
    folders.into_iter().take(surplus).try_for_each(|(_, path)| remove_folder(&path))
}

/// Empties the quarantine of the store in `dir`, where records need its space.
pub(super) fn give_up_quarantine(dir: &Path) -> io::Result<()> {
    prune(&dir.join(QUARANTINE), 0)
}

/// Returns how many folders are in the quarantine, and their bytes.
pub(super) fn in_quarantine(dir: &Path) -> (u64, u64) {
    let quarantine = dir.join(QUARANTINE);
    let n = std::fs::read_dir(&quarantine).map_or(0, |entries| entries.flatten().count());
    (n as u64, disk::disk_usage(&quarantine))
}

/// Finishes what a crash interrupted in the stream's folder: see the module's head.
pub(super) fn finish(stream_dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(stream_dir)?.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(first) = name.strip_suffix(REBUILD) else { continue };
        let target = stream_dir.join(first);
        if target.exists() {
            remove_folder(&path)?;
        } else {
            std::fs::rename(&path, &target)?;
        }
        disk::sync_dir(stream_dir)?;
    }
    Ok(())
}
