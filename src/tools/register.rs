//! `registry`: files of the register into the register, and what it holds.
//!
//! The files are read and checked as a whole ([`crate::config::roster`]), and become one change set: by the running gateway,
//! which they are sent to through its control socket, or, while none runs, here, with the same code. Offline it holds the locks
//! of the store and of the register, so that no gateway begins meanwhile. What is shown or exported comes the same two ways.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::Flock;
use nix::unistd::geteuid;
use serde_json::Value;

use super::gateway::{self, AskError};
use super::table::{self, Form, say};
use crate::clock::Clock;
use crate::config::roster::{self, Fitted, Roster};
use crate::config::{self, Config};
use crate::control::ask::{ImportedLine, SentFile};
use crate::control::{Ask, Line};
use crate::domain::actor::{Actor, Via};
use crate::domain::gate::register::look::{Look, TableView};
use crate::domain::gate::register::row::Table;
use crate::state::register::RegisterStore;
use crate::sys::{disk, users};

/// `registry`.
#[derive(Debug, clap::Subcommand)]
pub enum RegisterCommand {
    /// 导入登记表（企业、人员、车辆、名单、预约）/ import tables: companies, persons, vehicles, lists, permits
    ///
    /// CSV as Excel saves it, UTF-8 or GB18030, headers Chinese or English. Every refused row is named with line, column and
    /// what to write instead; then nothing is imported, unless --partial. The running gateway takes them at once, for who has
    /// the role admin in gateway.toml; while none runs, the gateway's user imports.
    Import(ImportArgs),
    /// 查看登记册：各表行数、版本；或一行及其变更 / how its tables stand, or one row with who changed it
    ///
    /// Persons by reference: names and numbers are not shown. From the running gateway; while none runs, its user looks.
    Show(ShowArgs),
    /// 导出一张表，每行一个 JSON / a whole table, a JSON object a line
    ///
    /// As it is held: persons by reference, cards by digest. Needs the role auditor, supervisor or admin; that it was exported is
    /// in the audit.
    Export(ExportArgs),
    /// 打印空白表，供 Excel 填写 / print an empty table, to be filled in with Excel
    Template {
        /// companies, persons, vehicles, lists 或 permits / which table
        #[arg(value_name = "TABLE", value_parser = table)]
        table: Table,
    },
}

/// `registry import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// 配置目录 / folder of the configuration
    #[arg(long, value_name = "DIR", default_value = "/etc/parkgate")]
    pub config: PathBuf,
    /// CSV 文件 / CSV files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// 表的种类；不写则按表头判断 / what the files hold; judged by their headers where absent
    #[arg(long = "as", value_name = "TABLE", value_parser = table)]
    table: Option<Table>,
    /// 只检查，不导入 / check only, import nothing
    #[arg(long)]
    dry_run: bool,
    /// 拒绝的行除外，其余导入 / import the good rows although others are refused
    #[arg(long)]
    partial: bool,
}

/// `registry show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// 配置目录 / folder of the configuration
    #[arg(long, value_name = "DIR", default_value = "/etc/parkgate")]
    pub config: PathBuf,
    /// companies, persons, vehicles, lists 或 permits / which table
    #[arg(value_name = "TABLE", value_parser = table, requires = "id")]
    table: Option<Table>,
    /// 编号、车牌、信用代码 / number, plate, USCC
    #[arg(value_name = "ID")]
    id: Option<String>,
}

impl ShowArgs {
    /// Returns what is looked at.
    pub fn look(&self) -> Look {
        match (self.table, &self.id) {
            (Some(table), Some(id)) => Look::Row { table, id: id.clone() },
            _ => Look::Tables,
        }
    }
}

/// `registry export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// 配置目录 / folder of the configuration
    #[arg(long, value_name = "DIR", default_value = "/etc/parkgate")]
    pub config: PathBuf,
    /// companies, persons, vehicles, lists 或 permits / which table
    #[arg(value_name = "TABLE", value_parser = table)]
    table: Table,
}

impl ExportArgs {
    /// Returns what is looked at.
    pub fn look(&self) -> Look {
        Look::Rows { table: self.table }
    }
}

fn table(word: &str) -> Result<Table, String> {
    let all = || Table::ALL.iter().map(|table| table.as_str()).collect::<Vec<_>>().join(", ");
    Table::from_name(word).ok_or_else(|| format!("one of {}", all()))
}

