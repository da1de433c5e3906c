//! One TCP connection for one step of a write, through tokio-modbus. The only file of the gateway that sends a function
//! code for writing (05 and 06), and functions 01 to 04 for the feedback.
//!
//! **Invariants.** A connection serves one exchange and is gone. It is reset, not closed, so that what the network did
//! not take in time is thrown away with it: an "open" never arrives late. An answer has unit, transaction, function and,
//! of a write, address and value of its request, or it is none.

use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::{Request, Response, Slave};

use super::attempt::Outcome;
use super::settings::{Cell, Feedback, Output};
use crate::clock::Clock;
use crate::domain::time::Mono;

/// What a coil is written with, by the protocol.
const ON: u16 = 1;

/// Writes `raw` unless `before` has come by the time the connection stands.
pub(super) async fn write(output: &Output, raw: u16, before: Mono, clock: &Clock) -> Outcome {
    let left = before.since(clock.mono());
    if left.is_zero() {
        return Outcome::TooLate;
    }
    let mut context = match connect(output, output.timeout.min(left)).await {
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

/// Reads the feedback.
pub(super) async fn look(output: &Output) -> Outcome {
    let mut context = match connect(output, output.timeout).await {
        Ok(context) => context,
        Err(why) => return Outcome::Unseen(why),
    };
    let request = match output.feedback {
        Feedback::Coil(address) => Request::ReadCoils(address, 1),
        Feedback::Discrete(address) => Request::ReadDiscreteInputs(address, 1),
        Feedback::Holding(address) => Request::ReadHoldingRegisters(address, 1),
        Feedback::Input(address) => Request::ReadInputRegisters(address, 1),
    };
    match timeout(output.timeout, context.call(request)).await {
        Err(_) => Outcome::Unseen(silent(output.timeout)),
        Ok(Err(error)) => Outcome::Unseen(error.to_string()),
        Ok(Ok(Err(exception))) => Outcome::Unseen(format!("exception {:02X}", u8::from(exception))),
        Ok(Ok(Ok(response))) => seen(output.feedback, &response),
    }
}

async fn connect(output: &Output, within: Duration) -> Result<Context, String> {
    let stream = match timeout(within, TcpStream::connect((output.host.as_str(), output.port))).await {
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
    if echoed { Outcome::Echoed } else { Outcome::Unanswered("the answer does not repeat the request".to_owned()) }
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
