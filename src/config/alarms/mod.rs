//! The configuration of alarms: the limit columns of the point table, `oel.csv`, `alarms.toml` and the templates, made into
//! an [`AlarmBook`].
//!
//! ```text
//! points.csv ─▶ cells ─▶ gas, limits ◀─ oel.csv        clauses: domain::alarm::setpoint
//!                            │
//! alarms.toml ─▶ file ─▶ rules ─────▶ build ─▶ AlarmBook, findings
//!                  └──▶ draft ──▶ assemble ─┘
//! templates/*.toml ──▶ templates ──┘
//! ```
//!
//! A *problem* is a mistake or what the clause recommends otherwise; a *finding* is what a person should rationalise: a gas
//! detector without set points or without `frozen`, a point of a major hazard source without limits. Findings are told by
//! `check`, on request and in the log, and keep nothing from starting.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Findings, Problem, Spot, Wrong, say};
use crate::domain::alarm::severity::Class;
use crate::domain::alarm::spec::{AlarmBook, PointRef};
use crate::domain::registry::{Commissioning, DeviceSpec, PointSpec};
use crate::field::settings::Source;

mod assemble;
mod build;
pub(super) mod cells;
mod channel;
mod detectors;
mod draft;
pub(super) mod file;
mod gas;
mod limits;
pub(super) mod oel;
pub(super) mod reach;
mod rules;
mod stand_in;
mod templates;

use build::Builder;
use cells::Cells;
use rules::Rules;
pub use rules::{Channel, Via};

/// What the configuration says of alarms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alarms {
    /// All alarms; the revision still 0.
    pub book: Arc<AlarmBook>,
    /// The ways by which people are told; `page` and `platform` always.
    pub channels: Vec<Channel>,
    /// What a person should rationalise.
    pub findings: Vec<Problem>,
}

/// What the book is built of, beside `alarms.toml`.
pub(super) struct Sources<'a> {
    /// The configuration folder.
    pub(super) dir: &'a Path,
    /// Devices and points as the registry has them.
    pub(super) specs: &'a [Arc<DeviceSpec>],
    /// What the limit columns say, by device and ordinal.
    pub(super) cells: &'a [Vec<Option<Box<Cells>>>],
    /// Exposure limits.
    pub(super) oel: oel::Oel,
    /// Zones of the site; `None` where it has no file.
    pub(super) zones: Option<&'a BTreeSet<String>>,
    /// What is read, and by which ways: a modem needs a port of its own.
    pub(super) devices: &'a [Source],
    /// The folder's files in the order in which their problems are told.
    pub(super) files: &'a [PathBuf],
}

/// Builds the book. Returns with it the site's own templates that were read.
pub(super) fn build(
    file: Option<file::AlarmsFile>,
    sources: Sources<'_>,
    out: &mut Findings,
) -> (Alarms, Vec<PathBuf>) {
    let file = file.unwrap_or_default();
    let Sources { dir, specs, cells, mut oel, zones, devices, files } = sources;
    oel.celsius = file.rules.celsius;
    for (id, spot) in &file.channels {
        let channel = file.rules.channels.iter().find(|channel| channel.id == *id);
        channel.iter().for_each(|channel| channel::check_port(channel, spot, devices, out));
    }
    let mut notes = Findings::default();
    let mut builder = Builder::new(specs, &file.rules, zones);
    let gases = builder.take_cells(cells, &oel, out, &mut notes);
    let mut library = templates::Library::default();
    for unit in &file.units {
        let drafts = {
            let point = |tag: &str| builder.by_tag.get(tag).and_then(|at| builder.point(*at)).map(|(_, spec)| spec);
            library.instantiate(dir, unit, point, out)
        };
        drafts.iter().for_each(|draft| builder.add_draft(draft, out, &mut notes));
    }
    file.drafts.iter().for_each(|draft| builder.add_draft(draft, out, &mut notes));
    builder.add_unasked(&gases);
    builder.check_stand_ins(out);
    note_without_limits(specs, &builder.book, &mut notes, files);
    note_never_frozen(specs, &builder.book, &mut notes, files);
    note_without_persons(specs, &file.rules, &mut notes, files);
    note_unverified(specs, cells, &oel, &mut notes, files);
    check_book(&builder.book, out);
    let book = Arc::new(builder.book);
    let channels = file.rules.channels;
    (Alarms { book, channels, findings: notes.sorted(files) }, library.files)
}

