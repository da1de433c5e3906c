//! Alarms by ISA-18.2 and IEC 62682, gas by GB/T 50493 and GB 16808 (`domain.md` A10, A11, rules 92 to 97).
//!
//! [`spec`] is what is to be watched, [`severity`] the words by which it is weighed, [`ask`] the questions to a point,
//! [`problem`] what no configuration may say; [`state`] the table of states; [`record`] what is told of a transition;
//! [`action`] what people do; [`view`] what is given out.
//!
//! The machine that works by a book (`Alarms`, not yet here) is driven like the engine:
//!
//! ```text
//! Alarms::new(book: Arc<AlarmBook>, boot: u32, now)      install(book, now): then every standing reading is handed in again
//! restore(saved, later: impl IntoIterator<Item = AlarmRecord>, now)                 once, before the first reading
//! handle_reading(device: usize, ordinal: u16, Reading, Option<InstrumentState>, at: Mono, now)
//! handle_link(device: usize, up: bool, now)              handle_external(id: &str, level: u8, now)
//! handle_action(&Action, &Actor, now) -> Result<Done, Refused>                      handle_receipt(key: &str, &Receipt, now)
//! poll_timeout() -> Option<Mono>   handle_timeout(now)   poll_output() -> Option<Output>
//! active(now) -> Vec<ActiveAlarm>  instruments(now)      counts(now) -> Counts      active_set_document(now) -> Document
//! saved(now) -> Saved (serde)
//! ```

pub mod action;
pub mod ask;
pub mod problem;
pub mod record;
pub mod severity;
pub mod spec;
pub mod state;
pub mod view;
