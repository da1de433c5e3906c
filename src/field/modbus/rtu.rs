//! RTU framing: requests to bytes, and answers out of whatever came. Pure.
//!
//! ```text
//!  request:  unit(1) function(1) address(2) count(2)  CRC(2, low byte first)
//!  answer:   unit(1) function(1) bytes(1) data        CRC(2)      or  unit, function + 0x80, code, CRC(2)
//! ```
//!
//! **Why not tokio-modbus' client.** It takes the first frame that has any good CRC and the function asked for: a late answer
//! becomes, without an error, the answer to the next request (`crates.md` §4: 20 wrong of 60). It cannot say that a
//! whole frame of another slave went by, that noise came, or that half an answer is all there will be; it waits. Here a
//! frame is an answer only when unit, function, byte count and CRC are those of the request; it is looked for at every
//! offset, so noise before it costs nothing; whole frames of others are told apart from noise, because they mean that
//! somebody is late.
//!
//! No rule about silence within a frame is applied to what is received: USB adapters and serial servers hand bytes over in
//! lumps of their own making.

use super::super::settings::Table;
use super::Answer;
use super::class::Ask;
use super::function_of;

/// Characters of a request.
pub const REQUEST_LEN: usize = 8;
/// Characters of the longest frame; what is kept of the bytes that came is bounded by twice that.
pub const MAX_FRAME: usize = 256;
/// Unit, function, byte count or code, CRC.
const OVERHEAD: usize = 5;

/// Returns the CRC of RTU (polynomial 0xA001, start 0xFFFF); it is sent low byte first.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
    })
}

/// Returns a frame's bytes with the CRC behind them.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend(crc16(body).to_le_bytes());
    frame
}

/// Returns the request.
pub fn request(unit: u8, ask: Ask) -> Vec<u8> {
    let ([a, b], [c, d]) = (ask.start.to_be_bytes(), ask.count.to_be_bytes());
    sealed(&[unit, function_of(ask.table), a, b, c, d])
}

/// Returns the bytes of data in the answer.
fn data_len(ask: Ask) -> usize {
    let count = usize::from(ask.count);
    if ask.table.is_bits() { count.div_ceil(8) } else { count * 2 }
}

/// Returns the characters of the answer.
pub fn answer_len(ask: Ask) -> usize {
    OVERHEAD + data_len(ask)
}

/// What stands in the bytes that have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The answer.
    Answer(Answer),
    /// Its beginning, or what may be it.
    Begun,
    /// Nothing of it.
    Nothing,
}

/// All that tells answers of one slave from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// Values.
    Values {
        /// Function code.
        function: u8,
        /// Bytes of data.
        bytes: u8,
    },
    /// An exception: the same for whatever was asked.
    Exception {
        /// Function code, without the mark of the exception.
        function: u8,
    },
}

impl Shape {
    /// Returns the function asked for.
    pub fn function(self) -> u8 {
        match self {
            Self::Values { function, .. } | Self::Exception { function } => function,
        }
    }
}

/// Returns the shape of the values asked for.
pub fn shape_of(ask: Ask) -> Shape {
    Shape::Values { function: function_of(ask.table), bytes: u8::try_from(data_len(ask)).unwrap_or(u8::MAX) }
}

/// A whole frame that was not the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Whose.
    pub unit: u8,
    /// What it would have answered.
    pub shape: Shape,
}

/// What is left when nothing more is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Whole frames that were not the answer, in the order in which they came.
    pub strays: Vec<Stray>,
    /// Bytes that were part of no frame.
    pub noise: usize,
    /// Whether the answer had come, damaged or in half: its head stands there.
    pub damaged: bool,
}

/// The bytes that came after a request, and what was made of them.
#[derive(Debug)]
pub struct Receiver {
    unit: u8,
    ask: Ask,
    echo: Vec<u8>,
    exceptions: bool,
    buffer: Vec<u8>,
    strays: Vec<Stray>,
    noise: usize,
}

impl Receiver {
    /// Returns a receiver of the answer to `ask` from `unit`. Without `exceptions`, an exception may be the late answer to
    /// something else, and is none ([`super::owed`]).
    pub fn new(unit: u8, ask: Ask, exceptions: bool) -> Self {
        let echo = request(unit, ask);
        Self { unit, ask, echo, exceptions, buffer: Vec::new(), strays: Vec::new(), noise: 0 }
    }

    /// Takes bytes and looks for the answer.
    pub fn take(&mut self, bytes: &[u8]) -> Found {
        self.buffer.extend(bytes);
        let found = self.look();
        self.forget_old();
        found
    }

