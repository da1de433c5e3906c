//! The `state` messages: retained, so that who comes later knows how the gateway stands (`config/state.schema.json`).
//!
//! `online` at each connect and at least each [`EVERY`], with the next number of each stream, so that the platform sees
//! what it does not have; `planned_offline` before an orderly end; `offline` as the last will. All carry epoch and
//! boot: where a late will races with a new `online`, the higher boot, then `online`, is right.

use std::time::Duration;

use super::json;
use crate::domain::record::Stream;
use crate::domain::time::{ClockTrust, Now};

/// How often `online` is published. The contract says 10 s; the rest is for the way.
pub const EVERY: Duration = Duration::from_secs(8);

/// Who speaks, as of now.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    /// Identity of the store.
    pub epoch: &'a str,
    /// Start counter.
    pub boot: u32,
    /// Software version.
    pub software: &'a str,
    /// Current registry revision.
    pub rev: u32,
    /// How long ago the clock was last known to be disciplined; told in whole seconds while it is not.
    pub since_synced: Option<Duration>,
}

/// Returns the message of a gateway that is there, or is about to end (`planned_offline`).
pub fn present(speaker: Speaker<'_>, online: bool, next: &[u64; Stream::ALL.len()], now: Now) -> Vec<u8> {
    let mut out = Vec::with_capacity(320);
    head(&mut out, if online { "online" } else { "planned_offline" }, speaker.epoch, speaker.boot);
    out.extend_from_slice(b",\"software\":");
    json::string(&mut out, speaker.software);
    out.extend_from_slice(b",\"reg\":");
    json::unsigned(&mut out, speaker.rev.into());
    out.extend_from_slice(b",\"next\":{");
    for (i, (stream, next)) in Stream::ALL.into_iter().zip(next).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::key(&mut out, stream.as_str());
        json::unsigned(&mut out, *next);
    }
    out.extend_from_slice(b"},\"t\":");
    json::time(&mut out, now.wall);
    out.extend_from_slice(b",\"clock\":");
    json::string(&mut out, now.trust.as_str());
    if let Some(age) = speaker.since_synced.filter(|_| now.trust != ClockTrust::Synced) {
        out.extend_from_slice(b",\"clock_age_s\":");
        json::unsigned(&mut out, age.as_secs());
    }
    out.push(b'}');
    out
}

/// Returns the last will.
pub fn will(epoch: &str, boot: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(80);
    head(&mut out, "offline", epoch, boot);
    out.push(b'}');
    out
}

fn head(out: &mut Vec<u8>, state: &str, epoch: &str, boot: u32) {
    out.extend_from_slice(b"{\"state\":\"");
    out.extend_from_slice(state.as_bytes());
    out.extend_from_slice(b"\",\"epoch\":");
    json::string(out, epoch);
    out.extend_from_slice(b",\"boot\":");
    json::unsigned(out, boot.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{Mono, Timestamp};

    #[test]
    fn state_messages_say_who_and_how() {
        let now = Now { mono: Mono::default(), wall: Timestamp(0), trust: ClockTrust::Holdover };
        let speaker = Speaker {
            epoch: "01K",
            boot: 17,
            software: "0.1.0",
            rev: 42,
            since_synced: Some(Duration::from_millis(7_900)),
        };
        let text = String::from_utf8(present(speaker, true, &[1, 2, 3, 4, 5, 6], now)).unwrap();
        assert_eq!(
            text,
            r#"{"state":"online","epoch":"01K","boot":17,"software":"0.1.0","reg":42,"next":{"alarm":1,"passage":2,"event":3,"registry":4,"report":5,"telemetry":6},"t":"1970-01-01T00:00:00.000Z","clock":"holdover","clock_age_s":7}"#
        );
        let synced = present(speaker, true, &[1; 6], Now { trust: ClockTrust::Synced, ..now });
        assert!(synced.ends_with(br#""clock":"synced"}"#));
        assert_eq!(will("01K", 17), br#"{"state":"offline","epoch":"01K","boot":17}"#);
    }
}
