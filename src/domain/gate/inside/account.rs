//! The account: who and what is inside, derived from the events that hold, and from nothing else.
//!
//! ```text
//!  log ──the version that holds──▶ not void, first of its camera event ──▶ line (in time) ─┬─▶ counts per zone and stock
//!                                                                                          ├─▶ place of each subject
//!                                                                                          └─▶ marks (violations, reviews)
//! ```
//!
//! Entering an event, or taking one out, derives anew what it touches: its counts ([`super::fold`]), and the place of its
//! subjects from their own few events. So an event that comes three hours late has its effect at its own time, and what it
//! leads to is what it would have been had it come in time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{Body, Crossed, Event, EventId, Order, Stock, Subject};
use super::fold::{Tally, bound};
use super::log::{Conflict, Log};
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{
    CompanyId, Direction, GateId, GatewayId, LaneId, PassageId, PersonRef, VehicleClass, ZoneId,
};
use crate::domain::time::Timestamp;

/// The events that hold, in time.
pub type Line = BTreeMap<Order, Arc<Event>>;

/// A stay of a subject in a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// Since when.
    pub since: Timestamp,
    /// By which event.
    pub by: EventId,
    /// The gate and lane that it came through; `None`: counted in, or corrected.
    pub through: Option<Through>,
    /// Class of the vehicle, when it is one.
    pub class: Option<VehicleClass>,
    /// The vehicle that a person came in with.
    pub with: Option<Plate>,
    /// Persons in the vehicle who are not known by name.
    pub unidentified: u16,
    /// For whom.
    pub company: Option<CompanyId>,
}

/// Where and by which passage something crossed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Through {
    /// Gateway that saw it.
    pub gateway: GatewayId,
    /// Gate.
    pub gate: GateId,
    /// Lane.
    pub lane: LaneId,
    /// Passage.
    pub passage: PassageId,
    /// Which way.
    pub direction: Direction,
    /// When.
    pub at: Timestamp,
}

/// Where a subject is, and where it was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Zones that it is in. Empty: outside, as far as is known.
    pub zones: BTreeMap<ZoneId, Stay>,
    /// The last event that says where it is; `None` when there is none that is kept.
    pub last: Option<Timestamp>,
    /// The last passage.
    pub seen: Option<Through>,
}

/// Something about a subject's passages that does not fit together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfit {
    /// It came in, and was in already.
    InTwice,
    /// It went out, and was not in.
    OutWithoutIn,
}

/// What stood before the oldest event that is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// Nothing up to this place in the line is kept.
    pub horizon: Option<Order>,
    /// The counts then.
    pub counts: Vec<(ZoneId, Stock, i64)>,
    /// Who was where.
    pub places: Vec<(Subject, Place)>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Account {
    base_places: BTreeMap<Subject, Place>,
    line: Line,
    tallies: BTreeMap<(ZoneId, Stock), Tally>,
    timelines: BTreeMap<Subject, BTreeSet<Order>>,
    /// Counts by name: they say of everybody who is not on them that he is not there.
    lists: BTreeSet<Order>,
    /// Signed counts.
    counts: BTreeSet<Order>,
    marks: BTreeMap<Subject, BTreeSet<Order>>,
    /// What was cleared up, each with where that stands.
    settled: BTreeSet<(EventId, Order)>,
    places: BTreeMap<Subject, Place>,
    cameras: BTreeMap<CameraEvent, BTreeSet<EventId>>,
    /// Those of them that came in more than once.
    shared_reads: BTreeSet<CameraEvent>,
    horizon: Option<Order>,
}

/// What a change of the account touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Counts.
    pub counters: BTreeSet<(ZoneId, Stock)>,
    /// Places.
    pub subjects: BTreeSet<Subject>,
    /// Violations and reviews.
    pub marked: BTreeSet<Subject>,
}

