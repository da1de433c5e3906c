//! Stories of the register, and its properties over random changes.

mod facts;
mod lists;
mod properties;

use super::change::{Message, Received};
use super::draft::{Draft, HolderDraft, PermitDraft, PersonDraft, Private, Resolved, Who, WrittenCard, id_card};
use super::facts::Here;
use super::permit::{Approver, Hours, PermitKind, PermitStage};
use super::row::{Company, ListKind, ListSource, Qualification};
use super::*;
use crate::domain::actor::Via;
use crate::domain::gate::facts::{PaperState, PermitState};
use crate::domain::gate::wiegand::Card;
use crate::domain::gate::word::{CompanyId, Direction, GateId, PaperKind, PersonKind, Skill, VehicleClass};
use crate::domain::time::Mono;

const ZHANG: &str = "11010519491231002X";
const LI: &str = "440524188001010014";

/// 2026-11-26 08:00 in the park.
const MORNING: i64 = 1_795_651_200_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn at(ms: i64) -> Now {
    Now { mono: Mono::from_secs(100), wall: Timestamp(ms), trust: ClockTrust::Synced }
}

fn unsynced(ms: i64) -> Now {
    Now { trust: ClockTrust::Unsynced, ..at(ms) }
}

fn actor(name: &str) -> Actor {
    Actor { name: name.into(), via: Via::Machine, roles: BTreeSet::new() }
}

fn blue(text: &str) -> Plate {
    Plate::new(text, PlateColour::Blue)
}

fn yellow(text: &str) -> Plate {
    Plate::new(text, PlateColour::Yellow)
}

fn permit(id: &str, holder: Holder) -> Permit {
    Permit {
        id: PermitId::new(id),
        kind: PermitKind::Vehicle,
        holder,
        trailer: None,
        persons: BTreeSet::new(),
        company: None,
        stage: PermitStage::ParkPassed,
        approvals: Vec::new(),
        from: Timestamp(MORNING - DAY),
        until: Timestamp(MORNING + DAY),
        hours: None,
        plan_in: None,
        plan_out: None,
        gates_in: BTreeSet::new(),
        gates_out: BTreeSet::new(),
        uses_allowed: None,
        uses: 0,
        begun: BTreeSet::new(),
        counted: BTreeSet::new(),
        purpose: String::new(),
    }
}

fn vehicle(plate: Plate, class: VehicleClass) -> Vehicle {
    let (company, papers, scope, media) = (None, BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    Vehicle { plate, class, company, papers, gross_max_kg: None, tare_kg: None, tank: false, scope, media }
}

fn listing(id: &str, kind: ListKind, holder: Holder) -> Listing {
    let (source, from, until) = (ListSource::Park, Timestamp(MORNING - DAY), Some(Timestamp(MORNING + DAY)));
    Listing { id: ListingId::new(id), kind, holder, source, from, until, reason: "多次违停".into() }
}

/// A register with its helpers: every change goes the whole way.
#[derive(Default)]
struct Park {
    register: Register,
    rules: Rules,
    made: u32,
    private: BTreeMap<PersonRef, Private>,
}

impl Park {
    fn local(&mut self, rows: impl IntoIterator<Item = Row>) -> Result<(), Refusal> {
        let changes = rows.into_iter().map(Change::Put).collect();
        let (by, why) = (actor("wang"), "test.csv".into());
        let set = ChangeSet { by, origin: Origin::Local, why, changes, named: Vec::new(), version: None };
        let prepared = self.register.prepare(set, &at(MORNING))?;
        assert!(self.register.commit(&prepared));
        Ok(())
    }

    fn resolve(&mut self, drafts: impl IntoIterator<Item = Draft>) -> Resolved {
        let made = &mut self.made;
        let mut make_ref = || {
            *made += 1;
            PersonRef::new(format!("p{made}"))
        };
        let key = key();
        let mut resolver = Resolver::new(&self.register, &key, &mut make_ref);
        drafts.into_iter().for_each(|draft| resolver.add(draft));
        resolver.finish()
    }

    fn drafts(&mut self, drafts: impl IntoIterator<Item = Draft>) -> Result<(), Refusal> {
        let resolved = self.resolve(drafts);
        let set = ChangeSet {
            by: actor("wang"),
            origin: Origin::Local,
            why: "test.csv".into(),
            changes: resolved.rows.into_iter().map(Change::Put).collect(),
            named: resolved.named,
            version: None,
        };
        let prepared = self.register.prepare(set, &at(MORNING))?;
        assert!(self.register.commit(&prepared));
        self.private.extend(resolved.private);
        Ok(())
    }

    fn receive(&mut self, message: Message) -> Result<Received, Refusal> {
        let made = &mut self.made;
        let mut make_ref = || {
            *made += 1;
            PersonRef::new(format!("p{made}"))
        };
        let received = self.register.receive(message, &key(), &mut make_ref)?;
        if let Received::Changes(changes) = &received {
            let prepared = self.register.prepare(changes.0.clone(), &at(MORNING))?;
            assert!(self.register.commit(&prepared));
        }
        Ok(received)
    }

    fn take(&mut self, prepared: Option<Prepared>) {
        prepared.iter().for_each(|prepared| assert!(self.register.commit(prepared)));
    }
}

fn key() -> digest::LookUpKey {
    digest::LookUpKey::new(&[7; 32])
}

fn here<'a>(rules: &'a Rules, gate: &'a GateId, direction: Direction, now: &'a Now) -> Here<'a> {
    Here { rules, gate, direction, now }
}

fn state_of(park: &Park, plate: &Plate, now: &Now) -> PermitState {
    let gate = GateId::new("g1");
    park.register.vehicle_part(here(&park.rules, &gate, Direction::In, now), plate, None).permit.state
}

fn message(table: Table, version: u64, base: Option<u64>, rows: Vec<Draft>) -> Message {
    Message { table, version, base, as_of: Timestamp(MORNING), rows, removed: Vec::new() }
}

fn permit_draft(id: &str, plate: &str) -> Draft {
    let holder = HolderDraft::Vehicle(blue(plate));
    Draft::Permit(PermitDraft { holder, with: Vec::new(), permit: permit(id, Holder::Vehicle(blue(plate))) })
}

fn who(number: &str, name: &str) -> Who {
    Who { id: id_card(number).unwrap(), name: Some(name.into()), phone: None }
}

fn person_draft(number: &str, card: u32) -> Draft {
    Draft::Person(PersonDraft {
        who: who(number, "张伟"),
        kind: PersonKind::Contractor,
        company: None,
        cards: [WrittenCard(Card(card))].into(),
        cards_until: None,
        skills: BTreeMap::new(),
        training_until: Some(Timestamp(MORNING + DAY)),
    })
}
