//! Joins the driver of the outputs to the engine, where every result becomes a record, and to the buses, which carry its orders
//! between their readings.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::engine::Request;
use crate::clock::Clock;
use crate::domain::field_event::FieldEvent;
use crate::domain::output::OutputWrite;
use crate::field::errand::{Brought, Errand, Lenders, Refused, What};
use crate::field::modbus::class::Ask;
use crate::field::modbus::{Answer, words_of};
use crate::field::settings::Table;
use crate::output::settings::{Feedback, Output};
use crate::output::{self, Call, Carrier, NotCarried, Order, Times, no_bus};
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
    pub(super) buses: OnBuses,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

/// The buses, as the driver of the outputs uses them. Cheap to clone; a reload changes which ones run.
#[derive(Clone, Debug)]
pub struct OnBuses {
    lenders: watch::Receiver<Lenders>,
    clock: Clock,
}

impl OnBuses {
    /// Returns the buses that take errands here.
    pub fn new(lenders: watch::Receiver<Lenders>, clock: Clock) -> Self {
        Self { lenders, clock }
    }

    async fn carry(&self, bus: &str, what: What, times: Times) -> Result<Brought, NotCarried> {
        let Some(lender) = self.lenders.borrow().get(bus).cloned() else { return Err(no_bus(bus)) };
        let (errand, answer) = Errand::new(what, times.within, times.not_after);
        let queued = tokio::select! {
            biased;
            sent = lender.send(errand) => sent.map_err(|_| no_bus(bus)),
            () = self.clock.sleep_until(times.not_after) => Err(NotCarried::TooLate),
        };
        queued?;
        match answer.await {
            Ok(Ok(brought)) => Ok(brought),
            Ok(Err(Refused::TooLate)) => Err(NotCarried::TooLate),
            Ok(Err(Refused::NotSent(why))) => Err(NotCarried::NotSent(why)),
            Ok(Err(Refused::NoAnswer(why))) => Err(NotCarried::NoAnswer(why)),
            // It may have been on the line when the link ended.
            Err(_) => Err(NotCarried::NoAnswer(format!("bus {bus} has ended"))),
        }
    }
}

impl Carrier for OnBuses {
    async fn send(&self, bus: &str, body: Vec<u8>, answer: usize, times: Times) -> Result<Vec<u8>, NotCarried> {
        match self.carry(bus, What::Frame { body, answer }, times).await? {
            Brought::Frame(body) => Ok(body),
            Brought::Read(_) => Err(NotCarried::NoAnswer("an answer of another kind".to_owned())),
        }
    }

    async fn read(&self, bus: &str, unit: u8, at: Feedback, times: Times) -> Result<u16, NotCarried> {
        let (table, start) = match at {
            Feedback::Coil(address) => (Table::Coil, address),
            Feedback::Discrete(address) => (Table::Discrete, address),
            Feedback::Holding(address) => (Table::Holding, address),
            Feedback::Input(address) => (Table::Input, address),
        };
        let value = match self.carry(bus, What::Read { unit, ask: Ask { table, start, count: 1 } }, times).await? {
            Brought::Read(Answer::Bits(bits)) => bits.first().map(|on| u16::from(*on)),
            Brought::Read(Answer::Registers(words)) => words.first().copied(),
            Brought::Read(Answer::Exception(code)) => {
                return Err(NotCarried::NoAnswer(words_of(code).to_owned()));
            }
            Brought::Frame(_) => None,
        };
        value.ok_or_else(|| NotCarried::NoAnswer("an answer of another kind".to_owned()))
    }
}

/// Starts the driver with a list that a reload may replace. Returns where orders go.
pub(super) fn start(
    supervisor: &mut Supervisor,
    outputs: watch::Receiver<Arc<Vec<Arc<Output>>>>,
    parts: Parts,
) -> Outputs {
    let (calls, taken) = mpsc::channel(N_QUEUED_ORDERS);
    let (results_tx, results) = mpsc::channel(N_QUEUED_RESULTS);
    let Parts { requests, events, buses, clock, stop } = parts;
    supervisor.core("outputs", stop.clone(), async move {
        let driver = output::run(outputs, taken, results_tx, buses, clock, stop);
        let (ended, ()) = tokio::join!(driver, record(results, requests));
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
