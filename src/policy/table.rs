//! Decision tables: what a safety officer writes to say what must come of what, and what is then tested.
//!
//! A CSV with one case per row. Columns, in any order: `名称`/`case`, `基准`/`base` (a name of [`super::base`]), `事实`/`facts`
//! (`name=value`, separated by `;`), `结论`/`verdict`, `代码`/`codes` (separated by spaces; with `放行`/`allow` it may be left
//! empty); every other column is the dotted name of a fact, an empty cell leaves it as in the base. `?` or `未知` makes a fact
//! unknown, `[a, b]` is a set, `是`/`否` are yes and no. A line that begins with `#` is a remark.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;

use super::base;
use super::flaw::{Flaw, Flaws, both};
use crate::domain::gate::decide::{Asked, Policies, decide};
use crate::domain::gate::facts::Facts;
use crate::domain::gate::verdict::{Decision, Verdict};
use crate::domain::gate::word::{DecisionId, PassageId};
use crate::domain::time::Timestamp;

/// Cases of one table: more are no table that a person reads.
pub const MAX_CASES: usize = 5000;

/// Beginnings that stand for longer ones.
const SHORT: [(&str, &str); 6] = [
    ("person.", "subject."),
    ("vehicle.", "subject."),
    ("hazmat.", "subject.hazmat."),
    ("permit.", "subject.permit."),
    ("papers.", "subject.papers."),
    ("listed.", "subject.listed."),
];

/// Records with names of their own: any member may be set.
const FREE: [&str; 2] = ["subject.papers", "site.warnings"];

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its line.
    pub line: u32,
    /// What it is called.
    pub name: String,
    /// What is known.
    pub facts: Facts,
    /// What must come of it.
    pub verdict: Verdict,
    /// With which codes, all of them; `None`: only the verdict is asked.
    pub codes: Option<BTreeSet<String>>,
}

/// A case that came out otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// The case.
    pub case: Case,
    /// What was decided.
    pub decision: Decision,
}

impl Case {
    /// Decides the case, and returns the decision when it is another one than the table says.
    pub fn test(&self, policies: &dyn Policies) -> Option<Missed> {
        let asked = Asked {
            id: DecisionId::new(self.name.as_str()),
            passage: PassageId::new(self.name.as_str()),
            at: Timestamp(0),
            register_rev: 0,
        };
        let decision = decide(asked, self.facts.clone(), policies);
        let codes: BTreeSet<String> = decision.reasons.iter().map(|reason| reason.code.clone()).collect();
        let same = decision.verdict == self.verdict && self.codes.as_ref().is_none_or(|wanted| *wanted == codes);
        (!same).then(|| Missed { case: self.clone(), decision })
    }
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { case, decision } = self;
        let wanted = case.codes.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
        writeln!(f, "{}：{}：应为 {} {wanted}", case.line, case.name, case.verdict.zh())?;
        write!(
            f,
            "    实为 {} | is `{}`, must be `{}`",
            decision.verdict.zh(),
            decision.verdict.as_str(),
            case.verdict.as_str()
        )?;
        for reason in &decision.reasons {
            let by = reason.policy.as_deref().unwrap_or("固定规则 fixed");
            write!(f, "\n      {} {} {} （{by}）", reason.verdict.as_str(), reason.code, reason.zh)?;
        }
        Ok(())
    }
}

/// Reads a table.
///
/// # Errors
/// Every row that cannot be understood, with its line.
pub fn read(path: &Path, text: &str) -> Result<Vec<Case>, Flaws> {
    let mut flaws = Vec::new();
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).flexible(true).from_reader(text.as_bytes());
    let headers: Vec<String> = match reader.headers() {
        Ok(headers) => headers.iter().map(|name| name.trim().trim_start_matches('\u{feff}').to_owned()).collect(),
        Err(error) => return Err(Flaws(vec![not_csv(path, &error)])),
    };
    let mut cases = Vec::new();
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                flaws.push(not_csv(path, &error));
                break;
            }
        };
        let line = row.position().map_or(0, |at| u32::try_from(at.line()).unwrap_or(u32::MAX));
        let cells = headers.iter().map(String::as_str).zip(row.iter().map(str::trim));
        match case(line, cells) {
            Ok(case) => cases.push(case),
            Err(wrong) => {
                flaws.extend(wrong.into_iter().map(|(what, instead)| Flaw::new(path, Some(line), what, instead)))
            }
        }
        if cases.len() > MAX_CASES {
            let what = both(format!("多于 {MAX_CASES} 行"), format!("more than {MAX_CASES} rows"));
            flaws.push(Flaw::new(path, Some(line), what, both("请分成几张表", "split the table")));
            break;
        }
    }
    if flaws.is_empty() { Ok(cases) } else { Err(Flaws::of(flaws)) }
}

fn not_csv(path: &Path, error: &csv::Error) -> Flaw {
    let line = error.position().map(|at| u32::try_from(at.line()).unwrap_or(u32::MAX));
    let what = both(format!("不是 CSV 表：{error}"), format!("not a CSV table: {error}"));
    Flaw::new(path, line, what, both("请另存为 UTF-8 的 CSV", "save it as CSV in UTF-8"))
}

type Wrong = ((String, String), (String, String));

