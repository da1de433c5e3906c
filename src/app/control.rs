//! Answers what is asked on the control socket: values as they stand and change, writes to outputs, loop tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::engine::Request;
use super::outputs::Outputs;
use super::register;
use super::views::Views;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::ask::{FrameLine, PointLine, TestedLine, WroteLine};
use crate::control::session::without_role;
use crate::control::settings::Settings;
use crate::control::strangers::Strangers;
use crate::control::{self, Ask, Asked, Line, MAX_CONNECTIONS, MAX_SPAN};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::gate::hazmat::waybill::WaybillState;
use crate::domain::gate::register::look::Look;
use crate::domain::gate::register::permit::{Approve, Approver};
use crate::domain::gate::word::{PermitId, WaybillNo};
use crate::domain::id::DeviceId;
use crate::domain::output::LoopTest;
use crate::domain::reading::{Quality, Reading, Value};
use crate::domain::record::Mode;
use crate::domain::registry::{Commissioning, PointSpec};
use crate::domain::snapshot::Snapshot;
use crate::domain::time::Timestamp;
use crate::field::tap::{Direction, Frame, Tap, Taps};
use crate::output::Order;
use crate::web::Park;

/// How often a watch looks at the engine's state: as often as the fastest usual class polls.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Chunks of bytes on their way to a client: several seconds of a busy bus; beyond it they are dropped and counted.
const N_QUEUED_FRAMES: usize = 512;
/// Part of the range by which a loop test may differ when nothing is said: the accuracy class of a plain transmitter loop.
const TOLERANCE: f64 = 0.01;

/// What answers.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) views: Views,
    pub(super) outputs: Outputs,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) taps: watch::Sender<Arc<Taps>>,
    pub(super) clock: Clock,
    pub(super) store: crate::buffer::Store,
    /// The register of the gates; `None` without lanes.
    pub(super) register: Option<mpsc::Sender<register::Asked>>,
    /// What stands on what is printed.
    pub(super) paper: Paper,
}

/// What stands on every sheet that is printed.
#[derive(Clone)]
pub(super) struct Paper {
    /// The park.
    pub(super) park: String,
    /// Offset of its clocks from UTC, in minutes.
    pub(super) offset_min: i32,
}

impl Paper {
    pub(super) fn of(config: &Config, clock: &Clock) -> Self {
        let offset_min = config.register_rules(clock.now().wall).utc_offset_s / 60;
        Self { park: config.gateway.park.clone(), offset_min }
    }
}

/// Opens the socket. Without it the gateway runs all the same.
pub(super) fn open(settings: &Settings) -> Option<UnixListener> {
    match control::session::listen(settings) {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::error!(path = %settings.socket.display(), %error, "No control socket: read, watch, output and looptest cannot reach this gateway.");
            None
        }
    }
}

/// Serves the socket until `stop`.
pub(super) async fn run(
    listener: UnixListener,
    settings: Settings,
    desk: Desk,
    stop: CancellationToken,
) -> Result<(), String> {
    let (asks_tx, asks) = mpsc::channel(MAX_CONNECTIONS);
    let (served, ()) =
        tokio::join!(control::serve(listener, settings, asks_tx, stop.clone()), answer_all(asks, desk, stop));
    served
}

async fn answer_all(mut asks: mpsc::Receiver<Asked>, desk: Desk, stop: CancellationToken) {
    let mut answers = JoinSet::new();
    let mut strangers = Strangers::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(_ended) = answers.join_next() => {}
            asked = asks.recv() => match asked {
                Some(asked) if asked.caller.roles.is_empty() => {
                    let more = strangers.note(&asked.caller.name, desk.clock.mono());
                    drop(answers.spawn(refused(asked, more, desk.clone())));
                }
                Some(asked) => drop(answers.spawn(answered(asked, desk.clone()))),
                None => return,
            },
        }
    }
}

/// Refuses a caller without a role; `more` of his refusals have no entry, where this one gets one.
async fn refused(asked: Asked, more: Option<u32>, desk: Desk) {
    let Asked { ask, caller, attached: _, lines } = asked;
    let why = without_role(&caller.name);
    let words = why.to_string();
    if let Some(more) = more {
        desk.enter_refusal(ask, caller, why, more).await;
    }
    drop(lines.send(Line::End(words)).await);
}

