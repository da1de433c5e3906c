//! A small Modbus TCP server: several unit ids at one real socket, functions 1 to 4, and every way to misbehave.
//!
//! ```text
//!  request:  transaction(2) 0000 length(2) unit(1) | function(1) address(2) count(2)
//!  answer:   transaction(2) 0000 length(2) unit(1) | function(1) bytes(1) data     or  function+0x80, code
//! ```
//!
//! [`answer`] is pure. Each connection serves one request after the other, as a serial-to-TCP converter does, so that a
//! silent or late unit is felt by its neighbours exactly as in the field. Writes are refused and counted: a gateway
//! that only reads leaves [`Server::writes`] at 0.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::image::Image;
use crate::field::settings::Table;

/// Connections at one time; more are closed at once. A field device takes 1 to 16.
const MAX_CONNECTIONS: usize = 32;
/// Length field of MBAP: unit and at most 253 bytes of PDU.
const LENGTHS: std::ops::RangeInclusive<u16> = 2..=254;
/// Exception: the function is not served.
const ILLEGAL_FUNCTION: u8 = 1;
/// Exception: the registers are not there.
const ILLEGAL_ADDRESS: u8 = 2;
/// Exception: the count is not allowed.
const ILLEGAL_VALUE: u8 = 3;
/// Exception: no such unit behind this address.
const NO_TARGET: u8 = 11;

/// How a unit behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Responsiveness {
    /// As it should.
    #[default]
    Answering,
    /// Takes the request and never answers.
    Silent,
    /// Answers after this long.
    Late(Duration),
    /// Closes the connection at each request.
    Dropping,
    /// Answers every request with this exception code.
    Exception(u8),
    /// Answers with what is no answer: wrong function, wrong byte count, wrong unit, wrong transaction, in turn.
    Garbage,
    /// Answers well, with the unit id of its neighbour.
    WrongUnit,
}

/// A running server. Dropping it closes its sockets.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    units: BTreeMap<u8, Unit>,
    counters: Arc<Counters>,
    _accept: JoinSet<()>,
}

#[derive(Debug)]
struct Unit {
    image: watch::Sender<Arc<Image>>,
    mood: watch::Sender<Responsiveness>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    writes: AtomicU64,
    connections: AtomicU64,
}

#[derive(Clone, Debug)]
struct View {
    units: BTreeMap<u8, (watch::Receiver<Arc<Image>>, watch::Receiver<Responsiveness>)>,
    counters: Arc<Counters>,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1 with empty images. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(units: impl IntoIterator<Item = u8>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let mut view = View { units: BTreeMap::new(), counters: Arc::clone(&counters) };
        let mut senders = BTreeMap::new();
        for id in units {
            let (image, image_rx) = watch::channel(Arc::new(Image::default()));
            let (mood, mood_rx) = watch::channel(Responsiveness::Answering);
            view.units.insert(id, (image_rx, mood_rx));
            senders.insert(id, Unit { image, mood });
        }
        let mut accept = JoinSet::new();
        accept.spawn(accept_loop(listener, view));
        Ok(Self { addr, units: senders, counters, _accept: accept })
    }

    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets what the registers of a unit hold from now on. A unit that is not there is left alone.
    pub fn show(&self, unit: u8, image: Arc<Image>) {
        if let Some(unit) = self.units.get(&unit) {
            unit.image.send_replace(image);
        }
    }

    /// Sets how a unit behaves from its next request on.
    pub fn behave(&self, unit: u8, mood: Responsiveness) {
        if let Some(unit) = self.units.get(&unit) {
            unit.mood.send_replace(mood);
        }
    }

    /// Returns how many requests came, answered or not.
    pub fn requests(&self) -> u64 {
        self.counters.requests.load(Ordering::Relaxed)
    }

    /// Returns how many requests were none of functions 1 to 4.
    pub fn writes(&self) -> u64 {
        self.counters.writes.load(Ordering::Relaxed)
    }

    /// Returns how many connections were ever accepted.
    pub fn connections(&self) -> u64 {
        self.counters.connections.load(Ordering::Relaxed)
    }
}

/// Returns the answer PDU to a request PDU.
pub fn answer(image: &Image, pdu: &[u8]) -> Vec<u8> {
    let (&function, rest) = match pdu.split_first() {
        Some(split) => split,
        None => return vec![0x80, ILLEGAL_FUNCTION],
    };
    match read(image, function, rest) {
        Ok(data) => [&[function, u8::try_from(data.len()).unwrap_or(u8::MAX)], data.as_slice()].concat(),
        Err(code) => vec![function | 0x80, code],
    }
}

