//! The states of an alarm and the one table by which it goes from one to another (ISA-18.2, IEC 62682; `domain.md` A11).
//! A pure function: who asks it decides nothing else.

use serde::{Deserialize, Serialize};

/// Where an alarm stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A: nothing.
    #[default]
    Normal,
    /// B: active, nobody has acknowledged it.
    Unacked,
    /// C: active, acknowledged.
    Acked,
    /// D: gone by itself, nobody has acknowledged it.
    ReturnedUnacked,
    /// E: the cause is gone, latched, nobody has acknowledged it.
    LatchedUnacked,
    /// F: the cause is gone, latched, acknowledged: it waits to be reset.
    LatchedAcked,
    /// G: put on the shelf by a person, for a time.
    Shelved,
    /// H: suppressed by design.
    Suppressed,
    /// I: taken out of service by persons, for a time.
    OutOfService,
}

impl State {
    /// All states, A to I.
    pub const ALL: [State; 9] = [
        Self::Normal,
        Self::Unacked,
        Self::Acked,
        Self::ReturnedUnacked,
        Self::LatchedUnacked,
        Self::LatchedAcked,
        Self::Shelved,
        Self::Suppressed,
        Self::OutOfService,
    ];

    /// Returns the letter of the standard.
    pub fn letter(self) -> char {
        match self {
            Self::Normal => 'A',
            Self::Unacked => 'B',
            Self::Acked => 'C',
            Self::ReturnedUnacked => 'D',
            Self::LatchedUnacked => 'E',
            Self::LatchedAcked => 'F',
            Self::Shelved => 'G',
            Self::Suppressed => 'H',
            Self::OutOfService => 'I',
        }
    }

    /// Returns the word of records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Unacked => "unacked",
            Self::Acked => "acked",
            Self::ReturnedUnacked => "returned_unacked",
            Self::LatchedUnacked => "latched_unacked",
            Self::LatchedAcked => "latched_acked",
            Self::Shelved => "shelved",
            Self::Suppressed => "suppressed",
            Self::OutOfService => "out_of_service",
        }
    }

    /// Returns the word for people, Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Normal => "正常",
            Self::Unacked => "报警未确认",
            Self::Acked => "报警已确认",
            Self::ReturnedUnacked => "已恢复未确认",
            Self::LatchedUnacked => "锁存未确认",
            Self::LatchedAcked => "锁存待复位",
            Self::Shelved => "已搁置",
            Self::Suppressed => "设计抑制",
            Self::OutOfService => "停用",
        }
    }

    /// Whether the cause is there, as far as is known: B, C.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Unacked | Self::Acked)
    }

    /// Whether somebody must acknowledge: B, D, E.
    pub fn is_unacked(self) -> bool {
        matches!(self, Self::Unacked | Self::ReturnedUnacked | Self::LatchedUnacked)
    }

    /// Whether it is kept from people: G, H, I.
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::Shelved | Self::Suppressed | Self::OutOfService)
    }
}

/// Why an alarm went, or was told of once more. The words of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The condition holds, and has for the on-delay.
    Active,
    /// The condition is gone by a measurement, and has been for the off-delay.
    Clear,
    /// A higher level: it must be acknowledged anew.
    LevelUp,
    /// A lower level, still active: told, nothing else.
    LevelDown,
    /// A person acknowledged.
    Ack,
    /// A person reset it, the cause gone.
    Reset,
    /// A person wanted to reset it while the cause lasts: it is indicated anew (rule 85).
    ResetRefused,
    /// A person put it on the shelf, or left it there for longer.
    Shelved,
    /// A person took it from the shelf.
    Unshelved,
    /// Its time on the shelf is over.
    ShelfExpired,
    /// The level rose beyond what may lie on the shelf without a second person.
    ShelfBroken,
    /// Persons took it out of service, or left it there for longer.
    OutOfService,
    /// A person brought it back.
    Returned,
    /// Its time out of service is over.
    ServiceExpired,
    /// The condition of its suppression holds.
    Suppressed,
    /// That condition is gone, or is not known any more.
    Unsuppressed,
    /// The configuration has it no more.
    Removed,
    /// A step of the escalation: somebody was told. No transition.
    Escalated,
    /// What became of telling. No transition.
    Receipt,
}

