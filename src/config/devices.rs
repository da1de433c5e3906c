//! `devices.toml`: poll classes (`[classes]`), what devices have in common (`[defaults]`), buses (`[[bus]]`), and each
//! `[[device]]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::address::{Counting, Notation};
use super::buses::{self, Buses};
use super::opcua::{self, OpcUaRow};
use super::problem::{Findings, Spot, Wrong, say};
use super::profiles::{self, Library};
use super::section::{Page, Section};
use super::value::{Choice, Code, Label, Span, Whole, code, show_duration};
use crate::domain::id::DeviceId;
use crate::field::settings::{Device, Endpoint, PollClass};

/// Devices of one gateway; far beyond what one small computer polls, and far below what would hurt.
const MAX_DEVICES: usize = 2000;

/// Shortest poll interval.
pub(super) const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// What the file gives.
#[derive(Debug, Default)]
pub(super) struct DevicesFile {
    /// Poll classes by name.
    pub(super) classes: BTreeMap<String, Duration>,
    /// Devices in file order; the classes and points of each still empty.
    pub(super) devices: Vec<DeviceRow>,
    /// Buses.
    pub(super) buses: Buses,
    /// Devices behind OPC UA servers, in file order; in the registry they come after the others.
    pub(super) opcua: Vec<OpcUaRow>,
    /// Passwords and certificates named.
    pub(super) files: Vec<PathBuf>,
    /// Every id as written, also of devices that were wrong, so that no point is blamed for its device.
    pub(super) ids: Vec<String>,
}

/// One `[[device]]`.
#[derive(Debug)]
pub(super) struct DeviceRow {
    /// Where it stands.
    pub(super) spot: Spot,
    /// Its name as people say it.
    pub(super) name: String,
    /// Its own name, where it has one, and its profile, where it has one.
    pub(super) profile: Option<(Option<String>, profiles::Use)>,
    /// How its addresses count.
    pub(super) counting: Counting,
    /// The rest.
    pub(super) device: Device,
}

/// Classes that need no `[classes]`; entries there add to them or replace them.
pub(super) const CLASSES: [(&str, Duration); 3] =
    [("fast", Duration::from_millis(200)), ("normal", Duration::from_secs(1)), ("slow", Duration::from_secs(10))];

/// Reads the file.
pub(super) fn read(
    page: &Page<'_>,
    table: &Spanned<DeTable<'_>>,
    library: &Library<'_>,
    out: &mut Findings,
) -> DevicesFile {
    let mut root = Section::root(page, table);
    let classes = classes(root.section("classes", out), out);
    let defaults = in_common(root.section("defaults", out), &Common::default(), out);
    let buses = Buses::read(root.each("bus", out), out);
    let mut files = Vec::new();
    let servers = opcua::servers(root.each("opcua", out), page.folder(), &mut files, out);
    let sections = root.each("device", out);
    if sections.is_empty() {
        let what = say!("没有设备", "there is no device");
        let instead = say!(
            "请为每台设备写一节 `[[device]]`，其下写 id 和 host",
            "write a section `[[device]]` with id and host for each device"
        );
        out.error(root.spot(), Wrong::new(what, instead));
    }
    let wanted: Vec<String> = sections.iter().filter_map(|section| section.text_of("bus")).collect();
    let (sections, behind): (Vec<_>, Vec<_>) = sections.into_iter().partition(|section| !section.has("opcua"));
    let each = sections.into_iter().map(|section| device(section, &defaults, library, &buses, out));
    let (mut ids, devices): (Vec<_>, Vec<_>) = each.unzip();
    let (more, opcua): (Vec<_>, Vec<_>) =
        behind.into_iter().map(|section| opcua::device(section, &servers, out)).unzip();
    ids.extend(more);
    let opcua: Vec<_> = opcua.into_iter().flatten().collect();
    let devices: Vec<_> = devices.into_iter().flatten().collect();
    buses.check_use(&devices, &wanted, out);
    check_count(devices.len() + opcua.len(), root.spot(), out);
    check_ids(&ids, out);
    check_units(&devices, out);
    root.finish(&[], out);
    DevicesFile { classes, devices, opcua, files, buses, ids: ids.into_iter().flatten().map(|(id, _)| id).collect() }
}

