//! Serial ports beyond what the serial library does: the kernel's RS-485 mode.

use std::io;
use std::os::fd::AsRawFd;

use nix::libc;

/// Direction of an RS-485 driver by the kernel (`Documentation/driver-api/serial/serial-rs485.rst`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rs485Mode {
    /// Level of RTS while sending; the opposite otherwise.
    pub rts_on_send: bool,
    /// Milliseconds between RTS and the first character.
    pub before_ms: u32,
    /// Milliseconds between the last character and RTS.
    pub after_ms: u32,
}

/// `SER_RS485_ENABLED`.
const ENABLED: u32 = 1;
/// `SER_RS485_RTS_ON_SEND`.
const RTS_ON_SEND: u32 = 1 << 1;
/// `SER_RS485_RTS_AFTER_SEND`.
const RTS_AFTER_SEND: u32 = 1 << 2;

/// `struct serial_rs485` of `linux/serial.h`.
#[repr(C)]
#[derive(Default)]
struct SerialRs485 {
    flags: u32,
    delay_rts_before_send: u32,
    delay_rts_after_send: u32,
    padding: [u32; 5],
}

/// Switches the port's driver to RS-485.
///
/// # Errors
///
/// When the port has no such mode (`ENOTTY` and relatives: most USB adapters, which switch direction by themselves), or when
/// its driver took the request and did not switch.
#[expect(unsafe_code, reason = "the request has no safe wrapper")]
pub fn set_rs485(port: &impl AsRawFd, mode: Rs485Mode) -> io::Result<()> {
    let rts = if mode.rts_on_send { RTS_ON_SEND } else { RTS_AFTER_SEND };
    let wanted = SerialRs485 {
        flags: ENABLED | rts,
        delay_rts_before_send: mode.before_ms,
        delay_rts_after_send: mode.after_ms,
        ..SerialRs485::default()
    };
    let mut is = SerialRs485::default();
    // SAFETY: the descriptor is open while `port` is borrowed; both requests read or write one `serial_rs485`, which these
    // are, laid out as the kernel has it.
    let done = unsafe {
        libc::ioctl(port.as_raw_fd(), libc::TIOCSRS485, &raw const wanted) == 0
            && libc::ioctl(port.as_raw_fd(), libc::TIOCGRS485, &raw mut is) == 0
    };
    if !done {
        return Err(io::Error::last_os_error());
    }
    if is.flags & ENABLED == 0 {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_has_no_rs485_mode_says_so() {
        let mode = Rs485Mode { rts_on_send: true, before_ms: 0, after_ms: 0 };
        let no_port = File::open("/dev/null").unwrap();
        assert!(set_rs485(&no_port, mode).is_err());
    }
}
