//! `site.toml`: zones, lanes, signals and channels of the state of the site (应急状态). Everything is optional: without the file
//! there is one zone, the park, and a state can be declared all the same. What comes in by wire, and who may do what, is read
//! by `site_inputs.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::cell;
use super::problem::{Findings, Spot, Words, Wrong, say};
use super::section::{Got, Page, Section};
use super::site_inputs;
use super::text::suggest;
use super::value::{Choice, Code, Kind, Label, Ratio, Slug, Span, Yes, code};
use super::zones::{self, Zones};
use crate::domain::id::PointUid;
use crate::domain::registry::{Commissioning, DeviceSpec, PointSpec};
use crate::domain::site::book::{
    Carries, Channel, Direction, Lane, Muster, OnFire, PARK, ServicePoint, Signal, Text, Zone,
};
use crate::domain::site::words::PLACES;
use crate::domain::site::{ServiceState, SiteBook, State};
use crate::output::settings::{Output, Pulse};

/// Zones, muster points and fire inputs of a park, each: more are a mistake of a script.
pub(super) const MAX_ZONES: usize = 200;
/// Lanes and doors, and signals, each.
const MAX_LANES: usize = 1000;
/// Channels: each text goes to each of them.
const MAX_CHANNELS: usize = 20;
/// So many names are listed where one is wrong; more do not help.
const FEW: usize = 8;
const HOUR: Duration = Duration::from_secs(3600);

/// What the file refers to.
pub(super) struct Around<'a> {
    /// Devices and their points, the derived ones among them.
    pub(super) specs: &'a [Arc<DeviceSpec>],
    /// Outputs.
    pub(super) outputs: &'a [Arc<Output>],
    /// Whether the other files are whole: otherwise nothing is said about what they may have had.
    pub(super) whole: bool,
}

impl Around<'_> {
    /// Returns the book of a gateway without the file.
    pub(super) fn bare(&self) -> SiteBook {
        SiteBook { points: self.points(), ..SiteBook::default() }
    }

    fn points(&self) -> BTreeMap<PointUid, ServicePoint> {
        let points = self.specs.iter().flat_map(|device| &device.points);
        let row = |point: &PointSpec| {
            let service = ServiceState::from(point.commissioning);
            (point.uid.clone(), ServicePoint { tag: point.tag.as_str().to_owned(), service })
        };
        points.map(row).collect()
    }

    /// Finds a point by its tag, or by its uid.
    pub(super) fn point(&self, got: &Got<String>, out: &mut Findings) -> Option<&PointSpec> {
        let mut points = self.specs.iter().flat_map(|device| &device.points);
        let name = got.value.as_str();
        let found = points.find(|point| point.tag.as_str() == name || point.uid.as_str() == name);
        if found.is_none() && self.whole {
            let tags = self.specs.iter().flat_map(|device| &device.points).map(|point| point.tag.as_str());
            missing("测点", "point", got, tags, out);
        }
        found
    }

    fn output(&self, got: &Got<String>, out: &mut Findings) -> Option<&Output> {
        let found = self.outputs.iter().find(|output| output.id.as_str() == got.value);
        if found.is_none() && self.whole {
            missing("输出", "output", got, self.outputs.iter().map(|output| output.id.as_str()), out);
        }
        found.map(Arc::as_ref)
    }
}

/// Says that there is nothing of this name.
pub(super) fn missing<'a>(
    zh: &str,
    en: &str,
    got: &Got<String>,
    known: impl IntoIterator<Item = &'a str>,
    out: &mut Findings,
) {
    let name = &got.value;
    let what = say!("没有{zh} `{name}`", "there is no {en} `{name}`");
    let known: Vec<&str> = known.into_iter().collect();
    let instead = match suggest(name, known.iter().copied()) {
        Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
        None if (1..=FEW).contains(&known.len()) => {
            let list = known.join(", ");
            say!("可写：{list}", "known are: {list}")
        }
        None => say!("请先配置此{zh}，或改名", "configure it first, or write another name"),
    };
    out.error(got.spot.clone(), Wrong::new(what, instead));
}

