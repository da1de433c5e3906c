//! Answers requests: finds the route in the table, checks the right, calls the handler, sets the headers that every
//! answer has. warp reads the request and makes the replies; which path exists is said by [`super::table`] alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::{Reply, Response};
use warp::{Filter, filters::BoxedFilter};

use super::format::Zone;
use super::lang::{Lang, Text};
use super::park::{Park, Trend, TrendError};
use super::request::{Choice, LONGEST_TARGET, parameter};
use super::session::{Events, Hub, Watch, within};
use super::table::{Caller, Endpoint, Route, admit, find};
use super::view::{self, Look, Page, Viewer};
use super::{html, metrics, trend};

const SCRIPT: &str = include_str!("assets/app.js");
const STYLE: &str = include_str!("assets/app.css");
const ICON: &str = include_str!("assets/favicon.svg");

/// Two trends at a time: each reads an hour of segments, and the disk belongs to the writers.
const TRENDS_AT_ONCE: usize = 2;
/// Time for a trend, waiting included; the page then comes without it.
const TREND_PATIENCE: Duration = Duration::from_secs(5);
/// No scripts, styles or anything else from elsewhere or inline; nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A language chosen is kept for a year.
const COOKIE_AGE: u32 = 31_536_000;

/// What all handlers share.
pub(super) struct Site<P> {
    hub: Arc<Hub<P>>,
    zone: Zone,
    trends: Semaphore,
    /// Places for event streams: fewer than connections, so that pages and probes always find one.
    places: Arc<Semaphore>,
    stop: CancellationToken,
    script: Asset,
    style: Asset,
    icon: Asset,
}

struct Asset {
    text: &'static str,
    kind: &'static str,
    tag: String,
    href: String,
}

impl Asset {
    fn new(path: &str, kind: &'static str, text: &'static str) -> Self {
        let hash = crc32c::crc32c(text.as_bytes());
        Self { text, kind, tag: format!("\"{hash:08x}\""), href: format!("{path}?v={hash:08x}") }
    }
}

/// The parts of a request that an answer depends on.
struct Request {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    caller: Caller,
}

impl Request {
    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn choice(&self) -> Choice {
        Choice::of(&self.query, self.header(header::COOKIE))
    }

    fn has_body(&self) -> bool {
        let length = self.header(header::CONTENT_LENGTH);
        self.headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length.trim() != "0")
    }
}

impl<P: Park> Site<P> {
    pub(super) fn new(park: P, zone: Zone, streams: usize, stop: CancellationToken) -> Self {
        Self {
            hub: Arc::new(Hub::new(park)),
            zone,
            trends: Semaphore::new(TRENDS_AT_ONCE),
            places: Arc::new(Semaphore::new(streams)),
            stop,
            script: Asset::new("/app.js", "text/javascript; charset=utf-8", SCRIPT),
            style: Asset::new("/app.css", "text/css; charset=utf-8", STYLE),
            icon: Asset::new("/favicon.svg", "image/svg+xml", ICON),
        }
    }

    fn viewer(&self, choice: Choice) -> Viewer<'_> {
        Viewer { choice, zone: &self.zone, style: &self.style.href, script: &self.script.href }
    }
}

/// Returns the whole site as one filter. The connection puts its [`Caller`] into the request's extensions; without one
/// nothing is allowed.
pub(super) fn filter<P: Park>(site: Arc<Site<P>>) -> BoxedFilter<(Response,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Caller>())
        .then(move |method, path: warp::path::FullPath, query, headers, caller: Option<Caller>| {
            let site = Arc::clone(&site);
            let caller = caller.unwrap_or_else(|| Caller::with(&[]));
            let request = Request { method, path: path.as_str().to_owned(), query, headers, caller };
            async move { secured(answer(&site, &request).await) }
        })
        .boxed()
}

/// Sets the headers that every answer has.
fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The one way from a request to an answer: length, table, method, body, right, handler.
async fn answer<P: Park>(site: &Site<P>, request: &Request) -> Response {
    if request.path.len() + request.query.len() > LONGEST_TARGET {
        return refused(site, request, StatusCode::URI_TOO_LONG, Text::TooLong).await;
    }
    let Some((route, name)) = find(&request.path) else {
        return refused(site, request, StatusCode::NOT_FOUND, Text::NotFound).await;
    };
    if !route.methods.contains(&request.method.as_str()) {
        let response = plain(StatusCode::METHOD_NOT_ALLOWED, Text::MethodNotAllowed.of(request.choice().lang));
        return with(response, header::ALLOW, &route.methods.join(", "));
    }
    if request.has_body() {
        let response = plain(StatusCode::PAYLOAD_TOO_LARGE, Text::NoBodies.of(request.choice().lang));
        return with(response, header::CONNECTION, "close");
    }
    if !admit(&request.caller, route) {
        return plain(StatusCode::FORBIDDEN, Text::Forbidden.of(request.choice().lang));
    }
    handle(site, request, route, &name).await
}

