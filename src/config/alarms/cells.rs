//! The limit columns of the point table: what stands in the cells, before it is known whether it makes sense
//! ([`super::limits`], [`super::gas`]).
//!
//! | column | written | means |
//! |---|---|---|
//! | `ll` `l` `h` `hh` | a number in the point's unit | the four limits of an analogue point (`domain.md` A12 99) |
//! | `l1` `l2` | a number in the point's unit | first and second level of a gas detector (A10 80) |
//! | `gas` | a formula of `oel.csv`, `O2`, or the name of a combustible gas | what is detected |
//! | `limit_basis` | `OEL`, `IDLH` | by what a toxic gas is set; IDLH declares that no sufficient range is to be had |
//! | `alarm_deadband` | a number, a percentage of the range | how far back before it clears |
//! | `alarm_delay` | a duration | how long beyond a limit before it is an alarm |
//! | `priority` | `red`, `yellow/orange` | of the alarm, or of its two levels |
//! | `zone` | an id | where it is |
//! | `alarm_of` | `gas-1.gas1 1=l1 2=l2`, `gas-1.gas1 fault` | this point is what a controller says of that detector |

use std::time::Duration;

use super::super::cell;
use super::super::problem::{Findings, Spot, Wrong, say};
use super::super::section::Got;
use super::super::sheet::{Column, Row};
use super::super::value::{code, duration_in, label, not_allowed};
use crate::domain::alarm::ask::Test;
use crate::domain::alarm::setpoint::Which;
use crate::domain::alarm::severity::Priority;
use crate::domain::alarm::spec::Side;

/// Longest delay of an alarm: beyond it is not a delay but a report.
pub(super) const MAX_DELAY: Duration = Duration::from_secs(3600);

/// A limit as written: its number, and a unit behind it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Level {
    pub(super) value: f64,
    pub(super) unit: Option<String>,
}

/// What a point of a controller tells of a detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tells {
    /// Its alarm of this level is set; of oxygen, on this side.
    Alarm(u8, Side),
    /// The detector is faulty.
    Fault,
    /// Its alarms are inhibited.
    Inhibit,
    /// The number is the set point of this level.
    SetPoint(Which),
}

/// What stands in `alarm_of`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AlarmOf {
    /// Uid of the detector's point.
    pub(super) uid: String,
    /// What which value tells.
    pub(super) tells: Vec<(Test, Tells)>,
}

/// What the cells of one row say. A row without any of them has none of this.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(super) low_low: Option<Got<Level>>,
    pub(super) low: Option<Got<Level>>,
    pub(super) high: Option<Got<Level>>,
    pub(super) high_high: Option<Got<Level>>,
    pub(super) first: Option<Got<Level>>,
    pub(super) second: Option<Got<Level>>,
    pub(super) gas: Option<Got<String>>,
    /// Set by the IDLH, by declaration.
    pub(super) by_idlh: Option<Spot>,
    /// In the point's unit.
    pub(super) deadband: Option<Got<f64>>,
    pub(super) delay: Option<Got<Duration>>,
    /// Of the first and the second level; the second `None` where one word is written.
    pub(super) priority: Option<Got<(Priority, Option<Priority>)>>,
    pub(super) zone: Option<Got<String>>,
    pub(super) alarm_of: Option<Got<AlarmOf>>,
    /// Whether the point is a bit or a state word, which has no limits.
    pub(super) is_digital: bool,
    /// Where the row is told of as a whole.
    pub(super) spot: Spot,
    /// Where its unit stands.
    pub(super) unit_spot: Spot,
    /// Where its range ends.
    pub(super) range_spot: Spot,
}

/// Columns whose presence makes a row one with alarms.
const COLUMNS: [Column; 13] = [
    Column::LowLow,
    Column::Low,
    Column::High,
    Column::HighHigh,
    Column::First,
    Column::Second,
    Column::Gas,
    Column::Basis,
    Column::AlarmDeadband,
    Column::AlarmDelay,
    Column::Priority,
    Column::Zone,
    Column::AlarmOf,
];

/// Reads the cells. Wrong ones are told, and count as empty: the configuration is refused anyway.
pub(crate) fn read(
    row: Row<'_>,
    range: Option<(f64, f64)>,
    is_digital: bool,
    out: &mut Findings,
) -> Option<Box<Cells>> {
    let says_gas = row.text(Column::Kind).is_some_and(|kind| super::limits::kind_word(kind) == "gas")
        || row.text(Column::Unit).and_then(super::gas::gas_only).is_some();
    if !says_gas && COLUMNS.iter().all(|column| row.text(*column).is_none()) {
        return None;
    }
    let mut level = |column| got(row, column, level, out);
    let (low_low, low) = (level(Column::LowLow), level(Column::Low));
    let (high, high_high) = (level(Column::High), level(Column::HighHigh));
    let (first, second) = (level(Column::First), level(Column::Second));
    Some(Box::new(Cells {
        low_low,
        low,
        high,
        high_high,
        first,
        second,
        gas: got(row, Column::Gas, |cell| label(cell, 32).map(str::to_owned), out),
        by_idlh: got(row, Column::Basis, basis, out).filter(|got| got.value).map(|got| got.spot),
        deadband: got(row, Column::AlarmDeadband, |cell| deadband(cell, range), out),
        delay: got(row, Column::AlarmDelay, |cell| duration_in(cell, Duration::ZERO, MAX_DELAY), out),
        priority: got(row, Column::Priority, priorities, out),
        zone: got(row, Column::Zone, |cell| code(cell, 64).map(str::to_owned), out),
        alarm_of: got(row, Column::AlarmOf, alarm_of, out),
        is_digital: is_digital || row.text(Column::States).is_some(),
        spot: row.spot(Column::First),
        unit_spot: row.spot(Column::Unit),
        range_spot: row.spot(Column::RangeHigh),
    }))
}

