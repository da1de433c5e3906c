//! The demo: a simulated park, a broker, a platform, and the real gateway between them over loopback.
//!
//! ```text
//!  devices (real sockets, an RS-485 line) ◀──Modbus, OPC UA── gateway ──MQTT──▶ broker ──MQTT──▶ platform, and whoever
//!  gates (cameras, modules, readers) ◀──HTTP, Modbus, TCP─────┘                                  watches
//! ```
//!
//! With `--for` (or after Ctrl-C) it ends with an account. The account closes when every record that the gateway had
//! made when the time was up is at the platform within [`DRAIN`], or inside a gap record, unchanged and in order, and when the
//! platform has exactly the passages that the world of the gates has. What
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
use super::dcs;
use super::devices::park;
use super::fault::{self, Faults, Nature};
use super::folder::{self, GATEWAY, PARK, Wiring};
use super::gates::story::{GateNews, Story};
use super::gates::trips::Trips;
use super::gates::{Gatehouse, LANES, desk, papers};
use super::life::{Moment, News, Trouble};
use super::orders::Order;
use super::platform::{Platform, Verdict};
use super::report::{self, Progress, Summary};
use super::sockets::{Place, live, servers, step, trusted_dcs};
use crate::clock::Clock;
use crate::domain::gate::gates::view::GatesView;
use crate::domain::gate::verdict::Verdict as Ruling;
use crate::domain::record::Stream;
use crate::domain::snapshot::{Snapshot, StoreStatus, UplinkStatus};
use crate::domain::time::Mono;

/// The story is looked at this often.
const STEP: Duration = Duration::from_millis(100);
/// A line of progress this often.
const TELL: Duration = Duration::from_secs(2);
/// How long the last records may take to the platform.
pub const DRAIN: Duration = Duration::from_secs(15);
/// How long what was made while stopping may take.
const AFTERMATH: Duration = Duration::from_secs(2);
/// Pause between two looks at the account while it drains.
const LOOK: Duration = Duration::from_millis(200);
/// The lists of the register are sent again this often, until the gateway has them.
const ORDER_EVERY: Duration = Duration::from_secs(2);
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
    /// What stands at the gates; `None` when they do not answer.
    fn gates(&self) -> impl Future<Output = Option<Arc<GatesView>>> + Send;
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
    let orders = orders(&stage.clock);
    let mut show = Show {
        stage,
        gateway,
        outage,
        told: Duration::ZERO,
        orders,
        order_at: Mono::default(),
        trips: Trips::default(),
    };
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
    /// What drives and walks through the gates.
    story: Story,
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
        let unwritten = |e| format!("the configuration cannot be written: {e}");
        folder::write(&folder.path, &devices, &wiring).map_err(unwritten)?;
        let gatehouse = Gatehouse::start().await.map_err(|e| format!("the simulated gates cannot start: {e}"))?;
        gatehouse.write(&folder.path).map_err(unwritten)?;
        let story = Story::start(gatehouse, &clock);
        let platform = Platform::start(broker.addr(), PARK, GATEWAY, clock.clone());
        let began = clock.mono();
        let points = devices.iter().map(|d| d.points.len()).sum::<usize>() + dcs::TAGS.len();
        let count = devices.len() + 1;
        step(&devices, &servers, Moment::new(Duration::ZERO, args.seed), &Faults::default(), began);
        let mut life = JoinSet::new();
        let (faults_tx, faults) = watch::channel(Faults::default());
        let (listener, fault_socket) = fault::listen(&folder.path).map_err(|e| format!("no socket for faults: {e}"))?;
        let known = devices.iter().map(|d| (d.id.clone(), d.nature));
        let known = known.chain([(folder::DCS_DEVICE.to_owned(), Nature::Dcs)]).collect();
        life.spawn(fault::serve(listener, known, faults_tx, clock.clone()));
        life.spawn(live(devices, Arc::clone(&servers), dcs, clock.clone(), args.seed, faults));
        let (devices, _life) = (count, life);
        Ok(Self { clock, began, servers, broker, platform, folder, points, devices, story, fault_socket, _life })
    }

    fn elapsed(&self) -> Duration {
        self.clock.mono().since(self.began)
    }

    fn greet(&self, gateway: &impl Running, args: &DemoArgs) {
        let broker = self.broker.addr();
        let (sockets, devices, points) = (self.servers.len(), self.devices, self.points);
        println!("parkgate 演示 ｜ demo");
        println!("  园区 park      {sockets} 个地址 addresses, {devices} 台设备 devices, {points} 个测点 points");
        println!("  卡口 gates     {} 条车道 lanes, {} 张表 tables of the register", LANES.len(), papers::N_TABLES);
        if let Some(page) = gateway.web_addr() {
            println!("  网页 page      http://{page}/");
        }
        println!("  旁观 watch     mosquitto_sub -h {} -p {} -v -t 'parkgate/#'", broker.ip(), broker.port());
        println!("  配置 folder    {}", self.folder.path.display());
        println!("  故障 fault     parkgate fault plc-nitration silent --for 20s  ({})", self.fault_socket.display());
        println!("  泄漏 leak      parkgate fault gas-7001 leak --for 60s");
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
    /// The lists that the platform has for the gates, until the gateway has them.
    orders: Vec<Order>,
    order_at: Mono,
    trips: Trips,
}

