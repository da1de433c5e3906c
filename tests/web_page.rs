//! The page over real sockets: what is served and what is not, limits, the event stream, the end.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![expect(clippy::string_slice, reason = "a test may")]

#[path = "web_page/gates.rs"]
mod gates;
mod web_support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parkgate::web::table::{Path, ROUTES};
use parkgate::web::{serve, settings::Settings};
use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use web_support::FakePark;

/// Nothing here takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

struct Served {
    address: SocketAddr,
    park: FakePark,
    stop: CancellationToken,
    task: JoinSet<Result<(), String>>,
}

impl Served {
    async fn new() -> Self {
        Self::with(64, Duration::from_secs(20)).await
    }

    async fn with(max_connections: usize, header_timeout: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let timezone = "Asia/Shanghai".to_owned();
        let settings = Settings { listen: address, max_connections, header_timeout, timezone };
        let (park, stop) = (FakePark::new(), CancellationToken::new());
        let mut task = JoinSet::new();
        task.spawn(serve(settings, listener, park.clone(), stop.clone()));
        Self { address, park, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends one request and reads the answer to its end.
    async fn raw(&self, request: &str) -> Answer {
        let mut tcp = self.connect().await;
        tcp.write_all(request.as_bytes()).await.unwrap();
        Answer::parse(&rest(&mut tcp).await)
    }

    async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        self.raw(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    async fn end(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task.join_next()).await.expect("it ends");
        assert_eq!(ended.unwrap().unwrap(), Ok(()));
    }
}

/// Reads until the peer closes; a reset is an end too.
async fn rest(tcp: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut bytes)).await.expect("the peer closes");
    let _reset_or_end = read;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let headers = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

fn sample_path(path: Path) -> String {
    match path {
        Path::Is(path) => path.to_owned(),
        Path::Under("/picture/") => "/picture/in.3.17.0".to_owned(),
        Path::Under("/device/") => "/device/plc-tank-1".to_owned(),
        Path::Under(prefix) => format!("{prefix}TT101"),
    }
}

/// Reads events until `n` have come; returns their data.
async fn events(tcp: &mut TcpStream, n: usize) -> Vec<serde_json::Value> {
    let (mut text, mut buf) = (String::new(), vec![0; 65_536]);
    let mut data = Vec::new();
    while data.len() < n {
        let read = tokio::time::timeout(PATIENCE, tcp.read(&mut buf)).await.expect("an event comes").unwrap();
        assert!(read > 0, "the stream ended after {} events", data.len());
        text.push_str(&String::from_utf8_lossy(&buf[..read]));
        // A line may come in pieces: only whole ones are taken.
        while let Some(end) = text.find('\n') {
            let line: String = text.drain(..=end).collect();
            if let Some(json) = line.strip_prefix("data:") {
                data.push(serde_json::from_str(json.trim()).unwrap());
            }
        }
    }
    data
}

async fn open_events(served: &Served, path: &str) -> TcpStream {
    let mut tcp = served.connect().await;
    tcp.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    tcp
}

#[tokio::test]
async fn a_picture_is_asked_for_by_passage_and_number_and_what_is_none_is_not_found() {
    let served = Served::new().await;
    let there = served.ask("HEAD", "/picture/in.3.17.0", "").await;
    assert_eq!((there.status, there.header("content-type")), (200, "image/jpeg"));
    assert_eq!(there.header("cache-control"), "no-store", "personal data stays in nobody's cache");
    for path in ["/picture/in.3.17.1", "/picture/in.3.17", "/picture/in.3.17.999", "/picture/..%2F..%2Fetc.0"] {
        assert_eq!(served.get(path).await.status, 404, "{path}");
    }
    served.end().await;
}

#[tokio::test]
async fn every_route_of_the_table_answers_and_only_to_reading() {
    let served = Served::new().await;
    for route in ROUTES {
        let path = sample_path(route.path);
        let head = served.ask("HEAD", &path, "").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "HEAD {path}");
        if path != "/events" {
            let get = served.get(&path).await;
            assert_eq!(get.status, 200, "GET {path}");
            assert!(!get.body.is_empty(), "GET {path}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = served.ask(method, &path, "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method} {path}");
        }
    }
    served.end().await;
}

#[tokio::test]
async fn nothing_beside_the_table_answers() {
    let served = Served::new().await;
    for path in ["/index.html", "/api", "/ws", "/..", "/%2e%2e/etc/passwd", "//", "/device/", "/device/a/b", "/METRICS"]
    {
        for method in ["GET", "POST", "DELETE"] {
            assert_eq!(served.ask(method, path, "").await.status, 404, "{method} {path}");
        }
    }
    for path in ["/device/nobody", "/point/nobody", "/trend/nobody", "/events?device=nobody", "/point/%zz"] {
        assert_eq!(served.get(path).await.status, 404, "{path}");
    }
    let page = served.ask("GET", "/nowhere", "Accept: text/html\r\n").await;
    assert!(page.status == 404 && page.body.contains("没有这个页面"), "{page:?}");
    served.end().await;
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_its_reader() {
    let served = Served::new().await;
    let long = format!("/{}", "x".repeat(3000));
    for path in ["/", "/metrics", "/app.js", "/nowhere", "/device/nobody", &long] {
        let answer = served.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!answer.header("cache-control").is_empty(), "{path}");
    }
    served.end().await;
}

