//! `[[channel]]` of `alarms.toml`: an output, or a sender of text messages (短信): a modem, or an HTTP gateway. Which it is follows
//! from the keys.

use std::path::PathBuf;
use std::sync::Arc;

use toml::de::DeValue;

use super::file::check_output;
use super::rules::{Channel, Via};
use crate::config::problem::{Findings, Spot, Words, Wrong, say};
use crate::config::section::{Got, Section};
use crate::config::uplink_file::{secret, tls};
use crate::config::value::{Choice, Code, DeviceFile, Host, Kind, Label, Located, Url, Whole, clip, not_allowed};
use crate::domain::phone::{Phone, Phones};
use crate::field::settings::{Endpoint, Port as BusPort, Source};
use crate::output::settings::Output;
use crate::sms::settings::{Content, Gateway, Http, Kind as Sender, Modem, Port, Secret};

/// Longest template of a body, and of a header.
const MAX_TEMPLATE: usize = 4096;
/// Headers of a request beside those that every request has.
const MAX_HEADERS: usize = 16;

/// Reads one channel. `files` gets the secrets it names.
pub(super) fn read(
    mut section: Section<'_>,
    outputs: Option<&[Arc<Output>]>,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Option<Channel> {
    let before = out.errors();
    let id = section.need("id", &Code(64), "\"broadcast\"", out).map(|got| got.value);
    let via = if section.has("url") {
        http(&mut section, files, out).map(|http| Sender::Http(Box::new(http)))
    } else if section.has("port") || section.has("host") {
        modem(&mut section, files, out).map(Sender::Modem)
    } else {
        let via = output(&mut section, outputs, out);
        section.finish(&[("pin_file", modem_hint()), ("tcp_port", modem_hint()), ("baud", modem_hint())], out);
        return Some(Channel { id: id?.into(), via: via? });
    };
    section.finish(&[("pin", secret_hint("pin_file")), ("secret", secret_hint("secret_file"))], out);
    let id = id?;
    // One with mistakes is known all the same: a ladder that names it is no second mistake.
    let via = match via.filter(|_| out.errors() == before) {
        Some(kind) => Via::Text(Gateway { channel: id.clone(), kind }),
        None => Via::Page,
    };
    Some(Channel { id: id.into(), via })
}

fn modem_hint() -> Words {
    say!(
        "短信猫请写 port = \"/dev/ttyUSB2\"，或串口服务器的 host 和 tcp_port",
        "of a modem write port = \"/dev/ttyUSB2\", or host and tcp_port of its serial server"
    )
}

fn secret_hint(key: &str) -> Words {
    say!(
        "口令不写在这里：请存入文件（chmod 640），并写 {key} = \"…\"",
        "secrets do not stand here: put it into a file (chmod 640) and write {key} = \"…\""
    )
}

fn output(section: &mut Section<'_>, outputs: Option<&[Arc<Output>]>, out: &mut Findings) -> Option<Via> {
    let output = section.need("output", &Code(64), "\"broadcast-1\"", out);
    let value = section.need("value", &Code(64), "\"play\"", out);
    check_output(output.as_ref(), &[value.as_ref()], outputs, out);
    Some(Via::Output { output: output?.value, value: value?.value })
}

fn modem(section: &mut Section<'_>, files: &mut Vec<PathBuf>, out: &mut Findings) -> Option<Modem> {
    let (has_port, has_host) = (section.has("port"), section.has("host"));
    let place = section.spot_of("host");
    let path = section.read("port", &DeviceFile, out).map(|got| got.value);
    let baud = section.or("baud", &Whole(300, 921_600), 115_200, out);
    let host = section.read("host", &Host, out).map(|got| got.value);
    let tcp = if has_host { section.need("tcp_port", &Whole(1, 65_535), "4001", out) } else { None };
    let folder = section.folder();
    let pin = section.read("pin_file", &Located(&folder), out).and_then(|file| pin(&file, files, out));
    if has_port && has_host {
        let what = say!("短信猫既有 port 又有 host", "the modem has both `port` and `host`");
        out.error(place, Wrong::new(what, say!("请只留一个", "keep one of them")));
        return None;
    }
    let port = match (path, host) {
        (Some(path), _) => Port::Serial { path, baud: u32::try_from(baud).unwrap_or(115_200) },
        (None, host) => Port::Server { host: host?, port: u16::try_from(tcp?.value).unwrap_or(u16::MAX) },
    };
    Some(Modem { port, pin })
}

fn pin(file: &Got<PathBuf>, files: &mut Vec<PathBuf>, out: &mut Findings) -> Option<Secret> {
    let pin = words(file, files, out)?;
    if !(4..=8).contains(&pin.0.len()) || !pin.0.bytes().all(|b| b.is_ascii_digit()) {
        let what = say!("PIN 码不是 4 到 8 位数字", "the PIN is not 4 to 8 digits");
        out.error(file.spot.clone(), Wrong::new(what, say!("请改正文件", "correct the file")));
        return None;
    }
    Some(pin)
}

fn words(file: &Got<PathBuf>, files: &mut Vec<PathBuf>, out: &mut Findings) -> Option<Secret> {
    let text = String::from_utf8(secret(file, files, out)?).ok().filter(|text| !text.chars().any(char::is_control));
    if text.is_none() {
        let what = say!("文件不是一行文字", "the file is not one line of text");
        out.error(file.spot.clone(), Wrong::new(what, say!("请改正文件", "correct the file")));
    }
    text.map(Secret)
}

fn http(section: &mut Section<'_>, files: &mut Vec<PathBuf>, out: &mut Findings) -> Option<Http> {
    let url = section.read("url", &WebUrl, out);
    let method = section.or("method", &Choice(&["POST", "GET"]), "POST", out);
    let content = section.or("content", &Choice(&["json", "form"]), "json", out);
    let body = section.read("body", &Template, out);
    let status = section.read("status", &Whole(100, 599), out).and_then(|got| u16::try_from(got.value).ok());
    let answer = section.read("answer", &Label(256), out).map(|got| got.value);
    let folder = section.folder();
    let secret = section.read("secret_file", &Located(&folder), out).and_then(|file| words(&file, files, out));
    let headers = headers(section, out);
    let proof = section.section("tls", out);
    let (shows, spot) = (proof.is_present(), proof.spot());
    let tls = if shows {
        tls(proof, &folder, files, out)
    } else {
        proof.finish(&[], out);
        None
    };
    let url = url?;
    let is_protected = url.value.starts_with("https://");
    if is_protected != shows {
        let what = match shows {
            true => say!("有 tls，地址却是 http://", "there is `tls`, and the address is http://"),
            false => say!("https:// 须写明由谁签发证书", "https:// needs to know who signs the certificate"),
        };
        let instead = match shows {
            true => say!("请写 https://，或删去 tls", "write https://, or remove `tls`"),
            false => say!("请加 [channel.tls] ca_file = \"ca.pem\"", "add [channel.tls] ca_file = \"ca.pem\""),
        };
        out.error(if shows { spot } else { url.spot.clone() }, Wrong::new(what, instead));
    }
    let rest = url.value.split_once("://").map_or("", |(_, rest)| rest);
    let (place, path) = rest.split_once('/').map_or((rest, String::new()), |(place, path)| (place, path.to_owned()));
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "80"));
    let http = Http {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: port.parse().unwrap_or(80),
        tls,
        path: format!("/{path}"),
        method,
        headers,
        body: body.as_ref().map(|got| got.value.clone()).unwrap_or_default(),
        content: if content == "form" { Content::Form } else { Content::Json },
        secret,
        status,
        answer,
    };
    check_places(&http, &url.spot, body.as_ref().map(|got| &got.spot), out);
    Some(http)
}

