//! The alarms that each gas detector has without being asked, of the gas and of the instrument; and what its controller's
//! bits need, to be heard.

use std::collections::BTreeMap;
use std::time::Duration;

use super::build::{Builder, Limits};
use super::cells::Cells;
use super::gas::{self, Gas};
use crate::config::problem::{Findings, Wrong, say};
use crate::domain::alarm::severity::Class;
use crate::domain::alarm::spec::{AlarmSpec, Condition, Detector, PointRef, SETTLE, Side};
use crate::domain::registry::PointSpec;

impl Builder<'_> {
    /// A controller's bit for which its detector has no alarm would be heard by nobody.
    pub(super) fn check_bits(
        &self,
        all: &BTreeMap<PointRef, &Cells>,
        gases: &BTreeMap<PointRef, Gas>,
        out: &mut Findings,
    ) {
        for detector in &self.book.detectors {
            let is_oxygen = all.get(&detector.at).is_some_and(|cells| gas::is_oxygen(cells));
            for bit in &detector.bits {
                let wrong = unheard(detector, bit.side, gases.get(&detector.at), is_oxygen);
                let cell = all.get(&bit.when.at).and_then(|cells| cells.alarm_of.as_ref());
                if let (Some(wrong), Some(cell)) = (wrong, cell) {
                    out.error(cell.spot.clone(), wrong);
                }
            }
        }
    }

    /// Whether only a bit of the controller raises the second level, as there is a limit for the first alone.
    pub(super) fn has_second_by_bit(&self, condition: &Condition, limits: Limits) -> bool {
        let Condition::Gas { detector, side, .. } = condition else { return false };
        let bits = self.book.detectors.get(*detector).map(|detector| detector.bits.as_slice()).unwrap_or_default();
        matches!(limits, [Some(_), None]) && bits.iter().any(|bit| bit.side == *side && bit.level > 1)
    }

    /// Adds the alarms of one detector; `gas` is what it alarms at, where that is known.
    pub(super) fn add_gas(&mut self, at: PointRef, spec: &PointSpec, gas: Option<&Gas>) {
        let index = self.detectors.get(&at).copied();
        let Some((index, detector)) = index.and_then(|index| Some((index, self.book.detectors.get(index)?))) else {
            return;
        };
        let mut alarms = self.of_gas(index, detector, spec, gas);
        alarms.extend(self.of_instrument(index, detector, spec, gas.is_some()));
        alarms.into_iter().for_each(|alarm| self.push(alarm));
    }

    fn of_gas(&self, index: usize, detector: &Detector, spec: &PointSpec, gas: Option<&Gas>) -> Vec<AlarmSpec> {
        let at = detector.at;
        let condition = |side, compare| Condition::Gas { detector: index, side, compare };
        let alarms = match gas {
            Some(Gas::Rising { first, second, deadband, .. }) => {
                let text = text(spec, "气体报警", "gas");
                let limits = [*first, *second];
                vec![self.limited(at, Class::Gas, condition(Side::High, true), limits, *deadband, text)]
            }
            Some(Gas::Oxygen(four)) => {
                let (low, high) = (text(spec, "欠氧", "oxygen deficiency"), text(spec, "过氧", "oxygen excess"));
                let of = |side, limits, text| {
                    self.limited(at, Class::Gas, condition(side, true), limits, four.deadband, text)
                };
                vec![of(Side::Low, [four.low, four.low_low], low), of(Side::High, [four.high, four.high_high], high)]
            }
            // Only the controller knows its set points: its bits raise the alarm.
            None if !detector.bits.is_empty() => {
                let top = detector.bits.iter().map(|bit| bit.level).max().unwrap_or(1);
                let levels: Vec<_> = (1..=top).map(|_| (None, 0.0)).collect();
                let text = text(spec, "气体报警", "gas");
                vec![self.of_point(at, Class::Gas, condition(Side::High, false), &levels, text)]
            }
            None => Vec::new(),
        };
        alarms.into_iter().flatten().collect()
    }

    /// What is wrong with the instrument, or lasts too long; `compares`: there is something to compare with the bits.
    fn of_instrument(&self, index: usize, detector: &Detector, spec: &PointSpec, compares: bool) -> Vec<AlarmSpec> {
        let about = |condition, delay, zh, en| {
            let alarm = self.of_point(detector.at, Class::Gas, condition, &[(None, 0.0)], text(spec, zh, en));
            alarm.map(|alarm| AlarmSpec { on_delay: delay, latching: false, ..alarm })
        };
        let fault = Condition::GasFault { detector: index };
        let mut alarms =
            vec![about(fault, Duration::ZERO, "探测器故障、失联或冻结", "the detector is faulty, silent or frozen")];
        if !detector.bits.is_empty() && compares {
            let condition = Condition::Disagreement { detector: index };
            alarms.push(about(condition, SETTLE, "控制器与网关判断不一致", "controller and gateway disagree"));
        }
        // An inhibition without an end is a detector that nobody hears, whoever tells of it.
        let has_word = spec.instrument.as_ref().is_some_and(|i| i.state_of.is_some());
        if has_word || !detector.inhibit.is_empty() {
            let condition = Condition::StateTooLong { detector: index, limits: self.rules.states.clone() };
            let (zh, en) = ("标定、维护或抑制超时", "calibrated, maintained or inhibited for too long");
            alarms.push(about(condition, Duration::ZERO, zh, en));
        }
        alarms.into_iter().flatten().collect()
    }
}

