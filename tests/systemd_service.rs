//! The gateway as systemd has it: it says that it is ready, feeds the watchdog, says that it stops; and the unit's filter
//! of system calls lets through every call that it makes on the way.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;
#[path = "systemd/unit.rs"]
mod unit;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use unit::allowed_calls;

/// Far beyond what any machine needs; a state is waited for, never a time.
const DEADLINE: Duration = Duration::from_secs(120);

/// A gateway under strace, and the socket on which it speaks with "systemd". Killed when dropped.
struct Service {
    gateway: Child,
    socket: UnixDatagram,
    heard: String,
}

impl Service {
    fn start(folder: &Path, strace: &Path, trace: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        // -D: strace stands aside, and the child is the gateway itself.
        let gateway = Command::new(strace)
            .args(["-D", "-f", "-q", "--signal=none", "-o"])
            .arg(trace)
            .args([env!("CARGO_BIN_EXE_parkgate"), "run", "--config"])
            .arg(folder)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "2000000")
            .env_remove("WATCHDOG_PID")
            .spawn()
            .unwrap();
        Self { gateway, socket, heard: String::new() }
    }

    /// Waits until the gateway has told systemd this.
    fn hears(&mut self, word: &str) {
        let mut datagram = [0_u8; 4096];
        while !self.heard.contains(word) {
            let n = self
                .socket
                .recv(&mut datagram)
                .unwrap_or_else(|e| panic!("no {word} came: {e}; heard: {}", self.heard));
            self.heard.push_str(&String::from_utf8_lossy(datagram.get(..n).unwrap()));
            self.heard.push('\n');
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.gateway.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.gateway.kill());
        drop(self.gateway.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// One device where nobody listens, no uplink: enough to open the store, poll, record, and show a page.
fn write_configuration(folder: &Path, web: u16) {
    let gateway = format!(
        r#"[gateway]
park = "unit-park"
id = "gw-unit"
name = "服务试验"
timezone = "Asia/Shanghai"
[store]
dir = "data/store"
mirror_dir = "data/mirror"
state_dir = "data/state"
quota = "1GiB"
ballast = "1MiB"
segment = "16MiB"
[web]
listen = "127.0.0.1:{web}"
"#
    );
    let nobody = free_port();
    let devices = format!(
        "[classes]\nnormal = \"200ms\"\n[[device]]\nid = \"plc-1\"\nname = \"一号\"\nhost = \"127.0.0.1\"\nport = {nobody}\n"
    );
    std::fs::write(folder.join("gateway.toml"), gateway).unwrap();
    std::fs::write(folder.join("devices.toml"), devices).unwrap();
    let points = "uid,tag,name,device,table,address,encoding\nu-1,TT101,温度,plc-1,holding,0,u16\n";
    std::fs::write(folder.join("points.csv"), points).unwrap();
}

/// What the page answers, headers and all.
fn page(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The names of the calls in strace's log: `1234  openat(…`, also `<... openat resumed>`.
fn calls_in(trace: &str) -> BTreeSet<String> {
    let rest = trace.lines().filter_map(|line| line.split_once(' ')).map(|(_, rest)| rest.trim_start());
    let name = |rest: &str| rest.split_once('(').map(|(name, _)| name.to_owned());
    rest.filter_map(name).filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).collect()
}

/// strace's log, once it holds the end of the process.
fn finished(trace: &Path, pid: u32) -> String {
    let end = format!("{pid} +++ exited");
    for _ in 0..DEADLINE.as_secs() * 10 {
        let text = std::fs::read_to_string(trace).unwrap();
        if text.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(&end)) {
            return text;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("strace never wrote `{end}`");
}

#[test]
fn the_gateway_keeps_its_side_of_the_unit() {
    let (Some(analyze), Some(strace)) = (support::require_cmd("systemd-analyze"), support::require_cmd("strace"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (trace, web) = (dir.path().join("trace"), free_port());
    write_configuration(dir.path(), web);
    let mut service = Service::start(dir.path(), &strace, &trace);
    service.hears("READY=1");
    service.hears("WATCHDOG=1");
    assert!(page(web, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(page(web, "/").contains("TT101") || page(web, "/").contains("plc-1"));
    service.signal(Signal::SIGHUP);
    service.signal(Signal::SIGTERM);
    service.hears("STOPPING=1");
    let status = service.gateway.wait().unwrap();
    assert!(status.success(), "{status}; heard: {}", service.heard);

    let calls = calls_in(&finished(&trace, service.gateway.id()));
    for call in ["fsync", "clock_adjtime", "listen", "futex"] {
        assert!(calls.contains(call), "strace saw no `{call}`: {calls:?}");
    }
    let allowed = allowed_calls(&analyze);
    let refused: Vec<&String> = calls.iter().filter(|call| !allowed.contains(*call)).collect();
    assert!(refused.is_empty(), "the unit's SystemCallFilter refuses {refused:?}");
}

#[test]
fn straces_log_is_read() {
    let log = "12 openat(AT_FDCWD, \"x(\", O_RDONLY) = 3\n13  <... futex resumed>) = 0\n13  futex(0x1, FUTEX_WAIT\n12 +++ exited with 0 +++\n";
    assert_eq!(calls_in(log).into_iter().collect::<Vec<_>>(), ["futex", "openat"]);
}
