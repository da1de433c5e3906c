//! The ids of commands in a file of the state folder: written beside it, synced, renamed, the folder synced. So after a
//! power cut it is the old file or the new one, never half of either.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::source::{Boxed, CommandMemory};

/// Largest file that is read: what [`super::command::Gate::save`] gives fits with room to spare.
const MAX_BYTES: u64 = 256 << 10;

/// A [`CommandMemory`] in a file. All work is done on the runtime's threads for blocking work.
#[derive(Clone, Debug)]
pub struct FileMemory {
    path: PathBuf,
}

impl FileMemory {
    /// Returns the memory in the file `path`; its folder must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl CommandMemory for FileMemory {
    fn load(&self) -> Boxed<'_, Vec<u8>> {
        let path = self.path.clone();
        Box::pin(async move { tokio::task::spawn_blocking(move || read(&path)).await.unwrap_or_default() })
    }

    fn save(&self, blob: Vec<u8>) -> Boxed<'_, Result<(), String>> {
        let path = self.path.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || write(&path, &blob)).await {
                Ok(result) => result.map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

fn read(path: &Path) -> Vec<u8> {
    match fs::metadata(path) {
        Ok(meta) if meta.len() <= MAX_BYTES => fs::read(path).unwrap_or_default(),
        Ok(_) | Err(_) => Vec::new(),
    }
}

fn write(path: &Path, blob: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(blob)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_saved_last_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let memory = FileMemory::new(dir.path().join("commands.json"));
        assert_eq!(memory.load().await, b"");
        memory.save(b"one".to_vec()).await.unwrap();
        memory.save(b"two".to_vec()).await.unwrap();
        assert_eq!(memory.load().await, b"two");
    }
}
