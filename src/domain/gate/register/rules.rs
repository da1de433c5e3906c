//! What the site has settled about its register: who approves, which papers are needed, how long persons are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::permit::PermitKind;
use crate::domain::gate::word::{PaperKind, PersonKind, VehicleClass};

/// The rules of the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What the park's clock is ahead of UTC, seconds.
    pub utc_offset_s: i32,
    /// Kinds of permits that the enterprise alone approves (rule 10).
    pub delegated: BTreeSet<PermitKind>,
    /// Days before its end at which a paper counts as expiring (rule 26).
    pub warn_days: u32,
    /// Papers that a class of vehicles needs; a tank's inspection is needed where there is a tank, whatever stands here.
    pub papers: BTreeMap<VehicleClass, BTreeSet<PaperKind>>,
    /// Longest validity of a permit by its kind, days (rule 11): asked of files.
    pub longest_days: BTreeMap<PermitKind, u32>,
    /// Days for which a person's name and numbers are kept after nothing needs them any more.
    pub keep_days: BTreeMap<PersonKind, u32>,
    /// Days for which a permit is kept after its end.
    pub keep_permits_days: u32,
    /// How old permits and lists may be before a lane shows that they are.
    pub stale: Stale,
}

/// Age of permits and lists beyond which a lane shows that they are old, and does what it declares for that; zero: no limit. What
/// is decided with old lists is for the policies, which have the same limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// At lanes for dangerous goods.
    pub hazmat: Duration,
    /// At lanes for persons, visitors among them.
    pub persons: Duration,
    /// At other lanes.
    pub vehicles: Duration,
}

impl Default for Rules {
    /// As `domain.md` has it, for a park in China: permits of a year, of one day for dangerous goods, access records readable
    /// for 180 days (rule 144).
    fn default() -> Self {
        use PaperKind::{Insurance, Licence, Transport};
        let road: BTreeSet<_> = [Licence, Insurance, Transport].into();
        let car: BTreeSet<_> = [Licence, Insurance].into();
        let papers = [
            (VehicleClass::Hazmat, road.clone()),
            (VehicleClass::HazWaste, road.clone()),
            (VehicleClass::Goods, road),
            (VehicleClass::Works, car.clone()),
            (VehicleClass::Bus, car),
        ];
        let longest = [
            (PermitKind::Person, 366),
            (PermitKind::Vehicle, 366),
            (PermitKind::Truck, 366),
            (PermitKind::Hazmat, 1),
            (PermitKind::HazWaste, 1),
        ];
        Self {
            utc_offset_s: 8 * 3600,
            delegated: BTreeSet::new(),
            warn_days: 30,
            papers: papers.into(),
            longest_days: longest.into(),
            keep_days: PersonKind::ALL.iter().map(|kind| (*kind, 180)).collect(),
            keep_permits_days: 180,
            stale: Stale::default(),
        }
    }
}
