//! `policy check`, `policy test`, `policy replay`: the policies of the gates, looked at before they are put in force: on files,
//! by decision tables, and by what the gates decided in the past.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::audit;
use super::gateway::Reach;
use super::operator::long_span;
use super::table::say;
use crate::clock::Clock;
use crate::config::policies::{self, Read};
use crate::domain::gate::decide::{Policies as _, Replayed};
use crate::domain::gate::verdict::Decision;
use crate::domain::time::Timestamp;
use crate::policy::table::{self, Case};
use crate::policy::{Flaws, PolicyBook, shipped};

/// `policy`.
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// 检查策略：语法、注解、模式；有一条不合格整套拒绝 / check the set; one wrong policy refuses it as a whole
    ///
    /// Names every problem with file and line. Exit code 78 if there is any.
    Check {
        /// Folder of the configuration; its `policies/` is read
        #[arg(long, value_name = "DIR", default_value = "/etc/parkgate")]
        config: PathBuf,
    },
    /// 按决策表测试策略 / test the set by decision tables
    ///
    /// Without tables: those of `policies/tables/`, and the shipped ones of other names. Exit code 1 if a case comes out
    /// otherwise than its table says.
    Test {
        /// Folder of the configuration; its `policies/` is read
        #[arg(long, value_name = "DIR", default_value = "/etc/parkgate")]
        config: PathBuf,
        /// 决策表（CSV）/ decision tables
        #[arg(value_name = "TABLE")]
        tables: Vec<PathBuf>,
    },
    /// 用新策略重演过去的决定，列出会改变的 / decide the past again under a set, and show what would change
    ///
    /// The decisions are those of the running gateway's store, each with everything that it was made of; nothing is put in
    /// force. Needs the role auditor, supervisor or admin; that they were read is in the audit.
    Replay {
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
        /// 从何时起：7d、8h，日期 2026-11-20（UTC），或 2026-11-20T08:00:00.000Z / from when on
        #[arg(long, value_name = "WHEN", value_parser = since)]
        since: Since,
        /// 新策略所在的配置目录，不写则为 --config 的 / the set: a folder of a configuration, or its `policies/`
        #[arg(long, value_name = "DIR")]
        policies: Option<PathBuf>,
    },
}

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// A moment.
    At(Timestamp),
}

fn since(text: &str) -> Result<Since, String> {
    let day = |text: &str| Timestamp::parse(&format!("{text}T00:00:00.000Z"));
    if let Some(at) = Timestamp::parse(text).or_else(|| day(text)) {
        return Ok(Since::At(at));
    }
    long_span(text).map(Since::Ago).map_err(|_| {
        format!("`{text}`：请写 7d、8h、2026-11-20 / write 7d, 8h, 2026-11-20 or 2026-11-20T08:00:00.000Z")
    })
}

/// How it ended otherwise than well; the words are for standard error.
#[derive(Debug)]
pub enum Ended {
    /// The configuration, a policy or a table is wrong.
    Wrong(String),
    /// Cases came out otherwise.
    Missed(String),
}

/// Runs the command.
///
/// # Errors
/// What is wrong with the set or a table, or how many cases came out otherwise.
pub fn run(command: &PolicyCommand) -> Result<(), Ended> {
    match command {
        PolicyCommand::Check { config } => {
            let (read, book) = book(config)?;
            say(&format!("{}\n", standing(&read, &book)));
            Ok(())
        }
        PolicyCommand::Test { config, tables } => test(config, tables),
        PolicyCommand::Replay { reach, since, policies } => replay(reach, *since, policies.as_deref()),
    }
}

