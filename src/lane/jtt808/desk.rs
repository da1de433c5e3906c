//! What follows from what terminals send: pure, with `now` as an argument.
//!
//! ```text
//!  new ──registers, known──▶ told its code ──shows its code──▶ in ──position, card, waybill──▶ event, answered
//!   │ └─ shows its code ─────────────────────────────────────▶ │
//!   │                                                          └──silent, logs out, closed, comes again elsewhere──▶ gone
//!   └──unknown number, wrong code, anything else, or nothing for AUTH_WITHIN──▶ refused, counted, closed
//! ```
//!
//! - The code that a terminal is told is made of its number with a key of the gateway: it stays good over a restart, and is
//!   worth nothing for another terminal.
//! - A terminal has one connection: where it comes again, the older one is closed, and it was never away.
//! - Bounded: frames ([`super::frame`]), parts of one message ([`MAX_PARTS`], [`MAX_JOINED`], [`MAX_JOINS`] at a time, each for
//!   [`JOIN_WITHIN`]), bad frames ([`MAX_BAD`]) after which a connection is closed.
//! - A message is answered when it was passed on, not before.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::coding::{Key, same};
use super::frame::{BadFrame, Frame, Splitter, encode};
use super::message::{AUTHENTICATE, Card, Located, Message, REGISTER, Taken, answer, parse, registered};
use crate::domain::gate::hardware::{Datum, DriverCard, Position, Said, TerminalEvent};
use crate::domain::gate::identity::{IdKind, IdNumber};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::register::digest::LookUpKey;
use crate::domain::gate::word::TerminalId;
use crate::domain::time::{Mono, Now};

/// A connection that has not shown its code after this is closed: registration and code take two answers.
pub const AUTH_WITHIN: Duration = Duration::from_secs(30);
/// Most parts of a message.
pub const MAX_PARTS: u16 = 64;
/// Longest message of parts.
pub const MAX_JOINED: usize = 64 << 10;
/// Messages in parts that a connection has open at a time; the oldest gives way.
pub const MAX_JOINS: usize = 4;
/// A message whose parts are not there after this is given up.
pub const JOIN_WITHIN: Duration = Duration::from_secs(60);
/// Bad frames after which a connection is closed.
pub const MAX_BAD: u32 = 8;

/// A terminal that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Its id in the park.
    pub id: TerminalId,
    /// Its number in digits, without zeros before it.
    pub phone: String,
    /// The vehicle that it is built into.
    pub plate: Option<Plate>,
    /// Datum of its coordinates.
    pub datum: Datum,
    /// Not heard of for so long, it is taken for gone.
    pub silent_after: Duration,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Bytes to a connection.
    Send(u64, Vec<u8>),
    /// End of a connection.
    Close(u64),
    /// To who follows the terminals.
    Event(TerminalEvent),
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames.
    pub frames: u64,
    /// Of them: bad ones.
    pub bad: u64,
    /// Numbers that are not known.
    pub unknown: u64,
    /// Wrong codes.
    pub wrong: u64,
    /// Messages before the code, or under another number than the code's.
    pub early: u64,
    /// Messages that are not supported.
    pub unsupported: u64,
    /// Messages in parts that were given up.
    pub given_up: u64,
    /// Connections that said nothing in time.
    pub silent: u64,
}

/// The desk that all terminals come to.
#[derive(Debug)]
pub struct Desk {
    terminals: BTreeMap<String, Terminal>,
    codes: Key,
    digests: LookUpKey,
    talks: BTreeMap<u64, Talk>,
    out: VecDeque<Output>,
    counts: Counts,
}

#[derive(Debug)]
struct Talk {
    splitter: Splitter,
    phone: Option<String>,
    /// The vehicle that it named as it registered; worth nothing before it has shown its code.
    claimed: Option<Plate>,
    heard: Mono,
    serial: u16,
    bad: u32,
    joins: VecDeque<Join>,
}

