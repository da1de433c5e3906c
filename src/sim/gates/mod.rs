//! The gates of the demo's park: what each lane is made of, on real sockets, and where the gateway finds it.
//!
//! ```text
//!  east      east-in   camera, arm, board          cars and trucks in
//!            east-out  camera, arm                 cars and trucks out
//!            walk      two readers, turnstile      persons, both ways
//!  chemical  chem-in   camera, arm, reader         dangerous goods in, to the bays P1 to P4
//!            chem-out  camera, arm                 dangerous goods out
//! ```
//!
//! [`papers`] is who is registered, [`desk`] what people tell the gateway, [`story`] what drives and walks through, [`trips`] the
//! papers of the tank trucks, [`ledger`] what really passed: the far end's account is held against it.

pub mod desk;
pub mod ledger;
pub mod papers;
pub mod story;
pub mod trips;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use super::gatehouse::camera::SimCamera;
use super::gatehouse::module::SimModule;
use super::gatehouse::serial::{SimBoard, SimReader};
use crate::lane::modbus::request::Framing;

/// How long an arm needs from down to up.
const TRAVEL: Duration = Duration::from_millis(1200);
/// User and password of all cameras.
const USER: &str = "parkgate";
const PASSWORD: &str = "demo-camera-1";
/// Where the cameras' listener is looked for: below the ports that Linux gives away, so that nobody gets it in between.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Ports that are tried.
const TRIES: usize = 64;

/// What a lane is, as far as its hardware and configuration differ.
#[derive(Clone, Copy, Debug)]
pub struct LaneKind {
    /// Id.
    pub id: &'static str,
    /// Its gate.
    pub gate: &'static str,
    /// Name.
    pub name: &'static str,
    /// The same in English.
    pub name_en: &'static str,
    /// `in`, `out` or `both`.
    pub direction: &'static str,
    /// Classes of vehicles, as TOML; empty: persons.
    pub classes: &'static str,
}

/// All lanes; the one without classes is the turnstile.
pub const LANES: [LaneKind; 5] = [
    LaneKind {
        id: "east-in",
        gate: "east",
        name: "东门 1 号进",
        name_en: "the east gate, way in 1",
        direction: "in",
        classes: r#"["small", "goods"]"#,
    },
    LaneKind {
        id: "east-out",
        gate: "east",
        name: "东门 2 号出",
        name_en: "the east gate, way out 2",
        direction: "out",
        classes: r#"["small", "goods"]"#,
    },
    LaneKind {
        id: "walk",
        gate: "east",
        name: "东门人行",
        name_en: "the east gate, on foot",
        direction: "both",
        classes: "",
    },
    LaneKind {
        id: "chem-in",
        gate: "chemical",
        name: "危化专用 1 号进",
        name_en: "the chemical gate, way in 1",
        direction: "in",
        classes: r#"["hazmat"]"#,
    },
    LaneKind {
        id: "chem-out",
        gate: "chemical",
        name: "危化专用 2 号出",
        name_en: "the chemical gate, way out 2",
        direction: "out",
        classes: r#"["hazmat"]"#,
    },
];

/// The hardware of one lane.
#[derive(Debug)]
pub struct Hardware {
    /// What it is.
    pub kind: LaneKind,
    /// Arm or turnstile, with its contacts.
    pub module: SimModule,
    /// Where cards are shown by who comes in: at the turnstile, and beside the scale of the hazmat lane.
    pub reader_in: Option<SimReader>,
    /// Where who leaves shows his card.
    pub reader_out: Option<SimReader>,
    board: Option<SimBoard>,
}

/// Everything at the gates. Dropping it closes its sockets.
#[derive(Debug)]
pub struct Gatehouse {
    /// Where the gateway is to listen for the cameras.
    pub cameras: SocketAddr,
    /// The lanes, in the order of [`LANES`].
    pub lanes: Vec<Hardware>,
}

impl Gatehouse {
    /// Starts all of it on free ports.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let mut lanes = Vec::new();
        for kind in LANES {
            let persons = kind.classes.is_empty();
            let reads = persons || kind.id == "chem-in";
            lanes.push(Hardware {
                kind,
                module: SimModule::start(Framing::Tcp, TRAVEL).await?,
                reader_in: if reads { Some(SimReader::start().await?) } else { None },
                reader_out: if persons { Some(SimReader::start().await?) } else { None },
                board: if kind.id == "east-in" { Some(SimBoard::start(false).await?) } else { None },
            });
        }
        Ok(Self { cameras: free_address()?, lanes })
    }

    /// Writes `gates.toml`, `hazmat.toml`, the policies' parameters, and the secrets that they name.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, dir: &std::path::Path) -> std::io::Result<()> {
        std::fs::write(dir.join("gates.toml"), self.gates_toml())?;
        std::fs::write(dir.join("hazmat.toml"), hazmat_toml())?;
        std::fs::create_dir(dir.join("policies"))?;
        std::fs::write(dir.join("policies/parameters.toml"), PARAMETERS)?;
        super::folder::write_secret(&dir.join("camera.password"), PASSWORD)
    }

    fn gates_toml(&self) -> String {
        let mut text = format!("[listen]\ncameras = \"{}\"\n{GATES}", self.cameras);
        self.lanes.iter().for_each(|lane| lane.describe(&mut text));
        text
    }
}

