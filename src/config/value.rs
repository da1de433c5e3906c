//! Values as people write them, checked against their bounds: durations, sizes, whole numbers, names.
//!
//! Durations: a number and `ms`, `s`, `min`, `h`, `d` (also 毫秒, 秒, 分, 分钟, 小时, 天). Sizes: a number and `B`, `KiB`,
//! `MiB`, `GiB`, `TiB` (powers of 1024) or `KB`, `MB`, `GB`, `TB` (powers of 1000).

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::problem::{Words, Wrong, say};
use super::text;

/// Units of durations in milliseconds, the largest first; the first word of each is the one written back.
const SPANS: [(&[&str], u64); 5] = [
    (&["d", "天"], 86_400_000),
    (&["h", "小时"], 3_600_000),
    (&["min", "分", "分钟"], 60_000),
    (&["s", "秒"], 1000),
    (&["ms", "毫秒"], 1),
];

/// Units of sizes in bytes; the first five are the ones written back.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
];

/// A kind of TOML value: how to read it, with its bounds.
pub(super) trait Kind {
    /// What it becomes.
    type Out;
    /// Reads and checks.
    fn read(&self, value: &DeValue<'_>) -> Result<Self::Out, Wrong>;
}

/// A duration between bounds.
pub(super) struct Span(pub(super) Duration, pub(super) Duration);

impl Kind for Span {
    type Out = Duration;

    fn read(&self, value: &DeValue<'_>) -> Result<Duration, Wrong> {
        let wanted = || duration_wanted(self.0, self.1);
        if let DeValue::Integer(n) = value {
            return Err(no_unit(&n.to_string(), wanted()));
        }
        duration_in(string(value, wanted)?, self.0, self.1)
    }
}

/// A size between bounds, in bytes.
pub(super) struct Size(pub(super) u64, pub(super) u64);

impl Kind for Size {
    type Out = u64;

    fn read(&self, value: &DeValue<'_>) -> Result<u64, Wrong> {
        let (min, max) = (show_size(self.0), show_size(self.1));
        let wanted = || {
            say!("请写 {min} 到 {max}，数字加 KiB、MiB 或 GiB", "write {min}..={max}: a number with KiB, MiB or GiB")
        };
        if let DeValue::Integer(n) = value {
            return Err(no_unit(&n.to_string(), wanted()));
        }
        let text = string(value, wanted)?;
        let Some(size) = parse_size(text) else {
            return Err(Wrong::new(say!("`{text}` 不是容量", "`{text}` is no size"), wanted()));
        };
        inside(size, self.0, self.1).then_some(size).ok_or_else(|| out_of_range(text, &min, &max, wanted()))
    }
}

/// A whole number between bounds.
pub(super) struct Whole(pub(super) i64, pub(super) i64);

impl Kind for Whole {
    type Out = i64;

    fn read(&self, value: &DeValue<'_>) -> Result<i64, Wrong> {
        let Self(min, max) = self;
        let wanted =
            || say!("请写 {min} 到 {max} 的整数，不加引号", "write a whole number {min}..={max} without quotes");
        let DeValue::Integer(n) = value else { return Err(wrong_type(value, wanted())) };
        let number = i64::from_str_radix(n.as_str(), n.radix()).ok();
        number.filter(|n| inside(*n, *min, *max)).ok_or_else(|| out_of_range(&n.to_string(), min, max, wanted()))
    }
}

/// A number between bounds.
pub(super) struct Ratio(pub(super) f64, pub(super) f64);

impl Kind for Ratio {
    type Out = f64;

    fn read(&self, value: &DeValue<'_>) -> Result<f64, Wrong> {
        let Self(min, max) = self;
        let wanted = || say!("请写 {min} 到 {max} 的数，不加引号", "write a number {min}..={max} without quotes");
        let text = match value {
            DeValue::Integer(n) => n.to_string(),
            DeValue::Float(n) => n.as_str().to_owned(),
            DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                return Err(wrong_type(value, wanted()));
            }
        };
        let number = text.parse::<f64>().ok().filter(|n| inside(*n, *min, *max));
        number.ok_or_else(|| out_of_range(&text, min, max, wanted()))
    }
}

