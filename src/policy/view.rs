//! Facts as policies see them: a tree of values, of which both the Cedar request and the texts of the reasons are made.
//!
//! What is not known is not in the tree: a policy that needs it cannot be evaluated, and the set says what follows
//! ([`super::judge`]). `config/policies/gate.cedarschema` is the same tree as a schema; a test holds the two together.

use std::collections::BTreeSet;

use super::settings::Parameters;
use super::word;
use crate::domain::gate::facts::{
    Facts, GatewayFacts, HazmatFacts, LaneFacts, Listed, PaperState, PermitFacts, PersonFacts, SiteFacts, Subject,
    VehicleFacts, ZoneFacts,
};
use crate::domain::gate::word::Direction;

/// A word of a closed list: an entity of an enumerated type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Type in the schema.
    pub kind: &'static str,
    /// The word.
    pub id: &'static str,
    /// In Chinese.
    pub zh: &'static str,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A number.
    Long(i64),
    /// A text.
    Text(String),
    /// A word.
    Word(Word),
    /// Several values of one kind.
    Set(Vec<Value>),
    /// Named values; those that are known.
    Record(Record),
}

/// Named values.
pub type Record = Vec<(&'static str, Value)>;

/// Who or what asks, as the schema has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// A person on foot.
    Person,
    /// A vehicle that is known.
    Vehicle,
    /// A vehicle that could not be read.
    Unread,
    /// A rescue vehicle.
    Exempt,
}

impl Principal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Person, Self::Vehicle, Self::Unread, Self::Exempt];

    /// Returns its type in the schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "Person",
            Self::Vehicle => "Vehicle",
            Self::Unread => "Unread",
            Self::Exempt => "Exempt",
        }
    }

    /// Returns what the facts are about.
    pub fn of(facts: &Facts) -> Self {
        match &facts.subject {
            Subject::Person(_) => Self::Person,
            Subject::Vehicle(_) if facts.is_rescue() => Self::Exempt,
            Subject::Vehicle(vehicle) if !vehicle.is_identified() => Self::Unread,
            Subject::Vehicle(_) => Self::Vehicle,
        }
    }
}

/// Facts as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Who asks.
    pub kind: Principal,
    /// Name of the principal: plate, or reference of the person; empty when there is none.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// `principal`.
    pub principal: Record,
    /// `resource`.
    pub resource: Record,
    /// Gate and zone that the lane is in.
    pub within: (String, String),
    /// `context`.
    pub context: Record,
}

impl View {
    /// Makes the tree.
    pub fn of(facts: &Facts, parameters: &Parameters) -> Self {
        let kind = Principal::of(facts);
        let (name, principal) = match &facts.subject {
            Subject::Person(of) => (of.person.as_ref().map(ToString::to_string).unwrap_or_default(), person(of)),
            Subject::Vehicle(of) => (of.plate.as_ref().map(ToString::to_string).unwrap_or_default(), vehicle(kind, of)),
        };
        let context = vec![
            ("zone", Value::Record(zone(&facts.zone))),
            ("site", Value::Record(site(&facts.site))),
            ("gateway", Value::Record(gateway(&facts.gateway))),
            ("rules", Value::Record(rules(parameters))),
        ];
        let within = (facts.lane.gate.to_string(), facts.zone.zone.to_string());
        let (direction, resource) = (facts.lane.direction, lane(&facts.lane));
        Self { kind, name, direction, principal, resource, within, context }
    }

    /// Returns the value of a dotted name: `principal.permit.state`, `context.zone.persons`.
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut names = path.split('.');
        let mut record = match names.next()? {
            "principal" => &self.principal,
            "resource" => &self.resource,
            "context" => &self.context,
            _ => return None,
        };
        let mut found: Option<&Value> = None;
        for name in names {
            if let Some(Value::Record(inner)) = found {
                record = inner;
            } else if found.is_some() {
                return None;
            }
            found = Some(record.iter().find(|(key, _)| *key == name).map(|(_, value)| value)?);
        }
        found
    }
}

