//! `[[bus]]` in `devices.toml`: RS-485 lines and serial servers, and which device is on which.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::devices::DeviceRow;
use super::problem::{Findings, Spot, Wrong, say};
use super::section::Section;
use super::text::suggest;
use super::value::{Choice, Code, DeviceFile, Host, Span, Whole, clip, show_duration};
use crate::field::settings::{
    Bus, BusPlan, Endpoint, Line, Millis, Parity, Percent, PlanRow, PlannedBus, Port, Rs485, Source, planned_buses,
};

/// Units of a serial line: 0 is broadcast, 248 to 255 are reserved ("MODBUS over Serial Line" V1.02, 2.2).
pub(super) const UNITS: std::ops::RangeInclusive<i64> = 1..=247;

/// Longest frame gap that makes sense: beyond it the pause belongs to a device (`request_gap`).
const MAX_FRAME_GAP: Duration = Duration::from_secs(1);

/// The buses of the file.
#[derive(Debug, Default)]
pub(super) struct Buses {
    rows: Vec<BusRow>,
}

/// Parts of a plan shown when it is refused: the dearest.
const N_SHOWN: usize = 4;

/// Baud rates that instruments offer.
const BAUDS: [u32; 6] = [4800, 9600, 19_200, 38_400, 57_600, 115_200];

/// One `[[bus]]`, also one with mistakes.
#[derive(Debug)]
pub(super) struct BusRow {
    /// Where its id stands.
    pub(super) spot: Spot,
    id: String,
    /// `None` when it has mistakes.
    bus: Option<Arc<Bus>>,
}

/// What a device's `bus` names.
pub(super) enum Named {
    /// A sound bus.
    Bus(Arc<Bus>),
    /// One whose mistakes have been told.
    Unsound,
    /// None.
    Unknown,
}

impl Buses {
    /// Reads all sections.
    pub(super) fn read(sections: Vec<Section<'_>>, out: &mut Findings) -> Self {
        let rows = sections.into_iter().filter_map(|section| row(section, out)).collect();
        let buses = Self { rows };
        buses.check(out);
        buses
    }

    /// Returns the bus of this id.
    pub(super) fn named(&self, id: &str) -> Named {
        match self.rows.iter().find(|row| row.id == id) {
            Some(BusRow { bus: Some(bus), .. }) => Named::Bus(Arc::clone(bus)),
            Some(_) => Named::Unsound,
            None => Named::Unknown,
        }
    }

    /// Tells what to write instead of an unknown id.
    pub(super) fn unknown(&self, id: &str) -> Wrong {
        let shown = clip(id);
        let what = say!("没有总线 `{shown}`", "there is no bus `{shown}`");
        let ids = self.rows.iter().map(|row| row.id.as_str());
        let instead = match suggest(id, ids.clone()) {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None if self.rows.is_empty() => say!(
                "请加一节 `[[bus]]`，写 id = \"{shown}\" 和 port",
                "add a section `[[bus]]` with id = \"{shown}\" and port"
            ),
            None => {
                let list = ids.collect::<Vec<_>>().join(", ");
                say!("已有：{list}", "there are: {list}")
            }
        };
        Wrong::new(what, instead)
    }

    /// Checks the buses against the devices: one that nobody uses, and a TCP device at a serial server's address.
    pub(super) fn check_use(&self, devices: &[DeviceRow], wanted: &[String], out: &mut Findings) {
        for row in self.rows.iter().filter(|row| !wanted.contains(&row.id)) {
            let id = &row.id;
            let what = say!("总线 `{id}` 上没有设备", "there is no device on bus `{id}`");
            let instead = say!(
                "请在设备里写 bus = \"{id}\"，或删去此节",
                "write bus = \"{id}\" in a device, or remove the section"
            );
            out.warn(row.spot.clone(), Wrong::new(what, instead));
        }
        for device in devices {
            let Endpoint::Tcp { host, port } = &device.device.endpoint else { continue };
            let at = Port::Server { host: host.to_ascii_lowercase(), port: *port };
            let taken = self.rows.iter().find(|row| row.bus.as_ref().is_some_and(|bus| address(&bus.port) == at));
            if let Some(row) = taken {
                let (id, bus) = (&device.device.id, &row.id);
                let what = say!(
                    "设备 `{id}` 与总线 `{bus}` 是同一地址 {host}:{port}",
                    "device `{id}` has the address {host}:{port} of bus `{bus}`"
                );
                let instead = say!(
                    "若设备在此总线上，请写 bus = \"{bus}\" 代替 host；否则请改正地址",
                    "write bus = \"{bus}\" instead of host if the device is on that bus, else correct the address"
                );
                out.error(device.spot.clone(), Wrong::new(what, instead));
            }
        }
    }

