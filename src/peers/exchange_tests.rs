//! Stories of gateways that share, over a broker that loses, doubles, reorders and keeps; and a property over random ones.

use std::collections::BTreeMap;

use super::*;
use crate::domain::actor::{Actor, Role, Via};
use crate::domain::gate::inside::event::{Body, VehicleSeen};
use crate::domain::gate::inside::{
    self, Begin, Conflict, Decided, EventId, Inside, InsideAction, Place, Rules, Saved, Step, Stock, Subject, Who,
    ZoneRule,
};
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::{Direction, GateId, LaneId, LaneKind, PersonRef, VehicleClass, ZoneClass, ZoneId};
use crate::domain::time::{ClockTrust, Now, Timestamp};
use crate::mqtt::settings::Broker;

#[path = "exchange_random_tests.rs"]
mod random;

const SILENT: Duration = Duration::from_secs(60);
/// Messages that the broker keeps for who is away; what is beyond is lost.
const BROKER_KEEPS: usize = 20;

fn name(name: &str) -> GatewayId {
    GatewayId::new(name)
}

fn park() -> ZoneId {
    ZoneId::new("park")
}

fn rules(peers: &BTreeSet<GatewayId>) -> Rules {
    let zones = [(park(), ZoneRule::of(ZoneClass::General))].into();
    Rules { zones, peers: peers.clone(), peer_silent_after: SILENT, ..Rules::default() }
}

fn settings(me: &str, peers: &BTreeSet<GatewayId>) -> Settings {
    let second = Duration::from_secs(1);
    let broker = Broker {
        host: "127.0.0.1".into(),
        port: 1883,
        tls: None,
        login: None,
        client_id: me.into(),
        keep_alive: second * 30,
        connect_timeout: second,
        backoff_initial: second,
        backoff_max: second,
    };
    Settings { park: "p".into(), gateway: name(me), peers: peers.clone(), silent_after: SILENT, broker }
}

fn lead() -> Actor {
    Actor { name: "李班长".into(), via: Via::Page, roles: [Role::Supervisor].into() }
}

/// What the gateways must agree on: counts, places, conflicts.
type Known = (Vec<((ZoneId, Stock), (u32, u32))>, BTreeMap<Subject, Place>, BTreeSet<Conflict>);

struct Gateway {
    name: GatewayId,
    peers: BTreeSet<GatewayId>,
    inside: Inside,
    exchange: Exchange,
    boot: u32,
    /// Came out to be stored, and is not yet.
    fresh: Vec<Arc<Event>>,
    stored: Vec<Event>,
    saved: Option<Saved>,
    connected: bool,
    inbox: VecDeque<(String, Vec<u8>)>,
    kept: VecDeque<(String, Vec<u8>)>,
    lacking: Vec<usize>,
}

impl Gateway {
    fn known(&self) -> Known {
        let account = self.inside.account();
        let counts = account.counters().map(|(zone, stock)| ((zone.clone(), *stock), account.count(zone, *stock)));
        let counts = counts.filter(|(_, count)| *count != (0, 0)).collect();
        let places = account.places().map(|(subject, place)| (subject.clone(), place.clone())).collect();
        (counts, places, self.inside.conflicts())
    }

    fn hazmat(&self) -> u32 {
        self.inside.account().count(&park(), Stock::Vehicles(VehicleClass::Hazmat)).0
    }

    fn refused(&self, refusal: Refusal) -> u64 {
        self.exchange.refused().find(|(of, _)| *of == refusal).map_or(0, |(_, n)| n)
    }

    fn drain(&mut self, now: Now) {
        while let Some(output) = self.inside.poll_output() {
            if let inside::Output::Event(event) = output {
                self.fresh.push(event);
            }
        }
        self.saved = Some(self.inside.saved(now));
    }
}

/// The park: its gateways, and the broker between them.
struct Park {
    gateways: Vec<Gateway>,
    ms: u64,
    rng: fastrand::Rng,
    /// Of a hundred messages so many are lost, doubled, and overtake others.
    loses: u8,
    /// Whether what comes out is stored at once.
    stores: bool,
    largest: usize,
}

