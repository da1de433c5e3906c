//! The driver of [`Engine`]: takes inputs from the channels, drains the outputs into the store and the live channel.
//!
//! It awaits nothing but its inputs: the appender never blocks, the live channel is tried and never waited for.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use crate::buffer::Appender;
use crate::clock::Clock;
use crate::domain::codec;
use crate::domain::engine::{Engine, Plan};
use crate::domain::field_event::FieldEvent;
use crate::domain::output::{LoopTest, OutputWrite};
use crate::domain::record::{Body, Entry, Record};
use crate::domain::snapshot::Snapshot;
use crate::supervise::Pulse;
use crate::uplink::Live;

/// Field events taken in one turn, so that ticks and requests are served between them under any load.
const N_EVENTS_PER_TURN: usize = 256;

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
}

/// The task.
pub(super) struct EngineTask {
    engine: Engine,
    appender: Appender,
    live: Option<mpsc::Sender<Live>>,
    next: watch::Sender<[u64; 6]>,
    clock: Clock,
    pulse: Pulse,
}

impl EngineTask {
    pub(super) fn new(
        engine: Engine,
        appender: Appender,
        next: watch::Sender<[u64; 6]>,
        clock: Clock,
        pulse: Pulse,
    ) -> Self {
        Self { engine, appender, live: None, next, clock, pulse }
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
            Request::Live(live) => self.live = live,
            Request::Refresh => self.engine.handle_refresh(now),
            Request::Answer(json) => self.engine.handle_answer(json, now),
            Request::Write(write) => self.engine.handle_write(write, now),
            Request::LoopTest(test) => self.engine.handle_loop_test(test, now),
            Request::Registry(json) => self.engine.handle_registry_again(json, now),
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
        self.pulse.beat(now.mono);
    }

    fn record_outputs(&mut self) {
        let mut any = false;
        while let Some(record) = self.engine.poll_output() {
            self.record(record);
            any = true;
        }
        if any {
            self.next.send_replace(self.appender.next());
        }
    }

    fn record(&mut self, record: Record) {
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
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::buffer::{self, settings as store};
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
        Plan { registry: Arc::new(registry), registry_json: "{}".into(), devices: vec![device] }
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
        let next = watch::Sender::new(opened.appender.next());
        let mut task =
            EngineTask::new(engine, opened.appender, next, clock.clone(), Pulse::new("engine", clock.mono()));
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
