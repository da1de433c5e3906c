//! Facts and the model of `delivery.rs`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::held::{HELD_BYTES, HELD_RECORDS};
use super::*;

const TIMEOUT: Duration = Duration::from_secs(60);

fn fresh(mode: AckMode) -> Delivery<()> {
    let mut delivery = Delivery::new(mode, TIMEOUT, false, RangeSet::new(), 0, 1);
    delivery.on_up();
    delivery
}

fn at(secs: u64) -> Mono {
    Mono::from_secs(secs)
}

/// Sends up to `n` records of `lane`; returns their numbers.
fn send(delivery: &mut Delivery<()>, lane: Lane, n: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < n && delivery.head(lane).is_some() {
        seqs.extend(delivery.pop(lane).map(|q| q.seq));
    }
    let ranges: RangeSet = seqs.iter().map(|s| *s..=*s).collect();
    delivery.on_sent(&ranges.iter().collect::<Vec<_>>());
    seqs
}

fn read_all(delivery: &mut Delivery<()>, now: Mono) {
    while let Some(read) = delivery.wants_read(now) {
        let items = read.seqs.clone().map(|s| (s, 1, ())).collect();
        delivery.on_page(&read, items, &[], now);
    }
}

#[test]
fn what_the_platform_has_is_delivered_and_what_only_the_broker_has_is_not() {
    let mut delivery = fresh(AckMode::Platform);
    delivery.on_live(1, (), 1, at(0));
    delivery.on_live(2, (), 1, at(0));
    assert_eq!(send(&mut delivery, Lane::Live, 9), [1, 2]);
    assert_eq!(delivery.on_puback(vec![1..=2], at(1)), 0);
    assert_eq!(delivery.on_ack(&[1..=1]), Acked { new: 1, unsent: false });
    assert_eq!(delivery.take_fresh(), [1..=1]);
    assert_eq!(delivery.status().in_flight, 1);
}

#[test]
fn without_an_ack_in_time_the_same_number_is_sent_again_as_history() {
    let mut delivery = fresh(AckMode::Platform);
    delivery.on_live(1, (), 1, at(0));
    delivery.on_committed(1, 2);
    send(&mut delivery, Lane::Live, 9);
    delivery.on_puback(vec![1..=1], at(1));
    assert_eq!(delivery.expire(at(60)), 0);
    assert_eq!(delivery.expire(at(61)), 1);
    read_all(&mut delivery, at(61));
    assert_eq!(send(&mut delivery, Lane::History, 9), [1]);
    assert_eq!(delivery.status().resent, 1);
}

#[test]
fn an_ack_for_what_was_never_sent_delivers_nothing() {
    let mut delivery = fresh(AckMode::Platform);
    for seq in 1..=3 {
        delivery.on_live(seq, (), 1, at(0));
    }
    send(&mut delivery, Lane::Live, 2);
    assert_eq!(delivery.on_ack(&[1..=3]), Acked { new: 2, unsent: true });
    assert_eq!(delivery.on_ack(&[1..=u64::MAX]), Acked { new: 0, unsent: true });
    assert_eq!(delivery.on_ack(&[1..=2]), Acked { new: 0, unsent: false });
    assert_eq!(delivery.take_fresh(), [1..=2]);
}

#[test]
fn a_record_dropped_from_the_live_channel_comes_as_history() {
    let mut delivery = fresh(AckMode::Broker);
    delivery.on_live(1, (), 1, at(0));
    delivery.on_live(4, (), 1, at(0));
    delivery.on_committed(4, 5);
    let read = delivery.wants_read(at(0)).unwrap();
    let items = read.seqs.clone().map(|s| (s, 1, ())).collect();
    delivery.on_page(&read, items, &[], at(0));
    assert_eq!(send(&mut delivery, Lane::History, 9), [2, 3]);
    assert_eq!(delivery.wants_read(at(0)), None);
}

#[test]
fn the_last_record_dropped_from_the_live_channel_comes_as_history_once_it_is_settled() {
    let mut delivery = fresh(AckMode::Broker);
    delivery.on_committed(1, 2);
    assert_eq!(delivery.wants_read(at(0)), None);
    delivery.settle();
    delivery.settle();
    assert_eq!(delivery.wants_read(at(1)).map(|r| r.seqs), Some(1..=1));
}

