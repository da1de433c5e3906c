//! How a zone's state changes: proposals, confirmations, rules, the city, drills. Every change goes through
//! [`Site::become_state`], and that holds the table.

use super::action::{Action, CityCommand, CityOrder, Done};
use super::book::Rule;
use super::drill::{Comment, Drill, DrillOrders, DrillOutcome, DrillReport};
use super::record::{Cause, Settlement, SiteFact, SiteFault, SiteRecord, WarningStep};
use super::state::State;
use super::{Proposal, Site, named, one_of};
use crate::domain::actor::{Actor, Refused, Role, Via};
use crate::domain::record::Mode;
use crate::domain::time::Now;

/// Longest reason or comment that is kept, in characters: a paragraph. What is longer is cut.
const MAX_WORDS: usize = 500;

impl Site {
    pub(super) fn act(&mut self, action: Action, actor: &Actor, now: Now) -> Result<Done, Refused> {
        match action {
            Action::Propose { zone, state, reason } => self.propose_by_hand(&zone, state, &reason, actor, now),
            Action::Confirm { proposal } => self.confirm(proposal, actor, now),
            Action::Reject { proposal, reason } => self.reject(proposal, &reason, actor, now),
            Action::End { zone, reason } => self.end(&zone, &reason, actor, now),
            Action::GiveBack { lane } => self.give_back(&lane, actor, now),
            Action::Normal { zone, reason } => self.back_to_normal(&zone, &reason, actor, now),
            Action::ResetFire { input, reason } => self.reset_fire(&input, &reason, actor, now),
            Action::StartDrill { zone, rehearses, barriers, comment } => {
                self.start_drill(&zone, rehearses, barriers, &comment, actor, now)
            }
            Action::Comment { text } => self.comment(&text, actor, now),
            Action::EndDrill { comment } => self.end_drill(&comment, actor, now),
            Action::AcknowledgeWarning { id } => self.acknowledge_warning(&id, actor, now),
            Action::Service(action) => self.service.act(&self.book, action, actor, now),
        }
    }

    /// Declares a state for a zone that has a weaker one, ending any drill; does nothing where it is as strong already.
    pub(super) fn raise(&mut self, zone: usize, to: State, cause: &Cause, actor: &Actor, reason: &str, now: Now) {
        let stronger = to.is_emergency() && to > self.own(zone);
        if stronger && self.own(zone).may_become(to) {
            self.preempt(Some(zone), actor, now);
            self.become_state(zone, to, cause.clone(), actor, reason, now);
        }
    }

    /// The one place where a zone's state changes; returns whether the table allows it.
    pub(super) fn become_state(
        &mut self,
        zone: usize,
        to: State,
        cause: Cause,
        actor: &Actor,
        reason: &str,
        now: Now,
    ) -> bool {
        let from = self.own(zone);
        if !from.may_become(to) {
            return false;
        }
        let demands = self.demands_of(zone);
        let begins = matches!(from, State::Normal | State::Drill) && to.is_emergency();
        let episode = (begins || to == State::Drill).then(|| self.desk.name());
        let Some(now_zone) = self.zones.get_mut(zone) else { return false };
        // What a stronger state did to a lane stays until a person gives the lane back.
        if from.is_emergency() && to < from {
            now_zone.held.extend(demands);
        }
        if let Some(episode) = episode {
            now_zone.episode = episode;
        }
        now_zone.state = to;
        now_zone.since = now.wall;
        now_zone.by.clone_from(&actor.name);
        now_zone.cause = Some(cause.clone());
        (now_zone.told, now_zone.wrong) = (None, None);
        let episode = now_zone.episode.clone();
        let mode =
            if from == State::Drill && to == State::Normal || to == State::Drill { Mode::Drill } else { Mode::Real };
        let record = SiteRecord::State {
            episode,
            zone: self.zone_id(zone),
            from,
            to,
            cause,
            actor: actor.clone(),
            reason: words(reason),
        };
        self.record(mode, &record, now);
        self.withdraw_met(zone, now);
        self.announce(zone, from, now);
        self.announce_uncovered(zone, from, now);
        true
    }

