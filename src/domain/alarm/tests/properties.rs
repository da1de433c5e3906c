//! Long random runs of a small park, held against the table of A11 and a plain model beside the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::action::Action;
use super::super::ask::Test;
use super::super::record::{AlarmRecord, Occ};
use super::super::saved::Saved;
use super::super::severity::{Class, Priority, Recipient, Shelving};
use super::super::spec::*;
use super::super::state::{Cause, State};
use super::bench::*;
use crate::domain::actor::Role;
use crate::domain::instrument::InstrumentState;
use crate::domain::order::Receipt;
use crate::domain::reading::{Quality, Reading};
use crate::domain::time::Timestamp;

/// Steps of one run, over all seeds of a test: the issue asks for 10⁵.
const STEPS: usize = 30_000;
const SEEDS: [u64; 4] = [1, 2, 3, 4];
const POINTS: u16 = 6;
/// An ordinal that suppresses, and nothing else.
const STOPPED: u16 = 6;

/// Points 0 to 5: plain, latching, delayed, suppressed, gas with a controller's bit at ordinal 7, one with everything.
fn park() -> Bench {
    let levels = || {
        let severe = Level { shelving: Shelving::SecondPerson, deadband: 3.0, ..level(50.0, Priority::Red) };
        vec![Level { deadband: 2.0, ..level(25.0, Priority::Yellow) }, severe]
    };
    let plain = |o| AlarmSpec { levels: levels(), group: Some("组".into()), ..alarm(at(0, o), Condition::High) };
    let delayed = |o| AlarmSpec { on_delay: 3 * SECOND, off_delay: 2 * SECOND, ..plain(o) };
    let told = |spec| AlarmSpec { escalation: Some(0), annunciators: vec![0], ..spec };
    let stopped = Some(when(STOPPED, Test::On));
    let gas = AlarmSpec { id: "d0.p4.gas".into(), subject: plain(4).subject, ..gas_alarm(0, true) };
    let bits = vec![ControllerBit { level: 2, side: Side::High, when: when(7, Test::On) }];
    let uid = crate::domain::id::PointUid::new("u-d0.p4");
    let alarms = vec![
        told(plain(0)),
        AlarmSpec { latching: true, ..plain(1) },
        delayed(2),
        AlarmSpec { suppressed_when: stopped, ..plain(3) },
        told(gas),
        AlarmSpec { latching: true, suppressed_when: stopped, ..told(delayed(5)) },
        AlarmSpec { latching: true, ..of_device(0) },
        of_gateway("sms.channel", Condition::Channel { channel: "sms".into() }),
    ];
    let step = |secs| Step { after: Duration::from_secs(secs), channel: "sms".into(), to: Recipient::ControlRoom };
    Bench::new(AlarmBook {
        escalations: vec![Escalation { name: "默认".into(), steps: vec![step(0), step(5), step(60)] }],
        annunciators: vec![Annunciator {
            output: "horn".into(),
            channel: "horn".into(),
            on: "on".into(),
            off: "off".into(),
            follows: Follows::Unacknowledged,
        }],
        ..book(alarms, vec![Detector { at: at(0, 4), uid, bits, ..detector() }])
    })
}

/// The table of A11, written down once more: letters from and to, and by what.
fn is_in_the_table(record: &AlarmRecord, latching: bool) -> bool {
    use Cause::*;
    let (from, to) = (record.from.letter(), record.to.letter());
    let hidden = |letter| "GHI".contains(letter);
    match record.cause {
        Escalated | Receipt => from == to,
        Active | Clear | LevelUp | LevelDown if hidden(from) => from == to,
        Active => "ADEF".contains(from) && to == 'B',
        Clear if latching => matches!((from, to), ('B', 'E') | ('C', 'F')),
        Clear => matches!((from, to), ('B', 'D') | ('C', 'A')),
        LevelUp => matches!((from, to), ('B' | 'C', 'B')),
        LevelDown => matches!((from, to), ('B', 'B') | ('C', 'C')),
        Ack => matches!((from, to), ('B', 'C') | ('D', 'A') | ('E', 'F')),
        Reset => (from, to) == ('F', 'A'),
        ResetRefused => latching && matches!((from, to), ('B' | 'C', 'B')),
        Shelved => from != 'I' && to == 'G',
        OutOfService => to == 'I',
        Suppressed => !hidden(from) && to == 'H',
        Unshelved | ShelfExpired | ShelfBroken => from == 'G' && "ABDEFH".contains(to),
        Returned | ServiceExpired => from == 'I' && "ABDEFH".contains(to),
        Unsuppressed => from == 'H' && "ABDEF".contains(to),
        Removed => to == 'A',
    }
}

