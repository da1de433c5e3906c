//! Instruments of the utilities and the surroundings, each declared by a shipped profile.

use super::{always, living, on, profiled, towards};
use crate::field::settings::Encoding::{Bit, Bool, F32, I16, I32, U16, U32};
use crate::field::settings::Table::{Discrete, Holding, Input};
use crate::field::settings::WordOrder;
use crate::sim::fault::Nature;
use crate::sim::life::{Moment, Trouble, key_of};
use crate::sim::park::{Device, Point, Profile};

/// A discrete input: its id in the profile, the end of its tag, whether it is on.
type Contact = (&'static str, &'static str, fn(Moment) -> bool);

/// Discrete inputs from address 0 on.
fn contacts<const N: usize>(tags: &str, all: [Contact; N]) -> Vec<Point> {
    let contact = |(address, (id, tag, is_on)): (u16, Contact)| {
        Point::of(id, format!("{tags}{tag}"), (Discrete, address, Bool), move |m, _| on(is_on(m)))
    };
    (0..).zip(all).map(contact).collect()
}

/// Tanks of one gauge.
const N_TANKS: u16 = 2;

/// A tank gauge with two tanks; each gauge of another make, with another order of words.
pub(super) fn tank_gauge(n: u16, order: WordOrder) -> Device {
    let points = (1..=N_TANKS).flat_map(|t| tank(n, t, order)).collect();
    let zh = ["一", "二", "三", "四"].get(usize::from(n) - 1).copied().unwrap_or_default();
    let named = (format!("tank-gauge-{n}"), format!("{zh}号罐区液位仪"));
    let device = profiled(named, 2 + usize::from(n), "tank-gauge", (format!("T{n}"), "TF-4"), points);
    let order = (order != WordOrder::Abcd).then_some(order);
    let profile = device.profile.map(|profile| Profile { channels: Some(N_TANKS), order, ..profile });
    Device { falls_silent: n == 3, profile, ..device }
}

fn tank(n: u16, t: u16, order: WordOrder) -> Vec<Point> {
    let float = |i: u16| (Input, (t - 1) * 10 + 2 * i, F32);
    let tag = |letters: &str| format!("T{n}-{letters}{t:02}");
    let key = u64::from(n * 10 + t);
    let period = 60.0 + 14.0 * f64::from(n + 4 * t);
    let level = move |m: Moment| {
        let overfilled = if (n, t) == (1, 1) { m.trouble(Trouble::TankFarm) } else { 0.0 };
        towards(11.4, m.fill(key, period, 1.6, 10.8), overfilled)
    };
    let points = vec![
        Point::of(format!("level{t}"), tag("LT"), float(0), move |m, k| level(m) + m.noise(k, 0.5, 0.002)),
        Point::of(format!("temperature{t}"), tag("TT"), float(1), living(260.0, 17.0, 23.0)),
        Point::of(format!("pressure{t}"), tag("PT"), float(2), living(140.0, 0.6, 1.9)),
        Point::of(format!("volume{t}"), tag("VT"), float(3), move |m, _| level(m) * 78.54),
        Point::of(format!("water{t}"), tag("WT"), float(4), living(420.0, 0.02, 0.09)),
    ];
    let mut points: Vec<Point> = points.into_iter().map(|p| p.ordered(order)).collect();
    let high = move |m: Moment, _: u64| on(level(m) > 10.2);
    let switch = Point::of(format!("high{t}"), tag("LSH"), (Discrete, t - 1, Bool), high);
    points.push(switch.over("class = \"fast\""));
    points
}

