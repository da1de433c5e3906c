//! Permits (预约, 备案; `domain.md` rules 9–12): two stages of approval, a validity, gates, and a number of uses.
//!
//! ```text
//!                    park delegates this kind
//!                  ┌──────────────────────────▶ 1 enterprise passed
//!  0 waiting ──────┤
//!  enterprise      ├─ pass ─▶ 3 waiting park ──┬─ pass ─▶ 4 park passed
//!                  └─ refuse ▶ 2               └─ refuse ▶ 5          6 expired: said by the platform
//! ```
//! The two stages are decided by two different persons. Only 4 admits, or 1 where the park delegates the kind.
//!
//! A use begins with a completed entry and is counted with the completed exit (rule 11: a visitor's report is consumed on
//! exit); what has begun counts as used for whoever wants to enter with the same permit. At all times
//! `uses + begun ≤ uses_allowed`: what was used cannot be forbidden afterwards, so a smaller number that arrives later is
//! raised to what was used.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::row::Holder;
use super::rules::Rules;
use crate::domain::actor::Refused;
use crate::domain::gate::facts::PermitState;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{CompanyId, Direction, GateId, PassageId, PermitId, PersonRef, VehicleClass, words};
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// Most uses that are counted; a permit for more is one without a number. Each use in it is remembered by its passage.
pub const MAX_USES: u32 = 1000;

words! {
    /// Kind of a permit (rule 9).
    PermitKind {
        /// 1: a person.
        Person = "person", "人员";
        /// 2: an ordinary vehicle.
        Vehicle = "vehicle", "普通车辆";
        /// 3: a vehicle with dangerous goods.
        Hazmat = "hazmat", "危化车辆";
        /// 4: a vehicle with hazardous waste.
        HazWaste = "hazwaste", "危废车辆";
        /// 5: a truck.
        Truck = "truck", "货车";
    }
}

impl PermitKind {
    /// Returns the city's code, 1 to 5.
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// Returns the kind of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    /// Returns the class of the vehicles that it is for, where it says one.
    pub fn class(self) -> Option<VehicleClass> {
        match self {
            Self::Hazmat => Some(VehicleClass::Hazmat),
            Self::HazWaste => Some(VehicleClass::HazWaste),
            Self::Truck => Some(VehicleClass::Goods),
            Self::Person | Self::Vehicle => None,
        }
    }
}

words! {
    /// State of the approval (rule 10).
    PermitStage {
        /// 0.
        WaitingEnterprise = "waiting_enterprise", "待企业审核";
        /// 1.
        EnterprisePassed = "enterprise_passed", "企业通过";
        /// 2.
        EnterpriseRefused = "enterprise_refused", "企业拒绝";
        /// 3.
        WaitingPark = "waiting_park", "待园区审核";
        /// 4.
        ParkPassed = "park_passed", "园区通过";
        /// 5.
        ParkRefused = "park_refused", "园区拒绝";
        /// 6.
        Expired = "expired", "已过期";
    }
}

impl PermitStage {
    /// Returns the city's code, 0 to 6.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the state of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|stage| stage.code() == code)
    }
}

words! {
    /// Who approves.
    Approver {
        /// The enterprise that is visited.
        Enterprise = "enterprise", "企业";
        /// The park.
        Park = "park", "园区";
    }
}

/// What somebody who approves says of a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approve {
    /// Which permit.
    pub permit: PermitId,
    /// Which stage he decides.
    pub stage: Approver,
    /// Passed, or refused.
    pub passed: bool,
    /// Why, for the audit; may be empty.
    pub why: String,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Which stage.
    pub stage: Approver,
    /// Login of who decided.
    pub by: String,
    /// When; absent where a file does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Passed, or refused.
    pub passed: bool,
}

/// A time of day, in minutes since midnight of the park's zone: from the first, up to and without the second; over midnight
/// when the first is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// 0 to 1439.
    pub from: u16,
    /// 1 to 1440.
    pub to: u16,
}