#[tokio::test]
async fn requests_that_are_too_long_or_carry_a_body_are_refused() {
    let served = Served::new().await;
    assert_eq!(served.get(&format!("/?x={}", "y".repeat(3000))).await.status, 414);
    assert_eq!(served.get(&format!("/?x={}", "y".repeat(20_000))).await.status, 431);
    let many: String = (0..100).map(|i| format!("X-{i}: 1\r\n")).collect();
    assert_eq!(served.ask("GET", "/", &many).await.status, 431);
    let huge = served.ask("GET", "/", "Content-Length: 1073741824\r\n").await;
    assert_eq!((huge.status, huge.header("connection")), (413, "close"));
    assert_eq!(served.ask("GET", "/", "Transfer-Encoding: chunked\r\n").await.status, 413);
    assert_eq!(served.ask("GET", "/healthz", "Content-Length: 0\r\n").await.status, 200);
    served.end().await;
}

#[tokio::test]
async fn what_is_not_http_is_closed_and_does_no_harm() {
    let served = Served::new().await;
    for garbage in
        ["\x00\x01\x02\x03\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let status = served.raw(garbage).await.status;
        assert!(matches!(status, 0 | 400..=505), "{garbage:?} {status}");
    }
    assert_eq!(served.get("/healthz").await.status, 200);
    served.end().await;
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_header_is_closed() {
    let served = Served::with(64, Duration::from_millis(300)).await;
    let mut silent = served.connect().await;
    let mut half = served.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let mut kept = served.connect().await;
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let told = Answer::parse(&rest(&mut half).await).status;
    assert!(told == 0 || told == 408, "{told}");
    rest(&mut silent).await;
    assert_eq!(Answer::parse(&rest(&mut kept).await).status, 200, "a kept connection ends when it stays idle");
    served.end().await;
}

#[tokio::test]
async fn a_storm_of_half_open_requests_passes() {
    let served = Served::with(16, Duration::from_millis(300)).await;
    let mut storm = Vec::new();
    for _ in 0..200 {
        let mut tcp = served.connect().await;
        // Beyond the cap the peer has closed already.
        let _sent_or_closed = tcp.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await;
        storm.push(tcp);
    }
    let again = async {
        while served.get("/healthz").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the page answers although no client of the storm went away");
    drop(storm);
    served.end().await;
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_at_once_and_a_free_place_is_given_again() {
    let served = Served::with(2, Duration::from_secs(60)).await;
    let (first, mut second) = (served.connect().await, served.connect().await);
    // An answer on the second proves that both were accepted: the queue of a listener keeps its order.
    second.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut buf = [0; 1024];
    assert!(second.read(&mut buf).await.unwrap() > 0);
    let mut third = served.connect().await;
    assert_eq!(rest(&mut third).await, "");
    drop(first);
    let again = async {
        while served.get("/healthz").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the place of the first is free again");
    served.end().await;
}

#[tokio::test]
async fn the_stream_begins_with_all_cells_and_goes_on_with_those_that_changed() {
    let served = Served::new().await;
    let page = served.get("/device/plc-tank-1?lang=en").await.body;
    let mut tcp = open_events(&served, "/events?device=plc-tank-1&lang=en").await;
    let got = events(&mut tcp, 3).await;
    let cells = page.matches(" data-k=\"").count();
    assert_eq!(got[0]["set"].as_array().unwrap().len(), cells);
    let shape = got[0]["shape"].as_str().unwrap();
    assert!(page.contains(&format!("data-shape=\"{shape}\"")), "the page would load itself for ever");
    for later in &got[1..] {
        let changed = later["set"].as_array().unwrap().len();
        assert!(changed > 0 && changed < cells, "{changed} of {cells}");
        assert_eq!(later["shape"], got[0]["shape"]);
    }
    served.end().await;
}

#[tokio::test]
async fn every_page_has_the_shape_of_its_stream() {
    let served = Served::new().await;
    let pages = [
        ("/", "/events"),
        ("/uplink", "/events?page=uplink"),
        ("/store", "/events?page=store"),
        ("/gates", "/events?page=gates"),
        ("/point/TT101", "/events?point=TT101"),
    ];
    for (page, stream) in pages {
        let body = served.get(page).await.body;
        assert!(body.contains(&format!("data-events=\"{}", stream.replace('&', "&amp;"))), "{page}");
        let mut tcp = open_events(&served, stream).await;
        let shape = events(&mut tcp, 1).await[0]["shape"].as_str().unwrap().to_owned();
        assert!(body.contains(&format!("data-shape=\"{shape}\"")), "{page}");
    }
    served.end().await;
}

#[tokio::test]
async fn twenty_viewers_cost_about_one_look_a_second() {
    let served = Served::new().await;
    let mut viewers = JoinSet::new();
    for _ in 0..20 {
        let mut tcp = open_events(&served, "/events").await;
        viewers.spawn(async move { events(&mut tcp, 4).await.len() });
    }
    let seen: usize = viewers.join_all().await.into_iter().sum();
    let looks = served.park.switches.snapshots.load(Ordering::Relaxed);
    assert_eq!(seen, 80);
    assert!(looks <= 40, "{looks} looks for {seen} events");
    served.end().await;
}

#[tokio::test]
async fn streams_and_idle_connections_do_not_hold_up_the_end() {
    let served = Served::new().await;
    let mut stream = open_events(&served, "/events").await;
    events(&mut stream, 1).await;
    let mut idle = served.connect().await;
    served.end().await;
    assert!(rest(&mut stream).await.ends_with("0\r\n\r\n"), "the stream ended in order, it was not cut");
    assert_eq!(rest(&mut idle).await, "");
}

#[tokio::test]
async fn streams_never_take_the_last_connections() {
    let served = Served::with(4, Duration::from_secs(60)).await;
    let mut first = open_events(&served, "/events").await;
    let mut second = open_events(&served, "/events?page=store").await;
    events(&mut first, 1).await;
    events(&mut second, 1).await;
    assert_eq!(served.get("/events").await.status, 503);
    assert_eq!(served.get("/healthz").await.status, 200);
    served.end().await;
}

#[tokio::test]
async fn a_panel_that_vanishes_gives_its_stream_back_within_the_minute() {
    /// `ret #0` of the classic packet filter.
    const DROP: u16 = 0x06;
    // One stream at most.
    let served = Served::with(3, Duration::from_secs(60)).await;
    let mut panel = open_events(&served, "/events").await;
    events(&mut panel, 1).await;
    // From now on the panel's kernel drops whatever comes: no byte is acknowledged, and nothing says goodbye.
    SockRef::from(&panel).attach_filter(&[SockFilter::new(DROP, 0, 0, 0)]).unwrap();
    let freed = async {
        let mut head = [0; 12];
        while head != *b"HTTP/1.1 200" {
            tokio::time::sleep(Duration::from_millis(200)).await;
            open_events(&served, "/events").await.read_exact(&mut head).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), freed).await.is_ok(), "the kernel alone takes 15 minutes");
    served.end().await;
}

#[tokio::test]
async fn readiness_follows_the_store_and_says_why() {
    let served = Served::new().await;
    assert_eq!(served.get("/readyz").await.status, 200);
    served.park.switches.failed.store(true, Ordering::Relaxed);
    let answer = served.get("/readyz").await;
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, body["reasons"][0].as_str()), (503, Some("the store has failed")));
    assert_eq!(served.get("/healthz").await.status, 200, "a failed store is no reason to kill the process");
    served.end().await;
}

#[tokio::test]
async fn a_silent_engine_leaves_store_uplink_and_metrics_in_sight() {
    let served = Served::new().await;
    served.park.switches.silent.store(true, Ordering::Relaxed);
    let page = served.get("/").await;
    assert!(page.status == 200 && page.body.contains("采集引擎无应答") && page.body.contains("遥测"), "{}", page.body);
    assert_eq!(served.get("/device/plc-tank-1").await.status, 503);
    assert!(served.get("/metrics").await.body.contains("parkgate_store_up 1"));
    served.end().await;
}

#[tokio::test]
async fn a_language_lasts_by_cookie_and_by_link() {
    let served = Served::new().await;
    let asked = served.get("/?lang=en").await;
    assert!(asked.body.contains("<html lang=\"en\">") && asked.body.contains("href=\"/device/gas-07?lang=en\""));
    let cookie = asked.header("set-cookie");
    assert!(cookie.starts_with("lang=en;") && cookie.contains("SameSite") && cookie.contains("HttpOnly"), "{cookie}");
    let kept = served.ask("GET", "/", "Cookie: a=b; lang=en\r\n").await;
    assert!(kept.body.contains("<html lang=\"en\">") && kept.body.contains("href=\"/device/gas-07\""));
    let zh = served.get("/").await;
    assert!(zh.body.contains("<html lang=\"zh\">") && zh.body.contains("href=\"/?lang=en\""));
    served.end().await;
}

#[tokio::test]
async fn style_and_script_are_kept_by_their_hash_and_asked_again_without_it() {
    let served = Served::new().await;
    let page = served.get("/").await.body;
    for name in ["/app.js", "/app.css"] {
        let at = page.find(&format!("\"{name}?v=")).unwrap();
        let href = page[at + 1..].split('"').next().unwrap();
        let answer = served.get(href).await;
        assert!(answer.header("cache-control").contains("immutable"), "{href}");
        let tag = answer.header("etag");
        let again = served.ask("GET", name, &format!("If-None-Match: {tag}\r\n")).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{name}");
        assert_eq!(served.get(&format!("{name}?v=00000000")).await.header("cache-control"), "no-cache");
    }
    served.end().await;
}

#[tokio::test]
async fn pages_have_no_inline_script_or_style_and_load_nothing_from_elsewhere() {
    let served = Served::new().await;
    for path in ["/", "/device/met-1", "/point/TT101", "/uplink", "/store", "/gates"] {
        let body = served.get(path).await.body;
        assert!(!body.contains("<style") && !body.contains(" style=") && !body.contains(" onload="), "{path}");
        for script in body.split("<script").skip(1) {
            assert!(script.starts_with(" defer src=\"/app.js?"), "{path}: {}", &script[..40]);
        }
        let elsewhere = body.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !elsewhere.contains("http:") && !elsewhere.contains("https:") && !elsewhere.contains("//fonts"),
            "{path}"
        );
        assert!(body.contains("<noscript><meta http-equiv=\"refresh\""), "{path}");
    }
    assert!(served.get("/").await.body.contains("&lt;script&gt;alert(1)"));
    served.end().await;
}

