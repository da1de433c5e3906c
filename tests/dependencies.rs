//! The policy on dependencies, as far as it can be held without cargo-deny: where crates come from, under which licence,
//! and which ones may not come at all. The lists stand in `deny.toml`.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use toml::Table;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Where the gateway runs, and where it is built and tested.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

fn read_toml(name: &str) -> Table {
    std::fs::read_to_string(support::root().join(name)).unwrap().parse().unwrap()
}

/// The packages of `Cargo.lock`.
fn locked() -> Vec<Table> {
    let lock = read_toml("Cargo.lock");
    lock.get("package").unwrap().as_array().unwrap().iter().map(|p| p.as_table().unwrap().clone()).collect()
}

fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(toml::Value::as_str)
}

/// A list in `deny.toml`: `section.key`.
fn policy(section: &str, key: &str) -> Vec<toml::Value> {
    read_toml("deny.toml").get(section).and_then(|s| s.get(key)).and_then(toml::Value::as_array).unwrap().clone()
}

/// What is built for a target, by crate name: the licences. Cargo needs no network: the tests were just built.
fn licences(target: &str) -> Option<BTreeMap<String, Option<String>>> {
    let arguments = ["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", target];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo).args(arguments).current_dir(support::root()).output().unwrap();
    if !out.status.success() {
        // Crates for the other machine alone are fetched only when one builds for it.
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(target != TARGETS[0], "cargo metadata: {said}");
        return None;
    }
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    let packages = metadata.get("packages").unwrap().as_array().unwrap().iter();
    let word = |package: &Value, key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(packages.map(|package| (word(package, "name").unwrap(), word(package, "license"))).collect())
}

/// Whether one of the ways that an SPDX expression offers is wholly allowed. `/` is the old spelling of `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) && rest.is_empty()
}

fn either(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut ok = both(rest, allowed);
    while let Some(after) = rest.strip_prefix(&["OR"]) {
        *rest = after;
        ok |= both(rest, allowed);
    }
    ok
}

fn both(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut ok = single(rest, allowed);
    while let Some(after) = rest.strip_prefix(&["AND"]) {
        *rest = after;
        ok &= single(rest, allowed);
    }
    ok
}

fn single(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match **rest {
        ["(", ref after @ ..] => {
            *rest = after;
            let ok = either(rest, allowed);
            *rest = rest.strip_prefix(&[")"]).unwrap_or(rest);
            ok
        }
        [name, "WITH", exception, ref after @ ..] => {
            *rest = after;
            allowed.contains(&format!("{name} WITH {exception}"))
        }
        [name, ref after @ ..] => {
            *rest = after;
            allowed.contains(name)
        }
        [] => false,
    }
}

#[test]
fn every_crate_comes_from_crates_io() {
    let ours = |package: &Table| text(package, "name") == Some("parkgate");
    let strangers = locked().into_iter().filter(|package| !ours(package) && text(package, "source") != Some(CRATES_IO));
    let names: Vec<String> = strangers.map(|package| text(&package, "name").unwrap().to_owned()).collect();
    assert_eq!(names, [""; 0], "from elsewhere than crates.io");
    let unchecked = locked().into_iter().filter(|package| !ours(package) && text(package, "checksum").is_none());
    assert_eq!(unchecked.count(), 0, "without a checksum");
}

#[test]
fn no_banned_crate_is_locked() {
    let names: BTreeSet<String> = locked().iter().map(|p| text(p, "name").unwrap().to_owned()).collect();
    for ban in policy("bans", "deny") {
        let (name, reason) =
            (ban.get("crate").unwrap().as_str().unwrap(), ban.get("reason").unwrap().as_str().unwrap());
        assert!(!names.contains(name), "`{name}` is locked: {reason}");
    }
}

#[test]
fn every_licence_is_on_the_list() {
    let allowed: BTreeSet<String> =
        policy("licenses", "allow").iter().map(|v| v.as_str().unwrap().to_owned()).collect();
    let excepted = policy("licenses", "exceptions");
    let is_excepted = |name: &str| excepted.iter().any(|e| e.get("crate").and_then(toml::Value::as_str) == Some(name));
    let mut checked = 0;
    for (name, licence) in TARGETS.iter().filter_map(|target| licences(target)).flatten() {
        let licence = licence.unwrap_or_else(|| panic!("`{name}` names no licence"));
        assert!(is_allowed(&licence, &allowed) || is_excepted(&name), "`{name}` is under `{licence}`");
        checked += 1;
    }
    assert!(checked > 100, "only {checked} crates were seen");
}

#[test]
fn every_waived_advisory_gives_its_reason() {
    for waiver in policy("advisories", "ignore") {
        let reason = waiver.get("reason").and_then(toml::Value::as_str).unwrap();
        assert!(reason.len() > 20, "{waiver}");
    }
}

#[test]
fn a_licence_expression_is_read_as_spdx_means_it() {
    let allowed: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for good in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "Apache-2.0 / MIT", "MIT AND ISC", "(GPL-3.0 OR MIT) AND ISC"]
    {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR GPL-2.0", &allowed));
    for bad in
        ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "Apache-2.0", "", "MIT ISC", "LGPL-2.1 WITH MIT"]
    {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
