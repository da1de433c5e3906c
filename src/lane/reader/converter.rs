//! What a converter hands over. Converters differ; these two layouts are the site's, as `gates.toml` documents them.
//!
//! ```text
//!  Modbus, five holding registers:  counter | bits | data 1 | data 2 | data 3
//!     the counter grows with each frame; the bits stand from the highest of data 1 on, the first on the line first
//!  TCP, lines of at most 512 bytes:
//!     W<bits>:<hexadecimal digits>     the bits from the highest of the first digit on:  W26:0D06E040
//!     Q:<text of a QR code>
//! ```

/// Registers of a reader.
pub const REGISTERS: u16 = 5;
/// Longest line.
pub const MAX_LINE: usize = 512;
/// Longest frame: 34 bits are the longest that name a card; what is longer is passed on as garbled.
const MAX_BITS: usize = 48;

/// Something that was shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Shown {
    /// A Wiegand frame, the first bit on the line first.
    Frame(Vec<bool>),
    /// Text of a QR code.
    Code(String),
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frame(bits) => write!(f, "Frame({} bits)", bits.len()),
            Self::Code(_) => f.write_str("Code"),
        }
    }
}

/// Reads the registers of a reader: the counter, and what was shown last.
pub fn registers(words: &[u16]) -> Option<(u16, Option<Shown>)> {
    let [counter, bits, data @ ..] = words else { return None };
    let bits = usize::from(*bits);
    let frame = (1..=MAX_BITS).contains(&bits).then(|| {
        let line = data.iter().flat_map(|word| (0..16).rev().map(move |bit| word >> bit & 1 == 1));
        Shown::Frame(line.take(bits).collect())
    });
    Some((*counter, frame))
}

/// Reads a line; `None`: none of these forms.
pub fn line(text: &str) -> Option<Shown> {
    let text = text.trim();
    if let Some(code) = text.strip_prefix("Q:") {
        return (!code.is_empty()).then(|| Shown::Code(code.to_owned()));
    }
    let (bits, digits) = text.strip_prefix('W')?.split_once(':')?;
    let bits: usize = bits.parse().ok().filter(|bits| (1..=MAX_BITS).contains(bits))?;
    let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let line: Vec<bool> = digits?.iter().flat_map(|digit| (0..4).rev().map(move |bit| digit >> bit & 1 == 1)).collect();
    let spare = line.len().checked_sub(bits)?;
    // What fills the last digits up is not part of the frame; more than that is another length than the one said.
    (spare < 8).then(|| Shown::Frame(line.into_iter().take(bits).collect()))
}

/// Takes lines out of a stream, however it was cut; what is longer than a line is thrown away to its end.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    overlong: bool,
}

impl Lines {
    /// Takes bytes and returns the lines that are whole now; `None` for one that is no text or too long.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Option<String>> {
        let mut found = Vec::new();
        for byte in bytes {
            if !matches!(byte, b'\r' | b'\n') {
                self.overlong |= self.buffer.len() >= MAX_LINE;
                if !self.overlong {
                    self.buffer.push(*byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.buffer);
            if std::mem::take(&mut self.overlong) {
                found.push(None);
            } else if !line.is_empty() {
                found.push(String::from_utf8(line).ok());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::gate::wiegand::{ByteOrder, Card, decode};

    fn bits(shown: Option<Shown>) -> Vec<bool> {
        match shown {
            Some(Shown::Frame(bits)) => bits,
            other => panic!("{other:?}"),
        }
    }

    /// `domain.md` B8: facility 18, card 13398 is 00001001000110100010101100.
    #[test]
    fn the_vector_comes_out_of_both_converters() {
        let expected = Card(0x0012_3456);
        let frame = bits(line("W26:091A2B00"));
        assert_eq!(decode(&frame, ByteOrder::Straight), Ok(expected));
        let (counter, shown) = registers(&[7, 26, 0x091A, 0x2B00, 0]).unwrap();
        assert_eq!((counter, decode(&bits(shown), ByteOrder::Straight)), (7, Ok(expected)));
        assert_eq!(line("Q:PG1.a.b"), Some(Shown::Code("PG1.a.b".to_owned())));
    }

    #[test]
    fn what_is_no_frame_is_none_and_nothing_of_a_number_is_printed() {
        for text in ["", "W26", "W26:091A", "W0:0", "W99:00000000", "W26:XYZ", "Q:", "W26:091A2B0000"] {
            assert_eq!(line(text), None, "{text}");
        }
        assert_eq!(registers(&[1]), None);
        assert_eq!(registers(&[1, 0, 0, 0, 0]), Some((1, None)));
        assert_eq!(format!("{:?} {:?}", line("W26:091A2B00"), line("Q:secret")), "Some(Frame(26 bits)) Some(Code)");
    }

    #[test]
    fn a_stream_is_cut_into_lines_and_never_grows() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"W26:0"), []);
        assert_eq!(lines.take(b"91A2B00\r\nQ:x\n"), [Some("W26:091A2B00".to_owned()), Some("Q:x".to_owned())]);
        assert_eq!(lines.take(&vec![b'x'; 1 << 16]), []);
        assert!(lines.buffer.len() <= MAX_LINE);
        assert_eq!(lines.take(b"\nQ:y\n"), [None, Some("Q:y".to_owned())]);
        assert_eq!(lines.take(b"\xFF\xFE\n"), [None]);
    }

    proptest! {
        #[test]
        fn whatever_the_line_it_is_read_or_none(text in ".{0,60}", words in prop::collection::vec(any::<u16>(), 0..8)) {
            let _any = line(&text);
            let _any = line(&format!("W34:{text}"));
            let _any = registers(&words);
        }
    }
}
