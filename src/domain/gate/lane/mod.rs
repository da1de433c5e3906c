//! A lane (车道) as a state machine: what comes, what is decided of it, how the arm or lock moves, and what became of it.
//!
//! ```text
//!                 approach loop           read, shown     known: ask ▶ ruling
//!   ┌──── IDLE ─────────────────▶ APPROACH ─────▶ IDENTIFIED ──────────────────▶ DECIDED ─┐ refer, hold: a person opens
//!   │      ▲ ▲                       │  a read without a loop: IDLE ▶ IDENTIFIED   │  ▲   │ deny: it turns back
//!   │      │ └───────────────────────┴─────────── turned back, not entered ────────┘  │   │
//!   │      │                                                                 too late │   │ allow: audit stored ─▶ Open
//!   │      │ down                  crossed, not entered, turned back      up           │   ▼
//!   │   CLOSING ◀──────── CLEARING ◀──────────────────────── PASSING ◀──────────── OPENING
//!   │      │   Close: clear  ▲  ▲                                ▲  not moved in time: alarm, and on
//!   │      └─────────────────┘  └── the hold ends                │
//!   │        something under the arm: Stop, Open                 │
//!   │                                                            │
//!   └── fire contact · state of the site · hold by a person ──▶ HELD: open; everything passes and is recorded
//!       from any state, within [`spec::GAP`]
//! ```
//!
//! - **Life first.** The lane's own fire contact, and a rule of the site that opens, hold the lane open from whatever state,
//!   in whatever service it is, without waiting for anything but [`spec::GAP`]; a dead line of the contact does the same. The
//!   release by fire stays until the contact is at rest *and* a person resets it. A person who leaves is opened for by what
//!   he shows or presses, before anything is decided or stored; a vehicle that leaves waits for the audit for at most
//!   [`EXIT_PATIENCE`].
//! - **The arm.** It closes only when two independent means have freshly ([`spec::FRESH`]) and for `clear_for` said "clear",
//!   and both were seen to work with the last vehicle; dead, silent and suspect count as occupied. What becomes of "clear"
//!   while it closes stops it and opens it again. Commands that move it are [`spec::GAP`] apart. Ordered is not moved: the
//!   limits, or the controller's word, say so within `travel`, or it is an alarm.
//! - **Asked once, when it is known.** Where something was shown and the plate was not read, the question waits for the lane's
//!   own camera, [`spec::Timing::read`] at most, and for its scale ([`spec::Timing::weigh`]). A camera that is known to be down
//!   is not waited for; a person on foot waits for neither.
//! - **One decision, one actuation.** A ruling moves something once, and not when what it is about was last seen standing
//!   there longer than `open_life` ago. The entry of the audit is stored first; where neither store nor journal takes it,
//!   nobody comes in by it and whoever leaves still leaves. Records that a camera kept, repeated reads, and rulings about
//!   something else move nothing.
//! - **A restart moves nothing**: the arm is where the limits say; a passage that was under way is ended as `Unclear` unless
//!   the sensors saw its end. Only what holds open for the sake of life is ordered again.
//! - **Who waits is not forgotten**: whatever is not opened for becomes a [`told::Call`] for a person.
//!
//! Without an approach loop, presence ends by time alone; without a loop behind the arm, a second vehicle closer than
//! `same_vehicle` behind the first is not told from its trailer. Both are the park's to wire.
//!
//! A value without clock, task or I/O: hand in one input, then drain [`Lane::poll_output`]; call [`Lane::handle_timeout`]
//! when [`Lane::poll_timeout`] has come. [`Lane::revision`] changes with whatever [`Lane::saved`] must not lose.

