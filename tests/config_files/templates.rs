//! Every shipped template: instantiated on simulated points as a site would, and driven to each of its alarms through the
//! alarm machine.
#![expect(clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use parkgate::config::{Config, load};
use parkgate::domain::alarm::Alarms;
use parkgate::domain::alarm::ask::Test;
use parkgate::domain::alarm::spec::{AlarmBook, AlarmSpec, Change, Condition, PointRef};
use parkgate::domain::alarm::state::State;
use parkgate::domain::alarm::view::Output;
use parkgate::domain::reading::{Reading, Value};
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};

use super::{loaded, repo, small};

/// Points of a role that may have several: enough for the roll-up of a pond.
const MANY: usize = 5;
/// Steps in which time passes while an alarm is waited for.
const STEPS: u32 = 15;

/// What the file of a template says of its roles, and which of its alarms want limits.
struct Shape {
    roles: Vec<(String, String)>,
    points: String,
    limits: String,
}

/// Reads a template as TOML, by nothing of ours.
fn shape(name: &str) -> Shape {
    let text = fs::read_to_string(repo(&format!("config/templates/{name}.toml"))).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let (mut roles, mut points, mut limits) = (Vec::new(), String::new(), String::new());
    for role in table["role"].as_array().unwrap() {
        let text = |key: &str| role.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let (id, kind) = (text("id"), text("kind"));
        let unit = role.get("unit").map(|units| units[0].as_str().unwrap().to_owned()).unwrap_or_default();
        let many = role.get("many").and_then(toml::Value::as_bool).unwrap_or(false);
        let tags: Vec<String> = (1..=if many { MANY } else { 1 }).map(|n| format!("{id}-{n}")).collect();
        let gas = if kind == "gas" { "CO,17,34" } else { ",," };
        for tag in &tags {
            let address = 2 * (roles.len() + 1);
            writeln!(points, "{tag},{tag},{tag},d,holding,{address},f32,{unit},0,100,{kind},{gas}").unwrap();
            roles.push((id.clone(), tag.clone()));
        }
    }
    for alarm in table["alarm"].as_array().unwrap() {
        let text = |key: &str| alarm.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let colours = text("priority").split('/').count() == 4;
        let wanted = match (text("kind"), colours) {
            ("high", false) => "[70, 80]",
            ("high", true) => "[60, 70, 80, 90]",
            ("low", false) => "[30, 20]",
            ("low", true) => "[40, 30, 20, 10]",
            ("rate", _) => "2",
            _ => continue,
        };
        let id = if text("id").is_empty() { text("kind") } else { text("id") };
        writeln!(limits, "limits.{}.{id} = {wanted}", text("point")).unwrap();
    }
    Shape { roles, points, limits }
}

/// A folder with a unit of the template on points of its own.
fn unit_of(name: &str) -> Config {
    let Shape { roles, points, limits } = shape(name);
    let dir = small("");
    let head = "uid,tag,name,device,table,address,encoding,unit,range_low,range_high,kind,gas,l1,l2\n";
    fs::write(dir.path().join("points.csv"), format!("{head}{points}")).unwrap();
    let mut by_role: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (role, tag) in &roles {
        by_role.entry(role).or_default().push(tag);
    }
    let named: Vec<String> = by_role.iter().map(|(role, tags)| format!("{role} = {tags:?}")).collect();
    let points = named.join(", ");
    let file =
        format!("[[unit]]\ntemplate = \"{name}\"\nid = \"U-1\"\nname = \"一号\"\npoints = {{ {points} }}\n{limits}");
    fs::write(dir.path().join("alarms.toml"), file).unwrap();
    loaded(dir.path())
}

/// The simulated unit.
struct Scene {
    machine: Alarms,
    book: Arc<AlarmBook>,
    values: BTreeMap<PointRef, f64>,
    now: Duration,
}

