//! `kill -9` and power cuts: what was acknowledged as stored is there afterwards, byte for byte; the rest is a gap.
//!
//! The writer is a child: this test binary again, running the ignored test `child`. It prints the committed numbers as
//! they grow. The power is cut by `support/disk.rs`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test may")]

#[path = "support/disk.rs"]
mod disk;
mod store_support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use disk::Disk;
use parkgate::buffer::settings::Settings;
use parkgate::domain::ranges::RangeSet;
use parkgate::domain::record::Stream;
use store_support::{body, now, settings_in, skip, stamp};

const STREAMS: [Stream; 3] = [Stream::Alarm, Stream::Event, Stream::Telemetry];

fn settings(dir: &Path) -> Settings {
    let mut settings = settings_in(dir);
    settings.segment_bytes = 1 << 20;
    settings.quota_bytes = 96 << 20;
    settings
}

/// The writer: appends under the load named by `STORE_LOAD` until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as a child by the other tests"]
async fn child() {
    let Some(dir) = std::env::var_os("STORE_DIR") else { return };
    let load = std::env::var("STORE_LOAD").unwrap_or_default();
    let mut opened = parkgate::buffer::open(settings(Path::new(&dir)), now()).unwrap();
    let committed = opened.store.committed();
    let store = opened.store.clone();
    let mut told = [0; 6];
    let mut rng = fastrand::Rng::new();
    let (pause, burst) = if load == "steady" { (10, 1) } else { (5, 60) };
    let rounds = std::env::var("STORE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    for _ in 0..rounds {
        for _ in 0..burst {
            let stream = STREAMS[[0, 1, 2, 2, 2, 2, 2, 2, 2, 2][rng.usize(..10)]];
            let n = opened.appender.next()[stream.rank()];
            opened.appender.append(stream, stamp(n), body(stream, n));
        }
        if load == "drain" {
            let stored = committed.borrow()[5];
            let done = store.delivered(Stream::Telemetry, "platform").await.first_missing(1);
            let page = store.read(Stream::Telemetry, done..=stored, 200_000).await.unwrap();
            store.deliver(Stream::Telemetry, "platform", vec![done..=page.next - 1]).await;
        }
        let now = *committed.borrow();
        if now != told {
            told = now;
            println!("stored {} {} {}", now[0], now[2], now[5]);
            std::io::stdout().flush().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    store.close().await.unwrap();
    println!("reopened {}", store.status().borrow().reopened);
}

struct Running {
    child: Child,
    told: Arc<Mutex<[u64; 3]>>,
    listener: std::thread::JoinHandle<()>,
}

/// Starts the child and waits until it has stored something anew.
fn start(dir: &Path, load: &str) -> Running {
    let (running, started) = launch(dir, load);
    started.recv_timeout(store_support::PATIENCE).unwrap();
    running
}

/// Starts the child; the receiver tells each time it has stored something.
fn launch(dir: &Path, load: &str) -> (Running, std::sync::mpsc::Receiver<()>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture"])
        .env("STORE_DIR", dir)
        .env("STORE_LOAD", load)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let told = Arc::new(Mutex::new([0; 3]));
    let heard = Arc::clone(&told);
    let (first, started) = std::sync::mpsc::channel();
    let listener = std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let Some(at) = line.find("stored ") else { continue };
            let numbers: Vec<u64> = line[at + 7..].split(' ').filter_map(|n| n.parse().ok()).collect();
            if let Ok(numbers) = numbers.try_into() {
                *heard.lock().unwrap() = numbers;
                let _heard = first.send(());
            }
        }
    });
    (Running { child, told, listener }, started)
}

impl Running {
    /// Kills the child; returns the last numbers that it called stored, by [`STREAMS`].
    fn kill(mut self) -> [u64; 3] {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.listener.join().unwrap();
        *self.told.lock().unwrap()
    }
}

