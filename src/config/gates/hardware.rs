//! The devices at the gates: cameras, modules of relays and inputs, barriers with a controller, readers, boards, weighbridges.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::problem::{Findings, Spot, Wrong, say};
use super::super::section::{Got, Section};
use super::super::site::{Codes, at_most, once};
use super::super::uplink_file::secret;
use super::super::value::{Choice, Code, Host, Located, Span, Whole, Yes};
use crate::domain::gate::word::LaneId;

/// Devices of one kind.
const MAX_DEVICES: usize = 500;
/// Shortest key of a camera that signs its pushes (RFC 2104 wants the hash's length; 16 bytes is the least).
const MIN_KEY: usize = 16;

/// All of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    /// Plate cameras.
    pub cameras: Vec<CameraDevice>,
    /// Modules of relays and inputs.
    pub modules: Vec<ModuleDevice>,
    /// Barriers with a controller that is spoken to.
    pub barriers: Vec<BarrierDevice>,
    /// Readers of cards and codes.
    pub readers: Vec<ReaderDevice>,
    /// Boards with text and voice.
    pub boards: Vec<BoardDevice>,
    /// Weighbridges.
    pub scales: Vec<ScaleDevice>,
    /// Other systems that push.
    pub pushers: Vec<PushDevice>,
}

/// Where a Modbus or TCP device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Modbus unit.
    pub unit: u8,
}

/// A plate camera.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraDevice {
    /// Its id.
    pub id: String,
    /// What it speaks.
    pub make: CameraMake,
    /// Its serial number.
    pub serial: String,
    /// Where its pushes may come from; absent: from anywhere that proves itself.
    pub address: Option<IpAddr>,
    /// How it proves who it is.
    pub proof: Option<Proof>,
    /// The output by which its answer opens; absent: a relay module opens.
    pub relay: Option<u8>,
    /// Reads that are less sure are flagged, 0 to 100.
    pub min_confidence: u8,
    /// How long its answer waits for the decision, 200 ms..=1.9 s.
    pub answer_within: Duration,
    /// Not heard of for so long, it is down, 6 s..=5 min.
    pub silent_after: Duration,
    /// A read that is older by the camera's clock moves nothing, 2 s..=1 min; absent: its clock is not looked at.
    pub max_age: Option<Duration>,
    /// Its own list is off, as a person has seen.
    pub own_list_off: bool,
}

/// Another system of the park that pushes: it counts queues, or says where persons are.
#[derive(Clone, Debug, PartialEq)]
pub struct PushDevice {
    /// Its id.
    pub id: String,
    /// How it proves who it is.
    pub proof: Option<Proof>,
    /// Where its pushes may come from; absent: from anywhere that proves itself.
    pub address: Option<IpAddr>,
    /// Lanes before which it counts the queue.
    pub queues: BTreeSet<LaneId>,
    /// It says where persons are, and who calls for help.
    pub persons: bool,
    /// Not heard of for so long, it counts no queue any more, 5 s..=10 min.
    pub silent_after: Duration,
}

/// What a camera speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraMake {
    /// 臻识.
    Vzenith,
    /// Hikvision, ISAPI.
    Isapi,
}

/// How a camera proves who it is. Shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// HTTP digest.
    Digest {
        /// User.
        user: String,
        /// Password.
        password: Vec<u8>,
    },
    /// A key with which it signs.
    Hmac {
        /// The key.
        key: Vec<u8>,
    },
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Digest { .. } => "Digest(***)",
            Self::Hmac { .. } => "Hmac(***)",
        })
    }
}

