//! The simulated park: the same devices on real sockets, with faults, for the demo, the tests and the benchmark.
//!
//! In reading order: [`account`] is what a receiver keeps of the feed, [`ages`] its histogram; the park, its broker and
//! its platform stand beside them; [`load`] is a field of many devices for end-to-end tests and the benchmark. Off on
//! the target (feature `sim`).

pub mod account;
pub mod ages;
pub mod broker;
pub mod demo;
pub mod devices;
mod envelope;
mod findings;
pub mod folder;
pub mod image;
pub mod life;
pub mod load;
pub mod park;
pub mod platform;
pub mod report;
pub mod server;
