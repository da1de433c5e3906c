//! A simulated module of relays and inputs with a barrier on it: an arm that takes its time, limits, a loop and a beam under
//! it, a fire linkage that is closed at rest, and a vehicle that can be hit.
//!
//! ```text
//!  coils      0 open, 1 close, 2 stop, 3 hold          (flash-on: registers 3 and 4 = 4, tenths of a second; switches coil 0)
//!  inputs     0 under_arm, 1 beam, 2 fire (closed at rest), 3 open limit, 4 close limit, 5 exit, 6 approach, 7 button,
//!             8 to 15 what a test puts there: a door
//!  registers  what a test puts there: a scale, a reader
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::domain::time::Mono;
use crate::lane::coding::crc16;
use crate::lane::modbus::request::Framing;

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    #[default]
    Honest,
    /// It does what it is told, and answers no write.
    Mute,
    /// It answers nothing.
    Deaf,
    /// Its inputs cannot be read.
    Blind,
    /// The arm does not move.
    Jammed,
}

/// The barrier and what is around it.
#[derive(Clone, Debug)]
pub struct Plant {
    /// How it behaves.
    pub manner: Manner,
    /// A vehicle is under the arm.
    pub vehicle: bool,
    /// The fire linkage has released, or its wire is cut.
    pub fire: bool,
    /// A vehicle is before the arm.
    pub approach: bool,
    /// A vehicle is behind the arm.
    pub exit: bool,
    /// Somebody presses the button.
    pub button: bool,
    /// Inputs 8 to 15.
    pub more: [bool; 8],
    /// Times that its inputs were read.
    pub reads: u64,
    /// Holding registers.
    pub registers: Vec<u16>,
    /// The arm came down on a vehicle.
    pub hit: bool,
    /// Two contacts were on at once.
    pub both: bool,
    /// Times that each of open, close, stop was pulsed.
    pub pulses: [u32; 3],
    /// When open was pulsed last, until a test forgets it.
    pub opened_at: Option<Mono>,
    coils: [bool; 4],
    flash_until: Option<Mono>,
    travel: Duration,
    /// Thousandths of the way up.
    place: u32,
    drives: Option<bool>,
    at: Mono,
}

impl Plant {
    fn new(travel: Duration) -> Self {
        Self {
            manner: Manner::Honest,
            vehicle: false,
            fire: false,
            approach: false,
            exit: false,
            button: false,
            more: [false; 8],
            reads: 0,
            registers: vec![0; 32],
            hit: false,
            both: false,
            pulses: [0; 3],
            opened_at: None,
            coils: [false; 4],
            flash_until: None,
            travel,
            place: 0,
            drives: None,
            at: Mono::default(),
        }
    }

    /// Returns whether a contact is on.
    pub fn coil(&self, coil: usize) -> bool {
        self.coils.get(coil).copied().unwrap_or(false)
    }

    /// Returns whether the arm is all the way up.
    pub fn is_up(&self) -> bool {
        self.place == 1000
    }

    /// Returns whether the arm is all the way down.
    pub fn is_down(&self) -> bool {
        self.place == 0
    }

    fn advance(&mut self, now: Mono) {
        let travel = self.travel.as_millis().max(1);
        let gone = u32::try_from(now.since(self.at).as_millis() * 1000 / travel).unwrap_or(u32::MAX).min(1000);
        self.at = now;
        match self.drives.filter(|_| self.manner != Manner::Jammed) {
            Some(true) => self.place = (self.place + gone).min(1000),
            Some(false) => {
                self.place = self.place.saturating_sub(gone);
                self.hit |= self.vehicle && self.place < 500;
            }
            None => {}
        }
        if self.flash_until.is_some_and(|until| until <= now) {
            self.flash_until = None;
            self.switch(0, false);
        }
        // A hold drives it up and keeps it there.
        if self.coil(3) {
            self.drives = Some(true);
        }
    }

    fn switch(&mut self, coil: usize, on: bool) {
        let Some(place) = self.coils.get_mut(coil) else { return };
        let rises = on && !*place;
        *place = on;
        if rises && let Some(pulses) = self.pulses.get_mut(coil) {
            *pulses += 1;
            if coil == 0 {
                self.opened_at = Some(self.at);
            }
            self.drives = match coil {
                0 => Some(true),
                1 => Some(false),
                _ => None,
            };
        }
        self.both |= self.coil(0) && self.coil(1);
    }

    fn inputs(&self) -> [bool; 16] {
        let Self { vehicle, fire, exit, approach, button, .. } = *self;
        let arm = [vehicle, vehicle, !fire, self.is_up(), self.is_down(), exit, approach, button];
        let mut inputs = [false; 16];
        inputs.iter_mut().zip(arm.into_iter().chain(self.more)).for_each(|(input, on)| *input = on);
        inputs
    }

    /// Somebody lowers the arm by hand.
    pub fn lower(&mut self) {
        self.drives = Some(false);
    }

