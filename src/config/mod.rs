//! The configuration: a folder of a few files, read and checked as a whole; every problem at once, each with its place
//! and what to write instead.
//!
//! | file | what | needed |
//! |---|---|---|
//! | `gateway.toml` | `[gateway]` who this is, `[store]` what it keeps, `[web]` its page, `[control]` its control socket, `[roles]` who may do what | yes |
//! | `devices.toml` | `[classes]` poll intervals, `[defaults]`, `[[bus]]`, `[[device]]` | yes |
//! | `points.csv` | the point table (点表): UTF-8 with or without BOM, UTF-16, GB18030; comma, semicolon or tab | unless every device has a profile |
//! | `derived.toml` | points computed from others: sums, rates, votes | no |
//! | `alarms.toml` | alarms beyond the limits of the table, who is told, hazard sources, units | no |
//! | `templates/*.toml` | the site's own templates of units, beside the shipped ones | no |
//! | `profiles/*.toml` | the site's own instrument profiles (仪表模板), beside the shipped ones | no |
//! | `site.toml` | zones, lanes, signals, fire linkage: the state of the site (应急状态) | no |
//! | `duty.toml` | the daily report, shifts and roster, duty checks, hidden hazards, accidents | no |
//! | `policies/` | the site's own policies of the gates, `parameters.toml`, decision tables | no folder, the shipped set |
//! | `hazmat.toml` | dangerous goods: checks, parking, dispatch, stay, weights, the map | no |
//! | `outputs.toml` | what may be written (`[[output]]`) | no file, no output |
//! | `oel.csv` | occupational exposure limits, over the shipped ones | no |
//! | `uplink.toml` | `[mqtt]` the way to the platform | no file, no uplink |
//!
//! The annotated files in the repository's `config/` are the documentation: every key with unit, range, default and
//! consequence. Relative paths start at the folder.
//!
//! ```text
//! bytes ──▶ text ──▶ Section / Sheet ──▶ profiles ──▶ gateway, devices, uplink, points ──▶ join ──▶ disk ──▶ Config
//!           (text)   (section, sheet)                 (value, cell, address)              (join)   (disk)
//!                           └──────────────── Findings ◀───────────────────────┘        │
//!                                                 └──▶ Problems or warnings ◀───────────┘
//! ```
//!
//! A file that is not TOML hides only its own mistakes: points are still checked, but nothing is said about devices that
//! could not be read. Only `folder.rs`, `watch.rs`, [`load`] and the secret files of `uplink.rs` touch the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::buffer::settings as buffer;
use crate::control::settings as control;
use crate::domain::daybook::rules::Rules;
use crate::domain::gate::hazmat::rules::Rules as HazmatRules;
use crate::domain::id::PointUid;
use crate::domain::registry::{Commissioning, DeviceSpec};
use crate::domain::site::SiteBook;
use crate::field::settings::Source;
use crate::output::settings::Output;
use crate::policy::settings::Sources;
use crate::uplink::settings as uplink;
use crate::web::settings as web;

mod address;
mod agree;
pub mod alarms;
mod buses;
mod cell;
mod derived;
mod devices;
pub mod disk;
mod duty;
mod folder;
pub mod gates;
mod gateway;
mod hazmat;
mod hazmat_map;
mod instrument;
mod interlock;
mod join;
mod opcua;
mod outputs_file;
mod points;
pub mod policies;
pub mod problem;
pub mod profiles;
pub mod roster;
mod section;
mod sheet;
mod site;
mod site_inputs;
mod text;
mod uplink_file;
mod value;
pub mod watch;
pub mod zones;

pub use disk::{DiskNeed, disk_need};
pub use problem::{Problem, Problems, Severity, report};

use problem::{Findings, Spot, Wrong, say};

/// The files of the folder, in the order in which their problems are told.
pub const FILES: [&str; 12] =
    [GATEWAY, DEVICES, UPLINK, OUTPUTS, POINTS, DERIVED, ALARMS, OEL, SITE, GATES, DUTY, HAZMAT];

