//! Rows as others write them, a file or the platform: persons named by their numbers, cards by what is printed on them. A
//! draft becomes a [`Row`] of the register and, apart from it, what is [`Private`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Register;
use super::digest::LookUpKey;
use super::permit::Permit;
use super::row::{
    Company, CredentialKey, Holder, Key, ListKind, ListSource, Listing, Person, Qualification, Row, Table, Vehicle,
};
use crate::domain::gate::identity::{IdKind, IdNumber, mask_name, mask_number};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::presented::Credential;
use crate::domain::gate::wiegand::Card;
use crate::domain::gate::word::{CompanyId, ListingId, PersonKind, PersonRef, Skill};
use crate::domain::time::Timestamp;

/// What identifies a person. It stands in the persons' store alone, encrypted, and its `Debug` is masked.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<IdNumber>,
    /// Mobile phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

impl Private {
    /// Returns it as anybody may see it: `张*`, `320***********1234`, `138****8000`.
    pub fn masked(&self) -> Masked {
        Masked {
            name: self.name.as_deref().map(mask_name).unwrap_or_default(),
            number: self.id.as_ref().map(|id| mask_number(id.number())).unwrap_or_default(),
            phone: self.phone.as_deref().map(mask_number).unwrap_or_default(),
        }
    }

    /// Puts what `newer` knows over what is known; what it does not say stays.
    pub fn updated(mut self, newer: Private) -> Self {
        self.name = newer.name.or(self.name);
        self.id = newer.id.or(self.id);
        self.phone = newer.phone.or(self.phone);
        self
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.masked(), f)
    }
}

/// A person as anybody may see him; empty where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Masked {
    /// Name.
    pub name: String,
    /// Number of the document.
    pub number: String,
    /// Phone.
    pub phone: String,
}

/// A person, named by his document. Its `Debug` is masked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// Document.
    pub id: IdNumber,
    /// Name; needed when he is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, phone } = self.clone();
        fmt::Debug::fmt(&Private { name, id: Some(id), phone }, f)
    }
}

/// A card as it is written: `0001193046`, `018,13398`, `0x123456`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrittenCard(pub Card);

impl Serialize for WrittenCard {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.0)
    }
}

impl<'de> Deserialize<'de> for WrittenCard {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Card::parse(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not the number of a card"))
    }
}

/// A person of the persons' table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonDraft {
    /// Who.
    pub who: Who,
    /// Kind.
    pub kind: PersonKind,
    /// Company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// Cards.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cards: BTreeSet<WrittenCard>,
    /// End of the validity of his cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cards_until: Option<Timestamp>,
    /// Qualifications.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skills: BTreeMap<Skill, Qualification>,
    /// End of the validity of his training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_until: Option<Timestamp>,
}

/// Whom a permit or an entry of a list is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderDraft {
    /// A vehicle.
    Vehicle(Plate),
    /// A person.
    Person(Who),
}

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListingDraft {
    /// Its id.
    pub id: ListingId,
    /// Which list.
    pub kind: ListKind,
    /// Whom.
    pub holder: HolderDraft,
    /// Who put it there.
    pub source: ListSource,
    /// Begin of its validity.
    pub from: Timestamp,
    /// End of its validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// A permit: all of [`Permit`] but for whom it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermitDraft {
    /// Whom it is for.
    pub holder: HolderDraft,
    /// Who comes with a vehicle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Who>,
    /// The rest; its `holder` and `persons` are replaced.
    pub permit: Permit,
}

/// A row as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a permit is the common one")]
pub enum Draft {
    /// A company.
    Company(Company),
    /// A person.
    Person(PersonDraft),
    /// A vehicle.
    Vehicle(Vehicle),
    /// An entry of a list.
    Listing(ListingDraft),
    /// A permit.
    Permit(PermitDraft),
}

impl Draft {
    /// Returns the table that it belongs to.
    pub fn table(&self) -> Table {
        match self {
            Self::Company(_) => Table::Companies,
            Self::Person(_) => Table::Persons,
            Self::Vehicle(_) => Table::Vehicles,
            Self::Listing(_) => Table::Lists,
            Self::Permit(_) => Table::Permits,
        }
    }
}

/// What a row is named by in a message that takes it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyDraft {
    /// A company, a vehicle, an entry of a list, a permit.
    Row(Key),
    /// A person.
    Person(IdNumber),
}

/// Rows of the register, and what is private of the persons in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// Rows that were written.
    pub rows: Vec<Row>,
    /// Persons who are only named in them and were not known: added with them.
    pub named: Vec<Row>,
    /// What identifies persons.
    pub private: BTreeMap<PersonRef, Private>,
}