/// What is known without the machine.
#[derive(Default)]
struct Model {
    /// Last reading of each point.
    readings: BTreeMap<String, Reading>,
    /// Last record of each alarm, and whether it stands raised.
    last: BTreeMap<String, AlarmRecord>,
    raised: BTreeSet<String>,
    /// Number of the record that last raised each alarm.
    raised_n: BTreeMap<String, u32>,
    /// Occurrences that have ended.
    over: BTreeSet<Occ>,
    steps: usize,
    seen: usize,
}

impl Model {
    /// Holds all new records against what is known.
    fn check(&mut self, park: &Bench) {
        for record in park.records.iter().skip(std::mem::replace(&mut self.seen, park.records.len())) {
            let id = record.alarm.to_string();
            let latching = park.alarms.book().alarms.iter().any(|spec| spec.id == record.alarm && spec.latching);
            assert!(is_in_the_table(record, latching), "{record:?}");
            match self.last.get(&id).filter(|last| last.to != State::Normal) {
                Some(last) => {
                    assert_eq!((record.occ, record.n), (last.occ, last.n + 1), "contiguous\n{last:?}\n{record:?}");
                    assert_eq!(record.from, last.to, "{record:?}");
                }
                None => assert_eq!((record.n, record.from), (1, State::Normal), "{record:?}"),
            }
            assert!(!self.over.contains(&record.occ), "an occurrence that is over does not come back: {record:?}");
            if record.cause == Cause::Active {
                assert!(self.raised.insert(id.clone()), "raised twice: {record:?}");
            }
            if record.cause == Cause::Clear {
                assert!(self.raised.remove(&id), "cleared without having been raised: {record:?}");
                self.was_measured(record);
            }
            if record.n == 1 {
                self.raised_n.insert(id.clone(), 0);
            }
            if record.to.is_unacked() && (record.cause.raises() || record.from.is_hidden()) {
                self.raised_n.insert(id.clone(), record.n);
            }
            let stands = record.beneath.unwrap_or(record.to);
            assert_eq!(stands.is_active(), self.raised.contains(&id), "{record:?}");
            if record.to == State::Normal {
                self.over.insert(record.occ);
            }
            self.last.insert(id, record.clone());
        }
        self.steps += 1;
        if self.steps.is_multiple_of(50) {
            for active in park.alarms.active(park.now) {
                assert_eq!(active.last.n, self.last[&*active.last.alarm].n, "what stands is what was told");
            }
        }
    }

    /// Bad quality never clears.
    fn was_measured(&self, record: &AlarmRecord) {
        if let Some(tag) = record.tag.as_deref() {
            let reading = self.readings[tag];
            assert_eq!(reading.quality, Quality::Good, "{record:?}");
            assert!(reading.value().unwrap().as_f64() < 25.0, "{record:?}");
        }
    }
}

fn some_reading(random: &mut fastrand::Rng) -> Reading {
    let bad_ones = [Quality::Comm, Quality::Sensor, Quality::Stale, Quality::Calibration, Quality::Suspect];
    match random.u8(0..20) {
        0..4 => bad(bad_ones[random.usize(0..bad_ones.len())]),
        4 => good(100.0).with_quality(Quality::OverRange),
        5 => good(-9.0).with_quality(Quality::UnderRange),
        6..11 => good(f64::from(random.u8(0..25))),
        11..17 => good(f64::from(random.u8(20..60))),
        _ => good(f64::from(random.u8(45..60))),
    }
}

