//! Attachments on their way to the platform: pictures of passages, apart from the records that name them, behind everything else.
//!
//! # The contract
//!
//! The record of a passage names a picture by its SHA-256 and its length. What the site has it send of them comes after that
//! record, oldest first:
//!
//! ```text
//! PUT {path}/{park}/{gateway}/{sha256}      Content-Type: image/jpeg, Authorization: Bearer {token} where there is one
//!   up to 256 KiB: whole                    200..=299  the platform has it, and holds it against the name
//!   larger: in parts of 256 KiB, in order   200..=299  it has the part; to the last one: it has all of it
//!     Content-Range: bytes 0-262143/400000  409, 416   it does not have the parts before: they come again from the first
//!                                           413, 415, 422  it will never take this one: not sent again, and told
//!                                           any other      not now: again after a pause, and behind the others if that goes on
//! ```
//!
//! - **Again is no harm.** The name is the content. Whatever was not answered is sent again, over cuts and restarts: the part where
//!   it stood, after a restart of the gateway the first part. A platform that has the content answers 200 and drops the bytes.
//! - **A gap is told.** What goes unsent (displaced by newer ones, forgotten by its time, damaged, refused) comes as a record
//!   `attachment` on the stream `event`, with the hashes.
//! - **Never in the way.** A part goes only while the urgent session is up and no alarm and no passage waits to be delivered, and
//!   no faster than configured; one request at a time.
//!
//! Pure here; `session.rs` has the socket.

pub mod session;

use std::ops::Range;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::feed::Session;
pub use super::settings::Attachments as Settings;
use crate::clock::Clock;
use crate::domain::record::Stream;
use crate::domain::snapshot::UplinkStatus;

/// Largest part (`design.md`).
pub const PART: usize = 256 << 10;
/// Longest answer read: only its first line counts.
pub const MAX_ANSWER: usize = 16 << 10;

/// One that the platform is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// SHA-256 of the bytes, hexadecimal digits: its name.
    pub sha256: String,
    /// The bytes, as they were when the hash was made.
    pub bytes: Vec<u8>,
}

/// How sending one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The platform has it.
    Held,
    /// The platform will never take it.
    Refused,
    /// The platform cannot take it now: it has no end, and others come first for a while.
    Aside,
}

/// Where attachments wait.
pub trait Shelf: Send + Sync + 'static {
    /// Returns the oldest that has no end yet; `None`: there is none now.
    fn next(&self) -> impl Future<Output = Option<Attachment>> + Send;
    /// Notes the end of one, or that others come first.
    fn ended(&self, sha256: String, how: Ended) -> impl Future<Output = ()> + Send;
}

/// Everything the sender runs on.
pub struct Inputs<S> {
    /// Validated settings.
    pub settings: Settings,
    /// Park and gateway, as the topics name them.
    pub of: (String, String),
    /// Where attachments wait.
    pub shelf: S,
    /// How the uplink stands.
    pub status: watch::Receiver<std::sync::Arc<UplinkStatus>>,
    /// Time.
    pub clock: Clock,
    /// Asks for the end.
    pub stop: CancellationToken,
}

/// Returns whether nothing that matters more waits for the line, and there is one.
pub fn may_send(status: &UplinkStatus) -> bool {
    let up = status.sessions.iter().any(|session| session.name == Session::Urgent.as_str() && session.up);
    let waits = |stream: Stream| status.streams.get(stream.rank()).is_none_or(|of| of.waiting > 0);
    up && !waits(Stream::Alarm) && !waits(Stream::Passage)
}

/// Returns the part that begins at `from` of `whole` bytes.
pub fn part_of(whole: usize, from: usize) -> Range<usize> {
    from.min(whole)..from.saturating_add(PART).min(whole)
}

