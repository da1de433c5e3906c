//! Outputs: the only room that can change anything in a device, and only what the allow-list names.
//!
//! An output is a coil or a register of a device with a list of values that may be written to it (`outputs.toml`). An
//! [`Order`] names output and value, who asks, and a key under which it is carried out at most once.
//!
//! ```text
//!  Order ──▶ admission ──refused──────────────────────────────────────────────▶ OutputWrite ──▶ answer, record
//!              │  same key: the first result                                        ▲
//!              ▼                                                                    │
//!           attempt ──deadline past──▶ expired ─────────────────────────────────────┤
//!              │ Write ──not reached, exception──▶ failed ──────────────────────────┤
//!              │   │ no answer: never written again, but looked at                  │
//!              │   ▼                                                                │
//!              └ Look ──feedback as expected──▶ done ──(pulse: Rest, Write, Look)───┤
//!                  └──another value, or no answer, until the time is up──▶ not confirmed
//! ```
//!
//! # What holds
//!
//! - **Never late.** An order lives for its deadline (2 s where nothing else is said) by the monotonic clock, from the
//!   moment it was received. Nothing is sent after it. What the kernel could not deliver before a timeout is thrown away
//!   with the connection (it is reset, not closed).
//! - **Never again.** After an uncertain outcome nothing is written again, unless the output says that this is harmless;
//!   a pulse is never harmless. The same key gives the first result, while it is under way as well as later.
//! - **Never from the store.** Orders, keys and the writes under way are in memory; a restart forgets them all.
//! - **Proved.** `done` means that the feedback (the same coil or register, or another one that is named) showed the
//!   value after the write. A device that keeps the old value for a while is looked at again until `confirm_within`.
//! - **One write at a time** for each output, and for outputs that exclude one another. Another order meanwhile is refused,
//!   not queued, unless it outranks what is under way ("open" before "close"): that gives way, and has ended before the
//!   other begins.
//! - **Never both.** An output that excludes others is energised only after each of them was seen idle just before, or was
//!   taken back and then seen so. What stands on no list here (a button, another master) is not the gateway's to exclude.
//! - Every order gives one record, also a refused one; a repeated key gives none.
//!
//! Keys are bounded: [`admission::MAX_KEYS`] are kept, each for at least [`admission::KEY_LIFE`]; when all of them are
//! younger, new orders are refused.
//!
//! A device on a bus is reached through the bus' owner, which `app` joins as a [`Carrier`]: an order goes on the bus before
//! the next poll, at most one poll being under way, and is read back there.
//!
//! `session.rs` and `task.rs` do I/O; all else is pure.

pub mod admission;
pub mod attempt;
pub mod session;
pub mod settings;
pub mod task;

pub use session::{Carrier, NoBus, NotCarried, Times, no_bus};
pub use task::{Call, run};

use std::time::Duration;

use crate::domain::record::Mode;
use crate::domain::time::Mono;

/// A write that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The output's id.
    pub output: String,
    /// Name of a value in its list.
    pub value: String,
    /// Who asks, for the record; 1 to [`MAX_TEXT`] bytes.
    pub issuer: String,
    /// Under this key the order is carried out at most once; 1 to [`MAX_TEXT`] bytes.
    pub key: String,
    /// The asker's own patience; the output's deadline where that is shorter.
    pub within: Option<Duration>,
    /// Whether the world means it, or an engineer tests the loop.
    pub mode: Mode,
    /// For a loop test: also on an output that is in service.
    pub really: bool,
    /// When it was received.
    pub received: Mono,
}

/// Longest issuer or key, in bytes.
pub const MAX_TEXT: usize = 128;
