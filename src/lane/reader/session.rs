//! Asks a converter, or listens to it, and says what was shown.
//!
//! The frame that a Modbus converter holds when its connection begins was shown before: it says nothing. A converter that is
//! silent at its place is down; one that sends lines is up as long as its connection stands, which the kernel watches.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::coding::Key;
use super::super::modbus::request::{Reply, Request};
use super::super::modbus::session::{Address, Link};
use super::converter::{Lines, REGISTERS, Shown, line, registers};
use super::token::Judge;
use super::{Converter, Reader};
use crate::clock::Clock;
use crate::domain::gate::hardware::{LaneDevice, LaneEvent, Seen, Unreadable};
use crate::domain::gate::presented::Credential;
use crate::domain::gate::wiegand::decode;

/// A Modbus converter is asked so often: a person who shows a card waits no longer than that.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Pause after a connection that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// A connection on which nothing comes is asked after this whether its peer is there, and then each [`PROBE_EVERY`].
const PROBE_AFTER: Duration = Duration::from_secs(5);
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Codes that wait to be judged: one for each reader, and judging takes microseconds.
const CODES: usize = 64;

/// Where all readers have their codes judged: a code is good once, at whichever of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Codes {
    asks: mpsc::Sender<(String, oneshot::Sender<Result<String, Unreadable>>)>,
}

impl Codes {
    /// Returns what a code names. Where nobody judges any more it is worth nothing.
    async fn judge(&self, text: String) -> Result<String, Unreadable> {
        let (reply, judged) = oneshot::channel();
        self.asks.send((text, reply)).await.map_err(|_| Unreadable::Garbled)?;
        judged.await.unwrap_or(Err(Unreadable::Garbled))
    }
}

/// Begins to judge, with keys that may change. The task ends when the last reader has.
pub fn judge_codes(mut keys: watch::Receiver<Vec<Key>>, clock: Clock) -> (Codes, impl Future<Output = ()> + Send) {
    let (asks, mut asked) = mpsc::channel::<(String, oneshot::Sender<Result<String, Unreadable>>)>(CODES);
    let task = async move {
        let mut judge = Judge::new(keys.borrow_and_update().clone());
        while let Some((text, reply)) = asked.recv().await {
            if keys.has_changed().unwrap_or(false) {
                judge.take_keys(keys.borrow_and_update().clone());
            }
            // The reader may have gone.
            let _gone = reply.send(judge.judge(&text, clock.now()));
        }
    };
    (Codes { asks }, task)
}

/// Runs a reader until `stop`, or until nobody listens any more.
pub async fn run(reader: Reader, codes: Codes, events: mpsc::Sender<LaneEvent>, clock: Clock, stop: CancellationToken) {
    let mut desk = Desk { reader, codes, events, clock: clock.clone(), up: None };
    let runs = async {
        loop {
            let why = match desk.reader.converter.clone() {
                Converter::Modbus { address, start } => polled(&mut desk, &address, start).await,
                Converter::Tcp { host } => listened(&mut desk, &host).await,
            };
            let Err(why) = why else { return };
            if desk.is(false, &why).await.is_err() {
                return;
            }
            clock.sleep_until(clock.mono() + RETRY).await;
        }
    };
    tokio::select! {
        () = runs => {}
        () = stop.cancelled() => {}
    }
}

/// Nobody listens any more.
struct Unheard;

struct Desk {
    reader: Reader,
    codes: Codes,
    events: mpsc::Sender<LaneEvent>,
    clock: Clock,
    up: Option<bool>,
}

impl Desk {
    async fn say(&self, what: Seen) -> Result<(), Unheard> {
        let event = LaneEvent { lane: self.reader.lane.clone(), at: self.clock.mono(), what };
        self.events.send(event).await.map_err(|_| Unheard)
    }

    async fn is(&mut self, up: bool, why: &str) -> Result<(), Unheard> {
        if self.up == Some(up) {
            return Ok(());
        }
        self.up = Some(up);
        let (device, why) = (self.reader.device.clone(), why.to_owned());
        self.say(Seen::Device { device, kind: LaneDevice::Reader, up, why }).await
    }

    async fn shown(&mut self, shown: Option<Shown>) -> Result<(), Unheard> {
        let judged = match shown {
            Some(Shown::Frame(frame)) => match decode(&frame, self.reader.order) {
                Ok(card) => Ok(self.reader.key.card(card)),
                Err(_) => Err(Unreadable::Garbled),
            },
            Some(Shown::Code(text)) => self.codes.judge(text).await.map(|subject| Credential::Token { subject }),
            None => Err(Unreadable::Garbled),
        };
        let (reader, direction) = (self.reader.device.clone(), self.reader.direction);
        self.say(match judged {
            Ok(credential) => Seen::Shown { reader, direction, credential },
            Err(why) => Seen::NotShown { reader, direction, why },
        })
        .await
    }
}

/// Asks until it fails; `Ok` when nobody listens.
async fn polled(desk: &mut Desk, address: &Address, start: u16) -> Result<(), String> {
    let mut link = Link::connect(address).await?;
    let request = Request::Read { function: 3, start, count: REGISTERS };
    let mut last = None;
    loop {
        let (open, reply) = link.ask(&request).await?;
        link = open;
        let words = match reply {
            Reply::Words(words) => words,
            Reply::Exception(code) => return Err(format!("exception {code:02X}")),
            Reply::Bits(_) | Reply::Written => return Err("an answer of another kind".to_owned()),
        };
        let (counter, frame) = registers(&words).ok_or("too few registers")?;
        if desk.is(true, "").await.is_err() {
            return Ok(());
        }
        let news = last.replace(counter).is_some_and(|last| last != counter);
        if news && desk.shown(frame).await.is_err() {
            return Ok(());
        }
        desk.clock.sleep_until(desk.clock.mono() + ASK_EVERY).await;
    }
}

/// Listens until the connection ends; `Ok` when nobody listens to us.
async fn listened(desk: &mut Desk, host: &str) -> Result<(), String> {
    let mut stream = match timeout(CONNECT, TcpStream::connect(host)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("no connection: {error}")),
        Err(_) => return Err(format!("no connection within {CONNECT:?}")),
    };
    let probe = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
    SockRef::from(&stream).set_tcp_keepalive(&probe).map_err(|error| error.to_string())?;
    if desk.is(true, "").await.is_err() {
        return Ok(());
    }
    let (mut lines, mut part) = (Lines::default(), [0; 512]);
    loop {
        let count = stream.read(&mut part).await.map_err(|error| error.to_string())?;
        if count == 0 {
            return Err("closed by the converter".to_owned());
        }
        for text in lines.take(part.get(..count).unwrap_or_default()) {
            let shown = text.and_then(|text| line(&text));
            if desk.shown(shown).await.is_err() {
                return Ok(());
            }
        }
    }
}
