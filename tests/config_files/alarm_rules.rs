//! What the configuration makes of limits, bits and ids, down to the alarm that is raised and cleared.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use parkgate::config::Config;
use parkgate::domain::alarm::Alarms;
use parkgate::domain::alarm::state::State;
use parkgate::domain::alarm::view::Output;
use parkgate::domain::reading::{Reading, Value};
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};

use super::{alarm, loaded, problems, small};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A folder with this point table, and this `alarms.toml` where it is not empty.
fn folder(table: &str, alarms: &str) -> tempfile::TempDir {
    let dir = small("");
    fs::write(dir.path().join("points.csv"), table).unwrap();
    if !alarms.is_empty() {
        fs::write(dir.path().join("alarms.toml"), alarms).unwrap();
    }
    dir
}

/// The alarm machine of a configuration with one device.
struct Park {
    machine: Alarms,
    now: Duration,
}

impl Park {
    fn new(config: &Config) -> Self {
        let mut machine = Alarms::new(Arc::clone(&config.alarms.book), 1, now(Duration::ZERO));
        machine.handle_link(0, true, now(Duration::ZERO));
        Self { machine, now: Duration::ZERO }
    }

    /// Lets time pass and all points be read, in the order of the table; returns what was recorded of a change: alarm, state,
    /// level. That people were told is a note within a state.
    fn read(&mut self, after: Duration, values: &[f64]) -> Vec<(String, State, u8)> {
        self.now += after;
        let now = now(self.now);
        let readings: Vec<Reading> = values.iter().map(|v| Reading::good(Value::Number(*v))).collect();
        let readings = (0_u16..).zip(&readings).map(|(ordinal, reading)| (ordinal, reading, None));
        self.machine.handle_readings(0, readings, now.mono, now);
        self.machine.handle_timeout(now);
        let mut told = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            if let Output::Alarm { record, .. } = output
                && !record.cause.is_note()
            {
                told.push((record.alarm.to_string(), record.to, record.level));
            }
        }
        told.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        told
    }
}

fn now(since: Duration) -> Now {
    let ms = i64::try_from(since.as_millis()).unwrap();
    Now { mono: Mono::from(since), wall: Timestamp(1_800_000_000_000 + ms), trust: ClockTrust::Synced }
}

fn told(alarm: &str, state: State, level: u8) -> (String, State, u8) {
    (alarm.to_owned(), state, level)
}

const LIMITS: &str =
    "uid,tag,name,device,table,address,encoding,unit,range_low,range_high,kind,l,h,hh,alarm_deadband\n";

#[test]
fn a_limit_near_the_end_of_the_range_can_be_left_again() {
    let rows = "a,LT1,sump,d,holding,0,f32,m,0,5,level,,0.2,,\nb,LT2,seal,d,holding,2,f32,m,0,5,level,4.9,,,\n\
                c,LT3,pit,d,holding,4,f32,m,0,5,level,,0.2,4,\n";
    let config = loaded(folder(&format!("{LIMITS}{rows}"), "").path());
    for id in ["LT1.high", "LT2.low", "LT3.high"] {
        let deadband = alarm(&config, id).levels[0].deadband;
        assert!((deadband - if id == "LT2.low" { 0.05 } else { 0.1 }).abs() < 1e-9, "{id}: {deadband}");
    }
    let mut park = Park::new(&config);
    park.read(SECOND, &[0.3, 4.8, 0.3]);
    let raised = park.read(61 * SECOND, &[0.3, 4.8, 0.3]);
    let all = |state| [told("LT1.high", state, 1), told("LT2.low", state, 1), told("LT3.high", state, 1)];
    assert_eq!(raised, all(State::Unacked));
    park.read(SECOND, &[0.0, 5.0, 0.0]);
    let left: Vec<_> = park.read(61 * SECOND, &[0.0, 5.0, 0.0]).into_iter().map(|(id, state, _)| (id, state)).collect();
    let wanted: Vec<_> = all(State::ReturnedUnacked).into_iter().map(|(id, state, _)| (id, state)).collect();
    assert_eq!(left, wanted, "empty, full, empty: nothing is left to come back");
}

