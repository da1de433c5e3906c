//! The commands, each with help a person can act on. Wrong usage and wrong configuration have their own exit codes.

mod opcua;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::app::Gateway;
use crate::buffer;
use crate::config::{self, Config, Loaded};
use crate::domain::gate::register::look::Look;
use crate::field::settings::planned_buses;
use crate::policy::PolicyBook;
use crate::tools;
use crate::tools::audit::AuditCommand;
use crate::tools::channel::ChannelArgs;
use crate::tools::daybook::{AccidentArgs, DutyArgs, HazardArgs, ReportArgs};
use crate::tools::desk::{LoopTestArgs, OutputArgs, WireLogArgs};
use crate::tools::lanes::{LaneArgs, LanesArgs};
use crate::tools::operator::{AlarmsArgs, HideArgs, NamedArgs, OneArgs, SilenceArgs};
use crate::tools::permits::{PermitsArgs, WaybillsArgs};
use crate::tools::policy::{Ended, PolicyCommand};
use crate::tools::probe::Probe;
use crate::tools::read::{ReadArgs, WatchArgs};
use crate::tools::register::RegisterCommand;
use crate::tools::service::{BypassArgs, ServiceArgs};
use crate::tools::site::SiteArgs;
use crate::tools::table::Form;

/// `EX_USAGE` of `sysexits.h`.
pub const WRONG_USAGE: u8 = 64;
/// `EX_CONFIG` of `sysexits.h`.
const WRONG_CONFIGURATION: u8 = 78;
/// Threads for I/O: the gateway shares a two- to four-core machine with nothing, and waits for most of its time.
const N_WORKER_THREADS: usize = 2;

/// What is logged while running: the OPC UA client library tells of each failed attempt on five levels of its own, and in its
/// own words; ours are enough.
const RUN_LOG: &str = "info,opcua_client=off,opcua_core=off,opcua_crypto=off,opcua_types=off";

