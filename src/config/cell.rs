//! What the words of a point-table cell mean, in English and Chinese, and what follows from them.

use super::problem::{Words, Wrong, say};
use super::text::suggest;
use super::value::{choice_wanted, clip, not_allowed};
use crate::domain::registry::{Commissioning, Deadband};
use crate::field::settings::{Encoding, Table, WordOrder};

/// Largest number of decimals kept; beyond it a scale is no decimal fraction but a ratio.
const MAX_DECIMALS: u8 = 6;

/// 2^63.
const TWO_63: f64 = 9.223_372_036_854_776e18;

/// Decimals kept of a scaled float beyond those of its scale; a single has 7 digits.
const FLOAT_DECIMALS: u8 = 3;

/// What a current sent as a float is worth, in mA.
const MICROAMP: f64 = 0.001;

const TABLES: [(Table, &[&str]); 4] = [
    (Table::Coil, &["coil", "线圈"]),
    (Table::Discrete, &["discrete", "离散输入", "离散量输入"]),
    (Table::Holding, &["holding", "保持寄存器"]),
    (Table::Input, &["input", "输入寄存器"]),
];

const ENCODINGS: [(Encoding, &str); 12] = [
    (Encoding::Bool, "bool"),
    (Encoding::U16, "u16"),
    (Encoding::I16, "i16"),
    (Encoding::U32, "u32"),
    (Encoding::I32, "i32"),
    (Encoding::U64, "u64"),
    (Encoding::I64, "i64"),
    (Encoding::F32, "f32"),
    (Encoding::F64, "f64"),
    (Encoding::Bcd16, "bcd16"),
    (Encoding::Bcd32, "bcd32"),
    (Encoding::IntTenths, "int_tenths"),
];

/// What other tools call the encodings, for a better answer than "unknown".
const ALIASES: [(&str, &str); 22] = [
    ("uint16", "u16"),
    ("word", "u16"),
    ("ushort", "u16"),
    ("int16", "i16"),
    ("int", "i16"),
    ("short", "i16"),
    ("uint32", "u32"),
    ("dword", "u32"),
    ("int32", "i32"),
    ("dint", "i32"),
    ("long", "i32"),
    ("uint64", "u64"),
    ("int64", "i64"),
    ("float32", "f32"),
    ("float", "f32"),
    ("real", "f32"),
    ("浮点", "f32"),
    ("float64", "f64"),
    ("double", "f64"),
    ("lreal", "f64"),
    ("bcd", "bcd16"),
    ("bit", "bit0"),
];

const ORDERS: [(WordOrder, &str); 4] =
    [(WordOrder::Abcd, "abcd"), (WordOrder::Cdab, "cdab"), (WordOrder::Badc, "badc"), (WordOrder::Dcba, "dcba")];

const COMMISSIONING: [(Commissioning, &[&str]); 4] = [
    (Commissioning::Planned, &["planned", "规划", "未投用"]),
    (Commissioning::Commissioning, &["commissioning", "联调", "调试"]),
    (Commissioning::InService, &["in_service", "投用", "在用", "投运"]),
    (Commissioning::Stopped, &["stopped", "停用"]),
];

/// Reads a table word.
pub(super) fn table(cell: &str) -> Result<Table, Wrong> {
    let word = cell.to_lowercase();
    let found = TABLES.iter().find(|(_, names)| names.contains(&word.as_str()));
    found.map(|(table, _)| *table).ok_or_else(|| {
        let wanted = say!(
            "请写 holding（保持寄存器）、input（输入寄存器）、coil（线圈）或 discrete（离散输入）",
            "write holding, input, coil or discrete"
        );
        not_allowed(cell, wanted)
    })
}

/// Reads an encoding.
pub(super) fn encoding(cell: &str) -> Result<Encoding, Wrong> {
    let word = cell.to_lowercase();
    if let Some(bit) = word.strip_prefix("bit").and_then(|n| n.parse::<u8>().ok()).filter(|bit| *bit < 16) {
        return Ok(Encoding::Bit(bit));
    }
    let found = ENCODINGS.iter().find(|(_, name)| *name == word);
    found.map(|(encoding, _)| *encoding).ok_or_else(|| not_allowed(cell, encoding_wanted(&word)))
}

fn encoding_wanted(word: &str) -> Words {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == word).map(|(_, name)| *name);
    let meant = alias.or_else(|| suggest(word, ENCODINGS.iter().map(|(_, name)| *name)));
    let list = "bool, bit0..bit15, u16, i16, u32, i32, u64, i64, f32, f64, bcd16, bcd32, int_tenths";
    match meant {
        Some(meant) => say!("请写 {meant}（可写：{list}）", "write {meant} (known: {list})"),
        None => say!("请写以下之一：{list}", "write one of {list}"),
    }
}

