//! JT/T 808: positioning terminals of vehicles, those that the gate hands out and those that come with them (`domain.md` B4).
//!
//! [`frame`] is the envelope (2011, 2013 and 2019 editions), [`message`] what is in it, [`desk`] what follows from it, and
//! [`session`] the sockets. Coordinates are passed on with the datum that is declared for the terminal; nothing is converted.
//! Drivers' numbers leave this room only as keyed digests, their names not at all.

pub mod desk;
pub mod frame;
pub mod message;
pub mod session;
