//! Set points of gas detectors, against the clauses and against themselves.
//!
//! A detector of which the table says nothing about alarms is judged by the ceilings of the clause all the same, where they
//! are known; that is a finding, never silence.

use super::super::problem::{Findings, Spot, Words, Wrong, say};
use super::super::section::Got;
use super::cells::{Cells, Level};
use super::limits;
use super::oel::Oel;
use crate::domain::alarm::setpoint::{Bound, Breach, Detection, Duty, FRESH_AIR, GasUnit, Which};
use crate::domain::registry::PointSpec;

/// What is in the air around a combustible-gas detector needs no row of the OEL table.
const COMBUSTIBLE: [&str; 4] = ["combustible", "lel", "可燃", "可燃气体"];
const OXYGEN: [&str; 3] = ["o2", "氧", "氧气"];

/// Names of the levels, Chinese and English.
const FIRST: (&str, &str) = ("一级报警", "l1");
const SECOND: (&str, &str) = ("二级报警", "l2");

/// What a gas point alarms at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gas {
    /// Rising, two levels; at least one is there.
    Rising {
        first: Option<f64>,
        second: Option<f64>,
        /// In the point's unit.
        deadband: f64,
        /// Whether the levels are those of the clause, as the site has written none.
        assumed: bool,
    },
    /// Oxygen: limits as those of a process point.
    Oxygen(limits::Four),
}

/// Returns the unit when it can be none but that of a gas detector.
pub(super) fn gas_only(unit: &str) -> Option<GasUnit> {
    GasUnit::parse(unit).filter(|unit| matches!(unit, GasUnit::PercentLel | GasUnit::LelMetre))
}

/// Returns whether the point is a gas detector.
pub(super) fn is_gas(cells: &Cells, spec: &PointSpec) -> bool {
    let kind = limits::kind(spec);
    let by_unit = kind.is_none() && gas_only(&spec.unit).is_some();
    !cells.is_digital && (kind == Some("gas") || by_unit || cells.gas.is_some())
}

/// Reads and checks. `None`: there is nothing to alarm at, which has been told.
pub(super) fn check(
    cells: &Cells,
    spec: &PointSpec,
    oel: &Oel,
    out: &mut Findings,
    notes: &mut Findings,
) -> Option<Gas> {
    let has_limits = [&cells.first, &cells.second, &cells.low, &cells.low_low, &cells.high, &cells.high_high]
        .iter()
        .any(|level| level.is_some());
    check_delay(cells, out);
    let unit = GasUnit::parse(&spec.unit);
    let Some((unit, detection)) = unit.and_then(|unit| Some((unit, detection(unit, cells, oel)?))) else {
        unknown(unit, cells, spec, oel, has_limits, out, notes);
        // Without a bound the levels count all the same: what nobody can check is still watched.
        return unchecked(unit, cells, spec, oel, out);
    };
    check_basis(cells, detection, out);
    if detection == Detection::Oxygen {
        return oxygen(cells, spec, unit, out, notes);
    }
    match has_limits {
        false => assumed(detection, unit, cells, spec, out, notes),
        true => rising(cells, spec, unit, Some(detection), oel, out),
    }
}

/// A toxic gas without a row: warned of, watched.
fn unchecked(unit: Option<GasUnit>, cells: &Cells, spec: &PointSpec, oel: &Oel, out: &mut Findings) -> Option<Gas> {
    cells.gas.as_ref()?;
    rising(cells, spec, unit?, None, oel, out)
}

fn named(cells: &Cells) -> Option<String> {
    cells.gas.as_ref().map(|got| got.value.to_lowercase())
}

/// Returns whether the table calls it oxygen.
pub(super) fn is_oxygen(cells: &Cells) -> bool {
    named(cells).is_some_and(|gas| OXYGEN.contains(&gas.as_str()))
}

/// Returns what is detected, by unit and gas; `None` where that cannot be said.
pub(super) fn detection(unit: GasUnit, cells: &Cells, oel: &Oel) -> Option<Detection> {
    let gas = named(cells);
    let is = |names: &[&str]| gas.as_deref().is_some_and(|gas| names.contains(&gas));
    let row = || cells.gas.as_ref().and_then(|gas| oel.find(&gas.value));
    match unit {
        _ if is(&OXYGEN) => (unit == GasUnit::PercentVol).then_some(Detection::Oxygen),
        GasUnit::PercentLel => Some(Detection::Combustible),
        GasUnit::LelMetre => Some(Detection::OpenPath),
        _ if is(&COMBUSTIBLE) => None,
        GasUnit::PercentVol | GasUnit::Ppm | GasUnit::Ppb | GasUnit::MgPerM3 | GasUnit::UgPerM3 => {
            row().map(|row| Detection::Toxic(row.toxic(oel.celsius, cells.by_idlh.is_some())))
        }
    }
}

