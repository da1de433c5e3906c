//! Outputs on the wire: a small I/O box with every way to mislead, and a stranger's (pymodbus).
//!
//! What goes wrong in the field with writes: not verified, a stale read after the write, a failure nobody hears of
//! (`anchors-gateways.md` §4 row 17).

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]

mod support;
mod wire_modbus_rig;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkgate::app::OnBuses;
use parkgate::clock::Clock;
use parkgate::domain::field_event::FieldEvent;
use parkgate::domain::id::{DeviceId, DeviceSlot, OutputId};
use parkgate::domain::output::{OutputWrite, WriteResult};
use parkgate::domain::record::Mode;
use parkgate::domain::registry::Commissioning;
use parkgate::field::settings::{Bus, Device, Encoding, Endpoint, Line, Link, Parity, Point, Port, Table};
use parkgate::output::settings::{Allowed, Cell, Feedback, Idle, Output, Place, Pulse};
use parkgate::output::{Call, Carrier, NoBus, Order};
use parkgate::sim::image::Image;
use parkgate::sim::serial::{Manner as SlaveManner, SerialLine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wire_modbus_rig::{Reader, link, point};

/// How the box treats writes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Manner {
    #[default]
    Honest,
    /// Shows the old value for so many reads after a write.
    Stale(u32),
    /// Repeats the request and does nothing.
    Lies,
    /// Does it, and does not answer.
    Mute,
    /// Does nothing, and does not answer.
    Deaf,
    /// Exception 02.
    Refuses,
}

#[derive(Debug, Default)]
struct Box1 {
    manner: Manner,
    /// Functions and requests, as they came.
    writes: Vec<[u8; 5]>,
    registers: BTreeMap<u16, u16>,
    old: BTreeMap<u16, u16>,
    stale: u32,
    connections: u32,
}

impl Box1 {
    fn answer(&mut self, pdu: &[u8]) -> Option<Vec<u8>> {
        let &[function, a, b, c, d] = pdu else { return Some(vec![pdu[0] | 0x80, 3]) };
        let (address, word) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        match function {
            1..=4 => {
                let from = if self.stale > 0 { &self.old } else { &self.registers };
                let value = from.get(&address).copied().unwrap_or(0);
                self.stale = self.stale.saturating_sub(1);
                Some(if function < 3 {
                    vec![function, 1, u8::from(value != 0)]
                } else {
                    [&[function, 2][..], &value.to_be_bytes()].concat()
                })
            }
            5 | 6 => {
                self.writes.push([function, a, b, c, d]);
                if self.manner == Manner::Refuses {
                    return Some(vec![function | 0x80, 2]);
                }
                if !matches!(self.manner, Manner::Lies | Manner::Deaf) {
                    self.old = self.registers.clone();
                    self.registers.insert(address, if function == 5 { u16::from(word == 0xFF00) } else { word });
                }
                if let Manner::Stale(reads) = self.manner {
                    self.stale = reads;
                }
                (!matches!(self.manner, Manner::Mute | Manner::Deaf)).then(|| pdu.to_vec())
            }
            _ => Some(vec![function | 0x80, 1]),
        }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<Box1>>) -> std::io::Result<()> {
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head).await?;
        let mut pdu = vec![0; usize::from(u16::from_be_bytes([head[4], head[5]])) - 1];
        stream.read_exact(&mut pdu).await?;
        let answer = state.lock().unwrap().answer(&pdu);
        if let Some(answer) = answer {
            let length = u16::try_from(answer.len() + 1).unwrap().to_be_bytes();
            let frame = [&head[..4], &length, &head[6..7], &answer].concat();
            stream.write_all(&frame).await?;
        }
    }
}

/// A gateway's driver before a box.
struct Rig {
    state: Arc<Mutex<Box1>>,
    calls: mpsc::Sender<Call>,
    records: mpsc::Receiver<OutputWrite>,
    clock: Clock,
    _list: watch::Sender<Arc<Vec<Arc<Output>>>>,
    _tasks: JoinSet<()>,
}

