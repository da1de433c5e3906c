//! The state of the site as the page and the command line show it.

use serde::Serialize;

use super::Site;
use super::desk::Subject;
use super::fire::LineState;
use super::record::Cause;
use super::service::{Bypass, Changed, ServiceState, ServiceSubject, by_file};
use super::state::State;
use super::warning::Warning;
use crate::domain::order::{LaneRule, OrderKind};
use crate::domain::time::{Now, Timestamp};

/// Everything at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SiteView {
    /// The strongest state of any zone: the headline.
    pub strongest: State,
    /// Zones, each after the one around it.
    pub zones: Vec<ZoneView>,
    /// Lanes, with what is ordered of them.
    pub lanes: Vec<LaneView>,
    /// Sirens, signs and other outputs.
    pub signals: Vec<SignalView>,
    /// Inputs of the fire linkage.
    pub fire: Vec<FireView>,
    /// States that wait for a person.
    pub proposals: Vec<ProposalView>,
    /// The running drill.
    pub drill: Option<DrillView>,
    /// The wind.
    pub wind: WindView,
    /// Warnings of the city.
    pub warnings: Vec<WarningView>,
    /// Points and lanes whose commissioning was changed here.
    pub service: Vec<ServiceView>,
    /// Bypasses of interlocks.
    pub bypasses: Vec<Bypass>,
}

/// A zone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ZoneView {
    /// Id.
    pub id: String,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Id of the zone around it.
    pub parent: Option<String>,
    /// Its own state.
    pub state: State,
    /// The state that holds in it.
    pub holds: State,
    /// Since when, by the clock of that time.
    pub since: Timestamp,
    /// Why.
    pub cause: Option<Cause>,
    /// Who.
    pub by: String,
    /// Its episode; empty while it is normal.
    pub episode: String,
    /// Lanes that wait to be given back.
    pub held: Vec<String>,
}

/// A lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneView {
    /// Id.
    pub id: String,
    /// Name, Chinese.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Id of its zone.
    pub zone: String,
    /// The rule that holds for it.
    pub rule: LaneRule,
    /// What became of the order: `done`, `waiting`, `failed`; `None` where none was given.
    pub order: Option<&'static str>,
    /// Its commissioning.
    pub service: ServiceState,
}

/// An output that tells the state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignalView {
    /// Id of the output.
    pub output: String,
    /// Value ordered last.
    pub value: Option<String>,
    /// As of a lane.
    pub order: Option<&'static str>,
}

/// An input of the fire linkage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FireView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// What its line says.
    pub line: LineState,
    /// Why it is broken.
    pub why: Option<&'static str>,
    /// Its lanes stay released until a person resets it.
    pub latched: bool,
}

/// A proposal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProposalView {
    /// Number.
    pub proposal: u64,
    /// Id of the zone.
    pub zone: String,
    /// State.
    pub state: State,
    /// Why.
    pub cause: Cause,
    /// Who.
    pub by: String,
    /// In his words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Seconds until it lapses; `None` where it waits for an answer.
    pub lapses_s: Option<u64>,
}

/// The running drill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrillView {
    /// Its episode.
    pub episode: String,
    /// Id of the zone.
    pub zone: String,
    /// What it rehearses.
    pub rehearses: State,
    /// Whether barriers move.
    pub barriers: bool,
    /// Who began it.
    pub by: String,
    /// When.
    pub started_at: Timestamp,
}

/// The wind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindView {
    /// m/s.
    pub speed: Option<f64>,
    /// Where it comes from, degrees.
    pub from: Option<f64>,
    /// Why nothing can be said.
    pub why: Option<&'static str>,
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WarningView {
    /// The warning.
    pub warning: Warning,
    /// When it came.
    pub since: Timestamp,
    /// Who has read it.
    pub acknowledged: Option<String>,
}

/// A changed commissioning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceView {
    /// Which.
    pub subject: ServiceSubject,
    /// Tag of the point, name of the lane.
    pub name: String,
    /// What, by whom, why.
    pub changed: Changed,
}

