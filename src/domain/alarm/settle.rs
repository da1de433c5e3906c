//! From what is measured to what is so: on-delay, off-delay and deadband, one switch for each level.
//!
//! ```text
//!            wants on, for the on-delay, the last word of it a measurement
//!      off ─────────────────────────────────────────────────────────────────▶ on
//!          ◀─────────────────────────────────────────────────────────────────
//!            wants off, for the off-delay, without a pause in the measurements
//! ```
//!
//! While nothing is measured, nothing changes: a switch that waits to go on goes on waiting and needs a measurement at the
//! end; one that waits to go off begins anew (rule 96: bad quality never clears).

use std::time::Duration;

use super::super::time::Mono;
use super::spec::MAX_LEVELS;

/// What the points say of an alarm now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The level, 0 for none.
    pub(super) level: u8,
    /// Whether it is not higher, by measurements; otherwise it is at least this level, and nothing is cleared.
    pub(super) certain: bool,
    /// Another on-delay than the alarm's, counted from the time given.
    pub(super) lasting: Option<(Mono, Duration)>,
}

impl Verdict {
    /// Nothing is known.
    pub(super) const UNKNOWN: Self = Self { level: 0, certain: false, lasting: None };

    /// Exactly this level.
    pub(super) fn at(level: u8) -> Self {
        Self { level, certain: true, lasting: None }
    }

    /// At least this level.
    pub(super) fn at_least(level: u8) -> Self {
        Self { level, certain: false, lasting: None }
    }

    /// Active or not; `None` when it is not known.
    pub(super) fn of(active: Option<bool>) -> Self {
        active.map_or(Self::UNKNOWN, |active| Self::at(u8::from(active)))
    }
}

/// One level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Switch {
    on: bool,
    /// Since when it has wanted to change.
    wants: Option<Mono>,
}

/// All levels of one alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Switches([Switch; MAX_LEVELS]);

/// The delays of an alarm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delays {
    /// Before it is raised.
    pub(super) on: Duration,
    /// Before it is cleared.
    pub(super) off: Duration,
}

impl Switches {
    /// Returns the switches as they stand at this level.
    pub(super) fn at(level: u8) -> Self {
        let mut switches = Self::default();
        for (switch, n) in switches.0.iter_mut().zip(1..) {
            switch.on = level >= n;
        }
        switches
    }

    /// Returns the level that is so.
    pub(super) fn level(&self) -> u8 {
        self.0.iter().zip(1..).filter(|(switch, _)| switch.on).map(|(_, n)| n).max().unwrap_or(0)
    }

    /// Returns whether this level, from 1, is on.
    pub(super) fn is_on(&self, level: usize) -> bool {
        level.checked_sub(1).and_then(|index| self.0.get(index)).is_some_and(|switch| switch.on)
    }

    /// Takes a verdict. Returns the time by which it must be asked again, where a delay runs.
    pub(super) fn take(&mut self, verdict: Verdict, delays: Delays, now: Mono) -> Option<Mono> {
        let mut due: Option<Mono> = None;
        for (switch, n) in self.0.iter_mut().zip(1..) {
            let wants = if verdict.level >= n { Some(true) } else { verdict.certain.then_some(false) };
            let delays = match verdict.lasting {
                Some((_, on)) => Delays { on, ..delays },
                None => delays,
            };
            let since = verdict.lasting.map(|(since, _)| since).filter(|_| wants == Some(true));
            let at = switch.take(wants, delays, since, now);
            due = at.map_or(due, |at| Some(due.map_or(at, |due| due.min(at))));
        }
        due
    }
}

impl Switch {
    fn take(&mut self, wants: Option<bool>, delays: Delays, since: Option<Mono>, now: Mono) -> Option<Mono> {
        let Some(wants) = wants else {
            if self.on {
                self.wants = None;
            }
            return None;
        };
        if wants == self.on {
            self.wants = None;
            return None;
        }
        let from = since.unwrap_or(self.wants.unwrap_or(now));
        let due = from + if wants { delays.on } else { delays.off };
        if due <= now {
            *self = Self { on: wants, wants: None };
            return None;
        }
        self.wants = Some(from);
        Some(due)
    }
}