    fn propose_by_hand(
        &mut self,
        zone: &str,
        state: State,
        reason: &str,
        actor: &Actor,
        now: Now,
    ) -> Result<Done, Refused> {
        one_of(actor, &self.book.hands.propose)?;
        let zone = self.known(zone)?;
        if !state.is_emergency() {
            return Err(Refused::new("只能提出封控、就地避险或疏散", "propose lockdown_in, shelter or evacuate"));
        }
        if self.own(zone) == state {
            return Err(Refused::new("此状态已经生效", "the zone is in this state already"));
        }
        if !self.may_reach(zone, state) {
            let from = self.own(zone);
            let zh = format!("“{}”不能直接变为“{}”", from.zh(), state.zh());
            return Err(Refused::new(zh, format!("{} cannot become {}", from.as_str(), state.as_str())));
        }
        let number = self.propose(zone, state, Cause::Person, actor, reason, now);
        let within = self.book.hands.confirm_within.as_secs();
        Ok(Done::new(
            format!("已提出，编号 {number}，请在 {within} 秒内确认"),
            format!("proposed as number {number}: confirm it within {within} s"),
        )
        .with(number))
    }

    /// A drill is no obstacle to the real thing.
    fn may_reach(&self, zone: usize, state: State) -> bool {
        self.own(zone).may_become(state)
    }

    /// Opens a proposal, or finds the one that says the same for the same reason. Each reason has its own: when one is gone, what
    /// another one says still stands.
    pub(super) fn propose(
        &mut self,
        zone: usize,
        state: State,
        cause: Cause,
        actor: &Actor,
        reason: &str,
        now: Now,
    ) -> u64 {
        let lapses = (cause == Cause::Person).then(|| now.mono + self.book.hands.confirm_within);
        // The city gives each of its commands a name of its own, and says the same with all of them.
        let is_same_cause = |of: &Cause| *of == cause || matches!((of, &cause), (Cause::City(_), Cause::City(_)));
        let same = |open: &Proposal| open.zone == zone && open.state == state && is_same_cause(&open.cause);
        if let Some((number, open)) = self.proposals.iter_mut().find(|(_, open)| same(open)) {
            open.lapses = lapses;
            return *number;
        }
        let number = self.desk.number();
        let (at, reason) = (now.wall, words(reason));
        let proposal = Proposal { zone, state, cause, actor: actor.clone(), reason, at, lapses };
        let record = SiteRecord::Proposed {
            proposal: number,
            zone: self.zone_id(zone),
            state,
            cause: proposal.cause.clone(),
            actor: proposal.actor.clone(),
            reason: proposal.reason.clone(),
        };
        self.record(Mode::Real, &record, now);
        self.proposal_fact(number, &proposal, true);
        self.proposals.insert(number, proposal);
        number
    }

    fn proposal_fact(&mut self, number: u64, proposal: &Proposal, active: bool) {
        let zone = self.book.zones.get(proposal.zone);
        let (name, name_en) = zone.map_or(("", ""), |zone| (zone.name.as_str(), zone.name_en.as_str()));
        let fact = SiteFact {
            fault: SiteFault::Proposal,
            subject: number.to_string(),
            zone: self.zone_id(proposal.zone),
            active,
            zh: format!("建议{name}转入“{}”，请确认或拒绝（编号 {number}）", proposal.state.zh()),
            en: format!("{} is proposed for {name_en}: confirm or reject number {number}", proposal.state.as_str()),
        };
        self.fact(fact);
    }

    fn confirm(&mut self, number: u64, actor: &Actor, now: Now) -> Result<Done, Refused> {
        one_of(actor, &self.book.hands.confirm)?;
        let proposal = self.proposals.get(&number).cloned().ok_or_else(no_proposal)?;
        if proposal.lapses.is_some_and(|lapses| lapses <= now.mono) {
            self.lapse(now);
            return Err(no_proposal());
        }
        if self.book.hands.two_persons && proposal.actor.name == actor.name {
            return Err(Refused::new("须由另一人确认", "another person must confirm it"));
        }
        if !self.may_reach(proposal.zone, proposal.state) {
            self.settle(number, Settlement::Withdrawn, &Actor::gateway(), "", now);
            return Err(no_proposal());
        }
        self.settle(number, Settlement::Confirmed, actor, "", now);
        self.preempt(Some(proposal.zone), actor, now);
        let cause = if proposal.cause == Cause::Person { Cause::Hand(number) } else { proposal.cause };
        self.become_state(proposal.zone, proposal.state, cause, actor, &proposal.reason, now);
        let zone = self.zone_id(proposal.zone);
        Ok(Done::new(format!("{zone}：{}", proposal.state.zh()), format!("{zone}: {}", proposal.state.as_str()))
            .with(number))
    }

    fn reject(&mut self, number: u64, reason: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        one_of(actor, &self.book.hands.propose)?;
        named(actor, reason)?;
        if !self.proposals.contains_key(&number) {
            return Err(no_proposal());
        }
        self.settle(number, Settlement::Rejected, actor, reason, now);
        Ok(Done::new("已拒绝", "rejected").with(number))
    }

