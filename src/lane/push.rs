//! What other systems of the park push to the gateway, beside cameras: how many vehicles queue before a lane, where persons are,
//! who calls for help. They come to the cameras' listener, and prove who they are as cameras do.
//!
//! ```text
//!  POST /push/<id>
//!  {"queues":  [{"lane":"gate-1-in","vehicles":7}],                          without `vehicles`: it cannot say
//!   "persons": [{"card":13398,"place":"罐区二层","at":"2026-11-26T08:00:00Z"}],
//!   "sos":     [{"card":13398,"on":true,"at":"2026-11-26T08:00:00Z"}]}       without `at`: now
//! ```
//!
//! `card` is the number of the person's card or tag, as a Wiegand reader gives it; it leaves this room as its keyed digest. A
//! system says only what it is configured for: a body that says anything else is refused as a whole. What counts a queue and is
//! silent for longer than it may counts nothing any more. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::camera::NotAPush;
use super::camera::auth::Auth;
use crate::domain::gate::hardware::News;
use crate::domain::gate::register::digest::LookUpKey;
use crate::domain::gate::wiegand::Card;
use crate::domain::gate::word::LaneId;
use crate::domain::time::{Mono, Now, Timestamp};

/// Longest body: five hundred persons take half of it.
const MAX_BODY: usize = 256 << 10;
/// Things that one push may say; more come in the next one.
pub const MAX_NEWS: usize = 500;
/// Characters of a place, as people read it.
const MAX_PLACE: usize = 80;

/// A system that pushes.
#[derive(Clone, Debug)]
pub struct Pusher {
    /// Its id in the configuration; its pushes come to `/push/<id>`.
    pub id: String,
    /// How it proves who it is.
    pub auth: Auth,
    /// Where it may come from; `None`: from anywhere that proves itself.
    pub address: Option<IpAddr>,
    /// Lanes before which it counts the queue.
    pub queues: BTreeSet<LaneId>,
    /// It says where persons are, and who calls for help.
    pub persons: bool,
    /// Not heard of for so long, it counts no queue any more.
    pub silent_after: Duration,
}

/// A body as it was read. Holds the numbers of cards; does not leave this room, and is not shown.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Body {
    queues: Vec<QueueRow>,
    persons: Vec<PersonRow>,
    sos: Vec<SosRow>,
}

#[derive(Deserialize)]
struct QueueRow {
    lane: String,
    #[serde(default)]
    vehicles: Option<u16>,
}

#[derive(Deserialize)]
struct PersonRow {
    card: u32,
    place: String,
    #[serde(default, deserialize_with = "instant")]
    at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct SosRow {
    card: u32,
    on: bool,
    #[serde(default, deserialize_with = "instant")]
    at: Option<Timestamp>,
}

fn instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    let at = text.map(|text| text.parse::<jiff::Timestamp>()).transpose().map_err(D::Error::custom)?;
    Ok(at.map(|at| Timestamp(at.as_millisecond())))
}

/// Reads a body.
///
/// # Errors
/// Why it is no push. Whatever the bytes, nothing else happens.
pub fn read(body: &[u8]) -> Result<Body, NotAPush> {
    if body.len() > MAX_BODY {
        return Err(NotAPush::Form);
    }
    let body: Body = serde_json::from_slice(body).map_err(|_| NotAPush::Form)?;
    let count = body.queues.len() + body.persons.len() + body.sos.len();
    match count {
        0 => Err(NotAPush::Kind),
        count if count > MAX_NEWS => Err(NotAPush::Field),
        _ => Ok(body),
    }
}

/// All systems that push.
#[derive(Debug)]
pub struct Pushers {
    seats: BTreeMap<String, Seat>,
    key: LookUpKey,
}

#[derive(Debug)]
struct Seat {
    pusher: Pusher,
    heard: Mono,
    silent: bool,
}

impl Pushers {
    /// Begins; `key` makes the digests of cards.
    pub fn new(pushers: Vec<Pusher>, key: LookUpKey, now: Mono) -> Self {
        let seat = |pusher: Pusher| (pusher.id.clone(), Seat { pusher, heard: now, silent: false });
        Self { seats: pushers.into_iter().map(seat).collect(), key }
    }

    /// Returns the system of this id.
    pub fn pusher(&self, id: &str) -> Option<&Pusher> {
        self.seats.get(id).map(|seat| &seat.pusher)
    }

    /// Takes what a system says that was believed; `None`, and nothing of it is taken, where it says what it may not.
    pub fn handle_body(&mut self, id: &str, body: Body, now: Now) -> Option<Vec<News>> {
        let seat = self.seats.get_mut(id)?;
        let counts = |row: &QueueRow| seat.pusher.queues.contains(&LaneId::new(row.lane.as_str()));
        let speaks_of_persons = !(body.persons.is_empty() && body.sos.is_empty());
        if !body.queues.iter().all(counts) || (speaks_of_persons && !seat.pusher.persons) {
            return None;
        }
        (seat.heard, seat.silent) = (now.mono, false);
        let key = &self.key;
        let when = |at: Option<Timestamp>| at.unwrap_or(now.wall);
        let queues =
            body.queues.into_iter().map(|row| News::Queue { lane: LaneId::new(row.lane), vehicles: row.vehicles });
        let persons = body.persons.into_iter().map(|row| News::Person {
            credential: key.card(Card(row.card)),
            place: row.place.chars().filter(|c| !c.is_control()).take(MAX_PLACE).collect(),
            at: when(row.at),
        });
        let sos = body.sos.into_iter().map(|row| News::Sos {
            credential: key.card(Card(row.card)),
            on: row.on,
            at: when(row.at),
        });
        // A call for help is heard first.
        Some(sos.chain(queues).chain(persons).collect())
    }

