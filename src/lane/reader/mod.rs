//! Readers of cards and QR codes, through a Modbus or a TCP converter.
//!
//! ```text
//!  Wiegand 26/34 ─ converter ─ frame ─▶ domain::gate::wiegand ─▶ keyed digest ─┐
//!  QR code ────────────────── text ──▶ token (signature, time, once) ──────────┴─▶ Shown | NotShown
//! ```
//!
//! [`converter`] reads what a converter hands over, [`token`] judges a QR code, [`session`] asks and listens. A card's number
//! leaves this room only as its digest, and stands in no log: what is wrong with a frame is said without it.

pub mod converter;
pub mod session;
pub mod token;

use super::modbus::session::Address;
use crate::domain::gate::register::digest::LookUpKey;
use crate::domain::gate::wiegand::ByteOrder;
use crate::domain::gate::word::{Direction, LaneId};

/// A reader.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Its id in the configuration.
    pub device: String,
    /// Its lane.
    pub lane: LaneId,
    /// Which way it looks.
    pub direction: Direction,
    /// The converter that it hangs on.
    pub converter: Converter,
    /// In which order it sends the bytes of a number.
    pub order: ByteOrder,
    /// For the digests of numbers.
    pub key: LookUpKey,
}

/// A converter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Converter {
    /// Holding registers, asked ten times a second: see [`converter::registers`].
    Modbus {
        /// Where it is.
        address: Address,
        /// First register of the reader.
        start: u16,
    },
    /// Lines of text over TCP: see [`converter::line`].
    Tcp {
        /// Host and port.
        host: String,
    },
}
