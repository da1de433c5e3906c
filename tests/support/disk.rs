//! A disk whose power can be cut: an ext4 of our own on a loop device, in a mount namespace of our own.
//!
//! A power cut is `EXT4_IOC_SHUTDOWN` without a flush of the journal. On any other file system that call would stop the
//! machine, so [`Disk::cut`] proves by device numbers that the path is the loop device that it made.
#![expect(unsafe_code, clippy::unwrap_used, reason = "a test may; the ioctl has no safe wrapper")]
#![allow(dead_code, unreachable_pub, reason = "every test program that names this module uses a part of it")]

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says to a test that it runs in the namespace made by [`in_a_namespace`].
const INSIDE: &str = "PARKGATE_TEST_POWER";

/// An ext4 of our own on a loop device.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    device: PathBuf,
    /// Where it is mounted.
    pub mount: PathBuf,
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let out = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned());
    }
    Err(format!("{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr)))
}

impl Disk {
    /// Makes one of so many megabytes in `dir`, whose path has no links in it.
    ///
    /// # Errors
    /// Why this machine makes none.
    pub fn create(dir: &Path, megabytes: u64) -> Result<Self, String> {
        let (image, mount) = (dir.join("image"), dir.join("mount"));
        std::fs::create_dir_all(&mount).unwrap();
        std::fs::File::create(&image).unwrap().set_len(megabytes << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0", image.to_str().unwrap()])?;
        let device = PathBuf::from(run("losetup", &["-f", "--show", image.to_str().unwrap()])?);
        let disk = Self { image, device, mount };
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-t", "ext4", self.device.to_str().unwrap(), self.mount.to_str().unwrap()]).map(drop)
    }

    /// Cuts the power of this disk: nothing that is not on it now will ever be.
    pub fn cut(&self) {
        const EXT4_IOC_SHUTDOWN: u64 = 0x8004_587d;
        const NO_LOG_FLUSH: u32 = 2;
        let root = std::fs::File::open(&self.mount).unwrap();
        let (ours, device) = (root.metadata().unwrap().dev(), self.device.metadata().unwrap().rdev());
        assert_eq!(ours, device, "the path is not on our loop device");
        assert_eq!(nix::libc::major(ours), 7, "not a loop device");
        assert_ne!(ours, Path::new("/").metadata().unwrap().dev(), "the root file system");
        let name = self.device.file_name().unwrap().to_str().unwrap();
        let backing = std::fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).unwrap();
        assert_eq!(Path::new(backing.trim()), self.image, "another image's loop device");
        let flags = NO_LOG_FLUSH;
        // SAFETY: the descriptor is open for the whole call, the request reads one u32 through a valid pointer, and the
        // asserts above prove that it goes to the file system made by this test.
        let result = unsafe { nix::libc::ioctl(root.as_raw_fd(), EXT4_IOC_SHUTDOWN as _, &raw const flags) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }

    /// What follows a power cut: the machine starts again.
    pub fn reboot(&self) {
        run("umount", &[self.mount.to_str().unwrap()]).unwrap();
        self.mount().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(run("umount", &["-l", self.mount.to_str().unwrap()]));
        drop(run("losetup", &["-d", self.device.to_str().unwrap()]));
    }
}

/// Whether this process was started by [`in_a_namespace`]: the ignored test that it names runs there alone.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs an ignored test of this program in a mount namespace of its own. Not called where this is not root.
///
/// # Errors
/// Why this machine makes no namespace.
pub fn in_a_namespace(test: &str) -> Result<(), String> {
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status();
    let status = status.map_err(|why| format!("unshare: {why}"))?;
    assert!(status.success());
    Ok(())
}