impl Account {
    /// Starts from what stood before the oldest event.
    pub fn from_base(base: &Base) -> Self {
        let mut account = Self::default();
        for (zone, stock, count) in &base.counts {
            account.tallies.entry((zone.clone(), *stock)).or_default().set_base(*count);
        }
        account.base_places = base.places.iter().cloned().collect();
        account.places = account.base_places.clone();
        account.horizon = base.horizon.clone();
        account
    }

    /// Takes account of what holds of an event now, where `before` held until now. Returns a conflict over one camera event.
    pub fn update(
        &mut self,
        before: Option<&Event>,
        log: &Log,
        id: &EventId,
        touched: &mut Touched,
    ) -> Option<Conflict> {
        let after = log.holding(id).cloned();
        if let Some(before) = before {
            self.retract(before, log, touched);
        }
        after
            .filter(|event| !matches!(event.body, Body::Void { .. }))
            .and_then(|event| self.count_in(&event, log, touched))
    }

    fn count_in(&mut self, event: &Arc<Event>, log: &Log, touched: &mut Touched) -> Option<Conflict> {
        let Some(camera) = event.crossed().and_then(|crossed| crossed.camera.clone()) else {
            self.enter(event, touched);
            return None;
        };
        let mates = self.cameras.entry(camera.clone()).or_default();
        let first_before = mates.first().cloned();
        mates.insert(event.id.clone());
        if mates.len() > 1 {
            self.shared_reads.insert(camera);
        }
        let first = mates.first().cloned()?;
        if first != event.id {
            return Some(Conflict::SameRead { kept: first, other: event.id.clone() });
        }
        let beaten = first_before.filter(|other| *other != event.id);
        if let Some(other) = beaten.as_ref().and_then(|id| log.holding(id)) {
            self.take_out(other, touched);
        }
        self.enter(event, touched);
        beaten.map(|other| Conflict::SameRead { kept: event.id.clone(), other })
    }

    fn retract(&mut self, event: &Event, log: &Log, touched: &mut Touched) {
        self.take_out(event, touched);
        let Some(camera) = event.crossed().and_then(|crossed| crossed.camera.as_ref()) else { return };
        let Some(mates) = self.cameras.get_mut(camera) else { return };
        mates.remove(&event.id);
        if mates.len() < 2 {
            self.shared_reads.remove(camera);
        }
        match mates.first().and_then(|next| log.holding(next)).cloned() {
            Some(next) => self.enter(&next, touched),
            None => drop(self.cameras.remove(camera)),
        }
    }

    fn enter(&mut self, event: &Arc<Event>, touched: &mut Touched) {
        let order = event.order();
        if self.line.insert(order.clone(), event.clone()).is_some() {
            return;
        }
        for subject in event.subjects() {
            self.timelines.entry(subject).or_default().insert(order.clone());
        }
        match &event.body {
            Body::Counted(count) => {
                self.counts.insert(order.clone());
                if count.list.is_some() {
                    self.lists.insert(order);
                }
            }
            Body::Violated(violation) => {
                if let Some(subject) = &violation.subject {
                    self.marks.entry(subject.clone()).or_default().insert(order);
                }
            }
            Body::Reviewed { subject, .. } => drop(self.marks.entry(subject.clone()).or_default().insert(order)),
            Body::Settled { of, .. } => drop(self.settled.insert((of.clone(), order))),
            Body::Crossed(_) | Body::Void { .. } | Body::Corrected(_) | Body::Loose(_) => {}
        }
        self.derive(event, touched);
    }

    fn take_out(&mut self, event: &Event, touched: &mut Touched) {
        let order = event.order();
        if self.line.remove(&order).is_none() {
            return;
        }
        event.subjects().iter().for_each(|subject| remove(&mut self.timelines, subject, &order));
        marked(event).iter().for_each(|subject| remove(&mut self.marks, subject, &order));
        if let Body::Settled { of, .. } = &event.body {
            self.settled.remove(&(of.clone(), order.clone()));
        }
        self.lists.remove(&order);
        self.counts.remove(&order);
        self.derive(event, touched);
    }

