//! Whatever a device sends, the reader takes it for the answer to its request only when it is one: a committed corpus of
//! raw answers replayed, and arbitrary and mutated bytes by proptest, all over a real socket.
//!
//! A corpus file is what a server sends in reply to each request of [`ASKS`], as hexadecimal bytes, `#` to the end of the
//! line a comment. `TT TT` stands for the transaction id of the request. The server closes the connection after it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::reading::Quality;
use parkgate::field::modbus::Answer;
use parkgate::field::modbus::class::Ask;
use parkgate::field::modbus::plan::items;
use parkgate::field::modbus::request::Request;
use parkgate::field::modbus::rtu::{self, Found, Receiver};
use parkgate::field::modbus::session::{Call, Fault, ModbusLink};
use parkgate::field::settings::{Encoding, Endpoint, Point, Signal, Table, WordOrder};
use proptest::prelude::*;

const UNIT: u8 = 1;
const ASKS: [Ask; 4] = [
    Ask { table: Table::Coil, start: 0, count: 11 },
    Ask { table: Table::Discrete, start: 5, count: 8 },
    Ask { table: Table::Holding, start: 0, count: 4 },
    Ask { table: Table::Input, start: 100, count: 8 },
];

/// A server that sends one prepared reply to each connection's first request, and closes it.
struct Server {
    endpoint: Endpoint,
    replies: mpsc::Sender<Vec<u8>>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::tcp("127.0.0.1", listener.local_addr().unwrap().port());
        let (replies, next) = mpsc::channel::<Vec<u8>>();
        std::thread::spawn(move || {
            while let (Ok((stream, _)), Ok(reply)) = (listener.accept(), next.recv()) {
                // The reader may have closed already; that is its right.
                drop(reply_once(stream, &reply));
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { endpoint, replies, runtime }
    }

    fn ask(&self, ask: Ask, reply: Vec<u8>) -> Result<Answer, Fault> {
        self.replies.send(reply).unwrap();
        let patience = Duration::from_secs(30);
        self.runtime.block_on(async {
            let link = ModbusLink::connect(&self.endpoint, patience, &Clock::system()).await?;
            link.read(Call { unit: UNIT, ask, within: patience, exceptions: true, tap: None }).await.outcome
        })
    }
}

fn reply_once(mut stream: TcpStream, reply: &[u8]) -> std::io::Result<()> {
    let mut request = [0; 12];
    stream.read_exact(&mut request)?;
    stream.write_all(reply)
}

/// What the answer must look like to be one: the specification, written a second time and differently.
fn is_an_answer(ask: Ask, reply: &[u8]) -> bool {
    let function =
        1 + [Table::Coil, Table::Discrete, Table::Holding, Table::Input].iter().position(|t| *t == ask.table).unwrap();
    let function = u8::try_from(function).unwrap();
    let [t0, t1, p0, p1, l0, l1, unit, pdu @ ..] = reply else { return false };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    if [*t0, *t1, *p0, *p1, *unit] != [0, 0, 0, 0, UNIT] || length == 0 || pdu.len() < length - 1 {
        return false;
    }
    match &pdu[..length - 1] {
        [code, _, ..] if *code == function | 0x80 => true,
        [code, bytes, data @ ..] if *code == function => {
            let bits = if ask.table.is_bits() { 1 } else { 16 };
            let expected = (usize::from(ask.count) * bits).div_ceil(8);
            data.len() == expected && usize::from(*bytes) == expected
        }
        _ => false,
    }
}

/// Holds one reply against each request, and what is made of it against the specification.
fn judge(server: &Server, name: &str, reply: &[u8]) {
    for ask in ASKS {
        let outcome = server.ask(ask, reply.to_vec());
        assert_eq!(outcome.is_ok(), is_an_answer(ask, reply), "{name} to {ask:?}: {outcome:?} for {reply:02x?}");
        if let Ok(answer) = outcome {
            readings_hold(ask, &answer);
        }
    }
}

/// Decodes the answer in every encoding: a value is finite, or there is none and the quality says so.
fn readings_hold(ask: Ask, answer: &Answer) {
    let registers = [
        Encoding::U16,
        Encoding::Bcd16,
        Encoding::IntTenths,
        Encoding::F32,
        Encoding::Bcd32,
        Encoding::U64,
        Encoding::F64,
    ];
    let encodings: &[Encoding] = if ask.table.is_bits() { &[Encoding::Bool] } else { &registers };
    for encoding in encodings {
        let (order, scale, offset, decimals, range) = (WordOrder::Cdab, 0.1, -3.0, Some(2), Some((0.0, 100.0)));
        let starts = ask.start..=ask.start + ask.count - encoding.width();
        let point = |address| Point {
            class: 0,
            table: ask.table,
            address,
            encoding: *encoding,
            order,
            scale,
            offset,
            decimals,
            range,
            signal: Signal::Value,
        };
        let points: Vec<Point> = starts.map(point).collect();
        let items = items(&points, 0);
        let request = Request::new(&items, 0..items.len(), &points).unwrap();
        let readings = request.readings(answer);
        assert_eq!(readings.len(), points.len());
        for (_, reading) in readings {
            assert_eq!(reading.has_value(), reading.quality != Quality::Sensor);
            assert!(reading.value().is_none_or(|value| value.as_f64().is_finite()));
        }
    }
}

fn parsed(text: &str) -> Vec<u8> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    code.flat_map(str::split_whitespace)
        .map(|byte| if byte == "TT" { 0 } else { u8::from_str_radix(byte, 16).expect("a hexadecimal byte") })
        .collect()
}

#[test]
fn the_corpus_is_judged_as_the_specification_does() {
    let server = Server::start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/modbus");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "the corpus is there");
    for file in files {
        judge(&server, &file.display().to_string(), &parsed(&std::fs::read_to_string(&file).unwrap()));
    }
}

/// A right answer to one of the requests, then a few bytes of it changed, cut or added.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let right = (0_usize..4, any::<u64>()).prop_map(|(which, seed)| {
        let ask = ASKS[which];
        let bits = if ask.table.is_bits() { 1 } else { 16 };
        let bytes = (usize::from(ask.count) * bits).div_ceil(8);
        let mut frame = vec![0, 0, 0, 0, 0, u8::try_from(bytes + 3).unwrap(), UNIT];
        frame.extend([u8::try_from(which + 1).unwrap(), u8::try_from(bytes).unwrap()]);
        frame.extend((0..bytes).map(|n| seed.rotate_left(u32::try_from(n * 8).unwrap()).to_le_bytes()[0]));
        frame
    });
    (
        right,
        prop::collection::vec((0_usize..30, any::<u8>()), 0..3),
        0_usize..40,
        prop::collection::vec(any::<u8>(), 0..4),
    )
        .prop_map(|(mut frame, changes, keep, more)| {
            for (at, byte) in changes {
                if let Some(old) = frame.get_mut(at) {
                    *old = byte;
                }
            }
            frame.truncate(keep.max(4));
            frame.extend(more);
            frame
        })
}

