//! What a field reader must know: validated by `config`, compared by `app` at a reload to see which devices changed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::{DeviceId, DeviceSlot};

mod budget;
mod bus;
pub mod opcua;

pub use self::budget::{BusPlan, DeadRow, Millis, Percent, PlanRow, PlannedBus, planned_buses};
pub use self::bus::{Bus, Line, Parity, Port, Rs485};
use self::opcua::OpcUaDevice;

/// A device, by the way in which it is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Polled by Modbus.
    Modbus(Arc<Device>),
    /// Subscribed to at an OPC UA server.
    OpcUa(Arc<OpcUaDevice>),
    /// Computed from the points of other devices; nothing is read.
    Derived {
        /// Its id.
        id: DeviceId,
        /// How many points.
        points: usize,
    },
}

impl Source {
    /// Returns the device's id.
    pub fn id(&self) -> &DeviceId {
        match self {
            Self::Modbus(device) => &device.id,
            Self::OpcUa(device) => &device.id,
            Self::Derived { id, .. } => id,
        }
    }

    /// Returns the poll classes in use, fastest first.
    pub fn classes(&self) -> &[PollClass] {
        match self {
            Self::Modbus(device) => &device.classes,
            Self::OpcUa(device) => &device.classes,
            Self::Derived { .. } => &[],
        }
    }

    /// Returns the class of each point, in ordinal order.
    pub fn class_of(&self) -> Vec<u8> {
        match self {
            Self::Modbus(device) => device.points.iter().map(|p| p.class).collect(),
            Self::OpcUa(device) => device.points.iter().map(|p| p.class).collect(),
            Self::Derived { points, .. } => vec![0; *points],
        }
    }
}

/// One address or bus with all devices (unit ids) behind it: one connection, one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Where.
    pub endpoint: Endpoint,
    /// The devices behind it, in configuration order.
    pub devices: Vec<(DeviceSlot, Arc<Device>)>,
}

/// Where a link leads. Two devices stand behind one link exactly when this is equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// A Modbus TCP address.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// TCP port, 502 by custom.
        port: u16,
    },
    /// A bus of Modbus RTU slaves.
    Bus(Arc<Bus>),
}

impl Endpoint {
    /// Returns a Modbus TCP address.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Bus(bus) => bus.fmt(f),
        }
    }
}

/// One Modbus device: a unit id at an address, what to read from it, and how gently.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Where.
    pub endpoint: Endpoint,
    /// Modbus unit id: 0..=255 over TCP, 1..=247 on a bus.
    pub unit: u8,
    /// Time allowed for connecting, and for each answer: 50 ms..=60 s.
    pub timeout: Duration,
    /// Pause between two requests to this device, 0..=10 s; some converters need one.
    pub request_gap: Duration,
    /// Time that the device is expected to take before it begins to answer, 0..=10 s; for the plan of a bus only.
    pub turnaround: Duration,
    /// Largest number of registers per request, 1..=125.
    pub max_registers: u16,
    /// Largest number of coils or discrete inputs per request, 1..=2000.
    pub max_bits: u16,
    /// Unwanted registers read along to save a request, 0..=120.
    pub max_register_hole: u16,
    /// Unwanted bits read along to save a request, 0..=1900.
    pub max_bit_hole: u16,
    /// First delay after a failure; doubles, with jitter, up to `backoff_max`.
    pub backoff_initial: Duration,
    /// Longest delay after failures.
    pub backoff_max: Duration,
    /// Poll classes in use, fastest first.
    pub classes: Vec<PollClass>,
    /// Points in point-table order; the index is the ordinal. Same length and order as the registry's `DeviceSpec`.
    pub points: Vec<Point>,
}

/// A poll class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollClass {
    /// Its name in the configuration, e.g. `fast`.
    pub name: String,
    /// Interval, 100 ms..=1 h.
    pub interval: Duration,
}

