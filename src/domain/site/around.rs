//! What the gates ask of the site: what holds at a lane, where gas is, what the city warns of, what is evacuated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Site;
use super::desk::Wanted;
use super::state::State;
use crate::domain::order::{LaneRule, OrderKind};
use crate::domain::record::Mode;

/// What holds at a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtLane {
    /// The state of its zone: the strongest of its own and of those around it.
    pub state: State,
    /// What is wanted of the lane.
    pub rule: LaneRule,
    /// A drill that moves barriers wants it.
    pub drill: bool,
}

/// A zone that is left, or in which leaving is rehearsed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evacuation {
    /// Id of the zone.
    pub zone: String,
    /// Its episode.
    pub episode: String,
    /// A drill.
    pub drill: bool,
}

impl Site {
    /// Returns what holds at each lane, but for those that are out of service for good.
    pub fn at_lanes(&self) -> Vec<(String, AtLane)> {
        let wanted = self.wanted_lanes().into_iter();
        let at = |(lane, _, wanted): (String, LaneRule, Wanted)| {
            let zone = self.book.lanes.get(self.book.lane(&lane)?)?.zone;
            let OrderKind::Lane { rule, .. } = wanted.what else { return None };
            Some((lane, AtLane { state: self.holds(zone), rule, drill: wanted.mode == Mode::Drill }))
        };
        wanted.filter_map(at).collect()
    }

    /// Returns what holds at a lane; `None` for one that the site does not have, or that is out of service for good.
    pub fn at_lane(&self, lane: &str) -> Option<AtLane> {
        self.at_lanes().into_iter().find(|(id, _)| id == lane).map(|(_, at)| at)
    }

    /// Returns the highest level of a gas alarm in each zone that has one.
    pub fn gas_levels(&self) -> BTreeMap<String, u8> {
        let mut levels = BTreeMap::new();
        for (zone, level) in self.gas.values() {
            let highest = levels.entry(self.zone_id(*zone)).or_default();
            *highest = (*level).max(*highest);
        }
        levels
    }

    /// Returns the city's warnings by kind, each at its strongest level; 1, the strongest, where the kind has none.
    pub fn warned_of(&self) -> BTreeMap<String, u8> {
        let mut levels = BTreeMap::new();
        for standing in self.warnings.iter() {
            let level = standing.warning.level.unwrap_or(1);
            let strongest = levels.entry(standing.warning.kind.as_str().to_owned()).or_insert(level);
            *strongest = level.min(*strongest);
        }
        levels
    }

    /// Returns the episode of the strongest emergency.
    pub fn emergency(&self) -> Option<&str> {
        let zones = self.zones.iter().filter(|zone| zone.state.is_emergency());
        zones.max_by_key(|zone| zone.state).map(|zone| zone.episode.as_str())
    }

    /// Returns the zones that are evacuated, and the one in which that is rehearsed.
    pub fn evacuations(&self) -> Vec<Evacuation> {
        let real = self.zones.iter().enumerate().filter(|(_, zone)| zone.state == State::Evacuate);
        let real = real.map(|(at, zone)| (at, zone.episode.clone(), false));
        let drill = self.drill.iter().filter(|drill| drill.rehearses == State::Evacuate);
        let drill = drill.map(|drill| (drill.zone, drill.episode.clone(), true));
        let told = |(at, episode, drill)| Evacuation { zone: self.zone_id(at), episode, drill };
        real.chain(drill).map(told).collect()
    }
}