impl Rig {
    async fn new(manner: Manner, adjust: impl FnOnce(&mut Output)) -> Self {
        let (port, state, tasks) = Self::serve(manner).await;
        let mut output = output(port);
        adjust(&mut output);
        Self::before(output, state, tasks)
    }

    /// A box that listens.
    async fn serve(manner: Manner) -> (u16, Arc<Mutex<Box1>>, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(Box1 { manner, ..Box1::default() }));
        let mut tasks = JoinSet::new();
        let shared = state.clone();
        tasks.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                peers.spawn(serve(stream, shared.clone()));
            }
        });
        (port, state, tasks)
    }

    fn before(output: Output, state: Arc<Mutex<Box1>>, tasks: JoinSet<()>) -> Self {
        Self::over(vec![output], state, tasks, NoBus)
    }

    fn over(outputs: Vec<Output>, state: Arc<Mutex<Box1>>, mut tasks: JoinSet<()>, carrier: impl Carrier) -> Self {
        let (list, list_rx) = watch::channel(Arc::new(outputs.into_iter().map(Arc::new).collect()));
        let (calls, calls_rx) = mpsc::channel(8);
        let (records_tx, records) = mpsc::channel(64);
        let clock = Clock::system();
        let stop = CancellationToken::new();
        let driver = parkgate::output::run(list_rx, calls_rx, records_tx, carrier, clock.clone(), stop);
        tasks.spawn(async move { driver.await.unwrap() });
        Self { state, calls, records, clock, _list: list, _tasks: tasks }
    }

    fn order(&self, key: &str, value: &str) -> Order {
        self.order_of("siren", key, value)
    }

    fn order_of(&self, output: &str, key: &str, value: &str) -> Order {
        Order {
            output: output.into(),
            value: value.into(),
            issuer: "duty".into(),
            key: key.into(),
            within: None,
            mode: Mode::Real,
            really: false,
            received: self.clock.mono(),
        }
    }

    async fn ask(&self, order: Order) -> oneshot::Receiver<OutputWrite> {
        let (answer, result) = oneshot::channel();
        self.calls.send(Call { order, answer }).await.unwrap();
        result
    }

    async fn write(&self, key: &str, value: &str) -> OutputWrite {
        self.ask(self.order(key, value)).await.await.unwrap()
    }

    fn n_writes(&self) -> usize {
        self.state.lock().unwrap().writes.len()
    }
}

fn output(port: u16) -> Output {
    let value = |name: &str, raw| Allowed { name: name.into(), raw, seen: raw, rank: 0 };
    Output {
        id: OutputId::new("siren"),
        name: "警笛".into(),
        device: DeviceId::new("io-1"),
        place: Place::Tcp { host: "127.0.0.1".into(), port },
        unit: 1,
        cell: Cell::Coil(16),
        values: vec![value("on", 1), value("off", 0)],
        feedback: Feedback::Coil(16),
        timeout: Duration::from_millis(300),
        deadline: Duration::from_secs(10),
        confirm_within: Duration::from_millis(400),
        pulse: Pulse::None,
        repeat_harmless: false,
        commissioning: Commissioning::InService,
        excludes: Vec::new(),
        idle: Some(Idle { raw: Some(0), at: Feedback::Coil(16), seen: 0 }),
    }
}

#[tokio::test]
async fn a_write_is_done_when_the_device_shows_it_and_leaves_one_record() {
    let mut rig = Rig::new(Manner::Honest, |_| {}).await;
    let write = rig.write("1", "on").await;
    assert_eq!((write.result, write.raw, write.seen, write.detail.as_str()), (WriteResult::Done, Some(1), Some(1), ""));
    assert_eq!(rig.state.lock().unwrap().writes, [[5, 0, 16, 0xFF, 0]]);
    assert_eq!(rig.records.recv().await.unwrap(), write);
    let register = |o: &mut Output| {
        o.cell = Cell::Register(7);
        o.feedback = Feedback::Holding(7);
        o.values[0] = Allowed { name: "on".into(), raw: 0x1234, seen: 0x1234, rank: 0 };
    };
    let rig = Rig::new(Manner::Honest, register).await;
    assert_eq!(rig.write("1", "on").await.result, WriteResult::Done);
    assert_eq!(rig.state.lock().unwrap().writes, [[6, 0, 7, 0x12, 0x34]]);
}

