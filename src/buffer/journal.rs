//! The journal: where alarm and passage records go while sled fails. One preallocated file, so that a full disk does not
//! stop it; values in the form of `batch.rs` one after the other from offset 0, synced after each.
//!
//! Once sled has the records, the journal starts at offset 0 again; what older values it still holds are of numbers that
//! are stored, and are skipped at start for that reason. At start everything in it above the last stored number is put
//! into the segments before the store opens.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::batch::{self, HEADER};
use super::marks::N;
use super::salvage;
use super::shared::Shared;
use crate::domain::record::{Entry, Stream};
use crate::sys::disk;

const FILE: &str = "journal";
/// Size of the file: some thousand alarms.
const BYTES: u64 = 1 << 20;

/// The open journal. One owner: the urgent writer.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    at: u64,
    /// Per stream the last number that is in it.
    last: [u64; N],
}

/// Returns the path of the journal.
fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Returns the records of `stream` that the journal holds, ascending.
pub(super) fn entries(dir: &Path, stream: Stream) -> io::Result<Vec<Entry>> {
    let path = path(dir);
    let pieces = salvage::scan(&path, stream)?;
    if pieces.is_empty() {
        return Ok(Vec::new());
    }
    let file = File::open(&path)?;
    let mut entries = Vec::new();
    let mut body = Vec::new();
    let mut due = (0, 0);
    for piece in pieces.values() {
        let h = piece.header;
        if h.part == 0 {
            body.clear();
        } else if due != (h.first, h.part) {
            continue;
        }
        due = (h.first, h.part.saturating_add(1));
        body.extend_from_slice(salvage::value(&file, piece)?.get(HEADER..).unwrap_or_default());
        if due.1 == h.parts {
            entries.extend(batch::decode(&h, std::mem::take(&mut body)).unwrap_or_default());
        }
    }
    Ok(entries)
}

/// Removes the journal; one that is not there is no error.
pub(super) fn forget(dir: &Path) -> io::Result<()> {
    disk::remove_file_if_there(&path(dir))
}

impl Journal {
    /// Opens the journal, preallocating it where it is not there.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = path(dir);
        if std::fs::metadata(&path).map_or(0, |m| m.len()) < BYTES {
            disk::allocate(&path, BYTES)?;
        }
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Self { file, at: 0, last: [0; N] })
    }

    /// Takes in what of `pending` it does not have yet; says so in the store's durable numbers. Returns the last number
    /// of the stream that it holds, 0 for none.
    pub(super) fn rescue(&mut self, shared: &Shared, stream: Stream, pending: &[Entry]) -> u64 {
        let last = self.last.get(stream.rank()).copied().unwrap_or(0);
        let new = pending.get(pending.partition_point(|e| e.seq <= last)..).unwrap_or_default();
        let Some(end) = new.last().map(|e| e.seq) else { return last };
        match self.write(stream, new) {
            Ok(()) => {
                if let Some(last) = self.last.get_mut(stream.rank()) {
                    *last = end;
                }
                shared.set_trouble("journal", None);
                shared.durable(stream, end);
                end
            }
            Err(error) => {
                shared.set_trouble("journal", Some(format!("应急日志失败 (journal failed): {error}")));
                last
            }
        }
    }

    fn write(&mut self, stream: Stream, new: &[Entry]) -> io::Result<()> {
        let bytes: Vec<u8> = batch::encode(stream, new).into_iter().flat_map(|v| v.bytes).collect();
        let end = self.at.saturating_add(bytes.len() as u64);
        if end > BYTES {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the journal is full"));
        }
        self.file.write_all_at(&bytes, self.at)?;
        self.file.sync_data()?;
        self.at = end;
        Ok(())
    }

    /// Takes down that the segments have all of `stream` that it had; when they have all of both, it starts anew.
    pub(super) fn settled(&mut self, shared: &Shared, stream: Stream) {
        if let Some(last) = self.last.get_mut(stream.rank()) {
            *last = 0;
        }
        if self.last.iter().all(|n| *n == 0) {
            self.at = 0;
        }
        shared.set_trouble("journal", None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::buffer::settings::{Settings, StreamSettings};
    use crate::domain::record::Stamp;
    use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

    fn entry(seq: u64) -> Entry {
        let stamp =
            Stamp { boot: 1, rev: 1, mono: Mono::from_secs(seq), wall: Timestamp(9), trust: ClockTrust::Synced };
        Entry { seq, stamp, body: vec![u8::try_from(seq).unwrap(); 40].into() }
    }

    #[test]
    fn what_only_the_journal_has_is_in_the_store_after_the_next_start_and_in_no_gap() {
        let dir = tempfile::tempdir().unwrap();
        let stream = StreamSettings { retention: Duration::from_secs(1000), reserved_bytes: 0 };
        let settings = Settings {
            dir: dir.path().join("store"),
            mirror_dir: dir.path().join("mirror"),
            quota_bytes: 1 << 30,
            ballast_bytes: 0,
            segment_bytes: 8 << 20,
            commit_interval: Duration::from_millis(50),
            streams: [stream; N],
            consumers: vec![],
        };
        let now = Now { mono: Mono::default(), wall: Timestamp(9), trust: ClockTrust::Synced };
        crate::buffer::open(settings.clone(), now).unwrap().store.kill();
        let mut journal = Journal::open(&settings.dir).unwrap();
        journal.write(Stream::Alarm, &[entry(1), entry(2)]).unwrap();
        journal.write(Stream::Passage, &[entry(1)]).unwrap();
        journal.write(Stream::Alarm, &[entry(3)]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for _ in 0..2 {
                let opened = crate::buffer::open(settings.clone(), now).unwrap();
                let page = opened.store.read(Stream::Alarm, 1..=100, usize::MAX).await.unwrap();
                assert_eq!(page.entries, [entry(1), entry(2), entry(3)]);
                assert_eq!(opened.store.read(Stream::Passage, 1..=9, 9).await.unwrap().entries, [entry(1)]);
                let gaps = opened.store.gaps(1, 99).await;
                let starts = |s| gaps.iter().filter(|g| g.stream == s).map(|g| *g.seqs.start()).collect::<Vec<_>>();
                assert_eq!((starts(Stream::Alarm), starts(Stream::Passage)), (vec![4], vec![2]));
                opened.store.close().await.unwrap();
            }
        });
    }
}
