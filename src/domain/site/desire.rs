//! What is wanted of every lane and output as things stand, and what people are told when that changes.

use std::collections::BTreeMap;

use super::Site;
use super::book::{Lane, Signal, strength};
use super::desk::{Subject, Wanted};
use super::service::ServiceSubject;
use super::state::State;
use super::wind::{Guidance, SHIFT};
use super::words::{self, Tone};
use crate::domain::order::{LaneRule, OrderKind, Urgency};
use crate::domain::record::Mode;
use crate::domain::time::{Mono, Now};

impl Site {
    /// What a zone's state wants of lanes, with what it still holds of an earlier one.
    pub(super) fn demands_of(&self, zone: usize) -> BTreeMap<usize, LaneRule> {
        let mut demands = self.state_demands(zone, self.own(zone));
        let held = self.zones.get(zone).into_iter().flat_map(|zone| zone.held.iter());
        for (lane, rule) in held {
            stronger(&mut demands, *lane, *rule);
        }
        demands
    }

    fn state_demands(&self, zone: usize, state: State) -> BTreeMap<usize, LaneRule> {
        let rule = |lane: &Lane| match (self.book.within(lane.zone, zone), self.book.within(zone, lane.zone)) {
            (true, _) => lane.inside(state),
            (false, true) => lane.on_the_way(state),
            (false, false) => None,
        };
        self.book.lanes.iter().enumerate().filter_map(|(at, lane)| Some((at, rule(lane)?))).collect()
    }

    /// What everything real together wants of the lanes: all zones and the fire linkage.
    fn real_demands(&self) -> BTreeMap<usize, LaneRule> {
        let mut demands = BTreeMap::new();
        for zone in 0..self.zones.len() {
            for (lane, rule) in self.demands_of(zone) {
                stronger(&mut demands, lane, rule);
            }
        }
        for (input, _) in self.book.fire.iter().zip(&self.fire).filter(|(_, now)| now.latched) {
            for lane in &input.lanes {
                if let Some(rule) = self.book.lanes.get(*lane).map(Lane::on_fire) {
                    stronger(&mut demands, *lane, rule);
                }
            }
        }
        demands
    }

    /// Returns what is wanted of each lane that exists, with its rule of quiet days by the file, in the book's order.
    pub(super) fn wanted_lanes(&self) -> Vec<(String, LaneRule, Wanted)> {
        let real = self.real_demands();
        let drill = self.drill.as_ref().filter(|drill| drill.barriers);
        let drill = drill.map(|drill| self.state_demands(drill.zone, drill.rehearses)).unwrap_or_default();
        let mut lanes = Vec::new();
        for (at, lane) in self.book.lanes.iter().enumerate() {
            let service = self.service_of(&ServiceSubject::Lane(lane.id.clone())).unwrap_or_default();
            if !service.exists() {
                continue;
            }
            let rest = lane.at_rest(service);
            let (rule, mode) = match (real.get(&at), drill.get(&at)) {
                (Some(rule), _) => (*rule, Mode::Real),
                (None, Some(rule)) => (*rule, Mode::Drill),
                (None, None) => (rest, Mode::Real),
            };
            let opens =
                matches!(rule, LaneRule::Open | LaneRule::RescueOnly) || self.holds(lane.zone) >= State::Shelter;
            let urgency = if mode == Mode::Real && opens { Urgency::AtOnce } else { Urgency::AfterCommit };
            let what = OrderKind::Lane { lane: lane.id.clone(), rule };
            // What nobody changed since the start is what the lane does by itself.
            let rest = lane.at_rest(lane.service);
            lanes.push((lane.id.clone(), rest, Wanted { what, mode, urgency, repeats: true }));
        }
        lanes
    }

    /// Returns what is wanted of an output, and whether that is its value of quiet days.
    fn wanted_signal(&self, signal: &Signal) -> Option<(bool, Wanted)> {
        let holds = self.holds(signal.zone);
        let rehearses = self.drill.as_ref().filter(|_| holds == State::Drill && signal.in_drill);
        let (state, mode) = match (rehearses, holds) {
            (Some(drill), _) => (drill.rehearses, Mode::Drill),
            (None, State::Drill) => (State::Normal, Mode::Real),
            (None, holds) => (holds, Mode::Real),
        };
        let rest = signal.values.get(&State::Normal);
        let value = signal.values.get(&state).or(rest)?;
        let urgency = if mode == Mode::Real && state.is_emergency() { Urgency::AtOnce } else { Urgency::AfterCommit };
        let what = OrderKind::Output { output: signal.output.clone(), value: value.clone() };
        Some((rest == Some(value), Wanted { what, mode, urgency, repeats: signal.repeats }))
    }

