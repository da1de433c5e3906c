//! `uplink.toml`: the way to the city platform. No file, no uplink. Secrets stand in files of their own, never here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Findings, Spot, Words, Wrong, say};
use super::section::{Got, Page, Section};
use super::value::{Choice, Code, Host, Kind, Located, Size, Span, Whole, clip, show_duration};
use super::{Gateway, uplink};
use crate::domain::gate::picture::PictureKind;
use crate::uplink::settings::{Broker, Login, Tls};

/// Shortest secret of a command key (RFC 2104 wants the hash's length; 16 bytes is the least that resists guessing).
const MIN_SECRET: usize = 16;

/// A secret file is a line, not a disk image.
const MAX_SECRET: usize = 4096;

/// Reads the file. `gateway` gives park and id; where it was wrong, the rest is checked all the same.
pub(super) fn read(
    page: &Page<'_>,
    table: &Spanned<DeTable<'_>>,
    dir: &Path,
    gateway: Option<&Gateway>,
    out: &mut Findings,
) -> Option<Uplink> {
    let mut root = Section::root(page, table);
    let mut mqtt = root.section("mqtt", out);
    if !mqtt.is_present() {
        let what = say!("缺少 `[mqtt]` 一节", "section `[mqtt]` is missing");
        let instead = say!(
            "请写 `[mqtt]` 和 host；不上传则删去整个文件",
            "write `[mqtt]` with host, or remove the file to have no uplink"
        );
        out.error(root.spot(), Wrong::new(what, instead));
    }
    let mut files = Vec::new();
    let tls = tls(mqtt.section("tls", out), dir, &mut files, out);
    let login = login(mqtt.section("login", out), dir, &mut files, out);
    let command_keys = command_keys(&mut mqtt, dir, &mut files, out);
    let settings = mqtt_settings(&mut mqtt, gateway, out, Parts { tls, login, command_keys });
    mqtt.finish(&[("password", password_hint("mqtt")), ("user", login_hint("mqtt"))], out);
    let attachments = attachments(root.section("attachments", out), dir, &mut files, out);
    root.finish(&[], out);
    Some(Uplink { settings: uplink::Settings { attachments, ..settings? }, files })
}

/// The uplink and the files its settings were read from.
#[derive(Debug)]
pub(super) struct Uplink {
    /// Validated.
    pub(super) settings: uplink::Settings,
    /// Secrets and certificates, to be watched for changes.
    pub(super) files: Vec<PathBuf>,
}

struct Parts {
    tls: Option<Tls>,
    login: Option<Login>,
    command_keys: Vec<uplink::CommandKey>,
}

fn mqtt_settings(
    mqtt: &mut Section<'_>,
    gateway: Option<&Gateway>,
    out: &mut Findings,
    parts: Parts,
) -> Option<uplink::Settings> {
    let millis = Duration::from_millis;
    let own = gateway.map(|g| g.id.clone()).unwrap_or_default();
    let (broker, whole) = broker(mqtt, ("mqtt.example.cn", own), (parts.tls, parts.login), out);
    let ack = mqtt.or("ack", &Choice(&["platform", "broker"]), "platform", out);
    let settings = uplink::Settings {
        park: gateway.map(|g| g.park.clone()).unwrap_or_default(),
        gateway: gateway.map(|g| g.id.clone()).unwrap_or_default(),
        broker,
        ack: if ack == "broker" { uplink::AckMode::Broker } else { uplink::AckMode::Platform },
        ack_timeout: mqtt.or("ack_timeout", &Span(millis(100), millis(3_600_000)), millis(60_000), out),
        max_message_bytes: usize::try_from(mqtt.or("max_message", &Size(4 << 10, 256 << 10), 64 << 10, out)).ok()?,
        max_batch_age: mqtt.or("max_batch_age", &Span(Duration::ZERO, millis(1000)), millis(10), out),
        max_in_flight: u16::try_from(mqtt.or("max_in_flight", &Whole(1, 1000), 100, out)).ok()?,
        command_keys: parts.command_keys,
        attachments: None,
    };
    whole.then_some(settings)
}

