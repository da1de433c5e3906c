//! Rare states of the store: what a fault between two writes, a foreign file or a second fault leaves behind.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod store_support;

use std::path::Path;

use parkgate::buffer::{Opened, Store};
use parkgate::domain::ranges::RangeSet;
use parkgate::domain::record::{GapReason, Stream};
use store_support::{Bench, body, committed_to, copy_dir, eventually, stamp};

fn append(opened: &mut Opened, stream: Stream, count: u64) -> u64 {
    let mut last = 0;
    for _ in 0..count {
        let n = opened.appender.next()[stream.rank()];
        last = opened.appender.append(stream, stamp(n), body(stream, n));
    }
    last
}

async fn append_slowly(opened: &mut Opened, stream: Stream, count: u64) -> u64 {
    let mut last = 0;
    for _ in 0..count / 500 {
        last = append(opened, stream, 500);
        committed_to(&opened.store, stream, last).await;
    }
    last
}

/// Reads `1..=last`, every record as it was written.
async fn read(store: &Store, stream: Stream, last: u64) -> RangeSet {
    let mut found = RangeSet::new();
    let mut from = 1;
    while from <= last {
        let page = store.read(stream, from..=last, 1 << 20).await.unwrap();
        for entry in &page.entries {
            assert_eq!((entry.stamp, &entry.body), (stamp(entry.seq), &body(stream, entry.seq)));
            found.insert(entry.seq..=entry.seq);
        }
        if page.next == from {
            break;
        }
        from = page.next;
    }
    found
}

async fn in_gaps(store: &Store, stream: Stream) -> RangeSet {
    store.gaps(1, 100_000).await.into_iter().filter(|g| g.stream == stream).map(|g| g.seqs).collect()
}

/// Every number up to `last` is either there or in a gap, and none is both.
async fn account(store: &Store, stream: Stream, last: u64) -> RangeSet {
    let found = read(store, stream, last).await;
    eventually("every number is explained once", async || {
        let gaps = in_gaps(store, stream).await;
        assert!(found.iter().all(|r| gaps.missing(r.clone()) == r.end() - r.start() + 1), "{gaps:?} but {found:?}");
        let mut all = found.clone();
        for range in gaps.iter() {
            all.insert(range);
        }
        all.covers(1..=last)
    })
    .await;
    found
}

fn durable(store: &Store, stream: Stream) -> u64 {
    store.durable().borrow()[stream.rank()]
}

/// Makes the alarm stream fail until [`heal`]: its folder is a file.
fn break_alarms(store: &Path) {
    let _was_there = std::fs::remove_dir_all(store.join("alarm"));
    std::fs::write(store.join("alarm"), "x").unwrap();
}

