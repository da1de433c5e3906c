//! What the pure half of a link has to say: filled by [`super::unit`] and [`super::modbus::class`], sent and logged by
//! `task.rs`.

use crate::domain::field_event::FieldEvent;
use crate::domain::id::DeviceSlot;

use super::settings::Table;

/// See the module.
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
