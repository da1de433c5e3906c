//! Stories of the park, in virtual time.

use super::*;
use crate::domain::site::drill::DrillOutcome;
use crate::domain::site::fire::LineState;
use crate::domain::site::record::{Cause, Settlement};

fn states(park: &Park) -> Vec<(String, State, State)> {
    let state = |record: &SiteRecord| {
        if let SiteRecord::State { zone, from, to, .. } = record { Some((zone.clone(), *from, *to)) } else { None }
    };
    park.records.iter().filter_map(|(_, record)| state(record)).collect()
}

#[test]
fn a_fire_signal_opens_the_gate_at_once_and_evacuates() {
    let mut park = Park::quiet(book());
    assert!(park.orders.is_empty(), "a start moves nothing: {:?}", park.orders);
    park.contacts(true, false);
    assert_eq!(park.site.state_of("park"), State::Evacuate);
    assert_eq!(park.lane("main-in"), LaneRule::Open, "both ways, as the lane declares");
    assert_eq!(park.lane("main-out"), LaneRule::Open);
    assert_eq!(park.lane("emergency"), LaneRule::Open);
    assert_eq!(park.lane("tank-in"), LaneRule::RescueOnly);
    let lanes = park.orders.iter().filter(|order| matches!(order.what, OrderKind::Lane { .. }));
    assert!(lanes.clone().count() >= 8 && lanes.clone().all(|order| order.urgency == Urgency::AtOnce));
    assert_eq!(park.values["siren"], "yelp");
}

/// A20 9: whatever stands at the exit, it opens: the order knows no permits and no block list.
#[test]
fn the_exit_opens_on_fire_while_the_park_is_locked_down() {
    let mut park = Park::quiet(book());
    park.declare("park", State::LockdownIn).unwrap();
    assert_eq!(park.lane("main-out"), LaneRule::NoEntry);
    assert_eq!(park.lane("main-in"), LaneRule::NoEntry);
    park.contacts(true, false);
    assert_eq!(park.lane("main-out"), LaneRule::Open);
    assert_eq!(states(&park).last(), Some(&("park".into(), State::LockdownIn, State::Evacuate)));
}

/// A20 20, as far as the state of the site goes: from the declaration to the last lane given back.
#[test]
fn an_evacuation_from_the_proposal_to_the_last_lane() {
    let mut park = Park::quiet(book());
    let done = park
        .act(Action::Propose { zone: "tanks".into(), state: State::Evacuate, reason: "泄漏".into() }, &lead())
        .unwrap();
    assert!(park.orders.is_empty(), "one step does nothing");
    park.act(Action::Confirm { proposal: done.number.unwrap() }, &other()).unwrap();
    assert_eq!(park.lane("tank-in"), LaneRule::RescueOnly);
    assert_eq!(park.lane("tank-door"), LaneRule::Open);
    assert_eq!(park.lane("store-door"), LaneRule::RescueOnly, "a zone within");
    assert_eq!(park.lane("main-out"), LaneRule::Open, "the way out");
    assert_eq!(park.lane("emergency"), LaneRule::Open, "the way out");
    assert_eq!(park.lane("main-in"), LaneRule::Normal, "entry of the zone around is not touched");
    assert_eq!(park.lane("office-door"), LaneRule::Normal, "a zone beside is not touched");
    assert_eq!(park.site.effective("store"), State::Evacuate);
    assert_eq!(park.site.effective("park"), State::Normal);
    assert_eq!(park.values["tank-siren"], "yelp");

    let normal = Action::Normal { zone: "tanks".into(), reason: "查明".into() };
    assert!(park.act(normal.clone(), &lead()).is_err(), "only through recovery");
    park.act(Action::End { zone: "tanks".into(), reason: "泄漏已堵".into() }, &lead()).unwrap();
    assert_eq!(park.values["tank-siren"], "off");
    assert_eq!(park.lane("tank-door"), LaneRule::Open, "the end moves no lane");
    for lane in ["tank-in", "tank-door", "store-door", "main-out", "main-door"] {
        park.act(Action::GiveBack { lane: lane.into() }, &lead()).unwrap();
        assert_eq!(park.lane(lane), LaneRule::Normal);
    }
    let refused = park.act(normal.clone(), &lead()).unwrap_err();
    assert!(refused.zh.contains("emergency"), "{refused}");
    park.act(Action::GiveBack { lane: "emergency".into() }, &lead()).unwrap();
    assert_eq!(park.lane("emergency"), LaneRule::Guarded, "an emergency gate is closed on quiet days");
    assert!(park.act(Action::Normal { zone: "tanks".into(), reason: " ".into() }, &lead()).is_err(), "say why");
    park.act(normal, &lead()).unwrap();
    assert_eq!(park.site.state_of("tanks"), State::Normal);
}

