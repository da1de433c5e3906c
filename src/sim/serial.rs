//! A simulated RS-485 line: several Modbus RTU slaves on one pair of wires, with the timing of real characters, and every
//! way to misbehave. Slaves obey orders (functions 5 and 6) for coils and registers that they have.
//!
//! The wires are a pseudo-terminal whose other end the gateway opens as its serial port, or a TCP socket, as a serial server
//! has it. Neither knows a baud rate, so time is kept here: a request has arrived when its last character would have,
//! the answer begins after the silence between frames and the slave's turnaround, and its characters leave one by one.
//!
//! ```text
//!  request ─8 characters─▶ ─3.5 characters─▶ ─turnaround─▶ ─answer, character by character─▶
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_serial::{SerialPort, SerialStream};

use super::image::Image;
use super::server;
use crate::clock::Clock;
use crate::domain::time::Mono;
use crate::field::modbus::rtu::{REQUEST_LEN, crc16, sealed};
use crate::field::settings::Line;

/// Requests remembered with their time, per line: twenty minutes at the fastest.
const N_REMEMBERED: usize = 65_536;
/// Bytes kept of what may become a request.
const MAX_BUFFER: usize = 1024;

/// How a slave behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    #[default]
    Answering,
    /// Never answers.
    Silent,
    /// Answers after this long, whatever is on the line meanwhile; what it is asked until then it answers after that.
    Late(Duration),
    /// Answers this time after this long, and every third time only; otherwise as it should.
    LateEveryThird(Duration),
    /// Noise goes before its answer.
    NoiseBefore,
    /// Its answer has a wrong bit.
    NoiseInside,
    /// Its answer has a wrong bit every second time.
    NoiseInsideEverySecond,
    /// Half of its answer comes.
    Half,
    /// It answers with the address of its neighbour.
    WrongUnit,
    /// It answers every request with this exception code.
    Exception(u8),
}

/// A running line. Dropping it closes it, as pulling the adapter does.
#[derive(Debug)]
pub struct SerialLine {
    path: Option<PathBuf>,
    addr: Option<SocketAddr>,
    slaves: BTreeMap<u8, Slave>,
    seen: Arc<Seen>,
    _task: JoinSet<()>,
    /// The terminal lives as long as one side has it open; the gateway comes and goes.
    _held_open: Option<SerialStream>,
}

#[derive(Debug)]
struct Slave {
    image: watch::Sender<Arc<Image>>,
    manner: watch::Sender<Manner>,
    turnaround: watch::Sender<Duration>,
}

#[derive(Debug, Default)]
struct Seen {
    asked: Mutex<VecDeque<(u8, Mono)>>,
    writes: AtomicU64,
}

/// What the task of a line sees of a slave.
#[derive(Clone, Debug)]
struct Face {
    image: watch::Sender<Arc<Image>>,
    manner: watch::Receiver<Manner>,
    turnaround: watch::Receiver<Duration>,
}

/// The line as its task has it.
#[derive(Clone, Debug)]
struct View {
    slaves: BTreeMap<u8, Face>,
    seen: Arc<Seen>,
    line: Line,
    clock: Clock,
}

impl SerialLine {
    /// Opens a line on a pseudo-terminal. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the system has no pseudo-terminal to give.
    pub fn pty(units: impl IntoIterator<Item = u8>, line: Line) -> io::Result<Self> {
        let (master, slave) = SerialStream::pair().map_err(io::Error::from)?;
        let path = slave.name().map(PathBuf::from);
        let (slaves, view) = slaves(units, line);
        let seen = Arc::clone(&view.seen);
        let mut task = JoinSet::new();
        task.spawn(async move { drop(serve(master, &view).await) });
        Ok(Self { path, addr: None, slaves, seen, _task: task, _held_open: Some(slave) })
    }