/// Makes past decisions again under a set.
fn replay(reach: &Reach, since: Since, dir: Option<&Path>) -> Result<(), Ended> {
    let dir = dir.unwrap_or_else(|| reach.folder());
    // Whoever names the folder of policies itself means its configuration.
    let dir = if dir.ends_with(policies::FOLDER) { dir.parent().unwrap_or(dir) } else { dir };
    let (_, book) = book(dir)?;
    let since = match since {
        Since::At(at) => at,
        Since::Ago(ago) => {
            let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
            Timestamp(Clock::system().now().wall.0.saturating_sub(ago))
        }
    };
    let (mut replayed, mut unreadable) = (Replayed::default(), 0_u64);
    let read =
        audit::documents(reach, "decision", Some(since), |_, json| match serde_json::from_str::<Decision>(json) {
            Ok(decision) => replayed.add(&decision, &book),
            Err(_) => unreadable += 1,
        });
    read.map_err(Ended::Missed)?;
    say(&replayed.to_string());
    if unreadable > 0 {
        say(&format!("{unreadable} 次决定的记录读不懂 / {unreadable} decisions cannot be understood"));
    }
    say(&format!("修订 revision {}", book.revision()));
    Ok(())
}

/// Makes the book of a configuration's policies.
///
/// # Errors
/// Every flaw, ready for a terminal.
pub fn book(config: &Path) -> Result<(Read, PolicyBook), Ended> {
    let read = policies::load(config).map_err(|problems| Ended::Wrong(problems.to_string()))?;
    for warning in &read.warnings {
        eprintln!("{warning}");
    }
    let book = PolicyBook::load(&read.sources).map_err(refused)?;
    Ok((read, book))
}

fn refused(flaws: Flaws) -> Ended {
    Ended::Wrong(format!("{flaws}\n整套策略不予采用 | the set is refused as a whole"))
}

/// What the set consists of.
fn standing(read: &Read, book: &PolicyBook) -> String {
    let whose = |name: &String| {
        let shipped = shipped::FILES.iter().find(|(shipped, _)| shipped == name);
        let own = read.sources.own.iter().find(|own| own.path.file_name().is_some_and(|own| own == name.as_str()));
        let whose = match (shipped, own) {
            (Some((_, text)), Some(own)) if *text == own.text => "与出厂相同 as shipped",
            (Some(_), Some(_)) => "替换出厂 the site's, for the shipped one",
            (Some(_), None) => "出厂 shipped",
            (None, _) => "本园区 the site's",
        };
        format!("  {name}  {whose}")
    };
    let files: Vec<String> = book.files().iter().map(whose).collect();
    let (n, revision) = (book.count(), book.revision());
    let files = files.join("\n");
    format!("策略可用 / the set is good\n{files}\n{n} 条策略 policies\n修订 revision {revision}")
}

fn test(config: &Path, tables: &[PathBuf]) -> Result<(), Ended> {
    let (_, book) = book(config)?;
    let mut texts: Vec<(PathBuf, String)> = Vec::new();
    let own = if tables.is_empty() { policies::tables(config) } else { tables.to_vec() };
    for path in own {
        let text = policies::table(&path).map_err(|problems| Ended::Wrong(problems.to_string()))?;
        texts.push((path, text));
    }
    if tables.is_empty() {
        let named = |name: &str| texts.iter().any(|(path, _)| path.file_name().is_some_and(|own| own == name));
        let shipped: Vec<_> = shipped::TABLES.iter().filter(|(name, _)| !named(name)).collect();
        texts.extend(shipped.into_iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())));
    }
    let (mut wrong, mut missed, mut told) = (Vec::new(), 0, String::new());
    for (path, text) in &texts {
        match table::read(path, text) {
            Ok(cases) => missed += one_table(path, &cases, &book, &mut told),
            Err(flaws) => wrong.push(flaws.to_string()),
        }
    }
    say(&told);
    match (wrong.is_empty(), missed) {
        (false, _) => Err(Ended::Wrong(wrong.join("\n"))),
        (true, 0) => Ok(()),
        (true, n) => Err(Ended::Missed(format!("{n} 个情形与表不符 / {n} cases came out otherwise"))),
    }
}

fn one_table(path: &Path, cases: &[Case], book: &PolicyBook, told: &mut String) -> usize {
    let missed: Vec<_> = cases.iter().filter_map(|case| case.test(book)).collect();
    for one in &missed {
        told.push_str(&format!("{}:{one}\n", path.display()));
    }
    let (good, all) = (cases.len() - missed.len(), cases.len());
    told.push_str(&format!("{}：{good}/{all}\n", path.display()));
    missed.len()
}
