//! The gateway's own clockwork, once a second: trust in the wall clock, the systemd watchdog, changed configuration
//! files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
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
    mut folder: Folder,
    reloads: mpsc::Sender<()>,
    pulses: Vec<Pulse>,
    own: Pulse,
    stop: CancellationToken,
) -> Result<(), String> {
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
        if folder.look() {
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
pub(super) struct Folder {
    dir: PathBuf,
    /// Secrets and certificates beside the folder's own files, as the configuration in force names them.
    also: watch::Receiver<Vec<PathBuf>>,
    settling: Settling<ChangeStamp>,
}

impl Folder {
    /// Returns by what the files of a configuration are told, and the folder that notices that they change.
    pub(super) fn of(config: &Config, dir: &Path) -> (watch::Sender<Vec<PathBuf>>, Self) {
        let (files, also) = watch::channel(config.files.clone());
        (files, Self::new(dir.to_owned(), also))
    }

    /// Returns the folder as it is now: as it was loaded, if this comes right after.
    pub(super) fn new(dir: PathBuf, mut also: watch::Receiver<Vec<PathBuf>>) -> Self {
        let now = stamp(&dir, &also.borrow_and_update());
        Self { dir, also, settling: Settling::new(now) }
    }

    /// Looks at the files. Returns whether they changed since they were last taken over, and hold still now.
    fn look(&mut self) -> bool {
        let renamed = self.also.has_changed().unwrap_or(false);
        let now = stamp(&self.dir, &self.also.borrow_and_update());
        if renamed {
            // Other files than before, and just read.
            self.settling = Settling::new(now);
            return false;
        }
        self.settling.look(now)
    }
}

/// Tells a change that is finished from one under way.
struct Settling<S> {
    in_force: S,
    seen: S,
    still: u32,
}

impl<S: Clone + PartialEq> Settling<S> {
    fn new(now: S) -> Self {
        Self { in_force: now.clone(), seen: now, still: 0 }
    }

    fn look(&mut self, now: S) -> bool {
        self.still = if now == self.seen { self.still.saturating_add(1) } else { 0 };
        self.seen = now;
        let settled = self.still >= N_STILL_LOOKS && self.seen != self.in_force;
        if settled {
            self.in_force = self.seen.clone();
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_over_once_when_it_has_held_still() {
        let mut settling = Settling::new('a');
        let looks = "aabcdddddeeeeea".chars().map(|c| u8::from(settling.look(c)).to_string()).collect::<String>();
        assert_eq!(looks, "000000100001000");
    }

    #[test]
    fn a_change_taken_back_before_it_held_still_is_none() {
        let mut settling = Settling::new('a');
        assert!("abaaaaa".chars().all(|c| !settling.look(c)));
    }

    #[test]
    fn a_secret_named_by_a_new_configuration_is_watched_and_one_no_longer_named_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
        std::fs::write(&old, "1").unwrap();
        std::fs::write(&new, "1").unwrap();
        let (files, also) = watch::channel(vec![old.clone()]);
        let mut folder = Folder::new(dir.path().to_owned(), also);
        let mut looks = |n: usize| (0..n).filter(|_| folder.look()).count();
        files.send_replace(vec![new.clone()]);
        assert_eq!(looks(5), 0, "it was read when it was named");
        std::fs::write(&old, "changed").unwrap();
        assert_eq!(looks(5), 0);
        std::fs::write(&new, "changed").unwrap();
        assert_eq!(looks(5), 1);
    }
}
