//! The pure core: what a reading means, what is reported, what is recorded.
//!
//! Nothing here waits, opens, logs or looks at a clock: every method takes `now` as an argument and returns what is to
//! be done. That is held by `clippy.toml` and by `tests/architecture.rs`, so that a day of the park can be replayed in
//! a test within milliseconds, and the same inputs give the same outputs on another day.
//!
//! In reading order: [`id`] and [`time`] are the words; [`reading`] is one value with its quality; [`registry`] is what
//! the points mean; [`instrument`] what an instrument is doing, [`flatline`] whether its value stands still, [`judge`] what
//! both make of a device's readings; [`derived`] what is computed of others; [`field_event`] is what comes in; [`engine`] decides; [`record`] is what goes out, and
//! [`codec`] its stored form; [`output`] what became of a write; [`actor`] is who acts, [`alarm`] what danger means and who is told, [`document`] what is told of it, [`order`] what is to be done in the world, [`phone`] the numbers of those who are told; [`daybook`] keeps the day's account and makes its reports, [`audit`] chains what people do;
//! [`site`] is the state of the site;
//! [`ranges`] keeps account of sequence numbers; [`snapshot`]
//! is what the page shows.

pub mod actor;
pub mod alarm;
pub mod audit;
pub mod codec;
pub mod coverage;
pub mod danger;
pub mod daybook;
pub mod derived;
pub mod document;
pub mod engine;
pub mod field_event;
pub mod flatline;
pub mod gate;
pub mod id;
pub mod instrument;
pub mod judge;
pub mod order;
pub mod output;
pub mod phone;
pub mod ranges;
pub mod reading;
pub mod record;
pub mod registry;
pub mod report;
pub mod site;
pub mod snapshot;
pub mod time;