impl Park {
    fn of(names: &[&str]) -> Self {
        let all: BTreeSet<GatewayId> = names.iter().map(|n| name(n)).collect();
        let mut park = Self {
            gateways: Vec::new(),
            ms: 1_000_000,
            rng: fastrand::Rng::with_seed(7),
            loses: 0,
            stores: true,
            largest: 0,
        };
        for me in names {
            let peers: BTreeSet<GatewayId> = all.iter().filter(|peer| peer.as_str() != *me).cloned().collect();
            park.add(me, peers);
        }
        park
    }

    fn add(&mut self, me: &str, peers: BTreeSet<GatewayId>) {
        let now = self.now();
        self.gateways.push(Gateway {
            name: name(me),
            inside: Inside::new(name(me), 1, rules(&peers), now),
            exchange: Exchange::new(&settings(me, &peers), 1, self.rng.u64(1..1 << 53)),
            peers,
            boot: 1,
            fresh: vec![],
            stored: vec![],
            saved: None,
            connected: false,
            inbox: VecDeque::new(),
            kept: VecDeque::new(),
            lacking: vec![],
        });
        let gateway = self.gateways.last_mut().unwrap();
        gateway.drain(now);
    }

    fn now(&self) -> Now {
        let wall = Timestamp(1_795_651_200_000 + i64::try_from(self.ms).unwrap());
        Now { mono: Mono::from_millis(self.ms), wall, trust: ClockTrust::Synced }
    }

    fn connect(&mut self, n: usize) {
        let now = self.now();
        let gateway = &mut self.gateways[n];
        if !std::mem::replace(&mut gateway.connected, true) {
            gateway.exchange.handle_up(now.mono);
            gateway.inbox.append(&mut gateway.kept);
        }
    }

    fn cut(&mut self, n: usize) {
        let gateway = &mut self.gateways[n];
        gateway.connected = false;
        gateway.inbox.clear();
        gateway.exchange.handle_down();
    }

    fn connect_all(&mut self) {
        (0..self.gateways.len()).for_each(|n| self.connect(n));
    }

    /// The gateway is killed and comes back; what is stored is there again.
    fn restart(&mut self, n: usize) {
        self.store(n);
        self.cut(n);
        let run = self.rng.u64(1..1 << 53);
        let now = self.now();
        let gateway = &mut self.gateways[n];
        gateway.boot += 1;
        let saved = gateway.saved.clone().unwrap();
        let (id, rules) = (gateway.name.clone(), rules(&gateway.peers));
        gateway.inside = Inside::restore(id, gateway.boot, rules, saved, gateway.stored.clone(), &BTreeSet::new(), now);
        gateway.exchange = Exchange::new(&settings(gateway.name.as_str(), &gateway.peers), gateway.boot, run);
        gateway.drain(now);
    }

    /// Stores what came out.
    fn store(&mut self, n: usize) {
        let gateway = &mut self.gateways[n];
        let fresh = std::mem::take(&mut gateway.fresh);
        gateway.stored.extend(fresh.iter().map(|event| Event::clone(event)));
        gateway.exchange.handle_stored(&fresh);
    }

    fn publish(&mut self, from: usize, message: &Message) {
        self.largest = self.largest.max(message.payload.len());
        if !self.gateways[from].connected {
            return;
        }
        for to in 0..self.gateways.len() {
            let filters = self.gateways[to].exchange.filters();
            let matches = |filter: &String| {
                let (of, topic): (Vec<&str>, Vec<&str>) =
                    (filter.split('/').collect(), message.topic.split('/').collect());
                of.len() == topic.len() && of.iter().zip(&topic).all(|(of, word)| *of == "+" || of == word)
            };
            if !filters.iter().any(matches) {
                continue;
            }
            let copies = match self.rng.u8(..100) {
                n if n < self.loses => 0,
                n if n < 2 * self.loses => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let overtakes = self.rng.u8(..100) < self.loses;
                let gateway = &mut self.gateways[to];
                let (queue, most) = if gateway.connected {
                    (&mut gateway.inbox, usize::MAX)
                } else {
                    (&mut gateway.kept, if message.keep { BROKER_KEEPS } else { 0 })
                };
                if queue.len() < most {
                    let at = if overtakes { self.rng.usize(..=queue.len()) } else { queue.len() };
                    queue.insert(at, (message.topic.clone(), message.payload.clone()));
                }
            }
        }
    }

