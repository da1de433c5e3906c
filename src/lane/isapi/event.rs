//! Reads what a Hikvision device pushes: `EventNotificationAlert`, as XML or as the first part of a multipart body with
//! pictures after it (`domain.md` B7).
//!
//! The device is known by `macAddress`, else `deviceSerial`, else `serialNumber`: the configuration says the one that comes
//! first in its events. An event has a `UUID`, or else its time, plate and channel stand for it; the number of the event is
//! made of that. `isDataRetransmission` marks what the device kept while it was offline. Other types of event than `ANPR` and
//! `IO` say no more than that it is there; its own sign of life is one of them (`videoloss`, inactive).

use super::super::camera::multipart::{boundary, parts};
use super::super::camera::picture::Pushed;
use super::super::camera::{NotAPush, PlatePush, Push, What};
use super::super::coding::sha256;
use super::xml::{leaves, text_of};
use crate::domain::gate::picture::PictureKind;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::presented::PlateRead;

/// Longest text of a plate that is taken.
const MAX_PLATE: usize = 16;
/// Longest name of a device.
const MAX_SERIAL: usize = 64;

/// Reads a body.
///
/// # Errors
/// Why it is no push. Whatever the bytes, nothing else happens.
pub fn parse(content_type: &str, body: &[u8]) -> Result<Push, NotAPush> {
    let Some(boundary) = boundary(content_type) else { return event(body, Vec::new()) };
    let parts = parts(body, boundary);
    let xml = parts.iter().find(|part| part.kind.contains("xml") || part.content.trim_ascii_start().starts_with(b"<"));
    let xml = xml.ok_or(NotAPush::Form)?.content;
    // The larger of the two is the whole: their order differs by model.
    let mut pictures: Vec<&[u8]> =
        parts.iter().filter(|part| part.kind.starts_with("image/")).map(|part| part.content).collect();
    pictures.sort_by_key(|content| std::cmp::Reverse(content.len()));
    let kinds = PictureKind::ALL.iter();
    event(xml, kinds.zip(pictures).map(|(kind, content)| Pushed::of_bytes(*kind, content)).collect())
}

fn event(xml: &[u8], pictures: Vec<Pushed>) -> Result<Push, NotAPush> {
    let leaves = leaves(xml).ok_or(NotAPush::Form)?;
    let text = |name: &str| text_of(&leaves, name);
    let kind = text("eventType").ok_or(NotAPush::Kind)?;
    let serial = ["macAddress", "deviceSerial", "serialNumber"].into_iter().find_map(text).ok_or(NotAPush::Serial)?;
    if serial.len() > MAX_SERIAL {
        return Err(NotAPush::Serial);
    }
    let what = match kind {
        "ANPR" => What::Plate(Box::new(plate(&leaves, pictures).ok_or(NotAPush::Field)?)),
        "IO" => {
            let port: u8 = text("inputIOPortID").and_then(|port| port.parse().ok()).ok_or(NotAPush::Field)?;
            let on = text("eventState") == Some("active");
            What::Input { source: port.checked_sub(1).ok_or(NotAPush::Field)?, on }
        }
        _ => What::Heartbeat,
    };
    Ok(Push { serial: serial.to_owned(), what })
}

fn plate(leaves: &[(String, String)], pictures: Vec<Pushed>) -> Option<PlatePush> {
    let text = |name: &str| text_of(leaves, name);
    let time = text("dateTime");
    let shown: String = text("licensePlate").unwrap_or_default().chars().take(MAX_PLATE).collect();
    let known = !["", "unknown", "无车牌", "noplate"].contains(&shown.to_lowercase().as_str());
    let name = match text("UUID") {
        Some(uuid) => uuid.to_owned(),
        None => format!("{}\n{shown}\n{}", time?, text("channelID").unwrap_or_default()),
    };
    let head: String = sha256(name.as_bytes()).chars().take(16).collect();
    let confidence = text("confidenceLevel").and_then(|level| level.parse::<u8>().ok()).unwrap_or(0).min(100);
    let kind = text("plateType").unwrap_or_default();
    let exempt = ["arm", "Arm", "police", "Police", "emergency"].iter().any(|word| kind.contains(word));
    Some(PlatePush {
        number: u64::from_str_radix(&head, 16).ok()?,
        read: PlateRead {
            plate: known.then(|| Plate::new(&shown, colour(text("plateColor").unwrap_or_default()))),
            confidence,
            fake: text("isFakePlate") == Some("true"),
            exempt,
        },
        offline: text("isDataRetransmission") == Some("true"),
        moved: None,
        sec: time.and_then(|time| time.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_second),
        opened_by_camera: text("barrierGateCtrlType") == Some("whiteList"),
        pictures,
    })
}

