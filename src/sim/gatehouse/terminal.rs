//! A simulated JT/T 808 terminal: registers, shows its code, and sends what it is told to, whole or in pieces.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lane::coding::unhex;
use crate::lane::jtt808::frame::{Frame, Head, Splitter, encode};
use crate::lane::jtt808::message::{AUTHENTICATE, REGISTER};

/// A terminal.
#[derive(Debug)]
pub struct SimTerminal {
    stream: TcpStream,
    splitter: Splitter,
    waiting: Vec<Frame>,
    phone: Vec<u8>,
    serial: u16,
    /// Bytes that it sends at a time.
    pub piece: usize,
}

impl SimTerminal {
    /// Connects. `phone` has at most twelve digits.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn connect(to: SocketAddr, phone: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let phone = unhex(&format!("{phone:0>12}")).unwrap_or_default();
        Ok(Self { stream, splitter: Splitter::default(), waiting: Vec::new(), phone, serial: 0, piece: usize::MAX })
    }

    /// Registers and shows the code that it was told; returns the result of the latter, `None` where it was not let in.
    pub async fn enter(&mut self) -> Option<u8> {
        let registered = self.say(REGISTER, &[0; 37]).await?;
        let code = registered.body.get(3..).filter(|_| registered.body.get(2) == Some(&0))?.to_vec();
        self.say(AUTHENTICATE, &code).await?.body.last().copied()
    }

    /// Sends a message and waits for its answer; `None` when the connection ended.
    pub async fn say(&mut self, id: u16, body: &[u8]) -> Option<Frame> {
        self.serial = self.serial.wrapping_add(1);
        let head =
            Head { id, encryption: 0, edition: None, phone: self.phone.clone(), serial: self.serial, part: None };
        let bytes = encode(&Frame { head, body: body.to_vec() })?;
        self.send(&bytes).await?;
        self.answer().await
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        for piece in bytes.chunks(self.piece) {
            self.stream.write_all(piece).await.ok()?;
        }
        Some(())
    }

    /// Waits for the next frame; `None` when the connection ended.
    pub async fn answer(&mut self) -> Option<Frame> {
        let mut part = [0; 512];
        while self.waiting.is_empty() {
            let count = self.stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
            let found = self.splitter.take(part.get(..count)?);
            self.waiting.extend(found.into_iter().flatten());
        }
        Some(self.waiting.remove(0))
    }
}
