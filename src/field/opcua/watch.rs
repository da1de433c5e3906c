//! One server as it stands: the devices behind it, what is watched, what is known to have come. Pure: the task hands in what
//! happened and `now`, and takes out events.
//!
//! ```text
//!                    subscribed                  lost (connection, watchdog, refusal)
//!   Connecting ─────────────────▶ Up ───────────────────────────────▶ Down(until)
//!                                 ▲                                      │ until = now + next back-off
//!                                 └──── subscribed, or resumed ──────────┘ one attempt, at most one CreateSession
//! ```
//!
//! **Coverage.** A subscription sends what changed and else nothing, so what was due is each sampling interval, and it came
//! when the subscription is heard of afterwards, by data or keep-alive: each sign of life ends the polls due up to it. While
//! the server is away they fail. A class with a refused node is never whole. The server's own (revised) sampling interval is
//! the grid, so that one slower than asked for shows as skipped polls.
//!
//! **Unchanged.** A sign of life also says that what did not come did not change: readings older than [`REAFFIRM`], or so old
//! that the point's longest silence would pass before the next sign, are handed on again, as received then: its longest
//! silence holds for it as for a polled one.
//!
//! **Restart.** What the store knows of a point ([`Watch::recall`]) begins its first hole.
//!
//! **Watchdog.** No sign of life for three keep-alives: the session is torn down, whatever the client library believes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use ::opcua::types::DataValue;
use smallvec::smallvec;

use super::super::backoff::Backoff;
use super::super::schedule::Grid;
use super::super::settings::opcua::{OpcUaDevice, Server, ServerLink, Stored};
use super::item::{Item, ItemRef, ItemState};
use super::sequence::Sequence;
use super::value;
use crate::domain::field_event::{FieldEvent, GapNotice, LinkChange, LinkState, Origin, Poll, Sample};
use crate::domain::id::DeviceSlot;
use crate::domain::reading::{Quality, Reading, Readings};
use crate::domain::record::SourceGapReason;
use crate::domain::snapshot::OpcUaCounters;
use crate::domain::time::{Mono, Now, Timestamp};

/// Readings of unchanged points are handed on again at the first sign of life after this (or their interval, if longer).
pub const REAFFIRM: Duration = Duration::from_secs(5);
/// Signs of life that may be missing before the session is torn down.
const MISSED: u32 = 3;
/// Silence that is always borne: a busy server answers late.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a subscription must stand before the next failure waits the first step again.
const STABLE: Duration = Duration::from_secs(10);
/// Polls of a class ended at one sign of life: 4 s at 100 ms are 40; more means that the gateway itself stood still, and is
/// counted as skipped.
const MAX_POLLS: usize = 1000;

/// See the module.
#[derive(Debug)]
pub struct Watch {
    server: Arc<Server>,
    units: Vec<Unit>,
    handles: BTreeMap<u32, ItemRef>,
    next_handle: u32,
    health: Health,
    backoff: Backoff,
    sequence: Sequence,
    outdated: bool,
    alive: Now,
    up_since: Mono,
    cycle: Duration,
    /// What it counted since the start of the task.
    pub counters: OpcUaCounters,
    /// For the engine, in order.
    pub events: Vec<FieldEvent>,
    /// For the log: points that are no number, each once.
    pub complaints: Vec<(ItemRef, value::NoNumber)>,
}

/// What readings of one sample have in common: time, whether it is the source's own, device.
type OfOneTime = (Option<Timestamp>, Of, DeviceSlot);

/// Whose a time is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    /// The source's, of a value that came after later ones.
    Past,
    Source,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Connecting,
    Up,
    Down { until: Mono },
}

#[derive(Debug)]
struct Unit {
    slot: DeviceSlot,
    device: Arc<OpcUaDevice>,
    grids: Vec<Grid>,
    items: Vec<Item>,
    up: bool,
}

/// A hole that may be filled from the server's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The point.
    pub item: ItemRef,
    /// Time of the last value before it.
    pub after: Timestamp,
}

impl Watch {
    /// Returns a server that has not been asked yet.
    pub fn new(server: Arc<Server>, now: Now) -> Self {
        let backoff = Backoff::new(server.backoff_initial, server.backoff_max);
        let cycle = server.sign_of_life();
        Self {
            server,
            units: Vec::new(),
            handles: BTreeMap::new(),
            next_handle: 1,
            health: Health::Connecting,
            backoff,
            sequence: Sequence::default(),
            outdated: false,
            alive: now,
            up_since: now.mono,
            cycle,
            counters: OpcUaCounters::default(),
            events: Vec::new(),
            complaints: Vec::new(),
        }
    }