    pub(super) fn settle(&mut self, number: u64, outcome: Settlement, actor: &Actor, reason: &str, now: Now) {
        let Some(proposal) = self.proposals.remove(&number) else { return };
        let record = SiteRecord::Settled { proposal: number, outcome, actor: actor.clone(), reason: words(reason) };
        self.record(Mode::Real, &record, now);
        self.proposal_fact(number, &proposal, false);
    }

    /// Ends proposals that nobody confirmed in time.
    pub(super) fn lapse(&mut self, now: Now) {
        let over = |proposal: &Proposal| proposal.lapses.is_some_and(|lapses| lapses <= now.mono);
        let numbers: Vec<u64> = self.proposals.iter().filter(|(_, open)| over(open)).map(|(n, _)| *n).collect();
        for number in numbers {
            self.settle(number, Settlement::Lapsed, &Actor::gateway(), "", now);
        }
    }

    /// Withdraws proposals that a zone's state has met.
    fn withdraw_met(&mut self, zone: usize, now: Now) {
        let own = self.own(zone);
        let met = |open: &Proposal| open.zone == zone && (own == open.state || !own.may_become(open.state));
        let numbers: Vec<u64> = self.proposals.iter().filter(|(_, open)| met(open)).map(|(n, _)| *n).collect();
        for number in numbers {
            self.settle(number, Settlement::Withdrawn, &Actor::gateway(), "", now);
        }
    }

    /// Withdraws the gateway's own proposals of a cause that is gone.
    pub(super) fn withdraw_cause(&mut self, cause: &Cause, zone: Option<usize>, now: Now) {
        let gone = |open: &Proposal| open.cause == *cause && zone.is_none_or(|zone| zone == open.zone);
        let numbers: Vec<u64> = self.proposals.iter().filter(|(_, open)| gone(open)).map(|(n, _)| *n).collect();
        for number in numbers {
            self.settle(number, Settlement::Withdrawn, &Actor::gateway(), "", now);
        }
    }

    fn end(&mut self, zone: &str, reason: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        one_of(actor, &self.book.hands.end)?;
        named(actor, reason)?;
        let at = self.known(zone)?;
        if !self.own(at).is_emergency() {
            return Err(Refused::new("此区域没有应急状态", "this zone has no emergency of its own"));
        }
        self.become_state(at, State::Recovery, Cause::Person, actor, reason, now);
        Ok(Done::new(
            format!("{zone}：恢复中，请逐一交还通道"),
            format!("{zone}: recovery; give its lanes back one by one"),
        ))
    }

    fn give_back(&mut self, lane: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        one_of(actor, &self.book.hands.end)?;
        named(actor, "-")?;
        let at = self.book.lane(lane).ok_or_else(|| Refused::new("没有此车道", "there is no such lane"))?;
        let held = self.zones.iter().any(|zone| zone.held.contains_key(&at));
        if !held {
            return Err(Refused::new("此车道无需交还", "this lane has nothing to give back"));
        }
        for zone in &mut self.zones {
            zone.held.remove(&at);
        }
        self.record(Mode::Real, &SiteRecord::GaveBack { lane: lane.into(), actor: actor.clone() }, now);
        Ok(Done::new(format!("{lane} 已交还"), format!("{lane} is given back")))
    }

    fn back_to_normal(&mut self, zone: &str, reason: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        one_of(actor, &self.book.hands.end)?;
        named(actor, reason)?;
        let at = self.known(zone)?;
        if self.own(at) != State::Recovery {
            return Err(Refused::new("此区域不在恢复中", "this zone is not in recovery"));
        }
        let held: Vec<&str> = self
            .zones
            .get(at)
            .into_iter()
            .flat_map(|zone| zone.held.keys())
            .filter_map(|lane| self.book.lanes.get(*lane))
            .map(|lane| lane.id.as_str())
            .collect();
        if !held.is_empty() {
            let held = held.join(", ");
            return Err(Refused::new(format!("尚有通道未交还：{held}"), format!("lanes are not given back: {held}")));
        }
        if let Some(input) = self.book.fire.iter().zip(&self.fire).find(|(input, now)| input.zone == at && now.latched)
        {
            let id = &input.0.id;
            let zh = format!("消防联动 {id} 尚未复位");
            return Err(Refused::new(zh, format!("the fire input {id} is not reset")));
        }
        self.become_state(at, State::Normal, Cause::Person, actor, reason, now);
        Ok(Done::new(format!("{zone}：正常"), format!("{zone}: normal")))
    }

