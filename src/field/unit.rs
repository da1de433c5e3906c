//! One device behind a link: its poll classes, and whether it answers.
//!
//! ```text
//!                    answer                       fault, or the link is down
//!   Connecting ───────────────▶ Up ───────────────────────────────▶ Down(until)
//!        └────────────── fault ──────────────────────────────────▶   │  ▲
//!                               ▲                                     │  └─ fault: until = now + next back-off
//!                               └──── answer to the one probe ────────┘
//! ```
//!
//! While a device is down and `until` has not come, a poll that falls due is done at once without asking: all points
//! `comm`, the poll not ok. The first poll due after `until` sends one request; that is the probe. A fault ends all polls
//! of the device that are under way, so a silent device costs the link one timeout per back-off step. When it answers
//! again, what it missed is polled at once. On a bus the request that is the probe may be put otherwise than the poll
//! wants ([`super::modbus::owed`]); its answer is no reading, and the poll goes on with what it wants.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::field_event::{FieldEvent, LOST_AFTER, LinkChange, LinkState};
use crate::domain::id::DeviceSlot;
use crate::domain::time::Mono;

use super::backoff::Backoff;
use super::modbus::class::{Ask, Class};
use super::modbus::{Answer, Meaning, meaning_of, words_of};
use super::outbox::Outbox;
use super::settings::Device;

/// See the module.
#[derive(Debug)]
pub struct Unit {
    slot: DeviceSlot,
    device: Arc<Device>,
    classes: Vec<Class>,
    health: Health,
    backoff: Backoff,
    not_before: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Connecting,
    Up,
    Down { since: Mono, until: Mono },
}

/// When a class of a device can go on, and how urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Index of the class.
    pub class: usize,
    /// Earliest time.
    pub at: Mono,
    /// When it should be over; the earliest goes first.
    pub deadline: Mono,
}

impl Unit {
    /// Returns a device that has not been asked yet, and says so.
    pub fn new(slot: DeviceSlot, device: Arc<Device>, now: Mono, out: &mut Outbox) -> Self {
        let classes = device.classes.iter().zip(0..=u8::MAX);
        let classes = classes.map(|(class, index)| Class::new(slot, &device, index, class.interval, now)).collect();
        let backoff = Backoff::new(device.backoff_initial, device.backoff_max);
        out.events.push(FieldEvent::Link(LinkChange { slot, at: now, state: LinkState::Connecting }));
        Self { slot, device, classes, health: Health::Connecting, backoff, not_before: Mono::default() }
    }

    /// Returns its slot.
    pub fn slot(&self) -> DeviceSlot {
        self.slot
    }

    /// Returns its settings.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Returns whether its last request was answered.
    pub fn is_up(&self) -> bool {
        self.health == Health::Up
    }

    /// Returns whether its last request failed.
    pub fn is_down(&self) -> bool {
        matches!(self.health, Health::Down { .. })
    }

    /// Returns when each of its classes can go on.
    pub fn ready(&self) -> impl Iterator<Item = Ready> {
        self.classes.iter().enumerate().filter(|(_, class)| !class.is_empty()).map(|(index, class)| {
            let grid = class.grid();
            let due = if class.is_under_way() { Mono::default() } else { grid.due() };
            let at = if self.is_resting(due) { due } else { due.max(self.not_before) };
            Ready { class: index, at, deadline: grid.deadline() }
        })
    }

    /// Does the next step of a class that is ready: returns what to ask, or `None` when the poll was ended here.
    pub fn step(&mut self, class: usize, now: Mono, out: &mut Outbox) -> Option<Ask> {
        let resting = self.is_resting(now);
        let class = self.classes.get_mut(class)?;
        if resting {
            class.pass(now, out);
            return None;
        }
        class.ask(&self.device, now, out)
    }

    /// Takes the answer to the request of [`Unit::step`], sent at `sent` and received at `now`.
    pub fn answered(
        &mut self,
        class: usize,
        answer: &Answer,
        sent: Mono,
        now: Mono,
        rng: &mut fastrand::Rng,
        out: &mut Outbox,
    ) {
        self.not_before = now + self.device.request_gap;
        if let Answer::Exception(code) = answer
            && meaning_of(*code) == Meaning::NoDevice
        {
            return self.failed(words_of(*code), now, rng, out);
        }
        self.up(now, out);
        let Some(class) = self.classes.get_mut(class) else { return };
        class.answered(&self.device, answer, sent + now.since(sent) / 2, now, out);
        if !class.is_under_way() {
            self.backoff.reset();
        }
    }

