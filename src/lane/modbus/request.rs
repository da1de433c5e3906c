//! Requests and answers of Modbus as bytes: functions 1 to 6, 15, 16. An answer that is not exactly that of its request is none.

use super::super::coding::crc16;

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Modbus TCP.
    Tcp,
    /// RTU frames through a converter.
    Rtu,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Function 1, 2, 3 or 4.
    Read {
        /// The function.
        function: u8,
        /// First address, from 0.
        start: u16,
        /// Bits or registers.
        count: u16,
    },
    /// Function 5.
    WriteSingleCoil {
        /// Address.
        address: u16,
        /// On.
        on: bool,
    },
    /// Function 15.
    WriteMultipleCoils {
        /// First address.
        start: u16,
        /// At most 64.
        bits: Vec<bool>,
    },
    /// Function 6.
    WriteSingleRegister {
        /// Address.
        address: u16,
        /// Value.
        value: u16,
    },
    /// Function 16.
    WriteMultipleRegisters {
        /// First address.
        start: u16,
        /// At most 16.
        values: Vec<u16>,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of functions 1 and 2.
    Bits(Vec<bool>),
    /// Of functions 3 and 4.
    Words(Vec<u16>),
    /// Of the others: it says that it was done.
    Written,
    /// The device refuses.
    Exception(u8),
}

impl Request {
    /// Returns whether it changes something.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }

    fn function(&self) -> u8 {
        match self {
            Self::Read { function, .. } => *function,
            Self::WriteSingleCoil { .. } => 5,
            Self::WriteSingleRegister { .. } => 6,
            Self::WriteMultipleCoils { .. } => 15,
            Self::WriteMultipleRegisters { .. } => 16,
        }
    }

    /// The two words after the function.
    fn words(&self) -> [u16; 2] {
        let count = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        match self {
            Self::Read { start, count, .. } => [*start, *count],
            Self::WriteSingleCoil { address, on } => [*address, if *on { 0xFF00 } else { 0 }],
            Self::WriteSingleRegister { address, value } => [*address, *value],
            Self::WriteMultipleCoils { start, bits } => [*start, count(bits.len())],
            Self::WriteMultipleRegisters { start, values } => [*start, count(values.len())],
        }
    }

    /// The request without unit, length and check.
    pub fn pdu(&self) -> Vec<u8> {
        let mut pdu = vec![self.function()];
        pdu.extend(self.words().into_iter().flat_map(u16::to_be_bytes));
        let data = match self {
            Self::WriteMultipleCoils { bits, .. } => packed(bits),
            Self::WriteMultipleRegisters { values, .. } => values.iter().flat_map(|word| word.to_be_bytes()).collect(),
            Self::Read { .. } | Self::WriteSingleCoil { .. } | Self::WriteSingleRegister { .. } => return pdu,
        };
        pdu.push(u8::try_from(data.len()).unwrap_or(u8::MAX));
        pdu.extend(data);
        pdu
    }

    /// The request as it goes out.
    pub fn frame(&self, framing: Framing, unit: u8, transaction: u16) -> Vec<u8> {
        let pdu = self.pdu();
        match framing {
            Framing::Tcp => {
                let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX);
                let mut frame = [transaction.to_be_bytes(), [0, 0], length.to_be_bytes()].concat();
                frame.push(unit);
                frame.extend(pdu);
                frame
            }
            Framing::Rtu => {
                let mut frame = vec![unit];
                frame.extend(pdu);
                let crc = crc16(&frame);
                frame.extend(crc.to_le_bytes());
                frame
            }
        }
    }

    /// Length of the answer's PDU when it is no exception.
    fn answer_len(&self) -> usize {
        match self {
            Self::Read { function: 1 | 2, count, .. } => 2 + usize::from(*count).div_ceil(8),
            Self::Read { count, .. } => 2 + usize::from(*count) * 2,
            Self::WriteSingleCoil { .. }
            | Self::WriteSingleRegister { .. }
            | Self::WriteMultipleCoils { .. }
            | Self::WriteMultipleRegisters { .. } => 5,
        }
    }

    /// Reads an answer: `None` while it is not whole.
    ///
    /// # Errors
    /// What came instead of an answer.
    pub fn answer(&self, framing: Framing, unit: u8, transaction: u16, bytes: &[u8]) -> Result<Option<Reply>, String> {
        let head = match framing {
            Framing::Tcp => 6,
            Framing::Rtu => 0,
        };
        let Some([answers, function]) = bytes.get(head..head + 2).and_then(|two| <[u8; 2]>::try_from(two).ok()) else {
            return Ok(None);
        };
        let length = if function & 0x80 == 0 { self.answer_len() } else { 2 };
        let whole = head + 1 + length + if framing == Framing::Rtu { 2 } else { 0 };
        if bytes.len() < whole {
            return Ok(None);
        }
        let right = match framing {
            Framing::Tcp => {
                let length = u16::try_from(length + 1).unwrap_or(u16::MAX);
                bytes.get(..6) == Some(&[transaction.to_be_bytes(), [0, 0], length.to_be_bytes()].concat())
            }
            Framing::Rtu => bytes.get(..whole).is_some_and(|frame| crc16(frame) == 0),
        };
        let pdu = bytes.get(head + 1..head + 1 + length).unwrap_or_default();
        let reply = if right && answers == unit && bytes.len() == whole { self.reply(pdu) } else { None };
        reply.map(Some).ok_or_else(|| "an answer of another request, or none".to_owned())
    }

    fn reply(&self, pdu: &[u8]) -> Option<Reply> {
        let (function, rest) = pdu.split_first()?;
        if *function == self.function() | 0x80 {
            return rest.first().map(|code| Reply::Exception(*code));
        }
        if *function != self.function() {
            return None;
        }
        let Self::Read { function, count, .. } = self else {
            let echoed = self.words().into_iter().flat_map(u16::to_be_bytes).eq(rest.iter().copied());
            return echoed.then_some(Reply::Written);
        };
        let (bytes, data) = rest.split_first()?;
        if usize::from(*bytes) != data.len() {
            return None;
        }
        Some(if *function < 3 {
            let bits = data.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
            Reply::Bits(bits.take(usize::from(*count)).collect())
        } else {
            let words = data.chunks_exact(2).map(|two| two.iter().fold(0, |word, byte| word << 8 | u16::from(*byte)));
            Reply::Words(words.collect())
        })
    }
}

