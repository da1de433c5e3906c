//! What the register tells a decision. A fact that depends on the time is unknown while the clock cannot be trusted, and what
//! is unknown is never good: a block is then taken for one in force, an entry of the allow list for none.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Register;
use super::permit::Permit;
use super::row::{CarrierLicence, Holder, Key, ListKind, Listing, Person, Row, Vehicle};
use super::rules::Rules;
use crate::domain::gate::facts::{Listed, PaperState, PermitFacts, PermitState, PersonFacts};
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::presented::Credential;
use crate::domain::gate::word::{
    CompanyId, Direction, GateId, PaperKind, PermitId, PersonKind, PersonRef, Skill, VehicleClass,
};
use crate::domain::time::{ClockTrust, Now, Timestamp};

const DAY_MS: i64 = 86_400_000;

/// Where and when something wants to pass.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// What the site settled.
    pub rules: &'a Rules,
    /// The gate.
    pub gate: &'a GateId,
    /// Which way.
    pub direction: Direction,
    /// When.
    pub now: &'a Now,
}

/// What the register knows of a vehicle: its part of [`crate::domain::gate::facts::VehicleFacts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VehiclePart {
    /// Class; `None`: not known.
    pub class: Option<VehicleClass>,
    /// It is registered as one of the rescue services.
    pub exempt: bool,
    /// What the lists say.
    pub listed: Listed,
    /// The best permit.
    pub permit: PermitFacts,
    /// Each paper that its class needs, of tractor and trailer the worse.
    pub papers: BTreeMap<PaperKind, PaperState>,
    /// Gross weight that it may have, kilograms.
    pub gross_max_kg: Option<u32>,
    /// What it weighs empty, with its trailer, kilograms; `None`: of one of them it is not known.
    pub tare_kg: Option<u32>,
    /// What it may carry; `None`: it is not registered.
    pub carrier: Option<Carrier>,
    /// Whose it is, where that is registered.
    pub owner: Option<CompanyId>,
    /// Trailer that the permit names.
    pub trailer: Option<Plate>,
    /// Persons whom the permit names.
    pub persons: BTreeSet<PersonRef>,
}

/// What a vehicle, tractor and trailer together, may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// Classes of goods within the scope of every one of its transport permits; empty: none is known.
    pub scope: BTreeSet<String>,
    /// Whether it has a tank.
    pub tank: bool,
    /// Media that the tank is approved for.
    pub media: BTreeSet<String>,
}

impl Register {
    /// Returns what the register knows of who shows these credentials. `inside` is left unknown: others know it.
    ///
    /// Credentials of two different persons name nobody; each of them is looked for on the block list all the same.
    pub fn person_facts(&self, here: Here<'_>, credentials: &[Credential]) -> PersonFacts {
        let shown: BTreeSet<PersonRef> = credentials.iter().filter_map(|shown| self.who(shown, here.now)).collect();
        let mut listed = Listed::default();
        for person in &shown {
            let one = self.listed(&Holder::Person(person.clone()), here.now);
            listed.blocked = listed.blocked.or(one.blocked);
            listed.allowed = one.allowed;
        }
        let only = if shown.len() == 1 { shown.first() } else { None };
        let mut facts = only.map_or_else(unknown_person, |person| self.facts_of(here, person));
        listed.allowed &= only.is_some();
        facts.listed = listed;
        facts
    }

    /// Returns what the register knows of a person whose reference is known.
    pub fn facts_of(&self, here: Here<'_>, person: &PersonRef) -> PersonFacts {
        let holder = Holder::Person(person.clone());
        let listed = self.listed(&holder, here.now);
        let Some(row) = self.person(person) else { return PersonFacts { listed, ..unknown_person() } };
        let permit = if row.left.is_some() { no_permit() } else { self.best(here, &holder).1 };
        let training_valid = row.training_until.and_then(|until| before(here.now, until));
        let (person, person_kind) = (Some(row.person.clone()), Some(row.kind));
        PersonFacts { person, person_kind, listed, permit, training_valid, inside: None }
    }

    /// Returns whom a credential names. A card whose validity is over names nobody; with a clock that cannot be trusted it
    /// still names its holder, whose permit then says that it cannot be dated.
    pub fn who(&self, shown: &Credential, now: &Now) -> Option<PersonRef> {
        if let Some(person) = self.holder_of(shown) {
            let row: &Person = self.person(person)?;
            let until = row.credentials.iter().find(|(key, _)| key.0 == *shown).and_then(|(_, until)| *until);
            let over = until.is_some_and(|until| before(now, until) == Some(false));
            return (!over).then(|| person.clone());
        }
        // A signed token names its person or his permit.
        let Credential::Token { subject } = shown else { return None };
        let person = PersonRef::new(subject.as_str());
        if self.person(&person).is_some() {
            return Some(person);
        }
        match &self.permit(&PermitId::new(subject.as_str()))?.holder {
            Holder::Person(person) => Some(person.clone()),
            Holder::Vehicle(_) => None,
        }
    }

