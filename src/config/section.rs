//! A walk through a parsed TOML document that goes on after a mistake: a `serde` derive stops at the first one, and the
//! user of this project wants all of them at once, each with line and column.
//!
//! A [`Section`] remembers the keys it was asked for; what is left at [`Section::finish`] is an unknown key.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Findings, Place, Spot, Wrong, say};
use super::text::{Lines, suggest};
use super::value::{Kind, clip};

/// Syntax errors reported of one file: what follows the first ones is usually their echo.
const MAX_SYNTAX: usize = 5;

/// Where offsets of one file are.
#[derive(Debug)]
pub(super) struct Page<'a> {
    path: PathBuf,
    lines: Lines<'a>,
}

impl<'a> Page<'a> {
    /// Indexes a file's text.
    pub(super) fn new(path: &Path, text: &'a str) -> Self {
        Self { path: path.to_owned(), lines: Lines::new(text) }
    }

    /// Returns the folder that relative paths start at.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn spot(&self, offset: usize, key: String) -> Spot {
        let (line, column) = self.lines.at(offset);
        Spot { file: self.path.clone(), line: Some(line), place: Place::Key { column, key } }
    }
}

/// Parses a document; syntax errors are recorded and give `None`, so that half a file does not raise false alarms.
pub(super) fn parse<'t>(page: &Page<'_>, text: &'t str, out: &mut Findings) -> Option<Spanned<DeTable<'t>>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(table);
    }
    let mut seen = BTreeSet::new();
    for error in &errors {
        let spot = page.spot(error.span().unwrap_or_default().start, String::new());
        if seen.len() < MAX_SYNTAX && seen.insert(spot.line) {
            let message = clip(error.message());
            let what = say!("TOML 语法错误：{message}", "TOML syntax: {message}");
            let instead = say!(
                "请写 `键 = 值`，文字加英文双引号，节写 `[名称]`；重复的键只留一个",
                "write `key = value`, text in straight double quotes, sections as `[name]`, each key once"
            );
            out.error(spot, Wrong::new(what, instead));
        }
    }
    None
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Got<T> {
    /// The value.
    pub(super) value: T,
    /// Where it stands.
    pub(super) spot: Spot,
}