#[tokio::test]
async fn a_stale_read_after_a_write_is_read_again_and_not_believed() {
    let rig = Rig::new(Manner::Stale(3), |o| o.confirm_within = Duration::from_secs(10)).await;
    assert_eq!(rig.write("1", "on").await.result, WriteResult::Done);
    let rig = Rig::new(Manner::Stale(10_000), |_| {}).await;
    let write = rig.write("1", "on").await;
    assert_eq!((write.result, write.seen), (WriteResult::NotConfirmed, Some(0)));
}

#[tokio::test]
async fn a_device_that_acknowledges_and_does_nothing_is_not_believed() {
    let rig = Rig::new(Manner::Lies, |_| {}).await;
    let write = rig.write("1", "on").await;
    assert_eq!((write.result, write.seen), (WriteResult::NotConfirmed, Some(0)));
    assert!(write.detail.contains("the feedback shows 0, not 1"), "{write:?}");
}

#[tokio::test]
async fn after_silence_nothing_is_written_again_but_the_feedback_is_asked() {
    let rig = Rig::new(Manner::Mute, |_| {}).await;
    let write = rig.write("1", "on").await;
    assert_eq!((write.result, rig.n_writes()), (WriteResult::Done, 1));
    assert!(write.detail.contains("was not answered"), "{write:?}");
    let rig = Rig::new(Manner::Deaf, |_| {}).await;
    let write = rig.write("1", "on").await;
    assert_eq!((write.result, rig.n_writes()), (WriteResult::NotConfirmed, 1));
    let rig = Rig::new(Manner::Deaf, |o| o.repeat_harmless = true).await;
    assert_eq!(
        (rig.write("1", "on").await.result, rig.n_writes()),
        (WriteResult::NotConfirmed, 3),
        "harmless to repeat"
    );
}

#[tokio::test]
async fn what_the_device_refuses_or_nobody_hears_is_failed() {
    let rig = Rig::new(Manner::Refuses, |_| {}).await;
    let write = rig.write("1", "on").await;
    assert_eq!((write.result, rig.n_writes()), (WriteResult::Failed, 1));
    assert!(write.detail.contains("exception 02"), "{write:?}");
    let rig = Rig::new(Manner::Honest, |o| {
        o.place = Place::Tcp { host: "127.0.0.1".into(), port: support::wait::free_port() }
    })
    .await;
    assert_eq!(rig.write("1", "on").await.result, WriteResult::Failed);
}

#[tokio::test]
async fn an_open_that_waited_too_long_never_reaches_the_wire() {
    let mut rig = Rig::new(Manner::Honest, |o| o.deadline = Duration::from_secs(2)).await;
    let order = Order { received: rig.clock.mono() - Duration::from_secs(40), ..rig.order("1", "on") };
    assert_eq!(rig.ask(order.clone()).await.await.unwrap().result, WriteResult::Expired);
    let again = rig.ask(Order { received: rig.clock.mono(), ..order }).await.await.unwrap();
    assert_eq!(again.result, WriteResult::Expired, "the same message delivered again");
    assert_eq!(rig.state.lock().unwrap().connections, 0);
    assert_eq!(rig.records.recv().await.unwrap().result, WriteResult::Expired);
}

#[tokio::test]
async fn the_same_key_asked_by_many_at_once_is_written_once() {
    let mut rig = Rig::new(Manner::Honest, |_| {}).await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(rig.ask(rig.order("same", "on")).await);
    }
    let mut results = Vec::new();
    for answer in answers {
        results.push(answer.await.unwrap());
    }
    assert!(results.iter().all(|r| *r == results[0] && r.result == WriteResult::Done), "{results:?}");
    assert_eq!(rig.n_writes(), 1);
    assert_eq!(rig.write("other", "louder").await.result, WriteResult::Refused);
    let recorded = [rig.records.recv().await.unwrap().result, rig.records.recv().await.unwrap().result];
    assert_eq!(recorded, [WriteResult::Done, WriteResult::Refused], "one record for the key, one for the refusal");
}

