//! The systemd unit, held against systemd's own checkers: is it valid, how much could a broken gateway reach, and may the
//! gateway still do what it must?
#![expect(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `systemd-analyze security` gives 0 (tight) to 10; its threshold counts tenths. 1.5 is the design's limit.
const THRESHOLD: &str = "--threshold=15";

fn unit() -> PathBuf {
    support::root().join("systemd/parkgate.service")
}

/// Runs a program; returns whether it succeeded, and all it said.
fn run(program: &Path, args: &[&str]) -> (bool, String) {
    let out = Command::new(program).args(args).env("SYSTEMD_COLORS", "0").output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// The values of a key in the unit, in order, comments left out.
fn values(key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(unit()).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(found, _)| *found == key).map(|(_, value)| value.to_owned()).collect()
}

#[test]
fn systemd_accepts_the_unit() {
    let Some(analyze) = support::require_cmd("systemd-analyze") else { return };
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("parkgate.service");
    // The product is not installed here, and verify refuses a unit whose program is missing.
    let text = std::fs::read_to_string(unit()).unwrap();
    let lines = text.lines().map(|line| if line.starts_with("ExecStart=") { "ExecStart=/bin/true" } else { line });
    std::fs::write(&copy, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let (ok, said) = run(&analyze, &["verify", "--man=no", "--recursive-errors=no", copy.to_str().unwrap()]);
    assert!(ok, "{said}");
    assert!(!said.contains("parkgate.service"), "systemd-analyze verify warns: {said}");
}

#[test]
fn exposure_stays_within_the_limit() {
    let Some(analyze) = support::require_cmd("systemd-analyze") else { return };
    let unit = unit();
    let (ok, said) = run(&analyze, &["security", "--no-pager", "--offline=true", THRESHOLD, unit.to_str().unwrap()]);
    assert!(ok, "the unit exposes more than allowed:\n{said}");
}

#[test]
fn the_service_has_no_capability() {
    assert_eq!(values("CapabilityBoundingSet"), [""]);
    assert_eq!(values("AmbientCapabilities"), [""]);
}

#[test]
fn systemd_waits_longer_than_the_grace_and_never_gives_up() {
    let stop: u64 = values("TimeoutStopSec").first().unwrap().parse().unwrap();
    assert!(stop >= 20, "the gateway drains for up to 10 s and then syncs the store; TimeoutStopSec={stop}");
    assert_eq!(values("Restart"), ["always"]);
    assert_eq!(values("StartLimitIntervalSec"), ["0"]);
    assert_eq!(values("Type"), ["notify"]);
    assert_eq!(values("WatchdogSec"), ["20"]);
}

#[test]
fn the_clock_may_be_read_and_not_set() {
    let Some(analyze) = support::require_cmd("systemd-analyze") else { return };
    let allowed = allowed_calls(&analyze);
    assert!(values("ProtectClock").is_empty(), "ProtectClock forbids adjtimex, by which the clock's trust is read");
    for call in ["adjtimex", "clock_gettime", "fsync", "flock", "openat", "sendto", "fallocate", "ioctl"] {
        assert!(allowed.contains(call), "`{call}` is needed");
    }
    for call in ["clock_settime", "settimeofday", "mount", "reboot", "ptrace", "bpf", "init_module", "setuid", "chroot"]
    {
        assert!(!allowed.contains(call), "`{call}` is not needed");
    }
}

/// The system calls that the unit's filter lines leave, applied in their order as systemd does.
fn allowed_calls(analyze: &Path) -> BTreeSet<String> {
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

#[test]
fn user_and_folders_are_made_as_the_unit_expects_them() {
    let (Some(sysusers), Some(tmpfiles)) =
        (support::require_cmd("systemd-sysusers"), support::require_cmd("systemd-tmpfiles"))
    else {
        return;
    };
    if !support::require_root("systemd-sysusers and systemd-tmpfiles into a folder of the test's own") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = format!("--root={}", dir.path().display());
    let at = |path: &str| dir.path().join(path);
    for (room, name) in
        [("usr/lib/sysusers.d", "parkgate.sysusers.conf"), ("usr/lib/tmpfiles.d", "parkgate.tmpfiles.conf")]
    {
        std::fs::create_dir_all(at(room)).unwrap();
        std::fs::copy(support::root().join("systemd").join(name), at(room).join("parkgate.conf")).unwrap();
    }
    std::fs::create_dir_all(at("etc/parkgate")).unwrap();
    std::fs::write(at("etc/parkgate/gateway.toml"), "").unwrap();
    let (ok, said) = run(&sysusers, &[&root]);
    assert!(ok, "{said}");
    let passwd = std::fs::read_to_string(at("etc/passwd")).unwrap();
    assert!(passwd.contains("parkgate:x:"), "{passwd}");
    let (ok, said) = run(&tmpfiles, &[&root, "--create"]);
    assert!(ok, "{said}");
    assert_eq!(mode(&at("etc/parkgate")), 0o750);
    assert_eq!(mode(&at("etc/parkgate/gateway.toml")), 0o640);
    assert_eq!(mode(&at("var/lib/parkgate")), 0o700);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
