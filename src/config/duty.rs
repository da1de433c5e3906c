//! `duty.toml`: the daily report, duty, hidden hazards and accident reports. No file, the defaults: a report at 17:00, no
//! shifts.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Findings, Spot, Words, Wrong, say};
use super::section::{Got, Page, Section};
use super::text::suggest;
use super::value::{Kind, Label, Ratio, Span, Whole, not_allowed};
use crate::domain::daybook::calendar::{Date, Minute};
use crate::domain::daybook::rules::{
    AccidentRules, DutyRules, HazardRules, ReportRules, RosterDay, RosterEntry, Rules, Shift,
};
use crate::domain::phone::{CONTROL_ROOM, Phone, Phones};

/// Shifts of a day.
const MAX_SHIFTS: usize = 8;
/// Entries of the roster: a year of three shifts, date by date.
const MAX_ROSTER: usize = 1100;
/// Scheduled duty checks of a day: two each hour are more than anybody bears.
const MAX_CHECKS: usize = 48;
/// Numbers of one person: a mobile, one on the desk, one at home.
const MAX_PHONES: usize = 4;
/// Steps of the escalation of a hazard.
const MAX_CHANNELS: usize = 8;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A local time of day.
struct TimeOfDay;

impl Kind for TimeOfDay {
    type Out = Minute;

    fn read(&self, value: &DeValue<'_>) -> Result<Minute, Wrong> {
        let text = value.as_str().map(str::trim).ok_or_else(|| Wrong::new(no_time(), time_wanted()))?;
        Minute::parse(text).ok_or_else(|| not_allowed(text, time_wanted()))
    }
}

/// A list of local times of day.
struct Times;

impl Kind for Times {
    type Out = Vec<Minute>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<Minute>, Wrong> {
        let wanted = || {
            say!(
                "请写 [\"02:00\", …]，至多 {MAX_CHECKS} 个，不重复",
                "write [\"02:00\", …], at most {MAX_CHECKS}, none of them twice"
            )
        };
        let wrong = || Wrong::new(say!("不是时刻的列表", "not a list of times"), wanted());
        let items = value.as_array().filter(|items| items.len() <= MAX_CHECKS).ok_or_else(wrong)?;
        let times: Vec<Minute> = items.iter().map(|item| TimeOfDay.read(item.get_ref())).collect::<Result<_, _>>()?;
        let mut sorted = times.clone();
        sorted.sort_unstable();
        sorted.dedup();
        (sorted.len() == times.len()).then_some(sorted).ok_or_else(wrong)
    }
}

/// A list of names.
struct Names;

impl Kind for Names {
    type Out = Vec<String>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
        let wrong = || {
            let wanted =
                say!("请写 [\"page\", …]，至多 {MAX_CHANNELS} 个", "write [\"page\", …], at most {MAX_CHANNELS}");
            Wrong::new(say!("不是渠道的列表", "not a list of channels"), wanted)
        };
        let items = value.as_array().filter(|items| items.len() <= MAX_CHANNELS).ok_or_else(wrong)?;
        items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(wrong)
    }
}

/// Days of a roster entry.
struct Days;

impl Kind for Days {
    type Out = RosterDay;

    fn read(&self, value: &DeValue<'_>) -> Result<RosterDay, Wrong> {
        let wanted = || {
            say!(
                "请写日期 \"2026-12-01\"、\"mon\" 到 \"sun\"，或 \"every\"",
                "write a date \"2026-12-01\", \"mon\" to \"sun\", or \"every\""
            )
        };
        let wrong = || Wrong::new(say!("不是日期或星期", "neither a date nor a day of the week"), wanted());
        let text = value.as_str().map(str::trim).ok_or_else(wrong)?;
        if text == "every" {
            return Ok(RosterDay::Every);
        }
        let weekday = (0_u8..).zip(WEEKDAYS).find(|(_, name)| *name == text).map(|(day, _)| RosterDay::Weekday(day));
        weekday.or_else(|| Date::parse(text).map(RosterDay::Date)).ok_or_else(|| not_allowed(text, wanted()))
    }
}

