//! The answers that the slaves of a bus still owe, and how a question is put so that a late one cannot pass for its answer.
//! Pure.
//!
//! An RTU answer carries neither a number nor an address: all that tells two answers of one slave apart is the function and
//! how many bytes of data there are ([`Shape`]). So a slave that did not answer in time is asked next for something whose
//! answer has a shape that none of its late answers can have: the same place, but fewer registers ([`Owed::question`]).
//!
//! ```text
//!  asked 16, no answer ──▶ rest ──▶ asked 15 (a probe) ──16 come──▶ late: counted, thrown away ──15 come──▶ nothing is owed
//!                                       │                              any more: asked 16 again, and so on
//!                                       └─no answer──▶ rest ──▶ asked 14 … each time a shape of its own
//! ```
//!
//! What settles a debt:
//!
//! | what came | what is owed after it |
//! |---|---|
//! | the answer to the question, told apart by its shape | nothing: a slave answers in the order in which it was asked |
//! | a late answer | nothing up to the oldest question that it fits; what was asked later stays |
//! | an exception, where no older question used the same function | nothing: it is the answer |
//! | an exception, where one did | nothing up to the oldest question of that function. It has no length and may be either's, so it is nobody's answer; the next probe goes to another table, where an exception says whose it is |
//! | nothing for [`HORIZON`] after it was given up | nothing of that question |
//!
//! Where every shape is owed, the slave is not asked before one of them is too old.
//!
//! **What cannot be told:** an answer that comes more than [`HORIZON`] after its request was given up; answers of a slave
//! that does not answer in the order asked (a slave has one request in hand; lines and serial servers keep the order);
//! answers to what another run of the gateway asked, within the first moment after its start.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::settings::Table;
use super::class::Ask;
use super::plan::Limits;
use super::rtu::{Shape, Stray, shape_of};
use crate::domain::time::Mono;

/// A question given up longer ago than this is not answered any more: no radio, serial server or busy controller holds an
/// answer back for a minute. Debts are bounded by it as well: a slave is asked once per back-off step meanwhile.
pub const HORIZON: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub struct Owed {
    units: BTreeMap<u8, Debt>,
}

/// What one slave owes, the oldest first.
#[derive(Debug, Default)]
struct Debt {
    asked: Vec<Asked>,
    /// Whether exceptions came that could be anybody's: then the next probe goes where they cannot.
    ambiguous: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    shape: Shape,
    sent: Mono,
    given_up: Mono,
}

/// How to put a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// As it is: no late answer looks like its answer.
    AsIs,
    /// Not before this was answered; its values mean nothing.
    Probe(Ask),
    /// Not at all before then.
    NotBefore(Mono),
}

impl Owed {
    /// Notes that `unit` did not answer `ask`, sent at `sent` and given up at `now`.
    pub fn in_vain(&mut self, unit: u8, ask: Ask, sent: Mono, now: Mono) {
        let debt = self.units.entry(unit).or_default();
        debt.forget_old(now);
        debt.asked.push(Asked { shape: shape_of(ask), sent, given_up: now });
    }

    /// Notes that `unit` answered what it was asked last: whatever was asked before is never answered any more.
    pub fn answered(&mut self, unit: u8) {
        self.units.remove(&unit);
    }

    /// Takes a frame that was no answer. Returns how late it was, where it is an answer that was owed.
    pub fn late(&mut self, stray: Stray, now: Mono) -> Option<Duration> {
        let debt = self.units.get_mut(&stray.unit)?;
        let fits = |asked: &Asked| match stray.shape {
            Shape::Exception { function } => asked.shape.function() == function,
            shape @ Shape::Values { .. } => asked.shape == shape,
        };
        let at = debt.asked.iter().position(fits)?;
        let sent = debt.asked.drain(..=at).next_back()?.sent;
        debt.ambiguous |= matches!(stray.shape, Shape::Exception { .. });
        Some(now.since(sent))
    }

