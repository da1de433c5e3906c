//! `derived.toml`: points computed from others. A closed set of formulas ([`crate::domain::derived`]), no scripting.
//!
//! They stand on a device of their own, [`DEVICE`], which has no link, and go through report by exception, feed, page and
//! trend like any point.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Findings, Spot, Wrong, say};
use super::section::{Got, Page, Section};
use super::text::suggest;
use super::value::{Choice, Code, Kind, Label, Ratio, Span, Whole, label};
use crate::domain::derived::{Derived, Formula, Limit, ppm_to_mg};
use crate::domain::id::{DeviceId, PointUid, Tag};
use crate::domain::instrument::Instrument;
use crate::domain::registry::{Commissioning, Deadband, DeviceSpec, PlatformCodes, PointSpec};
use crate::field::settings::Source;

/// Id of the device of all derived points.
pub(super) const DEVICE: &str = "derived";

/// Derived points of a gateway: far more than a park has votes and sums.
const MAX_POINTS: usize = 5000;
/// Inputs of one point; a sum over a tank farm.
const MAX_INPUTS: usize = 200;

const FORMULAS: [&str; 9] = ["sum", "mean", "min", "max", "difference", "ratio", "rate", "convert", "vote"];

/// A list of tags.
struct Tags;

impl Kind for Tags {
    type Out = Vec<String>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
        let wrong = || {
            let wanted =
                say!("请写 [\"位号\", …]，1 到 {MAX_INPUTS} 个", "write [\"TAG\", …], 1 to {MAX_INPUTS} of them");
            Wrong::new(say!("不是位号的列表", "not a list of tags"), wanted)
        };
        let items = value.as_array().filter(|a| (1..=MAX_INPUTS).contains(&a.len())).ok_or_else(wrong)?;
        items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(wrong)
    }
}

/// One `[[point]]`.
#[derive(Debug)]
pub(super) struct Row {
    spot: Spot,
    inputs: Got<Vec<String>>,
    formula: Formula,
    spec: PointSpec,
}

/// Reads the file.
pub(super) fn read(page: &Page<'_>, table: &Spanned<DeTable<'_>>, out: &mut Findings) -> Vec<Row> {
    let mut root = Section::root(page, table);
    let rows: Vec<Row> = root.each("point", out).into_iter().filter_map(|section| row(section, out)).collect();
    root.finish(&[], out);
    if rows.len() > MAX_POINTS {
        let what = say!("派生测点超过 {MAX_POINTS} 个", "more than {MAX_POINTS} derived points");
        out.error(
            root_spot(page, table),
            Wrong::new(what, say!("请分到多台网关", "spread them over several gateways")),
        );
    }
    rows
}

fn root_spot(page: &Page<'_>, table: &Spanned<DeTable<'_>>) -> Spot {
    Section::root(page, table).spot()
}

fn row(mut section: Section<'_>, out: &mut Findings) -> Option<Row> {
    let spot = section.spot_of("uid");
    let uid = section.need("uid", &Code(64), "\"der-1\"", out);
    let tag = section.need("tag", &Label(64), "\"GD-7.VOTE\"", out);
    let name = section.need("name", &Label(128), "\"…\"", out);
    let unit = section.read("unit", &Label(16), out).map(|got| got.value).unwrap_or_default();
    let inputs = section.need("inputs", &Tags, "[\"GD-701\", \"GD-702\"]", out);
    let word = section.need("formula", &Choice(&FORMULAS), "\"sum\"", out);
    let formula = word.and_then(|word| formula(word.value, &mut section, out));
    let decimals = section.or("decimals", &Whole(0, 6), 3, out);
    let deadband = section.or("deadband", &Ratio(0.0, 1e12), 0.0, out);
    let kind = section.read("kind", &Label(64), out).map(|got| got.value);
    section.finish(&[], out);
    let (inputs, formula) = (inputs?, formula?);
    check_count(formula, &inputs, out);
    let is_vote = matches!(formula, Formula::Vote { .. });
    let spec = PointSpec {
        uid: PointUid::new(uid?.value),
        tag: Tag::new(checked_tag(tag?, out)?),
        name: name?.value,
        unit,
        decimals: Some(if is_vote { 0 } else { u8::try_from(decimals).unwrap_or(3) }),
        range: None,
        deadband: Deadband::Absolute(if is_vote { 0.0 } else { deadband }),
        max_silence: Duration::from_secs(60),
        interval: Duration::from_secs(1),
        platform: PlatformCodes { kind, ..PlatformCodes::default() },
        commissioning: Commissioning::InService,
        instrument: None,
    };
    Some(Row { spot, inputs, formula, spec })
}

