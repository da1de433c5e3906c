//! The simulated hardware of lanes, on real sockets, with faults: what `lane/` speaks to in tests and in the demo.
//!
//! [`camera`] is a 臻识 camera that sends again, keeps records while it is offline and has a white list of its own; [`isapi`]
//! a barrier with digest authentication that can be locked; [`module`] relays and inputs with an arm, a loop and a vehicle that
//! can be hit; [`serial`] converters with a reader and with a board behind them; [`terminal`] a JT/T 808 terminal; [`pusher`]
//! a system that counts queues or knows where persons are.

pub mod camera;
pub mod isapi;
pub mod module;
pub mod pusher;
pub mod serial;
pub mod terminal;
