//! Templates of units: which points a reactor, a tank farm, a pond has, and what they alarm at. A site names the template and
//! the tags, and gives the limits that only its design can give; those that are missing are named.
//!
//! A template is looked for in the configuration folder's `templates/` first, then among the shipped ones, which are the files
//! of `config/templates/` built into the program.
//!
//! ```toml
//! [template]
//! name = "硝化装置"         # what the unit is called
//! source = "…"             # where points and rules are from
//! left_out = "…"           # what the template does not have, and why
//!
//! [[role]]                 # a point of the unit
//! id = "temperature"
//! name = "反应温度"
//! kind = "temperature"     # checked against the point's kind, where both are written
//! unit = ["℃"]             # units in which its limits may be meant; absent, any
//! need = true              # false: a unit may be without it
//! many = false             # true: several points, each with the alarms of the role
//!
//! [[alarm]]                # as in alarms.toml, `point` being a role
//! point = "temperature"
//! kind = "high"
//! optional = true          # limits that a design may not have: a finding where they are missing, else a mistake
//! ```
//!
//! Members of a roll-up are written `role.kind` and mean the alarms of all its points.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::draft::{self, Draft, Numbers, What, Words};
use crate::config::problem::{Findings, Spot, Wrong, say};
use crate::config::section::{Got, Page, Section, parse};
use crate::config::text::{decode_utf8, suggest};
use crate::config::value::{Code, Label, Yes, clip};
use crate::domain::registry::PointSpec;

/// The shipped templates: name, text.
const SHIPPED: [(&str, &str); 17] = [
    ("chlorination", include_str!("../../../config/templates/chlorination.toml")),
    ("coal-gas", include_str!("../../../config/templates/coal-gas.toml")),
    ("deep-well-casting", include_str!("../../../config/templates/deep-well-casting.toml")),
    ("diazotisation", include_str!("../../../config/templates/diazotisation.toml")),
    ("drainage", include_str!("../../../config/templates/drainage.toml")),
    ("dual-power", include_str!("../../../config/templates/dual-power.toml")),
    ("dust-collector", include_str!("../../../config/templates/dust-collector.toml")),
    ("fire-fighting", include_str!("../../../config/templates/fire-fighting.toml")),
    ("fluorination", include_str!("../../../config/templates/fluorination.toml")),
    ("nitration", include_str!("../../../config/templates/nitration.toml")),
    ("peroxidation", include_str!("../../../config/templates/peroxidation.toml")),
    ("steam", include_str!("../../../config/templates/steam.toml")),
    ("tailings-dry", include_str!("../../../config/templates/tailings-dry.toml")),
    ("tailings-wet", include_str!("../../../config/templates/tailings-wet.toml")),
    ("tank-farm", include_str!("../../../config/templates/tank-farm.toml")),
    ("waste-water", include_str!("../../../config/templates/waste-water.toml")),
    ("water", include_str!("../../../config/templates/water.toml")),
];

/// The folder below the configuration folder.
pub(crate) const FOLDER: &str = "templates";
/// Where a problem says that a shipped template stands.
const SHIPPED_AS: &str = "(shipped) templates";

/// One `[[unit]]`.
#[derive(Debug)]
pub(super) struct Unit {
    spot: Spot,
    template: Got<String>,
    id: String,
    name: String,
    /// Tags by role.
    points: Vec<(String, Got<Vec<String>>)>,
    /// Limits by role and kind.
    limits: BTreeMap<(String, String), Got<Vec<f64>>>,
    zone: Option<Got<String>>,
    hazard_source: Option<Got<String>>,
}

/// One template.
#[derive(Debug)]
pub(super) struct Template {
    roles: Vec<Role>,
    alarms: Vec<(Draft, bool)>,
}

#[derive(Debug)]
struct Role {
    id: String,
    name: String,
    kind: Option<String>,
    units: Vec<String>,
    need: bool,
    many: bool,
}

/// Reads a `[[unit]]` of `alarms.toml`.
pub(super) fn unit(mut section: Section<'_>, out: &mut Findings) -> Option<Unit> {
    let spot = section.spot();
    let template = section.need("template", &Label(64), "\"nitration\"", out);
    let id = section.need("id", &Code(64), "\"R-101\"", out);
    let name = section.read("name", &Label(64), out).map(|got| got.value);
    let points = section.section("points", out).all(&Words, out);
    let points = points.into_iter().filter_map(|(role, got)| Some((role, Got { value: got.value?, spot: got.spot })));
    let mut limits = BTreeMap::new();
    for (role, _, section) in section.section("limits", out).tables(out) {
        for (kind, got) in section.all(&Numbers, out) {
            if let Some(value) = got.value {
                limits.insert((role.clone(), kind), Got { value, spot: got.spot });
            }
        }
    }
    let zone = section.read("zone", &Code(64), out);
    let hazard_source = section.read("hazard_source", &Code(64), out);
    let points = points.collect();
    section.finish(&[], out);
    let id = id?.value;
    Some(Unit {
        spot,
        template: template?,
        name: name.unwrap_or_else(|| id.clone()),
        id,
        points,
        limits,
        zone,
        hazard_source,
    })
}

