//! The wire form of records and envelopes (`config/envelope.schema.json` is the published description).
//!
//! ```json
//! {"v":1,"gateway":"gw-east","epoch":"01K…","boot":17,"reg":42,"stream":"telemetry","lane":"live","clock":"synced",
//!  "sent_at":"2026-11-23T08:00:01.250Z","records":[…]}
//! ```
//!
//! Each record has `seq`, `t` (RFC 3339, UTC, ms; `null` only for a gap whose times are unknown) and exactly one of:
//!
//! | member | what |
//! |---|---|
//! | `values` | with `basis`, `device`; `quality` names what is not good; `mode` only when not real; `historical` only of what
//! |          | was read afterwards from the source's history |
//! | `coverage` | `{device, from, to, due, ok, bad, skipped}` |
//! | `boot` | `{software, last_seen, off_ms, clean}` |
//! | `clock` | `{from, to, offset_ms}` |
//! | `registry` | the revision |
//! | `link` | `{device, up, reason}` |
//! | `answer` | the answer to a command |
//! | `source_gap` | `{device, points, from, to, reason}`: values that the source had and that were not received |
//! | `write` | `{output, device, value, raw, seen, result, detail, issuer, key, elapsed_ms}`; `mode` only when not real |
//! | `loop_test` | `{point, device, issuer, expected, read, quality, passed, detail}`; `mode` always `commissioning` |
//! | `alarm`, `active_alarms`, `site`, `report`, `duty`, `accident`, `hazard`, `audit`, `service`, `message` | what a state machine of
//! |          | danger or duty gave out: an object of its own; `mode` only when not real |
//! | `gap` | `{epoch, stream, from_seq, to_seq, from_t, to_t, count, exact, reason}` |
//! | `part` | `{no, of, text}`: a record too large for one message; the texts 1..=of together are the record's JSON |
//! | `unreadable` | `{why}`: the record is stored but can not be told: its revision is gone, it is damaged, or beyond all limits |
//!
//! `unstored: true` marks a record told before it was stored; should it be lost in the store, a gap may name its number
//! as well, and the record told stands.
//!
//! Tags and device names are escaped once per revision ([`REVISIONS`] are kept); a record costs one decode and one pass
//! of writing.

use std::collections::BTreeMap;

use crate::domain::codec;
use crate::domain::record::{Entry, Gap, Stamp};
use crate::domain::time::{ClockTrust, Timestamp};

use super::body::{Revision, head, member, number, text, time_of};
use super::feed::Feed;
use super::json;
use super::source::Registries;

/// Revisions whose keys are kept ready: the current one, the one before, and what a backlog goes through.
pub const REVISIONS: usize = 4;
/// Closes what [`Writer::open`] opened.
pub const CLOSE: &[u8] = b"]}";

/// In which lane an envelope travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// As it happens.
    Live,
    /// What could not be delivered when it happened.
    History,
}

impl Lane {
    /// Returns the word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::History => "history",
        }
    }
}

/// What all records of one envelope agree in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Start counter.
    pub boot: u32,
    /// Registry revision.
    pub rev: u32,
    /// Trust in wall time.
    pub trust: ClockTrust,
}

impl From<&Stamp> for Group {
    fn from(stamp: &Stamp) -> Self {
        Self { boot: stamp.boot, rev: stamp.rev, trust: stamp.trust }
    }
}

/// How a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// In its own form.
    Whole,
    /// As `unreadable`.
    Unreadable,
}

/// Writes records and envelopes of one gateway.
#[derive(Debug)]
pub struct Writer<R> {
    registries: R,
    gateway: String,
    epoch: String,
    /// `None` where a revision is not kept: it is not looked for again with each of its records.
    revisions: BTreeMap<u32, Option<Revision>>,
}

impl<R: Registries> Writer<R> {
    /// Returns a writer for `gateway` within `epoch`.
    pub fn new(registries: R, gateway: &str, epoch: &str) -> Self {
        Self { registries, gateway: gateway.to_owned(), epoch: epoch.to_owned(), revisions: BTreeMap::new() }
    }