/// Why the set points cannot be judged.
fn unknown(
    unit: Option<GasUnit>,
    cells: &Cells,
    spec: &PointSpec,
    oel: &Oel,
    has_limits: bool,
    out: &mut Findings,
    notes: &mut Findings,
) {
    let shown = &spec.unit;
    let gas = cells.gas.as_ref().map(|got| got.value.as_str());
    let combustible = named(cells).is_some_and(|gas| COMBUSTIBLE.contains(&gas.as_str()));
    if unit.is_none() || combustible || is_oxygen(cells) {
        let what = say!("单位 `{shown}` 不是此类气体探测器的单位", "the unit `{shown}` is none of such a gas detector");
        let instead = say!(
            "可燃气体写 %LEL（线型 LEL·m），氧气写 %VOL，有毒气体写 ppm 或 mg/m³（GB/T 50493-2019 5.5.2）",
            "write %LEL for combustible gas (LEL·m for an open path), %VOL for oxygen, ppm or mg/m³ for toxic gas (GB/T 50493-2019 5.5.2)"
        );
        // A gas point that says nothing of alarms may be a percentage of something else: it is told of, not refused.
        let told = if has_limits || gas.is_some() { out_error } else { note };
        return told(out, notes, cells.unit_spot.clone(), Wrong::new(what, instead));
    }
    match gas {
        None => {
            let known = oel.gases().take(8).collect::<Vec<_>>().join(", ");
            let what = say!(
                "没有写是什么气体，无法核对报警值",
                "which gas it is is not written: its set points cannot be checked"
            );
            let instead =
                say!("请在“气体”列写分子式，如 {known}", "write its formula into the column gas, e.g. {known}");
            let told = if has_limits { out_error } else { note };
            told(out, notes, cells.spot.clone(), Wrong::new(what, instead));
        }
        Some(gas) => {
            let what = say!(
                "oel.csv 中没有 `{gas}`，报警值未核对",
                "there is no `{gas}` in oel.csv: its set points are not checked"
            );
            let instead = say!(
                "请在配置目录的 oel.csv 加上它的限值和核对人（GB/T 50493-2019 5.5.2-3）",
                "add its limits, and who verified them, to oel.csv of the configuration folder (GB/T 50493-2019 5.5.2-3)"
            );
            let spot = cells.gas.as_ref().map_or_else(|| cells.spot.clone(), |got| got.spot.clone());
            out.warn(spot, Wrong::new(what, instead));
        }
    }
}

fn out_error(out: &mut Findings, _: &mut Findings, spot: Spot, wrong: Wrong) {
    out.error(spot, wrong);
}

fn note(_: &mut Findings, notes: &mut Findings, spot: Spot, wrong: Wrong) {
    notes.warn(spot, wrong);
}

fn check_delay(cells: &Cells, out: &mut Findings) {
    if let Some(delay) = cells.delay.as_ref().filter(|delay| !delay.value.is_zero()) {
        let what = say!("气体报警不得延时", "a gas alarm must not be delayed");
        let instead = say!("请留空或写 0ms（GB 16808，规则 86）", "leave it empty, or write 0ms (GB 16808, rule 86)");
        out.error(delay.spot.clone(), Wrong::new(what, instead));
    }
}

fn check_basis(cells: &Cells, detection: Detection, out: &mut Findings) {
    let Some(spot) = &cells.by_idlh else { return };
    let wrong = match detection {
        Detection::Toxic(toxic) if toxic.idlh.is_some() => return,
        Detection::Toxic(_) => Wrong::new(
            say!("oel.csv 中此气体没有 IDLH", "oel.csv has no IDLH of this gas"),
            say!("请写 OEL，或在 oel.csv 补上 IDLH", "write OEL, or add the IDLH to oel.csv"),
        ),
        Detection::Combustible | Detection::OpenPath | Detection::Oxygen => Wrong::new(
            say!("只有有毒气体可按 IDLH 设定", "only a toxic gas may be set by the IDLH"),
            say!("请留空（GB/T 50493-2019 5.5.2-3）", "leave it empty (GB/T 50493-2019 5.5.2-3)"),
        ),
    };
    out.error(spot.clone(), wrong);
}

