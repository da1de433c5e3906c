//! What the store costs: bytes written per byte of payload (flash wears), and how long a backlog takes to open and read.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod store_support;

use std::time::Duration;

use parkgate::domain::record::Stream;
use store_support::{Bench, body, committed_to, stamp};

fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|l| l.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Peak and present resident memory, KiB.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS")).collect::<Vec<_>>().join(" ")
}

/// Writes `seconds` of `rate` records a second; returns payload and written bytes.
async fn load(rate: u64, seconds: u64) -> (u64, u64) {
    let bench = Bench::with(|s| {
        s.commit_interval = Duration::from_millis(500);
        s.segment_bytes = 32 << 20;
    });
    let mut opened = bench.open();
    let (before, ticks) = (written(), cpu_ticks());
    let (mut n, mut payload) = (0, 0);
    for _ in 0..seconds * 20 {
        for _ in 0..rate / 20 {
            n += 1;
            let body = body(Stream::Telemetry, n);
            payload += body.len() as u64;
            opened.appender.append(Stream::Telemetry, stamp(n), body);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let done = n.saturating_sub(100).max(1);
        opened.store.deliver(Stream::Telemetry, "platform", vec![1..=done]).await;
    }
    committed_to(&opened.store, Stream::Telemetry, n).await;
    opened.store.close().await.unwrap();
    let (written, ticks) = (written() - before, cpu_ticks() - ticks);
    let per_value = written * 300 / payload / 125;
    eprintln!(
        "{rate} records/s: {payload} bytes of payload, {written} written, {:.2} per byte, about {per_value} per value, \
         cpu {ticks} ticks in {seconds} s (with making the load), {}",
        written as f64 / payload as f64,
        memory()
    );
    (payload, written)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_of_payload_costs_few_bytes_written() {
    let (payload, written) = load(800, 5).await;
    // 125 values in 300 bytes: ten bytes a value are four bytes a byte.
    assert!(written < payload * 4, "{written} for {payload}");
    let (payload, written) = load(60, 5).await;
    assert!(written < payload * 6, "{written} for {payload}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "by hand: a gigabyte"]
async fn a_gigabyte_of_backlog_opens_at_once() {
    let bench = Bench::with(|s| {
        s.segment_bytes = 32 << 20;
        s.quota_bytes = 4 << 30;
    });
    let mut opened = bench.open();
    let n = std::env::var("STORE_RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3_500_000);
    for n in 1..=n {
        let ready = opened.appender.settled();
        assert_eq!(ready[5], n);
        assert_eq!(opened.appender.append(Stream::Telemetry, stamp(n), body(Stream::Telemetry, n)), n);
        if n % 2000 == 0 {
            committed_to(&opened.store, Stream::Telemetry, n).await;
        }
    }
    committed_to(&opened.store, Stream::Telemetry, n).await;
    eprintln!("after writing: {}", memory());
    opened.store.kill();
    eprintln!("after the kill: {}", memory());
    let t0 = parkgate::sys::clock::boottime();
    let opened = bench.open();
    let t1 = parkgate::sys::clock::boottime();
    let page = opened.store.read(Stream::Telemetry, 1..=n, 1 << 20).await.unwrap();
    let t2 = parkgate::sys::clock::boottime();
    let mut from = page.next;
    while from <= n {
        from = opened.store.read(Stream::Telemetry, from..=n, 1 << 20).await.unwrap().next;
    }
    let t3 = parkgate::sys::clock::boottime();
    eprintln!("open {:?}, first page {:?}, all of {n} records {:?}, {}", t1 - t0, t2 - t1, t3 - t1, memory());
    opened.store.close().await.unwrap();
}
