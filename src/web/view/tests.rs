//! Facts about cells and about one small park; the stories over a large one are in `tests/web_view.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::danger::view::DangerView;
use crate::domain::field_event::LinkState;
use crate::domain::id::{DeviceId, DeviceSlot, PointUid, Tag};
use crate::domain::reading::{Reading, Value};
use crate::domain::registry::{Commissioning, Deadband, DeviceSpec, PlatformCodes, PointSpec, Registry};
use crate::domain::site::ServiceSubject;
use crate::domain::site::view::ServiceView;
use crate::domain::snapshot::{DeviceView, PointView, Totals};
use crate::domain::time::Timestamp;

pub(crate) fn point_spec(tag: &str) -> PointSpec {
    PointSpec {
        uid: PointUid::new(format!("uid-{tag}")),
        tag: Tag::new(tag),
        name: "储罐温度".to_owned(),
        unit: "℃".to_owned(),
        decimals: Some(1),
        range: Some((0.0, 100.0)),
        deadband: Deadband::Absolute(0.5),
        max_silence: Duration::from_secs(60),
        interval: Duration::from_secs(1),
        platform: PlatformCodes::default(),
        commissioning: Commissioning::InService,
        instrument: None,
    }
}

const NOW: Now = Now { mono: Mono::from_secs(1000), wall: Timestamp(1_795_420_801_000), trust: ClockTrust::Synced };

fn look(tag: &str, view: PointView) -> Look {
    let device = DeviceSpec { id: DeviceId::new("plc-1"), name: "<script>".to_owned(), points: vec![point_spec(tag)] };
    let devices = vec![DeviceView {
        slot: DeviceSlot(0),
        link: LinkState::Up,
        link_since: Some(Mono::from_secs(900)),
        classes: Vec::new(),
        points: vec![view],
    }];
    let registry = Arc::new(Registry { rev: 1, devices: vec![Arc::new(device)] });
    Look {
        identity: Identity { name: "东区网关".to_owned(), ..Identity::default() },
        version: "0.1.0",
        now: NOW,
        snapshot: Some(Arc::new(Snapshot {
            now: NOW,
            boot: 3,
            started: Mono::from_secs(10),
            registry,
            devices,
            totals: Totals::default(),
            danger: DangerView::quiet(NOW),
        })),
        gates: Gates::Absent,
        store: Arc::default(),
        uplink: Arc::default(),
        peers: Arc::default(),
        opcua: OpcUaStatus::default(),
        buses: Vec::new(),
        gate_calls: Vec::new(),
        config: Arc::default(),
        clock: ClockStatus {
            trust: ClockTrust::Synced,
            steps: 0,
            last_step_ms: None,
            since_synced: None,
            max_error: None,
        },
        readiness: Readiness { live: true, ready: true, reasons: Vec::new() },
    }
}

fn read(value: f64, age: u64) -> PointView {
    let reading = Reading::good(Value::Number(value));
    PointView { reading: Some(reading), at: Some(Mono::from_secs(1000 - age)), state: None }
}

fn viewer(zone: &Zone) -> Viewer<'_> {
    Viewer { choice: Choice::default(), zone, style: "/app.css", script: "/app.js" }
}

/// The cells of the point's row on its device's page: tag, name, value, unit, quality, age, bar, range.
fn row(view: PointView) -> Vec<Cell> {
    let zone = Zone::utc();
    let page = device(&look("TT101", view), &viewer(&zone), "plc-1").expect("there is this device");
    let tables: Vec<&Table> = page
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Table(table) => Some(table),
            Block::Panels(_) | Block::Notice(_) | Block::Board(_) | Block::Trend { .. } => None,
        })
        .collect();
    tables[1].rows[0].cells.clone()
}

#[test]
fn zero_and_no_data_never_look_alike() {
    let (zero, none) = (row(read(0.0, 0)), row(PointView { reading: None, at: None, state: None }));
    assert_eq!((zero[2].text.as_str(), zero[2].tone), ("0.0", Tone::Plain));
    assert_eq!((none[2].text.as_str(), none[2].tone), ("◇ 无数据", Tone::None));
    assert_eq!((zero[6].bar, zero[6].tone), (Some(1.5), Tone::Plain));
    assert_eq!(none[6].tone, Tone::None);
}

#[test]
fn a_value_older_than_three_polls_is_shown_as_overdue_in_words_and_mark() {
    let (fresh, old) = (row(read(23.4, 3)), row(read(23.4, 5)));
    assert_eq!(fresh[2].tone, Tone::Plain);
    assert_eq!((old[2].text.as_str(), old[2].tone), ("△ 23.4", Tone::Stale));
    assert_eq!(old[5].text, "△ 5.0 s 过期");
}

