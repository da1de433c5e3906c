//! The simulated park on its sockets: a server for each address, the RS-485 line of the gas detectors, the DCS; and the task
//! that lets their registers live and does what is ordered ([`super::fault`]).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::dcs::{self, Dcs};
use super::devices::LINE_SOCKET;
use super::fault::{Fault, Faults};
use super::folder::{self, Socket};
use super::image::Image;
use super::life::Moment;
use super::park::Device;
use super::serial::{Manner, SerialLine};
use super::server::{Responsiveness, Server};
use crate::clock::Clock;
use crate::domain::time::Mono;
use crate::field::settings::{Line, Parity};
use crate::field::{Pki, PkiError};

/// The devices' registers change this often; twice as often as the fastest class polls.
const STEP: Duration = Duration::from_millis(100);
/// A DCS that restarts over and over is away for the first so long of each [`RESTARTS_EVERY`].
const RESTART_TAKES: Duration = Duration::from_secs(2);
const RESTARTS_EVERY: Duration = Duration::from_secs(8);

/// What serves a socket of the park.
pub(super) enum Place {
    Tcp(Server),
    Line(SerialLine),
}

/// The line of the gas detectors: what they are delivered with.
const DETECTORS: Line = Line { baud: 9600, parity: Parity::None, stop_bits: 1 };

impl Place {
    /// Returns where the gateway finds it.
    pub(super) fn socket(&self) -> Socket {
        match self {
            Self::Tcp(server) => Socket::Tcp(server.addr()),
            Self::Line(line) => Socket::Line(line.path().to_owned()),
        }
    }

    /// Returns how many requests were no reading ones.
    pub(super) fn writes(&self) -> u64 {
        match self {
            Self::Tcp(server) => server.writes(),
            Self::Line(line) => line.writes(),
        }
    }

    fn show(&self, unit: u8, image: Arc<Image>) {
        match self {
            Self::Tcp(server) => server.show(unit, image),
            Self::Line(line) => line.show(unit, image),
        }
    }

    fn behave(&self, unit: u8, mood: Responsiveness) {
        match self {
            Self::Tcp(server) => server.behave(unit, mood),
            Self::Line(line) => line.behave(unit, manner_of(mood)),
        }
    }
}

/// What a slave on a line does that a socket does so.
fn manner_of(mood: Responsiveness) -> Manner {
    match mood {
        Responsiveness::Answering => Manner::Answering,
        Responsiveness::Silent => Manner::Silent,
        Responsiveness::Late(late) => Manner::Late(late),
        Responsiveness::Dropping => Manner::Half,
        Responsiveness::Exception(code) => Manner::Exception(code),
        Responsiveness::Garbage => Manner::NoiseInside,
        Responsiveness::WrongUnit => Manner::WrongUnit,
    }
}

/// One server or line per socket, with all units behind it.
pub(super) async fn servers(devices: &[Device]) -> std::io::Result<Vec<Place>> {
    let sockets = devices.iter().map(|d| d.socket + 1).max().unwrap_or(0);
    let mut servers = Vec::new();
    for socket in 0..sockets {
        let units = devices.iter().filter(|d| d.socket == socket).map(|d| d.unit);
        servers.push(match socket {
            LINE_SOCKET => Place::Line(SerialLine::pty(units, DETECTORS)?),
            _ => Place::Tcp(Server::start(units).await?),
        });
    }
    Ok(servers)
}

/// Starts the DCS; the gateway's engineer has trusted its certificates before, also the one that has run out since.
pub(super) async fn trusted_dcs(folder: &Path) -> Result<Dcs, String> {
    let dcs = Dcs::start(dcs::demo(folder)).await?;
    let (pki, shown) = (Pki::new(folder.join("state/pki")), [dcs.certificate(), dcs.expired_certificate()]);
    let trust = move || -> Result<(), PkiError> {
        pki.prepare()?;
        for der in shown.map(|path| std::fs::read(path).unwrap_or_default()) {
            pki.judge(&der, Clock::system().now().wall)?;
        }
        let rejected = pki.list().into_iter().filter(|cert| !cert.trusted);
        rejected.map(|cert| cert.sha256).collect::<Vec<_>>().iter().try_for_each(|sha256| pki.trust(sha256).map(drop))
    };
    let trusted = tokio::task::spawn_blocking(trust).await.map_err(|e| e.to_string())?;
    trusted.map_err(crate::cli::chain)?;
    Ok(dcs)
}

/// What a fault by command is for the DCS: away, away again and again, standing still, without its instruments, or with the
/// certificate that has run out. What means nothing for it is refused before ([`super::fault::Nature`]).
async fn trouble(dcs: &mut Dcs, fault: Fault, since_start: Duration) {
    let at = since_start.as_millis() % RESTARTS_EVERY.as_millis();
    let away = fault == Fault::Silent || fault == Fault::Restart && at < RESTART_TAKES.as_millis();
    let expired = fault == Fault::Expired;
    if away || dcs.is_expired() != expired {
        dcs.end();
        dcs.set_expired(expired);
    }
    dcs.set_fault(if fault == Fault::Frozen {
        dcs::Fault::Frozen
    } else if matches!(fault, Fault::Exception(_)) {
        dcs::Fault::BadStatus
    } else {
        dcs::Fault::None
    });
    // A port that is not free yet is tried again at the next step.
    if !away && !dcs.is_running() {
        dcs.again().await.ok();
    }
}

/// Lets the park live.
pub(super) async fn live(
    devices: Vec<Device>,
    servers: Arc<Vec<Place>>,
    mut dcs: Dcs,
    clock: Clock,
    seed: u64,
    faults: watch::Receiver<Faults>,
) {
    let began = clock.mono();
    let mut due = began;
    loop {
        let (now, all) = (clock.mono(), faults.borrow().clone());
        let moment = Moment::new(now.since(began), seed);
        step(&devices, &servers, moment, &all, now);
        trouble(&mut dcs, all.of(folder::DCS_DEVICE, now), now.since(began)).await;
        dcs.set(dcs::values(moment));
        due = due + STEP;
        clock.sleep_until(due).await;
    }
}

/// Shows what the registers hold at a moment, and lets each device behave as it is ordered.
pub(super) fn step(devices: &[Device], servers: &[Place], moment: Moment, faults: &Faults, now: Mono) {
    for device in devices {
        let Some(server) = servers.get(device.socket) else { continue };
        let fault = faults.of(&device.id, now);
        if fault != Fault::Frozen {
            let moment = Moment { release: faults.release(&device.id, now), ..moment };
            server.show(device.unit, Arc::new(device.image(moment)));
        }
        server.behave(device.unit, fault.mood().unwrap_or_else(|| device.mood(moment)));
    }
}