/// A text without number or words is none.
fn check_places(http: &Http, url: &Spot, body: Option<&Spot>, out: &mut Findings) {
    for name in ["{phone}", "{text}"] {
        if !http.path.contains(name) && !http.body.contains(name) {
            let what = say!("url 和 body 里都没有 {name}", "neither url nor body has {name}");
            let instead = say!(
                "例如 body = '{{\"to\":\"{{phone}}\",\"text\":\"{{text}}\"}}'",
                "such as body = '{{\"to\":\"{{phone}}\",\"text\":\"{{text}}\"}}'"
            );
            out.error(body.unwrap_or(url).clone(), Wrong::new(what, instead));
        }
    }
    if let (Some(spot), "GET") = (body, http.method) {
        let what = say!("GET 没有正文", "a GET has no body");
        out.error(
            spot.clone(),
            Wrong::new(what, say!("请写 method = \"POST\"，或删去 body", "write method = \"POST\", or remove body")),
        );
    }
    let used = |text: &String| text.contains("{secret}");
    let uses = used(&http.path) || used(&http.body) || http.headers.iter().any(|(_, value)| used(value));
    if uses && http.secret.is_none() {
        let what = say!("用了 {{secret}}，却没有 secret_file", "{{secret}} is used, and there is no secret_file");
        out.error(url.clone(), Wrong::new(what, secret_hint("secret_file")));
    }
}

