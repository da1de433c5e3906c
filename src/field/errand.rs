//! Lending a bus: an exchange that somebody else wants carried out between two requests, on the line that only one may own.
//!
//! The field knows nothing of what is sent: an [`Errand`] is whole frames from outside, with the rule by which the end of an
//! answer is known. So whoever writes to a device on a bus keeps the writing in its own room, and the reader keeps the bus.
//! An errand goes before the next request, never into one that is under way; its frame is sent at most once, and not at
//! all when its time is up before its turn or the line is not open. Errands on a line are rare: a full queue
//! ([`N_WAITING`]) refuses more at once.
//!
//! ```text
//!  let lender = lenders.borrow().get("bus-1").cloned();         // of the composition root: the buses that run now
//!  let (errand, answer) = Errand::new(frame, |bytes| bytes.len() >= 8, deadline);
//!  lender.try_send(errand)?;
//!  match answer.await { Ok(Ok(bytes)) => …, Ok(Err(refused)) => …, Err(_) => the link has ended }
//! ```
//!
//! Whether the bytes are an answer, and whose, is for the asker to judge: unit, function and CRC are in them.

use std::collections::BTreeMap;
use std::fmt;

use tokio::sync::{mpsc, oneshot};

use crate::domain::time::Mono;

/// Errands that may wait for one bus: a gate's barrier, lights and siren at once.
pub const N_WAITING: usize = 4;
/// The longest frame of RTU.
pub const MAX_FRAME: usize = 256;

/// Where errands of the buses that run now are taken, by the id of the bus.
pub type Lenders = BTreeMap<String, mpsc::Sender<Errand>>;

/// Says of the bytes that came so far whether the answer is complete.
type Complete = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// See the module.
pub struct Errand {
    frame: Vec<u8>,
    complete: Complete,
    deadline: Mono,
    answer: oneshot::Sender<Result<Vec<u8>, Refused>>,
}

/// Why there is no answer to an errand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing was sent: the time was up, or the line is not open.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It was sent; what came of it is not known.
    #[error("sent, but no whole answer: {0}")]
    NoAnswer(String),
}

impl Errand {
    /// Returns an errand and where its answer comes: `frame` is sent as it is (at most [`MAX_FRAME`] bytes), and `complete`
    /// says of the bytes received whether they are all. Nothing is sent after `deadline`, and nothing awaited.
    pub fn new(
        frame: Vec<u8>,
        complete: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
        deadline: Mono,
    ) -> (Self, oneshot::Receiver<Result<Vec<u8>, Refused>>) {
        let (answer, answered) = oneshot::channel();
        (Self { frame, complete: Box::new(complete), deadline, answer }, answered)
    }

    /// Returns the bytes to send.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Returns until when it may be sent and answered.
    pub fn deadline(&self) -> Mono {
        self.deadline
    }

    /// Returns whether the answer is whole.
    pub fn is_complete(&self, bytes: &[u8]) -> bool {
        (self.complete)(bytes)
    }

    /// Returns why it is not to be sent at `now`, if so.
    pub fn obstacle(&self, now: Mono) -> Option<&'static str> {
        if self.answer.is_closed() {
            return Some("nobody waits for it any more");
        }
        if now >= self.deadline {
            return Some("its time is up");
        }
        (self.frame.len() > MAX_FRAME).then_some("longer than a frame may be")
    }

    /// Gives the result back; one that nobody waits for is nobody's.
    pub fn end(self, result: Result<Vec<u8>, Refused>) {
        drop(self.answer.send(result));
    }
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand").field("frame", &self.frame).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errand_is_not_sent_when_its_time_is_up_or_nobody_waits() {
        let (errand, answered) = Errand::new(vec![1, 2], |_| true, Mono::from_secs(10));
        assert_eq!(errand.obstacle(Mono::from_secs(9)), None);
        assert_eq!(errand.obstacle(Mono::from_secs(10)), Some("its time is up"));
        drop(answered);
        assert_eq!(errand.obstacle(Mono::from_secs(9)), Some("nobody waits for it any more"));
    }
}