/// A module of relays and inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleDevice {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub at: Tcp,
    /// Function that reads its inputs: 1 or 2 (bits), 3 or 4 (registers).
    pub function: u8,
    /// Address of its first input, from 0.
    pub start: u16,
    /// How many inputs it has, 0..=64.
    pub inputs: u16,
    /// How many relays it has, 0..=32; the first is coil 0.
    pub relays: u16,
    /// Register of the first relay's flash-on (闪开), two words, where the module itself ends a pulse.
    pub flash: Option<u16>,
    /// Registers from one relay's flash-on to the next one's, 2..=16.
    pub flash_step: u16,
    /// Length of a pulse, 100 ms..=5 s.
    pub pulse: Duration,
    /// Time for a connection and for an answer, 200 ms..=3 s.
    pub timeout: Duration,
}

/// A barrier with a controller that is spoken to (ISAPI).
#[derive(Clone, Debug, PartialEq)]
pub struct BarrierDevice {
    /// Its id.
    pub id: String,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Channel.
    pub channel: u8,
    /// Login.
    pub proof: Option<Proof>,
}

/// A reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderDevice {
    /// Its id.
    pub id: String,
    /// The converter that it hangs on.
    pub converter: Converter,
    /// It sends the bytes of a number the other way round.
    pub reversed: bool,
}

/// The converter of a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Converter {
    /// Holding registers.
    Modbus {
        /// Where.
        at: Tcp,
        /// First register.
        start: u16,
    },
    /// Lines of text over TCP.
    Lines(Tcp),
}

/// A board with text and voice behind a serial server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardDevice {
    /// Its id.
    pub id: String,
    /// Where; the unit is the board's own address.
    pub at: Tcp,
}

/// A weighbridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScaleDevice {
    /// Its id.
    pub id: String,
    /// Where its indicator is.
    pub at: Tcp,
    /// A weight stands still when it differs by no more than this, kilograms, 1..=1000.
    pub within_kg: u32,
    /// For so long, 500 ms..=10 s.
    pub still_for: Duration,
}

/// Where names and files are looked for, while the devices are read.
struct Reader<'a> {
    dir: &'a Path,
    files: &'a mut Vec<PathBuf>,
    seen: BTreeMap<String, Spot>,
    serials: BTreeMap<String, Spot>,
    addresses: BTreeMap<String, Spot>,
}

/// Reads all of them, and where each stands, by its id.
pub(super) fn read(
    root: &mut Section<'_>,
    dir: &Path,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> (Devices, BTreeMap<String, Spot>) {
    let (seen, serials, addresses) = Default::default();
    let mut reader = Reader { dir, files, seen, serials, addresses };
    let mut devices = Devices::default();
    for section in each(root, "camera", out) {
        devices.cameras.extend(reader.camera(section, out));
    }
    for section in each(root, "module", out) {
        devices.modules.extend(reader.module(section, out));
    }
    for section in each(root, "barrier", out) {
        devices.barriers.extend(reader.barrier(section, out));
    }
    for section in each(root, "reader", out) {
        devices.readers.extend(reader.reader(section, out));
    }
    for section in each(root, "board", out) {
        devices.boards.extend(reader.board(section, out));
    }
    for section in each(root, "scale", out) {
        devices.scales.extend(reader.scale(section, out));
    }
    for section in each(root, "push", out) {
        devices.pushers.extend(reader.pusher(section, out));
    }
    (devices, reader.seen)
}

fn each<'a>(root: &mut Section<'a>, key: &'static str, out: &mut Findings) -> Vec<Section<'a>> {
    let sections = root.each(key, out);
    at_most(sections.len(), MAX_DEVICES, key, &root.spot(), out);
    sections
}

fn ip(address: Option<Got<String>>, out: &mut Findings) -> Option<IpAddr> {
    address.and_then(|got| match got.value.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let what = say!("这里的地址必须是 IP 地址", "this address must be an IP address");
            let instead =
                say!("请写 address = \"192.168.10.31\"，或不写", "write address = \"192.168.10.31\", or leave it out");
            out.error(got.spot, Wrong::new(what, instead));
            None
        }
    })
}

fn small<T: TryFrom<i64>>(value: i64, fallback: T) -> T {
    T::try_from(value).unwrap_or(fallback)
}