fn headers(section: &mut Section<'_>, out: &mut Findings) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, got) in section.section("headers", out).all(&Template, out) {
        let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let ours =
            ["host", "connection", "content-length", "content-type"].contains(&name.to_ascii_lowercase().as_str());
        if !token || ours || headers.len() >= MAX_HEADERS {
            let name = clip(&name);
            let what = say!("不能写请求头 `{name}`", "the header `{name}` cannot be written here");
            let instead = say!(
                "Host、Content-Type、Content-Length、Connection 由网关自己写；至多 {MAX_HEADERS} 个",
                "Host, Content-Type, Content-Length and Connection are the gateway's own; at most {MAX_HEADERS}"
            );
            out.error(got.spot, Wrong::new(what, instead));
        } else if let Some(value) = got.value {
            headers.push((name, value));
        }
    }
    headers
}

/// An address of the web, protected or not.
struct WebUrl;

impl Kind for WebUrl {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        match value.as_str() {
            Some(text) if text.starts_with("https://") => Url("https", 443).read(value),
            _ => Url("http", 80).read(value),
        }
    }
}

/// A text with placeholders: one line.
struct Template;

impl Kind for Template {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let wanted = || {
            say!(
                "请写一行文字，至多 {MAX_TEMPLATE} 字节，含 {{phone}}、{{text}}",
                "write one line of text, at most {MAX_TEMPLATE} bytes, with {{phone}} and {{text}}"
            )
        };
        let text = value.as_str().ok_or_else(|| Wrong::new(say!("不是文字", "not a text"), wanted()))?;
        let fits = text.len() <= MAX_TEMPLATE && !text.chars().any(char::is_control);
        fits.then(|| text.to_owned()).ok_or_else(|| not_allowed(&clip(text), wanted()))
    }
}

/// A modem on the port of a bus gets nothing to hear.
pub(super) fn check_port(channel: &Channel, spot: &Spot, devices: &[Source], out: &mut Findings) {
    let Via::Text(Gateway { kind: Sender::Modem(modem), .. }) = &channel.via else { return };
    let taken = devices.iter().find_map(|source| match source {
        Source::Modbus(device) => match &device.endpoint {
            Endpoint::Bus(bus) => same(&bus.port, &modem.port).then(|| bus.id.clone()),
            Endpoint::Tcp { host, port } => {
                let device_port = BusPort::Server { host: host.clone(), port: *port };
                same(&device_port, &modem.port).then(|| device.id.to_string())
            }
        },
        Source::OpcUa(_) | Source::Derived { .. } => None,
    });
    if let Some(taken) = taken {
        let port = &modem.port;
        let what = say!("{port} 已由 `{taken}` 使用", "{port} is used by `{taken}` already");
        out.error(spot.clone(), Wrong::new(what, say!("短信猫须独占一个串口", "a modem needs a port of its own")));
    }
}

fn same(bus: &BusPort, modem: &Port) -> bool {
    match (bus, modem) {
        (BusPort::Serial { path, .. }, Port::Serial { path: other, .. }) => path == other,
        (BusPort::Server { host, port }, Port::Server { host: other, port: others }) => {
            host.eq_ignore_ascii_case(other) && port == others
        }
        (BusPort::Serial { .. } | BusPort::Server { .. }, _) => false,
    }
}

/// A responsible person: the name, and his number where one stands behind it.
pub(super) fn person(text: &str, phones: &mut Phones) -> String {
    let split = text.trim().rsplit_once(char::is_whitespace);
    let found = split.and_then(|(name, number)| Some((name.trim(), Phone::parse(number)?)));
    match found {
        Some((name, phone)) => {
            phones.add(name, phone);
            name.to_owned()
        }
        None => text.trim().to_owned(),
    }
}
