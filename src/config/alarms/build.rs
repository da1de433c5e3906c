//! The book of alarms: what the table and `alarms.toml` ask for, and what every device and detector has without being asked.
//!
//! | for | alarms without being asked |
//! |---|---|
//! | each device | `comm` |
//! | each gas detector | `gas` (and `gas_low` of oxygen), `gas_fault`; `state_too_long` where a state word or an inhibit bit tells what it does; `disagreement` where a controller tells its own alarms |
//! | each other point with limits | `high`, `low`, and `quality`: a limit behind a broken instrument watches nothing |
//! | each point that watches flat lines | `flatline` |
//! | each point of kind `fire` | `digital`, class fire |
//! | each point that shows a field controller's set point | `high` (or `low`) at the ceiling of the clause: the controller is set wrongly, and is monitored all the same |
//! | each channel by which people are told, each output of a horn or lamp | `channel` |
//!
//! An alarm that is asked for by the same id stands instead, unless it asks for less (`stand_in.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::assemble::suggesting;
use super::cells::{AlarmOf, Cells, Tells};
use super::gas::{self, Gas};
use super::limits::{self, Four};
use super::oel::Oel;
use super::rules::Rules;
use crate::config::problem::{Findings, Spot, Wrong, say};
use crate::config::section::Got;
use crate::config::text::suggest;
use crate::domain::alarm::ask::{PointCondition, Test};
use crate::domain::alarm::setpoint::{GasUnit, Which};
use crate::domain::alarm::severity::{Class, Priority};
use crate::domain::alarm::spec::{AlarmBook, AlarmSpec, Condition, ControllerBit, Detector, Level, PointRef, Subject};
use crate::domain::reading::Quality;
use crate::domain::record::Mode;
use crate::domain::registry::{Commissioning, DeviceSpec, PointSpec};

/// How far value and set point must be apart before a difference with the controller is one, in percent of the range.
const MARGIN_PERCENT: f64 = 1.0;
/// How far below its range a detector's signal may swing, percent of the span (`domain.md` rule 89).
const DRIFT_PERCENT: f64 = 5.0;

/// A set point read from a controller is beyond its bound from this share of it on: rounding of registers is none.
const BEYOND: f64 = 0.005;

/// Id of the channel that needs nobody to carry it: it cannot fail.
const PAGE: &str = "page";

/// The book on its way.
pub(super) struct Builder<'a> {
    specs: &'a [Arc<DeviceSpec>],
    pub(super) rules: &'a Rules,
    /// Zones of the site; `None` where it has no file.
    known_zones: Option<&'a BTreeSet<String>>,
    pub(super) book: AlarmBook,
    pub(super) by_tag: BTreeMap<&'a str, PointRef>,
    by_uid: BTreeMap<&'a str, PointRef>,
    /// What points alarm at, checked.
    pub(super) fours: BTreeMap<PointRef, Four>,
    pub(super) detectors: BTreeMap<PointRef, usize>,
    zones: BTreeMap<PointRef, Arc<str>>,
    priorities: BTreeMap<PointRef, (Priority, Option<Priority>)>,
    delays: BTreeMap<PointRef, Duration>,
    ids: BTreeSet<Arc<str>>,
    /// Class and place of each alarm that was asked for, by id.
    pub(super) asked_at: BTreeMap<Arc<str>, (Class, Spot)>,
    /// Alarms that nobody asked for, and instead of which one of the same id stands.
    pub(super) displaced: Vec<AlarmSpec>,
}

/// One level of an alarm before it has its priority.
pub(super) type Limits = [Option<f64>; 2];

