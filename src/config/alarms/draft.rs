//! One `[[alarm]]` as written, of `alarms.toml` or of a template: every key read and checked, points still by name.
//!
//! | `kind` | keys of its own | `limits` |
//! |---|---|---|
//! | `high`, `low` | | one or two, in the point's unit; may stand in the point table instead |
//! | `rate` | `window`, `change` = rise, fall, any | per minute, > 0 |
//! | `deviation` | `from` a number, or `from_point` | distance, > 0 |
//! | `digital` | `when` | |
//! | `combined` | `all` = conditions that hold together | |
//! | `quality` | `of` = qualities | |
//! | `flatline` | | |
//! | `roll_up` | `members`, `rules` = { level, count, gives } | |
//! | `external` | | |
//!
//! A condition is `{ point = "…", when = "on" }`; `when` is `on`, `off`, `=2`, `>=1.5`, `<1.5` or `bit3`.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeValue;

use super::cells::MAX_DELAY;
use crate::config::problem::{Findings, Spot, Wrong, say};
use crate::config::section::{Got, Section};
use crate::config::value::{
    Choice, Code, Kind, Label, Ratio, Scalar, Span, Whole, Yes, choice_wanted, clip, not_allowed,
};
use crate::domain::alarm::ask::Test;
use crate::domain::alarm::severity::{Class, Priority, Shelving};
use crate::domain::alarm::spec::{Change, MAX_LEVELS, RollUp};
use crate::domain::reading::Quality;

/// What may stand as `kind`.
const KINDS: [&str; 10] =
    ["high", "low", "rate", "deviation", "digital", "combined", "quality", "flatline", "roll_up", "external"];
/// Conditions of one combined alarm, and members of a roll-up: a pond has some hundred points.
const MAX_PARTS: usize = 500;

/// A condition, its point by name.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) point: Got<String>,
    pub(super) test: Test,
}

/// What makes it active.
#[derive(Clone, Debug)]
pub(super) enum What {
    High,
    Low,
    Rate { window: Duration, change: Change },
    DeviationFrom(f64),
    DeviationFromPoint(Got<String>),
    Digital(Test),
    All(Vec<Asked>),
    Quality(BTreeSet<Quality>),
    Flatline,
    RollUp { members: Vec<String>, rules: Vec<RollUp> },
    External,
}

impl What {
    /// Returns whether its levels have limits.
    pub(super) fn has_limits(&self) -> bool {
        matches!(
            self,
            Self::High | Self::Low | Self::Rate { .. } | Self::DeviationFrom(_) | Self::DeviationFromPoint(_)
        )
    }

    /// Returns the word of its kind.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
            Self::Rate { .. } => "rate",
            Self::DeviationFrom(_) | Self::DeviationFromPoint(_) => "deviation",
            Self::Digital(_) => "digital",
            Self::All(_) => "combined",
            Self::Quality(_) => "quality",
            Self::Flatline => "flatline",
            Self::RollUp { .. } => "roll_up",
            Self::External => "external",
        }
    }
}

/// How limits that only the design can give are to be written, for a unit of a template.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// E.g. `limits.temperature.high = [..]`.
    pub(super) how: String,
    /// Name of the role.
    pub(super) name: String,
    /// Whether the alarm may be missing.
    pub(super) optional: bool,
}

/// One `[[alarm]]`.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) spot: Spot,
    /// Tag, or role in a template; none of roll-ups and external ones.
    pub(super) point: Option<Got<String>>,
    /// Stands for the kind in the alarm's id.
    pub(super) id: Option<Got<String>>,
    pub(super) what: What,
    pub(super) limits: Option<Got<Vec<f64>>>,
    /// In the limit's unit.
    pub(super) deadband: Option<Got<f64>>,
    pub(super) class: Option<Class>,
    pub(super) priorities: Vec<Priority>,
    pub(super) shelving: Option<Shelving>,
    pub(super) delay: Option<Got<Duration>>,
    pub(super) off_delay: Option<Got<Duration>>,
    pub(super) latching: Option<Got<bool>>,
    pub(super) group: Option<String>,
    pub(super) suppressed_when: Option<Asked>,
    pub(super) escalation: Option<Got<String>>,
    pub(super) zone: Option<Got<String>>,
    pub(super) hazard_source: Option<Got<String>>,
    pub(super) text: Option<String>,
    pub(super) cause: String,
    pub(super) response: String,
    /// Of a unit of a template.
    pub(super) wanted: Option<Wanted>,
}