/// `true` or `false`.
pub(super) struct Yes;

impl Kind for Yes {
    type Out = bool;

    fn read(&self, value: &DeValue<'_>) -> Result<bool, Wrong> {
        let wanted = || say!("请写 true 或 false，不加引号", "write true or false without quotes");
        value.as_bool().ok_or_else(|| wrong_type(value, wanted()))
    }
}

/// `[a-z0-9-]{1,32}`: what may stand in a topic.
pub(super) struct Slug;

impl Kind for Slug {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let wanted = || {
            say!(
                "请写 1 到 32 个小写字母、数字或 `-`，例如 \"gw-east\"",
                "write 1 to 32 of a-z, 0-9 and `-`, e.g. \"gw-east\""
            )
        };
        let text = string(value, wanted)?;
        let fits = matches!(text.len(), 1..=32)
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        fits.then(|| text.to_owned()).ok_or_else(|| not_allowed(text, wanted()))
    }
}

/// A code: ASCII letters, digits and `._:/-`, up to so many; the names of devices, clients, keys.
pub(super) struct Code(pub(super) usize);

impl Kind for Code {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let text = string(value, || code_wanted(self.0))?;
        code(text, self.0).map(str::to_owned)
    }
}

/// Text that people read: not empty, no control characters, up to so many characters.
pub(super) struct Label(pub(super) usize);

impl Kind for Label {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let text = string(value, || label_wanted(self.0))?;
        label(text, self.0).map(str::to_owned)
    }
}

/// A host name or IP address, without scheme and port.
pub(super) struct Host;

impl Kind for Host {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let wanted = || {
            say!(
                "请只写主机名或 IP 地址，例如 \"192.168.1.10\"，端口写在 port",
                "write a host name or IP address alone, e.g. \"192.168.1.10\"; the port goes into `port`"
            )
        };
        let text = string(value, wanted)?;
        let is_address = text.parse::<std::net::IpAddr>().is_ok();
        let is_name = !text.is_empty()
            && text.len() <= 253
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        (is_address || is_name).then(|| text.to_owned()).ok_or_else(|| not_allowed(text, wanted()))
    }
}

/// `scheme://host:port/path`; the port may be left out where it is the custom one.
pub(super) struct Url(pub(super) &'static str, pub(super) u16);

impl Kind for Url {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let Self(scheme, port) = self;
        let wanted = || {
            say!(
                "请写 \"{scheme}://主机:{port}\"，后面可有路径",
                "write \"{scheme}://host:{port}\", with a path behind it if there is one"
            )
        };
        let text = string(value, wanted)?;
        let whole = || {
            let rest = text.strip_prefix(scheme)?.strip_prefix("://")?;
            let (place, path) = rest.split_once('/').map_or((rest, None), |(place, path)| (place, Some(path)));
            let (host, given) = match place.rsplit_once(':') {
                Some((host, digits)) if !digits.ends_with(']') => {
                    (host, digits.parse::<u16>().ok().filter(|p| *p > 0)?)
                }
                _ => (place, *port),
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':');
            let fits = !host.is_empty() && host.bytes().all(plain) && !text.contains(char::is_whitespace);
            let path = path.map(|path| format!("/{path}")).unwrap_or_default();
            fits.then(|| format!("{scheme}://{host}:{given}{path}"))
        };
        whole().ok_or_else(|| not_allowed(text, wanted()))
    }
}

/// A path; relative ones start at the configuration folder.
pub(super) struct Located<'a>(pub(super) &'a Path);

