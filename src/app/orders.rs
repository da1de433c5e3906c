//! Carries out what the state machines order: each order is a write to an output, and what became of it goes back to the
//! machine as its receipt. (Messages and lane rules never come here: the engine itself shows and records them.)
//!
//! ```text
//!  engine ──Job──▶ Queue ──due, output free, place free──▶ outputs' driver ──▶ Receipt ──▶ engine
//! ```
//!
//! What concerns life ([`Urgency::AtOnce`]) goes first and waits for nothing. Anything else waits until its reason is stored,
//! at most [`COMMIT_WITHIN`]: an order must not be lost because a disk is slow. One write at a time for each output, in the
//! order in which they were placed; the driver refuses two at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::engine::Request;
use super::outputs::Outputs;
use crate::clock::Clock;
use crate::domain::order::{OrderKind, Receipt, Urgency};
use crate::domain::output::{OutputWrite, WriteResult};
use crate::domain::record::Mode;
use crate::domain::time::Mono;
use crate::output::Order;

/// How long an order waits at most for its reason to be stored (`design.md`, promise 2).
const COMMIT_WITHIN: Duration = Duration::from_millis(200);
/// Writes of this task under way: fewer than the driver takes, so that an engineer's own write finds a place.
const N_UNDER_WAY: usize = 12;
/// Orders waiting, here and on the way here. An evacuation of a large park orders a few hundred; beyond it an order fails
/// at once, and its machine says so.
pub(super) const N_WAITING: usize = 1024;
/// Who asks, in the records of the writes.
const ISSUER: &str = "parkgate";

/// An order, as the engine's driver hands it on.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The order.
    pub(super) order: crate::domain::order::Order,
    /// The last number of each stream, by rank, of which its reason is a part; 0 where none is.
    pub(super) after: [u64; 6],
    /// When it was placed.
    pub(super) placed: Mono,
}

impl Job {
    fn output(&self) -> &str {
        if let OrderKind::Output { output, .. } = &self.order.what { output } else { "" }
    }

    fn is_due(&self, stored: &[u64; 6], now: Mono) -> bool {
        self.order.urgency == Urgency::AtOnce
            || now.since(self.placed) >= COMMIT_WITHIN
            || self.after.iter().zip(stored).all(|(after, stored)| after <= stored)
    }
}

/// Which order is to be carried out next. Pure.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Job>,
    busy: BTreeSet<String>,
}

impl Queue {
    /// Takes an order; gives it back when there is no room.
    fn push(&mut self, job: Job) -> Result<(), Job> {
        if self.waiting.len() >= N_WAITING {
            return Err(job);
        }
        self.waiting.push_back(job);
        Ok(())
    }

    /// Returns the next one to carry out. Its output is busy until [`Queue::ended`].
    fn next(&mut self, stored: &[u64; 6], now: Mono) -> Option<Job> {
        if self.busy.len() >= N_UNDER_WAY {
            return None;
        }
        let mut seen: BTreeSet<&str> = self.busy.iter().map(String::as_str).collect();
        let mut first: Option<(usize, Urgency)> = None;
        for (at, job) in self.waiting.iter().enumerate() {
            // Only the first of each output: a later order of the same output must not overtake it.
            if !seen.insert(job.output()) || !job.is_due(stored, now) {
                continue;
            }
            if first.is_none()
                || (first.is_some_and(|(_, u)| u != Urgency::AtOnce) && job.order.urgency == Urgency::AtOnce)
            {
                first = Some((at, job.order.urgency));
            }
        }
        let job = self.waiting.remove(first?.0)?;
        self.busy.insert(job.output().to_owned());
        Some(job)
    }

    fn ended(&mut self, output: &str) {
        self.busy.remove(output);
    }

    /// Returns when the oldest order that still waits for its reason need not wait any longer.
    fn deadline(&self, now: Mono) -> Option<Mono> {
        let due = |job: &Job| job.placed + COMMIT_WITHIN;
        self.waiting.iter().map(due).filter(|due| *due > now).min()
    }
}

/// What the task needs.
pub(super) struct Parts {
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) outputs: Outputs,
    pub(super) stored: watch::Receiver<[u64; 6]>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) clock: Clock,
}

