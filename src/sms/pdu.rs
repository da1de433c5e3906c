//! A text as a modem takes it in PDU mode: SMS-SUBMIT of 3GPP TS 23.040 (9.2.2.2) in hexadecimal.
//!
//! ```text
//!  00           length of the service centre's address: none, the SIM's own
//!  11 | 51      SUBMIT, validity relative | the same with a header in the user data
//!  mr           message reference
//!  0D 91 68…F0  digits, type (91 international, 81 unknown), the digits in swapped half-octets, F fills
//!  00           protocol: plain
//!  08           coding: UCS-2 (TS 23.038, 4), big endian
//!  A7           valid for 24 h: an alarm of yesterday is no alarm
//!  len, 05 00 03 ref total number, text
//! ```
//!
//! 70 characters in one, 67 in each of several (TS 23.040, 9.2.3.24.1); what lies beyond the first plane takes two and is not torn.
//! The digits' type is what modems themselves take in text mode: international with `+`, else unknown (TS 27.005, 3.1 `<toda>`).

use std::fmt::Write as _;

use crate::domain::phone::Phone;

/// Parts of one text: about 200 characters are what a person reads; each part costs money and seconds.
pub const MAX_PARTS: usize = 3;
/// Characters of a text that stands alone.
pub const ALONE: usize = 70;
/// Characters of each part of several.
pub const OF_PART: usize = 67;

/// `VP`: 12 h and 24 half hours (TS 23.040, 9.2.3.12.1).
const VALID_24_H: u8 = 167;

/// One part, ready to be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Octets of the TPDU, which `AT+CMGS` wants to know: without the service centre's address.
    pub length: usize,
    /// All of it in hexadecimal.
    pub hex: String,
}

/// Returns the parts of a text to a phone. `reference` belongs to this text: the parts are put together by it.
pub fn submit(phone: &Phone, text: &str, reference: u8) -> Vec<Part> {
    let parts = parts_of(text);
    let total = u8::try_from(parts.len()).unwrap_or(u8::MAX);
    let part = |(number, units): (u8, &Vec<u16>)| {
        let header = (total > 1).then_some([5, 0, 3, reference, total, number]);
        encoded(phone, units, reference, header)
    };
    (1..=u8::MAX).zip(&parts).map(part).collect()
}

fn encoded(phone: &Phone, units: &[u16], reference: u8, header: Option<[u8; 6]>) -> Part {
    let mut tpdu = vec![if header.is_some() { 0x51 } else { 0x11 }, reference];
    address(phone, &mut tpdu);
    tpdu.extend([0x00, 0x08, VALID_24_H]);
    let header = header.as_ref().map_or(&[] as &[u8], |header| header);
    tpdu.push(u8::try_from(header.len() + units.len() * 2).unwrap_or(u8::MAX));
    tpdu.extend(header);
    tpdu.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
    let hex = tpdu.iter().fold("00".to_owned(), |mut hex, octet| {
        let _infallible = write!(hex, "{octet:02X}");
        hex
    });
    Part { length: tpdu.len(), hex }
}

fn address(phone: &Phone, tpdu: &mut Vec<u8>) {
    let number = phone.number();
    let (kind, digits) = number.strip_prefix('+').map_or((0x81, number), |digits| (0x91, digits));
    let digits: Vec<u8> = digits.bytes().map(|digit| digit.wrapping_sub(b'0')).collect();
    tpdu.extend([u8::try_from(digits.len()).unwrap_or(u8::MAX), kind]);
    tpdu.extend(digits.chunks(2).map(|pair| match pair {
        [low, high] => (high << 4) | low,
        [low] => 0xF0 | low,
        _ => 0xFF,
    }));
}

