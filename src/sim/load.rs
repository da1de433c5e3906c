//! Many Modbus TCP devices in one thread, for load and for proof.
//!
//! The simulated park of the demo lives; this field only counts. Each device has `registers` holding registers:
//!
//! | register | contents |
//! |---|---|
//! | 0 | the **counter**: the number of polls answered so far, modulo 2^16, this one included. A hole in the counters a receiver holds is a poll that was answered and lost: the oracle of the end-to-end tests, which trusts no sequence number of ours |
//! | 1.. | [`Contents::Walk`]: a seeded random walk in 0..=9999 that changes **every** register at every request; [`Contents::Still`]: the register's own number |
//!
//! A poll is a request that covers register 0; its time is kept, so the achieved interval is measured where the
//! requests arrive and not where they are claimed to be sent. A counter only advances when its answer was written.
//!
//! It must not disturb the gateway it measures on a machine of two cores: one thread, one read and one write per
//! request, values computed when asked for. [`folder`] writes the configuration that reads such a field.

pub mod folder;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::time::Mono;

/// Largest value of a walking register.
pub const WALK_MAX: u16 = 9_999;
/// Largest step of a walking register; never zero.
pub const WALK_STEP: u32 = 32;
/// Poll times kept per device: a day at 1 s, then the oldest half goes.
const TIMES_KEPT: usize = 86_400;
/// Registers one answer may carry (Modbus application protocol 1.1b3, 6.3).
const MAX_REGISTERS: u16 = 125;
/// Bytes of the header before a request's function code: transaction, protocol, length, unit.
const HEADER: usize = 7;
/// Read buffer of one connection: the largest Modbus TCP frame is 260 bytes, a client may send two at a time.
const BUFFER: usize = 1_024;
/// Delay before a listener that failed to accept tries again (file descriptors ran out).
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Devices.
    pub devices: usize,
    /// Holding registers per device, 1..=65535.
    pub registers: u16,
    /// What the registers hold.
    pub contents: Contents,
    /// Where the devices are.
    pub layout: Layout,
    /// Seed of the walks; the same seed walks the same way.
    pub seed: u64,
}

/// What registers 1 and up hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Each register's own number.
    Still,
    /// A random walk: every register changes at every request.
    Walk,
}

/// Where the devices are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each behind its own port, any unit id.
    PortEach,
    /// All behind one port, unit ids 1, 2, 3, … (at most 247 devices).
    OnePort,
}

/// How a device treats its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// Answers at once.
    #[default]
    Answers,
    /// Takes requests and never answers.
    Silent,
    /// Closes the connection at every request.
    HangsUp,
    /// Answers after this long; what stands behind on the same connection waits.
    Late(Duration),
}

/// Where a device is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Unit id.
    pub unit: u8,
}

/// A running field. Dropping it closes every connection and ends its thread.
#[derive(Debug)]
pub struct Field {
    places: Vec<Place>,
    devices: Vec<Arc<Mutex<Device>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What a device has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Connections accepted at its port.
    pub accepted: u64,
    /// Requests answered, exceptions included.
    pub requests: u64,
    /// Polls answered: the counter before its reduction modulo 2^16.
    pub polls: u64,
}

impl Field {
    /// Binds every port and starts serving on a thread of its own.
    ///
    /// # Errors
    /// When a port cannot be bound, the thread not started, or `OnePort` is asked for more than 247 devices.
    pub fn start(spec: &Spec) -> io::Result<Self> {
        let devices: Vec<_> = (0..spec.devices).map(|i| Arc::new(Mutex::new(Device::new(spec, i)))).collect();
        let (listeners, places) = bind(spec.layout, &devices)?;
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = stop.clone();
        let thread = std::thread::Builder::new()
            .name("load-field".to_owned())
            .spawn(move || runtime.block_on(serve(listeners, serving)))?;
        Ok(Self { places, devices, stop, thread: Some(thread) })
    }

    /// Returns where each device is found.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Returns what each device has seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.devices.iter().map(|d| lock(d).seen).collect()
    }

    /// Tells a device how to behave from now on; there is nobody to tell beyond the last.
    pub fn behave(&self, device: usize, manner: Manner) {
        if let Some(device) = self.devices.get(device) {
            lock(device).manner = manner;
        }
    }

    /// Lets some registers of a device hold `value` whatever else they would do, or lets them go again.
    pub fn hold(&self, device: usize, registers: std::ops::Range<u16>, value: Option<u16>) {
        if let Some(device) = self.devices.get(device) {
            let mut device = lock(device);
            for register in registers {
                match value {
                    Some(value) => drop(device.held.insert(usize::from(register), value)),
                    None => drop(device.held.remove(&usize::from(register))),
                }
            }
        }
    }

    /// Forgets the poll times kept so far: a measurement begins.
    pub fn forget_times(&self) {
        for device in &self.devices {
            lock(device).times.clear();
        }
    }

    /// Returns the intervals between consecutive polls of each device since [`Field::forget_times`].
    pub fn intervals(&self) -> Vec<Vec<Duration>> {
        self.devices.iter().map(|d| lock(d).intervals()).collect()
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // Nothing is lost when it panicked: the field is going away.
            drop(thread.join());
        }
    }
}

