//! One session as the task sees it: its connection, if there is one, and what is in flight on it.

use crate::domain::snapshot::SessionStatus;
use crate::domain::time::Mono;
use crate::uplink::feed::Session;
use crate::uplink::flight::Flight;
use crate::uplink::session::Link;
use crate::uplink::settings::Settings;

/// One session as the task sees it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: Option<Link>,
    /// Counts connections, so that an acknowledgement never goes to a later one.
    pub(super) generation: u64,
    /// Whether it was asked to disconnect.
    pub(super) leaving: bool,
    pub(super) flight: Flight,
    /// When the broker last said anything.
    pub(super) heard: Mono,
    pub(super) since: Option<Mono>,
    pub(super) attempts: u64,
    pub(super) trouble: Option<String>,
}

impl Connection {
    /// Returns a session that never was up.
    pub(super) fn new(settings: &Settings, now: Mono) -> Self {
        Self {
            link: None,
            generation: 0,
            leaving: false,
            flight: Self::flight(settings, now),
            heard: now,
            since: None,
            attempts: 0,
            trouble: None,
        }
    }

    /// Returns the flight of a new connection.
    pub(super) fn flight(settings: &Settings, now: Mono) -> Flight {
        Flight::new(settings.max_in_flight.into(), settings.broker.keep_alive, now)
    }

    /// Returns how it stands.
    pub(super) fn status(&self, session: Session) -> SessionStatus {
        SessionStatus {
            name: session.as_str(),
            up: self.link.is_some(),
            since: self.since,
            attempts: self.attempts,
            trouble: self.trouble.clone(),
        }
    }
}