    fn derive(&mut self, event: &Event, touched: &mut Touched) {
        for (zone, stock) in event.counters() {
            let tally = self.tallies.entry((zone.clone(), stock)).or_default();
            tally.refold(&self.line, &zone, stock, event.at);
            touched.counters.insert((zone, stock));
        }
        let mut subjects = event.subjects();
        if matches!(&event.body, Body::Counted(count) if count.list.is_some()) {
            // Whoever is not on the list is concerned as well.
            subjects.extend(self.places.keys().cloned());
            subjects.extend(self.timelines.keys().cloned());
        }
        for subject in subjects {
            self.derive_place(&subject);
            touched.subjects.insert(subject);
        }
        touched.marked.extend(marked(event));
    }

    fn derive_place(&mut self, subject: &Subject) {
        let mut place = self.base_places.get(subject).cloned().unwrap_or_default();
        self.walk(subject, |event, _| step(&mut place, subject, event));
        if place == Place::default() {
            self.places.remove(subject);
        } else {
            self.places.insert(subject.clone(), place);
        }
    }

    /// Visits the events that say where a subject is, in order, each with the place it was in before.
    fn walk(&self, subject: &Subject, mut visit: impl FnMut(&Event, &Self)) {
        let none = BTreeSet::new();
        let own = self.timelines.get(subject).unwrap_or(&none);
        for order in own.union(&self.lists) {
            if let Some(event) = self.line.get(order) {
                visit(event, self);
            }
        }
    }

    /// Returns what does not fit together among the passages of a subject, each with its event.
    pub fn misfits(&self, subject: &Subject) -> Vec<(Misfit, Arc<Event>)> {
        let mut place = self.base_places.get(subject).cloned().unwrap_or_default();
        let mut found = Vec::new();
        self.walk(subject, |event, account| {
            if let (Some(crossed), Some(event)) = (event.crossed(), account.line.get(&event.order())) {
                let twice = crossed.enters.iter().any(|zone| place.zones.contains_key(zone));
                let without = crossed.leaves.iter().any(|zone| !place.zones.contains_key(zone));
                if twice {
                    found.push((Misfit::InTwice, event.clone()));
                } else if without {
                    found.push((Misfit::OutWithoutIn, event.clone()));
                }
            }
            step(&mut place, subject, event);
        });
        found
    }

    /// Returns a count, never below zero, and by how many it would have been below zero.
    pub fn count(&self, zone: &ZoneId, stock: Stock) -> (u32, u32) {
        let (count, clamped) = self.tallies.get(&(zone.clone(), stock)).map_or((0, 0), Tally::read);
        (u32::try_from(count).unwrap_or(0), u32::try_from(clamped).unwrap_or(0))
    }

    /// Returns every count that was ever spoken of.
    pub fn counters(&self) -> impl Iterator<Item = &(ZoneId, Stock)> {
        self.tallies.keys()
    }

    /// Returns where a subject is.
    pub fn place(&self, subject: &Subject) -> Option<&Place> {
        self.places.get(subject)
    }

    /// Returns everybody and everything of whom something is known, inside or not.
    pub fn places(&self) -> impl Iterator<Item = (&Subject, &Place)> {
        self.places.iter()
    }

