//! The map that positions are looked at against: approved routes with their limits of speed, yards where vehicles may stand,
//! restricted areas with their hours (rules 37, 51 to 54). Each has its own datum.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::geo::{Coordinates, Shape, nearest_leg};
use super::goods::HazardClass;
use crate::domain::gate::hardware::Datum;
use crate::domain::gate::word::words;

/// Routes, yards and restrictions of a map.
pub const MAX_SHAPES: usize = 500;
/// Points of one shape.
pub const MAX_POINTS: usize = 500;

const DAY_MINUTES: u16 = 1440;

words! {
    /// Kind of a road: what may be driven where nothing less is posted, in km/h (rule 51).
    RoadKind {
        /// Expressway: 80.
        Expressway = "expressway", "高速公路";
        /// Other public road: 60.
        Public = "public", "其他道路";
        /// Road of the park: 30.
        Park = "park", "园区道路";
        /// At gates and in yards: 20.
        Gate = "gate", "卡口区";
    }
}

impl RoadKind {
    /// Returns the limit in km/h.
    pub fn kmh(self) -> f64 {
        match self {
            Self::Expressway => 80.0,
            Self::Public => 60.0,
            Self::Park => 30.0,
            Self::Gate => 20.0,
        }
    }
}

/// A leg of a route, from one of its points to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// Its kind.
    pub road: RoadKind,
    /// The posted limit in km/h; a lower one prevails, a higher one does not.
    pub posted_kmh: Option<f64>,
}

impl Leg {
    /// Returns the limit in km/h.
    pub fn kmh(&self) -> f64 {
        self.posted_kmh.unwrap_or(f64::INFINITY).min(self.road.kmh())
    }
}

/// A route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its id, as waybills name it.
    pub id: String,
    /// Datum of its points.
    pub datum: Datum,
    /// Its points.
    pub line: Vec<Coordinates>,
    /// Half of the width that it may be left by, in metres.
    pub half_width_m: f64,
    /// One less than points.
    pub legs: Vec<Leg>,
    /// Open to every hazmat vehicle (the hazmat lanes of the park), whatever its waybill names.
    pub common: bool,
}

/// Where vehicles may stand: parking, loading places, weighbridges.
#[derive(Clone, Debug, PartialEq)]
pub struct Yard {
    /// Its id.
    pub id: String,
    /// Datum of its points.
    pub datum: Datum,
    /// Where.
    pub shape: Shape,
    /// Limit in km/h.
    pub kmh: f64,
}

words! {
    /// Why hazmat is restricted somewhere (Art. 49).
    RestrictionKind {
        /// Bridge.
        Bridge = "bridge", "特大桥梁";
        /// Tunnel.
        Tunnel = "tunnel", "隧道";
        /// Protected area of a source of drinking water.
        WaterSource = "water_source", "饮用水水源保护区";
        /// City, crowded place, key unit.
        Crowded = "crowded", "人员密集区";
        /// Scenic area or nature reserve.
        Nature = "nature", "风景名胜及自然保护区";
        /// Dangerous road: long, steep, by the water.
        Dangerous = "dangerous", "危险路段";
        /// Anything else the site closes.
        Closed = "closed", "禁行区";
    }
}

/// A restriction.
#[derive(Clone, Debug, PartialEq)]
pub struct Restriction {
    /// Its id.
    pub id: String,
    /// Why.
    pub kind: RestrictionKind,
    /// Datum of its points.
    pub datum: Datum,
    /// Where.
    pub shape: Shape,
    /// For which classes; empty: for all dangerous goods.
    pub classes: BTreeSet<HazardClass>,
    /// When; empty: always.
    pub windows: Vec<Window>,
}

impl Restriction {
    /// Returns whether it is for this load; one that is not known counts as any.
    pub fn is_for(&self, classes: Option<&BTreeSet<HazardClass>>) -> bool {
        self.classes.is_empty() || classes.is_none_or(|classes| !self.classes.is_disjoint(classes))
    }

    /// Returns whether it is in force. With a clock that cannot be trusted it is: its hours cannot be said to be over.
    pub fn is_in_force(&self, local: Option<Local>) -> bool {
        self.windows.is_empty() || local.is_none_or(|local| self.windows.iter().any(|window| window.holds(local)))
    }
}

/// A local time of the park.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Days since 1970-01-01, as the park counts them.
    pub day: i32,
    /// Minutes since its midnight, 0..1440.
    pub minute: u16,
}

