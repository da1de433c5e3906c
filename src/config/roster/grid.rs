//! A table of the register as people make it with Excel: columns by Chinese or English name, rows by Excel's number, UTF-8 or
//! GB18030, whatever separator it was saved with. Every fault of every row is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::config::problem::{Place, Problem, Severity, Spot, Words, Wrong, say};
use crate::config::sheet;
use crate::config::text::{self, narrow, suggest, trim};
use crate::config::value::clip;
use crate::domain::gate::register::change::MAX_ROWS;

/// Most faults that are kept: one for each row of the largest file. What goes beyond is counted.
const MAX_FAULTS: usize = MAX_ROWS;

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    /// English name, by which the code knows it.
    pub(super) en: &'static str,
    /// Chinese name.
    pub(super) zh: &'static str,
    /// What else people call it.
    pub(super) also: &'static [&'static str],
    /// Whether it must be there, and no cell of it be empty.
    pub(super) needed: bool,
}

/// Finds a column by any of its names, alone or as `车牌号 (plate)`.
pub(super) fn find(columns: &'static [Column], cell: &str) -> Option<&'static Column> {
    let cell = narrow(cell).to_lowercase();
    let named = |name: &str| columns.iter().find(|c| c.en == name || c.zh == name || c.also.contains(&name));
    named(&cell).or_else(|| {
        let (before, inside) = cell.split_once('(')?;
        named(before.trim()).or_else(|| named(inside.trim_end_matches(')').trim()))
    })
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) found: Vec<Problem>,
    pub(super) beyond: usize,
}

impl Faults {
    pub(super) fn error(&mut self, at: Spot, wrong: Wrong) {
        self.add(Severity::Error, at, wrong);
    }

    pub(super) fn warn(&mut self, at: Spot, wrong: Wrong) {
        self.add(Severity::Warning, at, wrong);
    }

    fn add(&mut self, severity: Severity, at: Spot, wrong: Wrong) {
        if self.found.len() >= MAX_FAULTS {
            self.beyond += 1;
            return;
        }
        self.found.push(Problem { severity, at, what: wrong.what, instead: wrong.instead });
    }
}

/// A file, decoded and split.
#[derive(Debug)]
pub(super) struct Split {
    path: PathBuf,
    rows: Vec<(u32, StringRecord)>,
}

impl Split {
    /// Decodes and splits a file; `None`: it cannot be read as a table at all.
    pub(super) fn read(path: &Path, bytes: &[u8], known: impl Fn(&str) -> bool, out: &mut Faults) -> Option<Self> {
        let text = match text::decode(bytes) {
            Ok(text) => text,
            Err(line) => {
                let what = say!("此行既不是 UTF-8 也不是 GB18030", "this line is neither UTF-8 nor GB18030");
                let instead = say!("请用 Excel 另存为“CSV UTF-8”", "save it from Excel as `CSV UTF-8`");
                let at = Spot { file: path.to_owned(), line: Some(line), place: Place::Whole };
                out.error(at, Wrong::new(what, instead));
                return None;
            }
        };
        let text = if text.contains('\n') { text } else { text.replace('\r', "\n") };
        let rows = sheet::records(&text, sheet::separator_for(&text, known));
        if rows.is_empty() {
            let what = say!("文件是空的", "the file is empty");
            let instead = say!("请写表头，并在其下每项写一行", "write a header, and a row for each item below it");
            out.error(Spot::file(path), Wrong::new(what, instead));
            return None;
        }
        if rows.len() > MAX_ROWS {
            let what = say!("超过 {MAX_ROWS} 行", "more than {MAX_ROWS} rows");
            out.error(Spot::file(path), Wrong::new(what, say!("请分成几个文件", "split it into several files")));
            return None;
        }
        Some(Self { path: path.to_owned(), rows })
    }

    /// Returns the header's cells.
    pub(super) fn header(&self) -> impl Iterator<Item = &str> {
        self.rows.first().into_iter().flat_map(|(_, header)| header.iter())
    }

    /// Reads the header by a table's columns.
    pub(super) fn grid(self, columns: &'static [Column], out: &mut Faults) -> Option<Grid> {
        let Self { path, mut rows } = self;
        let (line, header) = rows.remove(0);
        let spot = Spot { file: path.clone(), line: Some(line), place: Place::Whole };
        let before = out.found.len();
        let mut places = BTreeMap::new();
        for (index, cell) in header.iter().enumerate().filter(|(_, cell)| !trim(cell).is_empty()) {
            match find(columns, cell) {
                None => out.error(spot.clone(), unknown_column(columns, cell)),
                Some(Column { en, zh, .. }) => {
                    if places.insert(*en, index).is_some() {
                        let what = say!("列“{zh}”({en}) 出现两次", "column {zh} ({en}) is there twice");
                        out.error(spot.clone(), Wrong::new(what, say!("请删去一列", "remove one")));
                    }
                }
            }
        }
        for Column { en, zh, .. } in columns.iter().filter(|c| c.needed && !places.contains_key(c.en)) {
            let what = say!("缺少列“{zh}”({en})", "column {zh} ({en}) is missing");
            out.error(
                spot.clone(),
                Wrong::new(what, say!("请在表头加上 {zh} 或 {en}", "add {zh} or {en} to the header")),
            );
        }
        (out.found.len() == before).then_some(Grid { path, columns, places, rows, width: header.len() })
    }
}

