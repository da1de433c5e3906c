//! The address cell of the point table: how it counts, and in which table it is.
//!
//! Instrument lists count in two ways, and a wrong guess reads the neighbour's register. So nothing is guessed:
//!
//! | the cell | `table` cell | device's `address_notation` | means |
//! |---|---|---|---|
//! | `4x00001`, `4x1` (also `3x`, `1x`, `0x`) | empty, or the same table | any | notation, counts from 1 |
//! | `40001`, `400001` (5 or 6 digits) | empty | not `plain` | notation, counts from 1 |
//! | `40001`, `400001` | the same table | `modicon` | notation, counts from 1 |
//! | `400001` (6 digits, beyond 65535) | the same table | not given | notation: it cannot be anything else |
//! | `40001` (5 digits, begins like the table) | the same table | not given | **refused**: write `4x00001`, or say on the device which it is |
//! | any other number | given | `plain` or not given | counts from the device's `address_base` (0 or 1) |
//!
//! The first digit of the notation names the table: 0 coil, 1 discrete, 3 input, 4 holding. `0x` is the coil notation
//! here, never hexadecimal: hexadecimal numbers are refused.

use super::problem::{Wrong, say};
use super::value::clip;
use crate::field::settings::Table;

/// How the plain numbers of a device count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counting {
    /// The number of the first register or bit: 0 or 1.
    pub(super) base: u8,
    /// What a 5- or 6-digit number is; `None` refuses the doubtful ones.
    pub(super) notation: Option<Notation>,
}

/// What a 5- or 6-digit number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    /// An address like any other.
    Plain,
    /// Table digit and number from 1, as Modicon wrote it.
    Modicon,
}

/// An address on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located {
    /// In which table.
    pub(super) table: Table,
    /// Counted from 0.
    pub(super) address: u16,
    /// Something a person should look at.
    pub(super) doubt: Option<Wrong>,
}

/// Reads an address cell (already narrowed) beside the table cell's content.
pub(super) fn locate(cell: &str, table: Option<Table>, counting: Counting) -> Result<Located, Wrong> {
    if let Some((digit, number)) = prefixed(cell) {
        return notation(cell, digit, number, table);
    }
    if cell.is_empty() || !cell.bytes().all(|b| b.is_ascii_digit()) {
        return Err(no_number(cell));
    }
    let Some(table) = table else { return without_table(cell, counting) };
    match (looks_modicon(cell), counting.notation) {
        (Some((digit, number)), Some(Notation::Modicon)) => notation(cell, digit, number, Some(table)),
        (None, Some(Notation::Modicon)) => Err(not_modicon(cell)),
        (Some((digit, number)), None) if digit == table && cell.len() == 6 => {
            notation(cell, digit, number, Some(table))
        }
        (Some((digit, _)), None) if digit == table && cell.len() == 5 => Err(ambiguous(cell, table, counting)),
        (Some((digit, _)), None) if cell.len() == 5 && digit != Table::Coil => {
            let doubt = Some(other_table(cell, digit, table));
            Ok(Located { doubt, ..plain(cell, table, counting)? })
        }
        _ => plain(cell, table, counting),
    }
}

/// Returns the Chinese-and-English word of a table as the point table has it.
pub(super) fn table_word(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::Discrete => "discrete",
        Table::Holding => "holding",
        Table::Input => "input",
    }
}

fn table_digit(table: Table) -> char {
    match table {
        Table::Coil => '0',
        Table::Discrete => '1',
        Table::Input => '3',
        Table::Holding => '4',
    }
}

fn table_of(digit: char) -> Option<Table> {
    [Table::Coil, Table::Discrete, Table::Input, Table::Holding].into_iter().find(|t| table_digit(*t) == digit)
}

/// `4x00001`: the table and the digits behind the `x`.
fn prefixed(cell: &str) -> Option<(Table, &str)> {
    let (digit, number) = cell.split_once(['x', 'X'])?;
    let mut digits = digit.chars();
    let table = table_of(digits.next()?)?;
    let fits = digits.next().is_none() && matches!(number.len(), 1..=5) && number.bytes().all(|b| b.is_ascii_digit());
    fits.then_some((table, number))
}

/// `40001`, `400001`: the table and the digits behind its own.
fn looks_modicon(cell: &str) -> Option<(Table, &str)> {
    let fits = matches!(cell.len(), 5 | 6);
    let digit = cell.chars().next().filter(|_| fits)?;
    Some((table_of(digit)?, cell.get(1..)?))
}