/// 化工园区封闭化管理边缘网关 / edge gateway of a closed chemical park
#[derive(Debug, Parser)]
#[command(name = "parkgate", version, arg_required_else_help = true, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 运行网关 / run the gateway
    ///
    /// Reads the devices, keeps every record, feeds the platform, shows the page. SIGTERM stops it within 10 s, SIGHUP (or
    /// a changed file) takes over a new configuration; a wrong one is refused and the running one goes on.
    Run {
        #[command(flatten)]
        folder: Folder,
    },
    /// 检查配置，不启动 / check a configuration without starting anything
    ///
    /// Names every problem at once: file, line, column or cell, what is wrong, what to write. Exit code 78 if there is any.
    Check {
        #[command(flatten)]
        folder: Folder,
        /// 逐点列出理解成了什么 / list what each point was understood to mean
        #[arg(long)]
        explain: bool,
        /// 只列报警：条件、限值、优先级、通知谁 / list the alarms alone: condition, limits, priority, who is told
        #[arg(long, requires = "explain")]
        alarms: bool,
        /// 以 CSV 列出 / list as CSV
        #[arg(long, requires = "explain")]
        csv: bool,
    },
    /// 门岗策略：检查，按决策表测试，重演 / policies of the gates: check, test by decision tables, replay the past
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// 审计：验证链 / the audit: prove its chain
    #[command(subcommand)]
    Audit(AuditCommand),
    /// 查看存储内容 / show what is in the store
    ///
    /// Streams, first and last number, bytes, oldest record, gaps, quarantine. Reads only; works while the gateway runs.
    Buffer {
        #[command(flatten)]
        folder: Folder,
    },
    /// 查看或信任 OPC UA 服务器证书 / list the certificates of OPC UA servers, or trust one
    ///
    /// A server's certificate is rejected until an engineer has compared its fingerprint and trusted it. A running gateway
    /// takes it at its next attempt, without a restart.
    Trust(opcua::Trust),
    /// OPC UA 工具 / tools for OPC UA
    #[command(subcommand)]
    Opcua(opcua::OpcUa),
    /// 读一个测点，列出从寄存器到值的每一步 / read a point, with every step from registers to value
    ///
    /// From the running gateway (its value, and the registers of its next poll); from the device itself when no gateway
    /// runs, or with --direct.
    Read {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        args: ReadArgs,
    },
    /// 实时查看测点变化 / show changes as they come
    ///
    /// From the running gateway, by its control socket. Ctrl-C ends it.
    Watch {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        args: WatchArgs,
    },
    /// 查看网关与设备之间的报文 / show the bytes between gateway and device
    ///
    /// Requests and answers in hexadecimal with their meaning and time, from the running gateway.
    Wirelog {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        args: WireLogArgs,
    },
    /// 探查未知设备 / probe unknown devices
    Probe {
        #[command(subcommand)]
        probe: Probe,
    },
    /// 写一个输出并回读 / write to an output and read it back
    ///
    /// Only what outputs.toml lists, through the running gateway; each write leaves a record. Exit code 0 only when done.
    Output {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        args: OutputArgs,
    },
    /// 联调：测点或输出的回路测试，留下记录 / loop test of a point or an output, with its record
    ///
    /// Refused unless the point or output is under commissioning (联调), or with --really. A point: simulate a value at
    /// the instrument, give it as --expect. An output: name the value to be written.
    Looptest {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        args: LoopTestArgs,
    },
    /// 列出报警 / list the alarms
    ///
    /// Those that are not normal, what must be acknowledged first. Who may do what follows from the groups of the caller, as
    /// gateway.toml names them under [roles]; who the caller is the kernel says.
    Alarms(AlarmsArgs),
    /// 确认报警 / acknowledge an alarm
    ///
    /// One occurrence: the one that is listed now, or the one named by --occ. One that is raised anew needs a new one.
    Ack(OneArgs),
    /// 复位锁存的报警 / reset a latched alarm
    ///
    /// Here, not at the controller. While the cause lasts the alarm is indicated anew.
    Reset(OneArgs),
    /// 消音 / silence the horns until the next alarm
    Silence(SilenceArgs),
    /// 搁置报警（限时）/ put an alarm on the shelf for a time
    ///
    /// At most 8 h; gas of level 2, fire and the outer limits of major hazards need a second person, see approve.
    Shelve(HideArgs),
    /// 取消搁置 / take an alarm from the shelf
    Unshelve(NamedArgs),
    /// 停用报警（限时，须另一人批准）/ take an alarm out of service for a time; a second person approves
    #[command(name = "outofservice")]
    OutOfService(HideArgs),
    /// 恢复停用的报警 / bring an alarm back into service
    Return(NamedArgs),
    /// 批准另一人对报警的申请 / approve what another person asked for an alarm
    Approve(NamedArgs),
    /// 通知渠道：状态、测试 / the channels by which people are told: how they stand, and a test
    Channel(ChannelArgs),
    /// 园区状态：查看、提议、确认、结束、演练 / the state of the site: look, propose, confirm, end, drill
    Site(SiteArgs),
    /// 车道：状态、最近判定、在园、待答复 / lanes: phase, last verdict with all reasons, who is inside, what waits for a person
    Lanes(LanesArgs),
    /// 在车道上操作：放行、常开、交人工 / do something at a lane: open, hold, release, refer
    ///
    /// Needs the role guard (reset-fire and arm: supervisor), a lane and a reason; each action is in the audit before anything
    /// moves.
    Lane(LaneArgs),
    /// 预约：列出、查看、两级审核 / permits: list, show, approve or reject, in two stages by two persons
    ///
    /// What the enterprise says is noted by the role operator; the park's approval needs the role supervisor, and another person.
    Permits(PermitsArgs),
    /// 运单：列出、审核、作废 / waybills: list, take one step on, give up
    ///
    /// The same roles: operator for the enterprise's review, supervisor and another person for the regulator's verification.
    Waybills(WaybillsArgs),
    /// 登记册：企业、人员、车辆、名单、预约 / the register: companies, persons, vehicles, lists, permits
    #[command(subcommand)]
    Registry(RegisterCommand),
    /// 测点和车道的投用：计划、联调、投用、停用、拆除 / commissioning of points and lanes at run time
    ///
    /// Holds over restarts until the file itself is changed. A stopped point is told as stopped and makes no alarm; what is
    /// being commissioned is not real.
    Service(ServiceArgs),
    /// 联锁摘除：申请、批准、恢复 / bypass of interlocks: the paper, with approver and expiry
    Bypass(BypassArgs),
    /// 日报与零报告 / daily and nil reports
    Report(ReportArgs),
    /// 值班与查岗 / duty and duty checks
    Duty(DutyArgs),
    /// 隐患 / hidden hazards
    Hazard(HazardArgs),
    /// 事故报告 / accident reports
    Accident(AccidentArgs),
    /// 内置模拟园区演示 / run the gateway in a simulated park
    ///
    /// Starts simulated devices, a broker, a platform and the real gateway between them on loopback. With `--for` it ends
    /// with an account; exit code 0 only if the account closes.
    #[cfg(feature = "sim")]
    Demo(crate::sim::demo::DemoArgs),
    /// 让演示中的设备出故障 / make a device of the running demo misbehave
    ///
    /// silent, late, noise, restart, exception or frozen, for a while; the demo prints the socket by which it is reached.
    #[cfg(feature = "sim")]
    Fault(crate::sim::fault::FaultArgs),
}