    /// Returns what the register knows of a vehicle. `trailer` is one that was seen or said; else the permit's.
    pub fn vehicle_part(&self, here: Here<'_>, plate: &Plate, trailer: Option<&Plate>) -> VehiclePart {
        let holder = Holder::Vehicle(plate.clone());
        let (best, permit) = self.best(here, &holder);
        let tractor = self.only_vehicle(plate);
        let trailer = trailer.cloned().or_else(|| best.and_then(|best| best.trailer.clone()));
        let towed = trailer.as_ref().map(|plate| self.only_vehicle(plate));
        let class = tractor.map(|tractor| tractor.class).or_else(|| best.and_then(|best| class_of(best, plate)));
        let mut listed = self.listed(&holder, here.now);
        if let Some(trailer) = &trailer {
            let of_trailer = self.listed(&Holder::Vehicle(trailer.clone()), here.now);
            listed.blocked = listed.blocked.or(of_trailer.blocked);
        }
        VehiclePart {
            class,
            exempt: class == Some(VehicleClass::Rescue),
            listed,
            permit,
            papers: class.map(|class| papers(here, class, tractor, towed)).unwrap_or_default(),
            gross_max_kg: tractor.and_then(|tractor| tractor.gross_max_kg),
            tare_kg: tractor.and_then(|tractor| tare(tractor, towed)),
            carrier: tractor.and_then(|tractor| carrier(tractor, towed)),
            owner: tractor.and_then(|tractor| tractor.company.clone()),
            persons: best.map(|best| best.persons.clone()).unwrap_or_default(),
            trailer,
        }
    }

    /// Returns how a company's licence to carry dangerous goods stands, and the classes in its scope; `None`: none is registered.
    pub fn carrier_licence(&self, here: Here<'_>, company: &CompanyId) -> Option<(PaperState, &BTreeSet<String>)> {
        let Row::Company(company) = &self.get(&Key::Company(company.clone()))?.row else { return None };
        let CarrierLicence { until, scope } = company.carrier.as_ref()?;
        Some((paper(here, Some(*until)), scope))
    }

    /// Returns the class that a vehicle is registered in.
    pub fn class_of(&self, plate: &Plate) -> Option<VehicleClass> {
        self.only_vehicle(plate).map(|vehicle| vehicle.class)
    }

    /// Returns what the lists say of a holder. Of several entries that block, the one with the smallest id gives the reason.
    pub fn listed(&self, holder: &Holder, now: &Now) -> Listed {
        let in_force = |listing: &Listing| {
            let begun = before(now, listing.from).map(|not_yet| !not_yet);
            let lasts = listing.until.map_or(Some(true), |until| before(now, until));
            // Unknown is never good: a block that cannot be dated holds, a permission does not.
            let unknown = listing.kind == ListKind::Block;
            begun.unwrap_or(unknown) && lasts.unwrap_or(unknown)
        };
        let mut blocks: BTreeMap<&str, &str> = BTreeMap::new();
        let mut allowed = false;
        for listing in self.listings(holder).filter(|listing| in_force(listing)) {
            match listing.kind {
                ListKind::Block => drop(blocks.insert(listing.id.as_str(), &listing.reason)),
                ListKind::Allow => allowed = true,
            }
        }
        Listed { blocked: blocks.first_key_value().map(|(_, reason)| (*reason).to_owned()), allowed }
    }

    /// Returns whether a person has a qualification for a class of goods, and how it stands; `class` `None`: for any.
    pub fn skill(&self, here: Here<'_>, person: &PersonRef, skill: Skill, class: Option<&str>) -> PaperState {
        let Some(held) = self.person(person).and_then(|person| person.skills.get(&skill)) else {
            return PaperState::Missing;
        };
        let covers = class.is_none_or(|class| held.classes.is_empty() || covers(&held.classes, class));
        if covers { paper(here, Some(held.until)) } else { PaperState::Missing }
    }

    /// The best permit of a holder: the one that would let him in, or else the one that comes nearest to it.
    fn best(&self, here: Here<'_>, holder: &Holder) -> (Option<&Permit>, PermitFacts) {
        let rank = |permit: &Permit| {
            let state = permit.state(here.rules, here.direction, here.now);
            let gate = permit.gate_ok(here.gate, here.direction);
            (rank_of(state), !gate, permit.window_open(here.rules, here.now) != Some(true))
        };
        // Of equals the smallest id, so that the order in which they came does not matter.
        let best = self.permits(holder).min_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id)));
        let Some(best) = best else { return (None, no_permit()) };
        let facts = PermitFacts {
            permit: Some(best.id.clone()),
            state: best.state(here.rules, here.direction, here.now),
            gate_ok: Some(best.gate_ok(here.gate, here.direction)),
            window_open: best.window_open(here.rules, here.now),
            company: best.company.clone(),
        };
        (Some(best), facts)
    }

    /// The vehicle of a plate; `None` also where a colour that was not read leaves several.
    fn only_vehicle(&self, plate: &Plate) -> Option<&Vehicle> {
        let mut found = self.vehicles(plate);
        match (found.next(), found.next()) {
            (Some(one), None) => Some(one),
            (Some(one), Some(_)) if one.plate == *plate => Some(one),
            (_, Some(other)) if other.plate == *plate => Some(other),
            _ => None,
        }
    }
}

