//! The demo: a simulated park, a broker, a platform, and the real gateway between them over loopback.
//!
//! ```text
//!  devices (real sockets, an RS-485 line) ◀──Modbus, OPC UA── gateway ──MQTT──▶ broker ──MQTT──▶ platform, and whoever
//!  watches
//! ```
//!
//! With `--for` (or after Ctrl-C) it ends with an account. The account closes when every record that the gateway had
//! made when the time was up is at the platform within [`DRAIN`], or inside a gap record, unchanged and in order. What
//! the gateway makes while it is stopped is in its store, and is shown as such when it did not leave any more.
//!
//! The gateway is any [`Running`] that a starter makes out of the configuration folder.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::broker::Broker;
use super::dcs::{self, Dcs};
use super::devices::{LINE_SOCKET, park};
use super::fault::{self, Fault, Faults};
use super::folder::{self, GATEWAY, PARK, Socket, Wiring};
use super::image::Image;
use super::life::{Moment, News};
use super::park::Device;
use super::platform::{Platform, Verdict};
use super::report::{self, Progress, Summary};
use super::serial::{Manner, SerialLine};
use super::server::{Responsiveness, Server};
use crate::clock::Clock;
use crate::domain::record::Stream;
use crate::domain::snapshot::{Snapshot, StoreStatus, UplinkStatus};
use crate::domain::time::Mono;
use crate::field::settings::{Line, Parity};
use crate::field::{Pki, PkiError};

/// The devices' registers change this often; twice as often as the fastest class polls.
const STEP: Duration = Duration::from_millis(100);
/// A line of progress this often.
const TELL: Duration = Duration::from_secs(2);
/// How long the last records may take to the platform.
pub const DRAIN: Duration = Duration::from_secs(15);
/// How long what was made while stopping may take.
const AFTERMATH: Duration = Duration::from_secs(2);
/// Pause between two looks at the account while it drains.
const LOOK: Duration = Duration::from_millis(200);
/// Without `--for` the outage begins here.
const OUTAGE_AT: Duration = Duration::from_secs(10);

/// Options of the demo.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// 运行多久后结束并对账，例如 30s；不写则到 Ctrl-C / run for so long, then end with an account
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub run_for: Option<Duration>,
    /// 中途让平台离线多久，例如 10s / take the platform away for so long in the middle
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub outage: Option<Duration>,
    /// 网页地址 / where the page listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// MQTT 代理地址 / where the broker listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub broker: SocketAddr,
    /// 模拟的种子，相同则园区的经历相同 / seed of the simulation: the same seed lives the same life
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

impl Default for DemoArgs {
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { run_for: None, outage: None, listen: free, broker: free, seed: 1 }
    }
}

/// A gateway that runs.
pub trait Running: Send {
    /// Where its page is.
    fn web_addr(&self) -> Option<SocketAddr>;
    /// The engine's view; `None` when it does not answer.
    fn snapshot(&self) -> impl Future<Output = Option<Arc<Snapshot>>> + Send;
    /// The store.
    fn store(&self) -> Arc<StoreStatus>;
    /// The uplink.
    fn uplink(&self) -> Arc<UplinkStatus>;
    /// Completes when it has ended by itself, with the reason; otherwise never.
    fn failed(&mut self) -> impl Future<Output = String> + Send;
    /// Stops it in order.
    fn stop(self) -> impl Future<Output = Result<(), String>> + Send;
}

/// Reads `30s`, `500ms`, `2min`, `1h`.
///
/// # Errors
/// What to write instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" | "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let wanted = || format!("`{text}` 不是时长，请写 30s 或 2min / `{text}` is no duration, write 30s or 2min");
    let total = number.parse::<u64>().ok().and_then(|n| n.checked_mul(millis)).filter(|ms| *ms > 0);
    total.map(Duration::from_millis).ok_or_else(wanted)
}

