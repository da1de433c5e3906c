//! From a ruling to an opening: what the lane makes of it, the audit that comes first, and the life that it has.

use super::read::keep;
use super::spec::{Conduct, Flow, Trouble};
use super::told::{AuditReceipt, Authority, CallWhy, LaneFault, Ruling, Step};
use super::{EXIT_PATIENCE, Lane, Phase};
use crate::domain::actor::Actor;
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::{Direction, LaneKind};
use crate::domain::order::{LaneRule, Urgency};
use crate::domain::time::{Mono, Now};

/// Decisions that were acted on are remembered: more than a lane can have under way in all its queues.
const ACTED: usize = 64;

/// So often it is asked anew about what still stands there, because an answer came too late; then a person is called.
const ASKS: u32 = 3;

/// An opening that waits for its audit, or for the gap between commands.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) key: String,
    pub(super) answers: Option<CameraEvent>,
    /// Nothing opens by it after this.
    pub(super) not_after: Mono,
    /// Since when it waits for its audit; `None`: it does not, or has it.
    pub(super) waits: Option<Mono>,
    /// It lets something out: it does not wait for long.
    pub(super) leaves: bool,
}

impl Lane {
    /// Takes an answer. One to another question moves nothing.
    pub fn handle_ruling(&mut self, ruling: &Ruling, now: Now) {
        self.take_ruling(ruling, now);
        self.advance(now);
    }

    fn take_ruling(&mut self, ruling: &Ruling, now: Now) {
        let named = |passage: &&super::Passage| passage.id == ruling.passage && passage.ask == ruling.ask;
        let first = self.current.as_ref().filter(named);
        let Some(passage) = first.or(self.waiting.as_ref().filter(named)) else { return };
        let (direction, may_pass) = (passage.direction, passage.may_pass());
        if self.recent.acted.contains(&ruling.decision) {
            return;
        }
        if may_pass || first.is_none() || self.phase != Phase::Identified {
            // It was asked for the record.
            let step = Step::Decided { decision: ruling.decision.clone(), verdict: ruling.verdict };
            return self.step(ruling.passage.clone(), step, now);
        }
        let (verdict, why) = self.at_this_lane(ruling.verdict, direction);
        self.step(ruling.passage.clone(), Step::Decided { decision: ruling.decision.clone(), verdict }, now);
        self.show(ruling, verdict, now);
        if let Some(passage) = &mut self.current {
            passage.verdict = Some(verdict);
        }
        match verdict {
            Verdict::Allow => self.allowed(ruling, now),
            Verdict::Refer | Verdict::Hold => self.refer(why, now),
            Verdict::Deny => {
                self.answer_no(now);
                self.go(Phase::Decided, now);
            }
        }
    }

    /// Returns what a verdict comes to at this lane, as it stands: never less strict than it was.
    fn at_this_lane(&self, verdict: Verdict, direction: Direction) -> (Verdict, CallWhy) {
        let mut strictest = (verdict, CallWhy::Referred);
        let mut stricter = |verdict, why| {
            if verdict > strictest.0 {
                strictest = (verdict, why);
            }
        };
        if let Some((trouble, conduct)) = self.conduct(direction) {
            match conduct {
                Conduct::Decide => {}
                Conduct::Refer => stricter(Verdict::Refer, CallWhy::Trouble(trouble)),
                Conduct::NoEntry => stricter(Verdict::Deny, CallWhy::Trouble(trouble)),
            }
        }
        match (self.rule(), direction) {
            (LaneRule::Guarded, _) => stricter(Verdict::Refer, CallWhy::Referred),
            (LaneRule::NoEntry, Direction::In) => stricter(Verdict::Deny, CallWhy::Referred),
            _ => {}
        }
        if !self.may_move() || (self.rights.disarmed && direction == Direction::In) {
            stricter(Verdict::Hold, CallWhy::Referred);
        }
        if !self.takes(direction) {
            let wrong = if direction == Direction::Out { Verdict::Hold } else { Verdict::Deny };
            stricter(wrong, CallWhy::Referred);
        }
        strictest
    }

    /// Returns whether the lane takes this direction now.
    pub(super) fn takes(&self, direction: Direction) -> bool {
        match self.spec.flow {
            Flow::Both => true,
            Flow::In | Flow::Out | Flow::Reversible(_) => direction == self.direction(),
        }
    }

    /// Returns the strictest conduct of the troubles that stand, with its trouble. A vehicle that leaves is at worst referred;
    /// a person who leaves does not come here at all.
    pub(super) fn conduct(&self, direction: Direction) -> Option<(Trouble, Conduct)> {
        let conduct = |trouble: &Trouble| (*trouble, self.spec.conduct_in(*trouble));
        let strictest = self.troubles.iter().map(conduct).max_by_key(|(_, conduct)| *conduct);
        let most = if direction == Direction::Out { Conduct::Refer } else { Conduct::NoEntry };
        strictest.map(|(trouble, conduct)| (trouble, conduct.min(most)))
    }

    fn allowed(&mut self, ruling: &Ruling, now: Now) {
        let Some(passage) = &self.current else { return };
        let not_after = passage.looked + self.spec.timing.open_life;
        if now.mono >= not_after {
            return self.too_late(now);
        }
        keep(&mut self.recent.acted, ruling.decision.clone(), ACTED);
        let authority = Authority::Decision(ruling.decision.clone());
        let detail = format!("{} {}", ruling.passage, ruling.decision);
        self.release_by(authority, &Actor::gateway(), &detail, (not_after, Urgency::AfterCommit), now);
    }

