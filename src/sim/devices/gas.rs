//! Gas detectors. Each but the oxygen controller is declared by a shipped profile.
//!
//! A release by command (`leak`) raises the main gas of its device from calm over both alarm levels within seconds; the alarm
//! state that the device itself shows follows. What a detector gives while it is calibrated, tested, warming up or broken is
//! in its registers all the same: it is the gateway that must not take it for a measurement.

use super::{always, device, level, living, on, profiled};
use crate::field::settings::Encoding::{Bit, F32, I16, IntTenths, U16};
use crate::field::settings::Table::{Holding, Input};
use crate::field::settings::WordOrder;
use crate::sim::devices::LINE_SOCKET;
use crate::sim::fault::Nature;
use crate::sim::life::{Moment, key_of};
use crate::sim::park::{Device, Point, Profile};

/// Low and high alarm limit of the combustible gas detectors, %LEL.
const LEL_LIMITS: (f64, f64) = (25.0, 50.0);
/// A release is this much at its height, %LEL.
const LEL_RELEASE: f64 = 58.0;
/// A release of a toxic gas is this many times its low alarm limit at its height; the high limit is twice the low one.
const TOXIC_RELEASE: f64 = 3.0;

/// State words of the profile `gas-controller`.
const CALIBRATION: f64 = 2.0;
const BUMP_TEST: f64 = 3.0;
/// State words of YA-K300.
const ALARM: f64 = 1.0;
const BROKEN: f64 = 2.0;
/// State words of Midas.
const WARM_UP: f64 = 0.0;
const MONITORING: f64 = 1.0;

/// One combustible gas detector in the maker's layout of YA-K300 (`domain.md` B8); all six on one RS-485 line.
pub(super) fn lel_detector(n: u8) -> Device {
    let tag = format!("AT700{n}");
    // The states follow from the same quantity, so they need the key of the concentration.
    let key = key_of(&tag);
    let concentration = move |m: Moment, _: u64| {
        let of_story = if n == 3 { m.leak() } else { 0.0 };
        let calm = m.swing(key, 47.0, 0.4, 2.4);
        if n == 5 && m.broken() { 0.0 } else { calm + m.release.max(of_story) * LEL_RELEASE }
    };
    let alarm = move |m: Moment| {
        let now = concentration(m, key);
        level([now >= LEL_LIMITS.0, now >= LEL_LIMITS.1])
    };
    let state = move |m: Moment, _: u64| match alarm(m) {
        _ if n == 5 && m.broken() => BROKEN,
        0.0 => 0.0,
        _ => ALARM,
    };
    let points = vec![
        Point::of("gas", &*tag, (Holding, 0, U16), concentration).scaled(0.1),
        Point::of("state", format!("{tag}.ST"), (Holding, 1, U16), state),
        Point::of("alarm", format!("{tag}.ALM"), (Holding, 2, U16), move |m, _| alarm(m)),
        Point::of("temperature", format!("{tag}.T"), (Holding, 3, I16), living(90.0, 21.0, 29.0)).scaled(0.1),
        Point::of("low_limit", format!("{tag}.LO"), (Holding, 6, U16), always(LEL_LIMITS.0)).scaled(0.1),
        Point::of("high_limit", format!("{tag}.HI"), (Holding, 7, U16), always(LEL_LIMITS.1)).scaled(0.1),
    ];
    let named = (format!("gas-700{n}"), format!("储罐区可燃气体{n}号"));
    let device = profiled(named, LINE_SOCKET, "gas-detector-ya-k300", (tag, "GDS-7"), points);
    Device { unit: n, nature: Nature::Gas, ..device }
}

/// The channels of the toxic controller: gas, decimals of its display as scale, range and low alarm limit in ppm. The limits
/// are those of `domain.md` A10 rule 81 in ppm, rounded down.
const TOXIC: [(&str, f64, f64, f64); 8] = [
    ("氯气", 0.01, 10.0, 0.3),
    ("氨", 0.1, 100.0, 25.0),
    ("硫化氢", 0.1, 100.0, 7.0),
    ("一氧化碳", 0.1, 500.0, 16.0),
    ("二氧化硫", 0.01, 20.0, 1.9),
    ("氯化氢", 0.01, 15.0, 5.0),
    ("光气", 0.001, 1.0, 0.12),
    ("氟化氢", 0.01, 10.0, 2.4),
];

/// A controller for toxic gases: eight channels of three registers. A release by command is chlorine, on the first.
pub(super) fn toxic_controller() -> Device {
    let points = (1..).zip(TOXIC).flat_map(|(n, channel)| toxic_channel(n, channel)).collect();
    let named = ("gas-toxic", "有毒气体报警控制器");
    let device = profiled(named, 8, "gas-controller", ("AT71", "GDS-71"), points);
    let profile = device.profile.map(|profile| Profile { channels: Some(8), ..profile });
    Device { nature: Nature::Gas, profile, ..device }
}

