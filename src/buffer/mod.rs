//! room: buffer

pub mod settings;
