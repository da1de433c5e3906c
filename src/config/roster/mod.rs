//! Files of the register: what people keep in Excel about companies, persons, vehicles, lists and permits.
//!
//! ```text
//!  bytes ─ read ─▶ rows, each a draft with its line, or its faults ─ fit (register) ─▶ change set │ every fault
//! ```
//! [`read`] knows the file alone, [`fit`] also what the register holds: rows that are the platform's, persons that nobody
//! knows, cards that another one has. What comes out is a value; the register takes it as a whole or not at all, so that the
//! same code serves a file at the command line and one that a running gateway is sent.
//!
//! Every refused row is told with file, line, column, what is wrong, and what to write instead; numbers of documents are shown
//! masked.

mod cell;
mod fit;
mod grid;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use self::fit::Around;
use self::grid::{Cells, Column, Faults, Split};
use super::folder::read_bounded;
use super::problem::{Place, Problem, Severity, Spot, Wrong, report, say};
use crate::domain::actor::Actor;
use crate::domain::gate::register::Register;
use crate::domain::gate::register::change::{Change, ChangeSet, Origin};
use crate::domain::gate::register::digest::LookUpKey;
use crate::domain::gate::register::draft::{Draft, Private, Resolver};
use crate::domain::gate::register::row::Table;
use crate::domain::gate::register::rules::Rules;
use crate::domain::gate::word::PersonRef;

/// A row that can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Its file.
    pub path: PathBuf,
    /// Its number, as Excel shows it.
    pub line: u32,
    /// What it says.
    pub draft: Draft,
}

/// Files as they were read.
#[derive(Debug, Default)]
pub struct Roster {
    /// Rows that can be read, by file and line.
    pub rows: Vec<Written>,
    /// Rows that there are, refused ones among them.
    pub n_rows: usize,
    /// Everything that is wrong or doubtful.
    pub problems: Vec<Problem>,
    /// Faults beyond those that are kept.
    pub beyond: usize,
}

impl Roster {
    /// Returns everything that is wrong or doubtful as text for people, by file and line; empty where nothing is.
    pub fn told(&self) -> String {
        let mut problems = self.problems.clone();
        problems.sort_by(|a, b| (&a.at.file, a.at.line).cmp(&(&b.at.file, b.at.line)));
        let mut text = if problems.is_empty() { String::new() } else { report(&problems) };
        if self.beyond > 0 {
            text.push_str(&format!("另有 {0} 个问题未列出 / {0} more problems are not listed\n", self.beyond));
        }
        text
    }

    /// Returns whether something is refused.
    pub fn is_refused(&self) -> bool {
        self.beyond > 0 || self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    fn wrong(&mut self, at: Spot, wrong: Wrong) {
        self.problems.push(Problem { severity: Severity::Error, at, what: wrong.what, instead: wrong.instead });
    }
}

/// Returns an empty table as Excel opens it: the columns by their Chinese names, and a remark with the English ones, `*` at
/// those that must be filled.
pub fn template(table: Table) -> String {
    let columns = tables::columns(table);
    let zh = columns.iter().map(|column| column.zh).collect::<Vec<_>>().join(",");
    let en = columns.iter().map(|column| format!("{}{}", column.en, if column.needed { "*" } else { "" }));
    // The byte-order mark tells Excel that it is UTF-8.
    format!("\u{FEFF}{zh}\r\n# {}\r\n", en.collect::<Vec<_>>().join(" "))
}

/// Reads files from the disk. `table`: what they hold; `None`: each says it by its header. Blocking.
pub fn read_files(paths: &[PathBuf], table: Option<Table>, rules: &Rules) -> Roster {
    read_all(paths.iter().map(|path| (path.as_path(), read_bounded(path))), table, rules)
}

/// Reads the contents of one file, of bounded size. Blocking.
///
/// # Errors
/// The system's answer, or that it is too large.
pub fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    read_bounded(path)
}

/// Reads files that were sent, each with its name, in the same way.
pub fn read_sent<'a>(
    files: impl IntoIterator<Item = (&'a Path, &'a [u8])>,
    table: Option<Table>,
    rules: &Rules,
) -> Roster {
    read_all(files.into_iter().map(|(path, bytes)| (path, Ok(bytes))), table, rules)
}

fn read_all<'a, B: AsRef<[u8]>>(
    files: impl Iterator<Item = (&'a Path, std::io::Result<B>)>,
    table: Option<Table>,
    rules: &Rules,
) -> Roster {
    let mut all = Roster::default();
    for (path, bytes) in files {
        match bytes {
            Ok(bytes) => {
                let one = read(path, bytes.as_ref(), table, rules);
                all.rows.extend(one.rows);
                all.problems.extend(one.problems);
                all.n_rows += one.n_rows;
                all.beyond += one.beyond;
            }
            Err(error) => {
                let what = say!("无法读取：{error}", "it cannot be read: {error}");
                let instead = say!("请写一个 CSV 文件的路径", "name a CSV file");
                all.wrong(Spot::file(path), Wrong::new(what, instead));
            }
        }
    }
    twice(&mut all);
    all
}