#[test]
fn a_written_deadband_that_leaves_no_way_back_is_refused() {
    let row = |cells: &str| format!("{LIMITS}a,LT1,sump,d,holding,0,f32,m,0,5,level,{cells}\n");
    for (cells, wanted) in [
        (",0.2,,0.25", "the alarm deadband 0.25 is the way 0.2 from a limit to the end of the range or more"),
        ("4.9,,,3%", "the alarm deadband 0.15 is the way 0.1 from a limit to the end of the range or more"),
        (",0.2,4,0.2", "the alarm deadband 0.2 is the way 0.2 from a limit"),
        (",0.2,,0.15", ""),
    ] {
        let found = problems(&folder(&row(cells), "")).join("\n");
        let place = format!("points.csv:2: column 报警死区 (alarm_deadband): {wanted}");
        assert!(if wanted.is_empty() { found.is_empty() } else { found.contains(&place) }, "{cells}:\n{found}");
    }
    let gas = format!("{LIMITS}a,GD1,pump,d,holding,0,f32,%LEL,0,100,gas,,,,30\n");
    let found = problems(&folder(&gas, "")).join("\n");
    assert!(found.contains("the alarm deadband 30 is the gap 25"), "of the levels of the clause too: {found}");
    let single = |more: &str| format!("[[alarm]]\npoint = \"LT1\"\nkind = \"high\"\nlimits = 0.2\n{more}");
    let found = problems(&folder(&row(",,,"), &single("deadband = 0.25\n"))).join("\n");
    let wanted = "alarms.toml:5:12: [[alarm]] deadband: the alarm deadband 0.25 is the way 0.2 from a limit";
    assert!(found.contains(wanted) && found.contains("write less than 0.2, better 0.1 at most"), "{found}");
    let config = loaded(folder(&row(",,,"), &single("")).path());
    assert!((alarm(&config, "LT1.high").levels[0].deadband - 0.1).abs() < 1e-9, "the default is narrower by itself");
}

const GAS: &str = "uid,tag,name,device,table,address,encoding,unit,range_low,range_high,kind,gas,l1,l2,l,h,alarm_of\n";

#[test]
fn a_detector_that_only_a_bit_calls_inhibited_may_not_stay_so_for_ever() {
    let rows = "a,GD1,pump,d,holding,0,f32,%LEL,0,100,gas,,25,50,,,\n\
                b,GD1.IN,inhibited,d,discrete,0,bool,,,,gas_state,,,,,,a inhibit\n\
                c,GD2,tank,d,holding,2,f32,%LEL,0,100,gas,,25,50,,,\n\
                e,GD2.F,fault,d,discrete,1,bool,,,,gas_state,,,,,,c fault\n";
    let config = loaded(folder(&format!("{GAS}{rows}"), "").path());
    let long: Vec<_> = config.alarms.book.alarms.iter().filter(|a| a.id.ends_with(".state_too_long")).collect();
    assert_eq!(long.len(), 1, "a fault is alarmed at once and needs no limit of time: {long:?}");
    let mut park = Park::new(&config);
    assert_eq!(park.read(SECOND, &[3.0, 1.0, 3.0, 0.0]), []);
    assert_eq!(park.read(4 * HOUR - SECOND, &[3.0, 1.0, 3.0, 0.0]), []);
    let raised = park.read(2 * SECOND, &[3.0, 1.0, 3.0, 0.0]);
    assert_eq!(raised, [told("GD1.state_too_long", State::Unacked, 1)]);
    let back = park.read(SECOND, &[3.0, 0.0, 3.0, 0.0]);
    let back: Vec<_> = back.iter().map(|(id, state, _)| (id.as_str(), *state)).collect();
    assert_eq!(back, [("GD1.state_too_long", State::ReturnedUnacked)]);
}

#[test]
fn an_alarm_of_the_site_does_not_take_a_stricter_one_away() {
    let head = "uid,tag,name,device,table,address,encoding,unit,range_low,range_high,kind,l1,l2,h,hh,hazard_source\n";
    let rows = "a,GD1,pump,d,holding,0,f32,%LEL,0,100,gas,25,50,,,\nb,FD1,button,d,discrete,0,bool,,,,fire,,,,,\n\
                c,LT1,tank,d,holding,2,f32,m,0,12,level,,,10,11,HS-1\ne,LT2,pond,d,holding,4,f32,m,0,12,level,,,10,11,\n";
    let dir = |alarm: &str| folder(&format!("{head}{rows}"), &format!("[[alarm]]\n{alarm}\n"));
    let fire = "point = \"FD1\"\nkind = \"digital\"\nwhen = \"off\"";
    let high = "kind = \"high\"\nlimits = [9, 11]";
    for (alarm, wanted) in [
        (
            "point = \"GD1\"\nkind = \"digital\"\nwhen = \"on\"\nid = \"gas\"".to_owned(),
            "(process) would stand instead of the alarm `GD1.gas` (gas)",
        ),
        (
            "point = \"GD1\"\nkind = \"digital\"\nwhen = \"on\"\nid = \"gas\"\nclass = \"gas\"".to_owned(),
            "write id = \"…\" to give it another name",
        ),
        ("kind = \"external\"\nid = \"GD1.gas_fault\"".to_owned(), "instead of the alarm `GD1.gas_fault` (gas)"),
        (format!("{fire}\nclass = \"process\""), "another name, or class = \"fire\""),
        (fire.to_owned(), ""),
        (format!("point = \"LT1\"\n{high}\nclass = \"utility\""), "instead of the alarm `LT1.high` (major_hazard)"),
        (format!("point = \"LT1\"\n{high}"), ""),
        (format!("point = \"LT2\"\n{high}\nclass = \"utility\""), ""),
    ] {
        let found = problems(&dir(&alarm)).join("\n");
        let is_told = found.contains("alarms.toml:1:1: [[alarm]]: ") && found.contains(wanted);
        assert!(if wanted.is_empty() { found.is_empty() } else { is_told }, "{alarm}:\n{found}");
    }
    let config = loaded(dir(fire).path());
    let mut park = Park::new(&config);
    let raised = park.read(SECOND, &[3.0, 0.0, 5.0, 5.0]);
    assert_eq!(raised, [told("FD1.digital", State::Unacked, 1)], "a contact that is closed at rest");
}

