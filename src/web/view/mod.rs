//! What a page says, as plain values: a [`Look`] at the gateway becomes a [`Page`] of blocks and cells. Pure.
//!
//! A cell is `live` (its text changes while the page is open) or fixed (names, units, links). The live cells of a page,
//! in order, are numbered; the event stream sends those that changed. Whatever is fixed, and the structure itself, is
//! hashed into the [`Page::shape`]: when it changes (a reload of the configuration, a banner that comes or goes), the
//! script loads the page anew.
//!
//! A state is never told by colour alone: abnormal cells begin with a symbol and say it in words. Colour is reserved
//! for what is abnormal *now*; counters of the past stay grey.

mod alarms;
mod bus;
mod daybook;
mod device;
mod gates;
mod instruments;
mod opcua;
mod overview;
mod sheets;
mod site;

use std::sync::Arc;
use std::time::Duration;

pub use alarms::alarms;
pub use daybook::daybook;
pub use device::{device, point};
pub use gates::{gates, inside_list, muster_roll};
pub use overview::overview;
pub use sheets::{store, uplink};
pub use site::site;

use super::format::{self, Zone};
use super::lang::{self, Lang, Text};
use super::park::{Gates, Identity, Readiness};
use super::request::Choice;
use crate::domain::reading::Quality;
use crate::domain::record::Stream;
use crate::domain::snapshot::{
    BusStatus, ClockStatus, ConfigStatus, OpcUaStatus, PeersStatus, Snapshot, StoreStatus, UplinkStatus,
};
use crate::domain::time::{ClockTrust, Mono, Now};

/// A page without script loads itself again after this many seconds.
const REFRESH: u32 = 5;
/// A page with a trend costs a read of the store: less often.
const REFRESH_TREND: u32 = 30;
/// An acknowledgement older than this, while records wait, is abnormal; the design asks again after 60 s.
const ACK_LATE: Duration = Duration::from_secs(60);

/// One look at the whole gateway; shared by all viewers of the same second.
#[derive(Clone, Debug)]
pub struct Look {
    /// Who it is.
    pub identity: Identity,
    /// Software version.
    pub version: &'static str,
    /// When.
    pub now: Now,
    /// The field; `None` when the engine did not answer.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The gates.
    pub gates: Gates,
    /// The store.
    pub store: Arc<StoreStatus>,
    /// The uplink.
    pub uplink: Arc<UplinkStatus>,
    /// Sharing with the park's other gateways.
    pub peers: Arc<PeersStatus>,
    /// The OPC UA sources.
    pub opcua: OpcUaStatus,
    /// The field buses, by id.
    pub buses: Vec<Arc<BusStatus>>,
    /// What was counted where devices of the gates call: door, kind, how many.
    pub gate_calls: Vec<(&'static str, &'static str, u64)>,
    /// The configuration on disk against the one in force.
    pub config: Arc<ConfigStatus>,
    /// The clock.
    pub clock: ClockStatus,
    /// Whether it may be relied upon.
    pub readiness: Readiness,
}

/// For whom a page is made.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// Language, and whether the links keep it.
    pub choice: Choice,
    /// Zone of times shown.
    pub zone: &'a Zone,
    /// Address of the style, with its version.
    pub style: &'a str,
    /// Address of the script, with its version.
    pub script: &'a str,
}

impl Viewer<'_> {
    fn lang(&self) -> Lang {
        self.choice.lang
    }

    fn t(&self, text: Text) -> &'static str {
        text.of(self.lang())
    }

    fn link(&self, path: &str) -> String {
        self.choice.link(path)
    }

    fn span(&self, span: Duration) -> String {
        format::span(span, self.lang())
    }
}

/// How a cell is shown; beside colour each tone has a symbol in the text or a mark of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Normal: dark on light, nothing else.
    #[default]
    Plain,
    /// Of little interest now.
    Dim,
    /// Abnormal, may wait.
    Warn,
    /// Abnormal, someone must act.
    Bad,
    /// There is no value.
    None,
    /// There is a value, but older than expected.
    Stale,
    /// An alarm of the highest priority; see `alarms.rs`.
    Red,
    /// Of the second.
    Orange,
    /// Of the third.
    Yellow,
    /// Of the lowest.
    Blue,
}

