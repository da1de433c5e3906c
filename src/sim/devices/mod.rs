//! The devices of the simulated park: what a mid-sized chemical park has behind its gateway.
//!
//! [`plants`] and [`trades`] are the plants' controllers, their points in the point table. [`gas`] and [`instruments`] are declared by the
//! shipped profiles; their registers are written here once more, from the same sources and not from the profiles.

mod gas;
mod instruments;
mod plants;
mod trades;

use super::fault::Nature;
use super::life::{Moment, Trouble};
use super::park::{Device, Point, Profile};
use crate::field::settings::WordOrder;

/// The socket that is an RS-485 line: that of the combustible gas detectors.
pub const LINE_SOCKET: usize = 7;

/// Returns all devices of the park.
pub fn park() -> Vec<Device> {
    let mut devices = vec![plants::nitration(), plants::utilities(), plants::waste_water()];
    devices.extend([
        instruments::tank_gauge(1, WordOrder::Abcd),
        instruments::tank_gauge(2, WordOrder::Cdab),
        instruments::tank_gauge(3, WordOrder::Badc),
        instruments::tank_gauge(4, WordOrder::Dcba),
    ]);
    devices.extend((1..=6).map(gas::lel_detector));
    devices.extend([gas::toxic_controller(), gas::oxygen_controller(), instruments::transfer_switch()]);
    devices.extend([instruments::weather_station(), instruments::tailings(), instruments::fire_panel()]);
    devices.extend([gas::chlorine_detector(), instruments::water_quality(), instruments::weighbridge()]);
    devices.push(trades::trades());
    devices
}

fn device(id: impl Into<String>, name: impl Into<String>, socket: usize, points: Vec<Point>) -> Device {
    let (id, name) = (id.into(), name.into());
    Device { id, name, socket, unit: 1, nature: Nature::Modbus, falls_silent: false, profile: None, points }
}

/// A device declared by a shipped profile, its tags beginning with `tags`.
fn profiled(
    (id, name): (impl Into<String>, impl Into<String>),
    socket: usize,
    profile: &'static str,
    (tags, equipment): (impl Into<String>, &'static str),
    points: Vec<Point>,
) -> Device {
    let profile = Profile { name: profile, tags: tags.into(), channels: None, order: None, equipment };
    Device { profile: Some(profile), ..device(id, name, socket, points) }
}

/// A swing with a little noise, so that nearly every poll reads another value.
fn living(period: f64, low: f64, high: f64) -> impl Fn(Moment, u64) -> f64 {
    let margin = (high - low) * 0.01;
    move |m, key| m.swing(key, period, low + margin, high - margin) + m.noise(key, 0.2, margin)
}

/// A bit that is on for the upper part of a slow swing.
fn switching(period: f64, part_on: f64) -> impl Fn(Moment, u64) -> f64 {
    move |m, key| on(m.swing(key, period, 0.0, 1.0) < part_on)
}

/// A quantity of which a part is lost to trouble: calm at 0, bad at 1.
fn towards(bad: f64, calm: f64, part: f64) -> f64 {
    calm + (bad - calm) * part
}

/// What lives calmly but while a trouble lasts.
fn troubled(trouble: Trouble, bad: f64, calm: impl Fn(Moment, u64) -> f64) -> impl Fn(Moment, u64) -> f64 {
    move |m, key| towards(bad, calm(m, key), m.trouble(trouble))
}

/// A contact that is on but while a trouble lasts.
fn healthy(trouble: Trouble) -> impl Fn(Moment, u64) -> f64 {
    move |m, _| on(m.trouble(trouble) < 0.5)
}

/// What stands still.
fn always(quantity: f64) -> impl Fn(Moment, u64) -> f64 {
    move |_, _| quantity
}

fn on(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// How many of these are true: the alarm level that a controller shows.
fn level(reached: [bool; 2]) -> f64 {
    reached.into_iter().map(on).sum()
}
