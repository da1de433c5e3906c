//! What the registers of a simulated device hold at one instant, and how a quantity is written into them. Pure.
//!
//! Written without a look at the gateway's decoder, so that the two check one another.

use crate::field::settings::{Encoding, Table, WordOrder};

/// Registers above this are refused: the simulated devices are small, and an image is copied at every step.
const MAX_ADDRESS: usize = 9_999;

/// The four tables of a device, each from address 0 on; beyond their length the device answers "illegal address".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Function 1.
    pub coils: Vec<bool>,
    /// Function 2.
    pub discretes: Vec<bool>,
    /// Function 3.
    pub holding: Vec<u16>,
    /// Function 4.
    pub input: Vec<u16>,
}

/// Where and how a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Table.
    pub table: Table,
    /// Address, base 0.
    pub address: u16,
    /// How.
    pub encoding: Encoding,
    /// Order of bytes.
    pub order: WordOrder,
    /// quantity = raw × scale + offset.
    pub scale: f64,
    /// See `scale`.
    pub offset: f64,
}

impl Image {
    /// Returns `count` bits of a bit table, or `None` beyond its end.
    pub fn bits(&self, table: Table, address: u16, count: u16) -> Option<&[bool]> {
        let bits = match table {
            Table::Coil => &self.coils,
            Table::Discrete => &self.discretes,
            Table::Holding | Table::Input => return None,
        };
        bits.get(usize::from(address)..usize::from(address) + usize::from(count))
    }

    /// Returns `count` registers of a register table, or `None` beyond its end.
    pub fn registers(&self, table: Table, address: u16, count: u16) -> Option<&[u16]> {
        let registers = match table {
            Table::Holding => &self.holding,
            Table::Input => &self.input,
            Table::Coil | Table::Discrete => return None,
        };
        registers.get(usize::from(address)..usize::from(address) + usize::from(count))
    }

    /// Writes `quantity` at `place`; the tables grow as needed. What does not fit its encoding is clamped.
    pub fn put(&mut self, place: &Place, quantity: f64) {
        let raw = (quantity - place.offset) / place.scale;
        match place.table {
            Table::Coil => put_at(&mut self.coils, usize::from(place.address), raw >= 0.5),
            Table::Discrete => put_at(&mut self.discretes, usize::from(place.address), raw >= 0.5),
            Table::Holding => put_registers(&mut self.holding, place, raw),
            Table::Input => put_registers(&mut self.input, place, raw),
        }
    }
}

fn put_registers(table: &mut Vec<u16>, place: &Place, raw: f64) {
    let address = usize::from(place.address);
    if let Encoding::Bit(n) = place.encoding {
        let mask = 1_u16.checked_shl(u32::from(n)).unwrap_or(0);
        let word = table.get(address).copied().unwrap_or(0);
        put_at(table, address, if raw >= 0.5 { word | mask } else { word & !mask });
        return;
    }
    for (i, word) in ordered(&bytes_of(place.encoding, raw), place.order).into_iter().enumerate() {
        put_at(table, address + i, word);
    }
}

fn put_at<T: Copy + Default>(table: &mut Vec<T>, address: usize, value: T) {
    if address > MAX_ADDRESS {
        return;
    }
    if table.len() <= address {
        table.resize(address + 1, T::default());
    }
    if let Some(cell) = table.get_mut(address) {
        *cell = value;
    }
}

/// The value's bytes, highest first.
#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates: clamping is what a display does")]
#[expect(clippy::cast_sign_loss, reason = "a float cast saturates: clamping is what a display does")]
fn bytes_of(encoding: Encoding, raw: f64) -> Vec<u8> {
    let whole = raw.round();
    match encoding {
        Encoding::Bool | Encoding::Bit(_) => u16::from(raw >= 0.5).to_be_bytes().to_vec(),
        Encoding::U16 => (whole as u16).to_be_bytes().to_vec(),
        Encoding::I16 => (whole as i16).to_be_bytes().to_vec(),
        Encoding::U32 => (whole as u32).to_be_bytes().to_vec(),
        Encoding::I32 => (whole as i32).to_be_bytes().to_vec(),
        Encoding::U64 => (whole as u64).to_be_bytes().to_vec(),
        Encoding::I64 => (whole as i64).to_be_bytes().to_vec(),
        Encoding::F32 => (raw as f32).to_be_bytes().to_vec(),
        Encoding::F64 => raw.to_be_bytes().to_vec(),
        Encoding::Bcd16 => bcd(whole as u32, 4),
        Encoding::Bcd32 => bcd(whole as u32, 8),
        Encoding::IntTenths => {
            let tenths = (raw * 10.0).round().clamp(0.0, 2_559.0) as u16;
            vec![(tenths / 10) as u8, (tenths % 10) as u8]
        }
    }
}

