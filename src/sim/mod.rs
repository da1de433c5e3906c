//! The simulated park: the same devices on real sockets, with faults, for the demo, the tests and the benchmark.
//!
//! In reading order:
//!
//! - The park: [`life`] is its story as a function of time, [`park`] and [`devices`] its points, [`image`] its registers,
//!   [`server`] the Modbus TCP sockets, [`serial`] the RS-485 lines, [`dcs`] an OPC UA server; all can also misbehave.
//! - The far end: [`broker`], [`platform`], and [`account`]: what a receiver keeps of the feed (with [`ages`]).
//! - [`demo`] joins both around a gateway, `sockets` puts the park on its sockets, [`folder`] writes its configuration
//!   (`units` its alarms), [`report`] prints its account.
//! - [`gatehouse`] is the hardware of lanes: cameras, barriers, modules, terminals; [`gates`] those of the demo's park with who is
//!   registered and what drives and walks through, [`orders`] the platform's signed commands.
//! - [`modem`] is a GSM modem that takes text messages.
//! - [`load`] is a field of many devices for end-to-end tests and the benchmark.
//!
//! Off on the target (feature `sim`).

pub mod account;
pub mod ages;
pub mod broker;
pub mod dcs;
pub mod demo;
pub mod devices;
mod envelope;
pub mod fault;
mod findings;
pub mod folder;
pub mod gatehouse;
pub mod gates;
pub mod image;
pub mod life;
pub mod load;
pub mod modem;
pub mod orders;
pub mod park;
pub mod platform;
pub mod report;
pub mod serial;
pub mod server;
mod sockets;
mod units;
