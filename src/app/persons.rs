//! Where the register's task and the gates meet over persons: who a document is, the list of a muster with names for print, a
//! waybill that somebody enters by hand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::actions::{no_gates, send};
use super::control::Desk;
use super::engine::Request;
use super::{gates, register};
use crate::control::Line;
use crate::domain::actor::Actor;
use crate::domain::gate::gates::act::{GateAct, GoodsAct};
use crate::domain::gate::hazmat::named::Named;
use crate::domain::gate::hazmat::waybill::Waybill;
use crate::domain::gate::identity::IdNumber;
use crate::domain::gate::muster::print::{self, Contact, Sheet};
use crate::domain::gate::muster::{Occupant, Roll};
use crate::domain::gate::presented::Credential;
use crate::domain::gate::register::row::{Key, Row};
use crate::domain::gate::word::{PersonRef, WaybillNo};
use crate::state::register::RegisterStore;

/// Characters of a digest by which a person who is not registered is told from others.
const STAND_IN: usize = 16;

/// Who is meant by documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The reference of each; of who is not registered, one that nobody has.
    persons: BTreeMap<IdNumber, PersonRef>,
    strangers: usize,
}

impl Found {
    pub(super) fn by_document(&self) -> &BTreeMap<IdNumber, PersonRef> {
        &self.persons
    }

    /// How many are not registered.
    pub(super) fn strangers(&self) -> usize {
        self.strangers
    }
}

/// Finds who is meant by documents. Whoever is not registered gets a reference that no row has: made of his digest, so that two of
/// them are two.
pub(super) fn found(store: &RegisterStore, ids: &BTreeSet<IdNumber>) -> Found {
    let key = store.persons().look_up_key();
    let (mut persons, mut strangers) = (BTreeMap::new(), 0);
    for id in ids {
        let credential = key.document(id);
        let person = store.register().holder_of(&credential).cloned().unwrap_or_else(|| {
            strangers += 1;
            let digest = if let Credential::IdCard { digest } = &credential { digest.as_str() } else { "" };
            PersonRef::new(format!("unknown-{}", digest.chars().take(STAND_IN).collect::<String>()))
        });
        persons.insert(id.clone(), person);
    }
    Found { persons, strangers }
}

/// Returns who these persons are, in clear: for a list of people who are looked for.
pub(super) fn contacts(store: &RegisterStore, of: &BTreeSet<PersonRef>) -> BTreeMap<PersonRef, Contact> {
    let register = store.register();
    let company = |person: &PersonRef| {
        let company = register.person(person)?.company.clone()?;
        let held = register.get(&Key::Company(company))?;
        if let Row::Company(company) = &held.row { Some(company.name.clone()) } else { None }
    };
    let contact = |person: &PersonRef| {
        let private = store.persons().reveal(person)?;
        let (name, phone) = (private.name.unwrap_or_default(), private.phone.unwrap_or_default());
        Some((person.clone(), Contact { name, company: company(person).unwrap_or_default(), phone }))
    };
    of.iter().filter_map(contact).collect()
}

impl Desk {
    /// Prints the list of a muster, with every link down too. Without the register it has references in place of names.
    pub(super) async fn roll(
        &self,
        muster: Option<&str>,
        html: bool,
        lines: &mpsc::Sender<Line>,
    ) -> Result<(), String> {
        let (answer, roll) = oneshot::channel();
        let ask = gates::Ask::Roll(muster.map(str::to_owned), answer);
        drop(self.requests.send(Request::Gates(ask)).await);
        let roll = roll.await.map_err(|_| no_gates())?.ok_or_else(|| match muster {
            Some(muster) => format!("没有进行中的清点 {muster} / no muster {muster} is running"),
            None => "没有清点，或不止一个：请写明 / no muster is running, or several are: name one".to_owned(),
        })?;
        let contacts = self.contacts(&roll).await.unwrap_or_else(|why| {
            tracing::error!(%why, "The list of a muster is printed without names.");
            BTreeMap::new()
        });
        let text = self.printed(&roll, &contacts, html);
        send(lines, Line::Told(Box::new(text.into()))).await
    }

