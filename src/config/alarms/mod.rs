//! The configuration of alarms: the limit columns of the point table, `oel.csv`, `alarms.toml` and the templates, made into
//! an [`AlarmBook`].
//!
//! ```text
//! points.csv ─▶ cells ─▶ gas, limits ◀─ oel.csv        clauses: domain::alarm::setpoint
//!                            │
//! alarms.toml ─▶ rules ──────┴─▶ build ─▶ AlarmBook, findings
//! ```
//!
//! A *problem* is a mistake or what the clause recommends otherwise; a *finding* is what a person should rationalise: a gas
//! detector without set points, a point of a major hazard source without limits. Findings are told by `check`, on request and
//! in the log, and keep nothing from starting.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::problem::{Findings, Problem, Spot, Wrong, say};
use crate::domain::alarm::severity::Class;
use crate::domain::alarm::spec::{AlarmBook, PointRef};
use crate::domain::registry::{Commissioning, DeviceSpec, PointSpec};

mod build;
pub(super) mod cells;
mod gas;
mod limits;
pub(super) mod oel;
mod rules;

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

/// Builds the book from what was read of the points.
pub(super) fn build(
    specs: &[Arc<DeviceSpec>],
    cells: &[Vec<Option<Box<Cells>>>],
    oel: &oel::Oel,
    files: &[std::path::PathBuf],
    out: &mut Findings,
) -> Alarms {
    let rules = Rules::default();
    let mut notes = Findings::default();
    let mut builder = Builder::new(specs, &rules);
    let gases = builder.take_cells(cells, oel, out, &mut notes);
    builder.add_unasked(&gases);
    note_without_limits(specs, &builder.book, &mut notes, files);
    let channels = rules.channels.clone();
    Alarms { book: Arc::new(builder.book), channels, findings: notes.sorted(files) }
}

/// Kinds of points that measure what a major hazard source must be watched for (rule 98).
const MEASURED: [&str; 5] = ["temperature", "pressure", "level", "flow", "composition"];

/// Points of major hazard sources that nobody has given a limit.
fn note_without_limits(
    specs: &[Arc<DeviceSpec>],
    book: &AlarmBook,
    notes: &mut Findings,
    files: &[std::path::PathBuf],
) {
    let alarmed: BTreeMap<PointRef, ()> = book.alarms.iter().filter_map(|a| Some((a.subject.point()?, ()))).collect();
    let table = files.iter().find(|file| file.ends_with(super::POINTS)).map_or(Path::new(super::POINTS), |file| file);
    let wanted = |spec: &PointSpec| {
        spec.platform.hazard_source.is_some()
            && limits::kind(spec).is_some_and(|kind| MEASURED.contains(&kind))
            && matches!(spec.commissioning, Commissioning::InService | Commissioning::Commissioning)
    };
    for (device, spec) in specs.iter().enumerate() {
        for (ordinal, point) in (0..=u16::MAX).zip(&spec.points).filter(|(_, point)| wanted(point)) {
            if alarmed.contains_key(&PointRef { device, ordinal }) {
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
