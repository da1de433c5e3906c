//! What is in a frame of JT/T 808: the messages that the gateway takes, and those that it answers with.
//!
//! Times are Beijing time without a zone. Texts are GBK. Layouts of driver's card and registration differ by edition and are
//! told apart by header and length; bits of alarms are those of the standard's table 24, items `64` and `65` those of
//! T/JSATL 12 (driver's assistance and driver's monitoring).

use std::collections::BTreeSet;

use encoding_rs::GBK;

use super::frame::{BadFrame, Bytes, Frame};
use crate::domain::gate::hardware::TerminalAlarm;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::time::{Timestamp, civil, days_from_civil};

/// Sign of life.
pub const HEARTBEAT: u16 = 0x0002;
/// The terminal leaves for good.
pub const LEAVE: u16 = 0x0003;
/// Registration.
pub const REGISTER: u16 = 0x0100;
/// Shows the code that it was given.
pub const AUTHENTICATE: u16 = 0x0102;
/// Position.
pub const LOCATION: u16 = 0x0200;
/// Waybill.
pub const WAYBILL: u16 = 0x0701;
/// Driver's card.
pub const DRIVER: u16 = 0x0702;
/// Positions that were kept.
pub const BATCH: u16 = 0x0704;
/// General answer of the gateway.
pub const ANSWER: u16 = 0x8001;
/// Its answer to a registration.
pub const REGISTERED: u16 = 0x8100;

/// Most positions of one batch.
const MAX_BATCH: u16 = 512;
/// Longest waybill.
const MAX_WAYBILL: usize = 64 << 10;

/// What a terminal says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// It is there.
    Heartbeat,
    /// It leaves for good.
    Leave,
    /// It registers, and says which vehicle it is in, where it does; its number is in the header.
    Register(Option<Plate>),
    /// It shows its code.
    Authenticate(String),
    /// It says where it is.
    Location(Located),
    /// Where it was.
    Batch {
        /// Because it had no network.
        blind: bool,
        /// Oldest first.
        places: Vec<Located>,
    },
    /// A driver's card.
    Driver(Card),
    /// A waybill.
    Waybill(String),
    /// Something else, which is answered with "not supported".
    Other,
}

/// A position as it stands in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Alarms.
    pub alarms: BTreeSet<TerminalAlarm>,
    /// Ignition on.
    pub ignition: bool,
    /// Has a fix, and its coordinates are plain.
    pub fixed: bool,
    /// Millionths of a degree, north positive.
    pub lat_e6: i32,
    /// Millionths of a degree, east positive.
    pub lon_e6: i32,
    /// Metres.
    pub altitude_m: i16,
    /// Tenths of a kilometre an hour.
    pub speed_dkmh: u16,
    /// Degrees from north, clockwise.
    pub course: u16,
    /// Its time.
    pub time: Option<Timestamp>,
}

/// A driver's card as it stands in the message. Its `Debug` says nothing of the number.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    /// Put in.
    pub inserted: bool,
    /// When.
    pub time: Option<Timestamp>,
    /// It could be read.
    pub read: bool,
    /// Number of the qualification; leaves this room only as its digest.
    pub(super) number: Option<String>,
    /// Year, month and day on which it ends.
    pub valid_to: Option<(u16, u8, u8)>,
}

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Card(inserted {}, read {})", self.inserted, self.read)
    }
}

/// Reads a message of which all parts are there.
///
/// # Errors
/// When its body is not what its kind has.
pub fn parse(id: u16, newer: bool, body: &[u8]) -> Result<Message, BadFrame> {
    let mut rest = Bytes(body);
    Ok(match id {
        HEARTBEAT => Message::Heartbeat,
        LEAVE => Message::Leave,
        REGISTER => Message::Register(vehicle(newer, body)),
        AUTHENTICATE => {
            let code = if newer {
                let length = rest.u8()?;
                rest.take(usize::from(length))?
            } else {
                body
            };
            Message::Authenticate(text(code))
        }
        LOCATION => Message::Location(location(&mut rest)?),
        BATCH => batch(&mut rest)?,
        DRIVER => Message::Driver(driver(body)?),
        WAYBILL => {
            let length = usize::try_from(rest.u32()?).map_err(|_| BadFrame::Length)?;
            Message::Waybill(text(rest.take(length.min(MAX_WAYBILL + 1))?)).bounded(length)?
        }
        _ => Message::Other,
    })
}

impl Message {
    fn bounded(self, length: usize) -> Result<Self, BadFrame> {
        if length > MAX_WAYBILL { Err(BadFrame::TooLong) } else { Ok(self) }
    }
}