/// Whether the time is before `end`; `None` with a clock that cannot be trusted.
fn before(now: &Now, end: Timestamp) -> Option<bool> {
    (now.trust != ClockTrust::Unsynced).then_some(now.wall < end)
}

fn no_permit() -> PermitFacts {
    PermitFacts { permit: None, state: PermitState::None, gate_ok: None, window_open: None, company: None }
}

fn unknown_person() -> PersonFacts {
    PersonFacts {
        person: None,
        person_kind: None::<PersonKind>,
        listed: Listed::default(),
        permit: no_permit(),
        training_valid: None,
        inside: None,
    }
}

fn rank_of(state: PermitState) -> u8 {
    match state {
        PermitState::Valid => 0,
        PermitState::Undated => 1,
        PermitState::NotYetValid => 2,
        PermitState::NotApproved => 3,
        PermitState::UsedUp => 4,
        PermitState::Expired => 5,
        PermitState::Refused => 6,
        PermitState::None => 7,
    }
}

/// An ordinary vehicle with a blue or green plate is a small one; of others the class is not known.
fn class_of(permit: &Permit, plate: &Plate) -> Option<VehicleClass> {
    let small = matches!(plate.colour, PlateColour::Blue | PlateColour::Green);
    permit.kind.class().or_else(|| small.then_some(VehicleClass::Small))
}

fn paper(here: Here<'_>, until: Option<Timestamp>) -> PaperState {
    let Some(until) = until else { return PaperState::Missing };
    let warned = Timestamp(until.0.saturating_sub(i64::from(here.rules.warn_days) * DAY_MS));
    match (before(here.now, until), before(here.now, warned)) {
        (None, _) | (_, None) => PaperState::Undated,
        (Some(false), _) => PaperState::Expired,
        (Some(true), Some(false)) => PaperState::Expiring,
        (Some(true), Some(true)) => PaperState::Valid,
    }
}

/// Papers of tractor and trailer, of each the worse. A trailer that is not registered has none.
fn papers(
    here: Here<'_>,
    class: VehicleClass,
    tractor: Option<&Vehicle>,
    trailer: Option<Option<&Vehicle>>,
) -> BTreeMap<PaperKind, PaperState> {
    let needed = here.rules.papers.get(&class).cloned().unwrap_or_default();
    let until = |vehicle: Option<&Vehicle>, kind| vehicle.and_then(|vehicle| vehicle.papers.get(&kind).copied());
    let mut papers = BTreeMap::new();
    for kind in needed.into_iter().filter(|kind| PaperKind::OF_VEHICLE.contains(kind)) {
        // A trailer is insured with its tractor.
        let both = [Some(tractor), trailer.filter(|_| kind != PaperKind::Insurance)];
        let states = both.into_iter().flatten().map(|vehicle| paper(here, until(vehicle, kind)));
        papers.extend(states.max_by_key(|state| badness(*state)).map(|worst| (kind, worst)));
    }
    let tanks = [tractor, trailer.flatten()].into_iter().flatten().filter(|vehicle| vehicle.tank);
    let states = tanks.map(|tank| paper(here, until(Some(tank), PaperKind::Tank)));
    papers.extend(states.max_by_key(|state| badness(*state)).map(|worst| (PaperKind::Tank, worst)));
    papers
}

fn badness(state: PaperState) -> u8 {
    match state {
        PaperState::Valid => 0,
        PaperState::Expiring => 1,
        PaperState::Undated => 2,
        PaperState::Expired => 3,
        PaperState::Missing => 4,
    }
}

/// `None`: a trailer is there that nobody knows.
fn carrier(tractor: &Vehicle, trailer: Option<Option<&Vehicle>>) -> Option<Carrier> {
    let own = Carrier { scope: tractor.scope.clone(), tank: tractor.tank, media: tractor.media.clone() };
    let Some(trailer) = trailer else { return Some(own) };
    let trailer = trailer?;
    Some(Carrier {
        scope: own.scope.intersection(&trailer.scope).cloned().collect(),
        tank: own.tank || trailer.tank,
        media: if trailer.tank { trailer.media.clone() } else { own.media },
    })
}

/// `None`: what one of them weighs empty is not known.
fn tare(tractor: &Vehicle, trailer: Option<Option<&Vehicle>>) -> Option<u32> {
    let own = tractor.tare_kg?;
    let Some(trailer) = trailer else { return Some(own) };
    trailer?.tare_kg.map(|towed| own.saturating_add(towed))
}

/// Whether a set of classes has one, or the class that it is a division of: `2` covers `2.1`.
pub fn covers(classes: &BTreeSet<String>, class: &str) -> bool {
    classes.contains(class) || class.split_once('.').is_some_and(|(of, _)| classes.contains(of))
}
