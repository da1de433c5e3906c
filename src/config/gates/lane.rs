//! The lanes: what `site.toml` says of each, and what `gates.toml` adds, as one [`LaneSpec`]. What would let an arm fall on
//! somebody, keep a person in, or leave a lane open behind each vehicle is refused here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::super::problem::{Findings, Spot, Words, Wrong, say};
use super::super::section::{Got, Section};
use super::super::site::{Codes, at_most, missing, once};
use super::super::value::{Choice, Code, Kind, Span, Yes, clip, show_duration};
use super::people::Back;
use super::wiring::{Contact, Given, Wire, Wiring, named};
use super::{CameraMake, Classes, Devices, Gate, Gates, Word, shared};
use crate::domain::gate::desk::LaneRule;
use crate::domain::gate::hardware::Input;
use crate::domain::gate::lane::spec::{
    Closes, Conduct, Fail, Flow, GUARDS, LaneSpec, Position, Timing, Trouble, Window,
};
use crate::domain::gate::word::{Direction, GateClass, LaneId, LaneKind, VehicleClass, ZoneId};
use crate::domain::site::SiteBook;
use crate::domain::site::book::{self, Carries};

/// Lanes and doors of a park.
const MAX_LANES: usize = 1000;
/// Windows of one lane.
const MAX_WINDOWS: usize = 20;

pub(super) fn read(root: &mut Section<'_>, site: &SiteBook, gates: &mut Gates, out: &mut Findings) {
    let (mut seen, mut given) = (BTreeMap::new(), Given::default());
    let spot = root.spot();
    let sections = root.each("lane", out);
    at_most(sections.len(), MAX_LANES, "lane", &spot, out);
    let (mut named, mut spots) = (BTreeSet::new(), Vec::new());
    for section in sections {
        named.extend(section.text_of("id"));
        let at = section.spot_of("id");
        if let Some((spec, wiring, desk)) = lane(section, site, gates, &mut seen, &mut given, out) {
            gates.desk.lanes.insert(spec.id.clone(), desk);
            gates.lanes.push(Arc::new(spec));
            gates.wiring.push(wiring);
            spots.push(at);
        }
    }
    shared::check(gates, &spots, out);
    for lane in site.lanes.iter().filter(|lane| lane.service.exists() && !named.contains(&lane.id)) {
        let id = &lane.id;
        let what = say!("site.toml 的车道 `{id}` 在此没有 [[lane]]", "lane `{id}` of site.toml has no [[lane]] here");
        let instead =
            say!("它只记录和显示，不判定不动作；请补上", "it is recorded and shown, and decides nothing; add it");
        out.warn(spot.clone(), Wrong::new(what, instead));
    }
}

/// What is read of a lane before it is judged as a whole.
struct Row<'a> {
    site: &'a book::Lane,
    gate: &'a Gate,
    spot: Spot,
    wires: Vec<(Wire, Spot)>,
}

impl Row<'_> {
    fn refuse(&self, what: Words, instead: Words, out: &mut Findings) {
        out.error(self.spot.clone(), Wrong::new(what, instead));
    }

    fn inputs(&self) -> BTreeSet<Input> {
        self.wires.iter().map(|(wire, _)| wire.input).collect()
    }

    fn persons(&self) -> bool {
        self.site.carries == Carries::Persons
    }
}