/// Reads the file: the site, and its zones as the account of who is inside has them.
pub(super) fn read(
    page: &Page<'_>,
    table: &Spanned<DeTable<'_>>,
    around: &Around<'_>,
    out: &mut Findings,
) -> (SiteBook, Zones) {
    let mut root = Section::root(page, table);
    let mut book = around.bare();
    book.musters = musters(&mut root, out);
    let account;
    (book.zones, account) = zones(&mut root, &book.musters, out);
    book.lanes = lanes(&mut root, &book, out);
    book.signals = signals(&mut root, &book, around, out);
    if let Some(channels) = channels(&mut root, out) {
        book.channels = channels;
    }
    book.texts = texts(&mut root, out);
    let mut section = root.section("drill", out);
    book.longest_drill = section.or("longest", &Span(HOUR / 60, HOUR * 24), book.longest_drill, out);
    section.finish(&[], out);
    let mut section = root.section("bypass", out);
    book.longest_bypass = section.or("longest", &Span(HOUR / 60, HOUR * 24 * 30), book.longest_bypass, out);
    section.finish(&[], out);
    site_inputs::read(&mut root, &mut book, around, out);
    root.finish(&[], out);
    (book, account)
}

/// A list of names.
pub(super) struct Codes;

impl Kind for Codes {
    type Out = Vec<String>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
        let wrong = || {
            let wanted = say!("请写名称的列表，例如 [\"gate-1-out\"]", "write a list of names, e.g. [\"gate-1-out\"]");
            Wrong::new(say!("不是名称的列表", "not a list of names"), wanted)
        };
        let items = value.as_array().filter(|a| a.len() <= MAX_LANES).ok_or_else(wrong)?;
        items.iter().map(|item| code(item.get_ref().as_str().ok_or_else(wrong)?, 64).map(str::to_owned)).collect()
    }
}

/// Refuses a name that was used before.
pub(super) fn once(
    what: (&str, &str),
    id: Option<&Got<String>>,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) {
    let Some(id) = id else { return };
    if let Some(first) = seen.insert(id.value.clone(), id.spot.clone()) {
        let ((zh, en), name, first) = (what, &id.value, first.short());
        let what = say!("{zh} `{name}` 重复，{first} 已用", "{en} `{name}` is used twice, first in {first}");
        out.error(id.spot.clone(), Wrong::new(what, say!("请改成唯一的名称", "write a name of its own")));
    }
}

/// Refuses more sections than a park can have.
pub(super) fn at_most(count: usize, max: usize, key: &str, spot: &Spot, out: &mut Findings) {
    if count > max {
        let what = say!("{count} 个 [[{key}]]，超过 {max}", "{count} [[{key}]] are more than {max}");
        out.error(spot.clone(), Wrong::new(what, say!("请分到多台网关", "spread them over several gateways")));
    }
}

/// Reads the zone of something; the park where nothing is written.
pub(super) fn zone_of(section: &mut Section<'_>, zones: &[Zone], out: &mut Findings) -> Option<usize> {
    let Some(got) = section.read("zone", &Code(32), out) else { return Some(0) };
    let at = zones.iter().position(|zone| zone.id == got.value);
    if at.is_none() {
        missing("区域", "zone", &got, zones.iter().map(|zone| zone.id.as_str()), out);
    }
    at
}

fn musters(root: &mut Section<'_>, out: &mut Findings) -> Vec<Muster> {
    let mut seen = BTreeMap::new();
    let sections = root.each("muster", out);
    at_most(sections.len(), MAX_ZONES, "muster", &root.spot(), out);
    let mut musters = Vec::new();
    for mut section in sections {
        let id = section.need("id", &Slug, "\"north-square\"", out);
        let name = section.need("name", &Label(32), "\"北广场\"", out);
        let name_en = section.read("name_en", &Label(64), out);
        section.finish(&[], out);
        once(("集合点", "muster point"), id.as_ref(), &mut seen, out);
        let Some(id) = id else { continue };
        let name = name.map_or_else(|| id.value.clone(), |got| got.value);
        musters.push(Muster { name_en: name_en.map_or_else(|| id.value.clone(), |got| got.value), id: id.value, name });
    }
    musters
}

/// A zone before its parent is known by its place.
struct ZoneRow {
    zone: Zone,
    parent: Option<Got<String>>,
    account: zones::Row,
}

