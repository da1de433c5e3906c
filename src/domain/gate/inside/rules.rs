//! What the configuration says about who may be inside, where, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::{Crossing, Stock, Subject};
use crate::domain::gate::facts::AntiPassback;
use crate::domain::gate::word::{GatewayId, VehicleClass, ZoneClass, ZoneId};

/// Zones nest no deeper than this: core in key in general in park, and room for a site's own.
pub const MAX_DEPTH: usize = 8;
/// Events kept in memory by default. Two weeks of a park with 7,000 passages a day; older ones are folded into a stock, and
/// stay in the store.
pub const MAX_EVENTS: usize = 100_000;

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Zones.
    pub zones: BTreeMap<ZoneId, ZoneRule>,
    /// The other gateways of the park.
    pub peers: BTreeSet<GatewayId>,
    /// Without word of a peer for this long, it is taken to be cut off.
    pub peer_silent_after: Duration,
    /// What was let through and is not on its way through the lane has not entered (`domain.md` rule 57).
    pub not_entered_after: Duration,
    /// So many violations …
    pub review_at: u32,
    /// … within so long are for a person to look at (rule 62).
    pub review_within: Duration,
    /// Events kept in memory.
    pub max_events: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            zones: BTreeMap::new(),
            peers: BTreeSet::new(),
            peer_silent_after: Duration::from_secs(60),
            not_entered_after: Duration::from_secs(30),
            review_at: 3,
            review_within: Duration::from_secs(30 * 86_400),
            max_events: MAX_EVENTS,
        }
    }
}

/// A zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneRule {
    /// Its class.
    pub class: ZoneClass,
    /// The zone around it.
    pub parent: Option<ZoneId>,
    /// Whether persons need a valid training to enter.
    pub training_needed: bool,
    /// What a second entry without an exit means.
    pub anti_passback: AntiPassback,
    /// How many persons may be in it.
    pub persons_max: Option<u32>,
    /// How many vehicles of a class may be in it.
    pub vehicles_max: BTreeMap<VehicleClass, u32>,
    /// How long a person on foot may stay.
    pub persons_stay: Option<Duration>,
    /// How long a vehicle of a class may stay.
    pub vehicles_stay: BTreeMap<VehicleClass, Duration>,
    /// How often an overstay is told again.
    pub overstay_again: Duration,
}

impl ZoneRule {
    /// Returns a zone of this class that limits nothing.
    pub fn of(class: ZoneClass) -> Self {
        Self {
            class,
            parent: None,
            training_needed: false,
            anti_passback: AntiPassback::default(),
            persons_max: None,
            vehicles_max: BTreeMap::new(),
            persons_stay: None,
            vehicles_stay: BTreeMap::new(),
            overstay_again: Duration::from_secs(30 * 60),
        }
    }

    /// Returns how many may be inside; `None`: as many as come.
    pub fn most(&self, stock: Stock) -> Option<u32> {
        match stock {
            Stock::Persons => self.persons_max,
            Stock::Vehicles(class) => self.vehicles_max.get(&class).copied(),
        }
    }

    /// Returns how long a subject may stay: a vehicle by its class, a person who did not come in a vehicle.
    pub fn longest(&self, subject: &Subject, class: Option<VehicleClass>, in_vehicle: bool) -> Option<Duration> {
        match subject {
            Subject::Vehicle(_) => self.vehicles_stay.get(&class?).copied(),
            Subject::Person(_) => self.persons_stay.filter(|_| !in_vehicle),
        }
    }
}

impl Rules {
    /// Returns the borders that lie between two places; `None` is outside of the park.
    pub fn crossing(&self, from: Option<&ZoneId>, to: Option<&ZoneId>) -> Crossing {
        let (from, to) = (self.around(from), self.around(to));
        Crossing {
            enters: to.iter().filter(|zone| !from.contains(zone)).cloned().collect(),
            leaves: from.iter().filter(|zone| !to.contains(zone)).cloned().collect(),
        }
    }

    /// Returns a zone and those around it, the innermost first.
    pub fn around(&self, zone: Option<&ZoneId>) -> Vec<ZoneId> {
        let mut chain = Vec::new();
        let mut next = zone;
        while let Some(zone) = next {
            if chain.contains(zone) || chain.len() >= MAX_DEPTH {
                break;
            }
            chain.push(zone.clone());
            next = self.zones.get(zone).and_then(|rule| rule.parent.as_ref());
        }
        chain
    }
}
