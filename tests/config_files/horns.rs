//! A horn or lamp that does not do as it is told is an alarm, without anybody asking for it, and is told by the other ones.

use std::fs;
use std::sync::Arc;

use parkgate::config::Config;
use parkgate::domain::alarm::spec::{AlarmSpec, Condition};
use parkgate::domain::alarm::state::State;
use parkgate::domain::danger::{Danger, Rules};
use parkgate::domain::order::{Order, OrderKind, Receipt};
use parkgate::domain::reading::{Reading, Value};
use parkgate::domain::registry::Registry;
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};

use super::{loaded, small};

/// A detector; a siren that is a horn and a lamp, a second horn, and a speaker that is a horn and plays messages too.
fn park() -> Config {
    let dir = small("");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write(
        "points.csv",
        "uid,tag,name,device,table,address,encoding,unit,range_low,range_high,kind,gas,l1,l2\n\
         u1,T1,one,d,holding,0,f32,%LEL,0,100,gas,可燃,25,50\n",
    );
    let output = |id: &str, address: u32, values: &str| {
        format!("[[output]]\nid = \"{id}\"\ndevice = \"d\"\naddress = \"0x{address:05}\"\nvalues = {{ {values} }}\n")
    };
    let outputs = [
        output("siren", 17, "on = 1, off = 0"),
        output("horn-2", 18, "on = 1, off = 0"),
        output("speaker", 19, "play = 1, stop = 0"),
    ];
    write("outputs.toml", &outputs.concat());
    write(
        "alarms.toml",
        "[[channel]]\nid = \"broadcast\"\noutput = \"speaker\"\nvalue = \"play\"\n\
         [[annunciator]]\noutput = \"siren\"\non = \"on\"\noff = \"off\"\n\
         [[annunciator]]\noutput = \"siren\"\non = \"on\"\noff = \"off\"\nfollows = \"standing\"\n\
         [[annunciator]]\noutput = \"horn-2\"\non = \"on\"\noff = \"off\"\n\
         [[annunciator]]\noutput = \"speaker\"\non = \"play\"\noff = \"stop\"\n",
    );
    loaded(dir.path())
}

fn at(secs: u64) -> Now {
    let wall = Timestamp(1_800_000_000_000 + i64::try_from(secs).unwrap() * 1000);
    Now { mono: Mono::from_secs(secs), wall, trust: ClockTrust::Synced }
}

#[test]
fn every_horn_has_one_alarm_that_names_it_and_does_not_need_it() {
    let book = park().alarms.book;
    let fails = |alarm: &&AlarmSpec| matches!(alarm.condition, Condition::Channel { .. });
    let ids: Vec<&str> = book.alarms.iter().filter(fails).map(|alarm| &*alarm.id).collect();
    assert_eq!(ids, ["platform.channel", "broadcast.channel", "horn-2.channel", "siren.channel"]);
    let alarm = |id: &str| book.alarms.iter().find(|alarm| &*alarm.id == id).unwrap();
    assert_eq!(
        alarm("siren.channel").text,
        "声光报警器 siren 不动作 | the horn or lamp siren does not do as it is told"
    );
    assert!(alarm("broadcast.channel").text.contains("（声光报警器 speaker）"), "{}", alarm("broadcast.channel").text);
    let tells = |id: &str| alarm(id).annunciators.iter().map(|at| &*book.annunciators[*at].output).collect::<Vec<_>>();
    assert_eq!(tells("siren.channel"), ["horn-2", "speaker"]);
    assert_eq!(tells("broadcast.channel"), ["siren", "siren", "horn-2"]);
}

/// The park as it runs: gas at once.
struct Scene {
    danger: Danger,
}

impl Scene {
    fn with_gas() -> Self {
        let config = park();
        let rules = Rules { alarms: Arc::clone(&config.alarms.book), site: Arc::new(config.site), ..Rules::default() };
        let registry = Registry { rev: 1, devices: config.specs };
        let mut danger = Danger::new(rules, &registry, 1, at(0));
        danger.handle_link(0, true, at(1));
        let gas = Reading::good(Value::Number(30.0));
        danger.handle_readings(0, [(0, &gas, None)].into_iter(), at(2).mono, at(2));
        danger.settle(at(2));
        Self { danger }
    }

    /// The orders to outputs since the last look, each as `output=value`.
    fn orders(&mut self) -> Vec<(String, Order)> {
        let orders = std::iter::from_fn(|| self.danger.poll_order());
        let told = orders.filter_map(|order| match &order.what {
            OrderKind::Output { output, value } => Some((format!("{output}={value}"), order.clone())),
            OrderKind::Message { .. } | OrderKind::Lane { .. } => None,
        });
        told.collect()
    }

    fn state(&self, alarm: &str, secs: u64) -> State {
        let standing = self.danger.view(at(secs)).alarms;
        standing.iter().find(|known| &*known.last.alarm == alarm).map_or(State::Normal, |known| known.last.to)
    }
}

fn words(orders: &[(String, Order)]) -> Vec<&str> {
    orders.iter().map(|(word, _)| word.as_str()).collect()
}

#[test]
fn a_siren_whose_module_is_dead_is_an_alarm_until_it_does_as_it_was_told() {
    let mut scene = Scene::with_gas();
    let told = scene.orders();
    assert_eq!(words(&told), ["siren=on", "siren=on", "horn-2=on", "speaker=play"]);
    assert_eq!(scene.state("T1.gas", 2), State::Unacked);
    for (word, order) in &told {
        let failed = Receipt::Failed("模块无应答 / no answer".into());
        let receipt = if word.starts_with("siren") { failed } else { Receipt::Done };
        scene.danger.handle_receipt(&order.key, &receipt, at(3));
    }
    assert_eq!(scene.state("siren.channel", 3), State::Unacked);
    assert_eq!(["horn-2.channel", "broadcast.channel"].map(|alarm| scene.state(alarm, 3)), [State::Normal; 2]);
    assert_eq!(words(&scene.orders()), [""; 0], "the alarm about a dead siren does not need it");
    scene.danger.handle_timeout(at(13));
    let again = scene.orders();
    assert_eq!(words(&again), ["siren=on", "siren=on"], "it is told again");
    for (_, order) in &again {
        scene.danger.handle_receipt(&order.key, &Receipt::Done, at(14));
    }
    assert_eq!(scene.state("siren.channel", 14), State::ReturnedUnacked, "and the alarm has its end");
}

#[test]
fn a_speaker_that_fails_as_a_horn_is_the_alarm_of_its_channel() {
    let mut scene = Scene::with_gas();
    let told = scene.orders();
    let (_, order) = told.iter().find(|(word, _)| word == "speaker=play").unwrap();
    scene.danger.handle_receipt(&order.key, &Receipt::Failed("模块无应答 / no answer".into()), at(3));
    assert_eq!(scene.state("broadcast.channel", 3), State::Unacked);
}