    /// Returns when [`Pushers::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.seats.values().filter_map(Seat::silent_at).min()
    }

    /// What time alone brings: what counts a queue and is silent counts nothing any more.
    pub fn handle_timeout(&mut self, now: Mono) -> Vec<News> {
        let mut news = Vec::new();
        for seat in self.seats.values_mut().filter(|seat| seat.silent_at().is_some_and(|at| at <= now)) {
            seat.silent = true;
            news.extend(seat.pusher.queues.iter().map(|lane| News::Queue { lane: lane.clone(), vehicles: None }));
        }
        news
    }
}

impl Seat {
    fn silent_at(&self) -> Option<Mono> {
        (!self.silent && !self.pusher.queues.is_empty()).then(|| self.heard + self.pusher.silent_after)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::ClockTrust;
    use crate::lane::coding::Key;

    fn at(secs: u64) -> Now {
        Now { mono: Mono::from_secs(secs), wall: Timestamp(7_000), trust: ClockTrust::Synced }
    }

    fn pushers() -> Pushers {
        let pusher = |id: &str, lanes: &[&str], persons| Pusher {
            id: id.to_owned(),
            auth: Auth::Hmac { key: Key::new(b"of the park's systems") },
            address: None,
            queues: lanes.iter().map(|lane| LaneId::new(*lane)).collect(),
            persons,
            silent_after: Duration::from_secs(30),
        };
        let all = vec![pusher("queue-1", &["in-1", "in-2"], false), pusher("tags", &[], true)];
        Pushers::new(all, LookUpKey::new(&[7; 32]), Mono::from_secs(0))
    }

    fn say(pushers: &mut Pushers, id: &str, body: &str, secs: u64) -> Option<Vec<News>> {
        pushers.handle_body(id, read(body.as_bytes()).unwrap(), at(secs))
    }

    #[test]
    fn queues_persons_and_calls_for_help_are_heard_of_who_may_say_them() {
        let mut pushers = pushers();
        let queue = News::Queue { lane: LaneId::new("in-1"), vehicles: Some(7) };
        assert_eq!(say(&mut pushers, "queue-1", r#"{"queues":[{"lane":"in-1","vehicles":7}]}"#, 1), Some(vec![queue]));
        let credential = LookUpKey::new(&[7; 32]).card(Card(13398));
        let body = r#"{"persons":[{"card":13398,"place":"罐区\u0007二层"}],"sos":[{"card":13398,"on":true,"at":"1970-01-01T00:00:05Z"}]}"#;
        let sos = News::Sos { credential: credential.clone(), on: true, at: Timestamp(5_000) };
        let person = News::Person { credential, place: "罐区二层".to_owned(), at: Timestamp(7_000) };
        let said = say(&mut pushers, "tags", body, 1).unwrap();
        assert!(!format!("{said:?}").contains("13398"), "no number leaves the room");
        assert_eq!(said, [sos, person]);
        assert_eq!(say(&mut pushers, "tags", r#"{"queues":[{"lane":"in-1"}]}"#, 1), None);
        assert_eq!(say(&mut pushers, "queue-1", r#"{"queues":[{"lane":"in-1"},{"lane":"out-1"}]}"#, 1), None);
        assert_eq!(say(&mut pushers, "queue-1", body, 1), None);
        assert_eq!(say(&mut pushers, "nobody", body, 1), None);
    }

    #[test]
    fn who_counts_a_queue_and_falls_silent_counts_nothing_any_more() {
        let mut pushers = pushers();
        assert_eq!(pushers.poll_timeout(), Some(Mono::from_secs(30)));
        say(&mut pushers, "queue-1", r#"{"queues":[{"lane":"in-1","vehicles":0}]}"#, 20).unwrap();
        assert_eq!(pushers.handle_timeout(Mono::from_secs(49)), []);
        let blind = |lane: &str| News::Queue { lane: LaneId::new(lane), vehicles: None };
        assert_eq!(pushers.handle_timeout(Mono::from_secs(50)), [blind("in-1"), blind("in-2")]);
        assert_eq!((pushers.handle_timeout(Mono::from_secs(99)), pushers.poll_timeout()), (vec![], None), "told once");
        say(&mut pushers, "queue-1", r#"{"queues":[{"lane":"in-2","vehicles":1}]}"#, 100).unwrap();
        assert_eq!(pushers.poll_timeout(), Some(Mono::from_secs(130)));
    }

    #[test]
    fn what_is_no_push_is_refused_as_a_whole() {
        let many = format!(r#"{{"queues":[{}]}}"#, vec![r#"{"lane":"in-1"}"#; MAX_NEWS + 1].join(","));
        let long = format!(r#"{{"persons":[{{"card":1,"place":"{}"}}]}}"#, "x".repeat(MAX_BODY));
        for body in ["", "[]", "{}", r#"{"sos":[{"card":-1,"on":true}]}"#, r#"{"persons":[{"card":1}]}"#, &many, &long]
        {
            assert!(read(body.as_bytes()).is_err(), "{}", body.chars().take(60).collect::<String>());
        }
        assert!(read(br#"{"sos":[{"card":1,"on":true}],"more":1}"#).is_err(), "a misspelt member is not ignored");
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_the_parser_stands(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _any = read(&body);
        }
    }
}