/// The vehicle of a registration: colour and text of the plate stand behind maker, type and id, whose lengths differ by edition;
/// those of 2011 and 2013 have the same header, so the text that can be a plate decides.
fn vehicle(newer: bool, body: &[u8]) -> Option<Plate> {
    let places: &[usize] = if newer { &[75] } else { &[36, 24] };
    let plate = |place: &usize| {
        let colour = match body.get(*place)? {
            1 => PlateColour::Blue,
            2 => PlateColour::Yellow,
            3 => PlateColour::Black,
            4 => PlateColour::White,
            5 => PlateColour::Green,
            6 => PlateColour::YellowGreen,
            _ => PlateColour::Unknown,
        };
        Some(Plate::new(&text(body.get(place + 1..)?), colour)).filter(Plate::is_possible)
    };
    places.iter().find_map(plate)
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => GBK.decode_without_bom_handling(bytes).0.trim().to_owned(),
    }
}

fn location(rest: &mut Bytes<'_>) -> Result<Located, BadFrame> {
    let (alarm, status) = (rest.u32()?, rest.u32()?);
    let (lat, lon) = (rest.u32()?, rest.u32()?);
    let altitude_m = rest.u16()?.cast_signed();
    let (speed_dkmh, course) = (rest.u16()?, rest.u16()?);
    let time = time(rest.take(6)?);
    let degrees = |value: u32, limit: u32, negative: bool| {
        let value = i32::try_from(value).ok().filter(|_| value <= limit * 1_000_000).ok_or(BadFrame::Length)?;
        Ok(if negative { -value } else { value })
    };
    let bit = |n: u32| status & 1 << n != 0;
    let mut alarms: BTreeSet<TerminalAlarm> =
        BITS.iter().filter(|(n, _)| alarm & 1 << n != 0).map(|(_, what)| *what).collect();
    while !rest.0.is_empty() {
        let (item, length) = (rest.u8()?, rest.u8()?);
        let value = rest.take(usize::from(length))?;
        alarms.extend(assistance(item, value));
    }
    Ok(Located {
        alarms,
        ignition: bit(0),
        fixed: bit(1) && !bit(5),
        lat_e6: degrees(lat, 90, bit(2))?,
        lon_e6: degrees(lon, 180, bit(3))?,
        altitude_m,
        speed_dkmh,
        course,
        time,
    })
}

/// Table 24.
const BITS: [(u32, TerminalAlarm); 16] = [
    (0, TerminalAlarm::Sos),
    (1, TerminalAlarm::Speeding),
    (2, TerminalAlarm::Fatigue),
    (3, TerminalAlarm::Danger),
    (4, TerminalAlarm::GnssFault),
    (5, TerminalAlarm::AntennaCut),
    (6, TerminalAlarm::AntennaShort),
    (7, TerminalAlarm::PowerLow),
    (8, TerminalAlarm::PowerOff),
    (19, TerminalAlarm::Parked),
    (20, TerminalAlarm::Area),
    (21, TerminalAlarm::Route),
    (23, TerminalAlarm::OffRoute),
    (28, TerminalAlarm::Moved),
    (29, TerminalAlarm::CollisionWarning),
    (30, TerminalAlarm::Rollover),
];

/// Items `64` (assistance) and `65` (monitoring of the driver): id 4, flag 1 (2 = it ended), type 1, …
fn assistance(item: u8, value: &[u8]) -> Option<TerminalAlarm> {
    let [_, _, _, _, flag, kind, ..] = value else { return None };
    match (flag, item, kind) {
        (2, _, _) => None,
        (_, 0x64, 1) => Some(TerminalAlarm::CollisionWarning),
        (_, 0x64, 2) => Some(TerminalAlarm::LaneDeparture),
        (_, 0x64, 3) => Some(TerminalAlarm::TooClose),
        (_, 0x65, 1) => Some(TerminalAlarm::Fatigue),
        (_, 0x65, 2) => Some(TerminalAlarm::Phone),
        (_, 0x65, 3) => Some(TerminalAlarm::Smoking),
        (_, 0x65, 4) => Some(TerminalAlarm::Distracted),
        (_, 0x65, 5) => Some(TerminalAlarm::NoDriver),
        _ => None,
    }
}

fn batch(rest: &mut Bytes<'_>) -> Result<Message, BadFrame> {
    let (count, kind) = (rest.u16()?, rest.u8()?);
    if count > MAX_BATCH {
        return Err(BadFrame::TooLong);
    }
    let mut places = Vec::new();
    for _ in 0..count {
        let length = rest.u16()?;
        places.push(location(&mut Bytes(rest.take(usize::from(length))?))?);
    }
    Ok(Message::Batch { blind: kind == 1, places })
}

