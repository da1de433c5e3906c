//! `alarms.toml`: what alarms have in common, who is told and how, the hazard sources, single alarms, and units made from
//! templates. Without the file everything has its defaults ([`super::rules`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::cells::MAX_DELAY;
use super::channel;
use super::draft::{self, Draft, Priorities, Words};
use super::rules::{Channel, ClassRule, Horn, KindRule, Rules, Via, built_in};
use super::templates::{self, Unit};
use crate::config::problem::{Findings, Spot, Wrong, say};
use crate::config::section::{Got, Page, Section};
use crate::config::text::suggest;
use crate::config::value::{Choice, Code, Kind, Label, Ratio, Scalar, Span, choice_wanted, not_allowed, show_duration};
use crate::domain::alarm::severity::{Class, Recipient, Shelving};
use crate::domain::alarm::spec::{Annunciator, Escalation, Follows, HazardSource, STEPS_MAX, Step};
use crate::domain::instrument::InstrumentState;
use crate::domain::phone::Phones;
use crate::output::settings::Output;

/// File of the configuration folder.
pub(crate) const FILE: &str = "alarms.toml";

/// Longest a state of an instrument may be allowed: three days of a long weekend.
const STATE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(72 * 3600));
/// Alarms and units of the file: twice what the largest park has by hand.
const MAX_SECTIONS: usize = 20_000;

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct AlarmsFile {
    pub(super) rules: Rules,
    pub(super) drafts: Vec<Draft>,
    pub(super) units: Vec<Unit>,
    /// Where each hazard source stands.
    pub(super) sources: Vec<Spot>,
    /// Where each configured channel stands, by its id.
    pub(super) channels: Vec<(Arc<str>, Spot)>,
    /// Secrets that were read, to be watched for changes.
    pub(crate) secrets: Vec<PathBuf>,
}

/// Reads the file. `outputs` is `None` where that file could not be read: then nothing is said about outputs here.
pub(crate) fn read(
    page: &Page<'_>,
    table: &Spanned<DeTable<'_>>,
    outputs: Option<&[Arc<Output>]>,
    out: &mut Findings,
) -> AlarmsFile {
    let mut root = Section::root(page, table);
    let mut file = AlarmsFile::default();
    common(&mut root, &mut file.rules, out);
    for (class, mut section) in classes(&mut root, out) {
        let rule = class_rule(class, &mut section, &file.rules.class(class), out);
        section.finish(&[], out);
        file.rules.classes.insert(class, rule);
    }
    kinds(&mut root, &mut file.rules, out);
    told(&mut root, &mut file, outputs, out);
    for section in root.each("hazard_source", out) {
        let spot = section.spot_of("code");
        if let Some(source) = hazard_source(section, out) {
            file.rules.sources.push(source);
            file.sources.push(spot);
        }
    }
    check_sources(&file, out);
    let (alarms, units) = (root.each("alarm", out), root.each("unit", out));
    if alarms.len() + units.len() > MAX_SECTIONS {
        let what =
            say!("报警和单元超过 {MAX_SECTIONS} 节", "there are more than {MAX_SECTIONS} sections of alarms and units");
        out.error(root.spot(), Wrong::new(what, say!("请分到多台网关", "spread them over several gateways")));
    }
    file.drafts = alarms.into_iter().filter_map(|section| draft::read(section, out)).collect();
    file.units = units.into_iter().filter_map(|section| templates::unit(section, out)).collect();
    check_ladders(&file.rules, &root, out);
    root.finish(&[], out);
    file
}