fn no_time() -> Words {
    say!("不是时刻", "no time of day")
}

fn time_wanted() -> Words {
    say!("请写 \"00:00\" 到 \"23:59\"，两位数，加引号", "write \"00:00\" to \"23:59\", two digits each, in quotes")
}

/// Reads the file. `channels` are the ids by which people are told (`alarms.toml`).
pub(super) fn read(page: &Page<'_>, table: &Spanned<DeTable<'_>>, channels: &[String], out: &mut Findings) -> Rules {
    let mut root = Section::root(page, table);
    let report = report(root.section("report", out), out);
    let shifts = shifts(&mut root, out);
    let duty = duty(root.section("duty", out), shifts, out);
    let duty = DutyRules { roster: roster(&mut root, &duty.shifts, out), ..duty };
    let hazard = hazard(root.section("hazard", out), channels, out);
    let accident = accident(root.section("accident", out), out);
    let phones = phones(&mut root, out);
    root.finish(&[], out);
    Rules { report, duty, hazard, accident, phones }
}

fn report(mut section: Section<'_>, out: &mut Findings) -> ReportRules {
    let default = ReportRules::default();
    let at = section.or("at", &TimeOfDay, default.at, out);
    let nil = section.or("nil_coverage", &Ratio(50.0, 100.0), f64::from(default.nil_coverage) / 100.0, out);
    let rules = ReportRules {
        at,
        cut: section.or("day_ends", &TimeOfDay, default.cut, out),
        late_after: section.or("late_after", &Span(MINUTE, DAY), default.late_after, out),
        nil_coverage: hundredths(nil),
        silent_after: section.or("silent_after", &Span(MINUTE * 2, DAY), default.silent_after, out),
    };
    section.finish(&[("cut", say!("请写 day_ends = \"17:00\"", "write day_ends = \"17:00\""))], out);
    rules
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "50..=100, checked")]
fn hundredths(percent: f64) -> u32 {
    (percent * 100.0).round() as u32
}

fn shifts(root: &mut Section<'_>, out: &mut Findings) -> Vec<Shift> {
    let mut shifts: Vec<Shift> = Vec::new();
    for mut section in root.each("shift", out) {
        let name = section.need("name", &Label(16), "\"白班\"", out);
        let begins = section.need("begins", &TimeOfDay, "\"08:00\"", out);
        section.finish(&[("ends", ends_hint())], out);
        let (Some(name), Some(begins)) = (name, begins) else { continue };
        if shifts.iter().any(|shift| shift.name == name.value) {
            let shown = &name.value;
            let what = say!("班次“{shown}”重复", "shift `{shown}` stands here twice");
            out.error(name.spot, Wrong::new(what, say!("请改成唯一的名称", "give each a name of its own")));
        } else if shifts.iter().any(|shift| shift.begins == begins.value) {
            let at = begins.value;
            let what = say!("两个班次同在 {at} 开始", "two shifts begin at {at}");
            out.error(begins.spot, Wrong::new(what, say!("请改其中一个", "change one of them")));
        } else {
            shifts.push(Shift { name: name.value, begins: begins.value });
        }
    }
    if shifts.len() > MAX_SHIFTS {
        let what = say!("班次超过 {MAX_SHIFTS} 个", "more than {MAX_SHIFTS} shifts");
        out.error(root.spot_of("shift"), Wrong::new(what, say!("请合并", "join some")));
    }
    shifts.sort_by_key(|shift| shift.begins);
    shifts
}

fn ends_hint() -> Words {
    say!("请删去：一班到下一班开始为止", "remove it: a shift ends when the next one begins")
}

fn duty(mut section: Section<'_>, shifts: Vec<Shift>, out: &mut Findings) -> DutyRules {
    let default = DutyRules::default();
    let rules = DutyRules {
        shifts,
        roster: Vec::new(),
        handover_within: section.or("handover_within", &Span(MINUTE, HOUR * 4), default.handover_within, out),
        checks: section.or("checks", &Times, default.checks, out),
        check_limit: section.or("check_limit", &Span(MINUTE, MINUTE * 255), default.check_limit, out),
    };
    section.finish(&[], out);
    rules
}

