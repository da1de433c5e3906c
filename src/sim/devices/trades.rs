//! The controller of the park's other trades, which the templates of `config/templates` know: four reactors, a dust
//! collector, deep-well casting, coal gas, a drainage station. It has the points that a template needs and hardly more;
//! each unit has its trouble once in an hour ([`Trouble`]).

use super::{always, device, healthy, living, troubled};
use crate::field::settings::Encoding::{Bool, F32};
use crate::field::settings::Table::{Coil, Holding};
use crate::sim::life::{Moment, Trouble};
use crate::sim::park::{Device, Point};

/// The PLC that watches the companies' units; all of it slow, so that it costs little.
pub(super) fn trades() -> Device {
    let points = [reactors(), workshops(), surroundings()].into_iter().flatten().collect();
    device("plc-trades", "园区企业监测PLC", 17, points)
}

/// Chlorination, fluorination, diazotisation, peroxidation.
fn reactors() -> Vec<Point> {
    let flow = || living(23.0, 26.0, 34.0);
    let low = |trouble| troubled(trouble, 10.0, living(23.0, 26.0, 34.0));
    let warm = troubled(Trouble::Diazotisation, 7.0, living(43.0, 0.5, 3.0));
    vec![
        celsius("TT2201", "氯化釜温度", 0, living(41.0, 60.0, 68.0), (0.0, 150.0)).at("R-201"),
        coolant("FT2201", "氯化釜冷却水流量", 1, low(Trouble::Chlorination)).at("R-201"),
        contact("XS2201", "氯化釜搅拌运行", 0, always(1.0)).at("R-201"),
        celsius("TT2301", "氟化釜温度", 2, living(47.0, 30.0, 38.0), (0.0, 150.0)).at("R-301"),
        coolant("FT2301", "氟化釜冷却水流量", 3, flow()).at("R-301"),
        contact("XS2301", "氟化釜搅拌运行", 1, healthy(Trouble::Fluorination)).at("R-301"),
        celsius("TT2401", "重氮化釜温度", 4, warm, (-20.0, 80.0)).at("R-401"),
        coolant("FT2401", "重氮化釜冷冻盐水流量", 5, flow()).at("R-401"),
        contact("XS2401", "重氮化釜搅拌运行", 2, always(1.0)).at("R-401"),
        celsius("TT2501", "过氧化釜温度", 6, living(37.0, 40.0, 46.0), (0.0, 150.0)).at("R-501"),
        coolant("FT2501", "过氧化釜冷却水流量", 7, low(Trouble::Peroxidation)).at("R-501"),
        contact("XS2501", "过氧化釜搅拌运行", 3, always(1.0)).at("R-501"),
    ]
}

/// The dust collector and the casting.
fn workshops() -> Vec<Point> {
    let blocked = troubled(Trouble::DustCollector, 1.8, living(29.0, 0.7, 1.1));
    let pressure = troubled(Trouble::Casting, 0.12, living(31.0, 0.32, 0.38));
    vec![
        measured("PDT2601", "抛光除尘器进出风压差", 8, blocked, ("kPa", (0.0, 5.0), "pressure")).at("DC-1"),
        celsius("TT2601", "抛光除尘器灰斗温度", 9, living(83.0, 28.0, 36.0), (0.0, 150.0)).at("DC-1"),
        contact("XS2601", "抛光除尘器风机运行", 4, always(1.0)).at("DC-1"),
        measured("FT2701", "深井铸造冷却水流量", 10, living(27.0, 150.0, 170.0), ("m³/h", (0.0, 300.0), "flow"))
            .at("DW-1"),
        measured("PT2701", "深井铸造冷却水压力", 11, pressure, ("MPa", (0.0, 1.0), "pressure")).at("DW-1"),
        celsius("TT2701", "深井铸造出水温度", 12, living(61.0, 38.0, 46.0), (0.0, 100.0)).at("DW-1"),
    ]
}

/// Coal gas (its carbon monoxide is a channel of the toxic gas controller) and drainage.
fn surroundings() -> Vec<Point> {
    let pressure = troubled(Trouble::CoalGas, 0.7, living(33.0, 4.2, 5.6));
    let river = troubled(Trouble::Drainage, 5.5, living(600.0, 3.2, 3.9));
    vec![
        measured("PT2801", "煤气管道压力", 13, pressure, ("kPa", (0.0, 15.0), "pressure")).at("CG-1"),
        contact("XS2801", "煤气风机运行", 5, always(1.0)).at("CG-1"),
        measured("LT2901", "外河水位", 14, river, ("m", (0.0, 10.0), "level")).at("RN-1"),
        contact("XA2901", "一号排涝泵故障", 6, always(0.0)).at("RN-1"),
    ]
}

fn celsius(
    tag: &str,
    name: &str,
    place: u16,
    life: impl Fn(Moment, u64) -> f64 + Send + Sync + 'static,
    range: (f64, f64),
) -> Point {
    measured(tag, name, place, life, ("℃", range, "temperature"))
}

fn coolant(tag: &str, name: &str, place: u16, life: impl Fn(Moment, u64) -> f64 + Send + Sync + 'static) -> Point {
    measured(tag, name, place, life, ("m³/h", (0.0, 60.0), "flow"))
}

/// A float, the `place`-th of the holding registers.
fn measured(
    tag: &str,
    name: &str,
    place: u16,
    life: impl Fn(Moment, u64) -> f64 + Send + Sync + 'static,
    (unit, range, kind): (&'static str, (f64, f64), &'static str),
) -> Point {
    Point::new(tag, name, (Holding, 2 * place, F32), life).measured(unit, range, kind).class("slow")
}

/// A coil.
fn contact(tag: &str, name: &str, place: u16, life: impl Fn(Moment, u64) -> f64 + Send + Sync + 'static) -> Point {
    Point::new(tag, name, (Coil, place, Bool), life).class("slow")
}
