//! The states of the site and the table of what may follow what.

use serde::{Deserialize, Serialize};

/// The state of a zone, from the weakest to the strongest: where several meet, the strongest one holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Gates decide by their permits.
    #[default]
    Normal,
    /// A drill (演练) rehearses one of the states below.
    Drill,
    /// After an emergency: lanes go back to control one by one.
    Recovery,
    /// No entry, exits free (封控).
    LockdownIn,
    /// People go indoors, doors and ventilation shut (就地避险).
    Shelter,
    /// Everybody leaves, every exit open (疏散).
    Evacuate,
}

impl State {
    /// All states, the weakest first.
    pub const ALL: [State; 6] =
        [Self::Normal, Self::Drill, Self::Recovery, Self::LockdownIn, Self::Shelter, Self::Evacuate];

    /// What can be declared, and rehearsed.
    pub const EMERGENCIES: [State; 3] = [Self::LockdownIn, Self::Shelter, Self::Evacuate];

    /// Returns the word used in the configuration and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Drill => "drill",
            Self::Recovery => "recovery",
            Self::LockdownIn => "lockdown_in",
            Self::Shelter => "shelter",
            Self::Evacuate => "evacuate",
        }
    }

    /// Returns the word for people, Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Normal => "正常",
            Self::Drill => "演练",
            Self::Recovery => "恢复",
            Self::LockdownIn => "封控（只出不进）",
            Self::Shelter => "就地避险",
            Self::Evacuate => "疏散",
        }
    }

    /// Returns the state of this word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns whether it is one of [`State::EMERGENCIES`].
    pub fn is_emergency(self) -> bool {
        self >= Self::LockdownIn
    }

    /// Returns whether people are told where to go: to stay inside, or to a muster point, by the wind.
    pub fn tells_where_to_go(self) -> bool {
        matches!(self, Self::Shelter | Self::Evacuate)
    }

    /// Returns whether `to` may follow: the arrows of the diagram in the module's head.
    pub fn may_become(self, to: State) -> bool {
        match self {
            Self::Normal => to == Self::Drill || to.is_emergency(),
            Self::Drill => to == Self::Normal || to.is_emergency(),
            Self::Recovery => to == Self::Normal || to.is_emergency(),
            Self::LockdownIn => matches!(to, Self::Shelter | Self::Evacuate | Self::Recovery),
            Self::Shelter => matches!(to, Self::LockdownIn | Self::Evacuate | Self::Recovery),
            Self::Evacuate => matches!(to, Self::Shelter | Self::Recovery),
        }
    }
}
