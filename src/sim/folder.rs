//! The configuration folder of the demo: the simulated park written down as an engineer of a site would write it.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::dcs;
use super::fault::Nature;
use super::gates;
use super::orders;
use super::park::{Device, Point, Profile};
use super::units::UNITS;
use crate::field::settings::{Encoding, Table, WordOrder};

/// Park id of the demo.
pub const PARK: &str = "demo-park";
/// The device behind the DCS.
pub const DCS_DEVICE: &str = "dcs-unit-1";
/// Gateway id of the demo.
pub const GATEWAY: &str = "gw-east";

/// The company of all devices.
const COMPANY: &str = "91370000DEMO00001X";
/// The major hazard source of the demo.
const HAZARD_SOURCE: &str = "HS-370000-0001";

/// Columns of the point table, in the order in which they are written.
const COLUMNS: [&str; 25] = [
    "uid",
    "tag",
    "name",
    "device",
    "table",
    "address",
    "encoding",
    "order",
    "scale",
    "unit",
    "range_low",
    "range_high",
    "deadband",
    "class",
    "company",
    "hazard_source",
    "equipment",
    "kind",
    "commissioning",
    "node",
    "ll",
    "l",
    "h",
    "hh",
    "zone",
];

/// Where the points with limits are.
const ZONE: &str = "nitration";

/// Id of the bus of the gas detectors.
const LINE: &str = "gas-line";

/// Zones, muster points on three sides, and the weather station that says which of them lies upwind.
const SITE: &str = r#"[park]
name = "演示园区"
name_en = "the demo park"
muster = { north-square = 350, east-gate = 95, south-yard = 185 }

[[muster]]
id = "north-square"
name = "北广场"
name_en = "the north square"

[[muster]]
id = "east-gate"
name = "东门外停车场"
name_en = "the car park outside the east gate"

[[muster]]
id = "south-yard"
name = "南堆场"
name_en = "the south yard"

[[zone]]
id = "nitration"
name = "硝化车间"
name_en = "the nitration plant"

[[channel]]
id = "page"
in_drill = true

[wind]
speed = "MET.WS"
direction = "MET.WD"
"#;

/// Where one socket of the park is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// Modbus TCP at this address.
    Tcp(SocketAddr),
    /// An RS-485 line at this serial port.
    Line(PathBuf),
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// Where each socket of the park is, by [`Device::socket`].
    pub sockets: Vec<Socket>,
    /// The DCS.
    pub dcs: SocketAddr,
    /// The broker.
    pub broker: SocketAddr,
    /// Where the page shall listen.
    pub page: SocketAddr,
}

/// Writes `gateway.toml`, `devices.toml`, `uplink.toml`, `site.toml`, `alarms.toml` and `points.csv` into `dir`. State goes
/// below `dir` as well.
///
/// # Errors
/// When a file cannot be written.
pub fn write(dir: &Path, devices: &[Device], wiring: &Wiring) -> std::io::Result<()> {
    std::fs::write(dir.join("gateway.toml"), gateway_toml(wiring))?;
    std::fs::write(dir.join("devices.toml"), devices_toml(devices, wiring))?;
    std::fs::write(dir.join("uplink.toml"), uplink_toml(wiring))?;
    std::fs::write(dir.join("site.toml"), SITE.to_owned() + &gates::site_lanes())?;
    std::fs::write(dir.join("alarms.toml"), UNITS)?;
    write_secret(&dir.join("city-1.key"), orders::SECRET)?;
    std::fs::write(dir.join("points.csv"), points_csv(devices)?)
}

/// Writes a secret as its owner alone may read it.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_secret(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())
}

/// Quota and retention are those of a demo: an hour, half a gigabyte.
fn gateway_toml(wiring: &Wiring) -> String {
    format!(
        r#"[gateway]
park = "{PARK}"
id = "{GATEWAY}"
name = "东区网关（演示）"
timezone = "Asia/Shanghai"

[store]
dir = "store"
mirror_dir = "mirror"
state_dir = "state"
quota = "512MiB"
ballast = "1MiB"
segment = "8MiB"

[store.streams.telemetry]
retention = "1h"

[web]
listen = "{}"
"#,
        wiring.page
    )
}

fn line_of(socket: &Socket) -> Option<&PathBuf> {
    match socket {
        Socket::Tcp(_) => None,
        Socket::Line(path) => Some(path),
    }
}

