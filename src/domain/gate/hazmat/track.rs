//! Where a vehicle has been, and what of it breaks a rule (rules 51 to 55).
//!
//! A single position proves nothing: receivers jitter, jump between walls, and lie under bridges. So a position that the
//! vehicle cannot have reached is not believed unless others agree with it; and every judgement, to begin and to end, needs
//! three positions in a row, or two that are half a minute apart. Between inside and outside of a corridor lies a margin in
//! which nothing changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::geo::{Coordinates, Spot, same_frame};
use super::goods::HazardClass;
use super::map::{Local, Map, RoadKind, Route};
use super::record::ViolationKind;
use crate::domain::gate::hardware::Datum;
use crate::domain::time::Mono;

/// What positions are judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackRules {
    /// Positions of another datum than a shape's are converted; otherwise they are not judged against it, and that is told.
    pub convert: bool,
    /// So many positions in a row begin or end a violation.
    pub points: u32,
    /// Two in a row do, when they are so far apart in time.
    pub hold: Duration,
    /// Metres beyond the edge that count as on it.
    pub margin_m: f64,
    /// km/h above a limit that a receiver's own error may be.
    pub speed_margin_kmh: f64,
    /// Standing longer than this outside of yards is a violation.
    pub stop_after: Duration,
    /// Without a position for so long, it is lost.
    pub lost_after: Duration,
    /// Faster than this, in km/h, a vehicle does not go: the position is not believed.
    pub plausible_kmh: f64,
}

impl Default for TrackRules {
    fn default() -> Self {
        Self {
            convert: false,
            points: 3,
            hold: Duration::from_secs(30),
            margin_m: 15.0,
            speed_margin_kmh: 3.0,
            stop_after: Duration::from_secs(300),
            lost_after: Duration::from_secs(300),
            plausible_kmh: 150.0,
        }
    }
}

/// Metres by which two positions of a standing vehicle may differ.
const STILL_M: f64 = 30.0;
/// km/h below which it stands.
const STILL_KMH: f64 = 3.0;
/// Metres that are never a jump: what a receiver is off at its worst.
const JITTER_M: f64 = 100.0;
/// Positions that agree with one another make a place believed that the vehicle cannot have reached.
const AGREEING: u32 = 3;
/// So many positions that were not believed, within [`JUMPS_WITHIN`], are told of.
const MANY_JUMPS: u32 = 3;
const JUMPS_WITHIN: Duration = Duration::from_secs(600);

/// What a terminal says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fix {
    /// When it was taken.
    pub at: Mono,
    /// Where; `None`: it has no fix.
    pub position: Option<Coordinates>,
    /// Datum, as the terminal's source is declared; `None`: it is not declared, and the position can be judged by nothing.
    pub datum: Option<Datum>,
    /// Speed in km/h, where the terminal gives one.
    pub kmh: Option<f64>,
}

/// What is known of the vehicle when it is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scene<'a> {
    /// The route of its waybill.
    pub route: Option<&'a str>,
    /// What it carries; `None`: not known.
    pub classes: Option<&'a BTreeSet<HazardClass>>,
    /// Whether it is inside of the park.
    pub inside: bool,
    /// Local time; `None`: the clock cannot be trusted.
    pub local: Option<Local>,
}

/// One thing that is judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Its route.
    Route,
    /// Its speed.
    Speed,
    /// Its standing still.
    Stop,
    /// A restriction, by its id.
    Restriction(String),
    /// Whether its position is known.
    Position,
    /// Whether its datum fits the map.
    Datum,
}

impl Subject {
    /// Returns the kind of violation that it is about.
    pub fn kind(&self) -> ViolationKind {
        match self {
            Self::Route => ViolationKind::OffRoute,
            Self::Speed => ViolationKind::Speeding,
            Self::Stop => ViolationKind::StoppedOutside,
            Self::Restriction(_) => ViolationKind::Restricted,
            Self::Position => ViolationKind::PositionLost,
            Self::Datum => ViolationKind::DatumMismatch,
        }
    }
}

