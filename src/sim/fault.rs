//! Faults by command: while the demo runs, `parkgate fault DEVICE KIND --for 20s` makes a simulated device misbehave.
//!
//! The demo listens on a Unix socket in its own folder (`fault.sock`, removed with it) and says where; one line `DEVICE KIND
//! MILLISECONDS` is answered by one line. A kind is a word of [`Fault::parse`]; one that means nothing for the device
//! ([`Nature`]) is refused. Simulated servers ask [`Faults::of`] for their device before they answer, and do what fits them.
//!
//! `leak` and `fire` are no faults of the device but of the park: a release that the detector sees, which rises within
//! [`RISE`], stays, and clears as slowly when its time is over ([`Faults::release`]).

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

/// A release is at its height after this, and gone so long after its end.
pub const RISE: Duration = Duration::from_secs(6);

/// What a device is, as far as it matters to what can go wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Answers Modbus requests.
    Modbus,
    /// The same, and measures gas.
    Gas,
    /// The same, and reports fire.
    Fire,
    /// An OPC UA server.
    Dcs,
}

impl Nature {
    /// The words of the faults that mean something for it.
    fn kinds(self) -> Vec<&'static str> {
        let modbus = ["none", "silent", "late", "noise", "wrong-unit", "restart", "exception", "frozen"];
        match self {
            Self::Modbus => modbus.to_vec(),
            Self::Gas => modbus.into_iter().chain(["leak"]).collect(),
            Self::Fire => modbus.into_iter().chain(["fire"]).collect(),
            Self::Dcs => vec!["none", "silent", "restart", "exception", "frozen", "expired"],
        }
    }
}

/// How a device misbehaves, or what it sees.
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
    /// It answers with the unit id of its neighbour.
    WrongUnit,
    /// It closes its connection at each request, as a device that restarts over and over; on a line half its answer comes.
    Restart,
    /// It answers every request with this exception; a DCS has lost its instruments.
    Exception(u8),
    /// Its values stand still, and it answers well.
    Frozen,
    /// A DCS shows the certificate of yesterday, which has run out; an engineer had trusted it.
    Expired,
    /// Gas rises at the detector over both its alarm levels.
    Leak,
    /// The panel reports a fire.
    Fire,
}

impl Fault {
    /// Reads `silent`, `late` (2 s), `late=500ms`, `noise`, `wrong-unit`, `restart`, `exception` (04), `exception=06`, `frozen`,
    /// `expired`, `leak`, `fire`, `none`.
    ///
    /// # Errors
    /// What can be written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (word, more) = text.split_once('=').map_or((text, None), |(word, more)| (word, Some(more)));
        match (word, more) {
            ("late", Some(delay)) => duration(delay).map(Self::Late),
            ("exception", Some(code)) => {
                let code = u8::from_str_radix(code, 16).ok().filter(|code| (1..=0x7F).contains(code));
                code.map(Self::Exception).ok_or_else(|| format!("`{text}`：请写 exception=04 / write exception=04"))
            }
            (word, None) => {
                let found = Self::PLAIN.iter().find(|fault| fault.word() == word);
                found.copied().ok_or_else(|| unknown(text))
            }
            _ => Err(unknown(text)),
        }
    }

    /// All of them, as they are without a figure.
    const PLAIN: [Self; 11] = [
        Self::None,
        Self::Silent,
        Self::Late(Duration::from_secs(2)),
        Self::Noise,
        Self::WrongUnit,
        Self::Restart,
        Self::Exception(4),
        Self::Frozen,
        Self::Expired,
        Self::Leak,
        Self::Fire,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Silent => "silent",
            Self::Late(_) => "late",
            Self::Noise => "noise",
            Self::WrongUnit => "wrong-unit",
            Self::Restart => "restart",
            Self::Exception(_) => "exception",
            Self::Frozen => "frozen",
            Self::Expired => "expired",
            Self::Leak => "leak",
            Self::Fire => "fire",
        }
    }

    fn is_release(self) -> bool {
        matches!(self, Self::Leak | Self::Fire)
    }

    /// Returns what a Modbus server does, where it does anything but answer.
    pub fn mood(self) -> Option<Responsiveness> {
        match self {
            Self::Silent => Some(Responsiveness::Silent),
            Self::Late(delay) => Some(Responsiveness::Late(delay)),
            Self::Noise => Some(Responsiveness::Garbage),
            Self::WrongUnit => Some(Responsiveness::WrongUnit),
            Self::Restart => Some(Responsiveness::Dropping),
            Self::Exception(code) => Some(Responsiveness::Exception(code)),
            Self::None | Self::Frozen | Self::Expired | Self::Leak | Self::Fire => None,
        }
    }
}

