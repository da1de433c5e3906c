//! One open bus: a request at a time, in the rhythm of the line.
//!
//! ```text
//!  … last byte ─▶ silence kept, what comes meanwhile is read and thrown away ─▶ request ─▶ first byte ≤ `within` ─▶
//!     answer, by its length ─▶ done              half an answer, then silence of FRAME_PATIENCE ─▶ asked once more
//! ```
//!
//! **Late answers.** A connection on which nothing came twice in a row is opened anew; one timeout does not close it,
//! because that would cost the other slaves of a serial server their connection, and many servers take one at a time.
//! What keeps a late answer from becoming the next reading is this instead:
//! - a frame is an answer only with the unit, function and byte count of the request (`modbus/rtu.rs`), so the late
//!   answer of one slave never is that of another;
//! - a slave that was silent is not asked again before the slowest answer known of the bus has had its time (the
//!   runner's rest, `task.rs`); whole frames that nobody waited for are told ([`Noted::strays`]) and lengthen it;
//! - and then it is asked for something whose answer cannot be mistaken for a later one still (`modbus/owed.rs`);
//! - before each request the line must have been silent for the gap between frames; what came until then is thrown away.
//!
//! **Noise** before an answer is skipped. A damaged or half answer ends after [`FRAME_PATIENCE`] of silence, and is asked for
//! once more: the slave had answered, so no answer to the first request can still be on its way.

use std::sync::Arc;
use std::time::Duration;

use super::super::super::errand::{Errand, Refused};
use super::super::super::settings::Bus;
use super::super::super::tap::{Direction, Tap};
use super::super::Answer;
use super::super::rtu::{
    Found, Left, MAX_FRAME, REQUEST_LEN, Receiver, Shape, Stray, answer_len, answer_to, request, sealed, strays_in,
};
use super::port::Way;
use super::{Call, Fault, Noted};
use crate::clock::Clock;
use crate::domain::time::Mono;

/// Silence within an answer that ends it: longer than USB adapters and serial servers hold bytes back.
const FRAME_PATIENCE: Duration = Duration::from_millis(200);
/// Requests in a row on which not one byte came, after which the port or connection is opened anew.
const MAX_SILENT: u32 = 2;

/// An open bus. Cannot write to a device.
pub(super) struct RtuLink {
    way: Way,
    bus: Arc<Bus>,
    clock: Clock,
    /// When the last byte went over the line, as far as is known.
    last_byte: Mono,
    silent: u32,
    broken: bool,
    served: bool,
}

/// Why a request was not answered.
enum Miss {
    /// The answer came, but damaged.
    Damaged(String),
    Fault(Fault),
}

/// Everything that came in one exchange.
struct Heard {
    receiver: Receiver,
    /// A copy for whoever looks.
    raw: Vec<u8>,
    first: Option<Mono>,
    begun: bool,
}

impl RtuLink {
    /// Opens the bus.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreachable`].
    pub(super) async fn open(bus: &Arc<Bus>, within: Duration, clock: &Clock) -> Result<Self, Fault> {
        let way = Way::open(bus, within).await?;
        let (bus, clock) = (Arc::clone(bus), clock.clone());
        let last_byte = clock.mono();
        Ok(Self { way, bus, clock, last_byte, silent: 0, broken: false, served: false })
    }

    /// Returns whether anything was answered on it.
    pub(super) fn has_served(&self) -> bool {
        self.served
    }

    /// Returns whether it may be used again.
    pub(super) fn is_fit(&self) -> bool {
        !self.broken && self.silent < MAX_SILENT
    }

    /// Asks; once more when the answer came damaged.
    ///
    /// # Errors
    ///
    /// Whatever was not an answer in time.
    pub(super) async fn read(&mut self, call: Call<'_>, noted: &mut Noted) -> Result<Answer, Fault> {
        match self.once(call, noted).await {
            Ok(answer) => Ok(answer),
            Err(Miss::Fault(fault)) => Err(fault),
            Err(Miss::Damaged(_)) => {
                noted.again = true;
                self.once(call, noted).await.map_err(|miss| match miss {
                    Miss::Damaged(words) => Fault::Garbled(words),
                    Miss::Fault(fault) => fault,
                })
            }
        }
    }