/// Reads a word order.
pub(super) fn order(cell: &str) -> Result<WordOrder, Wrong> {
    let word = cell.to_lowercase();
    let found = ORDERS.iter().find(|(_, name)| *name == word);
    found.map(|(order, _)| *order).ok_or_else(|| {
        let wanted = say!(
            "请写 abcd（高字在前）、cdab（低字在前）、badc 或 dcba",
            "write abcd (high word first), cdab (low word first), badc or dcba"
        );
        not_allowed(cell, wanted)
    })
}

/// Reads a commissioning state.
pub(super) fn commissioning(cell: &str) -> Result<Commissioning, Wrong> {
    let word = cell.to_lowercase();
    let found = COMMISSIONING.iter().find(|(_, names)| names.contains(&word.as_str()));
    let words = ["in_service", "投用", "commissioning", "联调", "planned", "未投用", "stopped", "停用"];
    found.map(|(state, _)| *state).ok_or_else(|| not_allowed(cell, choice_wanted(&words)))
}

/// Reads a finite number.
pub(super) fn number(cell: &str) -> Result<f64, Wrong> {
    let number = cell.parse::<f64>().ok().filter(|n| n.is_finite());
    number.ok_or_else(|| {
        let cell = clip(cell);
        let what = say!("`{cell}` 不是有限的数", "`{cell}` is no finite number");
        Wrong::new(
            what,
            say!(
                "请写小数，例如 0.1（小数点用 `.`，不用千分位）",
                "write a decimal, e.g. 0.1 (with a point, without thousands marks)"
            ),
        )
    })
}

/// Reads a deadband: `off`, a number in the point's unit, or a percentage of the range.
pub(super) fn deadband(cell: &str, range: Option<(f64, f64)>) -> Result<Deadband, Wrong> {
    if matches!(cell.to_lowercase().as_str(), "off" | "关" | "关闭") {
        return Ok(Deadband::Off);
    }
    let wanted = || {
        say!(
            "请写 off、不小于 0 的数，或量程百分数如 1%",
            "write off, a number from 0, or a percentage of the range such as 1%"
        )
    };
    let (text, percent) = cell.strip_suffix('%').map_or((cell, false), |text| (text.trim(), true));
    let value = number(text)?;
    if value < 0.0 || (percent && value > 100.0) {
        let cell = clip(cell);
        return Err(Wrong::new(say!("死区 {cell} 超出范围", "deadband {cell} is out of bounds"), wanted()));
    }
    match (percent, range) {
        (false, _) => Ok(Deadband::Absolute(value)),
        (true, Some((low, high))) => Ok(Deadband::Absolute(short((high - low) * value / 100.0))),
        (true, None) => {
            let what =
                say!("死区 {cell} 按量程计算，但没有量程", "deadband {cell} is of the range, but there is no range");
            Err(Wrong::new(
                what,
                say!(
                    "请填量程下限和上限，或写带单位的数值",
                    "fill in range_low and range_high, or write a number in the point's unit"
                ),
            ))
        }
    }
}

/// Takes the noise of binary arithmetic off: 0.1 % of 12 is 0.012, not 0.012000000000000002.
fn short(number: f64) -> f64 {
    format!("{number:.12e}").parse().unwrap_or(number)
}

/// Returns whether the encoding yields a bit.
pub(super) fn is_bit(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::Bool | Encoding::Bit(_))
}

/// Decimals a value is rounded to. Integers: those of scale and offset, at most 6 (`int_tenths` one more, as it counts
/// tenths). Floats as they are when unscaled; else three more than scale and offset, at most 6, because the scale of a
/// float says nothing about its own decimals.
pub(super) fn decimals(encoding: Encoding, scale: f64, offset: f64) -> Option<u8> {
    let own = decimals_of(scale).max(decimals_of(offset));
    let unscaled = scale == 1.0 && offset == 0.0;
    let is_float = matches!(encoding, Encoding::F32 | Encoding::F64);
    match encoding == Encoding::IntTenths {
        true => Some((decimals_of(scale) + 1).max(own).min(MAX_DECIMALS)),
        false if is_float && unscaled => None,
        false if is_float => Some((own + FLOAT_DECIMALS).min(MAX_DECIMALS)),
        false => Some(own),
    }
}

/// Decimals of a value behind a current loop: those that tell two neighbouring raw numbers apart, at most 6.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=6")]
pub(super) fn loop_decimals(encoding: Encoding, scale: f64, (low, high): (f64, f64)) -> u8 {
    let is_float = matches!(encoding, Encoding::F32 | Encoding::F64);
    let milliamps = if is_float { MICROAMP } else { scale.abs() };
    let step = milliamps / 16.0 * (high - low);
    (-step.log10()).ceil().clamp(0.0, f64::from(MAX_DECIMALS)) as u8
}