fn toxic_channel(n: u16, (gas, scale, span, low): (&str, f64, f64, f64)) -> [Point; 3] {
    let tag = format!("AT71{n:02}");
    let key = key_of(&tag);
    let state = move |m: Moment| match n {
        4 if m.bump_testing() => BUMP_TEST,
        6 if m.calibrating() => CALIBRATION,
        _ => 0.0,
    };
    let concentration = move |m: Moment| match state(m) {
        BUMP_TEST => 100.0,
        CALIBRATION => 8.0,
        _ => {
            let release = if n == 1 { m.release } else { 0.0 };
            m.swing(key, 53.0, 0.0, low * 0.2) + release * low * TOXIC_RELEASE
        }
    };
    let alarm = move |m: Moment, _: u64| match (state(m), concentration(m)) {
        (0.0, now) => level([now >= low, now >= 2.0 * low]),
        _ => 0.0,
    };
    let over = format!("name = \"{gas}浓度\", unit = \"ppm\", range = [0, {span}], scale = {scale}");
    let base = (n - 1) * 3;
    [
        Point::of(format!("gas{n}"), &*tag, (Input, base, U16), move |m, _| concentration(m)).scaled(scale).over(over),
        Point::of(format!("state{n}"), format!("{tag}.ST"), (Input, base + 1, U16), move |m, _| state(m)),
        Point::of(format!("alarm{n}"), format!("{tag}.ALM"), (Input, base + 2, U16), alarm),
    ]
}

/// A Midas detector in the chlorine store, powered by the first source alone: it warms up after the transfer.
pub(super) fn chlorine_detector() -> Device {
    let (low, key) = (0.3, key_of("AT7301.C"));
    let state = |m: Moment| if m.warming_up() { WARM_UP } else { MONITORING };
    let concentration = move |m: Moment| m.swing(key, 59.0, 0.0, low * 0.2) + m.release * low * TOXIC_RELEASE;
    let reached = move |limit: f64| move |m: Moment, _: u64| on(state(m) == MONITORING && concentration(m) >= limit);
    let float = |address| (Holding, address, F32);
    let points = vec![
        Point::of("state", "AT7301.ST", (Holding, 0, U16), move |m, _| state(m)),
        Point::of("low", "AT7301.LO", (Holding, 0, Bit(6)), reached(low)),
        Point::of("high", "AT7301.HI", (Holding, 0, Bit(7)), reached(2.0 * low)),
        Point::of("gas", "AT7301.C", float(2), move |m, _| concentration(m))
            .ordered(WordOrder::Cdab)
            .over("range = [0, 10]"),
        Point::of("temperature", "AT7301.T", (Holding, 7, I16), living(120.0, 18.0, 26.0)),
        Point::of("life", "AT7301.LIFE", (Holding, 8, U16), |m, _| 8_760.0 - (m.t / 3_600.0).floor() % 8_000.0),
        Point::of("flow", "AT7301.FLOW", (Holding, 10, U16), living(33.0, 480.0, 520.0)),
        Point::of("low_limit", "AT7301.LO.SET", float(12), always(low)).ordered(WordOrder::Cdab),
        Point::of("high_limit", "AT7301.HI.SET", float(14), always(2.0 * low)).ordered(WordOrder::Cdab),
    ];
    let named = ("gas-7301", "氯库气体探测器");
    let device = profiled(named, 14, "gas-detector-midas", ("AT7301.", "GDS-73"), points);
    Device { nature: Nature::Gas, ..device }
}

/// Oxygen in confined spaces; the value stands as two bytes, integer and tenths (`14 09` = 20.9). A release by command is
/// nitrogen: oxygen falls at the first. No profile knows this layout, so its points stand in the point table.
pub(super) fn oxygen_controller() -> Device {
    let channel = |n: u16| {
        let tag = format!("AT720{n}");
        let key = key_of(&tag);
        let oxygen = move |m: Moment| {
            let displaced = if n == 1 { m.release * 4.0 } else { 0.0 };
            m.swing(key, 31.0, 20.6, 21.1) + m.noise(key, 0.2, 0.005) - displaced
        };
        let alarm = move |m: Moment, _: u64| on(!(19.5..=23.5).contains(&oxygen(m)));
        let place = ((n - 1) * 2, format!("受限空间氧含量{n}号"));
        [
            Point::new(&*tag, place.1, (Holding, place.0, IntTenths), move |m, _| oxygen(m)).measured(
                "%VOL",
                (0.0, 30.0),
                "oxygen",
            ),
            Point::new(format!("{tag}.ALM"), format!("氧含量{n}号报警状态"), (Holding, place.0 + 1, U16), alarm),
        ]
    };
    let device = device("gas-oxygen", "氧气报警控制器", 9, (1..=6).flat_map(channel).collect());
    Device { nature: Nature::Gas, ..device }
}
