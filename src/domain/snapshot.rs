//! The read model: what the page, `/metrics`, `/readyz` and the demo's table show. Plain values, made by their owners
//! (engine, store, uplink), never written by a reader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::danger::view::DangerView;
use super::field_event::LinkState;
use super::gate::word::GatewayId;
use super::id::{DeviceId, DeviceSlot};
use super::instrument::InstrumentState;
use super::reading::Reading;
use super::record::{GapReason, Stream};
use super::registry::Registry;
use super::time::{ClockTrust, Mono, Now, Timestamp};

/// The engine's view of the field at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub now: Now,
    /// Start counter of the gateway.
    pub boot: u32,
    /// When this run began.
    pub started: Mono,
    /// What the points mean.
    pub registry: Arc<Registry>,
    /// One per device, in registry order.
    pub devices: Vec<DeviceView>,
    /// Counters since the start.
    pub totals: Totals,
    /// Alarms, the state of the site, what people were told.
    pub danger: DangerView,
}

/// One device as it stands.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// Its slot.
    pub slot: DeviceSlot,
    /// Its connection.
    pub link: LinkState,
    /// Since when.
    pub link_since: Option<Mono>,
    /// One per poll class.
    pub classes: Vec<ClassView>,
    /// One per point, in registry order.
    pub points: Vec<PointView>,
}

/// One poll class of one device: configured against achieved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassView {
    /// Configured interval.
    pub interval: Duration,
    /// Median of the achieved intervals of late, where there are any.
    pub p50: Option<Duration>,
    /// 95th percentile of the same.
    pub p95: Option<Duration>,
    /// 99th percentile of the same.
    pub p99: Option<Duration>,
    /// Largest delay between due and started since the start of the run.
    pub worst_late: Duration,
    /// Polls due, answered in full, failed, skipped, since the start.
    pub due: u64,
    /// See `due`.
    pub ok: u64,
    /// See `due`.
    pub bad: u64,
    /// See `due`.
    pub skipped: u64,
}

/// A field bus as it stands: planned against measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BusStatus {
    /// Its id.
    pub id: String,
    /// Serial port, or address of the serial server.
    pub place: String,
    /// Baud rate and framing, e.g. `9600 8N1`.
    pub line: String,
    /// Why it is not open, for people.
    pub trouble: Option<String>,
    /// Share of its time that the plan needs; more than 1 cannot fit.
    pub planned_load: f64,
    /// Time in which every point is read once, by the plan.
    pub planned_cycle: Duration,
    /// Share of the last minute in which it was busy, 0..=1; `None` in the first second.
    pub busy_minute: Option<f64>,
    /// The same of the last 15 minutes, or since it began.
    pub busy_quarter: Option<f64>,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent a second time because the answer came damaged.
    pub asked_again: u64,
    /// Requests to which nothing came.
    pub silent: u64,
    /// Requests to which something else came, or that were cut off.
    pub garbled: u64,
    /// Whole frames that nobody waited for: late answers.
    pub strays: u64,
    /// Bytes that were part of no frame.
    pub noise_bytes: u64,
    /// One per device and poll class, as planned.
    pub classes: Vec<BusClass>,
    /// One per device.
    pub slaves: Vec<BusSlave>,
}

/// What one poll class of a device is planned to take of its bus.
#[derive(Clone, Debug, PartialEq)]
pub struct BusClass {
    /// The device.
    pub device: DeviceId,
    /// Interval.
    pub interval: Duration,
    /// Requests of one poll.
    pub requests: usize,
    /// Time of one poll on the line.
    pub time: Duration,
}

/// A device on a bus.
#[derive(Clone, Debug, PartialEq)]
pub struct BusSlave {
    /// The device.
    pub device: DeviceId,
    /// Time that it was expected to take before it begins to answer.
    pub planned_turnaround: Duration,
    /// The time that it took of late; `None` before its first answer.
    pub turnaround: Option<Duration>,
    /// Time that it costs while it is dead, once per back-off step.
    pub dead_time: Duration,
}

