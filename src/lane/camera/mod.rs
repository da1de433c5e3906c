//! Plate cameras that push: what they send in one form for all makes, who is believed, and what they are answered.
//!
//! ```text
//!  socket ─ session ─▶ auth (who is it) ─▶ vzenith::push | isapi::event (what does it say) ─▶ desk (what follows)
//!     ▲                                                                                        │ LaneEvent ─▶ lane
//!     └───────────── answer: still, or the one that moves ◀──────────── desk ◀─ LaneCommand ───┘
//! ```
//!
//! A push is believed when its device's [`auth::Auth`] says so and its serial number is the one configured; else it is
//! refused and counted, and nothing of it goes on. Bodies are bounded and never logged: heartbeats carry passwords.

pub mod auth;
pub mod desk;
pub mod digest;
pub mod multipart;
pub mod picture;
pub mod session;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

pub use self::picture::Picture;

use self::picture::Pushed;
use super::vzenith::answer::Fire;
use crate::domain::gate::hardware::{CameraEvent, Input, Moved};
use crate::domain::gate::presented::PlateRead;
use crate::domain::gate::word::{Direction, LaneId};

/// A push, of whatever make.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// Serial number of the camera.
    pub serial: String,
    /// What it says.
    pub what: What,
}

/// What a push says.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A plate, or a vehicle without one.
    Plate(Box<PlatePush>),
    /// An input of the camera, as it counts them.
    Input {
        /// Which: 0 is the first.
        source: u8,
        /// Whether current flows.
        on: bool,
    },
    /// Bytes of a serial line of the camera.
    Serial {
        /// Which line.
        channel: u8,
        /// The bytes.
        data: Vec<u8>,
    },
    /// It is there.
    Heartbeat,
}

/// A push of a plate.
#[derive(Clone, Debug, PartialEq)]
pub struct PlatePush {
    /// The camera's number of the event.
    pub number: u64,
    /// What was read.
    pub read: PlateRead,
    /// The camera had kept it while it was offline.
    pub offline: bool,
    /// Set for a trigger that says what an earlier vehicle did.
    pub moved: Option<Moved>,
    /// The camera's time in seconds since 1970.
    pub sec: Option<i64>,
    /// The camera switched an output by its own list.
    pub opened_by_camera: bool,
    /// The picture, then that of the plate, also those that cannot be taken.
    pub pictures: Vec<Pushed>,
}

/// Why a body is no push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPush {
    /// It is not of the form of its make.
    #[error("not of the form that this make sends")]
    Form,
    /// No kind of message that is known.
    #[error("no kind of message that is known")]
    Kind,
    /// It names no camera.
    #[error("no serial number")]
    Serial,
    /// It lacks what its kind must have.
    #[error("a field is missing that its kind must have")]
    Field,
}

/// A camera as it is configured.
#[derive(Clone, Debug)]
pub struct Camera {
    /// Its id in the configuration; its pushes come to `/<make>/<id>`.
    pub device: String,
    /// The lane that it looks at.
    pub lane: LaneId,
    /// What it speaks.
    pub make: Make,
    /// Its serial number: a push with another one is refused.
    pub serial: String,
    /// Which way the vehicles go that it reads; `None`: as its lane is turned.
    pub looks: Option<Direction>,
    /// A read that is less sure is flagged, 0 to 100.
    pub min_confidence: u8,
    /// How long an answer waits for the decision; then the one that moves nothing is given. 臻识 cameras send again after
    /// some seconds: 1.5 s stay below that, and within the 2 s of GB 50396.
    pub answer_within: Duration,
    /// A read that is older by the camera's clock is passed on as not live; `None`: the clock is not looked at.
    pub max_age: Option<Duration>,
    /// Not heard of for so long, it is down and its inputs are dead. It says that it is there every 5 s.
    pub silent_after: Duration,
    /// How its answer opens; `None`: it has no relay, or none that is used.
    pub fire: Option<Fire>,
    /// Its inputs.
    pub inputs: BTreeMap<u8, Wired>,
    /// How it proves who it is.
    pub auth: auth::Auth,
    /// Where it may come from; `None`: from anywhere that proves itself.
    pub address: Option<IpAddr>,
}

/// What a camera speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// 臻识: HTTP push with an answer.
    Vzenith,
    /// Hikvision: ISAPI event push; its answer says nothing.
    Isapi,
}

impl Make {
    /// The first part of the path that its pushes come to.
    pub fn path(self) -> &'static str {
        match self {
            Self::Vzenith => "vzenith",
            Self::Isapi => "isapi",
        }
    }
}

/// What an input is wired to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wired {
    /// What it stands for.
    pub input: Input,
    /// The contact is closed at rest (常闭): current means rest.
    pub closed_at_rest: bool,
}

impl Wired {
    /// What current, or none, says.
    pub fn means(self, current: bool) -> bool {
        current != self.closed_at_rest
    }
}

/// That an event was seen: kept over a restart, so that its resend is none.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Remembered {
    /// The event.
    pub event: CameraEvent,
    /// The camera's time of it.
    pub sec: Option<i64>,
}

/// Where seen events are kept. `app` joins it to the store.
pub trait Memory: Clone + Send + Sync + 'static {
    /// Begins to keep that an event was seen, and to forget others; never waits. The receiver hears when it is durable, or
    /// is dropped when it will not be: what waits for it goes on after `session::KEPT_WITHIN` at the latest.
    fn remember(&self, seen: Remembered, forget: Vec<CameraEvent>) -> tokio::sync::oneshot::Receiver<()>;
}
