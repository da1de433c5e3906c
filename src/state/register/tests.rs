//! The register over restarts, damage and crashes.

use std::sync::Arc;

use super::*;
use crate::domain::actor::Via;
use crate::domain::gate::register::change::{Change, ChangeSet};
use crate::domain::gate::register::draft::id_card;
use crate::domain::gate::register::row::{Company, Row};
use crate::domain::gate::word::CompanyId;
use crate::domain::time::{Mono, Now};

fn now() -> Now {
    Now { mono: Mono::from_secs(1), wall: Timestamp(1_795_651_200_000), trust: ClockTrust::Synced }
}

fn set(changes: Vec<Change>) -> ChangeSet {
    let by = Actor { name: "wang".into(), via: Via::Machine, roles: Default::default() };
    ChangeSet { by, origin: Origin::Local, why: "test".into(), changes, named: Vec::new(), version: None }
}

fn company(id: usize, name: &str) -> Change {
    let company =
        Company { id: CompanyId::new(format!("C{id}")), name: name.into(), platform_code: None, carrier: None };
    Change::Put(Row::Company(Arc::new(company)))
}

fn open(dir: &Path) -> RegisterStore {
    RegisterStore::open(dir).unwrap()
}

fn apply(store: &mut RegisterStore, changes: Vec<Change>) {
    let prepared = store.register().prepare(set(changes), &now()).unwrap();
    store.apply(&prepared, BTreeMap::new()).unwrap();
}

fn names(store: &RegisterStore) -> Vec<String> {
    let rows = store.register().rows();
    let companies = rows.filter_map(|held| if let Row::Company(company) = &held.row { Some(company) } else { None });
    companies.map(|company| company.name.clone()).collect()
}

#[test]
fn every_revision_is_there_after_a_restart_and_after_the_log_was_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    apply(&mut store, vec![company(1, "东园"), company(2, "西园")]);
    apply(&mut store, vec![company(1, "东园化工"), Change::Remove(Key::Company(CompanyId::new("C2")))]);
    drop(store);
    let mut store = open(dir.path());
    assert_eq!((names(&store), store.register().rev()), (vec!["东园化工".to_owned()], 2));
    let key = Key::Company(CompanyId::new("C1"));
    let before = store.history(&key, 10).unwrap();
    assert_eq!(before.iter().map(|set| set.rev).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(before[0].entries[0].before, before[1].entries[0].after, "each change names the one before");
    store.compact().unwrap();
    apply(&mut store, vec![company(3, "南园")]);
    drop(store);
    let store = open(dir.path());
    assert_eq!((names(&store), store.register().rev()), (vec!["东园化工".to_owned(), "南园".to_owned()], 3));
    let after = store.history(&key, 10).unwrap();
    assert_eq!(after.iter().map(|set| (set.rev, set.by.name.as_str())).collect::<Vec<_>>(), [(2, "wang"), (1, "wang")]);
    assert!(after[0].entries[0].row.is_none() && after[0].entries[0].after == before[0].entries[0].after);
    assert!(store.register().damaged().is_empty());
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(matches!(RegisterStore::open(dir.path()), Err(RegisterError::Locked(_))));
    drop(store);
    open(dir.path());
}

#[test]
fn a_set_that_was_cut_off_never_was_one_and_its_number_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    apply(&mut store, vec![company(1, "东园")]);
    // A large set of which the head of its log entry is missing: the crash came before the end.
    let many = (10..3000).map(|n| company(n, &"名".repeat(60))).collect();
    let prepared = store.register().prepare(set(many), &now()).unwrap();
    let log = store.log.as_ref().unwrap();
    log.put(Tree::Log, 2, "no head of a set", prepared.entries.iter()).unwrap();
    log.sync().unwrap();
    drop(store);
    let mut store = open(dir.path());
    assert_eq!((store.register().rev(), names(&store).len()), (1, 1));
    assert!(store.register().damaged().is_empty());
    apply(&mut store, vec![company(2, "西园")]);
    drop(store);
    assert_eq!(names(&open(dir.path())), ["东园", "西园"]);
}

#[test]
fn lost_rows_are_told_and_numbers_never_go_back() {
    for harm in ["truncate", "flip", "remove"] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        (0..5).for_each(|n| apply(&mut store, vec![company(n, &format!("企业{n}"))]));
        drop(store);
        let db = dir.path().join("00000000/db");
        let bytes = std::fs::read(&db).unwrap();
        match harm {
            "truncate" => std::fs::write(&db, &bytes[..bytes.len() / 2]).unwrap(),
            "flip" => {
                let mut bad = bytes.clone();
                bad.iter_mut().skip(20).step_by(97).for_each(|byte| *byte ^= 4);
                std::fs::write(&db, bad).unwrap();
            }
            _ => std::fs::remove_dir_all(dir.path().join("00000000")).unwrap(),
        }
        let mut store = open(dir.path());
        assert_eq!(store.register().rev(), 5, "{harm}");
        assert!(store.register().damaged().contains(&Table::Companies), "{harm}");
        assert_eq!(store.register().age_s(Table::Companies, &now()), None, "{harm}");
        drop(store);
        store = open(dir.path());
        assert!(store.register().damaged().contains(&Table::Companies), "{harm}: it is remembered");
        apply(&mut store, (0..5).map(|n| company(n, "新")).collect());
        drop(store);
        let store = open(dir.path());
        assert!(!store.register().damaged().contains(&Table::Companies), "{harm}: healed, and that is remembered");
        assert_eq!((store.register().rev(), names(&store).len()), (6, 5), "{harm}");
    }
}

#[test]
fn both_heads_lost_cost_the_age_of_the_lists_and_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    apply(&mut store, vec![company(1, "东园")]);
    store.compact().unwrap();
    apply(&mut store, vec![company(2, "西园")]);
    drop(store);
    for name in ["head.state", "head.prev"] {
        std::fs::write(dir.path().join(name), "rubbish").unwrap();
    }
    let store = open(dir.path());
    assert_eq!((names(&store).len(), store.register().rev()), (2, 2));
    assert_eq!(store.register().damaged().len(), Table::ALL.len());
}

#[test]
fn changes_of_another_revision_are_refused_and_touch_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let one = store.register().prepare(set(vec![company(1, "东园")]), &now()).unwrap();
    apply(&mut store, vec![company(2, "西园")]);
    assert!(matches!(store.apply(&one, BTreeMap::new()), Err(RegisterError::Outdated)));
    drop(store);
    assert_eq!(names(&open(dir.path())), ["西园"]);
}

#[test]
fn persons_whom_the_register_does_not_know_any_more_are_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let private = Private { name: Some("张伟".into()), id: id_card("11010519491231002X"), phone: None };
    let person = PersonRef::new("p-1");
    let prepared = store.register().prepare(set(vec![company(1, "东园")]), &now()).unwrap();
    store.apply(&prepared, [(person.clone(), private)].into()).unwrap();
    assert!(store.persons().reveal(&person).is_some());
    drop(store);
    assert!(open(dir.path()).persons().reveal(&person).is_none(), "nobody in the register has this reference");
}
