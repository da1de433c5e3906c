//! The cells that say how a reading is judged beyond its registers: the signal, the state word, flat lines.
//!
//! | column | written | means |
//! |---|---|---|
//! | `signal` | `4-20mA` | the scaled number is a current; NAMUR NE 43 judges it ([`crate::field::scaling`]) |
//! | `states` | `0=monitoring; 1=warm_up; bit4=fault` | this point is a state word ([`StateMap`]) |
//! | `state_of` | uid of a state word of the same device | what the instrument behind this point is doing |
//! | `frozen` | `24h`, `24h except 0` | no change for so long is suspect |
//! | `below` | `-5%`, `-5% 10min`, a number in the unit | lower than that for so long is suspect |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cell;
use super::points::PointRow;
use super::problem::{Findings, Spot, Words, Wrong, say};
use super::sheet::{Column, Row};
use super::text::suggest;
use super::value::{clip, code, duration_in, not_allowed, show_duration};
use crate::domain::instrument::{Below, Frozen, Instrument, InstrumentState, StateMap, StateMapError};
use crate::field::settings::{Encoding, Signal};

/// How long a value stays below its limit before it is suspect, unless the cell says otherwise.
const BELOW_STAYS: Duration = Duration::from_secs(60);
/// Bounds of the times: shorter is noise of the process, longer than a month is never.
const FROZEN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(30 * 86_400));
const BELOW: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// How a point is to be judged, its state word still by name.
#[derive(Debug, Default)]
pub(super) struct Asked {
    state_of: Option<(String, Spot)>,
    states: Option<StateMap>,
    frozen: Option<Frozen>,
    below: Option<Below>,
    class: Option<Spot>,
}

/// Reads the signal. `range` is `None` when it could not be read.
pub(super) fn signal(
    row: Row<'_>,
    encoding: Option<Encoding>,
    range: Option<Option<(f64, f64)>>,
    out: &mut Findings,
) -> Option<Signal> {
    let signal = row.or(Column::Signal, Signal::Value, signal_word, out)?;
    if signal == Signal::Loop && range == Some(None) {
        let what = say!("4-20mA 信号没有量程", "a 4-20mA signal without a range means nothing");
        let instead = say!(
            "请填 4 mA 和 20 mA 对应的量程下限和上限",
            "fill in range_low and range_high: what 4 mA and 20 mA mean"
        );
        out.error(row.spot(Column::Signal), Wrong::new(what, instead));
        return None;
    }
    if signal == Signal::Loop && encoding.is_some_and(cell::is_bit) {
        let what = say!("位不是 4-20mA 信号", "a bit is no 4-20mA signal");
        out.error(row.spot(Column::Signal), Wrong::new(what, say!("请留空", "leave it empty")));
        return None;
    }
    Some(signal)
}

fn signal_word(cell: &str) -> Result<Signal, Wrong> {
    let word: String = cell.to_lowercase().chars().filter(|c| !matches!(c, ' ' | '…' | '.')).collect();
    match word.as_str() {
        "4-20ma" | "4~20ma" => Ok(Signal::Loop),
        _ => Err(not_allowed(cell, say!("请写 4-20mA 或留空", "write 4-20mA, or leave it empty"))),
    }
}

/// Reads the other cells.
pub(super) fn read(
    row: Row<'_>,
    encoding: Option<Encoding>,
    range: Option<(f64, f64)>,
    out: &mut Findings,
) -> Option<Asked> {
    let state_of = row.or(Column::StateOf, None, |cell| code(cell, 64).map(|uid| Some(uid.to_owned())), out);
    let states = row.or(Column::States, None, |cell| states(cell).map(Some), out);
    let frozen = row.or(Column::Frozen, None, |cell| frozen(cell).map(Some), out);
    let below = row.or(Column::Below, None, |cell| below(cell, range).map(Some), out);
    let asked = Asked {
        state_of: state_of?.map(|uid| (uid, row.spot(Column::StateOf))),
        states: states?,
        frozen: frozen?,
        below: below?,
        class: Some(row.spot(Column::Class)),
    };
    let idle = asked.frozen.map(|_| Column::Frozen).or(asked.below.map(|_| Column::Below));
    if let (Some(column), true) = (idle, encoding.is_some_and(cell::is_bit)) {
        let what = say!("位可以一直不变", "a bit may stand still");
        out.error(row.spot(column), Wrong::new(what, say!("请留空", "leave it empty")));
        return None;
    }
    Some(asked)
}

fn states(cell: &str) -> Result<StateMap, Wrong> {
    StateMap::parse(cell).map_err(|error| {
        let en = error.to_string();
        let zh = match &error {
            StateMapError::Item(item) => format!("`{}` 不是 编码=状态、bit位=状态 或 mask=数", clip(item)),
            StateMapError::State(word) => format!("没有状态 `{}`", clip(word)),
            StateMapError::Twice(key) => format!("`{}` 写了两次", clip(key)),
            StateMapError::NoMask => "既有编码又有位，须写 mask=".to_owned(),
            StateMapError::BitInMask(bit) => format!("位 {bit} 属于 mask"),
            StateMapError::NoMonitoring => "没有表示 monitoring（监测）的编码".to_owned(),
        };
        let known = InstrumentState::NAMED.map(|(_, word, name)| format!("{word} {name}")).join(", ");
        let what = Words { zh, en };
        Wrong::new(
            what,
            say!(
                "请写如 0=monitoring; 1=warm_up; 2=fault；状态：{known}",
                "write e.g. 0=monitoring; 1=warm_up; 2=fault; states: {known}"
            ),
        )
    })
}

