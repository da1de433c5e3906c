//! The driver: takes orders, carries them out side by side (one for each output), has some give way to others, answers, and
//! hands on the records.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Order;
use super::admission::{Admission, Desk, Work};
use super::attempt::{Excluded, Outcome, Step};
use super::session::{self, Carrier};
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
    carrier: impl Carrier,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), String> {
    let mut driver = Driver {
        desk: Desk::default(),
        waiting: Waiting::new(),
        running: JoinSet::new(),
        interrupted: BTreeMap::new(),
        hands: BTreeMap::new(),
        carrier,
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

/// How a write under way is told to give way, and known to have ended.
struct Hand {
    /// Taken when it has been told why.
    give_way: Option<oneshot::Sender<String>>,
    ended: CancellationToken,
}

/// The other end of it.
struct Way {
    give_way: oneshot::Receiver<String>,
    /// Cancelled when it is dropped, however the write ends.
    ended: DropGuard,
    /// What must have ended before.
    after: Vec<CancellationToken>,
}

struct Driver<C> {
    desk: Desk,
    waiting: Waiting,
    running: JoinSet<OutputWrite>,
    /// What is recorded of a write that is interrupted: by task.
    interrupted: BTreeMap<Id, OutputWrite>,
    /// The writes under way, by key.
    hands: BTreeMap<String, Hand>,
    carrier: C,
    clock: Clock,
}

impl<C: Carrier> Driver<C> {
    /// Returns the record of an order that is not carried out.
    fn take(&mut self, call: Call) -> Option<OutputWrite> {
        let Call { order, answer } = call;
        match self.desk.admit(&order, self.clock.mono()) {
            Admission::Run(work) => {
                tracing::info!(output = %order.output, value = %order.value, issuer = %order.issuer, "Writing an output.");
                let interrupted = work.ended(self.clock.mono());
                self.waiting.insert(order.key, vec![answer]);
                let way = self.make_way(&work);
                let task = self.running.spawn(carry_out(work, way, self.carrier.clone(), self.clock.clone()));
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

    /// Tells those that give way, and returns what the new one waits for.
    fn make_way(&mut self, work: &Work) -> Way {
        let why = format!("it gave way to `{}` of `{}`", work.write.value, work.write.output);
        let mut after = Vec::new();
        for key in &work.instead_of {
            let Some(hand) = self.hands.get_mut(key) else { continue };
            if let Some(give_way) = hand.give_way.take() {
                give_way.send(why.clone()).ok();
            }
            after.push(hand.ended.clone());
        }
        let (give_way, told) = oneshot::channel();
        let ended = CancellationToken::new();
        let way = Way { give_way: told, ended: ended.clone().drop_guard(), after };
        self.hands.insert(work.write.key.clone(), Hand { give_way: Some(give_way), ended });
        way
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
        self.hands.remove(&write.key);
        self.desk.finish(write.clone());
        for asker in self.waiting.remove(&write.key).unwrap_or_default() {
            asker.send(write.clone()).ok();
        }
        Some(write)
    }
}

async fn carry_out(mut work: Box<Work>, way: Way, carrier: impl Carrier, clock: Clock) -> OutputWrite {
    let Way { mut give_way, ended, after } = way;
    for before in after {
        tokio::select! {
            () = before.cancelled() => {}
            Ok(why) = &mut give_way => {
                work.attempt.withdraw(&why);
                return work.ended(clock.mono());
            }
        }
    }
    let mut told = false;
    loop {
        let step = work.attempt.step(clock.mono());
        if step == Step::End {
            drop(ended);
            return work.ended(clock.mono());
        }
        let target = Target { output: Arc::clone(&work.output), excluded: work.attempt.excluded().cloned() };
        let mut performed = std::pin::pin!(perform(target, step, &carrier, &clock));
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut performed => break Some(outcome),
                Ok(why) = &mut give_way, if !told => {
                    told = true;
                    if work.attempt.give_way(&why) {
                        break None;
                    }
                }
            }
        };
        if let Some(outcome) = outcome {
            work.attempt.took(outcome, clock.mono());
        }
    }
}

/// What a step is done to.
struct Target {
    output: Arc<Output>,
    excluded: Option<Excluded>,
}

async fn perform(target: Target, step: Step, carrier: &impl Carrier, clock: &Clock) -> Outcome {
    let Target { output, excluded } = target;
    match (step, excluded) {
        (Step::Write { raw, before }, _) => session::write(&output, raw, before, carrier, clock).await,
        (Step::Look, _) => session::look(&output, output.feedback, carrier, clock).await,
        (Step::TakeBack { raw, before }, Some((other, _))) => session::write(&other, raw, before, carrier, clock).await,
        (Step::LookAtExcluded, Some((other, idle))) => session::look(&other, idle.at, carrier, clock).await,
        (Step::Wait(until), _) => {
            clock.sleep_until(until).await;
            Outcome::Waited
        }
        (Step::TakeBack { .. } | Step::LookAtExcluded | Step::End, _) => Outcome::Waited,
    }
}