/// Time for the gateway to take files: the largest table is read, checked and stored in seconds, on a slow disk in some more.
const IMPORT_WITHIN: Duration = Duration::from_secs(180);

/// Time for the gateway to tell what it holds beyond the usual: a large table is a hundred thousand lines.
const LOOK_WITHIN: Duration = Duration::from_secs(60);

/// Prints an empty table.
pub fn template(table: Table) {
    say(roster::template(table).trim_end());
}

/// Imports through the running gateway; `None` where none runs with this folder.
///
/// # Errors
/// In words: a file cannot be read, rows were refused, the gateway refused.
pub fn import_running(args: &ImportArgs) -> Option<Result<(), String>> {
    let socket = config::socket_of(&args.config)?;
    if !socket.exists() {
        return None;
    }
    let (mut sent, mut bytes) = (Vec::new(), Vec::new());
    for path in &args.files {
        let one = match roster::read_file(path) {
            Ok(one) => one,
            Err(error) => return Some(Err(format!("{}: {error}", path.display()))),
        };
        sent.push(SentFile { name: path.display().to_string(), bytes: one.len() as u64 });
        bytes.extend(one);
    }
    let ImportArgs { table, dry_run, partial, .. } = *args;
    let request = Ask::Import { files: sent, table, dry_run, partial };
    let mut line = None;
    let done = gateway::ask_with(&socket, &request, &bytes, IMPORT_WITHIN, |answer| {
        if let Line::Imported(imported) = answer {
            line = Some(*imported);
        }
        true
    });
    match done {
        Err(AskError::NotRunning(_)) => None,
        Err(error) => Some(Err(error.to_string())),
        Ok(()) => {
            Some(line.ok_or_else(|| "没有结果 / there is no result".to_owned()).and_then(|line| told(&line, args)))
        }
    }
}

/// Prints what the gateway made of the files.
fn told(line: &ImportedLine, args: &ImportArgs) -> Result<(), String> {
    let ImportedLine { told, rows, taken, added, changed, rev } = line;
    tell(told, *rows, *taken);
    match rev {
        Some(rev) => did(*added, *changed, *rev),
        None if taken < rows && !args.partial => return Err(NOTHING.to_owned()),
        None if args.dry_run => would(*added, *changed),
        None => say("登记册已是如此，没有改动 / the register says so already: nothing changed"),
    }
    Ok(())
}

/// Shows what the running gateway holds; `None` where none runs with this folder.
///
/// # Errors
/// In words: the gateway refused.
pub fn look_running(dir: &Path, look: &Look) -> Option<Result<(), String>> {
    let socket = config::socket_of(dir).filter(|socket| socket.exists())?;
    let (request, mut n) = (Ask::Register { look: look.clone() }, 0);
    let done = gateway::ask(&socket, &request, LOOK_WITHIN, |line| {
        if let Line::Told(value) = line {
            n += 1;
            show(look, &value);
        }
        true
    });
    match done {
        Err(AskError::NotRunning(_)) => None,
        Err(error) => Some(Err(error.to_string())),
        Ok(()) => Some(found(look, n)),
    }
}

/// Shows what the folder of a stopped gateway holds. Blocking.
///
/// # Errors
/// In words: the gateway runs, the disk refuses, there is no such row.
pub fn look(config: &Config, look: &Look) -> Result<(), String> {
    owned_by_caller(&config.state_dir)?;
    let _stays = no_gateway(&config.store.dir)?;
    let dir = config.state_dir.join("register");
    if !dir.exists() {
        return Err("还没有登记册，请先导入 / there is no register yet: import one".to_owned());
    }
    let store = RegisterStore::open(&dir).map_err(crate::cli::chain)?;
    let mut n = 0;
    for line in store.look(look).map_err(crate::cli::chain)?.lines() {
        n += 1;
        show(look, &line?);
    }
    found(look, n)
}

fn show(look: &Look, value: &Value) {
    match look {
        Look::Tables => tables(value).print(Form::Table),
        Look::Row { .. } => say(&serde_json::to_string_pretty(value).unwrap_or_default()),
        Look::Permits { .. } | Look::Rows { .. } => say(&value.to_string()),
    }
}

fn found(look: &Look, n: usize) -> Result<(), String> {
    match look {
        Look::Row { id, .. } if n == 0 => Err(format!("没有 {id} / there is no {id}")),
        Look::Row { .. } | Look::Tables | Look::Permits { .. } | Look::Rows { .. } => Ok(()),
    }
}