fn unknown_column(columns: &'static [Column], cell: &str) -> Wrong {
    let shown = clip(cell);
    let what = say!("未知的列 `{shown}`", "unknown column `{shown}`");
    let instead = match suggest(&narrow(cell), columns.iter().flat_map(|c| [c.en, c.zh])) {
        Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
        None => {
            let zh = columns.iter().map(|c| c.zh).collect::<Vec<_>>().join("、");
            let en = columns.iter().map(|c| c.en).collect::<Vec<_>>().join(", ");
            say!("请删去该列，可用的列：{zh}", "remove it; the columns are: {en}")
        }
    };
    Wrong::new(what, instead)
}

/// A table whose header is understood.
#[derive(Debug)]
pub(super) struct Grid {
    path: PathBuf,
    columns: &'static [Column],
    places: BTreeMap<&'static str, usize>,
    rows: Vec<(u32, StringRecord)>,
    width: usize,
}

impl Grid {
    /// Returns the rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = Line<'_>> {
        self.rows.iter().map(|(line, record)| Line { grid: self, line: *line, record })
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    grid: &'a Grid,
    /// Its number, as Excel shows it.
    pub(super) line: u32,
    record: &'a StringRecord,
}

impl<'a> Line<'a> {
    /// Returns a cell without spaces around; `None` when it is empty or its column is not there.
    pub(super) fn text(self, en: &str) -> Option<&'a str> {
        let index = self.grid.places.get(en)?;
        self.record.get(*index).map(trim).filter(|cell| !cell.is_empty())
    }

    /// Returns the place of a cell.
    pub(super) fn spot(self, en: &'static str) -> Spot {
        let zh = self.grid.columns.iter().find(|column| column.en == en).map_or("", |column| column.zh);
        Spot { file: self.grid.path.clone(), line: Some(self.line), place: Place::Cell { zh, en } }
    }

    /// Returns the place of the row.
    pub(super) fn whole(self) -> Spot {
        Spot { file: self.grid.path.clone(), line: Some(self.line), place: Place::Whole }
    }

    /// Returns what is wrong with its shape.
    pub(super) fn misshapen(self) -> Option<Wrong> {
        if self.record.iter().any(|cell| cell.contains(['\n', '\r', '\0'])) {
            let what = say!(
                "单元格内有换行，或引号没有成对",
                "a cell contains a line break, or a quotation mark is not closed"
            );
            return Some(Wrong::new(
                what,
                say!("请删去换行，引号成对书写", "remove the break; write quotation marks in pairs"),
            ));
        }
        let (cells, width) = (self.record.len(), self.grid.width);
        let needed = self.grid.places.values().max().map_or(0, |last| last + 1);
        let surplus = self.record.iter().skip(width).any(|cell| !trim(cell).is_empty());
        if cells >= needed && !surplus {
            return None;
        }
        let what = say!("此行有 {cells} 格，表头有 {width} 格", "this row has {cells} cells, the header {width}");
        let instead = say!(
            "请补齐或删去分隔符；内容含逗号的单元格请加英文双引号",
            "add or remove separators; put cells that contain a comma into double quotes"
        );
        Some(Wrong::new(what, instead))
    }
}

/// Reads the cells of one row; what is wrong is told, and leaves the row refused.
#[derive(Debug)]
pub(super) struct Cells<'a, 'f> {
    pub(super) line: Line<'a>,
    faults: &'f mut Faults,
    /// Whether a fault was found that refuses it.
    pub(super) bad: bool,
}

impl<'a, 'f> Cells<'a, 'f> {
    pub(super) fn new(line: Line<'a>, faults: &'f mut Faults) -> Self {
        Self { line, faults, bad: false }
    }

    /// Returns whether a cell is filled.
    pub(super) fn has(&self, en: &str) -> bool {
        self.line.text(en).is_some()
    }

    /// Reads a cell that must be filled, with full-width letters and digits as ASCII.
    pub(super) fn need<T>(&mut self, en: &'static str, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        if !self.has(en) {
            let what = say!("空", "empty");
            self.wrong(en, Wrong::new(what, say!("请填写此格", "fill in this cell")));
            return None;
        }
        self.get(en, read)
    }

    /// Reads a cell that may be empty. `None`: it is empty, or it is wrong.
    pub(super) fn get<T>(&mut self, en: &'static str, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let cell: Cow<'_, str> = narrow(self.line.text(en)?);
        self.judge(en, read(&cell))
    }

    /// Reads a cell of text, as it is written.
    pub(super) fn words<T>(&mut self, en: &'static str, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let result = read(self.line.text(en)?);
        self.judge(en, result)
    }

    fn judge<T>(&mut self, en: &'static str, result: Result<T, Wrong>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(en, wrong);
                None
            }
        }
    }

    /// Says that a cell is wrong.
    pub(super) fn wrong(&mut self, en: &'static str, wrong: Wrong) {
        self.bad = true;
        self.faults.error(self.line.spot(en), wrong);
    }

    /// Says that a person should look at a cell.
    pub(super) fn doubt(&mut self, en: &'static str, what: Words, instead: Words) {
        self.faults.warn(self.line.spot(en), Wrong::new(what, instead));
    }
}
