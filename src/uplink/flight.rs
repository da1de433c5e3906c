//! What one connection carries: the link between a publish and its PUBACK, and the pace of history. Pure.
//!
//! rumqttc gives no receipt. It takes requests from its channel in order and says `Outgoing::Publish(pkid)` for each as
//! it does, later `Incoming::PubAck(pkid)`. So, **within one connection only**:
//!
//! ```text
//!   offer ──▶ offered (FIFO) ──Outgoing::Publish(pkid)──▶ waiting[pkid] ──PubAck(pkid)──▶ done
//! ```
//!
//! **Pace.** Each PUBACK shows a rate: bytes acknowledged since that message was sent, over the time it took. The best
//! of the last [`RATE_KEPT`]..2×[`RATE_KEPT`] is what the line bears, and history may have half a second of it in flight
//! ([`AHEAD`]; on a long way more, at most [`AHEAD_MOST`]), so that a live record never waits longer than about that behind
//! history. The parts of a record too
//! large for one message keep the same pace. Before any rate is known the line counts as a thin one ([`WINDOW_MIN`]); on a
//! fast line the window opens within a round trip.

//! **Keep-alive.** A ping stands behind everything in flight, and rumqttc ends the connection when its answer takes a
//! keep-alive; a broker does when no packet has come for one and a half. So one message is at most what the line carries in
//! an eighth of a keep-alive, and the next one goes while less than that is in flight ([`Flight::share`]): together a quarter
//! of it, of both sessions half. What the line carries any session may have shown ([`Flight::note_line`]). At 16 kbit/s and
//! 5 s it is less than the smallest envelope; then one goes at a time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::domain::time::Mono;

/// The smallest window, also before any rate is known: still a useful envelope, and no more than four seconds of the
/// slowest line.
pub const WINDOW_MIN: usize = 8 << 10;
/// How much of the line history may fill: an alarm that meets it is there within the second all the same.
pub const AHEAD: Duration = Duration::from_millis(500);
/// How much at most, where the way there and back is long: with less than that way in flight the line would stand idle, each
/// measured rate be lower than the last, and the pace fall to nothing.
pub const AHEAD_MOST: Duration = Duration::from_secs(1);
/// The part of a keep-alive that one message may take, and what is in flight before it.
const SHARES: u32 = 8;
/// How long a measured rate counts.
pub const RATE_KEPT: Duration = Duration::from_secs(5);
/// Without any PUBACK for this long, and the time [`SLOWEST`] needs for what is in flight, the link is given up.
pub const STALL: Duration = Duration::from_secs(10);
/// The slowest line served without being given up: 16 kbit/s.
pub const SLOWEST: usize = 2000;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cargo {
    /// A `state` message.
    State,
    /// A message of this batch.
    Batch(u64),
}

#[derive(Debug)]
struct Sent {
    cargo: Cargo,
    paced: bool,
    bytes: usize,
    at: Mono,
    /// Bytes acknowledged when it was sent.
    acked_then: u64,
}

/// Everything in flight on one connection.
#[derive(Debug)]
pub struct Flight {
    limit: usize,
    /// What the line carries in this time may be in flight.
    patience: Duration,
    offered: VecDeque<Sent>,
    waiting: BTreeMap<u16, Sent>,
    bytes: usize,
    paced_bytes: usize,
    acked: u64,
    progress: Mono,
    /// Best rates (bytes/s) of the current and the previous period; `None` before the first PUBACK.
    rates: [Option<f64>; 2],
    rates_since: Mono,
    /// The best rate of the other sessions.
    line: Option<f64>,
    /// The shortest way there and back on this connection.
    shortest: Option<Duration>,
}

impl Flight {
    /// Returns an empty flight of at most `limit` messages on a connection with this keep-alive.
    pub fn new(limit: usize, keep_alive: Duration, now: Mono) -> Self {
        Self {
            limit,
            patience: keep_alive / SHARES,
            offered: VecDeque::new(),
            waiting: BTreeMap::new(),
            bytes: 0,
            paced_bytes: 0,
            acked: 0,
            progress: now,
            rates: [None, None],
            rates_since: now,
            line: None,
            shortest: None,
        }
    }

