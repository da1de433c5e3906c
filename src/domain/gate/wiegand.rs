//! Card numbers as readers send them (Wiegand, `domain.md` B8).
//!
//! ```text
//! 26 bits: even parity over the first 12 data bits | facility 8 | card 16 | odd parity over the last 12
//! 34 bits: even parity over the first 16 data bits | facility 16 | card 16 | odd parity over the last 16
//! ```
//! A frame with a wrong parity or of another length names no card. Some readers send the bytes of the card in reverse; that
//! is a setting of the reader ([`ByteOrder`]), found when the first card is tried.

use std::fmt;

use serde::{Deserialize, Serialize};

/// In which order a reader sends the bytes of a card's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByteOrder {
    /// The most significant first.
    #[default]
    Straight,
    /// The least significant first.
    Reversed,
}

/// A card: facility and number as one. The same card is the same value, whichever the length of the frame; a card of more
/// than 24 bits cannot be read whole with 26.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Card(pub u32);

impl Card {
    /// Returns the facility and the number as a 26-bit reader divides them.
    pub fn parts(self) -> (u32, u32) {
        (self.0 >> 16, self.0 & 0xFFFF)
    }

    /// Reads what is printed on cards: ten digits or fewer (`0001193046`), facility and number (`018,13398`), or hexadecimal
    /// digits after `0x`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            return u32::from_str_radix(hex, 16).ok().filter(|card| *card > 0).map(Self);
        }
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok()).flatten()
        };
        let card = match text.split_once([',', '，']) {
            Some((facility, card)) => {
                let (facility, card) = (number(facility)?, number(card)?);
                (facility <= 0xFFFF && card <= 0xFFFF).then_some(facility << 16 | card)?
            }
            None => number(text)?,
        };
        (card > 0).then_some(Self(card))
    }
}

impl fmt::Debug for Card {
    /// A card's number opens doors: it must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card(…{:02})", self.0 % 100)
    }
}

/// Why a frame names no card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// It has not 26 or 34 bits.
    Length(usize),
    /// The parity of its first or second half is wrong.
    Parity,
    /// All its data bits are the same: a line that hangs, no card.
    Stuck,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(n) => write!(f, "{n} bits are neither 26 nor 34"),
            Self::Parity => f.write_str("a parity bit is wrong"),
            Self::Stuck => f.write_str("all bits are the same"),
        }
    }
}

/// Takes the card out of a frame, the first bit on the line first.
///
/// # Errors
/// Why it names none.
pub fn decode(frame: &[bool], order: ByteOrder) -> Result<Card, FrameError> {
    let [even, data @ .., odd] = frame else { return Err(FrameError::Length(frame.len())) };
    if !matches!(frame.len(), 26 | 34) {
        return Err(FrameError::Length(frame.len()));
    }
    let (first, second) = data.split_at(data.len() / 2);
    if parity(first) != *even || parity(second) == *odd {
        return Err(FrameError::Parity);
    }
    if data.iter().all(|bit| *bit) || data.iter().all(|bit| !*bit) {
        return Err(FrameError::Stuck);
    }
    let value = data.iter().fold(0_u32, |value, bit| value << 1 | u32::from(*bit));
    Ok(Card(ordered(value, data.len(), order)))
}

/// Returns the frame in which a reader of `bits` (26 or 34) sends a card; `None` when it has no room for it.
pub fn encode(card: Card, bits: usize, order: ByteOrder) -> Option<Vec<bool>> {
    let n = bits.checked_sub(2).filter(|n| matches!(n, 24 | 32))?;
    if n == 24 && card.0 >> 24 != 0 {
        return None;
    }
    let value = ordered(card.0, n, order);
    let data: Vec<bool> = (0..n).rev().map(|i| value >> i & 1 == 1).collect();
    let (first, second) = data.split_at(n / 2);
    let (even, odd) = (parity(first), !parity(second));
    Some(std::iter::once(even).chain(data).chain([odd]).collect())
}

/// True for an odd number of ones: the bit that makes it even.
fn parity(bits: &[bool]) -> bool {
    bits.iter().filter(|bit| **bit).count() % 2 == 1
}

fn ordered(value: u32, bits: usize, order: ByteOrder) -> u32 {
    match (order, bits) {
        (ByteOrder::Straight, _) => value,
        (ByteOrder::Reversed, 24) => value.swap_bytes() >> 8,
        (ByteOrder::Reversed, _) => value.swap_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(text: &str) -> Vec<bool> {
        text.chars().map(|c| c == '1').collect()
    }

    #[test]
    fn the_frames_of_the_manual_are_read_and_made() {
        let of_24 = bits(&format!("1{:024b}0", 0xD41B81));
        let of_32 = bits(&format!("1{:032b}1", 0x89D4_1B81_u32));
        let cases = [
            (of_24, Card(0xD4_1B81)),
            (bits("00001001000110100010101100"), Card(0x12_3456)),
            (of_32, Card(0x89D4_1B81)),
        ];
        for (frame, card) in cases {
            assert_eq!(decode(&frame, ByteOrder::Straight), Ok(card));
            assert_eq!(encode(card, frame.len(), ByteOrder::Straight), Some(frame));
        }
        assert_eq!(Card(0x12_3456).parts(), (18, 13398));
    }

    #[test]
    fn every_single_flipped_bit_is_refused() {
        for n in [26, 34] {
            let good = encode(Card(0x12_3456), n, ByteOrder::Straight).unwrap();
            for at in 0..n {
                let mut bad = good.clone();
                bad[at] = !bad[at];
                assert_eq!(decode(&bad, ByteOrder::Straight), Err(FrameError::Parity), "bit {at} of {n}");
            }
        }
    }

    #[test]
    fn a_reader_that_sends_the_bytes_in_reverse_names_the_same_card() {
        let card = Card(0x12_3456);
        for n in [26, 34] {
            let frame = encode(card, n, ByteOrder::Reversed).unwrap();
            assert_ne!(decode(&frame, ByteOrder::Straight), Ok(card));
            assert_eq!(decode(&frame, ByteOrder::Reversed), Ok(card));
        }
    }

    #[test]
    fn a_hanging_line_and_a_torn_frame_name_no_card() {
        assert_eq!(decode(&bits(&format!("0{}1", "0".repeat(24))), ByteOrder::Straight), Err(FrameError::Stuck));
        assert_eq!(decode(&[true; 25], ByteOrder::Straight), Err(FrameError::Length(25)));
        assert_eq!(decode(&[], ByteOrder::Straight), Err(FrameError::Length(0)));
        assert_eq!(encode(Card(0x0100_0000), 26, ByteOrder::Straight), None);
    }

    #[test]
    fn a_card_is_the_same_however_its_number_is_printed() {
        for text in ["0001193046", "018,13398", "0x123456", " 18，13398 "] {
            assert_eq!(Card::parse(text), Some(Card(0x12_3456)), "{text}");
        }
        for text in ["", "0", "+5", "18,99999", "99999999999", "0x", "A12"] {
            assert_eq!(Card::parse(text), None, "{text}");
        }
        assert!(!format!("{:?}", Card(0x12_3456)).contains("1193046"));
    }
}
