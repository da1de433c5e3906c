//! The demo as a newcomer runs it: it ends by itself, its account closes, and its exit code says so.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

mod support;

use support::wait::until;

/// Set-up, eight seconds of park, the drain, and a busy machine.
const DEMO_ENDS: Duration = Duration::from_secs(120);
/// `EX_USAGE` of sysexits.h.
const EX_USAGE: i32 = 64;

fn demo(args: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_parkgate"))
        .arg("demo")
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What it prints fits into the pipes, so it may be read after the end.
    until(DEMO_ENDS, "the end of the demo", || child.try_wait().unwrap());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_account_closes_after_an_outage_and_the_exit_code_is_0() {
    let ended = demo(&["--for", "8s", "--outage", "2s"]);
    let (out, err) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{out}\n{err}");
    for words in ["readings taken", "delivered", "worst poll lateness", "The account closes."] {
        assert!(out.contains(words), "`{words}` is missing in\n{out}");
    }
    let of = |name: &str| {
        let line = out.lines().find(|line| line.contains(name)).unwrap();
        line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((of("waiting  "), of("lost, each with its gap record")), (0, 0), "{out}");
    assert_eq!(of("records made"), of("已送达"), "{out}");
    assert!(out.contains("http://127.0.0.1:"), "the page's address is missing in\n{out}");
}

#[test]
fn arguments_that_do_not_fit_together_are_wrong_usage() {
    let ended = demo(&["--for", "5s", "--outage", "10s"]);
    assert_eq!(ended.status.code(), Some(EX_USAGE));
    assert!(text(&ended.stderr).contains("--outage must be shorter than --for"));
}