fn notation(cell: &str, digit: Table, number: &str, table: Option<Table>) -> Result<Located, Wrong> {
    if let Some(table) = table.filter(|t| *t != digit) {
        let (is, given, digit) = (table_word(digit), table_word(table), table_digit(table));
        let what = say!(
            "`{cell}` 表示 {is}，与寄存器类型 {given} 矛盾",
            "`{cell}` means {is}, but the table cell says {given}"
        );
        let instead = say!(
            "请把寄存器类型改为 {is} 或留空，或写 {digit}x 开头的地址",
            "write {is} as the table or leave it empty, or an address with {digit}x"
        );
        return Err(Wrong::new(what, instead));
    }
    let number: u32 = number.parse().unwrap_or(u32::MAX);
    match number.checked_sub(1).map(u16::try_from) {
        Some(Ok(address)) => Ok(Located { table: digit, address, doubt: None }),
        Some(Err(_)) => Err(beyond(cell)),
        None => {
            let digit = table_digit(digit);
            let what = say!("`{cell}`：这种记法从 1 起算", "`{cell}`: this notation counts from 1");
            Err(Wrong::new(what, say!("第一个寄存器请写 {digit}x00001", "write {digit}x00001 for the first register")))
        }
    }
}

fn without_table(cell: &str, counting: Counting) -> Result<Located, Wrong> {
    let found = looks_modicon(cell).filter(|_| counting.notation != Some(Notation::Plain));
    if let Some((digit, number)) = found {
        return notation(cell, digit, number, None);
    }
    let what = say!(
        "寄存器类型为空，`{cell}` 又没有说明是哪一类",
        "the table cell is empty, and `{cell}` does not say which table"
    );
    let instead = say!(
        "请填寄存器类型，或把地址写成 4x00001、3x00001、1x00001、0x00001",
        "fill in the table, or write the address as 4x00001, 3x00001, 1x00001 or 0x00001"
    );
    Err(Wrong::new(what, instead))
}

fn plain(cell: &str, table: Table, counting: Counting) -> Result<Located, Wrong> {
    let number: u32 = cell.parse().map_err(|_| beyond(cell))?;
    let Some(address) = number.checked_sub(u32::from(counting.base)) else {
        let what = say!(
            "地址 0，而该设备从 1 起算（address_base = 1）",
            "address 0, but this device counts from 1 (address_base = 1)"
        );
        let instead = say!(
            "请写 1 起的地址，或把该设备的 address_base 改为 0",
            "write an address from 1, or set address_base = 0 on the device"
        );
        return Err(Wrong::new(what, instead));
    };
    let address = u16::try_from(address).map_err(|_| beyond(cell))?;
    Ok(Located { table, address, doubt: None })
}

fn beyond(cell: &str) -> Wrong {
    let cell = clip(cell);
    let what = say!("{cell} 超过 65535", "{cell} is beyond 65535");
    Wrong::new(
        what,
        say!("请写线上地址 0 到 65535，或 4xxxx 记法", "write a wire address 0..=65535, or 4xxxx notation"),
    )
}

fn no_number(cell: &str) -> Wrong {
    let cell = clip(cell);
    let what = say!("`{cell}` 不是地址", "`{cell}` is no address");
    let instead = say!(
        "请写十进制整数（不用十六进制、小数点、千分位），或 4x00001；取位请用编码 bit0 到 bit15",
        "write a decimal whole number (no hexadecimal, point or thousands mark), or 4x00001; for one bit use encoding bit0..bit15"
    );
    Wrong::new(what, instead)
}

fn not_modicon(cell: &str) -> Wrong {
    let what = say!(
        "`{cell}` 不是 4xxxx 记法，而该设备 address_notation = \"modicon\"",
        "`{cell}` is not in 4xxxx notation, but the device has address_notation = \"modicon\""
    );
    Wrong::new(what, say!("请写 5 或 6 位，例如 40001", "write 5 or 6 digits, e.g. 40001"))
}

fn ambiguous(cell: &str, table: Table, counting: Counting) -> Wrong {
    let (digit, word) = (table_digit(table), table_word(table));
    let number = cell.get(1..).unwrap_or_default();
    let base = counting.base;
    let what = say!(
        "`{cell}` 有两种读法：{digit}xxxx 记法，或从 {base} 起算的 {word} 地址 {cell}",
        "`{cell}` can be read in two ways: {digit}xxxx notation, or {word} address {cell} counted from {base}"
    );
    let instead = say!(
        "若是记法，请写 {digit}x0{number}，或在该设备写 address_notation = \"modicon\"；否则写 address_notation = \"plain\"",
        "if notation, write {digit}x0{number} or address_notation = \"modicon\" on the device; else address_notation = \"plain\""
    );
    Wrong::new(what, instead)
}

