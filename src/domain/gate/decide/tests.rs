//! What must hold whatever the policies say: over facts and policies at random.

use super::chance::Chance;
use super::*;
use crate::domain::gate::facts::{Facts, Subject};
use crate::domain::gate::verdict::{Decision, Reason, Verdict};
use crate::domain::gate::word::{DecisionId, Direction, PassageId};
use crate::domain::order::LaneRule;
use crate::domain::site::State;
use crate::domain::time::Timestamp;

/// Steps of each property.
const STEPS: usize = 100_000;

/// Policies that say always the same.
struct Said(Judged);

impl Policies for Said {
    fn judge(&self, _: &Facts) -> Judged {
        self.0.clone()
    }

    fn revision(&self) -> &str {
        "said"
    }
}

fn said(chance: &mut Chance) -> Said {
    let mut some = |n: usize| (0..chance.0.usize(..n)).map(|_| chance.reason()).collect::<Vec<_>>();
    Said(Judged { permits: some(2), forbids: some(4), notes: some(2) })
}

fn asked() -> Asked {
    Asked { id: DecisionId::new("d"), passage: PassageId::new("p"), at: Timestamp(1_790_000_000_000), register_rev: 7 }
}

fn over_chance(seed: u64, mut holds: impl FnMut(&Facts, &Said, &Decision, &mut Chance)) {
    let mut chance = Chance::new(seed);
    for _ in 0..STEPS {
        let (facts, policies) = (chance.facts(), said(&mut chance));
        let decision = decide(asked(), facts.clone(), &policies);
        holds(&facts, &policies, &decision, &mut chance);
    }
}

#[test]
fn a_person_leaving_is_allowed_whatever_anything_says() {
    let mut leaving = 0;
    over_chance(1, |facts, _, decision, _| {
        if matches!(facts.subject, Subject::Person(_)) && facts.lane.direction == Direction::Out {
            leaving += 1;
            assert_eq!(decision.verdict, Verdict::Allow, "{facts:?}");
            assert!(decision.reasons.iter().all(|r| r.verdict == Verdict::Allow && r.policy.is_none()));
        }
    });
    assert!(leaving > STEPS / 10);
}

#[test]
fn the_verdict_is_the_strongest_reason_and_a_refusal_always_has_one() {
    over_chance(2, |facts, _, decision, _| {
        assert!(!decision.reasons.is_empty());
        assert_eq!(Some(decision.verdict), decision.reasons.iter().map(|r| r.verdict).max());
        assert!(decision.reasons.is_sorted_by_key(|r| std::cmp::Reverse(r.verdict)));
        assert!(decision.verdict <= worst(facts));
    });
}

#[test]
fn no_entry_is_allowed_that_any_forbid_or_no_permit_speaks_against() {
    let mut allowed = 0;
    over_chance(3, |facts, policies, decision, _| {
        if decision.verdict == Verdict::Allow && facts.lane.direction == Direction::In {
            allowed += 1;
            assert!(policies.0.forbids.is_empty() && !policies.0.permits.is_empty());
            assert!(facts.gateway.store_ok && facts.lane.in_service && !facts.is_released());
            assert!(matches!(facts.subject, Subject::Person(_)) || !facts.is_rescue());
            assert!(!matches!(facts.site.rule, LaneRule::NoEntry | LaneRule::Guarded));
        }
    });
    assert!(allowed > 100);
}

#[test]
fn a_vehicle_leaving_is_at_worst_held_and_rescue_at_worst_referred() {
    over_chance(4, |facts, _, decision, _| {
        let vehicle = matches!(facts.subject, Subject::Vehicle(_));
        if vehicle && facts.lane.direction == Direction::Out {
            assert!(decision.verdict <= Verdict::Hold);
        }
        if facts.is_rescue() {
            assert!(decision.verdict <= Verdict::Refer);
        }
        if facts.is_rescue() && vehicle && facts.lane.direction == Direction::In {
            assert_eq!(decision.verdict, Verdict::Refer, "a guard confirms it, always");
        }
    });
}

#[test]
fn in_an_evacuation_every_exit_is_free_and_only_rescue_enters() {
    over_chance(5, |facts, _, decision, _| {
        if facts.site.state != State::Evacuate && !facts.site.fire {
            return;
        }
        let expected = match (facts.lane.direction, facts.is_rescue()) {
            (Direction::Out, _) => (Verdict::Allow, "EMG_RELEASE"),
            (Direction::In, true) => (Verdict::Refer, "EXEMPT_CONFIRM"),
            (Direction::In, false) => (Verdict::Deny, "EMG_NO_ENTRY"),
        };
        assert_eq!((decision.verdict, decision.reasons[0].code.as_str()), expected);
    });
}

