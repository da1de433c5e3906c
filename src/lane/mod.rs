//! The hardware of the lanes.

pub mod camera;
pub mod coding;
pub mod isapi;
pub mod vzenith;
