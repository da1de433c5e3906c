//! The columns of each table, and how a row becomes a draft.

use std::collections::{BTreeMap, BTreeSet};

use super::cell::{self, End};
use super::grid::{Cells, Column};
use crate::config::problem::{Wrong, say};
use crate::config::value::{code, label};
use crate::domain::gate::identity::{IdKind, IdNumber};
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::register::draft::{
    Draft, HolderDraft, ListingDraft, PermitDraft, PersonDraft, Who, WrittenCard,
};
use crate::domain::gate::register::permit::{Approval, Approver, Permit, PermitKind, PermitStage};
use crate::domain::gate::register::row::{
    CarrierLicence, Company, Holder, ListKind, ListSource, Qualification, Table, Vehicle,
};
use crate::domain::gate::register::rules::Rules;
use crate::domain::gate::word::{ListingId, PaperKind, PermitId, PersonKind, Skill, VehicleClass};
use crate::domain::time::Timestamp;

/// Longest id of a permit or an entry of a list.
const MAX_ID: usize = 64;
const DAY_MS: i64 = 86_400_000;

const fn column(en: &'static str, zh: &'static str, also: &'static [&'static str]) -> Column {
    Column { en, zh, also, needed: false }
}

const fn needed(en: &'static str, zh: &'static str, also: &'static [&'static str]) -> Column {
    Column { en, zh, also, needed: true }
}

const COMPANIES: &[Column] = &[
    needed("uscc", "统一社会信用代码", &["信用代码", "社会信用代码"]),
    needed("name", "企业名称", &["名称"]),
    column("platform_code", "平台编码", &["企业编码"]),
    column("carrier_until", "道路危险货物运输许可有效期", &["危货运输许可有效期"]),
    column("carrier_scope", "道路危险货物运输许可范围", &["危货运输许可范围", "许可经营范围"]),
];

const PERSONS: &[Column] = &[
    needed("name", "姓名", &[]),
    needed("id_no", "证件号码", &["身份证号", "身份证号码", "证件号"]),
    column("id_kind", "证件类型", &[]),
    needed("kind", "人员类型", &["类型"]),
    column("company", "企业", &["统一社会信用代码", "企业信用代码"]),
    column("phone", "手机号", &["电话", "手机"]),
    column("cards", "卡号", &[]),
    column("cards_until", "卡有效期", &[]),
    column("training_until", "培训有效期", &["培训有效期至"]),
    column("driver_until", "驾驶员资格有效期", &[]),
    column("driver_classes", "驾驶员资格类别", &[]),
    column("escort_until", "押运员资格有效期", &[]),
    column("escort_classes", "押运员资格类别", &[]),
    column("loader_until", "装卸管理员资格有效期", &[]),
    column("loader_classes", "装卸管理员资格类别", &[]),
];

const VEHICLES: &[Column] = &[
    needed("plate", "车牌号", &["车牌", "车牌号码"]),
    needed("colour", "车牌颜色", &["color"]),
    needed("class", "车辆类别", &["车辆类型"]),
    column("company", "企业", &["统一社会信用代码", "所属企业"]),
    column("licence_until", "行驶证有效期", &["年检有效期"]),
    column("insurance_until", "保险有效期", &[]),
    column("transport_until", "道路运输证有效期", &[]),
    column("tank_until", "罐体检验有效期", &[]),
    column("tank", "罐车", &["是否罐车"]),
    column("scope", "经营范围", &["核定类别"]),
    column("media", "罐体介质", &["允许介质"]),
    column("gross_max_kg", "最大总质量", &["总质量"]),
    column("tare_kg", "整备质量", &["自重", "皮重"]),
];

const LISTS: &[Column] = &[
    needed("id", "编号", &[]),
    needed("kind", "名单", &["名单类型"]),
    column("plate", "车牌号", &["车牌", "车牌号码"]),
    column("colour", "车牌颜色", &["color"]),
    column("id_no", "证件号码", &["身份证号", "身份证号码", "证件号"]),
    column("id_kind", "证件类型", &[]),
    column("name", "姓名", &[]),
    column("source", "来源", &[]),
    needed("from", "开始日期", &["有效期起"]),
    column("until", "结束日期", &["有效期止"]),
    needed("reason", "原因", &[]),
];

