//! Stories of the register, and its properties over random changes.

use proptest::prelude::*;

use super::change::{Message, Received};
use super::draft::{Draft, HolderDraft, PermitDraft, PersonDraft, Private, Resolved, Who, WrittenCard, id_card};
use super::facts::Here;
use super::permit::{Hours, PermitKind, PermitStage};
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
    Vehicle { plate, class, company, papers, gross_max_kg: None, tank: false, scope, media }
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

#[test]
fn the_same_text_on_a_blue_and_a_yellow_plate_are_two_vehicles() {
    let mut park = Park::default();
    park.local([
        Row::Vehicle(Arc::new(vehicle(blue("皖R12345"), VehicleClass::Small))),
        Row::Vehicle(Arc::new(vehicle(yellow("皖R12345"), VehicleClass::Goods))),
        Row::Permit(Arc::new(permit("P1", Holder::Vehicle(blue("皖R12345"))))),
    ])
    .unwrap();
    let now = at(MORNING);
    assert_eq!(state_of(&park, &blue("皖R12345"), &now), PermitState::Valid);
    assert_eq!(state_of(&park, &yellow("皖R12345"), &now), PermitState::None);
    let gate = GateId::new("g1");
    let here = here(&park.rules, &gate, Direction::In, &now);
    let class = |plate: Plate| park.register.vehicle_part(here, &plate, None).class;
    assert_eq!(class(yellow("皖R12345")), Some(VehicleClass::Goods));
    assert_eq!(class(Plate::new("皖R12345", PlateColour::Unknown)), None, "a colour that was not read leaves both");
}

#[test]
fn a_permit_that_is_not_good_says_why() {
    let mut park = Park::default();
    let one = |id: &str, change: fn(&mut Permit)| {
        let mut permit = permit(id, Holder::Vehicle(blue(&format!("皖R0000{id}"))));
        change(&mut permit);
        Row::Permit(Arc::new(permit))
    };
    park.local([
        one("1", |p| p.stage = PermitStage::WaitingPark),
        one("2", |p| p.stage = PermitStage::EnterpriseRefused),
        one("3", |p| p.from = Timestamp(MORNING + HOUR)),
        one("4", |p| p.until = Timestamp(MORNING)),
        one("5", |p| (p.uses_allowed, p.uses) = (Some(1), 1)),
        one("6", |p| p.stage = PermitStage::EnterprisePassed),
        one("7", |p| p.stage = PermitStage::Expired),
    ])
    .unwrap();
    let state = |park: &Park, id: &str, now: &Now| state_of(park, &blue(&format!("皖R0000{id}")), now);
    let expected = [
        ("1", PermitState::NotApproved),
        ("2", PermitState::Refused),
        ("3", PermitState::NotYetValid),
        ("4", PermitState::Expired),
        ("5", PermitState::UsedUp),
        ("6", PermitState::NotApproved),
        ("7", PermitState::Expired),
        ("8", PermitState::None),
    ];
    for (id, expected) in expected {
        assert_eq!(state(&park, id, &at(MORNING)), expected, "permit {id}");
    }
    for id in ["3", "4"] {
        assert_eq!(state(&park, id, &unsynced(MORNING)), PermitState::Undated, "permit {id}");
    }
    park.rules.delegated.insert(PermitKind::Vehicle);
    assert_eq!(state(&park, "6", &at(MORNING)), PermitState::Valid, "the park delegates this kind");
}

