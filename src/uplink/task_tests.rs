//! The hub without a broker: what it asks of the store and of the memory of commands.

use std::ops::RangeInclusive;
use std::sync::Mutex;

use rumqttc::Publish;
use tokio::sync::oneshot;

use super::jobs::read_page;
use super::*;
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Gap, GapReason};
use crate::domain::registry::Registry;
use crate::uplink::command::tests::{at_eight, key, signed};
use crate::uplink::delivery::Read;
use crate::uplink::settings::testing;
use crate::uplink::source::{Boxed, Page, ReadError};

/// A store that holds nothing but entries of the ledger.
struct Ledger(Vec<Gap>);

impl Source for Ledger {
    fn committed(&self) -> watch::Receiver<[u64; 6]> {
        watch::channel([0; 6]).1
    }

    async fn read(&self, _: Stream, seqs: RangeInclusive<u64>, _: usize) -> Result<Page, ReadError> {
        Ok(Page { next: *seqs.start(), ..Page::default() })
    }

    async fn span(&self, _: Stream) -> RangeInclusive<u64> {
        1..=1
    }

    async fn delivered(&self, _: Stream, _: &str) -> RangeSet {
        RangeSet::new()
    }

    async fn deliver(&self, _: Stream, _: &str, _: Vec<RangeInclusive<u64>>) {}

    async fn gaps(&self, from_no: u64, max: usize) -> Vec<Gap> {
        self.0.iter().filter(|g| g.no >= from_no).take(max).cloned().collect()
    }

    async fn gaps_delivered(&self, _: &str) -> RangeSet {
        RangeSet::new()
    }

    async fn deliver_gaps(&self, _: &str, _: Vec<RangeInclusive<u64>>) {}
}

struct Empty;

impl Registries for Empty {
    fn get(&self, rev: u32) -> Option<Arc<Registry>> {
        Some(Arc::new(Registry { rev, devices: Vec::new() }))
    }
}

/// A memory whose every save waits for the test.
#[derive(Default)]
struct Slow(Mutex<Vec<(Vec<u8>, oneshot::Sender<()>)>>);

impl CommandMemory for Slow {
    fn load(&self) -> Boxed<'_, Vec<u8>> {
        Box::pin(async { Vec::new() })
    }

    fn save(&self, blob: Vec<u8>) -> Boxed<'_, Result<(), String>> {
        let (done, saved) = oneshot::channel();
        self.0.lock().unwrap().push((blob, done));
        Box::pin(async { saved.await.map_err(|e| e.to_string()) })
    }
}

struct Scene {
    hub: Hub<Ledger, Empty>,
    memory: Arc<Slow>,
    done: mpsc::Receiver<Command>,
    _held: (mpsc::Sender<Live>, watch::Sender<[u64; 6]>, watch::Sender<u32>),
}

async fn scene() -> Scene {
    let (memory, last) = (Arc::new(Slow::default()), CancellationToken::new());
    let (live_tx, live) = mpsc::channel(1);
    let (next_tx, next) = watch::channel([1; 6]);
    let (rev_tx, registry) = watch::channel(42);
    let (commands, done) = mpsc::channel(16);
    let settings = Settings { command_keys: vec![key()], ..testing::settings(1) };
    let inputs = Inputs {
        settings: settings.clone(),
        source: Ledger(Vec::new()),
        registries: Empty,
        live,
        next,
        identity: Identity { epoch: "01K".into(), boot: 1, software: "test".into(), registry },
        commands,
        memory: memory.clone(),
        status: watch::channel(Arc::default()).0,
        clock: Clock::system(),
        stop: CancellationToken::new(),
    };
    let topics = Arc::new(Topics::new(&settings.park, &settings.gateway));
    let (hub, _live) = Hub::start(inputs, Arc::new(settings), topics, last).await;
    Scene { hub, memory, done, _held: (live_tx, next_tx, rev_tx) }
}

impl Scene {
    fn command(&mut self, id: &str) {
        let publish =
            Publish::new("parkgate/v1/demo-park/gw-east/cmd/state", QoS::AtLeastOnce, signed(id, "state", "{}"));
        self.hub.on_command(publish, at_eight());
    }

    /// Finishes the oldest save under way; returns what it saved.
    async fn saved(&mut self) -> String {
        let (blob, done) = self.memory.0.lock().unwrap().remove(0);
        done.send(()).unwrap();
        let done = self.hub.jobs.next().await;
        self.hub.on_done(done);
        String::from_utf8(blob).unwrap()
    }

    fn saves_under_way(&mut self) -> usize {
        // A job begins when it is first waited for.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let waits = std::pin::pin!(self.hub.jobs.next()).poll(&mut context).is_pending();
        assert!(waits, "no save ends by itself here");
        self.memory.0.lock().unwrap().len()
    }

    fn answers(&mut self) -> usize {
        std::iter::from_fn(|| self.done.try_recv().ok()).count()
    }
}

#[tokio::test]
async fn ids_of_commands_are_saved_one_after_the_other_and_nothing_is_done_before() {
    let mut scene = scene().await;
    for id in ["c-1", "c-2", "c-3"] {
        scene.command(id);
    }
    assert_eq!(scene.saves_under_way(), 1, "two at once could reach the disk in the wrong order");
    assert_eq!(scene.answers(), 0);
    assert!(scene.saved().await.contains("c-1"));
    assert_eq!(scene.answers(), 1);
    assert_eq!(scene.saves_under_way(), 1);
    let blob = scene.saved().await;
    assert!(["c-1", "c-2", "c-3"].iter().all(|id| blob.contains(id)), "{blob}");
    assert_eq!(scene.answers(), 2);
    assert_eq!(scene.saves_under_way(), 0);
}

#[tokio::test]
async fn a_command_that_comes_when_nobody_records_its_answer_any_more_spends_no_id() {
    let mut ending = scene().await;
    ending.hub.phase = Phase::Draining(Mono::default());
    ending.command("c-1");
    let mut deserted = scene().await;
    deserted.done.close();
    deserted.command("c-1");
    for mut scene in [ending, deserted] {
        assert_eq!(scene.saves_under_way(), 0);
        assert!(!String::from_utf8(scene.hub.gate.save()).unwrap().contains("c-1"));
    }
}

#[tokio::test]
async fn entries_that_left_the_ledger_are_missing_and_not_waited_for() {
    let gap = |no| Gap {
        no,
        stream: Stream::Telemetry,
        seqs: no..=no,
        from_t: None,
        to_t: None,
        count: 1,
        exact: true,
        reason: GapReason::Damaged,
    };
    let source = Ledger([65, 66, 68].map(gap).into());
    let page = read_page(&source, Feed::Gap, &Read { generation: 1, seqs: 1..=70 }).await.unwrap();
    assert_eq!(page.items.iter().map(|(no, ..)| *no).collect::<Vec<_>>(), [65, 66, 68]);
    assert_eq!(page.missing, [1..=64, 67..=67, 69..=70]);
    let many = Ledger((1..=300).map(gap).collect());
    let page = read_page(&many, Feed::Gap, &Read { generation: 1, seqs: 1..=300 }).await.unwrap();
    assert_eq!((page.items.len(), page.missing), (PAGE_GAPS, Vec::new()), "the rest is on the next page");
}