/// 2013 and 2019: state, time, then, when it was put in, result, and when that is good, the card. 2011: the card alone.
fn driver(body: &[u8]) -> Result<Card, BadFrame> {
    let mut rest = Bytes(body);
    let state = rest.u8()?;
    let stamped = rest.0.get(..6).and_then(time);
    if !matches!(state, 1 | 2) || stamped.is_none() {
        return driver_2011(body);
    }
    rest.take(6)?;
    let out = Card { inserted: state == 1, time: stamped, read: false, number: None, valid_to: None };
    if state == 2 || rest.0.is_empty() {
        return Ok(out);
    }
    if rest.u8()? != 0 {
        return Ok(out);
    }
    let name = rest.u8()?;
    rest.take(usize::from(name))?;
    let number = text(rest.take(20)?);
    let issuer = rest.u8()?;
    rest.take(usize::from(issuer))?;
    let valid_to = rest.take(4).ok().and_then(date);
    Ok(Card { read: true, number: Some(number).filter(|number| !number.is_empty()), valid_to, ..out })
}

fn driver_2011(body: &[u8]) -> Result<Card, BadFrame> {
    let mut rest = Bytes(body);
    let name = rest.u8()?;
    rest.take(usize::from(name))?;
    rest.take(20)?;
    let number = text(rest.take(40)?);
    Ok(Card {
        inserted: true,
        time: None,
        read: true,
        number: Some(number).filter(|number| !number.is_empty()),
        valid_to: None,
    })
}

fn digits(byte: u8) -> Option<u8> {
    (byte >> 4 < 10 && byte & 15 < 10).then(|| (byte >> 4) * 10 + (byte & 15))
}

/// Reads `YYMMDDhhmmss` in binary-coded digits, Beijing time; `None` for a time that does not exist.
fn time(bytes: &[u8]) -> Option<Timestamp> {
    let read: Option<Vec<i64>> = bytes.iter().map(|byte| digits(*byte).map(i64::from)).collect();
    let [year, month, day, hour, minute, second] = read?[..] else { return None };
    let days = days_from_civil(2000 + year, month, day);
    let real = civil(days) == (2000 + year, month, day) && hour < 24 && minute < 60 && second < 60;
    real.then(|| Timestamp((((days * 24 + hour - 8) * 60 + minute) * 60 + second) * 1000))
}

fn date(bytes: &[u8]) -> Option<(u16, u8, u8)> {
    let read: Option<Vec<u8>> = bytes.iter().map(|byte| digits(*byte)).collect();
    let [century, year, month, day] = read?[..] else { return None };
    let year = u16::from(century) * 100 + u16::from(year);
    let days = days_from_civil(i64::from(year), i64::from(month), i64::from(day));
    (civil(days) == (i64::from(year), i64::from(month), i64::from(day))).then_some((year, month, day))
}

/// How a message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Done.
    Ok,
    /// Refused.
    Failed,
    /// Not what its kind has.
    Wrong,
    /// Not supported.
    Unsupported,
}

impl Taken {
    fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Wrong => 2,
            Self::Unsupported => 3,
        }
    }
}

/// The general answer to a frame.
pub fn answer(to: &Frame, serial: u16, taken: Taken) -> Frame {
    let [serial_high, serial_low] = to.head.serial.to_be_bytes();
    let [id_high, id_low] = to.head.id.to_be_bytes();
    reply(to, ANSWER, serial, vec![serial_high, serial_low, id_high, id_low, taken.code()])
}

/// The answer to a registration: its code, or that there is no such terminal.
pub fn registered(to: &Frame, serial: u16, code: Option<&str>) -> Frame {
    let mut body = to.head.serial.to_be_bytes().to_vec();
    match code {
        Some(code) => {
            body.push(0);
            body.extend(code.as_bytes());
        }
        None => body.push(4),
    }
    reply(to, REGISTERED, serial, body)
}