/// Runs the demo with the gateway that `start` makes out of the configuration folder. Returns whether the account
/// closes.
///
/// # Errors
/// When something cannot be started, in words.
pub async fn run_with<R, S, F>(args: DemoArgs, start: S) -> Result<bool, String>
where
    R: Running,
    S: FnOnce(PathBuf) -> F,
    F: Future<Output = Result<R, String>>,
{
    perform(args, DRAIN, start).await
}

async fn perform<R, S, F>(args: DemoArgs, patience: Duration, start: S) -> Result<bool, String>
where
    R: Running,
    S: FnOnce(PathBuf) -> F,
    F: Future<Output = Result<R, String>>,
{
    let outage = outage_of(&args)?;
    let stage = Stage::set(&args).await?;
    let gateway = start(stage.folder.path.clone()).await?;
    stage.greet(&gateway, &args);
    let mut show = Show { stage, gateway, outage, told: Duration::ZERO };
    show.play(args.run_for).await?;
    show.end(patience).await
}

impl DemoArgs {
    /// Says what is wrong with the arguments together, each by itself being right.
    ///
    /// # Errors
    ///
    /// Words for whoever typed them.
    pub fn check(&self) -> Result<(), String> {
        outage_of(self).map(drop)
    }
}

/// When the platform goes and comes back, since the start.
fn outage_of(args: &DemoArgs) -> Result<Option<(Duration, Duration)>, String> {
    let Some(outage) = args.outage else { return Ok(None) };
    let begin = match args.run_for {
        Some(run_for) if run_for <= outage => {
            return Err("--outage 须短于 --for / --outage must be shorter than --for".to_owned());
        }
        Some(run_for) => (run_for - outage) / 2,
        None => OUTAGE_AT,
    };
    Ok(Some((begin, begin + outage)))
}

/// Everything but the gateway.
struct Stage {
    clock: Clock,
    began: Mono,
    servers: Arc<Vec<Place>>,
    broker: Broker,
    platform: Platform,
    folder: Folder,
    points: usize,
    devices: usize,
    /// Where `parkgate fault` reaches this demo.
    fault_socket: PathBuf,
    _life: JoinSet<()>,
}

impl Stage {
    async fn set(args: &DemoArgs) -> Result<Self, String> {
        let clock = Clock::system();
        let devices = park();
        let servers = Arc::new(servers(&devices).await.map_err(|e| format!("a simulated device cannot start: {e}"))?);
        let broker =
            Broker::start(args.broker).await.map_err(|e| format!("the broker cannot use {}: {e}", args.broker))?;
        let folder = Folder::new().map_err(|e| format!("no temporary folder: {e}"))?;
        let dcs = trusted_dcs(&folder.path).await.map_err(|e| format!("the simulated DCS cannot start: {e}"))?;
        let wiring = Wiring {
            sockets: servers.iter().map(Place::socket).collect(),
            dcs: dcs.addr(),
            broker: broker.addr(),
            page: args.listen,
        };
        folder::write(&folder.path, &devices, &wiring)
            .map_err(|e| format!("the configuration cannot be written: {e}"))?;
        let platform = Platform::start(broker.addr(), PARK, GATEWAY, clock.clone());
        let began = clock.mono();
        let points = devices.iter().map(|d| d.points.len()).sum::<usize>() + dcs::TAGS.len();
        let count = devices.len() + 1;
        step(&devices, &servers, Moment::new(Duration::ZERO, args.seed), &|_| Fault::None);
        let mut life = JoinSet::new();
        let (faults_tx, faults) = watch::channel(Faults::default());
        let (listener, fault_socket) = fault::listen(&folder.path).map_err(|e| format!("no socket for faults: {e}"))?;
        let ids = devices.iter().map(|d| d.id.clone()).chain([folder::DCS_DEVICE.to_owned()]).collect();
        life.spawn(fault::serve(listener, ids, faults_tx, clock.clone()));
        life.spawn(live(devices, Arc::clone(&servers), dcs, clock.clone(), args.seed, faults));
        Ok(Self { clock, began, servers, broker, platform, folder, points, devices: count, fault_socket, _life: life })
    }

