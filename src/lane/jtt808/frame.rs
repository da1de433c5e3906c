//! The envelope of JT/T 808.
//!
//! ```text
//!  7E | header | body | XOR | 7E        escape after the XOR: 7E → 7D 02, 7D → 7D 01; the XOR covers header and body
//!  header 2011/2013: id 2, props 2, phone BCD 6, serial 2, [parts 2, part 2]
//!  header 2019:      id 2, props 2, edition 1, phone BCD 10, serial 2, [parts 2, part 2]
//!  props: 0–9 length of the body, 10–12 encryption, 13 in parts, 14 the 2019 header
//! ```

/// The mark at both ends.
const FLAG: u8 = 0x7E;
/// Longest body, by the ten bits that count it.
pub const MAX_BODY: usize = 1023;
/// Longest frame between its marks: header, body and XOR, each byte escaped.
const MAX_ESCAPED: usize = 2 * (21 + MAX_BODY + 1);

/// What a message is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Message.
    pub id: u16,
    /// Encryption of the body, 0 none.
    pub encryption: u8,
    /// Edition byte of the 2019 header; `None`: the older header.
    pub edition: Option<u8>,
    /// Number of the terminal: binary-coded digits, 6 bytes, in the 2019 header 10.
    pub phone: Vec<u8>,
    /// Serial number.
    pub serial: u16,
    /// How many parts there are, and which this is, from 1.
    pub part: Option<(u16, u16)>,
}

impl Head {
    /// Returns the terminal's number in digits, without zeros before it.
    pub fn phone_digits(&self) -> String {
        let digits = super::super::coding::hex(&self.phone);
        digits.trim_start_matches('0').to_owned()
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why bytes between two marks are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// A `7D` that escapes nothing.
    #[error("a 7D that escapes nothing")]
    Escape,
    /// The XOR is wrong.
    #[error("the XOR is wrong")]
    Xor,
    /// The length is not that of the header.
    #[error("the length is not that of the header")]
    Length,
    /// Longer than a frame can be.
    #[error("longer than a frame can be")]
    TooLong,
}

/// Writes a frame with its marks; `None` when its body or phone has no place in it.
pub fn encode(frame: &Frame) -> Option<Vec<u8>> {
    let Frame { head, body } = frame;
    let digits = if head.edition.is_some() { 10 } else { 6 };
    if body.len() > MAX_BODY || head.phone.len() != digits || head.encryption > 7 {
        return None;
    }
    let props = u16::try_from(body.len()).ok()?
        | u16::from(head.encryption) << 10
        | u16::from(head.part.is_some()) << 13
        | u16::from(head.edition.is_some()) << 14;
    let mut bytes = [head.id.to_be_bytes(), props.to_be_bytes()].concat();
    bytes.extend(head.edition);
    bytes.extend(&head.phone);
    bytes.extend(head.serial.to_be_bytes());
    if let Some((parts, part)) = head.part {
        bytes.extend(parts.to_be_bytes());
        bytes.extend(part.to_be_bytes());
    }
    bytes.extend(body);
    bytes.push(xor(&bytes));
    let mut out = vec![FLAG];
    for byte in bytes {
        match byte {
            FLAG => out.extend([0x7D, 0x02]),
            0x7D => out.extend([0x7D, 0x01]),
            other => out.push(other),
        }
    }
    out.push(FLAG);
    Some(out)
}

/// Reads what stands between two marks.
///
/// # Errors
/// Why it is no frame.
pub fn decode(escaped: &[u8]) -> Result<Frame, BadFrame> {
    if escaped.len() > MAX_ESCAPED {
        return Err(BadFrame::TooLong);
    }
    let bytes = unescaped(escaped)?;
    let (check, bytes) = bytes.split_last().ok_or(BadFrame::Length)?;
    if xor(bytes) != *check {
        return Err(BadFrame::Xor);
    }
    let mut rest = Bytes(bytes);
    let (id, props) = (rest.u16()?, rest.u16()?);
    let edition = if props & 1 << 14 != 0 { Some(rest.u8()?) } else { None };
    let phone = rest.take(if edition.is_some() { 10 } else { 6 })?.to_vec();
    let serial = rest.u16()?;
    let part = if props & 1 << 13 != 0 { Some((rest.u16()?, rest.u16()?)) } else { None };
    if rest.0.len() != usize::from(props & 0x3FF) {
        return Err(BadFrame::Length);
    }
    let encryption = u8::try_from(props >> 10 & 7).unwrap_or(0);
    let head = Head { id, encryption, edition, phone, serial, part };
    Ok(Frame { head, body: rest.0.to_vec() })
}

fn unescaped(escaped: &[u8]) -> Result<Vec<u8>, BadFrame> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            0x7D => match rest.next() {
                Some(1) => 0x7D,
                Some(2) => FLAG,
                _ => return Err(BadFrame::Escape),
            },
            other => *other,
        });
    }
    Ok(bytes)
}

fn xor(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

/// Bytes that are taken from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], BadFrame> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BadFrame::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, BadFrame> {
        self.take(1).map(|bytes| bytes.first().copied().unwrap_or(0))
    }

    pub(super) fn u16(&mut self) -> Result<u16, BadFrame> {
        self.take(2).map(|bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte)))
    }

    pub(super) fn u32(&mut self) -> Result<u32, BadFrame> {
        self.take(4).map(|bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }
}

/// Finds frames in a stream, however it was cut. Bounded: what is longer than a frame can be is thrown away to the next mark.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    overlong: bool,
}

