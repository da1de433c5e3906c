//! The supervised input of the fire linkage, from the configuration through the engine: a contact opens its gate, and a module
//! that is lost opens it too, is an alarm, and only proposes that people leave.

use std::fs;
use std::path::Path;
use std::time::Duration;

use parkgate::app::first_plan;
use parkgate::domain::engine::Engine;
use parkgate::domain::field_event::{FieldEvent, LinkChange, LinkState, Origin, Sample};
use parkgate::domain::id::DeviceSlot;
use parkgate::domain::order::LaneRule;
use parkgate::domain::reading::{Quality, Reading, Value};
use parkgate::domain::record::Boot;
use parkgate::domain::site::state::State;
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};
use parkgate::state::State as StateDir;
use parkgate::state::registry::RegistryBook;

use super::{loaded, small};

const SITE: &str = "[[lane]]\nid = \"way-out\"\nname = \"出口\"\nname_en = \"way out\"\ndirection = \"out\"\ncarries = \"vehicles\"\n\
                    [[fire]]\nid = \"fire-1\"\nname = \"一号门\"\nlanes = [\"way-out\"]\nno = \"XS101\"\nnc = \"XS102\"\n";

/// The engine of a site with one gate, and the contacts that its module reads.
struct Gate {
    engine: Engine,
    slot: DeviceSlot,
    ms: u64,
}

impl Gate {
    fn at_rest(dir: &Path) -> Self {
        let rows = "x1,XS101,no,d,discrete,0,bool,fast\nx2,XS102,nc,d,discrete,1,bool,fast\n";
        fs::write(dir.join("points.csv"), format!("uid,tag,name,device,table,address,encoding,class\n{rows}")).unwrap();
        fs::write(dir.join("site.toml"), SITE).unwrap();
        let config = loaded(dir);
        let book = RegistryBook::new(StateDir::open(&dir.join("state")).unwrap());
        let plan = first_plan(&config, book.revision_of(&config.specs).unwrap());
        let slot = plan.devices.first().unwrap().slot;
        let boot = Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true };
        let mut engine = Engine::new(1, boot, plan, at(0));
        engine.restore(&Default::default(), &[], at(0));
        let mut gate = Self { engine, slot, ms: 0 };
        gate.link(LinkState::Up);
        gate.contacts(Reading::good(Value::Bool(false)), Reading::good(Value::Bool(true)));
        assert_eq!(gate.way_out(), (LaneRule::Normal, false), "a start moves nothing");
        gate
    }

    fn link(&mut self, state: LinkState) {
        let change = LinkChange { slot: self.slot, at: Mono::from_millis(self.ms), state };
        self.engine.handle_event(FieldEvent::Link(change), at(self.ms));
    }

    fn contacts(&mut self, open: Reading, closed: Reading) {
        let readings = [(0, open), (1, closed)].into_iter().collect();
        let sample = Sample { slot: self.slot, at: Mono::from_millis(self.ms), origin: Origin::Polled, readings };
        self.engine.handle_event(FieldEvent::Sample(sample), at(self.ms));
    }

    /// Lets time pass, in ticks.
    fn pass(&mut self, time: Duration) {
        let until = self.ms + u64::try_from(time.as_millis()).unwrap();
        while self.ms < until {
            self.ms += 100;
            self.engine.handle_timeout(at(self.ms));
        }
    }

    /// The rule that holds for the lane, and whether it was ordered.
    fn way_out(&self) -> (LaneRule, bool) {
        let site = self.engine.snapshot(at(self.ms)).danger.site;
        let lane = site.lanes.first().unwrap();
        (lane.rule, lane.order.is_some())
    }

    /// The state of the park, how many proposals wait, and the alarms that are raised.
    fn stands(&self) -> (State, usize, Vec<String>) {
        let danger = self.engine.snapshot(at(self.ms)).danger;
        let alarms = danger.alarms.iter().map(|alarm| alarm.last.alarm.to_string()).collect();
        (danger.site.strongest, danger.site.proposals.len(), alarms)
    }
}

fn at(ms: u64) -> Now {
    let wall = Timestamp(1_800_000_000_000 + i64::try_from(ms).unwrap());
    Now { mono: Mono::from_millis(ms), wall, trust: ClockTrust::Synced }
}

#[test]
fn a_contact_opens_its_gate_at_once_and_evacuates() {
    let dir = small("");
    let mut gate = Gate::at_rest(dir.path());
    gate.ms += 100;
    gate.contacts(Reading::good(Value::Bool(true)), Reading::good(Value::Bool(false)));
    assert_eq!(gate.way_out(), (LaneRule::Open, true), "within the same reading");
    assert_eq!(gate.stands().0, State::Evacuate);
}

#[test]
fn a_module_that_is_lost_opens_its_gate_is_an_alarm_and_only_proposes() {
    let dir = small("");
    let mut gate = Gate::at_rest(dir.path());
    gate.ms += 100;
    gate.link(LinkState::Down { reason: "no answer".into(), retry: Duration::from_secs(1) });
    gate.contacts(Reading::missing(Quality::Comm), Reading::missing(Quality::Comm));
    assert_eq!(gate.way_out(), (LaneRule::Normal, false), "one lost answer is no fire");
    gate.pass(Duration::from_secs(60));
    assert_eq!(gate.way_out(), (LaneRule::Open, true));
    let (state, n_proposals, alarms) = gate.stands();
    assert_eq!((state, n_proposals), (State::Normal, 1), "a person decides");
    assert!(alarms.iter().any(|alarm| alarm.starts_with("fire-1.fire_line")), "{alarms:?}");
}
