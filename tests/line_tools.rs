//! The commissioning tools as an engineer uses them: the real binary, a running gateway, devices by strangers (pymodbus).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may")]

#[path = "line_tools/goods.rs"]
mod goods;
mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use support::process::{Gateway, Guard};
use support::wait::{SOON, eventually, free_port, until};

/// `tests/peers/modbus_server.py`: ends when its standard input closes.
struct Device {
    process: Child,
    port: u16,
}

impl Drop for Device {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn device(how: &[&str]) -> Option<Device> {
    let mut process = Command::new(support::python()?)
        .arg(support::root().join("tests/peers/modbus_server.py"))
        .args(how)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some(Device { process, port: line.trim().parse().unwrap() })
}

fn parkgate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parkgate")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn said(args: &[&str]) -> String {
    let output = parkgate(args);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{args:?}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn refused(args: &[&str]) -> String {
    let output = parkgate(args);
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The first line of `text` with all of these words.
fn line<'a>(text: &'a str, words: &[&str]) -> &'a str {
    text.lines()
        .find(|line| words.iter().all(|word| line.contains(word)))
        .unwrap_or_else(|| panic!("{words:?}: {text}"))
}

/// The folder of a gateway with one PLC: a float in the third word order, a coil that may be written.
fn folder(dir: &Path, port: u16, web_port: u16) {
    let write = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
    write(
        "gateway.toml",
        format!(
            "[gateway]\npark = \"p\"\nid = \"g\"\n[store]\ndir = \"s\"\nmirror_dir = \"m\"\nstate_dir = \"t\"\n\
             quota = \"64MiB\"\nballast = \"64KiB\"\n[web]\nlisten = \"127.0.0.1:{web_port}\"\n"
        ),
    );
    write("devices.toml", format!("[[device]]\nid = \"plc\"\nhost = \"127.0.0.1\"\nport = {port}\ntimeout = \"5s\"\n"));
    write(
        "points.csv",
        "uid,tag,name,device,table,address,encoding,order,unit,range_low,range_high,commissioning\n\
         u1,PT1,压力,plc,holding,12,f32,badc,MPa,0,200,in_service\n\
         u2,AT1,气体,plc,holding,5,u16,,,0,1000,commissioning\n"
            .to_owned(),
    );
    write(
        "outputs.toml",
        "[defaults]\ntimeout = \"5s\"\ndeadline = \"10s\"\n\
         [[output]]\nid = \"siren\"\ndevice = \"plc\"\naddress = \"0x00031\"\nvalues = { on = 1, off = 0 }\n\
         [[output]]\nid = \"horn\"\ndevice = \"plc\"\naddress = \"0x00033\"\nvalues = { on = 1, off = 0 }\ncommissioning = \"联调\"\n"
            .to_owned(),
    );
}

#[test]
fn an_unknown_device_is_understood_by_probing() {
    let Some(device) = device(&[]) else { return };
    let host = format!("127.0.0.1:{}", device.port);
    let probe = |more: &[&str]| said(&[&["probe", "modbus", &host], more].concat());
    let units = probe(&["--units", "1-3", "--timeout", "1s"]);
    line(&units, &["1", "there"]);
    line(&units, &["3", "there"]);
    line(&units, &["1 个单元无应答"]);
    // What exists, around the hole at 120.
    let map = probe(&["--unit", "1", "--table", "holding", "--range", "115-125", "--csv"]);
    let addresses: Vec<&str> = map.lines().skip(1).filter_map(|row| row.split(',').nth(1)).collect();
    assert_eq!(addresses, ["115", "116", "117", "118", "119", "121", "122", "123", "124", "125"]);
    // 123.456 stands in all four word orders; each is found where it is, and as what it is.
    let found = probe(&["--unit", "1", "--table", "holding", "--range", "0-19", "--expect", "123.456", "--csv"]);
    for (address, order) in [("8", "abcd"), ("10", "cdab"), ("12", "badc"), ("14", "dcba")] {
        line(&found, &[&format!("holding,{address},"), &format!("f32,{order},1,123.456")]);
    }
    let forms = probe(&["--unit", "1", "--at", "4x00011"]);
    let best = forms.lines().nth(2).unwrap();
    assert!(best.contains("f32") && best.contains("cdab") && best.contains("123.456"), "{forms}");
    // A manual that counts from 1 says 9 for the register at 8.
    let counted = probe(&["--unit", "1", "--known", "holding:9=123.456"]);
    line(&counted, &["holding 8", "f32", "abcd", "address_base = 1"]);
    let gone = refused(&["probe", "modbus", &format!("127.0.0.1:{}", free_port()), "--units", "1"]);
    assert!(gone.contains("cannot be reached"), "{gone}");
}