/// Hours of a day. They may cross midnight, and then belong to the day on which they began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Minute of the day at which it begins, 0..1440.
    pub from: u16,
    /// Minute of the day before which it ends, 1..=1440; not more than `from`: on the next day.
    pub until: u16,
    /// Days of the week on which it begins, 0 Monday to 6 Sunday; empty: every one.
    pub weekdays: BTreeSet<u8>,
    /// Dates on which it begins, days since 1970-01-01 (holidays); empty: every one.
    pub dates: BTreeSet<i32>,
}

impl Window {
    /// Returns whether it is open.
    pub fn holds(&self, local: Local) -> bool {
        let today = self.begins_on(local.day);
        if self.from < self.until {
            return today && (self.from..self.until).contains(&local.minute);
        }
        let yesterday = self.begins_on(local.day.saturating_sub(1));
        (today && (self.from..DAY_MINUTES).contains(&local.minute)) || (yesterday && local.minute < self.until)
    }

    fn begins_on(&self, day: i32) -> bool {
        // 1970-01-01 was a Thursday.
        let weekday = u8::try_from((i64::from(day) + 3).rem_euclid(7)).unwrap_or(0);
        (self.weekdays.is_empty() || self.weekdays.contains(&weekday))
            && (self.dates.is_empty() || self.dates.contains(&day))
    }
}

/// The map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// Routes.
    pub routes: Vec<Route>,
    /// Yards.
    pub yards: Vec<Yard>,
    /// Restrictions.
    pub restrictions: Vec<Restriction>,
}

impl Map {
    /// Finds a route.
    pub fn route(&self, id: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.id == id)
    }

    /// Returns the datums that its shapes are in.
    pub fn datums(&self) -> BTreeSet<Datum> {
        let routes = self.routes.iter().map(|route| route.datum);
        let yards = self.yards.iter().map(|yard| yard.datum);
        routes.chain(yards).chain(self.restrictions.iter().map(|one| one.datum)).collect()
    }
}

impl Route {
    /// Returns how far a place is outside, in metres, and the limit of the leg beside it, in km/h.
    pub fn look(&self, at: Coordinates) -> (f64, f64) {
        let Some((leg, metres)) = nearest_leg(&self.line, at) else { return (f64::INFINITY, f64::INFINITY) };
        (metres - self.half_width_m, self.legs.get(leg).map_or(RoadKind::Park.kmh(), Leg::kmh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(day: i32, hour: u16, minute: u16) -> Local {
        Local { day, minute: hour * 60 + minute }
    }

    #[test]
    fn hours_cross_midnight_and_belong_to_the_day_on_which_they_began() {
        // Day 4 is Monday 1970-01-05.
        let night = Window { from: 22 * 60, until: 6 * 60, weekdays: [0].into(), dates: BTreeSet::new() };
        for (time, open) in [
            (local(4, 21, 59), false),
            (local(4, 22, 0), true),
            (local(5, 5, 59), true),
            (local(5, 6, 0), false),
            (local(5, 23, 0), false),
            (local(4, 3, 0), false),
        ] {
            assert_eq!(night.holds(time), open, "{time:?}");
        }
        let day = Window { from: 0, until: 1440, weekdays: BTreeSet::new(), dates: [5].into() };
        assert!(day.holds(local(5, 23, 59)) && !day.holds(local(6, 0, 0)));
    }

    #[test]
    fn a_lower_posted_limit_prevails_and_a_higher_one_does_not() {
        let leg = |road, posted_kmh| Leg { road, posted_kmh }.kmh();
        assert_eq!(leg(RoadKind::Expressway, None), 80.0);
        assert_eq!(leg(RoadKind::Public, Some(40.0)), 40.0);
        assert_eq!(leg(RoadKind::Public, Some(70.0)), 60.0);
    }

    #[test]
    fn without_a_clock_or_a_known_load_a_restriction_holds() {
        let bridge = Restriction {
            id: "b".into(),
            kind: RestrictionKind::Bridge,
            datum: Datum::Wgs84,
            shape: Shape::Area { outline: vec![] },
            classes: [HazardClass::C3].into(),
            windows: vec![Window { from: 0, until: 360, weekdays: BTreeSet::new(), dates: BTreeSet::new() }],
        };
        assert!(bridge.is_in_force(None) && bridge.is_in_force(Some(local(9, 5, 0))));
        assert!(!bridge.is_in_force(Some(local(9, 6, 0))));
        assert!(bridge.is_for(None) && bridge.is_for(Some(&[HazardClass::C3, HazardClass::C8].into())));
        assert!(!bridge.is_for(Some(&[HazardClass::C8].into())));
    }
}
