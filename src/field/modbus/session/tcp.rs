//! One TCP connection to a Modbus address, through tokio-modbus.
//!
//! A link that failed is gone: [`TcpLink::read`] consumes it and gives it back only with an answer (tokio-modbus is off by
//! one for ever after a timeout, `crates.md` §4). An answer has the unit, function and transaction of its request and
//! exactly the length asked for.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{Error, Request, Response, Slave};

use super::super::super::settings::Table;
use super::super::super::tap::{Direction, Tap};
use super::super::Answer;
use super::super::class::Ask;
use super::{Call, Fault, words_of_connect};
use crate::clock::Clock;

/// Idle time before the kernel asks whether the peer still lives: below the usual 60 s after which firewalls forget.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Pause between the kernel's questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// An open connection. Cannot write to a device.
pub(super) struct TcpLink {
    context: Context,
    looked_at: Arc<LookedAt>,
    served: bool,
}

impl TcpLink {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreachable`] when the name is unknown, the connection is refused, or neither happens in time.
    pub(super) async fn connect(host: &str, port: u16, within: Duration, clock: &Clock) -> Result<Self, Fault> {
        let stream = match timeout(within, TcpStream::connect((host, port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Fault::Unreachable(words_of_connect(&error))),
            Err(_) => return Err(Fault::Unreachable(format!("no connection within {within:?}"))),
        };
        prepare(&stream).map_err(|error| Fault::Unreachable(error.to_string()))?;
        let looked_at = Arc::new(LookedAt { clock: clock.clone(), tap: Mutex::new(None) });
        let context = tcp::attach(Tapped { stream, looked_at: Arc::clone(&looked_at) });
        Ok(Self { context, looked_at, served: false })
    }

    /// Returns whether it has answered before.
    pub(super) fn has_served(&self) -> bool {
        self.served
    }

    /// Asks, and gives the link back with the answer.
    ///
    /// # Errors
    ///
    /// Whatever was not an answer in time; the connection is closed by then.
    pub(super) async fn read(mut self, call: Call<'_>) -> Result<(Self, Answer), Fault> {
        let Call { unit, ask, within, exceptions: _, tap } = call;
        self.looked_at.by(tap);
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

/// Who looks at the bytes of the request under way. The client owns the stream, so they share it; never contended.
#[derive(Debug)]
struct LookedAt {
    clock: Clock,
    tap: Mutex<Option<Tap>>,
}

impl LookedAt {
    fn by(&self, tap: Option<&Tap>) {
        *self.tap.lock().unwrap_or_else(PoisonError::into_inner) = tap.cloned();
    }

    fn copy(&self, direction: Direction, bytes: &[u8]) {
        if let Some(tap) = &*self.tap.lock().unwrap_or_else(PoisonError::into_inner) {
            tap.take(self.clock.mono(), direction, bytes);
        }
    }
}

/// The stream under the client, copied to whoever looks.
#[derive(Debug)]
struct Tapped {
    stream: TcpStream,
    looked_at: Arc<LookedAt>,
}

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.looked_at.copy(Direction::In, buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.looked_at.copy(Direction::Out, bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
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