fn roster(root: &mut Section<'_>, shifts: &[Shift], out: &mut Findings) -> Vec<RosterEntry> {
    let mut seen: BTreeMap<(RosterDay, String), Spot> = BTreeMap::new();
    let mut roster = Vec::new();
    let sections = root.each("roster", out);
    if sections.len() > MAX_ROSTER {
        let what = say!("值班表超过 {MAX_ROSTER} 条", "the roster has more than {MAX_ROSTER} entries");
        let instead = say!("请按星期排，或用命令排近日的班", "write it by days of the week, or set dates by command");
        out.error(root.spot_of("roster"), Wrong::new(what, instead));
    }
    for mut section in sections {
        let day = section.need("day", &Days, "\"every\"", out);
        let shift = section.need("shift", &Label(16), "\"白班\"", out);
        let operator = section.need("operator", &Label(64), "\"张三\"", out);
        let leader = section.need("leader", &Label(64), "\"李四\"", out);
        section.finish(&[], out);
        let known = shift.as_ref().is_none_or(|shift| known_shift(shift, shifts, out));
        let (Some(day), Some(shift), Some(operator), Some(leader)) = (day, shift, operator, leader) else { continue };
        if let Some(first) = seen.insert((day.value, shift.value.clone()), day.spot.clone()) {
            let (name, first) = (&shift.value, first.short());
            let what =
                say!("此日“{name}”已排，见 {first}", "shift `{name}` has people for this day already, in {first}");
            out.error(day.spot, Wrong::new(what, say!("请删去一条", "remove one of them")));
        } else if known {
            let (day, shift) = (day.value, shift.value);
            roster.push(RosterEntry { day, shift, operator: operator.value, leader: leader.value });
        }
    }
    warn_of_gaps(root, shifts, &roster, out);
    roster
}

/// Numbers by the names of the roster; those of the control room by `control_room`.
fn phones(root: &mut Section<'_>, out: &mut Findings) -> Phones {
    let mut phones = Phones::default();
    for mut section in root.each("phone", out) {
        let of = section.need("of", &Label(64), "\"张三\"", out);
        let number = section.need("number", &Number, "\"13800138000\"", out);
        section.finish(&[], out);
        let (Some(of), Some(number)) = (of, number) else { continue };
        let name = if of.value == "中控室" { CONTROL_ROOM } else { &of.value };
        if phones.of(name).len() >= MAX_PHONES {
            let what = say!("一人的电话超过 {MAX_PHONES} 个", "one person has more than {MAX_PHONES} numbers");
            out.error(of.spot, Wrong::new(what, say!("请删去一些", "remove some")));
            continue;
        }
        phones.add(name, number.value);
    }
    phones
}

/// The number of a telephone. It is not repeated in the words: it is personal data.
struct Number;

impl Kind for Number {
    type Out = Phone;

    fn read(&self, value: &DeValue<'_>) -> Result<Phone, Wrong> {
        let wrong = || {
            Wrong::new(
                say!("不是电话号码", "no telephone number"),
                say!(
                    "请写 3 到 15 位数字，外国号码前加 +，加引号：\"13800138000\"",
                    "write 3 to 15 digits, with + before a country's code, in quotes: \"13800138000\""
                ),
            )
        };
        value.as_str().and_then(Phone::parse).ok_or_else(wrong)
    }
}

fn known_shift(shift: &Got<String>, shifts: &[Shift], out: &mut Findings) -> bool {
    let known = shifts.iter().any(|known| known.name == shift.value);
    if !known {
        let name = &shift.value;
        let what = say!("没有班次“{name}”", "there is no shift `{name}`");
        let instead = match suggest(name, shifts.iter().map(|shift| shift.name.as_str())) {
            Some(meant) => say!("是否想写“{meant}”？", "did you mean `{meant}`?"),
            None => say!("请先写一节 [[shift]]", "write a section [[shift]] for it first"),
        };
        out.error(shift.spot.clone(), Wrong::new(what, instead));
    }
    known
}

