//! The account of one feed: what is delivered, what is on its way, what comes next. Pure.
//!
//! A number passes through these states; only the last survives a session, and it alone is told to the store:
//!
//! ```text
//!              live (session up)                 ┌───────────── session lost, or no ack in time ─────────────┐
//!   given ──┬──────────────────────▶ queued ──▶ sent ──PUBACK──▶ awaiting ──ack──▶ delivered ──▶ store       │
//!           │                          ▲          └──────ack or (broker mode) PUBACK──▲                      │
//!           └──▶ only in the store ──read (history lane, oldest first) ◀──────────────┴──────────────────────┘
//!                        └── not there: gone (the gap ledger says why)
//! ```
//!
//! - **Live** numbers come through the application's channel while the session is up. Each other number (made while
//!   the session was down, dropped from a full channel, not acknowledged) is **history**: the lowest number that is
//!   neither delivered, gone, queued nor sent is read next. So history is oldest first by construction.
//! - A number is history only once the store has it *and* it can no longer come live: a later one came, or it has been
//!   in the store for a full [`SETTLE`] period.
//! - When the session ends everything but *delivered* is forgotten: after a reconnect all of it is history, in order.
//! - **What the store does not have, memory keeps** for the feeds that ask for it (`hold`: alarm and passage): a record made,
//!   sent or not, stays here until it is delivered, or read from the store. After a lost session or a missing ack it is
//!   queued live again; where the store turns out to have a gap in its place it goes as history. Bounded, see
//!   [`super::held`]. After a restart of the task they come live once more, from who made them
//!   (`buffer/unstored.rs`).
//! - **Invariants** (held by a model test): only sent numbers become delivered; within a session each lane ascends
//!   except for what is sent again after a missing ack or by command; a number that is not delivered is sent again.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::held::Held;
use super::payload::Lane;
use super::settings::AckMode;
use crate::domain::ranges::RangeSet;
use crate::domain::snapshot::DeliveryStatus;
use crate::domain::time::Mono;

/// How often [`Delivery::settle`] is called: a stored number that did not come live for this long is history.
pub const SETTLE: Duration = Duration::from_millis(500);
/// Records in the live queue: two seconds of the largest park; beyond it the oldest become history.
pub const LIVE_RECORDS: usize = 4096;
/// Bytes of bodies in the live queue, for the same reason.
pub const LIVE_BYTES: usize = 8 << 20;
/// Records that wait for the platform's word; history stops here, or a platform that stores nothing would be sent the
/// whole backlog again and again. Ten seconds of the largest park.
pub const AWAIT_RECORDS: u64 = 50_000;
/// History read ahead; below it the next page is asked for.
pub const READ_AHEAD_BYTES: usize = 128 << 10;
/// A read covers at least this many numbers, so that many small holes cost few reads; what is not wanted is passed over.
pub const READ_SPAN: u64 = 256;
/// How often [`Delivery::recheck`] is called: what was not there may have been salvaged.
pub const RECHECK: Duration = Duration::from_secs(600);
/// Delay after a page that brought nothing or an error: the store is busy or ill.
pub const READ_AGAIN: Duration = Duration::from_millis(500);

/// A record on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued<T> {
    /// Its number.
    pub seq: u64,
    /// Size of its body.
    pub bytes: usize,
    /// When it was queued.
    pub at: Mono,
    /// The record.
    pub item: T,
}

/// A read that the account wants, to be answered by [`Delivery::on_page`] or [`Delivery::on_read_failed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The session it belongs to; an answer for an earlier one is ignored.
    pub generation: u64,
    /// The numbers.
    pub seqs: RangeInclusive<u64>,
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Numbers that are delivered by it and were not before.
    pub new: u64,
    /// Whether it named a number that was given in this run (or never) and not sent.
    pub unsent: bool,
}

/// PUBACKed and not yet acknowledged by the platform.
#[derive(Debug)]
struct Awaiting {
    since: Mono,
    ranges: Vec<RangeInclusive<u64>>,
}

