//! The gates of the fake park: six lanes, of which one has lost a loop, one is held open, one has just refused a tanker for three
//! reasons; two zones that were counted; a parking with four bays. Everything is a plain value, so that a test changes what its
//! story is about.

#![expect(clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeMap;
use std::time::Duration;

use parkgate::domain::gate::desk::{Addressee, TicketKind};
use parkgate::domain::gate::facts::WaybillFact;
use parkgate::domain::gate::gates::view::{
    BayNow, Count, Decided, GatesView, HazmatView, InsideView, LaneNow, TicketView, VisitView, WaybillView, ZoneView,
};
use parkgate::domain::gate::hazmat::goods::HazardClass;
use parkgate::domain::gate::hazmat::lot::BayStatus;
use parkgate::domain::gate::hazmat::visit::Stage;
use parkgate::domain::gate::hazmat::waybill::WaybillState;
use parkgate::domain::gate::lane::spec::{Conduct, Service, Trouble};
use parkgate::domain::gate::lane::view::TroubleView;
use parkgate::domain::gate::lane::{LaneView, Phase, SavedHold};
use parkgate::domain::gate::verdict::{Reason, Verdict};
use parkgate::domain::gate::word::{
    BayId, CompanyId, DecisionId, Direction, GateClass, GateId, GatewayId, LaneId, LaneKind, PassageId, PersonRef,
    VehicleClass, WaybillNo, ZoneClass, ZoneId,
};
use parkgate::domain::order::LaneRule;
use parkgate::domain::time::{ClockTrust, Now, Timestamp};

fn ago(now: Now, seconds: u64) -> Timestamp {
    now.wall.before(Duration::from_secs(seconds))
}

/// A lane that has everything it needs, and nothing before it.
pub(crate) fn lane(id: &str, name: &str, name_en: &str, kind: LaneKind, direction: Direction) -> LaneNow {
    let vehicle = kind == LaneKind::Vehicle;
    let lane = LaneView {
        id: LaneId::new(id),
        name: name.to_owned(),
        name_en: name_en.to_owned(),
        gate: GateId::new("east"),
        gate_class: GateClass::GeneralGoods,
        manned: true,
        kind,
        direction,
        phase: Phase::Idle,
        doing: "空闲".to_owned(),
        doing_en: "idle".to_owned(),
        for_ms: 185_000,
        arm: vehicle.then_some("down"),
        arm_zh: "关",
        arm_en: "closed",
        under_arm: vehicle.then_some(false),
        rule: LaneRule::Normal,
        fire: false,
        hold: None,
        service: Service::InService,
        testing: false,
        disarmed: false,
        plate: None,
        verdict: None,
        queue: false,
        troubles: Vec::new(),
        faults: Vec::new(),
    };
    LaneNow {
        lane,
        queue: vehicle.then_some(0),
        queue_alarm: false,
        last: None,
        pictures: Vec::new(),
        turn_back: "右侧掉头".to_owned(),
        turn_back_en: "turn to the right".to_owned(),
    }
}

/// A lane that lacks something, as the machine words it.
pub(crate) fn trouble(trouble: Trouble, conduct: Conduct) -> TroubleView {
    let en = format!("{}: {}", trouble.en(), conduct.en());
    TroubleView { trouble, conduct, zh: format!("{}：{}", trouble.zh(), conduct.zh()), en }
}

fn reason(code: &str, verdict: Verdict, zh: &str, en: &str) -> Reason {
    Reason { code: code.to_owned(), verdict, zh: zh.to_owned(), en: en.to_owned(), policy: None }
}

fn decided(now: Now, n: u32, vehicle: &str, class: VehicleClass, verdict: Verdict, reasons: Vec<Reason>) -> Decided {
    Decided {
        decision: DecisionId::new(format!("d-{n}")),
        passage: PassageId::new(format!("p-{n}")),
        at: ago(now, u64::from(n) * 7),
        clock: ClockTrust::Synced,
        direction: Direction::In,
        vehicle: Some(vehicle.to_owned()),
        class: Some(class),
        persons: Vec::new(),
        company: None,
        waybill: None,
        verdict,
        at_lane: None,
        reasons,
    }
}

fn allowed() -> Vec<Reason> {
    vec![reason("PERMIT_OK", Verdict::Allow, "预约有效", "the permit is valid")]
}

/// The reasons for which the tanker is refused.
pub(crate) fn three_reasons() -> Vec<Reason> {
    vec![
        reason("DOC_EXPIRED:tank", Verdict::Deny, "罐体检验已过期", "the inspection of the tank has expired"),
        reason("ESCORT_MISSING", Verdict::Deny, "没有押运员", "there is no escort"),
        reason("WAYBILL_NOT_READY", Verdict::Hold, "运单未核验", "the waybill is not verified"),
    ]
}