    fn elapsed(&self) -> Duration {
        self.clock.mono().since(self.began)
    }

    fn greet(&self, gateway: &impl Running, args: &DemoArgs) {
        let broker = self.broker.addr();
        let (sockets, devices, points) = (self.servers.len(), self.devices, self.points);
        println!("parkgate 演示 ｜ demo");
        println!("  园区 park      {sockets} 个地址 addresses, {devices} 台设备 devices, {points} 个测点 points");
        if let Some(page) = gateway.web_addr() {
            println!("  网页 page      http://{page}/");
        }
        println!("  旁观 watch     mosquitto_sub -h {} -p {} -v -t 'parkgate/#'", broker.ip(), broker.port());
        println!("  配置 folder    {}", self.folder.path.display());
        println!("  故障 fault     parkgate fault plc-nitration silent --for 20s  ({})", self.fault_socket.display());
        if args.run_for.is_none() {
            println!("  结束 end       Ctrl-C");
        }
        println!();
    }
}

/// The demo under way.
struct Show<R> {
    stage: Stage,
    gateway: R,
    outage: Option<(Duration, Duration)>,
    told: Duration,
}

impl<R: Running> Show<R> {
    /// Runs until the time is up or Ctrl-C.
    async fn play(&mut self, run_for: Option<Duration>) -> Result<(), String> {
        let (clock, began) = (self.stage.clock.clone(), self.stage.began);
        let end = run_for.map(|run_for| began + run_for);
        let mut tell = began + TELL;
        let mut next_step = began;
        loop {
            next_step = next_step + STEP;
            tokio::select! {
                () = clock.sleep_until(next_step) => self.news(),
                () = clock.sleep_until_opt(end) => return Ok(()),
                why = self.gateway.failed() => return Err(format!("the gateway ended: {why}")),
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
            if clock.mono() >= tell {
                tell = tell + TELL;
                self.tell().await;
            }
        }
    }

    /// Tells what has happened since the last call, and takes the platform away or back when it is time.
    fn news(&mut self) {
        let now = self.stage.elapsed();
        for news in News::between(self.told, now) {
            println!("{} ● {}", report::at(now), news.words());
        }
        if let Some((begin, end)) = self.outage {
            let passed = |at: Duration| self.told < at && at <= now;
            if passed(begin) {
                self.stage.broker.set_open(false);
                println!(
                    "{} ▼ 平台离线，数据入库等待 ｜ The platform is away: records wait in the store",
                    report::at(now)
                );
            }
            if passed(end) {
                self.stage.broker.set_open(true);
                println!(
                    "{} ▲ 平台恢复，先实时后补传 ｜ The platform is back: live first, then what waited",
                    report::at(now)
                );
            }
        }
        self.told = now;
    }

    async fn tell(&self) {
        let Some(snapshot) = self.gateway.snapshot().await else { return };
        let store = self.gateway.store();
        let progress = Progress {
            at: self.stage.elapsed(),
            readings: snapshot.totals.readings + snapshot.totals.readings_bad,
            made: snapshot.totals.records.iter().sum(),
            delivered: self.stage.platform.totals().records,
            lost: store.streams.iter().map(|s| s.lost).sum(),
        };
        println!("{}", progress.line());
    }

    /// Drains, stops the gateway, prints the account.
    async fn end(self, patience: Duration) -> Result<bool, String> {
        let Self { stage, gateway, .. } = self;
        stage.broker.set_open(true);
        let Some(snapshot) = gateway.snapshot().await else {
            return Err("the engine does not answer, so there is no account".to_owned());
        };
        // Numbers begin at 1 in the demo's fresh store: the next one follows from how many were made.
        let next = snapshot.totals.records.map(|made| made.saturating_add(1));
        println!("{} … 对账：等待最后的记录 ｜ Draining: waiting for the last records", report::at(stage.elapsed()));
        let drained = settled(&stage, next, patience).await?;
        let stopped = gateway.stop().await;
        let after = stage.platform.close(next).await.ok_or("the platform is gone")?;
        let last = settled(&stage, after.next, AFTERMATH).await?;
        let summary = Summary {
            made: snapshot.totals.records.iter().sum(),
            totals: snapshot.totals,
            drained,
            left: left(&last),
            last,
            platform: stage.platform.totals(),
            writes: stage.servers.iter().map(Place::writes).sum(),
            dropped_slow: stage.broker.dropped_slow(),
        };
        println!("{}", summary.table());
        // An end that was not orderly is told after the account: the account is what one wants to see then.
        stopped.map(|()| summary.closes())
    }
}

/// Numbers made while the gateway was stopped that did not leave any more.
fn left(last: &Verdict) -> u64 {
    last.closing.unexplained.iter().map(|(_, r)| r.end() - r.start() + 1).sum()
}

/// Waits until every number below `next` is explained, or `patience` has passed.
async fn settled(stage: &Stage, next: [u64; Stream::ALL.len()], patience: Duration) -> Result<Verdict, String> {
    let deadline = stage.clock.mono() + patience;
    loop {
        let verdict = stage.platform.close(next).await.ok_or("the platform is gone")?;
        if verdict.closing.unexplained.is_empty() || stage.clock.mono() >= deadline {
            return Ok(verdict);
        }
        stage.clock.sleep_until(stage.clock.mono() + LOOK).await;
    }
}

/// What serves a socket of the park.
enum Place {
    Tcp(Server),
    Line(SerialLine),
}

/// The line of the gas detectors: what they are delivered with.
const DETECTORS: Line = Line { baud: 9600, parity: Parity::None, stop_bits: 1 };

impl Place {
    fn socket(&self) -> Socket {
        match self {
            Self::Tcp(server) => Socket::Tcp(server.addr()),
            Self::Line(line) => Socket::Line(line.path().to_owned()),
        }
    }