    /// Checks that what is to be read fits on each bus. What does not is refused with the sum, unless the bus accepts it.
    pub(super) fn check_plans(&self, devices: &[Source], out: &mut Findings) {
        for planned in planned_buses(devices) {
            let load = planned.plan.load();
            if load <= 1.0 || planned.bus.accepts_overload {
                continue;
            }
            if let Some(row) = self.rows.iter().find(|row| row.id == planned.bus.id) {
                out.error(row.spot.clone(), overloaded(&planned, devices));
            }
        }
    }

    fn check(&self, out: &mut Findings) {
        let mut ids: BTreeMap<&str, &Spot> = BTreeMap::new();
        let mut ports: BTreeMap<Port, &str> = BTreeMap::new();
        for row in &self.rows {
            let id = row.id.as_str();
            if let Some(first) = ids.insert(id, &row.spot) {
                let first = first.short();
                let what = say!("总线 id `{id}` 重复，{first} 已用", "bus id `{id}` is used twice, first in {first}");
                out.error(row.spot.clone(), Wrong::new(what, say!("请改成唯一的 id", "write an id of its own")));
                continue;
            }
            let Some(bus) = &row.bus else { continue };
            if let Some(first) = ports.insert(address(&bus.port), id) {
                let port = &bus.port;
                let what = say!(
                    "总线 `{id}` 与 `{first}` 用同一端口 {port}",
                    "bus `{id}` and `{first}` use the same port {port}"
                );
                let instead = say!(
                    "一个端口是一条总线：请合并两节，或改正 port",
                    "one port is one bus: join the sections, or correct the port"
                );
                out.error(row.spot.clone(), Wrong::new(what, instead));
            }
        }
    }
}

/// Says what the parts of the plan cost, and what would fit.
fn overloaded(planned: &PlannedBus, devices: &[Source]) -> Wrong {
    let PlannedBus { bus, plan } = planned;
    let mut rows: Vec<_> = plan.rows.iter().collect();
    rows.sort_by(|a, b| b.load().total_cmp(&a.load()));
    let cost = |row: &&PlanRow| {
        let (time, load) = (Millis(row.time), Percent(row.load()));
        format!("{} {} {time} / {} = {load}", row.device, row.class, show_duration(row.interval))
    };
    let shown = rows.iter().take(N_SHOWN).map(cost).collect::<Vec<_>>().join(" + ");
    let rest: f64 = rows.iter().skip(N_SHOWN).map(|row| row.load()).sum();
    let more = rows.len().saturating_sub(N_SHOWN);
    let (zh, en) = match more {
        0 => (String::new(), String::new()),
        n => (format!(" + 其余 {n} 项 {}", Percent(rest)), format!(" + {n} more {}", Percent(rest))),
    };
    let (id, load, line) = (&bus.id, Percent(plan.load()), bus.line);
    let what = say!(
        "总线 `{id}`（{line}）读不过来：{shown}{zh} = {load}，超过 100 %",
        "bus `{id}` ({line}) cannot carry the plan: {shown}{en} = {load}, more than 100 %"
    );
    let times = (plan.load() * 10.0).ceil() / 10.0;
    let (zh, en) = faster(planned, devices).map_or_else(Default::default, |(baud, load)| {
        let load = Percent(load);
        (format!("，或设备支持时 baud = {baud}（{load}）"), format!(", or baud = {baud} ({load}) if the devices can"))
    });
    let instead = say!(
        "请把轮询间隔放慢到 {times} 倍{zh}，或分到两条总线；确要如此请写 overload = \"accept\"",
        "make the intervals {times} times as long{en}, or spread the devices over two buses; write overload = \"accept\" to run it all the same"
    );
    Wrong::new(what, instead)
}