#[derive(Debug)]
struct Join {
    id: u16,
    first: u16,
    since: Mono,
    parts: BTreeMap<u16, Vec<u8>>,
    count: u16,
}

impl Desk {
    /// Begins. `codes` makes the codes of the terminals, `digests` the digests of drivers' numbers.
    pub fn new(terminals: Vec<Terminal>, codes: Key, digests: LookUpKey) -> Self {
        let terminals = terminals.into_iter().map(|one| (one.phone.clone(), one)).collect();
        let (talks, out) = (BTreeMap::new(), VecDeque::new());
        Self { terminals, codes, digests, talks, out, counts: Counts::default() }
    }

    /// Returns the code of a terminal.
    pub fn code(&self, phone: &str) -> String {
        self.codes.digest("jtt808", phone).chars().take(16).collect()
    }

    /// Returns what was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Returns when [`Desk::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.talks.values().map(|talk| self.silent_at(talk)).min()
    }

    fn silent_at(&self, talk: &Talk) -> Mono {
        let terminal = talk.phone.as_ref().and_then(|phone| self.terminals.get(phone));
        talk.heard + terminal.map_or(AUTH_WITHIN, |terminal| terminal.silent_after)
    }

    /// A connection has come.
    pub fn handle_open(&mut self, connection: u64, now: Now) {
        let (splitter, joins) = (Splitter::default(), VecDeque::new());
        self.talks.insert(
            connection,
            Talk { splitter, phone: None, claimed: None, heard: now.mono, serial: 0, bad: 0, joins },
        );
    }

    /// Bytes have come.
    pub fn handle_bytes(&mut self, connection: u64, bytes: &[u8], now: Now) {
        let Some(talk) = self.talks.get_mut(&connection) else { return };
        for frame in talk.splitter.take(bytes) {
            self.counts.frames += 1;
            match frame {
                Ok(frame) => self.frame(connection, &frame, now),
                Err(_) => self.bad(connection, now),
            }
            if !self.talks.contains_key(&connection) {
                return;
            }
        }
    }

    /// A connection has ended.
    pub fn handle_closed(&mut self, connection: u64, now: Now) {
        if let Some(talk) = self.talks.remove(&connection)
            && let Some(phone) = talk.phone
        {
            self.event(&phone, Said::Offline, now);
        }
    }

    /// What time alone brings: connections that said nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        let silent: Vec<u64> =
            self.talks.iter().filter(|(_, talk)| self.silent_at(talk) <= now.mono).map(|(id, _)| *id).collect();
        for connection in silent {
            self.counts.silent += 1;
            self.close(connection, now);
        }
    }

    fn close(&mut self, connection: u64, now: Now) {
        self.handle_closed(connection, now);
        self.out.push_back(Output::Close(connection));
    }

    fn bad(&mut self, connection: u64, now: Now) {
        self.counts.bad += 1;
        let Some(talk) = self.talks.get_mut(&connection) else { return };
        talk.bad += 1;
        if talk.bad >= MAX_BAD {
            self.close(connection, now);
        }
    }

    fn event(&mut self, phone: &str, said: Said, now: Now) {
        if let Some(terminal) = self.terminals.get(phone) {
            let (terminal, plate) = (terminal.id.clone(), terminal.plate.clone());
            self.out.push_back(Output::Event(TerminalEvent { terminal, plate, at: now.mono, said }));
        }
    }

    fn send(&mut self, connection: u64, make: impl FnOnce(u16) -> Frame) {
        let Some(talk) = self.talks.get_mut(&connection) else { return };
        talk.serial = talk.serial.wrapping_add(1);
        if let Some(bytes) = encode(&make(talk.serial)) {
            self.out.push_back(Output::Send(connection, bytes));
        }
    }

    fn frame(&mut self, connection: u64, frame: &Frame, now: Now) {
        let phone = frame.head.phone_digits();
        if !self.terminals.contains_key(&phone) {
            self.counts.unknown += 1;
            match frame.head.id {
                REGISTER => self.send(connection, |serial| registered(frame, serial, None)),
                _ => self.send(connection, |serial| answer(frame, serial, Taken::Failed)),
            }
            return self.close(connection, now);
        }
        let inside = self.talks.get(&connection).and_then(|talk| talk.phone.clone());
        let entering = matches!(frame.head.id, REGISTER | AUTHENTICATE);
        if inside.as_ref().map_or(!entering, |inside| *inside != phone) {
            self.counts.early += 1;
            self.send(connection, |serial| answer(frame, serial, Taken::Failed));
            return self.bad(connection, now);
        }
        if inside.is_some()
            && let Some(talk) = self.talks.get_mut(&connection)
        {
            talk.heard = now.mono;
        }
        let taken = match self.whole(connection, frame, now) {
            _ if frame.head.encryption != 0 => Taken::Unsupported,
            Ok(None) => Taken::Ok,
            Ok(Some(body)) => match parse(frame.head.id, frame.head.edition.is_some(), &body) {
                Ok(message) => match self.message(connection, frame, &phone, message, now) {
                    Some(taken) => taken,
                    None => return,
                },
                Err(_) => Taken::Wrong,
            },
            Err(_) => Taken::Wrong,
        };
        self.counts.unsupported += u64::from(taken == Taken::Unsupported);
        self.counts.bad += u64::from(taken == Taken::Wrong);
        self.send(connection, |serial| answer(frame, serial, taken));
    }

    /// Returns the body when all parts of it are there.
    fn whole(&mut self, connection: u64, frame: &Frame, now: Now) -> Result<Option<Vec<u8>>, BadFrame> {
        let Some((count, part)) = frame.head.part else { return Ok(Some(frame.body.clone())) };
        let Some(talk) = self.talks.get_mut(&connection) else { return Ok(None) };
        if !(1..=MAX_PARTS).contains(&count) || !(1..=count).contains(&part) {
            return Err(BadFrame::Length);
        }
        let before = talk.joins.len();
        talk.joins.retain(|join| now.mono.since(join.since) < JOIN_WITHIN);
        self.counts.given_up += u64::try_from(before - talk.joins.len()).unwrap_or(0);
        let (id, first) = (frame.head.id, frame.head.serial.wrapping_sub(part - 1));
        let at = talk.joins.iter().position(|join| join.id == id && join.first == first && join.count == count);
        let mut join = match at.and_then(|at| talk.joins.remove(at)) {
            Some(join) => join,
            None => Join { id, first, since: now.mono, parts: BTreeMap::new(), count },
        };
        join.parts.insert(part, frame.body.clone());
        if join.parts.values().map(Vec::len).sum::<usize>() > MAX_JOINED {
            self.counts.given_up += 1;
            return Err(BadFrame::TooLong);
        }
        if join.parts.len() == usize::from(count) {
            return Ok(Some(join.parts.into_values().flatten().collect()));
        }
        if talk.joins.len() >= MAX_JOINS {
            talk.joins.pop_front();
            self.counts.given_up += 1;
        }
        talk.joins.push_back(join);
        Ok(None)
    }

    /// Passes a message on; `None` when it is answered already.
    fn message(&mut self, connection: u64, frame: &Frame, phone: &str, message: Message, now: Now) -> Option<Taken> {
        let datum = self.terminals.get(phone)?.datum;
        match message {
            Message::Heartbeat => {}
            Message::Leave => {
                self.send(connection, |serial| answer(frame, serial, Taken::Ok));
                self.close(connection, now);
                return None;
            }
            Message::Register(claimed) => {
                let code = self.code(phone);
                if let Some(talk) = self.talks.get_mut(&connection) {
                    talk.claimed = claimed;
                }
                self.send(connection, |serial| registered(frame, serial, Some(&code)));
                return None;
            }
            Message::Authenticate(code) => return self.enter(connection, frame, phone, &code, now),
            Message::Location(place) => self.event(phone, Said::Position(position(place, datum, false)), now),
            Message::Batch { blind, places } => {
                let count = places.len();
                for (index, place) in places.into_iter().enumerate() {
                    let late = blind || index + 1 < count;
                    self.event(phone, Said::Position(position(place, datum, late)), now);
                }
            }
            Message::Driver(card) => {
                let card = self.card(card);
                self.event(phone, Said::Driver(card), now);
            }
            Message::Waybill(text) => self.event(phone, Said::Waybill(text), now),
            Message::Other => return Some(Taken::Unsupported),
        }
        Some(Taken::Ok)
    }

    fn enter(&mut self, connection: u64, frame: &Frame, phone: &str, code: &str, now: Now) -> Option<Taken> {
        if !same(code, &self.code(phone)) {
            self.counts.wrong += 1;
            self.send(connection, |serial| answer(frame, serial, Taken::Failed));
            self.close(connection, now);
            return None;
        }
        let inside = |talk: &Talk| talk.phone.as_deref() == Some(phone);
        let others = self.talks.iter().filter(|(id, talk)| **id != connection && inside(talk));
        let others: Vec<u64> = others.map(|(id, _)| *id).collect();
        let again = !others.is_empty() || self.talks.get(&connection).is_some_and(inside);
        for other in others {
            self.talks.remove(&other);
            self.out.push_back(Output::Close(other));
        }
        if let Some(talk) = self.talks.get_mut(&connection) {
            talk.phone = Some(phone.to_owned());
            talk.heard = now.mono;
        }
        if !again {
            self.event(phone, Said::Online, now);
        }
        if let Some(claimed) = self.talks.get_mut(&connection).and_then(|talk| talk.claimed.take()) {
            self.event(phone, Said::InVehicle(claimed), now);
        }
        Some(Taken::Ok)
    }

    fn card(&self, card: Card) -> DriverCard {
        let number = card.number.as_deref();
        let digest = number.map(|number| self.digests.qualification(number));
        let id = number.and_then(|number| IdNumber::new(IdKind::IdCard, number).ok());
        let document = id.map(|id| self.digests.document(&id));
        DriverCard {
            inserted: card.inserted,
            time: card.time,
            read: card.read,
            digest,
            document,
            valid_to: card.valid_to,
        }
    }
}

