//! Which encoding and word order is it? Every possible reading of some registers, the likeliest first. Pure.
//!
//! A wrong word order gives absurd values (`42F6E979` is 123.456; as `E97942F6` it is −1.9 × 10²⁵), so most readings rule
//! themselves out. What is left is weighed:
//!
//! | sign | points |
//! |---|---|
//! | it is what was expected, `--expect` (also after a scale of 0.1, 0.01, 0.001 or 10) | decides; scale 1 before the others, up to +30 for the middle |
//! | NaN, infinity, a digit above 9 in BCD | ruled out |
//! | a float of usual size (10⁻³ to 10⁶) | +25; far off −50 |
//! | a float with few digits (123.456, not 123.45601) | +15 |
//! | several reads: moves a little / not at all / jumps wildly | +15 / 0 / −40 |
//! | a wide whole number that is only its low word, or beyond 10⁹ | −15, −30 |
//! | an unsigned number close to its top: a small negative one | −20 |
//! | the usual order ABCD, then CDAB, BADC, DCBA | 3, 2, 1, 0 |
//! | narrower before wider, plain before BCD | by points |

use crate::field::modbus::decode::Decoder;
use crate::field::settings::{Encoding, Point, Signal, Table, WordOrder};

use super::places::Expect;

/// All orders, the commonest first.
pub const ORDERS: [WordOrder; 4] = [WordOrder::Abcd, WordOrder::Cdab, WordOrder::Badc, WordOrder::Dcba];

/// All numbers that registers may hold, with points for how common they are.
const ENCODINGS: [(Encoding, i32); 11] = [
    (Encoding::F32, 6),
    (Encoding::U16, 5),
    (Encoding::I16, 5),
    (Encoding::U32, 2),
    (Encoding::I32, 2),
    (Encoding::F64, 1),
    (Encoding::IntTenths, -8),
    (Encoding::Bcd16, -8),
    (Encoding::Bcd32, -4),
    (Encoding::U64, -6),
    (Encoding::I64, -6),
];

/// Scales that makers use, with the points that they cost.
const SCALES: [(f64, i32); 5] = [(1.0, 0), (0.1, -4), (0.01, -6), (0.001, -8), (10.0, -8)];

/// One way to read the registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// How registers become a number.
    pub encoding: Encoding,
    /// In which order.
    pub order: WordOrder,
    /// Factor with which it is what was expected; 1 where nothing was.
    pub scale: f64,
    /// The value of the last read, scaled; `None` when these registers are no such number.
    pub value: Option<f64>,
    /// Whether it is what was expected.
    pub expected: bool,
    /// Points; see the module.
    pub score: i32,
}

/// Returns every way to read the registers at one place, the likeliest first. `reads` are the registers from that place
/// on, one list for each time they were read; encodings wider than they are left out.
pub fn rank(reads: &[Vec<u16>], expect: Option<Expect>) -> Vec<Candidate> {
    let wide = reads.iter().map(Vec::len).min().unwrap_or(0);
    let mut all = Vec::new();
    for (encoding, common) in ENCODINGS {
        let width = usize::from(encoding.width());
        if width > wide {
            continue;
        }
        // One register has two orders, its bytes as they are and swapped.
        let orders = ORDERS.iter().enumerate().filter(|(i, _)| width > 1 || *i == 0 || *i == 2);
        for (i, order) in orders {
            let preference = 3 - i32::try_from(i).unwrap_or(3);
            all.push(judged(reads, encoding, *order, common + preference, expect));
        }
    }
    all.sort_by_key(|c| (std::cmp::Reverse(c.expected), std::cmp::Reverse(c.score)));
    all
}

fn judged(reads: &[Vec<u16>], encoding: Encoding, order: WordOrder, base: i32, expect: Option<Expect>) -> Candidate {
    let values: Option<Vec<f64>> = reads.iter().map(|words| value_of(words, encoding, order)).collect();
    let none = Candidate { encoding, order, scale: 1.0, value: None, expected: false, score: -1_000 };
    let Some((values, last)) = values.and_then(|values| values.last().copied().map(|last| (values, last))) else {
        return none;
    };
    let score = base + size_points(encoding, last) + tidy_points(encoding, last) + movement_points(&values);
    let fitting = expect.and_then(|expect| {
        // A float comes in its unit; whole numbers carry decimals.
        let scales = SCALES.iter().take(if is_float(encoding) { 1 } else { SCALES.len() });
        let fits = |(scale, _): &&(f64, i32)| values.iter().all(|v| within(v * scale, expect));
        scales.copied().find(|scale| fits(&scale))
    });
    match fitting {
        Some((scale, cost)) => {
            let close = expect.map_or(0, |expect| closeness(last * scale, expect));
            Candidate { scale, value: Some(last * scale), expected: true, score: score + cost + close, ..none }
        }
        None => Candidate { value: Some(last), score, ..none },
    }
}

