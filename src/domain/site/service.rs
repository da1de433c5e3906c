//! Commissioning as a state (A12, rule 102) of points and lanes, and the bypass of interlocks (联锁摘除). Each step is a
//! document of kind `service`.
//!
//! ```text
//!  planned ──▶ commissioning ◀──▶ in service ◀──▶ stopped (reason, person, time; restored by a person)
//!     │             │  ▲                │            │ │
//!     │             │  └────────────────┼────────────┘ │
//!     └─────────────┴──────────────▶ removed ◀─────────┘   (out of service first; the configuration may drop anything)
//!
//!  bypass: requested ──▶ active ──▶ overdue (fact for an alarm) ──▶ restored
//!              │           └───────────────────────────────────────▲
//!              └──▶ rejected, lapsed
//! ```
//!
//! What the file says holds until somebody changes it here; then memory holds, until the file itself changes along the table.
//! Putting into service needs the reference of the loop test (联调) that was signed. The gateway bypasses no interlock: it
//! keeps the paper, so that one which was forgotten makes itself heard.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::action::{Done, seconds};
use super::book::SiteBook;
use super::warning::{millis, until_after};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::registry::Commissioning;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// A request for a bypass that nobody approves lapses after this: a shift.
pub const APPROVE_WITHIN: Duration = Duration::from_secs(8 * 3600);
/// Bypasses open at a time; more are refused: a plant with that many has no interlocks.
pub const MAX_BYPASSES: usize = 200;

/// Commissioning of a point or lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Drawn, not there.
    Planned,
    /// Under test.
    Commissioning,
    /// In service.
    #[default]
    InService,
    /// Stopped (停用).
    Stopped,
    /// Gone for good.
    Removed,
}

impl ServiceState {
    /// All states.
    pub const ALL: [ServiceState; 5] =
        [Self::Planned, Self::Commissioning, Self::InService, Self::Stopped, Self::Removed];

    /// Returns the word used in the configuration and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Commissioning => "commissioning",
            Self::InService => "in_service",
            Self::Stopped => "stopped",
            Self::Removed => "removed",
        }
    }

    /// Returns the word for people, Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Planned => "计划",
            Self::Commissioning => "联调",
            Self::InService => "投用",
            Self::Stopped => "停用",
            Self::Removed => "拆除",
        }
    }

    /// Returns the state of this word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns whether `to` may follow by a person's hand: the arrows of the module's head.
    pub fn may_become(self, to: ServiceState) -> bool {
        match self {
            Self::Planned => matches!(to, Self::Commissioning | Self::Removed),
            Self::Commissioning => matches!(to, Self::InService | Self::Stopped | Self::Removed),
            Self::InService => matches!(to, Self::Commissioning | Self::Stopped),
            Self::Stopped => matches!(to, Self::InService | Self::Commissioning | Self::Removed),
            Self::Removed => false,
        }
    }

    /// Returns whether orders and readings have something to act on.
    pub fn exists(self) -> bool {
        !matches!(self, Self::Planned | Self::Removed)
    }
}

impl From<Commissioning> for ServiceState {
    fn from(state: Commissioning) -> Self {
        match state {
            Commissioning::Planned => Self::Planned,
            Commissioning::Commissioning => Self::Commissioning,
            Commissioning::InService => Self::InService,
            Commissioning::Stopped => Self::Stopped,
            Commissioning::Removed => Self::Removed,
        }
    }
}

impl From<ServiceState> for Commissioning {
    fn from(state: ServiceState) -> Self {
        match state {
            ServiceState::Planned => Self::Planned,
            ServiceState::Commissioning => Self::Commissioning,
            ServiceState::InService => Self::InService,
            ServiceState::Stopped => Self::Stopped,
            ServiceState::Removed => Self::Removed,
        }
    }
}

/// What has a commissioning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceSubject {
    /// A point by its uid.
    Point(String),
    /// A lane by its id.
    Lane(String),
}

