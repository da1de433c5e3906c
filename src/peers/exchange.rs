//! Sharing as a state machine: what is said when, what is taken of what others say. Pure: hand in one input, drain
//! [`Exchange::poll_output`], call [`Exchange::handle_timeout`] when [`Exchange::poll_timeout`] has come.
//!
//! ```text
//!  stored event ──▶ to all at once (the broker keeps it for who is away)
//!  each HELLO_EVERY: hello with the digest of what is here and the last hello heard of each peer
//!  a peer's digest differs ──▶ have, to it ──▶ it answers with what is lacking, at most a batch ──more──▶ have again
//!                                                                                            └─done─▶ in step
//! ```
//!
//! - **The log is the queue.** Nothing here is kept for being sent: what a full channel, a cut or a broker's limit lost shows in
//!   the digests, and is asked for. So the order, the number and the loss of messages do not matter.
//! - **Heard means heard both ways, now**: a peer's hello counts when it names a hello of this run that was said not longer than
//!   half the silence ago. Hellos that a broker kept prove nothing. And a peer counts as heard only *in step*: after a cut,
//!   when what it had is here.
//! - **Only what is stored is given**: those who answer [`Output::Lacking`] and call [`Exchange::handle_stored`] see to it.
//! - **Bounded**: one question at a time, one answer owed per peer, at most a batch each [`ANSWER_EVERY`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::message::{self, Echo, MAX_MESSAGE, PART, Refusal, Say, Speaker, Then};
use super::settings::Settings;
use super::topic::Topics;
use crate::domain::gate::inside::log::BATCH;
use crate::domain::gate::inside::{Event, Have, Source};
use crate::domain::gate::word::GatewayId;
use crate::domain::time::Mono;

/// Hellos at least this often.
const HELLO_AT_LEAST: Duration = Duration::from_secs(10);
/// So many hellos in the time after which a peer is silent: two may be lost.
const HELLOS_PER_SILENCE: u32 = 4;
/// A hello out of turn, because somebody new speaks, comes not sooner than this after the last.
const HELLO_APART: Duration = Duration::from_secs(1);
/// Hellos of which it is remembered when they were said: more than are said in the longest that an echo counts.
const MAX_SAID: usize = 32;
/// Without an answer for this long, a question counts as lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Answers to one peer are so far apart: 5,000 events a second at most, and the gates' own work between them.
const ANSWER_EVERY: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Find out what is here, and say it by [`Exchange::handle_have`]; after everything that was to be taken before.
    Look,
    /// Find out what this peer lacks of what is stored, and say it by [`Exchange::handle_lacking`].
    Lacking(GatewayId, Have),
    /// Take these in.
    Take(Vec<Event>),
    /// This peer lived, heard us, and was in step at this time.
    Heard(GatewayId, Mono),
    /// Publish. When it cannot be, nothing is lost for good.
    Send(Message),
}

/// Something to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// Whether the broker is to keep it for who is away (QoS 1).
    pub keep: bool,
    /// What.
    pub payload: Vec<u8>,
}

/// How it stands with one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerState {
    /// The newest moment at which it surely heard us, of which it told us.
    pub heard: Option<Mono>,
    /// What it had when we last compared is here.
    pub in_step: bool,
    run: Option<u64>,
    hello: u64,
    digest: Option<String>,
    owed: Option<(Have, BTreeSet<GatewayId>, u32)>,
    answered: Option<Mono>,
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events given to all as they were stored.
    pub shared: u64,
    /// Events given to one that lacked them.
    pub resent: u64,
    /// Events of peers handed on to be taken in.
    pub taken: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Exchange {
    me: Speaker,
    topics: Topics,
    gateways: BTreeSet<GatewayId>,
    peers: BTreeMap<GatewayId, PeerState>,
    silent_after: Duration,
    hello_every: Duration,
    up: bool,
    n: u64,
    said: VecDeque<(u64, Mono)>,
    due: Mono,
    looking: bool,
    /// What is here, as last seen.
    mine: Option<(Have, String)>,
    /// Peers whose digest is to be compared with what is here.
    compare: BTreeSet<GatewayId>,
    asking: Option<(GatewayId, Mono)>,
    /// Run and number of the last hello with our name that is not ours.
    twin: Option<(u64, u64)>,
    refused: BTreeMap<Refusal, u64>,
    counts: Counts,
    outputs: VecDeque<Output>,
}