fn heal(store: &Path) {
    std::fs::remove_file(store.join("alarm")).unwrap();
    std::fs::create_dir(store.join("alarm")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_sled_fails_the_journal_takes_every_alarm_and_not_only_the_first() {
    let bench = Bench::new();
    let mut opened = bench.open();
    break_alarms(&bench.settings().dir);
    for n in 1..=5 {
        append(&mut opened, Stream::Alarm, 1);
        append(&mut opened, Stream::Passage, 1);
        let store = opened.store.clone();
        eventually("durable", async || durable(&store, Stream::Alarm) >= n && durable(&store, Stream::Passage) >= n)
            .await;
    }
    assert_eq!(opened.store.committed().borrow()[Stream::Alarm.rank()], 0);
    heal(&bench.settings().dir);
    committed_to(&opened.store, Stream::Alarm, 5).await;
    committed_to(&opened.store, Stream::Passage, 5).await;
    assert_eq!(read(&opened.store, Stream::Alarm, 5).await.len(), 5);
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_journal_has_at_the_end_is_no_gap_and_there_at_the_next_start() {
    let bench = Bench::new();
    let mut opened = bench.open();
    break_alarms(&bench.settings().dir);
    append(&mut opened, Stream::Alarm, 3);
    let store = opened.store.clone();
    eventually("durable", async || durable(&store, Stream::Alarm) >= 3).await;
    assert!(opened.store.close().await.is_err(), "the manifest cannot be written");
    heal(&bench.settings().dir);
    let opened = bench.open();
    assert_eq!(account(&opened.store, Stream::Alarm, 3).await.len(), 3);
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_journal_is_not_taken_into_a_new_store() {
    let bench = Bench::new();
    let dir = bench.settings().dir;
    let mut opened = bench.open();
    break_alarms(&dir);
    append(&mut opened, Stream::Alarm, 3);
    let store = opened.store.clone();
    eventually("durable", async || durable(&store, Stream::Alarm) >= 3).await;
    heal(&dir);
    committed_to(&opened.store, Stream::Alarm, 3).await;
    let epoch = opened.start.epoch.clone();
    opened.store.close().await.unwrap();
    std::fs::remove_dir_all(&bench.settings().mirror_dir).unwrap();
    std::fs::remove_file(dir.join("marks")).unwrap();
    std::fs::remove_file(dir.join("ledger")).unwrap();
    Stream::ALL.iter().for_each(|s| std::fs::remove_dir_all(dir.join(s.as_str())).unwrap());
    let opened = bench.open();
    assert_ne!(opened.start.epoch, epoch);
    assert_eq!((opened.appender.next()[0], opened.store.committed().borrow()[0]), (1, 0));
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_cut_short_before_its_marks_loses_nothing_and_says_so() {
    let bench = Bench::new();
    bench.open().store.kill();
    std::fs::remove_file(bench.settings().dir.join("marks")).unwrap();
    std::fs::remove_dir_all(bench.settings().mirror_dir).unwrap();
    let mut opened = bench.open();
    assert!(opened.store.gaps(1, 10).await.is_empty());
    assert_eq!(append(&mut opened, Stream::Alarm, 1), 1);
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_both_marks_lost_numbers_and_starts_go_on_above_everything_known() {
    let bench = Bench::new();
    let mut opened = bench.open();
    opened.store.close().await.unwrap();
    for _ in 0..2 {
        opened = bench.open();
        let last = append(&mut opened, Stream::Telemetry, 100);
        committed_to(&opened.store, Stream::Telemetry, last).await;
        opened.store.close().await.unwrap();
    }
    let (epoch, boot, next) = (opened.start.epoch.clone(), opened.start.boot, opened.appender.next());
    std::fs::remove_file(bench.settings().dir.join("marks")).unwrap();
    std::fs::remove_dir_all(bench.settings().mirror_dir).unwrap();
    let mut opened = bench.open();
    assert_eq!(opened.start.epoch, epoch);
    assert!(opened.start.boot > boot, "start {} after {boot}", opened.start.boot);
    let first = append(&mut opened, Stream::Telemetry, 1);
    assert!(first > next[5]);
    committed_to(&opened.store, Stream::Telemetry, first).await;
    assert_eq!(read(&opened.store, Stream::Telemetry, 200).await.len(), 200);
    assert_eq!(in_gaps(&opened.store, Stream::Telemetry).await.iter().collect::<Vec<_>>(), [201..=first - 1]);
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mirror_of_another_store_explains_nothing() {
    let (bench, other) = (Bench::new(), Bench::new());
    for _ in 0..4 {
        let mut opened = other.open();
        append(&mut opened, Stream::Telemetry, 1);
        opened.store.kill();
    }
    let mut opened = bench.open();
    let epoch = opened.start.epoch.clone();
    let last = append(&mut opened, Stream::Telemetry, 100);
    committed_to(&opened.store, Stream::Telemetry, last).await;
    opened.store.close().await.unwrap();
    for own_marks_damaged in [false, true] {
        std::fs::remove_dir_all(bench.settings().mirror_dir).unwrap();
        copy_dir(&other.settings().mirror_dir, &bench.settings().mirror_dir);
        if own_marks_damaged {
            std::fs::write(bench.settings().dir.join("marks"), "no").unwrap();
        }
        let opened = bench.open();
        assert_eq!(opened.start.epoch, epoch);
        assert!(in_gaps(&opened.store, Stream::Telemetry).await.first_missing(1) == 1, "a foreign gap");
        assert_eq!(account(&opened.store, Stream::Telemetry, 100).await.len(), 100);
        opened.store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_cut_short_after_the_ledger_gives_no_number_twice() {
    let bench = Bench::with(|s| s.segment_bytes = 1 << 20);
    let mut opened = bench.open();
    let last = append_slowly(&mut opened, Stream::Telemetry, 20_000).await;
    opened.store.close().await.unwrap();
    let before = tempfile::tempdir().unwrap();
    let telemetry = bench.settings().dir.join("telemetry");
    copy_dir(&telemetry, before.path());
    let mut small = bench.settings();
    small.quota_bytes = 4 << 20;
    let opened = parkgate::buffer::open(small, store_support::now()).unwrap();
    let store = opened.store.clone();
    eventually("some are gone", async || !in_gaps(&store, Stream::Telemetry).await.is_empty()).await;
    store.close().await.unwrap();
    // The ledger was written, the manifest and the folders were not.
    std::fs::remove_dir_all(&telemetry).unwrap();
    copy_dir(before.path(), &telemetry);
    let opened = bench.open();
    account(&opened.store, Stream::Telemetry, last).await;
    opened.store.close().await.unwrap();
}

/// Overwrites the contents of a segment's file.
fn wipe(stream_dir: &Path, nth: usize) -> u64 {
    let mut segments: Vec<_> =
        std::fs::read_dir(stream_dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    segments.sort();
    let db = segments[nth].join("db");
    let length = db.metadata().unwrap().len();
    std::fs::write(db, vec![0; usize::try_from(length).unwrap()]).unwrap();
    u64::from_str_radix(&segments[nth + 1].file_name().unwrap().to_string_lossy(), 16).unwrap() - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_found_empty_is_not_forgotten_before_the_ledger_has_it() {
    let bench = Bench::with(|s| s.segment_bytes = 1 << 20);
    let mut opened = bench.open();
    let last = append_slowly(&mut opened, Stream::Telemetry, 8000).await;
    opened.store.close().await.unwrap();
    let (dir, mirror) = (bench.settings().dir, bench.settings().mirror_dir);
    let lost = wipe(&dir.join("telemetry"), 0);
    let opened = bench.open();
    for folder in [&dir, &mirror] {
        // No ledger can be written from now on.
        std::fs::remove_file(folder.join("ledger")).unwrap();
        std::fs::create_dir_all(folder.join("ledger/x")).unwrap();
    }
    assert!(!read(&opened.store, Stream::Telemetry, last).await.contains(lost));
    opened.store.kill();
    for folder in [&dir, &mirror] {
        std::fs::remove_dir_all(folder.join("ledger")).unwrap();
    }
    let opened = bench.open();
    let found = account(&opened.store, Stream::Telemetry, last).await;
    assert_eq!(found.iter().collect::<Vec<_>>(), [lost + 1..=last]);
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_left_in_the_quarantine_costs_nothing() {
    let bench = Bench::with(|s| s.segment_bytes = 1 << 20);
    let mut opened = bench.open();
    let last = append_slowly(&mut opened, Stream::Telemetry, 8000).await;
    opened.store.close().await.unwrap();
    let quarantine = bench.settings().dir.join("quarantine");
    std::fs::create_dir_all(&quarantine).unwrap();
    for n in 0..12 {
        std::fs::write(quarantine.join(format!("{n}.tar.gz")), "x").unwrap();
    }
    let mut all: Vec<_> = std::fs::read_dir(bench.settings().dir.join("telemetry"))
        .unwrap()
        .map(|e| e.unwrap().path().join("db"))
        .collect();
    all.sort();
    let mut bytes = std::fs::read(&all[0]).unwrap();
    bytes[300_000] ^= 1;
    std::fs::write(&all[0], bytes).unwrap();
    let opened = bench.open();
    let store = opened.store.clone();
    eventually("readable", async || store.read(Stream::Telemetry, 1..=1, 1).await.is_ok()).await;
    let found = account(&store, Stream::Telemetry, last).await;
    assert!(found.len() + 200 > last, "{} of {last} are left", found.len());
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_into_a_deleted_folder_is_not_called_stored() {
    let bench = Bench::new();
    let mut opened = bench.open();
    let before = append(&mut opened, Stream::Event, 5);
    committed_to(&opened.store, Stream::Event, before).await;
    std::fs::remove_dir_all(bench.settings().dir.join("event")).unwrap();
    let last = append(&mut opened, Stream::Event, 5);
    committed_to(&opened.store, Stream::Event, last).await;
    opened.store.kill();
    let opened = bench.open();
    let found = account(&opened.store, Stream::Event, last).await;
    assert!(found.covers(before + 1..=last), "{found:?}");
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_alarm_stream_refuses_with_a_gap_and_takes_records_again_when_there_is_room() {
    let bench = Bench::with(|s| {
        s.segment_bytes = 1 << 20;
        s.quota_bytes = 2 << 20;
    });
    let mut opened = bench.open();
    let store = opened.store.clone();
    let mut last = 0;
    while in_gaps(&store, Stream::Alarm).await.is_empty() {
        last = append(&mut opened, Stream::Alarm, 100);
        let committed = store.committed();
        eventually("stored or refused", async || {
            committed.borrow()[0] >= last || !in_gaps(&store, Stream::Alarm).await.is_empty()
        })
        .await;
        assert!(last < 200_000);
    }
    assert!(store.gaps(1, 100).await.iter().all(|g| g.reason == GapReason::Full && g.exact));
    eventually("it says so", async || store.status().borrow().trouble.is_some()).await;
    let found = account(&store, Stream::Alarm, last).await;
    assert!(found.covers(1..=1000), "what was stored stays");
    store.close().await.unwrap();
    let mut opened = bench.open();
    assert_eq!(account(&opened.store, Stream::Alarm, last).await, found);
    opened.store.close().await.unwrap();
    let mut large = bench.settings();
    large.quota_bytes = 1 << 30;
    opened = parkgate::buffer::open(large, store_support::now()).unwrap();
    last = append(&mut opened, Stream::Alarm, 1);
    committed_to(&opened.store, Stream::Alarm, last).await;
    account(&opened.store, Stream::Alarm, last).await;
    opened.store.close().await.unwrap();
}

fn files(dir: &Path, out: &mut Vec<std::path::PathBuf>) {
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, out);
        } else if path.metadata().unwrap().len() > 0 {
            out.push(path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_a_store_that_was_not_closed_is_no_silent_hole() {
    let bench = Bench::with(|s| s.segment_bytes = 1 << 20);
    let mut opened = bench.open();
    let last = append_slowly(&mut opened, Stream::Telemetry, 5000).await;
    let alarm = append(&mut opened, Stream::Alarm, 40);
    committed_to(&opened.store, Stream::Alarm, alarm).await;
    opened.store.kill();
    let origin = bench.settings().dir.parent().unwrap().to_owned();
    let mut rng = fastrand::Rng::with_seed(31);
    let mut lost = 0;
    for trial in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(&origin, dir.path());
        let mut all = Vec::new();
        files(&dir.path().join("store"), &mut all);
        let path = &all[rng.usize(..all.len())];
        let mut bytes = std::fs::read(path).unwrap();
        let (at, bit) = (rng.usize(..bytes.len()), rng.u8(..8));
        match trial % 3 {
            0 => bytes.truncate(at),
            _ => bytes[at] ^= 1 << bit,
        }
        std::fs::write(path, bytes).unwrap();
        eprintln!("trial {trial}: {at} of {}", path.strip_prefix(dir.path()).unwrap().display());
        let mut settings = store_support::settings_in(dir.path());
        settings.segment_bytes = 1 << 20;
        for _ in 0..2 {
            let opened = parkgate::buffer::open(settings.clone(), store_support::now()).unwrap();
            assert!(opened.appender.next()[5] > last && opened.appender.next()[0] > alarm);
            lost += last - account(&opened.store, Stream::Telemetry, last).await.len();
            account(&opened.store, Stream::Alarm, alarm).await;
            opened.store.kill();
        }
    }
    eprintln!("60 trials, {lost} records in gaps");
}
