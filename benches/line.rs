//! The line under load, as issue 2 asks for it: a field of simulated devices in which every register changes at every
//! poll, report by exception off, mosquitto at QoS 1, a platform that acknowledges, every value committed to the store.
//!
//! The gateway is a process of its own and alone counted (`/proc/PID`); field, platform and the measuring stand in this
//! process, the broker in a third. What is measured, and where:
//!
//! | figure | from |
//! |---|---|
//! | values/s | fresh values in the platform's account over the window |
//! | interval | times at which the *devices* saw the first request of a poll |
//! | age | `t` of a live record to its receipt at the platform, same clock |
//! | CPU, memory, bytes written | `/proc/PID/stat`, `status`, `io` of the gateway; bytes over values of the window |
//! | our CPU | the same of this process: what the measuring itself takes of the machine |
//! | lost | after SIGTERM: numbers below `next` neither received nor in a gap, and polls missing by the devices' counters |
//!
//! With `--alarms`, 20,000 points with a limit each: a register is made to exceed it, and the alarm is awaited at the broker and
//! on the page's event stream; then a flood of 1,000 alarms. An alarm that the broker has without `unstored` was committed
//! before.
//!
//! With `--gates`, what a vehicle waits for: from the push of its plate to the relay on the wire (`line/gates.rs`).
//! With `--day`, a day of the simulated park in virtual time through the whole engine (`line/day.rs`).
//!
//! `cargo bench --bench line -- --runs 5` prints median and worst; `--backlog` measures a start on a large backlog.
//! It ends by itself.
#![expect(clippy::unwrap_used, reason = "a benchmark may")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "line/alarms.rs"]
mod alarms;
#[path = "line/day.rs"]
mod day;
#[path = "line/gates.rs"]
mod gates;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use parkgate::domain::record::Stream;
use parkgate::sim::account::Lane;
use parkgate::sim::load::folder::Folder;
use parkgate::sim::load::{Contents, Field, Layout, Spec};
use support::platform::{Manners, Platform};
use support::process::{Gateway, Mosquitto, Usage};
use support::wait::{SOON, eventually, free_port, live, now, until, wall_ms};

/// Polls of every device before the window opens: connections, full values, allocators have settled.
const WARM_POLLS: u64 = 5;
/// Longest time a backlog may take to build.
const BACKLOG_WITHIN: Duration = Duration::from_secs(1_800);