/// One table of a document, or one that is absent (every optional key then has its default).
pub(super) struct Section<'a> {
    page: &'a Page<'a>,
    name: String,
    table: Option<&'a DeTable<'a>>,
    at: usize,
    asked: BTreeSet<&'static str>,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(super) fn root(page: &'a Page<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self::of(page, String::new(), Some(table.get_ref()), 0)
    }

    /// Returns whether the document has this section at all.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Returns the folder that relative paths start at.
    pub(super) fn folder(&self) -> PathBuf {
        self.page.folder().to_owned()
    }

    /// Returns its name with those around it, without brackets.
    pub(super) fn name(&self) -> &str {
        self.name.trim_matches(['[', ']'])
    }

    /// Returns the section's own place.
    pub(super) fn spot(&self) -> Spot {
        self.page.spot(self.at, self.name.clone())
    }

    /// Returns the place of a key, or of the section when the key is not there.
    pub(super) fn spot_of(&self, key: &str) -> Spot {
        self.find(key).map_or_else(|| self.spot(), |value| self.page.spot(value.span().start, self.label(key)))
    }

    /// Returns the text of a key as written, unchecked.
    pub(super) fn text_of(&self, key: &str) -> Option<String> {
        self.find(key)?.get_ref().as_str().map(str::to_owned)
    }

    /// Returns whether a key is written, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Notes that a key is known here, though nothing is made of it.
    pub(super) fn ignore(&mut self, key: &'static str) {
        self.asked.insert(key);
    }

    /// Reads a key that may be absent. A wrong value is recorded and counts as absent.
    pub(super) fn read<K: Kind>(&mut self, key: &'static str, kind: &K, out: &mut Findings) -> Option<Got<K::Out>> {
        self.asked.insert(key);
        let value = self.find(key)?;
        let spot = self.page.spot(value.span().start, self.label(key));
        match kind.read(value.get_ref()) {
            Ok(value) => Some(Got { value, spot }),
            Err(wrong) => {
                out.error(spot, wrong);
                None
            }
        }
    }

    /// Reads a key with a default.
    pub(super) fn or<K: Kind>(&mut self, key: &'static str, kind: &K, default: K::Out, out: &mut Findings) -> K::Out {
        self.read(key, kind, out).map_or(default, |got| got.value)
    }

    /// Reads a key that must be there; a missing one is recorded with `example`.
    pub(super) fn need<K: Kind>(
        &mut self,
        key: &'static str,
        kind: &K,
        example: &str,
        out: &mut Findings,
    ) -> Option<Got<K::Out>> {
        if self.table.is_some() && self.find(key).is_none() {
            self.asked.insert(key);
            let what = say!("缺少 `{key}`", "`{key}` is missing");
            let instead = say!("请在此节加上 `{key} = {example}`", "add `{key} = {example}` to this section");
            out.error(self.spot(), Wrong::new(what, instead));
            return None;
        }
        self.read(key, kind, out)
    }

    /// Goes into a subsection; an absent one gives an absent section.
    pub(super) fn section(&mut self, key: &'static str, out: &mut Findings) -> Section<'a> {
        self.asked.insert(key);
        let name = self.subname(key);
        let Some(value) = self.find(key) else { return Self::of(self.page, name, None, self.at) };
        let table = value.get_ref().as_table();
        if table.is_none() {
            let what = say!("`{key}` 应是一节", "`{key}` must be a section");
            let instead = say!("请写一行 `{name}`，其下写各键", "write a line `{name}` and its keys below");
            out.error(self.page.spot(value.span().start, self.label(key)), Wrong::new(what, instead));
        }
        Self::of(self.page, name, table, value.span().start)
    }

    /// Goes through `[[key]]`.
    pub(super) fn each(&mut self, key: &'static str, out: &mut Findings) -> Vec<Section<'a>> {
        self.asked.insert(key);
        let name = format!("[{}]", self.subname(key));
        let Some(value) = self.find(key) else { return Vec::new() };
        let items = value.get_ref().as_array().map(|a| a.iter().collect::<Vec<_>>()).unwrap_or_default();
        let tables: Option<Vec<_>> = items.iter().map(|i| Some((i.span(), i.get_ref().as_table()?))).collect();
        let Some(tables) = tables.filter(|t| !t.is_empty()) else {
            let what = say!("`{key}` 应是一组节", "`{key}` must be a list of sections");
            let instead = say!("请为每一个写一行 `{name}`", "write a line `{name}` for each one");
            out.error(self.page.spot(value.span().start, self.label(key)), Wrong::new(what, instead));
            return Vec::new();
        };
        let section = |(span, table): (Range<usize>, _)| Self::of(self.page, name.clone(), Some(table), span.start);
        tables.into_iter().map(section).collect()
    }

    /// Reads every key of a free table, such as `[classes]`, with one kind; `None` where the value is wrong.
    pub(super) fn all<K: Kind>(self, kind: &K, out: &mut Findings) -> Vec<(String, Got<Option<K::Out>>)> {
        let mut all = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            let spot = self.page.spot(value.span().start, self.label(key.get_ref()));
            let read = kind.read(value.get_ref()).map_err(|wrong| out.error(spot.clone(), wrong)).ok();
            all.push((key.get_ref().to_string(), Got { value: read, spot }));
        }
        all
    }

    /// Goes into every key of a free table of sections, such as `[device.set]`; what is no section is recorded.
    pub(super) fn tables(self, out: &mut Findings) -> Vec<(String, Spot, Section<'a>)> {
        let mut all = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            let (name, spot) = (key.get_ref().to_string(), self.page.spot(key.span().start, self.label(key.get_ref())));
            match value.get_ref().as_table() {
                Some(table) => {
                    let section = Self::of(self.page, self.subname(&name), Some(table), value.span().start);
                    all.push((name, spot, section));
                }
                None => {
                    let shown = clip(&name);
                    let what = say!("`{shown}` 应是一组键", "`{shown}` must be a group of keys");
                    let instead = say!("请写 {shown} = {{ 键 = 值 }}", "write {shown} = {{ key = value }}");
                    out.error(spot, Wrong::new(what, instead));
                }
            }
        }
        all
    }

    /// Records the keys nobody asked for. `hints` gives a better answer for some: (key, what to write).
    pub(super) fn finish(self, hints: &[(&str, super::problem::Words)], out: &mut Findings) {
        for key in self.table.into_iter().flatten().map(|(key, _)| key) {
            let name = key.get_ref().as_ref();
            if self.asked.contains(name) {
                continue;
            }
            let shown = clip(name);
            let what = say!("未知的键 `{shown}`", "unknown key `{shown}`");
            let hint = hints.iter().find(|(k, _)| *k == name).map(|(_, words)| words.clone());
            let instead = hint.unwrap_or_else(|| self.known(name));
            out.error(self.page.spot(key.span().start, self.label(&shown)), Wrong::new(what, instead));
        }
    }

    fn known(&self, name: &str) -> super::problem::Words {
        if let Some(meant) = suggest(name, self.asked.iter().copied()) {
            return say!("是否想写 `{meant}`？", "did you mean `{meant}`?");
        }
        let list = self.asked.iter().copied().collect::<Vec<_>>().join(", ");
        say!("请删去；此处可写：{list}", "remove it; known here: {list}")
    }

    fn of(page: &'a Page<'a>, name: String, table: Option<&'a DeTable<'a>>, at: usize) -> Self {
        Self { page, name, table, at, asked: BTreeSet::new() }
    }

    fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?.get(key)
    }

    fn label(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{} {key}", self.name) }
    }

    fn subname(&self, key: &str) -> String {
        let outer = self.name.trim_matches(['[', ']']);
        if outer.is_empty() { format!("[{key}]") } else { format!("[{outer}.{key}]") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::{Slug, Whole};

    fn walk(text: &str) -> Vec<String> {
        let page = Page::new(Path::new("g.toml"), text);
        let mut out = Findings::default();
        if let Some(table) = parse(&page, text, &mut out) {
            let mut root = Section::root(&page, &table);
            let mut one = root.section("one", &mut out);
            one.need("id", &Slug, "\"gw\"", &mut out);
            one.or("port", &Whole(1, 9), 5, &mut out);
            one.finish(&[], &mut out);
            root.finish(&[], &mut out);
        }
        let english = |p: super::super::problem::Problem| format!("{}: {}; {}", p.at, p.what.en, p.instead.en);
        out.sorted(&[]).into_iter().map(english).collect()
    }

    #[test]
    fn every_mistake_of_a_section_is_found_at_once() {
        assert_eq!(
            walk("[one]\nprot = 1\nport = 12\nzzzzzz = 1\n[oen]\n"),
            [
                "g.toml:1:1: [one]: `id` is missing; add `id = \"gw\"` to this section",
                "g.toml:2:1: [one] prot: unknown key `prot`; did you mean `port`?",
                "g.toml:3:8: [one] port: `12` is not in 1..=9; write a whole number 1..=9 without quotes",
                "g.toml:4:1: [one] zzzzzz: unknown key `zzzzzz`; remove it; known here: id, port",
                "g.toml:5:2: oen: unknown key `oen`; did you mean `one`?",
            ]
        );
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let found = walk("[one]\nid = “gw”\n");
        assert!(found[0].starts_with("g.toml:2:6: TOML syntax"), "{found:?}");
    }

    #[test]
    fn a_right_section_is_silent() {
        assert!(walk("[one]\nid = \"gw\"\n").is_empty());
    }
}
