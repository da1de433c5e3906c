//! All waybills: where they come from, which of them is a vehicle's, and that each of them admits once.
//!
//! The platform sends them as a whole or as what changed between two versions. A version never goes back, and a change that
//! does not begin where this book ends asks for the whole. Numbers are never used again: of a waybill that was taken away the
//! digest stays for ever.
//!
//! It is kept over a restart by its changes ([`super::kept`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::kept::Line;
use super::waybill::{Waybill, WaybillState};
use crate::domain::audit::Digest;
use crate::domain::gate::facts::WaybillFact;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{ManifestNo, PassageId, PersonRef, WaybillNo};
use crate::domain::time::Timestamp;

/// Waybills kept: 180 a day over the 12 months that they are kept (rule 32), with as many again for a busier park.
pub const MAX_WAYBILLS: usize = 150_000;
/// Digests of numbers that were taken away: ten years of 180 a day. When it is full, new numbers are refused: letting one of
/// them in twice would be worse.
pub const MAX_GONE: usize = 700_000;

/// A waybill in the book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The waybill.
    pub waybill: Waybill,
    /// The entry that it was used for.
    pub used: Option<Used>,
    /// When it ended, as far as the clock could be trusted.
    pub over_at: Option<Timestamp>,
    /// Who took its last step, where it was a person here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stepped_by: Option<String>,
}

/// A completed entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The passage.
    pub passage: PassageId,
    /// When.
    pub at: Timestamp,
}

/// What the platform sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update<P = PersonRef> {
    /// The version that this begins at; `None`: it is the whole.
    pub from: Option<u64>,
    /// The version that holds when it is taken.
    pub to: u64,
    /// New and changed ones.
    pub put: Vec<Waybill<P>>,
    /// Those taken away.
    #[serde(default)]
    pub removed: Vec<WaybillNo>,
}

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It holds; these of it were refused, each with the reason.
    Applied(Vec<Refused>),
    /// Not newer than what is here: nothing was done.
    Old,
    /// It does not begin where the book ends: the whole is asked for.
    Gap {
        /// Version of the book.
        have: u64,
    },
}

/// Why a waybill was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its number.
    pub number: WaybillNo,
    /// Why.
    pub why: Refusal,
}

/// Why something about a waybill was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    /// It is no proper waybill.
    Faulty {
        /// In Chinese.
        zh: String,
        /// In English.
        en: String,
    },
    /// The number belonged to another one that was taken away.
    NumberReused,
    /// The manifest belongs to another waybill.
    ManifestReused,
    /// It would go back in its life.
    Backwards {
        /// Where it is.
        is: WaybillState,
        /// Where it was to go.
        to: WaybillState,
    },
    /// It was used, and what it names may not change any more.
    Frozen,
    /// The book is full.
    Full,
    /// There is no such waybill.
    Unknown,
    /// It was used for another passage.
    Used,
    /// The enterprise's review and the regulator's verification take two persons.
    SamePerson,
}

/// The book.
#[derive(Clone, Debug, Default)]
pub struct Waybills {
    version: u64,
    entries: BTreeMap<WaybillNo, Arc<Entry>>,
    gone: BTreeSet<Digest>,
    /// By text of the plate.
    by_plate: BTreeMap<String, BTreeSet<WaybillNo>>,
    manifests: BTreeMap<ManifestNo, WaybillNo>,
    /// Those that differ from what was kept, or are gone since, with the manifests of those.
    changed: BTreeMap<WaybillNo, Option<ManifestNo>>,
    /// The version that was kept last.
    kept_version: u64,
}

fn digest(number: &WaybillNo) -> Digest {
    Digest::of(number.as_str().as_bytes())
}

/// Numbers of manifests are of another series: no number of a waybill has a colon.
fn manifest_digest(number: &ManifestNo) -> Digest {
    Digest::of(format!("manifest:{number}").as_bytes())
}

/// Returns whether two plates can be the same one: the texts are, and the colours are where both are known (rule 21).
pub fn same_plate(one: &Plate, other: &Plate) -> bool {
    use crate::domain::gate::plate::PlateColour::Unknown;
    one.text == other.text && (one.colour == other.colour || one.colour == Unknown || other.colour == Unknown)
}

impl Waybills {
    /// Returns the version of the platform's list.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns a waybill with what it was used for.
    pub fn get(&self, number: &WaybillNo) -> Option<&Entry> {
        self.entries.get(number).map(|entry| &**entry)
    }

