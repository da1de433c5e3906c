//! The Modbus reader on real sockets against servers of our own that misbehave: silent, late, closing, lying, slow;
//! and what a device that fails costs the others.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod wire_modbus_rig;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkgate::domain::field_event::{FieldEvent, LinkState, Poll, Sample};
use parkgate::domain::id::DeviceSlot;
use parkgate::domain::reading::{Quality, Reading, Value};
use parkgate::field::settings::{Device, Encoding, Link, Point, Table};
use parkgate::field::tap::{Direction, Tap};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire_modbus_rig::{DEADLINE, Reader, device, link, point};

/// A request as the server saw it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Number of the request at this server, from 0.
    n: usize,
    /// Number of the connection at this server, from 0.
    connection: usize,
    transaction: u16,
    unit: u8,
    function: u8,
    address: u16,
    count: u16,
}

/// What a server does with a request.
enum Reply {
    Send(Vec<u8>),
    Bytewise(Vec<u8>),
    Late(Duration, Vec<u8>),
    SendAndClose(Vec<u8>),
    Nothing,
    Close,
}

impl Asked {
    fn frame(&self, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let length = u16::try_from(pdu.len() + 1).unwrap();
        let mut frame = [self.transaction, 0, length].map(u16::to_be_bytes).concat();
        frame.push(unit);
        frame.extend(pdu);
        frame
    }

    fn registers(&self, words: impl IntoIterator<Item = u16>) -> Vec<u8> {
        let bytes: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
        let mut pdu = vec![self.function, u8::try_from(bytes.len()).unwrap()];
        pdu.extend(bytes);
        self.frame(self.unit, &pdu)
    }

    /// Each register holds its own address.
    fn honest(&self) -> Vec<u8> {
        self.registers(self.address..self.address + self.count)
    }

    fn exception(&self, code: u8) -> Vec<u8> {
        self.frame(self.unit, &[self.function | 0x80, code])
    }
}

struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(behave: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server =
            Self { port: listener.local_addr().unwrap().port(), asked: Arc::default(), connections: Arc::default() };
        let (asked, connections, behave) =
            (Arc::clone(&server.asked), Arc::clone(&server.connections), Arc::new(behave));
        spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = connections.fetch_add(1, Ordering::SeqCst);
                let (asked, behave) = (Arc::clone(&asked), Arc::clone(&behave));
                // A broken connection ends its own task only.
                spawn(async move { drop(serve(stream, connection, &asked, &*behave).await) });
            }
        });
        server
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn asked_of(&self, unit: u8) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.unit == unit).count()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    all: &Mutex<Vec<Asked>>,
    behave: &(impl Fn(&Asked) -> Reply + Sync),
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut request = [0; 12];
        stream.read_exact(&mut request).await?;
        let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let (transaction, unit, function, address, count) = (word(0), request[6], request[7], word(8), word(10));
        assert!((1..=4).contains(&function), "only reading");
        let asked = {
            let mut all = all.lock().unwrap();
            let asked = Asked { n: all.len(), connection, transaction, unit, function, address, count };
            all.push(asked);
            asked
        };
        match behave(&asked) {
            Reply::Send(bytes) => stream.write_all(&bytes).await?,
            Reply::Bytewise(bytes) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Reply::Late(delay, bytes) => {
                tokio::time::sleep(delay).await;
                stream.write_all(&bytes).await?;
            }
            Reply::SendAndClose(bytes) => return stream.write_all(&bytes).await,
            Reply::Nothing => {}
            Reply::Close => return Ok(()),
        }
    }
}

fn holding(count: u16) -> Vec<Point> {
    (0..count).map(|address| point(Table::Holding, address, Encoding::U16)).collect()
}

fn one(server: &Server, points: Vec<Point>) -> Reader {
    Reader::start(link(vec![device("plc-1", server.port, 1, points)]))
}

fn sample(event: FieldEvent) -> Option<Sample> {
    match event {
        FieldEvent::Sample(sample) => Some(sample),
        FieldEvent::Poll(_) | FieldEvent::Link(_) | FieldEvent::Gap(_) => None,
    }
}

fn poll(event: FieldEvent) -> Option<Poll> {
    match event {
        FieldEvent::Poll(poll) => Some(poll),
        FieldEvent::Sample(_) | FieldEvent::Link(_) | FieldEvent::Gap(_) => None,
    }
}