fn lanes(now: Now) -> Vec<LaneNow> {
    use Direction::{In, Out};
    use LaneKind::{Person, Vehicle};
    let mut lanes = vec![
        lane("E1", "东门 1 号进", "East 1 in", Vehicle, In),
        lane("E2", "东门 2 号出", "East 2 out", Vehicle, Out),
        lane("E3", "东门 3 号进", "East 3 in", Vehicle, In),
        lane("H1", "危化专用 1 号进", "Hazmat 1 in", Vehicle, In),
        lane("H2", "危化专用 2 号出", "Hazmat 2 out", Vehicle, Out),
        lane("D1", "东门人行", "East door", Person, In),
    ];
    lanes[0].last = Some(decided(now, 3, "苏A23456(蓝)", VehicleClass::Small, Verdict::Allow, allowed()));
    lanes[1].lane.hold = Some(SavedHold {
        by: "王建国".to_owned(),
        why: "大件运输".to_owned(),
        until: now.wall.after(Duration::from_secs(240)),
        left_ms: 240_000,
    });
    lanes[1].lane.phase = Phase::Held;
    lanes[1].lane.arm = Some("up");
    lanes[2].lane.troubles = vec![trouble(Trouble::Loop, Conduct::Refer)];
    lanes[2].lane.under_arm = None;
    lanes[2].queue = None;
    let tanker = decided(now, 1, "苏B8A123(黄)", VehicleClass::Hazmat, Verdict::Deny, three_reasons());
    lanes[3].last = Some(Decided { waybill: Some(WaybillNo::new("YD-20261126-0007")), ..tanker });
    lanes[3].lane.phase = Phase::Decided;
    lanes[3].lane.plate = Some("苏B8A123(黄)".to_owned());
    lanes[3].lane.verdict = Some(Verdict::Deny);
    lanes[3].queue = Some(2);
    let guest = decided(now, 9, "", VehicleClass::Small, Verdict::Allow, allowed());
    lanes[5].last = Some(Decided { vehicle: None, class: None, persons: vec![PersonRef::new("r-7Q2M")], ..guest });
    lanes
}

/// An open ticket.
pub(crate) fn ticket(now: Now, kind: TicketKind, lane: &str, subject: &str, to: Addressee, left_s: u64) -> TicketView {
    TicketView {
        ticket: format!("t-{lane}"),
        lane: LaneId::new(lane),
        direction: Direction::In,
        kind,
        passage: Some(PassageId::new("p-1")),
        subject: Some(subject.to_owned()),
        reasons: Vec::new(),
        to_zh: to.zh().to_owned(),
        to_en: to.en().to_owned(),
        to,
        last: false,
        again: 0,
        presses: 0,
        opened_at: ago(now, 20),
        left_s,
    }
}

fn zone(id: &str, class: ZoneClass, parent: Option<&str>, persons: u32, most: u32) -> ZoneView {
    let count = |now, most| Count { now, most, over: most.is_some_and(|most| now > most), missing: 0 };
    let vehicles = BTreeMap::from([
        (VehicleClass::Goods, count(persons / 9, None)),
        (VehicleClass::Hazmat, count(persons / 40, Some(12))),
    ]);
    ZoneView {
        zone: ZoneId::new(id),
        class,
        parent: parent.map(ZoneId::new),
        persons: count(persons, Some(most)),
        vehicles,
        gas_level: 0,
        guests: Vec::new(),
        more: 0,
    }
}

fn inside(now: Now) -> InsideView {
    InsideView {
        known: true,
        counted_at: Some(ago(now, 9 * 3600)),
        peers_heard: Some(true),
        zones: vec![
            zone("park", ZoneClass::General, None, 218, 800),
            zone("tank-farm", ZoneClass::Core, Some("park"), 31, 60),
        ],
        overstays: Vec::new(),
        in_doubt: Vec::new(),
        conflicts: Vec::new(),
        reviews: Vec::new(),
    }
}

/// A vehicle with dangerous goods that has been inside for so many seconds of four hours.
pub(crate) fn visit(now: Now, plate: &str, bay: &str, inside_s: u64) -> VisitView {
    VisitView {
        plate: plate.to_owned(),
        waybill: Some(WaybillNo::new("YD-20261126-0003")),
        stage: Stage::Parked,
        zone: ZoneId::new("park"),
        bay: Some(BayId::new(bay)),
        classes: Some([HazardClass::C3].into()),
        entered_at: ago(now, inside_s),
        inside_s,
        stay_s: 4 * 3600,
        warned: inside_s * 10 >= 4 * 3600 * 8,
        overstays: inside_s >= 4 * 3600,
        sent_to: None,
        host: None,
        done: false,
    }
}

fn hazmat(now: Now) -> HazmatView {
    let bay = |bay: &str, status, plate: Option<&str>, inside_s| BayNow {
        bay: BayId::new(bay),
        status,
        plate: plate.map(ToOwned::to_owned),
        inside_s,
    };
    HazmatView {
        table_signed: true,
        bays: vec![
            bay("P1", BayStatus::Parked, Some("苏C10086(黄)"), Some(3_300)),
            bay("P2", BayStatus::Parked, Some("浙D55555(黄)"), Some(12_000)),
            bay("P3", BayStatus::Free, None, None),
            bay("P4", BayStatus::Free, None, None),
        ],
        queue: Vec::new(),
        visits: vec![visit(now, "苏C10086(黄)", "P1", 3_300), visit(now, "浙D55555(黄)", "P2", 12_000)],
        waybills: vec![WaybillView {
            number: WaybillNo::new("YD-20261126-0007"),
            state: WaybillState::RegulatorVerify,
            fact: WaybillFact::NotReady,
            plate: "苏B8A123(黄)".to_owned(),
            goods: vec!["UN1230 甲醇".to_owned()],
            host: CompanyId::new("91320100MA1EXAMPLE"),
        }],
        more_waybills: 0,
    }
}

/// See the module.
pub(crate) fn view(now: Now) -> GatesView {
    GatesView {
        gateway: GatewayId::new("gw-east"),
        at: now.wall,
        clock: now.trust,
        policy_rev: "5d1c".to_owned(),
        register_rev: 42,
        lanes: lanes(now),
        tickets: vec![ticket(now, TicketKind::Call, "H1", "苏B8A123(黄)", Addressee::DutyRoom, 47)],
        inside: inside(now),
        hazmat: hazmat(now),
        musters: Vec::new(),
    }
}