fn zones(root: &mut Section<'_>, musters: &[Muster], out: &mut Findings) -> (Vec<Zone>, Zones) {
    let mut park = root.section("park", out);
    let mut zones = vec![Zone::park()];
    if let Some(zone) = zones.first_mut() {
        if let Some(name) = park.read("name", &Label(32), out) {
            zone.name = name.value;
        }
        if let Some(name) = park.read("name_en", &Label(64), out) {
            zone.name_en = name.value;
        }
        zone.muster = muster(&mut park, musters, out);
    }
    let mut account = vec![zones::read(&mut park, out)];
    park.finish(&[], out);
    let mut seen = BTreeMap::new();
    let sections = root.each("zone", out);
    at_most(sections.len(), MAX_ZONES, "zone", &root.spot(), out);
    let mut rows: Vec<ZoneRow> =
        sections.into_iter().filter_map(|section| zone_row(section, musters, &mut seen, out)).collect();
    // Parents first; what is left over when nothing can be placed has an unknown parent or goes round in a circle.
    loop {
        let place = |row: &ZoneRow| {
            let parent = row.parent.as_ref().map_or(PARK, |got| got.value.as_str());
            zones.iter().position(|zone| zone.id == parent)
        };
        let Some((at, parent)) = rows.iter().enumerate().find_map(|(at, row)| Some((at, place(row)?))) else { break };
        let row = rows.remove(at);
        zones.push(Zone { parent: Some(parent), ..row.zone });
        account.push(row.account);
    }
    let left: Vec<String> = rows.iter().map(|row| row.zone.id.clone()).collect();
    for got in rows.into_iter().filter_map(|row| row.parent) {
        if left.contains(&got.value) {
            let parent = &got.value;
            let what = say!("区域互相包含：`{parent}`", "the zones lie in one another: `{parent}`");
            let instead =
                say!("请写外面的区域，最外是 \"park\"", "write the zone around it; the outermost is \"park\"");
            out.error(got.spot, Wrong::new(what, instead));
        } else {
            missing("区域", "zone", &got, zones.iter().map(|zone| zone.id.as_str()), out);
        }
    }
    let account = zones::joined(&zones, account, out);
    (zones, account)
}

fn zone_row(
    mut section: Section<'_>,
    musters: &[Muster],
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) -> Option<ZoneRow> {
    let id = section.need("id", &Slug, "\"tank-farm\"", out);
    let name = section.need("name", &Label(32), "\"罐区\"", out);
    let name_en = section.read("name_en", &Label(64), out);
    let parent = section.read("parent", &Code(32), out);
    let muster = muster(&mut section, musters, out);
    let account = zones::read(&mut section, out);
    section.finish(&[], out);
    once(("区域", "zone"), id.as_ref(), seen, out);
    let id = id?;
    if id.value == PARK {
        let what = say!("`park` 是整个园区", "`park` is the park as a whole");
        let instead = say!("请写在 [park] 节中", "write its keys in a section [park]");
        out.error(id.spot, Wrong::new(what, instead));
        return None;
    }
    let name = name.map_or_else(|| id.value.clone(), |got| got.value);
    let name_en = name_en.map_or_else(|| id.value.clone(), |got| got.value);
    Some(ZoneRow { zone: Zone { id: id.value, name, name_en, parent: None, muster }, parent, account })
}

fn muster(section: &mut Section<'_>, musters: &[Muster], out: &mut Findings) -> Vec<(usize, f64)> {
    let mut muster = Vec::new();
    for (name, got) in section.section("muster", out).all(&Ratio(0.0, 360.0), out) {
        let at = musters.iter().position(|point| point.id == name);
        match (at, got.value) {
            (Some(at), Some(bearing)) => muster.push((at, bearing)),
            (None, _) => {
                let got = Got { value: name, spot: got.spot };
                missing("集合点", "muster point", &got, musters.iter().map(|point| point.id.as_str()), out);
            }
            (Some(_), None) => {}
        }
    }
    muster
}

fn lanes(root: &mut Section<'_>, book: &SiteBook, out: &mut Findings) -> Vec<Lane> {
    let mut seen = BTreeMap::new();
    let sections = root.each("lane", out);
    at_most(sections.len(), MAX_LANES, "lane", &root.spot(), out);
    sections.into_iter().filter_map(|section| lane(section, book, &mut seen, out)).collect()
}

