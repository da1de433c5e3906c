//! Alarms by ISA-18.2 and IEC 62682, gas by GB/T 50493 and GB 16808 (`domain.md` A10, A11, rules 80 to 97).
//!
//! ```text
//!                        active                         clear, not latching
//!   ┌───────────▶ A ───────────────▶ B unacked ─────────────────────────────▶ D returned, unacked
//!   │          normal               ▲  │  ▲  │ clear, latching          active │      │ ack
//!   │            ▲        level up, │  │  └──┼──────────────────────────────────┘      └─────▶ A
//!   │            │    reset refused │  │ack  ▼                       active
//!   │            │ clear,           │  │     E latched, unacked ──────────────▶ B
//!   │            │ not latching     │  ▼                 │ ack
//!   │            └───────────────── C acked             ▼
//!   │ reset                             │ clear,        F latched, acked ─────▶ B
//!   └───────────────────────────────────┼─────────────── ▲         active
//!                                       └────────────────┘
//!   any ── shelved, for a time ──▶ G          any but I ── condition of its suppression ──▶ H
//!   any ── out of service, for a time, two persons ──▶ I
//!   G, H, I ── over ──▶ recomputed: suppressed → H, active → B, else where it would stand
//! ```
//!
//! [`state::next`] is this table, and nothing else moves an alarm. An occurrence begins when an alarm leaves A and ends when it
//! is back; every record of it has the next `n`. An acknowledgement names the occurrence, and may name the last record that
//! the person saw: raised since, it is refused, so that nobody acknowledges what he has not seen. While an alarm is hidden, what
//! goes on beneath is recorded as notes (`from` = `to`), and `beneath` says where it would stand.
//!
//! What it guarantees:
//! - Only a measurement raises or clears (`condition.rs`, `settle.rs`); the exceptions for gas stand in `gas.rs`. What is not
//!   measured keeps its state and is marked stale. A device that is lost is one alarm; its points' silence is none.
//! - What latches stays shown and told at its highest level until a person resets it (GB 16808); a reset while the cause
//!   lasts indicates it anew at the level that is measured, at once. `now_level` tells what is measured below the latch.
//! - Gas and fire have no on-delay and are never suppressed by design, whatever the book says.
//! - Delays run on monotonic time. Wall times are told, and decide nothing.
//! - A reading that says nothing new costs one look and no allocation.
//! - Everything that waits is bounded: receipts by [`telling::RECEIPTS_MAX`], samples of a rate, raises of a minute; the rest is
//!   one entry per alarm of the book. Outputs are drained by the caller after every input.
//!
//! How it is driven:
//!
//! ```text
//! Alarms::new(book: Arc<AlarmBook>, boot: u32, now), then restore(saved, later, now) once, before the first reading
//! handle_readings(device, [(ordinal, reading, instrument state)], at, now)   what was read together   (or handle_reading)
//! handle_link(device, up, now)         handle_external(id, level, now)       install(book, now), then links, readings
//! handle_action(&Action, &Actor, now) -> Result<Done, Refused>               handle_receipt(key, &Receipt, now)
//! poll_timeout() -> Option<Mono>       handle_timeout(now)                   poll_output() -> Option<Output>
//! active(now)  instruments(now)  counts(now)  requests(now)  active_set_document(now)  saved(now)
//! ```
//!
//! In reading order: [`spec`] is what is to be watched, [`severity`] the words by which it is weighed, [`ask`] the questions to a
//! point, [`problem`] what no configuration may say, [`setpoint`] what the clauses say of set points of gas; [`state`] the table; [`record`] what is told of a transition; [`action`] what
//! people do; [`view`] what is given out; [`machine`] what comes in; [`telling`] who is told; [`counts`] floods; [`saved`]
//! restarts.

pub mod action;
mod active;
pub mod ask;
mod condition;
pub mod counts;
mod gas;
mod instance;
pub mod machine;
mod people;
mod points;
pub mod problem;
pub mod record;
pub mod saved;
pub mod setpoint;
mod settle;
pub mod severity;
pub mod spec;
pub mod state;
pub mod telling;
mod transition;
pub mod view;

pub use machine::Alarms;

#[cfg(test)]
mod tests;