fn lane(
    mut section: Section<'_>,
    site: &SiteBook,
    gates: &Gates,
    seen: &mut BTreeMap<String, Spot>,
    given: &mut Given,
    out: &mut Findings,
) -> Option<(LaneSpec, Wiring, LaneRule)> {
    let id = section.need("id", &Code(64), "\"gate-1-in\"", out);
    let gate = section.need("gate", &Code(32), "\"gate-1\"", out);
    once(("车道", "lane"), id.as_ref(), seen, out);
    let wires = given.inputs(section.section("inputs", out), &gates.devices, out);
    let outputs = given.outputs(section.section("outputs", out), &gates.devices, out);
    let declared = id.as_ref().and_then(|id| declared(id, site, out));
    let gate = gate.as_ref().and_then(|gate| gate_of(gate, gates, out));
    let classes = section.read("classes", &Classes, out);
    let windows = windows(&mut section, out);
    let starts = section.read("starts", &Choice(&["in", "out"]), out);
    let closes = section.read("closes", &Word::new(Closes::ALL, Closes::as_str), out);
    let position = section.read("position", &Word::new(Position::ALL, Position::as_str), out);
    let fail = section.read("fail", &Word::new(Fail::ALL, Fail::as_str), out);
    let button_confirms = section.or("button_confirms", &Yes, false, out);
    let timing = timing(section.section("timing", out), out);
    let conduct = conduct(section.section("trouble", out), out);
    let back = Back::read(&mut section, out);
    let spot = id.as_ref().map_or_else(|| section.spot(), |id| id.spot.clone());
    let mut wiring = devices(&mut section, &gates.devices, out)?;
    section.finish(&[], out);
    let (declared, gate) = (declared?, gate?);
    let row = Row { site: declared, gate, spot, wires };
    wiring.lane = LaneId::new(declared.id.clone());
    wiring.inputs = row.wires.iter().map(|(wire, _)| wire.clone()).collect();
    wiring.outputs = outputs;
    let spec = LaneSpec {
        id: wiring.lane.clone(),
        name: declared.name.clone(),
        name_en: declared.name_en.clone(),
        gate: gate.id.clone(),
        gate_class: gate.class,
        manned: gate.manned,
        zone: ZoneId::new(site.zones.get(declared.zone).map_or(book::PARK, |zone| zone.id.as_str())),
        zone_from: gate.from.clone(),
        kind: if row.persons() { LaneKind::Person } else { LaneKind::Vehicle },
        flow: flow(&row, starts, out)?,
        classes: classes_of(&row, classes, out),
        windows,
        inputs: row.inputs(),
        position: position_of(&row, position, &wiring, out),
        closes: closes_of(&row, closes, out),
        fail: fail_of(&row, fail, out),
        on_fire: declared.on_fire(),
        camera: !wiring.cameras.is_empty(),
        scale: wiring.scale.is_some(),
        button_confirms,
        conduct,
        timing,
        service: declared.service.into(),
    };
    check(&row, &spec, &wiring, &gates.devices, out);
    check_sides(&row, site, out);
    spec_in_windows(&row, &spec, out);
    let desk = back.rule(&spec, row.spot, out);
    Some((spec, wiring, desk))
}

fn declared<'a>(id: &Got<String>, site: &'a SiteBook, out: &mut Findings) -> Option<&'a book::Lane> {
    let found = site.lanes.iter().find(|lane| lane.id == id.value);
    if found.is_none() {
        missing(
            "车道（须先写在 site.toml）",
            "lane in site.toml, where it is declared,",
            id,
            site.lanes.iter().map(|lane| lane.id.as_str()),
            out,
        );
    }
    found
}

fn gate_of<'a>(got: &Got<String>, gates: &'a Gates, out: &mut Findings) -> Option<&'a Gate> {
    let found = gates.gates.iter().find(|gate| gate.id.as_str() == got.value);
    if found.is_none() {
        missing("卡口", "gate", got, gates.gates.iter().map(|gate| gate.id.as_str()), out);
    }
    found
}

fn flow(row: &Row<'_>, starts: Option<Got<&'static str>>, out: &mut Findings) -> Option<Flow> {
    let flow = match (row.site.direction, row.persons(), &starts) {
        (book::Direction::In, ..) => Flow::In,
        (book::Direction::Out, ..) => Flow::Out,
        (book::Direction::Both, true, _) => Flow::Both,
        (book::Direction::Both, false, Some(got)) => {
            let start = if got.value == "in" { Direction::In } else { Direction::Out };
            return Some(Flow::Reversible(start));
        }
        (book::Direction::Both, false, None) => {
            let what = say!("可变车道没有写起始方向", "a reversible lane must say which way it starts");
            row.refuse(what, say!("请写 starts = \"in\" 或 \"out\"", "write starts = \"in\" or \"out\""), out);
            return None;
        }
    };
    if let Some(got) = starts {
        let what = say!("只有双向的车行道有 starts", "only a lane for vehicles both ways has `starts`");
        super::refuse(&got, what, say!("请删去", "remove it"), out);
    }
    Some(flow)
}

