//! Registers to readings: encodings, orders, scale, range (`domain.md` A10 rule 90, B8).
//!
//! | encoding | scale 1, offset 0, no decimals | else |
//! |---|---|---|
//! | bool, bit | `Bool`, never scaled, no range | the same |
//! | u16, i16, u32, i32, bcd, int_tenths | `Number` | `Number`, rounded to `decimals` |
//! | u64 / i64 | `Counter` / `Integer`, all digits (`decimals` do not touch it) | `Number` |
//! | f32 | `Single`, prints in its own shortest form | `Number` |
//! | f64 | `Number` | `Number` |
//!
//! Quality `sensor`, without a value: NaN, infinity (raw or after scaling), a BCD digit above 9, tenths above 9.
//! Outside the range the quality is `over_range` or `under_range` and the value is kept. Zero has no sign.

use crate::domain::reading::{Quality, Reading, Value};

use super::super::scaling::Scaling;
use super::super::settings::{Encoding, Point, WordOrder};

/// How one point's registers become a reading; built once, used at each poll.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    encoding: Encoding,
    order: WordOrder,
    scaling: Scaling,
}

impl Decoder {
    /// Returns the decoder of a point.
    pub fn new(point: &Point) -> Self {
        let scaling = Scaling::new(point.scale, point.offset, point.decimals, point.range).of(point.signal);
        Self { encoding: point.encoding, order: point.order, scaling }
    }

    /// Reads a coil or a discrete input.
    pub fn bit(&self, bit: bool) -> Reading {
        Reading::good(Value::Bool(bit))
    }

    /// Reads the point's registers, as many as its encoding is wide. A bool in a register is true unless it is 0.
    pub fn registers(&self, words: &[u16]) -> Reading {
        match self.value(self.raw(words)) {
            Some(value) => self.scaling.judged(value),
            None => Reading::missing(Quality::Sensor),
        }
    }

    /// Puts the registers together, highest byte first.
    fn raw(&self, words: &[u16]) -> u64 {
        let swapped = matches!(self.order, WordOrder::Badc | WordOrder::Dcba);
        let low_first = matches!(self.order, WordOrder::Cdab | WordOrder::Dcba);
        let join = |high: u64, word: &u16| (high << 16) | u64::from(if swapped { word.swap_bytes() } else { *word });
        if low_first { words.iter().rev().fold(0, join) } else { words.iter().fold(0, join) }
    }

    #[expect(clippy::cast_precision_loss, reason = "a scaled 64-bit counter is a measurement of 53 bits")]
    fn value(&self, raw: u64) -> Option<Value> {
        match self.encoding {
            Encoding::Bool => Some(Value::Bool(raw != 0)),
            Encoding::Bit(n) => Some(Value::Bool(raw >> u32::from(n).min(63) & 1 == 1)),
            Encoding::U16 => self.number(f64::from(low_16(raw))),
            Encoding::I16 => self.number(f64::from(low_16(raw).cast_signed())),
            Encoding::U32 => self.number(f64::from(low_32(raw))),
            Encoding::I32 => self.number(f64::from(low_32(raw).cast_signed())),
            Encoding::U64 if self.scaling.is_identity() => Some(Value::Counter(raw)),
            Encoding::U64 => self.number(raw as f64),
            Encoding::I64 if self.scaling.is_identity() => Some(Value::Integer(raw.cast_signed())),
            Encoding::I64 => self.number(raw.cast_signed() as f64),
            Encoding::F32 => self.scaling.single(f32::from_bits(low_32(raw))),
            Encoding::F64 => self.number(f64::from_bits(raw)),
            Encoding::Bcd16 => self.number(f64::from(bcd(low_16(raw).into())?)),
            Encoding::Bcd32 => self.number(f64::from(bcd(low_32(raw))?)),
            Encoding::IntTenths => self.tenths(low_16(raw)),
        }
    }

    fn tenths(&self, raw: u16) -> Option<Value> {
        let [whole, tenths] = raw.to_be_bytes();
        // `14 09` is (20 · 10 + 9) / 10: the division of two integers gives the double nearest to 20.9.
        (tenths <= 9).then(|| (f64::from(whole) * 10.0 + f64::from(tenths)) / 10.0).and_then(|v| self.number(v))
    }

    fn number(&self, raw: f64) -> Option<Value> {
        self.scaling.number(raw)
    }
}

