//! One step of a write: over a TCP connection of its own through tokio-modbus, or on a bus through its owner ([`Carrier`]).
//! The only file of the gateway that makes a request for writing (functions 05 and 06), and functions 01 to 04 for the feedback.
//!
//! **Invariants.** A connection serves one exchange and is gone. It is reset, not closed, so that what the network did
//! not take in time is thrown away with it: an "open" never arrives late. An answer has unit, transaction, function and,
//! of a write, address and value of its request, or it is none. On a bus the same holds by the carrier's word: what it says
//! was not sent will not be sent later.

use std::future::Future;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::{Request, Response, Slave};

use super::attempt::Outcome;
use super::settings::{Cell, Feedback, Output, Place};
use crate::clock::Clock;
use crate::domain::time::Mono;

/// What a coil is written with, by the protocol.
const ON: u16 = 1;
/// An answer to a write that is none.
const NO_ECHO: &str = "the answer does not repeat the request";

/// Carries frames on the buses, which have owners of their own. `app` joins it to them.
pub trait Carrier: Clone + Send + Sync + 'static {
    /// Sends a frame, given without its CRC; returns the body of the answer, `answer` bytes long, or of an exception.
    fn send(
        &self,
        bus: &str,
        body: Vec<u8>,
        answer: usize,
        times: Times,
    ) -> impl Future<Output = Result<Vec<u8>, NotCarried>> + Send;

    /// Reads one coil, input or register of `unit`, of which no late answer can be taken for it.
    fn read(
        &self,
        bus: &str,
        unit: u8,
        at: Feedback,
        times: Times,
    ) -> impl Future<Output = Result<u16, NotCarried>> + Send;
}

/// How long something may take on a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Time for the answer.
    pub within: Duration,
    /// Nothing is sent after this.
    pub not_after: Mono,
}

/// Why a carrier brings no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCarried {
    /// Its turn did not come in time; nothing was sent.
    TooLate,
    /// Nothing was sent.
    NotSent(String),
    /// Sent, and no answer.
    NoAnswer(String),
}

/// Where there is no bus.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBus;

impl Carrier for NoBus {
    async fn send(&self, bus: &str, _: Vec<u8>, _: usize, _: Times) -> Result<Vec<u8>, NotCarried> {
        Err(no_bus(bus))
    }

    async fn read(&self, bus: &str, _: u8, _: Feedback, _: Times) -> Result<u16, NotCarried> {
        Err(no_bus(bus))
    }
}

/// Says that a bus does not run.
pub fn no_bus(id: &str) -> NotCarried {
    NotCarried::NotSent(format!("bus {id} is not running"))
}

/// Writes `raw` unless `before` has come by the time that it can be sent.
pub(super) async fn write(output: &Output, raw: u16, before: Mono, carrier: &impl Carrier, clock: &Clock) -> Outcome {
    match &output.place {
        Place::Tcp { host, port } => write_to(output, (host, *port), raw, before, clock).await,
        Place::Bus { id } => {
            let times = Times { within: output.timeout, not_after: before };
            write_on(output, id, raw, times, carrier).await
        }
    }
}

async fn write_to(output: &Output, address: (&str, u16), raw: u16, before: Mono, clock: &Clock) -> Outcome {
    let left = before.since(clock.mono());
    if left.is_zero() {
        return Outcome::TooLate;
    }
    let mut context = match connect(output, address, output.timeout.min(left)).await {
        Ok(context) => context,
        Err(_) if clock.mono() >= before => return Outcome::TooLate,
        Err(why) => return Outcome::NotReached(why),
    };
    if clock.mono() >= before {
        return Outcome::TooLate;
    }
    let request = match output.cell {
        Cell::Coil(address) => Request::WriteSingleCoil(address, raw == ON),
        Cell::Register(address) => Request::WriteSingleRegister(address, raw),
    };
    match timeout(output.timeout, context.call(request)).await {
        Err(_) => Outcome::Unanswered(silent(output.timeout)),
        Ok(Err(error)) => Outcome::Unanswered(error.to_string()),
        Ok(Ok(Err(exception))) => Outcome::Exception(exception.into()),
        Ok(Ok(Ok(response))) => echo(output.cell, raw, &response),
    }
}

