//! Listens for the pushes of cameras and answers them.
//!
//! One task owns the [`Desk`], the guards and all open answers; each connection has a task of its own that reads, asks the
//! owner, and writes.
//!
//! - More than `max_connections`: closed at once. A header that takes longer than `header_timeout`, a body that takes longer
//!   than `body_timeout`: closed.
//! - A body beyond `max_body` is read to its end and thrown away as it comes, up to [`DRAIN_MAX`], so that the camera gets
//!   its `413` instead of a broken pipe; it takes no memory.
//! - At most [`BODIES`] bodies are in memory at a time; others wait within their time.
//! - The answer that moves something goes out when its event is kept, or after [`KEPT_WITHIN`]; never after its end.
//! - A command finds a place or is refused by whoever sends it: the owner may be waiting for the lane to take an event.

mod connection;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpListener;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::auth::{Auth, Guard, Head, Proved, Refused};
use super::desk::{Counts as DeskCounts, Desk, Moving, Output, TurnedAway};
use super::{Camera, Make, Memory, Picture, Push, Remembered};
use crate::clock::Clock;
use crate::domain::gate::hardware::{CameraEvent, LaneCommand, LaneEvent, LaneReceipt, News};
use crate::domain::gate::picture::Lost;
use crate::domain::gate::register::digest::LookUpKey;
use crate::domain::time::Mono;
use crate::lane::push::{Body, MAX_NEWS, Pusher, Pushers};

/// An answer that opens waits so long for its event to be kept: ten times an fsync. A store that does not answer holds no gate.
pub const KEPT_WITHIN: Duration = Duration::from_millis(200);
/// Bodies in memory at a time; with `max_body` of 4 MiB 64 MiB at the worst.
pub const BODIES: usize = 16;
/// A body beyond the limit is read so far before it is answered.
pub const DRAIN_MAX: usize = 32 << 20;
/// Questions of connections to the owner: each has one open at a time, and one that says it is gone.
const ASKS: usize = 1024;
/// Events whose memory is still being written; those that nobody waits for fall out.
const KEEPING: usize = 256;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How the listener is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Connections at a time. A camera has 2 to 4.
    pub max_connections: usize,
    /// Time for the header of a request.
    pub header_timeout: Duration,
    /// Time for its body.
    pub body_timeout: Duration,
    /// Largest body, bytes: JSON with two pictures in base64 has 200 to 700 kB.
    pub max_body: usize,
    /// Other systems that push here, and the key of the digests of the cards that they name.
    pub pushers: (Vec<Pusher>, LookUpKey),
}

impl Settings {
    /// The ordinary limits at an address.
    pub fn at(listen: SocketAddr, pushers: (Vec<Pusher>, LookUpKey)) -> Self {
        Self {
            listen,
            pushers,
            max_connections: 128,
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            max_body: 4 << 20,
        }
    }
}

/// Where things go.
#[derive(Debug)]
pub struct Outlets<M> {
    /// To the lanes.
    pub events: mpsc::Sender<LaneEvent>,
    /// What became of commands.
    pub receipts: mpsc::Sender<LaneReceipt>,
    /// Pictures: dropped and counted when there is no room.
    pub pictures: mpsc::Sender<Picture>,
    /// Pictures without their bytes: what is lost, and why; missed only where even these find no room.
    pub lost: mpsc::Sender<Picture>,
    /// What other systems say: refused, for them to say again, when there is no room.
    pub news: mpsc::Sender<News>,
    /// Keeps what was seen.
    pub memory: M,
    /// What was counted.
    pub counts: watch::Sender<Counts>,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of what was said.
    pub desk: DeskCounts,
    /// Connections that found no place.
    pub no_place: u64,
    /// Requests that were asked to prove themselves: the first step of digest.
    pub challenged: u64,
    /// Wrong user, password or signature.
    pub wrong: u64,
    /// Proofs that were used before.
    pub replayed: u64,
    /// Signed for another time.
    pub out_of_window: u64,
    /// More signed requests than can be remembered.
    pub too_many: u64,
    /// From an address that is not the device's.
    pub elsewhere: u64,
    /// To no device.
    pub nowhere: u64,
    /// Bodies beyond the limit.
    pub too_large: u64,
    /// Bodies that did not come in time.
    pub slow: u64,
    /// Bodies that were no push.
    pub not_pushes: u64,
    /// Pictures that found no room.
    pub pictures_dropped: u64,
    /// What other systems said and was taken.
    pub news: u64,
    /// Pushes of theirs that said what they may not, or found no room.
    pub news_refused: u64,
}

