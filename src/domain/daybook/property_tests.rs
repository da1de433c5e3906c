//! Properties over many random steps, each against an oracle that does not use the code it judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::hazard::{Commitments, Grade, HazardRecord, HazardState, HazardStep, Listing, ListingLevel};
use super::report::OmittedReport;
use super::rules::HazardRules;
use super::tests::{DAY, DEVICES, HOUR, MINUTE, Rig, coverage, date, time, who};
use super::*;
use crate::domain::actor::{Role, Via};
use crate::domain::document::DocumentKind;
use crate::domain::record::Mode;
use crate::domain::time::ClockTrust;

/// Steps of each property.
const STEPS: usize = 100_000;

fn fact(occ: &str, n: u64, step: AlarmStep, over: bool) -> Fact {
    let (class, level) = if n.is_multiple_of(3) { ("gas", 2) } else { ("process", 1) };
    Fact::Alarm(AlarmFact {
        alarm: format!("P{}.high", n % 50),
        occ: occ.into(),
        class: class.into(),
        level,
        step,
        over,
        mode: Mode::Real,
    })
}

/// The alarms of the world, and what really happened to them.
#[derive(Default)]
struct World {
    made: u64,
    raised: u64,
    acked: u64,
    cleared: u64,
    /// occurrence → number, when raised, whether acknowledged, whether cleared.
    open: BTreeMap<String, (u64, Mono, bool, bool)>,
}

impl World {
    /// Returns a fact of the world, and the time since the alarm was raised.
    fn happen(&mut self, rng: &mut fastrand::Rng, now: Mono, only_old: bool) -> (Fact, Duration) {
        let pick = (!self.open.is_empty()).then(|| rng.usize(..self.open.len()));
        let occ = pick.and_then(|at| self.open.keys().nth(at).cloned());
        match occ {
            Some(occ) if only_old || self.open.len() > 30 || rng.bool() => {
                let (n, raised, acked, cleared) = self.open[&occ];
                let acknowledge = !acked && (cleared || rng.bool());
                let now_over = if acknowledge { cleared } else { acked };
                if acknowledge {
                    self.acked += 1;
                } else {
                    self.cleared += 1;
                }
                if now_over {
                    self.open.remove(&occ);
                } else {
                    self.open.insert(occ.clone(), (n, raised, acked || acknowledge, cleared || !acknowledge));
                }
                let step = if acknowledge { AlarmStep::Acknowledged } else { AlarmStep::Cleared };
                (fact(&occ, n, step, now_over), now.since(raised))
            }
            _ => {
                self.made += 1;
                self.raised += 1;
                let occ = format!("1-{}", self.made);
                self.open.insert(occ.clone(), (self.made, now, false, false));
                (fact(&occ, self.made, AlarmStep::Raised, false), Duration::ZERO)
            }
        }
    }
}