#[test]
fn a_proposal_lapses_and_needs_the_right_people() {
    let mut strict = book();
    strict.hands.two_persons = true;
    let mut park = Park::quiet(strict);
    let propose = Action::Propose { zone: "park".into(), state: State::Shelter, reason: String::new() };
    let guard = Actor { name: "zhao".into(), via: Via::Page, roles: [Role::Guard].into() };
    let auditor = Actor { name: "sun".into(), via: Via::Page, roles: [Role::Auditor].into() };
    assert!(park.act(propose.clone(), &auditor).is_err());
    let number = park.act(propose.clone(), &guard).unwrap().number.unwrap();
    assert!(park.act(Action::Confirm { proposal: number }, &guard).is_err(), "a guard confirms nothing");
    park.wait(59_999);
    park.wait(1);
    assert!(park.act(Action::Confirm { proposal: number }, &lead()).is_err(), "too late");
    let number = park.act(propose, &lead()).unwrap().number.unwrap();
    assert!(park.act(Action::Confirm { proposal: number }, &lead()).is_err(), "not by the same person");
    park.act(Action::Confirm { proposal: number }, &other()).unwrap();
    assert_eq!(park.site.state_of("park"), State::Shelter);
    let outcomes: Vec<_> = park
        .records
        .iter()
        .filter_map(|(_, record)| if let SiteRecord::Settled { outcome, .. } = record { Some(*outcome) } else { None })
        .collect();
    assert_eq!(outcomes, [Settlement::Lapsed, Settlement::Confirmed]);
}

#[test]
fn a_drill_is_marked_moves_no_barrier_and_is_ended_by_the_real_thing() {
    let mut park = Park::quiet(book());
    let drill = Action::StartDrill {
        zone: "tanks".into(),
        rehearses: State::Evacuate,
        barriers: false,
        comment: "季度".into(),
    };
    park.act(drill, &lead()).unwrap();
    assert!(park.lanes.is_empty(), "no barrier moves: {:?}", park.lanes);
    assert!(park.last_text().starts_with("【演练】") && park.last_text().contains("立即撤离"), "{}", park.last_text());
    assert_eq!(park.values.get("tank-siren"), None, "this siren is not for drills");
    assert!(park.records.iter().all(|(mode, _)| *mode == Mode::Drill));
    park.act(Action::Comment { text: "西门人多".into() }, &other()).unwrap();
    let episode = park.site.drill().unwrap().to_owned();
    let (first, last) = (Some(at(20_000).wall), Some(at(50_000).wall));
    park.site.handle_figures("another", Figures { missing: 9, ..Figures::default() });
    park.site.handle_figures(&episode, Figures { first_out_at: first, last_out_at: last, missing: 2 });
    park.wait(60_000);

    park.read("loop", 16.0);
    assert_eq!(park.site.state_of("tanks"), State::Evacuate);
    assert_eq!(park.lane("tank-door"), LaneRule::Open);
    assert!(park.orders.iter().any(|order| order.urgency == Urgency::AtOnce));
    assert!(park.last_text().starts_with("【演练中止，这不是演练】"), "{}", park.last_text());
    let report = park.records.iter().find_map(|(mode, record)| {
        if let SiteRecord::DrillReport(report) = record { Some((*mode, report.clone())) } else { None }
    });
    let (mode, report) = report.expect("every drill has a report");
    assert_eq!((mode, report.outcome, report.duration_s), (Mode::Drill, DrillOutcome::Preempted, 60));
    assert_eq!((report.first_out_at, report.last_out_at, report.missing), (first, last, Some(2)));
    assert_eq!(report.orders.given, report.orders.done);
    assert!(report.orders.given > 0 && report.first_order_at == Some(report.started_at));
    assert_eq!(report.comments.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["季度", "西门人多"]);
    assert_eq!(states(&park).last(), Some(&("tanks".into(), State::Drill, State::Evacuate)));
    assert!(matches!(park.records.last(), Some((Mode::Real, _))));
}

