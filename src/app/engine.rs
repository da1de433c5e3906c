//! The driver of [`Engine`]: takes inputs from the channels, drains the outputs into the store and the live channel.
//!
//! It awaits nothing but its inputs: the appender never blocks, the live channel and the orders are tried and never waited
//! for. Orders of life leave before anything of their turn is recorded; the others know the numbers of their reason.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::memory::Kept;
use super::orders::{self, Job};
use crate::buffer::Appender;
use crate::clock::Clock;
use crate::config::Service;
use crate::domain::actor::{Actor, Refused};
use crate::domain::audit::Deed;
use crate::domain::codec;
use crate::domain::danger::{Action, Done};
use crate::domain::daybook::{DailyReport, Date, StoreAccount};
use crate::domain::engine::{Engine, Plan};
use crate::domain::field_event::FieldEvent;
use crate::domain::order::{Order, Receipt, Urgency};
use crate::domain::output::{LoopTest, OutputWrite};
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Body, Entry, Record};
use crate::domain::site::CityCommand;
use crate::domain::snapshot::Snapshot;
use crate::domain::time::Mono;
use crate::supervise::Pulse;
use crate::uplink::Live;
use crate::uplink::source::CONSUMER;

/// Field events taken in one turn, so that ticks and requests are served between them under any load.
const N_EVENTS_PER_TURN: usize = 256;

/// How often what must survive a restart is handed on while it changes: what is not saved yet comes back from the records.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// How often it is handed on while nothing is told: the day's account grows with every poll.
const KEEP_ANYWAY: Duration = Duration::from_secs(30);

/// What others ask of the engine.
#[derive(Debug)]
pub(super) enum Request {
    /// What stands.
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    /// A new configuration; answered when it is in force.
    Plan(Box<Plan>, oneshot::Sender<()>),
    /// Where live records go from now on, if anywhere.
    Live(Option<mpsc::Sender<Live>>),
    /// The platform can be reached anew: full values follow.
    Refresh,
    /// An answer to a command, to be recorded.
    Answer(String),
    /// What became of a write to an output, to be recorded.
    Write(OutputWrite),
    /// An engineer's loop test, to be recorded.
    LoopTest(LoopTest),
    /// The wire form of a kept revision, to be recorded once more.
    Registry(String),
    /// What somebody wants of the alarms, the site or the daybook.
    Act(Box<Action>, Actor, oneshot::Sender<Result<Done, Refused>>),
    /// What the city asks of the site; the uplink has verified it.
    City(CityCommand, oneshot::Sender<Result<Done, Refused>>),
    /// What somebody did elsewhere, for the audit.
    Deed(Box<Deed>),
    /// What became of an order, by its key.
    Receipt(String, Receipt),
    /// Whether the store writes.
    Store(bool),
    /// The store's account of itself, and the numbers of the report stream that the platform has stored.
    Account(Box<StoreAccount>, RangeSet),
    /// The report of a day, of the newest one where none is named.
    Report(Option<Date>, oneshot::Sender<Option<DailyReport>>),
    /// The whole active set is to be recorded.
    ActiveSet,
}

/// The task.
pub(super) struct EngineTask {
    engine: Engine,
    appender: Appender,
    live: Option<mpsc::Sender<Live>>,
    outlets: Outlets,
    /// Revisions of what was handed to the keeper last, and when.
    kept: ((u64, u64), Mono),
    /// Revision at which commissioning was last looked at.
    looked: Option<u64>,
    clock: Clock,
    pulse: Pulse,
}

/// Where the engine's task leaves what it made, beside the store and the live channel.
pub(super) struct Outlets {
    /// Next number of each stream.
    pub(super) next: watch::Sender<[u64; 6]>,
    /// Grows with every word of danger, for the viewers of the page.
    pub(super) news: watch::Sender<u64>,
    /// Orders to be carried out.
    pub(super) orders: mpsc::Sender<Job>,
    /// What must survive a restart.
    pub(super) kept: watch::Sender<Option<Arc<Kept>>>,
    /// Commissioning of points as people have changed it.
    pub(super) service: watch::Sender<Arc<Service>>,
}

/// The other ends of [`Outlets`].
pub(super) struct Inlets {
    pub(super) next: watch::Receiver<[u64; 6]>,
    pub(super) news: watch::Receiver<u64>,
    pub(super) orders: mpsc::Receiver<Job>,
    pub(super) kept: watch::Receiver<Option<Arc<Kept>>>,
}

