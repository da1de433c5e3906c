//! The systemd unit, held against systemd's own checkers: is it valid, how much could a broken gateway reach, and may the
//! gateway still do what it must?
#![expect(clippy::unwrap_used, reason = "a test may")]

mod support;
#[path = "systemd/unit.rs"]
mod unit;

use std::path::Path;

use unit::{allowed_calls, run, values};

/// `systemd-analyze security` gives 0 (tight) to 10; its threshold counts tenths. 1.5 is the design's limit.
const THRESHOLD: &str = "--threshold=15";

#[test]
fn systemd_accepts_the_unit() {
    let Some(analyze) = support::require_cmd("systemd-analyze") else { return };
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("parkgate.service");
    // The product is not installed here, and verify refuses a unit whose program is missing.
    let text = std::fs::read_to_string(unit::path()).unwrap();
    let lines = text.lines().map(|line| if line.starts_with("ExecStart=") { "ExecStart=/bin/true" } else { line });
    std::fs::write(&copy, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let (ok, said) = run(&analyze, &["verify", "--man=no", "--recursive-errors=no", copy.to_str().unwrap()]);
    assert!(ok, "{said}");
    assert!(!said.contains("parkgate.service"), "systemd-analyze verify warns: {said}");
}

#[test]
fn exposure_stays_within_the_limit() {
    let Some(analyze) = support::require_cmd("systemd-analyze") else { return };
    let unit = unit::path();
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
    for call in
        ["adjtimex", "clock_adjtime", "clock_gettime", "fsync", "flock", "openat", "sendto", "fallocate", "ioctl"]
    {
        assert!(allowed.contains(call), "`{call}` is needed");
    }
    for call in ["clock_settime", "settimeofday", "mount", "reboot", "ptrace", "bpf", "init_module", "setuid", "chroot"]
    {
        assert!(!allowed.contains(call), "`{call}` is not needed");
    }
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