fn common(root: &mut Section<'_>, rules: &mut Rules, out: &mut Findings) {
    let delay = Span(Duration::ZERO, MAX_DELAY);
    let mut gas = root.section("gas", out);
    rules.celsius = gas.or("temperature", &Ratio(-60.0, 100.0), rules.celsius, out);
    gas.finish(&[], out);
    let mut comm = root.section("comm", out);
    rules.comm_delay = comm.or("delay", &delay, rules.comm_delay, out);
    comm.finish(&[], out);
    let mut quality = root.section("quality", out);
    rules.quality_delay = quality.or("delay", &delay, rules.quality_delay, out);
    quality.finish(&[], out);
    let mut states = root.section("state", out);
    for (state, limit) in &mut rules.states {
        *limit = states.or(state.as_str(), &Span(STATE.0, STATE.1), *limit, out);
    }
    let known = rules.states.iter().map(|(state, _)| *state).collect::<Vec<InstrumentState>>();
    states.finish(&[("fault", fault_hint()), ("monitoring", monitoring_hint(&known))], out);
}

fn fault_hint() -> crate::config::problem::Words {
    say!("故障立即报警，没有时限", "a fault is alarmed at once and has no limit of time")
}

fn monitoring_hint(known: &[InstrumentState]) -> crate::config::problem::Words {
    let list = known.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
    say!("监测没有时限；可写：{list}", "monitoring has no limit of time; known: {list}")
}

fn classes<'a>(root: &mut Section<'a>, out: &mut Findings) -> Vec<(Class, Section<'a>)> {
    let mut all = Vec::new();
    for (name, spot, section) in root.section("class", out).tables(out) {
        match Class::from_name(&name) {
            Some(class) => all.push((class, section)),
            None => out.error(spot, not_allowed(&name, choice_wanted(&Class::ALL.map(|(_, en, _)| en)))),
        }
    }
    all
}

fn class_rule(class: Class, section: &mut Section<'_>, default: &ClassRule, out: &mut Findings) -> ClassRule {
    let priority = section.read("priority", &Priorities, out).map(|got| got.value);
    let priority = priority.as_deref().map_or(default.priority, |levels| match levels {
        [first, second, ..] => (*first, *second),
        [only] => (*only, (*only).max(default.priority.1)),
        [] => default.priority,
    });
    let shelving = section.read("shelving", &Shelvings, out);
    check_shelving(class, shelving.as_ref(), out);
    let escalation = section.read("escalation", &Label(64), out).map(|got| got.value.into());
    if let Some(latching) = section.read("latching", &crate::config::value::Yes, out) {
        check_latching(class, &latching, out);
    }
    ClassRule {
        priority,
        shelving: shelving.map_or(default.shelving, |got| got.value),
        escalation: escalation.unwrap_or_else(|| Arc::clone(&default.escalation)),
    }
}

/// Rule 94: level 2 of gas, fire, HH and LL of major hazards only with a second person.
fn check_shelving(class: Class, shelving: Option<&Got<(Shelving, Shelving)>>, out: &mut Findings) {
    let Some(got) = shelving else { return };
    let (first, second) = got.value;
    let lax = match class {
        Class::Fire => first == Shelving::Allowed || second == Shelving::Allowed,
        Class::Gas | Class::MajorHazard => second == Shelving::Allowed,
        Class::Process | Class::Utility | Class::Equipment | Class::System => false,
    };
    if lax {
        let what = say!("这一级不得由一人搁置", "one person alone must not shelve this level");
        let instead = say!(
            "请写 second_person 或 never（规则 94：气体二级、火灾、重大危险源高高报和低低报）",
            "write second_person or never (rule 94: level 2 of gas, fire, HH and LL of major hazards)"
        );
        out.error(got.spot.clone(), Wrong::new(what, instead));
    }
}

fn check_latching(class: Class, latching: &Got<bool>, out: &mut Findings) {
    let strict = matches!(class, Class::Gas | Class::Fire);
    if strict != latching.value {
        let (what, instead) = match strict {
            true => (
                say!("气体和火灾报警必须锁存", "gas and fire alarms latch"),
                say!(
                    "请删去 latching = false（GB 16808，规则 86：手动复位）",
                    "remove latching = false (GB 16808, rule 86: manual reset)"
                ),
            ),
            false => (
                say!("只有气体和火灾整类锁存", "only gas and fire latch as a class"),
                say!("请在单个 [[alarm]] 写 latching = true", "write latching = true in a single [[alarm]]"),
            ),
        };
        out.error(latching.spot.clone(), Wrong::new(what, instead));
    }
}