#[test]
fn of_several_permits_the_one_that_lets_in_counts_and_the_wrong_gate_is_named() {
    let mut park = Park::default();
    let plate = blue("皖R12345");
    let mut elsewhere = permit("A", Holder::Vehicle(plate.clone()));
    elsewhere.gates_in = [GateId::new("g2")].into();
    let mut night = permit("B", Holder::Vehicle(plate.clone()));
    night.hours = Some(Hours { from: 22 * 60, to: 6 * 60 });
    park.local([elsewhere, night].map(|permit| Row::Permit(Arc::new(permit)))).unwrap();
    let facts = |gate: &str, now: &Now| {
        let gate = GateId::new(gate);
        park.register.vehicle_part(here(&park.rules, &gate, Direction::In, now), &plate, None).permit
    };
    let day = facts("g2", &at(MORNING));
    assert_eq!((day.permit.unwrap().as_str(), day.gate_ok, day.window_open), ("A", Some(true), Some(true)));
    let elsewhere = facts("g1", &at(MORNING));
    assert_eq!((elsewhere.permit.unwrap().as_str(), elsewhere.window_open), ("B", Some(false)));
    let night = facts("g1", &at(MORNING + 15 * HOUR));
    assert_eq!((night.permit.unwrap().as_str(), night.window_open), ("B", Some(true)), "23:00 in the park");
    assert_eq!(facts("g1", &unsynced(MORNING)).window_open, None);
}

#[test]
fn two_stages_take_two_persons_and_their_turn() {
    let mut park = Park::default();
    let mut asked = permit("P1", Holder::Vehicle(blue("皖R12345")));
    asked.stage = PermitStage::WaitingEnterprise;
    park.local([Row::Permit(Arc::new(asked))]).unwrap();
    let id = PermitId::new("P1");
    let decide = |park: &mut Park, stage, by: &str| {
        let prepared = park.register.approve(&park.rules, &id, stage, true, actor(by), &at(MORNING))?;
        assert!(park.register.commit(&prepared));
        Ok::<_, Refusal>(park.register.permit(&id).unwrap().stage)
    };
    assert!(matches!(decide(&mut park, Approver::Park, "zhao"), Err(Refusal::Permit(_))), "not its turn");
    assert_eq!(decide(&mut park, Approver::Enterprise, "qian"), Ok(PermitStage::WaitingPark));
    let same = decide(&mut park, Approver::Park, "qian").unwrap_err().words();
    assert!(same.en.contains("two persons"), "{same}");
    assert_eq!(state_of(&park, &blue("皖R12345"), &at(MORNING)), PermitState::NotApproved);
    assert_eq!(decide(&mut park, Approver::Park, "sun"), Ok(PermitStage::ParkPassed));
    assert_eq!(state_of(&park, &blue("皖R12345"), &at(MORNING)), PermitState::Valid);
    let who: Vec<_> = park.register.permit(&id).unwrap().approvals.iter().map(|a| a.by.clone()).collect();
    assert_eq!(who, ["qian", "sun"]);
}

#[test]
fn a_visitors_single_use_begins_with_his_entry_and_is_over_with_his_exit() {
    let mut park = Park::default();
    let plate = blue("皖R12345");
    let mut once = permit("P1", Holder::Vehicle(plate.clone()));
    once.uses_allowed = Some(1);
    park.local([Row::Permit(Arc::new(once))]).unwrap();
    let (id, entry, exit, now) = (PermitId::new("P1"), PassageId::new("in"), PassageId::new("out"), at(MORNING));
    let gate = GateId::new("g1");
    let state =
        |park: &Park, way| park.register.vehicle_part(here(&park.rules, &gate, way, &now), &plate, None).permit.state;
    let begun = park.register.begin_use(&id, &entry, &now).unwrap();
    park.take(begun);
    assert_eq!(state(&park, Direction::In), PermitState::UsedUp, "nobody else enters with it");
    assert_eq!(state(&park, Direction::Out), PermitState::Valid, "who is inside leaves with it");
    assert!(park.register.begin_use(&id, &PassageId::new("another"), &now).is_err());
    let over = park.register.complete_use(&id, Some(&entry), &exit, &now).unwrap();
    park.take(over);
    assert_eq!((park.register.permit(&id).unwrap().uses, state(&park, Direction::Out)), (1, PermitState::UsedUp));
    let again = park.register.complete_use(&id, Some(&entry), &exit, &now).unwrap();
    assert_eq!(again, None, "the same exit is not counted twice");
}