/// Writes gas and limits of each point into the registry, as the alarms have them.
pub(super) fn told(
    specs: Vec<Arc<DeviceSpec>>,
    book: &AlarmBook,
    cells: &[Vec<Option<Box<Cells>>>],
) -> Vec<Arc<DeviceSpec>> {
    let mut limits: BTreeMap<PointRef, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for alarm in &book.alarms {
        let levels: Vec<f64> = alarm.levels.iter().filter_map(|level| level.limit).collect();
        if let Some(at) = alarm.subject.point().filter(|_| !levels.is_empty()) {
            limits.entry(at).or_default().insert(alarm.condition.word().to_owned(), levels);
        }
    }
    let gas = |device: usize, ordinal: u16| {
        Some(cells.get(device)?.get(usize::from(ordinal))?.as_ref()?.gas.as_ref()?.value.clone())
    };
    let told = |(index, spec): (usize, Arc<DeviceSpec>)| {
        let mut device = (*spec).clone();
        for (ordinal, point) in (0..=u16::MAX).zip(&mut device.points) {
            point.platform.gas = gas(index, ordinal);
            point.platform.limits = limits.remove(&PointRef { device: index, ordinal }).unwrap_or_default();
        }
        if device == *spec { spec } else { Arc::new(device) }
    };
    specs.into_iter().enumerate().map(told).collect()
}

/// What no book may contain was found above, with its place; this is the second look, without one.
fn check_book(book: &AlarmBook, out: &mut Findings) {
    if out.errors() > 0 {
        return;
    }
    for problem in book.problems() {
        let (alarm, wrong) = (&problem.alarm, problem.what);
        let what = say!("报警 `{alarm}`：{wrong}", "alarm `{alarm}`: {wrong}");
        out.error(Spot::file(file::FILE), Wrong::new(what, say!("请改正", "correct it")));
    }
}

/// Codes of hazard sources without their three responsible persons (rule 101).
fn note_without_persons(specs: &[Arc<DeviceSpec>], rules: &Rules, notes: &mut Findings, files: &[PathBuf]) {
    let points = specs.iter().flat_map(|device| &device.points);
    let codes: BTreeSet<&str> = points.filter_map(|point| point.platform.hazard_source.as_deref()).collect();
    let place = files.iter().find(|path| path.ends_with(file::FILE)).map_or(Path::new(file::FILE), |path| path);
    for code in codes.into_iter().filter(|code| rules.source(code).is_none()) {
        let what = say!(
            "重大危险源 `{code}` 没有写三名包保责任人",
            "the three responsible persons of hazard source `{code}` are not written"
        );
        let instead = say!(
            "请在 alarms.toml 写 [[hazard_source]]（规则 101）",
            "write a [[hazard_source]] in alarms.toml (rule 101)"
        );
        notes.warn(Spot::file(place), Wrong::new(what, instead));
    }
}

/// Rows of the OEL table by which set points are judged, and which nobody has verified.
fn note_unverified(
    specs: &[Arc<DeviceSpec>],
    cells: &[Vec<Option<Box<Cells>>>],
    oel: &oel::Oel,
    notes: &mut Findings,
    files: &[PathBuf],
) {
    let points = specs.iter().zip(cells).flat_map(|(device, cells)| device.points.iter().zip(cells));
    let toxic = points.filter(|(point, _)| gas::gas_only(&point.unit).is_none());
    let gases = toxic.filter_map(|(_, cells)| cells.as_ref()?.gas.as_ref());
    let rows = gases.filter_map(|gas| oel.find(&gas.value)).filter(|row| row.verified_by.is_none());
    let names: BTreeSet<&str> = rows.map(|row| row.gas.as_str()).collect();
    if names.is_empty() {
        return;
    }
    let place = files.iter().find(|path| path.ends_with(oel::FILE)).map_or(Path::new(oel::FILE), |path| path);
    let list = names.into_iter().collect::<Vec<_>>().join(", ");
    let what = say!(
        "oel.csv 中 {list} 的限值没有核对人，报警值超过时只警告",
        "nobody has verified the limits of {list} in oel.csv: set points beyond them only warn"
    );
    let instead = say!(
        "请对照 GBZ 2.1 和 GB/T 50493 附录 B 核对，填上核对人",
        "compare them with GBZ 2.1 and Appendix B of GB/T 50493, and put in who did"
    );
    notes.warn(Spot::file(place), Wrong::new(what, instead));
}

/// Kinds of points that measure what a major hazard source must be watched for (rule 98).
const MEASURED: [&str; 5] = ["temperature", "pressure", "level", "flow", "composition"];

