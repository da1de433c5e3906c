//! Giving memory back to the system.

/// Returns freed memory of the C library's arenas to the system. A closed segment leaves tens of megabytes there, which
/// glibc would keep for the thread that freed them. Does nothing with other C libraries.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "malloc_trim has no safe wrapper"))]
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes no pointer and is safe from any thread at any time.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
