//! The architecture's invariants, held against the source itself.
//!
//! `domain/` is pure, the pure halves of the adapters do not wait, adapters never import one another, each foreign crate has
//! its room, the field cannot write. A finding names file, line, rule and the rule's reason. Lints (`Cargo.toml`,
//! `clippy.toml`) hold what a lint can hold; this test holds the rest, and has planted violations of its own.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test may")]

#[path = "architecture/scanner.rs"]
mod scanner;

use std::path::{Path, PathBuf};

use scanner::{Hit, bare, find_word, own_paths, paths_under, without_tests};

/// Files that break a rule, each with its reason. One that is not needed any more fails the test.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "src/uplink/memory.rs",
    "pure-half",
    "one small file of command ids behind the `CommandMemory` door: sixty lines that do nothing but read and replace it",
)];

/// Longest file, without its tests: more is two subjects in one file.
const MAX_LINES: usize = 600;

/// In an adapter, the files that may wait and do I/O: the file name tells.
const MAY_WAIT: &[&str] = &["session", "task", "routes"];

/// In an adapter, the files that declare what others implement for it: their traits may be async and name tokio's channels.
const DOORS: &[&str] = &["mod", "source", "tap", "errand"];

/// What a door may not do all the same.
const NOT_IN_A_DOOR: &[&str] = &["tokio::net", "tokio::fs", "tokio::time", "tokio::process", "tokio::select"];

/// Rooms that face the outside. They never import one another.
const ADAPTERS: &[&str] =
    &["field", "output", "control", "buffer", "uplink", "web", "lane", "peers", "sms", "state", "policy"];

/// Adapters that are split in a pure half and a waiting one. (The buffer is I/O by nature.)
const HALVED: &[&str] = &["field", "output", "control", "uplink", "web", "lane", "peers", "sms", "policy"];

/// Words that mean waiting, sockets, files or a clock.
const IMPURE: &[&str] = &[
    "tokio",
    "async",
    ".await",
    "File::open",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "Instant::now",
    "SystemTime::now",
];

/// Modules of `std` that mean files, threads, other processes, the surroundings. (`std::net` has addresses too, `std::io` errors.)
const IMPURE_STD: &[&str] = &["fs", "thread", "process", "env", "os"];

/// Ways to change something in a device.
const MODBUS_WRITES: &[&str] = &[
    "write_single",
    "write_multiple",
    "write_coil",
    "write_register",
    "masked_write",
    "read_write",
    "WriteSingle",
    "WriteMultiple",
    "MaskWrite",
    "MaskedWrite",
    "ReadWriteMultiple",
    "Request::Custom",
    "client::Writer",
    "Writer as",
];

/// Foreign crates that have one room (the composition root only joins rooms).
const CRATE_ROOMS: &[(&str, &[&str])] = &[
    ("sled", &["buffer", "state"]),
    ("rumqttc", &["mqtt", "uplink", "peers", "sim"]),
    ("tokio_serial", &["field", "sms", "sim"]),
    ("tokio_modbus", &["field", "output", "sim"]),
    ("warp", &["web"]),
    ("plotters", &["web"]),
    ("csv", &["config", "sim", "policy"]),
    ("cedar_policy", &["policy"]),
    ("clap", &["main", "cli", "sim", "tools"]),
];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "types", "helper", "helpers", "manager", "misc", "stuff"];

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    what: String,
    reason: &'static str,
}

/// A source file, prepared.
struct Source<'a> {
    /// From the repository's root, with `/`.
    path: &'a str,
    raw: &'a str,
    /// Without comments, literals and tests.
    code: String,
    /// The path below `src` in names, the last without `.rs`; empty outside `src`.
    names: Vec<&'a str>,
}

impl<'a> Source<'a> {
    fn new(path: &'a str, raw: &'a str) -> Self {
        let below = path.strip_prefix("src/").map(|p| p.trim_end_matches(".rs"));
        let names = below.map(|p| p.split('/').collect()).unwrap_or_default();
        Self { path, raw, code: without_tests(&bare(raw)), names }
    }