/// One device: its registers and what it has seen. Pure.
#[derive(Debug)]
struct Device {
    registers: Vec<u16>,
    contents: Contents,
    random: u32,
    manner: Manner,
    held: BTreeMap<usize, u16>,
    seen: Seen,
    times: Vec<Mono>,
}

impl Device {
    fn new(spec: &Spec, index: usize) -> Self {
        let mut device = Self {
            registers: (0..spec.registers).collect(),
            contents: spec.contents,
            random: seed_of(spec.seed, index),
            manner: Manner::default(),
            held: BTreeMap::new(),
            seen: Seen::default(),
            times: Vec::new(),
        };
        if spec.contents == Contents::Walk {
            for i in 0..device.registers.len() {
                let start = low_word(next(&mut device.random) % u32::from(WALK_MAX));
                if let Some(register) = device.registers.get_mut(i) {
                    *register = start;
                }
            }
        }
        device
    }

    /// Appends the answer to one request's PDU to `out`. Returns whether it is a poll: [`Device::answered`] counts it.
    fn answer(&mut self, pdu: &[u8], out: &mut Vec<u8>) -> bool {
        let function = pdu.first().copied().unwrap_or(0);
        match self.span(pdu) {
            Ok((from, count)) => {
                out.push(function);
                out.push(u8::try_from(count * 2).unwrap_or(u8::MAX));
                self.put(from, count, out);
                from == 0
            }
            Err(exception) => {
                out.extend([function | 0x80, exception]);
                false
            }
        }
    }