#[test]
fn the_numbers_of_a_report_are_those_of_a_recount_of_the_raw_facts() {
    let mut rng = fastrand::Rng::with_seed(20);
    let mut rig = Rig::new("2026-11-22T09:00:00.000Z");
    let mut world = World::default();
    // By day since 1970, cut at 17:00 in Beijing: (raised by class and level, times to acknowledge, times to clear, open).
    #[derive(Default)]
    struct Recount {
        by: BTreeMap<String, u64>,
        ack: Vec<u64>,
        clear: Vec<u64>,
        due: u64,
        ok: u64,
        open: u64,
    }
    let mut days: BTreeMap<i64, Recount> = BTreeMap::new();
    let day_of = |wall: Timestamp| (wall.0 + (8 + 7) * 3_600_000).div_euclid(86_400_000);
    for _ in 0..STEPS {
        let before = rig.now;
        let span = Duration::from_millis(rng.u64(1..60_000));
        rig.now.mono = rig.now.mono + span;
        rig.now.wall = rig.now.wall.after(span);
        if day_of(before.wall) != day_of(rig.now.wall) {
            days.entry(day_of(before.wall)).or_default().open = world.open.len() as u64;
        }
        rig.book.handle_timeout(rig.now);
        let day = days.entry(day_of(rig.now.wall)).or_default();
        if rng.u8(..3) == 0 {
            let (fact, since) = world.happen(&mut rng, rig.now.mono, false);
            let since = u64::try_from(since.as_millis()).unwrap();
            if let Fact::Alarm(fact) = &fact {
                let (ack, clear) = (fact.step == AlarmStep::Acknowledged, fact.step == AlarmStep::Cleared);
                day.ack.extend(ack.then_some(since));
                day.clear.extend(clear.then_some(since));
                if !ack && !clear {
                    *day.by.entry(format!("{}/{}", fact.class, fact.level)).or_default() += 1;
                }
            }
            rig.tell(fact);
        } else {
            let (due, ok) = (rng.u32(1..60), rng.u32(..2));
            let device = DEVICES[rng.usize(..DEVICES.len())];
            // Spans of no length, so that the day of their middle is the day of their end.
            rig.tell(coverage(device, Duration::ZERO, due, due * ok));
            day.due += u64::from(due);
            day.ok += u64::from(due * ok);
        }
    }
    rig.collect();
    let reports = rig.reports();
    assert!(reports.len() > 30, "{}", reports.len());
    for report in reports {
        let recount = days.get_mut(&i64::from(report.day.0)).map(std::mem::take).unwrap_or_default();
        assert_eq!(report.alarms.by, recount.by);
        assert_eq!(report.alarms.raised, recount.by.values().sum::<u64>());
        assert_eq!(report.alarms.n_open, recount.open);
        for (told, mut each) in [(report.alarms.acknowledged, recount.ack), (report.alarms.cleared, recount.clear)] {
            each.sort_unstable();
            let median = each.get(each.len().saturating_sub(1) / 2).copied();
            assert_eq!(told.count, each.len() as u64);
            assert_eq!(
                (told.min_ms, told.median_ms, told.max_ms),
                (each.first().copied(), median, each.last().copied())
            );
        }
        assert_eq!(report.coverage.received, recount.ok);
        assert_eq!(report.coverage.devices.iter().map(|line| line.due).sum::<u64>(), recount.due);
    }
}

/// One random thing that the clocks do. `truth` is what a time server would say.
fn disturb(rig: &mut Rig, truth: &mut Timestamp, rng: &mut fastrand::Rng) {
    let hours = |n: i64| n * 3_600_000;
    match rng.u8(..12) {
        0 => rig.step(hours(1), rig.now.trust),
        1 => rig.step(hours(-1), rig.now.trust),
        2 => rig.step(hours(24 * 3), rig.now.trust),
        3 => rig.step(hours(-24 * 3), rig.now.trust),
        4 if rng.u8(..30) == 0 => rig.step(hours(24 * 3650), rig.now.trust),
        6 if rig.now.trust == ClockTrust::Synced => rig.now.trust = ClockTrust::Holdover,
        7 | 8 => rig.step(truth.0 - rig.now.wall.0, ClockTrust::Synced),
        9 | 10 => {
            let off = MINUTE * rng.u32(1..600);
            *truth = truth.after(off);
            let (wall, trust) = match rng.u8(..3) {
                0 => (*truth, ClockTrust::Synced),
                1 => (*truth, ClockTrust::Unsynced),
                _ => (Timestamp(30_000), ClockTrust::Unsynced),
            };
            rig.restart(off, wall, trust);
        }
        11 if rng.u8(..20) == 0 => {
            let off = DAY * rng.u32(1..60);
            *truth = truth.after(off);
            rig.restart(off, *truth, ClockTrust::Synced);
        }
        _ => {}
    }
    if rig.now.trust != ClockTrust::Unsynced {
        *truth = rig.now.wall;
    }
}