impl Tone {
    /// Returns the class of the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Dim => "dim",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::None => "none",
            Self::Stale => "stale",
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Blue => "blue",
        }
    }
}

/// One text (or bar) of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How.
    pub tone: Tone,
    /// Whether it changes while the page is open.
    pub live: bool,
    /// Where it leads.
    pub href: Option<String>,
    /// Rows that it spans.
    pub span: usize,
    /// Instead of text, a bar of this many percent.
    pub bar: Option<f64>,
    /// Instead of text, the picture at this address; an empty one shows nothing.
    pub image: bool,
}

impl Cell {
    /// A text that does not change.
    pub fn fixed(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain, live: false, href: None, span: 1, bar: None, image: false }
    }

    /// A text that changes.
    pub fn live(text: impl Into<String>) -> Self {
        Self { live: true, ..Self::fixed(text) }
    }

    /// A live text in a tone, with the tone's symbol before it.
    pub fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        let symbol = match tone {
            Tone::Plain | Tone::Dim => "",
            Tone::Warn => "▲ ",
            Tone::Bad => "■ ",
            Tone::None => "◇ ",
            Tone::Stale => "△ ",
            Tone::Red => "◆ ",
            Tone::Orange => "▲ ",
            Tone::Yellow => "● ",
            Tone::Blue => "○ ",
        };
        Self { tone, ..Self::live(format!("{symbol}{}", text.as_ref())) }
    }

    /// A live text that is bad when `bad`.
    pub fn bad_if(bad: bool, text: impl AsRef<str>) -> Self {
        Self::toned(if bad { Tone::Bad } else { Tone::Plain }, text)
    }

    /// A live text that is a warning when `warn`.
    pub fn warn_if(warn: bool, text: impl AsRef<str>) -> Self {
        Self::toned(if warn { Tone::Warn } else { Tone::Plain }, text)
    }

    /// A live count.
    pub fn count(n: u64) -> Self {
        Self::live(format::count(n))
    }

    /// A live bar; `None` is drawn as "no value", which looks different from an empty bar.
    pub fn meter(percent: Option<f64>, tone: Tone) -> Self {
        let (percent, tone) = match percent {
            // Never thinner than a mark that can be seen: zero is a value.
            Some(percent) => (percent.clamp(1.5, 100.0), tone),
            None => (100.0, Tone::None),
        };
        Self { tone, bar: Some(percent), ..Self::live("") }
    }

    /// A live picture by its address; `None` shows nothing.
    pub fn picture(address: Option<String>) -> Self {
        Self { image: true, ..Self::live(address.unwrap_or_default()) }
    }

    fn to(mut self, href: String) -> Self {
        self.href = Some(href);
        self
    }

    fn dim(mut self) -> Self {
        self.tone = Tone::Dim;
        self
    }
}

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
    /// Words that may be cut.
    Cut,
    /// Words on several lines; each may be broken, none is cut.
    Lines,
    /// A bar.
    Bar,
}

impl Align {
    /// Returns the class of the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Left => "l",
            Self::Right => "r",
            Self::Cut => "c",
            Self::Lines => "n",
            Self::Bar => "b",
        }
    }
}

/// A group of facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Its name.
    pub title: String,
    /// Where more of it is.
    pub href: Option<String>,
    /// Name and fact.
    pub rows: Vec<(String, Cell)>,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Whether it begins a group; a row that continues one has fewer cells than columns.
    pub first: bool,
    /// Its cells; the last ones of the table's columns when there are fewer.
    pub cells: Vec<Cell>,
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name.
    pub title: String,
    /// Its columns.
    pub columns: Vec<(String, Align)>,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Panels beside each other.
    Panels(Vec<Panel>),
    /// A table.
    Table(Table),
    /// A banner: something is wrong with the whole.
    Notice(Cell),
    /// Lines for an eye two metres away; empty ones take no room.
    Board(Vec<Cell>),
    /// A trend, already drawn; `href` gives it anew.
    Trend {
        /// Address of the trend alone.
        href: String,
        /// Its title.
        title: String,
        /// Markup made by [`super::trend`].
        html: String,
    },
}

