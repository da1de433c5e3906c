//! Weighbridges: a weight counts when it stands still.
//!
//! [`Stillness`] is the rule, pure; [`session`] reads an indicator over Modbus in the layout of the profile
//! `config/profiles/weighbridge.toml`: gross as a signed 32-bit word at 0 and 1, state word at 4 (bit 0 stable, bit 2
//! overload, bit 4 calibration, bit 5 fault).

pub mod session;

use std::time::Duration;

use super::modbus::session::Address;
use crate::domain::gate::hardware::Weight;
use crate::domain::gate::word::LaneId;
use crate::domain::time::Mono;

/// A weighbridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Its id in the configuration.
    pub device: String,
    /// Its lane.
    pub lane: LaneId,
    /// Where its indicator is.
    pub address: Address,
    /// When a weight stands still.
    pub rule: Rule,
}

/// When a weight stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// It must not differ by more than this, kilograms: one or two divisions of the indicator.
    pub within_kg: u32,
    /// For so long.
    pub for_time: Duration,
    /// Below this the bridge is empty, and nothing is said to stand on it.
    pub least_kg: u32,
}

impl Default for Rule {
    fn default() -> Self {
        Self { within_kg: 20, for_time: Duration::from_millis(1500), least_kg: 200 }
    }
}

/// What an indicator shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Kilograms.
    pub gross_kg: i32,
    /// Its own stability lamp.
    pub stable: bool,
    /// Nothing that is a weight: overload, calibration, fault.
    pub invalid: bool,
}

/// Reads the registers from 0 on; `None`: too few.
pub fn shown(words: &[u16]) -> Option<Shown> {
    let [high, low, _, _, state, ..] = words else { return None };
    let gross_kg = (u32::from(*high) << 16 | u32::from(*low)).cast_signed();
    Some(Shown { gross_kg, stable: state & 1 != 0, invalid: state & 0b11_0100 != 0 })
}

/// Judges what is shown, one reading after the other.
#[derive(Clone, Debug)]
pub struct Stillness {
    rule: Rule,
    /// Lowest and highest since it began to stand still, and when that was.
    since: Option<(i32, i32, Mono)>,
}

impl Stillness {
    /// Begins.
    pub fn new(rule: Rule) -> Self {
        Self { rule, since: None }
    }

    /// Returns what the bridge says; `None` for nothing read.
    pub fn judge(&mut self, shown: Option<Shown>, now: Mono) -> Weight {
        let Some(Shown { gross_kg, stable, .. }) = shown.filter(|shown| !shown.invalid) else {
            self.since = None;
            return Weight::Dead;
        };
        let (low, high, since) = self.since.unwrap_or((gross_kg, gross_kg, now));
        let (low, high) = (low.min(gross_kg), high.max(gross_kg));
        if !stable || low.abs_diff(high) > self.rule.within_kg {
            self.since = stable.then_some((gross_kg, gross_kg, now));
            return Weight::Moving;
        }
        self.since = Some((low, high, since));
        let kg = u32::try_from(gross_kg).unwrap_or(0);
        let still = now.since(since) >= self.rule.for_time;
        match (still, kg >= self.rule.least_kg) {
            (true, true) => Weight::Still(kg),
            (true, false) => Weight::Still(0),
            (false, _) => Weight::Moving,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    fn kg(gross_kg: i32) -> Option<Shown> {
        Some(Shown { gross_kg, stable: true, invalid: false })
    }

    #[test]
    fn a_truck_that_stands_is_weighed_and_one_that_rolls_is_not() {
        let mut bridge = Stillness::new(Rule::default());
        assert_eq!(bridge.judge(kg(0), at(0)), Weight::Moving);
        assert_eq!(bridge.judge(kg(10), at(1500)), Weight::Still(0), "empty");
        assert_eq!(bridge.judge(kg(12_000), at(2000)), Weight::Moving);
        assert_eq!(bridge.judge(kg(31_400), at(2500)), Weight::Moving);
        assert_eq!(bridge.judge(kg(31_410), at(3900)), Weight::Moving);
        assert_eq!(bridge.judge(kg(31_410), at(4000)), Weight::Still(31_410));
        assert_eq!(bridge.judge(kg(31_431), at(4100)), Weight::Moving, "it creeps beyond its limit");
        assert_eq!(bridge.judge(kg(31_430), at(5600)), Weight::Still(31_430));
    }

    #[test]
    fn the_indicators_own_word_is_heeded() {
        let mut bridge = Stillness::new(Rule::default());
        bridge.judge(kg(30_000), at(0));
        let unstable = Some(Shown { gross_kg: 30_000, stable: false, invalid: false });
        assert_eq!(bridge.judge(unstable, at(2000)), Weight::Moving);
        assert_eq!(bridge.judge(kg(30_000), at(2500)), Weight::Moving, "it begins anew");
        assert_eq!(bridge.judge(kg(30_000), at(4000)), Weight::Still(30_000));
        assert_eq!(bridge.judge(None, at(4100)), Weight::Dead);
        assert_eq!(bridge.judge(kg(30_000), at(4200)), Weight::Moving);
        for state in [0b101_u16, 0b1_0001, 0b10_0001] {
            let words = [0, 30_000, 0, 0, state];
            assert_eq!(bridge.judge(shown(&words), at(9000)), Weight::Dead);
        }
    }

    #[test]
    fn the_registers_are_read_as_the_profile_has_them() {
        let read = shown(&[0x0000, 0x7AA8, 0, 14_000, 1]).unwrap();
        assert_eq!(read, Shown { gross_kg: 31_400, stable: true, invalid: false });
        assert_eq!(shown(&[0xFFFF, 0xFFEC, 0, 0, 0]).unwrap().gross_kg, -20);
        assert_eq!(shown(&[1, 2, 3, 4]), None);
    }
}
