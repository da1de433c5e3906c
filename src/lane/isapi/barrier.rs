//! What a barrier takes and says by ISAPI (`domain.md` B7). Paths and bodies differ by model, so they are a profile.

use super::xml::leaves;
use crate::domain::gate::hardware::ArmState;

/// What is sent to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Path of the control.
    pub control: String,
    /// Body that opens.
    pub open: String,
    /// Body that closes.
    pub close: String,
    /// Body that stops; `None`: it has none.
    pub stop: Option<String>,
    /// Path of the status; `None`: it has none, and only limit switches can say that it moved.
    pub status: Option<String>,
}

/// A profile that locks: the state would outlast every later open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body that locks or unlocks: that state outlasts every later open")]
pub struct Locks;

impl Profile {
    /// Parking channels, as most models have them.
    pub fn parking(channel: u8) -> Self {
        let body = |mode: &str| {
            format!(r#"<?xml version="1.0" encoding="UTF-8"?><BarrierGate><ctrlMode>{mode}</ctrlMode></BarrierGate>"#)
        };
        let control = format!("/ISAPI/Parking/channels/{channel}/barrierGate");
        let status = Some(format!("{control}/barrierGateStatus"));
        Self { control, open: body("open"), close: body("close"), stop: None, status }
    }

    /// Returns it when nothing in it locks.
    ///
    /// # Errors
    /// When something does.
    pub fn checked(self) -> Result<Self, Locks> {
        let bodies = [Some(&self.open), Some(&self.close), self.stop.as_ref()];
        let locks = bodies.into_iter().flatten().any(|body| body.to_ascii_lowercase().contains("lock"));
        if locks { Err(Locks) } else { Ok(self) }
    }
}

/// Reads a status: 0 no signal, 1 closed, 2 open. What is none of these is not known.
pub fn status(document: &[u8]) -> ArmState {
    let leaves = leaves(document).unwrap_or_default();
    let status = leaves.iter().find(|(name, _)| name.to_ascii_lowercase().ends_with("status"));
    match status.map(|(_, text)| text.as_str()) {
        Some("1") => ArmState::Closed,
        Some("2") => ArmState::Open,
        _ => ArmState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_are_those_of_the_reference_byte_for_byte() {
        let profile = Profile::parking(1).checked().unwrap();
        assert_eq!(profile.control, "/ISAPI/Parking/channels/1/barrierGate");
        assert_eq!(
            profile.open,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><BarrierGate><ctrlMode>open</ctrlMode></BarrierGate>"
        );
        assert_eq!(profile.status.unwrap(), "/ISAPI/Parking/channels/1/barrierGate/barrierGateStatus");
    }

    #[test]
    fn a_profile_that_locks_is_refused() {
        for body in ["<ctrlMode>lock</ctrlMode>", "<ctrlMode>UNLOCK</ctrlMode>", "<x>locked</x>"] {
            assert_eq!(Profile { close: body.to_owned(), ..Profile::parking(1) }.checked(), Err(Locks));
        }
    }

    #[test]
    fn a_status_is_known_or_it_is_unknown() {
        let of = |text: &str| {
            status(
                format!("<BarrierGateStatus><barrierGateStatus>{text}</barrierGateStatus></BarrierGateStatus>")
                    .as_bytes(),
            )
        };
        assert_eq!((of("1"), of("2")), (ArmState::Closed, ArmState::Open));
        assert_eq!((of("0"), of("7"), status(b"nonsense")), (ArmState::Unknown, ArmState::Unknown, ArmState::Unknown));
    }
}
