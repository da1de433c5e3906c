//! One input of the fire linkage: what its line says, and the latch that a signal or a broken line leaves.
//!
//! ```text
//!             at rest                      signal: at once, by one reading
//!  unknown ───────────▶ clear ──────────────────────────────▶ signal
//!     │                   │ ▲ at rest                            │ at rest: clear; the latch stays
//!     │ nothing heard     │ │                                    │
//!     │ within STARTUP    ▼ │   odd for longer than `settle`     │
//!     └───────────────▶ broken ◀─────────────────────────────────┘
//! ```
//!
//! | line | at rest | signal | odd |
//! |---|---|---|---|
//! | pair | NO open, NC closed | NO closed, and NC open or unknown | both equal; NO unknown; NO open and NC unknown |
//! | resistor | in the normal window | in the fire window | in neither, or unknown |
//!
//! A reading that is not good, or older than `silence`, is unknown. An open NC alone is what a cut wire looks like, so it is
//! never a signal by itself; a closed NO beside a lost NC is one, because no fault closes a contact.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::book::{FireInput, Line};
use crate::domain::id::PointUid;
use crate::domain::reading::{Quality, Reading};
use crate::domain::time::Mono;

/// After a start, a line of which nothing was heard is broken after this: devices connect within seconds, and until then
/// silence is no news.
pub const STARTUP: Duration = Duration::from_secs(30);

/// What a line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// Nothing yet.
    #[default]
    Unknown,
    /// At rest.
    Clear,
    /// Fire.
    Signal,
    /// It cannot be relied on.
    Broken,
}

/// Why a line is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// Both contacts say the same.
    Equal,
    /// The value is in no window.
    OutOfWindows,
    /// A reading is missing, bad or old.
    Lost,
}

impl Odd {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "contacts_equal",
            Self::OutOfWindows => "out_of_windows",
            Self::Lost => "lost",
        }
    }

    pub(super) fn zh(self) -> &'static str {
        match self {
            Self::Equal => "常开与常闭触点状态相同",
            Self::OutOfWindows => "回路值不在任何区间",
            Self::Lost => "模块或回路无有效读数",
        }
    }

    pub(super) fn en(self) -> &'static str {
        match self {
            Self::Equal => "both contacts say the same",
            Self::OutOfWindows => "the loop's value is in no window",
            Self::Lost => "no good reading of the module or the loop",
        }
    }
}

/// What one look at the line gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Clear,
    Signal,
    Odd(Odd),
}

/// The state of one input.
#[derive(Clone, Debug)]
pub(super) struct FireNow {
    /// Reading and its time, in the order of [`Line::points`].
    seen: [Option<(Reading, Mono)>; 2],
    heard: bool,
    /// Since when the line has been odd, and how long that may last.
    odd: Option<(Mono, Duration)>,
    pub(super) line: LineState,
    pub(super) why: Option<Odd>,
    /// A signal or a broken line since the last reset: the lanes stay released.
    pub(super) latched: bool,
}

impl FireNow {
    pub(super) fn new(now: Mono) -> Self {
        Self {
            seen: [None; 2],
            heard: false,
            odd: Some((now, STARTUP)),
            line: LineState::Unknown,
            why: None,
            latched: false,
        }
    }

    /// Takes a reading of one of its points; returns whether it was one of them.
    pub(super) fn take(&mut self, input: &FireInput, uid: &PointUid, reading: Reading, at: Mono) -> bool {
        let mut mine = false;
        for (slot, point) in self.seen.iter_mut().zip(input.line.points()) {
            if point == uid {
                *slot = Some((reading, at));
                (mine, self.heard) = (true, true);
            }
        }
        mine
    }

    /// Judges the line anew; returns whether what it says has changed.
    pub(super) fn judge(&mut self, input: &FireInput, now: Mono) -> bool {
        for slot in &mut self.seen {
            *slot = slot.filter(|(_, at)| now.since(*at) < input.silence);
        }
        let line = match self.look(input) {
            Look::Signal => self.settled(LineState::Signal),
            Look::Clear => self.settled(LineState::Clear),
            Look::Odd(odd) => {
                let (since, patience) = *self.odd.get_or_insert((now, input.settle));
                if self.heard && patience > input.settle {
                    // It was silent since the start, and now speaks: from here on it has its own time to settle.
                    self.odd = Some((now, input.settle));
                    return false;
                }
                if now.since(since) < patience {
                    return false;
                }
                self.why = Some(odd);
                LineState::Broken
            }
        };
        let changed = line != self.line;
        self.line = line;
        self.latched |= matches!(line, LineState::Signal | LineState::Broken);
        changed
    }

    /// Returns when the line must be looked at although nothing was read.
    pub(super) fn due(&self, input: &FireInput) -> Option<Mono> {
        let silent = self.seen.iter().flatten().map(|(_, at)| *at + input.silence).min();
        let broken = self.odd.filter(|_| self.line != LineState::Broken).map(|(since, patience)| since + patience);
        let silent = silent.filter(|_| self.odd.is_none());
        [silent, broken].into_iter().flatten().min()
    }

    fn settled(&mut self, line: LineState) -> LineState {
        self.odd = None;
        self.why = None;
        line
    }

    fn look(&self, input: &FireInput) -> Look {
        let good = |slot: Option<(Reading, Mono)>| {
            let (reading, _) = slot?;
            reading.as_f64().filter(|_| reading.quality == Quality::Good)
        };
        let [first, second] = self.seen;
        match &input.line {
            Line::Pair { .. } => match (good(first).map(closed), good(second).map(closed)) {
                (Some(true), Some(false) | None) => Look::Signal,
                (Some(false), Some(true)) => Look::Clear,
                (Some(true), Some(true)) | (Some(false), Some(false)) => Look::Odd(Odd::Equal),
                (None, _) | (Some(false), None) => Look::Odd(Odd::Lost),
            },
            Line::Resistor { normal, fire, .. } => match good(first) {
                Some(value) if in_window(value, *fire) => Look::Signal,
                Some(value) if in_window(value, *normal) => Look::Clear,
                Some(_) => Look::Odd(Odd::OutOfWindows),
                None => Look::Odd(Odd::Lost),
            },
        }
    }
}

fn closed(value: f64) -> bool {
    value != 0.0
}

fn in_window(value: f64, (from, to): (f64, f64)) -> bool {
    value >= from && value <= to
}
