//! The four limits of an analogue point (`domain.md` A12 99): LL < L < H < HH, within the range, the deadband narrower than
//! the gaps.

use super::super::problem::{Findings, Spot, Wrong, say};
use super::super::section::Got;
use super::cells::{Cells, Level};
use crate::domain::registry::PointSpec;

/// What a point alarms at, in its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Four {
    pub(super) low_low: Option<f64>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    pub(super) high_high: Option<f64>,
    /// How far back before it clears.
    pub(super) deadband: f64,
}

impl Four {
    /// Returns whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.low_low.is_none() && self.low.is_none() && self.high.is_none() && self.high_high.is_none()
    }
}

/// Name of a limit.
type Name = (&'static str, &'static str);
const NAMES: [Name; 4] = [("低低报", "ll"), ("低报", "l"), ("高报", "h"), ("高高报", "hh")];

/// Kinds of points that mean something to alarms, as people write them in Chinese.
const KINDS: [(&str, &str); 9] = [
    ("温度", "temperature"),
    ("压力", "pressure"),
    ("液位", "level"),
    ("流量", "flow"),
    ("组分", "composition"),
    ("气体", "gas"),
    ("可燃气体", "gas"),
    ("有毒气体", "gas"),
    ("火警", "fire"),
];

/// Returns the point's kind, by its English word where there is one.
pub(super) fn kind(spec: &PointSpec) -> Option<&str> {
    spec.platform.kind.as_deref().map(kind_word)
}

/// Returns the English word of a kind.
pub(super) fn kind_word(kind: &str) -> &str {
    KINDS.iter().find(|(zh, _)| *zh == kind).map_or(kind, |(_, word)| word)
}

/// Reads and checks. `percent` is the deadband of the point's kind in percent of its range, where the table says none.
pub(super) fn check(cells: &Cells, spec: &PointSpec, percent: Option<f64>, out: &mut Findings) -> Option<Four> {
    let written = [&cells.low_low, &cells.low, &cells.high, &cells.high_high];
    if cells.is_digital {
        for got in written.into_iter().chain([&cells.first, &cells.second]).flatten() {
            let what = say!("开关量和状态字没有限值", "a bit or a state word has no limits");
            let instead = say!(
                "请在 alarms.toml 写 [[alarm]] kind = \"digital\"",
                "write [[alarm]] kind = \"digital\" in alarms.toml"
            );
            out.error(got.spot.clone(), Wrong::new(what, instead));
        }
        return None;
    }
    let errors = out.errors();
    let present: Vec<(Name, &Got<Level>)> =
        NAMES.into_iter().zip(written).filter_map(|(name, got)| Some((name, got.as_ref()?))).collect();
    for pair in present.windows(2) {
        if let [(lower, a), (upper, b)] = pair {
            check_pair(*lower, a, *upper, b, out);
        }
    }
    for (name, got) in &present {
        // A number in another unit says nothing about the range.
        if check_unit(got, spec, out) {
            check_within(*name, got, spec, out);
        }
    }
    let (gap, way) = (narrowest(&present), shortest_way(cells, spec.range));
    let deadband = match &cells.deadband {
        Some(got) => {
            check_gap(got, gap, out);
            check_way(got, way, out);
            got.value.min(gap / 2.0)
        }
        None => {
            let span = spec.range.map_or(0.0, |(low, high)| high - low);
            (span * percent.unwrap_or(0.0) / 100.0).min(gap.min(way) / 2.0)
        }
    };
    let of = |got: &Option<Got<Level>>| got.as_ref().map(|got| got.value.value);
    let four = Four {
        low_low: of(&cells.low_low),
        low: of(&cells.low),
        high: of(&cells.high),
        high_high: of(&cells.high_high),
        deadband,
    };
    (out.errors() == errors && !four.is_empty()).then_some(four)
}

/// Half of the narrowest gap is the widest deadband that a default may have, and half of the shortest way.
fn narrowest(present: &[(Name, &Got<Level>)]) -> f64 {
    let values: Vec<f64> = present.iter().map(|(_, got)| got.value.value).collect();
    values.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?)).fold(f64::INFINITY, f64::min)
}

/// The shortest way back of all limits, see [`way_back`].
fn shortest_way(cells: &Cells, range: Option<(f64, f64)>) -> f64 {
    let of = |got: &Option<Got<Level>>, falls| got.as_ref().map(|got| way_back(got.value.value, falls, range));
    let highs = [&cells.high, &cells.high_high].into_iter().filter_map(|got| of(got, false));
    let lows = [&cells.low_low, &cells.low].into_iter().filter_map(|got| of(got, true));
    highs.chain(lows).fold(f64::INFINITY, f64::min)
}

/// How far a value can come back from a limit within the range: down from a high one, up from a low one (`falls`). Beyond
/// the end nothing is measured, and only a measurement clears: a deadband as wide as that would hold the alarm for ever.
pub(super) fn way_back(limit: f64, falls: bool, range: Option<(f64, f64)>) -> f64 {
    match range {
        Some((_, top)) if falls => top - limit,
        Some((bottom, _)) => limit - bottom,
        None => f64::INFINITY,
    }
}

