//! A small park on a bench: alarms built in a line each, time by hand, everything that comes out kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::action::{Action, Done};
use super::super::ask::{PointCondition, Test};
use super::super::record::{AlarmRecord, Occ};
use super::super::severity::{Class, Priority, Shelving};
use super::super::spec::*;
use super::super::state::{Cause, State};
use super::super::view::{Fact, Output};
use super::super::{Alarms, saved::Saved};
use crate::domain::actor::{Actor, Refused, Role, Via};
use crate::domain::document::Document;
use crate::domain::id::{DeviceId, PointUid, Tag};
use crate::domain::instrument::InstrumentState;
use crate::domain::order::{Order, Receipt};
use crate::domain::reading::{Quality, Reading, Value};
use crate::domain::record::Mode;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// 2026-11-24T08:00:00Z.
const MORNING: i64 = 1_795_507_200_000;

pub(super) fn at(device: usize, ordinal: u16) -> PointRef {
    PointRef { device, ordinal }
}

pub(super) fn good(v: f64) -> Reading {
    Reading::good(Value::Number(v))
}

pub(super) fn bit(on: bool) -> Reading {
    Reading::good(Value::Bool(on))
}

pub(super) fn bad(quality: Quality) -> Reading {
    Reading::missing(quality)
}

pub(super) fn level(limit: impl Into<Option<f64>>, priority: Priority) -> Level {
    Level { limit: limit.into(), deadband: 0.0, priority, shelving: Shelving::Allowed }
}

/// An alarm of point `p0`, `p1`, … of device `d0`, `d1`, …: process, no delays, not latching, one yellow level without limit.
pub(super) fn alarm(place: PointRef, condition: Condition) -> AlarmSpec {
    let tag = format!("d{}.p{}", place.device, place.ordinal);
    let limits = condition.has_limits();
    AlarmSpec {
        id: format!("{tag}.{}", condition.word()).into(),
        subject: Subject::Point {
            at: place,
            uid: PointUid::new(format!("u-{tag}")),
            tag: Tag::new(tag.clone()),
            device: DeviceId::new(format!("d{}", place.device)),
            unit: "%LEL".into(),
        },
        condition,
        class: Class::Process,
        levels: vec![level(limits.then_some(25.0), Priority::Yellow)],
        on_delay: Duration::ZERO,
        off_delay: Duration::ZERO,
        latching: false,
        group: None,
        suppressed_when: None,
        escalation: None,
        annunciators: Vec::new(),
        hazard_source: None,
        zone: Some("罐区".into()),
        text: format!("{tag} 报警"),
        likely_cause: String::new(),
        response: String::new(),
        mode: Mode::Real,
    }
}

pub(super) fn of_device(device: usize) -> AlarmSpec {
    let subject = Subject::Device { index: device, device: DeviceId::new(format!("d{device}")) };
    AlarmSpec { id: format!("d{device}.comm").into(), subject, ..alarm(at(device, 0), Condition::Comm) }
}

pub(super) fn of_gateway(id: &str, condition: Condition) -> AlarmSpec {
    AlarmSpec { id: id.into(), subject: Subject::Gateway, class: Class::System, ..alarm(at(99, 0), condition) }
}

/// Combustible gas of `p0` by rule 80: 25 and 50 %LEL, latching; level 2 lies on no shelf without a second person.
pub(super) fn gas_alarm(detector: usize, compare: bool) -> AlarmSpec {
    let limits = if compare { [Some(25.0), Some(50.0)] } else { [None, None] };
    AlarmSpec {
        class: Class::Gas,
        latching: true,
        levels: vec![
            level(limits[0], Priority::Orange),
            Level { shelving: Shelving::SecondPerson, ..level(limits[1], Priority::Red) },
        ],
        ..alarm(at(0, 0), Condition::Gas { detector, side: Side::High, compare })
    }
}

/// The detector of `p0`, without a controller's bits.
pub(super) fn detector() -> Detector {
    Detector {
        at: at(0, 0),
        uid: PointUid::new("u-d0.p0"),
        tag: Tag::new("d0.p0"),
        device: DeviceId::new("d0"),
        bits: Vec::new(),
        fault: Vec::new(),
        inhibit: Vec::new(),
        bits_latch: true,
        margin: 0.0,
        drift: -5.0,
    }
}

pub(super) fn when(ordinal: u16, test: Test) -> PointCondition {
    PointCondition { at: at(0, ordinal), test }
}

pub(super) fn book(alarms: Vec<AlarmSpec>, detectors: Vec<Detector>) -> AlarmBook {
    AlarmBook { rev: 7, alarms, detectors, ..AlarmBook::default() }
}

pub(super) fn person(name: &str, roles: &[Role]) -> Actor {
    Actor { name: name.into(), via: Via::Machine, roles: roles.iter().copied().collect::<BTreeSet<_>>() }
}

pub(super) fn operator() -> Actor {
    person("王工", &[Role::Operator])
}

pub(super) fn supervisor() -> Actor {
    person("李班长", &[Role::Supervisor])
}

/// See the module.
pub(super) struct Bench {
    pub(super) alarms: Alarms,
    pub(super) now: Now,
    pub(super) records: Vec<AlarmRecord>,
    pub(super) orders: Vec<Order>,
    pub(super) facts: Vec<Fact>,
    pub(super) documents: Vec<Document>,
}