#[test]
fn a_controllers_bit_that_nobody_would_hear_is_refused() {
    let told = |detector: &str, bit: &str| {
        let row = format!("b,GD1.B,bit,d,discrete,0,bool,,,,gas_alarm,,,,,,a {bit}\n");
        problems(&folder(&format!("{GAS}a,GD1,tank,d,holding,0,f32,{detector},\n{row}"), ""))
    };
    for (limits, bit, wanted) in [
        ("19.5,", "high", "GD1 has no `h`, hence no alarm of excess"),
        ("19.5,", "l2", "or `low` here, if the bit tells of deficiency"),
        (",23.5", "low", "GD1 has no `l`, hence no alarm of deficiency"),
        ("19.5,23.5", "low", ""),
        (",", "low", ""),
    ] {
        let found = told(&format!("%VOL,0,30,gas,O2,,,{limits}"), bit).join("\n");
        let is_told = found.contains("points.csv:3: column 报警属于 (alarm_of): ") && found.contains(wanted);
        assert!(if wanted.is_empty() { found.is_empty() } else { is_told }, "{limits} {bit}:\n{found}");
    }
    for detector in ["%LEL,0,100,gas,,25,50,,", "%VOL,0,30,gas,,,,,"] {
        let found = told(detector, "low").join("\n");
        assert!(found.contains("points.csv:3: column 报警属于 (alarm_of): GD1 is no detector of oxygen"), "{found}");
        assert_eq!(told(detector, "l1"), Vec::<String>::new(), "{detector}");
    }
    let found = told("ppm,0,100,gas,O2,,,,", "low");
    assert!(
        found.len() == 1 && found[0].contains("the unit `ppm`"),
        "the mistake is told once, where it is: {found:?}"
    );
}

#[test]
fn a_second_level_that_only_the_controller_knows_is_raised_by_its_bit() {
    let rows = "a,GD1,pump,d,holding,0,f32,%LEL,0,100,gas,,25,,,,\n\
                b,GD1.1,low,d,discrete,0,bool,,,,gas_alarm,,,,,,a l1\n\
                c,GD1.2,high,d,discrete,1,bool,,,,gas_alarm,,,,,,a l2\n";
    let config = loaded(folder(&format!("{GAS}{rows}"), "").path());
    let gas = alarm(&config, "GD1.gas");
    assert_eq!(gas.levels.iter().map(|level| level.limit).collect::<Vec<_>>(), [Some(25.0), None]);
    assert!(gas.levels[1].priority > gas.levels[0].priority);
    let mut park = Park::new(&config);
    assert_eq!(park.read(SECOND, &[30.0, 1.0, 0.0]), [told("GD1.gas", State::Unacked, 1)]);
    assert_eq!(park.read(SECOND, &[30.0, 1.0, 1.0]), [told("GD1.gas", State::Unacked, 2)]);
}

#[test]
fn gas_detectors_that_may_stand_still_for_ever_are_found_once_for_each_device() {
    let head = "uid,tag,name,device,table,address,encoding,unit,range_low,range_high,kind,l1,l2,frozen,commissioning\n";
    let row = |n: u16, more: &str| format!("g{n},GD{n},pump,d,holding,{},f32,%LEL,0,100,gas,25,50,{more}\n", 2 * n);
    let found = |rows: &[String]| {
        let config = loaded(folder(&format!("{head}{}", rows.concat()), "").path());
        config.alarms.findings.iter().map(|finding| finding.to_string()).collect::<Vec<_>>()
    };
    let all = found(&[row(1, ","), row(2, "24h except 0,"), row(3, ","), row(4, ",planned"), row(5, ","), row(6, ",")]);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].contains("4 gas points of device d have no `frozen` (GD1, GD3, GD5, …)"), "{all:?}");
    assert!(all[0].contains("请在“冻结时限”列写，如 24h except 0"), "{all:?}");
    assert_eq!(found(&[row(1, "24h except 0,")]), Vec::<String>::new());
}
