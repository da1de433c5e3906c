//! Stories of a lane, and what holds whatever happens.

mod doors;
mod properties;
mod standing;
mod stories;
pub(in crate::domain::gate::lane) mod support;