/// Returns both ends of what the engine's task leaves; `numbers` are the next ones of the store.
pub(super) fn outlets(numbers: [u64; 6], service: watch::Sender<Arc<Service>>) -> (Outlets, Inlets) {
    let (next_tx, next) = watch::channel(numbers);
    let (news_tx, news) = watch::channel(0);
    let (orders_tx, orders) = mpsc::channel(orders::N_WAITING);
    let (kept_tx, kept) = watch::channel(None);
    let outlets = Outlets { next: next_tx, news: news_tx, orders: orders_tx, kept: kept_tx, service };
    (outlets, Inlets { next, news, orders, kept })
}

impl EngineTask {
    pub(super) fn new(engine: Engine, appender: Appender, outlets: Outlets, clock: Clock, pulse: Pulse) -> Self {
        Self { engine, appender, live: None, outlets, kept: ((0, 0), Mono::default()), looked: None, clock, pulse }
    }

    /// Runs until `events` closes, then does what was asked of it, records what is due and ends; the store can be closed
    /// after it.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<FieldEvent>,
        mut requests: mpsc::Receiver<Request>,
    ) -> Result<(), String> {
        let mut batch = Vec::with_capacity(N_EVENTS_PER_TURN);
        self.record_outputs();
        loop {
            tokio::select! {
                n = events.recv_many(&mut batch, N_EVENTS_PER_TURN) => match n {
                    0 => break,
                    _ => self.on_events(&mut batch),
                },
                Some(request) = requests.recv() => self.on_request(request, &mut events),
                () = self.clock.sleep_until(self.engine.poll_timeout()) => {}
            }
            self.turn();
        }
        requests.close();
        while let Ok(request) = requests.try_recv() {
            self.on_request(request, &mut events);
        }
        self.engine.handle_stop(self.clock.now());
        self.record_outputs();
        self.hand_on_kept();
        Ok(())
    }

    fn on_events(&mut self, batch: &mut Vec<FieldEvent>) {
        let now = self.clock.now();
        for event in batch.drain(..) {
            self.engine.handle_event(event, now);
        }
    }

    fn on_request(&mut self, request: Request, events: &mut mpsc::Receiver<FieldEvent>) {
        let now = self.clock.now();
        match request {
            // Whoever asked may be gone; that is his business.
            Request::Snapshot(answer) => drop(answer.send(Arc::new(self.engine.snapshot(now)))),
            Request::Plan(plan, done) => {
                self.take_waiting(events);
                self.engine.handle_plan(*plan, now);
                self.record_outputs();
                done.send(()).ok();
            }
            Request::Live(live) => self.tell_live(live),
            Request::Refresh => self.engine.handle_refresh(now),
            Request::Answer(json) => self.engine.handle_answer(json, now),
            Request::Write(write) => self.engine.handle_write(write, now),
            Request::LoopTest(test) => self.engine.handle_loop_test(test, now),
            Request::Registry(json) => self.engine.handle_registry_again(json, now),
            Request::Act(action, actor, answer) => {
                let done = self.engine.handle_action(&action, &actor, now);
                // What was done is recorded before anybody hears that it was.
                self.record_outputs();
                answer.send(done).ok();
            }
            Request::City(command, answer) => {
                let done = self.engine.handle_city(command, now);
                self.record_outputs();
                answer.send(done).ok();
            }
            Request::Deed(deed) => self.engine.handle_deed(*deed, now),
            Request::Receipt(key, receipt) => self.engine.handle_receipt(&key, &receipt, now),
            Request::Store(healthy) => self.engine.handle_store(healthy, now),
            Request::Account(account, delivered) => {
                self.engine.handle_account(*account, now);
                self.engine.handle_delivered(&|seq| delivered.contains(seq), now);
            }
            Request::Report(day, answer) => drop(answer.send(self.engine.report(day, now))),
            Request::ActiveSet => self.engine.handle_active_set(now),
        }
    }

    /// From now on live records go there; first those that the store does not have: whoever was told of them before has
    /// forgotten them with his end.
    fn tell_live(&mut self, live: Option<mpsc::Sender<Live>>) {
        self.live = live;
        let Some(live) = &self.live else { return };
        for (stream, entry) in self.appender.unstored(CONSUMER) {
            // There is room for all of them; closed is the uplink's end once more.
            drop(live.try_send(Live { stream, entry }));
        }
    }

    /// Takes what was read before a new configuration: after it, the slots of changed devices are refused.
    fn take_waiting(&mut self, events: &mut mpsc::Receiver<FieldEvent>) {
        let mut waiting: Vec<FieldEvent> = (0..events.len()).map_while(|_| events.try_recv().ok()).collect();
        self.on_events(&mut waiting);
        self.record_outputs();
    }

    /// Lets time pass and drains; once per turn, whatever woke the task.
    fn turn(&mut self) {
        let now = self.clock.now();
        self.engine.handle_timeout(now);
        self.record_outputs();
        self.keep(now.mono);
        self.tell_service();
        self.pulse.beat(now.mono);
    }

    fn record_outputs(&mut self) {
        let mut waiting = Vec::new();
        while let Some(order) = self.engine.poll_order() {
            match order.urgency {
                Urgency::AtOnce => self.order(order, [0; 6]),
                Urgency::AfterCommit => waiting.push(order),
            }
        }
        let mut reason = [0; 6];
        let mut any = false;
        while let Some(record) = self.engine.poll_output() {
            let is_document = matches!(record.body, Body::Document { .. });
            let rank = record.stream.rank();
            let seq = self.record(record);
            if let Some(delivery) = self.engine.poll_delivery().filter(|_| seq > 0) {
                self.engine.handle_recorded(&delivery, seq);
            }
            if let Some(last) = reason.get_mut(rank).filter(|_| is_document) {
                *last = seq;
            }
            any = true;
        }
        for order in waiting {
            self.order(order, reason);
        }
        if reason != [0; 6] {
            self.outlets.news.send_modify(|news| *news = news.wrapping_add(1));
        }
        if any {
            self.outlets.next.send_replace(self.appender.next());
        }
    }

    fn order(&mut self, order: Order, after: [u64; 6]) {
        let now = self.clock.now();
        if let Err(refused) = self.outlets.orders.try_send(Job { order, after, placed: now.mono }) {
            let (mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job)) = refused;
            self.engine.handle_receipt(&job.order.key, &orders::full(), now);
        }
    }

    /// Hands on what must survive a restart: at once what no record brings back, else now and then.
    fn keep(&mut self, now: Mono) {
        let ((changes, alone), at) = self.kept;
        let revisions = self.engine.danger_revisions();
        let age = now.since(at);
        if revisions.1 != alone || (revisions.0 != changes && age >= KEEP_EVERY) || age >= KEEP_ANYWAY {
            self.kept = (revisions, now);
            self.hand_on_kept();
        }
    }

    /// Tells what people have changed of the commissioning of points: a step of it is a word of danger.
    fn tell_service(&mut self) {
        let revision = self.engine.danger_revisions().0;
        if self.looked.replace(revision) == Some(revision) {
            return;
        }
        let service = self.engine.points_in_service();
        self.outlets.service.send_if_modified(|known| {
            let differs = **known != service;
            if differs {
                *known = Arc::new(service);
            }
            differs
        });
    }

    fn hand_on_kept(&self) {
        let seqs = self.appender.next().map(|next| next.saturating_sub(1));
        let saved = self.engine.danger_saved(self.clock.now());
        self.outlets.kept.send_replace(Some(Arc::new(Kept { seqs, saved })));
    }

    /// Returns the record's number, 0 where it got none.
    fn record(&mut self, record: Record) -> u64 {
        let Record { stream, stamp, body } = record;
        if let Body::Clock(change) = &body
            && change.offset_ms != 0
        {
            self.clock.note_step(change.offset_ms);
        }
        let body: Bytes = codec::encode(&body, self.engine.registry());
        let seq = self.appender.append(stream, stamp, body.clone());
        // Without a number (the reservation is used up on a dead disk) it cannot be told; the store makes it a gap.
        if let Some(live) = self.live.as_ref().filter(|_| seq > 0) {
            // Full or closed: the uplink finds the hole in the numbers and reads it from the store.
            drop(live.try_send(Live { stream, entry: Entry { seq, stamp, body } }));
        }
        seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::{self, settings as store};
    use crate::domain::danger::Rules;
    use crate::domain::engine::PlanDevice;
    use crate::domain::field_event::{Origin, Sample};
    use crate::domain::id::DeviceSlot;
    use crate::domain::reading::{Reading, Value};
    use crate::domain::record::{Boot, Stream};
    use crate::domain::registry::testing::registry_with;

    fn plan(rev: u32, slot: u32) -> Plan {
        let mut registry = registry_with(1, 1, |_| Some(1));
        registry.rev = rev;
        let device = PlanDevice { slot: DeviceSlot(slot), classes: vec![Duration::from_secs(1)], class_of: vec![0] };
        Plan {
            registry: Arc::new(registry),
            registry_json: "{}".into(),
            devices: vec![device],
            danger: Rules::default(),
        }
    }

    /// An engine over a store of its own (which must be held), whose live records the test reads.
    fn task(clock: &Clock) -> ((tempfile::TempDir, buffer::Store), EngineTask, mpsc::Receiver<Live>) {
        let dir = tempfile::tempdir().unwrap();
        let stream = store::StreamSettings { retention: Duration::from_secs(3600), reserved_bytes: 0 };
        let settings = store::Settings {
            dir: dir.path().join("store"),
            mirror_dir: dir.path().join("mirror"),
            quota_bytes: 1 << 30,
            ballast_bytes: 0,
            segment_bytes: 8 << 20,
            commit_interval: Duration::from_millis(50),
            streams: [stream; 6],
            consumers: Vec::new(),
        };
        let opened = buffer::open(settings, clock.now()).unwrap();
        let boot = Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true };
        let engine = Engine::new(1, boot, plan(1, 1), clock.now());
        let (outlets, _) = outlets(opened.appender.next(), watch::Sender::default());
        let pulse = Pulse::new("engine", clock.mono());
        let mut task = EngineTask::new(engine, opened.appender, outlets, clock.clone(), pulse);
        let (live_tx, live) = mpsc::channel(64);
        task.record_outputs();
        task.live = Some(live_tx);
        ((dir, opened.store), task, live)
    }

    fn sample(slot: u32, clock: &Clock) -> FieldEvent {
        let readings = vec![(0, Reading::good(Value::Number(1.5)))];
        FieldEvent::Sample(Sample { slot: DeviceSlot(slot), at: clock.mono(), origin: Origin::Polled, readings })
    }

    fn told(live: &mut mpsc::Receiver<Live>, stream: Stream) -> Vec<Entry> {
        let all = std::iter::from_fn(|| live.try_recv().ok());
        all.filter(|record| record.stream == stream).map(|record| record.entry).collect()
    }

    #[tokio::test]
    async fn what_was_read_before_a_reload_is_recorded_under_the_old_configuration() {
        let clock = Clock::system();
        let (_store, mut task, mut live) = task(&clock);
        let (events_tx, mut events) = mpsc::channel(4);
        events_tx.try_send(sample(1, &clock)).unwrap();
        let (done, mut in_force) = oneshot::channel();
        task.on_request(Request::Plan(Box::new(plan(2, 2)), done), &mut events);
        assert!(in_force.try_recv().is_ok());
        let samples: Vec<Entry> = told(&mut live, Stream::Telemetry)
            .into_iter()
            .filter(|entry| codec::samples_device(&entry.body) == Some(0))
            .collect();
        assert_eq!(samples.iter().map(|entry| entry.stamp.rev).collect::<Vec<_>>(), [1]);
        assert_eq!(task.engine.totals().stale_events, 0);
        let body = codec::decode(&samples[0].body, &registry_with(1, 1, |_| Some(1))).unwrap();
        assert!(matches!(body, Body::Samples(s) if s.cells[0].1 == Reading::good(Value::Number(1.5))));
    }

    #[tokio::test]
    async fn an_answer_that_waits_when_the_last_reader_ends_is_still_recorded() {
        let clock = Clock::system();
        let (_store, task, mut live) = task(&clock);
        let (events_tx, events) = mpsc::channel(4);
        let (requests_tx, requests) = mpsc::channel(4);
        drop(events_tx);
        requests_tx.try_send(Request::Answer("{}".into())).unwrap();
        task.run(events, requests).await.unwrap();
        assert_eq!(told(&mut live, Stream::Event).len(), 1);
        assert!(requests_tx.try_send(Request::Refresh).is_err(), "nobody may wait for an engine that has ended");
    }

    #[tokio::test]
    async fn a_full_live_channel_costs_the_engine_nothing_and_the_numbers_go_on() {
        let clock = Clock::system();
        let (_store, mut task, mut live) = task(&clock);
        let (small_tx, mut small) = mpsc::channel(1);
        let (_, mut events) = mpsc::channel(1);
        task.on_request(Request::Live(Some(small_tx)), &mut events);
        assert!(live.recv().await.is_none(), "the old one is let go");
        for _ in 0..3 {
            task.engine.handle_answer("{}".into(), clock.now());
        }
        task.record_outputs();
        assert_eq!(told(&mut small, Stream::Event).len(), 1);
        task.engine.handle_answer("{}".into(), clock.now());
        task.record_outputs();
        let last = told(&mut small, Stream::Event)[0].seq;
        assert_eq!(last + 1, task.appender.next()[Stream::Event.rank()]);
    }
}