/// One point as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointView {
    /// The last reading; `None` before the first.
    pub reading: Option<Reading>,
    /// When it was read.
    pub at: Option<Mono>,
    /// What the instrument is doing and since when, where a state word tells it.
    pub state: Option<(InstrumentState, Mono)>,
}

/// Counters of the engine since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Readings that reached the engine with a value.
    pub readings: u64,
    /// Readings that reached it without one.
    pub readings_bad: u64,
    /// Readings of state words whose code has no name in the configuration.
    pub states_unknown: u64,
    /// Values put into telemetry records after report by exception.
    pub values_recorded: u64,
    /// Records made, by stream rank.
    pub records: [u64; Stream::ALL.len()],
    /// Polls due.
    pub polls_due: u64,
    /// Polls skipped.
    pub polls_skipped: u64,
    /// Events refused because their slot is gone (a reload overtook them).
    pub stale_events: u64,
    /// Largest delay between due and started of any poll.
    pub worst_late: Duration,
}

/// The store as it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreStatus {
    /// Identity of the store, a ULID; new only when the store was replaced.
    pub epoch: String,
    /// Whether writing works.
    pub healthy: bool,
    /// Why not, for people.
    pub trouble: Option<String>,
    /// One per stream, by rank.
    pub streams: [StreamStatus; Stream::ALL.len()],
    /// Bytes on disk of all segments.
    pub bytes: u64,
    /// The configured quota.
    pub quota_bytes: u64,
    /// Bytes free on the file system, where known.
    pub free_bytes: Option<u64>,
    /// Entries of the gap ledger that the platform has not acknowledged.
    pub gaps_open: u64,
    /// Entries of the gap ledger ever.
    pub gaps_total: u64,
    /// Numbers lost, by reason, over all streams.
    pub lost: Vec<(GapReason, u64)>,
    /// Segments in quarantine.
    pub quarantined: u64,
    /// How often the store was reopened after a failure.
    pub reopened: u64,
    /// The longest commit (insert, flush, fsync) of this run.
    pub worst_commit: Duration,
    /// Commits of this run.
    pub commits: u64,
}

/// One stream of the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamStatus {
    /// First number that is kept; 0 when nothing is.
    pub first: u64,
    /// Last number that is stored; 0 when none ever was.
    pub stored: u64,
    /// Next number to be given.
    pub next: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Wall time of the oldest record kept.
    pub oldest: Option<Timestamp>,
    /// Numbers not delivered to the named consumer and not inside a gap.
    pub waiting: u64,
    /// Numbers inside gaps.
    pub lost: u64,
}

/// The uplink as it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UplinkStatus {
    /// Whether an uplink is configured.
    pub configured: bool,
    /// Broker address, for people; never a password.
    pub broker: String,
    /// One per session: urgent, bulk, commands.
    pub sessions: Vec<SessionStatus>,
    /// One per stream, by rank.
    pub streams: [DeliveryStatus; Stream::ALL.len()],
    /// Last acknowledgement by the platform (or PUBACK where that is what counts).
    pub last_ack: Option<Mono>,
    /// Age of the youngest live record when it was sent, of late.
    pub live_age: Option<Duration>,
    /// Messages refused, by reason: `ack_garbage`, `ack_unsent`, `ack_epoch`, `oversized`, `command_*`.
    pub refused: Vec<(&'static str, u64)>,
}

/// One MQTT session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionStatus {
    /// `urgent`, `bulk` or `commands`.
    pub name: &'static str,
    /// Whether it is connected.
    pub up: bool,
    /// Since when it is as it is.
    pub since: Option<Mono>,
    /// Session attempts of this run.
    pub attempts: u64,
    /// Why it is down, for people.
    pub trouble: Option<String>,
}

/// Delivery of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// Records acknowledged by the platform, of all time in this epoch.
    pub delivered: u64,
    /// Records sent and not yet acknowledged.
    pub in_flight: u64,
    /// Records that wait for delivery, in flight or not.
    pub waiting: u64,
    /// Records sent again, of this run.
    pub resent: u64,
    /// Records of this run that nobody had when memory had no room for them any more: neither the platform nor the store.
    pub let_go: u64,
}