impl Kind for Located<'_> {
    type Out = PathBuf;

    fn read(&self, value: &DeValue<'_>) -> Result<PathBuf, Wrong> {
        let wanted =
            || say!("请写路径，例如 \"/var/lib/parkgate/store\"", "write a path, e.g. \"/var/lib/parkgate/store\"");
        let text = string(value, wanted)?;
        let fits = !text.is_empty() && !text.contains('\0');
        fits.then(|| self.0.join(text)).ok_or_else(|| not_allowed(text, wanted()))
    }
}

/// The device file of a serial port: an absolute path.
pub(super) struct DeviceFile;

impl Kind for DeviceFile {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let wanted = || {
            say!("请写串口的设备文件，例如 \"/dev/ttyS1\"", "write the device file of the port, e.g. \"/dev/ttyS1\"")
        };
        let text = string(value, wanted)?;
        let fits = text.len() > 1 && text.starts_with('/') && !text.chars().any(char::is_control);
        fits.then(|| text.to_owned()).ok_or_else(|| not_allowed(text, wanted()))
    }
}

/// One of a few words.
pub(super) struct Choice(pub(super) &'static [&'static str]);

impl Kind for Choice {
    type Out = &'static str;

    fn read(&self, value: &DeValue<'_>) -> Result<&'static str, Wrong> {
        let text = string(value, || choice_wanted(self.0))?;
        self.0.iter().copied().find(|c| *c == text).ok_or_else(|| not_allowed(text, choice_wanted(self.0)))
    }
}

/// A text or a number, as text: what would be a cell of the point table.
pub(super) struct Scalar;

impl Kind for Scalar {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        match value {
            DeValue::String(text) => Ok(text.trim().to_owned()),
            DeValue::Integer(n) => Ok(n.to_string()),
            DeValue::Float(n) => Ok(n.as_str().to_owned()),
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                Err(wrong_type(value, say!("请写文字或数", "write a text or a number")))
            }
        }
    }
}

/// Two numbers, as text: `[low, high]`.
pub(super) struct Pair;

impl Kind for Pair {
    type Out = (String, String);

    fn read(&self, value: &DeValue<'_>) -> Result<(String, String), Wrong> {
        let wanted = || say!("请写 [下限, 上限]，例如 [0, 100]", "write [low, high], e.g. [0, 100]");
        let items: Vec<_> = value.as_array().ok_or_else(|| wrong_type(value, wanted()))?.iter().collect();
        match items.as_slice() {
            [low, high] => Ok((Scalar.read(low.get_ref())?, Scalar.read(high.get_ref())?)),
            _ => Err(Wrong::new(say!("不是两个数", "not two numbers"), wanted())),
        }
    }
}

/// `address:port` to listen on.
pub(super) struct Listen;

impl Kind for Listen {
    type Out = SocketAddr;

    fn read(&self, value: &DeValue<'_>) -> Result<SocketAddr, Wrong> {
        let wanted = || say!("请写 IP:端口，例如 \"127.0.0.1:8080\"", "write IP:port, e.g. \"127.0.0.1:8080\"");
        let text = string(value, wanted)?;
        text.parse().map_err(|_| not_allowed(text, wanted()))
    }
}

/// Names of groups of the machine: `["parkgate-operators"]`.
pub(super) struct Names;

impl Kind for Names {
    type Out = Vec<String>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
        let wanted = || {
            say!(
                "请写组名的列表，例如 [\"parkgate-operators\"]",
                "write a list of group names, e.g. [\"parkgate-operators\"]"
            )
        };
        let Some(items) = value.as_array() else { return Err(wrong_type(value, wanted())) };
        let name = |item: &toml::Spanned<DeValue<'_>>| {
            let text = string(item.get_ref(), wanted)?;
            let fits = (1..=32).contains(&text.len()) && !text.contains(|c: char| c.is_whitespace() || c == ':');
            fits.then(|| text.to_owned()).ok_or_else(|| not_allowed(text, wanted()))
        };
        items.iter().map(name).collect()
    }
}

/// Ids of other sections: `["gate-1-close"]`.
pub(super) struct Ids;