#[derive(Debug, clap::Args)]
struct Folder {
    /// Folder with gateway.toml, devices.toml, points.csv and, where there is a platform, uplink.toml
    #[arg(long, value_name = "DIR", default_value = "/etc/parkgate")]
    config: PathBuf,
}

/// Runs the command and returns the process's exit code.
pub fn run(arguments: Arguments) -> ExitCode {
    crate::sys::memory::settle_allocator();
    match arguments.command {
        Command::Run { folder } => with_policies(&folder.config, |loaded| run_gateway(loaded, folder.config.clone())),
        Command::Check { folder, explain, alarms, csv } => {
            with_policies(&folder.config, |loaded| check(&loaded.config, explain, alarms, csv))
        }
        Command::Policy(command) => match tools::policy::run(&command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Ended::Wrong(why)) => {
                eprintln!("{why}");
                ExitCode::from(WRONG_CONFIGURATION)
            }
            Err(Ended::Missed(why)) => ended(Err(why)),
        },
        Command::Audit(command) => ended(tools::audit::run(&command)),
        Command::Buffer { folder } => with_config(&folder.config, |loaded| show_store(&loaded)),
        Command::Trust(args) => opcua::trust(&args),
        Command::Opcua(command) => opcua::run(command),
        Command::Read { folder, args } => {
            with_config(&folder.config, |loaded| ended(run_in_runtime(tools::read::read(&loaded.config, &args))))
        }
        Command::Watch { folder, args } => {
            with_config(&folder.config, |loaded| ended(tools::read::watch(&loaded.config, &args)))
        }
        Command::Wirelog { folder, args } => {
            with_config(&folder.config, |loaded| ended(tools::desk::wire_log(&loaded.config, &args)))
        }
        Command::Output { folder, args } => {
            with_config(&folder.config, |loaded| ended(tools::desk::output(&loaded.config, args)))
        }
        Command::Looptest { folder, args } => {
            with_config(&folder.config, |loaded| ended(tools::desk::loop_test(&loaded.config, args)))
        }
        Command::Alarms(args) => ended(tools::operator::alarms(&args)),
        Command::Ack(args) => ended(tools::operator::ack(args)),
        Command::Reset(args) => ended(tools::operator::reset(args)),
        Command::Silence(args) => ended(tools::operator::silence(&args)),
        Command::Shelve(args) => ended(tools::operator::shelve(args)),
        Command::Unshelve(args) => ended(tools::operator::unshelve(args)),
        Command::OutOfService(args) => ended(tools::operator::out_of_service(args)),
        Command::Return(args) => ended(tools::operator::return_to_service(args)),
        Command::Approve(args) => ended(tools::operator::approve(args)),
        Command::Channel(args) => ended(tools::channel::channel(args)),
        Command::Site(args) => ended(tools::site::site(args)),
        Command::Lanes(args) => ended(tools::lanes::lanes(&args)),
        Command::Lane(args) => ended(tools::lanes::lane(args)),
        Command::Permits(args) => ended(tools::permits::permits(args)),
        Command::Waybills(args) => ended(tools::permits::waybills(args)),
        Command::Registry(RegisterCommand::Show(args)) => look_into_register(&args.config, &args.look()),
        Command::Registry(RegisterCommand::Export(args)) => look_into_register(&args.config, &args.look()),
        Command::Registry(RegisterCommand::Template { table }) => {
            tools::register::template(table);
            ExitCode::SUCCESS
        }
        Command::Registry(RegisterCommand::Import(args)) => match tools::register::import_running(&args) {
            Some(done) => ended(done),
            None => with_config(&args.config, |loaded| {
                ended(run_in_runtime(async { tools::register::import(&loaded.config, &args) }))
            }),
        },
        Command::Service(args) => ended(tools::service::service(args)),
        Command::Bypass(args) => ended(tools::service::bypass(args)),
        Command::Report(args) => ended(tools::daybook::report(args)),
        Command::Duty(args) => ended(tools::daybook::duty(args)),
        Command::Hazard(args) => ended(tools::daybook::hazard(args)),
        Command::Accident(args) => ended(tools::daybook::accident(args)),
        Command::Probe { probe } => ended(run_in_runtime(tools::probe::run(probe))),
        #[cfg(feature = "sim")]
        Command::Demo(args) => run_demo(args),
        #[cfg(feature = "sim")]
        Command::Fault(args) => ended(crate::sim::fault::send(&args)),
    }
}

/// Asks the running gateway; while none runs, the folder of its state.
fn look_into_register(dir: &Path, look: &Look) -> ExitCode {
    match tools::register::look_running(dir, look) {
        Some(done) => ended(done),
        None => with_config(dir, |loaded| ended(tools::register::look(&loaded.config, look))),
    }
}