    /// Opens a line behind a serial server on a free port of 127.0.0.1, one connection at a time.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn tcp(units: impl IntoIterator<Item = u8>, line: Line) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (slaves, view) = slaves(units, line);
        let seen = Arc::clone(&view.seen);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if stream.set_nodelay(true).is_ok() {
                    drop(serve(stream, &view).await);
                }
            }
        });
        Ok(Self { path: None, addr: Some(addr), slaves, seen, _task: task, _held_open: None })
    }

    /// Returns what the gateway opens as its serial port; empty for a serial server.
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Returns where the serial server listens, for one that is.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// Sets what the registers of a slave hold from now on. A slave that is not there is left alone.
    pub fn show(&self, unit: u8, image: Arc<Image>) {
        if let Some(slave) = self.slaves.get(&unit) {
            slave.image.send_replace(image);
        }
    }

    /// Sets how a slave behaves from its next request on.
    pub fn behave(&self, unit: u8, manner: Manner) {
        if let Some(slave) = self.slaves.get(&unit) {
            slave.manner.send_replace(manner);
        }
    }

    /// Sets how long a slave takes before it begins to answer.
    pub fn take_time(&self, unit: u8, turnaround: Duration) {
        if let Some(slave) = self.slaves.get(&unit) {
            slave.turnaround.send_replace(turnaround);
        }
    }

    /// Returns the requests that came, answered or not, oldest first: unit and when the request had arrived.
    pub fn asked(&self) -> Vec<(u8, Mono)> {
        self.seen.asked.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Returns how many requests a unit got.
    pub fn asked_of(&self, unit: u8) -> usize {
        self.seen.asked.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|(u, _)| *u == unit).count()
    }

    /// Returns what the registers of a slave hold now; nothing where there is no such slave.
    pub fn image(&self, unit: u8) -> Arc<Image> {
        self.slaves.get(&unit).map(|slave| Arc::clone(&slave.image.borrow())).unwrap_or_default()
    }

    /// Returns how many requests were none of functions 1 to 4.
    pub fn writes(&self) -> u64 {
        self.seen.writes.load(Ordering::Relaxed)
    }
}

fn slaves(units: impl IntoIterator<Item = u8>, line: Line) -> (BTreeMap<u8, Slave>, View) {
    let mut view = View { slaves: BTreeMap::new(), seen: Arc::default(), line, clock: Clock::system() };
    let mut senders = BTreeMap::new();
    for unit in units {
        let image = watch::Sender::new(Arc::new(Image::default()));
        let (manner, manner_rx) = watch::channel(Manner::Answering);
        let (turnaround, turnaround_rx) = watch::channel(Duration::ZERO);
        view.slaves.insert(unit, Face { image: image.clone(), manner: manner_rx, turnaround: turnaround_rx });
        senders.insert(unit, Slave { image, manner, turnaround });
    }
    (senders, view)
}

/// Answers that are on their way: when they begin, whose, and the bytes.
type Pending = Vec<(Mono, u8, Vec<u8>)>;

/// Serves the line until the other end goes.
async fn serve(mut wires: impl AsyncRead + AsyncWrite + Unpin, view: &View) -> io::Result<()> {
    let (mut buffer, mut chunk) = (Vec::new(), [0; 256]);
    let mut pending: Pending = Vec::new();
    loop {
        pending.sort_by_key(|(at, ..)| *at);
        let next = pending.first().map(|(at, ..)| *at);
        tokio::select! {
            n = wires.read(&mut chunk) => {
                let n = n?;
                if n == 0 {
                    return Ok(());
                }
                buffer.extend(chunk.iter().take(n));
                view.take(&mut buffer, &mut pending);
            }
            () = view.clock.sleep_until_opt(next) => {
                let (at, _, frame) = pending.remove(0);
                send(&mut wires, view, at, &frame).await?;
            }
        }
    }
}

/// Sends character by character, as far as the timer can: what should have left by now leaves.
async fn send(wires: &mut (impl AsyncWrite + Unpin), view: &View, began: Mono, frame: &[u8]) -> io::Result<()> {
    let mut sent = 0;
    while let Some(rest) = frame.get(sent..).filter(|rest| !rest.is_empty()) {
        view.clock.sleep_until(began + view.line.chars(sent + 1)).await;
        let elapsed = view.clock.mono().since(began);
        let gone = elapsed.as_nanos() / view.line.chars(1).as_nanos().max(1);
        let gone = usize::try_from(gone).unwrap_or(usize::MAX).saturating_sub(sent).clamp(1, rest.len());
        wires.write_all(rest.get(..gone).unwrap_or_default()).await?;
        sent += gone;
    }
    Ok(())
}

