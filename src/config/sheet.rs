//! The point table as a table: columns by name, rows by Excel's number, whatever separator and encoding it was saved with.
//!
//! The separator is comma, semicolon or tab: the one under which the header has the most known names. A row whose first
//! cell begins with `#` is a remark; rows of empty cells (Excel leaves them at the end) are skipped.
//!
//! A [`Row`] is either a row of the table or one [`Made`] from a device's profile: both are read by the same code.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::{ReaderBuilder, StringRecord};

use super::problem::{Findings, Place, Spot, Words, Wrong, say};
use super::text::{narrow, suggest, trim};
use super::value::clip;

/// Rows read; ten times what the benchmark's largest park has.
const MAX_ROWS: usize = 1_000_000;

/// Columns, in the order of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Uid,
    Tag,
    Name,
    Device,
    Table,
    Address,
    Encoding,
    Order,
    Scale,
    Offset,
    Unit,
    RangeLow,
    RangeHigh,
    Deadband,
    MaxSilence,
    Class,
    Company,
    HazardSource,
    PlatformCode,
    Equipment,
    Kind,
    Commissioning,
    Signal,
    StateOf,
    States,
    Frozen,
    Below,
    Node,
    LowLow,
    Low,
    High,
    HighHigh,
    First,
    Second,
    Gas,
    Basis,
    AlarmDeadband,
    AlarmDelay,
    Priority,
    Zone,
    AlarmOf,
}

const COLUMNS: usize = 41;

/// Column, English name, Chinese name; the first [`REQUIRED`] must be there.
const NAMES: [(Column, &str, &str); COLUMNS] = [
    (Column::Uid, "uid", "标识"),
    (Column::Tag, "tag", "位号"),
    (Column::Name, "name", "名称"),
    (Column::Device, "device", "设备"),
    (Column::Table, "table", "寄存器类型"),
    (Column::Address, "address", "地址"),
    (Column::Encoding, "encoding", "编码"),
    (Column::Order, "order", "字节序"),
    (Column::Scale, "scale", "系数"),
    (Column::Offset, "offset", "偏移"),
    (Column::Unit, "unit", "单位"),
    (Column::RangeLow, "range_low", "量程下限"),
    (Column::RangeHigh, "range_high", "量程上限"),
    (Column::Deadband, "deadband", "死区"),
    (Column::MaxSilence, "max_silence", "最长静默"),
    (Column::Class, "class", "轮询类"),
    (Column::Company, "company", "企业编码"),
    (Column::HazardSource, "hazard_source", "重大危险源编码"),
    (Column::PlatformCode, "platform_code", "平台编码"),
    (Column::Equipment, "equipment", "设备设施"),
    (Column::Kind, "kind", "测点类型"),
    (Column::Commissioning, "commissioning", "投用状态"),
    (Column::Signal, "signal", "信号"),
    (Column::StateOf, "state_of", "状态点"),
    (Column::States, "states", "状态定义"),
    (Column::Frozen, "frozen", "冻结时限"),
    (Column::Below, "below", "低于下限"),
    (Column::Node, "node", "节点"),
    (Column::LowLow, "ll", "低低报"),
    (Column::Low, "l", "低报"),
    (Column::High, "h", "高报"),
    (Column::HighHigh, "hh", "高高报"),
    (Column::First, "l1", "一级报警"),
    (Column::Second, "l2", "二级报警"),
    (Column::Gas, "gas", "气体"),
    (Column::Basis, "limit_basis", "设定依据"),
    (Column::AlarmDeadband, "alarm_deadband", "报警死区"),
    (Column::AlarmDelay, "alarm_delay", "报警延时"),
    (Column::Priority, "priority", "报警优先级"),
    (Column::Zone, "zone", "分区"),
    (Column::AlarmOf, "alarm_of", "报警属于"),
];

const REQUIRED: usize = 7;