/// The account of one feed.
#[derive(Debug)]
pub struct Delivery<T> {
    mode: AckMode,
    ack_timeout: Duration,
    /// Of a feed whose records memory keeps until they are delivered or known to be stored: those not queued.
    held: Option<Held<T>>,
    up: bool,
    generation: u64,
    /// First number given in this run.
    start: u64,
    next: u64,
    committed: u64,
    committed_before: u64,
    settled: u64,
    /// Highest number that came live; what is below and did not come will not.
    seen: u64,
    acked: RangeSet,
    gone: RangeSet,
    /// Numbers that are not to be read: delivered, gone in this session, queued or sent.
    taken: RangeSet,
    /// Sent in this session and not delivered.
    open: RangeSet,
    outstanding: u64,
    /// Sent in this run.
    sent: RangeSet,
    live: VecDeque<Queued<T>>,
    live_bytes: usize,
    history: VecDeque<Queued<T>>,
    history_bytes: usize,
    reading: bool,
    read_not_before: Mono,
    awaiting: VecDeque<Awaiting>,
    fresh: RangeSet,
    resent: u64,
}

impl<T: Clone> Delivery<T> {
    /// Returns the account of a feed of which `delivered` is delivered, `committed` stored and `next` the next number.
    /// `hold`: records that are neither delivered nor known to be stored are kept, whatever becomes of the session.
    pub fn new(
        mode: AckMode,
        ack_timeout: Duration,
        hold: bool,
        delivered: RangeSet,
        committed: u64,
        next: u64,
    ) -> Self {
        let next = next.max(committed.saturating_add(1)).max(1);
        Self {
            mode,
            ack_timeout,
            held: hold.then(Held::default),
            up: false,
            generation: 0,
            start: next,
            next,
            committed,
            committed_before: committed,
            settled: committed,
            seen: next - 1,
            taken: delivered.clone(),
            acked: delivered,
            gone: RangeSet::new(),
            open: RangeSet::new(),
            outstanding: 0,
            sent: RangeSet::new(),
            live: VecDeque::new(),
            live_bytes: 0,
            history: VecDeque::new(),
            history_bytes: 0,
            reading: false,
            read_not_before: Mono::default(),
            awaiting: VecDeque::new(),
            fresh: RangeSet::new(),
            resent: 0,
        }
    }

    /// Says that nothing of this feed ever comes live.
    pub fn history_only(mut self) -> Self {
        self.seen = u64::MAX;
        self
    }

    /// A session is up.
    pub fn on_up(&mut self) {
        self.reset(true);
    }

    /// The session is gone, and what was in flight with it.
    pub fn on_down(&mut self) {
        self.reset(false);
    }

    /// A record was made.
    pub fn on_live(&mut self, seq: u64, item: T, bytes: usize, now: Mono) {
        self.seen = self.seen.max(seq);
        self.next = self.next.max(seq.saturating_add(1));
        let late = self.live.back().is_some_and(|last| last.seq >= seq);
        if let Some(held) = self.held.as_mut().filter(|_| !late && self.gone.contains(seq)) {
            // Told by whoever made it, and missing in the store: it is only here, like one that was here before.
            held.note_only_here(seq);
            self.gone.remove(seq..=seq);
            if !self.acked.contains(seq) {
                self.taken.remove(seq..=seq);
            }
        }
        if late || self.taken.contains(seq) || !(self.up || self.held.is_some()) {
            return;
        }
        self.taken.insert(seq..=seq);
        self.live.push_back(Queued { seq, bytes, at: now, item });
        self.live_bytes += bytes;
        if self.held.is_some() {
            self.let_go_beyond();
            return;
        }
        while self.live.len() > LIVE_RECORDS || self.live_bytes > LIVE_BYTES {
            self.drop_oldest_live();
        }
    }

    /// The store has everything up to `committed`; `next` is the next number to be given.
    pub fn on_committed(&mut self, committed: u64, next: u64) {
        self.committed = self.committed.max(committed);
        self.next = self.next.max(next).max(self.committed.saturating_add(1));
    }