/// The automatic transfer switch (双电源), `domain.md` A17 rule 135.
pub(super) fn transfer_switch() -> Device {
    let of = |id: &str, tag: &str, address, scale, life: Box<dyn Fn(Moment, u64) -> f64 + Send + Sync>| {
        Point::of(id, format!("ATS.{tag}"), (Input, address, U16), life).scaled(scale)
    };
    let volts = |first: bool| {
        move |m: Moment, key: u64| match first && m.second_source() {
            true => m.noise(key, 0.2, 1.5).abs(),
            false => m.swing(key, 17.0, 226.0, 233.0),
        }
    };
    let hertz = |first: bool| {
        move |m: Moment, key: u64| if first && m.second_source() { 0.0 } else { m.swing(key, 13.0, 49.96, 50.04) }
    };
    let phases = (0_u16..).zip(["u1a", "u1b", "u1c", "u2a", "u2b", "u2c"]);
    let mut points: Vec<Point> =
        phases.map(|(i, id)| of(id, &id.to_uppercase(), i, 0.1, Box::new(volts(i < 3)))).collect();
    points.extend([
        of("f1", "F1", 6, 0.01, Box::new(hertz(true))),
        of("f2", "F2", 7, 0.01, Box::new(hertz(false))),
        of("position", "POS", 8, 1.0, Box::new(|m, _| if m.second_source() { 2.0 } else { 1.0 }))
            .over("class = \"fast\""),
        of("transfers", "CNT", 9, 1.0, Box::new(|m, _| 37.0 + m.transfers())),
        of("ups", "UPS", 10, 1.0, Box::new(|m, key| m.swing(key, 400.0, 52.0, 60.0))),
        of("fuel", "FUEL", 11, 1.0, Box::new(|m, key| m.swing(key, 900.0, 71.0, 78.0))),
    ]);
    let bits: [Contact; 6] = [
        ("ok1", "OK1", |m| !m.second_source()),
        ("ok2", "OK2", |_| true),
        ("auto", "AUTO", |_| true),
        ("failed", "FAIL", |_| false),
        ("generator", "GEN", Moment::second_source),
        ("battery", "BAT", |_| false),
    ];
    points.extend(contacts("ATS.", bits));
    profiled(("ats-1", "一号变电所双电源切换"), 10, "transfer-switch", ("ATS.", "ATS-1"), points)
}

/// The weather station: what a plume model and an evacuation need. The wind turns slowly.
pub(super) fn weather_station() -> Device {
    let at = |address, encoding| (Holding, address, encoding);
    let points = vec![
        Point::of("wind_speed", "MET.WS", at(0, U16), living(29.0, 0.8, 6.4)).scaled(0.1),
        Point::of("wind_direction", "MET.WD", at(1, U16), living(113.0, 95.0, 240.0)),
        Point::of("temperature", "MET.T", at(2, I16), living(600.0, -2.0, 9.0)).scaled(0.1),
        Point::of("humidity", "MET.RH", at(3, U16), living(500.0, 48.0, 83.0)).scaled(0.1),
        Point::of("pressure", "MET.P", at(4, U16), living(800.0, 1_008.0, 1_021.0)).scaled(0.1),
        Point::of("rain_hour", "MET.RAIN1H", at(5, U16), living(200.0, 0.0, 3.2)).scaled(0.1),
        Point::of("rain_day", "MET.RAIN24H", at(6, U16), |m, _| 12.0 + (m.t / 30.0).floor() * 0.1 % 40.0).scaled(0.1),
    ];
    profiled(("weather-1", "气象站"), 11, "weather-station", ("MET.", "MET-1"), points)
}

/// The tailings pond's logger (尾矿库), `domain.md` A17 rule 136.
pub(super) fn tailings() -> Device {
    let of = |id: &str, tag: &str, address, (period, low, high): (f64, f64, f64)| {
        Point::of(id, format!("TSF.{tag}"), (Input, address, F32), living(period, low, high))
    };
    let mut points = vec![
        Point::of("state", "TSF.ST", (Input, 0, U16), always(0.0)),
        of("level", "LT", 2, (520.0, 86.1, 86.6)),
        of("beach", "BEACH", 4, (420.0, 118.0, 126.0)),
        of("slope", "SLOPE", 6, (610.0, 1.1, 1.3)),
        of("rain", "RAIN", 8, (230.0, 0.0, 2.8)),
        of("seepage", "SEEP", 10, (340.0, 3.1, 4.4)),
        of("turbidity", "NTU", 12, (280.0, 6.0, 11.0)),
    ];
    points.extend((1..=4_u16).flat_map(|n| {
        let address = 20 + (n - 1) * 4;
        let shift = |m: Moment, key: u64| 4.0 + m.t * 1e-4 % 1.0 + m.noise(key, 5.0, 0.05);
        let calm = living(310.0, 11.2, 11.9);
        // The first two gauges are the pond's, the others the dry heap's beside it.
        let phreatic = move |m: Moment, key: u64| {
            let part = match n {
                1 => m.trouble(Trouble::TailingsWet),
                3 => m.trouble(Trouble::TailingsDry),
                _ => 0.0,
            };
            towards(13.4, calm(m, key), part)
        };
        [
            Point::of(format!("displacement{n}"), format!("TSF.GT{n:02}"), (Input, address, F32), shift),
            Point::of(format!("phreatic{n}"), format!("TSF.ZT{n:02}"), (Input, address + 2, F32), phreatic),
        ]
    }));
    profiled(("tailings-1", "尾矿库监测仪"), 12, "tailings-logger", ("TSF.", "TSF-1"), points)
}