/// Returns the number that these registers are, unscaled; `None` when they are none.
pub fn value_of(words: &[u16], encoding: Encoding, order: WordOrder) -> Option<f64> {
    let point = Point {
        class: 0,
        table: Table::Holding,
        address: 0,
        encoding,
        order,
        scale: 1.0,
        offset: 0.0,
        decimals: None,
        range: None,
        signal: Signal::Value,
    };
    let words = words.get(..usize::from(encoding.width()))?;
    Decoder::new(&point).registers(words).as_f64()
}

fn within(value: f64, expect: Expect) -> bool {
    (expect.low..=expect.high).contains(&value)
}

/// Up to 30 points for the middle of what is expected: half of a float beside a zero is near it as well.
#[expect(clippy::cast_possible_truncation, reason = "0 to 30")]
fn closeness(value: f64, expect: Expect) -> i32 {
    let half = (expect.high - expect.low) / 2.0;
    let off = (value - (expect.low + half)).abs();
    if half > 0.0 { (30.0 * (1.0 - (off / half).min(1.0))).round() as i32 } else { 30 }
}

fn is_float(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::F32 | Encoding::F64)
}

fn size_points(encoding: Encoding, value: f64) -> i32 {
    let size = value.abs();
    match encoding {
        Encoding::F32 | Encoding::F64 if size == 0.0 => -2,
        Encoding::F32 | Encoding::F64 if (1e-3..=1e6).contains(&size) => 25,
        Encoding::F32 | Encoding::F64 if (1e-6..=1e9).contains(&size) => 0,
        Encoding::F32 | Encoding::F64 => -50,
        Encoding::U16 if size >= 64_536.0 => -20,
        Encoding::U32 | Encoding::I32 | Encoding::U64 | Encoding::I64 if size > 1e9 => -30,
        // Only the low word is used: more likely it is one register, and the neighbour is 0.
        Encoding::U32 | Encoding::I32 | Encoding::U64 | Encoding::I64 | Encoding::Bcd32 if size < 65_536.0 => -15,
        Encoding::U16
        | Encoding::I16
        | Encoding::U32
        | Encoding::I32
        | Encoding::U64
        | Encoding::I64
        | Encoding::Bcd16
        | Encoding::Bcd32
        | Encoding::IntTenths
        | Encoding::Bool
        | Encoding::Bit(_) => 0,
    }
}

/// A measurement with two or three decimals, stored as a float, prints short; a float made of other bytes does not.
#[expect(clippy::cast_possible_truncation, reason = "a single prints in its own shortest form")]
fn tidy_points(encoding: Encoding, value: f64) -> i32 {
    let digits = match encoding {
        Encoding::F32 => (value as f32).to_string(),
        Encoding::F64 => value.to_string(),
        Encoding::U16
        | Encoding::I16
        | Encoding::U32
        | Encoding::I32
        | Encoding::U64
        | Encoding::I64
        | Encoding::Bcd16
        | Encoding::Bcd32
        | Encoding::IntTenths
        | Encoding::Bool
        | Encoding::Bit(_) => return 0,
    };
    if value != 0.0 && digits.chars().filter(char::is_ascii_digit).count() <= 6 { 15 } else { 0 }
}

/// A process moves a little from read to read; the same bytes in a wrong order jump.
fn movement_points(values: &[f64]) -> i32 {
    let top = values.iter().fold(0.0_f64, |top, v| top.max(v.abs()));
    let steps = values.iter().zip(values.iter().skip(1)).map(|(a, b)| (a - b).abs());
    let largest = steps.fold(0.0_f64, f64::max);
    if values.len() < 2 || largest == 0.0 || top == 0.0 {
        return 0;
    }
    match largest / top {
        part if part <= 0.1 => 15,
        part if part <= 0.5 => 0,
        _ => -40,
    }
}

/// Returns the word of an encoding as the point table has it.
pub fn encoding_word(encoding: Encoding) -> String {
    match encoding {
        Encoding::Bool => "bool".to_owned(),
        Encoding::Bit(n) => format!("bit{n}"),
        Encoding::U16 => "u16".to_owned(),
        Encoding::I16 => "i16".to_owned(),
        Encoding::U32 => "u32".to_owned(),
        Encoding::I32 => "i32".to_owned(),
        Encoding::U64 => "u64".to_owned(),
        Encoding::I64 => "i64".to_owned(),
        Encoding::F32 => "f32".to_owned(),
        Encoding::F64 => "f64".to_owned(),
        Encoding::Bcd16 => "bcd16".to_owned(),
        Encoding::Bcd32 => "bcd32".to_owned(),
        Encoding::IntTenths => "int_tenths".to_owned(),
    }
}

