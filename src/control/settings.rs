//! Where the socket is, and who may do what by it. Pure.
//!
//! | caller, as the kernel names him | roles |
//! |---|---|
//! | root, and the gateway's own user | all: they own the machine, or the process |
//! | a user in groups that `[roles]` names | those roles |
//! | anybody else | none: not even to look |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::SOCKET;
use crate::domain::actor::Role;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The socket.
    pub socket: PathBuf,
    /// The groups of each role; without any, the socket is for root and the gateway's own user alone.
    pub groups: BTreeMap<Role, Vec<String>>,
}

impl Settings {
    /// Returns the settings of a gateway without `[control]` and `[roles]`: a private socket in the state folder.
    pub fn private(state_dir: &Path) -> Self {
        Self { socket: state_dir.join(SOCKET), groups: BTreeMap::new() }
    }

    /// Returns whether users beside root and the gateway's own may have a role.
    pub fn is_shared(&self) -> bool {
        self.groups.values().any(|groups| !groups.is_empty())
    }

    /// Returns the roles of a caller.
    pub fn roles_of(&self, owns_gateway: bool, member_of: &BTreeSet<String>) -> BTreeSet<Role> {
        if owns_gateway {
            return Role::ALL.into();
        }
        let has = |groups: &Vec<String>| groups.iter().any(|group| member_of.contains(group));
        self.groups.iter().filter(|(_, groups)| has(groups)).map(|(role, _)| *role).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_roles_of_his_groups_and_a_stranger_none() {
        let mut settings = Settings::private(Path::new("/s"));
        assert!(!settings.is_shared());
        settings.groups.insert(Role::Operator, vec!["ops".into(), "shift".into()]);
        settings.groups.insert(Role::Supervisor, vec!["shift".into()]);
        let of = |groups: &[&str]| settings.roles_of(false, &groups.iter().map(|g| (*g).to_owned()).collect());
        assert_eq!(of(&["ops", "users"]), [Role::Operator].into());
        assert_eq!(of(&["shift"]), [Role::Operator, Role::Supervisor].into());
        assert!(of(&["users"]).is_empty() && of(&[]).is_empty());
        assert_eq!(settings.roles_of(true, &BTreeSet::new()).len(), Role::ALL.len());
        assert!(settings.is_shared());
    }
}
