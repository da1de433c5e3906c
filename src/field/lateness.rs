//! How late the slaves of a bus may be: what keeps a late answer from being taken for the next one.
//!
//! RTU frames carry no number, so the answer to a request given up looks like the answer to the next one of the same kind
//! to the same slave. After a fault a slave therefore rests until any answer still on its way has had its time: the
//! longest timeout configured on the bus, or twice what was seen of this slave. Others are asked meanwhile: their answers
//! bear their own address.
//!
//! A whole frame that nobody waited for is such a late answer. When it comes from a slave that has answered since, what was
//! taken for its answer may have been an older one: it is not trusted, and rests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::settings::Device;
use crate::domain::id::DeviceSlot;
use crate::domain::time::Mono;

/// A request asked longer ago than this has no answer on its way any more.
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

    /// Notes that `unit` did not answer what was asked at `sent`; returns how long it must rest.
    pub fn in_vain(&mut self, unit: u8, sent: Mono) -> Duration {
        let asked = self.in_vain.entry(unit).or_default();
        asked.retain(|earlier| sent.since(*earlier) <= FORGET_AFTER);
        asked.push(sent);
        self.rest(unit)
    }

    /// Notes a whole frame of `unit` that was no answer. Returns whether it was the answer to a request given up.
    pub fn stray(&mut self, unit: u8, now: Mono) -> bool {
        let asked = self.in_vain.get(&unit).into_iter().flatten();
        let late = asked.map(|sent| now.since(*sent)).filter(|late| *late <= FORGET_AFTER).max();
        if let Some(late) = late {
            let seen = self.seen.entry(unit).or_default();
            *seen = late.max(*seen);
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
        assert_eq!(bus.in_vain(1, at(0)), Duration::from_millis(300));
        assert!(bus.stray(1, at(900)));
        assert_eq!(bus.in_vain(1, at(1000)), Duration::from_millis(1800));
        assert_eq!(bus.in_vain(2, at(1000)), Duration::from_millis(300));
    }

    #[test]
    fn a_frame_of_a_slave_that_owes_nothing_is_only_noise() {
        let mut bus = lateness();
        assert!(!bus.stray(1, at(0)));
        bus.in_vain(1, at(0));
        assert!(!bus.stray(1, at(10_001)));
        assert_eq!(bus.rest(1), Duration::from_millis(300));
    }
}
