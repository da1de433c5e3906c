//! A view as Cedar has it: principal, action, resource, context, and the two entities that have attributes.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};

use super::view::{Principal, Record, Value, View};
use super::word;
use crate::domain::gate::word::Direction;

/// Names of types, parsed once: parsing them for each request costs more than the decision.
#[derive(Clone, Debug)]
pub(super) struct Names(BTreeMap<&'static str, EntityTypeName>);

impl Names {
    pub(super) fn new() -> Result<Self, String> {
        let others = ["Person", "Vehicle", "Unread", "Exempt", "Gate", "Zone", "Lane", "Action"];
        let all = word::KINDS.into_iter().chain(others);
        all.map(|name| Ok((name, name.parse::<EntityTypeName>().map_err(|e| e.to_string())?)))
            .collect::<Result<_, String>>()
            .map(Self)
    }

    fn uid(&self, kind: &str, id: &str) -> Result<EntityUid, String> {
        let name = self.0.get(kind).ok_or_else(|| format!("no type `{kind}`"))?;
        Ok(EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)))
    }

    /// Makes the request and its entities. With a schema both are checked against it: for tests, since a fact that is not
    /// known is missing, and its absence is what the policies must meet.
    pub(super) fn request(&self, view: &View, schema: Option<&Schema>) -> Result<(Request, Entities), String> {
        let principal = self.uid(view.kind.as_str(), &view.name)?;
        let action = self.uid("Action", action(view.direction))?;
        let lane = view.resource.iter().find(|(name, _)| *name == "id");
        let resource = self.uid("Lane", &lane.map(|(_, id)| id.say(false)).unwrap_or_default())?;
        let (gate, zone) = &view.within;
        let parents = HashSet::from([self.uid("Gate", gate)?, self.uid("Zone", zone)?]);
        let who = Entity::new(principal.clone(), self.attributes(&view.principal)?, HashSet::new());
        let lane = Entity::new(resource.clone(), self.attributes(&view.resource)?, parents);
        let entities = [who.map_err(|e| e.to_string())?, lane.map_err(|e| e.to_string())?];
        let entities = Entities::from_entities(entities, schema).map_err(|e| e.to_string())?;
        let context = Context::from_pairs(self.pairs(&view.context)?).map_err(|e| e.to_string())?;
        let request = Request::new(principal, action, resource, context, schema).map_err(|e| e.to_string())?;
        Ok((request, entities))
    }

    fn attributes(&self, record: &Record) -> Result<HashMap<String, RestrictedExpression>, String> {
        Ok(self.pairs(record)?.into_iter().collect())
    }

    fn pairs(&self, record: &Record) -> Result<Vec<(String, RestrictedExpression)>, String> {
        record.iter().map(|(name, value)| Ok(((*name).to_owned(), self.expression(value)?))).collect()
    }

    fn expression(&self, value: &Value) -> Result<RestrictedExpression, String> {
        Ok(match value {
            Value::Bool(yes) => RestrictedExpression::new_bool(*yes),
            Value::Long(number) => RestrictedExpression::new_long(*number),
            Value::Text(text) => RestrictedExpression::new_string(text.clone()),
            Value::Word(word) => RestrictedExpression::new_entity_uid(self.uid(word.kind, word.id)?),
            Value::Set(all) => {
                let all: Vec<_> = all.iter().map(|one| self.expression(one)).collect::<Result<_, _>>()?;
                RestrictedExpression::new_set(all)
            }
            Value::Record(record) => {
                RestrictedExpression::new_record(self.pairs(record)?).map_err(|e| e.to_string())?
            }
        })
    }
}

/// Returns the action of a direction.
pub(super) fn action(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "enter",
        Direction::Out => "leave",
    }
}

/// Returns the principal of a type's name.
pub(super) fn principal(name: &str) -> Option<Principal> {
    Principal::ALL.into_iter().find(|one| one.as_str() == name)
}
