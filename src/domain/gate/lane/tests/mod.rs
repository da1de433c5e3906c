//! Stories of a lane, and what holds whatever happens.

mod doors;
mod properties;
mod stories;
pub(in crate::domain::gate::lane) mod support;
