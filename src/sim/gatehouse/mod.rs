//! The simulated hardware of lanes, on real sockets, with faults: what `lane/` speaks to in tests and in the demo.
//!
//! [`camera`] is a 臻识 camera that sends again, keeps records while it is offline and has a white list of its own; [`isapi`]
//! a barrier with digest authentication that can be locked.

pub mod camera;
pub mod isapi;
