//! Commands that the simulated platform signs (`config/command.schema.json`). Pure.

use std::time::Duration;

use ring::hmac;

use crate::domain::time::Timestamp;

/// Who issues them.
pub const ISSUER: &str = "city-platform";
/// Id of the key.
pub const KEY: &str = "city-1";
/// The key of the demo, which signs for nobody else.
pub const SECRET: &str = "demo-0000-0000-0000-0000";
/// A command is good for so long.
const VALID: Duration = Duration::from_secs(120);

/// Something the platform wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Name of the command.
    pub name: &'static str,
    /// Its arguments, JSON.
    pub args: String,
}

impl Order {
    /// Returns the message that asks for it, for the gateway `target` (`park/gateway`), under an id that was never used.
    pub fn signed(&self, target: &str, id: &str, now: Timestamp) -> String {
        let Self { name, args } = self;
        let (issued, expires) = (now.to_string(), now.after(VALID).to_string());
        let text = ["parkgate-cmd-v1", target, id, ISSUER, KEY, "HMAC-SHA256", &issued, &expires, "", id, name, args]
            .join("\n");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes());
        let sig: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            r#"{{"id":"{id}","issuer":"{ISSUER}","key":"{KEY}","alg":"HMAC-SHA256","issued_at":"{issued}","expires":"{expires}","nonce":"{id}","name":"{name}","args":{args},"sig":"{sig}"}}"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{ClockTrust, Mono, Now};
    use crate::uplink::command::{Gate, Judgement};
    use crate::uplink::settings::CommandKey;

    #[test]
    fn the_gateway_takes_what_the_platform_signs_once() {
        let key = CommandKey { id: KEY.into(), issuer: ISSUER.into(), secret: SECRET.as_bytes().to_vec() };
        let mut gate = Gate::new("demo-park", "gw-east", vec![key], b"");
        let now = Now { mono: Mono::from_secs(1), wall: Timestamp(1_795_651_200_000), trust: ClockTrust::Synced };
        let table = &crate::sim::gates::papers::tables(now.wall)[0];
        let order =
            Order { name: "register", args: format!(r#"{{"list":{}}}"#, serde_json::to_string(table).unwrap()) };
        let message = order.signed("demo-park/gw-east", "demo-1", now.wall);
        let judged = gate.judge("register", message.as_bytes(), false, 1, now);
        assert!(matches!(judged, Judgement::Accept(_)), "{judged:?}");
        let again = gate.judge("register", message.as_bytes(), false, 1, now);
        assert!(matches!(again, Judgement::Refuse { counter: "command_repeated", .. }), "{again:?}");
    }
}