    async fn once(&mut self, call: Call<'_>, noted: &mut Noted) -> Result<Answer, Miss> {
        self.settle(call, noted).await?;
        let frame = request(call.unit, call.ask);
        let sent = self.clock.mono();
        // A part of it may leave also when this fails.
        noted.sent = true;
        self.way.write(&frame).await.map_err(|error| self.broke(Some(&error)))?;
        if let Some(tap) = call.tap {
            tap.take(sent, Direction::Out, &frame);
        }
        let asked = sent + self.bus.line.chars(REQUEST_LEN);
        self.last_byte = asked;
        let receiver = Receiver::new(call.unit, call.ask, call.exceptions);
        let mut heard = Heard { receiver, raw: Vec::new(), first: None, begun: false };
        let outcome = self.listen(call, asked, &mut heard).await;
        self.account(call, asked, heard, outcome, noted)
    }

    /// Carries out an errand with a frame: sent once, and what comes until its answer is whole.
    ///
    /// # Errors
    ///
    /// Whatever was not an answer in time, and whether the frame was sent.
    pub(super) async fn errand(
        &mut self,
        errand: &Errand,
        body: &[u8],
        answer: usize,
        tap: Option<&Tap>,
    ) -> Result<Vec<u8>, Refused> {
        self.settle_for(errand).await?;
        let frame = sealed(body);
        if let Err(error) = self.way.write(&frame).await {
            self.broken = true;
            // A part of it may have left.
            return Err(Refused::NoAnswer(self.way.broken(Some(&error))));
        }
        let sent = self.clock.mono();
        self.last_byte = sent + self.bus.line.chars(frame.len());
        let until = self.last_byte + errand.within() + self.bus.line.chars(answer + 2);
        if let Some(tap) = tap {
            tap.take(sent, Direction::Out, &frame);
        }
        let mut heard = Vec::new();
        let answered = self.hear(body, answer, until, &mut heard).await;
        if let Some(tap) = tap {
            tap.take(self.last_byte, Direction::In, &heard);
        }
        self.served |= answered.is_ok();
        answered.map_err(Refused::NoAnswer)
    }

    async fn hear(&mut self, body: &[u8], answer: usize, until: Mono, heard: &mut Vec<u8>) -> Result<Vec<u8>, String> {
        let mut buffer = [0; MAX_FRAME];
        loop {
            let read = tokio::select! {
                biased;
                n = self.way.read(&mut buffer) => n,
                () = self.clock.sleep_until(until) => return Err("no answer in time".to_owned()),
            };
            match read {
                Ok(n) if n > 0 => heard.extend(buffer.iter().take(n)),
                ended => {
                    self.broken = true;
                    return Err(self.way.broken(ended.err().as_ref()));
                }
            }
            self.last_byte = self.clock.mono();
            if let Some(found) = answer_to(body, answer, heard) {
                return Ok(found);
            }
            // What is older than two of the longest frames is no beginning of the answer.
            let old = heard.len().saturating_sub(2 * MAX_FRAME);
            heard.drain(..old);
        }
    }

    /// Waits for the gap between frames, as long as the errand may still be sent; what comes meanwhile is nobody's.
    async fn settle_for(&mut self, errand: &Errand) -> Result<(), Refused> {
        let mut buffer = [0; MAX_FRAME];
        loop {
            let silent_at = self.last_byte + self.bus.frame_gap;
            tokio::select! {
                biased;
                n = self.way.read(&mut buffer) => if !matches!(n, Ok(n) if n > 0) {
                    self.broken = true;
                    return Err(Refused::NotSent(self.way.broken(n.err().as_ref())));
                },
                () = self.clock.sleep_until(silent_at) => break,
            }
            self.last_byte = self.clock.mono();
            if self.last_byte > errand.not_after() {
                return Err(Refused::NotSent("the line is never silent".to_owned()));
            }
        }
        self.way.flush_input().map_err(|error| {
            self.broken = true;
            Refused::NotSent(self.way.broken(Some(&error)))
        })?;
        errand.obstacle(self.clock.mono()).map_or(Ok(()), Err)
    }