    /// Returns whether an exception to `ask` can only be its answer.
    pub fn tells_exceptions(&self, unit: u8, ask: Ask, now: Mono) -> bool {
        let function = shape_of(ask).function();
        self.of(unit, now).all(|asked| asked.shape.function() != function)
    }

    /// Returns how to put a question to `unit`. `known` are places that the slave is known to have, the likeliest first.
    pub fn question(
        &self,
        unit: u8,
        ask: Ask,
        known: impl IntoIterator<Item = Ask>,
        limits: &Limits,
        now: Mono,
    ) -> Question {
        let ambiguous = self.units.get(&unit).is_some_and(|debt| debt.ambiguous);
        let apart = |ask: &Ask| self.of(unit, now).all(|asked| asked.shape != shape_of(*ask));
        if apart(&ask) && (!ambiguous || self.tells_exceptions(unit, ask, now)) {
            return Question::AsIs;
        }
        let mut probe = None;
        for candidate in known.into_iter().chain(elsewhere(ask)).chain(longer(ask, limits)).filter(apart) {
            if !ambiguous || self.tells_exceptions(unit, candidate, now) {
                return Question::Probe(candidate);
            }
            probe = probe.or(Some(candidate));
        }
        let oldest = || self.of(unit, now).map(|asked| asked.given_up + HORIZON).min().unwrap_or(now);
        probe.map_or_else(|| Question::NotBefore(oldest()), Question::Probe)
    }

    fn of(&self, unit: u8, now: Mono) -> impl Iterator<Item = &Asked> {
        self.units.get(&unit).into_iter().flat_map(|debt| &debt.asked).filter(move |asked| !asked.is_old(now))
    }
}

impl Debt {
    fn forget_old(&mut self, now: Mono) {
        self.asked.retain(|asked| !asked.is_old(now));
        self.ambiguous &= !self.asked.is_empty();
    }
}

impl Asked {
    fn is_old(&self, now: Mono) -> bool {
        now.since(self.given_up) > HORIZON
    }
}

/// One register or bit of each other table. A slave that has none there says so, which is as good an answer.
fn elsewhere(ask: Ask) -> impl Iterator<Item = Ask> {
    let tables = [Table::Holding, Table::Input, Table::Coil, Table::Discrete];
    tables.into_iter().filter(move |table| *table != ask.table).map(move |table| Ask { table, count: 1, ..ask })
}

