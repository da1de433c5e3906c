//! The gates on the page: what a guard must see, and what must never look alike.

use std::sync::Arc;

use parkgate::domain::gate::desk::{Addressee, TicketKind};
use parkgate::domain::gate::gates::view::{Doubt, GatesView, Guest, MusterView, RowView};
use parkgate::domain::gate::inside::{EventId, Source, Subject};
use parkgate::domain::gate::lane::spec::{Conduct, Trouble};
use parkgate::domain::gate::muster::{Numbers, RowState};
use parkgate::domain::gate::picture::{Fate, Lost, Picture, PictureKind};
use parkgate::domain::gate::plate::{Plate, PlateColour};
use parkgate::domain::gate::word::{Direction, GateId, GatewayId, PassageId, PersonRef, VehicleClass, ZoneId};
use parkgate::domain::time::Now;
use parkgate::web::format::Zone;
use parkgate::web::request::Choice;
use parkgate::web::view::{self, Block, Look, Page, Tone, Viewer};
use parkgate::web::{Gates, Park, lang::Lang, metrics};

use super::web_support::{FakePark, gates as made};

/// A park whose gates stand as told.
async fn look(gates: impl FnOnce(&mut GatesView, Now)) -> Look {
    let park = FakePark::new();
    let now = park.now();
    let mut view = made::view(now);
    gates(&mut view, now);
    Look {
        identity: park.identity(),
        version: park.version(),
        now,
        snapshot: park.snapshot().await,
        gates: Gates::View(Arc::new(view)),
        store: park.store(),
        uplink: park.uplink(),
        opcua: park.opcua(),
        buses: park.buses(),
        gate_calls: park.gate_calls(),
        peers: park.peers(),
        config: park.config(),
        clock: park.clock(),
        readiness: park.ready(),
    }
}

/// Everything is in order, nobody is there.
fn quiet(view: &mut GatesView) {
    let lanes: Vec<_> = view
        .lanes
        .iter()
        .map(|now| {
            made::lane(now.lane.id.as_str(), &now.lane.name, &now.lane.name_en, now.lane.kind, now.lane.direction)
        })
        .collect();
    view.lanes = lanes;
    view.tickets.clear();
    for zone in &mut view.inside.zones {
        zone.persons.now = 0;
        zone.vehicles.clear();
    }
    view.hazmat.visits.clear();
    view.hazmat.waybills.clear();
    view.hazmat.bays.retain(|bay| bay.plate.is_none());
}

fn page_in(look: &Look, lang: Lang) -> Page {
    let zone = Zone::named("Asia/Shanghai").unwrap();
    let choice = Choice { lang, asked: false };
    view::gates(look, &Viewer { choice, zone: &zone, style: "/app.css", script: "/app.js" }).expect("there are gates")
}

fn page(look: &Look) -> Page {
    page_in(look, Lang::Zh)
}

/// The lines of the board that say something, with their tones.
fn board(page: &Page) -> Vec<(Tone, String)> {
    let lines = page.blocks.iter().find_map(|block| if let Block::Board(lines) = block { Some(lines) } else { None });
    let said = lines.unwrap().iter().filter(|cell| !cell.text.is_empty());
    said.map(|cell| (cell.tone, cell.text.clone())).collect()
}

/// The rows of a table that say something: the texts of their cells.
fn rows(page: &Page, title: &str) -> Vec<Vec<String>> {
    let tables =
        page.blocks.iter().filter_map(|block| if let Block::Table(table) = block { Some(table) } else { None });
    let table =
        tables.into_iter().find(|table| table.title.starts_with(title)).unwrap_or_else(|| panic!("no `{title}`"));
    let texts = table.rows.iter().map(|row| row.cells.iter().map(|cell| cell.text.clone()).collect::<Vec<_>>());
    texts.filter(|row| row.iter().any(|text| !text.is_empty())).collect()
}