    fn writes(&self) -> u64 {
        match self {
            Self::Tcp(server) => server.writes(),
            Self::Line(line) => line.writes(),
        }
    }

    fn show(&self, unit: u8, image: Arc<Image>) {
        match self {
            Self::Tcp(server) => server.show(unit, image),
            Self::Line(line) => line.show(unit, image),
        }
    }

    fn behave(&self, unit: u8, mood: Responsiveness) {
        match self {
            Self::Tcp(server) => server.behave(unit, mood),
            Self::Line(line) => line.behave(unit, manner_of(mood)),
        }
    }
}

/// What a slave on a line does that a socket does so.
fn manner_of(mood: Responsiveness) -> Manner {
    match mood {
        Responsiveness::Answering => Manner::Answering,
        Responsiveness::Silent => Manner::Silent,
        Responsiveness::Late(late) => Manner::Late(late),
        Responsiveness::Dropping => Manner::Half,
        Responsiveness::Exception(code) => Manner::Exception(code),
        Responsiveness::Garbage => Manner::NoiseInside,
    }
}

/// One server or line per socket, with all units behind it.
async fn servers(devices: &[Device]) -> std::io::Result<Vec<Place>> {
    let sockets = devices.iter().map(|d| d.socket + 1).max().unwrap_or(0);
    let mut servers = Vec::new();
    for socket in 0..sockets {
        let units = devices.iter().filter(|d| d.socket == socket).map(|d| d.unit);
        servers.push(match socket {
            LINE_SOCKET => Place::Line(SerialLine::pty(units, DETECTORS)?),
            _ => Place::Tcp(Server::start(units).await?),
        });
    }
    Ok(servers)
}

/// Starts the DCS; the gateway's engineer has trusted its certificate before.
async fn trusted_dcs(folder: &Path) -> Result<Dcs, String> {
    let dcs = Dcs::start(dcs::demo(folder)).await?;
    let (pki, shown) = (Pki::new(folder.join("state/pki")), dcs.certificate());
    let trust = move || -> Result<(), PkiError> {
        pki.prepare()?;
        pki.judge(&std::fs::read(shown).unwrap_or_default(), Clock::system().now().wall)?;
        let rejected = pki.list().into_iter().filter(|cert| !cert.trusted);
        rejected.map(|cert| cert.sha256).collect::<Vec<_>>().iter().try_for_each(|sha256| pki.trust(sha256).map(drop))
    };
    let trusted = tokio::task::spawn_blocking(trust).await.map_err(|e| e.to_string())?;
    trusted.map_err(crate::cli::chain)?;
    Ok(dcs)
}

/// What a fault by command is for the DCS: away while it is silent, late or restarts; without instruments for garbage.
async fn trouble(dcs: &mut Dcs, fault: Fault) {
    match fault {
        Fault::Silent | Fault::Late(_) | Fault::Restart => return dcs.end(),
        Fault::Frozen => dcs.set_fault(dcs::Fault::Frozen),
        Fault::Noise | Fault::Exception(_) => dcs.set_fault(dcs::Fault::BadStatus),
        Fault::None => dcs.set_fault(dcs::Fault::None),
    }
    // A port that is not free yet is tried again at the next step.
    if !dcs.is_running() {
        dcs.again().await.ok();
    }
}

/// Lets the park live.
async fn live(
    devices: Vec<Device>,
    servers: Arc<Vec<Place>>,
    mut dcs: Dcs,
    clock: Clock,
    seed: u64,
    faults: watch::Receiver<Faults>,
) {
    let began = clock.mono();
    let mut due = began;
    loop {
        let (now, all) = (clock.mono(), faults.borrow().clone());
        let moment = Moment::new(now.since(began), seed);
        step(&devices, &servers, moment, &|id| all.of(id, now));
        trouble(&mut dcs, all.of(folder::DCS_DEVICE, now)).await;
        dcs.set(dcs::values(moment));
        due = due + STEP;
        clock.sleep_until(due).await;
    }
}

fn step(devices: &[Device], servers: &[Place], moment: Moment, fault_of: &dyn Fn(&str) -> Fault) {
    for device in devices {
        let Some(server) = servers.get(device.socket) else { continue };
        let fault = fault_of(&device.id);
        if fault != Fault::Frozen {
            server.show(device.unit, Arc::new(device.image(moment)));
        }
        server.behave(device.unit, fault.mood().unwrap_or_else(|| device.mood(moment)));
    }
}

/// A folder that goes when the demo ends.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> std::io::Result<Self> {
        let name = format!("parkgate-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "The demo's folder could not be removed.");
        }
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    std::fs::remove_dir_all(path)
}

