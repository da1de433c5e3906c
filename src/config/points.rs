//! From rows of the point table to points: every cell checked, then the cells against each other, then the rows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::address::{Counting, Located, Notation, locate, table_word};
use super::alarms::cells::{self, Cells};
use super::cell;
use super::devices::MIN_INTERVAL;
use super::instrument;
use super::opcua;
use super::problem::{Findings, Words, Wrong, say};
use super::sheet::{Column, Made, Row, Sheet, TableRow};
use super::text::{narrow, suggest};
use super::value::{clip, code, duration_in, label, show_duration};
use crate::domain::id::{PointUid, Tag};
use crate::domain::registry::{Commissioning, Deadband, PlatformCodes, PointSpec};
use crate::field::settings::opcua::{NodeRef, OpcUaPoint};
use crate::field::settings::{Encoding, Point, Signal, Table, WordOrder};

/// Longest silence where the table does not say; the interval when that is longer.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// Points of one gateway: 200 devices with 1,000 points each.
const MAX_POINTS: usize = 200_000;

/// What the points refer to. `None` where that part of the configuration was wrong: then nothing is said about it here.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Devices by id; `None` where the device itself was wrong.
    pub(super) devices: Option<BTreeMap<String, Option<KnownDevice>>>,
    /// Classes by name.
    pub(super) classes: Option<BTreeMap<String, Duration>>,
}

/// What a point must know of its device.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownDevice {
    /// Its place in the file.
    pub(super) index: usize,
    /// How its addresses count.
    pub(super) counting: Counting,
    /// Registers it gives in one answer.
    pub(super) max_registers: u16,
    /// Whether its points are nodes of an OPC UA server, and nothing of the above is meant: then how often the server says
    /// that it lives, which is how often an unchanged value can be confirmed.
    pub(super) nodes: Option<Duration>,
}

/// A point of the table, its device and class found.
#[derive(Debug)]
pub(super) struct PointRow {
    /// Index of its device.
    pub(super) device: usize,
    /// Its class.
    pub(super) class: String,
    /// For the reader; the class index still 0.
    pub(super) point: Read,
    /// For the registry; how it is judged is still to come.
    pub(super) spec: PointSpec,
    /// How it is judged, its state word by uid.
    pub(super) instrument: instrument::Asked,
    /// What its limit columns say; nothing for most points.
    pub(super) limits: Option<Box<Cells>>,
}

/// How a point is read.
#[derive(Debug)]
pub(super) enum Read {
    /// From registers.
    Modbus(Point),
    /// From a node.
    OpcUa(OpcUaPoint),
}

/// Where a point is.
enum Found {
    Registers(Place),
    Node(NodeRef),
}

/// Reads all rows: first those made from profiles, in the order of their devices, then those of the table.
pub(super) fn read(sheet: Option<&Sheet>, mut made: Vec<Made>, known: &Known, out: &mut Findings) -> Vec<PointRow> {
    let own = lay_over(sheet, &mut made, known, out);
    let rows: Vec<Row<'_>> = made.iter().map(Row::Made).chain(own.into_iter().map(Row::Table)).collect();
    let mut seen = Seen::default();
    let mut points = Vec::new();
    for row in &rows {
        let point = point(*row, known, &mut seen, out);
        points.extend(point);
    }
    if let (true, Some(last)) = (points.len() > MAX_POINTS, rows.last()) {
        let (count, spot) = (points.len(), last.spot(Column::Uid));
        let what = say!("{count} 个测点，超过 {MAX_POINTS}", "{count} points are more than {MAX_POINTS}");
        out.error(spot, Wrong::new(what, say!("请分到多台网关", "spread them over several gateways")));
    }
    points
}

/// Puts the rows whose uid is that of a profile's point over that point, and returns the others.
fn lay_over<'s>(sheet: Option<&'s Sheet>, made: &mut [Made], known: &Known, out: &mut Findings) -> Vec<TableRow<'s>> {
    let uid_of = |made: &Made| made.cells.get(&Column::Uid).map(|(uid, _)| uid.clone());
    let by_uid: BTreeMap<String, usize> = (0..).zip(&*made).filter_map(|(i, made)| Some((uid_of(made)?, i))).collect();
    let mut own = Vec::new();
    for row in sheet.into_iter().flat_map(Sheet::rows) {
        let uid = row.text(Column::Uid).map(narrow).unwrap_or_default();
        match by_uid.get(&*uid).and_then(|index| made.get_mut(*index)) {
            Some(made) => over_one(row, made, out),
            None if row.text(Column::Device).is_none() && is_of_profile(row, &uid, known, &by_uid, out) => {}
            None => own.push(row),
        }
    }
    own
}

