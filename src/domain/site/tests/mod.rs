//! Facts about the state of the site.

mod papers;
mod properties;
mod stories;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::book::*;
use super::record::SiteRecord;
use super::service::ServiceRecord;
use super::*;
use crate::domain::order::{Order, OrderKind};
use crate::domain::reading::{Quality, Value};
use crate::domain::time::ClockTrust;

/// A park with a tank farm in it, and a store in that.
///
/// ```text
/// park: main-in, main-out (vehicles), main-door (persons, both ways), emergency (vehicles)
///  ├─ tanks: tank-in (vehicles, no entry on fire), tank-door (persons, out)
///  │   └─ store: store-door (persons, both ways)
///  └─ office: office-door (persons, both ways)
/// ```
pub(super) fn book() -> SiteBook {
    let zone = |id: &str, name: &str, parent| Zone {
        id: id.into(),
        name: name.into(),
        name_en: format!("the {id}"),
        parent,
        muster: Vec::new(),
    };
    let siren = BTreeMap::from([
        (State::Normal, "off".to_owned()),
        (State::LockdownIn, "steady".into()),
        (State::Shelter, "wail".into()),
        (State::Evacuate, "yelp".into()),
    ]);
    SiteBook {
        zones: vec![
            Zone { muster: vec![(0, 0.0), (1, 120.0)], ..Zone::park() },
            zone("tanks", "罐区", Some(0)),
            zone("store", "仓库", Some(1)),
            zone("office", "办公楼", Some(0)),
        ],
        musters: [("north", "北广场"), ("east", "东门")]
            .map(|(id, name)| Muster { id: id.into(), name: name.into(), name_en: format!("{id} square") })
            .into(),
        lanes: lanes(),
        signals: vec![
            Signal { output: "siren".into(), zone: 0, values: siren.clone(), in_drill: true, repeats: true },
            Signal { output: "tank-siren".into(), zone: 1, values: siren, in_drill: false, repeats: true },
        ],
        wind: Some(WindStation {
            speed: PointUid::new("ws"),
            direction: PointUid::new("wd"),
            calm: 0.5,
            stale: Duration::from_secs(120),
        }),
        fire: fire(),
        keys: vec![Key {
            id: "key-1".into(),
            name: "总控室按钮".into(),
            point: PointUid::new("key"),
            turned: true,
            zone: 1,
            state: State::Shelter,
        }],
        rules: vec![Rule {
            id: "two-gas".into(),
            zone: None,
            detectors: 2,
            level: 2,
            state: State::Evacuate,
            acts: false,
        }],
        city: City {
            issuers: BTreeSet::from(["city".into()]),
            states: BTreeSet::from([State::Shelter, State::Evacuate]),
            acts: false,
        },
        points: BTreeMap::from([(
            PointUid::new("u-1"),
            ServicePoint { tag: "TT101".into(), service: ServiceState::InService },
        )]),
        ..SiteBook::default()
    }
}

fn lanes() -> Vec<Lane> {
    let lane = |id: &str, zone, direction, carries| Lane {
        id: id.into(),
        name: id.into(),
        name_en: id.into(),
        zone,
        direction,
        carries,
        emergency: false,
        on_fire: OnFire::Open,
        service: ServiceState::InService,
    };
    use Carries::{Persons, Vehicles};
    use Direction::{Both, In, Out};
    vec![
        lane("main-in", 0, In, Vehicles),
        lane("main-out", 0, Out, Vehicles),
        lane("main-door", 0, Both, Persons),
        Lane { emergency: true, ..lane("emergency", 0, Both, Vehicles) },
        Lane { on_fire: OnFire::NoEntry, ..lane("tank-in", 1, In, Vehicles) },
        lane("tank-door", 1, Out, Persons),
        lane("store-door", 2, Both, Persons),
        lane("office-door", 3, Both, Persons),
    ]
}

fn fire() -> Vec<FireInput> {
    vec![
        FireInput {
            id: "fire-main".into(),
            name: "主门".into(),
            zone: 0,
            lanes: vec![0, 1, 2],
            line: Line::Pair { no: PointUid::new("no"), nc: PointUid::new("nc") },
            settle: Duration::from_secs(1),
            silence: Duration::from_secs(10),
            evacuates: true,
        },
        FireInput {
            id: "fire-tanks".into(),
            name: "罐区".into(),
            zone: 1,
            lanes: vec![4, 5],
            line: Line::Resistor { point: PointUid::new("loop"), normal: (4.0, 8.0), fire: (14.0, 18.0) },
            settle: Duration::from_secs(1),
            silence: Duration::from_secs(10),
            evacuates: true,
        },
    ]
}

/// A person with the roles that a supervisor has.
pub(super) fn lead() -> Actor {
    Actor { name: "li".into(), via: Via::Machine, roles: [Role::Supervisor, Role::Operator].into() }
}

/// Another one.
pub(super) fn other() -> Actor {
    Actor { name: "wang".into(), ..lead() }
}

pub(super) fn at(ms: u64) -> Now {
    Now { mono: Mono::from_millis(ms), wall: Timestamp(1_795_507_200_000 + ms as i64), trust: ClockTrust::Synced }
}