/// More of the same, as far as one request and the table go.
fn longer(ask: Ask, limits: &Limits) -> impl Iterator<Item = Ask> + use<> {
    let room = u32::from(u16::MAX) + 1 - u32::from(ask.start);
    let most = u16::try_from(limits.max(ask.table).min(room)).unwrap_or(u16::MAX);
    (ask.count.saturating_add(1)..=most).map(move |count| Ask { count, ..ask })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::rtu::{Found, Receiver, request, sealed};
    use super::super::{Answer, function_of};
    use super::*;
    use proptest::prelude::*;

    const UNIT: u8 = 7;
    const BLOCK: Ask = Ask { table: Table::Holding, start: 100, count: 4 };
    const LIMITS: Limits = Limits { max_registers: 125, max_bits: 2000, max_register_hole: 8, max_bit_hole: 32 };

    fn at(ms: u64) -> Mono {
        Mono::from_secs(1_000) + Duration::from_millis(ms)
    }

    fn prefixes(ask: Ask) -> impl Iterator<Item = Ask> {
        (1..=ask.count).rev().map(move |count| Ask { count, ..ask })
    }

    fn put(owed: &Owed, ask: Ask, now: Mono) -> Question {
        owed.question(UNIT, ask, prefixes(ask), &LIMITS, now)
    }

    fn stray(ask: Ask) -> Stray {
        Stray { unit: UNIT, shape: shape_of(ask) }
    }

    fn exception(ask: Ask) -> Stray {
        Stray { unit: UNIT, shape: Shape::Exception { function: function_of(ask.table) } }
    }

    #[test]
    fn after_a_silence_the_slave_is_asked_for_fewer_registers_until_it_has_answered() {
        let mut owed = Owed::default();
        assert_eq!(put(&owed, BLOCK, at(0)), Question::AsIs);
        owed.in_vain(UNIT, BLOCK, at(0), at(300));
        let three = Ask { count: 3, ..BLOCK };
        assert_eq!(put(&owed, BLOCK, at(900)), Question::Probe(three));
        let elsewhere = Ask { start: 900, ..BLOCK };
        assert_ne!(put(&owed, elsewhere, at(900)), Question::AsIs, "another block of the same length");
        assert_eq!(owed.question(8, BLOCK, [], &LIMITS, at(900)), Question::AsIs, "another slave");
        owed.in_vain(UNIT, three, at(900), at(1_200));
        assert_eq!(put(&owed, BLOCK, at(2_000)), Question::Probe(Ask { count: 2, ..BLOCK }), "several in a row");
        owed.answered(UNIT);
        assert_eq!(put(&owed, BLOCK, at(2_100)), Question::AsIs);
    }

    #[test]
    fn a_late_answer_settles_what_was_asked_before_it_and_nothing_later() {
        let mut owed = Owed::default();
        let three = Ask { count: 3, ..BLOCK };
        owed.in_vain(UNIT, BLOCK, at(0), at(300));
        owed.in_vain(UNIT, three, at(900), at(1_200));
        assert_eq!(owed.late(stray(Ask { count: 9, ..BLOCK }), at(1_300)), None, "nobody asked for nine");
        assert_eq!(owed.late(stray(BLOCK), at(1_400)), Some(Duration::from_millis(1_400)));
        assert_eq!(put(&owed, BLOCK, at(1_500)), Question::AsIs);
        assert!(matches!(put(&owed, three, at(1_500)), Question::Probe(_)));
        owed.in_vain(UNIT, BLOCK, at(1_500), at(1_800));
        assert!(owed.late(stray(BLOCK), at(1_900)).is_some());
        assert_eq!(put(&owed, three, at(2_000)), Question::AsIs, "asked before what has come");
    }

    #[test]
    fn an_exception_that_may_be_anybodys_is_nobodys_and_the_next_probe_goes_where_it_tells() {
        let mut owed = Owed::default();
        owed.in_vain(UNIT, BLOCK, at(0), at(300));
        let Question::Probe(probe) = put(&owed, BLOCK, at(900)) else { panic!("a probe") };
        assert!(!owed.tells_exceptions(UNIT, probe, at(900)));
        owed.in_vain(UNIT, probe, at(900), at(1_200));
        assert!(owed.late(exception(probe), at(1_200)).is_some(), "the block's or the probe's");
        let Question::Probe(other) = put(&owed, BLOCK, at(2_000)) else { panic!("a probe, though its length is free") };
        assert_ne!(other.table, BLOCK.table);
        assert!(owed.tells_exceptions(UNIT, other, at(2_000)));
    }

    #[test]
    fn a_single_register_is_probed_elsewhere_and_then_by_its_neighbours() {
        let one = Ask { count: 1, ..BLOCK };
        let mut owed = Owed::default();
        let mut asked = vec![one];
        owed.in_vain(UNIT, one, at(0), at(300));
        for _ in 0..4 {
            let Question::Probe(probe) = put(&owed, one, at(400)) else { panic!("a probe") };
            owed.in_vain(UNIT, probe, at(400), at(500));
            asked.push(probe);
        }
        let tables: Vec<Table> = asked.iter().map(|ask| ask.table).collect();
        assert_eq!(tables, [Table::Holding, Table::Input, Table::Coil, Table::Discrete, Table::Holding]);
        assert_eq!(asked[4].count, 2);
    }

    #[test]
    fn where_every_shape_is_owed_the_slave_is_left_alone_until_one_is_too_old() {
        let last = Ask { table: Table::Holding, start: u16::MAX, count: 1 };
        let mut owed = Owed::default();
        owed.in_vain(UNIT, last, at(0), at(300));
        for _ in 0..3 {
            let Question::Probe(probe) = put(&owed, last, at(400)) else { panic!("a probe") };
            owed.in_vain(UNIT, probe, at(400), at(500));
        }
        let free = at(300) + HORIZON;
        assert_eq!(put(&owed, last, at(600)), Question::NotBefore(free));
        assert_eq!(put(&owed, last, free + Duration::from_millis(1)), Question::AsIs);
    }

    /// A slave that answers in the order asked, as late as it likes, or not at all. Its values tell what was asked.
    #[derive(Default)]
    struct Slave {
        on_its_way: VecDeque<(Mono, Vec<u8>)>,
    }

    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Lost,
        Answered { after_ms: u64 },
        Refused { after_ms: u64 },
    }

    impl Slave {
        fn hear(&mut self, ask: Ask, number: u16, fate: Fate, now: Mono) {
            let function = function_of(ask.table);
            let shape = shape_of(ask);
            let (after_ms, frame) = match (fate, shape) {
                (Fate::Lost, _) | (_, Shape::Exception { .. }) => return,
                (Fate::Refused { after_ms }, _) => (after_ms, sealed(&[UNIT, function | 0x80, 6])),
                (Fate::Answered { after_ms }, Shape::Values { bytes, .. }) => {
                    let [high, low] = number.to_be_bytes();
                    let data = [high, low].into_iter().cycle().take(usize::from(bytes));
                    (after_ms, sealed(&[UNIT, function, bytes].into_iter().chain(data).collect::<Vec<_>>()))
                }
            };
            let earliest = self.on_its_way.back().map_or(now, |(before, _)| *before);
            let comes = (now + Duration::from_millis(after_ms)).max(earliest);
            // Later than the horizon is beyond what can be told.
            if comes.since(now) < HORIZON {
                self.on_its_way.push_back((comes, frame));
            }
        }

        fn come(&mut self, until: Mono) -> Option<(Mono, Vec<u8>)> {
            self.on_its_way.pop_front_if(|(comes, _)| *comes <= until)
        }
    }

    /// What the runner and the line do with a question, in virtual time: the exchange as `session/rtu.rs` has it.
    struct Line {
        owed: Owed,
        slave: Slave,
        now: Mono,
        number: u16,
    }

    const TIMEOUT: Duration = Duration::from_millis(300);

    impl Line {
        /// Returns the answer to the question as it was put, and fails when it is that of another.
        fn ask(&mut self, ask: Ask, fate: Fate) -> Option<Answer> {
            while let Some((comes, frame)) = self.slave.come(self.now) {
                for stray in super::super::rtu::strays_in(&frame).0 {
                    self.owed.late(stray, comes);
                }
            }
            self.number = self.number.wrapping_add(1);
            let (sent, until) = (self.now, self.now + TIMEOUT);
            let certain = self.owed.tells_exceptions(UNIT, ask, sent);
            let mut receiver = Receiver::new(UNIT, ask, certain);
            self.slave.hear(ask, self.number, fate, sent);
            while let Some((comes, frame)) = self.slave.come(until) {
                self.now = self.now.max(comes);
                if let Found::Answer(answer) = receiver.take(&frame) {
                    self.owed.answered(UNIT);
                    return Some(answer);
                }
            }
            self.now = until;
            self.owed.in_vain(UNIT, ask, sent, until);
            for stray in receiver.leave().strays {
                self.owed.late(stray, until);
            }
            None
        }

        /// Puts the question as the rule has it; returns the answer to it if it was put as it is and answered.
        fn put(&mut self, ask: Ask, fate: Fate) -> Option<Answer> {
            match put(&self.owed, ask, self.now) {
                Question::AsIs => self.ask(ask, fate),
                Question::Probe(probe) => self.ask(probe, fate).and(None),
                Question::NotBefore(then) => {
                    self.now = self.now.max(then) + Duration::from_millis(1);
                    None
                }
            }
        }
    }

    fn line() -> Line {
        Line { owed: Owed::default(), slave: Slave::default(), now: at(0), number: 0 }
    }

    /// Whether values are those of the question with this number; exceptions have no number.
    fn is_of(answer: &Answer, ask: Ask, number: u16) -> bool {
        let [high, low] = number.to_be_bytes();
        match answer {
            Answer::Registers(words) => words.len() == usize::from(ask.count) && words.iter().all(|w| *w == number),
            Answer::Bits(bits) => bits
                .chunks(8)
                .zip([high, low].into_iter().cycle())
                .all(|(bits, byte)| bits.iter().zip(0..).all(|(bit, place)| *bit == (byte >> place & 1 == 1))),
            Answer::Exception(_) => true,
        }
    }

    fn any_ask() -> impl Strategy<Value = Ask> {
        let tables = prop_oneof![3 => Just(Table::Holding), 1 => Just(Table::Input), 1 => Just(Table::Coil)];
        (tables, prop_oneof![Just(1_u16), Just(2), Just(4)], 0_u16..3).prop_map(|(table, count, block)| Ask {
            table,
            start: block * 50,
            count,
        })
    }

    fn any_fate() -> impl Strategy<Value = Fate> {
        let after = prop_oneof![0_u64..300, 250_u64..2_000, 0_u64..60_000];
        prop_oneof![
            1 => Just(Fate::Lost),
            4 => after.clone().prop_map(|after_ms| Fate::Answered { after_ms }),
            1 => after.prop_map(|after_ms| Fate::Refused { after_ms }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]

        /// The property that everything here is for.
        #[test]
        fn however_late_a_slave_answers_no_value_reaches_another_question(
            steps in prop::collection::vec((any_ask(), any_fate(), 0_u64..3_000), 1..60),
        ) {
            let mut line = line();
            for (ask, fate, rest) in steps {
                if let Some(answer) = line.put(ask, fate) {
                    prop_assert!(is_of(&answer, ask, line.number), "{:?} for {:?}", answer, ask);
                }
                line.now = line.now + Duration::from_millis(rest);
            }
        }

        #[test]
        fn a_slave_that_is_quick_again_is_soon_read_again(
            steps in prop::collection::vec((any_ask(), any_fate(), 0_u64..3_000), 1..20),
            refuses in any::<bool>(), ask in any_ask(),
        ) {
            let mut line = line();
            for (ask, fate, rest) in steps {
                drop(line.put(ask, fate));
                line.now = line.now + Duration::from_millis(rest);
            }
            // What is still on its way comes first: it answers in order.
            line.now = line.slave.on_its_way.back().map_or(line.now, |(comes, _)| line.now.max(*comes));
            let quick = if refuses { Fate::Refused { after_ms: 5 } } else { Fate::Answered { after_ms: 5 } };
            let tries = (1..=8).find(|_| line.put(ask, quick).is_some());
            prop_assert!(tries.is_some_and(|tries| tries <= if refuses { 5 } else { 3 }), "{:?}", tries);
        }
    }

    #[test]
    fn the_echo_of_a_request_is_no_answer_of_its_slave() {
        // Bits at 0x03xx: the echo reads as a whole frame of three bytes of data.
        let ask = Ask { table: Table::Coil, start: 0x0301, count: 20 };
        let echo = request(UNIT, ask);
        assert_eq!(Receiver::new(UNIT, ask, true).take(&[&[0xFF], echo.as_slice()].concat()), Found::Nothing);
    }
}