fn classes(section: Section<'_>, out: &mut Findings) -> BTreeMap<String, Duration> {
    let mut classes: BTreeMap<_, _> = CLASSES.iter().map(|(name, interval)| ((*name).to_owned(), *interval)).collect();
    let bounds = Span(MIN_INTERVAL, Duration::from_secs(3600));
    for (name, got) in section.all(&bounds, out) {
        match code(&name, 32) {
            // A wrong interval has been told; the name is still one that points may use.
            Ok(_) => drop(classes.insert(name, got.value.unwrap_or(MIN_INTERVAL))),
            Err(wrong) => out.error(got.spot, wrong),
        }
    }
    classes
}

/// What devices may have in common.
#[derive(Clone, Debug)]
struct Common {
    port: i64,
    unit: i64,
    timeout: Duration,
    request_gap: Duration,
    turnaround: Duration,
    max_registers: i64,
    max_bits: i64,
    max_register_hole: i64,
    max_bit_hole: i64,
    backoff_initial: Duration,
    backoff_max: Duration,
    address_base: i64,
    notation: Option<Notation>,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            port: 502,
            unit: 1,
            timeout: Duration::from_secs(1),
            request_gap: Duration::ZERO,
            turnaround: Duration::from_millis(10),
            max_registers: 125,
            max_bits: 2000,
            max_register_hole: 8,
            max_bit_hole: 32,
            backoff_initial: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            address_base: 0,
            notation: None,
        }
    }
}

fn common(section: &mut Section<'_>, default: &Common, out: &mut Findings) -> Common {
    let millis = Duration::from_millis;
    let backoff = Span(millis(10), Duration::from_secs(3600));
    let read = Common {
        port: section.or("port", &Whole(1, 65_535), default.port, out),
        unit: section.or("unit", &Whole(0, 255), default.unit, out),
        timeout: section.or("timeout", &Span(millis(50), millis(60_000)), default.timeout, out),
        request_gap: section.or("request_gap", &Span(Duration::ZERO, millis(10_000)), default.request_gap, out),
        turnaround: section.or("turnaround", &Span(Duration::ZERO, millis(10_000)), default.turnaround, out),
        max_registers: section.or("max_registers", &Whole(1, 125), default.max_registers, out),
        max_bits: section.or("max_bits", &Whole(1, 2000), default.max_bits, out),
        max_register_hole: section.or("max_register_hole", &Whole(0, 120), default.max_register_hole, out),
        max_bit_hole: section.or("max_bit_hole", &Whole(0, 1900), default.max_bit_hole, out),
        backoff_initial: section.or("backoff_initial", &backoff, default.backoff_initial, out),
        backoff_max: section.or("backoff_max", &backoff, default.backoff_max, out),
        address_base: section.or("address_base", &Whole(0, 1), default.address_base, out),
        notation: section
            .read("address_notation", &Choice(&["plain", "modicon"]), out)
            .map_or(default.notation, |got| {
                Some(if got.value == "plain" { Notation::Plain } else { Notation::Modicon })
            }),
    };
    check_backoff(section, &read, out);
    read
}

fn check_backoff(section: &Section<'_>, read: &Common, out: &mut Findings) {
    if read.backoff_initial > read.backoff_max {
        let (initial, max) = (show_duration(read.backoff_initial), show_duration(read.backoff_max));
        let what = say!(
            "backoff_initial {initial} 大于 backoff_max {max}",
            "backoff_initial {initial} is more than backoff_max {max}"
        );
        let instead = say!("请写 backoff_max = \"{initial}\" 或更大", "write backoff_max = \"{initial}\" or more");
        out.error(section.spot_of("backoff_initial"), Wrong::new(what, instead));
    }
}