async fn handle<P: Park>(site: &Site<P>, request: &Request, route: &Route, name: &str) -> Response {
    match route.endpoint {
        Endpoint::Overview => page(site, request, |look, v| Some(view::overview(look, v)), Text::NotFound).await,
        Endpoint::Alarms => page(site, request, |look, v| Some(view::alarms(look, v)), Text::NotFound).await,
        Endpoint::Site => page(site, request, |look, v| Some(view::site(look, v)), Text::NotFound).await,
        Endpoint::Gates => page(site, request, view::gates, Text::NotFound).await,
        Endpoint::Inside => {
            let n = page_number(&request.query);
            page(site, request, |look, v| view::inside_list(look, v, n), Text::NotFound).await
        }
        Endpoint::Muster => page(site, request, view::muster_roll, Text::NotFound).await,
        Endpoint::Picture => picture(site, name).await,
        Endpoint::Daybook => page(site, request, |look, v| Some(view::daybook(look, v)), Text::NotFound).await,
        Endpoint::Uplink => page(site, request, |look, v| Some(view::uplink(look, v)), Text::NotFound).await,
        Endpoint::Store => page(site, request, |look, v| Some(view::store(look, v)), Text::NotFound).await,
        Endpoint::Device => page(site, request, |look, v| view::device(look, v, name), Text::NoDevice).await,
        Endpoint::Point => point(site, request, name).await,
        Endpoint::Trend => trend_alone(site, request, name).await,
        Endpoint::Events => events(site, request).await,
        Endpoint::Healthz => probe(site, |r| r.live),
        Endpoint::Readyz => probe(site, |r| r.live && r.ready),
        Endpoint::Metrics => scrape(site).await,
        Endpoint::Script => asset(&site.script, request),
        Endpoint::Style => asset(&site.style, request),
        Endpoint::Icon => asset(&site.icon, request),
    }
}

/// Which page of a list; what cannot be read is the first.
fn page_number(query: &str) -> usize {
    parameter(query, "p").and_then(|n| n.parse().ok()).unwrap_or(1)
}

fn plain(status: StatusCode, text: &str) -> Response {
    warp::reply::with_status(format!("{text}\n"), status).into_response()
}

