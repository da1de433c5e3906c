//! The gates as one machine: lanes, register, policies, the account of who is inside, dangerous goods, the desk, musters,
//! joined. Each keeps to itself; what one has to tell another passes here.
//!
//! ```text
//!  hardware ─LaneEvent─▶ lane ─Ask─▶ facts (lane, register, inside, hazmat, surroundings) ─▶ decide ─Ruling─▶ lane
//!                         │ └─Audit, Command──▶ out, in this order                 └─Decision──▶ out, to be recorded
//!                         ├─Step─▶ inside (passage, counts) ─ crossed ─▶ register (uses), hazmat (visit, waybill)
//!                         └─Call─▶ desk (ticket, addressee) ─▶ told; answered ─▶ lane      inside ─events─▶ musters
//! ```
//!
//! What it promises beside what its parts promise:
//! - A decision is recorded before anything that follows from it, and is made of what was known at that moment.
//! - Only a passage that crossed uses up a permit or a waybill.
//! - What is ordered at once comes out of [`Gates::poll_output`] before anything that is to be recorded of it.
//!
//! Sans-I/O like its parts: hand in one input, then drain [`Gates::poll_output`]; call [`Gates::handle_timeout`] when
//! [`Gates::poll_timeout`] has come.

pub mod act;
mod day;
mod follow;
mod gather;
mod goods;
mod people;
mod pictures;
mod saved;
mod terminals;
mod uses;
pub mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use self::pictures::PictureOf;
pub use self::saved::Saved;
pub use self::uses::MAX_ONE_BY_ONE;
pub use self::view::GatesView;

use self::follow::About;
use self::view::Decided;
use super::decide::{Asked, Policies, decide};
use super::desk::{self, Desk, DeskFact, Told};
use super::hardware::{LaneCommand, LaneEvent};
use super::hazmat::record::Output as HazmatOutput;
use super::hazmat::{self, Hazmat};
use super::inside::{self, Event, Inside, InsideFact};
use super::lane::spec::{Service, Trouble};
use super::lane::{Ask, Audit, AuditReceipt, Call, Lane, LaneFact, LaneSpec, Ruling};
use super::muster::{MusterFact, Musters};
use super::register::change::Prepared;
use super::register::row::Table;
use super::register::rules::Stale;
use super::register::{self, Register};
use super::word::{DecisionId, GatewayId, LaneId, LaneKind, PassageId, ZoneId};
use serde::{Deserialize, Serialize};

use crate::domain::actor::{Actor, Refused};
use crate::domain::audit::Deed;
use crate::domain::document::{Document, DocumentKind};
use crate::domain::order::{LaneRule, Receipt};
use crate::domain::record::Mode;
use crate::domain::site::State;
use crate::domain::time::{ClockTrust, Mono, Now};

/// Rounds in which lanes answer rulings and rulings answer lanes. A lane asks again at most once for a better read or a weight;
/// more than this in one input is a fault of ours, and the rest waits for the next input.
const ROUNDS: usize = 8;
/// What is remembered of passages under way, as many as the account of the passages keeps.
const MAX_ABOUT: usize = inside::MAX_PASSAGES;

/// What the configuration says of the gates.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Logical name of this gateway.
    pub gateway: GatewayId,
    /// The lanes.
    pub lanes: Vec<Arc<LaneSpec>>,
    /// Of the register.
    pub register: register::rules::Rules,
    /// Of who may be inside.
    pub inside: inside::Rules,
    /// Of dangerous goods.
    pub hazmat: Arc<hazmat::rules::Rules>,
    /// Of who is asked, and for how long.
    pub desk: desk::Rules,
}

/// What others of the gateway know, and a decision wants to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    /// State of the site at each lane, and what it orders; absent: normal.
    pub site: BTreeMap<LaneId, (State, LaneRule)>,
    /// Highest level of a gas alarm by zone; absent: none.
    pub gas: BTreeMap<ZoneId, u8>,
    /// City warnings in force.
    pub warnings: BTreeMap<String, u8>,
    /// The store does not take what is written.
    pub store_failed: bool,
    /// Episode of the site's emergency, while there is one.
    pub episode: Option<String>,
}

