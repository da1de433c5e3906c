//! OPC UA: one session per server, one subscription in it, and the points of all devices behind the server as its items.
//!
//! ```text
//!   settings::opcua::ServerLink (watch)                             FieldEvent (mpsc)
//!          │                                                              ▲
//!          ▼                                                              │
//!  task ── picks ──▶ watch (what stands, what is due) ── item, sequence, value (status → quality)
//!    └── session/ ◀── one thing at a time: open, subscribe, ask for items, read history
//! ```
//!
//! What must hold, each with its test in `tests/wire_opcua.rs`:
//!
//! - A server's certificate is trusted by an engineer, or nothing is asked of it. Without security only where the
//!   configuration says so.
//! - After a lost connection the client library goes on without publishing and drops items that fail to be made again. So
//!   nothing of that is left to it: subscription and items are ours, publishing is triggered at every return, and a watchdog
//!   stands behind it ([`watch`]).
//! - At most one CreateSession per back-off step.
//! - A refused node has no value and is asked for again, ever more rarely; its neighbours do not notice ([`item`]).
//! - What the server had and we did not receive is a gap: by the overflow bit, by the notifications' numbers, by an outage. Where the
//!   server keeps history the hole of an outage is filled, marked historical.
//! - Values keep the source's time; the server's only where the source gives none.
//! - No deadband is asked of the server: it would hide from alarms and rates what the domain must see. Report by exception
//!   stands before the telemetry stream, as for every source.

pub mod item;
pub mod sequence;
pub mod session;
pub mod table;
pub mod task;
pub mod value;
pub mod watch;
