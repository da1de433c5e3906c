//! Who a user id is on this machine: login name and groups, as the user database has them now (not as they were at his
//! login).

use std::collections::BTreeSet;
use std::ffi::CString;

use nix::unistd::{Group, Uid, User, geteuid, getgrouplist};

/// A user of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Login name; `uid 1234` where the database has none.
    pub name: String,
    /// Names of his groups.
    pub groups: BTreeSet<String>,
}

/// Looks a user up. Reads the user database: blocking, but for a database on the network a matter of microseconds.
pub fn look_up(uid: u32) -> Known {
    let found = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let Some(user) = found else { return Known { name: format!("uid {uid}"), groups: BTreeSet::new() } };
    let ids = CString::new(user.name.as_str()).ok().and_then(|name| getgrouplist(&name, user.gid).ok());
    let names = ids.unwrap_or_default().into_iter().filter_map(|gid| Group::from_gid(gid).ok().flatten());
    Known { name: user.name, groups: names.map(|group| group.name).collect() }
}

/// Returns whether the user is root, or the one as whom this process runs.
pub fn owns_process(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_group_and_a_stranger_by_number() {
        let root = look_up(0);
        assert_eq!(root.name, "root");
        assert!(root.groups.contains("root"), "{root:?}");
        let stranger = look_up(4_000_000_123);
        assert_eq!(stranger, Known { name: "uid 4000000123".into(), groups: BTreeSet::new() });
        assert!(owns_process(0) && !owns_process(4_000_000_123));
    }
}