const GATEWAY: &str = "gateway.toml";
const DEVICES: &str = "devices.toml";
const DERIVED: &str = "derived.toml";
const ALARMS: &str = alarms::file::FILE;
const OEL: &str = alarms::oel::FILE;
const DUTY: &str = "duty.toml";
const HAZMAT: &str = "hazmat.toml";
const OUTPUTS: &str = "outputs.toml";
const SITE: &str = "site.toml";
const GATES: &str = "gates.toml";
const UPLINK: &str = "uplink.toml";
const POINTS: &str = "points.csv";

/// A configuration that may be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who this gateway is.
    pub gateway: Gateway,
    /// Folder of the domain's memory.
    pub state_dir: PathBuf,
    /// The store; its consumers are `platform` where there is an uplink, else none.
    pub store: buffer::Settings,
    /// Share of readings expected to leave the deadband; for [`disk_need`] only.
    pub expected_change: f64,
    /// The uplink, where there is one.
    pub uplink: Option<uplink::Settings>,
    /// The page.
    pub web: web::Settings,
    /// The control socket, and who may do what by it.
    pub control: control::Settings,
    /// Devices in file order.
    pub devices: Vec<Source>,
    /// The same devices for the registry, same order, same points.
    pub specs: Vec<Arc<DeviceSpec>>,
    /// What devices became by their profiles, in file order.
    pub profiles: Vec<profiles::Became>,
    /// What may be written, in file order; empty without the file.
    pub outputs: Vec<Arc<Output>>,
    /// The state of the site: zones, lanes, fire linkage; one zone, the park, without the file.
    pub site: SiteBook,
    /// Its zones as the account of who is inside has them; the park alone without the file.
    pub zones: zones::Zones,
    /// Gates, what each lane is made of, and the hardware at it; empty without the file.
    pub gates: gates::Gates,
    /// What is alarmed, who is told and how, and what should be rationalised.
    pub alarms: alarms::Alarms,
    /// Reports, duty, hidden hazards; the defaults without the file.
    pub duty: Arc<Rules>,
    /// The site's policies of the gates and their parameters; whether they are good [`crate::policy::PolicyBook`] says.
    pub policies: Sources,
    /// Dangerous goods; the defaults without the file: no parking, no map.
    pub hazmat: Arc<HazmatRules>,
    /// Every file read: the folder's own, profiles, secrets and certificates.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// Returns the folder of OPC UA certificates.
    pub fn pki_dir(&self) -> PathBuf {
        self.state_dir.join("pki")
    }
}

/// Who this gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Park id, `[a-z0-9-]{1,32}`.
    pub park: String,
    /// Logical gateway id, `[a-z0-9-]{1,32}`; outlives the hardware.
    pub id: String,
    /// Name as people say it.
    pub name: String,
    /// IANA name of the park's time zone.
    pub timezone: String,
}

/// A configuration and what a person should look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings, by file and line.
    pub warnings: Vec<Problem>,
}

/// Loads and checks the folder. Blocking; reads at most the files of [`FILES`], the secrets they name, and the size of the disk.
///
/// # Errors
/// All problems, warnings among them, by file and line, when at least one of them is an error.
pub fn load(dir: &Path) -> Result<Loaded, Problems> {
    load_in_service(dir, &Service::new())
}

/// What people have changed at run time against the point table: commissioning by the identity of the point.
pub type Service = BTreeMap<PointUid, Commissioning>;

