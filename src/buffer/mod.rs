//! The durable store: streams of numbered, stamped, opaque records on sled, with what sled lacks added around it.
//!
//! # Promises
//!
//! 1. **Stored** ([`Store::committed`]) means inserted, flushed, and our own fsync of the file succeeded. After any error the
//!    handle is dropped and the records go into a new segment; a failed fsync is never tried again and believed.
//! 2. **Nobody waits for the disk**: [`Appender::append`] gives a number and queues; what cannot be queued is a gap.
//! 3. **No number twice**, and **no silent hole**: every number ever given is stored, deleted in its time, or in the gap
//!    ledger within a second (or found missing, and put there, by the next start).
//! 4. **Damage** costs what it hit: sled's panics are caught, whole batches are salvaged, the rest is a gap `damaged`.
//! 5. **A full disk** costs the oldest telemetry; the store goes on, and recovers alone.
//!
//! # On disk
//!
//! ```text
//! dir/                          mirror_dir/
//!   lock        flock of the one process           marks     } copies; of two the younger counts,
//!   marks       marks.rs: epoch, start, numbers    ledger    } so losing one folder loses no number
//!   ledger      ledger.rs: gaps, append-only
//!   delivered   delivered.rs: what consumers have
//!   journal     journal.rs: 1 MiB, preallocated: alarm and passage while sled fails
//!   ballast     preallocated; given up on a full disk, made anew when there is room
//!   quarantine/<stream>-<first>-<n>/   at most 8 damaged segments, salvaged already (mend.rs)
//!   <stream>/                   alarm passage event registry report telemetry
//!     manifest  manifest.rs: first, last, count, times, bytes, sealed of each segment
//!     <first seq, 16 hex>/      one segment: one sled 0.34 database (conf, db, blobs/, snap.*)
//! ```
//! Key: first seq u64 and part u16, big-endian, in sled trees of at most 64 KiB named by their first key (`segment.rs`
//! says why). Value: a batch of up to 15 KiB, little-endian, with magic and CRC32C (`batch.rs`). Small files: one JSON text
//! with its CRC32C, replaced by write, fsync, rename, fsync of the folder (`files.rs`).
//!
//! # Order of writes (each arrow is a sync)
//!
//! | event | order |
//! |---|---|
//! | new segment | conf, db, blobs, folder, stream folder → manifest → first record |
//! | commit | insert → sled flush → fsync of `db` → `committed` moves |
//! | numbers | marks (store, then mirror; one suffices) → numbers are given |
//! | gap | ledger (store, then mirror; one suffices) → visible in [`Store::gaps`] |
//! | removal over quota | ledger → manifest → folder |
//! | removal in time | manifest → folder |
//! | mending | fresh segment → old to quarantine → fresh takes its name → manifest; the gap beside it. Nothing left: an empty line in the manifest until the ledger has the gap |
//!
//! A crash between two steps leaves what the next start finishes: a folder that the manifest does not name goes, a number
//! that nothing explains becomes a gap (`recovery.rs`).
//!
//! # Threads
//!
//! `store-urgent` (alarm, passage: at once), `store-bulk` (the rest: telemetry by `commit_interval`, others within 50 ms),
//! `store-reader` (reads, time index, verification, salvage; two sealed segments open at most), `store-keeper` (small
//! files, retention, quota, status). Channels before all of them are bounded.
//!
//! # Limits
//!
//! A body is at most 16 MiB ([`MAX_BODY`]). Numbers are reserved 8192 (telemetry) or 512 ahead, more while that does not
//! last a minute, at most 262,144: the upper bound of a gap `crash_uncommitted`. When a dead disk has used them up,
//! [`Appender::append`] gives 0 and counts. Queues: 4096 urgent, 16,384 other records. A segment of telemetry is at most
//! `segment_bytes`, 16 MiB and an eighth of the quota, others 8 MiB; up to three are in memory (one written, two read). At most 4096 delivered ranges per stream and consumer.

mod appender;
mod batch;
mod delivered;
mod files;
mod journal;
mod keeper;
mod ledger;
mod manifest;
mod marks;
mod mend;
mod reader;
mod recovery;
mod report;
mod retention;
mod salvage;
mod segment;
pub mod settings;
mod shared;
mod shelf;
mod store;
mod unstored;
mod writer;

pub use appender::Appender;
pub use batch::MAX_BODY;
pub use reader::{Page, ReadError};
pub use recovery::OpenError;
pub use report::{Report, ReportError, StreamReport, describe};
pub use store::{CloseError, LastSeen, Opened, Start, Store, open};