fn tcp(section: &mut Section<'_>, port: i64, out: &mut Findings) -> Option<Tcp> {
    let host = section.need("host", &Host, "\"192.168.10.20\"", out);
    let port = section.or("port", &Whole(1, 65_535), port, out);
    let unit = section.or("unit", &Whole(0, 255), 1, out);
    Some(Tcp { host: host?.value, port: small(port, 502), unit: small(unit, 1) })
}

impl Reader<'_> {
    fn id(&mut self, section: &mut Section<'_>, example: &str, out: &mut Findings) -> Option<String> {
        let id = section.need("id", &Code(64), example, out);
        once(("设备", "device"), id.as_ref(), &mut self.seen, out);
        id.map(|got| got.value)
    }

    /// Two of one kind at one address are one device that was written twice: each would take the other's answers.
    fn alone(&mut self, section: &Section<'_>, at: Option<&Tcp>, start: i64, out: &mut Findings) {
        let Some(Tcp { host, port, unit }) = at else { return };
        let place = format!("{host}:{port}/{unit}");
        let key = format!("{} {place} {start}", section.name());
        let spot = section.spot_of("host");
        if let Some(first) = self.addresses.insert(key, spot.clone()) {
            let first = first.short();
            let what = say!("地址 {place} 已用于 {first}", "address {place} is that of {first} already");
            let instead = say!(
                "请改 host、port 或 unit（站号）",
                "correct host, port or unit: each device has an address of its own"
            );
            out.error(spot, Wrong::new(what, instead));
        }
    }

    fn camera(&mut self, mut section: Section<'_>, out: &mut Findings) -> Option<CameraDevice> {
        let id = self.id(&mut section, "\"cam-1\"", out);
        let make = section.need("make", &Choice(&["vzenith", "isapi"]), "\"vzenith\"", out);
        let serial = section.need("serial", &Code(64), "\"31c1a2b3-0001\"", out);
        let address = section.read("address", &Host, out);
        let relay = section.read("relay", &Whole(0, 3), out);
        let min_confidence = section.or("min_confidence", &Whole(0, 100), 80, out);
        let millis = Duration::from_millis;
        let answer_within = section.or("answer_within", &Span(millis(200), millis(1900)), millis(1500), out);
        let silent_after = section.or("silent_after", &Span(millis(6000), millis(300_000)), millis(15_000), out);
        let max_age = section.read("max_age", &Span(millis(2000), millis(60_000)), out);
        once(("序列号", "serial number"), serial.as_ref(), &mut self.serials, out);
        if let Some(relay) = relay.as_ref().filter(|_| make.as_ref().is_some_and(|make| make.value == "isapi")) {
            let what = say!("海康相机的应答不能开闸", "the answer to a Hikvision camera opens nothing");
            let instead = say!(
                "请删去 relay，在车道写 barrier 或 outputs.open",
                "remove `relay`; give the lane a `barrier` or outputs.open"
            );
            out.error(relay.spot.clone(), Wrong::new(what, instead));
        }
        let own_list_off = section.or("own_list_off", &Yes, false, out);
        let proof = self.proof(&mut section, out);
        let spot = section.spot();
        section.finish(&[], out);
        let address = ip(address, out);
        if proof.is_none() {
            let what = say!(
                "相机没有身份证明，谁都可以冒充它开闸",
                "the camera proves nothing: anybody could open in its name"
            );
            let instead = say!(
                "请写 user 和 password_file（摘要认证），或 key_file（HMAC）",
                "write user and password_file (digest), or key_file (HMAC)"
            );
            out.error(spot, Wrong::new(what, instead));
        }
        let make = if make?.value == "vzenith" { CameraMake::Vzenith } else { CameraMake::Isapi };
        Some(CameraDevice {
            id: id?,
            make,
            serial: serial?.value,
            address,
            proof,
            relay: relay.map(|got| small(got.value, 0)),
            min_confidence: small(min_confidence, 80),
            answer_within,
            silent_after,
            max_age: max_age.map(|got| got.value),
            own_list_off,
        })
    }

    fn pusher(&mut self, mut section: Section<'_>, out: &mut Findings) -> Option<PushDevice> {
        let id = self.id(&mut section, "\"queue-1\"", out);
        let address = section.read("address", &Host, out);
        let queues = section.or("queues", &Codes, Vec::new(), out);
        let persons = section.or("persons", &Yes, false, out);
        let (least, most) = (Duration::from_secs(5), Duration::from_secs(600));
        let silent_after = section.or("silent_after", &Span(least, most), Duration::from_secs(30), out);
        let proof = self.proof(&mut section, out);
        let spot = section.spot();
        section.finish(&[], out);
        let address = ip(address, out);
        if proof.is_none() {
            let what = say!("没有身份证明，谁都可以冒充它", "it proves nothing: anybody could speak in its name");
            let instead = say!(
                "请写 key_file（HMAC），或 user 和 password_file",
                "write key_file (HMAC), or user and password_file"
            );
            out.error(spot.clone(), Wrong::new(what, instead));
        }
        if queues.is_empty() && !persons {
            let what = say!("没有写它报什么", "what it says is not written");
            let instead =
                say!("请写 queues = [\"车道\"] 或 persons = true", "write queues = [\"LANE\"] or persons = true");
            out.error(spot, Wrong::new(what, instead));
        }
        let queues = queues.into_iter().map(LaneId::new).collect();
        Some(PushDevice { id: id?, proof, address, queues, persons, silent_after })
    }

    fn proof(&mut self, section: &mut Section<'_>, out: &mut Findings) -> Option<Proof> {
        let user = section.read("user", &Code(64), out);
        let password = section.read("password_file", &Located(self.dir), out);
        let key = section.read("key_file", &Located(self.dir), out);
        if let (Some(user), None) = (&user, &password) {
            let what = say!("有 user 而没有 password_file", "there is a user and no password_file");
            let instead =
                say!("请把口令存入文件并写 password_file", "put the password into a file and write password_file");
            out.error(user.spot.clone(), Wrong::new(what, instead));
        }
        if let (Some(_), Some(password)) = (&key, &password) {
            let what = say!("有两种身份证明", "there are two proofs");
            let instead =
                say!("请只写 key_file，或只写 user 和 password_file", "write key_file, or user and password_file");
            out.error(password.spot.clone(), Wrong::new(what, instead));
        }
        if let Some(file) = key {
            let spot = file.spot.clone();
            // Where the file cannot be read that is said already; that nothing proves the device would not be true.
            let Some(key) = secret(&file, self.files, out) else { return Some(Proof::Hmac { key: Vec::new() }) };
            let len = key.len();
            if len < MIN_KEY {
                let what = say!("密钥只有 {len} 字节，少于 {MIN_KEY}", "the key has {len} bytes, fewer than {MIN_KEY}");
                out.error(spot, Wrong::new(what, say!("请用更长的随机密钥", "use a longer random key")));
            }
            return Some(Proof::Hmac { key });
        }
        let file = password?;
        let password = secret(&file, self.files, out);
        Some(Proof::Digest {
            user: user.map_or_else(|| "admin".to_owned(), |got| got.value),
            password: password.unwrap_or_default(),
        })
    }

    fn module(&mut self, mut section: Section<'_>, out: &mut Findings) -> Option<ModuleDevice> {
        let id = self.id(&mut section, "\"io-1\"", out);
        let at = tcp(&mut section, 502, out);
        self.alone(&section, at.as_ref(), 0, out);
        let function = section.or("function", &Whole(1, 4), 2, out);
        let start = section.or("start", &Whole(0, 65_535), 0, out);
        let inputs = section.or("inputs", &Whole(0, 64), 8, out);
        let relays = section.or("relays", &Whole(0, 32), 8, out);
        let flash = section.read("flash", &Whole(0, 65_535), out);
        let flash_step = section.or("flash_step", &Whole(2, 16), 5, out);
        if flash.is_none() && section.has("flash_step") && !section.has("flash") {
            let what = say!("有 flash_step 而没有 flash", "there is a flash_step and no flash");
            let instead = say!("请写第一路的闪开寄存器 flash = 3", "write the first relay's register: flash = 3");
            out.error(section.spot_of("flash_step"), Wrong::new(what, instead));
        }
        let millis = Duration::from_millis;
        let pulse = section.or("pulse", &Span(millis(100), millis(5000)), millis(500), out);
        let timeout = section.or("timeout", &Span(millis(200), millis(3000)), millis(1000), out);
        section.finish(&[], out);
        Some(ModuleDevice {
            id: id?,
            at: at?,
            function: small(function, 2),
            start: small(start, 0),
            inputs: small(inputs, 8),
            relays: small(relays, 8),
            flash: flash.map(|got| small(got.value, 0)),
            flash_step: small(flash_step, 5),
            pulse,
            timeout,
        })
    }

    fn barrier(&mut self, mut section: Section<'_>, out: &mut Findings) -> Option<BarrierDevice> {
        let id = self.id(&mut section, "\"bar-1\"", out);
        let host = section.need("host", &Host, "\"192.168.10.40\"", out);
        let port = section.or("port", &Whole(1, 65_535), 80, out);
        let channel = section.or("channel", &Whole(1, 16), 1, out);
        let proof = self.proof(&mut section, out);
        if proof.is_none() {
            let what =
                say!("没有登录：ISAPI 道闸要求口令", "there is no login: a barrier that speaks ISAPI asks for one");
            let instead = say!("请写 user 和 password_file", "write user and password_file");
            out.warn(section.spot(), Wrong::new(what, instead));
        }
        section.finish(&[], out);
        Some(BarrierDevice { id: id?, host: host?.value, port: small(port, 80), channel: small(channel, 1), proof })
    }

    fn reader(&mut self, mut section: Section<'_>, out: &mut Findings) -> Option<ReaderDevice> {
        let id = self.id(&mut section, "\"card-1\"", out);
        let converter = section.or("converter", &Choice(&["modbus", "lines"]), "modbus", out);
        let at = tcp(&mut section, 502, out);
        let start = section.or("start", &Whole(0, 65_535), 0, out);
        if converter == "lines" && section.has("start") {
            let what = say!("TCP 文本行没有首地址", "lines of text have no first register");
            let instead =
                say!("请删去 start，或写 converter = \"modbus\"", "remove `start`, or write converter = \"modbus\"");
            out.error(section.spot_of("start"), Wrong::new(what, instead));
        }
        self.alone(&section, at.as_ref(), start, out);
        let reversed = section.or("reversed", &Yes, false, out);
        section.finish(&[], out);
        let at = at?;
        let converter = match converter {
            "lines" => Converter::Lines(at),
            _ => Converter::Modbus { at, start: small(start, 0) },
        };
        Some(ReaderDevice { id: id?, converter, reversed })
    }

    fn board(&mut self, mut section: Section<'_>, out: &mut Findings) -> Option<BoardDevice> {
        let id = self.id(&mut section, "\"led-1\"", out);
        let at = tcp(&mut section, 4001, out);
        self.alone(&section, at.as_ref(), 0, out);
        section.finish(&[], out);
        Some(BoardDevice { id: id?, at: at? })
    }

    fn scale(&mut self, mut section: Section<'_>, out: &mut Findings) -> Option<ScaleDevice> {
        let id = self.id(&mut section, "\"scale-1\"", out);
        let at = tcp(&mut section, 502, out);
        self.alone(&section, at.as_ref(), 0, out);
        let within_kg = section.or("within_kg", &Whole(1, 1000), 20, out);
        let millis = Duration::from_millis;
        let still_for = section.or("still_for", &Span(millis(500), millis(10_000)), millis(1500), out);
        section.finish(&[], out);
        Some(ScaleDevice { id: id?, at: at?, within_kg: small(within_kg, 20), still_for })
    }
}
