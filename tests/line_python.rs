//! Every peer a stranger: a PLC on pymodbus, mosquitto, a platform on paho-mqtt that holds what it receives against the
//! published schemas. Only the gateway between them is ours. And a modem whose PDUs a library of strangers reads.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod support;

use std::fs;
use std::path::Path;

use parkgate::clock::Clock;
use parkgate::domain::danger::Text;
use parkgate::domain::order::{Receipt, Urgency};
use parkgate::domain::phone::Phone;
use parkgate::domain::record::Stream;
use parkgate::sms::settings::{Gateway as Sender, Kind, Modem, Port};
use parkgate::sms::{self, Said};
use serde_json::{Value, json};
use support::peer::{Peer, schemas};
use support::process::{Gateway, Mosquitto};
use support::wait::{SOON, eventually, free_port};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// As an instrument engineer saves it: Chinese heads, columns in his own order, a byte order mark, CRLF.
const POINTS: &str = "\u{feff}标识,位号,名称,设备,寄存器类型,地址,编码,字节序,系数,单位,死区\r\n\
    u1,COUNTER1,计数,plc-1,holding,0,u32,abcd,,,off\r\n\
    u2,TT101,温度,plc-1,holding,2,f32,cdab,,℃,off\r\n\
    u3,LT101,液位,plc-1,holding,4,i16,,0.1,m,off\r\n\
    u4,FQ101,流量,plc-1,holding,5,bcd16,,,t,off\r\n\
    u5,XX101,坏点,plc-1,holding,10,u16,,,,off\r\n\
    u6,PT101,压力,plc-1,holding,20,u16,,,kPa,off\r\n\
    u7,HS101,阀位,plc-1,coil,3,bool,,,,off\r\n\
    u8,HS102,阀位二,plc-1,coil,4,bool,,,,off\r\n\
    u9,AT101,浓度,plc-1,input,0,u16,,,ppm,off\r\n\
    v1,COUNTER2,计数二,plc-2,holding,0,u32,abcd,,,off\r\n";

fn write_folder(dir: &Path, plc: u16, broker: u16, web: u16) {
    let gateway = format!(
        "[gateway]\npark = \"park-1\"\nid = \"gw-east\"\nname = \"东区\"\ntimezone = \"Asia/Shanghai\"\n[store]\n\
         dir = \"data/store\"\nmirror_dir = \"data/mirror\"\nstate_dir = \"data/state\"\nquota = \"1GiB\"\n\
         ballast = \"1MiB\"\n[web]\nlisten = \"127.0.0.1:{web}\"\n"
    );
    let device = |id: &str, unit: u8| {
        format!("[[device]]\nid = \"{id}\"\nname = \"{id}\"\nhost = \"127.0.0.1\"\nport = {plc}\nunit = {unit}\n")
    };
    let devices = format!("[classes]\nnormal = \"200ms\"\n{}{}", device("plc-1", 1), device("plc-2", 2));
    let uplink = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {broker}\nack = \"platform\"\nack_timeout = \"5s\"\n");
    let files = [
        ("gateway.toml", gateway),
        ("devices.toml", devices),
        ("uplink.toml", uplink),
        ("points.csv", POINTS.to_owned()),
    ];
    for (name, text) in files {
        fs::write(dir.join(name), text).unwrap();
    }
}

fn held(platform: &Peer, stream: &str) -> u64 {
    platform.last("account").and_then(|a| a["streams"][stream]["held"].as_u64()).unwrap_or(0)
}

/// How many records came below one of their lane that was there already.
fn fell_back(platform: &Peer, stream: &str) -> f64 {
    platform.last("account").and_then(|a| a["streams"][stream]["fell_back"].as_f64()).unwrap_or(0.0)
}

fn ranges(platform: &Peer, stream: &str) -> usize {
    platform.last("account").and_then(|a| Some(a["streams"][stream]["ranges"].as_array()?.len())).unwrap_or(0)
}

