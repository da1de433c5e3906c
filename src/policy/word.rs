//! The closed lists of the facts as words of the schema.

use super::view::Word;
use crate::domain::gate::facts::{AntiPassback, EscortFact, PermitState, WaybillFact};
use crate::domain::gate::hazmat::goods::SmallQuantity;
use crate::domain::gate::word::{GateClass, LaneKind, PaperKind, PersonKind, VehicleClass, ZoneClass};
use crate::domain::site::State;
use crate::domain::time::ClockTrust;

/// Types of the schema whose members are words.
pub(super) const KINDS: [&str; 13] = [
    "Class",
    "PersonKind",
    "PermitState",
    "WaybillState",
    "SmallQuantity",
    "Escort",
    "GateClass",
    "ZoneClass",
    "LaneKind",
    "Passback",
    "SiteState",
    "Clock",
    "Paper",
];

pub(super) fn class(of: Option<VehicleClass>) -> Word {
    of.map_or(Word { kind: "Class", id: "unknown", zh: "未知" }, |of| Word {
        kind: "Class",
        id: of.as_str(),
        zh: of.zh(),
    })
}

pub(super) fn person_kind(of: Option<PersonKind>) -> Word {
    let kind = "PersonKind";
    of.map_or(Word { kind, id: "unknown", zh: "未知" }, |of| Word { kind, id: of.as_str(), zh: of.zh() })
}

pub(super) fn permit_state(of: PermitState) -> Word {
    let (id, zh) = match of {
        PermitState::None => ("none", "无"),
        PermitState::NotApproved => ("not_approved", "未批准"),
        PermitState::Refused => ("refused", "已驳回"),
        PermitState::NotYetValid => ("not_yet_valid", "未到生效时间"),
        PermitState::Valid => ("valid", "有效"),
        PermitState::Expired => ("expired", "已过期"),
        PermitState::UsedUp => ("used_up", "次数已用完"),
        PermitState::Undated => ("undated", "时钟不可信，无法判断"),
    };
    Word { kind: "PermitState", id, zh }
}

pub(super) fn waybill(of: WaybillFact) -> Word {
    let (id, zh) = match of {
        WaybillFact::Missing => ("missing", "无运单"),
        WaybillFact::NotReady => ("not_ready", "未核验或未派发"),
        WaybillFact::Ready => ("ready", "在途"),
        WaybillFact::Used => ("used", "已使用"),
        WaybillFact::Over => ("over", "已结束"),
    };
    Word { kind: "WaybillState", id, zh }
}

pub(super) fn small_quantity(of: SmallQuantity) -> Word {
    let (id, zh) = match of {
        SmallQuantity::No => ("no", "不是限量、例外数量"),
        SmallQuantity::AsOrdinary => ("as_ordinary", "限量或例外数量，按普通货物"),
        SmallQuantity::TooMuch => ("too_much", "超过限量或例外数量"),
        SmallQuantity::BesideExplosives => ("beside_explosives", "限量货物与爆炸品同车"),
        SmallQuantity::Unknown => ("unknown", "数量未知"),
    };
    Word { kind: "SmallQuantity", id, zh }
}

pub(super) fn escort(of: EscortFact) -> Word {
    let (id, zh) = match of {
        EscortFact::Present => ("present", "在车"),
        EscortFact::Missing => ("missing", "无押运员"),
        EscortFact::IsDriver => ("is_driver", "与驾驶员同一人"),
        EscortFact::Unqualified => ("unqualified", "无资质"),
    };
    Word { kind: "Escort", id, zh }
}

pub(super) fn gate_class(of: GateClass) -> Word {
    Word { kind: "GateClass", id: of.as_str(), zh: of.zh() }
}

pub(super) fn zone_class(of: ZoneClass) -> Word {
    Word { kind: "ZoneClass", id: of.as_str(), zh: of.zh() }
}

pub(super) fn lane_kind(of: LaneKind) -> Word {
    Word { kind: "LaneKind", id: of.as_str(), zh: of.zh() }
}

/// A paper of a vehicle.
pub(super) fn paper(of: PaperKind) -> Word {
    Word { kind: "Paper", id: of.as_str(), zh: of.zh() }
}

pub(super) fn passback(of: AntiPassback) -> Word {
    let (id, zh) = match of {
        AntiPassback::Off => ("off", "不检查"),
        AntiPassback::Soft => ("soft", "提示"),
        AntiPassback::Hard => ("hard", "拒绝"),
    };
    Word { kind: "Passback", id, zh }
}

pub(super) fn site_state(of: State) -> Word {
    Word { kind: "SiteState", id: of.as_str(), zh: of.zh() }
}

pub(super) fn clock(of: ClockTrust) -> Word {
    let zh = match of {
        ClockTrust::Synced => "已校时",
        ClockTrust::Holdover => "守时",
        ClockTrust::Unsynced => "未校时",
    };
    Word { kind: "Clock", id: of.as_str(), zh }
}

/// Facts that may be unknown, as people say them; the name itself for one that is not listed.
pub(super) fn fact(name: &str) -> &str {
    match name {
        "gate_ok" => "预约卡口",
        "window_open" => "通行时段",
        "waybill_matches" => "运单核对",
        "scope_ok" => "经营范围",
        "tank_medium_ok" => "罐体适装介质",
        "driver_ok" => "驾驶员资质",
        "weight_ok" => "重量核对",
        "dispatched" => "调度指令",
        "bays_free" => "空泊位",
        "bay_compatible" => "泊位相容性",
        "unloading_free" => "空闲卸货位",
        "training_valid" => "培训",
        "inside" => "是否在区内",
        "gross_kg" => "毛重",
        "gross_max_kg" => "允许总质量",
        "hazmat" => "危险货物信息",
        "permits_age_s" => "预约数据时龄",
        "block_list_age_s" => "黑名单时龄",
        other => other,
    }
}
