//! Who does something: a person at the machine, on the page or at the platform, or the gateway itself. Each state machine
//! asks the actor for the role that an action needs, and refuses with words; every action is recorded with its actor.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a person may do (`domain.md`, rule 139). Roles do not contain one another: who needs two has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Decides at a gate.
    Guard,
    /// Acknowledges and resets.
    Operator,
    /// Shelves, takes out of service, declares and ends the state of the site, approves.
    Supervisor,
    /// Configures.
    Admin,
    /// Reads.
    Auditor,
}

impl Role {
    /// All roles, in the order of their codes.
    pub const ALL: [Role; 5] = [Self::Guard, Self::Operator, Self::Supervisor, Self::Admin, Self::Auditor];

    /// Returns the word used in the configuration and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Operator => "operator",
            Self::Supervisor => "supervisor",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    /// Returns the role of this word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Returns the word for people, Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Guard => "门岗",
            Self::Operator => "操作员",
            Self::Supervisor => "值班长",
            Self::Admin => "管理员",
            Self::Auditor => "审计员",
        }
    }
}

/// The way by which somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The control socket on the machine; the name is the kernel's word for the caller.
    Machine,
    /// The page.
    Page,
    /// A signed command of the city platform.
    Platform,
    /// A key or button wired to an input.
    Panel,
    /// The gateway itself, by a rule or a timeout.
    Gateway,
}

/// Who acts, by which way, with which roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Login name, issuer of the command, or id of the input; never empty.
    pub name: String,
    /// The way.
    pub via: Via,
    /// What he may do; not recorded.
    #[serde(skip)]
    pub roles: BTreeSet<Role>,
}

impl Actor {
    /// Returns the gateway itself, which has no role: what it does it does by a rule, not by a right.
    pub fn gateway() -> Self {
        Self { name: "parkgate".into(), via: Via::Gateway, roles: BTreeSet::new() }
    }

    /// Returns whether the actor has the role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// Why an action is not carried out, in words for who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Refused {
    /// Refuses with these words.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    /// Refuses because the role is missing.
    pub fn role(role: Role) -> Self {
        Self::new(format!("需要角色“{}”", role.zh()), format!("this needs the role `{}`", role.as_str()))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.zh, self.en)
    }
}
