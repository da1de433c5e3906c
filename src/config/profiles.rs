//! Instrument profiles (仪表模板): a device type described once, `<name>.toml`, so that a device is three lines.
//!
//! A profile is looked for in the configuration folder's `profiles/` first, then among the shipped ones, which are the
//! files of `config/profiles/` built into the program: one source of truth, and a target has them.
//!
//! ```toml
//! [profile]
//! name = "…"              # what the device is called unless devices.toml says otherwise
//! address_base = 0        # how the addresses below count: 0 as on the wire, or 1
//! line = "9600 8N1"       # the maker's serial settings, several separated by commas, remarks in brackets; a bus that has
//!                         # others is warned of
//!
//! [device]                # any key of `[defaults]` in devices.toml; the device's own keys go before
//! timeout = "2s"
//!
//! [[block]]               # registers of one origin
//! source = "…"            # where this layout is from
//! basis = "sourced"       # "sourced": from the named text. "site": a layout to be checked against the manual
//! channels = 8            # the points below are there so many times; {n} = 1.., {nn} = 01.., {i} = 0.. in their texts
//! step = 3                # and each time this many registers further
//! points = [
//!   { id = "gas{n}", tag = "{nn}", name = "{n} 通道浓度", table = "input", address = 0, encoding = "u16", … },
//! ]
//! ```
//!
//! A point has the columns of the point table under their English names, `range = [low, high]`, its `id` and the end of
//! its tag (the one without has the device's `tags` itself); its `state_of` and `alarm_of` name a point of the same profile by
//! id. On device `gas-1` with `tags = "GD-7"` the point `gas1` becomes a row: uid `gas-1.gas1` for ever, tag `GD-701`. These rows
//! are read by the code that reads the point table ([`super::points`]); rows of the table with such
//! a uid change single cells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use toml::Spanned;
use toml::de::DeTable;

use super::cell;
use super::problem::{Findings, Spot, Wrong, say};
use super::section::{Got, Page, Section, parse};
use super::sheet::{Cells, Column, Made};
use super::text::{decode_utf8, suggest};
use super::value::{Choice, Label, Pair, Scalar, Whole};
use crate::field::settings::{Line, Parity, Table};

/// The shipped profiles: name, text.
const SHIPPED: [(&str, &str); 11] = [
    ("analog-4-20", include_str!("../../config/profiles/analog-4-20.toml")),
    ("fire-panel", include_str!("../../config/profiles/fire-panel.toml")),
    ("gas-controller", include_str!("../../config/profiles/gas-controller.toml")),
    ("gas-detector-midas", include_str!("../../config/profiles/gas-detector-midas.toml")),
    ("gas-detector-ya-k300", include_str!("../../config/profiles/gas-detector-ya-k300.toml")),
    ("tailings-logger", include_str!("../../config/profiles/tailings-logger.toml")),
    ("tank-gauge", include_str!("../../config/profiles/tank-gauge.toml")),
    ("transfer-switch", include_str!("../../config/profiles/transfer-switch.toml")),
    ("water-quality", include_str!("../../config/profiles/water-quality.toml")),
    ("weather-station", include_str!("../../config/profiles/weather-station.toml")),
    ("weighbridge", include_str!("../../config/profiles/weighbridge.toml")),
];

/// The folder below the configuration folder.
pub(super) const FOLDER: &str = "profiles";
/// Where a problem says that a shipped profile stands.
const SHIPPED_AS: &str = "(shipped) profiles";
/// Files read from that folder; a site has a dozen makers.
const MAX_FILES: usize = 200;
/// Channels of one block; the largest controllers take 256 loops.
const MAX_CHANNELS: i64 = 256;

/// Keys of a point that are cells of the point table, beside `id`, `tag`, `address` and `range`.
const KEYS: [(&str, Column); 33] = [
    ("name", Column::Name),
    ("table", Column::Table),
    ("encoding", Column::Encoding),
    ("order", Column::Order),
    ("scale", Column::Scale),
    ("offset", Column::Offset),
    ("unit", Column::Unit),
    ("deadband", Column::Deadband),
    ("max_silence", Column::MaxSilence),
    ("class", Column::Class),
    ("company", Column::Company),
    ("hazard_source", Column::HazardSource),
    ("platform_code", Column::PlatformCode),
    ("equipment", Column::Equipment),
    ("kind", Column::Kind),
    ("signal", Column::Signal),
    ("state_of", Column::StateOf),
    ("states", Column::States),
    ("frozen", Column::Frozen),
    ("below", Column::Below),
    ("ll", Column::LowLow),
    ("l", Column::Low),
    ("h", Column::High),
    ("hh", Column::HighHigh),
    ("l1", Column::First),
    ("l2", Column::Second),
    ("gas", Column::Gas),
    ("limit_basis", Column::Basis),
    ("alarm_deadband", Column::AlarmDeadband),
    ("alarm_delay", Column::AlarmDelay),
    ("priority", Column::Priority),
    ("zone", Column::Zone),
    ("alarm_of", Column::AlarmOf),
];

