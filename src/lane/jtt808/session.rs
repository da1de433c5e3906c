//! Listens for terminals. One task owns the [`Desk`]; each connection has a task that reads and one queue that it writes from.
//!
//! - More than `max_connections`: closed at once.
//! - A terminal that takes no answers for [`STALL`], or whose queue of [`ANSWERS`] is full: closed. It comes again.
//! - Where the events are not taken, nothing is read any more: terminals keep their positions and send them later.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::desk::{Counts as DeskCounts, Desk, Output};
use crate::clock::Clock;
use crate::domain::gate::hardware::TerminalEvent;

/// Answers of a connection that wait to be written.
const ANSWERS: usize = 64;
/// Time for an answer to be taken.
const STALL: Duration = Duration::from_secs(10);
/// What connections tell the owner: few each, and each waits until it is taken.
const TOLD: usize = 64;
/// Bytes that are read at a time.
const READ: usize = 4096;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How the listener is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Connections at a time: as many as there are terminals, and some beside them.
    pub max_connections: usize,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of what was said.
    pub desk: DeskCounts,
    /// Connections that found no place.
    pub no_place: u64,
    /// Connections that did not take their answers.
    pub stalled: u64,
}

enum Told {
    Bytes(u64, Vec<u8>),
    Ended(u64),
}

/// Serves terminals on `listener` until `stop`, or until nobody takes their events any more.
pub async fn serve(
    settings: Settings,
    listener: TcpListener,
    mut desk: Desk,
    events: mpsc::Sender<TerminalEvent>,
    counts: watch::Sender<Counts>,
    clock: Clock,
    stop: CancellationToken,
) {
    let (tell, mut told) = mpsc::channel(TOLD);
    let places = Arc::new(Semaphore::new(settings.max_connections));
    let mut writers: BTreeMap<u64, mpsc::Sender<Vec<u8>>> = BTreeMap::new();
    let mut connections = JoinSet::new();
    let (mut next, mut counted) = (0_u64, Counts::default());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(one) = told.recv() => match one {
                Told::Bytes(id, bytes) => desk.handle_bytes(id, &bytes, clock.now()),
                Told::Ended(id) => {
                    writers.remove(&id);
                    desk.handle_closed(id, clock.now());
                }
            },
            () = clock.sleep_until_opt(desk.poll_timeout()) => desk.handle_timeout(clock.now()),
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        next += 1;
                        let (answers, to_write) = mpsc::channel(ANSWERS);
                        writers.insert(next, answers);
                        desk.handle_open(next, clock.now());
                        let one = connection(tcp, next, tell.clone(), to_write);
                        connections.spawn(async move {
                            one.await;
                            drop(place);
                        });
                    }
                    // Without a place the socket is dropped here, which closes it.
                    Err(_) => counted.no_place += 1,
                },
                Err(error) => {
                    tracing::warn!(%error, "A terminal's connection could not be accepted.");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
        while let Some(output) = desk.poll_output() {
            match output {
                Output::Send(id, bytes) => {
                    let full = writers.get(&id).is_some_and(|writer| writer.try_send(bytes).is_err());
                    if full {
                        counted.stalled += 1;
                        writers.remove(&id);
                        desk.handle_closed(id, clock.now());
                    }
                }
                // What was sent before is written, then the connection ends.
                Output::Close(id) => drop(writers.remove(&id)),
                Output::Event(event) => {
                    if events.send(event).await.is_err() {
                        connections.shutdown().await;
                        return;
                    }
                }
            }
        }
        let now = Counts { desk: desk.counts(), ..counted };
        counts.send_if_modified(|old| std::mem::replace(old, now) != now);
    }
    connections.shutdown().await;
}

/// Reads and writes until one of the sides ends.
async fn connection(mut tcp: TcpStream, id: u64, tell: mpsc::Sender<Told>, mut answers: mpsc::Receiver<Vec<u8>>) {
    // A socket that takes no option is served all the same.
    let _best_effort = tcp.set_nodelay(true);
    let (mut reader, mut writer) = tcp.split();
    let reading = async {
        let mut bytes = vec![0; READ];
        while let Ok(count) = reader.read(&mut bytes).await {
            let Some(read) = bytes.get(..count).filter(|read| !read.is_empty()) else { break };
            if tell.send(Told::Bytes(id, read.to_vec())).await.is_err() {
                break;
            }
        }
    };
    let writing = async {
        while let Some(bytes) = answers.recv().await {
            match timeout(STALL, writer.write_all(&bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    // The owner may have gone.
    let _told = tell.send(Told::Ended(id)).await;
}
