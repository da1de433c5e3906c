//! A simulated GSM modem: AT commands over TCP, as a serial server passes them on, with a SIM, a network and its moods.
//!
//! ```text
//!  AT…\r ──▶ echo (until ATE0) ──▶ lines ──▶ OK | ERROR | +CMS ERROR: n          AT+CMGS=n\r ──▶ "> " ──▶ hex, 1A ──▶ +CMGS: ref
//! ```
//!
//! One connection at a time is served, others wait, as at a port. The PDUs are read by a reader of its own: half-octets, UCS-2, the
//! concatenation header.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How it behaves.
#[derive(Clone, Debug)]
pub struct Mood {
    /// Whether it answers at all.
    pub answers: bool,
    /// State of its registration: 1 home, 2 searching, 0 none.
    pub registration: u8,
    /// The PIN that its SIM wants, until it was given.
    pub pin: Option<String>,
    /// Tries of the PIN that are left.
    pub tries: u8,
    /// The next parts are refused with these codes, one each.
    pub refusals: Vec<u16>,
    /// How long the network takes for a part.
    pub takes: Duration,
}

impl Default for Mood {
    fn default() -> Self {
        Self { answers: true, registration: 1, pin: None, tries: 3, refusals: Vec::new(), takes: Duration::ZERO }
    }
}

/// One part as the network got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The number, with `+` where it is international.
    pub phone: String,
    /// The text of the part.
    pub text: String,
    /// Reference, total, number; `None` of a text that stands alone.
    pub part: Option<(u8, u8, u8)>,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    received: Vec<Received>,
    commands: Vec<String>,
    reference: u8,
}

/// A running modem. Dropping it closes its sockets.
#[derive(Debug)]
pub struct Modem {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    plugged: watch::Sender<bool>,
    _serving: JoinSet<()>,
}

impl Modem {
    /// Starts one on a free port of 127.0.0.1. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let mut serving = JoinSet::new();
        let (plugged, is_plugged) = watch::channel(true);
        serving.spawn(serve_all(listener, Arc::clone(&state), is_plugged));
        Ok(Self { addr, state, plugged, _serving: serving })
    }

    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Pulls its plug, or puts it back: connections end, and new ones end at once.
    pub fn plug(&self, plugged: bool) {
        self.plugged.send_replace(plugged);
    }

    /// Changes how it behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut locked(&self.state).mood);
    }

    /// Returns what the network got, in order.
    pub fn received(&self) -> Vec<Received> {
        locked(&self.state).received.clone()
    }

    /// Returns the commands that came, in order.
    pub fn commands(&self) -> Vec<String> {
        locked(&self.state).commands.clone()
    }
}