/// What a person asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "service", rename_all = "snake_case")]
pub enum ServiceAction {
    /// Moves a point or a lane along the table.
    Move {
        /// Which; a point by its uid, or by its tag.
        subject: ServiceSubject,
        /// Whereto.
        to: ServiceState,
        /// Why; never empty. Into service from commissioning: the reference of the signed loop test.
        reason: String,
    },
    /// Asks for the bypass of an interlock.
    RequestBypass {
        /// The interlock, as the plant names it.
        interlock: String,
        /// Why; never empty.
        reason: String,
        /// For how long, in minutes.
        minutes: u32,
    },
    /// Approves it; another person than who asked.
    ApproveBypass {
        /// Its number.
        bypass: u64,
    },
    /// Rejects it.
    RejectBypass {
        /// Its number.
        bypass: u64,
        /// Why; never empty.
        reason: String,
    },
    /// The interlock is back in force.
    RestoreBypass {
        /// Its number.
        bypass: u64,
        /// What was checked; never empty.
        reason: String,
    },
}

/// One entry of the record, of kind `service`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum ServiceRecord {
    /// A point or lane went from one state to another.
    State {
        /// Which.
        subject: ServiceSubject,
        /// Tag of the point or name of the lane.
        name: String,
        /// Before.
        from: ServiceState,
        /// After.
        to: ServiceState,
        /// Who; the gateway where the configuration says so.
        actor: Actor,
        /// Why.
        reason: String,
    },
    /// The configuration asks for what the table does not allow: what stood, stands.
    Kept {
        /// Which.
        subject: ServiceSubject,
        /// What stands.
        state: ServiceState,
        /// What the file says.
        file: ServiceState,
    },
    /// A step of a bypass.
    Bypass {
        /// Its number, unique in the gateway.
        bypass: u64,
        /// The interlock.
        interlock: String,
        /// What it is now.
        step: BypassStep,
        /// Who.
        actor: Actor,
        /// In his words.
        reason: String,
        /// Seconds for which it was asked.
        for_s: u64,
        /// When it ends, once approved.
        until: Option<Timestamp>,
    },
}

/// How far a bypass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BypassStep {
    /// Asked for.
    Requested,
    /// Approved, in force.
    Active,
    /// Still in force, past its time.
    Overdue,
    /// Over: the interlock is back.
    Restored,
    /// Not approved.
    Rejected,
    /// Not approved in time.
    Lapsed,
}

/// A bypass that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    /// Its number.
    pub bypass: u64,
    /// The interlock.
    pub interlock: String,
    /// Why.
    pub reason: String,
    /// How far it is.
    pub step: BypassStep,
    /// Who asked.
    pub requested_by: String,
    /// Who approved.
    pub approved_by: Option<String>,
    /// Seconds for which it was asked.
    pub for_s: u64,
    /// When it ends, once approved.
    pub until: Option<Timestamp>,
}

/// What somebody changed against the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What it is now.
    pub state: ServiceState,
    /// Who.
    pub by: String,
    /// When.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
    /// What the file said then.
    pub(super) file: ServiceState,
}

/// What is kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedService {
    pub(super) changed: Vec<(ServiceSubject, Changed)>,
    pub(super) bypasses: Vec<(Bypass, Option<u64>)>,
    pub(super) next: u64,
}

/// What the book must do with a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ServiceTold {
    Record(ServiceRecord),
    Overdue { bypass: Bypass, active: bool },
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    changed: BTreeMap<ServiceSubject, Changed>,
    bypasses: BTreeMap<u64, (Bypass, Option<Mono>)>,
    next: u64,
    told: Vec<ServiceTold>,
}

