//! Southbound: the readers of field devices. They only read; nothing in this room can write to a device.
//!
//! One connection owner per address or bus ([`settings::Link`]): it may serve several devices (unit ids). What it reads goes
//! as [`crate::domain::field_event::FieldEvent`] to the engine. `session/` and `task.rs` do I/O; all else is pure.
//!
//! ```text
//!            settings::Link (watch)                              FieldEvent (mpsc)
//!                   │                                                  ▲
//!                   ▼                                                  │
//!  task::run_link ── picks ──▶ unit ──▶ class ──▶ plan ─▶ request ─ decode
//!        │                      │ backoff  │ schedule (what is due when)
//!        └── session::ModbusLink ◀── Call ─┘
//! ```
//!
//! What each outcome of a request means is specified in [`modbus`]; the states of a device in [`unit`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::domain::field_event::FieldEvent;
use crate::domain::snapshot::BusStatus;
use errand::Lenders;
use tap::Taps;

pub mod backoff;
pub mod errand;
pub mod lateness;
pub mod meter;
pub mod modbus;
pub mod opcua;
pub mod outbox;
pub mod scaling;
pub mod schedule;
pub mod settings;
pub mod tap;
pub mod task;
pub mod unit;

pub use opcua::session::pki::{Pki, PkiError};
pub use opcua::session::{browse as opcua_browse, open as opcua_open};
pub use opcua::table as opcua_table;
pub use opcua::task::{Inputs as OpcUaInputs, run as run_opcua};
pub use task::run_link;

/// What a link is joined to. Cheap to clone: a link that is restarted is joined to the same.
#[derive(Clone, Debug)]
pub struct Joints {
    /// Where its readings go.
    pub events: mpsc::Sender<FieldEvent>,
    /// The devices whose bytes are looked at.
    pub taps: watch::Receiver<Arc<Taps>>,
    /// Where a bus says how it stands, by its id, about once a second.
    pub buses: watch::Sender<Buses>,
    /// Where a bus says that it takes errands ([`errand`]): how another room has an exchange of its own carried out on it.
    pub lenders: watch::Sender<Lenders>,
}

/// The buses as they stand, by id.
pub type Buses = BTreeMap<String, Arc<BusStatus>>;
