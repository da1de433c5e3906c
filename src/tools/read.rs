//! `read` and `watch`: one point with every step from registers to value; changes as they come.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::explain;
use super::frame::{asked, bits, from_hex, registers, unwrap};
use super::gateway::{AskError, ask};
use super::line::Line;
use super::table::{Form, Table, csv_line, say};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::ask::{FrameLine, PointLine};
use crate::control::{Ask, Line as Told};
use crate::domain::reading::Reading;
use crate::domain::registry::PointSpec;
use crate::field::modbus::class::Ask as Read;
use crate::field::modbus::{Answer, words_of};
use crate::field::settings::{Device, Point, Source};

/// A look at the wire for the registers of one point lasts at most this long; slower points are told without them.
const LOOK_AT_MOST: Duration = Duration::from_secs(30);
/// And at least this long: one poll and its answer.
const LOOK_AT_LEAST: Duration = Duration::from_secs(2);

/// `read`.
#[derive(Debug, clap::Args)]
pub struct ReadArgs {
    /// 位号 / tag of the point
    #[arg(value_name = "POINT")]
    point: String,
    /// 不经网关，直接连设备（设备须容许第二个连接）/ past the gateway: the device must admit a second connection
    #[arg(long)]
    direct: bool,
    /// 输出 CSV / print CSV
    #[arg(long)]
    csv: bool,
}

/// `watch`.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// 位号；不写为全部 / tags; all when none is given
    #[arg(value_name = "POINT")]
    points: Vec<String>,
    /// 看多久 / for so long
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = super::desk::span)]
    span: Duration,
    /// 输出 CSV / print CSV
    #[arg(long)]
    csv: bool,
}

/// A point of the configuration.
struct Found<'a> {
    source: &'a Source,
    spec: &'a PointSpec,
    ordinal: usize,
}

fn find<'a>(config: &'a Config, tag: &str) -> Result<Found<'a>, String> {
    let devices = config.devices.iter().zip(&config.specs);
    let mut points = devices.flat_map(|(source, spec)| {
        spec.points.iter().enumerate().map(move |(ordinal, spec)| Found { source, spec, ordinal })
    });
    points
        .find(|found| found.spec.tag.as_str() == tag)
        .ok_or_else(|| format!("点表中没有位号 `{tag}` / there is no point `{tag}` in the point table"))
}

impl Found<'_> {
    /// The device and the point, where it is read by Modbus.
    fn modbus(&self) -> Option<(&Arc<Device>, &Point)> {
        let Source::Modbus(device) = self.source else { return None };
        device.points.get(self.ordinal).map(|point| (device, point))
    }
}

/// Reads one point.
///
/// # Errors
///
/// Why nothing was read, in words.
pub async fn read(config: &Config, args: &ReadArgs) -> Result<(), String> {
    let found = find(config, &args.point)?;
    if args.direct {
        return direct(&found, args).await;
    }
    match through_gateway(&found, &config.control.socket, args) {
        Err(AskError::NotRunning(_)) => {
            eprintln!("网关没有运行，直接读设备 / the gateway does not run: reading the device itself");
            direct(&found, args).await
        }
        done => done.map_err(|error| error.to_string()),
    }
}

