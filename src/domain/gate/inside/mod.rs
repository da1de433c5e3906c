//! Who is inside (`domain.md` A7): passages in two phases, what follows from those that were completed, and the account of it
//! that several gateways of a park share.
//!
//! ```text
//!  lanes ─▶ passage: detected ▸ decided ▸ passing ▸ completed ─▶ event ─┐
//!  cameras' late records ──────────────────────────────────────▶ event ─┤                ┌▶ counts per zone and stock
//!  persons: signed count, correction, review ──────────────────▶ event ─┼▶ log ▸ account ┼▶ place of each subject
//!  other gateways ─────────────────────────────────────────────▶ events ┘    (derived)   └▶ reconciliation, facts, muster
//! ```
//!
//! What it promises:
//! - Only a completed passage changes a count. A count is derived from events, never an incremented number, never below zero;
//!   what would have gone below is told. A correction is an event with who and why; the opening stock is a signed count.
//! - An event has its effect at its own time, whenever it comes. A late record moves nothing but numbers.
//! - The log is a set: what gateways know of one another is merged in any order, any number of times, with the same result.
//! - A passage is recorded with each step and never lost or doubled: one that a restart interrupted ends *in doubt*, and is on
//!   the list of the day.
//! - After a gap (a restart longer than [`RESTART_GAP`], or one of unknown length; a peer that is not heard) nobody claims to
//!   know who is inside: anti-passback is soft then, hard only for dangerous goods on their way in. Nobody is kept in by it.
//! - Memory is bounded: the oldest events are folded, one for one, into a stock from which everything goes on.
//!
//! A value without clock, task or I/O: hand in one input, then drain [`Inside::poll_output`]; call
//! [`Inside::handle_timeout`] when [`Inside::poll_timeout`] has come. An [`Output::Event`] is to be stored before it is sent
//! to peers. [`Inside::revision`] changes with whatever [`Inside::saved`] must not lose.
//!
//! In reading order: [`event`], [`fold`], [`log`], [`account`], [`passage`], [`rules`], `steps` (passages), `people` (what
//! persons do), `sharing` (other gateways), `assumed` (who
//! left in a vehicle), `watch` (what deserves an alarm), [`reconcile`], [`facts`], [`saved`].

pub mod account;
mod assumed;
pub mod event;
pub mod facts;
pub mod fold;
pub mod log;
pub mod passage;
mod people;
pub mod reconcile;
pub mod rules;
pub mod saved;
mod sharing;
mod steps;
#[cfg(test)]
pub(in crate::domain::gate) mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::account::{Place, Stay, Through};
pub use self::event::{Event, EventId, Order, Source, Stock, Stocks, Subject};
pub use self::log::{Conflict, Have};
pub use self::passage::{Begin, Decided, Outcome, Passage, Phase, Step, Who};
pub use self::people::InsideAction;
pub use self::rules::{Rules, ZoneRule};
pub use self::saved::Saved;
pub use self::steps::{Late, NotTaken};

use self::account::{Account, Touched};
use self::event::Body;
use self::log::{Log, Taken};
use self::watch::Watch;
use super::hardware::CameraEvent;
use super::word::{GatewayId, LaneId, PassageId, ZoneId};
use crate::domain::document::{Document, DocumentKind};
use crate::domain::record::Mode;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// A restart that took no longer than this left no gap: nothing passes a lane whose gateway is off but by hand, and a guard
/// needs longer than that to notice.
pub const RESTART_GAP: Duration = Duration::from_secs(60);
/// Passages under way and just ended: a park has a few dozen lanes; a lane that forgets to end its passages fills no memory.
/// When it is full, the one that was touched last the longest ago ends in doubt.
pub const MAX_PASSAGES: usize = 1_000;
/// Passages that are over stay this long, so that pictures find them, and a vehicle that crosses all the same.
pub const LINGER: Duration = Duration::from_secs(10 * 60);
/// Reads that came to nothing, by which a resend is known: the resends of a few minutes at every lane.
pub const MAX_READS: usize = 2_000;

/// Conflicts of the kinds that are not derived anew: people look at a few; a peer that floods fills no memory.
pub const MAX_CONFLICTS: usize = 1_000;

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To be recorded.
    Document(Document),
    /// To be stored, and then sent to the other gateways.
    Event(Arc<Event>),
    /// For the alarm machine.
    Fact(InsideFact),
}