/// The clock as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockStatus {
    /// Trust in wall time.
    pub trust: ClockTrust,
    /// Steps seen in this run.
    pub steps: u64,
    /// The last step in milliseconds.
    pub last_step_ms: Option<i64>,
    /// How long ago the kernel last said that the clock is disciplined; `None`: never in this run.
    pub since_synced: Option<Duration>,
    /// The kernel's estimate of the error, where it gives one.
    pub max_error: Option<Duration>,
}

/// The configuration on disk against the one in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigStatus {
    /// The newest files, where they are refused.
    pub refused: Option<RefusedConfig>,
    /// Parts of the newest files that take effect at the next start.
    pub restart: Vec<&'static str>,
}

/// A configuration that is not taken over; the running one goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedConfig {
    /// Since when what is on disk is refused.
    pub since: Mono,
    /// Why, Chinese first, the first of them only.
    pub problems: Vec<String>,
    /// How many there are in all.
    pub total: usize,
}

/// The OPC UA sources as they stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpcUaStatus {
    /// One per server, by its id.
    pub servers: BTreeMap<String, OpcUaServer>,
    /// Certificates of servers: those rejected until an engineer trusts them, and those trusted.
    pub certificates: Vec<Certificate>,
}

/// One OPC UA server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpcUaServer {
    /// Its address.
    pub url: String,
    /// Policy and mode, e.g. `Basic256Sha256 SignAndEncrypt`.
    pub security: String,
    /// Whether anything protects the messages.
    pub is_secured: bool,
    /// Whether the subscription stands.
    pub up: bool,
    /// Why not, for people.
    pub trouble: Option<String>,
    /// Points that the server watches.
    pub watched: usize,
    /// Points that it refuses.
    pub refused: usize,
    /// What was counted since the start.
    pub counters: OpcUaCounters,
}

/// What an OPC UA source counts since the start of its task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpcUaCounters {
    /// Sessions that the server was asked for (CreateSession); at most one per attempt.
    pub sessions: u64,
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Notifications, keep-alives among them.
    pub notifications: u64,
    /// Values in them.
    pub values: u64,
    /// Values with the overflow bit: the server lost some before.
    pub overflows: u64,
    /// Notifications missing by their number.
    pub sequence_gaps: u64,
    /// Notifications for which the gateway had no room.
    pub dropped: u64,
    /// Sessions torn down because nothing was heard.
    pub watchdog: u64,
    /// Values of a usable status that are no number.
    pub no_numbers: u64,
    /// Values read from the server's history.
    pub history_values: u64,
}

/// A server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-1 of its DER form, in hex: what other OPC UA tools show.
    pub sha1: String,
    /// SHA-256 of the same, in hex.
    pub sha256: String,
    /// Whom it names.
    pub subject: String,
    /// Valid from.
    pub from: Timestamp,
    /// Valid until.
    pub to: Timestamp,
    /// Whether an engineer trusts it.
    pub trusted: bool,
}

/// Sharing between the gateways of a park as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersStatus {
    /// Whether there are other gateways to share with.
    pub configured: bool,
    /// The park's broker, `host:port`.
    pub broker: String,
    /// Whether the session is up.
    pub up: bool,
    /// Since when it is as it is.
    pub since: Option<Mono>,
    /// Attempts to connect.
    pub attempts: u64,
    /// Why it is down, for people.
    pub trouble: Option<String>,
    /// The other gateways.
    pub peers: Vec<PeerStatus>,
    /// Events given to all as they were stored.
    pub shared: u64,
    /// Events given to one that lacked them.
    pub resent: u64,
    /// Events of others taken in, those known among them.
    pub taken: u64,
    /// Messages that did not go because the line was busy; what was in them is asked for.
    pub dropped: u64,
    /// What was refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
}

/// One of the park's other gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Which.
    pub gateway: GatewayId,
    /// When it surely heard us last, and said so.
    pub heard: Option<Mono>,
    /// Whether what it had, when last compared, is here.
    pub in_step: bool,
}
