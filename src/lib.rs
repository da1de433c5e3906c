//! parkgate: the edge gateway of a closed chemical park (化工园区封闭化管理).

pub mod buffer;
pub mod clock;
pub mod domain;
pub mod field;
#[cfg(feature = "sim")]
pub mod sim;
pub mod supervise;
pub mod sys;
pub mod uplink;
pub mod web;