/// The tables of the register as the platform sends them.
fn orders(clock: &Clock) -> Vec<Order> {
    let order = |message| {
        serde_json::to_string(&message).map(|list| Order { name: "register", args: format!("{{\"list\":{list}}}") })
    };
    // A value of these types is always JSON.
    papers::tables(clock.now().wall).into_iter().filter_map(|message| order(message).ok()).collect()
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
                () = clock.sleep_until(next_step) => {
                    self.news();
                    self.gates().await;
                }
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
        for trouble in Trouble::between(self.told, now) {
            println!("{} ● {}", report::at(now), trouble.words());
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

    /// Has the platform send its lists until the gateway has them, lets people come then, and tells what became of them.
    async fn gates(&mut self) {
        let now = self.stage.clock.mono();
        if now >= self.order_at {
            self.order_at = now + ORDER_EVERY;
            if let Some(view) = self.gateway.gates().await {
                self.papers(now, &view).await;
            }
        }
        while let Ok(news) = self.stage.story.news.try_recv() {
            let view = self.gateway.gates().await;
            println!("{} ◆ {}", report::at(self.stage.elapsed()), told(&news, view.as_deref()));
            if let Some(view) = view {
                self.trips.take(&news, &view, &self.stage.folder.path).await;
            }
        }
    }

    /// Has the platform send what the gateway does not have yet; once it has the register, somebody counts, and people come.
    async fn papers(&mut self, now: Mono, view: &GatesView) {
        let folder = &self.stage.folder.path;
        if let Some(began) = self.stage.story.began() {
            let order = self.trips.follow(now.since(began), view, folder).await;
            order.into_iter().for_each(|order| self.stage.platform.order(order));
        } else {
            if usize::try_from(view.register_rev).is_ok_and(|rev| rev >= self.orders.len()) {
                self.orders.clear();
                let at = report::at(self.stage.elapsed());
                match desk::count(folder).await {
                    Ok(()) => println!("{at} ◆ 已清点并签字：园内无人 ｜ Counted and signed: nobody is inside"),
                    Err(why) => println!("{at} ▲ 未清点 ｜ Nobody has counted who is inside: {why}"),
                }
                self.stage.story.begin(now);
            }
            self.orders.iter().for_each(|order| self.stage.platform.order(order.clone()));
        }
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
        stage.story.end();
        let world = stage.story.ledger.look();
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
            world,
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

/// What became of a visit, with the codes for which the gate decided so.
fn told(news: &GateNews, view: Option<&GatesView>) -> String {
    let GateNews { lane, name, plate, passed } = news;
    let last = view.and_then(|view| view.lanes.iter().find(|now| now.lane.id.as_str() == *lane)?.last.as_ref());
    let (zh, en) = if *passed { ("通过", "went through") } else { ("未通过", "turned back") };
    let verdict = last.map(|last| format!("{} {}", last.verdict.zh(), last.verdict.as_str())).unwrap_or_default();
    let reasons = last.into_iter().flat_map(|last| &last.reasons).filter(|reason| reason.verdict != Ruling::Allow);
    let codes = reasons.map(|reason| reason.code.as_str()).collect::<Vec<_>>().join(", ");
    let mut text = format!("{name} {plate} {zh} ｜ {lane} {en}: {verdict} {codes}").replace("  ", " ");
    text.truncate(text.trim_end().len());
    text
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
mod tests;