    /// Ends it.
    pub fn leave(mut self) -> Left {
        let rest = std::mem::take(&mut self.buffer);
        // Two bytes are too often noise; three are as sure as a CRC.
        let damaged =
            (0..rest.len()).filter_map(|at| rest.get(at..)).any(|rest| rest.len() > 2 && self.may_begin(rest));
        let (mut strays, noise) = strays_in(&rest);
        self.strays.append(&mut strays);
        Left { strays: self.strays, noise: self.noise + noise, damaged }
    }

    fn look(&mut self) -> Found {
        let mut begun = false;
        let mut at = 0;
        while let Some(rest) = self.buffer.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with(&self.echo) {
                // A two-wire adapter hears itself.
                self.noise += at;
                self.buffer.drain(..at + self.echo.len());
                (at, begun) = (0, false);
                continue;
            }
            match whole_frame(rest) {
                Some((len, body)) => {
                    let (answer, stray) = (self.answer_in(body), stray_of(body));
                    self.noise += at;
                    self.buffer.drain(..at + len);
                    if let Some(answer) = answer {
                        return Found::Answer(answer);
                    }
                    self.strays.extend(stray);
                    (at, begun) = (0, false);
                }
                None => {
                    begun |= self.may_begin(rest);
                    at += 1;
                }
            }
        }
        if begun { Found::Begun } else { Found::Nothing }
    }

    /// What is older than two of the longest frames cannot be the beginning of the answer any more.
    fn forget_old(&mut self) {
        let old = self.buffer.len().saturating_sub(2 * MAX_FRAME);
        self.noise += old;
        self.buffer.drain(..old);
    }

    fn may_begin(&self, rest: &[u8]) -> bool {
        let function = function_of(self.ask.table);
        match rest {
            [unit, code] => *unit == self.unit && (*code == function || self.is_exception(*code)),
            [unit, code, bytes, ..] if *code == function => {
                *unit == self.unit && usize::from(*bytes) == data_len(self.ask)
            }
            [unit, code, _, ..] => *unit == self.unit && self.is_exception(*code),
            _ => false,
        }
    }

    fn is_exception(&self, code: u8) -> bool {
        self.exceptions && code == function_of(self.ask.table) | 0x80
    }

    /// The body of a frame with a good CRC, as the answer if it is that.
    fn answer_in(&self, body: &[u8]) -> Option<Answer> {
        let function = function_of(self.ask.table);
        match body {
            [unit, code, exception] if *unit == self.unit && self.is_exception(*code) => {
                Some(Answer::Exception(*exception))
            }
            [unit, code, bytes, data @ ..] if *unit == self.unit && *code == function => {
                let right = usize::from(*bytes) == data.len() && data.len() == data_len(self.ask);
                right.then(|| values(self.ask.table, data))
            }
            _ => None,
        }
    }
}

fn values(table: Table, data: &[u8]) -> Answer {
    if table.is_bits() {
        return Answer::Bits(data.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect());
    }
    let (words, _) = data.as_chunks::<2>();
    Answer::Registers(words.iter().map(|word| u16::from_be_bytes(*word)).collect())
}

/// The frame at the beginning of `rest`, if a whole one with a good CRC stands there: its length, and it without CRC.
fn whole_frame(rest: &[u8]) -> Option<(usize, &[u8])> {
    let (function, third) = (*rest.get(1)?, *rest.get(2)?);
    let len = match function {
        1..=4 => OVERHEAD + usize::from(third),
        0x81..=0xFF => OVERHEAD,
        _ => return None,
    };
    let frame = rest.get(..len)?;
    let (body, crc) = frame.split_last_chunk::<2>()?;
    (crc16(body) == u16::from_le_bytes(*crc)).then_some((len, body))
}

/// Returns the body of the answer to a frame of somebody else's making, if it stands whole in `bytes`: of its unit and
/// function and `len` bytes long, or an exception. `request` is the body of the frame.
pub fn answer_to(request: &[u8], len: usize, bytes: &[u8]) -> Option<Vec<u8>> {
    let (unit, function) = (*request.first()?, *request.get(1)?);
    let whole = |at: usize, len: usize, function: u8| {
        let (body, crc) = bytes.get(at..at + len + 2)?.split_last_chunk::<2>()?;
        let fits = body.starts_with(&[unit, function]) && crc16(body) == u16::from_le_bytes(*crc);
        fits.then(|| body.to_vec())
    };
    (0..bytes.len()).find_map(|at| whole(at, len, function).or_else(|| whole(at, OVERHEAD - 2, function | 0x80)))
}