#[derive(Debug, Parser)]
#[command(about = "Measures the gateway under load; prints median and worst over the runs.")]
struct Args {
    /// Length of the measuring window in seconds.
    #[arg(long, default_value_t = 20)]
    secs: u64,
    /// Runs of each scenario.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Only scenarios whose name contains this, e.g. `200x500`.
    #[arg(long, default_value = "")]
    only: String,
    /// Interval of the polls in milliseconds.
    #[arg(long, default_value_t = 1000)]
    interval_ms: u64,
    /// Measures a start on a backlog instead.
    #[arg(long)]
    backlog: bool,
    /// Size of that backlog on disk, MiB.
    #[arg(long, default_value_t = 1024)]
    backlog_mib: u64,
    /// Measures alarms instead.
    #[arg(long)]
    alarms: bool,
    /// Measures the gates instead: plate to relay.
    #[arg(long)]
    gates: bool,
    /// Vehicles that come to each of the 20 lanes there.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Runs a day of the park through the engine instead.
    #[arg(long)]
    day: bool,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Devices × registers.
const SCENARIOS: [(usize, u16); 3] = [(50, 100), (200, 100), (200, 500)];

fn main() {
    let args = Args::parse();
    println!("{}", machine());
    if args.backlog {
        return backlog(&args);
    }
    if args.alarms {
        return alarms::measure(args.interval_ms);
    }
    if args.gates {
        return gates::measure(args.rounds);
    }
    if args.day {
        return day::measure(args.runs);
    }
    println!("window {} s, {} run(s), interval {} ms", args.secs, args.runs, args.interval_ms);
    for (devices, registers) in SCENARIOS {
        let name = format!("{devices}x{registers}");
        if !name.contains(&args.only) {
            continue;
        }
        let Some(runs) = (0..args.runs).map(|_| run(&args, devices, registers)).collect::<Option<Vec<_>>>() else {
            return;
        };
        print_table(&name, &runs);
    }
}

/// The figures of one run, in the order of [`COLUMNS`].
type Figures = [f64; COLUMNS.len()];

/// Name, decimals, and whether more is better.
const COLUMNS: [(&str, usize, bool); 13] = [
    ("values/s", 0, true),
    ("interval p50 ms", 2, false),
    ("interval p99 ms", 2, false),
    ("interval max ms", 2, false),
    ("age p50 ms", 0, false),
    ("age p99 ms", 0, false),
    ("CPU s/s", 4, false),
    ("our CPU s/s", 4, false),
    ("RSS MiB", 1, false),
    ("peak MiB", 1, false),
    ("bytes/value", 2, false),
    ("lost records", 0, false),
    ("lost polls", 0, false),
];

struct Bench {
    platform: Platform,
    broker: Mosquitto,
    field: Field,
    folder: Folder,
    dir: tempfile::TempDir,
}

impl Bench {
    fn set(devices: usize, registers: u16, interval: Duration) -> Option<Self> {
        let broker = Mosquitto::start()?;
        let spec = Spec { devices, registers, contents: Contents::Walk, layout: Layout::PortEach, seed: 1 };
        let field = Field::start(&spec).unwrap();
        let mut folder = Folder::new(field.places(), registers, free_port()).with_uplink(broker.port());
        folder.interval = interval;
        folder.quota = "8GiB".to_owned();
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        folder.write(dir.path()).unwrap();
        let manners = Manners { acks: true, strict: false };
        let platform = Platform::start(broker.port(), &folder.park, &folder.gateway, &manners);
        Some(Self { platform, broker, field, folder, dir })
    }

