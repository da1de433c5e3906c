//! The desk: nobody waits for nobody. Every REFER and HOLD, every call, every rescue vehicle is a ticket with somebody who is
//! asked, until when, and who is asked next; at lanes where nobody is, too.
//!
//! ```text
//!        ask                 deadline             deadline                  deadline: said again, and alarms
//!  lane ────▶ guard / enterprise ────▶ … ────▶ duty room (always the last) ─────┐
//!                     │                              │  ▲──────────────────────┘
//!                     └── answer (who, why), gone, superseded ──▶ ended: a late answer moves nothing
//! ```
//!
//! - An answer is a named person's, with words; one for each ticket. *Pass* is worth [`PASS_LIFE`]: then the lane has forgotten
//!   it, as it forgets every decision.
//! - A rescue vehicle that nobody answers for within 15 s is the duty room's.
//! - The driver is told whom he waits for, and each time the way back: every lane has one that is named.
//! - A person who leaves is never a ticket ([`Asked::PassFreely`]): nobody can be asked whether he may.
//! - A queue that grows towards the public road alarms ([`queue`]).
//! - Bounded: one ticket and one call for each lane, [`MAX_OPEN`] in all. What makes room is on record, and alarms.
//! - A restart keeps tickets, with the time that they had left, and says them again.
//!
//! A value without clock, task or I/O: hand in one input, then drain [`Desk::poll_output`]; call [`Desk::handle_timeout`] when
//! [`Desk::poll_timeout`] has come.

pub mod queue;
#[cfg(test)]
mod tests;
pub mod ticket;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use queue::Queue;
pub use ticket::{Addressee, Answer, Ask, End, Patience, Ticket, TicketKind, Turn};

use super::word::{Direction, GateId, LaneId, LaneKind, PassageId};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::document::{Document, DocumentKind};
use crate::domain::record::Mode;
use crate::domain::time::{Mono, Now, Timestamp};

/// How long an answer that lets something pass is worth anything at the lane.
pub const PASS_LIFE: Duration = Duration::from_secs(3);
/// Open tickets: two for each of more lanes than a park has.
pub const MAX_OPEN: usize = 256;
/// Ended tickets that are kept, so that a late answer is told what became of its question.
pub const MAX_ENDED: usize = 500;

/// What the configuration says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Lanes; one that is not named is treated as one where nobody is.
    pub lanes: BTreeMap<LaneId, LaneRule>,
    /// How long each addressee has.
    pub patience: Patience,
}

/// A lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRule {
    /// Its gate.
    pub gate: GateId,
    /// Whether a guard is there.
    pub manned: bool,
    /// The way back, Chinese and English: `在岗亭前掉头，由右侧便道驶离`.
    pub turn_back: (String, String),
    /// Vehicles that can stand before it without reaching the public road; `None`: it is not watched.
    pub room: Option<u16>,
}

impl LaneRule {
    /// Returns the way back of a lane that names none, Chinese and English.
    pub fn default_turn_back() -> (String, String) {
        (TURN_BACK.0.to_owned(), TURN_BACK.1.to_owned())
    }
}

/// The way back of a lane that names none.
const TURN_BACK: (&str, &str) =
    ("请勿下车，等待值班室指引倒车驶离", "stay in the vehicle; the duty room will guide you back");

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To be recorded.
    Document(Document),
    /// To be told to who is asked.
    Told(Told),
    /// To be shown at the lane.
    Say(Say),
    /// For the lane: what was answered.
    Answered(Answered),
    /// For the alarm machine.
    Fact(DeskFact),
}

/// What is told to who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The ticket.
    pub ticket: String,
    /// Who is asked.
    pub to: Addressee,
    /// Whether it was said to him before.
    pub again: bool,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// What is shown at the lane to who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Say {
    /// The lane.
    pub lane: LaneId,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// An answer, for the lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The ticket.
    pub ticket: String,
    /// The lane.
    pub lane: LaneId,
    /// The passage; `None` with a call.
    pub passage: Option<PassageId>,
    /// What.
    pub answer: Answer,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Until when it is worth anything.
    pub expires: Mono,
}

