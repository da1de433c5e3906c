//! Where the gates need people: tickets of the desk, what persons do at a lane, and musters.
//!
//! ```text
//!  lane ─Call─▶ ticket ─▶ told to guard, enterprise, duty room ─answer─▶ what a hand does at the lane (Open, Refuse)
//!                 ▲                                                         │
//!                 └─────── the lane could not: asked anew ◀─────────────────┘
//! ```
//!
//! A hand at the lane answers the ticket of what stands there; an answer to a ticket is a hand at the lane. Either is on
//! record before anything moves, and moves only what it was about.

use super::follow::About;
use super::{Gates, Output};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::gate::desk::{self, Answer, Ask, TicketKind};
use crate::domain::gate::hardware::News;
use crate::domain::gate::inside::{self, Subject};
use crate::domain::gate::lane::{Call, CallWhy, Hand, Lane};
use crate::domain::gate::muster::{self, MusterAction, Tracked};
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::domain::gate::word::{CompanyId, LaneId, PassageId, PersonRef, ZoneId};
use crate::domain::time::Now;

impl Gates {
    /// Takes what a person does at a lane. What opens or refuses answers the ticket of what stands there.
    ///
    /// # Errors
    /// Words for who asked, when it is refused.
    pub fn handle_hand(
        &mut self,
        lane: &LaneId,
        hand: &Hand,
        actor: &Actor,
        why: &str,
        now: Now,
    ) -> Result<(), Refused> {
        let Some(at) = self.lane_mut(lane) else {
            return Err(Refused::new(format!("没有车道 {lane}"), format!("there is no lane {lane}")));
        };
        let done = at.handle_hand(hand, actor, why, now);
        let answer = match hand {
            Hand::Open { .. } => Some(Answer::Pass),
            Hand::Refuse => Some(Answer::TurnBack),
            Hand::Refer
            | Hand::Close
            | Hand::HoldOpen { .. }
            | Hand::EndHold
            | Hand::Turn(_)
            | Hand::Test { .. }
            | Hand::Arm { .. }
            | Hand::ResetFire
            | Hand::TrustInput(_) => None,
        };
        if let (Ok(()), Some(answer)) = (&done, answer) {
            self.answered_by_hand(lane, answer, actor, why, now);
        }
        self.pump(now);
        done
    }

    fn answered_by_hand(&mut self, lane: &LaneId, answer: Answer, actor: &Actor, why: &str, now: Now) {
        let of = |ticket: &&desk::Ticket| ticket.ask.lane == *lane && ticket.ask.kind != TicketKind::Call;
        let Some(ticket) = self.desk.open().find(of).map(|ticket| ticket.ticket.clone()) else { return };
        // The lane has taken it; the desk asks for no more than the lane did.
        self.desk.answer(&ticket, answer, &guard(actor), why, now).ok();
        self.drain_desk(now);
    }

    /// Takes an answer to a ticket, and does at the lane what it says.
    ///
    /// # Errors
    /// Words for who answered, when the answer is not taken, or the lane cannot do it; then it is asked anew.
    pub fn handle_answer(
        &mut self,
        ticket: &str,
        answer: Answer,
        actor: &Actor,
        why: &str,
        now: Now,
    ) -> Result<(), Refused> {
        let ask = self.desk.open().find(|open| open.ticket == ticket).map(|open| open.ask.clone());
        let taken = self.desk.answer(ticket, answer, actor, why, now);
        self.drain_desk(now);
        let done = match (taken, ask) {
            (Ok(()), Some(ask)) => self.carry_out(ask, answer, actor, why, now),
            (taken, _) => taken,
        };
        self.pump(now);
        done
    }

    fn carry_out(&mut self, ask: Ask, answer: Answer, actor: &Actor, why: &str, now: Now) -> Result<(), Refused> {
        let hand = match answer {
            Answer::Pass => Hand::Open { emergency: false },
            Answer::TurnBack => Hand::Refuse,
            Answer::Spoken => return Ok(()),
        };
        let Some(lane) = self.lane_mut(&ask.lane) else { return Ok(()) };
        if lane.passage().map(|(passage, _)| passage) != ask.passage.as_ref() {
            return Err(Refused::new("所答通行已不在车道", "what was asked about stands there no more"));
        }
        let done = lane.handle_hand(&hand, &guard(actor), why, now);
        if done.is_err() {
            self.desk.ask(ask, now);
            self.drain_desk(now);
        }
        done
    }

    /// Takes a look at the queue before a lane, where something beside its own loops counts it; `None`: it cannot say.
    pub fn handle_queue(&mut self, lane: &LaneId, vehicles: Option<u16>, now: Now) {
        self.counted.insert(lane.clone());
        self.desk.queue(lane, vehicles);
        self.drain_desk(now);
    }

    /// Looks at the queue before a lane by its own loops.
    pub(super) fn look_at_queue(&mut self, lane: &LaneId, now: Now) {
        if self.counted.contains(lane) {
            return;
        }
        let standing = self.lanes.get(lane).and_then(|lane| lane.standing(now));
        if self.desk.queue_of(lane).and_then(|queue| queue.vehicles) != standing {
            self.desk.queue(lane, standing);
        }
    }

