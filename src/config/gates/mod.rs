//! `gates.toml`: gates, what each lane of `site.toml` is made of, and the hardware at it. Optional: without the file the lanes
//! of `site.toml` are recorded and shown, and nothing is decided or moved.
//!
//! A lane is declared once, in `site.toml`: there stand its name, zone, direction, who uses it, what it does on fire, its
//! commissioning. Here the lane of the same id gets its gate, its inputs and outputs, its times and its conduct. A device is
//! named once, with its address; a channel of it is given to one input or output of one lane.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Findings, Spot, Wrong, say};
use super::section::{Got, Page, Section};
use super::site::{at_most, missing, once};
use super::value::{Code, Kind, Label, Slug, Yes, choice_wanted, clip};
use crate::domain::gate::lane::spec::LaneSpec;
use crate::domain::gate::word::{GateClass, GateId, VehicleClass, ZoneId};
use crate::domain::gate::{desk, inside, register};
use crate::domain::site::SiteBook;
use crate::peers::settings::Settings as Sharing;
use crate::state::settings::Pictures as Album;

mod hardware;
mod lane;
mod listen;
mod peers;
mod people;
mod pictures;
mod settings;
mod shared;
mod wiring;

pub use hardware::{
    BarrierDevice, BoardDevice, CameraDevice, CameraMake, Converter, Devices, ModuleDevice, Proof, PushDevice,
    ReaderDevice, ScaleDevice, Tcp,
};
pub use listen::{CodeKeys, Listening, TerminalDevice};
pub use wiring::{Contact, OutputWire, Wire, Wired, Wiring};

/// Gates of a park.
const MAX_GATES: usize = 100;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gates {
    /// Gates, in file order.
    pub gates: Vec<Gate>,
    /// Lanes that the gateway decides at, in file order.
    pub lanes: Vec<Arc<LaneSpec>>,
    /// What is wired to each of them, in the same order.
    pub wiring: Vec<Wiring>,
    /// Devices.
    pub devices: Devices,
    /// Where devices call the gateway, and what proves their codes.
    pub listening: Listening,
    /// Who is asked at each lane, and for how long.
    pub desk: desk::Rules,
    /// Who may be inside, but for the zones, which `site.toml` has ([`super::Config::zones`]), and for what follows from the
    /// lanes: [`super::Config::gates_settings`] joins them.
    pub inside: inside::Rules,
    /// The park's other gateways, with which it is shared who passed.
    pub peers: Option<Sharing>,
    /// Approvals, papers, how long what is kept; the park's clock is joined by [`super::Config::gates_settings`].
    pub register: register::rules::Rules,
    /// Who may fill the register and the waybills by signed commands of the platform; empty: nobody.
    pub issuers: BTreeSet<String>,
    /// Where pictures of passages are kept.
    pub pictures: Option<Album>,
    /// Files of secrets, to be watched for changes.
    pub files: Vec<PathBuf>,
}

/// A gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Unique.
    pub id: GateId,
    /// Name, Chinese.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// What it is for.
    pub class: GateClass,
    /// Somebody is there.
    pub manned: bool,
    /// The zone on its outer side; `outside` where that is no zone of the park.
    pub from: ZoneId,
    /// Classes of vehicles that may pass it; empty: those that its lanes take.
    pub classes: BTreeSet<VehicleClass>,
}

/// What the file refers to.
pub(super) struct Around<'a> {
    /// The folder.
    pub(super) dir: &'a Path,
    /// Where the page is.
    pub(super) page: SocketAddr,
    /// This gateway; `None` where its file is wrong.
    pub(super) gateway: Option<&'a super::Gateway>,
    /// Where states are kept.
    pub(super) state_dir: &'a Path,
    /// The site, whose lanes they are.
    pub(super) site: &'a SiteBook,
    /// Whose commands the platform's keys prove; `None` where the file that says so is wrong.
    pub(super) issuers: Option<BTreeSet<&'a str>>,
}

/// Reads the file.
pub(super) fn read(page: &Page<'_>, table: &Spanned<DeTable<'_>>, around: &Around<'_>, out: &mut Findings) -> Gates {
    let mut root = Section::root(page, table);
    let mut gates = Gates { gates: gates(&mut root, around.site, out), ..Gates::default() };
    let places;
    (gates.devices, places) = hardware::read(&mut root, around.dir, &mut gates.files, out);
    gates.pictures = Some(pictures::read(root.section("pictures", out), around, out));
    gates.listening = listen::read(&mut root, around, &gates.devices, &mut gates.files, out);
    gates.desk.patience = people::patience(root.section("desk", out), out);
    lane::read(&mut root, around.site, &mut gates, out);
    shared::check_use(&gates, &places, &root.spot(), out);
    gates.inside = people::account(root.section("account", out), out);
    gates.peers = peers::read(root.section("peers", out), around.dir, around.gateway, &mut gates.files, out);
    if let Some(peers) = &gates.peers {
        (gates.inside.peers, gates.inside.peer_silent_after) = (peers.peers.clone(), peers.silent_after);
    }
    (gates.register, gates.issuers) = people::register(root.section("register", out), around.issuers.as_ref(), out);
    root.finish(&[], out);
    gates
}

