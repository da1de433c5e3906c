//! What the task asks of the store, without waiting for it: reads and notes run beside everything else.

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::task::Poll;

use rumqttc::Publish;

use crate::domain::ranges::RangeSet;
use crate::domain::record::{Gap, Stream};
use crate::uplink::command::Accepted;
use crate::uplink::delivery::{Delivery, Read};
use crate::uplink::feed::{FEEDS, Feed};
use crate::uplink::outbox::Item;
use crate::uplink::settings::Settings;
use crate::uplink::source::{Boxed, CONSUMER, ReadError, Source};

/// Bytes of bodies per page of history.
const PAGE_BYTES: usize = 256 << 10;
/// Ledger entries per page.
pub(super) const PAGE_GAPS: usize = 256;

/// What a job brings back.
pub(super) enum Done {
    Page(Feed, Read, Result<PageOf, ReadError>),
    Told(Feed),
    Gaps(Vec<Gap>),
    Remembered(Vec<Unsaved>, Result<(), String>),
}

/// A command that is to be done once its id is saved, and the connection it came by.
pub(super) struct Unsaved {
    pub(super) accepted: Accepted,
    pub(super) publish: Publish,
    pub(super) generation: u64,
}

/// A page of any feed: number, size and record, and what is missing.
pub(super) struct PageOf {
    pub(super) items: Vec<(u64, usize, Item)>,
    pub(super) missing: Vec<RangeInclusive<u64>>,
}

/// Reads and notes under way: at most one of each kind per feed, one look at the ledger, one save of command ids.
#[derive(Default)]
pub(super) struct Jobs(Vec<Boxed<'static, Done>>);

impl Jobs {
    /// Starts one; it runs while [`Jobs::next`] is waited for.
    pub(super) fn start(&mut self, job: impl Future<Output = Done> + Send + 'static) {
        self.0.push(Box::pin(job));
    }

    /// Waits for the next job that is done; for ever when there is none.
    pub(super) async fn next(&mut self) -> Done {
        poll_fn(|cx| {
            for i in 0..self.0.len() {
                if let Some(Poll::Ready(done)) = self.0.get_mut(i).map(|job| job.as_mut().poll(cx)) {
                    drop(self.0.swap_remove(i));
                    return Poll::Ready(done);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Loads the accounts of all feeds, and the last number of the ledger.
pub(super) async fn feeds<S: Source>(
    source: &S,
    settings: &Settings,
    committed: [u64; 6],
    next: [u64; 6],
) -> ([Delivery<Item>; FEEDS], u64) {
    let mut delivered: Vec<RangeSet> = Vec::with_capacity(FEEDS);
    for stream in Stream::ALL {
        delivered.push(source.delivered(stream, CONSUMER).await);
    }
    delivered.push(source.gaps_delivered(CONSUMER).await);
    let (mut known, mut gaps) = (0, Vec::new());
    loop {
        let page = source.gaps(known + 1, PAGE_GAPS).await;
        let Some(last) = page.last() else { break };
        known = last.no.max(known + 1);
        gaps.extend(page);
    }
    let feeds = Feed::ALL.map(|feed| {
        let i = feed.index();
        let set = delivered.get(i).cloned().unwrap_or_default();
        let (committed, next) = match feed {
            Feed::Stream(_) => (committed.get(i).copied().unwrap_or(0), next.get(i).copied().unwrap_or(1)),
            Feed::Gap => (known, known + 1),
        };
        let mut delivery = Delivery::new(settings.ack, settings.ack_timeout, feed.stored_first(), set, committed, next);
        for gap in gaps.iter().filter(|gap| feed == Feed::Stream(gap.stream)) {
            delivery.on_gap(gap.seqs.clone());
        }
        if feed == Feed::Gap { delivery.history_only() } else { delivery }
    });
    (feeds, known)
}

/// Reads a page of any feed.
pub(super) async fn read_page<S: Source>(source: &S, feed: Feed, read: &Read) -> Result<PageOf, ReadError> {
    match feed {
        Feed::Stream(stream) => {
            let page = source.read(stream, read.seqs.clone(), PAGE_BYTES).await?;
            let items = page.entries.into_iter().map(|e| (e.seq, e.body.len(), Item::Entry(e))).collect();
            Ok(PageOf { items, missing: page.missing })
        }
        Feed::Gap => {
            let gaps = source.gaps(*read.seqs.start(), PAGE_GAPS).await;
            // Entries that every consumer had have left the ledger: asked for once more (a resend, a lost account of what
            // was delivered) they are not there, and must not be waited for.
            let looked_at = if gaps.len() < PAGE_GAPS { None } else { gaps.last().map(|g| g.no) };
            let end = looked_at.map_or(*read.seqs.end(), |last| last.min(*read.seqs.end()));
            let missing = holes(*read.seqs.start()..=end, gaps.iter().map(|g| g.no));
            let items = gaps.into_iter().map(|g| (g.no, size_of::<Gap>(), Item::Gap(g))).collect();
            Ok(PageOf { items, missing })
        }
    }
}

/// Returns the parts of `span` that are not in `there`.
fn holes(span: RangeInclusive<u64>, there: impl Iterator<Item = u64>) -> Vec<RangeInclusive<u64>> {
    let there: RangeSet = there.map(|no| no..=no).collect();
    let (mut from, to) = span.into_inner();
    let mut holes = Vec::new();
    while let Some(hole) = (from <= to).then(|| there.first_hole(from..=to)).flatten() {
        from = hole.end().saturating_add(1);
        holes.push(hole);
    }
    holes
}