impl Kind for Ids {
    type Out = Vec<String>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
        let wanted = || say!("请写 id 的列表，例如 [\"gate-1-close\"]", "write a list of ids, e.g. [\"gate-1-close\"]");
        let Some(items) = value.as_array() else { return Err(wrong_type(value, wanted())) };
        let id = |item: &toml::Spanned<DeValue<'_>>| string(item.get_ref(), wanted).map(str::to_owned);
        items.iter().map(id).collect()
    }
}

/// Reads a duration and checks its bounds.
pub(super) fn duration_in(text: &str, min: Duration, max: Duration) -> Result<Duration, Wrong> {
    let wanted = duration_wanted(min, max);
    let Some(duration) = parse_duration(text) else {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(no_unit(text, wanted));
        }
        return Err(Wrong::new(say!("`{text}` 不是时长", "`{text}` is no duration"), wanted));
    };
    let (low, high) = (show_duration(min), show_duration(max));
    inside(duration, min, max).then_some(duration).ok_or_else(|| out_of_range(text, &low, &high, wanted))
}

/// Reads a duration without bounds; `None` when it is none.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let (_, millis) = SPANS.iter().find(|(names, _)| names.contains(&unit))?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(*millis).map(Duration::from_millis);
    }
    let millis = u32::try_from(*millis).ok()?;
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * f64::from(millis) / 1000.0).ok()
}

/// Reads a size in bytes; `None` when it is none.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let (_, bytes) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// Returns a duration as it would be written in a file.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let fits = |unit: u64| millis > 0 && millis.is_multiple_of(u128::from(unit));
    let (unit, per) = SPANS
        .iter()
        .find(|(_, per)| fits(*per))
        .map_or(("ms", 1), |(n, per)| (n.first().copied().unwrap_or("ms"), *per));
    if millis == 0 { "0ms".to_owned() } else { format!("{}{unit}", millis / u128::from(per)) }
}

/// Returns a size as it would be written in a file.
pub(super) fn show_size(bytes: u64) -> String {
    let unit = SIZES.iter().take(5).find(|(_, per)| bytes >= *per && bytes.is_multiple_of(*per));
    unit.map_or_else(|| format!("{bytes}B"), |(name, per)| format!("{}{name}", bytes / per))
}

/// Checks a code: ASCII letters, digits and `._:/-`.
pub(super) fn code(text: &str, max: usize) -> Result<&str, Wrong> {
    let fits = !text.is_empty()
        && text.len() <= max
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-'));
    if fits { Ok(text) } else { Err(not_allowed(text, code_wanted(max))) }
}

/// Checks text that people read.
pub(super) fn label(text: &str, max: usize) -> Result<&str, Wrong> {
    let trimmed = text::trim(text);
    let fits = !trimmed.is_empty() && trimmed.chars().count() <= max && !trimmed.chars().any(char::is_control);
    if fits { Ok(trimmed) } else { Err(not_allowed(text, label_wanted(max))) }
}

/// Says that a value is not among those possible.
pub(super) fn not_allowed(text: &str, wanted: Words) -> Wrong {
    let text = clip(text);
    if text.is_empty() {
        return Wrong::new(say!("空", "empty"), wanted);
    }
    Wrong::new(say!("不接受 `{text}`", "`{text}` is not accepted"), wanted)
}

/// Lists a few words, for "what to write".
pub(super) fn choice_wanted(words: &[&str]) -> Words {
    let list = words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>();
    let (zh, en) = (list.join("、"), list.join(", "));
    say!("请写 {zh} 之一", "write one of {en}")
}