fn kinds(root: &mut Section<'_>, rules: &mut Rules, out: &mut Findings) {
    for (name, spot, mut section) in root.section("kind", out).tables(out) {
        let word = super::limits::kind_word(&name);
        let is_strict = matches!(word, "gas" | "fire");
        let default = rules.kind(Some(word));
        let delays = Span(Duration::ZERO, MAX_DELAY);
        let percent = section.or("deadband", &Percent, default.deadband_percent, out);
        let on_delay = section.or("delay", &delays, default.on_delay, out);
        let off_delay = section.or("off_delay", &delays, on_delay, out);
        section.finish(&[], out);
        if is_strict {
            let what = say!("气体和火灾没有延时", "gas and fire have no delay");
            out.error(spot, Wrong::new(what, say!("请删去这一节（规则 86、93）", "remove the section (rules 86, 93)")));
            continue;
        }
        let rule = KindRule { deadband_percent: percent, on_delay, off_delay };
        match word {
            "other" | "其他" => rules.other = rule,
            _ => drop(rules.kinds.insert(word.to_owned(), rule)),
        }
    }
}

/// Channels, ladders, annunciators.
fn told(root: &mut Section<'_>, file: &mut AlarmsFile, outputs: Option<&[Arc<Output>]>, out: &mut Findings) {
    let rules = &mut file.rules;
    rules.channels = built_in();
    for section in root.each("channel", out) {
        let spot = section.spot_of("id");
        let Some(channel) = channel::read(section, outputs, &mut file.secrets, out) else { continue };
        if rules.channels.iter().any(|known| known.id == channel.id) {
            let id = &channel.id;
            let what = say!("渠道 `{id}` 已有", "there is a channel `{id}` already");
            out.error(
                spot,
                Wrong::new(
                    what,
                    say!(
                        "请另起名字（page、platform 不用写）",
                        "give it another name (page and platform need no section)"
                    ),
                ),
            );
            continue;
        }
        file.channels.push((Arc::clone(&channel.id), spot));
        rules.channels.push(channel);
    }
    for section in root.each("escalation", out) {
        if let Some(ladder) = escalation(section, &rules.channels, out) {
            rules.escalations.retain(|known| known.name != ladder.name);
            rules.escalations.push(ladder);
        }
    }
    rules.horns = root.each("annunciator", out).into_iter().filter_map(|section| horn(section, outputs, out)).collect();
    let channels = &rules.channels;
    rules.horns.iter_mut().for_each(|horn| name_by_channel(&mut horn.annunciator, channels));
}

/// One output that does not answer is one alarm: where messages go to it too, that of their channel.
fn name_by_channel(annunciator: &mut Annunciator, channels: &[Channel]) {
    let writes_it = |channel: &&Channel| match &channel.via {
        Via::Output { output, .. } => **output == *annunciator.output,
        Via::Page | Via::Platform | Via::Text(_) => false,
    };
    if let Some(channel) = channels.iter().find(writes_it) {
        annunciator.channel = Arc::clone(&channel.id);
    }
}

pub(super) fn check_output(
    output: Option<&Got<String>>,
    values: &[Option<&Got<String>>],
    outputs: Option<&[Arc<Output>]>,
    out: &mut Findings,
) {
    let (Some(output), Some(outputs)) = (output, outputs) else { return };
    let Some(found) = outputs.iter().find(|known| known.id.as_str() == output.value) else {
        let id = &output.value;
        let what = say!("outputs.toml 中没有输出 `{id}`", "there is no output `{id}` in outputs.toml");
        let instead = match suggest(id, outputs.iter().map(|known| known.id.as_str())) {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None => say!("请先在 outputs.toml 加上", "add it to outputs.toml first"),
        };
        return out.error(output.spot.clone(), Wrong::new(what, instead));
    };
    for value in values.iter().flatten() {
        if !found.values.iter().any(|known| known.name == value.value) {
            let (name, known) =
                (&value.value, found.values.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", "));
            let what = say!("该输出没有值 `{name}`", "this output has no value `{name}`");
            out.error(value.spot.clone(), Wrong::new(what, say!("可写：{known}", "known: {known}")));
        }
    }
}