impl Bench {
    pub(super) fn new(book: AlarmBook) -> Self {
        assert_eq!(book.problems(), Vec::new(), "the bench builds no wrong book");
        let now = Now { mono: Mono::from_secs(100), wall: Timestamp(MORNING), trust: ClockTrust::Synced };
        let mut bench = Self::bare(Alarms::new(Arc::new(book), 17, now), now);
        bench.alarms.restore(Saved::default(), [], now);
        bench.drain();
        for order in std::mem::take(&mut bench.orders) {
            bench.receipt(&order.key, &Receipt::Done);
        }
        bench.facts.clear();
        bench
    }

    fn bare(alarms: Alarms, now: Now) -> Self {
        Self { alarms, now, records: vec![], orders: vec![], facts: vec![], documents: vec![] }
    }

    /// Another start of the gateway, at any time of day, from the snapshot and the records since.
    pub(super) fn restart(&self, saved: Saved, later: Vec<AlarmRecord>, wall: Timestamp) -> Self {
        let now = Now { mono: Mono::from_secs(20), wall, trust: ClockTrust::Unsynced };
        let text = serde_json::to_string(&saved).unwrap();
        let mut bench = Self::bare(Alarms::new(self.alarms.book().clone(), 18, now), now);
        bench.alarms.restore(serde_json::from_str(&text).unwrap(), later, now);
        bench.drain();
        bench
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.alarms.poll_output() {
            match output {
                Output::Alarm { record, at } => {
                    assert_eq!(at, self.now.mono);
                    self.records.push(*record);
                }
                Output::Document(document) => self.documents.push(document),
                Output::Order(order) => self.orders.push(order),
                Output::Fact(fact) => self.facts.push(fact),
            }
        }
    }

    /// Lets time pass, with every timeout at its time.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.alarms.poll_timeout().filter(|due| *due <= end) {
            assert!(due > self.now.mono || due <= end);
            self.to(due.max(self.now.mono));
            self.alarms.handle_timeout(self.now);
            self.drain();
        }
        self.to(end);
    }

    fn to(&mut self, mono: Mono) {
        self.now.wall = self.now.wall.after(mono.since(self.now.mono));
        self.now.mono = mono;
    }

    /// One reading of device 0, a second after the last.
    pub(super) fn read(&mut self, ordinal: u16, reading: Reading) {
        self.read_in(ordinal, reading, None);
    }

    pub(super) fn read_in(&mut self, ordinal: u16, reading: Reading, state: Option<InstrumentState>) {
        self.read_all(&[(ordinal, reading, state)]);
    }

    pub(super) fn read_all(&mut self, readings: &[(u16, Reading, Option<InstrumentState>)]) {
        self.pass(SECOND);
        self.read_now(readings);
    }

    pub(super) fn read_now(&mut self, readings: &[(u16, Reading, Option<InstrumentState>)]) {
        let judged: Vec<_> = readings
            .iter()
            .map(|(ordinal, reading, state)| (*ordinal, state.map_or(*reading, |state| state.judge(*reading)), *state))
            .collect();
        let judged = judged.iter().map(|(ordinal, reading, state)| (*ordinal, reading, *state));
        self.alarms.handle_readings(0, judged, self.now.mono, self.now);
        self.drain();
    }

    pub(super) fn link(&mut self, up: bool) {
        self.alarms.handle_link(0, up, self.now);
        self.drain();
    }

    pub(super) fn act(&mut self, action: &Action, actor: &Actor) -> Result<Done, Refused> {
        let done = self.alarms.handle_action(action, actor, self.now);
        self.drain();
        done
    }

    pub(super) fn receipt(&mut self, key: &str, receipt: &Receipt) {
        self.alarms.handle_receipt(key, receipt, self.now);
        self.drain();
    }

    pub(super) fn state(&self, id: &str) -> State {
        let active = self.alarms.active(self.now);
        active.iter().find(|alarm| &*alarm.last.alarm == id).map_or(State::Normal, |alarm| alarm.last.to)
    }

    pub(super) fn occ(&self, id: &str) -> Occ {
        let active = self.alarms.active(self.now);
        active.iter().find(|alarm| &*alarm.last.alarm == id).map(|alarm| alarm.last.occ).expect("it is open")
    }

    pub(super) fn ack(&mut self, id: &str) -> Result<Done, Refused> {
        let action = Action::Ack { alarm: id.into(), occ: self.occ(id), seen: None, comment: Some("已派人".into()) };
        self.act(&action, &operator())
    }

    pub(super) fn reset(&mut self, id: &str) -> Result<Done, Refused> {
        let action = Action::Reset { alarm: id.into(), occ: self.occ(id), comment: None };
        self.act(&action, &operator())
    }

    pub(super) fn shelve(&mut self, id: &str, time: Duration) -> Result<Done, Refused> {
        self.act(&Action::Shelve { alarm: id.into(), time, reason: "变送器检修".into() }, &supervisor())
    }

    /// The path of all records: letters of the states, cause.
    pub(super) fn path(&self) -> Vec<(char, char, Cause)> {
        self.records.iter().map(|r| (r.from.letter(), r.to.letter(), r.cause)).collect()
    }

    pub(super) fn last(&self) -> &AlarmRecord {
        self.records.last().expect("there is a record")
    }
}
