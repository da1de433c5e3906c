//! Faults by command: while the demo runs, `parkgate fault DEVICE KIND --for 20s` makes a simulated device misbehave.
//!
//! The demo listens on a Unix socket in its own folder (`fault.sock`, removed with it) and says where; one line `DEVICE KIND
//! MILLISECONDS` is answered by one line. A kind is a word of [`Fault::parse`]. Other simulated servers join by asking
//! [`Faults::of`] for their device before they answer, and doing what fits them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::demo::duration;
use super::server::Responsiveness;
use crate::clock::Clock;
use crate::domain::time::Mono;

/// Name of the socket in the demo's folder.
pub const SOCKET: &str = "fault.sock";
/// Longest order: a device's id and three words.
const MAX_LINE: u64 = 256;
/// Longest fault.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Time for an order to arrive, and for its answer.
const WITHIN: Duration = Duration::from_secs(5);

/// How a device misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing wrong any more.
    None,
    /// It takes requests and never answers.
    Silent,
    /// It answers after this long.
    Late(Duration),
    /// It answers with garbage: wrong function, length, unit, transaction in turn.
    Noise,
    /// It closes its connection at each request, as a device that restarts over and over.
    Restart,
    /// It answers every request with this exception.
    Exception(u8),
    /// Its values stand still, and it answers well.
    Frozen,
}

impl Fault {
    /// Reads `silent`, `late` (2 s), `late=500ms`, `noise`, `restart`, `exception` (04), `exception=06`, `frozen`, `none`.
    ///
    /// # Errors
    /// What can be written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (word, more) = text.split_once('=').map_or((text, None), |(word, more)| (word, Some(more)));
        match (word, more) {
            ("none", None) => Ok(Self::None),
            ("silent", None) => Ok(Self::Silent),
            ("late", None) => Ok(Self::Late(Duration::from_secs(2))),
            ("late", Some(delay)) => duration(delay).map(Self::Late),
            ("noise", None) => Ok(Self::Noise),
            ("restart", None) => Ok(Self::Restart),
            ("exception", None) => Ok(Self::Exception(4)),
            ("exception", Some(code)) => {
                let code = u8::from_str_radix(code, 16).ok().filter(|code| (1..=0x7F).contains(code));
                code.map(Self::Exception).ok_or_else(|| format!("`{text}`：请写 exception=04 / write exception=04"))
            }
            ("frozen", None) => Ok(Self::Frozen),
            _ => Err(format!(
                "`{text}`：请写 / write: silent, late[=500ms], noise, restart, exception[=04], frozen, none"
            )),
        }
    }

    /// Returns what a Modbus server does, where it does anything but answer.
    pub fn mood(self) -> Option<Responsiveness> {
        match self {
            Self::Silent => Some(Responsiveness::Silent),
            Self::Late(delay) => Some(Responsiveness::Late(delay)),
            Self::Noise => Some(Responsiveness::Garbage),
            Self::Restart => Some(Responsiveness::Dropping),
            Self::Exception(code) => Some(Responsiveness::Exception(code)),
            Self::None | Self::Frozen => None,
        }
    }
}

/// The faults in force, by device.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<BTreeMap<String, (Fault, Mono)>>);

impl Faults {
    /// Returns what is wrong with a device now.
    pub fn of(&self, device: &str, now: Mono) -> Fault {
        self.0.get(device).filter(|(_, until)| now < *until).map_or(Fault::None, |(fault, _)| *fault)
    }

    fn with(&self, device: &str, fault: Fault, until: Mono) -> Self {
        let mut all = (*self.0).clone();
        all.insert(device.to_owned(), (fault, until));
        Self(Arc::new(all))
    }
}

/// Listens in `folder`; returns the socket's path.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(folder: &Path) -> std::io::Result<(UnixListener, PathBuf)> {
    let path = folder.join(SOCKET);
    Ok((UnixListener::bind(&path)?, path))
}

/// Takes orders for these devices, one after the other, for ever.
pub async fn serve(listener: UnixListener, devices: Vec<String>, faults: watch::Sender<Faults>, clock: Clock) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let (from, mut to) = stream.split();
        let mut line = String::new();
        let mut limited = tokio::io::BufReader::new(from).take(MAX_LINE);
        let read = tokio::time::timeout(WITHIN, limited.read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(_))) {
            continue;
        }
        let answer = match order(&line, &devices) {
            Ok((device, fault, span)) => {
                let until = clock.mono() + span;
                faults.send_modify(|all| *all = all.with(device, fault, until));
                println!("● 故障 fault: {device} {fault:?}, {span:?}");
                "ok".to_owned()
            }
            Err(why) => why,
        };
        drop(tokio::time::timeout(WITHIN, to.write_all(format!("{answer}\n").as_bytes())).await);
    }
}