fn classes_of(row: &Row<'_>, got: Option<Got<BTreeSet<VehicleClass>>>, out: &mut Findings) -> BTreeSet<VehicleClass> {
    match (row.persons(), got) {
        (true, None) => BTreeSet::new(),
        (true, Some(got)) => {
            let what = say!("人行通道没有车辆类别（人车分流）", "a lane for persons takes no vehicles");
            super::refuse(&got, what, say!("请删去 classes", "remove classes"), out);
            BTreeSet::new()
        }
        (false, None) => {
            let what = say!("没有写通行哪些车辆", "which vehicles it takes is not written");
            let instead = say!("请写 classes = [\"goods\", \"small\"]", "write classes = [\"goods\", \"small\"]");
            row.refuse(what, instead, out);
            BTreeSet::new()
        }
        (false, Some(got)) => {
            check_classes(row, &got, out);
            got.value
        }
    }
}

fn check_classes(row: &Row<'_>, got: &Got<BTreeSet<VehicleClass>>, out: &mut Findings) {
    let Gate { id, class, classes, .. } = row.gate;
    let beyond = got.value.iter().find(|class| !classes.is_empty() && !classes.contains(class));
    if let Some(beyond) = beyond {
        let what = say!("卡口 `{id}` 不通行 {beyond}", "gate `{id}` does not take {beyond}");
        super::refuse(got, what, say!("请改 classes，或改卡口的 classes", "change classes here or at the gate"), out);
    }
    let hazmat = got.value.iter().any(|class| class.is_hazmat());
    let ordinary = got.value.iter().any(|class| !class.is_hazmat() && *class != VehicleClass::Rescue);
    if hazmat && *class == GateClass::LightUnmanned {
        let what = say!("无人值守卡口不能通行危化车、危废车", "dangerous goods do not pass where nobody is there");
        super::refuse(got, what, say!("请去掉 hazmat、hazwaste", "take hazmat and hazwaste out"), out);
    }
    if ordinary && *class == GateClass::HazmatOnly {
        let what = say!("专用卡口只通行危化车、危废车", "a gate for dangerous goods takes nothing else");
        super::refuse(
            got,
            what,
            say!("请只写 hazmat、hazwaste（及 rescue）", "write hazmat and hazwaste (and rescue) alone"),
            out,
        );
    } else if hazmat && ordinary {
        let what = say!("危化车与普通车辆同走一条车道", "dangerous goods share a lane with ordinary vehicles");
        let instead = say!("规定各走各的车道，请分开", "they are to have lanes of their own; part them");
        out.warn(got.spot.clone(), Wrong::new(what, instead));
    }
}

fn position_of(row: &Row<'_>, got: Option<Got<Position>>, wiring: &Wiring, out: &mut Findings) -> Position {
    let usual = match (row.persons(), wiring.barrier.is_some()) {
        (true, _) => Position::None,
        (false, true) => Position::Status,
        (false, false) => Position::Limits,
    };
    let position = got.as_ref().map_or(usual, |got| got.value);
    let inputs = row.inputs();
    let limits = inputs.contains(&Input::OpenLimit) && inputs.contains(&Input::CloseLimit);
    let (what, instead) = match position {
        Position::None if !row.persons() => (
            say!("看不到道闸的位置：下了令不等于动了", "nothing sees where the arm is: ordered is not moved"),
            say!("请写 position = \"limits\" 或 \"status\"", "write position = \"limits\" or \"status\""),
        ),
        Position::Limits if !limits => (
            say!("没有开、关到位限位", "there are no limit switches"),
            say!("请在 inputs 中写 open_limit 和 close_limit", "write open_limit and close_limit under inputs"),
        ),
        Position::Status if wiring.barrier.is_none() => (
            say!("没有能问状态的道闸控制器", "there is no controller to be asked for its state"),
            say!("请写 barrier = \"…\"，或 position = \"limits\"", "write barrier = \"…\", or position = \"limits\""),
        ),
        Position::None | Position::Limits | Position::Status => return position,
    };
    let spot = got.map_or_else(|| row.spot.clone(), |got| got.spot);
    out.error(spot, Wrong::new(what, instead));
    position
}

