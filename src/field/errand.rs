//! Lending a bus: an exchange that somebody else wants carried out between two requests, on the line that only one may own.
//!
//! The field does not know what is sent: a [`What::Frame`] is the body of a frame from outside, and how long an answer to it
//! is. So whoever writes to a device on a bus keeps the writing in its own room, and the reader keeps the bus. A reading
//! ([`What::Read`]) goes the reader's own way, so that a late answer is told from it like from any other (`modbus/owed.rs`).
//!
//! An errand goes before the next request, never into one that is under way. Its frame is sent at most once, and not at all
//! when its time is up before its turn, when nobody waits for it any more, or when the line cannot be opened. Errands of a
//! line wait in a short queue ([`N_WAITING`]); who finds it full waits before it, within his own time.
//!
//! ```text
//!  let lender = lenders.borrow().get("bus-1").cloned();         // of the composition root: the buses that run now
//!  let (errand, answer) = Errand::new(what, within, not_after);
//!  lender.send(errand).await?;
//!  match answer.await { Ok(Ok(brought)) => …, Ok(Err(refused)) => …, Err(_) => the link has ended }
//! ```
//!
//! On a two-wire adapter that hears itself, the answer to a frame may be its own echo, where devices answer by repeating the
//! request. So only a reading proves that anything happened.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::modbus::Answer;
use super::modbus::class::Ask;
use super::modbus::rtu::MAX_FRAME;
use crate::domain::time::Mono;

/// Errands that may wait for one bus: barriers, lights and sirens of a gate in one moment.
pub const N_WAITING: usize = 16;

/// Where errands of the buses that run now are taken, by the id of the bus.
pub type Lenders = BTreeMap<String, mpsc::Sender<Errand>>;

/// What is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A frame of somebody else's making, sent as it is with its CRC behind it.
    Frame {
        /// Unit, function and data, without the CRC.
        body: Vec<u8>,
        /// Bytes of the body of the answer; an exception is one as well.
        answer: usize,
    },
    /// A reading.
    Read {
        /// Unit, 1..=247.
        unit: u8,
        /// What to read.
        ask: Ask,
    },
}

impl What {
    /// Returns whose answer is waited for.
    pub fn unit(&self) -> Option<u8> {
        match self {
            Self::Frame { body, .. } => body.first().copied(),
            Self::Read { unit, .. } => Some(*unit),
        }
    }
}

/// What an errand brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brought {
    /// The body of the answer to a frame: of its unit and function, whole and with a good CRC.
    Frame(Vec<u8>),
    /// What was read.
    Read(Answer),
}

/// See the module.
pub struct Errand {
    what: What,
    within: Duration,
    not_after: Mono,
    answer: oneshot::Sender<Result<Brought, Refused>>,
}

/// Why there is no answer to an errand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing was sent: its time was up before its turn.
    #[error("its time was up before its turn on the bus")]
    TooLate,
    /// Nothing was sent: the line is not open, or the errand is not fit for it.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It was sent; what came of it is not known.
    #[error("{0}")]
    NoAnswer(String),
}

impl Errand {
    /// Returns an errand and where its answer comes. Nothing is sent after `not_after`; an answer gets `within` from the end
    /// of the request.
    pub fn new(what: What, within: Duration, not_after: Mono) -> (Self, oneshot::Receiver<Result<Brought, Refused>>) {
        let (answer, answered) = oneshot::channel();
        (Self { what, within, not_after, answer }, answered)
    }

    /// Returns what is to be carried out.
    pub fn what(&self) -> &What {
        &self.what
    }

    /// Returns how long an answer may take.
    pub fn within(&self) -> Duration {
        self.within
    }

    /// Returns until when it may be sent.
    pub fn not_after(&self) -> Mono {
        self.not_after
    }

    /// Returns why it is not to be sent at `now`, if so.
    pub fn obstacle(&self, now: Mono) -> Option<Refused> {
        if self.answer.is_closed() {
            return Some(Refused::NotSent("nobody waits for it any more".to_owned()));
        }
        if now >= self.not_after {
            return Some(Refused::TooLate);
        }
        match &self.what {
            What::Frame { body, .. } if !(2..=MAX_FRAME - 2).contains(&body.len()) => {
                Some(Refused::NotSent("no frame is as long as that".to_owned()))
            }
            What::Frame { .. } | What::Read { .. } => None,
        }
    }

    /// Gives the result back; one that nobody waits for is nobody's.
    pub fn end(self, result: Result<Brought, Refused>) {
        drop(self.answer.send(result));
    }
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand").field("what", &self.what).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errand_is_not_sent_when_its_time_is_up_or_nobody_waits() {
        let frame =
            |body: Vec<u8>| Errand::new(What::Frame { body, answer: 6 }, Duration::from_secs(1), Mono::from_secs(10));
        let (errand, answered) = frame(vec![1, 2]);
        assert_eq!(errand.obstacle(Mono::from_secs(9)), None);
        assert_eq!(errand.obstacle(Mono::from_secs(10)), Some(Refused::TooLate));
        drop(answered);
        assert!(matches!(errand.obstacle(Mono::from_secs(9)), Some(Refused::NotSent(_))));
        for body in [vec![1], vec![1; 255]] {
            let (errand, _answered) = frame(body);
            assert!(matches!(errand.obstacle(Mono::from_secs(9)), Some(Refused::NotSent(_))));
        }
    }
}
