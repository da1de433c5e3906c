//! What the field tells the core. A fault of the field is data here: a poll that failed is a poll whose readings have
//! the quality `comm`, not an error that climbs.

use std::time::Duration;

use super::id::DeviceSlot;
use super::reading::Readings;
use super::record::SourceGapReason;
use super::time::{Mono, Timestamp};

/// A device that has not answered for this long has lost all its points, whenever they were read: from then on they are
/// `comm`, and all are asked for at once when it answers again. A shorter break costs only the polls that fell into it: on a
/// noisy bus each lost frame is one.
pub const LOST_AFTER: Duration = Duration::from_secs(10);

/// One message from a field reader.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldEvent {
    /// One request was answered, or failed.
    Sample(Sample),
    /// One poll (all requests of one class of one device) ended.
    Poll(Poll),
    /// The device's connection changed.
    Link(LinkChange),
    /// Values that a source had and that were not received. Apart: rare, and every event would be larger.
    Gap(Box<GapNotice>),
}

/// The readings of one request, or of one time of a source that sends by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The device as configured when it was asked.
    pub slot: DeviceSlot,
    /// Middle of request and answer; of a failed request, the time it was given up.
    pub at: Mono,
    /// Whose time the readings have.
    pub origin: Origin,
    /// Point ordinal within the device, ascending, and what was read.
    pub readings: Readings,
}

/// Whose time readings have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// They were asked for: [`Sample::at`] is the time.
    #[default]
    Polled,
    /// The source sent them with a time of its own.
    Source(Timestamp),
    /// The source sent them without a time of its own: the server's, else that of [`Sample::at`].
    Received(Option<Timestamp>),
    /// Read afterwards from the source's history, with the source's time: they fill a hole in the record and say nothing
    /// about the present.
    History(Timestamp),
}

/// Values that a source had and that were not received, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapNotice {
    /// The device as configured.
    pub slot: DeviceSlot,
    /// When it was noticed.
    pub at: Mono,
    /// Ordinals of the points concerned, ascending; empty when it may be any of the device's.
    pub points: Vec<u16>,
    /// Time of the last value before the hole, where known.
    pub from: Option<Timestamp>,
    /// Time of the first value after it.
    pub to: Timestamp,
    /// Why.
    pub reason: SourceGapReason,
}

/// The account of one poll: coverage is computed from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The device as configured when it was asked.
    pub slot: DeviceSlot,
    /// Index of the poll class within the device.
    pub class: u8,
    /// When it was due.
    pub due: Mono,
    /// When its first request was sent; `due` when none was (the device is in back-off).
    pub started: Mono,
    /// When it ended.
    pub ended: Mono,
    /// Whether every request was answered with usable registers.
    pub ok: bool,
    /// Polls of this class that fell due before this one while it or an earlier one was still under way.
    pub skipped: u32,
}

/// A change of a device's connection.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkChange {
    /// The device as configured.
    pub slot: DeviceSlot,
    /// When.
    pub at: Mono,
    /// The state now.
    pub state: LinkState,
}

/// State of a device's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Connecting for the first time.
    Connecting,
    /// Answering.
    Up,
    /// Not answering; tried again after `retry`.
    Down {
        /// Why, for people: "connection refused", "no answer within 1 s".
        reason: String,
        /// Delay until the next try.
        retry: Duration,
    },
}
