//! Modbus as lanes need it: a few requests with answers of known length, over Modbus TCP or RTU through a converter.
//!
//! [`request`] writes requests and reads answers as bytes; [`session`] is one connection and one request at a time. Beside
//! `output/` the only place that can make a request which changes something in a device, and [`super::relay`] is the only
//! one that uses it: what may be written there is the module that `gates.toml` names for the lane.

pub mod request;
pub mod session;