    /// Takes over the devices of a new configuration; those whose slot stays stay as they are. Returns the server's numbers of
    /// items that nobody wants any more.
    pub fn take_over(&mut self, link: &ServerLink, now: Mono) -> Vec<u32> {
        let mut old: BTreeMap<DeviceSlot, Unit> = self.units.drain(..).map(|unit| (unit.slot, unit)).collect();
        for (slot, device) in &link.devices {
            let unit = old.remove(slot).unwrap_or_else(|| {
                let mut unit = Unit::new(*slot, device, now);
                unit.up = self.health == Health::Up;
                let state = if unit.up { LinkState::Up } else { LinkState::Connecting };
                self.events.push(FieldEvent::Link(LinkChange { slot: *slot, at: now, state }));
                unit
            });
            self.units.push(unit);
        }
        self.handles.retain(|_, item| !old.contains_key(&item.slot));
        let watched = |item: &Item| if let ItemState::Watched(id) = item.state { Some(id) } else { None };
        old.values().flat_map(|unit| unit.items.iter().filter_map(watched)).collect()
    }

    /// Takes what the store knew of the points when the gateway started; a point that was heard of since is not touched.
    pub fn recall(&mut self, stored: &Stored) {
        for unit in &mut self.units {
            for (ordinal, item) in (0_u16..).zip(&mut unit.items) {
                item.last_t = item.last_t.or_else(|| stored.get(&(unit.slot, ordinal)).copied());
            }
        }
    }

    /// Returns whether there is anything to read.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Returns the server's settings.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Returns whether the subscription stands.
    pub fn is_up(&self) -> bool {
        self.health == Health::Up
    }

    /// Returns whether it was lost, or never reached.
    pub fn is_down(&self) -> bool {
        matches!(self.health, Health::Down { .. })
    }

    /// Returns when the next attempt may be made.
    pub fn not_before(&self) -> Mono {
        if let Health::Down { until } = self.health { until } else { Mono::default() }
    }

    /// Returns how many points are watched and how many are refused.
    pub fn tally(&self) -> (usize, usize) {
        let items = || self.units.iter().flat_map(|unit| &unit.items);
        let watched = items().filter(|item| matches!(item.state, ItemState::Watched(_))).count();
        (watched, items().filter(|item| matches!(item.state, ItemState::Refused { .. })).count())
    }

    /// Notes a new subscription, whose sign of life comes each `cycle` at the latest: all items are to be asked for.
    pub fn subscribed(&mut self, cycle: Duration, now: Now) {
        self.cycle = cycle.max(Duration::from_millis(100));
        self.sequence = Sequence::default();
        self.outdated = false;
        self.handles.clear();
        self.units.iter_mut().flat_map(|unit| &mut unit.items).for_each(Item::forgotten);
        if self.is_down() {
            self.hole(SourceGapReason::Outage, self.alive.wall, now);
        }
        self.up(now);
    }

    /// Notes that the session, and with it the subscription and what its queue holds, outlived the connection.
    pub fn resumed(&mut self, now: Now) {
        self.up(now);
    }

    fn up(&mut self, now: Now) {
        self.health = Health::Up;
        self.alive = now;
        self.up_since = now.mono;
        for unit in self.units.iter_mut().filter(|unit| !unit.up) {
            unit.up = true;
            self.events.push(FieldEvent::Link(LinkChange { slot: unit.slot, at: now.mono, state: LinkState::Up }));
        }
    }

    /// Returns the holes that the outage before this subscription, or the gateway's own, left in points that had a value before.
    pub fn holes(&self, longest: Duration, now: Now) -> Vec<Hole> {
        let floor = now.wall.before(longest);
        let items = self.units.iter().flat_map(|unit| unit.refs().zip(&unit.items));
        let hole = |(item, state): (ItemRef, &Item)| Some(Hole { item, after: state.last_t?.max(floor) });
        let mut holes: Vec<Hole> = items.filter_map(hole).collect();
        // Those that begin together are asked for together.
        holes.sort_by_key(|hole| std::cmp::Reverse(hole.after));
        holes
    }

    /// Takes the items that should be asked for now, at most `most`, with the handle of each.
    pub fn ask(&mut self, most: usize, now: Mono) -> Vec<(u32, ItemRef)> {
        let mut asked = Vec::new();
        for unit in &mut self.units {
            for (ordinal, item) in (0_u16..).zip(&mut unit.items) {
                if asked.len() == most {
                    return asked;
                }
                if item.is_due(now) {
                    item.state = ItemState::Asked;
                    let item = ItemRef { slot: unit.slot, ordinal };
                    self.handles.insert(self.next_handle, item);
                    asked.push((self.next_handle, item));
                    self.next_handle = self.next_handle.checked_add(1).unwrap_or(1);
                }
            }
        }
        asked
    }