/// One person does something, sometimes to what is over long since.
fn somebody_acts(park: &mut Bench, model: &Model, random: &mut fastrand::Rng) {
    let ids: Vec<String> = park.alarms.book().alarms.iter().map(|spec| spec.id.to_string()).collect();
    let alarm = ids[random.usize(0..ids.len())].clone();
    let last = model.last.get(&alarm);
    let now_or_then = match (random.u8(0..4), last) {
        (0, _) => model.over.range(Occ { boot: 17, n: random.u32(0..9_000) }..).next().copied(),
        (_, last) => last.map(|last| last.occ),
    };
    let occ = now_or_then.unwrap_or(Occ { boot: 1, n: 1 });
    let (time, reason) = (Duration::from_secs(random.u64(1..200)), "试".to_owned());
    let seen = random.bool().then(|| random.u32(0..8));
    let action = match random.u8(0..12) {
        0..4 => Action::Ack { alarm, occ, seen, comment: None },
        4..6 => Action::Reset { alarm, occ, comment: None },
        6 => Action::Silence,
        7 => Action::Shelve { alarm, time, reason },
        8 => Action::Unshelve { alarm },
        9 => Action::OutOfService { alarm, time, reason },
        10 => Action::Return { alarm },
        _ => Action::Approve { alarm },
    };
    let name = if random.bool() { "甲" } else { "乙" };
    let before = park.records.len();
    let done = park.act(&action, &person(name, &[Role::Operator, Role::Supervisor]));
    let told = park.records.get(before).cloned();
    if let (Action::Ack { occ, seen, .. }, Some(record)) = (&action, &told) {
        assert_eq!((&record.occ, record.cause), (occ, Cause::Ack), "an acknowledgement meets its occurrence");
        assert!(!model.over.contains(occ));
        let raised_n = model.raised_n[&*record.alarm];
        assert!(seen.is_none_or(|seen| seen >= raised_n), "nobody acknowledges what he has not seen");
    }
    if let (Action::Ack { occ, .. }, true) = (&action, done.is_ok()) {
        assert_eq!(last.map(|last| last.occ), Some(*occ));
    }
}

fn one_step(park: &mut Bench, model: &mut Model, random: &mut fastrand::Rng) {
    match random.u8(0..20) {
        0..10 => {
            let ordinal = random.u16(0..POINTS);
            let reading = some_reading(random);
            park.pass(SECOND);
            model.check(park);
            model.readings.insert(format!("d0.p{ordinal}"), reading);
            park.read_now(&[(ordinal, reading, None)]);
        }
        10 => park.read(STOPPED, if random.u8(0..4) == 0 { bad(Quality::Comm) } else { bit(random.bool()) }),
        11 => park.read(7, bit(random.u8(0..4) == 0)),
        12 => park.link(random.bool()),
        13 => {
            for order in std::mem::take(&mut park.orders) {
                let failed = random.u8(0..4) == 0;
                park.receipt(&order.key, &if failed { Receipt::Failed("占线".into()) } else { Receipt::Sent });
            }
        }
        14 => park.pass(Duration::from_millis(random.u64(0..100_000))),
        15 => park.now.wall = Timestamp(random.i64(0..4_000_000_000_000)),
        _ => somebody_acts(park, model, random),
    }
    model.check(park);
}

#[test]
fn alarms_keep_to_the_table_over_a_hundred_thousand_steps() {
    let mut seen = BTreeSet::new();
    for seed in SEEDS {
        let (mut park, mut model, mut random) = (park(), Model::default(), fastrand::Rng::with_seed(seed));
        for _ in 0..STEPS {
            one_step(&mut park, &mut model, &mut random);
            forget_the_past(&mut park, &mut model, &mut seen);
        }
    }
    let letters = |(from, to, _): &(State, State, Cause)| format!("{}{}", from.letter(), to.letter());
    let ways: BTreeSet<String> = seen.iter().map(letters).collect();
    for way in
        "AB BC BD BE CA CF DA DB EF EB FA FB CB AG BG CG DG EG FG GB GA AI BI GI IA IB AH BH HB HA HG GH".split(' ')
    {
        assert!(ways.contains(way), "the run has never gone {way}: {ways:?}");
    }
}

/// Records grow without end; what has been checked may go.
fn forget_the_past(park: &mut Bench, model: &mut Model, seen: &mut BTreeSet<(State, State, Cause)>) {
    if park.records.len() > 200 {
        seen.extend(park.records.drain(..).map(|r| (r.from, r.to, r.cause)));
        model.seen = 0;
    }
}

