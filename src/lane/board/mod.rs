//! Boards with text and voice on RS-485, through a converter (`domain.md` B8).
//!
//! [`frame`] writes what a board takes, [`session`] sends it. Boards do not answer in a way that could be relied on: a sign is
//! carried when the converter has it.

pub mod frame;
pub mod session;
