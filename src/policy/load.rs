//! From texts to a book: parse, read the annotations, check against the schema, cut into slices; every flaw at once.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, Authorizer, Effect, Policy, PolicyId, PolicySet, PrincipalConstraint, Schema, ValidationMode,
    ValidationWarning, Validator,
};
use ring::digest::{Context, SHA256};

use super::base;
use super::flaw::{Flaw, Flaws, both, line_at};
use super::judge::{PolicyBook, Slice};
use super::request::{self, Names};
use super::rule::{Role, Rule};
use super::settings::{Parameters, PolicyFile};
use super::shipped::SCHEMA;
use super::view::{Principal, View};
use crate::domain::gate::word::Direction;

/// Policies of a set: ten times what a large site has; beyond it the time of a decision is no longer what was measured.
pub(super) const MAX_POLICIES: usize = 2000;

/// A policy with the place where it stands.
struct Placed<'a> {
    file: &'a PolicyFile,
    line: u32,
    policy: Policy,
}

pub(super) fn load(files: &[PolicyFile], parameters: &Parameters) -> Result<PolicyBook, Flaws> {
    let mut flaws = Vec::new();
    let schema = schema().map_err(|flaw| Flaws(vec![flaw]))?;
    let names = Names::new().map_err(|error| Flaws(vec![of_schema(&error)]))?;
    let placed: Vec<Placed<'_>> = files.iter().flat_map(|file| parse(file, &mut flaws)).collect();
    if placed.len() > MAX_POLICIES {
        let last = placed.last().map_or_else(Default::default, |last| last.file.path.clone());
        let what = both(format!("策略超过 {MAX_POLICIES} 条"), format!("more than {MAX_POLICIES} policies"));
        flaws.push(Flaw::new(&last, None, what, both("请合并同类策略", "join those of one kind")));
    }
    let rules = rules(&placed, &mut flaws);
    validate(&placed, &schema, &mut flaws);
    if !flaws.is_empty() {
        return Err(Flaws::of(flaws));
    }
    let slices = slices(&placed, &rules).map_err(|error| Flaws(vec![of_schema(&error)]))?;
    Ok(PolicyBook {
        slices,
        rules,
        names,
        parameters: parameters.clone(),
        revision: revision(files, parameters),
        files: files.iter().map(name).collect(),
        authorizer: Authorizer::new(),
    })
}

/// Parses the schema that is built in.
pub(super) fn schema() -> Result<Schema, Flaw> {
    Schema::from_cedarschema_str(SCHEMA).map(|(schema, _)| schema).map_err(|error| of_schema(&error.to_string()))
}

/// A flaw that is ours: the schema is built in, and a test parses it.
fn of_schema(error: &str) -> Flaw {
    let what = both(format!("内置模式无效：{error}"), format!("the schema that is built in is wrong: {error}"));
    let instead = both("请联系供应商", "ask the maker of this program");
    Flaw::new(std::path::Path::new("gate.cedarschema"), None, what, instead)
}

fn name(file: &PolicyFile) -> String {
    file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn parse<'a>(file: &'a PolicyFile, flaws: &mut Vec<Flaw>) -> Vec<Placed<'a>> {
    let set: PolicySet = match file.text.parse() {
        Ok(set) => set,
        Err(error) => {
            let error: cedar_policy::ParseErrors = error;
            syntax(file, &DetailedError::from(&error), flaws);
            return Vec::new();
        }
    };
    for template in set.templates() {
        let what = both("不支持带 ?principal 的模板", "templates with ?principal are not taken");
        let instead = both("请写具体的 principal 和 resource", "name principal and resource");
        let line = template.as_ref().loc().map(|loc| line_at(&file.text, loc.span.offset()));
        flaws.push(Flaw::new(&file.path, line, what, instead));
    }
    let mut policies: Vec<(usize, Policy)> = set
        .policies()
        .map(|policy| (policy.as_ref().loc().map_or(0, |loc| loc.span.offset()), policy.clone()))
        .collect();
    policies.sort_by_key(|(offset, _)| *offset);
    let mut before = 0;
    let placed = policies.into_iter().enumerate().map(|(n, (offset, policy))| {
        let line = line_at(&file.text, offset);
        // The id names file and line, so that every reason says where its policy stands; the second one of a line is told
        // apart by its number in the file.
        let id = if line == before { format!("{}:{line}#{n}", name(file)) } else { format!("{}:{line}", name(file)) };
        before = line;
        Placed { file, line, policy: policy.new_id(PolicyId::new(id)) }
    });
    placed.collect()
}

fn syntax(file: &PolicyFile, error: &DetailedError, flaws: &mut Vec<Flaw>) {
    let line = error.source_locations.first().map(|at| line_at(&file.text, at.loc.start));
    let message = &error.message;
    let what = both(format!("语法错误：{message}"), format!("syntax: {message}"));
    let example = "@code(\"…\") @verdict(\"deny\") @zh(\"…\") @en(\"…\") forbid (principal is Vehicle, action == Action::\"enter\", resource) when { … };";
    let help = error.help.clone().unwrap_or_else(|| example.to_owned());
    flaws.push(Flaw::new(&file.path, line, what, both(format!("写法：{example}"), help)));
    for related in &error.related {
        syntax(file, related, flaws);
    }
}

