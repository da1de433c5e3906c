//! Modules of relays and inputs: they pulse the barrier's contacts and read its loops, limits, buttons and the fire linkage.
//!
//! [`machine`] decides what is asked of a module and when, pure; [`session`] asks. What may be written is a [`Module`]: the
//! contacts that `gates.toml` names for the lane, and no other cell of no other device.

pub mod machine;
pub mod session;

use std::time::Duration;

use super::modbus::session::Address;
use crate::domain::gate::hardware::Input;
use crate::domain::gate::word::LaneId;

/// Inputs are read at least this often.
pub const SCAN: Duration = Duration::from_millis(100);

/// A module of one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its id in the configuration.
    pub device: String,
    /// Its lane.
    pub lane: LaneId,
    /// Where it is.
    pub address: Address,
    /// Block that holds the inputs: function 1 to 4, first address, number of bits or registers.
    pub block: Block,
    /// The inputs.
    pub inputs: Vec<Wire>,
    /// Contact that opens.
    pub open: Option<Contact>,
    /// Contact that closes.
    pub close: Option<Contact>,
    /// Contact that stops.
    pub stop: Option<Contact>,
    /// Coil that is kept on to hold open.
    pub hold: Option<u16>,
}

/// A block of bits or registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// 1 coils, 2 inputs, 3 holding registers, 4 input registers.
    pub function: u8,
    /// First address, from 0.
    pub start: u16,
    /// How many; at most 64 bits or 4 registers.
    pub count: u16,
}

/// An input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// What it stands for.
    pub input: Input,
    /// Which bit of the block, from 0; of registers 16 to each, the lowest first.
    pub bit: u16,
    /// The contact is closed at rest (常闭): current means rest, and a cut wire means on.
    pub closed_at_rest: bool,
}

/// How a contact is pulsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// By the module itself: these words are written from this register on, and the module ends the pulse. A gateway that
    /// dies cannot leave it on. To be preferred.
    Flash {
        /// First register.
        register: u16,
        /// One or two words, as the module's manual has it.
        words: Vec<u16>,
        /// The coil that it switches, where it can be seen to be off before the other contact goes on.
        coil: Option<u16>,
    },
    /// By the gateway: on, and off again.
    Pulse {
        /// The coil.
        coil: u16,
        /// Length, 100 ms to 5 s.
        length: Duration,
    },
}

impl Contact {
    /// The coil that shows whether it is on.
    pub fn coil(&self) -> Option<u16> {
        match self {
            Self::Flash { coil, .. } => *coil,
            Self::Pulse { coil, .. } => Some(*coil),
        }
    }
}
