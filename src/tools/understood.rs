//! `check --explain`: what each line of the point table, and each derived point, was understood to mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::explain::requests;
use super::places::{notation, word};
use super::rank::{encoding_word, order_word};
use super::table::{Form, Table};
use crate::config::Config;
use crate::domain::derived::{Derived, Formula, Limit};
use crate::domain::id::{PointUid, Tag};
use crate::domain::registry::{Deadband, DeviceSpec, PointSpec};
use crate::field::settings::{Device, Signal, Source};

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
    let tags: BTreeMap<&PointUid, &Tag> =
        config.specs.iter().flat_map(|spec| &spec.points).map(|point| (&point.uid, &point.tag)).collect();
    for (source, spec) in config.devices.iter().zip(&config.specs) {
        match source {
            Source::Modbus(device) => polled(device, spec, &mut rows),
            Source::OpcUa(device) => {
                for (point, meaning) in device.points.iter().zip(&spec.points) {
                    let scaling = scaling(point.scale, point.offset, point.signal, point.range);
                    rows.row(unpolled(meaning, spec, "OPC UA", point.node.to_string(), scaling));
                }
            }
            Source::Derived { .. } => {
                for meaning in &spec.points {
                    let derived = meaning.instrument.as_ref().and_then(|instrument| instrument.derived.as_ref());
                    let made = derived.map(|derived| made_of(derived, &tags)).unwrap_or_default();
                    rows.row(unpolled(meaning, spec, "派生 derived", String::new(), made));
                }
            }
        }
    }
    rows
}

fn polled(device: &Arc<Device>, spec: &DeviceSpec, rows: &mut Table) {
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
            scaling(point.scale, point.offset, point.signal, point.range),
            meaning.unit.clone(),
            deadband(meaning.deadband),
            class,
            request,
        ]);
    }
}

/// A point that no request asks for.
fn unpolled(meaning: &PointSpec, spec: &DeviceSpec, wire: &str, notation: String, value: String) -> [String; 11] {
    let none = String::new;
    [
        meaning.tag.to_string(),
        spec.id.to_string(),
        wire.to_owned(),
        notation,
        none(),
        none(),
        value,
        meaning.unit.clone(),
        deadband(meaning.deadband),
        format!("{:?}", meaning.interval),
        none(),
    ]
}

/// A formula with the tags of its inputs.
fn made_of(derived: &Derived, tags: &BTreeMap<&PointUid, &Tag>) -> String {
    let of = |uid: &PointUid| tags.get(uid).map_or_else(|| uid.to_string(), |tag| tag.to_string());
    let inputs: Vec<String> = derived.inputs.iter().map(of).collect();
    let (list, first) = (inputs.join(", "), inputs.first().cloned().unwrap_or_default());
    match derived.formula {
        Formula::Sum => format!("sum({list})"),
        Formula::Mean => format!("mean({list})"),
        Formula::Min => format!("min({list})"),
        Formula::Max => format!("max({list})"),
        Formula::Difference => inputs.join(" − "),
        Formula::Ratio => inputs.join(" ÷ "),
        Formula::Rate { window, per } => format!("Δ {first} / {per:?}, {window:?}"),
        Formula::Convert { factor } => format!("{first} × {factor:.6}"),
        Formula::Vote { need, limit, bad_counts } => {
            let limit = match limit {
                Limit::Set => "≠ 0".to_owned(),
                Limit::Above(limit) => format!("≥ {limit}"),
                Limit::Below(limit) => format!("≤ {limit}"),
            };
            let bad = if bad_counts { "坏值计入 bad counts" } else { "坏值不计 bad does not count" };
            format!("{need} / {} {limit}: {list}; {bad}", inputs.len())
        }
    }
}

fn scaling(scale: f64, offset: f64, signal: Signal, range: Option<(f64, f64)>) -> String {
    if let (Signal::Loop, Some((low, high))) = (signal, range) {
        return format!("4..20 mA → {low}..{high}");
    }
    let mut text = String::new();
    #[expect(clippy::float_cmp, reason = "exactly the default, as written in the point table")]
    if scale != 1.0 {
        text = format!("× {scale}");
    }
    if offset != 0.0 {
        text.push_str(&format!(" + {offset}"));
    }
    text.trim_start().to_owned()
}

fn deadband(deadband: Deadband) -> String {
    match deadband {
        Deadband::Off => "off".to_owned(),
        Deadband::Absolute(by) => by.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_formula_is_shown_with_the_tags_it_is_made_of() {
        let (uids, tags) = (["u1", "u2", "u3"].map(PointUid::new), ["GD-1", "GD-2", "GD-3"].map(Tag::new));
        let tags: BTreeMap<&PointUid, &Tag> = uids.iter().zip(&tags).collect();
        let shown = |formula, n: usize| made_of(&Derived { formula, inputs: uids[..n].to_vec() }, &tags);
        let secs = Duration::from_secs;
        assert_eq!(shown(Formula::Sum, 3), "sum(GD-1, GD-2, GD-3)");
        assert_eq!(shown(Formula::Difference, 2), "GD-1 − GD-2");
        assert_eq!(shown(Formula::Ratio, 2), "GD-1 ÷ GD-2");
        assert_eq!(shown(Formula::Rate { window: secs(300), per: secs(3600) }, 1), "Δ GD-1 / 3600s, 300s");
        assert_eq!(shown(Formula::Convert { factor: 1.393_865 }, 1), "GD-1 × 1.393865");
        let vote = Formula::Vote { need: 2, limit: Limit::Above(25.0), bad_counts: true };
        assert_eq!(shown(vote, 3), "2 / 3 ≥ 25: GD-1, GD-2, GD-3; 坏值计入 bad counts");
        let vote = Formula::Vote { need: 1, limit: Limit::Set, bad_counts: false };
        assert_eq!(shown(vote, 1), "1 / 1 ≠ 0: GD-1; 坏值不计 bad does not count");
    }
}
