//! Stories of a line in virtual time: both sessions share it, and what is urgent waits for nothing.

use super::*;
use crate::uplink::flight::Cargo;

const STEP: Duration = Duration::from_millis(5);
const REGISTRY: Feed = Feed::Stream(Stream::Registry);

/// The shortest that the configuration allows.
const SHORT: Duration = Duration::from_secs(5);

fn flight(now: Mono) -> Flight {
    Flight::new(100, SHORT, now)
}

/// A message on the line.
struct Sent {
    session: Session,
    pkid: u16,
    arrives: Mono,
    feed: Feed,
    lane: Lane,
    clock: String,
    records: Vec<(u64, String)>,
}

/// A record at the broker.
#[derive(Clone, Debug)]
struct Arrived {
    at: Mono,
    feed: Feed,
    lane: Lane,
    seq: u64,
    /// Its own time and the trust in it, as on the wire.
    t: String,
    clock: String,
}

/// A gateway with a store at one end of a line, a broker at the other. The line is one queue for both sessions.
struct Line {
    /// Bytes a second.
    rate: usize,
    now: Mono,
    /// When the line has sent all it was given.
    free: Mono,
    outbox: Outbox<Empty>,
    flights: [Flight; 2],
    on_line: VecDeque<Sent>,
    last_pkid: u16,
    stored: BTreeMap<(Feed, u64), Entry>,
    next: BTreeMap<Feed, u64>,
    /// Whether the store takes anything.
    stores: bool,
    up: bool,
    /// What the wall clock shows at the start, and how far it is believed.
    wall: (i64, ClockTrust),
    arrived: Vec<Arrived>,
    /// How long a ping would have waited behind what was on the line, at worst.
    longest_ping: Duration,
}

impl Line {
    fn new(rate: usize) -> Self {
        let now = Mono::default();
        Self {
            rate,
            now,
            free: now,
            outbox: outbox(64 << 10),
            flights: [flight(now), flight(now)],
            longest_ping: Duration::ZERO,
            on_line: VecDeque::new(),
            last_pkid: 0,
            stored: BTreeMap::new(),
            next: BTreeMap::new(),
            stores: true,
            up: true,
            wall: (0, ClockTrust::Synced),
            arrived: Vec::new(),
        }
    }

    fn wall(&self) -> Now {
        Now { mono: self.now, wall: Timestamp(self.wall.0).after(self.now.since_start()), trust: self.wall.1 }
    }

    /// A record is made, told live and (where there is a store) stored at once.
    fn make(&mut self, feed: Feed, bytes: usize) -> u64 {
        let next = self.next.entry(feed).or_insert(1);
        let seq = *next;
        *next += 1;
        let now = self.wall();
        let mut made = entry(seq, 1, &"x".repeat(bytes));
        made.stamp = Stamp { mono: now.mono, wall: now.wall, trust: now.trust, ..made.stamp };
        let size = made.body.len();
        self.outbox.feed(feed).on_live(seq, Item::Entry(made.clone()), size, self.now);
        if self.stores {
            self.stored.insert((feed, seq), made);
            self.outbox.feed(feed).on_committed(seq, seq + 1);
        }
        seq
    }

    fn connect(&mut self, up: bool) {
        self.up = up;
        self.on_line.clear();
        self.free = self.now;
        self.flights = [flight(self.now), flight(self.now)];
        for session in [Session::Urgent, Session::Bulk] {
            self.outbox.on_session(session, up);
        }
    }

    /// Lets a moment pass.
    fn step(&mut self) {
        self.now = self.now + STEP;
        if self.now.millis().is_multiple_of(500) {
            Feed::ALL.into_iter().for_each(|feed| self.outbox.feed(feed).settle());
        }
        while self.on_line.front().is_some_and(|sent| sent.arrives <= self.now) {
            let Some(sent) = self.on_line.pop_front() else { break };
            let Some(Cargo::Batch(batch)) = self.flights[sent.session.index()].on_puback(sent.pkid, self.now) else {
                panic!("a batch was sent")
            };
            self.outbox.on_puback(batch, self.now);
            let Sent { arrives: at, feed, lane, clock, records, .. } = sent;
            let arrived = |(seq, t)| Arrived { at, feed, lane, seq, t, clock: clock.clone() };
            self.arrived.extend(records.into_iter().map(arrived));
        }
        if self.up {
            self.read();
            self.publish();
        }
    }

    fn read(&mut self) {
        for (feed, read) in self.outbox.reads(self.now) {
            let found = self.stored.range((feed, *read.seqs.start())..=(feed, *read.seqs.end()));
            let items = found.map(|((_, seq), e)| (*seq, e.body.len(), Item::Entry(e.clone()))).collect();
            self.outbox.feed(feed).on_page(&read, items, &[], self.now);
        }
    }