/// The fire alarm panel with the fire pumps (`domain.md` A17 rule 132). A fire by command (`fire`) is an alarm, and starts a pump.
pub(super) fn fire_panel() -> Device {
    let bits: [Contact; 9] = [
        ("fire", "FIRE", |m| m.release > 0.0),
        ("fault", "FAULT", |_| false),
        ("mains", "MAINS", |m| !m.second_source()),
        ("battery", "BAT", |_| true),
        ("silenced", "SIL", |_| false),
        ("shielded", "SHIELD", |_| false),
        ("pump_auto", "P.AUTO", |_| true),
        ("pump_run", "P.RUN", |m| m.release > 0.5),
        ("pump_power", "P.PWR", |_| true),
    ];
    let mut points = contacts("FA1.", bits);
    let at = |address| (Input, address, U16);
    points.extend([
        Point::of("hydrant", "FA1.PT1", at(0), living(35.0, 0.41, 0.52)).scaled(0.001),
        Point::of("sprinkler", "FA1.PT2", at(1), living(39.0, 0.36, 0.47)).scaled(0.001),
        Point::of("tank", "FA1.LT1", at(2), living(290.0, 3.6, 3.9)).scaled(0.01),
        Point::of("alarms", "FA1.N", at(3), |m, _| on(m.release > 0.0)),
    ]);
    let device = profiled(("fire-panel-1", "消防控制室火灾报警控制器"), 13, "fire-panel", ("FA1.", "FA-1"), points);
    Device { nature: Nature::Fire, ..device }
}

/// The analyser at the outlet of the waste water plant (`domain.md` A17 rule 134).
pub(super) fn water_quality() -> Device {
    let of = |id: &str, tag: &str, address, (period, low, high): (f64, f64, f64)| {
        Point::of(id, format!("WQ1.{tag}"), (Holding, address, F32), living(period, low, high))
    };
    let total = |m: Moment, _: u64| 1_930_400.0 + (m.t * 0.2).floor() * 0.1;
    let points = vec![
        Point::of("state", "WQ1.ST", (Holding, 0, U16), always(0.0)),
        of("ph", "PH", 1, (83.0, 6.9, 7.8)),
        of("cod", "COD", 3, (67.0, 38.0, 61.0)),
        of("nh3n", "NH3N", 5, (59.0, 1.1, 3.4)),
        of("tp", "TP", 7, (73.0, 0.12, 0.31)),
        of("tn", "TN", 9, (79.0, 8.0, 13.0)),
        of("flow", "FLOW", 11, (37.0, 17.0, 24.0)),
        Point::of("total", "WQ1.TOTAL", (Holding, 13, U32), total).scaled(0.1),
    ];
    profiled(("water-1", "总排口水质分析仪"), 15, "water-quality", ("WQ1.", "S-302"), points)
}

/// A lorry comes onto the weighbridge this often, and stands on it for the middle of that time.
const LORRY_EVERY: f64 = 20.0;

/// The weighbridge at the gate: empty, a lorry drives on, stands still, drives off.
pub(super) fn weighbridge() -> Device {
    let part = |m: Moment| (m.t / LORRY_EVERY).fract();
    let gross = move |m: Moment, key: u64| {
        let lorry = 28_000.0 + m.noise(key, LORRY_EVERY, 9_000.0);
        let on_it = ((part(m) - 0.3) / 0.1).min((0.9 - part(m)) / 0.1).clamp(0.0, 1.0);
        (on_it * lorry / 20.0).round() * 20.0
    };
    let stable = move |m: Moment, _: u64| on(!(0.3..0.4).contains(&part(m)) && !(0.8..0.9).contains(&part(m)));
    let key = key_of("WB1.W");
    let points = vec![
        Point::of("gross", "WB1.W", (Holding, 0, I32), gross),
        Point::of("tare", "WB1.TARE", (Holding, 2, I32), always(0.0)),
        Point::of("state", "WB1.ST", (Holding, 4, U16), always(0.0)),
        Point::of("stable", "WB1.STABLE", (Holding, 4, Bit(0)), stable),
        Point::of("zero", "WB1.ZERO", (Holding, 4, Bit(1)), move |m, _| on(gross(m, key) == 0.0)),
        Point::of("overload", "WB1.OVER", (Holding, 4, Bit(2)), always(0.0)),
    ];
    profiled(("weighbridge-1", "东门汽车衡"), 16, "weighbridge", ("WB1.", "WB-1"), points)
}