/// The same, with the commissioning of points as it was changed at run time: registry and alarms follow it, while the site
/// keeps what the file says, by which the change is weighed. A point that the folder no longer has is passed over.
///
/// # Errors
/// As [`load`].
pub fn load_in_service(dir: &Path, service: &Service) -> Result<Loaded, Problems> {
    let mut out = Findings::default();
    let files = folder_files(dir);
    if !dir.is_dir() {
        let path = dir.display();
        let what = say!("没有配置目录 `{path}`", "there is no configuration folder `{path}`");
        let instead = say!(
            "请写含 {GATEWAY}、{DEVICES} 和 {POINTS} 的目录",
            "name a folder with {GATEWAY}, {DEVICES} and {POINTS}"
        );
        out.error(Spot::file(dir), Wrong::new(what, instead));
        return Err(Problems(out.sorted(&files)));
    }
    let config = read(dir, service, &mut out);
    if let Some(config) = &config {
        check_disk(config, &mut out);
    }
    match (out.errors(), config) {
        (0, Some(config)) => Ok(Loaded { config: config.config, warnings: out.sorted(&files) }),
        _ => Err(Problems(out.sorted(&files))),
    }
}

fn folder_files(dir: &Path) -> Vec<PathBuf> {
    FILES.iter().map(|name| dir.join(name)).collect()
}

/// The shipped table, and over it the folder's own, where there is one.
fn oel_file(path: &Path, files: &mut Vec<PathBuf>, out: &mut Findings) -> alarms::oel::Oel {
    let own = text_file(path, false, out, text::decode);
    if own.is_some() {
        files.push(path.to_owned());
    }
    alarms::oel::Oel::read(own.as_deref().map(|text| (path, text)), out)
}

/// Returns where the control socket of the gateway of this folder is, as far as the folder can be read: a command of an
/// operator must not fail because something else in the configuration is wrong. `None` when `gateway.toml` cannot be read.
pub fn socket_of(dir: &Path) -> Option<PathBuf> {
    let bytes = folder::read_bounded(&dir.join(GATEWAY)).ok()?;
    let file: toml::Table = text::decode_utf8(&bytes).ok()?.parse().ok()?;
    let text = |section: &str, key: &str| file.get(section)?.get(key)?.as_str();
    let state_dir = || dir.join(text("store", "state_dir").unwrap_or(gateway::STATE_DIR));
    let socket = text("control", "socket").map(|socket| dir.join(socket));
    Some(socket.unwrap_or_else(|| control::Settings::private(&state_dir()).socket))
}

/// A configuration with the place of its quota, against which the disk is checked.
struct Whole {
    config: Config,
    quota_spot: Spot,
}