/// Reads one section; `None` where it cannot be meant.
pub(super) fn read(mut section: Section<'_>, out: &mut Findings) -> Option<Draft> {
    let errors = out.errors();
    let draft = keys(&mut section, out);
    section.finish(&[], out);
    draft.filter(|_| out.errors() == errors)
}

fn keys(section: &mut Section<'_>, out: &mut Findings) -> Option<Draft> {
    let spot = section.spot();
    let kind = section.need("kind", &Choice(&KINDS), "\"digital\"", out).map(|got| got.value);
    let needs_point = !matches!(kind, Some("roll_up" | "external"));
    let point = match needs_point {
        true => section.need("point", &Label(64), "\"TT101\"", out),
        false => section.read("point", &Label(64), out),
    };
    let id = section.read("id", &Code(64), out);
    if let (false, None) = (needs_point, &id) {
        let what = say!("这种报警没有测点，须有 id", "such an alarm has no point and needs an id");
        out.error(spot.clone(), Wrong::new(what, say!("请写 id = \"…\"", "write id = \"…\"")));
    }
    let what = kind.and_then(|kind| what(kind, section, out));
    let (limits, deadband) = (section.read("limits", &Numbers, out), section.read("deadband", &Ratio(0.0, 1e12), out));
    let class = section.read("class", &ClassWord, out).map(|got| got.value);
    let priorities = section.read("priority", &Priorities, out).map(|got| got.value).unwrap_or_default();
    let shelving = section.read("shelving", &ShelvingWord, out).map(|got| got.value);
    let delays = Span(Duration::ZERO, MAX_DELAY);
    let (delay, off_delay) = (section.read("delay", &delays, out), section.read("off_delay", &delays, out));
    let latching = section.read("latching", &Yes, out);
    let mut label = |key, most| section.read(key, &Label(most), out).map(|got| got.value);
    let (group, text) = (label("group", 64), label("text", 200));
    let (cause, response) = (label("cause", 400), label("response", 400));
    let zone = section.read("zone", &Code(64), out);
    let escalation = section.read("escalation", &Label(64), out);
    let hazard_source = section.read("hazard_source", &Code(64), out);
    let mut suppressed = section.section("suppressed_when", out);
    let suppressed_when = suppressed.is_present().then(|| asked(&mut suppressed, out)).flatten();
    suppressed.finish(&[], out);
    Some(Draft {
        spot,
        point,
        id,
        what: what?,
        limits,
        deadband,
        class,
        priorities,
        shelving,
        delay,
        off_delay,
        latching,
        group,
        suppressed_when,
        escalation,
        zone,
        hazard_source,
        text,
        cause: cause.unwrap_or_default(),
        response: response.unwrap_or_default(),
        wanted: None,
    })
}