/// Gives the whole answer and its end. A client that went away ends it at the next line.
async fn answered(asked: Asked, desk: Desk) {
    let Asked { ask, caller, attached, lines } = asked;
    if let Err(refused) = desk.enter_deed(&ask, &caller).await {
        drop(lines.send(Line::End(refused)).await);
        return;
    }
    let end = match ask {
        Ask::Read { tags } => desk.watch(&tags, Duration::ZERO, &lines).await,
        Ask::Watch { tags, for_ms } => desk.watch(&tags, Duration::from_millis(for_ms), &lines).await,
        Ask::WireLog { device, for_ms } => desk.wire_log(&device, Duration::from_millis(for_ms), &lines).await,
        Ask::Write { .. } => desk.write(ask, &lines).await,
        Ask::LoopTest { tag, issuer, expected, tolerance, really } => {
            let issuer = signed(&issuer, &caller);
            desk.loop_test(Wanted { tag, issuer, expected, tolerance, really }, &lines).await
        }
        Ask::Alarms => desk.alarms(&lines).await,
        Ask::Danger => desk.danger(&lines).await,
        Ask::Report { day } => desk.report(day.as_deref(), &lines).await,
        Ask::Lanes => desk.lanes(&lines).await,
        Ask::Lane { lane, act, why } => desk.lane((lane, act, why), caller, &lines).await,
        Ask::Roll { muster, html } => desk.roll(muster.as_deref(), html, &lines).await,
        Ask::Checks { waybill } => desk.checks(waybill, &lines).await,
        Ask::Enter { waybill, why } => desk.enter(*waybill, why, caller, &lines).await,
        Ask::Gate { act } => desk.gate(act, caller, &lines).await,
        Ask::Register { look } => desk.register(look, &lines).await,
        Ask::Approve { permit, stage, passed, why } => {
            let asked = Approve { permit: PermitId::new(permit), stage, passed, why };
            desk.approve(asked, caller, &lines).await
        }
        Ask::Waybills => desk.waybills(&lines).await,
        Ask::Waybill { number, to, why } => desk.waybill((WaybillNo::new(number), to, why), caller, &lines).await,
        Ask::Documents { kind, since_ms } => desk.documents(&kind, since_ms.map(Timestamp), &lines).await,
        Ask::Act { action } => desk.act(action, caller, &lines).await,
        Ask::Import { files, table, dry_run, partial } => {
            let files = register::Files { files, bytes: attached, table, dry_run, partial, by: caller };
            desk.import(files, &lines).await
        }
    };
    drop(lines.send(Line::End(end.err().unwrap_or_default())).await);
}

/// To look needs any role; to change something in a device, or to copy what passes on the wire, the administrator's. The
/// state machines judge their own actions, the lanes among them.
///
/// Of permits and waybills the operator notes what the enterprise says; that the park or the regulator agrees, the supervisor.
pub(super) fn may_ask(ask: &Ask, caller: &Actor) -> Result<(), Refused> {
    let one_of = |roles: &[Role], named: Role| {
        if roles.iter().any(|role| caller.has(*role)) { Ok(()) } else { Err(Refused::role(named)) }
    };
    let open = match ask {
        Ask::Read { .. }
        | Ask::Watch { .. }
        | Ask::Alarms
        | Ask::Danger
        | Ask::Report { .. }
        | Ask::Lanes
        | Ask::Lane { .. }
        | Ask::Gate { .. }
        | Ask::Checks { .. }
        | Ask::Enter { .. }
        | Ask::Register { look: Look::Tables | Look::Permits { .. } | Look::Row { .. } }
        | Ask::Waybills
        | Ask::Act { .. } => true,
        // What people did, and whom a gate decided about, is for those who answer for it; so is a whole table.
        Ask::Documents { .. } | Ask::Register { look: Look::Rows { .. } } => {
            return one_of(&[Role::Auditor, Role::Supervisor, Role::Admin], Role::Auditor);
        }
        Ask::Approve { stage: Approver::Park, .. } | Ask::Waybill { to: WaybillState::Dispatched, .. } => {
            return one_of(&[Role::Supervisor], Role::Supervisor);
        }
        Ask::Approve { stage: Approver::Enterprise, .. } | Ask::Waybill { .. } => {
            return one_of(&[Role::Operator, Role::Supervisor], Role::Operator);
        }
        // Names and telephones in clear: for who looks for people.
        Ask::Roll { .. } => {
            return one_of(&[Role::Guard, Role::Operator, Role::Supervisor], Role::Guard);
        }
        Ask::WireLog { .. } | Ask::Write { .. } | Ask::LoopTest { .. } | Ask::Import { .. } => caller.has(Role::Admin),
    };
    if open { Ok(()) } else { Err(Refused::role(Role::Admin)) }
}

/// Who says that he tested, and as whom the machine knows the caller: a name alone anybody can write.
fn signed(issuer: &str, caller: &Actor) -> String {
    if issuer == caller.name { issuer.to_owned() } else { format!("{issuer}（{}）", caller.name) }
}

/// Looks at a device as long as it lives: whoever ends, however it ends, nothing is copied any more.
struct Untap {
    taps: watch::Sender<Arc<Taps>>,
    device: DeviceId,
}