/// The value as the gateway has it, and the registers as its next poll brings them.
fn through_gateway(found: &Found<'_>, socket: &Path, args: &ReadArgs) -> Result<(), AskError> {
    let mut rows = table();
    let tags = vec![args.point.clone()];
    ask(socket, &Ask::Read { tags }, Duration::ZERO, |line| {
        if let Told::Point(point) = line {
            rows.row(cells(&point));
        }
        true
    })?;
    rows.print(Form::of(args.csv));
    let Some((device, point)) = found.modbus().filter(|_| !args.csv) else { return Ok(()) };
    let look = (found.spec.interval * 2 + device.timeout).clamp(LOOK_AT_LEAST, LOOK_AT_MOST);
    let for_ms = u64::try_from(look.as_millis()).unwrap_or(u64::MAX);
    let (mut pending, mut raw) = (None, None);
    ask(socket, &Ask::WireLog { device: device.id.to_string(), for_ms }, look, |line| {
        if let Told::Frame(frame) = line {
            raw = covered(&frame, &mut pending, device, point);
        }
        raw.is_none()
    })?;
    match raw {
        Some(Raw::Words(words)) => print_steps(explain::steps(point, &words, &found.spec.unit).0, None),
        Some(Raw::Bit(on)) => print_steps(explain::bit(point, on).0, None),
        None => say("（此间没有轮询到它的寄存器 / its registers were not polled meanwhile）"),
    }
    Ok(())
}

/// What stands in a point's place.
enum Raw {
    Words(Vec<u16>),
    Bit(bool),
}

/// Takes the point's registers out of the traffic: the answer to a request that covers them. A frame that comes in pieces
/// is left to the next poll.
fn covered(frame: &FrameLine, pending: &mut Option<(u16, u16)>, device: &Device, point: &Point) -> Option<Raw> {
    let pdu = unwrap(&from_hex(&frame.hex)?).filter(|pdu| pdu.unit == device.unit)?;
    if frame.out {
        let covers = |start: u16, count: u16| {
            let (start, end) = (u32::from(start), u32::from(start) + u32::from(count));
            let first = u32::from(point.address);
            start <= first && first + u32::from(point.encoding.width()) <= end
        };
        *pending =
            asked(&pdu).filter(|(t, start, count)| *t == point.table && covers(*start, *count)).map(|(_, s, n)| (s, n));
        return None;
    }
    let at = usize::from(point.address - (*pending)?.0);
    if point.table.is_bits() {
        return bits(&pdu)?.get(at).copied().map(Raw::Bit);
    }
    let words = registers(&pdu)?.get(at..at + usize::from(point.encoding.width()))?.to_vec();
    Some(Raw::Words(words))
}

async fn direct(found: &Found<'_>, args: &ReadArgs) -> Result<(), String> {
    let Some((device, point)) = found.modbus() else {
        return Err("此点不是 Modbus，只能经运行中的网关读 / not a Modbus point: read it through the running gateway"
            .to_owned());
    };
    let clock = Clock::system();
    let mut line = Line::new(device.endpoint.clone(), device.timeout, &clock);
    let read = Read { table: point.table, start: point.address, count: point.encoding.width() };
    let (steps, reading) = match line.ask(device.unit, read).await.0 {
        Ok(Answer::Registers(words)) => explain::steps(point, &words, &found.spec.unit),
        Ok(Answer::Bits(bits)) => explain::bit(point, bits.first().copied().unwrap_or(false)),
        Ok(Answer::Exception(code)) => return Err(format!("{}: {}", explain::place(point), words_of(code))),
        Err(fault) => return Err(format!("{} ({}): {fault}", device.id, device.endpoint)),
    };
    let mut rows = table();
    rows.row(cells(&as_read(found, &device.id.to_string(), reading, &clock)));
    rows.print(Form::of(args.csv));
    if !args.csv {
        print_steps(steps, Some(reading));
    }
    Ok(())
}

fn as_read(found: &Found<'_>, device: &str, reading: Reading, clock: &Clock) -> PointLine {
    PointLine {
        tag: found.spec.tag.to_string(),
        name: found.spec.name.clone(),
        device: device.to_owned(),
        value: reading.value().map_or_else(|| "-".to_owned(), explain::shown),
        unit: found.spec.unit.clone(),
        quality: reading.quality.as_str().to_owned(),
        t: clock.now().wall.to_string(),
    }
}

fn print_steps(steps: Vec<String>, reading: Option<Reading>) {
    for step in steps {
        say(&format!("  {step}"));
    }
    if let Some(reading) = reading {
        let value = reading.value().map_or_else(|| "-".to_owned(), explain::shown);
        say(&format!("  结果 result         {value}, {}", reading.quality.as_str()));
    }
}

