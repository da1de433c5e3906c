//! Stories of the park, and properties over long random runs.

mod bench;
mod gas;
mod life;
mod people;
mod properties;
mod restart;
mod telling;