impl View {
    /// Takes whole requests out of the buffer; what is none is thrown away byte by byte.
    fn take(&self, buffer: &mut Vec<u8>, pending: &mut Pending) {
        loop {
            let len = match buffer.as_slice() {
                [_, 15 | 16, _, _, _, _, bytes, ..] => 9 + usize::from(*bytes),
                _ => REQUEST_LEN,
            };
            let Some(frame) = buffer.get(..len) else { break };
            if crc16(frame) != 0 {
                // The CRC over a frame with its CRC is zero.
                buffer.remove(0);
                continue;
            }
            let frame: Vec<u8> = buffer.drain(..len).collect();
            self.asked(&frame, pending);
        }
        let old = buffer.len().saturating_sub(MAX_BUFFER);
        buffer.drain(..old);
    }

    fn asked(&self, frame: &[u8], pending: &mut Pending) {
        let [unit, pdu @ .., _, _] = frame else { return };
        let arrived = self.clock.mono() + self.line.chars(frame.len());
        let turn = {
            let mut asked = self.seen.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.len() == N_REMEMBERED {
                asked.pop_front();
            }
            asked.push_back((*unit, arrived));
            asked.iter().filter(|(other, _)| other == unit).count()
        };
        if !matches!(pdu.first(), Some(1..=4)) {
            self.seen.writes.fetch_add(1, Ordering::Relaxed);
        }
        let Some(slave) = self.slaves.get(unit) else { return };
        let begins = arrived + self.line.silence() + *slave.turnaround.borrow();
        let image = slave.image.borrow().clone();
        let said = obeyed(&slave.image, pdu).unwrap_or_else(|| server::answer(&image, pdu));
        let answer = sealed(&[&[*unit], said.as_slice()].concat());
        let manner = *slave.manner.borrow();
        // One thing after the other: a slave has one request in hand.
        let busy = pending
            .iter()
            .filter(|(_, other, _)| other == unit)
            .map(|(at, _, frame)| *at + self.line.chars(frame.len()));
        let free = busy.max().map_or(begins, |done| begins.max(done + self.line.silence()));
        pending.extend(spoilt(manner, answer, turn).map(|(late, frame)| (free.max(begins + late), *unit, frame)));
    }
}

/// Carries out an order for one coil or register that is there, and repeats it.
fn obeyed(image: &watch::Sender<Arc<Image>>, pdu: &[u8]) -> Option<Vec<u8>> {
    let &[function, a, b, c, d] = pdu else { return None };
    let (address, value) = (usize::from(u16::from_be_bytes([a, b])), u16::from_be_bytes([c, d]));
    let mut changed = Image::clone(&image.borrow());
    match (function, value) {
        (5, 0xFF00 | 0) => *changed.coils.get_mut(address)? = value != 0,
        (6, _) => *changed.holding.get_mut(address)? = value,
        _ => return None,
    }
    image.send_replace(Arc::new(changed));
    Some(pdu.to_vec())
}