    /// Opens a ticket for a call of a lane.
    pub(super) fn ask_people(&mut self, call: &Call, now: Now) {
        let Some(lane) = self.lanes.get(&call.lane) else { return };
        let ask = self.ask_of(lane, call);
        self.desk.ask(ask, now);
    }

    /// Something that a person is asked about was decided anew: he hears the reasons of now, or is asked no more.
    pub(super) fn ask_anew(&mut self, lane: &LaneId, passage: &PassageId, verdict: Verdict, now: Now) {
        let about_it = |ticket: &desk::Ticket| ticket.ask.passage.as_ref() == Some(passage);
        let Some(lane) = self.lanes.get(lane).filter(|_| self.desk.open().any(about_it)) else { return };
        let against = |about: &About| about.reasons.iter().any(|reason| reason.verdict != Verdict::Allow);
        match verdict {
            Verdict::Refer | Verdict::Hold if self.about.get(passage).is_some_and(against) => {
                let (passage, why) = (Some(passage.clone()), CallWhy::Referred);
                let ask = self.ask_of(lane, &Call { lane: lane.spec().id.clone(), passage, why, at: now.mono });
                self.desk.ask(ask, now);
            }
            // What the lane lacks was asked about, and still is.
            Verdict::Refer | Verdict::Hold => {}
            Verdict::Allow | Verdict::Deny => self.over_at_desk(passage, now),
        }
    }

    fn ask_of(&self, lane: &Lane, call: &Call) -> Ask {
        let spec = lane.spec();
        let passage = call.passage.as_ref();
        let about = passage.and_then(|passage| self.about.get(passage));
        let step = passage.and_then(|passage| self.inside.passage(passage));
        let reasons = reasons(call.why, about);
        let kind = match call.why {
            CallWhy::Button => TicketKind::Call,
            CallWhy::NotMoved | CallWhy::StillThere => TicketKind::Hold,
            CallWhy::NotIdentified
            | CallWhy::NoDecision
            | CallWhy::DecisionLate
            | CallWhy::AuditFailed
            | CallWhy::Referred
            | CallWhy::Trouble(_) => {
                let verdict = step.and_then(|step| step.verdict).unwrap_or(Verdict::Refer);
                Ask::kind_of(verdict, &reasons).unwrap_or(TicketKind::Refer)
            }
        };
        Ask {
            lane: spec.id.clone(),
            lane_kind: spec.kind,
            direction: step.map_or(spec.flow.usual(), |step| step.direction),
            kind,
            passage: if kind == TicketKind::Call { None } else { call.passage.clone() },
            decision: about.and_then(|about| about.decision.clone()),
            reasons,
            subject: about.and_then(subject),
            company: about.and_then(|about| self.receives(about)),
        }
    }

    /// Who receives what comes: whom the goods are for, else whom the permit is for.
    fn receives(&self, about: &About) -> Option<CompanyId> {
        let waybill = about.waybill.as_ref().and_then(|number| self.hazmat.waybills().get(number));
        waybill.map(|entry| entry.waybill.host().clone()).or_else(|| about.company.clone())
    }

    /// A passage waits for nobody any more.
    pub(super) fn over_at_desk(&mut self, passage: &PassageId, now: Now) {
        self.desk.passage_over(passage, now);
    }

    /// Begins a muster of a zone that is evacuated: everybody who is inside it now is on the list. A zone that is not known
    /// is the whole park. Returns the musters' ids; that of one that runs already for a zone that is mustered already.
    ///
    /// # Errors
    /// Words for who asked: a drill while a real one runs, or too many at once.
    pub fn handle_evacuation(
        &mut self,
        zone: &ZoneId,
        episode: &str,
        drill: bool,
        actor: &Actor,
        now: Now,
    ) -> Result<Vec<String>, Refused> {
        let rules = &self.inside.rules().zones;
        let zones: Vec<ZoneId> = if rules.contains_key(zone) {
            vec![zone.clone()]
        } else {
            rules.iter().filter(|(_, rule)| rule.parent.is_none()).map(|(zone, _)| zone.clone()).collect()
        };
        let begin = |zone| muster::Begin { zone, episode: episode.to_owned(), drill };
        let began = zones.into_iter().map(|zone| self.musters.begin(begin(zone), actor, &self.inside, now)).collect();
        self.drain_musters();
        began
    }

    /// Takes what a person does in a muster.
    ///
    /// # Errors
    /// Words for who asked, when it is refused.
    pub fn handle_muster(
        &mut self,
        muster: &str,
        action: MusterAction,
        actor: &Actor,
        now: Now,
    ) -> Result<(), Refused> {
        let done = self.musters.act(muster, action, actor, now);
        self.drain_musters();
        done
    }

