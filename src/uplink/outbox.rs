//! "What is the next message of this session?" Joins the accounts of all feeds with the writer of envelopes. Pure.
//!
//! Order within a session: live records by rank; then, as far as the pace allows, the parts of a record that needs several
//! messages, and history by rank. So neither a registry nor an hour of backlog delays what is live. A live record waits
//! for the parts of an earlier one of its own feed (the lane ascends), but for alarm and passage, of which none waits for a
//! document. An envelope is closed when the next record belongs to another boot, clock trust or revision,
//! or would not fit. A live envelope leaves when its oldest record is [`Limits::max_batch_age`] old or it is full;
//! of alarm and passage also only when stored, or [`UNSTORED_AFTER`] old and then marked.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::ack::Ack;
use super::delivery::{Acked, Delivery, Read};
use super::feed::{FEEDS, Feed, Session};
use super::flight::Flight;
use super::payload::{self, CLOSE, Group, Lane, Writer};
use super::source::Registries;
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Entry, Gap, Stamp};
use crate::domain::snapshot::DeliveryStatus;
use crate::domain::time::{Mono, Now};

/// An alarm or passage not stored within this is told all the same (`design.md`, store promise 2).
pub const UNSTORED_AFTER: Duration = Duration::from_millis(200);
/// Most messages for one record: 16 MiB at the smallest useful size; a larger record is told as `unreadable`.
pub const MAX_PARTS: usize = 4096;
/// Smallest history envelope on a thin line.
const SMALL: usize = 4 << 10;
/// JSON is about this many times the stored body; decides only when a live envelope counts as full.
const GROWTH: usize = 3;
/// Escaped text that a part gives up for the envelope around it.
const PART_FRAME: usize = 512;

/// A record or a ledger entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Of a stream.
    Entry(Entry),
    /// Of the ledger.
    Gap(Gap),
}

/// Bounds of messages.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest payload.
    pub max_message: usize,
    /// Longest wait of a live record for company.
    pub max_batch_age: Duration,
}

/// A message ready to be published.
#[derive(Debug)]
pub struct Message {
    /// Whose topic.
    pub feed: Feed,
    /// Its batch, named by [`Outbox::on_puback`].
    pub batch: u64,
    /// Its lane.
    pub lane: Lane,
    /// Whether it keeps the pace of history.
    pub paced: bool,
    /// The envelope.
    pub payload: Vec<u8>,
    /// Age of its youngest record by the monotonic clock, for live messages.
    pub age: Option<Duration>,
}

#[derive(Debug)]
struct Batch {
    feed: Feed,
    ranges: Vec<RangeInclusive<u64>>,
    /// Messages that the broker has not acknowledged.
    left: usize,
}

/// The next record as it was written; it counts as told only when it stays in the envelope.
struct Head {
    seq: u64,
    /// `None` for an entry of the ledger.
    stamp: Option<Stamp>,
    unreadable: bool,
}

/// The accounts of all feeds.
#[derive(Debug)]
pub struct Outbox<R> {
    limits: Limits,
    /// Under what ledger entries travel.
    ledger: Group,
    writer: Writer<R>,
    feeds: [Delivery<Item>; FEEDS],
    batches: BTreeMap<u64, Batch>,
    last_batch: u64,
    parts: [VecDeque<Message>; Session::ALL.len()],
    /// Envelopes leave at once: the gateway is ending.
    draining: bool,
    unreadable: u64,
    seqs: RangeSet,
}

impl<R: Registries> Outbox<R> {
    /// Returns an outbox over `feeds`, in the order of [`Feed::ALL`].
    pub fn new(limits: Limits, writer: Writer<R>, ledger: Group, feeds: [Delivery<Item>; FEEDS]) -> Self {
        Self {
            limits,
            ledger,
            writer,
            feeds,
            batches: BTreeMap::new(),
            last_batch: 0,
            parts: [VecDeque::new(), VecDeque::new(), VecDeque::new()],
            draining: false,
            unreadable: 0,
            seqs: RangeSet::new(),
        }
    }

