//! What goes out: records in streams, each with its number, its times and its meaning. The contract with the platform
//! is in `design.md`, "What the feed promises"; the wire form in `uplink/payload.rs`, the stored form in
//! [`super::codec`].

use std::ops::RangeInclusive;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::document::DocumentKind;
use super::output::{LoopTest, OutputWrite};
use super::reading::Readings;
use super::time::{ClockTrust, Mono, Timestamp};

/// The streams, in order of rank: what goes first to the disk and to the platform, and is dropped last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Alarm transitions.
    Alarm,
    /// Gate passages and the audit.
    Passage,
    /// Boots, clock changes, answers to commands, device links, writes to outputs, loop tests.
    Event,
    /// Registry revisions.
    Registry,
    /// Daily and nil reports.
    Report,
    /// Readings and coverage.
    Telemetry,
}

impl Stream {
    /// All streams by rank.
    pub const ALL: [Stream; 6] =
        [Self::Alarm, Self::Passage, Self::Event, Self::Registry, Self::Report, Self::Telemetry];

    /// Returns the name used for topics and folders.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Passage => "passage",
            Self::Event => "event",
            Self::Registry => "registry",
            Self::Report => "report",
            Self::Telemetry => "telemetry",
        }
    }

    /// Returns the stream of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == name)
    }

    /// Returns the rank, 0 the highest; an index into per-stream arrays.
    pub fn rank(self) -> usize {
        self as usize
    }
}

/// When and under what a record was made. Records of one envelope agree in `boot`, `rev` and `trust`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Start counter of the gateway: +1 with each start of the daemon in this epoch.
    pub boot: u32,
    /// Registry revision under which the body is to be read.
    pub rev: u32,
    /// Monotonic time of the event.
    pub mono: Mono,
    /// Wall time of the event. Never rewritten.
    pub wall: Timestamp,
    /// Trust in `wall`.
    pub trust: ClockTrust,
}

/// A record as the store and the uplink carry it: numbered, stamped, its body encoded by [`super::codec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Contiguous per stream from 1, never reused within an epoch.
    pub seq: u64,
    /// When and under what.
    pub stamp: Stamp,
    /// The encoded [`Body`].
    pub body: Bytes,
}

/// A record before it has a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where it goes.
    pub stream: Stream,
    /// When and under what.
    pub stamp: Stamp,
    /// What it says.
    pub body: Body,
}

/// Whether the world meant it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Real.
    #[default]
    Real,
    /// A drill (演练).
    Drill,
    /// A test.
    Test,
    /// A loop test before commissioning (联调).
    Commissioning,
}

impl Mode {
    /// All modes, in the order of their stored codes.
    pub const ALL: [Mode; 4] = [Self::Real, Self::Drill, Self::Test, Self::Commissioning];

    /// Returns the word used on the wire; real records carry none there.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Drill => "drill",
            Self::Test => "test",
            Self::Commissioning => "commissioning",
        }
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Readings of one device, taken together.
    Samples(Samples),
    /// What was due and what came, for one device and one span.
    Coverage(Coverage),
    /// The gateway started.
    Boot(Boot),
    /// The clock was stepped, or its trust changed.
    Clock(ClockChange),
    /// A registry revision begins; the text is the wire form of the whole revision.
    Registry {
        /// JSON text of the revision, as `config/registry.schema.json` describes it.
        json: String,
    },
    /// A device's connection changed.
    Link {
        /// Index of the device in the revision.
        device: u16,
        /// Whether it answers now.
        up: bool,
        /// Why not, for people; empty when it answers.
        reason: String,
    },
    /// Values that a source had and that were not received.
    SourceGap(SourceGap),
    /// An answer to a command from the platform; the text is its wire form.
    Answer {
        /// JSON text.
        json: String,
    },
    /// A write to an output, or one that was refused. Apart, as the next one: rare, and a record would be twice as large.
    Write(Box<OutputWrite>),
    /// An engineer's loop test of a point.
    LoopTest(Box<LoopTest>),
    /// What a state machine of danger or duty gave out; the text is its wire form.
    Document {
        /// What it tells.
        kind: DocumentKind,
        /// Whether the world meant it.
        mode: Mode,
        /// JSON text of an object.
        json: String,
    },
}

/// Readings of one device at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Index of the device in the registry revision of the stamp.
    pub device: u16,
    /// What the time of the record is.
    pub basis: Basis,
    /// The source's (or its server's) own time, which is then the record's `t`; `None` when it is that of the stamp. The
    /// stamp keeps the gateway's time: a source with a wrong clock must not move the store's idea of old and new.
    pub t: Option<Timestamp>,
    /// Read afterwards from the source's history: fills a hole, says nothing about the present.
    pub historical: bool,
    /// Whether the world meant it.
    pub mode: Mode,
    /// Point ordinal within the device, strictly ascending, and its reading.
    pub cells: Readings,
}

