//! Documents of the store for who asks on the control socket: decisions for a replay, entries of the audit for its proof.

use tokio::sync::mpsc;

use super::actions::send;
use super::control::Desk;
use crate::control::Line;
use crate::control::ask::DocumentLine;
use crate::domain::codec;
use crate::domain::document::DocumentKind;
use crate::domain::record::Body;
use crate::domain::registry::Registry;
use crate::domain::time::Timestamp;

/// Bytes read at a time: some hundred decisions, and no more than a slow client keeps waiting in memory.
const PAGE_BYTES: usize = 512 << 10;

impl Desk {
    /// Sends the documents of a kind, from `since` on, in the order of their numbers.
    pub(super) async fn documents(
        &self,
        kind: &str,
        since: Option<Timestamp>,
        lines: &mpsc::Sender<Line>,
    ) -> Result<(), String> {
        let of = DocumentKind::ALL.iter().copied().find(|known| known.as_str() == kind);
        let of = of.ok_or_else(|| format!("没有记录种类 `{kind}` / there is no kind of document `{kind}`"))?;
        let stream = of.stream();
        // By number, not by the block in which a time lies: where the clock was stepped, more is read rather than less.
        let span = match since {
            None => Some(self.store.span(stream).await),
            Some(since) => {
                self.store.seqs_between(stream, since, Timestamp(i64::MAX)).await.map_err(|error| error.to_string())?
            }
        };
        let Some(span) = span else { return Ok(()) };
        // Documents name no point, so that no registry is needed to read them.
        let registry = Registry { rev: 0, devices: Vec::new() };
        let mut next = *span.start();
        while next <= *span.end() {
            let page = self.store.read(stream, next..=*span.end(), PAGE_BYTES).await;
            let page = page.map_err(|error| error.to_string())?;
            if page.next <= next {
                break;
            }
            next = page.next;
            for entry in page.entries {
                let Ok(Body::Document { kind, json, .. }) = codec::decode(&entry.body, &registry) else { continue };
                if kind == of && since.is_none_or(|since| entry.stamp.wall >= since) {
                    send(lines, Line::Document(DocumentLine { seq: entry.seq, json: json.to_string() })).await?;
                }
            }
        }
        Ok(())
    }
}