    fn span(&self, pdu: &[u8]) -> Result<(usize, usize), u8> {
        let &[function, a, b, c, d] = pdu else { return Err(ILLEGAL_VALUE) };
        if !matches!(function, 3 | 4) {
            return Err(ILLEGAL_FUNCTION);
        }
        let (from, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        if count == 0 || count > MAX_REGISTERS {
            return Err(ILLEGAL_VALUE);
        }
        let (from, count) = (usize::from(from), usize::from(count));
        if from + count > self.registers.len() { Err(ILLEGAL_ADDRESS) } else { Ok((from, count)) }
    }

    fn put(&mut self, from: usize, count: usize, out: &mut Vec<u8>) {
        let counter = low_word(u32::try_from((self.seen.polls + 1) & 0xFFFF).unwrap_or(0));
        for (i, register) in self.registers.iter_mut().enumerate().skip(from).take(count) {
            if i == 0 {
                *register = counter;
            } else if self.contents == Contents::Walk {
                *register = walk(*register, next(&mut self.random));
            }
            out.extend(self.held.get(&i).unwrap_or(register).to_be_bytes());
        }
    }

    /// Counts an answer that was written.
    fn answered(&mut self, poll: bool, asked: Mono) {
        self.seen.requests += 1;
        if poll {
            self.seen.polls += 1;
            if self.times.len() >= TIMES_KEPT {
                self.times.drain(..TIMES_KEPT / 2);
            }
            self.times.push(asked);
        }
    }

    fn intervals(&self) -> Vec<Duration> {
        self.times.iter().zip(self.times.iter().skip(1)).map(|(a, b)| b.since(*a)).collect()
    }
}

const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;
/// "Gateway target device failed to respond": no such unit id here.
const NO_SUCH_UNIT: u8 = 11;

/// One step away from `value`, never zero, turned back at the ends of the range.
fn walk(value: u16, random: u32) -> u16 {
    let step = low_word(1 + (random >> 1) % WALK_STEP);
    let up = random & 1 == 1;
    match (up, value.checked_sub(step)) {
        (true, _) | (false, None) if value + step <= WALK_MAX => value + step,
        (_, Some(lower)) => lower,
        (_, None) => value + step,
    }
}

fn low_word(value: u32) -> u16 {
    u16::try_from(value & 0xFFFF).unwrap_or(0)
}

/// Marsaglia's xorshift32: a walk needs no better, and it costs three shifts.
fn next(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

fn seed_of(seed: u64, index: usize) -> u32 {
    let index = u64::try_from(index).unwrap_or(0);
    let mixed = (seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    // Zero is the one state xorshift never leaves.
    u32::try_from(mixed >> 32).unwrap_or(1).max(1)
}

/// The devices behind one port; a single one answers to every unit id.
#[derive(Clone, Debug)]
struct Port {
    devices: Vec<Arc<Mutex<Device>>>,
}

impl Port {
    fn device(&self, unit: u8) -> Option<&Arc<Mutex<Device>>> {
        match self.devices.as_slice() {
            [only] => Some(only),
            many => many.get(usize::from(unit).checked_sub(1)?),
        }
    }
}

type Bound = (Vec<(std::net::TcpListener, Port)>, Vec<Place>);

fn bind(layout: Layout, devices: &[Arc<Mutex<Device>>]) -> io::Result<Bound> {
    let groups: Vec<Vec<Arc<Mutex<Device>>>> = match layout {
        Layout::PortEach => devices.iter().map(|d| vec![Arc::clone(d)]).collect(),
        Layout::OnePort => vec![devices.to_vec()],
    };
    let (mut listeners, mut places) = (Vec::new(), Vec::new());
    for group in groups {
        let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        for i in 0..group.len() {
            let unit = u8::try_from(i + 1).ok().filter(|u| *u <= 247);
            let unit = unit.ok_or_else(|| io::Error::other("at most 247 devices behind one port"))?;
            places.push(Place { port, unit });
        }
        listeners.push((listener, Port { devices: group }));
    }
    Ok((listeners, places))
}

async fn serve(listeners: Vec<(std::net::TcpListener, Port)>, stop: CancellationToken) {
    let clock = Clock::system();
    let mut ports = JoinSet::new();
    for (listener, port) in listeners {
        if let Ok(listener) = TcpListener::from_std(listener) {
            ports.spawn(accept(listener, port, clock.clone()));
        }
    }
    // The set drops here: listeners and connections close with it.
    stop.cancelled().await;
}

async fn accept(listener: TcpListener, port: Port, clock: Clock) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    for device in &port.devices {
                        lock(device).seen.accepted += 1;
                    }
                    connections.spawn(converse(stream, port.clone(), clock.clone()));
                }
                Err(_) => clock.sleep_until(clock.mono() + ACCEPT_RETRY).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers one client until it leaves or sends what is not Modbus TCP.
async fn converse(mut stream: TcpStream, port: Port, clock: Clock) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut buffer = vec![0_u8; BUFFER];
    let mut answer = Vec::with_capacity(260);
    let mut held = 0;
    while let Some(room) = buffer.get_mut(held..).filter(|r| !r.is_empty()) {
        match stream.read(room).await {
            Ok(0) | Err(_) => return,
            Ok(n) => held += n,
        }
        let asked = clock.mono();
        while let Some(frame) = frame_len(buffer.get(..held).unwrap_or_default()) {
            let Some(frame) = frame.filter(|f| *f <= BUFFER) else { return };
            if frame > held {
                break;
            }
            let request = buffer.get(..frame).unwrap_or_default();
            let device = device_of(request, &port);
            let manner = device.map_or(Manner::Answers, |d| lock(d).manner);
            match manner {
                Manner::HangsUp => return,
                Manner::Late(by) => clock.sleep_until(asked + by).await,
                Manner::Silent | Manner::Answers => {}
            }
            if manner != Manner::Silent {
                let polled = answer_frame(request, &port, &mut answer);
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
                if let (Some(poll), Some(device)) = (polled, device) {
                    lock(device).answered(poll, asked);
                }
            }
            buffer.copy_within(frame..held, 0);
            held -= frame;
        }
    }
}

/// Returns the length of the frame that begins here, once its header is there; `Some(None)` when it is no Modbus TCP.
fn frame_len(bytes: &[u8]) -> Option<Option<usize>> {
    let &[_, _, p, q, a, b, _, ..] = bytes else { return None };
    let length = usize::from(u16::from_be_bytes([a, b]));
    Some(((p, q) == (0, 0) && (2..=254).contains(&length)).then_some(length + HEADER - 1))
}

fn device_of<'a>(frame: &[u8], port: &'a Port) -> Option<&'a Arc<Mutex<Device>>> {
    port.device(frame.get(HEADER - 1).copied()?)
}

/// Writes the answer to `frame` into `answer`. Returns whether it was a poll; `None` when there is no such unit.
fn answer_frame(frame: &[u8], port: &Port, answer: &mut Vec<u8>) -> Option<bool> {
    answer.clear();
    answer.extend(frame.get(..HEADER).unwrap_or_default());
    let pdu = frame.get(HEADER..).unwrap_or_default();
    let polled = match device_of(frame, port) {
        Some(device) => Some(lock(device).answer(pdu, answer)),
        None => {
            answer.extend([pdu.first().copied().unwrap_or(0) | 0x80, NO_SUCH_UNIT]);
            None
        }
    };
    let length = u16::try_from(answer.len() + 1 - HEADER).unwrap_or(u16::MAX).to_be_bytes();
    for (to, from) in answer.iter_mut().skip(4).zip(length) {
        *to = from;
    }
    polled
}

