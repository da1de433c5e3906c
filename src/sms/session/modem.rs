//! A modem: opened, prepared, asked, handed PDUs.
//!
//! ```text
//!  closed ──open──▶ ESC, AT ──▶ ATE0, AT+CMEE=1 ──▶ AT+CPIN? ──READY──▶ AT+CMGF=0 ──▶ ready ──AT+CMGS──▶ > PDU ──▶ +CMGS: ref
//!     ▲                                                └─SIM PIN──▶ the PIN, once ─┘
//!     └── nothing came in time, the port is gone
//! ```
//!
//! ESC first: a modem that an earlier run left at its prompt would take the next command for a PDU.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_serial::{DataBits, FlowControl, Parity, SerialStream, StopBits};

use super::super::at::{self, Heard, Listener, Sim};
use super::super::settings::{self, Port};
use super::super::{Trouble, pdu};
use super::ANSWER;
use crate::clock::Clock;
use crate::domain::danger::ChannelState;
use crate::domain::phone::Phone;
use crate::domain::time::Mono;

/// Time for a connection to a serial server.
const CONNECT: Duration = Duration::from_secs(3);
/// Time for a command that asks nothing of the network.
const SOON: Duration = Duration::from_secs(3);
/// A SIM needs some seconds after its PIN before it takes anything.
const SIM_WAKES: Duration = Duration::from_secs(10);
/// How often a modem is greeted before it counts as silent: the first command sets its speed on many.
const GREETINGS: usize = 3;
/// Time for the answer to one.
const GREETING: Duration = Duration::from_secs(1);
/// Lines of one answer; more is no answer.
const MAX_LINES: usize = 32;
/// A serial server that is switched off is noticed after some of these.
const PROBE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Modem {
    settings: settings::Modem,
    clock: Clock,
    open: Option<Open>,
    /// The PIN was given in this run, and not taken.
    pin_refused: bool,
    reference: u8,
}

impl Modem {
    pub(super) fn new(settings: settings::Modem, clock: Clock) -> Self {
        Self { settings, clock, open: None, pin_refused: false, reference: 0 }
    }

    /// Looks at SIM, network and signal.
    ///
    /// # Errors
    ///
    /// Why it could send nothing now.
    pub(super) async fn look(&mut self) -> Result<ChannelState, Trouble> {
        let looked = self.looked().await;
        self.drop_if_gone(looked)
    }

    /// Sends a text, all parts of it, before `until`. Returns their references.
    ///
    /// # Errors
    ///
    /// Why not all of it was accepted.
    pub(super) async fn send(&mut self, phone: &Phone, text: &str, until: Mono) -> Result<String, Trouble> {
        let sent = self.sent(phone, text, until).await;
        self.drop_if_gone(sent)
    }

    /// Ends when the line breaks while nothing is asked; what the modem says unasked is nobody's. Cancel safe.
    pub(super) async fn lost(&mut self) {
        let Some(open) = &mut self.open else { return std::future::pending().await };
        let mut buffer = [0; 512];
        while matches!(open.way.read(&mut buffer).await, Ok(n) if n > 0) {}
        self.open = None;
    }

    fn drop_if_gone<T>(&mut self, result: Result<T, Trouble>) -> Result<T, Trouble> {
        if result.as_ref().is_err_and(|trouble| trouble.gone) {
            self.open = None;
        }
        result
    }

    async fn looked(&mut self) -> Result<ChannelState, Trouble> {
        let open = self.ready().await?;
        if at::sim(&open.ask("AT+CPIN?", SOON).await?) != Some(Sim::Ready) {
            // Taken out, or it has asked for its PIN again: the preparation tells.
            return Err(Trouble::gone("SIM 卡未就绪", "the SIM is not ready"));
        }
        let mut registered = at::registered(&open.ask("AT+CREG?", SOON).await?, "+CREG:");
        if at::standing(registered, None).is_err() {
            // A modem in an LTE-only cell is registered there alone. Old ones do not know the command.
            let lte = open.ask("AT+CEREG?", SOON).await;
            registered = match lte {
                Ok(lines) => at::registered(&lines, "+CEREG:").or(registered),
                Err(trouble) if trouble.gone => return Err(trouble),
                Err(_) => registered,
            };
        }
        let signal = at::signal(&open.ask("AT+CSQ", SOON).await?);
        at::standing(registered, signal)
    }