/// A point stays on its device: its uid begins with it.
fn over_one(row: TableRow<'_>, made: &mut Made, out: &mut Findings) {
    let device = made.cells.get(&Column::Device).map(|(device, _)| device.clone()).unwrap_or_default();
    if let Some(other) = row.text(Column::Device).filter(|other| narrow(other) != *device) {
        let other = clip(other);
        let what = say!(
            "此标识是设备 `{device}` 的仪表模板测点，不能改到 `{other}`",
            "this uid is a point of the profile of device `{device}` and cannot move to `{other}`"
        );
        let instead = say!("请留空，或另起标识", "leave the cell empty, or give the row a uid of its own");
        return out.error(row.spot(Column::Device), Wrong::new(what, instead));
    }
    made.lay_over(row);
}

/// Whether a row without a device was meant for a profile's point; if so, and the point is not there, that is told.
fn is_of_profile(
    row: TableRow<'_>,
    uid: &str,
    known: &Known,
    made: &BTreeMap<String, usize>,
    out: &mut Findings,
) -> bool {
    let of = |id: &str| uid.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'));
    let Some((id, device)) = known.devices.iter().flatten().find(|(id, _)| of(id)) else { return false };
    if device.is_none() {
        return true; // the device's own mistake was told
    }
    let what = say!("设备 `{id}` 没有标识为 `{uid}` 的测点", "device `{id}` has no point with the uid `{uid}`");
    let instead = match suggest(uid, made.keys().map(String::as_str)) {
        Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
        None => say!("请写模板中的测点，或填上设备等列", "write a point of its profile, or fill in the device"),
    };
    out.error(row.spot(Column::Uid), Wrong::new(what, instead));
    true
}

fn point<'r>(row: Row<'r>, known: &Known, seen: &mut Seen<'r>, out: &mut Findings) -> Option<PointRow> {
    let uid = row.need(Column::Uid, |cell| code(cell, 64).map(str::to_owned), out);
    let tag = row.need(Column::Tag, tag, out);
    let name = row.need_text(Column::Name, out);
    let device = row.need(Column::Device, |cell| device(cell, known), out);
    seen.check(row, Column::Uid, uid.as_deref(), out);
    seen.check(row, Column::Tag, tag.as_deref(), out);
    let device = device.flatten();
    let found = found(row, device, out);
    let encoding = found.as_ref().map(Found::encoding);
    let meaning = meaning(row, encoding, out);
    let class = row.or(Column::Class, "normal".to_owned(), |cell| Ok(cell.to_owned()), out);
    let interval = class.as_deref().and_then(|class| interval(row, class, known, out));
    let silence = silence(row, interval, device.and_then(|device| device.nodes), out);
    let range = meaning.as_ref().and_then(|m| m.range);
    let signal = instrument::signal(row, encoding, meaning.as_ref().map(|m| m.range), out);
    let instrument = instrument::read(row, encoding, range, out);
    let limits = cells::read(row, range, encoding.is_some_and(cell::is_bit), out);
    let commissioning = row.or(Column::Commissioning, Commissioning::default(), cell::commissioning, out);
    let platform = platform(row, out);
    match (&found, device) {
        (Some(Found::Registers(place)), Some(device)) => seen.check_register(row, device.index, place, out),
        (Some(Found::Node(node)), Some(device)) => seen.check_node(row, device.index, node, out),
        _ => {}
    }
    let (found, meaning, encoding) = (found?, meaning?, encoding?);
    let signal = signal?;
    let decimals = match (signal, meaning.range) {
        (Signal::Loop, Some(range)) => Some(cell::loop_decimals(encoding, meaning.scale, range)),
        _ => cell::decimals(encoding, meaning.scale, meaning.offset),
    };
    let spec = PointSpec {
        uid: PointUid::new(uid?),
        tag: Tag::new(tag?),
        name: name?,
        unit: row.text(Column::Unit).unwrap_or_default().to_owned(),
        decimals,
        range: meaning.range,
        deadband: meaning.deadband,
        max_silence: silence?,
        interval: interval?,
        platform: platform?,
        commissioning: commissioning?,
        instrument: None,
    };
    let Meaning { scale, offset, range, .. } = meaning;
    let point = match found {
        Found::Registers(Place { table, address, encoding, order }) => {
            Read::Modbus(Point { class: 0, table, address, encoding, order, scale, offset, decimals, range, signal })
        }
        Found::Node(node) => {
            let silence = spec.max_silence;
            Read::OpcUa(OpcUaPoint { class: 0, node, scale, offset, decimals, range, signal, silence })
        }
    };
    Some(PointRow { device: device?.index, class: class?, point, spec, instrument: instrument?, limits })
}