    /// Returns whether one more message may go.
    pub fn has_room(&self) -> bool {
        self.is_empty() || self.len() < self.limit && self.bytes < self.share()
    }

    /// Returns whether a message of `bytes` may go that keeps the pace. A fifth of the messages is always left to live
    /// records.
    pub fn bears(&self, bytes: usize) -> bool {
        let crowded = (self.len() + 1) * 5 > self.limit * 4 && !self.is_empty();
        !crowded && (self.paced_bytes == 0 || self.paced_bytes + bytes <= self.window())
    }

    /// Returns how much of what keeps the pace may be in flight, in bytes.
    pub fn window(&self) -> usize {
        let ahead = self.shortest.map_or(AHEAD, |way| (way * 2).clamp(AHEAD, AHEAD_MOST));
        self.rate().map_or(WINDOW_MIN, |rate| carried(rate, ahead).max(WINDOW_MIN))
    }

    /// Returns how large a message may be so that the answer to a ping is not late, in bytes.
    pub fn share(&self) -> usize {
        #[expect(clippy::cast_precision_loss, reason = "it is 2000")]
        let slowest = SLOWEST as f64;
        carried(self.rate().into_iter().chain(self.line).reduce(f64::max).unwrap_or(slowest), self.patience)
    }

    /// Says what another session found the line to bear, in bytes a second.
    pub fn note_line(&mut self, rate: Option<f64>) {
        self.line = rate;
    }

    /// Returns what this session found the line to bear, in bytes a second.
    pub fn rate(&self) -> Option<f64> {
        self.rates.iter().flatten().copied().reduce(f64::max)
    }

    /// A message was put into the connection's channel; `paced`: it is one of those of which the line takes a second.
    pub fn offer(&mut self, cargo: Cargo, paced: bool, bytes: usize, now: Mono) {
        if self.is_empty() {
            self.progress = now;
        }
        self.bytes += bytes;
        self.paced_bytes += if paced { bytes } else { 0 };
        self.offered.push_back(Sent { cargo, paced, bytes, at: now, acked_then: self.acked });
    }

    /// The connection gave the oldest offered message its packet id.
    pub fn on_published(&mut self, pkid: u16) {
        if let Some(sent) = self.offered.pop_front() {
            self.waiting.insert(pkid, sent);
        }
    }

    /// The broker has the message with this packet id. Returns what it carried; `None` for an id never given.
    pub fn on_puback(&mut self, pkid: u16, now: Mono) -> Option<Cargo> {
        let sent = self.waiting.remove(&pkid)?;
        self.bytes -= sent.bytes;
        self.paced_bytes -= if sent.paced { sent.bytes } else { 0 };
        self.acked += sent.bytes as u64;
        self.progress = now;
        self.measure(&sent, now);
        Some(sent.cargo)
    }

    /// Returns whether the broker has acknowledged nothing for too long.
    pub fn is_stalled(&self, now: Mono) -> bool {
        let allowed = STALL + Duration::from_millis((self.bytes / (SLOWEST / 1000)) as u64);
        !self.is_empty() && now.since(self.progress) > allowed
    }

    /// Returns how many messages are in flight.
    pub fn len(&self) -> usize {
        self.offered.len() + self.waiting.len()
    }