/// A file before it is parsed.
#[derive(Debug)]
pub(super) struct Text {
    name: String,
    path: PathBuf,
    text: String,
}

/// Returns the texts of all profiles: those of the folder, and the shipped ones that it does not replace.
pub(super) fn texts(dir: &Path, out: &mut Findings) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    for path in super::folder::files_in(&dir.join(FOLDER), "toml", MAX_FILES) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = super::text_file(&path, true, out, decode_utf8);
        texts.extend(text.map(|text| Text { name, path, text }));
    }
    for (name, text) in SHIPPED {
        if !texts.iter().any(|own| own.name == name) {
            let path = Path::new(SHIPPED_AS).join(format!("{name}.toml"));
            texts.push(Text { name: name.to_owned(), path, text: text.to_owned() });
        }
    }
    texts
}

/// Returns what is to be watched for changes: the folder itself, as a new file may replace a shipped profile, and its files.
pub(super) fn files(dir: &Path, texts: &[Text]) -> Vec<PathBuf> {
    let own = texts.iter().filter(|text| !is_shipped(&text.path)).map(|text| text.path.clone());
    std::iter::once(dir.join(FOLDER)).chain(own).collect()
}

/// A shipped profile stands nowhere on the disk: its path is a name for problems only.
fn is_shipped(path: &Path) -> bool {
    path.parent() == Some(Path::new(SHIPPED_AS))
}

/// All profiles, by name; `None` where the file is wrong.
#[derive(Debug, Default)]
pub(super) struct Library<'t>(BTreeMap<String, Option<Profile<'t>>>);

/// A profile with its document, from which each device reads the settings that it has in common with others.
#[derive(Debug)]
pub(super) struct Profile<'t> {
    page: Page<'t>,
    table: Spanned<DeTable<'t>>,
    template: Rc<Template>,
}

/// What a profile makes of a device.
#[derive(Debug)]
pub(super) struct Template {
    id: String,
    shipped: bool,
    name: String,
    line: Option<String>,
    points: Vec<Templated>,
}

#[derive(Debug)]
struct Templated {
    id: String,
    /// The end of its tag; without one its tag is what those of the device begin with.
    tag: Option<String>,
    channel: Option<u16>,
    sourced: bool,
    origin: Rc<str>,
    cells: Cells,
}

impl<'t> Library<'t> {
    /// Parses the texts.
    pub(super) fn read(texts: &'t [Text], out: &mut Findings) -> Self {
        Self(texts.iter().map(|text| (text.name.clone(), Profile::read(text, out))).collect())
    }

    /// Returns the profile that a device names.
    pub(super) fn get(&self, named: &Got<String>, out: &mut Findings) -> Option<&Profile<'t>> {
        let Some(found) = self.0.get(&named.value) else {
            let (name, known) = (&named.value, self.0.keys().cloned().collect::<Vec<_>>().join(", "));
            let what = say!("没有仪表模板 `{name}`", "there is no profile `{name}`");
            let instead = match suggest(name, self.0.keys().map(String::as_str)) {
                Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
                None => say!(
                    "请写 {known} 之一，或把 {name}.toml 放入 {FOLDER}/",
                    "write one of {known}, or put {name}.toml into {FOLDER}/"
                ),
            };
            out.error(named.spot.clone(), Wrong::new(what, instead));
            return None;
        };
        found.as_ref()
    }
}

impl<'t> Profile<'t> {
    fn read(text: &'t Text, out: &mut Findings) -> Option<Self> {
        let page = Page::new(&text.path, &text.text);
        let table = parse(&page, &text.text, out)?;
        let template = Rc::new(template(text, &page, &table, out));
        Some(Self { page, table, template })
    }

    /// Returns what the profile makes of a device.
    pub(super) fn template(&self) -> &Rc<Template> {
        &self.template
    }

