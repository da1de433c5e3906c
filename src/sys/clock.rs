//! The kernel's clocks: time since the machine's start, and whether wall time is disciplined.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// What the kernel says of its wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelClock {
    /// Whether it is disciplined (no `STA_UNSYNC`, and `adjtimex` does not return `TIME_ERROR`).
    pub synced: bool,
    /// Its own estimate of the maximum error.
    pub max_error: Option<Duration>,
}

/// Returns the time since the machine's start, sleep included; zero on a kernel without that clock.
pub fn boottime() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Returns how long the machine has slept since its start: what `CLOCK_MONOTONIC` leaves out. `None` when the two clocks
/// could not be read together.
pub fn slept() -> Option<Duration> {
    let monotonic = || clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).ok();
    let (before, with_sleep, after) = (monotonic()?, clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?, monotonic()?);
    let together = after.saturating_sub(before) < Duration::from_millis(1);
    together.then(|| Duration::from(with_sleep).saturating_sub(before))
}

/// Returns the kernel's word on its wall clock; unsynced when it gives none.
#[expect(unsafe_code, reason = "adjtimex has no safe wrapper in nix; read-only call")]
pub fn kernel_state() -> KernelClock {
    // SAFETY: `timex` is plain data for which all-zero is valid; `modes = 0` makes the call read-only; the pointer is
    // valid for the whole call.
    let (state, timex) = unsafe {
        let mut timex: nix::libc::timex = std::mem::zeroed();
        let state = nix::libc::adjtimex(&raw mut timex);
        (state, timex)
    };
    let synced = state >= 0 && state != nix::libc::TIME_ERROR && timex.status & nix::libc::STA_UNSYNC == 0;
    let max_error = u64::try_from(timex.maxerror).ok().filter(|us| synced && *us > 0).map(Duration::from_micros);
    KernelClock { synced, max_error }
}

/// Returns the kernel's id of this boot of the machine, empty when unreadable. Tells whether two monotonic times compare.
pub fn machine_boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|s| s.trim().to_owned()).unwrap_or_default()
}