impl Column {
    /// Returns its English and Chinese name.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        NAMES.get(self as usize).map_or(("", ""), |(_, en, zh)| (en, zh))
    }

    /// Finds a column by its English or Chinese name, alone or as `位号 (tag)`.
    fn find(cell: &str) -> Option<Self> {
        let cell = narrow(cell).to_lowercase();
        let named =
            |name: &str| NAMES.iter().find(|(_, en, zh)| *en == name || *zh == name).map(|(column, ..)| *column);
        named(&cell).or_else(|| {
            let (before, inside) = cell.split_once('(')?;
            named(before.trim()).or_else(|| named(inside.trim_end_matches(')').trim()))
        })
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Sheet {
    path: PathBuf,
    columns: [Option<usize>; COLUMNS],
    rows: Vec<(u32, StringRecord)>,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Row<'a> {
    /// A row of the table.
    Table(TableRow<'a>),
    /// A point of a profile, as one device has it.
    Made(&'a Made),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableRow<'a> {
    sheet: &'a Sheet,
    /// Its number, as Excel shows it.
    line: u32,
    record: &'a StringRecord,
}

/// A row that no table holds: made from a profile for one device.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// What it is called in a problem that points to it, e.g. `gas-controller.toml:12`.
    pub(super) origin: Rc<str>,
    /// Where the device stands.
    pub(super) device: Rc<Spot>,
    /// Its cells.
    pub(super) cells: Cells,
}

/// Cells by column, each with its place.
pub(super) type Cells = BTreeMap<Column, (String, Rc<Spot>)>;

impl Made {
    /// Puts what a row of the table says over the cells; `-` empties one.
    pub(super) fn lay_over(&mut self, row: TableRow<'_>) {
        for (column, ..) in NAMES {
            match row.text(column) {
                Some("-") => drop(self.cells.remove(&column)),
                Some(text) => drop(self.cells.insert(column, (text.to_owned(), Rc::new(row.spot(column))))),
                None => {}
            }
        }
    }

    fn text(&self, column: Column) -> Option<&str> {
        self.cells.get(&column).map(|(text, _)| trim(text)).filter(|text| !text.is_empty())
    }

    /// Uid and tag are made from what the device says.
    fn spot(&self, column: Column) -> Spot {
        self.cells.get(&column).map_or_else(|| (*self.device).clone(), |(_, spot)| (**spot).clone())
    }
}

impl Sheet {
    /// Reads the text. `None` when there is no header to go by.
    pub(super) fn read(path: &Path, text: &str, out: &mut Findings) -> Option<Self> {
        // Files of old Macintosh programs end their lines with CR alone.
        let text = if text.contains('\n') { text.to_owned() } else { text.replace('\r', "\n") };
        let mut rows = records(&text, separator(&text));
        if rows.is_empty() {
            let what = say!("点表是空的", "the point table is empty");
            out.error(Spot::file(path), Wrong::new(what, header_wanted()));
            return None;
        }
        let (line, header) = rows.remove(0);
        let columns = columns(path, line, &header, out)?;
        let sheet = Self { path: path.to_owned(), columns, rows };
        sheet.check_rows(header.len(), out);
        Some(sheet)
    }

    /// Returns the rows whose cells stand under their columns.
    pub(super) fn rows(&self) -> impl Iterator<Item = TableRow<'_>> {
        let width = self.columns.iter().flatten().max().map_or(0, |last| last + 1);
        let fits = move |record: &StringRecord| record.len() >= width && !has_break(record);
        let fitting = self.rows.iter().filter(move |(_, record)| fits(record));
        fitting.map(|(line, record)| TableRow { sheet: self, line: *line, record })
    }

    fn check_rows(&self, width: usize, out: &mut Findings) {
        for (line, record) in &self.rows {
            let spot = || Spot { file: self.path.clone(), line: Some(*line), place: Place::Whole };
            let cells = record.len();
            let surplus = record.iter().skip(width).any(|cell| !trim(cell).is_empty());
            if has_break(record) {
                let what = say!(
                    "单元格内有换行，或引号没有成对",
                    "a cell contains a line break, or a quotation mark is not closed"
                );
                out.error(
                    spot(),
                    Wrong::new(
                        what,
                        say!("请删去换行，引号成对书写", "remove the break; write quotation marks in pairs"),
                    ),
                );
            } else if cells < width || surplus {
                let what =
                    say!("此行有 {cells} 格，表头有 {width} 格", "this row has {cells} cells, the header {width}");
                let instead = say!(
                    "请补齐或删去分隔符；内容含逗号的单元格请加英文双引号",
                    "add or remove separators; put cells that contain a comma into double quotes"
                );
                out.error(spot(), Wrong::new(what, instead));
            }
        }
        if self.rows.is_empty() {
            let what = say!("点表没有测点", "the point table has no points");
            let instead = say!("请在表头下每个测点写一行", "write a row for each point below the header");
            out.warn(Spot::file(&self.path), Wrong::new(what, instead));
        }
    }
}

impl<'a> Row<'a> {
    /// Returns a cell with full-width letters and digits as ASCII; `None` when empty or without its column.
    pub(super) fn code(self, column: Column) -> Option<Cow<'a, str>> {
        self.text(column).map(narrow).filter(|cell| !cell.is_empty())
    }

    /// Returns a cell as it is, without spaces around; `None` when empty or without its column.
    pub(super) fn text(self, column: Column) -> Option<&'a str> {
        match self {
            Self::Table(row) => row.text(column),
            Self::Made(made) => made.text(column),
        }
    }

    /// Returns whether it has a cell of this column at all.
    pub(super) fn has(self, column: Column) -> bool {
        match self {
            Self::Table(row) => row.sheet.columns.get(column as usize).is_some_and(Option::is_some),
            Self::Made(_) => true,
        }
    }

    /// Returns the place of a cell.
    pub(super) fn spot(self, column: Column) -> Spot {
        match self {
            Self::Table(row) => row.spot(column),
            Self::Made(made) => made.spot(column),
        }
    }

    /// Returns what it is called in another row's problem.
    pub(super) fn words(self) -> Words {
        match self {
            Self::Table(TableRow { line, .. }) => say!("第 {line} 行", "row {line}"),
            Self::Made(Made { origin, .. }) => say!("{origin}", "{origin}"),
        }
    }
}

