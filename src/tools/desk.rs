//! `output`, `looptest` and `wirelog`: what is asked of the running gateway.

use std::time::Duration;

use super::frame::{from_hex, hex, meaning};
use super::gateway::ask;
use super::table::{Form, Table, csv_line, say};
use crate::config::Config;
use crate::control::ask::{FrameLine, TestedLine, WroteLine};
use crate::control::{Ask, Line, MAX_SPAN};

/// A write ends within its deadline, its look and its pulse: 10 s each at most.
const WRITE_WITHIN: Duration = Duration::from_secs(40);

/// `output`.
#[derive(Debug, clap::Args)]
pub struct OutputArgs {
    /// outputs.toml 中的 id / id of the output
    #[arg(value_name = "OUTPUT")]
    output: String,
    /// values 中的名称 / name of a value in its list
    #[arg(value_name = "VALUE")]
    value: String,
    /// 谁发起，写入记录 / who asks, for the record
    #[arg(long, value_name = "NAME")]
    by: String,
    /// 幂等键：同一键只执行一次；不写则每次新的 / the same key is carried out once; a new one where absent
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// 多久内必须发出 / must be sent within
    #[arg(long, value_name = "TIME", value_parser = super::probe::duration)]
    within: Option<Duration>,
    /// 输出 CSV / print CSV
    #[arg(long)]
    csv: bool,
}

/// `looptest`.
#[derive(Debug, clap::Args)]
pub struct LoopTestArgs {
    /// 位号，或输出 id / tag of a point, or id of an output
    #[arg(value_name = "POINT|OUTPUT")]
    what: String,
    /// 输出：要写的值的名称 / of an output: name of the value
    #[arg(value_name = "VALUE", conflicts_with = "expect")]
    value: Option<String>,
    /// 测点：仪表上模拟的值 / of a point: what is simulated at the instrument
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    expect: Option<f64>,
    /// 允许的差，本点单位；不写为量程的 1% / difference that passes; 1 % of the range where absent
    #[arg(long, value_name = "NUMBER", requires = "expect")]
    tolerance: Option<f64>,
    /// 谁测试，写入记录 / who tests, for the record
    #[arg(long, value_name = "NAME")]
    by: String,
    /// 已投用的也测（测点的模拟值会作为真实数据上传；输出会真的动作）/ also in service: values go out as real, outputs move
    #[arg(long)]
    really: bool,
    /// 输出 CSV / print CSV
    #[arg(long)]
    csv: bool,
}

/// `wirelog`.
#[derive(Debug, clap::Args)]
pub struct WireLogArgs {
    /// devices.toml 中的 id / id of the device
    #[arg(value_name = "DEVICE")]
    device: String,
    /// 看多久 / for so long
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = span)]
    span: Duration,
    /// 输出 CSV / print CSV
    #[arg(long)]
    csv: bool,
}

