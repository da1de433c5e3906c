//! What is kept of persons, what of it can be read, and what is left of who was forgotten.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::domain::gate::register::draft::id_card;

const NUMBER: &str = "11010519491231002X";

fn zhang() -> Private {
    Private { name: Some("张伟".into()), id: id_card(NUMBER), phone: Some("13800138000".into()) }
}

fn one(person: &str, private: Private) -> BTreeMap<PersonRef, Private> {
    [(PersonRef::new(person), private)].into()
}

fn vault(dir: &Path, rev: u64) -> Vault {
    Vault::open(dir, rev).unwrap()
}

fn with_zhang() -> (tempfile::TempDir, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = vault(dir.path(), 0);
    vault.stage(1, one("p-1", zhang())).unwrap();
    vault.keep().unwrap();
    (dir, vault)
}

/// Every byte below the folder.
fn all_bytes(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            bytes.extend(all_bytes(&entry.path()));
        } else {
            bytes.extend(std::fs::read(entry.path()).unwrap());
        }
    }
    bytes
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_person_is_read_again_masked_unless_asked_for_in_clear_and_the_disk_holds_nothing_in_clear() {
    let (dir, written) = with_zhang();
    drop(written);
    let vault = vault(dir.path(), 1);
    let person = PersonRef::new("p-1");
    let masked = vault.masked(&person).unwrap();
    assert_eq!(
        (masked.name.as_str(), masked.number.as_str(), masked.phone.as_str()),
        ("张*", "110***********002X", "138****8000")
    );
    assert_eq!(vault.reveal(&person), Some(zhang()));
    let bytes = all_bytes(dir.path());
    for secret in ["张伟", NUMBER, "13800138000"] {
        assert!(!contains(&bytes, secret.as_bytes()), "{secret} is on the disk");
    }
    assert!(contains(&bytes, b"p-1"), "the test looks at the right files");
    let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(KEY_FILE), 0o600);
}

#[test]
fn what_is_not_said_again_stays() {
    let (_dir, mut vault) = with_zhang();
    let newer = Private { name: Some("张大伟".into()), id: None, phone: None };
    vault.stage(2, one("p-1", newer)).unwrap();
    vault.keep().unwrap();
    let now = vault.reveal(&PersonRef::new("p-1")).unwrap();
    assert_eq!((now.name.as_deref(), now.phone.as_deref()), (Some("张大伟"), Some("13800138000")));
}

#[test]
fn who_is_forgotten_cannot_be_read_even_from_a_copy_of_the_old_files() {
    let (dir, mut vault) = with_zhang();
    vault.stage(2, one("p-2", Private { name: Some("李娜".into()), ..Private::default() })).unwrap();
    vault.keep().unwrap();
    let name = name_of(file_of(&PersonRef::new("p-1")));
    let copy = std::fs::read(dir.path().join(&name)).unwrap();
    vault.destroy(&[PersonRef::new("p-1")]).unwrap();
    assert_eq!(vault.reveal(&PersonRef::new("p-1")), None);
    assert_eq!(vault.masked(&PersonRef::new("p-2")).unwrap().name, "李*", "the others stay");
    drop(vault);
    std::fs::write(dir.path().join(&name), copy).unwrap();
    let again = Vault::open(dir.path(), 2).unwrap();
    assert_eq!(again.reveal(&PersonRef::new("p-1")), None, "the key that wrapped his is gone");
    assert!(again.lost() > 0);
}

#[test]
fn what_was_staged_is_kept_or_dropped_as_its_revision_was() {
    for (rev, kept) in [(4, false), (5, true), (6, true)] {
        let dir = tempfile::tempdir().unwrap();
        let mut before = vault(dir.path(), 4);
        before.stage(5, one("p-1", zhang())).unwrap();
        assert!(before.reveal(&PersonRef::new("p-1")).is_some());
        drop(before);
        let after = vault(dir.path(), rev);
        assert_eq!(after.reveal(&PersonRef::new("p-1")).is_some(), kept, "revision {rev}");
        assert!(!dir.path().join(PENDING).exists());
    }
}

#[test]
fn a_change_of_the_master_key_that_was_cut_off_is_finished() {
    let (dir, mut before) = with_zhang();
    let old = before.keys.newest().unwrap().id;
    before.keys.masters.push(MasterKey::new(before.keys.next_id()).unwrap());
    before.keys.save().unwrap();
    drop(before);
    let after = vault(dir.path(), 1);
    assert_eq!(after.reveal(&PersonRef::new("p-1")), Some(zhang()));
    assert_eq!(after.keys.masters.len(), 1);
    assert!(after.keys.newest().unwrap().id > old);
}

#[test]
fn a_lost_key_and_an_open_one_are_told_and_never_replaced() {
    let (dir, before) = with_zhang();
    drop(before);
    let path = dir.path().join(KEY_FILE);
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Vault::open(dir.path(), 1), Err(VaultError::KeyOpen(_))));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, whole.replace(':', ";")).unwrap();
    assert!(matches!(Vault::open(dir.path(), 1), Err(VaultError::KeyLost(_))));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(Vault::open(dir.path(), 1), Err(VaultError::KeyLost(_))));
    assert!(!path.exists());
    keys::replace_private(&path, whole.as_bytes()).unwrap();
    assert_eq!(vault(dir.path(), 1).reveal(&PersonRef::new("p-1")), Some(zhang()));
}

#[test]
fn every_flipped_bit_of_a_file_is_seen_and_costs_that_file() {
    let (dir, before) = with_zhang();
    drop(before);
    let path = dir.path().join(name_of(file_of(&PersonRef::new("p-1"))));
    let good = std::fs::read(&path).unwrap();
    for byte in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[byte] ^= 0x10;
        std::fs::write(&path, &bad).unwrap();
        assert!(matches!(file::read(&path), Ok(Some(Contents::Damaged))), "byte {byte}");
    }
    let after = vault(dir.path(), 1);
    assert_eq!((after.lost(), after.len()), (1, 0));
    assert!(path.with_extension("damaged").exists());
}
