//! `probe serial`: the settings at which a valid frame comes.

use super::{SerialArgs, Told, told};
use crate::clock::Clock;
use crate::field::modbus::class::Ask;
use crate::field::modbus::{Answer, words_of};
use crate::field::settings::{Line as Wires, Parity, Port, Table};
use crate::tools::line::Line;
use crate::tools::progress::Progress;
use crate::tools::table::say;

/// Baud rates tried, the commonest first.
const BAUDS: [u32; 8] = [9_600, 19_200, 115_200, 4_800, 38_400, 57_600, 2_400, 1_200];
/// Parity and stop bits tried, the commonest first; the second is what the specification asks for.
const FRAMINGS: [(Parity, u8); 4] = [(Parity::None, 1), (Parity::Even, 1), (Parity::Odd, 1), (Parity::None, 2)];

pub(super) async fn serial(args: &SerialArgs, clock: &Clock) -> Result<(), String> {
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

fn parity_word(parity: Parity) -> &'static str {
    match parity {
        Parity::None => "none",
        Parity::Even => "even",
        Parity::Odd => "odd",
    }
}