fn closes_of(row: &Row<'_>, got: Option<Got<Closes>>, out: &mut Findings) -> Closes {
    let guards = GUARDS.iter().all(|guard| row.inputs().contains(guard));
    let usual = if guards && !row.persons() { Closes::Gateway } else { Closes::Controller };
    let Some(got) = got else { return usual };
    if got.value == Closes::Gateway && !guards {
        let what = say!(
            "网关落杆须有两种互相独立的防砸手段（UL 325）",
            "the gateway closes only with two independent means that guard the arm (UL 325)"
        );
        let instead = say!(
            "请接上 under_arm 和 beam，或写 closes = \"controller\"",
            "wire under_arm and beam, or write closes = \"controller\""
        );
        super::refuse(&got, what, instead, out);
    }
    got.value
}

fn fail_of(row: &Row<'_>, got: Option<Got<Fail>>, out: &mut Findings) -> Fail {
    let out_of = row.site.leads_out();
    let usual = if row.persons() || out_of { Fail::Safe } else { Fail::Secure };
    let Some(got) = got else { return usual };
    if got.value == Fail::Secure && row.persons() && out_of {
        let what = say!("人员出口断电必须释放", "a way out for persons must be free without power");
        super::refuse(
            &got,
            what,
            say!("请写 fail = \"safe\"，并照此接线", "write fail = \"safe\", and wire it so"),
            out,
        );
    }
    got.value
}

/// What must be there, and what must not.
fn check(row: &Row<'_>, spec: &LaneSpec, wiring: &Wiring, devices: &Devices, out: &mut Findings) {
    if (row.gate.class == GateClass::Emergency) != row.site.emergency {
        let what = say!("应急卡口与 site.toml 的 emergency 不一致", "gate class and `emergency` of site.toml disagree");
        row.refuse(what, say!("请使两处一致", "make both say the same"), out);
    }
    if let Some((wire, spot)) = row.wires.iter().find(|(wire, _)| wire.input == Input::Fire && !wire.at.closed_at_rest)
    {
        let (device, channel) = (&wire.at.device, wire.at.channel);
        let what =
            say!("消防联动触点必须常闭：断线即释放", "the fire contact must be closed at rest: a cut wire releases");
        let instead = say!("请写 fire = \"{device}:{channel} nc\"", "write fire = \"{device}:{channel} nc\"");
        out.error(spot.clone(), Wrong::new(what, instead));
    }
    check_outputs(row, spec, wiring, devices, out);
    if row.persons() {
        check_door(row, spec, wiring, out);
    } else {
        check_barrier(row, spec, wiring, devices, out);
    }
}

/// A lane leads from the outer side of its gate into its zone: what lies within that zone is no outer side of it.
fn check_sides(row: &Row<'_>, site: &SiteBook, out: &mut Findings) {
    let zone = |at: usize| site.zones.get(at);
    let from = site.zones.iter().find(|zone| zone.id == row.gate.from.as_str());
    let within = std::iter::successors(from, |inner| inner.parent.and_then(zone));
    let inner = zone(row.site.zone).filter(|into| within.into_iter().any(|around| around.id == into.id));
    if let (Some(into), Some(from)) = (inner, from) {
        let (into, from) = (&into.id, &from.id);
        let what = say!(
            "车道通向区域 `{into}`，卡口外侧 `{from}` 却就在它里面",
            "the lane leads into zone `{into}`, and the outer side of its gate, `{from}`, lies within it"
        );
        let instead = say!(
            "请改卡口的 from（外面的区域，最外是 outside），或 site.toml 的 zone",
            "correct `from` of the gate (the zone around, outermost `outside`), or `zone` in site.toml"
        );
        row.refuse(what, instead, out);
    }
}