impl Hours {
    /// Returns whether the time lies within, `offset_s` being what the park's clock is ahead of UTC, in seconds.
    pub fn contains(self, at: Timestamp, offset_s: i32) -> bool {
        let minute = (at.0 + i64::from(offset_s) * 1000).rem_euclid(86_400_000) / 60_000;
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

/// A permit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// Its id.
    pub id: PermitId,
    /// Kind.
    pub kind: PermitKind,
    /// Whom it is for.
    pub holder: Holder,
    /// Trailer of a vehicle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trailer: Option<Plate>,
    /// Persons who come with a vehicle: driver, escort, passengers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub persons: BTreeSet<PersonRef>,
    /// Company that is visited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// State of the approval.
    pub stage: PermitStage,
    /// What was decided, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Begin of its validity.
    pub from: Timestamp,
    /// End of its validity.
    pub until: Timestamp,
    /// Time of day at which it admits; absent: all day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Planned time of the entry: told, not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_in: Option<Timestamp>,
    /// Planned time of the exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_out: Option<Timestamp>,
    /// Gates for the entry; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gates_in: BTreeSet<GateId>,
    /// Gates for the exit; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gates_out: BTreeSet<GateId>,
    /// Number of uses; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_allowed: Option<u32>,
    /// Uses that are over.
    #[serde(default)]
    pub uses: u32,
    /// Entries whose exit is not known yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub begun: BTreeSet<PassageId>,
    /// Exits that were counted, so that none is counted twice.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub counted: BTreeSet<PassageId>,
    /// What for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
}

impl Permit {
    /// Returns how it stands for a passage in this direction.
    pub fn state(&self, rules: &Rules, direction: Direction, now: &Now) -> PermitState {
        let dated = now.trust != ClockTrust::Unsynced;
        let over = dated && now.wall >= self.until;
        match self.stage {
            PermitStage::EnterpriseRefused | PermitStage::ParkRefused => PermitState::Refused,
            PermitStage::Expired => PermitState::Expired,
            PermitStage::ParkPassed => self.approved_state(direction, dated, now.wall),
            PermitStage::EnterprisePassed if rules.delegated.contains(&self.kind) => {
                self.approved_state(direction, dated, now.wall)
            }
            _ if over => PermitState::Expired,
            PermitStage::WaitingEnterprise | PermitStage::EnterprisePassed | PermitStage::WaitingPark => {
                PermitState::NotApproved
            }
        }
    }

    fn approved_state(&self, direction: Direction, dated: bool, wall: Timestamp) -> PermitState {
        // Who leaves uses up what his entry began.
        let taken = self.uses.saturating_add(if direction == Direction::In { self.n_begun() } else { 0 });
        match () {
            () if self.uses_allowed.is_some_and(|allowed| taken >= allowed) => PermitState::UsedUp,
            () if !dated => PermitState::Undated,
            () if wall < self.from => PermitState::NotYetValid,
            () if wall >= self.until => PermitState::Expired,
            () => PermitState::Valid,
        }
    }

    /// Returns whether it names this gate for this direction.
    pub fn gate_ok(&self, gate: &GateId, direction: Direction) -> bool {
        let gates = if direction == Direction::In { &self.gates_in } else { &self.gates_out };
        gates.is_empty() || gates.contains(gate)
    }

    /// Returns whether its time of day is now; `None` with a clock that cannot be trusted.
    pub fn window_open(&self, rules: &Rules, now: &Now) -> Option<bool> {
        match self.hours {
            None => Some(true),
            Some(_) if now.trust == ClockTrust::Unsynced => None,
            Some(hours) => Some(hours.contains(now.wall, rules.utc_offset_s)),
        }
    }

    fn n_begun(&self) -> u32 {
        u32::try_from(self.begun.len()).unwrap_or(u32::MAX)
    }

    /// Returns who decides next, where somebody still does.
    pub fn approver(&self) -> Option<Approver> {
        match self.stage {
            PermitStage::WaitingEnterprise => Some(Approver::Enterprise),
            PermitStage::WaitingPark | PermitStage::EnterprisePassed => Some(Approver::Park),
            PermitStage::EnterpriseRefused
            | PermitStage::ParkPassed
            | PermitStage::ParkRefused
            | PermitStage::Expired => None,
        }
    }