impl<'a> Builder<'a> {
    pub(super) fn new(
        specs: &'a [Arc<DeviceSpec>],
        rules: &'a Rules,
        known_zones: Option<&'a BTreeSet<String>>,
    ) -> Self {
        let mut by_tag = BTreeMap::new();
        let mut by_uid = BTreeMap::new();
        for (device, spec) in specs.iter().enumerate() {
            for (ordinal, point) in (0..=u16::MAX).zip(&spec.points) {
                let at = PointRef { device, ordinal };
                by_tag.insert(point.tag.as_str(), at);
                by_uid.insert(point.uid.as_str(), at);
            }
        }
        let book = AlarmBook {
            escalations: rules.escalations.clone(),
            annunciators: rules.horns.iter().map(|horn| horn.annunciator.clone()).collect(),
            hazard_sources: rules.sources.clone(),
            ..AlarmBook::default()
        };
        Self {
            specs,
            rules,
            known_zones,
            book,
            by_tag,
            by_uid,
            fours: BTreeMap::new(),
            detectors: BTreeMap::new(),
            zones: BTreeMap::new(),
            priorities: BTreeMap::new(),
            delays: BTreeMap::new(),
            ids: BTreeSet::new(),
            asked_at: BTreeMap::new(),
            displaced: Vec::new(),
        }
    }

    /// Returns a point with its device.
    pub(super) fn point(&self, at: PointRef) -> Option<(&'a DeviceSpec, &'a PointSpec)> {
        let device = self.specs.get(at.device)?;
        Some((device, device.points.get(usize::from(at.ordinal))?))
    }

    /// Checks the limit columns of every point, and makes the detectors. Returns what the gas points alarm at.
    pub(super) fn take_cells(
        &mut self,
        cells: &[Vec<Option<Box<Cells>>>],
        oel: &Oel,
        out: &mut Findings,
        notes: &mut Findings,
    ) -> BTreeMap<PointRef, Gas> {
        let mut all: BTreeMap<PointRef, &Cells> = BTreeMap::new();
        for (device, cells) in cells.iter().enumerate() {
            let present = (0..=u16::MAX).zip(cells).filter_map(|(ordinal, cells)| Some((ordinal, cells.as_deref()?)));
            all.extend(present.map(|(ordinal, cells)| (PointRef { device, ordinal }, cells)));
        }
        let mut gases = BTreeMap::new();
        for (at, cells) in &all {
            gases.extend(self.take(*at, cells, oel, out, notes).map(|gas| (*at, gas)));
        }
        for (at, cells) in &all {
            if let Some(of) = &cells.alarm_of {
                self.take_bits(*at, of, &all, oel, out);
            }
        }
        self.check_bits(&all, &gases, out);
        gases
    }

    fn take(
        &mut self,
        at: PointRef,
        cells: &Cells,
        oel: &Oel,
        out: &mut Findings,
        notes: &mut Findings,
    ) -> Option<Gas> {
        let (device, spec) = self.point(at)?;
        if let Some(zone) = &cells.zone {
            self.check_zone(zone, out);
            self.zones.insert(at, zone.value.as_str().into());
        }
        if let Some(priority) = &cells.priority {
            self.priorities.insert(at, priority.value);
        }
        if let Some(delay) = &cells.delay {
            self.delays.insert(at, delay.value);
        }
        if gas::is_gas(cells, spec) {
            let found = gas::check(cells, spec, oel, out, notes);
            // A detector without limits has its faults and its controller's bits all the same.
            self.detector(at, device, spec);
            return found;
        }
        limits::check_no_gas(cells, out);
        let kind = limits::kind(spec);
        if let Some(delay) = cells.delay.as_ref().filter(|delay| kind == Some("fire") && !delay.value.is_zero()) {
            let what = say!("火灾报警不得延时", "a fire alarm must not be delayed");
            out.error(delay.spot.clone(), Wrong::new(what, say!("请留空（规则 93）", "leave it empty (rule 93)")));
        }
        let percent = self.rules.kind(kind).deadband_percent;
        if let Some(four) = limits::check(cells, spec, Some(percent), out) {
            self.fours.insert(at, four);
        }
        None
    }