#[test]
fn a_restart_at_any_time_loses_invents_and_clears_nothing() {
    for seed in SEEDS {
        let (mut park, mut model, mut random) = (park(), Model::default(), fastrand::Rng::with_seed(seed + 100));
        let (mut snapshot, mut since) = (Saved::default(), 0);
        for step in 0..STEPS / 20 {
            one_step(&mut park, &mut model, &mut random);
            if random.u8(0..40) == 0 {
                (snapshot, since) = (park.alarms.saved(park.now), park.records.len());
            }
            if step % 25 != 0 {
                continue;
            }
            let wall = Timestamp(random.i64(0..4_000_000_000_000));
            let whole = park.restart(park.alarms.saved(park.now), vec![], wall);
            let (there, here) = (what_lasts(&whole), what_lasts(&park));
            for (n, (there, here)) in there.lines().zip(here.lines()).enumerate() {
                assert_eq!(there, here, "seed {seed}, step {step}, line {n}");
            }
            assert_eq!(there.len(), here.len());
            // Some records since the snapshot, and some that it knows.
            let from = since.saturating_sub(random.usize(0..5));
            let again = park.restart(snapshot.clone(), park.records[from..].to_vec(), wall);
            assert!(again.records.is_empty());
            let set = |park: &Bench| serde_json::to_string(&park.alarms.active_set(park.now).alarms).unwrap();
            let stale = |text: String| text.replace(",\"stale\":true", "");
            assert_eq!(stale(set(&again)), stale(set(&park)), "seed {seed}, step {step}");
            assert_eq!(raised_n(&again), raised_n(&park));
        }
    }
}

fn what_lasts(park: &Bench) -> String {
    serde_json::to_string_pretty(&park.alarms.saved(park.now)).unwrap()
}

fn raised_n(park: &Bench) -> Vec<u32> {
    park.alarms.saved(park.now).alarms.iter().map(|alarm| alarm.raised_n).collect()
}

/// Points 0 to 4: limits of both directions with deadbands and delays, beside quality and flat line, or each alone, one latching
/// and suppressed; 5 and 6: a deviation from the other, and a rate, which see every reading. With `each_asked`, a rate that never
/// alarms is watched too, so that no reading is passed over.
fn limits(each_asked: bool) -> Bench {
    let high = |o| AlarmSpec {
        levels: vec![Level { deadband: 2.0, ..level(25.0, Priority::Yellow) }, level(30.0, Priority::Red)],
        ..alarm(at(0, o), Condition::High)
    };
    let low = |o| AlarmSpec {
        levels: vec![Level { deadband: 1.0, ..level(5.0, Priority::Blue) }],
        ..alarm(at(0, o), Condition::Low)
    };
    let slow = |spec| AlarmSpec { on_delay: 3 * SECOND, off_delay: 2 * SECOND, ..spec };
    let quality = |o| alarm(at(0, o), Condition::Quality { of: [Quality::Sensor, Quality::Comm].into() });
    let flat = |o| alarm(at(0, o), Condition::Flatline);
    let latching = AlarmSpec {
        latching: true,
        suppressed_when: Some(when(STOPPED, Test::On)),
        group: Some("组".into()),
        ..high(4)
    };
    let deviation = alarm(at(0, 5), Condition::Deviation { from: Reference::Point(at(0, 8)) });
    let rate = |window, change| Condition::Rate { window, change };
    let rises =
        AlarmSpec { levels: vec![level(100.0, Priority::Blue)], ..alarm(at(0, 8), rate(2 * SECOND, Change::Rise)) };
    let mut alarms =
        vec![high(0), low(0), slow(high(1)), slow(low(1)), quality(2), flat(2), high(2), slow(quality(3)), low(3)];
    alarms.extend([latching, slow(low(4)), deviation, rises, of_device(0)]);
    let never = |o| {
        let levels = vec![level(1e9, Priority::Blue)];
        AlarmSpec { levels, ..alarm(at(0, o), rate(5 * SECOND, Change::Any)) }
    };
    if each_asked {
        alarms.extend((0..5).map(never));
    }
    Bench::new(book(alarms, vec![]))
}

/// Somebody does something with an alarm, or, mostly, nobody anything.
fn deed_of(park: &mut Bench, deed: u8, alarm: &str) {
    let (alarm, time, reason) = (alarm.to_owned(), 20 * SECOND, "试".to_owned());
    let occ = park.alarms.active(park.now).into_iter().find(|one| *one.last.alarm == *alarm).map(|one| one.last.occ);
    let action = match (deed, occ) {
        (0..6, Some(occ)) => Action::Ack { alarm, occ, seen: None, comment: None },
        (6..9, Some(occ)) => Action::Reset { alarm, occ, comment: None },
        (9, _) => Action::Shelve { alarm, time, reason },
        (10, _) => Action::OutOfService { alarm, time, reason },
        (11, _) => Action::Return { alarm },
        _ => return,
    };
    // What is refused to one is refused to the other: the records say.
    drop(park.act(&action, &supervisor()));
}

