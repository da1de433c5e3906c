//! What every outside test needs: to say that it was skipped, and to find its peers.
//!
//! A test that cannot run here (a peer program missing, no right to mount) calls [`skip`] and returns. The reason goes to
//! stderr and, because cargo keeps the stderr of tests that pass, also to the file named by `PARKGATE_SKIP_LOG`, from which
//! `tests/run` prints its closing list. Under `PARKGATE_NO_SKIP=1` (as `.ci/run` sets it) a skip is a failure.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]
#![allow(dead_code, unreachable_pub, reason = "every test program compiles this module and uses a part of it")]

pub mod city;
pub mod clock;
pub mod disk;
pub mod peer;
pub mod platform;
pub mod process;
pub mod scene;
pub mod wait;

use std::io::Write;
use std::path::{Path, PathBuf};

/// Says why this test does not run here; the caller returns right after it. Panics where skips are forbidden.
pub fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}: {why}");
    if std::env::var("PARKGATE_NO_SKIP").is_ok_and(|v| v == "1") {
        panic!("{line} (PARKGATE_NO_SKIP=1 forbids it)");
    }
    eprintln!("{line}");
    if let Ok(log) = std::env::var("PARKGATE_SKIP_LOG") {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log);
        log.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).unwrap();
    }
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that holds the peers (pymodbus, paho-mqtt, jsonschema): `PARKGATE_PYTHON`, else `.venv/bin/python`.
/// `None` after a [`skip`] when there is none.
pub fn python() -> Option<PathBuf> {
    let named = std::env::var_os("PARKGATE_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| root().join(".venv/bin/python"));
    if python.is_file() {
        return Some(python);
    }
    skip(&format!("no Python with the peers at {} (tests/setup makes it)", python.display()));
    None
}

/// The full path of a program, looked for in `PATH` and in the `sbin` folders that a user's `PATH` often lacks.
pub fn find_cmd(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(sbin).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// As [`find_cmd`]; `None` after a [`skip`] when the program is missing.
pub fn require_cmd(name: &str) -> Option<PathBuf> {
    let found = find_cmd(name);
    if found.is_none() {
        skip(&format!("the program {name} is not installed (tests/setup installs it)"));
    }
    found
}

/// Whether this process is root; `false` after a [`skip`] otherwise.
pub fn require_root(what_for: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(&format!("needs root: {what_for}"));
    }
    root
}