/// A change that holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What is violated, or no longer.
    pub kind: ViolationKind,
    /// The id that it is about.
    pub subject: Option<String>,
    /// Begins, or is over.
    pub begins: bool,
    /// What was measured.
    pub value: Option<f64>,
    /// What would have been allowed.
    pub limit: Option<f64>,
    /// Where.
    pub position: Option<Spot>,
    /// Whether the position was converted to be judged.
    pub converted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Judged {
    on: bool,
    /// Positions in a row that say otherwise, and the first of them.
    against: u32,
    since: Mono,
}

impl Judged {
    /// Takes what one position says. Returns whether the judgement changed.
    fn take(&mut self, bad: bool, at: Mono, rules: &TrackRules) -> bool {
        if bad == self.on {
            self.against = 0;
            return false;
        }
        if self.against == 0 {
            self.since = at;
        }
        self.against += 1;
        let long = self.against >= 2 && at.since(self.since) >= rules.hold;
        if self.against < rules.points.max(2) && !long {
            return false;
        }
        (self.on, self.against) = (bad, 0);
        true
    }
}

/// A position, with what one shape says of it.
struct Seen {
    subject: Subject,
    /// `None`: within the margin, where nothing changes.
    bad: Option<bool>,
    value: Option<f64>,
    limit: Option<f64>,
    converted: bool,
}

/// The track of one vehicle.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    last: Option<(Mono, Coordinates)>,
    heard: Mono,
    odd: Option<(Mono, Coordinates, u32)>,
    jumps: (Mono, u32),
    still: Option<(Mono, Coordinates)>,
    judged: BTreeMap<Subject, Judged>,
}

impl Track {
    /// A vehicle of which nothing was heard yet; `on` is what was violated before a restart.
    pub fn new(now: Mono, on: impl IntoIterator<Item = Subject>) -> Self {
        let judged = |subject| (subject, Judged { on: true, against: 0, since: now });
        Self {
            last: None,
            heard: now,
            odd: None,
            jumps: (now, 0),
            still: None,
            judged: on.into_iter().map(judged).collect(),
        }
    }

    /// Returns what is violated now.
    pub fn on(&self) -> impl Iterator<Item = &Subject> {
        self.judged.iter().filter(|(_, judged)| judged.on).map(|(subject, _)| subject)
    }

    /// Returns where it was believed to be last, and when.
    pub fn last(&self) -> Option<(Mono, Coordinates)> {
        self.last
    }

    /// Returns when the last position was believed, or the track began.
    pub fn heard(&self) -> Mono {
        self.heard
    }

    /// Returns when it counts as lost; `None`: it does already.
    pub fn lost_at(&self, rules: &TrackRules) -> Option<Mono> {
        let lost = self.judged.get(&Subject::Position).is_some_and(|judged| judged.on);
        (!lost).then(|| self.heard + rules.lost_after)
    }

    /// Lets time pass: a position that was not heard of is lost.
    pub fn wake(&mut self, now: Mono, rules: &TrackRules) -> Option<Change> {
        self.lost_at(rules).filter(|at| *at <= now)?;
        self.judged.entry(Subject::Position).or_default().on = true;
        let minutes = now.since(self.heard).as_secs_f64() / 60.0;
        let limit = Some(rules.lost_after.as_secs_f64() / 60.0);
        Some(Change { value: Some(minutes), limit, ..change(&Subject::Position, true) })
    }