#[test]
fn a_running_gateway_answers_read_watch_wirelog_output_and_looptest() {
    let Some(device) = device(&[]) else { return };
    let (dir, web_port) = (tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), free_port());
    folder(dir.path(), device.port, web_port);
    let at = dir.path().to_str().unwrap();
    let with = |args: &[&'static str]| -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).chain(["--config".to_owned(), at.to_owned()]).collect()
    };
    let run = |args: &[&'static str]| said(&with(args).iter().map(String::as_str).collect::<Vec<_>>());
    let fails = |args: &[&'static str]| refused(&with(args).iter().map(String::as_str).collect::<Vec<_>>());

    // Without a gateway the device itself is read.
    let direct = run(&["read", "PT1"]);
    line(&direct, &["holding 12..13 (4x00013) = F642 79E9"]);
    line(&direct, &["PT1", "123.456", "MPa", "good"]);
    assert!(fails(&["watch"]).contains("does not run"));
    assert!(fails(&["read", "PT9"]).contains("no point `PT9`"));

    let gateway = Gateway::start_ready(dir.path(), web_port);
    until(SOON, "the first value", || run(&["read", "PT1", "--csv"]).contains("PT1,123.456,MPa,good").then_some(()));
    let through = run(&["read", "PT1"]);
    line(&through, &["f32 → 123.456"]);
    let watched = run(&["watch", "PT1", "AT1", "--for", "1s", "--csv"]);
    assert_eq!(watched.lines().count(), 3, "a head and what stands: {watched}");
    let wire = run(&["wirelog", "plc", "--for", "2s"]);
    line(&wire, &["→"]);
    line(&wire, &["unit 1 03 holding"]);

    let done = run(&["output", "siren", "on", "--by", "值班员", "--key", "k1"]);
    line(&done, &["siren", "done"]);
    let again = run(&["output", "siren", "on", "--by", "值班员", "--key", "k1"]);
    assert_eq!(again, done, "the same key is the first result");
    assert!(fails(&["output", "siren", "louder", "--by", "x"]).contains("not in the output's list"));
    assert!(fails(&["output", "horn", "on", "--by", "x"]).contains("takes loop tests only"));
    line(&run(&["looptest", "horn", "on", "--by", "张工"]), &["horn", "done"]);
    assert!(fails(&["looptest", "siren", "off", "--by", "张工"]).contains("--really"));

    line(&run(&["looptest", "AT1", "--expect", "250", "--by", "张工"]), &["passed"]);
    assert!(fails(&["looptest", "AT1", "--expect", "500", "--by", "张工"]).contains("failed"));
    assert!(fails(&["looptest", "PT1", "--expect", "123.456", "--by", "张工"]).contains("--really"));
    assert_eq!(gateway.sigterm(), Some(0));
}

/// The walk of the README: what it says is what is typed here.
#[test]
fn an_unknown_device_on_a_serial_port_is_on_the_page_after_four_commands() {
    let Some(socat) = support::require_cmd("socat") else { return };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (port, other) = (dir.path().join("ttyUSB0"), dir.path().join("device"));
    let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
    let _wires = Guard::start("socat", Command::new(socat).args([end(&port), end(&other)]));
    eventually(SOON, "both ends of the line", || port.exists() && other.exists());
    let Some(_device) = device(&["serial", other.to_str().unwrap()]) else { return };
    let port = port.to_str().unwrap();

    let found = said(&["probe", "serial", port, "--timeout", "2s"]);
    line(&found, &["baud = 9600"]);
    let shown = ["--range", "0-19", "--table", "holding", "--expect", "123.456", "--csv"];
    let forms = said(&[&["probe", "modbus", "--serial", port, "--unit", "1"], &shown[..]].concat());
    line(&forms, &["holding,8,4x00009,f32,abcd,1,123.456"]);

    let web_port = free_port();
    folder(dir.path(), 1, web_port);
    fs::remove_file(dir.path().join("outputs.toml")).unwrap();
    fs::write(dir.path().join("devices.toml"), found).unwrap();
    let points = "uid,tag,name,device,table,address,encoding,order\nu1,PT1,压力,device-1,,4x00009,f32,abcd\n";
    fs::write(dir.path().join("points.csv"), points).unwrap();
    let at = dir.path().to_str().unwrap();
    line(&said(&["check", "--explain", "--config", at]), &["PT1", "4x00009", "f32", "abcd"]);
    said(&["check", "--config", at]);
    let gateway = Gateway::start_ready(dir.path(), web_port);
    until(SOON, "the value on the page", || {
        let (_, page) = gateway.get("/device/device-1")?;
        page.contains("123.456").then_some(())
    });
    assert_eq!(gateway.sigterm(), Some(0));
}

/// A door whose hardware nobody answers for: enough for a register, policies and an audit.
const DOOR: [(&str, &str); 2] = [
    ("site.toml", "[[lane]]\nid = \"door\"\ndirection = \"both\"\ncarries = \"persons\"\n"),
    (
        "gates.toml",
        "[[gate]]\nid = \"g1\"\nname = \"一号门\"\nclass = \"general_goods\"\nmanned = true\n\
         [[module]]\nid = \"io\"\nhost = \"127.0.0.1\"\nport = 1\ninputs = 8\nrelays = 4\n\
         [[lane]]\nid = \"door\"\ngate = \"g1\"\n\
         [lane.inputs]\ndoor_open = \"io:1\"\nexit_button = \"io:2\"\n\
         [lane.outputs]\nopen = \"io:1\"\nhold = \"io:2\"\n",
    ),
];

#[test]
fn a_running_gateway_takes_the_register_and_policies_and_proves_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let web_port = free_port();
    folder(dir.path(), free_port(), web_port);
    for (name, text) in DOOR {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let (config, csv) = (dir.path().to_str().unwrap().to_owned(), dir.path().join("people.csv"));
    let gateway = Gateway::start_ready(dir.path(), web_port);
    let people = "姓名,证件号码,人员类型\n张伟,11010519491231002X,员工\n";
    let import = |text: &str| {
        fs::write(&csv, text).unwrap();
        ["registry", "import", "--config", config.as_str(), csv.to_str().unwrap()].map(str::to_owned)
    };
    // A row that is wrong is named, and nothing is imported; then the good file is, by the running gateway.
    let wrong = import(&format!("{people}李娜,110105194912310021,访客\n"));
    let told = refused(&wrong.each_ref().map(String::as_str));
    assert!(told.contains("people.csv:3") && told.contains("nothing was imported"), "{told}");
    let good = import(people);
    let good = good.each_ref().map(String::as_str);
    line(&said(&good), &["imported: 1 added, 0 changed, revision 1"]);
    // A set of policies with one flaw is refused as a whole; the mended one is in force, without a restart.
    let policies = dir.path().join("policies");
    fs::create_dir(&policies).unwrap();
    fs::write(policies.join("90-own.cedar"), "forbid (principal, action, resource);\n").unwrap();
    gateway.sighup();
    eventually(SOON, "the flawed set is refused", || gateway.log().contains("New policies are refused"));
    fs::write(
        policies.join("90-own.cedar"),
        "@code(\"OWN\")\n@verdict(\"refer\")\n@zh(\"本园区规定\")\n@en(\"a rule of this park\")\n\
         forbid (principal, action, resource);\n",
    )
    .unwrap();
    gateway.sighup();
    eventually(SOON, "the mended set is in force", || gateway.log().contains("New policies are in force"));
    line(&said(&["policy", "replay", "--config", &config, "--since", "1h"]), &["0 decisions made again"]);
    // All of it is in the chain: the import, the policies, and that somebody looked.
    let proof = said(&["audit", "verify", "--config", &config]);
    line(&proof, &["the chain holds: entries 1 to"]);
    assert_eq!(gateway.sigterm(), Some(0));
    // After the end it is on the disk: the same file has nothing new.
    line(&said(&[&good[..], &["--dry-run"]].concat()), &["good: 0 would be added, 0 changed"]);
}