/// What comes out, in the order in which it is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To be entered into the audit; what became of it comes back by [`Gates::handle_audit`].
    Audit {
        /// The lane that waits for it.
        lane: LaneId,
        /// The entry.
        audit: Audit,
    },
    /// To be done by the hardware.
    Command(LaneCommand),
    /// To be recorded.
    Document(Document),
    /// To be entered into the audit; nobody waits for it.
    Deed(Box<Deed>),
    /// To be stored, and then sent to the other gateways of the park.
    Share(Arc<Event>),
    /// A change of the register that this machine made, to be stored; it holds already.
    Register(Box<Prepared>),
    /// For the alarm machine: something of a lane.
    LaneFact(LaneFact),
    /// For the alarm machine: something of who is inside.
    InsideFact(InsideFact),
    /// For the alarm machine and who counts: a rule about dangerous goods was violated.
    Violation(hazmat::record::Violation),
    /// For the alarm machine: something of the desk.
    DeskFact(DeskFact),
    /// For the alarm machine and the channels to people: something of a muster.
    MusterFact(MusterFact),
    /// To be told to who is asked, by the channels to people.
    Told(Told),
    /// A lane needs a person. The desk has a ticket for it already, unless a person leaves and nobody is asked.
    Call(Call),
    /// What became of an order of the site.
    Receipt {
        /// Key of the order.
        key: String,
        /// What became of it.
        receipt: Receipt,
    },
    /// Ask the platform for the whole list of waybills.
    AskWaybills {
        /// The version that is here.
        have: u64,
    },
    /// A vehicle may come to, or is to go to, this bay: for boards and messages.
    Bay(HazmatOutput),
    /// Something that a person has to look at, and no machine can settle: a permit that could not be counted.
    Unsettled {
        /// The passage.
        passage: PassageId,
        /// Chinese.
        zh: String,
        /// English.
        en: String,
    },
}

/// See the module.
pub struct Gates {
    settings: Arc<Settings>,
    boot: u32,
    policies: Arc<dyn Policies + Send + Sync>,
    lanes: BTreeMap<LaneId, Lane>,
    /// When each lane is due, as it said when it was last touched.
    dues: BTreeMap<LaneId, Option<Mono>>,
    /// What all lanes were told last: whether other gateways are not heard, trust of the clock, which lists are too old.
    told: Option<(bool, ClockTrust, [bool; 3])>,
    register: Register,
    inside: Inside,
    hazmat: Hazmat,
    desk: Desk,
    musters: Musters,
    around: Surroundings,
    about: BTreeMap<PassageId, About>,
    /// What crossed at each lane last.
    last: BTreeMap<LaneId, PassageId>,
    /// What was decided at each lane last.
    decided: BTreeMap<LaneId, Decided>,
    /// Lanes whose queue something beside their own loops counts.
    counted: BTreeSet<LaneId>,
    /// The last of the park's days whose account is closed.
    closed: Option<i64>,
    next_decision: u64,
    revision: u64,
    turn: uses::Turn,
    outputs: VecDeque<Output>,
}

impl Gates {
    /// Starts with nobody inside that is known of; `boot` counts the starts of the gateway and makes ids unique.
    pub fn new(
        settings: Arc<Settings>,
        policies: Arc<dyn Policies + Send + Sync>,
        register: Register,
        boot: u32,
        now: Now,
    ) -> Self {
        let mut gates = Self::empty(settings, policies, register, boot, now);
        let lanes = gates.settings.lanes.iter();
        gates.lanes = lanes.map(|spec| (spec.id.clone(), Lane::new(spec.clone(), boot, now))).collect();
        gates.pump(now);
        gates
    }

    fn empty(
        settings: Arc<Settings>,
        policies: Arc<dyn Policies + Send + Sync>,
        register: Register,
        boot: u32,
        now: Now,
    ) -> Self {
        Self {
            inside: Inside::new(settings.gateway.clone(), boot, settings.inside.clone(), now),
            hazmat: Hazmat::new(settings.hazmat.clone()),
            desk: Desk::new(boot, settings.desk.clone()),
            musters: Musters::new(boot),
            boot,
            policies,
            lanes: BTreeMap::new(),
            dues: BTreeMap::new(),
            told: None,
            register,
            around: Surroundings::default(),
            about: BTreeMap::new(),
            last: BTreeMap::new(),
            decided: BTreeMap::new(),
            counted: BTreeSet::new(),
            closed: None,
            next_decision: 0,
            turn: uses::Turn::default(),
            revision: 0,
            outputs: VecDeque::new(),
            settings,
        }
    }

