//! Which text goes next. Pure.
//!
//! ```text
//!            due (life: at once; else when its reason is stored, as for writes: 200 ms), its phone rests not
//!  waiting ────────────────────────────────────────────────────────────────────────────▶ under way ──▶ accepted
//!     ▲  └── not accepted within GIVE_UP of its order: failed                                 │
//!     └────────────── RETRY later, where another try makes sense and its time is not over ────┘
//! ```
//!
//! An order may have several phones; it is done when each has it, and failed when one has not. After a text a phone rests for
//! [`PAUSE`]; what comes for it meanwhile is joined: the first ones in short, and how many there are.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Trouble;
use super::pdu::{MAX_PARTS, OF_PART};
use crate::domain::alarm::telling::RECEIPTS_MAX;
use crate::domain::danger::Text;
use crate::domain::order::{Receipt, Urgency};
use crate::domain::phone::Phone;
use crate::domain::time::Mono;

/// Orders waiting: as many as the alarms wait for a receipt of. Beyond it an order fails at once.
pub const N_WAITING: usize = RECEIPTS_MAX;
/// How long a phone rests after a text: four in a minute are what a person can read, and what no operator takes for spam.
pub const PAUSE: Duration = Duration::from_secs(15);
/// How long a text is tried: the alarms wait for 30 s (`alarm::telling::RECEIPT_WITHIN`), and the receipt has its own way.
pub const GIVE_UP: Duration = Duration::from_secs(26);
/// Pause before a text is tried again.
pub const RETRY: Duration = Duration::from_secs(2);
/// How long a text waits at most for its reason to be stored; see `app/orders.rs`.
pub const COMMIT_WITHIN: Duration = Duration::from_millis(200);
/// Texts that a joined one names: more are only counted.
const N_NAMED: usize = 3;
/// Phones whose rest is remembered: the people of a park's roster.
const MAX_PHONES: usize = 256;

/// One text that goes to one phone now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Where to.
    pub phone: Phone,
    /// What.
    pub text: String,
    /// When it is too late.
    pub until: Mono,
    joined: Vec<Waiting>,
}