fn read(dir: &Path, service: &Service, out: &mut Findings) -> Option<Whole> {
    let gateway = toml_file(&dir.join(GATEWAY), true, out, |page, table, out| gateway::read(page, table, dir, out));
    let texts = profiles::texts(dir, out);
    let library = profiles::Library::read(&texts, out);
    let devices =
        toml_file(&dir.join(DEVICES), true, out, |page, table, out| devices::read(page, table, &library, out));
    let who = gateway.as_ref().and_then(|file| file.gateway.as_ref());
    let uplink =
        toml_file(&dir.join(UPLINK), false, out, |page, table, out| uplink_file::read(page, table, dir, who, out));
    let uplink = uplink.flatten();
    let allow_list = |page: &section::Page<'_>, table: &toml::Spanned<toml::de::DeTable<'_>>, out: &mut Findings| {
        outputs_file::read(page, table, devices.as_ref(), out)
    };
    let outputs = toml_file(&dir.join(OUTPUTS), false, out, allow_list);
    let points = points_file(&dir.join(POINTS), devices.as_ref(), out);
    let (mut gateway, devices) = (gateway?, devices?);
    let profiles = join::became(&devices);
    let named = devices.files.clone();
    let join::Joined { sources: mut devices, mut specs, limits } =
        join::join(devices, points?, outputs.as_deref().unwrap_or_default(), out);
    let derived = toml_file(&dir.join(DERIVED), false, out, derived::read);
    let mut files: Vec<_> = [GATEWAY, DEVICES, POINTS].iter().map(|name| dir.join(name)).collect();
    files.extend(profiles::files(dir, &texts));
    if let Some(rows) = derived {
        files.push(dir.join(DERIVED));
        derived::join(rows, &mut devices, &mut specs, out);
    }
    if outputs.is_some() {
        files.push(dir.join(OUTPUTS));
    }
    let listed = outputs.as_deref().unwrap_or_default();
    let around = site::Around { specs: &specs, outputs: listed, whole: out.errors() == 0 };
    let (site, named_zones, zones) = site_file(dir.join(SITE), &around, &mut files, out);
    let (hazmat, dispatch) = hazmat_file(dir.join(HAZMAT), named_zones.as_ref(), &mut files, out);
    let around = (gateway.gateway.as_ref(), &site, key_issuers(uplink.as_ref(), dir));
    let gates = gates_file((dir, &gateway.state_dir, gateway.web.listen), around, &mut files, out);
    let specs = in_service(specs, service);
    let oel = oel_file(&dir.join(OEL), &mut files, out);
    let alarms = alarms_file(dir, outputs.as_deref(), &mut files, out);
    let sources = alarms::Sources {
        dir,
        specs: &specs,
        cells: &limits,
        oel,
        zones: named_zones.as_ref(),
        devices: &devices,
        files: &folder_files(dir),
    };
    let (alarms, templates) = alarms::build(alarms, sources, out);
    files.extend(templates);
    let specs = alarms::told(specs, &alarms.book, &limits);
    let duty = duty_file(dir, &alarms, &mut files, out);
    let policies = policies_file(dir, (&zones, &hazmat, dispatch), &gates, &mut files, out);
    files.extend(named);
    if let Some(uplink) = &uplink {
        gateway.store.consumers.push("platform".into());
        files.push(dir.join(UPLINK));
        files.extend(uplink.files.iter().cloned());
    }
    let config = Config {
        gateway: gateway.gateway?,
        state_dir: gateway.state_dir,
        store: gateway.store,
        expected_change: gateway.expected_change,
        uplink: uplink.map(|u| u.settings),
        web: gateway.web,
        control: gateway.control,
        devices,
        specs,
        profiles,
        outputs: outputs.unwrap_or_default(),
        site,
        zones,
        gates,
        alarms,
        duty: Arc::new(duty),
        policies,
        hazmat: Arc::new(hazmat),
        files,
    };
    Some(Whole { config, quota_spot: gateway.quota_spot })
}

/// The site, and the zones that its file names (`None` without a file, or with one that cannot be read), and those of the
/// account.
fn site_file(
    path: PathBuf,
    around: &site::Around<'_>,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> (SiteBook, Option<BTreeSet<String>>, zones::Zones) {
    let read = toml_file(&path, false, out, |page, table, out| site::read(page, table, around, out));
    let Some((site, account)) = read else {
        return (around.bare(), None, zones::bare());
    };
    files.push(path);
    let zones = site.zones.iter().map(|zone| zone.id.clone()).collect();
    (site, Some(zones), account)
}

/// Whose commands the platform's keys prove; `None` where the file that says so is wrong.
fn key_issuers<'a>(uplink: Option<&'a uplink_file::Uplink>, dir: &Path) -> Option<BTreeSet<&'a str>> {
    let keys = uplink.into_iter().flat_map(|uplink| &uplink.settings.command_keys);
    (uplink.is_some() || !dir.join(UPLINK).exists()).then(|| keys.map(|key| key.issuer.as_str()).collect())
}

