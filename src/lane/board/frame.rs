//! Frames of the boards.
//!
//! ```text
//!  DA 00 | VR 64 | PN FF FF | CMD | DL | data | CRC-16 of Modbus, low byte first; texts in GBK
//!  CMD 30  voice        01 | text
//!  CMD 6E  text, voice  save 00 | lines n | n × (line, mode 15, stay 05, times 00, colour 4, length, text, 0D or after the last 00)
//!                       | 0A | length | voice | 00
//! ```
//!
//! The frame and `30` are proved by vectors. The layout of `6E` is general knowledge of these boards: a site tries it on its
//! own one first.

use encoding_rs::GBK;

use super::super::coding::crc16;
use crate::domain::gate::hardware::Sign;

/// Most lines.
pub const LINES: usize = 4;
/// Most bytes of a line.
pub const LINE: usize = 32;
/// Most bytes of a voice.
pub const VOICE: usize = 64;
/// Red, and green for the last line: boards of two colours show the third as both.
const COLOUR: [u8; 4] = [0xFF, 0, 0, 0];

/// A frame of one command.
pub fn frame(command: u8, data: &[u8]) -> Vec<u8> {
    let data = data.get(..data.len().min(255)).unwrap_or_default();
    let mut bytes = vec![0x00, 0x64, 0xFF, 0xFF, command, u8::try_from(data.len()).unwrap_or(u8::MAX)];
    bytes.extend(data);
    let crc = crc16(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// A voice.
pub fn voice(text: &str) -> Vec<u8> {
    let mut data = vec![0x01];
    data.extend(cut(text, VOICE));
    frame(0x30, &data)
}

/// A sign: by `6E` when it has lines, by `30` when it has a voice alone. Nothing for an empty one.
pub fn sign(sign: &Sign) -> Option<Vec<u8>> {
    let lines: Vec<Vec<u8>> = sign.lines.iter().take(LINES).map(|line| cut(line, LINE)).collect();
    if lines.is_empty() {
        return (!sign.voice.is_empty()).then(|| voice(&sign.voice));
    }
    let last = lines.len() - 1;
    let mut data = vec![0x00, u8::try_from(lines.len()).unwrap_or(0)];
    for (number, line) in lines.iter().enumerate() {
        data.extend([u8::try_from(number).unwrap_or(0), 0x15, 0x05, 0x00]);
        data.extend(COLOUR);
        data.push(u8::try_from(line.len()).unwrap_or(0));
        data.extend(line);
        data.push(if number == last { 0x00 } else { 0x0D });
    }
    // Four full lines leave less room for the voice; what does not fit is not said.
    let room = 255_usize.saturating_sub(data.len() + 3);
    let spoken = cut(&sign.voice, VOICE.min(room));
    data.extend([0x0A, u8::try_from(spoken.len()).unwrap_or(0)]);
    data.extend(spoken);
    data.push(0x00);
    Some(frame(0x6E, &data))
}

/// GBK, at most `most` bytes, cut at a whole character; what GBK does not have becomes `?`.
fn cut(text: &str, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4];
    for character in text.chars().filter(|character| !character.is_control()) {
        let (coded, _, unknown) = GBK.encode(character.encode_utf8(&mut buffer));
        let coded = if unknown { b"?" } else { coded.as_ref() };
        if bytes.len() + coded.len() > most {
            break;
        }
        bytes.extend_from_slice(coded);
    }
    bytes
}

/// What a board makes of a frame: its lines and its voice; `None` for what is no frame. For the simulated board.
pub fn shown(bytes: &[u8]) -> Option<Sign> {
    let [0x00, 0x64, 0xFF, 0xFF, command, length, rest @ ..] = bytes else { return None };
    let data = rest.get(..usize::from(*length))?;
    if rest.len() != data.len() + 2 || crc16(bytes) != 0 {
        return None;
    }
    let text = |bytes: &[u8]| GBK.decode_without_bom_handling(bytes).0.into_owned();
    if *command == 0x30 {
        return data.split_first().map(|(_, voice)| Sign { lines: Vec::new(), voice: text(voice) });
    }
    let (head, mut rest) = data.split_at_checked(2)?;
    let mut sign = Sign::default();
    for _ in 0..*head.last()? {
        let length = usize::from(*rest.get(8)?);
        sign.lines.push(text(rest.get(9..9 + length)?));
        rest = rest.get(10 + length..)?;
    }
    let length = usize::from(*rest.get(1)?);
    sign.voice = text(rest.get(2..2 + length)?);
    Some(sign)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lane::coding::hex;

    /// `domain.md` B8.
    #[test]
    fn the_voices_are_the_vectors_byte_for_byte() {
        assert_eq!(hex(&voice("欢迎光临")).to_uppercase(), "0064FFFF300901BBB6D3ADB9E2C1D93258");
        assert_eq!(hex(&voice("禁止通行")).to_uppercase(), "0064FFFF300901BDFBD6B9CDA8D0D0E950");
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_at_a_whole_character() {
        assert_eq!(cut("皖R12345请通行", 9).len(), 8);
        assert_eq!(cut("一二三", 5), GBK.encode("一二").0.as_ref());
        assert_eq!(cut("a😀\u{7}b", 9), b"a?b");
        assert_eq!(sign(&Sign::default()), None);
    }

    proptest! {
        #[test]
        fn every_sign_fits_its_frame_and_comes_out_as_it_went_in(
            lines in prop::collection::vec("[皖A-Z0-9请通行禁止 ]{0,40}", 0..6), voice in "[欢迎光临a-z]{0,80}",
        ) {
            let sent = Sign { lines, voice };
            if let Some(bytes) = sign(&sent) {
                prop_assert!(bytes.len() <= 263);
                let seen = shown(&bytes).unwrap();
                prop_assert_eq!(seen.lines.len(), sent.lines.len().min(LINES));
                for (seen, sent) in seen.lines.iter().zip(&sent.lines) {
                    prop_assert!(sent.starts_with(seen.as_str()));
                }
                prop_assert!(sent.voice.starts_with(&seen.voice));
            }
        }

        #[test]
        fn whatever_the_bytes_a_board_stands(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _any = shown(&bytes);
            let _any = shown(&frame(0x6E, &bytes));
        }
    }
}