    /// Returns the section of settings that a device may also have itself.
    pub(super) fn device(&self, out: &mut Findings) -> Section<'_> {
        Section::root(&self.page, &self.table).section("device", out)
    }
}

fn template(text: &Text, page: &Page<'_>, table: &Spanned<DeTable<'_>>, out: &mut Findings) -> Template {
    let mut root = Section::root(page, table);
    let mut head = root.section("profile", out);
    let name = head.need("name", &Label(64), "\"…\"", out).map(|got| got.value);
    let base = head.or("address_base", &Whole(0, 1), 0, out);
    let line = head.read("line", &Label(64), out).map(|got| got.value);
    head.finish(&[], out);
    root.section("device", out);
    let mut points = Vec::new();
    for section in root.each("block", out) {
        block(section, base, &mut points, out);
    }
    if points.is_empty() {
        let what = say!("模板没有测点", "the profile has no points");
        out.error(root.spot(), Wrong::new(what, say!("请写 `[[block]]` 及其 points", "write `[[block]]` with points")));
    }
    root.finish(&[], out);
    check_ids(&points, root_spot(page, table), out);
    let shipped = is_shipped(&text.path);
    Template { id: text.name.clone(), shipped, name: name.unwrap_or_else(|| text.name.clone()), line, points }
}

fn root_spot(page: &Page<'_>, table: &Spanned<DeTable<'_>>) -> Spot {
    Section::root(page, table).spot()
}

fn check_ids(points: &[Templated], spot: Spot, out: &mut Findings) {
    let mut seen = std::collections::BTreeSet::new();
    for point in points.iter().filter(|p| !seen.insert(&p.id)) {
        let id = &point.id;
        let what = say!("测点 id `{id}` 重复", "point id `{id}` is used twice");
        let instead =
            say!("请改成唯一的；多通道时在 id 中写 {{n}}", "write one of its own; with channels write {{n}} in it");
        out.error(spot.clone(), Wrong::new(what, instead));
    }
}

/// Reads a block; every point as many times as there are channels.
fn block(mut section: Section<'_>, base: i64, points: &mut Vec<Templated>, out: &mut Findings) {
    section.need("source", &Label(400), "\"…\"", out);
    let basis = section.need("basis", &Choice(&["sourced", "site"]), "\"site\"", out);
    let sourced = basis.is_some_and(|got| got.value == "sourced");
    let channels = section.read("channels", &Whole(1, MAX_CHANNELS), out).map(|got| got.value);
    let step = section.or("step", &Whole(0, 1000), 0, out);
    let drawn: Vec<_> = section.each("points", out).into_iter().filter_map(|s| drawn(s, base, out)).collect();
    section.finish(&[], out);
    for channel in 1..=channels.unwrap_or(1) {
        let at = channels.map(|_| channel);
        points.extend(drawn.iter().map(|point| point.at(at, step * (channel - 1), sourced)));
    }
}

/// A point as the profile draws it.
struct Drawn {
    id: String,
    tag: Option<String>,
    address: i64,
    spot: Rc<Spot>,
    cells: Cells,
}

fn drawn(mut section: Section<'_>, base: i64, out: &mut Findings) -> Option<Drawn> {
    let id = section.need("id", &Label(48), "\"gas{n}\"", out);
    let tag = section.read("tag", &Label(32), out);
    let address = section.need("address", &Whole(base, 65_535 + base), "0", out);
    let cells = cells(&mut section, out);
    section.finish(&[], out);
    let address = address?;
    let spot = Rc::new(address.spot);
    Some(Drawn { id: id?.value, tag: tag.map(|got| got.value), address: address.value - base, spot, cells })
}

/// Reads the cells that a point of a profile, and a device's change of one, may have.
fn cells(section: &mut Section<'_>, out: &mut Findings) -> Cells {
    let mut cells = Cells::new();
    for (key, column) in KEYS {
        if let Some(got) = section.read(key, &Scalar, out) {
            cells.insert(column, (got.value, Rc::new(got.spot)));
        }
    }
    if let Some(Got { value: (low, high), spot }) = section.read("range", &Pair, out) {
        let spot = Rc::new(spot);
        cells.insert(Column::RangeLow, (low, Rc::clone(&spot)));
        cells.insert(Column::RangeHigh, (high, spot));
    }
    if let Some(got) = section.read("commissioning", &Scalar, out) {
        cells.insert(Column::Commissioning, (got.value, Rc::new(got.spot)));
    }
    cells
}