/// The ceilings of the clause, where the site has written nothing.
fn assumed(
    detection: Detection,
    unit: GasUnit,
    cells: &Cells,
    spec: &PointSpec,
    out: &mut Findings,
    notes: &mut Findings,
) -> Option<Gas> {
    let top = spec.range.map_or(f64::INFINITY, |(_, high)| high);
    let of = |which| detection.bound(which, unit).map(|bound| bound.limit).filter(|limit| *limit < top);
    let (first, second) = (of(Which::First), of(Which::Second));
    let tag = &spec.tag;
    let Some((Some(first), second)) = first.map(|first| (Some(first), second)) else {
        let what = say!(
            "气体测点 {tag} 没有报警值，量程也容不下规定值",
            "gas point {tag} has no set points, and its range does not hold those of the clause"
        );
        notes.warn(cells.spot.clone(), Wrong::new(what, levels_wanted()));
        return None;
    };
    let shown = second.map(|second| format!(" / {}", limits::show(second))).unwrap_or_default();
    let (at, unit) = (limits::show(first), unit.as_str());
    let what = say!(
        "气体测点 {tag} 没有写报警值，按规定的上限 {at}{shown} {unit} 判断",
        "gas point {tag} has no set points of its own: judged by the ceilings of the clause, {at}{shown} {unit}"
    );
    notes.warn(cells.spot.clone(), Wrong::new(what, levels_wanted()));
    let deadband = cells.deadband.as_ref().map_or_else(|| default_deadband(Some(first), second), |got| got.value);
    check_deadband(Some(first), second, spec.range, cells, out);
    Some(Gas::Rising { first: Some(first), second, deadband, assumed: true })
}

fn levels_wanted() -> Words {
    say!("请写一级报警和二级报警", "write l1 and l2")
}

/// A tenth of the gap below the first level.
fn default_deadband(first: Option<f64>, second: Option<f64>) -> f64 {
    first.or(second).map_or(0.0, |level| level.abs() * 0.1)
}

fn rising(
    cells: &Cells,
    spec: &PointSpec,
    unit: GasUnit,
    detection: Option<Detection>,
    oel: &Oel,
    out: &mut Findings,
) -> Option<Gas> {
    for (level, zh, en) in [
        (&cells.low_low, "低低报", "ll"),
        (&cells.low, "低报", "l"),
        (&cells.high, "高报", "h"),
        (&cells.high_high, "高高报", "hh"),
    ] {
        if let Some(level) = level {
            let what = say!("气体探测器没有“{zh}”", "a gas detector has no `{en}`");
            let instead = say!("请写在“一级报警”和“二级报警”", "write it into l1 and l2");
            out.error(level.spot.clone(), Wrong::new(what, instead));
        }
    }
    let errors = out.errors();
    let first = in_unit(cells.first.as_ref(), unit, cells, oel, out);
    let second = in_unit(cells.second.as_ref(), unit, cells, oel, out);
    if out.errors() > errors || (first.is_none() && second.is_none()) {
        return None;
    }
    let of = |which| if which == Which::First { &cells.first } else { &cells.second };
    for breach in detection.into_iter().flat_map(|d| d.breaches(unit, first, second)) {
        if let Some(level) = of(breach.which) {
            let name = if breach.which == Which::First { FIRST } else { SECOND };
            tell(&breach, name, unit, level.spot.clone(), out);
        }
    }
    check_order(first, second, cells, out);
    check_range(cells, spec, unit, out);
    let deadband = cells.deadband.as_ref().map_or_else(|| default_deadband(first, second), |got| got.value);
    check_deadband(first, second, spec.range, cells, out);
    Some(Gas::Rising { first, second, deadband, assumed: false })
}

