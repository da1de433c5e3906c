//! Which sessions the configuration asks for, and what each lane's commands can go to: pure.
//!
//! One session for each device, and for a module one for each lane that it serves: an opening waits for no other lane's, and
//! the module's death is told to each of them. All cameras push to one listener, all terminals to another.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::gates::{
    BarrierDevice, CameraDevice, CameraMake, Contact, Converter, Gates, ModuleDevice, OutputWire, Proof, PushDevice,
    ReaderDevice, ScaleDevice, Tcp, TerminalDevice, Wiring,
};
use crate::domain::gate::lane::spec::{Flow, LaneSpec};
use crate::domain::gate::register::digest::LookUpKey;
use crate::domain::gate::wiegand::ByteOrder;
use crate::domain::gate::word::{Direction, LaneId};
use crate::lane::board;
use crate::lane::camera::auth::Auth;
use crate::lane::camera::digest::Algorithm;
use crate::lane::camera::{Camera, Make, Wired};
use crate::lane::coding::{Key, Password};
use crate::lane::isapi::barrier::Profile;
use crate::lane::isapi::session::Barrier;
use crate::lane::jtt808::desk::Terminal;
use crate::lane::modbus::request::Framing;
use crate::lane::modbus::session::Address;
use crate::lane::push::Pusher;
use crate::lane::reader::{self, Reader};
use crate::lane::relay::{self, Block, Module, Wire};
use crate::lane::route::{Contacts, Equipment, To};
use crate::lane::scale::{Rule, Scale};
use crate::lane::vzenith::answer::Fire;

/// Pulse of a camera's own output: what the cameras themselves do when nothing else is said.
const CAMERA_PULSE: Duration = Duration::from_millis(500);
/// Time for a barrier's controller, a reader, a board, a scale: small devices behind switches and serial servers.
const WITHIN: Duration = Duration::from_secs(2);
/// Words that a flash-on register takes: the function "on, then off by itself", and tenths of a second.
const FLASH_ON: u16 = 4;

/// A session, by what it is made of. Two that are equal are the same session, and go on over a reload.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Session {
    /// All cameras, and other systems that push.
    Cameras(SocketAddr, (Vec<CameraSeat>, Vec<PushDevice>)),
    /// All terminals.
    Terminals(SocketAddr, Vec<TerminalDevice>),
    /// A module, for one lane.
    Relay(Module),
    /// A barrier's controller.
    Barrier(Barrier),
    /// A reader.
    Reader(ReaderSeat),
    /// A board.
    Board(board::session::Board),
    /// A weighbridge.
    Scale(Scale),
}

/// A camera at its lane.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CameraSeat {
    device: CameraDevice,
    lane: LaneId,
    looks: Option<Direction>,
    inputs: BTreeMap<u8, Wired>,
}

/// A reader at its lane.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReaderSeat {
    device: ReaderDevice,
    lane: LaneId,
    looks: Direction,
}

/// What is to run, by name, and whom each lane's commands can go to: the device and the name of its session.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) lanes: BTreeMap<LaneId, (Equipment, BTreeMap<To, String>)>,
}

/// The listener of the cameras.
const CAMERAS: &str = "cameras";
/// The listener of the terminals.
const TERMINALS: &str = "terminals";

/// Returns what a configuration asks for.
pub(super) fn of(gates: &Gates) -> Plan {
    let mut plan = Plan::default();
    let mut cameras = Vec::new();
    for (spec, wiring) in gates.lanes.iter().zip(&gates.wiring) {
        plan.lane(gates, spec, wiring, &mut cameras);
    }
    let pushers = gates.devices.pushers.clone();
    if let Some(listen) = gates.listening.cameras.filter(|_| !(cameras.is_empty() && pushers.is_empty())) {
        plan.sessions.insert(CAMERAS.to_owned(), Session::Cameras(listen, (cameras, pushers)));
    }
    if let Some(listen) = gates.listening.terminals {
        let known = gates.listening.known.clone();
        plan.sessions.insert(TERMINALS.to_owned(), Session::Terminals(listen, known));
    }
    plan
}