fn read(image: &Image, function: u8, rest: &[u8]) -> Result<Vec<u8>, u8> {
    let (table, limit) = match function {
        1 => (Table::Coil, 2_000),
        2 => (Table::Discrete, 2_000),
        3 => (Table::Holding, 125),
        4 => (Table::Input, 125),
        _ => return Err(ILLEGAL_FUNCTION),
    };
    let &[a, b, c, d] = rest else { return Err(ILLEGAL_VALUE) };
    let (address, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    if !(1..=limit).contains(&count) {
        return Err(ILLEGAL_VALUE);
    }
    if table.is_bits() {
        image.bits(table, address, count).map(packed).ok_or(ILLEGAL_ADDRESS)
    } else {
        let registers = image.registers(table, address, count).ok_or(ILLEGAL_ADDRESS)?;
        Ok(registers.iter().flat_map(|r| r.to_be_bytes()).collect())
    }
}

/// Eight bits to a byte, the first in the lowest.
fn packed(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, bit| (byte << 1) | u8::from(*bit))).collect()
}

async fn accept_loop(listener: TcpListener, view: View) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A failed accept is out of descriptors or a peer already gone; the next one may do.
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                view.counters.connections.fetch_add(1, Ordering::Relaxed);
                if connections.len() < MAX_CONNECTIONS {
                    connections.spawn(serve(stream, view.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until the peer goes or a unit drops it.
async fn serve(mut stream: TcpStream, view: View) {
    // Without it every answer may wait 40 ms for the peer's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    while let Ok((header, pdu)) = receive(&mut stream).await {
        let turn = view.counters.requests.fetch_add(1, Ordering::Relaxed);
        if !matches!(pdu.first(), Some(1..=4)) {
            view.counters.writes.fetch_add(1, Ordering::Relaxed);
        }
        let Some(frame) = view.frame(header, &pdu, turn) else { return };
        let (frame, delay) = frame;
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        if stream.write_all(&frame).await.is_err() {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Header {
    transaction: u16,
    unit: u8,
}

async fn receive(stream: &mut TcpStream) -> std::io::Result<(Header, Vec<u8>)> {
    let transaction = stream.read_u16().await?;
    let protocol = stream.read_u16().await?;
    let length = stream.read_u16().await?;
    if protocol != 0 || !LENGTHS.contains(&length) {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let unit = stream.read_u8().await?;
    let mut pdu = vec![0; usize::from(length) - 1];
    stream.read_exact(&mut pdu).await?;
    Ok((Header { transaction, unit }, pdu))
}

impl View {
    /// What to send and after how long; an empty frame when nothing is to be sent; `None` to hang up.
    fn frame(&self, header: Header, pdu: &[u8], turn: u64) -> Option<(Vec<u8>, Option<Duration>)> {
        let function = pdu.first().copied().unwrap_or(0);
        let Some((image, mood)) = self.units.get(&header.unit) else {
            return Some((framed(header, &[function | 0x80, NO_TARGET]), None));
        };
        let mood = *mood.borrow();
        let good = || framed(header, &answer(&image.borrow(), pdu));
        match mood {
            Responsiveness::Answering => Some((good(), None)),
            Responsiveness::Silent => Some((Vec::new(), None)),
            Responsiveness::Late(delay) => Some((good(), Some(delay))),
            Responsiveness::Dropping => None,
            Responsiveness::Exception(code) => Some((framed(header, &[function | 0x80, code]), None)),
            Responsiveness::Garbage => Some((garbage(header, pdu, turn), None)),
            Responsiveness::WrongUnit => {
                let other = Header { unit: header.unit.wrapping_add(1), ..header };
                Some((framed(other, &answer(&image.borrow(), pdu)), None))
            }
        }
    }
}

fn framed(header: Header, pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX);
    let mut frame = Vec::with_capacity(pdu.len() + 7);
    frame.extend(header.transaction.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(length.to_be_bytes());
    frame.push(header.unit);
    frame.extend(pdu);
    frame
}

/// One of four answers that are none.
fn garbage(header: Header, pdu: &[u8], turn: u64) -> Vec<u8> {
    let function = pdu.first().copied().unwrap_or(0);
    let other_unit = Header { unit: header.unit.wrapping_add(1), ..header };
    let other_transaction = Header { transaction: header.transaction.wrapping_add(7), ..header };
    match turn % 4 {
        0 => framed(header, &[function ^ 0x07, 2, 0xDE, 0xAD]),
        1 => framed(header, &[function, 200, 0xBE, 0xEF]),
        2 => framed(other_unit, &[function, 2, 0x12, 0x34]),
        _ => framed(other_transaction, &[function, 2, 0x56, 0x78]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image {
            coils: vec![true, false, true, true, false, false, false, false, true],
            discretes: vec![true],
            holding: vec![0x00FA, 1, 2],
            input: vec![0x1409],
        }
    }

    #[test]
    fn the_four_functions_answer_as_the_specification_has_it() {
        let image = image();
        assert_eq!(answer(&image, &[1, 0, 0, 0, 9]), [1, 2, 0b0000_1101, 1]);
        assert_eq!(answer(&image, &[2, 0, 0, 0, 1]), [2, 1, 1]);
        assert_eq!(answer(&image, &[3, 0, 0, 0, 2]), [3, 4, 0x00, 0xFA, 0, 1]);
        assert_eq!(answer(&image, &[4, 0, 0, 0, 1]), [4, 2, 0x14, 0x09]);
    }

    #[test]
    fn what_cannot_be_answered_is_an_exception() {
        let image = image();
        assert_eq!(answer(&image, &[3, 0, 2, 0, 2]), [0x83, ILLEGAL_ADDRESS]);
        assert_eq!(answer(&image, &[3, 0xFF, 0xFF, 0, 125]), [0x83, ILLEGAL_ADDRESS]);
        assert_eq!(answer(&image, &[3, 0, 0, 0, 0]), [0x83, ILLEGAL_VALUE]);
        assert_eq!(answer(&image, &[3, 0, 0, 0, 126]), [0x83, ILLEGAL_VALUE]);
        assert_eq!(answer(&image, &[3, 0, 0]), [0x83, ILLEGAL_VALUE]);
        assert_eq!(answer(&image, &[6, 0, 0, 0, 1]), [0x86, ILLEGAL_FUNCTION]);
        assert_eq!(answer(&image, &[]), [0x80, ILLEGAL_FUNCTION]);
    }

    async fn ask(stream: &mut TcpStream, transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
        stream.write_all(&framed(Header { transaction, unit }, pdu)).await.unwrap();
        let (header, pdu) = receive(stream).await.unwrap();
        assert_eq!((header.transaction, header.unit), (transaction, unit));
        pdu
    }

    #[tokio::test]
    async fn units_at_one_address_answer_for_themselves_and_writes_are_counted() {
        let server = Server::start([1, 2]).await.unwrap();
        server.show(1, Arc::new(image()));
        server.show(2, Arc::new(Image { holding: vec![7], ..Image::default() }));
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        assert_eq!(ask(&mut stream, 1, 1, &[3, 0, 0, 0, 1]).await, [3, 2, 0, 0xFA]);
        assert_eq!(ask(&mut stream, 2, 2, &[3, 0, 0, 0, 1]).await, [3, 2, 0, 7]);
        assert_eq!(ask(&mut stream, 3, 9, &[3, 0, 0, 0, 1]).await, [0x83, NO_TARGET]);
        assert_eq!(server.writes(), 0);
        assert_eq!(ask(&mut stream, 4, 1, &[6, 0, 0, 0, 1]).await, [0x86, ILLEGAL_FUNCTION]);
        assert_eq!((server.requests(), server.writes(), server.connections()), (4, 1, 1));
    }

    #[tokio::test]
    async fn each_way_to_misbehave_is_what_it_says() {
        let server = Server::start([1, 2]).await.unwrap();
        server.show(1, Arc::new(image()));
        server.show(2, Arc::new(image()));
        let read = [3, 0, 0, 0, 1];
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        server.behave(1, Responsiveness::Silent);
        stream.write_all(&framed(Header { transaction: 1, unit: 1 }, &read)).await.unwrap();
        // The next answer on the connection is that of the neighbour: nothing came for the silent one.
        assert_eq!(ask(&mut stream, 2, 2, &read).await, [3, 2, 0, 0xFA]);
        server.behave(1, Responsiveness::Exception(6));
        assert_eq!(ask(&mut stream, 3, 1, &read).await, [0x83, 6]);
        server.behave(1, Responsiveness::Late(Duration::from_millis(5)));
        assert_eq!(ask(&mut stream, 4, 1, &read).await, [3, 2, 0, 0xFA]);
        server.behave(1, Responsiveness::Garbage);
        for transaction in 5..9 {
            stream.write_all(&framed(Header { transaction, unit: 1 }, &read)).await.unwrap();
            let (header, pdu) = receive(&mut stream).await.unwrap();
            assert!((header.transaction, header.unit) != (transaction, 1) || pdu != [3, 2, 0, 0xFA]);
        }
        server.behave(1, Responsiveness::WrongUnit);
        stream.write_all(&framed(Header { transaction: 9, unit: 1 }, &read)).await.unwrap();
        let (header, pdu) = receive(&mut stream).await.unwrap();
        assert_eq!((header.transaction, header.unit, pdu.as_slice()), (9, 2, &[3, 2, 0, 0xFA][..]));
        server.behave(1, Responsiveness::Dropping);
        stream.write_all(&framed(Header { transaction: 9, unit: 1 }, &read)).await.unwrap();
        assert!(receive(&mut stream).await.is_err());
    }

    #[tokio::test]
    async fn a_frame_that_is_no_modbus_closes_the_connection() {
        let server = Server::start([1]).await.unwrap();
        for junk in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 1, 0, 0, 0, 1, 1, 3], &[0, 1, 0, 0, 0xFF, 0xFF, 1, 3]] {
            let mut stream = TcpStream::connect(server.addr()).await.unwrap();
            stream.write_all(junk).await.unwrap();
            assert!(receive(&mut stream).await.is_err());
        }
    }
}
