//! Where rows come from: lists of the platform, local changes, what is forgotten in its time.

use super::*;

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
            carrier: None,
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