#[tokio::test]
async fn without_gates_there_is_no_page_of_them_and_no_way_to_it() {
    let park = FakePark::new();
    let look = Look { gates: Gates::Absent, ..look(|_, _| ()).await };
    let zone = Zone::utc();
    let viewer = Viewer { choice: Choice::default(), zone: &zone, style: "/app.css", script: "/app.js" };
    assert!(view::gates(&look, &viewer).is_none());
    let overview = view::overview(&look, &viewer);
    assert!(overview.frame.nav.iter().all(|(_, href, _)| href != "/gates"), "{:?}", overview.frame.nav);
    assert!(!format!("{:?}", overview.blocks).contains("/gates"));
    assert!(!metrics::text(&look).unwrap().contains("parkgate_lanes"), "{}", park.version());
}

#[tokio::test]
async fn gates_that_do_not_answer_are_no_quiet_gates() {
    let look = Look { gates: Gates::Silent, ..look(|_, _| ()).await };
    let page = page(&look);
    assert!(page.blocks.iter().any(|b| matches!(b, Block::Notice(cell) if cell.tone == Tone::Bad)));
    assert!(
        !page.blocks.iter().any(|b| matches!(b, Block::Table(_) | Block::Board(_))),
        "no lane that nobody knows of"
    );
}

#[tokio::test]
async fn where_all_is_well_the_board_has_one_line_and_an_empty_park_says_nought() {
    let look = look(|view, _| quiet(view)).await;
    let page = page(&look);
    assert_eq!(board(&page), [(Tone::Plain, "● 卡口正常，无须处理".to_owned())]);
    assert!(rows(&page, "车道").iter().all(|row| row[1] == "● 正常"));
    let inside = rows(&page, "园内人员和车辆");
    assert_eq!(inside[0][2..4], ["0 / 800", "0"]);
    assert_eq!(rows(&page, "待处理"), [["无人等待", "", "", "", "", "", "", ""].map(ToOwned::to_owned)]);
}

#[tokio::test]
async fn numbers_that_nobody_has_counted_are_marked_and_a_park_that_was_cut_off_is_on_the_board() {
    let look = look(|view, _| {
        quiet(view);
        view.inside.known = false;
        view.inside.peers_heard = Some(false);
    })
    .await;
    let page = page(&look);
    assert_eq!(rows(&page, "园内人员和车辆")[0][2], "◇ 0 / 800");
    let said = board(&page);
    assert!(said[0].0 == Tone::Bad && said[0].1.contains("失联"), "{said:?}");
    assert!(said[1].0 == Tone::Warn && said[1].1.contains("未清点"), "{said:?}");
}

#[tokio::test]
async fn a_lane_whose_sensor_is_dead_or_whose_peers_are_cut_off_never_looks_like_a_quiet_one() {
    for (trouble, tone) in [(Trouble::Loop, Tone::Bad), (Trouble::Camera, Tone::Bad), (Trouble::Peers, Tone::Warn)] {
        let look = look(|view, _| {
            quiet(view);
            view.lanes[2].lane.troubles = vec![made::trouble(trouble, Conduct::Refer)];
        })
        .await;
        let page = page(&look);
        let first = rows(&page, "车道").remove(0);
        assert!(first[0].starts_with("东门 3 号进"), "it stands before the others: {first:?}");
        assert!(
            first[1].contains(trouble.zh()) && first[1].contains("人工确认"),
            "what it lacks, and what it does: {first:?}"
        );
        assert!(matches!(board(&page).as_slice(), [(of, line)] if *of == tone && line.contains("东门 3 号进")));
    }
    let unseen = look(|view, _| {
        quiet(view);
        (view.lanes[0].lane.arm, view.lanes[0].lane.under_arm) = (None, None);
        view.lanes[0].lane.arm_zh = "位置不明";
    })
    .await;
    let row = rows(&page(&unseen), "车道").remove(0);
    assert_eq!((row[1].as_str(), row[3].as_str()), ("▲ 道闸: 位置不明", "◇ 未知\n闸下未知，按有车处理"));
}