    /// Returns the device and class interval of an item.
    pub fn place(&self, item: ItemRef) -> Option<(&Arc<OpcUaDevice>, Duration)> {
        let unit = self.units.iter().find(|unit| unit.slot == item.slot)?;
        let point = unit.device.points.get(usize::from(item.ordinal))?;
        Some((&unit.device, unit.device.classes.get(usize::from(point.class))?.interval))
    }

    /// Notes that the server watches an item, sampling it each `sampling`.
    pub fn watched(&mut self, item: ItemRef, id: u32, sampling: Duration, now: Mono) {
        let Some(unit) = self.unit(item.slot) else { return };
        if let Some(state) = unit.items.get_mut(usize::from(item.ordinal)) {
            state.watched(id);
        }
        unit.slow_down(item.ordinal, sampling, now);
    }

    /// Notes that the server refuses an item: the point has no value, and its neighbours are not touched.
    pub fn refused(&mut self, handle: u32, item: ItemRef, status: u32, now: Mono) {
        self.handles.remove(&handle);
        let Some(unit) = self.unit(item.slot) else { return };
        if let Some(state) = unit.items.get_mut(usize::from(item.ordinal)) {
            state.refused(now);
        }
        let readings = smallvec![(item.ordinal, Reading::missing(value::bad(status)))];
        let origin = Origin::Received(None);
        self.events.push(FieldEvent::Sample(Sample { slot: item.slot, at: now, origin, readings }));
    }

    /// Notes that an item could not be asked for after all.
    pub fn unasked(&mut self, handle: u32, item: ItemRef) {
        self.handles.remove(&handle);
        if let Some(state) = self.unit(item.slot).and_then(|unit| unit.items.get_mut(usize::from(item.ordinal))) {
            state.state = ItemState::Wanted;
        }
    }

    /// Takes a notification: a sign of life, with or without values.
    pub fn notified(&mut self, number: u32, values: Vec<(u32, DataValue)>, now: Now) {
        // Not before it has stood for a while: a server that takes sessions and drops them is waited for as one that is away.
        if self.health == Health::Up && now.mono.since(self.up_since) >= STABLE {
            self.backoff.reset();
        }
        let late = self.sequence.take(number, !values.is_empty(), now.mono);
        self.counters.notifications += 1;
        self.counters.values += values.len() as u64;
        self.take_values(values, late, now);
        self.look_for_losses(now);
        self.alive = now;
        for unit in &mut self.units {
            unit.end_polls(now.mono, &mut self.events);
            unit.reaffirm(self.cycle, now.mono, &mut self.events);
        }
    }

    /// Notes that notifications arrived which the gateway had no room for.
    pub fn dropped(&mut self, now: Now) {
        self.hole(SourceGapReason::Gateway, self.alive.wall, now);
        self.outdated = true;
    }

    fn take_values(&mut self, values: Vec<(u32, DataValue)>, late: bool, now: Now) {
        let mut groups: BTreeMap<OfOneTime, Readings> = BTreeMap::new();
        for (handle, data) in values {
            let Some(at) = self.handles.get(&handle).copied() else { continue };
            let Some(unit) = self.units.iter_mut().find(|unit| unit.slot == at.slot) else { continue };
            let Some(item) = unit.items.get_mut(usize::from(at.ordinal)) else { continue };
            let status = data.status.map_or(0, |status| status.bits());
            let (reading, complaint) = value::reading(data.value.as_ref(), status, &item.scaling);
            if let Some(why) = complaint {
                self.counters.no_numbers += 1;
                if !std::mem::replace(&mut item.complained, true) {
                    self.complaints.push((at, why));
                }
            }
            let (t, by_source) = time_of(&data);
            if late && t.zip(item.last_t).is_some_and(|(t, last)| t < last) {
                groups.entry((t, Of::Past, at.slot)).or_default().push((at.ordinal, reading));
                continue;
            }
            if value::overflowed(status) {
                self.counters.overflows += 1;
                let (from, to) = (item.last_t, t.unwrap_or(now.wall));
                let (points, reason) = (vec![at.ordinal], SourceGapReason::Overflow);
                let gap = GapNotice { slot: at.slot, at: now.mono, points, from, to, reason };
                self.events.push(FieldEvent::Gap(Box::new(gap)));
            }
            item.last = Some(reading);
            item.last_t = Some(t.unwrap_or(now.wall));
            item.first_t = item.first_t.or(item.last_t);
            item.told = Some(now.mono);
            let of = if by_source { Of::Source } else { Of::Server };
            groups.entry((t, of, at.slot)).or_default().push((at.ordinal, reading));
        }
        for ((t, of, slot), readings) in groups {
            let origin = match (t, of) {
                (Some(t), Of::Past) => Origin::History(t),
                (Some(t), Of::Source) => Origin::Source(t),
                (t, _) => Origin::Received(t),
            };
            self.events.extend(samples(slot, now.mono, origin, readings));
        }
    }

