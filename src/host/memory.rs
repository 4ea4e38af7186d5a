//! The C library's allocator, held to a small footprint.

#![expect(unsafe_code, reason = "mallopt has no safe wrapper")]

/// Two arenas, and what is freed goes back to the kernel early: a default glibc keeps six times
/// as much after some hundred scrapes.
pub fn limit_allocator() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_ARENA_MAX, 2),
        (libc::M_TRIM_THRESHOLD, 128 * 1024),
        (libc::M_MMAP_THRESHOLD, 128 * 1024),
    ] {
        // SAFETY: mallopt takes any two integers; it runs before other threads exist.
        unsafe { libc::mallopt(option, value) };
    }
}
