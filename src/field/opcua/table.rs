//! A server's variables as a table for people and as the beginning of a point table.

use std::collections::BTreeSet;

use super::super::schedule::fnv1a;
use super::super::settings::opcua::NodeRef;

/// The columns that a made point table has, as `config/points.csv` names them.
const HEADER: &str = "uid,tag,name,device,table,address,encoding,unit,range_low,range_high,class,node";
/// Longest tag and uid of a point table.
const MAX_NAME: usize = 64;

/// A variable of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// The node.
    pub node: NodeRef,
    /// Its browse name: what engineers call it.
    pub name: String,
    /// Its display name: what people read.
    pub title: String,
    /// Its type; in brackets when no point can be made of it.
    pub kind: String,
    /// Its unit (EngineeringUnits), where it has one.
    pub unit: Option<String>,
    /// Its range (EURange), where it has one, low < high.
    pub range: Option<(f64, f64)>,
    /// Whether this user may read it.
    pub readable: bool,
    /// Whether this user could write it; the gateway never does.
    pub writable: bool,
}

impl Variable {
    /// Returns whether a point can be made of it.
    pub fn is_point(&self) -> bool {
        self.readable && !self.kind.starts_with('(')
    }
}

/// Writes the table for people.
pub fn for_people(variables: &[Variable]) -> String {
    let access = |v: &Variable| match (v.readable, v.writable) {
        (true, true) => "rw",
        (true, false) => "r",
        (false, true) => "w",
        (false, false) => "-",
    };
    let range = |v: &Variable| v.range.map_or_else(String::new, |(low, high)| format!("{low}..{high}"));
    let rows = variables.iter().map(|v| {
        [
            v.node.to_string(),
            v.name.clone(),
            v.kind.clone(),
            v.unit.clone().unwrap_or_default(),
            range(v),
            access(v).into(),
        ]
    });
    let head = ["节点 node", "名称 name", "类型 type", "单位 unit", "量程 range", "访问 access"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let wide = |text: &str| text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| wide(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width + 2 - wide(cell)));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    let points = variables.iter().filter(|v| v.is_point()).count();
    let all = variables.len();
    out.push_str(&format!("{all} 个变量，{points} 个可作测点 / {all} variables, {points} can be points\n"));
    out
}

/// Writes a point table of the variables of which points can be made, for the device `device`.
pub fn points_csv(variables: &[Variable], device: &str) -> String {
    let mut out = format!("{HEADER}\n");
    let mut taken = BTreeSet::new();
    for variable in variables.iter().filter(|v| v.is_point()) {
        let node = variable.node.to_string();
        let uid = format!("{device}.{}", code(&variable.name).unwrap_or_else(|| format!("{:08x}", fnv1a(&node))));
        let (uid, tag) = (unique(&uid, &mut taken), unique(&tag(&variable.name), &mut taken));
        let title = if variable.title.trim().is_empty() { &variable.name } else { &variable.title };
        let (low, high) = variable.range.map_or_else(Default::default, |(l, h)| (l.to_string(), h.to_string()));
        let unit = variable.unit.as_deref().unwrap_or_default();
        let cells = [&uid, &tag, title.trim(), device, "", "", "", unit, &low, &high, "normal", &node];
        out.push_str(&cells.map(quoted).join(","));
        out.push('\n');
    }
    out
}

/// The name as a uid, where it is one.
fn code(name: &str) -> Option<String> {
    let fits = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-'));
    fits.then(|| name.to_owned())
}

fn tag(name: &str) -> String {
    let clean = |c: char| if c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\') { '_' } else { c };
    let tag: String = name.chars().map(clean).collect();
    if tag.is_empty() { "point".to_owned() } else { tag }
}

/// Shortens a name and makes it one that was not given yet.
fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    for n in 1_usize.. {
        let suffix = if n == 1 { String::new() } else { format!("-{n}") };
        let kept: String = name.chars().take(MAX_NAME - suffix.len()).collect();
        let candidate = format!("{kept}{suffix}");
        if taken.insert(candidate.clone()) {
            return candidate;
        }
    }
    name.to_owned()
}

fn quoted(cell: &str) -> String {
    let clean: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.contains([',', '"', ';', '\t']) || clean.starts_with('#') {
        format!("\"{}\"", clean.replace('"', "\"\""))
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(node: &str, name: &str, kind: &str) -> Variable {
        Variable {
            node: node.parse().unwrap(),
            name: name.into(),
            title: String::new(),
            kind: kind.into(),
            unit: Some("℃".into()),
            range: Some((-20.0, 80.0)),
            readable: true,
            writable: false,
        }
    }

    #[test]
    fn a_point_table_is_made_of_numbers_with_names_of_their_own() {
        let variables = [
            variable("nsu=urn:dcs;s=A.TI101", "TI101", "Double"),
            variable("nsu=urn:dcs;s=B.TI101", "TI101", "Double"),
            variable("nsu=urn:dcs;s=罐,1", "罐 1", "Int16"),
            variable("nsu=urn:dcs;s=Note", "Note", "(String)"),
        ];
        let csv = points_csv(&variables, "dcs-1");
        let rows: Vec<&str> = csv.lines().collect();
        assert_eq!(
            rows[1],
            "dcs-1.TI101,TI101,TI101,dcs-1,,,,℃,-20,80,normal,nsu=urn:dcs;s=A.TI101"
                .replace("nsu=urn:dcs;s=A.TI101", "\"nsu=urn:dcs;s=A.TI101\"")
        );
        assert!(rows[2].starts_with("dcs-1.TI101-2,TI101-2,"), "{}", rows[2]);
        assert!(rows[3].contains(",罐_1,罐 1,") && rows[3].ends_with("\"nsu=urn:dcs;s=罐,1\""), "{}", rows[3]);
        assert_eq!(rows.len(), 4, "text is left out");
        assert!(for_people(&variables).ends_with("4 个变量，3 个可作测点 / 4 variables, 3 can be points\n"));
    }
}