    fn publish(&mut self) {
        let now = self.wall();
        let line = self.flights.iter().filter_map(Flight::rate).reduce(f64::max);
        self.flights.iter_mut().for_each(|flight| flight.note_line(line));
        for session in [Session::Urgent, Session::Bulk] {
            while let Some(message) = self.outbox.next(session, &self.flights[session.index()], now) {
                self.last_pkid = self.last_pkid.wrapping_add(1);
                let flight = &mut self.flights[session.index()];
                flight.offer(Cargo::Batch(message.batch), message.paced, message.payload.len(), self.now);
                flight.on_published(self.last_pkid);
                let envelope = json(&message);
                // A record in parts is there with the last of them.
                let whole = |r: &&Json| r.get("part").is_none_or(|part| part["no"] == part["of"]);
                let records = envelope["records"].as_array().unwrap().iter().filter(whole);
                let records = records.map(|r| (r["seq"].as_u64().unwrap(), r["t"].as_str().unwrap().into())).collect();
                let bytes = message.payload.len();
                self.free = self.free.max(self.now) + Duration::from_micros((bytes * 1_000_000 / self.rate) as u64);
                self.longest_ping = self.longest_ping.max(self.free.since(self.now));
                let (pkid, feed, lane, arrives) = (self.last_pkid, message.feed, message.lane, self.free);
                let clock = envelope["clock"].as_str().unwrap().to_owned();
                self.on_line.push_back(Sent { session, pkid, arrives, feed, lane, clock, records });
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while self.now < until {
            self.step();
        }
    }

    fn of(&self, feed: Feed) -> Vec<&Arrived> {
        self.arrived.iter().filter(|a| a.feed == feed).collect()
    }
}

/// A registry under way, a backlog, and live readings: what an alarm may meet on its way.
fn busy(rate: usize, reading: usize, backlog: usize) -> Line {
    let mut line = Line::new(rate);
    line.connect(false);
    for _ in 0..backlog {
        line.make(TELEMETRY, 500);
    }
    line.connect(true);
    line.make(REGISTRY, 1_000_000);
    for _ in 0..10 {
        line.make(TELEMETRY, reading);
        line.pass(Duration::from_secs(1));
    }
    line
}

#[test]
fn on_a_thin_line_no_registry_and_no_backlog_delays_an_alarm_or_a_live_value() {
    // 64 kbit/s, a quarter of it for live readings.
    let mut line = busy(8_000, 2_000, 500);
    assert!(line.of(REGISTRY).is_empty(), "the registry is still under way");
    for _ in 0..20 {
        let made = line.now;
        let (alarm, reading) = (line.make(ALARM, 300), line.make(TELEMETRY, 2_000));
        line.pass(Duration::from_secs(4));
        let took = |feed, seq| {
            let arrived = line.of(feed).into_iter().find(|a| a.seq == seq && a.lane == Lane::Live);
            arrived.map(|a| a.at.since(made))
        };
        // What is on the line already: a second of it of the paced kind, and the live reading.
        let (alarm, reading) = (took(ALARM, alarm), took(TELEMETRY, reading));
        assert!(alarm.is_some_and(|t| t < Duration::from_millis(1_700)), "{alarm:?}");
        assert!(reading.is_some_and(|t| t < Duration::from_millis(2_200)), "{reading:?}");
    }
    line.pass(Duration::from_secs(300));
    assert_eq!(line.of(REGISTRY).len(), 1, "and all of it arrives");
    assert_eq!(line.of(TELEMETRY).len(), 500 + 10 + 20);
}

#[test]
fn a_flood_of_a_thousand_alarms_behind_a_full_bulk_session_delays_none_by_a_second() {
    // 8 Mbit/s, of which the alarms of that second need a half.
    let mut line = busy(1 << 20, 50_000, 30_000);
    let mut made = BTreeMap::new();
    for _ in 0..1_000 {
        made.insert(line.make(ALARM, 300), line.now);
        if made.len().is_multiple_of(5) {
            line.step();
        }
    }
    assert!(line.of(TELEMETRY).len() < 25_000, "the backlog is under way");
    line.pass(Duration::from_secs(2));
    let alarms = line.of(ALARM);
    assert_eq!(
        alarms.iter().map(|a| a.seq).collect::<Vec<_>>(),
        (1..=1_000).collect::<Vec<_>>(),
        "each once, in order"
    );
    let worst = alarms.iter().map(|a| a.at.since(made[&a.seq])).max();
    assert!(worst.is_some_and(|t| t < Duration::from_secs(1)), "{worst:?}");
}

/// An hour without the broker, with an alarm each minute and a reading each second; then two minutes with it.
fn an_hour_of_outage(stores: bool) -> Line {
    let mut line = Line::new(8_000);
    line.stores = stores;
    line.connect(false);
    for second in 0..3_600 {
        if second % 60 == 0 {
            line.make(ALARM, 300);
        }
        line.make(TELEMETRY, 500);
        line.now = line.now + Duration::from_secs(1);
    }
    line.connect(true);
    for _ in 0..120 {
        line.make(TELEMETRY, 500);
        line.pass(Duration::from_secs(1));
    }
    line
}

#[test]
fn after_an_hour_without_the_broker_its_alarms_come_first_with_their_own_times_as_history() {
    let line = an_hour_of_outage(true);
    let alarms = line.of(ALARM);
    let own: Vec<String> = (0..60).map(|minute| Timestamp(minute * 60_000).to_string()).collect();
    assert_eq!(alarms.iter().map(|a| a.t.clone()).collect::<Vec<_>>(), own, "in order, each with its own time");
    assert!(alarms.iter().all(|a| a.lane == Lane::History));
    assert_eq!(line.arrived[0].feed, ALARM, "the first of all");
    let last = alarms.iter().map(|a| a.at).max().unwrap();
    // 60 alarms are 30 kB, a tenth of the hour's readings of 2.4 MB; these share the line and wait for none of them.
    let readings_before = line.of(TELEMETRY).iter().filter(|a| a.lane == Lane::History && a.at < last).count();
    assert!(last.since(Mono::from_secs(3_600)) < Duration::from_secs(12) && readings_before < 150, "{last:?}");
}

#[test]
fn with_a_store_that_never_commits_the_alarms_of_an_outage_come_from_memory_first_with_their_own_times() {
    let line = an_hour_of_outage(false);
    let alarms = line.of(ALARM);
    let own: Vec<String> = (0..60).map(|minute| Timestamp(minute * 60_000).to_string()).collect();
    assert_eq!(alarms.iter().map(|a| a.t.clone()).collect::<Vec<_>>(), own);
    assert_eq!(line.arrived[0].feed, ALARM);
}

#[test]
fn the_set_of_active_alarms_in_parts_delays_no_alarm() {
    let mut line = Line::new(8_000);
    line.make(ALARM, 200_000);
    line.pass(Duration::from_secs(2));
    for _ in 0..5 {
        let (seq, made) = (line.make(ALARM, 300), line.now);
        line.pass(Duration::from_secs(2));
        let arrived = line.of(ALARM).into_iter().find(|a| a.seq == seq).map(|a| a.at.since(made));
        assert!(arrived.is_some_and(|t| t < Duration::from_millis(1_500)), "{arrived:?}");
    }
    line.pass(Duration::from_secs(60));
    assert!(line.of(ALARM).iter().any(|a| a.seq == 1));
}

#[test]
fn on_the_slowest_line_the_shortest_keep_alive_is_kept_and_all_arrives() {
    // 16 kbit/s, a third of it for live readings.
    let mut line = busy(2_000, 500, 100);
    for _ in 0..600 {
        line.make(TELEMETRY, 500);
        line.pass(Duration::from_secs(1));
    }
    assert_eq!(line.of(REGISTRY).len(), 0, "a megabyte takes longer than that");
    assert_eq!(line.of(ALARM).len(), 0);
    let alarm = (line.make(ALARM, 300), line.now);
    line.pass(Duration::from_secs(8));
    let arrived = line.of(ALARM).first().map(|a| (a.seq, a.at.since(alarm.1)));
    assert!(arrived.is_some_and(|(seq, took)| seq == alarm.0 && took < SHORT), "{arrived:?}");
    assert!(line.longest_ping < SHORT, "{:?}", line.longest_ping);
    let live = line.of(TELEMETRY).iter().filter(|a| a.lane == Lane::Live).count();
    assert!(live > 590, "{live}");
}

#[test]
fn a_clock_that_steps_delays_nothing_reorders_nothing_and_each_record_keeps_its_time_and_its_mark() {
    const NOW: i64 = 1_795_420_800_000;
    let cases = [
        ((0, ClockTrust::Unsynced), (NOW, ClockTrust::Synced)),
        ((NOW, ClockTrust::Synced), (NOW - 3_600_000, ClockTrust::Synced)),
        ((NOW, ClockTrust::Synced), (NOW + 10 * 31_556_952_000, ClockTrust::Synced)),
    ];
    for (before, after) in cases {
        let mut line = Line::new(8_000);
        let mut made = Vec::new();
        // The step falls into an outage, from the 20th to the 40th second.
        for second in 0..60 {
            line.wall = if second < 30 { before } else { after };
            match second {
                20 => line.connect(false),
                40 => line.connect(true),
                _ => {}
            }
            let now = line.wall();
            line.make(TELEMETRY, 300);
            made.push((line.make(ALARM, 300), now.wall.to_string(), now.trust.as_str().to_owned()));
            line.pass(Duration::from_secs(1));
        }
        line.pass(Duration::from_secs(20));
        let alarms = line.of(ALARM);
        let mut told: Vec<_> = alarms.iter().map(|a| (a.seq, a.t.clone(), a.clock.clone())).collect();
        for lane in [Lane::Live, Lane::History] {
            assert!(alarms.iter().filter(|a| a.lane == lane).map(|a| a.seq).is_sorted(), "{lane:?}");
        }
        told.sort();
        assert_eq!(told, made, "each once, as it was stamped");
        assert_eq!(line.of(TELEMETRY).len(), 60);
        let live = alarms.iter().filter(|a| a.lane == Lane::Live);
        let late = live.filter(|a| a.at.since(Mono::from_secs(a.seq - 1)) > Duration::from_secs(3)).count();
        assert_eq!(late, 0, "timeouts run on the other clock");
    }
}
