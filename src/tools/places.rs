//! How places are written and shown: `4x00001`, `holding 0`, ranges, units.

use std::ops::RangeInclusive;

use crate::field::settings::Table;

/// Returns the table as the point table has it.
pub fn word(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::Discrete => "discrete",
        Table::Holding => "holding",
        Table::Input => "input",
    }
}

/// Returns the notation that counts from 1: `4x00001` for holding register 0.
pub fn notation(table: Table, address: u16) -> String {
    let digit = match table {
        Table::Coil => 0,
        Table::Discrete => 1,
        Table::Input => 3,
        Table::Holding => 4,
    };
    format!("{digit}x{:05}", u32::from(address) + 1)
}

/// Reads `holding`, `input`, `coil`, `discrete`.
///
/// # Errors
///
/// What to write instead.
pub fn table(text: &str) -> Result<Table, String> {
    let all = [Table::Holding, Table::Input, Table::Coil, Table::Discrete];
    all.into_iter().find(|table| word(*table) == text).ok_or_else(|| {
        format!("`{text}`：请写 holding、input、coil 或 discrete / write holding, input, coil or discrete")
    })
}

/// Reads `7`, `0-99`.
///
/// # Errors
///
/// What to write instead.
pub fn span(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("`{text}`：请写 0-99，地址从 0 起算 / write 0-99, addresses count from 0");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse::<u16>().ok(), last.trim().parse::<u16>().ok());
    first.zip(last).filter(|(first, last)| first <= last).map(|(first, last)| first..=last).ok_or_else(wrong)
}

/// Reads `1-16,247`.
///
/// # Errors
///
/// What to write instead.
pub fn units(text: &str) -> Result<Units, String> {
    let wrong = || format!("`{text}`：请写 1-16 或 1,3,247 / write 1-16 or 1,3,247");
    let mut units = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u8>().ok(), last.trim().parse::<u8>().ok());
        let (first, last) = first.zip(last).filter(|(first, last)| first <= last).ok_or_else(wrong)?;
        units.extend(first..=last);
    }
    units.sort_unstable();
    units.dedup();
    Ok(Units(units))
}

/// Unit ids, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units(pub Vec<u8>);

/// A place that a manual names, and the value that the instrument shows there.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// As written.
    pub text: String,
    /// The table it says.
    pub table: Table,
    /// The wire address, were the number right as it is written: notation from 1, plain numbers from 0.
    pub address: u16,
    /// Whether it is in notation that counts from 1.
    pub notation: bool,
    /// The value, and how far one may be off.
    pub value: Expect,
}

/// A value that is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expect {
    /// Lowest.
    pub low: f64,
    /// Highest.
    pub high: f64,
}

/// What an instrument shows is not what it sends at the next moment: this part of the value may differ.
const DRIFT: f64 = 0.02;

/// Reads `23.4` (±2 % and the last digit shown) or `20..30`.
///
/// # Errors
///
/// What to write instead.
pub fn expect(text: &str) -> Result<Expect, String> {
    let wrong = || format!("`{text}`：请写 23.4 或 20..30 / write 23.4 or 20..30");
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    if let Some((low, high)) = text.split_once("..") {
        let both = number(low).zip(number(high)).filter(|(low, high)| low <= high);
        return both.map(|(low, high)| Expect { low, high }).ok_or_else(wrong);
    }
    let value = number(text).ok_or_else(wrong)?;
    let decimals = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    let digit = 10_f64.powi(-i32::try_from(decimals).unwrap_or(0));
    let slack = (value.abs() * DRIFT).max(digit);
    Ok(Expect { low: value - slack, high: value + slack })
}

/// Reads `40001=23.4`, `4x00001=23.4`, `holding:0=23.4`.
///
/// # Errors
///
/// What to write instead.
pub fn known(text: &str) -> Result<Known, String> {
    let wrong = || {
        format!(
            "`{text}`：请写 40001=23.4、4x00001=23.4 或 holding:0=23.4 / write 40001=23.4, 4x00001=23.4 or holding:0=23.4"
        )
    };
    let (place, value) = text.split_once('=').ok_or_else(wrong)?;
    let value = expect(value)?;
    let (table, address, notation) = match place.split_once(':') {
        Some((word, number)) => (table(word)?, number.trim().parse().map_err(|_| wrong())?, false),
        None => {
            let (table, address) = from_notation(place.trim()).ok_or_else(wrong)?;
            (table, address, true)
        }
    };
    Ok(Known { text: place.to_owned(), table, address, notation, value })
}

/// `40001`, `400001`, `4x1`: table and wire address.
pub fn from_notation(place: &str) -> Option<(Table, u16)> {
    let mut chars = place.chars();
    let table = match chars.next()? {
        '0' => Table::Coil,
        '1' => Table::Discrete,
        '3' => Table::Input,
        '4' => Table::Holding,
        _ => return None,
    };
    let rest = chars.as_str();
    let number = match rest.strip_prefix(['x', 'X']) {
        Some(number) => number,
        None if matches!(place.len(), 5 | 6) => rest,
        None => return None,
    };
    let number: u32 = number.parse().ok()?;
    Some((table, u16::try_from(number.checked_sub(1)?).ok()?))
}

/// Reads `4x00009`, `40009` or `holding:8`.
///
/// # Errors
///
/// What to write instead.
pub fn place(text: &str) -> Result<(Table, u16), String> {
    let wrong = || format!("`{text}`：请写 4x00009 或 holding:8 / write 4x00009 or holding:8");
    match text.split_once(':') {
        Some((word, number)) => Ok((table(word)?, number.trim().parse().map_err(|_| wrong())?)),
        None => from_notation(text).ok_or_else(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        assert_eq!(place("4x00009"), Ok((Table::Holding, 8)));
        assert_eq!(place("30001"), Ok((Table::Input, 0)));
        assert_eq!(place("coil:16"), Ok((Table::Coil, 16)));
        assert!(place("40000").is_err() && place("7").is_err() && place("holding:x").is_err());
        assert_eq!(units("1-3,247, 2").map(|u| u.0), Ok(vec![1, 2, 3, 247]));
        assert!(units("5-1").is_err() && units("256").is_err());
        assert_eq!(span("0-99"), Ok(0..=99));
        assert_eq!(span("7"), Ok(7..=7));
        assert!(span("9-1").is_err() && span("65536").is_err());
    }

    #[test]
    fn what_is_expected_has_the_slack_of_a_display() {
        let near = expect("23.4").unwrap();
        assert!(near.low < 23.0 && near.high > 23.8);
        assert_eq!(expect("20..30"), Ok(Expect { low: 20.0, high: 30.0 }));
        let zero = expect("0.00").unwrap();
        assert!(zero.low == -0.01 && zero.high == 0.01);
        assert!(expect("warm").is_err() && expect("3..1").is_err());
        let known = known("40001=23.4").unwrap();
        assert_eq!((known.table, known.address, known.notation), (Table::Holding, 0, true));
    }
}