    /// Opens by this right: once its audit is stored, or at once.
    pub(super) fn release_by(
        &mut self,
        authority: Authority,
        actor: &Actor,
        detail: &str,
        (not_after, urgency): (Mono, Urgency),
        now: Now,
    ) {
        let key = self.name("o");
        let Some(passage) = &mut self.current else { return };
        passage.authority = authority;
        let (answers, leaves) = (passage.answer.take(), passage.direction == Direction::Out);
        let deed = self.deed("lane.open", actor, detail);
        self.audit(key.clone(), deed, urgency);
        let waits = (urgency == Urgency::AfterCommit).then_some(now.mono);
        self.release = Some(Release { key, answers, not_after, waits, leaves });
        self.go(Phase::Decided, now);
    }

    /// Who leaves freely is opened for at once, and entered after. What is decided of him is for the record.
    pub(super) fn release_leaving(&mut self, now: Now) {
        let key = self.name("o");
        let Some(mut passage) = self.current.take() else { return };
        passage.authority = Authority::Leaving;
        passage.ask += 1;
        let answers = passage.answer.take();
        let deed = self.deed("lane.open", &Actor::gateway(), &format!("{} 离开 / leaves", passage.id));
        self.audit(key.clone(), deed, Urgency::AtOnce);
        let not_after = now.mono + self.spec.timing.open_life;
        let ask = self.question(&passage, true);
        self.current = Some(passage);
        self.outputs.push_back(super::Output::Decide(ask));
        self.release = Some(Release { key, answers, not_after, waits: None, leaves: true });
        self.go(Phase::Decided, now);
    }

    /// Takes what became of an entry.
    pub fn handle_audit(&mut self, key: &str, receipt: AuditReceipt, now: Now) {
        let stored = receipt != AuditReceipt::Failed;
        if let Some(release) = self.release.as_mut().filter(|release| release.key == key) {
            match (stored, release.leaves) {
                (true, _) | (false, true) => release.waits = None,
                (false, false) => self.not_entered_in_audit(now),
            }
            self.tell(LaneFault::AuditFailed, "", !stored);
        }
        if let Some(hold) = self.rights.hold.as_mut().filter(|hold| hold.waits.as_deref() == Some(key)) {
            hold.waits = None;
            if !stored {
                self.rights.hold = None;
                self.tell(LaneFault::AuditFailed, "", true);
                self.call(CallWhy::AuditFailed, now);
            }
        }
        self.advance(now);
    }

    fn not_entered_in_audit(&mut self, now: Now) {
        self.drop_release(now);
        self.refer(CallWhy::AuditFailed, now);
    }

    /// Takes an opening back that was not ordered yet.
    pub(super) fn drop_release(&mut self, now: Now) {
        let Some(release) = self.release.take() else { return };
        if let Some(answers) = release.answers {
            self.dismiss(answers, now);
        }
        if let Some(passage) = &mut self.current {
            passage.authority = Authority::Nothing;
        }
    }

    /// Orders the opening when nothing stands before it any more, or lets it lapse.
    pub(super) fn advance_release(&mut self, now: Now) {
        let Some(release) = &self.release else { return };
        let patient = release.waits.is_some_and(|since| !release.leaves || now.mono.since(since) < EXIT_PATIENCE);
        if now.mono >= release.not_after {
            self.drop_release(now);
            return self.too_late(now);
        }
        let gap = self.spec.kind == LaneKind::Person || self.arm.gap_over(now.mono);
        if patient || !gap {
            return;
        }
        let Some(release) = self.release.take() else { return };
        self.track = super::Track::default();
        self.open(release.key, release.answers, release.not_after, now);
        self.go(Phase::Opening, now);
    }

    /// What was allowed can no longer be acted on: whoever stood there may have left. Where he is seen to stand there still,
    /// it is asked anew.
    fn too_late(&mut self, now: Now) {
        self.pulse(LaneFault::Late, "");
        let Some(passage) = &self.current else { return };
        let still_there = now.mono.since(self.presence(passage, now)) < self.spec.timing.open_life;
        if still_there && passage.ask < ASKS && self.spec.kind == LaneKind::Vehicle {
            self.answer_no(now);
            self.go(Phase::Identified, now);
            return self.ask(now);
        }
        self.refer(CallWhy::DecisionLate, now);
    }

    /// A person decides.
    pub(super) fn refer(&mut self, why: CallWhy, now: Now) {
        self.answer_no(now);
        if let Some(passage) = &mut self.current {
            passage.verdict = Some(passage.verdict.map_or(Verdict::Refer, |verdict| verdict.max(Verdict::Refer)));
        }
        self.call(why, now);
        self.go(Phase::Decided, now);
    }

    /// The camera that waits for an answer gets one that moves nothing.
    pub(super) fn answer_no(&mut self, now: Now) {
        let answers = self.current.as_mut().and_then(|passage| passage.answer.take());
        if let Some(answers) = answers {
            self.dismiss(answers, now);
        }
    }

    pub(super) fn release_dues(&self) -> Vec<Mono> {
        let Some(release) = &self.release else { return Vec::new() };
        let patience = release.waits.filter(|_| release.leaves).map(|since| since + EXIT_PATIENCE);
        patience.into_iter().chain([release.not_after]).collect()
    }
}
