//! The simulated park as data: devices, their points, and [`Device::image`]: the registers at a moment, a pure function.
//!
//! One list says both what stands in the registers and what stands in the point table, so that they cannot disagree. What a
//! device with a profile has in its registers is written here once more, apart from the profile; a test of [`super::folder`]
//! compares the two. The devices themselves are in [`super::devices`].

use std::fmt;

use super::fault::Nature;
use super::image::{Image, Place};
use super::life::{Moment, key_of};
use super::server::Responsiveness;
use crate::field::settings::{Encoding, Table, WordOrder};

/// How a quantity lives: the moment, and a key of its own for swings and noise.
type Life = Box<dyn Fn(Moment, u64) -> f64 + Send + Sync>;

/// One device: a unit id at an address.
#[derive(Debug)]
pub struct Device {
    /// Id in the configuration.
    pub id: String,
    /// Name, Chinese.
    pub name: String,
    /// Devices of the same address share a number here; each number is one socket, or one line.
    pub socket: usize,
    /// Unit id.
    pub unit: u8,
    /// What it is, which says what can go wrong with it.
    pub nature: Nature,
    /// Whether it is the one that falls silent in the story.
    pub falls_silent: bool,
    /// The profile by which it is declared; without one its points stand in the point table.
    pub profile: Option<Profile>,
    /// Its points, in point-table order.
    pub points: Vec<Point>,
}

/// How a device uses a shipped profile: the keys of its section in `devices.toml`.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// What its tags begin with.
    pub tags: String,
    /// Channels in use, where the profile has channels.
    pub channels: Option<u16>,
    /// Word order, where it is not the profile's.
    pub order: Option<WordOrder>,
    /// Equipment, e.g. `GDS-7`.
    pub equipment: &'static str,
}

/// One point.
pub struct Point {
    /// Its id in the profile of its device, where the device has one.
    pub id: String,
    /// What the device says of it instead of the profile, as TOML: `range = [0, 10], unit = "ppm"`.
    pub over: String,
    /// Tag (位号).
    pub tag: String,
    /// Name, Chinese.
    pub name: String,
    /// Where and how it stands in the registers.
    pub place: Place,
    /// Unit as written in the point table.
    pub unit: &'static str,
    /// Range in the unit.
    pub range: Option<(f64, f64)>,
    /// Limits that the point table gives it, in the unit: low-low, low, high, high-high.
    pub limits: Option<[f64; 4]>,
    /// Deadband as written in the point table.
    pub deadband: &'static str,
    /// Poll class: `fast`, `normal`, `slow`.
    pub class: &'static str,
    /// Kind, e.g. `temperature`.
    pub kind: &'static str,
    /// Equipment, e.g. `R-101`.
    pub equipment: String,
    life: Life,
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Point").field("tag", &self.tag).field("place", &self.place).finish_non_exhaustive()
    }
}

impl Point {
    /// Returns a point of a table and address; a measured float without range at class `normal` unless told otherwise.
    pub fn new(
        tag: impl Into<String>,
        name: impl Into<String>,
        (table, address, encoding): (Table, u16, Encoding),
        life: impl Fn(Moment, u64) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            id: String::new(),
            over: String::new(),
            tag: tag.into(),
            name: name.into(),
            place: Place { table, address, encoding, order: WordOrder::Abcd, scale: 1.0, offset: 0.0 },
            unit: "",
            range: None,
            limits: None,
            deadband: "0",
            class: "normal",
            kind: "",
            equipment: String::new(),
            life: Box::new(life),
        }
    }

    /// Returns a point of a profile: its id there, its tag on this device.
    pub fn of(
        id: impl Into<String>,
        tag: impl Into<String>,
        place: (Table, u16, Encoding),
        life: impl Fn(Moment, u64) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self { id: id.into(), ..Self::new(tag, "", place, life) }
    }

    /// Says what the device says of it instead of the profile, as TOML.
    #[must_use]
    pub fn over(mut self, toml: impl Into<String>) -> Self {
        self.over = toml.into();
        self
    }

    /// Sets unit, range and kind.
    #[must_use]
    pub fn measured(mut self, unit: &'static str, range: (f64, f64), kind: &'static str) -> Self {
        (self.unit, self.range, self.kind) = (unit, Some(range), kind);
        self
    }

    /// Sets the four limits.
    #[must_use]
    pub fn limits(mut self, limits: [f64; 4]) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sets the scale: quantity = raw × scale.
    #[must_use]
    pub fn scaled(mut self, scale: f64) -> Self {
        self.place.scale = scale;
        self
    }

    /// Sets the order of bytes.
    #[must_use]
    pub fn ordered(mut self, order: WordOrder) -> Self {
        self.place.order = order;
        self
    }

    /// Sets the poll class.
    #[must_use]
    pub fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// Sets the deadband.
    #[must_use]
    pub fn deadband(mut self, deadband: &'static str) -> Self {
        self.deadband = deadband;
        self
    }

    /// Sets the equipment.
    #[must_use]
    pub fn at(mut self, equipment: impl Into<String>) -> Self {
        self.equipment = equipment.into();
        self
    }

    /// Returns the quantity at a moment, in the point's unit.
    pub fn quantity(&self, moment: Moment) -> f64 {
        (self.life)(moment, key_of(&self.tag))
    }
}