async fn write_on(output: &Output, bus: &str, raw: u16, times: Times, carrier: &impl Carrier) -> Outcome {
    let (function, address, data) = match output.cell {
        Cell::Coil(address) => (5, address, if raw == ON { 0xFF00_u16 } else { 0 }),
        Cell::Register(address) => (6, address, raw),
    };
    let head = [output.unit, function];
    let body = [head, address.to_be_bytes(), data.to_be_bytes()].concat();
    match carrier.send(bus, body.clone(), body.len(), times).await {
        Ok(answer) if answer == body => Outcome::Echoed,
        Ok(answer) => match answer.as_slice() {
            [_, _, code] => Outcome::Exception(*code),
            _ => Outcome::Unanswered(NO_ECHO.to_owned()),
        },
        Err(NotCarried::TooLate) => Outcome::TooLate,
        Err(NotCarried::NotSent(why)) => Outcome::NotReached(why),
        Err(NotCarried::NoAnswer(why)) => Outcome::Unanswered(why),
    }
}

/// Reads what `at` shows. On a bus it waits for its turn as long as an order would.
pub(super) async fn look(output: &Output, at: Feedback, carrier: &impl Carrier, clock: &Clock) -> Outcome {
    match &output.place {
        Place::Tcp { host, port } => look_at(output, (host, *port), at).await,
        Place::Bus { id } => {
            let times = Times { within: output.timeout, not_after: clock.mono() + output.deadline };
            match carrier.read(id, output.unit, at, times).await {
                Ok(value) => Outcome::Seen(value),
                Err(NotCarried::TooLate) => Outcome::Unseen("its turn on the bus did not come".to_owned()),
                Err(NotCarried::NotSent(why) | NotCarried::NoAnswer(why)) => Outcome::Unseen(why),
            }
        }
    }
}

async fn look_at(output: &Output, address: (&str, u16), at: Feedback) -> Outcome {
    let mut context = match connect(output, address, output.timeout).await {
        Ok(context) => context,
        Err(why) => return Outcome::Unseen(why),
    };
    let request = match at {
        Feedback::Coil(address) => Request::ReadCoils(address, 1),
        Feedback::Discrete(address) => Request::ReadDiscreteInputs(address, 1),
        Feedback::Holding(address) => Request::ReadHoldingRegisters(address, 1),
        Feedback::Input(address) => Request::ReadInputRegisters(address, 1),
    };
    match timeout(output.timeout, context.call(request)).await {
        Err(_) => Outcome::Unseen(silent(output.timeout)),
        Ok(Err(error)) => Outcome::Unseen(error.to_string()),
        Ok(Ok(Err(exception))) => Outcome::Unseen(format!("exception {:02X}", u8::from(exception))),
        Ok(Ok(Ok(response))) => seen(at, &response),
    }
}

async fn connect(output: &Output, address: (&str, u16), within: Duration) -> Result<Context, String> {
    let stream = match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("no connection: {error}")),
        Err(_) => return Err(format!("no connection within {within:?}")),
    };
    let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
    prepared.map_err(|error| format!("no connection: {error}"))?;
    Ok(tcp::attach_slave(stream, Slave(output.unit)))
}

fn silent(within: Duration) -> String {
    format!("no answer within {within:?}")
}

fn echo(cell: Cell, raw: u16, response: &Response) -> Outcome {
    let echoed = match (cell, response) {
        (Cell::Coil(address), Response::WriteSingleCoil(at, on)) => *at == address && u16::from(*on) == raw,
        (Cell::Register(address), Response::WriteSingleRegister(at, value)) => *at == address && *value == raw,
        _ => false,
    };
    if echoed { Outcome::Echoed } else { Outcome::Unanswered(NO_ECHO.to_owned()) }
}

fn seen(feedback: Feedback, response: &Response) -> Outcome {
    let value = match (feedback, response) {
        (Feedback::Coil(_), Response::ReadCoils(bits))
        | (Feedback::Discrete(_), Response::ReadDiscreteInputs(bits)) => bits.first().map(|on| u16::from(*on)),
        (Feedback::Holding(_), Response::ReadHoldingRegisters(words))
        | (Feedback::Input(_), Response::ReadInputRegisters(words)) => match words.as_slice() {
            [word] => Some(*word),
            _ => None,
        },
        _ => None,
    };
    value.map_or_else(|| Outcome::Unseen("an answer of another kind or length".to_owned()), Outcome::Seen)
}