fn tag(cell: &str) -> Result<String, Wrong> {
    if cell.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\\')) {
        let what = say!(
            "位号 `{cell}` 含空格、引号或反斜杠",
            "tag `{cell}` contains a space, a quotation mark or a backslash"
        );
        return Err(Wrong::new(what, say!("请改用 `-` 或 `_`", "write `-` or `_` instead")));
    }
    label(cell, 64).map(str::to_owned)
}

/// `Ok(None)`: the device, or all of them, could not be read.
fn device(cell: &str, known: &Known) -> Result<Option<KnownDevice>, Wrong> {
    let Some(devices) = &known.devices else { return Ok(None) };
    if let Some(device) = devices.get(cell) {
        return Ok(*device);
    }
    let what = say!("devices.toml 中没有设备 `{cell}`", "there is no device `{cell}` in devices.toml");
    let instead = match suggest(cell, devices.keys().map(String::as_str)) {
        Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
        None => say!(
            "请写 devices.toml 中的 id，或在那里加上此设备",
            "write an id from devices.toml, or add the device there"
        ),
    };
    Err(Wrong::new(what, instead))
}

/// Where a point is and in what form.
struct Place {
    table: Table,
    address: u16,
    encoding: Encoding,
    order: WordOrder,
}

impl Found {
    /// What a server's variable is, is known only when it is read: anything from a switch to a double.
    fn encoding(&self) -> Encoding {
        match self {
            Self::Registers(place) => place.encoding,
            Self::Node(_) => Encoding::F64,
        }
    }
}

/// On a device that is not known, a row with a node is one of an OPC UA server.
fn found(row: Row<'_>, device: Option<KnownDevice>, out: &mut Findings) -> Option<Found> {
    if device.map_or_else(|| row.text(Column::Node).is_some(), |device| device.nodes.is_some()) {
        return opcua::node(row, out).map(Found::Node);
    }
    opcua::no_node(row, out);
    place(row, device, out).map(Found::Registers)
}

fn place(row: Row<'_>, device: Option<KnownDevice>, out: &mut Findings) -> Option<Place> {
    let errors = out.errors();
    let table = row.or(Column::Table, None, |cell| cell::table(cell).map(Some), out);
    let located = table.and_then(|table| row.need(Column::Address, |cell| locate_on(device, cell, table), out));
    let encoding = row.need(Column::Encoding, cell::encoding, out);
    let order = row.or(Column::Order, WordOrder::default(), cell::order, out);
    let (Located { table, address, doubt }, encoding) = (located?, encoding?);
    if let Some(doubt) = doubt {
        out.warn(row.spot(Column::Address), doubt);
    }
    check_width(row, address, encoding, device, out);
    check_kind(row, table, encoding, out);
    (out.errors() == errors).then_some(Place { table, address, encoding, order: order? })
}

/// On a device that is not known, an address is wrong only when it would be wrong on every device.
fn locate_on(device: Option<KnownDevice>, cell: &str, table: Option<Table>) -> Result<Located, Wrong> {
    let with = |notation| locate(cell, table, Counting { base: 0, notation: Some(notation) });
    match device {
        Some(device) => locate(cell, table, device.counting),
        None => with(Notation::Plain).or_else(|wrong| with(Notation::Modicon).map_err(|_| wrong)),
    }
}

fn check_width(row: Row<'_>, address: u16, encoding: Encoding, device: Option<KnownDevice>, out: &mut Findings) {
    let width = encoding.width();
    if address.checked_add(width - 1).is_none() {
        let last = 65_536 - u32::from(width);
        let what = say!(
            "从线上地址 {address} 起的 {width} 个寄存器超过 65535",
            "{width} registers from wire address {address} go beyond 65535"
        );
        let instead =
            say!("请写线上地址 0 到 {last}，或更窄的编码", "write a wire address 0..={last}, or a narrower encoding");
        out.error(row.spot(Column::Address), Wrong::new(what, instead));
    }
    if let Some(max) = device.map(|d| d.max_registers).filter(|max| *max < width) {
        let what = say!(
            "该编码占 {width} 个寄存器，而设备的 max_registers 是 {max}",
            "this encoding takes {width} registers, but the device has max_registers = {max}"
        );
        let instead =
            say!("请把该设备的 max_registers 改为 {width} 或更大", "set max_registers = {width} or more on the device");
        out.error(row.spot(Column::Encoding), Wrong::new(what, instead));
    }
}

