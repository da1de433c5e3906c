//! The gateway's own clockwork, once a second: trust in the wall clock, the systemd watchdog, changed configuration
//! files.

use std::path::PathBuf;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::watch::{ChangeStamp, stamp};
use crate::supervise::Pulse;

const EVERY: Duration = Duration::from_secs(1);
/// A loop that has not turned for this long hangs; the watchdog of the unit is set to twice this.
const HUNG_AFTER: Duration = Duration::from_secs(10);
/// A changed folder must hold still for this many looks before it is read: an editor writes in steps.
const N_STILL_LOOKS: u32 = 2;

/// Runs until `stop`.
pub(super) async fn run(
    clock: Clock,
    files: Files,
    reloads: mpsc::Sender<()>,
    pulses: Vec<Pulse>,
    own: Pulse,
    stop: CancellationToken,
) -> Result<(), String> {
    let mut folder = Folder::new(files);
    let mut next = clock.mono() + EVERY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = clock.sleep_until(next) => {}
        }
        next = clock.mono() + EVERY;
        own.beat(clock.mono());
        clock.refresh_trust();
        feed_watchdog(&clock, &pulses);
        if folder.has_settled_anew() {
            // One reload waiting is enough: it reads the newest files.
            reloads.try_send(()).ok();
        }
    }
}

/// A timer that pings by itself proves nothing: the watchdog is fed only while every loop turns.
fn feed_watchdog(clock: &Clock, pulses: &[Pulse]) {
    let now = clock.mono();
    match pulses.iter().find(|p| p.age(now) > HUNG_AFTER) {
        None => drop(sd_notify::notify(&[NotifyState::Watchdog])),
        Some(hung) => tracing::error!(task = hung.name(), "Loop does not turn; the watchdog is not fed."),
    }
}

/// What makes up the configuration on disk.
pub(super) struct Files {
    pub(super) dir: PathBuf,
    /// Secrets and certificates beside the folder's own files.
    pub(super) also: Vec<PathBuf>,
}

struct Folder {
    files: Files,
    in_force: ChangeStamp,
    seen: ChangeStamp,
    still: u32,
}

impl Folder {
    fn new(files: Files) -> Self {
        let now = stamp(&files.dir, &files.also);
        Self { files, in_force: now.clone(), seen: now, still: 0 }
    }

    fn has_settled_anew(&mut self) -> bool {
        let now = stamp(&self.files.dir, &self.files.also);
        self.still = if now == self.seen { self.still + 1 } else { 0 };
        self.seen = now;
        let settled = self.still >= N_STILL_LOOKS && self.seen != self.in_force;
        if settled {
            self.in_force = self.seen.clone();
        }
        settled
    }
}
