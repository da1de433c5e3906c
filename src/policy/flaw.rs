//! What is wrong with a set of policies or a decision table: where, what, and what to write instead; Chinese first.

use std::fmt;
use std::path::{Path, PathBuf};

/// Flaws told of one set: what follows is mostly their echo.
pub const MAX_FLAWS: usize = 200;

/// One flaw.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaw {
    /// The file.
    pub file: PathBuf,
    /// Line from 1; `None` for the file as a whole.
    pub line: Option<u32>,
    /// What is wrong, Chinese and English, without a full stop.
    pub what: (String, String),
    /// What to write instead.
    pub instead: (String, String),
}

impl Flaw {
    /// Joins place and words.
    pub(super) fn new(file: &Path, line: Option<u32>, what: (String, String), instead: (String, String)) -> Self {
        Self { file: file.to_owned(), line, what, instead }
    }
}

impl fmt::Display for Flaw {
    /// Three lines, as the problems of a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what, instead } = self;
        write!(f, "{}", file.display())?;
        if let Some(line) = line {
            write!(f, ":{line}")?;
        }
        write!(f, "\n    错误：{}；{}\n    error: {}; {}", what.0, instead.0, what.1, instead.1)
    }
}

/// All flaws, by file and line: the set is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Flaws(pub Vec<Flaw>);

impl Flaws {
    /// Sorts and bounds what was found.
    pub(super) fn of(mut found: Vec<Flaw>) -> Self {
        found.sort();
        found.dedup();
        let beyond = found.len().saturating_sub(MAX_FLAWS);
        found.truncate(MAX_FLAWS);
        if let (true, Some(last)) = (beyond > 0, found.last()) {
            let what = both(format!("另有 {beyond} 个问题未列出"), format!("{beyond} more problems are not listed"));
            let instead = both("请先改正以上问题", "correct the ones above first");
            found.push(Flaw::new(&last.file.clone(), None, what, instead));
        }
        Self(found)
    }
}

impl fmt::Display for Flaws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for flaw in &self.0 {
            writeln!(f, "{flaw}")?;
        }
        let n = self.0.len();
        write!(f, "{n} 个错误 | {n} errors")
    }
}

/// The same words in both languages.
pub(super) fn both(zh: impl Into<String>, en: impl Into<String>) -> (String, String) {
    (zh.into(), en.into())
}

/// Returns the line of a byte offset, from 1.
pub(super) fn line_at(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let breaks = before.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1)
}
