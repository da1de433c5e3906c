//! `probe modbus` and `probe serial`: what is behind an address or on a port that nobody described.
//!
//! Only reads: functions 1 to 4, through the field's own session. Every wait is bounded; Ctrl-C ends with what was found.

mod cells;
mod serial;
mod units;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::ctrl_c;

use self::serial::serial;
use self::units::{Unit, scan_units};
use super::line::Line;
use super::places::{self, Expect, Known, Units};
use crate::clock::Clock;
use crate::field::modbus::Answer;
use crate::field::modbus::class::Ask;
use crate::field::modbus::session::{Fault, Noted};
use crate::field::settings::{Endpoint, Line as Wires, Parity, Port, Table};

/// What to probe.
#[derive(Debug, clap::Subcommand)]
pub enum Probe {
    /// 探查 Modbus 设备：扫描单元号、查找寄存器、判断编码和字节序 / find units, registers, encodings
    ///
    /// Without --unit: scans unit ids. With --unit: finds which registers exist (--range, --table). With --at: shows one
    /// place in every encoding and word order, the likeliest first. With --expect 23.4: finds where that value stands.
    /// With --known 40001=23.4: tells whether the manual counts from 0 or 1. Only reads.
    Modbus(ModbusArgs),
    /// 探查串口：试波特率、校验、停止位 / find baud rate, parity and stop bits of a serial port
    ///
    /// Asks for one holding register at each setting until a valid frame comes, and prints the lines for devices.toml.
    Serial(SerialArgs),
}

/// `probe modbus`.
#[derive(Debug, clap::Args)]
pub struct ModbusArgs {
    /// 主机[:端口]，默认端口 502 / host and port of Modbus TCP
    #[arg(value_name = "HOST[:PORT]", required_unless_present_any = ["serial", "rtu_over_tcp"], conflicts_with_all = ["serial", "rtu_over_tcp"])]
    host: Option<String>,
    /// 本机串口 / a serial port of this machine, e.g. /dev/ttyUSB0
    #[arg(long, value_name = "PORT", conflicts_with = "rtu_over_tcp")]
    serial: Option<PathBuf>,
    /// 串口服务器，透传 RTU / a serial server that carries RTU as it is
    #[arg(long, value_name = "HOST:PORT")]
    rtu_over_tcp: Option<String>,
    #[command(flatten)]
    wires: WiresArgs,
    /// 要扫描的单元号 / unit ids to scan
    #[arg(long, value_name = "1-16,247", value_parser = places::units, default_value = "1-32")]
    units: Units,
    /// 只看这个单元 / look into this unit
    #[arg(long, value_name = "UNIT")]
    unit: Option<u8>,
    /// 寄存器类型，可重复；默认 holding 和 input / tables, may be repeated
    #[arg(long = "table", value_name = "TABLE", value_parser = places::table)]
    tables: Vec<Table>,
    /// 地址范围，从 0 起算 / addresses on the wire
    #[arg(long, value_name = "0-99", value_parser = places::span, default_value = "0-99")]
    range: RangeInclusive<u16>,
    /// 一处的所有编码和字节序 / one place in every encoding and order
    #[arg(long, value_name = "4x00009", value_parser = places::place, requires = "unit")]
    at: Option<(Table, u16)>,
    /// 仪表上显示的值或范围 / what the instrument shows
    #[arg(long, value_name = "23.4 | 20..30", value_parser = places::expect, requires = "unit", allow_hyphen_values = true)]
    expect: Option<Expect>,
    /// 手册地址与已知值，可重复，判断从 0 还是从 1 起算 / a listed address and its value, may be repeated
    #[arg(long, value_name = "40001=23.4", value_parser = places::known, requires = "unit")]
    known: Vec<Known>,
    /// 读几次，看它怎样变化 / read so many times, to see it move
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=60))]
    samples: u8,
    /// 两次之间 / between two of them
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    every: Duration,
    /// 每次应答的时限 / time for each answer
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    timeout: Duration,
    /// 输出 CSV / print CSV
    #[arg(long)]
    csv: bool,
}

/// How characters are sent on a serial line.
#[derive(Clone, Debug, clap::Args)]
pub struct WiresArgs {
    /// 波特率 / baud rate
    #[arg(long, default_value_t = 9_600, value_parser = clap::value_parser!(u32).range(300..=921_600))]
    baud: u32,
    /// 校验 / parity: none, even, odd
    #[arg(long, default_value = "none", value_parser = parity)]
    parity: Parity,
    /// 停止位 / stop bits
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    stop_bits: u8,
}