fn check_unit(got: &Got<Level>, spec: &PointSpec, out: &mut Findings) -> bool {
    let Some(written) = got.value.unit.as_ref().filter(|written| **written != spec.unit) else { return true };
    let unit = &spec.unit;
    let what =
        say!("写的是 `{written}`，而本点的单位是 `{unit}`", "`{written}` is written, but the point's unit is `{unit}`");
    let instead = say!("请写 `{unit}` 的数值，不写单位", "write a number in `{unit}`, without a unit");
    out.error(got.spot.clone(), Wrong::new(what, instead));
    false
}

fn check_pair(lower: Name, a: &Got<Level>, upper: Name, b: &Got<Level>, out: &mut Findings) {
    if a.value.value < b.value.value {
        return;
    }
    let ((lower_zh, lower_en), (upper_zh, upper_en)) = (lower, upper);
    let (low, high) = (show(a.value.value), show(b.value.value));
    let what = say!("{upper_zh} {high} 不高于{lower_zh} {low}", "{upper_en} {high} is not above {lower_en} {low}");
    let instead = say!("须 低低报 < 低报 < 高报 < 高高报（规则 99）", "ll < l < h < hh (rule 99)");
    out.error(b.spot.clone(), Wrong::new(what, instead));
}

fn check_within((zh, en): Name, got: &Got<Level>, spec: &PointSpec, out: &mut Findings) {
    let Some((low, high)) = spec.range else {
        let what = say!("没有量程，无法核对{zh}是否在其内", "there is no range to check {en} against");
        return out
            .warn(got.spot.clone(), Wrong::new(what, say!("请填量程（规则 99）", "fill in the range (rule 99)")));
    };
    let value = got.value.value;
    if value > low && value < high {
        return;
    }
    let (value_text, low_text, high_text) = (show(value), show(low), show(high));
    let what = say!(
        "{zh} {value_text} 不在量程 {low_text} 到 {high_text} 之内：永远到不了，或一直在报警",
        "{en} {value_text} is not within the range {low_text}..{high_text}: never reached, or always in alarm"
    );
    let instead = say!("请改正限值、量程或单位（规则 99）", "correct the limit, the range or the unit (rule 99)");
    // Beyond the end nothing can be meant; at the end itself an instrument may stand.
    if value < low || value > high {
        out.error(got.spot.clone(), Wrong::new(what, instead));
    } else {
        out.warn(got.spot.clone(), Wrong::new(what, instead));
    }
}

/// Tells of a deadband as wide as the gap between two limits.
pub(super) fn check_gap(deadband: &Got<f64>, gap: f64, out: &mut Findings) {
    if gap <= 0.0 || deadband.value < gap {
        return; // crossed limits were told
    }
    let (wide, narrow) = (show(deadband.value), show(gap));
    let what = say!(
        "报警死区 {wide} 不小于相邻限值的间距 {narrow}：一级消了二级还在，或永远不消",
        "the alarm deadband {wide} is the gap {narrow} between limits or more: an alarm would outlast the next, or never clear"
    );
    out.error(deadband.spot.clone(), Wrong::new(what, say!("请写得小得多（规则 93）", "write far less (rule 93)")));
}

/// Tells of a deadband as wide as the way back from a limit to the end of the range.
pub(super) fn check_way(deadband: &Got<f64>, way: f64, out: &mut Findings) {
    if way <= 0.0 || deadband.value < way {
        return; // a limit at the end of the range, or beyond it, was told
    }
    let (wide, short, half) = (show(deadband.value), show(way), show(way / 2.0));
    let what = say!(
        "报警死区 {wide} 不小于限值到量程端点的距离 {short}：报警永远不消",
        "the alarm deadband {wide} is the way {short} from a limit to the end of the range or more: the alarm would never clear"
    );
    let instead = say!(
        "请写小于 {short} 的数，最好不大于 {half}（规则 93）",
        "write less than {short}, better {half} at most (rule 93)"
    );
    out.error(deadband.spot.clone(), Wrong::new(what, instead));
}

/// Tells of levels that belong to a gas detector, on a point that is none.
pub(super) fn check_no_gas(cells: &Cells, out: &mut Findings) {
    for got in [&cells.first, &cells.second].into_iter().flatten() {
        let what = say!("此点不是气体探测器", "this point is no gas detector");
        let instead = say!(
            "请写在高报、高高报，或写“气体”列和测点类型 gas",
            "write it into h and hh, or fill in the column gas, or kind = gas"
        );
        out.error(got.spot.clone(), Wrong::new(what, instead));
    }
    if let Some(spot) = &cells.by_idlh {
        let spot: Spot = spot.clone();
        let what = say!("只有有毒气体可按 IDLH 设定", "only a toxic gas may be set by the IDLH");
        out.error(spot, Wrong::new(what, say!("请留空", "leave it empty")));
    }
}

/// Prints a number as people write it: at most four decimals, none superfluous.
pub(super) fn show(number: f64) -> String {
    let rounded = (number * 10_000.0).round() / 10_000.0;
    format!("{}", rounded + 0.0)
}