#[test]
fn after_a_reconnect_everything_not_delivered_is_history_below_the_live_start() {
    let mut delivery = fresh(AckMode::Broker);
    for seq in 1..=4 {
        delivery.on_live(seq, (), 1, at(0));
    }
    send(&mut delivery, Lane::Live, 4);
    delivery.on_puback(vec![1..=1], at(0));
    delivery.on_down();
    delivery.on_live(5, (), 1, at(1));
    delivery.on_committed(5, 6);
    delivery.on_up();
    delivery.on_live(6, (), 1, at(2));
    assert_eq!(send(&mut delivery, Lane::Live, 9), [6]);
    read_all(&mut delivery, at(2));
    assert_eq!(send(&mut delivery, Lane::History, 9), [2, 3, 4, 5]);
}

#[test]
fn numbers_in_gaps_are_passed_over_and_do_not_wait() {
    let mut delivery = Delivery::<()>::new(AckMode::Broker, TIMEOUT, false, RangeSet::new(), 9, 10);
    delivery.on_up();
    let read = delivery.wants_read(at(0)).unwrap();
    delivery.on_page(&read, vec![(1, 1, ()), (9, 1, ())], &[2..=8], at(0));
    assert_eq!(send(&mut delivery, Lane::History, 9), [1, 9]);
    assert_eq!(delivery.status().waiting, 2);
    assert_eq!(delivery.wants_read(at(0)), None);
}

#[test]
fn numbers_in_gaps_do_not_wait_before_the_first_session_either() {
    let mut delivery = Delivery::<()>::new(AckMode::Platform, TIMEOUT, false, RangeSet::new(), 9, 10);
    assert_eq!(delivery.status().waiting, 9);
    delivery.on_gap(2..=8);
    assert_eq!(delivery.status().waiting, 2);
    delivery.on_up();
    let read = delivery.wants_read(at(0)).unwrap();
    delivery.on_page(&read, vec![(1, 1, ()), (3, 1, ()), (9, 1, ())], &[2..=2, 4..=8], at(0));
    assert_eq!(send(&mut delivery, Lane::History, 9), [1, 3, 9]);
    assert_eq!(delivery.status().waiting, 3);
}

#[test]
fn what_was_salvaged_later_is_found_by_the_recheck() {
    let mut delivery = Delivery::<()>::new(AckMode::Broker, TIMEOUT, false, RangeSet::new(), 3, 4);
    delivery.on_up();
    let read = delivery.wants_read(at(0)).unwrap();
    delivery.on_page(&read, vec![(3, 1, ())], &[1..=2], at(0));
    assert_eq!(send(&mut delivery, Lane::History, 9), [3]);
    delivery.recheck();
    let again = delivery.wants_read(at(600)).unwrap();
    delivery.on_page(&again, vec![(1, 1, ()), (3, 1, ())], &[2..=2], at(600));
    assert_eq!(send(&mut delivery, Lane::History, 9), [1]);
    assert_eq!(delivery.status().waiting, 2);
    assert_eq!(delivery.wants_read(at(600)), None);
}

#[test]
fn an_answer_to_a_read_of_the_session_before_is_ignored() {
    let mut delivery = Delivery::<()>::new(AckMode::Broker, TIMEOUT, false, RangeSet::new(), 3, 4);
    delivery.on_up();
    let old = delivery.wants_read(at(0)).unwrap();
    delivery.on_down();
    delivery.on_up();
    delivery.on_page(&old, vec![(1, 1, ())], &[2..=3], at(0));
    assert_eq!(delivery.wants_read(at(0)).map(|r| r.seqs), Some(1..=3));
}

#[test]
fn an_urgent_record_that_is_not_stored_survives_the_outage_in_memory() {
    let mut delivery = Delivery::new(AckMode::Platform, TIMEOUT, true, RangeSet::new(), 0, 1);
    delivery.on_live(1, (), 1, at(0));
    delivery.on_live(2, (), 1, at(0));
    delivery.on_committed(1, 3);
    delivery.on_up();
    assert_eq!(send(&mut delivery, Lane::Live, 9), [2]);
    read_all(&mut delivery, at(1));
    assert_eq!(send(&mut delivery, Lane::History, 9), [1]);
}

fn holding(mode: AckMode) -> Delivery<()> {
    let mut delivery = Delivery::new(mode, TIMEOUT, true, RangeSet::new(), 0, 1);
    delivery.on_up();
    delivery
}

#[test]
fn an_alarm_told_unstored_and_cut_off_before_its_puback_is_told_again_although_the_store_never_commits() {
    let mut delivery = holding(AckMode::Broker);
    for seq in 1..=3 {
        delivery.on_live(seq, (), 1, at(0));
    }
    assert_eq!(send(&mut delivery, Lane::Live, 2), [1, 2]);
    delivery.on_puback(vec![1..=1], at(0));
    delivery.on_down();
    delivery.on_live(4, (), 1, at(1));
    delivery.on_up();
    assert_eq!(send(&mut delivery, Lane::Live, 9), [2, 3, 4]);
    delivery.on_puback(vec![2..=4], at(2));
    assert_eq!((delivery.status().waiting, delivery.status().let_go), (0, 0));
}