/// Why nobody would hear a bit of this side; `None` where there is an alarm that it raises.
fn unheard(detector: &Detector, side: Side, gas: Option<&Gas>, is_oxygen: bool) -> Option<Wrong> {
    match (gas, side) {
        (Some(Gas::Oxygen(four)), Side::Low) if four.low.is_none() && four.low_low.is_none() => {
            Some(without_limit(detector, ("低报", "l", "欠氧", "deficiency", "19.5"), ("过氧", "excess", "high")))
        }
        (Some(Gas::Oxygen(four)), Side::High) if four.high.is_none() && four.high_high.is_none() => {
            Some(without_limit(detector, ("高报", "h", "过氧", "excess", "23.5"), ("欠氧", "deficiency", "low")))
        }
        (Some(Gas::Oxygen(_)), _) | (_, Side::High) => None,
        // Oxygen that is not judged as oxygen has mistakes in its own row, which were told.
        (Some(Gas::Rising { .. }) | None, Side::Low) if is_oxygen => None,
        (Some(Gas::Rising { .. }) | None, Side::Low) => {
            let tag = &detector.tag;
            let what = say!(
                "{tag} 不是氧气探测器，没有欠氧报警：控制器的 low 没有人听见",
                "{tag} is no detector of oxygen and has no alarm of its deficiency: nobody would hear the controller's `low`"
            );
            let instead = say!(
                "浓度的第一级请写 l1；若是氧气，请在 {tag} 的“气体”列写 O2",
                "write l1 if it is the first level of a gas; if it is oxygen, write O2 into the column gas of {tag}"
            );
            Some(Wrong::new(what, instead))
        }
    }
}

/// The bit's limit is not written: its column, what it tells of, what to write; and what a bit of the other side is.
fn without_limit(
    detector: &Detector,
    (column_zh, column, zh, en, value): (&str, &str, &str, &str, &str),
    (other_zh, other_en, other): (&str, &str, &str),
) -> Wrong {
    let tag = &detector.tag;
    let what = say!(
        "{tag} 没有写{column_zh}，所以没有{zh}报警：控制器的这一位没有人听见",
        "{tag} has no `{column}`, hence no alarm of {en}: nobody would hear this bit of the controller"
    );
    let instead = say!(
        "请给 {tag} 写{column_zh}（如 {value}）；若此位指{other_zh}，请写 {other}",
        "write `{column}` of {tag} (such as {value}); or `{other}` here, if the bit tells of {other_en}"
    );
    Wrong::new(what, instead)
}

fn text(spec: &PointSpec, zh: &str, en: &str) -> String {
    format!("{} {} {zh} | {en}", spec.tag, spec.name)
}
