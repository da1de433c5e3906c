//! Text messages by the real binary: nobody acknowledges, and the shift leader's telephone has the text; the engineer's test; the
//! modem unplugged is an alarm before anybody needs it. Over TCP as behind a serial server, and at a serial port (a pty of socat).

use std::fs;
use std::path::Path;
use std::process::Command;

use parkgate::sim::modem::{Modem, Received};
use serde_json::Value;

use super::https::https_server;
use super::support::process::{Gateway, Guard, Mosquitto};
use super::support::wait::{SOON, eventually, free_port, until};
use super::{City, Field, folder, run, said, support};

const LEADER: &str = "+8613800138001";
const ROOM: &str = "13800138000";
/// The card wants one.
const PIN: &str = "pin_file = \"sms.pin\"\n";

/// A modem whose card has a PIN, and what it runs on.
fn modem() -> (tokio::runtime::Runtime, Modem) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let modem = runtime.block_on(Modem::start()).unwrap();
    modem.behave(|mood| mood.pin = Some("4711".into()));
    (runtime, modem)
}

/// The gas alarm climbs from the page to the shift leader's telephone after a second; `way` says where the sender is.
fn with_texts(dir: &Path, way: &str) {
    let alarms = format!(
        "[[channel]]\nid = \"sms\"\n{way}\n\
         [[escalation]]\nname = \"standard\"\nsteps = [\n  {{ after = \"0s\", channel = \"page\", to = \"control_room\" }},\n  \
         {{ after = \"1s\", channel = \"sms\", to = \"shift_leader\" }},\n]\n"
    );
    let duty = format!(
        "[[shift]]\nname = \"全天\"\nbegins = \"00:00\"\n[[roster]]\nday = \"every\"\nshift = \"全天\"\noperator = \"张三\"\n\
         leader = \"李四\"\n[[phone]]\nof = \"张三\"\nnumber = \"{LEADER}\"\n[[phone]]\nof = \"control_room\"\nnumber = \"{ROOM}\"\n"
    );
    fs::write(dir.join("alarms.toml"), alarms).unwrap();
    fs::write(dir.join("duty.toml"), duty).unwrap();
    fs::write(dir.join("sms.pin"), "4711\n").unwrap();
}

fn to(modem: &Modem, phone: &str) -> Vec<Received> {
    modem.received().into_iter().filter(|received| received.phone == phone).collect()
}

/// The text is on the leader's telephone, and the record of the alarm has the modem's reference.
fn leader_is_told(modem: &Modem, city: &City) {
    let texts = until(SOON, "the text is on the telephone", || Some(to(modem, LEADER)).filter(|all| !all.is_empty()));
    let whole: String = texts.iter().map(|received| received.text.as_str()).collect();
    assert!(whole.contains("红色报警") && whole.contains("AT701") && whole.contains("请值班长处置"), "{whole}");
    let receipt = until(SOON, "the record has the receipt", || {
        let all = city.of("AT701.gas").into_iter();
        all.filter(|record| record["told"]["channel"] == "sms").find(|record| record["cause"] == "receipt")
    });
    assert_eq!(receipt["told"]["to"], "shift_leader", "{receipt}");
    let reference = &receipt["told"]["receipt"]["accepted"];
    assert!(reference.as_str().is_some_and(|reference| reference.starts_with('1')), "{receipt}");
}

#[test]
fn nobody_acknowledges_and_the_shift_leader_has_the_text_and_a_lost_modem_is_an_alarm() {
    let Some(broker) = Mosquitto::start() else { return };
    let (field, city) = (Field::start(), City::listens(broker.port()));
    let (_runtime, modem) = modem();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let web = free_port();
    folder(dir.path(), field.server.addr().port(), broker.port(), web);
    with_texts(dir.path(), &format!("{PIN}host = \"127.0.0.1\"\ntcp_port = {}", modem.addr().port()));
    let gateway = Gateway::start_ready(dir.path(), web);
    eventually(SOON, "the channel is up", || {
        let listed = said(dir.path(), &["channel"], &["--csv"]);
        listed.contains("sms,text,正常 up") && listed.contains("home network, signal -73 dBm")
    });

    // The network is busy at the first try.
    modem.behave(|mood| mood.refusals = vec![42]);
    field.show(60, 100);
    leader_is_told(&modem, &city);

    // The engineer's test, to another telephone; it is in the audit, and what became of it.
    let tested = said(dir.path(), &["channel"], &["test", "sms", "--to", "control_room"]);
    assert!(tested.contains("accepted, reference"), "{tested}");
    assert_eq!(to(&modem, ROOM).len(), 1);
    let untested = run(dir.path(), &["channel"], &["test", "sms", "--to", "main"]);
    assert!(!untested.status.success(), "nobody is responsible of no hazard source");
    let audited = |action: &str| {
        let entries = city.documents("passage", "audit");
        entries.into_iter().find(|entry| entry["action"] == action && entry["object"] == "sms")
    };
    until(SOON, "the test is in the audit", || audited("channel_test"));
    until(SOON, "what became of it is in the audit", || audited("channel_tested"));

    // Unplugged: an alarm although nobody needs it now; plugged in, it is over.
    modem.plug(false);
    city.hears("sms.channel", "unacked", "active");
    modem.plug(true);
    city.hears("sms.channel", "returned_unacked", "clear");
    assert_eq!(gateway.sigterm(), Some(0));
    let told: Vec<Value> = city.records.lock().unwrap().iter().map(|(_, _, record)| record.clone()).collect();
    let told = serde_json::to_string(&told).unwrap();
    assert!(!told.contains("38001380"), "no number of a telephone is in a record");
    let given = modem.commands().iter().filter(|command| command.starts_with("AT+CPIN=")).count();
    assert_eq!(given, 1, "the PIN is given once");
}

