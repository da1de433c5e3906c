//! What the store's threads and handles share: numbers as atomics, small states behind short locks.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::fcntl::Flock;
use tokio::sync::watch;

use super::delivered::Delivered;
use super::files::lock;
use super::ledger::{Ledger, Loss};
use super::marks::N;
use super::settings::Settings;
use super::shelf::Shelf;
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Entry, GapReason, Stream};
use crate::domain::snapshot::StoreStatus;
use crate::domain::time::{Mono, Now, Timestamp};
use crate::sys;

/// Losses that may wait for the ledger. While more wait, nothing gets a number: see `appender.rs`.
pub(super) const MAX_LOSSES: usize = 4096;

/// What the keeper is asked for.
#[derive(Debug)]
pub(super) enum Nudge {
    /// Numbers run short, losses wait, or space ran out: look now.
    Look,
    /// Both writers are done: write everything and end.
    Close,
}

/// State shared by all of one store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) epoch: String,
    pub(super) shelves: [Shelf; N],
    /// Next number to be given. Written by the appender.
    pub(super) next: [AtomicU64; N],
    /// Largest number that may be given: durable in the marks. Written by the keeper.
    pub(super) reserved: [AtomicU64; N],
    /// Streams that are full. Written by the keeper.
    pub(super) refuse: [AtomicBool; N],
    losses: Mutex<Vec<Loss>>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) delivered: Mutex<Delivered>,
    pub(super) committed: watch::Sender<[u64; N]>,
    /// As `committed`, and what the journal holds beyond it.
    pub(super) durable: watch::Sender<[u64; N]>,
    pub(super) status: watch::Sender<Arc<StoreStatus>>,
    /// What is wrong now, by who noticed.
    troubles: Mutex<BTreeMap<&'static str, String>>,
    seen: Mutex<(Mono, Timestamp)>,
    pub(super) stats: Stats,
    /// No records are taken any more.
    pub(super) closing: AtomicBool,
    /// Threads end at once, as if the process had been killed. For tests.
    pub(super) killed: AtomicBool,
    /// The end is by `close`.
    pub(super) orderly: AtomicBool,
    /// A writer thread panicked: the end is not clean.
    pub(super) crashed: AtomicBool,
    /// A writer ran out of space.
    pub(super) pressure: AtomicBool,
    pub(super) nudges: SyncSender<Nudge>,
    lock: Mutex<Option<Flock<File>>>,
}

/// Counters of this run.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) commits: AtomicU64,
    pub(super) worst_commit_us: AtomicU64,
    pub(super) reopened: AtomicU64,
}

/// What a store starts with.
pub(super) struct Begin {
    pub(super) settings: Settings,
    pub(super) epoch: String,
    pub(super) shelves: [Shelf; N],
    pub(super) base: [u64; N],
    pub(super) reserved: [u64; N],
    pub(super) committed: [u64; N],
    pub(super) ledger: Ledger,
    pub(super) delivered: Delivered,
    pub(super) now: Now,
    pub(super) nudges: SyncSender<Nudge>,
    pub(super) lock: Flock<File>,
}

impl Shared {
    pub(super) fn new(b: Begin) -> Self {
        Self {
            settings: b.settings,
            epoch: b.epoch,
            shelves: b.shelves,
            next: b.base.map(|n| AtomicU64::new(n.saturating_add(1))),
            reserved: b.reserved.map(AtomicU64::new),
            refuse: Default::default(),
            losses: Mutex::default(),
            ledger: Mutex::new(b.ledger),
            delivered: Mutex::new(b.delivered),
            committed: watch::Sender::new(b.committed),
            durable: watch::Sender::new(b.committed),
            status: watch::Sender::new(Arc::default()),
            troubles: Mutex::default(),
            seen: Mutex::new((b.now.mono, b.now.wall)),
            stats: Stats::default(),
            closing: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            orderly: AtomicBool::new(false),
            crashed: AtomicBool::new(false),
            pressure: AtomicBool::new(false),
            nudges: b.nudges,
            lock: Mutex::new(Some(b.lock)),
        }
    }

    /// Returns the shelf of `stream`.
    pub(super) fn shelf(&self, stream: Stream) -> &Shelf {
        let [alarm, passage, event, registry, report, telemetry] = &self.shelves;
        match stream {
            Stream::Alarm => alarm,
            Stream::Passage => passage,
            Stream::Event => event,
            Stream::Registry => registry,
            Stream::Report => report,
            Stream::Telemetry => telemetry,
        }
    }

