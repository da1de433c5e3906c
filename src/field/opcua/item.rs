//! The points of one device as the server is asked to watch them, each for itself: a node that the server refuses does not
//! take its neighbours along, and is asked for again, ever more rarely.

use std::sync::Arc;
use std::time::Duration;

use super::super::scaling::Scaling;
use super::super::settings::opcua::OpcUaDevice;
use crate::domain::id::DeviceSlot;
use crate::domain::reading::Reading;
use crate::domain::time::{Mono, Timestamp};

/// First wait before a refused node is asked for again; it doubles up to [`LAST_RETRY`]. A server that restarts often has its
/// nodes a moment later than its endpoint.
pub const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Longest wait: a node that was mistyped costs one request in this time.
pub const LAST_RETRY: Duration = Duration::from_secs(300);

/// Which point: of which device, and its ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemRef {
    /// The device.
    pub slot: DeviceSlot,
    /// The point's ordinal in it.
    pub ordinal: u16,
}

/// One point.
#[derive(Debug)]
pub struct Item {
    /// How its number becomes a value.
    pub scaling: Scaling,
    /// Whether the server watches it.
    pub state: ItemState,
    /// The last reading that the server gave.
    pub last: Option<Reading>,
    /// The time that came with it.
    pub last_t: Option<Timestamp>,
    /// The time of the first value since it is watched.
    pub first_t: Option<Timestamp>,
    /// When a reading of it was last handed on; `None` after an outage: it is handed on again at the next sign of life.
    pub told: Option<Mono>,
    /// Whether it was said that it is no number.
    pub complained: bool,
    retry: Duration,
}

/// Whether the server watches a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemState {
    /// To be asked for.
    Wanted,
    /// Asked for, not answered.
    Asked,
    /// Watched, under the server's number for it.
    Watched(u32),
    /// Refused; asked for again later.
    Refused {
        /// When.
        again: Mono,
    },
}

impl Item {
    /// Returns the items of a device, all to be asked for.
    pub fn all(device: &Arc<OpcUaDevice>) -> Vec<Self> {
        let item = |scaling| Self {
            scaling,
            state: ItemState::Wanted,
            last: None,
            last_t: None,
            first_t: None,
            told: None,
            complained: false,
            retry: FIRST_RETRY,
        };
        device.points.iter().map(|p| item(Scaling::new(p.scale, p.offset, p.decimals, p.range).of(p.signal))).collect()
    }

    /// Returns whether it should be asked for now.
    pub fn is_due(&self, now: Mono) -> bool {
        match self.state {
            ItemState::Wanted => true,
            ItemState::Refused { again } => again <= now,
            ItemState::Asked | ItemState::Watched(_) => false,
        }
    }

    /// Notes that the server watches it.
    pub fn watched(&mut self, id: u32) {
        self.state = ItemState::Watched(id);
        self.retry = FIRST_RETRY;
    }

    /// Notes that the server refused it.
    pub fn refused(&mut self, now: Mono) {
        self.state = ItemState::Refused { again: now + self.retry };
        self.retry = (self.retry * 2).min(LAST_RETRY);
        self.last = None;
    }

    /// Notes that the subscription is gone.
    pub fn forgotten(&mut self) {
        self.state = ItemState::Wanted;
        self.retry = FIRST_RETRY;
        self.last = None;
        self.first_t = None;
    }
}