fn case<'a>(line: u32, cells: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Case, Vec<Wrong>> {
    let (mut name, mut base, mut verdict, mut codes) = ("", "", "", "");
    let mut set: Vec<(&str, &str)> = Vec::new();
    let mut wrong = Vec::new();
    for (column, cell) in cells {
        match column {
            "名称" | "case" => name = cell,
            "基准" | "base" => base = cell,
            "结论" | "verdict" => verdict = cell,
            "代码" | "codes" => codes = cell,
            "事实" | "facts" => set.extend(assignments(cell, &mut wrong)),
            _ if cell.is_empty() => {}
            fact => set.push((fact, cell)),
        }
    }
    let verdict = verdict_of(verdict).map_err(|error| wrong.push(error)).ok();
    let facts = facts(base, &set, &mut wrong);
    match (facts, verdict) {
        (Some(facts), Some(verdict)) if wrong.is_empty() => {
            let codes: BTreeSet<String> = codes.split_whitespace().map(str::to_owned).collect();
            let codes = (!codes.is_empty()).then_some(codes);
            Ok(Case { line, name: name.to_owned(), facts, verdict, codes })
        }
        _ => Err(wrong),
    }
}

fn assignments<'a>(cell: &'a str, wrong: &mut Vec<Wrong>) -> Vec<(&'a str, &'a str)> {
    let parts = cell.split([';', '；']).map(str::trim).filter(|part| !part.is_empty());
    parts
        .filter_map(|part| {
            let pair = part.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            if pair.is_none() {
                let what = both(format!("“{part}”不是 名称=值"), format!("`{part}` is no name=value"));
                wrong.push((what, both("例如 papers.tank=expired", "such as papers.tank=expired")));
            }
            pair
        })
        .collect()
}

fn verdict_of(text: &str) -> Result<Verdict, Wrong> {
    let all = [Verdict::Allow, Verdict::Refer, Verdict::Hold, Verdict::Deny];
    let found = all.into_iter().find(|one| one.as_str() == text || one.zh() == text);
    found.ok_or_else(|| {
        let words: Vec<String> = all.iter().map(|one| format!("{}/{}", one.zh(), one.as_str())).collect();
        let words = words.join(" ");
        (
            both(format!("结论不能是“{text}”"), format!("no verdict: `{text}`")),
            both(format!("请写 {words}"), format!("write {words}")),
        )
    })
}

fn facts(name: &str, set: &[(&str, &str)], wrong: &mut Vec<Wrong>) -> Option<Facts> {
    let Some(start) = base::facts(name) else {
        let names: Vec<String> = base::names().map(|(en, zh)| format!("{zh}/{en}")).collect();
        let names = names.join(" ");
        let what = both(format!("没有名为“{name}”的基准"), format!("there is no base `{name}`"));
        wrong.push((what, both(format!("请写 {names}"), format!("write {names}"))));
        return None;
    };
    // Plain values of our own can always be written.
    let mut json = serde_json::to_value(&start).unwrap_or_default();
    for (name, value) in set {
        match with(&json, name, value) {
            Ok(changed) => json = changed,
            Err(error) => wrong.push(error),
        }
    }
    serde_json::from_value(json).ok()
}

/// Returns the facts with one of them changed, if that gives facts again.
fn with(json: &Json, name: &str, value: &str) -> Result<Json, Wrong> {
    let name = name.trim();
    let short = SHORT.iter().find_map(|(short, long)| name.strip_prefix(short).map(|rest| format!("{long}{rest}")));
    let path = short.unwrap_or_else(|| name.to_owned());
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", &path));
    let pointer = if parent.is_empty() { String::new() } else { format!("/{}", parent.replace('.', "/")) };
    let there = json.pointer(&pointer).and_then(Json::as_object);
    if !there.is_some_and(|record| record.contains_key(key) || FREE.contains(&parent)) {
        let known = there.map(|record| record.keys().cloned().collect::<Vec<_>>().join(", ")).unwrap_or_default();
        let what = both(format!("此基准没有事实 {name}"), format!("this base has no fact {name}"));
        return Err((what, both(format!("可写：{known}"), format!("known: {known}"))));
    }
    for candidate in readings(value) {
        let mut changed = json.clone();
        if let Some(slot) = changed.pointer_mut(&pointer).and_then(Json::as_object_mut) {
            slot.insert(key.to_owned(), candidate);
        }
        if serde_json::from_value::<Facts>(changed.clone()).is_ok() {
            return Ok(changed);
        }
    }
    let why = readings(value).pop().and_then(|last| {
        let mut changed = json.clone();
        changed.pointer_mut(&pointer)?.as_object_mut()?.insert(key.to_owned(), last);
        serde_json::from_value::<Facts>(changed).err().map(|error| error.to_string())
    });
    let why = why.unwrap_or_default();
    let what = both(format!("{name} 不能是“{value}”"), format!("{name} cannot be `{value}`"));
    Err((what, both(format!("原因：{why}"), why)))
}

/// What a cell may mean, the likeliest first.
fn readings(value: &str) -> Vec<Json> {
    let value = value.trim();
    match value {
        "?" | "？" | "未知" | "unknown" => return vec![Json::Null, Json::from("unknown")],
        "是" | "true" => return vec![Json::Bool(true)],
        "否" | "false" => return vec![Json::Bool(false)],
        _ => {}
    }
    if let Some(inner) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let members = inner.split([',', '，', ' ', '、']).map(str::trim).filter(|one| !one.is_empty());
        return vec![members.map(Json::from).collect()];
    }
    let number = value.parse::<i64>().ok().map(Json::from);
    number.into_iter().chain([Json::from(value)]).collect()
}
