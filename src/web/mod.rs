//! room: web

pub mod settings;