/// Returns a level in the point's unit; one written in another unit is told, with what it would be.
fn in_unit(level: Option<&Got<Level>>, unit: GasUnit, cells: &Cells, oel: &Oel, out: &mut Findings) -> Option<f64> {
    let level = level?;
    let Level { value, unit: Some(written) } = &level.value else { return Some(level.value.value) };
    let other = GasUnit::parse(written);
    if other == Some(unit) {
        return Some(*value);
    }
    let row = cells.gas.as_ref().and_then(|gas| oel.find(&gas.value));
    let converted = row.zip(other).and_then(|(row, other)| {
        let per_mg = other.of_mg(1.0, row.molar_mass, oel.celsius)?;
        unit.of_mg(value / per_mg, row.molar_mass, oel.celsius)
    });
    let (want, celsius) = (unit.as_str(), limits::show(oel.celsius));
    let what =
        say!("写的是 `{written}`，而本点的单位是 {want}", "`{written}` is written, but the point's unit is {want}");
    let instead = match converted {
        Some(converted) => {
            let converted = limits::show(converted);
            say!("{celsius} ℃ 时即 {converted} {want}", "at {celsius} ℃ it is {converted} {want}")
        }
        None => say!("请写 {want} 的数值", "write a number in {want}"),
    };
    out.error(level.spot.clone(), Wrong::new(what, instead));
    None
}

/// Tells of a set point beyond its bound.
fn tell(breach: &Breach, (zh, en): (&str, &str), unit: GasUnit, spot: Spot, out: &mut Findings) {
    let Breach { set, bound, .. } = breach;
    let Bound { limit, is_floor, clause, duty, from } = bound;
    let (set, limit, unit) = (limits::show(*set), limits::show(*limit), unit.as_str());
    let (beyond_zh, beyond_en) = if *is_floor { ("低于", "below") } else { ("高于", "above") };
    let (of_zh, of_en) = match from {
        ("", "") => (String::new(), String::new()),
        (zh, en) => (format!("（{zh}）"), format!(" ({en})")),
    };
    let what = say!(
        "{zh} {set} {unit} {beyond_zh} {limit} {unit}{of_zh}，{clause}",
        "{en} {set} {unit} is {beyond_en} {limit} {unit}{of_en}, {clause}"
    );
    let (to_zh, to_en) = if *is_floor { ("或更高", "or more") } else { ("或更低", "or less") };
    let instead = match (duty, of_zh.is_empty()) {
        (Duty::Must, _) => {
            say!("条文用“应”：请写 {limit} {to_zh}", "the clause demands it (应): write {limit} {to_en}")
        }
        (Duty::Should, true) => {
            say!("条文用“宜”：建议写 {limit} {to_zh}", "the clause recommends it (宜): better write {limit} {to_en}")
        }
        (Duty::Should, false) => say!(
            "oel.csv 此行还没有核对人，所以只警告：请核对，或写 {limit} {to_zh}",
            "nobody has verified this row of oel.csv, so this only warns: verify it, or write {limit} {to_en}"
        ),
    };
    match duty {
        Duty::Must => out.error(spot, Wrong::new(what, instead)),
        Duty::Should => out.warn(spot, Wrong::new(what, instead)),
    }
}

fn check_order(first: Option<f64>, second: Option<f64>, cells: &Cells, out: &mut Findings) {
    let spot = |level: &Option<Got<Level>>| level.as_ref().map_or_else(|| cells.spot.clone(), |got| got.spot.clone());
    match (first, second) {
        (Some(first), Some(second)) if first >= second => {
            let (first, second) = (limits::show(first), limits::show(second));
            let what = say!("一级报警 {first} 不低于二级报警 {second}", "l1 {first} is not below l2 {second}");
            let instead = say!(
                "一级须低于二级（GB/T 50493-2019 5.5.2）：请检查是否写反",
                "the first level is below the second (GB/T 50493-2019 5.5.2): are they swapped?"
            );
            out.error(spot(&cells.first), Wrong::new(what, instead));
        }
        (Some(_), None) | (None, Some(_)) => {
            let what = say!("只写了一级报警值", "only one of the two levels is written");
            let instead = say!("请写两级（GB/T 50493-2019 5.5.2）", "write both (GB/T 50493-2019 5.5.2)");
            out.warn(spot(if first.is_some() { &cells.first } else { &cells.second }), Wrong::new(what, instead));
        }
        _ => {}
    }
}