#[tokio::test]
async fn a_refusal_shows_every_reason_with_its_code_in_both_languages() {
    let look = look(|_, _| ()).await;
    for lang in [Lang::Zh, Lang::En] {
        let page = page_in(&look, lang);
        let lanes = rows(&page, lang.pick("车道", "Lanes"));
        let lane = lanes.iter().find(|row| row[4].contains("苏B8A123(黄)")).expect("the plate stands before the lane");
        let all = rows(&page, lang.pick("最近判定的全部原因", "All reasons"));
        for reason in made::three_reasons() {
            assert!(lane[5].contains(lang.pick(&reason.zh, &reason.en)), "{lane:?}");
            let said = all.iter().find(|row| row[3] == reason.code).expect("its code");
            assert_eq!(said[4..], [reason.zh, reason.en]);
        }
    }
}

#[tokio::test]
async fn a_hold_says_who_why_and_how_long_and_a_past_refusal_has_no_colour() {
    let look = look(|view, _| view.lanes[3].lane.verdict = None).await;
    let page = page(&look);
    let lanes = rows(&page, "车道");
    let held = lanes.iter().find(|row| row[0].starts_with("东门 2 号出")).unwrap();
    assert!(["王建国", "大件运输", "4:00"].iter().all(|part| held[1].contains(part)), "{held:?}");
    let refused = lanes.iter().find(|row| row[0].starts_with("危化专用 1 号进")).unwrap();
    assert!(refused[5].starts_with("拒绝 "), "{refused:?}");
}

#[tokio::test]
async fn a_rescue_vehicle_stands_before_everything_but_a_muster() {
    let look = look(|view, now| {
        let guard = Addressee::Guard(GateId::new("east"));
        view.tickets.push(made::ticket(now, TicketKind::Rescue, "E1", "苏A0119(红)", guard, 11));
        view.musters = vec![MusterView {
            muster: "m-1".to_owned(),
            episode: "s-1".to_owned(),
            drill: false,
            zone: ZoneId::new("park"),
            at: now.wall,
            numbers: Numbers { listed: 3, safe: 1, unaccounted: 2, unidentified: 1, sos: 1, ..Numbers::default() },
            rows: vec![RowView {
                n: 0,
                person: None,
                company: None,
                zone: ZoneId::new("tank-farm"),
                last: None,
                with: Some("苏C10086(黄)".to_owned()),
                state: RowState::Unaccounted,
                sos: Some(now.wall),
                position: None,
            }],
            more: 2,
        }];
    })
    .await;
    let page = page(&look);
    let said = board(&page);
    assert!(said[0].1.contains("未到 2（未识别 1，求救 1）"), "{said:?}");
    assert!(["应急车辆确认", "苏A0119", "门岗", "11.0 s"].iter().all(|part| said[1].1.contains(part)), "{said:?}");
    let roll = rows(&page, "人员清点");
    assert!(roll[0][1].starts_with("■ 未到") && roll[0][2].contains("未识别 [苏C10086"), "{roll:?}");
    assert_eq!(roll[1][0], "▲ +2", "who is not listed is counted");
    assert!(rows(&page, "待处理")[0][1].starts_with("应急车辆确认"));
}

#[tokio::test]
async fn a_stay_is_warned_of_at_its_share_and_coloured_when_it_is_over() {
    let look = look(|view, now| {
        view.hazmat.visits = vec![
            made::visit(now, "苏C10086(黄)", "P1", 4 * 3600 * 79 / 100),
            made::visit(now, "浙D55555(黄)", "P2", 4 * 3600 * 81 / 100),
            made::visit(now, "皖E00001(黄)", "P3", 4 * 3600),
        ];
        view.hazmat.visits[0].classes = None;
    })
    .await;
    let page = page(&look);
    let visits = rows(&page, "园内危化车辆");
    let marks: Vec<&str> = visits.iter().map(|row| row[1].split_once(' ').unwrap().0).collect();
    assert_eq!(marks[..2], ["■", "▲"], "the worst first: {visits:?}");
    assert!(visits[2][1].starts_with("3 h 09 min") && visits[2][3] == "◇ 未知", "{visits:?}");
    assert!(board(&page).iter().any(|(tone, line)| *tone == Tone::Bad && line.starts_with("■ 皖E00001(黄)")));
}