fn position(place: Located, datum: Datum, late: bool) -> Position {
    Position {
        lat_e6: place.lat_e6,
        lon_e6: place.lon_e6,
        datum,
        fixed: place.fixed,
        speed_dkmh: place.speed_dkmh,
        course: place.course,
        altitude_m: place.altitude_m,
        time: place.time,
        late,
        ignition: place.ignition,
        alarms: place.alarms,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::tests::{VECTORS, vector};
    use super::super::frame::{Head, decode};
    use super::super::message::{ANSWER, BATCH, DRIVER, HEARTBEAT, LEAVE, LOCATION, REGISTERED, WAYBILL};
    use super::*;
    use crate::domain::gate::plate::PlateColour;
    use crate::domain::time::{ClockTrust, Timestamp};

    const PHONE: &str = "13800138000";

    fn at(secs: u64) -> Now {
        Now { mono: Mono::from_secs(secs), wall: Timestamp(0), trust: ClockTrust::Synced }
    }

    fn frame(id: u16, serial: u16, body: &[u8]) -> Frame {
        let head = Head { id, serial, ..vector(VECTORS[5]).head };
        Frame { head, body: body.to_vec() }
    }

    struct Scene {
        desk: Desk,
    }

    impl Scene {
        fn new() -> Self {
            let terminal = |id: &str, phone: &str| Terminal {
                id: TerminalId::new(id),
                phone: phone.to_owned(),
                plate: None,
                datum: Datum::Wgs84,
                silent_after: Duration::from_secs(180),
            };
            let terminals = vec![terminal("t-1", PHONE), terminal("t-2", "123456789012")];
            let mut scene = Self { desk: Desk::new(terminals, Key::new(b"codes"), LookUpKey::new(&[7; 32])) };
            scene.desk.handle_open(1, at(0));
            scene
        }

        fn say(&mut self, connection: u64, frame: &Frame, secs: u64) -> (Vec<Frame>, Vec<Said>, bool) {
            self.desk.handle_bytes(connection, &encode(frame).unwrap(), at(secs));
            self.drain()
        }

        fn drain(&mut self) -> (Vec<Frame>, Vec<Said>, bool) {
            let (mut frames, mut said, mut closed) = (Vec::new(), Vec::new(), false);
            while let Some(output) = self.desk.poll_output() {
                match output {
                    Output::Send(_, bytes) => frames.push(decode(&bytes[1..bytes.len() - 1]).unwrap()),
                    Output::Close(_) => closed = true,
                    Output::Event(event) => said.push(event.said),
                }
            }
            (frames, said, closed)
        }

        fn enter(&mut self, connection: u64) -> (Vec<Frame>, Vec<Said>, bool) {
            let code = self.desk.code(PHONE);
            self.say(connection, &frame(AUTHENTICATE, 2, code.as_bytes()), 0)
        }
    }

    fn result(frames: &[Frame]) -> u8 {
        assert_eq!((frames.len(), frames[0].head.id), (1, ANSWER));
        frames[0].body[4]
    }

    #[test]
    fn a_known_terminal_registers_shows_its_code_and_says_where_it_is() {
        let mut scene = Scene::new();
        let (frames, said, _) = scene.say(1, &frame(REGISTER, 1, &[0; 30]), 0);
        assert_eq!((frames[0].head.id, &frames[0].body[..3], said.len()), (REGISTERED, &[0, 1, 0][..], 0));
        let code = frames[0].body[3..].to_vec();
        let (frames, said, _) = scene.say(1, &frame(AUTHENTICATE, 2, &code), 1);
        assert_eq!((result(&frames), said), (0, vec![Said::Online]));
        let (frames, said, _) = scene.say(1, &frame(LOCATION, 3, &vector(VECTORS[1]).body), 2);
        assert_eq!(result(&frames), 0);
        assert!(
            matches!(&said[0], Said::Position(place) if place.lat_e6 == 12_222_222 && place.datum == Datum::Wgs84 && !place.late)
        );
        let (_, said, closed) = scene.say(1, &frame(LEAVE, 4, &[]), 3);
        assert_eq!((said, closed), (vec![Said::Offline], true));
    }

    #[test]
    fn the_vehicle_of_a_registration_is_told_when_the_terminal_has_proved_itself() {
        let plate = Plate::new("皖R12345", PlateColour::Yellow);
        let (text, _, _) = encoding_rs::GBK.encode("皖R12345");
        for before in [24, 36] {
            let mut scene = Scene::new();
            let body = [&vec![0; before][..], &[2], &text].concat();
            assert_eq!(scene.say(1, &frame(REGISTER, 1, &body), 0).1, [], "not yet");
            assert_eq!(scene.enter(1).1, [Said::Online, Said::InVehicle(plate.clone())]);
        }
        let mut scene = Scene::new();
        scene.say(1, &frame(REGISTER, 1, &[0; 30]), 0);
        assert_eq!(scene.enter(1).1, [Said::Online], "none that can be one");
    }

    #[test]
    fn a_drivers_card_is_known_by_digests_and_its_number_is_not_passed_on() {
        const NUMBER: &str = "11010519491231002X";
        let mut scene = Scene::new();
        scene.enter(1);
        let name: &[u8] = &[0xD5, 0xC5];
        let mut body = [&[1, 0x26, 0x11, 0x26, 0x08, 0, 0, 0, 2][..], name].concat();
        body.extend(format!("{NUMBER:\0<20}").bytes());
        body.extend([0, 0x20, 0x27, 0x01, 0x31]);
        let (_, said, _) = scene.say(1, &frame(DRIVER, 3, &body), 1);
        let Said::Driver(card) = &said[0] else { panic!("{said:?}") };
        let key = LookUpKey::new(&[7; 32]);
        let id = IdNumber::new(IdKind::IdCard, NUMBER).unwrap();
        assert_eq!((&card.document, &card.digest), (&Some(key.document(&id)), &Some(key.qualification(NUMBER))));
        assert_eq!((card.inserted, card.read, card.valid_to), (true, true, Some((2027, 1, 31))));
        assert!(!format!("{said:?}").contains("19491231"));
    }

    #[test]
    fn who_is_not_known_or_shows_a_wrong_code_is_refused_counted_and_closed() {
        let mut scene = Scene::new();
        let mut stranger = frame(REGISTER, 1, &[]);
        stranger.head.phone = vec![9; 6];
        let (frames, _, closed) = scene.say(1, &stranger, 0);
        assert_eq!((frames[0].body.clone(), closed), (vec![0, 1, 4], true));
        scene.desk.handle_open(2, at(0));
        let other = scene.desk.code("123456789012");
        let (frames, said, closed) = scene.say(2, &frame(AUTHENTICATE, 1, other.as_bytes()), 0);
        assert_eq!((result(&frames), said.len(), closed), (1, 0, true));
        scene.desk.handle_open(3, at(0));
        let (frames, said, closed) = scene.say(3, &frame(LOCATION, 1, &vector(VECTORS[1]).body), 0);
        assert_eq!((result(&frames), said.len(), closed), (1, 0, false));
        let counts = scene.desk.counts();
        assert_eq!((counts.unknown, counts.wrong, counts.early), (1, 1, 1));
    }

    #[test]
    fn a_terminal_cannot_speak_for_another() {
        let mut scene = Scene::new();
        scene.enter(1);
        let (frames, said, _) = scene.say(1, &vector(VECTORS[1]), 1);
        assert_eq!((result(&frames), said.len(), scene.desk.counts().early), (1, 0, 1));
    }

    #[test]
    fn a_terminal_that_comes_again_was_never_away() {
        let mut scene = Scene::new();
        scene.enter(1);
        scene.desk.handle_open(2, at(1));
        let (_, said, closed) = scene.enter(2);
        assert_eq!((said, closed), (vec![], true));
        scene.desk.handle_closed(1, at(2));
        assert_eq!(scene.drain().1, []);
        scene.desk.handle_closed(2, at(3));
        assert_eq!(scene.drain().1, [Said::Offline]);
    }

    #[test]
    fn silence_ends_a_connection_sooner_before_the_code() {
        let mut scene = Scene::new();
        assert_eq!(scene.desk.poll_timeout(), Some(Mono::from_secs(30)));
        scene.enter(1);
        assert_eq!(scene.desk.poll_timeout(), Some(Mono::from_secs(180)));
        scene.say(1, &frame(HEARTBEAT, 3, &[]), 100);
        scene.desk.handle_timeout(at(180));
        assert_eq!(scene.drain().1, []);
        scene.desk.handle_timeout(at(280));
        assert_eq!(scene.drain(), (vec![], vec![Said::Offline], true));
    }

    #[test]
    fn a_waybill_in_parts_is_joined_and_parts_that_never_come_are_given_up() {
        let mut scene = Scene::new();
        scene.enter(1);
        let body = vector(VECTORS[7]).body;
        let part = |serial: u16, count: u16, index: u16, bytes: &[u8]| {
            let mut frame = frame(WAYBILL, serial, bytes);
            frame.head.part = Some((count, index));
            frame
        };
        assert_eq!(scene.say(1, &part(11, 2, 2, &body[10..]), 1).1, []);
        let (frames, said, _) = scene.say(1, &part(10, 2, 1, &body[..10]), 1);
        assert_eq!((result(&frames), said), (0, vec![Said::Waybill(r#"{"waybill":"340000202503010001"}"#.to_owned())]));
        assert_eq!(result(&scene.say(1, &part(20, 65, 1, &[]), 1).0), 2);
        assert_eq!(result(&scene.say(1, &part(20, 2, 3, &[]), 1).0), 2);
        for serial in 0..10 {
            scene.say(1, &part(1000 + serial * 100, 64, 1, &[0; 1000]), 2);
        }
        assert_eq!(scene.desk.counts().given_up, 6);
        assert_eq!(scene.desk.talks[&1].joins.len(), MAX_JOINS);
        scene.say(1, &part(5000, 2, 1, &[]), 100);
        assert_eq!(scene.desk.talks[&1].joins.len(), 1);
    }

    #[test]
    fn a_drivers_number_leaves_as_its_digest() {
        let mut scene = Scene::new();
        scene.enter(1);
        let (_, said, _) = scene.say(1, &frame(DRIVER, 3, &vector(VECTORS[3]).body), 1);
        let expected = LookUpKey::new(&[7; 32]).qualification("416756199006054349");
        assert!(matches!(&said[0], Said::Driver(card) if card.inserted && card.digest.as_ref() == Some(&expected)));
        assert!(!format!("{said:?}").contains("4167561990"));
    }

    #[test]
    fn kept_positions_are_late_and_only_the_newest_of_an_ordinary_batch_is_not() {
        let mut scene = Scene::new();
        scene.enter(1);
        let one = vector(VECTORS[1]).body;
        let length = u16::try_from(one.len()).unwrap().to_be_bytes();
        for (kind, expected) in [(0, [true, false]), (1, [true, true])] {
            let batch = [&[0, 2, kind][..], &length, &one, &length, &one].concat();
            let (_, said, _) = scene.say(1, &frame(BATCH, 3, &batch), 1);
            let late: Vec<bool> = said.iter().map(|said| matches!(said, Said::Position(place) if place.late)).collect();
            assert_eq!(late, expected);
        }
    }

    #[test]
    fn what_is_damaged_encrypted_or_unknown_is_said_to_be_so() {
        let mut scene = Scene::new();
        scene.enter(1);
        assert_eq!(result(&scene.say(1, &frame(LOCATION, 3, &[1]), 1).0), 2);
        assert_eq!(result(&scene.say(1, &frame(0x0F01, 4, &[]), 1).0), 3);
        let mut secret = frame(LOCATION, 5, &[1]);
        secret.head.encryption = 1;
        assert_eq!(result(&scene.say(1, &secret, 1).0), 3);
        for _ in 0..MAX_BAD {
            scene.desk.handle_bytes(1, &[0x7E, 1, 2, 3, 0x7E], at(2));
        }
        let (_, said, closed) = scene.drain();
        assert_eq!((said, closed), (vec![Said::Offline], true));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever comes, the desk stands, answers only whole frames of known terminals, and nothing is said of a terminal
        /// before its code.
        #[test]
        fn whatever_comes_nothing_is_said_before_the_code(
            steps in prop::collection::vec((0_u16..12, prop::collection::vec(any::<u8>(), 0..60)), 1..20),
        ) {
            let mut scene = Scene::new();
            for (what, body) in steps {
                let ids = [REGISTER, LOCATION, DRIVER, WAYBILL, BATCH, HEARTBEAT, LEAVE, 0x0F00];
                match ids.get(usize::from(what)) {
                    Some(id) => {
                        let (_, said, _) = scene.say(1, &frame(*id, what, &body), 1);
                        prop_assert!(said.is_empty());
                    }
                    None => {
                        scene.desk.handle_bytes(1, &body, at(1));
                        prop_assert!(scene.drain().1.is_empty());
                    }
                }
                if !scene.desk.talks.contains_key(&1) {
                    scene.desk.handle_open(1, at(1));
                }
            }
        }
    }
}