    fn printed(&self, roll: &Roll, contacts: &BTreeMap<PersonRef, Contact>, html: bool) -> String {
        let sheet = Sheet {
            park: &self.paper.park,
            offset_min: self.paper.offset_min,
            at: self.clock.now().wall,
            who: &|person| contacts.get(person).cloned(),
        };
        if html { print::html(roll, &sheet) } else { print::text(roll, &sheet) }
    }

    async fn contacts(&self, roll: &Roll) -> Result<BTreeMap<PersonRef, Contact>, String> {
        let persons = roll.rows.iter().filter_map(|row| match &row.who {
            Occupant::Person(person) => Some(person.clone()),
            Occupant::Unidentified => None,
        });
        let persons = persons.collect();
        self.of_persons(|answer| register::Asked::Contacts(persons, answer)).await
    }

    /// A waybill with its checks.
    pub(super) async fn checks(&self, waybill: WaybillNo, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let (answer, told) = oneshot::channel();
        let number = waybill.clone();
        let act: gates::HazmatAct = Box::new(move |hazmat, _| {
            let told = hazmat.waybills().get(&number).map(|entry| {
                let answers = hazmat.checks().of(&number);
                let items = hazmat.rules().items.iter().map(|item| {
                    let answer = answers.and_then(|answers| answers.get(&item.id));
                    json!({ "item": item.id, "zh": item.zh, "en": item.en, "answer": answer })
                });
                json!({ "waybill": entry.waybill, "used": entry.used, "checks": items.collect::<Vec<_>>() })
            });
            drop(answer.send(told));
        });
        drop(self.requests.send(Request::Gates(gates::Ask::Hazmat(act))).await);
        let told = told.await.map_err(|_| no_gates())?;
        let told = told.ok_or_else(|| format!("没有运单 {waybill} / there is no waybill {waybill}"))?;
        send(lines, Line::Told(Box::new(told))).await
    }

    /// Enters a waybill by hand.
    pub(super) async fn enter(
        &self,
        waybill: Waybill<Named>,
        why: String,
        caller: Actor,
        lines: &mpsc::Sender<Line>,
    ) -> Result<(), String> {
        let documents: BTreeSet<IdNumber> = waybill.documents().cloned().collect();
        let found = match documents.is_empty() {
            true => BTreeMap::new(),
            false => {
                let found = self.of_persons(|answer| register::Asked::Refs(documents, answer)).await?;
                found.by_document().clone()
            }
        };
        let act = GoodsAct::Enter { waybill: Box::new(waybill.resolved(&found)), why };
        self.gate(Box::new(GateAct::Goods(act)), caller, lines).await
    }

    async fn of_persons<T>(
        &self,
        asked: impl FnOnce(oneshot::Sender<Result<T, String>>) -> register::Asked,
    ) -> Result<T, String> {
        let register = self.register.as_ref().ok_or_else(no_gates)?;
        let (answer, done) = oneshot::channel();
        register.send(asked(answer)).await.map_err(|_| no_gates())?;
        done.await.map_err(|_| no_gates())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::identity::IdKind;

    #[test]
    fn whoever_is_not_registered_is_nobody_and_two_of_them_are_two() {
        let dir = tempfile::tempdir().unwrap();
        let store = RegisterStore::open(dir.path()).unwrap();
        let id = |number: &str| IdNumber::new(IdKind::Passport, number).unwrap();
        let ids: BTreeSet<IdNumber> = [id("E1234567"), id("E7654321")].into();
        let unknown = found(&store, &ids);
        let refs: BTreeSet<&PersonRef> = unknown.by_document().values().collect();
        assert_eq!((unknown.strangers(), refs.len()), (2, 2));
        assert!(refs.iter().all(|person| person.as_str().starts_with("unknown-")));
        assert_eq!(found(&store, &ids), unknown, "the same each time, so that a list sent again changes nothing");
        assert_eq!(contacts(&store, &[PersonRef::new("p-1")].into()), BTreeMap::new());
    }
}
