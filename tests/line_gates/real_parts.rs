//! A lane whose module is a stranger's: pymodbus serves its contacts and inputs, with the arm of a barrier behind them.

use std::time::Duration;

use parkgate::lane::vzenith::answer::NO_MOVE;
use serde_json::{Value, json};

use super::support::peer::Peer;
use super::support::wait::{SOON, eventually, until};
use super::yard::{KNOWN, Plan, Yard, ended};

/// Inputs of the module, from 0.
const UNDER: [u8; 2] = [0, 1];
const FIRE: u8 = 2;
const EXIT: u8 = 5;
const APPROACH: u8 = 6;

/// The peer, and what it said so far.
struct Module(Peer);

impl Module {
    fn sets(&mut self, inputs: &[u8], on: bool) {
        let word = if on { "on" } else { "off" };
        inputs.iter().for_each(|input| self.0.tell(&format!("input {input} {word}")));
    }

    /// Every write of a contact, in order.
    fn coils(&self) -> Vec<Value> {
        self.0.all("coil")
    }

    fn arm(&self, at: &str) {
        until(SOON, &format!("the arm is {at}"), || (self.0.last("arm")? == at).then_some(()));
    }
}

#[test]
fn a_lane_opens_and_closes_by_the_contacts_of_a_module_that_pymodbus_serves() {
    let Some(peer) = Peer::start("relay_module.py", &[]) else { return };
    let port = peer.hears(SOON, "port").as_u64().and_then(|port| u16::try_from(port).ok());
    let mut module = Module(peer);
    let Some(yard) = Yard::set_with(Plan { east_in: port, ..Plan::default() }) else { return };
    let gateway = yard.gateway();
    let mut camera = yard.camera("cam-in");
    yard.heard(&mut camera);
    eventually(SOON, "the lane sees its arm down", || yard.lane("east-in")["arm"] == "down");
    assert_eq!(module.coils(), Vec::<Value>::new(), "a start moves nothing");

    // A plate: the contact that opens goes on and off again, and the limit says that the arm moved.
    module.sets(&[APPROACH], true);
    yard.phase("east-in", "approach");
    let (_, answers) = yard.sees(&mut camera, KNOWN);
    assert_eq!(answers, [NO_MOVE]);
    module.arm("up");
    yard.phase("east-in", "passing");
    until(SOON, "its pulse is over", || (module.coils().len() >= 2).then_some(()));
    assert_eq!(module.coils(), [json!([0, true]), json!([0, false])]);

    // It goes through, and the arm closes behind it.
    module.sets(&UNDER, true);
    eventually(SOON, "it is under the arm", || yard.lane("east-in")["under_arm"] == true);
    module.sets(&[EXIT], true);
    module.sets(&[APPROACH], false);
    yard.phase("east-in", "clearing");
    module.sets(&UNDER, false);
    module.sets(&[EXIT], false);
    module.arm("down");
    yard.phase("east-in", "idle");
    let passage = ended(&yard, "east-in", 1, "crossed");
    assert_eq!(passage["verdict"], "allow", "{passage}");
    until(SOON, "its pulse is over", || (module.coils().len() >= 4).then_some(()));
    assert_eq!(module.coils()[2..], [json!([1, true]), json!([1, false])]);

    // The wire of the fire contact is cut: the contact that holds it open stays on.
    module.sets(&[FIRE], false);
    module.arm("up");
    module.sets(&[FIRE], true);
    eventually(SOON, "the contact is at rest again", || yard.lane("east-in")["phase"] == "held");
    super::support::wait::live(Duration::from_millis(500));
    assert_eq!(module.coils()[4..], [json!([3, true])], "until a person resets it");
    yard.guard("reset-fire", "east-in", &[]);
    module.arm("down");
    assert_eq!(module.coils()[5..7], [json!([3, false]), json!([1, true])]);
    assert_eq!(gateway.sigterm(), Some(0));
}