/// Turns drafts into rows: finds the persons that are known, makes references for the others.
pub struct Resolver<'a> {
    register: &'a Register,
    key: &'a LookUpKey,
    make_ref: &'a mut dyn FnMut() -> PersonRef,
    made: BTreeMap<Credential, PersonRef>,
    named: BTreeMap<PersonRef, Row>,
    /// Persons with a row of their own.
    written: BTreeSet<PersonRef>,
    out: Resolved,
}

impl fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl<'a> Resolver<'a> {
    /// Begins; `make_ref` gives references that were never given before.
    pub fn new(register: &'a Register, key: &'a LookUpKey, make_ref: &'a mut dyn FnMut() -> PersonRef) -> Self {
        let (made, named, out) = (BTreeMap::new(), BTreeMap::new(), Resolved::default());
        Self { register, key, make_ref, made, named, written: BTreeSet::new(), out }
    }

    /// Returns the reference of a person who is known, in the register or in a draft before.
    pub fn known(&self, id: &IdNumber) -> Option<PersonRef> {
        let credential = self.key.document(id);
        self.made.get(&credential).or_else(|| self.register.holder_of(&credential)).cloned()
    }

    /// Takes a draft.
    pub fn add(&mut self, draft: Draft) {
        let row = match draft {
            Draft::Company(row) => Row::Company(Arc::new(row)),
            Draft::Vehicle(row) => Row::Vehicle(Arc::new(row)),
            Draft::Person(draft) => Row::Person(Arc::new(self.person(draft))),
            Draft::Listing(draft) => {
                let ListingDraft { id, kind, holder, source, from, until, reason } = draft;
                let holder = self.holder(holder);
                Row::Listing(Arc::new(Listing { id, kind, holder, source, from, until, reason }))
            }
            Draft::Permit(draft) => {
                let holder = self.holder(draft.holder);
                let persons = draft.with.into_iter().map(|who| self.named(who, PersonKind::Visitor)).collect();
                Row::Permit(Arc::new(Permit { holder, persons, ..draft.permit }))
            }
        };
        self.out.rows.push(row);
    }

    /// Returns what became of all drafts.
    pub fn finish(mut self) -> Resolved {
        self.out.named = self.named.into_values().collect();
        self.out
    }

    fn holder(&mut self, draft: HolderDraft) -> Holder {
        match draft {
            HolderDraft::Vehicle(plate) => Holder::Vehicle(plate),
            HolderDraft::Person(who) => Holder::Person(self.named(who, PersonKind::Visitor)),
        }
    }

    fn person(&mut self, draft: PersonDraft) -> Person {
        let (id, expires) = (self.key.document(&draft.who.id), draft.cards_until);
        let person = self.reference(draft.who);
        self.named.remove(&person);
        self.written.insert(person.clone());
        let cards = draft.cards.iter().map(|card| (CredentialKey(self.key.card(card.0)), expires));
        let mut credentials: BTreeMap<_, _> = cards.chain([(CredentialKey(id), None)]).collect();
        // Files and lists say nothing of faces and tokens: those are the terminals'.
        let before = self.register.person(&person);
        let others = before.iter().flat_map(|before| &before.credentials);
        let kept = others.filter(|(key, _)| matches!(key.0, Credential::Face { .. } | Credential::Token { .. }));
        credentials.extend(kept.map(|(key, until)| (key.clone(), *until)));
        Person {
            person,
            kind: draft.kind,
            company: draft.company,
            credentials,
            skills: draft.skills,
            training_until: draft.training_until,
            left: None,
        }
    }

    /// Returns the reference of a person who is only named, adding him where he is not known, or has left: he comes again.
    fn named(&mut self, who: Who, kind: PersonKind) -> PersonRef {
        let credential = self.key.document(&who.id);
        let known = self.known(&who.id);
        let held = known.as_ref().and_then(|person| self.register.person(person));
        let comes = known.is_none() || held.is_some_and(|person| person.left.is_some());
        let written = known.as_ref().is_some_and(|person| self.written.contains(person));
        let person = self.reference(who);
        if comes && !written {
            let credentials = [(CredentialKey(credential), None)].into();
            let (company, skills) = (None, BTreeMap::new());
            let row =
                Person { person: person.clone(), kind, company, credentials, skills, training_until: None, left: None };
            self.named.insert(person.clone(), Row::Person(Arc::new(row)));
        }
        person
    }

    fn reference(&mut self, who: Who) -> PersonRef {
        let person = match self.known(&who.id) {
            Some(person) => person,
            None => {
                let person = (self.make_ref)();
                self.made.insert(self.key.document(&who.id), person.clone());
                person
            }
        };
        let private = Private { name: who.name, id: Some(who.id), phone: who.phone };
        let before = self.out.private.remove(&person).unwrap_or_default();
        self.out.private.insert(person.clone(), before.updated(private));
        person
    }
}

/// Returns an identity card's number; for tests and tools.
pub fn id_card(number: &str) -> Option<IdNumber> {
    IdNumber::new(IdKind::IdCard, number).ok()
}
