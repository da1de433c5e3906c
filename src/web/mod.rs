//! The local page: what an operator sees of the gateway, what a monitoring system scrapes, what systemd and a load
//! balancer ask. Read-only: nothing here changes anything.
//!
//! ```text
//!  listener ─ task (cap, header timeout, drain) ─ routes (one table, one check of rights)
//!                                                   │
//!                 Park ─ session (one shared look per second) ─ view (pure: plain values → page) ─ html
//! ```
//!
//! - [`park`] is what the page asks of the gateway; the app implements it, a test fakes it.
//! - [`table`] is the one list of what is served, with the right that each needs.
//! - [`view`] turns a [`view::Look`] into a page of blocks and cells, without I/O; [`html`] writes it, escaping all.
//!   The event stream sends the cells of the *same* page that differ from the last ones sent, so the live page and a
//!   freshly loaded one can not disagree.
//! - Pages work without JavaScript (they reload themselves); with it, a stream that stops is shown as such within 5 s.
//!
//! Files that may await: [`task`], `routes`, `session`. The rest is pure.

pub mod format;
pub mod html;
pub mod lang;
pub mod metrics;
pub mod park;
pub mod request;
mod routes;
mod session;
pub mod settings;
pub mod table;
pub mod task;
pub mod trend;
pub mod view;

pub use park::{Gates, Identity, Park, Readiness, Trend, TrendError, TrendSample};
pub use task::serve;