impl<'a> TableRow<'a> {
    /// Returns a cell as it is, without spaces around; `None` when empty or without its column.
    pub(super) fn text(self, column: Column) -> Option<&'a str> {
        let index = self.sheet.columns.get(column as usize).copied().flatten()?;
        self.record.get(index).map(trim).filter(|cell| !cell.is_empty())
    }

    /// Returns the place of a cell.
    pub(super) fn spot(self, column: Column) -> Spot {
        let (en, zh) = column.names();
        Spot { file: self.sheet.path.clone(), line: Some(self.line), place: Place::Cell { zh, en } }
    }
}

fn has_break(record: &StringRecord) -> bool {
    record.iter().any(|cell| cell.contains(['\n', '\r', '\0']))
}

/// Returns the rows with their numbers, remarks and empty ones left out.
pub(super) fn records(text: &str, separator: u8) -> Vec<(u32, StringRecord)> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let rows = reader.records().map_while(Result::ok).take(MAX_ROWS);
    let mut lines = RowLines { rest: text, offset: 0, line: 1 };
    let lined = rows.map(|record| {
        let start = record.position().map_or(0, csv::Position::byte);
        (lines.at(usize::try_from(start).unwrap_or(usize::MAX)), record)
    });
    lined.filter(|(_, record)| !is_remark(record)).collect()
}

/// Lines of the rows. The reader's own count is that of the remarks and empty lines before a row, not of the row.
struct RowLines<'a> {
    rest: &'a str,
    offset: usize,
    line: u32,
}

