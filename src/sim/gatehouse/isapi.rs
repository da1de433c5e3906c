//! A simulated Hikvision barrier: digest authentication, an arm that takes its time, a lock that answers success and does
//! nothing, and every way not to answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::domain::time::Mono;
use crate::lane::camera::auth::{Auth, Guard, Head, Refused};
use crate::lane::camera::digest::Algorithm;
use crate::lane::coding::Password;

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    #[default]
    Honest,
    /// Somebody locked it: success is answered, and nothing moves.
    Locked,
    /// It does what it is told, and does not answer.
    Mute,
    /// It refuses with 500.
    Broken,
    /// Its position switch is off: status 0.
    Blind,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    /// Where the arm goes, and since when.
    up: bool,
    since: Mono,
    /// Bodies of the controls that were let in.
    controls: Vec<String>,
    refused: u64,
}

/// A running barrier. Dropping it closes its sockets.
#[derive(Debug)]
pub struct SimBarrier {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    _accept: JoinSet<()>,
}

impl SimBarrier {
    /// Starts one, its arm down; it takes `travel` to go up or down.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(user: &str, password: &str, travel: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let fresh =
            State { manner: Manner::Honest, up: false, since: Mono::default(), controls: Vec::new(), refused: 0 };
        let state = Arc::new(Mutex::new(fresh));
        let auth =
            Auth::Digest { user: user.to_owned(), password: Password::new(password), algorithm: Algorithm::Sha256 };
        let guard = Arc::new(Mutex::new(Guard::new(auth, b"sim")));
        let (shared, clock) = (Arc::clone(&state), Clock::system());
        let mut accept = JoinSet::new();
        accept.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared), Arc::clone(&guard), travel, clock.clone()));
            }
        });
        Ok(Self { addr, state, _accept: accept })
    }

    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets how it behaves from now on.
    pub fn behave(&self, manner: Manner) {
        self.lock().manner = manner;
    }

    /// Returns the bodies of the controls that were let in.
    pub fn controls(&self) -> Vec<String> {
        self.lock().controls.clone()
    }

    /// Returns how many requests were refused for their proof.
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(
    mut stream: TcpStream,
    state: Arc<Mutex<State>>,
    guard: Arc<Mutex<Guard>>,
    travel: Duration,
    clock: Clock,
) -> Option<()> {
    let (head, body) = request(&mut stream).await?;
    let now = clock.now();
    let judged = guard.lock().unwrap_or_else(PoisonError::into_inner).head(&head, now);
    let answer = match judged {
        Ok(_) => {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.answer(&head.method, &body, now.mono, travel)
        }
        Err(refused) => {
            state.lock().unwrap_or_else(PoisonError::into_inner).refused += 1;
            let challenge = match refused {
                Refused::Challenge(text) => format!("WWW-Authenticate: {text}\r\n"),
                Refused::Wrong | Refused::Replayed | Refused::OutOfWindow | Refused::TooMany => String::new(),
            };
            Some(format!("HTTP/1.1 401 Unauthorized\r\n{challenge}Content-Length: 0\r\n\r\n"))
        }
    };
    match answer {
        Some(answer) => stream.write_all(answer.as_bytes()).await.ok(),
        None => {
            sleep(Duration::from_secs(3600)).await;
            None
        }
    }
}

impl State {
    fn answer(&mut self, method: &str, body: &str, now: Mono, travel: Duration) -> Option<String> {
        if self.manner == Manner::Broken {
            return Some("HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n".to_owned());
        }
        if method == "PUT" {
            self.controls.push(body.to_owned());
            let up = body.contains("<ctrlMode>open</ctrlMode>");
            if self.manner != Manner::Locked && up != self.up {
                (self.up, self.since) = (up, now);
            }
            let status = "<ResponseStatus><statusCode>1</statusCode></ResponseStatus>";
            return (self.manner != Manner::Mute).then(|| ok(status));
        }
        let arrived = now.since(self.since) >= travel;
        let code = match (self.manner, self.up, arrived) {
            (Manner::Blind, _, _) | (_, _, false) => 0,
            (_, false, true) => 1,
            (_, true, true) => 2,
        };
        Some(ok(&format!("<BarrierGateStatus><barrierGateStatus>{code}</barrierGateStatus></BarrierGateStatus>")))
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn request(stream: &mut TcpStream) -> Option<(Head, String)> {
    let (mut bytes, mut part) = (Vec::new(), [0; 2048]);
    loop {
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(part.get(..count)?);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let (first, lines) = text.split_once("\r\n")?;
        let header = |name: &str| {
            let named = lines.lines().filter_map(|line| line.split_once(": "));
            named.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let length: usize = header("content-length")?.parse().ok()?;
        let body = bytes.get(end + 4..)?;
        if body.len() < length {
            continue;
        }
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let head = Head { method, path, authorization: header("authorization"), ..Head::default() };
        return Some((head, String::from_utf8_lossy(body.get(..length)?).into_owned()));
    }
}
