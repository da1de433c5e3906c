//! `probe modbus` and `probe serial`: what is behind an address or on a port that nobody described.
//!
//! Only reads: functions 1 to 4, through the field's own session. Every wait is bounded; Ctrl-C ends with what was found.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::ctrl_c;

use super::line::Line;
use super::map::Search;
use super::offset::{self, SHIFTS, WIDTH};
use super::places::{self, Expect, Known, Units, notation, word};
use super::progress::Progress;
use super::rank::{Candidate, encoding_word, order_word, rank};
use super::table::{Form, Table as Rows, say};
use crate::clock::Clock;
use crate::field::modbus::class::Ask;
use crate::field::modbus::session::{Fault, Noted};
use crate::field::modbus::{Answer, Meaning, meaning_of, words_of};
use crate::field::settings::{Encoding, Endpoint, Line as Wires, Parity, Port, Table};

/// Places shown when a value is looked for.
const N_PLACES: usize = 20;
/// Silent blocks of one table after which it is left: a device that answers nothing costs a timeout each.
const N_SILENT: u32 = 3;
/// Baud rates tried, the commonest first.
const BAUDS: [u32; 8] = [9_600, 19_200, 115_200, 4_800, 38_400, 57_600, 2_400, 1_200];
/// Parity and stop bits tried, the commonest first; the second is what the specification asks for.
const FRAMINGS: [(Parity, u8); 4] = [(Parity::None, 1), (Parity::Even, 1), (Parity::Odd, 1), (Parity::None, 2)];

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

fn parity_word(parity: Parity) -> &'static str {
    match parity {
        Parity::None => "none",
        Parity::Even => "even",
        Parity::Odd => "odd",
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

async fn scan_units(line: &mut Line, args: &ModbusArgs, clock: &Clock) -> Result<(), String> {
    let mut rows = Rows::new(["单元 unit", "结果 found", "说明 detail"]);
    let (mut progress, mut silent) = (Progress::new(clock), 0);
    let units = &args.units.0;
    for (n, unit) in units.iter().enumerate() {
        progress.tell(|| format!("单元 unit {unit} ({n}/{}), 无应答 silent {silent}", units.len()));
        let began = clock.mono();
        let (told, _) = told(line, *unit, Ask { table: Table::Holding, start: 0, count: 1 }).await?;
        let took = format!("{} ms", clock.mono().since(began).as_millis());
        match told {
            Told::Answer(Answer::Exception(code)) if meaning_of(code) == Meaning::NoDevice => {
                rows.row([unit.to_string(), "网关应答，设备不在 gateway only".to_owned(), words_of(code).to_owned()]);
            }
            Told::Answer(Answer::Exception(code)) => {
                rows.row([unit.to_string(), "在，异常 there".to_owned(), format!("{} ({took})", words_of(code))]);
            }
            Told::Answer(_) => rows.row([unit.to_string(), "在 there".to_owned(), format!("4x00001 ({took})")]),
            Told::Silent(why) if why.starts_with("no answer") => silent += 1,
            Told::Silent(why) => rows.row([unit.to_string(), "应答不对 garbled".to_owned(), why]),
            Told::Stopped => break,
        }
    }
    progress.end();
    rows.print(Form::of(args.csv));
    if !args.csv {
        say(&format!("{silent} 个单元无应答 / units silent"));
    }
    Ok(())
}

struct Unit<'a> {
    line: &'a mut Line,
    unit: u8,
    clock: &'a Clock,
}

