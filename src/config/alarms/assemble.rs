//! Single alarms: a [`Draft`] with its points found, its limits checked, made into an alarm as its class has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::build::Builder;
use super::draft::{Asked, Draft, Wanted, What};
use super::limits;
use crate::config::problem::{Findings, Spot, Wrong, say};
use crate::config::section::Got;
use crate::config::text::suggest;
use crate::config::value::clip;
use crate::domain::alarm::ask::PointCondition;
use crate::domain::alarm::severity::{Class, Priority, Shelving};
use crate::domain::alarm::spec::{AlarmSpec, Condition, Level, PointRef, Reference, Subject};
use crate::domain::registry::PointSpec;

/// Mistakes for which the word that was meant is looked for: among 100,000 tags it takes milliseconds each.
const N_SUGGESTED: usize = 100;

/// Returns whether there are still few mistakes.
pub(super) fn suggesting(out: &Findings) -> bool {
    out.errors() < N_SUGGESTED
}

/// Limits with the index of their level: a lone HH has the weight of the second one.
type Levels = Vec<(f64, usize)>;

impl Builder<'_> {
    /// Makes the alarm of a draft, unless it is wrong, which is told.
    pub(super) fn add_draft(&mut self, draft: &Draft, out: &mut Findings, notes: &mut Findings) {
        let errors = out.errors();
        let at = match &draft.point {
            Some(point) => match self.find(point, out) {
                Some(at) => Some(at),
                None => return,
            },
            None => None,
        };
        let Some(condition) = self.condition(&draft.what, out) else { return };
        let class = draft.class.unwrap_or_else(|| self.class_of(at, draft.hazard_source.is_some()));
        let Some(levels) = self.levels_of(draft, at, out, notes) else { return };
        self.check(draft, class, at, &levels, out);
        let Some(mut alarm) = self.raw(draft, at, class, condition, &levels) else { return };
        self.weigh(&mut alarm, draft, class, &levels);
        self.wire(&mut alarm, draft, out);
        if out.errors() > errors {
            return;
        }
        if self.has(&alarm.id) {
            let id = &alarm.id;
            let what = say!("报警 `{id}` 重复", "the alarm `{id}` is there twice");
            let instead = say!("请合并，或写 id = \"…\" 区分", "make it one, or write id = \"…\" to tell them apart");
            return out.error(draft.spot.clone(), Wrong::new(what, instead));
        }
        self.asked_at.insert(Arc::clone(&alarm.id), (class, draft.spot.clone()));
        self.push(alarm);
    }

    fn find(&self, point: &Got<String>, out: &mut Findings) -> Option<PointRef> {
        let found = self.by_tag.get(point.value.as_str()).copied();
        if found.is_none() {
            let tag = clip(&point.value);
            let what = say!("没有位号 `{tag}`", "there is no tag `{tag}`");
            let meant = suggesting(out).then(|| suggest(&point.value, self.by_tag.keys().copied())).flatten();
            let instead = match meant {
                Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
                None => say!(
                    "请写点表、模板或派生测点中的位号",
                    "write a tag of the point table, a profile or a derived point"
                ),
            };
            out.error(point.spot.clone(), Wrong::new(what, instead));
        }
        found
    }

    fn asked(&self, asked: &Asked, out: &mut Findings) -> Option<PointCondition> {
        Some(PointCondition { at: self.find(&asked.point, out)?, test: asked.test })
    }

    fn condition(&self, what: &What, out: &mut Findings) -> Option<Condition> {
        Some(match what {
            What::High => Condition::High,
            What::Low => Condition::Low,
            What::Rate { window, change } => Condition::Rate { window: *window, change: *change },
            What::DeviationFrom(value) => Condition::Deviation { from: Reference::Value(*value) },
            What::DeviationFromPoint(point) => Condition::Deviation { from: Reference::Point(self.find(point, out)?) },
            What::Digital(test) => Condition::Digital { test: *test },
            What::All(all) => {
                let conditions: Vec<_> = all.iter().map(|asked| self.asked(asked, out)).collect();
                Condition::All { conditions: conditions.into_iter().collect::<Option<_>>()? }
            }
            What::Quality(of) => Condition::Quality { of: of.clone() },
            What::Flatline => Condition::Flatline,
            What::RollUp { members, rules } => Condition::RollUp {
                members: members.iter().map(|member| Arc::from(member.as_str())).collect(),
                rules: rules.clone(),
            },
            What::External => Condition::External,
        })
    }

    fn class_of(&self, at: Option<PointRef>, of_source: bool) -> Class {
        let Some((_, spec)) = at.and_then(|at| self.point(at)) else { return Class::System };
        match limits::kind(spec) {
            Some("fire") => Class::Fire,
            _ if of_source || spec.platform.hazard_source.is_some() => Class::MajorHazard,
            _ => Class::Process,
        }
    }

    /// The limits of the draft, or those of the table. `None`: there are none where there should be, which was told.
    fn levels_of(
        &self,
        draft: &Draft,
        at: Option<PointRef>,
        out: &mut Findings,
        notes: &mut Findings,
    ) -> Option<Levels> {
        if !draft.what.has_limits() {
            return Some(Vec::new());
        }
        if let Some(limits) = &draft.limits {
            return Some(limits.value.iter().copied().zip(0..).collect());
        }
        let four = at.and_then(|at| self.fours.get(&at));
        let of_table: Levels = match (&draft.what, four) {
            (What::High, Some(four)) => present([four.high, four.high_high]),
            (What::Low, Some(four)) => present([four.low, four.low_low]),
            _ => Vec::new(),
        };
        if !of_table.is_empty() {
            return Some(of_table);
        }
        let tag = draft.point.as_ref().map(|point| point.value.clone()).unwrap_or_default();
        let word = draft.what.word();
        let (zh, en) = match word {
            "high" => ("，或点表的高报、高高报", ", or h and hh of the point table"),
            "low" => ("，或点表的低报、低低报", ", or l and ll of the point table"),
            _ => ("", ""),
        };
        let (spot, (what, instead)) = (
            draft.spot.clone(),
            match &draft.wanted {
                Some(Wanted { how, name, .. }) => (
                    say!(
                        "“{name}”{tag} 缺限值（{word}），只有设计能给出",
                        "{tag} has no limits ({word}), which only the design can give"
                    ),
                    say!("请写 {how}{zh}", "write {how}{en}"),
                ),
                None => (
                    say!("{tag} 缺限值", "{tag} has no limits"),
                    say!("请写 limits = [..]{zh}", "write limits = [..]{en}"),
                ),
            },
        );
        match draft.wanted.as_ref().is_some_and(|wanted| wanted.optional) {
            true => notes.warn(spot, Wrong::new(what, instead)),
            false => out.error(spot, Wrong::new(what, instead)),
        }
        None
    }

    fn check(&self, draft: &Draft, class: Class, at: Option<PointRef>, levels: &[(f64, usize)], out: &mut Findings) {
        let spec = at.and_then(|at| self.point(at)).map(|(_, spec)| spec);
        if let Some(spec) = spec {
            self.check_kind(draft, at, spec, out);
            check_levels(draft, spec, levels, out);
        }
        let strict = matches!(class, Class::Gas | Class::Fire);
        let delayed = [&draft.delay, &draft.off_delay].into_iter().flatten().find(|delay| !delay.value.is_zero());
        if let Some(delay) = delayed.filter(|_| strict) {
            let what = say!("气体和火灾报警不得延时", "gas and fire alarms are not delayed");
            out.error(
                delay.spot.clone(),
                Wrong::new(what, say!("请删去（GB 16808，规则 86）", "remove it (GB 16808, rule 86)")),
            );
        }
        if let Some(latching) = draft.latching.as_ref().filter(|latching| strict && !latching.value) {
            let what = say!("气体和火灾报警必须锁存", "gas and fire alarms latch");
            let instead = say!("请删去（GB 16808，规则 86：手动复位）", "remove it (GB 16808, rule 86: manual reset)");
            out.error(latching.spot.clone(), Wrong::new(what, instead));
        }
        if let Some(asked) = draft.suppressed_when.as_ref().filter(|_| strict) {
            let what =
                say!("气体和火灾报警不得因其他测点抑制", "gas and fire alarms are not suppressed by another point");
            out.error(asked.point.spot.clone(), Wrong::new(what, say!("请删去", "remove it")));
        }
        let second = matches!(draft.what, What::High | What::Low) && levels.iter().any(|(_, index)| *index > 0);
        let guarded = class == Class::Fire || (second && matches!(class, Class::MajorHazard | Class::Gas));
        if guarded && draft.shelving == Some(Shelving::Allowed) {
            let what = say!("这一级不得由一人搁置", "one person alone must not shelve this level");
            let instead = say!("请写 second_person 或 never（规则 94）", "write second_person or never (rule 94)");
            out.error(draft.spot.clone(), Wrong::new(what, instead));
        }
    }

    /// Gas is judged by its own rules; a bit has no limits.
    fn check_kind(&self, draft: &Draft, at: Option<PointRef>, spec: &PointSpec, out: &mut Findings) {
        let tag = &spec.tag;
        if at.is_some_and(|at| self.is_detector(at))
            && draft.what.has_limits()
            && !matches!(draft.what, What::Rate { .. })
        {
            let what = say!("{tag} 是气体探测器", "{tag} is a gas detector");
            let instead = say!("请在点表写一级报警和二级报警", "write l1 and l2 in the point table");
            out.error(draft.spot.clone(), Wrong::new(what, instead));
        }
        if matches!(draft.what, What::Flatline)
            && !spec.instrument.as_ref().is_some_and(|i| i.frozen.is_some() || i.below.is_some())
        {
            let what = say!("{tag} 没有冻结时限和低于下限", "{tag} has neither `frozen` nor `below`");
            out.error(draft.spot.clone(), Wrong::new(what, say!("请在点表填写", "fill them in, in the point table")));
        }
    }

    fn raw(
        &self,
        draft: &Draft,
        at: Option<PointRef>,
        class: Class,
        condition: Condition,
        levels: &[(f64, usize)],
    ) -> Option<AlarmSpec> {
        let text = draft.text.clone().unwrap_or_else(|| self.text_of(at, &draft.what));
        let deadband = self.deadband(draft, at, levels);
        let mut limits: Vec<_> = levels.iter().map(|(limit, _)| (Some(*limit), deadband)).collect();
        if limits.is_empty() {
            let rules = if let What::RollUp { rules, .. } = &draft.what { rules.as_slice() } else { &[] };
            let n = rules.iter().map(|rule| usize::from(rule.gives)).max().unwrap_or(1);
            limits = vec![(None, 0.0); n];
        }
        let own = draft.id.as_ref().map(|id| id.value.as_str());
        match at {
            Some(at) => {
                let mut alarm = self.of_point(at, class, condition, &limits, text)?;
                if let (Some(own), Some((_, spec))) = (own, self.point(at)) {
                    alarm.id = format!("{}.{own}", spec.tag).into();
                }
                Some(alarm)
            }
            None => {
                Some(self.bare(own.unwrap_or_default().to_owned(), Subject::Gateway, class, condition, &limits, text))
            }
        }
    }

    fn text_of(&self, at: Option<PointRef>, what: &What) -> String {
        let (zh, en) = match what {
            What::High => ("高", "high"),
            What::Low => ("低", "low"),
            What::Rate { .. } => ("变化过快", "changes too fast"),
            What::DeviationFrom(_) | What::DeviationFromPoint(_) => ("偏差过大", "deviates"),
            What::Digital(_) | What::All(_) | What::External => ("报警", "alarm"),
            What::Quality(_) => ("测量失效", "no measurement"),
            What::Flatline => ("数值冻结", "stands still"),
            What::RollUp { .. } => ("综合预警", "roll-up"),
        };
        match at.and_then(|at| self.point(at)) {
            Some((_, spec)) => format!("{} {} {zh} | {en}", spec.tag, spec.name),
            None => format!("{zh} | {en}"),
        }
    }

    /// That of the draft, else that of the table, else that of the point's kind, at most half of the narrowest gap and of the
    /// shortest way back.
    fn deadband(&self, draft: &Draft, at: Option<PointRef>, levels: &[(f64, usize)]) -> f64 {
        if let Some(deadband) = &draft.deadband {
            return deadband.value;
        }
        if !matches!(draft.what, What::High | What::Low) {
            return levels.first().map_or(0.0, |(first, _)| first.abs() * 0.1);
        }
        let own = at.and_then(|at| self.fours.get(&at)).map(|four| four.deadband);
        if let (Some(own), None) = (own, &draft.limits) {
            return own; // was checked against the same limits
        }
        let spec = at.and_then(|at| self.point(at)).map(|(_, spec)| spec);
        let of_kind = || {
            let spec = spec?;
            let (low, high) = spec.range?;
            Some((high - low) * self.rules.kind(limits::kind(spec)).deadband_percent / 100.0)
        };
        let way = shortest_way(draft, spec, levels).max(0.0);
        own.or_else(of_kind).unwrap_or(0.0).min(narrowest(levels).min(way) / 2.0)
    }

    /// Priorities, shelving, delays.
    fn weigh(&self, alarm: &mut AlarmSpec, draft: &Draft, class: Class, levels: &[(f64, usize)]) {
        let rule = self.rules.class(class);
        let by_colour = alarm.levels.len() > 2;
        for (place, level) in alarm.levels.iter_mut().enumerate() {
            let index = levels.get(place).map_or(place, |(_, index)| *index);
            let of_class = match (by_colour, index) {
                (true, _) => Priority::ALL.get(index).copied().unwrap_or(Priority::Red),
                (false, 0) => rule.priority.0,
                (false, _) => rule.priority.1,
            };
            let own = draft.priorities.get(index).or_else(|| draft.priorities.last());
            let shelving = if index == 0 { rule.shelving.0 } else { rule.shelving.1 };
            let Level { priority, shelving: of_level, .. } = level;
            (*priority, *of_level) = (own.copied().unwrap_or(of_class), draft.shelving.unwrap_or(shelving));
        }
        let strict = matches!(class, Class::Gas | Class::Fire);
        let kind = match (&alarm.subject, &draft.what) {
            (Subject::Point { at, .. }, What::High | What::Low) if !strict => {
                self.point(*at).map(|(_, spec)| self.rules.kind(limits::kind(spec)))
            }
            _ => None,
        };
        let usual = |pick: fn(super::rules::KindRule) -> Duration| kind.map_or(Duration::ZERO, pick);
        alarm.on_delay = draft.delay.as_ref().map_or_else(|| usual(|kind| kind.on_delay), |got| got.value);
        let off = draft.off_delay.as_ref().map(|got| got.value);
        alarm.off_delay =
            off.unwrap_or_else(|| draft.delay.as_ref().map_or_else(|| usual(|kind| kind.off_delay), |got| got.value));
        if let Some(latching) = &draft.latching {
            alarm.latching = latching.value;
        }
    }

    /// What it refers to, and what it says.
    fn wire(&self, alarm: &mut AlarmSpec, draft: &Draft, out: &mut Findings) {
        alarm.group = draft.group.as_deref().map(Arc::from);
        alarm.suppressed_when = draft.suppressed_when.as_ref().and_then(|asked| self.asked(asked, out));
        if let Some(zone) = &draft.zone {
            self.check_zone(zone, out);
            alarm.zone = Some(zone.value.as_str().into());
        }
        alarm.annunciators = self.rules.horns_of(alarm.class, alarm.zone.as_deref());
        if let Some(ladder) = &draft.escalation {
            alarm.escalation = self.rules.escalation(&ladder.value);
            if alarm.escalation.is_none() {
                let known = self.rules.escalations.iter().map(|ladder| &*ladder.name);
                unknown(&ladder.spot, ("通知阶梯", "ladder"), &ladder.value, known, out);
            }
        }
        if let Some(source) = &draft.hazard_source {
            alarm.hazard_source = self.rules.source(&source.value);
            if alarm.hazard_source.is_none() {
                let known = self.rules.sources.iter().map(|source| &*source.code);
                unknown(&source.spot, ("重大危险源", "hazard source"), &source.value, known, out);
            }
        }
        alarm.likely_cause.clone_from(&draft.cause);
        alarm.response.clone_from(&draft.response);
        if let Condition::RollUp { members, .. } = &alarm.condition {
            let known: BTreeSet<&str> = self.ids().collect();
            for member in members.iter().filter(|member| !known.contains(&***member)) {
                unknown(&draft.spot, ("报警", "alarm"), member, known.iter().copied(), out);
            }
        }
    }
}