fn check_kind(row: Row<'_>, table: Table, encoding: Encoding, out: &mut Findings) {
    let word = table_word(table);
    if table.is_bits() && encoding != Encoding::Bool {
        let what = say!("{word} 是位，只能用 bool", "{word} holds bits, which are bool only");
        let instead = say!("请把编码写成 bool，或改正寄存器类型", "write encoding bool, or correct the table");
        out.error(row.spot(Column::Encoding), Wrong::new(what, instead));
    }
    if !table.is_bits() && encoding == Encoding::Bool {
        let what = say!("{word} 是 16 位寄存器，没有 bool", "{word} holds registers of 16 bits, which are no bool");
        let instead = say!(
            "请写 bit0 到 bit15 取其中一位，或改正寄存器类型",
            "write bit0..bit15 for one of its bits, or correct the table"
        );
        out.error(row.spot(Column::Encoding), Wrong::new(what, instead));
    }
}

/// How a number is to be understood.
struct Meaning {
    scale: f64,
    offset: f64,
    range: Option<(f64, f64)>,
    deadband: Deadband,
}

fn meaning(row: Row<'_>, encoding: Option<Encoding>, out: &mut Findings) -> Option<Meaning> {
    let scale = row.or(Column::Scale, 1.0, scale, out);
    let offset = row.or(Column::Offset, 0.0, cell::number, out);
    let range = range(row, out);
    let deadband =
        range.and_then(|range| row.or(Column::Deadband, Deadband::Absolute(0.0), |c| cell::deadband(c, range), out));
    let meaning = Meaning { scale: scale?, offset: offset?, range: range?, deadband: deadband? };
    match encoding {
        Some(encoding) if cell::is_bit(encoding) => bit_meaning(row, meaning, out),
        Some(encoding) => {
            if row.text(Column::Signal).is_none() {
                check_expressible(row, encoding, &meaning, out);
            }
            check_deadband(row, &meaning, out);
            Some(meaning)
        }
        None => Some(meaning),
    }
}

fn scale(cell: &str) -> Result<f64, Wrong> {
    let scale = cell::number(cell)?;
    if scale == 0.0 {
        let what = say!("系数为 0，所有读数都会变成同一个值", "a scale of 0 makes every reading the same");
        return Err(Wrong::new(what, say!("请写 1 或留空", "write 1 or leave it empty")));
    }
    Ok(scale)
}

/// `None`: wrong. `Some(None)`: none given.
fn range(row: Row<'_>, out: &mut Findings) -> Option<Option<(f64, f64)>> {
    let low = row.or(Column::RangeLow, None, |cell| cell::number(cell).map(Some), out)?;
    let high = row.or(Column::RangeHigh, None, |cell| cell::number(cell).map(Some), out)?;
    match (low, high) {
        (None, None) => Some(None),
        (Some(low), Some(high)) if low < high => Some(Some((low, high))),
        (Some(low), Some(high)) => {
            let what = say!("量程下限 {low} 不小于上限 {high}", "range_low {low} is not below range_high {high}");
            out.error(
                row.spot(Column::RangeLow),
                Wrong::new(what, say!("请把小的写在下限", "write the lower one here")),
            );
            None
        }
        (low, _) => {
            let missing = if low.is_none() { Column::RangeLow } else { Column::RangeHigh };
            let what = say!("量程只写了一端", "only one end of the range is given");
            out.error(row.spot(missing), Wrong::new(what, say!("请两端都写，或都留空", "fill in both, or neither")));
            None
        }
    }
}