#[test]
fn a_drill_that_moves_barriers_gives_them_to_the_real_thing_elsewhere() {
    let mut park = Park::quiet(book());
    let drill = |barriers| Action::StartDrill {
        zone: "park".into(),
        rehearses: State::Evacuate,
        barriers,
        comment: String::new(),
    };
    park.act(drill(true), &lead()).unwrap();
    assert_eq!(park.lane("main-out"), LaneRule::Open);
    assert_eq!(park.values["siren"], "yelp");
    park.act(Action::EndDrill { comment: "好".into() }, &lead()).unwrap();
    assert_eq!((park.lane("main-out"), park.lane("emergency")), (LaneRule::Normal, LaneRule::Guarded));
    assert_eq!(park.values["siren"], "off");
    assert!(park.last_text().starts_with("【演练】") && park.last_text().contains("结束"));

    park.act(drill(true), &lead()).unwrap();
    let given = park.orders.len();
    park.declare("tanks", State::Evacuate).unwrap();
    assert_eq!(park.site.state_of("park"), State::Normal, "the drill is over");
    let after: Vec<_> = park.orders[given..].iter().filter(|o| o.urgency == Urgency::AtOnce).collect();
    let open = OrderKind::Lane { lane: "main-out".into(), rule: LaneRule::Open };
    assert!(after.iter().any(|order| order.what == open), "what the drill opened is ordered for real: {after:?}");
    assert_eq!(park.lane("main-in"), LaneRule::Normal);
}

#[test]
fn a_drill_that_nobody_ends_ends_by_itself() {
    let mut park = Park::quiet(book());
    let drill =
        Action::StartDrill { zone: "park".into(), rehearses: State::Shelter, barriers: false, comment: String::new() };
    park.act(drill.clone(), &lead()).unwrap();
    assert!(park.act(drill, &lead()).is_err(), "one at a time");
    // The contacts must go on being read, or their line is broken.
    for _ in 0..4 * 3600 / 5 {
        park.wait(5_000);
        park.rest();
    }
    assert_eq!(park.site.state_of("park"), State::Normal);
    let report = park
        .records
        .iter()
        .find_map(|(_, record)| if let SiteRecord::DrillReport(report) = record { Some(report.outcome) } else { None });
    assert_eq!(report, Some(DrillOutcome::Expired));
}

#[test]
fn with_the_wind_the_muster_point_upwind_is_named_and_without_it_the_text_says_so() {
    let mut park = Park::quiet(book());
    park.declare("tanks", State::Evacuate).unwrap();
    assert!(park.last_text().contains("风向不明（气象站读数无效）"), "{}", park.last_text());
    assert!(park.last_text().contains("集合点：北广场、东门"));

    let cases = [
        (3.0, 350.0, "现为北风，风速 3.0 m/s。请到上风向集合点“北广场”"),
        (3.0, 100.0, "请到上风向集合点“东门”"),
        (3.0, 240.0, "没有上风向集合点"),
        (0.2, 350.0, "风向不明（静风）"),
    ];
    for (speed, from, text) in cases {
        let mut park = Park::quiet(book());
        park.read("ws", speed);
        park.read("wd", from);
        park.declare("tanks", State::Evacuate).unwrap();
        assert!(park.last_text().contains(text), "{speed} {from}: {}", park.last_text());
    }
    let mut park = Park::quiet(book());
    park.read("ws", 3.0);
    park.read("wd", 350.0);
    park.give("wd", lost());
    park.declare("tanks", State::Shelter).unwrap();
    assert!(park.last_text().contains("风向不明（气象站读数无效）"));
}

