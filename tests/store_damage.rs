//! A damaged store: whatever single damage, no crash, no silent hole; what is missing is exactly what the gaps say.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod store_support;

use std::path::{Path, PathBuf};

use parkgate::domain::ranges::RangeSet;
use parkgate::domain::record::Stream;
use store_support::{Bench, body, committed_to, copy_dir, eventually, settings_in, stamp};

/// Trials of each kind of damage.
const TRIALS: usize = 100;
const RECORDS: [(Stream, u64); 3] = [(Stream::Alarm, 60), (Stream::Event, 150), (Stream::Telemetry, 6000)];

/// A cleanly closed store with three streams, the telemetry in several segments.
async fn closed_store() -> Bench {
    let bench = Bench::with(|s| s.segment_bytes = 1 << 20);
    let mut opened = bench.open();
    for (stream, count) in RECORDS {
        for n in 1..=count {
            opened.appender.append(stream, stamp(n), body(stream, n));
            if n % 500 == 0 || (n % 20 == 0 && stream != Stream::Telemetry) {
                committed_to(&opened.store, stream, n).await;
            }
        }
    }
    opened.store.close().await.unwrap();
    bench
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, out);
        } else if path.metadata().unwrap().len() > 0 && !path.ends_with("journal") {
            out.push(path);
        }
    }
}

/// Opens the store in `dir`, reads everything and holds it against the gaps.
async fn check(dir: &Path, what: &str) -> u64 {
    let mut settings = settings_in(dir);
    settings.segment_bytes = 1 << 20;
    let opened = parkgate::buffer::open(settings, store_support::now()).unwrap();
    let mut lost = 0;
    for (stream, count) in RECORDS {
        let mut missing: RangeSet = std::iter::once(1..=count).collect();
        let mut from = 1;
        while from <= count {
            let page = opened.store.read(stream, from..=count, 100_000).await.unwrap();
            for entry in &page.entries {
                assert_eq!((entry.stamp, &entry.body), (stamp(entry.seq), &body(stream, entry.seq)), "{what}");
                missing.remove(entry.seq..=entry.seq);
            }
            if page.next == from {
                break;
            }
            from = page.next;
        }
        let store = opened.store.clone();
        eventually(&format!("gaps of {} are {missing:?}: {what}", stream.as_str()), async || {
            let mut said = RangeSet::new();
            for gap in store.gaps(1, 1000).await.into_iter().filter(|g| g.stream == stream) {
                let end = (*gap.seqs.end()).min(count);
                assert_eq!(said.insert(*gap.seqs.start()..=end), (end + 1).saturating_sub(*gap.seqs.start()));
            }
            assert!(said.iter().all(|r| missing.covers(r)), "{what}: a gap says what is there: {said:?} {missing:?}");
            said == missing
        })
        .await;
        lost += missing.len();
    }
    opened.store.close().await.unwrap();
    lost
}

async fn trials(seed: u64, damage: impl Fn(&mut Vec<u8>, &mut fastrand::Rng) -> String) {
    let bench = closed_store().await;
    let origin = bench.settings().dir.parent().unwrap().to_owned();
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut losing, mut lost) = (0, 0);
    for trial in 0..TRIALS {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(&origin, dir.path());
        let mut all = Vec::new();
        files(&dir.path().join("store"), &mut all);
        let dbs: Vec<PathBuf> = all.iter().filter(|p| p.ends_with("db")).cloned().collect();
        let from = if rng.u8(..4) > 0 { &dbs } else { &all };
        let path = &from[rng.usize(..from.len())];
        let mut bytes = std::fs::read(path).unwrap();
        let how = damage(&mut bytes, &mut rng);
        std::fs::write(path, bytes).unwrap();
        let what = format!("trial {trial}: {how} in {}", path.strip_prefix(dir.path()).unwrap().display());
        let n = check(dir.path(), &what).await;
        losing += u64::from(n > 0);
        lost += n;
        assert_eq!(check(dir.path(), &format!("{what}, once more")).await, n, "the second opening finds the same");
    }
    eprintln!("{TRIALS} trials, {losing} lost records, {lost} records in all, each in a gap");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_no_silent_hole() {
    trials(11, |bytes, rng| {
        let (at, bit) = (rng.usize(..bytes.len()), rng.u8(..8));
        bytes[at] ^= 1 << bit;
        format!("bit {bit} of byte {at}")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zeroed_page_is_no_silent_hole() {
    trials(12, |bytes, rng| {
        let at = rng.usize(..bytes.len()) & !4095;
        let end = (at + 4096).min(bytes.len());
        bytes[at..end].fill(0);
        format!("zeroes at {at}")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_is_no_silent_hole() {
    trials(13, |bytes, rng| {
        let length = rng.usize(..bytes.len());
        bytes.truncate(length);
        format!("cut to {length}")
    })
    .await;
}
