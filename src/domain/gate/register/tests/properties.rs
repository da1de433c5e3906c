//! What holds of the register after any steps.

use proptest::prelude::*;

use super::*;

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