/// What a connection asks or tells the owner.
enum Ask {
    /// May this device come in?
    Admit { device: String, place: Place, peer: IpAddr, head: Head, reply: oneshot::Sender<Admitted> },
    /// May it, now that its body is known?
    Body { device: String, head: Head, sha256: String, reply: oneshot::Sender<Admitted> },
    /// It said this.
    Push { device: String, push: Push, timed: bool, ticket: u64, reply: oneshot::Sender<Reply> },
    /// Another system said this.
    News { device: String, body: Body, reply: oneshot::Sender<Result<usize, NotTaken>> },
    /// An answer has gone out.
    Handed { ticket: u64, moved: bool },
    /// It hung up.
    Gone { ticket: u64 },
    /// A request that came to nothing.
    Failed(Failure),
}

/// Who pushes to a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Camera(Make),
    Push,
}

/// Why nothing of what another system said was taken.
enum NotTaken {
    MayNot,
    Busy,
}

/// Why a request came to nothing.
#[derive(Clone, Copy)]
enum Failure {
    Nowhere,
    TooLarge,
    Slow,
    NotAPush,
}

/// Whether a device may come in.
enum Admitted {
    In(Proved),
    NeedsBody,
    Refused(Refused),
    Elsewhere,
    Nowhere,
}

/// An answer, for the connection.
struct Reply {
    still: String,
    moving: Option<(Moving, Option<oneshot::Receiver<()>>)>,
}

/// Serves the cameras on `listener` until `stop`.
///
/// # Errors
/// When there is no randomness to be had for the nonces.
pub async fn serve<M: Memory>(
    settings: Settings,
    listener: TcpListener,
    (cameras, remembered): (Vec<Camera>, Vec<Remembered>),
    outlets: Outlets<M>,
    mut commands: mpsc::Receiver<LaneCommand>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), String> {
    let mut secret = [0; 32];
    SystemRandom::new().fill(&mut secret).map_err(|_| "no randomness for the nonces of cameras".to_owned())?;
    let (asks, mut asked) = mpsc::channel(ASKS);
    let mut owner = Owner::new((cameras, settings.pushers.clone()), remembered, outlets, &secret, clock.clone());
    let shared = Arc::new(connection::Shared {
        settings: settings.clone(),
        asks,
        tickets: AtomicU64::new(1),
        bodies: Semaphore::new(BODIES),
        clock: clock.clone(),
    });
    let places = Arc::new(Semaphore::new(settings.max_connections));
    let mut connections = JoinSet::new();
    owner.pass_on().await;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ask) = asked.recv() => owner.ask(ask),
            Some(command) = commands.recv() => owner.desk.handle_command(command, clock.now()),
            () = clock.sleep_until_opt(owner.poll_timeout()) => owner.handle_timeout(),
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((tcp, peer)) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        let one = connection::run(tcp, peer.ip(), Arc::clone(&shared), stop.clone());
                        connections.spawn(async move {
                            one.await;
                            drop(place);
                        });
                    }
                    // Without a place the socket is dropped here, which closes it.
                    Err(_) => owner.counts.no_place += 1,
                },
                Err(error) => {
                    tracing::warn!(%error, "A camera's connection could not be accepted.");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
        owner.pass_on().await;
    }
    connections.shutdown().await;
    Ok(())
}

/// Owns what all connections share.
struct Owner<M> {
    desk: Desk,
    pushers: Pushers,
    guards: BTreeMap<String, Guard>,
    replies: BTreeMap<u64, oneshot::Sender<Reply>>,
    keeping: VecDeque<(CameraEvent, oneshot::Receiver<()>)>,
    outlets: Outlets<M>,
    counts: Counts,
    clock: Clock,
}