    /// Takes the answer to a probe received at `now`: the device answers, and what the poll wants is asked next.
    pub fn probed(&mut self, answer: &Answer, now: Mono, rng: &mut fastrand::Rng, out: &mut Outbox) {
        self.not_before = now + self.device.request_gap;
        match answer {
            Answer::Exception(code) if meaning_of(*code) == Meaning::NoDevice => {
                self.failed(words_of(*code), now, rng, out);
            }
            Answer::Exception(_) | Answer::Registers(_) | Answer::Bits(_) => self.up(now, out),
        }
    }

    /// Returns what the device is known to have, in parts of what it is asked for: those of the class `first` first.
    pub fn known(&self, first: usize) -> impl Iterator<Item = Ask> {
        let others = self.classes.iter().enumerate().filter(move |(index, _)| *index != first).map(|(_, class)| class);
        self.classes.get(first).into_iter().chain(others).flat_map(Class::known)
    }

    /// Notes that the device did not answer: back-off, and all its polls under way end.
    pub fn failed(&mut self, reason: &str, now: Mono, rng: &mut fastrand::Rng, out: &mut Outbox) {
        self.failed_for(reason, Duration::ZERO, now, rng, out);
    }

    /// As [`Unit::failed`], but it rests for `at_least` this long.
    pub fn failed_for(
        &mut self,
        reason: &str,
        at_least: Duration,
        now: Mono,
        rng: &mut fastrand::Rng,
        out: &mut Outbox,
    ) {
        let until = now + self.backoff.fail(rng).max(at_least);
        self.down(reason, until, now, out);
    }

    /// Notes that the link is down until `until`; the device's own back-off, if longer, stands.
    pub fn down(&mut self, reason: &str, until: Mono, now: Mono, out: &mut Outbox) {
        let (since, until) = match self.health {
            Health::Down { since, until: own } => (since, until.max(own)),
            Health::Connecting | Health::Up => (now, until),
        };
        self.health = Health::Down { since, until };
        self.not_before = now + self.device.request_gap;
        // The link first: what a poll has not read any more is silent because the device is, and not by itself.
        let place = out.events.len();
        for class in &mut self.classes {
            class.abandon(&self.device, now, out);
        }
        let retry = self.next_probe(until).since(now);
        self.tell(now, LinkState::Down { reason: reason.to_owned(), retry }, out);
        if let Some(unread) = out.events.get_mut(place..) {
            unread.rotate_right(1);
        }
    }

    fn up(&mut self, now: Mono, out: &mut Outbox) {
        let before = std::mem::replace(&mut self.health, Health::Up);
        if before != Health::Up {
            self.tell(now, LinkState::Up, out);
        }
        if let Health::Down { since, .. } = before {
            let lost = now.since(since) >= LOST_AFTER;
            self.classes.iter_mut().for_each(|class| class.catch_up(lost, now));
        }
    }

    fn tell(&self, at: Mono, state: LinkState, out: &mut Outbox) {
        out.events.push(FieldEvent::Link(LinkChange { slot: self.slot, at, state }));
    }

    fn is_resting(&self, now: Mono) -> bool {
        matches!(self.health, Health::Down { until, .. } if now < until)
    }

    /// Returns when the first poll after `until` is due.
    fn next_probe(&self, until: Mono) -> Mono {
        let polled = self.classes.iter().filter(|class| !class.is_empty());
        polled.map(|class| class.grid().first_from(until)).min().unwrap_or(until)
    }
}

