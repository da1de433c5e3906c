//! One connection of a camera: reads requests, asks the owner, writes answers.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::auth::{Head, Proved, Refused};
use super::super::{Make, NotAPush, Push};
use super::{Admitted, Ask, DRAIN_MAX, Failure, KEPT_WITHIN, NotTaken, Place, Reply, Settings};
use crate::clock::Clock;
use crate::lane::coding::sha256;
use crate::lane::{isapi, push, vzenith};

/// Largest header of a request, all lines together: hyper's least.
const MAX_HEADER_BYTES: usize = 8192;
/// Most lines of a header.
const MAX_HEADERS: usize = 48;
/// First part of the path that other systems push to.
const PUSH: &str = "push";

/// What all connections share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) tickets: AtomicU64,
    pub(super) bodies: Semaphore,
    pub(super) clock: Clock,
}

/// Serves one connection until its peer leaves or `stop`.
pub(super) async fn run(tcp: TcpStream, peer: IpAddr, shared: Arc<Shared>, stop: CancellationToken) {
    // The answer is small and the driver waits. A socket that takes no option is served all the same.
    let _best_effort = tcp.set_nodelay(true);
    let header = shared.settings.header_timeout;
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answered(request, peer, shared).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(tcp), service);
    let served = pin!(served);
    tokio::select! {
        _ended = served => {}
        () = stop.cancelled() => {}
    }
}

/// What is said instead of an answer.
type Refusal = Response<Told>;

async fn answered(request: Request<Incoming>, peer: IpAddr, shared: Arc<Shared>) -> Response<Told> {
    match pushed(request, peer, &shared).await {
        Ok((ticket, body, moved)) => {
            let told = Told { body: Some(body.into()), ticket: Some((ticket, moved)), asks: Some(shared.asks.clone()) };
            let mut response = Response::new(told);
            response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
            response
        }
        Err(refusal) => *refusal,
    }
}

/// Reads, proves and hands over one push; returns its ticket, what it is answered, and whether that moves something.
async fn pushed(
    request: Request<Incoming>,
    peer: IpAddr,
    shared: &Shared,
) -> Result<(u64, String, bool), Box<Refusal>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let place = device_of(parts.uri.path()).filter(|_| [Method::POST, Method::PUT].contains(&parts.method));
    let Some((place, device)) = place else {
        return Err(fail(shared, Failure::Nowhere, StatusCode::NOT_FOUND).await);
    };
    let head = head_of(parts.method.as_str(), path, &parts.headers);
    let admitted = asked(shared, |reply| {
        let (device, head) = (device.clone(), head.clone());
        Ask::Admit { device, place, peer, head, reply }
    });
    let admitted = admitted.await;
    let refused = !matches!(admitted, Some(Admitted::In(_) | Admitted::NeedsBody));
    let bytes = read(body, &parts.headers, shared, refused).await;
    let bytes = match (bytes, refused) {
        (_, true) => Vec::new(),
        (Ok(bytes), false) => bytes,
        (Err(failure), false) => {
            let large = matches!(failure, Failure::TooLarge);
            let status = if large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::REQUEST_TIMEOUT };
            return Err(fail(shared, failure, status).await);
        }
    };
    let proved = match admitted {
        Some(Admitted::NeedsBody) => {
            let sha256 = sha256(&bytes);
            proved(asked(shared, |reply| Ask::Body { device: device.clone(), head, sha256, reply }).await)?
        }
        other => proved(other)?,
    };
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let Place::Camera(make) = place else { return told(shared, device, &bytes).await };
    let Ok(push) = parsed(make, kind, &bytes) else {
        return Err(fail(shared, Failure::NotAPush, StatusCode::BAD_REQUEST).await);
    };
    drop(bytes);
    decided(shared, device, push, proved).await
}

