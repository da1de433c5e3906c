//! The composition root: the only place that knows every task and every channel.
//!
//! ```text
//!  links (1/address) ──mpsc FieldEvent──▶ engine ──Appender──▶ store (own threads) ◀──reads── uplink ──▶ broker
//!                                          ▲  │ ╲──mpsc Live (dropped when full: the uplink reads it from the store)─▶ uplink
//!               page, commands ──mpsc Request┘  └── oneshot answers
//! ```
//!
//! | task | kind | ends when |
//! |---|---|---|
//! | `engine` | core | its input closes: all links ended and the gateway holds no sender |
//! | `link <address>` | restartable | stopped, or a reload leaves it without devices |
//! | `opcua <server>` | restartable | the same |
//! | `lane <lane> <device>`, `cameras`, `terminals` | restartable | stopped with the sources, or a reload changes them |
//! | `lanes`, `codes`, `camera memory`, `pictures` | core | the last session of the lanes has ended |
//! | `outputs` | core | stopped with the sources, after the writes that were under way |
//! | `attachments` | restartable | stopped with the uplink |
//! | `uplink` | restartable | stopped, after the engine, so that the last records still leave |
//! | `commands` | core | stopped with the sources, after its last answer |
//! | `refresh` | core | stopped with the sources |
//! | `stored` | restartable | it knows how far points of OPC UA servers are stored |
//! | `peers` | restartable | stopped with the uplink |
//! | `orders` | core | stopped with the sources, after the writes that were under way |
//! | `texts <channel>` | restartable | stopped with the sources, or a reload changes its channel |
//! | `memory` | core | the engine has ended and what stood is saved |
//! | `register` | core | the engine has ended, and what the gates counted last is stored; there is none without lanes |
//! | `store watch` | core | stopped with the sources |
//! | `control` | restartable | stopped with the page; it answers to the end |
//! | `page` | restartable | stopped last |
//! | `housekeeping` | core | stopped: clock trust, watchdog, changed files |
//!
//! The store's threads are its own; [`Gateway::run`] closes it after engine and uplink have ended.

mod actions;
mod approvals;
mod attachments;
mod commands;
mod control;
mod danger;
#[cfg(feature = "sim")]
pub mod demo;
mod documents;
mod engine;
mod feed;
mod foundation;
mod gates;
mod housekeeping;
mod keeping;
mod lanes;
mod links;
mod lists;
mod memory;
mod orders;
mod outlets;
mod outputs;
mod pending;
mod persons;
mod refresh;
mod register;
mod reload;
mod service;
mod shares;
mod stored;
mod texts;
mod trend;
mod views;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use self::danger::first_plan;
pub use self::outputs::OnBuses;
pub use self::views::Views;

use self::engine::{EngineTask, Inputs, Request};
use self::foundation::{Foundation, bind, boot_body, lay_foundation};
use self::links::{Ground, Links, OpcUa};
use self::memory::Memory;
use self::service::InService;
use crate::buffer;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::engine::Engine;
use crate::domain::field_event::FieldEvent;
use crate::domain::registry::Registry;
use crate::domain::snapshot::{ConfigStatus, UplinkStatus};
use crate::output::settings::Output;
use crate::state::StateError;
use crate::state::registry::RegistryBook;
use crate::supervise::{CoreFailed, Pulse, Supervisor};
use crate::{uplink, web};

/// Software version, as told in boot records and on the page.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Time for everything to run dry after a stop, so that the process is gone within 10 s; far less than `TimeoutStopSec` of
/// the unit.
pub const GRACE: Duration = Duration::from_millis(9_500);
/// Part of it for the engine: it needs milliseconds, and a link that hangs must not take the uplink's time.
const ENGINE_GRACE: Duration = Duration::from_secs(2);
/// Part of it for engine and uplink; the uplink by itself takes at most 6.6 s.
const UPLINK_GRACE: Duration = Duration::from_millis(8_700);
/// The store gets this long to close in any case: what is queued is worth more than a second of a stop.
const CLOSE_AT_LEAST: Duration = Duration::from_secs(3);