#[test]
fn an_alarm_told_unstored_that_the_platform_does_not_acknowledge_is_told_again() {
    let mut delivery = holding(AckMode::Platform);
    delivery.on_live(1, (), 1, at(0));
    assert_eq!(send(&mut delivery, Lane::Live, 9), [1]);
    delivery.on_puback(vec![1..=1], at(1));
    delivery.on_live(2, (), 1, at(60));
    assert_eq!(delivery.expire(at(61)), 1);
    assert_eq!(send(&mut delivery, Lane::Live, 9), [1, 2]);
    assert_eq!(delivery.on_ack(&[1..=2]), Acked { new: 2, unsent: false });
}

#[test]
fn an_alarm_that_the_store_has_by_now_is_history_and_told_once() {
    let mut delivery = holding(AckMode::Platform);
    delivery.on_live(1, (), 1, at(0));
    send(&mut delivery, Lane::Live, 9);
    delivery.on_down();
    delivery.on_committed(1, 2);
    delivery.on_up();
    assert_eq!(send(&mut delivery, Lane::Live, 9), [0; 0]);
    read_all(&mut delivery, at(1));
    assert_eq!(send(&mut delivery, Lane::History, 9), [1]);
}

#[test]
fn an_alarm_that_the_store_refused_is_told_from_memory_between_those_it_took() {
    let mut delivery = holding(AckMode::Platform);
    for seq in 1..=4 {
        delivery.on_live(seq, (), 1, at(0));
    }
    send(&mut delivery, Lane::Live, 4);
    // The stream was full for 2 and 3, and goes on with 4; the session breaks.
    delivery.on_committed(4, 5);
    delivery.on_down();
    delivery.on_up();
    let read = delivery.wants_read(at(0)).unwrap();
    delivery.on_page(&read, vec![(1, 1, ()), (4, 1, ())], &[2..=3], at(0));
    assert!(!delivery.is_stored(2) && delivery.is_stored(4));
    assert_eq!(send(&mut delivery, Lane::History, 9), [1, 2, 3, 4]);
    assert_eq!(delivery.status().waiting, 4);
    // The gap is known now: after the next break they need no store at all.
    delivery.on_down();
    delivery.on_gap(2..=3);
    delivery.on_up();
    assert_eq!(send(&mut delivery, Lane::Live, 9), [2, 3]);
    assert_eq!(delivery.on_ack(&[1..=4]).new, 4);
    assert_eq!(delivery.status().waiting, 0);
}

#[test]
fn after_a_restart_what_only_memory_has_is_told_again_although_the_store_has_a_gap_in_its_place() {
    let delivered: RangeSet = [1..=2].into_iter().collect();
    let mut delivery = Delivery::new(AckMode::Platform, TIMEOUT, true, delivered, 4, 7);
    delivery.on_gap(2..=3);
    // Whoever made them hands them over: 2 is delivered, 3 was refused by the store, 5 and 6 wait for its disk.
    [2, 3, 5, 6].into_iter().for_each(|seq| delivery.on_live(seq, (), 1, at(0)));
    delivery.on_up();
    assert!(!delivery.is_stored(3) && delivery.is_stored(4));
    assert_eq!(send(&mut delivery, Lane::Live, 9), [3, 5, 6]);
    read_all(&mut delivery, at(1));
    assert_eq!(send(&mut delivery, Lane::History, 9), [4]);
    assert_eq!(delivery.on_ack(&[3..=6]).new, 4);
    assert_eq!(delivery.status().waiting, 0);
}

#[test]
fn memory_has_an_end_and_what_nobody_has_beyond_it_is_counted() {
    let mut delivery = holding(AckMode::Platform);
    let held = HELD_RECORDS as u64;
    for seq in 1..=held {
        delivery.on_live(seq, (), 1, at(0));
    }
    assert_eq!(send(&mut delivery, Lane::Live, 10).len(), 10);
    delivery.on_committed(4, held + 1);
    for seq in held + 1..=held + 6 {
        delivery.on_live(seq, (), 1, at(0));
    }
    assert_eq!(delivery.status().let_go, 2, "the store has 1 to 4");
    delivery.on_down();
    delivery.on_up();
    assert_eq!(send(&mut delivery, Lane::Live, 3), [7, 8, 9]);
    delivery.on_live(held + 7, (), HELD_BYTES, at(0));
    assert_eq!(delivery.status().let_go, 2 + held, "for one as large as all of it");
}