#[test]
fn an_entry_that_was_none_gives_its_use_back() {
    let mut park = Park::default();
    let mut once = permit("P1", Holder::Vehicle(blue("皖R12345")));
    once.uses_allowed = Some(1);
    park.local([Row::Permit(Arc::new(once))]).unwrap();
    let (id, entry) = (PermitId::new("P1"), PassageId::new("in"));
    let begun = park.register.begin_use(&id, &entry, &at(MORNING)).unwrap();
    park.take(begun);
    let back = park.register.give_back(&id, &entry, &at(MORNING)).unwrap();
    park.take(back);
    assert_eq!(state_of(&park, &blue("皖R12345"), &at(MORNING)), PermitState::Valid);
    assert_eq!(park.register.give_back(&id, &entry, &at(MORNING)).unwrap(), None);
}

#[test]
fn the_block_list_outranks_the_allow_list_and_holds_while_the_clock_is_not_trusted() {
    let mut park = Park::default();
    let holder = Holder::Vehicle(blue("皖R12345"));
    park.local([
        Row::Listing(Arc::new(listing("L1", ListKind::Block, holder.clone()))),
        Row::Listing(Arc::new(listing("L2", ListKind::Allow, holder.clone()))),
    ])
    .unwrap();
    let listed = |now: &Now| park.register.listed(&holder, now);
    let now = listed(&at(MORNING));
    assert_eq!(
        (now.blocked.as_deref(), now.allowed),
        (Some("多次违停"), true),
        "both are told; the policy has the block first"
    );
    let later = listed(&at(MORNING + DAY));
    assert_eq!((later.blocked, later.allowed), (None, false), "both have ended");
    let undated = listed(&unsynced(MORNING + 9 * DAY));
    assert_eq!((undated.blocked.is_some(), undated.allowed), (true, false), "a block holds, a permission does not");
    let unread = Holder::Vehicle(Plate::new("皖R12345", PlateColour::Unknown));
    assert!(park.register.listed(&unread, &at(MORNING)).blocked.is_some(), "a colour that was not read does not free");
    assert!(park.register.listed(&Holder::Vehicle(yellow("皖R12345")), &at(MORNING)).blocked.is_none());
}

#[test]
fn a_person_is_known_by_card_and_document_and_two_persons_credentials_name_nobody() {
    let mut park = Park::default();
    park.drafts([person_draft(ZHANG, 100), person_draft(LI, 200)]).unwrap();
    let (gate, now, key) = (GateId::new("g1"), at(MORNING), key());
    let here = here(&park.rules, &gate, Direction::In, &now);
    let zhang = key.document(&id_card(ZHANG).unwrap());
    let by_card = park.register.person_facts(here, &[key.card(Card(100))]);
    let by_both = park.register.person_facts(here, &[key.card(Card(100)), zhang.clone()]);
    assert_eq!((by_card.person.is_some(), by_card.person.clone()), (true, by_both.person));
    assert_eq!((by_card.person_kind, by_card.training_valid), (Some(PersonKind::Contractor), Some(true)));
    let mixed = park.register.person_facts(here, &[key.card(Card(200)), zhang]);
    assert_eq!((mixed.person, mixed.permit.state), (None, PermitState::None), "Li's card and Zhang's document");
    assert_eq!(park.register.person_facts(here, &[key.card(Card(300))]).person, None);
    let twice = park.drafts([person_draft(LI, 100)]).unwrap_err();
    assert!(matches!(twice, Refusal::Shared(..)), "Zhang has that card: {twice:?}");
}

