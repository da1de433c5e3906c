//! The uplink: everything recorded goes to the city platform over MQTT, or a gap record says what does not and why.
//!
//! Reading order: [`source`] is what the uplink asks of the rest of the gateway; [`feed`] names what is sent and in which
//! session; [`payload`] turns a stored record into its wire form (body and [`json`] below it, [`topic`] beside it);
//! [`delivery`] keeps account of one stream ([`held`]: what only memory has); [`flight`] links a publish with its PUBACK and paces; [`outbox`] joins
//! those into "the next message"; [`ack`] and [`command`] judge what comes down. All of these are pure: no socket, no
//! clock, no runtime. [`attach`] sends the pictures that records name, apart. [`session`] owns one TCP connection after another, [`task`] is the one owner of all state.
//!
//! ```text
//!  live ──try_send──▶ ┌────────────── task ──────────────┐  try_publish  ┌─ session urgent ─┐
//!                     │ outbox: delivery ×7, flight ×2    │ ────────────▶ │  session bulk    │ ──▶ broker
//!  source ◀──read──── │ ack, command                      │ ◀──────────── │  session commands│ ◀──
//!         ◀─deliver── └───────────────────────────────────┘    events     └──────────────────┘
//! ```
//!
//! **Invariant:** the store is the only one that sends again. A connection is used once: one `AsyncClient` and one
//! `EventLoop` each, thrown away with all that rumqttc remembers (`crates.md` §6 has the reason).

pub mod ack;
pub mod attach;
mod body;
pub mod command;
pub mod delivery;
pub mod feed;
pub mod flight;
pub mod held;
pub mod json;
pub mod memory;
pub mod outbox;
pub mod payload;
pub mod session;
pub mod settings;
pub mod source;
pub mod state;
pub mod status;
pub mod task;
pub mod topic;

pub use command::Command;
pub use memory::FileMemory;
pub use source::{CommandMemory, Identity, Inputs, Live, Page, ReadError, Registries, Source};
pub use task::run;
