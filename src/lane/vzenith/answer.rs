//! What a 臻识 camera is answered with.
//!
//! `info: "ok"` in the answer to a plate makes the camera pulse its relay. So there is one function that writes it,
//! [`opening`], and every other answer is one of the constants here, which hold no `ok`. `retransfer_stop` ends the resends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Answer to a plate that stops the resends and moves nothing.
pub const NO_MOVE: &str = r#"{"Response_AlarmInfoPlate":{"info":"no","content":"retransfer_stop"}}"#;
/// Answer to an input: nothing moves.
pub const INPUT_TAKEN: &str = r#"{"Response_AlarmGioIn":{"info":"no"}}"#;
/// Answer to bytes of a serial line: nothing moves.
pub const SERIAL_TAKEN: &str = r#"{"Response_SerialData":{"info":"no"}}"#;
/// Answer to a heartbeat: nothing moves.
pub const HEARTBEAT_TAKEN: &str = r#"{"Response_Heartbeat":{"info":"no"}}"#;

/// Shortest and longest pulse of a relay (`domain.md` rule 63).
pub const PULSES: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(5);

/// How the answer of an allowed decision fires the camera's relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fire {
    /// By `info: "ok"` alone: the camera pulses its output for 500 ms.
    Plain,
    /// With the output and the length of the pulse said.
    Output {
        /// Output of the camera, 0 the first.
        io: u8,
        /// Length of the pulse, within [`PULSES`]; what is outside is brought to their ends.
        pulse: Duration,
    },
}

/// The only answer that moves something.
pub fn opening(fire: Fire) -> String {
    match fire {
        Fire::Plain => r#"{"Response_AlarmInfoPlate":{"info":"ok","content":"retransfer_stop"}}"#.to_owned(),
        Fire::Output { io, pulse } => {
            let delay = pulse.clamp(*PULSES.start(), *PULSES.end()).as_millis();
            format!(
                r#"{{"Response_AlarmInfoPlate":{{"info":"ok","content":"retransfer_stop","ivs_ioctrl":{{"io":{io},"value":2,"delay":{delay}}}}}}}"#
            )
        }
    }
}

/// Answer to a record that the camera kept while it was offline: it goes on with the next one, and moves nothing.
pub fn offline_taken(plate_id: u64) -> String {
    format!(
        r#"{{"Response_AlarmInfoPlate":{{"info":"no","content":"retransfer_stop","ContinuePushOffline":{{"plateid":{plate_id},"continue":1}}}}}}"#
    )
}

/// Returns whether an answer can move something: the vendor's rule, read a second time and from the other end.
pub fn moves(answer: &str) -> bool {
    let Ok(answer) = serde_json::from_str::<serde_json::Value>(answer) else { return true };
    let inner = answer.as_object().into_iter().flat_map(serde_json::Map::values);
    inner.into_iter().any(|inner| {
        inner.get("info").is_some_and(|info| info != "no")
            || inner.get("ivs_ioctrl").is_some()
            || inner.get("serialData").is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_opening_answer_moves_something_byte_for_byte() {
        assert_eq!(opening(Fire::Plain), r#"{"Response_AlarmInfoPlate":{"info":"ok","content":"retransfer_stop"}}"#);
        assert_eq!(
            opening(Fire::Output { io: 1, pulse: Duration::from_millis(500) }),
            r#"{"Response_AlarmInfoPlate":{"info":"ok","content":"retransfer_stop","ivs_ioctrl":{"io":1,"value":2,"delay":500}}}"#
        );
        assert_eq!(
            offline_taken(8999),
            r#"{"Response_AlarmInfoPlate":{"info":"no","content":"retransfer_stop","ContinuePushOffline":{"plateid":8999,"continue":1}}}"#
        );
        for still in [NO_MOVE, INPUT_TAKEN, SERIAL_TAKEN, HEARTBEAT_TAKEN, &offline_taken(u64::MAX)] {
            assert!(!moves(still), "{still}");
        }
        assert!(moves(&opening(Fire::Plain)) && moves("no JSON"));
    }

    #[test]
    fn no_pulse_is_shorter_or_longer_than_allowed() {
        for (asked, delay) in [(0, 100), (1, 100), (500, 500), (600_000, 5000)] {
            let answer = opening(Fire::Output { io: 0, pulse: Duration::from_millis(asked) });
            assert!(answer.contains(&format!("\"delay\":{delay}}}")), "{answer}");
        }
    }
}