    /// Something else than this module opens the barrier: the relay of a camera, a remote control.
    pub fn raise(&mut self) {
        self.drives = Some(true);
    }

    /// Answers a PDU; nothing where it does not answer.
    fn answer(&mut self, pdu: &[u8], now: Mono) -> Option<Vec<u8>> {
        self.advance(now);
        let &[function, a, b, c, d, ref rest @ ..] = pdu else { return Some(vec![0x80, 1]) };
        let (start, word) = (usize::from(u16::from_be_bytes([a, b])), u16::from_be_bytes([c, d]));
        if self.manner == Manner::Deaf {
            return None;
        }
        let count = usize::from(word);
        let bits = |bits: &[bool]| {
            let bytes: Vec<u8> =
                bits.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, on| byte << 1 | u8::from(*on))).collect();
            [&[function, u8::try_from(bytes.len()).unwrap_or(0)], bytes.as_slice()].concat()
        };
        let echo = || vec![function, a, b, c, d];
        let answer = match function {
            1 => self.coils.get(start..start + count).map(bits),
            2 if self.manner == Manner::Blind => None,
            2 => {
                self.reads += 1;
                self.inputs().get(start..start + count).map(bits)
            }
            3 => self.registers.get(start..start + count).map(|words| {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
                [&[function, u8::try_from(bytes.len()).unwrap_or(0)], bytes.as_slice()].concat()
            }),
            5 => {
                self.switch(start, word == 0xFF00);
                Some(echo())
            }
            16 if start == 3 && count == 2 => {
                let tenths = rest.get(3..5).and_then(|two| two.try_into().ok()).map_or(0, u16::from_be_bytes);
                self.switch(0, true);
                self.flash_until = Some(now + Duration::from_millis(u64::from(tenths) * 100));
                Some(echo())
            }
            _ => None,
        };
        if self.manner == Manner::Mute && function >= 5 {
            return None;
        }
        Some(answer.unwrap_or_else(|| vec![function | 0x80, 2]))
    }
}

/// A running module. Dropping it closes its sockets.
#[derive(Debug)]
pub struct SimModule {
    addr: SocketAddr,
    plant: Arc<Mutex<Plant>>,
    clock: Clock,
    _accept: JoinSet<()>,
}

impl SimModule {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(framing: Framing, travel: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (plant, clock) = (Arc::new(Mutex::new(Plant::new(travel))), Clock::system());
        lock(&plant).at = clock.mono();
        let (shared, time) = (Arc::clone(&plant), clock.clone());
        let mut accept = JoinSet::new();
        accept.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, framing, Arc::clone(&shared), time.clone()));
            }
        });
        Ok(Self { addr, plant, clock, _accept: accept })
    }

    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes what is around the barrier, or how the module behaves.
    pub fn change(&self, change: impl FnOnce(&mut Plant)) {
        change(&mut lock(&self.plant));
    }

    /// Returns how it stands now.
    pub fn look(&self) -> Plant {
        let mut plant = lock(&self.plant);
        plant.advance(self.clock.mono());
        plant.clone()
    }
}

fn lock(plant: &Arc<Mutex<Plant>>) -> MutexGuard<'_, Plant> {
    plant.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, framing: Framing, plant: Arc<Mutex<Plant>>, clock: Clock) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    loop {
        let (head, pdu) = received(&mut stream, framing).await?;
        let Some(answer) = lock(&plant).answer(&pdu, clock.mono()) else { continue };
        let frame = match framing {
            Framing::Tcp => {
                let length = u16::try_from(answer.len() + 1).ok()?;
                [head.get(..4)?, &length.to_be_bytes(), head.get(6..)?, &answer].concat()
            }
            Framing::Rtu => {
                let mut frame = [head.as_slice(), &answer].concat();
                let crc = crc16(&frame);
                frame.extend(crc.to_le_bytes());
                frame
            }
        };
        stream.write_all(&frame).await.ok()?;
    }
}

/// What stands before the PDU, and the PDU.
async fn received(stream: &mut TcpStream, framing: Framing) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut head = vec![0; if framing == Framing::Tcp { 7 } else { 1 }];
    stream.read_exact(&mut head).await.ok()?;
    let mut pdu = vec![0; 5];
    stream.read_exact(&mut pdu).await.ok()?;
    if matches!(pdu.first(), Some(15 | 16)) {
        let bytes = stream.read_u8().await.ok()?;
        let mut more = vec![0; usize::from(bytes)];
        stream.read_exact(&mut more).await.ok()?;
        pdu.push(bytes);
        pdu.extend(more);
    }
    if framing == Framing::Rtu {
        let mut crc = [0; 2];
        stream.read_exact(&mut crc).await.ok()?;
        let whole = [head.as_slice(), &pdu, &crc].concat();
        if crc16(&whole) != 0 {
            return None;
        }
    }
    Some((head, pdu))
}
