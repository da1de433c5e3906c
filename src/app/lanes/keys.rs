//! The keys that the hardware of the lanes needs: the one by which cards are looked up, which lies with the persons, and the
//! one that makes the codes of terminals, which is made once and kept.

use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};

use crate::domain::gate::register::digest::LookUpKey;
use crate::lane::coding::Key;
use crate::state::State;
use crate::state::persons::look_up_key;

/// Name of the state that holds the key of the terminals' codes.
const TERMINALS: &str = "terminal-codes";

/// Both.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Of cards and drivers' cards.
    pub(super) look_up: LookUpKey,
    /// Of the terminals' codes.
    pub(super) terminals: Key,
}

impl Keys {
    /// Takes them from where they are kept. What cannot be had is replaced for this run: then no card is known, and whoever wants
    /// to come in is referred to a guard; whoever leaves needs none.
    pub(super) fn open(state_dir: &Path) -> Self {
        let look_up = look_up_key(&state_dir.join("register").join("persons")).unwrap_or_else(|error| {
            tracing::error!(error = %crate::cli::chain(error), "The key of cards cannot be had; no card is known in this run.");
            LookUpKey::new(&random().unwrap_or_default())
        });
        let terminals = kept(state_dir).unwrap_or_else(|why| {
            tracing::error!(%why, "The key of terminals' codes cannot be kept; each terminal registers anew.");
            random().unwrap_or_default()
        });
        Self { look_up, terminals: Key::new(&terminals) }
    }
}

fn kept(state_dir: &Path) -> Result<[u8; 32], String> {
    let state = State::open(state_dir).map_err(crate::cli::chain)?;
    let before = state.load(TERMINALS).map_err(crate::cli::chain)?;
    if let Some(key) = before.and_then(|bytes| bytes.try_into().ok()) {
        return Ok(key);
    }
    let key = random().ok_or("no randomness")?;
    state.save(TERMINALS, &key).map_err(crate::cli::chain)?;
    Ok(key)
}

fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok().map(|()| bytes)
}
