//! What talks to Linux: clock state here; disk space, locks and serial modes beside it as they come.
//!
//! The only room where `unsafe` may stand, each block with its reason.

pub mod clock;
pub mod disk;
pub mod memory;
