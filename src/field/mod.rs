//! Southbound: the readers of field devices. They only read; nothing in this room can write to a device.
//!
//! One connection owner per address ([`settings::Link`]): it may serve several devices (unit ids). What it reads goes as
//! [`crate::domain::field_event::FieldEvent`] to the engine. `session.rs` and `task.rs` do I/O; all else is pure.

pub mod settings;