fn check_outputs(row: &Row<'_>, spec: &LaneSpec, wiring: &Wiring, devices: &Devices, out: &mut Findings) {
    let has = |contact| wiring.outputs.iter().any(|wire| wire.contact == contact);
    let controller = wiring.barrier.is_some();
    let by_camera = wiring.cameras.iter().filter_map(|id| devices.cameras.iter().find(|camera| camera.id == *id));
    let by_camera = by_camera.into_iter().any(|camera| camera.relay.is_some() && camera.make == CameraMake::Vzenith);
    if !has(Contact::Open) && !controller && !by_camera {
        let what = say!("没有开闸的输出", "nothing opens it");
        row.refuse(what, say!("请在 outputs 中写 open = \"io-1:1\"", "write open = \"io-1:1\" under outputs"), out);
    } else if by_camera && !has(Contact::Open) && !controller {
        let what = say!(
            "只有相机能开闸：人工开闸和应急开闸都没有输出",
            "only the camera's answer opens: neither a guard nor an emergency could"
        );
        row.refuse(what, say!("请再写 outputs.open", "write outputs.open as well"), out);
    }
    if spec.closes == Closes::Gateway && !has(Contact::Close) && !controller {
        let what = say!("由网关落杆，却没有落杆的输出", "the gateway is to close it, and nothing closes");
        row.refuse(what, say!("请写 outputs.close = \"io-1:2\"", "write outputs.close = \"io-1:2\""), out);
    }
    if !has(Contact::Hold) && row.site.leads_out() {
        let what = say!("没有常开的输出：应急时不能保持打开", "there is no contact that holds it open in an emergency");
        row.refuse(what, say!("请写 outputs.hold = \"io-1:4\"", "write outputs.hold = \"io-1:4\""), out);
    }
}

fn check_door(row: &Row<'_>, spec: &LaneSpec, wiring: &Wiring, out: &mut Findings) {
    if !spec.inputs.contains(&Input::DoorOpen) && !spec.inputs.contains(&Input::Passed) {
        let what =
            say!("看不到有没有人通过，不能计数", "nothing sees whether somebody went through: nobody could be counted");
        row.refuse(what, say!("请接 door_open 或 passed", "wire door_open or passed"), out);
    }
    let asks = !wiring.readers_out.is_empty() || spec.inputs.contains(&Input::ExitButton);
    if row.site.leads_out() && !asks {
        let what = say!(
            "出口没有出门按钮，也没有向外的读卡器",
            "this way out has neither exit button nor a reader that looks out"
        );
        row.refuse(what, say!("请接 exit_button", "wire exit_button"), out);
    }
    if wiring.scale.is_some() || !wiring.cameras.is_empty() {
        let what = say!("人行通道没有车牌相机和地磅", "a lane for persons has neither plate camera nor scale");
        row.refuse(what, say!("请删去", "remove them"), out);
    }
}

fn check_barrier(row: &Row<'_>, spec: &LaneSpec, wiring: &Wiring, devices: &Devices, out: &mut Findings) {
    let cameras = wiring.cameras.iter().filter_map(|id| devices.cameras.iter().find(|camera| camera.id == *id));
    if wiring.cameras.is_empty() && wiring.readers_in.is_empty() && wiring.readers_out.is_empty() && !row.site.emergency
    {
        let what =
            say!("没有相机也没有读卡器，无法识别", "neither camera nor reader: nothing can be known of what comes");
        row.refuse(what, say!("请写 cameras = [\"cam-1\"]", "write cameras = [\"cam-1\"]"), out);
    }
    for camera in cameras.filter(|camera| spec.is_hazmat() && !camera.own_list_off) {
        let id = &camera.id;
        let what = say!(
            "危化车道的相机 `{id}` 可能按自己的白名单开闸",
            "camera `{id}` of a hazmat lane may open by its own list"
        );
        let instead = say!(
            "请在相机上关闭离线白名单，再写 own_list_off = true",
            "put the camera's offline list off, then write own_list_off = true"
        );
        row.refuse(what, instead, out);
    }
    if !spec.inputs.contains(&Input::Approach) {
        let what = say!("没有来车地感：排队的车要由人处理", "no approach loop: vehicles in a queue need a person");
        out.warn(row.spot.clone(), Wrong::new(what, say!("请接 approach", "wire approach")));
    }
    if spec.is_hazmat() && spec.conduct_in(Trouble::Loop) == Conduct::Decide {
        let what = say!("危化车道地感失效时不能照常判定", "a hazmat lane does not go on deciding with a dead loop");
        row.refuse(what, say!("请写 loop = \"refer\" 或 \"no_entry\"", "write loop = \"refer\" or \"no_entry\""), out);
    }
}