#[tokio::test]
async fn a_point_shows_its_trend_with_its_holes_or_why_there_is_none() {
    let served = Served::new().await;
    let page = served.get("/point/TT101").await.body;
    assert_eq!(page.matches("fill=\"url(#nodata)\"").count(), 2, "two spans without data");
    assert!(page.contains("无数据段 <b>2</b>"));
    let broken = served.get("/trend/PT101?lang=en").await;
    assert!(broken.body.contains("The trend could not be read") && broken.body.contains("salvaged"), "{}", broken.body);
    served.end().await;
}

/// Checks a line of OpenMetrics text: a comment of a known kind, or `name{label="value",…} number`.
fn check_metric_line(line: &str) {
    if let Some(comment) = line.strip_prefix("# ") {
        let kind = comment.split(' ').next().unwrap();
        assert!(["HELP", "TYPE", "UNIT", "EOF"].contains(&kind), "{line}");
        return;
    }
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
    let name = series.split('{').next().unwrap();
    assert!(name.starts_with("parkgate_"), "{line}");
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{line}");
    if let Some(labels) = series.strip_prefix(name).and_then(|rest| rest.strip_prefix('{')) {
        for label in labels.strip_suffix('}').unwrap().split("\",") {
            let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !key.is_empty(), "{line}");
            assert!(!value.trim_end_matches('"').contains('"'), "{line}");
        }
    }
}