    /// Takes something that the hardware of a lane said. Of a lane that is not known, nothing follows.
    pub fn handle_event(&mut self, event: &LaneEvent, now: Now) {
        self.handle_events(std::slice::from_ref(event), now);
    }

    /// Takes what the hardware said at once, in order: a look of a module at all its inputs.
    pub fn handle_events(&mut self, events: &[LaneEvent], now: Now) {
        let lanes: BTreeSet<&LaneId> = events.iter().map(|event| &event.lane).collect();
        for lane in lanes {
            if let Some(lane) = self.lane_mut(lane) {
                lane.handle_events(events, now);
            }
        }
        self.pump(now);
    }

    /// Takes what became of an entry of the audit.
    pub fn handle_audit(&mut self, lane: &LaneId, key: &str, receipt: AuditReceipt, now: Now) {
        if let Some(lane) = self.lane_mut(lane) {
            lane.handle_audit(key, receipt, now);
        }
        self.pump(now);
    }

    /// Takes what the hardware made of a command.
    pub fn handle_receipt(&mut self, receipt: &super::hardware::LaneReceipt, now: Now) {
        if let Some(lane) = self.lane_mut(&receipt.lane) {
            lane.handle_receipt(receipt, now);
        }
        self.pump(now);
    }

    /// Takes an order of the site for a lane, under its key.
    pub fn handle_rule(&mut self, lane: &LaneId, key: &str, rule: LaneRule, state: State, drill: bool, now: Now) {
        self.around.site.insert(lane.clone(), (state, rule));
        if let Some(lane) = self.lane_mut(lane) {
            lane.handle_rule(key, rule, drill, now);
        }
        self.pump(now);
    }

    /// Takes the commissioning of a lane, as the site has it now: the same again changes nothing. A lane that is not in service
    /// moves for nothing but the sake of life: a hold by a person ends, and a guard is asked about what
    /// was to be opened for.
    pub fn handle_commissioning(&mut self, lane: &LaneId, service: Service, now: Now) {
        if let Some(lane) = self.lane_mut(lane) {
            lane.handle_service(service, now);
        }
        self.pump(now);
    }

    /// Takes what else others know.
    pub fn handle_surroundings(&mut self, change: impl FnOnce(&mut Surroundings)) {
        change(&mut self.around);
    }

    /// Takes over other policies; what they say holds from the next decision on.
    pub fn handle_policies(&mut self, policies: Arc<dyn Policies + Send + Sync>) {
        self.policies = policies;
    }

    /// Lets people do something with the account of who is inside. A passage in doubt that has crossed uses up its permit and its
    /// waybill as any other.
    ///
    /// # Errors
    /// Words for who asked, when it is refused.
    pub fn handle_inside(&mut self, action: inside::InsideAction, actor: &Actor, now: Now) -> Result<(), Refused> {
        let doubt = match &action {
            inside::InsideAction::Settle { event, crossed, .. } => {
                self.inside.doubt(event).map(|passage| (passage.passage.clone(), *crossed))
            }
            inside::InsideAction::Count { .. }
            | inside::InsideAction::Correct { .. }
            | inside::InsideAction::Void { .. }
            | inside::InsideAction::Review { .. } => None,
        };
        let done = self.inside.act(action, actor, now).map(drop);
        if let (Ok(()), Some((passage, crossed))) = (&done, doubt) {
            self.settled(&passage, crossed, now);
        }
        self.pump(now);
        done
    }

    /// Lets something be done with the dangerous goods, and takes what comes of it.
    pub fn handle_hazmat<T>(&mut self, act: impl FnOnce(&mut Hazmat) -> T, now: Now) -> T {
        let done = act(&mut self.hazmat);
        self.revision += 1;
        self.pump(now);
        done
    }

    /// Notes that another gateway of the park was heard at this time, and that what it had is here.
    pub fn handle_heard(&mut self, peer: GatewayId, now: Now) {
        self.inside.heard(peer, now);
    }

