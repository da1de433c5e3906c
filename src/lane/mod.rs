//! The hardware of the lanes.

pub mod camera;
pub mod coding;
pub mod isapi;
pub mod jtt808;
pub mod modbus;
pub mod relay;
pub mod vzenith;
