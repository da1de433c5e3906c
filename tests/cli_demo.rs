//! The demo as a newcomer runs it: it ends by itself, its account closes, and its exit code says so.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

mod support;

use support::process::Guard;
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

/// A demo that runs until it is told to end, what it prints going to a file.
struct Demo {
    guard: Guard,
    printed: PathBuf,
    _dir: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let printed = dir.path().join("printed");
        let file = File::create(&printed).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkgate"));
        command.arg("demo").stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { guard: Guard::start("the demo", &mut command), printed, _dir: dir }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.printed).unwrap()
    }

    /// What stands behind `words` on the line that has them.
    fn said(&self, words: &str) -> String {
        let of =
            |text: &str| text.lines().find_map(|line| line.split_once(words).map(|(_, more)| more.trim().to_owned()));
        until(DEMO_ENDS, words, || of(&self.text()))
    }

    /// The running gateway's reading of a point: value and quality.
    fn reads(&self, tag: &str) -> Option<(String, String)> {
        let folder = self.said("folder");
        let read = Command::new(env!("CARGO_BIN_EXE_parkgate"))
            .args(["read", tag, "--csv", "--config", &folder])
            .output()
            .unwrap();
        let row = text(&read.stdout).lines().nth(1)?.to_owned();
        let cells: Vec<&str> = row.split(',').collect();
        Some((cells.get(1)?.to_string(), cells.get(3)?.to_string()))
    }

    fn until(&self, tag: &str, what: impl Fn(f64, &str) -> bool) {
        let mut last = None;
        let seen = |last: &mut Option<(String, String)>| {
            *last = self.reads(tag);
            let (value, quality) = last.as_ref()?;
            what(value.parse().unwrap_or(f64::NAN), quality).then_some(())
        };
        let began = support::wait::now();
        while seen(&mut last).is_none() {
            assert!(began.elapsed() < DEMO_ENDS, "{tag} stands at {last:?}\n{}", self.text());
        }
    }

    /// Orders a fault; returns what was answered where it was refused.
    fn order(&self, device: &str, kind: &str) -> Result<(), String> {
        let socket = format!("{}/fault.sock", self.said("folder"));
        let ordered = Command::new(env!("CARGO_BIN_EXE_parkgate"))
            .args(["fault", device, kind, "--for", "10min", "--socket", &socket])
            .output()
            .unwrap();
        if ordered.status.success() { Ok(()) } else { Err(text(&ordered.stderr)) }
    }
}

/// The gates of the demo on the page of the real gateway, as they come in its story: lanes and their state, who is inside and how
/// many, a refusal with all its reasons in both languages, and the parking of dangerous goods. Nobody stands there by his name.
fn gates_are_alive(port: u16) {
    let shown = |path: &str, words: &[&str]| {
        let mut last = String::new();
        let began = support::wait::now();
        loop {
            if let Some((200, html)) = support::process::http_get(port, path) {
                for name in ["张伟", "李娜", "王强", "刘洋", "DEMO0000"] {
                    assert!(!html.contains(name), "{name} on {path}: {html}");
                }
                last = html;
            }
            if words.iter().all(|words| last.contains(words)) {
                return;
            }
            let missing: Vec<_> = words.iter().filter(|words| !last.contains(**words)).collect();
            assert!(began.elapsed() < DEMO_ENDS, "never together on {path}: {missing:?} of {words:?} in {last}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    // The head count, and who they are: a member of the staff came in on foot, another one by car.
    shown("/inside", &["园内名单", "east / walk", ">p-", "鲁C*", "east / east-in"]);
    let lanes = ["东门 1 号进", "东门 2 号出", "东门人行", "危化专用 1 号进", "危化专用 2 号出"];
    shown("/gates", &[&lanes[..], &["园内人员和车辆", "上次清点", "空闲", "落下", "放行"]].concat());
    let reasons = ["PERMIT_EXPIRED", "WRONG_GATE", "预约的不是本卡口", "the permit names another gate"];
    shown("/gates", &[&reasons[..], &["东门 1 号进", "鲁A3K7L2", "拒绝"]].concat());
    shown("/gates", &["危化停车场", "鲁C1H338", "P1", "已停", "园内危化车辆", "YD-0001-1"]);
}

#[test]
fn devices_misbehave_at_command_and_the_account_closes_all_the_same() {
    let mut demo = Demo::start();
    let page = demo.said("page").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let port = page.rsplit(':').next().unwrap().parse().unwrap();
    let gates = std::thread::spawn(move || gates_are_alive(port));
    demo.until("AT7001", |value, quality| quality == "good" && value < 25.0);
    demo.until("TI2101", |_, quality| quality == "good");
    // A slave that answers in its neighbour's name is not believed, on a socket and on a line.
    demo.order("plc-utility", "wrong-unit").unwrap();
    demo.order("gas-7002", "wrong-unit").unwrap();
    // The DCS comes back with the certificate of yesterday: trusted once, and not valid any more.
    demo.order("dcs-unit-1", "expired").unwrap();
    // Gas rises over both limits, and the detector says so.
    demo.order("gas-7001", "leak").unwrap();
    demo.until("AT7001", |value, quality| quality == "good" && value > 50.0);
    demo.until("AT7001.ALM", |value, _| value >= 2.0);
    demo.until("PT2001", |_, quality| quality == "comm");
    demo.until("AT7002", |_, quality| quality == "comm");
    demo.until("TI2101", |_, quality| quality == "comm");
    until(DEMO_ENDS, "the page says why the DCS is not read", || {
        let (_, html) = support::process::http_get(port, "/")?;
        html.contains("the server&#39;s certificate is valid from").then_some(())
    });
    for device in ["plc-utility", "gas-7002", "dcs-unit-1", "gas-7001"] {
        demo.order(device, "none").unwrap();
    }
    demo.until("PT2001", |_, quality| quality == "good");
    demo.until("TI2101", |_, quality| quality == "good");
    demo.until("AT7001", |value, _| value < 25.0);
    assert!(demo.order("dcs-unit-1", "leak").unwrap_err().contains("expired"), "what the DCS knows is said");
    // What instruments did in the story meanwhile is in the account, and none of it as a measurement.
    demo.said("warms up after the loss of power");
    gates.join().unwrap();
    demo.guard.signal(Signal::SIGINT);
    let ended = demo.guard.wait(DEMO_ENDS);
    let printed = demo.text();
    assert!(ended.success() && printed.contains("The account closes."), "{printed}");
    let line = printed.lines().find(|line| line.contains("not measurements")).unwrap();
    for quality in ["comm", "sensor", "calibration", "maintenance"] {
        assert!(line.contains(quality), "{line}");
    }
}

#[test]
fn arguments_that_do_not_fit_together_are_wrong_usage() {
    let ended = demo(&["--for", "5s", "--outage", "10s"]);
    assert_eq!(ended.status.code(), Some(EX_USAGE));
    assert!(text(&ended.stderr).contains("--outage must be shorter than --for"));
}