impl Plan {
    fn lane(&mut self, gates: &Gates, spec: &LaneSpec, wiring: &Wiring, cameras: &mut Vec<CameraSeat>) {
        let (devices, lane) = (&gates.devices, &spec.id);
        let (mut has, mut doors) = (Equipment::default(), BTreeMap::new());
        let name = |device: &str| format!("lane {lane} {device}");
        for module in devices.modules.iter().filter(|module| serves(module, wiring)) {
            let name = name(&module.id);
            if wiring.outputs.iter().any(|wire| wire.device == module.id) {
                has.relay = contacts(&wiring.outputs);
                doors.insert(To::Relay, name.clone());
            }
            self.sessions.insert(name, Session::Relay(module_of(module, wiring)));
        }
        for device in devices.cameras.iter().filter(|camera| wiring.cameras.contains(&camera.id)) {
            let answers = device.make == CameraMake::Vzenith;
            has.camera |= answers;
            has.camera_opens |= answers && device.relay.is_some();
            doors.insert(To::Camera, CAMERAS.to_owned());
            let looks = match spec.flow {
                Flow::In => Some(Direction::In),
                Flow::Out => Some(Direction::Out),
                Flow::Both | Flow::Reversible(_) => None,
            };
            cameras.push(CameraSeat {
                device: device.clone(),
                lane: lane.clone(),
                looks,
                inputs: inputs(device, wiring),
            });
        }
        let barrier = devices.barriers.iter().find(|device| Some(&device.id) == wiring.barrier.as_ref());
        if let Some(device) = barrier {
            has.barrier = true;
            doors.insert(To::Barrier, name(&device.id));
            self.sessions.insert(name(&device.id), Session::Barrier(barrier_of(device, lane)));
        }
        if let Some(device) = devices.boards.iter().find(|device| Some(&device.id) == wiring.board.as_ref()) {
            has.board = true;
            doors.insert(To::Board, name(&device.id));
            let (id, host) = (device.id.clone(), place(&device.at));
            let board = board::session::Board { device: id, lane: lane.clone(), host, within: WITHIN };
            self.sessions.insert(name(&device.id), Session::Board(board));
        }
        if let Some(device) = devices.scales.iter().find(|device| Some(&device.id) == wiring.scale.as_ref()) {
            self.sessions.insert(name(&device.id), Session::Scale(scale_of(device, lane)));
        }
        for (looks, ids) in [(Direction::In, &wiring.readers_in), (Direction::Out, &wiring.readers_out)] {
            for device in devices.readers.iter().filter(|reader| ids.contains(&reader.id)) {
                let (name, device, lane) = (name(&device.id), device.clone(), lane.clone());
                self.sessions.insert(name, Session::Reader(ReaderSeat { device, lane, looks }));
            }
        }
        self.lanes.insert(lane.clone(), (has, doors));
    }
}

fn serves(module: &ModuleDevice, wiring: &Wiring) -> bool {
    wiring.inputs.iter().any(|wire| wire.at.device == module.id)
        || wiring.outputs.iter().any(|wire| wire.device == module.id)
}

fn contacts(outputs: &[OutputWire]) -> Contacts {
    let has = |contact| outputs.iter().any(|wire| wire.contact == contact);
    let (open, close) = (has(Contact::Open), has(Contact::Close));
    Contacts { open, close, stop: has(Contact::Stop), hold: has(Contact::Hold) }
}

fn place(at: &Tcp) -> String {
    format!("{}:{}", at.host, at.port)
}

fn address(at: &Tcp, within: Duration) -> Address {
    Address { host: place(at), framing: Framing::Tcp, unit: at.unit, within }
}

fn module_of(module: &ModuleDevice, wiring: &Wiring) -> Module {
    let inputs: Vec<Wire> = wiring
        .inputs
        .iter()
        .filter(|wire| wire.at.device == module.id)
        .map(|wire| Wire { input: wire.input, bit: wire.at.channel - 1, closed_at_rest: wire.at.closed_at_rest })
        .collect();
    let coil = |contact| {
        let wire = wiring.outputs.iter().find(|wire| wire.contact == contact && wire.device == module.id);
        wire.map(|wire| wire.channel - 1)
    };
    let pulsed = |contact| coil(contact).map(|coil| pulse(module, coil));
    Module {
        device: module.id.clone(),
        lane: wiring.lane.clone(),
        address: address(&module.at, module.timeout),
        block: block(module),
        inputs,
        open: pulsed(Contact::Open),
        close: pulsed(Contact::Close),
        stop: pulsed(Contact::Stop),
        hold: coil(Contact::Hold),
    }
}

/// What is read again and again. Of a module without inputs its relays: that it answers is what is to be known.
fn block(module: &ModuleDevice) -> Block {
    let ModuleDevice { function, start, inputs, relays, .. } = *module;
    match (inputs, function) {
        (0, _) => Block { function: 1, start: 0, count: relays.max(1) },
        (inputs, 3 | 4) => Block { function, start, count: inputs.div_ceil(16) },
        (count, function) => Block { function, start, count },
    }
}