    /// Orders what differs from what was ordered last. What was never ordered and is wanted at rest is left alone: a start
    /// moves nothing.
    pub(super) fn order(&mut self, now: Now) {
        for (lane, rest, wanted) in self.wanted_lanes() {
            let subject = Subject::Lane(lane.clone());
            let at_rest = wanted.what == OrderKind::Lane { lane, rule: rest };
            if !at_rest || self.desk.get(&subject).is_some() {
                self.desk.want(subject, wanted, now.mono);
            }
        }
        let book = self.book.clone();
        for signal in &book.signals {
            let subject = Subject::Output(signal.output.clone());
            if let Some((at_rest, wanted)) = self.wanted_signal(signal)
                && (!at_rest || self.desk.get(&subject).is_some())
            {
                self.desk.want(subject, wanted, now.mono);
            }
        }
    }

    /// Tells people what a zone's state has become, unless a stronger one around it holds.
    pub(super) fn announce(&mut self, zone: usize, from: State, now: Now) {
        let own = self.own(zone);
        if self.holds(zone) > own {
            return;
        }
        let drill_over = from == State::Drill && own == State::Normal;
        let drill = own == State::Drill || (drill_over && !self.preempts);
        let tone = Tone { drill, preempts: self.preempts && !drill, drill_over, corrects: false };
        self.say(zone, tone, now);
    }

    /// Tells people what still holds in the zones within one whose stronger state is over: nobody has told them while that one
    /// held, and they have just heard that it is over.
    pub(super) fn announce_uncovered(&mut self, zone: usize, from: State, now: Now) {
        for inner in (0..self.zones.len()).filter(|inner| *inner != zone) {
            let own = self.own(inner);
            if own.is_emergency() && from > own && self.book.within(inner, zone) && self.holds(inner) == own {
                self.say(inner, Tone::default(), now);
            }
        }
    }

    fn say(&mut self, zone: usize, tone: Tone, now: Now) {
        let own = self.own(zone);
        let state = self.drill.as_ref().filter(|_| own == State::Drill).map_or(own, |drill| drill.rehearses);
        let wind = self.wind.valid(self.book.wind.as_ref(), now.mono);
        let guidance = Guidance::of(&self.book, zone, wind);
        let text = words::text(&self.book, zone, state, &guidance, tone);
        if let Some(zone) = self.zones.get_mut(zone) {
            (zone.told, zone.wrong) = (state.tells_where_to_go().then_some(guidance), None);
        }
        let mode = if tone.drill { Mode::Drill } else { Mode::Real };
        let urgent = mode == Mode::Real && (state.is_emergency() || tone.preempts);
        let urgency = if urgent { Urgency::AtOnce } else { Urgency::AfterCommit };
        let book = self.book.clone();
        for channel in book.channels.iter().filter(|channel| channel.in_drill || !tone.drill) {
            let what =
                OrderKind::Message { channel: channel.id.clone(), zh: text.zh.clone(), en: text.en.clone(), to: None };
            self.desk.text(&channel.id, Wanted { what, mode, urgency, repeats: true }, now.mono);
        }
    }

    /// Tells people anew where to go, when the wind has made the last word wrong for [`SHIFT`]. Returns whether it did.
    pub(super) fn check_guidance(&mut self, now: Now) -> bool {
        let mut said = false;
        let wind = self.wind.valid(self.book.wind.as_ref(), now.mono);
        for at in 0..self.zones.len() {
            let Some(zone) = self.zones.get_mut(at) else { continue };
            let Some(told) = zone.told else { continue };
            if Guidance::holds(&self.book, at, told, wind) {
                zone.wrong = None;
                continue;
            }
            let since = *zone.wrong.get_or_insert(now.mono);
            if now.mono.since(since) >= SHIFT {
                let drill = zone.state == State::Drill;
                self.say(at, Tone { drill, corrects: true, ..Tone::default() }, now);
                said = true;
            }
        }
        said
    }

    pub(super) fn guidance_due(&self) -> Option<Mono> {
        let told = |zone: &&super::ZoneNow| zone.told.is_some();
        let wrong = self.zones.iter().filter(told).filter_map(|zone| zone.wrong).map(|since| since + SHIFT);
        let stale = self.book.wind.as_ref().map(|station| station.stale + std::time::Duration::from_millis(1));
        let waits = self.zones.iter().filter(told).any(|z| z.wrong.is_none() && z.told.is_some_and(|t| t.wind.is_ok()));
        let read = [self.wind.speed, self.wind.direction].into_iter().flatten().map(|(_, at)| at).min();
        let old = read.zip(stale).filter(|_| waits).map(|(at, stale)| at + stale);
        wrong.chain(old).min()
    }
}

fn stronger(demands: &mut BTreeMap<usize, LaneRule>, lane: usize, rule: LaneRule) {
    let standing = demands.entry(lane).or_insert(rule);
    if strength(rule) > strength(*standing) {
        *standing = rule;
    }
}
