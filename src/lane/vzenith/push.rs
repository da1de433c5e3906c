//! Reads what a 臻识 camera pushes (`domain.md` B7).
//!
//! ```text
//!  POST  {"AlarmInfoPlate":{"serialno":…,"result":{"PlateResult":{"license":…,"plateid":…,"isoffline":…,…}}}}
//!        {"AlarmGioIn":{"serialno":…,"result":{"TriggerResult":{"source":0..4,"value":0|1}}}}
//!        {"SerialData":{"serialno":…,"serialChannel":0,"data":"<base64>","dataLen":n}}
//!        multipart/form-data: device_name, ipaddr, port, user_name, pass_wd, serialno, channel_num     (heartbeat)
//! ```
//!
//! Numbers may come as texts and texts as numbers, fields may be missing, the text may be GB 18030 instead of UTF-8: firmware
//! differs. What must be there is the serial number, and of a plate its `plateid`. The heartbeat carries user and password of
//! the camera: they are not taken out of it.

use std::borrow::Cow;

use encoding_rs::GB18030;
use serde_json::Value;

use super::super::camera::multipart::{boundary, parts};
use super::super::camera::picture::Pushed;
use super::super::camera::{NotAPush, PlatePush, Push, What};
use super::super::coding::unbase64;
use crate::domain::gate::hardware::Moved;
use crate::domain::gate::picture::PictureKind;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::presented::PlateRead;

/// Longest serial number that is taken; theirs have 17 characters.
const MAX_SERIAL: usize = 64;
/// Longest text of a plate that is taken; the longest real one has 9 characters.
const MAX_PLATE: usize = 16;
/// Most bytes of one message of the serial line.
const MAX_SERIAL_DATA: usize = 4096;

/// Reads a body.
///
/// # Errors
/// Why it is no push. Whatever the bytes, nothing else happens.
pub fn parse(content_type: &str, body: &[u8]) -> Result<Push, NotAPush> {
    if let Some(boundary) = boundary(content_type) {
        return heartbeat(body, boundary);
    }
    let text = decoded(body);
    let message: Value = serde_json::from_str(&text).map_err(|_| NotAPush::Form)?;
    let kinds: [(&str, Read); 4] = [
        ("AlarmInfoPlate", plate),
        ("AlarmGioIn", input),
        ("SerialData", serial_data),
        ("heartbeat", |_| Some(What::Heartbeat)),
    ];
    let (inner, read) = kinds.iter().find_map(|(key, read)| Some((message.get(key)?, read))).ok_or(NotAPush::Kind)?;
    let serial = text_of(inner, "serialno").filter(|serial| is_serial(serial)).ok_or(NotAPush::Serial)?;
    let what = read(inner).ok_or(NotAPush::Field)?;
    Ok(Push { serial, what })
}

type Read = fn(&Value) -> Option<What>;

fn decoded(body: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => GB18030.decode_without_bom_handling(body).0,
    }
}

fn heartbeat(body: &[u8], boundary: &str) -> Result<Push, NotAPush> {
    let serial = parts(body, boundary).into_iter().find(|part| part.name == "serialno").ok_or(NotAPush::Serial)?;
    let serial = std::str::from_utf8(serial.content).map_err(|_| NotAPush::Serial)?.trim();
    if !is_serial(serial) {
        return Err(NotAPush::Serial);
    }
    Ok(Push { serial: serial.to_owned(), what: What::Heartbeat })
}

fn is_serial(serial: &str) -> bool {
    (1..=MAX_SERIAL).contains(&serial.len()) && serial.bytes().all(|byte| byte.is_ascii_graphic())
}