/// Points of major hazard sources that nobody has given a limit.
fn note_without_limits(specs: &[Arc<DeviceSpec>], book: &AlarmBook, notes: &mut Findings, files: &[PathBuf]) {
    let limited = book.alarms.iter().filter(|alarm| alarm.condition.has_limits());
    let limited: BTreeSet<PointRef> = limited.filter_map(|alarm| alarm.subject.point()).collect();
    let table = files.iter().find(|file| file.ends_with(super::POINTS)).map_or(Path::new(super::POINTS), |file| file);
    let wanted = |spec: &PointSpec| {
        spec.platform.hazard_source.is_some()
            && limits::kind(spec).is_some_and(|kind| MEASURED.contains(&kind))
            && matches!(spec.commissioning, Commissioning::InService | Commissioning::Commissioning)
    };
    for (device, spec) in specs.iter().enumerate() {
        for (ordinal, point) in (0..=u16::MAX).zip(&spec.points).filter(|(_, point)| wanted(point)) {
            if limited.contains(&PointRef { device, ordinal }) {
                continue;
            }
            let (tag, name) = (&point.tag, &point.name);
            let what = say!(
                "重大危险源测点 {tag}（{name}）没有报警限值",
                "{tag} belongs to a major hazard source and has no limits"
            );
            let instead = say!(
                "请写低低报、低报、高报、高高报中应有的（规则 99）",
                "write those of ll, l, h and hh that it needs (rule 99)"
            );
            notes.warn(Spot::file(table), Wrong::new(what, instead));
        }
    }
}

/// Tags of one device that a finding names.
const N_NAMED: usize = 3;

/// Gas detectors that may stand still for ever: one that is stuck reads like clean air. One finding for each device, as a
/// controller has many channels.
fn note_never_frozen(specs: &[Arc<DeviceSpec>], book: &AlarmBook, notes: &mut Findings, files: &[PathBuf]) {
    let may_stand_still = |spec: &PointSpec| {
        matches!(spec.commissioning, Commissioning::InService | Commissioning::Commissioning)
            && spec.instrument.as_ref().is_none_or(|instrument| instrument.frozen.is_none())
    };
    let mut by_device: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for at in book.detectors.iter().map(|detector| detector.at) {
        let spec = specs.get(at.device).and_then(|device| device.points.get(usize::from(at.ordinal)));
        if let Some(spec) = spec.filter(|spec| may_stand_still(spec)) {
            by_device.entry(at.device).or_default().push(spec.tag.as_str());
        }
    }
    let table = files.iter().find(|file| file.ends_with(super::POINTS)).map_or(Path::new(super::POINTS), |file| file);
    for (device, tags) in by_device {
        let Some(id) = specs.get(device).map(|device| &device.id) else { continue };
        let n = tags.len();
        let more = if n > N_NAMED { ", …" } else { "" };
        let named = tags.into_iter().take(N_NAMED).collect::<Vec<_>>().join(", ");
        let what = say!(
            "设备 {id} 有 {n} 个气体测点没有写冻结时限（{named}{more}）：探测器卡住时没有人知道",
            "{n} gas points of device {id} have no `frozen` ({named}{more}): nobody would notice a detector that is stuck"
        );
        let instead = say!(
            "请在“冻结时限”列写，如 24h except 0（规则 89）",
            "fill in the column frozen, e.g. 24h except 0 (rule 89)"
        );
        notes.warn(Spot::file(table), Wrong::new(what, instead));
    }
}

/// Returns the folder of the site's own templates, to be watched for changes.
pub(super) fn templates_folder() -> &'static str {
    templates::FOLDER
}

/// Findings shown at once; a table without a single limit has thousands.
const N_SHOWN: usize = 20;

impl std::fmt::Display for Alarms {
    /// How many alarms of which class, and what should be rationalised; each line Chinese first.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let total = self.book.alarms.len();
        let of = |class: Class| self.book.alarms.iter().filter(|alarm| alarm.class == class).count();
        let counted: Vec<_> = Class::ALL.into_iter().map(|(class, en, zh)| (of(class), en, zh)).collect();
        let list = |word: fn(&(usize, &'static str, &'static str)) -> &'static str, joint: &str| {
            let present = counted.iter().filter(|(n, ..)| *n > 0);
            present.map(|entry| format!("{} {}", word(entry), entry.0)).collect::<Vec<_>>().join(joint)
        };
        let (zh, en) = (list(|entry| entry.2, "，"), list(|entry| entry.1, ", "));
        writeln!(f, "报警 {total} 个：{zh} | {total} alarms: {en}")?;
        let detectors = self.book.detectors.len();
        let told = self.book.detectors.iter().filter(|detector| !detector.bits.is_empty()).count();
        if detectors > 0 {
            writeln!(
                f,
                "气体探测器 {detectors} 个，其中 {told} 个有控制器自己的报警位 | {detectors} gas detectors, {told} with their controller's own alarm bits"
            )?;
        }
        for finding in self.findings.iter().take(N_SHOWN) {
            let Problem { what, instead, .. } = finding;
            writeln!(f, "待合理化：{}；{} | to rationalise: {}; {}", what.zh, instead.zh, what.en, instead.en)?;
        }
        if let Some(more) = self.findings.len().checked_sub(N_SHOWN).filter(|more| *more > 0) {
            writeln!(f, "待合理化：另有 {more} 项 | to rationalise: {more} more")?;
        }
        Ok(())
    }
}
