//! What the register holds: companies, persons, vehicles, entries of the block and allow lists, permits.
//!
//! A row says nothing that identifies a person: names, numbers and phones stand apart ([`super::draft::Private`]), and what a
//! person shows is held as a keyed digest.
//!
//! Every end of validity (`until`) is the first instant that is no longer valid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::permit::Permit;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::presented::Credential;
use crate::domain::gate::word::{
    CompanyId, ListingId, PaperKind, PermitId, PersonKind, PersonRef, Skill, VehicleClass, words,
};
use crate::domain::time::Timestamp;

words! {
    /// A table of the register; each has its own version.
    Table {
        /// Companies.
        Companies = "companies", "企业";
        /// Persons.
        Persons = "persons", "人员";
        /// Vehicles.
        Vehicles = "vehicles", "车辆";
        /// Block and allow lists.
        Lists = "lists", "名单";
        /// Permits.
        Permits = "permits", "预约";
    }
}

impl Table {
    /// Returns how many rows it takes: what a large park has (50,000 permits, `domain.md`), with a factor of two. Measured:
    /// 50,000 permits with a person each, and the names beside them, take 180 MB of a process.
    pub fn most(self) -> usize {
        match self {
            Self::Companies => 5_000,
            Self::Persons | Self::Vehicles => 100_000,
            Self::Lists => 50_000,
            Self::Permits => 100_000,
        }
    }
}

/// A company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Company {
    /// Its USCC.
    pub id: CompanyId,
    /// Its name.
    pub name: String,
    /// Its code at the city platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_code: Option<String>,
    /// Its licence to carry dangerous goods by road (道路危险货物运输许可), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<CarrierLicence>,
}

/// A carrier's licence for dangerous goods by road.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarrierLicence {
    /// End of its validity.
    pub until: Timestamp,
    /// Classes of goods within its scope (Art. 22), e.g. `3`, `8`, `2.1`; empty: not known.
    pub scope: BTreeSet<String>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Reference, made by the gateway.
    pub person: PersonRef,
    /// Kind.
    pub kind: PersonKind,
    /// Company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// What he may show, with the end of its validity.
    pub credentials: BTreeMap<CredentialKey, Option<Timestamp>>,
    /// Qualifications.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skills: BTreeMap<Skill, Qualification>,
    /// End of the validity of his training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_until: Option<Timestamp>,
    /// When he left: he is no longer on the list of who sent him, and is kept until his records may be forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Timestamp>,
}

/// A credential as a key of JSON: `card:9f…`, `token:v-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialKey(pub Credential);

impl From<CredentialKey> for String {
    fn from(key: CredentialKey) -> Self {
        match key.0 {
            Credential::Card { digest } => format!("card:{digest}"),
            Credential::Token { subject } => format!("token:{subject}"),
            Credential::IdCard { digest } => format!("id:{digest}"),
            Credential::Face { subject } => format!("face:{subject}"),
        }
    }
}

impl TryFrom<String> for CredentialKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').ok_or("a credential without its kind")?;
        let rest = rest.to_owned();
        Ok(Self(match kind {
            "card" => Credential::Card { digest: rest },
            "token" => Credential::Token { subject: rest },
            "id" => Credential::IdCard { digest: rest },
            "face" => Credential::Face { subject: rest },
            other => return Err(format!("an unknown kind of credential `{other}`")),
        }))
    }
}

/// A qualification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qualification {
    /// End of its validity.
    pub until: Timestamp,
    /// Classes of goods that it is for; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub classes: BTreeSet<String>,
}

/// A vehicle: tractor, trailer or both in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vehicle {
    /// Plate.
    pub plate: Plate,
    /// Class.
    pub class: VehicleClass,
    /// Owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// End of the validity of each paper that is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub papers: BTreeMap<PaperKind, Timestamp>,
    /// Gross weight that it may have, kilograms; of a tractor, that of the whole train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gross_max_kg: Option<u32>,
    /// What it weighs empty, kilograms; of a tractor and its trailer each its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tare_kg: Option<u32>,
    /// Whether it has a tank.
    #[serde(default)]
    pub tank: bool,
    /// Classes of goods within the scope of its transport permit (Art. 22), e.g. `3`, `8`, `2.1`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scope: BTreeSet<String>,
    /// Media that its tank is approved for (Art. 23), by UN number or name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub media: BTreeSet<String>,
}

/// Whom a permit or an entry of a list is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A vehicle; a plate of unknown colour is every one with its text.
    Vehicle(Plate),
    /// A person.
    Person(PersonRef),
}

words! {
    /// Whether an entry of a list lets in or keeps out.
    ListKind {
        /// Block list (黑名单).
        Block = "block", "黑名单";
        /// Allow list (白名单).
        Allow = "allow", "白名单";
    }
}

words! {
    /// Who put an entry on a list (`domain.md` rule 23).
    ListSource {
        /// 1: a single person.
        Individual = "individual", "个人";
        /// 2: a company.
        Enterprise = "enterprise", "企业";
        /// 3: the park.
        Park = "park", "园区";
    }
}

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Its id.
    pub id: ListingId,
    /// Which list.
    pub kind: ListKind,
    /// Whom.
    pub holder: Holder,
    /// Who put it there.
    pub source: ListSource,
    /// Begin of its validity.
    pub from: Timestamp,
    /// End of its validity; absent: until it is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why; shown at the lane, so without a name.
    pub reason: String,
}

/// One row of any table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    /// A company.
    Company(Arc<Company>),
    /// A person.
    Person(Arc<Person>),
    /// A vehicle.
    Vehicle(Arc<Vehicle>),
    /// An entry of a list.
    Listing(Arc<Listing>),
    /// A permit.
    Permit(Arc<Permit>),
}

/// What a row is known by. Ordered by table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// A company.
    Company(CompanyId),
    /// A person.
    Person(PersonRef),
    /// A vehicle.
    Vehicle(Plate),
    /// An entry of a list.
    Listing(ListingId),
    /// A permit.
    Permit(PermitId),
}

impl Row {
    /// Returns its key.
    pub fn key(&self) -> Key {
        match self {
            Self::Company(row) => Key::Company(row.id.clone()),
            Self::Person(row) => Key::Person(row.person.clone()),
            Self::Vehicle(row) => Key::Vehicle(row.plate.clone()),
            Self::Listing(row) => Key::Listing(row.id.clone()),
            Self::Permit(row) => Key::Permit(row.id.clone()),
        }
    }

    /// Returns the person, where it is one.
    pub fn as_person(&self) -> Option<&Arc<Person>> {
        if let Self::Person(person) = self { Some(person) } else { None }
    }

    /// Returns the vehicle, where it is one.
    pub fn as_vehicle(&self) -> Option<&Arc<Vehicle>> {
        if let Self::Vehicle(vehicle) = self { Some(vehicle) } else { None }
    }

    /// Returns the entry of a list, where it is one.
    pub fn as_listing(&self) -> Option<&Arc<Listing>> {
        if let Self::Listing(listing) = self { Some(listing) } else { None }
    }

    /// Returns the permit, where it is one.
    pub fn as_permit(&self) -> Option<&Arc<Permit>> {
        if let Self::Permit(permit) = self { Some(permit) } else { None }
    }
}

impl Key {
    /// Returns the table.
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

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Company(id) => write!(f, "{id}"),
            Self::Person(person) => write!(f, "{person}"),
            Self::Vehicle(plate) => write!(f, "{plate}"),
            Self::Listing(id) => write!(f, "{id}"),
            Self::Permit(id) => write!(f, "{id}"),
        }
    }
}