impl Device {
    /// Returns what the registers hold at a moment.
    pub fn image(&self, moment: Moment) -> Image {
        let mut image = Image::default();
        for point in &self.points {
            image.put(&point.place, point.quantity(moment));
        }
        image
    }

    /// Returns how the device behaves at a moment.
    pub fn mood(&self, moment: Moment) -> Responsiveness {
        if self.falls_silent && moment.silent() { Responsiveness::Silent } else { Responsiveness::Answering }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::devices::park;
    use super::*;

    fn at(t: f64) -> Moment {
        Moment { t, seed: 1, release: 0.0 }
    }

    #[test]
    fn the_park_is_as_large_as_promised_and_its_names_are_its_own() {
        let devices = park();
        let sockets: BTreeSet<usize> = devices.iter().map(|d| d.socket).collect();
        let points: Vec<&Point> = devices.iter().flat_map(|d| &d.points).collect();
        assert!(sockets.len() >= 12, "{}", sockets.len());
        assert!(points.len() >= 150, "{}", points.len());
        let tags: BTreeSet<&str> = points.iter().map(|p| p.tag.as_str()).collect();
        let ids: BTreeSet<&str> = devices.iter().map(|d| d.id.as_str()).collect();
        let units: BTreeSet<(usize, u8)> = devices.iter().map(|d| (d.socket, d.unit)).collect();
        assert_eq!((tags.len(), ids.len(), units.len()), (points.len(), devices.len(), devices.len()));
        for class in ["fast", "normal", "slow"] {
            assert!(points.iter().any(|p| p.class == class));
        }
    }

    #[test]
    fn no_two_points_of_a_device_stand_on_the_same_register() {
        for device in park() {
            let mut taken = BTreeSet::new();
            for point in &device.points {
                for i in 0..point.place.encoding.width() {
                    let bit = if let Encoding::Bit(n) = point.place.encoding { Some(n) } else { None };
                    let cell = (point.place.table, point.place.address + i, bit);
                    assert!(taken.insert(cell), "{} {}", device.id, point.tag);
                }
            }
        }
    }

    #[test]
    fn the_same_moment_gives_the_same_registers_and_another_seed_others() {
        let first = park();
        let second = park();
        let other = Moment { seed: 2, ..at(12.3) };
        for (a, b) in first.iter().zip(&second) {
            assert_eq!(a.image(at(12.3)), b.image(at(12.3)));
        }
        assert!(first.iter().any(|d| d.image(at(12.3)) != d.image(other)));
    }

    #[test]
    fn every_device_lives() {
        for device in park() {
            let images: BTreeSet<String> = (0..120).map(|t| format!("{:?}", device.image(at(f64::from(t))))).collect();
            assert!(images.len() > 10, "{} {}", device.id, images.len());
        }
    }

    fn quantity(devices: &[Device], tag: &str, t: f64) -> f64 {
        devices.iter().flat_map(|d| &d.points).find(|p| p.tag == tag).unwrap().quantity(at(t))
    }

    #[test]
    fn the_story_is_seen_in_the_registers() {
        let devices = park();
        assert!(quantity(&devices, "AT7003", 12.0) > 50.0);
        assert_eq!(quantity(&devices, "AT7003.ALM", 12.0), 2.0);
        assert!(quantity(&devices, "AT7003", 30.0) < 5.0);
        assert_eq!(quantity(&devices, "AT7003.ALM", 30.0), 0.0);
        assert_eq!([1.0, 20.0, 30.0].map(|t| quantity(&devices, "ATS.POS", t)), [1.0, 2.0, 1.0]);
        assert!(quantity(&devices, "ATS.U1A", 20.0) < 10.0);
        let silent: Vec<&str> =
            devices.iter().filter(|d| d.mood(at(10.0)) == Responsiveness::Silent).map(|d| d.id.as_str()).collect();
        assert_eq!(silent, ["tank-gauge-3"]);
        assert!(devices.iter().all(|d| d.mood(at(1.0)) == Responsiveness::Answering));
    }

    #[test]
    fn what_the_instruments_of_the_story_do_is_seen_in_their_state_words() {
        let devices = park();
        let state = |tag: &str, t: f64| quantity(&devices, tag, t);
        assert_eq!([1.0, 7.0, 14.0].map(|t| state("AT7106.ST", t)), [0.0, 2.0, 0.0], "calibration");
        assert_eq!(quantity(&devices, "AT7106", 7.0), 8.0, "the span gas");
        assert_eq!(quantity(&devices, "AT7106.ALM", 7.0), 0.0, "no alarm of span gas");
        assert_eq!([1.0, 9.0, 14.0].map(|t| state("AT7104.ST", t)), [0.0, 3.0, 0.0], "bump test");
        assert_eq!([1.0, 9.0, 35.0].map(|t| state("AT7005.ST", t)), [0.0, 2.0, 0.0], "fault");
        assert_eq!([1.0, 18.0, 35.0].map(|t| state("AT7301.ST", t)), [1.0, 0.0, 1.0], "warm-up");
    }

    #[test]
    fn a_release_by_command_rises_over_both_limits_and_the_alarm_bits_follow() {
        let devices = park();
        let at = |tag: &str, release: f64| {
            let point = devices.iter().flat_map(|d| &d.points).find(|p| p.tag == tag).unwrap();
            point.quantity(Moment { release, ..at(40.0) })
        };
        for (tag, low, high) in [("AT7001", 25.0, 50.0), ("AT7101", 0.3, 0.6), ("AT7301.C", 0.3, 0.6)] {
            assert!(at(tag, 0.0) < low && at(tag, 1.0) > high, "{tag}: {} {}", at(tag, 0.0), at(tag, 1.0));
            let between = (0..100).map(|i| at(tag, f64::from(i) / 100.0)).any(|v| v >= low && v < high);
            assert!(between, "{tag} has a first level of its own");
        }
        for alarm in ["AT7001.ALM", "AT7101.ALM"] {
            let mut seen: Vec<f64> = (0..=100).map(|i| at(alarm, f64::from(i) / 100.0)).collect();
            seen.dedup();
            assert_eq!(seen, [0.0, 1.0, 2.0], "{alarm}");
        }
        assert_eq!(["AT7301.LO", "AT7301.HI"].map(|bit| at(bit, 1.0)), [1.0, 1.0]);
        assert!(at("AT7201", 1.0) < 19.5 && at("AT7201.ALM", 1.0) == 1.0, "nitrogen displaces oxygen");
        assert_eq!(["FA1.FIRE", "FA1.N", "FA1.P.RUN"].map(|bit| at(bit, 1.0)), [1.0; 3]);
    }

    #[test]
    fn a_detector_answers_as_the_makers_table_says() {
        let devices = park();
        let detector = devices.iter().find(|d| d.id == "gas-7003").unwrap();
        let image = detector.image(at(12.0));
        // Registers of YA-K300: concentration ×0.1, device 0/1/2, alarm 0/1/2, temperature ×0.1 (`domain.md` B8).
        assert!(image.holding[0] > 500 && image.holding[1] == 1 && image.holding[2] == 2);
        assert_eq!(&image.holding[6..8], &[250, 500]);
    }
}
