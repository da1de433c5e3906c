//! room: uplink

pub mod settings;
