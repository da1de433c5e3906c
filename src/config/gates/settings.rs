//! What the gates' machine is given of a configuration, put together from the files that say it.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::{Config, Gateway};
use crate::domain::gate::gates::Settings;
use crate::domain::gate::word::GatewayId;
use crate::domain::gate::{inside, register};
use crate::domain::time::Timestamp;

/// The account waits for so much longer than the slowest lane before it says itself that nobody entered: the lane says it
/// first, and better.
const AFTER_THE_LANE: Duration = Duration::from_secs(5);

impl Gateway {
    /// Returns what the park's clock is ahead of UTC at a moment, seconds; Beijing's where the machine does not know the zone.
    pub fn utc_offset_s(&self, at: Timestamp) -> i32 {
        let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let beijing = register::rules::Rules::default().utc_offset_s;
        TimeZone::get(&self.timezone).map_or(beijing, |zone| zone.to_offset(at).seconds())
    }
}

impl Config {
    /// Returns the rules of the register; `at`: when, for the park's clock.
    pub fn register_rules(&self, at: Timestamp) -> register::rules::Rules {
        let limits = &self.policies.parameters;
        let stale = register::rules::Stale {
            hazmat: limits.stale_hazmat,
            persons: limits.stale_visitor,
            vehicles: limits.stale_fixed,
        };
        register::rules::Rules { utc_offset_s: self.gateway.utc_offset_s(at), stale, ..self.gates.register.clone() }
    }

    /// Returns all that the gates' machine is given; `at`: when, for the park's clock.
    pub fn gates_settings(&self, at: Timestamp) -> Settings {
        let slowest = self.gates.lanes.iter().map(|lane| lane.timing.not_entered).max();
        let usual = self.gates.inside.not_entered_after;
        let inside = inside::Rules {
            zones: self.zones.clone(),
            not_entered_after: slowest.map_or(usual, |slowest| slowest + AFTER_THE_LANE),
            ..self.gates.inside.clone()
        };
        Settings {
            gateway: GatewayId::new(self.gateway.id.as_str()),
            lanes: self.gates.lanes.clone(),
            register: self.register_rules(at),
            inside,
            hazmat: Arc::clone(&self.hazmat),
            desk: self.gates.desk.clone(),
        }
    }
}
