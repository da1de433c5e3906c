//! Listens, accepts, limits, drains. warp's own server has no header timeout, no cap, and waits for ever for an open
//! event stream; so the connections are served here (`crates.md` §7).
//!
//! - More than `max_connections`: closed at once, without an answer; a panel that polls comes again.
//! - A client that takes longer than `header_timeout` for the header of a request (the first or, on a kept connection,
//!   the next) is closed.
//! - A peer that takes nothing for [`STALL`] is closed; its event stream would hold a place for ever.
//! - A peer of which nothing is heard any more (switched off, its cable pulled) is closed after [`VANISHED`], the kernel's way.
//! - At the stop no new connection is taken, event streams end, running answers are finished, and after [`DRAIN`] the
//!   rest is cut.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::format::Zone;
use super::park::Park;
use super::routes::{Site, filter};
use super::settings::Settings;
use super::table::Caller;

/// Largest header of a request, all lines together; the least that hyper takes, and three times what browsers send.
const MAX_HEADER_BYTES: usize = 8192;
/// Most lines of a header.
const MAX_HEADERS: usize = 64;
/// Time that running answers have after the stop; the whole stop of the page stays within two seconds.
const DRAIN: Duration = Duration::from_millis(1500);
/// Time without a byte taken by the peer, while there are bytes for it.
const STALL: Duration = Duration::from_secs(30);
/// Time without an acknowledgement for what was sent: ten events of a stream. By itself the kernel would try for a quarter of an
/// hour, and dead panels would hold the places that the living ones need.
const VANISHED: Duration = Duration::from_secs(10);
/// A connection on which nothing is sent is asked after this long whether its peer is there, and then each [`ASK_EVERY`].
const ASK_AFTER: Duration = Duration::from_secs(15);
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Pause after a failed accept (out of descriptors): it would fail again at once, and burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves the page on `listener` until `stop`.
///
/// # Errors
/// None at present: a failed accept is waited out. The listener's own failure would be one.
pub async fn serve<P: Park>(
    settings: Settings,
    listener: TcpListener,
    park: P,
    stop: CancellationToken,
) -> Result<(), String> {
    let zone = Zone::named(&settings.timezone).unwrap_or_else(|| {
        tracing::warn!(timezone = %settings.timezone, "The time zone is not known here; times are shown in UTC.");
        Zone::utc()
    });
    // Half of the connections at most are streams; at least one, or the page would never be live.
    let streams = (settings.max_connections / 2).max(1);
    let routes = filter(Arc::new(Site::new(park, zone, streams, stop.clone())));
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "The page is served.");
    }
    let mut connections = JoinSet::new();
    accept_all(&settings, &listener, &routes, &stop, &mut connections).await;
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN + Duration::from_millis(200), all).await.is_err() {
        connections.shutdown().await;
    }
    tracing::info!("The page is closed.");
    Ok(())
}

async fn accept_all(
    settings: &Settings,
    listener: &TcpListener,
    routes: &BoxedFilter<(Response,)>,
    stop: &CancellationToken,
    connections: &mut JoinSet<()>,
) {
    let places = Arc::new(Semaphore::new(settings.max_connections));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, _peer)) => {
                // Without a place the socket is dropped here, which closes it.
                if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                    let connection = connection(tcp, routes.clone(), settings.header_timeout, stop.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "A connection to the page could not be accepted.");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection until its peer leaves or `stop`.
async fn connection(tcp: TcpStream, routes: BoxedFilter<(Response,)>, header: Duration, stop: CancellationToken) {
    // The events are small and wanted now. A socket that takes no option is served all the same.
    let _best_effort = tcp.set_nodelay(true);
    let _best_effort = notice_when_it_vanishes(&tcp);
    let site = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Caller::on_listener());
        let answer = site.call(request);
        async move { answer.await as Result<Response, Infallible> }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Guarded::new(tcp)), service);
    let mut served = pin!(served);
    tokio::select! {
        _ended = served.as_mut() => return,
        () = stop.cancelled() => served.as_mut().graceful_shutdown(),
    }
    // What is not finished by then is cut when `served` is dropped.
    let _drained = tokio::time::timeout(DRAIN, served).await;
}

fn notice_when_it_vanishes(tcp: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(tcp);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(ASK_AFTER).with_interval(ASK_EVERY))?;
    socket.set_tcp_user_timeout(Some(VANISHED))
}

/// A connection whose peer must take bytes now and then.
struct Guarded {
    tcp: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Guarded {
    fn new(tcp: TcpStream) -> Self {
        Self { tcp, stalled: None }
    }

    fn guard<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.guard(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.guard(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}