fn colour(word: &str) -> PlateColour {
    match word {
        "blue" => PlateColour::Blue,
        "yellow" => PlateColour::Yellow,
        "white" => PlateColour::White,
        "black" => PlateColour::Black,
        "green" | "newEnergyGreen" | "civilAviationGreen" => PlateColour::Green,
        "newEnergyYellowGreen" | "yellowGreen" => PlateColour::YellowGreen,
        _ => PlateColour::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANPR: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
<ipAddress>10.0.0.7</ipAddress><channelID>1</channelID><macAddress>44:19:b6:00:00:01</macAddress>
<dateTime>2026-03-01T12:00:00+08:00</dateTime><eventType>ANPR</eventType><eventState>active</eventState>
<ANPR><licensePlate>皖R12345</licensePlate><confidenceLevel>96</confidenceLevel><plateType>92TypeCivil</plateType>
<plateColor>yellow</plateColor></ANPR><UUID>3f1c</UUID></EventNotificationAlert>"#;

    fn read(xml: &str) -> PlatePush {
        let what = parse("application/xml", xml.as_bytes()).unwrap().what;
        let What::Plate(plate) = what else { panic!("{what:?}") };
        *plate
    }

    #[test]
    fn a_plate_is_read_by_itself_and_with_its_pictures() {
        let alone = read(ANPR);
        assert_eq!(alone.read.plate, Some(Plate::new("皖R12345", PlateColour::Yellow)));
        assert_eq!((alone.read.confidence, alone.sec, alone.offline), (96, Some(1_772_337_600), false));
        let body = [
            b"--MIME\r\nContent-Disposition: form-data; name=\"anpr.xml\"\r\nContent-Type: text/xml\r\n\r\n",
            ANPR.as_bytes(),
            b"\r\n--MIME\r\nContent-Disposition: form-data; name=\"p.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\xFF\xD8\xFF\xFF\xD9\r\n--MIME--\r\n",
        ]
        .concat();
        let push = parse("multipart/form-data; boundary=MIME", &body).unwrap();
        assert_eq!(push.serial, "44:19:b6:00:00:01");
        assert!(
            matches!(push.what, What::Plate(plate) if plate.number == alone.number && plate.pictures == [Pushed { kind: PictureKind::Whole, content: Ok(vec![0xFF, 0xD8, 0xFF, 0xFF, 0xD9]) }])
        );
    }

    #[test]
    fn the_same_event_has_the_same_number_and_another_has_another() {
        let one = read(ANPR).number;
        assert_ne!(read(&ANPR.replace("3f1c", "3f1d")).number, one);
        let without = ANPR.replace("<UUID>3f1c</UUID>", "");
        assert_eq!(read(&without).number, read(&without).number);
        assert_ne!(read(&without).number, read(&without.replace("12:00:00", "12:00:01")).number);
    }

    #[test]
    fn what_is_sent_again_later_is_an_offline_record() {
        assert!(read(&ANPR.replace("<UUID>", "<isDataRetransmission>true</isDataRetransmission><UUID>")).offline);
        assert_eq!(read(&ANPR.replace("皖R12345", "unknown")).read.plate, None);
    }

    #[test]
    fn inputs_signs_of_life_and_nonsense_are_told_apart() {
        let of = |kind: &str| ANPR.replace("<eventType>ANPR", &format!("<eventType>{kind}"));
        assert_eq!(parse("", of("videoloss").as_bytes()).unwrap().what, What::Heartbeat);
        let io = of("IO").replace("<channelID>", "<inputIOPortID>2</inputIOPortID><channelID>");
        assert_eq!(parse("", io.as_bytes()).unwrap().what, What::Input { source: 1, on: true });
        assert_eq!(parse("", of("IO").as_bytes()), Err(NotAPush::Field));
        assert_eq!(parse("", b"<a/>"), Err(NotAPush::Kind));
        assert_eq!(parse("", b"{}"), Err(NotAPush::Form));
        assert_eq!(parse("", ANPR.replace("macAddress", "x").as_bytes()), Err(NotAPush::Serial));
        assert_eq!(parse("multipart/form-data; boundary=M", b"--M--"), Err(NotAPush::Form));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_the_parser_stands(body in prop::collection::vec(any::<u8>(), 0..300), form in any::<bool>()) {
            let _any = parse(if form { "multipart/form-data; boundary=X" } else { "" }, &body);
        }
    }
}