/// Returns the head of the request for a part.
pub fn head(
    settings: &Settings,
    (park, gateway): (&str, &str),
    sha256: &str,
    part: &Range<usize>,
    whole: usize,
) -> String {
    let Settings { host, port, path, token, .. } = settings;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut head = format!(
        "PUT {path}/{park}/{gateway}/{sha256} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\
         Content-Type: image/jpeg\r\nContent-Length: {}\r\n",
        part.len()
    );
    if part.len() < whole {
        let last = part.end.saturating_sub(1);
        head.push_str(&format!("Content-Range: bytes {}-{last}/{whole}\r\n", part.start));
    }
    if let Some(token) = token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    head.push_str("\r\n");
    head
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the part.
    Taken,
    /// It does not have the parts before.
    FromTheFirst,
    /// It will never take this attachment; its status.
    Never(u16),
    /// It does not take this one now; its status.
    NotNow(u16),
    /// It may be tried again: what is wrong with the line, for people.
    Trouble(String),
}

/// Judges an answer, as far as it came.
pub fn judge(answer: &[u8]) -> Answer {
    let first = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let status = first.strip_prefix("HTTP/1.").and_then(|line| line.split(' ').nth(1)?.trim().parse::<u16>().ok());
    match status {
        Some(200..=299) => Answer::Taken,
        Some(409 | 416) => Answer::FromTheFirst,
        Some(status @ (413 | 415 | 422)) => Answer::Never(status),
        Some(status) => Answer::NotNow(status),
        None => Answer::Trouble("the answer is no HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::snapshot::SessionStatus;

    fn settings() -> Settings {
        Settings {
            host: "files.example.cn".into(),
            port: 8443,
            path: "/v1/files".into(),
            tls: None,
            token: Some("s3".into()),
            rate: 64 << 10,
            pictures: BTreeSet::new(),
        }
    }

    #[test]
    fn what_is_small_goes_whole_and_what_is_large_in_parts_that_say_where_they_belong() {
        let whole = head(&settings(), ("p", "gw"), "ab", &part_of(7, 0), 7);
        assert_eq!(
            whole,
            "PUT /v1/files/p/gw/ab HTTP/1.1\r\nHost: files.example.cn:8443\r\nConnection: close\r\n\
             Content-Type: image/jpeg\r\nContent-Length: 7\r\nAuthorization: Bearer s3\r\n\r\n"
        );
        let bytes = 400_000;
        let parts = [part_of(bytes, 0), part_of(bytes, PART)];
        assert_eq!(parts, [0..262_144, 262_144..400_000]);
        let last = head(&Settings { token: None, ..settings() }, ("p", "gw"), "ab", &parts[1], bytes);
        assert!(last.contains("Content-Length: 137856\r\nContent-Range: bytes 262144-399999/400000\r\n\r\n"), "{last}");
        assert!(!format!("{:?}", settings()).contains("s3"));
    }

    #[test]
    fn only_what_will_never_be_taken_is_given_up() {
        let of = |status: &str| judge(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
        assert_eq!(
            (of("200 OK"), of("201 Created"), of("204 No Content")),
            (Answer::Taken, Answer::Taken, Answer::Taken)
        );
        assert_eq!((of("409 Conflict"), of("416 No")), (Answer::FromTheFirst, Answer::FromTheFirst));
        assert_eq!((of("413 Large"), of("422 Bad hash")), (Answer::Never(413), Answer::Never(422)));
        for (status, number) in [
            ("301 Moved", 301),
            ("401 Unauthorized", 401),
            ("404 Not Found", 404),
            ("500 Oops", 500),
            ("503 Busy", 503),
        ] {
            assert_eq!(of(status), Answer::NotNow(number));
        }
        assert!(matches!(judge(b""), Answer::Trouble(_)) && matches!(judge(b"SSH-2.0\r\n"), Answer::Trouble(_)));
    }

    #[test]
    fn nothing_goes_while_an_alarm_or_a_passage_waits_or_the_line_is_down() {
        let urgent = |up| SessionStatus { name: "urgent", up, ..SessionStatus::default() };
        let mut status = UplinkStatus { sessions: vec![urgent(true)], ..UplinkStatus::default() };
        assert!(may_send(&status));
        status.streams[Stream::Telemetry.rank()].waiting = 1000;
        assert!(may_send(&status), "telemetry goes beside it");
        status.streams[Stream::Passage.rank()].waiting = 1;
        assert!(!may_send(&status));
        status = UplinkStatus { sessions: vec![urgent(false)], ..UplinkStatus::default() };
        assert!(!may_send(&status) && !may_send(&UplinkStatus::default()));
    }
}