#[test]
fn the_register_holds_no_name_and_no_number() {
    let mut park = Park::default();
    let mut visit = permit("P1", Holder::Vehicle(blue("皖R12345")));
    visit.kind = PermitKind::Person;
    let draft =
        PermitDraft { holder: HolderDraft::Person(who(ZHANG, "张伟")), with: vec![who(LI, "李娜")], permit: visit };
    park.drafts([Draft::Permit(draft), person_draft(ZHANG, 4711)]).unwrap();
    let all: String = park.register.rows().map(|held| serde_json::to_string(held).unwrap()).collect();
    for secret in [ZHANG, LI, "张伟", "李娜", "4711"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    assert_eq!(park.private.len(), 2);
    assert_eq!(park.register.count(Table::Persons), 2, "Li, who is only named, is there too");
    let shown = format!("{:?}", park.private);
    assert!(shown.contains("张*") && shown.contains("110***********002X") && !shown.contains("张伟"), "{shown}");
}

#[test]
fn papers_of_tractor_and_trailer_are_judged_together_and_an_unknown_trailer_has_none() {
    let mut park = Park::default();
    let end = |days: i64| Timestamp(MORNING + days * DAY);
    let mut tractor = vehicle(yellow("皖R11111"), VehicleClass::Hazmat);
    tractor.papers =
        [(PaperKind::Licence, end(100)), (PaperKind::Insurance, end(10)), (PaperKind::Transport, end(-1))].into();
    tractor.scope = ["3", "8"].map(String::from).into();
    tractor.gross_max_kg = Some(49_000);
    let mut trailer = vehicle(yellow("皖R2222挂"), VehicleClass::Hazmat);
    trailer.papers =
        [(PaperKind::Licence, end(100)), (PaperKind::Transport, end(100)), (PaperKind::Tank, end(-1))].into();
    (trailer.tank, trailer.scope, trailer.media) = (true, ["3".to_owned()].into(), ["1203".to_owned()].into());
    park.local([tractor, trailer].map(|vehicle| Row::Vehicle(Arc::new(vehicle)))).unwrap();
    let (gate, now) = (GateId::new("g1"), at(MORNING));
    let part = |trailer: Option<&Plate>, now: &Now| {
        park.register.vehicle_part(here(&park.rules, &gate, Direction::In, now), &yellow("皖R11111"), trailer)
    };
    let both = part(Some(&yellow("皖R2222挂")), &now);
    let expected = [
        (PaperKind::Licence, PaperState::Valid),
        (PaperKind::Insurance, PaperState::Expiring),
        (PaperKind::Transport, PaperState::Expired),
        (PaperKind::Tank, PaperState::Expired),
    ];
    assert_eq!(both.papers, expected.into());
    let carrier = both.carrier.unwrap();
    assert_eq!((carrier.tank, carrier.scope.len(), carrier.media.len()), (true, 1, 1), "both must be allowed it");
    assert_eq!(both.gross_max_kg, Some(49_000));
    let unknown = part(Some(&yellow("皖R3333挂")), &now);
    assert_eq!((unknown.papers[&PaperKind::Licence], unknown.carrier), (PaperState::Missing, None));
    assert!(part(None, &unsynced(MORNING)).papers.values().all(|state| *state == PaperState::Undated));
}

#[test]
fn a_qualification_is_for_its_classes_and_has_its_end() {
    let mut park = Park::default();
    let Draft::Person(mut draft) = person_draft(ZHANG, 1) else { panic!() };
    let skill =
        Qualification { until: Timestamp(MORNING + 90 * DAY), classes: ["2".to_owned(), "3".to_owned()].into() };
    draft.skills.insert(Skill::HazmatDriver, skill);
    park.drafts([Draft::Person(draft)]).unwrap();
    let person = park.register.holder_of(&key().card(Card(1))).cloned().unwrap();
    let gate = GateId::new("g1");
    let skill = |skill, class, ms: i64| {
        let now = at(ms);
        park.register.skill(here(&park.rules, &gate, Direction::In, &now), &person, skill, class)
    };
    assert_eq!(skill(Skill::HazmatDriver, Some("2.1"), MORNING), PaperState::Valid);
    assert_eq!(skill(Skill::HazmatDriver, Some("8"), MORNING), PaperState::Missing);
    assert_eq!(skill(Skill::HazmatDriver, None, MORNING + 91 * DAY), PaperState::Expired);
    assert_eq!(skill(Skill::HazmatEscort, None, MORNING), PaperState::Missing);
}

#[test]
fn a_delta_that_does_not_fit_asks_for_the_whole_and_a_version_never_goes_back() {
    let mut park = Park::default();
    let whole = message(Table::Permits, 5, None, vec![permit_draft("A", "皖R00001"), permit_draft("B", "皖R00002")]);
    assert!(matches!(park.receive(whole.clone()), Ok(Received::Changes(_))));
    assert!(matches!(park.receive(whole), Ok(Received::Held)), "the same message again");
    let far = message(Table::Permits, 8, Some(7), vec![permit_draft("C", "皖R00003")]);
    assert!(matches!(park.receive(far), Ok(Received::AskWhole { table: Table::Permits, have: 5 })));
    assert_eq!(park.register.count(Table::Permits), 2, "and changes nothing");
    for old in [4, 5] {
        let refused = park.receive(message(Table::Permits, old, None, Vec::new())).unwrap_err();
        assert_eq!(refused, Refusal::Stale { table: Table::Permits, have: 5 });
    }
    let mut delta = message(Table::Permits, 6, Some(5), vec![permit_draft("C", "皖R00003")]);
    delta.removed = vec![KeyDraft::Row(Key::Permit(PermitId::new("A")))];
    assert!(matches!(park.receive(delta), Ok(Received::Changes(_))));
    assert_eq!(state_of(&park, &blue("皖R00001"), &at(MORNING)), PermitState::None);
    assert_eq!(state_of(&park, &blue("皖R00003"), &at(MORNING)), PermitState::Valid);
    assert_eq!(park.register.standing(Table::Permits), (6, 2));
    assert_eq!(park.register.age_s(Table::Permits, &at(MORNING + HOUR)), Some(3600));
    assert_eq!(park.register.age_s(Table::Permits, &unsynced(MORNING)), None);
    let misplaced = message(Table::Vehicles, 1, None, vec![permit_draft("D", "皖R00004")]);
    assert_eq!(park.receive(misplaced).unwrap_err(), Refusal::Misplaced(Table::Vehicles));
}

#[test]
fn a_platforms_row_is_not_changed_here_and_a_local_one_stays_when_a_whole_list_comes() {
    let mut park = Park::default();
    let row = |id: &str, plate: &str| Row::Permit(Arc::new(permit(id, Holder::Vehicle(blue(plate)))));
    park.local([row("LOCAL", "皖R00009"), row("A", "皖R00001")]).unwrap();
    park.receive(message(Table::Permits, 1, None, vec![permit_draft("A", "皖R00001")])).unwrap();
    let owner = |park: &Park, id: &str| park.register.get(&Key::Permit(PermitId::new(id))).unwrap().owner;
    assert_eq!((owner(&park, "LOCAL"), owner(&park, "A")), (Owner::Local, Owner::Platform));
    let refused = park.local([row("A", "皖R00002"), row("NEW", "皖R00003")]).unwrap_err();
    assert_eq!(refused, Refusal::Owned(vec![Key::Permit(PermitId::new("A"))]));
    assert_eq!(park.register.count(Table::Permits), 2, "the new one did not come in either");
    park.receive(message(Table::Permits, 2, None, Vec::new())).unwrap();
    assert_eq!(park.register.count(Table::Permits), 1);
    assert_eq!(owner(&park, "LOCAL"), Owner::Local);
}

#[test]
fn the_gateway_keeps_its_own_count_of_uses_whatever_the_platform_sends() {
    let mut park = Park::default();
    let draft = |allowed, uses| {
        let Draft::Permit(mut draft) = permit_draft("A", "皖R00001") else { panic!() };
        (draft.permit.uses_allowed, draft.permit.uses) = (Some(allowed), uses);
        vec![Draft::Permit(draft)]
    };
    park.receive(message(Table::Permits, 1, None, draft(3, 0))).unwrap();
    let (id, now) = (PermitId::new("A"), at(MORNING));
    for (entry, exit) in [("1", "2"), ("3", "4")] {
        let over = park.register.complete_use(&id, Some(&PassageId::new(entry)), &PassageId::new(exit), &now);
        park.take(over.unwrap());
    }
    park.receive(message(Table::Permits, 2, None, draft(1, 0))).unwrap();
    let permit = park.register.permit(&id).unwrap();
    assert_eq!((permit.uses, permit.uses_allowed), (2, Some(2)), "what was used cannot be forbidden afterwards");
    assert_eq!(state_of(&park, &blue("皖R00001"), &now), PermitState::UsedUp);
}

#[test]
fn a_message_is_read_as_the_platform_writes_it() {
    let text = r#"{"table":"lists","version":3,"base":2,"as_of":"2026-11-26T00:00:00.000Z",
        "rows":[{"listing":{"id":"L1","kind":"block","holder":{"person":{"id":{"kind":"id_card","number":"11010519491231002X"}}},
        "source":"park","from":"2026-11-01T00:00:00.000Z","reason":"多次违规"}}],
        "removed":[{"row":{"listing":"L0"}}]}"#;
    let message: Message = serde_json::from_str(text).unwrap();
    assert_eq!((message.rows.len(), message.removed.len()), (1, 1));
    let wrong = text.replace("11010519491231002X", "110105194912310021");
    assert!(serde_json::from_str::<Message>(&wrong).is_err(), "a number that cannot be is refused");
    assert!(serde_json::from_str::<Message>(&text.replace("reason", "reasons")).is_err());
}

