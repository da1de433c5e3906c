//! `outputs.toml`: what the gateway may write, and nothing else (`[[output]]`). No file, no output.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::address::{Counting, Notation, locate, table_word};
use super::cell;
use super::devices::{DeviceRow, DevicesFile};
use super::interlock::{self, Excluding};
use super::problem::{Findings, Spot, Words, Wrong, say};
use super::section::{Got, Page, Section};
use super::text::suggest;
use super::value::{Code, Ids, Kind, Label, Span, Whole, Yes, code, duration_in};
use crate::domain::id::OutputId;
use crate::domain::registry::Commissioning;
use crate::field::settings::{Endpoint, Table};
use crate::output::settings::{Allowed, Cell, Feedback, Output, Place, Pulse};

/// Outputs of one gateway: a few for each gate and siren of a park.
const MAX_OUTPUTS: usize = 500;
/// Values in the list of one output.
const MAX_VALUES: usize = 64;
/// Shortest and longest pulse that the gateway makes (`domain.md` A8 63).
const PULSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Reads the file. `devices` is `None` where that file could not be read: then nothing is said about devices here.
pub(super) fn read(
    page: &Page<'_>,
    table: &Spanned<DeTable<'_>>,
    devices: Option<&DevicesFile>,
    out: &mut Findings,
) -> Vec<Arc<Output>> {
    let mut root = Section::root(page, table);
    let mut section = root.section("defaults", out);
    let defaults = common(&mut section, &Common::default(), out);
    section.finish(&[], out);
    let mut seen = Seen::default();
    let sections = root.each("output", out);
    if sections.len() > MAX_OUTPUTS {
        let count = sections.len();
        let what = say!("{count} 个输出，超过 {MAX_OUTPUTS}", "{count} outputs are more than {MAX_OUTPUTS}");
        out.error(root.spot(), Wrong::new(what, say!("请分到多台网关", "spread them over several gateways")));
    }
    let outputs: Vec<_> =
        sections.into_iter().filter_map(|section| output(section, &defaults, devices, &mut seen, out)).collect();
    root.finish(&[], out);
    let ids: Vec<String> = seen.ids.into_keys().collect();
    interlock::exclude(outputs, &ids, out)
}

/// What outputs may have in common.
#[derive(Clone, Copy, Debug)]
struct Common {
    timeout: Option<Duration>,
    deadline: Duration,
    confirm_within: Duration,
}

impl Default for Common {
    fn default() -> Self {
        Self { timeout: None, deadline: Duration::from_secs(2), confirm_within: Duration::from_secs(1) }
    }
}

fn common(section: &mut Section<'_>, default: &Common, out: &mut Findings) -> Common {
    let millis = Duration::from_millis;
    let timeout = section.read("timeout", &Span(millis(50), millis(10_000)), out).map(|got| got.value);
    Common {
        timeout: timeout.or(default.timeout),
        deadline: section.or("deadline", &Span(millis(100), millis(10_000)), default.deadline, out),
        confirm_within: section.or(
            "confirm_within",
            &Span(Duration::ZERO, millis(10_000)),
            default.confirm_within,
            out,
        ),
    }
}