/// Something that deserves an alarm, or no longer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsideFact {
    /// What is wrong.
    pub fault: InsideFault,
    /// Who or what; with `fault` and `zone` the stable name of the alarm.
    pub subject: String,
    /// Zone; empty where it is no zone's.
    pub zone: String,
    /// Whether it is so now.
    pub active: bool,
    /// For people, Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InsideFault {
    /// More are inside than may be (超员).
    OverCapacity,
    /// Somebody stays longer than he may (滞留); said again while it lasts.
    Overstay,
    /// More went out than were inside: a count is due.
    Negative,
    /// So many violations that a person has to look.
    Review,
    /// Two gateways, or two devices, say what cannot both be so.
    Conflict,
    /// A passage ended in doubt.
    InDoubt,
}

impl InsideFault {
    /// Returns the word used in the names of alarms.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OverCapacity => "over_capacity",
            Self::Overstay => "overstay",
            Self::Negative => "negative",
            Self::Review => "review",
            Self::Conflict => "conflict",
            Self::InDoubt => "in_doubt",
        }
    }
}

/// What is recorded as document `inside`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InsideRecord<'a> {
    /// An event that is no passage.
    Event(&'a Event),
    /// Two things that cannot both be so.
    Conflict(&'a Conflict),
    /// The account of a day.
    Reconciliation(&'a reconcile::Reconciliation),
}

/// The clock that places events: the wall clock while it is trusted, else the time since it last was. It never goes back, so
/// that what happens later at this gateway stands later.
#[derive(Clone, Copy, Debug)]
struct Dial {
    anchor: Timestamp,
    mono: Mono,
    last: Timestamp,
}

impl Dial {
    fn read(&self, now: Now) -> Timestamp {
        match now.trust {
            ClockTrust::Unsynced => self.anchor.after(now.mono.since(self.mono)),
            ClockTrust::Synced | ClockTrust::Holdover => now.wall,
        }
    }

    fn take(&mut self, now: Now) -> Timestamp {
        let at = self.read(now).max(self.last);
        *self = Self { anchor: at, mono: now.mono, last: at };
        at
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Inside {
    source: Source,
    rules: Rules,
    log: Log,
    account: Account,
    dial: Dial,
    next_event: u64,
    next_passage: u64,
    passages: BTreeMap<PassageId, Passage>,
    reads: VecDeque<(CameraEvent, PassageId)>,
    /// Camera events refused because they were known, by lane, since the last reconciliation.
    resends: BTreeMap<LaneId, u64>,
    /// Before this time nobody knows who was inside, unless he was seen or counted since.
    gap: Option<Timestamp>,
    /// When each peer was heard last.
    heard: BTreeMap<GatewayId, Mono>,
    watch: Watch,
    /// Conflicts that cannot be derived again from the log.
    conflicts: BTreeSet<Conflict>,
    revision: u64,
    outputs: VecDeque<Output>,
}

impl Inside {
    /// Starts with nothing known: a signed count is due. `boot` counts the starts of this gateway in this epoch.
    pub fn new(gateway: GatewayId, boot: u32, rules: Rules, now: Now) -> Self {
        let dial = Dial { anchor: now.wall, mono: now.mono, last: Timestamp(i64::MIN) };
        Self {
            source: Source { gateway, boot },
            rules,
            log: Log::default(),
            account: Account::default(),
            gap: Some(dial.read(now)),
            dial,
            next_event: 1,
            next_passage: 1,
            passages: BTreeMap::new(),
            reads: VecDeque::new(),
            resends: BTreeMap::new(),
            heard: BTreeMap::new(),
            watch: Watch::default(),
            conflicts: BTreeSet::new(),
            revision: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Returns the next thing that comes out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns a number that changes with whatever must survive a restart.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the time by which events are placed.
    pub fn time(&self, now: Now) -> Timestamp {
        self.dial.read(now).max(self.dial.last)
    }

    /// Returns the rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Goes on under other rules; what is known stays known.
    pub fn reconfigure(&mut self, rules: Rules, now: Now) {
        self.rules = rules;
        self.rewatch(now);
        self.changed();
    }

    /// Returns the account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Returns the passages under way, and those that just ended.
    pub fn passages(&self) -> impl Iterator<Item = &Passage> {
        self.passages.values()
    }

    /// Returns a passage that is under way, or just ended.
    pub fn passage(&self, id: &PassageId) -> Option<&Passage> {
        self.passages.get(id)
    }

    /// Returns the numbers of a zone.
    pub fn stocks(&self, zone: &ZoneId) -> Stocks {
        let vehicles = super::word::VehicleClass::ALL.iter().map(|class| {
            let (count, _) = self.account.count(zone, Stock::Vehicles(*class));
            (*class, count)
        });
        Stocks {
            persons: self.account.count(zone, Stock::Persons).0,
            vehicles: vehicles.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// Returns everything that cannot be so, by what is known now, and that no person has settled.
    pub fn conflicts(&self) -> BTreeSet<Conflict> {
        let all = self.conflicts.iter().cloned().chain(self.log.two_versions()).chain(self.account.shared_reads());
        all.filter(|conflict| !self.account.is_settled(&conflict.event())).collect()
    }

    /// Returns when [`Inside::handle_timeout`] is due.
    pub fn poll_timeout(&self, now: Now) -> Option<Mono> {
        let passage = self.passages.values().map(|passage| self.passage_due(passage)).min();
        let overstay = self.watch.due().map(|due| {
            let wait = due.0.saturating_sub(self.dial.read(now).0).max(0);
            now.mono + Duration::from_millis(wait.unsigned_abs())
        });
        passage.into_iter().chain(overstay).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.end_due_passages(now);
        self.tell_overstays(now);
    }

    /// Writes an event of this gateway.
    fn write(&mut self, body: Body, at: Timestamp, now: Now) -> Arc<Event> {
        let seq = self.next_event;
        let id = EventId { source: self.source.clone(), n: seq };
        self.write_version(id, 1, body, at, now)
    }

    fn write_version(&mut self, id: EventId, version: u32, body: Body, at: Timestamp, now: Now) -> Arc<Event> {
        let seq = self.next_event;
        self.next_event = self.next_event.saturating_add(1);
        let source = self.source.clone();
        let event = Arc::new(Event { source, seq, id, version, at, clock: now.trust, body });
        self.outputs.push_back(Output::Event(event.clone()));
        // A first crossing is on record as its passage.
        if event.version > 1 || !matches!(event.body, Body::Crossed(_)) {
            self.record(&InsideRecord::Event(&event), now);
        }
        self.take(&event, now);
        event
    }

    /// Takes an event into the account, and says what follows.
    fn take(&mut self, event: &Arc<Event>, now: Now) {
        let mut touched = Touched::default();
        self.account_for(event, now, &mut touched);
        self.look_at(&touched, now);
        self.fold_oldest();
        self.changed();
        let late = event.crossed().is_some_and(|crossed| crossed.late) || event.version > 1;
        if late && !event.crossed().is_some_and(|crossed| crossed.assumed && event.version > 1) {
            self.settle_assumed(&touched.subjects, now);
        }
    }

    /// Takes an event into the account.
    fn account_for(&mut self, event: &Arc<Event>, now: Now, touched: &mut Touched) {
        if self.account.horizon().is_some_and(|horizon| event.order() <= *horizon) {
            if self.log.at(&event.source, event.seq).is_none() && !self.log.is_seen(event) {
                self.conflict(Conflict::BeyondHorizon { id: event.id.clone() }, now);
            }
            self.log.pass_over(event);
            return;
        }
        // Where a number was given twice, the other event of it may lose its place.
        let other = self.log.at(&event.source, event.seq).map(|other| other.id.clone());
        let ids: BTreeSet<EventId> = other.into_iter().chain([event.id.clone()]).collect();
        let before: Vec<_> = ids.into_iter().map(|id| (self.log.holding(&id).cloned(), id)).collect();
        let (taken, conflict) = self.log.insert(event);
        if let Some(conflict) = conflict {
            self.conflict(conflict, now);
        }
        if taken != Taken::Holds {
            return;
        }
        for (before, id) in before {
            if let Some(conflict) = self.account.update(before.as_deref(), &self.log, &id, touched) {
                self.conflict(conflict, now);
            }
        }
        if let Body::Settled { of, .. } = &event.body {
            self.tell_settled(of);
            self.conflicts.retain(|conflict| conflict.event() != *of);
            self.tell_conflicts();
        }
    }

    fn conflict(&mut self, conflict: Conflict, now: Now) {
        let derived = matches!(conflict, Conflict::TwoVersions { .. } | Conflict::SameRead { .. });
        if !derived && (self.conflicts.len() >= MAX_CONFLICTS || !self.conflicts.insert(conflict.clone())) {
            return;
        }
        self.record(&InsideRecord::Conflict(&conflict), now);
        self.tell_conflicts();
    }

    /// Folds the oldest events as long as there are too many: one for one, so that no input waits for it.
    fn fold_oldest(&mut self) {
        while self.account.line().len() > self.rules.max_events.max(1) {
            let Some(event) = self.account.fold_oldest() else { return };
            self.log.fold(&event.id);
        }
    }

    fn record(&mut self, record: &InsideRecord<'_>, now: Now) {
        self.outputs.push_back(Output::Document(Document::of(DocumentKind::Inside, Mode::Real, now.mono, record)));
    }

    fn changed(&mut self) {
        self.revision += 1;
    }
}