    /// Returns the events that say where a subject is, in order; without the counts by name that leave it out.
    pub fn events_of<'a>(&'a self, subject: &Subject) -> impl Iterator<Item = &'a Arc<Event>> + use<'a> {
        self.timelines.get(subject).into_iter().flatten().filter_map(|order| self.line.get(order))
    }

    /// Returns whether a person has cleared up what an event is about.
    pub fn is_settled(&self, event: &EventId) -> bool {
        let mut from = self.settled.range((event.clone(), bound(i64::MIN))..);
        from.next().is_some_and(|(of, _)| of == event)
    }

    /// Returns where the counts by name stand.
    pub fn lists(&self) -> impl Iterator<Item = &Order> {
        self.lists.iter()
    }

    /// Returns all persons of whom something is known.
    pub fn persons(&self) -> impl Iterator<Item = &PersonRef> {
        self.places.keys().filter_map(|subject| if let Subject::Person(person) = subject { Some(person) } else { None })
    }

    /// Returns the events that hold.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Returns the events that hold from `from` on, and before `to`.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = &Arc<Event>> {
        let to = if to < from { from } else { to };
        self.line.range(bound(from.0)..bound(to.0)).map(|(_, event)| event)
    }

    /// Returns the time of the last signed count.
    pub fn last_count(&self) -> Option<Timestamp> {
        self.counts.last().map(|order| order.at)
    }

    /// Returns the time of the last count by name.
    pub fn last_list(&self) -> Option<Timestamp> {
        self.lists.last().map(|order| order.at)
    }

    /// Returns the violations of a subject since `from` that nobody has looked at.
    pub fn violations(&self, subject: &Subject, from: Timestamp) -> Vec<Arc<Event>> {
        let mut open = Vec::new();
        for event in self.marks.get(subject).into_iter().flatten().filter_map(|order| self.line.get(order)) {
            match &event.body {
                Body::Reviewed { .. } => open.clear(),
                Body::Violated(_) if event.at >= from => open.push(event.clone()),
                Body::Violated(_)
                | Body::Crossed(_)
                | Body::Void { .. }
                | Body::Corrected(_)
                | Body::Counted(_)
                | Body::Loose(_)
                | Body::Settled { .. } => {}
            }
        }
        open
    }

    /// Returns everybody and everything of whom a violation is kept.
    pub fn marked(&self) -> BTreeSet<Subject> {
        self.marks.keys().cloned().collect()
    }

    /// Returns the passage that a camera event is already counted as.
    pub fn known_read(&self, camera: &CameraEvent, log: &Log) -> Option<PassageId> {
        let first = self.cameras.get(camera)?.first()?;
        log.holding(first)?.crossed().map(|crossed| crossed.passage.clone())
    }

    /// Folds the oldest event into what stood before it, and keeps it no longer. Counts and places stay what they are.
    pub fn fold_oldest(&mut self) -> Option<Arc<Event>> {
        let (order, event) = self.line.pop_first()?;
        for (zone, stock) in event.counters() {
            let Some(effect) = event.effect(&zone, stock) else { continue };
            let tally = self.tallies.entry((zone.clone(), stock)).or_default();
            tally.fold_base(effect);
            tally.refold(&self.line, &zone, stock, event.at);
        }
        let mut subjects = event.subjects();
        if self.lists.contains(&order) {
            subjects.extend(self.base_places.keys().cloned());
        }
        for subject in subjects {
            let mut place = self.base_places.remove(&subject).unwrap_or_default();
            step(&mut place, &subject, &event);
            remove(&mut self.timelines, &subject, &order);
            // Who was outside then and is not heard of since is not kept: the account is of those inside.
            if !place.zones.is_empty() {
                self.base_places.insert(subject.clone(), place);
            }
            self.derive_place(&subject);
        }
        for subject in marked(&event) {
            remove(&mut self.marks, &subject, &order);
        }
        if let Some(camera) = event.crossed().and_then(|crossed| crossed.camera.as_ref()) {
            self.cameras.remove(camera);
            self.shared_reads.remove(camera);
        }
        self.lists.remove(&order);
        self.counts.remove(&order);
        self.horizon = Some(order);
        Some(event)
    }

    /// Returns the place in the line up to which everything is folded.
    pub fn horizon(&self) -> Option<&Order> {
        self.horizon.as_ref()
    }

    /// Returns what stood before the oldest event that is kept.
    pub fn base(&self) -> Base {
        let bases = self
            .tallies
            .iter()
            .filter_map(|((zone, stock), tally)| tally.base().map(|base| (zone.clone(), *stock, base)));
        Base {
            horizon: self.horizon.clone(),
            counts: bases.collect(),
            places: self.base_places.iter().map(|(subject, place)| (subject.clone(), place.clone())).collect(),
        }
    }

    /// Returns the camera events that came in more than once, each with the event that counts and those that do not.
    pub fn shared_reads(&self) -> impl Iterator<Item = Conflict> + '_ {
        let sets = self.shared_reads.iter().filter_map(|camera| self.cameras.get(camera));
        sets.flat_map(|ids| {
            let kept = ids.first().cloned();
            ids.iter()
                .skip(1)
                .filter_map(move |other| kept.clone().map(|kept| Conflict::SameRead { kept, other: other.clone() }))
        })
    }
}