    /// Returns the account of `feed`.
    #[expect(clippy::indexing_slicing, reason = "`Feed::index` is below FEEDS by construction, held by a test")]
    pub fn feed(&mut self, feed: Feed) -> &mut Delivery<Item> {
        &mut self.feeds[feed.index()]
    }

    /// Says under which revision and trust ledger entries travel from now on.
    pub fn set_ledger(&mut self, group: Group) {
        self.ledger = group;
    }

    /// From now on nothing waits for company, and history is begun of the short feeds only.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// The session is up or down; either way nothing of it is in flight.
    pub fn on_session(&mut self, session: Session, up: bool) {
        self.batches.retain(|_, batch| batch.feed.session() != session);
        if let Some(parts) = self.parts.get_mut(session.index()) {
            parts.clear();
        }
        for feed in Feed::ALL.into_iter().filter(|f| f.session() == session) {
            if up { self.feed(feed).on_up() } else { self.feed(feed).on_down() }
        }
    }

    /// Returns the next message of `session`, if one may go.
    pub fn next(&mut self, session: Session, flight: &Flight, now: Now) -> Option<Message> {
        if !flight.has_room() {
            return None;
        }
        // Half a window each: one on the line while the other is acknowledged.
        let (most, least) = (self.limits.max_message, SMALL.min(self.limits.max_message));
        let max = flight.share().clamp(least, most);
        let piece = (flight.window() / 2).clamp(least, max);
        let due = |outbox: &mut Self, feed| outbox.live_due(feed).is_some_and(|at| at <= now.mono);
        while let Some(feed) = feeds_of(session).find(|feed| due(self, *feed)) {
            let message = self.build(feed, Lane::Live, (piece, max), now);
            // Where there is none, the first record was cut into parts.
            if message.is_some() {
                return message;
            }
        }
        self.next_paced(session, flight, (piece, max), now)
    }

    /// `sizes`: of a message that keeps the pace, and the most on this line.
    fn next_paced(&mut self, session: Session, flight: &Flight, sizes: (usize, usize), now: Now) -> Option<Message> {
        if let Some(part) = self.parts.get_mut(session.index()).and_then(|parts| parts.front()) {
            let bears = flight.bears(part.payload.len());
            return bears.then(|| self.next_part(session)).flatten();
        }
        if !flight.bears(sizes.0) {
            return None;
        }
        let draining = self.draining;
        let mut served = feeds_of(session).filter(|f| !draining || f.is_short());
        let feed = served.find(|f| self.feed(*f).head(Lane::History).is_some())?;
        self.build(feed, Lane::History, sizes, now).or_else(|| self.next_part(session))
    }

    fn next_part(&mut self, session: Session) -> Option<Message> {
        self.parts.get_mut(session.index())?.pop_front()
    }

    /// Returns when the next live envelope is due; past or present means now.
    pub fn next_due(&mut self, session: Session) -> Option<Mono> {
        feeds_of(session).filter_map(|f| self.live_due(f)).min()
    }

    /// The broker has a message of `batch`. Returns how many numbers are delivered by it, and of which feed.
    pub fn on_puback(&mut self, batch: u64, now: Mono) -> Option<(Feed, u64)> {
        let entry = self.batches.get_mut(&batch)?;
        entry.left = entry.left.saturating_sub(1);
        if entry.left > 0 {
            return None;
        }
        let Batch { feed, ranges, .. } = self.batches.remove(&batch)?;
        Some((feed, self.feed(feed).on_puback(ranges, now)))
    }

    /// The platform has these numbers.
    pub fn on_ack(&mut self, ack: &Ack) -> Acked {
        self.feed(ack.feed).on_ack(&ack.ranges)
    }

    /// Takes back what the platform did not acknowledge in time.
    pub fn expire(&mut self, now: Mono) -> u64 {
        Feed::ALL.into_iter().map(|feed| self.feed(feed).expire(now)).sum()
    }

