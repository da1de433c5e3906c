//! parkgate: the edge gateway of a closed chemical park (化工园区封闭化管理).
//!
//! The modules in reading order:
//!
//! 1. [`domain`]: the pure core. What a reading, a point, a record, a gap is; the engine that turns what the field says
//!    into what is recorded.
//! 2. [`config`]: the folder that an integrator writes, checked as a whole.
//! 3. [`field`]: reads the devices. [`output`]: writes to the few that are allowed. [`buffer`]: keeps every record. [`uplink`]: delivers them and keeps account.
//!    [`web`]: shows how it stands. [`lane`]: the hardware of the gates. [`control`]: how a command on the machine reaches it. [`state`]: what survives a restart beside the records.
//!    [`policy`]: the policies of the gates, over the facts that [`domain::gate`] computed. [`peers`]: what gateways of one park share. [`sms`]: text messages to those on duty.
//! 4. [`app`]: joins all of these, and nothing else does. [`cli`]: the commands. [`tools`]: those of commissioning.
//! 5. [`clock`], [`supervise`], [`sys`]: time, tasks and Linux; [`mqtt`]: what is common to those who speak to a broker. `sim`: the simulated park of the demo and the tests.
//!
//! `ARCHITECTURE.md` says how they hang together and what must stay true.

pub mod app;
pub mod buffer;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod domain;
pub mod field;
pub mod lane;
pub mod mqtt;
pub mod output;
pub mod peers;
pub mod policy;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sms;
pub mod state;
pub mod supervise;
pub mod sys;
pub mod tools;
pub mod uplink;
pub mod web;