#[tokio::test]
async fn a_pulse_of_the_gateway_is_taken_back_and_each_half_is_seen() {
    let pulse = Pulse::Gateway { length: Duration::from_millis(100), rest: 0, seen: 0 };
    let rig = Rig::new(Manner::Honest, |o| o.pulse = pulse).await;
    let write = rig.write("1", "on").await;
    assert_eq!((write.result, write.seen), (WriteResult::Done, Some(1)));
    assert_eq!(rig.state.lock().unwrap().writes, [[5, 0, 16, 0xFF, 0], [5, 0, 16, 0, 0]]);
}

/// Waits for a state, as long as it may take on any machine.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let seen = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(support::wait::SOON, seen).await.expect(what);
}

/// A barrier of two coils, 20 opens and 21 closes; opening outranks. `pulse` is the closing coil's.
fn barrier(place: &Place, pulse: Pulse) -> Vec<Output> {
    let coil = |id: &str, other: &str, address, rank| {
        let mut coil = Output { place: place.clone(), ..output(0) };
        coil.id = OutputId::new(id);
        (coil.cell, coil.feedback) = (Cell::Coil(address), Feedback::Coil(address));
        coil.values[0].rank = rank;
        coil.excludes = vec![OutputId::new(other)];
        coil.idle = Some(Idle { raw: Some(0), at: Feedback::Coil(address), seen: 0 });
        coil
    };
    vec![coil("open", "close", 20, 2), Output { pulse, ..coil("close", "open", 21, 1) }]
}

async fn barrier_rig(manner: Manner, pulse: Pulse, timeout: Duration) -> Rig {
    let (port, state, tasks) = Rig::serve(manner).await;
    let mut outputs = barrier(&Place::Tcp { host: "127.0.0.1".into(), port }, pulse);
    outputs.iter_mut().for_each(|output| output.timeout = timeout);
    Rig::over(outputs, state, tasks, NoBus)
}

fn coil(address: u8, on: bool) -> [u8; 5] {
    [5, 0, address, if on { 0xFF } else { 0 }, 0]
}

#[tokio::test]
async fn two_coils_that_exclude_one_another_are_never_both_energised() {
    let rig = barrier_rig(Manner::Honest, Pulse::None, Duration::from_secs(5)).await;
    let ask =
        async |output: &str, key: &str, value: &str| rig.ask(rig.order_of(output, key, value)).await.await.unwrap();
    assert_eq!(ask("close", "1", "on").await.result, WriteResult::Done);
    let open = ask("open", "2", "on").await;
    assert_eq!((open.result, open.detail.as_str()), (WriteResult::Done, "`close` was taken back first"));
    let expected = [coil(21, true), coil(21, false), coil(20, true)];
    assert_eq!(rig.state.lock().unwrap().writes, expected);
    // A relay that sticks: the other is not energised.
    rig.state.lock().unwrap().manner = Manner::Lies;
    let close = ask("close", "3", "on").await;
    assert_eq!(close.result, WriteResult::Failed);
    assert!(close.detail.contains("`open`, which excludes this output, is not seen to be idle"), "{close:?}");
    assert_eq!(rig.state.lock().unwrap().writes[3..], [coil(20, false)], "taken back, and nothing else");
}