/// Opens the store and holds all of it against what was acknowledged. Returns the number of records read.
async fn check(dir: &Path, acknowledged: [u64; 3], what: &str) -> u64 {
    let opened = parkgate::buffer::open(settings(dir), now()).unwrap();
    let mut read = 0;
    let gaps = opened.store.gaps(1, 10_000).await;
    for (stream, acknowledged) in STREAMS.into_iter().zip(acknowledged) {
        let last = opened.store.committed().borrow()[stream.rank()];
        assert!(last >= acknowledged, "{what}: {} stored {last}, acknowledged {acknowledged}", stream.as_str());
        let first = *opened.store.span(stream).await.start();
        let next = opened.appender.next()[stream.rank()];
        let mut explained: RangeSet = gaps.iter().filter(|g| g.stream == stream).map(|g| g.seqs.clone()).collect();
        let lost_before = explained.clone();
        let mut from = first;
        while from <= last {
            let page = opened.store.read(stream, from..=last, 1 << 20).await.unwrap();
            for entry in &page.entries {
                assert_eq!((entry.stamp, &entry.body), (stamp(entry.seq), &body(stream, entry.seq)), "{what}");
                assert!(!lost_before.contains(entry.seq), "{what}: {} is there and in a gap", entry.seq);
                explained.insert(entry.seq..=entry.seq);
                read += 1;
            }
            assert!(page.next > from, "{what}");
            from = page.next;
        }
        assert!(explained.covers(first..=next - 1), "{what}: silent hole {:?}", explained.first_hole(first..=next - 1));
        let reasons: Vec<&str> = gaps.iter().filter(|g| g.stream == stream).map(|g| g.reason.as_str()).collect();
        assert!(reasons.iter().all(|r| *r == "crash_uncommitted"), "{what}: {reasons:?}");
    }
    opened.store.kill();
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_everything_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(21);
    let mut read = 0;
    for round in 0..20 {
        let load = ["steady", "burst", "drain"][round % 3];
        let running = start(dir.path(), load);
        tokio::time::sleep(Duration::from_millis(rng.u64(20..400))).await;
        let acknowledged = running.kill();
        read = check(dir.path(), acknowledged, &format!("kill {round} under {load} load")).await;
    }
    eprintln!("20 kills, {read} records at the end, 0 acknowledged lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_fsync_that_fails_is_not_believed_and_nothing_is_lost() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=5..7"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture"])
        .env("STORE_DIR", dir.path())
        .env("STORE_LOAD", "steady")
        .env("STORE_ROUNDS", "300")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() && text.is_empty() {
        return skip(&format!("strace: {}", String::from_utf8_lossy(&out.stderr)));
    }
    assert!(out.status.success(), "{text} {}", String::from_utf8_lossy(&out.stderr));
    let reopened: u64 = text.lines().find_map(|l| l.split_once("reopened ")?.1.trim().parse().ok()).unwrap();
    assert!(reopened >= 3, "no fsync failed");
    let opened = parkgate::buffer::open(settings(dir.path()), now()).unwrap();
    assert!(opened.start.clean && opened.store.gaps(1, 10).await.is_empty());
    let next = opened.appender.next();
    opened.store.kill();
    let all = STREAMS.map(|s| next[s.rank()] - 1);
    let read = check(dir.path(), all, "after failed fsyncs").await;
    assert_eq!(read, 300);
}

/// Cuts that one store goes through before it is replaced: the quota must not come into play.
const FRESH: usize = 40;

/// Runs in the namespace made by the test below.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run in a mount namespace of its own by the test below"]
async fn power_cuts_inside() {
    if !disk::is_inside() {
        return;
    }
    let cuts: usize = std::env::var("PARKGATE_POWER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let dir = tempfile::tempdir().unwrap();
    let disk = match Disk::create(&dir.path().canonicalize().unwrap(), 192) {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let store = disk.mount.join("gateway");
    let mut rng = fastrand::Rng::with_seed(22);
    let mut read = 0;
    for cut in 0..cuts {
        let load = ["steady", "burst", "drain"][cut % 3];
        let running = start(&store, load);
        tokio::time::sleep(Duration::from_millis(rng.u64(20..600))).await;
        disk.cut();
        let acknowledged = running.kill();
        disk.reboot();
        read += check(&store, acknowledged, &format!("cut {cut} under {load} load")).await;
        if cut % FRESH == FRESH - 1 {
            std::fs::remove_dir_all(&store).unwrap();
        }
    }
    eprintln!("{cuts} power cuts, {read} records read back after them, 0 acknowledged lost");
}

/// Runs in the namespace made by the test below.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run in a mount namespace of its own by the test below"]
async fn first_start_cuts_inside() {
    if !disk::is_inside() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = match Disk::create(&dir.path().canonicalize().unwrap(), 64) {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let store = disk.mount.join("a/b/gateway");
    let mut rng = fastrand::Rng::with_seed(23);
    for cut in 0..12 {
        let (running, _started) = launch(&store, "burst");
        // From before the first folder to some commits later.
        tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
        disk.cut();
        let acknowledged = running.kill();
        disk.reboot();
        check(&store, acknowledged, &format!("cut {cut} of a first start")).await;
        let opened = parkgate::buffer::open(settings(&store), now()).unwrap();
        for gap in opened.store.gaps(1, 1000).await {
            assert!(gap.count <= 2 * 8192, "cut {cut}: {gap:?}");
        }
        opened.store.kill();
        std::fs::remove_dir_all(disk.mount.join("a")).unwrap();
    }
}

#[test]
fn after_a_power_cut_in_the_first_second_of_the_first_start_it_opens_and_accounts_for_all() {
    in_a_namespace("first_start_cuts_inside");
}

#[test]
fn after_a_power_cut_everything_acknowledged_is_there() {
    in_a_namespace("power_cuts_inside");
}

fn in_a_namespace(test: &str) {
    if !nix::unistd::geteuid().is_root() {
        return skip("power cuts need root for a loop mount");
    }
    if let Err(why) = disk::in_a_namespace(test) {
        skip(&why);
    }
}