impl RowLines<'_> {
    /// Returns the line of the row found at or after `start`; starts come in ascending order.
    fn at(&mut self, start: usize) -> u32 {
        self.skip(start.saturating_sub(self.offset));
        while let Some(first) = self.rest.chars().next().filter(|c| matches!(c, '\r' | '\n' | '#')) {
            let comment = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
            self.skip(if first == '#' { comment } else { 1 });
        }
        self.line
    }

    fn skip(&mut self, bytes: usize) {
        let Some((skipped, rest)) = self.rest.split_at_checked(bytes) else { return };
        let breaks = skipped.bytes().filter(|b| *b == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
        (self.rest, self.offset) = (rest, self.offset + bytes);
    }
}

fn is_remark(record: &StringRecord) -> bool {
    record.get(0).is_some_and(|first| trim(first).starts_with(['#', '＃'])) || record.iter().all(|c| trim(c).is_empty())
}

fn separator(text: &str) -> u8 {
    separator_for(text, |cell| Column::find(cell).is_some())
}

/// Returns the separator under which the header has the most known names; comma when none has any.
pub(super) fn separator_for(text: &str, known: impl Fn(&str) -> bool) -> u8 {
    let head: String = text.lines().filter(|l| !trim(l).is_empty() && !l.starts_with(['#', '"'])).take(1).collect();
    let quoted = text.lines().find(|l| l.starts_with('"') && !l.starts_with("\"#")).unwrap_or_default();
    let known = |separator: u8| {
        let cells = |line: &str| line.split(char::from(separator)).filter(|c| known(c.trim_matches('"'))).count();
        cells(&head).max(cells(quoted))
    };
    [b';', b'\t', b','].into_iter().max_by_key(|s| known(*s)).unwrap_or(b',')
}

fn columns(path: &Path, line: u32, header: &StringRecord, out: &mut Findings) -> Option<[Option<usize>; COLUMNS]> {
    let spot = || Spot { file: path.to_owned(), line: Some(line), place: Place::Whole };
    let mut columns = [None; COLUMNS];
    let mut unknown = Vec::new();
    for (index, cell) in header.iter().enumerate().filter(|(_, cell)| !trim(cell).is_empty()) {
        let Some(column) = Column::find(cell) else {
            unknown.push(unknown_column(cell));
            continue;
        };
        let (en, zh) = column.names();
        let place = columns.get_mut(column as usize)?;
        if place.replace(index).is_some() {
            let what = say!("列“{zh}”({en}) 出现两次", "column {zh} ({en}) is there twice");
            out.error(spot(), Wrong::new(what, say!("请删去一列", "remove one")));
        }
    }
    if columns.iter().all(Option::is_none) {
        let what = say!("第一行不是表头：没有认识的列名", "the first row is no header: it has no known column name");
        out.error(spot(), Wrong::new(what, header_wanted()));
        return None;
    }
    unknown.into_iter().for_each(|wrong| out.error(spot(), wrong));
    for (_, en, zh) in
        NAMES.iter().take(REQUIRED).filter(|(c, ..)| columns.get(*c as usize).is_some_and(Option::is_none))
    {
        let what = say!("缺少列“{zh}”({en})", "column {zh} ({en}) is missing");
        out.error(spot(), Wrong::new(what, say!("请在表头加上 {zh} 或 {en}", "add {zh} or {en} to the header")));
    }
    Some(columns)
}

fn unknown_column(cell: &str) -> Wrong {
    let shown = clip(cell);
    let what = say!("未知的列 `{shown}`", "unknown column `{shown}`");
    let names = NAMES.iter().flat_map(|(_, en, zh)| [*en, *zh]);
    let instead = match suggest(&narrow(cell), names) {
        Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
        None => {
            say!("请删去该列；说明文字可写在以 # 开头的行", "remove it; remarks may stand in rows that begin with #")
        }
    };
    Wrong::new(what, instead)
}