    /// Lets one gateway do what it has to. Returns whether it did anything.
    fn turn(&mut self, n: usize) -> bool {
        let now = self.now();
        if self.stores {
            self.store(n);
        }
        let gateway = &mut self.gateways[n];
        gateway.exchange.handle_timeout(now.mono);
        let message = gateway.inbox.pop_front();
        let mut busy = message.is_some();
        if let Some((topic, payload)) = message {
            gateway.exchange.handle_message(&topic, false, &payload, now.mono);
        }
        while let Some(output) = self.gateways[n].exchange.poll_output() {
            busy = true;
            let gateway = &mut self.gateways[n];
            match output {
                Output::Look => gateway.exchange.handle_have(gateway.inside.have(), now.mono),
                Output::Lacking(peer, have) => {
                    let mut events = gateway.inside.lacking(&have);
                    gateway.lacking.push(events.len());
                    events.retain(|event| !gateway.fresh.contains(event));
                    gateway.exchange.handle_lacking(&peer, &events);
                }
                Output::Take(events) => {
                    gateway.inside.merge(events, now);
                    gateway.drain(now);
                }
                Output::Heard(peer, at) => gateway.inside.heard(peer, Now { mono: at, ..now }),
                Output::Send(message) => self.publish(n, &message),
            }
        }
        busy
    }

    /// Lets seconds go by.
    fn wait(&mut self, secs: u64) {
        let until = self.ms + secs * 1_000;
        while self.ms < until {
            let due = self.gateways.iter().filter_map(|gateway| gateway.exchange.poll_timeout()).min();
            let due = due.map_or(until, Mono::millis);
            self.ms = due.clamp(self.ms + 500, until.max(self.ms + 500));
            while (0..self.gateways.len()).fold(false, |busy, n| self.turn(n) | busy) {}
        }
    }

    fn drive(&mut self, n: usize, way: Direction, plate: &str) -> EventId {
        self.ms += 1;
        let now = self.now();
        let gateway = &mut self.gateways[n];
        let passage = gateway.inside.passage_id();
        let (from, to) = if way == Direction::In { (None, Some(park())) } else { (Some(park()), None) };
        let vehicle = VehicleSeen { plate: Some(Plate::new(plate, PlateColour::Yellow)), class: VehicleClass::Hazmat };
        let who = Who { vehicle: Some(vehicle), persons: vec![PersonRef::new(plate)], ..Who::default() };
        let begin = Begin {
            passage: passage.clone(),
            gate: GateId::new("g"),
            lane: LaneId::new(format!("{}-{way}", gateway.name)),
            lane_kind: LaneKind::Vehicle,
            direction: way,
            crossing: gateway.inside.rules().crossing(from.as_ref(), to.as_ref()),
            who,
            occupants_unknown: false,
            read: None,
            camera: None,
            device_time: None,
            pictures: vec![],
            gross_kg: None,
            episode: None,
        };
        gateway.inside.begin(begin, now).unwrap();
        let decided = Decided { verdict: Verdict::Allow, reasons: vec![], links: Default::default() };
        for step in [Step::Decided(decided), Step::Passing, Step::Completed] {
            gateway.inside.step(&passage, step, now).unwrap();
        }
        gateway.drain(now);
        gateway.fresh.iter().rev().find(|event| matches!(event.body, Body::Crossed(_))).unwrap().id.clone()
    }

