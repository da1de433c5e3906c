//! One connection to a Modbus device, and one request over it.
//!
//! A connection whose request was not answered in time, or answered with something else, is gone: a late answer can never
//! become the next one. It is reset, not closed, so that what the network did not take in time is thrown away with it. An RTU
//! converter may still hand over a late frame on the next connection: there nothing is asked for [`QUIET`], and what came
//! meanwhile is thrown away.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::request::{Framing, Reply, Request};

/// Silence on a new connection to a converter before the first request.
const QUIET: Duration = Duration::from_millis(300);
/// Longest answer: 253 bytes of PDU and what is around it.
const MAX_ANSWER: usize = 260;

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host and port.
    pub host: String,
    /// How frames travel.
    pub framing: Framing,
    /// Unit.
    pub unit: u8,
    /// Time for connecting and for each answer.
    pub within: Duration,
}

/// An open connection.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    framing: Framing,
    unit: u8,
    within: Duration,
    transaction: u16,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Why not, for people.
    pub async fn connect(address: &Address) -> Result<Self, String> {
        let Address { host, framing, unit, within } = address.clone();
        let mut stream = match timeout(within, TcpStream::connect(&host)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("no connection: {error}")),
            Err(_) => return Err(format!("no connection within {within:?}")),
        };
        let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
        prepared.map_err(|error| format!("no connection: {error}"))?;
        if framing == Framing::Rtu {
            let mut late = [0; MAX_ANSWER];
            let thrown_away = async { while stream.read(&mut late).await.is_ok_and(|count| count > 0) {} };
            tokio::select! {
                () = thrown_away => return Err("closed by the converter".to_owned()),
                () = sleep(QUIET) => {}
            }
        }
        Ok(Self { stream, framing, unit, within, transaction: 0 })
    }

    /// Asks, and returns the answer with the connection; without it where it must not be used again.
    ///
    /// # Errors
    /// Why there is no answer; what was to be changed may have been changed.
    pub async fn ask(mut self, request: &Request) -> Result<(Self, Reply), String> {
        self.transaction = self.transaction.wrapping_add(1);
        let frame = request.frame(self.framing, self.unit, self.transaction);
        let within = self.within;
        let exchange = async {
            self.stream.write_all(&frame).await.map_err(|error| error.to_string())?;
            let (mut bytes, mut part) = (Vec::new(), [0; MAX_ANSWER]);
            loop {
                let count = self.stream.read(&mut part).await.map_err(|error| error.to_string())?;
                if count == 0 {
                    return Err("closed by the device".to_owned());
                }
                bytes.extend_from_slice(part.get(..count).unwrap_or_default());
                if let Some(reply) = request.answer(self.framing, self.unit, self.transaction, &bytes)? {
                    return Ok(reply);
                }
                if bytes.len() > MAX_ANSWER {
                    return Err("longer than an answer".to_owned());
                }
            }
        };
        match timeout(within, exchange).await {
            Ok(Ok(reply)) => Ok((self, reply)),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!("no answer within {within:?}")),
        }
    }
}
