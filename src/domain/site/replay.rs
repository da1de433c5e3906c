//! What was recorded after the last save, followed at a restart: each record does to the memory what the step did of which it
//! tells. Nothing is judged, ordered, told or recorded again by it. So a kill between a record and the next save loses nothing
//! that was recorded.
//!
//! Two things are not followed, because they end with the run in which they were made: a person's proposal, and numbers of
//! proposals (those of the gateway are proposed anew by each start, under numbers of its own).

use std::time::Duration;

use super::desk::Wanted;
use super::drill::{Drill, DrillOrders};
use super::fire::{LineState, Odd};
use super::record::{Cause, SiteRecord, WarningStep};
use super::saved::{Saved, SavedOrder, SavedProposal};
use super::service::{APPROVE_WITHIN, Bypass, BypassStep, Changed, SavedService, ServiceRecord, by_file};
use super::state::State;
use super::warning::{SavedWarning, Warning, millis, until_after};
use super::wind::Guidance;
use super::{GasLevel, Site, SiteBook, ZoneNow};
use crate::domain::actor::{Actor, Via};
use crate::domain::order::{OrderKind, Receipt, Urgency};
use crate::domain::record::Mode;
use crate::domain::time::{Now, Timestamp};

/// Texts without a receipt that are followed: as many as the desk keeps.
const MAX_TEXTS: usize = 256;

/// A record of before the restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Start in which it was made.
    pub boot: u32,
    /// When, by the clock of then.
    pub t: Timestamp,
    /// Whether the world meant it.
    pub mode: Mode,
    /// What it tells.
    pub word: Word,
}

/// What a record of the site tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// A document of kind `site`.
    Site(Box<SiteRecord>),
    /// A document of kind `service` about commissioning or a bypass.
    Service(Box<ServiceRecord>),
    /// A detector's level, by a record of its alarm: so a rule is known to have said what it said of those detectors, and a
    /// level whose proposal was not recorded any more is proposed anew.
    Gas(GasLevel),
}

impl Site {
    /// Follows one record.
    pub(super) fn follow(&mut self, saved: &mut Saved, past: &Past, now: Now) {
        if saved.boot != past.boot {
            // The next start has proposed them anew, under its own numbers.
            saved.proposals.clear();
            saved.boot = past.boot;
        }
        match &past.word {
            Word::Service(record) => saved.service.follow(&self.book, record, past.t),
            Word::Gas(level) => self.follow_gas(level),
            Word::Site(record) => self.follow_site(saved, record, past, now),
        }
    }

    fn follow_site(&mut self, saved: &mut Saved, record: &SiteRecord, past: &Past, now: Now) {
        match record {
            SiteRecord::State { episode, zone, from, to, cause, actor, .. } => {
                self.follow_state((zone, *from, *to), episode, cause, actor, past.t);
            }
            SiteRecord::Proposed { proposal, zone, state, cause, actor, reason } if *cause != Cause::Person => {
                self.note_answered(cause, zone);
                saved.proposals.push(SavedProposal {
                    proposal: *proposal,
                    zone: zone.clone(),
                    state: *state,
                    cause: cause.clone(),
                    actor: actor.clone(),
                    reason: reason.clone(),
                });
            }
            SiteRecord::Settled { proposal, .. } => saved.proposals.retain(|open| open.proposal != *proposal),
            SiteRecord::Ordered { order, at_once, .. } => self.follow_order(saved, order, *at_once, past),
            SiteRecord::Receipt { order, receipt, .. } => {
                follow_receipt(saved, order, !matches!(receipt, Receipt::Failed(_)));
                self.follow_drill(past, |orders| match receipt {
                    Receipt::Done => orders.done += 1,
                    Receipt::Sent | Receipt::Accepted(_) => orders.sent += 1,
                    Receipt::Failed(_) => orders.failed += 1,
                });
            }
            SiteRecord::Unanswered { order, .. } => {
                follow_receipt(saved, order, false);
                self.follow_drill(past, |orders| orders.failed += 1);
            }
            SiteRecord::Fire { .. } | SiteRecord::FireReset { .. } | SiteRecord::Key { .. } => {
                self.follow_input(record)
            }
            SiteRecord::GaveBack { lane, .. } => {
                let lane = self.book.lane(lane);
                for zone in &mut self.zones {
                    lane.map(|lane| zone.held.remove(&lane));
                }
            }
            SiteRecord::DrillStarted { episode, zone, rehearses, barriers, actor, comment } => {
                let Some(zone) = self.book.zone(zone) else { return };
                let mut drill = Drill {
                    episode: episode.clone(),
                    zone,
                    rehearses: *rehearses,
                    barriers: *barriers,
                    begun_by: actor.name.clone(),
                    started: now.mono,
                    started_at: past.t,
                    first_order_at: None,
                    orders: DrillOrders::default(),
                    comments: Vec::new(),
                    ends: now.mono + self.book.longest_drill,
                    figures: None,
                };
                drill.comment(past.t, &actor.name, comment);
                self.drill = Some(drill);
            }
            SiteRecord::DrillComment { comment, .. } => {
                if let Some(drill) = &mut self.drill {
                    drill.comment(comment.at, &comment.by, &comment.text);
                }
            }
            SiteRecord::DrillReport(_) => self.drill = None,
            SiteRecord::Warning { warning, step, actor } => {
                follow_warning(&mut saved.warnings, warning, *step, actor, past.t);
            }
            SiteRecord::Proposed { .. } | SiteRecord::Restored { .. } => {}
        }
    }

