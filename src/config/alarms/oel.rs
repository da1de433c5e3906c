//! `oel.csv`: occupational exposure limits, by which set points of toxic gas are judged (GB/T 50493-2019 §5.5.2-3).
//!
//! The shipped table is `config/oel.csv`, built into the program; the file of the configuration folder replaces its rows by
//! gas, and adds others. A row without the name of who verified it only warns.

use std::collections::BTreeMap;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use super::super::problem::{Findings, Place, Spot, Wrong, say};
use super::super::text::{narrow, trim};
use super::super::value::clip;
use crate::domain::alarm::setpoint::Toxic;

/// File of the configuration folder.
pub(crate) const FILE: &str = "oel.csv";

/// The shipped table.
const SHIPPED: &str = include_str!("../../../config/oel.csv");
/// Where a problem says that the shipped table stands.
const SHIPPED_AS: &str = "(shipped) oel.csv";
/// Rows read: the national list of limits has some 360 chemicals.
const MAX_ROWS: usize = 2000;
/// Temperature of the conversion where the site says nothing, in ℃ (rule 82).
pub(super) const CELSIUS: f64 = 25.0;

/// Columns: English name, Chinese name, in the order of the shipped table.
const COLUMNS: [(&str, &str); 10] = [
    ("gas", "气体"),
    ("name", "名称"),
    ("molar_mass", "摩尔质量"),
    ("mac", "MAC"),
    ("twa", "PC-TWA"),
    ("stel", "PC-STEL"),
    ("idlh", "IDLH"),
    ("source", "来源"),
    ("verified_by", "核对人"),
    ("remark", "备注"),
];
const GAS: usize = 0;
const NAME: usize = 1;
const MOLAR_MASS: usize = 2;
const MAC: usize = 3;
const TWA: usize = 4;
const IDLH: usize = 6;
const VERIFIED_BY: usize = 8;

/// One gas.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Formula as written, e.g. `H2S`.
    pub(super) gas: String,
    /// Chinese name.
    pub(super) name: String,
    /// MAC, else PC-TWA, in mg/m³.
    pub(super) oel: f64,
    /// In mg/m³.
    pub(super) idlh: Option<f64>,
    /// In g/mol.
    pub(super) molar_mass: f64,
    /// Who verified it.
    pub(super) verified_by: Option<String>,
}

/// The table, by formula and by Chinese name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Oel {
    rows: Vec<Row>,
    by_name: BTreeMap<String, usize>,
    /// Temperature of the conversion, in ℃.
    pub(super) celsius: f64,
}

impl Row {
    /// Returns what a set point is judged by.
    pub(super) fn toxic(&self, celsius: f64, by_idlh: bool) -> Toxic {
        Toxic {
            oel: self.oel,
            idlh: self.idlh,
            molar_mass: self.molar_mass,
            celsius,
            verified: self.verified_by.is_some(),
            by_idlh,
        }
    }
}

impl Oel {
    /// Reads the shipped table, and over it `own`, the text of the folder's file.
    pub(crate) fn read(own: Option<(&Path, &str)>, out: &mut Findings) -> Self {
        let mut table = Self { celsius: CELSIUS, ..Self::default() };
        table.add(Path::new(SHIPPED_AS), SHIPPED, out);
        if let Some((path, text)) = own {
            table.add(path, text, out);
        }
        table
    }

    /// Finds a gas by its formula or Chinese name.
    pub(super) fn find(&self, gas: &str) -> Option<&Row> {
        self.by_name.get(&key(gas)).and_then(|index| self.rows.get(*index))
    }

    /// Returns the formulas, in file order.
    pub(super) fn gases(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row.gas.as_str())
    }

    fn add(&mut self, path: &Path, text: &str, out: &mut Findings) {
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).comment(Some(b'#')).from_reader(text.as_bytes());
        let mut rows = reader.records().map_while(Result::ok).take(MAX_ROWS);
        let Some(columns) = rows.next().and_then(|header| columns(path, &header, out)) else { return };
        for record in rows.filter(|record| record.iter().any(|cell| !trim(cell).is_empty())) {
            let cells = Cells { path, record: &record, columns: &columns };
            if let Some(row) = cells.row(out) {
                self.put(row);
            }
        }
    }

    fn put(&mut self, row: Row) {
        let index = self.by_name.get(&key(&row.gas)).copied().unwrap_or(self.rows.len());
        self.by_name.insert(key(&row.gas), index);
        self.by_name.insert(key(&row.name), index);
        match self.rows.get_mut(index) {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
    }
}

fn key(gas: &str) -> String {
    let digit = |c: char| match c {
        '₀'..='₉' => char::from_u32(u32::from(c) - u32::from('₀') + u32::from('0')).unwrap_or(c),
        other => other.to_ascii_lowercase(),
    };
    narrow(gas).chars().map(digit).collect()
}

