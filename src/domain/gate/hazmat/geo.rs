//! Where something is: a latitude and a longitude *in a datum*. China's maps are in GCJ-02, receivers give WGS-84; between the
//! two lie 300 to 700 m, more than any corridor is wide. So no coordinate goes without its datum, and none is converted unless
//! the site has said so.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::domain::gate::hardware::Datum;

/// Metres of one degree on a meridian.
const DEGREE_M: f64 = 111_319.49;
/// Krasovsky 1940, by which GCJ-02 is computed.
const AXIS_M: f64 = 6_378_245.0;
const ECCENTRICITY_2: f64 = 0.006_693_421_622_965_943;
/// Steps of the way back: each takes the error down by some four digits.
const BACK_STEPS: usize = 4;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coordinates {
    /// Degrees north, -90..=90.
    pub lat: f64,
    /// Degrees east, -180..=180.
    pub lon: f64,
}

/// A place in its datum, as a terminal or a map gives it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spot {
    /// Datum.
    pub datum: Datum,
    /// The place.
    #[serde(flatten)]
    pub at: Coordinates,
}

impl Coordinates {
    /// Returns a place, if there is one. Zero and zero is what receivers without a fix say: no place of a park.
    pub fn new(lat: f64, lon: f64) -> Option<Self> {
        let real = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon) && (lat != 0.0 || lon != 0.0);
        real.then_some(Self { lat, lon })
    }

    /// Returns the distance in metres. Good to a thousandth over the few kilometres of a park.
    pub fn metres_to(self, other: Self) -> f64 {
        let (x, y) = other.from(self);
        x.hypot(y)
    }

    /// Returns metres east and north of `origin`.
    fn from(self, origin: Self) -> (f64, f64) {
        let x = (self.lon - origin.lon) * DEGREE_M * (origin.lat * PI / 180.0).cos();
        (x, (self.lat - origin.lat) * DEGREE_M)
    }

    /// Returns the distance to the leg between two places, in metres.
    fn metres_to_leg(self, a: Self, b: Self) -> f64 {
        let ((ax, ay), (bx, by)) = (a.from(self), b.from(self));
        let (dx, dy) = (bx - ax, by - ay);
        let length_2 = dx * dx + dy * dy;
        let along = if length_2 > 0.0 { (-(ax * dx + ay * dy) / length_2).clamp(0.0, 1.0) } else { 0.0 };
        (ax + along * dx).hypot(ay + along * dy)
    }
}

impl Spot {
    /// Returns it in another datum. GCJ-02 and BD-09 are used in China alone; elsewhere all are the same.
    pub fn to(self, datum: Datum) -> Self {
        if same_frame(self.datum, datum) || !is_in_china(self.at) {
            return Self { datum, ..self };
        }
        // Every way leads over GCJ-02.
        let shifted = match self.datum {
            Datum::Wgs84 | Datum::Cgcs2000 => gcj02(self.at),
            Datum::Gcj02 => self.at,
            Datum::Bd09 => gcj02_of_bd09(self.at),
        };
        let at = match datum {
            Datum::Wgs84 | Datum::Cgcs2000 => wgs84(shifted),
            Datum::Gcj02 => shifted,
            Datum::Bd09 => bd09(shifted),
        };
        Self { datum, at }
    }
}

/// Returns whether coordinates of both can be compared as they are: CGCS2000 and WGS-84 agree to the metre.
pub fn same_frame(one: Datum, other: Datum) -> bool {
    let frame = |datum| if datum == Datum::Cgcs2000 { Datum::Wgs84 } else { datum };
    frame(one) == frame(other)
}

fn is_in_china(at: Coordinates) -> bool {
    (72.004..=137.8347).contains(&at.lon) && (0.8293..=55.8271).contains(&at.lat)
}

/// BD-09 turns GCJ-02 a little around the origin.
const BD_WAVE: f64 = PI * 3000.0 / 180.0;
const BD_LAT: f64 = 0.006;
const BD_LON: f64 = 0.0065;