fn got<T>(
    row: Row<'_>,
    column: Column,
    read: impl FnOnce(&str) -> Result<T, Wrong>,
    out: &mut Findings,
) -> Option<Got<T>> {
    let value = row.or(column, None, |cell| read(cell).map(Some), out)??;
    Some(Got { value, spot: row.spot(column) })
}

fn level(cell: &str) -> Result<Level, Wrong> {
    let end = cell.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E')));
    let (number, unit) = cell.split_at_checked(end.unwrap_or(cell.len())).unwrap_or((cell, ""));
    let unit = unit.trim();
    let number = if number.is_empty() { cell } else { number };
    Ok(Level { value: cell::number(number)?, unit: (!unit.is_empty()).then(|| unit.to_owned()) })
}

/// Reads `gas-1.gas1 1=l1 2=l2`: the uid, then what each value tells; a word alone is what a set bit tells.
fn alarm_of(cell: &str) -> Result<AlarmOf, Wrong> {
    let wanted = || {
        say!(
            "请写 探测器测点的标识，再写含义：l1、l2、low、high、fault、inhibit、set_l1、set_l2；多值的如 1=l1 2=l2",
            "write the uid of the detector's point, then what this point tells: l1, l2, low, high, fault, inhibit, set_l1, set_l2; of a number such as 1=l1 2=l2"
        )
    };
    let mut words = cell.split([' ', ';', ',', '；', '，']).filter(|word| !word.is_empty());
    let uid = code(words.next().unwrap_or_default(), 64)?.to_owned();
    let tell = |word: &str| {
        let (test, word) = match word.split_once('=') {
            Some((number, word)) => (Test::Equals(number.parse().ok()?), word),
            None => (Test::On, word),
        };
        let tells = match word {
            "l1" => Tells::Alarm(1, Side::High),
            "l2" => Tells::Alarm(2, Side::High),
            "high" => Tells::Alarm(1, Side::High),
            "low" => Tells::Alarm(1, Side::Low),
            "fault" => Tells::Fault,
            "inhibit" => Tells::Inhibit,
            "set_l1" => Tells::SetPoint(Which::First),
            "set_l2" => Tells::SetPoint(Which::Second),
            _ => return None,
        };
        Some((test, tells))
    };
    let tells: Option<Vec<_>> = words.map(tell).collect();
    match tells.filter(|tells| !tells.is_empty()) {
        Some(tells) => Ok(AlarmOf { uid, tells }),
        None => Err(not_allowed(cell, wanted())),
    }
}

fn basis(cell: &str) -> Result<bool, Wrong> {
    match cell.to_uppercase().as_str() {
        "OEL" => Ok(false),
        "IDLH" => Ok(true),
        _ => Err(not_allowed(
            cell,
            say!(
                "请写 OEL，或 IDLH（申明没有量程足够的探测器，GB/T 50493-2019 5.5.2-3）",
                "write OEL, or IDLH (declares that no detector of a sufficient range is to be had, GB/T 50493-2019 5.5.2-3)"
            ),
        )),
    }
}

fn deadband(cell: &str, range: Option<(f64, f64)>) -> Result<f64, Wrong> {
    let (text, is_percent) = cell.strip_suffix('%').map_or((cell, false), |text| (text.trim(), true));
    let value = cell::number(text)?;
    if value < 0.0 {
        let what = say!("报警死区 {cell} 小于 0", "the alarm deadband {cell} is below 0");
        return Err(Wrong::new(
            what,
            say!("请写不小于 0 的数，或量程百分数", "write a number from 0, or a percentage of the range"),
        ));
    }
    match (is_percent, range) {
        (false, _) => Ok(value),
        (true, Some((low, high))) => Ok((high - low) * value / 100.0),
        (true, None) => {
            let what = say!(
                "报警死区 {cell} 按量程计算，但没有量程",
                "the alarm deadband {cell} is of the range, but there is no range"
            );
            Err(Wrong::new(
                what,
                say!("请填量程，或写带单位的数值", "fill in the range, or write a number in the point's unit"),
            ))
        }
    }
}

/// Reads `red`, 红, or two of them for the two levels.
pub(super) fn priorities(cell: &str) -> Result<(Priority, Option<Priority>), Wrong> {
    let mut parts = cell.split('/').map(str::trim);
    let first = priority(parts.next().unwrap_or_default(), cell)?;
    let second = parts.next().map(|part| priority(part, cell)).transpose()?;
    match (second, parts.next()) {
        (_, Some(_)) => Err(not_allowed(cell, priority_wanted())),
        (Some(second), None) if second < first => {
            let what = say!("第二级 `{cell}` 低于第一级", "the second level of `{cell}` is below the first");
            Err(Wrong::new(what, priority_wanted()))
        }
        (second, None) => Ok((first, second)),
    }
}

fn priority(word: &str, cell: &str) -> Result<Priority, Wrong> {
    Priority::from_name(&word.to_lowercase()).ok_or_else(|| not_allowed(cell, priority_wanted()))
}

fn priority_wanted() -> super::super::problem::Words {
    say!(
        "请写 red 红、orange 橙、yellow 黄、blue 蓝，或两级如 yellow/orange",
        "write red, orange, yellow or blue, or those of two levels such as yellow/orange"
    )
}