fn checked_tag(tag: Got<String>, out: &mut Findings) -> Option<String> {
    if tag.value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\\')) || label(&tag.value, 64).is_err() {
        let what = say!("位号含空格、引号或反斜杠", "a tag without spaces, quotation marks and backslashes is needed");
        out.error(tag.spot, Wrong::new(what, say!("请改用 `-` 或 `_`", "write `-` or `_` instead")));
        return None;
    }
    Some(tag.value)
}

fn formula(word: &str, section: &mut Section<'_>, out: &mut Findings) -> Option<Formula> {
    let span = Span(Duration::from_secs(1), Duration::from_secs(86_400));
    Some(match word {
        "sum" => Formula::Sum,
        "mean" => Formula::Mean,
        "min" => Formula::Min,
        "max" => Formula::Max,
        "difference" => Formula::Difference,
        "ratio" => Formula::Ratio,
        "rate" => {
            let window = section.or("window", &span, Duration::from_secs(60), out);
            let per = section.or("per", &span, Duration::from_secs(60), out);
            Formula::Rate { window, per }
        }
        "convert" => {
            let to = section.need("to", &Choice(&["mg/m3", "ppm"]), "\"mg/m3\"", out);
            let mass = section.need("molar_mass", &Ratio(1.0, 1000.0), "34.08", out);
            let celsius = section.or("temperature", &Ratio(-60.0, 100.0), 25.0, out);
            let factor = ppm_to_mg(mass?.value, celsius);
            Formula::Convert { factor: if to?.value == "ppm" { 1.0 / factor } else { factor } }
        }
        _ => {
            let need = section.need("need", &Whole(1, 200), "2", out);
            let number = Ratio(-1e12, 1e12);
            let (above, below) = (section.read("above", &number, out), section.read("below", &number, out));
            let bad = section.or("bad", &Choice(&["alarm", "normal"]), "alarm", out);
            let limit = match (above, below) {
                (None, None) => Limit::Set,
                (Some(above), None) => Limit::Above(above.value),
                (None, Some(below)) => Limit::Below(below.value),
                (Some(_), Some(below)) => {
                    let what = say!("above 与 below 只能写一个", "only one of above and below can be meant");
                    out.error(below.spot, Wrong::new(what, say!("请删去一个", "remove one")));
                    return None;
                }
            };
            let need = u16::try_from(need?.value).unwrap_or(u16::MAX);
            Formula::Vote { need, limit, bad_counts: bad == "alarm" }
        }
    })
}

fn check_count(formula: Formula, inputs: &Got<Vec<String>>, out: &mut Findings) {
    let n = inputs.value.len();
    let wanted = match formula {
        Formula::Difference | Formula::Ratio => 2..=2,
        Formula::Rate { .. } | Formula::Convert { .. } => 1..=1,
        Formula::Vote { need, .. } => usize::from(need)..=MAX_INPUTS,
        Formula::Sum | Formula::Mean | Formula::Min | Formula::Max => 1..=MAX_INPUTS,
    };
    if !wanted.contains(&n) {
        let (least, most) = (wanted.start(), wanted.end());
        let what = say!("{n} 个输入，须 {least} 到 {most} 个", "{n} inputs where {least} to {most} are needed");
        out.error(inputs.spot.clone(), Wrong::new(what, say!("请改正 inputs", "correct `inputs`")));
    }
}

/// Adds the device of the derived points to the others.
pub(super) fn join(rows: Vec<Row>, sources: &mut Vec<Source>, specs: &mut Vec<Arc<DeviceSpec>>, out: &mut Findings) {
    if rows.is_empty() {
        return;
    }
    let measured: Vec<PointSpec> = specs.iter().flat_map(|device| device.points.iter().cloned()).collect();
    let device_taken = specs.iter().any(|device| device.id.as_str() == DEVICE);
    check_names(&rows, &measured, device_taken, out);
    let by_tag: BTreeMap<&str, &PointSpec> =
        measured.iter().chain(rows.iter().map(|row| &row.spec)).map(|p| (p.tag.as_str(), p)).collect();
    let points: Vec<PointSpec> = rows.iter().filter_map(|row| resolved(row, &by_tag, out)).collect();
    check_cycles(&rows, out);
    sources.push(Source::Derived { id: DeviceId::new(DEVICE), points: points.len() });
    specs.push(Arc::new(DeviceSpec { id: DeviceId::new(DEVICE), name: "派生测点".to_owned(), points }));
}