const HEAD: [&str; 7] = ["位号 tag", "值 value", "单位 unit", "质量 quality", "时间 time", "设备 device", "名称 name"];

fn table() -> Table {
    Table::new(HEAD)
}

fn cells(point: &PointLine) -> [String; 7] {
    let PointLine { tag, name, device, value, unit, quality, t } = point.clone();
    [tag, value, unit, quality, t, device, name]
}

/// Shows what stands, then each change, until the time is up or Ctrl-C.
///
/// # Errors
///
/// Why nothing can be shown, in words.
pub fn watch(config: &Config, args: &WatchArgs) -> Result<(), String> {
    for tag in &args.points {
        find(config, tag)?;
    }
    let for_ms = u64::try_from(args.span.as_millis()).unwrap_or(u64::MAX);
    if args.csv {
        say(csv_line(&HEAD.map(str::to_owned)).trim_end());
    }
    let request = Ask::Watch { tags: args.points.clone(), for_ms };
    let told = ask(&config.control.socket, &request, args.span, |line| {
        if let Told::Point(point) = line {
            let cells = cells(&point);
            if args.csv {
                say(csv_line(&cells).trim_end());
            } else {
                let [tag, value, unit, quality, t, _, name] = cells;
                say(&format!("{t}  {tag:<12} {value:>12} {unit:<6} {quality:<12} {name}"));
            }
        }
        true
    });
    told.map_err(|error| match error {
        AskError::NotRunning(_) => {
            format!("{error}；没有网关时请用 parkgate read / without a gateway use `parkgate read`")
        }
        AskError::Forbidden(_) | AskError::Refused(_) | AskError::Broken(_) => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::DeviceId;
    use crate::field::settings::{Encoding, Endpoint, Signal, Table as Place, WordOrder};
    use crate::tools::frame::hex;

    fn device(points: Vec<Point>) -> Device {
        let ms = Duration::from_millis;
        Device {
            id: DeviceId::new("d"),
            endpoint: Endpoint::tcp("h", 1),
            unit: 1,
            timeout: ms(500),
            request_gap: ms(0),
            turnaround: ms(0),
            max_registers: 125,
            max_bits: 2000,
            max_register_hole: 8,
            max_bit_hole: 32,
            backoff_initial: ms(500),
            backoff_max: ms(500),
            classes: Vec::new(),
            points,
        }
    }

    #[test]
    fn the_registers_of_a_point_are_found_in_the_traffic() {
        let point = Point {
            class: 0,
            table: Place::Holding,
            address: 12,
            encoding: Encoding::F32,
            order: WordOrder::Abcd,
            scale: 1.0,
            offset: 0.0,
            decimals: None,
            range: None,
            signal: Signal::Value,
        };
        let device = device(vec![point.clone()]);
        let frame = |out, bytes: &[u8]| FrameLine { t: String::new(), out, hex: hex(bytes), dropped: 0 };
        let mut pending = None;
        let other = frame(true, &[0, 1, 0, 0, 0, 6, 1, 3, 0, 13, 0, 5]);
        assert!(covered(&other, &mut pending, &device, &point).is_none() && pending.is_none(), "does not cover it");
        let request = frame(true, &[0, 2, 0, 0, 0, 6, 1, 3, 0, 10, 0, 4]);
        assert!(covered(&request, &mut pending, &device, &point).is_none());
        let answer = frame(false, &[0, 2, 0, 0, 0, 11, 1, 3, 8, 0, 1, 0, 2, 0x42, 0xF6, 0xE9, 0x79]);
        let raw = covered(&answer, &mut pending, &device, &point);
        assert!(matches!(raw, Some(Raw::Words(words)) if words == [0x42F6, 0xE979]));
    }
}