/// What has been met so far.
#[derive(Debug, Default)]
struct Seen {
    ids: BTreeMap<String, Spot>,
    cells: BTreeMap<(String, u8, &'static str, u16), (String, Spot)>,
}

fn output(
    mut section: Section<'_>,
    defaults: &Common,
    devices: Option<&DevicesFile>,
    seen: &mut Seen,
    out: &mut Findings,
) -> Option<(Output, Excluding)> {
    let id = section.need("id", &Code(64), "\"gate-1-open\"", out);
    let name = section.read("name", &Label(64), out).map(|got| got.value);
    let device = section.need("device", &Code(64), "\"io-gate-1\"", out);
    let row = device.as_ref().and_then(|got| device_row(got, devices, out));
    let counting = row.map(|row| row.counting);
    let cell = written(&mut section, counting, out);
    let values = values(&mut section, "values", out);
    let feedback = feedback(&mut section, counting, out);
    let feedback_values = section.section("feedback_values", out).all(&Raw, out);
    let pulse = section.read("pulse", &PulseKind, out);
    let rest = section.read("rest", &Code(64), out);
    let harmless = section.read("repeat_harmless", &Yes, out);
    let commissioning = section.read("commissioning", &Text, out);
    let others = section.read("excludes", &Ids, out);
    let ranks = section.section("priority", out).all(&Whole(0, 9), out);
    let deadline_spot = section.spot_of("deadline");
    let common = common(&mut section, defaults, out);
    let spot = section.spot();
    section.finish(&[("coil", address_hint()), ("register", address_hint())], out);

    let errors = out.errors();
    check_id(id.as_ref(), seen, out);
    let commissioning =
        commissioning.map_or(Some(Commissioning::InService), |got| word(&got, cell::commissioning, out));
    let mut values = allowed(values, feedback_values, cell, feedback, &spot, out);
    interlock::rank(&mut values, ranks, out);
    let rest_name = rest.as_ref().map(|rest| rest.value.clone());
    let pulse = pulse_of(pulse, rest, &values, feedback.is_some(), out);
    check_harmless(harmless.as_ref(), pulse, out);
    let (id, cell, row) = (id?, cell?, row?);
    check_cell(&id, row, cell, seen, out);
    let place = match &row.device.endpoint {
        Endpoint::Tcp { host, port } => Place::Tcp { host: host.clone(), port: *port },
        Endpoint::Bus(bus) => {
            interlock::check_wait(common.deadline, bus, &deadline_spot, devices, out);
            Place::Bus { id: bus.id.clone() }
        }
    };
    if out.errors() > errors {
        return None;
    }
    let (pulse, feedback) = (pulse?, feedback.unwrap_or_else(|| Feedback::from(cell)));
    let output = Output {
        name: name.unwrap_or_else(|| id.value.clone()),
        id: OutputId::new(id.value),
        device: row.device.id.clone(),
        place,
        unit: row.device.unit,
        cell,
        idle: interlock::idle(cell, &values, rest_name.as_deref(), pulse, feedback),
        values,
        feedback,
        timeout: common.timeout.unwrap_or_else(|| row.device.timeout.min(Duration::from_secs(1))),
        deadline: common.deadline,
        confirm_within: common.confirm_within,
        pulse,
        repeat_harmless: harmless.is_some_and(|got| got.value),
        commissioning: commissioning?,
        excludes: Vec::new(),
    };
    Some((output, Excluding { others, spot }))
}

fn address_hint() -> Words {
    say!(
        "请写 address = \"0x00001\"（线圈）或 \"4x00001\"（保持寄存器）",
        "write address = \"0x00001\" for a coil or \"4x00001\" for a holding register"
    )
}

/// The device of an output; `None` also where it is wrong by itself, which has been told.
fn device_row<'a>(got: &Got<String>, devices: Option<&'a DevicesFile>, out: &mut Findings) -> Option<&'a DeviceRow> {
    let devices = devices?;
    let found = devices.devices.iter().find(|row| row.device.id.as_str() == got.value);
    if found.is_none() && !devices.ids.contains(&got.value) {
        let id = &got.value;
        let what = say!("devices.toml 中没有设备 `{id}`", "there is no device `{id}` in devices.toml");
        let instead = match suggest(id, devices.ids.iter().map(String::as_str)) {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None => say!("请先在 devices.toml 加上此设备", "add the device to devices.toml first"),
        };
        out.error(got.spot.clone(), Wrong::new(what, instead));
    }
    found
}

fn written(section: &mut Section<'_>, counting: Option<Counting>, out: &mut Findings) -> Option<Cell> {
    let table = section.read("table", &Text, out);
    let got = section.need("address", &Text, "\"0x00001\"", out)?;
    let (table, address) = located(&got, table.as_ref(), counting, out)?;
    match table {
        Table::Coil => Some(Cell::Coil(address)),
        Table::Holding => Some(Cell::Register(address)),
        Table::Discrete | Table::Input => {
            let word = table_word(table);
            let what = say!("{word} 只能读，不能写", "{word} can only be read");
            out.error(got.spot, Wrong::new(what, address_hint()));
            None
        }
    }
}

fn feedback(section: &mut Section<'_>, counting: Option<Counting>, out: &mut Findings) -> Option<Feedback> {
    let table = section.read("feedback_table", &Text, out);
    let got = section.read("feedback", &Text, out)?;
    let (table, address) = located(&got, table.as_ref(), counting, out)?;
    Some(match table {
        Table::Coil => Feedback::Coil(address),
        Table::Discrete => Feedback::Discrete(address),
        Table::Holding => Feedback::Holding(address),
        Table::Input => Feedback::Input(address),
    })
}

fn located(
    got: &Got<String>,
    table: Option<&Got<String>>,
    counting: Option<Counting>,
    out: &mut Findings,
) -> Option<(Table, u16)> {
    let table = match table {
        Some(got) => Some(word(got, cell::table, out)?),
        None => None,
    };
    // Without a known device, what would be right on some device is not blamed.
    let with = |notation| locate(&got.value, table, Counting { base: 0, notation: Some(notation) });
    let located = match counting {
        Some(counting) => locate(&got.value, table, counting),
        None => with(Notation::Plain).or_else(|wrong| with(Notation::Modicon).map_err(|_| wrong)),
    };
    match located {
        Ok(located) => Some((located.table, located.address)),
        Err(wrong) => {
            out.error(got.spot.clone(), wrong);
            None
        }
    }
}