fn decimals_of(number: f64) -> u8 {
    let text = number.to_string(); // the shortest form that reads back the same: 0.1, never 0.1000000001
    let count = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    u8::try_from(count).unwrap_or(u8::MAX).min(MAX_DECIMALS)
}

/// The numbers an encoding can express after scaling, low first; `None` for floats and bits.
pub(super) fn expressible(encoding: Encoding, scale: f64, offset: f64) -> Option<(f64, f64)> {
    let (low, high) = match encoding {
        Encoding::U16 => (0.0, 65_535.0),
        Encoding::I16 => (-32_768.0, 32_767.0),
        Encoding::U32 => (0.0, 4_294_967_295.0),
        Encoding::I32 => (-2_147_483_648.0, 2_147_483_647.0),
        Encoding::U64 => (0.0, 2.0 * TWO_63),
        Encoding::I64 => (-TWO_63, TWO_63),
        Encoding::Bcd16 => (0.0, 9999.0),
        Encoding::Bcd32 => (0.0, 99_999_999.0),
        Encoding::IntTenths => (0.0, 255.9),
        Encoding::F32 | Encoding::F64 | Encoding::Bool | Encoding::Bit(_) => return None,
    };
    let (a, b) = (low * scale + offset, high * scale + offset);
    Some((a.min(b), a.max(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_both_languages_and_any_case() {
        assert_eq!(table("保持寄存器").unwrap(), Table::Holding);
        assert_eq!(table("Input").unwrap(), Table::Input);
        assert_eq!(encoding("BIT15").unwrap(), Encoding::Bit(15));
        assert_eq!(order("CDAB").unwrap(), WordOrder::Cdab);
        assert_eq!(commissioning("停用").unwrap(), Commissioning::Stopped);
        assert!(encoding("bit16").is_err());
    }

    #[test]
    fn foreign_names_of_encodings_are_answered_with_ours() {
        assert!(encoding("Float32").unwrap_err().instead.en.starts_with("write f32 "));
        assert!(encoding("浮点").unwrap_err().instead.en.starts_with("write f32 "));
        assert!(encoding("bcd61").unwrap_err().instead.en.starts_with("write bcd16 "));
    }

    #[test]
    fn decimals_follow_scale_and_offset() {
        for (encoding, scale, offset, want) in [
            (Encoding::U16, 1.0, 0.0, Some(0)),
            (Encoding::U16, 0.1, 0.0, Some(1)),
            (Encoding::I16, 0.01, -40.0, Some(2)),
            (Encoding::I16, 1.0, -273.15, Some(2)),
            (Encoding::U16, 10.0, 0.0, Some(0)),
            (Encoding::U16, 1.0 / 3.0, 0.0, Some(6)),
            (Encoding::U16, 1e-9, 0.0, Some(6)),
            (Encoding::IntTenths, 1.0, 0.0, Some(1)),
            (Encoding::IntTenths, 0.1, 0.0, Some(2)),
            (Encoding::F32, 1.0, 0.0, None),
            (Encoding::F32, 0.1, 0.0, Some(4)),
            (Encoding::F32, 1000.0, 0.0, Some(3)),
            (Encoding::Bool, 1.0, 0.0, Some(0)),
        ] {
            assert_eq!(decimals(encoding, scale, offset), want, "{encoding:?} {scale} {offset}");
        }
    }

    #[test]
    fn decimals_behind_a_loop_tell_two_counts_apart() {
        let lel = (0.0, 100.0);
        assert_eq!(loop_decimals(Encoding::U16, 0.001, lel), 3);
        assert_eq!(loop_decimals(Encoding::U16, 16.0 / 27_648.0, lel), 3);
        assert_eq!(loop_decimals(Encoding::U16, 0.1, (0.0, 4000.0)), 0);
        assert_eq!(loop_decimals(Encoding::F32, 1.0, (0.0, 1.0)), 5);
    }

    #[test]
    fn deadbands_are_off_absolute_or_of_the_range() {
        assert_eq!(deadband("off", None).unwrap(), Deadband::Off);
        assert_eq!(deadband("0.5", None).unwrap(), Deadband::Absolute(0.5));
        assert_eq!(deadband("1%", Some((-50.0, 150.0))).unwrap(), Deadband::Absolute(2.0));
        for (cell, range) in [("-1", None), ("1%", None), ("101%", Some((0.0, 1.0))), ("NaN", None), ("%", None)] {
            assert!(deadband(cell, range).is_err(), "{cell}");
        }
    }

    #[test]
    fn an_inverted_scale_turns_the_expressible_range() {
        assert_eq!(expressible(Encoding::U16, -0.1, 10.0), Some((-6543.5, 10.0)));
        assert_eq!(expressible(Encoding::F32, 1.0, 0.0), None);
    }
}
