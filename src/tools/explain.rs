//! From registers to value, every step of it, for people. Pure.

use std::sync::Arc;

use super::places::{notation, word};
use super::rank::{encoding_word, order_word};
use crate::domain::reading::{Reading, Value};
use crate::field::modbus::decode::Decoder;
use crate::field::modbus::plan::{Limits, items, plan};
use crate::field::settings::{Device, Point, Signal};

/// Returns the steps by which the point's registers become a reading, and the reading.
pub fn steps(point: &Point, words: &[u16], unit: &str) -> (Vec<String>, Reading) {
    let reading = Decoder::new(point).registers(words);
    let plain = Point { scale: 1.0, offset: 0.0, decimals: None, range: None, signal: Signal::Value, ..point.clone() };
    let raw = Decoder::new(&plain).registers(words).value();
    let hex = words.iter().map(|w| format!("{w:04X}")).collect::<Vec<_>>().join(" ");
    let mut steps = vec![format!("寄存器 registers    {} = {hex}", place(point))];
    if words.len() > 1 {
        steps.push(format!("字节序 order        {}", order_word(point.order)));
    }
    let shown = raw.map_or_else(|| "不是这种数 / no such number".to_owned(), shown);
    steps.push(format!("编码 encoding       {} → {shown}", encoding_word(point.encoding)));
    #[expect(clippy::float_cmp, reason = "exactly the default, as written in the point table")]
    let scaled = point.scale != 1.0 || point.offset != 0.0;
    if let (true, Some(raw)) = (scaled, raw) {
        let value = raw.as_f64() * point.scale + point.offset;
        steps.push(format!("系数、偏移 scale     {shown} × {} + {} = {value}", point.scale, point.offset));
    }
    if let (Signal::Loop, Some((low, high))) = (point.signal, point.range) {
        steps.push(format!("电流环 loop         4 … 20 mA → {low} … {high} {unit}"));
    }
    if let (Some(decimals), Some(value)) = (point.decimals, reading.value()) {
        steps.push(format!("小数位 decimals     {decimals} → {}", self::shown(value)));
    }
    if let Some((low, high)) = point.range {
        steps.push(format!("量程 range          {low} … {high} {unit}"));
    }
    (steps, reading)
}

/// Returns the steps for a coil or a discrete input.
pub fn bit(point: &Point, on: bool) -> (Vec<String>, Reading) {
    (vec![format!("位 bit              {} = {}", place(point), u8::from(on))], Decoder::new(point).bit(on))
}

/// Returns `holding 0..1 (4x00001)`.
pub fn place(point: &Point) -> String {
    let last = u32::from(point.address) + u32::from(point.encoding.width()) - 1;
    let span = if last > u32::from(point.address) { format!("{}..{last}", point.address) } else { last.to_string() };
    format!("{} {span} ({})", word(point.table), notation(point.table, point.address))
}

/// Returns a value in its shortest form.
pub fn shown(value: Value) -> String {
    match value {
        Value::Number(v) => v.to_string(),
        Value::Single(v) => v.to_string(),
        Value::Integer(v) => v.to_string(),
        Value::Counter(v) => v.to_string(),
        Value::Bool(v) => u8::from(v).to_string(),
    }
}

/// Returns for each point of a device the request by which it is read: `holding 0 ×20`. The plan before anything was
/// learnt of the device.
pub fn requests(device: &Arc<Device>) -> Vec<String> {
    let mut texts = vec![String::new(); device.points.len()];
    let classes = device.classes.iter().zip(0_u8..=u8::MAX);
    for (_, class) in classes {
        let items = items(&device.points, class);
        for run in plan(&items, &Limits::of(device), |_| false, &std::collections::BTreeSet::new()) {
            let Some(members) = items.get(run) else { continue };
            let Some(first) = members.first() else { continue };
            let end = members.iter().map(|item| item.end()).max().unwrap_or_default();
            let text = format!("{} {} ×{}", word(first.table), first.address, end - u32::from(first.address));
            for ordinal in members.iter().flat_map(|item| &item.ordinals) {
                if let Some(cell) = texts.get_mut(usize::from(*ordinal)) {
                    cell.clone_from(&text);
                }
            }
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::Quality;
    use crate::field::settings::{Encoding, Table, WordOrder};

    fn point(encoding: Encoding) -> Point {
        Point {
            class: 0,
            table: Table::Holding,
            address: 2,
            encoding,
            order: WordOrder::Cdab,
            scale: 1.0,
            offset: 0.0,
            decimals: None,
            range: None,
            signal: Signal::Value,
        }
    }

    #[test]
    fn every_step_from_registers_to_value_is_named() {
        let (steps, reading) = steps(&point(Encoding::F32), &[0xE979, 0x42F6], "℃");
        assert_eq!(reading.value(), Some(Value::Single(123.456)));
        let text = steps.join("\n");
        for part in ["holding 2..3 (4x00003) = E979 42F6", "cdab", "f32 → 123.456"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let scaled = Point { scale: 0.1, decimals: Some(1), range: Some((0.0, 20.0)), ..point(Encoding::U16) };
        let (steps, reading) = super::steps(&scaled, &[234], "℃");
        assert_eq!(reading.quality, Quality::OverRange);
        let text = steps.join("\n");
        assert!(text.contains("234 × 0.1 + 0") && text.contains("23.4") && text.contains("0 … 20 ℃"), "{text}");
    }
}
