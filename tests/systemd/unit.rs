//! The systemd unit as text, and what systemd's own checkers say of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The unit's file.
pub(crate) fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/parkgate.service")
}

/// Runs a program; returns whether it succeeded, and all it said.
pub(crate) fn run(program: &Path, args: &[&str]) -> (bool, String) {
    let out = Command::new(program).args(args).env("SYSTEMD_COLORS", "0").output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// The values of a key in the unit, in order, comments left out.
pub(crate) fn values(key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path()).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(found, _)| *found == key).map(|(_, value)| value.to_owned()).collect()
}

/// The system calls that the unit's filter lines leave, applied in their order as systemd does.
pub(crate) fn allowed_calls(analyze: &Path) -> BTreeSet<String> {
    let mut allowed = calls_of(analyze, "@default");
    for line in values("SystemCallFilter") {
        let (names, deny) = line.strip_prefix('~').map_or((line.as_str(), false), |names| (names, true));
        for call in names.split_whitespace().flat_map(|name| calls_of(analyze, name)) {
            if deny {
                allowed.remove(&call);
            } else {
                allowed.insert(call);
            }
        }
    }
    allowed
}

/// The system calls behind a name: itself, or for `@group` all of its members, groups within groups too.
fn calls_of(analyze: &Path, name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let (ok, said) = run(analyze, &["syscall-filter", "--no-pager", name]);
    assert!(ok, "{said}");
    let members = said.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    members.flat_map(|member| calls_of(analyze, member)).collect()
}
