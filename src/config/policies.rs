//! `policies/`: the site's own policies of the gates, their parameters and decision tables. No folder, the shipped set.
//!
//! Here the files are read and `parameters.toml` is understood; whether the policies are good [`crate::policy`] says, which
//! `app` and `tools` ask.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::folder;
use super::problem::{Findings, Problem, Problems, Spot, Words, Wrong, say};
use super::section::{Page, Section};
use super::text;
use super::value::{Kind, Span, Whole, Yes, choice_wanted, not_allowed};
use super::{text_file, toml_file};
use crate::domain::gate::word::{PersonKind, VehicleClass, ZoneClass};
use crate::domain::site::warning::WarningKind;
use crate::policy::settings::{self, Parameters, PolicyFile, Sources};

/// The folder within the configuration.
pub const FOLDER: &str = "policies";
/// What a site sets without writing a policy.
pub const PARAMETERS: &str = "parameters.toml";

/// Policy files of a site: more than one for each rule that anybody has thought of.
const MAX_FILES: usize = 200;
/// City warnings in a list.
const MAX_WARNINGS: usize = 32;
/// Longest age that can be asked of a list: beyond it there is no limit (`"0s"`).
const MAX_AGE: Duration = Duration::from_secs(31 * 86_400);

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The site's files and parameters.
    pub sources: Sources,
    /// Every file read.
    pub files: Vec<PathBuf>,
    /// What a person should look at.
    pub warnings: Vec<Problem>,
}

/// Reads the folder `policies/` of a configuration and nothing else of it.
///
/// # Errors
/// All problems when at least one of them is an error.
pub fn load(dir: &Path) -> Result<Read, Problems> {
    let (mut out, mut files) = (Findings::default(), Vec::new());
    if !dir.is_dir() {
        let path = dir.display();
        let what = say!("没有配置目录 `{path}`", "there is no configuration folder `{path}`");
        out.error(Spot::file(dir), Wrong::new(what, say!("请写配置目录", "name the folder of the configuration")));
    }
    let (sources, _) = read(dir, &mut files, &mut out);
    let errors = out.errors();
    let problems = out.sorted(&files);
    if errors > 0 { Err(Problems(problems)) } else { Ok(Read { sources, files, warnings: problems }) }
}

/// Returns the decision tables of a configuration, by name.
pub fn tables(dir: &Path) -> Vec<PathBuf> {
    folder::files_in(&dir.join(FOLDER).join("tables"), "csv", MAX_FILES)
}

/// Reads a decision table in whatever encoding Excel saved it.
///
/// # Errors
/// When it cannot be read or decoded.
pub fn table(path: &Path) -> Result<String, Problems> {
    let mut out = Findings::default();
    text_file(path, true, &mut out, text::decode).ok_or_else(|| Problems(out.sorted(&[path.to_owned()])))
}

/// Where the parameters name classes of zones: for dispatch, and for the parking.
pub(super) type Classes = (Spot, Spot);

pub(super) fn read(dir: &Path, files: &mut Vec<PathBuf>, out: &mut Findings) -> (Sources, Classes) {
    let folder = dir.join(FOLDER);
    let mut own = Vec::new();
    for path in folder::files_in(&folder, "cedar", MAX_FILES) {
        let Some(text) = text_file(&path, true, out, text::decode_utf8) else { continue };
        files.push(path.clone());
        own.push(PolicyFile { path, text });
    }
    strangers(&folder, out);
    replaced(&own, out);
    let path = folder.join(PARAMETERS);
    let parameters = toml_file(&path, false, out, parameters);
    let file = Spot::file(&path);
    files.extend(parameters.is_some().then_some(path));
    let (parameters, classes) = parameters.unwrap_or_else(|| (Parameters::default(), (file.clone(), file)));
    (Sources { own, parameters }, classes)
}

/// What lies in the folder and is not read: `lane.cedar.txt`, as an editor of Windows names it, would be a rule that nobody
/// keeps.
fn strangers(folder: &Path, out: &mut Findings) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut strange: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_strange(path)).collect();
    strange.sort();
    for path in strange {
        let what = say!("不读取此文件", "this file is not read");
        let instead = say!(
            "策略写 .cedar，参数写 {PARAMETERS}，判定表放入 tables/；否则请移走",
            "policies end in .cedar, parameters are in {PARAMETERS}, decision tables in tables/; else move it away"
        );
        out.warn(Spot::file(path), Wrong::new(what, instead));
    }
}

fn is_strange(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let known = path.extension().is_some_and(|end| end == "cedar") || name == PARAMETERS || name == "gate.cedarschema";
    path.is_file() && !known && !name.starts_with('.')
}

/// A site's file stands for the shipped one of its name, whole: what that one looked at and the site's files do not is said.
fn replaced(own: &[PolicyFile], out: &mut Findings) {
    for (file, gone) in settings::no_longer_looked_at(own) {
        let (name, gone) = (file.path.file_name().unwrap_or_default().to_string_lossy(), gone.join("、"));
        let what = say!(
            "替换了出厂的 {name}，不再检查 {gone}",
            "it stands for the shipped {name}, and looks no more at {gone}"
        );
        let instead = say!(
            "只想增加策略请换一个文件名；否则请把这几条抄来",
            "to add a policy use another file name; else take these over"
        );
        out.warn(Spot::file(&file.path), Wrong::new(what, instead));
    }
}