    fn void(&mut self, n: usize, event: EventId, reason: &str) {
        let now = self.now();
        let gateway = &mut self.gateways[n];
        let action = InsideAction::Void { event, reason: reason.into() };
        gateway.inside.act(action, &lead(), now).unwrap();
        gateway.drain(now);
    }

    fn heard(&self, n: usize) -> Option<bool> {
        self.gateways[n].inside.peers_heard(self.now().mono)
    }

    fn assert_alike(&self) {
        let first = &self.gateways[0];
        for other in &self.gateways[1..] {
            assert_eq!(first.known(), other.known(), "{} and {} know the same", first.name, other.name);
            assert_eq!(first.inside.have(), other.inside.have(), "{} and {} have the same", first.name, other.name);
        }
    }
}

#[test]
fn what_passes_at_one_gateway_is_known_at_the_other_and_both_hear_one_another() {
    let mut park = Park::of(&["east", "west"]);
    assert_eq!(park.heard(0), Some(false), "nobody was heard yet");
    park.connect_all();
    park.wait(15);
    assert_eq!((park.heard(0), park.heard(1)), (Some(true), Some(true)));
    park.drive(0, Direction::In, "鲁A00001");
    park.drive(1, Direction::In, "鲁A00002");
    park.wait(1);
    assert_eq!((park.gateways[0].hazmat(), park.gateways[1].hazmat()), (2, 2), "at once, not at the next heartbeat");
    assert!(park.gateways.iter().all(|gateway| gateway.lacking.iter().all(|n| *n == 0)), "nothing was sent twice");
    park.drive(1, Direction::Out, "鲁A00001");
    park.wait(1);
    assert_eq!(park.gateways[0].hazmat(), 1);
    park.assert_alike();
}

#[test]
fn a_cut_of_an_hour_is_made_up_for_and_what_was_changed_on_both_sides_is_told() {
    let mut park = Park::of(&["east", "west"]);
    park.connect_all();
    let wrong = park.drive(0, Direction::In, "鲁A00001");
    park.drive(0, Direction::In, "鲁A00002");
    park.wait(20);
    park.cut(1);
    // Both take the same passage back, each in its own words, and go on.
    park.void(0, wrong.clone(), "误读");
    park.void(1, wrong.clone(), "重复");
    for n in 0..60 {
        park.drive(0, Direction::In, &format!("鲁E{n:05}"));
        park.drive(1, Direction::In, &format!("鲁W{n:05}"));
        park.wait(60);
    }
    park.drive(1, Direction::Out, "鲁A00002");
    assert_eq!((park.heard(0), park.heard(1)), (Some(false), Some(false)));
    assert_eq!((park.gateways[0].hazmat(), park.gateways[1].hazmat()), (61, 60), "each knows its own");
    park.connect(1);
    park.wait(30);
    park.assert_alike();
    assert_eq!(park.gateways[0].hazmat(), 120);
    let conflict = Conflict::TwoVersions { id: wrong, version: 2 };
    assert_eq!(park.gateways[1].inside.conflicts(), [conflict].into(), "people are shown that it was changed twice");
    assert_eq!((park.heard(0), park.heard(1)), (Some(true), Some(true)));
}

#[test]
fn a_gateway_that_was_off_for_a_day_gets_it_in_bounded_pieces_and_only_then_counts_as_heard() {
    let mut park = Park::of(&["east", "west"]);
    park.connect(0);
    for n in 0..1_200 {
        park.drive(0, Direction::In, &format!("鲁E{n:05}"));
        if n % 100 == 0 {
            park.wait(10);
        }
    }
    // A broker that kept nothing for it.
    park.gateways[1].kept.clear();
    park.connect(1);
    park.wait(30);
    park.assert_alike();
    assert_eq!(park.gateways[1].hazmat(), 1_200);
    assert!(park.gateways[0].lacking.iter().all(|n| *n <= BATCH), "{:?}", park.gateways[0].lacking);
    assert!(park.gateways[0].lacking.iter().filter(|n| **n > 0).count() >= 3);
    assert!(park.largest <= PART + PART / 4, "{} bytes in one message", park.largest);
    assert_eq!(park.heard(1), Some(true));
}