    /// Takes what a terminal says. Returns what begins or ends by it.
    pub fn take(&mut self, fix: &Fix, scene: Scene<'_>, map: &Map, rules: &TrackRules) -> Vec<Change> {
        let (Some(at), true) = (fix.position, self.last.is_none_or(|(then, _)| then <= fix.at)) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        let Some(datum) = fix.datum else {
            changes.extend(self.judge(Subject::Datum, true, fix.at, rules));
            return changes;
        };
        let position = Spot { datum, at };
        if !self.believe(fix.at, at, rules) {
            // One that is not believed stands between the others: they are no longer in a row.
            self.judged.values_mut().for_each(|judged| judged.against = 0);
            changes.extend(self.count_jump(fix.at, position));
            return changes;
        }
        let kmh = fix.kmh.or_else(|| self.speed(fix.at, at));
        (self.last, self.heard) = (Some((fix.at, at)), fix.at);
        if let Some(lost) = self.judged.get_mut(&Subject::Position).filter(|judged| judged.on) {
            *lost = Judged::default();
            changes.push(change(&Subject::Position, false));
        }
        let fits = rules.convert || map.datums().iter().all(|own| same_frame(*own, datum));
        changes.extend(self.judge(Subject::Datum, !fits, fix.at, rules));
        let stood = self.stand(fix.at, at, kmh);
        for seen in look(position, kmh, stood, scene, map, rules) {
            let Some(bad) = seen.bad else { continue };
            let found = self.judge(seen.subject, bad, fix.at, rules);
            let found =
                found.map(|found| Change { value: seen.value, limit: seen.limit, converted: seen.converted, ..found });
            changes.extend(found);
        }
        changes.extend(self.end_gone(map));
        changes.iter_mut().for_each(|change| change.position = Some(position));
        changes
    }

    fn judge(&mut self, subject: Subject, bad: bool, at: Mono, rules: &TrackRules) -> Option<Change> {
        if !bad && !self.judged.contains_key(&subject) {
            return None;
        }
        let judged = self.judged.entry(subject.clone()).or_default();
        let changed = judged.take(bad, at, rules).then(|| change(&subject, bad));
        if !judged.on && judged.against == 0 {
            self.judged.remove(&subject);
        }
        changed
    }

    /// What was violated of a restriction that the map has no more is over.
    fn end_gone(&mut self, map: &Map) -> Vec<Change> {
        let is_gone = |subject: &Subject| match subject {
            Subject::Restriction(id) => !map.restrictions.iter().any(|one| one.id == *id),
            Subject::Route | Subject::Speed | Subject::Stop | Subject::Position | Subject::Datum => false,
        };
        let gone: Vec<_> = self.judged.keys().filter(|subject| is_gone(subject)).cloned().collect();
        let end =
            |subject: Subject| self.judged.remove(&subject).filter(|judged| judged.on).map(|_| change(&subject, false));
        gone.into_iter().filter_map(end).collect()
    }

    /// Whether the vehicle can be there, going by where it was; or whether enough positions agree that it is.
    fn believe(&mut self, now: Mono, at: Coordinates, rules: &TrackRules) -> bool {
        let reachable = |then: Mono, from: Coordinates| {
            let metres = from.metres_to(at);
            metres <= JITTER_M || metres <= now.since(then).as_secs_f64() * rules.plausible_kmh / 3.6
        };
        if self.last.is_none_or(|(then, from)| reachable(then, from)) {
            self.odd = None;
            return true;
        }
        let agreeing = self.odd.filter(|(then, from, _)| reachable(*then, *from)).map_or(1, |(.., n)| n + 1);
        self.odd = Some((now, at, agreeing)).filter(|_| agreeing < AGREEING);
        if self.odd.is_none() {
            self.still = None;
        }
        self.odd.is_none()
    }

    fn count_jump(&mut self, at: Mono, position: Spot) -> Option<Change> {
        let (since, count) = self.jumps;
        self.jumps = if count == 0 || at.since(since) > JUMPS_WITHIN { (at, 1) } else { (since, count + 1) };
        if self.jumps.1 < MANY_JUMPS {
            return None;
        }
        self.jumps.1 = 0;
        Some(Change {
            kind: ViolationKind::PositionJump,
            subject: None,
            begins: true,
            value: Some(f64::from(MANY_JUMPS)),
            limit: None,
            position: Some(position),
            converted: false,
        })
    }

    fn speed(&self, now: Mono, at: Coordinates) -> Option<f64> {
        let (then, from) = self.last?;
        let seconds = now.since(then).as_secs_f64();
        // Between two positions that are close in time, jitter is larger than the way.
        (seconds >= 10.0).then(|| from.metres_to(at) / seconds * 3.6)
    }