#[tokio::test]
async fn an_open_goes_before_a_close_that_is_under_way_and_a_close_before_nothing() {
    let mut rig = barrier_rig(Manner::Deaf, Pulse::None, Duration::from_secs(10)).await;
    let close = rig.ask(rig.order_of("close", "1", "on")).await;
    until("the close is on the wire", || rig.n_writes() == 1).await;
    rig.state.lock().unwrap().manner = Manner::Honest;
    let open = rig.ask(rig.order_of("open", "2", "on")).await.await.unwrap();
    let close = close.await.unwrap();
    assert_eq!((open.result, close.result), (WriteResult::Done, WriteResult::NotConfirmed));
    assert!(close.detail.contains("it gave way to `on` of `open`"), "{close:?}");
    assert!(open.elapsed_ms < 9_000, "it did not wait for the other's 10 s: {open:?}");
    assert_eq!(
        (rig.records.recv().await.unwrap().key, rig.records.recv().await.unwrap().key),
        ("1".into(), "2".into())
    );
    rig.state.lock().unwrap().manner = Manner::Deaf;
    let open = rig.ask(rig.order_of("open", "3", "on")).await;
    until("the open is on the wire", || rig.n_writes() == 3).await;
    let refused = rig.ask(rig.order_of("close", "4", "on")).await.await.unwrap();
    assert_eq!(refused.result, WriteResult::Refused, "{refused:?}");
    drop(open);
}

#[tokio::test]
async fn a_closing_pulse_is_ended_before_the_barrier_opens() {
    let pulse = Pulse::Gateway { length: Duration::from_secs(60), rest: 0, seen: 0 };
    let rig = barrier_rig(Manner::Honest, pulse, Duration::from_secs(5)).await;
    let close = rig.ask(rig.order_of("close", "1", "on")).await;
    until("it closes", || rig.n_writes() == 1).await;
    let open = rig.ask(rig.order_of("open", "2", "on")).await.await.unwrap();
    let close = close.await.unwrap();
    assert_eq!((open.result, close.result), (WriteResult::Done, WriteResult::NotConfirmed));
    assert_eq!(rig.state.lock().unwrap().writes, [coil(21, true), coil(21, false), coil(20, true)]);
}

/// Quick enough for a test, slow enough to be a line.
const QUICK: Line = Line { baud: 38_400, parity: Parity::None, stop_bits: 1 };

/// A line with a slave that is polled without a pause and a relay box that is only written.
struct OnTheBus {
    wires: SerialLine,
    reader: Reader,
    rig: Rig,
}

impl OnTheBus {
    fn new(timeout: Duration) -> Self {
        let wires = SerialLine::pty([1, 2], QUICK).unwrap();
        wires.show(1, Arc::new(Image { holding: vec![7; 60], ..Image::default() }));
        wires.show(2, Arc::new(Image { coils: vec![false; 32], holding: vec![0; 8], ..Image::default() }));
        let port = Port::Serial { path: wires.path().to_str().unwrap().to_owned(), rs485: None };
        let frame_gap = QUICK.silence();
        let bus = Arc::new(Bus { id: "bus-1".into(), port, line: QUICK, frame_gap, accepts_overload: true });
        let device = |id: &str, unit, points: Vec<Point>| {
            let endpoint = Endpoint::Bus(Arc::clone(&bus));
            Device { endpoint, timeout, ..wire_modbus_rig::device(id, 0, unit, points) }
        };
        let points = (0..60).map(|address| point(Table::Holding, address, Encoding::U16)).collect();
        let reader = Reader::start(link(vec![device("meter", 1, points), device("relays", 2, Vec::new())]));
        let carrier = OnBuses::new(reader.lenders.clone(), Clock::system());
        let place = Place::Bus { id: "bus-1".into() };
        let siren = Output { place: place.clone(), unit: 2, timeout, ..output(0) };
        let mut outputs = barrier(&place, Pulse::None);
        outputs.iter_mut().for_each(|output| (output.unit, output.timeout) = (2, timeout));
        outputs.push(siren);
        let rig = Rig::over(outputs, Arc::default(), JoinSet::new(), carrier);
        Self { wires, reader, rig }
    }
}

