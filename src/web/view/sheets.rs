//! The pages of the uplink and of the store, and the facts about them that the overview shows too.

use super::{ACK_LATE, Align, Block, Cell, Look, Page, Panel, Row, Table, Tone, Viewer};
use super::{lasting, overview, page, waiting_of, waiting_total};
use crate::domain::record::{GapReason, Stream};
use crate::domain::snapshot::{DeliveryStatus, SessionStatus};
use crate::web::format;
use crate::web::lang::{self, Text};

/// Share of the quota from which the store is nearly full.
const NEARLY_FULL: f64 = 0.9;

/// Returns the page of the uplink.
pub fn uplink(look: &Look, v: &Viewer<'_>) -> Page {
    let status = &look.uplink;
    let age = status.last_ack.map(|at| look.now.mono.since(at));
    let late = status.configured && waiting_total(look) > 0 && age.is_none_or(|age| age > ACK_LATE);
    let broker = if status.configured { Cell::fixed(&status.broker) } else { Cell::fixed(v.t(Text::NotConfigured)) };
    let live = status.live_age.map_or_else(|| Cell::live("—").dim(), |age| Cell::live(v.span(age)));
    let facts = vec![
        (v.t(Text::Broker).to_owned(), broker),
        (v.t(Text::Waiting).to_owned(), Cell::warn_if(late, format::count(waiting_total(look)))),
        (v.t(Text::LastAck).to_owned(), overview::last_ack(age, late, v)),
        (v.t(Text::LiveAge).to_owned(), live),
        (v.t(Text::GapsOpen).to_owned(), gaps(look)),
        (v.t(Text::GapsTotal).to_owned(), Cell::count(look.store.gaps_total)),
    ];
    let panel = Panel { title: v.t(Text::Uplink).to_owned(), href: None, rows: facts };
    let mut blocks = vec![Block::Panels(vec![panel])];
    if status.configured {
        blocks.extend([Block::Table(sessions(look, v)), Block::Table(deliveries(look, v))]);
    }
    if !status.refused.is_empty() {
        let rows = status.refused.iter().map(|(reason, n)| vec![Cell::fixed(*reason), Cell::count(*n)]);
        blocks.push(Block::Table(table(v, Text::Refused, &COUNTED, rows)));
    }
    page(look, v, "/uplink", v.t(Text::Uplink).to_owned(), "/events?page=uplink", blocks)
}

const COUNTED: [(Text, Align); 2] = [(Text::Reason, Align::Left), (Text::Count, Align::Right)];

fn table(v: &Viewer<'_>, title: Text, columns: &[(Text, Align)], rows: impl Iterator<Item = Vec<Cell>>) -> Table {
    Table {
        title: v.t(title).to_owned(),
        columns: columns.iter().map(|(text, align)| (v.t(*text).to_owned(), *align)).collect(),
        rows: rows.map(|cells| Row { first: true, cells }).collect(),
    }
}

fn sessions(look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Session, Align::Left),
        (Text::Connection, Align::Left),
        (Text::Since, Align::Right),
        (Text::Attempts, Align::Right),
        (Text::Trouble, Align::Left),
    ];
    let rows = look.uplink.sessions.iter().map(|s| {
        let state = if s.up { format!("● {}", v.t(Text::Up)) } else { v.t(Text::Down).to_owned() };
        vec![
            Cell::fixed(lang::session(s.name, v.lang())),
            Cell::bad_if(!s.up, state),
            lasting(look, v, s.since),
            Cell::count(s.attempts),
            Cell::live(s.trouble.clone().unwrap_or_else(|| "—".to_owned())),
        ]
    });
    table(v, Text::Sessions, &columns, rows)
}

fn deliveries(look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Stream, Align::Left),
        (Text::Waiting, Align::Right),
        (Text::InFlight, Align::Right),
        (Text::Delivered, Align::Right),
        (Text::Resent, Align::Right),
    ];
    let rows = Stream::ALL.into_iter().map(|stream| {
        let s = delivery(look, stream);
        let counts = [s.waiting, s.in_flight, s.delivered, s.resent].map(Cell::count);
        std::iter::once(Cell::fixed(lang::stream(stream, v.lang()))).chain(counts).collect()
    });
    table(v, Text::Streams, &columns, rows)
}

fn delivery(look: &Look, stream: Stream) -> DeliveryStatus {
    look.uplink.streams.get(stream.rank()).copied().unwrap_or_default()
}

/// Returns the page of the store.
pub fn store(look: &Look, v: &Viewer<'_>) -> Page {
    let s = &look.store;
    let health_panel = vec![
        (v.t(Text::Health).to_owned(), health(look, v)),
        (v.t(Text::Used).to_owned(), used(look)),
        (v.t(Text::DiskFree).to_owned(), disk_free(look, v)),
        (v.t(Text::Epoch).to_owned(), Cell::live(&s.epoch)),
    ];
    let work_panel = vec![
        (v.t(Text::Commits).to_owned(), Cell::count(s.commits)),
        (v.t(Text::WorstCommit).to_owned(), Cell::live(v.span(s.worst_commit))),
        (v.t(Text::Reopened).to_owned(), Cell::warn_if(s.reopened > 0, format::count(s.reopened))),
        (v.t(Text::Quarantined).to_owned(), Cell::warn_if(s.quarantined > 0, format::count(s.quarantined))),
        (v.t(Text::GapsOpen).to_owned(), gaps(look)),
        (v.t(Text::GapsTotal).to_owned(), Cell::count(s.gaps_total)),
    ];
    let panels = vec![
        Panel { title: v.t(Text::Health).to_owned(), href: None, rows: health_panel },
        Panel { title: v.t(Text::Store).to_owned(), href: None, rows: work_panel },
    ];
    let mut blocks = vec![Block::Panels(panels), Block::Table(streams(look, v))];
    if !s.lost.is_empty() {
        let rows =
            s.lost.iter().map(|(reason, n)| vec![Cell::fixed(lang::gap_reason(*reason, v.lang())), Cell::count(*n)]);
        blocks.push(Block::Table(table(v, Text::LostRecords, &COUNTED, rows)));
    }
    page(look, v, "/store", v.t(Text::Store).to_owned(), "/events?page=store", blocks)
}

