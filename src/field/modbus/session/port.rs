//! The way to a bus: a serial port, or the socket of a serial server. Bytes in, bytes out.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_serial::{ClearBuffer, DataBits, FlowControl, SerialPort, SerialStream, StopBits};

use super::super::super::settings::{Bus, Line, Parity, Port, Rs485};
use super::{Fault, words_of_connect};
use crate::sys::serial::{Rs485Mode, set_rs485};

/// An open way to a bus.
#[derive(Debug)]
pub(super) enum Way {
    Serial(OwnPort),
    Server(TcpStream),
}

/// A serial port taken for us alone: the library sets TIOCEXCL and a lock, so that a second program is refused and not
/// mixed in. It does not take the former back, and a terminal that somebody else holds open would stay closed to us.
#[derive(Debug)]
pub(super) struct OwnPort(SerialStream);

impl Drop for OwnPort {
    fn drop(&mut self) {
        // A port that is gone cannot be given back.
        drop(self.0.set_exclusive(false));
    }
}

impl Way {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreachable`], with what is to be done where that is known.
    pub(super) async fn open(bus: &Bus, within: Duration) -> Result<Self, Fault> {
        match &bus.port {
            Port::Serial { path, rs485 } => {
                serial(path, bus.line, *rs485).map(|port| Self::Serial(OwnPort(port))).map_err(Fault::Unreachable)
            }
            Port::Server { host, port } => match timeout(within, TcpStream::connect((host.as_str(), *port))).await {
                Ok(Ok(stream)) => {
                    let prepared = super::tcp::prepare(&stream);
                    prepared.map(|()| Self::Server(stream)).map_err(|error| Fault::Unreachable(error.to_string()))
                }
                Ok(Err(error)) => Err(Fault::Unreachable(words_of_connect(&error))),
                Err(_) => Err(Fault::Unreachable(format!("no connection within {within:?}"))),
            },
        }
    }

    /// Reads what has come; 0 bytes are the end. Cancel safe.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Serial(port) => port.0.read(buffer).await,
            Self::Server(stream) => stream.read(buffer).await,
        }
    }

    /// Hands all of it over.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Serial(port) => port.0.write_all(bytes).await,
            Self::Server(stream) => stream.write_all(bytes).await,
        }
    }

    /// Throws away what the kernel holds unread, where it can be told to.
    pub(super) fn flush_input(&self) -> io::Result<()> {
        match self {
            Self::Serial(port) => port.0.clear(ClearBuffer::Input).map_err(io::Error::from),
            Self::Server(_) => Ok(()),
        }
    }

    /// Words for a way that broke.
    pub(super) fn broken(&self, error: Option<&io::Error>) -> String {
        match (self, error) {
            (Self::Serial(_), Some(error)) => format!("the serial port is gone: {error}"),
            (Self::Serial(_), None) => "the serial port is gone".to_owned(),
            (Self::Server(_), Some(error)) => format!("connection broken: {error}"),
            (Self::Server(_), None) => "connection closed by the serial server".to_owned(),
        }
    }
}

fn serial(path: &str, line: Line, rs485: Option<Rs485>) -> Result<SerialStream, String> {
    let parity = match line.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let stop_bits = if line.stop_bits == 2 { StopBits::Two } else { StopBits::One };
    let builder = tokio_serial::new(path, line.baud)
        .data_bits(DataBits::Eight)
        .parity(parity)
        .stop_bits(stop_bits)
        .flow_control(FlowControl::None);
    let port = SerialStream::open(&builder).map_err(|error| format!("{path} cannot be opened: {error}"))?;
    if let Some(Rs485 { rts_on_send, before_ms, after_ms }) = rs485 {
        set_rs485(&port, Rs485Mode { rts_on_send, before_ms, after_ms }).map_err(|error| {
            format!("{path} has no RS-485 mode in its driver ({error}); write rs485 = \"off\" if the adapter switches by itself")
        })?;
    }
    Ok(port)
}
