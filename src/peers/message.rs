//! What goes between the gateways: an envelope, and one of three things in it. JSON, because engineers look at it.
//!
//! ```text
//! {"v":1, "from":"gw-west", "boot":7, "run":<number>, "say": …}
//!   hello   {"n":12, "heard":[{"gateway":"gw-east","run":…,"n":40}], "digest":"…"}   to all, not kept by the broker
//!   have    {"have":[…], "of":["gw-east","gw-west"]}                                 to one, not kept: what I have; tell me more
//!   events  {"events":[…], "then":"more"|"done"|null}                                to one or all, kept for who is away
//! ```
//! `boot` counts the starts of the gateway, `run` is drawn anew by each start of the sharing: so a gateway knows its own word
//! when the broker gives it back, and another device that bears its name.
//!
//! What is not of this form is refused by [`read`] and [`take`], each with its [`Refusal`], and counted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::topic::Topics;
use crate::domain::gate::inside::{Event, Have};
use crate::domain::gate::word::GatewayId;

/// Version of the envelope. A gateway that does not know one takes nothing of it: gateways of a park are updated one after
/// another, and catch up when all are.
pub const VERSION: u32 = 1;
/// Largest message that is taken: a signed count by name of some ten thousand persons, or what was had of ten thousand starts.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Events are put together up to this size, so that a heartbeat behind them is not late on a thin line.
pub const PART: usize = 48 << 10;
/// Starts of gateways of which one says what it has: three gateways that restart each day for nine years.
pub const MAX_SOURCES: usize = 10_000;
/// Largest number of an event that can be: beyond it JSON of others loses digits, and nobody counts that far.
const MAX_SEQ: u64 = 1 << 53;
/// More versions of one event than people make.
const MAX_VERSION: u32 = 1_000_000;

/// Why something of another gateway is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The name in the envelope is not that of the topic, or none of the park's gateways.
    Forged,
    /// Another device speaks with this gateway's name.
    Twin,
    /// Larger than [`MAX_MESSAGE`].
    TooLarge,
    /// Not of the form.
    Unreadable,
    /// Of another version.
    Version,
    /// Kept by the broker from long ago: nothing is published so.
    Retained,
    /// An event of a gateway that is none of the park's.
    Stranger,
    /// An event that this start of this gateway would have written itself, or a later one.
    Own,
    /// An event whose numbers cannot be.
    Impossible,
}

impl Refusal {
    /// Returns the word in counters and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::Twin => "twin",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Version => "version",
            Self::Retained => "retained",
            Self::Stranger => "stranger",
            Self::Own => "own",
            Self::Impossible => "impossible",
        }
    }
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Gateway.
    pub gateway: GatewayId,
    /// Counts its starts.
    pub boot: u32,
    /// Drawn by each start of the sharing, below 2⁵³.
    pub run: u64,
}

/// That a hello was heard: proof, for who said it, that both ways are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Whose.
    pub gateway: GatewayId,
    /// Of which run.
    pub run: u64,
    /// Its number.
    pub n: u64,
}

/// What comes after a message of events that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// There is more: ask again.
    More,
    /// That was all.
    Done,
}

/// What is said.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Say {
    /// I live, I heard you, and this is the digest of what I have.
    Hello {
        /// Counts the hellos of a run.
        n: u64,
        /// The last hello heard of each peer.
        heard: Vec<Echo>,
        /// See [`digest`].
        digest: String,
    },
    /// This I have, of these gateways: give me what I lack.
    Have {
        /// What I have.
        have: Have,
        /// The gateways whose events I take.
        of: BTreeSet<GatewayId>,
    },
    /// Events; each is read by itself, so that one which is not understood takes no other with it.
    Events {
        /// The events.
        events: Vec<Box<RawValue>>,
        /// Said with the last message of an answer.
        #[serde(default)]
        then: Option<Then>,
    },
}

#[derive(Serialize)]
struct Out<'a> {
    v: u32,
    from: &'a GatewayId,
    boot: u32,
    run: u64,
    say: &'a Say,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct In {
    from: GatewayId,
    boot: u32,
    run: u64,
    say: Say,
}

/// Puts something into its envelope.
pub fn write(speaker: &Speaker, say: &Say) -> Vec<u8> {
    // Nothing in it can fail to be written: no map has keys that are no text.
    let Speaker { gateway, boot, run } = speaker;
    serde_json::to_vec(&Out { v: VERSION, from: gateway, boot: *boot, run: *run, say }).unwrap_or_default()
}

/// Reads a message.
///
/// # Errors
/// Why it is refused.
pub fn read(topics: &Topics, topic: &str, retained: bool, payload: &[u8]) -> Result<(Speaker, Say), Refusal> {
    let from = topics.from(topic).ok_or(Refusal::Forged)?;
    if retained {
        return Err(Refusal::Retained);
    }
    if payload.len() > MAX_MESSAGE {
        return Err(Refusal::TooLarge);
    }
    let Version { v } = serde_json::from_slice(payload).map_err(|_| Refusal::Unreadable)?;
    if v != VERSION {
        return Err(Refusal::Version);
    }
    let read: In = serde_json::from_slice(payload).map_err(|_| Refusal::Unreadable)?;
    if read.from != from {
        return Err(Refusal::Forged);
    }
    if let Say::Have { have, .. } = &read.say {
        check_have(have)?;
    }
    Ok((Speaker { gateway: read.from, boot: read.boot, run: read.run }, read.say))
}

fn check_have(have: &Have) -> Result<(), Refusal> {
    let ranges = have.0.iter().flat_map(|(_, ranges)| ranges);
    let fits = have.0.len() <= MAX_SOURCES && ranges.clone().all(|(first, last)| first <= last && *last <= MAX_SEQ);
    fits.then_some(()).ok_or(Refusal::Impossible)
}

/// Reads an event that a peer gave: one of a gateway of the park, and none that this gateway, `me`, writes itself. What it wrote
/// in earlier starts and has lost is welcome.
///
/// # Errors
/// Why it is refused.
pub fn take(text: &RawValue, me: &Speaker, peers: &BTreeSet<GatewayId>) -> Result<Event, Refusal> {
    let event: Event = serde_json::from_str(text.get()).map_err(|_| Refusal::Unreadable)?;
    let of_park = |gateway: &GatewayId| *gateway == me.gateway || peers.contains(gateway);
    if !of_park(&event.source.gateway) || !of_park(&event.id.source.gateway) {
        return Err(Refusal::Stranger);
    }
    if event.source.gateway == me.gateway && event.source.boot >= me.boot {
        return Err(Refusal::Own);
    }
    let numbers = [event.seq, event.id.n].iter().all(|n| (1..=MAX_SEQ).contains(n));
    let first = event.version != 1 || (event.source == event.id.source && event.seq == event.id.n);
    let possible = numbers && first && (1..=MAX_VERSION).contains(&event.version);
    possible.then_some(event).ok_or(Refusal::Impossible)
}

/// Returns what says in a few digits what somebody has: SHA-256 of it, the first half.
pub fn digest(have: &Have) -> String {
    let text = serde_json::to_vec(have).unwrap_or_default();
    let hash = ring::digest::digest(&ring::digest::SHA256, &text);
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
