//! The simulated park: the same devices on real sockets, with faults, for the demo, the tests and the benchmark.
//!
//! In reading order: [`account`] is what a receiver keeps of the feed, [`ages`] its histogram; the park, its broker and
//! its platform stand beside them. Off on the target (feature `sim`).

pub mod account;
pub mod ages;
// The load generator of the end-to-end tests and the benchmark stands here: `pub mod load;`
