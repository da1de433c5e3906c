//! The wire tap: the raw bytes of requests and answers of single devices, while somebody looks.
//!
//! `app` holds a `watch` of [`Taps`]; every link looks at it before each request, which costs one load of an atomic while it
//! does not change. A device that stands in it has each chunk of bytes copied, as it is on the wire, into the bounded channel
//! of its [`Tap`]. A link never waits for the one who looks: when the channel is full the chunk is dropped and counted, and
//! the next one that fits tells how many are missing before it.
//!
//! ```text
//!  let (to, frames) = mpsc::channel(256);
//!  taps.send_modify(|taps| *taps = Arc::new(taps.with(Tap::new(device, to))));     // on
//!  … frames.recv() …
//!  taps.send_modify(|taps| *taps = Arc::new(taps.without(&device)));              // off
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::domain::id::DeviceId;
use crate::domain::time::Mono;

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the device: a request.
    Out,
    /// From the device: an answer, a piece of one, or noise.
    In,
}

/// A chunk of bytes as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The device that was being asked.
    pub device: DeviceId,
    /// When the last of its bytes was handed over or received.
    pub at: Mono,
    /// Which way.
    pub direction: Direction,
    /// The bytes: on Modbus TCP with MBAP header, on a bus with address and CRC.
    pub bytes: Vec<u8>,
    /// Chunks dropped since the one before, because nobody fetched them in time.
    pub dropped: u64,
}

/// Where the bytes of one device go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tap {
    device: DeviceId,
    to: mpsc::Sender<Frame>,
    dropped: Arc<AtomicU64>,
}

impl Tap {
    /// Returns a tap of `device` into `to`.
    pub fn new(device: DeviceId, to: mpsc::Sender<Frame>) -> Self {
        Self { device, to, dropped: Arc::default() }
    }

    /// Copies a chunk; never waits.
    pub fn take(&self, at: Mono, direction: Direction, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let Ok(place) = self.to.try_reserve() else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        place.send(Frame { device: self.device.clone(), at, direction, bytes: bytes.to_vec(), dropped });
    }
}

/// The devices looked at, by id.
#[derive(Clone, Debug, Default)]
pub struct Taps(BTreeMap<DeviceId, Tap>);

impl Taps {
    /// Returns the tap of a device, if it is looked at.
    pub fn of(&self, device: &DeviceId) -> Option<&Tap> {
        self.0.get(device)
    }

    /// Returns these and one more; a device has one tap, the newest.
    pub fn with(&self, tap: Tap) -> Self {
        let mut taps = self.0.clone();
        taps.insert(tap.device.clone(), tap);
        Self(taps)
    }

    /// Returns these without that of `device`.
    pub fn without(&self, device: &DeviceId) -> Self {
        let mut taps = self.0.clone();
        taps.remove(device);
        Self(taps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_channel_drops_and_the_next_chunk_says_how_many() {
        let device = DeviceId::new("gas-1");
        let (to, mut frames) = mpsc::channel(2);
        let taps = Taps::default().with(Tap::new(device.clone(), to));
        let tap = taps.of(&device).unwrap();
        for byte in 0..5 {
            tap.take(Mono::from_secs(1), Direction::Out, &[byte]);
        }
        assert_eq!(frames.try_recv().map(|f| (f.bytes, f.dropped)), Ok((vec![0], 0)));
        tap.take(Mono::from_secs(2), Direction::In, &[9]);
        assert_eq!(frames.try_recv().map(|f| (f.bytes, f.dropped)), Ok((vec![1], 0)));
        assert_eq!(frames.try_recv().map(|f| (f.bytes, f.dropped)), Ok((vec![9], 3)));
    }

    #[test]
    fn only_the_device_looked_at_is_copied() {
        let (to, _frames) = mpsc::channel(1);
        let device = DeviceId::new("gas-1");
        let taps = Taps::default().with(Tap::new(device.clone(), to));
        assert!(taps.of(&DeviceId::new("gas-2")).is_none());
        assert!(taps.without(&device).of(&device).is_none());
    }
}