fn unknown<'k>(
    spot: &Spot,
    (zh, en): (&str, &str),
    name: &str,
    known: impl Iterator<Item = &'k str> + Clone,
    out: &mut Findings,
) {
    let name = clip(name);
    let what = say!("没有{zh} `{name}`", "there is no {en} `{name}`");
    let meant = suggesting(out).then(|| suggest(&name, known.clone())).flatten();
    let instead = match meant {
        Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
        None => {
            let list = known.take(8).collect::<Vec<_>>().join(", ");
            say!("已有：{list}", "known: {list}")
        }
    };
    out.error(spot.clone(), Wrong::new(what, instead));
}

fn present(limits: [Option<f64>; 2]) -> Levels {
    (0..).zip(limits).filter_map(|(index, limit)| Some((limit?, index))).collect()
}

fn narrowest(levels: &[(f64, usize)]) -> f64 {
    let gaps = levels.windows(2).filter_map(|pair| Some((pair.get(1)?.0 - pair.first()?.0).abs()));
    gaps.fold(f64::INFINITY, f64::min)
}

/// How far a value can come back within the range, from the limit that leaves the least.
fn shortest_way(draft: &Draft, spec: Option<&PointSpec>, levels: &[(f64, usize)]) -> f64 {
    let falls = matches!(draft.what, What::Low);
    let range = spec.and_then(|spec| spec.range).filter(|_| matches!(draft.what, What::High | What::Low));
    levels.iter().map(|(limit, _)| limits::way_back(*limit, falls, range)).fold(f64::INFINITY, f64::min)
}