    /// A zone that the site does not have: its rules would never see what happens there.
    pub(super) fn check_zone(&self, zone: &Got<String>, out: &mut Findings) {
        let Some(known) = self.known_zones.filter(|known| !known.contains(&zone.value)) else { return };
        let id = &zone.value;
        let what = say!("site.toml 中没有分区 `{id}`", "there is no zone `{id}` in site.toml");
        let meant = suggesting(out).then(|| suggest(id, known.iter().map(String::as_str))).flatten();
        let instead = match meant {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None => say!(
                "请写 site.toml 中的分区，否则全场规则看不到这里的报警",
                "write a zone of site.toml, or the rules of the site never see what happens here"
            ),
        };
        out.warn(zone.spot.clone(), Wrong::new(what, instead));
    }

    fn detector(&mut self, at: PointRef, device: &DeviceSpec, spec: &PointSpec) {
        let index = self.book.detectors.len();
        self.book.detectors.push(Detector {
            at,
            uid: spec.uid.clone(),
            tag: spec.tag.clone(),
            device: device.id.clone(),
            bits: Vec::new(),
            fault: Vec::new(),
            inhibit: Vec::new(),
            bits_latch: true,
            margin: spec.range.map_or(0.0, |(low, high)| (high - low) * MARGIN_PERCENT / 100.0),
            drift: spec.range.map_or(f64::INFINITY, |(low, high)| low - (high - low) * DRIFT_PERCENT / 100.0),
        });
        self.detectors.insert(at, index);
    }

    /// Puts what a controller's point tells to its detector.
    fn take_bits(
        &mut self,
        at: PointRef,
        of: &Got<AlarmOf>,
        all: &BTreeMap<PointRef, &Cells>,
        oel: &Oel,
        out: &mut Findings,
    ) {
        let AlarmOf { uid, tells } = &of.value;
        let found = self.by_uid.get(uid.as_str()).copied();
        let Some((gas_at, index)) = found.and_then(|at| Some((at, *self.detectors.get(&at)?))) else {
            let wrong = self.no_detector(uid, suggesting(out));
            return out.error(of.spot.clone(), wrong);
        };
        for (test, tells) in tells {
            let when = PointCondition { at, test: *test };
            if let Tells::SetPoint(which) = tells {
                self.watch_set_point(at, gas_at, *which, all, oel);
            } else if let Some(detector) = self.book.detectors.get_mut(index) {
                match tells {
                    Tells::Alarm(level, side) => detector.bits.push(ControllerBit { level: *level, side: *side, when }),
                    Tells::Fault => detector.fault.push(when),
                    Tells::Inhibit => detector.inhibit.push(when),
                    Tells::SetPoint(_) => {}
                }
            }
        }
    }

    fn no_detector(&self, uid: &str, suggesting: bool) -> Wrong {
        let what = say!("没有标识为 `{uid}` 的气体测点", "there is no gas point with the uid `{uid}`");
        let known = self.detectors.keys().filter_map(|at| self.point(*at)).map(|(_, spec)| spec.uid.as_str());
        let instead = match suggesting.then(|| suggest(uid, known)).flatten() {
            Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
            None => say!("请写气体测点（测点类型 gas）的标识", "write the uid of a gas point (kind = gas)"),
        };
        Wrong::new(what, instead)
    }

