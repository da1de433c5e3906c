//! One TCP connection to a Modbus address, through tokio-modbus.
//!
//! **Invariants.** Only function codes 1 to 4 can be sent: the client stands behind [`ModbusLink::read`], which builds
//! no other request. A link that failed is gone: `read` consumes it and gives it back only with an answer, so a
//! late reply can never be taken for the next one (tokio-modbus is off by one for ever after a timeout, `crates.md` §4).
//! An answer has the unit, function and transaction of its request and exactly the length asked for.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{Error, Request, Response, Slave};

use super::super::settings::{Endpoint, Table};
use super::Answer;
use super::class::Ask;

/// Idle time before the kernel asks whether the peer still lives: below the usual 60 s after which firewalls forget.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Pause between the kernel's questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Why there is no answer. After any of these the connection is closed.
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

/// An open connection. Cannot write to a device.
pub struct ModbusLink {
    context: Context,
    served: bool,
}

impl ModbusLink {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreachable`] when the name is unknown, the connection is refused, or neither happens in time.
    pub async fn connect(endpoint: &Endpoint, within: Duration) -> Result<Self, Fault> {
        let Endpoint::Tcp { host, port } = endpoint;
        let stream = match timeout(within, TcpStream::connect((host.as_str(), *port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Fault::Unreachable(words_of_connect(&error))),
            Err(_) => return Err(Fault::Unreachable(format!("no connection within {within:?}"))),
        };
        prepare(&stream).map_err(|error| Fault::Unreachable(error.to_string()))?;
        Ok(Self { context: tcp::attach(stream), served: false })
    }

    /// Returns whether it has answered before: a peer may close an idle connection without any fault.
    pub fn has_served(&self) -> bool {
        self.served
    }

    /// Asks, and gives the link back with the answer.
    ///
    /// # Errors
    ///
    /// Whatever was not an answer in time; the connection is closed by then.
    pub async fn read(mut self, unit: u8, ask: Ask, within: Duration) -> Result<(Self, Answer), Fault> {
        self.context.set_slave(Slave(unit));
        let request = match ask.table {
            Table::Coil => Request::ReadCoils(ask.start, ask.count),
            Table::Discrete => Request::ReadDiscreteInputs(ask.start, ask.count),
            Table::Holding => Request::ReadHoldingRegisters(ask.start, ask.count),
            Table::Input => Request::ReadInputRegisters(ask.start, ask.count),
        };
        match timeout(within, self.context.call(request)).await {
            Err(_) => Err(Fault::Silent(within)),
            Ok(Err(error)) => Err(fault_of(error)),
            Ok(Ok(Err(exception))) => Ok((self.having_served(), Answer::Exception(exception.into()))),
            Ok(Ok(Ok(response))) => answer_of(response, ask).map(|answer| (self.having_served(), answer)),
        }
    }

    fn having_served(mut self) -> Self {
        self.served = true;
        self
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Checks kind and length: the client itself takes any number of registers.
fn answer_of(response: Response, ask: Ask) -> Result<Answer, Fault> {
    match (ask.table, response) {
        (Table::Coil, Response::ReadCoils(bits)) | (Table::Discrete, Response::ReadDiscreteInputs(bits)) => {
            // Bits come in whole bytes.
            let expected = usize::from(ask.count).next_multiple_of(8);
            checked(bits.len(), expected, "bits").map(|()| Answer::Bits(bits))
        }
        (Table::Holding, Response::ReadHoldingRegisters(words))
        | (Table::Input, Response::ReadInputRegisters(words)) => {
            checked(words.len(), usize::from(ask.count), "registers").map(|()| Answer::Registers(words))
        }
        (_, response) => Err(Fault::Garbled(format!("an answer of another kind: {}", response.function_code()))),
    }
}

fn checked(got: usize, expected: usize, what: &str) -> Result<(), Fault> {
    if got == expected {
        return Ok(());
    }
    Err(Fault::Garbled(format!("{got} {what} in the answer, {expected} expected")))
}

fn fault_of(error: Error) -> Fault {
    match error {
        Error::Protocol(tokio_modbus::ProtocolError::HeaderMismatch { .. }) => {
            Fault::Garbled("an answer to another request, or from another unit".to_owned())
        }
        Error::Protocol(tokio_modbus::ProtocolError::FunctionCodeMismatch { request, .. }) => {
            Fault::Garbled(format!("an answer of another function than {request}"))
        }
        Error::Transport(error) => fault_of_transport(&error),
    }
}

/// The client says "end of file" with whatever the operating system said last, so all but a few kinds mean that.
fn fault_of_transport(error: &io::Error) -> Fault {
    let decoding =
        matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof);
    if decoding && error.raw_os_error().is_none() {
        return Fault::Garbled(format!("a malformed answer: {error}"));
    }
    if error.raw_os_error().is_some() && error.kind() == io::ErrorKind::ConnectionReset {
        return Fault::Closed("connection reset by the device".to_owned());
    }
    Fault::Closed("connection closed by the device".to_owned())
}

fn words_of_connect(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return "connection refused".to_owned();
    }
    format!("no connection: {error}")
}