fn lane(
    mut section: Section<'_>,
    book: &SiteBook,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) -> Option<Lane> {
    let id = section.need("id", &Code(64), "\"gate-1-out\"", out);
    let name = section.read("name", &Label(64), out);
    let name_en = section.read("name_en", &Label(64), out);
    let zone = zone_of(&mut section, &book.zones, out);
    let direction = section.need("direction", &Choice(&["in", "out", "both"]), "\"out\"", out);
    let carries = section.need("carries", &Choice(&["persons", "vehicles"]), "\"vehicles\"", out);
    let emergency = section.or("emergency", &Yes, false, out);
    let on_fire = section.read("on_fire", &Choice(&["open", "rescue", "no_entry"]), out);
    let service = section.read("commissioning", &Label(32), out);
    section.finish(&[], out);
    once(("车道", "lane"), id.as_ref(), seen, out);
    let service = service.map(|got| cell::commissioning(&got.value).map_err(|wrong| out.error(got.spot, wrong)).ok());
    let direction = match direction?.value {
        "in" => Direction::In,
        "out" => Direction::Out,
        _ => Direction::Both,
    };
    let carries = if carries?.value == "persons" { Carries::Persons } else { Carries::Vehicles };
    let spot = on_fire.as_ref().map(|got| got.spot.clone());
    let on_fire = match on_fire.map(|got| got.value) {
        Some("rescue") => OnFire::Rescue,
        Some("no_entry") => OnFire::NoEntry,
        _ => OnFire::Open,
    };
    let id = id?.value;
    let name = name.map_or_else(|| id.clone(), |got| got.value);
    let name_en = name_en.map_or_else(|| id.clone(), |got| got.value);
    let service = ServiceState::from(service.unwrap_or(Some(Commissioning::InService))?);
    let lane = Lane { id, name, name_en, zone: zone?, direction, carries, emergency, on_fire, service };
    if let Some(spot) = spot.filter(|_| on_fire == OnFire::NoEntry && lane.leads_out()) {
        let what = say!(
            "这条通道是出口，火灾时必须能出去（GB 55024-2022 5.3.6）",
            "this lane is a way out and must let people out on fire (GB 55024-2022, 5.3.6)"
        );
        let instead = say!("请写 on_fire = \"open\" 或 \"rescue\"", "write on_fire = \"open\" or \"rescue\"");
        out.error(spot, Wrong::new(what, instead));
    }
    Some(lane)
}

fn signals(root: &mut Section<'_>, book: &SiteBook, around: &Around<'_>, out: &mut Findings) -> Vec<Signal> {
    let mut seen = BTreeMap::new();
    let sections = root.each("signal", out);
    at_most(sections.len(), MAX_LANES, "signal", &root.spot(), out);
    sections.into_iter().filter_map(|section| signal(section, book, around, &mut seen, out)).collect()
}

fn signal(
    mut section: Section<'_>,
    book: &SiteBook,
    around: &Around<'_>,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) -> Option<Signal> {
    let id = section.need("output", &Code(64), "\"siren-tank-1\"", out);
    let zone = zone_of(&mut section, &book.zones, out);
    let in_drill = section.or("in_drill", &Yes, true, out);
    let spot = section.spot();
    let listed = section.section("values", out).all(&Value, out);
    section.finish(&[], out);
    once(("输出", "output"), id.as_ref(), seen, out);
    let id = id?;
    let (output, at) = (around.output(&id, out), id.spot.clone());
    if let Some(output) = output.filter(|output| output.pulse != Pulse::None) {
        let id = output.id.as_str();
        let what = say!("输出 `{id}` 是脉冲，不能保持状态", "output `{id}` is a pulse and cannot hold a state");
        let instead = say!("请用 pulse = \"none\" 的输出", "use an output with pulse = \"none\"");
        out.error(at.clone(), Wrong::new(what, instead));
    }
    if let Some(output) = output.filter(|output| output.commissioning != Commissioning::InService) {
        let (id, state) = (output.id.as_str(), output.commissioning.as_str());
        let what = say!("输出 `{id}` 未投用（{state}），不接受命令", "output `{id}` is {state} and takes no orders");
        let instead = say!("请先投用此输出", "put the output into service first");
        out.warn(at, Wrong::new(what, instead));
    }
    let mut values = BTreeMap::new();
    for (name, got) in listed {
        let Some(state) = State::from_name(&name).filter(|state| *state != State::Drill) else {
            let got = Got { value: name, spot: got.spot };
            let states = State::ALL.into_iter().filter(|state| *state != State::Drill).map(State::as_str);
            missing("状态", "state", &got, states, out);
            continue;
        };
        let Some(value) = got.value else { continue };
        if let Some(output) = output.filter(|output| output.values.iter().all(|allowed| allowed.name != value)) {
            let got = Got { value: value.clone(), spot: got.spot };
            missing("值", "value", &got, output.values.iter().map(|allowed| allowed.name.as_str()), out);
        }
        values.insert(state, value);
    }
    if !values.contains_key(&State::Normal) {
        let what = say!("没有正常状态的值，就没有什么使它停下", "without a value for normal, nothing ever ends it");
        let instead = say!(
            "请写 values = {{ normal = \"off\", evacuate = \"on\" }}",
            "write values = {{ normal = \"off\", evacuate = \"on\" }}"
        );
        out.error(spot, Wrong::new(what, instead));
    }
    let repeats = output.is_some_and(|output| output.repeat_harmless);
    Some(Signal { output: id.value, zone: zone?, values, in_drill, repeats })
}

