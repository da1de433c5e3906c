//! One alarm at work: its switches, and the occurrence while it is not normal.

use std::time::Duration;

use super::super::record::Mode;
use super::super::time::{Mono, Timestamp};
use super::condition::Window;
use super::record::{AlarmRecord, Occ};
use super::settle::Switches;
use super::severity::Shelving;
use super::spec::AlarmSpec;
use super::state::State;

/// How many of the last raises are remembered: three within a minute are chattering (rule 95).
pub(super) const RAISES: usize = 3;

/// A time that has lasted since before this start, perhaps: the machine's own clock begins anew with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lasting {
    /// Since when, in this start.
    pub(super) at: Mono,
    /// What had passed before that.
    pub(super) before: Duration,
}

impl Lasting {
    /// Begins now.
    pub(super) fn from(at: Mono) -> Self {
        Self { at, before: Duration::ZERO }
    }

    /// Goes on now.
    pub(super) fn after(before: Duration, at: Mono) -> Self {
        Self { at, before }
    }

    /// Returns how long it has lasted.
    pub(super) fn elapsed(self, now: Mono) -> Duration {
        self.before + now.since(self.at)
    }

    /// Returns what was left of `limit` when it began, or went on.
    pub(super) fn left(self, limit: Duration) -> Duration {
        limit.saturating_sub(self.before)
    }

    /// Returns when it will have lasted for `limit`.
    pub(super) fn reaches(self, limit: Duration) -> Mono {
        self.at + self.left(limit)
    }
}

/// One alarm.
#[derive(Debug, Default)]
pub(super) struct Instance {
    pub(super) switches: Switches,
    pub(super) window: Window,
    /// Whether the last look found no measurement.
    pub(super) unknown: bool,
    /// Whether its suppression holds.
    pub(super) suppressed: bool,
    /// While it is not normal.
    pub(super) open: Option<Box<Occurrence>>,
    /// When its delays must be looked at.
    pub(super) settle_due: Option<Mono>,
    /// When it stands in the timers.
    pub(super) due: Option<Mono>,
    /// The last raises, oldest first.
    pub(super) raises: [Option<Mono>; RAISES],
}

/// What an alarm is while it is not normal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Occurrence {
    pub(super) occ: Occ,
    /// Number of the last record.
    pub(super) n: u32,
    pub(super) state: State,
    /// A to F: where it would stand if it were not hidden.
    pub(super) beneath: State,
    pub(super) level: u8,
    pub(super) peak_level: u8,
    pub(super) peak: Option<f64>,
    pub(super) t_active: Option<Timestamp>,
    pub(super) t_ack: Option<Timestamp>,
    pub(super) t_clear: Option<Timestamp>,
    /// Since when it has been active without a pause.
    pub(super) active: Option<Lasting>,
    /// Number of the record that last asked for an acknowledgement.
    pub(super) raised_n: u32,
    pub(super) first_out: bool,
    /// While it is shelved or out of service.
    pub(super) hidden: Option<Hidden>,
    /// While people are being told.
    pub(super) ladder: Option<Ladder>,
    /// The last record; `None` before the first.
    pub(super) last: Option<Box<AlarmRecord>>,
}

/// A time on the shelf or out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hidden {
    /// Since when, extensions included.
    pub(super) since: Lasting,
    /// When it ends.
    pub(super) until: Mono,
    /// What may lie there: `SecondPerson` where two have agreed.
    pub(super) covers: Shelving,
}

/// Where the telling stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ladder {
    /// Since when nobody has acknowledged.
    pub(super) since: Lasting,
    /// Index of the next step.
    pub(super) next: usize,
}

/// Whether people are told of an alarm in this state.
pub(super) fn is_told(spec: &AlarmSpec, state: State) -> bool {
    state.is_unacked() && spec.mode == Mode::Real && spec.escalation.is_some()
}

impl Occurrence {
    /// Returns an occurrence that has not happened yet.
    pub(super) fn new(occ: Occ) -> Self {
        Self {
            occ,
            n: 0,
            state: State::Normal,
            beneath: State::Normal,
            level: 0,
            peak_level: 0,
            peak: None,
            t_active: None,
            t_ack: None,
            t_clear: None,
            active: None,
            raised_n: 0,
            first_out: false,
            hidden: None,
            ladder: None,
            last: None,
        }
    }
}

impl Instance {
    /// Returns where it stands.
    pub(super) fn state(&self) -> State {
        self.open.as_ref().map_or(State::Normal, |open| open.state)
    }

    /// Returns the level at which people see it active: 0 where it is not, or is hidden.
    pub(super) fn shown_level(&self) -> u8 {
        self.open.as_ref().filter(|open| open.state.is_active()).map_or(0, |open| open.level)
    }

    /// Returns it as it stands under another configuration: delays begin anew, levels that are no more count as the highest.
    pub(super) fn under(mut self, spec: &AlarmSpec) -> Self {
        let top = u8::try_from(spec.levels.len()).unwrap_or(u8::MAX);
        if let Some(open) = &mut self.open {
            open.level = open.level.min(top);
        }
        Self {
            switches: Switches::at(self.switches.level().min(top)),
            open: self.open,
            raises: self.raises,
            suppressed: self.suppressed,
            unknown: self.unknown,
            ..Self::default()
        }
    }

    /// Begins or ends the telling, where another configuration wants it so: a point that has come into service.
    pub(super) fn see_to_ladder(&mut self, spec: &AlarmSpec, now: Mono) {
        if let Some(open) = &mut self.open {
            let anew = Ladder { since: Lasting::from(now), next: 0 };
            open.ladder = is_told(spec, open.state).then(|| open.ladder.unwrap_or(anew));
        }
    }

    /// Notes a raise.
    pub(super) fn note_raise(&mut self, at: Mono) {
        self.raises.rotate_left(1);
        if let Some(last) = self.raises.last_mut() {
            *last = Some(at);
        }
    }

    /// Whether the last raises came within a minute.
    pub(super) fn is_chattering(&self, now: Mono) -> bool {
        self.raises.first().copied().flatten().is_some_and(|oldest| now.since(oldest) <= Duration::from_secs(60))
    }
}