impl Service {
    pub(super) fn take(&mut self) -> Vec<ServiceTold> {
        std::mem::take(&mut self.told)
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = (&ServiceSubject, &Changed)> {
        self.changed.iter()
    }

    pub(super) fn bypasses(&self) -> impl Iterator<Item = &Bypass> {
        self.bypasses.values().map(|(bypass, _)| bypass)
    }

    pub(super) fn of(&self, book: &SiteBook, subject: &ServiceSubject) -> Option<ServiceState> {
        let (_, file) = by_file(book, subject)?;
        Some(self.changed.get(subject).map_or(file, |changed| changed.state))
    }

    pub(super) fn act(
        &mut self,
        book: &SiteBook,
        action: ServiceAction,
        actor: &Actor,
        now: Now,
    ) -> Result<Done, Refused> {
        match action {
            ServiceAction::Move { subject, to, reason } => {
                needs(actor, Role::Supervisor)?;
                self.shift(book, subject, to, reason, actor, now)
            }
            ServiceAction::RequestBypass { interlock, reason, minutes } => {
                needs(actor, Role::Operator).or_else(|_| needs(actor, Role::Supervisor))?;
                self.request(book, interlock, reason, minutes, actor, now)
            }
            ServiceAction::ApproveBypass { bypass } => {
                needs(actor, Role::Supervisor)?;
                self.approve(bypass, actor, now)
            }
            ServiceAction::RejectBypass { bypass, reason } => {
                needs(actor, Role::Supervisor)?;
                said(&reason)?;
                self.close(bypass, BypassStep::Rejected, actor, reason)
            }
            ServiceAction::RestoreBypass { bypass, reason } => {
                needs(actor, Role::Supervisor)?;
                said(&reason)?;
                self.close(bypass, BypassStep::Restored, actor, reason)
            }
        }
    }

    fn shift(
        &mut self,
        book: &SiteBook,
        subject: ServiceSubject,
        to: ServiceState,
        reason: String,
        actor: &Actor,
        now: Now,
    ) -> Result<Done, Refused> {
        said(&reason)?;
        let unknown = || Refused::new("没有此测点或车道", "there is no such point or lane");
        let subject = book.named(subject);
        if book.is_wired(&subject) && to != ServiceState::InService {
            return Err(Refused::new(
                "消防联动、应急按钮和风向的测点须一直投用；请先在 site.toml 改接线",
                "points of the fire linkage, of keys and of the wind stay in service: change the wiring in site.toml first",
            ));
        }
        let (name, file) = by_file(book, &subject).ok_or_else(unknown)?;
        let from = self.of(book, &subject).unwrap_or(file);
        if !from.may_become(to) {
            let zh = format!("“{}”不能直接变为“{}”", from.zh(), to.zh());
            return Err(Refused::new(zh, format!("{} cannot become {}", from.as_str(), to.as_str())));
        }
        if to == file {
            self.changed.remove(&subject);
        } else {
            let changed = Changed { state: to, by: actor.name.clone(), since: now.wall, reason: reason.clone(), file };
            self.changed.insert(subject.clone(), changed);
        }
        let done = Done::new(format!("{name}：{}", to.zh()), format!("{name}: {}", to.as_str()));
        self.record(ServiceRecord::State { subject, name, from, to, actor: actor.clone(), reason });
        Ok(done)
    }

    fn request(
        &mut self,
        book: &SiteBook,
        interlock: String,
        reason: String,
        minutes: u32,
        actor: &Actor,
        now: Now,
    ) -> Result<Done, Refused> {
        said(&reason)?;
        said(&interlock)?;
        let asked = Duration::from_secs(u64::from(minutes) * 60);
        if asked.is_zero() || asked > book.longest_bypass {
            let most = seconds(book.longest_bypass) / 60;
            let zh = format!("时长须为 1..={most} 分钟");
            return Err(Refused::new(zh, format!("the time must be 1..={most} minutes")));
        }
        if self.bypasses.len() >= MAX_BYPASSES {
            return Err(Refused::new("摘除中的联锁太多", "too many interlocks are bypassed"));
        }
        if self.bypasses().any(|open| open.interlock == interlock) {
            return Err(Refused::new("此联锁已有摘除申请", "this interlock has a bypass already"));
        }
        self.next += 1;
        let number = self.next;
        let bypass = Bypass {
            bypass: number,
            interlock,
            reason,
            step: BypassStep::Requested,
            requested_by: actor.name.clone(),
            approved_by: None,
            for_s: seconds(asked),
            until: None,
        };
        self.tell(&bypass, actor.clone(), bypass.reason.clone());
        self.bypasses.insert(number, (bypass, Some(now.mono + APPROVE_WITHIN)));
        Ok(Done::new("已申请，等待另一人批准", "asked for; another person approves").with(number))
    }

    fn approve(&mut self, number: u64, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let (bypass, due) = self.bypasses.get_mut(&number).ok_or_else(no_bypass)?;
        if bypass.step != BypassStep::Requested {
            return Err(Refused::new("此申请已批准", "it is approved already"));
        }
        if bypass.requested_by == actor.name {
            return Err(Refused::new("批准人不能是申请人", "who asked cannot approve"));
        }
        let length = Duration::from_secs(bypass.for_s);
        bypass.step = BypassStep::Active;
        bypass.approved_by = Some(actor.name.clone());
        bypass.until = Some(now.wall.after(length));
        *due = Some(now.mono + length);
        let bypass = bypass.clone();
        self.tell(&bypass, actor.clone(), String::new());
        Ok(Done::new("联锁摘除已批准", "the bypass is approved").with(number))
    }

    fn close(&mut self, number: u64, step: BypassStep, actor: &Actor, reason: String) -> Result<Done, Refused> {
        let open = self.bypasses.get(&number).map(|(bypass, _)| bypass.step).ok_or_else(no_bypass)?;
        if (open == BypassStep::Requested) != (step == BypassStep::Rejected) {
            return Err(if open == BypassStep::Requested {
                Refused::new("尚未批准，请拒绝", "it is not approved yet: reject it")
            } else {
                Refused::new("已经摘除，请恢复联锁", "it is in force: restore the interlock")
            });
        }
        let Some((mut bypass, _)) = self.bypasses.remove(&number) else { return Err(no_bypass()) };
        let overdue = bypass.step == BypassStep::Overdue;
        bypass.step = step;
        self.tell(&bypass, actor.clone(), reason);
        if overdue {
            self.told.push(ServiceTold::Overdue { bypass, active: false });
        }
        Ok(Done::new("已记录", "recorded").with(number))
    }

    /// Ends what has outlasted its time.
    pub(super) fn tick(&mut self, now: Mono) {
        let due = |due: Option<Mono>| due.is_some_and(|due| due <= now);
        let over: Vec<u64> = self.bypasses.iter().filter(|(_, (_, at))| due(*at)).map(|(n, _)| *n).collect();
        for number in over {
            let Some((mut bypass, _)) = self.bypasses.remove(&number) else { continue };
            if bypass.step == BypassStep::Requested {
                bypass.step = BypassStep::Lapsed;
                self.tell(&bypass, Actor::gateway(), String::new());
                continue;
            }
            bypass.step = BypassStep::Overdue;
            self.tell(&bypass, Actor::gateway(), String::new());
            self.told.push(ServiceTold::Overdue { bypass: bypass.clone(), active: true });
            self.bypasses.insert(number, (bypass, None));
        }
    }

    pub(super) fn due(&self) -> Option<Mono> {
        self.bypasses.values().filter_map(|(_, due)| *due).min()
    }

    /// Takes a new configuration over: what memory holds stays, unless the file itself went along the table.
    pub(super) fn install(&mut self, old: &SiteBook, new: &SiteBook) {
        for (subject, was) in subjects(old) {
            let gone = by_file(new, &subject);
            let stood = self.changed.get(&subject).map_or(was.1, |changed| changed.state);
            let to = gone.as_ref().map_or(ServiceState::Removed, |(_, file)| *file);
            if gone.is_some() && to == was.1 {
                continue;
            }
            let allowed = gone.is_none() || stood == to || stood.may_become(to) || !self.changed.contains_key(&subject);
            if !allowed {
                self.record(ServiceRecord::Kept { subject, state: stood, file: to });
                continue;
            }
            self.changed.remove(&subject);
            if stood != to {
                let (actor, reason) = (Actor::gateway(), "configuration".to_owned());
                self.record(ServiceRecord::State { subject, name: was.0, from: stood, to, actor, reason });
            }
        }
    }

    pub(super) fn saved(&self, now: Now) -> SavedService {
        let left = |due: &Option<Mono>| due.map(|due| millis(due.since(now.mono)));
        SavedService {
            changed: self.changed.iter().map(|(subject, changed)| (subject.clone(), changed.clone())).collect(),
            bypasses: self.bypasses.values().map(|(bypass, due)| (bypass.clone(), left(due))).collect(),
            next: self.next,
        }
    }

    pub(super) fn restore(saved: SavedService, book: &SiteBook, now: Now) -> Self {
        let mut service = Self { next: saved.next, ..Self::default() };
        for (subject, changed) in saved.changed {
            match by_file(book, &subject) {
                // The file changed while the gateway was off: as at a reload, it wins where the table lets it.
                Some((_, file)) if file != changed.file && changed.state.may_become(file) => {}
                Some(_) => {
                    service.changed.insert(subject, changed);
                }
                None => {}
            }
        }
        for (bypass, left) in saved.bypasses {
            let by_wall = bypass.until.filter(|_| now.trust == ClockTrust::Synced);
            let by_wall = by_wall.map_or(Duration::MAX, |until| until_after(until, now.wall));
            let due = left.map(|left| now.mono + Duration::from_millis(left).min(by_wall));
            if bypass.step == BypassStep::Overdue {
                service.told.push(ServiceTold::Overdue { bypass: bypass.clone(), active: true });
            }
            service.bypasses.insert(bypass.bypass, (bypass, due));
        }
        service
    }

    fn tell(&mut self, bypass: &Bypass, actor: Actor, reason: String) {
        let Bypass { bypass, interlock, step, for_s, until, .. } = bypass.clone();
        self.record(ServiceRecord::Bypass { bypass, interlock, step, actor, reason, for_s, until });
    }

    fn record(&mut self, record: ServiceRecord) {
        self.told.push(ServiceTold::Record(record));
    }
}

/// Returns name and state of a subject by the file.
pub(super) fn by_file(book: &SiteBook, subject: &ServiceSubject) -> Option<(String, ServiceState)> {
    match subject {
        ServiceSubject::Point(uid) => {
            let point = book.points.get(&crate::domain::id::PointUid::new(uid.as_str()))?;
            Some((point.tag.clone(), point.service))
        }
        ServiceSubject::Lane(id) => {
            let lane = book.lanes.get(book.lane(id)?)?;
            Some((lane.name.clone(), lane.service))
        }
    }
}

fn subjects(book: &SiteBook) -> impl Iterator<Item = (ServiceSubject, (String, ServiceState))> + '_ {
    let points = book
        .points
        .iter()
        .map(|(uid, point)| (ServiceSubject::Point(uid.as_str().to_owned()), (point.tag.clone(), point.service)));
    let lanes =
        book.lanes.iter().map(|lane| (ServiceSubject::Lane(lane.id.clone()), (lane.name.clone(), lane.service)));
    points.chain(lanes)
}

fn needs(actor: &Actor, role: Role) -> Result<(), Refused> {
    if actor.has(role) { Ok(()) } else { Err(Refused::role(role)) }
}

fn said(text: &str) -> Result<(), Refused> {
    if text.trim().is_empty() { Err(Refused::new("请写明原因", "say why")) } else { Ok(()) }
}

fn no_bypass() -> Refused {
    Refused::new("没有此联锁摘除", "there is no such bypass")
}