const PERMITS: &[Column] = &[
    needed("id", "预约号", &["预约编号", "编号"]),
    needed("kind", "预约类型", &["类型"]),
    column("plate", "车牌号", &["车牌", "车牌号码"]),
    column("colour", "车牌颜色", &["color"]),
    column("trailer", "挂车号", &["挂车"]),
    column("id_no", "证件号码", &["身份证号", "身份证号码", "证件号"]),
    column("id_kind", "证件类型", &[]),
    column("name", "姓名", &[]),
    column("phone", "手机号", &["电话", "手机"]),
    column("driver_id", "驾驶员证件号", &[]),
    column("driver_name", "驾驶员姓名", &["驾驶员"]),
    column("escort_id", "押运员证件号", &[]),
    column("escort_name", "押运员姓名", &["押运员"]),
    column("company", "企业", &["统一社会信用代码", "被访企业"]),
    needed("stage", "审核状态", &["状态"]),
    column("enterprise_by", "企业审核人", &[]),
    column("park_by", "园区审核人", &[]),
    needed("from", "有效期起", &["开始日期"]),
    needed("until", "有效期止", &["结束日期"]),
    column("hours", "时段", &["每日时段"]),
    column("plan_in", "计划入园时间", &[]),
    column("plan_out", "计划出园时间", &[]),
    column("gates_in", "入园卡口", &[]),
    column("gates_out", "出园卡口", &[]),
    column("uses", "次数", &["允许次数"]),
    column("purpose", "事由", &[]),
];

/// Returns the columns of a table.
pub(super) fn columns(table: Table) -> &'static [Column] {
    match table {
        Table::Companies => COMPANIES,
        Table::Persons => PERSONS,
        Table::Vehicles => VEHICLES,
        Table::Lists => LISTS,
        Table::Permits => PERMITS,
    }
}

/// Reads a row; `None` when it is refused.
pub(super) fn draft(table: Table, cells: &mut Cells<'_, '_>, rules: &Rules) -> Option<Draft> {
    let draft = match table {
        Table::Companies => company(cells, rules).map(Draft::Company),
        Table::Persons => person(cells, rules).map(Draft::Person),
        Table::Vehicles => vehicle(cells, rules).map(Draft::Vehicle),
        Table::Lists => listing(cells, rules).map(Draft::Listing),
        Table::Permits => permit(cells, rules).map(Draft::Permit),
    };
    draft.filter(|_| !cells.bad)
}

fn text(cell: &str) -> Result<String, Wrong> {
    label(cell, cell::MAX_TEXT).map(str::to_owned)
}

fn id(cell: &str) -> Result<String, Wrong> {
    code(cell, MAX_ID).map(str::to_owned)
}

fn company(cells: &mut Cells<'_, '_>, rules: &Rules) -> Option<Company> {
    let id = cells.need("uscc", cell::company);
    if !cells.has("name") {
        cells.wrong("name", empty());
    }
    let name = cells.words("name", text);
    let platform_code = cells.get("platform_code", self::id);
    let carrier = carrier(cells, rules);
    Some(Company { id: id?, name: name?, platform_code, carrier })
}

/// A licence without its end, or without its scope, says nothing.
fn carrier(cells: &mut Cells<'_, '_>, rules: &Rules) -> Option<CarrierLicence> {
    let end = until(cells, "carrier_until", rules);
    let scope = cells.get("carrier_scope", cell::classes);
    for (written, other) in [("carrier_until", "carrier_scope"), ("carrier_scope", "carrier_until")] {
        if cells.has(written) && !cells.has(other) {
            cells.wrong(other, empty());
        }
    }
    Some(CarrierLicence { until: end?, scope: scope? })
}

fn empty() -> Wrong {
    Wrong::new(say!("空", "empty"), say!("请填写此格", "fill in this cell"))
}

fn until(cells: &mut Cells<'_, '_>, en: &'static str, rules: &Rules) -> Option<Timestamp> {
    cells.get(en, |cell| cell::date(cell, End::Until, rules.utc_offset_s))
}

fn document(cells: &mut Cells<'_, '_>, number: &'static str) -> Option<IdNumber> {
    let all = IdKind::ALL;
    let kind = if cells.has("id_kind") {
        cells.get("id_kind", |cell| cell::word(cell, all, |kind| (kind.zh(), kind.as_str())))?
    } else {
        IdKind::IdCard
    };
    cells.get(number, |cell| cell::document(cell, kind))
}