    /// The ledger says that these numbers are missing. They do not wait, also while there is no session to read in; should
    /// some be found after all (salvage), reading takes them back.
    pub fn on_gap(&mut self, range: RangeInclusive<u64>) {
        self.gone.insert(range.clone());
        self.note_only_here(&range);
    }

    /// The store has a gap in the place of these numbers: those in memory wait for delivery like all others. Returns them.
    fn note_only_here(&mut self, range: &RangeInclusive<u64>) -> Vec<u64> {
        let Some(held) = &mut self.held else { return Vec::new() };
        let queued = self.live.iter().map(|q| q.seq).filter(|seq| range.contains(seq));
        let here: Vec<u64> = held.within(range.clone()).into_iter().chain(queued).collect();
        for seq in &here {
            held.note_only_here(*seq);
            self.gone.remove(*seq..=*seq);
        }
        here
    }

    /// Called each [`SETTLE`].
    pub fn settle(&mut self) {
        self.settled = self.committed_before;
        self.committed_before = self.committed;
    }

    /// Returns the next read of history, and counts on its answer.
    pub fn wants_read(&mut self, now: Mono) -> Option<Read> {
        let full = self.history_bytes >= READ_AHEAD_BYTES || self.outstanding >= AWAIT_RECORDS;
        if !self.up || self.reading || full || now < self.read_not_before {
            return None;
        }
        let limit = self.committed.min(self.settled.max(self.seen));
        let hole = self.taken.first_hole(1..=limit)?;
        // What is taken back below the records read already goes when these are gone: the lane ascends. Asked for now it
        // could not be queued, and would be asked for again and again.
        if self.history.back().is_some_and(|last| last.seq > *hole.start()) {
            return None;
        }
        let end = hole.start().saturating_add(READ_SPAN - 1).min(limit).max(*hole.end());
        self.reading = true;
        Some(Read { generation: self.generation, seqs: *hole.start()..=end })
    }

    /// A read was answered: `items` ascending, `missing` is not there.
    pub fn on_page(&mut self, read: &Read, items: Vec<(u64, usize, T)>, missing: &[RangeInclusive<u64>], now: Mono) {
        if read.generation != self.generation {
            return;
        }
        self.reading = false;
        if items.is_empty() && missing.is_empty() {
            self.read_not_before = now + READ_AGAIN;
        }
        if let Some(held) = &mut self.held {
            items.iter().for_each(|(seq, ..)| held.forget(*seq..=*seq));
        }
        let items = self.with_what_only_memory_has(read, items, missing);
        for (seq, bytes, item) in items {
            self.gone.remove(seq..=seq);
            let late = self.history.back().is_some_and(|last| last.seq >= seq);
            if late || !read.seqs.contains(&seq) || self.taken.contains(seq) {
                continue;
            }
            self.taken.insert(seq..=seq);
            self.history_bytes += bytes;
            self.history.push_back(Queued { seq, bytes, at: now, item });
        }
    }

    /// Takes down what is missing, and puts between the records of the page those that memory still has.
    fn with_what_only_memory_has(
        &mut self,
        read: &Read,
        mut items: Vec<(u64, usize, T)>,
        missing: &[RangeInclusive<u64>],
    ) -> Vec<(u64, usize, T)> {
        let found = items.len();
        for range in missing {
            let clipped = *range.start().max(read.seqs.start())..=*range.end().min(read.seqs.end());
            self.gone.insert(clipped.clone());
            for seq in self.note_only_here(&clipped) {
                if !self.taken.contains(seq) {
                    items.extend(self.held.as_ref().and_then(|held| held.copy(seq)));
                }
            }
            for part in self.gone.inside(clipped) {
                self.taken.insert(part);
            }
        }
        if items.len() > found {
            items.sort_unstable_by_key(|(seq, ..)| *seq);
        }
        items
    }

    /// Looks again for what was not there; called each [`RECHECK`].
    pub fn recheck(&mut self) {
        let gone: Vec<_> = self.gone.iter().collect();
        for part in gone.into_iter().flat_map(|gap| self.acked.outside(gap)) {
            for part in self.open.outside(part) {
                self.taken.remove(part);
            }
        }
    }