impl Value {
    /// Writes the value for people, Chinese or English.
    pub fn say(&self, chinese: bool) -> String {
        match self {
            Self::Bool(yes) => match (yes, chinese) {
                (true, true) => "是".into(),
                (false, true) => "否".into(),
                (true, false) => "yes".into(),
                (false, false) => "no".into(),
            },
            Self::Long(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Word(word) => (if chinese { word.zh } else { word.id }).to_owned(),
            Self::Set(all) => {
                let all: Vec<String> = all.iter().map(|one| one.say(chinese)).collect();
                all.join(if chinese { "、" } else { ", " })
            }
            Self::Record(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(name, one)| format!("{name}={}", one.say(chinese))).collect();
                fields.join(" ")
            }
        }
    }
}

/// Collects what is known of a record.
struct Known(Record);

impl Known {
    fn bool(mut self, name: &'static str, value: impl Into<Option<bool>>) -> Self {
        self.0.extend(value.into().map(|value| (name, Value::Bool(value))));
        self
    }

    fn long(mut self, name: &'static str, value: Option<impl TryInto<i64>>) -> Self {
        // Beyond i64 is beyond every limit that can be written in a policy.
        self.0.extend(value.map(|value| (name, Value::Long(value.try_into().unwrap_or(i64::MAX)))));
        self
    }

    fn text(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name, Value::Text(value.to_string()))));
        self
    }

    fn word(mut self, name: &'static str, word: Word) -> Self {
        self.0.push((name, Value::Word(word)));
        self
    }

    fn set(mut self, name: &'static str, values: impl IntoIterator<Item = Value>) -> Self {
        self.0.push((name, Value::Set(values.into_iter().collect())));
        self
    }

    fn record(mut self, name: &'static str, record: Record) -> Self {
        self.0.push((name, Value::Record(record)));
        self
    }
}

fn known() -> Known {
    Known(Record::new())
}

fn texts(all: &BTreeSet<String>) -> impl Iterator<Item = Value> + '_ {
    all.iter().cloned().map(Value::Text)
}

fn person(of: &PersonFacts) -> Record {
    known()
        .bool("known", of.person.is_some())
        .word("kind", word::person_kind(of.person_kind))
        .record("listed", listed(&of.listed))
        .record("permit", permit(&of.permit))
        .bool("training_valid", of.training_valid)
        .bool("inside", of.inside)
        .0
}

fn vehicle(kind: Principal, of: &VehicleFacts) -> Record {
    let plate = known().text("plate", of.plate.as_ref());
    match kind {
        Principal::Unread => plate.0,
        Principal::Exempt => plate.word("class", word::class(of.class)).record("listed", listed(&of.listed)).0,
        Principal::Person | Principal::Vehicle => {
            let mut whole = plate
                .bool("fake", of.fake)
                .word("class", word::class(of.class))
                .bool("dangerous", of.is_dangerous())
                .record("listed", listed(&of.listed))
                .record("permit", permit(&of.permit))
                .record("papers", papers(of))
                .long("gross_kg", of.gross_kg)
                .long("gross_max_kg", of.gross_max_kg)
                .bool("inside", of.inside)
                .long("untrained", Some(of.untrained))
                .set("unsettled", texts(&of.unsettled));
            if let Some(goods) = &of.hazmat {
                whole = whole.record("hazmat", hazmat(goods));
            }
            whole.0
        }
    }
}

fn listed(of: &Listed) -> Record {
    known().bool("blocked", of.blocked.is_some()).text("reason", of.blocked.as_ref()).bool("allowed", of.allowed).0
}

fn permit(of: &PermitFacts) -> Record {
    known()
        .text("id", of.permit.as_ref())
        .word("state", word::permit_state(of.state))
        .bool("gate_ok", of.gate_ok)
        .bool("window_open", of.window_open)
        .text("company", of.company.as_ref())
        .0
}

fn papers(of: &VehicleFacts) -> Record {
    let that_are = |wanted: PaperState| {
        let those = of.papers.iter().filter(move |(_, state)| **state == wanted);
        those.map(|(kind, _)| Value::Word(word::paper(*kind))).collect::<Vec<_>>()
    };
    known()
        .set("valid", that_are(PaperState::Valid))
        .set("expiring", that_are(PaperState::Expiring))
        .set("expired", that_are(PaperState::Expired))
        .set("missing", that_are(PaperState::Missing))
        .set("undated", that_are(PaperState::Undated))
        .0
}