fn person(cells: &mut Cells<'_, '_>, rules: &Rules) -> Option<PersonDraft> {
    if !cells.has("name") {
        cells.wrong("name", empty());
    }
    if !cells.has("id_no") {
        cells.wrong("id_no", empty());
    }
    let name = cells.words("name", text);
    let id = document(cells, "id_no");
    let kind = cells.need("kind", |cell| cell::word(cell, PersonKind::ALL, |kind| (kind.zh(), kind.as_str())));
    let company = cells.get("company", cell::company);
    let phone = cells.get("phone", cell::phone);
    let cards: BTreeSet<WrittenCard> =
        cells.get("cards", cell::cards).unwrap_or_default().into_iter().map(WrittenCard).collect();
    let cards_until = until(cells, "cards_until", rules);
    let training_until = until(cells, "training_until", rules);
    let mut skills = BTreeMap::new();
    for (skill, ends, classes) in [
        (Skill::HazmatDriver, "driver_until", "driver_classes"),
        (Skill::HazmatEscort, "escort_until", "escort_classes"),
        (Skill::Loader, "loader_until", "loader_classes"),
    ] {
        let end = until(cells, ends, rules);
        let of = cells.get(classes, cell::classes).unwrap_or_default();
        match end {
            Some(until) => drop(skills.insert(skill, Qualification { until, classes: of })),
            None if !of.is_empty() && !cells.has(ends) => cells.wrong(ends, empty()),
            None => {}
        }
    }
    let who = Who { id: id?, name, phone };
    Some(PersonDraft { who, kind: kind?, company, cards, cards_until, skills, training_until })
}

fn plate(cells: &mut Cells<'_, '_>, en: &'static str, colour: PlateColour) -> Option<Plate> {
    let plate = cells.get(en, |cell| Ok(Plate::new(cell, colour)))?;
    let shown = crate::config::value::clip(&plate.text);
    if plate.text.chars().count() > 12 {
        let what = say!("`{shown}` 不是车牌", "`{shown}` is no plate");
        cells.wrong(en, Wrong::new(what, say!("请写如 皖R12345", "write it as on the plate")));
        return None;
    }
    if !plate.is_possible() {
        cells.doubt(
            en,
            say!("车牌 `{shown}` 不合常规", "`{shown}` has no usual form of a plate"),
            say!("已接受；请对照行驶证核对", "it is taken; check it against the licence"),
        );
    }
    Some(plate)
}

fn vehicle(cells: &mut Cells<'_, '_>, rules: &Rules) -> Option<Vehicle> {
    let colour = cells.need("colour", cell::colour);
    if !cells.has("plate") {
        cells.wrong("plate", empty());
    }
    let plate = plate(cells, "plate", colour.unwrap_or(PlateColour::Unknown));
    let class = cells.need("class", |cell| cell::word(cell, VehicleClass::ALL, |class| (class.zh(), class.as_str())));
    let company = cells.get("company", cell::company);
    let mut papers = BTreeMap::new();
    for (kind, en) in [
        (PaperKind::Licence, "licence_until"),
        (PaperKind::Insurance, "insurance_until"),
        (PaperKind::Transport, "transport_until"),
        (PaperKind::Tank, "tank_until"),
    ] {
        papers.extend(until(cells, en, rules).map(|until| (kind, until)));
    }
    let scope = cells.get("scope", cell::classes).unwrap_or_default();
    let media = cells.get("media", cell::several).unwrap_or_default();
    let gross_max_kg = cells.get("gross_max_kg", cell::kilograms);
    let tare_kg = cells.get("tare_kg", cell::kilograms);
    let tank = if cells.has("tank") {
        cells.get("tank", cell::yes)?
    } else {
        // Who writes down a tank's inspection or its media has a tank.
        papers.contains_key(&PaperKind::Tank) || !media.is_empty()
    };
    if !tank && !media.is_empty() {
        let what = say!("不是罐车却写了罐体介质", "media of a tank, but no tank");
        cells.wrong("media", Wrong::new(what, say!("请清空，或把“罐车”写为 是", "empty it, or write yes for tank")));
    }
    Some(Vehicle { plate: plate?, class: class?, company, papers, gross_max_kg, tare_kg, tank, scope, media })
}

