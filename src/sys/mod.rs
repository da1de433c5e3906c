//! What talks to Linux: clock state, disk space, the allocator, serial modes, users and groups.
//!
//! The only room where `unsafe` may stand, each block with its reason.

pub mod clock;
pub mod disk;
pub mod memory;
pub mod serial;
pub mod users;