/// Reads one file.
pub fn read(path: &Path, bytes: &[u8], table: Option<Table>, rules: &Rules) -> Roster {
    let mut faults = Faults::default();
    let (mut rows, mut n_rows) = (Vec::new(), 0);
    let known = |cell: &str| Table::ALL.iter().any(|table| grid::find(tables::columns(*table), cell).is_some());
    let split = Split::read(path, bytes, known, &mut faults);
    if let Some(split) = split
        && let Some(table) = table.or_else(|| guess(path, &split, &mut faults))
        && let Some(grid) = split.grid(tables::columns(table), &mut faults)
    {
        for line in grid.rows() {
            n_rows += 1;
            if let Some(wrong) = line.misshapen() {
                faults.error(line.whole(), wrong);
                continue;
            }
            let number = line.line;
            let draft = tables::draft(table, &mut Cells::new(line, &mut faults), rules);
            rows.extend(draft.map(|draft| Written { path: path.to_owned(), line: number, draft }));
        }
    }
    Roster { rows, n_rows, problems: faults.found, beyond: faults.beyond }
}

/// The table whose columns the header has: all that are needed, and of those the one with the most.
fn guess(path: &Path, split: &Split, faults: &mut Faults) -> Option<Table> {
    let header: Vec<&str> = split.header().collect();
    let found = |table: Table| -> BTreeSet<&str> {
        let columns: &'static [Column] = tables::columns(table);
        header.iter().filter_map(|cell| grid::find(columns, cell)).map(|column| column.en).collect()
    };
    let whole = |table: &Table| {
        let there = found(*table);
        tables::columns(*table).iter().all(|column| !column.needed || there.contains(column.en))
    };
    let best = Table::ALL.iter().copied().filter(whole).max_by_key(|table| found(*table).len());
    if best.is_none() {
        let what = say!("表头不像任何一种登记表", "the header is that of no table of the register");
        let instead = say!(
            "请加 --as companies|persons|vehicles|permits|lists，以便指出缺少的列",
            "add --as companies|persons|vehicles|permits|lists, to be told which columns are missing"
        );
        faults.error(Spot { file: path.to_owned(), line: Some(1), place: Place::Whole }, Wrong::new(what, instead));
    }
    best
}

/// Refuses a row whose key another row before it has.
fn twice(all: &mut Roster) {
    let mut seen: BTreeMap<String, (PathBuf, u32)> = BTreeMap::new();
    let mut double = Vec::new();
    all.rows.retain(|row| {
        let (key, shown, en) = key_of(&row.draft);
        match seen.get(&key) {
            Some((path, line)) => {
                let before = Spot { file: path.clone(), line: Some(*line), place: Place::Whole }.short();
                let what = say!("`{shown}` 与 {before} 重复", "`{shown}` stands in {before} already");
                double.push((spot(row, en), Wrong::new(what, say!("请删去一行", "remove one of the rows"))));
                false
            }
            None => {
                seen.insert(key, (row.path.clone(), row.line));
                true
            }
        }
    });
    double.into_iter().for_each(|(at, wrong)| all.wrong(at, wrong));
}

/// What a row is known by: as a key, as it may be shown, and in which column it stands.
fn key_of(draft: &Draft) -> (String, String, &'static str) {
    let (id, en) = match draft {
        Draft::Company(row) => (row.id.to_string(), "uscc"),
        Draft::Person(row) => {
            let id = &row.who.id;
            return (format!("person {} {}", id.kind(), id.number()), format!("{id:?}"), "id_no");
        }
        Draft::Vehicle(row) => (row.plate.to_string(), "plate"),
        Draft::Listing(row) => (row.id.to_string(), "id"),
        Draft::Permit(row) => (row.permit.id.to_string(), "id"),
    };
    (format!("{} {id}", draft.table()), id, en)
}

fn spot(row: &Written, en: &'static str) -> Spot {
    let columns = tables::columns(row.draft.table());
    let zh = columns.iter().find(|column| column.en == en).map_or("", |column| column.zh);
    Spot { file: row.path.clone(), line: Some(row.line), place: Place::Cell { zh, en } }
}

/// What became of files against a register.
#[derive(Debug)]
pub struct Fitted {
    /// The changes that the good rows make.
    pub set: ChangeSet,
    /// What identifies persons, for their store.
    pub private: BTreeMap<PersonRef, Private>,
    /// Rows that are taken.
    pub n_taken: usize,
}

/// Lays the rows over a register. Those that do not fit it are refused: their faults go into `roster`.
pub fn fit(
    roster: &mut Roster,
    register: &Register,
    key: &LookUpKey,
    make_ref: &mut dyn FnMut() -> PersonRef,
    by: Actor,
) -> Fitted {
    let rows = std::mem::take(&mut roster.rows);
    let mut around = Around::new(register, key, &rows);
    let (mut good, mut paths) = (Vec::new(), BTreeSet::new());
    for row in rows {
        let mut refused = false;
        for (en, severity, Wrong { what, instead }) in around.faults(&row.draft) {
            refused |= severity == Severity::Error;
            roster.problems.push(Problem { severity, at: spot(&row, en), what, instead });
        }
        if !refused {
            paths.insert(row.path.display().to_string());
            good.push(row.draft);
        }
    }
    let n_taken = good.len();
    let mut resolver = Resolver::new(register, key, make_ref);
    // Persons first: who has a row of his own is not merely named.
    good.sort_by_key(|draft| draft.table());
    good.into_iter().for_each(|draft| resolver.add(draft));
    let resolved = resolver.finish();
    let why = paths.into_iter().collect::<Vec<_>>().join(", ");
    let changes = resolved.rows.into_iter().map(Change::Put).collect();
    let set = ChangeSet { by, origin: Origin::Local, why, changes, named: resolved.named, version: None };
    Fitted { set, private: resolved.private, n_taken }
}