/// Says what a good configuration is, or how each line of it was understood.
fn check(config: &Config, explain: bool, alarms: bool, csv: bool) -> ExitCode {
    if explain {
        if !alarms {
            tools::understood::print(config, Form::of(csv));
        }
        if alarms || !csv {
            tools::alarms::print(&config.alarms.book, Form::of(csv));
        }
        return ExitCode::SUCCESS;
    }
    let profiles: String = config.profiles.iter().map(|became| format!("{became}\n")).collect();
    let buses: String = planned_buses(&config.devices).iter().map(|planned| format!("\n\n{planned}")).collect();
    let need = config::disk_need(config);
    let (alarms, site) = (&config.alarms, &config.site);
    say(&format!("配置可用 / the configuration is good\n{profiles}{alarms}{site}{need}{buses}"))
}

fn with_config(dir: &Path, then: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    match config::load(dir) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("{warning}");
            }
            then(loaded)
        }
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(WRONG_CONFIGURATION)
        }
    }
}

/// The same, with the policies of the gates checked as well: a set with one wrong policy refuses the configuration.
fn with_policies(dir: &Path, then: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    with_config(dir, |loaded| match PolicyBook::load(&loaded.config.policies) {
        Ok(_) => then(loaded),
        Err(flaws) => {
            eprintln!("{flaws}");
            ExitCode::from(WRONG_CONFIGURATION)
        }
    })
}

fn run_gateway(loaded: Loaded, dir: PathBuf) -> ExitCode {
    start_logging(RUN_LOG);
    install_crypto();
    let findings = loaded.config.alarms.findings.len();
    if findings > 0 {
        tracing::info!(findings, "Alarms should be rationalised: `parkgate check` names them.");
    }
    ended(run_in_runtime(gateway(loaded, dir)))
}

/// Runs to the end and returns then, whatever still blocks a thread: a name that is being looked up, a disk that hangs.
fn run_in_runtime<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

async fn gateway(loaded: Loaded, dir: PathBuf) -> Result<(), String> {
    let stop = CancellationToken::new();
    let signals = Signals::new().map_err(|e| format!("signals cannot be caught: {e}"))?;
    let (reload_tx, reload_rx) = mpsc::channel(1);
    let asked = signals.until_stop(&reload_tx);
    tokio::pin!(asked);
    let gateway = tokio::select! {
        started = Gateway::start(loaded.config, dir) => started.map_err(chain)?,
        // A store that is being repaired is left as a power cut would leave it: that is what it is made for.
        () = &mut asked => return Ok(()),
    };
    tracing::info!(page = %gateway.web_addr(), "Started.");
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    let running = gateway.run(stop.clone(), reload_rx);
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended.map(drop).map_err(chain),
        () = asked => stop.cancel(),
    }
    running.await.map(drop).map_err(chain)
}

#[cfg(feature = "sim")]
fn run_demo(args: crate::sim::demo::DemoArgs) -> ExitCode {
    if let Err(why) = args.check() {
        eprintln!("parkgate: {why}");
        return ExitCode::from(WRONG_USAGE);
    }
    start_logging("warn");
    install_crypto();
    let closed = run_in_runtime(crate::app::demo::run(args));
    ended(closed.and_then(|closed| if closed { Ok(()) } else { Err("the account does not close".to_owned()) }))
}

fn show_store(loaded: &Loaded) -> ExitCode {
    let store = &loaded.config.store;
    match buffer::describe(&store.dir, &store.mirror_dir) {
        Ok(report) => say(&report.to_string()),
        Err(error) => ended(Err(chain(error))),
    }
}

/// Prints the result; a reader that went away is nobody's error.
fn say(text: &str) -> ExitCode {
    drop(writeln!(std::io::stdout(), "{text}"));
    ExitCode::SUCCESS
}

fn ended(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("parkgate: {why}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(N_WORKER_THREADS)
        .thread_name("parkgate-io")
        .enable_all()
        .build()
        .map_err(|e| format!("the runtime cannot be started: {e}"))
}

/// The level comes from `PARKGATE_LOG`, e.g. `info` or `parkgate::uplink=debug`.
fn start_logging(default: &str) {
    let filter = EnvFilter::try_from_env("PARKGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true);
    // A line that cannot be written is lost. Said on standard error, which is what failed, it would end the thread that logs:
    // `eprintln!` panics, and on a full disk the first to log is the store.
    let log = log.log_internal_errors(false);
    drop(log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init());
}

/// One provider for all of TLS; a second call (tests) changes nothing.
fn install_crypto() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Returns an error with all its causes in one line.
pub(crate) fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the process is asked to end; each SIGHUP before that asks for a reload.
    async fn until_stop(mut self, reload: &mpsc::Sender<()>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // One waiting reload is enough: it reads the newest files.
                _ = self.hangup.recv() => { reload.try_send(()).ok(); }
            }
        }
    }
}