    /// Takes values of the server's history for a hole; those at its edges are known already.
    pub fn filled(&mut self, hole: Hole, values: &[DataValue], now: Now) {
        let Some(unit) = self.units.iter().find(|unit| unit.slot == hole.item.slot) else { return };
        let Some(item) = unit.items.get(usize::from(hole.item.ordinal)) else { return };
        let before = item.first_t;
        for data in values {
            let (Some(t), _) = time_of(data) else { continue };
            if t <= hole.after || before.is_some_and(|before| t >= before) {
                continue;
            }
            let status = data.status.map_or(0, |status| status.bits());
            let (reading, _) = value::reading(data.value.as_ref(), status, &item.scaling);
            let readings = smallvec![(hole.item.ordinal, reading)];
            let sample = Sample { slot: unit.slot, at: now.mono, origin: Origin::History(t), readings };
            self.counters.history_values += 1;
            self.events.push(FieldEvent::Sample(sample));
        }
    }

    /// Notes that the server is not there: all points `comm`, and no attempt before the next back-off step. Returns the delay.
    pub fn lost(&mut self, reason: &str, now: Now, rng: &mut fastrand::Rng) -> Duration {
        let retry = self.backoff.fail(rng);
        self.health = Health::Down { until: now.mono + retry };
        for unit in &mut self.units {
            unit.lost(reason, retry, now.mono, &mut self.events);
        }
        retry
    }

    /// Lets time pass while the server is not there: what falls due fails.
    pub fn tick(&mut self, now: Now) {
        if self.health == Health::Up {
            return self.look_for_losses(now);
        }
        for unit in &mut self.units {
            unit.fail_polls(now.mono, &mut self.events);
        }
    }

    /// A notification is lost for good: a gap, and what stands at the server may be newer than what we know.
    fn look_for_losses(&mut self, now: Now) {
        if self.sequence.lost(now.mono) {
            self.counters.sequence_gaps += 1;
            self.hole(SourceGapReason::Sequence, self.alive.wall, now);
            self.outdated = true;
        }
    }

    /// Returns the numbers of notifications that the server should be asked to send again.
    pub fn to_ask_again(&mut self) -> Vec<u32> {
        self.sequence.to_ask()
    }

    /// Returns whether the last values of some points may be lost: a new subscription tells them all.
    pub fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// Returns whether the subscription has been silent for too long.
    pub fn is_silent(&self, now: Mono) -> bool {
        self.health == Health::Up && now.since(self.alive.mono) > self.patience()
    }

    /// Returns after how much silence the session is torn down.
    pub fn patience(&self) -> Duration {
        (self.cycle.max(self.server.publishing) * MISSED).max(PATIENCE)
    }

    /// Returns when the server was last heard of.
    pub fn alive(&self) -> Now {
        self.alive
    }

    fn hole(&mut self, reason: SourceGapReason, from: Timestamp, now: Now) {
        for unit in &self.units {
            let gap =
                GapNotice { slot: unit.slot, at: now.mono, points: Vec::new(), from: Some(from), to: now.wall, reason };
            self.events.push(FieldEvent::Gap(Box::new(gap)));
        }
    }

    fn unit(&mut self, slot: DeviceSlot) -> Option<&mut Unit> {
        self.units.iter_mut().find(|unit| unit.slot == slot)
    }
}

impl Unit {
    fn new(slot: DeviceSlot, device: &Arc<OpcUaDevice>, now: Mono) -> Self {
        let grids = device.classes.iter().map(|class| Grid::new(now, class.interval, device.id.as_str())).collect();
        Self { slot, device: Arc::clone(device), grids, items: Item::all(device), up: false }
    }

    fn refs(&self) -> impl Iterator<Item = ItemRef> + use<> {
        let slot = self.slot;
        (0_u16..=u16::MAX).map(move |ordinal| ItemRef { slot, ordinal })
    }

