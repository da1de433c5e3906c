//! What people tell of who is inside, and in a muster.

use std::time::Duration;

use super::{AccountAct, Done, Gates, MusterAct, name};
use crate::domain::actor::{Actor, Refused};
use crate::domain::gate::inside::event::{Body, Loose};
use crate::domain::gate::inside::{EventId, InsideAction, Stock, Subject};
use crate::domain::gate::muster::{MusterAction, Occupant, RowState};
use crate::domain::gate::word::{PassageId, ZoneId};
use crate::domain::time::{Now, Timestamp};

/// The same correction, by the same person and in the same words, within this time is a command that was given twice.
const TWICE_WITHIN: Duration = Duration::from_secs(120);
/// What a person settles is looked for so far back, which is as long as the account keeps it one by one.
const SETTLE_BACK: Duration = Duration::from_secs(366 * 86_400);

impl Gates {
    pub(super) fn account_act(&mut self, act: AccountAct, actor: &Actor, now: Now) -> Result<Done, Refused> {
        match act {
            AccountAct::Count { zones, list, why } => {
                self.handle_inside(InsideAction::Count { zones, list, reason: why }, actor, now)?;
                let known = self.inside.inside_known();
                let (zh, en) = match known {
                    true => ("已签字盘点，在园数自此可知", "counted and signed: who is inside is known from here on"),
                    false => ("已签字盘点", "counted and signed"),
                };
                Ok(Done::new(zh, en))
            }
            AccountAct::Correct { zone, stock, by, subject, why } => {
                self.not_twice((&zone, stock, by, subject.as_ref()), actor, &why, now)?;
                let action = InsideAction::Correct { zone: zone.clone(), stock, by, subject, reason: why };
                self.handle_inside(action, actor, now)?;
                let (count, _) = self.inside.account().count(&zone, stock);
                Ok(Done::new(format!("已更正，现为 {count}"), format!("corrected: {count} now")))
            }
            AccountAct::Void { event, why } => {
                let event = EventId::parse(&event).ok_or_else(no_event)?;
                self.handle_inside(InsideAction::Void { event, reason: why }, actor, now)?;
                Ok(Done::new("已作废该记录", "the event is taken back"))
            }
            AccountAct::Review { subject, why } => {
                self.handle_inside(InsideAction::Review { subject, reason: why }, actor, now)?;
                Ok(Done::new("已审查，违规重新计数", "reviewed: violations are counted anew"))
            }
            AccountAct::Settle { of, crossed, why } => {
                let event = self.unsettled(&of, now)?;
                self.handle_inside(InsideAction::Settle { event, crossed, reason: why }, actor, now)?;
                Ok(match crossed {
                    true => Done::new("已处理：补记为通过", "settled: entered as having crossed"),
                    false => Done::new("已处理", "settled"),
                })
            }
        }
    }

    /// Refuses a correction that its author has just made in the same words.
    fn not_twice(
        &self,
        (zone, stock, by, subject): (&ZoneId, Stock, i32, Option<&Subject>),
        actor: &Actor,
        why: &str,
        now: Now,
    ) -> Result<(), Refused> {
        let at = self.inside.time(now);
        let mut lately = self.inside.account().between(at.before(TWICE_WITHIN), at.after(Duration::from_millis(1)));
        let twice = lately.any(|event| {
            let Body::Corrected(one) = &event.body else { return false };
            let same = (one.stock, one.by, one.subject.as_ref()) == (stock, by, subject);
            same && one.zones.contains(zone) && one.actor.name == actor.name && one.reason == why
        });
        if twice {
            let zh = "刚刚已作过同样的更正；确需再次更正请改写原因";
            return Err(Refused::new(
                zh,
                "the same correction was made just now: if it is meant, say why in other words",
            ));
        }
        Ok(())
    }