#[test]
fn a_reading_without_value_says_why() {
    let view = PointView { reading: Some(Reading::missing(Quality::Comm)), at: Some(NOW.mono), state: None };
    let cells = row(view);
    assert_eq!((cells[2].text.as_str(), cells[4].text.as_str()), ("◇ 无数据", "■ 通信中断"));
}

#[test]
fn every_abnormal_tone_has_a_symbol_beside_its_colour() {
    for tone in [Tone::Warn, Tone::Bad, Tone::None, Tone::Stale] {
        assert!(!Cell::toned(tone, "x").text.starts_with('x'), "{tone:?}");
    }
}

#[test]
fn live_cells_are_numbered_on_the_page_in_the_order_in_which_they_are_sent() {
    let zone = Zone::utc();
    let page = device(&look("TT101", read(1.0, 0)), &viewer(&zone), "plc-1").unwrap();
    let html = crate::web::html::page(&page);
    let mut rest = html;
    for (i, cell) in page.live().iter().enumerate() {
        let key = format!(" data-k=\"{i}\"");
        let (_, after) = rest.split_once(&key).unwrap_or_else(|| panic!("cell {i} is not there, or not in order"));
        rest = after.to_owned();
        let shown = crate::web::html::escape(&cell.text);
        assert!(cell.bar.is_some() || rest.split('<').next().unwrap().ends_with(&format!(">{shown}")), "{i} {cell:?}");
    }
    assert!(!rest.contains("data-k"), "more cells on the page than are sent");
}

#[test]
fn the_shape_changes_with_the_configuration_and_not_with_the_values() {
    let zone = Zone::utc();
    let shape = |tag, value| device(&look(tag, read(value, 0)), &viewer(&zone), "plc-1").unwrap().shape();
    assert_eq!(shape("TT101", 1.0), shape("TT101", 2.0));
    assert_ne!(shape("TT101", 1.0), shape("TT102", 1.0));
    let kept = Viewer { choice: Choice { asked: true, ..Choice::default() }, ..viewer(&zone) };
    let page = device(&look("TT101", read(1.0, 0)), &kept, "plc-1").unwrap();
    assert_eq!(page.shape(), shape("TT101", 1.0), "a page whose links keep the language would load itself for ever");
}

#[test]
fn names_from_the_configuration_are_text_on_every_page() {
    let zone = Zone::utc();
    let (look, viewer) = (look("<script>x", read(1.0, 0)), viewer(&zone));
    let pages = [
        overview(&look, &viewer),
        device(&look, &viewer, "plc-1").unwrap(),
        point(&look, &viewer, "<script>x", String::new()).unwrap(),
    ];
    for page in pages {
        let html = crate::web::html::page(&page);
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"), "{html}");
        assert!(!html.contains("style=") && !html.contains(" onclick"), "the content policy forbids it");
    }
}

#[test]
fn an_engine_that_does_not_answer_is_said_and_not_drawn_as_an_empty_park() {
    let zone = Zone::utc();
    let look = Look { snapshot: None, ..look("TT101", read(1.0, 0)) };
    let page = overview(&look, &viewer(&zone));
    assert!(matches!(&page.blocks[0], Block::Notice(cell) if cell.tone == Tone::Bad));
    assert!(device(&look, &viewer(&zone), "plc-1").is_none());
}

#[test]
fn what_a_crash_may_have_cost_is_shown_as_an_upper_bound() {
    use crate::domain::record::GapReason;
    use crate::domain::snapshot::StoreStatus;

    let zone = Zone::utc();
    let shown = |lost: Vec<(GapReason, u64)>| {
        let mut look = look("TT101", read(1.0, 0));
        look.store = Arc::new(StoreStatus { lost, ..StoreStatus::default() });
        crate::web::html::page(&overview(&look, &viewer(&zone)))
    };
    assert!(shown(vec![(GapReason::CrashUncommitted, 8192)]).contains("≤ 8"));
    assert!(!shown(vec![(GapReason::Quota, 8192)]).contains('≤'));
}

#[test]
fn an_unprotected_opc_ua_source_is_marked_and_certificates_that_nobody_trusts_are_listed() {
    use crate::domain::snapshot::{Certificate, OpcUaServer};
    let zone = Zone::utc();
    let v = viewer(&zone);
    let mut look = look("TT101", read(1.0, 0));
    assert!(super::opcua::tables(&look, &v).is_empty(), "a park without OPC UA sees nothing of it");
    let open = OpcUaServer { security: "None".to_owned(), ..OpcUaServer::default() };
    let good = OpcUaServer { security: "Basic256Sha256 Sign".to_owned(), is_secured: true, up: true, ..open.clone() };
    look.opcua.servers.extend([("dcs-1".to_owned(), open), ("dcs-2".to_owned(), good)]);
    let cert = |subject: &str, trusted| Certificate {
        sha1: "ab".to_owned(),
        sha256: "cd".to_owned(),
        subject: subject.to_owned(),
        from: Timestamp(0),
        to: Timestamp(0),
        trusted,
    };
    look.opcua.certificates = vec![cert("CN=unknown", false), cert("CN=known", true)];
    let text = format!("{:?}", super::opcua::tables(&look, &v));
    assert!(text.contains("▲ None · 无保护") && !text.contains("Sign · 无保护"), "{text}");
    assert!(text.contains("CN=unknown") && !text.contains("CN=known"), "{text}");
}