fn frozen(cell: &str) -> Result<Frozen, Wrong> {
    let parts: Vec<&str> = cell.split_whitespace().collect();
    let (time, except) = match parts.as_slice() {
        [time] => (*time, None),
        [time, "except" | "除", value] => (*time, Some(cell::number(value)?)),
        _ => {
            let wanted = say!("请写如 24h，或 24h except 0", "write e.g. 24h, or 24h except 0");
            return Err(not_allowed(cell, wanted));
        }
    };
    Ok(Frozen { after: duration_in(time, FROZEN.0, FROZEN.1)?, except })
}

fn below(cell: &str, range: Option<(f64, f64)>) -> Result<Below, Wrong> {
    let mut parts = cell.split_whitespace();
    let limit = parts.next().unwrap_or_default();
    let stays = parts.next().map_or(Ok(BELOW_STAYS), |time| duration_in(time, BELOW.0, BELOW.1))?;
    if parts.next().is_some() {
        return Err(not_allowed(cell, say!("请写如 -5% 或 -5% 10min", "write e.g. -5% or -5% 10min")));
    }
    let limit = match (limit.strip_suffix('%'), range) {
        (None, _) => cell::number(limit)?,
        (Some(percent), Some((low, high))) => low + (high - low) * cell::number(percent)? / 100.0,
        (Some(_), None) => {
            let what = say!("`{limit}` 按量程计算，但没有量程", "`{limit}` is of the range, but there is no range");
            return Err(Wrong::new(what, say!("请填量程", "fill in the range")));
        }
    };
    Ok(Below { limit, stays })
}

/// Finds the state words of one device's points: for each point how it is judged.
pub(super) fn resolve(points: &[PointRow], out: &mut Findings) -> Vec<Option<Arc<Instrument>>> {
    if points.iter().all(|p| p.instrument.is_plain()) {
        return vec![None; points.len()];
    }
    let by_uid: BTreeMap<&str, (u16, &PointRow)> =
        (0..=u16::MAX).zip(points).map(|(ordinal, point)| (point.spec.uid.as_str(), (ordinal, point))).collect();
    points.iter().map(|point| judged(point, &by_uid, out)).collect()
}

fn judged(point: &PointRow, by_uid: &BTreeMap<&str, (u16, &PointRow)>, out: &mut Findings) -> Option<Arc<Instrument>> {
    let Asked { state_of, states, frozen, below, class } = &point.instrument;
    let word = state_of.as_ref().and_then(|(uid, spot)| word(uid, spot, by_uid, out));
    if let Some((_, word)) = word.filter(|(_, word)| word.spec.interval > point.spec.interval) {
        let (slow, fast) = (show_duration(word.spec.interval), show_duration(point.spec.interval));
        let tag = &word.spec.tag;
        let what = say!(
            "状态点 `{tag}` 每 {slow} 才读，本点每 {fast} 读：其间的标定会晚到",
            "its state word `{tag}` is read each {slow}, the point each {fast}: a calibration is noticed late"
        );
        let instead = say!("请用同一轮询类", "give both the same class");
        out.warn(class.clone().unwrap_or_else(|| Spot::file("points.csv")), Wrong::new(what, instead));
    }
    let state_of = word.map(|(ordinal, _)| ordinal);
    let instrument = Instrument { state_of, states: states.clone(), frozen: *frozen, below: *below, derived: None };
    (instrument != Instrument::default()).then(|| Arc::new(instrument))
}

fn word<'p>(
    uid: &str,
    spot: &Spot,
    by_uid: &BTreeMap<&str, (u16, &'p PointRow)>,
    out: &mut Findings,
) -> Option<(u16, &'p PointRow)> {
    let Some((ordinal, word)) = by_uid.get(uid) else {
        let what = say!("本设备没有标识为 `{uid}` 的状态点", "this device has no point with the uid `{uid}`");
        let instead = match suggest(uid, by_uid.keys().copied()) {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None => say!("请写同一设备上状态点的标识", "write the uid of a state word of the same device"),
        };
        out.error(spot.clone(), Wrong::new(what, instead));
        return None;
    };
    if word.instrument.states.is_none() {
        let what = say!("`{uid}` 没有状态定义", "`{uid}` has no states");
        let instead =
            say!("请在该点写 states，如 0=monitoring; 1=fault", "write its `states`, e.g. 0=monitoring; 1=fault");
        out.error(spot.clone(), Wrong::new(what, instead));
        return None;
    }
    Some((*ordinal, word))
}

impl Asked {
    fn is_plain(&self) -> bool {
        self.state_of.is_none() && self.states.is_none() && self.frozen.is_none() && self.below.is_none()
    }
}