fn device(
    mut section: Section<'_>,
    defaults: &Common,
    library: &Library<'_>,
    buses: &Buses,
    out: &mut Findings,
) -> (Option<(String, Spot)>, Option<DeviceRow>) {
    let written = section.text_of("id").map(|id| (id, section.spot_of("id")));
    let id = section.need("id", &Code(64), "\"plc-tank-1\"", out);
    let name = section.read("name", &Label(64), out);
    let spot = section.spot_of("id");
    let named = section.read("profile", &Code(64), out);
    let profile = named.as_ref().and_then(|named| library.get(named, out));
    let defaults = profile.map_or_else(|| defaults.clone(), |profile| in_common(profile.device(out), defaults, out));
    let used = profile.map(|profile| profiles::Use::read(&mut section, profile, spot.clone(), out));
    let common = common(&mut section, &defaults, out);
    let endpoint = buses::endpoint(&mut section, common.port, common.unit, buses, out);
    if let (Some(used), Some(Endpoint::Bus(bus)), Some(named)) = (&used, &endpoint, &named) {
        used.check_line(bus.line, named.spot.clone(), out);
    }
    let mut hints = vec![("address", address_hint()), ("points", address_hint())];
    if named.is_none() {
        hints.extend(profiles::hints());
    }
    // What belongs to a profile that is not there can not be judged.
    if named.is_none() || used.is_some() {
        section.finish(&hints, out);
    }
    let name = name.map(|got| got.value);
    let shown = name.clone().or_else(|| used.as_ref().map(|used| used.name().to_owned()));
    let row = id.zip(endpoint).filter(|_| named.is_none() || used.is_some()).map(|(id, endpoint)| DeviceRow {
        spot,
        device: settings(&id.value, endpoint, &common),
        name: shown.unwrap_or(id.value),
        profile: used.map(|used| (name, used)),
        counting: Counting { base: u8::from(common.address_base == 1), notation: common.notation },
    });
    (written, row)
}

/// Reads a whole section of what devices may have in common.
fn in_common(mut section: Section<'_>, default: &Common, out: &mut Findings) -> Common {
    let read = common(&mut section, default, out);
    section.finish(&[], out);
    read
}

fn address_hint() -> super::problem::Words {
    say!("测点及其地址请写在 points.csv", "points and their addresses go into points.csv")
}

fn settings(id: &str, endpoint: Endpoint, common: &Common) -> Device {
    let small = |n: i64| u16::try_from(n).unwrap_or(u16::MAX); // bounds were checked when read
    Device {
        id: DeviceId::new(id),
        endpoint,
        unit: u8::try_from(common.unit).unwrap_or(u8::MAX),
        timeout: common.timeout,
        request_gap: common.request_gap,
        turnaround: common.turnaround,
        max_registers: small(common.max_registers),
        max_bits: small(common.max_bits),
        max_register_hole: small(common.max_register_hole),
        max_bit_hole: small(common.max_bit_hole),
        backoff_initial: common.backoff_initial,
        backoff_max: common.backoff_max,
        classes: Vec::<PollClass>::new(),
        points: Vec::new(),
    }
}

fn check_count(count: usize, spot: Spot, out: &mut Findings) {
    if count > MAX_DEVICES {
        let what = say!("{count} 台设备，超过 {MAX_DEVICES}", "{count} devices are more than {MAX_DEVICES}");
        out.error(spot, Wrong::new(what, say!("请分到多台网关", "spread them over several gateways")));
    }
}

/// Also of devices that have other mistakes.
fn check_ids(ids: &[Option<(String, Spot)>], out: &mut Findings) {
    let mut seen: BTreeMap<&str, &Spot> = BTreeMap::new();
    for (id, spot) in ids.iter().flatten() {
        if let Some(first) = seen.insert(id, spot) {
            let first = first.short();
            let what = say!("设备 id `{id}` 重复，{first} 已用", "device id `{id}` is used twice, first in {first}");
            out.error(spot.clone(), Wrong::new(what, say!("请改成唯一的 id", "write an id of its own")));
        }
    }
}