/// A vehicle or a person: one of them, not both, not neither.
fn holder(cells: &mut Cells<'_, '_>) -> Option<HolderDraft> {
    let colour = if cells.has("colour") { cells.get("colour", cell::colour)? } else { PlateColour::Unknown };
    match (cells.has("plate"), cells.has("id_no")) {
        (true, false) => plate(cells, "plate", colour).map(HolderDraft::Vehicle),
        (false, true) => {
            let name = cells.words("name", text);
            let phone = cells.get("phone", cell::phone);
            document(cells, "id_no").map(|id| HolderDraft::Person(Who { id, name, phone }))
        }
        (false, false) => {
            let what = say!("既没有车牌号也没有证件号码", "neither a plate nor a document");
            cells.wrong("plate", Wrong::new(what, say!("请填写其中之一", "fill in one of them")));
            None
        }
        (true, true) => {
            let what = say!("车牌号与证件号码不能都填", "both a plate and a document");
            let instead = say!(
                "请只留其一；随车人员填在驾驶员、押运员列",
                "leave one; who comes with the vehicle stands under driver and escort"
            );
            cells.wrong("id_no", Wrong::new(what, instead));
            None
        }
    }
}

fn ordered(cells: &mut Cells<'_, '_>, from: Option<Timestamp>, until: Option<Timestamp>) {
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        let what = say!("结束不晚于开始", "the end is not after the begin");
        cells.wrong("until", Wrong::new(what, say!("请核对两个日期", "check both dates")));
    }
}

fn listing(cells: &mut Cells<'_, '_>, rules: &Rules) -> Option<ListingDraft> {
    let id = cells.need("id", self::id).map(ListingId::new);
    let kind = cells.need("kind", |cell| cell::word(cell, ListKind::ALL, |kind| (kind.zh(), kind.as_str())));
    let holder = holder(cells);
    let source = if cells.has("source") {
        cells.get("source", |cell| cell::word(cell, ListSource::ALL, |source| (source.zh(), source.as_str())))
    } else {
        Some(ListSource::Park)
    };
    let from = cells.need("from", |cell| cell::date(cell, End::From, rules.utc_offset_s));
    let forever = cells.line.text("until").is_some_and(|cell| ["长期", "forever"].contains(&cell));
    let until = if forever { None } else { until(cells, "until", rules) };
    ordered(cells, from, until);
    if !cells.has("reason") {
        cells.wrong("reason", empty());
    }
    let reason = cells.words("reason", text);
    Some(ListingDraft { id: id?, kind: kind?, holder: holder?, source: source?, from: from?, until, reason: reason? })
}

fn permit(cells: &mut Cells<'_, '_>, rules: &Rules) -> Option<PermitDraft> {
    let id = cells.need("id", self::id).map(PermitId::new);
    let kind = cells.need("kind", cell::permit_kind);
    let holder = holder(cells);
    fits_kind(cells, kind, holder.as_ref());
    let trailer = plate(cells, "trailer", PlateColour::Unknown);
    let with = companions(cells, holder.as_ref());
    let company = cells.get("company", cell::company);
    let stage = cells.need("stage", cell::stage);
    let approvals = approvals(cells, stage);
    let from = cells.need("from", |cell| cell::date(cell, End::From, rules.utc_offset_s));
    let until = cells.need("until", |cell| cell::date(cell, End::Until, rules.utc_offset_s));
    ordered(cells, from, until);
    not_too_long(cells, kind, from, until, rules);
    let hours = cells.get("hours", cell::hours);
    let plan_in = cells.get("plan_in", |cell| cell::date(cell, End::From, rules.utc_offset_s));
    let plan_out = cells.get("plan_out", |cell| cell::date(cell, End::From, rules.utc_offset_s));
    let gates_in = cells.get("gates_in", cell::gates).unwrap_or_default();
    let gates_out = cells.get("gates_out", cell::gates).unwrap_or_default();
    let uses_allowed = if cells.has("uses") { cells.get("uses", cell::uses)? } else { kind.and_then(usual_uses) };
    let purpose = cells.words("purpose", text).unwrap_or_default();
    let holder = holder?;
    // Replaced when the holder's reference is known.
    let placeholder = Holder::Vehicle(Plate::new("", PlateColour::Unknown));
    let permit = Permit {
        id: id?,
        kind: kind?,
        holder: placeholder,
        trailer,
        persons: BTreeSet::new(),
        company,
        stage: stage?,
        approvals,
        from: from?,
        until: until?,
        hours,
        plan_in,
        plan_out,
        gates_in,
        gates_out,
        uses_allowed,
        uses: 0,
        begun: BTreeSet::new(),
        counted: BTreeSet::new(),
        purpose,
    };
    Some(PermitDraft { holder, with, permit })
}

