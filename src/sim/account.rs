//! The account that a receiver keeps of the feed. Pure; fed with topic and payload of every message received.
//!
//! It checks the contract of `design.md`, "What the feed promises": version, gateway, stream against topic, numbers
//! ascending within an envelope and, for numbers seen for the first time, within each lane of a stream; a number that
//! comes again must carry the same record ([`Account::strict`]); what is missing must stand in a gap record.
//! [`Account::close`] says whether it all adds up: every number up to `next` received or inside a gap.
//!
//! ```text
//!  envelope ──▶ refused (Fault: counted, nothing taken)      not JSON, wrong version, gateway, stream, boot
//!     │
//!     └──▶ records ──▶ fresh | repeated                      Blemish: Order, Changed, Descending, Coverage: counted
//!  gap       ──▶ explained ranges by reason                  what was received all the same stands
//!  state     ──▶ `next` per stream; a change to online opens a session: each lane may begin anew
//! ```
//!
//! An order fault is a number seen for the *first* time below the lane's highest of this session. Repeats may go back as
//! far as they like: a sender that lost its session cannot know what arrived.
//!
//! Values are not parsed: they are counted by a scan, so that one core takes well over 1,000,000 of them per second.
//! [`Account::take_with`] hands each to a callback for oracles such as a counter register.

use std::collections::{BTreeMap, HashMap};

use self::occurrences::Occurrences;
use self::passages::Passages;
use super::ages::Ages;
use super::envelope::{Parsed, RawEnvelope, RawState, split_topic};
pub use super::findings::{Blemish, Channel, Closing, Fault, Lane, Receipt, Seen, State, Taken, Totals};
use crate::domain::ranges::RangeSet;
use crate::domain::reading::Quality;
use crate::domain::record::Stream;
use crate::domain::time::Now;

/// Numbers whose content a strict account remembers, per channel: 4 M at some 20 bytes. Beyond it repeats are counted
/// in [`Account::unchecked`].
const MAX_HASHES: usize = 4_000_000;
/// Ranges in one `ack`: at 20 bytes each the message stays below the 10 KB a stock client accepts.
const MAX_ACK_RANGES: usize = 400;
/// Records whose parts are awaited; a sender sends the parts of one after those of another.
const MAX_PARTED: usize = 64;
/// Parts of one record: 64 KiB each, 64 MiB together.
const MAX_PARTS: u32 = 1_024;
/// Blemishes kept in words; the rest is only counted.
const MAX_BLEMISHES: usize = 100;

/// The account of one gateway.
#[derive(Debug, Default)]
pub struct Account {
    strict: bool,
    gateway: Option<String>,
    parts: Parts,
    epochs: BTreeMap<String, Epoch>,
    current: Option<String>,
    online: Option<(bool, Option<u32>)>,
    totals: Totals,
    order_faults: u64,
    changed: u64,
    unchecked: u64,
    blemishes: Vec<Blemish>,
    live_ages: Ages,
    history_ages: Ages,
}

#[derive(Debug, Default)]
struct Epoch {
    occurrences: Occurrences,
    passages: Passages,
    channels: BTreeMap<Channel, Numbers>,
    gaps: BTreeMap<Stream, BTreeMap<String, RangeSet>>,
    next: Option<[u64; 6]>,
}

#[derive(Debug, Default)]
struct Numbers {
    held: RangeSet,
    /// Boot of the last live envelope: a stream has one session, so an older boot can not come after it.
    live_boot: u32,
    /// Highest fresh number of this session by lane.
    high: BTreeMap<Lane, u64>,
    hashes: HashMap<u64, u64>,
}

impl Account {
    /// Returns an empty account that believes a repeated number without looking at its content.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an empty account that remembers a hash of every record, so that a changed repeat is found.
    pub fn strict() -> Self {
        Self { strict: true, ..Self::default() }
    }