impl Untap {
    fn tapped(taps: &watch::Sender<Arc<Taps>>, device: DeviceId, to: mpsc::Sender<Frame>) -> Result<Self, String> {
        let mut free = false;
        taps.send_if_modified(|all| {
            free = all.of(&device).is_none();
            if free {
                *all = Arc::new(all.with(Tap::new(device.clone(), to.clone())));
            }
            free
        });
        if !free {
            return Err(format!("已有人在看 `{device}` / somebody looks at `{device}` already"));
        }
        Ok(Self { taps: taps.clone(), device })
    }
}

impl Drop for Untap {
    fn drop(&mut self) {
        self.taps.send_modify(|all| *all = Arc::new(all.without(&self.device)));
    }
}

/// A loop test as it was asked for.
struct Wanted {
    tag: String,
    issuer: String,
    expected: f64,
    tolerance: Option<f64>,
    really: bool,
}

impl Desk {
    pub(super) async fn snapshot(&self) -> Result<Arc<Snapshot>, String> {
        self.views.snapshot().await.ok_or_else(|| "the engine does not answer".to_owned())
    }

    async fn watch(&self, tags: &[String], span: Duration, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let end = self.clock.mono() + span.min(MAX_SPAN);
        let mut told: BTreeMap<String, PointLine> = BTreeMap::new();
        loop {
            let snapshot = self.snapshot().await?;
            if told.is_empty() {
                check_tags(tags, &snapshot)?;
            }
            for line in points(&snapshot, tags) {
                let known =
                    told.get(&line.tag).is_some_and(|old| old.value == line.value && old.quality == line.quality);
                if !known {
                    lines.send(Line::Point(line.clone())).await.map_err(|_| "the client went away")?;
                    told.insert(line.tag.clone(), line);
                }
            }
            let next = self.clock.mono() + LOOK_EVERY;
            if next > end {
                return Ok(());
            }
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                () = lines.closed() => return Ok(()),
            }
        }
    }

    async fn wire_log(&self, device: &str, span: Duration, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let id = DeviceId::new(device);
        if !self.snapshot().await?.registry.devices.iter().any(|spec| spec.id == id) {
            return Err(format!("没有设备 `{device}` / there is no device `{device}`"));
        }
        let (to, mut frames) = mpsc::channel(N_QUEUED_FRAMES);
        let untap = Untap::tapped(&self.taps, id, to)?;
        let end = self.clock.mono() + span.min(MAX_SPAN);
        loop {
            let frame = tokio::select! {
                frame = frames.recv() => frame,
                () = self.clock.sleep_until(end) => return Ok(()),
                () = lines.closed() => return Ok(()),
            };
            let Some(frame) = frame else { return Err(format!("{} is not looked at any more", untap.device)) };
            let t = self.clock.now().wall_at(frame.at).to_string();
            let hex = frame.bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ");
            let out = frame.direction == Direction::Out;
            let line = Line::Frame(FrameLine { t, out, hex, dropped: frame.dropped });
            lines.send(line).await.map_err(|_| "the client went away")?;
        }
    }

    async fn write(&self, ask: Ask, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let Ask::Write { output, value, issuer, key, within_ms, loop_test, really } = ask else { return Ok(()) };
        let order = Order {
            output,
            value,
            issuer,
            key,
            within: within_ms.map(Duration::from_millis),
            mode: if loop_test { Mode::Commissioning } else { Mode::Real },
            really,
            received: self.clock.mono(),
        };
        let write = self.outputs.write(order).await.ok_or("the gateway takes no orders now; nothing was sent")?;
        let line = WroteLine {
            result: write.result.as_str().to_owned(),
            zh: write.result.zh().to_owned(),
            raw: write.raw,
            seen: write.seen,
            detail: write.detail,
            elapsed_ms: write.elapsed_ms,
        };
        lines.send(Line::Wrote(line)).await.map_err(|_| "the client went away".to_owned())
    }

    async fn loop_test(&self, wanted: Wanted, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let snapshot = self.snapshot().await?;
        let tags = [wanted.tag.clone()];
        check_tags(&tags, &snapshot)?;
        let found = each(&snapshot).find(|found| found.spec.tag.as_str() == wanted.tag);
        let Some(found) = found else { return Ok(()) };
        may_be_tested(found.spec.commissioning, wanted.really)?;
        let test = judged(&found, &wanted, &snapshot)?;
        let line = TestedLine {
            passed: test.passed,
            read: test.read.clone(),
            quality: test.quality.clone(),
            detail: test.detail.clone(),
        };
        drop(self.requests.send(Request::LoopTest(test)).await);
        lines.send(Line::Tested(line)).await.map_err(|_| "the client went away".to_owned())
    }
}

/// A point with all that is known of it.
struct Found<'a> {
    device: &'a str,
    spec: &'a PointSpec,
    reading: Option<Reading>,
    at: Option<crate::domain::time::Mono>,
}