fn remove(map: &mut BTreeMap<Subject, BTreeSet<Order>>, subject: &Subject, order: &Order) {
    if let Some(of) = map.get_mut(subject) {
        of.remove(order);
        if of.is_empty() {
            map.remove(subject);
        }
    }
}

fn marked(event: &Event) -> BTreeSet<Subject> {
    match &event.body {
        Body::Violated(violation) => violation.subject.iter().cloned().collect(),
        Body::Reviewed { subject, .. } => [subject.clone()].into(),
        Body::Crossed(_)
        | Body::Void { .. }
        | Body::Corrected(_)
        | Body::Counted(_)
        | Body::Loose(_)
        | Body::Settled { .. } => BTreeSet::new(),
    }
}

/// Takes a subject where an event says it is.
fn step(place: &mut Place, subject: &Subject, event: &Event) {
    let stay = |through: Option<Through>| Stay {
        since: event.at,
        by: event.id.clone(),
        through,
        class: None,
        with: None,
        unidentified: 0,
        company: None,
    };
    match &event.body {
        Body::Crossed(crossed) => cross(place, subject, event, crossed),
        Body::Corrected(one) if one.subject.as_ref() == Some(subject) => {
            place.last = Some(event.at);
            for zone in &one.zones {
                if one.by > 0 {
                    let class = if let Stock::Vehicles(class) = one.stock { Some(class) } else { None };
                    place.zones.entry(zone.clone()).or_insert_with(|| Stay { class, ..stay(None) });
                } else {
                    place.zones.remove(zone);
                }
            }
        }
        Body::Counted(count) => {
            for (zone, listed) in count.list.iter().flatten() {
                if listed.contains(subject) {
                    place.zones.entry(zone.clone()).or_insert_with(|| stay(None));
                    place.last = Some(event.at);
                } else if place.zones.remove(zone).is_some() {
                    place.last = Some(event.at);
                }
            }
        }
        Body::Corrected(_)
        | Body::Void { .. }
        | Body::Violated(_)
        | Body::Reviewed { .. }
        | Body::Loose(_)
        | Body::Settled { .. } => {}
    }
}

fn cross(place: &mut Place, subject: &Subject, event: &Event, crossed: &Crossed) {
    let through = Through {
        gateway: event.source.gateway.clone(),
        gate: crossed.gate.clone(),
        lane: crossed.lane.clone(),
        passage: crossed.passage.clone(),
        direction: crossed.direction,
        at: event.at,
    };
    let vehicle = crossed.vehicle.as_ref();
    let is_vehicle = matches!(subject, Subject::Vehicle(_));
    for zone in &crossed.leaves {
        place.zones.remove(zone);
    }
    for zone in &crossed.enters {
        let stay = Stay {
            since: event.at,
            by: event.id.clone(),
            through: Some(through.clone()),
            class: vehicle.filter(|_| is_vehicle).map(|vehicle| vehicle.class),
            with: vehicle.filter(|_| !is_vehicle).and_then(|vehicle| vehicle.plate.clone()),
            unidentified: if is_vehicle { crossed.unidentified } else { 0 },
            company: crossed.company.clone(),
        };
        place.zones.insert(zone.clone(), stay);
    }
    place.last = Some(event.at);
    place.seen = Some(through);
}
