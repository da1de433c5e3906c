//! The OPC UA sources and the certificates of their servers, as tables of the overview; nothing where there are none.

use super::{Align, Block, Cell, Look, Row, Table, Tone, Viewer};
use crate::domain::snapshot::{Certificate, OpcUaServer};
use crate::web::lang::Text;

/// Returns the tables.
pub(super) fn tables(look: &Look, v: &Viewer<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !look.opcua.servers.is_empty() {
        let rows = look.opcua.servers.iter().map(|(id, server)| server_row(id, server, v)).collect();
        let columns = [
            (Text::Source, Align::Left),
            (Text::Address, Align::Cut),
            (Text::Security, Align::Left),
            (Text::Session, Align::Left),
            (Text::Watched, Align::Right),
            (Text::NodesRefused, Align::Right),
            (Text::SessionsMade, Align::Right),
            (Text::Overflows, Align::Right),
            (Text::Watchdog, Align::Right),
        ];
        blocks.push(table(v, Text::OpcUa, &columns, rows));
    }
    let rejected: Vec<_> = look.opcua.certificates.iter().filter(|cert| !cert.trusted).collect();
    if !rejected.is_empty() {
        let columns = [(Text::Subject, Align::Cut), (Text::Fingerprint, Align::Left), (Text::ValidUntil, Align::Right)];
        let rows = rejected.into_iter().map(|cert| certificate_row(cert, v)).collect();
        blocks.push(table(v, Text::RejectedCertificates, &columns, rows));
    }
    blocks
}

fn table(v: &Viewer<'_>, title: Text, columns: &[(Text, Align)], rows: Vec<Vec<Cell>>) -> Block {
    Block::Table(Table {
        title: v.t(title).to_owned(),
        columns: columns.iter().map(|(text, align)| (v.t(*text).to_owned(), *align)).collect(),
        rows: rows.into_iter().map(|cells| Row { first: true, cells }).collect(),
    })
}

fn server_row(id: &str, server: &OpcUaServer, v: &Viewer<'_>) -> Vec<Cell> {
    let security = match server.is_secured {
        true => Cell::live(&server.security),
        false => Cell::toned(Tone::Warn, format!("{} · {}", server.security, v.t(Text::Unprotected))),
    };
    let state = match (&server.trouble, server.up) {
        (_, true) => Cell::live(format!("● {}", v.t(Text::Up))),
        (Some(why), false) => Cell::toned(Tone::Bad, why),
        (None, false) => Cell::toned(Tone::None, v.t(Text::Connecting)),
    };
    let counters = &server.counters;
    vec![
        Cell::fixed(id),
        Cell::fixed(&server.url),
        security,
        state,
        Cell::count(server.watched as u64),
        Cell::warn_if(server.refused > 0, server.refused.to_string()),
        Cell::count(counters.sessions),
        Cell::count(counters.overflows + counters.sequence_gaps + counters.dropped),
        Cell::count(counters.watchdog),
    ]
}

fn certificate_row(cert: &Certificate, v: &Viewer<'_>) -> Vec<Cell> {
    vec![
        Cell::toned(Tone::Warn, &cert.subject),
        Cell::live(format!("SHA-1 {} · SHA-256 {}", cert.sha1, cert.sha256)),
        Cell::live(v.zone.date_time(cert.to)),
    ]
}