#[test]
fn values_of_a_pymodbus_plc_reach_a_paho_platform_through_mosquitto_complete_and_in_order() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let Some(plc) = Peer::start("plc.py", &["1", "2"]) else { return };
    let port = broker.port().to_string();
    let Some(platform) = Peer::start("city.py", &[&port, "park-1", "gw-east", &schemas()]) else { return };
    platform.hears(SOON, "ready");
    let plc_port = u16::try_from(plc.hears(SOON, "port").as_u64().unwrap()).unwrap();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let web = free_port();
    write_folder(dir.path(), plc_port, broker.port(), web);

    let gateway = Gateway::start_ready(dir.path(), web);
    eventually(SOON, "records at the platform", || held(&platform, "telemetry") > 30);
    let fallen: f64 = Stream::ALL.iter().map(|s| fell_back(&platform, s.as_str())).sum();
    assert_eq!(fallen, 0.0, "in order while the line holds");
    broker.stop();
    support::wait::live(std::time::Duration::from_secs(3));
    broker.resume();
    let before = held(&platform, "telemetry");
    // What the broker took while the platform was not back comes again after the acknowledgement's time-out.
    eventually(SOON, "everything after the outage", || {
        held(&platform, "telemetry") > before + 50 && ranges(&platform, "telemetry") == 1
    });
    assert_eq!(gateway.sigterm(), Some(0));
    eventually(SOON, "the planned end at the platform", || {
        platform.last("account").is_some_and(|a| a["state"]["state"] != "online")
    });
    let account = platform.ends(SOON, "account").unwrap();
    let answered = plc.ends(SOON, "answered").unwrap();
    understood(&account);
    complete(&account, &answered);
    values(&account["newest"]["plc-1"]);
}

fn understood(account: &Value) {
    assert_eq!(account["n_faults"], 0, "{:#}", account["faults"]);
    assert_eq!(account["gaps"], json!([]));
    assert!(account["streams"]["registry"]["held"].as_u64() >= Some(1), "{:#}", account["streams"]);
    assert!(account["streams"]["event"]["held"].as_u64() >= Some(1), "{:#}", account["streams"]);
}

/// One range per stream from 1, nothing changed, and every count of the PLC from 1 on. After the outage what was under way is
/// sent again, so that order is asked only before it.
fn complete(account: &Value, answered: &Value) {
    for (name, stream) in account["streams"].as_object().unwrap() {
        assert_eq!(stream["changed"], 0, "{name}: {stream:#}");
        let n = stream["held"].as_u64().unwrap();
        let whole = if n == 0 { json!([]) } else { json!([[1, n]]) };
        assert_eq!(stream["ranges"], whole, "{name}");
    }
    for (device, unit) in [("plc-1", "1"), ("plc-2", "2")] {
        let counters: Vec<u64> = serde_json::from_value(account["counters"][device].clone()).unwrap();
        // The finder of a bad register may read register 0 again; each such read counts as well.
        let polls = answered[unit].as_u64().unwrap();
        let last = *counters.last().unwrap();
        assert!(counters.windows(2).all(|w| w[1] > w[0]), "{device}: {counters:?}");
        assert!(last + 1 >= polls, "{device}: {last} of {polls}");
        if unit == "2" {
            assert!(counters.iter().copied().eq(1..=last), "{device}: {counters:?}");
        }
    }
}

fn values(newest: &Value) {
    assert_eq!(newest["TT101"], json!(23.4));
    assert_eq!(newest["LT101"], json!(-12.3));
    assert_eq!(newest["FQ101"], json!(1234));
    assert_eq!(newest["XX101"], Value::Null);
    assert_eq!(newest["PT101"], json!(777));
    assert_eq!((&newest["HS101"], &newest["HS102"]), (&json!(true), &json!(false)));
    assert_eq!(newest["AT101"], json!(4095));
}

#[test]
fn a_text_message_is_read_by_a_strangers_decoder_as_it_was_meant() {
    let Some(modem) = Peer::start("modem.py", &[]) else { return };
    let port = u16::try_from(modem.hears(SOON, "port").as_u64().unwrap()).unwrap();
    let text = format!("【红色报警】泵区可燃气体 AT701 😀{}完", "，未确认".repeat(30));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let receipt = runtime.block_on(async {
        let kind = Kind::Modem(Modem { port: Port::Server { host: "127.0.0.1".into(), port }, pin: None });
        let (texts, inlet) = mpsc::channel(4);
        let (said_tx, mut said) = mpsc::channel(4);
        let (clock, stop) = (Clock::system(), CancellationToken::new());
        let phones = vec![Phone::parse("+8613800138000").unwrap()];
        let order =
            Text { key: "k".into(), channel: "sms".into(), phones, text: text.clone(), urgency: Urgency::AtOnce };
        texts.send((order, clock.mono())).await.unwrap();
        let gateway = Sender { channel: "sms".into(), kind };
        tokio::select! {
            () = sms::session::run(gateway, inlet, said_tx, clock, stop) => None,
            receipt = async {
                loop {
                    if let Some(Said::Receipt(_, receipt)) = said.recv().await {
                        return receipt;
                    }
                }
            } => Some(receipt),
        }
    });
    assert_eq!(receipt, Some(Receipt::Accepted("1+2+3".into())));
    let read = modem.hears(SOON, "whole");
    assert_eq!((read["number"].as_str(), read["text"].as_str()), (Some("+8613800138000"), Some(text.as_str())));
    modem.ends(SOON, "whole");
}
