//! A wall clock that is wrong, for one process alone: nobody sets the machine's, and the machine may not let us.
//!
//! `clock.c` beside this file, compiled by the machine's C compiler, stands between the process and the kernel. What is shown
//! may be changed while the process runs.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clock that a process sees.
#[derive(Debug)]
pub struct Clock {
    file: File,
    env: [(&'static str, PathBuf); 2],
}

impl Clock {
    /// Makes a clock in `dir` that shows the right time, disciplined. `None` after a skip.
    pub fn make(dir: &Path) -> Option<Self> {
        let compiler = super::require_cmd("cc")?;
        let (library, told) = (dir.join("clock.so"), dir.join("clock"));
        let source = super::root().join("tests/support/clock.c");
        let output = Command::new(compiler).args(["-O1", "-fPIC", "-shared", "-o"]).arg(&library).arg(source).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::write(&told, [0; 16]).unwrap();
        let file = File::options().write(true).open(&told).unwrap();
        let clock = Self { file, env: [("LD_PRELOAD", library), ("PARKGATE_CLOCK", told)] };
        clock.show(0, true);
        Some(clock)
    }

    /// Shows the time so many milliseconds beside the truth from now on, and whether anybody disciplines it.
    pub fn show(&self, off_ms: i64, disciplined: bool) {
        let words = [off_ms * 1_000_000, i64::from(disciplined)];
        let bytes: Vec<u8> = words.into_iter().flat_map(i64::to_ne_bytes).collect();
        self.file.write_all_at(&bytes, 0).unwrap();
    }

    /// What a process must be started with to see it.
    pub fn env(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.env.iter().map(|(name, value)| (*name, value.as_path()))
    }
}