/// Runs until `stop`, or until nobody can order any more; what is under way then is brought to its end.
pub(super) async fn run(parts: Parts, stop: CancellationToken) -> Result<(), String> {
    let Parts { mut jobs, outputs, mut stored, requests, clock } = parts;
    let (mut queue, mut running) = (Queue::default(), Running::default());
    let mut store_lives = true;
    loop {
        let (now, known) = (clock.mono(), *stored.borrow_and_update());
        while let Some(job) = queue.next(&known, now) {
            let (output, key) = (job.output().to_owned(), job.order.key.clone());
            running.start(output, key, carry_out(job, outputs.clone(), clock.clone()));
        }
        let deadline = queue.deadline(now);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some((output, key, receipt)) = running.next() => {
                queue.ended(&output);
                drop(requests.send(Request::Receipt(key, receipt)).await);
            }
            job = jobs.recv() => match job {
                Some(job) => if let Err(job) = queue.push(job) {
                    drop(requests.send(Request::Receipt(job.order.key, full())).await);
                },
                None => break,
            },
            changed = stored.changed(), if store_lives => store_lives = changed.is_ok(),
            () = clock.sleep_until_opt(deadline) => {}
        }
    }
    while let Some((_, key, receipt)) = running.next().await {
        drop(requests.send(Request::Receipt(key, receipt)).await);
    }
    Ok(())
}

/// Writes under way. Each ends with a receipt, and frees its output, also one that panicked.
#[derive(Debug, Default)]
struct Running {
    writes: JoinSet<Receipt>,
    /// Output and key of each.
    named: BTreeMap<Id, (String, String)>,
}

impl Running {
    fn start(&mut self, output: String, key: String, write: impl Future<Output = Receipt> + Send + 'static) {
        let id = self.writes.spawn(write).id();
        self.named.insert(id, (output, key));
    }

    /// Returns output, key and receipt of the next one that ends; `None` while there is none.
    async fn next(&mut self) -> Option<(String, String, Receipt)> {
        loop {
            let (id, receipt) = match self.writes.join_next_with_id().await? {
                Ok((id, receipt)) => (id, receipt),
                Err(error) => (error.id(), panicked(&error)),
            };
            // Each was named when it was started.
            if let Some((output, key)) = self.named.remove(&id) {
                return Some((output, key, receipt));
            }
        }
    }
}

fn panicked(error: &JoinError) -> Receipt {
    tracing::error!(%error, "A write to an output ended by a fault of this program.");
    Receipt::Failed(
        "写入程序出错，结果不明 / the write ended by a fault of this program: nobody knows its result".to_owned(),
    )
}

/// The receipt of an order for which there is no room.
pub(super) fn full() -> Receipt {
    Receipt::Failed("待执行的指令过多 / too many orders wait".to_owned())
}

/// The receipt of an order for a lane that nobody moves.
pub(super) fn not_moved() -> Receipt {
    Receipt::Failed("车道任务未运行 / the gates do not run".to_owned())
}

async fn carry_out(job: Job, outputs: Outputs, clock: Clock) -> Receipt {
    let OrderKind::Output { output, value } = job.order.what else {
        return Receipt::Failed("不是输出 / no output".to_owned());
    };
    let order = Order {
        output,
        value,
        issuer: ISSUER.to_owned(),
        key: job.order.key,
        within: None,
        mode: Mode::Real,
        really: false,
        received: clock.mono(),
    };
    receipt_of(outputs.write(order).await)
}