    /// Takes down that numbers are lost; the keeper writes it into the ledger. Neighbours become one gap.
    pub(super) fn lose(&self, loss: Loss) {
        if loss.seqs.is_empty() {
            return;
        }
        let mut losses = lock(&self.losses);
        let neighbour = losses.iter_mut().rev().find(|l| l.stream == loss.stream).filter(|l| {
            l.reason == loss.reason && l.exact == loss.exact && l.seqs.end().checked_add(1) == Some(*loss.seqs.start())
        });
        match neighbour {
            Some(before) => {
                before.seqs = *before.seqs.start()..=*loss.seqs.end();
                before.times.1 = loss.times.1;
            }
            None => losses.push(loss),
        }
    }

    /// As [`Shared::lose`], for numbers that never reached the disk.
    pub(super) fn lose_exact(&self, stream: Stream, seqs: RangeInclusive<u64>, at: Option<Timestamp>, why: GapReason) {
        self.lose(Loss { stream, seqs, times: (at, at), exact: true, reason: why });
    }

    /// Returns and empties what waits for the ledger.
    pub(super) fn take_losses(&self) -> Vec<Loss> {
        std::mem::take(&mut *lock(&self.losses))
    }

    /// Puts back what could not be written.
    pub(super) fn return_losses(&self, mut first: Vec<Loss>) {
        let mut losses = lock(&self.losses);
        first.append(&mut losses);
        *losses = first;
    }

    /// Returns whether too much waits for the ledger.
    pub(super) fn losses_are_many(&self) -> bool {
        lock(&self.losses).len() >= MAX_LOSSES
    }

    /// Returns all numbers of `stream` that are lost, in the ledger or on their way there.
    pub(super) fn accounted(&self, stream: Stream) -> RangeSet {
        // The box first: what moves from it to the ledger meanwhile is then seen twice, never missed.
        let waiting: Vec<_> =
            lock(&self.losses).iter().filter(|l| l.stream == stream).map(|l| l.seqs.clone()).collect();
        let mut set = lock(&self.ledger).accounted(stream);
        for seqs in waiting {
            set.insert(seqs);
        }
        set
    }

    /// Takes down that records up to `entries`' last are stored.
    pub(super) fn stored(&self, stream: Stream, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        raise(&self.committed, stream, last.seq);
        raise(&self.durable, stream, last.seq);
        let mut seen = lock(&self.seen);
        if last.stamp.mono > seen.0 {
            *seen = (last.stamp.mono, last.stamp.wall);
        }
    }

    /// Takes down that the journal holds records up to `last`.
    pub(super) fn durable(&self, stream: Stream, last: u64) {
        raise(&self.durable, stream, last);
    }

    /// Returns now, as far as the store can tell: monotonic time, and the wall time of the youngest record moved on.
    pub(super) fn now(&self) -> (Mono, Timestamp) {
        let (mono, wall) = *lock(&self.seen);
        let now = mono_now();
        (now, wall.after(now.since(mono)))
    }

    /// Says or takes back what is wrong, as seen by `who`.
    pub(super) fn set_trouble(&self, who: &'static str, what: Option<String>) {
        let mut troubles = lock(&self.troubles);
        match what {
            Some(what) => troubles.insert(who, what),
            None => troubles.remove(who),
        };
    }

    /// Returns all that is wrong, in words.
    pub(super) fn trouble(&self) -> Option<String> {
        let troubles = lock(&self.troubles);
        let words: Vec<&str> = troubles.values().map(String::as_str).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Takes down how long a commit took.
    pub(super) fn note_commit(&self, took: Duration) {
        self.stats.commits.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.stats.worst_commit_us.fetch_max(us, Ordering::Relaxed);
    }

    /// Wakes the keeper; a full channel means that it is awake.
    pub(super) fn nudge(&self) {
        // Full or closed: see above, or the store is at its end.
        drop(self.nudges.try_send(Nudge::Look));
    }

    /// Returns whether the end may be marked as clean: by `close`, no writer died.
    pub(super) fn is_orderly(&self) -> bool {
        self.orderly.load(Ordering::Acquire) && !self.crashed.load(Ordering::Acquire)
    }

    /// Returns whether the threads must end at once.
    pub(super) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Lets another process, or another `open`, have the store.
    pub(super) fn unlock(&self) {
        drop(lock(&self.lock).take());
    }

    /// Returns whether the store ends.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

fn raise(numbers: &watch::Sender<[u64; N]>, stream: Stream, to: u64) {
    numbers.send_modify(|all| {
        if let Some(n) = all.get_mut(stream.rank()) {
            *n = (*n).max(to);
        }
    });
}

/// Monotonic time, for the store's own intervals.
pub(super) fn mono_now() -> Mono {
    Mono::from(sys::clock::boottime())
}
