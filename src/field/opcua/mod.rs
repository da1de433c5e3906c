//! The OPC UA client.

pub mod value;
