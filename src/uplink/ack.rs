//! What the platform says it has stored: `{"epoch":"01K…","stream":"telemetry","stored":[[1,1064],[5000,5210]]}`
//! (`config/ack.schema.json`). Judged here for form; [`super::delivery`] judges whether the numbers were ever sent.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::feed::Feed;

/// Longest message that is looked at: [`MAX_RANGES`] of the longest numbers fit.
pub const MAX_BYTES: usize = 64 << 10;
/// Most ranges in one message. A platform with more holes sends more messages.
pub const MAX_RANGES: usize = 1000;

/// An acknowledgement of good form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Which feed.
    pub feed: Feed,
    /// Numbers, each range ascending and from 1.
    pub ranges: Vec<RangeInclusive<u64>>,
}

/// Why an acknowledgement was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// Beyond [`MAX_BYTES`].
    #[error("longer than {MAX_BYTES} bytes")]
    Oversized,
    /// Not JSON of this form.
    #[error("not an acknowledgement")]
    Garbage,
    /// Of another store.
    #[error("of another epoch")]
    Epoch,
    /// No such stream.
    #[error("of an unknown stream")]
    Stream,
    /// A range from 0, or from high to low.
    #[error("a range from high to low")]
    Reversed,
    /// Beyond [`MAX_RANGES`].
    #[error("more than {MAX_RANGES} ranges")]
    TooMany,
}

impl AckError {
    /// Returns the name under which it is counted.
    pub fn counter(self) -> &'static str {
        match self {
            Self::Oversized => "oversized",
            Self::Garbage => "ack_garbage",
            Self::Epoch => "ack_epoch",
            Self::Stream => "ack_stream",
            Self::Reversed => "ack_reversed",
            Self::TooMany => "ack_too_many",
        }
    }
}

/// Reads a message of the `ack` topic.
///
/// # Errors
///
/// [`AckError`]; nothing of a refused message counts.
pub fn parse(payload: &[u8], epoch: &str) -> Result<Ack, AckError> {
    #[derive(Deserialize)]
    struct Raw {
        epoch: String,
        stream: String,
        stored: Vec<(u64, u64)>,
    }
    if payload.len() > MAX_BYTES {
        return Err(AckError::Oversized);
    }
    let raw: Raw = serde_json::from_slice(payload).map_err(|_| AckError::Garbage)?;
    if raw.epoch != epoch {
        return Err(AckError::Epoch);
    }
    let feed = Feed::from_name(&raw.stream).ok_or(AckError::Stream)?;
    if raw.stored.len() > MAX_RANGES {
        return Err(AckError::TooMany);
    }
    if raw.stored.iter().any(|(from, to)| *from == 0 || from > to) {
        return Err(AckError::Reversed);
    }
    Ok(Ack { feed, ranges: raw.stored.into_iter().map(|(from, to)| from..=to).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Stream;
    use proptest::prelude::*;

    #[test]
    fn an_acknowledgement_is_read() {
        let ack = parse(br#"{"epoch":"01K","stream":"telemetry","stored":[[1,1064],[5000,5210]]}"#, "01K").unwrap();
        assert_eq!(ack.feed, Feed::Stream(Stream::Telemetry));
        assert_eq!(ack.ranges, [1..=1064, 5000..=5210]);
        assert_eq!(parse(br#"{"epoch":"01K","stream":"gap","stored":[]}"#, "01K").unwrap().feed, Feed::Gap);
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        let refused = |text: &str| parse(text.as_bytes(), "01K").unwrap_err();
        assert_eq!(refused("hello"), AckError::Garbage);
        assert_eq!(refused("{}"), AckError::Garbage);
        assert_eq!(refused(r#"{"epoch":"01K","stream":"alarm","stored":[[1,-2]]}"#), AckError::Garbage);
        assert_eq!(refused(r#"{"epoch":"01K","stream":"alarm","stored":[[1,1e30]]}"#), AckError::Garbage);
        assert_eq!(refused(r#"{"epoch":"01J","stream":"alarm","stored":[]}"#), AckError::Epoch);
        assert_eq!(refused(r#"{"epoch":"01K","stream":"state","stored":[]}"#), AckError::Stream);
        assert_eq!(refused(r#"{"epoch":"01K","stream":"alarm","stored":[[2,1]]}"#), AckError::Reversed);
        assert_eq!(refused(r#"{"epoch":"01K","stream":"alarm","stored":[[0,1]]}"#), AckError::Reversed);
        assert_eq!(refused(&" ".repeat(MAX_BYTES + 1)), AckError::Oversized);
        let many = vec!["[1,1]"; MAX_RANGES + 1].join(",");
        assert_eq!(refused(&format!(r#"{{"epoch":"01K","stream":"alarm","stored":[{many}]}}"#)), AckError::TooMany);
        // Deeply nested: serde_json stops at its own depth, not at the end of the stack.
        assert_eq!(refused(&"[".repeat(60_000)), AckError::Garbage);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&bytes, "01K").is_err());
        }

        #[test]
        fn mangled_acks_never_panic(cut in 0usize..70, byte in any::<u8>()) {
            let mut text = br#"{"epoch":"01K","stream":"telemetry","stored":[[1,1064],[5000,5210]]}"#.to_vec();
            if let Some(b) = text.get_mut(cut) { *b = byte; }
            let _unused = parse(&text, "01K");
            text.truncate(cut);
            let _unused = parse(&text, "01K");
        }
    }
}