fn unknown(text: &str) -> String {
    let words = Fault::PLAIN.map(Fault::word).join(", ");
    format!("`{text}`：请写 / write: {words}; late=500ms, exception=04")
}

/// The faults in force, by device.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<BTreeMap<String, Ordered>>);

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Ordered {
    fault: Fault,
    since: Mono,
    until: Mono,
    /// How far a release was already when it was ordered.
    from: f64,
}

impl Ordered {
    fn release(&self, now: Mono) -> f64 {
        if !self.fault.is_release() {
            return 0.0;
        }
        let part = |from: Mono, to: Mono| to.since(from).as_secs_f64() / RISE.as_secs_f64();
        let height = (self.from + part(self.since, now.min(self.until))).min(1.0);
        (height - part(self.until, now)).max(0.0)
    }
}

impl Faults {
    /// Returns what is wrong with a device now.
    pub fn of(&self, device: &str, now: Mono) -> Fault {
        self.0.get(device).filter(|ordered| now < ordered.until).map_or(Fault::None, |ordered| ordered.fault)
    }

    /// Returns how far a release at a device is, 0 to 1.
    pub fn release(&self, device: &str, now: Mono) -> f64 {
        self.0.get(device).map_or(0.0, |ordered| ordered.release(now))
    }

    fn with(&self, device: &str, fault: Fault, now: Mono, span: Duration) -> Self {
        let mut all = (*self.0).clone();
        let before = all.get(device).copied();
        let from = before.map_or(0.0, |ordered| ordered.release(now));
        let ordered = match before {
            // A release that is ended clears as one whose time is over.
            Some(before) if fault == Fault::None && from > 0.0 => Ordered { until: before.until.min(now), ..before },
            _ => Ordered { fault, since: now, until: now + span, from },
        };
        all.insert(device.to_owned(), ordered);
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
pub async fn serve(
    listener: UnixListener,
    devices: Vec<(String, Nature)>,
    faults: watch::Sender<Faults>,
    clock: Clock,
) {
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
                let now = clock.mono();
                faults.send_modify(|all| *all = all.with(device, fault, now, span));
                println!("● 故障 fault: {device} {fault:?}, {span:?}");
                "ok".to_owned()
            }
            Err(why) => why,
        };
        drop(tokio::time::timeout(WITHIN, to.write_all(format!("{answer}\n").as_bytes())).await);
    }
}

fn order<'a>(line: &'a str, devices: &[(String, Nature)]) -> Result<(&'a str, Fault, Duration), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[device, fault, millis] = words.as_slice() else { return Err("DEVICE KIND MILLISECONDS".to_owned()) };
    let Some((_, nature)) = devices.iter().find(|(known, _)| known == device) else {
        let known = devices.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(" ");
        return Err(format!("没有设备 `{device}` / there is no device `{device}`; {known}"));
    };
    let (fault, kinds) = (Fault::parse(fault)?, nature.kinds());
    if !kinds.contains(&fault.word()) {
        let (word, kinds) = (fault.word(), kinds.join(", "));
        return Err(format!("{device} 不会 {word}，请写 / does not know {word}, write: {kinds}"));
    }
    let span = millis.parse().map(Duration::from_millis).unwrap_or_default().min(LONGEST);
    Ok((device, fault, span))
}

