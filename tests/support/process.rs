//! The programs of a story as child processes of the test: the broker, the gateway, Python peers. Each is ended when
//! its guard is dropped, by its own id.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::{SOON, eventually, free_port, until};

/// A child process; killed when dropped.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    name: String,
}

impl Guard {
    /// Starts `command`.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|e| panic!("{name} cannot be started: {e}"));
        Self { child, name: name.to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        until(deadline, &what, || self.child.try_wait().unwrap())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A mosquitto of our own, without persistence, on one port for its whole life.
#[derive(Debug)]
pub struct Mosquitto {
    program: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    running: Option<Guard>,
}

impl Mosquitto {
    /// Starts it; `None` after a skip when it is not installed.
    pub fn start() -> Option<Self> {
        let program = super::require_cmd("mosquitto")?;
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        // Queues without limit: what a slow reader of the test misses must not be the broker's doing.
        let conf = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\nset_tcp_nodelay true\n\
             max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 0\nlog_dest none\n"
        );
        fs::write(dir.path().join("mosquitto.conf"), conf).unwrap();
        let mut broker = Self { program, dir, port, running: None };
        broker.resume();
        Some(broker)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes it away: every connection breaks, all it held is gone.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Brings it back on the same port and waits until it accepts.
    pub fn resume(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.dir.path().join("mosquitto.conf"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut guard = Guard::start("mosquitto", &mut command);
        let port = self.port;
        eventually(SOON, "mosquitto accepts", || {
            assert!(guard.running(), "mosquitto ended at once: is port {port} taken?");
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        self.running = Some(guard);
    }
}

/// The real binary, running on a configuration folder.
#[derive(Debug)]
pub struct Gateway {
    guard: Guard,
    log: PathBuf,
    web_port: u16,
}

impl Gateway {
    /// Starts `parkgate run --config dir`; its log is appended to [`log_of`] the folder.
    pub fn start(dir: &Path, web_port: u16) -> Self {
        Self::start_with(dir, web_port, [])
    }

    /// Starts it with variables in its environment.
    pub fn start_with<'a>(dir: &Path, web_port: u16, env: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkgate"));
        command.arg("run").arg("--config").arg(dir).envs(env);
        Self::start_by(command, dir, web_port)
    }

    /// The same, so that a file that may grow no more is an error of the write, as a full disk is, and ends nothing.
    pub fn start_to_fill<'a>(dir: &Path, web_port: u16, env: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" run --config \"$1\"", env!("CARGO_BIN_EXE_parkgate")]).arg(dir);
        command.envs(env);
        let mut gateway = Self::start_by(command, dir, web_port);
        gateway.wait_ready();
        gateway
    }

    fn start_by(mut command: Command, dir: &Path, web_port: u16) -> Self {
        let log = log_of(dir);
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        let file = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { guard: Guard::start("parkgate", &mut command), log, web_port }
    }

    /// Starts it and waits until `/readyz` says yes.
    pub fn start_ready(dir: &Path, web_port: u16) -> Self {
        let mut gateway = Self::start(dir, web_port);
        gateway.wait_ready();
        gateway
    }

    /// Waits until `/readyz` answers 200.
    pub fn wait_ready(&mut self) {
        let deadline = super::wait::now() + SOON;
        loop {
            if self.get("/readyz").is_some_and(|(status, _)| status == 200) {
                return;
            }
            let running = self.guard.running();
            let late = super::wait::now() > deadline;
            assert!(running && !late, "the gateway is not ready (running: {running}); its log:\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> bool {
        self.guard.running()
    }

    /// Ends it as a power failure of the process would, and waits until it is gone.
    pub fn kill9(mut self) {
        self.guard.signal(Signal::SIGKILL);
        self.guard.wait(SOON);
    }

    /// Asks it to stop and returns its exit code once it has.
    pub fn sigterm(mut self) -> Option<i32> {
        self.guard.signal(Signal::SIGTERM);
        self.guard.wait(SOON).code()
    }

    /// Asks it to take over the changed configuration.
    pub fn sighup(&self) {
        self.guard.signal(Signal::SIGHUP);
    }

    /// Status and body of a page; `None` when it does not answer.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http_get(self.web_port, path)
    }

    /// The sum of all samples of a metric whose labels contain every one of `labels`; `None` when there is none.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let (_, body) = self.get("/metrics")?;
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, with) = series.split_once('{').unwrap_or((series, ""));
            (found == name && labels.iter().all(|l| with.contains(l))).then(|| value.parse::<f64>().ok())?
        };
        let found: Vec<f64> = body.lines().filter_map(sample).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// When its log last said `words`, in milliseconds since 1970.
    pub fn last_said(&self, words: &[&str]) -> Option<i64> {
        let log = self.log();
        let line = log.lines().rev().find(|l| words.iter().all(|w| l.contains(w)))?;
        let at: jiff::Timestamp = line.split_whitespace().next()?.parse().ok()?;
        Some(at.as_millisecond())
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(40)).copied().collect::<Vec<_>>().join("\n")
    }

    /// CPU time, memory and disk as the kernel counts them for this process alone.
    pub fn usage(&self) -> Usage {
        Usage::of(self.pid())
    }
}

/// Where the log of the gateway of a folder is: not among the files whose change it watches.
pub fn log_of(dir: &Path) -> PathBuf {
    dir.join("data").join("gateway.log")
}

/// One look at `/proc/PID`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time of all threads.
    pub cpu: Duration,
    /// Resident memory, bytes.
    pub rss: u64,
    /// Most memory ever resident, bytes.
    pub rss_peak: u64,
    /// Bytes it caused to be written to a disk.
    pub written: u64,
}

impl Usage {
    /// Looks at the process `pid`.
    pub fn of(pid: u32) -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let field = |text: &str, key: &str| -> u64 {
            let line = text.lines().find_map(|l| l.strip_prefix(key));
            line.and_then(|v| v.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let (status, io) = (read("status"), read("io"));
        Self {
            cpu: cpu_of(&read("stat")),
            rss: field(&status, "VmRSS:") * 1024,
            rss_peak: field(&status, "VmHWM:") * 1024,
            written: field(&io, "write_bytes:"),
        }
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`, in clock ticks; the second field, the name, may hold spaces.
fn cpu_of(stat: &str) -> Duration {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Duration::from_millis(ticks * 1000 / u64::try_from(per_second).unwrap())
}

/// Status and body of an HTTP/1.0 GET from 127.0.0.1; `None` when nobody answers.
pub fn http_get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