#[test]
fn a_resend_makes_delivered_numbers_history_again() {
    let delivered: RangeSet = [1..=10].into_iter().collect();
    let mut delivery = Delivery::<()>::new(AckMode::Platform, TIMEOUT, false, delivered, 10, 11);
    delivery.on_up();
    assert_eq!(delivery.resend(3..=4), 2);
    read_all(&mut delivery, at(0));
    assert_eq!(send(&mut delivery, Lane::History, 9), [3, 4]);
}

#[test]
fn what_is_taken_back_below_the_records_read_already_is_read_when_these_are_gone_and_not_over_and_over() {
    let delivered: RangeSet = [1..=10].into_iter().collect();
    let mut delivery = Delivery::<()>::new(AckMode::Platform, TIMEOUT, false, delivered, 13, 14);
    delivery.on_up();
    read_all(&mut delivery, at(0));
    assert_eq!(delivery.resend(3..=4), 2);
    assert_eq!(delivery.wants_read(at(0)), None, "it could not be queued before 11");
    assert_eq!(send(&mut delivery, Lane::History, 9), [11, 12, 13]);
    read_all(&mut delivery, at(0));
    assert_eq!(send(&mut delivery, Lane::History, 9), [3, 4]);
}

/// What happens to the account from outside.
#[derive(Clone, Debug)]
enum Step {
    /// Records are made; some do not fit into the channel.
    Make(u8, u8),
    Commit,
    Settle,
    Recheck,
    Read(u8),
    Send(Lane, u8),
    /// The broker acknowledges the oldest message in flight.
    PubAck,
    /// The platform acknowledges a part of what it has (again).
    Ack(u64, u64),
    Down,
    Up,
    Later(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u8..20, any::<u8>()).prop_map(|(n, drops)| Step::Make(n, drops)),
        3 => Just(Step::Commit),
        2 => Just(Step::Settle),
        1 => Just(Step::Recheck),
        4 => (1u8..12).prop_map(Step::Read),
        4 => (1u8..8).prop_map(|n| Step::Send(Lane::Live, n)),
        4 => (1u8..8).prop_map(|n| Step::Send(Lane::History, n)),
        6 => Just(Step::PubAck),
        4 => (1u64..150, 0u64..40).prop_map(|(from, n)| Step::Ack(from, n)),
        1 => Just(Step::Down),
        2 => Just(Step::Up),
        1 => (1u8..90).prop_map(Step::Later),
    ]
}

/// The world around the account: store, broker, platform.
struct World {
    delivery: Delivery<()>,
    mode: AckMode,
    /// Whether memory keeps what the store does not have.
    hold: bool,
    /// Whether the store ever commits anything.
    commits: bool,
    /// What came through the live channel.
    given: BTreeSet<u64>,
    now: u64,
    next: u64,
    committed: u64,
    up: bool,
    flight: VecDeque<Vec<u64>>,
    at_broker: BTreeSet<u64>,
    sent: BTreeSet<u64>,
    told: BTreeSet<u64>,
    last: [u64; 2],
    again: bool,
}

impl World {
    fn new(mode: AckMode, hold: bool, commits: bool) -> Self {
        Self {
            delivery: Delivery::new(mode, TIMEOUT, hold, RangeSet::new(), 0, 1),
            mode,
            hold,
            commits,
            given: BTreeSet::new(),
            now: 0,
            next: 1,
            committed: 0,
            up: false,
            flight: VecDeque::new(),
            at_broker: BTreeSet::new(),
            sent: BTreeSet::new(),
            told: BTreeSet::new(),
            last: [0, 0],
            again: false,
        }
    }