fn header_wanted() -> Words {
    say!(
        "请写表头：标识,位号,名称,设备,寄存器类型,地址,编码（或英文名，以英文逗号分隔）",
        "write a header: uid,tag,name,device,table,address,encoding (or the Chinese names, separated by plain commas)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(text: &str) -> (Option<Sheet>, Vec<String>) {
        let mut out = Findings::default();
        let sheet = Sheet::read(Path::new("points.csv"), text, &mut out);
        (sheet, out.sorted(&[]).iter().map(|p| format!("{}: {}", p.at, p.what.en)).collect())
    }

    #[test]
    fn names_are_found_in_both_languages_and_any_order() {
        let (sheet, problems) =
            sheet("地址,UID,位号(tag),名称,Device,寄存器类型,encoding\n7,u1,TT１,一号,d,holding,u16\n");
        assert_eq!(problems, Vec::<String>::new());
        let sheet = sheet.unwrap();
        let row = Row::Table(sheet.rows().next().unwrap());
        assert_eq!(row.code(Column::Address).as_deref(), Some("7"));
        assert_eq!(row.code(Column::Tag).as_deref(), Some("TT1"));
        assert_eq!(row.spot(Column::Address).to_string(), "points.csv:2: column 地址 (address)");
        assert_eq!(row.code(Column::Unit), None);
    }

    #[test]
    fn the_separator_is_the_one_that_makes_columns() {
        for separator in [',', ';', '\t'] {
            let text =
                "uid,tag,name,device,table,address,encoding\na,b,c,d,e,f,g\n".replace(',', &separator.to_string());
            let (sheet, problems) = sheet(&text);
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!(sheet.unwrap().rows().next().unwrap().text(Column::Encoding), Some("g"));
        }
    }

    #[test]
    fn remarks_and_empty_rows_are_skipped_and_lines_still_count() {
        let (sheet, problems) = sheet(
            "# one \"remark\n\"# two, quoted\",,,,,,\nuid,tag,name,device,table,address,encoding\n,,,,,,\n\na,b,c,d,e,f,g\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(sheet.unwrap().rows().map(|r| r.line).collect::<Vec<_>>(), [6]);
    }

    #[test]
    fn rows_have_the_number_that_excel_shows() {
        let text = "# remark\n\n\nuid,tag,name,device,table,address,encoding\na,b,c,d,e,f,g\n# \"remark\n\n\
                    a,b,c,d,e,f,g\n#\na,b,c,d,e,f,g";
        for ending in ["\n", "\r\n", "\r"] {
            let (sheet, problems) = sheet(&text.replace('\n', ending));
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!(sheet.unwrap().rows().map(|r| r.line).collect::<Vec<_>>(), [5, 8, 10], "{ending:?}");
        }
    }

    #[test]
    fn shifted_rows_and_wrong_headers_are_found() {
        let head = "uid,tag,name,device,table,address,encoding";
        let (_, problems) = sheet(&format!("{head}\na,b,c\na,b,c,d,e,f,g,,\na,b,c,d,e,f,g,h\na,\"b\nc\",c,d,e,f,g\n"));
        assert_eq!(
            problems,
            [
                "points.csv:2: this row has 3 cells, the header 7",
                "points.csv:4: this row has 8 cells, the header 7",
                "points.csv:5: a cell contains a line break, or a quotation mark is not closed",
            ]
        );
        let (_, problems) = sheet("uid,tag,nmae,device,table,address,tag\n");
        assert_eq!(
            problems,
            [
                "points.csv: the point table has no points",
                "points.csv:1: column 位号 (tag) is there twice",
                "points.csv:1: unknown column `nmae`",
                "points.csv:1: column 名称 (name) is missing",
                "points.csv:1: column 编码 (encoding) is missing",
            ]
        );
        let (sheet, problems) = sheet("标识，位号，名称\n");
        assert!(sheet.is_none());
        assert!(problems[0].contains("no header"), "{problems:?}");
    }
}
