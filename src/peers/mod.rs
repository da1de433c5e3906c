//! Gateways of one park share their passages through the park's own broker, so that anti-passback and head counts are those of
//! the whole park, and converge after a cut.
//!
//! ```text
//!  stored events ─mpsc─▶ ┌──────── task ────────┐ try_publish ┌─ session ─┐
//!  account ◀─take, heard─│ exchange (pure): what │───────────▶ │ one TCP    │──▶ park's broker ──▶ the other gateways
//!          ──have, lack─▶│ is said, what is taken│◀─────────── │ connection │◀──
//!                        └───────────────────────┘   events    └────────────┘
//! ```
//!
//! In reading order: [`topic`] and [`message`] are what goes over the wire; [`exchange`] is the state machine of what is said
//! and taken; [`source`] is what is asked of the rest of the gateway. All of these are pure. [`session`] owns one connection
//! after another, [`task`] joins them.
//!
//! What it promises: an event leaves only after it is stored; whatever is lost, doubled, reordered or late on the way, gateways
//! that can talk for a while have the same events; what a peer may not say is refused and counted; nothing here holds up a gate.

pub mod exchange;
pub mod message;
pub mod session;
pub mod settings;
pub mod source;
pub mod task;
pub mod topic;

pub use source::{Account, Inputs};
pub use task::run;
