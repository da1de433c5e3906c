//! The driver: takes orders, carries them out side by side (one for each output), answers, and hands on the records.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Order;
use super::admission::{Admission, Desk, Work};
use super::attempt::{Outcome, Step};
use super::session;
use super::settings::Output;
use crate::clock::Clock;
use crate::domain::output::OutputWrite;

/// An order, and where its result goes. Whoever asked may be gone by then; that changes nothing.
#[derive(Debug)]
pub struct Call {
    /// What is asked for.
    pub order: Order,
    /// Where the result goes.
    pub answer: oneshot::Sender<OutputWrite>,
}

/// Those who wait for the result of one key. More than [`MAX_WAITING`] are not kept: they hear nothing.
type Waiting = BTreeMap<String, Vec<oneshot::Sender<OutputWrite>>>;

/// Askers of the same key that are told its result.
const MAX_WAITING: usize = 16;

/// Runs until `stop` or until nobody can ask any more; what is under way then is brought to its end. `outputs` is a watch:
/// a reload replaces the allow-list at once. Each result is sent to `records` once.
///
/// # Errors
///
/// Never: the form is that of all tasks.
pub async fn run(
    mut outputs: watch::Receiver<Arc<Vec<Arc<Output>>>>,
    mut calls: mpsc::Receiver<Call>,
    records: mpsc::Sender<OutputWrite>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), String> {
    let mut driver = Driver {
        desk: Desk::default(),
        waiting: Waiting::new(),
        running: JoinSet::new(),
        interrupted: BTreeMap::new(),
        clock,
    };
    driver.desk.allow(&outputs.borrow_and_update());
    let mut watching = true;
    loop {
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = outputs.changed(), if watching => {
                watching = changed.is_ok();
                driver.desk.allow(&outputs.borrow_and_update());
                None
            }
            Some(joined) = driver.running.join_next_with_id() => driver.ended(joined),
            call = calls.recv() => match call {
                Some(call) => driver.take(call),
                None => break,
            },
        };
        if let Some(write) = ended {
            drop(records.send(write).await);
        }
    }
    // Orders that were not begun hear nothing: their askers see the driver gone.
    calls.close();
    while let Some(joined) = driver.running.join_next_with_id().await {
        if let Some(write) = driver.ended(joined) {
            drop(records.send(write).await);
        }
    }
    Ok(())
}

struct Driver {
    desk: Desk,
    waiting: Waiting,
    running: JoinSet<OutputWrite>,
    /// What is recorded of a write that is interrupted: by task.
    interrupted: BTreeMap<Id, OutputWrite>,
    clock: Clock,
}

impl Driver {
    /// Returns the record of an order that is not carried out.
    fn take(&mut self, call: Call) -> Option<OutputWrite> {
        let Call { order, answer } = call;
        match self.desk.admit(&order, self.clock.mono()) {
            Admission::Run(work) => {
                tracing::info!(output = %order.output, value = %order.value, issuer = %order.issuer, "Writing an output.");
                let interrupted = work.ended(self.clock.mono());
                self.waiting.insert(order.key, vec![answer]);
                let task = self.running.spawn(carry_out(work, self.clock.clone()));
                self.interrupted.insert(task.id(), interrupted);
                None
            }
            Admission::UnderWay => {
                let waiting = self.waiting.entry(order.key).or_default();
                if waiting.len() < MAX_WAITING {
                    waiting.push(answer);
                }
                None
            }
            Admission::Answer { write, new } => {
                answer.send(write.clone()).ok();
                new.then_some(write)
            }
        }
    }

    fn ended(&mut self, joined: Result<(Id, OutputWrite), JoinError>) -> Option<OutputWrite> {
        let write = match joined {
            Ok((id, write)) => self.interrupted.remove(&id).map(|_| write)?,
            Err(error) => {
                tracing::error!(%error, "A write was interrupted.");
                self.interrupted.remove(&error.id())?
            }
        };
        let OutputWrite { output, result, detail, elapsed_ms, .. } = &write;
        tracing::info!(%output, result = result.as_str(), %detail, elapsed_ms, "An output write has ended.");
        self.desk.finish(write.clone());
        for asker in self.waiting.remove(&write.key).unwrap_or_default() {
            asker.send(write.clone()).ok();
        }
        Some(write)
    }
}

async fn carry_out(mut work: Box<Work>, clock: Clock) -> OutputWrite {
    loop {
        let outcome = match work.attempt.step(clock.mono()) {
            Step::Write { raw, before } => session::write(&work.output, raw, before, &clock).await,
            Step::Look => session::look(&work.output).await,
            Step::Wait(until) => {
                clock.sleep_until(until).await;
                Outcome::Waited
            }
            Step::End => return work.ended(clock.mono()),
        };
        work.attempt.took(outcome, clock.mono());
    }
}