#[test]
fn whatever_the_clocks_do_every_fact_is_in_one_day_no_day_is_missing_and_nil_means_nil() {
    let mut rng = fastrand::Rng::with_seed(4);
    // Nobody deals with hazards here, and one on the list makes no nil report.
    let hazard = HazardRules { silent_for: Duration::ZERO, repeats: 0, output_failures: 0, ..HazardRules::default() };
    let rules = Rules { hazard, ..Rules::default() };
    let mut rig = Rig::with("2026-11-22T09:00:00.000Z", rules, Arc::new(FixedOffset::BEIJING));
    let mut truth = rig.now.wall;
    let mut world = World::default();
    let mut steps = 0;
    let mut versions: BTreeMap<Date, DailyReport> = BTreeMap::new();
    let mut raised_in: BTreeMap<Digest, u64> = BTreeMap::new();
    let mut omitted: BTreeSet<Date> = BTreeSet::new();
    let (mut told_since, mut made_up) = (false, false);
    let mut nil = 0;
    while steps < STEPS {
        // A quarter of the days is a quiet one.
        let eventful = rng.u8(..4) > 0;
        if !eventful {
            rig.step(truth.0 - rig.now.wall.0, ClockTrust::Synced);
        }
        for _ in 0..rng.u32(if eventful { 5..60 } else { 400..600 }) {
            steps += 1;
            if eventful && rng.u8(..3) == 0 {
                let (fact, _) = world.happen(&mut rng, rig.now.mono, false);
                rig.tell(fact);
                told_since = true;
            }
            if eventful && rng.u8(..150) == 0 {
                disturb(&mut rig, &mut truth, &mut rng);
            }
            if rig.now.wall > time("2035-01-01T00:00:00.000Z") && rng.u8(..50) == 0 {
                // Somebody notices before more days are forgotten than are remembered.
                rig.step(-24 * 3650 * 3_600_000, ClockTrust::Synced);
                truth = rig.now.wall;
            }
            let minutes = rng.u32(if eventful { 1..60 } else { 1..20 });
            jump(&mut rig, minutes);
            truth = truth.after(MINUTE * minutes);
            for record in rig.records::<OmittedReport>(DocumentKind::Report) {
                omitted.extend((record.from_day.0..=record.to_day.0).map(Date));
            }
            for report in rig.reports() {
                let before = versions.get(&report.day);
                assert_eq!(report.version, before.map_or(1, |before| before.version + 1), "{}", report.day);
                assert_eq!(report.prev, before.map(|before| before.hash));
                assert_eq!(report.hash, report.computed_hash());
                assert_eq!(report.version > 1, report.correction.is_some());
                assert_eq!(report.what == ReportKind::Nil, report.why_not_nil.is_empty());
                if report.what == ReportKind::Nil {
                    nil += 1;
                    assert!((!told_since || made_up) && world.open.is_empty(), "{}", report.day);
                    assert!(report.coverage.received * 100 >= report.coverage.expected * 95);
                    assert!(report.coverage.silent.is_empty() && report.clock.tally.unsynced_ms == 0);
                }
                // What is made up for covers the past only: what was told since belongs to the next.
                made_up = report.made_up;
                told_since &= made_up || report.version > 1;
                raised_in.insert(report.hash, report.alarms.raised);
                versions.insert(report.day, report);
            }
            rig.out.clear();
        }
        // People answer in the end.
        while !eventful && !world.open.is_empty() {
            let (fact, _) = world.happen(&mut rng, rig.now.mono, true);
            rig.tell(fact);
            told_since = true;
        }
        let memory = &rig.book.memory;
        let held = memory.held.iter().map(|held| &held.tally).chain(&memory.undated);
        let undated: u64 = held.map(|tally| tally.alarms.raised).sum();
        let open: u64 = memory.days.values().map(|tally| tally.alarms.raised).sum();
        // What is not kept any more stands in the newest version, and in those that it says it adds to.
        let stands = |report: &DailyReport| {
            let itself = memory.days.contains_key(&report.day) && !memory.reported[&report.day].gone;
            let beside: u64 = report.adds_to.iter().map(|hash| raised_in[hash]).sum();
            beside + if itself { 0 } else { report.alarms.raised }
        };
        let gone: u64 = versions.values().map(stands).sum();
        assert_eq!(undated + open + gone, world.raised, "every alarm is counted once");
        assert_eq!(memory.open.len(), world.open.len());
    }
    assert!(nil > 10, "{nil} nil reports are too few to have tried anything");
    no_day_is_missing(&versions, &omitted);
}

/// Up to the first leap into the future, every day has a report, or stands in the record of those that have none.
fn no_day_is_missing(versions: &BTreeMap<Date, DailyReport>, omitted: &BTreeSet<Date>) {
    let days: Vec<Date> = versions.keys().copied().filter(|day| *day < date("2035-01-01")).collect();
    let (first, last) = (days[0].0, days[days.len() - 1].0);
    for day in (first..=last).map(Date) {
        assert!(versions.contains_key(&day) || omitted.contains(&day), "{day} is missing");
    }
}