fn hazmat(of: &HazmatFacts) -> Record {
    known()
        .text("waybill", of.waybill.as_ref())
        .word("waybill_state", word::waybill(of.waybill_state))
        .text("manifest", of.manifest.as_ref())
        .bool("waybill_matches", of.waybill_matches)
        .word("small_quantity", word::small_quantity(of.small_quantity))
        .bool("scope_ok", of.scope_ok)
        .bool("tank", of.tank)
        .bool("tank_medium_ok", of.tank_medium_ok)
        .bool("driver_ok", of.driver_ok)
        .word("escort", word::escort(of.escort))
        .bool("weight_ok", of.weight_ok)
        .bool("dispatched", of.dispatched)
        .long("bays_free", of.bays_free)
        .bool("bay_compatible", of.bay_compatible)
        .long("unloading_free", of.unloading_free)
        .bool("route_ok", of.route_ok)
        .set("checks_failed", texts(&of.checks_failed))
        .set("checks_open", texts(&of.checks_open))
        .0
}

fn lane(of: &LaneFacts) -> Record {
    known()
        .text("id", Some(&of.lane))
        .text("gate", Some(&of.gate))
        .word("gate_class", word::gate_class(of.gate_class))
        .word("kind", word::lane_kind(of.kind))
        .bool("direction_ok", of.direction_ok)
        .set("classes", of.classes.iter().map(|class| Value::Word(word::class(Some(*class)))))
        .bool("manned", of.manned)
        .bool("window_open", of.window_open)
        .0
}

fn zone(of: &ZoneFacts) -> Record {
    known()
        .text("id", Some(&of.zone))
        .word("class", word::zone_class(of.class))
        .long("persons", Some(of.persons))
        .long("persons_max", of.persons_max)
        .long("vehicles", Some(of.vehicles))
        .long("vehicles_max", of.vehicles_max)
        .long("gas_level", Some(of.gas_level))
        .word("anti_passback", word::passback(of.anti_passback))
        .bool("training_needed", of.training_needed)
        .0
}

fn site(of: &SiteFacts) -> Record {
    let each = of.warnings.iter();
    let warnings = each.flat_map(|(kind, level)| (1..=*level).map(move |step| Value::Text(format!("{kind}:{step}"))));
    known().word("state", word::site_state(of.state)).bool("fire", of.fire).set("warnings", warnings).0
}

fn gateway(of: &GatewayFacts) -> Record {
    known()
        .word("clock", word::clock(of.clock))
        .long("permits_age_s", of.permits_age_s)
        .long("block_list_age_s", of.block_list_age_s)
        .bool("peers_heard", of.peers_heard)
        .bool("inside_known", of.inside_known)
        .0
}

fn rules(of: &Parameters) -> Record {
    let zones = |all: &BTreeSet<_>| all.iter().map(|one| Value::Word(word::zone_class(*one))).collect::<Vec<_>>();
    let classes = |all: &BTreeSet<_>| all.iter().map(|one| Value::Word(word::class(Some(*one)))).collect::<Vec<_>>();
    let kinds =
        |all: &BTreeSet<_>| all.iter().map(|one| Value::Word(word::person_kind(Some(*one)))).collect::<Vec<_>>();
    known()
        .long("stale_hazmat_s", Some(of.stale_hazmat.as_secs()))
        .long("stale_visitor_s", Some(of.stale_visitor.as_secs()))
        .long("stale_fixed_s", Some(of.stale_fixed.as_secs()))
        .set("weigh", classes(&of.weigh))
        .long("over_percent", Some(of.over_percent))
        .set("training_refer", kinds(&of.training_refer))
        .set("undated_persons", kinds(&of.undated_persons))
        .set("undated_vehicles", classes(&of.undated_vehicles))
        .long("gas_level", Some(of.gas_level))
        .set("dispatch_zones", zones(&of.dispatch_zones))
        .set("parking_zones", zones(&of.parking_zones))
        .bool("quota", of.quota)
        .set("warnings_entry", texts(&of.warnings_entry))
        .set("warnings_hazmat", texts(&of.warnings_hazmat))
        .0
}