/// Reads how a broker is spoken to; `example` and `client_id` are what to write and what holds where nothing is. Returns whether
/// its host is named, too.
pub(super) fn broker(
    mqtt: &mut Section<'_>,
    (example, client_id): (&str, String),
    (tls, login): (Option<Tls>, Option<Login>),
    out: &mut Findings,
) -> (Broker, bool) {
    let millis = Duration::from_millis;
    let host = mqtt.need("host", &Host, &format!("\"{example}\""), out);
    let port = mqtt.or("port", &Whole(1, 65_535), if tls.is_some() { 8883 } else { 1883 }, out);
    let backoff = Span(millis(10), millis(3_600_000));
    let broker = Broker {
        host: host.as_ref().map(|got| got.value.clone()).unwrap_or_default(),
        port: u16::try_from(port).unwrap_or(1883),
        client_id: mqtt.read("client_id", &Code(64), out).map_or(client_id, |got| got.value),
        keep_alive: mqtt.or("keep_alive", &Span(millis(5000), millis(120_000)), millis(30_000), out),
        connect_timeout: mqtt.or("connect_timeout", &Span(millis(100), millis(60_000)), millis(5000), out),
        backoff_initial: mqtt.or("backoff_initial", &backoff, millis(500), out),
        backoff_max: mqtt.or("backoff_max", &backoff, millis(10_000), out),
        tls,
        login,
    };
    check_backoff(mqtt, broker.backoff_initial, broker.backoff_max, out);
    if broker.login.is_some() && broker.tls.is_none() {
        check_clear(mqtt, &broker.host, "login", out);
    }
    (broker, host.is_some())
}

