//! Stories of dangerous goods, and what holds after any sequence of steps.

mod bench;
mod facts;
mod positions;
mod properties;
mod stories;

pub(crate) use bench::{bay, goods, plate, waybill};
