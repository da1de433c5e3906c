//! `registry import`: files of the register into the register, while no gateway runs.
//!
//! The files are read and checked as a whole ([`crate::config::roster`]), and become one change set; a gateway that is sent the
//! same files will do the same with the same code. Offline it holds the locks of the store and of the register, so that no
//! gateway begins meanwhile.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use nix::unistd::geteuid;

use super::table::say;
use crate::clock::Clock;
use crate::config::roster::{self, Fitted, Roster};
use crate::config::{Config, report};
use crate::domain::actor::{Actor, Via};
use crate::domain::gate::register::row::Table;
use crate::domain::gate::word::PersonRef;
use crate::state::register::RegisterStore;
use crate::sys::{disk, users};

/// `registry`.
#[derive(Debug, clap::Subcommand)]
pub enum RegisterCommand {
    /// 导入登记表（企业、人员、车辆、名单、预约）/ import tables: companies, persons, vehicles, lists, permits
    ///
    /// CSV as Excel saves it, UTF-8 or GB18030, headers Chinese or English. Every refused row is named with line, column and
    /// what to write instead; then nothing is imported, unless --partial. The gateway must not be running.
    Import(ImportArgs),
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

fn table(word: &str) -> Result<Table, String> {
    let all = || Table::ALL.iter().map(|table| table.as_str()).collect::<Vec<_>>().join(", ");
    Table::from_name(word).ok_or_else(|| format!("one of {}", all()))
}

/// Prints an empty table.
pub fn template(table: Table) {
    say(roster::template(table).trim_end());
}

/// Imports. Must be called inside a tokio runtime (for its clock); blocking.
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
    tell(&read, &fitted);
    if read.is_refused() && !args.partial {
        return Err(
            "有行被拒绝，未导入任何内容；改正后重试，或加 --partial / rows were refused, nothing was imported; \
                    correct them, or add --partial"
                .into(),
        );
    }
    let Fitted { set, private, .. } = fitted;
    let prepared = store.register().prepare(set, &now).map_err(|refusal| refusal.words().to_string())?;
    let (added, changed, _) = prepared.counts();
    if args.dry_run {
        say(&format!("检查通过，将新增 {added}，修改 {changed} / good: {added} would be added, {changed} changed"));
        return Ok(());
    }
    store.apply(&prepared, private).map_err(crate::cli::chain)?;
    let rev = prepared.rev;
    say(&format!(
        "已导入：新增 {added}，修改 {changed}，登记册第 {rev} 版 / imported: {added} added, {changed} changed, revision {rev}"
    ));
    Ok(())
}

fn fit(read: &mut Roster, store: &RegisterStore) -> Result<Fitted, String> {
    let vault = store.persons();
    let mut failed = None;
    let mut make_ref = || {
        vault.new_ref().unwrap_or_else(|error| {
            failed = Some(crate::cli::chain(error));
            PersonRef::new("")
        })
    };
    let by = Actor { name: users::look_up(geteuid().as_raw()).name, via: Via::Machine, roles: Default::default() };
    let fitted = roster::fit(read, store.register(), &vault.look_up_key(), &mut make_ref, by);
    failed.map_or(Ok(fitted), Err)
}

/// Problems go to standard error, the sum to standard output.
fn tell(read: &Roster, fitted: &Fitted) {
    let mut problems = read.problems.clone();
    problems.sort_by(|a, b| (&a.at.file, a.at.line).cmp(&(&b.at.file, b.at.line)));
    if !problems.is_empty() {
        eprint!("{}", report(&problems));
    }
    if read.beyond > 0 {
        eprintln!("另有 {0} 个问题未列出 / {0} more problems are not listed", read.beyond);
    }
    let (rows, taken) = (read.n_rows, fitted.n_taken);
    let refused = rows.saturating_sub(taken);
    say(&format!("共 {rows} 行：可导入 {taken}，拒绝 {refused} / {rows} rows: {taken} good, {refused} refused"));
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
