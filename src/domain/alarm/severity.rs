//! The words by which an alarm is weighed: how bad, what kind of danger, who may hide it, who is told.

use serde::{Deserialize, Serialize};

/// Who may shelve an alarm at a level (rule 94).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shelving {
    /// A supervisor.
    Allowed,
    /// A supervisor, and a second one approves: level 2 of gas, fire, HH and LL of major hazards.
    SecondPerson,
    /// Nobody.
    Never,
}

/// How bad: the national colours (rule 97).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Low risk (低风险).
    Blue,
    /// General risk (一般风险).
    Yellow,
    /// Larger risk (较大风险).
    Orange,
    /// Major risk (重大风险).
    Red,
}

impl Priority {
    /// All, mildest first.
    pub const ALL: [Priority; 4] = [Self::Blue, Self::Yellow, Self::Orange, Self::Red];

    /// Returns the word of records and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Yellow => "yellow",
            Self::Orange => "orange",
            Self::Red => "red",
        }
    }

    /// Returns the word for people, Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Blue => "蓝",
            Self::Yellow => "黄",
            Self::Orange => "橙",
            Self::Red => "红",
        }
    }

    /// Returns the priority of this English or Chinese word (with or without 色).
    pub fn from_name(name: &str) -> Option<Self> {
        let bare = name.trim_end_matches('色');
        Self::ALL.into_iter().find(|p| p.as_str() == name || p.zh() == bare)
    }
}

/// What kind of danger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Combustible or toxic gas, oxygen.
    Gas,
    /// Fire.
    Fire,
    /// A limit of a major hazard source (重大危险源).
    MajorHazard,
    /// A process.
    Process,
    /// Water, steam, power, waste water.
    Utility,
    /// A device or instrument.
    Equipment,
    /// The gateway.
    System,
}

impl Class {
    /// All classes with their words: English, Chinese.
    pub const ALL: [(Class, &'static str, &'static str); 7] = [
        (Self::Gas, "gas", "气体"),
        (Self::Fire, "fire", "火灾"),
        (Self::MajorHazard, "major_hazard", "重大危险源"),
        (Self::Process, "process", "工艺"),
        (Self::Utility, "utility", "公用工程"),
        (Self::Equipment, "equipment", "设备"),
        (Self::System, "system", "系统"),
    ];

    /// Returns the word of records and configuration.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(class, ..)| *class == self).map_or("system", |(_, word, _)| word)
    }

    /// Returns the class of this English or Chinese word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, en, zh)| *en == name || *zh == name).map(|(class, ..)| *class)
    }
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The control room (中控室).
    ControlRoom,
    /// The shift leader (值班长).
    ShiftLeader,
    /// The leader on duty (带班领导).
    DutyLeader,
    /// The main responsible person of the hazard source (主要负责人).
    Main,
    /// The technical one (技术负责人).
    Technical,
    /// The operating one (操作负责人).
    Operating,
}

impl Recipient {
    /// All, with their words: English, Chinese.
    pub const ALL: [(Recipient, &'static str, &'static str); 6] = [
        (Self::ControlRoom, "control_room", "中控室"),
        (Self::ShiftLeader, "shift_leader", "值班长"),
        (Self::DutyLeader, "duty_leader", "带班领导"),
        (Self::Main, "main", "主要负责人"),
        (Self::Technical, "technical", "技术负责人"),
        (Self::Operating, "operating", "操作负责人"),
    ];

    /// Returns the words: English, Chinese.
    pub fn words(self) -> (&'static str, &'static str) {
        Self::ALL.iter().find(|(to, ..)| *to == self).map_or(("", ""), |(_, en, zh)| (en, zh))
    }

    /// Returns who is meant by this English or Chinese word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, en, zh)| *en == name || *zh == name).map(|(to, ..)| *to)
    }
}