    /// A read failed.
    pub fn on_read_failed(&mut self, read: &Read, now: Mono) {
        if read.generation == self.generation {
            self.reading = false;
            self.read_not_before = now + READ_AGAIN;
        }
    }

    /// Returns the next record of `lane`, if any. Records that were delivered meanwhile are dropped.
    pub fn head(&mut self, lane: Lane) -> Option<&Queued<T>> {
        while self.queue(lane).front().is_some_and(|q| self.acked.contains(q.seq)) {
            self.dequeue(lane);
        }
        self.queue(lane).front()
    }

    /// Takes the record that [`Delivery::head`] showed.
    pub fn pop(&mut self, lane: Lane) -> Option<Queued<T>> {
        let taken = self.dequeue(lane)?;
        if let Some(held) = self.held.as_mut().filter(|_| lane == Lane::Live) {
            held.keep(taken.clone());
        }
        Some(taken)
    }

    fn dequeue(&mut self, lane: Lane) -> Option<Queued<T>> {
        let (queue, bytes) = match lane {
            Lane::Live => (&mut self.live, &mut self.live_bytes),
            Lane::History => (&mut self.history, &mut self.history_bytes),
        };
        let item = queue.pop_front()?;
        *bytes -= item.bytes;
        Some(item)
    }

    /// Returns the bytes of bodies waiting in the live queue.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Returns whether the store has `seq`.
    pub fn is_stored(&self, seq: u64) -> bool {
        self.committed >= seq && !self.held.as_ref().is_some_and(|held| held.is_only_here(seq))
    }

    /// The numbers were handed to the session.
    pub fn on_sent(&mut self, ranges: &[RangeInclusive<u64>]) {
        for range in ranges {
            self.outstanding += self.open.insert(range.clone());
            let size = range.end() - range.start() + 1;
            self.resent += size - self.sent.insert(range.clone());
        }
    }

    /// The broker has the numbers. Returns how many are delivered by it.
    pub fn on_puback(&mut self, ranges: Vec<RangeInclusive<u64>>, now: Mono) -> u64 {
        match self.mode {
            AckMode::Broker => ranges.into_iter().map(|range| self.deliver(range)).sum(),
            AckMode::Platform => {
                self.awaiting.push_back(Awaiting { since: now, ranges });
                0
            }
        }
    }

    /// The platform has the numbers. Only what was sent in this run is believed: it costs a duplicate after a restart
    /// and can never lose a record.
    pub fn on_ack(&mut self, ranges: &[RangeInclusive<u64>]) -> Acked {
        let mut acked = Acked::default();
        for range in ranges {
            for part in self.sent.inside(range.clone()) {
                acked.new += self.deliver(part);
            }
            // Numbers of earlier runs may have been sent then; numbers in gaps are nobody's.
            let judged = (*range.start()).max(self.start)..=*range.end();
            acked.unsent |= *range.end() >= self.next
                || self
                    .sent
                    .outside(judged)
                    .into_iter()
                    .any(|part| self.acked.outside(part).into_iter().any(|part| !self.gone.covers(part)));
        }
        acked
    }

    /// Takes back what was sent and not acknowledged by the platform in time. Returns how many numbers.
    pub fn expire(&mut self, now: Mono) -> u64 {
        let mut expired = 0;
        while self.expires_at().is_some_and(|at| at <= now) {
            let Some(front) = self.awaiting.pop_front() else { break };
            for range in front.ranges {
                for part in self.open.inside(range) {
                    expired += part.end() - part.start() + 1;
                    self.open.remove(part.clone());
                    self.taken.remove(part);
                }
            }
        }
        self.outstanding -= expired;
        if expired > 0 {
            self.queue_again();
        }
        expired
    }

    /// Returns when [`Delivery::expire`] has work next.
    pub fn expires_at(&self) -> Option<Mono> {
        self.awaiting.front().map(|a| a.since + self.ack_timeout)
    }

    /// Makes delivered numbers undelivered, to be sent again. Returns how many.
    pub fn resend(&mut self, range: RangeInclusive<u64>) -> u64 {
        let mut again = 0;
        for part in self.acked.inside(range) {
            again += part.end() - part.start() + 1;
            self.acked.remove(part.clone());
            self.taken.remove(part.clone());
            self.fresh.remove(part);
        }
        again
    }