#[tokio::test]
async fn lists_of_who_is_inside_mask_a_plate_and_whoever_must_settle_a_passage_sees_it() {
    let look = look(|view, now| {
        let plate = Plate::new("苏A23456", PlateColour::Blue);
        view.inside.overstays = vec![Guest {
            subject: Subject::Vehicle(plate.clone()),
            zone: ZoneId::new("park"),
            since: now.wall,
            through: None,
            class: Some(VehicleClass::Small),
            with: None,
            unidentified: 1,
            company: None,
            overstays: true,
        }];
        view.inside.in_doubt = vec![Doubt {
            event: EventId { source: Source { gateway: GatewayId::new("gw-east"), boot: 3 }, n: 17 },
            passage: PassageId::new("p-17"),
            at: now.wall,
            subject: Some(plate.to_string()),
            direction: Direction::Out,
            why: "地感未见离开".to_owned(),
        }];
        view.inside.reviews = vec![PersonRef::new("r-7Q2M").to_string()];
    })
    .await;
    let page = page(&look);
    assert_eq!(rows(&page, "超时停留")[0][0], "▲ 苏A**456 小型车 +1 未识别");
    let unclear = rows(&page, "待查清");
    assert!(unclear[0][2].starts_with("苏A23456(蓝)") && unclear[0][4] == "gw-east-3-17", "{unclear:?}");
    assert!(unclear[1][2] == "r-7Q2M", "{unclear:?}");
}

/// Somebody inside for so many minutes.
fn guest(view: &GatesView, n: u32, minutes: u64) -> Guest {
    Guest {
        subject: Subject::Person(PersonRef::new(format!("p-{n:04}"))),
        zone: view.inside.zones[0].zone.clone(),
        since: view.at.before(std::time::Duration::from_secs(minutes * 60)),
        through: None,
        class: None,
        with: Some("苏C10086(黄)".to_owned()),
        unidentified: 0,
        company: None,
        overstays: n == 77,
    }
}

fn list(look: &Look, n: usize) -> Page {
    let zone = Zone::named("Asia/Shanghai").unwrap();
    view::inside_list(look, &Viewer { choice: Choice::default(), zone: &zone, style: "", script: "" }, n).unwrap()
}

#[tokio::test]
async fn everybody_inside_is_listed_by_pages_who_stays_too_long_first_and_then_who_is_there_longest() {
    let look = look(|view, _| {
        view.inside.zones[0].guests = (0..120).map(|n| guest(view, n, 200 - u64::from(n))).collect();
        view.inside.zones[0].more = 4;
    })
    .await;
    let (first, last) = (list(&look, 1), list(&look, 3));
    let of = |page: &Page| rows(page, "园内名单").into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(of(&first)[..3], ["p-0077", "p-0000", "p-0001"]);
    assert_eq!((of(&first).len(), of(&last).len()), (50, 20));
    assert_eq!(of(&list(&look, 99)), of(&last), "there is no page behind the last");
    assert_eq!(of(&list(&look, 0)), of(&first));
    let html = parkgate::web::html::page(&first);
    assert!(html.contains("href=\"/inside?p=2\"") && !html.contains("href=\"/inside?p=0\""), "{html}");
    assert!(html.contains("1 / 3") && html.contains("▲ 4"), "what is not listed is counted");
    assert_eq!(last.events.as_deref(), Some("/events?page=inside&p=3&lang=zh"));
}