    /// Takes events of the park's other gateways.
    pub fn handle_shared(&mut self, events: impl IntoIterator<Item = Event>, now: Now) {
        self.inside.merge(events, now);
        self.pump(now);
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        self.inside.handle_timeout(now);
        self.hazmat.handle_timeout(now);
        self.close_days(now);
        let (cut, trust) = (self.inside.peers_heard(now.mono) == Some(false), now.trust);
        let stale = self.stale(&now);
        let all = self.told != Some((cut, trust, stale));
        self.told = Some((cut, trust, stale));
        let is_due = |lane: &&LaneId| self.dues.get(*lane).is_none_or(|due| due.is_some_and(|due| due <= now.mono));
        let due: Vec<LaneId> = self.lanes.keys().filter(|lane| all || is_due(lane)).cloned().collect();
        for lane in due {
            if let Some(lane) = self.lane_mut(&lane) {
                if all {
                    lane.handle_trouble(Trouble::Lists, stale.get(limit_of(lane.spec())) == Some(&true), now);
                }
                lane.handle_trouble(Trouble::Peers, cut, now);
            }
        }
        self.desk.handle_timeout(now);
        self.musters.handle_timeout(now);
        self.pump(now);
    }

    /// Returns when [`Gates::handle_timeout`] is due.
    pub fn poll_timeout(&self, now: Now) -> Option<Mono> {
        let due = |(id, lane): (&LaneId, &Lane)| self.dues.get(id).copied().unwrap_or_else(|| lane.poll_timeout());
        let lanes = self.lanes.iter().filter_map(due);
        let others = [self.inside.poll_timeout(now), self.hazmat.poll_timeout(), self.desk.poll_timeout()];
        let own = [self.day_due(now), self.stale_due(&now)];
        let others = others.into_iter().chain(own);
        lanes.chain(others.into_iter().flatten()).chain(self.musters.poll_timeout()).min()
    }

    /// Limits of the age of lists, as [`limit_of`] counts them; `None`: no limit.
    fn limits(&self) -> [Option<u64>; 3] {
        let Stale { hazmat, persons, vehicles } = self.settings.register.stale;
        [hazmat, persons, vehicles].map(|limit| Some(limit.as_secs()).filter(|seconds| *seconds > 0))
    }

    /// How old the older of permits and lists is, seconds; `None` where none was ever filled, or a clock cannot be trusted: that
    /// is another trouble, and a matter of the policies.
    fn age_of_lists(&self, now: &Now) -> Option<u64> {
        [Table::Permits, Table::Lists].into_iter().filter_map(|table| self.register.age_s(table, now)).max()
    }

    /// Whether permits and lists are too old, for each kind of lanes: also where rows of them were lost.
    fn stale(&self, now: &Now) -> [bool; 3] {
        let age = self.age_of_lists(now);
        let damaged = [Table::Permits, Table::Lists].iter().any(|table| self.register.damaged().contains(table));
        self.limits().map(|limit| limit.is_some_and(|limit| damaged || age.is_some_and(|age| age > limit)))
    }

    /// When lists become too old, or at once where a lane does not know yet that they are, or are no longer.
    fn stale_due(&self, now: &Now) -> Option<Mono> {
        if self.told.is_some_and(|(_, _, told)| told != self.stale(now)) {
            return Some(now.mono);
        }
        let age = self.age_of_lists(now)?;
        let left = self.limits().into_iter().flatten().filter_map(|limit| (limit + 1).checked_sub(age));
        left.filter(|left| *left > 0).min().map(|left| now.mono + Duration::from_secs(left))
    }