/// `probe serial`.
#[derive(Debug, clap::Args)]
pub struct SerialArgs {
    /// 串口 / the port, e.g. /dev/ttyUSB0
    #[arg(value_name = "PORT")]
    port: PathBuf,
    /// 要问的单元号 / unit ids to ask
    #[arg(long, value_name = "1-3", value_parser = places::units, default_value = "1-3")]
    units: Units,
    /// 要试的波特率，可重复；不写则依次试常用的 / baud rates to try, may be repeated
    #[arg(long = "baud", value_name = "BAUD", value_parser = clap::value_parser!(u32).range(300..=921_600))]
    bauds: Vec<u32>,
    /// 每次应答的时限 / time for each answer
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration)]
    timeout: Duration,
}

/// Reads `500ms`, `2s`, between 10 ms and 60 s.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}`：请写 500ms 或 2s，10ms 到 60s / write 500ms or 2s, 10ms to 60s");
    let units = [("ms", 1), ("s", 1_000)];
    let (number, unit) =
        units.iter().find_map(|(name, per)| Some((text.strip_suffix(name)?, *per))).ok_or_else(wrong)?;
    let millis = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)?;
    (10..=60_000).contains(&millis).then(|| Duration::from_millis(millis)).ok_or_else(wrong)
}

fn parity(text: &str) -> Result<Parity, String> {
    match text {
        "none" => Ok(Parity::None),
        "even" => Ok(Parity::Even),
        "odd" => Ok(Parity::Odd),
        _ => Err(format!("`{text}`：请写 none、even 或 odd / write none, even or odd")),
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}`：请写 主机:端口 / write host:port");
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => Ok((host.to_owned(), port.parse().map_err(|_| wrong())?)),
        Some(_) => Err(wrong()),
        None => Ok((text.to_owned(), 502)),
    }
}

/// Runs a probe.
///
/// # Errors
///
/// What kept it from finding anything, in words.
pub async fn run(probe: Probe) -> Result<(), String> {
    let clock = Clock::system();
    match probe {
        Probe::Modbus(args) => modbus(&args, &clock).await,
        Probe::Serial(args) => serial(&args, &clock).await,
    }
}

async fn modbus(args: &ModbusArgs, clock: &Clock) -> Result<(), String> {
    let mut line = Line::new(endpoint(args)?, args.timeout, clock);
    let Some(unit) = args.unit else { return scan_units(&mut line, args, clock).await };
    let mut unit = Unit { line: &mut line, unit, clock };
    if !args.known.is_empty() {
        return unit.count_from(args).await;
    }
    match (args.at, args.expect) {
        (Some((table, address)), expect) => unit.all_forms(table, address, expect, args).await,
        (None, Some(expect)) => unit.find(expect, args).await,
        (None, None) => unit.map(args).await,
    }
}

fn endpoint(args: &ModbusArgs) -> Result<Endpoint, String> {
    let wires = Wires { baud: args.wires.baud, parity: args.wires.parity, stop_bits: args.wires.stop_bits };
    if let Some(path) = &args.serial {
        return Ok(Line::bus(Port::Serial { path: path.display().to_string(), rs485: None }, wires));
    }
    if let Some(server) = &args.rtu_over_tcp {
        let (host, port) = host_and_port(server)?;
        return Ok(Line::bus(Port::Server { host, port }, wires));
    }
    let (host, port) = host_and_port(args.host.as_deref().unwrap_or_default())?;
    Ok(Endpoint::tcp(host, port))
}

/// Whether a probe goes on.
enum Told {
    Answer(Answer),
    Silent(String),
    Stopped,
}

/// Asks, unless Ctrl-C comes first. That nothing can be reached at all ends the probe.
async fn told(line: &mut Line, unit: u8, ask: Ask) -> Result<(Told, Noted), String> {
    let asked = tokio::select! {
        asked = line.ask(unit, ask) => asked,
        _ = ctrl_c() => return Ok((Told::Stopped, Noted::default())),
    };
    match asked {
        (Ok(answer), noted) => Ok((Told::Answer(answer), noted)),
        (Err(Fault::Unreachable(why)), _) => Err(format!("连接不上 / cannot be reached: {why}")),
        (Err(fault), noted) => Ok((Told::Silent(fault.to_string()), noted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_times_are_read() {
        assert_eq!(host_and_port("10.0.0.1"), Ok(("10.0.0.1".to_owned(), 502)));
        assert_eq!(host_and_port("plc:1502"), Ok(("plc".to_owned(), 1502)));
        assert!(host_and_port(":502").is_err() && host_and_port("plc:x").is_err());
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert!(duration("5").is_err() && duration("2min").is_err() && duration("1ms").is_err());
    }
}