    /// Returns the event of what a person names: a passage in doubt, or an event by its id, that nobody has settled.
    fn unsettled(&self, of: &str, now: Now) -> Result<EventId, Refused> {
        let account = self.inside.account();
        let at = self.inside.time(now);
        let (from, to) = (at.before(SETTLE_BACK), at.after(Duration::from_millis(1)));
        let named = |event: &EventId, body: &Body| {
            let Body::Loose(loose) = body else { return false };
            let of_it = |passage: &PassageId| passage.as_str() == of;
            matches!(loose, Loose::InDoubt { passage, .. } if of_it(passage)) || event.to_string() == of
        };
        let mut settled = false;
        for event in account.between(from, to).filter(|event| named(&event.id, &event.body)) {
            if !account.is_settled(&event.id) {
                return Ok(event.id.clone());
            }
            settled = true;
        }
        let conflict = self.inside.conflicts().into_iter().map(|conflict| conflict.event());
        let found = conflict.into_iter().find(|event| event.to_string() == of);
        found.ok_or_else(|| match settled {
            true => Refused::new("该事项已处理", "that is settled already"),
            false => Refused::new("没有该待处理事项", "nothing of that name waits to be settled"),
        })
    }

    pub(super) fn muster_act(&mut self, act: MusterAct, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let (muster, action) = match act {
            MusterAct::CheckIn { muster, person, point } => {
                name(&point, "集合点", "muster point")?;
                (muster, MusterAction::CheckIn { person, point })
            }
            MusterAct::Safe { muster, row, why } => (muster, MusterAction::Account { row, reason: why }),
            MusterAct::NotSafe { muster, row, why } => (muster, MusterAction::TakeBack { row, reason: why }),
            MusterAct::End { muster, why } => (muster, MusterAction::End { reason: why }),
        };
        let ends = matches!(action, MusterAction::End { .. });
        if let Some(refused) = self.stands_so(&muster, &action) {
            return Err(refused);
        }
        self.handle_muster(&muster, action, actor, now)?;
        let left = self.musters.running().find(|roll| roll.muster == muster).map(|roll| roll.numbers().unaccounted);
        Ok(match left {
            Some(left) => Done::new(format!("已记录，未到 {left} 人"), format!("noted: {left} unaccounted for")),
            None if ends => Done::new("清点已结束", "the muster is over"),
            None => Done::new("已记录", "noted"),
        })
    }

    /// What would change nothing is said, so that nobody believes he has accounted for somebody else.
    fn stands_so(&self, muster: &str, action: &MusterAction) -> Option<Refused> {
        let roll = self.musters.running().find(|roll| roll.muster == muster)?;
        let safe = |at: Timestamp| Refused::new(format!("已于 {at} 记为安全"), format!("is safe already, since {at}"));
        match action {
            MusterAction::CheckIn { person, .. } => {
                let row = roll.rows.iter().find(|row| row.who == Occupant::Person(person.clone()));
                match row.map(|row| &row.state) {
                    Some(RowState::Safe { at, .. }) => Some(safe(*at)),
                    None if roll.strangers.contains_key(person) => {
                        Some(Refused::new("不在名单上，已签到", "is on no list, and has checked in already"))
                    }
                    Some(RowState::Unaccounted) | None => None,
                }
            }
            MusterAction::Account { row, .. } => match roll.rows.get(*row as usize).map(|row| &row.state) {
                Some(RowState::Safe { at, .. }) => Some(safe(*at)),
                Some(RowState::Unaccounted) | None => None,
            },
            MusterAction::TakeBack { row, .. } => match roll.rows.get(*row as usize).map(|row| &row.state) {
                Some(RowState::Unaccounted) => Some(Refused::new("本来就未到", "is not accounted for anyway")),
                Some(RowState::Safe { .. }) | None => None,
            },
            MusterAction::End { .. } => None,
        }
    }
}

fn no_event() -> Refused {
    Refused::new("没有该记录", "there is no such event")
}