    /// A controller that is itself set beyond the clause is monitored all the same, and told of.
    fn watch_set_point(
        &mut self,
        at: PointRef,
        gas_at: PointRef,
        which: Which,
        all: &BTreeMap<PointRef, &Cells>,
        oel: &Oel,
    ) {
        let (Some((_, own)), Some((_, gas)), Some(cells)) = (self.point(at), self.point(gas_at), all.get(&gas_at))
        else {
            return;
        };
        let unit = GasUnit::parse(if own.unit.is_empty() { &gas.unit } else { &own.unit });
        let bound = unit.and_then(|unit| gas::detection(unit, cells, oel)?.bound(which, unit));
        let Some((bound, unit)) = bound.zip(unit) else { return };
        let (condition, limit, zh, en) = match bound.is_floor {
            true => (Condition::Low, bound.limit * (1.0 - BEYOND), "低于", "below"),
            false => (Condition::High, bound.limit * (1.0 + BEYOND), "高于", "above"),
        };
        let (tag, shown, clause, unit) = (&gas.tag, limits::show(bound.limit), bound.clause, unit.as_str());
        let text = format!(
            "{tag} 现场控制器的报警设定值{zh} {clause} 的 {shown} {unit} | the controller of {tag} is set {en} {shown} {unit}"
        );
        let levels = [(Some(limit), 0.0)];
        if let Some(mut alarm) = self.of_point(at, Class::Equipment, condition, &levels, text) {
            alarm.likely_cause =
                "控制器设定错误，或换了气体、卡匣 | wrong setting, or another gas or cartridge".to_owned();
            alarm.response = "核对并改正控制器的设定；在此之前网关照常监测 | correct the controller; the gateway goes on monitoring it".to_owned();
            self.push(alarm);
        }
    }

    /// An alarm of a point as its class has it. `None` where the point is planned or stopped: it has none.
    pub(super) fn of_point(
        &self,
        at: PointRef,
        class: Class,
        condition: Condition,
        limits: &[(Option<f64>, f64)],
        text: String,
    ) -> Option<AlarmSpec> {
        let (device, spec) = self.point(at)?;
        let mode = match spec.commissioning {
            Commissioning::InService => Mode::Real,
            Commissioning::Commissioning => Mode::Commissioning,
            Commissioning::Planned | Commissioning::Stopped | Commissioning::Removed => return None,
        };
        let subject = Subject::Point {
            at,
            uid: spec.uid.clone(),
            tag: spec.tag.clone(),
            device: device.id.clone(),
            unit: spec.unit.as_str().into(),
        };
        let id = format!("{}.{}", spec.tag, condition.word());
        let zone = self.zones.get(&at).cloned();
        let source = spec.platform.hazard_source.as_deref().and_then(|code| self.rules.source(code));
        let alarm = self.bare(id, subject, class, condition, limits, text);
        let annunciators = self.rules.horns_of(class, zone.as_deref());
        Some(AlarmSpec { zone, hazard_source: source, annunciators, mode, ..alarm })
    }

    /// An alarm as its class has it.
    pub(super) fn bare(
        &self,
        id: String,
        subject: Subject,
        class: Class,
        condition: Condition,
        limits: &[(Option<f64>, f64)],
        text: String,
    ) -> AlarmSpec {
        let rule = self.rules.class(class);
        let level = |(index, (limit, deadband)): (usize, &(Option<f64>, f64))| {
            let (priority, shelving) = match index {
                0 => (rule.priority.0, rule.shelving.0),
                _ => (rule.priority.1, rule.shelving.1),
            };
            Level { limit: *limit, deadband: *deadband, priority, shelving }
        };
        AlarmSpec {
            id: id.into(),
            subject,
            condition,
            class,
            levels: limits.iter().enumerate().map(level).collect(),
            on_delay: Duration::ZERO,
            off_delay: Duration::ZERO,
            latching: matches!(class, Class::Gas | Class::Fire),
            group: None,
            suppressed_when: None,
            escalation: self.rules.escalation(&rule.escalation),
            annunciators: self.rules.horns_of(class, None),
            hazard_source: None,
            zone: None,
            text,
            likely_cause: String::new(),
            response: String::new(),
            mode: Mode::Real,
        }
    }

    /// Returns whether an alarm has this id.
    pub(super) fn has(&self, id: &Arc<str>) -> bool {
        self.ids.contains(id)
    }

