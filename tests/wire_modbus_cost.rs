//! What a request costs the reader, in CPU time of its own thread; by hand:
//! `cargo test --release --test wire_modbus_cost -- --ignored --nocapture`.
//!
//! The servers run on another thread and are not counted. The events are taken by a task on the counted thread, which
//! drops them. Printed beside it: tokio-modbus alone, and a bare socket, each with the same requests.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement may")]
#![expect(clippy::disallowed_methods, reason = "a measurement looks at the clock and has no supervisor")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use parkgate::clock::Clock;
use parkgate::domain::field_event::FieldEvent;
use parkgate::domain::id::{DeviceId, DeviceSlot};
use parkgate::field::errand::Lenders;
use parkgate::field::settings::{Device, Encoding, Endpoint, Link, Point, PollClass, Signal, Table, WordOrder};
use parkgate::field::tap::Taps;
use parkgate::field::{Buses, Joints, run_link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_modbus::client::{Client, tcp};
use tokio_modbus::{Request, Slave};
use tokio_util::sync::CancellationToken;

/// Starts `n` servers on a thread of their own, and returns their ports.
fn servers(n: usize) -> Vec<u16> {
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for _ in 0..n {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tx.send(listener.local_addr().unwrap().port()).unwrap();
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(async move { drop(serve(stream).await) });
                    }
                });
            }
            std::future::pending::<()>().await;
        });
    });
    rx.into_iter().take(n).collect()
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 12];
    let mut turn = 0_u8;
    loop {
        stream.read_exact(&mut request).await?;
        turn = turn.wrapping_add(1);
        let bytes = request[11] * 2;
        let mut reply = vec![turn; usize::from(bytes) + 9];
        reply[..4].copy_from_slice(&request[..4]);
        reply[4..9].copy_from_slice(&[0, bytes + 3, request[6], request[7], bytes]);
        stream.write_all(&reply).await?;
    }
}

fn cpu() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap())
}

fn device(n: usize, port: u16, registers: u16) -> Device {
    let (order, scale, offset, decimals, range) = (WordOrder::Abcd, 0.1, 0.0, Some(1), Some((0.0, 6000.0)));
    let encoding = Encoding::U16;
    let table = Table::Holding;
    let point = |address| Point {
        class: 0,
        table,
        address,
        encoding,
        order,
        scale,
        offset,
        decimals,
        range,
        signal: Signal::Value,
    };
    Device {
        id: DeviceId::new(format!("plc-{n}")),
        endpoint: Endpoint::tcp("127.0.0.1", port),
        unit: 1,
        timeout: Duration::from_secs(1),
        request_gap: Duration::ZERO,
        turnaround: Duration::ZERO,
        max_registers: 125,
        max_bits: 2000,
        max_register_hole: 8,
        max_bit_hole: 32,
        backoff_initial: Duration::from_millis(500),
        backoff_max: Duration::from_secs(30),
        classes: vec![PollClass { name: "normal".to_owned(), interval: Duration::from_secs(1) }],
        points: (0..registers).map(point).collect(),
    }
}

/// Runs this many devices for ten seconds; prints the cost.
async fn readers(devices: usize, registers: u16) {
    let (events_tx, mut events) = mpsc::channel(1024);
    let clock = Clock::system();
    let stop = CancellationToken::new();
    let mut links = Vec::new();
    for (n, port) in servers(devices).into_iter().enumerate() {
        let device = Arc::new(device(n, port, registers));
        let link =
            Link { endpoint: device.endpoint.clone(), devices: vec![(DeviceSlot(u32::try_from(n).unwrap()), device)] };
        let (link_tx, link_rx) = watch::channel(Arc::new(link));
        let (_, taps) = watch::channel(Arc::new(Taps::default()));
        tokio::spawn(run_link(
            link_rx,
            Joints {
                events: events_tx.clone(),
                taps,
                buses: watch::channel(Buses::default()).0,
                lenders: watch::channel(Lenders::default()).0,
            },
            clock.clone(),
            stop.clone(),
        ));
        links.push(link_tx);
    }
    let warm = Instant::now() + Duration::from_secs(3);
    let (mut cpu_before, mut began) = (Duration::ZERO, None);
    let (mut samples, mut values, mut polls, mut skipped) = (0_u32, 0_usize, 0_u32, 0);
    let mut late = Vec::new();
    let end = warm + Duration::from_secs(10);
    while let Some(event) = events.recv().await {
        let now = Instant::now();
        if began.is_none() && now >= warm {
            (cpu_before, began) = (cpu(), Some(now));
            (samples, values, polls, skipped) = (0, 0, 0, 0);
            late.clear();
        }
        match event {
            FieldEvent::Sample(sample) => {
                samples += 1;
                values += sample.readings.len();
            }
            FieldEvent::Poll(poll) => {
                assert!(poll.ok);
                polls += 1;
                skipped += poll.skipped;
                late.push(poll.started.since(poll.due));
            }
            FieldEvent::Link(_) | FieldEvent::Gap(_) => {}
        }
        if now >= end {
            break;
        }
    }
    let (used, took) = (cpu() - cpu_before, began.unwrap().elapsed());
    late.sort_unstable();
    println!(
        "{devices} devices x {registers} registers: {:.4} core, {:.1} us per request, {} values/s, {polls} polls, \
         {skipped} skipped, lateness p50 {:?} p99 {:?}",
        used.as_secs_f64() / took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / f64::from(samples),
        values / 10,
        late[late.len() / 2],
        late[late.len() * 99 / 100],
    );
    stop.cancel();
}

const ALONE: u32 = 250;

/// The same requests at the same pace on one connection, by tokio-modbus without us.
async fn client_alone() {
    let stream = TcpStream::connect(("127.0.0.1", servers(1)[0])).await.unwrap();
    let mut context = tcp::attach_slave(stream, Slave(1));
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let before = cpu();
    for _ in 0..ALONE {
        ticks.tick().await;
        context.call(Request::ReadHoldingRegisters(0, 125)).await.unwrap().unwrap();
    }
    println!("tokio-modbus alone, paced: {:.1} us per request", per_request(before));
}

/// The floor: write twelve bytes, read the answer.
async fn socket_alone() {
    let mut stream = TcpStream::connect(("127.0.0.1", servers(1)[0])).await.unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut answer = [0; 259];
    let before = cpu();
    for _ in 0..ALONE {
        ticks.tick().await;
        stream.write_all(&[0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 125]).await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
    }
    println!("a bare socket, paced: {:.1} us per request", per_request(before));
}

fn per_request(before: Duration) -> f64 {
    (cpu() - before).as_secs_f64() * 1e6 / f64::from(ALONE)
}

#[test]
#[ignore = "a measurement"]
fn what_a_request_costs() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        socket_alone().await;
        client_alone().await;
        readers(200, 500).await;
        readers(50, 100).await;
    });
}