#[test]
fn one_more_forbid_never_loosens_a_decision() {
    over_chance(6, |facts, policies, decision, chance| {
        let mut more = policies.0.clone();
        more.forbids.push(chance.reason());
        let after = decide(asked(), facts.clone(), &Said(more));
        assert!(after.verdict >= decision.verdict, "{decision:?} {after:?}");
    });
}

#[test]
fn the_same_facts_and_policies_give_the_same_decision() {
    over_chance(7, |_, policies, decision, _| {
        let text = serde_json::to_string(decision).unwrap();
        let stored: Decision = serde_json::from_str(&text).unwrap();
        assert_eq!(&replay(&stored, policies), decision);
        assert_eq!(compare(decision, &stored), None);
    });
}

#[test]
fn an_empty_set_refuses_entries_holds_vehicles_and_lets_persons_out() {
    let mut chance = Chance::new(8);
    let nothing = Said(Judged::default());
    for _ in 0..STEPS {
        let facts = chance.facts();
        let (rescue, released) = (facts.is_rescue(), facts.is_released());
        let (person, out) = (matches!(facts.subject, Subject::Person(_)), facts.lane.direction == Direction::Out);
        let verdict = decide(asked(), facts, &nothing).verdict;
        match (out, person) {
            (true, true) => assert_eq!(verdict, Verdict::Allow),
            (true, false) if !released => assert!(verdict >= Verdict::Refer),
            (true, false) => assert_eq!(verdict, Verdict::Allow),
            (false, _) => assert!(verdict >= if rescue { Verdict::Refer } else { Verdict::Hold }),
        }
    }
}

#[test]
fn the_words_of_a_policy_stand_for_the_fixed_reason_of_the_same_code() {
    let own = |verdict| Reason {
        code: "LOCKDOWN".into(),
        verdict,
        zh: "封控".into(),
        en: "lockdown".into(),
        policy: Some("own.cedar:3".into()),
    };
    let mut facts = (0..).map(|seed| Chance::new(seed).facts()).find(|f| f.lane.direction == Direction::In).unwrap();
    facts.lane.in_service = true;
    facts.lane.under_arm = Some(false);
    (facts.site.state, facts.site.fire, facts.site.rule) = (State::LockdownIn, false, LaneRule::NoEntry);
    for (verdict, told) in [(Verdict::Deny, 1), (Verdict::Refer, 2)] {
        let policies = Said(Judged { permits: vec![], forbids: vec![own(verdict)], notes: vec![] });
        let decision = decide(asked(), facts.clone(), &policies);
        assert_eq!(decision.reasons.iter().filter(|r| r.code == "LOCKDOWN").count(), told);
    }
}

#[test]
fn a_replay_tells_what_a_new_set_would_change() {
    let permit = Reason { code: "OK".into(), verdict: Verdict::Allow, ..Chance::new(1).reason() };
    let forbid = Reason { code: "OVERWEIGHT".into(), verdict: Verdict::Hold, ..Chance::new(1).reason() };
    let old = Said(Judged { permits: vec![permit.clone()], ..Judged::default() });
    let new = Said(Judged { permits: vec![permit], forbids: vec![forbid], notes: vec![] });
    let mut chance = Chance::new(9);
    let mut replayed = Replayed::default();
    let mut allowed = 0;
    for _ in 0..2000 {
        let decision = decide(asked(), chance.facts(), &old);
        let person_out = decision.direction == Direction::Out && matches!(decision.facts.subject, Subject::Person(_));
        let touched = !person_out && !decision.facts.is_released() && decision.facts.lane.in_service;
        let rescue = decision.facts.is_rescue();
        allowed += u64::from(decision.verdict == Verdict::Allow && touched && !rescue);
        replayed.add(&decision, &new);
    }
    assert_eq!(replayed.verdicts.get(&(Verdict::Allow, Verdict::Hold)), Some(&allowed));
    assert_eq!(replayed.decisions, 2000);
    assert_eq!(replayed.same + replayed.differences.len() as u64 + replayed.beyond, 2000);
    assert_eq!(replayed.differences.len(), replay::MAX_DIFFERENCES.min(2000 - usize::try_from(replayed.same).unwrap()));
    assert!(replayed.to_string().contains("放行 → 暂扣待查"), "{replayed}");
}