/// Days on which a shift has nobody: duty is 24 hours.
fn warn_of_gaps(root: &Section<'_>, shifts: &[Shift], roster: &[RosterEntry], out: &mut Findings) {
    for Shift { name, .. } in shifts {
        let on = |day: RosterDay| roster.iter().any(|entry| entry.shift == *name && entry.day == day);
        let free: Vec<&str> =
            (0_u8..).zip(WEEKDAYS).filter(|(day, _)| !on(RosterDay::Weekday(*day))).map(|(_, name)| name).collect();
        // A roster that goes by dates is the office's own; it is seen at the beginning of a shift.
        let by_dates = roster.iter().any(|entry| entry.shift == *name && matches!(entry.day, RosterDay::Date(_)));
        if !free.is_empty() && !on(RosterDay::Every) && !by_dates {
            let days = free.join(", ");
            let what = say!("“{name}”在 {days} 无人值班", "nobody is on shift `{name}` on {days}");
            let instead = say!("请补 [[roster]]，值班须 24 小时", "add [[roster]]: duty is 24 hours");
            out.warn(root.spot_of("shift"), Wrong::new(what, instead));
        }
    }
}

fn hazard(mut section: Section<'_>, channels: &[String], out: &mut Findings) -> HazardRules {
    let default = HazardRules::default();
    let count = |n: i64| u32::try_from(n).unwrap_or(0);
    let named = section.read("channels", &Names, out);
    let rules = HazardRules {
        silent_for: section.or("silent_for", &Span(Duration::ZERO, DAY * 30), default.silent_for, out),
        repeats: count(section.or("repeats", &Whole(0, 100), i64::from(default.repeats), out)),
        output_failures: count(section.or("output_failures", &Whole(0, 100), i64::from(default.output_failures), out)),
        escalate_every: section.or("escalate_every", &Span(HOUR, DAY * 30), default.escalate_every, out),
        channels: Vec::new(),
    };
    section.finish(&[], out);
    let Some(named) = named else { return rules };
    for name in named.value.iter().filter(|name| !channels.contains(name)) {
        let what = say!("没有渠道 `{name}`", "there is no channel `{name}`");
        let list = channels.join(", ");
        let instead = match suggest(name, channels.iter().map(String::as_str)) {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None => say!(
                "可写：{list}；其他写在 alarms.toml 的 [[channel]]",
                "known: {list}; others go into [[channel]] of alarms.toml"
            ),
        };
        out.error(named.spot.clone(), Wrong::new(what, instead));
    }
    HazardRules { channels: named.value, ..rules }
}