#[test]
fn a_peer_that_is_being_caught_up_with_does_not_count_as_heard_yet() {
    let mut park = Park::of(&["east", "west"]);
    for n in 0..1_200 {
        park.drive(0, Direction::In, &format!("鲁E{n:05}"));
    }
    park.connect_all();
    // Message by message, as they come.
    for _ in 0..2_000 {
        park.ms += 10;
        park.turn(0);
        park.turn(1);
        if park.gateways[1].hazmat() < 1_200 {
            assert_eq!(park.heard(1), Some(false), "with {} of 1200", park.gateways[1].hazmat());
        }
    }
    assert_eq!((park.heard(1), park.gateways[1].hazmat()), (Some(true), 1_200));
}

#[test]
fn what_is_not_stored_is_given_to_nobody_also_not_when_asked_for() {
    let mut park = Park::of(&["east", "west"]);
    park.connect_all();
    park.wait(15);
    park.stores = false;
    park.drive(0, Direction::In, "鲁A00001");
    park.wait(120);
    assert_eq!((park.gateways[0].hazmat(), park.gateways[1].hazmat()), (1, 0));
    assert!(park.gateways[0].lacking.contains(&1), "it was asked for");
    park.stores = true;
    park.wait(1);
    assert_eq!(park.gateways[1].hazmat(), 1);
    // Sharing alone is started anew: what is stored already may be given.
    park.cut(0);
    park.drive(0, Direction::In, "鲁A00002");
    park.store(0);
    let east = &mut park.gateways[0];
    east.exchange = Exchange::new(&settings("east", &east.peers), 1, 99);
    park.connect(0);
    park.wait(20);
    assert_eq!(park.gateways[1].hazmat(), 2);
}

#[test]
fn what_could_not_be_shared_before_a_restart_is_shared_after_it() {
    let mut park = Park::of(&["east", "west"]);
    park.drive(0, Direction::In, "鲁A00001");
    park.drive(0, Direction::In, "鲁A00002");
    park.store(0);
    park.restart(0);
    park.drive(0, Direction::In, "鲁A00003");
    park.connect_all();
    park.wait(20);
    assert_eq!(park.gateways[1].hazmat(), 3);
    park.assert_alike();
    // The other way round: the one that took it in is restarted, and has it still.
    park.restart(1);
    assert_eq!(park.gateways[1].hazmat(), 3);
    park.connect(1);
    park.wait(20);
    assert_eq!((park.gateways[1].hazmat(), park.heard(1)), (3, Some(true)));
}

#[test]
fn a_gateway_whose_store_was_lost_gets_its_own_earlier_events_back() {
    let mut park = Park::of(&["east", "west"]);
    park.connect_all();
    park.drive(0, Direction::In, "鲁A00001");
    park.wait(20);
    park.store(0);
    park.gateways[0].stored.clear();
    park.restart(0);
    assert_eq!(park.gateways[0].hazmat(), 0);
    park.connect(0);
    park.wait(20);
    assert_eq!(park.gateways[0].hazmat(), 1);
    assert_eq!(park.gateways[0].refused(Refusal::Own), 0);
    park.assert_alike();
}

#[test]
fn hellos_that_a_broker_kept_prove_nothing() {
    let mut park = Park::of(&["east", "west"]);
    park.connect_all();
    park.wait(15);
    let (topic, old) = (park.gateways[1].exchange.topics.to_all(), {
        let me = &park.gateways[1].exchange.me;
        let east = &park.gateways[0].exchange;
        let heard = vec![Echo { gateway: name("east"), run: east.me.run, n: east.n }];
        message::write(me, &Say::Hello { n: 1_000, heard, digest: east.mine.clone().unwrap().1 })
    });
    park.cut(1);
    park.wait(120);
    assert_eq!(park.heard(0), Some(false));
    park.gateways[0].inbox.push_back((topic, old));
    park.wait(1);
    assert_eq!(park.heard(0), Some(false), "it names a hello of two minutes ago");
}

