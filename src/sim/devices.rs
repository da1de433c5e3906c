//! The devices of the simulated park: what a mid-sized chemical park has behind its gateway.
//!
//! Layouts follow what makers publish where a source is known (`domain.md` B8, A17); the rest is as PLC programmers in
//! such parks lay it out: blocks of floats, bits in coils or packed into a word.

use super::life::Moment;
use super::park::{Device, Point};
use crate::field::settings::Encoding::{Bit, Bool, F32, I16, IntTenths, U16, U32};
use crate::field::settings::Table::{Coil, Discrete, Holding, Input};
use crate::field::settings::WordOrder;

/// The socket that is an RS-485 line: that of the combustible gas detectors.
pub const LINE_SOCKET: usize = 7;

/// Low and high alarm limit of the combustible gas detectors, %LEL.
const LEL_LIMITS: (f64, f64) = (25.0, 50.0);

/// Returns all devices of the park.
pub fn park() -> Vec<Device> {
    let mut devices = vec![nitration(), utilities(), waste_water()];
    devices.extend([
        tank_gauge(1, "一号罐区液位仪", WordOrder::Abcd),
        tank_gauge(2, "二号罐区液位仪", WordOrder::Cdab),
        tank_gauge(3, "三号罐区液位仪", WordOrder::Badc),
        tank_gauge(4, "四号罐区液位仪", WordOrder::Dcba),
    ]);
    devices.extend((1..=6).map(lel_detector));
    devices.extend([toxic_controller(), oxygen_controller(), transfer_switch(), weather_station(), tailings()]);
    devices.push(fire_pumps());
    devices
}

fn device(id: impl Into<String>, name: &'static str, socket: usize, points: Vec<Point>) -> Device {
    Device { id: id.into(), name, socket, unit: 1, falls_silent: false, points }
}

/// A swing with a little noise, so that nearly every poll reads another value.
fn living(period: f64, low: f64, high: f64) -> impl Fn(Moment, u64) -> f64 {
    let margin = (high - low) * 0.01;
    move |m, key| m.swing(key, period, low + margin, high - margin) + m.noise(key, 0.2, margin)
}

/// A bit that is on for the upper part of a slow swing.
fn switching(period: f64, part_on: f64) -> impl Fn(Moment, u64) -> f64 {
    move |m, key| f64::from(u8::from(m.swing(key, period, 0.0, 1.0) < part_on))
}

/// The nitration PLC (硝化): three reactors of 20 registers and 8 coils each.
fn nitration() -> Device {
    let points = (1..=3_u16).flat_map(reactor).collect();
    device("plc-nitration", "硝化车间反应釜PLC", 0, points)
}

