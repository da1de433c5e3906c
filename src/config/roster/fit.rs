//! What only the register can say about a row: whose it is, whether its persons are known, whether a card is another one's.

use std::collections::{BTreeMap, BTreeSet};

use super::Written;
use crate::config::problem::{Severity, Wrong, say};
use crate::domain::gate::identity::IdNumber;
use crate::domain::gate::presented::Credential;
use crate::domain::gate::register::Register;
use crate::domain::gate::register::change::Owner;
use crate::domain::gate::register::digest::LookUpKey;
use crate::domain::gate::register::draft::{Draft, HolderDraft, PersonDraft, Who};
use crate::domain::gate::register::row::Key;
use crate::domain::gate::word::{CompanyId, PersonRef};

/// A fault in a column.
pub(super) type Fault = (&'static str, Severity, Wrong);

/// What stands around a row: the register, and the other rows of the files.
pub(super) struct Around<'a> {
    register: &'a Register,
    key: &'a LookUpKey,
    /// Persons whom some row gives a name.
    named: BTreeSet<IdNumber>,
    /// Persons with a row of their own.
    own: BTreeSet<IdNumber>,
    companies: BTreeSet<CompanyId>,
    cards: BTreeMap<Credential, IdNumber>,
}

impl<'a> Around<'a> {
    pub(super) fn new(register: &'a Register, key: &'a LookUpKey, rows: &[Written]) -> Self {
        let mut around = Self {
            register,
            key,
            named: BTreeSet::new(),
            own: BTreeSet::new(),
            companies: BTreeSet::new(),
            cards: BTreeMap::new(),
        };
        for row in rows {
            let named = people(&row.draft).into_iter().filter(|(_, who)| who.name.is_some());
            around.named.extend(named.map(|(_, who)| who.id.clone()));
            match &row.draft {
                Draft::Person(person) => drop(around.own.insert(person.who.id.clone())),
                Draft::Company(company) => drop(around.companies.insert(company.id.clone())),
                Draft::Vehicle(_) | Draft::Listing(_) | Draft::Permit(_) => {}
            }
        }
        around
    }

    /// Returns what does not fit in a row.
    pub(super) fn faults(&mut self, draft: &Draft) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self.owned(draft).into_iter().collect();
        for (en, who) in people(draft) {
            if self.person(&who.id).is_none() && !self.named.contains(&who.id) {
                let id = &who.id;
                let what = say!("没有证件号码为 `{id:?}` 的人员", "nobody with the document `{id:?}` is known");
                let instead = say!("请填写姓名，或先导入人员", "fill in the name, or import the persons first");
                faults.push((en, Severity::Error, Wrong::new(what, instead)));
            }
        }
        if let Draft::Person(person) = draft {
            faults.extend(self.shared_card(person));
        }
        faults.extend(self.company(draft));
        faults
    }

    fn person(&self, id: &IdNumber) -> Option<&PersonRef> {
        self.register.holder_of(&self.key.document(id))
    }

    fn owned(&self, draft: &Draft) -> Option<Fault> {
        let (key, en) = match draft {
            Draft::Company(row) => (Key::Company(row.id.clone()), "uscc"),
            Draft::Person(row) => (Key::Person(self.person(&row.who.id)?.clone()), "id_no"),
            Draft::Vehicle(row) => (Key::Vehicle(row.plate.clone()), "plate"),
            Draft::Listing(row) => (Key::Listing(row.id.clone()), "id"),
            Draft::Permit(row) => (Key::Permit(row.permit.id.clone()), "id"),
        };
        (self.register.get(&key)?.owner == Owner::Platform).then(|| {
            let what = say!("此项由平台管理", "this is the platform's");
            let instead = say!("请在平台修改，并从文件中删去此行", "change it there, and remove the row");
            (en, Severity::Error, Wrong::new(what, instead))
        })
    }

    fn shared_card(&mut self, person: &PersonDraft) -> Option<Fault> {
        let id = &person.who.id;
        for card in &person.cards {
            let credential = self.key.card(card.0);
            let holder = self.register.holder_of(&credential);
            // One who has a row of his own in these files says himself which cards he has.
            let other = holder.filter(|holder| Some(*holder) != self.person(id) && !self.is_own(holder));
            let before = self.cards.get(&credential).filter(|other| *other != id);
            if other.is_some() || before.is_some() {
                let card = card.0;
                let what = say!("卡 {card:?} 已属于另一人", "the card {card:?} is another person's");
                let instead =
                    say!("请核对卡号，或先从另一人处删去", "check its number, or take it from the other one first");
                return Some(("cards", Severity::Error, Wrong::new(what, instead)));
            }
            self.cards.insert(credential, id.clone());
        }
        None
    }

    fn is_own(&self, person: &PersonRef) -> bool {
        self.own.iter().any(|id| self.person(id) == Some(person))
    }

    /// A company that nobody registered is no reason to refuse: it is told.
    fn company(&self, draft: &Draft) -> Option<Fault> {
        let company = match draft {
            Draft::Company(_) | Draft::Listing(_) => return None,
            Draft::Person(row) => row.company.as_ref(),
            Draft::Vehicle(row) => row.company.as_ref(),
            Draft::Permit(row) => row.permit.company.as_ref(),
        }?;
        let known = self.companies.contains(company) || self.register.get(&Key::Company(company.clone())).is_some();
        (!known).then(|| {
            let what = say!("企业 `{company}` 尚未登记", "the company `{company}` is not registered");
            let instead = say!("已接受；请导入企业表", "it is taken; import the companies");
            ("company", Severity::Warning, Wrong::new(what, instead))
        })
    }
}

/// The persons whom a row names without being theirs, with the column.
fn people(draft: &Draft) -> Vec<(&'static str, &Who)> {
    let holder = |holder| match holder {
        &HolderDraft::Vehicle(_) => None,
        HolderDraft::Person(who) => Some(("id_no", who)),
    };
    match draft {
        Draft::Company(_) | Draft::Vehicle(_) => Vec::new(),
        Draft::Person(row) => vec![("id_no", &row.who)],
        Draft::Listing(row) => holder(&row.holder).into_iter().collect(),
        Draft::Permit(row) => {
            let with = row.with.iter().zip(["driver_id", "escort_id"]).map(|(who, en)| (en, who));
            holder(&row.holder).into_iter().chain(with).collect()
        }
    }
}
