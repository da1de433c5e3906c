//! What the machine remembers over a restart, and how it takes it up again; and how it goes on under a new configuration.
//! Everything is named by id, so that memory and configuration may differ.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::book::{Lane, SiteBook};
use super::desk::{Subject, Wanted};
use super::drill::{Comment, Drill, DrillOrders};
use super::fire::{FireNow, LineState, Odd};
use super::record::{Cause, Settlement, SiteRecord};
use super::replay::Past;
use super::service::{SavedService, Service};
use super::state::State;
use super::warning::{SavedWarning, Warnings, millis};
use super::wind::{Guidance, Wind};
use super::{GasLevel, KeyNow, Proposal, Site, ZoneNow};
use crate::domain::actor::Actor;
use crate::domain::id::PointUid;
use crate::domain::order::{LaneRule, OrderKind};
use crate::domain::record::Mode;
use crate::domain::time::{Now, Timestamp};

/// See the module. Plain data; the machine that reads it need not be the one that wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    pub(super) at: Timestamp,
    /// Start in which it was saved.
    #[serde(default)]
    pub(super) boot: u32,
    pub(super) zones: BTreeMap<String, SavedZone>,
    pub(super) fire: BTreeMap<String, (LineState, bool)>,
    pub(super) keys: BTreeMap<String, Option<bool>>,
    pub(super) gas: BTreeMap<String, (String, u8)>,
    pub(super) answered: Vec<(String, String, usize)>,
    pub(super) proposals: Vec<SavedProposal>,
    pub(super) drill: Option<SavedDrill>,
    pub(super) standing: Vec<SavedOrder>,
    /// Texts that no channel had taken yet.
    pub(super) texts: Vec<(String, Wanted)>,
    pub(super) warnings: Vec<SavedWarning>,
    pub(super) service: SavedService,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedZone {
    pub(super) state: State,
    pub(super) episode: String,
    pub(super) since: Timestamp,
    pub(super) cause: Option<Cause>,
    pub(super) by: String,
    pub(super) held: BTreeMap<String, LaneRule>,
    /// Where people were told to go, so that they are told when that becomes wrong.
    #[serde(default)]
    pub(super) told: Option<SavedGuidance>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedGuidance {
    /// Speed and where it came from.
    wind: Option<(f64, f64)>,
    /// Id of the muster point.
    upwind: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedProposal {
    /// Its number in that start.
    #[serde(default)]
    pub(super) proposal: u64,
    pub(super) zone: String,
    pub(super) state: State,
    pub(super) cause: Cause,
    pub(super) actor: Actor,
    pub(super) reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedDrill {
    pub(super) episode: String,
    pub(super) zone: String,
    pub(super) rehearses: State,
    pub(super) barriers: bool,
    pub(super) begun_by: String,
    pub(super) ran_ms: u64,
    pub(super) left_ms: u64,
    pub(super) started_at: Timestamp,
    pub(super) first_order_at: Option<Timestamp>,
    pub(super) orders: DrillOrders,
    pub(super) comments: Vec<Comment>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedOrder {
    pub(super) wanted: Wanted,
    pub(super) failed: bool,
    pub(super) answered: bool,
}

impl SavedGuidance {
    /// Where people were told to go. To a muster point that is gone is as good as told without wind: with the first wind that
    /// can be believed they are told anew.
    fn guidance(&self, book: &SiteBook) -> Guidance {
        let Some((speed, from)) = self.wind else { return Guidance::UNKNOWN };
        let at = |id: &String| book.musters.iter().position(|muster| muster.id == *id);
        let upwind = self.upwind.as_ref().map(at);
        if upwind == Some(None) {
            return Guidance::UNKNOWN;
        }
        Guidance { wind: Ok(Wind { speed, from }), upwind: upwind.flatten() }
    }
}

impl Site {
    /// Returns what must survive a restart. To be kept whenever [`Site::revision`] has changed.
    pub fn saved(&self, now: Now) -> Saved {
        let fire = self.book.fire.iter().zip(&self.fire);
        let keys = self.book.keys.iter().zip(&self.keys);
        let gas =
            |(uid, (zone, level)): (&PointUid, &(usize, u8))| (uid.as_str().to_owned(), (self.zone_id(*zone), *level));
        let standing = self.desk.standing().filter(|(subject, _)| !matches!(subject, Subject::Text(..)));
        let texts = self.desk.standing().filter_map(|(subject, order)| match subject {
            Subject::Text(channel, _) => Some((channel.clone(), order.wanted.clone())),
            Subject::Lane(_) | Subject::Output(_) => None,
        });
        Saved {
            at: now.wall,
            boot: self.desk.boot(),
            zones: self
                .book
                .zones
                .iter()
                .zip(&self.zones)
                .map(|(zone, now)| (zone.id.clone(), self.save_zone(now)))
                .collect(),
            fire: fire.map(|(input, now)| (input.id.clone(), (now.line, now.latched))).collect(),
            keys: keys.map(|(key, now)| (key.id.clone(), now.turned)).collect(),
            gas: self.gas.iter().map(gas).collect(),
            answered: self.answered.iter().map(|((rule, zone), n)| (rule.clone(), zone.clone(), *n)).collect(),
            proposals: self
                .proposals
                .iter()
                .filter(|(_, open)| open.lapses.is_none())
                .map(|(number, open)| self.save_proposal(*number, open))
                .collect(),
            drill: self.drill.as_ref().map(|drill| self.save_drill(drill, now)),
            standing: standing
                .map(|(_, order)| SavedOrder {
                    wanted: order.wanted.clone(),
                    failed: order.failed,
                    answered: order.answered(),
                })
                .collect(),
            texts: texts.collect(),
            warnings: self.warnings.saved(now),
            service: self.service.saved(now),
        }
    }

    fn save_zone(&self, zone: &ZoneNow) -> SavedZone {
        let held = zone.held.iter().filter_map(|(lane, rule)| Some((self.book.lanes.get(*lane)?.id.clone(), *rule)));
        SavedZone {
            state: zone.state,
            episode: zone.episode.clone(),
            since: zone.since,
            cause: zone.cause.clone(),
            by: zone.by.clone(),
            held: held.collect(),
            told: zone.told.map(|told| self.save_guidance(told)),
        }
    }

    fn save_guidance(&self, told: Guidance) -> SavedGuidance {
        let muster = told.upwind.and_then(|at| self.book.musters.get(at));
        let wind = told.wind.ok().map(|wind| (wind.speed, wind.from));
        SavedGuidance { wind, upwind: muster.map(|muster| muster.id.clone()) }
    }

    fn save_proposal(&self, proposal: u64, open: &Proposal) -> SavedProposal {
        SavedProposal {
            proposal,
            zone: self.zone_id(open.zone),
            state: open.state,
            cause: open.cause.clone(),
            actor: open.actor.clone(),
            reason: open.reason.clone(),
        }
    }

    fn save_drill(&self, drill: &Drill, now: Now) -> SavedDrill {
        SavedDrill {
            episode: drill.episode.clone(),
            zone: self.zone_id(drill.zone),
            rehearses: drill.rehearses,
            barriers: drill.barriers,
            begun_by: drill.begun_by.clone(),
            ran_ms: millis(now.mono.since(drill.started)),
            left_ms: millis(drill.ends.since(now.mono)),
            started_at: drill.started_at,
            first_order_at: drill.first_order_at,
            orders: drill.orders,
            comments: drill.comments.clone(),
        }
    }

    /// Takes up what stood before a restart, by what was saved and by the records made since, in their order; `gas` are the
    /// detectors' levels where the alarm machine knows them better than the save. Zones, latches, keys, drill, proposals of the gateway (a person's have lapsed),
    /// warnings, commissioning. What the standing states order is ordered again, whatever its receipt was; of the rest, only
    /// an order that had no receipt, and a text that no channel had taken. Nothing else moves.
    pub fn restore(
        book: Arc<SiteBook>,
        boot: u32,
        saved: Option<Saved>,
        later: &[Past],
        gas: Option<&[GasLevel]>,
        now: Now,
    ) -> Self {
        let mut site = Self::new(book.clone(), boot, now);
        let mut saved = saved.unwrap_or_else(|| site.saved(now));
        site.adopt(&saved, now);
        for past in later {
            site.follow(&mut saved, past, now);
        }
        site.end_lost_drill(now);
        if let Some(levels) = gas {
            let level = |gas: &GasLevel| (gas.uid.clone(), (book.zone(&gas.zone).unwrap_or_default(), gas.level));
            site.gas = levels.iter().filter(|gas| gas.level > 0).map(level).collect();
        }
        for open in &saved.proposals {
            if let Some(zone) = book.zone(&open.zone) {
                site.propose(zone, open.state, open.cause.clone(), &open.actor, &open.reason, now);
            }
        }
        for order in &saved.standing {
            site.recall(order, now);
        }
        site.warnings = Warnings::restore(saved.warnings, now);
        site.service = Service::restore(saved.service, &book, now);
        site.order(now);
        site.insist(&saved.standing, now);
        for (channel, wanted) in saved.texts {
            site.desk.text(&channel, wanted, now.mono);
        }
        let zones: Vec<_> =
            book.zones.iter().zip(&site.zones).map(|(zone, now)| (zone.id.clone(), now.state)).collect();
        let zones: Vec<_> = zones.into_iter().filter(|(_, state)| *state != State::Normal).collect();
        if !zones.is_empty() || site.fire.iter().any(|fire| fire.latched) {
            site.record(Mode::Real, &SiteRecord::Restored { zones, saved_at: saved.at }, now);
        }
        site.standing_facts();
        site.finish(now);
        site
    }

    /// Goes on under a new configuration: zones, lanes and inputs that stay keep what they have. The state of a zone that
    /// goes is taken over by the zone around it where that is weaker; the lanes that a fire input held and that stay are held until
    /// given back.
    pub fn install(&mut self, book: Arc<SiteBook>, now: Now) {
        if *self.book == *book {
            return;
        }
        let saved = self.saved(now);
        let old = std::mem::replace(&mut self.book, book.clone());
        self.service.install(&old, &book);
        let fire = std::mem::take(&mut self.fire);
        let keys = std::mem::take(&mut self.keys);
        let told: BTreeMap<String, ZoneNow> =
            old.zones.iter().map(|zone| zone.id.clone()).zip(std::mem::take(&mut self.zones)).collect();
        self.zones = book.zones.iter().map(|_| ZoneNow::new(now)).collect();
        self.fire = book.fire.iter().map(|_| FireNow::new(now.mono)).collect();
        self.keys = book.keys.iter().map(|_| KeyNow::default()).collect();
        (self.gas, self.answered) = (BTreeMap::new(), BTreeMap::new());
        self.keep_proposals(&old, now);
        self.adopt(&saved, now);
        self.end_lost_drill(now);
        for (zone, was) in told {
            if let Some(now) = book.zone(&zone).and_then(|at| self.zones.get_mut(at)) {
                // Muster points are named by their place in the book: people are told anew where that may have changed.
                (now.told, now.wrong) = (was.told.filter(|_| old.musters == book.musters), was.wrong);
            }
        }
        self.keep_inputs(&old, fire, keys);
        self.take_over(&old, &saved, now);
        self.desk.forget(|subject| match subject {
            Subject::Lane(id) => book.lane(id).is_none(),
            Subject::Output(id) => book.signals.iter().all(|signal| signal.output != *id),
            Subject::Text(id, _) => book.channels.iter().all(|channel| channel.id != *id),
        });
        self.revision += 1;
        self.finish(now);
    }

    /// Proposals keep their numbers; those for a zone that is gone are withdrawn.
    fn keep_proposals(&mut self, old: &SiteBook, now: Now) {
        let mut gone = Vec::new();
        for (number, open) in &mut self.proposals {
            match old.zones.get(open.zone).and_then(|zone| self.book.zone(&zone.id)) {
                Some(zone) => open.zone = zone,
                None => {
                    open.zone = 0;
                    gone.push(*number);
                }
            }
        }
        for number in gone {
            self.settle(number, Settlement::Withdrawn, &Actor::gateway(), "", now);
        }
    }

    /// Inputs whose wiring is the same keep what they have read.
    fn keep_inputs(&mut self, old: &SiteBook, fire: Vec<FireNow>, keys: Vec<KeyNow>) {
        let book = self.book.clone();
        for (input, was) in old.fire.iter().zip(fire) {
            let at = book.fire.iter().position(|new| new.id == input.id && new.line == input.line);
            if let Some(now) = at.and_then(|at| self.fire.get_mut(at)) {
                *now = was;
            }
        }
        for (key, was) in old.keys.iter().zip(keys) {
            let at = book.keys.iter().position(|new| new.id == key.id && new.point == key.point);
            if let Some(now) = at.and_then(|at| self.keys.get_mut(at)) {
                *now = was;
            }
        }
    }

    /// What went with the old configuration is not simply over.
    fn take_over(&mut self, old: &SiteBook, saved: &Saved, now: Now) {
        let book = self.book.clone();
        for (at, zone) in old.zones.iter().enumerate().filter(|(_, zone)| book.zone(&zone.id).is_none()) {
            let Some(was) = saved.zones.get(&zone.id) else { continue };
            let around = old.up(at).filter_map(|at| book.zone(&old.zones.get(at)?.id)).next().unwrap_or_default();
            self.raise(around, was.state, &Cause::Removed, &Actor::gateway(), &zone.id, now);
            let held: Vec<_> = was.held.iter().filter_map(|(lane, rule)| Some((book.lane(lane)?, *rule))).collect();
            self.hold(around, held, now);
        }
        for input in old.fire.iter().filter(|input| book.fire.iter().all(|new| new.id != input.id)) {
            if saved.fire.get(&input.id).is_some_and(|(_, latched)| *latched) {
                let lanes = input.lanes.iter().filter_map(|lane| old.lanes.get(*lane));
                let held = lanes.filter_map(|lane| Some((book.lane(&lane.id)?, Lane::on_fire(lane)))).collect();
                self.hold(0, held, now);
            }
        }
    }

    /// Holds lanes for a zone until they are given back; one that is normal recovers from then on, as after an emergency.
    fn hold(&mut self, zone: usize, held: Vec<(usize, LaneRule)>, now: Now) {
        if held.is_empty() {
            return;
        }
        if !self.own(zone).is_emergency() && self.own(zone) != State::Recovery {
            self.raise(zone, State::LockdownIn, &Cause::Removed, &Actor::gateway(), "", now);
            self.become_state(zone, State::Recovery, Cause::Removed, &Actor::gateway(), "", now);
        }
        if let Some(zone) = self.zones.get_mut(zone) {
            zone.held.extend(held);
        }
    }

    /// Takes over by their names what the configuration still has.
    fn adopt(&mut self, saved: &Saved, now: Now) {
        let book = self.book.clone();
        for (zone, state) in book.zones.iter().zip(&mut self.zones) {
            let Some(was) = saved.zones.get(&zone.id) else { continue };
            let held = was.held.iter().filter_map(|(lane, rule)| Some((book.lane(lane)?, *rule)));
            *state = ZoneNow {
                state: was.state,
                episode: was.episode.clone(),
                since: was.since,
                cause: was.cause.clone(),
                by: was.by.clone(),
                held: held.collect(),
                told: was.told.as_ref().map(|told| told.guidance(&book)),
                ..ZoneNow::new(now)
            };
        }
        for (input, state) in book.fire.iter().zip(&mut self.fire) {
            if let Some((line, latched)) = saved.fire.get(&input.id) {
                (state.line, state.latched) = (*line, *latched);
                state.why = (*line == LineState::Broken).then_some(Odd::Lost);
            }
        }
        for (key, state) in book.keys.iter().zip(&mut self.keys) {
            state.turned = saved.keys.get(&key.id).copied().flatten();
        }
        let gas = |(uid, (zone, level)): (&String, &(String, u8))| {
            (PointUid::new(uid.as_str()), (book.zone(zone).unwrap_or_default(), *level))
        };
        self.gas = saved.gas.iter().map(gas).collect();
        self.answered = saved.answered.iter().map(|(rule, zone, n)| ((rule.clone(), zone.clone()), *n)).collect();
        self.drill = saved.drill.as_ref().and_then(|drill| adopt_drill(&book, drill, now));
    }

    /// A zone that rehearses what is gone is normal.
    fn end_lost_drill(&mut self, now: Now) {
        let zone = self.drill.as_ref().map(|drill| drill.zone);
        let lost = |(at, state): (usize, &ZoneNow)| (state.state == State::Drill && Some(at) != zone).then_some(at);
        let lost: Vec<usize> = self.zones.iter().enumerate().filter_map(lost).collect();
        for at in lost {
            self.become_state(at, State::Normal, Cause::Removed, &Actor::gateway(), "", now);
        }
    }

    fn recall(&mut self, order: &SavedOrder, now: Now) {
        if let Some(subject) = self.subject_of(&order.wanted.what) {
            self.desk.recall(subject, order.wanted.clone(), order.failed, now.mono);
        }
    }

    /// Orders again what an emergency orders, and what had no receipt when the gateway went down.
    fn insist(&mut self, standing: &[SavedOrder], now: Now) {
        let lanes = self.wanted_lanes();
        for order in standing {
            let Some(subject) = self.subject_of(&order.wanted.what) else { continue };
            let unchanged = self.desk.get(&subject).is_some_and(|standing| standing.key.is_empty());
            let stands = match &order.wanted.what {
                OrderKind::Lane { lane, rule } => lanes.iter().any(|(id, rest, _)| id == lane && rest != rule),
                OrderKind::Output { output, value } => self.book.signals.iter().any(|signal| {
                    signal.output == *output && signal.values.get(&State::Normal) != Some(value) && signal.repeats
                }),
                OrderKind::Message { .. } => false,
            };
            if unchanged && (stands || (!order.answered && order.wanted.repeats)) {
                self.desk.insist(&subject, now.mono);
            }
        }
    }

    fn subject_of(&self, what: &OrderKind) -> Option<Subject> {
        match what {
            OrderKind::Lane { lane, .. } => self.book.lane(lane).map(|_| Subject::Lane(lane.clone())),
            OrderKind::Output { output, .. } => {
                let known = self.book.signals.iter().any(|signal| signal.output == *output);
                known.then(|| Subject::Output(output.clone()))
            }
            OrderKind::Message { .. } => None,
        }
    }

    /// Says again what is wrong: the alarm machine has its own memory, and takes the same word twice.
    fn standing_facts(&mut self) {
        self.desk.restate();
        for at in 0..self.fire.len() {
            if let Some(why) = self.fire.get(at).filter(|fire| fire.line == LineState::Broken).map(|fire| fire.why) {
                self.line_fact(at, why.or(Some(Odd::Lost)));
            }
        }
    }
}

fn adopt_drill(book: &SiteBook, saved: &SavedDrill, now: Now) -> Option<Drill> {
    Some(Drill {
        episode: saved.episode.clone(),
        zone: book.zone(&saved.zone)?,
        rehearses: saved.rehearses,
        barriers: saved.barriers,
        begun_by: saved.begun_by.clone(),
        started: now.mono - Duration::from_millis(saved.ran_ms),
        started_at: saved.started_at,
        first_order_at: saved.first_order_at,
        orders: saved.orders,
        comments: saved.comments.clone(),
        ends: now.mono + Duration::from_millis(saved.left_ms),
        figures: None,
    })
}