mod arm;
mod cross;
mod door;
pub mod hand;
mod inputs;
mod passage;
mod read;
mod rights;
mod ruling;
mod saved;
mod sign;
pub mod spec;
#[cfg(test)]
mod tests;
pub mod told;
pub mod view;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use hand::Hand;
pub use inputs::ArmAt;
pub use rights::SavedHold;
pub use saved::{Recorded, Saved};
pub use spec::LaneSpec;
pub use told::{Ask, Audit, AuditReceipt, Authority, Call, CallWhy, LaneFact, LaneFault, Output, Ruling, Step};
pub use view::LaneView;

use arm::Arm;
use cross::Track;
use inputs::Inputs;
use passage::Passage;
use read::Recent;
use rights::Rights;
use ruling::Release;
use spec::Trouble;

use super::hardware::{CameraEvent, LaneDevice, LaneEvent, Seen, Weight};
use super::word::{LaneKind, words};
use crate::domain::time::{Mono, Now};

/// A vehicle that leaves waits so long for its entry in the audit, as an alarm waits to be stored (`design.md`).
pub const EXIT_PATIENCE: Duration = Duration::from_millis(200);

/// Whoever waits for a decision is told to a person after this (GB 50396-2007 5.1.2: two seconds from reading to acting).
pub const DECISION_PATIENCE: Duration = Duration::from_secs(2);

/// A state may follow from another at once, never in a circle: more rounds than there are states are none.
const ROUNDS: usize = 12;

words! {
    /// What a lane is doing.
    Phase {
        /// Nobody is there.
        Idle = "idle", "空闲";
        /// Something has come.
        Approach = "approach", "来车";
        /// It was read, and is being decided.
        Identified = "identified", "已识别";
        /// It was decided: waits for its audit, for a person, or turns back.
        Decided = "decided", "已判定";
        /// Ordered to open.
        Opening = "opening", "开启中";
        /// Open for one passage.
        Passing = "passing", "通行中";
        /// Open, and nothing has a right to pass: waits for a clear arm.
        Clearing = "clearing", "待清空";
        /// Ordered to close.
        Closing = "closing", "关闭中";
        /// Held open.
        Held = "held", "常开";
    }
}

/// See the module.
#[derive(Debug)]
pub struct Lane {
    spec: Arc<LaneSpec>,
    boot: u32,
    next: u64,
    revision: u64,
    last: Mono,
    phase: Phase,
    since: Mono,
    inputs: Inputs,
    arm: Arm,
    rights: Rights,
    current: Option<Passage>,
    waiting: Option<Passage>,
    release: Option<Release>,
    track: Track,
    recent: Recent,
    weight: Option<(Weight, Mono)>,
    /// What each is, whether it is up, and why it is not.
    devices: BTreeMap<String, (LaneDevice, bool, String)>,
    troubles: BTreeSet<Trouble>,
    faults: BTreeSet<(LaneFault, String)>,
    outputs: VecDeque<Output>,
}

impl Lane {
    /// Makes the lane as it is after the first start of all; `boot` is the start counter of the gateway and makes ids unique.
    pub fn new(spec: Arc<LaneSpec>, boot: u32, now: Now) -> Self {
        let mut lane = Self {
            boot,
            next: 0,
            revision: 0,
            last: now.mono,
            phase: Phase::Idle,
            since: now.mono,
            inputs: Inputs::new(now.mono),
            arm: Arm::default(),
            rights: Rights::new(&spec),
            current: None,
            waiting: None,
            release: None,
            track: Track::default(),
            recent: Recent::default(),
            weight: None,
            devices: BTreeMap::new(),
            troubles: BTreeSet::from([Trouble::Restart]),
            faults: BTreeSet::new(),
            outputs: VecDeque::new(),
            spec,
        };
        lane.advance(now);
        lane
    }

    /// Returns what the lane is.
    pub fn spec(&self) -> &LaneSpec {
        &self.spec
    }

    /// Returns whether this event of a camera was heard lately, whatever came of it.
    pub fn has_heard(&self, event: &CameraEvent) -> bool {
        self.recent.events.contains(event)
    }