    /// A class is sampled as fast as its slowest point.
    fn slow_down(&mut self, ordinal: u16, sampling: Duration, now: Mono) {
        let Some(point) = self.device.points.get(usize::from(ordinal)) else { return };
        if let Some(grid) = self.grids.get_mut(usize::from(point.class)).filter(|grid| grid.interval() < sampling) {
            *grid = Grid::new(now, sampling, self.device.id.as_str());
        }
    }

    fn class_is_whole(&self, class: usize) -> bool {
        let mut points = self.device.points.iter().zip(&self.items).filter(|(p, _)| usize::from(p.class) == class);
        points.all(|(_, item)| matches!(item.state, ItemState::Watched(_)))
    }

    fn end_polls(&mut self, now: Mono, out: &mut Vec<FieldEvent>) {
        // While points are being asked for, what falls due waits for the answer.
        if self.items.iter().any(|item| matches!(item.state, ItemState::Wanted | ItemState::Asked)) {
            return;
        }
        let whole: Vec<bool> = (0..self.grids.len()).map(|class| self.class_is_whole(class)).collect();
        for ((class, grid), ok) in (0_u8..).zip(&mut self.grids).zip(whole) {
            end(self.slot, class, grid, ok, now, out);
        }
    }

    fn fail_polls(&mut self, now: Mono, out: &mut Vec<FieldEvent>) {
        for (class, grid) in (0_u8..).zip(&mut self.grids) {
            end(self.slot, class, grid, false, now, out);
        }
    }

    fn reaffirm(&mut self, next_sign: Duration, now: Mono, out: &mut Vec<FieldEvent>) {
        let mut readings = Readings::new();
        for ((ordinal, item), point) in (0_u16..).zip(&mut self.items).zip(&self.device.points) {
            let interval = self.device.classes.get(usize::from(point.class)).map_or(REAFFIRM, |class| class.interval);
            let patience = REAFFIRM.min(point.silence.saturating_sub(next_sign)).max(interval);
            let old = item.told.is_none_or(|told| now.since(told) >= patience);
            let watched = matches!(item.state, ItemState::Watched(_));
            if let Some(reading) = item.last.filter(|_| old && watched) {
                item.told = Some(now);
                readings.push((ordinal, reading));
            }
        }
        out.extend(samples(self.slot, now, Origin::Received(None), readings));
    }

    fn lost(&mut self, reason: &str, retry: Duration, now: Mono, out: &mut Vec<FieldEvent>) {
        self.fail_polls(now, out);
        self.up = false;
        for item in &mut self.items {
            item.told = None;
        }
        let state = LinkState::Down { reason: reason.to_owned(), retry };
        out.push(FieldEvent::Link(LinkChange { slot: self.slot, at: now, state }));
        let readings =
            (0_u16..).zip(&self.items).map(|(ordinal, _)| (ordinal, Reading::missing(Quality::Comm))).collect();
        out.extend(samples(self.slot, now, Origin::Received(None), readings));
    }
}

fn end(slot: DeviceSlot, class: u8, grid: &mut Grid, ok: bool, now: Mono, out: &mut Vec<FieldEvent>) {
    for n in 0..MAX_POLLS {
        let due = grid.due();
        if due > now {
            return;
        }
        let skipped = grid.finish(if n + 1 < MAX_POLLS { due } else { now });
        out.push(FieldEvent::Poll(Poll { slot, class, due, started: due, ended: now, ok, skipped }));
    }
}

/// Returns the time of a value, and whether it is the source's own; the server's only where the source gives none.
fn time_of(data: &DataValue) -> (Option<Timestamp>, bool) {
    let known = |t: Option<&::opcua::types::DateTime>| {
        t.filter(|t| !t.is_null()).map(|t| Timestamp(t.as_chrono().timestamp_millis()))
    };
    match known(data.source_timestamp.as_ref()) {
        Some(t) => (Some(t), true),
        None => (known(data.server_timestamp.as_ref()), false),
    }
}

/// Makes samples of readings of one time: a point that has several goes into several, in order.
fn samples(slot: DeviceSlot, at: Mono, origin: Origin, mut readings: Readings) -> impl Iterator<Item = FieldEvent> {
    std::iter::from_fn(move || {
        if readings.is_empty() {
            return None;
        }
        let mut now: BTreeMap<u16, Reading> = BTreeMap::new();
        let mut later = Readings::new();
        for (ordinal, reading) in readings.drain(..) {
            match now.entry(ordinal) {
                Entry::Vacant(place) => drop(place.insert(reading)),
                Entry::Occupied(_) => later.push((ordinal, reading)),
            }
        }
        readings = later;
        Some(FieldEvent::Sample(Sample { slot, at, origin, readings: now.into_iter().collect() }))
    })
}