/// Templates in use, by name; `None` where there is none, or where it is wrong.
#[derive(Debug, Default)]
pub(super) struct Library {
    read: BTreeMap<String, Option<Template>>,
    /// The site's own that were read.
    pub(super) files: Vec<PathBuf>,
}

impl Library {
    /// Returns a template, reading it when it is asked for the first time.
    fn get(&mut self, dir: &Path, named: &Got<String>, out: &mut Findings) -> Option<&Template> {
        let name = &named.value;
        if !self.read.contains_key(name) {
            let template = self.load(dir, named, out);
            self.read.insert(name.clone(), template);
        }
        self.read.get(name)?.as_ref()
    }

    fn load(&mut self, dir: &Path, named: &Got<String>, out: &mut Findings) -> Option<Template> {
        let name = &named.value;
        let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let path = dir.join(FOLDER).join(format!("{name}.toml"));
        if is_plain && path.is_file() {
            let text = crate::config::text_file(&path, true, out, decode_utf8)?;
            self.files.push(path.clone());
            return template(&path, &text, out);
        }
        if let Some((_, text)) = SHIPPED.iter().find(|(known, _)| known == name) {
            return template(&Path::new(SHIPPED_AS).join(format!("{name}.toml")), text, out);
        }
        let (shown, known) = (clip(name), SHIPPED.map(|(known, _)| known));
        let what = say!("没有单元模板 `{shown}`", "there is no template `{shown}`");
        let list = known.join(", ");
        let instead = match suggest(name, known) {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None => say!(
                "请写 {list} 之一，或把自己的模板放入 {FOLDER}/",
                "write one of {list}, or put a template of your own into {FOLDER}/"
            ),
        };
        out.error(named.spot.clone(), Wrong::new(what, instead));
        None
    }

    /// Makes the alarms of a unit: those of `alarms.toml`, their points by tag. `point` finds a point by its tag.
    pub(super) fn instantiate<'p>(
        &mut self,
        dir: &Path,
        unit: &Unit,
        point: impl Fn(&str) -> Option<&'p PointSpec>,
        out: &mut Findings,
    ) -> Vec<Draft> {
        let Some(template) = self.get(dir, &unit.template, out) else { return Vec::new() };
        check_roles(unit, template, &point, out);
        check_limits(unit, template, out);
        check_halves(unit, template, out);
        template.alarms.iter().flat_map(|(draft, optional)| made(unit, template, draft, *optional)).collect()
    }
}

fn template(path: &Path, text: &str, out: &mut Findings) -> Option<Template> {
    let page = Page::new(path, text);
    let table = parse(&page, text, out)?;
    let mut root = Section::root(&page, &table);
    let mut head = root.section("template", out);
    head.need("name", &Label(64), "\"…\"", out);
    head.need("source", &Label(600), "\"…\"", out);
    head.read("left_out", &Label(600), out);
    head.finish(&[], out);
    let roles: Vec<Role> = root.each("role", out).into_iter().filter_map(|section| role(section, out)).collect();
    let mut alarms = Vec::new();
    for mut section in root.each("alarm", out) {
        let optional = section.or("optional", &Yes, false, out);
        let spot = section.spot();
        if let Some(draft) = draft::read(section, out) {
            check_names(&draft, &roles, spot, out);
            alarms.push((draft, optional));
        }
    }
    root.finish(&[], out);
    Some(Template { roles, alarms })
}

fn role(mut section: Section<'_>, out: &mut Findings) -> Option<Role> {
    let id = section.need("id", &Code(48), "\"temperature\"", out);
    let name = section.need("name", &Label(64), "\"…\"", out);
    let kind = section.read("kind", &Label(64), out).map(|got| got.value);
    let units = section.read("unit", &Words, out).map(|got| got.value).unwrap_or_default();
    let need = section.or("need", &Yes, true, out);
    let many = section.or("many", &Yes, false, out);
    section.finish(&[], out);
    Some(Role { id: id?.value, name: name?.value, kind, units, need, many })
}

