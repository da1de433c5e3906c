//! The roll on paper: a text for any printer, a page for a browser. Pure functions of the roll, so that they work with every
//! link down; who the persons are comes from the store of persons, at the moment of printing, and is not kept here.

use super::roll::{How, Occupant, Roll, Row, RowState};
use crate::domain::gate::word::PersonRef;
use crate::domain::time::Timestamp;

/// What is known of a person by name; in an emergency, in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Name.
    pub name: String,
    /// Company.
    pub company: String,
    /// Telephone.
    pub phone: String,
}

/// What a sheet needs beside the roll.
pub struct Sheet<'a> {
    /// Name of the park.
    pub park: &'a str,
    /// Offset of its clocks from UTC, in minutes.
    pub offset_min: i32,
    /// When it is printed.
    pub at: Timestamp,
    /// Who the persons are; `None`: not known, the reference is printed.
    pub who: &'a dyn Fn(&PersonRef) -> Option<Contact>,
}

/// Headings of the columns.
const COLUMNS: [&str; 8] =
    ["序号", "姓名 name", "单位 company", "电话", "区域 zone", "最后卡口 last gate", "时间 time", "状态 state"];

impl Sheet<'_> {
    fn time(&self, at: Timestamp) -> String {
        let shifted = Timestamp(at.0.saturating_add(i64::from(self.offset_min) * 60_000)).to_string();
        shifted.chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
    }

    fn cells(&self, row: &Row) -> [String; 8] {
        let contact = match &row.who {
            Occupant::Person(person) => {
                (self.who)(person).unwrap_or_else(|| Contact { name: person.to_string(), ..Contact::default() })
            }
            Occupant::Unidentified => Contact { name: "未识别人员".into(), ..Contact::default() },
        };
        let with = row.with.as_ref().map(|plate| format!(" [{plate}]")).unwrap_or_default();
        let company = if contact.company.is_empty() {
            row.company.as_ref().map(ToString::to_string).unwrap_or_default()
        } else {
            contact.company
        };
        let gate =
            row.last.as_ref().map(|last| format!("{}/{}", last.gate, last.lane)).unwrap_or_else(|| "盘点".into());
        let at = row.last.as_ref().map(|last| self.time(last.at)).unwrap_or_default();
        let zone = match &row.position {
            Some(position) => format!("{} ({} {})", row.zone, position.place, self.time(position.at)),
            None => row.zone.to_string(),
        };
        [(row.n + 1).to_string(), contact.name + &with, company, contact.phone, zone, gate, at, self.state(row)]
    }

    fn state(&self, row: &Row) -> String {
        match &row.state {
            RowState::Unaccounted if row.sos.is_some() => "未到 · 求救 SOS".into(),
            RowState::Unaccounted => "未到 UNACCOUNTED".into(),
            RowState::Safe { how, at } => {
                let how = match how {
                    How::Exit { gate, .. } => format!("出园 {gate}"),
                    How::Corrected => "更正".into(),
                    How::CheckIn { point, .. } => format!("集合点 {point}"),
                    How::Warden { by, reason } => format!("{by}: {reason}"),
                };
                format!("安全 {} {how}", self.time(*at))
            }
        }
    }

    fn head(&self, roll: &Roll) -> String {
        let kind = if roll.drill { "【演练】人员清点表 MUSTER (DRILL)" } else { "人员清点表 MUSTER" };
        format!("{} {kind}", self.park)
    }

    fn summary(&self, roll: &Roll) -> Vec<String> {
        let n = roll.numbers();
        let mut lines = vec![
            format!("区域 zone: {}    T0: {}    打印 printed: {}", roll.zone, self.time(roll.at), self.time(self.at)),
            format!(
                "应到 listed {}    安全 safe {}    未到 unaccounted {} (其中未识别 unidentified {})",
                n.listed, n.safe, n.unaccounted, n.unidentified
            ),
        ];
        if n.unread_out > 0 {
            lines.push(format!(
                "另有 {} 人未刷卡离开，可能在未到名单中 / left unread, may be among the unaccounted",
                n.unread_out
            ));
        }
        if n.after > 0 {
            lines.push(format!("T0 之后入内（救援等） {} 人 / came in after T0", n.after));
        }
        if !roll.strangers.is_empty() {
            lines.push(format!("名单外签到 {} 人 / checked in, on no list", roll.strangers.len()));
        }
        if roll.uncounted > 0 {
            lines.push(format!("名单未列出 {} 人 / not named here", roll.uncounted));
        }
        lines
    }
}

/// Returns the roll as text, those unaccounted for first. Columns are divided by `|`.
pub fn text(roll: &Roll, sheet: &Sheet<'_>) -> String {
    let mut page = sheet.head(roll) + "\n";
    for line in sheet.summary(roll) {
        page.push_str(&line);
        page.push('\n');
    }
    page.push('\n');
    page.push_str(&COLUMNS.join(" | "));
    page.push('\n');
    for row in roll.in_order() {
        let cells = sheet.cells(row).map(|cell| cell.replace(['\n', '\r', '|'], " "));
        page.push_str(&cells.join(" | "));
        page.push('\n');
    }
    page
}

/// Returns the roll as a page that needs nothing from anywhere.
pub fn html(roll: &Roll, sheet: &Sheet<'_>) -> String {
    let title = escaped(&sheet.head(roll));
    let mut page = format!(
        "<!doctype html><html lang=\"zh\"><meta charset=\"utf-8\"><title>{title}</title><style>body{{font:12pt sans-serif}}\
         table{{border-collapse:collapse;width:100%}}td,th{{border:1px solid #000;padding:2px 6px;text-align:left}}\
         tr{{break-inside:avoid}}tr.open{{font-weight:bold}}</style><h1>{title}</h1>"
    );
    for line in sheet.summary(roll) {
        page.push_str(&format!("<p>{}</p>", escaped(&line)));
    }
    let head: String = COLUMNS.iter().map(|column| format!("<th>{column}</th>")).collect();
    page.push_str(&format!("<table><thead><tr>{head}</tr></thead><tbody>"));
    for row in roll.in_order() {
        let cells: String = sheet.cells(row).iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        let class = if row.state == RowState::Unaccounted { " class=\"open\"" } else { "" };
        page.push_str(&format!("<tr{class}>{cells}</tr>"));
    }
    page + "</tbody></table></html>\n"
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
