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
use crate::domain::record::{Body, Entry, Record};
use crate::domain::snapshot::Snapshot;
use crate::supervise::Pulse;
use crate::uplink::Live;

/// Field events taken in one turn, so that ticks and requests are served between them under any load.
const N_EVENTS_PER_TURN: usize = 256;

/// What others ask of the engine.
pub(super) enum Request {
    /// What stands.
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    /// A new configuration; answered when it is in force.
    Plan(Box<Plan>, oneshot::Sender<()>),
    /// Where live records go from now on; full values follow.
    Live(mpsc::Sender<Live>),
    /// An answer to a command, to be recorded.
    Answer(String),
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

    /// Runs until `events` closes, then records what is due and ends; the store can be closed after it.
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
                Some(request) = requests.recv() => self.on_request(request),
                () = self.clock.sleep_until(self.engine.poll_timeout()) => {}
            }
            self.turn();
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

    fn on_request(&mut self, request: Request) {
        let now = self.clock.now();
        match request {
            // Whoever asked may be gone; that is his business.
            Request::Snapshot(answer) => drop(answer.send(Arc::new(self.engine.snapshot(now)))),
            Request::Plan(plan, done) => {
                self.engine.handle_plan(*plan, now);
                self.record_outputs();
                done.send(()).ok();
            }
            Request::Live(live) => {
                self.live = Some(live);
                self.engine.handle_refresh();
            }
            Request::Answer(json) => self.engine.handle_answer(json, now),
            Request::Registry(json) => self.engine.handle_registry_again(json, now),
        }
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