#[test]
fn rows_that_were_lost_leave_a_table_without_an_age_until_a_whole_list_comes() {
    let mut park = Park::default();
    park.receive(message(Table::Permits, 5, None, vec![permit_draft("A", "皖R00001")])).unwrap();
    park.register.mark_damaged(Table::Permits);
    assert_eq!(park.register.age_s(Table::Permits, &at(MORNING)), None);
    let delta = message(Table::Permits, 6, Some(5), Vec::new());
    assert!(matches!(park.receive(delta), Ok(Received::AskWhole { .. })));
    let whole = message(Table::Permits, 5, None, vec![permit_draft("A", "皖R00001")]);
    assert!(matches!(park.receive(whole), Ok(Received::Changes(_))), "the same version heals");
    assert_eq!(park.register.age_s(Table::Permits, &at(MORNING)), Some(0));
}

#[test]
fn who_is_needed_no_more_is_forgotten_in_his_time_and_nobody_by_a_clock_without_trust() {
    let mut park = Park::default();
    let mut visit = permit("P1", Holder::Vehicle(blue("皖R12345")));
    visit.kind = PermitKind::Person;
    let draft = PermitDraft { holder: HolderDraft::Person(who(ZHANG, "张伟")), with: Vec::new(), permit: visit };
    let Draft::Person(mut staff) = person_draft(LI, 9) else { panic!() };
    staff.kind = PersonKind::Staff;
    park.drafts([Draft::Permit(draft), Draft::Person(staff)]).unwrap();
    let end = MORNING + DAY;
    assert!(park.register.due(&park.rules, &at(end + 179 * DAY)).is_none());
    assert!(park.register.due(&park.rules, &unsynced(end + 500 * DAY)).is_none());
    let (set, persons) = park.register.due(&park.rules, &at(end + 180 * DAY)).unwrap();
    assert_eq!((set.changes.len(), persons.len()), (2, 1), "the visitor and his permit; the staff stay");
    let prepared = park.register.prepare(set, &at(end + 180 * DAY)).unwrap();
    assert!(park.register.commit(&prepared));
    assert_eq!(park.register.holder_of(&key().document(&id_card(ZHANG).unwrap())), None);
    assert!(park.register.due(&park.rules, &at(end + 900 * DAY)).is_none());
    let staff = park.register.holder_of(&key().card(Card(9))).cloned().unwrap();
    let change = park.register.parted(Key::Person(staff), Timestamp(end));
    let set = ChangeSet {
        by: actor("wang"),
        origin: Origin::Local,
        why: "left".into(),
        changes: vec![change],
        named: Vec::new(),
        version: None,
    };
    let prepared = park.register.prepare(set, &at(end)).unwrap();
    assert!(park.register.commit(&prepared));
    assert_eq!(park.register.due(&park.rules, &at(end + 180 * DAY)).unwrap().1.len(), 1, "who left is forgotten too");
}