fn other_table(cell: &str, digit: Table, table: Table) -> Wrong {
    let (like, word) = (table_word(digit), table_word(table));
    let what = say!(
        "`{cell}` 像是 {like} 的记法，现按 {word} 的普通地址读取",
        "`{cell}` looks like the notation of {like}, but is read as a plain {word} address"
    );
    let instead = say!(
        "若确是普通地址，请在该设备写 address_notation = \"plain\"；否则改正寄存器类型",
        "if it is plain, write address_notation = \"plain\" on the device; else correct the table"
    );
    Wrong::new(what, instead)
}

#[cfg(test)]
mod tests {
    use super::Notation::{Modicon, Plain};
    use super::Table::{Coil, Discrete, Holding, Input};
    use super::*;

    fn at(cell: &str, table: Option<Table>, base: u8, notation: Option<Notation>) -> Result<(Table, u16), String> {
        locate(cell, table, Counting { base, notation }).map(|l| (l.table, l.address)).map_err(|w| w.what.en)
    }

    #[test]
    fn every_row_of_the_rules_holds() {
        for (cell, table, base, given, want) in [
            ("0", Some(Holding), 0, None, (Holding, 0)),
            ("1", Some(Holding), 1, None, (Holding, 0)),
            ("65535", Some(Input), 0, None, (Input, 65535)),
            ("65536", Some(Input), 1, None, (Input, 65535)),
            ("00012", Some(Holding), 0, None, (Holding, 12)),
            ("4x00001", None, 0, None, (Holding, 0)),
            ("4X1", Some(Holding), 1, Some(Plain), (Holding, 0)),
            ("3x10", None, 0, Some(Plain), (Input, 9)),
            ("1x00001", None, 0, None, (Discrete, 0)),
            ("0x16", Some(Coil), 0, None, (Coil, 15)),
            ("4x65536", None, 0, None, (Holding, 65535)),
            ("40001", None, 0, None, (Holding, 0)),
            ("30100", None, 1, None, (Input, 99)),
            ("10001", None, 0, Some(Modicon), (Discrete, 0)),
            ("00001", None, 0, None, (Coil, 0)),
            ("400001", None, 0, None, (Holding, 0)),
            ("465536", None, 0, None, (Holding, 65535)),
            ("40001", Some(Holding), 0, Some(Modicon), (Holding, 0)),
            ("400001", Some(Holding), 0, None, (Holding, 0)),
            ("40001", Some(Holding), 0, Some(Plain), (Holding, 40001)),
            ("40001", Some(Holding), 1, Some(Plain), (Holding, 40000)),
            ("50001", Some(Holding), 0, None, (Holding, 50001)),
            ("32000", Some(Holding), 0, None, (Holding, 32000)),
        ] {
            assert_eq!(at(cell, table, base, given), Ok(want), "{cell} {table:?} {base} {given:?}");
        }
    }

    #[test]
    fn what_can_be_misread_is_refused_with_the_reason() {
        for (cell, table, base, given, reason) in [
            ("40001", Some(Holding), 0, None, "two ways"),
            ("10005", Some(Discrete), 0, None, "two ways"),
            ("40001", Some(Input), 0, Some(Modicon), "but the table cell says input"),
            ("4x1", Some(Coil), 0, None, "but the table cell says coil"),
            ("300001", Some(Holding), 0, None, "beyond 65535"),
            ("40000", None, 0, None, "counts from 1"),
            ("12", None, 0, None, "does not say which table"),
            ("40001", None, 0, Some(Plain), "does not say which table"),
            ("12", Some(Holding), 0, Some(Modicon), "not in 4xxxx notation"),
            ("0", Some(Holding), 1, None, "counts from 1"),
            ("65536", Some(Holding), 0, None, "beyond 65535"),
            ("466000", None, 0, None, "beyond 65535"),
            ("99999999999999", Some(Holding), 0, None, "beyond 65535"),
            ("0x1F", Some(Holding), 0, None, "no address"),
            ("40001.3", None, 0, None, "no address"),
            ("-1", Some(Holding), 0, None, "no address"),
            ("", Some(Holding), 0, None, "no address"),
            ("1,000", Some(Holding), 0, None, "no address"),
        ] {
            let got = at(cell, table, base, given).unwrap_err();
            assert!(got.contains(reason), "{cell}: {got}");
        }
    }

    #[test]
    fn a_number_like_another_tables_notation_is_doubted() {
        let doubt = locate("30001", Some(Holding), Counting::default()).unwrap().doubt.unwrap();
        assert!(doubt.what.en.contains("looks like the notation of input"));
        let sure = Counting { base: 0, notation: Some(Plain) };
        assert_eq!(locate("30001", Some(Holding), sure).unwrap().doubt, None);
    }
}
