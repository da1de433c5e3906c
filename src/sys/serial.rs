//! Serial ports beyond what the serial library does: the kernel's RS-485 mode, and pseudo-terminals for the simulated bus.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

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

/// A pseudo-terminal in raw mode: bytes go through as they are.
#[derive(Debug)]
pub struct PseudoTerminal {
    /// The simulator's end.
    pub master: File,
    /// Keeps the terminal alive while the other side opens and closes it; never read.
    pub slave: File,
    /// What the other side opens as its serial port.
    pub path: PathBuf,
}

/// Opens a pseudo-terminal; the master does not block.
///
/// # Errors
///
/// When the system has none to give.
#[expect(unsafe_code, reason = "the C library's calls have no safe wrapper among the features we take of nix")]
pub fn pseudo_terminal() -> io::Result<PseudoTerminal> {
    let (mut master, mut slave) = (-1, -1);
    let mut name = [0_u8; 64];
    // SAFETY: two integers to be filled; neither name, termios nor window size is asked for or given.
    let opened = unsafe {
        libc::openpty(&raw mut master, &raw mut slave, std::ptr::null_mut(), std::ptr::null(), std::ptr::null())
    };
    if opened != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both are open descriptors that nothing else owns.
    let (master, slave) = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    // SAFETY: the buffer is as long as said; `termios` is filled by `tcgetattr` before it is used; descriptors are open.
    let prepared = unsafe {
        let mut termios = std::mem::zeroed::<libc::termios>();
        libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr().cast(), name.len()) == 0
            && libc::tcgetattr(slave.as_raw_fd(), &raw mut termios) == 0
            && {
                libc::cfmakeraw(&raw mut termios);
                libc::tcsetattr(slave.as_raw_fd(), libc::TCSANOW, &raw const termios) == 0
            }
            && libc::fcntl(master.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) == 0
    };
    if !prepared {
        return Err(io::Error::last_os_error());
    }
    let path = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let path = PathBuf::from(String::from_utf8_lossy(path).into_owned());
    Ok(PseudoTerminal { master: File::from(master), slave: File::from(slave), path })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn bytes_go_through_a_pseudo_terminal_as_they_are() {
        let mut terminal = pseudo_terminal().unwrap();
        let mut port = File::options().read(true).write(true).open(&terminal.path).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        terminal.master.write_all(&all).unwrap();
        let mut got = vec![0; all.len()];
        port.read_exact(&mut got).unwrap();
        assert_eq!(got, all, "no line discipline in between");
    }

    #[test]
    fn a_port_without_an_rs485_mode_says_so() {
        let terminal = pseudo_terminal().unwrap();
        let mode = Rs485Mode { rts_on_send: true, before_ms: 0, after_ms: 0 };
        assert!(set_rs485(&terminal.slave, mode).is_err());
    }
}
