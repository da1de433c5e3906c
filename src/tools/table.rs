//! Tables for people and CSV for sheets: the same rows, printed in one of two ways. Pure but for the printing.

use std::io::{self, Write};

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Columns that line up, for a terminal.
    Table,
    /// One line for each row, for a sheet.
    Csv,
}

impl Form {
    /// Returns the form that the flag `--csv` means.
    pub fn of(csv: bool) -> Self {
        if csv { Self::Csv } else { Self::Table }
    }
}

/// Rows under a head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns an empty table with these columns.
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { head: head.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row, of as many cells as there are columns.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Returns whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the text.
    pub fn text(&self, form: Form) -> String {
        match form {
            Form::Table => self.lined_up(),
            Form::Csv => {
                let lines = std::iter::once(&self.head).chain(&self.rows);
                lines.map(|line| csv_line(line)).collect()
            }
        }
    }

    /// Prints it; a reader that went away is nobody's error.
    pub fn print(&self, form: Form) {
        say(self.text(form).trim_end());
    }

    fn lined_up(&self) -> String {
        let width = |column: usize| {
            let cells = std::iter::once(&self.head).chain(&self.rows).filter_map(move |line| line.get(column));
            cells.map(|cell| width_of(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut text = String::new();
        for line in std::iter::once(&self.head).chain(&self.rows) {
            let mut row = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                let pad = width.saturating_sub(width_of(cell)) + 2;
                row.push_str(cell);
                row.extend(std::iter::repeat_n(' ', pad));
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Returns one line of CSV with its line break.
pub fn csv_line(cells: &[String]) -> String {
    let quoted = cells.iter().map(|cell| {
        let plain = !cell.contains([',', '"', '\n', '\r']);
        if plain { cell.clone() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    });
    let mut line = quoted.collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// Prints a line at once; a reader that went away is nobody's error.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// Columns that a text takes on a terminal: Chinese characters and full-width signs take two.
fn width_of(text: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}' | '\u{FE30}'..='\u{FE4F}' | '\u{FF00}'..='\u{FF60}' | '\u{FFE0}'..='\u{FFE6}');
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["位号 tag", "值 value"]);
        table.row(["TT101".to_owned(), "23.4".to_owned()]);
        table.row(["一号罐,\"东\"".to_owned(), "-".to_owned()]);
        table
    }

    #[test]
    fn chinese_and_latin_columns_line_up() {
        let text = table().text(Form::Table);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines, ["位号 tag     值 value", "TT101        23.4", "一号罐,\"东\"  -"]);
    }

    #[test]
    fn csv_survives_commas_and_quotes() {
        let text = table().text(Form::Csv);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let rows: Vec<Vec<String>> = reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(rows[2], ["一号罐,\"东\"", "-"]);
    }
}
