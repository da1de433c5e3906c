//! `gateway.toml`: who this gateway is (`[gateway]`), what it keeps (`[store]`), its page (`[web]`), its control socket
//! (`[control]`) and who may do what by it (`[roles]`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::problem::{Findings, Spot, Wrong, say};
use super::section::{Got, Page, Section};
use super::value::{Kind, Label, Listen, Located, Names, Ratio, Size, Slug, Span, Whole, show_size};
use super::{Gateway, buffer, control, web};
use crate::domain::actor::Role;
use crate::domain::record::Stream;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY: Duration = Duration::from_secs(86_400);

/// Share of readings that leave the deadband, where `[store] expected_change` does not say. Typical of process values:
/// levels and temperatures rest most of the time, pressures and flows do not.
const EXPECTED_CHANGE: f64 = 0.3;

/// What the file gives. Parts that were wrong have their defaults, so that the checks beyond this file can go on.
#[derive(Debug)]
pub(super) struct GatewayFile {
    /// Who this is; `None` when that was wrong.
    pub(super) gateway: Option<Gateway>,
    /// Folder of the domain's memory.
    pub(super) state_dir: PathBuf,
    /// The store, its consumers still empty.
    pub(super) store: buffer::Settings,
    /// Share of readings expected to be stored.
    pub(super) expected_change: f64,
    /// Where the quota stands, for checks against points and disk.
    pub(super) quota_spot: Spot,
    /// The page.
    pub(super) web: web::Settings,
    /// The control socket.
    pub(super) control: control::Settings,
}

/// Reads the file. `dir` is where relative paths start.
pub(super) fn read(page: &Page<'_>, table: &Spanned<DeTable<'_>>, dir: &Path, out: &mut Findings) -> GatewayFile {
    let mut root = Section::root(page, table);
    let gateway = gateway(root.section("gateway", out), &root, out);
    let mut section = root.section("store", out);
    let quota_spot = section.spot_of("quota");
    let state_dir = section.or("state_dir", &Located(dir), STATE_DIR.into(), out);
    let expected_change = section.or("expected_change", &Ratio(0.001, 1.0), EXPECTED_CHANGE, out);
    let spots = ["dir", "mirror_dir", "state_dir"].map(|key| section.spot_of(key));
    let store = store(section, dir, out);
    check_folders(&store, &state_dir, &spots, out);
    let zone = gateway.as_ref().map_or_else(|| DEFAULT_ZONE.to_owned(), |g| g.timezone.clone());
    let web = web(root.section("web", out), zone, out);
    let control = control(&mut root, &state_dir, dir, out);
    root.finish(&[], out);
    GatewayFile { gateway, state_dir, store, expected_change, quota_spot, web, control }
}

/// Folder of the state where `[store]` names none.
pub(super) const STATE_DIR: &str = "/var/lib/parkgate/state";
const DEFAULT_ZONE: &str = "Asia/Shanghai";

fn gateway(mut section: Section<'_>, root: &Section<'_>, out: &mut Findings) -> Option<Gateway> {
    if !section.is_present() {
        let what = say!("缺少 `[gateway]` 一节", "section `[gateway]` is missing");
        let instead = say!(
            "请写 `[gateway]`，其下写 park = \"demo-park\" 和 id = \"gw-east\"",
            "write `[gateway]`, below it park = \"demo-park\" and id = \"gw-east\""
        );
        out.error(root.spot(), Wrong::new(what, instead));
    }
    let park = section.need("park", &Slug, "\"demo-park\"", out);
    let id = section.need("id", &Slug, "\"gw-east\"", out);
    let name = section.read("name", &Label(64), out);
    let timezone = section.or("timezone", &Zone, DEFAULT_ZONE.to_owned(), out);
    section.finish(&[], out);
    let id = id?.value;
    Some(Gateway { park: park?.value, name: name.map_or_else(|| id.clone(), |n| n.value), id, timezone })
}

fn store(mut section: Section<'_>, dir: &Path, out: &mut Findings) -> buffer::Settings {
    let quota_bytes = section.or("quota", &Size(8 * MIB, 16 * 1024 * GIB), 2 * GIB, out);
    let segment = section.read("segment", &Size(MIB, 64 * MIB), out);
    let commit = Span(Duration::from_millis(50), Duration::from_secs(1));
    let settings = buffer::Settings {
        dir: section.or("dir", &Located(dir), "/var/lib/parkgate/store".into(), out),
        mirror_dir: section.or("mirror_dir", &Located(dir), "/var/lib/parkgate/mirror".into(), out),
        quota_bytes,
        ballast_bytes: section.or("ballast", &Size(64 * KIB, GIB), 16 * MIB, out),
        segment_bytes: segment.as_ref().map_or(32 * MIB, |got| got.value),
        commit_interval: section.or("commit_interval", &commit, Duration::from_millis(500), out),
        streams: streams(section.section("streams", out), quota_bytes, out),
        consumers: Vec::new(),
    };
    check_segment(&settings, segment.map(|got| got.spot).unwrap_or_else(|| section.spot_of("quota")), out);
    check_reserved(&settings, section.spot_of("quota"), out);
    section.finish(&[], out);
    settings
}