#[test]
fn a_reading_that_is_passed_over_far_from_every_limit_would_have_changed_nothing() {
    let (mut quick, mut thorough, mut random) = (limits(false), limits(true), fastrand::Rng::with_seed(5));
    let mut told = 0;
    for step in 0..100_000 {
        let ordinal = [0, 1, 2, 3, 4, 5, 8][random.usize(0..7)];
        // Mostly far from the limits; now and then at, near and beyond them, by both kinds of float.
        let value = match random.u8(0..10) {
            0 => [4.9, 5.0, 5.1, 6.0, 6.1, 22.9, 23.0, 24.9, 25.0, 30.0][random.usize(0..10)],
            1 => f64::from(random.u8(0..40)),
            _ => 7.0 + f64::from(random.u8(0..15)),
        };
        let single = crate::domain::reading::Value::Single(random.u8(0..40).into());
        let reading = match random.u8(0..12) {
            0 => some_reading(&mut random),
            1 => Reading::good(single),
            _ => good(value),
        };
        let span = Duration::from_millis(random.u64(0..2_000));
        let link = (random.u8(0..200) == 0).then(|| random.bool());
        let stopped = (random.u8(0..100) == 0).then(|| bit(random.bool()));
        let alarm = ["d0.p0.high", "d0.p1.low", "d0.p2.quality", "d0.p3.low", "d0.p4.high"][random.usize(0..5)];
        let deed = random.u8(0..60);
        for park in [&mut quick, &mut thorough] {
            park.pass(span);
            link.into_iter().for_each(|up| park.link(up));
            stopped.into_iter().for_each(|bit| park.read_now(&[(STOPPED, bit, None)]));
            park.read_now(&[(ordinal, reading, None)]);
            deed_of(park, deed, alarm);
        }
        assert_eq!(quick.records, thorough.records, "step {step}");
        if step % 100 == 0 {
            let set = |park: &Bench| serde_json::to_string(&park.alarms.active_set(park.now).alarms).unwrap();
            assert_eq!(set(&quick), set(&thorough), "step {step}");
        }
        told += quick.records.len();
        quick.records.clear();
        thorough.records.clear();
    }
    assert!(told > 5_000, "{told} records are too few to have tried anything");
}

#[test]
fn a_day_of_a_part_of_the_park_is_quick_and_quiet() {
    // A tenth of the park, polled each minute; by hand the whole of it.
    let points = 2_000;
    let mut park = Bench::new(book((0..points).map(|o| alarm(at(0, o), Condition::High)).collect(), vec![]));
    for minute in 0..1_440_u32 {
        park.pass(Duration::from_secs(60));
        let value = |o: u16| good(f64::from((u32::from(o) + minute) % 24));
        let readings: Vec<_> = (0..points).map(|o| (o, value(o))).collect();
        park.alarms.handle_readings(0, readings.iter().map(|(o, r)| (*o, r, None)), park.now.mono, park.now);
        park.drain();
    }
    assert!(park.records.is_empty());
}