    /// Numbers 7, 14, … are never in the store: a gap. Memory may have them.
    fn in_gap(seq: u64) -> bool {
        seq.is_multiple_of(7)
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Make(n, drops) => self.make(*n, *drops),
            Step::Commit if !self.commits => {}
            Step::Commit => {
                self.committed = self.next - 1;
                self.delivery.on_committed(self.committed, self.next);
            }
            Step::Settle => self.delivery.settle(),
            Step::Recheck => self.delivery.recheck(),
            Step::Read(n) => self.read(*n),
            Step::Send(lane, n) => self.send(*lane, *n),
            Step::PubAck => self.puback(),
            Step::Ack(from, n) => self.ack(*from, *n),
            Step::Down => self.connect(false),
            Step::Up => self.connect(true),
            Step::Later(secs) => {
                self.now += u64::from(*secs);
                self.again |= self.delivery.expire(at(self.now)) > 0;
            }
        }
        for range in self.delivery.take_fresh() {
            self.told.extend(range);
        }
        assert!(self.told.is_subset(&self.sent), "delivered what was never sent");
        if self.mode == AckMode::Broker {
            assert!(self.told.is_subset(&self.at_broker), "delivered what the broker does not have");
        }
    }

    fn make(&mut self, n: u8, drops: u8) {
        for i in 0..n {
            let seq = self.next;
            self.next += 1;
            let comes_live = drops >> (i % 8) & 1 == 0;
            if comes_live && (self.hold || !Self::in_gap(seq)) {
                self.delivery.on_live(seq, (), 1, at(self.now));
                self.given.insert(seq);
            }
        }
    }

    fn connect(&mut self, up: bool) {
        self.flight.clear();
        self.up = up;
        (self.last, self.again) = ([0, 0], false);
        if up { self.delivery.on_up() } else { self.delivery.on_down() }
    }

    fn read(&mut self, n: u8) {
        let Some(read) = self.delivery.wants_read(at(self.now)) else { return };
        let seqs: Vec<u64> = read.seqs.clone().take(n.into()).collect();
        let (gaps, items): (Vec<u64>, Vec<u64>) = seqs.into_iter().partition(|s| Self::in_gap(*s));
        let missing: Vec<_> = gaps.into_iter().map(|s| s..=s).collect();
        self.delivery.on_page(&read, items.into_iter().map(|s| (s, 1, ())).collect(), &missing, at(self.now));
    }

    fn send(&mut self, lane: Lane, n: u8) {
        if !self.up {
            return;
        }
        let seqs = send(&mut self.delivery, lane, n.into());
        for seq in &seqs {
            let last = &mut self.last[lane as usize];
            assert!(self.again || *seq > *last, "{lane:?} went back from {last} to {seq}");
            *last = *seq;
        }
        self.sent.extend(&seqs);
        if !seqs.is_empty() {
            self.flight.push_back(seqs);
        }
    }

    fn puback(&mut self) {
        let Some(seqs) = self.flight.pop_front() else { return };
        let ranges: RangeSet = seqs.iter().map(|s| *s..=*s).collect();
        self.at_broker.extend(seqs);
        self.delivery.on_puback(ranges.iter().collect(), at(self.now));
    }

    fn ack(&mut self, from: u64, n: u64) {
        if self.mode == AckMode::Platform {
            self.delivery.on_ack(&[from..=from + n]);
        }
    }

    /// The faults stop: everything that is owed must arrive, within `ROUNDS`.
    fn heal(&mut self, owed: usize) {
        const ROUNDS: usize = 400;
        self.connect(true);
        for _ in 0..ROUNDS {
            let status = self.delivery.status();
            // Gaps wait until they were looked for; without a store they do so for ever.
            let open = status.in_flight + if self.commits { status.waiting } else { 0 };
            if self.told.len() >= owed && open == 0 {
                break;
            }
            for step in [Step::Commit, Step::Settle, Step::Read(50), Step::Send(Lane::Live, 50)] {
                self.take(&step);
            }
            for step in [Step::Send(Lane::History, 50), Step::PubAck, Step::PubAck, Step::Later(61)] {
                self.take(&step);
            }
            if self.mode == AckMode::Platform {
                let have: RangeSet = self.at_broker.iter().map(|s| *s..=*s).collect();
                self.delivery.on_ack(&have.iter().collect::<Vec<_>>());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_number_that_store_or_memory_has_is_delivered_and_none_before_it_was_sent(
        steps in proptest::collection::vec(step(), 1..150),
        platform in any::<bool>(),
        hold in any::<bool>(),
        broken in any::<bool>(),
    ) {
        let mode = if platform { AckMode::Platform } else { AckMode::Broker };
        // Without a store only memory is left.
        let commits = !(hold && broken);
        let mut world = World::new(mode, hold, commits);
        for step in &steps {
            world.take(step);
        }
        let stored = |seq: &u64| commits && !World::in_gap(*seq);
        let held = |seq: &u64| hold && world.given.contains(seq);
        let owed: BTreeSet<u64> = (1..world.next).filter(|seq| stored(seq) || held(seq)).collect();
        world.heal(owed.len());
        prop_assert_eq!(&world.told, &owed);
        prop_assert_eq!(world.delivery.status().in_flight, 0);
        prop_assert_eq!(world.delivery.status().let_go, 0);
        if commits {
            prop_assert_eq!(world.delivery.status().waiting, 0);
        }
    }
}