/// What a slave of this manner makes of its answer: how much later it begins, and the bytes.
fn spoilt(manner: Manner, mut answer: Vec<u8>, turn: usize) -> Option<(Duration, Vec<u8>)> {
    let now = Duration::ZERO;
    match manner {
        Manner::Answering => Some((now, answer)),
        Manner::Silent => None,
        Manner::Late(late) => Some((late, answer)),
        Manner::LateEveryThird(late) => Some((if turn.is_multiple_of(3) { late } else { now }, answer)),
        Manner::NoiseBefore => Some((now, [&[0x00, 0xFF, 0x55, 0xAA, 0x00], answer.as_slice()].concat())),
        Manner::NoiseInsideEverySecond if !turn.is_multiple_of(2) => Some((now, answer)),
        Manner::NoiseInside | Manner::NoiseInsideEverySecond => {
            let middle = answer.len() / 2;
            answer.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 0x10);
            Some((now, answer))
        }
        Manner::Half => {
            answer.truncate(answer.len() / 2);
            Some((now, answer))
        }
        Manner::WrongUnit => {
            let body = answer.split_last_chunk::<2>().map(|(body, _)| body.to_vec()).unwrap_or_default();
            let other = body.first().map(|unit| unit.wrapping_add(1));
            Some((now, sealed(&other.into_iter().chain(body.into_iter().skip(1)).collect::<Vec<_>>())))
        }
        Manner::Exception(code) => {
            let head: Vec<u8> = answer.iter().take(2).copied().collect();
            let [unit, function] = head.as_slice() else { return None };
            Some((now, sealed(&[*unit, function | 0x80, code])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::settings::Parity;

    const LINE: Line = Line { baud: 9600, parity: Parity::None, stop_bits: 1 };

    fn image() -> Arc<Image> {
        Arc::new(Image { holding: vec![0x00FA, 1, 1, 0x00F5, 1, 0x64, 0xFA, 0x1F4], ..Image::default() })
    }

    #[tokio::test]
    async fn the_gas_detector_of_domain_b8_answers_in_the_time_of_its_characters() {
        let line = SerialLine::pty([1], LINE).unwrap();
        line.show(1, image());
        let path = line.path().to_string_lossy().into_owned();
        let mut port = SerialStream::open(&tokio_serial::new(path, 9600)).unwrap();
        let clock = Clock::system();
        let began = clock.mono();
        port.write_all(&[0x01, 0x03, 0, 0, 0, 8, 0x44, 0x0C]).await.unwrap();
        let mut answer = [0; 21];
        port.read_exact(&mut answer).await.unwrap();
        // 8 characters, 3.5 of silence, 21 characters: never sooner.
        assert!(clock.mono().since(began) >= Duration::from_micros(8_333 + 3_645 + 21_875));
        assert_eq!(answer[..5], [0x01, 0x03, 16, 0x00, 0xFA]);
        assert_eq!(answer[19..], [0xE2, 0x1D]);
        assert_eq!((line.asked_of(1), line.writes()), (1, 0));
    }

    #[test]
    fn each_way_to_misbehave_is_what_it_says() {
        let answer = sealed(&[1, 3, 2, 0, 7]);
        let of = |manner| spoilt(manner, answer.clone(), 1).map(|(_, frame)| frame);
        assert_eq!(of(Manner::Silent), None);
        assert_eq!(of(Manner::Half).unwrap().len(), 3);
        assert_eq!(of(Manner::WrongUnit).unwrap(), sealed(&[2, 3, 2, 0, 7]));
        assert_eq!(of(Manner::Exception(6)).unwrap(), sealed(&[1, 0x83, 6]));
        assert_ne!(crc16(&of(Manner::NoiseInside).unwrap()), 0);
        assert_eq!(crc16(&of(Manner::NoiseBefore).unwrap()[5..]), 0);
    }

    #[test]
    fn requests_are_found_in_whatever_comes_and_writes_are_counted() {
        let (_slaves, view) = slaves([1], LINE);
        let (mut buffer, mut pending) = (vec![0xFF, 0x01], Pending::new());
        buffer.extend(sealed(&[1, 3, 0, 0, 0, 1]));
        buffer.extend(sealed(&[1, 6, 0, 0, 0, 1]));
        buffer.extend(sealed(&[1, 16, 0, 0, 0, 1, 2, 0, 9]));
        view.take(&mut buffer, &mut pending);
        assert_eq!((buffer.len(), pending.len()), (0, 3));
        assert_eq!(view.seen.writes.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn an_order_is_obeyed_where_the_coil_or_register_is_there() {
        let image =
            watch::Sender::new(Arc::new(Image { coils: vec![false; 4], holding: vec![0; 2], ..Image::default() }));
        for (pdu, obeys) in
            [([5, 0, 3, 0xFF, 0], true), ([5, 0, 4, 0xFF, 0], false), ([6, 0, 1, 2, 3], true), ([5, 0, 3, 1, 0], false)]
        {
            assert_eq!(obeyed(&image, &pdu), obeys.then(|| pdu.to_vec()));
        }
        assert_eq!((image.borrow().coils[3], image.borrow().holding[1]), (true, 0x0203));
    }
}