impl<M: Memory> Owner<M> {
    fn new(
        (cameras, (pushers, key)): (Vec<Camera>, (Vec<Pusher>, LookUpKey)),
        known: Vec<Remembered>,
        outlets: Outlets<M>,
        secret: &[u8],
        clock: Clock,
    ) -> Self {
        let guard =
            |id: &str, auth: &Auth| (id.to_owned(), Guard::new(auth.clone(), &[secret, id.as_bytes()].concat()));
        let of_cameras = cameras.iter().map(|camera| guard(&camera.device, &camera.auth));
        let guards = of_cameras.chain(pushers.iter().map(|pusher| guard(&pusher.id, &pusher.auth))).collect();
        let desk = Desk::new(cameras, known, clock.now());
        let pushers = Pushers::new(pushers, key, clock.mono());
        let (replies, keeping, counts) = (BTreeMap::new(), VecDeque::new(), Counts::default());
        Self { desk, pushers, guards, replies, keeping, outlets, counts, clock }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.desk.poll_timeout().into_iter().chain(self.pushers.poll_timeout()).min()
    }

    fn handle_timeout(&mut self) {
        let now = self.clock.now();
        self.desk.handle_timeout(now);
        for one in self.pushers.handle_timeout(now.mono) {
            // Without room the lane keeps the last count; the next silence is told again when it was heard once more.
            drop(self.outlets.news.try_send(one));
        }
    }

    /// Passes on what another system says: all of it, or nothing.
    fn news(&mut self, device: &str, body: Body) -> Result<usize, NotTaken> {
        let now = self.clock.now();
        if self.outlets.news.capacity() < MAX_NEWS {
            self.counts.news_refused += 1;
            return Err(NotTaken::Busy);
        }
        let Some(news) = self.pushers.handle_body(device, body, now) else {
            self.counts.news_refused += 1;
            return Err(NotTaken::MayNot);
        };
        let taken = news.len();
        for one in news {
            // There is room for all of them; closed is the gateway's end.
            drop(self.outlets.news.try_send(one));
        }
        self.counts.news += u64::try_from(taken).unwrap_or(0);
        Ok(taken)
    }

    fn ask(&mut self, ask: Ask) {
        let now = self.clock.now();
        match ask {
            Ask::News { device, body, reply } => drop(reply.send(self.news(&device, body))),
            Ask::Admit { device, place, peer, head, reply } => {
                let admitted = self.admit(&device, place, peer, &head);
                // A connection that is gone needs no answer; so below.
                let _gone = reply.send(admitted);
            }
            Ask::Body { device, head, sha256, reply } => {
                let judged = self.guards.get_mut(&device).map(|guard| guard.body(&head, &sha256, now));
                let admitted = match judged {
                    Some(Ok(proved)) => Admitted::In(proved),
                    Some(Err(refused)) => self.refused(&device, refused),
                    None => Admitted::Nowhere,
                };
                let _gone = reply.send(admitted);
            }
            Ask::Push { device, push, timed, ticket, reply } => {
                // A stranger's push is answered by the reply's being dropped.
                if self.desk.handle_push(&device, push, ticket, timed, now) {
                    self.replies.insert(ticket, reply);
                } else {
                    self.turned_away(&device, TurnedAway::Stranger);
                }
            }
            Ask::Handed { ticket, moved } => self.desk.handle_handed(ticket, moved, now),
            Ask::Gone { ticket } => {
                self.replies.remove(&ticket);
                self.desk.handle_gone(ticket, now);
            }
            Ask::Failed(Failure::Nowhere) => self.counts.nowhere += 1,
            Ask::Failed(Failure::TooLarge) => self.counts.too_large += 1,
            Ask::Failed(Failure::Slow) => self.counts.slow += 1,
            Ask::Failed(Failure::NotAPush) => self.counts.not_pushes += 1,
        }
    }