impl Drawn {
    fn at(&self, channel: Option<i64>, further: i64, sourced: bool) -> Templated {
        let fill = |text: &str| match channel {
            Some(n) => text
                .replace("{nn}", &format!("{n:02}"))
                .replace("{n}", &n.to_string())
                .replace("{i}", &(n - 1).to_string()),
            None => text.to_owned(),
        };
        let mut cells: Cells =
            self.cells.iter().map(|(column, (text, spot))| (*column, (fill(text), Rc::clone(spot)))).collect();
        let table = cells.get(&Column::Table).and_then(|(word, _)| cell::table(word).ok());
        let address = address_cell(table, self.address + further);
        cells.insert(Column::Address, (address, Rc::clone(&self.spot)));
        Templated {
            id: fill(&self.id),
            tag: self.tag.as_deref().map(fill),
            channel: channel.and_then(|n| u16::try_from(n).ok()),
            sourced,
            origin: self.spot.short().into(),
            cells,
        }
    }
}

/// Writes a wire address so that no setting of a device changes what it means.
fn address_cell(table: Option<Table>, wire: i64) -> String {
    let digit = match table {
        Some(Table::Coil) => 0,
        Some(Table::Discrete) => 1,
        Some(Table::Input) => 3,
        Some(Table::Holding) => 4,
        None => return wire.to_string(),
    };
    format!("{digit}x{:05}", wire + 1)
}

/// How one device uses a profile: the keys of its section in `devices.toml`.
#[derive(Debug)]
pub(super) struct Use {
    template: Rc<Template>,
    spot: Rc<Spot>,
    tags: Option<Got<String>>,
    channels: Option<u16>,
    /// For all its points.
    all: Cells,
    /// For all its points of more than one register: a device has one word order.
    order: Option<(String, Rc<Spot>)>,
    /// For single points, by their id.
    set: BTreeMap<String, Cells>,
}

impl Use {
    /// Reads the keys that a device has beside `profile`.
    pub(super) fn read(section: &mut Section<'_>, profile: &Profile<'_>, spot: Spot, out: &mut Findings) -> Self {
        let template = Rc::clone(profile.template());
        let tags = section.read("tags", &Label(48), out);
        let channels = section.read("channels", &Whole(1, MAX_CHANNELS), out).map(|got| got.value);
        let mut all = Cells::new();
        for (key, column) in [
            ("company", Column::Company),
            ("hazard_source", Column::HazardSource),
            ("equipment", Column::Equipment),
            ("zone", Column::Zone),
        ] {
            if let Some(got) = section.read(key, &Scalar, out) {
                all.insert(column, (got.value, Rc::new(got.spot)));
            }
        }
        let order = section.read("order", &Choice(&["abcd", "cdab", "badc", "dcba"]), out);
        let order = order.map(|got| (got.value.to_owned(), Rc::new(got.spot)));
        let mut set = BTreeMap::new();
        for (id, spot, mut section) in section.section("set", out).tables(out) {
            if !template.points.iter().any(|point| point.id == id) {
                out.error(spot, template.no_point(&id));
            }
            let cells = cells(&mut section, out);
            section.finish(&[], out);
            set.insert(id, cells);
        }
        let channels = channels.and_then(|n| u16::try_from(n).ok());
        Self { template, spot: Rc::new(spot), tags, channels, all, order, set }
    }

    /// Returns the name of the device where it has none of its own.
    pub(super) fn name(&self) -> &str {
        &self.template.name
    }

    /// Returns the rows of the device; `name` is its own, where it has one.
    pub(super) fn expand(&self, device: &str, name: Option<&str>) -> Vec<Made> {
        let tags = self.tags.as_ref().map(|got| got.value.as_str());
        let tag_of = |end: Option<&str>| match (tags, end) {
            (Some(tags), end) => format!("{tags}{}", end.unwrap_or_default()),
            (None, Some(end)) => format!("{device}.{}", end.trim_start_matches('.')),
            (None, None) => device.to_owned(),
        };
        let tag_spot = self.tags.as_ref().map_or_else(|| Rc::clone(&self.spot), |got| Rc::new(got.spot.clone()));
        let own = |text: String| (text, Rc::clone(&self.spot));
        let made = self.template.points.iter().filter(|p| self.has(p)).map(|point| {
            let mut cells = point.cells.clone();
            if let (Some(name), Some((text, _))) = (name, cells.get_mut(&Column::Name)) {
                *text = format!("{name} {text}");
            }
            cells.insert(Column::Uid, own(format!("{device}.{}", point.id)));
            cells.insert(Column::Device, own(device.to_owned()));
            cells.insert(Column::Tag, (tag_of(point.tag.as_deref()), Rc::clone(&tag_spot)));
            cells.extend(self.all.clone());
            if let (Some(order), true) = (&self.order, is_wide(&cells)) {
                cells.insert(Column::Order, order.clone());
            }
            cells.extend(self.set.get(&point.id).cloned().unwrap_or_default());
            for column in [Column::StateOf, Column::AlarmOf] {
                if let Some((word, _)) = cells.get_mut(&column) {
                    *word = format!("{device}.{word}");
                }
            }
            Made { origin: Rc::clone(&point.origin), device: Rc::clone(&self.spot), cells }
        });
        made.collect()
    }