    async fn sent(&mut self, phone: &Phone, text: &str, until: Mono) -> Result<String, Trouble> {
        self.reference = self.reference.wrapping_add(1);
        let parts = pdu::submit(phone, text, self.reference);
        let clock = self.clock.clone();
        let open = self.ready().await?;
        let mut references = Vec::new();
        for part in &parts {
            let within = until.since(clock.mono()).min(ANSWER);
            references.push(open.submit(part, within).await?);
        }
        Ok(references.join("+"))
    }

    /// Returns the modem, opened and prepared.
    async fn ready(&mut self) -> Result<&mut Open, Trouble> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.prepared().await?,
        };
        Ok(self.open.insert(open))
    }

    async fn prepared(&mut self) -> Result<Open, Trouble> {
        let mut open = Open::at(&self.settings.port, self.clock.clone()).await?;
        open.greet().await?;
        open.ask("ATE0", SOON).await?;
        // Errors by their numbers. A modem that cannot says ERROR instead, and that is understood too.
        open.ask_softly("AT+CMEE=1").await?;
        if at::sim(&open.ask("AT+CPIN?", SOON).await?) == Some(Sim::Ready) {
            open.ask("AT+CMGF=0", SOON).await?;
            return Ok(open);
        }
        self.unlock(&mut open).await?;
        open.ask("AT+CMGF=0", SOON).await?;
        Ok(open)
    }

    /// Gives the PIN where that cannot lock the SIM.
    async fn unlock(&mut self, open: &mut Open) -> Result<(), Trouble> {
        if at::sim(&open.ask("AT+CPIN?", SOON).await?) != Some(Sim::Pin) {
            return Err(Trouble::gone(
                "SIM 卡已锁（PUK），请用手机解锁",
                "the SIM is locked (PUK): unlock it in a telephone",
            ));
        }
        let Some(pin) = &self.settings.pin else {
            return Err(Trouble::gone("SIM 卡要 PIN 码，请写 pin_file", "the SIM wants its PIN: write pin_file"));
        };
        let tries = open.ask_softly("AT+CPINR=\"SIM PIN\"").await?.as_deref().and_then(at::tries);
        let spent = tries.is_some_and(|(left, at_first)| left < at_first);
        if self.pin_refused || spent {
            return Err(Trouble::gone(
                "PIN 码曾被拒绝，为免锁卡不再尝试；请核对 pin_file，在手机中输入一次正确的 PIN 码后重启网关",
                "the PIN was refused, and is not tried again lest the SIM lock itself: correct pin_file, enter the PIN once in a telephone, restart",
            ));
        }
        let command = format!("AT+CPIN=\"{}\"", pin.0);
        if let Err(trouble) = open.ask(&command, SIM_WAKES).await {
            self.pin_refused = !trouble.gone;
            return Err(Trouble { gone: true, ..trouble });
        }
        let until = self.clock.mono() + SIM_WAKES;
        while at::sim(&open.ask("AT+CPIN?", SOON).await?) != Some(Sim::Ready) {
            if self.clock.mono() >= until {
                return Err(Trouble::gone("SIM 卡未就绪", "the SIM is not ready"));
            }
            self.clock.sleep_until(self.clock.mono() + Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

/// A way to a modem that is open.
struct Open {
    way: Way,
    listener: Listener,
    heard: VecDeque<Heard>,
    clock: Clock,
}

enum Way {
    Serial(SerialStream),
    Server(TcpStream),
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Self::Serial(port) = self {
            // The library does not take TIOCEXCL back; see `field/modbus`. A port that is gone cannot be given back.
            drop(port.set_exclusive(false));
        }
    }
}

impl Way {
    async fn open(port: &Port) -> Result<Self, Trouble> {
        match port {
            Port::Serial { path, baud } => {
                let builder = tokio_serial::new(path, *baud)
                    .data_bits(DataBits::Eight)
                    .parity(Parity::None)
                    .stop_bits(StopBits::One)
                    .flow_control(FlowControl::None);
                SerialStream::open(&builder).map(Self::Serial).map_err(|error| {
                    Trouble::gone(format!("串口 {path} 打不开：{error}"), format!("{path} cannot be opened: {error}"))
                })
            }
            Port::Server { host, port } => match timeout(CONNECT, TcpStream::connect((host.as_str(), *port))).await {
                Ok(Ok(stream)) => {
                    let probe = TcpKeepalive::new().with_time(PROBE).with_interval(PROBE);
                    let prepared =
                        stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&probe));
                    prepared.map(|()| Self::Server(stream)).map_err(|error| gone(Some(&error)))
                }
                Ok(Err(error)) => Err(Trouble::gone(
                    format!("串口服务器 {host}:{port} 连不上：{error}"),
                    format!("{host}:{port} cannot be reached: {error}"),
                )),
                Err(_) => Err(Trouble::gone(
                    format!("串口服务器 {host}:{port} 连接超时"),
                    format!("no connection to {host}:{port} within {CONNECT:?}"),
                )),
            },
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Serial(port) => port.read(buffer).await,
            Self::Server(stream) => stream.read(buffer).await,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Serial(port) => port.write_all(bytes).await,
            Self::Server(stream) => stream.write_all(bytes).await,
        }
    }
}

