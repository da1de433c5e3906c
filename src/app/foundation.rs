//! What everything stands on: state folder, registry, page's address, store. Opened in this order, and nothing runs before.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{StartError, VERSION};
use crate::buffer;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::record::Boot;
use crate::state::State;
use crate::state::registry::{RegistryBook, Revision};
use crate::sys;

/// What everything stands on.
pub(super) struct Foundation {
    pub(super) state: State,
    pub(super) book: RegistryBook,
    pub(super) revision: Revision,
    pub(super) listener: TcpListener,
    pub(super) opened: buffer::Opened,
}

/// Does everything that may fail at a start; the store last, so that what fails before leaves no trace in it.
pub(super) async fn lay_foundation(config: &Config, clock: &Clock) -> Result<Foundation, StartError> {
    let state = State::open(&config.state_dir).map_err(StartError::State)?;
    let book = RegistryBook::new(state.clone());
    let revision = book.revision_of(&config.specs).map_err(StartError::State)?;
    let listener = bind(config.web.listen).await?;
    let opened = open_store(config, clock).await?;
    Ok(Foundation { state, book, revision, listener, opened })
}

async fn open_store(config: &Config, clock: &Clock) -> Result<buffer::Opened, StartError> {
    let (settings, now) = (config.store.clone(), clock.now());
    tokio::task::spawn_blocking(move || buffer::open(settings, now))
        .await
        .map_err(|e| StartError::Interrupted(e.to_string()))?
        .map_err(StartError::Store)
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Says how long the gateway was off: exactly by the monotonic clock when the machine stayed up, else not at all here;
/// the platform can judge by the two wall times and their trust.
pub(super) fn boot_body(start: &buffer::Start, clock: &Clock) -> Boot {
    let off = start
        .last_seen
        .as_ref()
        .filter(|seen| !seen.machine_boot_id.is_empty() && seen.machine_boot_id == sys::clock::machine_boot_id())
        .map(|seen| clock.mono().since(seen.mono));
    Boot {
        software: VERSION.to_owned(),
        last_seen: start.last_seen.as_ref().map(|seen| seen.wall),
        off_ms: off.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
        clean: start.clean,
    }
}