/// Returns the word of an order as the point table has it.
pub fn order_word(order: WordOrder) -> &'static str {
    match order {
        WordOrder::Abcd => "abcd",
        WordOrder::Cdab => "cdab",
        WordOrder::Badc => "badc",
        WordOrder::Dcba => "dcba",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::places::expect;

    fn first(words: &[u16]) -> (Encoding, WordOrder) {
        let best = rank(&[words.to_vec()], None).remove(0);
        (best.encoding, best.order)
    }

    /// `domain.md` B8: 123.456 in its four orders.
    const ORDERED: [(WordOrder, [u16; 2]); 4] = [
        (WordOrder::Abcd, [0x42F6, 0xE979]),
        (WordOrder::Cdab, [0xE979, 0x42F6]),
        (WordOrder::Badc, [0xF642, 0x79E9]),
        (WordOrder::Dcba, [0x79E9, 0xF642]),
    ];

    #[test]
    fn the_word_order_of_a_float_is_found_without_knowing_its_value() {
        for (order, words) in ORDERED {
            assert_eq!(first(&words), (Encoding::F32, order), "{words:04X?}");
        }
    }

    #[test]
    fn swapped_words_of_usual_measurements_are_told_from_the_right_order() {
        // Values that instruments show: a low word of zeros, of few bits, of many.
        for value in [23.4_f32, 5.71, 0.05, 101.3, -12.5, 1234.5, 20.9, 0.6] {
            let bits = value.to_bits().to_be_bytes();
            let [high, low] = [u16::from_be_bytes([bits[0], bits[1]]), u16::from_be_bytes([bits[2], bits[3]])];
            for (order, words) in [
                (WordOrder::Abcd, [high, low]),
                (WordOrder::Cdab, [low, high]),
                (WordOrder::Badc, [high.swap_bytes(), low.swap_bytes()]),
                (WordOrder::Dcba, [low.swap_bytes(), high.swap_bytes()]),
            ] {
                let ranked = rank(&[words.to_vec()], expect(&value.to_string()).ok());
                assert_eq!((ranked[0].encoding, ranked[0].order), (Encoding::F32, order), "{value} {words:04X?}");
            }
        }
    }

    #[test]
    fn a_scaled_register_is_found_by_what_the_display_shows() {
        // YA-K300, `domain.md` B8: 250 is 25.0 %LEL.
        let ranked = rank(&[vec![250, 1]], expect("25.0").ok());
        assert_eq!((ranked[0].encoding, ranked[0].scale, ranked[0].value), (Encoding::U16, 0.1, Some(25.0)));
        // SF6/O2 unit: 14 09 is 20.9 %.
        let ranked = rank(&[vec![0x1409]], expect("20.9").ok());
        assert_eq!(ranked[0].encoding, Encoding::IntTenths);
        let ranked = rank(&[vec![0xFFFE, 0]], expect("-2").ok());
        assert_eq!((ranked[0].encoding, ranked[0].scale), (Encoding::I16, 1.0));
    }

    #[test]
    fn half_of_a_float_beside_a_zero_is_not_taken_for_the_whole() {
        let best = |words: Vec<u16>| rank(&[words], expect("123.456").ok()).remove(0);
        let (whole, half) = (best(vec![0xE979, 0x42F6]), best(vec![0x42F6, 0]));
        assert!(whole.expected && half.expected && whole.score > half.score, "{whole:?} {half:?}");
    }

    #[test]
    fn several_reads_tell_the_order_of_what_moves() {
        // 19.5, 20.5, 21.25: in the other order these are zeros and jumps.
        let reads: Vec<Vec<u16>> = [19.5_f32, 20.5, 21.25]
            .iter()
            .map(|v| v.to_bits().to_be_bytes())
            .map(|b| vec![u16::from_be_bytes([b[2], b[3]]), u16::from_be_bytes([b[0], b[1]])])
            .collect();
        let best = rank(&reads, None).remove(0);
        assert_eq!((best.encoding, best.order), (Encoding::F32, WordOrder::Cdab));
        let steady = rank(&[vec![4_000, 7], vec![4_010, 9], vec![3_995, 2]], None).remove(0);
        assert!(matches!(steady.encoding, Encoding::U16 | Encoding::I16), "{steady:?}");
    }

    #[test]
    fn what_is_no_number_comes_last_and_is_said() {
        let ranked = rank(&[vec![0x7FC0, 0x0000]], None);
        let nan = ranked.iter().find(|c| (c.encoding, c.order) == (Encoding::F32, WordOrder::Abcd)).unwrap();
        assert_eq!((nan.value, nan.score), (None, -1_000));
        assert!(ranked.last().unwrap().value.is_none());
        assert!(rank(&[], None).is_empty());
    }
}