/// A bit has neither scale nor range; a range 0..1, as tools export it, is harmless.
fn bit_meaning(row: Row<'_>, meaning: Meaning, out: &mut Findings) -> Option<Meaning> {
    let scaled = meaning.scale != 1.0 || meaning.offset != 0.0;
    if scaled {
        let what = say!("位没有系数和偏移", "a bit has no scale and no offset");
        let instead = say!("请把系数和偏移留空", "leave scale and offset empty");
        out.error(row.spot(Column::Scale), Wrong::new(what, instead));
    }
    if meaning.range.is_some_and(|range| range != (0.0, 1.0)) {
        let what = say!("位没有量程，此处不采用", "a bit has no range; this one is not used");
        out.warn(row.spot(Column::RangeLow), Wrong::new(what, say!("请留空", "leave it empty")));
    }
    let never = matches!(meaning.deadband, Deadband::Absolute(d) if d >= 1.0);
    if never {
        let what = say!(
            "位的死区不小于 1，变化将永远不上报",
            "with a deadband of 1 or more no change of a bit is ever reported"
        );
        out.error(
            row.spot(Column::Deadband),
            Wrong::new(what, say!("请留空，或写 off", "leave it empty, or write off")),
        );
    }
    (!scaled && !never).then_some(Meaning { range: None, ..meaning })
}

fn check_expressible(row: Row<'_>, encoding: Encoding, meaning: &Meaning, out: &mut Findings) {
    let Some(((low, high), (least, most))) =
        meaning.range.zip(cell::expressible(encoding, meaning.scale, meaning.offset))
    else {
        return;
    };
    let slack = meaning.scale.abs(); // one digit beyond is rounding, not a mistake
    if low < least - slack || high > most + slack {
        let column = if low < least - slack { Column::RangeLow } else { Column::RangeHigh };
        let what = say!(
            "量程 {low} 到 {high} 超出此编码和系数能表示的 {least} 到 {most}",
            "range {low}..{high} is beyond what this encoding and scale can express, {least}..{most}"
        );
        let instead = say!(
            "请检查编码（有符号写 i16/i32）、系数和偏移",
            "check the encoding (i16/i32 when signed), scale and offset"
        );
        out.warn(row.spot(column), Wrong::new(what, instead));
    }
}

fn check_deadband(row: Row<'_>, meaning: &Meaning, out: &mut Findings) {
    let Deadband::Absolute(deadband) = meaning.deadband else { return };
    if let Some((low, high)) = meaning.range.filter(|(low, high)| deadband >= high - low) {
        let what = say!(
            "死区 {deadband} 不小于整个量程 {low} 到 {high}",
            "a deadband of {deadband} is the whole range {low}..{high} or more"
        );
        let instead = say!("请写小得多的数，例如 1%", "write far less, e.g. 1%");
        out.warn(row.spot(Column::Deadband), Wrong::new(what, instead));
    }
}

fn interval(row: Row<'_>, class: &str, known: &Known, out: &mut Findings) -> Option<Duration> {
    let Some(classes) = &known.classes else { return Some(MIN_INTERVAL) };
    let found = classes.get(class).copied();
    if found.is_none() {
        let list = classes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let class = clip(class);
        let what = say!("没有轮询类 `{class}`", "there is no poll class `{class}`");
        let instead = say!(
            "请写 {list} 之一，或在 devices.toml 的 [classes] 加上",
            "write one of {list}, or add it to [classes] in devices.toml"
        );
        out.error(row.spot(Column::Class), Wrong::new(what, instead));
    }
    found
}

fn silence(
    row: Row<'_>,
    interval: Option<Duration>,
    sign_of_life: Option<Duration>,
    out: &mut Findings,
) -> Option<Duration> {
    let default = MAX_SILENCE.max(interval.unwrap_or_default());
    let bounds = (Duration::from_millis(100), Duration::from_secs(86_400));
    let silence = row.or(Column::MaxSilence, default, |cell| duration_in(cell, bounds.0, bounds.1), out)?;
    if let Some(interval) = interval.filter(|interval| silence < *interval) {
        let (silence, interval) = (show_duration(silence), show_duration(interval));
        let what = say!(
            "最长静默 {silence} 短于轮询间隔 {interval}",
            "max_silence {silence} is shorter than the poll interval {interval}"
        );
        let instead = say!("请写 {interval} 或更长，或换更快的轮询类", "write {interval} or more, or a faster class");
        out.error(row.spot(Column::MaxSilence), Wrong::new(what, instead));
        return None;
    }
    if let Some(sign) = sign_of_life.filter(|sign| silence < *sign) {
        let (silence, sign) = (show_duration(silence), show_duration(sign));
        let what = say!(
            "最长静默 {silence} 短于服务器的平安报间隔 {sign}：没有变化的值确认不了这么勤",
            "max_silence {silence} is shorter than the server's signs of life, each {sign}: a value that does not change \
             cannot be confirmed so often"
        );
        let instead = say!(
            "请写 {sign} 或更长，或缩短该 [[opcua]] 的 publishing 和 keep_alive",
            "write {sign} or more, or shorten publishing and keep_alive of that [[opcua]]"
        );
        out.error(row.spot(Column::MaxSilence), Wrong::new(what, instead));
        return None;
    }
    Some(silence)
}