/// Live records on their way to the uplink: about a second at full load; beyond it they are history.
const N_QUEUED_LIVE: usize = 2048;
/// Commands on their way from the uplink.
const N_QUEUED_COMMANDS: usize = 16;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder.
    #[error("the state folder cannot be used")]
    State(#[source] StateError),
    /// The store.
    #[error("the store cannot be opened")]
    Store(#[source] buffer::OpenError),
    /// The page's address.
    #[error("the page cannot listen on `{address}`")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A task that should have done a step is gone.
    #[error("start was interrupted: {0}")]
    Interrupted(String),
}

/// Why the gateway ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A core task failed; systemd starts anew.
    #[error(transparent)]
    Core(#[from] CoreFailed),
    /// The store could not be closed in order.
    #[error("the store could not be closed in order")]
    Close(#[source] buffer::CloseError),
}

/// How an orderly end went.
#[derive(Debug, Default)]
pub struct StopReport {
    /// Tasks (or `store`) that did not end within [`GRACE`] and were left.
    pub aborted: Vec<String>,
}

/// A started gateway; [`Gateway::run`] drives it.
pub struct Gateway {
    clock: Clock,
    config: Config,
    config_dir: PathBuf,
    supervisor: Supervisor,
    stops: Stops,
    links: Links,
    opcua: OpcUa,
    book: RegistryBook,
    store: buffer::Store,
    requests: mpsc::Sender<Request>,
    /// Held so that the engine's input stays open while no link runs; dropped first of all at the end.
    events: Option<mpsc::Sender<FieldEvent>>,
    registry_rev: watch::Sender<u32>,
    registry: watch::Sender<Arc<Registry>>,
    files: watch::Sender<Vec<PathBuf>>,
    /// Commissioning as people have changed it.
    service: InService,
    doers: Doers,
    /// The ends of the gates, until the tasks of the lanes and of the register are started; `None` without lanes.
    gates: Option<gates::start::Ends>,
    /// The hardware of the lanes.
    lanes: Option<lanes::Lanes>,
    /// To the task of the register; `None` without lanes.
    register: Option<mpsc::Sender<register::Asked>>,
    /// The allow-list of the outputs' driver.
    allowed: watch::Sender<Arc<Vec<Arc<Output>>>>,
    reloads: mpsc::Receiver<()>,
    config_status: watch::Sender<Arc<ConfigStatus>>,
    uplink: UplinkParts,
    views: Views,
    web_addr: SocketAddr,
}

/// Who carries out what the state machines order.
struct Doers {
    /// Orders for outputs, until the task that writes them is started.
    jobs: Option<mpsc::Receiver<orders::Job>>,
    /// The senders of text messages.
    texts: texts::Texts,
}

/// One token per stage of the end.
#[derive(Clone, Default)]
struct Stops {
    field: CancellationToken,
    engine: CancellationToken,
    uplink: CancellationToken,
    page: CancellationToken,
}

/// What each start of the uplink task needs.
#[derive(Clone)]
struct UplinkParts {
    next: watch::Receiver<[u64; 6]>,
    status: watch::Sender<Arc<UplinkStatus>>,
    identity: uplink::Identity,
    commands: mpsc::Sender<uplink::Command>,
    memory: Arc<dyn uplink::CommandMemory>,
    /// Where pictures wait for the platform, while there is a way for them.
    pictures: watch::Sender<Option<lanes::pictures::Shelf>>,
    stop: CancellationToken,
    /// Cancelled when the uplink started last has ended.
    ended: CancellationToken,
}

impl UplinkParts {
    /// Returns beside them what the platform will ask.
    fn new(
        (config, stops): (&Config, &Stops),
        identity: uplink::Identity,
        next: watch::Receiver<[u64; 6]>,
        status: watch::Sender<Arc<UplinkStatus>>,
    ) -> (Self, mpsc::Receiver<uplink::Command>) {
        let memory = Arc::new(uplink::FileMemory::new(config.state_dir.join("commands")));
        let (commands, asked) = mpsc::channel(N_QUEUED_COMMANDS);
        let (pictures, stop, ended) = (watch::Sender::new(None), stops.uplink.child_token(), cancelled());
        (Self { next, status, identity, commands, memory, pictures, stop, ended }, asked)
    }
}

/// Says that an uplink has ended for good.
struct EndOfUplink {
    ended: CancellationToken,
    status: watch::Sender<Arc<UplinkStatus>>,
}

impl Drop for EndOfUplink {
    fn drop(&mut self) {
        self.status.send_replace(Arc::default());
        self.ended.cancel();
    }
}

impl Gateway {
    /// Opens everything and starts all tasks.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing runs then.
    pub async fn start(config: Config, config_dir: PathBuf) -> Result<Self, StartError> {
        Self::start_by(Clock::system(), config, config_dir).await
    }

    /// The same by a clock of the caller's.
    async fn start_by(clock: Clock, config: Config, config_dir: PathBuf) -> Result<Self, StartError> {
        let (config, service, service_tx) = InService::before(config, &config_dir);
        let (files, folder) = housekeeping::Folder::of(&config, &config_dir);
        let Foundation { state, book, revision, listener, opened } = lay_foundation(&config, &clock).await?;
        let (web_addr, mut links) = (listener.local_addr().unwrap_or(config.web.listen), Links::new());
        let plan = danger::plan_of(&mut links, &config, revision);
        let (registry, boot) = (plan.registry.clone(), opened.start.boot);
        let mut engine = Engine::new(boot, boot_body(&opened.start, &clock), plan, clock.now());
        let (memory, remembered) = Memory::new(state, &config, &opened).brought_back(&mut engine, &clock).await;
        let (engine::Senders { events, requests, gates }, inputs) = Inputs::open(&opened.store);
        let ((reloads_tx, reloads), (rev_tx, rev_rx)) = (mpsc::channel(1), watch::channel(registry.rev));
        let (status_tx, config_status) = (watch::Sender::<Arc<UplinkStatus>>::default(), watch::Sender::default());
        let pulses = ["engine", "housekeeping"].map(|name| Pulse::new(name, clock.mono()));
        let (stops, mut supervisor) = (Stops::default(), Supervisor::new(clock.clone()));
        let (outlets, inlets) = outlets::outlets(opened.appender.next(), service_tx);
        let (keeper, mut gates) =
            gates::start::begin((&config, &opened.start), gates, remembered, &engine, &clock).unzip();
        let task = EngineTask::new((engine, keeper), opened.appender, outlets, clock.clone(), pulses[0].clone());
        supervisor.core("engine", stops.engine.clone(), task.run(inputs));
        let register = register::start(&mut supervisor, &stops, gates.as_mut(), &requests, &config, &clock);
        let opcua = links.opcua(config.pki_dir(), &mut supervisor, &stops.field, &opened.store, &book);
        let views = Views::new(views::Parts {
            status_of_config: config_status.subscribe(),
            opcua: opcua.status.subscribe(),
            clock: clock.clone(),
            config: &config,
            start: &opened.start,
            store: opened.store.clone(),
            uplink: status_tx.subscribe(),
            news: inlets.news,
            buses: links.buses(),
            requests: requests.clone(),
            book: book.clone(),
            pulses: pulses.to_vec(),
        });
        let lists = lists::Lists::new(register.clone(), requests.clone(), config.gates.issuers.clone());
        let (uplink, commands) =
            UplinkParts::new((&config, &stops), identity_of(&opened.start, rev_rx), inlets.next, status_tx);
        Keepers {
            clock: clock.clone(),
            folder,
            reloads: reloads_tx,
            pulses,
            book: book.clone(),
            commands: (commands, lists, uplink.pictures.subscribe()),
            status: uplink.status.subscribe(),
            requests: requests.clone(),
            memory,
            kept: inlets.kept,
        }
        .start(&mut supervisor, &stops);
        let gateway = Self {
            config_status,
            service,
            doers: Doers { jobs: Some(inlets.orders), texts: inlets.texts },
            gates,
            lanes: None,
            register,
            allowed: watch::Sender::new(Arc::new(config.outputs.clone())),
            uplink,
            clock,
            config,
            config_dir,
            supervisor,
            stops,
            links,
            opcua,
            book,
            store: opened.store,
            requests,
            events: Some(events),
            registry_rev: rev_tx,
            registry: watch::Sender::new(registry),
            files,
            reloads,
            views,
            web_addr,
        };
        Ok(gateway.start_tasks(listener).await)
    }

    async fn start_tasks(mut self, listener: TcpListener) -> Self {
        self.start_sharing();
        self.start_lanes();
        self.start_page(listener);
        self.start_control();
        self.apply_texts(&self.config.alarms.clone());
        self.start_uplink().await;
        self.start_links();
        self
    }

    /// Returns where the page listens.
    pub fn web_addr(&self) -> SocketAddr {
        self.web_addr
    }

    /// Returns what the page, the demo and the tests look at.
    pub fn views(&self) -> Views {
        self.views.clone()
    }

    /// Runs until `stop` is cancelled, then drains. `reload` asks to read the configuration again (SIGHUP).
    ///
    /// # Errors
    ///
    /// [`RunError`] when a core task failed, at the end too; what could be drained was.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        mut reload: mpsc::Receiver<()>,
    ) -> Result<StopReport, RunError> {
        let failure = loop {
            tokio::select! {
                () = stop.cancelled() => break None,
                failed = self.supervisor.core_failure() => break Some(failed),
                Some(()) = reload.recv() => {}
                Some(()) = self.reloads.recv() => {}
                () = self.service.changed() => {}
            }
            // A stop does not wait for a reload: half of one changes nothing that the end needs.
            tokio::select! {
                () = stop.cancelled() => break None,
                () = self.reload() => {}
            }
        };
        let drained = self.drain().await;
        // Also when it was asked to end: what it still had to record may be missing.
        match (failure.or_else(|| self.supervisor.failure()), drained) {
            (None, drained) => drained,
            (Some(failed), Ok(_)) => Err(RunError::Core(failed)),
            (Some(failed), Err(error)) => {
                tracing::error!(error = %crate::cli::chain(error), "The end was not in order either.");
                Err(RunError::Core(failed))
            }
        }
    }

    /// Stops the sources and lets the rest run dry: links, engine, uplink, then store and page. Nothing that hangs holds
    /// up the others.
    async fn drain(&mut self) -> Result<StopReport, RunError> {
        tracing::info!("Stopping.");
        drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
        let began = self.clock.mono();
        let deadline = began + GRACE;
        self.stops.engine.cancel();
        self.stops.field.cancel();
        self.links.clear();
        self.events = None;
        self.lanes.iter_mut().for_each(lanes::Lanes::clear);
        // The engine ends when the last link has; the store then holds every record that was made.
        self.supervisor.drain_named("engine", began + ENGINE_GRACE).await;
        self.stops.uplink.cancel();
        self.supervisor.drain_named("uplink", began + UPLINK_GRACE).await;
        self.stops.page.cancel();
        let closing = close(&self.store, &self.clock, deadline.max(self.clock.mono() + CLOSE_AT_LEAST));
        let (closed, mut aborted) = tokio::join!(closing, self.supervisor.drain(deadline));
        match closed {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(RunError::Close(error)),
            None => aborted.push("store".to_owned()),
        }
        for name in &aborted {
            tracing::error!(task = %name, "Did not end in time and was left.");
        }
        tracing::info!("Stopped.");
        Ok(StopReport { aborted })
    }

    fn start_links(&mut self) {
        let Some(events) = &self.events else { return };
        self.links.apply(&mut Ground {
            supervisor: &mut self.supervisor,
            events,
            clock: &self.clock,
            stop: &self.stops.field,
            opcua: &self.opcua,
        });
    }

    /// (Re)starts the uplink with the settings as they stand; without an uplink configured there is none. The new one
    /// begins when the old one has said goodbye: both have the same name at the broker, and the same records to send.
    async fn start_uplink(&mut self) {
        self.uplink.stop.cancel();
        self.uplink.stop = self.stops.uplink.child_token();
        self.start_attachments();
        // Nothing comes any more: the old one can end as soon as it has delivered what it had.
        drop(self.requests.send(Request::Live(None)).await);
        let Some(settings) = self.config.uplink.clone() else { return };
        let before = std::mem::take(&mut self.uplink.ended);
        let end = EndOfUplink { ended: self.uplink.ended.clone(), status: self.uplink.status.clone() };
        let (parts, requests, clock) = (self.uplink.clone(), self.requests.clone(), self.clock.clone());
        let (store, book, current) = (self.store.clone(), self.book.clone(), self.registry.subscribe());
        self.supervisor.restartable("uplink", self.uplink.stop.clone(), move |stop| {
            // The task owns this closure: both end together.
            let (_owned, before) = (&end, before.clone());
            let (parts, requests, clock) = (parts.clone(), requests.clone(), clock.clone());
            let (settings, source) = (settings.clone(), feed::Feed::new(store.clone()));
            let registries = feed::Registries::new(book.clone(), current.clone());
            async move {
                tokio::select! {
                    () = before.cancelled() => {}
                    () = stop.cancelled() => return Ok(()),
                }
                // A new channel with each start: what the last one left in it is history now.
                let (live_tx, live) = mpsc::channel(N_QUEUED_LIVE);
                drop(requests.send(Request::Live(Some(live_tx))).await);
                let inputs = uplink::Inputs {
                    settings,
                    source,
                    registries,
                    live,
                    next: parts.next,
                    identity: parts.identity,
                    commands: parts.commands,
                    memory: parts.memory,
                    status: parts.status,
                    clock,
                    stop,
                };
                uplink::run(inputs).await
            }
        });
    }

    /// Starts the driver of the outputs, and opens the control socket, through which it is reached.
    fn start_control(&mut self) {
        let Some(events) = self.events.clone() else { return };
        let (requests, clock, stop) = (self.requests.clone(), self.clock.clone(), self.stops.field.clone());
        let buses = outputs::OnBuses::new(self.links.lenders(), clock.clone());
        let parts = outputs::Parts { requests, events, buses, clock, stop };
        let outputs = outputs::start(&mut self.supervisor, self.allowed.subscribe(), parts);
        if let Some(jobs) = self.doers.jobs.take() {
            let (stored, requests, clock) = (self.store.committed(), self.requests.clone(), self.clock.clone());
            let parts = orders::Parts { jobs, outputs: outputs.clone(), stored, requests, clock };
            self.supervisor.core("orders", self.stops.field.clone(), orders::run(parts, self.stops.field.clone()));
        }
        let (views, requests, clock) = (self.views.clone(), self.requests.clone(), self.clock.clone());
        let (taps, store, register) = (self.links.taps(), self.store.clone(), self.register.clone());
        let paper = control::Paper::of(&self.config, &clock);
        let desk = control::Desk { views, outputs, requests, taps, clock, store, register, paper };
        let settings = self.config.control.clone();
        self.supervisor.restartable("control", self.stops.page.clone(), move |stop| {
            let (desk, settings, listener) = (desk.clone(), settings.clone(), control::open(&settings));
            async move {
                match listener {
                    Some(listener) => control::run(listener, settings, desk, stop).await,
                    // It would fail again at once; the cause was told.
                    None => {
                        stop.cancelled().await;
                        Ok(())
                    }
                }
            }
        });
    }

    fn start_page(&mut self, listener: TcpListener) {
        let (settings, views, addr) = (self.config.web.clone(), self.views.clone(), self.web_addr);
        let mut first = Some(listener);
        self.supervisor.restartable("page", self.stops.page.clone(), move |stop| {
            let (settings, views, ready) = (settings.clone(), views.clone(), first.take());
            async move {
                let listener = match ready {
                    Some(listener) => listener,
                    None => bind(addr).await.map_err(|e| e.to_string())?,
                };
                web::serve(settings, listener, views, stop).await
            }
        });
    }
}

fn identity_of(start: &buffer::Start, registry: watch::Receiver<u32>) -> uplink::Identity {
    uplink::Identity { epoch: start.epoch.clone(), boot: start.boot, software: VERSION.to_owned(), registry }
}

/// What keeps the gateway going beside the stream: clockwork, answers to commands, full values at a reconnect.
struct Keepers {
    clock: Clock,
    folder: housekeeping::Folder,
    reloads: mpsc::Sender<()>,
    /// Of the engine and of the housekeeping.
    pulses: [Pulse; 2],
    book: RegistryBook,
    /// What the platform asks, and the lists that it may fill.
    commands: (mpsc::Receiver<uplink::Command>, lists::Lists, watch::Receiver<Option<lanes::pictures::Shelf>>),
    status: watch::Receiver<Arc<UplinkStatus>>,
    requests: mpsc::Sender<Request>,
    memory: Memory,
    kept: watch::Receiver<Option<Arc<memory::Kept>>>,
}

impl Keepers {
    fn start(self, supervisor: &mut Supervisor, stops: &Stops) {
        let [_, own] = self.pulses.clone();
        let (pulses, stop) = (self.pulses.to_vec(), stops.page.clone());
        let house = housekeeping::run(self.clock.clone(), self.folder, self.reloads, pulses, own, stop.clone());
        supervisor.core("housekeeping", stop, house);
        let (commands, lists, pictures) = self.commands;
        let answers = commands::Answerer { requests: self.requests.clone(), book: self.book, lists, pictures };
        supervisor.core("commands", stops.engine.clone(), answers.run(commands, stops.engine.clone()));
        let (requests, clock, stop) = (self.requests.clone(), self.clock.clone(), stops.engine.clone());
        let watch = memory::watch_store(self.memory.store(), requests, clock, stop.clone());
        supervisor.core("store watch", stop.clone(), watch);
        supervisor.core("memory", stop, self.memory.keep(self.kept, self.requests.clone()));
        let refresh = refresh::run(self.clock, self.status, self.requests, stops.engine.clone());
        supervisor.core("refresh", stops.engine.clone(), refresh);
    }
}

/// Returns `None` when the store does not close in time: its disk hangs.
async fn close(
    store: &buffer::Store,
    clock: &Clock,
    deadline: crate::domain::time::Mono,
) -> Option<Result<(), buffer::CloseError>> {
    tokio::select! {
        closed = store.close() => Some(closed),
        () = clock.sleep_until(deadline) => None,
    }
}

fn cancelled() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}