fn escalation(mut section: Section<'_>, channels: &[Channel], out: &mut Findings) -> Option<Escalation> {
    let name = section.need("name", &Label(64), "\"standard\"", out);
    let spot = section.spot_of("steps");
    let sections = section.each("steps", out);
    section.finish(&[], out);
    let n = sections.len();
    let steps: Vec<Step> = sections.into_iter().filter_map(|section| step(section, channels, out)).collect();
    if n == 0 || n > STEPS_MAX {
        let what = say!("须 1 到 {STEPS_MAX} 步", "1 to {STEPS_MAX} steps are needed");
        let instead = say!(
            "请写 steps = [{{ after = \"0s\", channel = \"page\", to = \"control_room\" }}, …]",
            "write steps = [{{ after = \"0s\", channel = \"page\", to = \"control_room\" }}, …]"
        );
        out.error(spot, Wrong::new(what, instead));
        return None;
    }
    if let Some(late) =
        steps.windows(2).find(|pair| pair.first().zip(pair.get(1)).is_some_and(|(a, b)| a.after > b.after))
    {
        let after = late.first().map(|step| show_duration(step.after)).unwrap_or_default();
        let what = say!("{after} 之后的一步更早", "the step behind {after} is earlier");
        out.error(spot, Wrong::new(what, say!("请按时间排列", "put them in the order of time")));
    }
    Some(Escalation { name: name?.value.into(), steps })
}

fn step(mut section: Section<'_>, channels: &[Channel], out: &mut Findings) -> Option<Step> {
    let after = section.need("after", &Span(Duration::ZERO, Duration::from_secs(86_400)), "\"2min\"", out);
    let channel = section.need("channel", &Label(64), "\"page\"", out);
    let to = section.need("to", &RecipientWord, "\"control_room\"", out);
    section.finish(&[], out);
    let channel = channel?;
    if !channels.iter().any(|known| *known.id == *channel.value) {
        let (name, known) = (&channel.value, channels.iter().map(|c| &*c.id).collect::<Vec<_>>().join(", "));
        let what = say!("没有渠道 `{name}`", "there is no channel `{name}`");
        out.error(
            channel.spot.clone(),
            Wrong::new(what, say!("可写：{known}；或加一节 [[channel]]", "known: {known}; or add a [[channel]]")),
        );
    }
    Some(Step { after: after?.value, channel: channel.value.into(), to: to?.value })
}

fn horn(mut section: Section<'_>, outputs: Option<&[Arc<Output>]>, out: &mut Findings) -> Option<Horn> {
    let output = section.need("output", &Code(64), "\"siren-tank-1\"", out);
    let on = section.need("on", &Code(64), "\"on\"", out);
    let off = section.need("off", &Code(64), "\"off\"", out);
    let follows = section.or("follows", &Choice(&["unacknowledged", "standing"]), "unacknowledged", out);
    let classes = section.read("classes", &Classes, out).map(|got| got.value).unwrap_or_default();
    let zones = section.read("zones", &Words, out).map(|got| got.value).unwrap_or_default();
    section.finish(&[], out);
    check_output(output.as_ref(), &[on.as_ref(), off.as_ref()], outputs, out);
    let follows = if follows == "standing" { Follows::Standing } else { Follows::Unacknowledged };
    let (output, on, off): (Arc<str>, _, _) = (output?.value.into(), on?.value.into(), off?.value.into());
    let channel = Arc::clone(&output);
    Some(Horn { annunciator: Annunciator { output, channel, on, off, follows }, classes, zones })
}