    /// Returns all of them by number.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|entry| &**entry)
    }

    /// Returns how a waybill stands for somebody who comes with it.
    pub fn fact(&self, number: &WaybillNo) -> WaybillFact {
        let Some(entry) = self.entries.get(number) else { return WaybillFact::Missing };
        match entry.waybill.state {
            _ if entry.used.is_some() => WaybillFact::Used,
            state if state.is_over() => WaybillFact::Over,
            state if state.is_ready() => WaybillFact::Ready,
            WaybillState::Draft
            | WaybillState::EnterpriseReview
            | WaybillState::RegulatorVerify
            | WaybillState::Dispatched
            | WaybillState::InTransit
            | WaybillState::Completed
            | WaybillState::Aborted => WaybillFact::NotReady,
        }
    }

    /// Returns the waybill that a vehicle comes with: a ready one before one that is not, the used one of last before
    /// older ones, so that the answer names what is wrong with it.
    pub fn of_plate(&self, plate: &Plate) -> Option<&Entry> {
        let rank = |entry: &&Entry| {
            let fact = match self.fact(&entry.waybill.number) {
                WaybillFact::Ready => 3,
                WaybillFact::NotReady => 2,
                WaybillFact::Used => 1,
                WaybillFact::Over | WaybillFact::Missing => 0,
            };
            (fact, entry.used.as_ref().map(|used| used.at), entry.over_at)
        };
        let numbers = self.by_plate.get(&plate.text)?;
        let entries = numbers.iter().filter_map(|number| self.get(number));
        entries.filter(|entry| same_plate(&entry.waybill.tractor, plate)).max_by_key(rank)
    }

    /// Takes what the platform sends. Each waybill of it stands or falls alone.
    pub fn update(&mut self, update: Update, at: Timestamp) -> Taken {
        if update.to <= self.version {
            return Taken::Old;
        }
        if update.from.is_some_and(|from| from != self.version) {
            return Taken::Gap { have: self.version };
        }
        let mut refused = Vec::new();
        if update.from.is_none() {
            let kept: BTreeSet<_> = update.put.iter().map(|waybill| waybill.number.clone()).collect();
            let away: Vec<_> = self.entries.keys().filter(|number| !kept.contains(*number)).cloned().collect();
            away.iter().for_each(|number| self.take_away(number));
        }
        update.removed.iter().for_each(|number| self.take_away(number));
        for waybill in update.put {
            let number = waybill.number.clone();
            if let Err(why) = self.put(waybill, at) {
                refused.push(Refused { number, why });
            }
        }
        self.version = update.to;
        Taken::Applied(refused)
    }

    /// Takes one waybill, new or changed: from the platform, from a file, from the page.
    ///
    /// # Errors
    /// [`Refusal`] says why it was not taken; the book is as it was.
    pub fn put(&mut self, waybill: Waybill, at: Timestamp) -> Result<(), Refusal> {
        if let Some((zh, en)) = waybill.fault() {
            return Err(Refusal::Faulty { zh, en });
        }
        if self.gone.contains(&digest(&waybill.number)) {
            return Err(Refusal::NumberReused);
        }
        if waybill.manifest.as_ref().is_some_and(|manifest| self.is_anothers(&manifest.number, &waybill.number)) {
            return Err(Refusal::ManifestReused);
        }
        let before = self.entries.get(&waybill.number);
        match before {
            None if self.entries.len() >= MAX_WAYBILLS || self.gone.len() >= MAX_GONE => return Err(Refusal::Full),
            Some(entry) if !entry.waybill.state.may_become(waybill.state) => {
                return Err(Refusal::Backwards { is: entry.waybill.state, to: waybill.state });
            }
            // What was let in must stay what it was: weights are compared with it at the exit.
            Some(entry)
                if entry.used.is_some() && Waybill { state: waybill.state, ..entry.waybill.clone() } != waybill =>
            {
                return Err(Refusal::Frozen);
            }
            Some(_) | None => {}
        }
        let used = before.and_then(|entry| entry.used.clone());
        let stays = |entry: &&Arc<Entry>| entry.waybill.state == waybill.state;
        let stepped_by = before.filter(stays).and_then(|entry| entry.stepped_by.clone());
        let over_at = before.and_then(|entry| entry.over_at).or_else(|| waybill.state.is_over().then_some(at));
        let entry = Entry { waybill, used, over_at, stepped_by };
        // A whole list has mostly what is here.
        if before.is_some_and(|before| **before == entry) {
            return Ok(());
        }
        self.insert(entry);
        Ok(())
    }

    /// Takes a waybill one step on, by a person. Who has reviewed it for the enterprise does not verify it as well.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Backwards`] where no such step is, or [`Refusal::SamePerson`].
    pub fn step(&mut self, number: &WaybillNo, to: WaybillState, by: &str, at: Timestamp) -> Result<(), Refusal> {
        let entry = self.get(number).ok_or(Refusal::Unknown)?;
        if !entry.waybill.state.may_step(to) {
            return Err(Refusal::Backwards { is: entry.waybill.state, to });
        }
        if to == WaybillState::Dispatched && entry.stepped_by.as_deref() == Some(by) {
            return Err(Refusal::SamePerson);
        }
        self.change(number, |entry| {
            entry.stepped_by = Some(by.to_owned());
            entry.waybill.state = to;
            entry.over_at = entry.over_at.or_else(|| to.is_over().then_some(at));
        });
        Ok(())
    }

    /// Notes that a vehicle has entered with it. The same passage twice is once.
    ///
    /// # Errors
    /// [`Refusal::Used`] when another passage used it: it happened all the same, and somebody must look; [`Refusal::Unknown`].
    pub fn use_up(&mut self, number: &WaybillNo, passage: &PassageId, at: Timestamp) -> Result<(), Refusal> {
        match &self.get(number).ok_or(Refusal::Unknown)?.used {
            Some(used) if used.passage == *passage => Ok(()),
            Some(_) => Err(Refusal::Used),
            None => {
                self.change(number, |entry| entry.used = Some(Used { passage: passage.clone(), at }));
                Ok(())
            }
        }
    }

    /// Notes that the trip is over: the vehicle has left.
    pub fn complete(&mut self, number: &WaybillNo, at: Timestamp) {
        if self.get(number).is_some_and(|entry| !entry.waybill.state.is_over()) {
            self.change(number, |entry| {
                entry.waybill.state = WaybillState::Completed;
                entry.over_at = Some(at);
            });
        }
    }

    /// Returns how what has changed since the last call stands now.
    pub fn take_changes(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        if std::mem::replace(&mut self.kept_version, self.version) != self.version {
            lines.push(Line::Version(self.version));
        }
        let stands = |(number, manifest): (WaybillNo, Option<ManifestNo>)| match self.entries.get(&number) {
            Some(entry) => Line::Waybill(Arc::clone(entry)),
            None => Line::Gone { number, manifest },
        };
        lines.extend(std::mem::take(&mut self.changed).into_iter().map(stands));
        lines
    }

    /// Takes back a line that was kept.
    pub(super) fn recall(&mut self, line: Line) {
        match line {
            Line::Version(version) => (self.version, self.kept_version) = (version, version),
            Line::Waybill(entry) => {
                self.unindex(&entry.waybill.number);
                self.index(&entry.waybill);
                self.entries.insert(entry.waybill.number.clone(), entry);
            }
            Line::Gone { number, manifest } => {
                self.unindex(&number);
                self.entries.remove(&number);
                self.forget(&number, manifest.as_ref());
            }
            Line::Checks { .. } => {}
        }
    }

    fn insert(&mut self, entry: Entry) {
        let number = entry.waybill.number.clone();
        self.unindex(&number);
        self.index(&entry.waybill);
        self.entries.insert(number.clone(), Arc::new(entry));
        self.changed.insert(number, None);
    }

    /// Changes one in place: neither its plate nor its manifest.
    fn change(&mut self, number: &WaybillNo, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(number) {
            change(Arc::make_mut(entry));
            self.changed.insert(number.clone(), None);
        }
    }

    /// Takes away those that ended before `until`; their numbers are remembered.
    pub fn expire(&mut self, until: Timestamp) {
        let old = |entry: &&Entry| entry.over_at.is_some_and(|at| at < until);
        let numbers: Vec<_> = self.iter().filter(old).map(|entry| entry.waybill.number.clone()).collect();
        numbers.iter().for_each(|number| self.take_away(number));
    }

    /// A used one stays for its evidence, whatever the platform says: it goes with [`Waybills::expire`].
    fn take_away(&mut self, number: &WaybillNo) {
        let is_evidence = |entry: &Entry| entry.used.is_some() && !entry.waybill.state.is_over();
        if self.get(number).is_some_and(is_evidence) {
            return;
        }
        self.unindex(number);
        if let Some(entry) = self.entries.remove(number) {
            let manifest = entry.waybill.manifest.as_ref().map(|manifest| manifest.number.clone());
            self.forget(number, manifest.as_ref());
            self.changed.insert(number.clone(), manifest);
        }
    }

    /// Neither number is ever used again.
    fn forget(&mut self, number: &WaybillNo, manifest: Option<&ManifestNo>) {
        self.gone.insert(digest(number));
        self.gone.extend(manifest.map(manifest_digest));
    }

    fn is_anothers(&self, manifest: &ManifestNo, number: &WaybillNo) -> bool {
        self.manifests.get(manifest).is_some_and(|owner| owner != number)
            || self.gone.contains(&manifest_digest(manifest))
    }

    fn index(&mut self, waybill: &Waybill) {
        let number = &waybill.number;
        self.by_plate.entry(waybill.tractor.text.clone()).or_default().insert(number.clone());
        self.manifests.extend(waybill.manifest.as_ref().map(|manifest| (manifest.number.clone(), number.clone())));
    }

    fn unindex(&mut self, number: &WaybillNo) {
        let Some(entry) = self.entries.get(number) else { return };
        if let Some(numbers) = self.by_plate.get_mut(&entry.waybill.tractor.text) {
            numbers.remove(number);
            if numbers.is_empty() {
                self.by_plate.remove(&entry.waybill.tractor.text);
            }
        }
        if let Some(manifest) = &entry.waybill.manifest {
            self.manifests.remove(&manifest.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::hazmat::tests::waybill;

    const T: Timestamp = Timestamp(1_795_507_200_000);

    fn whole(to: u64, put: Vec<Waybill>) -> Update {
        Update { from: None, to, put, removed: vec![] }
    }

    /// A book that a restart brings back from the lines of another.
    fn read_back(lines: Vec<Line>) -> Waybills {
        let mut back = Waybills::default();
        let lines: Vec<Line> = serde_json::from_str(&serde_json::to_string(&lines).unwrap()).unwrap();
        lines.into_iter().for_each(|line| back.recall(line));
        back
    }

    #[test]
    fn what_has_changed_is_kept_and_nothing_else() {
        let mut book = Waybills::default();
        let list = || vec![waybill("W1", "鲁A1"), waybill("W2", "鲁A2")];
        book.update(whole(1, list()), T);
        let mut kept = book.take_changes();
        assert_eq!(kept.len(), 3, "two waybills and the version");
        assert_eq!(book.take_changes(), []);
        book.update(whole(2, list()), T);
        assert_eq!(book.take_changes(), [Line::Version(2)], "the same list again");
        book.use_up(&number("W1"), &PassageId::new("p1"), T).unwrap();
        book.complete(&number("W1"), T);
        book.update(whole(3, vec![]), T);
        let last = book.take_changes();
        assert_eq!(last.len(), 3, "one is gone, one is over, and the version: {last:?}");
        kept.extend(last);
        let mut back = read_back(crate::domain::gate::hazmat::kept::folded(kept));
        assert_eq!((back.version(), back.fact(&number("W2"))), (3, WaybillFact::Missing));
        assert_eq!(back.get(&number("W1")), book.get(&number("W1")));
        assert_eq!(back.put(waybill("W2", "鲁A2"), T), Err(Refusal::NumberReused));
        assert_eq!(back.take_changes(), [], "what was read back is kept already");
    }

    fn number(text: &str) -> WaybillNo {
        WaybillNo::new(text)
    }

    #[test]
    fn a_version_never_goes_back_and_a_gap_asks_for_the_whole() {
        let mut book = Waybills::default();
        assert_eq!(book.update(whole(7, vec![waybill("W1", "鲁A1")]), T), Taken::Applied(vec![]));
        assert_eq!(book.update(whole(7, vec![]), T), Taken::Old);
        assert_eq!(book.update(whole(6, vec![]), T), Taken::Old);
        let delta = |from, to| Update { from: Some(from), to, put: vec![waybill("W2", "鲁A2")], removed: vec![] };
        assert_eq!(book.update(delta(8, 9), T), Taken::Gap { have: 7 });
        assert_eq!(book.get(&number("W2")), None);
        assert_eq!(book.update(delta(7, 9), T), Taken::Applied(vec![]));
        assert_eq!((book.version(), book.iter().count()), (9, 2));
    }

    #[test]
    fn a_number_is_never_used_again_though_its_waybill_is_gone() {
        let mut book = Waybills::default();
        book.update(whole(1, vec![waybill("W1", "鲁A1"), waybill("W2", "鲁A2")]), T);
        book.update(whole(2, vec![waybill("W2", "鲁A2")]), T);
        assert_eq!(book.fact(&number("W1")), WaybillFact::Missing);
        let back = read_back(book.take_changes());
        for mut book in [book, back] {
            assert_eq!(book.put(waybill("W1", "鲁A9"), T), Err(Refusal::NumberReused));
        }
    }

    #[test]
    fn it_admits_once_and_what_was_let_in_stays_what_it_was() {
        let mut book = Waybills::default();
        book.put(waybill("W1", "鲁A1"), T).unwrap();
        assert_eq!(book.fact(&number("W1")), WaybillFact::Ready);
        let (one, two) = (PassageId::new("p1"), PassageId::new("p2"));
        assert_eq!(book.use_up(&number("W1"), &one, T), Ok(()));
        assert_eq!(book.use_up(&number("W1"), &one, T), Ok(()), "the same passage, told twice");
        assert_eq!(book.use_up(&number("W1"), &two, T), Err(Refusal::Used));
        let mut other = waybill("W1", "鲁A1");
        other.goods[0].quantity = 1.0;
        assert_eq!(book.put(other, T), Err(Refusal::Frozen));
        // The platform may take it from its list; here it is evidence until the vehicle is out and its time has passed.
        book.update(whole(1, vec![]), T);
        assert_eq!(book.fact(&number("W1")), WaybillFact::Used);
        book.complete(&number("W1"), T);
        book.expire(Timestamp(T.0 + 1));
        assert_eq!(book.put(waybill("W1", "鲁A1"), T), Err(Refusal::NumberReused));
    }

    #[test]
    fn whoever_reviewed_it_does_not_verify_it_too() {
        let mut book = Waybills::default();
        book.put(Waybill { state: WaybillState::EnterpriseReview, ..waybill("W1", "鲁A1") }, T).unwrap();
        let mut step = |to, by| book.step(&number("W1"), to, by, T);
        assert_eq!(step(WaybillState::RegulatorVerify, "qian"), Ok(()));
        book.put(Waybill { state: WaybillState::RegulatorVerify, ..waybill("W1", "鲁A1") }, T).unwrap();
        let mut step = |to, by| book.step(&number("W1"), to, by, T);
        assert_eq!(step(WaybillState::Dispatched, "qian"), Err(Refusal::SamePerson));
        assert_eq!(step(WaybillState::Dispatched, "sun"), Ok(()));
        assert_eq!(book.fact(&number("W1")), WaybillFact::Ready);
        let back = read_back(book.take_changes());
        assert_eq!(back.get(&number("W1")), book.get(&number("W1")), "and it is remembered who did what");
    }

    #[test]
    fn one_manifest_is_for_one_waybill() {
        let waste = |no: &str| {
            let manifest =
                super::super::waybill::WasteManifest { number: ManifestNo::new("M1"), waste_code: "900-249-08".into() };
            Waybill { waste: true, manifest: Some(manifest), ..waybill(no, "鲁A1") }
        };
        let mut book = Waybills::default();
        book.put(waste("W1"), T).unwrap();
        assert_eq!(book.put(waste("W2"), T), Err(Refusal::ManifestReused));
        assert_eq!(book.put(waste("W1"), T), Ok(()));
        book.update(whole(1, vec![]), T);
        assert_eq!(book.put(waste("W2"), T), Err(Refusal::ManifestReused), "nor when that waybill is gone");
    }

    #[test]
    fn the_waybill_of_a_vehicle_is_the_one_that_is_ready() {
        let mut book = Waybills::default();
        book.put(waybill("W1", "鲁A1"), T).unwrap();
        book.use_up(&number("W1"), &PassageId::new("p"), T).unwrap();
        let plate = waybill("W1", "鲁A1").tractor;
        assert_eq!(book.of_plate(&plate).unwrap().waybill.number, number("W1"), "so that WAYBILL_USED can be said");
        book.put(Waybill { state: WaybillState::Draft, ..waybill("W2", "鲁A1") }, T).unwrap();
        assert_eq!(book.of_plate(&plate).unwrap().waybill.number, number("W2"));
        book.put(waybill("W3", "鲁A1"), T).unwrap();
        assert_eq!(book.of_plate(&plate).unwrap().waybill.number, number("W3"));
        let blue = Plate { colour: crate::domain::gate::plate::PlateColour::Blue, ..plate };
        assert_eq!(book.of_plate(&blue), None, "the same text on a blue plate is another vehicle");
    }
}