    /// Takes one message, received at `received`.
    ///
    /// # Errors
    /// A message that is not of the contract is refused as a whole, counted, and changes nothing else.
    pub fn take(&mut self, topic: &str, payload: &[u8], received: Now) -> Result<Receipt, Fault> {
        self.receive(topic, payload, received, None)
    }

    /// Takes one message like [`Account::take`] and shows every value of it to `see`.
    ///
    /// # Errors
    /// See [`Account::take`].
    pub fn take_with(
        &mut self,
        topic: &str,
        payload: &[u8],
        received: Now,
        see: &mut dyn FnMut(Seen<'_>),
    ) -> Result<Receipt, Fault> {
        self.receive(topic, payload, received, Some(see))
    }

    /// Tells the account that the sender may begin anew in each lane (the receiver itself reconnected).
    pub fn mark_session(&mut self) {
        for numbers in self.epochs.values_mut().flat_map(|e| e.channels.values_mut()) {
            numbers.high.clear();
        }
    }

    /// Returns the epoch of the last envelope or state.
    pub fn epoch(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// Returns the numbers received in the current epoch.
    pub fn held(&self, channel: impl Into<Channel>) -> RangeSet {
        let channel = channel.into();
        self.now_epoch().and_then(|e| e.channels.get(&channel)).map(|n| n.held.clone()).unwrap_or_default()
    }

    /// Returns how many numbers were received in the current epoch.
    pub fn count(&self, channel: impl Into<Channel>) -> u64 {
        let channel = channel.into();
        self.now_epoch().and_then(|e| e.channels.get(&channel)).map_or(0, |n| n.held.len())
    }

    /// Returns the numbers that gap records of the current epoch explain, by reason.
    pub fn gaps(&self, stream: Stream) -> BTreeMap<String, RangeSet> {
        self.now_epoch().and_then(|e| e.gaps.get(&stream)).cloned().unwrap_or_default()
    }

    /// Returns `next` per stream as the last state message of the current epoch gave it.
    pub fn next(&self) -> Option<[u64; 6]> {
        self.now_epoch().and_then(|e| e.next)
    }

    /// Returns whether the last state message said online; `None` before the first.
    pub fn online(&self) -> Option<bool> {
        self.online.map(|(online, _)| online)
    }

    /// Returns the counters.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Returns the first blemishes in words.
    pub fn blemishes(&self) -> &[Blemish] {
        &self.blemishes
    }

    /// Returns how many repeats a strict account could not compare because its memory was full.
    pub fn unchecked(&self) -> u64 {
        self.unchecked
    }

    /// Returns the ages of values (time of the record to its receipt) of a lane since the last [`Account::reset_ages`].
    pub fn ages(&self, lane: Lane) -> &Ages {
        match lane {
            Lane::Live => &self.live_ages,
            Lane::History => &self.history_ages,
        }
    }

    /// Forgets the ages, to measure from now on.
    pub fn reset_ages(&mut self) {
        self.live_ages = Ages::default();
        self.history_ages = Ages::default();
    }

    /// Returns the JSON by which the platform acknowledges what it holds of a channel; `None` when it holds nothing.
    /// Beyond [`MAX_ACK_RANGES`] ranges the oldest are named, the rest when these have grown together.
    pub fn ack_message(&self, epoch: &str, channel: impl Into<Channel>) -> Option<String> {
        let channel = channel.into();
        let held = &self.epochs.get(epoch)?.channels.get(&channel)?.held;
        let ranges: Vec<[u64; 2]> = held.iter().take(MAX_ACK_RANGES).map(|r| [*r.start(), *r.end()]).collect();
        (!ranges.is_empty())
            .then(|| serde_json::json!({"epoch": epoch, "stream": channel.as_str(), "stored": ranges}).to_string())
    }

    /// Closes the account of the current epoch against `next`: the number that each stream would give next, by rank.
    pub fn close(&self, next: [u64; 6]) -> Closing {
        let mut closing = Closing {
            duplicates: self.totals.duplicates,
            order_faults: self.order_faults,
            changed: self.changed,
            refused: self.totals.refused,
            ..Closing::default()
        };
        for (stream, next) in Stream::ALL.into_iter().zip(next) {
            self.close_stream(stream, next, &mut closing);
        }
        // What the stream has lost, or still owes, an occurrence may lack.
        let owed = closing.unexplained.iter().any(|(stream, _)| *stream == Stream::Alarm);
        let explained = owed || !self.gaps(Stream::Alarm).is_empty();
        closing.alarms = self.now_epoch().map(|epoch| epoch.occurrences.close(explained)).unwrap_or_default();
        closing.passages = self.now_epoch().map(|epoch| epoch.passages.close()).unwrap_or_default();
        closing
    }

    fn close_stream(&self, stream: Stream, next: u64, closing: &mut Closing) {
        let held = self.held(stream);
        closing.received += held.len();
        let mut explained = held.clone();
        for ranges in self.gaps(stream).values() {
            for range in ranges.iter() {
                // A gap that reaches beyond what was ever numbered loses nothing there.
                closing.lost += explained.insert(*range.start()..=(*range.end()).min(next.saturating_sub(1)));
            }
        }
        let mut from = 1;
        while let Some(hole) = explained.first_hole(from..=next.saturating_sub(1)) {
            from = hole.end().saturating_add(1);
            closing.unexplained.push((stream, hole));
        }
        if let Some(last) = held.last().filter(|last| *last >= next) {
            closing.beyond.push((stream, next..=last));
        }
    }

    fn now_epoch(&self) -> Option<&Epoch> {
        self.epochs.get(self.current.as_ref()?)
    }

    fn receive(&mut self, topic: &str, payload: &[u8], now: Now, see: See<'_>) -> Result<Receipt, Fault> {
        let taken = self.dispatch(topic, payload, now, see);
        match &taken {
            Ok(_) => {
                self.totals.messages += 1;
                self.totals.bytes += u64::try_from(payload.len()).unwrap_or(u64::MAX);
            }
            Err(_) => self.totals.refused += 1,
        }
        taken
    }

    fn dispatch(&mut self, topic: &str, payload: &[u8], now: Now, see: See<'_>) -> Result<Receipt, Fault> {
        let (gateway, what) = split_topic(topic).ok_or_else(|| Fault::Topic(topic.to_owned()))?;
        let unreadable = |e: serde_json::Error| Fault::Json { topic: topic.to_owned(), why: e.to_string() };
        if what == "state" {
            let raw: RawState<'_> = serde_json::from_slice(payload).map_err(unreadable)?;
            self.check_gateway(raw.gateway.as_deref().unwrap_or(gateway), gateway)?;
            return Ok(Receipt::State(self.take_state(&raw)));
        }
        let channel = Channel::from_name(what).ok_or_else(|| Fault::Topic(topic.to_owned()))?;
        let raw: RawEnvelope<'_> = serde_json::from_slice(payload).map_err(unreadable)?;
        self.check_gateway(&raw.gateway, gateway)?;
        let lane = self.check_envelope(&raw, channel)?;
        let pieces =
            raw.records.iter().map(|r| Parsed::of(r.get())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let whole = self.parts.join(&raw.epoch, channel, &pieces);
        let records = match &whole {
            None => pieces,
            Some(texts) => texts.iter().map(|t| Parsed::of(t)).collect::<Result<Vec<_>, _>>().map_err(unreadable)?,
        };
        check_gaps(channel, &records)?;
        self.gateway = Some(raw.gateway.clone().into_owned());
        Ok(Receipt::Records(self.take_records(&raw, channel, lane, &records, now, see)))
    }

    fn check_gateway(&self, found: &str, by_topic: &str) -> Result<(), Fault> {
        let expected = self.gateway.as_deref().unwrap_or(by_topic);
        if found == by_topic && found == expected {
            return Ok(());
        }
        let expected = if found == by_topic { expected } else { by_topic };
        Err(Fault::Gateway { found: found.to_owned(), expected: expected.to_owned() })
    }

    fn check_envelope(&self, raw: &RawEnvelope<'_>, channel: Channel) -> Result<Lane, Fault> {
        if raw.v != 1 {
            return Err(Fault::Version(raw.v));
        }
        if raw.stream != channel.as_str() {
            let found = raw.stream.clone().into_owned();
            return Err(Fault::StreamName { found, expected: channel.as_str().to_owned() });
        }
        if !matches!(raw.clock.as_ref(), "synced" | "holdover" | "unsynced") {
            return Err(Fault::Clock(raw.clock.clone().into_owned()));
        }
        let lane = match raw.lane.as_ref() {
            "live" => Lane::Live,
            "history" => Lane::History,
            other => return Err(Fault::LaneName(other.to_owned())),
        };
        let numbers = self.epochs.get(raw.epoch.as_ref()).and_then(|e| e.channels.get(&channel));
        let known = numbers.map_or(0, |n| n.live_boot);
        // The ledger outlives boots; its envelope carries the boot that sends it.
        if raw.boot == 0 || (lane == Lane::Live && channel != Channel::Gap && raw.boot < known) {
            return Err(Fault::Boot { found: raw.boot, known });
        }
        Ok(lane)
    }

    fn take_state(&mut self, raw: &RawState<'_>) -> State {
        let online = raw.state == "online";
        let next = raw.next.as_ref().map(|next| Stream::ALL.map(|s| next.get(s.as_str()).copied().unwrap_or(1)));
        let opens = online
            && match self.online {
                Some((true, boot)) => boot.is_some() && raw.boot.is_some() && boot != raw.boot,
                Some((false, _)) | None => true,
            };
        if opens {
            self.mark_session();
        }
        self.online = Some((online, raw.boot));
        let epoch = raw.epoch.as_ref().map(|e| e.clone().into_owned());
        if let Some(epoch) = &epoch {
            if next.is_some() {
                self.epochs.entry(epoch.clone()).or_default().next = next;
            }
            // A last will may be of a store that has been replaced since.
            if online || next.is_some() {
                self.current = Some(epoch.clone());
            }
        }
        State { epoch, boot: raw.boot, online, opens, next }
    }

    fn take_records(
        &mut self,
        raw: &RawEnvelope<'_>,
        channel: Channel,
        lane: Lane,
        records: &[Parsed<'_>],
        now: Now,
        mut see: See<'_>,
    ) -> Taken {
        let epoch_name = raw.epoch.as_ref().to_owned();
        let of = |stream| channel == Channel::from(stream);
        let epoch = self.epochs.entry(epoch_name.clone()).or_default();
        let numbers = epoch.channels.entry(channel).or_default();
        if lane == Lane::Live && raw.boot > numbers.live_boot {
            numbers.live_boot = raw.boot;
            numbers.high.clear();
        }
        let mut tally = Tally { strict: self.strict, ..Tally::default() };
        for record in records {
            let fresh = numbers.note(channel, lane, record, &mut tally);
            if let Some(alarm) = record.head.alarm.as_ref().filter(|_| fresh && of(Stream::Alarm)) {
                epoch.occurrences.take(alarm);
            }
            if let Some(passage) = record.head.passage.as_ref().filter(|_| fresh && of(Stream::Passage)) {
                epoch.passages.take(record.head.seq, passage);
            }
            if let Some(decision) = record.head.decision.as_ref().filter(|_| fresh && of(Stream::Passage)) {
                epoch.passages.take_decision(decision);
            }
            tally.count(record, fresh);
            if let Some(see) = see.as_deref_mut() {
                show(record, lane, raw.boot, fresh, see);
            }
        }
        for record in records {
            epoch.note_gap(record);
        }
        self.current = Some(epoch_name.clone());
        self.add_ages(lane, records, now, &tally);
        let taken = Taken {
            channel,
            lane,
            epoch: epoch_name,
            boot: raw.boot,
            seqs: records.first().zip(records.last()).map(|(a, b)| a.head.seq..=b.head.seq),
            fresh: tally.fresh,
            repeated: tally.repeated,
            values: tally.values,
            blemishes: u64::try_from(tally.blemishes.len()).unwrap_or(u64::MAX),
        };
        self.book(channel, tally);
        taken
    }

    fn add_ages(&mut self, lane: Lane, records: &[Parsed<'_>], now: Now, tally: &Tally) {
        let ages = match lane {
            Lane::Live => &mut self.live_ages,
            Lane::History => &mut self.history_ages,
        };
        for (record, fresh) in records.iter().zip(&tally.fresh_flags) {
            if let (true, Some(t_ms)) = (*fresh && record.values > 0, record.t_ms()) {
                ages.add(now.wall.0.saturating_sub(t_ms), record.values);
            }
        }
    }

    fn book(&mut self, channel: Channel, tally: Tally) {
        if channel != Channel::Gap {
            self.totals.records += tally.fresh;
            self.totals.duplicates += tally.repeated;
        }
        self.totals.values += tally.values;
        self.totals.nulls += tally.nulls;
        self.totals.qualities.iter_mut().zip(tally.qualities).for_each(|(total, more)| *total += more);
        self.totals.coverages += tally.coverages;
        self.totals.polls_due += tally.polls_due;
        self.totals.polls_ok += tally.polls_ok;
        self.totals.unreadable += tally.unreadable;
        self.unchecked += tally.unchecked;
        for blemish in tally.blemishes {
            match &blemish {
                // The ledger is sent again and again in its own order; nothing follows from it.
                Blemish::Order { channel: Channel::Gap, .. } => continue,
                Blemish::Order { .. } | Blemish::Descending { .. } => self.order_faults += 1,
                Blemish::Changed { .. } | Blemish::Coverage { .. } => self.changed += 1,
            }
            if self.blemishes.len() < MAX_BLEMISHES {
                self.blemishes.push(blemish);
            }
        }
    }
}

type See<'s> = Option<&'s mut dyn FnMut(Seen<'_>)>;

impl Epoch {
    fn note_gap(&mut self, record: &Parsed<'_>) {
        let Some(gap) = &record.head.gap else { return };
        let Some(stream) = Stream::from_name(&gap.stream) else { return };
        let reasons = self.gaps.entry(stream).or_default();
        let to = gap.to_seq.unwrap_or(u64::MAX);
        reasons.entry(gap.reason.clone().into_owned()).or_default().insert(gap.from_seq..=to);
    }
}

impl Numbers {
    /// Enters one number; returns whether it is fresh.
    fn note(&mut self, channel: Channel, lane: Lane, record: &Parsed<'_>, tally: &mut Tally) -> bool {
        let seq = record.head.seq;
        if tally.last.replace(seq).is_some_and(|last| seq <= last) {
            tally.blemishes.push(Blemish::Descending { channel, seq });
        }
        let fresh = self.held.insert(seq..=seq) == 1;
        if fresh {
            let high = self.high.entry(lane).or_default();
            if seq < *high {
                tally.blemishes.push(Blemish::Order { channel, lane, seq, after: *high });
            }
            *high = seq.max(*high);
        }
        if tally.strict {
            self.compare(channel, record, fresh, tally);
        }
        fresh
    }

    fn compare(&mut self, channel: Channel, record: &Parsed<'_>, fresh: bool, tally: &mut Tally) {
        let seq = record.head.seq;
        let hash = record.hash();
        match self.hashes.get(&seq) {
            Some(known) if *known != hash => tally.blemishes.push(Blemish::Changed { channel, seq }),
            Some(_) => {}
            None if self.hashes.len() < MAX_HASHES && fresh => {
                self.hashes.insert(seq, hash);
            }
            None => tally.unchecked += 1,
        }
    }
}

/// Records that come in parts: `{"seq":…,"part":{"no":1,"of":3,"text":"…"}}`; their texts joined are the record's JSON,
/// and the number counts as received when the last of them is there.
#[derive(Debug, Default)]
struct Parts {
    awaited: BTreeMap<(String, Channel, u64), BTreeMap<u32, String>>,
}

impl Parts {
    /// Returns the whole records of an envelope, parts joined where complete; `None` when it holds no part.
    fn join(&mut self, epoch: &str, channel: Channel, pieces: &[Parsed<'_>]) -> Option<Vec<String>> {
        pieces
            .iter()
            .any(|p| p.head.part.is_some())
            .then(|| pieces.iter().filter_map(|piece| self.add(epoch, channel, piece)).collect())
    }

    fn add(&mut self, epoch: &str, channel: Channel, piece: &Parsed<'_>) -> Option<String> {
        let Some(part) = &piece.head.part else { return Some(piece.text.to_owned()) };
        if part.no == 0 || part.no > part.of || part.of > MAX_PARTS {
            return None;
        }
        let key = (epoch.to_owned(), channel, piece.head.seq);
        let texts = self.awaited.entry(key.clone()).or_default();
        texts.insert(part.no, part.text.clone());
        if u32::try_from(texts.len()).is_ok_and(|n| n >= part.of) {
            return self.awaited.remove(&key).map(|texts| texts.into_values().collect());
        }
        if self.awaited.len() > MAX_PARTED {
            self.awaited.pop_first();
        }
        None
    }
}

/// What one envelope adds.
#[derive(Default)]
struct Tally {
    strict: bool,
    last: Option<u64>,
    fresh_flags: Vec<bool>,
    fresh: u64,
    repeated: u64,
    values: u64,
    nulls: u64,
    qualities: [u64; Quality::ALL.len()],
    coverages: u64,
    polls_due: u64,
    polls_ok: u64,
    unreadable: u64,
    unchecked: u64,
    blemishes: Vec<Blemish>,
}

impl Tally {
    fn count(&mut self, record: &Parsed<'_>, fresh: bool) {
        self.fresh_flags.push(fresh);
        if !fresh {
            self.repeated += 1;
            return;
        }
        self.fresh += 1;
        self.values += record.values;
        self.nulls += record.nulls;
        record.each_quality(&mut |_, word| {
            let counted =
                Quality::ALL.iter().zip(&mut self.qualities).find(|(q, _)| word.trim_matches('"') == q.as_str());
            if let Some((_, count)) = counted {
                *count += 1;
            }
        });
        self.unreadable += u64::from(record.head.unreadable.is_some());
        if let Some(coverage) = &record.head.coverage {
            self.coverages += 1;
            self.polls_due += coverage.due;
            self.polls_ok += coverage.ok;
            if coverage.ok + coverage.bad + coverage.skipped != coverage.due {
                self.blemishes.push(Blemish::Coverage { seq: record.head.seq });
            }
        }
    }
}

fn check_gaps(channel: Channel, records: &[Parsed<'_>]) -> Result<(), Fault> {
    let usable = |r: &Parsed<'_>| {
        r.head.gap.as_ref().is_some_and(|g| {
            Stream::from_name(&g.stream).is_some() && g.from_seq >= 1 && g.to_seq.is_none_or(|to| to >= g.from_seq)
        })
    };
    match records.iter().find(|r| channel == Channel::Gap && !usable(r)) {
        Some(bad) => Err(Fault::Gap(bad.head.seq)),
        None => Ok(()),
    }
}

fn show(record: &Parsed<'_>, lane: Lane, boot: u32, fresh: bool, see: &mut dyn FnMut(Seen<'_>)) {
    let device = record.head.device.as_deref().unwrap_or_default();
    let seen = Seen { lane, seq: record.head.seq, fresh, boot, t_ms: record.t_ms(), device, tag: "", json: "" };
    record.each_value(&mut |tag, json| see(Seen { tag, json, ..seen }));
}

pub(super) mod occurrences;
pub(super) mod passages;
#[cfg(test)]
mod tests;