fn spec_in_windows(row: &Row<'_>, spec: &LaneSpec, out: &mut Findings) {
    let beyond = spec.windows.iter().flat_map(|window| &window.classes).find(|class| !spec.classes.contains(class));
    if let Some(class) = beyond {
        let what = say!("时段写了 {class}，但车道不通行它", "a window names {class}, which the lane does not take");
        row.refuse(what, say!("请改时段的 classes", "change the window's classes"), out);
    }
}

fn devices(section: &mut Section<'_>, devices: &Devices, out: &mut Findings) -> Option<Wiring> {
    let list = |section: &mut Section<'_>, key, what, known: Vec<&str>, out: &mut Findings| {
        let Some(got) = section.read(key, &Codes, out) else { return Vec::new() };
        let ids = got.value.into_iter().map(|value| Some(Got { value, spot: got.spot.clone() }));
        ids.filter_map(|id| named(id, what, known.iter().copied(), out)).collect()
    };
    let cameras: Vec<&str> = devices.cameras.iter().map(|device| device.id.as_str()).collect();
    let readers: Vec<&str> = devices.readers.iter().map(|device| device.id.as_str()).collect();
    let cameras = list(section, "cameras", ("相机", "camera"), cameras, out);
    let readers_in = list(section, "readers_in", ("读卡器", "reader"), readers.clone(), out);
    let readers_out = list(section, "readers_out", ("读卡器", "reader"), readers, out);
    let barrier = section.read("barrier", &Code(64), out);
    let barrier = named(barrier, ("道闸", "barrier"), devices.barriers.iter().map(|device| device.id.as_str()), out);
    let board = section.read("board", &Code(64), out);
    let board = named(board, ("显示屏", "board"), devices.boards.iter().map(|device| device.id.as_str()), out);
    let scale = section.read("scale", &Code(64), out);
    let scale = named(scale, ("地磅", "scale"), devices.scales.iter().map(|device| device.id.as_str()), out);
    let (lane, inputs, outputs) = (LaneId::new(""), Vec::new(), Vec::new());
    Some(Wiring { lane, inputs, outputs, cameras, readers_in, readers_out, barrier, board, scale })
}

fn windows(section: &mut Section<'_>, out: &mut Findings) -> Vec<Window> {
    let sections = section.each("window", out);
    at_most(sections.len(), MAX_WINDOWS, "lane.window", &section.spot(), out);
    let mut windows = Vec::new();
    for mut section in sections {
        let classes = section.need("classes", &Classes, "[\"hazmat\"]", out);
        let from = section.need("from", &Clock, "\"22:00\"", out);
        let to = section.need("to", &Clock, "\"05:00\"", out);
        let enabled = section.or("enabled", &Yes, true, out);
        section.finish(&[], out);
        if let Some(to) = to.as_ref().filter(|to| from.as_ref().is_some_and(|from| from.value == to.value % 1440)) {
            let what = say!("时段起止相同", "the window ends when it begins");
            let instead = say!(
                "全天不限时就不写此段；只是停用写 enabled = false",
                "leave it out for the whole day; to put it out of use write enabled = false"
            );
            out.error(to.spot.clone(), Wrong::new(what, instead));
        }
        if let (Some(classes), Some(from), Some(to), true) = (classes, from, to, enabled) {
            windows.push(Window { classes: classes.value, from: from.value, to: to.value % 1440 });
        }
    }
    windows
}

/// A time of day, `22:00`; `24:00` is the end of the day.
struct Clock;

impl Kind for Clock {
    type Out = u16;