fn gates(root: &mut Section<'_>, site: &SiteBook, out: &mut Findings) -> Vec<Gate> {
    let mut seen = BTreeMap::new();
    let sections = root.each("gate", out);
    at_most(sections.len(), MAX_GATES, "gate", &root.spot(), out);
    sections.into_iter().filter_map(|section| gate(section, site, &mut seen, out)).collect()
}

fn gate(
    mut section: Section<'_>,
    site: &SiteBook,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) -> Option<Gate> {
    let id = section.need("id", &Slug, "\"gate-1\"", out);
    let name = section.need("name", &Label(32), "\"一号门\"", out);
    let name_en = section.read("name_en", &Label(64), out);
    let class =
        section.need("class", &Word::<GateClass>::new(GateClass::ALL, GateClass::as_str), "\"general_goods\"", out);
    let manned = section.or("manned", &Yes, false, out);
    let from = section.read("from", &Code(32), out);
    let classes = section.or("classes", &Classes, BTreeSet::new(), out);
    section.finish(&[], out);
    once(("卡口", "gate"), id.as_ref(), seen, out);
    if let Some(from) = from.as_ref().filter(|from| from.value != OUTSIDE && site.zone(&from.value).is_none()) {
        let zones = site.zones.iter().map(|zone| zone.id.as_str()).chain([OUTSIDE]);
        missing("区域", "zone", from, zones, out);
    }
    let (id, class) = (id?, class?);
    if class.value == GateClass::LightUnmanned && classes.iter().any(|class| class.is_hazmat()) {
        let what = say!("无人值守卡口不能通行危化车、危废车", "dangerous goods do not pass where nobody is there");
        let instead = say!("请从 classes 中去掉 hazmat、hazwaste", "take hazmat and hazwaste out of classes");
        out.error(class.spot, Wrong::new(what, instead));
    }
    let name = name.map_or_else(|| id.value.clone(), |got| got.value);
    Some(Gate {
        name_en: name_en.map_or_else(|| id.value.clone(), |got| got.value),
        id: GateId::new(id.value),
        name,
        class: class.value,
        manned,
        from: ZoneId::new(from.map_or_else(|| OUTSIDE.to_owned(), |got| got.value)),
        classes,
    })
}

/// What lies around the park.
const OUTSIDE: &str = "outside";

/// One of the words of a closed list.
struct Word<T: 'static> {
    all: &'static [T],
    word: fn(T) -> &'static str,
}

impl<T: Copy> Word<T> {
    fn new(all: &'static [T], word: fn(T) -> &'static str) -> Self {
        Self { all, word }
    }
}

impl<T: Copy> Kind for Word<T> {
    type Out = T;

    fn read(&self, value: &DeValue<'_>) -> Result<T, Wrong> {
        let words: Vec<&str> = self.all.iter().map(|one| (self.word)(*one)).collect();
        let text = value.as_str().map(str::trim).unwrap_or_default();
        let found = self.all.iter().copied().find(|one| (self.word)(*one) == text);
        found.ok_or_else(|| {
            let text = clip(text);
            Wrong::new(say!("`{text}` 不可用", "`{text}` is not accepted"), choice_wanted(&words))
        })
    }
}

/// A list of classes of vehicles.
struct Classes;

impl Kind for Classes {
    type Out = BTreeSet<VehicleClass>;

    fn read(&self, value: &DeValue<'_>) -> Result<BTreeSet<VehicleClass>, Wrong> {
        let word = Word::new(VehicleClass::ALL, VehicleClass::as_str);
        let wrong = || {
            let known = VehicleClass::ALL.iter().map(|class| class.as_str()).collect::<Vec<_>>().join(", ");
            let wanted = say!("请写车辆类别的列表，可写：{known}", "write a list of classes; known are: {known}");
            Wrong::new(say!("不是车辆类别的列表", "not a list of classes of vehicles"), wanted)
        };
        let items = value.as_array().filter(|items| !items.is_empty()).ok_or_else(wrong)?;
        items.iter().map(|item| word.read(item.get_ref())).collect()
    }
}

/// Says that a choice is not what is needed, for the reader of lanes.
fn refuse<T>(got: &Got<T>, what: super::problem::Words, instead: super::problem::Words, out: &mut Findings) {
    out.error(got.spot.clone(), Wrong::new(what, instead));
}