    /// Decides a stage of the approval.
    ///
    /// # Errors
    /// It is not this stage's turn, or the same person decided the other one.
    pub fn decide(
        &self,
        rules: &Rules,
        stage: Approver,
        by: &str,
        passed: bool,
        at: Timestamp,
    ) -> Result<Self, Refused> {
        use PermitStage as S;
        let next = match (stage, self.stage, passed) {
            (Approver::Enterprise, S::WaitingEnterprise, true) if rules.delegated.contains(&self.kind) => {
                S::EnterprisePassed
            }
            (Approver::Enterprise, S::WaitingEnterprise, true) => S::WaitingPark,
            (Approver::Enterprise, S::WaitingEnterprise, false) => S::EnterpriseRefused,
            (Approver::Park, S::WaitingPark | S::EnterprisePassed, true) => S::ParkPassed,
            (Approver::Park, S::WaitingPark | S::EnterprisePassed, false) => S::ParkRefused,
            _ => {
                let (now, stage) = (self.stage, stage);
                return Err(Refused::new(
                    format!("预约处于“{}”，现在不由{}审核", now.zh(), stage.zh()),
                    format!("the permit is in `{now}`; it is not the turn of `{stage}`"),
                ));
            }
        };
        if self.approvals.iter().any(|other| other.stage != stage && other.by == by) {
            return Err(Refused::new(
                format!("`{by}` 已在另一级审核过，两级须由不同的人审核"),
                format!("`{by}` decided the other stage; the two stages take two persons"),
            ));
        }
        let mut decided = self.clone();
        decided.stage = next;
        decided.approvals.push(Approval { stage, by: by.to_owned(), at: Some(at), passed });
        Ok(decided)
    }

    /// Begins a use with a completed entry. `Ok(None)`: nothing changes.
    ///
    /// # Errors
    /// Every use is taken: somebody passed who should not have.
    pub fn begin(&self, entry: &PassageId) -> Result<Option<Self>, Refused> {
        let Some(allowed) = self.uses_allowed else { return Ok(None) };
        if self.begun.contains(entry) {
            return Ok(None);
        }
        if self.uses.saturating_add(self.n_begun()) >= allowed {
            return Err(self.used_up());
        }
        let mut begun = self.clone();
        begun.begun.insert(entry.clone());
        Ok(Some(begun))
    }

    /// Counts a use with a completed exit; `entry` is the passage that began it, where it is known. `Ok(None)`: nothing changes,
    /// the exit was counted already.
    ///
    /// # Errors
    /// Every use is taken.
    pub fn complete(&self, entry: Option<&PassageId>, exit: &PassageId) -> Result<Option<Self>, Refused> {
        let Some(allowed) = self.uses_allowed else { return Ok(None) };
        if self.counted.contains(exit) {
            return Ok(None);
        }
        let mut over = self.clone();
        let begun = entry.is_some_and(|entry| over.begun.remove(entry));
        if !begun && self.uses.saturating_add(self.n_begun()) >= allowed {
            return Err(self.used_up());
        }
        over.uses = over.uses.saturating_add(1);
        over.counted.insert(exit.clone());
        Ok(Some(over))
    }

    /// Gives back a use that began and never was one: the entry was corrected away. `None`: there is none.
    pub fn give_back(&self, entry: &PassageId) -> Option<Self> {
        let mut given = self.clone();
        given.begun.remove(entry).then_some(given)
    }

    fn used_up(&self) -> Refused {
        let id = &self.id;
        Refused::new(format!("预约 {id} 的次数已用完"), format!("every use of permit {id} is taken"))
    }

    /// Takes over what the gateway itself counted, when a newer form of the permit arrives.
    pub(super) fn with_uses_of(mut self, own: &Permit) -> Self {
        self.uses = self.uses.max(own.uses);
        self.begun.clone_from(&own.begun);
        self.counted.clone_from(&own.counted);
        self.settled()
    }

    /// Forgets passages that the gateway knows nothing of.
    pub(super) fn unused(mut self) -> Self {
        self.begun.clear();
        self.counted.clear();
        self.settled()
    }

    /// Raises the allowed number to what was used.
    fn settled(mut self) -> Self {
        let taken = self.uses.saturating_add(self.n_begun());
        self.uses_allowed = self.uses_allowed.map(|allowed| allowed.max(taken));
        self
    }
}