#[test]
fn who_left_has_no_permit_stays_on_the_block_list_and_may_come_again() {
    let mut park = Park::default();
    let visit = |id: &str| {
        let mut visit = permit(id, Holder::Vehicle(blue("皖R12345")));
        visit.kind = PermitKind::Person;
        Draft::Permit(PermitDraft {
            holder: HolderDraft::Person(who(ZHANG, "张伟")), with: Vec::new(), permit: visit
        })
    };
    park.drafts([person_draft(ZHANG, 1), visit("P1")]).unwrap();
    let (gate, now, card) = (GateId::new("g1"), at(MORNING), key().card(Card(1)));
    let state = |park: &Park, shown: &Credential| {
        park.register
            .person_facts(here(&park.rules, &gate, Direction::In, &now), std::slice::from_ref(shown))
            .permit
            .state
    };
    assert_eq!(state(&park, &card), PermitState::Valid);
    let person = park.register.holder_of(&card).cloned().unwrap();
    let Change::Put(left) = park.register.parted(Key::Person(person.clone()), Timestamp(MORNING)) else { panic!() };
    park.local([left, Row::Listing(Arc::new(listing("L1", ListKind::Block, Holder::Person(person))))]).unwrap();
    let document = key().document(&id_card(ZHANG).unwrap());
    let facts =
        park.register.person_facts(here(&park.rules, &gate, Direction::In, &now), std::slice::from_ref(&document));
    assert_eq!((facts.permit.state, facts.listed.blocked.is_some()), (PermitState::None, true));
    park.drafts([visit("P2")]).unwrap();
    assert_eq!(state(&park, &document), PermitState::Valid, "a new visit was announced");
    assert_eq!(state(&park, &card), PermitState::None, "his card of before is not his any more");
    assert_eq!(park.register.count(Table::Persons), 1);
}

