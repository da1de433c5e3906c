//! The engine's end of the store: gives numbers and queues, never waits, never fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};

use bytes::Bytes;

use super::batch::MAX_BODY;
use super::files::lock;
use super::keeper::min_block;
use super::marks::N;
use super::shared::Shared;
use super::unstored::Unstored;
use super::writer::{Job, is_urgent};
use crate::domain::record::{Entry, GapReason, Stamp, Stream};

/// Gives numbers and queues records. One owner: the engine task.
#[derive(Debug)]
pub struct Appender {
    shared: Arc<Shared>,
    next: [u64; N],
    /// Records that came while no number could be given; they get theirs, as a gap, when numbers are there again.
    refused: [u64; N],
    /// By rank; of urgent streams only.
    unstored: [Unstored; N],
    /// Whether the record that came last is on its way to the disk.
    took: bool,
    urgent: SyncSender<Job>,
    bulk: SyncSender<Job>,
}

impl Appender {
    pub(super) fn new(shared: Arc<Shared>, urgent: SyncSender<Job>, bulk: SyncSender<Job>) -> Self {
        let next = std::array::from_fn(|r| shared.next.get(r).map_or(1, |n| n.load(Ordering::Acquire)));
        Self { shared, next, refused: [0; N], unstored: Default::default(), took: false, urgent, bulk }
    }

    /// Queues a record and returns its number. What cannot be queued becomes a gap of the stream: `store_failed` when
    /// the writer is behind, `full` when the stream is over its space, `unreadable` above [`super::MAX_BODY`].
    ///
    /// Returns 0 when no number can be given: the numbers reserved ahead are used up because the disk has taken no
    /// reservation for minutes, or the store is closed. Such records are counted and become a `store_failed` gap as soon
    /// as numbers are there again; nobody else will hear of them.
    pub fn append(&mut self, stream: Stream, stamp: Stamp, body: Bytes) -> u64 {
        let rank = stream.rank();
        self.took = false;
        let Some(seq) = self.number(rank, stream) else {
            self.shared.nudge();
            return 0;
        };
        if body.len() > MAX_BODY {
            self.lose(stream, seq, stamp, GapReason::Unreadable);
        } else if self.shared.refuse.get(rank).is_some_and(|r| r.load(Ordering::Acquire)) {
            self.lose(stream, seq, stamp, GapReason::Full);
            self.keep(stream, Entry { seq, stamp, body }, false);
        } else {
            self.queue(stream, Entry { seq, stamp, body });
        }
        seq
    }

    /// Returns whether the record that was appended last is on its way to the disk. One that is not is a gap, also where it has
    /// a number, and whoever waits for that number would be told of it as stored.
    pub fn took(&self) -> bool {
        self.took
    }

    /// Returns the next number of each stream, by rank.
    pub fn next(&self) -> [u64; N] {
        self.next
    }

    /// Gives numbers to what was refused, as far as there are numbers again, and returns the next of each stream.
    pub fn settled(&mut self) -> [u64; N] {
        for stream in Stream::ALL {
            self.settle(stream.rank(), stream);
        }
        self.next
    }

    /// Returns the alarm and passage records of this run that neither the store nor `consumer` has, as far as memory goes
    /// ([`super::unstored`]): for whoever begins anew to tell them.
    pub fn unstored(&mut self, consumer: &str) -> Vec<(Stream, Entry)> {
        let mut all = Vec::new();
        for stream in Stream::ALL.into_iter().filter(|stream| is_urgent(*stream)) {
            let stored = self.stored(stream);
            let delivered = lock(&self.shared.delivered).of(stream, consumer);
            if let Some(unstored) = self.unstored.get_mut(stream.rank()) {
                all.extend(unstored.entries(stored, &delivered).into_iter().map(|entry| (stream, entry)));
            }
        }
        all
    }

    fn queue(&mut self, stream: Stream, entry: Entry) {
        let queue = if is_urgent(stream) { &self.urgent } else { &self.bulk };
        let queued = queue.try_send(Job::Record(stream, entry.clone()));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queued {
            self.lose(stream, entry.seq, entry.stamp, GapReason::StoreFailed);
        }
        self.took = queued.is_ok();
        self.keep(stream, entry, self.took);
    }

    /// Remembers an urgent record until the store has it, or somebody else.
    fn keep(&mut self, stream: Stream, entry: Entry, queued: bool) {
        let stored = self.stored(stream);
        let Some(unstored) = self.unstored.get_mut(stream.rank()).filter(|_| is_urgent(stream)) else { return };
        if queued { unstored.wait(entry, stored) } else { unstored.refuse(entry) }
    }

    fn stored(&self, stream: Stream) -> u64 {
        self.shared.committed.borrow().get(stream.rank()).copied().unwrap_or(0)
    }

    fn lose(&self, stream: Stream, seq: u64, stamp: Stamp, why: GapReason) {
        self.shared.lose_exact(stream, seq..=seq, Some(stamp.wall), why);
    }

    /// Takes the next number, or counts one more refused.
    fn number(&mut self, rank: usize, stream: Stream) -> Option<u64> {
        if self.shared.is_closing() {
            return None;
        }
        self.settle(rank, stream);
        let reserved = self.reserved(rank);
        let (next, refused) = (self.next.get_mut(rank)?, self.refused.get_mut(rank)?);
        if *next > reserved || self.shared.losses_are_many() {
            *refused = refused.saturating_add(1);
            return None;
        }
        let seq = *next;
        *next += 1;
        self.publish(rank);
        Some(seq)
    }

    /// Gives what was refused its numbers, as a gap, as far as there are numbers again.
    fn settle(&mut self, rank: usize, stream: Stream) {
        let reserved = self.reserved(rank);
        let (Some(next), Some(refused)) = (self.next.get_mut(rank), self.refused.get_mut(rank)) else { return };
        let n = reserved.saturating_add(1).saturating_sub(*next).min(*refused);
        if n > 0 {
            self.shared.lose_exact(stream, *next..=*next + n - 1, None, GapReason::StoreFailed);
            *next += n;
            *refused -= n;
            self.publish(rank);
        }
    }

    fn reserved(&self, rank: usize) -> u64 {
        self.shared.reserved.get(rank).map_or(0, |n| n.load(Ordering::Acquire))
    }

    /// Tells the keeper how far numbers are given, and wakes it when they run short.
    fn publish(&self, rank: usize) {
        let next = self.next.get(rank).copied().unwrap_or(0);
        if let Some(shared) = self.shared.next.get(rank) {
            shared.store(next, Ordering::Release);
        }
        if self.reserved(rank).saturating_sub(next) < min_block(rank) / 2 {
            self.shared.nudge();
        }
    }
}