impl Cause {
    /// All causes.
    pub const ALL: [Cause; 19] = [
        Self::Active,
        Self::Clear,
        Self::LevelUp,
        Self::LevelDown,
        Self::Ack,
        Self::Reset,
        Self::ResetRefused,
        Self::Shelved,
        Self::Unshelved,
        Self::ShelfExpired,
        Self::ShelfBroken,
        Self::OutOfService,
        Self::Returned,
        Self::ServiceExpired,
        Self::Suppressed,
        Self::Unsuppressed,
        Self::Removed,
        Self::Escalated,
        Self::Receipt,
    ];

    /// Whether the record is always a note within a state, never a transition. While an alarm is hidden, so are those of
    /// what goes on beneath.
    pub fn is_note(self) -> bool {
        matches!(self, Self::LevelDown | Self::Escalated | Self::Receipt)
    }

    /// Whether an alarm that this brought to B must be acknowledged anew, whatever was acknowledged before.
    pub fn raises(self) -> bool {
        matches!(self, Self::Active | Self::LevelUp | Self::ResetRefused)
    }
}

/// What the table needs to know beside state and cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beneath {
    /// Whether the alarm latches.
    pub latching: bool,
    /// While it is hidden: where it would stand if it were not, one of A to F; otherwise its state.
    pub state: State,
    /// Whether its suppression holds.
    pub suppressed: bool,
}

/// Returns where the cause leads from `from`; `None` where the table has no such row.
pub fn next(from: State, cause: Cause, beneath: Beneath) -> Option<State> {
    use State::{
        Acked, LatchedAcked, LatchedUnacked, Normal, OutOfService, ReturnedUnacked, Shelved, Suppressed, Unacked,
    };
    let to = match (from, cause) {
        (Normal | ReturnedUnacked | LatchedUnacked | LatchedAcked, Cause::Active) => Unacked,
        (Unacked, Cause::Clear) if beneath.latching => LatchedUnacked,
        (Unacked, Cause::Clear) => ReturnedUnacked,
        (Acked, Cause::Clear) if beneath.latching => LatchedAcked,
        (Acked, Cause::Clear) => Normal,
        (Unacked | Acked, Cause::LevelUp) => Unacked,
        (Unacked | Acked, Cause::LevelDown) => from,
        (Unacked, Cause::Ack) => Acked,
        (ReturnedUnacked, Cause::Ack) => Normal,
        (LatchedUnacked, Cause::Ack) => LatchedAcked,
        (LatchedAcked, Cause::Reset) => Normal,
        (Unacked | Acked, Cause::ResetRefused) if beneath.latching => Unacked,
        (OutOfService, Cause::Shelved | Cause::Suppressed) => return None,
        (_, Cause::Shelved) => Shelved,
        (_, Cause::OutOfService) => OutOfService,
        (_, Cause::Suppressed) if !from.is_hidden() => Suppressed,
        (Shelved, Cause::Unshelved | Cause::ShelfExpired | Cause::ShelfBroken)
        | (OutOfService, Cause::Returned | Cause::ServiceExpired)
        | (Suppressed, Cause::Unsuppressed) => recompute(beneath),
        (_, Cause::Removed) if from != Normal => Normal,
        (_, Cause::Escalated | Cause::Receipt) => from,
        (Shelved | Suppressed | OutOfService, Cause::Active | Cause::Clear | Cause::LevelUp | Cause::LevelDown) => from,
        _ => return None,
    };
    Some(to)
}

/// Where an alarm stands that is hidden no longer: an active one is raised anew, whoever had acknowledged it before.
fn recompute(beneath: Beneath) -> State {
    if beneath.suppressed {
        State::Suppressed
    } else if beneath.state == State::Acked {
        State::Unacked
    } else if beneath.state.is_hidden() {
        State::Normal
    } else {
        beneath.state
    }
}