fn what(kind: &str, section: &mut Section<'_>, out: &mut Findings) -> Option<What> {
    Some(match kind {
        "high" => What::High,
        "low" => What::Low,
        "rate" => {
            let span = Span(Duration::from_secs(2), Duration::from_secs(86_400));
            let window = section.or("window", &span, Duration::from_secs(60), out);
            let change = match section.or("change", &Choice(&["rise", "fall", "any"]), "any", out) {
                "rise" => Change::Rise,
                "fall" => Change::Fall,
                _ => Change::Any,
            };
            What::Rate { window, change }
        }
        "deviation" => {
            let from = section.read("from", &Ratio(-1e12, 1e12), out);
            let point = section.read("from_point", &Label(64), out);
            match (from, point) {
                (Some(from), None) => What::DeviationFrom(from.value),
                (None, Some(point)) => What::DeviationFromPoint(point),
                _ => {
                    let what = say!(
                        "偏差报警须有 from 或 from_point 之一",
                        "a deviation needs one of `from` and `from_point`"
                    );
                    out.error(section.spot(), Wrong::new(what, say!("请写其中一个", "write one of them")));
                    return None;
                }
            }
        }
        "digital" => What::Digital(section.need("when", &When, "\"on\"", out)?.value),
        "combined" => What::All(conditions(section, out)?),
        "quality" => What::Quality(section.need("of", &Qualities, "[\"sensor\", \"comm\"]", out)?.value),
        "flatline" => What::Flatline,
        "roll_up" => {
            let members = section.need("members", &Words, "[\"GT01.high\"]", out);
            let rules = section.each("rules", out).into_iter().filter_map(|s| roll_up(s, out)).collect();
            What::RollUp { members: members?.value, rules }
        }
        _ => What::External,
    })
}

fn conditions(section: &mut Section<'_>, out: &mut Findings) -> Option<Vec<Asked>> {
    let parts = section.each("all", out);
    if parts.is_empty() || parts.len() > MAX_PARTS {
        let what = say!("没有条件", "there is no condition");
        let instead = say!(
            "请写 all = [{{ point = \"…\", when = \"on\" }}, …]",
            "write all = [{{ point = \"…\", when = \"on\" }}, …]"
        );
        out.error(section.spot_of("all"), Wrong::new(what, instead));
        return None;
    }
    let read = parts.into_iter().map(|mut part| {
        let read = asked(&mut part, out);
        part.finish(&[], out);
        read
    });
    read.collect::<Vec<_>>().into_iter().collect()
}

fn asked(section: &mut Section<'_>, out: &mut Findings) -> Option<Asked> {
    let point = section.need("point", &Label(64), "\"XV101\"", out);
    let test = section.or("when", &When, Test::On, out);
    Some(Asked { point: point?, test })
}

fn roll_up(mut section: Section<'_>, out: &mut Findings) -> Option<RollUp> {
    let levels = Whole(1, i64::try_from(MAX_LEVELS).unwrap_or(4));
    let level = section.need("level", &levels, "1", out);
    let count = section.need("count", &Whole(1, 500), "4", out);
    let gives = section.need("gives", &levels, "2", out);
    section.finish(&[], out);
    let small = |n: i64| u8::try_from(n).unwrap_or(1);
    Some(RollUp {
        level: small(level?.value),
        count: usize::try_from(count?.value).unwrap_or(1),
        gives: small(gives?.value),
    })
}

/// A question to a value.
struct When;

impl Kind for When {
    type Out = Test;

    fn read(&self, value: &DeValue<'_>) -> Result<Test, Wrong> {
        let text = Scalar.read(value)?;
        test_of(&text).ok_or_else(|| {
            not_allowed(
                &text,
                say!(
                    "请写 \"on\"、\"off\"、\"=2\"、\">=1.5\"、\"<1.5\" 或 \"bit3\"",
                    "write \"on\", \"off\", \"=2\", \">=1.5\", \"<1.5\" or \"bit3\""
                ),
            )
        })
    }
}

fn test_of(text: &str) -> Option<Test> {
    let number = |rest: &str| rest.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    if let Some(rest) = text.strip_prefix(">=").or_else(|| text.strip_prefix('≥')) {
        return number(rest).map(Test::AtLeast);
    }
    if let Some(rest) = text.strip_prefix('<') {
        return number(rest).map(Test::Below);
    }
    if let Some(rest) = text.strip_prefix('=') {
        return number(rest).map(Test::Equals);
    }
    if let Some(bit) = text.strip_prefix("bit") {
        return bit.parse().ok().filter(|bit| *bit < 64).map(Test::Bit);
    }
    match text {
        "on" => Some(Test::On),
        "off" => Some(Test::Off),
        _ => None,
    }
}