    /// How many detectors of a zone stand at the rule's level.
    pub(super) fn at_level(&self, rule: &Rule, zone: usize) -> usize {
        let counts = |at: usize| if rule.zone.is_some() { self.book.within(at, zone) } else { at == zone };
        self.gas.values().filter(|(at, level)| counts(*at) && *level >= rule.level).count()
    }

    /// Proposes or declares what the rules over detectors say, and withdraws what they no longer say.
    pub(super) fn apply_rules(&mut self, now: Now) {
        let book = self.book.clone();
        for rule in &book.rules {
            let zones = rule.zone.map_or(0..book.zones.len(), |zone| zone..zone + 1);
            for zone in zones {
                let at_level = self.at_level(rule, zone);
                let cause = Cause::Rule(rule.id.clone());
                let said = (rule.id.clone(), self.zone_id(zone));
                if at_level < rule.detectors {
                    self.answered.remove(&said);
                    self.withdraw_cause(&cause, Some(zone), now);
                    continue;
                }
                let before = self.answered.insert(said, at_level).unwrap_or_default();
                if at_level <= before || self.own(zone) >= rule.state {
                    continue;
                }
                self.revision += 1;
                if rule.acts {
                    self.raise(zone, rule.state, &cause, &Actor::gateway(), "", now);
                } else {
                    self.propose(zone, rule.state, cause, &Actor::gateway(), "", now);
                }
            }
        }
    }

    pub(super) fn city(&mut self, command: CityCommand, now: Now) -> Result<Done, Refused> {
        if !self.book.city.issuers.contains(&command.issuer) {
            return Err(Refused::new("本站点未启用此签发者", "this issuer is not enabled here"));
        }
        let actor =
            Actor { name: command.issuer.clone(), via: Via::Platform, roles: std::collections::BTreeSet::new() };
        match command.what {
            CityOrder::State { zone, state, reason } => {
                let at = self.known(&zone)?;
                if !state.is_emergency() || !self.book.city.states.contains(&state) {
                    return Err(Refused::new("本站点未启用此状态", "this state is not enabled here"));
                }
                if self.own(at) >= state {
                    return Ok(Done::new("已处于同等或更强状态", "the zone is in this or a stronger state already"));
                }
                let cause = Cause::City(command.id);
                if self.book.city.acts {
                    self.raise(at, state, &cause, &actor, &reason, now);
                    return Ok(Done::new(format!("{zone}：{}", state.zh()), format!("{zone}: {}", state.as_str())));
                }
                let number = self.propose(at, state, cause, &actor, &reason, now);
                Ok(Done::new("已提出，等待现场确认", "proposed; a person at the site confirms").with(number))
            }
            CityOrder::Warn(warning) => {
                for (warning, step) in self.warnings.receive(warning, now) {
                    self.note_warning(warning, step, &actor, now);
                }
                Ok(Done::new("已收到", "received"))
            }
            CityOrder::Withdraw { id } => {
                let gone = self.warnings.withdraw(&id).ok_or_else(no_warning)?;
                self.note_warning(gone, WarningStep::Withdrawn, &actor, now);
                Ok(Done::new("已撤销", "withdrawn"))
            }
        }
    }

    fn acknowledge_warning(&mut self, id: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        one_of(actor, &[Role::Operator, Role::Supervisor].into())?;
        let standing = self.warnings.acknowledge(id, &actor.name).ok_or_else(no_warning)?;
        let warning = standing.warning.clone();
        self.note_warning(warning, WarningStep::Acknowledged, actor, now);
        Ok(Done::new("已确认", "acknowledged"))
    }

    fn start_drill(
        &mut self,
        zone: &str,
        rehearses: State,
        barriers: bool,
        comment: &str,
        actor: &Actor,
        now: Now,
    ) -> Result<Done, Refused> {
        one_of(actor, &self.book.hands.drill)?;
        named(actor, "-")?;
        let at = self.known(zone)?;
        if !rehearses.is_emergency() {
            return Err(Refused::new("只能演练封控、就地避险或疏散", "rehearse lockdown_in, shelter or evacuate"));
        }
        let quiet = self.zones.iter().all(|zone| zone.state == State::Normal);
        if !quiet || self.fire.iter().any(|fire| fire.latched) {
            return Err(Refused::new(
                "有区域未处于正常状态或消防联动未复位，不能开始演练",
                "not while a zone is not normal or a fire input is not reset",
            ));
        }
        self.drill = Some(Drill {
            episode: String::new(),
            zone: at,
            rehearses,
            barriers,
            begun_by: actor.name.clone(),
            started: now.mono,
            started_at: now.wall,
            first_order_at: None,
            orders: DrillOrders::default(),
            comments: Vec::new(),
            ends: now.mono + self.book.longest_drill,
            figures: None,
        });
        self.become_state(at, State::Drill, Cause::Person, actor, comment, now);
        let episode = self.zones.get(at).map(|zone| zone.episode.clone()).unwrap_or_default();
        if let Some(drill) = &mut self.drill {
            drill.episode.clone_from(&episode);
            drill.comment(now.wall, &actor.name, &words(comment));
        }
        let zone = zone.to_owned();
        let (actor, comment) = (actor.clone(), words(comment));
        self.record(Mode::Drill, &SiteRecord::DrillStarted { episode, zone, rehearses, barriers, actor, comment }, now);
        Ok(Done::new("演练开始", "the drill has begun"))
    }