/// The same unit behind the same address twice is one device polled twice, and its values under two names.
fn check_units(devices: &[DeviceRow], out: &mut Findings) {
    let mut seen: BTreeMap<(String, u8), &DeviceRow> = BTreeMap::new();
    for row in devices {
        let Device { endpoint, unit, id, .. } = &row.device;
        let key = (endpoint.to_string().to_ascii_lowercase(), *unit);
        if let Some(first) = seen.insert(key, row).filter(|first| first.device.id != *id) {
            let first = &first.device.id;
            let what = say!(
                "`{id}` 与 `{first}` 是同一地址 {endpoint} 的同一单元号 {unit}",
                "`{id}` and `{first}` are the same unit {unit} at {endpoint}"
            );
            let place = if matches!(endpoint, Endpoint::Bus(_)) { "bus" } else { "host" };
            let instead = say!(
                "请改正 unit 或 {place}；若确是同一设备，请合并为一个",
                "correct `unit` or `{place}`; if it is one device, keep one section"
            );
            out.error(row.spot.clone(), Wrong::new(what, instead));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::section::parse;
    use super::*;

    fn file(text: &str) -> (DevicesFile, Vec<String>) {
        let page = Page::new(Path::new("devices.toml"), text);
        let mut out = Findings::default();
        let table = parse(&page, text, &mut out).unwrap();
        let file = read(&page, &table, &Library::default(), &mut out);
        (file, out.sorted(&[]).iter().map(|p| format!("{}: {}", p.at, p.what.en)).collect())
    }

    #[test]
    fn a_device_takes_the_defaults_and_its_own_keys() {
        let (file, problems) = file(
            "[classes]\nfast = \"100ms\"\n[defaults]\ntimeout = \"2s\"\nport = 1502\n\
             [[device]]\nid = \"a\"\nhost = \"h\"\ntimeout = \"300ms\"\naddress_base = 1\n[[device]]\nid = \"b\"\nhost = \"h\"\nunit = 2\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(file.classes["fast"], Duration::from_millis(100));
        assert_eq!(file.classes["normal"], Duration::from_secs(1));
        assert_eq!(file.devices[0].device.timeout, Duration::from_millis(300));
        assert_eq!(file.devices[0].counting.base, 1);
        assert_eq!(file.devices[1].device.timeout, Duration::from_secs(2));
        assert_eq!(file.devices[1].device.endpoint, Endpoint::tcp("h", 1502));
    }

    #[test]
    fn every_wrong_device_is_named() {
        let (_, problems) = file(
            "[classes]\nquick = \"50ms\"\n[[device]]\nid = \"a\"\nhost = \"h\"\nunit = 256\nmax_registers = 126\n\
             [[device]]\nid = \"a\"\nhost = \"H\"\n[[device]]\nid = \"b\"\nhost = \"h\"\ntimeout = \"10ms\"\nadress_base = 1\n[[device]]\nname = \"x\"\n",
        );
        assert_eq!(
            problems,
            [
                "devices.toml:2:9: [classes] quick: `50ms` is not in 100ms..=1h",
                "devices.toml:6:8: [[device]] unit: `256` is not in 0..=255",
                "devices.toml:7:17: [[device]] max_registers: `126` is not in 1..=125",
                "devices.toml:9:6: [[device]] id: device id `a` is used twice, first in devices.toml:4",
                "devices.toml:12:6: [[device]] id: `b` and `a` are the same unit 1 at h:502",
                "devices.toml:14:11: [[device]] timeout: `10ms` is not in 50ms..=1min",
                "devices.toml:15:1: [[device]] adress_base: unknown key `adress_base`",
                "devices.toml:16:1: [[device]]: `id` is missing",
                "devices.toml:16:1: [[device]]: `host` is missing",
            ]
        );
    }
}