fn devices_toml(devices: &[Device], wiring: &Wiring) -> String {
    let mut text = String::from(
        "[classes]\nfast = \"200ms\"\nnormal = \"1s\"\nslow = \"5s\"\n\n\
         [defaults]\ntimeout = \"500ms\"\nbackoff_max = \"2s\"\n",
    );
    for path in wiring.sockets.iter().filter_map(line_of) {
        let path = path.display();
        text.push_str(&format!("\n[[bus]]\nid = \"{LINE}\"\nport = \"{path}\"\nbaud = 9600\n"));
    }
    for device in devices {
        let Some(socket) = wiring.sockets.get(device.socket) else { continue };
        let place = match socket {
            Socket::Tcp(addr) => format!("host = \"{}\"\nport = {}", addr.ip(), addr.port()),
            Socket::Line(_) => format!("bus = \"{LINE}\""),
        };
        text.push_str(&format!(
            "\n[[device]]\nid = \"{}\"\nname = \"{}\"\n{place}\nunit = {}\n",
            device.id, device.name, device.unit
        ));
        text.extend(device.profile.as_ref().map(|profile| by_profile(device, profile)));
    }
    text.push_str(&format!(
        "\n[[opcua]]\nid = \"dcs-1\"\nurl = \"opc.tcp://{}\"\n\n\
         [[device]]\nid = \"{DCS_DEVICE}\"\nname = \"一单元 DCS\"\nopcua = \"dcs-1\"\n",
        wiring.dcs
    ));
    text
}

/// The keys by which a device uses its profile.
fn by_profile(device: &Device, profile: &Profile) -> String {
    let Profile { name, tags, equipment, .. } = profile;
    let mut text = format!("profile = \"{name}\"\ntags = \"{tags}\"\n");
    text.extend(profile.channels.map(|n| format!("channels = {n}\n")));
    text.extend(profile.order.map(|o| format!("order = \"{}\"\n", order(o))));
    text.push_str(&format!("company = \"{COMPANY}\"\nequipment = \"{equipment}\"\n"));
    if is_major_hazard(device) {
        text.push_str(&format!("hazard_source = \"{HAZARD_SOURCE}\"\n"));
    }
    let over = device.points.iter().filter(|point| !point.over.is_empty());
    text.extend(over.map(|point| format!("set.{} = {{ {} }}\n", point.id, point.over)));
    text
}

/// The tank farm and what watches it.
fn is_major_hazard(device: &Device) -> bool {
    device.id.starts_with("tank") || device.nature == Nature::Gas
}

/// What was acknowledged by the broker and not by the platform is sent again after 5 s instead of 60: a demo is short.
fn uplink_toml(wiring: &Wiring) -> String {
    format!(
        "[mqtt]\nhost = \"{}\"\nport = {}\nack = \"platform\"\nack_timeout = \"5s\"\nbackoff_max = \"2s\"\n\n\
         [[mqtt.command_key]]\nid = \"{}\"\nissuer = \"{}\"\nsecret_file = \"city-1.key\"\n",
        wiring.broker.ip(),
        wiring.broker.port(),
        orders::KEY,
        orders::ISSUER
    )
}

fn points_csv(devices: &[Device]) -> std::io::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS)?;
    let tabled = devices.iter().filter(|device| device.profile.is_none());
    let points = tabled.flat_map(|d| d.points.iter().map(move |p| (d, p)));
    for (n, (device, point)) in points.enumerate() {
        csv.write_record(row(n + 1, device, point))?;
    }
    for (n, tag) in dcs::TAGS.iter().enumerate() {
        csv.write_record(dcs_row(n + 1, tag))?;
    }
    csv.into_inner().map_err(|e| std::io::Error::other(e.to_string()))
}

fn row(n: usize, device: &Device, point: &Point) -> [String; COLUMNS.len()] {
    let bound = |pick: fn((f64, f64)) -> f64| point.range.map(|r| pick(r).to_string()).unwrap_or_default();
    let wide = point.place.encoding.width() > 1;
    let limit = |n: usize| point.limits.and_then(|four| four.get(n).map(f64::to_string)).unwrap_or_default();
    [
        format!("dp-{n:04}"),
        point.tag.clone(),
        point.name.clone(),
        device.id.clone(),
        table(point.place.table).to_owned(),
        point.place.address.to_string(),
        encoding(point.place.encoding),
        if wide { order(point.place.order).to_owned() } else { String::new() },
        if point.place.scale == 1.0 { String::new() } else { point.place.scale.to_string() },
        point.unit.to_owned(),
        bound(|r| r.0),
        bound(|r| r.1),
        point.deadband.to_owned(),
        point.class.to_owned(),
        COMPANY.to_owned(),
        if is_major_hazard(device) { HAZARD_SOURCE } else { "" }.to_owned(),
        point.equipment.clone(),
        point.kind.to_owned(),
        "in_service".to_owned(),
        String::new(),
        limit(0),
        limit(1),
        limit(2),
        limit(3),
        point.limits.map(|_| ZONE.to_owned()).unwrap_or_default(),
    ]
}

