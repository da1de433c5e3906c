//! The register of the gates: companies, persons, vehicles, block and allow lists, permits, with the indexes by which a lane
//! finds them, and the versions that the platform gave.
//!
//! ```text
//!  file, page, command ─┐                        ┌─▶ Prepared ─▶ made durable ─▶ commit ─▶ next revision
//!  verified message ────┼─▶ ChangeSet ─ prepare ─┤   (state/)                     (never fails half-way)
//!  a completed passage ─┘                        └─▶ Refusal: nothing changes
//! ```
//!
//! In reading order: [`row`] is what is held, [`permit`] the approvals and uses of a permit, [`rules`] what the site settled,
//! [`draft`] rows as others write them, [`digest`] how a person is found without his number, [`change`] who may change what,
//! [`facts`] what a decision is told, [`keep`] what is forgotten and when, [`look`] what people look at.
//!
//! Every look-up is one in a tree: 50,000 permits cost 16 comparisons. Memory is bounded by [`Table::most`]. The order in which
//! rows came leaves no trace: two registers with the same rows tell the same facts.

pub mod change;
pub mod digest;
pub mod draft;
pub mod facts;
pub mod keep;
pub mod look;
pub mod permit;
pub mod row;
pub mod rules;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::change::{
    Change, ChangeSet, Entry, MAX_ROW_BYTES, MAX_ROWS, Message, Origin, Owner, Prepared, Received, Refusal, Version,
};
use self::draft::{KeyDraft, Resolver};
use self::permit::{Approve, MAX_USES, Permit};
use self::row::{Holder, Key, Listing, Person, Row, Table, Vehicle};
use self::rules::Rules;
use super::plate::{Plate, PlateColour};
use super::presented::Credential;
use super::word::{ListingId, PassageId, PermitId, PersonRef};
use crate::domain::actor::Actor;
use crate::domain::audit::Digest;
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// The register.
#[derive(Clone, Debug, Default)]
pub struct Register {
    rev: u64,
    rows: BTreeMap<Key, Held>,
    counts: BTreeMap<Table, usize>,
    versions: BTreeMap<Table, Version>,
    damaged: BTreeSet<Table>,
    by_credential: BTreeMap<Credential, PersonRef>,
    permits_of: BTreeSet<(Holder, PermitId)>,
    lists_of: BTreeSet<(Holder, ListingId)>,
}

/// A row with what the register knows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The row.
    pub row: Row,
    /// Whose it is.
    pub owner: Owner,
    /// When it was last changed.
    pub touched: Timestamp,
}

impl Register {
    /// Puts together what was stored as a whole.
    pub fn restore(rev: u64, versions: BTreeMap<Table, Version>, rows: impl IntoIterator<Item = Held>) -> Self {
        let mut register = Self { rev, versions, ..Self::default() };
        rows.into_iter().for_each(|held| register.put(held));
        register
    }

    /// Returns its revision: how many sets of changes it has seen.
    pub fn rev(&self) -> u64 {
        self.rev
    }

    /// Returns the versions of its tables.
    pub fn versions(&self) -> &BTreeMap<Table, Version> {
        &self.versions
    }

    /// Says that rows of a table were lost: it has no age any more, and takes a whole list only.
    pub fn mark_damaged(&mut self, table: Table) {
        self.damaged.insert(table);
    }

    /// Returns the tables of which rows were lost.
    pub fn damaged(&self) -> &BTreeSet<Table> {
        &self.damaged
    }

    /// Returns all rows, by table and key.
    pub fn rows(&self) -> impl Iterator<Item = &Held> {
        self.rows.values()
    }

    /// Returns how many rows a table has.
    pub fn count(&self, table: Table) -> usize {
        self.counts.get(&table).copied().unwrap_or_default()
    }

    /// Returns a row.
    pub fn get(&self, key: &Key) -> Option<&Held> {
        self.rows.get(key)
    }

    /// Returns the permit.
    pub fn permit(&self, id: &PermitId) -> Option<&Arc<Permit>> {
        self.rows.get(&Key::Permit(id.clone()))?.row.as_permit()
    }

    /// Returns the person.
    pub fn person(&self, person: &PersonRef) -> Option<&Arc<Person>> {
        self.rows.get(&Key::Person(person.clone()))?.row.as_person()
    }

    /// Returns who has this credential, whatever its validity.
    pub fn holder_of(&self, credential: &Credential) -> Option<&PersonRef> {
        self.by_credential.get(credential)
    }

