//! Two gateways of one park, both the real binary, share who passed through a real mosquitto: what enters at one leaves at the
//! other; after a cut both count the same, whoever is inside cannot enter a second time, and what cannot both be so is shown.

use std::thread;

use parkgate::lane::coding::{Key, hex, sha256};
use parkgate::sim::gatehouse::camera::SimCamera;
use parkgate::sim::gatehouse::module::Plant;
use serde_json::Value;

use super::bad_input::{plate, post};
use super::support::process::{Gateway, Mosquitto};
use super::support::wait::{SOON, eventually, wall_ms};
use super::yard::{KNOWN, Plan, SIGNED_WITH, Yard, change, drives_through, is, other, shows};

/// One gateway with its yard.
struct Side {
    yard: Yard,
    way_in: SimCamera,
    way_out: SimCamera,
    _gateway: Gateway,
}

impl Side {
    fn start(gateway: &'static str, peer: &str, broker: u16) -> Option<Self> {
        let gates = format!(
            "[peers]\ngateways = [\"{peer}\"]\nsilent_after = \"10s\"\nhost = \"127.0.0.1\"\nport = {broker}\n\
             keep_alive = \"5s\"\nbackoff_max = \"1s\"\n"
        );
        let plan = Plan { gateway, gates, park: "anti_passback = \"hard\"", signs: true, ..Plan::default() };
        let yard = Yard::set_with(plan)?;
        let running = yard.gateway();
        let (mut way_in, mut way_out) = (yard.camera("cam-in"), yard.camera("cam-out"));
        yard.heard(&mut way_in);
        yard.heard(&mut way_out);
        is(&yard.east_in, "the module is read", |plant| plant.reads > 3);
        Some(Self { yard, way_in, way_out, _gateway: running })
    }

    fn enters(&mut self, plate: &str) {
        let before = self.opened();
        shows(&self.yard.east_in, |plant| plant.approach = true);
        self.yard.sees(&mut self.way_in, plate);
        self.goes_through(before);
    }

    fn opened(&self) -> u32 {
        self.yard.east_in.as_ref().unwrap().look().pulses[0]
    }

    /// Nobody has counted who was inside before the first start: whether a vehicle that was not seen since then is, a guard says.
    fn goes_through(&self, before: u32) {
        let mut referred = false;
        eventually(SOON, "it is let in", || {
            if !referred && self.yard.lane("east-in")["verdict"] == "refer" {
                self.yard.guard("open", "east-in", &[]);
                referred = true;
            }
            self.opened() > before
        });
        drives_through(&self.yard.east_in);
        is(&self.yard.east_in, "the arm is down again", Plant::is_down);
        self.yard.phase("east-in", "idle");
    }

    fn leaves(&mut self, plate: &str) {
        shows(&self.yard.east_out, |plant| plant.approach = true);
        self.yard.sees(&mut self.way_out, plate);
        change(&self.yard.east_out, Plant::raise);
        drives_through(&self.yard.east_out);
    }

    /// A camera that both gateways know says the same event to this one.
    fn reads_twice(&self) {
        let before = self.opened();
        shows(&self.yard.east_in, |plant| plant.approach = true);
        let (path, time, body) = ("/vzenith/cam-key", wall_ms().to_string(), plate("cam-key", 77, KNOWN, &[]));
        let message = format!("POST\n{path}\n{time}\nn77\n{}", sha256(body.as_bytes()));
        let signature = hex(&Key::new(SIGNED_WITH.as_bytes()).sign(message.as_bytes()));
        let headers =
            [("X-Parkgate-Time", time.as_str()), ("X-Parkgate-Nonce", "n77"), ("X-Parkgate-Signature", &signature)];
        assert_eq!(post(&self.yard, path, &headers, body.as_bytes()).0, 200);
        self.goes_through(before);
    }

    /// It is inside already, wherever it came in: it is refused here, and says why.
    fn refuses_a_second_entry(&mut self, plate: &str) {
        let refused = |yard: &Yard| {
            let decisions = yard.city.objects("passage", "decision").into_iter();
            decisions.filter(|told| told["verdict"] == "deny" && told.to_string().contains("ANTI_PASSBACK")).count()
        };
        let before = refused(&self.yard);
        shows(&self.yard.east_in, |plant| plant.approach = true);
        self.yard.sees(&mut self.way_in, plate);
        eventually(SOON, "it is refused: it is inside", || refused(&self.yard) > before);
        shows(&self.yard.east_in, |plant| plant.approach = false);
        self.yard.phase("east-in", "idle");
    }

    fn heard(&self) -> Value {
        self.yard.stands()["inside"]["peers_heard"].clone()
    }

    fn conflicts(&self) -> Value {
        self.yard.stands()["inside"]["conflicts"].clone()
    }
}

fn both_count(one: &Side, other: &Side, vehicles: u64) {
    eventually(SOON, &format!("both count {vehicles}"), || {
        (one.yard.counts().0, other.yard.counts().0) == (vehicles, vehicles)
    });
}

#[test]
fn two_gateways_of_a_park_count_as_one_and_do_so_again_after_a_cut() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let Some(mut east) = Side::start("east", "west", broker.port()) else { return };
    let Some(mut west) = Side::start("west", "east", broker.port()) else { return };
    eventually(SOON, "they hear one another", || (east.heard(), west.heard()) == (true.into(), true.into()));

    // In at one, no second time at the other, out there.
    east.enters(&other(0));
    both_count(&east, &west, 1);
    west.refuses_a_second_entry(&other(0));
    west.leaves(&other(0));
    both_count(&east, &west, 0);

    // The broker is gone, and life goes on at both; one event of a camera comes in at each.
    broker.stop();
    thread::scope(|scope| {
        scope.spawn(|| {
            east.enters(&other(1));
            east.reads_twice();
        });
        scope.spawn(|| {
            west.enters(&other(2));
            west.reads_twice();
        });
    });
    eventually(SOON, "nobody claims to know of the other", || {
        (east.heard(), west.heard()) == (false.into(), false.into())
    });
    assert_eq!((east.yard.counts().0, west.yard.counts().0), (2, 2), "each knows its own");

    broker.resume();
    both_count(&east, &west, 3);
    let conflict = east.conflicts();
    assert_eq!(conflict.as_array().map(Vec::len), Some(1), "{conflict}");
    assert!(conflict.to_string().contains("same_read"), "{conflict}");
    assert_eq!(conflict, west.conflicts(), "both show the same to people");
    eventually(SOON, "they hear one another again", || (east.heard(), west.heard()) == (true.into(), true.into()));
    east.refuses_a_second_entry(&other(2));
    west.refuses_a_second_entry(&other(1));
}
