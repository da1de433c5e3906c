//! What sharing must know; validated by `config`.

use std::collections::BTreeSet;
use std::time::Duration;

pub use crate::mqtt::settings::{Broker, Login, Tls};

use crate::domain::gate::word::GatewayId;

/// Settings of the sharing between the gateways of a park.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Park id, part of the topics.
    pub park: String,
    /// This gateway.
    pub gateway: GatewayId,
    /// The other gateways of the park; never empty, and never this one.
    pub peers: BTreeSet<GatewayId>,
    /// Without word of one for this long, it is taken to be cut off, 10 s..=1 h.
    pub silent_after: Duration,
    /// The park's own broker.
    pub broker: Broker,
}
