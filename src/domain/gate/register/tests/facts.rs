//! What the register tells a decision of permits, lists, papers and persons.

use super::*;

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
        let asked = Approve { permit: id.clone(), stage, passed: true, why: "已核对".into() };
        let prepared = park.register.approve(&park.rules, asked, actor(by), &at(MORNING))?;
        assert!(prepared.deed().detail.contains(&format!("permit P1: {stage} passes; 已核对")));
        assert!(park.register.commit(&prepared));
        Ok::<_, Refusal>(park.register.permit(&id).unwrap().stage)
    };
    let waiting = |park: &Park| park.register.permits_in(None).count();
    assert_eq!((waiting(&park), park.register.permit(&id).unwrap().approver()), (1, Some(Approver::Enterprise)));
    assert!(matches!(decide(&mut park, Approver::Park, "zhao"), Err(Refusal::Permit(_))), "not its turn");
    assert_eq!(decide(&mut park, Approver::Enterprise, "qian"), Ok(PermitStage::WaitingPark));
    let same = decide(&mut park, Approver::Park, "qian").unwrap_err().words();
    assert!(same.en.contains("two persons"), "{same}");
    assert_eq!(state_of(&park, &blue("皖R12345"), &at(MORNING)), PermitState::NotApproved);
    assert_eq!(decide(&mut park, Approver::Park, "sun"), Ok(PermitStage::ParkPassed));
    assert_eq!(state_of(&park, &blue("皖R12345"), &at(MORNING)), PermitState::Valid);
    let who: Vec<_> = park.register.permit(&id).unwrap().approvals.iter().map(|a| a.by.clone()).collect();
    assert_eq!(who, ["qian", "sun"]);
    assert_eq!((waiting(&park), park.register.permits_in(Some(PermitStage::ParkPassed)).count()), (0, 1));
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
    (tractor.gross_max_kg, tractor.tare_kg) = (Some(49_000), Some(8_800));
    let mut trailer = vehicle(yellow("皖R2222挂"), VehicleClass::Hazmat);
    trailer.papers =
        [(PaperKind::Licence, end(100)), (PaperKind::Transport, end(100)), (PaperKind::Tank, end(-1))].into();
    trailer.tare_kg = Some(6_200);
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
    assert_eq!((both.gross_max_kg, both.tare_kg), (Some(49_000), Some(15_000)));
    let unknown = part(Some(&yellow("皖R3333挂")), &now);
    assert_eq!((unknown.papers[&PaperKind::Licence], unknown.carrier), (PaperState::Missing, None));
    assert_eq!(unknown.tare_kg, None, "what it weighs empty nobody knows");
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
