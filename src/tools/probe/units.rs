//! `probe modbus`: which units answer, which registers exist, where a value stands and how it is encoded.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use tokio::signal::ctrl_c;

use super::cells::{cells_of, likely_float};
use super::{ModbusArgs, Told, told};
use crate::clock::Clock;
use crate::field::modbus::class::Ask;
use crate::field::modbus::{Answer, Meaning, meaning_of, words_of};
use crate::field::settings::Table;
use crate::tools::line::Line;
use crate::tools::map::Search;
use crate::tools::offset::{self, SHIFTS, WIDTH};
use crate::tools::places::{Expect, notation, word};
use crate::tools::progress::Progress;
use crate::tools::rank::{Candidate, rank};
use crate::tools::table::{Form, Table as Rows, say};

/// Places shown when a value is looked for.
const N_PLACES: usize = 20;
/// Silent blocks of one table after which it is left: a device that answers nothing costs a timeout each.
const N_SILENT: u32 = 3;

pub(super) async fn scan_units(line: &mut Line, args: &ModbusArgs, clock: &Clock) -> Result<(), String> {
    let mut rows = Rows::new(["单元 unit", "结果 found", "说明 detail"]);
    let (mut progress, mut silent) = (Progress::new(clock), 0);
    let units = &args.units.0;
    for (n, unit) in units.iter().enumerate() {
        progress.tell(|| format!("单元 unit {unit} ({n}/{}), 无应答 silent {silent}", units.len()));
        let began = clock.mono();
        let (told, _) = told(line, *unit, Ask { table: Table::Holding, start: 0, count: 1 }).await?;
        let took = format!("{} ms", clock.mono().since(began).as_millis());
        match told {
            Told::Answer(Answer::Exception(code)) if meaning_of(code) == Meaning::NoDevice => {
                rows.row([unit.to_string(), "网关应答，设备不在 gateway only".to_owned(), words_of(code).to_owned()]);
            }
            Told::Answer(Answer::Exception(code)) => {
                rows.row([unit.to_string(), "在，异常 there".to_owned(), format!("{} ({took})", words_of(code))]);
            }
            Told::Answer(_) => rows.row([unit.to_string(), "在 there".to_owned(), format!("4x00001 ({took})")]),
            Told::Silent(why) if why.starts_with("no answer") => silent += 1,
            Told::Silent(why) => rows.row([unit.to_string(), "应答不对 garbled".to_owned(), why]),
            Told::Stopped => break,
        }
    }
    progress.end();
    rows.print(Form::of(args.csv));
    if !args.csv {
        say(&format!("{silent} 个单元无应答 / units silent"));
    }
    Ok(())
}

pub(super) struct Unit<'a> {
    pub(super) line: &'a mut Line,
    pub(super) unit: u8,
    pub(super) clock: &'a Clock,
}

