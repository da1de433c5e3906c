//! What the page must know; validated by `config`.

use std::net::SocketAddr;
use std::time::Duration;

/// Settings of the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where to listen. Loopback unless configured; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections at one time; more are closed at once.
    pub max_connections: usize,
    /// Time a client may take for its request's header.
    pub header_timeout: Duration,
    /// The park's zone, an IANA name, for times shown to people.
    pub timezone: String,
}