impl Scene {
    /// A unit at work: every value in the middle, every contact as it should be.
    fn new(config: &Config) -> Self {
        let book = Arc::clone(&config.alarms.book);
        let mut values = BTreeMap::new();
        for (ordinal, _) in (0_u16..).zip(&config.specs[0].points) {
            let at = PointRef { device: 0, ordinal };
            values.insert(at, rest(&book, at));
        }
        let mut scene =
            Self { machine: Alarms::new(Arc::clone(&book), 1, now(Duration::ZERO)), book, values, now: Duration::ZERO };
        scene.machine.handle_link(0, true, now(Duration::ZERO));
        scene
    }

    /// Lets the time pass and the device be read; returns the alarms raised, with their highest level.
    fn pass(&mut self, time: Duration) -> BTreeMap<String, u8> {
        self.now += time;
        let now = now(self.now);
        let readings: Vec<_> =
            self.values.iter().map(|(at, v)| (at.ordinal, Reading::good(Value::Number(*v)))).collect();
        let readings = readings.iter().map(|(ordinal, reading)| (*ordinal, reading, None));
        self.machine.handle_readings(0, readings, now.mono, now);
        self.machine.handle_timeout(now);
        let mut raised = BTreeMap::new();
        while let Some(output) = self.machine.poll_output() {
            if let Output::Alarm { record, .. } = output
                && record.to == State::Unacked
            {
                let level: &mut u8 = raised.entry(record.alarm.to_string()).or_default();
                *level = record.level.max(*level);
            }
        }
        raised
    }

    fn alarm(&self, id: &str) -> AlarmSpec {
        self.book.alarms.iter().find(|alarm| &*alarm.id == id).unwrap().clone()
    }

    /// Puts the world into the state that the alarm is about, and lets time pass; returns the level it reached.
    fn drive(&mut self, alarm: &AlarmSpec) -> Option<u8> {
        let at = alarm.subject.point();
        let top = alarm.levels.last().and_then(|level| level.limit);
        let mut ramp = None;
        if let Condition::Digital { test } = &alarm.condition {
            self.values.insert(at.unwrap(), met(*test));
        } else if let Condition::All { conditions } = &alarm.condition {
            self.values.extend(conditions.iter().map(|condition| (condition.at, met(condition.test))));
        } else if let Condition::Rate { window, change } = &alarm.condition {
            let sign = if *change == Change::Fall { -1.0 } else { 1.0 };
            ramp = Some((at.unwrap(), sign * top.unwrap() * 1.5 * window.as_secs_f64() / 60.0 / 10.0, *window));
        } else {
            self.values.insert(at.unwrap(), top.unwrap());
        }
        let step = ramp.map_or(alarm.on_delay / 10, |(.., window)| window / 10).max(Duration::from_millis(100));
        let mut level = None;
        for _ in 0..STEPS {
            if let Some((at, by, _)) = ramp {
                *self.values.get_mut(&at).unwrap() += by;
            }
            level = level.max(self.pass(step).get(&*alarm.id).copied());
        }
        level
    }
}

fn now(since: Duration) -> Now {
    let ms = i64::try_from(since.as_millis()).unwrap();
    Now { mono: Mono::from(since), wall: Timestamp(1_800_000_000_000 + ms), trust: ClockTrust::Synced }
}

/// A value by which the test holds.
fn met(test: Test) -> f64 {
    match test {
        Test::On => 1.0,
        Test::Off => 0.0,
        Test::Equals(v) | Test::AtLeast(v) => v,
        Test::Below(v) => v - 1.0,
        Test::Bit(bit) => 2_f64.powi(i32::from(bit)),
    }
}

/// A value of the point at which none of its alarms is active and nothing is suppressed.
fn rest(book: &AlarmBook, at: PointRef) -> f64 {
    let mut value = 0.0;
    for alarm in &book.alarms {
        let own = alarm.subject.point() == Some(at);
        if own && matches!(alarm.condition, Condition::High | Condition::Low | Condition::Rate { .. }) {
            return 50.0;
        }
        if own && matches!(alarm.condition, Condition::Digital { test: Test::Off | Test::Equals(_) }) {
            value = 1.0;
        }
        if alarm.suppressed_when.is_some_and(|when| when.at == at && when.test == Test::Off) {
            value = 1.0;
        }
    }
    value
}