fn dcs_row(n: usize, (name, title, unit, .., class): &dcs::Tag) -> [String; COLUMNS.len()] {
    let tag = name.trim_end_matches(".PV");
    let cells: [(usize, String); 9] = [
        (0, format!("dd-{n:04}")),
        (1, tag.to_owned()),
        (2, (*title).to_owned()),
        (3, DCS_DEVICE.to_owned()),
        (9, (*unit).to_owned()),
        (13, (*class).to_owned()),
        (16, "R-2101".to_owned()),
        (18, "in_service".to_owned()),
        (19, format!("nsu={};s={name}", dcs::SPACE)),
    ];
    let mut row: [String; COLUMNS.len()] = Default::default();
    for (column, text) in cells {
        if let Some(cell) = row.get_mut(column) {
            *cell = text;
        }
    }
    row
}

fn table(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::Discrete => "discrete",
        Table::Holding => "holding",
        Table::Input => "input",
    }
}

fn encoding(encoding: Encoding) -> String {
    match encoding {
        Encoding::Bit(n) => return format!("bit{n}"),
        Encoding::Bool => "bool",
        Encoding::U16 => "u16",
        Encoding::I16 => "i16",
        Encoding::U32 => "u32",
        Encoding::I32 => "i32",
        Encoding::U64 => "u64",
        Encoding::I64 => "i64",
        Encoding::F32 => "f32",
        Encoding::F64 => "f64",
        Encoding::Bcd16 => "bcd16",
        Encoding::Bcd32 => "bcd32",
        Encoding::IntTenths => "int_tenths",
    }
    .to_owned()
}

fn order(order: WordOrder) -> &'static str {
    match order {
        WordOrder::Abcd => "abcd",
        WordOrder::Cdab => "cdab",
        WordOrder::Badc => "badc",
        WordOrder::Dcba => "dcba",
    }
}