/// A number, or a list of numbers.
pub(super) struct Numbers;

impl Kind for Numbers {
    type Out = Vec<f64>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<f64>, Wrong> {
        let number = Ratio(-1e12, 1e12);
        let Some(list) = value.as_array() else { return number.read(value).map(|one| vec![one]) };
        let read: Vec<f64> = list.iter().map(|item| number.read(item.get_ref())).collect::<Result<_, _>>()?;
        if read.is_empty() || read.len() > MAX_LEVELS {
            let what = say!("须 1 到 {MAX_LEVELS} 个限值", "1 to {MAX_LEVELS} limits are needed");
            return Err(Wrong::new(what, say!("请写如 [80, 90]，由轻到重", "write e.g. [80, 90], mildest first")));
        }
        Ok(read)
    }
}

/// A word, or a list of words.
pub(super) struct Words;

impl Kind for Words {
    type Out = Vec<String>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
        if let Some(one) = value.as_str() {
            return Ok(vec![one.to_owned()]);
        }
        let wanted = || {
            let what = say!("不是文字的列表", "not a list of words");
            Wrong::new(what, say!("请写 [\"…\", \"…\"]", "write [\"…\", \"…\"]"))
        };
        let items = value.as_array().filter(|items| (1..=MAX_PARTS).contains(&items.len())).ok_or_else(wanted)?;
        items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(wanted)
    }
}

/// Priorities by level, mildest first: `yellow/orange`.
pub(super) struct Priorities;

impl Kind for Priorities {
    type Out = Vec<Priority>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<Priority>, Wrong> {
        let text = Scalar.read(value)?;
        let words = text.split('/').map(|word| Priority::from_name(word.trim())).collect::<Option<Vec<_>>>();
        let ascends = |words: &[Priority]| words.windows(2).all(|pair| pair.first() <= pair.get(1));
        words.filter(|words| words.len() <= MAX_LEVELS && ascends(words)).ok_or_else(|| {
            not_allowed(
                &text,
                say!(
                    "请写 red 红、orange 橙、yellow 黄、blue 蓝；多级由轻到重，如 yellow/orange",
                    "write red, orange, yellow or blue; of several levels mildest first, such as yellow/orange"
                ),
            )
        })
    }
}

/// A class.
pub(super) struct ClassWord;

impl Kind for ClassWord {
    type Out = Class;

    fn read(&self, value: &DeValue<'_>) -> Result<Class, Wrong> {
        let text = Scalar.read(value)?;
        let words = Class::ALL.map(|(_, en, _)| en);
        Class::from_name(&text).ok_or_else(|| not_allowed(&text, choice_wanted(&words)))
    }
}

/// Who may shelve.
pub(super) struct ShelvingWord;

impl Kind for ShelvingWord {
    type Out = Shelving;

    fn read(&self, value: &DeValue<'_>) -> Result<Shelving, Wrong> {
        let text = Choice(&["allowed", "second_person", "never"]).read(value)?;
        Ok(match text {
            "allowed" => Shelving::Allowed,
            "second_person" => Shelving::SecondPerson,
            _ => Shelving::Never,
        })
    }
}

/// A list of qualities.
struct Qualities;

impl Kind for Qualities {
    type Out = BTreeSet<Quality>;

    fn read(&self, value: &DeValue<'_>) -> Result<BTreeSet<Quality>, Wrong> {
        const KNOWN: [Quality; 10] = [
            Quality::Comm,
            Quality::Sensor,
            Quality::OverRange,
            Quality::UnderRange,
            Quality::Calibration,
            Quality::Maintenance,
            Quality::Stopped,
            Quality::Substituted,
            Quality::Stale,
            Quality::Suspect,
        ];
        let known = |word: &String| KNOWN.into_iter().find(|quality| quality.as_str() == word);
        let words = Words.read(value)?;
        words
            .iter()
            .map(|word| known(word).ok_or_else(|| not_allowed(&clip(word), choice_wanted(&KNOWN.map(Quality::as_str)))))
            .collect()
    }
}
