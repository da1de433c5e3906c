//! How late the slaves of a bus may be: how long one rests after a fault, so that its late answer does not meet the next
//! request on the wires.
//!
//! That no late answer is taken for another is not a matter of time but of shape ([`super::modbus::owed`]). After a fault a
//! slave rests until an answer still on its way has most likely come: the longest timeout configured on the bus, or twice
//! what was seen of this slave. Others are asked meanwhile: their answers bear their own address.
//!
//! A whole frame that nobody waited for and that nobody owed should not be. When it comes from a slave that has answered
//! since it was last silent, that slave does not answer in order; what it says is not trusted, and it rests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::settings::Device;
use crate::domain::id::DeviceSlot;
use crate::domain::time::Mono;

/// The longest rest taken for lateness is twice this; a frame that nobody owed is blamed on a silence of this long ago at most.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub struct Lateness {
    base: Duration,
    in_vain: BTreeMap<u8, Vec<Mono>>,
    seen: BTreeMap<u8, Duration>,
}

impl Lateness {
    /// Returns what holds for a bus of these devices.
    pub fn of(devices: &[(DeviceSlot, Arc<Device>)]) -> Self {
        let base = devices.iter().map(|(_, device)| device.timeout).max().unwrap_or_default();
        Self { base, ..Self::default() }
    }

    /// Notes that `unit` did not answer what was asked at `sent`.
    pub fn in_vain(&mut self, unit: u8, sent: Mono) {
        let asked = self.in_vain.entry(unit).or_default();
        asked.retain(|earlier| sent.since(*earlier) <= FORGET_AFTER);
        asked.push(sent);
    }

    /// Notes that an answer of `unit` came so late.
    pub fn late(&mut self, unit: u8, late: Duration) {
        let seen = self.seen.entry(unit).or_default();
        *seen = late.min(FORGET_AFTER).max(*seen);
    }

    /// Notes a whole frame of `unit` that was no answer and that it did not owe. Returns whether it was silent lately, so
    /// that this may be an answer out of turn.
    pub fn stray(&mut self, unit: u8, now: Mono) -> bool {
        let asked = self.in_vain.get(&unit).into_iter().flatten();
        let late = asked.map(|sent| now.since(*sent)).filter(|late| *late <= FORGET_AFTER).max();
        if let Some(late) = late {
            self.late(unit, late);
        }
        late.is_some()
    }

    /// Returns how long `unit` must rest after a fault.
    pub fn rest(&self, unit: u8) -> Duration {
        self.seen.get(&unit).map_or(self.base, |late| self.base.max(*late * 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lateness() -> Lateness {
        Lateness { base: Duration::from_millis(300), ..Lateness::default() }
    }

    fn at(ms: u64) -> Mono {
        Mono::from_secs(100) + Duration::from_millis(ms)
    }

    #[test]
    fn a_slave_that_was_late_rests_twice_as_long_and_the_others_do_not() {
        let mut bus = lateness();
        assert_eq!(bus.rest(1), Duration::from_millis(300));
        bus.late(1, Duration::from_millis(900));
        bus.late(1, Duration::from_millis(500));
        assert_eq!((bus.rest(1), bus.rest(2)), (Duration::from_millis(1800), Duration::from_millis(300)));
        bus.late(1, Duration::from_secs(50));
        assert_eq!(bus.rest(1), Duration::from_secs(20), "never for minutes");
    }

    #[test]
    fn a_frame_of_a_slave_that_owes_nothing_is_only_noise() {
        let mut bus = lateness();
        assert!(!bus.stray(1, at(0)));
        bus.in_vain(1, at(0));
        assert!(!bus.stray(1, at(10_001)));
        assert_eq!(bus.rest(1), Duration::from_millis(300));
        assert!(bus.stray(1, at(900)));
        assert_eq!(bus.rest(1), Duration::from_millis(1800));
    }
}
