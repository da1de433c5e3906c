//! The key file: JSON with its CRC32C, readable by its owner alone. Pictures have one of their own.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{VaultError, at};
use crate::sys::disk;

/// Bytes that a seal adds.
const TAG: usize = 16;

/// Random bytes from the machine.
pub(in crate::state) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| VaultError::Cipher)?;
    Ok(bytes)
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut digits = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    let mut bytes = [0; N];
    for byte in &mut bytes {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    digits.next().is_none().then_some(bytes)
}

/// Seals `clear` under `key`, bound to `bound`; nonce and sealed text come back.
pub(in crate::state) fn seal(
    key: &[u8; 32],
    bound: &[u8],
    mut clear: Vec<u8>,
) -> Result<([u8; 12], Vec<u8>), VaultError> {
    let nonce: [u8; 12] = random()?;
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| VaultError::Cipher)?;
    let sealed = LessSafeKey::new(key).seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(bound),
        &mut clear,
    );
    sealed.map(|()| (nonce, clear)).map_err(|_| VaultError::Cipher)
}

/// Opens what was sealed; `None`: it was not, under this key and bound to this.
pub(in crate::state) fn open(key: &[u8; 32], bound: &[u8], nonce: [u8; 12], sealed: &[u8]) -> Option<Vec<u8>> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).ok()?;
    let mut bytes = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    LessSafeKey::new(key).open_in_place(nonce, Aad::from(bound), &mut bytes).ok()?;
    bytes.truncate(bytes.len().saturating_sub(TAG));
    Some(bytes)
}

/// A master key.
#[derive(Clone)]
pub(in crate::state) struct MasterKey {
    pub(super) id: u32,
    pub(in crate::state) key: [u8; 32],
}

impl MasterKey {
    pub(super) fn new(id: u32) -> Result<Self, VaultError> {
        Ok(Self { id, key: random()? })
    }
}

/// The keys.
pub(in crate::state) struct KeyFile {
    path: PathBuf,
    pub(super) look_up: [u8; 32],
    /// The newest last.
    pub(in crate::state) masters: Vec<MasterKey>,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({} master keys)", self.masters.len())
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    look_up: String,
    masters: Vec<(u32, String)>,
}

impl KeyFile {
    /// Opens the file, or makes it where there is no data yet.
    pub(in crate::state) fn open(path: &Path, has_data: bool) -> Result<Self, VaultError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !has_data => {
                let keys = Self { path: path.to_owned(), look_up: random()?, masters: vec![MasterKey::new(1)?] };
                keys.save()?;
                return Ok(keys);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(VaultError::KeyLost(path.to_owned())),
            Err(error) => return Err(at(path)(error)),
        };
        let mode = std::fs::metadata(path).map_err(at(path))?.mode();
        if mode & 0o077 != 0 {
            return Err(VaultError::KeyOpen(path.to_owned()));
        }
        Self::parse(path, &text).ok_or_else(|| VaultError::KeyLost(path.to_owned()))
    }

    fn parse(path: &Path, text: &str) -> Option<Self> {
        let (json, crc) = text.trim_end().rsplit_once('\n')?;
        if crc != format!("{:08x}", crc32c::crc32c(json.as_bytes())) {
            return None;
        }
        let written: Written = serde_json::from_str(json).ok()?;
        let masters: Option<Vec<MasterKey>> =
            written.masters.iter().map(|(id, key)| Some(MasterKey { id: *id, key: unhex(key)? })).collect();
        let masters = masters.filter(|masters| !masters.is_empty())?;
        Some(Self { path: path.to_owned(), look_up: unhex(&written.look_up)?, masters })
    }

    /// Replaces the file, durably.
    pub(super) fn save(&self) -> Result<(), VaultError> {
        let masters = self.masters.iter().map(|master| (master.id, hex(&master.key))).collect();
        let written = Written { look_up: hex(&self.look_up), masters };
        let json = serde_json::to_string(&written).map_err(|_| VaultError::Cipher)?;
        let text = format!("{json}\n{:08x}\n", crc32c::crc32c(json.as_bytes()));
        replace_private(&self.path, text.as_bytes()).map_err(at(&self.path))
    }

    /// Returns the master key of this id.
    pub(super) fn master(&self, id: u32) -> Option<&MasterKey> {
        self.masters.iter().find(|master| master.id == id)
    }

    /// Returns the newest master key.
    pub(super) fn newest(&self) -> Result<&MasterKey, VaultError> {
        self.masters.last().ok_or(VaultError::Cipher)
    }

    /// Returns an id that no master key had.
    pub(super) fn next_id(&self) -> u32 {
        self.masters.iter().map(|master| master.id).max().unwrap_or(0).saturating_add(1)
    }
}

/// Replaces a file that from its first byte on only its owner may read.
pub(super) fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let tmp = path.with_extension("tmp");
    disk::remove_file_if_there(&tmp)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&tmp)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&tmp, path)?;
    path.parent().map_or(Ok(()), disk::sync_dir)
}