#[test]
fn whatever_the_bytes_only_an_answer_is_an_answer() {
    let server = Server::start();
    let arbitrary = prop::collection::vec(any::<u8>(), 0..300);
    let headed = prop::collection::vec(any::<u8>(), 0..60).prop_map(|pdu| {
        let length = u8::try_from(pdu.len() + 1).unwrap();
        [&[0, 0, 0, 0, 0, length, UNIT], pdu.as_slice()].concat()
    });
    let any_reply = prop_oneof![1 => arbitrary, 2 => headed, 5 => mutated()];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&any_reply, |reply| {
        judge(&server, "proptest", &reply);
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
}

/// Whether an answer stands anywhere in the bytes: the specification of RTU, written a second time and differently.
fn holds_an_answer(ask: Ask, bytes: &[u8]) -> bool {
    let function =
        1 + [Table::Coil, Table::Discrete, Table::Holding, Table::Input].iter().position(|t| *t == ask.table).unwrap();
    let bits = if ask.table.is_bits() { 1 } else { 16 };
    let expected = (usize::from(ask.count) * bits).div_ceil(8);
    (0..bytes.len()).any(|at| {
        let (unit, code) = (bytes[at] == UNIT, bytes.get(at + 1).copied().map(usize::from));
        let len = match code {
            Some(code) if code == function && bytes.get(at + 2).copied().map(usize::from) == Some(expected) => {
                5 + expected
            }
            Some(code) if code == function + 0x80 => 5,
            _ => return false,
        };
        // The remainder over a frame with its CRC is nothing.
        unit && bytes.get(at..at + len).is_some_and(|frame| rtu::crc16(frame) == 0)
    })
}

/// Hands the bytes over at once and one by one.
fn received(ask: Ask, bytes: &[u8]) -> Option<Answer> {
    let answer = |found| match found {
        Found::Answer(answer) => Some(answer),
        Found::Begun | Found::Nothing => None,
    };
    let at_once = answer(Receiver::new(UNIT, ask, true).take(bytes));
    let mut receiver = Receiver::new(UNIT, ask, true);
    let one_by_one = bytes.iter().find_map(|byte| answer(receiver.take(&[*byte])));
    assert_eq!(at_once.is_some(), one_by_one.is_some(), "{ask:?}: {bytes:02x?}");
    at_once
}

#[test]
fn the_corpus_of_a_bus_is_told_apart() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/rtu");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "the corpus is there");
    for file in files {
        let bytes = parsed(&std::fs::read_to_string(&file).unwrap());
        let right = file.file_name().unwrap().to_string_lossy().starts_with("right");
        let answers: Vec<_> =
            ASKS.into_iter().filter_map(|ask| received(ask, &bytes).map(|answer| (ask, answer))).collect();
        assert_eq!(answers.len(), usize::from(right), "{}: {answers:?}", file.display());
        answers.iter().for_each(|(ask, answer)| readings_hold(*ask, answer));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_on_a_bus_only_an_answer_is_an_answer(
        mut bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(UNIT), 0_u8..5, Just(8_u8)], 0..80),
        sealed in any::<bool>(), flips in prop::collection::vec((0_usize..80, any::<u8>()), 0..2),
    ) {
        if sealed {
            bytes.extend(rtu::sealed(&[UNIT, 3, 8, 0, 1, 0, 2, 0, 3, 0, 4]));
        }
        for (at, byte) in flips {
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        for ask in ASKS {
            let got = Receiver::new(UNIT, ask, true).take(&bytes);
            prop_assert!(!matches!(got, Found::Answer(_)) || holds_an_answer(ask, &bytes), "{ask:?} {bytes:02x?}");
            if let Found::Answer(answer) = got {
                readings_hold(ask, &answer);
            }
        }
    }
}