#[test]
fn when_the_wind_turns_people_are_told_anew_but_not_of_every_gust() {
    let mut park = Park::quiet(book());
    park.read("ws", 3.0);
    park.read("wd", 0.0);
    park.declare("tanks", State::Evacuate).unwrap();
    let told = park.texts.len();
    park.read("wd", 170.0);
    park.wait(30_000);
    park.read("wd", 10.0);
    park.wait(60_000);
    park.read("wd", 10.0);
    assert_eq!(park.texts.len(), told, "a gust");
    park.read("wd", 170.0);
    park.wait(60_000);
    assert_eq!(park.texts.len(), told + 1);
    assert!(park.last_text().starts_with("【更正】") && park.last_text().contains("东门"), "{}", park.last_text());
    park.wait(300_000);
    assert!(park.last_text().contains("风向不明（气象站读数过时）"), "{}", park.last_text());
}

#[test]
fn what_people_were_told_is_known_after_a_power_cut_and_still_corrected() {
    let mut park = Park::quiet(book());
    park.read("ws", 3.0);
    park.read("wd", 0.0);
    park.declare("tanks", State::Evacuate).unwrap();
    let told = park.texts.len();
    park.restart(book());
    park.read("ws", 3.0);
    park.read("wd", 0.0);
    park.wait(90_000);
    assert_eq!(park.texts.len(), told, "what holds is not said twice");
    park.read("ws", 3.0);
    park.read("wd", 170.0);
    park.wait(60_000);
    park.read("wd", 170.0);
    assert_eq!(park.texts.len(), told + 1);
    assert!(park.last_text().starts_with("【更正】") && park.last_text().contains("东门"), "{}", park.last_text());
}

#[test]
fn what_holds_within_a_zone_is_told_when_the_stronger_state_around_it_is_over() {
    let mut park = Park::quiet(book());
    park.declare("park", State::Evacuate).unwrap();
    park.read("key", 1.0);
    assert_eq!(park.site.state_of("tanks"), State::Shelter);
    assert!(!park.last_text().contains("罐区"), "everybody leaves: {}", park.last_text());
    park.act(Action::End { zone: "park".into(), reason: "完".into() }, &lead()).unwrap();
    assert_eq!(park.site.holds(park.site.book().zone("tanks").unwrap()), State::Shelter);
    assert!(park.last_text().contains("罐区"), "the tanks still shelter: {}", park.last_text());
}

#[test]
fn only_those_who_are_named_for_it_end_an_emergency() {
    let mut park = Park::quiet(book());
    park.contacts(true, false);
    let guard = Actor { name: "zhao".into(), roles: [Role::Guard].into(), ..lead() };
    let (zone, reason) = (|| "park".to_owned(), || "误报".to_owned());
    let ways_out = || {
        [
            Action::End { zone: zone(), reason: reason() },
            Action::ResetFire { input: "fire-main".into(), reason: reason() },
            Action::GiveBack { lane: "main-in".into() },
            Action::Normal { zone: zone(), reason: reason() },
        ]
    };
    park.contacts(false, true);
    let told = park.records.len();
    for action in ways_out() {
        assert!(park.act(action.clone(), &guard).is_err(), "{action:?}");
    }
    assert_eq!((park.site.state_of("park"), park.records.len()), (State::Evacuate, told));
    assert_eq!(park.lane("main-in"), LaneRule::Open);
    for action in ways_out() {
        park.act(action, &lead()).unwrap();
        for lane in ["main-out", "main-door", "emergency", "tank-in", "tank-door", "store-door", "office-door"] {
            drop(park.act(Action::GiveBack { lane: lane.into() }, &lead()));
        }
    }
    assert_eq!(park.site.state_of("park"), State::Normal);
}

