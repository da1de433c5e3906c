//! The commands that an engineer reaches for first (联调工具): what is behind this address, is it read right, does it move.
//!
//! | command | what | needs |
//! |---|---|---|
//! | `read` | one point, with every step from registers to value | a configuration |
//! | `watch` | changes as they come | a running gateway |
//! | `output`, `looptest` | a write with its read-back; a loop test with its record | a running gateway |
//! | `wirelog` | the bytes between gateway and device | a running gateway |
//! | `check --explain` | what each line of the point table was understood to mean, and each alarm | a configuration |
//! | `policy check`, `policy test` | the policies of the gates, and what they make of the cases of decision tables | a configuration |
//! | `policy replay`, `audit verify` | past decisions under other policies; the chain of the audit, proved | a running gateway |
//! | `registry import` | tables of the register, each refused row with its place | a running gateway, or a configuration |
//! | `registry show`, `registry export` | how its tables stand, one row with its changes, a whole table | the same |
//! | `permits`, `waybills` | the approvals that take a person | a running gateway |
//! | `probe modbus`, `probe serial` | unknown devices | nothing |
//! | `alarms`, `ack`, `reset`, `shelve` … `site`, `report`, `duty`, `hazard`, `accident`, `channel` | what operators do | a running gateway |
//! | `lanes`, `lane` | what stands at the gates, and what a guard does there | a running gateway |
//!
//! With a running gateway everything goes through its control socket ([`crate::control`]). The probes read through the
//! field's own session, which cannot write. Tables go to standard output (CSV with `--csv`), progress to standard error;
//! Ctrl-C ends with what was found so far.

pub mod alarms;
pub mod audit;
pub mod channel;
pub mod daybook;
pub mod desk;
pub mod explain;
pub mod frame;
pub mod gateway;
pub mod lanes;
pub mod line;
pub mod map;
pub mod offset;
pub mod operator;
pub mod permits;
pub mod places;
pub mod policy;
pub mod probe;
pub mod progress;
pub mod rank;
pub mod read;
pub mod register;
pub mod service;
pub mod site;
pub mod table;
pub mod understood;