/// Mildest first, within the range, the deadband narrower than the gaps and than the way back.
fn check_levels(draft: &Draft, spec: &PointSpec, levels: &[(f64, usize)], out: &mut Findings) {
    let spot = draft.limits.as_ref().map_or_else(|| draft.spot.clone(), |limits| limits.spot.clone());
    let falls = matches!(draft.what, What::Low);
    let in_order = levels.windows(2).all(|pair| match pair {
        [(a, _), (b, _)] if falls => a > b,
        [(a, _), (b, _)] => a < b,
        _ => true,
    });
    let tag = &spec.tag;
    if !in_order {
        let what = say!("{tag} 的限值未按由轻到重排列", "the limits of {tag} do not lead from mild to severe");
        let instead = match falls {
            true => say!("低报在前、低低报在后，后者更低（规则 99）", "l first, then ll, which is lower (rule 99)"),
            false => say!("高报在前、高高报在后，后者更高（规则 99）", "h first, then hh, which is higher (rule 99)"),
        };
        out.error(spot.clone(), Wrong::new(what, instead));
    }
    let (zh, en) = ("限值", "the limit");
    for (limit, _) in levels {
        let shown = limits::show(*limit);
        if matches!(draft.what, What::High | What::Low) {
            let Some((low, high)) = spec.range.filter(|(low, high)| limit < low || limit > high) else { continue };
            let (low, high) = (limits::show(low), limits::show(high));
            let what = say!(
                "{tag} 的{zh} {shown} 不在量程 {low} 到 {high} 之内",
                "{en} {shown} of {tag} is not within the range {low}..{high}"
            );
            let instead =
                say!("请改正限值、量程或单位（规则 99）", "correct the limit, the range or the unit (rule 99)");
            out.error(spot.clone(), Wrong::new(what, instead));
        } else if *limit <= 0.0 {
            let what = say!("{zh} {shown} 须大于 0", "{en} {shown} must be above 0");
            out.error(
                spot.clone(),
                Wrong::new(what, say!("变化率和偏差只写大小", "of a rate or a deviation write the amount")),
            );
        }
    }
    if let Some(deadband) = &draft.deadband {
        limits::check_gap(deadband, narrowest(levels), out);
        limits::check_way(deadband, shortest_way(draft, Some(spec), levels), out);
    }
}
