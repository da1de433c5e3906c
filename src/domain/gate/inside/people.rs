//! What persons do to the account: counting and signing, correcting, taking back, reviewing, settling. Each is an event with
//! who and why.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Body, Correction, Count, Loose, Violation};
use super::passage::Answered;
use super::{Event, EventId, Inside, Outcome, Passage, Stock, Stocks, Subject};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::ZoneId;
use crate::domain::time::Now;

/// Most that a count or correction can say of one stock: ten times the largest park. A slip of the keyboard is refused.
const MAX_STOCK: u32 = 100_000;

/// What a person wants.
#[derive(Clone, Debug, PartialEq)]
pub enum InsideAction {
    /// Signs a count.
    Count {
        /// What was found.
        zones: BTreeMap<ZoneId, Stocks>,
        /// Who and what, where it was counted by name.
        list: Option<BTreeMap<ZoneId, BTreeSet<Subject>>>,
        /// How it was counted.
        reason: String,
    },
    /// Corrects a count.
    Correct {
        /// The zone; those around it are corrected with it.
        zone: ZoneId,
        /// Which count.
        stock: Stock,
        /// By how many.
        by: i32,
        /// Who or what it is about, where known.
        subject: Option<Subject>,
        /// Why.
        reason: String,
    },
    /// Takes back an event that was wrong.
    Void {
        /// Which.
        event: EventId,
        /// Why.
        reason: String,
    },
    /// Has looked at the violations of a subject.
    Review {
        /// Whose.
        subject: Subject,
        /// What comes of it.
        reason: String,
    },
    /// Has cleared up something on the list of the day, or a conflict.
    Settle {
        /// Which event put it there; of a conflict, [`super::Conflict::event`].
        event: EventId,
        /// Of a passage in doubt: it has crossed, and is entered so at the time of the doubt. A count that was signed since
        /// stands.
        crossed: bool,
        /// How.
        reason: String,
    },
}

impl Inside {
    /// Does what a person wants, or says why not. Needs the role of the supervisor, and words.
    pub fn act(&mut self, action: InsideAction, actor: &Actor, now: Now) -> Result<EventId, Refused> {
        if !actor.has(Role::Supervisor) {
            return Err(Refused::role(Role::Supervisor));
        }
        if actor.name.trim().is_empty() {
            return Err(Refused::new("须写明操作人", "say who does this"));
        }
        // His rights are not recorded, and what is compared with what a peer sends back must be what was recorded.
        let actor = Actor { roles: BTreeSet::new(), ..actor.clone() };
        let body = match action {
            InsideAction::Count { zones, list, reason } => {
                let reason = said(reason)?;
                self.check_count(&zones, list.as_ref())?;
                Body::Counted(Count { zones, list, actor, reason })
            }
            InsideAction::Correct { zone, stock, by, subject, reason } => {
                let reason = said(reason)?;
                if by == 0 || by.unsigned_abs() > MAX_STOCK {
                    return Err(Refused::new("更正数无效", "a correction is by at least one, and plausible"));
                }
                self.known(&zone)?;
                let zones = self.rules.around(Some(&zone)).into_iter().collect();
                Body::Corrected(Correction { zones, stock, by, subject, actor, reason })
            }
            InsideAction::Void { event, reason } => return self.void(&event, actor, said(reason)?, now),
            InsideAction::Review { subject, reason } => Body::Reviewed { subject, actor, reason: said(reason)? },
            InsideAction::Settle { event, crossed, reason } => {
                return self.settle(event, crossed, actor, said(reason)?, now);
            }
        };
        let at = self.dial.take(now);
        Ok(self.write(body, at, now).id.clone())
    }

    fn settle(
        &mut self,
        of: EventId,
        crossed: bool,
        actor: Actor,
        reason: String,
        now: Now,
    ) -> Result<EventId, Refused> {
        let conflict = || self.conflicts().iter().any(|conflict| conflict.event() == of);
        if self.log.holding(&of).is_none() && !conflict() {
            return Err(Refused::new("没有该事项", "there is no such item"));
        }
        let doubt = self.doubt(&of).cloned();
        if crossed && doubt.is_none() {
            let zh = "该通行已不在记录中，不能补记为通过，请更正人数";
            return Err(Refused::new(zh, "that passage is not kept any more: correct the count instead"));
        }
        let at = self.dial.take(now);
        let body = Body::Settled { of, actor: actor.clone(), reason: reason.clone() };
        let id = self.write(body, at, now).id.clone();
        if let Some(passage) = doubt {
            self.end_doubt(passage, crossed, Answered { actor, verdict: Verdict::Allow, reason }, now);
        }
        Ok(id)
    }

    /// Returns the passage whose end is in doubt by this event, while it is kept.
    pub fn doubt(&self, event: &EventId) -> Option<&Passage> {
        let Body::Loose(Loose::InDoubt { passage, .. }) = &self.log.holding(event)?.body else { return None };
        self.passages.get(passage).filter(|passage| passage.outcome == Some(Outcome::InDoubt))
    }

    /// Enters a violation that another room found.
    pub fn violated(&mut self, violation: Violation, now: Now) {
        let at = self.dial.take(now);
        self.write(Body::Violated(violation), at, now);
    }

    /// Enters something that the reconciliation of the day has to name.
    pub fn loose(&mut self, loose: Loose, now: Now) {
        let at = self.dial.take(now);
        self.write(Body::Loose(loose), at, now);
    }

    fn void(&mut self, id: &EventId, actor: Actor, reason: String, now: Now) -> Result<EventId, Refused> {
        let held: Option<(u32, _, bool)> = self.log.holding(id).map(|event: &std::sync::Arc<Event>| {
            (event.version, event.at, matches!(event.body, Body::Void { .. } | Body::Settled { .. }))
        });
        match held {
            Some((version, at, false)) => {
                Ok(self.write_version(id.clone(), version + 1, Body::Void { actor, reason }, at, now).id.clone())
            }
            Some(_) => Err(Refused::new("该记录已作废", "it is taken back already")),
            None => Err(Refused::new("没有该记录", "there is no such event")),
        }
    }

    fn check_count(
        &self,
        zones: &BTreeMap<ZoneId, Stocks>,
        list: Option<&BTreeMap<ZoneId, BTreeSet<Subject>>>,
    ) -> Result<(), Refused> {
        if zones.is_empty() {
            return Err(Refused::new("未填写区域", "a count names at least one zone"));
        }
        for (zone, stocks) in zones {
            self.known(zone)?;
            if Stock::all().any(|stock| stocks.of(stock) > MAX_STOCK) {
                return Err(Refused::new("数量不合理", "a count that large is a slip"));
            }
            let listed = list.and_then(|list| list.get(zone)).into_iter().flatten();
            let vehicles = listed.clone().filter(|subject| matches!(subject, Subject::Vehicle(_))).count();
            let persons = listed.count() - vehicles;
            let counted: u32 = stocks.vehicles.values().sum();
            if persons > stocks.persons as usize || vehicles > counted as usize {
                return Err(Refused::new("名单多于清点数", "the list names more than were counted"));
            }
        }
        Ok(())
    }

    fn known(&self, zone: &ZoneId) -> Result<(), Refused> {
        if self.rules.zones.contains_key(zone) {
            Ok(())
        } else {
            Err(Refused::new(format!("没有区域“{zone}”"), format!("there is no zone `{zone}`")))
        }
    }
}

fn said(reason: String) -> Result<String, Refused> {
    if reason.trim().is_empty() { Err(Refused::new("须填写原因", "say why")) } else { Ok(reason) }
}