fn pulse(module: &ModuleDevice, coil: u16) -> relay::Contact {
    let Some(first) = module.flash else { return relay::Contact::Pulse { coil, length: module.pulse } };
    let register = first.saturating_add(coil.saturating_mul(module.flash_step));
    let tenths = u16::try_from(module.pulse.as_millis() / 100).unwrap_or(1).max(1);
    relay::Contact::Flash { register, words: vec![FLASH_ON, tenths], coil: Some(coil) }
}

fn inputs(camera: &CameraDevice, wiring: &Wiring) -> BTreeMap<u8, Wired> {
    let own = wiring.inputs.iter().filter(|wire| wire.at.device == camera.id);
    let wired = own.filter_map(|wire| {
        let source = u8::try_from(wire.at.channel - 1).ok()?;
        Some((source, Wired { input: wire.input, closed_at_rest: wire.at.closed_at_rest }))
    });
    wired.collect()
}

fn barrier_of(device: &BarrierDevice, lane: &LaneId) -> Barrier {
    let (user, password) = match &device.proof {
        Some(Proof::Digest { user, password }) => (user.clone(), text(password)),
        // A barrier is asked by us: it knows users and passwords only.
        Some(Proof::Hmac { .. }) | None => (String::new(), String::new()),
    };
    Barrier {
        device: device.id.clone(),
        lane: lane.clone(),
        address: format!("{}:{}", device.host, device.port),
        profile: Profile::parking(device.channel),
        user,
        password: Password::new(password),
        within: WITHIN,
    }
}

fn scale_of(device: &ScaleDevice, lane: &LaneId) -> Scale {
    let rule = Rule { within_kg: device.within_kg, for_time: device.still_for, ..Rule::default() };
    Scale { device: device.id.clone(), lane: lane.clone(), address: address(&device.at, WITHIN), rule }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl CameraSeat {
    /// Returns the camera as the listener takes it.
    pub(super) fn camera(&self) -> Camera {
        let Self { device, lane, looks, inputs } = self.clone();
        let auth = auth_of(device.proof);
        Camera {
            device: device.id,
            lane,
            make: match device.make {
                CameraMake::Vzenith => Make::Vzenith,
                CameraMake::Isapi => Make::Isapi,
            },
            serial: device.serial,
            looks,
            min_confidence: device.min_confidence,
            answer_within: device.answer_within,
            max_age: device.max_age,
            silent_after: device.silent_after,
            fire: device.relay.map(|io| Fire::Output { io, pulse: CAMERA_PULSE }),
            inputs,
            auth,
            address: device.address,
        }
    }
}

impl ReaderSeat {
    /// Returns the reader as its session takes it.
    pub(super) fn reader(&self, key: &LookUpKey) -> Reader {
        let Self { device, lane, looks } = self.clone();
        let converter = match device.converter {
            Converter::Modbus { at, start } => reader::Converter::Modbus { address: address(&at, WITHIN), start },
            Converter::Lines(at) => reader::Converter::Tcp { host: place(&at) },
        };
        let order = if device.reversed { ByteOrder::Reversed } else { ByteOrder::Straight };
        Reader { device: device.id, lane, direction: looks, converter, order, key: key.clone() }
    }
}

/// Returns the keys of codes.
pub(super) fn codes(gates: &Gates) -> Vec<Key> {
    gates.listening.codes.0.iter().map(|key| Key::new(key)).collect()
}

/// Returns systems that push as their listener takes them.
pub(super) fn pushers(known: &[PushDevice]) -> Vec<Pusher> {
    let of = |PushDevice { id, proof, address, queues, persons, silent_after }: PushDevice| Pusher {
        id,
        auth: auth_of(proof),
        address,
        queues,
        persons,
        silent_after,
    };
    known.iter().cloned().map(of).collect()
}

fn auth_of(proof: Option<Proof>) -> Auth {
    match proof {
        Some(Proof::Digest { user, password }) => {
            // The cameras of today know no other hash.
            Auth::Digest { user, password: Password::new(text(&password)), algorithm: Algorithm::Md5 }
        }
        Some(Proof::Hmac { key }) => Auth::Hmac { key: Key::new(&key) },
        // Refused by the configuration already; without a proof nobody comes in.
        None => Auth::Hmac { key: Key::new(&[]) },
    }
}

/// Returns terminals as their desk takes them.
pub(super) fn terminals(known: &[TerminalDevice]) -> Vec<Terminal> {
    let of = |TerminalDevice { id, phone, plate, datum, silent_after }: TerminalDevice| Terminal {
        id,
        phone,
        plate,
        datum,
        silent_after,
    };
    known.iter().cloned().map(of).collect()
}