    /// Returns the reads that history needs now.
    pub fn reads(&mut self, now: Mono) -> Vec<(Feed, Read)> {
        let draining = self.draining;
        Feed::ALL
            .into_iter()
            .filter(|feed| !draining || feed.is_short())
            .filter_map(|feed| Some((feed, self.feed(feed).wants_read(now)?)))
            .collect()
    }

    /// Returns whether nothing is queued live, in flight, or to be told to the store.
    pub fn is_idle(&self) -> bool {
        self.feeds.iter().all(Delivery::is_idle)
    }

    /// Returns whether nothing of the short feeds that `session` carries waits for delivery.
    pub fn has_told_short(&self, session: Session) -> bool {
        let mut feeds = Feed::ALL.into_iter().zip(&self.feeds).filter(|(f, _)| f.is_short() && f.session() == session);
        feeds.all(|(_, delivery)| delivery.status().waiting == 0)
    }

    /// Returns how the feeds stand, in the order of [`Feed::ALL`].
    pub fn status(&self) -> [DeliveryStatus; FEEDS] {
        std::array::from_fn(|i| self.feeds.get(i).map(Delivery::status).unwrap_or_default())
    }

    /// Returns how many records could only be told as `unreadable`.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// When the live queue of `feed` may leave; `None` while it has nothing, or waits for parts.
    fn live_due(&mut self, feed: Feed) -> Option<Mono> {
        let in_parts = self.parts.get(feed.session().index()).is_some_and(|p| p.iter().any(|m| m.feed == feed));
        if in_parts && !feed.stored_first() {
            return None;
        }
        let (age, full) = (self.limits.max_batch_age, self.limits.max_message / GROWTH);
        let draining = self.draining;
        let delivery = self.feed(feed);
        let waiting = delivery.live_bytes();
        let (seq, at) = delivery.head(Lane::Live).map(|q| (q.seq, q.at))?;
        if feed.stored_first() && !delivery.is_stored(seq) {
            return Some(at + UNSTORED_AFTER);
        }
        Some(if draining || waiting >= full { at } else { at + age })
    }

    /// Builds the next envelope of `feed`. `None` when its first record was cut into parts, which now wait for their turn.
    fn build(&mut self, feed: Feed, lane: Lane, (piece, max): (usize, usize), now: Now) -> Option<Message> {
        let group = self.head_group(feed, lane)?;
        let limit = if lane == Lane::Live { max } else { piece };
        let largest = if feed.has_documents() { piece } else { max };
        let mut out = Vec::with_capacity(limit.min(self.feed(feed).live_bytes() * GROWTH + SMALL * 16));
        self.writer.open(&mut out, feed, lane, group, now.wall);
        let opened = out.len();
        let mut youngest = None;
        self.seqs = RangeSet::new();
        while self.head_group(feed, lane) == Some(group) && !self.must_wait(feed, lane, now.mono) {
            let at = out.len();
            if at > opened {
                out.push(b',');
            }
            let Head { seq, stamp, unreadable } = self.write_head(feed, lane, &mut out)?;
            let alone = opened + (out.len() - at) + CLOSE.len();
            if at > opened && (alone > largest || out.len() + CLOSE.len() > limit) {
                out.truncate(at);
                break;
            }
            self.feed(feed).pop(lane);
            if alone > largest {
                let record = out.split_off(opened);
                self.cut(feed, lane, (seq, stamp), &record, piece, now);
                return None;
            }
            self.unreadable += u64::from(unreadable);
            self.seqs.insert(seq..=seq);
            youngest = stamp.map(|s| now.mono.since(s.mono));
        }
        out.extend_from_slice(CLOSE);
        let ranges: Vec<_> = self.seqs.iter().collect();
        let batch = self.register(feed, ranges, 1);
        let paced = lane == Lane::History;
        Some(Message { feed, batch, lane, paced, payload: out, age: youngest.filter(|_| !paced) })
    }