/// Returns whichever of two is to be done first; with `now`, only what is ready counts as urgent.
pub fn first<T>(a: (T, Ready), b: (T, Ready), now: Mono) -> (T, Ready) {
    let key = |ready: &Ready| (ready.at > now, if ready.at > now { ready.at } else { ready.deadline });
    if key(&b.1) < key(&a.1) { b } else { a }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::settings::{Encoding, Point, PollClass, Table, testing};
    use super::*;
    use crate::domain::field_event::Poll;
    use crate::domain::id::DeviceId;
    use crate::domain::reading::{Quality, Reading, Value};
    use proptest::prelude::*;

    const SLOT: DeviceSlot = DeviceSlot(7);

    fn point(class: u8, table: Table, address: u16, encoding: Encoding) -> Point {
        Point { class, ..testing::point(table, address, encoding) }
    }

    fn holding(addresses: impl IntoIterator<Item = u16>) -> Vec<Point> {
        addresses.into_iter().map(|a| point(0, Table::Holding, a, Encoding::U16)).collect()
    }

    fn device(points: Vec<Point>) -> Device {
        let class = |name: &str, ms| PollClass { name: name.to_owned(), interval: Duration::from_millis(ms) };
        Device { classes: vec![class("fast", 200), class("normal", 1000)], ..testing::device(points) }
    }

    /// What the device behind the unit knows.
    #[derive(Clone, Debug)]
    struct Model {
        illegal: BTreeSet<u16>,
        most: u16,
        exception: Option<u8>,
    }

    impl Model {
        fn with_illegal(illegal: impl IntoIterator<Item = u16>) -> Self {
            Self { illegal: illegal.into_iter().collect(), most: 125, exception: None }
        }

        /// Each register holds its own address.
        fn answer(&self, ask: Ask) -> Answer {
            let mut asked = ask.start..ask.start + ask.count;
            match self.exception {
                Some(code) => Answer::Exception(code),
                None if ask.count > self.most => Answer::Exception(3),
                None if asked.any(|a| self.illegal.contains(&a)) => Answer::Exception(2),
                None => Answer::Registers((ask.start..ask.start + ask.count).collect()),
            }
        }
    }

    /// A unit driven by hand: one class, one poll at a time.
    struct Bench {
        unit: Unit,
        now: Mono,
        rng: fastrand::Rng,
        out: Outbox,
    }

    struct Seen {
        asks: Vec<Ask>,
        readings: BTreeMap<u16, Reading>,
        poll: Poll,
    }

    impl Bench {
        fn new(device: Device) -> Self {
            let (now, mut out) = (Mono::from_secs(1000), Outbox::default());
            let unit = Unit::new(SLOT, Arc::new(device), now, &mut out);
            assert_eq!(states(&out), [LinkState::Connecting]);
            out.events.clear();
            Self { unit, now, rng: fastrand::Rng::with_seed(1), out }
        }

        fn ready(&self, class: usize) -> Ready {
            self.unit.ready().find(|ready| ready.class == class).unwrap()
        }

        /// Runs the next poll of a class to its end; `answer` is `None` for silence.
        fn poll(&mut self, class: usize, answer: impl Fn(Ask) -> Option<Answer>) -> Seen {
            self.now = self.now.max(self.ready(class).at);
            let mut asks = Vec::new();
            while let Some(ask) = self.unit.step(class, self.now, &mut self.out) {
                asks.push(ask);
                let sent = self.now;
                self.now = self.now + Duration::from_millis(2);
                match answer(ask) {
                    Some(answer) => {
                        self.unit.answered(class, &answer, sent, self.now, &mut self.rng, &mut self.out);
                    }
                    None => self.unit.failed("silent", self.now, &mut self.rng, &mut self.out),
                }
                if self.out.events.iter().any(|e| matches!(e, FieldEvent::Poll(_))) {
                    break;
                }
            }
            self.seen(asks)
        }

        fn seen(&mut self, asks: Vec<Ask>) -> Seen {
            let mut readings = BTreeMap::new();
            let mut polls = Vec::new();
            for event in self.out.events.drain(..) {
                match event {
                    FieldEvent::Sample(sample) => {
                        assert!(sample.readings.is_sorted_by(|a, b| a.0 < b.0), "ascending ordinals");
                        for (ordinal, reading) in sample.readings {
                            assert_eq!(readings.insert(ordinal, reading), None, "one reading per point and poll");
                        }
                    }
                    FieldEvent::Poll(poll) => polls.push(poll),
                    FieldEvent::Link(_) | FieldEvent::Gap(_) => {}
                }
            }
            assert_eq!(polls.len(), 1);
            Seen { asks, readings, poll: polls[0] }
        }
    }

    fn states(out: &Outbox) -> Vec<LinkState> {
        let change = |event: &FieldEvent| match event {
            FieldEvent::Link(change) => Some(change.state.clone()),
            FieldEvent::Sample(_) | FieldEvent::Poll(_) | FieldEvent::Gap(_) => None,
        };
        out.events.iter().filter_map(change).collect()
    }

    fn number(value: u16) -> Reading {
        Reading::good(Value::Number(f64::from(value)))
    }

    #[test]
    fn one_bad_register_among_a_hundred_is_found_and_then_no_longer_asked() {
        let mut bench = Bench::new(device(holding(0..100)));
        let model = Model::with_illegal([37]);
        let first = bench.poll(0, |ask| Some(model.answer(ask)));
        assert!(!first.poll.ok && first.asks.len() <= 15, "{} requests", first.asks.len());
        let second = bench.poll(0, |ask| Some(model.answer(ask)));
        assert_eq!(second.asks.iter().map(|a| (a.start, a.count)).collect::<Vec<_>>(), [(0, 37), (38, 62)]);
        assert!(second.poll.ok);
        for seen in [first, second] {
            for address in 0..100 {
                let expected = if address == 37 { Reading::missing(Quality::Sensor) } else { number(address) };
                assert_eq!(seen.readings[&address], expected);
            }
        }
        assert_eq!(bench.out.refused.len(), 1, "said once");
    }

    #[test]
    fn what_a_slow_class_missed_is_polled_when_the_device_answers_again_and_its_grid_stands() {
        let mut device =
            device(vec![point(0, Table::Holding, 0, Encoding::U16), point(1, Table::Holding, 9, Encoding::U16)]);
        device.classes[1].interval = Duration::from_secs(3600);
        let mut bench = Bench::new(device);
        let model = Model::with_illegal([]);
        bench.poll(1, |ask| Some(model.answer(ask)));
        let due = bench.ready(1).at;
        let answers_again = |bench: &mut Bench| {
            while !bench.unit.is_up() {
                bench.poll(0, |ask| Some(model.answer(ask)));
            }
        };
        bench.poll(0, |_| None);
        answers_again(&mut bench);
        assert_eq!(bench.ready(1).at, due, "a short break, into which none of its polls fell");
        let down = bench.now;
        while bench.now.since(down) < LOST_AFTER * 2 {
            bench.poll(0, |_| None);
        }
        answers_again(&mut bench);
        assert!(bench.ready(1).at <= bench.now, "the engine has marked its points");
        assert!(bench.poll(1, |ask| Some(model.answer(ask))).poll.ok);
        assert_eq!(bench.ready(1).at, due);
        bench.poll(1, |_| None);
        answers_again(&mut bench);
        assert!(
            bench.now < due + Duration::from_secs(60) && bench.ready(1).at <= bench.now,
            "its poll was the one lost"
        );
        assert!(bench.poll(1, |ask| Some(model.answer(ask))).poll.ok);
        assert_eq!(bench.ready(1).at, due + Duration::from_secs(3600));
    }

    #[test]
    fn a_hole_that_may_not_be_read_is_no_longer_bridged() {
        let mut bench = Bench::new(device(holding([0, 1, 4, 5, 8, 9])));
        let model = Model::with_illegal([6]);
        bench.poll(0, |ask| Some(model.answer(ask)));
        bench.poll(0, |ask| Some(model.answer(ask)));
        let seen = bench.poll(0, |ask| Some(model.answer(ask)));
        assert!(seen.poll.ok && seen.asks.len() <= 3 && bench.out.refused.is_empty());
        assert!(seen.readings.values().all(|r| r.quality == Quality::Good));
    }

    #[test]
    fn a_device_that_takes_fewer_registers_than_configured_is_asked_for_fewer() {
        let mut bench = Bench::new(device(holding(0..100)));
        let model = Model { most: 30, ..Model::with_illegal([]) };
        bench.poll(0, |ask| Some(model.answer(ask)));
        let seen = bench.poll(0, |ask| Some(model.answer(ask)));
        assert!(seen.poll.ok && seen.asks.len() == 4 && seen.readings.len() == 100, "{:?}", seen.asks);
    }

    #[test]
    fn a_refused_point_is_tried_again_rarely_and_comes_back_when_the_device_changes() {
        let mut bench = Bench::new(device(holding(0..10)));
        let bad = Model::with_illegal([3, 7]);
        bench.poll(0, |ask| Some(bad.answer(ask)));
        let start = bench.now;
        let mut tries = 0;
        while bench.now.since(start) < Duration::from_secs(3600) {
            let seen = bench.poll(0, |ask| Some(bad.answer(ask)));
            tries += seen.asks.len() - 3;
            assert!(seen.poll.ok, "what is asked besides is answered");
        }
        assert!((16..=24).contains(&tries), "{tries} tries of two points in an hour");
        let whole = Model::with_illegal([]);
        let mut polls = 0;
        while bench.poll(0, |ask| Some(whole.answer(ask))).asks.len() != 1 {
            polls += 1;
            assert!(bench.now.since(start) < Duration::from_secs(3600 + 700), "{polls}");
        }
    }

    #[test]
    fn a_device_that_refuses_everything_costs_a_bounded_number_of_requests_per_poll() {
        let mut bench = Bench::new(device(holding(0..500)));
        let model = Model::with_illegal(0..500);
        let mut total = 0;
        for _ in 0..30 {
            let seen = bench.poll(0, |ask| Some(model.answer(ask)));
            assert!(seen.asks.len() <= 128 && !seen.poll.ok, "{}", seen.asks.len());
            assert_eq!(seen.readings.len(), 500);
            assert!(seen.readings.values().all(|r| r.quality == Quality::Sensor));
            total += seen.asks.len();
        }
        assert!(total < 1200, "{total}");
        assert_eq!(bench.poll(0, |ask| Some(model.answer(ask))).asks.len(), 0, "all remembered");
    }

    #[test]
    fn a_function_the_device_lacks_is_not_searched_for() {
        let mut bench = Bench::new(device(holding(0..100)));
        let model = Model { exception: Some(1), ..Model::with_illegal([]) };
        assert_eq!(bench.poll(0, |ask| Some(model.answer(ask))).asks.len(), 1);
        let seen = bench.poll(0, |ask| Some(model.answer(ask)));
        assert!(seen.asks.is_empty() && !seen.poll.ok && seen.poll.started == seen.poll.due);
        assert!(seen.readings.values().all(|r| *r == Reading::missing(Quality::Sensor)));
    }

    #[test]
    fn a_busy_device_is_asked_again_by_the_next_poll_and_stays_up() {
        let mut bench = Bench::new(device(holding(0..10)));
        for code in [4, 5, 6, 8, 0x55] {
            let seen = bench.poll(0, |_| Some(Answer::Exception(code)));
            assert_eq!((seen.asks.len(), seen.poll.ok), (1, false));
            assert!(seen.readings.values().all(|r| *r == Reading::missing(Quality::Sensor)));
            assert!(bench.unit.is_up());
        }
        assert!(bench.poll(0, |ask| Some(Model::with_illegal([]).answer(ask))).poll.ok);
    }

    #[test]
    fn a_gateway_that_speaks_for_a_silent_device_puts_it_to_rest() {
        let mut bench = Bench::new(device(holding(0..10)));
        let seen = bench.poll(0, |_| Some(Answer::Exception(0x0B)));
        assert!(seen.readings.values().all(|r| *r == Reading::missing(Quality::Comm)));
        assert!(!bench.unit.is_up());
        assert!(bench.poll(0, |_| panic!("resting")).asks.is_empty());
    }

    #[test]
    fn a_silent_device_is_asked_once_per_back_off_step_and_every_poll_is_accounted_for() {
        let mut bench = Bench::new(device(holding(0..400)));
        let start = bench.now;
        let (mut asked, mut polls) = (0, 0);
        while bench.now.since(start) < Duration::from_secs(120) {
            let seen = bench.poll(0, |_| None);
            assert!(!seen.poll.ok && seen.readings.len() == 400);
            assert!(seen.readings.values().all(|r| *r == Reading::missing(Quality::Comm)));
            asked += seen.asks.len();
            polls += 1;
        }
        assert!((8..=12).contains(&asked), "{asked}: 0.5 1 2 4 8 16 30 30 …");
        assert!((595..=601).contains(&polls), "{polls}: each of 200 ms");
        let mut back = bench.poll(0, |ask| Some(Model::with_illegal([]).answer(ask)));
        while !back.poll.ok {
            back = bench.poll(0, |ask| Some(Model::with_illegal([]).answer(ask)));
        }
        assert!(bench.unit.is_up());
        bench.poll(0, |_| None);
        let rest = bench.unit.next_probe(Mono::default());
        assert!(rest.since(bench.now) <= Duration::from_secs(1), "the back-off began anew");
    }

    #[test]
    fn a_device_silent_for_a_day_is_still_asked_and_read_again_within_one_back_off_step_of_its_return() {
        let mut device = device(vec![point(1, Table::Holding, 0, Encoding::U16)]);
        device.classes[1].interval = Duration::from_secs(1);
        let mut bench = Bench::new(device);
        let start = bench.now;
        let mut asked = 0;
        while bench.now.since(start) < Duration::from_secs(86_400) {
            asked += bench.poll(1, |_| None).asks.len();
        }
        assert!(asked >= 86_400 / 40, "{asked}: each 30 s and a fifth");
        let returned = bench.now;
        while !bench.poll(1, |ask| Some(Model::with_illegal([]).answer(ask))).poll.ok {}
        assert!(bench.now.since(returned) <= Duration::from_secs(38), "{:?}", bench.now.since(returned));
    }

    #[test]
    fn what_a_poll_had_read_before_the_device_fell_silent_stands() {
        let mut bench = Bench::new(device(holding(0..250)));
        let seen = bench.poll(0, |ask| (ask.start == 0).then(|| Model::with_illegal([]).answer(ask)));
        assert_eq!((seen.readings[&124], seen.readings[&125]), (number(124), Reading::missing(Quality::Comm)));
        assert_eq!((seen.readings.len(), seen.poll.ok), (250, false));
    }

    #[test]
    fn a_reading_is_from_the_middle_of_request_and_answer() {
        let mut bench = Bench::new(device(holding(0..1)));
        let sent = bench.ready(0).at;
        bench.unit.step(0, sent, &mut bench.out);
        let got = sent + Duration::from_millis(30);
        bench.unit.answered(0, &Answer::Registers(vec![1]), sent, got, &mut bench.rng, &mut bench.out);
        let at = bench.out.events.iter().find_map(|e| match e {
            FieldEvent::Sample(sample) => Some(sample.at),
            FieldEvent::Poll(_) | FieldEvent::Link(_) | FieldEvent::Gap(_) => None,
        });
        assert_eq!(at, Some(sent + Duration::from_millis(15)));
    }

    #[test]
    fn the_pause_between_requests_is_kept() {
        let mut bench = Bench::new(Device { request_gap: Duration::from_millis(50), ..device(holding(0..250)) });
        let sent = bench.ready(0).at;
        let ask = bench.unit.step(0, sent, &mut bench.out).unwrap();
        let got = sent + Duration::from_millis(3);
        bench.unit.answered(0, &Model::with_illegal([]).answer(ask), sent, got, &mut bench.rng, &mut bench.out);
        assert_eq!(bench.ready(0).at, got + Duration::from_millis(50));
    }

    #[test]
    fn fast_goes_before_slow_when_both_are_due() {
        let points = vec![point(0, Table::Holding, 0, Encoding::U16), point(1, Table::Holding, 1, Encoding::U16)];
        let bench = Bench::new(device(points));
        let late = bench.now + Duration::from_secs(60);
        let all: Vec<(u8, Ready)> = bench.unit.ready().map(|r| (0, r)).collect();
        let first = all.into_iter().rev().reduce(|a, b| first(a, b, late)).unwrap();
        assert_eq!(first.1.class, 0);
    }

    /// Ten slaves on one line, 30 ms a request: what they want takes 1.6 times what there is.
    #[test]
    fn on_a_line_too_slow_for_all_fast_points_go_before_slow_ones_and_nobody_starves() {
        let (start, span) = (Mono::from_secs(1000), Duration::from_secs(120));
        let mut out = Outbox::default();
        let mut units: Vec<Unit> = (0..10)
            .map(|n| {
                let points =
                    vec![point(0, Table::Holding, 0, Encoding::U16), point(1, Table::Holding, 90, Encoding::U16)];
                let mut device = Device { id: DeviceId::new(format!("s{n}")), ..device(points) };
                device.classes[1].interval = Duration::from_secs(2);
                Unit::new(DeviceSlot(n), Arc::new(device), start, &mut out)
            })
            .collect();
        let (mut now, mut rng) = (start, fastrand::Rng::with_seed(1));
        while now.since(start) < span {
            let all = units.iter().enumerate().flat_map(|(index, unit)| unit.ready().map(move |ready| (index, ready)));
            let (index, ready) = all.reduce(|a, b| first(a, b, now)).unwrap();
            now = now.max(ready.at);
            let ask = units[index].step(ready.class, now, &mut out).unwrap();
            let sent = now;
            now = now + Duration::from_millis(30);
            let answer = Model::with_illegal([]).answer(ask);
            units[index].answered(ready.class, &answer, sent, now, &mut rng, &mut out);
        }
        let mut last: BTreeMap<(DeviceSlot, u8), Mono> = BTreeMap::new();
        let mut gaps: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
        for event in out.events {
            let FieldEvent::Poll(poll) = event else { continue };
            let before = last.insert((poll.slot, poll.class), poll.started).unwrap_or(start);
            gaps[usize::from(poll.class)].push(poll.started.since(before));
        }
        let [fast, slow] = gaps.map(|mut gaps| {
            gaps.sort_unstable();
            gaps
        });
        assert_eq!(last.len(), 20, "everything is read");
        assert!(fast.len() > 5 * slow.len(), "{} fast polls, {} slow ones", fast.len(), slow.len());
        let (longest_fast, median_slow) = (fast[fast.len() - 1], slow[slow.len() / 2]);
        assert!(longest_fast < median_slow / 2, "{longest_fast:?} against {median_slow:?}");
        assert!(slow[slow.len() - 1] < Duration::from_secs(6), "{:?}", slow.last());
    }

    #[test]
    fn that_a_device_is_down_is_told_before_what_it_could_not_be_asked_any_more() {
        let mut bench = Bench::new(device(holding(0..3)));
        bench.now = bench.ready(0).at;
        bench.unit.step(0, bench.now, &mut bench.out);
        bench.out.events.clear();
        bench.unit.failed("silent", bench.now, &mut bench.rng, &mut bench.out);
        let down = |event: &FieldEvent| matches!(event, FieldEvent::Link(change) if matches!(change.state, LinkState::Down { .. }));
        let lost = |event: &FieldEvent| matches!(event, FieldEvent::Sample(sample) if sample.readings.len() == 3);
        let [first, second, poll] = &bench.out.events[..] else { panic!("{:?}", bench.out.events) };
        assert!(
            down(first) && lost(second) && matches!(poll, FieldEvent::Poll(poll) if !poll.ok),
            "{:?}",
            bench.out.events
        );
    }

    #[test]
    fn down_says_when_it_will_be_tried_again() {
        let mut bench = Bench::new(device(holding(0..1)));
        bench.now = bench.ready(0).at;
        bench.unit.step(0, bench.now, &mut bench.out);
        bench.unit.failed("silent", bench.now, &mut bench.rng, &mut bench.out);
        let Some(LinkState::Down { reason, retry }) = states(&bench.out).pop() else { panic!("down") };
        assert_eq!(reason, "silent");
        assert!((Duration::from_millis(400)..=Duration::from_millis(800)).contains(&retry), "{retry:?}");
        assert_eq!(retry.as_millis() % 200, 0, "a poll instant");
    }

    fn any_holding() -> impl Strategy<Value = Vec<Point>> {
        let encodings =
            prop_oneof![Just(Encoding::U16), Just(Encoding::U32), Just(Encoding::Bit(2)), Just(Encoding::U64)];
        prop::collection::vec((0_u16..200, encodings).prop_map(|(a, e)| point(0, Table::Holding, a, e)), 1..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn whatever_registers_are_illegal_the_others_are_soon_read_with_every_request_answered(
            points in any_holding(), illegal in prop::collection::btree_set(0_u16..205, 0..12), most in 4_u16..126,
        ) {
            let model = Model { illegal, most, exception: None };
            let mut bench = Bench::new(device(points.clone()));
            let mut last = bench.poll(0, |ask| Some(model.answer(ask)));
            let mut polls = 1;
            while !last.poll.ok && !last.readings.values().all(|r| r.quality == Quality::Sensor) {
                last = bench.poll(0, |ask| Some(model.answer(ask)));
                prop_assert_eq!(last.readings.len(), points.len());
                polls += 1;
                prop_assert!(polls < 30, "does not settle");
            }
            for (point, ordinal) in points.iter().zip(0..) {
                let mut registers = point.address..point.address + point.encoding.width();
                let expected = if registers.any(|a| model.illegal.contains(&a)) { Quality::Sensor } else { Quality::Good };
                prop_assert_eq!(last.readings[&ordinal].quality, expected, "{:?}", point);
            }
        }
    }
}