/// Reads up to eight binary-coded decimal digits; `None` when one is above 9.
fn bcd(raw: u32) -> Option<u32> {
    (0..8).rev().map(|digit| raw >> (digit * 4) & 0xF).try_fold(0_u32, |sum, digit| {
        let sum = sum.checked_mul(10)?.checked_add(digit)?;
        (digit <= 9).then_some(sum)
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the encoding is one register wide")]
fn low_16(raw: u64) -> u16 {
    raw as u16
}

#[expect(clippy::cast_possible_truncation, reason = "the encoding is two registers wide")]
fn low_32(raw: u64) -> u32 {
    raw as u32
}

#[cfg(test)]
mod tests {
    use super::super::super::settings::{Signal, Table, testing};
    use super::*;
    use proptest::prelude::*;

    fn point(encoding: Encoding) -> Point {
        testing::point(Table::Holding, 0, encoding)
    }

    fn read(point: &Point, words: &[u16]) -> Reading {
        Decoder::new(point).registers(words)
    }

    fn good(point: &Point, words: &[u16]) -> String {
        let reading = read(point, words);
        assert_eq!(reading.quality, Quality::Good, "{words:x?}");
        reading.value().expect("a good reading has a value").to_string()
    }

    #[test]
    fn a_float_of_123_456_reads_the_same_in_all_four_orders() {
        // domain.md B8.
        let vectors = [
            (WordOrder::Abcd, [0x42F6, 0xE979]),
            (WordOrder::Cdab, [0xE979, 0x42F6]),
            (WordOrder::Badc, [0xF642, 0x79E9]),
            (WordOrder::Dcba, [0x79E9, 0xF642]),
        ];
        for (order, words) in vectors {
            let point = Point { order, ..point(Encoding::F32) };
            assert_eq!(read(&point, &words), Reading::good(Value::Single(123.456)), "{order:?}");
            assert_eq!(good(&point, &words), "123.456");
        }
    }

    #[test]
    fn the_gas_detector_of_domain_b8_reads_25_lel_and_24_5_degrees() {
        // 01 03 10 | 00FA 0001 0001 00F5 0001 0064 00FA 01F4
        let tenths = Point { scale: 0.1, decimals: Some(1), range: Some((0.0, 100.0)), ..point(Encoding::I16) };
        assert_eq!(read(&tenths, &[0x00FA]), Reading::good(Value::Number(25.0)));
        assert_eq!(read(&tenths, &[0x00F5]), Reading::good(Value::Number(24.5)));
    }

    #[test]
    fn the_sf6_unit_of_domain_b8_reads_3048_ppm_and_20_9_percent() {
        assert_eq!(good(&point(Encoding::U16), &[0x0BE8]), "3048");
        assert_eq!(read(&point(Encoding::IntTenths), &[0x1409]), Reading::good(Value::Number(20.9)));
        let by_scale = Point { scale: 0.1, decimals: Some(1), ..point(Encoding::U16) };
        assert_eq!(read(&by_scale, &[209]), Reading::good(Value::Number(20.9)), "the same maker's other register");
    }

    #[test]
    fn a_loop_behind_a_register_has_its_faults() {
        let range = Some((0.0, 100.0));
        let micro_amps = Point { scale: 0.001, decimals: Some(2), range, signal: Signal::Loop, ..point(Encoding::U16) };
        assert_eq!(read(&micro_amps, &[12_000]), Reading::good(Value::Number(50.0)));
        assert_eq!(read(&micro_amps, &[3_500]), Reading::missing(Quality::Sensor));
        assert_eq!(read(&micro_amps, &[21_500]), Reading::missing(Quality::Sensor));
    }

    #[test]
    fn a_tenths_byte_above_nine_is_a_sensor_fault() {
        assert_eq!(read(&point(Encoding::IntTenths), &[0x140A]), Reading::missing(Quality::Sensor));
    }

    #[test]
    fn sixty_four_bits_keep_all_their_digits_unless_scaled() {
        let words = [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE];
        assert_eq!(good(&point(Encoding::U64), &words), "18446744073709551614");
        assert_eq!(good(&point(Encoding::I64), &words), "-2");
        let scaled = Point { scale: 0.001, decimals: Some(3), ..point(Encoding::U64) };
        assert_eq!(read(&scaled, &[0, 0, 0, 1234]), Reading::good(Value::Number(1.234)));
        let low_first = Point { order: WordOrder::Cdab, ..point(Encoding::U64) };
        assert_eq!(good(&low_first, &[4, 3, 2, 1]), (0x0001_0002_0003_0004_u64).to_string());
        let swapped = Point { order: WordOrder::Dcba, ..point(Encoding::U64) };
        assert_eq!(good(&swapped, &[0x0400, 0x0300, 0x0200, 0x0100]), (0x0001_0002_0003_0004_u64).to_string());
    }

    #[test]
    fn signs_and_widths_are_those_of_the_encoding() {
        assert_eq!(good(&point(Encoding::I16), &[0xFFFF]), "-1");
        assert_eq!(good(&point(Encoding::U16), &[0xFFFF]), "65535");
        assert_eq!(good(&point(Encoding::I32), &[0xFFFF, 0xFFFE]), "-2");
        assert_eq!(good(&point(Encoding::U32), &[0xFFFF, 0xFFFE]), "4294967294");
        assert_eq!(good(&point(Encoding::F64), &[0x405E, 0xDD2F, 0x1A9F, 0xBE77]), "123.456");
    }

    #[test]
    fn a_byte_swapped_register_is_swapped_back() {
        let swapped = Point { order: WordOrder::Badc, ..point(Encoding::U16) };
        assert_eq!(good(&swapped, &[0x3412]), (0x1234).to_string());
        let bit = Point { order: WordOrder::Dcba, ..point(Encoding::Bit(0)) };
        assert_eq!(good(&bit, &[0x0100]), "1");
    }

    #[test]
    fn each_bit_of_a_register_is_itself() {
        for n in 0..16 {
            assert_eq!(good(&point(Encoding::Bit(n)), &[1 << n]), "1");
            assert_eq!(good(&point(Encoding::Bit(n)), &[!(1 << n)]), "0");
        }
    }

    #[test]
    fn decimal_digits_are_digits_or_a_sensor_fault() {
        assert_eq!(good(&point(Encoding::Bcd16), &[0x1234]), "1234");
        assert_eq!(good(&point(Encoding::Bcd32), &[0x9999, 0x9999]), "99999999");
        for words in [[0x00A0], [0xF000]] {
            assert_eq!(read(&point(Encoding::Bcd16), &words), Reading::missing(Quality::Sensor));
        }
    }

    #[test]
    fn nan_infinity_and_an_overflow_by_scale_are_sensor_faults() {
        for bits in [0x7FC0_0000_u32, 0x7F80_0000, 0xFF80_0000, 0x7F80_0001] {
            let words = [u16::try_from(bits >> 16).unwrap(), u16::try_from(bits & 0xFFFF).unwrap()];
            assert_eq!(read(&point(Encoding::F32), &words), Reading::missing(Quality::Sensor), "{bits:x}");
        }
        let wild = Point { scale: 1e300, ..point(Encoding::F64) };
        assert_eq!(read(&wild, &[0x7F00, 0, 0, 0]), Reading::missing(Quality::Sensor));
    }

    #[test]
    fn beyond_its_range_a_value_is_kept_and_marked() {
        let point = Point { range: Some((-10.0, 60.0)), scale: 0.1, decimals: Some(1), ..point(Encoding::I16) };
        let with = |value, quality| Reading::new(Some(Value::Number(value)), quality);
        assert_eq!(read(&point, &[601]), with(60.1, Quality::OverRange));
        assert_eq!(read(&point, &[600]), with(60.0, Quality::Good));
        assert_eq!(read(&point, &[(-101_i16).cast_unsigned()]), with(-10.1, Quality::UnderRange));
        assert_eq!(read(&point, &[(-100_i16).cast_unsigned()]), with(-10.0, Quality::Good));
    }

    #[test]
    fn a_float_at_the_end_of_its_range_is_within_it() {
        let point = Point { range: Some((-0.1, 0.1)), ..point(Encoding::F32) };
        for value in [0.1_f32, -0.1] {
            let bits = value.to_bits().to_be_bytes();
            let words = [u16::from_be_bytes([bits[0], bits[1]]), u16::from_be_bytes([bits[2], bits[3]])];
            assert_eq!(read(&point, &words), Reading::good(Value::Single(value)));
        }
    }

    #[test]
    fn scaled_values_print_as_people_write_them() {
        let tenths = Point { scale: 0.1, decimals: Some(1), ..point(Encoding::U16) };
        assert_eq!(good(&tenths, &[234]), "23.4");
        let shifted = Point { scale: 0.01, offset: -40.0, decimals: Some(2), ..point(Encoding::U16) };
        assert_eq!(good(&shifted, &[4000]), "0", "minus zero is zero");
        assert_eq!(good(&shifted, &[3999]), "-0.01");
    }

    /// The bytes of a value, the highest first, as they stand on the wire; written without a look at the decoder.
    fn wire(bytes: &[u8], order: WordOrder) -> Vec<u16> {
        let mut words: Vec<[u8; 2]> = bytes.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
        match order {
            WordOrder::Abcd => {}
            WordOrder::Cdab => words.reverse(),
            WordOrder::Badc => words.iter_mut().for_each(|word| word.reverse()),
            WordOrder::Dcba => {
                let all: Vec<u8> = bytes.iter().rev().copied().collect();
                words = all.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
            }
        }
        words.into_iter().map(u16::from_be_bytes).collect()
    }

    /// What an instrument means by its registers.
    #[derive(Clone, Copy, Debug)]
    enum Meant {
        On(bool),
        /// A whole number, before it is scaled.
        Whole(i128),
        Tenths(i128),
        Single(f32),
        Double(f64),
    }

    /// Any value of a type, its ends not rarer than the rest together.
    fn extreme<T: Copy + std::fmt::Debug + Arbitrary + 'static>(ends: &'static [T]) -> impl Strategy<Value = T> {
        prop_oneof![any::<T>(), prop::sample::select(ends)]
    }

    fn digits(n: u32, width: usize) -> Vec<u8> {
        let digits: Vec<u8> = format!("{n:0width$}").bytes().map(|digit| digit - b'0').collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn any_value() -> impl Strategy<Value = (Encoding, Vec<u8>, Meant)> {
        let whole = |encoding, bytes: &[u8], n: i128| (encoding, bytes.to_vec(), Meant::Whole(n));
        prop_oneof![
            extreme(&[0_u16, 1, u16::MAX]).prop_map(|n| (Encoding::Bool, n.to_be_bytes().to_vec(), Meant::On(n != 0))),
            (any::<u16>(), 0_u8..16).prop_map(|(n, bit)| (
                Encoding::Bit(bit),
                n.to_be_bytes().to_vec(),
                Meant::On(n & (1 << bit) != 0)
            )),
            extreme(&[0_u16, u16::MAX]).prop_map(move |n| whole(Encoding::U16, &n.to_be_bytes(), n.into())),
            extreme(&[i16::MIN, -1, i16::MAX]).prop_map(move |n| whole(Encoding::I16, &n.to_be_bytes(), n.into())),
            extreme(&[0_u32, u32::MAX]).prop_map(move |n| whole(Encoding::U32, &n.to_be_bytes(), n.into())),
            extreme(&[i32::MIN, -1, i32::MAX]).prop_map(move |n| whole(Encoding::I32, &n.to_be_bytes(), n.into())),
            extreme(&[0_u64, u64::MAX]).prop_map(move |n| whole(Encoding::U64, &n.to_be_bytes(), n.into())),
            extreme(&[i64::MIN, -1, i64::MAX]).prop_map(move |n| whole(Encoding::I64, &n.to_be_bytes(), n.into())),
            (0_u32..=9_999).prop_map(move |n| whole(Encoding::Bcd16, &digits(n, 4), n.into())),
            prop_oneof![0_u32..=99_999_999, Just(99_999_999)].prop_map(move |n| whole(
                Encoding::Bcd32,
                &digits(n, 8),
                n.into()
            )),
            (any::<u8>(), 0_u8..=9).prop_map(|(whole, tenths)| {
                let meant = Meant::Tenths(i128::from(whole) * 10 + i128::from(tenths));
                (Encoding::IntTenths, vec![whole, tenths], meant)
            }),
            extreme(&[0_u32, 0x8000_0000, 1, 0x7F7F_FFFF, 0xFF7F_FFFF, 0x7F80_0000, 0x7FC0_0000]).prop_map(|bits| (
                Encoding::F32,
                bits.to_be_bytes().to_vec(),
                Meant::Single(f32::from_bits(bits))
            )),
            extreme(&[0_u64, 1 << 63, 1, 0x7FEF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000, 0x7FF8_0000_0000_0000])
                .prop_map(|bits| (Encoding::F64, bits.to_be_bytes().to_vec(), Meant::Double(f64::from_bits(bits)))),
        ]
    }

    /// What is to be read, where all of it is exact: `n / 10^decimals + offset` by whole numbers.
    fn scaled(n: i128, tenths: u32, decimals: u32, offset: i32) -> (i128, f64) {
        let unit = 10_i128.pow(decimals + tenths);
        let total = n + i128::from(offset) * unit;
        #[expect(clippy::cast_precision_loss, reason = "the caller looks whether it is exact")]
        (total, total as f64 / unit as f64)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn what_an_instrument_encodes_is_read_back_in_every_encoding_order_and_scale(
            (encoding, bytes, meant) in any_value(), order in 0_usize..4, decimals in 0_u32..=4, offset in -300..=300_i32,
            plain in any::<bool>(),
        ) {
            let order = [WordOrder::Abcd, WordOrder::Cdab, WordOrder::Badc, WordOrder::Dcba][order];
            let (decimals, offset) = if plain { (0, 0) } else { (decimals, offset) };
            let scale: f64 = format!("1e-{decimals}").parse().unwrap();
            let tenths = u32::from(matches!(meant, Meant::Tenths(_)));
            let rounded = (!plain).then(|| u8::try_from(decimals + tenths).unwrap());
            let point = Point { order, scale, offset: offset.into(), decimals: rounded, ..point(encoding) };
            let words = wire(&bytes, order);
            prop_assert_eq!(words.len(), usize::from(encoding.width()));
            let reading = read(&point, &words);
            let identity = decimals == 0 && offset == 0;
            let expected = match meant {
                Meant::On(on) => Some(Value::Bool(on)),
                Meant::Whole(n) if identity && encoding == Encoding::U64 => u64::try_from(n).ok().map(Value::Counter),
                Meant::Whole(n) if identity && encoding == Encoding::I64 => i64::try_from(n).ok().map(Value::Integer),
                Meant::Whole(n) | Meant::Tenths(n) => {
                    let (total, value) = scaled(n, tenths, decimals, offset);
                    if total.unsigned_abs() >= 1 << 50 {
                        // Beyond what a double holds to the last decimal.
                        let read = reading.value().map(Value::as_f64).unwrap();
                        prop_assert!((read - value).abs() <= value.abs() * 1e-14, "{} {}", read, value);
                        return Ok(());
                    }
                    Some(Value::Number(value))
                }
                Meant::Single(v) if plain => v.is_finite().then_some(Value::Single(v + 0.0)),
                Meant::Double(v) if plain => v.is_finite().then_some(Value::Number(v + 0.0)),
                Meant::Single(v) => return close(&reading, f64::from(v), decimals, offset),
                Meant::Double(v) => return close(&reading, v, decimals, offset),
            };
            prop_assert_eq!(reading, expected.map_or(Reading::missing(Quality::Sensor), Reading::good));
        }
    }

    /// A scaled float is what it says to the last decimal shown.
    fn close(reading: &Reading, raw: f64, decimals: u32, offset: i32) -> Result<(), TestCaseError> {
        let Some(value) = reading.value().map(Value::as_f64) else {
            prop_assert!(!raw.is_finite(), "{}", raw);
            return Ok(());
        };
        let step = 10_f64.powi(-i32::try_from(decimals).unwrap());
        let wanted = raw * step + f64::from(offset);
        prop_assert!((value - wanted).abs() <= step.max(wanted.abs() * 1e-9), "{} {}", value, wanted);
        Ok(())
    }

    proptest! {
        #[test]
        fn whatever_the_registers_a_value_is_finite_or_there_is_none(
            words in prop::collection::vec(any::<u16>(), 0..6), which in 0_usize..13, order in 0_usize..4,
            scale in prop_oneof![Just(1.0), any::<f64>()], offset in prop_oneof![Just(0.0), any::<f64>()],
            decimals in prop::option::of(0_u8..=255),
        ) {
            let encodings = [Encoding::Bool, Encoding::Bit(15), Encoding::Bit(255), Encoding::U16, Encoding::I16,
                Encoding::U32, Encoding::I32, Encoding::U64, Encoding::I64, Encoding::F32, Encoding::F64,
                Encoding::Bcd16, Encoding::Bcd32];
            let orders = [WordOrder::Abcd, WordOrder::Cdab, WordOrder::Badc, WordOrder::Dcba];
            let point = Point { order: orders[order], scale, offset, decimals, range: Some((0.0, 1.0)), ..point(encodings[which]) };
            let reading = read(&point, &words);
            match reading.value() {
                Some(value) => prop_assert!(value.as_f64().is_finite() && reading.quality != Quality::Sensor),
                None => prop_assert_eq!(reading.quality, Quality::Sensor),
            }
        }

        #[test]
        fn a_tenth_written_is_the_tenth_read(raw in any::<i32>()) {
            let point = Point { scale: 0.1, decimals: Some(1), ..point(Encoding::I32) };
            let words = [u16::try_from(raw.cast_unsigned() >> 16).unwrap(), u16::try_from(raw.cast_unsigned() & 0xFFFF).unwrap()];
            prop_assert_eq!(read(&point, &words), Reading::good(Value::Number(f64::from(raw) / 10.0 + 0.0)));
        }
    }
}