    fn head_group(&mut self, feed: Feed, lane: Lane) -> Option<Group> {
        let ledger = self.ledger;
        self.feed(feed).head(lane).map(|q| match &q.item {
            Item::Entry(entry) => Group::from(&entry.stamp),
            Item::Gap(_) => ledger,
        })
    }

    /// Whether the next live record of an urgent feed still waits for the store.
    fn must_wait(&mut self, feed: Feed, lane: Lane, now: Mono) -> bool {
        if lane == Lane::History || !feed.stored_first() {
            return false;
        }
        let delivery = self.feed(feed);
        let head = delivery.head(lane).map(|q| (q.seq, q.at));
        head.is_some_and(|(seq, at)| !delivery.is_stored(seq) && now < at + UNSTORED_AFTER)
    }

    /// Appends the next record.
    fn write_head(&mut self, feed: Feed, lane: Lane, out: &mut Vec<u8>) -> Option<Head> {
        let Self { feeds, writer, .. } = self;
        let delivery = feeds.get_mut(feed.index())?;
        let seq = delivery.head(lane)?.seq;
        let unstored = feed.stored_first() && !delivery.is_stored(seq);
        let queued = delivery.head(lane)?;
        match &queued.item {
            Item::Entry(entry) => {
                let unreadable = writer.record(out, entry, unstored) == payload::Written::Unreadable;
                Some(Head { seq: queued.seq, stamp: Some(entry.stamp), unreadable })
            }
            Item::Gap(gap) => {
                writer.gap(out, gap);
                Some(Head { seq: queued.seq, stamp: None, unreadable: false })
            }
        }
    }

    /// Cuts a record into parts of about `piece` bytes, to be sent in their turn.
    fn cut(
        &mut self,
        feed: Feed,
        lane: Lane,
        (seq, stamp): (u64, Option<Stamp>),
        record: &[u8],
        piece: usize,
        now: Now,
    ) {
        let (group, t) = (stamp.as_ref().map_or(self.ledger, Group::from), stamp.map_or(now.wall, |s| s.wall));
        let text = std::str::from_utf8(record).unwrap_or_default();
        // A very large record in larger parts, so that there are not too many; half of its text may need an escape.
        let least = text.len() / MAX_PARTS * 2 + PART_FRAME;
        let size = piece.max(least).min(self.limits.max_message);
        let chunks = payload::chunks(text, size.saturating_sub(PART_FRAME).max(PART_FRAME));
        let of = chunks.len();
        let fits = (1..=MAX_PARTS).contains(&of);
        let batch = self.register(feed, vec![seq..=seq], if fits { of } else { 1 });
        let mut messages = VecDeque::new();
        for (i, chunk) in chunks.into_iter().enumerate().take(if fits { of } else { 1 }) {
            let mut payload = Vec::with_capacity(chunk.len() + PART_FRAME);
            self.writer.open(&mut payload, feed, lane, group, now.wall);
            if fits {
                payload::part(&mut payload, seq, t, (i + 1, of), chunk);
            } else {
                self.unreadable += 1;
                payload::unreadable(&mut payload, seq, t, "it is too large for the wire");
            }
            payload.extend_from_slice(CLOSE);
            messages.push_back(Message { feed, batch, lane, paced: true, payload, age: None });
        }
        if let Some(parts) = self.parts.get_mut(feed.session().index()) {
            parts.extend(messages);
        }
    }

    fn register(&mut self, feed: Feed, ranges: Vec<RangeInclusive<u64>>, left: usize) -> u64 {
        self.feed(feed).on_sent(&ranges);
        self.last_batch += 1;
        self.batches.insert(self.last_batch, Batch { feed, ranges, left });
        self.last_batch
    }
}

/// The feeds of `session`, in the order in which they are served.
fn feeds_of(session: Session) -> impl Iterator<Item = Feed> {
    Feed::ALL.into_iter().filter(move |f| f.session() == session)
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
