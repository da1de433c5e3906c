//! Whatever a camera, a terminal or a converter sends, the gateway stands, opens nothing by it, and says nothing of who has
//! not proved himself: a committed corpus replayed, and arbitrary and mutated messages by proptest.
//!
//! A corpus file is a message as it would come: `*.push` a body of a 臻识 camera, `*.xml` one of ISAPI, `*.hex` bytes of a
//! terminal. Names that begin with `right` are understood, all others are refused.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parkgate::domain::gate::hardware::{Datum, Seen};
use parkgate::domain::gate::register::digest::LookUpKey;
use parkgate::domain::gate::word::{Direction, LaneId, TerminalId};
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};
use parkgate::lane::camera::auth::Auth;
use parkgate::lane::camera::desk::{Desk, Output};
use parkgate::lane::camera::{Camera, Make, Push, What};
use parkgate::lane::coding::{Key, unhex};
use parkgate::lane::isapi;
use parkgate::lane::jtt808::desk::{Desk as Terminals, Output as Told, Terminal};
use parkgate::lane::jtt808::frame::{Splitter, decode, encode};
use parkgate::lane::jtt808::message;
use parkgate::lane::vzenith::answer::{Fire, moves};
use parkgate::lane::vzenith::push;
use proptest::prelude::*;

fn now() -> Now {
    Now { mono: Mono::from_secs(100), wall: Timestamp(1_772_337_600_000), trust: ClockTrust::Synced }
}

fn camera(make: Make) -> Camera {
    Camera {
        device: "cam-1".to_owned(),
        lane: LaneId::new("east-in"),
        make,
        serial: "abc-1".to_owned(),
        looks: Some(Direction::In),
        min_confidence: 80,
        answer_within: Duration::from_secs(1),
        max_age: None,
        silent_after: Duration::from_secs(15),
        fire: Some(Fire::Plain),
        inputs: BTreeMap::new(),
        auth: Auth::Hmac { key: Key::new(b"key") },
        address: None,
    }
}

/// Hands a push to a desk that nobody decides at, until its wait is over: it is answered once at most, and nothing moves.
fn moves_nothing(make: Make, push: Push) {
    let mut desk = Desk::new(vec![camera(make)], Vec::new(), now());
    let push = Push { serial: "abc-1".to_owned(), ..push };
    assert!(desk.handle_push("cam-1", push, 7, true, now()));
    desk.handle_timeout(Now { mono: Mono::from_secs(200), ..now() });
    let mut answers = 0;
    while let Some(output) = desk.poll_output() {
        match output {
            Output::Answer(answer) => {
                answers += 1;
                assert!(answer.moving.is_none());
                assert!(answer.still.is_empty() || !moves(&answer.still), "{}", answer.still);
            }
            Output::Event(event) => {
                if let Seen::Plate(seen) = event.what {
                    assert!(!(seen.live && seen.offline));
                }
            }
            Output::Remember(..) | Output::Receipt(_) | Output::Picture(_) => {}
        }
    }
    assert_eq!(answers, 1, "each push is answered once");
}

fn vzenith(body: &[u8]) -> bool {
    let form = body.starts_with(b"--");
    let kind = if form { "multipart/form-data; boundary=B" } else { "application/json" };
    let read = push::parse(kind, body);
    if let Ok(push) = &read {
        moves_nothing(Make::Vzenith, push.clone());
    }
    read.is_ok()
}

fn isapi(body: &[u8]) -> bool {
    let form = body.starts_with(b"--");
    let kind = if form { "multipart/form-data; boundary=B" } else { "application/xml" };
    let read = isapi::event::parse(kind, body);
    if let Ok(push) = &read {
        moves_nothing(Make::Isapi, push.clone());
    }
    read.is_ok()
}

/// Hands bytes to the terminals' desk on a connection that showed no code; every frame in them is written as it was read.
fn terminal(bytes: &[u8]) -> bool {
    let one = Terminal {
        id: TerminalId::new("t-1"),
        phone: "13800138000".to_owned(),
        plate: None,
        datum: Datum::Wgs84,
        silent_after: Duration::from_secs(180),
    };
    let mut desk = Terminals::new(vec![one], Key::new(b"codes"), LookUpKey::new(&[7; 32]));
    desk.handle_open(1, now());
    desk.handle_bytes(1, bytes, now());
    while let Some(told) = desk.poll_output() {
        match told {
            Told::Event(event) => panic!("said without a code: {event:?}"),
            Told::Send(_, bytes) => assert!(decode(&bytes[1..bytes.len() - 1]).is_ok()),
            Told::Close(_) => {}
        }
    }
    let frames: Vec<_> = Splitter::default().take(bytes);
    for frame in frames.iter().flatten() {
        let again = encode(frame).unwrap();
        assert_eq!(decode(&again[1..again.len() - 1]).as_ref(), Ok(frame));
        let _any = message::parse(frame.head.id, frame.head.edition.is_some(), &frame.body);
    }
    !frames.is_empty() && frames.iter().all(Result::is_ok)
}

fn corpus(ext: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/lane");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let files = files.into_iter().filter(|file| file.extension().is_some_and(|one| one == ext));
    files
        .map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&file).unwrap()))
        .collect()
}

fn judged(ext: &str, least: usize, judge: impl Fn(&[u8]) -> bool) {
    let files = corpus(ext);
    assert!(files.len() >= least, "the corpus is there");
    for (name, bytes) in files {
        assert_eq!(judge(&bytes), name.starts_with("right"), "{name}");
    }
}

#[test]
fn the_corpus_is_understood_or_refused_as_it_should() {
    judged("push", 8, vzenith);
    judged("xml", 4, isapi);
    judged("hex", 8, |text| {
        let digits: String = String::from_utf8_lossy(text).chars().filter(|c| !c.is_whitespace()).collect();
        terminal(&unhex(&digits).unwrap())
    });
}

/// A message of the corpus with some bytes changed, cut out, doubled or cut off.
fn mutated(ext: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = corpus(ext).into_iter().map(|(_, bytes)| bytes).collect();
    let files = if ext == "hex" {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).split_whitespace().collect::<String>();
        files.iter().map(|bytes| unhex(&text(bytes)).unwrap()).collect()
    } else {
        files
    };
    let changes = prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, any::<u8>()), 0..6);
    (prop::sample::select(files), changes).prop_map(|(mut bytes, changes)| {
        for (at, how, byte) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_camera_sends_nothing_moves_by_it(json in mutated("push"), xml in mutated("xml")) {
        let _any = vzenith(&json);
        let _any = isapi(&xml);
    }

    #[test]
    fn whatever_a_terminal_sends_nothing_is_said_before_its_code(
        first in mutated("hex"), second in mutated("hex"), noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _any = terminal(&[first, noise, second].concat());
    }

    #[test]
    fn numbers_of_all_sizes_in_a_push_are_taken_or_refused(
        number in any::<i128>(), confidence in any::<i64>(), sec in any::<i64>(), kind in any::<i64>(),
    ) {
        let body = format!(
            r#"{{"AlarmInfoPlate":{{"serialno":"abc-1","result":{{"PlateResult":{{"license":"皖R12345","plateid":{number},
            "confidence":{confidence},"type":{kind},"colorType":{kind},"timeStamp":{{"Timeval":{{"sec":{sec}}}}}}}}}}}}}"#
        );
        if let Ok(Push { what: What::Plate(plate), .. }) = push::parse("application/json", body.as_bytes()) {
            prop_assert!(plate.read.confidence <= 100);
            prop_assert_eq!(i128::from(plate.number), number);
        }
        let _any = vzenith(body.as_bytes());
    }
}