/// A port that nobody listens on. The gateway cannot be asked which one it took: its cameras are told one.
fn free_address() -> std::io::Result<SocketAddr> {
    let mut last = std::io::Error::other("no port was tried");
    for _ in 0..TRIES {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS)));
        match TcpListener::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Hardware {
    /// Returns the camera of the lane; it pushes to `to`.
    pub fn camera(&self, to: SocketAddr) -> SimCamera {
        let id = format!("cam-{}", self.kind.id);
        SimCamera::new(to, &id, &id, USER, PASSWORD, 0)
    }

    fn describe(&self, text: &mut String) {
        let LaneKind { id, gate, classes, .. } = self.kind;
        let persons = classes.is_empty();
        let port = self.module.addr().port();
        text.push_str(&format!(
            "\n[[module]]\nid = \"io-{id}\"\nhost = \"127.0.0.1\"\nport = {port}\ninputs = 16\nrelays = 4\npulse = \"200ms\"\n"
        ));
        if !persons {
            // A camera that a busy machine keeps waiting is not down.
            text.push_str(&format!(
                "\n[[camera]]\nid = \"cam-{id}\"\nmake = \"vzenith\"\nserial = \"cam-{id}\"\nuser = \"{USER}\"\n\
                 password_file = \"camera.password\"\nsilent_after = \"1min\"\nown_list_off = true\n"
            ));
        }
        for (way, reader) in [("in", &self.reader_in), ("out", &self.reader_out)] {
            let Some(port) = reader.as_ref().map(|reader| reader.addr().port()) else { continue };
            text.push_str(&format!(
                "\n[[reader]]\nid = \"card-{id}-{way}\"\nconverter = \"lines\"\nhost = \"127.0.0.1\"\nport = {port}\n"
            ));
        }
        if let Some(board) = &self.board {
            let port = board.addr().port();
            text.push_str(&format!("\n[[board]]\nid = \"led-{id}\"\nhost = \"127.0.0.1\"\nport = {port}\n"));
        }
        text.push_str(&format!("\n[[lane]]\nid = \"{id}\"\ngate = \"{gate}\"\n"));
        if !persons {
            text.push_str(&format!("classes = {classes}\ncameras = [\"cam-{id}\"]\n{TURN_BACK}"));
            text.push_str(if self.kind.direction == "in" { "room = 6\n" } else { "" });
        }
        for (way, reader) in [("in", &self.reader_in), ("out", &self.reader_out)] {
            if reader.is_some() {
                text.push_str(&format!("readers_{way} = [\"card-{id}-{way}\"]\n"));
            }
        }
        if self.board.is_some() {
            text.push_str(&format!("board = \"led-{id}\"\n"));
        }
        text.push_str(&if persons { turnstile_wires(id) } else { arm_wires(id) });
    }
}

/// As `gatehouse::module` has its contacts.
fn arm_wires(id: &str) -> String {
    format!(
        "[lane.inputs]\nunder_arm = \"io-{id}:1\"\nbeam = \"io-{id}:2\"\nfire = \"io-{id}:3 nc\"\n\
         open_limit = \"io-{id}:4\"\nclose_limit = \"io-{id}:5\"\nexit = \"io-{id}:6\"\napproach = \"io-{id}:7\"\n\
         guard_button = \"io-{id}:8\"\n[lane.outputs]\nopen = \"io-{id}:1\"\nclose = \"io-{id}:2\"\n\
         stop = \"io-{id}:3\"\nhold = \"io-{id}:4\"\n"
    )
}

fn turnstile_wires(id: &str) -> String {
    format!(
        "[lane.inputs]\nfire = \"io-{id}:3 nc\"\npassed = \"io-{id}:9\"\nexit_button = \"io-{id}:10\"\n\
         [lane.outputs]\nopen = \"io-{id}:1\"\nhold = \"io-{id}:4\"\n"
    )
}

/// Lanes as `site.toml` declares them.
pub(super) fn site_lanes() -> String {
    let lane = |lane: &LaneKind| {
        let carries = if lane.classes.is_empty() { "persons" } else { "vehicles" };
        let LaneKind { id, name, name_en, direction, .. } = lane;
        format!(
            "\n[[lane]]\nid = \"{id}\"\nname = \"{name}\"\nname_en = \"{name_en}\"\ndirection = \"{direction}\"\n\
             carries = \"{carries}\"\n"
        )
    };
    LANES.iter().map(lane).collect()
}

const TURN_BACK: &str = "turn_back = \"在岗亭前掉头\"\nturn_back_en = \"turn round before the guard house\"\n";

const GATES: &str = r#"
[register]
issuers = ["city-platform"]

[[gate]]
id = "east"
name = "东门"
name_en = "the east gate"
class = "general_goods"
manned = true

[[gate]]
id = "chemical"
name = "危化门"
name_en = "the gate for dangerous goods"
class = "hazmat_only"
manned = true
"#;

/// The demo's gate has no weighbridge.
const PARAMETERS: &str = "[weight]\nweigh = []\n";

/// A parking of four bays; its table of what must be apart is the built-in one, signed.
fn hazmat_toml() -> String {
    use crate::domain::gate::hazmat::apart::Table;
    let digest = Table::new(Table::default_rules(), None).digest();
    format!(
        "[[row]]\nbays = [\"P1\", \"P2\", \"P3\", \"P4\"]\narea = \"loaded\"\nfire = \"2\"\n\n[parking]\nentrances = 1\n\n\
         [signature]\nby = \"演示\"\non = \"2026-11-01\"\ndigest = \"{digest}\"\n"
    )
}

#[cfg(test)]
mod tests;