fn word<T>(got: &Got<String>, read: impl FnOnce(&str) -> Result<T, Wrong>, out: &mut Findings) -> Option<T> {
    read(&got.value).map_err(|wrong| out.error(got.spot.clone(), wrong)).ok()
}

fn values(section: &mut Section<'_>, key: &'static str, out: &mut Findings) -> Vec<(String, Got<Option<u16>>)> {
    let list = section.section(key, out);
    let (present, spot) = (list.is_present(), section.spot());
    let values = list.all(&Raw, out);
    if !present || values.is_empty() {
        let what = say!("没有允许写的值", "there is no value that may be written");
        let instead = say!("请写 values = {{ on = 1, off = 0 }}", "write values = {{ on = 1, off = 0 }}");
        out.error(spot, Wrong::new(what, instead));
    }
    values
}

/// Puts both lists together.
fn allowed(
    values: Vec<(String, Got<Option<u16>>)>,
    feedback_values: Vec<(String, Got<Option<u16>>)>,
    cell: Option<Cell>,
    feedback: Option<Feedback>,
    spot: &Spot,
    out: &mut Findings,
) -> Vec<Allowed> {
    let names: BTreeSet<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    for (name, got) in feedback_values.iter().filter(|(name, _)| !names.contains(name.as_str())) {
        let what = say!("`{name}` 不在 values 中", "`{name}` is not among the values");
        out.error(got.spot.clone(), Wrong::new(what, say!("请删去或改名", "remove or rename it")));
    }
    if values.len() > MAX_VALUES {
        let count = values.len();
        let what = say!("{count} 个值，超过 {MAX_VALUES}", "{count} values are more than {MAX_VALUES}");
        out.error(spot.clone(), Wrong::new(what, say!("请删去不用的", "remove those not in use")));
    }
    let shown = |name: &str| feedback_values.iter().find(|(n, _)| n == name).and_then(|(_, got)| got.value);
    let mut allowed = Vec::new();
    for (name, got) in &values {
        if let Err(wrong) = code(name, 64) {
            out.error(got.spot.clone(), wrong);
        }
        let Some(raw) = got.value else { continue };
        let seen = shown(name).unwrap_or(raw);
        check_bit(matches!(cell, Some(Cell::Coil(_))), raw, &got.spot, out);
        if feedback.map_or(seen != raw && matches!(cell, Some(Cell::Coil(_))), is_bit) {
            check_bit(true, seen, &got.spot, out);
        }
        allowed.push(Allowed { name: name.clone(), raw, seen, rank: 0 });
    }
    allowed
}

fn is_bit(feedback: Feedback) -> bool {
    matches!(feedback, Feedback::Coil(_) | Feedback::Discrete(_))
}

fn check_bit(bit: bool, value: u16, spot: &Spot, out: &mut Findings) {
    if bit && value > 1 {
        let what = say!("{value} 不是位的值", "{value} is no value of a bit");
        let instead = say!(
            "请写 0 或 1；反馈不同时另写 feedback_values",
            "write 0 or 1; where the feedback differs, write feedback_values"
        );
        out.error(spot.clone(), Wrong::new(what, instead));
    }
}

/// What `pulse` says.
enum Written {
    None,
    Device,
    Gateway(Duration),
}

fn pulse_of(
    pulse: Option<Got<Written>>,
    rest: Option<Got<String>>,
    values: &[Allowed],
    has_feedback: bool,
    out: &mut Findings,
) -> Option<Pulse> {
    let written = pulse.as_ref().map_or(&Written::None, |pulse| &pulse.value);
    if let (Written::None | Written::Device, Some(rest)) = (written, &rest)
        && !values.iter().any(|value| value.name == rest.value)
    {
        let shown = &rest.value;
        let what = say!("`{shown}` 不在 values 中", "`{shown}` is not among the values");
        out.error(rest.spot.clone(), Wrong::new(what, say!("请写其中之一，或删去", "write one of them, or remove it")));
    }
    let Some(pulse) = pulse else { return Some(Pulse::None) };
    match pulse.value {
        Written::None => Some(Pulse::None),
        Written::Device if has_feedback => Some(Pulse::Device),
        Written::Device => {
            let what =
                say!("脉冲寄存器本身看不出是否动作", "a pulse register does not show by itself whether it happened");
            let instead = say!(
                "请写 feedback，例如继电器的线圈 \"0x00001\"",
                "write feedback, e.g. the relay's coil \"0x00001\""
            );
            out.error(pulse.spot, Wrong::new(what, instead));
            None
        }
        Written::Gateway(length) => {
            let named = rest.as_ref().and_then(|rest| values.iter().find(|value| value.name == rest.value));
            if let Some(rest) = named {
                return Some(Pulse::Gateway { length, rest: rest.raw, seen: rest.seen });
            }
            let what = say!("脉冲结束时写什么没有说明", "what ends the pulse is not said");
            let instead = say!("请写 rest = \"off\"，须在 values 中", "write rest = \"off\", one of the values");
            out.error(rest.map_or(pulse.spot, |rest| rest.spot), Wrong::new(what, instead));
            None
        }
    }
}

