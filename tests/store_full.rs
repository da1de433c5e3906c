//! A full disk, on a small tmpfs in a mount namespace of the test's own: the store goes on and recovers alone.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod store_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use parkgate::buffer::settings::Settings;
use parkgate::buffer::{Opened, Store, open};
use parkgate::domain::ranges::RangeSet;
use parkgate::domain::record::Stream;
use store_support::{body, eventually, now, settings_in, skip, stamp};

fn settings(dir: &Path) -> Settings {
    let mut settings = settings_in(dir);
    settings.segment_bytes = 1 << 20;
    settings.ballast_bytes = 2 << 20;
    settings
}

fn mounted(megabytes: u64) -> Option<(tempfile::TempDir, PathBuf)> {
    std::env::var_os("STORE_TMPFS")?;
    let dir = tempfile::tempdir().unwrap();
    let size = format!("size={megabytes}m");
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).status().unwrap();
    assert!(status.success());
    let path = dir.path().to_owned();
    Some((dir, path))
}

/// Takes all the space that is left.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut size = parkgate::sys::disk::free_bytes(dir).unwrap();
    while size > 0 && parkgate::sys::disk::allocate(&path, size).is_err() {
        size = size.saturating_sub(4096);
    }
    path
}

fn append(opened: &mut Opened, stream: Stream, count: u64) -> u64 {
    let mut last = 0;
    for _ in 0..count {
        let n = opened.appender.settled()[stream.rank()];
        last = opened.appender.append(stream, stamp(n), body(stream, n)).max(last);
        if last < n {
            // Refused: its number will be a gap. Give the keeper time to reserve more, as the engine's pace does.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    last
}

/// Everything from 1 to `last` is there as it was written, or in a gap.
async fn account(store: &Store, stream: Stream, last: u64) -> (u64, u64) {
    let mut explained = RangeSet::new();
    let mut from = 1;
    while from <= last {
        let page = store.read(stream, from..=last, 1 << 20).await.unwrap();
        for entry in &page.entries {
            assert_eq!((entry.stamp, &entry.body), (stamp(entry.seq), &body(stream, entry.seq)));
            explained.insert(entry.seq..=entry.seq);
        }
        if page.next == from {
            break;
        }
        from = page.next;
    }
    let read = explained.len();
    eventually("every number is explained", async || {
        for gap in store.gaps(1, 10_000).await.into_iter().filter(|g| g.stream == stream) {
            explained.insert(gap.seqs);
        }
        explained.covers(1..=last)
    })
    .await;
    (read, last - read)
}

async fn stored(store: &Store, stream: Stream, last: u64) {
    let committed = store.committed();
    eventually("stored", async || committed.borrow()[stream.rank()] >= last).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run in a mount namespace of its own by the test below"]
async fn it_goes_on_when_others_fill_the_disk_and_recovers_alone() {
    let Some((_guard, dir)) = mounted(24) else { return };
    let mut opened = open(settings(&dir), now()).unwrap();
    let store = opened.store.clone();
    let ballast = dir.join("store/ballast");
    eventually("the ballast is there", async || ballast.exists()).await;
    let last = append(&mut opened, Stream::Telemetry, 2000);
    stored(&store, Stream::Telemetry, last).await;
    let filler = fill(&dir);
    let status = store.status();
    eventually("it says that the disk is full", async || {
        append(&mut opened, Stream::Telemetry, 500);
        append(&mut opened, Stream::Alarm, 1);
        status.borrow().trouble.is_some()
    })
    .await;
    eventually("the ballast is given up", async || {
        append(&mut opened, Stream::Telemetry, 500);
        !ballast.exists()
    })
    .await;
    std::fs::remove_file(filler).unwrap();
    let last = [Stream::Telemetry, Stream::Alarm].map(|s| append(&mut opened, s, 10));
    stored(&store, Stream::Telemetry, last[0]).await;
    stored(&store, Stream::Alarm, last[1]).await;
    eventually("it is healthy", async || status.borrow().healthy).await;
    let telemetry = account(&store, Stream::Telemetry, last[0]).await;
    let alarms = account(&store, Stream::Alarm, last[1]).await;
    eprintln!("telemetry {telemetry:?}, alarms {alarms:?} (read, in gaps), reopened {}", status.borrow().reopened);
    store.close().await.unwrap();
    let opened = open(settings(&dir), now()).unwrap();
    assert_eq!(account(&opened.store, Stream::Telemetry, last[0]).await, telemetry);
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run in a mount namespace of its own by the test below"]
async fn it_makes_room_by_dropping_the_oldest_telemetry_when_it_filled_the_disk_itself() {
    let Some((_guard, dir)) = mounted(16) else { return };
    let mut opened = open(settings(&dir), now()).unwrap();
    let store = opened.store.clone();
    let mut last = 0;
    let committed = store.committed();
    while *store.span(Stream::Telemetry).await.start() < 5000 {
        last = append(&mut opened, Stream::Telemetry, 500).max(last);
        eventually("half of it is stored or refused", async || committed.borrow()[5] + 3000 > last).await;
        assert!(last < 300_000);
    }
    last = append(&mut opened, Stream::Telemetry, 10);
    stored(&store, Stream::Telemetry, last).await;
    let alarm = append(&mut opened, Stream::Alarm, 1);
    stored(&store, Stream::Alarm, alarm).await;
    eprintln!("{:?} (read, in gaps)", account(&store, Stream::Telemetry, last).await);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run in a mount namespace of its own by the test below"]
async fn it_opens_on_a_full_disk() {
    let Some((_guard, dir)) = mounted(16) else { return };
    let mut opened = open(settings(&dir), now()).unwrap();
    let store = opened.store.clone();
    eventually("the ballast is there", async || dir.join("store/ballast").exists()).await;
    let last = append(&mut opened, Stream::Telemetry, 9000);
    stored(&store, Stream::Telemetry, last).await;
    store.close().await.unwrap();
    for round in 0..3 {
        let filler = fill(&dir);
        let mut opened = open(settings(&dir), now()).unwrap();
        let next = append(&mut opened, Stream::Alarm, 1);
        stored(&opened.store, Stream::Alarm, next).await;
        let account = account(&opened.store, Stream::Telemetry, last).await;
        eprintln!("round {round}: {account:?} (read, in gaps)");
        // The ballast is enough the first time; without it the oldest segment goes, never the newest.
        assert!(account.0 > if round == 0 { 8000 } else { 0 });
        opened.store.close().await.unwrap();
        std::fs::remove_file(filler).unwrap();
    }
}

#[test]
fn a_full_disk_is_survived() {
    if !nix::unistd::geteuid().is_root() {
        return skip("mounting a tmpfs needs root");
    }
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env("STORE_TMPFS", "1")
        .status();
    match status {
        Ok(status) => assert!(status.success()),
        Err(why) => skip(&format!("unshare: {why}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_tells_what_is_in_it_also_while_it_runs() {
    let bench = store_support::Bench::new();
    let mut opened = bench.open();
    let last = append(&mut opened, Stream::Telemetry, 100);
    stored(&opened.store, Stream::Telemetry, last).await;
    let settings = bench.settings();
    let describe = || parkgate::buffer::describe(&settings.dir, &settings.mirror_dir).unwrap();
    assert!(!describe().clean);
    opened.store.deliver(Stream::Telemetry, "platform", vec![1..=40]).await;
    opened.store.close().await.unwrap();
    let report = describe();
    assert!(report.clean);
    let (stream, telemetry) = &report.streams[5];
    assert_eq!(
        (*stream, telemetry.first, telemetry.last, telemetry.waiting["platform"]),
        (Stream::Telemetry, 1, 100, 60)
    );
    eprintln!("{report}");
    assert!(parkgate::buffer::describe(Path::new("/nowhere"), Path::new("/nowhere")).is_err());
}