    /// Returns the vehicles that a plate may be: one, where its colour is known; more, where the same text stands on several
    /// colours and the colour was not read.
    pub fn vehicles(&self, plate: &Plate) -> impl Iterator<Item = &Arc<Vehicle>> {
        let first = Key::Vehicle(Plate { text: plate.text.clone(), colour: PlateColour::Unknown });
        let same = |key: &Key| matches!(key, Key::Vehicle(other) if other.text == plate.text);
        let found = self.rows.range(first..).take_while(move |(key, _)| same(key));
        found.filter_map(|(_, held)| held.row.as_vehicle()).filter(|vehicle| vehicle.plate.may_be(plate))
    }

    /// Returns the permits for this holder, or that name him among those who come.
    pub fn permits(&self, holder: &Holder) -> impl Iterator<Item = &Arc<Permit>> {
        let first = (first_of(holder), PermitId::new(""));
        let found = self.permits_of.range(first..).take_while(|(other, _)| same_text(other, holder));
        found.filter(|(other, _)| may_be(other, holder)).filter_map(|(_, id)| self.permit(id))
    }

    /// Returns the entries of the lists for this holder.
    pub fn listings(&self, holder: &Holder) -> impl Iterator<Item = &Arc<Listing>> {
        let first = (first_of(holder), ListingId::new(""));
        let found = self.lists_of.range(first..).take_while(|(other, _)| same_text(other, holder));
        let found = found.filter(|(other, _)| may_be(other, holder));
        found.filter_map(|(_, id)| self.rows.get(&Key::Listing(id.clone()))?.row.as_listing())
    }

    /// Returns the age of a table in seconds; `None` when there never was one, rows of it were lost, or a clock could not be
    /// trusted.
    pub fn age_s(&self, table: Table, now: &Now) -> Option<u64> {
        if now.trust == ClockTrust::Unsynced || self.damaged.contains(&table) {
            return None;
        }
        let as_of = self.versions.get(&table)?.as_of?;
        Some(u64::try_from(now.wall.0.saturating_sub(as_of.0) / 1000).unwrap_or(0))
    }

    /// Takes a verified message of the platform; `make_ref` gives references that were never given before.
    ///
    /// # Errors
    /// The message is older than what is held, or has rows of another table.
    pub fn receive(
        &self,
        message: Message,
        key: &digest::LookUpKey,
        make_ref: &mut dyn FnMut() -> PersonRef,
    ) -> Result<Received, Refusal> {
        let table = message.table;
        if message.rows.len() + message.removed.len() > MAX_ROWS {
            return Err(Refusal::TooLarge);
        }
        if message.rows.iter().any(|row| row.table() != table) {
            return Err(Refusal::Misplaced(table));
        }
        let digest = Digest::of(&serde_json::to_vec(&message).unwrap_or_default());
        let held = self.versions.get(&table);
        let have = held.map_or(0, |held| held.version);
        let healing = self.damaged.contains(&table);
        let same = held.is_some_and(|held| held.version == message.version && held.digest == digest);
        match message.base {
            _ if same && !healing => return Ok(Received::Held),
            _ if message.version < have || (message.version == have && !(healing && message.base.is_none())) => {
                return Err(Refusal::Stale { table, have });
            }
            Some(base) if base != have || healing => return Ok(Received::AskWhole { table, have }),
            _ => {}
        }
        Ok(Received::Changes(Box::new(self.changes_of(message, digest, key, make_ref))))
    }

    fn changes_of(
        &self,
        message: Message,
        digest: Digest,
        key: &digest::LookUpKey,
        make_ref: &mut dyn FnMut() -> PersonRef,
    ) -> (ChangeSet, draft::Resolved) {
        let Message { table, version, base, as_of, rows, removed } = message;
        let mut resolver = Resolver::new(self, key, make_ref);
        let known: Vec<Option<Key>> = removed
            .into_iter()
            .map(|gone| match gone {
                KeyDraft::Row(key) => Some(key),
                KeyDraft::Person(id) => resolver.known(&id).map(Key::Person),
            })
            .collect();
        rows.into_iter().for_each(|row| resolver.add(row));
        let resolved = resolver.finish();
        let mut gone: BTreeSet<Key> = known.into_iter().flatten().filter(|key| key.table() == table).collect();
        if base.is_none() {
            let there: BTreeSet<Key> = resolved.rows.iter().map(Row::key).collect();
            let of_table = self.rows.keys().filter(|key| key.table() == table);
            gone.extend(of_table.filter(|key| !there.contains(key)).cloned());
        }
        // What is local stays: it is not the platform's to take.
        gone.retain(|key| self.rows.get(key).is_some_and(|held| held.owner == Owner::Platform));
        let gone = gone.into_iter().map(|key| self.parted(key, as_of));
        let changes = resolved.rows.iter().cloned().map(Change::Put).chain(gone).collect();
        let by = Actor { name: "platform".into(), via: crate::domain::actor::Via::Platform, roles: BTreeSet::new() };
        let why = format!("{table} version {version}");
        let version = Some((table, Version { version, as_of: Some(as_of), digest }));
        (ChangeSet { by, origin: Origin::Platform, why, changes, named: resolved.named.clone(), version }, resolved)
    }