/// What `t` of a record is the time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The middle of request and answer.
    Poll,
    /// The source's own time.
    Source,
    /// When it was received.
    Received,
}

impl Basis {
    /// All bases, in the order of their stored codes.
    pub const ALL: [Basis; 3] = [Self::Poll, Self::Source, Self::Received];

    /// Returns the word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Source => "source",
            Self::Received => "received",
        }
    }
}

/// What was due and what came. Sent per device at least every 60 s, also when nothing changed: so unchanged, missing
/// and off are three different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Index of the device in the registry revision of the stamp.
    pub device: u16,
    /// Start of the span; it ends at the record's own time.
    pub from: Timestamp,
    /// Polls that fell due, over all classes; `ok + bad + skipped` equals it.
    pub due: u32,
    /// Polls answered in full.
    pub ok: u32,
    /// Polls that failed, in whole or in part.
    pub bad: u32,
    /// Polls that fell due while an earlier one was still under way.
    pub skipped: u32,
}

/// Values that a source had and that were not received: a hole that the feed's own numbers cannot show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceGap {
    /// Index of the device in the registry revision of the stamp.
    pub device: u16,
    /// Ordinals of the points concerned, ascending; empty when it may be any of the device's.
    pub points: Vec<u16>,
    /// Time of the last value before the hole, where known.
    pub from: Option<Timestamp>,
    /// Time of the first value after it.
    pub to: Timestamp,
    /// Why.
    pub reason: SourceGapReason,
}

/// Why values of a source were not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceGapReason {
    /// The source's queue of a point was full: it says so by the overflow bit.
    Overflow,
    /// A numbered notification of the source is missing.
    Sequence,
    /// The source could not be reached.
    Outage,
    /// They arrived, and the gateway could not take them in time.
    Gateway,
}

impl SourceGapReason {
    /// All reasons, in the order of their stored codes.
    pub const ALL: [SourceGapReason; 4] = [Self::Overflow, Self::Sequence, Self::Outage, Self::Gateway];

    /// Returns the word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Sequence => "sequence",
            Self::Outage => "outage",
            Self::Gateway => "gateway",
        }
    }
}

/// The gateway started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Software version.
    pub software: String,
    /// Wall time of the last sign of life before this start, where one is known.
    pub last_seen: Option<Timestamp>,
    /// How long the gateway was off, in milliseconds, where both clocks allow to say it.
    pub off_ms: Option<u64>,
    /// Whether the last run ended by an orderly stop.
    pub clean: bool,
}

/// The clock was stepped, or its trust changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockChange {
    /// Trust before.
    pub from: ClockTrust,
    /// Trust now.
    pub to: ClockTrust,
    /// What the step added to the wall clock, in milliseconds; earlier records of this boot are off by it.
    pub offset_ms: i64,
}

/// Numbers of a stream that can not be sent again, and why. Kept in the ledger and sent until acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Number of the entry in the ledger, from 1, contiguous; what the platform acknowledges.
    pub no: u64,
    /// The stream with the hole.
    pub stream: Stream,
    /// The numbers, both ends included.
    pub seqs: RangeInclusive<u64>,
    /// Time of the records around the hole, where known.
    pub from_t: Option<Timestamp>,
    /// See `from_t`.
    pub to_t: Option<Timestamp>,
    /// How many records are missing: exactly, or at most.
    pub count: u64,
    /// Whether `count` is exact; otherwise it is an upper bound.
    pub exact: bool,
    /// Why.
    pub reason: GapReason,
}

/// Why numbers of a stream can not be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapReason {
    /// Reserved before a crash and not known to be stored: an upper bound; what the platform holds of it stands.
    CrashUncommitted,
    /// A segment was damaged; what could be salvaged was.
    Damaged,
    /// The oldest segment made room although it was not delivered.
    Quota,
    /// The stream was full and refuses new records.
    Full,
    /// The writer could not keep up, or the store had failed.
    StoreFailed,
    /// The store was replaced (a new epoch) or its folder vanished.
    StoreReplaced,
    /// A record was too large for any envelope or could not be read under any revision kept.
    Unreadable,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [GapReason; 7] = [
        Self::CrashUncommitted,
        Self::Damaged,
        Self::Quota,
        Self::Full,
        Self::StoreFailed,
        Self::StoreReplaced,
        Self::Unreadable,
    ];

    /// Returns the word used on the wire and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrashUncommitted => "crash_uncommitted",
            Self::Damaged => "damaged",
            Self::Quota => "quota",
            Self::Full => "full",
            Self::StoreFailed => "store_failed",
            Self::StoreReplaced => "store_replaced",
            Self::Unreadable => "unreadable",
        }
    }

    /// Returns the reason of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == name)
    }
}
