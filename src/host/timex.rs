//! The kernel's clock discipline, by adjtimex(2).

use rustix::io::Errno;

/// The clock's state and its parameters, all read and none changed.
#[expect(unsafe_code, reason = "rustix has no adjtimex")]
pub fn read() -> Result<(i32, libc::timex), Errno> {
    // SAFETY: a timex is integers and padding, for which zeros are values. No modes: only read.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a timex of our own that outlives the call.
    match unsafe { libc::adjtimex(&raw mut timex) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        state => Ok((state, timex)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_tick_is_about_ten_milliseconds() {
        let Ok((state, timex)) = super::read() else { return };
        assert!((0..=5).contains(&state), "{state}");
        assert!((9_000..=11_000).contains(&timex.tick), "{}", timex.tick);
    }
}