fn tables(value: &Value) -> table::Table {
    let mut shown = table::Table::new(["表 table", "行 rows", "平台版本 version", "截至 as of", "状态 state"]);
    let views =
        value.pointer("/tables").cloned().and_then(|views| serde_json::from_value::<Vec<TableView>>(views).ok());
    for TableView { table, rows, version, as_of, damaged } in views.into_iter().flatten() {
        shown.row([
            format!("{} {table}", table.zh()),
            rows.to_string(),
            version.map(|version| version.to_string()).unwrap_or_default(),
            as_of.map(|at| at.to_string()).unwrap_or_default(),
            if damaged { "有行丢失 damaged".to_owned() } else { String::new() },
        ]);
    }
    shown
}

/// Imports while no gateway runs. Must be called inside a tokio runtime (for its clock); blocking.
///
/// # Errors
/// In words: rows were refused, the gateway runs, the disk refuses.
pub fn import(config: &Config, args: &ImportArgs) -> Result<(), String> {
    let now = Clock::system().now();
    let rules = config.register_rules(now.wall);
    let mut read = roster::read_files(&args.files, args.table, &rules);
    owned_by_caller(&config.state_dir)?;
    let _stays = no_gateway(&config.store.dir)?;
    let mut store = RegisterStore::open(&config.state_dir.join("register")).map_err(crate::cli::chain)?;
    let fitted = fit(&mut read, &store)?;
    tell(&read.told(), read.n_rows, fitted.n_taken);
    if read.is_refused() && !args.partial {
        return Err(NOTHING.to_owned());
    }
    let Fitted { set, private, .. } = fitted;
    let prepared = store.register().prepare(set, &now).map_err(|refusal| refusal.words().to_string())?;
    let (added, changed, _) = prepared.counts();
    if args.dry_run {
        would(added, changed);
        return Ok(());
    }
    store.apply(&prepared, private).map_err(crate::cli::chain)?;
    did(added, changed, prepared.rev);
    Ok(())
}

fn fit(read: &mut Roster, store: &RegisterStore) -> Result<Fitted, String> {
    let vault = store.persons();
    let by = Actor { name: users::look_up(geteuid().as_raw()).name, via: Via::Machine, roles: Default::default() };
    let (register, key) = (store.register(), vault.look_up_key());
    vault.with_refs(|make_ref| roster::fit(read, register, &key, make_ref, by)).map_err(crate::cli::chain)
}

/// Problems go to standard error, the sum to standard output.
fn tell(told: &str, rows: usize, taken: usize) {
    eprint!("{told}");
    let refused = rows.saturating_sub(taken);
    say(&format!("共 {rows} 行：可导入 {taken}，拒绝 {refused} / {rows} rows: {taken} good, {refused} refused"));
}

const NOTHING: &str = "有行被拒绝，未导入任何内容；改正后重试，或加 --partial / rows were refused, nothing was imported; \
                       correct them, or add --partial";

fn would(added: usize, changed: usize) {
    say(&format!("检查通过，将新增 {added}，修改 {changed} / good: {added} would be added, {changed} changed"));
}

fn did(added: usize, changed: usize, rev: u64) {
    say(&format!(
        "已导入：新增 {added}，修改 {changed}，登记册第 {rev} 版 / imported: {added} added, {changed} changed, revision {rev}"
    ));
}

/// Takes the lock of the store, as a gateway would; where there is no store yet, no gateway has run.
fn no_gateway(store: &Path) -> Result<Option<Flock<File>>, String> {
    let lock = store.join("lock");
    if !lock.exists() {
        return Ok(None);
    }
    match disk::lock_exclusive(&lock) {
        Ok(Some(held)) => Ok(Some(held)),
        Ok(None) => {
            Err("网关正在运行，请先停止：systemctl stop parkgate / the gateway is running; stop it first".into())
        }
        Err(error) => Err(format!("{}: {error}", lock.display())),
    }
}

/// Files of another user than the gateway's could not be opened by it afterwards.
fn owned_by_caller(dir: &Path) -> Result<(), String> {
    // What is not there yet is made by the caller, in a folder that is.
    let Some(meta) = dir.ancestors().find_map(|dir| std::fs::metadata(dir).ok()) else { return Ok(()) };
    if meta.uid() == geteuid().as_raw() {
        return Ok(());
    }
    let name = users::look_up(meta.uid()).name;
    Err(format!("请以 {name} 运行：sudo -u {name} parkgate registry import … / run it as {name}"))
}