    /// Returns what the lane is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns where the arm stands.
    pub fn arm_at(&self, now: Mono) -> ArmAt {
        self.inputs.arm(&self.spec, now)
    }

    /// Changes whenever what [`Lane::saved`] returns has changed in something that a restart must not lose.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Takes something that the hardware of this lane said. What another lane's hardware said is not for this one.
    pub fn handle_event(&mut self, event: &LaneEvent, now: Now) {
        self.handle_events(std::slice::from_ref(event), now);
    }

    /// Takes what the hardware said at once, in order: one look of a module at all its inputs is one word, so that no input is
    /// taken for silent because the others of the same look were heard first.
    pub fn handle_events(&mut self, events: &[LaneEvent], now: Now) {
        let mut taken = false;
        let spec = self.spec.clone();
        for event in events.iter().filter(|event| event.lane == spec.id) {
            taken = true;
            if self.take(event, now) {
                self.advance(now);
            }
        }
        if taken {
            self.advance(now);
        }
    }

    /// Takes one of them; returns whether anything but an age has changed by it.
    fn take(&mut self, event: &LaneEvent, now: Now) -> bool {
        // What the hardware says it heard later than now was heard now.
        let at = event.at.min(now.mono);
        match &event.what {
            Seen::Plate(seen) => self.take_plate(seen, at, now),
            Seen::Moved { how, .. } => self.take_moved(*how, now),
            Seen::Input { input, on } => {
                let Some(edge) = self.inputs.take(*input, *on, at) else { return false };
                self.take_edge(*input, edge, now);
            }
            Seen::Shown { direction, credential, .. } => self.take_shown(*direction, credential.clone(), at, now),
            Seen::NotShown { direction, .. } => self.take_not_shown(*direction, now),
            Seen::Weight(weight) => self.weight = Some((*weight, at)),
            Seen::Barrier(state) => self.inputs.take_status(*state, at),
            Seen::Device { device, kind, up, why } => {
                self.devices.insert(device.clone(), (*kind, *up, why.clone()));
            }
        }
        true
    }

    /// Takes a trouble that others see: lists too old, other gates not heard of. Those that the lane sees by itself are not
    /// changed by it.
    pub fn handle_trouble(&mut self, trouble: Trouble, on: bool, now: Now) {
        if matches!(trouble, Trouble::Lists | Trouble::Peers) {
            self.set_trouble(trouble, on);
        }
        self.advance(now);
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        self.advance(now);
    }

    /// Returns the next thing to be done, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when [`Lane::handle_timeout`] is due; `None`: never, until something comes in.
    pub fn poll_timeout(&self) -> Option<Mono> {
        // What lies before the last look was judged there, and nothing follows from it any more.
        self.dues().into_iter().filter(|due| *due > self.last).min()
    }

    fn dues(&self) -> Vec<Mono> {
        let mut dues = Vec::with_capacity(24);
        dues.extend(self.inputs.due(&self.spec));
        dues.extend(self.arm_dues());
        dues.extend(self.release_dues());
        dues.extend(self.cycle_dues());
        dues.extend(self.watch_dues());
        dues
    }

    fn advance(&mut self, now: Now) {
        self.last = self.last.max(now.mono);
        for _ in 0..ROUNDS {
            let before = (self.phase, self.since, self.outputs.len(), self.revision);
            self.watch(now);
            self.advance_arm(now);
            self.advance_release(now);
            match self.spec.kind {
                LaneKind::Vehicle => self.advance_cycle(now),
                LaneKind::Person => self.advance_door(now),
            }
            if before == (self.phase, self.since, self.outputs.len(), self.revision) {
                return;
            }
        }
    }

    fn go(&mut self, phase: Phase, now: Now) {
        (self.phase, self.since) = (phase, now.mono);
        self.revision += 1;
    }

    /// Returns a name that no other passage or command of the park ever has.
    fn name(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{}.{}.{kind}{}", self.spec.id, self.boot, self.next)
    }
}
