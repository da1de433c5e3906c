//! The alarms that each gas detector has without being asked: of the gas, and of the instrument.

use std::time::Duration;

use super::build::Builder;
use super::gas::Gas;
use crate::domain::alarm::severity::Class;
use crate::domain::alarm::spec::{AlarmSpec, Condition, Detector, PointRef, SETTLE, Side};
use crate::domain::registry::PointSpec;

impl Builder<'_> {
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

fn text(spec: &PointSpec, zh: &str, en: &str) -> String {
    format!("{} {} {zh} | {en}", spec.tag, spec.name)
}