    /// Takes what is delivered and not yet told to the store.
    pub fn take_fresh(&mut self) -> Vec<RangeInclusive<u64>> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.iter().collect()
    }

    /// Returns whether nothing is queued, sent or to be told to the store.
    pub fn is_idle(&self) -> bool {
        self.live.is_empty() && self.outstanding == 0 && self.fresh.is_empty()
    }

    /// Returns how it stands.
    pub fn status(&self) -> DeliveryStatus {
        let last = self.next - 1;
        let lost: u64 = self.gone.iter().map(|gap| self.acked.missing(gap)).sum();
        DeliveryStatus {
            delivered: self.acked.len(),
            in_flight: self.outstanding,
            waiting: self.acked.missing(1..=last).saturating_sub(lost),
            resent: self.resent,
            let_go: self.held.as_ref().map_or(0, Held::let_go),
        }
    }

    fn queue(&self, lane: Lane) -> &VecDeque<Queued<T>> {
        match lane {
            Lane::Live => &self.live,
            Lane::History => &self.history,
        }
    }

    fn deliver(&mut self, range: RangeInclusive<u64>) -> u64 {
        let open = self.open.inside(range.clone());
        for part in open {
            self.outstanding -= part.end() - part.start() + 1;
            self.open.remove(part);
        }
        for part in self.acked.outside(range.clone()) {
            self.fresh.insert(part);
        }
        self.taken.insert(range.clone());
        if let Some(held) = &mut self.held {
            held.forget(range.clone());
        }
        self.acked.insert(range)
    }

    /// Puts what memory holds, the store does not have and nobody is being told at its place in the live queue.
    fn queue_again(&mut self) {
        let Some(held) = &mut self.held else { return };
        for seq in held.within(0..=u64::MAX) {
            let is_stored = self.committed >= seq && !held.is_only_here(seq);
            if is_stored || self.taken.contains(seq) {
                continue;
            }
            let Some(record) = held.take(seq) else { continue };
            self.taken.insert(seq..=seq);
            self.live_bytes += record.bytes;
            self.live.push_back(record);
        }
        self.live.make_contiguous().sort_unstable_by_key(|q| q.seq);
    }

    /// Keeps memory within its bounds.
    fn let_go_beyond(&mut self) {
        while let Some(held) = &mut self.held
            && held.is_beyond(self.live.len(), self.live_bytes)
        {
            let (sent, queued) = (held.first(), self.live.front().map(|q| q.seq));
            let lowest = match (sent, queued) {
                (Some(sent), queued) if queued.is_none_or(|queued| sent < queued) => held.take(sent).map(|q| q.seq),
                (_, Some(_)) => self.drop_oldest_live(),
                (_, None) => return,
            };
            let nobody_has = |seq: u64| !self.is_stored(seq) && !self.acked.contains(seq);
            if lowest.is_some_and(nobody_has)
                && let Some(held) = &mut self.held
            {
                held.note_let_go();
            }
        }
    }

    /// What is dropped from the live queue is history, as soon as the store has it.
    fn drop_oldest_live(&mut self) -> Option<u64> {
        let oldest = self.dequeue(Lane::Live)?.seq;
        self.taken.remove(oldest..=oldest);
        Some(oldest)
    }

    /// Forgets everything but what is delivered; what is gone is looked for again, it may have been salvaged.
    fn reset(&mut self, up: bool) {
        self.up = up;
        self.generation += 1;
        self.open = RangeSet::new();
        self.outstanding = 0;
        self.reading = false;
        self.read_not_before = Mono::default();
        self.awaiting.clear();
        self.history.clear();
        self.history_bytes = 0;
        self.taken = self.acked.clone();
        self.live_bytes = 0;
        let queued = std::mem::take(&mut self.live);
        if let Some(held) = &mut self.held {
            queued.into_iter().filter(|q| !self.acked.contains(q.seq)).for_each(|q| held.keep(q));
        }
        self.queue_again();
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