/// Reads `[attachments]`: where pictures of passages go, which, and how fast.
fn attachments(
    mut section: Section<'_>,
    dir: &Path,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Option<uplink::Attachments> {
    let present = section.is_present();
    let tls = tls(section.section("tls", out), dir, files, out);
    let host = section.need("host", &Host, "\"files.example.cn\"", out);
    let port = section.or("port", &Whole(1, 65_535), if tls.is_some() { 443 } else { 80 }, out);
    let path = section.or("path", &UrlPath, String::new(), out);
    let token = section.read("token_file", &Located(dir), out).and_then(|file| token(&file, files, out));
    let pictures = section.or("pictures", &Choice(&["plate", "whole", "both"]), "plate", out);
    let rate = section.or("rate", &Size(4 << 10, 16 << 20), 64 << 10, out);
    if token.is_some() && tls.is_none() {
        check_clear(&section, host.as_ref().map_or("", |host| host.value.as_str()), "token_file", out);
    }
    section.finish(&[("token", token_hint())], out);
    let pictures = match pictures {
        "plate" => BTreeSet::from([PictureKind::Plate]),
        "whole" => BTreeSet::from([PictureKind::Whole]),
        _ => PictureKind::ALL.iter().copied().collect(),
    };
    let (port, rate) = (u16::try_from(port).ok()?, u32::try_from(rate).ok()?);
    let host = host.filter(|_| present)?.value;
    Some(uplink::Attachments { host, port, path, tls, token, rate, pictures })
}

/// The beginning of a path: `/v1/files`.
struct UrlPath;

impl Kind for UrlPath {
    type Out = String;

    fn read(&self, value: &DeValue<'_>) -> Result<String, Wrong> {
        let text = value.as_str().unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~%".contains(&b);
        let fits = text.starts_with('/') && !text.ends_with('/') && text.bytes().all(plain);
        fits.then(|| text.to_owned()).ok_or_else(|| {
            let text = clip(text);
            Wrong::new(
                say!("`{text}` 不是路径", "`{text}` is no path"),
                say!("请写 \"/v1/files\"，末尾不带 /", "write e.g. \"/v1/files\", without a / at its end"),
            )
        })
    }
}

/// A token stands in a header: printable, without spaces.
fn token(file: &Got<PathBuf>, files: &mut Vec<PathBuf>, out: &mut Findings) -> Option<String> {
    let bytes = secret(file, files, out)?;
    let token = String::from_utf8(bytes).ok().filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
    if token.is_none() {
        let what = say!("令牌含空格或非 ASCII 字符", "the token holds spaces or characters beyond ASCII");
        out.error(
            file.spot.clone(),
            Wrong::new(what, say!("请原样保存令牌，一行", "save the token as it is, on one line")),
        );
    }
    token
}

/// The first wait is not longer than the longest.
fn check_backoff(mqtt: &Section<'_>, initial: Duration, max: Duration, out: &mut Findings) {
    if initial > max {
        let (initial, max) = (show_duration(initial), show_duration(max));
        let what = say!(
            "backoff_initial {initial} 大于 backoff_max {max}",
            "backoff_initial {initial} is more than backoff_max {max}"
        );
        let instead = say!("请写 backoff_max = \"{initial}\" 或更大", "write backoff_max = \"{initial}\" or more");
        out.error(mqtt.spot_of("backoff_initial"), Wrong::new(what, instead));
    }
}

/// A password without TLS is for this machine alone.
fn check_clear(mqtt: &Section<'_>, host: &str, key: &str, out: &mut Findings) {
    let near = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !near {
        let section = mqtt.name();
        let what = say!("没有 TLS，口令将明文传输", "without TLS the password travels in the clear");
        let instead = say!("请加 `[{section}.tls]` 和 ca_file", "add `[{section}.tls]` with ca_file");
        out.warn(mqtt.spot_of(key), Wrong::new(what, instead));
    }
}

/// Reads a `tls` section: how the broker proves who it is, and we to it.
pub(super) fn tls(mut section: Section<'_>, dir: &Path, files: &mut Vec<PathBuf>, out: &mut Findings) -> Option<Tls> {
    let present = section.is_present();
    let ca = section.need("ca_file", &Located(dir), "\"ca.pem\"", out);
    let cert = section.read("cert_file", &Located(dir), out);
    let key = section.read("key_file", &Located(dir), out);
    for got in [&ca, &cert].into_iter().flatten() {
        check_pem(got, b"-----BEGIN CERTIFICATE-----", files, out);
    }
    if let Some(got) = &key {
        check_pem(got, b"PRIVATE KEY-----", files, out);
    }
    if cert.is_some() != key.is_some() {
        let what = say!("cert_file 与 key_file 只写了一个", "only one of cert_file and key_file is given");
        let instead = say!("请两个都写，或都不写", "write both, or neither");
        out.error(section.spot(), Wrong::new(what, instead));
    }
    section.finish(&[], out);
    let ca_file = ca.filter(|_| present)?.value;
    Some(Tls { ca_file, client: cert.zip(key).map(|(c, k)| (c.value, k.value)) })
}

/// Reads a `login` section.
pub(super) fn login(
    mut section: Section<'_>,
    dir: &Path,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Option<Login> {
    let user = section.need("user", &Code(128), "\"gw-east\"", out);
    let file = section.need("password_file", &Located(dir), "\"mqtt.password\"", out);
    let broker = section.name().trim_end_matches(".login").to_owned();
    section.finish(&[("password", password_hint(&broker))], out);
    let (user, file) = (user?, file?);
    let bytes = secret(&file, files, out)?;
    let Ok(password) = String::from_utf8(bytes) else {
        let what = say!("口令不是 UTF-8 文本", "the password is not UTF-8 text");
        out.error(file.spot, Wrong::new(what, say!("请用 UTF-8 保存该文件", "save the file as UTF-8")));
        return None;
    };
    Some(Login { user: user.value, password })
}

fn command_keys(
    mqtt: &mut Section<'_>,
    dir: &Path,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Vec<uplink::CommandKey> {
    let mut keys: Vec<uplink::CommandKey> = Vec::new();
    for mut section in mqtt.each("command_key", out) {
        let id = section.need("id", &Code(64), "\"city-1\"", out);
        let issuer = section.need("issuer", &Code(64), "\"city-platform\"", out);
        let file = section.need("secret_file", &Located(dir), "\"city-1.key\"", out);
        section.finish(&[("secret", secret_hint())], out);
        let (Some(id), Some(issuer), Some(file)) = (id, issuer, file) else { continue };
        check_key_id(&id, &keys, out);
        let Some(secret) = secret(&file, files, out) else { continue };
        check_secret(&secret, file.spot, out);
        keys.push(uplink::CommandKey { id: id.value, secret, issuer: issuer.value });
    }
    keys
}

fn check_key_id(id: &Got<String>, keys: &[uplink::CommandKey], out: &mut Findings) {
    let value = &id.value;
    if keys.iter().any(|k| k.id == *value) {
        let what = say!("密钥 id `{value}` 重复", "key id `{value}` is used twice");
        out.error(id.spot.clone(), Wrong::new(what, say!("请改成唯一的 id", "write an id of its own")));
    }
}

fn check_secret(secret: &[u8], spot: Spot, out: &mut Findings) {
    let len = secret.len();
    if len < MIN_SECRET {
        let what =
            say!("密钥只有 {len} 字节，少于 {MIN_SECRET}", "the secret has {len} bytes, fewer than {MIN_SECRET}");
        let instead = say!("请生成一个：openssl rand -hex 32 > 该文件", "make one: openssl rand -hex 32 > that file");
        out.error(spot, Wrong::new(what, instead));
    }
}

/// A certificate where the key belongs is found here, not at the first connection.
fn check_pem(got: &Got<PathBuf>, holds: &[u8], files: &mut Vec<PathBuf>, out: &mut Findings) {
    files.push(got.value.clone());
    let Some(bytes) = readable(got, out) else { return };
    if !bytes.windows(holds.len()).any(|w| w == holds) {
        let (path, holds) = (got.value.display(), String::from_utf8_lossy(holds));
        let what = say!("`{path}` 中没有 `{holds}`", "`{path}` holds no `{holds}`");
        let instead = say!(
            "请用 PEM 格式；ca_file 和 cert_file 是证书，key_file 是私钥",
            "give it in PEM form; ca_file and cert_file are certificates, key_file is the private key"
        );
        out.error(got.spot.clone(), Wrong::new(what, instead));
    }
}

/// Reads a secret, without the line end an editor puts behind it.
/// Reads a password or secret from its file, without the line's end.
pub(super) fn secret(got: &Got<PathBuf>, files: &mut Vec<PathBuf>, out: &mut Findings) -> Option<Vec<u8>> {
    files.push(got.value.clone());
    let mut bytes = readable(got, out)?;
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    if !(1..=MAX_SECRET).contains(&bytes.len()) {
        let (path, len) = (got.value.display(), bytes.len());
        let what = say!("`{path}` 有 {len} 字节", "`{path}` has {len} bytes");
        let instead = say!("文件里请只写口令或密钥一行", "write the password or secret alone, on one line");
        out.error(got.spot.clone(), Wrong::new(what, instead));
        return None;
    }
    warn_if_public(got, out);
    Some(bytes)
}

fn warn_if_public(got: &Got<PathBuf>, out: &mut Findings) {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::metadata(&got.value).is_ok_and(|m| m.permissions().mode() & 0o007 != 0);
    if open {
        let path = got.value.display();
        let what = say!("本机任何用户都能读 `{path}`", "every user of this machine may read `{path}`");
        out.warn(got.spot.clone(), Wrong::new(what, say!("请执行 chmod 640 {path}", "run chmod 640 {path}")));
    }
}

fn readable(got: &Got<PathBuf>, out: &mut Findings) -> Option<Vec<u8>> {
    match super::folder::read_bounded(&got.value) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let path = got.value.display();
            let what = say!("无法读取 `{path}`：{error}", "cannot read `{path}`: {error}");
            let instead = say!(
                "请改正路径（相对路径从配置目录算起）或文件权限",
                "correct the path (relative ones start at the configuration folder) or the file's rights"
            );
            out.error(got.spot.clone(), Wrong::new(what, instead));
            None
        }
    }
}

/// Where a password goes; `of`: the section of the broker.
pub(super) fn password_hint(of: &str) -> Words {
    say!(
        "口令不写在这里：请存入文件（chmod 640），并在 [{of}.login] 写 password_file = \"mqtt.password\"",
        "passwords do not stand here: put it into a file (chmod 640) and write password_file = \"mqtt.password\" in [{of}.login]"
    )
}

fn secret_hint() -> Words {
    say!(
        "密钥不写在这里：请存入文件（chmod 640），并写 secret_file = \"city-1.key\"",
        "secrets do not stand here: put it into a file (chmod 640) and write secret_file = \"city-1.key\""
    )
}

fn token_hint() -> Words {
    say!(
        "令牌不写在这里：请存入文件（chmod 640），并写 token_file = \"files.token\"",
        "tokens do not stand here: put it into a file (chmod 640) and write token_file = \"files.token\""
    )
}

/// Where a user goes; `of`: the section of the broker.
pub(super) fn login_hint(of: &str) -> Words {
    say!("请写在 `[{of}.login]` 一节", "it goes into the section `[{of}.login]`")
}