#[test]
fn a_proposal_stands_as_long_as_its_own_reason_does() {
    let mut park = Park::quiet(book());
    park.gas("g1", "tanks", 2);
    park.gas("g2", "tanks", 2);
    park.read("loop", 0.0);
    park.wait(1_000);
    let causes = |park: &Park| -> Vec<Cause> {
        park.site.view(park.now()).proposals.into_iter().map(|proposal| proposal.cause).collect()
    };
    let (gas, line) = (Cause::Rule("two-gas".into()), Cause::BrokenLine("fire-tanks".into()));
    assert_eq!(causes(&park), [gas, line.clone()]);
    park.gas("g1", "tanks", 0);
    assert_eq!(causes(&park), [line], "the line is still broken");
    let city = |id: &str| CityCommand {
        id: id.into(),
        issuer: "city".into(),
        what: CityOrder::State { zone: "tanks".into(), state: State::Evacuate, reason: String::new() },
    };
    let now = park.now();
    let first = park.site.handle_command(city("c-1"), now).unwrap().number;
    assert_eq!(park.site.handle_command(city("c-2"), now).unwrap().number, first, "the city says it again");
    park.read("loop", 6.0);
    assert_eq!(causes(&park), [Cause::City("c-1".into())]);
    park.act(Action::Confirm { proposal: first.unwrap() }, &lead()).unwrap();
    assert_eq!((park.site.state_of("tanks"), causes(&park)), (State::Evacuate, vec![]));
}

#[test]
fn a_broken_fire_line_releases_its_gate_raises_a_fault_and_only_proposes() {
    let mut park = Park::quiet(book());
    park.contacts(false, false);
    park.wait(999);
    assert!(park.lanes.is_empty() && park.facts.is_empty(), "contacts turning over");
    park.wait(1);
    assert_eq!(park.lane("main-in"), LaneRule::Open);
    assert_eq!(park.lane("main-out"), LaneRule::Open);
    assert_eq!(park.lane("tank-door"), LaneRule::Normal, "another gate's");
    assert_eq!(park.site.state_of("park"), State::Normal);
    let fault = |park: &Park, active| {
        park.facts
            .iter()
            .any(|fact| (fact.fault, fact.subject.as_str(), fact.active) == (SiteFault::FireLine, "fire-main", active))
    };
    assert!(fault(&park, true) && !fault(&park, false));
    let view = park.site.view(at(park.now));
    assert_eq!(view.proposals.len(), 1);
    assert_eq!((view.proposals[0].state, view.proposals[0].lapses_s), (State::Evacuate, None), "it waits for a person");
    assert_eq!((view.fire[0].line, view.fire[0].why), (LineState::Broken, Some("contacts_equal")));

    let reset = Action::ResetFire { input: "fire-main".into(), reason: "已修复".into() };
    assert!(park.act(reset.clone(), &lead()).is_err(), "not while it is broken");
    park.contacts(false, true);
    assert!(fault(&park, false));
    assert!(park.site.view(at(park.now)).proposals.is_empty(), "its cause is gone");
    assert_eq!(park.lane("main-in"), LaneRule::Open, "until a person resets it");
    park.act(reset, &lead()).unwrap();
    assert_eq!(park.lane("main-in"), LaneRule::Normal);
}

#[test]
fn a_lost_module_is_a_broken_line_and_one_lost_answer_is_not() {
    let mut park = Park::quiet(book());
    park.give("loop", lost());
    park.wait(900);
    park.read("loop", 6.0);
    park.wait(5_000);
    assert!(park.lanes.is_empty());
    park.rest();
    park.wait(9_999);
    park.contacts(false, true);
    assert!(park.lanes.is_empty());
    park.wait(1_001);
    assert_eq!(park.lane("tank-in"), LaneRule::NoEntry, "as it declares");
    assert_eq!(park.lane("tank-door"), LaneRule::Open, "silence is no rest");
    assert_eq!(park.site.view(at(park.now)).fire[1].why, Some("lost"));
}