fn hazard_source(mut section: Section<'_>, out: &mut Findings) -> Option<HazardSource> {
    let code = section.need("code", &Code(64), "\"HS-370000-0001\"", out);
    let name = section.need("name", &Label(128), "\"…\"", out);
    let mut person = |key| section.need(key, &Label(64), "\"张三 13800000000\"", out).map(|got| got.value);
    let (main, technical, operating) = (person("main"), person("technical"), person("operating"));
    section.finish(&[], out);
    let mut phones = Phones::default();
    let mut named = |text: Option<String>| Some(channel::person(&text?, &mut phones));
    let (main, technical, operating) = (named(main), named(technical), named(operating));
    Some(HazardSource {
        code: code?.value.into(),
        name: name?.value,
        main: main?,
        technical: technical?,
        operating: operating?,
        phones,
    })
}

fn check_sources(file: &AlarmsFile, out: &mut Findings) {
    for (index, (source, spot)) in file.rules.sources.iter().zip(&file.sources).enumerate() {
        if file.rules.source(&source.code) != Some(index) {
            let code = &source.code;
            let what = say!("重大危险源 `{code}` 写了两次", "the hazard source `{code}` is there twice");
            out.error(spot.clone(), Wrong::new(what, say!("请删去一节", "remove one")));
        }
    }
}

fn check_ladders(rules: &Rules, root: &Section<'_>, out: &mut Findings) {
    for (class, rule) in &rules.classes {
        if rules.escalation(&rule.escalation).is_none() {
            let (name, class) = (&rule.escalation, class.as_str());
            let known = rules.escalations.iter().map(|ladder| &*ladder.name).collect::<Vec<_>>().join(", ");
            let what = say!(
                "[class.{class}] 的通知阶梯 `{name}` 不存在",
                "the ladder `{name}` of [class.{class}] is not there"
            );
            out.error(
                root.spot(),
                Wrong::new(
                    what,
                    say!("可写：{known}；或加一节 [[escalation]]", "known: {known}; or add an [[escalation]]"),
                ),
            );
        }
    }
}

/// `5%` or `5`.
struct Percent;

impl Kind for Percent {
    type Out = f64;

    fn read(&self, value: &DeValue<'_>) -> Result<f64, Wrong> {
        let text = Scalar.read(value)?;
        let number = text.trim_end_matches('%').trim().parse::<f64>().ok().filter(|n| (0.0..=50.0).contains(n));
        number.ok_or_else(|| {
            not_allowed(
                &text,
                say!("请写量程百分数，\"0%\" 到 \"50%\"", "write a percentage of the range, \"0%\"..\"50%\""),
            )
        })
    }
}

/// Who may shelve, of both levels: `allowed/second_person`.
struct Shelvings;

impl Kind for Shelvings {
    type Out = (Shelving, Shelving);

    fn read(&self, value: &DeValue<'_>) -> Result<(Shelving, Shelving), Wrong> {
        let text = Scalar.read(value)?;
        let word = |word: &str| match word.trim() {
            "allowed" => Some(Shelving::Allowed),
            "second_person" => Some(Shelving::SecondPerson),
            "never" => Some(Shelving::Never),
            _ => None,
        };
        let (first, second) = text.split_once('/').unwrap_or((&text, &text));
        word(first).zip(word(second)).ok_or_else(|| {
            not_allowed(
                &text,
                say!(
                    "请写 allowed、second_person 或 never，两级如 allowed/second_person",
                    "write allowed, second_person or never, of two levels such as allowed/second_person"
                ),
            )
        })
    }
}

/// A list of classes.
struct Classes;

impl Kind for Classes {
    type Out = Vec<Class>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<Class>, Wrong> {
        let words = Words.read(value)?;
        let known = Class::ALL.map(|(_, en, _)| en);
        words
            .iter()
            .map(|word| Class::from_name(word).ok_or_else(|| not_allowed(word, choice_wanted(&known))))
            .collect()
    }
}

/// Who is told.
struct RecipientWord;

impl Kind for RecipientWord {
    type Out = Recipient;

    fn read(&self, value: &DeValue<'_>) -> Result<Recipient, Wrong> {
        let text = Scalar.read(value)?;
        let known = Recipient::ALL.map(|(_, en, _)| en);
        Recipient::from_name(&text).ok_or_else(|| not_allowed(&text, choice_wanted(&known)))
    }
}