    fn read(&self, value: &DeValue<'_>) -> Result<u16, Wrong> {
        let text = value.as_str().unwrap_or_default();
        let parts = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2);
        let number = |text: &str| text.parse::<u16>().ok();
        let minute = parts.and_then(|(h, m)| Some((number(h)?, number(m)?)));
        let minute = minute.filter(|(h, m)| *m < 60 && h * 60 + m <= 1440).map(|(h, m)| h * 60 + m);
        minute.ok_or_else(|| {
            let text = clip(text);
            let wanted = say!("请写 \"22:00\"，00:00 到 24:00", "write e.g. \"22:00\", 00:00 to 24:00");
            Wrong::new(say!("`{text}` 不是时刻", "`{text}` is no time of day"), wanted)
        })
    }
}

fn conduct(section: Section<'_>, out: &mut Findings) -> BTreeMap<Trouble, Conduct> {
    let mut conduct = BTreeMap::new();
    for (name, got) in section.all(&Word::new(Conduct::ALL, Conduct::as_str), out) {
        let Some(trouble) = Trouble::ALL.iter().copied().find(|trouble| trouble.as_str() == name) else {
            let named = Got { value: name, spot: got.spot };
            missing("故障", "trouble", &named, Trouble::ALL.iter().map(|trouble| trouble.as_str()), out);
            continue;
        };
        conduct.extend(got.value.map(|value| (trouble, value)));
    }
    conduct
}

/// Bounds: `domain.md` A7, A8; `reliability.md` §5.1.
fn timing(mut section: Section<'_>, out: &mut Findings) -> Timing {
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    let usual = Timing::default();
    let timing = Timing {
        open_life: section.or("open_life", &Span(s(2), s(3)), usual.open_life, out),
        travel: section.or("travel", &Span(s(2), s(6)), usual.travel, out),
        not_entered: section.or("not_entered", &Span(s(5), s(120)), usual.not_entered, out),
        max_open: section.or("max_open", &Span(s(15), s(600)), usual.max_open, out),
        clear_for: section.or("clear_for", &Span(ms(500), s(10)), usual.clear_for, out),
        stuck: section.or("stuck", &Span(s(30), s(600)), usual.stuck, out),
        duplicate: section.or("duplicate", &Span(s(3), s(60)), usual.duplicate, out),
        same_vehicle: section.or("same_vehicle", &Span(ms(200), s(3)), usual.same_vehicle, out),
        patience: section.or("patience", &Span(s(5), s(60)), usual.patience, out),
        read: section.or("read", &Span(s(1), s(2)), usual.read, out),
        weigh: section.or("weigh", &Span(s(2), s(30)), usual.weigh, out),
        door_held: section.or("door_held", &Span(s(10), s(300)), usual.door_held, out),
        fire_settle: section.or("fire_settle", &Span(ms(100), s(1)), usual.fire_settle, out),
    };
    if timing.clear_for < timing.same_vehicle {
        let same = show_duration(timing.same_vehicle);
        let what = say!(
            "clear_for 短于 same_vehicle：会落在挂车上",
            "clear_for is shorter than same_vehicle: it would close on a trailer"
        );
        let instead = say!("请写不小于 {same} 的 clear_for", "write a clear_for of at least {same}");
        out.error(section.spot_of("clear_for"), Wrong::new(what, instead));
    }
    let longer = |short: (&'static str, Duration), long: (&'static str, Duration), out: &mut Findings| {
        let ((short, least), (long, most)) = (short, long);
        if most <= least {
            let (least, most) = (show_duration(least), show_duration(most));
            let what = say!("{long} {most} 不长于 {short} {least}", "{long} {most} is no longer than {short} {least}");
            let instead = say!(
                "还没等到就先到时：请写更长的 {long}，或更短的 {short}",
                "it ends before the other can: write a longer {long}, or a shorter {short}"
            );
            out.error(section.spot_of(if section.has(long) { long } else { short }), Wrong::new(what, instead));
        }
    };
    longer(("travel", timing.travel), ("not_entered", timing.not_entered), out);
    longer(("not_entered", timing.not_entered), ("max_open", timing.max_open), out);
    longer(("weigh", timing.weigh), ("patience", timing.patience), out);
    section.finish(&[], out);
    timing
}
