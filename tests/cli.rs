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

/// A folder with the smallest configuration, and the files to import.
fn register_folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let folders = "[store]\ndir = \"s\"\nmirror_dir = \"m\"\nstate_dir = \"t\"\n";
    write("gateway.toml", &format!("[gateway]\npark = \"p\"\nid = \"g\"\n{folders}"));
    write("devices.toml", "[[device]]\nid = \"d\"\nhost = \"127.0.0.1\"\n");
    write("points.csv", "uid,tag,name,device,table,address,encoding\nu1,T1,one,d,holding,0,u16\n");
    files.iter().for_each(|(name, text)| write(name, text));
    dir
}

fn import(dir: &Path, file: &str, more: &[&str]) -> Output {
    let (config, file) = (dir.to_str().unwrap().to_owned(), dir.join(file).to_str().unwrap().to_owned());
    parkgate(&[&["registry", "import", "--config", &config, &file], more].concat())
}

#[test]
fn a_table_with_a_wrong_row_is_imported_only_when_that_is_asked_for_and_no_name_reaches_the_disk() {
    let persons =
        "姓名,证件号码,人员类型,手机号\n张伟,11010519491231002X,员工,13800138000\n李娜,110105194912310021,访客,\n";
    let dir = register_folder(&[("persons.csv", persons)]);
    let refused = import(dir.path(), "persons.csv", &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let told = stderr(&refused);
    assert!(told.contains("persons.csv:3: column 证件号码 (id_no)") && told.contains("校验位不符"), "{told}");
    assert!(!told.contains("110105194912310021"), "the number is masked: {told}");
    assert!(stdout(&refused).contains("2 rows: 1 good, 1 refused"), "{refused:?}");
    let checked = import(dir.path(), "persons.csv", &["--partial", "--dry-run"]);
    assert!(stdout(&checked).contains("1 would be added"), "{checked:?}");
    let done = import(dir.path(), "persons.csv", &["--partial"]);
    assert!(stdout(&done).contains("imported: 1 added, 0 changed, revision 1"), "{done:?}");
    let again = import(dir.path(), "persons.csv", &["--partial"]);
    assert!(stdout(&again).contains("imported: 0 added, 0 changed, revision 2"), "{again:?}");
    let mut files = vec![dir.path().join("t")];
    let mut n_files = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        n_files += 1;
        let bytes = std::fs::read(&path).unwrap();
        for secret in ["张伟", "11010519491231002X", "13800138000"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
    assert!(n_files > 5, "the test looks at the right folder");
}

#[test]
fn an_import_is_refused_while_a_gateway_holds_the_store() {
    let dir = register_folder(&[("c.csv", "uscc,name\n91440300755691882F,东园化工\n")]);
    std::fs::create_dir(dir.path().join("s")).unwrap();
    let lock = parkgate::sys::disk::lock_exclusive(&dir.path().join("s/lock")).unwrap();
    let refused = import(dir.path(), "c.csv", &[]);
    assert!(refused.status.code() == Some(1) && stderr(&refused).contains("the gateway is running"), "{refused:?}");
    drop(lock);
    assert_eq!(import(dir.path(), "c.csv", &[]).status.code(), Some(0));
}

/// `kill -9` at any moment of an import: afterwards there is all of it or nothing, what was acknowledged is there, and names
/// stand beside exactly the persons that the register knows.
#[test]
fn a_killed_import_is_whole_or_none_and_never_lost_once_acknowledged() {
    use parkgate::domain::gate::register::row::Table;
    use parkgate::state::register::RegisterStore;
    const PEOPLE: usize = 1500;
    let dir = register_folder(&[]);
    let (config, file) = (dir.path().to_str().unwrap().to_owned(), dir.path().join("persons.csv"));
    let (mut before, mut acknowledged, mut cut) = (0, 0, 0);
    for round in 0..11_u64 {
        let mut text = "姓名,证件号码,证件类型,人员类型\n".to_owned();
        let people = (0..PEOPLE).map(|n| format!("某人{n},E{round:02}{n:06},护照,访客\n"));
        people.for_each(|row| text.push_str(&row));
        std::fs::write(&file, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_parkgate"))
            .args(["registry", "import", "--config", &config, file.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Every second round any moment; the others from the moment on in which names are staged, a little later each time.
        let staged = dir.path().join("t/register/persons/pending");
        while round % 2 == 1 && !staged.exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        if round > 0 {
            std::thread::sleep(std::time::Duration::from_millis(if round % 2 == 1 { 3 * round } else { 25 * round }));
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let told = stdout(&output).contains("imported:");
        let store = RegisterStore::open(&dir.path().join("t/register")).unwrap();
        let now = store.register().count(Table::Persons);
        assert!(now == before || now == before + PEOPLE, "round {round}: {before} and then {now}");
        assert!(!told || now == before + PEOPLE, "round {round}: acknowledged, and not there");
        assert_eq!(store.persons().len(), now, "round {round}");
        assert!(store.register().damaged().is_empty(), "round {round}");
        acknowledged += usize::from(told);
        cut += usize::from(now == before);
        before = now;
    }
    println!("{acknowledged} acknowledged, {cut} cut off before they counted");
    assert!(acknowledged > 0);
}
