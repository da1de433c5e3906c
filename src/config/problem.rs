//! Problems of a configuration: where, what is wrong, and what to write instead; Chinese first, English beside it.
//!
//! One problem is one line in a log ([`Problem`]'s `Display`) and three lines in a terminal ([`report`]).

use std::fmt;
use std::path::PathBuf;

/// Problems kept of one load. A shifted column in a table of 100,000 rows is one mistake, not 100,000.
pub const MAX_PROBLEMS: usize = 2000;

/// The same text in both languages of the project, each without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// Builds [`Words`] from two format strings with inline arguments.
macro_rules! say {
    ($zh:literal, $en:literal $(,)?) => {
        $crate::config::problem::Words { zh: format!($zh), en: format!($en) }
    };
}
pub(super) use say;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It is taken, but a person should look.
    Warning,
}

/// What within the line a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole file, or the whole line.
    Whole,
    /// A TOML key.
    Key {
        /// Column of the text in characters, from 1.
        column: u32,
        /// Section and key, e.g. `[store] quota`; empty for a syntax error.
        key: String,
    },
    /// A cell of the point table; the line is the row as Excel numbers it.
    Cell {
        /// Chinese name of the column.
        zh: &'static str,
        /// English name of the column.
        en: &'static str,
    },
}

/// Where something stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The file.
    pub file: PathBuf,
    /// Line from 1; `None` for the file as a whole.
    pub line: Option<u32>,
    /// What in that line.
    pub place: Place,
}

impl Spot {
    /// Returns the spot that is the file as a whole.
    pub(super) fn file(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), line: None, place: Place::Whole }
    }

    /// Returns `file.toml:3`, for reference from another problem.
    pub(super) fn short(&self) -> String {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        self.line.map_or_else(|| name.to_string(), |line| format!("{name}:{line}"))
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.place {
            Place::Whole => Ok(()),
            Place::Key { column, key } if key.is_empty() => write!(f, ":{column}"),
            Place::Key { column, key } => write!(f, ":{column}: {key}"),
            Place::Cell { zh, en } => write!(f, ": column {zh} ({en})"),
        }
    }
}

/// What is wrong with a value, before it is known where the value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What is wrong.
    pub(super) what: Words,
    /// What to write.
    pub(super) instead: Words,
}

impl Wrong {
    /// Joins both halves.
    pub(super) fn new(what: Words, instead: Words) -> Self {
        Self { what, instead }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Refused or remarked.
    pub severity: Severity,
    /// Where.
    pub at: Spot,
    /// What is wrong.
    pub what: Words,
    /// What to write instead.
    pub instead: Words,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (zh, en) = labels(self.severity);
        let Self { at, what, instead, .. } = self;
        write!(f, "{at}: {zh}：{}；{} | {en}: {}; {}", what.zh, instead.zh, what.en, instead.en)
    }
}

/// All problems of a refused configuration, warnings among them, by file and line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", report(.0))]
pub struct Problems(pub Vec<Problem>);

/// Returns the text for a terminal: each problem with its place, then Chinese, then English, and the sum.
pub fn report(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let (zh, en) = labels(problem.severity);
        let Problem { at, what, instead, .. } = problem;
        text.push_str(&format!("{at}\n    {zh}：{}；{}\n    {en}: {}; {}\n", what.zh, instead.zh, what.en, instead.en));
    }
    let errors = problems.iter().filter(|p| p.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    text.push_str(&format!("{errors} 个错误，{warnings} 个警告 | {errors} errors, {warnings} warnings\n"));
    text
}

fn labels(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::Error => ("错误", "error"),
        Severity::Warning => ("警告", "warning"),
    }
}

/// The problems found so far. Bounded by [`MAX_PROBLEMS`]; what goes beyond is counted.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Problem>,
    errors: usize,
    beyond: usize,
}

impl Findings {
    /// Records what refuses the configuration.
    pub(super) fn error(&mut self, at: Spot, wrong: Wrong) {
        self.errors += 1;
        self.add(Severity::Error, at, wrong);
    }

    /// Records what a person should look at.
    pub(super) fn warn(&mut self, at: Spot, wrong: Wrong) {
        self.add(Severity::Warning, at, wrong);
    }

    /// Returns how many errors were recorded.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Returns everything in the order of `files`, then of lines and columns.
    pub(super) fn sorted(mut self, files: &[PathBuf]) -> Vec<Problem> {
        let rank = |p: &Problem| files.iter().position(|f| *f == p.at.file).unwrap_or(files.len());
        self.found.sort_by_cached_key(|p| (rank(p), p.at.line, column_of(&p.at.place), p.severity));
        // A mistake in a profile is found once for each device that uses it.
        self.found.dedup();
        if let (true, Some(last)) = (self.beyond > 0, self.found.last()) {
            let (at, more) = (Spot::file(last.at.file.clone()), self.beyond);
            let what = say!("另有 {more} 个问题未列出", "{more} more problems are not listed");
            let instead = say!("请先改正以上问题", "correct the ones above first");
            self.found.push(Problem { severity: Severity::Error, at, what, instead });
        }
        self.found
    }

    fn add(&mut self, severity: Severity, at: Spot, wrong: Wrong) {
        if self.found.len() >= MAX_PROBLEMS {
            self.beyond += 1;
            return;
        }
        self.found.push(Problem { severity, at, what: wrong.what, instead: wrong.instead });
    }
}

fn column_of(place: &Place) -> u32 {
    match place {
        Place::Key { column, .. } => *column,
        Place::Whole | Place::Cell { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong() -> Wrong {
        Wrong::new(say!("70000 超过 65535", "70000 is beyond 65535"), say!("请写小数", "write less"))
    }

    #[test]
    fn a_problem_is_one_line_with_place_and_both_languages() {
        let mut out = Findings::default();
        let place = Place::Cell { zh: "地址", en: "address" };
        out.error(Spot { file: "config/points.csv".into(), line: Some(17), place }, wrong());
        let problems = out.sorted(&[]);
        assert_eq!(
            problems[0].to_string(),
            "config/points.csv:17: column 地址 (address): 错误：70000 超过 65535；请写小数 | error: 70000 is beyond 65535; write less"
        );
    }

    #[test]
    fn the_same_problem_found_twice_is_told_once() {
        let mut out = Findings::default();
        (0..3).for_each(|_| out.error(Spot::file("gas.toml"), wrong()));
        assert_eq!(out.sorted(&[]).len(), 1);
    }

    #[test]
    fn problems_beyond_the_limit_are_counted_not_kept() {
        let mut out = Findings::default();
        let spot = |line| Spot { line: Some(line), ..Spot::file("points.csv") };
        (0..MAX_PROBLEMS + 7).zip(1..).for_each(|(_, line)| out.error(spot(line), wrong()));
        let problems = out.sorted(&[]);
        assert_eq!(problems.len(), MAX_PROBLEMS + 1);
        assert!(problems[MAX_PROBLEMS].what.en.starts_with("7 more"));
    }
}