fn locked(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve_all(listener: TcpListener, state: Arc<Mutex<State>>, mut plugged: watch::Receiver<bool>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if *plugged.borrow_and_update() => {
                tokio::select! {
                    // However it ends, the next one is served.
                    _ended = serve(stream, &state) => {}
                    _pulled = plugged.changed() => {}
                }
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let (mut echo, mut wants_pdu, mut part) = (true, None, Vec::new());
    loop {
        let byte = stream.read_u8().await?;
        match (byte, wants_pdu) {
            (0x1b, _) => (wants_pdu, part) = (None, Vec::new()),
            (0x1a, Some(length)) => {
                let hex = String::from_utf8_lossy(&std::mem::take(&mut part)).into_owned();
                wants_pdu = None;
                let takes = locked(state).mood.takes;
                tokio::time::sleep(takes).await;
                let answer = locked(state).take(&hex, length);
                stream.write_all(answer.as_bytes()).await?;
            }
            (b'\r', None) => {
                let line = String::from_utf8_lossy(&std::mem::take(&mut part)).trim().to_owned();
                if line.is_empty() {
                    continue;
                }
                if echo {
                    stream.write_all(format!("{line}\r").as_bytes()).await?;
                }
                echo &= line != "ATE0";
                let answer = locked(state).answer(&line, &mut wants_pdu);
                stream.write_all(answer.as_bytes()).await?;
            }
            _ => part.push(byte),
        }
    }
}

impl State {
    fn answer(&mut self, line: &str, wants_pdu: &mut Option<usize>) -> String {
        self.commands.push(line.to_owned());
        if !self.mood.answers {
            return String::new();
        }
        let ok = |lines: &str| format!("\r\n{lines}\r\n\r\nOK\r\n");
        let locked = self.mood.pin.is_some();
        match line {
            "AT" | "ATE0" | "AT+CMEE=1" => "\r\nOK\r\n".to_owned(),
            "AT+CPIN?" if self.mood.tries == 0 => ok("+CPIN: SIM PUK"),
            "AT+CPIN?" => ok(if locked { "+CPIN: SIM PIN" } else { "+CPIN: READY" }),
            "AT+CPINR=\"SIM PIN\"" => ok(&format!("+CPINR: SIM PIN,{},3", self.mood.tries)),
            _ if line.starts_with("AT+CPIN=") => {
                let given = line.trim_start_matches("AT+CPIN=").trim_matches('"');
                if self.mood.pin.as_deref() == Some(given) {
                    self.mood.pin = None;
                    return "\r\nOK\r\n".to_owned();
                }
                self.mood.tries = self.mood.tries.saturating_sub(1);
                "\r\n+CME ERROR: 16\r\n".to_owned()
            }
            _ if locked => "\r\n+CME ERROR: 11\r\n".to_owned(),
            "AT+CMGF=0" => "\r\nOK\r\n".to_owned(),
            // Something unasked before the answer, as real ones have it.
            "AT+CREG?" => ok(&format!("+CMTI: \"SM\",1\r\n\r\n+CREG: 0,{}", self.mood.registration)),
            "AT+CEREG?" => "\r\nERROR\r\n".to_owned(),
            "AT+CSQ" => ok("+CSQ: 20,99"),
            _ => match line.strip_prefix("AT+CMGS=").and_then(|length| length.parse().ok()) {
                Some(length) => {
                    *wants_pdu = Some(length);
                    "\r\n> ".to_owned()
                }
                None => "\r\nERROR\r\n".to_owned(),
            },
        }
    }

    fn take(&mut self, hex: &str, length: usize) -> String {
        if !self.mood.refusals.is_empty() {
            return format!("\r\n+CMS ERROR: {}\r\n", self.mood.refusals.remove(0));
        }
        if self.mood.registration != 1 {
            return "\r\n+CMS ERROR: 331\r\n".to_owned();
        }
        let Some(received) = read(hex, length) else { return "\r\n+CMS ERROR: 304\r\n".to_owned() };
        self.received.push(received);
        self.reference = self.reference.wrapping_add(1);
        format!("\r\n+CMGS: {}\r\n\r\nOK\r\n", self.reference)
    }
}

/// Reads SMS-SUBMIT; `length` is what `AT+CMGS` said.
fn read(hex: &str, length: usize) -> Option<Received> {
    let octets: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect();
    let octets = octets?;
    let (centre, rest) = octets.split_first()?;
    let tpdu = rest.get(usize::from(*centre)..).filter(|tpdu| tpdu.len() == length)?;
    let [first, _reference, digits, kind, rest @ ..] = tpdu else { return None };
    let count = usize::from(*digits);
    let (number, rest) = rest.split_at_checked(count.div_ceil(2))?;
    let digits: String = number
        .iter()
        .flat_map(|octet| [octet & 15, octet >> 4])
        .take(count)
        .map(|digit| char::from(b'0' + digit))
        .collect();
    let phone = if *kind == 0x91 { format!("+{digits}") } else { digits };
    let [0, 8, _valid, length, user @ ..] = rest else { return None };
    if first & 3 != 1 || usize::from(*length) != user.len() || user.len() > 140 {
        return None;
    }
    let (part, user) = match (first & 0x40 != 0, user) {
        (true, [5, 0, 3, reference, total, number, rest @ ..]) => (Some((*reference, *total, *number)), rest),
        (true, _) => return None,
        (false, all) => (None, all),
    };
    let units: Vec<u16> =
        user.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?))).collect();
    Some(Received { phone, text: String::from_utf16(&units).ok()?, part })
}