fn accident(mut section: Section<'_>, out: &mut Findings) -> AccidentRules {
    let default = AccidentRules::default();
    let first_within = section.or("first_within", &Span(MINUTE, HOUR), default.first_within, out);
    let warn = section.read("warn_before", &Span(SECOND, HOUR), out);
    section.finish(&[], out);
    let warn_before = warn.as_ref().map_or(default.warn_before.min(first_within), |got| got.value);
    if let Some(got) = warn.filter(|got| got.value >= first_within) {
        let what = say!("提前量不小于时限", "the warning comes before the time begins");
        let instead = say!("请写小于 first_within 的值", "write less than first_within");
        out.error(got.spot, Wrong::new(what, instead));
    }
    AccidentRules { first_within, warn_before }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::section::parse;

    fn walk(text: &str) -> (Rules, Vec<String>) {
        let page = Page::new(Path::new("duty.toml"), text);
        let mut out = Findings::default();
        let table = parse(&page, text, &mut out).unwrap();
        let rules = read(&page, &table, &["page".into(), "platform".into()], &mut out);
        let shown = |p: super::super::problem::Problem| format!("{}: {}; {}", p.at, p.what.en, p.instead.en);
        (rules, out.sorted(&[]).into_iter().map(shown).collect())
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(walk(""), (Rules::default(), vec![]));
    }

    #[test]
    fn the_shipped_file_shows_the_defaults_and_a_roster() {
        let (rules, problems) = walk(include_str!("../../config/duty.toml"));
        assert_eq!(problems, [""; 0]);
        let (default, shipped) = (Rules::default(), rules.clone());
        assert_eq!((shipped.report, shipped.accident), (default.report, default.accident));
        assert_eq!(HazardRules { channels: vec![], ..shipped.hazard }, default.hazard);
        let duty = shipped.duty;
        let bare = DutyRules { shifts: vec![], roster: vec![], checks: vec![], ..duty.clone() };
        assert_eq!(bare, default.duty);
        assert_eq!((duty.shifts.len(), duty.roster.len(), duty.checks.len()), (2, 3, 1));
    }

    #[test]
    fn every_mistake_is_named_with_its_place_and_what_to_write() {
        let text = "[report]\nat = \"25:00\"\ncut = \"17:00\"\nnil_coverage = 40\n[[shift]]\nname = \"白班\"\nbegins = \
                    \"08:00\"\nends = \"20:00\"\n[[shift]]\nname = \"白班\"\nbegins = \"20:00\"\n[[shift]]\nname = \
                    \"夜班\"\nbegins = \"08:00\"\n[duty]\nchecks = [\"02:00\", \"02:00\"]\n[[roster]]\nday = \
                    \"2026-02-30\"\nshift = \"白班\"\noperator = \"a\"\nleader = \"b\"\n[[roster]]\nday = \
                    \"mon\"\nshift = \"百班\"\noperator = \"a\"\nleader = \"b\"\n[hazard]\nchannels = \
                    [\"pgae\"]\n[accident]\nfirst_within = \"2h\"\nwarn_before = \"60min\"\n";
        let (_, found) = walk(text);
        assert_eq!(
            found,
            [
                "duty.toml:2:6: [report] at: `25:00` is not accepted; write \"00:00\" to \"23:59\", two digits each, in quotes",
                "duty.toml:3:1: [report] cut: unknown key `cut`; write day_ends = \"17:00\"",
                "duty.toml:4:16: [report] nil_coverage: `40` is not in 50..=100; write a number 50..=100 without quotes",
                "duty.toml:5:1: shift: nobody is on shift `白班` on mon, tue, wed, thu, fri, sat, sun; add [[roster]]: duty is 24 hours",
                "duty.toml:8:1: [[shift]] ends: unknown key `ends`; remove it: a shift ends when the next one begins",
                "duty.toml:10:8: [[shift]] name: shift `白班` stands here twice; give each a name of its own",
                "duty.toml:14:10: [[shift]] begins: two shifts begin at 08:00; change one of them",
                "duty.toml:16:10: [duty] checks: not a list of times; write [\"02:00\", …], at most 48, none of them twice",
                "duty.toml:18:7: [[roster]] day: `2026-02-30` is not accepted; write a date \"2026-12-01\", \"mon\" to \"sun\", or \"every\"",
                "duty.toml:24:9: [[roster]] shift: there is no shift `百班`; did you mean `白班`?",
                "duty.toml:28:12: [hazard] channels: there is no channel `pgae`; did you mean `page`?",
                "duty.toml:30:16: [accident] first_within: `2h` is not in 1min..=1h; write 1min..=1h: a number with ms, s, min, h or d",
                "duty.toml:31:15: [accident] warn_before: the warning comes before the time begins; write less than first_within",
            ]
        );
    }

    #[test]
    fn one_shift_on_one_day_has_people_once_and_a_day_without_any_is_warned_of() {
        let entry =
            |day: &str| format!("[[roster]]\nday = \"{day}\"\nshift = \"白班\"\noperator = \"a\"\nleader = \"b\"\n");
        let shift = "[[shift]]\nname = \"白班\"\nbegins = \"08:00\"\n";
        let (_, found) = walk(&format!("{shift}{}{}", entry("every"), entry("every")));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("already, in duty.toml:5"), "{found:?}");
        let (_, found) = walk(&format!("{shift}{}", entry("mon")));
        assert!(found[0].contains("on tue, wed, thu, fri, sat, sun"), "{found:?}");
        let (_, found) = walk(&format!("{shift}{}{}", entry("every"), entry("2026-12-01")));
        assert_eq!(found, [""; 0]);
    }
}