/// The lowest usual baud rate at which the plan fits, with its load.
fn faster(planned: &PlannedBus, devices: &[Source]) -> Option<(u32, f64)> {
    let bus = &planned.bus;
    let on_it = |source: &Source| match source {
        Source::Modbus(device) => (device.endpoint == Endpoint::Bus(Arc::clone(bus))).then(|| Arc::clone(device)),
        Source::OpcUa(_) | Source::Derived { .. } => None,
    };
    let devices: Vec<_> = devices.iter().filter_map(on_it).collect();
    let own_gap = (bus.frame_gap > bus.line.silence()).then_some(bus.frame_gap);
    BAUDS.into_iter().filter(|baud| *baud > bus.line.baud).find_map(|baud| {
        let line = Line { baud, ..bus.line };
        let other = Bus { line, frame_gap: own_gap.unwrap_or(line.silence()), ..(**bus).clone() };
        let load = BusPlan::of(&other, &devices).load();
        (load <= 1.0).then_some((baud, load))
    })
}

/// The place alone, for comparison.
fn address(port: &Port) -> Port {
    match port {
        Port::Serial { path, .. } => Port::Serial { path: path.clone(), rs485: None },
        Port::Server { host, port } => Port::Server { host: host.to_ascii_lowercase(), port: *port },
    }
}

fn row(mut section: Section<'_>, out: &mut Findings) -> Option<BusRow> {
    let before = out.errors();
    let written = section.text_of("id");
    let spot = section.spot_of("id");
    section.need("id", &Code(32), "\"bus-1\"", out);
    let port = port(&mut section, out);
    let line = Line {
        baud: u32::try_from(section.or("baud", &Whole(300, 921_600), 9600, out)).unwrap_or(9600),
        parity: match section.or("parity", &Choice(&["none", "even", "odd"]), "none", out) {
            "even" => Parity::Even,
            "odd" => Parity::Odd,
            _ => Parity::None,
        },
        stop_bits: if section.or("stop_bits", &Whole(1, 2), 1, out) == 2 { 2 } else { 1 },
    };
    let frame_gap = frame_gap(&mut section, line, out);
    let overload = section.or("overload", &Choice(&["refuse", "accept"]), "refuse", out);
    let tcp = say!(
        "串口写 port，串口服务器写 host 和 tcp_port",
        "a serial port is `port`, a serial server `host` and `tcp_port`"
    );
    section.finish(&[("path", tcp.clone()), ("device", tcp)], out);
    let id = written?;
    let sound = port.filter(|_| out.errors() == before);
    let bus = sound
        .map(|port| Arc::new(Bus { id: id.clone(), port, line, frame_gap, accepts_overload: overload == "accept" }));
    Some(BusRow { spot, id, bus })
}

fn port(section: &mut Section<'_>, out: &mut Findings) -> Option<Port> {
    let rs485 = rs485(section, out);
    let tcp_port = section.read("tcp_port", &Whole(1, 65_535), out);
    let (path_spot, host_spot) = (section.spot_of("port"), section.spot_of("host"));
    let (has_path, has_host) = (section.has("port"), section.has("host"));
    let path = section.read("port", &DeviceFile, out);
    let host = section.read("host", &Host, out);
    let server = |host: String, port: i64| Port::Server { host, port: u16::try_from(port).unwrap_or(u16::MAX) };
    match (has_path, has_host) {
        (true, true) => {
            let what = say!("总线既有 port 又有 host", "the bus has both `port` and `host`");
            let instead = say!(
                "本机串口只写 port，串口服务器只写 host",
                "write only `port` for a serial port of this machine, only `host` for a serial server"
            );
            out.error(host_spot, Wrong::new(what, instead));
            None
        }
        (false, false) => {
            let what = say!("总线没有端口", "the bus has no port");
            let instead = say!(
                "请写 port = \"/dev/ttyS1\"，或 host 和 tcp_port",
                "write port = \"/dev/ttyS1\", or host and tcp_port"
            );
            out.error(section.spot(), Wrong::new(what, instead));
            None
        }
        (true, false) => {
            if let Some(tcp_port) = tcp_port {
                let what = say!("tcp_port 只用于串口服务器", "tcp_port is for a serial server only");
                out.error(
                    tcp_port.spot,
                    Wrong::new(what, say!("请删去，或把 port 换成 host", "remove it, or write host instead of port")),
                );
            }
            Some(Port::Serial { path: path?.value, rs485: rs485.map(|(mode, _)| mode) })
        }
        (false, true) => {
            if let Some((_, spot)) = rs485 {
                let what = say!("rs485 只用于本机串口", "rs485 is for a serial port of this machine only");
                let instead =
                    say!("请删去：方向由串口服务器切换", "remove it: the serial server switches the direction");
                out.error(spot, Wrong::new(what, instead));
            }
            let Some(tcp_port) = tcp_port else {
                if !section.has("tcp_port") {
                    let what = say!("缺少 `tcp_port`", "`tcp_port` is missing");
                    let instead = say!(
                        "请写串口服务器该口的 TCP 端口，例如 tcp_port = 4001",
                        "write the TCP port of that line of the serial server, e.g. tcp_port = 4001"
                    );
                    out.error(path_spot, Wrong::new(what, instead));
                }
                return None;
            };
            Some(server(host?.value, tcp_port.value))
        }
    }
}