/// Options of `fault`.
#[derive(Clone, Debug, clap::Args)]
pub struct FaultArgs {
    /// 模拟设备的 id / id of the simulated device, e.g. plc-nitration
    #[arg(value_name = "DEVICE")]
    device: String,
    /// silent、late[=500ms]、noise、wrong-unit、restart、exception[=04]、frozen、expired（DCS）、leak（气体）、fire（火灾）、none
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
        Fault::Late(delay) => format!("late={}ms", delay.as_millis()),
        Fault::Exception(code) => format!("exception={code:02x}"),
        Fault::None
        | Fault::Silent
        | Fault::Noise
        | Fault::WrongUnit
        | Fault::Restart
        | Fault::Frozen
        | Fault::Expired
        | Fault::Leak
        | Fault::Fire => fault.word().to_owned(),
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
        for fault in Fault::PLAIN {
            assert_eq!(Fault::parse(&written(fault)), Ok(fault));
        }
        for text in ["late=500ms", "exception=0b"] {
            assert_eq!(written(Fault::parse(text).unwrap()), text);
        }
        assert!(Fault::parse("dead").unwrap_err().contains("silent"));
        let (now, later) = (Mono::from_secs(1), Mono::from_secs(30));
        let faults = Faults::default().with("plc", Fault::Silent, now, Duration::from_secs(19));
        assert_eq!((faults.of("plc", now), faults.of("plc", later)), (Fault::Silent, Fault::None));
        assert_eq!(faults.of("gas", now), Fault::None);
    }

    #[test]
    fn a_release_rises_stays_and_clears_and_another_order_goes_on_from_where_it_is() {
        let at = Mono::from_secs;
        let faults = Faults::default().with("gas", Fault::Leak, at(10), Duration::from_secs(20));
        let seen = [10, 13, 16, 29, 33, 36, 99].map(|t| faults.release("gas", at(t)));
        assert_eq!(seen, [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]);
        let again = faults.with("gas", Fault::Leak, at(33), Duration::from_secs(20));
        assert_eq!([33, 36, 40].map(|t| again.release("gas", at(t))), [0.5, 1.0, 1.0]);
        let ended = again.with("gas", Fault::None, at(40), Duration::from_secs(1));
        assert_eq!([40, 43, 46].map(|t| ended.release("gas", at(t))), [1.0, 0.5, 0.0]);
        assert_eq!(faults.with("gas", Fault::Silent, at(20), Duration::from_secs(9)).release("gas", at(21)), 0.0);
    }

    #[test]
    fn a_fault_that_means_nothing_for_a_device_is_refused_and_says_what_does() {
        let devices =
            [("plc".to_owned(), Nature::Modbus), ("dcs".to_owned(), Nature::Dcs), ("gas".to_owned(), Nature::Gas)];
        let told = order("plc leak 1000", &devices).unwrap_err();
        assert!(told.contains("plc") && told.contains("wrong-unit"), "{told}");
        assert!(order("dcs late 1000", &devices).unwrap_err().contains("expired"));
        assert!(order("plc expired 1000", &devices).is_err());
        assert_eq!(order("gas leak 1000", &devices).unwrap().1, Fault::Leak);
        assert_eq!(order("dcs expired 1000", &devices).unwrap().1, Fault::Expired);
    }

    #[tokio::test]
    async fn an_order_reaches_the_device_and_a_wrong_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (listener, path) = listen(dir.path()).unwrap();
        let (faults_tx, mut faults) = watch::channel(Faults::default());
        let clock = Clock::system();
        let mut task = tokio::task::JoinSet::new();
        task.spawn(serve(listener, vec![("plc".to_owned(), Nature::Modbus)], faults_tx, clock.clone()));
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
