//! The order in which reasons are told: the strongest verdict first, then as A19 of `domain.md` has its rows.

use crate::domain::gate::verdict::Reason;

/// The codes of A19 in the order of its rows, those of the fixed code beside the row that they belong to. A site's own codes
/// come after them.
pub const CODES: [&str; 58] = [
    "EMG_RELEASE",
    "EMG_NO_ENTRY",
    "LANE_OUT_OF_SERVICE",
    "UNDER_ARM",
    "LANE_DISARMED",
    "STORE_FAILED",
    "POLICY_FAILED",
    "EXEMPT_CONFIRM",
    "PLATE_UNREADABLE",
    "PLATE_FAKE",
    "CLASS_UNKNOWN",
    "BLACKLISTED",
    "WRONG_LANE_CLASS",
    "WRONG_DIRECTION",
    "EMERGENCY_GATE",
    "NO_PERMIT",
    "NOT_APPROVED",
    "NOT_YET_VALID",
    "PERMIT_EXPIRED",
    "WRONG_GATE",
    "NOT_PERMITTED",
    "TIME_WINDOW",
    "OUTSIDE_APPROVED_WINDOW",
    "WAYBILL_MISSING",
    "WAYBILL_NOT_READY",
    "WAYBILL_USED",
    "WAYBILL_OVER",
    "WAYBILL_MISMATCH",
    "SMALL_QUANTITY",
    "MANIFEST_MISSING",
    "DOC_EXPIRED",
    "DOC_MISSING",
    "SCOPE_MISMATCH",
    "TANK_MEDIUM",
    "CHECK_FAILED",
    "CHECK_OPEN",
    "DRIVER_UNQUALIFIED",
    "ESCORT_MISSING",
    "ESCORT_IS_DRIVER",
    "ESCORT_UNQUALIFIED",
    "OVERWEIGHT",
    "WEIGHT_MISMATCH",
    "PARKING_FULL",
    "INCOMPATIBLE",
    "NO_UNLOADING_SLOT",
    "NOT_DISPATCHED",
    "OVER_CAPACITY",
    "ANTI_PASSBACK",
    "TRAINING_EXPIRED",
    "GAS_ALARM",
    "CITY_WARNING",
    "LOCKDOWN",
    "GUARDED",
    "STALE_RULES",
    "CLOCK_UNSYNCED",
    "PEERS_SILENT",
    "DOC_EXPIRING",
    "OK",
];

/// Returns a code without its subject: `DOC_EXPIRED` of `DOC_EXPIRED:tank`.
pub fn base(code: &str) -> &str {
    code.split(':').next().unwrap_or(code)
}

/// Returns the place of a code among [`CODES`]; its end for one that is not among them.
pub fn rank(code: &str) -> usize {
    CODES.iter().position(|known| *known == base(code)).unwrap_or(CODES.len())
}

/// Returns the reasons in the order in which they are told; the same one twice is told once.
pub fn sorted(mut reasons: Vec<Reason>) -> Vec<Reason> {
    reasons.sort_by(|a, b| {
        let key = |reason: &Reason| (std::cmp::Reverse(reason.verdict), rank(&reason.code));
        key(a).cmp(&key(b)).then_with(|| a.cmp(b))
    });
    reasons.dedup();
    reasons
}
