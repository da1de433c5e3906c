//! Simulated converters: one that sends the lines of a reader, one with a board behind it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::domain::gate::hardware::Sign;
use crate::lane::board::frame::shown;

/// A converter with a reader behind it. Dropping it closes its sockets.
#[derive(Debug)]
pub struct SimReader {
    addr: SocketAddr,
    bytes: mpsc::Sender<Option<Vec<u8>>>,
    _accept: JoinSet<()>,
}

impl SimReader {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (bytes, mut to_send) = mpsc::channel::<Option<Vec<u8>>>(16);
        let mut accept = JoinSet::new();
        accept.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                while let Some(Some(bytes)) = to_send.recv().await {
                    if stream.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
            }
        });
        Ok(Self { addr, bytes, _accept: accept })
    }

    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends bytes, as soon as somebody is connected.
    pub async fn send(&self, bytes: &[u8]) {
        let _ended = self.bytes.send(Some(bytes.to_vec())).await;
    }

    /// Hangs up.
    pub async fn hang_up(&self) {
        let _ended = self.bytes.send(None).await;
    }
}

/// A board behind a converter. Dropping it closes its sockets.
#[derive(Debug)]
pub struct SimBoard {
    addr: SocketAddr,
    shown: Arc<Mutex<Vec<Sign>>>,
    _accept: JoinSet<()>,
}

impl SimBoard {
    /// Starts one on a free port; with `once` it hangs up after each sign.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(once: bool) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let signs = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&signs);
        let mut accept = JoinSet::new();
        accept.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut bytes, mut part) = (Vec::new(), [0; 512]);
                while let Ok(count) = stream.read(&mut part).await {
                    if count == 0 {
                        break;
                    }
                    bytes.extend_from_slice(part.get(..count).unwrap_or_default());
                    let whole = bytes.get(5).map(|length| usize::from(*length) + 8);
                    if let Some(frame) = whole.and_then(|whole| bytes.get(..whole)) {
                        noted.lock().unwrap_or_else(PoisonError::into_inner).extend(shown(frame));
                        bytes.drain(..frame.len());
                        if once {
                            break;
                        }
                    }
                }
            }
        });
        Ok(Self { addr, shown: signs, _accept: accept })
    }

    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the signs that it showed.
    pub fn shown(&self) -> Vec<Sign> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