    fn follow_state(
        &mut self,
        (zone, from, to): (&str, State, State),
        episode: &str,
        cause: &Cause,
        actor: &Actor,
        t: Timestamp,
    ) {
        let Some(at) = self.book.zone(zone) else { return };
        self.note_answered(cause, zone);
        // What a stronger state did to a lane stays until a person gives the lane back.
        let demands = if from.is_emergency() && to < from { self.demands_of(at) } else { Default::default() };
        let Some(zone) = self.zones.get_mut(at) else { return };
        let mut held = std::mem::take(&mut zone.held);
        held.extend(demands);
        *zone = ZoneNow {
            state: to,
            episode: episode.to_owned(),
            since: t,
            cause: Some(cause.clone()),
            by: actor.name.clone(),
            held,
            told: None,
            wrong: None,
        };
        // They were told, and no record says what exactly.
        if to.tells_where_to_go()
            && self.holds(at) == to
            && let Some(zone) = self.zones.get_mut(at)
        {
            zone.told = Some(Guidance::UNKNOWN);
        }
    }

    /// A rule has said this of a zone, and need not say it again for the same detectors.
    fn note_answered(&mut self, cause: &Cause, zone: &str) {
        let book = self.book.clone();
        let Cause::Rule(id) = cause else { return };
        if let (Some(rule), Some(at)) = (book.rules.iter().find(|rule| rule.id == *id), book.zone(zone)) {
            self.answered.insert((id.clone(), zone.to_owned()), self.at_level(rule, at));
        }
    }

    fn follow_gas(&mut self, level: &GasLevel) {
        self.note_gas(level);
        let book = self.book.clone();
        for rule in &book.rules {
            for zone in rule.zone.map_or(0..book.zones.len(), |zone| zone..zone + 1) {
                let at_level = self.at_level(rule, zone);
                let said = (rule.id.clone(), self.zone_id(zone));
                if at_level < rule.detectors {
                    self.answered.remove(&said);
                } else if self.own(zone) >= rule.state {
                    self.answered.insert(said, at_level);
                }
            }
        }
    }

    fn follow_order(&mut self, saved: &mut Saved, order: &OrderKind, at_once: bool, past: &Past) {
        let repeats = match order {
            OrderKind::Lane { .. } | OrderKind::Message { .. } => true,
            OrderKind::Output { output, .. } => {
                self.book.signals.iter().any(|signal| signal.output == *output && signal.repeats)
            }
        };
        let urgency = if at_once { Urgency::AtOnce } else { Urgency::AfterCommit };
        let wanted = Wanted { what: order.clone(), mode: past.mode, urgency, repeats };
        if let OrderKind::Message { channel, .. } = order {
            if saved.texts.len() >= MAX_TEXTS {
                saved.texts.remove(0);
            }
            saved.texts.push((channel.clone(), wanted));
        } else {
            let before = saved.standing.iter().find(|old| same_subject(&old.wanted.what, order));
            let failed = before.is_some_and(|old| old.failed);
            saved.standing.retain(|old| !same_subject(&old.wanted.what, order));
            saved.standing.push(SavedOrder { wanted, failed, answered: false });
        }
        self.follow_drill(past, |orders| orders.given += 1);
    }

    fn follow_drill(&mut self, past: &Past, count: impl FnOnce(&mut DrillOrders)) {
        if let Some(drill) = self.drill.as_mut().filter(|_| past.mode == Mode::Drill) {
            drill.first_order_at.get_or_insert(past.t);
            count(&mut drill.orders);
        }
    }