#[test]
fn a_line_that_never_speaks_is_broken_soon_after_the_start() {
    let mut park = Park::new(book());
    park.wait(29_999);
    assert!(park.lanes.is_empty());
    park.wait(1);
    assert_eq!(park.lane("main-in"), LaneRule::Open);
    assert_eq!(park.lane("tank-door"), LaneRule::Open);
}

#[test]
fn a_fire_contact_beside_a_lost_one_is_a_signal_and_an_open_wire_is_none() {
    let mut park = Park::quiet(book());
    park.give("nc", lost());
    park.give("no", Reading::good(Value::Bool(true)));
    assert_eq!(park.site.state_of("park"), State::Evacuate);
    let mut park = Park::quiet(book());
    park.give("no", lost());
    park.give("nc", Reading::good(Value::Bool(false)));
    park.wait(1_000);
    assert_eq!(park.site.state_of("park"), State::Normal);
    assert_eq!(park.lane("main-in"), LaneRule::Open);
}

#[test]
fn a_restart_in_an_evacuation_orders_it_again_and_moves_nothing_else() {
    let mut park = Park::quiet(book());
    park.contacts(true, false);
    let standing = park.lanes.clone();
    let values = park.values.clone();
    park.wait(5_000);
    park.restart(book());
    assert_eq!(park.site.state_of("park"), State::Evacuate);
    assert_eq!(park.lanes, standing);
    assert_eq!(park.values, values);
    let again = park.orders.iter().filter(|order| matches!(order.what, OrderKind::Lane { .. })).count();
    assert_eq!(again, standing.len(), "each once");
    assert!(park.orders.iter().all(|order| order.key.starts_with("site-2-")), "with keys of their own");
    assert!(park.texts.len() <= 1, "nobody is told twice");

    park.contacts(true, false);
    park.act(Action::End { zone: "park".into(), reason: "误报".into() }, &lead()).unwrap();
    park.restart(book());
    assert_eq!(park.site.state_of("park"), State::Recovery, "a contact that is still closed declares nothing again");
    park.contacts(true, false);
    assert_eq!(park.site.state_of("park"), State::Recovery);
    park.contacts(false, true);
    park.contacts(true, false);
    assert_eq!(park.site.state_of("park"), State::Evacuate, "a new signal does");
}

#[test]
fn a_restart_on_a_quiet_day_moves_nothing() {
    let mut park = Park::quiet(book());
    park.declare("tanks", State::LockdownIn).unwrap();
    park.act(Action::End { zone: "tanks".into(), reason: "完".into() }, &lead()).unwrap();
    for lane in ["tank-in", "tank-door", "store-door"] {
        park.act(Action::GiveBack { lane: lane.into() }, &lead()).unwrap();
    }
    park.act(Action::Normal { zone: "tanks".into(), reason: "完".into() }, &lead()).unwrap();
    park.restart(book());
    park.rest();
    assert!(park.orders.is_empty(), "{:?}", park.orders);
}

#[test]
fn an_order_without_a_receipt_is_a_fault_and_is_said_again_until_it_is_done() {
    let mut park = Park::quiet(book());
    park.answers = false;
    park.contacts(true, false);
    // A text has longer: its sender tries.
    let given = park.orders.iter().filter(|order| !matches!(order.what, OrderKind::Message { .. })).count();
    park.wait(10_000);
    let faults = |park: &Park, active| {
        park.facts
            .iter()
            .filter(|f| f.fault == SiteFault::Order && f.subject == "lane.main-out" && f.active == active)
            .count()
    };
    assert_eq!((faults(&park, true), faults(&park, false)), (1, 0));
    let unanswered = park.records.iter().filter(|(_, r)| matches!(r, SiteRecord::Unanswered { .. })).count();
    assert_eq!(unanswered, given, "one each");
    park.answers = true;
    park.wait(120_000);
    assert_eq!((faults(&park, true), faults(&park, false)), (1, 1));
    assert_eq!(park.site.view(at(park.now)).lanes[1].order, Some("done"));
}

