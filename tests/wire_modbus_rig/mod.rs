//! What the wire tests of the Modbus reader share: a device to configure, and a link's task to listen to.
#![allow(dead_code, reason = "every test program compiles this module and uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::field_event::FieldEvent;
use parkgate::domain::id::{DeviceId, DeviceSlot};
use parkgate::field::errand::Lenders;
use parkgate::field::settings::{Device, Encoding, Endpoint, Link, Point, PollClass, Signal, Table, WordOrder};
use parkgate::field::tap::Taps;
use parkgate::field::{Buses, Joints, run_link};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// No test waits longer for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn point(table: Table, address: u16, encoding: Encoding) -> Point {
    let (order, scale, offset, decimals, range) = (WordOrder::Abcd, 1.0, 0.0, None, None);
    Point { class: 0, table, address, encoding, order, scale, offset, decimals, range, signal: Signal::Value }
}

/// A device on loopback, polled every 100 ms, that gets 300 ms for an answer.
pub(crate) fn device(id: &str, port: u16, unit: u8, points: Vec<Point>) -> Device {
    Device {
        id: DeviceId::new(id),
        endpoint: Endpoint::tcp("127.0.0.1", port),
        unit,
        timeout: Duration::from_millis(300),
        request_gap: Duration::ZERO,
        turnaround: Duration::ZERO,
        max_registers: 125,
        max_bits: 2000,
        max_register_hole: 8,
        max_bit_hole: 32,
        backoff_initial: Duration::from_millis(50),
        backoff_max: Duration::from_millis(400),
        classes: vec![PollClass { name: "fast".to_owned(), interval: Duration::from_millis(100) }],
        points,
    }
}

/// The link of these devices, all behind the address of the first; slots count from 0.
pub(crate) fn link(devices: Vec<Device>) -> Link {
    let endpoint = devices[0].endpoint.clone();
    let devices = devices.into_iter().zip(0..).map(|(device, n)| (DeviceSlot(n), Arc::new(device))).collect();
    Link { endpoint, devices }
}

/// A link's task and what it says.
pub(crate) struct Reader {
    pub(crate) events: mpsc::Receiver<FieldEvent>,
    pub(crate) link: watch::Sender<Arc<Link>>,
    pub(crate) taps: watch::Sender<Arc<Taps>>,
    pub(crate) buses: watch::Receiver<Buses>,
    pub(crate) lenders: watch::Receiver<Lenders>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), String>>,
}

impl Reader {
    #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
    pub(crate) fn start(link: Link) -> Self {
        let (events_tx, events) = mpsc::channel(1024);
        let (link_tx, link_rx) = watch::channel(Arc::new(link));
        let stop = CancellationToken::new();
        let (taps_tx, taps) = watch::channel(Arc::new(Taps::default()));
        let (buses_tx, buses) = watch::channel(Buses::default());
        let (lenders_tx, lenders) = watch::channel(Lenders::default());
        let joints = Joints { events: events_tx, taps, buses: buses_tx, lenders: lenders_tx };
        let task = tokio::spawn(run_link(link_rx, joints, Clock::system(), stop.clone()));
        Self { events, link: link_tx, taps: taps_tx, buses, lenders, stop, task }
    }

    /// Waits for the first event of which `wanted` makes something.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(FieldEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the task lives");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search).await.expect("it comes before the deadline")
    }

    /// Stops the task and waits for it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        drop(self.link);
        let ended = tokio::time::timeout(DEADLINE, self.task).await.expect("it stops");
        assert_eq!(ended.expect("no panic"), Ok(()));
    }
}