#[tokio::test]
async fn the_roll_of_a_muster_is_there_whole_to_be_printed_and_nothing_on_it_moves() {
    let row = |n: u32| RowView {
        n,
        person: Some(PersonRef::new(format!("p-{n:04}"))),
        company: None,
        zone: ZoneId::new("park"),
        last: None,
        with: None,
        state: RowState::Unaccounted,
        sos: None,
        position: None,
    };
    let look = look(|view, now| {
        view.musters = vec![MusterView {
            muster: "m-1".to_owned(),
            episode: "s-1".to_owned(),
            drill: true,
            zone: ZoneId::new("park"),
            at: now.wall,
            numbers: Numbers { listed: 300, unaccounted: 300, ..Numbers::default() },
            rows: (0..300).map(row).collect(),
            more: 0,
        }];
    })
    .await;
    let zone = Zone::named("Asia/Shanghai").unwrap();
    let viewer = Viewer { choice: Choice::default(), zone: &zone, style: "", script: "" };
    let printed = view::muster_roll(&look, &viewer).unwrap();
    let roll = rows(&printed, "人员清点 · 演练");
    assert_eq!(roll.len(), 300);
    assert_eq!(roll[299][0..2], ["□", "300"]);
    assert!(printed.events.is_none() && printed.refresh.is_none());
    assert_eq!(printed.live().len(), 2, "the time and the trust in it, which no stream changes");
    assert!(parkgate::web::html::page(&page(&look)).contains("href=\"/muster\""), "the way to it");
}

#[tokio::test]
async fn without_a_muster_the_page_for_it_leads_to_the_list_of_everybody() {
    let look = look(|_, _| ()).await;
    let zone = Zone::utc();
    let viewer = Viewer { choice: Choice::default(), zone: &zone, style: "", script: "" };
    let html = parkgate::web::html::page(&view::muster_roll(&look, &viewer).unwrap());
    assert!(html.contains("没有进行中的人员清点") && html.contains("href=\"/inside\""), "{html}");
}

#[tokio::test]
async fn the_picture_of_a_passage_stands_beside_what_was_decided_of_it_as_long_as_it_is_kept() {
    let kept = |kind, fate| Picture { kind, device: "cam-1".to_owned(), device_time: None, fate };
    let there = || Fate::Kept { sha256: "ab".to_owned(), bytes: 7 };
    let look = look(|view, _| {
        view.lanes[0].pictures = vec![kept(PictureKind::Plate, there()), kept(PictureKind::Whole, there())];
        view.lanes[3].pictures = vec![kept(PictureKind::Whole, Fate::Lost { lost: Lost::DiskFull })];
    })
    .await;
    let html = parkgate::web::html::page(&page(&look));
    assert_eq!(html.matches("src=\"/picture/").count(), 1, "what was lost is not asked for");
    assert!(html.contains("src=\"/picture/p-3.0\""), "the whole before the plate");
}

#[tokio::test]
async fn a_plate_that_is_markup_stays_text_wherever_it_is_shown() {
    const EVIL: &str = "<img src=x onerror=alert(1)>\"'&";
    let look = look(|view, now| {
        view.lanes[0].lane.plate = Some(EVIL.to_owned());
        view.lanes[0].last.as_mut().unwrap().vehicle = Some(EVIL.to_owned());
        view.lanes[0].last.as_mut().unwrap().reasons[0].zh = EVIL.to_owned();
        view.tickets.push(made::ticket(now, TicketKind::Refer, "E1", EVIL, Addressee::DutyRoom, 11));
        view.hazmat.visits[0].plate = EVIL.to_owned();
        view.hazmat.queue.push(EVIL.to_owned());
        view.inside.zones[0].guests = vec![Guest { with: Some(EVIL.to_owned()), ..guest(view, 1, 5) }];
    })
    .await;
    for page in [page(&look), list(&look, 1)] {
        let html = parkgate::web::html::page(&page);
        assert!(!html.contains("<img src=x"), "{}", page.title);
    }
    assert!(
        parkgate::web::html::page(&page(&look)).contains("&lt;img src=x"),
        "the list masks plates, the lanes do not"
    );
}

#[tokio::test]
async fn what_comes_and_goes_at_the_gates_is_no_change_of_the_pages_shape() {
    let (busy, still) = (look(|_, _| ()).await, look(|view, _| view.tickets.clear()).await);
    assert_eq!(page(&busy).shape(), page(&still).shape());
    let page = page(&busy);
    let html = parkgate::web::html::page(&page);
    assert_eq!(html.matches(" data-k=\"").count(), page.live().len());
}
