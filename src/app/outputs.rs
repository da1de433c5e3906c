//! Joins the driver of the outputs to the engine: every result becomes a record.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::engine::Request;
use crate::clock::Clock;
use crate::domain::field_event::FieldEvent;
use crate::domain::output::OutputWrite;
use crate::output::settings::Output;
use crate::output::{self, Call, Order};
use crate::supervise::Supervisor;

/// Orders on their way to the driver, which takes them at once: more only while it is starting or ending.
const N_QUEUED_ORDERS: usize = 32;
/// Results on their way to the engine: as many as can be under way, and a few refusals.
const N_QUEUED_RESULTS: usize = 64;

/// Where orders go. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Outputs {
    calls: mpsc::Sender<Call>,
}

impl Outputs {
    /// Has an order carried out and returns its result; `None` when the gateway is stopping. An order that the driver
    /// cannot even take is not waited for: it would be late.
    pub(super) async fn write(&self, order: Order) -> Option<OutputWrite> {
        let (answer, result) = oneshot::channel();
        self.calls.try_send(Call { order, answer }).ok()?;
        result.await.ok()
    }
}

/// What the task needs.
pub(super) struct Parts {
    pub(super) requests: mpsc::Sender<Request>,
    /// Held to the end: the engine then records also what was under way at a stop.
    pub(super) events: mpsc::Sender<FieldEvent>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

/// Starts the driver with a list that a reload may replace. Returns where orders go.
pub(super) fn start(
    supervisor: &mut Supervisor,
    outputs: watch::Receiver<Arc<Vec<Arc<Output>>>>,
    parts: Parts,
) -> Outputs {
    let (calls, taken) = mpsc::channel(N_QUEUED_ORDERS);
    let (results_tx, results) = mpsc::channel(N_QUEUED_RESULTS);
    let Parts { requests, events, clock, stop } = parts;
    supervisor.core("outputs", stop.clone(), async move {
        let (ended, ()) = tokio::join!(output::run(outputs, taken, results_tx, clock, stop), record(results, requests));
        drop(events);
        ended
    });
    Outputs { calls }
}

async fn record(mut results: mpsc::Receiver<OutputWrite>, requests: mpsc::Sender<Request>) {
    while let Some(write) = results.recv().await {
        drop(requests.send(Request::Write(write)).await);
    }
}
