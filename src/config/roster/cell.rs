//! What the cells of the register's files mean: dates as people and Excel write them, plates, documents, cards, choices.

use std::collections::BTreeSet;

use crate::config::problem::{Words, Wrong, say};
use crate::config::text::suggest;
use crate::config::value::{clip, not_allowed};
use crate::domain::gate::identity::{Flaw, IdKind, IdNumber, check_uscc, is_mobile, mask_number};
use crate::domain::gate::plate::PlateColour;
use crate::domain::gate::register::permit::{Hours, MAX_USES, PermitKind, PermitStage};
use crate::domain::gate::wiegand::Card;
use crate::domain::gate::word::{CompanyId, GateId};
use crate::domain::time::{Timestamp, civil, days_from_civil};

/// Longest text of a cell: a name, a reason, a purpose.
pub(super) const MAX_TEXT: usize = 100;
/// Most values in one cell.
const MAX_VALUES: usize = 64;
const DAY_MS: i64 = 86_400_000;

/// Which end of a validity a date is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The day begins.
    From,
    /// The day is still within.
    Until,
}

/// Reads a date, with or without a time of day, in the park's zone.
pub(super) fn date(cell: &str, end: End, offset_s: i32) -> Result<Timestamp, Wrong> {
    let parsed = parse_date(cell).ok_or_else(|| {
        let cell = clip(cell);
        let what = say!("`{cell}` 不是存在的日期", "`{cell}` is no date that exists");
        Wrong::new(what, say!("请写如 2026-11-26 或 2026-11-26 08:00", "write it as 2026-11-26 or 2026-11-26 08:00"))
    })?;
    let (days, minutes) = parsed;
    let days = if end == End::Until && minutes.is_none() { days + 1 } else { days };
    let local = days * DAY_MS + minutes.unwrap_or(0) * 60_000;
    Ok(Timestamp(local - i64::from(offset_s) * 1000))
}