#[cfg(test)]
mod tests {
    use super::super::devices::{LINE_SOCKET, park};
    use super::super::life::Moment;
    use super::*;
    use crate::config::{Config, Loaded, load};
    use crate::domain::actor::{Actor, Role, Via};
    use crate::domain::order::{Order, OrderKind};
    use crate::domain::reading::{Reading, Value};
    use crate::domain::site::state::State;
    use crate::domain::site::{Action, Output, Site};
    use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};
    use crate::field::settings::Source;

    fn loaded(devices: &[Device], dir: &Path) -> Loaded {
        let socket = |n: u16| match usize::from(n) {
            LINE_SOCKET => Socket::Line("/dev/ttyS1".into()),
            _ => Socket::Tcp(SocketAddr::from(([127, 0, 0, 1], 50_000 + n))),
        };
        let sockets = (0..20).map(socket).collect();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let wiring = Wiring { sockets, dcs: at(4840), broker: at(1883), page: at(0) };
        write(dir, devices, &wiring).unwrap();
        load(dir).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn modbus<'c>(config: &'c Config, id: &str) -> &'c crate::field::settings::Device {
        let of = |source: &'c Source| match source {
            Source::Modbus(device) if device.id.as_str() == id => Some(&**device),
            Source::Modbus(_) | Source::OpcUa(_) | Source::Derived { .. } => None,
        };
        config.devices.iter().find_map(of).unwrap()
    }

    #[test]
    fn the_folder_holds_six_files_that_parse_and_name_every_device() {
        let (devices, dir) = (park(), tempfile::tempdir().unwrap());
        let loaded = loaded(&devices, dir.path());
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        for file in ["gateway.toml", "devices.toml", "uplink.toml", "site.toml", "alarms.toml"] {
            let text = std::fs::read_to_string(dir.path().join(file)).unwrap();
            assert!(text.parse::<toml::Table>().is_ok(), "{file}");
        }
        let text = std::fs::read_to_string(dir.path().join("devices.toml")).unwrap();
        assert_eq!(text.matches("[[device]]").count(), devices.len() + 1);
        assert!(text.matches("\nprofile = ").count() >= 15, "instruments are declared by profiles");
    }

    /// The registers of the simulation are written apart from the profiles: each checks the other.
    #[test]
    fn every_point_is_read_where_the_simulation_has_it_and_no_other_is_read() {
        let (devices, dir) = (park(), tempfile::tempdir().unwrap());
        let config = loaded(&devices, dir.path()).config;
        for device in &devices {
            let read = modbus(&config, &device.id);
            let spec = config.specs.iter().find(|spec| spec.id.as_str() == device.id).unwrap();
            assert_eq!(spec.points.len(), device.points.len(), "{}", device.id);
            for (known, point) in spec.points.iter().zip(&read.points) {
                let simulated = device.points.iter().find(|p| p.tag == known.tag.as_str());
                let place = simulated.unwrap_or_else(|| panic!("{} is not simulated", known.tag.as_str())).place;
                let order = if point.encoding.width() > 1 { place.order } else { point.order };
                let as_simulated = (place.table, place.address, place.encoding, order, place.scale, place.offset);
                let as_read = (point.table, point.address, point.encoding, point.order, point.scale, point.offset);
                assert_eq!(as_read, as_simulated, "{}", known.tag.as_str());
            }
        }
    }

    #[test]
    fn the_reactors_have_four_limits_each_and_their_quiet_life_touches_none() {
        let (devices, dir) = (park(), tempfile::tempdir().unwrap());
        let config = loaded(&devices, dir.path()).config;
        let limited: Vec<_> = devices.iter().flat_map(|d| &d.points).filter_map(|p| Some((p, p.limits?))).collect();
        for (point, [_, low, high, _]) in &limited {
            let quiet = (0..600).map(|t| point.quantity(Moment { t: f64::from(t), seed: 1, release: 0.0 }));
            assert!(quiet.into_iter().all(|quantity| *low < quantity && quantity < *high), "{}", point.tag);
        }
        let alarms = &config.alarms.book.alarms;
        let of = |tag: &str| alarms.iter().filter(|alarm| alarm.id.starts_with(&format!("{tag}."))).count();
        assert!(limited.len() >= 9 && limited.iter().all(|(point, _)| of(&point.tag) >= 2), "low and high");
    }

    /// The wind of the weather station chooses the muster point that people are told.
    #[test]
    fn a_drill_names_the_muster_point_upwind_and_without_the_station_says_that_nobody_knows() {
        let (devices, dir) = (park(), tempfile::tempdir().unwrap());
        let book = loaded(&devices, dir.path()).config.site;
        let station = book.wind.clone().unwrap();
        let now = Now { mono: Mono::from_secs(100), wall: Timestamp(1_795_424_400_000), trust: ClockTrust::Synced };
        let told = |wind: Option<(f64, f64)>| {
            let mut site = Site::new(std::sync::Arc::new(book.clone()), 1, now);
            for (uid, value) in
                wind.iter().flat_map(|(speed, from)| [(&station.speed, speed), (&station.direction, from)])
            {
                site.handle_reading(uid, Reading::good(Value::Number(*value)), now);
            }
            let zone = ZONE.to_owned();
            let start =
                Action::StartDrill { zone, rehearses: State::Evacuate, barriers: false, comment: String::new() };
            let chief = Actor { name: "zhang".into(), via: Via::Machine, roles: [Role::Supervisor].into() };
            site.handle_action(start, &chief, now).unwrap();
            let messages = std::iter::from_fn(|| site.poll_output()).filter_map(|output| match output {
                Output::Order(Order { what: OrderKind::Message { zh, .. }, .. }) => Some(zh),
                Output::Order(_) | Output::Document(_) | Output::Fact(_) => None,
            });
            messages.collect::<Vec<String>>().concat()
        };
        let upwind = told(Some((3.0, 100.0)));
        assert!(upwind.contains("硝化车间") && upwind.contains("上风向集合点“东门外停车场”"), "{upwind}");
        let unknown = told(None);
        assert!(
            unknown.contains("风向不明")
                && ["北广场", "东门外停车场", "南堆场"].iter().all(|point| unknown.contains(point)),
            "{unknown}"
        );
    }

    #[test]
    fn every_quantity_stays_in_the_range_of_its_point_also_while_gas_leaks() {
        let (devices, dir) = (park(), tempfile::tempdir().unwrap());
        let config = loaded(&devices, dir.path()).config;
        for device in &devices {
            let spec = config.specs.iter().find(|spec| spec.id.as_str() == device.id).unwrap();
            for point in &device.points {
                let known = spec.points.iter().find(|known| known.tag.as_str() == point.tag).unwrap();
                let Some((low, high)) = known.range else { continue };
                for (t, release) in (0..600).flat_map(|t| [(t, 0.0), (t, 1.0)]) {
                    let quantity = point.quantity(Moment { t: f64::from(t) * 0.7, seed: 1, release });
                    assert!((low..=high).contains(&quantity), "{} {quantity}", point.tag);
                }
            }
        }
    }
}