fn order<'a>(line: &'a str, devices: &[String]) -> Result<(&'a str, Fault, Duration), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[device, fault, millis] = words.as_slice() else { return Err("DEVICE KIND MILLISECONDS".to_owned()) };
    if !devices.iter().any(|known| known == device) {
        return Err(format!("没有设备 `{device}` / there is no device `{device}`; {}", devices.join(" ")));
    }
    let span = millis.parse().map(Duration::from_millis).unwrap_or_default().min(LONGEST);
    Ok((device, Fault::parse(fault)?, span))
}

/// Options of `fault`.
#[derive(Clone, Debug, clap::Args)]
pub struct FaultArgs {
    /// 模拟设备的 id / id of the simulated device, e.g. plc-nitration
    #[arg(value_name = "DEVICE")]
    device: String,
    /// silent、late[=500ms]、noise、restart、exception[=04]、frozen、none
    #[arg(value_name = "KIND", value_parser = Fault::parse)]
    fault: Fault,
    /// 多久 / for so long
    #[arg(long = "for", value_name = "TIME", default_value = "20s", value_parser = duration)]
    span: Duration,
    /// 演示打印的套接字；不写则找正在运行的演示 / the socket that the demo prints; absent, the demo that runs
    #[arg(long, value_name = "SOCKET")]
    socket: Option<PathBuf>,
}

/// Sends an order to the demo that runs.
///
/// # Errors
/// Why it was not carried out, in words.
pub fn send(args: &FaultArgs) -> Result<(), String> {
    let path = match &args.socket {
        Some(path) => path.clone(),
        None => running()?,
    };
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut stream = UnixStream::connect(&path).map_err(failed)?;
    stream.set_read_timeout(Some(WITHIN)).map_err(failed)?;
    let kind = written(args.fault);
    writeln!(stream, "{} {kind} {}", args.device, args.span.as_millis()).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(failed)?;
    if answer.trim() == "ok" { Ok(()) } else { Err(answer.trim().to_owned()) }
}

fn written(fault: Fault) -> String {
    match fault {
        Fault::None => "none".to_owned(),
        Fault::Silent => "silent".to_owned(),
        Fault::Late(delay) => format!("late={}ms", delay.as_millis()),
        Fault::Noise => "noise".to_owned(),
        Fault::Restart => "restart".to_owned(),
        Fault::Exception(code) => format!("exception={code:02x}"),
        Fault::Frozen => "frozen".to_owned(),
    }
}

/// The one demo that runs: its folder is in the folder for temporary files.
fn running() -> Result<PathBuf, String> {
    let folders = std::fs::read_dir(std::env::temp_dir()).map_err(|error| error.to_string())?;
    let sockets = folders.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("parkgate-demo-"));
    let sockets = sockets.map(|e| e.path().join(SOCKET)).filter(|path| UnixStream::connect(path).is_ok());
    let found: Vec<PathBuf> = sockets.collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err("没有正在运行的演示 / no demo is running (parkgate demo)".to_owned()),
        _ => Err("有几个演示在运行，请用 --socket / several demos are running: give --socket".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_as_it_is_written_and_ends_in_time() {
        let all = ["silent", "late=500ms", "noise", "restart", "exception=0b", "frozen", "none"];
        for text in all {
            assert_eq!(written(Fault::parse(text).unwrap()), text);
        }
        assert!(Fault::parse("dead").unwrap_err().contains("silent"));
        let (now, later) = (Mono::from_secs(1), Mono::from_secs(30));
        let faults = Faults::default().with("plc", Fault::Silent, Mono::from_secs(20));
        assert_eq!((faults.of("plc", now), faults.of("plc", later)), (Fault::Silent, Fault::None));
        assert_eq!(faults.of("gas", now), Fault::None);
    }

    #[tokio::test]
    async fn an_order_reaches_the_device_and_a_wrong_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (listener, path) = listen(dir.path()).unwrap();
        let (faults_tx, mut faults) = watch::channel(Faults::default());
        let clock = Clock::system();
        let mut task = tokio::task::JoinSet::new();
        task.spawn(serve(listener, vec!["plc".to_owned()], faults_tx, clock.clone()));
        let args = |device: &str| FaultArgs {
            device: device.to_owned(),
            fault: Fault::Frozen,
            span: Duration::from_secs(60),
            socket: Some(path.clone()),
        };
        let (right, wrong) = (args("plc"), args("pcl"));
        tokio::task::spawn_blocking(move || send(&right)).await.unwrap().unwrap();
        faults.changed().await.unwrap();
        assert_eq!(faults.borrow().of("plc", clock.mono()), Fault::Frozen);
        let told = tokio::task::spawn_blocking(move || send(&wrong)).await.unwrap().unwrap_err();
        assert!(told.contains("no device `pcl`"), "{told}");
    }
}