#[test]
fn a_set_that_was_prepared_against_another_revision_changes_nothing() {
    let mut park = Park::default();
    let set = |id: &str| ChangeSet {
        by: actor("wang"),
        origin: Origin::Local,
        why: "x".into(),
        changes: vec![Change::Put(Row::Company(Arc::new(Company {
            id: CompanyId::new(id),
            name: "东园化工".into(),
            platform_code: None,
        })))],
        named: Vec::new(),
        version: None,
    };
    let one = park.register.prepare(set("1"), &at(MORNING)).unwrap();
    let two = park.register.prepare(set("2"), &at(MORNING)).unwrap();
    assert!(park.register.commit(&one));
    assert!(!park.register.commit(&two) && !park.register.commit(&one));
    assert_eq!((park.register.rev(), park.register.count(Table::Companies)), (1, 1));
    let deed = one.deed();
    assert_eq!((deed.object.as_str(), deed.actor.name.as_str()), ("companies", "wang"));
    let again = park.register.prepare(set("1"), &at(MORNING)).unwrap();
    assert!(again.entries.is_empty(), "the same row again is no change");
}

/// What must hold after every step.
fn check(park: &Park, before: &BTreeMap<Table, Version>) {
    let register = &park.register;
    for (table, version) in before {
        let now = &register.versions()[table];
        assert!(now.version >= version.version, "{table} went back");
        assert!(now.as_of >= version.as_of || now.version > version.version, "{table} grew older");
    }
    for permit in register.rows().filter_map(|held| held.row.as_permit()) {
        let taken = permit.uses + u32::try_from(permit.begun.len()).unwrap();
        assert!(permit.uses_allowed.is_none_or(|allowed| taken <= allowed), "{permit:?}");
        assert!(permit.counted.len() <= permit.uses as usize, "{permit:?}");
    }
}