/// Days since 1970-01-01 and minutes of the day.
fn parse_date(cell: &str) -> Option<(i64, Option<i64>)> {
    let (date, time) = match cell.split_once([' ', 'T']) {
        Some((date, time)) => (date, Some(time.trim())),
        None => (cell, None),
    };
    let date = date.trim_end_matches('日').replace(['年', '月', '/', '.'], "-");
    let parts: Vec<&str> = date.split('-').collect();
    let numbers: Vec<i64> = match parts.as_slice() {
        [whole] if whole.len() == 8 => {
            [whole.get(..4)?, whole.get(4..6)?, whole.get(6..)?].map(number).into_iter().flatten().collect()
        }
        parts => parts.iter().filter_map(|part| number(part)).collect(),
    };
    let [year, month, day] = *numbers.as_slice() else { return None };
    let days = days_from_civil(year, month, day);
    if civil(days) != (year, month, day) || !(1990..=2200).contains(&year) {
        return None;
    }
    let minutes = match time {
        Some(time) => Some(i64::from(minutes(time)?)),
        None => None,
    };
    Some((days, minutes))
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Minutes since midnight of `08:00`, `8:00:00` or `24:00`.
fn minutes(time: &str) -> Option<u16> {
    let mut parts = time.split(':').map(|part| number(part).and_then(|n| u16::try_from(n).ok()));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let fits = (hour < 24 && minute < 60 && second < 60) || (hour, minute, second) == (24, 0, 0);
    (fits && parts.next().is_none()).then_some(hour * 60 + minute)
}

/// Reads hours, `08:00-18:00`, over midnight where the first is later.
pub(super) fn hours(cell: &str) -> Result<Hours, Wrong> {
    let cell = cell.replace(['~', '—', '至'], "-");
    let parsed = cell.split_once('-').and_then(|(from, to)| Some((minutes(from.trim())?, minutes(to.trim())?)));
    let hours = parsed.filter(|(from, to)| from != to && *from < 1440 && *to > 0);
    hours.map(|(from, to)| Hours { from, to }).ok_or_else(|| {
        not_allowed(
            &cell,
            say!("请写如 08:00-18:00，跨零点写 22:00-06:00", "write it as 08:00-18:00, over midnight as 22:00-06:00"),
        )
    })
}

/// Reads a plate's colour.
pub(super) fn colour(cell: &str) -> Result<PlateColour, Wrong> {
    let bare = cell.trim_end_matches('牌').trim_end_matches('色').to_lowercase();
    let bare = if bare == "渐变绿" { "绿" } else { &bare };
    PlateColour::from_name(bare)
        .ok_or_else(|| not_allowed(cell, listed(PlateColour::ALL.iter().map(|c| (c.zh(), c.as_str())))))
}

/// Reads one of a closed list by its word or Chinese name.
pub(super) fn word<T: Copy>(cell: &str, all: &[T], names: fn(T) -> (&'static str, &'static str)) -> Result<T, Wrong> {
    let lower = cell.to_lowercase();
    let found = all.iter().copied().find(|one| {
        let (zh, en) = names(*one);
        zh == cell || en == lower
    });
    found.ok_or_else(|| {
        let candidates = all.iter().flat_map(|one| <[&str; 2]>::from(names(*one)));
        match suggest(cell, candidates) {
            Some(meant) => not_allowed(cell, say!("是否想写 `{meant}`？", "did you mean `{meant}`?")),
            None => not_allowed(cell, listed(all.iter().map(|one| names(*one)))),
        }
    })
}

fn listed(names: impl Iterator<Item = (&'static str, &'static str)>) -> Words {
    let (zh, en): (Vec<_>, Vec<_>) = names.unzip();
    let (zh, en) = (zh.join("、"), en.join(", "));
    say!("请写 {zh} 之一", "write one of {en}")
}

/// Reads the kind of a permit by its word or the city's code.
pub(super) fn permit_kind(cell: &str) -> Result<PermitKind, Wrong> {
    let coded = cell.parse().ok().and_then(PermitKind::from_code);
    coded.map_or_else(|| word(cell, PermitKind::ALL, |kind| (kind.zh(), kind.as_str())), Ok)
}

/// Reads the state of an approval by its word or the city's code.
pub(super) fn stage(cell: &str) -> Result<PermitStage, Wrong> {
    let coded = cell.parse().ok().and_then(PermitStage::from_code);
    coded.map_or_else(|| word(cell, PermitStage::ALL, |stage| (stage.zh(), stage.as_str())), Ok)
}

/// Reads a USCC.
pub(super) fn company(cell: &str) -> Result<CompanyId, Wrong> {
    let code = cell.to_uppercase();
    match check_uscc(&code) {
        Ok(()) => Ok(CompanyId::new(code)),
        Err(flaw) => Err(flawed("统一社会信用代码", "the USCC", &clip(cell), cell, flaw)),
    }
}

/// Reads the number of a document. It is shown masked.
pub(super) fn document(cell: &str, kind: IdKind) -> Result<IdNumber, Wrong> {
    let bare: String = cell.chars().filter(|c| !matches!(c, ' ' | '\'')).collect();
    IdNumber::new(kind, &bare)
        .map_err(|flaw| flawed(kind.zh(), "the document's number", &mask_number(&clip(&bare)), &bare, flaw))
}

fn flawed(zh: &str, en: &str, shown: &str, cell: &str, flaw: Flaw) -> Wrong {
    let (why_zh, why_en) = (flaw.zh(), flaw.en());
    let what = say!("{zh} `{shown}` {why_zh}", "{en} `{shown}` {why_en}");
    let scientific = cell.to_uppercase().contains("E+");
    let instead = match flaw {
        _ if scientific => say!(
            "Excel 已把号码变成科学计数，请把该列设为“文本”后重新填写",
            "Excel has turned the number into 1.1E+17: format the column as text and write it again"
        ),
        Flaw::Length(n) if n > 10 => say!("应为 18 位，请核对", "it has 18 characters; check it"),
        Flaw::Length(_) | Flaw::Character(_) | Flaw::Birth | Flaw::Check(_) => {
            say!("请对照证件核对", "check it against the document")
        }
    };
    Wrong::new(what, instead)
}

/// Reads a mobile phone's number.
pub(super) fn phone(cell: &str) -> Result<String, Wrong> {
    let bare: String = cell.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let bare = bare.strip_prefix("+86").map_or(bare.clone(), str::to_owned);
    if is_mobile(&bare) {
        return Ok(bare);
    }
    let shown = mask_number(&clip(&bare));
    let what = say!("手机号 `{shown}` 不对", "`{shown}` is no mobile phone's number");
    Err(Wrong::new(what, say!("请写 1 开头的 11 位号码", "write 11 digits that begin with 1")))
}

/// Reads several values in one cell, separated by `;`, `、`, `，`, `|` or spaces.
pub(super) fn several(cell: &str) -> Result<BTreeSet<String>, Wrong> {
    let values: BTreeSet<String> = cell
        .split([';', '、', '，', '|', ' ', ','])
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect();
    match values.iter().find(|value| value.chars().count() > 40) {
        Some(long) => Err(not_allowed(long, say!("每项不超过 40 字", "at most 40 characters each"))),
        None if values.len() > MAX_VALUES => {
            let what = say!("超过 {MAX_VALUES} 项", "more than {MAX_VALUES} values");
            Err(Wrong::new(what, say!("请减少", "write fewer")))
        }
        None => Ok(values),
    }
}

/// Reads cards.
pub(super) fn cards(cell: &str) -> Result<BTreeSet<Card>, Wrong> {
    let parts = cell.split([';', '、', '|', ' ']).filter(|part| !part.is_empty());
    let cards: Result<BTreeSet<Card>, Wrong> = parts
        .map(|part| {
            Card::parse(part).ok_or_else(|| {
                let instead = say!(
                    "请写卡面上的 10 位数字，或 018,13398，或 0x123456；多张卡用 ; 分开",
                    "write the ten digits on the card, or 018,13398, or 0x123456; several cards with ; between"
                );
                not_allowed(part, instead)
            })
        })
        .collect();
    cards.and_then(|cards| {
        let n = cards.len();
        if n <= 8 {
            return Ok(cards);
        }
        Err(Wrong::new(say!("{n} 张卡", "{n} cards"), say!("一人最多 8 张", "at most 8 for a person")))
    })
}

/// Reads classes of dangerous goods: `2`, `2.1`, `3`.
pub(super) fn classes(cell: &str) -> Result<BTreeSet<String>, Wrong> {
    let classes = several(cell)?;
    let is_class = |class: &String| {
        let mut chars = class.chars();
        let (main, rest) = (chars.next(), chars.as_str());
        let division =
            rest.strip_prefix('.').is_some_and(|d| d.len() == 1 && d.chars().all(|c| ('1'..='6').contains(&c)));
        main.is_some_and(|c| ('1'..='9').contains(&c)) && (rest.is_empty() || division)
    };
    let stripped: BTreeSet<String> =
        classes.iter().map(|class| class.trim_start_matches('第').trim_end_matches(['类', '项']).to_owned()).collect();
    match stripped.iter().find(|class| !is_class(class)) {
        Some(wrong) => Err(not_allowed(
            wrong,
            say!("请写类别，如 3 或 2.1；多项用 ; 分开", "write classes such as 3 or 2.1, with ; between"),
        )),
        None => Ok(stripped),
    }
}

/// Reads gates.
pub(super) fn gates(cell: &str) -> Result<BTreeSet<GateId>, Wrong> {
    Ok(several(cell)?.into_iter().map(GateId::new).collect())
}

/// Reads yes or no.
pub(super) fn yes(cell: &str) -> Result<bool, Wrong> {
    match cell.to_lowercase().as_str() {
        "是" | "yes" | "y" | "1" | "true" | "有" => Ok(true),
        "否" | "no" | "n" | "0" | "false" | "无" => Ok(false),
        _ => Err(not_allowed(cell, say!("请写 是 或 否", "write yes or no"))),
    }
}

/// Reads a weight in kilograms.
pub(super) fn kilograms(cell: &str) -> Result<u32, Wrong> {
    let kg = cell.parse::<u32>().ok().filter(|kg| (100..=200_000).contains(kg));
    kg.ok_or_else(|| not_allowed(cell, say!("请写千克整数，如 49000", "write whole kilograms, e.g. 49000")))
}

/// Reads a number of uses; `None`: any.
pub(super) fn uses(cell: &str) -> Result<Option<u32>, Wrong> {
    if ["不限", "unlimited", "多次"].contains(&cell.to_lowercase().as_str()) {
        return Ok(None);
    }
    let uses = cell.parse::<u32>().ok().filter(|uses| (1..=MAX_USES).contains(uses));
    uses.map(Some).ok_or_else(|| {
        not_allowed(
            cell,
            say!("请写 1 到 {MAX_USES} 的整数，或“不限”", "write a whole number from 1 to {MAX_USES}, or `unlimited`"),
        )
    })
}
