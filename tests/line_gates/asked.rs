//! The city asks, by signed commands: who is inside, and for a picture that it has lost. And to which city pictures go.

use std::fs;

use serde_json::{Value, json};

use super::https::https_server;
use super::support::wait::{SOON, eventually, until};
use super::yard::{KNOWN, Plan, Yard, drives_through, ended, is, shows};

/// What was answered to a command in the end.
fn answered(yard: &Yard, id: &str) -> Value {
    until(SOON, &format!("the answer to {id}"), || {
        let answers = yard.city.objects("event", "answer").into_iter();
        answers.filter(|answer| answer["id"] == id).find(|answer| answer["state"] != "accepted")
    })
}

#[test]
fn the_city_hears_who_is_inside_and_gets_a_picture_that_it_has_lost_once_more() {
    let Some(yard) = Yard::set() else { return };
    let gateway = yard.gateway();
    let mut way_in = yard.camera("cam-in");
    yard.heard(&mut way_in);
    is(&yard.east_in, "the module is read", |plant| plant.reads > 3);
    let nobody = answered(&yard, &yard.asks("inside", &json!({})));
    assert_eq!((&nobody["state"], &nobody["inside"]), (&json!("done"), &json!([])), "{nobody}");

    shows(&yard.east_in, |plant| plant.approach = true);
    yard.sees(&mut way_in, KNOWN);
    drives_through(&yard.east_in);
    let passage = ended(&yard, "east-in", 1, "crossed");
    let plate = || {
        let passage = yard.passages("east-in").into_iter().next()?;
        let pictures = passage["pictures"].as_array()?.clone();
        let plate = pictures.into_iter().find(|picture| picture["kind"] == "plate")?;
        plate["sha256"].as_str().map(str::to_owned)
    };
    let plate = until(SOON, "its picture is on record", plate);
    eventually(SOON, "the city has it", || yard.files.has(&plate));

    yard.files.loses(&plate);
    let of = |passage: &Value| json!({ "passage": passage, "kind": "plate" });
    let told = answered(&yard, &yard.asks("attachment", &of(&passage["passage"])));
    assert_eq!((&told["state"], &told["detail"]), (&json!("done"), &json!(plate)), "{told}");
    eventually(SOON, "the city has it again", || yard.files.has(&plate));
    let unknown = answered(&yard, &yard.asks("attachment", &of(&json!("g.no-such-passage"))));
    assert_eq!((&unknown["state"], &unknown["code"]), (&json!("failed"), &json!("unknown_attachment")), "{unknown}");

    let inside = answered(&yard, &yard.asks("inside", &json!({})));
    assert_eq!((&inside["state"], &inside["left_off"]), (&json!("done"), &json!(0)), "{inside}");
    let list = inside["inside"].as_array().unwrap();
    assert!(list.len() == 1 && list[0]["subject"].to_string().contains(KNOWN), "{inside}");
    let zone = list[0]["zone"].clone();
    let counted = inside["zones"].as_array().unwrap().iter().find(|counts| counts["zone"] == zone).unwrap();
    assert_eq!(counted["vehicles"]["small"]["now"], 1, "{inside}");
    let rest = answered(&yard, &yard.asks("inside", &json!({ "zone": zone, "skip": 1 })));
    assert_eq!((&rest["inside"], &rest["left_off"]), (&json!([]), &json!(0)), "{rest}");
    let nowhere = answered(&yard, &yard.asks("inside", &json!({ "zone": "nowhere" })));
    assert_eq!(nowhere["code"], "unknown_zone", "{nowhere}");
    assert_eq!(gateway.sigterm(), Some(0));
}

/// The server is a stranger's: Python's http.server and OpenSSL.
#[test]
fn pictures_go_over_tls_only_to_whom_the_authority_vouches_for_and_a_corrected_configuration_sends_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = https_server(dir.path()) else { return };
    let at = |name: &str| dir.path().join(name).display().to_string();
    let port = server.hears(SOON, "port");
    let to = |authority: &str| {
        format!(
            "host = \"127.0.0.1\"\nport = {port}\npath = \"/in\"\n[attachments.tls]\nca_file = \"{}\"\n\
             cert_file = \"{}\"\nkey_file = \"{}\"\n",
            at(authority),
            at("gateway.pem"),
            at("gateway.key")
        )
    };
    let Some(yard) = Yard::set_with(Plan { attachments: Some(to("stranger.pem")), ..Plan::default() }) else { return };
    let gateway = yard.gateway();
    let mut way_in = yard.camera("cam-in");
    yard.heard(&mut way_in);
    is(&yard.east_in, "the module is read", |plant| plant.reads > 3);
    shows(&yard.east_in, |plant| plant.approach = true);
    yard.sees(&mut way_in, KNOWN);
    drives_through(&yard.east_in);
    ended(&yard, "east-in", 1, "crossed");
    let pictures = || {
        let passage = yard.passages("east-in").into_iter().next()?;
        let hash = |picture: &Value| picture["sha256"].as_str().map(str::to_owned);
        passage["pictures"].as_array()?.iter().map(hash).collect::<Option<Vec<_>>>().filter(|all| all.len() == 2)
    };
    let pictures = until(SOON, "its pictures are on record", pictures);
    // Whoever is not vouched for gets no byte of them.
    server.hears(SOON, "refused");
    assert_eq!(server.all("put"), Vec::<Value>::new());

    fs::write(yard.dir().join("uplink.toml"), yard.uplink(&to("park.pem"))).unwrap();
    gateway.sighup();
    until(SOON, "both came", || (server.all("put").len() == 2).then_some(()));
    for put in server.all("put") {
        let sha256 = put["sha256"].as_str().unwrap().to_owned();
        assert_eq!(put["path"], format!("/in/p/g/{sha256}"), "it is what its name says");
        assert!(pictures.contains(&sha256), "{put}");
    }
    assert_eq!(gateway.sigterm(), Some(0));
}