/// Lets time pass in one leap, so that 100,000 steps are a few seconds of a test.
fn jump(rig: &mut Rig, minutes: u32) {
    let span = MINUTE * minutes;
    rig.now.mono = rig.now.mono + span;
    rig.now.wall = rig.now.wall.after(span);
    for device in DEVICES {
        rig.tell(coverage(device, span, minutes * 60, minutes * 60));
    }
    rig.account.as_of = rig.now.wall;
    rig.book.handle_account(rig.account.clone(), rig.now);
    rig.book.handle_timeout(rig.now);
    rig.collect();
}

/// The loop of `domain.md` A16, written down a second time.
const LOOP: [(HazardState, HazardState); 9] = [
    (HazardState::Found, HazardState::Registered),
    (HazardState::Found, HazardState::Dismissed),
    (HazardState::Registered, HazardState::Graded),
    (HazardState::Graded, HazardState::Assigned),
    (HazardState::Assigned, HazardState::Rectifying),
    (HazardState::Rectifying, HazardState::Submitted),
    (HazardState::Submitted, HazardState::Accepted),
    (HazardState::Submitted, HazardState::Rectifying),
    (HazardState::Accepted, HazardState::Closed),
];

fn some_hazard_action(rng: &mut fastrand::Rng, id: String, today: Date) -> HazardAction {
    let maybe = |rng: &mut fastrand::Rng, text: &str| if rng.u8(..4) == 0 { String::new() } else { text.to_owned() };
    let names = ["zhang", "li", "wang", "chen"];
    let comment = String::new();
    match rng.u8(..13) {
        0 => HazardAction::Find { place: maybe(rng, "罐区"), text: maybe(rng, "护栏") },
        1 => HazardAction::Register { id, comment },
        2 => HazardAction::Grade { id, grade: if rng.bool() { Grade::Major } else { Grade::General } },
        3 => HazardAction::Assign { id, to: names[rng.usize(..4)].into() },
        4 => HazardAction::Commit {
            id,
            five: Commitments {
                responsible: names[rng.usize(..4)].into(),
                measures: maybe(rng, "更换"),
                funds: maybe(rng, "安全费用"),
                deadline: today.plus(rng.i32(-1..4)),
                plan: maybe(rng, "警戒"),
            },
        },
        5 => HazardAction::Submit { id, comment, explanation: maybe(rng, "备件未到") },
        6 => HazardAction::Accept { id, comment },
        7 => HazardAction::Return { id, why: maybe(rng, "未加固") },
        8 => HazardAction::Close { id, comment },
        9 => HazardAction::Dismiss { id, why: maybe(rng, "误报") },
        10 => HazardAction::Progress { id, text: maybe(rng, "已采购") },
        11 => {
            let listing = Listing { level: ListingLevel::City, body: "市局".into(), notice: today };
            HazardAction::List { id, listing }
        }
        _ => HazardAction::Unlist { id, comment },
    }
}