fn platform(row: Row<'_>, out: &mut Findings) -> Option<PlatformCodes> {
    let mut text = |column| row.or(column, None, |cell| label(cell, 64).map(|c| Some(c.to_owned())), out);
    Some(PlatformCodes {
        company: text(Column::Company)?,
        hazard_source: text(Column::HazardSource)?,
        code: text(Column::PlatformCode)?,
        equipment: text(Column::Equipment)?,
        kind: text(Column::Kind)?,
        // The alarms know them.
        ..PlatformCodes::default()
    })
}

/// Where what must be unique was seen first.
#[derive(Default)]
struct Seen<'r> {
    uids: BTreeMap<String, Row<'r>>,
    tags: BTreeMap<String, Row<'r>>,
    registers: BTreeMap<(usize, Table, u16, String), Row<'r>>,
    nodes: BTreeMap<(usize, NodeRef), Row<'r>>,
}

impl<'r> Seen<'r> {
    fn check(&mut self, row: Row<'r>, column: Column, value: Option<&str>, out: &mut Findings) {
        let Some(value) = value else { return };
        let seen = if column == Column::Uid { &mut self.uids } else { &mut self.tags };
        let Some(first) = seen.get(value) else {
            seen.insert(value.to_owned(), row);
            return;
        };
        let Words { zh, en } = first.words();
        let what = say!("`{value}` 重复，{zh}已用", "`{value}` is used twice, first in {en}");
        out.error(row.spot(column), Wrong::new(what, say!("请改成唯一的", "write one of its own")));
    }

    /// As with registers.
    fn check_node(&mut self, row: Row<'r>, device: usize, node: &NodeRef, out: &mut Findings) {
        if let Some(first) = self.nodes.insert((device, node.clone()), row) {
            let Words { zh, en } = first.words();
            let what = say!("与{zh}读的是同一设备的同一节点", "{en} reads the same node of the same device");
            let instead =
                say!("请检查节点；若确需两个位号则不必改", "check the node; nothing to do if two tags are meant");
            out.warn(row.spot(Column::Node), Wrong::new(what, instead));
        }
    }

    /// The same bits read twice in the same form is nearly always a copied row; in another form it may be meant.
    fn check_register(&mut self, row: Row<'r>, device: usize, place: &Place, out: &mut Findings) {
        let Place { table, address, encoding, order } = place;
        let form = format!("{encoding:?} {order:?}");
        if let Some(first) = self.registers.insert((device, *table, *address, form), row) {
            let Words { zh, en } = first.words();
            let what = say!(
                "与{zh}读的是同一设备的同一地址和编码",
                "{en} reads the same address of the same device in the same encoding"
            );
            let instead =
                say!("请检查地址；若确需两个位号则不必改", "check the address; nothing to do if two tags are meant");
            out.warn(row.spot(Column::Address), Wrong::new(what, instead));
        }
    }
}

impl Row<'_> {
    /// Reads a cell that must be filled.
    fn need<T>(self, column: Column, read: impl FnOnce(&str) -> Result<T, Wrong>, out: &mut Findings) -> Option<T> {
        if !self.has(column) {
            return None; // the header was reported
        }
        let Some(cell) = self.code(column) else {
            out.error(
                self.spot(column),
                Wrong::new(say!("空", "empty"), say!("此格必填", "this cell must be filled in")),
            );
            return None;
        };
        read(&cell).map_err(|wrong| out.error(self.spot(column), wrong)).ok()
    }

    /// Reads a cell of text for people: full-width signs stay.
    fn need_text(self, column: Column, out: &mut Findings) -> Option<String> {
        let text = self.text(column).unwrap_or_default();
        self.need(column, |_| label(text, 128).map(str::to_owned), out)
    }

    /// Reads a cell that may be empty. `None` when it is wrong.
    pub(super) fn or<T>(
        self,
        column: Column,
        default: T,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
        out: &mut Findings,
    ) -> Option<T> {
        let Some(cell) = self.code(column) else { return Some(default) };
        read(&cell).map_err(|wrong| out.error(self.spot(column), wrong)).ok()
    }
}
