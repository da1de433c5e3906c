//! A set of policies that is in force, and what it says of facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::{AuthorizationError, Authorizer, Entities, EvaluationError, PolicyId, PolicySet, Request};

use super::flaw::Flaws;
use super::request::Names;
use super::rule::{Role, Rule};
use super::settings::{Parameters, Sources};
use super::view::{Principal, View};
use crate::domain::gate::decide::{Judged, Policies};
use crate::domain::gate::facts::Facts;
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::domain::gate::word::Direction;

/// The policies that can concern one kind of principal going one way.
#[derive(Clone, Debug, Default)]
pub(super) struct Slice {
    pub(super) forbids: PolicySet,
    pub(super) permits: PolicySet,
    pub(super) notes: PolicySet,
}

/// A set of policies, parsed, checked, and ready to be asked.
#[derive(Debug)]
pub struct PolicyBook {
    pub(super) slices: BTreeMap<(Principal, Direction), Slice>,
    pub(super) rules: BTreeMap<PolicyId, Rule>,
    pub(super) names: Names,
    pub(super) parameters: Parameters,
    pub(super) revision: String,
    pub(super) files: Vec<String>,
    pub(super) authorizer: Authorizer,
}

impl PolicyBook {
    /// Makes a book of the shipped files and the site's own.
    ///
    /// # Errors
    /// Every flaw of every file; one of them refuses the set as a whole, and whoever holds a running book keeps it.
    pub fn load(sources: &Sources) -> Result<Self, Flaws> {
        super::load::load(&super::shipped::files(sources), &sources.parameters)
    }

    /// Makes a book of these files alone, without the shipped ones.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn of(files: &[super::settings::PolicyFile], parameters: &Parameters) -> Result<Self, Flaws> {
        super::load::load(files, parameters)
    }

    /// Returns how many policies there are.
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// Returns the names of the files, in their order.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    fn ask(&self, view: &View, set: &PolicySet, request: &Request, entities: &Entities) -> Vec<Reason> {
        let response = self.authorizer.is_authorized(request, set, entities);
        let said = response.diagnostics();
        let applies = said.reason().filter_map(|id| self.rules.get(id)).flat_map(|rule| rule.applies(view));
        let failed = said.errors().filter_map(|error| self.failed(view, error));
        applies.chain(failed).collect()
    }

    /// What a policy that could not be evaluated says: a permit nothing, every other one that it cannot be known.
    fn failed(&self, view: &View, error: &AuthorizationError) -> Option<Reason> {
        let AuthorizationError::PolicyEvaluationError(error) = error;
        let rule = self.rules.get(error.policy_id()).filter(|rule| rule.role != Role::Permit)?;
        let text = error.inner().to_string();
        let unknown = matches!(
            error.inner(),
            EvaluationError::EntityAttrDoesNotExist(_) | EvaluationError::RecordAttrDoesNotExist(_)
        );
        Some(if unknown { rule.unknowable(view, missing(&text)) } else { rule.broken(view, &text) })
    }
}

/// The set that is in force, until a good one takes its place.
#[derive(Clone, Debug)]
pub struct InForce(Arc<PolicyBook>);

impl InForce {
    /// Puts a first set in force.
    ///
    /// # Errors
    /// Every flaw of every file.
    pub fn new(sources: &Sources) -> Result<Self, Flaws> {
        PolicyBook::load(sources).map(|book| Self(Arc::new(book)))
    }

    /// Puts another set in force, whole; returns whether it is another one at all.
    ///
    /// # Errors
    /// Every flaw of every file; the set that was in force stays.
    pub fn renew(&mut self, sources: &Sources) -> Result<bool, Flaws> {
        let book = PolicyBook::load(sources)?;
        let changed = book.revision != self.0.revision;
        if changed {
            self.0 = Arc::new(book);
        }
        Ok(changed)
    }

    /// Returns the set, for as long as somebody decides by it.
    pub fn book(&self) -> Arc<PolicyBook> {
        Arc::clone(&self.0)
    }
}

/// Cedar's message names the attribute in backticks after that word.
fn missing(text: &str) -> &str {
    text.split_once("attribute `").and_then(|(_, rest)| rest.split('`').next()).unwrap_or(text)
}

impl Policies for PolicyBook {
    fn judge(&self, facts: &Facts) -> Judged {
        let view = View::of(facts, &self.parameters);
        let (request, entities) = match self.names.request(&view, None) {
            Ok(made) => made,
            Err(error) => return Judged { forbids: vec![cannot_ask(&error)], ..Judged::default() },
        };
        let Some(slice) = self.slices.get(&(view.kind, view.direction)) else { return Judged::default() };
        let ask = |set: &PolicySet| self.ask(&view, set, &request, &entities);
        Judged { permits: ask(&slice.permits), forbids: ask(&slice.forbids), notes: ask(&slice.notes) }
    }

    fn revision(&self) -> &str {
        &self.revision
    }
}

fn cannot_ask(error: &str) -> Reason {
    Reason {
        code: "POLICY_FAILED".into(),
        verdict: Verdict::Deny,
        zh: format!("策略无法执行：{error}"),
        en: format!("the policies cannot be asked: {error}"),
        policy: None,
    }
}