impl Unit<'_> {
    /// Searches a range of a table. Returns what was found, and whether Ctrl-C came.
    async fn search(&mut self, table: Table, range: RangeInclusive<u16>) -> Result<(Search, bool), String> {
        let (mut search, mut progress, mut silent) = (Search::new(range), Progress::new(self.clock), 0);
        while let Some((start, count)) = search.next() {
            let (done, total) = search.progress();
            progress.tell(|| format!("{} {start} ({done}/{total})", word(table)));
            match told(self.line, self.unit, Ask { table, start, count }).await?.0 {
                Told::Answer(answer) => search.took(&answer),
                Told::Silent(why) => {
                    silent += 1;
                    search.skipped();
                    eprintln!("{} {start} ×{count}: {why}", word(table));
                    if silent >= N_SILENT {
                        break;
                    }
                }
                Told::Stopped => return Ok((search, true)),
            }
        }
        Ok((search, false))
    }

    pub(super) async fn map(&mut self, args: &ModbusArgs) -> Result<(), String> {
        let mut rows =
            Rows::new(["表 table", "地址 address", "记法 notation", "hex", "u16", "i16", "起此的浮点 f32 from here"]);
        for table in tables(args) {
            let (search, stopped) = self.search(table, args.range.clone()).await?;
            if let Some(code) = search.trouble() {
                eprintln!("{}: {}", word(table), words_of(code));
            }
            for (address, value) in search.found() {
                let float = search.found().get(&address.saturating_add(1)).filter(|_| !table.is_bits());
                let float = float.map(|next| likely_float(&[*value, *next])).unwrap_or_default();
                let (hex, signed) = (format!("{value:04X}"), value.cast_signed().to_string());
                let place = notation(table, *address);
                rows.row([word(table).to_owned(), address.to_string(), place, hex, value.to_string(), signed, float]);
            }
            if stopped {
                break;
            }
        }
        rows.print(Form::of(args.csv));
        if rows.is_empty() {
            eprintln!("此范围没有读到任何地址 / nothing in this range could be read");
        }
        Ok(())
    }

    /// Reads the registers from a place on, so many times.
    async fn samples(&mut self, table: Table, address: u16, args: &ModbusArgs) -> Result<Vec<Vec<u16>>, String> {
        let mut reads = Vec::new();
        let mut progress = Progress::new(self.clock);
        for n in 0..args.samples {
            if n > 0 {
                progress.tell(|| format!("{n}/{}", args.samples));
                tokio::select! {
                    () = self.clock.sleep_until(self.clock.mono() + args.every) => {}
                    _ = ctrl_c() => break,
                }
            }
            reads.extend(self.registers(table, address).await?);
        }
        Ok(reads)
    }

    /// Reads up to four registers from a place on; fewer where the rest is not there.
    async fn registers(&mut self, table: Table, address: u16) -> Result<Option<Vec<u16>>, String> {
        for count in (1..=WIDTH).rev() {
            if address.checked_add(count - 1).is_none() {
                continue;
            }
            match told(self.line, self.unit, Ask { table, start: address, count }).await?.0 {
                Told::Answer(Answer::Registers(words)) => return Ok(Some(words)),
                Told::Answer(Answer::Bits(bits)) => {
                    return Ok(Some(bits.iter().take(1).map(|on| u16::from(*on)).collect()));
                }
                Told::Answer(Answer::Exception(code)) if meaning_of(code) == Meaning::Refused => {}
                Told::Answer(Answer::Exception(code)) => return Err(words_of(code).to_owned()),
                Told::Silent(why) => return Err(why),
                Told::Stopped => return Ok(None),
            }
        }
        Ok(None)
    }

    pub(super) async fn all_forms(
        &mut self,
        table: Table,
        address: u16,
        expect: Option<Expect>,
        args: &ModbusArgs,
    ) -> Result<(), String> {
        let reads = self.samples(table, address, args).await?;
        let Some(last) = reads.last() else {
            return Err(format!("{} 读不到 / cannot be read", notation(table, address)));
        };
        let mut rows = Rows::new(["编码 encoding", "字节序 order", "系数 scale", "值 value", "评分 score", ""]);
        for candidate in rank(&reads, expect) {
            rows.row(cells_of(&candidate));
        }
        if !args.csv {
            let hex = last.iter().map(|w| format!("{w:04X}")).collect::<Vec<_>>().join(" ");
            say(&format!("{} {address} ({}) = {hex}, {} 次 reads", word(table), notation(table, address), reads.len()));
        }
        rows.print(Form::of(args.csv));
        Ok(())
    }

    pub(super) async fn find(&mut self, expect: Expect, args: &ModbusArgs) -> Result<(), String> {
        let mut found: Vec<(Table, u16, Candidate)> = Vec::new();
        for table in tables(args).into_iter().filter(|table| !table.is_bits()) {
            let mut looks = Vec::new();
            for n in 0..args.samples {
                if n > 0 {
                    self.clock.sleep_until(self.clock.mono() + args.every).await;
                }
                let (search, stopped) = self.search(table, args.range.clone()).await?;
                looks.push(search.found().clone());
                if stopped {
                    break;
                }
            }
            found.extend(where_it_stands(&looks, expect).into_iter().map(|(address, c)| (table, address, c)));
        }
        found.sort_by_key(|(_, _, candidate)| std::cmp::Reverse(candidate.score));
        let mut rows = Rows::new([
            "表 table",
            "地址 address",
            "记法 notation",
            "编码 encoding",
            "字节序 order",
            "系数 scale",
            "值 value",
            "评分 score",
        ]);
        for (table, address, candidate) in found.iter().take(N_PLACES) {
            let [encoding, order, scale, value, score, _] = cells_of(candidate);
            rows.row([
                word(*table).to_owned(),
                address.to_string(),
                notation(*table, *address),
                encoding,
                order,
                scale,
                value,
                score,
            ]);
        }
        rows.print(Form::of(args.csv));
        if found.is_empty() {
            eprintln!("没有找到；放宽 --expect 或 --range / not found; widen --expect or --range");
        }
        Ok(())
    }

    /// Tells whether the manual counts from 0 or 1.
    pub(super) async fn count_from(&mut self, args: &ModbusArgs) -> Result<(), String> {
        let mut words = BTreeMap::new();
        for (i, known) in args.known.iter().enumerate() {
            let first = SHIFTS.iter().min().copied().unwrap_or(0) + i32::from(known.address);
            let last = SHIFTS.iter().max().copied().unwrap_or(0) + i32::from(known.address) + i32::from(WIDTH) - 1;
            let (first, last) = (u16::try_from(first.max(0)).unwrap_or(0), u16::try_from(last).unwrap_or(u16::MAX));
            let (search, _) = self.search(known.table, first..=last).await?;
            words.extend(search.found().iter().map(|(at, word)| ((i, *at), *word)));
        }
        let mut rows = Rows::new([
            "手册地址 listed",
            "线上 wire",
            "编码 encoding",
            "字节序 order",
            "系数 scale",
            "值 value",
            "含义 meaning",
        ]);
        let judged = offset::judge(&args.known, &words);
        for judgement in judged.iter().filter(|judgement| judgement.hits() > 0) {
            for (known, candidate) in args.known.iter().zip(&judgement.explained) {
                let Some(candidate) = candidate else { continue };
                let wire = i32::from(known.address) + judgement.shift;
                let [encoding, order, scale, value, ..] = cells_of(candidate);
                let meaning = offset::meaning(judgement.shift, known.notation).to_owned();
                rows.row([
                    known.text.clone(),
                    format!("{} {wire}", word(known.table)),
                    encoding,
                    order,
                    scale,
                    value,
                    meaning,
                ]);
            }
        }
        rows.print(Form::of(args.csv));
        match judged.as_slice() {
            [best, next, ..] if best.hits() == next.hits() && best.hits() > 0 => {
                eprintln!("不能确定：再给一个 --known / not certain: give another --known");
            }
            [best, ..] if best.hits() == 0 => {
                eprintln!("没有一种读法符合 / no reading is as expected");
            }
            _ => {}
        }
        Ok(())
    }
}