fn gone(error: Option<&io::Error>) -> Trouble {
    match error {
        Some(error) => Trouble::gone(format!("调制解调器连接中断：{error}"), format!("the modem is gone: {error}")),
        None => Trouble::gone("调制解调器连接中断", "the modem is gone"),
    }
}

impl Open {
    async fn at(port: &Port, clock: Clock) -> Result<Self, Trouble> {
        let way = Way::open(port).await?;
        Ok(Self { way, listener: Listener::default(), heard: VecDeque::new(), clock })
    }

    /// Wakes it, and takes it out of whatever an earlier run left it in.
    async fn greet(&mut self) -> Result<(), Trouble> {
        self.way.write(b"\x1b\r").await.map_err(|error| gone(Some(&error)))?;
        for _ in 1..GREETINGS {
            if self.ask("AT", GREETING).await.is_ok() {
                return Ok(());
            }
        }
        self.ask("AT", SOON).await.map(drop)
    }

    /// Asks, where a refusal says nothing: `None` then.
    async fn ask_softly(&mut self, command: &str) -> Result<Option<Vec<String>>, Trouble> {
        match self.ask(command, SOON).await {
            Ok(lines) => Ok(Some(lines)),
            Err(trouble) if trouble.gone => Err(trouble),
            Err(_) => Ok(None),
        }
    }

    /// Gives a command and returns the lines up to its end.
    async fn ask(&mut self, command: &str, within: Duration) -> Result<Vec<String>, Trouble> {
        // What came unasked since the last answer is nobody's.
        self.heard.clear();
        let until = self.clock.mono() + within;
        self.way.write(format!("{command}\r").as_bytes()).await.map_err(|error| gone(Some(&error)))?;
        self.answer(until).await
    }

    async fn answer(&mut self, until: Mono) -> Result<Vec<String>, Trouble> {
        let mut lines = Vec::new();
        while lines.len() < MAX_LINES {
            let Heard::Line(line) = self.hear(until).await? else { continue };
            match at::ending(&line) {
                Some(ended) => return ended.map(|()| lines),
                None => lines.push(line),
            }
        }
        Err(Trouble::gone("调制解调器的应答不成样子", "what came is no answer of a modem"))
    }

    /// Hands one part over and returns its reference.
    async fn submit(&mut self, part: &pdu::Part, within: Duration) -> Result<String, Trouble> {
        self.heard.clear();
        let until = self.clock.mono() + within;
        let command = format!("AT+CMGS={}\r", part.length);
        self.way.write(command.as_bytes()).await.map_err(|error| gone(Some(&error)))?;
        let prompt_by = until.min(self.clock.mono() + SOON);
        loop {
            match self.hear(prompt_by).await? {
                Heard::Prompt => break,
                Heard::Line(line) => at::ending(&line).unwrap_or(Ok(()))?,
            }
        }
        self.way.write(format!("{}\x1a", part.hex).as_bytes()).await.map_err(|error| gone(Some(&error)))?;
        let lines = self.answer(until).await?;
        at::reference(&lines).ok_or_else(|| Trouble::gone("调制解调器没有给出参考号", "the modem gave no reference"))
    }

    async fn hear(&mut self, until: Mono) -> Result<Heard, Trouble> {
        let mut buffer = [0; 512];
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(heard);
            }
            let read = tokio::select! {
                biased;
                read = self.way.read(&mut buffer) => read,
                () = self.clock.sleep_until(until) => {
                    return Err(Trouble::gone("调制解调器无应答", "the modem does not answer"));
                }
            };
            match read {
                Ok(n) if n > 0 => self.heard.extend(self.listener.take(buffer.get(..n).unwrap_or_default())),
                ended => return Err(gone(ended.err().as_ref())),
            }
        }
    }
}
