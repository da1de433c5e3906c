//! The arm of a barrier in virtual time: for the stories of one lane, and for those of a whole park (`tests/gate/park.rs`, which
//! takes this file).

use super::Act;

/// From down to up, milliseconds.
pub(crate) const UP: i32 = 1_500;

/// An arm.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bar {
    /// 0 is down, [`UP`] is up.
    pub(crate) at: i32,
    /// Up 1, down -1, not 0.
    pub(crate) moves: i32,
    /// The contact that keeps it open is on: nothing closes it.
    pub(crate) held: bool,
    pub(crate) broken: bool,
}

impl Bar {
    /// Does what it is told. Returns the word for it; `None` where it is nothing for an arm.
    pub(crate) fn obey(&mut self, act: &Act) -> Option<&'static str> {
        let word = match act {
            Act::Open { .. } => "open",
            Act::Close => "close",
            Act::Stop => "stop",
            Act::HoldOpen => "hold",
            Act::EndHold => {
                self.held = false;
                return None;
            }
            Act::Dismiss { .. } | Act::Show(_) => return None,
        };
        self.held |= *act == Act::HoldOpen;
        self.moves = match act {
            Act::Open { .. } | Act::HoldOpen => 1,
            Act::Close if !self.held => -1,
            Act::Stop => 0,
            Act::Close | Act::EndHold | Act::Dismiss { .. } | Act::Show(_) => self.moves,
        };
        Some(word)
    }

    /// Lets time pass. Returns whether it is somewhere else now.
    pub(crate) fn turn(&mut self, ms: u64) -> bool {
        let before = self.at;
        if !self.broken {
            let way = self.moves * i32::try_from(ms).unwrap_or(UP).min(UP);
            self.at = (self.at + way).clamp(0, UP);
        }
        self.at != before
    }
}
