//! What is forgotten, and when: permits some time after their end, persons some time after nothing needs them any more.
//! Nothing is forgotten by a clock that cannot be trusted.

use std::collections::BTreeMap;

use super::change::{Change, ChangeSet, Origin};
use super::row::{Holder, Key, Person, Row, Table};
use super::rules::Rules;
use super::{Held, Register};
use crate::domain::actor::Actor;
use crate::domain::gate::word::{PersonKind, PersonRef};
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// Most rows that one run forgets; the next goes on. What a run of the housekeeping may hold up the register.
pub const MAX_FORGOTTEN: usize = 5_000;
const DAY_MS: i64 = 86_400_000;

impl Register {
    /// Returns the changes that forget what is due now; `None` when nothing is, or the clock cannot be trusted. The persons in
    /// it are to be destroyed in the persons' store as soon as the changes are durable.
    pub fn due(&self, rules: &Rules, now: &Now) -> Option<(ChangeSet, Vec<PersonRef>)> {
        if now.trust == ClockTrust::Unsynced {
            return None;
        }
        let permits = self.due_permits(rules, now.wall);
        let persons = self.due_persons(rules, now.wall);
        let room = MAX_FORGOTTEN.saturating_sub(permits.len());
        let persons: Vec<PersonRef> = persons.into_iter().take(room).collect();
        let keys = permits.into_iter().chain(persons.iter().cloned().map(Key::Person));
        let changes: Vec<Change> = keys.map(Change::Remove).collect();
        let (by, why) = (Actor::gateway(), "over".to_owned());
        let set = ChangeSet { by, origin: Origin::Gateway, why, changes, named: Vec::new(), version: None };
        (!set.changes.is_empty()).then_some((set, persons))
    }

    fn due_permits(&self, rules: &Rules, now: Timestamp) -> Vec<Key> {
        let keep = i64::from(rules.keep_permits_days) * DAY_MS;
        let over = |held: &&Held| {
            // One whose user is still inside is needed for his exit.
            matches!(&held.row, Row::Permit(permit)
                if permit.until.0.saturating_add(keep) <= now.0 && permit.begun.is_empty())
        };
        self.rows().filter(over).map(|held| held.row.key()).take(MAX_FORGOTTEN).collect()
    }

    fn due_persons(&self, rules: &Rules, now: Timestamp) -> Vec<PersonRef> {
        let needed = self.needed_until();
        let mut due = Vec::new();
        for held in self.rows() {
            let Row::Person(person) = &held.row else { continue };
            let Some(days) = rules.keep_days.get(&person.kind) else { continue };
            let last = needed.get(&person.person).copied().unwrap_or(Timestamp(i64::MIN));
            let own = own_end(person, held.touched);
            let end = own.map_or(i64::MAX, |own| own.max(last).0);
            if end.saturating_add(i64::from(*days) * DAY_MS) <= now.0 {
                due.push(person.person.clone());
            }
        }
        due.truncate(MAX_FORGOTTEN);
        due
    }

    /// Until when permits and lists need a person.
    fn needed_until(&self) -> BTreeMap<PersonRef, Timestamp> {
        let mut needed: BTreeMap<PersonRef, Timestamp> = BTreeMap::new();
        let mut need = |person: &PersonRef, until: Timestamp| {
            let last = needed.entry(person.clone()).or_insert(until);
            *last = (*last).max(until);
        };
        for held in self.rows() {
            match &held.row {
                Row::Permit(permit) => {
                    let until = if permit.begun.is_empty() { permit.until } else { Timestamp(i64::MAX) };
                    for holder in super::holders(permit) {
                        if let Holder::Person(person) = holder {
                            need(&person, until);
                        }
                    }
                }
                Row::Listing(listing) => {
                    if let Holder::Person(person) = &listing.holder {
                        need(person, listing.until.unwrap_or(Timestamp(i64::MAX)));
                    }
                }
                Row::Company(_) | Row::Person(_) | Row::Vehicle(_) => {}
            }
        }
        needed
    }

    /// Returns the version of a table and its number of rows, for the page and the daily report.
    pub fn standing(&self, table: Table) -> (u64, usize) {
        (self.versions().get(&table).map_or(0, |held| held.version), self.count(table))
    }
}

/// When a person's own row stops needing him; `None`: while it is there. Staff and rescue services stay until they leave;
/// others until their training, their qualifications and their cards have ended.
fn own_end(person: &Person, touched: Timestamp) -> Option<Timestamp> {
    if person.left.is_some() {
        return person.left;
    }
    if matches!(person.kind, PersonKind::Staff | PersonKind::Rescue) {
        return None;
    }
    let ends = person.skills.values().map(|skill| skill.until).chain(person.training_until);
    ends.chain(person.credentials.values().copied().flatten()).chain([touched]).max()
}