/// The machine, what came out of it, and a world that carries orders out.
pub(super) struct Park {
    pub(super) site: Site,
    pub(super) now: u64,
    pub(super) lanes: BTreeMap<String, LaneRule>,
    pub(super) values: BTreeMap<String, String>,
    pub(super) texts: Vec<(String, String)>,
    pub(super) orders: Vec<Order>,
    pub(super) records: Vec<(Mode, SiteRecord)>,
    pub(super) facts: Vec<SiteFact>,
    pub(super) papers: Vec<ServiceRecord>,
    /// Answers orders with `Done`.
    pub(super) answers: bool,
    /// Of wall time, against the time of the story.
    pub(super) clock_off: i64,
    boot: u32,
}

impl Park {
    pub(super) fn new(book: SiteBook) -> Self {
        Self {
            site: Site::new(Arc::new(book), 1, at(0)),
            now: 0,
            lanes: BTreeMap::new(),
            values: BTreeMap::new(),
            texts: Vec::new(),
            orders: Vec::new(),
            records: Vec::new(),
            facts: Vec::new(),
            papers: Vec::new(),
            answers: true,
            clock_off: 0,
            boot: 1,
        }
    }

    /// Quiet contacts, so that nothing is broken.
    pub(super) fn quiet(book: SiteBook) -> Self {
        let mut park = Self::new(book);
        park.rest();
        park
    }

    pub(super) fn now(&self) -> Now {
        let Now { mono, wall, trust } = at(self.now);
        Now { mono, wall: Timestamp(wall.0 + self.clock_off), trust }
    }

    pub(super) fn rest(&mut self) {
        self.contacts(false, true);
        self.read("loop", 6.0);
        self.read("key", 0.0);
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.site.poll_output() {
            match output {
                Output::Document(document) if document.kind == DocumentKind::Site => {
                    let record = serde_json::from_str(&document.json).expect("a site record reads back");
                    self.records.push((document.mode, record));
                }
                Output::Document(document) => {
                    let record = serde_json::from_str(&document.json).expect("a service record reads back");
                    self.papers.push(record);
                }
                Output::Fact(fact) => self.facts.push(fact),
                Output::Order(order) => self.carry_out(order),
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match &order.what {
            OrderKind::Lane { lane, rule } => {
                self.lanes.insert(lane.clone(), *rule);
            }
            OrderKind::Output { output, value } => {
                self.values.insert(output.clone(), value.clone());
            }
            OrderKind::Message { zh, en, .. } => self.texts.push((zh.clone(), en.clone())),
        }
        if self.answers {
            let now = self.now();
            self.site.handle_receipt(&order.key, Receipt::Done, now);
        }
        self.orders.push(order);
    }

    pub(super) fn give(&mut self, uid: &str, reading: Reading) {
        let now = self.now();
        self.site.handle_reading(&PointUid::new(uid), reading, now);
        self.drain();
    }

    pub(super) fn read(&mut self, uid: &str, value: f64) {
        self.give(uid, Reading::good(Value::Number(value)));
    }

    pub(super) fn contacts(&mut self, no: bool, nc: bool) {
        self.give("no", Reading::good(Value::Bool(no)));
        self.give("nc", Reading::good(Value::Bool(nc)));
    }

    pub(super) fn gas(&mut self, uid: &str, zone: &str, level: u8) {
        let now = self.now();
        self.site.handle_gas(&GasLevel { uid: PointUid::new(uid), zone: zone.into(), level }, now);
        self.drain();
    }

    pub(super) fn act(&mut self, action: Action, actor: &Actor) -> Result<Done, Refused> {
        let now = self.now();
        let done = self.site.handle_action(action, actor, now);
        self.drain();
        done
    }

    pub(super) fn declare(&mut self, zone: &str, state: State) -> Result<Done, Refused> {
        let done = self.act(Action::Propose { zone: zone.into(), state, reason: "smell".into() }, &lead())?;
        self.act(Action::Confirm { proposal: done.number.expect("a number") }, &other())
    }

    pub(super) fn wait(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(due) = self.site.poll_timeout().filter(|due| *due <= Mono::from_millis(until)) {
            self.now = self.now.max(due.millis());
            let now = self.now();
            self.site.handle_timeout(now);
            self.drain();
        }
        self.now = until;
    }

    /// The power goes; what was saved and the world are all that is left.
    pub(super) fn restart(&mut self, book: SiteBook) {
        let saved = serde_json::to_string(&self.site.saved(self.now())).expect("it is plain data");
        let saved = Some(serde_json::from_str(&saved).expect("it reads back"));
        self.orders.clear();
        self.boot += 1;
        self.site = Site::restore(Arc::new(book), self.boot, saved, &[], None, self.now());
        self.drain();
    }

    pub(super) fn lane(&self, lane: &str) -> LaneRule {
        self.lanes.get(lane).copied().unwrap_or(LaneRule::Normal)
    }

    pub(super) fn last_text(&self) -> &str {
        self.texts.last().map_or("", |(zh, _)| zh)
    }
}

/// A reading that is none.
pub(super) fn lost() -> Reading {
    Reading::missing(Quality::Comm)
}
