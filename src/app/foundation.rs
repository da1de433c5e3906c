//! What everything stands on: state folder, registry, page's address, store. Opened in this order, and nothing runs before.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use ulid::Ulid;

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

/// Starts of a gateway between two that are made at the same minute: no supervisor is that quick.
const STARTS_A_MINUTE: u64 = 256;
/// 2020-01-01T00:00:00Z, milliseconds since 1970: no store is older, and with it minutes fit until 2051.
const FIRST_STORE_MS: u64 = 1_577_836_800_000;

/// Returns under which start of the gateway its events of who is inside are written. It grows with each start, and also when its
/// disk was replaced and starts are counted from 1 again: what was written before is at the other gateways, and comes back from
/// them. For that the minute at which the store was made, as its epoch tells, stands before the count. A store that was made
/// while the machine's clock stood in the past has the count alone.
pub(super) fn source_boot(epoch: &str, boot: u32) -> u32 {
    let made = Ulid::from_string(epoch).map_or(0, |epoch| epoch.timestamp_ms());
    let minutes = made.saturating_sub(FIRST_STORE_MS) / 60_000;
    u32::try_from(minutes.saturating_mul(STARTS_A_MINUTE)).unwrap_or(u32::MAX / 2).saturating_add(boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_on_a_new_disk_comes_after_all_that_were_on_the_old_one() {
        let epoch = |ms: u64| Ulid::from_parts(ms, 7).to_string();
        let made = 1_795_651_200_000;
        let (old, new) = (epoch(made), epoch(made + 86_400_000));
        assert!(source_boot(&old, 1) < source_boot(&old, 2));
        assert!(source_boot(&old, 10_000) < source_boot(&new, 1), "ten thousand starts in a day");
        assert!(source_boot(&epoch(2_540_000_000_000), 9) < u32::MAX, "in 2050 too");
        assert_eq!((source_boot(&epoch(5_000), 3), source_boot("no epoch", 3)), (3, 3));
    }
}
