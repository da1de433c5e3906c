//! Outputs on the wire: a small I/O box with every way to mislead, and a stranger's (pymodbus).
//!
//! What goes wrong in the field with writes: not verified, a stale read after the write, a failure nobody hears of
//! (`anchors-gateways.md` §4 row 17).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::id::{DeviceId, OutputId};
use parkgate::domain::output::{OutputWrite, WriteResult};
use parkgate::domain::record::Mode;
use parkgate::domain::registry::Commissioning;
use parkgate::output::settings::{Allowed, Cell, Feedback, Output, Pulse};
use parkgate::output::{Call, Order};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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
        let mut output = output(port);
        adjust(&mut output);
        Self::before(output, state, tasks)
    }

    fn before(output: Output, state: Arc<Mutex<Box1>>, mut tasks: JoinSet<()>) -> Self {
        let (list, list_rx) = watch::channel(Arc::new(vec![Arc::new(output)]));
        let (calls, calls_rx) = mpsc::channel(8);
        let (records_tx, records) = mpsc::channel(64);
        let clock = Clock::system();
        let driver = parkgate::output::run(list_rx, calls_rx, records_tx, clock.clone(), CancellationToken::new());
        tasks.spawn(async move { driver.await.unwrap() });
        Self { state, calls, records, clock, _list: list, _tasks: tasks }
    }

    fn order(&self, key: &str, value: &str) -> Order {
        Order {
            output: "siren".into(),
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
    let value = |name: &str, raw| Allowed { name: name.into(), raw, seen: raw };
    Output {
        id: OutputId::new("siren"),
        name: "警笛".into(),
        device: DeviceId::new("io-1"),
        host: "127.0.0.1".into(),
        port,
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
        o.values[0] = Allowed { name: "on".into(), raw: 0x1234, seen: 0x1234 };
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
    let rig = Rig::new(Manner::Honest, |o| o.port = support::wait::free_port()).await;
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
        values: vec![Allowed { name: "on".into(), raw: 4711, seen: 4711 }],
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
