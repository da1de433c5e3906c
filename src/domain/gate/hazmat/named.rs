//! Persons on a waybill as others name them: by a document, because only this gateway has references to persons. They are
//! resolved before a waybill is taken.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::book::Update;
use super::waybill::Waybill;
use crate::domain::gate::identity::IdNumber;
use crate::domain::gate::register::draft::Who;
use crate::domain::gate::word::PersonRef;

/// A driver or an escort: by his document, or by the reference that this gateway gave him.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Named {
    /// A reference.
    Ref(PersonRef),
    /// A document.
    Document(Who),
}

impl Named {
    fn document(&self) -> Option<&IdNumber> {
        match self {
            Self::Ref(_) => None,
            Self::Document(who) => Some(&who.id),
        }
    }

    fn resolved(self, found: &BTreeMap<IdNumber, PersonRef>) -> PersonRef {
        match self {
            Self::Ref(person) => person,
            // Whoever is not found is nobody that anything can match.
            Self::Document(who) => found.get(&who.id).cloned().unwrap_or_else(|| PersonRef::new("unknown")),
        }
    }
}

impl Waybill<Named> {
    /// Returns the documents that it names persons by.
    pub fn documents(&self) -> impl Iterator<Item = &IdNumber> {
        std::iter::once(&self.driver).chain(self.escort.as_ref()).filter_map(Named::document)
    }

    /// Returns it with references; a document that was not looked for is that of nobody.
    pub fn resolved(self, found: &BTreeMap<IdNumber, PersonRef>) -> Waybill {
        Waybill {
            number: self.number,
            state: self.state,
            purpose: self.purpose,
            carrier: self.carrier,
            consignor: self.consignor,
            loader: self.loader,
            consignee: self.consignee,
            driver: self.driver.resolved(found),
            escort: self.escort.map(|escort| escort.resolved(found)),
            tractor: self.tractor,
            trailer: self.trailer,
            goods: self.goods,
            waste: self.waste,
            manifest: self.manifest,
            route: self.route,
            not_before: self.not_before,
            not_after: self.not_after,
        }
    }
}

impl Update<Named> {
    /// Returns the documents that its waybills name persons by, each once.
    pub fn documents(&self) -> BTreeSet<IdNumber> {
        self.put.iter().flat_map(Waybill::documents).cloned().collect()
    }

    /// Returns it with references.
    pub fn resolved(self, found: &BTreeMap<IdNumber, PersonRef>) -> Update {
        let put = self.put.into_iter().map(|waybill| waybill.resolved(found)).collect();
        Update { from: self.from, to: self.to, put, removed: self.removed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::hazmat::tests::waybill;
    use crate::domain::gate::identity::IdKind;

    #[test]
    fn a_person_is_named_by_reference_or_by_document_and_found() {
        let mut wire = serde_json::to_value(waybill("W1", "鲁A11111")).unwrap();
        wire["escort"] = serde_json::json!({ "id": { "kind": "id_card", "number": "11010519491231002X" } });
        let update = serde_json::json!({ "from": null, "to": 7, "put": [wire] });
        let update: Update<Named> = serde_json::from_value(update).unwrap();
        let id = IdNumber::new(IdKind::IdCard, "11010519491231002X").unwrap();
        assert_eq!(update.documents(), [id.clone()].into());
        let found = [(id, PersonRef::new("p-7"))].into();
        let taken = update.clone().resolved(&found);
        let (driver, escort) = (&taken.put[0].driver, taken.put[0].escort.as_ref());
        assert_eq!((driver.as_str(), escort.map(PersonRef::as_str)), ("driver", Some("p-7")));
        assert_eq!((taken.to, &taken.put[0].goods), (7, &waybill("W1", "鲁A11111").goods));
        assert_eq!(update.resolved(&BTreeMap::new()).put[0].escort, Some(PersonRef::new("unknown")));
        let wrong = serde_json::json!({ "id": { "kind": "id_card", "number": "110105194912310021" } });
        assert!(serde_json::from_value::<Named>(wrong).is_err(), "its check digit is wrong");
    }
}