#[tokio::test]
async fn an_order_on_a_bus_goes_before_the_polls_and_is_read_back_there() {
    let mut line = OnTheBus::new(Duration::from_secs(5));
    line.reader.until(Some).await;
    until("it is polled", || line.wires.asked_of(1) > 2).await;
    let order = line.rig.order("1", "on");
    let received = order.received;
    let write = line.rig.ask(order).await.await.unwrap();
    assert_eq!((write.result, write.seen, write.detail.as_str()), (WriteResult::Done, Some(1), ""));
    assert!(line.wires.image(2).coils[16]);
    let asked = line.wires.asked();
    let first = asked.iter().position(|(unit, _)| *unit == 2).unwrap();
    let between = asked[..first].iter().filter(|(_, at)| *at > received).count();
    assert!(between <= 2, "one under way, and one begun before the order was there: {between}");
    for (output, key, on) in [("close", "2", [false, true]), ("open", "3", [true, false])] {
        let write = line.rig.ask(line.rig.order_of(output, key, "on")).await.await.unwrap();
        assert_eq!(write.result, WriteResult::Done, "{write:?}");
        assert_eq!(line.wires.image(2).coils[20..22], on);
    }
    assert_eq!(line.wires.writes(), 4, "siren, close, close taken back, open");
    // A reload gives the meter other points; the bus goes on taking orders.
    line.reader.link.send_modify(|link| {
        let (_, meter) = &link.devices[0];
        let fewer = Arc::new(Device { points: meter.points[..9].to_vec(), ..(**meter).clone() });
        let devices = vec![(DeviceSlot(7), fewer), link.devices[1].clone()];
        *link = Arc::new(Link { devices, ..(**link).clone() });
    });
    let sampled = |event| matches!(event, FieldEvent::Sample(sample) if sample.slot == DeviceSlot(7)).then_some(());
    line.reader.until(sampled).await;
    assert_eq!(line.rig.write("4", "off").await.result, WriteResult::Done);
    line.reader.stop().await;
}

#[tokio::test]
async fn an_order_whose_turn_does_not_come_in_time_never_reaches_the_bus() {
    let line = OnTheBus::new(Duration::from_secs(2));
    line.wires.behave(1, SlaveManner::Silent);
    until("a silent slave has the bus", || line.wires.asked_of(1) > 0).await;
    let order = Order { within: Some(Duration::from_millis(200)), ..line.rig.order("1", "on") };
    let write = line.rig.ask(order).await.await.unwrap();
    assert_eq!(write.result, WriteResult::Expired, "{write:?}");
    line.wires.behave(1, SlaveManner::Answering);
    let polled = line.wires.asked_of(1);
    until("it is polled again", || line.wires.asked_of(1) > polled + 2).await;
    assert_eq!(line.wires.writes(), 0);
    line.reader.stop().await;
}

#[tokio::test]
async fn an_order_reaches_a_relay_box_on_a_line_whose_other_slaves_are_all_silent() {
    let line = OnTheBus::new(Duration::from_millis(500));
    line.wires.behave(1, SlaveManner::Silent);
    // By then the reader has closed its port at least once.
    until("nobody answers", || line.wires.asked_of(1) > 2).await;
    let write = line.rig.write("1", "on").await;
    assert_eq!(write.result, WriteResult::Done, "{write:?}");
    line.wires.behave(2, SlaveManner::Silent);
    let write = line.rig.write("2", "off").await;
    assert_eq!((write.result, line.wires.writes()), (WriteResult::NotConfirmed, 2), "sent once: {write:?}");
    line.reader.stop().await;
}

#[tokio::test]
async fn a_strangers_server_takes_the_write_and_shows_it() {
    let Some(python) = support::python() else { return };
    let mut process = Command::new(python)
        .arg(support::root().join("tests/peers/modbus_server.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let patient = Output { timeout: Duration::from_secs(10), ..output(port) };
    let register = Output {
        cell: Cell::Register(110),
        feedback: Feedback::Holding(110),
        values: vec![Allowed { name: "on".into(), raw: 4711, seen: 4711, rank: 0 }],
        ..patient.clone()
    };
    for output in [patient, register] {
        let rig = Rig::before(output, Arc::default(), JoinSet::new());
        let write = rig.write("1", "on").await;
        assert_eq!((write.result, write.seen), (WriteResult::Done, write.raw), "{write:?}");
    }
    drop(process.kill());
    drop(process.wait());
}
