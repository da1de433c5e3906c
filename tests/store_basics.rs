//! The store as the rest of the gateway uses it: append, commit, read, deliver, reopen, gaps, quota, retention.

mod store_support;

use std::time::Duration;

use parkgate::buffer::{OpenError, open};
use parkgate::domain::record::{GapReason, Stream};
use parkgate::domain::time::Timestamp;
use store_support::{Bench, body, committed_to, eventually, now, stamp};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_stored_and_read_back_exactly() {
    let bench = Bench::new();
    let mut opened = bench.open();
    for n in 1..=500_u64 {
        assert_eq!(opened.appender.append(Stream::Telemetry, stamp(n), body(Stream::Telemetry, n)), n);
    }
    assert_eq!(opened.appender.append(Stream::Alarm, stamp(1), body(Stream::Alarm, 1)), 1);
    committed_to(&opened.store, Stream::Telemetry, 500).await;
    committed_to(&opened.store, Stream::Alarm, 1).await;
    let page = opened.store.read(Stream::Telemetry, 1..=1000, usize::MAX).await.unwrap();
    assert_eq!((page.entries.len(), page.next, page.missing.len()), (500, 501, 0));
    for (entry, n) in page.entries.iter().zip(1..) {
        assert_eq!((entry.seq, entry.stamp, entry.body.clone()), (n, stamp(n), body(Stream::Telemetry, n)));
    }
    let page = opened.store.read(Stream::Telemetry, 100..=200, 2000).await.unwrap();
    assert!(page.entries.len() < 100 && page.entries[0].seq == 100);
    assert_eq!(page.next, page.entries.last().unwrap().seq + 1);
    assert_eq!(opened.store.span(Stream::Telemetry).await, 1..=500);
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_clean_end_numbers_go_on_without_a_gap() {
    let bench = Bench::new();
    for run in 0..4_u64 {
        let mut opened = bench.open();
        assert_eq!((opened.start.boot, opened.start.clean), (u32::try_from(run).unwrap() + 1, run > 0));
        for n in run * 50 + 1..=run * 50 + 50 {
            assert_eq!(opened.appender.append(Stream::Event, stamp(n), body(Stream::Event, n)), n);
        }
        opened.store.close().await.unwrap();
    }
    let opened = bench.open();
    assert!(opened.start.last_seen.is_some());
    let page = opened.store.read(Stream::Event, 1..=1000, usize::MAX).await.unwrap();
    assert_eq!((page.entries.len(), page.missing.len()), (200, 0));
    assert!(opened.store.gaps(1, 10).await.is_empty());
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_reservation_is_one_gap_and_numbers_go_on_above_it() {
    let bench = Bench::new();
    let mut opened = bench.open();
    for n in 1..=100 {
        opened.appender.append(Stream::Telemetry, stamp(n), body(Stream::Telemetry, n));
    }
    committed_to(&opened.store, Stream::Telemetry, 100).await;
    opened.store.kill();
    drop(opened);
    let mut opened = bench.open();
    assert!(!opened.start.clean);
    let gaps = opened.store.gaps(1, 100).await;
    let gap = gaps.iter().find(|g| g.stream == Stream::Telemetry).unwrap();
    assert_eq!((*gap.seqs.start(), gap.reason, gap.exact), (101, GapReason::CrashUncommitted, false));
    let next = opened.appender.append(Stream::Telemetry, stamp(1), body(Stream::Telemetry, 1));
    assert_eq!(next, gap.seqs.end() + 1);
    committed_to(&opened.store, Stream::Telemetry, next).await;
    let page = opened.store.read(Stream::Telemetry, 1..=next, usize::MAX).await.unwrap();
    assert_eq!((page.entries.len(), page.missing), (101, vec![gap.seqs.clone()]));
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn delivered_ranges_and_acknowledged_gaps_survive() {
    let bench = Bench::new();
    let opened = bench.open();
    opened.store.deliver(Stream::Alarm, "platform", vec![1..=7, 9..=9]).await;
    opened.store.deliver_gaps("platform", vec![1..=3]).await;
    opened.store.close().await.unwrap();
    let opened = bench.open();
    assert_eq!(opened.store.delivered(Stream::Alarm, "platform").await, [1..=7, 9..=9].into_iter().collect());
    assert_eq!(opened.store.gaps_delivered("platform").await.len(), 3);
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused() {
    let bench = Bench::new();
    let opened = bench.open();
    assert!(matches!(open(bench.settings(), now()), Err(OpenError::Locked(_))));
    opened.store.close().await.unwrap();
    bench.open().store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_megabyte_comes_back() {
    let bench = Bench::new();
    let mut opened = bench.open();
    let mut rng = fastrand::Rng::with_seed(5);
    let big: Vec<u8> = (0..1_000_000).map(|_| rng.u8(..)).collect();
    opened.appender.append(Stream::Registry, stamp(1), big.clone().into());
    opened.appender.append(Stream::Registry, stamp(2), body(Stream::Registry, 2));
    committed_to(&opened.store, Stream::Registry, 2).await;
    for _ in 0..2 {
        let page = opened.store.read(Stream::Registry, 1..=2, 1).await.unwrap();
        assert_eq!((page.entries[0].body.as_ref(), page.next), (big.as_slice(), 2));
        let page = opened.store.read(Stream::Registry, 2..=2, 1).await.unwrap();
        assert_eq!(page.entries[0].body, body(Stream::Registry, 2));
        opened.store.close().await.unwrap();
        opened = bench.open();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_finds_the_numbers_across_segments_and_reopening() {
    let bench = Bench::with(|s| s.segment_bytes = 1 << 20);
    let mut opened = bench.open();
    for n in 1..=8000 {
        opened.appender.append(Stream::Telemetry, stamp(n), body(Stream::Telemetry, n));
        if n % 1000 == 0 {
            committed_to(&opened.store, Stream::Telemetry, n).await;
        }
    }
    for _ in 0..2 {
        let (from, to) = (stamp(3000).wall, stamp(3100).wall);
        let found = opened.store.seqs_between(Stream::Telemetry, from, to).await.unwrap().unwrap();
        assert!(*found.start() <= 3000 && *found.end() >= 3100 && found.end() - found.start() < 1500, "{found:?}");
        assert_eq!(opened.store.seqs_between(Stream::Telemetry, Timestamp(1), Timestamp(2)).await.unwrap(), None);
        opened.store.close().await.unwrap();
        opened = bench.open();
    }
    let page = opened.store.read(Stream::Telemetry, 1..=8000, usize::MAX).await.unwrap();
    assert_eq!((page.entries.len(), page.missing.len()), (8000, 0));
    let status = opened.store.status();
    eventually("more than one segment", async || status.borrow().streams[5].segments >= 2).await;
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_quota_the_oldest_telemetry_goes_and_what_was_not_delivered_is_a_gap() {
    let bench = Bench::with(|s| {
        s.segment_bytes = 1 << 20;
        s.quota_bytes = 9 << 20;
    });
    let mut opened = bench.open();
    opened.store.deliver(Stream::Telemetry, "platform", vec![1..=1000]).await;
    let mut n = 0;
    while opened.store.gaps(1, 1).await.is_empty() {
        for _ in 0..500 {
            n += 1;
            opened.appender.append(Stream::Telemetry, stamp(n), body(Stream::Telemetry, n));
        }
        committed_to(&opened.store, Stream::Telemetry, n).await;
        assert!(n < 200_000);
    }
    let store = opened.store.clone();
    eventually("within quota", async || store.status().borrow().bytes <= 9 << 20).await;
    let first = *store.span(Stream::Telemetry).await.start();
    let gaps = store.gaps(1, 100).await;
    assert!(gaps.iter().all(|g| g.reason == GapReason::Quota && g.exact));
    let lost: u64 = gaps.iter().map(|g| g.count).sum();
    assert_eq!(*gaps[0].seqs.start(), 1001);
    assert_eq!(lost, first - 1001);
    let kept = status_of(&store).bytes;
    assert!(kept > 5 << 20, "no more goes than must: {kept}");
    store.close().await.unwrap();
}

fn status_of(store: &parkgate::buffer::Store) -> std::sync::Arc<parkgate::domain::snapshot::StoreStatus> {
    store.status().borrow().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn delivered_segments_past_their_time_go_silently() {
    let bench = Bench::with(|s| {
        s.segment_bytes = 1 << 20;
        s.streams[5].retention = Duration::from_secs(1);
    });
    let mut opened = bench.open();
    for n in 1..=12_000 {
        opened.appender.append(Stream::Telemetry, stamp(n), body(Stream::Telemetry, n));
        if n % 1000 == 0 {
            committed_to(&opened.store, Stream::Telemetry, n).await;
        }
    }
    let store = opened.store.clone();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(*store.span(Stream::Telemetry).await.start(), 1, "nothing goes before it is delivered");
    store.deliver(Stream::Telemetry, "platform", vec![1..=12_000]).await;
    eventually("old segments are gone", async || *store.span(Stream::Telemetry).await.start() > 5000).await;
    assert!(store.gaps(1, 10).await.is_empty());
    store.close().await.unwrap();
    let opened = bench.open();
    assert!(opened.store.gaps(1, 10).await.is_empty());
    opened.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_store_goes_on_in_its_epoch_from_the_mirror_and_says_so() {
    let bench = Bench::new();
    let mut opened = bench.open();
    let epoch = opened.start.epoch.clone();
    for n in 1..=100 {
        opened.appender.append(Stream::Telemetry, stamp(n), body(Stream::Telemetry, n));
    }
    committed_to(&opened.store, Stream::Telemetry, 100).await;
    opened.store.deliver(Stream::Telemetry, "platform", vec![1..=60]).await;
    opened.store.close().await.unwrap();
    std::fs::remove_dir_all(bench.settings().dir).unwrap();
    let mut opened = bench.open();
    assert_eq!((opened.start.epoch.as_str(), opened.start.boot), (epoch.as_str(), 2));
    assert_eq!(opened.appender.append(Stream::Telemetry, stamp(1), body(Stream::Telemetry, 1)), 101);
    let gaps = opened.store.gaps(1, 10).await;
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].seqs.clone(), gaps[0].reason), (61..=100, GapReason::StoreReplaced));
    opened.store.close().await.unwrap();
    std::fs::remove_dir_all(bench.settings().dir).unwrap();
    std::fs::remove_dir_all(bench.settings().mirror_dir).unwrap();
    let opened = bench.open();
    assert_ne!(opened.start.epoch, epoch);
    opened.store.close().await.unwrap();
}
