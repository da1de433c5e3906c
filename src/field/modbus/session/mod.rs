//! One open connection to a Modbus address or bus, and one request over it.
//!
//! **Invariants.** Only function codes 1 to 4 can be sent: nothing but [`Call`] goes in, and it names a table to read. An
//! answer has the unit, function and exact length of its request (over TCP also its transaction). A TCP connection that
//! failed is gone, so that a late reply can never be taken for the next one; what stands in for that on a bus is
//! specified in [`rtu`].

mod port;
mod rtu;
mod tcp;

use std::time::Duration;

use super::super::errand::{Errand, Refused};
use super::super::settings::Endpoint;
use super::super::tap::Tap;
use super::Answer;
use super::class::Ask;
use super::rtu::Stray;
use crate::clock::Clock;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing complete came in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// The connection was closed or broke.
    #[error("{0}")]
    Closed(String),
    /// What came was not the answer to the request.
    #[error("{0}")]
    Garbled(String),
    /// There was no connection to be had.
    #[error("{0}")]
    Unreachable(String),
}

/// One request of a device.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Unit id: 0..=255 over TCP, 1..=247 on a bus.
    pub unit: u8,
    /// What to read.
    pub ask: Ask,
    /// Time until the answer, on a bus until its first byte, counted from the end of the request.
    pub within: Duration,
    /// Whether an exception can only be the answer to this; on a bus it may be that of an older request ([`super::owed`]).
    pub exceptions: bool,
    /// Where its bytes are copied to, if anybody looks.
    pub tap: Option<&'a Tap>,
}

/// What became of a request.
pub struct Exchange {
    /// The connection, where it may be used again.
    pub link: Option<ModbusLink>,
    /// The answer.
    pub outcome: Result<Answer, Fault>,
    /// What else was seen.
    pub noted: Noted,
}

/// What was seen on a bus beside the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Time that the slave took before it began to answer, beyond the silence between frames.
    pub turnaround: Option<Duration>,
    /// Whether the request went out on the bus.
    pub sent: bool,
    /// Whole frames that came before the request was sent: somebody was late.
    pub before: Vec<Stray>,
    /// Whole frames that came after it and were no answer to it.
    pub strays: Vec<Stray>,
    /// Bytes that were part of no frame.
    pub noise: usize,
    /// Whether the answer came damaged and was asked for once more.
    pub again: bool,
}

/// An open connection. Cannot write to a device.
pub struct ModbusLink(Wire);

enum Wire {
    Tcp(tcp::TcpLink),
    Rtu(Box<rtu::RtuLink>),
}

impl ModbusLink {
    /// Connects, or opens the port.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreachable`] when the name is unknown, the connection is refused, the port is not there or cannot be set as
    /// configured, or nothing happens in time.
    pub async fn connect(endpoint: &Endpoint, within: Duration, clock: &Clock) -> Result<Self, Fault> {
        Ok(Self(match endpoint {
            Endpoint::Tcp { host, port } => Wire::Tcp(tcp::TcpLink::connect(host, *port, within, clock).await?),
            Endpoint::Bus(bus) => Wire::Rtu(Box::new(rtu::RtuLink::open(bus, within, clock).await?)),
        }))
    }

    /// Returns whether it has answered before: a peer may close an idle connection without any fault.
    pub fn has_served(&self) -> bool {
        match &self.0 {
            Wire::Tcp(link) => link.has_served(),
            Wire::Rtu(link) => link.has_served(),
        }
    }

    /// Asks. A connection that may not be used again is closed by then.
    pub async fn read(self, call: Call<'_>) -> Exchange {
        match self.0 {
            Wire::Tcp(link) => match link.read(call).await {
                Ok((link, answer)) => {
                    let link = Some(Self(Wire::Tcp(link)));
                    Exchange { link, outcome: Ok(answer), noted: Noted::default() }
                }
                Err(fault) => Exchange { link: None, outcome: Err(fault), noted: Noted::default() },
            },
            Wire::Rtu(mut link) => {
                let mut noted = Noted::default();
                let outcome = link.read(call, &mut noted).await;
                let link = link.is_fit().then(|| Self(Wire::Rtu(link)));
                Exchange { link, outcome, noted }
            }
        }
    }
}

impl ModbusLink {
    /// Carries out an errand with a frame on a bus: `body`, answered by `answer` bytes. The link is given back where it may
    /// be used again. On TCP nothing is sent: there everybody has a connection of his own.
    pub async fn run_errand(
        self,
        errand: &Errand,
        body: &[u8],
        answer: usize,
        tap: Option<&Tap>,
    ) -> (Option<Self>, Result<Vec<u8>, Refused>) {
        match self.0 {
            Wire::Tcp(_) => (Some(self), Err(Refused::NotSent("not a bus".to_owned()))),
            Wire::Rtu(mut link) => {
                let result = link.errand(errand, body, answer, tap).await;
                (link.is_fit().then(|| Self(Wire::Rtu(link))), result)
            }
        }
    }
}

/// Why a TCP connection could not be had, in words.
fn words_of_connect(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::ConnectionRefused {
        return "connection refused".to_owned();
    }
    format!("no connection: {error}")
}