fn reactor(n: u16) -> Vec<Point> {
    let (base, bits) = ((n - 1) * 20, (n - 1) * 8);
    let float = |i: u16| (Holding, base + 2 * i, F32);
    let tag = |letters: &str, last: u16| format!("{letters}1{n}0{last}");
    let name = |what: &str| format!("硝化釜R-10{n}{what}");
    let points = vec![
        Point::new(tag("TT", 1), name("釜内温度"), float(0), living(37.0, 42.0, 58.0))
            .measured("℃", (0.0, 150.0), "temperature")
            .class("fast"),
        Point::new(tag("TT", 2), name("夹套温度"), float(1), living(45.0, 8.0, 22.0)).measured(
            "℃",
            (-20.0, 100.0),
            "temperature",
        ),
        Point::new(tag("PT", 1), name("釜内压力"), float(2), living(29.0, 0.02, 0.09))
            .measured("MPa", (-0.1, 0.6), "pressure")
            .class("fast"),
        Point::new(tag("IT", 1), name("搅拌电流"), float(3), living(11.0, 18.0, 24.0))
            .measured("A", (0.0, 60.0), "current")
            .class("fast"),
        Point::new(tag("FT", 1), name("冷却水流量"), float(4), living(23.0, 26.0, 34.0))
            .measured("m³/h", (0.0, 60.0), "flow")
            .class("fast"),
        Point::new(tag("FT", 2), name("硝酸滴加流量"), float(5), living(61.0, 0.4, 1.2)).measured(
            "m³/h",
            (0.0, 3.0),
            "flow",
        ),
        Point::new(tag("LT", 1), name("液位"), float(6), |m, key| m.fill(key, 180.0, 35.0, 80.0))
            .measured("%", (0.0, 100.0), "level")
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
fn utilities() -> Device {
    let float = |i: u16| (Holding, 100 + 2 * i, F32);
    let measured = |tag: &str, name: &str, i, life: (f64, f64, f64), unit, range, kind| {
        Point::new(tag, name, float(i), living(life.0, life.1, life.2)).measured(unit, range, kind)
    };
    let mut points = vec![
        measured("PT2001", "蒸汽总管压力", 0, (53.0, 0.72, 0.86), "MPa", (0.0, 1.6), "pressure"),
        measured("TT2001", "蒸汽总管温度", 1, (71.0, 172.0, 181.0), "℃", (0.0, 300.0), "temperature"),
        measured("FT2001", "蒸汽流量", 2, (41.0, 18.0, 26.0), "t/h", (0.0, 60.0), "flow"),
        measured("FT2002", "凝结水流量", 3, (43.0, 11.0, 17.0), "t/h", (0.0, 60.0), "flow"),
        measured("PT2002", "循环水供水压力", 4, (31.0, 0.38, 0.46), "MPa", (0.0, 1.0), "pressure"),
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

/// Waste water with the accident pool (事故应急池).
fn waste_water() -> Device {
    let tenths = |tag: &str, name: &str, i: u16, life: (f64, f64, f64), scale, unit, range, kind| {
        Point::new(tag, name, (Input, i, U16), living(life.0, life.1, life.2)).scaled(scale).measured(unit, range, kind)
    };
    let pool = |m: Moment| m.fill(31, 240.0, 0.4, 1.9);
    let mut points = vec![
        tenths("AT3001", "总排口pH", 0, (83.0, 6.9, 7.8), 0.01, "", (0.0, 14.0), "ph"),
        tenths("AT3002", "总排口COD", 1, (67.0, 38.0, 61.0), 0.1, "mg/L", (0.0, 500.0), "cod").class("slow"),
        tenths("AT3003", "总排口氨氮", 2, (59.0, 1.1, 3.4), 0.01, "mg/L", (0.0, 50.0), "nh3_n").class("slow"),
        tenths("AT3004", "总排口总磷", 3, (73.0, 0.12, 0.31), 0.001, "mg/L", (0.0, 10.0), "total_p").class("slow"),
        tenths("AT3005", "总排口总氮", 4, (79.0, 8.0, 13.0), 0.01, "mg/L", (0.0, 100.0), "total_n").class("slow"),
        tenths("FT3001", "总排口流量", 5, (37.0, 61.0, 88.0), 0.1, "m³/h", (0.0, 300.0), "flow"),
        tenths("AT3006", "曝气池溶解氧", 6, (33.0, 2.1, 3.6), 0.01, "mg/L", (0.0, 20.0), "oxygen"),
        tenths("AT3007", "雨水口COD", 7, (91.0, 12.0, 25.0), 0.1, "mg/L", (0.0, 500.0), "cod").class("slow"),
    ];
    points.extend([
        Point::new("FQ3001", "总排口累计流量", (Input, 10, U32), |m, _| 1_930_400.0 + (m.t * 0.02).floor()).measured(
            "m³",
            (0.0, 4e9),
            "total",
        ),
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
    ]);
    device("plc-wastewater", "污水处理站PLC", 2, points)
}

/// A tank gauge with two tanks; each gauge of another make, with another order of words.
fn tank_gauge(n: u16, name: &'static str, order: WordOrder) -> Device {
    let points = (1..=2_u16).flat_map(|t| tank(n, t, order)).collect();
    let socket = 2 + usize::from(n);
    Device { falls_silent: n == 3, ..device(format!("tank-gauge-{n}"), name, socket, points) }
}

fn tank(n: u16, t: u16, order: WordOrder) -> Vec<Point> {
    let base = (t - 1) * 10;
    let float = |i: u16| (Input, base + 2 * i, F32);
    let tag = |letters: &str| format!("{letters}4{n}0{t}");
    let name = |what: &str| format!("储罐V-4{n}0{t}{what}");
    let period = 60.0 + 14.0 * f64::from(n + 4 * t);
    let key = u64::from(n * 10 + t);
    let level = move |m: Moment| m.fill(key, period, 1.6, 10.8);
    let points = vec![
        Point::new(tag("LT"), name("液位"), float(0), move |m, k| level(m) + m.noise(k, 0.5, 0.002)).measured(
            "m",
            (0.0, 12.0),
            "level",
        ),
        Point::new(tag("TT"), name("温度"), float(1), living(260.0, 17.0, 23.0))
            .measured("℃", (-20.0, 80.0), "temperature")
            .deadband("0.05"),
        Point::new(tag("PT"), name("气相压力"), float(2), living(140.0, 0.6, 1.9)).measured(
            "kPa",
            (-2.0, 6.0),
            "pressure",
        ),
        Point::new(tag("VT"), name("体积"), float(3), move |m, _| level(m) * 78.54)
            .measured("m³", (0.0, 1_000.0), "volume")
            .deadband("1%"),
    ];
    let mut points: Vec<Point> = points.into_iter().map(|p| p.ordered(order)).collect();
    let high = move |m: Moment, _| f64::from(u8::from(level(m) > 10.2));
    points.push(Point::new(tag("LSH"), name("高液位开关"), (Discrete, t - 1, Bool), high).class("fast"));
    points.into_iter().map(|p| p.at(format!("V-4{n}0{t}"))).collect()
}

/// One combustible gas detector in the makers' layout of YA-K300; all six on one RS-485 line.
fn lel_detector(n: u8) -> Device {
    let tag = format!("AT700{n}");
    let leaks = n == 3;
    let concentration = move |m: Moment, key: u64| {
        let calm = m.swing(key, 47.0, 0.4, 2.4);
        if leaks { calm + m.leak() * 58.0 } else { calm }
    };
    // The state is derived from the same quantity, so it needs the key of the concentration.
    let key = super::life::key_of(&tag);
    let alarm = move |m: Moment, _| {
        let now = concentration(m, key);
        f64::from(u8::from(now >= LEL_LIMITS.0) + u8::from(now >= LEL_LIMITS.1))
    };
    let points = vec![
        Point::new(&*tag, format!("储罐区可燃气体{n}号"), (Holding, 0, U16), concentration).scaled(0.1).measured(
            "%LEL",
            (0.0, 100.0),
            "gas",
        ),
        Point::new(format!("{tag}.DEV"), format!("可燃气体{n}号探测器状态"), (Holding, 1, U16), |_, _| 0.0),
        Point::new(format!("{tag}.ALM"), format!("可燃气体{n}号报警状态"), (Holding, 2, U16), alarm),
        Point::new(format!("{tag}.T"), format!("可燃气体{n}号机内温度"), (Holding, 3, I16), living(90.0, 21.0, 29.0))
            .scaled(0.1)
            .measured("℃", (-40.0, 85.0), "temperature")
            .deadband("0.2"),
        Point::new(format!("{tag}.LO"), format!("可燃气体{n}号低报设定"), (Holding, 6, U16), |_, _| {
            LEL_LIMITS.0
        })
        .scaled(0.1)
        .measured("%LEL", (0.0, 100.0), "limit")
        .class("slow"),
        Point::new(format!("{tag}.HI"), format!("可燃气体{n}号高报设定"), (Holding, 7, U16), |_, _| {
            LEL_LIMITS.1
        })
        .scaled(0.1)
        .measured("%LEL", (0.0, 100.0), "limit")
        .class("slow"),
    ];
    let points = points.into_iter().map(|p| p.at("GDS-7")).collect();
    Device { unit: n, ..device(format!("gas-700{n}"), "可燃气体探测器", LINE_SOCKET, points) }
}

/// A controller for toxic gases: eight channels of three registers.
fn toxic_controller() -> Device {
    let gases = [
        ("氯气", 0.01, 10.0),
        ("氨", 0.1, 100.0),
        ("硫化氢", 0.1, 100.0),
        ("一氧化碳", 0.1, 500.0),
        ("二氧化硫", 0.01, 20.0),
        ("氯化氢", 0.01, 15.0),
        ("光气", 0.001, 1.0),
        ("氟化氢", 0.01, 10.0),
    ];
    let channel =
        |(n, (gas, scale, span)): (u16, (&str, f64, f64))| {
            let tag = format!("AT710{n}");
            vec![
                Point::new(&*tag, format!("{gas}浓度"), (Input, (n - 1) * 3, U16), living(53.0, 0.0, span * 0.06))
                    .scaled(scale)
                    .measured("ppm", (0.0, span), "gas")
                    .class("fast"),
                Point::new(format!("{tag}.DEV"), format!("{gas}探测器状态"), (Input, (n - 1) * 3 + 1, U16), |_, _| 0.0),
                Point::new(format!("{tag}.ALM"), format!("{gas}报警状态"), (Input, (n - 1) * 3 + 2, U16), |_, _| 0.0),
            ]
        };
    let points = (1..).zip(gases).flat_map(channel).map(|p| p.at("GDS-71")).collect();
    device("gas-toxic", "有毒气体报警控制器", 8, points)
}

/// Oxygen in confined spaces; the value stands as two bytes, integer and tenths (`14 09` = 20.9).
fn oxygen_controller() -> Device {
    let channel = |n: u16| {
        let tag = format!("AT720{n}");
        [
            Point::new(
                &*tag,
                format!("受限空间氧含量{n}号"),
                (Holding, (n - 1) * 2, IntTenths),
                living(31.0, 20.6, 21.1),
            )
            .measured("%VOL", (0.0, 30.0), "oxygen"),
            Point::new(
                format!("{tag}.ALM"),
                format!("氧含量{n}号报警状态"),
                (Holding, (n - 1) * 2 + 1, U16),
                |_, _| 0.0,
            ),
        ]
    };
    device("gas-oxygen", "氧气报警控制器", 9, (1..=6).flat_map(channel).collect())
}

/// The automatic transfer switch (双电源), `domain.md` A17 rule 135.
fn transfer_switch() -> Device {
    let volts = |tag: &str, name: &str, i: u16, first: bool| {
        let life = move |m: Moment, key: u64| {
            if first && m.second_source() { m.noise(key, 0.2, 1.5).abs() } else { m.swing(key, 17.0, 226.0, 233.0) }
        };
        Point::new(tag, name, (Input, i, U16), life).scaled(0.1).measured("V", (0.0, 300.0), "voltage").deadband("0.5")
    };
    let hertz = |first: bool| {
        move |m: Moment, key: u64| if first && m.second_source() { 0.0 } else { m.swing(key, 13.0, 49.96, 50.04) }
    };
    let on = |when: fn(Moment) -> bool| move |m: Moment, _| f64::from(u8::from(when(m)));
    let mut points = vec![
        volts("ATS.U1A", "一路A相电压", 0, true),
        volts("ATS.U1B", "一路B相电压", 1, true),
        volts("ATS.U1C", "一路C相电压", 2, true),
        volts("ATS.U2A", "二路A相电压", 3, false),
        volts("ATS.U2B", "二路B相电压", 4, false),
        volts("ATS.U2C", "二路C相电压", 5, false),
    ];
    points.extend([
        Point::new("ATS.F1", "一路频率", (Input, 6, U16), hertz(true)).scaled(0.01).measured(
            "Hz",
            (0.0, 65.0),
            "frequency",
        ),
        Point::new("ATS.F2", "二路频率", (Input, 7, U16), hertz(false)).scaled(0.01).measured(
            "Hz",
            (0.0, 65.0),
            "frequency",
        ),
        Point::new("ATS.POS", "开关位置（1 一路，0 分，2 二路）", (Input, 8, U16), |m: Moment, _| {
            if m.second_source() { 2.0 } else { 1.0 }
        })
        .class("fast"),
        Point::new("ATS.CNT", "转换次数", (Input, 9, U16), |m: Moment, _| 37.0 + m.transfers()),
        Point::new("ATS.UPS", "UPS剩余时间", (Input, 10, U16), |m: Moment, key| m.swing(key, 400.0, 52.0, 60.0))
            .measured("min", (0.0, 240.0), "ups"),
        Point::new("ATS.FUEL", "发电机油位", (Input, 11, U16), |m: Moment, key| m.swing(key, 900.0, 71.0, 78.0))
            .measured("%", (0.0, 100.0), "fuel")
            .class("slow"),
        Point::new("ATS.OK1", "一路可用", (Discrete, 0, Bool), on(|m| !m.second_source())),
        Point::new("ATS.OK2", "二路可用", (Discrete, 1, Bool), |_, _| 1.0),
        Point::new("ATS.AUTO", "自动位", (Discrete, 2, Bool), |_, _| 1.0),
        Point::new("ATS.FAIL", "转换失败", (Discrete, 3, Bool), |_, _| 0.0),
        Point::new("ATS.GEN", "发电机运行", (Discrete, 4, Bool), on(Moment::second_source)),
        Point::new("ATS.BAT", "UPS电池供电", (Discrete, 5, Bool), |_, _| 0.0),
    ]);
    device("ats-1", "一号变电所双电源切换", 10, points.into_iter().map(|p| p.at("ATS-1")).collect())
}

/// The weather station: what a plume model needs.
fn weather_station() -> Device {
    let points = vec![
        Point::new("WS8001", "风速", (Holding, 0, U16), living(29.0, 0.8, 6.4)).scaled(0.1).measured(
            "m/s",
            (0.0, 60.0),
            "wind",
        ),
        Point::new("WD8001", "风向", (Holding, 1, U16), living(113.0, 95.0, 240.0)).measured("°", (0.0, 360.0), "wind"),
        Point::new("TT8001", "气温", (Holding, 2, I16), living(600.0, -2.0, 9.0)).scaled(0.1).measured(
            "℃",
            (-50.0, 60.0),
            "temperature",
        ),
        Point::new("HT8001", "相对湿度", (Holding, 3, U16), living(500.0, 48.0, 83.0)).scaled(0.1).measured(
            "%",
            (0.0, 100.0),
            "humidity",
        ),
        Point::new("PT8001", "大气压", (Holding, 4, U16), living(800.0, 1_008.0, 1_021.0)).scaled(0.1).measured(
            "hPa",
            (800.0, 1_100.0),
            "pressure",
        ),
        Point::new("RT8001", "小时雨量", (Holding, 5, U16), living(200.0, 0.0, 3.2)).scaled(0.1).measured(
            "mm",
            (0.0, 200.0),
            "rain",
        ),
    ];
    device("weather-1", "气象站", 11, points.into_iter().map(|p| p.class("slow")).collect())
}

/// The tailings pond's logger (尾矿库), `domain.md` A17 rule 136.
fn tailings() -> Device {
    let float = |i: u16| (Input, 2 * i, F32);
    let shift = |(i, tag): (u16, &str)| {
        Point::new(tag, format!("坝体表面位移{}号", i + 1), float(i), |m: Moment, key| {
            4.0 + m.t * 1e-4 % 1.0 + m.noise(key, 5.0, 0.05)
        })
        .measured("mm", (-100.0, 500.0), "displacement")
    };
    let line = |(i, tag): (u16, &str)| {
        Point::new(tag, format!("浸润线{}号", i - 3), float(i), living(310.0, 11.2, 11.9)).measured(
            "m",
            (0.0, 60.0),
            "phreatic_line",
        )
    };
    let mut points: Vec<Point> = (0..).zip(["GT9001", "GT9002", "GT9003", "GT9004"]).map(shift).collect();
    points.extend((4..).zip(["ZT9001", "ZT9002", "ZT9003"]).map(line));
    points.extend([
        Point::new("DT9001", "干滩长度", float(7), living(420.0, 118.0, 126.0)).measured(
            "m",
            (0.0, 500.0),
            "dry_beach",
        ),
        Point::new("LT9001", "库水位", float(8), living(520.0, 86.1, 86.6)).measured("m", (0.0, 200.0), "level"),
        Point::new("RT9001", "库区雨量", float(9), living(230.0, 0.0, 2.8)).measured("mm", (0.0, 200.0), "rain"),
    ]);
    device("tailings-1", "尾矿库监测仪", 12, points.into_iter().map(|p| p.class("slow").at("TSF-1")).collect())
}

/// The fire pump controller (消防泵), `domain.md` A17 rule 132.
fn fire_pumps() -> Device {
    let points = vec![
        Point::new("PT8501", "消火栓末端压力", (Holding, 0, U16), living(35.0, 0.41, 0.52)).scaled(0.001).measured(
            "MPa",
            (0.0, 1.6),
            "pressure",
        ),
        Point::new("PT8502", "喷淋末端压力", (Holding, 1, U16), living(39.0, 0.36, 0.47)).scaled(0.001).measured(
            "MPa",
            (0.0, 1.6),
            "pressure",
        ),
        Point::new("LT8501", "消防水池液位", (Holding, 2, U16), living(290.0, 3.6, 3.9)).scaled(0.01).measured(
            "m",
            (0.0, 5.0),
            "level",
        ),
        Point::new("XS8501", "一号消防泵运行", (Holding, 3, Bit(0)), switching(300.0, 0.05)),
        Point::new("XS8502", "二号消防泵运行", (Holding, 3, Bit(1)), |_, _| 0.0),
        Point::new("XS8503", "稳压泵运行", (Holding, 3, Bit(2)), switching(25.0, 0.4)),
        Point::new("ZS8501", "消防泵自动位", (Holding, 3, Bit(8)), |_, _| 1.0),
        Point::new("ZS8502", "消防泵动力电源正常", (Holding, 3, Bit(9)), |_, _| 1.0),
    ];
    device("fire-pump-1", "消防泵控制器", 13, points.into_iter().map(|p| p.at("FP-1")).collect())
}
