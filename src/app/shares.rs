//! Who passed, on its way from the gates to the park's other gateways, and theirs to the gates.
//!
//! ```text
//!  engine task (Keeper) ──mpsc Event, once it is saved──▶ peers ──▶ park's broker
//!        ▲                                                  │
//!        └──Request::Gates(Have, Lacking, Shared, Heard)────┘
//! ```
//!
//! Nothing here is a queue that must not lose: what does not fit is found by what the other gateways lack. So the gates wait for
//! nobody.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::Gateway;
use super::engine::Request;
use super::foundation::source_boot;
use super::gates::Ask;
use crate::domain::gate::inside::{Event, Have};
use crate::domain::gate::word::GatewayId;
use crate::domain::time::Mono;
use crate::peers::{self, Account};

/// Events on their way to the peers: what a park passes in some minutes. Beyond it they are asked for.
const N_QUEUED: usize = 1024;

/// Where the newest start of sharing takes saved events from.
pub(super) type Way = watch::Sender<Option<mpsc::Sender<Arc<Event>>>>;

/// Where the gates leave saved events.
#[derive(Debug)]
pub(super) struct Shares(watch::Receiver<Option<mpsc::Sender<Arc<Event>>>>);

impl Shares {
    /// Returns it, with the end that sharing holds.
    pub(super) fn open() -> (Way, Self) {
        let (way, shares) = watch::channel(None);
        (way, Self(shares))
    }

    /// Leaves a saved event; never waits.
    pub(super) fn share(&self, event: Arc<Event>) {
        // Full, or nobody shares just now: it is asked for.
        drop(self.0.borrow().as_ref().map(|peers| peers.try_send(event)));
    }
}

impl Gateway {
    /// Starts sharing, where the gates have other gateways to share with.
    pub(super) fn start_sharing(&mut self) {
        let way = self.gates.as_mut().and_then(|gates| gates.peers.take());
        let (Some(way), Some(settings)) = (way, self.config.gates.peers.clone()) else { return };
        let identity = &self.uplink.identity;
        let (account, boot) = (Books(self.requests.clone()), source_boot(&identity.epoch, identity.boot));
        let (clock, status) = (self.clock.clone(), self.views.peers.clone());
        self.supervisor.restartable("peers", self.stops.uplink.clone(), move |stop| {
            // A new channel with each start: what the last one left in it is asked for.
            let (tx, stored) = mpsc::channel(N_QUEUED);
            way.send_replace(Some(tx));
            let (settings, account) = (settings.clone(), account.clone());
            peers::run(peers::Inputs {
                settings,
                boot,
                account,
                stored,
                status: status.clone(),
                clock: clock.clone(),
                stop,
            })
        });
    }
}

/// The account of who is inside, asked of the engine's task.
#[derive(Clone)]
struct Books(mpsc::Sender<Request>);

impl Books {
    async fn tell(&self, ask: Ask) {
        // The engine ends before us.
        drop(self.0.send(Request::Gates(ask)).await);
    }
}

impl Account for Books {
    async fn have(&self) -> Option<Have> {
        let (answer, have) = oneshot::channel();
        self.tell(Ask::Have(answer)).await;
        have.await.ok()
    }

    async fn lacking(&self, peer: Have) -> Vec<Arc<Event>> {
        let (answer, lacking) = oneshot::channel();
        self.tell(Ask::Lacking(peer, answer)).await;
        lacking.await.unwrap_or_default()
    }

    async fn take(&self, events: Vec<Event>) {
        self.tell(Ask::Shared(events)).await;
    }

    async fn heard(&self, peer: GatewayId, at: Mono) {
        self.tell(Ask::Heard(peer, at)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::inside::event::{Body, Loose};
    use crate::domain::gate::inside::{EventId, Source};
    use crate::domain::time::{ClockTrust, Timestamp};

    fn event(seq: u64) -> Arc<Event> {
        let source = Source { gateway: GatewayId::new("east"), boot: 1 };
        Arc::new(Event {
            id: EventId { source: source.clone(), n: seq },
            source,
            seq,
            version: 1,
            at: Timestamp(0),
            clock: ClockTrust::Synced,
            body: Body::Loose(Loose::Undated { camera: None, plate: None, device_time: None }),
        })
    }

    #[tokio::test]
    async fn events_go_to_the_newest_start_of_sharing_and_hold_nobody_up() {
        let (way, shares) = Shares::open();
        shares.share(event(1));
        let (tx, mut first) = mpsc::channel(1);
        way.send_replace(Some(tx));
        shares.share(event(2));
        shares.share(event(3));
        assert_eq!(first.recv().await.map(|event| event.seq), Some(2));
        let (tx, mut second) = mpsc::channel(1);
        way.send_replace(Some(tx));
        shares.share(event(4));
        assert!(first.recv().await.is_none(), "the one before is let go");
        assert_eq!(second.recv().await.map(|event| event.seq), Some(4));
    }
}