/// What surrounds every page.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Language.
    pub lang: Lang,
    /// Name of the gateway.
    pub site: String,
    /// Its ids.
    pub ids: String,
    /// Name, address, whether it is this page.
    pub nav: Vec<(String, String, bool)>,
    /// Time of the look, in the park's zone.
    pub time: Cell,
    /// The zone's name.
    pub zone: String,
    /// Trust in the clock.
    pub trust: Cell,
    /// Name of the other language.
    pub other_name: String,
    /// This page in the other language.
    pub other_href: String,
    /// What to say when the stream stops.
    pub lost: String,
    /// See `lost`.
    pub lost_for: String,
    /// Address of the style.
    pub style: String,
    /// Address of the script.
    pub script: String,
}

/// A page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// What surrounds it.
    pub frame: Frame,
    /// What it says.
    pub blocks: Vec<Block>,
    /// Address of its event stream, where it has one.
    pub events: Option<String>,
    /// Seconds after which a page without script loads itself again.
    pub refresh: Option<u32>,
}

impl Page {
    /// Returns all cells, in the order in which they are written.
    fn cells(&self) -> Vec<&Cell> {
        let mut cells = vec![&self.frame.time, &self.frame.trust];
        for block in &self.blocks {
            match block {
                Block::Panels(panels) => cells.extend(panels.iter().flat_map(|p| &p.rows).map(|(_, cell)| cell)),
                Block::Table(table) => cells.extend(table.rows.iter().flat_map(|row| &row.cells)),
                Block::Notice(cell) => cells.push(cell),
                Block::Board(lines) => cells.extend(lines),
                Block::Trend { .. } => {}
            }
        }
        cells
    }

    /// Returns the live cells; their position is their number on the page.
    pub fn live(&self) -> Vec<&Cell> {
        self.cells().into_iter().filter(|cell| cell.live).collect()
    }

    /// Returns the hash of everything that does not change while the page is open.
    pub fn shape(&self) -> String {
        let mut fixed = format!("{}\n{}\n{}\n", self.title, self.frame.site, self.frame.script);
        for cell in self.cells() {
            fixed.push_str(if cell.live { "~" } else { &cell.text });
            // Without the query: whether links keep the language is no change of what is shown.
            fixed.push_str(cell.href.as_deref().and_then(|href| href.split('?').next()).unwrap_or(""));
            fixed.push(if cell.bar.is_some() { '\t' } else { '\n' });
        }
        format!("{:08x}", crc32c::crc32c(fixed.as_bytes()))
    }
}

/// Makes a page around its blocks. `path` is its own address, `stream` that of its events.
fn page(look: &Look, viewer: &Viewer<'_>, path: &str, title: String, stream: &str, body: Vec<Block>) -> Page {
    let trend = body.iter().any(|block| matches!(block, Block::Trend { .. }));
    Page {
        title,
        frame: frame(look, viewer, path),
        blocks: notices(look, viewer).into_iter().chain(body).collect(),
        events: Some(format!("{stream}{}lang={}", if stream.contains('?') { '&' } else { '?' }, viewer.lang().code())),
        refresh: Some(if trend { REFRESH_TREND } else { REFRESH }),
    }
}

/// A page that says only one thing: an error.
pub fn message(look: &Look, viewer: &Viewer<'_>, text: Text) -> Page {
    let back = Cell::fixed(viewer.t(Text::BackToOverview)).to(viewer.link("/"));
    Page {
        title: viewer.t(text).to_owned(),
        frame: frame(look, viewer, "/"),
        blocks: vec![Block::Notice(Cell::fixed(viewer.t(text))), Block::Notice(back)],
        events: None,
        refresh: None,
    }
}

