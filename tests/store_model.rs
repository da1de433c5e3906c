//! The store against a model: any order of append, waiting, delivering, closing, dropping and killing keeps the account.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod store_support;

use std::collections::BTreeMap;

use parkgate::buffer::Opened;
use parkgate::domain::ranges::RangeSet;
use parkgate::domain::record::Stream;
use proptest::prelude::*;
use store_support::{Bench, body, committed_to, eventually, stamp};

#[derive(Clone, Debug)]
enum Step {
    /// Append so many records.
    Append(Stream, u64),
    /// Wait until all of it is stored.
    Wait,
    /// Say that the platform has these.
    Deliver(Stream, u64, u64),
    /// End by `close`, open again.
    Close,
    /// End as a killed process would, open again.
    Kill,
    /// Read everything and hold it against the model.
    Check,
}

fn streams() -> BTreeMap<Stream, Model> {
    [Stream::Alarm, Stream::Event, Stream::Telemetry].into_iter().map(|s| (s, Model::default())).collect()
}

fn step() -> impl Strategy<Value = Step> {
    let stream = || prop::sample::select(vec![Stream::Alarm, Stream::Event, Stream::Telemetry]);
    prop_oneof![
        4 => (stream(), 1_u64..300).prop_map(|(s, n)| Step::Append(s, n)),
        2 => Just(Step::Wait),
        1 => (stream(), 1_u64..200, 1_u64..100).prop_map(|(s, a, n)| Step::Deliver(s, a, n)),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        1 => Just(Step::Check),
    ]
}

/// What must hold, per stream.
#[derive(Default)]
struct Model {
    /// The last number given.
    given: u64,
    /// The last number appended in this run; 0 for none.
    appended: u64,
    /// Records that got no number, because the keeper had not reserved more in time: they take numbers later, as a gap.
    refused: u64,
    /// The last number known to be stored.
    stored: u64,
    /// Delivered; only what was there for certain at a close.
    delivered: RangeSet,
    closed_delivered: RangeSet,
}

struct Run {
    bench: Bench,
    opened: Opened,
    model: BTreeMap<Stream, Model>,
}

impl Run {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Append(stream, count) => self.append(stream, count),
            Step::Wait => self.wait().await,
            Step::Deliver(stream, from, count) => {
                self.opened.store.deliver(stream, "platform", vec![from..=from + count]).await;
                self.model.entry(stream).or_default().delivered.insert(from..=from + count);
            }
            Step::Close => {
                self.opened.store.close().await.unwrap();
                for model in self.model.values_mut() {
                    model.stored = model.stored.max(model.appended);
                    model.closed_delivered = model.delivered.clone();
                }
                self.reopen(true);
            }
            Step::Kill => {
                self.note_stored();
                self.opened.store.kill();
                self.reopen(false);
                for (stream, model) in &mut self.model {
                    let kept = self.opened.store.delivered(*stream, "platform").await;
                    assert!(model.closed_delivered.iter().all(|r| kept.covers(r)));
                    assert!(kept.iter().all(|r| model.delivered.covers(r)));
                    model.delivered = kept;
                }
            }
            Step::Check => self.check().await,
        }
    }

    fn append(&mut self, stream: Stream, count: u64) {
        for _ in 0..count {
            let n = self.opened.appender.settled()[stream.rank()];
            let given = self.opened.appender.append(stream, stamp(n), body(stream, n));
            let model = self.model.entry(stream).or_default();
            if given == 0 {
                model.refused += 1;
                continue;
            }
            assert!(given == n && given > model.given, "{given} after {}", model.given);
            (model.given, model.appended) = (given, given);
        }
    }

    async fn wait(&mut self) {
        for (stream, model) in &mut self.model {
            if model.appended > 0 {
                committed_to(&self.opened.store, *stream, model.appended).await;
                model.stored = model.appended;
            }
        }
    }

    fn note_stored(&mut self) {
        let committed = *self.opened.store.committed().borrow();
        for (stream, model) in &mut self.model {
            model.stored = model.stored.max(committed[stream.rank()]);
        }
    }

    fn reopen(&mut self, clean: bool) {
        let boot = self.opened.start.boot;
        self.opened = self.bench.open();
        assert_eq!((self.opened.start.boot, self.opened.start.clean), (boot + 1, clean));
        for (stream, model) in &mut self.model {
            let next = self.opened.appender.next()[stream.rank()];
            assert!(next > model.given, "{next} was given already");
            let most = model.given + 1 + model.refused;
            assert!(!clean || next <= most, "a clean end gives numbers back: {next}, at most {most}");
            (model.given, model.appended, model.refused) = (next - 1, 0, 0);
        }
    }

    async fn check(&mut self) {
        self.note_stored();
        for (stream, model) in &self.model {
            let store = self.opened.store.clone();
            let mut found = RangeSet::new();
            let mut from = 1;
            while from <= model.stored {
                let page = store.read(*stream, from..=model.stored, 5000).await.unwrap();
                for entry in &page.entries {
                    assert_eq!((entry.stamp, &entry.body), (stamp(entry.seq), &body(*stream, entry.seq)));
                    found.insert(entry.seq..=entry.seq);
                }
                assert!(page.missing.iter().all(|m| found.missing(m.clone()) == m.end() - m.start() + 1));
                from = page.next;
            }
            let upto = model.stored;
            eventually("every number is there or in a gap, and in no two places", async || {
                let mut all = found.clone();
                for gap in store.gaps(1, 10_000).await.into_iter().filter(|g| g.stream == *stream) {
                    assert_eq!(all.insert(gap.seqs.clone()), gap.seqs.end() - gap.seqs.start() + 1);
                }
                all.covers(1..=upto)
            })
            .await;
            assert!(model.delivered.iter().all(|r| r.start() <= r.end()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_account_always_closes(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::with(|s| {
                s.segment_bytes = 1 << 20;
                s.commit_interval = std::time::Duration::from_millis(20);
            });
            let opened = bench.open();
            let mut run = Run { bench, opened, model: streams() };
            for step in steps {
                run.step(step).await;
            }
            run.step(Step::Close).await;
            run.check().await;
            run.opened.store.close().await.unwrap();
        });
    }
}
