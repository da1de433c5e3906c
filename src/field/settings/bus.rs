//! A bus: one pair of wires with several slaves, at a serial port of this machine or behind a serial server.
//!
//! Its times follow from the line alone: a character is a start bit, eight data bits, the parity bit where there is one and
//! the stop bits; frames are kept apart by the silence of three and a half characters, 1.75 ms above 19,200 baud
//! ("MODBUS over Serial Line" V1.02, 2.5.1.1).

use std::fmt;
use std::time::Duration;

/// Above this baud rate the silence between frames no longer shrinks.
const FIXED_SILENCE_ABOVE: u32 = 19_200;
/// The silence there.
const FIXED_SILENCE: Duration = Duration::from_micros(1750);

/// One bus. Equal settings are the same bus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bus {
    /// Its id in the configuration.
    pub id: String,
    /// Where it is reached.
    pub port: Port,
    /// How characters are sent on it.
    pub line: Line,
    /// Silence kept between two frames; at least [`Line::silence`].
    pub frame_gap: Duration,
    /// Whether a plan that cannot fit is run all the same.
    pub accepts_overload: bool,
}

/// Where a bus is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// A serial port of this machine.
    Serial {
        /// Its device file, e.g. `/dev/ttyS1`; better a name under `/dev/serial/by-path/` where adapters are pulled.
        path: String,
        /// Direction by the kernel's RS-485 mode, where the port has it; `None` leaves the port as it is.
        rs485: Option<Rs485>,
    },
    /// A serial server that carries RTU frames over TCP as they are.
    Server {
        /// Host name or IP address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// How characters are sent: eight data bits always, as RTU has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    /// Bits per second, 300..=921,600.
    pub baud: u32,
    /// Parity bit.
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop_bits: u8,
}

/// The parity bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Parity {
    /// None is sent.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// The kernel's RS-485 mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rs485 {
    /// Level of RTS while sending; the opposite otherwise.
    pub rts_on_send: bool,
    /// Milliseconds between RTS and the first character, 0..=1000.
    pub before_ms: u32,
    /// Milliseconds between the last character and RTS, 0..=1000.
    pub after_ms: u32,
}

impl Line {
    /// Returns the bits of one character: 10 for 8N1, 11 for 8E1 and 8N2.
    pub fn bits_per_char(&self) -> u32 {
        let parity = u32::from(self.parity != Parity::None);
        1 + 8 + parity + u32::from(self.stop_bits)
    }

    /// Returns the time that so many characters take.
    pub fn chars(&self, n: usize) -> Duration {
        let bits = u64::from(self.bits_per_char()).saturating_mul(u64::try_from(n).unwrap_or(u64::MAX));
        Duration::from_nanos(bits.saturating_mul(1_000_000_000) / u64::from(self.baud.max(1)))
    }

    /// Returns the silence between two frames.
    pub fn silence(&self) -> Duration {
        if self.baud > FIXED_SILENCE_ABOVE { FIXED_SILENCE } else { self.chars(7) / 2 }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} 8{parity}{}", self.baud, self.stop_bits)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, .. } => f.write_str(path),
            Self::Server { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(baud: u32, parity: Parity, stop_bits: u8) -> Line {
        Line { baud, parity, stop_bits }
    }

    #[test]
    fn the_request_of_thirty_slaves_takes_what_a_serial_line_meter_shows() {
        // anchors-gateways §5 target 4: 8 bytes and 37 bytes at 9600 8N1 are 46.9 ms, the silence is 3.65 ms.
        let slow = line(9600, Parity::None, 1);
        assert_eq!(slow.chars(45), Duration::from_micros(46_875));
        assert_eq!(slow.silence().as_micros(), 3645);
    }

    #[test]
    fn the_silence_no_longer_shrinks_above_19200() {
        assert_eq!(line(19_200, Parity::Even, 1).silence().as_micros(), 2005);
        assert_eq!(line(38_400, Parity::Even, 1).silence(), FIXED_SILENCE);
        assert_eq!(line(921_600, Parity::None, 1).silence(), FIXED_SILENCE);
    }

    #[test]
    fn parity_and_stop_bits_lengthen_a_character() {
        let bits = [(Parity::None, 1, 10), (Parity::Even, 1, 11), (Parity::None, 2, 11), (Parity::Odd, 2, 12)];
        for (parity, stop_bits, expected) in bits {
            assert_eq!(line(9600, parity, stop_bits).bits_per_char(), expected);
        }
    }
}