    /// Returns the next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns the lanes.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.values()
    }

    /// Returns the account of who is inside.
    pub fn inside(&self) -> &Inside {
        &self.inside
    }

    /// Returns the dangerous goods.
    pub fn hazmat(&self) -> &Hazmat {
        &self.hazmat
    }

    /// Returns the desk.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Returns the musters.
    pub fn musters(&self) -> &Musters {
        &self.musters
    }

    /// Returns the register.
    pub fn register(&self) -> &Register {
        &self.register
    }

    /// Takes what comes out of the parts, until nothing more follows.
    fn pump(&mut self, now: Now) {
        for _ in 0..ROUNDS {
            self.drain_desk(now);
            let outputs: Vec<(LaneId, super::lane::Output)> = self.drain_lanes();
            if outputs.is_empty() {
                break;
            }
            for (lane, output) in outputs {
                self.take(lane, output, now);
            }
        }
        self.drain_hazmat(now);
        // Boards that show a bay.
        for (lane, output) in self.drain_lanes() {
            self.take(lane, output, now);
        }
        self.drain_inside(now);
        self.drain_musters();
        for (id, lane) in &self.lanes {
            if !self.dues.contains_key(id) {
                self.dues.insert(id.clone(), lane.poll_timeout());
            }
        }
    }

    /// A lane that something is done with; when it is due is asked of it anew.
    fn lane_mut(&mut self, id: &LaneId) -> Option<&mut Lane> {
        self.dues.remove(id);
        self.lanes.get_mut(id)
    }

    fn drain_lanes(&mut self) -> Vec<(LaneId, super::lane::Output)> {
        let mut outputs = Vec::new();
        for (id, lane) in &mut self.lanes {
            outputs.extend(std::iter::from_fn(|| lane.poll_output()).map(|output| (id.clone(), output)));
        }
        outputs
    }

    fn take(&mut self, lane: LaneId, output: super::lane::Output, now: Now) {
        use super::lane::Output as Of;
        let output = match output {
            Of::Step(step) => {
                self.follow(step, now);
                return self.look_at_queue(&lane, now);
            }
            Of::Decide(ask) => return self.answer(&lane, &ask, now),
            Of::Audit(audit) => Output::Audit { lane, audit },
            Of::Command(command) => Output::Command(command),
            Of::Fact(fact) => Output::LaneFact(fact),
            Of::Call(call) => {
                self.ask_people(&call, now);
                Output::Call(call)
            }
            Of::Receipt { key, receipt } => Output::Receipt { key, receipt },
        };
        self.outputs.push_back(output);
    }

    /// Decides, and tells the lane.
    fn answer(&mut self, lane: &LaneId, ask: &Ask, now: Now) {
        let Some((facts, about)) = self.gather(lane, ask, now) else { return };
        self.next_decision += 1;
        let id = DecisionId::new(format!("{}.{}.d{}", self.settings.gateway, self.boot, self.next_decision));
        let passage = ask.presented.passage.clone();
        let asked = Asked { id, passage: passage.clone(), at: now.wall, register_rev: self.register.rev() };
        let decision = decide(asked, facts, &*self.policies);
        let about = about.decided(&decision);
        self.look_for_bay(&decision, &about, now);
        self.decided.insert(lane.clone(), Decided::of(&decision, &about));
        self.remember(passage, about, now);
        let document = Document::of(DocumentKind::Decision, Mode::Real, now.mono, &decision);
        self.outputs.push_back(Output::Document(document));
        if let Some(lane) = self.lane_mut(lane) {
            lane.handle_ruling(&Ruling::of(ask.ask, &decision), now);
        }
    }

    fn drain_inside(&mut self, now: Now) {
        while let Some(output) = self.inside.poll_output() {
            match output {
                inside::Output::Document(document) => self.outputs.push_back(Output::Document(document)),
                inside::Output::Event(event) => self.share(event, now),
                inside::Output::Fact(fact) => self.outputs.push_back(Output::InsideFact(fact)),
            }
        }
    }

    fn drain_hazmat(&mut self, now: Now) {
        while let Some(output) = self.hazmat.poll_output() {
            self.revision += 1;
            if let HazmatOutput::Violation(violation) = &output {
                self.count_violation(violation, now);
            }
            self.show_call(&output, now);
            self.outputs.push_back(match output {
                HazmatOutput::Document(document) => Output::Document(document),
                HazmatOutput::Violation(violation) => Output::Violation(violation),
                HazmatOutput::AskWhole { have } => Output::AskWaybills { have },
                bay @ (HazmatOutput::Call { .. } | HazmatOutput::Guide { .. } | HazmatOutput::Moved(_)) => {
                    Output::Bay(bay)
                }
            });
        }
    }

    /// Minute of the park's day, where the clock can be trusted.
    fn minute(&self, now: Now) -> Option<u16> {
        let local = now.wall.0.saturating_add(i64::from(self.settings.register.utc_offset_s) * 1000);
        let minute = u16::try_from(local.rem_euclid(86_400_000) / 60_000).ok();
        minute.filter(|_| now.trust != ClockTrust::Unsynced)
    }
}

/// Which limit of the age of lists is a lane's.
fn limit_of(spec: &LaneSpec) -> usize {
    match spec.kind {
        _ if spec.is_hazmat() => 0,
        LaneKind::Person => 1,
        LaneKind::Vehicle => 2,
    }
}
