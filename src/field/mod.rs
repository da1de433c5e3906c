//! Southbound: the readers of field devices. They only read; nothing in this room can write to a device.
//!
//! One connection owner per address ([`settings::Link`]): it may serve several devices (unit ids). What it reads goes as
//! [`crate::domain::field_event::FieldEvent`] to the engine. `session.rs` and `task.rs` do I/O; all else is pure.
//!
//! ```text
//!            settings::Link (watch)                              FieldEvent (mpsc)
//!                   │                                                  ▲
//!                   ▼                                                  │
//!  task::run_link ── picks ──▶ unit ──▶ class ──▶ plan ─▶ request ─ decode
//!        │                      │ backoff  │ schedule (what is due when)
//!        └── session::ModbusLink ◀── Ask ──┘
//! ```
//!
//! What each outcome of a request means is specified in [`modbus`]; the states of a device in [`unit`].

pub mod backoff;
pub mod modbus;
pub mod opcua;
pub mod outbox;
pub mod scaling;
pub mod schedule;
pub mod settings;
pub mod task;
pub mod unit;

pub use task::run_link;