/// Every name in a template's alarm is a role of it.
fn check_names(draft: &Draft, roles: &[Role], spot: Spot, out: &mut Findings) {
    let known = |name: &str| roles.iter().any(|role| role.id == name);
    let mut names: Vec<&str> = draft.point.iter().map(|got| got.value.as_str()).collect();
    names.extend(draft.suppressed_when.iter().map(|asked| asked.point.value.as_str()));
    names.extend(beside(&draft.what));
    if let What::RollUp { members, .. } = &draft.what {
        names.extend(members.iter().map(|member| member.split_once('.').map_or(member.as_str(), |(role, _)| role)));
    }
    for name in names.into_iter().filter(|name| !known(name)) {
        let name = clip(name);
        let what = say!("模板没有角色 `{name}`", "the template has no role `{name}`");
        out.error(spot.clone(), Wrong::new(what, say!("请写一节 [[role]]", "write a [[role]] of it")));
    }
}

fn check_roles<'p>(
    unit: &Unit,
    template: &Template,
    point: &impl Fn(&str) -> Option<&'p PointSpec>,
    out: &mut Findings,
) {
    let name = &unit.template.value;
    for (role, tags) in &unit.points {
        let Some(known) = template.roles.iter().find(|known| known.id == *role) else {
            let list = template.roles.iter().map(|role| role.id.as_str()).collect::<Vec<_>>().join(", ");
            let shown = clip(role);
            let what = say!("模板 `{name}` 没有角色 `{shown}`", "the template `{name}` has no role `{shown}`");
            let instead = match suggest(role, template.roles.iter().map(|role| role.id.as_str())) {
                Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
                None => say!("可写：{list}", "known: {list}"),
            };
            out.error(tags.spot.clone(), Wrong::new(what, instead));
            continue;
        };
        if tags.value.len() > 1 && !known.many {
            let what = say!("角色 `{role}` 只有一个测点", "the role `{role}` has one point only");
            out.error(tags.spot.clone(), Wrong::new(what, say!("请写一个位号", "write one tag")));
        }
        for spec in tags.value.iter().filter_map(|tag| point(tag)) {
            check_fits(known, spec, &tags.spot, out);
        }
    }
    let given = |role: &Role| unit.points.iter().any(|(id, _)| *id == role.id);
    for role in template.roles.iter().filter(|role| role.need && !given(role)) {
        let (id, zh, unit_id) = (&role.id, &role.name, &unit.id);
        let what = say!("单元 {unit_id} 缺测点“{zh}”", "unit {unit_id} has no point `{id}`");
        let instead = say!("请在 points 加上 {id} = \"位号\"", "add {id} = \"TAG\" to `points`");
        out.error(unit.spot.clone(), Wrong::new(what, instead));
    }
}

fn check_fits(role: &Role, spec: &PointSpec, spot: &Spot, out: &mut Findings) {
    let (id, tag) = (&role.id, &spec.tag);
    if !role.units.is_empty() && !role.units.contains(&spec.unit) {
        let (unit, list) = (&spec.unit, role.units.join(", "));
        let what = say!("`{id}` 的测点 {tag} 单位是 `{unit}`", "`{id}` is {tag}, in `{unit}`");
        let instead = say!(
            "此角色的单位须为 {list}：请改正位号或换算",
            "this role is measured in {list}: correct the tag, or convert it"
        );
        out.error(spot.clone(), Wrong::new(what, instead));
    }
    let other = role.kind.as_deref().zip(super::limits::kind(spec)).filter(|(wanted, is)| wanted != is);
    if let Some((wanted, is)) = other {
        let what = say!("`{id}` 的测点 {tag} 类型是 `{is}`", "`{id}` is {tag}, a point of kind `{is}`");
        let instead = say!("此角色应为 {wanted}：位号是否写错？", "the role wants {wanted}: is the tag right?");
        out.warn(spot.clone(), Wrong::new(what, instead));
    }
}

/// Limits of what the template does not alarm at.
fn check_limits(unit: &Unit, template: &Template, out: &mut Findings) {
    let takes = |draft: &Draft, role: &str, kind: &str| {
        draft.what.has_limits() && draft.point.as_ref().is_some_and(|point| point.value == role) && word(draft) == kind
    };
    for ((role, kind), got) in &unit.limits {
        if !template.alarms.iter().any(|(draft, _)| takes(draft, role, kind)) {
            let known = template.alarms.iter().filter(|(draft, _)| draft.what.has_limits());
            let known = known.filter_map(|(draft, _)| Some(format!("{}.{}", draft.point.as_ref()?.value, word(draft))));
            let (list, role, kind) = (known.collect::<Vec<_>>().join(", "), clip(role), clip(kind));
            let what = say!("模板没有报警 `{role}.{kind}`", "the template has no alarm `{role}.{kind}`");
            out.error(got.spot.clone(), Wrong::new(what, say!("可写限值的：{list}", "alarms with limits: {list}")));
        }
    }
}

/// The last part of the alarm's id.
fn word(draft: &Draft) -> &str {
    draft.id.as_ref().map_or(draft.what.word(), |id| id.value.as_str())
}

