//! The wind, as far as it can be believed, and the muster point that it leaves.

use std::time::Duration;

use super::book::{SiteBook, WindStation};
use crate::domain::reading::{Quality, Reading};
use crate::domain::time::Mono;

/// A muster point is upwind when its bearing differs from where the wind comes from by no more than this, in degrees: within a
/// quarter of the circle on each side nobody walks with the cloud.
pub const UPWIND: f64 = 90.0;
/// A wind that has made what people were told wrong for this long is told again: a gust is not a change of weather.
pub const SHIFT: Duration = Duration::from_secs(60);

/// A wind that can be believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wind {
    /// m/s.
    pub speed: f64,
    /// Where it comes from, degrees from north, 0..360.
    pub from: f64,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWind {
    /// No weather station is configured.
    NoStation,
    /// A reading is bad or missing.
    Bad,
    /// A reading is too old.
    Stale,
    /// Too weak to have a direction.
    Calm,
}

impl NoWind {
    /// Returns the word used in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoStation => "no_station",
            Self::Bad => "bad",
            Self::Stale => "stale",
            Self::Calm => "calm",
        }
    }

    /// For people, Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::NoStation => "没有气象站",
            Self::Bad => "气象站读数无效",
            Self::Stale => "气象站读数过时",
            Self::Calm => "静风",
        }
    }

    /// For people, English.
    pub fn en(self) -> &'static str {
        match self {
            Self::NoStation => "there is no weather station",
            Self::Bad => "the weather station has no valid reading",
            Self::Stale => "the weather station's reading is old",
            Self::Calm => "it is calm",
        }
    }
}

/// What the station said last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WindNow {
    pub(super) speed: Option<(Reading, Mono)>,
    pub(super) direction: Option<(Reading, Mono)>,
}

impl WindNow {
    /// Returns the wind, or why there is none.
    pub(super) fn valid(&self, station: Option<&WindStation>, now: Mono) -> Result<Wind, NoWind> {
        let station = station.ok_or(NoWind::NoStation)?;
        let good = |slot: Option<(Reading, Mono)>| {
            let (reading, at) = slot.ok_or(NoWind::Bad)?;
            if reading.quality == Quality::Stale || now.since(at) > station.stale {
                return Err(NoWind::Stale);
            }
            reading.as_f64().filter(|_| reading.quality == Quality::Good).ok_or(NoWind::Bad)
        };
        let (speed, from) = (good(self.speed)?, good(self.direction)?);
        if !(0.0..=360.0).contains(&from) || !speed.is_finite() || speed < 0.0 {
            return Err(NoWind::Bad);
        }
        if speed < station.calm {
            return Err(NoWind::Calm);
        }
        Ok(Wind { speed, from: from % 360.0 })
    }
}

/// Where the people of a zone are told to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guidance {
    pub(super) wind: Result<Wind, NoWind>,
    /// The muster point that lies best into the wind; `None` without wind, and where none lies upwind.
    pub(super) upwind: Option<usize>,
}

impl Guidance {
    /// Of people who were told that nobody knows the wind, and of those of whom nobody knows what they were told.
    pub(super) const UNKNOWN: Self = Self { wind: Err(NoWind::Bad), upwind: None };

    pub(super) fn of(book: &SiteBook, zone: usize, wind: Result<Wind, NoWind>) -> Self {
        let upwind = wind.ok().and_then(|wind| {
            let off = |bearing: f64| angle(bearing, wind.from);
            let best = book.muster_of(zone).iter().min_by(|a, b| off(a.1).total_cmp(&off(b.1)))?;
            (off(best.1) <= UPWIND).then_some(best.0)
        });
        Self { wind, upwind }
    }

    /// Returns whether people who were told `told` are still told the same: a point that lies upwind is kept while it does,
    /// though another one may lie better.
    pub(super) fn holds(book: &SiteBook, zone: usize, told: Self, wind: Result<Wind, NoWind>) -> bool {
        match (told.wind, told.upwind, wind) {
            (Ok(_), Some(point), Ok(wind)) => {
                let bearing = book.muster_of(zone).iter().find(|(at, _)| *at == point).map(|(_, bearing)| *bearing);
                bearing.is_some_and(|bearing| angle(bearing, wind.from) <= UPWIND)
            }
            (Ok(_), None, Ok(_)) => Self::of(book, zone, wind).upwind.is_none(),
            (Err(_), _, Err(_)) => true,
            (Ok(_), _, Err(_)) | (Err(_), _, Ok(_)) => false,
        }
    }
}

/// Returns the angle between two bearings, 0..=180 degrees.
fn angle(a: f64, b: f64) -> f64 {
    let turn = (a - b).rem_euclid(360.0);
    turn.min(360.0 - turn)
}

/// Returns the name of a bearing, Chinese and English, to an eighth of the circle.
pub(super) fn compass(bearing: f64) -> (&'static str, &'static str) {
    const NAMES: [(&str, &str); 8] = [
        ("北", "north"),
        ("东北", "north-east"),
        ("东", "east"),
        ("东南", "south-east"),
        ("南", "south"),
        ("西南", "south-west"),
        ("西", "west"),
        ("西北", "north-west"),
    ];
    let eighth = ((bearing.rem_euclid(360.0) + 22.5) / 45.0) % 8.0;
    NAMES.into_iter().zip(1u8..).find(|(_, to)| eighth < f64::from(*to)).map_or(("北", "north"), |(name, _)| name)
}