impl Site {
    /// Returns everything as it stands.
    pub fn view(&self, now: Now) -> SiteView {
        SiteView {
            strongest: self.zones.iter().map(|zone| zone.state).max().unwrap_or_default(),
            zones: (0..self.zones.len()).filter_map(|at| self.zone_view(at)).collect(),
            lanes: self.lane_views(),
            signals: self.signal_views(),
            fire: self.fire_views(),
            proposals: self.proposal_views(now),
            drill: self.drill.as_ref().map(|drill| DrillView {
                episode: drill.episode.clone(),
                zone: self.zone_id(drill.zone),
                rehearses: drill.rehearses,
                barriers: drill.barriers,
                by: drill.begun_by.clone(),
                started_at: drill.started_at,
            }),
            wind: match self.wind.valid(self.book.wind.as_ref(), now.mono) {
                Ok(wind) => WindView { speed: Some(wind.speed), from: Some(wind.from), why: None },
                Err(why) => WindView { speed: None, from: None, why: Some(why.as_str()) },
            },
            warnings: self.warnings.iter().map(warning_view).collect(),
            service: self.service.changed().map(|change| self.service_view(change)).collect(),
            bypasses: self.service.bypasses().cloned().collect(),
        }
    }

    fn zone_view(&self, at: usize) -> Option<ZoneView> {
        let (zone, now) = (self.book.zones.get(at)?, self.zones.get(at)?);
        let held = now.held.keys().filter_map(|lane| self.book.lanes.get(*lane)).map(|lane| lane.id.clone());
        Some(ZoneView {
            id: zone.id.clone(),
            name: zone.name.clone(),
            name_en: zone.name_en.clone(),
            parent: zone.parent.map(|parent| self.zone_id(parent)),
            state: now.state,
            holds: self.holds(at),
            since: now.since,
            cause: now.cause.clone(),
            by: now.by.clone(),
            episode: if now.state == State::Normal { String::new() } else { now.episode.clone() },
            held: held.collect(),
        })
    }

    fn lane_views(&self) -> Vec<LaneView> {
        let wanted = self.wanted_lanes();
        let view = |lane: &super::book::Lane| {
            let rule = wanted.iter().find(|(id, ..)| *id == lane.id).map(|(.., wanted)| &wanted.what);
            let rule = match rule {
                Some(OrderKind::Lane { rule, .. }) => *rule,
                Some(OrderKind::Output { .. } | OrderKind::Message { .. }) | None => LaneRule::Normal,
            };
            LaneView {
                id: lane.id.clone(),
                name: lane.name.clone(),
                name_en: lane.name_en.clone(),
                zone: self.zone_id(lane.zone),
                rule,
                order: self.desk.get(&Subject::Lane(lane.id.clone())).map(super::desk::Standing::word),
                service: self.service_of(&ServiceSubject::Lane(lane.id.clone())).unwrap_or(lane.service),
            }
        };
        self.book.lanes.iter().map(view).collect()
    }

    fn signal_views(&self) -> Vec<SignalView> {
        let view = |signal: &super::book::Signal| {
            let standing = self.desk.get(&Subject::Output(signal.output.clone()));
            let value = match standing.map(|standing| &standing.wanted.what) {
                Some(OrderKind::Output { value, .. }) => Some(value.clone()),
                Some(OrderKind::Lane { .. } | OrderKind::Message { .. }) | None => None,
            };
            SignalView { output: signal.output.clone(), value, order: standing.map(super::desk::Standing::word) }
        };
        self.book.signals.iter().map(view).collect()
    }

    fn service_view(&self, (subject, changed): (&ServiceSubject, &Changed)) -> ServiceView {
        let name = by_file(&self.book, subject).map(|(name, _)| name).unwrap_or_default();
        ServiceView { subject: subject.clone(), name, changed: changed.clone() }
    }

    fn fire_views(&self) -> Vec<FireView> {
        let view = |(input, now): (&super::book::FireInput, &super::fire::FireNow)| FireView {
            id: input.id.clone(),
            name: input.name.clone(),
            line: now.line,
            why: now.why.map(super::fire::Odd::as_str),
            latched: now.latched,
        };
        self.book.fire.iter().zip(&self.fire).map(view).collect()
    }

    fn proposal_views(&self, now: Now) -> Vec<ProposalView> {
        let view = |(number, open): (&u64, &super::Proposal)| ProposalView {
            proposal: *number,
            zone: self.zone_id(open.zone),
            state: open.state,
            cause: open.cause.clone(),
            by: open.actor.name.clone(),
            reason: open.reason.clone(),
            at: open.at,
            lapses_s: open.lapses.map(|lapses| lapses.since(now.mono).as_secs()),
        };
        self.proposals.iter().map(view).collect()
    }
}

fn warning_view(standing: &super::warning::Standing) -> WarningView {
    WarningView {
        warning: standing.warning.clone(),
        since: standing.since,
        acknowledged: standing.acknowledged.clone(),
    }
}