/// The roles at which an alarm looks beside its own.
fn beside(what: &What) -> Vec<&str> {
    if let What::All(all) = what {
        all.iter().map(|asked| asked.point.value.as_str()).collect()
    } else if let What::DeviationFromPoint(other) = what {
        vec![&other.value]
    } else {
        Vec::new()
    }
}

/// Says which alarms there will not be although some of what they look at is given: whoever gave it expects them.
fn check_halves(unit: &Unit, template: &Template, out: &mut Findings) {
    let given = |role: &str| unit.points.iter().find(|(id, _)| id == role).map(|(_, tags)| &tags.spot);
    for (draft, _) in &template.alarms {
        let others = beside(&draft.what);
        if others.is_empty() {
            continue;
        }
        let own = draft.point.iter().map(|role| role.value.as_str());
        let together: Vec<&str> = own.chain(others).collect();
        let Some((is, spot)) = together.iter().find_map(|role| Some((*role, given(role)?))) else { continue };
        let Some(missing) = together.iter().find(|role| given(role).is_none()) else { continue };
        let (id, word) = (&unit.id, word(draft));
        out.warn(
            spot.clone(),
            Wrong::new(
                say!(
                    "单元 `{id}` 给了角色 `{is}` 而没有 `{missing}`：不会有报警 `{word}`",
                    "the unit `{id}` gives the role `{is}` and not `{missing}`: there will be no alarm `{word}`"
                ),
                say!(
                    "请写 `{missing}`（测点，或 derived.toml 的表决）；确无此项时可不理会",
                    "write `{missing}` (a point, or a vote of derived.toml), or let it be where there is none"
                ),
            ),
        );
    }
}

/// One alarm of the template for each point of its role; none where the unit does without what it needs.
fn made(unit: &Unit, template: &Template, draft: &Draft, optional: bool) -> Vec<Draft> {
    let tags = |role: &str| unit.points.iter().find(|(id, _)| id == role).map(|(_, tags)| tags);
    let tag = |role: &Got<String>| {
        let tags = tags(&role.value)?;
        Some(Got { value: tags.value.first()?.clone(), spot: tags.spot.clone() })
    };
    let asked = |asked: &draft::Asked| Some(draft::Asked { point: tag(&asked.point)?, test: asked.test });
    let what = if let What::All(all) = &draft.what {
        all.iter().map(asked).collect::<Option<Vec<_>>>().map(What::All)
    } else if let What::DeviationFromPoint(point) = &draft.what {
        tag(point).map(What::DeviationFromPoint)
    } else if let What::RollUp { members, rules } = &draft.what {
        Some(What::RollUp { members: members_of(unit, members), rules: rules.clone() })
    } else {
        Some(draft.what.clone())
    };
    let Some(what) = what else { return Vec::new() };
    let text = draft.text.as_deref().unwrap_or_default();
    let common = Draft {
        spot: unit.spot.clone(),
        what,
        suppressed_when: draft.suppressed_when.as_ref().and_then(asked),
        zone: draft.zone.clone().or_else(|| unit.zone.clone()),
        group: draft.group.as_ref().map(|group| format!("{}.{group}", unit.id)),
        hazard_source: draft.hazard_source.clone().or_else(|| unit.hazard_source.clone()),
        text: Some(format!("{} {text}", unit.name)),
        ..draft.clone()
    };
    let Some(role) = &draft.point else {
        let id = format!("{}.{}", unit.id, word(draft));
        let whole = matches!(&common.what, What::RollUp { members, .. } if members.is_empty());
        let id = Some(Got { value: id, spot: unit.spot.clone() });
        return if whole { Vec::new() } else { vec![Draft { id, ..common }] };
    };
    let Some(points) = tags(&role.value) else { return Vec::new() };
    let given = unit.limits.get(&(role.value.clone(), word(draft).to_owned())).cloned();
    let name = template.roles.iter().find(|known| known.id == role.value).map_or("", |known| known.name.as_str());
    let wanted =
        draft::Wanted { how: format!("limits.{}.{} = [..]", role.value, word(draft)), name: name.to_owned(), optional };
    let one = |tag: &String| Draft {
        point: Some(Got { value: tag.clone(), spot: points.spot.clone() }),
        limits: given.clone().or_else(|| draft.limits.clone()),
        wanted: Some(wanted.clone()),
        ..common.clone()
    };
    points.value.iter().map(one).collect()
}

/// `role.kind` to the ids of all points of the role.
fn members_of(unit: &Unit, members: &[String]) -> Vec<String> {
    let of = |member: &String| {
        let (role, kind) = member.split_once('.').unwrap_or((member, "high"));
        let tags = unit.points.iter().find(|(id, _)| id == role).map(|(_, tags)| tags.value.clone());
        tags.into_iter().flatten().map(|tag| format!("{tag}.{kind}")).collect::<Vec<_>>()
    };
    members.iter().flat_map(of).collect()
}