    /// Takes what another system of the park says.
    pub fn handle_news(&mut self, news: News, now: Now) {
        match news {
            News::Queue { lane, vehicles } if self.lanes.contains_key(&lane) => self.handle_queue(&lane, vehicles, now),
            News::Queue { .. } => {}
            News::Person { credential, place, at } => {
                if let Some(person) = self.register.holder_of(&credential).cloned() {
                    let position = muster::Position { place, at };
                    self.handle_tracked(&Tracked::Position { person, position }, now);
                }
            }
            News::Sos { credential, on, at } => {
                let person = self.register.holder_of(&credential).cloned();
                if let Some(person) = person.clone() {
                    self.handle_tracked(&Tracked::Sos { person, on, at }, now);
                }
                self.tell_sos(person, on);
            }
        }
    }

    /// Who calls for help is heard with or without a muster, also when nobody knows whose tag it is.
    fn tell_sos(&mut self, person: Option<PersonRef>, active: bool) {
        let of = person.map_or_else(|| "unknown".to_owned(), |person| person.to_string());
        let (zh, en) = match of.as_str() {
            "unknown" => {
                ("未登记的定位卡求救".to_owned(), "a tag that nobody is registered with calls for help".to_owned())
            }
            _ => (format!("{of} 求救"), format!("{of} calls for help")),
        };
        let what = muster::MusterFault::Sos(0);
        let fact = muster::MusterFact { muster: of, what, active, drill: false, zh, en };
        self.outputs.push_back(Output::MusterFact(fact));
    }

    /// Takes what a personnel-positioning system says.
    pub fn handle_tracked(&mut self, tracked: &Tracked, now: Now) {
        self.musters.handle_tracked(tracked, now);
        self.drain_musters();
    }

    /// Passes on what the account wrote: musters follow it.
    pub(super) fn share(&mut self, event: std::sync::Arc<inside::Event>, now: Now) {
        self.musters.handle_event(&event, &self.inside, now);
        self.outputs.push_back(Output::Share(event));
    }

    pub(super) fn drain_desk(&mut self, now: Now) {
        while let Some(output) = self.desk.poll_output() {
            match output {
                desk::Output::Document(document) => self.outputs.push_back(Output::Document(document)),
                desk::Output::Told(told) => self.outputs.push_back(Output::Told(told)),
                desk::Output::Fact(fact) => self.outputs.push_back(Output::DeskFact(fact)),
                desk::Output::Say(say) => self.say(say, now),
                // Whoever handed it in carries it out.
                desk::Output::Answered(_) => {}
            }
        }
    }

    /// Shows at the lane whom who stands there waits for and which way leads back, under the first reason.
    fn say(&mut self, say: desk::Say, now: Now) {
        let ticket = self.desk.open().find(|ticket| ticket.ask.lane == say.lane);
        let reason = ticket.and_then(|ticket| ticket.ask.reasons.first()).map(|reason| reason.zh.clone());
        let lines = reason.into_iter().chain(say.zh.split('；').map(str::to_owned)).collect();
        if let Some(lane) = self.lane_mut(&say.lane) {
            lane.say(lines, say.zh, now);
        }
    }

    pub(super) fn drain_musters(&mut self) {
        while let Some(output) = self.musters.poll_output() {
            self.outputs.push_back(match output {
                muster::Output::Document(document) => Output::Document(document),
                muster::Output::Fact(fact) => Output::MusterFact(fact),
            });
        }
    }
}

/// What a ticket says of why it is asked: the decision's reasons, with what the lane says beside them where that is more.
fn reasons(why: CallWhy, about: Option<&About>) -> Vec<Reason> {
    let decided = about.map(|about| about.reasons.clone()).unwrap_or_default();
    if matches!(why, CallWhy::Referred | CallWhy::StillThere) && !decided.is_empty() {
        return decided;
    }
    let (zh, en, policy) = (why.zh().to_owned(), why.en().to_owned(), None);
    let lane = Reason { code: code(why), verdict: Verdict::Refer, zh, en, policy };
    std::iter::once(lane).chain(decided.into_iter().filter(|reason| reason.verdict != Verdict::Allow)).collect()
}

/// The code of what a lane calls for; `LANE_` and what it lacks where it is a trouble.
fn code(why: CallWhy) -> String {
    match why {
        CallWhy::Button => "CALL_BUTTON".to_owned(),
        CallWhy::NotIdentified => "NOT_IDENTIFIED".to_owned(),
        CallWhy::NoDecision => "NO_DECISION".to_owned(),
        CallWhy::DecisionLate => "DECISION_LATE".to_owned(),
        CallWhy::AuditFailed => "AUDIT_FAILED".to_owned(),
        CallWhy::NotMoved => "BARRIER_NOT_MOVED".to_owned(),
        CallWhy::Referred => "REFERRED".to_owned(),
        CallWhy::StillThere => "STILL_THERE".to_owned(),
        CallWhy::Trouble(trouble) => format!("LANE_{}", trouble.as_str().to_uppercase()),
    }
}

fn subject(about: &About) -> Option<Subject> {
    match &about.vehicle {
        Some(vehicle) => vehicle.plate.clone().map(Subject::Vehicle),
        None => about.persons.first().cloned().map(Subject::Person),
    }
}

/// Who may answer at the desk acts at the lane with the guard's right: the desk has looked at his own.
fn guard(actor: &Actor) -> Actor {
    let mut actor = actor.clone();
    actor.roles.insert(Role::Guard);
    actor
}
