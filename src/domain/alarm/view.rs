//! What the machine gives out: outputs to be carried on, and what stands, for the page, the command line and the platform.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::document::Document;
use super::super::order::Order;
use super::super::time::{Mono, Timestamp};
use super::record::AlarmRecord;

/// One output, in the order in which things happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A transition of an alarm, to be stored and sent: [`AlarmRecord::document`]. The daily report counts them.
    Alarm {
        /// When.
        at: Mono,
        /// The transition.
        record: Box<AlarmRecord>,
    },
    /// Another word to be stored and sent: an instrument entered or left a state ([`InstrumentRecord`]).
    Document(Document),
    /// Something to be done: a horn, a lamp, a message.
    Order(Order),
    /// Something other machines want to know.
    Fact(Fact),
}

impl Output {
    /// Returns what is to be stored of it; orders and facts are not stored by themselves.
    pub fn document(&self) -> Option<Document> {
        match self {
            Self::Alarm { at, record } => Some(record.document(*at)),
            Self::Document(document) => Some(document.clone()),
            Self::Order(_) | Self::Fact(_) => None,
        }
    }
}

/// What other machines want to know. Told whenever it changes, and whole after a start, a reload and a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The gas alarms of a zone that stand active (B or C, of mode real): not those that are latched only, nor those that
    /// are shelved or out of service. A level is the latched one: gas that fell from level 2 to level 1 is still gas in the
    /// air, and a rule such as "two detectors at level 2" must not take its word back while a cloud drifts from one
    /// detector to the next. What was measured clean counts no more, reset or not: a rule is about gas that is there, and one that
    /// counts what nobody has reset since the morning teaches people to reject it.
    Gas {
        /// The zone; detectors without one are never told.
        zone: Arc<str>,
        /// Highest level, 0 when there is none.
        level: u8,
        /// Tag and level of every detector of the zone that stands at level 1 or above, by tag.
        detectors: Vec<(Arc<str>, u8)>,
    },
}

/// One alarm that is not normal, as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveAlarm {
    /// Its last transition; `n` there is that of the last record, which an acknowledgement may name.
    #[serde(flatten)]
    pub last: AlarmRecord,
    /// Whether its cause is there, as far as is known, also beneath a shelf.
    pub active: bool,
    /// Whether its point gives no measurement, so that nobody knows whether the cause is still there.
    pub stale: bool,
    /// For how long it has been active without a pause, in seconds.
    pub active_for_s: u64,
    /// Time left on the shelf or out of service, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_s: Option<u64>,
    /// Whether it comes and goes three times a minute or more.
    pub chattering: bool,
    /// What may be behind it.
    pub likely_cause: String,
    /// What to do.
    pub response: String,
    /// The responsible persons, where it belongs to a major hazard source: main, technical, operating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<[String; 3]>,
}

/// All alarms that are not normal, as the platform gets them on connect, hourly and on request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveSet {
    /// Revision of the limits.
    pub limits_rev: u32,
    /// SHA-256, in hex, over `alarm occ n state` and a line feed for each, in order of alarm id.
    pub hash: String,
    /// How many of them are active, unacknowledged, shelved, suppressed, out of service.
    pub counts: Counts,
    /// They, in order of alarm id.
    pub alarms: Vec<ActiveEntry>,
    /// Instruments that are not measuring, by tag.
    pub instruments: Vec<InstrumentView>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveEntry {
    /// Id of the alarm.
    pub alarm: Arc<str>,
    /// The occurrence, as text.
    pub occ: super::record::Occ,
    /// Number of its last record.
    pub n: u32,
    /// Where it stands.
    pub state: super::state::State,
    /// Level.
    pub level: u8,
    /// Whether its point gives no measurement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// Counts (rule 95).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Standing active and not hidden.
    pub active: usize,
    /// To be acknowledged.
    pub unacked: usize,
    /// Latched, waiting for a reset.
    pub latched: usize,
    /// On the shelf.
    pub shelved: usize,
    /// Suppressed by design.
    pub suppressed: usize,
    /// Out of service.
    pub out_of_service: usize,
    /// Active without a pause for longer than 24 h.
    pub stale: usize,
    /// With three raises or more within the last minute.
    pub chattering: usize,
    /// Raises within the last ten minutes.
    pub last_10_min: u64,
    /// Whether these are more than ten: a flood.
    pub flood: bool,
    /// Most raises within ten minutes since the start.
    pub peak_10_min: u64,
}

/// An instrument that is not measuring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstrumentView {
    /// Identity of its point.
    pub uid: Arc<str>,
    /// Tag of its point.
    pub tag: Arc<str>,
    /// What it is doing: a word of [`super::super::instrument::InstrumentState`].
    pub state: Arc<str>,
    /// Since when.
    pub since: Timestamp,
    /// For how long, in seconds.
    pub for_s: u64,
    /// How long it may, in seconds, where that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_s: Option<u64>,
}

/// An instrument entered a state other than monitoring, or left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstrumentRecord {
    /// Identity of its point.
    pub uid: Arc<str>,
    /// Tag of its point.
    pub tag: Arc<str>,
    /// Its device.
    pub device: Arc<str>,
    /// What it was doing.
    pub from: Arc<str>,
    /// What it is doing now.
    pub to: Arc<str>,
    /// When.
    pub t: Timestamp,
    /// How long it did what it was doing, in milliseconds; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasted_ms: Option<u64>,
    /// Highest level that the controller's own bits told in that time: what a bump test or a simulation came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level_seen: Option<u8>,
}
