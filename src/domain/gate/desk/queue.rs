//! Queues before lanes: one that grows towards the public road alarms before it stands there.

use serde::{Deserialize, Serialize};

/// Looks in a row at which it grew, from half full on, that make an alarm before it is full.
const GROWS: u8 = 3;

/// The queue before one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Vehicles at the last look; `None`: the sensors cannot say.
    pub vehicles: Option<u16>,
    grew: u8,
    /// It alarms.
    pub alarm: bool,
    /// Nobody sees it.
    pub blind: bool,
}

/// What changed by a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The alarm began (`true`) or ended.
    pub alarm: Option<bool>,
    /// It is not seen any more (`true`), or again.
    pub blind: Option<bool>,
}

impl Queue {
    /// Takes a look; `room` is the number of vehicles that stand before the lane without reaching the public road. What is
    /// not seen neither begins an alarm nor ends one.
    pub fn look(&mut self, vehicles: Option<u16>, room: u16) -> Looked {
        let (alarm, blind) = (self.alarm, self.blind);
        self.blind = vehicles.is_none();
        if let Some(now) = vehicles {
            let half = room.div_ceil(2).max(1);
            match self.vehicles {
                Some(before) if now > before => self.grew = self.grew.saturating_add(1),
                Some(before) if now < before => self.grew = 0,
                Some(_) | None => {}
            }
            if now >= room.max(1) || (now >= half && self.grew >= GROWS) {
                self.alarm = true;
            } else if now < half {
                self.alarm = false;
            }
            self.vehicles = vehicles;
        }
        Looked {
            alarm: (alarm != self.alarm).then_some(self.alarm),
            blind: (blind != self.blind).then_some(self.blind),
        }
    }
}