impl Sending {
    /// Returns of how many orders it is.
    pub fn orders(&self) -> usize {
        self.joined.len()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiting {
    key: String,
    phone: Phone,
    text: String,
    urgent: bool,
    due: Mono,
    until: Mono,
}

/// What is known of an order.
#[derive(Debug, Default)]
struct Outcome {
    left: usize,
    references: Vec<String>,
    failed: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Waiting>,
    orders: BTreeMap<String, Outcome>,
    rests: BTreeMap<Phone, Mono>,
    /// Why the last try failed, for those whose time runs out.
    trouble: Option<Trouble>,
}

impl Queue {
    /// Takes an order that was placed at `placed`; gives back its receipt where there is no room.
    pub fn push(&mut self, order: Text, placed: Mono) -> Option<(String, Receipt)> {
        if self.orders.len() >= N_WAITING {
            let full = "待发短信过多 / too many texts wait".to_owned();
            return Some((order.key, Receipt::Failed(full)));
        }
        let urgent = order.urgency == Urgency::AtOnce;
        let due = if urgent { placed } else { placed + COMMIT_WITHIN };
        let outcome = Outcome { left: order.phones.len(), ..Outcome::default() };
        self.orders.insert(order.key.clone(), outcome);
        let until = placed + GIVE_UP;
        self.waiting.extend(order.phones.into_iter().map(|phone| Waiting {
            key: order.key.clone(),
            phone,
            text: order.text.clone(),
            urgent,
            due,
            until,
        }));
        None
    }

    /// Returns what goes next, where something may go now.
    pub fn next(&mut self, now: Mono) -> Option<Sending> {
        let ready = |one: &Waiting| one.due <= now && self.rests.get(&one.phone).is_none_or(|rest| *rest <= now);
        let mut ready = self.waiting.iter().filter(|one| ready(one));
        let first = ready.clone().find(|one| one.urgent).or_else(|| ready.next())?;
        let phone = first.phone.clone();
        let mut joined = self.take_out(|one| one.phone == phone && one.due <= now);
        joined.sort_by_key(|one| !one.urgent);
        let until = joined.iter().map(|one| one.until).min()?;
        Some(Sending { text: joined_text(&joined), phone, until, joined })
    }

    /// Takes what became of a text: references of its parts, or why it was not accepted. Returns receipts.
    pub fn ended(&mut self, sending: Sending, outcome: Result<String, Trouble>, now: Mono) -> Vec<(String, Receipt)> {
        match outcome {
            Ok(references) => {
                self.rests.retain(|_, rest| *rest > now);
                if self.rests.len() < MAX_PHONES {
                    self.rests.insert(sending.phone, now + PAUSE);
                }
                self.trouble = None;
                let done = sending.joined.into_iter().map(|one| (one.key, Ok(references.clone())));
                self.settle(done.collect())
            }
            Err(trouble) => {
                let again = |one: &Waiting| !trouble.lasting && now + RETRY < one.until;
                let (back, over): (Vec<Waiting>, Vec<Waiting>) = sending.joined.into_iter().partition(again);
                let due = now + RETRY;
                back.into_iter().rev().for_each(|one| self.waiting.push_front(Waiting { due, ..one }));
                let why = format!("{}：{trouble}", sending.phone);
                self.trouble = Some(trouble);
                self.settle(over.into_iter().map(|one| (one.key, Err(why.clone()))).collect())
            }
        }
    }

    /// Notes why nothing can be sent now.
    pub fn hindered(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
    }

    /// Gives up what has waited too long. Returns receipts.
    pub fn expire(&mut self, now: Mono) -> Vec<(String, Receipt)> {
        let over = self.take_out(|one| one.until <= now);
        let why = self.trouble.as_ref().map_or_else(
            || "排队时间过长 / it waited too long for its turn".to_owned(),
            |trouble| format!("{} 秒内未能发出：{trouble}", GIVE_UP.as_secs()),
        );
        self.settle(over.into_iter().map(|one| (one.key, Err(why.clone()))).collect())
    }

    /// Returns when there is next something to do, as far as time brings it.
    pub fn deadline(&self) -> Option<Mono> {
        let ready = |one: &Waiting| self.rests.get(&one.phone).map_or(one.due, |rest| one.due.max(*rest));
        self.waiting.iter().map(|one| ready(one).min(one.until)).min()
    }

    /// Returns whether anything waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take_out(&mut self, which: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let (out, rest): (VecDeque<Waiting>, VecDeque<Waiting>) =
            std::mem::take(&mut self.waiting).into_iter().partition(which);
        self.waiting = rest;
        out.into()
    }

    fn settle(&mut self, ended: Vec<(String, Result<String, String>)>) -> Vec<(String, Receipt)> {
        let mut receipts = Vec::new();
        for (key, result) in ended {
            let Some(outcome) = self.orders.get_mut(&key) else { continue };
            outcome.left = outcome.left.saturating_sub(1);
            match result {
                Ok(references) => outcome.references.push(references),
                Err(why) => drop(outcome.failed.get_or_insert(why)),
            }
            if outcome.left > 0 {
                continue;
            }
            if let Some(outcome) = self.orders.remove(&key) {
                let accepted = || Receipt::Accepted(outcome.references.join(","));
                receipts.push((key, outcome.failed.map_or_else(accepted, Receipt::Failed)));
            }
        }
        receipts
    }
}

/// The text of one, or how many there are with the first of them in short. It fits into [`MAX_PARTS`].
fn joined_text(joined: &[Waiting]) -> String {
    let [one] = joined else {
        let total = joined.len();
        let more = total.saturating_sub(N_NAMED);
        let room = (MAX_PARTS * OF_PART).saturating_sub(60) / total.clamp(1, N_NAMED);
        let mut text = format!("【共 {total} 条】");
        for one in joined.iter().take(N_NAMED) {
            text.push_str(&shortened(&one.text, room));
            text.push('\n');
        }
        if more > 0 {
            text.push_str(&format!("另有 {more} 条，见网关页面"));
        }
        return text.trim_end().to_owned();
    };
    one.text.clone()
}

fn shortened(text: &str, room: usize) -> String {
    if text.encode_utf16().count() <= room {
        return text.to_owned();
    }
    let mut used = 1;
    let short: String = text
        .chars()
        .take_while(|c| {
            used += c.len_utf16();
            used <= room
        })
        .collect();
    format!("{short}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    fn phone(number: &str) -> Phone {
        Phone::parse(number).unwrap()
    }

    fn order(key: &str, phones: &[&str], urgency: Urgency) -> Text {
        let phones = phones.iter().map(|number| phone(number)).collect();
        Text { key: key.into(), channel: "sms".into(), phones, text: format!("报警 {key}"), urgency }
    }

    fn accepted(key: &str, references: &str) -> (String, Receipt) {
        (key.into(), Receipt::Accepted(references.into()))
    }

    fn busy() -> Result<String, Trouble> {
        Err(Trouble::new("忙", "busy"))
    }

    #[test]
    fn what_concerns_life_goes_first_and_the_rest_waits_for_its_reason() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(order("pump", &["111"], Urgency::AfterCommit), at(0)), None);
        assert_eq!(queue.push(order("gas", &["222"], Urgency::AtOnce), at(10)), None);
        let gas = queue.next(at(10)).unwrap();
        assert_eq!((gas.text.as_str(), &gas.phone), ("报警 gas", &phone("222")));
        assert_eq!(queue.next(at(199)), None);
        assert_eq!(queue.deadline(), Some(at(200)));
        let pump = queue.next(at(200)).unwrap();
        assert_eq!(queue.ended(gas, Ok("7".into()), at(3000)), [accepted("gas", "7")]);
        assert_eq!(queue.ended(pump, Ok("8,9".into()), at(6000)), [accepted("pump", "8,9")]);
        assert!(queue.is_empty() && queue.orders.is_empty());
    }

    #[test]
    fn a_flood_of_a_thousand_alarms_is_two_texts_and_each_order_has_its_receipt() {
        let mut queue = Queue::default();
        for n in 0..1000_u64 {
            assert_eq!(queue.push(order(&format!("a{n:03}"), &["111"], Urgency::AtOnce), at(n)), None);
            if n == 0 {
                let first = queue.next(at(0)).unwrap();
                assert_eq!(first.text, "报警 a000");
                assert_eq!(queue.ended(first, Ok("1".into()), at(0)).len(), 1);
            }
        }
        assert_eq!(queue.next(at(14_999)), None, "the phone rests");
        assert_eq!(queue.deadline(), Some(at(15_000)));
        let rest = queue.next(at(15_000)).unwrap();
        assert_eq!(rest.text, "【共 999 条】报警 a001\n报警 a002\n报警 a003\n另有 996 条，见网关页面");
        assert_eq!(rest.orders(), 999);
        let receipts = queue.ended(rest, Ok("2".into()), at(18_000));
        assert_eq!((receipts.len(), receipts[998].clone()), (999, accepted("a999", "2")));
        assert_eq!((queue.next(at(60_000)), queue.orders.len()), (None, 0));
    }

    #[test]
    fn a_joined_text_fits_whatever_was_joined() {
        let mut queue = Queue::default();
        for n in 0..5000 {
            let text = Text { text: "气".repeat(n % 300), ..order(&n.to_string(), &["111"], Urgency::AtOnce) };
            let full = queue.push(text, at(0));
            assert_eq!(full.is_some(), n >= N_WAITING, "beyond all measure an order fails at once");
        }
        let text = queue.next(at(0)).unwrap().text;
        assert!(text.encode_utf16().count() <= MAX_PARTS * OF_PART && text.contains("共 4096 条"), "{text}");
    }

    #[test]
    fn what_is_not_accepted_is_tried_again_until_its_time_is_over() {
        let mut queue = Queue::default();
        queue.push(order("a", &["13800138000"], Urgency::AtOnce), at(0));
        let mut tries = 0;
        let mut now = 0;
        let receipts = loop {
            let Some(sending) = queue.next(at(now)) else {
                now =
                    queue.deadline().map(|due| u64::try_from(due.since(Mono::default()).as_millis()).unwrap()).unwrap();
                let over = queue.expire(at(now));
                if over.is_empty() { continue } else { break over }
            };
            tries += 1;
            now += 1000;
            let ended = queue.ended(sending, busy(), at(now));
            if !ended.is_empty() {
                break ended;
            }
        };
        assert_eq!((tries, now), (9, 25_000));
        let (key, Receipt::Failed(why)) = &receipts[0] else { panic!("{receipts:?}") };
        assert!(key == "a" && why == "138****8000：忙 / busy", "{why}");
    }

    #[test]
    fn a_text_that_no_try_can_help_fails_at_once_and_one_whose_turn_never_comes_in_time() {
        let mut queue = Queue::default();
        queue.push(order("a", &["111"], Urgency::AtOnce), at(0));
        let sending = queue.next(at(0)).unwrap();
        let lasting = Err(Trouble::lasting("号码不存在", "no such number"));
        assert!(
            matches!(queue.ended(sending, lasting, at(1)).as_slice(), [(_, Receipt::Failed(why))] if why.contains("no such number"))
        );
        queue.push(order("b", &["222"], Urgency::AtOnce), at(10));
        queue.hindered(Trouble::new("没有网络", "no network"));
        assert_eq!(queue.expire(at(26_009)), []);
        assert!(
            matches!(queue.expire(at(26_010)).as_slice(), [(_, Receipt::Failed(why))] if why.contains("no network"))
        );
    }

    #[test]
    fn an_order_with_several_phones_is_done_when_each_has_it() {
        let mut queue = Queue::default();
        queue.push(order("a", &["111", "222"], Urgency::AtOnce), at(0));
        let (one, other) = (queue.next(at(0)).unwrap(), queue.next(at(0)).unwrap());
        assert_ne!(one.phone, other.phone);
        assert_eq!(queue.ended(one, Ok("1".into()), at(5)), []);
        assert_eq!(queue.ended(other, Ok("2".into()), at(9)), [accepted("a", "1,2")]);
        queue.push(order("b", &["333", "444"], Urgency::AtOnce), at(0));
        let (one, other) = (queue.next(at(0)).unwrap(), queue.next(at(0)).unwrap());
        assert_eq!(queue.ended(one, Err(Trouble::lasting("禁", "barred")), at(5)), []);
        let receipts = queue.ended(other, Ok("3".into()), at(9));
        assert!(matches!(receipts.as_slice(), [(_, Receipt::Failed(why))] if why.contains("barred")), "{receipts:?}");
    }
}