    /// Takes a row away; a person stays as one who left until he may be forgotten, so that a block list still knows him.
    pub fn parted(&self, key: Key, at: Timestamp) -> Change {
        match self.rows.get(&key).and_then(|held| held.row.as_person()) {
            Some(person) if person.left.is_some() => Change::Put(Row::Person(person.clone())),
            Some(person) => Change::Put(Row::Person(Arc::new(Person { left: Some(at), ..(**person).clone() }))),
            None => Change::Remove(key),
        }
    }

    /// Prepares changes against the register as it is.
    ///
    /// # Errors
    /// Why none of them can be made.
    pub fn prepare(&self, set: ChangeSet, now: &Now) -> Result<Prepared, Refusal> {
        if set.changes.len() > MAX_ROWS {
            return Err(Refusal::TooLarge);
        }
        let ChangeSet { by, origin, why, changes, named, version } = set;
        let touched: BTreeSet<Table> = changes.iter().map(|change| change.key().table()).collect();
        let changes = change::by_key(changes)?;
        self.check_owners(origin, changes.keys())?;
        let mut entries = Vec::new();
        for (key, row) in changes {
            entries.extend(self.entry(key, row, origin)?);
        }
        let there: BTreeSet<Key> = entries.iter().map(|entry| entry.key.clone()).collect();
        for row in named {
            let key = row.key();
            let held = self.rows.get(&key).and_then(|held| held.row.as_person());
            let comes = !self.rows.contains_key(&key) || held.is_some_and(|person| person.left.is_some());
            if comes && !there.contains(&key) {
                entries.extend(self.entry(key, Some(row), Origin::Local)?);
            }
        }
        self.check_credentials(&entries)?;
        self.check_counts(&entries)?;
        let versions = match origin {
            Origin::Platform => version.into_iter().collect(),
            Origin::Local => self.freshened(touched, now),
            Origin::Gateway => BTreeMap::new(),
        };
        let (rev, at, clock) = (self.rev.saturating_add(1), now.wall, now.trust);
        Ok(Prepared { rev, at, clock, by, origin, why, entries, versions })
    }

    /// Tables that the platform never filled are as current as what people here say.
    fn freshened(&self, touched: BTreeSet<Table>, now: &Now) -> BTreeMap<Table, Version> {
        let own = touched.into_iter().filter(|table| self.versions.get(table).is_none_or(|held| held.version == 0));
        let as_of = (now.trust != ClockTrust::Unsynced).then_some(now.wall);
        own.map(|table| {
            let before = self.versions.get(&table).and_then(|held| held.as_of);
            (table, Version { version: 0, as_of: as_of.max(before), digest: Digest::default() })
        })
        .collect()
    }