/// The detectors of points 0 to 2: one with bits of its controller, one of oxygen with two sides and deadbands, one of which the
/// bits alone count. Bits at 4 to 9, the inhibit bit at 10, the fault bit at 11. `each_asked` as in [`limits`].
fn gases(each_asked: bool) -> Bench {
    let bit = |level, side, ordinal| ControllerBit { level, side, when: when(ordinal, Test::On) };
    let uid = |o: u16| crate::domain::id::PointUid::new(format!("u-d0.p{o}"));
    let combustible = Detector {
        bits: vec![bit(1, Side::High, 4), bit(2, Side::High, 5)],
        fault: vec![when(11, Test::On)],
        inhibit: vec![when(10, Test::On)],
        margin: 1.5,
        ..detector()
    };
    let oxygen = Detector {
        at: at(0, 1),
        uid: uid(1),
        bits: vec![bit(1, Side::Low, 6), bit(1, Side::High, 7)],
        bits_latch: false,
        ..detector()
    };
    let told = Detector { at: at(0, 2), uid: uid(2), bits: vec![bit(1, Side::High, 8)], ..detector() };
    let side = |o: u16, side, limit| AlarmSpec {
        class: Class::Gas,
        latching: true,
        levels: vec![Level { deadband: 0.5, ..level(limit, Priority::Red) }],
        ..alarm(at(0, o), Condition::Gas { detector: usize::from(o), side, compare: true })
    };
    let about = |o: u16| {
        let (detector, place) = (usize::from(o), at(0, o));
        let limits = vec![(InstrumentState::Calibration, 20 * SECOND), (InstrumentState::Inhibited, 30 * SECOND)];
        [
            AlarmSpec { on_delay: SECOND, ..alarm(place, Condition::GasFault { detector }) },
            AlarmSpec { on_delay: SETTLE, ..alarm(place, Condition::Disagreement { detector }) },
            alarm(place, Condition::StateTooLong { detector, limits }),
        ]
    };
    let by_bits = AlarmSpec { subject: alarm(at(0, 2), Condition::High).subject, ..gas_alarm(2, false) };
    let mut alarms = vec![gas_alarm(0, true), side(1, Side::Low, 19.5), side(1, Side::High, 23.5), of_device(0)];
    alarms.push(AlarmSpec { id: "d0.p2.gas".into(), ..by_bits });
    alarms.extend((0..3).flat_map(about));
    if each_asked {
        let never = |o| AlarmSpec {
            levels: vec![level(1e9, Priority::Blue)],
            ..alarm(at(0, o), Condition::Rate { window: 5 * SECOND, change: Change::Any })
        };
        alarms.extend((0..3).map(never));
    }
    Bench::new(book(alarms, vec![combustible, oxygen, told]))
}

#[test]
fn gas_that_is_passed_over_far_from_every_limit_would_have_changed_nothing() {
    let (mut quick, mut thorough, mut random) = (gases(false), gases(true), fastrand::Rng::with_seed(8));
    let (mut told, mut states) = (0, [InstrumentState::Monitoring; 3]);
    for step in 0..100_000 {
        let mut readings = Vec::new();
        for ordinal in 0..3_u16 {
            let state = &mut states[usize::from(ordinal)];
            if random.u8(0..40) == 0 {
                use InstrumentState::{Calibration, Fault, Inhibited, Monitoring, Unknown};
                *state = [Monitoring, Monitoring, Calibration, Inhibited, Unknown, Fault][random.usize(0..6)];
            }
            // Clean air mostly; at, near and beyond the limits, and what is none, now and then.
            let air = if ordinal == 1 { 20.5 + random.f64() } else { 10.0 * random.f64() };
            let reading = match random.u8(0..30) {
                0 => some_reading(&mut random),
                1 => good([19.0, 19.5, 20.0, 20.1, 23.0, 23.5, 24.9, 25.0, 23.4, 50.0][random.usize(0..10)]),
                _ => good(air),
            };
            readings.push((ordinal, state.judge(reading), Some(*state)));
        }
        for ordinal in 4..12 {
            if random.u8(0..60) == 0 {
                readings.push((ordinal, bit(random.u8(0..4) == 0), None));
            }
        }
        let span = Duration::from_millis(random.u64(0..2_000));
        let link = (random.u8(0..200) == 0).then(|| random.bool());
        let alarm = ["d0.p0.gas", "d0.p1.gas", "d0.p1.gas_low", "d0.p2.gas", "d0.p0.disagreement"][random.usize(0..5)];
        let deed = random.u8(0..30);
        for park in [&mut quick, &mut thorough] {
            park.pass(span);
            link.into_iter().for_each(|up| park.link(up));
            park.read_all(&readings);
            deed_of(park, deed, alarm);
        }
        assert_eq!(quick.records, thorough.records, "step {step}");
        assert_eq!(quick.documents, thorough.documents, "step {step}");
        assert_eq!(quick.facts, thorough.facts, "step {step}");
        if step % 100 == 0 {
            let set = |park: &Bench| serde_json::to_string(&park.alarms.active_set(park.now).alarms).unwrap();
            assert_eq!(set(&quick), set(&thorough), "step {step}");
        }
        told += quick.records.len();
        for park in [&mut quick, &mut thorough] {
            park.records.clear();
            park.documents.clear();
            park.facts.clear();
            park.orders.clear();
        }
    }
    assert!(told > 5_000, "{told} records are too few to have tried anything");
}