fn receipt_of(write: Option<OutputWrite>) -> Receipt {
    match write {
        Some(write) if write.result == WriteResult::Done => Receipt::Done,
        Some(write) => Receipt::Failed(format!("{} {}: {}", write.result.zh(), write.result.as_str(), write.detail)),
        None => Receipt::Failed("网关正在停止 / the gateway is stopping".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::Order as Ordered;

    fn job(key: &str, output: &str, urgency: Urgency, seq: u64, at_ms: u64) -> Job {
        let what = OrderKind::Output { output: output.into(), value: "on".into() };
        let order = Ordered { key: key.into(), what, urgency };
        Job { order, after: [seq, 0, 0, 0, 0, 0], placed: Mono::from_millis(at_ms) }
    }

    fn keys(queue: &mut Queue, stored: u64, at_ms: u64) -> Vec<String> {
        let next = || queue.next(&[stored, 0, 0, 0, 0, 0], Mono::from_millis(at_ms));
        std::iter::from_fn(next).map(|job| job.order.key).collect()
    }

    #[test]
    fn what_concerns_life_goes_first_and_the_rest_when_its_reason_is_stored_or_late() {
        let mut queue = Queue::default();
        queue.push(job("lamp", "lamp", Urgency::AfterCommit, 5, 0)).unwrap();
        queue.push(job("horn", "horn", Urgency::AfterCommit, 6, 0)).unwrap();
        queue.push(job("siren", "siren", Urgency::AtOnce, 7, 10)).unwrap();
        assert_eq!(keys(&mut queue, 4, 20), ["siren"]);
        assert_eq!(queue.deadline(Mono::from_millis(20)), Some(Mono::from_millis(200)));
        assert_eq!(keys(&mut queue, 5, 30), ["lamp"]);
        assert_eq!(keys(&mut queue, 5, 199), Vec::<String>::new());
        assert_eq!(keys(&mut queue, 5, 200), ["horn"]);
        assert_eq!(queue.deadline(Mono::from_millis(200)), None);
    }

    #[test]
    fn an_output_takes_one_order_at_a_time_in_their_order() {
        let mut queue = Queue::default();
        queue.push(job("off", "siren", Urgency::AfterCommit, 9, 0)).unwrap();
        queue.push(job("on", "siren", Urgency::AtOnce, 9, 0)).unwrap();
        assert_eq!(keys(&mut queue, 0, 10), Vec::<String>::new(), "on must not overtake off");
        assert_eq!(keys(&mut queue, 9, 10), ["off"]);
        assert_eq!(keys(&mut queue, 9, 20), Vec::<String>::new());
        queue.ended("siren");
        assert_eq!(keys(&mut queue, 9, 20), ["on"]);
    }

    #[test]
    fn a_hundred_sirens_take_their_turns_and_beyond_all_measure_orders_fail() {
        let mut queue = Queue::default();
        for n in 0..N_WAITING {
            queue.push(job(&n.to_string(), &format!("siren-{n}"), Urgency::AtOnce, 0, 0)).unwrap();
        }
        assert!(queue.push(job("one more", "x", Urgency::AtOnce, 0, 0)).is_err());
        let mut done = 0;
        loop {
            let turn = keys(&mut queue, 0, 0);
            assert!(turn.len() <= N_UNDER_WAY);
            done += turn.len();
            turn.iter().for_each(|key| queue.ended(&format!("siren-{key}")));
            if turn.is_empty() {
                break;
            }
        }
        assert_eq!(done, N_WAITING);
    }

    #[tokio::test]
    async fn a_write_that_panics_fails_aloud_and_frees_its_output() {
        let (mut queue, mut running) = (Queue::default(), Running::default());
        for key in ["first", "second"] {
            queue.push(job(key, "siren", Urgency::AtOnce, 0, 0)).unwrap();
        }
        assert_eq!(keys(&mut queue, 0, 0), ["first"]);
        running.start("siren".into(), "first".into(), async { panic!("a fault of the driver") });
        let (output, key, receipt) = running.next().await.unwrap();
        assert!(matches!(&receipt, Receipt::Failed(why) if why.contains("nobody knows")), "{receipt:?}");
        assert_eq!((output.as_str(), key.as_str()), ("siren", "first"));
        queue.ended(&output);
        assert_eq!(keys(&mut queue, 0, 1), ["second"], "the siren still takes orders");
        assert!(running.next().await.is_none());
    }

    #[test]
    fn only_what_was_read_back_is_done() {
        let write = |result| OutputWrite {
            output: "siren".into(),
            device: "io".into(),
            value: "on".into(),
            raw: None,
            seen: None,
            issuer: ISSUER.into(),
            key: "k".into(),
            result,
            detail: "why".into(),
            elapsed_ms: 1,
            mode: Mode::Real,
        };
        assert_eq!(receipt_of(Some(write(WriteResult::Done))), Receipt::Done);
        for result in WriteResult::ALL.into_iter().filter(|result| *result != WriteResult::Done) {
            assert!(matches!(receipt_of(Some(write(result))), Receipt::Failed(why) if why.contains(result.as_str())));
        }
        assert!(matches!(receipt_of(None), Receipt::Failed(_)));
    }
}