    /// Appends the head of an envelope, up to the opening bracket of its records. [`CLOSE`] ends it.
    pub fn open(&self, out: &mut Vec<u8>, feed: Feed, lane: Lane, group: Group, sent_at: Timestamp) {
        out.extend_from_slice(b"{\"v\":1,\"gateway\":");
        json::string(out, &self.gateway);
        out.extend_from_slice(b",\"epoch\":");
        json::string(out, &self.epoch);
        out.extend_from_slice(b",\"boot\":");
        json::unsigned(out, group.boot.into());
        out.extend_from_slice(b",\"reg\":");
        json::unsigned(out, group.rev.into());
        out.extend_from_slice(b",\"stream\":\"");
        out.extend_from_slice(feed.as_str().as_bytes());
        out.extend_from_slice(b"\",\"lane\":\"");
        out.extend_from_slice(lane.as_str().as_bytes());
        out.extend_from_slice(b"\",\"clock\":\"");
        out.extend_from_slice(group.trust.as_str().as_bytes());
        out.extend_from_slice(b"\",\"sent_at\":");
        json::time(out, sent_at);
        out.extend_from_slice(b",\"records\":[");
    }

    /// Appends a record of a stream.
    pub fn record(&mut self, out: &mut Vec<u8>, entry: &Entry, unstored: bool) -> Written {
        let at = out.len();
        let why = match self.try_record(out, entry, unstored) {
            Ok(()) => return Written::Whole,
            Err(why) => why,
        };
        out.truncate(at);
        unreadable(out, entry.seq, entry.stamp.wall, &why);
        Written::Unreadable
    }

    /// Appends an entry of the gap ledger.
    pub fn gap(&self, out: &mut Vec<u8>, gap: &Gap) {
        head(out, gap.no, gap.to_t.or(gap.from_t));
        out.extend_from_slice(b",\"gap\":{\"epoch\":");
        json::string(out, &self.epoch);
        text(out, "stream", gap.stream.as_str());
        number(out, "from_seq", *gap.seqs.start());
        number(out, "to_seq", *gap.seqs.end());
        member(out, "from_t");
        json::time_or_null(out, gap.from_t);
        member(out, "to_t");
        json::time_or_null(out, gap.to_t);
        number(out, "count", gap.count);
        member(out, "exact");
        json::boolean(out, gap.exact);
        text(out, "reason", gap.reason.as_str());
        out.extend_from_slice(b"}}");
    }

    fn try_record(&mut self, out: &mut Vec<u8>, entry: &Entry, unstored: bool) -> Result<(), String> {
        let revision = self.revision(entry.stamp.rev).ok_or("its registry revision is not kept")?;
        let body = codec::decode(&entry.body, &revision.registry).map_err(|e| e.to_string())?;
        head(out, entry.seq, Some(time_of(&body).unwrap_or(entry.stamp.wall)));
        revision.body(out, &body, entry.stamp.wall)?;
        if unstored {
            out.extend_from_slice(b",\"unstored\":true");
        }
        out.push(b'}');
        Ok(())
    }

    fn revision(&mut self, rev: u32) -> Option<&Revision> {
        if !self.revisions.contains_key(&rev) {
            let found = self.registries.get(rev).map(Revision::new);
            if self.revisions.len() >= REVISIONS {
                self.revisions.pop_first();
            }
            self.revisions.insert(rev, found);
        }
        self.revisions.get(&rev)?.as_ref()
    }
}

/// Appends a record that can not be told.
pub fn unreadable(out: &mut Vec<u8>, seq: u64, t: Timestamp, why: &str) {
    head(out, seq, Some(t));
    out.extend_from_slice(b",\"unreadable\":{\"why\":");
    json::string(out, why);
    out.extend_from_slice(b"}}");
}

/// Appends part `no` of `of` of a record whose JSON is too large for one message.
pub fn part(out: &mut Vec<u8>, seq: u64, t: Timestamp, (no, of): (usize, usize), chunk: &str) {
    head(out, seq, Some(t));
    out.extend_from_slice(b",\"part\":{\"no\":");
    json::unsigned(out, no as u64);
    number(out, "of", of as u64);
    text(out, "text", chunk);
    out.extend_from_slice(b"}}");
}

/// Splits `text` so that each chunk takes at most `room` bytes once escaped (at least one character each).
pub fn chunks(text: &str, room: usize) -> Vec<&str> {
    let mut chunks = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, c) in text.char_indices() {
        let cost = match c {
            '"' | '\\' => 2,
            '\0'..='\x1f' => 6,
            _ => c.len_utf8(),
        };
        if size + cost > room && at > start {
            chunks.extend(text.get(start..at));
            (start, size) = (at, 0);
        }
        size += cost;
    }
    chunks.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    chunks
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