/// A register of the same rows, put in in reverse.
fn rebuilt(register: &Register) -> Register {
    let mut rows: Vec<Held> = register.rows().cloned().collect();
    rows.reverse();
    Register::restore(register.rev(), register.versions().clone(), rows)
}

fn step(park: &mut Park, (what, one, two): (u8, u8, u8)) {
    let plate = |n: u8| format!("皖R0000{}", n % 3);
    let id = format!("P{}", one % 4);
    let version = u64::from(one % 16);
    let allowed = [None, Some(1), Some(2), Some(3)][usize::from(two % 4)];
    let mut row = permit(&id, Holder::Vehicle(blue(&plate(two))));
    row.uses_allowed = allowed;
    row.uses = u32::from(two / 4 % 3);
    row.stage = PermitStage::ALL[usize::from(two) % PermitStage::ALL.len()];
    let passage = |n: u8| PassageId::new(format!("x{}", n % 8));
    let draft = Draft::Permit(PermitDraft {
        holder: HolderDraft::Vehicle(blue(&plate(two))),
        with: if two % 2 == 0 { vec![who(if one % 2 == 0 { ZHANG } else { LI }, "张伟")] } else { Vec::new() },
        permit: row.clone(),
    });
    let (id, now) = (row.id.clone(), at(MORNING));
    let owner = park.register.get(&Key::Permit(id.clone())).map(|held| held.owner);
    match what % 8 {
        0 => drop(park.receive(message(Table::Permits, version, None, vec![draft]))),
        1 => drop(park.receive(message(Table::Permits, version, version.checked_sub(1), vec![draft]))),
        2 => {
            let refused = park.local([Row::Permit(Arc::new(row))]).is_err();
            assert_eq!(refused, owner == Some(Owner::Platform));
        }
        3 | 4 => {
            let begun = park.register.begin_use(&id, &passage(two), &now).ok().flatten();
            park.take(begun);
        }
        5 | 6 => {
            let over = park.register.complete_use(&id, Some(&passage(two)), &passage(one), &now).ok().flatten();
            park.take(over);
        }
        _ => drop(park.drafts([person_draft(if one % 2 == 0 { ZHANG } else { LI }, u32::from(two % 4) + 1)])),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    /// 250 × 400 steps. Versions never go back, uses never exceed what is allowed, no row of the platform is changed here, and
    /// the indexes and facts are those of the rows, in whatever order they came.
    #[test]
    fn whatever_happens_the_register_stays_true(steps in prop::collection::vec(any::<(u8, u8, u8)>(), 400)) {
        let mut park = Park::default();
        for (n, one) in steps.into_iter().enumerate() {
            let before = park.register.versions().clone();
            step(&mut park, one);
            check(&park, &before);
            if n % 40 == 39 {
                let again = rebuilt(&park.register);
                prop_assert_eq!(&again.by_credential, &park.register.by_credential);
                prop_assert_eq!(&again.permits_of, &park.register.permits_of);
                prop_assert_eq!(&again.counts.get(&Table::Permits), &park.register.counts.get(&Table::Permits));
                let (gate, now) = (GateId::new("g1"), at(MORNING));
                for n in 0..3 {
                    let plate = blue(&format!("皖R0000{n}"));
                    let here = here(&park.rules, &gate, Direction::In, &now);
                    let facts = park.register.vehicle_part(here, &plate, None);
                    prop_assert_eq!(&again.vehicle_part(here, &plate, None), &facts);
                }
                park.register = again;
            }
        }
    }
}