fn check_harmless(harmless: Option<&Got<bool>>, pulse: Option<Pulse>, out: &mut Findings) {
    let Some(got) = harmless.filter(|got| got.value) else { return };
    if pulse.is_some_and(|pulse| pulse != Pulse::None) {
        let what = say!("脉冲重发就是第二个脉冲", "a pulse written again is a second pulse");
        out.error(got.spot.clone(), Wrong::new(what, say!("请删去 repeat_harmless", "remove repeat_harmless")));
    }
}

fn check_id(id: Option<&Got<String>>, seen: &mut Seen, out: &mut Findings) {
    let Some(id) = id else { return };
    if let Some(first) = seen.ids.insert(id.value.clone(), id.spot.clone()) {
        let (id_text, first) = (&id.value, first.short());
        let what =
            say!("输出 id `{id_text}` 重复，{first} 已用", "output id `{id_text}` is used twice, first in {first}");
        out.error(id.spot.clone(), Wrong::new(what, say!("请改成唯一的 id", "write an id of its own")));
    }
}

/// Two outputs on one coil would write behind each other's back.
fn check_cell(id: &Got<String>, row: &DeviceRow, cell: Cell, seen: &mut Seen, out: &mut Findings) {
    let (table, address) = match cell {
        Cell::Coil(address) => ("coil", address),
        Cell::Register(address) => ("holding", address),
    };
    let key = (row.device.endpoint.to_string(), row.device.unit, table, address);
    if let Some((first, spot)) = seen.cells.insert(key, (id.value.clone(), id.spot.clone())) {
        let (id_text, at) = (&id.value, spot.short());
        let what =
            say!("`{id_text}` 与 {at} 的 `{first}` 写同一处", "`{id_text}` writes the same place as `{first}` in {at}");
        let instead = say!("请合并为一个输出，values 写全", "make it one output with all values");
        out.error(id.spot.clone(), Wrong::new(what, instead));
    }
}

/// A number of a register, or a bit.
struct Raw;

impl Kind for Raw {
    type Out = u16;

    fn read(&self, value: &DeValue<'_>) -> Result<u16, Wrong> {
        let text = match value {
            DeValue::Boolean(on) => return Ok(u16::from(*on)),
            DeValue::Integer(n) => n.to_string(),
            DeValue::String(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                String::new()
            }
        };
        text.parse().map_err(|_| {
            let what = say!("不是寄存器的值", "this is no value of a register");
            Wrong::new(
                what,
                say!("请写 0 到 65535 的整数，或 true、false", "write a whole number 0..=65535, or true or false"),
            )
        })
    }
}

/// Text or a whole number, as text: an address or a word of the point table.
struct Text;

impl Kind for Text {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        match value {
            DeValue::String(text) => Ok(text.trim().to_owned()),
            DeValue::Integer(n) => Ok(n.to_string()),
            DeValue::Boolean(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                let what = say!("类型不对", "wrong type");
                Err(Wrong::new(what, say!("请写带引号的文字，或整数", "write text in quotes, or a whole number")))
            }
        }
    }
}

struct PulseKind;

impl Kind for PulseKind {
    type Out = Written;

    fn read(&self, value: &DeValue<'_>) -> Result<Written, Wrong> {
        match value.as_str() {
            Some("none") => Ok(Written::None),
            Some("device") => Ok(Written::Device),
            Some(text) => duration_in(text, PULSE.0, PULSE.1).map(Written::Gateway),
            None => {
                let what = say!("类型不对", "wrong type");
                let instead = say!(
                    "请写 \"none\"、\"device\"（设备自带脉冲）或时长，例如 \"500ms\"",
                    "write \"none\", \"device\" (the device makes the pulse) or a duration such as \"500ms\""
                );
                Err(Wrong::new(what, instead))
            }
        }
    }
}