    fn room(&self) -> &'a str {
        self.names.first().copied().unwrap_or_default()
    }

    fn stem(&self) -> &'a str {
        self.names.last().copied().unwrap_or_default()
    }

    /// How many modules deep the file is: `lib.rs` 0, `clock.rs` and `field/mod.rs` 1, `field/plan.rs` 2.
    fn depth(&self) -> usize {
        self.names.len() - usize::from(["mod", "lib", "main"].contains(&self.stem()))
    }

    fn words(&self, rule: &'static str, words: &[&str], reason: &'static str) -> Vec<Finding> {
        let hits = words.iter().flat_map(|word| find_word(&self.code, word));
        hits.map(|hit| self.finding(rule, hit, reason)).collect()
    }

    fn impure_std(&self, rule: &'static str, reason: &'static str) -> Vec<Finding> {
        let impure = |hit: &Hit| IMPURE_STD.contains(&hit.what.split("::").next().unwrap_or_default());
        let hits = paths_under(&self.code, "std::").into_iter().filter(impure);
        hits.map(|hit| self.finding(rule, hit, reason)).collect()
    }

    fn finding(&self, rule: &'static str, hit: Hit, reason: &'static str) -> Finding {
        Finding { path: self.path.to_owned(), line: hit.line, rule, what: hit.what, reason }
    }

    fn at(&self, line: usize, what: impl Into<String>, rule: &'static str, reason: &'static str) -> Finding {
        self.finding(rule, Hit { line, what: what.into() }, reason)
    }
}

/// All rules on one file.
fn check(path: &str, raw: &str) -> Vec<Finding> {
    let source = Source::new(path, raw);
    let mut found = Vec::new();
    found.extend(opens_with_its_purpose(&source));
    found.extend(has_a_telling_name(&source));
    // `tests.rs` and `…_tests.rs` are test modules kept in files of their own.
    let is_test = source.stem() == "tests" || source.stem().ends_with("_tests");
    if !source.names.is_empty() && !is_test {
        found.extend(is_short(&source));
        found.extend(domain_is_pure(&source));
        found.extend(pure_half_does_not_wait(&source));
        found.extend(imports_only_what_it_may(&source));
        found.extend(crates_stay_in_their_rooms(&source));
        found.extend(field_cannot_write(&source));
        found.extend(one_place_only(&source));
    }
    found
}

fn opens_with_its_purpose(source: &Source) -> Option<Finding> {
    let reason = "every file opens with `//!` and says what it is for";
    (!source.raw.starts_with("//! ")).then(|| source.at(1, "first line", "purpose", reason))
}

fn has_a_telling_name(source: &Source) -> Vec<Finding> {
    let reason = "a name that fits everything says nothing; name it after its subject";
    let names = source.path.split('/').map(|name| name.trim_end_matches(".rs"));
    let empty = names.filter(|name| EMPTY_NAMES.contains(name));
    empty.map(|name| source.at(1, name, "telling-name", reason)).collect()
}

fn is_short(source: &Source) -> Option<Finding> {
    let lines = source.code.trim_end().lines().count();
    let reason = "more than 600 lines (tests at the end not counted) is more than one subject; split it";
    (lines > MAX_LINES).then(|| source.at(lines, format!("{lines} lines"), "short-files", reason))
}

fn domain_is_pure(source: &Source) -> Vec<Finding> {
    if source.room() != "domain" {
        return Vec::new();
    }
    let reason = "domain/ takes `now` and returns what is to be done: it never waits, opens, logs or looks at a clock";
    let mut found = source.words("domain-is-pure", IMPURE, reason);
    found.extend(source.impure_std("domain-is-pure", reason));
    found.extend(source.words("domain-is-pure", &["tracing", "nix", "println", "eprintln", "Mutex", "RwLock"], reason));
    found
}

fn pure_half_does_not_wait(source: &Source) -> Vec<Finding> {
    let waits = MAY_WAIT.contains(&source.stem()) || source.names.iter().any(|name| MAY_WAIT.contains(name));
    if !HALVED.contains(&source.room()) || waits {
        return Vec::new();
    }
    let reason = "in an adapter only session.rs, task.rs and routes.rs (or a folder of that name) wait and do I/O";
    let door = DOORS.contains(&source.stem());
    let words = IMPURE.iter().filter(|word| !(door && ["async", "tokio"].contains(word))).copied();
    let words: Vec<&str> = words.chain(NOT_IN_A_DOOR.iter().copied().filter(|_| door)).collect();
    let mut found = source.words("pure-half", &words, reason);
    found.extend(source.impure_std("pure-half", reason));
    found
}