#[tokio::test]
async fn metrics_are_well_formed_line_by_line_and_hold_the_figures_of_the_park() {
    let served = Served::new().await;
    let answer = served.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    answer.body.lines().for_each(check_metric_line);
    assert!(answer.body.ends_with("# EOF\n"));
    for line in [
        "parkgate_device_up{device=\"gas-09\"} 0",
        "parkgate_device_up{device=\"plc-tank-1\"} 1",
        "parkgate_polls_skipped_total{device=\"gauge-201\",class=\"1\"} 31",
        "parkgate_poll_interval_p99_seconds{device=\"gauge-201\",class=\"1\"} 1.32",
        "parkgate_points{device=\"gas-09\",quality=\"comm\"} 4",
        "parkgate_records_total{stream=\"telemetry\"} 1120004",
        "parkgate_store_lost_records_total{reason=\"crash_uncommitted\"} 118",
        "parkgate_store_worst_commit_seconds 0.212",
        "parkgate_uplink_session_up{session=\"commands\"} 0",
        "parkgate_uplink_waiting_records{stream=\"telemetry\"} 1240",
        "parkgate_uplink_refused_total{reason=\"ack_garbage\"} 2",
        "parkgate_lanes{phase=\"idle\"} 4",
        "parkgate_lane_trouble{lane=\"E3\",trouble=\"loop\"} 1",
        "parkgate_inside_persons{zone=\"park\"} 218",
        "parkgate_inside_vehicles{zone=\"tank-farm\",class=\"hazmat\"} 0",
        "parkgate_hazmat_bays{status=\"parked\"} 2",
        "parkgate_clock_trust{trust=\"holdover\"} 1",
    ] {
        assert!(answer.body.lines().any(|l| l == line || l == format!("{line}.0")), "{line} not in\n{}", answer.body);
    }
    served.end().await;
}
