//! What bytes on the wire mean: function, address, count, whether the CRC is right. Pure; reads only what it can be sure of.

use crate::field::modbus::rtu::crc16;
use crate::field::modbus::words_of;
use crate::field::settings::Table;

/// A Modbus frame without its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdu {
    /// Unit id.
    pub unit: u8,
    /// Function and what follows.
    pub bytes: Vec<u8>,
    /// Transaction of Modbus TCP; `None` on a bus, where the CRC was right.
    pub transaction: Option<u16>,
}

/// Takes the envelope off: address and CRC, or MBAP. `None` when it is neither. The CRC goes first: a short request on a bus
/// can look like MBAP, the other way round it is chance (1 in 65,536).
pub fn unwrap(bytes: &[u8]) -> Option<Pdu> {
    on_a_bus(bytes).or_else(|| over_tcp(bytes))
}

fn on_a_bus(bytes: &[u8]) -> Option<Pdu> {
    let (body, crc) = bytes.split_last_chunk::<2>()?;
    let (unit, pdu) = body.split_first()?;
    let sealed = crc16(body) == u16::from_le_bytes(*crc) && !pdu.is_empty();
    sealed.then(|| Pdu { unit: *unit, bytes: pdu.to_vec(), transaction: None })
}

fn over_tcp(bytes: &[u8]) -> Option<Pdu> {
    let (head, pdu) = bytes.split_first_chunk::<7>()?;
    let [t0, t1, p0, p1, l0, l1, unit] = *head;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let whole = [p0, p1] == [0, 0] && length == pdu.len() + 1 && !pdu.is_empty();
    whole.then(|| Pdu { unit, bytes: pdu.to_vec(), transaction: Some(u16::from_be_bytes([t0, t1])) })
}

/// What a request asks for: table, first address, count.
pub fn asked(pdu: &Pdu) -> Option<(Table, u16, u16)> {
    let &[function, a, b, c, d] = pdu.bytes.as_slice() else { return None };
    Some((table_of(function)?, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// The registers of an answer.
pub fn registers(pdu: &Pdu) -> Option<Vec<u16>> {
    let (function, rest) = pdu.bytes.split_first()?;
    let (length, data) = rest.split_first()?;
    let fits = matches!(function, 3 | 4) && usize::from(*length) == data.len() && data.len().is_multiple_of(2);
    fits.then(|| data.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
}

/// The bits of an answer, rounded up to whole bytes.
pub fn bits(pdu: &Pdu) -> Option<Vec<bool>> {
    let (function, rest) = pdu.bytes.split_first()?;
    let (length, data) = rest.split_first()?;
    let fits = matches!(function, 1 | 2) && usize::from(*length) == data.len();
    fits.then(|| data.iter().flat_map(|byte| (0..8).map(move |n| byte >> n & 1 == 1)).collect())
}

fn table_of(function: u8) -> Option<Table> {
    match function {
        1 => Some(Table::Coil),
        2 => Some(Table::Discrete),
        3 => Some(Table::Holding),
        4 => Some(Table::Input),
        _ => None,
    }
}

/// Returns what the bytes mean, in a few words.
pub fn meaning(bytes: &[u8], out: bool) -> String {
    let Some(pdu) = unwrap(bytes) else {
        let crc =
            if bytes.len() >= 4 { "CRC 不对或帧不全 / wrong CRC or no whole frame" } else { "片段 / a piece" };
        return format!("{} B, {crc}", bytes.len());
    };
    let head = match pdu.transaction {
        Some(transaction) => format!("tid {transaction} unit {}", pdu.unit),
        None => format!("unit {} CRC ok", pdu.unit),
    };
    let Some((function, rest)) = pdu.bytes.split_first() else { return head };
    if function & 0x80 != 0 {
        let code = rest.first().copied().unwrap_or(0);
        return format!("{head} 异常 exception to {:02X}: {}", function & 0x7F, words_of(code));
    }
    let word = table_of(*function).map_or("?", super::places::word);
    if let (true, Some((table, start, count))) = (out, asked(&pdu)) {
        let notation = super::places::notation(table, start);
        return format!("{head} {function:02X} {word} {start} ({notation}) ×{count}");
    }
    format!("{head} {function:02X} {word} {} B", rest.first().copied().unwrap_or(0))
}

/// Returns bytes in hexadecimal, apart.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

/// Reads what [`hex`] wrote.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_both_kinds_are_read() {
        // `domain.md` B8.
        let request = from_hex("01 03 00 00 00 02 C4 0B").unwrap();
        assert_eq!(meaning(&request, true), "unit 1 CRC ok 03 holding 0 (4x00001) ×2");
        let answer = from_hex("01 03 04 0B E8 14 09 B7 25").unwrap();
        assert_eq!(registers(&unwrap(&answer).unwrap()), Some(vec![3048, 0x1409]));
        let exception = from_hex("01 83 02 C0 F1").unwrap();
        assert!(meaning(&exception, false).contains("illegal data address (02)"));
        let damaged = from_hex("01 83 02 C0 F2").unwrap();
        assert!(meaning(&damaged, false).contains("wrong CRC"));
        let tcp = from_hex("00 07 00 00 00 06 03 04 00 0A 00 01").unwrap();
        assert_eq!(meaning(&tcp, true), "tid 7 unit 3 04 input 10 (3x00011) ×1");
    }

    #[test]
    fn pieces_and_garbage_are_no_frames() {
        for length in 0..12 {
            assert!(unwrap(&vec![0x5A; length]).is_none());
        }
        assert_eq!(from_hex(&hex(&[0, 255])), Some(vec![0, 255]));
    }
}