impl Exchange {
    /// Starts, not connected. `boot` is that of the gateway's own events, `run` a number below 2⁵³ that no other start has.
    pub fn new(settings: &Settings, boot: u32, run: u64) -> Self {
        let me = Speaker { gateway: settings.gateway.clone(), boot, run };
        Self {
            topics: Topics::new(&settings.park, &me.gateway),
            me,
            gateways: settings.peers.clone(),
            peers: settings.peers.iter().map(|peer| (peer.clone(), PeerState::default())).collect(),
            silent_after: settings.silent_after,
            hello_every: HELLO_AT_LEAST.min(settings.silent_after / HELLOS_PER_SILENCE),
            up: false,
            n: 0,
            said: VecDeque::new(),
            due: Mono::default(),
            looking: false,
            mine: None,
            compare: BTreeSet::new(),
            asking: None,
            twin: None,
            refused: BTreeMap::new(),
            counts: Counts::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Returns what to listen to.
    pub fn filters(&self) -> [String; 2] {
        self.topics.filters()
    }

    /// Returns the next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns how it stands with each peer.
    pub fn peers(&self) -> impl Iterator<Item = (&GatewayId, &PeerState)> {
        self.peers.iter()
    }

    /// Returns what was refused, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> {
        self.refused.iter().map(|(reason, n)| (*reason, *n))
    }

    /// Returns what was done.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns when [`Exchange::handle_timeout`] is due; `None`: not before something else comes.
    pub fn poll_timeout(&self) -> Option<Mono> {
        if !self.up {
            return None;
        }
        let asked = self.asking.as_ref().map(|(_, since)| *since + ANSWER_WITHIN);
        let owed = self.peers.values().filter_map(PeerState::answer_at);
        owed.chain(asked).chain([self.due]).min()
    }

    /// The broker takes what we say, and gives us what we listen to.
    pub fn handle_up(&mut self, now: Mono) {
        self.up = true;
        self.due = now;
        self.forget_talk();
        self.look();
    }

    /// The connection is gone.
    pub fn handle_down(&mut self) {
        self.up = false;
        self.looking = false;
        self.forget_talk();
    }

    /// What was begun with somebody is void: it may be another one by now.
    fn forget_talk(&mut self) {
        self.asking = None;
        self.compare.clear();
        for peer in self.peers.values_mut() {
            (peer.in_step, peer.owed) = (false, None);
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Mono) {
        if self.asking.as_ref().is_some_and(|(_, since)| now.since(*since) >= ANSWER_WITHIN) {
            self.asking = None;
        }
        let owes = self.peers.values().any(|peer| peer.answer_at().is_some_and(|at| at <= now));
        if self.up && (now >= self.due || owes) {
            self.look();
        }
    }

    /// These events are stored. Those of this start go to all.
    pub fn handle_stored(&mut self, events: &[Arc<Event>]) {
        let own = Source { gateway: self.me.gateway.clone(), boot: self.me.boot };
        let own: Vec<&Arc<Event>> = events.iter().filter(|event| event.source == own).collect();
        if self.up && !own.is_empty() {
            let topic = self.topics.to_all();
            self.counts.shared += self.send_events(&topic, own.into_iter(), None);
        }
    }

    /// This is here.
    pub fn handle_have(&mut self, have: Have, now: Mono) {
        self.looking = false;
        let digest = message::digest(&have);
        self.mine = Some((have, digest));
        if !self.up {
            return;
        }
        if now >= self.due {
            self.hello(now);
        }
        for peer in std::mem::take(&mut self.compare) {
            self.compare(peer, now);
        }
        self.answer_owed(now);
    }

    /// This peer lacks these of what is here and stored; the oldest of each gateway first, at most a batch.
    pub fn handle_lacking(&mut self, peer: &GatewayId, events: &[Arc<Event>]) {
        if !self.up {
            return;
        }
        let then = if events.len() >= BATCH { Then::More } else { Then::Done };
        let topic = self.topics.to(peer);
        self.counts.resent += self.send_events(&topic, events.iter(), Some(then));
    }

    /// A message came.
    pub fn handle_message(&mut self, topic: &str, retained: bool, payload: &[u8], now: Mono) {
        let (speaker, say) = match message::read(&self.topics, topic, retained, payload) {
            Ok(read) => read,
            Err(refusal) => return self.refuse(refusal),
        };
        if speaker.gateway == self.me.gateway {
            return self.on_own(&speaker, &say);
        }
        if !self.peers.contains_key(&speaker.gateway) {
            return self.refuse(Refusal::Forged);
        }
        match say {
            Say::Hello { n, heard, digest } => self.on_hello(speaker, n, &heard, digest, now),
            Say::Have { have, of } => self.on_have(speaker, have, of),
            Say::Events { events, then } => self.on_events(&speaker.gateway, &events, then, now),
        }
    }

    /// A message was so large that it was not even read.
    pub fn handle_too_large(&mut self) {
        self.refuse(Refusal::TooLarge);
    }

    /// What we said to all comes back to us, and what the run before said may be kept. Only who goes on saying hello is another.
    fn on_own(&mut self, speaker: &Speaker, say: &Say) {
        let Say::Hello { n, .. } = say else { return };
        if speaker.run == self.me.run {
            return;
        }
        if self.twin.is_some_and(|(run, last)| run == speaker.run && last < *n) {
            self.refuse(Refusal::Twin);
        }
        self.twin = Some((speaker.run, *n));
    }

    fn on_hello(&mut self, speaker: Speaker, n: u64, heard: &[Echo], digest: String, now: Mono) {
        let Speaker { gateway, run, .. } = speaker;
        let echo = heard.iter().find(|echo| echo.gateway == self.me.gateway && echo.run == self.me.run);
        let proof = echo.and_then(|echo| self.said.iter().find(|(said, _)| *said == echo.n)).map(|(_, at)| *at);
        let proof = proof.filter(|at| now.since(*at) <= self.silent_after / 2);
        let silent_after = self.silent_after;
        let Some(peer) = self.peers.get_mut(&gateway) else { return };
        if peer.run != Some(run) {
            *peer = PeerState { run: Some(run), heard: peer.heard, answered: peer.answered, ..PeerState::default() };
        } else if n <= peer.hello {
            return;
        }
        (peer.hello, peer.digest) = (n, Some(digest));
        if let Some(proof) = proof {
            let away = peer.heard.is_none_or(|heard| proof.since(heard) >= silent_after);
            peer.in_step &= !away;
            peer.heard = peer.heard.max(Some(proof));
        }
        if echo.is_none() {
            // It does not hear us yet: it need not wait for our turn.
            let last = self.said.back().map_or(now, |(_, at)| *at + HELLO_APART);
            self.due = self.due.min(last.max(now));
        }
        self.compare.insert(gateway.clone());
        self.tell_heard(&gateway, now);
        self.look();
    }

    /// Compares what is here with what a peer last said it has.
    fn compare(&mut self, gateway: GatewayId, now: Mono) {
        let Some((have, digest)) = &self.mine else { return };
        let Some(peer) = self.peers.get_mut(&gateway) else { return };
        if peer.digest.as_ref() == Some(digest) {
            peer.in_step = true;
            return self.tell_heard(&gateway, now);
        }
        if self.asking.is_some() {
            return;
        }
        let of = self.gateways.iter().cloned().chain([self.me.gateway.clone()]).collect();
        let payload = message::write(&self.me, &Say::Have { have: have.clone(), of });
        if payload.len() > MAX_MESSAGE {
            return self.refuse(Refusal::TooLarge);
        }
        let topic = self.topics.to(&gateway);
        self.outputs.push_back(Output::Send(Message { topic, keep: false, payload }));
        self.asking = Some((gateway, now));
    }

    fn on_have(&mut self, speaker: Speaker, have: Have, of: BTreeSet<GatewayId>) {
        if let Some(peer) = self.peers.get_mut(&speaker.gateway) {
            peer.owed = Some((have, of, speaker.boot));
            self.look();
        }
    }

    /// Finds out what is lacking to those who asked, where it is their turn.
    fn answer_owed(&mut self, now: Mono) {
        let Some((mine, _)) = &self.mine else { return };
        for (gateway, peer) in &mut self.peers {
            if peer.answer_at().is_none_or(|at| at > now) {
                continue;
            }
            let Some((have, of, boot)) = peer.owed.take() else { continue };
            peer.answered = Some(now);
            let of_no_use =
                |source: &Source| !of.contains(&source.gateway) || (source.gateway == *gateway && source.boot >= boot);
            let have = without(have, mine, of_no_use);
            self.outputs.push_back(Output::Lacking(gateway.clone(), have));
        }
    }

    fn on_events(&mut self, from: &GatewayId, texts: &[Box<RawValue>], then: Option<Then>, now: Mono) {
        let mut events = Vec::with_capacity(texts.len());
        for text in texts {
            match message::take(text, &self.me, &self.gateways) {
                Ok(event) => events.push(event),
                Err(refusal) => self.refuse(refusal),
            }
        }
        let took = !events.is_empty();
        self.counts.taken += events.len() as u64;
        if took {
            self.outputs.push_back(Output::Take(events));
        }
        let asked = self.asking.as_ref().is_some_and(|(peer, _)| peer == from);
        let Some(then) = then.filter(|_| asked) else { return };
        self.asking = None;
        match then {
            // Where nothing could be taken, the same would come again.
            Then::More if took => {
                self.compare.insert(from.clone());
                self.look();
            }
            Then::More => {}
            Then::Done => {
                if let Some(peer) = self.peers.get_mut(from) {
                    peer.in_step = true;
                }
                self.tell_heard(from, now);
            }
        }
    }

    fn tell_heard(&mut self, gateway: &GatewayId, now: Mono) {
        let Some(peer) = self.peers.get(gateway).filter(|peer| peer.in_step) else { return };
        if let Some(at) = peer.heard.filter(|at| now.since(*at) < self.silent_after) {
            self.outputs.push_back(Output::Heard(gateway.clone(), at));
        }
    }

    fn hello(&mut self, now: Mono) {
        let Some((_, digest)) = &self.mine else { return };
        self.n += 1;
        let echo = |(gateway, peer): (&GatewayId, &PeerState)| {
            peer.run.map(|run| Echo { gateway: gateway.clone(), run, n: peer.hello })
        };
        let heard = self.peers.iter().filter_map(echo).collect();
        let payload = message::write(&self.me, &Say::Hello { n: self.n, heard, digest: digest.clone() });
        self.outputs.push_back(Output::Send(Message { topic: self.topics.to_all(), keep: false, payload }));
        self.said.push_back((self.n, now));
        while self.said.len() > MAX_SAID {
            self.said.pop_front();
        }
        self.due = now + self.hello_every;
    }

    fn look(&mut self) {
        if self.up && !std::mem::replace(&mut self.looking, true) {
            self.outputs.push_back(Output::Look);
        }
    }

    /// Returns how many were sent.
    fn send_events<'a>(
        &mut self,
        topic: &str,
        events: impl Iterator<Item = &'a Arc<Event>>,
        then: Option<Then>,
    ) -> u64 {
        let (mut part, mut bytes, mut n) = (Vec::new(), 0, 0);
        for event in events {
            let Ok(text) = serde_json::value::to_raw_value(&**event) else { continue };
            let size = text.get().len() + 1;
            if size + PART / 4 > MAX_MESSAGE {
                // Nobody would take it.
                self.refuse(Refusal::TooLarge);
                continue;
            }
            if bytes + size > PART && !part.is_empty() {
                self.send(topic, Say::Events { events: std::mem::take(&mut part), then: None });
                bytes = 0;
            }
            part.push(text);
            (bytes, n) = (bytes + size, n + 1);
        }
        if !part.is_empty() || then.is_some() {
            self.send(topic, Say::Events { events: part, then });
        }
        n
    }

    fn send(&mut self, topic: &str, say: Say) {
        let payload = message::write(&self.me, &say);
        self.outputs.push_back(Output::Send(Message { topic: topic.to_owned(), keep: true, payload }));
    }

    fn refuse(&mut self, refusal: Refusal) {
        *self.refused.entry(refusal).or_default() += 1;
    }
}

impl PeerState {
    /// Returns when its question is to be answered, where it asked one.
    fn answer_at(&self) -> Option<Mono> {
        self.owed.as_ref().map(|_| self.answered.map_or(Mono::default(), |at| at + ANSWER_EVERY))
    }
}

/// Returns what a peer has, as if it had all of the sources that are of no use to it.
fn without(have: Have, mine: &Have, of_no_use: impl Fn(&Source) -> bool) -> Have {
    let kept = have.0.into_iter().filter(|(source, _)| !of_no_use(source));
    let all = mine.0.iter().filter(|(source, _)| of_no_use(source));
    Have(kept.chain(all.map(|(source, _)| (source.clone(), vec![(0, u64::MAX - 1)]))).collect())
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
