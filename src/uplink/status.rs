//! How the uplink stands, for the page, `/metrics` and the demo's table. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::feed::FEEDS;
use crate::domain::snapshot::{DeliveryStatus, SessionStatus, UplinkStatus};
use crate::domain::time::Mono;

/// Returns the status of a configured uplink. `feeds` is in the order of [`super::feed::Feed::ALL`].
pub fn of(
    broker: String,
    sessions: Vec<SessionStatus>,
    feeds: &[DeliveryStatus; FEEDS],
    last_ack: Option<Mono>,
    live_age: Option<Duration>,
    refused: Vec<(&'static str, u64)>,
) -> UplinkStatus {
    let streams = std::array::from_fn(|i| feeds.get(i).copied().unwrap_or_default());
    UplinkStatus { configured: true, broker, sessions, streams, last_ack, live_age, refused }
}

/// Returns what was refused by reason, with the records that could only be told as unreadable.
pub fn refused(counts: &BTreeMap<&'static str, u64>, unreadable: u64) -> Vec<(&'static str, u64)> {
    let told = (unreadable > 0).then_some(("unreadable", unreadable));
    counts.iter().map(|(reason, count)| (*reason, *count)).chain(told).collect()
}