/// The streams, from the store's side and the platform's.
pub(super) fn streams(look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Stream, Align::Left),
        (Text::First, Align::Right),
        (Text::Stored, Align::Right),
        (Text::Next, Align::Right),
        (Text::Bytes, Align::Right),
        (Text::Segments, Align::Right),
        (Text::Oldest, Align::Right),
        (Text::Waiting, Align::Right),
        (Text::InFlight, Align::Right),
        (Text::Delivered, Align::Right),
        (Text::LostRecords, Align::Right),
    ];
    table(v, Text::Streams, &columns, Stream::ALL.into_iter().map(|stream| stream_row(look, v, stream)))
}

fn stream_row(look: &Look, v: &Viewer<'_>, stream: Stream) -> Vec<Cell> {
    let s = look.store.streams.get(stream.rank()).cloned().unwrap_or_default();
    let d = delivery(look, stream);
    let oldest = s.oldest.map_or_else(|| Cell::live("—").dim(), |at| Cell::live(v.zone.date_time(at)));
    let kept = |n: u64| if s.stored == 0 { Cell::live("—").dim() } else { Cell::count(n) };
    let sent = |n: u64| if look.uplink.configured { Cell::count(n) } else { Cell::live("—").dim() };
    vec![
        Cell::fixed(lang::stream(stream, v.lang())),
        kept(s.first),
        kept(s.stored),
        Cell::count(s.next),
        Cell::live(format::bytes(s.bytes)),
        Cell::count(s.segments),
        oldest,
        Cell::count(waiting_of(look, stream)),
        sent(d.in_flight),
        sent(d.delivered),
        lost(look, s.lost),
    ]
}

/// One session in one cell: symbol, word, since when or why not.
pub(super) fn session_state(look: &Look, v: &Viewer<'_>, session: &SessionStatus) -> Cell {
    let since = session.since.map(|at| v.span(look.now.mono.since(at))).unwrap_or_default();
    if session.up {
        return Cell::live(format!("● {} {since}", v.t(Text::Up)));
    }
    let why = session.trouble.as_deref().unwrap_or("");
    let text =
        if why.is_empty() { format!("{} {since}", v.t(Text::Down)) } else { format!("{} · {why}", v.t(Text::Down)) };
    Cell::toned(Tone::Bad, text)
}

/// Whether the store writes, and why not.
pub(super) fn health(look: &Look, v: &Viewer<'_>) -> Cell {
    match (look.store.healthy, &look.store.trouble) {
        (true, None) => Cell::live(format!("● {}", v.t(Text::Healthy))),
        (true, Some(trouble)) => Cell::toned(Tone::Warn, format!("{} · {trouble}", v.t(Text::Healthy))),
        (false, trouble) => {
            Cell::toned(Tone::Bad, format!("{} · {}", v.t(Text::Failed), trouble.as_deref().unwrap_or("")))
        }
    }
}

/// Bytes used of the quota.
#[expect(clippy::cast_precision_loss, reason = "one digit of a share is shown")]
pub(super) fn used(look: &Look) -> Cell {
    let (bytes, quota) = (look.store.bytes, look.store.quota_bytes);
    let share = if quota == 0 { 0.0 } else { bytes as f64 / quota as f64 };
    let text = format!("{} / {} ({:.0} %)", format::bytes(bytes), format::bytes(quota), share * 100.0);
    Cell::warn_if(share >= NEARLY_FULL, text)
}

/// Bytes free on the disk.
pub(super) fn disk_free(look: &Look, v: &Viewer<'_>) -> Cell {
    match look.store.free_bytes {
        Some(free) => Cell::live(format::bytes(free)),
        None => Cell::live(v.t(Text::Unknown)).dim(),
    }
}

/// Lost records. They are abnormal as long as the platform has not been told; then they are an account of the past. After
/// a crash nobody knows better than the numbers reserved before it: the figure says that it is an upper bound.
pub(super) fn lost(look: &Look, n: u64) -> Cell {
    let is_bound = n > 0 && look.store.lost.iter().any(|(why, n)| *why == GapReason::CrashUncommitted && *n > 0);
    let figure = if is_bound { format!("≤ {}", format::count(n)) } else { format::count(n) };
    Cell::warn_if(n > 0 && look.store.gaps_open > 0, figure)
}

/// Gaps that the platform has not acknowledged.
pub(super) fn gaps(look: &Look) -> Cell {
    Cell::warn_if(look.store.gaps_open > 0, format::count(look.store.gaps_open))
}
