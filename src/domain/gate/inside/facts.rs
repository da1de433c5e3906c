//! What the account says to a decision: how full a zone is, whether something is inside already, and how much that is worth.

use super::{Inside, Stock, Subject};
use crate::domain::gate::facts::{AntiPassback, ZoneFacts};
use crate::domain::gate::word::{Direction, VehicleClass, ZoneId};
use crate::domain::time::Mono;

/// Whether something is inside already, and what that means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passback {
    /// Whether it is inside; `None`: not known, by a gap or a cut.
    pub inside: Option<bool>,
    /// What holds of it: never more than [`AntiPassback::Soft`] on the way out, or where nothing is known; but hard for
    /// dangerous goods on the way in.
    pub setting: AntiPassback,
}

impl Inside {
    /// Returns whether a subject is inside a zone, and what that means for a passage of it.
    pub fn passback(
        &self,
        subject: &Subject,
        zone: &ZoneId,
        way: Direction,
        hazmat: bool,
        emergency: bool,
        now: Mono,
    ) -> Passback {
        let inside = self.inside_of(subject, zone, now);
        let ours = self.rules.zones.get(zone).map(|rule| rule.anti_passback).unwrap_or_default();
        let soft = if ours == AntiPassback::Off { AntiPassback::Off } else { AntiPassback::Soft };
        let setting = match (emergency, way, inside) {
            (true, _, _) => AntiPassback::Off,
            (false, Direction::Out, _) => soft,
            (false, Direction::In, Some(_)) => ours,
            (false, Direction::In, None) if hazmat && ours != AntiPassback::Off => AntiPassback::Hard,
            (false, Direction::In, None) => soft,
        };
        Passback { inside, setting }
    }

    /// Returns whether a subject is inside a zone; `None`: not known.
    pub fn inside_of(&self, subject: &Subject, zone: &ZoneId, now: Mono) -> Option<bool> {
        let place = self.account.place(subject);
        // Seen, or counted by name, since the gap.
        let last = place.and_then(|place| place.last).max(self.account.last_list());
        let known = self.gap.is_none_or(|gap| last.is_some_and(|last| last >= gap));
        let heard = self.peers_heard(now) != Some(false);
        (known && heard).then(|| place.is_some_and(|place| place.zones.contains_key(zone)))
    }

    /// Returns whether the counts are known without a break since the last signed one.
    pub fn inside_known(&self) -> bool {
        self.account.last_count().is_some_and(|counted| self.gap.is_none_or(|gap| counted >= gap))
            || (self.gap.is_none() && self.account.horizon().is_some())
    }

    /// Returns the facts of a zone for a passage of a vehicle of this class, or of persons; `None` where there is no such
    /// zone. `gas_level` is the highest level of a gas alarm in it.
    pub fn zone_facts(&self, zone: &ZoneId, class: Option<VehicleClass>, gas_level: u8) -> Option<ZoneFacts> {
        let rule = self.rules.zones.get(zone)?;
        let vehicles = class.map(Stock::Vehicles);
        Some(ZoneFacts {
            zone: zone.clone(),
            class: rule.class,
            persons: self.account.count(zone, Stock::Persons).0,
            persons_max: rule.persons_max,
            vehicles: vehicles.map_or(0, |stock| self.account.count(zone, stock).0),
            vehicles_max: vehicles.and_then(|stock| rule.most(stock)),
            gas_level,
            anti_passback: rule.anti_passback,
            training_needed: rule.training_needed,
        })
    }
}