fn rules(placed: &[Placed<'_>], flaws: &mut Vec<Flaw>) -> BTreeMap<PolicyId, Rule> {
    let samples = base::samples();
    let mut rules = BTreeMap::new();
    for Placed { file, line, policy } in placed {
        let about = principals(policy);
        let views: Vec<View> = samples.iter().filter(|view| about.contains(&view.kind)).cloned().collect();
        if policy.effect() == Effect::Forbid
            && directions(policy) == [Direction::Out]
            && about.iter().eq([&Principal::Person])
        {
            let what = both(
                "人员离开一律放行，在任何策略之前：这条策略不起作用",
                "a person may always leave, before any policy: this one never applies",
            );
            let instead = both(
                "请删去；只想提示写 permit 加 @note(\"yes\")",
                "remove it; for a remark write a permit with @note(\"yes\")",
            );
            flaws.push(Flaw::new(&file.path, Some(*line), what, instead));
        }
        match Rule::read(policy, policy.id().to_string(), &views) {
            Ok(rule) => drop(rules.insert(policy.id().clone(), rule)),
            Err(wrong) => {
                let each = wrong.into_iter().map(|(what, instead)| Flaw::new(&file.path, Some(*line), what, instead));
                flaws.extend(each);
            }
        }
    }
    rules
}

fn validate(placed: &[Placed<'_>], schema: &Schema, flaws: &mut Vec<Flaw>) {
    let set = match PolicySet::from_policies(placed.iter().map(|placed| placed.policy.clone())) {
        Ok(set) => set,
        Err(error) => {
            flaws.push(of_schema(&error.to_string()));
            return;
        }
    };
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let place = |id: &PolicyId| placed.iter().find(|placed| placed.policy.id() == id);
    for error in result.validation_errors() {
        let Some(Placed { file, line, .. }) = place(error.policy_id()) else { continue };
        let detailed = DetailedError::from(error);
        let line = detailed.source_locations.first().map_or(*line, |at| line_at(&file.text, at.loc.start));
        let message = detailed.message;
        let help = detailed.help.unwrap_or_else(|| "gate.cedarschema has the names and types".into());
        let what = both(format!("与模式不符：{message}"), format!("against the schema: {message}"));
        let instead = both(format!("名称和类型见 gate.cedarschema（{help}）"), help);
        flaws.push(Flaw::new(&file.path, Some(line), what, instead));
    }
    for warning in result.validation_warnings() {
        if !matches!(warning, ValidationWarning::ImpossiblePolicy(_)) {
            continue;
        }
        let Some(Placed { file, line, .. }) = place(warning.policy_id()) else { continue };
        let what = both("这条策略永远不会成立", "this policy can never apply");
        let instead = both(
            "请检查 principal、action 和条件；“事实未知”不用 has 判断，用 @unknown",
            "check principal, action and conditions; a fact that is not known is met by @unknown, not by `has`",
        );
        flaws.push(Flaw::new(&file.path, Some(*line), what, instead));
    }
}

/// Who a policy is about, by its scope alone.
fn principals(policy: &Policy) -> BTreeSet<Principal> {
    match policy.principal_constraint() {
        PrincipalConstraint::Any => Principal::ALL.into_iter().collect(),
        PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => {
            request::principal(kind.basename()).into_iter().collect()
        }
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) => {
            request::principal(uid.type_name().basename()).into_iter().collect()
        }
    }
}

/// Which ways a policy is about, by its scope alone.
fn directions(policy: &Policy) -> Vec<Direction> {
    let named = |uids: &[cedar_policy::EntityUid]| {
        let is = |way: &Direction| uids.iter().any(|uid| uid.id().unescaped() == request::action(*way));
        Direction::ALL.iter().copied().filter(is).collect()
    };
    match policy.action_constraint() {
        ActionConstraint::Any => Direction::ALL.to_vec(),
        ActionConstraint::Eq(uid) => named(&[uid]),
        ActionConstraint::In(uids) => named(&uids),
    }
}

fn slices(
    placed: &[Placed<'_>],
    rules: &BTreeMap<PolicyId, Rule>,
) -> Result<BTreeMap<(Principal, Direction), Slice>, String> {
    let mut slices: BTreeMap<(Principal, Direction), Slice> = BTreeMap::new();
    for Placed { policy, .. } in placed {
        let Some(rule) = rules.get(policy.id()) else { continue };
        for principal in principals(policy) {
            for direction in directions(policy) {
                let slice = slices.entry((principal, direction)).or_default();
                let set = match rule.role {
                    Role::Forbid => &mut slice.forbids,
                    Role::Permit => &mut slice.permits,
                    Role::Note => &mut slice.notes,
                };
                set.add(policy.clone()).map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(slices)
}

/// SHA-256 over schema, parameters and files, each with its length, in hexadecimal digits.
fn revision(files: &[PolicyFile], parameters: &Parameters) -> String {
    let mut digest = Context::new(&SHA256);
    let mut take = |text: &str| {
        digest.update(&(text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    take(SCHEMA);
    // Parameters are plain values of our own: they can always be written.
    take(&serde_json::to_string(parameters).unwrap_or_default());
    for file in files {
        take(&name(file));
        take(&file.text);
    }
    digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