/// Default time to keep a stream (`domain.md` rules 98, 111, 32: points of major hazards 30 days, alarms and passages
/// 180 days) and its default reservation: a fixed size, less where the quota is small.
fn stream_default(stream: Stream, quota: u64) -> (Duration, u64) {
    match stream {
        Stream::Alarm | Stream::Passage => (180 * DAY, (64 * MIB).min(quota / 32)),
        Stream::Event | Stream::Registry | Stream::Report => (180 * DAY, (32 * MIB).min(quota / 64)),
        Stream::Telemetry => (30 * DAY, (64 * MIB).min(quota / 32)),
    }
}

fn streams(mut section: Section<'_>, quota: u64, out: &mut Findings) -> [buffer::StreamSettings; Stream::ALL.len()] {
    let all = Stream::ALL.map(|stream| {
        let (retention, reserved) = stream_default(stream, quota);
        let mut one = section.section(stream.as_str(), out);
        let retention = one.or("retention", &Span(Duration::from_secs(60), 3660 * DAY), retention, out);
        let reserved_bytes = one.or("reserved", &Size(0, 16 * 1024 * GIB), reserved, out);
        one.finish(&[], out);
        buffer::StreamSettings { retention, reserved_bytes }
    });
    section.finish(&[], out);
    all
}

fn check_reserved(store: &buffer::Settings, spot: Spot, out: &mut Findings) {
    let sum = store.streams.iter().fold(0_u64, |sum, s| sum.saturating_add(s.reserved_bytes));
    if sum > store.quota_bytes {
        let (sum, quota) = (show_size(sum), show_size(store.quota_bytes));
        let what = say!(
            "各流 reserved 合计 {sum}，大于 quota {quota}",
            "`reserved` of all streams is {sum}, more than the quota of {quota}"
        );
        let instead = say!(
            "请把 quota 增到 {sum} 以上，或减小 [store.streams.*] 的 reserved",
            "raise quota above {sum}, or lower `reserved` in [store.streams.*]"
        );
        out.error(spot, Wrong::new(what, instead));
    }
}

/// Space goes back by whole segments, so a quota of few segments is thrown away in large pieces.
fn check_segment(store: &buffer::Settings, spot: Spot, out: &mut Findings) {
    if store.segment_bytes.saturating_mul(4) > store.quota_bytes {
        let (segment, quota) = (show_size(store.segment_bytes), show_size(store.quota_bytes));
        let fitting = show_size((store.quota_bytes / 8).max(MIB) / MIB * MIB);
        let what = say!(
            "段 {segment} 超过 quota {quota} 的四分之一：空间按整段回收",
            "a segment of {segment} is more than a quarter of the quota of {quota}; space is freed by whole segments"
        );
        let instead =
            say!("请写 segment = \"{fitting}\"，或增大 quota", "write segment = \"{fitting}\", or raise quota");
        out.warn(spot, Wrong::new(what, instead));
    }
}

/// The mirror must survive the loss of the store, and neither may be swept with the other.
fn check_folders(store: &buffer::Settings, state_dir: &Path, spots: &[Spot; 3], out: &mut Findings) {
    let folders = [("dir", store.dir.as_path()), ("mirror_dir", &store.mirror_dir), ("state_dir", state_dir)];
    for (i, (key, path)) in folders.iter().enumerate() {
        for ((other, second), spot) in folders.iter().zip(spots).skip(i + 1) {
            if path.starts_with(second) || second.starts_with(path) {
                let what = say!(
                    "`{key}` 与 `{other}` 相同或互相包含",
                    "`{key}` and `{other}` are the same folder or one is in the other"
                );
                let instead = say!(
                    "请用并列的目录，例如 /var/lib/parkgate/store 与 /var/lib/parkgate/mirror",
                    "write folders side by side, e.g. /var/lib/parkgate/store and /var/lib/parkgate/mirror"
                );
                out.error(spot.clone(), Wrong::new(what, instead));
            }
        }
    }
}

fn web(mut section: Section<'_>, timezone: String, out: &mut Findings) -> web::Settings {
    let listen = section.read("listen", &Listen, out);
    if let Some(got) = listen.as_ref().filter(|got| !got.value.ip().is_loopback()) {
        warn_open(got, out);
    }
    let settings = web::Settings {
        listen: listen.map_or_else(|| ([127, 0, 0, 1], 8080).into(), |got| got.value),
        max_connections: section.or("max_connections", &Whole(1, 1000), 64, out).try_into().unwrap_or(64),
        header_timeout: section.or(
            "header_timeout",
            &Span(Duration::from_millis(100), Duration::from_secs(60)),
            Duration::from_secs(5),
            out,
        ),
        timezone,
    };
    section.finish(&[], out);
    settings
}

fn warn_open(listen: &Got<std::net::SocketAddr>, out: &mut Findings) {
    let ip = listen.value.ip();
    let what =
        say!("页面将监听 {ip}，网内任何人都能看到", "the page listens on {ip}: everyone on that network can see it");
    let instead = say!(
        "若非本意，请写 127.0.0.1；否则请用防火墙限制来源",
        "write 127.0.0.1 unless meant so; else limit the sources in the firewall"
    );
    out.warn(listen.spot.clone(), Wrong::new(what, instead));
}

