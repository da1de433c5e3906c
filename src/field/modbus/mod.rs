//! Modbus over TCP and on a bus (RTU), reading side: function codes 1 to 4, and no other.
//!
//! # What each outcome of a request means
//!
//! | outcome | readings | device | connection |
//! |---|---|---|---|
//! | as many registers as asked | decoded, each with its own quality | up | stays |
//! | exception 01 illegal function | `sensor`; all points of the request remembered as refused (configuration fault) | up | stays |
//! | exception 02 illegal address, 03 illegal value (a quantity the device does not take) | the block is split until the refused points are found; these `sensor` and remembered, the others good | up | stays |
//! | exception 04 device failure, 05 acknowledge, 06 busy, 07, 08 parity, any other | `sensor`, asked again by the next poll | up | stays |
//! | exception 0A no path, 0B target silent | `comm`: what answers is the gateway before the device | down, back-off | stays |
//! | no answer in time | `comm` | down, back-off | TCP: dropped, a late answer must never be taken for the next one; on a bus the device rests instead ([`super::lateness`]), and is asked next so that a late answer shows as what it is ([`owed`]) |
//! | another unit, function, transaction or length; garbage | `comm` | down, back-off | the same |
//! | on a bus: an answer damaged, or half of one | asked once more at once; then as garbage | | stays |
//! | closed by the peer on first use | `comm` | down, back-off | dropped |
//! | closed by the peer after it had served (on a bus: before the request was sent) | asked once more on a new connection (gateways close idle ones) | | reopened |
//! | connecting failed | `comm` | all devices behind the address down, back-off of the link | none |
//!
//! A refused point is not asked by the following polls; it gets `sensor` each time, and is tried alone, rarely
//! ([`class::RETRY_FIRST`], doubling to [`class::RETRY_MAX`]). When such a try succeeds the device has changed, and
//! everything remembered of it is forgotten.

pub mod class;
pub mod decode;
pub mod owed;
pub mod plan;
pub mod request;
pub mod rtu;
pub mod session;

use super::settings::Table;
use crate::domain::reading::Quality;

/// What a device answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Registers, exactly as many as asked.
    Registers(Vec<u16>),
    /// Coils or discrete inputs: as many as asked, rounded up to whole bytes.
    Bits(Vec<bool>),
    /// A Modbus exception with this code.
    Exception(u8),
}

/// The function code that reads a table.
pub fn function_of(table: Table) -> u8 {
    match table {
        Table::Coil => 1,
        Table::Discrete => 2,
        Table::Holding => 3,
        Table::Input => 4,
    }
}

/// What an exception code means for the reader; the table stands in the module head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Some register of the block, or its length, is not accepted: split.
    Refused,
    /// The function is not there: nothing of the block will ever be answered as configured.
    Unsupported,
    /// The device has trouble now; the next poll asks again.
    Trouble,
    /// A gateway answers for a device that does not.
    NoDevice,
}

/// Returns what an exception code means.
pub fn meaning_of(code: u8) -> Meaning {
    match code {
        0x01 => Meaning::Unsupported,
        0x02 | 0x03 => Meaning::Refused,
        0x0A | 0x0B => Meaning::NoDevice,
        _ => Meaning::Trouble,
    }
}

/// Returns the words for an exception code (Modbus Application Protocol 1.1b3, section 7).
pub fn words_of(code: u8) -> &'static str {
    match code {
        0x01 => "illegal function (01)",
        0x02 => "illegal data address (02)",
        0x03 => "illegal data value (03)",
        0x04 => "server device failure (04)",
        0x05 => "acknowledge, still working (05)",
        0x06 => "server device busy (06)",
        0x08 => "memory parity error (08)",
        0x0A => "gateway path unavailable (0A)",
        0x0B => "gateway target failed to respond (0B)",
        _ => "an exception outside the specification",
    }
}

impl Meaning {
    /// Returns the quality of the points of a request that ended so.
    pub fn quality(self) -> Quality {
        match self {
            Self::Refused | Self::Unsupported | Self::Trouble => Quality::Sensor,
            Self::NoDevice => Quality::Comm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gateway_speaking_for_a_silent_device_is_a_fault_of_communication() {
        let comm: Vec<u8> = (0..=255).filter(|code| meaning_of(*code).quality() == Quality::Comm).collect();
        assert_eq!(comm, [0x0A, 0x0B]);
    }
}