fn plate(inner: &Value) -> Option<What> {
    let result = inner.get("result")?.get("PlateResult")?;
    let number = |key: &str| number_of(result, key);
    let kind = number("type").unwrap_or(0);
    let text = text_of(result, "license").unwrap_or_default();
    let text: String = text.chars().take(MAX_PLATE).collect();
    let shown = kind != NO_PLATE && !text.trim().is_empty() && text.trim() != NO_PLATE_TEXT;
    let plate = shown.then(|| Plate::new(&text, colour(number("colorType").unwrap_or(0), kind)));
    let confidence = number("confidence").unwrap_or(0).clamp(0, 100);
    let read = PlateRead {
        plate,
        confidence: u8::try_from(confidence).unwrap_or(0),
        fake: number("is_fake_plate").is_some_and(|flag| flag != 0) || kind == FAKE,
        exempt: EXEMPT.contains(&kind),
    };
    let outputs = result.get("gioouts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let picture = |(key, kind)| Pushed::of_base64(kind, result.get(key)?.as_str()?);
    let pictures = [("imageFile", PictureKind::Whole), ("imageFragmentFile", PictureKind::Plate)];
    Some(What::Plate(Box::new(PlatePush {
        number: number("plateid").and_then(|id| u64::try_from(id).ok())?,
        read,
        offline: number("isoffline").is_some_and(|flag| flag != 0),
        moved: match number("triggerType") {
            Some(64) => Some(Moved::Staying),
            Some(65) => Some(Moved::Gone),
            Some(66) => Some(Moved::TurnedBack),
            _ => None,
        },
        sec: result.get("timeStamp").and_then(|stamp| number_of(stamp.get("Timeval")?, "sec")),
        opened_by_camera: outputs.iter().any(|output| number_of(output, "ctrltype") == Some(BY_OWN_LIST)),
        pictures: pictures.into_iter().filter_map(picture).collect(),
    })))
}

/// What the camera writes where there is no plate.
const NO_PLATE_TEXT: &str = "_无_";
/// Type of plate: forged.
const FAKE: i64 = 29;
/// Type of plate: none.
const NO_PLATE: i64 = 31;
/// `ctrltype`: by the camera's own list.
const BY_OWN_LIST: i64 = 2;
/// Types of plate of police, armed police, army, rescue (rule 6).
const EXEMPT: [i64; 8] = [5, 6, 8, 9, 15, 16, 17, 21];

/// The colour, and where the camera does not know it, that of the type.
fn colour(colour: i64, kind: i64) -> PlateColour {
    match (colour, kind) {
        (1, _) => PlateColour::Blue,
        (2, _) => PlateColour::Yellow,
        (3, _) => PlateColour::White,
        (4, _) => PlateColour::Black,
        (5, _) => PlateColour::Green,
        (6, _) => PlateColour::YellowGreen,
        (_, 1) => PlateColour::Blue,
        (_, 3 | 4) => PlateColour::Yellow,
        (_, 5 | 6 | 8 | 9 | 15..=17) => PlateColour::White,
        (_, 2 | 10) => PlateColour::Black,
        (_, 19) => PlateColour::Green,
        (_, 20) => PlateColour::YellowGreen,
        _ => PlateColour::Unknown,
    }
}

fn input(inner: &Value) -> Option<What> {
    let result = inner.get("result")?.get("TriggerResult")?;
    let source = number_of(result, "source").and_then(|source| u8::try_from(source).ok())?;
    Some(What::Input { source, on: number_of(result, "value")? != 0 })
}

fn serial_data(inner: &Value) -> Option<What> {
    let channel = number_of(inner, "serialChannel").and_then(|channel| u8::try_from(channel).ok()).unwrap_or(0);
    let data = inner.get("data")?.as_str().filter(|data| data.len() <= MAX_SERIAL_DATA * 4 / 3)?;
    let mut data = unbase64(data)?;
    if let Some(len) = number_of(inner, "dataLen").and_then(|len| usize::try_from(len).ok()) {
        data.truncate(len);
    }
    Some(What::Serial { channel, data })
}

fn number_of(object: &Value, key: &str) -> Option<i64> {
    match object.get(key)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text_of(object: &Value, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::gate::picture::Lost;

    const JSON: &str = "application/json";

    fn read(body: &str) -> PlatePush {
        let what = parse(JSON, body.as_bytes()).unwrap().what;
        let What::Plate(plate) = what else { panic!("{what:?}") };
        *plate
    }

    fn push(fields: &str) -> String {
        format!(
            r#"{{"AlarmInfoPlate":{{"channel":0,"deviceName":"IVS","ipaddr":"10.0.0.9","serialno":"abc-1","result":{{"PlateResult":{{{fields}}}}}}}}}"#
        )
    }

    #[test]
    fn a_plate_is_read_with_all_that_matters() {
        let body = push(
            r#""license":"皖R12345","colorType":1,"type":1,"confidence":97,"direction":4,"plateid":4711,"isoffline":0,
               "is_fake_plate":0,"triggerType":8,"timeStamp":{"Timeval":{"sec":1772337600,"usec":120000}},
               "imageFile":"/9j//9k=","imageFragmentFile":"","gioouts":[{"ionum":0,"ctrltype":1}]"#,
        );
        let plate = read(&body);
        assert_eq!(plate.read.plate, Some(Plate::new("皖R12345", PlateColour::Blue)));
        assert_eq!((plate.number, plate.read.confidence, plate.sec), (4711, 97, Some(1_772_337_600)));
        assert_eq!(plate.pictures, [Pushed::of_bytes(PictureKind::Whole, &[0xFF, 0xD8, 0xFF, 0xFF, 0xD9])]);
        assert!(plate.pictures[0].content.is_ok());
        assert!(!plate.offline && !plate.read.fake && !plate.read.exempt && !plate.opened_by_camera);
    }

    #[test]
    fn what_is_wrong_or_special_with_a_plate_is_seen() {
        assert_eq!(read(&push(r#""license":"_无_","plateid":1"#)).read.plate, None);
        assert_eq!(read(&push(r#""license":"皖R12345","type":31,"plateid":1"#)).read.plate, None);
        assert!(read(&push(r#""license":"皖R12345","type":29,"plateid":1"#)).read.fake);
        assert!(read(&push(r#""license":"皖R12345","is_fake_plate":1,"plateid":1"#)).read.fake);
        assert!(read(&push(r#""license":"WJ皖12345","type":15,"plateid":1"#)).read.exempt);
        assert!(read(&push(r#""license":"皖R12345","isoffline":"1","plateid":"9""#)).offline);
        assert!(
            read(&push(r#""plateid":1,"gioouts":[{"ionum":0,"ctrltype":0},{"ionum":1,"ctrltype":2}]"#))
                .opened_by_camera
        );
        for (code, moved) in [(64, Moved::Staying), (65, Moved::Gone), (66, Moved::TurnedBack)] {
            assert_eq!(read(&push(&format!(r#""plateid":1,"triggerType":{code}"#))).moved, Some(moved));
        }
        let yellow = read(&push(r#""license":"皖R1234挂","type":3,"plateid":1"#)).read.plate.unwrap();
        assert_eq!(yellow.colour, PlateColour::Yellow);
    }

    const GBK_TEXT: &str =
        r#"{"AlarmInfoPlate":{"serialno":"a","result":{"PlateResult":{"license":"皖R12345","plateid":1}}}}"#;

    #[test]
    fn text_of_an_older_firmware_is_read_as_what_it_is() {
        let (body, _, _) = encoding_rs::GBK.encode(GBK_TEXT);
        let push = parse(JSON, &body).unwrap();
        assert!(matches!(push.what, What::Plate(plate) if plate.read.plate.as_ref().unwrap().text == "皖R12345"));
    }

    #[test]
    fn a_picture_that_is_too_large_is_left_out_and_its_read_is_not() {
        let plate = read(&push(&format!(r#""plateid":1,"imageFile":"{}""#, "A".repeat(3 << 20))));
        assert_eq!(plate.pictures, [Pushed { kind: PictureKind::Whole, content: Err(Lost::TooLarge) }]);
        let plate = read(&push(r#""plateid":1,"imageFragmentFile":"?!""#));
        assert_eq!(plate.pictures, [Pushed { kind: PictureKind::Plate, content: Err(Lost::Undecodable) }]);
    }

    #[test]
    fn inputs_serial_lines_and_heartbeats_are_read() {
        let body = r#"{"AlarmGioIn":{"serialno":"abc-1","result":{"TriggerResult":{"source":1,"value":1}}}}"#;
        assert_eq!(parse(JSON, body.as_bytes()).unwrap().what, What::Input { source: 1, on: true });
        let body = r#"{"SerialData":{"serialno":"abc-1","serialChannel":0,"data":"AAEC/w==","dataLen":3}}"#;
        assert_eq!(parse(JSON, body.as_bytes()).unwrap().what, What::Serial { channel: 0, data: vec![0, 1, 2] });
        let body = b"--X\r\nContent-Disposition: form-data; name=\"pass_wd\"\r\n\r\nsecret-word\r\n\
            --X\r\nContent-Disposition: form-data; name=\"serialno\"\r\n\r\nabc-1\r\n--X--\r\n";
        let push = parse("multipart/form-data; boundary=X", body).unwrap();
        assert_eq!(push, Push { serial: "abc-1".to_owned(), what: What::Heartbeat });
        assert!(!format!("{push:?}").contains("secret-word"));
    }

    #[test]
    fn what_is_no_push_is_told_apart() {
        for (body, why) in [
            ("", NotAPush::Form),
            ("[1,2", NotAPush::Form),
            ("{}", NotAPush::Kind),
            (r#"{"AlarmInfoPlate":{"result":{}}}"#, NotAPush::Serial),
            (r#"{"AlarmInfoPlate":{"serialno":"a b"}}"#, NotAPush::Serial),
            (
                r#"{"AlarmInfoPlate":{"serialno":"abc","result":{"PlateResult":{"license":"皖R12345"}}}}"#,
                NotAPush::Field,
            ),
            (
                r#"{"AlarmGioIn":{"serialno":"abc","result":{"TriggerResult":{"source":300,"value":1}}}}"#,
                NotAPush::Field,
            ),
        ] {
            assert_eq!(parse(JSON, body.as_bytes()), Err(why), "{body}");
        }
        assert_eq!(parse("multipart/form-data; boundary=X", b"--X--"), Err(NotAPush::Serial));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse(JSON, deep.as_bytes()), Err(NotAPush::Form));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_the_parser_stands(body in prop::collection::vec(any::<u8>(), 0..400), form in any::<bool>()) {
            let kind = if form { "multipart/form-data; boundary=X" } else { JSON };
            let _any = parse(kind, &body);
        }
    }
}
