//! What the engine works on.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::danger::Rules;
use crate::domain::id::DeviceSlot;
use crate::domain::registry::Registry;

/// What the engine works on: a registry revision and how its devices are polled.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The revision.
    pub registry: Arc<Registry>,
    /// Its wire form, recorded on the `registry` stream.
    pub registry_json: String,
    /// One per device of the registry, in its order.
    pub devices: Vec<PlanDevice>,
    /// What is a danger, and who is told.
    pub danger: Rules,
}

/// How one device is polled.
#[derive(Clone, Debug)]
pub struct PlanDevice {
    /// Its slot; a slot that the engine knows already keeps its state.
    pub slot: DeviceSlot,
    /// Interval of each poll class.
    pub classes: Vec<Duration>,
    /// Poll class of each point, in ordinal order.
    pub class_of: Vec<u8>,
}