#[test]
fn a_way_that_is_open_in_one_direction_only_counts_as_cut() {
    let mut park = Park::of(&["east", "west"]);
    park.connect_all();
    park.wait(15);
    for _ in 0..120 {
        // What east says is not heard by west.
        park.gateways[1].inbox.retain(|(topic, _)| !topic.contains("/east/"));
        park.ms += 1_000;
        while park.turn(1) {}
        let from_west: Vec<_> = park.gateways[0].inbox.drain(..).collect();
        for message in from_west {
            park.gateways[0].inbox.push_back(message);
            while park.turn(0) {}
        }
        park.turn(0);
        park.gateways[1].inbox.clear();
    }
    assert_eq!((park.heard(0), park.heard(1)), (Some(false), Some(false)));
}

#[test]
fn forged_foreign_and_misshapen_messages_move_nothing_and_are_counted() {
    let mut park = Park::of(&["east", "west"]);
    park.connect_all();
    park.wait(15);
    let before = park.gateways[0].known();
    let topic = |of: &str| Topics::new("p", &name(of)).to_all();
    let event = {
        let mut other = Park::of(&["south", "west"]);
        other.drive(0, Direction::In, "鲁A00009");
        serde_json::value::to_raw_value(&*other.gateways[0].fresh[0]).unwrap()
    };
    let say = |of: &str, boot| {
        let speaker = Speaker { gateway: name(of), boot, run: 5 };
        message::write(&speaker, &Say::Events { events: vec![event.clone()], then: None })
    };
    let east = &mut park.gateways[0].exchange;
    let now = Mono::from_millis(2_000_000);
    east.handle_message(&topic("south"), false, &say("south", 1), now);
    east.handle_message(&topic("west"), false, &say("south", 1), now);
    east.handle_message(&topic("west"), false, &say("west", 1), now);
    for n in [1, 2, 3] {
        let twin = Speaker { gateway: name("east"), boot: 1, run: 5 };
        let hello = message::write(&twin, &Say::Hello { n, heard: vec![], digest: String::new() });
        east.handle_message(&topic("east"), false, &hello, now);
    }
    east.handle_message(&topic("west"), true, &say("west", 1), now);
    east.handle_message(&topic("west"), false, b"{\"v\":9}", now);
    east.handle_message(&topic("west"), false, &vec![b'x'; MAX_MESSAGE + 1], now);
    east.handle_message(&topic("west"), false, b"no json", now);
    let refused: Vec<(&str, u64)> = east.refused().map(|(of, n)| (of.as_str(), n)).collect();
    let expected = [
        ("forged", 2),
        ("twin", 2),
        ("too_large", 1),
        ("unreadable", 1),
        ("version", 1),
        ("retained", 1),
        ("stranger", 1),
    ];
    assert_eq!(refused, expected);
    park.wait(5);
    assert_eq!(park.gateways[0].known(), before);
}

#[test]
fn a_gateway_that_one_side_does_not_know_holds_up_nothing() {
    // West shares with north too, of which east was told nothing; north's name comes before west's.
    let mut park = Park::of(&[]);
    park.add("east", [name("west")].into());
    park.add("west", [name("east"), name("north")].into());
    park.add("north", [name("west")].into());
    for n in 0..BATCH + 100 {
        park.drive(2, Direction::In, &format!("鲁N{n:05}"));
    }
    park.connect(1);
    park.connect(2);
    park.wait(30);
    assert_eq!(park.gateways[1].hazmat(), 600);
    park.drive(1, Direction::In, "鲁A00001");
    park.connect(0);
    park.wait(30);
    assert_eq!(park.gateways[0].hazmat(), 1, "west's own, and none of north's");
    assert_eq!(park.heard(0), Some(true));
    assert_eq!(park.gateways[0].refused(Refusal::Stranger), 0, "they were not even sent");
}