fn lock(device: &Mutex<Device>) -> MutexGuard<'_, Device> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn spec(devices: usize, registers: u16, layout: Layout) -> Spec {
        Spec { devices, registers, contents: Contents::Walk, layout, seed: 7 }
    }

    fn ask(stream: &mut std::net::TcpStream, unit: u8, from: u16, count: u16) -> Vec<u8> {
        let mut frame = vec![0, 9, 0, 0, 0, 6, unit, 3];
        frame.extend(from.to_be_bytes());
        frame.extend(count.to_be_bytes());
        stream.write_all(&frame).unwrap();
        let mut head = [0; 6];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[..4], [0, 9, 0, 0]);
        let mut rest = vec![0; usize::from(u16::from_be_bytes([head[4], head[5]]))];
        stream.read_exact(&mut rest).unwrap();
        assert_eq!(rest[0], unit);
        rest.split_off(1)
    }

    fn registers(pdu: &[u8]) -> Vec<u16> {
        pdu[2..].chunks(2).map(|c| u16::from_be_bytes([c[0], c[1]])).collect()
    }

    #[test]
    fn every_register_changes_at_every_poll_and_the_counter_counts_them() {
        let field = Field::start(&spec(1, 250, Layout::PortEach)).unwrap();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", field.places()[0].port)).unwrap();
        let mut last: Option<Vec<u16>> = None;
        for poll in 1..=200_u16 {
            let mut now = registers(&ask(&mut stream, 1, 0, 125));
            now.extend(registers(&ask(&mut stream, 1, 125, 125)));
            assert_eq!(now.len(), 250);
            assert_eq!(now[0], poll);
            assert!(now[1..].iter().all(|v| *v <= WALK_MAX));
            if let Some(last) = last {
                assert!(last.iter().zip(&now).all(|(a, b)| a != b));
            }
            last = Some(now);
        }
        assert_eq!(field.intervals()[0].len(), 199);
        let seen = field.seen()[0];
        // An answer is counted after it was written: the last one may not be yet.
        assert_eq!((seen.accepted, seen.requests.max(400), seen.polls), (1, 400, 200));
    }

    #[test]
    fn unit_ids_behind_one_port_are_devices_of_their_own() {
        let field = Field::start(&spec(3, 10, Layout::OnePort)).unwrap();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", field.places()[2].port)).unwrap();
        assert_eq!(registers(&ask(&mut stream, 1, 0, 1)), [1]);
        assert_eq!(registers(&ask(&mut stream, 1, 0, 1)), [2]);
        assert_eq!(registers(&ask(&mut stream, 3, 0, 1)), [1]);
        assert_eq!(ask(&mut stream, 4, 0, 1), [0x83, NO_SUCH_UNIT]);
    }

    #[test]
    fn wrong_requests_get_the_exception_of_the_specification() {
        let mut device = Device::new(&spec(1, 10, Layout::PortEach), 0);
        let mut answer = |pdu: &[u8]| {
            let mut out = Vec::new();
            assert!(!device.answer(pdu, &mut out));
            out
        };
        assert_eq!(answer(&[6, 0, 0, 0, 1]), [0x86, ILLEGAL_FUNCTION]);
        assert_eq!(answer(&[3, 0, 5, 0, 6]), [0x83, ILLEGAL_ADDRESS]);
        assert_eq!(answer(&[3, 0, 0, 0, 126]), [0x83, ILLEGAL_VALUE]);
        assert_eq!(answer(&[3, 0, 0]), [0x83, ILLEGAL_VALUE]);
        assert_eq!(answer(&[]), [0x80, ILLEGAL_VALUE]);
    }

    #[test]
    fn a_frame_is_known_by_its_header_only() {
        assert_eq!(frame_len(&[0, 1, 0, 0, 0, 6]), None);
        assert_eq!(frame_len(&[0, 1, 0, 0, 0, 6, 1]), Some(Some(12)));
        assert_eq!(frame_len(&[0, 1, 0, 1, 0, 6, 1]), Some(None));
        assert_eq!(frame_len(&[0, 1, 0, 0, 1, 6, 1]), Some(None));
    }

    #[test]
    fn a_walk_stays_in_its_range_and_never_stands_still() {
        let mut random = 1;
        let mut value = 0;
        for _ in 0..100_000 {
            let stepped = walk(value, next(&mut random));
            assert!(stepped != value && stepped <= WALK_MAX);
            value = stepped;
        }
    }
}