/// Binary-coded decimal of the lowest `digits` digits.
fn bcd(mut value: u32, digits: u32) -> Vec<u8> {
    let mut packed = 0_u32;
    for digit in 0..digits {
        packed |= (value % 10) << (4 * digit);
        value /= 10;
    }
    let bytes = packed.to_be_bytes();
    if digits == 4 { bytes.into_iter().skip(2).collect() } else { bytes.to_vec() }
}

/// Registers in the order in which they stand on the wire.
fn ordered(bytes: &[u8], order: WordOrder) -> Vec<u16> {
    let pair = |pair: &[u8]| [pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)];
    let words = bytes.chunks(2).map(pair);
    match order {
        WordOrder::Abcd => words.map(u16::from_be_bytes).collect(),
        WordOrder::Cdab => words.rev().map(u16::from_be_bytes).collect(),
        WordOrder::Badc => words.map(u16::from_le_bytes).collect(),
        WordOrder::Dcba => words.rev().map(u16::from_le_bytes).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(encoding: Encoding, order: WordOrder, scale: f64, quantity: f64) -> Vec<u16> {
        let mut image = Image::default();
        image.put(&Place { table: Table::Holding, address: 2, encoding, order, scale, offset: 0.0 }, quantity);
        image.holding.split_off(2)
    }

    #[test]
    fn the_four_orders_stand_as_their_names_say() {
        let words = |order| written(Encoding::U32, order, 1.0, f64::from(0xAABB_CCDD_u32));
        assert_eq!(words(WordOrder::Abcd), [0xAABB, 0xCCDD]);
        assert_eq!(words(WordOrder::Cdab), [0xCCDD, 0xAABB]);
        assert_eq!(words(WordOrder::Badc), [0xBBAA, 0xDDCC]);
        assert_eq!(words(WordOrder::Dcba), [0xDDCC, 0xBBAA]);
    }

    #[test]
    fn encodings_agree_with_the_vectors_of_the_makers() {
        // YA-K300: 25.0 %LEL as tenths; O2: 20.9 as 14 09 (`domain.md` B8).
        assert_eq!(written(Encoding::U16, WordOrder::Abcd, 0.1, 25.0), [0x00FA]);
        assert_eq!(written(Encoding::IntTenths, WordOrder::Abcd, 1.0, 20.9), [0x1409]);
        assert_eq!(written(Encoding::I16, WordOrder::Abcd, 0.1, -0.5), [0xFFFB]);
        assert_eq!(written(Encoding::F32, WordOrder::Cdab, 1.0, 1.0), [0x0000, 0x3F80]);
        assert_eq!(written(Encoding::Bcd16, WordOrder::Abcd, 1.0, 1234.0), [0x1234]);
        assert_eq!(written(Encoding::Bcd32, WordOrder::Abcd, 1.0, 12_345_678.0), [0x1234, 0x5678]);
        assert_eq!(written(Encoding::U16, WordOrder::Abcd, 1.0, -3.0), [0]);
    }

    #[test]
    fn bits_of_one_register_do_not_disturb_one_another() {
        let mut image = Image::default();
        let place = |n| Place {
            table: Table::Input,
            address: 0,
            encoding: Encoding::Bit(n),
            order: WordOrder::Abcd,
            scale: 1.0,
            offset: 0.0,
        };
        image.put(&place(0), 1.0);
        image.put(&place(15), 1.0);
        image.put(&place(0), 0.0);
        assert_eq!(image.input, [0x8000]);
        assert_eq!(image.registers(Table::Input, 0, 1), Some(&[0x8000][..]));
        assert_eq!(image.registers(Table::Input, 0, 2), None);
    }
}