    fn has(&self, point: &Templated) -> bool {
        point.channel.zip(self.channels).is_none_or(|(channel, most)| channel <= most)
    }

    /// Warns where the bus of the device has other serial settings than any that the maker delivers it with.
    pub(super) fn check_line(&self, line: Line, spot: Spot, out: &mut Findings) {
        let Some(text) = &self.template.line else { return };
        let delivered: Vec<Line> = text.split([',', '，']).filter_map(line_of).collect();
        if delivered.is_empty() || delivered.contains(&line) {
            return;
        }
        let profile = &self.template.id;
        let what = say!(
            "总线为 {line}，而模板 `{profile}` 的设备出厂为 {text}",
            "the bus has {line}, and devices of profile `{profile}` are delivered with {text}"
        );
        let instead = say!(
            "请改总线的 baud、parity、stop_bits 或设备；已改过设备则不必改",
            "change baud, parity, stop_bits of the bus, or the device; nothing to do if the device was changed"
        );
        out.warn(spot, Wrong::new(what, instead));
    }

    /// Returns what the device became, for people.
    pub(super) fn became(&self, device: &str) -> Became {
        let points: Vec<_> = self.template.points.iter().filter(|p| self.has(p)).collect();
        let text = |point: &Templated, column| {
            let own = self.set.get(&point.id).and_then(|cells| cells.get(&column));
            own.or_else(|| point.cells.get(&column)).map(|(text, _)| text.clone())
        };
        let governed = |word: &str| points.iter().filter(|p| text(p, Column::StateOf).as_deref() == Some(word)).count();
        let mut states: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (word, map) in points.iter().filter_map(|p| Some((&p.id, text(p, Column::States)?))) {
            let entry = states.entry(map).or_default();
            *entry = (entry.0 + 1, entry.1 + governed(word));
        }
        Became {
            device: device.to_owned(),
            profile: self.template.id.clone(),
            shipped: self.template.shipped,
            line: self.template.line.clone(),
            points: points.len(),
            sourced: points.iter().filter(|p| p.sourced).count(),
            states: states.into_iter().map(|(map, (words, governed))| (map, words, governed)).collect(),
        }
    }
}

/// Reads `9600 8N1` at the beginning of a text.
fn line_of(text: &str) -> Option<Line> {
    let mut words = text.split_whitespace();
    let baud = words.next()?.parse().ok()?;
    let mut form = words.next()?.chars();
    let (Some('8'), Some(parity), Some(stop), None) = (form.next(), form.next(), form.next(), form.next()) else {
        return None;
    };
    let parity = match parity.to_ascii_uppercase() {
        'N' => Parity::None,
        'E' => Parity::Even,
        'O' => Parity::Odd,
        _ => return None,
    };
    let stop_bits = u8::try_from(stop.to_digit(10).filter(|n| (1..=2).contains(n))?).ok()?;
    Some(Line { baud, parity, stop_bits })
}

/// Whether the registers of a point have an order.
fn is_wide(cells: &Cells) -> bool {
    cells.get(&Column::Encoding).and_then(|(word, _)| cell::encoding(word).ok()).is_some_and(|e| e.width() > 1)
}

impl Template {
    fn no_point(&self, id: &str) -> Wrong {
        let (id, profile) = (super::value::clip(id), &self.id);
        let what = say!("模板 `{profile}` 没有测点 `{id}`", "profile `{profile}` has no point `{id}`");
        let known = self.points.iter().map(|p| p.id.as_str());
        let instead = match suggest(&id, known.clone()) {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None => {
                let list = known.take(12).collect::<Vec<_>>().join(", ");
                say!("可写：{list}", "known: {list}")
            }
        };
        Wrong::new(what, instead)
    }
}

