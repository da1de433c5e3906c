//! Keeps on disk which events of cameras were seen: the answer that opens waits for it, within its bound.
//!
//! One task owns the file. What waits is written in one group with one fsync. A disk that hangs holds this task alone: its
//! queue fills, and what finds no place is told at once that it will not be kept.

use std::io;
use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use crate::domain::gate::hardware::CameraEvent;
use crate::lane::camera::{Memory, Remembered};
use crate::state::seen::{Seen, SeenLog};

/// Events on their way to the disk: as many as the cameras' listener waits for at a time.
const N_QUEUED: usize = 256;

/// What the task is asked.
enum Job {
    Keep(Seen, oneshot::Sender<()>),
    All(oneshot::Sender<Vec<Seen>>),
}

/// The way to the file. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Seens {
    jobs: mpsc::Sender<Job>,
}

impl Seens {
    /// Returns everything that is known; nothing when the gateway is ending.
    pub(super) async fn all(&self) -> Vec<Remembered> {
        let (reply, all) = oneshot::channel();
        if self.jobs.send(Job::All(reply)).await.is_err() {
            return Vec::new();
        }
        all.await.unwrap_or_default().into_iter().map(|(event, sec)| Remembered { event, sec }).collect()
    }
}

impl Memory for Seens {
    fn remember(&self, seen: Remembered, _forget: Vec<CameraEvent>) -> oneshot::Receiver<()> {
        // The file forgets by the same rule as the desk.
        let (done, kept) = oneshot::channel();
        // Full: the sender is dropped with the job, which says that it will not be kept.
        let _full = self.jobs.try_send(Job::Keep((seen.event, seen.sec), done));
        kept
    }
}

/// Makes the way, and the task that serves it until nobody holds the way any more.
pub(super) fn open(dir: PathBuf) -> (Seens, impl Future<Output = Result<(), String>> + Send) {
    let (jobs, taken) = mpsc::channel(N_QUEUED);
    (Seens { jobs }, serve(dir, taken))
}

async fn serve(dir: PathBuf, mut jobs: mpsc::Receiver<Job>) -> Result<(), String> {
    let mut log = blocking(move || read(dir)).await?;
    let mut fails = false;
    while let Some(first) = jobs.recv().await {
        let (mut seen, mut done) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Keep(one, reply) => {
                    seen.push(one);
                    done.push(reply);
                    next = jobs.try_recv().ok();
                }
                // Who asks may have gone; so below. What was noted in this group is in it too.
                Job::All(reply) => {
                    let all = log.all().into_iter().chain(seen.iter().cloned()).collect();
                    let _gone = reply.send(all);
                    next = jobs.try_recv().ok();
                }
            }
        }
        if seen.is_empty() {
            continue;
        }
        let (back, written) = blocking(move || {
            let written = log.append(&seen);
            (log, written)
        })
        .await?;
        log = back;
        match written {
            Ok(()) => {
                fails = false;
                for reply in done {
                    let _gone = reply.send(());
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut fails, true) {
                    tracing::error!(%error, "Events of cameras cannot be kept; a resend after a restart may be taken for new.");
                }
            }
        }
    }
    Ok(())
}

fn read(dir: PathBuf) -> SeenLog {
    SeenLog::open(&dir).unwrap_or_else(|error: io::Error| {
        tracing::error!(%error, "Events of cameras cannot be read; a resend of an earlier one would be taken for new.");
        SeenLog::without(&dir)
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> Remembered {
        Remembered { event: CameraEvent { serial: "a".to_owned(), number }, sec: None }
    }

    #[tokio::test]
    async fn what_was_kept_is_there_at_the_next_start_and_a_full_queue_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (seens, task) = open(dir.path().to_owned());
        let kept: Vec<_> = (0..3).map(|n| seens.remember(event(n), Vec::new())).collect();
        let rest: Vec<_> = (3..300).map(|n| seens.remember(event(n), Vec::new())).collect();
        let refused = rest.into_iter().filter_map(|mut one| one.try_recv().err());
        let refused = refused.filter(|why| *why == oneshot::error::TryRecvError::Closed).count();
        assert_eq!(refused, 300 - N_QUEUED);
        drop(seens);
        task.await.unwrap();
        for one in kept {
            one.await.unwrap();
        }
        let (seens, task) = open(dir.path().to_owned());
        let (all, ended) = tokio::join!(
            async {
                let all = seens.all().await;
                drop(seens);
                all
            },
            task
        );
        ended.unwrap();
        assert_eq!(all.len(), N_QUEUED);
    }

    #[tokio::test]
    async fn without_a_disk_what_was_seen_is_known_in_this_run_and_nobody_is_told_that_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (seens, task) = open(dir.path().join("gone"));
        let told = async {
            assert!(seens.remember(event(1), Vec::new()).await.is_err());
            let all = seens.all().await;
            drop(seens);
            all
        };
        let (all, ended) = tokio::join!(told, task);
        ended.unwrap();
        assert_eq!(all, [event(1)]);
    }
}