    /// Returns for how long it has stood where it is.
    fn stand(&mut self, now: Mono, at: Coordinates, kmh: Option<f64>) -> Duration {
        let stays = |from: Coordinates| from.metres_to(at) <= STILL_M && kmh.is_none_or(|kmh| kmh < STILL_KMH);
        match self.still {
            Some((since, from)) if stays(from) => now.since(since),
            _ => {
                self.still = Some((now, at));
                Duration::ZERO
            }
        }
    }
}

fn change(subject: &Subject, begins: bool) -> Change {
    let about = match subject {
        Subject::Restriction(id) => Some(id.clone()),
        Subject::Route | Subject::Speed | Subject::Stop | Subject::Position | Subject::Datum => None,
    };
    Change { kind: subject.kind(), subject: about, begins, value: None, limit: None, position: None, converted: false }
}

/// Brings a position into the datum of a shape; `None` where that is not allowed.
fn into(position: Spot, datum: Datum, rules: &TrackRules) -> Option<(Coordinates, bool)> {
    let converted = !same_frame(position.datum, datum);
    (rules.convert || !converted).then(|| (position.to(datum).at, converted))
}

/// Inside, outside, or within the margin of the edge.
fn is_outside(outside_m: f64, rules: &TrackRules) -> Option<bool> {
    if outside_m > rules.margin_m { Some(true) } else { (outside_m <= 0.0).then_some(false) }
}

fn look(
    position: Spot,
    kmh: Option<f64>,
    stood: Duration,
    scene: Scene<'_>,
    map: &Map,
    rules: &TrackRules,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    let yard = map.yards.iter().find(|yard| {
        into(position, yard.datum, rules).is_some_and(|(at, _)| yard.shape.outside_m(at) <= rules.margin_m)
    });
    let may_go = |route: &&Route| route.common || scene.route == Some(route.id.as_str());
    let routes = map.routes.iter().filter(may_go);
    let nearest = routes
        .filter_map(|route| into(position, route.datum, rules).map(|(at, converted)| (route.look(at), converted)))
        .min_by(|((one, _), _), ((other, _), _)| one.total_cmp(other));
    if let Some(((outside_m, _), converted)) = nearest {
        let bad = if yard.is_some() { Some(false) } else { is_outside(outside_m, rules) };
        let value = Some(outside_m.max(0.0));
        seen.push(Seen { subject: Subject::Route, bad, value, limit: Some(0.0), converted });
    }
    let on_route = nearest.filter(|((outside_m, _), _)| *outside_m <= rules.margin_m).map(|((_, kmh), _)| kmh);
    let otherwise = if scene.inside { RoadKind::Park } else { RoadKind::Public }.kmh();
    let limit = yard.map(|yard| yard.kmh).or(on_route).unwrap_or(otherwise);
    if let Some(kmh) = kmh {
        let bad = Some(kmh > limit + rules.speed_margin_kmh);
        seen.push(Seen { subject: Subject::Speed, bad, value: Some(kmh), limit: Some(limit), converted: false });
    }
    // Outside of the park nobody here knows where it may stand.
    let stands = scene.inside && !map.yards.is_empty() && yard.is_none() && stood >= rules.stop_after;
    let minutes = |time: Duration| Some(time.as_secs_f64() / 60.0);
    let (value, limit) = (minutes(stood), minutes(rules.stop_after));
    seen.push(Seen { subject: Subject::Stop, bad: Some(stands), value, limit, converted: false });
    for restriction in &map.restrictions {
        let Some((at, converted)) = into(position, restriction.datum, rules) else { continue };
        let holds = restriction.is_for(scene.classes) && restriction.is_in_force(scene.local);
        let outside_m = restriction.shape.outside_m(at);
        // The margin is on the outer side of the edge here too: what is inside is inside.
        let inside = if outside_m <= 0.0 { Some(true) } else { (outside_m > rules.margin_m).then_some(false) };
        let bad = if holds { inside } else { Some(false) };
        let subject = Subject::Restriction(restriction.id.clone());
        seen.push(Seen { subject, bad, value: None, limit: None, converted });
    }
    seen
}