/// Where the socket is, and which groups of the machine have which role.
fn control(root: &mut Section<'_>, state_dir: &Path, dir: &Path, out: &mut Findings) -> control::Settings {
    let mut settings = control::Settings::private(state_dir);
    let mut section = root.section("control", out);
    settings.socket = section.or("socket", &Located(dir), settings.socket, out);
    section.finish(&[], out);
    let mut roles = root.section("roles", out);
    for role in Role::ALL {
        if let Some(groups) = roles.read(role.as_str(), &Names, out) {
            settings.groups.insert(role, groups.value);
        }
    }
    roles.finish(&[], out);
    settings
}

/// A time zone that this machine knows; on a machine without any time zone data, one that looks like a name.
struct Zone;

impl Kind for Zone {
    type Out = String;

    fn read(&self, value: &toml::de::DeValue<'_>) -> Result<String, Wrong> {
        let text = Label(64).read(value)?;
        let known = jiff::tz::TimeZone::get(&text).is_ok() || jiff::tz::db().is_definitively_empty();
        known.then_some(text.clone()).ok_or_else(|| {
            let what = say!("未知的时区 `{text}`", "unknown time zone `{text}`");
            let instead = say!("请写 IANA 名称，例如 \"Asia/Shanghai\"", "write an IANA name, e.g. \"Asia/Shanghai\"");
            Wrong::new(what, instead)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::section::parse;
    use super::*;

    fn file(text: &str) -> (GatewayFile, Vec<String>) {
        let page = Page::new(Path::new("gateway.toml"), text);
        let mut out = Findings::default();
        let table = parse(&page, text, &mut out).unwrap();
        let file = read(&page, &table, Path::new("/etc/parkgate"), &mut out);
        (file, out.sorted(&[]).iter().map(|p| format!("{}: {}", p.at, p.what.en)).collect())
    }

    const ID: &str = "[gateway]\npark = \"p\"\nid = \"gw\"\n";

    #[test]
    fn park_and_id_are_enough() {
        let (file, problems) = file(ID);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(file.gateway.unwrap().name, "gw");
        assert_eq!(file.store.quota_bytes, 2 * GIB);
        assert_eq!(file.store.streams[Stream::Telemetry.rank()].reserved_bytes, 64 * MIB);
        assert!(file.web.listen.ip().is_loopback());
    }

    #[test]
    fn relative_folders_start_at_the_configuration_folder() {
        let (file, problems) = file(&format!("{ID}[store]\ndir = \"s\"\nmirror_dir = \"m\"\nstate_dir = \"t\"\n"));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(file.store.dir, Path::new("/etc/parkgate/s"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let text = format!(
            "{ID}timezone = \"Asia/Beijing\"\n[store]\nquota = \"100MiB\"\ndir = \"a\"\nmirror_dir = \"a/b\"\nsegment = \"65MiB\"\n\
             [store.streams.alarm]\nreserved = \"1GiB\"\n[store.streams.alrm]\n[web]\nlisten = \"localhost\"\n"
        );
        let (_, problems) = file(&text);
        assert_eq!(
            problems,
            [
                "gateway.toml:4:12: [gateway] timezone: unknown time zone `Asia/Beijing`",
                "gateway.toml:6:9: [store] quota: `reserved` of all streams is 1059776KiB, more than the quota of 100MiB",
                "gateway.toml:6:9: [store] quota: a segment of 32MiB is more than a quarter of the quota of 100MiB; space is freed by whole segments",
                "gateway.toml:8:14: [store] mirror_dir: `dir` and `mirror_dir` are the same folder or one is in the other",
                "gateway.toml:9:11: [store] segment: `65MiB` is not in 1MiB..=64MiB",
                "gateway.toml:12:16: [store.streams] alrm: unknown key `alrm`",
                "gateway.toml:14:10: [web] listen: `localhost` is not accepted",
            ]
        );
    }

    #[test]
    fn roles_are_lists_of_groups_and_their_names_are_known() {
        let (good, problems) = file(&format!("{ID}[control]\nsocket = \"c.sock\"\n[roles]\noperator = [\"ops\"]\n"));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(good.control.socket, Path::new("/etc/parkgate/c.sock"));
        assert_eq!(good.control.groups, [(Role::Operator, vec!["ops".to_owned()])].into());
        let (_, problems) = file(&format!("{ID}[roles]\noperators = [\"ops\"]\nguard = \"ops\"\nadmin = [\"a b\"]\n"));
        assert_eq!(
            problems,
            [
                "gateway.toml:5:1: [roles] operators: unknown key `operators`",
                "gateway.toml:6:9: [roles] guard: wrong type: this is a string",
                "gateway.toml:7:9: [roles] admin: `a b` is not accepted",
            ]
        );
    }

    #[test]
    fn an_open_page_is_remarked_not_refused() {
        let (_, problems) = file(&format!("{ID}[web]\nlisten = \"0.0.0.0:80\"\n"));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("everyone on that network"), "{problems:?}");
    }
}