fn tables(args: &ModbusArgs) -> Vec<Table> {
    if args.tables.is_empty() { vec![Table::Holding, Table::Input] } else { args.tables.clone() }
}

/// The places of a table at which what is expected stands, each with its likeliest reading.
fn where_it_stands(looks: &[BTreeMap<u16, u16>], expect: Expect) -> Vec<(u16, Candidate)> {
    let Some(first) = looks.first() else { return Vec::new() };
    let from = |look: &BTreeMap<u16, u16>, address: u16| -> Vec<u16> {
        (0..WIDTH).map_while(|i| look.get(&address.checked_add(i)?).copied()).collect()
    };
    let best = |address: &u16| {
        let reads: Vec<Vec<u16>> = looks.iter().map(|look| from(look, *address)).collect();
        let best = rank(&reads, Some(expect)).into_iter().next()?;
        best.expected.then_some((*address, best))
    };
    first.keys().filter_map(best).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::places;
    use crate::tools::rank::order_word;

    #[test]
    fn where_a_value_stands_is_found_among_other_registers() {
        let words = [7_u16, 0xE979, 0x42F6, 250, 0, 0x42F6];
        let look: BTreeMap<u16, u16> = words.iter().zip(100..).map(|(w, at)| (at, *w)).collect();
        let found = where_it_stands(std::slice::from_ref(&look), places::expect("123.4..123.5").unwrap());
        assert_eq!(found.iter().map(|(at, c)| (*at, order_word(c.order))).collect::<Vec<_>>(), [(101, "cdab")]);
        let found = where_it_stands(&[look], places::expect("25.0").unwrap());
        assert_eq!(found.iter().map(|(at, c)| (*at, c.scale)).collect::<Vec<_>>(), [(103, 0.1)]);
    }
}