fn rs485(section: &mut Section<'_>, out: &mut Findings) -> Option<(Rs485, Spot)> {
    let mode = section.read("rs485", &Choice(&["off", "on", "inverted"]), out);
    let delay = Span(Duration::ZERO, MAX_FRAME_GAP);
    let mut delays = ["rs485_delay_before", "rs485_delay_after"]
        .map(|key| section.or(key, &delay, Duration::ZERO, out))
        .map(|delay| u32::try_from(delay.as_millis()).unwrap_or_default())
        .into_iter();
    let (before_ms, after_ms) = (delays.next().unwrap_or_default(), delays.next().unwrap_or_default());
    let mode = mode.filter(|got| got.value != "off")?;
    Some((Rs485 { rts_on_send: mode.value == "on", before_ms, after_ms }, mode.spot))
}

/// The silence of the line, or a longer one that some converter needs.
fn frame_gap(section: &mut Section<'_>, line: Line, out: &mut Findings) -> Duration {
    let silence = line.silence();
    let Some(got) = section.read("frame_gap", &Span(Duration::ZERO, MAX_FRAME_GAP), out) else { return silence };
    if got.value < silence {
        let (shown, least) = (show_duration(got.value), silence.as_micros().div_ceil(1000));
        let what = say!(
            "frame_gap {shown} 小于 3.5 个字符的静默",
            "frame_gap {shown} is less than the silence of 3.5 characters"
        );
        let instead = say!(
            "请删去（自动计算），或写 \"{least}ms\" 以上",
            "remove it (it is computed), or write \"{least}ms\" or more"
        );
        out.error(got.spot, Wrong::new(what, instead));
    }
    got.value.max(silence)
}

/// Where a device is read: `host` and `port`, or `bus`. `None` when that is wrong, or was told to be wrong of its bus.
pub(super) fn endpoint(
    section: &mut Section<'_>,
    port: i64,
    unit: i64,
    buses: &Buses,
    out: &mut Findings,
) -> Option<Endpoint> {
    if !section.has("bus") {
        section.ignore("bus");
        let host = section.need("host", &Host, "\"192.168.1.10\"", out)?;
        return Some(Endpoint::tcp(host.value, u16::try_from(port).unwrap_or(u16::MAX)));
    }
    let bus = section.read("bus", &Code(32), out);
    for key in ["host", "port"].into_iter().filter(|key| section.has(key)) {
        let what = say!("设备既有 bus 又有 {key}", "the device has both `bus` and `{key}`");
        let instead = say!(
            "总线上的设备只写 bus 和 unit；请删去 {key}",
            "a device on a bus has `bus` and `unit` only; remove `{key}`"
        );
        out.error(section.spot_of(key), Wrong::new(what, instead));
    }
    section.ignore("host");
    if !UNITS.contains(&unit) {
        let what = say!("总线上没有单元号 {unit}", "there is no unit {unit} on a bus");
        let instead = say!(
            "请写 unit = 1 到 247（0 是广播，248 以上保留）",
            "write unit = 1 to 247 (0 is broadcast, 248 and above are reserved)"
        );
        out.error(section.spot_of("unit"), Wrong::new(what, instead));
    }
    let bus = bus?;
    match buses.named(&bus.value) {
        Named::Bus(bus) => Some(Endpoint::Bus(bus)),
        Named::Unsound => None,
        Named::Unknown => {
            out.error(bus.spot, buses.unknown(&bus.value));
            None
        }
    }
}
