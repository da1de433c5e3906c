//! The command line as a person meets it: exit codes, help, and every mistake of a configuration at once.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `EX_USAGE` and `EX_CONFIG` of sysexits.h.
const EX_USAGE: i32 = 64;
const EX_CONFIG: i32 = 78;

fn repo(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_str().unwrap().to_owned()
}

fn parkgate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parkgate")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn code(args: &[&str]) -> Option<i32> {
    parkgate(args).status.code()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn wrong_usage_is_64_and_says_how_it_is_meant() {
    for args in [
        &["--unknown"][..],
        &["run", "--confgi", "x"],
        &["chekc"],
        &["check", "--config"],
        &["check", "one", "two"],
        &["demo", "--for", "soon"],
        &[],
    ] {
        let output = parkgate(args);
        assert_eq!(output.status.code(), Some(EX_USAGE), "{args:?}: {output:?}");
        let said = stderr(&output);
        assert!(said.contains("Usage: parkgate") || said.contains("--help"), "{args:?}: {output:?}");
    }
    assert!(stderr(&parkgate(&["check", "--confgi", "x"])).contains("--config"), "the near miss is named");
}

#[test]
fn help_names_every_command_and_each_command_explains_itself() {
    let help = parkgate(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in ["run", "check", "buffer", "read", "watch", "wirelog", "output", "looptest", "policy", "demo"] {
        assert!(
            stdout(&help).lines().any(|line| line.trim_start().starts_with(command)),
            "{command} is not in the help"
        );
        let own = parkgate(&[command, "--help"]);
        assert_eq!(own.status.code(), Some(0));
        assert!(stdout(&own).contains(&format!("parkgate {command}")), "{own:?}");
        let option = match command {
            "demo" => "--for",
            "policy" => "check",
            _ => "--config <DIR>",
        };
        assert!(stdout(&own).contains(option), "{command}: {own:?}");
    }
    let version = parkgate(&["--version"]);
    assert_eq!(stdout(&version).trim(), format!("parkgate {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_shipped_configuration_is_good() {
    let output = parkgate(&["check", "--config", &repo("config")]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("the configuration is good"), "{output:?}");
}

#[test]
fn each_line_of_the_point_table_is_explained() {
    let output = parkgate(&["check", "--explain", "--csv", "--config", &repo("config")]);
    let said = stdout(&output);
    let line = |tag: &str| said.lines().find(|line| line.starts_with(&format!("{tag},"))).unwrap().to_owned();
    assert_eq!(line("LT101"), "LT101,plc-tank-1,holding 2 unit 1,4x00003,f32,cdab,,m,0.012,normal 1s,holding 0 ×11");
    assert_eq!(line("FQ101"), "FQ101,plc-tank-1,holding 12 unit 1,4x00013,u32,abcd,× 0.01,m3,1,slow 10s,holding 12 ×2");
}

#[test]
fn a_missing_folder_is_a_wrong_configuration_for_every_command() {
    for command in ["run", "check", "buffer"] {
        let output = parkgate(&[command, "--config", "/nowhere/at/all"]);
        assert_eq!(output.status.code(), Some(EX_CONFIG), "{output:?}");
        assert!(stderr(&output).contains("/nowhere/at/all"), "{output:?}");
    }
}

#[test]
fn twenty_mistakes_are_named_at_once_each_with_its_place() {
    let output = parkgate(&["check", "--config", &repo("tests/fixtures/config/mistakes")]);
    assert_eq!(output.status.code(), Some(EX_CONFIG), "{output:?}");
    let said = stderr(&output);
    let places = |file: &str| said.lines().filter(|line| line.contains(&format!("{file}:"))).count();
    let files = ["gateway.toml", "devices.toml", "uplink.toml", "points.csv"];
    let sum: usize = files.into_iter().map(places).sum();
    assert!(files.into_iter().all(|file| places(file) > 0), "{said}");
    assert!(sum >= 20, "{sum} problems:\n{said}");
}

#[test]
fn a_reader_that_went_away_is_no_crash() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_parkgate"))
        .args(["check", "--config", &repo("config")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(code(&["check", "--config", &repo("config")]), Some(0));
}

/// A configuration with policies of its own.
fn with_policies(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join("policies").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

const NO_LORRIES: &str = "@code(\"NO_LORRIES\") @verdict(\"deny\") @zh(\"普货车停运\") @en(\"no lorries\")
forbid (principal is Vehicle, action == Action::\"enter\", resource)
when { principal.class == Class::\"goods\" };
";

#[test]
fn policies_are_checked_and_tested_before_they_are_put_in_force() {
    let config = repo("config");
    let output = parkgate(&["policy", "check", "--config", &config]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("13-weight.cedar  与出厂相同"), "{output:?}");
    let output = parkgate(&["policy", "test", "--config", &config]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("hazmat.csv"), "{output:?}");

    // A new rule of the site: what it changes is told case by case, until the site's table says that it is meant.
    let table = "名称,基准,事实,结论,代码\n普货车停运,普货车进,,拒绝,NO_LORRIES\n危化车照常,危化车进,,放行,OK\n";
    let dir = with_policies(&[("50-own.cedar", NO_LORRIES), ("tables/own.csv", table)]);
    let path = dir.path().to_str().unwrap();
    let output = parkgate(&["policy", "test", "--config", path]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("own.csv：2/2") && said.contains("NO_LORRIES 普货车停运 （50-own.cedar:1）"), "{said}");
    let own = dir.path().join("policies/tables/own.csv");
    assert_eq!(code(&["policy", "test", "--config", path, own.to_str().unwrap()]), Some(0));
}

#[test]
fn a_set_with_one_wrong_policy_is_refused_as_a_whole() {
    let wrong = NO_LORRIES.replace("principal.class", "principal.clas");
    let dir = with_policies(&[("50-own.cedar", NO_LORRIES), ("60-own.cedar", &wrong)]);
    for command in ["check", "test"] {
        let output = parkgate(&["policy", command, "--config", dir.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(EX_CONFIG), "{output:?}");
        assert!(stderr(&output).contains("60-own.cedar:3\n    错误：与模式不符"), "{output:?}");
    }
    // The whole configuration is refused with it.
    for (file, text) in [
        (
            "gateway.toml",
            "[gateway]\npark = \"p\"\nid = \"g\"\n[store]\ndir = \"s\"\nmirror_dir = \"m\"\nstate_dir = \"t\"\n",
        ),
        ("devices.toml", "[[device]]\nid = \"d\"\nhost = \"127.0.0.1\"\n"),
        ("points.csv", "uid,tag,name,device,table,address,encoding\nu1,T1,one,d,holding,0,u16\n"),
    ] {
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    assert_eq!(code(&["check", "--config", dir.path().to_str().unwrap()]), Some(EX_CONFIG));
    std::fs::remove_file(dir.path().join("policies/60-own.cedar")).unwrap();
    assert_eq!(code(&["check", "--config", dir.path().to_str().unwrap()]), Some(0));
}