impl Unit<'_> {
    /// Searches a range of a table. Returns what was found, and whether Ctrl-C came.
    async fn search(&mut self, table: Table, range: RangeInclusive<u16>) -> Result<(Search, bool), String> {
        let (mut search, mut progress, mut silent) = (Search::new(range), Progress::new(self.clock), 0);
        while let Some((start, count)) = search.next() {
            let (done, total) = search.progress();
            progress.tell(|| format!("{} {start} ({done}/{total})", word(table)));
            match told(self.line, self.unit, Ask { table, start, count }).await?.0 {
                Told::Answer(answer) => search.took(&answer),
                Told::Silent(why) => {
                    silent += 1;
                    search.skipped();
                    eprintln!("{} {start} ×{count}: {why}", word(table));
                    if silent >= N_SILENT {
                        break;
                    }
                }
                Told::Stopped => return Ok((search, true)),
            }
        }
        Ok((search, false))
    }

    async fn map(&mut self, args: &ModbusArgs) -> Result<(), String> {
        let mut rows =
            Rows::new(["表 table", "地址 address", "记法 notation", "hex", "u16", "i16", "起此的浮点 f32 from here"]);
        for table in tables(args) {
            let (search, stopped) = self.search(table, args.range.clone()).await?;
            if let Some(code) = search.trouble() {
                eprintln!("{}: {}", word(table), words_of(code));
            }
            for (address, value) in search.found() {
                let float = search.found().get(&address.saturating_add(1)).filter(|_| !table.is_bits());
                let float = float.map(|next| likely_float(&[*value, *next])).unwrap_or_default();
                let (hex, signed) = (format!("{value:04X}"), value.cast_signed().to_string());
                let place = notation(table, *address);
                rows.row([word(table).to_owned(), address.to_string(), place, hex, value.to_string(), signed, float]);
            }
            if stopped {
                break;
            }
        }
        rows.print(Form::of(args.csv));
        if rows.is_empty() {
            eprintln!("此范围没有读到任何地址 / nothing in this range could be read");
        }
        Ok(())
    }

    /// Reads the registers from a place on, so many times.
    async fn samples(&mut self, table: Table, address: u16, args: &ModbusArgs) -> Result<Vec<Vec<u16>>, String> {
        let mut reads = Vec::new();
        let mut progress = Progress::new(self.clock);
        for n in 0..args.samples {
            if n > 0 {
                progress.tell(|| format!("{n}/{}", args.samples));
                tokio::select! {
                    () = self.clock.sleep_until(self.clock.mono() + args.every) => {}
                    _ = ctrl_c() => break,
                }
            }
            reads.extend(self.registers(table, address).await?);
        }
        Ok(reads)
    }

    /// Reads up to four registers from a place on; fewer where the rest is not there.
    async fn registers(&mut self, table: Table, address: u16) -> Result<Option<Vec<u16>>, String> {
        for count in (1..=WIDTH).rev() {
            if address.checked_add(count - 1).is_none() {
                continue;
            }
            match told(self.line, self.unit, Ask { table, start: address, count }).await?.0 {
                Told::Answer(Answer::Registers(words)) => return Ok(Some(words)),
                Told::Answer(Answer::Bits(bits)) => {
                    return Ok(Some(bits.iter().take(1).map(|on| u16::from(*on)).collect()));
                }
                Told::Answer(Answer::Exception(code)) if meaning_of(code) == Meaning::Refused => {}
                Told::Answer(Answer::Exception(code)) => return Err(words_of(code).to_owned()),
                Told::Silent(why) => return Err(why),
                Told::Stopped => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn all_forms(
        &mut self,
        table: Table,
        address: u16,
        expect: Option<Expect>,
        args: &ModbusArgs,
    ) -> Result<(), String> {
        let reads = self.samples(table, address, args).await?;
        let Some(last) = reads.last() else {
            return Err(format!("{} 读不到 / cannot be read", notation(table, address)));
        };
        let mut rows = Rows::new(["编码 encoding", "字节序 order", "系数 scale", "值 value", "评分 score", ""]);
        for candidate in rank(&reads, expect) {
            rows.row(cells_of(&candidate));
        }
        if !args.csv {
            let hex = last.iter().map(|w| format!("{w:04X}")).collect::<Vec<_>>().join(" ");
            say(&format!("{} {address} ({}) = {hex}, {} 次 reads", word(table), notation(table, address), reads.len()));
        }
        rows.print(Form::of(args.csv));
        Ok(())
    }

    async fn find(&mut self, expect: Expect, args: &ModbusArgs) -> Result<(), String> {
        let mut found: Vec<(Table, u16, Candidate)> = Vec::new();
        for table in tables(args).into_iter().filter(|table| !table.is_bits()) {
            let mut looks = Vec::new();
            for n in 0..args.samples {
                if n > 0 {
                    self.clock.sleep_until(self.clock.mono() + args.every).await;
                }
                let (search, stopped) = self.search(table, args.range.clone()).await?;
                looks.push(search.found().clone());
                if stopped {
                    break;
                }
            }
            found.extend(where_it_stands(&looks, expect).into_iter().map(|(address, c)| (table, address, c)));
        }
        found.sort_by_key(|(_, _, candidate)| std::cmp::Reverse(candidate.score));
        let mut rows = Rows::new([
            "表 table",
            "地址 address",
            "记法 notation",
            "编码 encoding",
            "字节序 order",
            "系数 scale",
            "值 value",
            "评分 score",
        ]);
        for (table, address, candidate) in found.iter().take(N_PLACES) {
            let [encoding, order, scale, value, score, _] = cells_of(candidate);
            rows.row([
                word(*table).to_owned(),
                address.to_string(),
                notation(*table, *address),
                encoding,
                order,
                scale,
                value,
                score,
            ]);
        }
        rows.print(Form::of(args.csv));
        if found.is_empty() {
            eprintln!("没有找到；放宽 --expect 或 --range / not found; widen --expect or --range");
        }
        Ok(())
    }

    /// Tells whether the manual counts from 0 or 1.
    async fn count_from(&mut self, args: &ModbusArgs) -> Result<(), String> {
        let mut words = BTreeMap::new();
        for (i, known) in args.known.iter().enumerate() {
            let first = SHIFTS.iter().min().copied().unwrap_or(0) + i32::from(known.address);
            let last = SHIFTS.iter().max().copied().unwrap_or(0) + i32::from(known.address) + i32::from(WIDTH) - 1;
            let (first, last) = (u16::try_from(first.max(0)).unwrap_or(0), u16::try_from(last).unwrap_or(u16::MAX));
            let (search, _) = self.search(known.table, first..=last).await?;
            words.extend(search.found().iter().map(|(at, word)| ((i, *at), *word)));
        }
        let mut rows = Rows::new([
            "手册地址 listed",
            "线上 wire",
            "编码 encoding",
            "字节序 order",
            "系数 scale",
            "值 value",
            "含义 meaning",
        ]);
        let judged = offset::judge(&args.known, &words);
        for judgement in judged.iter().filter(|judgement| judgement.hits() > 0) {
            for (known, candidate) in args.known.iter().zip(&judgement.explained) {
                let Some(candidate) = candidate else { continue };
                let wire = i32::from(known.address) + judgement.shift;
                let [encoding, order, scale, value, ..] = cells_of(candidate);
                let meaning = offset::meaning(judgement.shift, known.notation).to_owned();
                rows.row([
                    known.text.clone(),
                    format!("{} {wire}", word(known.table)),
                    encoding,
                    order,
                    scale,
                    value,
                    meaning,
                ]);
            }
        }
        rows.print(Form::of(args.csv));
        match judged.as_slice() {
            [best, next, ..] if best.hits() == next.hits() && best.hits() > 0 => {
                eprintln!("不能确定：再给一个 --known / not certain: give another --known");
            }
            [best, ..] if best.hits() == 0 => {
                eprintln!("没有一种读法符合 / no reading is as expected");
            }
            _ => {}
        }
        Ok(())
    }
}

fn tables(args: &ModbusArgs) -> Vec<Table> {
    if args.tables.is_empty() { vec![Table::Holding, Table::Input] } else { args.tables.clone() }
}

/// The places of a table at which what is expected stands, each with its likeliest reading.
fn where_it_stands(looks: &[BTreeMap<u16, u16>], expect: Expect) -> Vec<(u16, Candidate)> {
    let Some(first) = looks.first() else { return Vec::new() };
    let from = |look: &BTreeMap<u16, u16>, address: u16| -> Vec<u16> {
        (0..WIDTH).map_while(|i| look.get(&address.checked_add(i)?).copied()).collect()
    };
    let best = |address: &u16| {
        let reads: Vec<Vec<u16>> = looks.iter().map(|look| from(look, *address)).collect();
        let best = rank(&reads, Some(expect)).into_iter().next()?;
        best.expected.then_some((*address, best))
    };
    first.keys().filter_map(best).collect()
}

fn cells_of(candidate: &Candidate) -> [String; 6] {
    let Candidate { encoding, order, scale, value, expected, score } = candidate;
    let order = if encoding.width() > 1 || order_word(*order) != "abcd" { order_word(*order) } else { "" };
    let value = value.map_or_else(
        || "不是数 no number".to_owned(),
        |v| if *encoding == Encoding::F32 { single(v) } else { plain(v) },
    );
    let score = if *score <= -1_000 { String::new() } else { score.to_string() };
    [encoding_word(*encoding), order.to_owned(), scale.to_string(), value, score, mark(*expected)]
}

fn mark(expected: bool) -> String {
    if expected { "← 符合 as expected".to_owned() } else { String::new() }
}

/// A single in its own shortest form.
#[expect(clippy::cast_possible_truncation, reason = "it was a single")]
fn single(value: f64) -> String {
    let size = value.abs();
    let single = value as f32;
    if value == 0.0 || (1e-4..1e7).contains(&size) { single.to_string() } else { format!("{single:e}") }
}

/// As many digits as a single has: what stands behind them is not measured.
fn plain(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e7).contains(&size) {
        let text = format!("{value:.6}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    if value.fract() == 0.0 && size < 1e15 { value.to_string() } else { format!("{value:.4e}") }
}

/// The likeliest float of two registers, where there is one worth a word.
fn likely_float(words: &[u16]) -> String {
    let floats = rank(&[words.to_vec()], None).into_iter();
    let best = floats.filter(|c| encoding_word(c.encoding) == "f32" && c.score > 30).take(1).next();
    best.and_then(|c| Some(format!("{} {}", single(c.value?), order_word(c.order)))).unwrap_or_default()
}

async fn serial(args: &SerialArgs, clock: &Clock) -> Result<(), String> {
    let path = args.port.display().to_string();
    let bauds = if args.bauds.is_empty() { BAUDS.to_vec() } else { args.bauds.clone() };
    let (mut progress, mut heard) = (Progress::new(clock), Vec::new());
    for baud in bauds {
        for (parity, stop_bits) in FRAMINGS {
            let wires = Wires { baud, parity, stop_bits };
            // Eight characters there and at least five back: at 1200 baud this is more than the usual patience.
            let within = args.timeout + wires.chars(16);
            let mut line = Line::new(Line::bus(Port::Serial { path: path.clone(), rs485: None }, wires), within, clock);
            for unit in &args.units.0 {
                progress.tell(|| format!("{wires} 单元 unit {unit}"));
                let (told, noted) = told(&mut line, *unit, Ask { table: Table::Holding, start: 0, count: 1 }).await?;
                match told {
                    Told::Answer(answer) => {
                        progress.end();
                        found(&path, wires, *unit, &answer);
                        return Ok(());
                    }
                    Told::Silent(why) if noted.noise > 0 || !why.starts_with("no answer") => {
                        heard.push(wires.to_string())
                    }
                    Told::Silent(_) => {}
                    Told::Stopped => return Err(nothing(&heard)),
                }
            }
        }
    }
    progress.end();
    Err(nothing(&heard))
}

fn nothing(heard: &[String]) -> String {
    if heard.is_empty() {
        return "没有应答：查 A/B 接线、电源和单元号（--units）/ no answer: look at wires A and B, power and unit id (--units)"
            .to_owned();
    }
    let heard = heard.join(", ");
    format!("在 {heard} 收到字节但不成帧 / bytes came, but no frame, at {heard}")
}

fn found(path: &str, wires: Wires, unit: u8, answer: &Answer) {
    let what = match answer {
        Answer::Exception(code) => words_of(*code).to_owned(),
        Answer::Registers(words) => format!("4x00001 = {}", words.first().copied().unwrap_or(0)),
        Answer::Bits(_) => String::new(),
    };
    say(&format!("# 找到 / found: {wires}, 单元 unit {unit}, {what}"));
    say("# 写入 devices.toml / for devices.toml:");
    say("[[bus]]\nid = \"bus-1\"");
    say(&format!(
        "port = \"{path}\"\nbaud = {}\nparity = \"{}\"\nstop_bits = {}\n",
        wires.baud,
        parity_word(wires.parity),
        wires.stop_bits
    ));
    say(&format!("[[device]]\nid = \"device-{unit}\"\nbus = \"bus-1\"\nunit = {unit}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_value_stands_is_found_among_other_registers() {
        let words = [7_u16, 0xE979, 0x42F6, 250, 0, 0x42F6];
        let look: BTreeMap<u16, u16> = words.iter().zip(100..).map(|(w, at)| (at, *w)).collect();
        let found = where_it_stands(std::slice::from_ref(&look), places::expect("123.4..123.5").unwrap());
        assert_eq!(found.iter().map(|(at, c)| (*at, order_word(c.order))).collect::<Vec<_>>(), [(101, "cdab")]);
        let found = where_it_stands(&[look], places::expect("25.0").unwrap());
        assert_eq!(found.iter().map(|(at, c)| (*at, c.scale)).collect::<Vec<_>>(), [(103, 0.1)]);
    }

    #[test]
    fn addresses_and_times_are_read() {
        assert_eq!(host_and_port("10.0.0.1"), Ok(("10.0.0.1".to_owned(), 502)));
        assert_eq!(host_and_port("plc:1502"), Ok(("plc".to_owned(), 1502)));
        assert!(host_and_port(":502").is_err() && host_and_port("plc:x").is_err());
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert!(duration("5").is_err() && duration("2min").is_err() && duration("1ms").is_err());
    }

    #[test]
    fn numbers_are_shown_with_the_digits_that_mean_something() {
        assert_eq!(plain(f64::from(123.456_f32)), "123.456001");
        assert_eq!((plain(0.0), plain(250.0), plain(4_000_000_001.0)), ("0".into(), "250".into(), "4000000001".into()));
        assert_eq!(plain(-1.9e25), "-1.9000e25");
    }
}