impl Splitter {
    /// Takes bytes and returns the frames that are whole now, or why they are none.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Result<Frame, BadFrame>> {
        let mut found = Vec::new();
        for byte in bytes {
            if *byte != FLAG {
                self.overlong |= self.buffer.len() >= MAX_ESCAPED;
                if !self.overlong {
                    self.buffer.push(*byte);
                }
                continue;
            }
            let escaped = std::mem::take(&mut self.buffer);
            if std::mem::take(&mut self.overlong) {
                found.push(Err(BadFrame::TooLong));
            } else if !escaped.is_empty() {
                found.push(decode(&escaped));
            }
        }
        found
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lane::coding::{hex, unhex};

    /// All of `domain.md` B4.
    pub(in crate::lane) const VECTORS: [&str; 8] = [
        "7E02000026123456789012007D02000000010000000200BA7F0E07E4F11C0028003C00001810151010100104000000640202007D01137E",
        "7E020000261234567890120001000000010000000200BA7F0E07E4F11C0028003C00001810151010100104000000640202007D016C7E",
        "7E8004400601000000001234567890120001191202101010517E",
        "7E070200620182712086250202012604091727390014C4E3BAC3000000000000000000000000000000003431363735363139393030363035343334390000180000000000000000000000000000000000000000000000002034040934313637353631393930303630353433343900007D027E",
        "7E0702404D0100000000041587677411001101260617171000000AB2E2CAD4D4B1BCD720204138383838382A2A2A2A2A2A2A2A2A2A2A2A00000D32303236303430323134303838201510203436303330303838383838383838383838383838B27E",
        "7E000200000138001380000001A97E",
        "7E80010005013800138000000200010002002F7E",
        "7E070100240138001380007D027D01000000207B2277617962696C6C223A22333430303030323032353033303130303031227D01F27E",
    ];

    pub(in crate::lane) fn vector(text: &str) -> Frame {
        let bytes = unhex(text).unwrap();
        decode(&bytes[1..bytes.len() - 1]).unwrap()
    }

    #[test]
    fn every_vector_is_read_and_written_byte_for_byte() {
        for text in VECTORS {
            assert_eq!(hex(&encode(&vector(text)).unwrap()).to_uppercase(), text);
        }
        let first = vector(VECTORS[0]);
        assert_eq!((first.head.id, first.head.serial, first.body.len()), (0x0200, 0x007E, 38));
        assert_eq!(first.head.phone_digits(), "123456789012");
        let newer = vector(VECTORS[2]);
        assert_eq!((newer.head.edition, newer.head.phone_digits().as_str()), (Some(1), "123456789012"));
        assert_eq!(vector(VECTORS[7]).head.serial, 0x7E7D);
    }

    #[test]
    fn each_kind_of_damage_has_its_name() {
        let good = unhex(VECTORS[5]).unwrap();
        let inner = &good[1..good.len() - 1];
        let mut wrong = inner.to_vec();
        wrong[5] ^= 1;
        assert_eq!(decode(&wrong), Err(BadFrame::Xor));
        assert_eq!(decode(&[0x7D, 3]), Err(BadFrame::Escape));
        assert_eq!(decode(&[0x7D]), Err(BadFrame::Escape));
        assert_eq!(decode(&[]), Err(BadFrame::Length));
        assert_eq!(decode(&[1, 1]), Err(BadFrame::Length));
        assert_eq!(decode(&vec![0; MAX_ESCAPED + 1]), Err(BadFrame::TooLong));
        // A length that claims one byte more, with a right XOR.
        let mut longer = inner[..inner.len() - 1].to_vec();
        longer[3] += 1;
        longer.push(longer.iter().fold(0, |sum, byte| sum ^ byte));
        assert_eq!(decode(&longer), Err(BadFrame::Length));
    }

    #[test]
    fn a_stream_is_split_however_it_was_cut() {
        let stream: Vec<u8> = VECTORS.iter().flat_map(|text| unhex(text).unwrap()).collect();
        for size in [1, 2, 3, 7, 64, stream.len()] {
            let mut splitter = Splitter::default();
            let found: Vec<_> = stream.chunks(size).flat_map(|chunk| splitter.take(chunk)).collect();
            assert_eq!(found.len(), VECTORS.len());
            assert!(found.iter().all(Result::is_ok));
        }
        let mut splitter = Splitter::default();
        assert_eq!(splitter.take(b"garbage"), []);
        assert_eq!(splitter.take(&vec![1; 1 << 20]), []);
        assert!(splitter.buffer.len() <= MAX_ESCAPED);
        assert_eq!(splitter.take(&[FLAG]), [Err(BadFrame::TooLong)]);
        assert_eq!(splitter.take(&unhex(VECTORS[5]).unwrap()).len(), 1);
    }

    prop_compose! {
        fn any_frame()(
            id in any::<u16>(), encryption in 0_u8..8, edition in prop::option::of(any::<u8>()),
            phone in prop::collection::vec(any::<u8>(), 10), serial in any::<u16>(),
            part in prop::option::of((any::<u16>(), any::<u16>())),
            body in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x7D), Just(0x7E)], 0..=MAX_BODY),
        ) -> Frame {
            let phone = phone[..if edition.is_some() { 10 } else { 6 }].to_vec();
            Frame { head: Head { id, encryption, edition, phone, serial, part }, body }
        }
    }

    proptest! {
        #[test]
        fn every_frame_that_is_written_is_read_as_the_same(frame in any_frame()) {
            let bytes = encode(&frame).unwrap();
            prop_assert_eq!(Splitter::default().take(&bytes), [Ok(frame)]);
        }

        #[test]
        fn whatever_the_bytes_the_reader_stands(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(frame) = decode(&bytes) {
                prop_assert_eq!(decode(&bytes), Ok(frame));
            }
            let _any = Splitter::default().take(&bytes);
        }
    }
}