/// Something that deserves an alarm, or no longer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskFact {
    /// What is wrong.
    pub fault: DeskFault,
    /// Id of the ticket, or of the lane.
    pub subject: String,
    /// Whether it is so now.
    pub active: bool,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeskFault {
    /// The last one who can be asked has not answered.
    Unanswered,
    /// A queue grows towards the public road.
    Queue,
    /// Nobody sees how long a queue is.
    QueueBlind,
    /// So many tickets that one had to make room.
    Full,
}

impl DeskFault {
    /// Returns the word used in the names of alarms.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Queue => "queue",
            Self::QueueBlind => "queue_blind",
            Self::Full => "desk_full",
        }
    }
}

/// What is recorded as document `ticket`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum TicketRecord<'a> {
    /// It was opened.
    Opened(&'a Ticket),
    /// The next one is asked.
    PassedOn(&'a Ticket),
    /// It ended.
    Ended(&'a Ticket),
    /// An answer came when it was over, and moved nothing.
    LateAnswer {
        /// Which.
        ticket: &'a str,
        /// What.
        answer: Answer,
        /// Who.
        actor: &'a Actor,
        /// Why.
        reason: &'a str,
    },
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is this ticket.
    Ticket(String),
    /// Nobody is asked: a person leaves.
    PassFreely,
}

/// What must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Tickets, each with the milliseconds that were left.
    tickets: Vec<(Ticket, u64)>,
    ended: Vec<Ticket>,
    queues: Vec<(LaneId, Queue)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Desk {
    boot: u32,
    next: u64,
    rules: Rules,
    open: BTreeMap<String, Ticket>,
    ended: VecDeque<Ticket>,
    queues: BTreeMap<LaneId, Queue>,
    revision: u64,
    outputs: VecDeque<Output>,
}

impl Desk {
    /// Starts with no ticket. `boot` counts the starts of this gateway.
    pub fn new(boot: u32, rules: Rules) -> Self {
        Self {
            boot,
            next: 1,
            rules,
            open: BTreeMap::new(),
            ended: VecDeque::new(),
            queues: BTreeMap::new(),
            revision: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Goes on after a restart: every open ticket is said again to who has it, with the time that he had left.
    pub fn restore(boot: u32, rules: Rules, saved: Saved, now: Now) -> Self {
        let mut desk = Self::new(boot, rules);
        desk.ended = saved.ended.into();
        desk.queues = saved.queues.into_iter().collect();
        for (mut ticket, left_ms) in saved.tickets {
            ticket.deadline = now.mono + Duration::from_millis(left_ms).min(ticket.within());
            desk.tell(&ticket, true);
            desk.say_waiting(&ticket);
            if ticket.again > 0 {
                desk.fact_unanswered(&ticket, true);
            }
            desk.open.insert(ticket.ticket.clone(), ticket);
        }
        for (lane, queue) in desk.queues.clone() {
            desk.tell_queue(&lane, &queue, queue.alarm.then_some(true), queue.blind.then_some(true));
        }
        desk
    }

    /// Returns what must survive a restart.
    pub fn saved(&self, now: Now) -> Saved {
        let left = |ticket: &Ticket| u64::try_from(ticket.deadline.since(now.mono).as_millis()).unwrap_or(u64::MAX);
        Saved {
            tickets: self.open.values().map(|ticket| (ticket.clone(), left(ticket))).collect(),
            ended: self.ended.iter().cloned().collect(),
            queues: self.queues.iter().map(|(lane, queue)| (lane.clone(), *queue)).collect(),
        }
    }

    /// Returns a number that changes with [`Desk::saved`].
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Goes on under other rules; open tickets keep their addressees.
    pub fn reconfigure(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Returns the next thing that comes out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns the open tickets.
    pub fn open(&self) -> impl Iterator<Item = &Ticket> {
        self.open.values()
    }

    /// Returns the queue before a lane, where it is watched.
    pub fn queue_of(&self, lane: &LaneId) -> Option<&Queue> {
        self.queues.get(lane)
    }

    /// Returns the way back from a lane, Chinese and English: there always is one.
    pub fn turn_back(&self, lane: &LaneId) -> (&str, &str) {
        let own = self.rules.lanes.get(lane).map(|rule| &rule.turn_back);
        let own = own.filter(|(zh, en)| !zh.trim().is_empty() && !en.trim().is_empty());
        own.map_or(TURN_BACK, |(zh, en)| (zh.as_str(), en.as_str()))
    }

    /// Asks. One question at a time for a lane: the new one takes the place of the old one; a call that is open is pressed
    /// again.
    pub fn ask(&mut self, ask: Ask, now: Now) -> Asked {
        let call = ask.kind == TicketKind::Call;
        if !call && ask.lane_kind == LaneKind::Person && ask.direction == Direction::Out {
            return Asked::PassFreely;
        }
        let same = |ticket: &&Ticket| ticket.ask.lane == ask.lane && (ticket.ask.kind == TicketKind::Call) == call;
        let before =
            self.open.values().find(same).map(|ticket| (ticket.ticket.clone(), ticket.ask.passage == ask.passage));
        match before {
            Some((id, _)) if call => {
                if let Some(ticket) = self.open.get_mut(&id) {
                    ticket.presses = ticket.presses.saturating_add(1);
                    let ticket = ticket.clone();
                    self.tell(&ticket, true);
                }
                self.revision += 1;
                return Asked::Ticket(id);
            }
            // Asked again about the same: what is asked may have become more, the deadline stays.
            Some((id, true)) if self.open.get(&id).is_some_and(|ticket| ticket.ask.kind == ask.kind) => {
                if let Some(ticket) = self.open.get_mut(&id) {
                    ticket.ask = ask;
                }
                self.revision += 1;
                return Asked::Ticket(id);
            }
            Some((id, _)) => self.end(&id, End::Superseded { at: now.wall }, now),
            None => {}
        }
        self.make_room(now);
        Asked::Ticket(self.open_ticket(ask, now))
    }

    fn open_ticket(&mut self, ask: Ask, now: Now) -> String {
        let id = format!("ticket-{}-{}", self.boot, self.next);
        self.next += 1;
        let rule = self.rules.lanes.get(&ask.lane);
        let turns = ask.turns(rule.map(|rule| &rule.gate), rule.is_some_and(|rule| rule.manned), self.rules.patience);
        let mut ticket = Ticket {
            ticket: id.clone(),
            ask,
            turns,
            turn: 0,
            again: 0,
            presses: 1,
            opened_at: now.wall,
            end: None,
            deadline: now.mono,
        };
        ticket.deadline = now.mono + ticket.within();
        self.record(&TicketRecord::Opened(&ticket), now);
        self.tell(&ticket, false);
        self.say_waiting(&ticket);
        self.open.insert(id.clone(), ticket);
        self.revision += 1;
        id
    }

    /// Takes an answer: a named person's, with words; the first one. A late one is recorded, and moves nothing.
    pub fn answer(&mut self, id: &str, answer: Answer, actor: &Actor, reason: &str, now: Now) -> Result<(), Refused> {
        if actor.name.trim().is_empty() {
            return Err(Refused::new("须写明答复人", "say who answers"));
        }
        if reason.trim().is_empty() {
            return Err(Refused::new("须填写理由", "say why"));
        }
        let Some(ticket) = self.open.get(id) else { return Err(self.late(id, answer, actor, reason, now)) };
        let theirs = matches!(ticket.addressee(), Addressee::Enterprise(_)) && actor.has(Role::Operator);
        if !theirs && !actor.has(Role::Guard) && !actor.has(Role::Supervisor) {
            return Err(Refused::role(Role::Guard));
        }
        if (ticket.ask.kind == TicketKind::Call) != (answer == Answer::Spoken) {
            return Err(Refused::new("答复与事项不符", "this does not answer what was asked"));
        }
        let actor = Actor { roles: BTreeSet::new(), ..actor.clone() };
        let answered = Answered {
            ticket: id.to_owned(),
            lane: ticket.ask.lane.clone(),
            passage: ticket.ask.passage.clone(),
            answer,
            actor: actor.clone(),
            reason: reason.to_owned(),
            expires: now.mono + PASS_LIFE,
        };
        let lane = ticket.ask.lane.clone();
        // On record before the lane hears of it.
        self.end(id, End::Answered { answer, actor, reason: reason.to_owned(), at: now.wall }, now);
        self.outputs.push_back(Output::Answered(answered));
        if answer == Answer::TurnBack {
            let (zh, en) = self.turn_back(&lane);
            let say = Say { zh: format!("请掉头驶离：{zh}"), en: format!("turn back: {en}"), lane };
            self.outputs.push_back(Output::Say(say));
        }
        Ok(())
    }

    fn late(&mut self, id: &str, answer: Answer, actor: &Actor, reason: &str, now: Now) -> Refused {
        let Some(ticket) = self.ended.iter().find(|ticket| ticket.ticket == id) else {
            return Refused::new("没有该事项", "there is no such ticket");
        };
        let refused = match &ticket.end {
            Some(End::Answered { actor, .. }) => {
                Refused::new(format!("{} 已答复", actor.name), format!("{} has answered already", actor.name))
            }
            Some(End::Gone { .. } | End::Superseded { .. } | End::Displaced { .. }) | None => {
                Refused::new("该事项已结束", "that is over")
            }
        };
        self.record(&TicketRecord::LateAnswer { ticket: id, answer, actor, reason }, now);
        refused
    }

    /// Whoever waited in this passage is gone, or has passed.
    pub fn passage_over(&mut self, passage: &PassageId, now: Now) {
        let of = self.open.values().filter(|ticket| ticket.ask.passage.as_ref() == Some(passage));
        for id in of.map(|ticket| ticket.ticket.clone()).collect::<Vec<_>>() {
            self.end(&id, End::Gone { at: now.wall }, now);
        }
    }

    /// Takes a look at the queue before a lane; `None`: the sensors cannot say.
    pub fn queue(&mut self, lane: &LaneId, vehicles: Option<u16>) {
        let Some(room) = self.rules.lanes.get(lane).and_then(|rule| rule.room) else { return };
        let queue = self.queues.entry(lane.clone()).or_default();
        let looked = queue.look(vehicles, room);
        let queue = *queue;
        self.tell_queue(lane, &queue, looked.alarm, looked.blind);
        self.revision += 1;
    }

    /// Returns when [`Desk::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.open.values().map(|ticket| ticket.deadline).min()
    }

    /// Asks the next one, or the last one again.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = self.open.values().filter(|ticket| ticket.deadline <= now.mono).map(|ticket| ticket.ticket.clone());
        for id in due.collect::<Vec<_>>() {
            let Some(ticket) = self.open.get_mut(&id) else { continue };
            let last = ticket.is_last();
            if last {
                ticket.again = ticket.again.saturating_add(1);
            } else {
                ticket.turn += 1;
            }
            ticket.deadline = now.mono + ticket.within();
            let ticket = ticket.clone();
            self.tell(&ticket, last);
            self.say_waiting(&ticket);
            if !last {
                self.record(&TicketRecord::PassedOn(&ticket), now);
            } else if ticket.again == 1 {
                self.fact_unanswered(&ticket, true);
            }
            self.revision += 1;
        }
    }

    fn end(&mut self, id: &str, end: End, now: Now) {
        let Some(mut ticket) = self.open.remove(id) else { return };
        ticket.end = Some(end);
        self.record(&TicketRecord::Ended(&ticket), now);
        if ticket.again > 0 {
            self.fact_unanswered(&ticket, false);
        }
        if self.ended.len() >= MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(ticket);
        self.revision += 1;
    }

    /// Makes room for one more: the one that was said most often to the last one who can be asked, else the oldest.
    fn make_room(&mut self, now: Now) {
        if self.open.len() < MAX_OPEN {
            return;
        }
        let one = self.open.values().max_by_key(|ticket| (ticket.again, std::cmp::Reverse(ticket.opened_at)));
        let Some(id) = one.map(|ticket| ticket.ticket.clone()) else { return };
        self.end(&id, End::Displaced { at: now.wall }, now);
        let (zh, en) = (format!("待处理事项过多，{id} 被移除"), format!("too many tickets: {id} had to make room"));
        // It ends with itself: what is told is that it happened.
        for active in [true, false] {
            let (zh, en) = (zh.clone(), en.clone());
            self.outputs.push_back(Output::Fact(DeskFact {
                fault: DeskFault::Full,
                subject: id.clone(),
                active,
                zh,
                en,
            }));
        }
    }

    fn tell(&mut self, ticket: &Ticket, again: bool) {
        let ask = &ticket.ask;
        let who = ask.subject.as_ref().map(ToString::to_string).unwrap_or_default();
        let because = |text: fn(&super::verdict::Reason) -> &String| {
            ask.reasons
                .iter()
                .map(|reason| format!("{} [{}]", text(reason), reason.code))
                .collect::<Vec<_>>()
                .join("; ")
        };
        let told = Told {
            ticket: ticket.ticket.clone(),
            to: ticket.addressee().clone(),
            again,
            zh: format!("车道“{}” {}：{who} {}", ask.lane, ask.kind.zh(), because(|reason| &reason.zh)),
            en: format!("lane `{}`, {}: {who} {}", ask.lane, ask.kind, because(|reason| &reason.en)),
        };
        self.outputs.push_back(Output::Told(told));
    }

    /// Tells who waits for whom he waits, and the way back.
    fn say_waiting(&mut self, ticket: &Ticket) {
        let (back_zh, back_en) = self.turn_back(&ticket.ask.lane);
        let to = ticket.addressee();
        let say = Say {
            lane: ticket.ask.lane.clone(),
            zh: format!("请稍候，已通知{}；如需离开：{back_zh}", to.zh()),
            en: format!("please wait, {} is asked; to leave: {back_en}", to.en()),
        };
        self.outputs.push_back(Output::Say(say));
    }

    fn tell_queue(&mut self, lane: &LaneId, queue: &Queue, alarm: Option<bool>, blind: Option<bool>) {
        let n = queue.vehicles.unwrap_or(0);
        let facts = [
            (
                DeskFault::Queue,
                alarm,
                format!("车道“{lane}”排队 {n} 辆，将占用公共道路"),
                format!("lane `{lane}`: {n} wait, the queue grows towards the public road"),
            ),
            (
                DeskFault::QueueBlind,
                blind,
                format!("车道“{lane}”排队长度不可知"),
                format!("lane `{lane}`: nobody sees the queue"),
            ),
        ];
        for (fault, active, zh, en) in facts {
            if let Some(active) = active {
                self.outputs.push_back(Output::Fact(DeskFact { fault, subject: lane.to_string(), active, zh, en }));
            }
        }
    }

    fn fact_unanswered(&mut self, ticket: &Ticket, active: bool) {
        let lane = &ticket.ask.lane;
        let (zh, en) =
            (format!("车道“{lane}”{}无人答复", ticket.ask.kind.zh()), format!("lane `{lane}`: nobody answers"));
        let subject = ticket.ticket.clone();
        self.outputs.push_back(Output::Fact(DeskFact { fault: DeskFault::Unanswered, subject, active, zh, en }));
    }

    fn record(&mut self, record: &TicketRecord<'_>, now: Now) {
        self.outputs.push_back(Output::Document(Document::of(DocumentKind::Ticket, Mode::Real, now.mono, record)));
    }
}

/// Returns when a ticket was opened, for lists that show the oldest first.
pub fn by_age(ticket: &Ticket) -> (Timestamp, &str) {
    (ticket.opened_at, &ticket.ticket)
}