fn each(snapshot: &Snapshot) -> impl Iterator<Item = Found<'_>> {
    snapshot.registry.devices.iter().zip(&snapshot.devices).flat_map(|(device, view)| {
        let points = device.points.iter().zip(&view.points);
        points.map(|(spec, point)| Found { device: device.id.as_str(), spec, reading: point.reading, at: point.at })
    })
}

fn check_tags(tags: &[String], snapshot: &Snapshot) -> Result<(), String> {
    let unknown = |tag: &&String| !each(snapshot).any(|found| found.spec.tag.as_str() == tag.as_str());
    match tags.iter().find(unknown) {
        Some(tag) => Err(format!("没有位号 `{tag}` / there is no point `{tag}`")),
        None => Ok(()),
    }
}

fn points<'a>(snapshot: &'a Snapshot, tags: &'a [String]) -> impl Iterator<Item = PointLine> + 'a {
    let wanted = |found: &Found<'_>| tags.is_empty() || tags.iter().any(|tag| tag == found.spec.tag.as_str());
    each(snapshot).filter(wanted).map(|found| PointLine {
        tag: found.spec.tag.to_string(),
        name: found.spec.name.clone(),
        device: found.device.to_owned(),
        value: found.reading.and_then(|r| r.value()).map_or_else(|| "-".to_owned(), |v| shown(v, found.spec.decimals)),
        unit: found.spec.unit.clone(),
        quality: found.reading.map_or(Quality::Stale, |r| r.quality).as_str().to_owned(),
        t: found.at.map(|at| snapshot.now.wall_at(at).to_string()).unwrap_or_default(),
    })
}

fn shown(value: Value, decimals: Option<u8>) -> String {
    match (value, decimals) {
        (Value::Number(v), Some(decimals)) => format!("{v:.*}", usize::from(decimals)),
        (Value::Number(v), None) => v.to_string(),
        (Value::Single(v), _) => v.to_string(),
        (Value::Integer(v), _) => v.to_string(),
        (Value::Counter(v), _) => v.to_string(),
        (Value::Bool(v), _) => u8::from(v).to_string(),
    }
}

/// What is simulated at the instrument of a point in service goes out as real: that must be meant.
fn may_be_tested(state: Commissioning, really: bool) -> Result<(), String> {
    match state {
        Commissioning::Commissioning => Ok(()),
        Commissioning::InService if really => Ok(()),
        Commissioning::InService => Err("该点已投用：模拟值会作为真实数据上传；请先在点表改为联调，或加 --really / \
             the point is in service: what is simulated goes out as real; set it to commissioning, or add --really"
            .to_owned()),
        Commissioning::Planned | Commissioning::Stopped | Commissioning::Removed => {
            Err("该点未投用或已停用 / the point is planned or stopped".to_owned())
        }
    }
}

fn judged(found: &Found<'_>, wanted: &Wanted, snapshot: &Snapshot) -> Result<LoopTest, String> {
    if !wanted.expected.is_finite() {
        return Err("the expected value is no number".to_owned());
    }
    let span = found.spec.range.map_or(0.0, |(low, high)| high - low);
    let tolerance = wanted.tolerance.unwrap_or(span * TOLERANCE).max(0.0);
    let reading = found.reading.unwrap_or(Reading::missing(Quality::Stale));
    // What was read long ago says nothing of what the instrument shows now.
    let age = found.at.map_or(Duration::MAX, |at| snapshot.now.mono.since(at));
    let fresh = age <= found.spec.interval * 3 + Duration::from_secs(1);
    let difference = reading.as_f64().map(|v| (v - wanted.expected).abs());
    let close = difference.is_some_and(|d| d <= tolerance);
    let mut detail = format!("tolerance ±{tolerance}");
    if let Some(difference) = difference {
        detail.push_str(&format!(", off by {}", rounded(difference)));
    }
    if !fresh {
        detail.push_str(", not read lately");
    }
    if found.spec.commissioning == Commissioning::InService {
        detail.push_str(", in service");
    }
    let value = reading.value().map(|v| format!("{} {}", shown(v, found.spec.decimals), found.spec.unit));
    Ok(LoopTest {
        tag: found.spec.tag.to_string(),
        device: found.device.to_owned(),
        issuer: wanted.issuer.chars().take(crate::output::MAX_TEXT).collect(),
        expected: wanted.expected.to_string(),
        read: value.map(|v| v.trim_end().to_owned()).unwrap_or_default(),
        quality: reading.quality.as_str().to_owned(),
        passed: close && fresh && reading.quality == Quality::Good,
        detail,
    })
}

/// For people: no more digits than a display has.
fn rounded(v: f64) -> f64 {
    (v * 1e6).round() / 1e6
}