    /// Returns whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 16 digits")]
    fn measure(&mut self, sent: &Sent, now: Mono) {
        if now.since(self.rates_since) > RATE_KEPT {
            self.rates = [None, self.rates[0]];
            self.rates_since = now;
        }
        // A round trip below the timer's grain says "fast", not "infinite".
        let took = now.since(sent.at).max(Duration::from_millis(1));
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        let rate = (self.acked - sent.acked_then) as f64 / took.as_secs_f64();
        self.rates[0] = Some(self.rates[0].map_or(rate, |best| best.max(rate)));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
fn carried(rate: f64, time: Duration) -> usize {
    (rate * time.as_secs_f64()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(30);

    fn ms(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    #[test]
    fn a_puback_is_linked_to_its_publish_although_acks_come_in_another_order() {
        let mut flight = Flight::new(10, KEEP_ALIVE, ms(0));
        for batch in 1..=3 {
            flight.offer(Cargo::Batch(batch), false, 100, ms(0));
        }
        for pkid in [7, 8, 9] {
            flight.on_published(pkid);
        }
        assert_eq!(flight.on_puback(8, ms(1)), Some(Cargo::Batch(2)));
        assert_eq!(flight.on_puback(8, ms(1)), None);
        assert_eq!(flight.on_puback(1, ms(1)), None);
        assert_eq!(flight.on_puback(7, ms(1)), Some(Cargo::Batch(1)));
        assert_eq!(flight.len(), 1);
    }

    #[test]
    fn on_a_thin_line_history_has_half_a_second_of_it_in_flight_and_on_a_long_way_a_whole_one() {
        let mut flight = Flight::new(100, KEEP_ALIVE, ms(0));
        assert_eq!(flight.window(), WINDOW_MIN, "a line of which nothing is known may be a thin one");
        flight.offer(Cargo::Batch(1), true, 60_000, ms(0));
        flight.on_published(1);
        flight.on_puback(1, ms(2000));
        assert_eq!(flight.window(), 30_000, "nothing shorter than two seconds was seen");
        flight.offer(Cargo::State, false, 100, ms(2000));
        flight.on_published(2);
        flight.on_puback(2, ms(2010));
        assert_eq!(flight.window(), 15_000);
        flight.offer(Cargo::Batch(2), true, 10_000, ms(2010));
        assert!(flight.bears(5_000) && !flight.bears(5_001));
    }

    #[test]
    fn on_a_fast_line_the_window_opens_at_once_and_leaves_room_for_live() {
        let mut flight = Flight::new(10, KEEP_ALIVE, ms(0));
        flight.offer(Cargo::Batch(1), true, 60_000, ms(0));
        flight.on_published(1);
        flight.on_puback(1, ms(2));
        assert!(flight.window() > 10_000_000);
        for batch in 0..8 {
            assert!(flight.bears(60_000));
            flight.offer(Cargo::Batch(batch), true, 60_000, ms(2));
        }
        assert!(!flight.bears(1));
        assert!(flight.has_room());
    }

    #[test]
    fn what_is_in_flight_lets_the_answer_to_a_ping_through_within_a_quarter_of_a_keep_alive() {
        let mut flight = Flight::new(100, Duration::from_secs(5), ms(0));
        assert_eq!(flight.share(), 1_250, "16 kbit/s for 0.625 s");
        flight.offer(Cargo::Batch(1), false, 1_000, ms(0));
        assert!(flight.has_room());
        flight.offer(Cargo::Batch(2), false, 1_250, ms(0));
        assert!(!flight.has_room(), "these take 1.125 s");
        flight.note_line(Some(8_000.0));
        assert!(flight.has_room(), "another session knows better");
        flight.on_published(1);
        flight.on_puback(1, ms(20));
        assert_eq!(flight.share(), 31_250, "the line is no thin one");
    }

    #[test]
    fn a_broker_that_acknowledges_nothing_is_noticed_and_a_thin_line_is_not_mistaken_for_it() {
        let mut flight = Flight::new(10, KEEP_ALIVE, ms(0));
        assert!(!flight.is_stalled(ms(100_000)));
        flight.offer(Cargo::State, false, 100, ms(100_000));
        assert!(!flight.is_stalled(ms(105_000)));
        assert!(flight.is_stalled(ms(110_100)));
        flight.offer(Cargo::Batch(1), true, 60_000, ms(105_000));
        assert!(!flight.is_stalled(ms(135_000)));
    }
}