fn parameters(page: &Page<'_>, table: &Spanned<DeTable<'_>>, out: &mut Findings) -> (Parameters, Classes) {
    let mut root = Section::root(page, table);
    let mut all = Parameters::default();
    let age = Span(Duration::ZERO, MAX_AGE);

    let mut stale = root.section("stale", out);
    all.stale_hazmat = stale.or("hazmat", &age, all.stale_hazmat, out);
    all.stale_visitor = stale.or("visitor", &age, all.stale_visitor, out);
    all.stale_fixed = stale.or("fixed", &age, all.stale_fixed, out);
    stale.finish(&[], out);

    let mut weight = root.section("weight", out);
    all.weigh = weight.or("weigh", &CLASSES, all.weigh, out);
    let over = weight.or("over_percent", &Whole(0, 10), i64::from(all.over_percent), out);
    all.over_percent = u8::try_from(over).unwrap_or(all.over_percent);
    weight.finish(&[], out);

    let mut training = root.section("training", out);
    all.training_refer = training.or("refer", &KINDS, all.training_refer, out);
    training.finish(&[], out);

    let mut clock = root.section("clock", out);
    all.undated_persons = clock.or("undated_persons", &KINDS, all.undated_persons, out);
    all.undated_vehicles = clock.or("undated_vehicles", &ORDINARY, all.undated_vehicles, out);
    clock.finish(&[], out);

    let mut gas = root.section("gas", out);
    let level = gas.or("level", &Whole(0, 2), i64::from(all.gas_level), out);
    all.gas_level = u8::try_from(level).unwrap_or(all.gas_level);
    gas.finish(&[], out);

    let mut hazmat = root.section("hazmat", out);
    all.dispatch_zones = hazmat.or("dispatch_zones", &ZONES, all.dispatch_zones, out);
    all.parking_zones = hazmat.or("parking_zones", &ZONES, all.parking_zones, out);
    let classes = (hazmat.spot_of("dispatch_zones"), hazmat.spot_of("parking_zones"));
    all.quota = hazmat.or("quota", &Yes, all.quota, out);
    hazmat.finish(&[], out);

    let mut warnings = root.section("warnings", out);
    all.warnings_entry = warnings.or("entry", &Warnings, all.warnings_entry, out);
    all.warnings_hazmat = warnings.or("hazmat", &Warnings, all.warnings_hazmat, out);
    warnings.finish(&[], out);

    root.finish(&[], out);
    (all, classes)
}

/// A list of words of a closed list, each in English or Chinese.
struct Several<T: 'static> {
    all: &'static [T],
    read: fn(&str) -> Option<T>,
    word: fn(T) -> &'static str,
    not: fn(T) -> bool,
}

const CLASSES: Several<VehicleClass> =
    Several { all: VehicleClass::ALL, read: VehicleClass::from_name, word: VehicleClass::as_str, not: |_| false };
/// Dangerous goods never pass on a permit that may not be valid.
const ORDINARY: Several<VehicleClass> = Several { not: VehicleClass::is_hazmat, ..CLASSES };
const KINDS: Several<PersonKind> =
    Several { all: PersonKind::ALL, read: PersonKind::from_name, word: PersonKind::as_str, not: |_| false };
const ZONES: Several<ZoneClass> =
    Several { all: ZoneClass::ALL, read: ZoneClass::from_name, word: ZoneClass::as_str, not: |_| false };

impl<T: Copy + Ord> Kind for Several<T> {
    type Out = BTreeSet<T>;

    fn read(&self, value: &DeValue<'_>) -> Result<BTreeSet<T>, Wrong> {
        let words: Vec<&str> = self.all.iter().filter(|one| !(self.not)(**one)).map(|one| (self.word)(*one)).collect();
        let each = choice_wanted(&words);
        let (zh, en) = (each.zh, each.en);
        let wanted = || say!("请写列表，每项{zh}", "write a list; for each {en}");
        let items = value.as_array().ok_or_else(|| Wrong::new(say!("不是列表", "not a list"), wanted()))?;
        let one = |item: &Spanned<DeValue<'_>>| {
            let text = item.get_ref().as_str().map(str::trim).unwrap_or_default();
            (self.read)(text).filter(|one| !(self.not)(*one)).ok_or_else(|| not_allowed(text, wanted()))
        };
        items.iter().map(one).collect()
    }
}

/// City warnings with their levels: `["fire_ban:2"]`.
struct Warnings;

impl Kind for Warnings {
    type Out = BTreeSet<String>;

    fn read(&self, value: &DeValue<'_>) -> Result<BTreeSet<String>, Wrong> {
        let wanted = || -> Words {
            let kinds = WarningKind::ALL.map(WarningKind::as_str).join(", ");
            say!(
                "请写列表，如 [\"fire_ban:2\"]：种类（{kinds}）、冒号、1（最强）到 4 的级别，至多 {MAX_WARNINGS} 项",
                "write a list such as [\"fire_ban:2\"]: kind ({kinds}), colon, a level from 1 (strongest) to 4; at most {MAX_WARNINGS}"
            )
        };
        let items = value.as_array().filter(|items| items.len() <= MAX_WARNINGS);
        let items = items.ok_or_else(|| Wrong::new(say!("不是预警的列表", "not a list of warnings"), wanted()))?;
        let good = |text: &str| {
            let Some((kind, level)) = text.split_once(':') else { return false };
            let is_known = WarningKind::ALL.iter().any(|known| known.as_str() == kind);
            is_known && level.parse::<u8>().is_ok_and(|level| WarningKind::LEVELS.contains(&level))
        };
        let one = |item: &Spanned<DeValue<'_>>| {
            let text = item.get_ref().as_str().map(str::trim).unwrap_or_default();
            if good(text) { Ok(text.to_owned()) } else { Err(not_allowed(text, wanted())) }
        };
        items.iter().map(one).collect()
    }
}