    /// Waits until the line has been silent for the gap between frames; what comes meanwhile is nobody's.
    async fn settle(&mut self, call: Call<'_>, noted: &mut Noted) -> Result<(), Miss> {
        let give_up = self.clock.mono() + call.within.max(self.bus.frame_gap);
        let mut nobodys = Vec::new();
        let mut buffer = [0; MAX_FRAME];
        let settled = loop {
            let silent_at = self.last_byte + self.bus.frame_gap;
            tokio::select! {
                biased;
                n = self.way.read(&mut buffer) => match n {
                    Ok(0) => break Err(self.broke(None)),
                    Err(error) => break Err(self.broke(Some(&error))),
                    Ok(n) => {
                        self.last_byte = self.clock.mono();
                        if nobodys.len() < 2 * MAX_FRAME {
                            nobodys.extend(buffer.iter().take(n));
                        }
                        if self.last_byte > give_up {
                            break Err(Miss::Fault(Fault::Garbled("the line is never silent".to_owned())));
                        }
                    }
                },
                () = self.clock.sleep_until(silent_at) => break Ok(()),
            }
        };
        if let Some(tap) = call.tap {
            tap.take(self.last_byte, Direction::In, &nobodys);
        }
        let (strays, noise) = strays_in(&nobodys);
        if noted.sent { &mut noted.strays } else { &mut noted.before }.extend(strays);
        noted.noise += noise;
        settled?;
        self.way.flush_input().map_err(|error| self.broke(Some(&error)))
    }

    /// Reads until the answer is whole, or until there will be none: `None`.
    async fn listen(&mut self, call: Call<'_>, asked: Mono, heard: &mut Heard) -> Result<Option<Answer>, Miss> {
        let first_by = asked + call.within;
        let whole_by = first_by + self.bus.line.chars(answer_len(call.ask)) + FRAME_PATIENCE;
        let mut buffer = [0; MAX_FRAME];
        loop {
            let until = match heard.first {
                None => first_by,
                Some(_) if heard.begun => (self.last_byte + FRAME_PATIENCE).min(whole_by),
                // Noise: the answer may still begin in time.
                Some(_) => first_by.max(self.last_byte + self.bus.frame_gap).min(whole_by),
            };
            tokio::select! {
                biased;
                n = self.way.read(&mut buffer) => {
                    let n = match n {
                        Ok(0) => return Err(self.broke(None)),
                        Err(error) => return Err(self.broke(Some(&error))),
                        Ok(n) => n,
                    };
                    self.last_byte = self.clock.mono();
                    let bytes = buffer.get(..n).unwrap_or_default();
                    heard.first.get_or_insert(self.last_byte);
                    if call.tap.is_some() && heard.raw.len() < 4 * MAX_FRAME {
                        heard.raw.extend(bytes);
                    }
                    match heard.receiver.take(bytes) {
                        Found::Answer(answer) => return Ok(Some(answer)),
                        Found::Begun => heard.begun = true,
                        Found::Nothing => heard.begun = false,
                    }
                }
                () = self.clock.sleep_until(until) => return Ok(None),
            }
        }
    }

    /// Notes what was heard, and gives the outcome its name.
    fn account(
        &mut self,
        call: Call<'_>,
        asked: Mono,
        heard: Heard,
        outcome: Result<Option<Answer>, Miss>,
        noted: &mut Noted,
    ) -> Result<Answer, Miss> {
        if let Some(tap) = call.tap {
            tap.take(self.last_byte, Direction::In, &heard.raw);
        }
        self.silent = if heard.first.is_some() { 0 } else { self.silent + 1 };
        let Left { strays, noise, damaged } = heard.receiver.leave();
        let garbled = |words: String| Miss::Fault(Fault::Garbled(words));
        let miss = match strays.first() {
            _ if damaged => Miss::Damaged("the answer came damaged, twice".to_owned()),
            Some(Stray { unit, .. }) if *unit != call.unit => garbled(format!("unit {unit} answered instead")),
            Some(Stray { shape: Shape::Exception { .. }, .. }) => {
                garbled("an exception, perhaps to an older request".to_owned())
            }
            Some(_) => garbled("an answer to another request".to_owned()),
            None => Miss::Fault(Fault::Silent(call.within)),
        };
        noted.strays.extend(strays);
        noted.noise += noise;
        let answer = outcome?.ok_or(miss)?;
        self.served = true;
        // The silence and the first character are the line's, not the slave's.
        let begins = asked + self.bus.line.silence() + self.bus.line.chars(1);
        noted.turnaround = heard.first.map(|first| first.since(begins));
        Ok(answer)
    }

    fn broke(&mut self, error: Option<&std::io::Error>) -> Miss {
        self.broken = true;
        Miss::Fault(Fault::Closed(self.way.broken(error)))
    }
}
