//! The control socket: how an engineer's command on the machine reaches the gateway that runs there.
//!
//! A device often admits one connection and a bus has one owner, so what has to do with a device goes through the running
//! gateway: values as they come, the wire log, loop tests, writes to outputs.
//!
//! # Protocol
//!
//! A Unix stream socket, `control.sock` in the state folder unless `[control] socket` says else. The caller is who the
//! kernel says (`SO_PEERCRED`); what he may do is the business of his roles ([`settings`]). Without `[roles]` the socket
//! has mode 0600. With it, mode 0666: groups of several roles cannot share one mode, and the check by the kernel's word
//! stands behind it in any case; who has no role is told so and closed, and what he wanted done is in the audit.
//!
//! One request for each connection: one line of JSON ([`Ask`]); then lines of JSON ([`Line`]) until the last one,
//! `{"end":…}`. A connection that closes without it was cut.
//!
//! ```text
//!  client ──connect──▶ session ──Asked──▶ app: engine, outputs, taps
//!         ◀──lines────         ◀──lines──
//! ```
//!
//! # Limits
//!
//! | what | limit | beyond it |
//! |---|---|---|
//! | connections at a time | [`MAX_CONNECTIONS`] | told `busy` and closed |
//! | a request | [`MAX_ASK_BYTES`], within [`ASK_WITHIN`] | told what is wrong and closed |
//! | files that follow a request | [`MAX_ATTACHED_BYTES`], within [`ATTACHED_WITHIN`], one request at a time | told, or waits |
//! | callers without a role at a time | [`MAX_STRANGERS`], each within [`STRANGER_WITHIN`] | closed unheard |
//! | refusals of such a caller in the audit | one each [`strangers::ENTERED_EVERY`] | counted, told with the next |
//! | lines waiting for a slow client | [`N_QUEUED_LINES`] | the source waits (watch), or drops and counts (wire log) |
//! | a client that takes nothing | [`STALL`] | closed |
//! | length of a watch or wire log | [`MAX_SPAN`] | cut to it |
//!
//! `session.rs` does I/O; all else is pure.

pub mod ask;
pub mod session;
pub mod settings;
pub mod strangers;

pub use ask::{Ask, Line};
pub use session::{Asked, serve};

use std::time::Duration;

/// Engineers at one machine: a watch, a wire log and a few commands.
pub const MAX_CONNECTIONS: usize = 8;
/// A request names at most a few hundred tags; a count by name, everybody who is inside a large park.
pub const MAX_ASK_BYTES: usize = 256 << 10;
/// Time for a request to arrive whole.
pub const ASK_WITHIN: Duration = Duration::from_secs(5);
/// Time for the request of a caller without a role: its client sends it at once, and nobody waits for it.
pub const STRANGER_WITHIN: Duration = Duration::from_millis(500);
/// Callers without a role who are heard at a time: most places are for those who have one.
pub const MAX_STRANGERS: usize = 2;
/// Files that follow a request: 100,000 rows of the register's widest table, twice over.
pub const MAX_ATTACHED_BYTES: u64 = 64 << 20;
/// Time for them: a local socket takes them in a second; a client that stops half-way must not keep the next one waiting.
pub const ATTACHED_WITHIN: Duration = Duration::from_secs(30);
/// Lines on their way to a client.
pub const N_QUEUED_LINES: usize = 256;
/// A client that takes no line for so long is gone.
pub const STALL: Duration = Duration::from_secs(30);
/// Longest watch or wire log: nobody looks longer, and a forgotten one must not copy bytes for ever.
pub const MAX_SPAN: Duration = Duration::from_secs(4 * 3600);
/// Name of the socket in the state folder.
pub const SOCKET: &str = "control.sock";