    fn follow_input(&mut self, record: &SiteRecord) {
        let book = self.book.clone();
        let fire = |id: &String| book.fire.iter().position(|input| input.id == *id);
        if let SiteRecord::Fire { input, line, .. } = record
            && let Some(fire) = fire(input).and_then(|at| self.fire.get_mut(at))
        {
            fire.line = *line;
            fire.why = (*line == LineState::Broken).then_some(Odd::Lost);
            fire.latched |= matches!(line, LineState::Signal | LineState::Broken);
        }
        if let SiteRecord::FireReset { input, .. } = record
            && let Some(fire) = fire(input).and_then(|at| self.fire.get_mut(at))
        {
            fire.latched = false;
        }
        if let SiteRecord::Key { key, turned: Some(turned) } = record
            && let Some(at) = book.keys.iter().position(|known| known.id == *key)
            && let Some(key) = self.keys.get_mut(at)
        {
            key.turned = Some(*turned);
        }
    }
}

fn same_subject(one: &OrderKind, other: &OrderKind) -> bool {
    match (one, other) {
        (OrderKind::Lane { lane: one, .. }, OrderKind::Lane { lane: other, .. }) => one == other,
        (OrderKind::Output { output: one, .. }, OrderKind::Output { output: other, .. }) => one == other,
        (OrderKind::Lane { .. } | OrderKind::Output { .. } | OrderKind::Message { .. }, _) => false,
    }
}

fn follow_receipt(saved: &mut Saved, order: &OrderKind, ok: bool) {
    for old in saved.standing.iter_mut().filter(|old| old.wanted.what == *order) {
        old.failed = !ok;
        old.answered = ok || !old.wanted.repeats;
    }
    if let Some(at) = saved.texts.iter().position(|(_, wanted)| ok && wanted.what == *order) {
        saved.texts.remove(at);
    }
}

fn follow_warning(saved: &mut Vec<SavedWarning>, warning: &Warning, step: WarningStep, actor: &Actor, t: Timestamp) {
    let at = saved.iter().position(|known| known.warning.id == warning.id);
    match step {
        WarningStep::Received | WarningStep::Changed => {
            at.map(|at| saved.remove(at));
            saved.push(SavedWarning {
                warning: warning.clone(),
                since: t,
                acknowledged: None,
                left_ms: warning.until.map(|until| millis(until_after(until, t))),
            });
        }
        WarningStep::Acknowledged => {
            if let Some(known) = at.and_then(|at| saved.get_mut(at)) {
                known.acknowledged.get_or_insert_with(|| actor.name.clone());
            }
        }
        WarningStep::Withdrawn | WarningStep::Expired | WarningStep::Dropped => {
            at.map(|at| saved.remove(at));
        }
    }
}

impl SavedService {
    fn follow(&mut self, book: &SiteBook, record: &ServiceRecord, t: Timestamp) {
        match record {
            ServiceRecord::State { subject, to, actor, reason, .. } => {
                self.changed.retain(|(known, _)| known != subject);
                let Some((_, file)) = by_file(book, subject) else { return };
                // What the configuration did, the configuration says.
                if *to != file && actor.via != Via::Gateway {
                    let (by, reason) = (actor.name.clone(), reason.clone());
                    let changed = Changed { state: *to, by, since: t, reason, file };
                    self.changed.push((subject.clone(), changed));
                }
            }
            ServiceRecord::Kept { .. } => {}
            ServiceRecord::Bypass { bypass, interlock, step, actor, reason, for_s, until } => {
                self.next = self.next.max(*bypass);
                let at = self.bypasses.iter().position(|(known, _)| known.bypass == *bypass);
                let known = at.map(|at| self.bypasses.remove(at).0);
                let asked = || Bypass {
                    bypass: *bypass,
                    interlock: interlock.clone(),
                    reason: reason.clone(),
                    step: *step,
                    requested_by: actor.name.clone(),
                    approved_by: None,
                    for_s: *for_s,
                    until: None,
                };
                let mut open = Bypass { step: *step, until: *until, ..known.unwrap_or_else(asked) };
                let left = match step {
                    BypassStep::Requested => Some(APPROVE_WITHIN),
                    BypassStep::Active => {
                        open.approved_by = Some(actor.name.clone());
                        Some(Duration::from_secs(*for_s))
                    }
                    BypassStep::Overdue => None,
                    BypassStep::Restored | BypassStep::Rejected | BypassStep::Lapsed => return,
                };
                self.bypasses.push((open, left.map(millis)));
            }
        }
    }
}
