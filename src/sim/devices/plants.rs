//! The plants' own controllers: blocks of floats, bits in coils or packed into a word, as PLC programmers in such parks lay
//! them out. Their points stand in the point table.

use super::{device, living, switching, towards, troubled};
use crate::field::settings::Encoding::{Bit, Bool, F32, U16, U32};
use crate::field::settings::Table::{Coil, Discrete, Holding, Input};
use crate::field::settings::WordOrder;
use crate::sim::life::{Moment, Trouble};
use crate::sim::park::{Device, Point};

/// The nitration PLC (硝化): three reactors of 20 registers and 8 coils each.
pub(super) fn nitration() -> Device {
    let points = (1..=3_u16).flat_map(reactor).collect();
    device("plc-nitration", "硝化车间反应釜PLC", 0, points)
}

fn reactor(n: u16) -> Vec<Point> {
    let (base, bits) = ((n - 1) * 20, (n - 1) * 8);
    let float = |i: u16| (Holding, base + 2 * i, F32);
    let tag = |letters: &str, last: u16| format!("{letters}1{n}0{last}");
    let name = |what: &str| format!("硝化釜R-10{n}{what}");
    let (enough, short) = (living(23.0, 26.0, 34.0), troubled(Trouble::Nitration, 12.0, living(23.0, 26.0, 34.0)));
    let coolant = move |m: Moment, key: u64| if n == 1 { short(m, key) } else { enough(m, key) };
    let points = vec![
        Point::new(tag("TT", 1), name("釜内温度"), float(0), living(37.0, 42.0, 58.0))
            .measured("℃", (0.0, 150.0), "temperature")
            .limits([10.0, 25.0, 70.0, 85.0])
            .class("fast"),
        Point::new(tag("TT", 2), name("夹套温度"), float(1), living(45.0, 8.0, 22.0)).measured(
            "℃",
            (-20.0, 100.0),
            "temperature",
        ),
        Point::new(tag("PT", 1), name("釜内压力"), float(2), living(29.0, 0.02, 0.09))
            .measured("MPa", (-0.1, 0.6), "pressure")
            .limits([-0.05, 0.0, 0.15, 0.3])
            .class("fast"),
        Point::new(tag("IT", 1), name("搅拌电流"), float(3), living(11.0, 18.0, 24.0))
            .measured("A", (0.0, 60.0), "current")
            .class("fast"),
        Point::new(tag("FT", 1), name("冷却水流量"), float(4), coolant)
            .measured("m³/h", (0.0, 60.0), "flow")
            .class("fast"),
        Point::new(tag("FT", 2), name("硝酸滴加流量"), float(5), living(61.0, 0.4, 1.2)).measured(
            "m³/h",
            (0.0, 3.0),
            "flow",
        ),
        Point::new(tag("LT", 1), name("液位"), float(6), |m, key| m.fill(key, 180.0, 35.0, 80.0))
            .measured("%", (0.0, 100.0), "level")
            .limits([10.0, 20.0, 85.0, 95.0])
            .deadband("0.1"),
        Point::new(tag("FQ", 1), name("硝酸累计量"), (Holding, base + 14, U32), |m, _| {
            812_000.0 + (m.t * 2.2).floor()
        })
        .measured("L", (0.0, 4e9), "total"),
        Point::new(tag("XS", 1), name("搅拌运行"), (Coil, bits, Bool), |_, _| 1.0),
        Point::new(tag("XV", 1), name("滴加阀开"), (Coil, bits + 1, Bool), switching(61.0, 0.8)),
        Point::new(tag("XV", 2), name("紧急冷却阀开"), (Coil, bits + 2, Bool), switching(300.0, 0.02)),
        Point::new(tag("ZS", 1), name("联锁投用"), (Coil, bits + 3, Bool), |_, _| 1.0),
    ];
    points.into_iter().map(|p| p.at(format!("R-10{n}"))).collect()
}

