//! The record of one transition: the stored form, the wire form, and what a restart is replayed from are this one object.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::super::actor::Actor;
use super::super::document::{Document, DocumentKind};
use super::super::order::Receipt;
use super::super::reading::{Quality, Value};
use super::super::record::Mode;
use super::super::time::{Mono, Timestamp};
use super::severity::{Class, Priority, Recipient};
use super::state::{Cause, State};

/// One occurrence: from the moment an alarm leaves normal until it is normal again. Unique in the epoch, because no boot
/// number comes twice. Written `17-42`: boot 17, the 42nd of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Occ {
    /// Boot in which it began.
    pub boot: u32,
    /// Which of that boot, from 1.
    pub n: u32,
}

impl fmt::Display for Occ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.boot, self.n)
    }
}

/// A text that is no occurrence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` 不是报警发生号，应如 17-42 / is no occurrence such as 17-42")]
pub struct NoOcc(pub String);

impl FromStr for Occ {
    type Err = NoOcc;

    fn from_str(text: &str) -> Result<Self, NoOcc> {
        let parts = text.split_once('-').and_then(|(boot, n)| Some((boot.parse().ok()?, n.parse().ok()?)));
        parts.map(|(boot, n)| Self { boot, n }).ok_or_else(|| NoOcc(text.to_owned()))
    }
}

impl Serialize for Occ {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Occ {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// One transition of an alarm, or a note within a state ([`Cause::is_note`], then `from` and `to` are the same).
///
/// Absent members are left out. Times are the wall clock's as it stood then, to be told and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmRecord {
    /// Id of the alarm: `<tag or device>.<kind>`.
    pub alarm: Arc<str>,
    /// The occurrence.
    pub occ: Occ,
    /// Number of this record within the occurrence, from 1, without holes.
    pub n: u32,
    /// When it happened.
    pub t: Timestamp,
    /// Identity of the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Arc<str>>,
    /// Tag of the point (位号).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Arc<str>>,
    /// Device of the point, or the device itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Arc<str>>,
    /// Zone (区域).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Arc<str>>,
    /// Kind of the alarm: the last part of its id.
    pub rule: Arc<str>,
    /// What kind of danger.
    pub class: Class,
    /// Level, from 1; of an alarm that latches, the highest until it is reset (GB 16808); of one that is not active, the last
    /// one. 0 for one that never was.
    pub level: u8,
    /// The level that is measured now, where the latch holds a higher one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now_level: Option<u8>,
    /// Highest level of the occurrence.
    pub peak_level: u8,
    /// How bad that level is.
    pub priority: Priority,
    /// Where it stood.
    pub from: State,
    /// Where it stands.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// What the alarm says, Chinese first.
    pub text: Arc<str>,
    /// Value of the point as it stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The worst value of the occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<f64>,
    /// Its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Arc<str>>,
    /// Limit of the level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Quality of the value as it stood; absent when nothing was read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Revision of the limits.
    pub limits_rev: u32,
    /// When the occurrence was last raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t_active: Option<Timestamp>,
    /// When that was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t_ack: Option<Timestamp>,
    /// When its cause went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t_clear: Option<Timestamp>,
    /// Whether it was the first of its group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_out: bool,
    /// Who did it; absent for what happened by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// The second person, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Actor>,
    /// What the person said: comment of an acknowledgement, reason of a shelving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Until when it is shelved or out of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How long that is, in milliseconds: what counts, should the clock be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Where it stands beneath, while it is hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneath: Option<State>,
    /// Who was told, or what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// Whether the world meant it.
    pub mode: Mode,
}

/// One step of an escalation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which step, from 1.
    pub step: u8,
    /// By which channel.
    pub channel: Arc<str>,
    /// Who.
    pub to: Recipient,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

impl AlarmRecord {
    /// Returns the document that is stored and sent.
    pub fn document(&self, at: Mono) -> Document {
        Document::of(DocumentKind::Alarm, self.mode, at, self)
    }
}

/// Returns a value as records have it: a 32-bit float by its shortest form, so that 23.4 is not 23.399999618530273.
pub fn told_value(value: Value) -> f64 {
    match value {
        Value::Single(v) => v.to_string().parse().unwrap_or_else(|_| f64::from(v)),
        Value::Number(_) | Value::Integer(_) | Value::Counter(_) | Value::Bool(_) => value.as_f64(),
    }
}
