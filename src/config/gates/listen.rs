//! Where the gates' devices call the gateway: cameras that push, terminals that report positions; and the keys of QR codes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::problem::{Findings, Words, Wrong, say};
use super::super::section::Section;
use super::super::site::{at_most, once};
use super::super::uplink_file::secret;
use super::super::value::{Code, Label, Listen, Located, Span};
use super::{Around, Devices, Word};
use crate::domain::gate::hardware::Datum;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::word::TerminalId;

/// Terminals of a park: its hazmat vehicles, and those of its carriers.
const MAX_TERMINALS: usize = 5000;
/// Shortest key of QR codes, as for cameras.
const MIN_KEY: usize = 16;

/// Where devices call, and what proves their codes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listening {
    /// Where cameras push to.
    pub cameras: Option<SocketAddr>,
    /// Where terminals connect to (JT/T 808).
    pub terminals: Option<SocketAddr>,
    /// Terminals that are known.
    pub known: Vec<TerminalDevice>,
    /// Keys of the park's QR codes; two while one follows the other.
    pub codes: CodeKeys,
}

/// A positioning terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalDevice {
    /// Its id.
    pub id: TerminalId,
    /// Its number, digits without zeros before them.
    pub phone: String,
    /// The vehicle that it is built into; absent for one that is handed out at the gate.
    pub plate: Option<Plate>,
    /// Datum of its coordinates, declared and never guessed.
    pub datum: Datum,
    /// Not heard of for so long, it is taken for gone, 10 s..=1 h.
    pub silent_after: Duration,
}

/// Keys of QR codes. Shows none of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CodeKeys(pub Vec<Vec<u8>>);

impl fmt::Debug for CodeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodeKeys({})", self.0.len())
    }
}

pub(super) fn read(
    root: &mut Section<'_>,
    around: &Around<'_>,
    devices: &Devices,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Listening {
    let mut section = root.section("listen", out);
    let cameras = section.read("cameras", &Listen, out).map(|got| got.value);
    let terminals = section.read("terminals", &Listen, out).map(|got| got.value);
    section.finish(&[], out);
    let known = known(root, out);
    let unheard = |what: Words, instead: Words, out: &mut Findings| out.error(root.spot(), Wrong::new(what, instead));
    if cameras.is_none() && !(devices.cameras.is_empty() && devices.pushers.is_empty()) {
        let what = say!("有相机，却没有写它们推送到哪里", "there are cameras, and no address that they push to");
        let instead =
            say!("请写 [listen] cameras = \"0.0.0.0:8090\"", "write cameras = \"0.0.0.0:8090\" under [listen]");
        unheard(what, instead, out);
    }
    if terminals.is_none() && !known.is_empty() {
        let what = say!("有定位终端，却没有写它们连到哪里", "there are terminals, and no address that they connect to");
        let instead =
            say!("请写 [listen] terminals = \"0.0.0.0:8808\"", "write terminals = \"0.0.0.0:8808\" under [listen]");
        unheard(what, instead, out);
    }
    let pairs = [
        (cameras, terminals, say!("相机和终端用同一地址", "cameras and terminals have the same address")),
        (cameras, Some(around.page), say!("相机和网页用同一地址", "cameras and the page have the same address")),
        (terminals, Some(around.page), say!("终端和网页用同一地址", "terminals and the page have the same address")),
    ];
    for (one, other, what) in pairs {
        if one.zip(other).is_some_and(|(one, other)| clash(one, other)) {
            unheard(what, say!("请写两个端口", "write two ports"), out);
        }
    }
    Listening { cameras, terminals, known, codes: codes(root, around.dir, files, out) }
}

/// Whether one of them cannot be listened on beside the other. Port 0 is whichever is free.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let overlap = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && overlap
}

fn known(root: &mut Section<'_>, out: &mut Findings) -> Vec<TerminalDevice> {
    let (mut ids, mut phones) = (BTreeMap::new(), BTreeMap::new());
    let sections = root.each("terminal", out);
    at_most(sections.len(), MAX_TERMINALS, "terminal", &root.spot(), out);
    let mut known = Vec::new();
    for mut section in sections {
        let id = section.need("id", &Code(64), "\"t-1\"", out);
        let phone = section.need("phone", &Code(20), "\"13800138000\"", out);
        let plate = section.read("plate", &Label(16), out);
        let datum = section.need("datum", &Word::<Datum>::new(Datum::ALL, Datum::as_str), "\"wgs84\"", out);
        let second = Duration::from_secs;
        let silent_after = section.or("silent_after", &Span(second(10), second(3600)), second(180), out);
        section.finish(&[], out);
        once(("终端", "terminal"), id.as_ref(), &mut ids, out);
        let phone = phone.filter(|got| {
            let digits = got.value.bytes().all(|byte| byte.is_ascii_digit());
            if !digits {
                let what = say!("终端号只能是数字", "the number of a terminal has digits only");
                out.error(got.spot.clone(), Wrong::new(what, say!("请写终端手机号", "write its telephone number")));
            }
            digits
        });
        let plate = plate.map(|got| (Plate::new(&got.value, PlateColour::Unknown), got.spot));
        if let Some((_, spot)) = plate.as_ref().filter(|(plate, _)| !plate.is_possible()) {
            let what = say!("不是车牌号", "that is no plate");
            let instead = say!(
                "请写 plate = \"皖R12345\"，发放用的终端不写",
                "write plate = \"皖R12345\"; none for a terminal that is handed out"
            );
            out.error(spot.clone(), Wrong::new(what, instead));
        }
        once(("终端号", "number of a terminal"), phone.as_ref(), &mut phones, out);
        if let (Some(id), Some(phone), Some(datum)) = (id, phone, datum) {
            let phone = phone.value.trim_start_matches('0').to_owned();
            let (id, plate, datum) = (TerminalId::new(id.value), plate.map(|(plate, _)| plate), datum.value);
            known.push(TerminalDevice { id, phone, plate, datum, silent_after });
        }
    }
    known
}

fn codes(root: &mut Section<'_>, dir: &Path, files: &mut Vec<PathBuf>, out: &mut Findings) -> CodeKeys {
    let mut section = root.section("codes", out);
    let named = ["key_file", "next_key_file"].map(|key| section.read(key, &Located(dir), out));
    section.finish(&[], out);
    if let [first, Some(next)] = &named
        && first.as_ref().is_none_or(|first| first.value == next.value)
    {
        let (what, instead) = match first {
            None => (
                say!("有 next_key_file 而没有 key_file", "there is a next_key_file and no key_file"),
                say!("现用的密钥写 key_file", "the key that is in use goes into key_file"),
            ),
            Some(_) => (
                say!("两个密钥是同一文件", "both keys are one file"),
                say!("请写新密钥的文件，或删去 next_key_file", "name the file of the new key, or remove next_key_file"),
            ),
        };
        out.error(next.spot.clone(), Wrong::new(what, instead));
    }
    let mut keys = Vec::new();
    for file in named.into_iter().flatten() {
        let Some(key) = secret(&file, files, out) else { continue };
        let len = key.len();
        if len < MIN_KEY {
            let what = say!("密钥只有 {len} 字节，少于 {MIN_KEY}", "the key has {len} bytes, fewer than {MIN_KEY}");
            out.error(file.spot, Wrong::new(what, say!("请用更长的随机密钥", "use a longer random key")));
        }
        keys.push(key);
    }
    CodeKeys(keys)
}