fn bd09(at: Coordinates) -> Coordinates {
    let far = at.lon.hypot(at.lat) + 0.000_02 * (at.lat * BD_WAVE).sin();
    let angle = at.lat.atan2(at.lon) + 0.000_003 * (at.lon * BD_WAVE).cos();
    Coordinates { lat: far * angle.sin() + BD_LAT, lon: far * angle.cos() + BD_LON }
}

fn gcj02_of_bd09(at: Coordinates) -> Coordinates {
    let (x, y) = (at.lon - BD_LON, at.lat - BD_LAT);
    let far = x.hypot(y) - 0.000_02 * (y * BD_WAVE).sin();
    let angle = y.atan2(x) - 0.000_003 * (x * BD_WAVE).cos();
    Coordinates { lat: far * angle.sin(), lon: far * angle.cos() }
}

fn gcj02(at: Coordinates) -> Coordinates {
    let (x, y) = (at.lon - 105.0, at.lat - 35.0);
    let wave = |n: f64| 20.0 * (6.0 * n * PI).sin() + 20.0 * (2.0 * n * PI).sin();
    let north = -100.0
        + 2.0 * x
        + 3.0 * y
        + 0.2 * y * y
        + 0.1 * x * y
        + 0.2 * x.abs().sqrt()
        + (wave(x) + 20.0 * (y * PI).sin() + 40.0 * (y / 3.0 * PI).sin()) * 2.0 / 3.0
        + (160.0 * (y / 12.0 * PI).sin() + 320.0 * (y * PI / 30.0).sin()) * 2.0 / 3.0;
    let east = 300.0
        + x
        + 2.0 * y
        + 0.1 * x * x
        + 0.1 * x * y
        + 0.1 * x.abs().sqrt()
        + (wave(x) + 20.0 * (x * PI).sin() + 40.0 * (x / 3.0 * PI).sin()) * 2.0 / 3.0
        + (150.0 * (x / 12.0 * PI).sin() + 300.0 * (x / 30.0 * PI).sin()) * 2.0 / 3.0;
    let radians = at.lat * PI / 180.0;
    let magic = 1.0 - ECCENTRICITY_2 * radians.sin() * radians.sin();
    let lat = at.lat + north * 180.0 * magic * magic.sqrt() / (AXIS_M * (1.0 - ECCENTRICITY_2) * PI);
    let lon = at.lon + east * 180.0 * magic.sqrt() / (AXIS_M * radians.cos() * PI);
    Coordinates { lat, lon }
}

/// There is no formula back: the offset is taken off until the way there agrees.
fn wgs84(at: Coordinates) -> Coordinates {
    let mut guess = at;
    for _ in 0..BACK_STEPS {
        let there = gcj02(guess);
        guess = Coordinates { lat: guess.lat + at.lat - there.lat, lon: guess.lon + at.lon - there.lon };
    }
    guess
}

/// A shape on the map.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Everything within so many metres of a line: a road, a bridge, a tunnel.
    Corridor {
        /// Two points or more.
        line: Vec<Coordinates>,
        /// Half of its width in metres.
        half_width_m: f64,
    },
    /// Everything inside a closed line.
    Area {
        /// Three points or more; the last is joined to the first.
        outline: Vec<Coordinates>,
    },
}

impl Shape {
    /// Returns how far a place is outside, in metres; negative: how deep inside. A shape of too few points is nowhere.
    pub fn outside_m(&self, at: Coordinates) -> f64 {
        match self {
            Self::Corridor { line, half_width_m } => {
                nearest_leg(line, at).map_or(f64::INFINITY, |(_, m)| m - half_width_m)
            }
            Self::Area { outline } => {
                let to_edge = legs(outline, true).map(|(a, b)| at.metres_to_leg(a, b)).fold(f64::INFINITY, f64::min);
                if is_inside(outline, at) { -to_edge } else { to_edge }
            }
        }
    }
}

/// Returns the leg of a line that is nearest to a place, and its distance in metres.
pub fn nearest_leg(line: &[Coordinates], at: Coordinates) -> Option<(usize, f64)> {
    let distances = legs(line, false).map(|(a, b)| at.metres_to_leg(a, b));
    distances.enumerate().min_by(|one, other| one.1.total_cmp(&other.1))
}