    fn heard_from_all(&self, polls: u64) {
        eventually(SOON, "every device at the platform", || {
            let desk = self.platform.desk();
            (0..self.folder.places.len()).all(|i| desk.counters.received(&Folder::device(i)) >= polls)
        });
    }
}

fn run(args: &Args, devices: usize, registers: u16) -> Option<Figures> {
    let bench = Bench::set(devices, registers, Duration::from_millis(args.interval_ms))?;
    let gateway = Gateway::start_ready(bench.dir.path(), bench.folder.web_port);
    bench.heard_from_all(WARM_POLLS);
    let start = look(&bench, &gateway);
    bench.field.forget_times();
    bench.platform.mark();
    live(Duration::from_secs(args.secs));
    let end = look(&bench, &gateway);
    let intervals = Quantiles::of(bench.field.intervals().into_iter().flatten().collect());
    let age = bench.platform.desk().account.ages(Lane::Live).clone();
    let lost = ends(&bench, gateway);

    let secs = end.at.duration_since(start.at).as_secs_f64();
    let values = (end.values - start.values) as f64;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let ms = |d: Option<Duration>| d.map_or(f64::NAN, |d| d.as_secs_f64() * 1e3);
    Some([
        values / secs,
        intervals.at(0.5),
        intervals.at(0.99),
        intervals.at(1.0),
        ms(age.p50()),
        ms(age.p99()),
        (end.usage.cpu - start.usage.cpu).as_secs_f64() / secs,
        (end.own.cpu - start.own.cpu).as_secs_f64() / secs,
        mib(end.usage.rss),
        mib(end.usage.rss_peak),
        (end.usage.written - start.usage.written) as f64 / values,
        lost.0 as f64,
        lost.1 as f64,
    ])
}

struct Look {
    at: std::time::Instant,
    usage: Usage,
    own: Usage,
    values: u64,
}

fn look(bench: &Bench, gateway: &Gateway) -> Look {
    let values = bench.platform.desk().account.totals().values;
    Look { at: now(), usage: gateway.usage(), own: Usage::of(std::process::id()), values }
}

/// Stops the gateway and returns the numbers and the polls that nothing explains.
fn ends(bench: &Bench, gateway: Gateway) -> (u64, u64) {
    let code = gateway.sigterm();
    assert_eq!(code, Some(0), "the gateway did not end well");
    let began = now();
    while began.elapsed() < Duration::from_secs(10) {
        if bench.platform.close_by_state().is_some_and(|c| c.closes()) {
            break;
        }
        live(Duration::from_millis(50));
    }
    let closing = bench.platform.close_by_state().unwrap_or_default();
    if !closing.closes() || closing.lost > 0 {
        println!("the account does not close: {closing:?} {:?}", bench.platform.desk().faults);
    }
    let unexplained = closing.unexplained.iter().map(|(_, r)| r.end() - r.start() + 1).sum::<u64>();
    (unexplained + closing.lost, bench.platform.desk().counters.missing())
}

/// Durations in order, read in milliseconds.
struct Quantiles(Vec<Duration>);

impl Quantiles {
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index between 0 and the length")]
    fn at(&self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let found = self.0.get((last as f64 * part).round() as usize);
        found.map_or(f64::NAN, |d| d.as_secs_f64() * 1e3)
    }
}

fn print_table(name: &str, runs: &[Figures]) {
    println!("\n{name}: {:<16} {:>12} {:>12}", "", "median", "worst");
    for (i, (column, decimals, more_is_better)) in COLUMNS.into_iter().enumerate() {
        let mut values: Vec<f64> = runs.iter().filter_map(|r| r.get(i).copied()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
        let worst = if more_is_better { values.first() } else { values.last() };
        let worst = worst.copied().unwrap_or(f64::NAN);
        println!("{:>width$}  {column:<16} {median:>12.decimals$} {worst:>12.decimals$}", "", width = name.len());
    }
}

/// A start on a backlog: the broker is away until it is large enough; then a new start, and the first live record.
fn backlog(args: &Args) {
    let Some(mut bench) = Bench::set(200, 500, Duration::from_millis(args.interval_ms.min(200))) else { return };
    bench.broker.stop();
    let gateway = Gateway::start_ready(bench.dir.path(), bench.folder.web_port);
    let store = bench.dir.path().join("data/store");
    let wanted = args.backlog_mib << 20;
    let began = now();
    until(BACKLOG_WITHIN, "a backlog of that size", || (size_of(&store) >= wanted).then_some(()));
    let polls: u64 = bench.field.seen().iter().map(|s| s.polls).sum();
    println!("backlog of {} MiB after {:.0?}: {} values", size_of(&store) >> 20, began.elapsed(), polls * 500);
    assert_eq!(gateway.sigterm(), Some(0), "the gateway did not end well");

    bench.folder.interval = Duration::from_secs(1);
    bench.folder.write(bench.dir.path()).unwrap();
    bench.broker.resume();
    live(Duration::from_secs(1));
    for run in 1..=args.runs {
        bench.platform.mark();
        let (began, began_ms) = (now(), wall_ms());
        let gateway = Gateway::start_ready(bench.dir.path(), bench.folder.web_port);
        let ready = began.elapsed();
        let first = until(SOON, "a live record", || bench.platform.desk().marks.first_live) - began_ms;
        live(Duration::from_secs(5));
        let (usage, held) = (gateway.usage(), bench.platform.count(Stream::Telemetry));
        let age = bench.platform.desk().account.ages(Lane::Live).clone();
        println!(
            "start {run}: ready {ready:.2?}, first live record {first} ms; 5 s later: {held} records held, live age p99 \
             {:?}, peak {} MiB",
            age.p99(),
            usage.rss_peak >> 20
        );
        gateway.kill9();
        // What the broker still held of this run must not be taken for the next one's first word.
        live(Duration::from_secs(2));
    }
}

fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .filter_map(|e| e.ok())
        .map(|e| match e.metadata() {
            Ok(meta) if meta.is_dir() => size_of(&e.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .unwrap_or("unknown")
        .trim_start_matches(['\t', ':', ' ']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("machine: {model}, {cores} cores, Linux {}", kernel.trim())
}