/// What a whole frame, given without its CRC, would have answered.
fn stray_of(body: &[u8]) -> Option<Stray> {
    let (unit, function, third) = (*body.first()?, *body.get(1)?, *body.get(2)?);
    let shape = match function {
        0x81.. => Shape::Exception { function: function & 0x7F },
        _ => Shape::Values { function, bytes: third },
    };
    Some(Stray { unit, shape })
}

/// Returns the whole frames in bytes that nobody waited for, and how many bytes are part of none.
pub fn strays_in(bytes: &[u8]) -> (Vec<Stray>, usize) {
    let (mut strays, mut noise, mut at) = (Vec::new(), 0, 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        match whole_frame(rest) {
            Some((len, body)) => {
                strays.extend(stray_of(body));
                at += len;
            }
            None => {
                noise += 1;
                at += 1;
            }
        }
    }
    (strays, noise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const READ: Ask = Ask { table: Table::Holding, start: 0, count: 8 };

    fn hex(text: &str) -> Vec<u8> {
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn good(unit: u8, function: u8, data: &[u8]) -> Vec<u8> {
        sealed(&[&[unit, function, u8::try_from(data.len()).unwrap()], data].concat())
    }

    #[test]
    fn the_vectors_of_domain_b8_are_what_is_sent_and_understood() {
        assert_eq!(request(1, Ask { table: Table::Holding, start: 0, count: 2 }), hex("010300000002C40B"));
        assert_eq!(request(1, READ), hex("010300000008440C"));
        let gas = hex("01031000FA0001000100F50001006400FA01F4E21D");
        assert_eq!(gas.len(), answer_len(READ));
        let expected = [0x00FA, 1, 1, 0x00F5, 1, 0x64, 0xFA, 0x1F4];
        assert_eq!(Receiver::new(1, READ, true).take(&gas), Found::Answer(Answer::Registers(expected.to_vec())));
        let two = Ask { count: 2, ..READ };
        let sf6 = Receiver::new(1, two, true).take(&hex("0103040BE81409B725"));
        assert_eq!(sf6, Found::Answer(Answer::Registers(vec![3048, 0x1409])));
        assert_eq!(Receiver::new(1, READ, true).take(&hex("018302C0F1")), Found::Answer(Answer::Exception(2)));
    }

    #[test]
    fn noise_before_the_answer_and_bytes_one_by_one_cost_nothing() {
        let mut receiver = Receiver::new(1, READ, true);
        let answer = good(1, 3, &[7; 16]);
        let all: Vec<u8> = [&[0xFF, 0x00, 0x01, 0x03], answer.as_slice()].concat();
        let (last, before) = all.split_last().unwrap();
        for byte in before {
            assert_ne!(receiver.take(&[*byte]), Found::Answer(Answer::Registers(vec![0x0707; 8])));
        }
        assert_eq!(receiver.take(&[*last]), Found::Answer(Answer::Registers(vec![0x0707; 8])));
        assert_eq!(receiver.leave(), Left { strays: vec![], noise: 4, damaged: false });
    }

    #[test]
    fn a_late_answer_of_another_length_slave_or_function_is_a_stray_and_not_the_answer() {
        let mut receiver = Receiver::new(1, READ, true);
        for (unit, late) in [(1, good(1, 3, &[1; 4])), (2, good(2, 3, &[2; 16])), (1, good(1, 4, &[3; 16]))] {
            assert_eq!(receiver.take(&late), Found::Nothing, "{unit}");
        }
        assert!(matches!(receiver.take(&good(1, 3, &[9; 16])), Found::Answer(_)));
        let shapes = [(1, 3, 4), (2, 3, 16), (1, 4, 16)];
        let strays = shapes.map(|(unit, function, bytes)| Stray { unit, shape: Shape::Values { function, bytes } });
        assert_eq!(receiver.leave(), Left { strays: strays.to_vec(), noise: 0, damaged: false });
    }

    #[test]
    fn an_adapter_that_hears_itself_is_understood() {
        let echoed = [request(1, READ), good(1, 3, &[5; 16])].concat();
        assert!(matches!(Receiver::new(1, READ, true).take(&echoed), Found::Answer(_)));
    }

    #[test]
    fn half_an_answer_has_begun_and_noise_has_not() {
        let answer = good(1, 3, &[5; 16]);
        assert_eq!(Receiver::new(1, READ, true).take(&answer[..12]), Found::Begun);
        let damaged = |bytes: &[u8]| {
            let mut receiver = Receiver::new(1, READ, true);
            receiver.take(bytes);
            receiver.leave().damaged
        };
        assert!(damaged(&answer[..12]) && damaged(&answer[..3]) && !damaged(&answer[..2]), "two bytes may be noise");
        assert_eq!(Receiver::new(1, READ, true).take(&answer[1..]), Found::Nothing);
        assert_eq!(Receiver::new(1, READ, true).take(&[0; 40]), Found::Nothing);
    }

    #[test]
    fn the_answer_to_a_frame_of_somebody_else_is_found_among_late_answers_and_noise() {
        let request = [9, 0x2B, 1, 2, 3, 4];
        let (late, answer) = (good(9, 3, &[1; 8]), sealed(&request));
        let all = [late.as_slice(), &[9, 0x2B, 0xFF], &answer].concat();
        assert_eq!(answer_to(&request, 6, &all), Some(request.to_vec()));
        assert_eq!(answer_to(&request, 6, &all[..all.len() - 1]), None);
        assert_eq!(answer_to(&request, 6, &sealed(&[9, 0xAB, 2])), Some(vec![9, 0xAB, 2]));
        assert_eq!(answer_to(&request, 6, &sealed(&[8, 0xAB, 2])), None, "another unit");
    }

    #[test]
    fn an_exception_is_no_answer_where_it_may_be_that_of_an_older_request() {
        let refused = sealed(&[1, 0x83, 6]);
        assert_eq!(Receiver::new(1, READ, true).take(&refused), Found::Answer(Answer::Exception(6)));
        let mut receiver = Receiver::new(1, READ, false);
        assert_eq!(receiver.take(&refused), Found::Nothing);
        assert!(matches!(receiver.take(&good(1, 3, &[9; 16])), Found::Answer(_)));
        assert_eq!(receiver.leave().strays, [Stray { unit: 1, shape: Shape::Exception { function: 3 } }]);
    }

    #[test]
    fn bits_are_lowest_first_in_whole_bytes() {
        let ask = Ask { table: Table::Coil, start: 0, count: 9 };
        let Found::Answer(Answer::Bits(bits)) = Receiver::new(3, ask, true).take(&good(3, 1, &[0b0000_1101, 1])) else {
            panic!("bits");
        };
        assert_eq!(bits.len(), 16);
        assert_eq!(bits.iter().filter(|bit| **bit).count(), 4);
        assert!(bits[0] && !bits[1] && bits[2] && bits[3] && bits[8]);
    }

    #[test]
    fn what_never_ends_is_not_kept() {
        let mut receiver = Receiver::new(1, READ, true);
        for _ in 0..100 {
            receiver.take(&[0x55; 100]);
        }
        assert!(receiver.buffer.len() <= 2 * MAX_FRAME);
        assert_eq!(receiver.leave(), Left { strays: vec![], noise: 10_000, damaged: false });
    }

    proptest! {
        #[test]
        fn wherever_it_stands_in_the_noise_the_answer_is_found_however_it_is_cut(
            before in prop::collection::vec(any::<u8>(), 0..40), data in prop::collection::vec(any::<u8>(), 16),
            cuts in prop::collection::vec(1_usize..20, 0..8),
        ) {
            let answer = good(1, 3, &data);
            let all = [before.as_slice(), &answer].concat();
            // Noise with a frame of a good CRC in it is no noise, nor is noise whose last bytes make one with the answer's first.
            let of_the_answer = Stray { unit: 1, shape: Shape::Values { function: 3, bytes: 16 } };
            prop_assume!(strays_in(&all) == (vec![of_the_answer], before.len()));
            // Nor may the answer's own data hold one, as one in ten thousand does: if the line pauses right behind it, that is
            // taken for the frame, and the slave is asked again.
            prop_assume!((1..answer.len()).all(|at| whole_frame(&answer[at..]).is_none()));
            let mut receiver = Receiver::new(1, READ, true);
            let mut rest = all.as_slice();
            let mut found = Found::Nothing;
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                if !now.is_empty() {
                    found = receiver.take(now);
                }
                rest = later;
            }
            prop_assert!(matches!(found, Found::Answer(Answer::Registers(_))), "{found:?}");
        }

        #[test]
        fn one_flipped_bit_is_never_an_answer(data in prop::collection::vec(any::<u8>(), 16), bit in 0_usize..168) {
            let mut answer = good(1, 3, &data);
            answer[bit / 8] ^= 1 << (bit % 8);
            let found = Receiver::new(1, READ, true).take(&answer);
            prop_assert!(!matches!(found, Found::Answer(Answer::Registers(_))), "{found:?}");
        }
    }
}