#[test]
fn an_instrument_that_does_not_measure_is_listed_with_what_it_does_and_since_when() {
    use crate::domain::instrument::InstrumentState::{Calibration, Monitoring};
    let at = |state| PointView { state: Some((state, Mono::from_secs(940))), ..read(1.0, 0) };
    let choice = Choice { lang: Lang::En, asked: true };
    let zone = Zone::utc();
    let viewer = Viewer { choice, zone: &zone, style: "", script: "" };
    let titles = |state| {
        let page = overview(&look("GD-701", at(state)), &viewer);
        let tables = page.blocks.iter().filter_map(|b| if let Block::Table(t) = b { Some(t.clone()) } else { None });
        tables.filter(|t| t.title == "Instruments not monitoring").collect::<Vec<_>>()
    };
    assert!(titles(Monitoring).is_empty());
    let row: Vec<_> = titles(Calibration)[0].rows[0].cells.iter().map(|c| c.text.clone()).collect();
    assert_eq!(row[..3], ["GD-701", "储罐温度", "◇ calibration"]);
    assert_eq!(row[3], viewer.span(Duration::from_secs(60)));
}

#[test]
fn a_refused_configuration_is_on_every_page_until_a_good_one_is_taken_over() {
    let zone = Zone::utc();
    let mut look = look("TT101", read(1.0, 0));
    let notices = |look: &Look| -> Vec<String> {
        let blocks = overview(look, &viewer(&zone)).blocks.into_iter().chain(store(look, &viewer(&zone)).blocks);
        blocks.filter_map(|block| if let Block::Notice(cell) = block { Some(cell.text) } else { None }).collect()
    };
    assert_eq!(notices(&look), [""; 0]);
    let shape = overview(&look, &viewer(&zone)).shape();
    let problems = vec!["points.csv:3: <b>".to_owned()];
    let refused = crate::domain::snapshot::RefusedConfig { since: Mono::from_secs(940), problems, total: 9 };
    look.config = Arc::new(ConfigStatus { refused: Some(refused), restart: vec!["web"] });
    let told = notices(&look);
    assert_eq!(told.len(), 6, "three on each page");
    assert!(
        told[0].starts_with("■ ") && told[0].contains("2026-11-23 07:59:01") && told[0].ends_with("(9)"),
        "{told:?}"
    );
    assert_eq!(told[1], "points.csv:3: <b>");
    assert!(told[2].starts_with("▲ ") && told[2].ends_with("web"), "{told:?}");
    let page = overview(&look, &viewer(&zone));
    assert_ne!(page.shape(), shape, "an open page is loaded anew");
    assert!(crate::web::html::page(&page).contains("points.csv:3: &lt;b&gt;"));
}

#[test]
fn the_page_of_the_site_lists_what_was_put_out_of_service_the_newest_first_and_counts_the_rest() {
    let change = |n: i64| {
        let changed = serde_json::json!({"state": "stopped", "by": "zhang", "since": Timestamp(n * 1000).to_string(), "reason": "换探头", "file": "in_service"});
        let subject = ServiceSubject::Point(format!("u{n}"));
        ServiceView { subject, name: format!("AT{n}"), changed: serde_json::from_value(changed).unwrap() }
    };
    let rows = |n: i64| {
        let mut look = look("TT101", read(23.4, 3));
        let mut snapshot = (**look.snapshot.as_ref().unwrap()).clone();
        snapshot.danger.site.service = (1..=n).map(change).collect();
        look.snapshot = Some(Arc::new(snapshot));
        let zone = Zone::utc();
        let page = site::site(&look, &viewer(&zone));
        let last = page
            .blocks
            .iter()
            .rev()
            .find_map(|block| if let Block::Table(table) = block { Some(&table.rows) } else { None });
        last.unwrap().iter().map(|row| row.cells.clone()).collect::<Vec<_>>()
    };
    let (few, many) = (rows(2), rows(30));
    assert_eq!((few[0][0].text.as_str(), few[1][0].text.as_str(), few[0][4].text.as_str()), ("AT2", "AT1", "换探头"));
    assert!(few[0][1].text.contains("停用"), "{}", few[0][1].text);
    assert_eq!((many.len(), many[0][0].text.as_str()), (few.len(), "AT30"), "the page keeps its size");
    assert!(many[many.len() - 1][0].text.starts_with("+23 "), "{}", many[many.len() - 1][0].text);
}