fn gates_file(
    (dir, state_dir, page): (&Path, &Path, SocketAddr),
    (gateway, site, issuers): (Option<&Gateway>, &SiteBook, Option<BTreeSet<&str>>),
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> gates::Gates {
    let path = dir.join(GATES);
    let around = gates::Around { dir, page, gateway, state_dir, site, issuers };
    let gates = toml_file(&path, false, out, |page, table, out| gates::read(page, table, &around, out));
    files.extend(gates.is_some().then_some(path));
    let gates = gates.unwrap_or_default();
    files.extend(gates.files.iter().cloned());
    gates
}

/// The registry as people have changed it.
fn in_service(specs: Vec<Arc<DeviceSpec>>, service: &Service) -> Vec<Arc<DeviceSpec>> {
    let changed = |spec: Arc<DeviceSpec>| {
        if !spec.points.iter().any(|point| service.contains_key(&point.uid)) {
            return spec;
        }
        let mut device = (*spec).clone();
        for point in &mut device.points {
            point.commissioning = service.get(&point.uid).copied().unwrap_or(point.commissioning);
        }
        Arc::new(device)
    };
    specs.into_iter().map(changed).collect()
}

fn alarms_file(
    dir: &Path,
    outputs: Option<&[Arc<Output>]>,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Option<alarms::file::AlarmsFile> {
    let path = dir.join(ALARMS);
    let file = toml_file(&path, false, out, |page, table, out| alarms::file::read(page, table, outputs, out));
    files.extend(file.iter().flat_map(|file| file.secrets.iter().cloned()));
    files.extend(file.is_some().then_some(path));
    files.push(dir.join(alarms::templates_folder()));
    file
}

/// The site's policies; what their parameters say of zones is held against the files that name those.
fn policies_file(
    dir: &Path,
    (zones, hazmat, dispatch): (&zones::Zones, &HazmatRules, Spot),
    gates: &gates::Gates,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Sources {
    let (policies, (dispatch_classes, parking_classes)) = policies::read(dir, files, out);
    let compared = agree::Files { zones, hazmat, parameters: &policies.parameters, lanes: &gates.lanes };
    agree::check(&compared, &agree::Places { dispatch, dispatch_classes, parking_classes }, out);
    policies
}

fn duty_file(dir: &Path, alarms: &alarms::Alarms, files: &mut Vec<PathBuf>, out: &mut Findings) -> Rules {
    let path = dir.join(DUTY);
    let channels: Vec<String> = alarms.channels.iter().map(|channel| channel.id.to_string()).collect();
    let rules = toml_file(&path, false, out, |page, table, out| duty::read(page, table, &channels, out));
    files.extend(rules.is_some().then_some(path));
    let rules = rules.unwrap_or_default();
    alarms::reach::check(alarms, &rules, &dir.join(ALARMS), out);
    rules
}

fn hazmat_file(
    path: PathBuf,
    zones: Option<&BTreeSet<String>>,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> (HazmatRules, Spot) {
    let rules = toml_file(&path, false, out, |page, table, out| hazmat::read(page, table, zones, out));
    let file = Spot::file(&path);
    files.extend(rules.is_some().then_some(path));
    rules.unwrap_or_else(|| (HazmatRules::default(), file))
}

fn toml_file<T>(
    path: &Path,
    needed: bool,
    out: &mut Findings,
    read: impl FnOnce(&section::Page<'_>, &toml::Spanned<toml::de::DeTable<'_>>, &mut Findings) -> T,
) -> Option<T> {
    let text = text_file(path, needed, out, text::decode_utf8)?;
    let page = section::Page::new(path, &text);
    let table = section::parse(&page, &text, out)?;
    Some(read(&page, &table, out))
}

fn points_file(
    path: &Path,
    devices: Option<&devices::DevicesFile>,
    out: &mut Findings,
) -> Option<Vec<points::PointRow>> {
    let made = devices.map(join::made).unwrap_or_default();
    let needed = devices.is_none_or(|file| file.devices.iter().any(|row| row.profile.is_none()));
    if !needed && !path.exists() {
        return Some(points::read(None, made, &devices.map(join::known).unwrap_or_default(), out));
    }
    let text = text_file(path, true, out, text::decode)?;
    let sheet = sheet::Sheet::read(path, &text, out)?;
    let known = devices.map(join::known).unwrap_or_default();
    Some(points::read(Some(&sheet), made, &known, out))
}

fn text_file(
    path: &Path,
    needed: bool,
    out: &mut Findings,
    decode: impl FnOnce(&[u8]) -> Result<String, u32>,
) -> Option<String> {
    let bytes = match folder::read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !needed => return None,
        Err(error) => {
            let what = say!("无法读取：{error}", "cannot be read: {error}");
            let instead = say!(
                "请放入此文件（样例在源码的 config/ 目录）并检查权限",
                "put the file there (an example is in config/ of the source) and check its rights"
            );
            out.error(Spot::file(path), Wrong::new(what, instead));
            return None;
        }
    };
    let wrong = |line| {
        let what = say!("不是可识别的文字编码", "not in a known text encoding");
        let instead = match path.extension().is_some_and(|e| e == "toml") {
            true => say!("请用 UTF-8 保存此文件", "save the file as UTF-8"),
            false => say!(
                "请在 Excel 中另存为“CSV UTF-8（逗号分隔）”",
                "save it in Excel as \"CSV UTF-8 (Comma delimited)\""
            ),
        };
        (Spot { line: Some(line), ..Spot::file(path) }, Wrong::new(what, instead))
    };
    decode(&bytes).map_err(wrong).map_err(|(spot, wrong)| out.error(spot, wrong)).ok()
}

/// What cannot fit is refused here, not found out after weeks by records that are gone.
fn check_disk(whole: &Whole, out: &mut Findings) {
    let need = disk_need(&whole.config);
    let (have, quota) = (disk::Bytes(need.need), disk::Bytes(need.quota));
    if !need.fits() {
        let stored = need.stored_per_second.ceil();
        let raise = need.fitting_quota();
        let (zh, en) = need.fitting_retention().map_or_else(Default::default, |keep| {
            (
                format!("，或 [store.streams.telemetry] retention = \"{keep}\""),
                format!(", or [store.streams.telemetry] retention = \"{keep}\""),
            )
        });
        let what = say!(
            "约需 {have}（每秒存 {stored} 个值），超过 quota {quota}",
            "about {have} are needed ({stored} values/s stored), more than the quota of {quota}"
        );
        let instead = say!(
            "请写 quota = \"{raise}\"{zh}，或加大死区、放慢轮询类",
            "write quota = \"{raise}\"{en}, or wider deadbands, or slower classes"
        );
        out.error(whole.quota_spot.clone(), Wrong::new(what, instead));
    }
    if let Some(disk) = folder::disk(&whole.config.store.dir) {
        check_room(whole, disk, out);
    }
}

/// A quota larger than the disk can never hold; one larger than what is free now may be cured by clearing up, and must
/// not keep a gateway from starting.
#[expect(clippy::cast_precision_loss, reason = "for display only")]
fn check_room(whole: &Whole, disk: folder::Disk, out: &mut Findings) {
    let store = &whole.config.store;
    let wanted = store.quota_bytes.saturating_add(store.ballast_bytes);
    let (sum, path) = (disk::Bytes(wanted as f64), store.dir.display());
    if wanted > disk.total {
        let total = disk::Bytes(disk.total as f64);
        let what = say!(
            "quota 与 ballast 共 {sum}，而 `{path}` 所在磁盘只有 {total}",
            "quota and ballast are {sum}, but the disk of `{path}` has only {total}"
        );
        let instead = say!("请减小 quota，或把 dir 放到更大的磁盘", "lower quota, or put dir on a larger disk");
        out.error(whole.quota_spot.clone(), Wrong::new(what, instead));
    } else if wanted > disk.usable {
        let usable = disk::Bytes(disk.usable as f64);
        let what = say!(
            "quota 与 ballast 共 {sum}，而 `{path}` 所在磁盘只余 {usable}",
            "quota and ballast are {sum}, but on the disk of `{path}` only {usable} are free"
        );
        let instead = say!("请清理磁盘，或减小 quota", "free some space, or lower quota");
        out.warn(whole.quota_spot.clone(), Wrong::new(what, instead));
    }
}
