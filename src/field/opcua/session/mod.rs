//! What waits: opening a session, asking the server, certificates on the disk.

pub mod ask;
pub mod browse;
pub mod history;
pub mod open;
pub mod pki;