#[test]
fn two_detectors_at_level_2_in_one_zone_propose_once_and_withdraw() {
    let mut park = Park::quiet(book());
    park.gas("g1", "tanks", 2);
    park.gas("g2", "office", 2);
    park.gas("g3", "tanks", 1);
    assert!(park.site.view(at(0)).proposals.is_empty(), "not in one zone, not at level 2");
    park.gas("g3", "tanks", 2);
    let number = park.site.view(at(0)).proposals[0].proposal;
    assert_eq!(park.site.state_of("tanks"), State::Normal, "a person confirms");
    park.act(Action::Reject { proposal: number, reason: "检修".into() }, &lead()).unwrap();
    park.gas("g3", "tanks", 2);
    assert!(park.site.view(at(0)).proposals.is_empty(), "it does not argue");
    park.gas("g4", "tanks", 2);
    assert_eq!(park.site.view(at(0)).proposals.len(), 1, "but one more is news");
    for uid in ["g1", "g3", "g4"] {
        park.gas(uid, "tanks", 0);
    }
    assert!(park.site.view(at(0)).proposals.is_empty());
}

#[test]
fn a_rule_that_acts_ends_a_drill_and_acts() {
    let mut acting = book();
    acting.rules[0].acts = true;
    let mut park = Park::quiet(acting);
    let drill = Action::StartDrill {
        zone: "office".into(),
        rehearses: State::Shelter,
        barriers: false,
        comment: String::new(),
    };
    park.act(drill, &lead()).unwrap();
    park.gas("g1", "store", 2);
    park.gas("g2", "store", 2);
    assert_eq!(park.site.state_of("store"), State::Evacuate);
    assert_eq!(park.site.state_of("office"), State::Normal);
    assert_eq!(park.lane("store-door"), LaneRule::RescueOnly);
    assert_eq!(park.lane("tank-door"), LaneRule::Open, "the way out");
    assert!(matches!(
        park.records.iter().rfind(|(_, r)| matches!(r, SiteRecord::State { .. })),
        Some((Mode::Real, SiteRecord::State { cause: Cause::Rule(_), .. }))
    ));
}

#[test]
fn a_key_declares_once_for_each_turn() {
    let mut park = Park::quiet(book());
    park.read("key", 1.0);
    assert_eq!(park.site.state_of("tanks"), State::Shelter);
    park.act(Action::End { zone: "tanks".into(), reason: "完".into() }, &lead()).unwrap();
    park.read("key", 1.0);
    park.restart(book());
    park.read("key", 1.0);
    assert_eq!(park.site.state_of("tanks"), State::Recovery);
    park.give("key", lost());
    assert!(park.facts.iter().any(|fact| fact.fault == SiteFault::Key && fact.active));
    park.read("key", 0.0);
    park.read("key", 1.0);
    assert_eq!(park.site.state_of("tanks"), State::Shelter);
}

#[test]
fn the_city_proposes_only_what_it_was_given() {
    let mut park = Park::quiet(book());
    let command = |issuer: &str, state| CityCommand {
        id: "c-1".into(),
        issuer: issuer.into(),
        what: CityOrder::State { zone: "park".into(), state, reason: String::new() },
    };
    assert!(park.site.handle_command(command("stranger", State::Evacuate), at(0)).is_err());
    assert!(park.site.handle_command(command("city", State::LockdownIn), at(0)).is_err());
    let number = park.site.handle_command(command("city", State::Evacuate), at(0)).unwrap().number.unwrap();
    park.drain();
    assert!(park.lanes.is_empty());
    park.act(Action::Confirm { proposal: number }, &lead()).unwrap();
    assert_eq!(park.lane("main-out"), LaneRule::Open);
}