/// Names of the shipped templates.
pub(super) fn names() -> Vec<String> {
    let files = fs::read_dir(repo("config/templates")).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Conditions that the unit's own points bring about.
fn is_of_the_process(alarm: &AlarmSpec) -> bool {
    matches!(
        alarm.condition,
        Condition::High
            | Condition::Low
            | Condition::Rate { .. }
            | Condition::Digital { .. }
            | Condition::All { .. }
            | Condition::Gas { .. }
    )
}

#[test]
fn every_template_can_be_driven_to_each_of_its_alarms_and_is_silent_at_rest() {
    let mut n_driven = 0;
    for name in names() {
        let config = unit_of(&name);
        let mut at_rest = Scene::new(&config);
        let raised: Vec<_> = (0..20).flat_map(|_| at_rest.pass(Duration::from_secs(60))).collect();
        assert_eq!(raised, [], "{name} at rest");
        for alarm in config.alarms.book.alarms.iter().filter(|alarm| is_of_the_process(alarm)) {
            let mut scene = Scene::new(&config);
            scene.pass(Duration::from_secs(1));
            let level = scene.drive(alarm);
            assert_eq!(level, Some(u8::try_from(alarm.levels.len()).unwrap()), "{name}: {}", alarm.id);
            assert!(alarm.text.contains(" | ") && !alarm.text.is_empty(), "{name}: {}", alarm.id);
            n_driven += 1;
            let Some(when) = alarm.suppressed_when else { continue };
            let mut stopped = Scene::new(&config);
            stopped.values.insert(when.at, met(when.test));
            stopped.pass(Duration::from_secs(1));
            assert_eq!(stopped.drive(alarm), None, "{name}: {} of a stopped unit", alarm.id);
        }
    }
    assert!(n_driven > 170, "{n_driven}");
}

#[test]
fn a_pond_rolls_up_by_the_one_sourced_stage() {
    let config = unit_of("tailings-wet");
    for (level, count, gives) in [(1, 4, 2), (2, 3, 3), (3, 2, 4)] {
        let mut scene = Scene::new(&config);
        scene.pass(Duration::from_secs(1));
        for (n, expected) in [(count - 1, None), (count, Some(gives))] {
            for point in 1..=n {
                let member = scene.alarm(&format!("displacement-{point}.high"));
                scene.values.insert(member.subject.point().unwrap(), member.levels[level - 1].limit.unwrap());
            }
            let mut rolled = None;
            for _ in 0..STEPS {
                let raised = scene.pass(Duration::from_secs(60));
                rolled = rolled.max(raised.get("U-1.displacement").copied());
            }
            assert_eq!(rolled, expected, "{n} points at level {level}");
        }
    }
}

#[test]
fn a_unit_without_what_only_its_design_can_give_is_named() {
    let dir = small("");
    let head = "uid,tag,name,device,table,address,encoding,unit,range_low,range_high,kind,h,hh\n";
    let rows = "a,TT1,温度,d,holding,2,f32,℃,0,200,temperature,80,90\nb,FT1,流量,d,holding,4,f32,m3/h,0,100,flow,,\n";
    fs::write(dir.path().join("points.csv"), format!("{head}{rows}")).unwrap();
    let write =
        |unit: &str| fs::write(dir.path().join("alarms.toml"), format!("[[unit]]\nid = \"R-1\"\n{unit}")).unwrap();
    let told = || load(dir.path()).map_or_else(|problems| problems.to_string(), |_| String::new());
    write("template = \"nitration\"\npoints = { temperature = \"TT1\", coolant_flow = \"FT1\" }\n");
    let missing = told();
    assert!(missing.contains("FT1 has no limits (low), which only the design can give"), "{missing}");
    assert!(missing.contains("write limits.coolant_flow.low = [..], or l and ll of the point table"), "{missing}");
    assert!(missing.contains("1 errors"), "the table has those of TT1, the rate is optional: {missing}");
    write("template = \"nitration\"\npoints = { temperature = \"FT1\", colant_flow = \"TT1\" }\n");
    let wrong = told();
    for said in [
        "no role `colant_flow`; did you mean `coolant_flow`",
        "R-1 has no point `coolant_flow`",
        "`temperature` is FT1, in `m3/h`",
    ] {
        assert!(wrong.contains(said), "{said}:\n{wrong}");
    }
    write("template = \"nitratoin\"\npoints = { temperature = \"TT1\" }\n");
    assert!(told().contains("did you mean `nitration`?"), "{}", told());
    write(
        "template = \"nitration\"\npoints = { temperature = \"TT1\", coolant_flow = \"FT1\" }\nlimits.coolant_flow.low = [10, 20]\n",
    );
    assert!(told().contains("do not lead from mild to severe"), "{}", told());
    write(
        "template = \"nitration\"\npoints = { temperature = \"TT1\", coolant_flow = \"FT1\" }\nlimits.coolant_flow.low = [10, 5]\n",
    );
    let config = loaded(dir.path());
    let ids: Vec<_> = config.alarms.book.alarms.iter().map(|alarm| alarm.id.to_string()).collect();
    assert_eq!(ids, ["TT1.high", "FT1.low", "d.comm", "TT1.quality", "FT1.quality", "platform.channel"]);
    let found: Vec<_> = config.alarms.findings.iter().map(|finding| finding.what.en.clone()).collect();
    assert!(found.iter().any(|en| en.contains("TT1 has no limits (rate)")), "{found:?}");
}

#[test]
fn an_alarm_for_which_half_of_what_it_looks_at_is_given_is_named() {
    let dir = small("");
    let head = "uid,tag,name,device,table,address,encoding,unit,range_low,range_high\n";
    let rows = "a,LT1,空余容积,d,holding,2,f32,%,0,100\nb,ZV1,雨水闸开,d,discrete,0,bool,,,\nc,AX1,水质异常,d,discrete,1,bool,,,\n";
    fs::write(dir.path().join("points.csv"), format!("{head}{rows}")).unwrap();
    let found = |more: &str| {
        let points = format!("points = {{ pool_free = \"LT1\", rain_gate_open = \"ZV1\"{more} }}");
        let limits = "limits.pool_free.low = [70, 50]";
        let unit = format!("[[unit]]\ntemplate = \"waste-water\"\nid = \"WW-1\"\n{points}\n{limits}\n");
        fs::write(dir.path().join("alarms.toml"), unit).unwrap();
        let loaded = load(dir.path()).unwrap();
        let has = loaded.config.alarms.book.alarms.iter().any(|alarm| alarm.id.ends_with(".outflow"));
        let said = loaded.warnings.iter().any(|warning| warning.to_string().contains("and not `quality_abnormal`"));
        (has, said)
    };
    assert_eq!(found(""), (false, true));
    assert_eq!(found(", quality_abnormal = \"AX1\""), (true, false));
}

#[test]
fn a_template_of_the_site_goes_before_the_shipped_one() {
    let dir = small("");
    fs::create_dir(dir.path().join("templates")).unwrap();
    let own = "[template]\nname = \"自己的\"\nsource = \"本站\"\n[[role]]\nid = \"run\"\nname = \"运行\"\n[[alarm]]\npoint = \"run\"\nkind = \"digital\"\nwhen = \"off\"\ntext = \"停 | stopped\"\n";
    fs::write(dir.path().join("templates/water.toml"), own).unwrap();
    fs::write(dir.path().join("alarms.toml"), "[[unit]]\ntemplate = \"water\"\nid = \"W\"\npoints.run = \"T1\"\n")
        .unwrap();
    let config = loaded(dir.path());
    assert!(config.alarms.book.alarms.iter().any(|alarm| &*alarm.id == "T1.digital" && alarm.text == "W 停 | stopped"));
    assert!(config.files.contains(&dir.path().join("templates/water.toml")), "watched for changes");
}