/// Keys that make sense beside `profile` only, for those who write them without it.
pub(super) fn hints() -> [(&'static str, super::problem::Words); 8] {
    ["tags", "channels", "order", "company", "hazard_source", "equipment", "zone", "set"].map(|key| {
        (
            key,
            say!(
                "只能与 profile 同用；其余设备写在 points.csv",
                "only beside `profile`; else it belongs into points.csv"
            ),
        )
    })
}

/// What a device became by its profile, for `check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Became {
    /// The device's id.
    pub device: String,
    /// The profile's name.
    pub profile: String,
    /// Whether it is a shipped one.
    pub shipped: bool,
    /// The maker's serial settings.
    pub line: Option<String>,
    /// Points made.
    pub points: usize,
    /// Of these, from a sourced text; the others are to be checked against the manual.
    pub sourced: usize,
    /// State maps as written, how many words have each, and how many points these govern.
    pub states: Vec<(String, usize, usize)>,
}

impl std::fmt::Display for Became {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { device, profile, points, sourced, .. } = self;
        let (zh, en) = if self.shipped { ("随附", "shipped") } else { ("本站", "the site's own") };
        let open = points - sourced;
        write!(
            f,
            "{device}：模板 {profile}（{zh}），{points} 个测点，其中 {sourced} 个有出处，{open} 个须按说明书核对"
        )?;
        if let Some(line) = &self.line {
            write!(f, "；串口 {line}")?;
        }
        write!(
            f,
            " | profile {profile} ({en}), {points} points: {sourced} sourced, {open} to check against the manual"
        )?;
        if let Some(line) = &self.line {
            write!(f, "; serial {line}")?;
        }
        for (map, words, governed) in &self.states {
            write!(f, "\n    {words} 个状态字管 {governed} 个测点 | {words} state words for {governed} points: {map}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::sheet::Sheet;
    use super::super::{devices, join, points};
    use super::*;

    /// Addresses, encodings, units, ranges, states: whatever a profile says can be said by the point table as well,
    /// and means the same there.
    #[test]
    fn what_every_shipped_profile_makes_reads_the_same_as_rows_of_the_point_table() {
        let mut out = Findings::default();
        let texts = texts(Path::new("/nowhere"), &mut out);
        let library = Library::read(&texts, &mut out);
        let device = |(n, (name, _)): (usize, &(&str, &str))| {
            format!("[[device]]\nid = \"d{n}\"\nhost = \"192.168.1.{n}\"\nprofile = \"{name}\"\ntags = \"T{n}-\"\n")
        };
        let text: String = SHIPPED.iter().enumerate().map(device).collect();
        let page = Page::new(Path::new("devices.toml"), &text);
        let file = |out: &mut Findings| {
            let table = parse(&page, &text, out).unwrap();
            devices::read(&page, &table, &library, out)
        };
        let (first, second) = (file(&mut out), file(&mut out));
        let (made, known) = (join::made(&first), join::known(&first));
        let columns: BTreeSet<Column> = made.iter().flat_map(|made| made.cells.keys().copied()).collect();
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(columns.iter().map(|column| column.names().0)).unwrap();
        for row in &made {
            let cell = |column| row.cells.get(column).map_or("", |(text, _)| text);
            table.write_record(columns.iter().map(cell)).unwrap();
        }
        let table = String::from_utf8(table.into_inner().unwrap()).unwrap();
        let sheet = Sheet::read(Path::new("points.csv"), &table, &mut out).unwrap();
        let rows = points::read(Some(&sheet), Vec::new(), &known, &mut out);
        let from_table = join::join(second, rows, &[], &mut out);
        let rows = points::read(None, made, &known, &mut out);
        let from_profiles = join::join(first, rows, &[], &mut out);
        assert_eq!(out.errors(), 0, "{:?}", out.sorted(&[]));
        assert!(from_profiles.specs.iter().all(|spec| !spec.points.is_empty()));
        assert_eq!(from_profiles.sources, from_table.sources);
        assert_eq!(from_profiles.specs, from_table.specs);
        let limited = |joined: &join::Joined| -> Vec<Vec<bool>> {
            joined.limits.iter().map(|device| device.iter().map(Option::is_some).collect()).collect()
        };
        assert_eq!(limited(&from_profiles), limited(&from_table));
    }
}