fn legs(line: &[Coordinates], closed: bool) -> impl Iterator<Item = (Coordinates, Coordinates)> + '_ {
    let back = line.last().copied().zip(line.first().copied()).filter(|_| closed);
    line.iter().copied().zip(line.iter().copied().skip(1)).chain(back)
}

/// A ray to the east crosses the outline an odd number of times.
fn is_inside(outline: &[Coordinates], at: Coordinates) -> bool {
    let crosses = |(a, b): &(Coordinates, Coordinates)| {
        (a.lat > at.lat) != (b.lat > at.lat) && at.lon < (b.lon - a.lon) * (at.lat - a.lat) / (b.lat - a.lat) + a.lon
    };
    outline.len() >= 3 && legs(outline, true).filter(crosses).count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat: f64, lon: f64) -> Coordinates {
        Coordinates::new(lat, lon).unwrap()
    }

    #[test]
    fn the_two_datums_are_half_a_kilometre_apart_and_the_way_back_is_the_way_there() {
        let square = Spot { datum: Datum::Wgs84, at: at(39.915, 116.404) };
        let there = square.to(Datum::Gcj02);
        // The figure that the libraries of the trade have in their own tests.
        assert!(
            (there.at.lat - 39.916_404_281_501_64).abs() < 1e-9 && (there.at.lon - 116.410_244_499_169_38).abs() < 1e-9
        );
        assert!((500.0..700.0).contains(&square.at.metres_to(there.at)));
        assert!(there.to(Datum::Wgs84).at.metres_to(square.at) < 0.001);
        assert_eq!(square.to(Datum::Wgs84), square);
        assert_eq!(square.to(Datum::Cgcs2000).at, square.at, "for a gate the same");
        let map = Spot { datum: Datum::Gcj02, ..square };
        let baidu = map.to(Datum::Bd09);
        assert!(
            (baidu.at.lat - 39.921_336_993_510_21).abs() < 1e-9 && (baidu.at.lon - 116.410_369_493_710_29).abs() < 1e-9
        );
        assert!(baidu.to(Datum::Gcj02).at.metres_to(map.at) < 1.0);
        let abroad = Spot { datum: Datum::Wgs84, at: at(50.0, 8.0) };
        assert_eq!(abroad.to(Datum::Gcj02).at, abroad.at);
    }

    #[test]
    fn distances_and_shapes_are_in_metres() {
        let origin = at(36.0, 118.0);
        let east = |m: f64, north: f64| at(36.0 + north / DEGREE_M, 118.0 + m / (DEGREE_M * (36.0 * PI / 180.0).cos()));
        assert!((origin.metres_to(east(300.0, 400.0)) - 500.0).abs() < 0.5);
        let road =
            Shape::Corridor { line: vec![east(0.0, 0.0), east(1000.0, 0.0), east(1000.0, 500.0)], half_width_m: 10.0 };
        for (x, y, want) in [(500.0, 30.0, 20.0), (500.0, 0.0, -10.0), (1025.0, 250.0, 15.0), (-40.0, 0.0, 30.0)] {
            assert!((road.outside_m(east(x, y)) - want).abs() < 0.5, "{x} {y}: {}", road.outside_m(east(x, y)));
        }
        let yard =
            Shape::Area { outline: vec![east(0.0, 0.0), east(100.0, 0.0), east(100.0, 100.0), east(0.0, 100.0)] };
        for (x, y, want) in [(50.0, 40.0, -40.0), (150.0, 50.0, 50.0), (50.0, -20.0, 20.0)] {
            assert!((yard.outside_m(east(x, y)) - want).abs() < 0.5, "{x} {y}: {}", yard.outside_m(east(x, y)));
        }
        assert_eq!(Shape::Area { outline: vec![] }.outside_m(origin), f64::INFINITY);
    }

    #[test]
    fn what_a_receiver_without_a_fix_says_is_no_place() {
        assert_eq!(Coordinates::new(0.0, 0.0), None);
        assert_eq!(Coordinates::new(f64::NAN, 1.0), None);
        assert_eq!(Coordinates::new(91.0, 1.0), None);
    }
}
