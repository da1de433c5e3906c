//! What the page asks of the gateway. The app implements [`Park`] over the engine, the store and the uplink.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::gate::gates::view::GatesView;
use crate::domain::id::Tag;
use crate::domain::reading::Reading;
use crate::domain::registry::PointSpec;
use crate::domain::snapshot::{
    BusStatus, ClockStatus, ConfigStatus, OpcUaStatus, PeersStatus, Snapshot, StoreStatus, UplinkStatus,
};
use crate::domain::time::{Now, Timestamp};

/// The gateway as the page sees it. Cheap to clone; every method may be called at any time from any connection.
pub trait Park: Clone + Send + Sync + 'static {
    /// Returns who this gateway is.
    fn identity(&self) -> Identity;
    /// Asks the engine for its view of the field; `None` when it does not answer.
    fn snapshot(&self) -> impl Future<Output = Option<Arc<Snapshot>>> + Send;
    /// Asks for the gates as they stand.
    fn gates(&self) -> impl Future<Output = Gates> + Send {
        std::future::ready(Gates::Absent)
    }
    /// Waits until an alarm or the site has changed since the state of this number, and returns the number of the new one:
    /// viewers then need not wait for the next second. Never, where nobody tells.
    fn news(&self, seen: u64) -> impl Future<Output = u64> + Send {
        let _ = seen;
        std::future::pending()
    }
    /// Returns the store as it stands.
    fn store(&self) -> Arc<StoreStatus>;
    /// Returns the uplink as it stands.
    fn uplink(&self) -> Arc<UplinkStatus>;
    /// Returns how sharing with the park's other gateways stands.
    fn peers(&self) -> Arc<PeersStatus> {
        Arc::default()
    }
    /// Returns the configuration on disk against the one in force.
    fn config(&self) -> Arc<ConfigStatus> {
        Arc::default()
    }
    /// Returns the OPC UA sources as they stand.
    fn opcua(&self) -> OpcUaStatus {
        OpcUaStatus::default()
    }
    /// Returns what was counted where devices of the gates call: door, kind of push, message or refusal, how many since the start.
    fn gate_calls(&self) -> Vec<(&'static str, &'static str, u64)> {
        Vec::new()
    }
    /// Returns the field buses as they stand, by id.
    fn buses(&self) -> Vec<Arc<BusStatus>>;
    /// Returns the clock as it stands.
    fn clock(&self) -> ClockStatus;
    /// Returns all clocks at this instant.
    fn now(&self) -> Now;
    /// Returns whether the process lives and may be relied upon.
    fn ready(&self) -> Readiness;
    /// Reads the last hour of a point from the kept segments.
    fn trend(&self, tag: &str) -> impl Future<Output = Result<Trend, TrendError>> + Send;
    /// Returns a picture of a passage as JPEG, 0 the whole, 1 the plate; `None` where there is none, or none any more. Whoever
    /// asks must have the right to see it: it is personal data.
    fn picture(&self, passage: &str, number: u8) -> impl Future<Output = Option<Vec<u8>>> + Send;
    /// Returns the software's version.
    fn version(&self) -> &'static str;
}

/// What is known of the gates. Not asked, not answered and nothing going on are three things.
#[derive(Clone, Debug, Default)]
pub enum Gates {
    /// The configuration has none.
    #[default]
    Absent,
    /// There are gates, and nothing is known of them: they do not answer.
    Silent,
    /// How they stand.
    View(Arc<GatesView>),
}

/// Who the gateway is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Id of the park on the wire.
    pub park: String,
    /// Logical id of the gateway on the wire.
    pub gateway: String,
    /// Its name for people, Chinese first.
    pub name: String,
    /// Epoch of the store, a ULID.
    pub epoch: String,
    /// Start counter.
    pub boot: u32,
}

/// Whether the process lives, and whether it does its work. The uplink is not part of it: an outage of the city link
/// must never restart anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// All loops give signs of life.
    pub live: bool,
    /// The store writes and the engine answers.
    pub ready: bool,
    /// What is missing, for people; empty when both are true.
    pub reasons: Vec<String>,
}

/// The recorded past of one point.
///
/// Records are made by exception, so a value stands until the next sample, but no longer than [`Trend::hold`]: beyond
/// it nothing is known, and nothing is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    /// The point.
    pub tag: Tag,
    /// Start of the span asked for.
    pub from: Timestamp,
    /// Its end, usually now.
    pub to: Timestamp,
    /// Recorded readings in the order of their times. One that is older than `from` may stand first.
    pub samples: Vec<TrendSample>,
    /// Spans of which nothing is known although samples stand around them: gaps of the store, time the gateway was off.
    pub holes: Vec<(Timestamp, Timestamp)>,
    /// How long a value stands after its sample when none follows; see [`Trend::hold_of`].
    pub hold: Duration,
}

impl Trend {
    /// Returns how long a recorded value of this point stands: its longest silence, and two polls of grace.
    pub fn hold_of(spec: &PointSpec) -> Duration {
        spec.max_silence.saturating_add(spec.interval.saturating_mul(2))
    }
}

/// One recorded reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrendSample {
    /// Wall time of the record.
    pub at: Timestamp,
    /// What was recorded.
    pub reading: Reading,
}

/// Why there is no trend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrendError {
    /// No point has this tag now.
    #[error("no point has the tag `{0}`")]
    Unknown(String),
    /// The store did not give it.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
}
