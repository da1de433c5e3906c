//! `check --explain`: what each line of the point table was understood to mean.

use super::explain::requests;
use super::places::{notation, word};
use super::rank::{encoding_word, order_word};
use super::table::{Form, Table};
use crate::config::Config;
use crate::domain::registry::Deadband;
use crate::field::settings::{Point, Signal, Source};

/// Prints one row for each point: where it is on the wire, how its registers become a value, by which request it is read.
pub fn print(config: &Config, form: Form) {
    understood(config).print(form);
}

fn understood(config: &Config) -> Table {
    let mut rows = Table::new([
        "位号 tag",
        "设备 device",
        "线上 wire",
        "记法 notation",
        "编码 encoding",
        "字节序 order",
        "值 = 原始值 value = raw",
        "单位 unit",
        "死区 deadband",
        "轮询 class",
        "请求 request",
    ]);
    for (source, spec) in config.devices.iter().zip(&config.specs) {
        let Source::Modbus(device) = source else {
            for point in &spec.points {
                let (tag, unit) = (point.tag.to_string(), point.unit.clone());
                let (none, deadband) = (String::new, deadband(point.deadband));
                let interval = format!("{:?}", point.interval);
                rows.row([
                    tag,
                    spec.id.to_string(),
                    "OPC UA".to_owned(),
                    none(),
                    none(),
                    none(),
                    none(),
                    unit,
                    deadband,
                    interval,
                    none(),
                ]);
            }
            continue;
        };
        let requests = requests(device);
        for ((point, meaning), request) in device.points.iter().zip(&spec.points).zip(requests) {
            let class = device.classes.get(usize::from(point.class));
            let class = class.map(|c| format!("{} {:?}", c.name, c.interval)).unwrap_or_default();
            rows.row([
                meaning.tag.to_string(),
                device.id.to_string(),
                format!("{} {} unit {}", word(point.table), point.address, device.unit),
                notation(point.table, point.address),
                encoding_word(point.encoding),
                if point.encoding.width() > 1 { order_word(point.order).to_owned() } else { String::new() },
                formula(point),
                meaning.unit.clone(),
                deadband(meaning.deadband),
                class,
                request,
            ]);
        }
    }
    rows
}

fn formula(point: &Point) -> String {
    if let (Signal::Loop, Some((low, high))) = (point.signal, point.range) {
        return format!("4..20 mA → {low}..{high}");
    }
    let mut text = String::new();
    #[expect(clippy::float_cmp, reason = "exactly the default, as written in the point table")]
    if point.scale != 1.0 {
        text = format!("× {}", point.scale);
    }
    if point.offset != 0.0 {
        text.push_str(&format!(" + {}", point.offset));
    }
    text.trim_start().to_owned()
}

fn deadband(deadband: Deadband) -> String {
    match deadband {
        Deadband::Off => "off".to_owned(),
        Deadband::Absolute(by) => by.to_string(),
    }
}