fn check_range(cells: &Cells, spec: &PointSpec, unit: GasUnit, out: &mut Findings) {
    let Some((low, high)) = spec.range else {
        let what = say!("没有量程，无法核对报警值是否在其内", "there is no range to check the set points against");
        out.warn(cells.range_spot.clone(), Wrong::new(what, say!("请填量程", "fill in the range")));
        return;
    };
    let unit = unit.as_str();
    for (level, (zh, en)) in [(&cells.first, FIRST), (&cells.second, SECOND)] {
        let Some(Got { value: Level { value, .. }, spot }) = level else { continue };
        let shown = limits::show(*value);
        if *value > high {
            let (high, wanted) = (limits::show(high), shown.clone());
            let what = say!(
                "量程上限 {high} {unit} 小于{zh} {shown} {unit}：永远到不了",
                "the range ends at {high} {unit}, below {en} {shown} {unit}: it can never be reached"
            );
            let instead = say!(
                "请换量程不小于 {wanted} 的探测器，或改正量程、单位；量程不足须申明 IDLH（GB/T 50493-2019 5.5.2-3）",
                "use a detector of at least {wanted}, or correct range or unit; where none is to be had declare IDLH (GB/T 50493-2019 5.5.2-3)"
            );
            out.error(spot.clone(), Wrong::new(what, instead));
        } else if *value <= low {
            let low = limits::show(low);
            let what = say!(
                "{zh} {shown} 不高于量程下限 {low}：会一直报警",
                "{en} {shown} is not above the range's beginning {low}: it would alarm for ever"
            );
            out.error(spot.clone(), Wrong::new(what, say!("请改正", "correct it")));
        }
    }
}

/// The alarm clears below its level by the deadband: as much as the gap, and the second level would outlast the first.
fn check_deadband(
    first: Option<f64>,
    second: Option<f64>,
    range: Option<(f64, f64)>,
    cells: &Cells,
    out: &mut Findings,
) {
    let Some(deadband) = &cells.deadband else { return };
    let above = range.map_or(0.0, |(low, _)| low);
    let gaps = [first.zip(second).map(|(first, second)| second - first), first.or(second).map(|level| level - above)];
    let gap = gaps.into_iter().flatten().fold(f64::INFINITY, f64::min);
    limits::check_gap(deadband, gap, out);
}

fn oxygen(cells: &Cells, spec: &PointSpec, unit: GasUnit, out: &mut Findings, notes: &mut Findings) -> Option<Gas> {
    for (level, (zh, en)) in [(&cells.first, FIRST), (&cells.second, SECOND)] {
        if let Some(level) = level {
            let what = say!("氧气没有“{zh}”", "oxygen has no `{en}`");
            let instead = say!("欠氧请写“低报”，过氧请写“高报”", "write `l` for deficiency, `h` for excess");
            out.error(level.spot.clone(), Wrong::new(what, instead));
        }
    }
    let bare = [&cells.low_low, &cells.low, &cells.high, &cells.high_high].iter().all(|level| level.is_none());
    if bare {
        let tag = &spec.tag;
        let what = say!(
            "氧气测点 {tag} 没有写报警值，按 19.5 / 23.5 %VOL 判断",
            "oxygen point {tag} has no limits of its own: judged by 19.5 and 23.5 %VOL"
        );
        let instead = say!("请写低报和高报（GB/T 50493-2019 5.5.2-4）", "write l and h (GB/T 50493-2019 5.5.2-4)");
        notes.warn(cells.spot.clone(), Wrong::new(what, instead));
        let bound = |which| Detection::Oxygen.bound(which, unit).map(|bound| bound.limit);
        let (low, high) = (bound(Which::First), bound(Which::Second));
        return Some(Gas::Oxygen(limits::Four { low, high, deadband: 0.2, ..limits::Four::default() }));
    }
    let four = limits::check(cells, spec, None, out)?;
    for breach in Detection::Oxygen.breaches(unit, four.low, four.high) {
        let level = if breach.which == Which::First { &cells.low } else { &cells.high };
        let spot = level.as_ref().map_or_else(|| cells.spot.clone(), |got| got.spot.clone());
        let name = if breach.which == Which::First {
            ("欠氧报警", "the deficiency alarm")
        } else {
            ("过氧报警", "the excess alarm")
        };
        tell(&breach, name, unit, spot, out);
    }
    for (level, always) in [
        (&cells.low, four.low.is_some_and(|low| low >= FRESH_AIR)),
        (&cells.high, four.high.is_some_and(|high| high <= FRESH_AIR)),
    ] {
        if let (Some(level), true) = (level, always) {
            let what = say!(
                "空气含氧 20.9 %VOL，这样设会一直报警",
                "fresh air has 20.9 %VOL of oxygen: so set it alarms for ever"
            );
            out.error(
                level.spot.clone(),
                Wrong::new(what, say!("请写低报 19.5、高报 23.5", "write l 19.5 and h 23.5")),
            );
        }
    }
    Some(Gas::Oxygen(four))
}