fn with(mut response: Response, name: header::HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// An error for whoever asked: a page for a browser, one line for a program.
async fn refused<P: Park>(site: &Site<P>, request: &Request, status: StatusCode, text: Text) -> Response {
    let browser = request.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    if !browser {
        return plain(status, text.of(request.choice().lang));
    }
    let look = site.hub.look().await;
    document(&view::message(&look, &site.viewer(request.choice()), text), status, request.choice())
}

fn document(page: &Page, status: StatusCode, choice: Choice) -> Response {
    let response = warp::reply::with_status(warp::reply::html(html::page(page)), status).into_response();
    if !choice.asked {
        return response;
    }
    let cookie = format!("lang={}; Path=/; Max-Age={COOKIE_AGE}; SameSite=Lax; HttpOnly", choice.lang.code());
    with(response, header::SET_COOKIE, &cookie)
}

async fn page<P: Park>(
    site: &Site<P>,
    request: &Request,
    make: impl Fn(&Look, &Viewer<'_>) -> Option<Page>,
    missing: Text,
) -> Response {
    let (look, choice) = (site.hub.look().await, request.choice());
    let viewer = site.viewer(choice);
    match make(&look, &viewer) {
        Some(page) => document(&page, StatusCode::OK, choice),
        // Without the engine's answer nobody can say that there is no such device.
        None if look.snapshot.is_none() => {
            document(&view::message(&look, &viewer, Text::EngineSilent), StatusCode::SERVICE_UNAVAILABLE, choice)
        }
        None => document(&view::message(&look, &viewer, missing), StatusCode::NOT_FOUND, choice),
    }
}

async fn point<P: Park>(site: &Site<P>, request: &Request, tag: &str) -> Response {
    let look = site.hub.look().await;
    let drawn = drawn(site, &look, tag, request.choice().lang).await;
    page(site, request, |look, v| view::point(look, v, tag, drawn.clone().unwrap_or_default()), Text::NoPoint).await
}

/// A picture by passage and number, `east-in.3.17.0`: nobody but the browser that asked may keep it, and not for long.
async fn picture<P: Park>(site: &Site<P>, name: &str) -> Response {
    let asked = name.rsplit_once('.').and_then(|(passage, number)| Some((passage, number.parse::<u8>().ok()?)));
    let found = match asked {
        Some((passage, number)) => site.hub.park().picture(passage, number).await,
        None => None,
    };
    match found {
        Some(jpeg) => with(jpeg.into_response(), header::CONTENT_TYPE, "image/jpeg"),
        None => plain(StatusCode::NOT_FOUND, Text::NoPicture.of(Lang::default())),
    }
}

async fn trend_alone<P: Park>(site: &Site<P>, request: &Request, tag: &str) -> Response {
    let look = site.hub.look().await;
    match drawn(site, &look, tag, request.choice().lang).await {
        Some(html) => warp::reply::html(html).into_response(),
        None => plain(StatusCode::NOT_FOUND, Text::NoPoint.of(request.choice().lang)),
    }
}

/// Returns the trend as markup, or `None` when there is no such point.
async fn drawn<P: Park>(site: &Site<P>, look: &Look, tag: &str, lang: Lang) -> Option<String> {
    let registry = &look.snapshot.as_ref()?.registry;
    let spec = registry.devices.iter().flat_map(|d| &d.points).find(|spec| spec.tag.as_str() == tag)?;
    let slow = || Err(TrendError::Unavailable(Text::TrendSlow.of(lang).to_owned()));
    let trend = within(TREND_PATIENCE, read_trend(site, tag)).await.unwrap_or_else(slow);
    Some(trend::html(&trend, spec, &site.zone, lang))
}

async fn read_trend<P: Park>(site: &Site<P>, tag: &str) -> Result<Trend, TrendError> {
    let _place = site.trends.acquire().await.map_err(|closed| TrendError::Unavailable(closed.to_string()))?;
    site.hub.park().trend(tag).await
}

/// Opens the stream of the page named by the query: `device`, `point`, `page=uplink`, `page=store`, else the overview.
async fn events<P: Park>(site: &Site<P>, request: &Request) -> Response {
    if request.method == Method::HEAD {
        return with(Response::default(), header::CONTENT_TYPE, "text/event-stream");
    }
    let look = site.hub.look().await;
    let wanted = Wanted::of(&request.query);
    let choice = Choice { asked: false, ..request.choice() };
    if look.snapshot.is_some() && wanted.page(&look, &site.viewer(choice)).is_none() {
        return plain(StatusCode::NOT_FOUND, Text::NotFound.of(choice.lang));
    }
    let Ok(place) = Arc::clone(&site.places).try_acquire_owned() else {
        return with(plain(StatusCode::SERVICE_UNAVAILABLE, "too many event streams"), header::RETRY_AFTER, "5");
    };
    let (zone, style, script) = (site.zone.clone(), site.style.href.clone(), site.script.href.clone());
    let page = move |look: &Look| {
        let viewer = Viewer { choice, zone: &zone, style: &style, script: &script };
        // A device that a reload took away, or an engine that does not answer: the shape differs, the page is loaded.
        wanted.page(look, &viewer).unwrap_or_else(|| view::message(look, &viewer, Text::EngineSilent))
    };
    let watch = Watch { hub: Arc::clone(&site.hub), page: Box::new(page), stop: site.stop.clone(), _place: place };
    let stream = warp::sse::keep_alive().stream(Events::new(watch));
    warp::sse::reply(stream).into_response()
}

/// Which page an event stream is for.
enum Wanted {
    Overview,
    Alarms,
    Site,
    Gates,
    Inside(usize),
    Daybook,
    Uplink,
    Store,
    Device(String),
    Point(String),
}

impl Wanted {
    fn of(query: &str) -> Self {
        if let Some(id) = parameter(query, "device") {
            return Self::Device(id);
        }
        if let Some(tag) = parameter(query, "point") {
            return Self::Point(tag);
        }
        match parameter(query, "page").as_deref() {
            Some("alarms") => Self::Alarms,
            Some("site") => Self::Site,
            Some("gates") => Self::Gates,
            Some("inside") => Self::Inside(page_number(query)),
            Some("daybook") => Self::Daybook,
            Some("uplink") => Self::Uplink,
            Some("store") => Self::Store,
            Some(_) | None => Self::Overview,
        }
    }

    fn page(&self, look: &Look, viewer: &Viewer<'_>) -> Option<Page> {
        match self {
            Self::Overview => Some(view::overview(look, viewer)),
            Self::Alarms => Some(view::alarms(look, viewer)),
            Self::Site => Some(view::site(look, viewer)),
            Self::Gates => view::gates(look, viewer),
            Self::Inside(n) => view::inside_list(look, viewer, *n),
            Self::Daybook => Some(view::daybook(look, viewer)),
            Self::Uplink => Some(view::uplink(look, viewer)),
            Self::Store => Some(view::store(look, viewer)),
            Self::Device(id) => view::device(look, viewer, id),
            Self::Point(tag) => view::point(look, viewer, tag, String::new()),
        }
    }
}

fn probe<P: Park>(site: &Site<P>, good: impl Fn(&super::Readiness) -> bool) -> Response {
    let readiness = site.hub.park().ready();
    let ok = good(&readiness);
    let body = serde_json::json!({
        "ok": ok, "live": readiness.live, "ready": readiness.ready, "reasons": readiness.reasons,
    });
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    warp::reply::with_status(warp::reply::json(&body), status).into_response()
}

async fn scrape<P: Park>(site: &Site<P>) -> Response {
    let look = site.hub.look().await;
    match metrics::text(&look) {
        Ok(text) => with(Response::new(text.into()), header::CONTENT_TYPE, metrics::CONTENT_TYPE),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Style and script: kept for ever under the address with their hash, asked again under the bare one.
fn asset(asset: &Asset, request: &Request) -> Response {
    let same = request.header(header::IF_NONE_MATCH).is_some_and(|tags| tags.contains(&asset.tag));
    let response = if same {
        warp::reply::with_status("", StatusCode::NOT_MODIFIED).into_response()
    } else {
        with(Response::new(asset.text.into()), header::CONTENT_TYPE, asset.kind)
    };
    let named = asset.href.ends_with(&format!("?{}", request.query)) && !request.query.is_empty();
    let cache = if named { "public, max-age=31536000, immutable" } else { "no-cache" };
    with(with(response, header::CACHE_CONTROL, cache), header::ETAG, &asset.tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::snapshot::{BusStatus, ClockStatus, Snapshot, StoreStatus, UplinkStatus};
    use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};
    use crate::web::{Identity, Readiness};

    /// A gateway whose engine never answers: enough to see who is let in.
    #[derive(Clone)]
    struct Nobody;

    impl Park for Nobody {
        fn identity(&self) -> Identity {
            Identity::default()
        }

        async fn snapshot(&self) -> Option<Arc<Snapshot>> {
            None
        }

        fn store(&self) -> Arc<StoreStatus> {
            Arc::default()
        }

        fn uplink(&self) -> Arc<UplinkStatus> {
            Arc::default()
        }

        fn buses(&self) -> Vec<Arc<BusStatus>> {
            Vec::new()
        }

        fn clock(&self) -> ClockStatus {
            ClockStatus {
                trust: ClockTrust::Unsynced,
                steps: 0,
                last_step_ms: None,
                since_synced: None,
                max_error: None,
            }
        }

        fn now(&self) -> Now {
            Now { mono: Mono::from_secs(1), wall: Timestamp(0), trust: ClockTrust::Unsynced }
        }

        fn ready(&self) -> Readiness {
            Readiness::default()
        }

        async fn trend(&self, tag: &str) -> Result<Trend, TrendError> {
            Err(TrendError::Unknown(tag.to_owned()))
        }

        async fn picture(&self, _: &str, _: u8) -> Option<Vec<u8>> {
            None
        }

        fn version(&self) -> &'static str {
            "test"
        }
    }

    fn request(path: &str, caller: Caller) -> Request {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        Request { method: Method::GET, path, query, headers: HeaderMap::new(), caller }
    }

    fn path_of(route: &Route) -> String {
        match route.path {
            crate::web::table::Path::Is(path) => path.to_owned(),
            crate::web::table::Path::Under(prefix) => format!("{prefix}x"),
        }
    }

    #[tokio::test]
    async fn without_its_right_every_route_with_data_is_forbidden() {
        let site = Site::new(Nobody, Zone::utc(), 1, CancellationToken::new());
        for route in &super::super::table::ROUTES {
            let status = answer(&site, &request(&path_of(route), Caller::with(&[]))).await.status();
            let open = route.right == super::super::table::Right::Open;
            assert_eq!(status == StatusCode::FORBIDDEN, !open, "{route:?} {status}");
        }
    }

    #[tokio::test]
    async fn a_silent_engine_is_no_reason_to_say_that_there_is_no_such_device() {
        let site = Site::new(Nobody, Zone::utc(), 1, CancellationToken::new());
        let of = async |path| answer(&site, &request(path, Caller::on_listener())).await.status();
        assert_eq!(of("/device/plc-1").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(of("/point/TT101").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(of("/").await, StatusCode::OK);
        assert_eq!(of("/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