/// Returns at most the first 60 characters, without control characters, for quoting.
pub(super) fn clip(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(60).map(clean).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// Says that a value is beyond its bounds.
pub(super) fn out_of_range(text: &str, min: impl Display, max: impl Display, wanted: Words) -> Wrong {
    let text = clip(text);
    Wrong::new(say!("`{text}` 超出范围 {min} 到 {max}", "`{text}` is not in {min}..={max}"), wanted)
}

fn inside<T: PartialOrd>(value: T, min: T, max: T) -> bool {
    value >= min && value <= max
}

fn split_unit(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at_checked(end)?;
    Some((number, unit.trim_start()))
}

fn string<'a>(value: &'a DeValue<'_>, wanted: impl Fn() -> Words) -> Result<&'a str, Wrong> {
    value.as_str().map(str::trim).ok_or_else(|| wrong_type(value, wanted()))
}

fn wrong_type(value: &DeValue<'_>, wanted: Words) -> Wrong {
    let (zh, en) = match value {
        DeValue::String(_) => ("字符串", "a string"),
        DeValue::Integer(_) => ("整数", "a whole number"),
        DeValue::Float(_) => ("小数", "a number"),
        DeValue::Boolean(_) => ("布尔值", "a boolean"),
        DeValue::Datetime(_) => ("日期", "a date"),
        DeValue::Array(_) => ("数组", "an array"),
        DeValue::Table(_) => ("表", "a table"),
    };
    Wrong::new(say!("类型不对：这里是{zh}", "wrong type: this is {en}"), wanted)
}

fn no_unit(number: &str, wanted: Words) -> Wrong {
    Wrong::new(say!("`{number}` 没有单位", "`{number}` has no unit"), wanted)
}

fn duration_wanted(min: Duration, max: Duration) -> Words {
    let (min, max) = (show_duration(min), show_duration(max));
    say!("请写 {min} 到 {max}，数字加 ms、s、min、h 或 d", "write {min}..={max}: a number with ms, s, min, h or d")
}

fn code_wanted(max: usize) -> Words {
    say!("请写 1 到 {max} 个英文字母、数字或 `._:/-`", "write 1 to {max} ASCII letters, digits or `._:/-`")
}

fn label_wanted(max: usize) -> Words {
    say!("请写 1 到 {max} 个字符，不能换行", "write 1 to {max} characters on one line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let ms = |n| Some(Duration::from_millis(n));
        for (text, want) in [
            ("500ms", ms(500)),
            ("1s", ms(1000)),
            ("1.5 s", ms(1500)),
            ("0.1s", ms(100)),
            ("2min", ms(120_000)),
            ("30d", ms(2_592_000_000)),
            ("60秒", ms(60_000)),
            ("5 分钟", ms(300_000)),
            ("60", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("1e9s", None),
            ("99999999999999999999d", None),
            ("1fortnight", None),
        ] {
            assert_eq!(parse_duration(text), want, "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024_or_1000_as_written() {
        for (text, want) in [
            ("2GiB", Some(2 << 30)),
            ("64 MiB", Some(64 << 20)),
            ("2GB", Some(2_000_000_000)),
            ("512b", Some(512)),
            ("2G", None),
            ("1.5GiB", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(parse_size(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_written_back() {
        for text in ["0ms", "250ms", "1s", "90s", "5min", "1h", "30d"] {
            let shown = parse_duration(text).map(show_duration);
            assert_eq!(shown.as_deref(), Some(text));
        }
        for text in ["16MiB", "1GiB", "1000B", "5TiB"] {
            assert_eq!(parse_size(text).map(show_size).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_an_example() {
        let wrong = duration_in("60", Duration::from_secs(1), Duration::from_secs(3600)).unwrap_err();
        assert_eq!(wrong.what.en, "`60` has no unit");
        assert!(wrong.instead.en.contains("1s..=1h"), "{}", wrong.instead.en);
    }

    #[test]
    fn hosts_carry_no_scheme_and_no_port() {
        let read = |s: &str| Host.read(&DeValue::String(s.to_owned().into())).is_ok();
        assert!(read("192.168.1.10") && read("plc-1.park.local") && read("fe80::1"));
        assert!(!read("") && !read("tcp://plc") && !read("plc:502") && !read("a b"));
    }
}