/// The serial port of a modem: a pty that ends with the line behind it, as that of a USB modem that is pulled out.
fn plugged(socat: &Path, port: &Path, modem: &Modem) -> Guard {
    let (pty, line) = (format!("pty,raw,echo=0,link={}", port.display()), format!("tcp:{}", modem.addr()));
    let wires = Guard::start("socat", Command::new(socat).args([pty, line]));
    eventually(SOON, "the port is there", || port.exists());
    wires
}

#[test]
fn a_text_goes_out_by_a_serial_port_and_a_modem_that_was_pulled_out_is_used_again() {
    let Some(socat) = support::require_cmd("socat") else { return };
    let Some(broker) = Mosquitto::start() else { return };
    let (field, city) = (Field::start(), City::listens(broker.port()));
    let (_runtime, modem) = modem();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let port = dir.path().join("ttyUSB2");
    let mut wires = plugged(&socat, &port, &modem);
    let web = free_port();
    folder(dir.path(), field.server.addr().port(), broker.port(), web);
    with_texts(dir.path(), &format!("{PIN}port = \"{}\"", port.display()));
    let gateway = Gateway::start_ready(dir.path(), web);
    let is_up = || said(dir.path(), &["channel"], &["--csv"]).contains("sms,text,正常 up");
    eventually(SOON, "the channel is up", is_up);
    field.show(60, 100);
    leader_is_told(&modem, &city);

    modem.plug(false);
    wires.wait(SOON);
    city.hears("sms.channel", "unacked", "active");
    modem.plug(true);
    drop(std::mem::replace(&mut wires, plugged(&socat, &port, &modem)));
    city.hears("sms.channel", "returned_unacked", "clear");
    let tested = said(dir.path(), &["channel"], &["test", "sms", "--to", "control_room"]);
    assert!(tested.contains("accepted, reference"), "{tested}");
    assert_eq!(to(&modem, ROOM).len(), 1);
    assert_eq!(gateway.sigterm(), Some(0));
}

/// The gateway is a stranger's: Python's http.server and OpenSSL. Who it is proves itself, and so do we.
#[test]
fn a_text_goes_out_over_https_and_a_gateway_that_nobody_vouches_for_is_an_alarm_before_it_is_needed() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Some(server) = https_server(dir.path()) else { return };
    let Some(broker) = Mosquitto::start() else { return };
    let (field, city) = (Field::start(), City::listens(broker.port()));
    let (port, web) = (server.hears(SOON, "port"), free_port());
    let vouched_for_by = |authority: &str| {
        format!(
            "url = \"https://127.0.0.1:{port}/send\"\nbody = '{{\"to\":\"{{phone}}\",\"text\":\"{{text}}\"}}'\nanswer = '\"code\":0'\n\
             [channel.tls]\nca_file = \"{authority}.pem\"\ncert_file = \"gateway.pem\"\nkey_file = \"gateway.key\""
        )
    };
    folder(dir.path(), field.server.addr().port(), broker.port(), web);
    with_texts(dir.path(), &vouched_for_by("stranger"));
    let gateway = Gateway::start_ready(dir.path(), web);
    city.hears("sms.channel", "unacked", "active");
    with_texts(dir.path(), &vouched_for_by("park"));
    gateway.sighup();
    city.hears("sms.channel", "returned_unacked", "clear");

    field.show(60, 100);
    let post = server.hears(SOON, "post");
    let body: Value = serde_json::from_str(post["body"].as_str().unwrap()).unwrap();
    assert_eq!((&post["path"], &body["to"]), (&"/send".into(), &LEADER.into()));
    assert!(body["text"].as_str().is_some_and(|text| text.contains("AT701")), "{body}");
    let receipt = until(SOON, "the record has the receipt", || {
        let all = city.of("AT701.gas").into_iter();
        all.filter(|record| record["told"]["channel"] == "sms").find(|record| record["cause"] == "receipt")
    });
    assert_eq!(receipt["told"]["receipt"]["accepted"], "HTTP 200", "{receipt}");
    assert_eq!(gateway.sigterm(), Some(0));
}