/// Where a point is and how its registers become a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Index into [`Device::classes`].
    pub class: u8,
    /// Which of the four Modbus tables.
    pub table: Table,
    /// Address on the wire, base 0; `address + width - 1 ≤ 65535`.
    pub address: u16,
    /// How registers become a number.
    pub encoding: Encoding,
    /// Order of the bytes of values wider than one register (and of the two bytes of one).
    pub order: WordOrder,
    /// Factor applied to the raw number.
    pub scale: f64,
    /// Added after scaling.
    pub offset: f64,
    /// Decimals the scaled value is rounded to; `None` leaves floats as they are.
    pub decimals: Option<u8>,
    /// Range in the point's unit; beyond it the quality is over or under range. Of a current loop, what 4 and 20 mA mean.
    pub range: Option<(f64, f64)>,
    /// What the scaled number is.
    pub signal: Signal,
}

/// What the number behind a point is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The value itself.
    #[default]
    Value,
    /// The current of a 4–20 mA loop in mA, with the fault limits of NAMUR NE 43 (`domain.md` rule 88).
    Loop,
}

/// The four Modbus tables, by the function code that reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Function 1, 0xxxx.
    Coil,
    /// Function 2, 1xxxx.
    Discrete,
    /// Function 3, 4xxxx.
    Holding,
    /// Function 4, 3xxxx.
    Input,
}

impl Table {
    /// Returns whether the table holds bits, not registers.
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }
}

/// How registers become a number (`domain.md` A10 rule 90, B8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A coil or discrete input.
    Bool,
    /// Bit 0 (lowest) to 15 of one register.
    Bit(u8),
    /// 16 bits, unsigned.
    U16,
    /// 16 bits, two's complement.
    I16,
    /// 32 bits, unsigned.
    U32,
    /// 32 bits, two's complement.
    I32,
    /// 64 bits, unsigned.
    U64,
    /// 64 bits, two's complement.
    I64,
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
    /// Four binary-coded decimal digits; a digit above 9 is a sensor fault.
    Bcd16,
    /// Eight binary-coded decimal digits.
    Bcd32,
    /// High byte integer part, low byte tenths: `14 09` = 20.9 (seen on O2 detectors, `domain.md` rule 90).
    IntTenths,
}

impl Encoding {
    /// Returns how many registers (or bits, for [`Encoding::Bool`]) the value takes.
    pub fn width(self) -> u16 {
        match self {
            Self::Bool | Self::Bit(_) | Self::U16 | Self::I16 | Self::Bcd16 | Self::IntTenths => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }
}

/// Order of bytes on the wire, named by where the bytes A (highest) to D (lowest) of the value stand. For 64-bit values
/// the same pattern applies to four words: `Cdab` is lowest word first, `Badc` bytes swapped in each word, `Dcba` both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WordOrder {
    /// Big-endian, as the Modbus specification has it.
    #[default]
    Abcd,
    /// Low word first.
    Cdab,
    /// Bytes swapped within words.
    Badc,
    /// Little-endian.
    Dcba,
}

/// Devices and points for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A point of the first class, as its registers say.
    pub(crate) fn point(table: Table, address: u16, encoding: Encoding) -> Point {
        let (order, scale, offset, decimals, range) = (WordOrder::Abcd, 1.0, 0.0, None, None);
        Point { class: 0, table, address, encoding, order, scale, offset, decimals, range, signal: Signal::Value }
    }

    /// Unit 1 behind an address where nobody listens, polled each second.
    pub(crate) fn device(points: Vec<Point>) -> Device {
        Device {
            id: DeviceId::new("plc-1"),
            endpoint: Endpoint::tcp("127.0.0.1", 502),
            unit: 1,
            timeout: Duration::from_secs(1),
            request_gap: Duration::ZERO,
            turnaround: Duration::ZERO,
            max_registers: 125,
            max_bits: 2000,
            max_register_hole: 8,
            max_bit_hole: 32,
            backoff_initial: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            classes: vec![PollClass { name: "normal".to_owned(), interval: Duration::from_secs(1) }],
            points,
        }
    }
}