#[cfg(test)]
mod tests {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};

    use super::*;
    use crate::domain::registry::Registry;
    use crate::domain::snapshot::Totals;
    use crate::domain::time::{ClockTrust, Now, Timestamp};

    /// A gateway that has made `made` telemetry records and sends those of `sent`.
    struct Fake {
        made: u64,
        _tasks: JoinSet<()>,
    }

    impl Fake {
        fn start(dir: &Path, made: u64, sent: std::ops::RangeInclusive<u64>) -> Self {
            let uplink: toml::Table = std::fs::read_to_string(dir.join("uplink.toml")).unwrap().parse().unwrap();
            let port = uplink["mqtt"]["port"].as_integer().and_then(|p| u16::try_from(p).ok()).unwrap();
            let mut tasks = JoinSet::new();
            tasks.spawn(send(port, sent));
            Self { made, _tasks: tasks }
        }
    }

    /// Sends again until acknowledged by the platform, as the real one does.
    async fn send(port: u16, sent: std::ops::RangeInclusive<u64>) {
        let record = |s| format!(r#"{{"seq":{s},"t":"2026-11-23T08:00:00Z","values":{{"A":1}}}}"#);
        let records: Vec<String> = sent.map(record).collect();
        let envelope = format!(
            r#"{{"v":1,"gateway":"{GATEWAY}","epoch":"01K","boot":1,"reg":1,"stream":"telemetry","lane":"live","clock":"synced","sent_at":"2026-11-23T08:00:00Z","records":[{}]}}"#,
            records.join(",")
        );
        let base = format!("parkgate/v1/{PARK}/{GATEWAY}");
        let (client, mut events) = AsyncClient::new(MqttOptions::new("fake", "127.0.0.1", port), 10);
        client.subscribe(format!("{base}/ack"), QoS::AtLeastOnce).await.unwrap();
        loop {
            client.try_publish(format!("{base}/telemetry"), QoS::AtLeastOnce, false, envelope.clone()).ok();
            let quiet = Duration::from_millis(300);
            while let Ok(Ok(event)) = tokio::time::timeout(quiet, events.poll()).await {
                if matches!(&event, Event::Incoming(Packet::Publish(p)) if p.topic.ends_with("ack")) {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    impl Running for Fake {
        fn web_addr(&self) -> Option<SocketAddr> {
            None
        }

        async fn snapshot(&self) -> Option<Arc<Snapshot>> {
            let now = Now { mono: Mono::from_secs(1), wall: Timestamp(0), trust: ClockTrust::Synced };
            Some(Arc::new(Snapshot {
                now,
                boot: 1,
                started: now.mono,
                registry: Arc::new(Registry { rev: 1, devices: Vec::new() }),
                devices: Vec::new(),
                totals: Totals { records: [0, 0, 0, 0, 0, self.made], ..Totals::default() },
            }))
        }

        fn store(&self) -> Arc<StoreStatus> {
            Arc::default()
        }

        fn uplink(&self) -> Arc<UplinkStatus> {
            Arc::default()
        }

        async fn failed(&mut self) -> String {
            std::future::pending().await
        }

        async fn stop(self) -> Result<(), String> {
            Ok(())
        }
    }

    fn args(run_for: u64, outage: Option<u64>) -> DemoArgs {
        let millis = Duration::from_millis;
        DemoArgs { run_for: Some(millis(run_for)), outage: outage.map(millis), ..DemoArgs::default() }
    }

    #[tokio::test]
    async fn the_account_closes_when_everything_that_was_made_is_there_also_after_an_outage() {
        let start = |dir: PathBuf| async move { Ok(Fake::start(&dir, 5, 1..=5)) };
        assert!(run_with(args(600, Some(200)), start).await.unwrap());
    }

    #[tokio::test]
    async fn the_account_does_not_close_over_a_hole_and_the_folder_goes_in_any_case() {
        let (path_tx, path_rx) = std::sync::mpsc::channel();
        let start = |dir: PathBuf| async move {
            path_tx.send(dir.clone()).unwrap();
            Ok(Fake::start(&dir, 6, 1..=5))
        };
        assert!(!perform(args(100, None), Duration::from_secs(1), start).await.unwrap());
        assert!(!path_rx.recv().unwrap().exists());
    }

    #[test]
    fn durations_are_read_and_what_is_none_is_refused() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2min"), Ok(Duration::from_secs(120)));
        for bad in
            ["", "30", "s", "0s", "-1s", "1.5s", "30 s", "99999999999999999999s", "18446744073709551615h", "10秒x"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_outage_stands_in_the_middle_and_must_fit() {
        let secs = Duration::from_secs;
        assert_eq!(outage_of(&args(30_000, Some(10_000))), Ok(Some((secs(10), secs(20)))));
        assert_eq!(outage_of(&args(30_000, None)), Ok(None));
        assert!(outage_of(&args(10_000, Some(10_000))).is_err());
        let endless = DemoArgs { outage: Some(secs(5)), ..DemoArgs::default() };
        assert_eq!(outage_of(&endless), Ok(Some((OUTAGE_AT, OUTAGE_AT + secs(5)))));
    }
}