fn imports_only_what_it_may(source: &Source) -> Vec<Finding> {
    let (may, reason): (&[&str], _) = match source.room() {
        "domain" => (&[], "domain imports nothing of ours but domain"),
        "sys" => (&[], "sys talks to Linux and knows nothing of ours"),
        "clock" => (&["domain", "sys"], "the clock stands below everything but the words of time"),
        "supervise" => (&["domain", "sys", "clock"], "supervision knows no task"),
        "mqtt" => (&[], "what rooms that speak to a broker share knows nothing of ours"),
        "config" => (&["domain", "sys"], "config makes the rooms' settings and knows nothing else of them"),
        room if ADAPTERS.contains(&room) => (
            &["domain", "sys", "clock", "supervise", "mqtt"],
            "adapters never import one another; only `app` joins them",
        ),
        _ => return Vec::new(), // app, main, sim: they join rooms.
    };
    let foreign = own_paths(&source.code, source.depth()).into_iter().filter(|hit| {
        let mut names = hit.what.split("::");
        let room = names.next().unwrap_or_default();
        let settings = source.room() == "config" && ADAPTERS.contains(&room) && names.next() == Some("settings");
        room != source.room() && !may.contains(&room) && !settings && !room.is_empty()
    });
    foreign.map(|hit| source.finding("imports", hit, reason)).collect()
}

fn crates_stay_in_their_rooms(source: &Source) -> Vec<Finding> {
    let reason = "this crate has one room, so that it can be replaced there; the rooms that may use it: `CRATE_ROOMS`";
    let strangers = CRATE_ROOMS.iter().filter(|(_, rooms)| !rooms.contains(&source.room()));
    strangers.flat_map(|(name, _)| source.words("crate-room", &[&format!("{name}::")], reason)).collect()
}

/// Rooms that may write to a device: the driver of the outputs, and the simulated devices' other side.
const WRITERS: &[&str] = &["output", "sim"];

/// Folders of the lanes that make and use requests which write: the relay modules that `gates.toml` names, nothing else there.
const LANE_WRITERS: &[&str] = &["src/lane/modbus/request.rs", "src/lane/relay/"];

fn field_cannot_write(source: &Source) -> Vec<Finding> {
    let (rule, reason) = match source.room() {
        "lane" if LANE_WRITERS.iter().any(|place| source.path.starts_with(place)) => return Vec::new(),
        "lane" => ("lane-writes-to-relays", "a lane writes to its relay module only, and only from src/lane/relay/"),
        "field" => ("field-reads-only", "the field reads: it must have no way to change anything in a device"),
        room if WRITERS.contains(&room) => return Vec::new(),
        _ => ("writes-in-one-room", "a request that changes something in a device stands in src/output/ only"),
    };
    let lines = source.code.lines().enumerate();
    let hits = lines.flat_map(|(n, line)| {
        let words = MODBUS_WRITES.iter().filter(move |word| line.contains(**word));
        words.map(move |word| (n + 1, *word))
    });
    hits.map(|(line, word)| source.at(line, word, rule, reason)).collect()
}

/// What stands in one file or room only.
fn one_place_only(source: &Source) -> Vec<Finding> {
    let rules: [(&'static str, &[&str], bool, &'static str); 4] = [
        (
            "spawn",
            &["tokio::spawn", "task::spawn", "spawn_local"],
            source.path == "src/supervise.rs",
            "only supervise.rs starts tasks: each is named, joined and drained",
        ),
        ("threads", &["thread::spawn"], false, "a thread has a name: use thread::Builder"),
        ("unsafe", &["unsafe"], source.room() == "sys", "unsafe stands in sys/ only"),
        (
            "time",
            &["Instant::now", "SystemTime::now"],
            source.path == "src/clock.rs",
            "time enters through clock.rs only",
        ),
    ];
    let broken = rules.into_iter().filter(|(_, _, allowed, _)| !allowed);
    broken.flat_map(|(rule, words, _, reason)| source.words(rule, words, reason)).collect()
}

/// All Rust files below a folder, sorted.
fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            out.push(path);
        }
    }
}

fn excepted(finding: &Finding) -> bool {
    EXCEPTIONS.iter().any(|(path, rule, _)| finding.path == *path && finding.rule == *rule)
}

