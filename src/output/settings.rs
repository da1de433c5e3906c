//! The allow-list as the driver needs it: validated by `config`, replaced as a whole at a reload.

use std::time::Duration;

use crate::domain::id::{DeviceId, OutputId};
use crate::domain::registry::Commissioning;

/// One output: what may be written where, and how it is seen to have happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its id.
    pub id: OutputId,
    /// Its name as people say it.
    pub name: String,
    /// The device it stands on.
    pub device: DeviceId,
    /// Where that is reached.
    pub place: Place,
    /// Modbus unit id.
    pub unit: u8,
    /// Where it is written.
    pub cell: Cell,
    /// The values that may be written, and no others.
    pub values: Vec<Allowed>,
    /// Where the result is seen: the same place, or another one.
    pub feedback: Feedback,
    /// Time for connecting and for each answer, 50 ms..=10 s.
    pub timeout: Duration,
    /// How long an order may wait before it is sent, 100 ms..=10 s.
    pub deadline: Duration,
    /// How long the feedback may take to show the value, 0..=10 s.
    pub confirm_within: Duration,
    /// Whether the output falls back by itself.
    pub pulse: Pulse,
    /// Whether a write may be repeated after an uncertain outcome. Never with a pulse.
    pub repeat_harmless: bool,
    /// Only an output in service takes orders; one under commissioning takes loop tests.
    pub commissioning: Commissioning,
    /// Outputs that must never be energised together with this one. Mutual: each names the other.
    pub excludes: Vec<OutputId>,
    /// How it is seen to do nothing, and made to. Known of each output that others exclude.
    pub idle: Option<Idle>,
}

impl Output {
    /// Returns whether an order for this value leaves the output energised, for a while at least.
    pub fn energises(&self, value: &Allowed) -> bool {
        self.idle.is_none_or(|idle| idle.raw != Some(value.raw))
    }
}

/// Where an output's device is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a Modbus TCP address of its own.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// On a bus, whose owner carries what is sent ([`super::Carrier`]).
    Bus {
        /// Its id.
        id: String,
    },
}

/// The state in which an output does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// What is written to get there; `None` where only the device itself ends its pulse.
    pub raw: Option<u16>,
    /// Where it is seen.
    pub at: Feedback,
    /// What is seen there.
    pub seen: u16,
}

/// Where an output is written; addresses as on the wire, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A coil: 0 or 1.
    Coil(u16),
    /// A holding register.
    Register(u16),
}

/// Where the result is seen; addresses as on the wire, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// A coil.
    Coil(u16),
    /// A discrete input.
    Discrete(u16),
    /// A holding register.
    Holding(u16),
    /// An input register.
    Input(u16),
}

impl From<Cell> for Feedback {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Coil(address) => Self::Coil(address),
            Cell::Register(address) => Self::Holding(address),
        }
    }
}

/// One value that may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Its name, by which it is asked for.
    pub name: String,
    /// What is written: 0 or 1 for a coil.
    pub raw: u16,
    /// What the feedback then shows.
    pub seen: u16,
    /// Which of two orders goes on when they meet, 0..=9: the higher one; of equal ones the first.
    pub rank: u8,
}

/// Whether an output falls back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// It stays as written.
    None,
    /// The device ends the pulse itself (flash-on register): a dead gateway cannot leave the relay on.
    Device,
    /// The gateway writes `rest` after `length`.
    Gateway {
        /// 100 ms..=5 s.
        length: Duration,
        /// What is written then.
        rest: u16,
        /// What the feedback then shows.
        seen: u16,
    },
}

/// Outputs for tests.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A coil with `on` and `off` on a device that is nowhere.
    pub(crate) fn output(id: &str) -> Output {
        let value = |name: &str, raw| Allowed { name: name.to_owned(), raw, seen: raw, rank: 0 };
        Output {
            id: OutputId::new(id),
            name: id.to_owned(),
            device: DeviceId::new("io-1"),
            place: Place::Tcp { host: "127.0.0.1".into(), port: 1 },
            unit: 1,
            cell: Cell::Coil(3),
            values: vec![value("on", 1), value("off", 0)],
            feedback: Feedback::Coil(3),
            timeout: Duration::from_millis(500),
            deadline: Duration::from_secs(2),
            confirm_within: Duration::from_secs(1),
            pulse: Pulse::None,
            repeat_harmless: false,
            commissioning: Commissioning::InService,
            excludes: Vec::new(),
            idle: Some(Idle { raw: Some(0), at: Feedback::Coil(3), seen: 0 }),
        }
    }
}
