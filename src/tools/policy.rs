//! `policy check`, `policy test`: the policies of the gates, looked at on files before they are put in force.

use std::path::{Path, PathBuf};

use super::table::say;
use crate::config::policies::{self, Read};
use crate::domain::gate::decide::Policies as _;
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
    }
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
