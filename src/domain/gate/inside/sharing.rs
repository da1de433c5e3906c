//! What goes between the gateways of a park: each says what it has, and is sent what it lacks. Over a broker with persistent
//! sessions, by a cable, on a stick: the result is the same.

use std::sync::Arc;

use super::account::Touched;
use super::{Event, Have, Inside, Output};
use crate::domain::gate::word::GatewayId;
use crate::domain::time::{Mono, Now};

impl Inside {
    /// Returns what this gateway has of everybody's events.
    pub fn have(&self) -> Have {
        self.log.have()
    }

    /// Returns what a peer lacks, at most [`super::log::BATCH`] at once; ask again with what it has then.
    pub fn lacking(&self, peer: &Have) -> Vec<Arc<Event>> {
        self.log.lacking(peer)
    }

    /// Takes in events of other gateways (or its own, that it lost). Each that is new comes out to be stored.
    pub fn merge(&mut self, events: impl IntoIterator<Item = Event>, now: Now) {
        let mut touched = Touched::default();
        for event in events {
            if self.log.is_seen(&event) && self.log.at(&event.source, event.seq).is_none_or(|known| **known == event) {
                continue;
            }
            if event.source == self.source {
                // This start's own events are known here better; a number that is not ours yet is somebody else's mistake.
                self.next_event = self.next_event.max(event.seq.saturating_add(1));
            }
            let event = Arc::new(event);
            self.outputs.push_back(Output::Event(event.clone()));
            self.account_for(&event, now, &mut touched);
            self.fold_oldest();
        }
        self.look_at(&touched, now);
        self.changed();
        self.settle_assumed(&touched.subjects, now);
    }

    /// Notes that a peer is heard.
    pub fn heard(&mut self, peer: GatewayId, now: Now) {
        if self.rules.peers.contains(&peer) {
            self.heard.insert(peer, now.mono);
        }
    }

    /// Returns whether every peer is heard; `None` where there is none.
    pub fn peers_heard(&self, now: Mono) -> Option<bool> {
        let heard =
            |peer: &GatewayId| self.heard.get(peer).is_some_and(|at| now.since(*at) < self.rules.peer_silent_after);
        (!self.rules.peers.is_empty()).then(|| self.rules.peers.iter().all(heard))
    }
}