/// Hands over what another system says; it is answered with how much of it was taken: all of it, or nothing.
async fn told(shared: &Shared, device: String, bytes: &[u8]) -> Result<(u64, String, bool), Box<Refusal>> {
    let Ok(body) = push::read(bytes) else {
        return Err(fail(shared, Failure::NotAPush, StatusCode::BAD_REQUEST).await);
    };
    match asked(shared, |reply| Ask::News { device, body, reply }).await {
        Some(Ok(taken)) => {
            let ticket = shared.tickets.fetch_add(1, Ordering::Relaxed);
            Ok((ticket, format!("{{\"taken\":{taken}}}"), false))
        }
        Some(Err(NotTaken::MayNot)) => Err(plain(StatusCode::FORBIDDEN)),
        Some(Err(NotTaken::Busy)) | None => Err(plain(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

fn parsed(make: Make, kind: &str, bytes: &[u8]) -> Result<Push, NotAPush> {
    match make {
        Make::Vzenith => vzenith::push::parse(kind, bytes),
        Make::Isapi => isapi::event::parse(kind, bytes),
    }
}

/// Hands the push over and waits for its answer, which the owner gives within the camera's limit.
async fn decided(
    shared: &Shared,
    device: String,
    push: Push,
    proved: Proved,
) -> Result<(u64, String, bool), Box<Refusal>> {
    let ticket = shared.tickets.fetch_add(1, Ordering::Relaxed);
    let mut waiting = Waiting { ticket: Some(ticket), asks: shared.asks.clone() };
    let timed = proved.timed;
    let reply = asked(shared, |reply| Ask::Push { device, push, timed, ticket, reply }).await;
    let Some(Reply { still, moving }) = reply else {
        waiting.ticket = None;
        return Err(plain(StatusCode::FORBIDDEN));
    };
    let Some((moving, kept)) = moving else {
        waiting.ticket = None;
        return Ok((ticket, still, false));
    };
    if let Some(kept) = kept {
        // Kept, not kept, or not in time: the gate goes on.
        let _in_any_case = timeout(KEPT_WITHIN, kept).await;
    }
    waiting.ticket = None;
    let in_time = shared.clock.mono() <= moving.not_after;
    Ok((ticket, if in_time { moving.body } else { still }, in_time))
}

/// Tells the owner when the connection ends before its answer.
struct Waiting {
    ticket: Option<u64>,
    asks: mpsc::Sender<Ask>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            // Full: the limit of the wait ends it.
            let _told = self.asks.try_send(Ask::Gone { ticket });
        }
    }
}

async fn asked<T>(shared: &Shared, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    shared.asks.send(ask(reply)).await.ok()?;
    answer.await.ok()
}

fn proved(admitted: Option<Admitted>) -> Result<Proved, Box<Refusal>> {
    let status = match admitted {
        Some(Admitted::In(proved)) => return Ok(proved),
        Some(Admitted::Refused(Refused::Challenge(text))) => {
            let mut response = plain(StatusCode::UNAUTHORIZED);
            if let Ok(value) = text.parse() {
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            return Err(response);
        }
        Some(Admitted::Refused(Refused::TooMany)) => StatusCode::TOO_MANY_REQUESTS,
        Some(Admitted::Refused(_) | Admitted::Elsewhere | Admitted::NeedsBody) => StatusCode::FORBIDDEN,
        Some(Admitted::Nowhere) => StatusCode::NOT_FOUND,
        None => StatusCode::SERVICE_UNAVAILABLE,
    };
    Err(plain(status))
}

async fn fail(shared: &Shared, failure: Failure, status: StatusCode) -> Box<Refusal> {
    let _stopping = shared.asks.send(Ask::Failed(failure)).await;
    let mut response = plain(status);
    response.headers_mut().insert(CONNECTION, hyper::header::HeaderValue::from_static("close"));
    response
}

fn plain(status: StatusCode) -> Box<Refusal> {
    let mut response = Response::new(Told { body: None, ticket: None, asks: None });
    *response.status_mut() = status;
    Box::new(response)
}

fn device_of(path: &str) -> Option<(Place, String)> {
    let (first, device) = path.strip_prefix('/')?.split_once('/')?;
    let make = [Make::Vzenith, Make::Isapi].into_iter().find(|one| one.path() == first).map(Place::Camera);
    let place = make.or((first == PUSH).then_some(Place::Push))?;
    Some((place, device.to_owned()))
}

fn head_of(method: &str, path: String, headers: &HeaderMap) -> Head {
    let text = |value: &hyper::header::HeaderValue| value.to_str().ok().map(str::to_owned);
    let named = |name: &str| headers.get(name).and_then(text);
    Head {
        method: method.to_owned(),
        path,
        authorization: headers.get(AUTHORIZATION).and_then(text),
        time: named("x-parkgate-time"),
        nonce: named("x-parkgate-nonce"),
        signature: named("x-parkgate-signature"),
    }
}

/// Reads a body within its time; `thrown_away` reads it and keeps nothing.
async fn read(body: Incoming, headers: &HeaderMap, shared: &Shared, thrown_away: bool) -> Result<Vec<u8>, Failure> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_long = length.is_some_and(|length| length > shared.settings.max_body);
    let all = async {
        let keep = if thrown_away || too_long { 0 } else { shared.settings.max_body };
        let place = if keep > 0 { shared.bodies.acquire().await.ok() } else { None };
        let read = collected(body, keep).await;
        drop(place);
        read
    };
    match timeout(shared.settings.body_timeout, all).await {
        Ok(read) => read,
        Err(_) => Err(Failure::Slow),
    }
}

/// Reads to the end; more than `keep` bytes are read all the same, up to [`DRAIN_MAX`], and thrown away.
async fn collected(mut body: Incoming, keep: usize) -> Result<Vec<u8>, Failure> {
    let (mut bytes, mut total) = (Vec::new(), 0_usize);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(frame) = frame else { return Err(Failure::Slow) };
        let Some(data) = frame.data_ref() else { continue };
        total = total.saturating_add(data.len());
        if total > DRAIN_MAX {
            break;
        }
        if total > keep {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(data);
        }
    }
    if total > keep { Err(Failure::TooLarge) } else { Ok(bytes) }
}

/// An answer that tells the owner when it has gone out, or that it never did.
pub(super) struct Told {
    body: Option<Bytes>,
    ticket: Option<(u64, bool)>,
    asks: Option<mpsc::Sender<Ask>>,
}

impl Told {
    fn tell(&mut self, out: bool) {
        if let (Some((ticket, moved)), Some(asks)) = (self.ticket.take(), self.asks.take()) {
            let ask = if out { Ask::Handed { ticket, moved } } else { Ask::Gone { ticket } };
            // Full: its receipt is missed, and the lane goes by the limit switch, as it does in any case.
            let _told = asks.try_send(ask);
        }
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.body.take();
        if body.is_some() {
            self.tell(true);
        }
        Poll::Ready(body.map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| u64::try_from(body.len()).unwrap_or(0)))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // An empty body is never asked for, and has gone out with its header.
        let empty = self.body.as_ref().is_some_and(Bytes::is_empty);
        self.tell(empty);
    }
}