/// The name of a value of an output.
struct Value;

impl Kind for Value {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        Code(64).read(value)
    }
}

fn channels(root: &mut Section<'_>, out: &mut Findings) -> Option<Vec<Channel>> {
    let mut seen = BTreeMap::new();
    let sections = root.each("channel", out);
    at_most(sections.len(), MAX_CHANNELS, "channel", &root.spot(), out);
    let mut channels = Vec::new();
    for mut section in sections {
        let id = section.need("id", &Code(64), "\"broadcast\"", out);
        let in_drill = section.or("in_drill", &Yes, true, out);
        section.finish(&[], out);
        once(("通道", "channel"), id.as_ref(), &mut seen, out);
        channels.extend(id.map(|id| Channel { id: id.value, in_drill }));
    }
    (!channels.is_empty()).then_some(channels)
}

fn texts(root: &mut Section<'_>, out: &mut Findings) -> BTreeMap<State, Text> {
    let mut texts = BTreeMap::new();
    for (name, spot, mut section) in root.section("text", out).tables(out) {
        let zh = section.need("zh", &Label(300), "\"{zone}人员请立即撤离。{wind}{muster}\"", out);
        let en = section.need("en", &Label(600), "\"Everybody in {zone}: leave now. {wind} {muster}\"", out);
        section.finish(&[], out);
        let Some(state) = State::from_name(&name).filter(|state| *state != State::Drill) else {
            let got = Got { value: name, spot };
            let states = State::ALL.into_iter().filter(|state| *state != State::Drill).map(State::as_str);
            missing("状态", "state", &got, states, out);
            continue;
        };
        for got in [&zh, &en].into_iter().flatten() {
            check_places(got, state, out);
        }
        if let (Some(zh), Some(en)) = (zh, en) {
            texts.insert(state, Text { zh: zh.value, en: en.value });
        }
    }
    texts
}

/// Refuses `{…}` that nobody fills in, and an evacuation that does not say where to go.
fn check_places(got: &Got<String>, state: State, out: &mut Findings) {
    let parts = got.value.split('{').skip(1).map(|part| part.split('}').next().unwrap_or(part));
    let unknown: BTreeSet<String> =
        parts.map(|name| format!("{{{name}}}")).filter(|name| !PLACES.contains(&name.as_str())).collect();
    let known = || say!("可写 {{zone}}、{{wind}}、{{muster}}", "known are {{zone}}, {{wind}} and {{muster}}");
    for name in unknown {
        out.error(got.spot.clone(), Wrong::new(say!("未知的 `{name}`", "unknown `{name}`"), known()));
    }
    let missing: Vec<&str> = match state {
        State::Evacuate => ["{wind}", "{muster}"].into_iter().filter(|place| !got.value.contains(place)).collect(),
        State::Shelter => ["{wind}"].into_iter().filter(|place| !got.value.contains(place)).collect(),
        State::Normal | State::Drill | State::Recovery | State::LockdownIn => Vec::new(),
    };
    if let Some(place) = missing.first() {
        let what: Words =
            say!("没有 `{place}`：人们不知道往哪里走", "there is no `{place}`: nobody learns where to go");
        out.error(got.spot.clone(), Wrong::new(what, say!("请在文字中加上 `{place}`", "put `{place}` into the text")));
    }
}