    /// Returns the ids of all alarms so far.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(|id| &**id)
    }

    /// Returns whether a point is a gas detector.
    pub(super) fn is_detector(&self, at: PointRef) -> bool {
        self.detectors.contains_key(&at)
    }

    /// Adds an alarm, unless one of its id was asked for.
    pub(super) fn push(&mut self, alarm: AlarmSpec) {
        if self.ids.insert(Arc::clone(&alarm.id)) {
            self.book.alarms.push(alarm);
        } else {
            self.displaced.push(alarm);
        }
    }

    /// Adds what nobody needs to ask for.
    pub(super) fn add_unasked(&mut self, gases: &BTreeMap<PointRef, Gas>) {
        for (index, device) in self.specs.iter().enumerate() {
            self.add_comm(index, device);
            for (ordinal, spec) in (0..=u16::MAX).zip(&device.points) {
                self.add_of_point(PointRef { device: index, ordinal }, spec, gases);
            }
        }
        self.add_qualities();
        self.add_channels();
        self.add_horns();
    }

    fn add_comm(&mut self, index: usize, device: &DeviceSpec) {
        if device.points.is_empty() || device.id.as_str() == crate::config::derived::DEVICE {
            return;
        }
        let subject = Subject::Device { index, device: device.id.clone() };
        let (id, name) = (&device.id, &device.name);
        let text = format!("{name} 通信中断 | {id} does not answer");
        let mut alarm =
            self.bare(format!("{id}.comm"), subject, Class::Equipment, Condition::Comm, &[(None, 0.0)], text);
        alarm.on_delay = self.rules.comm_delay;
        let has_gas = self.detectors.keys().any(|at| at.device == index);
        for level in alarm.levels.iter_mut().filter(|_| has_gas) {
            // Without its controller nobody sees gas.
            level.priority = self.rules.class(Class::Gas).priority.0;
        }
        if has_gas {
            alarm.escalation = self.rules.escalation(&self.rules.class(Class::Gas).escalation);
        }
        self.push(alarm);
    }

    fn add_of_point(&mut self, at: PointRef, spec: &PointSpec, gases: &BTreeMap<PointRef, Gas>) {
        if self.detectors.contains_key(&at) {
            self.add_gas(at, spec, gases.get(&at));
            return;
        }
        if let Some(four) = self.fours.get(&at).copied() {
            self.add_four(at, spec, four);
        }
        let watches = spec.instrument.as_ref().is_some_and(|i| i.frozen.is_some() || i.below.is_some());
        let text = |zh: &str, en: &str| format!("{} {} {zh} | {en}", spec.tag, spec.name);
        if watches {
            let text = text("数值冻结或低于下限", "stands still, or stays too low");
            let alarm = self.of_point(at, Class::Equipment, Condition::Flatline, &[(None, 0.0)], text);
            alarm.into_iter().for_each(|alarm| self.push(alarm));
        }
        if limits::kind(spec) == Some("fire") {
            let condition = Condition::Digital { test: Test::On };
            let alarm = self.of_point(at, Class::Fire, condition, &[(None, 0.0)], text("火警", "fire"));
            alarm.into_iter().for_each(|alarm| self.push(alarm));
        }
    }

    /// High and low of a point, by the columns of the table.
    fn add_four(&mut self, at: PointRef, spec: &PointSpec, four: Four) {
        let class = if spec.platform.hazard_source.is_some() { Class::MajorHazard } else { Class::Process };
        for (condition, zh, en, limits) in [
            (Condition::High, "高", "high", [four.high, four.high_high]),
            (Condition::Low, "低", "low", [four.low, four.low_low]),
        ] {
            let text = format!("{} {} {zh} | {en}", spec.tag, spec.name);
            if let Some(alarm) = self.limited(at, class, condition, limits, four.deadband, text) {
                self.push(alarm);
            }
        }
    }

    /// A limit behind a broken instrument watches nothing.
    fn add_qualities(&mut self) {
        let is_limit = |alarm: &&AlarmSpec| alarm.condition.has_limits() && alarm.class != Class::Equipment;
        let limited = self.book.alarms.iter().filter(is_limit).filter_map(|alarm| alarm.subject.point());
        let points: BTreeSet<PointRef> = limited.filter(|at| !self.detectors.contains_key(at)).collect();
        for at in points {
            let Some((_, spec)) = self.point(at) else { continue };
            let of = BTreeSet::from([Quality::Sensor, Quality::Suspect, Quality::Comm, Quality::Stale]);
            let text = format!("{} {} 测量失效 | no measurement", spec.tag, spec.name);
            let alarm = self.of_point(at, Class::Equipment, Condition::Quality { of }, &[(None, 0.0)], text);
            if let Some(mut alarm) = alarm {
                alarm.on_delay = self.rules.quality_delay;
                self.push(alarm);
            }
        }
    }

    /// An alarm with the limits of its two levels; a lone second one has the second's priority. Where a controller tells a
    /// second level without a limit here, its bit raises it all the same.
    pub(super) fn limited(
        &self,
        at: PointRef,
        class: Class,
        condition: Condition,
        limits: Limits,
        deadband: f64,
        text: String,
    ) -> Option<AlarmSpec> {
        let mut present: Vec<_> = limits.iter().flatten().map(|limit| (Some(*limit), deadband)).collect();
        if present.is_empty() {
            return None;
        }
        if self.has_second_by_bit(&condition, limits) {
            present.push((None, 0.0));
        }
        let (_, spec) = self.point(at)?;
        let mut alarm = self.of_point(at, class, condition, &present, text)?;
        let rule = self.rules.class(class);
        let own = self.priorities.get(&at).copied();
        let first = own.map_or(rule.priority.0, |(first, _)| first);
        let second = own.map_or(rule.priority.1, |(first, second)| second.unwrap_or(rule.priority.1.max(first)));
        let is_second = |index: usize| index == 1 || limits.first().is_none_or(Option::is_none);
        for (index, level) in alarm.levels.iter_mut().enumerate() {
            (level.priority, level.shelving) =
                if is_second(index) { (second, rule.shelving.1) } else { (first, rule.shelving.0) };
        }
        if class != Class::Gas {
            let kind = self.rules.kind(limits::kind(spec));
            let own = self.delays.get(&at).copied();
            alarm.on_delay = own.unwrap_or(kind.on_delay);
            alarm.off_delay = own.unwrap_or(kind.off_delay);
        }
        Some(alarm)
    }

    /// A channel that fails is itself an alarm.
    fn add_channels(&mut self) {
        for channel in self.rules.channels.iter().filter(|channel| &*channel.id != PAGE) {
            let id = &channel.id;
            let horn = self.rules.horns.iter().map(|horn| &horn.annunciator).find(|horn| horn.channel == *id);
            let (zh, en) = match horn.map(|horn| &horn.output) {
                Some(output) => (format!("（声光报警器 {output}）"), format!(" (horn or lamp {output})")),
                None => (String::new(), String::new()),
            };
            self.add_channel(id, format!("通知渠道 {id}{zh} 失败 | the channel {id}{en} fails"));
        }
    }

    /// A horn that is dead is silent when it is needed.
    fn add_horns(&mut self) {
        let horns = self.rules.horns.iter().map(|horn| &horn.annunciator);
        let own: BTreeSet<_> = horns.filter(|horn| horn.channel == horn.output).map(|horn| &horn.output).collect();
        for output in own {
            let text = format!("声光报警器 {output} 不动作 | the horn or lamp {output} does not do as it is told");
            self.add_channel(output, text);
        }
    }

    /// The alarm of a way to tell people. It is not told by what it says has failed.
    fn add_channel(&mut self, name: &Arc<str>, text: String) {
        let (id, condition) = (format!("{name}.channel"), Condition::Channel { channel: Arc::clone(name) });
        let mut alarm = self.bare(id, Subject::Gateway, Class::System, condition, &[(None, 0.0)], text);
        let rules = self.rules;
        alarm.annunciators.retain(|index| rules.horns.get(*index).is_some_and(|horn| !horn.is_of(name)));
        self.push(alarm);
    }
}
