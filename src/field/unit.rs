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
//! of the device that are under way, so a silent device costs the link one timeout per back-off step.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::field_event::{FieldEvent, LinkChange, LinkState};
use crate::domain::id::DeviceSlot;
use crate::domain::time::Mono;

use super::backoff::Backoff;
use super::modbus::class::{Ask, Class};
use super::modbus::{Answer, Meaning, meaning_of, words_of};
use super::settings::{Device, Table};

/// What the devices of a link have to say: filled by the pure half, sent and logged by `task.rs`.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the engine, in order.
    pub events: Vec<FieldEvent>,
    /// For the log: registers refused for the first time.
    pub refused: Vec<Refused>,
}

/// A place in a device's memory that it refuses to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The device.
    pub slot: DeviceSlot,
    /// Table.
    pub table: Table,
    /// First address, base 0.
    pub address: u16,
    /// Registers or bits.
    pub width: u16,
    /// The exception code it answered.
    pub code: u8,
}

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
    Down { until: Mono },
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
        let classes = device.classes.iter().zip(0_u8..);
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

    /// Notes that the device did not answer: back-off, and all its polls under way end.
    pub fn failed(&mut self, reason: &str, now: Mono, rng: &mut fastrand::Rng, out: &mut Outbox) {
        let until = now + self.backoff.fail(rng);
        self.down(reason, until, now, out);
    }

    /// Notes that the link is down until `until`; the device's own back-off, if longer, stands.
    pub fn down(&mut self, reason: &str, until: Mono, now: Mono, out: &mut Outbox) {
        let until = match self.health {
            Health::Down { until: own } => until.max(own),
            Health::Connecting | Health::Up => until,
        };
        self.health = Health::Down { until };
        self.not_before = now + self.device.request_gap;
        for class in &mut self.classes {
            class.abandon(&self.device, now, out);
        }
        let retry = self.next_probe(until).since(now);
        self.tell(now, LinkState::Down { reason: reason.to_owned(), retry }, out);
    }

    fn up(&mut self, now: Mono, out: &mut Outbox) {
        if self.health != Health::Up {
            self.health = Health::Up;
            self.tell(now, LinkState::Up, out);
        }
    }

    fn tell(&self, at: Mono, state: LinkState, out: &mut Outbox) {
        out.events.push(FieldEvent::Link(LinkChange { slot: self.slot, at, state }));
    }

    fn is_resting(&self, now: Mono) -> bool {
        matches!(self.health, Health::Down { until } if now < until)
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

/// Returns a delay in words for people: `1s`, `500ms`.
pub fn no_answer_within(timeout: Duration) -> String {
    format!("no answer within {timeout:?}")
}