/// Eight bits to a byte, the first in the lowest.
fn packed(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lane::coding::{hex, unhex};

    fn rtu(request: &Request) -> String {
        hex(&request.frame(Framing::Rtu, 1, 0)).to_uppercase()
    }

    fn read(function: u8, count: u16) -> Request {
        Request::Read { function, start: 0, count }
    }

    /// `domain.md` B8.
    #[test]
    fn requests_are_the_vectors_byte_for_byte() {
        assert_eq!(rtu(&Request::WriteSingleCoil { address: 0, on: true }), "01050000FF008C3A");
        assert_eq!(rtu(&Request::WriteSingleCoil { address: 0, on: false }), "010500000000CDCA");
        let eight = vec![true, false, false, false, false, false, false, false];
        let eight = Request::WriteMultipleCoils { start: 0, bits: eight };
        let ones = Request::WriteMultipleCoils { start: 0, bits: vec![true; 8] };
        assert!(rtu(&eight) == "010F0000000801013F55" || rtu(&ones) == "010F0000000801013F55");
        assert_eq!(rtu(&read(3, 2)), "010300000002C40B");
        assert_eq!(rtu(&read(3, 8)), "010300000008440C");
        let flash = Request::WriteMultipleRegisters { start: 3, values: vec![4, 5] };
        assert_eq!(hex(&flash.frame(Framing::Tcp, 1, 7)), "00070000000b011000030002040004 0005".replace(' ', ""));
    }

    #[test]
    fn answers_are_read_from_the_vectors() {
        let answer = |request: &Request, text: &str| request.answer(Framing::Rtu, 1, 0, &unhex(text).unwrap());
        let words = answer(&read(3, 8), "01031000FA0001000100F50001006400FA01F4E21D").unwrap().unwrap();
        assert_eq!(words, Reply::Words(vec![250, 1, 1, 245, 1, 100, 250, 500]));
        assert_eq!(answer(&read(3, 2), "0103040BE81409B725"), Ok(Some(Reply::Words(vec![3048, 0x1409]))));
        assert_eq!(answer(&read(3, 2), "018302C0F1"), Ok(Some(Reply::Exception(2))));
        let on = Request::WriteSingleCoil { address: 0, on: true };
        assert_eq!(answer(&on, "01050000FF008C3A"), Ok(Some(Reply::Written)));
        assert!(answer(&on, "010500000000CDCA").is_err(), "an echo of another value");
        assert!(answer(&read(3, 2), "01031000FA0001000100F50001006400FA01F4E21D").is_err());
        assert!(answer(&read(3, 2), "0103040BE81409B726").is_err(), "a wrong CRC");
        assert_eq!(answer(&read(3, 2), "0103040BE81409B7"), Ok(None));
        assert_eq!(
            read(2, 3).answer(Framing::Tcp, 1, 9, &[0, 9, 0, 0, 0, 4, 1, 2, 1, 0b101]),
            Ok(Some(Reply::Bits(vec![true, false, true])))
        );
        assert!(read(2, 3).answer(Framing::Tcp, 1, 9, &[0, 8, 0, 0, 0, 4, 1, 2, 1, 0b101]).is_err());
        assert!(read(2, 3).answer(Framing::Tcp, 2, 9, &[0, 9, 0, 0, 0, 4, 1, 2, 1, 0b101]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_only_an_answer_is_an_answer(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..6], 0..40), rtu in any::<bool>(),
        ) {
            let framing = if rtu { Framing::Rtu } else { Framing::Tcp };
            for request in [read(2, 8), read(3, 4), Request::WriteSingleCoil { address: 0, on: true }] {
                if let Ok(Some(Reply::Written)) = request.answer(framing, 1, 0, &bytes) {
                    prop_assert_eq!(&bytes, &request.frame(framing, 1, 0));
                }
            }
        }
    }
}