    fn check_owners<'k>(&self, origin: Origin, keys: impl Iterator<Item = &'k Key>) -> Result<(), Refusal> {
        if origin != Origin::Local {
            return Ok(());
        }
        let owned = keys.filter(|key| self.rows.get(key).is_some_and(|held| held.owner == Owner::Platform));
        let owned: Vec<Key> = owned.cloned().collect();
        if owned.is_empty() { Ok(()) } else { Err(Refusal::Owned(owned)) }
    }

    /// One change as it is recorded; `None` where nothing changes.
    fn entry(&self, key: Key, row: Option<Row>, origin: Origin) -> Result<Option<Entry>, Refusal> {
        let held = self.rows.get(&key);
        let row = row.map(|row| match (row, held.map(|held| &held.row)) {
            (Row::Permit(new), Some(Row::Permit(old))) if origin != Origin::Gateway => {
                Row::Permit(Arc::new((*new).clone().with_uses_of(old)))
            }
            (Row::Permit(new), None) => Row::Permit(Arc::new((*new).clone().unused())),
            (row, _) => row,
        });
        let owner = match (origin, held) {
            (Origin::Platform, _) => Owner::Platform,
            (Origin::Gateway, Some(held)) => held.owner,
            (Origin::Local | Origin::Gateway, _) => Owner::Local,
        };
        if row.as_ref() == held.map(|held| &held.row) && held.is_none_or(|held| held.owner == owner) {
            return Ok(None);
        }
        let before = held.map(|held| digest_of(&held.row)).transpose().map_err(|()| Refusal::TooLong(key.clone()))?;
        let after = row.as_ref().map(digest_of).transpose().map_err(|()| Refusal::TooLong(key.clone()))?;
        Ok(Some(Entry { key, row, owner, before, after }))
    }

    fn check_credentials(&self, entries: &[Entry]) -> Result<(), Refusal> {
        let people = || entries.iter().filter(|entry| entry.key.table() == Table::Persons);
        let changed: BTreeSet<&Key> = people().map(|entry| &entry.key).collect();
        let mut taken: BTreeMap<&Credential, &Key> = BTreeMap::new();
        for entry in people() {
            let Some(Row::Person(person)) = &entry.row else { continue };
            for credential in person.credentials.keys() {
                if let Some(other) = taken.insert(&credential.0, &entry.key) {
                    return Err(Refusal::Shared(other.clone(), entry.key.clone()));
                }
                let other = self.by_credential.get(&credential.0).map(|other| Key::Person(other.clone()));
                if let Some(other) = other.filter(|other| *other != entry.key && !changed.contains(other)) {
                    return Err(Refusal::Shared(other, entry.key.clone()));
                }
            }
        }
        Ok(())
    }

    fn check_counts(&self, entries: &[Entry]) -> Result<(), Refusal> {
        for table in Table::ALL {
            let of = |kind: fn(&Entry) -> bool| {
                entries.iter().filter(|entry| entry.key.table() == *table && kind(entry)).count()
            };
            let added = of(|entry| entry.before.is_none() && entry.row.is_some());
            let gone = of(|entry| entry.before.is_some() && entry.row.is_none());
            if added > 0 && (self.count(*table) + added).saturating_sub(gone) > table.most() {
                return Err(Refusal::TooMany(*table));
            }
        }
        Ok(())
    }

    /// Prepares the decision of a stage of a permit's approval.
    ///
    /// # Errors
    /// It is not its turn, the same person decided the other stage, or the permit is the platform's.
    pub fn approve(&self, rules: &Rules, asked: Approve, by: Actor, now: &Now) -> Result<Prepared, Refusal> {
        let Approve { permit: id, stage, passed, why } = asked;
        let permit = self.permit(&id).ok_or_else(|| Refusal::Missing(Key::Permit(id.clone())))?;
        let decided = permit.decide(rules, stage, &by.name, passed, now.wall).map_err(Refusal::Permit)?;
        let mut told = format!("permit {id}: {stage} {}", if passed { "passes" } else { "refuses" });
        if !why.is_empty() {
            told.push_str(&format!("; {why}"));
        }
        let why = told;
        self.prepare(self.one(Row::Permit(Arc::new(decided)), Origin::Local, by, why), now)
    }

    /// Prepares the begin of a use: an entry was completed. `Ok(None)`: nothing is to be counted.
    ///
    /// # Errors
    /// Every use is taken, or there is no such permit: a person should look at it.
    pub fn begin_use(&self, id: &PermitId, entry: &PassageId, now: &Now) -> Result<Option<Prepared>, Refusal> {
        let permit = self.permit(id).ok_or_else(|| Refusal::Missing(Key::Permit(id.clone())))?;
        let begun = permit.begin(entry).map_err(Refusal::Permit)?;
        self.counted(begun, format!("entry {entry}"), now)
    }

    /// Prepares the end of a use: an exit was completed. `Ok(None)`: nothing is to be counted.
    ///
    /// # Errors
    /// As [`Register::begin_use`].
    pub fn complete_use(
        &self,
        id: &PermitId,
        entry: Option<&PassageId>,
        exit: &PassageId,
        now: &Now,
    ) -> Result<Option<Prepared>, Refusal> {
        let permit = self.permit(id).ok_or_else(|| Refusal::Missing(Key::Permit(id.clone())))?;
        let over = permit.complete(entry, exit).map_err(Refusal::Permit)?;
        self.counted(over, format!("exit {exit}"), now)
    }

    /// Prepares the correction of a use that began and never was one.
    ///
    /// # Errors
    /// There is no such permit.
    pub fn give_back(&self, id: &PermitId, entry: &PassageId, now: &Now) -> Result<Option<Prepared>, Refusal> {
        let permit = self.permit(id).ok_or_else(|| Refusal::Missing(Key::Permit(id.clone())))?;
        self.counted(permit.give_back(entry), format!("entry {entry} corrected"), now)
    }

    fn counted(&self, permit: Option<Permit>, why: String, now: &Now) -> Result<Option<Prepared>, Refusal> {
        let Some(permit) = permit else { return Ok(None) };
        let set = self.one(Row::Permit(Arc::new(permit)), Origin::Gateway, Actor::gateway(), why);
        self.prepare(set, now).map(Some)
    }

    fn one(&self, row: Row, origin: Origin, by: Actor, why: String) -> ChangeSet {
        ChangeSet { by, origin, why, changes: vec![Change::Put(row)], named: Vec::new(), version: None }
    }

    /// Makes the next revision of what was prepared against this one. Returns whether it was: a set that was prepared against
    /// another revision changes nothing.
    #[must_use]
    pub fn commit(&mut self, prepared: &Prepared) -> bool {
        if prepared.rev != self.rev.saturating_add(1) {
            return false;
        }
        self.rev = prepared.rev;
        for entry in &prepared.entries {
            self.take(&entry.key);
            if let Some(row) = entry.row.clone() {
                self.put(Held { row, owner: entry.owner, touched: prepared.at });
            }
        }
        for (table, version) in &prepared.versions {
            // A damaged table takes a whole list only; where there is no platform, people here say what is current.
            self.damaged.remove(table);
            self.versions.insert(*table, version.clone());
        }
        true
    }

    fn put(&mut self, held: Held) {
        let key = held.row.key();
        match &held.row {
            Row::Person(person) => {
                let credentials = person.credentials.keys().map(|key| (key.0.clone(), person.person.clone()));
                self.by_credential.extend(credentials);
            }
            Row::Permit(permit) => {
                self.permits_of.extend(holders(permit).map(|holder| (holder, permit.id.clone())));
            }
            Row::Listing(listing) => {
                self.lists_of.insert((listing.holder.clone(), listing.id.clone()));
            }
            Row::Company(_) | Row::Vehicle(_) => {}
        }
        *self.counts.entry(key.table()).or_default() += 1;
        self.rows.insert(key, held);
    }

    fn take(&mut self, key: &Key) {
        let Some(held) = self.rows.remove(key) else { return };
        match &held.row {
            Row::Person(person) => {
                for credential in person.credentials.keys() {
                    if self.by_credential.get(&credential.0) == Some(&person.person) {
                        self.by_credential.remove(&credential.0);
                    }
                }
            }
            Row::Permit(permit) => holders(permit).for_each(|holder| {
                self.permits_of.remove(&(holder, permit.id.clone()));
            }),
            Row::Listing(listing) => {
                self.lists_of.remove(&(listing.holder.clone(), listing.id.clone()));
            }
            Row::Company(_) | Row::Vehicle(_) => {}
        }
        if let Some(count) = self.counts.get_mut(&key.table()) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Whom a permit lets in: its holder, the persons who come with a vehicle.
fn holders(permit: &Permit) -> impl Iterator<Item = Holder> {
    std::iter::once(permit.holder.clone()).chain(permit.persons.iter().cloned().map(Holder::Person))
}

/// The smallest holder that may be this one.
fn first_of(holder: &Holder) -> Holder {
    match holder {
        Holder::Vehicle(plate) => Holder::Vehicle(Plate { text: plate.text.clone(), colour: PlateColour::Unknown }),
        Holder::Person(_) => holder.clone(),
    }
}

fn same_text(one: &Holder, other: &Holder) -> bool {
    match (one, other) {
        (Holder::Vehicle(one), Holder::Vehicle(other)) => one.text == other.text,
        (one, other) => one == other,
    }
}

fn may_be(one: &Holder, other: &Holder) -> bool {
    match (one, other) {
        (Holder::Vehicle(one), Holder::Vehicle(other)) => one.may_be(other),
        (one, other) => one == other,
    }
}

/// `Err`: the row is longer than it may be.
fn digest_of(row: &Row) -> Result<Digest, ()> {
    let bytes = serde_json::to_vec(row).map_err(|_| ())?;
    let counted = row.as_permit().is_none_or(|permit| permit.uses_allowed.unwrap_or_default() <= MAX_USES);
    if bytes.len() > MAX_ROW_BYTES || !counted { Err(()) } else { Ok(Digest::of(&bytes)) }
}
