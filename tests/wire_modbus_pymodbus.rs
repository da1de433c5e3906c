//! The Modbus reader against a stranger: a pymodbus server (`tests/peers/modbus_server.py`) with known values in every
//! encoding and order, several units, and registers that do not exist.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod wire_modbus_rig;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parkgate::domain::field_event::{FieldEvent, LinkState};
use parkgate::domain::id::DeviceSlot;
use parkgate::domain::reading::{Quality, Reading, Value};
use parkgate::field::settings::{Bus, Device, Encoding, Endpoint, Line, Parity, Point, Port, Table, WordOrder};
use parkgate::output::settings::Feedback;
use parkgate::output::{Carrier, Times};
use wire_modbus_rig::{DEADLINE, Reader, device, link, point};

const ORDERS: [WordOrder; 4] = [WordOrder::Abcd, WordOrder::Cdab, WordOrder::Badc, WordOrder::Dcba];

/// The server's process; it ends when its standard input closes, and is killed for good measure.
struct Peer {
    process: Child,
    port: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Starts the server of Modbus TCP, or says why this test is skipped.
fn peer() -> Option<Peer> {
    peer_with(&[])
}

/// Starts the server with these arguments.
fn peer_with(arguments: &[&str]) -> Option<Peer> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("PARKGATE_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let has_pymodbus =
        Command::new(&python).args(["-c", "import pymodbus.simulator, serial"]).stderr(Stdio::null()).status();
    if !has_pymodbus.is_ok_and(|status| status.success()) {
        skip(&format!("no pymodbus or pyserial for `{}`", python.display()));
        return None;
    }
    let mut process = Command::new(python)
        .arg(root.join("tests/peers/modbus_server.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).expect("it prints its port");
    let port = line.trim().parse().expect("a port");
    Some(Peer { process, port })
}

fn skip(why: &str) {
    assert!(std::env::var_os("PARKGATE_NO_SKIP").is_none(), "skipped although it must not be: {why}");
    eprintln!("SKIPPED: {why}");
}

fn patient(id: &str, port: u16, unit: u8, points: Vec<Point>) -> Device {
    Device { timeout: Duration::from_secs(10), ..device(id, port, unit, points) }
}

/// One whole poll that was answered, by ordinal.
async fn one_poll(reader: &mut Reader, slot: DeviceSlot) -> BTreeMap<u16, Reading> {
    let mut readings = BTreeMap::new();
    reader
        .until(|event| match event {
            FieldEvent::Sample(sample) if sample.slot == slot => {
                readings.extend(sample.readings);
                None
            }
            FieldEvent::Poll(poll) if poll.slot == slot => {
                let done = std::mem::take(&mut readings);
                poll.ok.then_some(done)
            }
            FieldEvent::Sample(_) | FieldEvent::Poll(_) | FieldEvent::Link(_) | FieldEvent::Gap(_) => None,
        })
        .await
}

#[tokio::test]
async fn every_encoding_in_every_order_is_read_back_exactly() {
    let Some(peer) = peer() else { return };
    let mut expected: Vec<(Point, Reading)> = Vec::new();
    let mut add = |address, encoding, order, reading| {
        expected.push((Point { order, ..point(Table::Holding, address, encoding) }, reading));
    };
    let number = |value| Reading::good(Value::Number(value));
    add(0, Encoding::U16, WordOrder::Abcd, number(65534.0));
    add(1, Encoding::I16, WordOrder::Abcd, number(-2.0));
    add(2, Encoding::Bcd16, WordOrder::Abcd, number(1234.0));
    add(0, Encoding::Bcd16, WordOrder::Abcd, Reading::missing(Quality::Sensor));
    add(3, Encoding::IntTenths, WordOrder::Abcd, number(20.9));
    for bit in 0..16 {
        add(4, Encoding::Bit(bit), WordOrder::Abcd, Reading::good(Value::Bool(bit == 0 || bit == 15)));
    }
    add(6, Encoding::Bcd32, WordOrder::Abcd, number(12_345_678.0));
    for (order, n) in ORDERS.into_iter().zip(0..) {
        add(8 + 2 * n, Encoding::F32, order, Reading::good(Value::Single(123.456)));
        add(16 + 4 * n, Encoding::U32, order, number(4_000_000_001.0));
        add(18 + 4 * n, Encoding::I32, order, number(-2_000_000_001.0));
        add(32 + 12 * n, Encoding::U64, order, Reading::good(Value::Counter(u64::MAX - 2)));
        add(36 + 12 * n, Encoding::I64, order, Reading::good(Value::Integer(i64::MIN + 5)));
        add(40 + 12 * n, Encoding::F64, order, number(-0.1));
    }
    add(80, Encoding::F32, WordOrder::Abcd, Reading::missing(Quality::Sensor));
    add(82, Encoding::F32, WordOrder::Abcd, Reading::missing(Quality::Sensor));
    let scaled =
        Point { scale: 0.1, decimals: Some(1), range: Some((0.0, 20.0)), ..point(Table::Holding, 5, Encoding::U16) };
    expected.push((scaled, Reading::new(Some(Value::Number(25.0)), Quality::OverRange)));

    let points = expected.iter().map(|(point, _)| point.clone()).collect();
    let mut reader = Reader::start(link(vec![patient("plc", peer.port, 1, points)]));
    let readings = one_poll(&mut reader, DeviceSlot(0)).await;
    for ((point, expected), ordinal) in expected.iter().zip(0_u16..) {
        assert_eq!(readings[&ordinal], *expected, "{point:?}");
    }
    reader.stop().await;
}

#[tokio::test]
async fn all_four_tables_of_two_units_behind_one_address_are_told_apart() {
    let Some(peer) = peer() else { return };
    all_four_tables(&Endpoint::tcp("127.0.0.1", peer.port)).await;
}

#[tokio::test]
async fn rtu_over_tcp_reads_all_four_tables_of_two_units() {
    let Some(peer) = peer_with(&["rtu-tcp"]) else { return };
    all_four_tables(&bus(Port::Server { host: "127.0.0.1".to_owned(), port: peer.port })).await;
}

/// The adapter is two pseudo-terminals that socat joins.
#[tokio::test]
async fn rtu_on_a_serial_pair_reads_all_four_tables_and_again_after_the_adapter_was_pulled() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let Some(adapter) = adapter(&ours, &theirs) else { return };
    let Some(peer) = peer_with(&["serial", theirs.to_str().unwrap()]) else { return };
    let endpoint = bus(Port::Serial { path: ours.to_str().unwrap().to_owned(), rs485: None });
    all_four_tables(&endpoint).await;
    let points: Vec<Point> = (0..40).map(|address| point(Table::Input, address, Encoding::U16)).collect();
    let mut reader = Reader::start(link(vec![at(&endpoint, patient("plc", 0, 1, points))]));
    one_poll(&mut reader, DeviceSlot(0)).await;
    drop((adapter, peer));
    reader
        .until(|event| match event {
            FieldEvent::Link(change) => matches!(change.state, LinkState::Down { .. }).then_some(()),
            FieldEvent::Sample(_) | FieldEvent::Poll(_) | FieldEvent::Gap(_) => None,
        })
        .await;
    let _adapter = crate::adapter(&ours, &theirs).expect("socat is still there");
    let _peer = peer_with(&["serial", theirs.to_str().unwrap()]).expect("and the server");
    assert_eq!(one_poll(&mut reader, DeviceSlot(0)).await.len(), 40);
    reader.stop().await;
}

/// The driver of the outputs has the bus lent by its reader, and the stranger's slave shows what was written.
#[tokio::test]
async fn an_output_on_a_serial_pair_is_written_between_two_polls_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let Some(_adapter) = adapter(&ours, &theirs) else { return };
    let Some(_peer) = peer_with(&["serial", theirs.to_str().unwrap()]) else { return };
    let endpoint = bus(Port::Serial { path: ours.to_str().unwrap().to_owned(), rs485: None });
    let points: Vec<Point> = (0..40).map(|address| point(Table::Input, address, Encoding::U16)).collect();
    let mut reader = Reader::start(link(vec![at(&endpoint, patient("plc", 0, 1, points))]));
    one_poll(&mut reader, DeviceSlot(0)).await;
    let buses = parkgate::app::OnBuses::new(reader.lenders.clone(), parkgate::clock::Clock::system());
    let times =
        Times { within: Duration::from_secs(10), not_after: parkgate::clock::Clock::system().mono() + DEADLINE };
    for (body, shown, value) in [
        (vec![3, 5, 0, 16, 0xFF, 0], Feedback::Coil(16), 1),
        (vec![3, 5, 0, 16, 0, 0], Feedback::Coil(16), 0),
        (vec![3, 6, 0, 110, 0x12, 0x67], Feedback::Holding(110), 0x1267),
    ] {
        assert_eq!(buses.send("bus-1", body.clone(), 6, times).await, Ok(body));
        assert_eq!(buses.read("bus-1", 3, shown, times).await, Ok(value));
    }
    assert_eq!(one_poll(&mut reader, DeviceSlot(0)).await.len(), 40);
    reader.stop().await;
}

fn bus(port: Port) -> Endpoint {
    let line = Line { baud: 115_200, parity: Parity::None, stop_bits: 1 };
    let frame_gap = line.silence();
    Endpoint::Bus(Arc::new(Bus { id: "bus-1".to_owned(), port, line, frame_gap, accepts_overload: false }))
}

fn at(endpoint: &Endpoint, device: Device) -> Device {
    Device { endpoint: endpoint.clone(), ..device }
}

/// socat between two terminals; killed when dropped, which takes both away.
struct Adapter(Child);

impl Drop for Adapter {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn adapter(ours: &Path, theirs: &Path) -> Option<Adapter> {
    for end in [ours, theirs] {
        drop(std::fs::remove_file(end));
    }
    let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
    let Ok(socat) = Command::new("socat").args([end(ours), end(theirs)]).spawn() else {
        skip("no socat (tests/setup installs it)");
        return None;
    };
    let adapter = Adapter(socat);
    while !(ours.exists() && theirs.exists()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(adapter)
}

async fn all_four_tables(endpoint: &Endpoint) {
    let mut points: Vec<Point> = Vec::new();
    for address in 0..40 {
        points.push(point(Table::Coil, address, Encoding::Bool));
        points.push(point(Table::Discrete, address, Encoding::Bool));
    }
    points.extend((0..130).map(|address| point(Table::Input, address, Encoding::U16)));
    let silent = Device { timeout: Duration::from_millis(200), ..device("silent", 0, 2, points.clone()) };
    let devices = [patient("one", 0, 1, points.clone()), silent, patient("three", 0, 3, points.clone())];
    let mut reader = Reader::start(link(devices.map(|device| at(endpoint, device)).into()));
    for (slot, unit) in [(0, 1_u16), (2, 3)] {
        let readings = one_poll(&mut reader, DeviceSlot(slot)).await;
        for (point, ordinal) in points.iter().zip(0_u16..) {
            let n = point.address;
            let value = match point.table {
                Table::Coil => Value::Bool(((n >> 1) ^ n ^ unit) & 1 == 1),
                Table::Discrete => Value::Bool(n % 3 == unit % 3),
                Table::Input => Value::Number(f64::from(unit * 1000 + n)),
                Table::Holding => panic!("not asked"),
            };
            assert_eq!(readings[&ordinal], Reading::good(value), "unit {unit}, {point:?}");
        }
    }
    let silent = reader.until(|event| match event {
        FieldEvent::Sample(sample) if sample.slot == DeviceSlot(1) => Some(sample),
        FieldEvent::Sample(_) | FieldEvent::Poll(_) | FieldEvent::Link(_) | FieldEvent::Gap(_) => None,
    });
    assert!(silent.await.readings.iter().all(|(_, reading)| *reading == Reading::missing(Quality::Comm)));
    reader.stop().await;
}

#[tokio::test]
async fn a_register_that_does_not_exist_is_found_and_the_others_are_read() {
    let Some(peer) = peer() else { return };
    let points: Vec<Point> = (100..=141).map(|address| point(Table::Holding, address, Encoding::U16)).collect();
    let mut reader = Reader::start(link(vec![patient("plc", peer.port, 1, points)]));
    let readings = one_poll(&mut reader, DeviceSlot(0)).await;
    for (ordinal, reading) in readings {
        let address = ordinal + 100;
        let expected = match address {
            120 | 141 => Reading::missing(Quality::Sensor),
            _ => Reading::good(Value::Number(f64::from(address))),
        };
        assert_eq!(reading, expected, "{address}");
    }
    reader.stop().await;
}

#[tokio::test]
async fn a_hole_that_does_not_exist_is_not_bridged_for_long() {
    let Some(peer) = peer() else { return };
    let points: Vec<Point> =
        (100..140).filter(|a| *a != 120).map(|a| point(Table::Holding, a, Encoding::U16)).collect();
    let mut reader = Reader::start(link(vec![patient("plc", peer.port, 1, points)]));
    let readings = one_poll(&mut reader, DeviceSlot(0)).await;
    assert!(readings.len() == 39 && readings.values().all(|reading| reading.quality == Quality::Good));
    reader.stop().await;
}