fn check_names(rows: &[Row], measured: &[PointSpec], device_taken: bool, out: &mut Findings) {
    let mut uids: BTreeSet<&str> = measured.iter().map(|p| p.uid.as_str()).collect();
    let mut tags: BTreeSet<&str> = measured.iter().map(|p| p.tag.as_str()).collect();
    for Row { spot, spec, .. } in rows {
        for taken in [(&mut uids, spec.uid.as_str()), (&mut tags, spec.tag.as_str())]
            .map(|(names, name)| (!names.insert(name)).then_some(name))
            .into_iter()
            .flatten()
        {
            let what = say!("`{taken}` 已用于别的测点", "`{taken}` is another point's already");
            out.error(spot.clone(), Wrong::new(what, say!("请改成唯一的", "write one of its own")));
        }
    }
    if let (true, Some(row)) = (device_taken, rows.first()) {
        let what = say!("设备 id `{DEVICE}` 留给派生测点", "the device id `{DEVICE}` belongs to the derived points");
        let instead = say!("请给那台设备另取 id", "give that device another id");
        out.error(row.spot.clone(), Wrong::new(what, instead));
    }
}

fn resolved(row: &Row, by_tag: &BTreeMap<&str, &PointSpec>, out: &mut Findings) -> Option<PointSpec> {
    let mut inputs = Vec::new();
    for tag in &row.inputs.value {
        if let Some(input) = by_tag.get(tag.as_str()) {
            inputs.push(*input);
            continue;
        }
        let shown = super::value::clip(tag);
        let what = say!("没有位号 `{shown}`", "there is no tag `{shown}`");
        let instead = match suggest(tag, by_tag.keys().copied()) {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None => say!("请写点表或模板中的位号", "write a tag of the point table or of a profile"),
        };
        out.error(row.inputs.spot.clone(), Wrong::new(what, instead));
    }
    check_units(row, &inputs, out);
    let inputs = (inputs.len() == row.inputs.value.len()).then_some(inputs)?;
    let interval = inputs.iter().map(|p| p.interval).min().unwrap_or(row.spec.interval);
    let inputs = inputs.iter().map(|p| p.uid.clone()).collect();
    let derived = Some(Derived { formula: row.formula, inputs });
    let instrument = Some(Arc::new(Instrument { derived, ..Instrument::default() }));
    Some(PointSpec { interval, max_silence: row.spec.max_silence.max(interval), instrument, ..row.spec.clone() })
}

fn check_units(row: &Row, inputs: &[&PointSpec], out: &mut Findings) {
    let units: BTreeSet<&str> = inputs.iter().map(|p| p.unit.as_str()).collect();
    let mixes = !matches!(row.formula, Formula::Ratio | Formula::Vote { limit: Limit::Set, .. });
    if mixes && units.len() > 1 {
        let list = units.into_iter().collect::<Vec<_>>().join(", ");
        let what = say!("各输入单位不同：{list}", "the inputs have different units: {list}");
        let instead = say!("请检查 inputs；确需如此则不必改", "check `inputs`; nothing to do if it is meant");
        out.warn(row.inputs.spot.clone(), Wrong::new(what, instead));
    }
}

/// A point made of itself, however far around, could never be computed.
fn check_cycles(rows: &[Row], out: &mut Findings) {
    let mut open: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.spec.tag.as_str(), row)).collect();
    loop {
        let is_ready = |row: &Row| !row.inputs.value.iter().any(|tag| open.contains_key(tag.as_str()));
        let ready: Vec<&str> = open.iter().filter(|(_, row)| is_ready(row)).map(|(tag, _)| *tag).collect();
        if ready.is_empty() {
            break;
        }
        open.retain(|tag, _| !ready.contains(tag));
    }
    for row in open.values() {
        let tag = &row.spec.tag;
        let what = say!("`{tag}` 由它自己算出", "`{tag}` is made of itself");
        out.error(row.inputs.spot.clone(), Wrong::new(what, say!("请去掉循环", "break the circle")));
    }
}