fn reply(to: &Frame, id: u16, serial: u16, body: Vec<u8>) -> Frame {
    let head = super::frame::Head { id, encryption: 0, serial, part: None, ..to.head.clone() };
    Frame { head, body }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::encode;
    use super::super::frame::tests::{VECTORS, vector};
    use super::*;
    use crate::lane::coding::hex;

    fn read(text: &str) -> Message {
        let frame = vector(text);
        parse(frame.head.id, frame.head.edition.is_some(), &frame.body).unwrap()
    }

    #[test]
    fn the_position_of_the_vectors_is_read() {
        let Message::Location(place) = read(VECTORS[0]) else { panic!() };
        assert_eq!((place.lat_e6, place.lon_e6), (12_222_222, 132_444_444));
        assert_eq!((place.altitude_m, place.speed_dkmh, place.course), (40, 60, 0));
        assert_eq!(place.time.unwrap().to_string(), "2018-10-15T02:10:10.000Z");
        assert_eq!(place.alarms, BTreeSet::from([TerminalAlarm::Sos]));
        assert!(place.fixed && !place.ignition);
    }

    #[test]
    fn the_cards_of_both_editions_are_read_and_not_printed() {
        let Message::Driver(card) = read(VECTORS[3]) else { panic!() };
        assert_eq!(card.number.as_deref(), Some("416756199006054349"));
        assert_eq!((card.inserted, card.read, card.valid_to), (true, true, Some((2034, 4, 9))));
        assert_eq!(card.time.unwrap().to_string(), "2026-04-09T09:27:39.000Z");
        assert!(!format!("{card:?}").contains("4167"));
        let Message::Driver(card) = read(VECTORS[4]) else { panic!() };
        assert_eq!(card.valid_to, Some((2015, 10, 20)));
        assert!(card.number.unwrap().starts_with("A88888"));
        let Message::Driver(out) = parse(DRIVER, false, &[2, 0x26, 4, 9, 0x17, 0x27, 0x39]).map_err(drop).unwrap()
        else {
            panic!()
        };
        assert!(!out.inserted && out.time.is_some());
        let old = [&[4][..], b"\xC4\xE3\xBA\xC3", &[b'1'; 20], &[b'7'; 40], &[0]].concat();
        let Message::Driver(card) = parse(DRIVER, false, &old).unwrap() else { panic!() };
        assert_eq!(card.number, Some("7".repeat(40)));
    }

    #[test]
    fn waybill_and_heartbeat_are_read() {
        let Message::Waybill(waybill) = read(VECTORS[7]) else { panic!() };
        assert_eq!(waybill, r#"{"waybill":"340000202503010001"}"#);
        assert_eq!(read(VECTORS[5]), Message::Heartbeat);
        assert_eq!(read(VECTORS[2]), Message::Other);
    }

    #[test]
    fn answers_are_the_vectors_byte_for_byte() {
        let heartbeat = vector(VECTORS[5]);
        assert_eq!(hex(&encode(&answer(&heartbeat, 2, Taken::Ok)).unwrap()).to_uppercase(), VECTORS[6]);
        let code = registered(&heartbeat, 7, Some("abc"));
        assert_eq!((code.head.id, code.body), (0x8100, b"\x00\x01\x00abc".to_vec()));
        assert_eq!(registered(&heartbeat, 7, None).body, [0, 1, 4]);
    }

    #[test]
    fn kept_positions_and_alarms_of_assistance_are_read() {
        let one = vector(VECTORS[1]).body;
        let with =
            [&one[..], &[0x64, 6, 0, 0, 0, 1, 1, 1, 0x65, 6, 0, 0, 0, 2, 0, 2, 0x65, 6, 0, 0, 0, 3, 2, 3]].concat();
        let length = |body: &[u8]| u16::try_from(body.len()).unwrap().to_be_bytes();
        let batch = [&[0, 2, 1][..], &length(&one), &one, &length(&with), &with].concat();
        let Message::Batch { blind: true, places } = parse(BATCH, false, &batch).unwrap() else { panic!() };
        let alarms = BTreeSet::from([TerminalAlarm::Sos, TerminalAlarm::CollisionWarning, TerminalAlarm::Phone]);
        assert_eq!((places.len(), &places[1].alarms), (2, &alarms), "what ended is no alarm");
    }

    #[test]
    fn what_is_no_place_on_earth_is_refused() {
        let mut body = vector(VECTORS[1]).body;
        body[8..12].copy_from_slice(&90_000_001_u32.to_be_bytes());
        assert_eq!(parse(LOCATION, false, &body), Err(BadFrame::Length));
        assert_eq!(parse(LOCATION, false, &body[..20]), Err(BadFrame::Length));
        assert_eq!(parse(BATCH, false, &[0xFF, 0xFF, 0]), Err(BadFrame::TooLong));
        assert_eq!(parse(WAYBILL, false, &[0xFF, 0xFF, 0xFF, 0xFF]), Err(BadFrame::Length));
        let mut south = vector(VECTORS[1]).body;
        south[7] |= 0b1100;
        let Message::Location(place) = parse(LOCATION, false, &south).unwrap() else { panic!() };
        assert_eq!((place.lat_e6, place.lon_e6), (-12_222_222, -132_444_444));
    }

    proptest! {
        #[test]
        fn whatever_the_body_the_parser_stands(
            id in prop_oneof![Just(DRIVER), Just(LOCATION), Just(BATCH), Just(WAYBILL), Just(AUTHENTICATE), any::<u16>()],
            newer in any::<bool>(), body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _any = parse(id, newer, &body);
        }
    }
}