#[test]
fn hazards_move_along_the_table_only_whoever_does_what() {
    let mut rng = fastrand::Rng::with_seed(16);
    let mut rig = Rig::new("2026-11-22T09:00:00.000Z");
    let mut n: BTreeMap<String, u32> = BTreeMap::new();
    let mut closed = 0;
    for step in 0..STEPS {
        let ids: Vec<String> = rig.book.memory.hazards.open().map(|hazard| hazard.id.clone()).collect();
        let id = if ids.is_empty() { "hz-1-1".into() } else { ids[rng.usize(..ids.len())].clone() };
        let name = ["zhang", "li", "wang", "chen"][rng.usize(..4)];
        let via = [Via::Machine, Via::Page, Via::Platform, Via::Gateway][rng.usize(..4)];
        let roles = [Role::Operator, Role::Supervisor, Role::Auditor].map(|role| (role, rng.bool()));
        let roles: Vec<Role> = roles.into_iter().filter(|(_, has)| *has).map(|(role, _)| role).collect();
        let mut action = some_hazard_action(&mut rng, id, FixedOffset::BEIJING.date_at(rig.now.wall));
        if ids.len() > 20 && matches!(action, HazardAction::Find { .. }) {
            action = HazardAction::Dismiss { id: ids[0].clone(), why: "过多".into() };
        }
        drop(rig.act(Action::Hazard(action), &who(name, via, &roles)));
        if step % 10 == 0 {
            rig.now.mono = rig.now.mono + HOUR;
            rig.now.wall = rig.now.wall.after(HOUR);
            rig.tell(Fact::Output { output: format!("gate-{}", rng.u8(..3)), done: rng.u8(..4) == 0 });
            rig.book.handle_timeout(rig.now);
            rig.collect();
        }
        for record in rig.records::<HazardRecord>(DocumentKind::Hazard) {
            let (hazard, actor) = (&record.hazard, &record.actor);
            let before = n.insert(hazard.id.clone(), hazard.n).unwrap_or(0);
            assert_eq!(hazard.n, before + 1, "no step is missing");
            let Some(from) = record.from else {
                assert_eq!((hazard.state, hazard.n), (HazardState::Found, 1));
                continue;
            };
            let noted = [
                HazardStep::Progress,
                HazardStep::Overdue,
                HazardStep::CauseGone,
                HazardStep::List,
                HazardStep::Unlist,
            ];
            assert!(
                if noted.contains(&record.step) { from == hazard.state } else { LOOP.contains(&(from, hazard.state)) },
                "{record:?}"
            );
            let by_authority = [HazardStep::List, HazardStep::Unlist].contains(&record.step);
            assert_eq!(by_authority, by_authority && actor.via == Via::Platform);
            if hazard.state >= HazardState::Rectifying && hazard.state != HazardState::Dismissed {
                let five = hazard.five.as_ref().unwrap();
                assert!(
                    [&five.responsible, &five.measures, &five.funds, &five.plan].iter().all(|text| !text.is_empty())
                );
            }
            if record.step == HazardStep::Accept {
                let five = hazard.five.as_ref().unwrap();
                assert_ne!(Some(&actor.name), hazard.submitted_by.as_ref());
                assert_ne!(Some(&actor.name), hazard.assigned.as_ref());
                assert_ne!(actor.name, five.responsible);
            }
            if hazard.state == HazardState::Closed {
                closed += 1;
                assert!(hazard.listed.is_none() && hazard.accepted_by.is_some());
                assert!(hazard.overdue == 0 || hazard.explanation.is_some());
            }
        }
        rig.out.clear();
        let causes: Vec<_> = rig.book.memory.hazards.open().filter_map(|hazard| hazard.cause.as_ref()).collect();
        assert_eq!(causes.len(), causes.iter().collect::<BTreeSet<_>>().len(), "one open hazard for a cause");
    }
    assert!(closed > 100, "{closed} closed are too few to have tried anything");
}

#[test]
fn a_day_of_two_hundred_devices_and_a_flood_of_alarms_is_far_under_a_second() {
    let devices: Vec<String> = (0..200).map(|n| format!("plc-{n}")).collect();
    let now = Now { mono: Mono::from_secs(100), wall: time("2026-11-22T09:00:00.000Z"), trust: ClockTrust::Synced };
    let rules = Arc::new(Rules::default());
    let mut book = Daybook::new(rules.clone(), Arc::new(FixedOffset::BEIJING), 1, now);
    book.install(rules, devices.iter().map(String::as_str), now);
    let mut now = now;
    let mut made = 0;
    for minute in 0..1440 {
        for n in 0..10 {
            let occ = format!("{minute}-{n}");
            book.handle(fact(&occ, minute, AlarmStep::Raised, false), now.mono, now);
            book.handle(fact(&occ, minute, AlarmStep::Acknowledged, false), now.mono, now);
            book.handle(fact(&occ, minute, AlarmStep::Cleared, true), now.mono, now);
        }
        now.mono = now.mono + MINUTE;
        now.wall = now.wall.after(MINUTE);
        for device in &devices {
            book.handle(coverage(device, MINUTE, 60, 60), now.mono, now);
        }
        book.handle_timeout(now);
        while let Some(output) = book.poll_output() {
            made += usize::from(matches!(output, Output::Report(..)));
        }
    }
    let report = book.report(date("2026-11-23")).unwrap();
    assert_eq!((made, report.alarms.raised, report.coverage.n_devices), (1, 14_400, 200));
}