    fn comment(&mut self, text: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        one_of(actor, &[Role::Guard, Role::Operator, Role::Supervisor].into())?;
        if text.trim().is_empty() {
            return Err(Refused::new("请写内容", "say something"));
        }
        let drill = self.drill.as_mut().ok_or_else(no_drill)?;
        if !drill.comment(now.wall, &actor.name, &words(text)) {
            return Err(Refused::new("记录已满", "there is no room for more comments"));
        }
        let episode = drill.episode.clone();
        let comment = Comment { at: now.wall, by: actor.name.clone(), text: words(text) };
        self.record(Mode::Drill, &SiteRecord::DrillComment { episode, comment }, now);
        Ok(Done::new("已记入演练报告", "noted for the drill's report"))
    }

    fn end_drill(&mut self, comment: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        one_of(actor, &self.book.hands.drill)?;
        named(actor, "-")?;
        let drill = self.drill.as_mut().ok_or_else(no_drill)?;
        drill.comment(now.wall, &actor.name, &words(comment));
        self.close_drill(DrillOutcome::Completed, Cause::Person, actor, now);
        Ok(Done::new("演练结束", "the drill is over"))
    }

    /// Ends a drill because something is real. Where that concerns the drill's own zone, its state follows by itself.
    pub(super) fn preempt(&mut self, real: Option<usize>, actor: &Actor, now: Now) {
        let Some(drill) = &self.drill else { return };
        self.preempts = true;
        if real == Some(drill.zone) {
            self.report_drill(DrillOutcome::Preempted, actor, now);
        } else {
            self.close_drill(DrillOutcome::Preempted, Cause::Preempted, actor, now);
        }
    }

    /// Ends a drill and returns its zone to normal.
    pub(super) fn close_drill(&mut self, outcome: DrillOutcome, cause: Cause, actor: &Actor, now: Now) {
        if let Some(zone) = self.report_drill(outcome, actor, now) {
            self.become_state(zone, State::Normal, cause, actor, "", now);
        }
    }

    fn report_drill(&mut self, outcome: DrillOutcome, actor: &Actor, now: Now) -> Option<usize> {
        // What is still open is counted as it stands.
        self.tell(now);
        let drill = self.drill.take()?;
        let report = DrillReport {
            episode: drill.episode,
            zone: self.zone_id(drill.zone),
            rehearsed: drill.rehearses,
            barriers: drill.barriers,
            outcome,
            begun_by: drill.begun_by,
            ended_by: actor.name.clone(),
            started_at: drill.started_at,
            first_order_at: drill.first_order_at,
            ended_at: now.wall,
            duration_s: now.mono.since(drill.started).as_secs(),
            orders: drill.orders,
            comments: drill.comments,
            first_out_at: drill.figures.and_then(|figures| figures.first_out_at),
            last_out_at: drill.figures.and_then(|figures| figures.last_out_at),
            missing: drill.figures.map(|figures| figures.missing),
        };
        self.record(Mode::Drill, &SiteRecord::DrillReport(report), now);
        Some(drill.zone)
    }

    fn known(&self, zone: &str) -> Result<usize, Refused> {
        self.book.zone(zone).ok_or_else(|| Refused::new("没有此区域", "there is no such zone"))
    }
}

fn no_proposal() -> Refused {
    Refused::new("没有此提议，或已过时限", "there is no such proposal, or its time is over")
}

fn no_warning() -> Refused {
    Refused::new("没有此预警", "there is no such warning")
}

fn no_drill() -> Refused {
    Refused::new("没有正在进行的演练", "there is no drill")
}

/// Cuts a reason to what is kept.
fn words(text: &str) -> String {
    text.trim().chars().take(MAX_WORDS).collect()
}