/// Utilities: steam, cooling water, air, nitrogen, fire water.
pub(super) fn utilities() -> Device {
    let float = |i: u16| (Holding, 100 + 2 * i, F32);
    let measured = |tag: &str, name: &str, i, life: (f64, f64, f64), unit, range, kind| {
        Point::new(tag, name, float(i), living(life.0, life.1, life.2)).measured(unit, range, kind)
    };
    let mut points = vec![
        Point::new("PT2001", "蒸汽总管压力", float(0), troubled(Trouble::Steam, 0.4, living(53.0, 0.72, 0.86)))
            .measured("MPa", (0.0, 1.6), "pressure"),
        measured("TT2001", "蒸汽总管温度", 1, (71.0, 172.0, 181.0), "℃", (0.0, 300.0), "temperature"),
        measured("FT2001", "蒸汽流量", 2, (41.0, 18.0, 26.0), "t/h", (0.0, 60.0), "flow"),
        measured("FT2002", "凝结水流量", 3, (43.0, 11.0, 17.0), "t/h", (0.0, 60.0), "flow"),
        Point::new("PT2002", "循环水供水压力", float(4), troubled(Trouble::Water, 0.18, living(31.0, 0.38, 0.46)))
            .measured("MPa", (0.0, 1.0), "pressure"),
        measured("TT2002", "循环水供水温度", 5, (97.0, 24.0, 28.0), "℃", (0.0, 60.0), "temperature"),
        measured("TT2003", "循环水回水温度", 6, (89.0, 31.0, 36.0), "℃", (0.0, 60.0), "temperature"),
        measured("FT2003", "循环水流量", 7, (47.0, 1_180.0, 1_340.0), "m³/h", (0.0, 2_000.0), "flow"),
        measured("PT2003", "仪表空气压力", 8, (19.0, 0.58, 0.66), "MPa", (0.0, 1.0), "pressure"),
        measured("DT2001", "仪表空气露点", 9, (111.0, -46.0, -41.0), "℃", (-80.0, 20.0), "dew_point").class("slow"),
        measured("PT2004", "氮气总管压力", 10, (27.0, 0.52, 0.61), "MPa", (0.0, 1.0), "pressure"),
        measured("AT2001", "氮气纯度", 11, (131.0, 99.95, 99.99), "%", (90.0, 100.0), "purity").class("slow"),
        measured("LT2001", "生产水池液位", 12, (170.0, 2.6, 3.9), "m", (0.0, 5.0), "level"),
    ];
    let pumps = ["一号循环泵", "二号循环泵", "三号循环泵", "一号空压机", "二号空压机"];
    points.extend((0_u8..).zip(pumps).map(|(n, pump)| {
        let on = if n == 2 { 0.0 } else { 1.0 };
        Point::new(format!("XS200{}", n + 1), format!("{pump}运行"), (Holding, 130, Bit(n)), move |_, _| on)
    }));
    points.push(
        Point::new("JQ2001", "全厂用电量", (Input, 0, U32), |m, _| 48_211_300.0 + (m.t * 3.3).floor())
            .measured("kWh", (0.0, 4e9), "total")
            .ordered(WordOrder::Cdab),
    );
    device("plc-utility", "公用工程PLC", 1, points)
}

/// Waste water with the accident pool (事故应急池); the outlet itself is the analyser's.
pub(super) fn waste_water() -> Device {
    let pool = |m: Moment| towards(2.9, m.fill(31, 240.0, 0.4, 1.9), m.trouble(Trouble::WasteWater));
    let points = vec![
        Point::new("AT3006", "曝气池溶解氧", (Input, 6, U16), living(33.0, 2.1, 3.6)).scaled(0.01).measured(
            "mg/L",
            (0.0, 20.0),
            "oxygen",
        ),
        Point::new("AT3007", "雨水口COD", (Input, 7, U16), living(91.0, 12.0, 25.0))
            .scaled(0.1)
            .measured("mg/L", (0.0, 500.0), "cod")
            .class("slow"),
        Point::new("LT3001", "事故应急池液位", (Input, 12, F32), move |m, _| pool(m))
            .measured("m", (0.0, 5.0), "level")
            .at("S-301"),
        Point::new("LT3002", "事故应急池可用容积", (Input, 14, F32), move |m, _| 100.0 - pool(m) * 20.0)
            .measured("%", (0.0, 100.0), "free_volume")
            .at("S-301"),
        Point::new("ZS3001", "雨水闸门全关", (Discrete, 0, Bool), switching(150.0, 0.9)),
        Point::new("ZS3002", "污水闸门全开", (Discrete, 1, Bool), switching(170.0, 0.9)),
        Point::new("ZS3003", "初期雨水切换阀到位", (Discrete, 2, Bool), switching(190.0, 0.9)),
        Point::new("XS3001", "一号提升泵运行", (Discrete, 3, Bool), switching(40.0, 0.5)),
        Point::new("XS3002", "二号提升泵运行", (Discrete, 4, Bool), switching(46.0, 0.5)),
    ];
    device("plc-wastewater", "污水处理站PLC", 2, points)
}
