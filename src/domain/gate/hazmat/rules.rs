//! What the site has decided about dangerous goods: the content of `hazmat.toml`, checked. The defaults are those of the
//! notices that parks publish; every one of them is the site's to change.

use std::collections::BTreeSet;
use std::time::Duration;

use super::apart::Table;
use super::checks::{CheckItem, default_items};
use super::lot::{BaySpec, Promises};
use super::map::Map;
use super::track::TrackRules;
use super::visit::Tolerance;
use crate::domain::gate::word::ZoneId;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// What a loader and a guard look at.
    pub items: Vec<CheckItem>,
    /// Bays of the parking; none: the park has no parking, and nobody can be dispatched from it.
    pub bays: Vec<BaySpec>,
    /// What must be apart.
    pub table: Table,
    /// How long a bay is promised.
    pub promises: Promises,
    /// Zones that are entered by dispatch only (rule 38).
    pub dispatch_zones: BTreeSet<ZoneId>,
    /// A dispatched vehicle is at its place within this time.
    pub arrive_within: Duration,
    /// What a company published of its places is good for so long; afterwards it is not known.
    pub quota_valid: Duration,
    /// A vehicle may stay so long (rule 41).
    pub stay: Duration,
    /// The warning comes at so many percent of it.
    pub stay_warn_percent: u32,
    /// An overstay is told again after so long.
    pub stay_repeat: Duration,
    /// Between scales and waybill.
    pub tolerance: Tolerance,
    /// Waybills are kept for so long after their end: 12 months at least (rule 32).
    pub keep: Duration,
    /// How positions are judged.
    pub track: TrackRules,
    /// Against what.
    pub map: Map,
}

impl Default for Rules {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self {
            items: default_items(),
            bays: Vec::new(),
            table: Table::default(),
            promises: Promises::default(),
            dispatch_zones: BTreeSet::new(),
            arrive_within: hour / 2,
            quota_valid: 24 * hour,
            stay: 6 * hour,
            stay_warn_percent: 80,
            stay_repeat: hour / 2,
            tolerance: Tolerance::default(),
            keep: 400 * 24 * hour,
            track: TrackRules::default(),
            map: Map::default(),
        }
    }
}

impl Rules {
    /// Returns the time at which a stay is warned of.
    pub fn stay_warning(&self) -> Duration {
        self.stay.saturating_mul(self.stay_warn_percent) / 100
    }
}
