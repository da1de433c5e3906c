//! The envelope as a receiver reads it: borrowed, its values left as text and counted by a scan. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::account::occurrences::RawAlarm;
use super::account::passages::{RawDecision, RawPassage};

#[derive(Deserialize)]
pub(super) struct RawEnvelope<'a> {
    pub(super) v: u32,
    #[serde(borrow)]
    pub(super) gateway: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) epoch: Cow<'a, str>,
    pub(super) boot: u32,
    #[serde(borrow)]
    pub(super) stream: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) lane: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) clock: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct RawState<'a> {
    #[serde(borrow)]
    pub(super) gateway: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) epoch: Option<Cow<'a, str>>,
    pub(super) boot: Option<u32>,
    #[serde(borrow)]
    pub(super) state: Cow<'a, str>,
    pub(super) next: Option<BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
pub(super) struct Head<'a> {
    pub(super) seq: u64,
    #[serde(borrow)]
    pub(super) t: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) device: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) values: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) quality: Option<&'a RawValue>,
    pub(super) coverage: Option<RawCoverage>,
    #[serde(borrow)]
    pub(super) gap: Option<RawGap<'a>>,
    pub(super) part: Option<RawPart>,
    #[serde(borrow)]
    pub(super) alarm: Option<RawAlarm<'a>>,
    #[serde(borrow)]
    pub(super) passage: Option<RawPassage<'a>>,
    #[serde(borrow)]
    pub(super) decision: Option<RawDecision<'a>>,
    #[serde(borrow)]
    pub(super) unreadable: Option<&'a RawValue>,
}

/// A piece of a record too large for one message.
#[derive(Deserialize)]
pub(super) struct RawPart {
    pub(super) no: u32,
    pub(super) of: u32,
    pub(super) text: String,
}

#[derive(Deserialize)]
pub(super) struct RawCoverage {
    pub(super) due: u64,
    pub(super) ok: u64,
    pub(super) bad: u64,
    pub(super) skipped: u64,
}

#[derive(Deserialize)]
pub(super) struct RawGap<'a> {
    #[serde(borrow)]
    pub(super) stream: Cow<'a, str>,
    pub(super) from_seq: u64,
    pub(super) to_seq: Option<u64>,
    #[serde(borrow)]
    pub(super) reason: Cow<'a, str>,
}

pub(super) struct Parsed<'a> {
    pub(super) text: &'a str,
    pub(super) head: Head<'a>,
    pub(super) values: u64,
    pub(super) nulls: u64,
}

impl<'a> Parsed<'a> {
    /// Reads one record's JSON.
    pub(super) fn of(text: &'a str) -> Result<Self, serde_json::Error> {
        let head: Head<'a> = serde_json::from_str(text)?;
        let (values, nulls) = head.values.map_or((0, 0), |v| count_values(v.get().as_bytes()));
        Ok(Self { text, head, values, nulls })
    }

    /// Time of the record, milliseconds since 1970.
    pub(super) fn t_ms(&self) -> Option<i64> {
        let t: jiff::Timestamp = self.head.t.as_deref()?.parse().ok()?;
        Some(t.as_millisecond())
    }
}

/// Gateway and last level of `parkgate/v1/{park}/{gateway}/{what}`.
pub(super) fn split_topic(topic: &str) -> Option<(&str, &str)> {
    let mut levels = topic.strip_prefix("parkgate/v1/")?.split('/');
    let (_park, gateway, what) = (levels.next()?, levels.next()?, levels.next()?);
    levels.next().is_none().then_some((gateway, what))
}

/// Counts the members of a flat JSON object and the nulls among them, without building anything: one colon outside
/// strings per member, one `n` outside strings per null.
fn count_values(json: &[u8]) -> (u64, u64) {
    let (mut values, mut nulls) = (0, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b':') => values += 1,
            (false, b'n') => nulls += 1,
            (true | false, _) => {}
        }
    }
    (values, nulls)
}

impl Parsed<'_> {
    /// Returns a hash of the content. Whether it was told before it was stored is no part of that.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for piece in self.text.split(r#","unstored":true"#) {
            hasher.write(piece.as_bytes());
        }
        hasher.finish()
    }

    /// Shows every member of `values` with its JSON text.
    pub(super) fn each_value(&self, see: &mut dyn FnMut(&str, &str)) {
        each(self.head.values, see);
    }

    /// Shows every member of `quality` with its word in quotes.
    pub(super) fn each_quality(&self, see: &mut dyn FnMut(&str, &str)) {
        each(self.head.quality, see);
    }
}

/// It was parsed as JSON before; if it is no object there is nothing to show, and `count_values` said 0.
fn each(object: Option<&RawValue>, see: &mut dyn FnMut(&str, &str)) {
    let Some(object) = object else { return };
    serde::de::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_str(object.get()), Each(see)).ok();
}

struct Each<'f>(&'f mut dyn FnMut(&str, &str));

impl<'de> serde::de::Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of values by tag")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((tag, json)) = map.next_entry::<TagText<'de>, &'de RawValue>()? {
            (self.0)(&tag.0, json.get());
        }
        Ok(())
    }
}

/// A key that is borrowed unless it holds escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct TagText<'a>(#[serde(borrow)] Cow<'a, str>);