    fn admit(&mut self, device: &str, place: Place, peer: IpAddr, head: &Head) -> Admitted {
        let address = match place {
            Place::Camera(make) => {
                self.desk.camera(device).filter(|camera| camera.make == make).map(|camera| camera.address)
            }
            Place::Push => self.pushers.pusher(device).map(|pusher| pusher.address),
        };
        let Some(address) = address else {
            self.counts.nowhere += 1;
            return Admitted::Nowhere;
        };
        if address.is_some_and(|address| address != peer) {
            self.counts.elsewhere += 1;
            self.turned_away(device, TurnedAway::Elsewhere);
            return Admitted::Elsewhere;
        }
        let now = self.clock.now();
        match self.guards.get_mut(device).map(|guard| guard.head(head, now)) {
            Some(Ok(Some(proved))) => Admitted::In(proved),
            Some(Ok(None)) => Admitted::NeedsBody,
            Some(Err(refused)) => self.refused(device, refused),
            None => Admitted::Nowhere,
        }
    }

    /// The log and the lane's faults say why a device is not heard; the first time, since it may say so for ever.
    fn turned_away(&mut self, device: &str, why: TurnedAway) {
        if self.desk.handle_turned_away(device, why, self.clock.now()) {
            tracing::warn!(device, why = why.as_str(), "Pushes in the name of a camera are not believed.");
        }
    }

    fn refused(&mut self, device: &str, refused: Refused) -> Admitted {
        match refused {
            Refused::Wrong => self.turned_away(device, TurnedAway::Wrong),
            Refused::OutOfWindow => self.turned_away(device, TurnedAway::OutOfWindow),
            // The first step of a login, and what nobody's settings cause.
            Refused::Challenge(_) | Refused::Replayed | Refused::TooMany => {}
        }
        let count = match refused {
            Refused::Challenge(_) => &mut self.counts.challenged,
            Refused::Wrong => &mut self.counts.wrong,
            Refused::Replayed => &mut self.counts.replayed,
            Refused::OutOfWindow => &mut self.counts.out_of_window,
            Refused::TooMany => &mut self.counts.too_many,
        };
        *count += 1;
        Admitted::Refused(refused)
    }

    /// Passes on whatever the desk has. Answers and memory never wait; the lane's queue may, which holds the cameras back.
    async fn pass_on(&mut self) {
        while let Some(output) = self.desk.poll_output() {
            match output {
                Output::Event(event) => drop(self.outlets.events.send(event).await),
                Output::Receipt(receipt) => drop(self.outlets.receipts.send(receipt).await),
                Output::Picture(picture) => self.picture(picture),
                Output::Remember(seen, forget) => {
                    if self.keeping.len() >= KEEPING {
                        self.keeping.pop_front();
                    }
                    let event = seen.event.clone();
                    self.keeping.push_back((event, self.outlets.memory.remember(seen, forget)));
                }
                Output::Answer(answer) => {
                    let kept = |event: &CameraEvent| self.keeping.iter().position(|(keeping, _)| keeping == event);
                    let at = answer.moving.as_ref().and_then(|moving| kept(&moving.event));
                    let kept = at.and_then(|at| self.keeping.remove(at)).map(|(_, kept)| kept);
                    if let Some(reply) = self.replies.remove(&answer.ticket) {
                        let moving = answer.moving.map(|moving| (moving, kept));
                        if reply.send(Reply { still: answer.still, moving }).is_err() {
                            self.desk.handle_gone(answer.ticket, self.clock.now());
                        }
                    }
                }
            }
        }
        let counts = Counts { desk: self.desk.counts(), ..self.counts };
        self.outlets.counts.send_if_modified(|old| std::mem::replace(old, counts) != counts);
    }

    /// Passes a picture on, or at least that it is lost; waits for nobody.
    fn picture(&mut self, picture: Picture) {
        let lost = if picture.pushed.content.is_err() {
            picture
        } else {
            let Err(TrySendError::Full(mut full) | TrySendError::Closed(mut full)) =
                self.outlets.pictures.try_send(picture)
            else {
                return;
            };
            self.counts.pictures_dropped += 1;
            full.pushed.content = Err(Lost::Busy);
            full
        };
        drop(self.outlets.lost.try_send(lost));
    }
}