/// Findings in the repository itself, exceptions included.
fn repository() -> Vec<Finding> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "only {} files found: the test looks in the wrong place", files.len());
    let read = |file: &PathBuf| {
        let path = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        check(&path, &std::fs::read_to_string(file).unwrap())
    };
    files.iter().flat_map(read).collect()
}

#[test]
fn the_source_keeps_the_rules() {
    let broken: Vec<Finding> = repository().into_iter().filter(|finding| !excepted(finding)).collect();
    let lines = broken.iter().map(|f| format!("{}:{}: [{}] `{}`: {}\n", f.path, f.line, f.rule, f.what, f.reason));
    assert!(broken.is_empty(), "{} findings\n{}", broken.len(), lines.collect::<String>());
}

/// A file that no `mod` names is not compiled: its tests pass by never being run.
#[test]
fn every_file_is_named_by_another_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    ["src", "tests", "benches"].into_iter().for_each(|folder| rust_files(&root.join(folder), &mut files));
    let read = |file: &Path| std::fs::read_to_string(file).unwrap_or_default();
    let all: String = files.iter().map(|file| read(file)).collect();
    let is_named = |file: &&PathBuf| {
        let of_folder = file.file_name().is_some_and(|name| name == "mod.rs");
        let module = if of_folder { file.parent().unwrap() } else { file.as_path() };
        let (name, room) = (module.file_stem().unwrap().to_str().unwrap(), module.parent().unwrap());
        // Of targets Cargo knows; a file of several crates of tests is named by each that has it.
        let is_target = room == root.join("tests") || room == root.join("benches");
        let here = ["mod.rs", "lib.rs", "main.rs"].map(|of| read(&room.join(of))).concat();
        let here = here + &read(&room.with_extension("rs"));
        let declaring = if room.starts_with(root.join("src")) { &here } else { &all };
        (is_target && !of_folder)
            || room == root.join("src") && ["lib", "main"].contains(&name)
            || declaring.contains(&format!("mod {name};"))
            || [format!("/{name}.rs\""), format!("\"{name}.rs\"")].iter().any(|path| all.contains(path))
    };
    let forgotten: Vec<_> = files.iter().filter(|file| !is_named(file)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[test]
fn no_exception_outlives_its_need() {
    let found = repository();
    for (path, rule, reason) in EXCEPTIONS {
        assert!(
            found.iter().any(|f| f.path == *path && f.rule == *rule),
            "{path}: [{rule}] is kept now; drop the exception"
        );
        assert!(reason.len() > 20, "{path}: [{rule}] gives no reason");
    }
}

/// The rules (sorted) that a planted file breaks.
fn rules_broken(path: &str, source: &str) -> Vec<&'static str> {
    let mut rules: Vec<&str> = check(path, &format!("//! A planted file.\n{source}")).iter().map(|f| f.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn planted_violations_are_found() {
    let planted: &[(&str, &str, &[&str])] = &[
        ("src/domain/engine.rs", "use tokio::sync::mpsc;", &["domain-is-pure"]),
        ("src/domain/engine.rs", "use std::{fmt, fs::File};", &["domain-is-pure"]),
        ("src/domain/engine.rs", "async fn f() {}", &["domain-is-pure"]),
        ("src/domain/engine.rs", "fn f() { tracing::info!(\"x\"); }", &["domain-is-pure"]),
        ("src/domain/engine.rs", "fn f() -> Instant { Instant::now() }", &["domain-is-pure", "time"]),
        ("src/domain/engine.rs", "use crate::buffer::Store;", &["imports"]),
        ("src/domain/engine.rs", "use super::super::config::Config;", &["imports"]),
        ("src/domain/mod.rs", "use super::config::Config;", &["imports"]),
        ("src/field/plan.rs", "fn f() { g().await; }", &["pure-half"]),
        ("src/field/plan.rs", "use crate::{domain::id::Uid, uplink::Source};", &["imports"]),
        (
            "src/field/session.rs",
            "async fn f(c: &mut Context) { c.write_single_register(1, 2).await; }",
            &["field-reads-only"],
        ),
        ("src/app/links.rs", "let request = Request::WriteSingleCoil(3, true);", &["writes-in-one-room"]),
        ("src/lane/scale.rs", "let r = Request::WriteSingleCoil { address, on };", &["lane-writes-to-relays"]),
        ("src/cli/probe.rs", "let request = Request::Custom(0x06, bytes);", &["writes-in-one-room"]),
        ("src/field/task.rs", "fn f() { tokio::spawn(g()); }", &["spawn"]),
        ("src/uplink/envelope.rs", "use tokio::net::TcpStream;", &["pure-half"]),
        ("src/uplink/source.rs", "use tokio::time::sleep;", &["pure-half"]),
        ("src/uplink/mod.rs", "fn f() { g().await; }", &["pure-half"]),
        ("src/uplink/session.rs", "fn f(db: sled::Db) {}", &["crate-room"]),
        ("src/web/routes.rs", "use crate::app::App;", &["imports"]),
        ("src/config/raw.rs", "use crate::field::plan::Plan;", &["imports"]),
        ("src/buffer/writer.rs", "fn f() { std::thread::spawn(g); }", &["threads"]),
        ("src/buffer/writer.rs", "fn f() { unsafe { g() } }", &["unsafe"]),
        ("src/web/utils.rs", "", &["telling-name"]),
        ("src/common/clock.rs", "", &["telling-name"]),
    ];
    for (path, source, rules) in planted {
        assert_eq!(rules_broken(path, source), *rules, "{path}: {source}");
    }
}

#[test]
fn a_finding_names_its_line() {
    let found = check("src/domain/x.rs", "//! X.\n\n/* two\nlines */\nuse std::fs;\n");
    let places: Vec<_> = found.iter().map(|f| (f.line, f.what.as_str())).collect();
    assert_eq!(places, [(5, "fs")]);
}

#[test]
fn innocent_files_are_left_alone() {
    let innocent: &[(&str, &str)] = &[
        (
            "src/domain/engine.rs",
            "/// As `tokio` does, but no .await here.\nfn f() -> &'static str { \"tokio::spawn unsafe\" }",
        ),
        ("src/domain/engine.rs", "fn f(c: char) -> bool { c == '\"' } // async\nfn g() { h('\\''); i(\"std::fs\") }"),
        ("src/domain/engine.rs", "fn f() -> &'static str { r#\"a \"tracing::info\" b\"# }"),
        ("src/domain/engine.rs", "use crate::domain::id::Uid;\nuse super::time::Mono;"),
        ("src/domain/engine.rs", "#[cfg(test)]\nmod tests {\n use std::fs;\n fn f() { if a { b() } }\n}"),
        ("src/domain/engine.rs", "fn asynchronous() {} struct Tokio; fn unsafely() {}"),
        ("src/field/session.rs", "async fn f(stream: TcpStream) { stream.read().await; }"),
        ("src/output/session.rs", "async fn f() { call(Request::WriteSingleRegister(1, 2)).await; }"),
        ("src/lane/relay/machine.rs", "fn f() -> Request { Request::WriteSingleCoil { address: 1, on: true } }"),
        ("src/uplink/session/tls.rs", "async fn f() {}"),
        ("src/uplink/mod.rs", "use tokio::sync::watch; pub trait Source { async fn read(&self); }"),
        (
            "src/config/mod.rs",
            "use crate::field::settings::Device;\nuse crate::{buffer::settings, web::settings::Settings};",
        ),
        ("src/app.rs", "use crate::{buffer, field, uplink, web};"),
        ("src/supervise.rs", "fn f() { tokio::spawn(g()); }"),
        ("src/sys/clock.rs", "fn f() { unsafe { g() } }"),
        ("src/field/plan/tests.rs", "async fn f() { g().await; }"),
        ("tests/line.rs", "fn f() { tokio::spawn(g()); unsafe {} }"),
    ];
    for (path, source) in innocent {
        assert_eq!(rules_broken(path, source), [""; 0], "{path}: {source}");
    }
}

#[test]
fn long_files_and_files_without_a_purpose_are_found() {
    let long = "fn f() {}\n".repeat(MAX_LINES + 1);
    assert_eq!(rules_broken("src/app.rs", &long), ["short-files"]);
    let tests = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(rules_broken("src/app.rs", &tests), [""; 0]);
    assert_eq!(check("src/app.rs", "use std::fs;\n").first().map(|f| f.rule), Some("purpose"));
}