fn columns(path: &Path, header: &StringRecord, out: &mut Findings) -> Option<[Option<usize>; 10]> {
    let place = |(en, zh): (&str, &str)| {
        let is = |cell: &str| {
            let cell = narrow(trim(cell).trim_start_matches('\u{FEFF}')).to_lowercase();
            cell.split([' ', '(', ')']).any(|word| word == en || word == zh.to_lowercase())
        };
        header.iter().position(is)
    };
    let columns = COLUMNS.map(place);
    for needed in [GAS, MOLAR_MASS, MAC, TWA, IDLH, VERIFIED_BY] {
        if let (Some(None), Some((en, zh))) = (columns.get(needed), COLUMNS.get(needed)) {
            let what = say!("缺少列“{zh}”({en})", "column {zh} ({en}) is missing");
            let instead = say!("请照随附的 config/oel.csv 写表头", "write the header as in the shipped config/oel.csv");
            out.error(Spot::file(path), Wrong::new(what, instead));
            return None;
        }
    }
    Some(columns)
}

struct Cells<'a> {
    path: &'a Path,
    record: &'a StringRecord,
    columns: &'a [Option<usize>; 10],
}

impl Cells<'_> {
    fn text(&self, column: usize) -> Option<&str> {
        let index = self.columns.get(column).copied().flatten()?;
        self.record.get(index).map(trim).filter(|cell| !cell.is_empty())
    }

    fn spot(&self, column: usize) -> Spot {
        let (en, zh) = COLUMNS.get(column).copied().unwrap_or_default();
        let line = self.record.position().and_then(|p| u32::try_from(p.line()).ok());
        Spot { file: self.path.to_owned(), line, place: Place::Cell { zh, en } }
    }

    /// `None`: wrong. `Some(None)`: empty.
    fn positive(&self, column: usize, out: &mut Findings) -> Option<Option<f64>> {
        let Some(text) = self.text(column) else { return Some(None) };
        let number = narrow(text).parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
        if number.is_none() {
            let text = clip(text);
            let what = say!("`{text}` 不是大于 0 的数", "`{text}` is no number above 0");
            out.error(
                self.spot(column),
                Wrong::new(what, say!("请写 mg/m³ 的数值，或留空", "write mg/m³, or leave it empty")),
            );
        }
        number.map(Some)
    }

    fn row(&self, out: &mut Findings) -> Option<Row> {
        let Some(gas) = self.text(GAS) else {
            let what = say!("没有气体", "the gas is missing");
            out.error(self.spot(GAS), Wrong::new(what, say!("请写分子式，如 H2S", "write its formula, e.g. H2S")));
            return None;
        };
        let (mass, mac, twa, idlh) = (
            self.positive(MOLAR_MASS, out)?,
            self.positive(MAC, out)?,
            self.positive(TWA, out)?,
            self.positive(IDLH, out)?,
        );
        let (Some(molar_mass), Some(oel)) = (mass, mac.or(twa)) else {
            let gas = clip(gas);
            let what = say!(
                "`{gas}` 缺摩尔质量，或 MAC 与 PC-TWA 都空",
                "`{gas}` has no molar mass, or neither MAC nor PC-TWA"
            );
            out.error(self.spot(MAC), Wrong::new(what, say!("请填写", "fill it in")));
            return None;
        };
        let name = self.text(NAME).unwrap_or(gas).to_owned();
        let verified_by = self.text(VERIFIED_BY).map(str::to_owned);
        Some(Row { gas: gas.to_owned(), name, oel, idlh, molar_mass, verified_by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(own: Option<&str>) -> (Oel, Vec<String>) {
        let mut out = Findings::default();
        let table = Oel::read(own.map(|text| (Path::new("oel.csv"), text)), &mut out);
        (table, out.sorted(&[]).iter().map(|p| format!("{}: {}", p.at, p.what.en)).collect())
    }

    #[test]
    fn the_shipped_table_is_that_of_rule_81_and_nobody_has_verified_it() {
        let (table, problems) = table(None);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(table.rows.len(), 24);
        assert!(table.rows.iter().all(|row| row.verified_by.is_none()));
        let of = |gas: &str| table.find(gas).map(|row| (row.oel, row.idlh));
        assert_eq!(of("H2S"), Some((10.0, Some(430.0))));
        assert_eq!(of("一氧化碳"), Some((20.0, Some(1700.0))), "the TWA, not the STEL");
        assert_eq!((of("h₂s"), of("c2h3cl"), of("X")), (of("硫化氢"), Some((10.0, None)), None));
    }

    #[test]
    fn the_sites_own_rows_replace_the_shipped_ones_and_wrong_ones_are_named() {
        let head = "gas,name,molar_mass,mac,twa,stel,idlh,source,verified_by\n";
        let (own, problems) =
            table(Some(&format!("{head}H2S,硫化氢,34.08,10,,,430,GBZ 2.1,张三\nCS2,二硫化碳,76.14,,5,10,,,\n")));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(own.find("H2S").and_then(|row| row.verified_by.clone()).as_deref(), Some("张三"));
        assert_eq!((own.rows.len(), own.find("CS2").map(|row| row.oel)), (25, Some(5.0)));
        let (_, problems) = table(Some(&format!("{head}A,,-1,1,,,,,\n,,1,1,,,,,\nB,,1,,,,,,\n")));
        assert_eq!(
            problems,
            [
                "oel.csv:2: column 摩尔质量 (molar_mass): `-1` is no number above 0",
                "oel.csv:3: column 气体 (gas): the gas is missing",
                "oel.csv:4: column MAC (mac): `B` has no molar mass, or neither MAC nor PC-TWA",
            ]
        );
        let (_, problems) = table(Some("gas,name\n"));
        assert!(problems[0].contains("molar_mass) is missing"), "{problems:?}");
    }
}