/// Reads `30s`, `10min`, `1h`, up to [`MAX_SPAN`].
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}`：请写 30s、10min 或 1h，最多 4h / write 30s, 10min or 1h, at most 4h");
    let units = [("min", 60), ("s", 1), ("h", 3_600)];
    let (number, per) =
        units.iter().find_map(|(name, per)| Some((text.strip_suffix(name)?, *per))).ok_or_else(wrong)?;
    let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(per)).ok_or_else(wrong)?;
    let span = Duration::from_secs(seconds);
    (seconds > 0 && span <= MAX_SPAN).then_some(span).ok_or_else(wrong)
}

/// Writes to an output.
///
/// # Errors
///
/// Whatever is not `done`, in words.
pub fn output(config: &Config, args: OutputArgs) -> Result<(), String> {
    let form = Form::of(args.csv);
    let request = Ask::Write {
        output: args.output.clone(),
        value: args.value.clone(),
        issuer: args.by,
        key: args.key.unwrap_or_else(|| ulid::Ulid::generate().to_string()),
        within_ms: args.within.and_then(|within| u64::try_from(within.as_millis()).ok()),
        loop_test: false,
        really: false,
    };
    write(config, &request, &args.output, &args.value, form)
}

fn write(config: &Config, request: &Ask, output: &str, value: &str, form: Form) -> Result<(), String> {
    let mut result = None;
    ask(&config.control.socket, request, WRITE_WITHIN, |line| {
        if let Line::Wrote(wrote) = line {
            result = Some(wrote);
        }
        true
    })
    .map_err(|error| error.to_string())?;
    let Some(wrote) = result else { return Err("没有结果 / there is no result".to_owned()) };
    let WroteLine { result, zh, raw, seen, detail, elapsed_ms } = wrote;
    let number = |n: Option<u16>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let mut rows =
        Table::new(["输出 output", "值 value", "结果 result", "写 raw", "回读 seen", "用时 elapsed", "说明 detail"]);
    let told = format!("{zh} {result}");
    rows.row([
        output.to_owned(),
        value.to_owned(),
        told.clone(),
        number(raw),
        number(seen),
        format!("{elapsed_ms} ms"),
        detail,
    ]);
    rows.print(form);
    if result == "done" { Ok(()) } else { Err(told) }
}

/// Makes a loop test and its record.
///
/// # Errors
///
/// Why it was not made, or that it did not pass.
pub fn loop_test(config: &Config, args: LoopTestArgs) -> Result<(), String> {
    let form = Form::of(args.csv);
    let is_output = config.outputs.iter().any(|output| output.id.as_str() == args.what);
    match (is_output, args.value, args.expect) {
        (true, Some(value), None) => {
            let request = Ask::Write {
                output: args.what.clone(),
                value: value.clone(),
                issuer: args.by,
                key: ulid::Ulid::generate().to_string(),
                within_ms: None,
                loop_test: true,
                really: args.really,
            };
            write(config, &request, &args.what, &value, form)
        }
        (true, _, _) => {
            Err("输出的联调请写值的名称 / name the value to write: parkgate looptest OUTPUT VALUE --by …".to_owned())
        }
        (false, None, Some(expected)) => {
            let (tag, issuer) = (args.what, args.by);
            let ask = Ask::LoopTest { tag, issuer, expected, tolerance: args.tolerance, really: args.really };
            point_test(config, &ask, form)
        }
        (false, _, _) => {
            Err("测点的联调请写 --expect；没有这个输出 / for a point give --expect; there is no such output".to_owned())
        }
    }
}

fn point_test(config: &Config, request: &Ask, form: Form) -> Result<(), String> {
    let Ask::LoopTest { tag, expected, .. } = request else { return Ok(()) };
    let mut result = None;
    ask(&config.control.socket, request, Duration::ZERO, |line| {
        if let Line::Tested(tested) = line {
            result = Some(tested);
        }
        true
    })
    .map_err(|error| error.to_string())?;
    let Some(TestedLine { passed, read, quality, detail }) = result else {
        return Err("没有结果 / there is no result".to_owned());
    };
    let verdict = if passed { "合格 passed" } else { "不合格 failed" };
    let mut rows =
        Table::new(["位号 tag", "模拟 expected", "读到 read", "质量 quality", "结论 verdict", "说明 detail"]);
    rows.row([tag.clone(), expected.to_string(), read, quality, verdict.to_owned(), detail]);
    rows.print(form);
    if passed { Ok(()) } else { Err(verdict.to_owned()) }
}

/// Shows the bytes between gateway and device, until the time is up or Ctrl-C.
///
/// # Errors
///
/// Why nothing can be shown, in words.
pub fn wire_log(config: &Config, args: &WireLogArgs) -> Result<(), String> {
    let for_ms = u64::try_from(args.span.as_millis()).unwrap_or(u64::MAX);
    if args.csv {
        say("time,direction,hex,meaning");
    }
    let request = Ask::WireLog { device: args.device.clone(), for_ms };
    let told = ask(&config.control.socket, &request, args.span, |line| {
        if let Line::Frame(frame) = line {
            show(&frame, args.csv);
        }
        true
    });
    told.map_err(|error| error.to_string())
}

fn show(frame: &FrameLine, csv: bool) {
    let FrameLine { t, out, hex: text, dropped } = frame;
    if *dropped > 0 {
        eprintln!("（漏看 {dropped} 段 / {dropped} chunks not shown）");
    }
    let bytes = from_hex(text).unwrap_or_default();
    let (arrow, meaning) = (if *out { "→" } else { "←" }, meaning(&bytes, *out));
    if csv {
        let direction = if *out { "out" } else { "in" };
        say(csv_line(&[t.clone(), direction.to_owned(), hex(&bytes), meaning]).trim_end());
    } else {
        say(&format!("{t} {arrow} {}\n{:27}{meaning}", hex(&bytes), ""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_bounded() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("2min"), Ok(Duration::from_secs(120)));
        assert!(span("0s").is_err() && span("5h").is_err() && span("5").is_err() && span("ms").is_err());
    }
}