fn frame(look: &Look, viewer: &Viewer<'_>, path: &str) -> Frame {
    let mut nav = vec![
        (Text::Overview, "/"),
        (Text::Alarms, "/alarms"),
        (Text::SiteState, "/site"),
        (Text::Gates, "/gates"),
        (Text::Daybook, "/daybook"),
        (Text::Uplink, "/uplink"),
        (Text::Store, "/store"),
    ];
    if matches!(look.gates, Gates::Absent) {
        nav.retain(|(text, _)| *text != Text::Gates);
    }
    let other = Choice { lang: viewer.lang().other(), asked: true };
    // The lists that the gates' page leads to are parts of it.
    let of = |href: &str| {
        path == href || (href == "/gates" && ["/inside", "/muster"].iter().any(|one| path.starts_with(one)))
    };
    let id = &look.identity;
    Frame {
        lang: viewer.lang(),
        site: if id.name.is_empty() { id.gateway.clone() } else { id.name.clone() },
        ids: format!("{} / {}", id.park, id.gateway),
        nav: nav.into_iter().map(|(text, href)| (viewer.t(text).to_owned(), viewer.link(href), of(href))).collect(),
        time: Cell::live(viewer.zone.date_time(look.now.wall)),
        zone: viewer.zone.name().to_owned(),
        trust: trust(look.clock.trust, viewer.lang()),
        other_name: viewer.t(Text::OtherLanguage).to_owned(),
        other_href: other.link(path),
        lost: viewer.t(Text::Lost).to_owned(),
        lost_for: viewer.t(Text::LostFor).to_owned(),
        style: viewer.style.to_owned(),
        script: viewer.script.to_owned(),
    }
}

fn notices(look: &Look, viewer: &Viewer<'_>) -> Vec<Block> {
    let mut notices = Vec::new();
    if look.snapshot.is_none() {
        notices.push(Block::Notice(Cell::toned(Tone::Bad, viewer.t(Text::EngineSilent))));
    }
    if !(look.readiness.ready && look.readiness.live) {
        let text = format!("{}: {}", viewer.t(Text::NotReady), look.readiness.reasons.join("; "));
        notices.push(Block::Notice(Cell::toned(Tone::Bad, text)));
    }
    notices.extend(config_notices(look, viewer).into_iter().map(Block::Notice));
    notices
}

/// What whoever edits the files must see: that what they wrote is not in force, and why.
fn config_notices(look: &Look, viewer: &Viewer<'_>) -> Vec<Cell> {
    let mut cells = Vec::new();
    if let Some(refused) = &look.config.refused {
        let since = viewer.zone.date_time(look.now.wall_at(refused.since));
        let text = format!("{} {since} ({})", viewer.t(Text::ConfigRefused), refused.total);
        cells.push(Cell::toned(Tone::Bad, text));
        cells.extend(refused.problems.iter().map(|problem| Cell::live(problem.as_str())));
    }
    if !look.config.restart.is_empty() {
        let text = format!("{}: {}", viewer.t(Text::ConfigRestart), look.config.restart.join(", "));
        cells.push(Cell::toned(Tone::Warn, text));
    }
    cells
}

fn trust(trust: ClockTrust, lang: Lang) -> Cell {
    let tone = match trust {
        ClockTrust::Synced => Tone::Plain,
        ClockTrust::Holdover | ClockTrust::Unsynced => Tone::Warn,
    };
    Cell::toned(tone, lang::trust(trust, lang))
}

/// Returns how long something lasts, or a dash when that is not known.
fn lasting(look: &Look, viewer: &Viewer<'_>, since: Option<Mono>) -> Cell {
    since.map_or_else(|| Cell::live("—").dim(), |at| Cell::live(viewer.span(look.now.mono.since(at))))
}

/// Returns the sum of what the platform has not got.
fn waiting_of(look: &Look, stream: Stream) -> u64 {
    let of_uplink = look.uplink.streams.get(stream.rank()).map_or(0, |s| s.waiting);
    let of_store = look.store.streams.get(stream.rank()).map_or(0, |s| s.waiting);
    if look.uplink.configured { of_uplink } else { of_store }
}

fn waiting_total(look: &Look) -> u64 {
    Stream::ALL.into_iter().map(|s| waiting_of(look, s)).fold(0, u64::saturating_add)
}

/// Returns the tone of a quality: what someone must mend, what is out of bounds, what a person has arranged.
fn tone_of(quality: Quality) -> Tone {
    match quality {
        Quality::Good => Tone::Plain,
        Quality::Comm | Quality::Sensor => Tone::Bad,
        Quality::OverRange | Quality::UnderRange | Quality::Stale | Quality::Suspect => Tone::Warn,
        Quality::Calibration | Quality::Maintenance | Quality::Stopped | Quality::Substituted => Tone::None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