/// Where a file says nothing: one visit, one report (一次一报), and a booking of dangerous goods for one entry (rule 11).
fn usual_uses(kind: PermitKind) -> Option<u32> {
    match kind {
        PermitKind::Person | PermitKind::Hazmat | PermitKind::HazWaste => Some(1),
        PermitKind::Vehicle | PermitKind::Truck => None,
    }
}

fn fits_kind(cells: &mut Cells<'_, '_>, kind: Option<PermitKind>, holder: Option<&HolderDraft>) {
    let (Some(kind), Some(holder)) = (kind, holder) else { return };
    let (en, what) = match (kind, holder) {
        (PermitKind::Person, HolderDraft::Vehicle(_)) => (
            "plate",
            say!("人员预约没有证件号码，却有车牌号", "a permit for a person with a plate instead of a document"),
        ),
        (PermitKind::Person, HolderDraft::Person(_)) | (_, HolderDraft::Vehicle(_)) => return,
        (_, HolderDraft::Person(_)) => (
            "id_no",
            say!("车辆预约没有车牌号，却有证件号码", "a permit for a vehicle with a document instead of a plate"),
        ),
    };
    cells.wrong(en, Wrong::new(what, say!("请核对预约类型", "check the kind of the permit")));
}

fn companions(cells: &mut Cells<'_, '_>, holder: Option<&HolderDraft>) -> Vec<Who> {
    let mut with = Vec::new();
    for (number, name) in [("driver_id", "driver_name"), ("escort_id", "escort_name")] {
        if !cells.has(number) {
            if cells.has(name) {
                cells.wrong(
                    number,
                    Wrong::new(
                        say!("有姓名没有证件号", "a name without a document"),
                        say!("请填写证件号", "fill in the document"),
                    ),
                );
            }
            continue;
        }
        let name = cells.words(name, text);
        let id = cells.get(number, |cell| cell::document(cell, IdKind::IdCard));
        with.extend(id.map(|id| Who { id, name, phone: None }));
    }
    if cells.has("escort_id") && !cells.has("driver_id") {
        let what = say!("有押运员没有驾驶员", "an escort without a driver");
        cells.wrong("driver_id", Wrong::new(what, say!("请填写驾驶员证件号", "fill in the driver's document")));
    }
    if matches!(with.as_slice(), [driver, escort] if driver.id == escort.id) {
        let what = say!("押运员与驾驶员是同一人", "driver and escort are the same person");
        cells.wrong(
            "escort_id",
            Wrong::new(what, say!("押运员须为另一人", "the escort is another person than the driver")),
        );
    }
    if matches!(holder, Some(HolderDraft::Person(_))) && !with.is_empty() {
        let what = say!("人员预约不能有驾驶员或押运员", "a permit for a person with a driver or an escort");
        cells.wrong("driver_id", Wrong::new(what, say!("请清空", "empty it")));
    }
    with
}

/// Who approved, as the file says it; two stages take two persons.
fn approvals(cells: &mut Cells<'_, '_>, stage: Option<PermitStage>) -> Vec<Approval> {
    let by = |cells: &mut Cells<'_, '_>, en| cells.words(en, text);
    let (enterprise, park) = (by(cells, "enterprise_by"), by(cells, "park_by"));
    if enterprise.is_some() && enterprise == park {
        let what = say!("两级审核是同一人", "both stages were decided by the same person");
        cells.wrong("park_by", Wrong::new(what, say!("两级须由不同的人审核", "the two stages take two persons")));
    }
    let enterprise_passed = stage != Some(PermitStage::EnterpriseRefused);
    let park_passed = stage != Some(PermitStage::ParkRefused);
    let one = |stage, by: Option<String>, passed| by.map(|by| Approval { stage, by, at: None, passed });
    [one(Approver::Enterprise, enterprise, enterprise_passed), one(Approver::Park, park, park_passed)]
        .into_iter()
        .flatten()
        .collect()
}

fn not_too_long(
    cells: &mut Cells<'_, '_>,
    kind: Option<PermitKind>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    rules: &Rules,
) {
    let (Some(kind), Some(from), Some(until)) = (kind, from, until) else { return };
    let Some(most) = rules.longest_days.get(&kind) else { return };
    let (days, zh) = ((until.0 - from.0).div_euclid(DAY_MS) + i64::from((until.0 - from.0) % DAY_MS != 0), kind.zh());
    if days > i64::from(*most) {
        let what = say!("{zh}预约有效 {days} 天", "a permit of kind `{kind}` for {days} days");
        cells.wrong("until", Wrong::new(what, say!("最长 {most} 天", "at most {most} days")));
    }
}