fn parts_of(text: &str) -> Vec<Vec<u16>> {
    let whole: Vec<u16> = text.encode_utf16().collect();
    if whole.len() <= ALONE {
        return vec![whole];
    }
    let (mut parts, mut last) = (Vec::new(), Vec::new());
    for c in text.chars() {
        let mut buffer = [0; 2];
        let units = c.encode_utf16(&mut buffer);
        if last.len() + units.len() > OF_PART {
            if parts.len() + 1 == MAX_PARTS {
                cut(&mut last);
                break;
            }
            parts.push(std::mem::take(&mut last));
        }
        last.extend_from_slice(units);
    }
    parts.push(last);
    parts
}

/// Puts an ellipsis at the end, in place of the last characters where there is no room.
fn cut(part: &mut Vec<u16>) {
    while part.len() >= OF_PART {
        let tail = part.pop().is_some_and(|unit| (0xDC00..0xE000).contains(&unit));
        if tail {
            part.pop();
        }
    }
    part.push(0x2026);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(number: &str, text: &str, reference: u8) -> Vec<(usize, String)> {
        let phone = Phone::parse(number).unwrap();
        submit(&phone, text, reference).into_iter().map(|part| (part.length, part.hex)).collect()
    }

    /// What python-gsmmodem-new 0.13.0 makes of the same (`encodeSmsSubmitPdu`, valid for 24 h, no status report).
    #[test]
    fn a_text_is_what_a_strangers_encoder_makes_of_it() {
        assert_eq!(
            parts("+8613800138000", "一号罐可燃气体二级报警", 0),
            [(37, "0011000D91683108108300F00008A7164E0053F77F5053EF71C36C144F534E8C7EA762A58B66".to_owned())]
        );
        assert_eq!(
            parts("+861380013800", "1号罐 25%", 0),
            [(28, "0011000C916831081083000008A70E003153F77F500020003200350025".to_owned())]
        );
        let long = format!("{}{}", "气".repeat(67), "体".repeat(4));
        let first = format!("0051070D91683108108300F00008A78C050003070201{}", "6C14".repeat(67));
        let second = "0051070D91683108108300F00008A70E0500030702024F534F534F534F53".to_owned();
        assert_eq!(parts("+8613800138000", &long, 7), [(155, first), (29, second)]);
    }

    /// The example of 3GPP TS 23.040, 9.1.2.3: half-octets are swapped, an odd number is filled with F.
    #[test]
    fn a_number_without_a_country_is_of_unknown_type() {
        let (_, hex) = parts("13800138000", "a", 1).remove(0);
        assert!(hex.starts_with("0011010B813108108300F0"), "{hex}");
        let (_, hex) = parts("10086", "a", 1).remove(0);
        assert!(hex.starts_with("00110105810180F60008A7020061"), "{hex}");
    }

    #[test]
    fn seventy_stand_alone_and_beyond_three_parts_the_text_is_cut() {
        assert_eq!(parts("110", &"气".repeat(70), 0).len(), 1);
        assert_eq!(parts("110", &"气".repeat(71), 0).len(), 2);
        assert_eq!(parts("110", &"气".repeat(201), 0).len(), 3);
        let cut = parts("110", &"气".repeat(202), 0);
        assert_eq!(cut.len(), 3);
        assert!(cut[2].1.ends_with("6C142026") && cut[2].0 == parts("110", &"气".repeat(201), 0)[2].0);
    }

    #[test]
    fn a_character_of_two_units_is_not_torn() {
        let text = format!("{}{}", "气".repeat(66), "😀".repeat(100));
        let all = parts("110", &text, 0);
        let units = |hex: &str| -> Vec<u16> {
            let body = hex.get(hex.len() - (hex.len() - 34) / 4 * 4..).unwrap();
            body.as_bytes()
                .chunks(4)
                .map(|four| u16::from_str_radix(std::str::from_utf8(four).unwrap(), 16).unwrap())
                .collect()
        };
        let told: Vec<String> = all.iter().map(|(_, hex)| String::from_utf16(&units(hex)).unwrap()).collect();
        assert_eq!(told[0], "气".repeat(66));
        assert_eq!(told[1], "😀".repeat(33));
        assert_eq!(told[2], format!("{}…", "😀".repeat(33)));
    }
}
