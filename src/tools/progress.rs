//! How far a long scan is, on standard error, where it does not disturb a table or a CSV.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::time::Mono;

/// Pause between two words of progress on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(100);
/// The same in a log.
const IN_LOG: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Progress {
    clock: Clock,
    terminal: bool,
    next: Mono,
    shown: bool,
}

impl Progress {
    /// Returns one that first speaks after a moment: short scans need none.
    pub fn new(clock: &Clock) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let next = clock.mono() + if terminal { ON_TERMINAL } else { IN_LOG };
        Self { clock: clock.clone(), terminal, next, shown: false }
    }

    /// Says how far it is, if it is time.
    pub fn tell(&mut self, words: impl FnOnce() -> String) {
        let now = self.clock.mono();
        if now < self.next {
            return;
        }
        self.next = now + if self.terminal { ON_TERMINAL } else { IN_LOG };
        let mut err = std::io::stderr().lock();
        if self.terminal {
            drop(write!(err, "\r\x1b[K{}", words()).and_then(|()| err.flush()));
            self.shown = true;
        } else {
            drop(writeln!(err, "{}", words()));
        }
    }

    /// Wipes the line.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            let mut err = std::io::stderr().lock();
            drop(write!(err, "\r\x1b[K").and_then(|()| err.flush()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