fn state(event: FieldEvent) -> Option<LinkState> {
    match event {
        FieldEvent::Link(change) => Some(change.state),
        FieldEvent::Sample(_) | FieldEvent::Poll(_) | FieldEvent::Gap(_) => None,
    }
}

fn number(value: u16) -> Reading {
    Reading::good(Value::Number(f64::from(value)))
}

async fn wait_for(what: &str, reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_device_is_connecting_then_up_and_its_registers_are_readings() {
    let server = Server::start(|asked| Reply::Send(asked.honest())).await;
    let mut reader = one(&server, holding(200));
    assert_eq!(reader.until(state).await, LinkState::Connecting);
    assert_eq!(reader.until(state).await, LinkState::Up);
    let mut readings = reader.until(sample).await.readings;
    readings.extend(reader.until(sample).await.readings);
    assert_eq!(readings.to_vec(), (0..200).map(|a| (a, number(a))).collect::<Vec<_>>());
    for _ in 0..5 {
        let poll = reader.until(poll).await;
        assert!(poll.ok && poll.due <= poll.started && poll.started <= poll.ended);
    }
    assert_eq!(server.connections(), 1);
    reader.stop().await;
}

#[tokio::test]
async fn an_answer_in_single_bytes_is_an_answer() {
    let server = Server::start(|asked| Reply::Bytewise(asked.honest())).await;
    let mut reader = one(&server, holding(20));
    assert_eq!(reader.until(sample).await.readings.to_vec(), (0..20).map(|a| (a, number(a))).collect::<Vec<_>>());
    reader.stop().await;
}

#[tokio::test]
async fn the_bytes_of_the_device_looked_at_are_copied_and_of_no_other() {
    let server = Server::start(|asked| Reply::Send(asked.honest())).await;
    let (a, b) = (device("a", server.port, 1, holding(2)), device("b", server.port, 2, holding(2)));
    let mut reader = Reader::start(link(vec![a, b]));
    let (to, mut frames) = tokio::sync::mpsc::channel(64);
    let tapped = parkgate::domain::id::DeviceId::new("b");
    let tap = Tap::new(tapped.clone(), to);
    reader.taps.send_modify(|taps| *taps = Arc::new(taps.with(tap)));
    for (direction, rest) in
        [(Direction::Out, vec![0, 6, 2, 3, 0, 0, 0, 2]), (Direction::In, vec![0, 7, 2, 3, 4, 0, 0, 0, 1])]
    {
        let frame = tokio::time::timeout(DEADLINE, frames.recv()).await.unwrap().unwrap();
        assert_eq!((frame.device, frame.direction, &frame.bytes[4..]), (tapped.clone(), direction, rest.as_slice()));
    }
    reader.taps.send_modify(|taps| *taps = Arc::new(taps.without(&tapped)));
    // The link lets go of it: the channel closes.
    tokio::time::timeout(DEADLINE, async { while frames.recv().await.is_some() {} }).await.unwrap();
    reader.until(sample).await;
    reader.stop().await;
}

#[tokio::test]
async fn a_silent_device_is_comm_at_each_poll_and_each_connection_carries_one_request() {
    let server = Server::start(|_| Reply::Nothing).await;
    let mut reader = one(&server, holding(3));
    let LinkState::Down { reason, .. } = reader.until(|e| state(e).filter(|s| *s != LinkState::Connecting)).await
    else {
        panic!("down");
    };
    assert_eq!(reason, "no answer within 300ms");
    for _ in 0..20 {
        let sample = reader.until(sample).await;
        assert_eq!(sample.readings.len(), 3);
        assert!(sample.readings.iter().all(|(_, r)| *r == Reading::missing(Quality::Comm)));
        assert!(!reader.until(poll).await.ok);
    }
    let asked = server.asked.lock().unwrap().clone();
    assert!(asked.len() < 20, "back-off: fewer requests than polls");
    assert!(asked.iter().enumerate().all(|(n, a)| a.connection == n), "no connection is used after a timeout");
    reader.stop().await;
}

#[tokio::test]
async fn a_device_that_drops_every_connection_is_comm() {
    let server = Server::start(|_| Reply::Close).await;
    let mut reader = one(&server, holding(3));
    for _ in 0..10 {
        assert!(reader.until(sample).await.readings.iter().all(|(_, r)| *r == Reading::missing(Quality::Comm)));
    }
    reader.stop().await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_comm_and_says_refused() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut reader = Reader::start(link(vec![device("a", free, 1, holding(3)), device("b", free, 2, holding(3))]));
    let mut reasons = BTreeMap::new();
    while reasons.len() < 2 {
        let (slot, reason) = reader
            .until(|event| match event {
                FieldEvent::Link(change) => match change.state {
                    LinkState::Down { reason, .. } => Some((change.slot, reason)),
                    LinkState::Connecting | LinkState::Up => None,
                },
                FieldEvent::Sample(_) | FieldEvent::Poll(_) | FieldEvent::Gap(_) => None,
            })
            .await;
        reasons.insert(slot, reason);
    }
    assert!(reasons.values().all(|reason| reason == "connection refused"), "{reasons:?}");
    for _ in 0..10 {
        assert!(!reader.until(poll).await.ok);
    }
    reader.stop().await;
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_the_next_one() {
    // Each answer carries the number of its request; every third comes 60 ms after the reader gave it up.
    let server = Server::start(|asked| {
        let answer = asked.registers([u16::try_from(asked.n).unwrap()]);
        if asked.n % 3 == 2 { Reply::Late(Duration::from_millis(360), answer) } else { Reply::Send(answer) }
    })
    .await;
    let mut reader = one(&server, holding(1));
    let (mut good, mut last) = (0, None);
    while good < 20 {
        let sample = reader.until(sample).await;
        if let Some(Value::Number(n)) = sample.readings[0].1.value() {
            assert!(n % 3.0 < 1.5, "answer {n} was late");
            assert!(last < Some(n), "each answer once");
            last = Some(n);
            good += 1;
        }
    }
    reader.stop().await;
}

/// A server whose first answer is wrong: the reading is `comm`, the connection is dropped, the next answer counts.
async fn lies_once(name: &str, count: u16, lie: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) {
    let server = Server::start(move |asked| Reply::Send(if asked.n == 0 { lie(asked) } else { asked.honest() })).await;
    let mut reader = one(&server, holding(count));
    let first = reader.until(sample).await;
    assert_eq!(first.readings[0].1, Reading::missing(Quality::Comm), "{name}");
    assert!(!reader.until(poll).await.ok, "{name}");
    let good = reader.until(|e| sample(e).filter(|s| s.readings[0].1.quality == Quality::Good)).await;
    assert_eq!(good.readings.to_vec(), (0..count).map(|a| (a, number(a))).collect::<Vec<_>>(), "{name}");
    assert!(server.connections() >= 2, "{name}");
    reader.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_the_answer_is_no_value() {
    lies_once("wrong unit", 4, |a| a.frame(9, &a.honest()[7..])).await;
    lies_once("wrong transaction", 4, |a| Asked { transaction: a.transaction ^ 1, ..*a }.honest()).await;
    lies_once("wrong function", 4, |a| Asked { function: 4, ..*a }.honest()).await;
    lies_once("writing function", 4, |a| a.frame(a.unit, &[6, 0, 0, 0, 1])).await;
    lies_once("custom function", 4, |a| a.frame(a.unit, &[0x41, 1, 2, 3])).await;
    lies_once("exception of another function", 4, |a| a.frame(a.unit, &[0x84, 2])).await;
    lies_once("fewer registers", 4, |a| a.registers([0, 1])).await;
    lies_once("more registers", 4, |a| a.registers(0..100)).await;
    lies_once("no registers", 4, |a| a.registers([])).await;
    lies_once("odd byte count", 4, |a| a.frame(a.unit, &[3, 7, 0, 0, 0, 1, 0, 2, 0])).await;
    lies_once("byte count beyond the frame", 4, |a| a.frame(a.unit, &[3, 8, 0, 0])).await;
    lies_once("byte count short of the frame", 4, |a| a.frame(a.unit, &[3, 2, 0, 0, 0, 1, 0, 2, 0, 3])).await;
    lies_once("protocol id", 4, |a| [&a.honest()[..2], &[0, 7], &a.honest()[4..]].concat()).await;
    lies_once("length 0", 4, |a| [&a.honest()[..4], &[0, 0], &a.honest()[6..]].concat()).await;
    lies_once("length 1", 4, |a| [&a.honest()[..4], &[0, 1], &a.honest()[6..]].concat()).await;
    lies_once("length 65535", 4, |a| [&a.honest()[..4], &[0xFF, 0xFF], &a.honest()[6..]].concat()).await;
    lies_once("length 65535 and all of it", 4, |a| {
        let mut frame = [&a.honest()[..4], &[0xFF, 0xFF], &a.honest()[6..]].concat();
        frame.resize(65541, 0xA5);
        frame
    })
    .await;
    lies_once("text", 4, |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    lies_once("half an answer", 4, |a| a.honest()[..9].to_vec()).await;
}

#[tokio::test]
async fn too_many_bits_are_no_value_and_spare_bits_of_the_last_byte_are_fine() {
    let server = Server::start(|asked| {
        let bytes: &[u8] = if asked.n == 0 { &[0xFF, 0xFF, 0xFF] } else { &[0b1010_0101, 0xFF] };
        let pdu = [&[asked.function, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        Reply::Send(asked.frame(asked.unit, &pdu))
    })
    .await;
    let mut reader = one(&server, (0..9).map(|a| point(Table::Coil, a, Encoding::Bool)).collect());
    assert_eq!(reader.until(sample).await.readings[0].1, Reading::missing(Quality::Comm));
    let good = reader.until(|e| sample(e).filter(|s| s.readings[0].1.quality == Quality::Good)).await;
    let bits: Vec<Option<Value>> = good.readings.iter().map(|(_, r)| r.value()).collect();
    let expected = [true, false, true, false, false, true, false, true, true];
    assert_eq!(bits, expected.map(|bit| Some(Value::Bool(bit))));
    reader.stop().await;
}

#[tokio::test]
async fn an_exception_is_an_answer_and_the_connection_stays() {
    let server = Server::start(|asked| match asked.n {
        0 => Reply::Send(asked.exception(4)),
        1 => Reply::Send(asked.exception(6)),
        2 => Reply::Send(asked.exception(0x0B)),
        _ => Reply::Send(asked.honest()),
    })
    .await;
    let mut reader = one(&server, holding(1));
    for quality in [Quality::Sensor, Quality::Sensor, Quality::Comm] {
        assert_eq!(reader.until(sample).await.readings[0].1, Reading::missing(quality));
    }
    reader.until(|e| sample(e).filter(|s| s.readings[0].1 == number(0))).await;
    assert_eq!(server.connections(), 1);
    reader.stop().await;
}

#[tokio::test]
async fn an_illegal_register_costs_itself_only() {
    let server = Server::start(|asked| {
        let asks_13 = (asked.address..asked.address + asked.count).contains(&13);
        Reply::Send(if asks_13 { asked.exception(2) } else { asked.honest() })
    })
    .await;
    let mut reader = one(&server, holding(40));
    let mut readings = BTreeMap::new();
    while readings.len() < 40 {
        readings.extend(reader.until(sample).await.readings);
    }
    for (address, reading) in readings {
        assert_eq!(reading, if address == 13 { Reading::missing(Quality::Sensor) } else { number(address) });
    }
    reader.until(|e| poll(e).filter(|p| p.ok)).await;
    let before = server.asked();
    reader.until(poll).await;
    let asked = server.asked.lock().unwrap().clone();
    assert!(asked[before..].iter().all(|a| (a.address, a.count) == (0, 13) || (a.address, a.count) == (14, 26)));
    reader.stop().await;
}

#[tokio::test]
async fn a_peer_that_closes_idle_connections_costs_no_reading() {
    let server = Server::start(|asked| Reply::SendAndClose(asked.honest())).await;
    let mut reader = one(&server, holding(2));
    for _ in 0..10 {
        assert!(reader.until(poll).await.ok);
    }
    assert!(server.connections() >= 10);
    reader.stop().await;
}

#[tokio::test]
async fn a_poll_that_falls_due_under_a_slow_one_is_skipped_and_counted() {
    let server = Server::start(|asked| Reply::Late(Duration::from_millis(250), asked.honest())).await;
    let mut reader = one(&server, holding(1));
    let first = reader.until(poll).await;
    let (mut last, mut instants) = (first, 0);
    for _ in 0..5 {
        last = reader.until(poll).await;
        assert!(last.ok && last.skipped >= 1, "{last:?}");
        instants += last.skipped + 1;
    }
    assert_eq!(last.due.since(first.due), Duration::from_millis(100) * instants, "each instant is a poll or skipped");
    reader.stop().await;
}

#[tokio::test]
async fn the_pause_between_requests_is_kept_on_the_wire() {
    let server = Server::start(|asked| Reply::Send(asked.honest())).await;
    let slow = Device {
        request_gap: Duration::from_millis(40),
        max_registers: 1,
        ..device("slow", server.port, 1, holding(4))
    };
    let mut reader = Reader::start(link(vec![slow]));
    let poll = reader.until(poll).await;
    assert!(poll.ended.since(poll.started) >= Duration::from_millis(120), "three pauses between four requests");
    reader.stop().await;
}

#[tokio::test]
async fn a_stop_abandons_the_request_under_way() {
    let server = Server::start(|_| Reply::Nothing).await;
    let patient = Device { timeout: Duration::from_secs(3600), ..device("patient", server.port, 1, holding(1)) };
    let reader = Reader::start(link(vec![patient]));
    wait_for("a request", || server.asked() == 1).await;
    reader.stop().await;
}

#[tokio::test]
async fn a_stop_is_heard_while_the_engine_takes_nothing() {
    let server = Server::start(|asked| Reply::Send(asked.honest())).await;
    let busy = Device { max_registers: 1, ..device("busy", server.port, 1, holding(125)) };
    let reader = Reader::start(link(vec![busy]));
    // Events fill the queue of 1,024; then the reader asks no more.
    wait_for("a full queue", || reader.events.len() == 1024).await;
    reader.stop().await;
}

#[tokio::test]
async fn a_link_nobody_listens_to_ends_with_an_error() {
    let server = Server::start(|asked| Reply::Send(asked.honest())).await;
    let Reader { events, task, .. } = one(&server, holding(1));
    drop(events);
    assert!(tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn a_reload_keeps_what_stays_and_drops_what_goes_at_once() {
    let server =
        Server::start(|asked| if asked.unit == 2 { Reply::Nothing } else { Reply::Send(asked.honest()) }).await;
    let patient = Device { timeout: Duration::from_secs(3600), ..device("gone", server.port, 2, holding(1)) };
    let kept = (DeviceSlot(0), Arc::new(device("kept", server.port, 1, holding(1))));
    let gone = (DeviceSlot(1), Arc::new(patient));
    let endpoint = kept.1.endpoint.clone();
    let mut reader = Reader::start(Link { endpoint: endpoint.clone(), devices: vec![kept.clone()] });
    reader.until(|e| poll(e).filter(|p| p.ok)).await;

    // A device that never answers holds the connection for an hour; taking it away frees it at once.
    reader.link.send_replace(Arc::new(Link { endpoint: endpoint.clone(), devices: vec![kept.clone(), gone] }));
    wait_for("the silent one is asked", || server.asked_of(2) == 1).await;
    let fresh = (DeviceSlot(2), Arc::new(device("new", server.port, 3, holding(2))));
    reader.link.send_replace(Arc::new(Link { endpoint: endpoint.clone(), devices: vec![kept.clone(), fresh.clone()] }));
    let sample = reader.until(|e| sample(e).filter(|s| s.slot == DeviceSlot(2))).await;
    assert_eq!(sample.readings.to_vec(), [(0, number(0)), (1, number(1))]);
    reader.until(|e| poll(e).filter(|p| p.slot == DeviceSlot(0) && p.ok)).await;

    // What stays keeps its connection, and is not announced again.
    let connections = server.connections();
    reader.link.send_replace(Arc::new(Link { endpoint: endpoint.clone(), devices: vec![kept] }));
    let mut polls = 0;
    while polls < 10 {
        let announced = reader.until(|event| match event {
            FieldEvent::Poll(poll) => Some((poll.slot == DeviceSlot(0)).then_some(poll.ok)),
            FieldEvent::Link(change) => panic!("{change:?}"),
            FieldEvent::Sample(_) | FieldEvent::Gap(_) => None,
        });
        polls += u32::from(announced.await.is_some());
    }
    assert_eq!(server.connections(), connections);

    // Another address: another connection.
    let other = Server::start(|asked| Reply::Send(asked.honest())).await;
    let moved = (DeviceSlot(3), Arc::new(device("kept", other.port, 1, holding(1))));
    reader.link.send_replace(Arc::new(Link { endpoint: moved.1.endpoint.clone(), devices: vec![moved] }));
    reader.until(|e| poll(e).filter(|p| p.slot == DeviceSlot(3) && p.ok)).await;
    assert_eq!(other.connections(), 1);

    // No devices: the task ends.
    reader.link.send_replace(Arc::new(Link { endpoint, devices: vec![] }));
    assert_eq!(tokio::time::timeout(DEADLINE, reader.task).await.unwrap().unwrap(), Ok(()));
}

#[tokio::test]
async fn a_device_taken_away_while_it_is_asked_does_not_cost_the_others_their_connection() {
    let server = Server::start(|asked| match asked.unit {
        2 => Reply::Late(Duration::from_millis(100), asked.honest()),
        _ => Reply::Send(asked.honest()),
    })
    .await;
    let patient = |id, unit| Device { timeout: Duration::from_secs(20), ..device(id, server.port, unit, holding(1)) };
    let kept = (DeviceSlot(0), Arc::new(patient("kept", 1)));
    let gone = (DeviceSlot(1), Arc::new(patient("gone", 2)));
    let endpoint = kept.1.endpoint.clone();
    let mut reader = Reader::start(Link { endpoint: endpoint.clone(), devices: vec![kept.clone(), gone] });
    wait_for("it is asked", || server.asked_of(2) == 1).await;
    reader.link.send_replace(Arc::new(Link { endpoint, devices: vec![kept] }));
    let before = server.asked_of(1);
    wait_for("the other is polled on", || server.asked_of(1) >= before + 5).await;
    assert_eq!(server.connections(), 1);
    reader.stop.cancel();
    while let Some(event) = reader.events.recv().await {
        let told = sample(event).is_some_and(|sample| sample.slot == DeviceSlot(1));
        assert!(!told, "nothing is told of a device that is gone");
    }
    reader.stop().await;
}

/// Takes events away so that nobody waits for the engine.
fn drain(mut reader: Reader) -> Reader {
    let (_, nothing) = tokio::sync::mpsc::channel(1);
    let mut events = std::mem::replace(&mut reader.events, nothing);
    spawn(async move { while events.recv().await.is_some() {} });
    reader
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_devices_a_silent_a_dropping_and_a_late_one_cost_the_others_nothing() {
    let mut servers = Vec::new();
    for n in 0..50 {
        servers.push(
            Server::start(move |asked| match n {
                10 => Reply::Nothing,
                20 => Reply::Close,
                30 => Reply::Late(Duration::from_millis(360), asked.honest()),
                _ => Reply::Send(asked.honest()),
            })
            .await,
        );
    }
    let plc = |(n, server): (usize, &Server)| {
        // Only the late one has a short timeout: a machine that stalls must not fail the healthy ones.
        let timeout = Duration::from_millis(if [10, 30].contains(&n) { 300 } else { 5000 });
        let device = Device { timeout, ..device(&format!("plc-{n}"), server.port, 1, holding(100)) };
        drain(Reader::start(link(vec![device])))
    };
    let readers: Vec<Reader> = servers.iter().enumerate().map(plc).collect();
    let healthy: Vec<usize> = (0..50).filter(|n| ![10, 20, 30].contains(n)).collect();
    wait_for("all are polled", || healthy.iter().all(|n| servers[*n].asked() > 0)).await;

    // The window is fifty polls of the first device, however long they take here.
    let before: Vec<usize> = servers.iter().map(Server::asked).collect();
    wait_for("fifty polls", || servers[0].asked() >= before[0] + 50).await;
    let polls: Vec<usize> = healthy.iter().map(|n| servers[*n].asked() - before[*n]).collect();
    assert!(polls.iter().all(|n| (45..=55).contains(n)), "{polls:?}");
    assert!(healthy.iter().all(|n| servers[*n].connections() == 1));
    for reader in readers {
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_units_behind_one_address_a_silent_one_costs_one_timeout_per_back_off_step() {
    let server =
        Server::start(|asked| if asked.unit == 17 { Reply::Nothing } else { Reply::Send(asked.honest()) }).await;
    let unit = |unit: u8| Device {
        timeout: Duration::from_millis(50),
        backoff_initial: Duration::from_millis(500),
        backoff_max: Duration::from_secs(2),
        ..device(&format!("unit-{unit}"), server.port, unit, holding(20))
    };
    let reader = drain(Reader::start(link((1..=50).map(unit).collect())));
    wait_for("all are asked", || (1..=50).all(|unit| server.asked_of(unit) > 0)).await;

    let before: Vec<usize> = (0..=50).map(|unit| server.asked_of(unit)).collect();
    wait_for("sixty polls", || server.asked_of(1) >= before[1] + 60).await;
    let polls = |unit: u8| server.asked_of(unit) - before[usize::from(unit)];
    let others: Vec<usize> = (1..=50).filter(|unit| *unit != 17).map(polls).collect();
    assert!(others.iter().all(|n| (54..=66).contains(n)), "{others:?}");
    assert!(polls(17) <= 10, "{} probes of the silent one", polls(17));
    assert!(server.connections() <= 3 + server.asked_of(17), "one new connection per timeout");
    reader.stop().await;
}
