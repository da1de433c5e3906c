//! The segments of one stream: the manifest in memory, the view of the one being written, and the file.
//!
//! Shared by the stream's writer (adds, seals), the keeper (removes), the reader (replaces damaged ones): short locks,
//! never held over a disk operation, except `file`, which orders the writes of the manifest.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::files::lock;
use super::manifest::{Manifest, Segment, folder};
use super::segment::{Active, View};
use crate::domain::ranges::RangeSet;
use crate::domain::record::Stream;

/// The segments of one stream.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) stream: Stream,
    /// The stream's folder.
    pub(super) dir: PathBuf,
    epoch: String,
    boot: u32,
    state: Mutex<State>,
    file: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    segments: BTreeMap<u64, Segment>,
    active: Option<View>,
}

impl Shelf {
    /// Returns the shelf of `stream` in the store's folder `dir` with these segments, for the run `boot` of `epoch`.
    pub(super) fn new(stream: Stream, dir: &Path, epoch: &str, boot: u32, segments: Vec<Segment>) -> Self {
        let segments = segments.into_iter().map(|s| (s.first, s)).collect();
        let state = Mutex::new(State { segments, active: None });
        Self { stream, dir: dir.join(stream.as_str()), epoch: epoch.to_owned(), boot, state, file: Mutex::new(()) }
    }

    /// Writes the manifest as it stands.
    pub(super) fn persist(&self) -> io::Result<()> {
        let _order = lock(&self.file);
        let segments = lock(&self.state).segments.clone();
        Manifest::store(&self.epoch, self.boot, &segments, &self.dir)
    }

    /// Returns the folder of the segment that begins with `first`.
    pub(super) fn path(&self, first: u64) -> PathBuf {
        self.dir.join(folder(first))
    }

    /// Returns all segments, ascending.
    pub(super) fn segments(&self) -> Vec<Segment> {
        lock(&self.state).segments.values().cloned().collect()
    }

    /// Returns the segments with numbers in `from..=to`, ascending.
    pub(super) fn overlapping(&self, from: u64, to: u64) -> Vec<Segment> {
        let state = lock(&self.state);
        state.segments.values().filter(|s| s.has_records() && s.first <= to && s.last >= from).cloned().collect()
    }

    /// Returns the first number kept, where there is one.
    pub(super) fn first_kept(&self) -> Option<u64> {
        lock(&self.state).segments.values().find(|s| s.has_records()).map(|s| s.first)
    }

    /// Returns the segment that begins with `first` as it stands now.
    pub(super) fn get(&self, first: u64) -> Option<Segment> {
        lock(&self.state).segments.get(&first).cloned()
    }

    /// Forgets the segments of which nothing is left and whose numbers are all in `accounted`, the durable ledger.
    pub(super) fn forget_hollow(&self, accounted: &RangeSet) {
        let mut state = lock(&self.state);
        state.segments.retain(|_, s| !(s.is_hollow() && accounted.covers(s.first..=s.last)));
    }

    /// Returns whether the segment is still one of the stream's.
    pub(super) fn has(&self, first: u64) -> bool {
        lock(&self.state).segments.contains_key(&first)
    }

    /// Returns the view of the segment that is being written, if it is the one that begins with `first`.
    pub(super) fn active_view(&self, first: u64) -> Option<View> {
        lock(&self.state).active.as_ref().filter(|v| v.first == first).cloned()
    }

    /// Takes in a segment that begins to be written.
    pub(super) fn begin(&self, active: &Active) {
        let mut state = lock(&self.state);
        state.segments.insert(active.segment.first, active.segment.clone());
        state.active = Some(active.view());
    }

    /// Takes in what a commit added: the segment's line and its blocks from index `from_block` on.
    pub(super) fn committed(&self, active: &Active, from_block: usize) {
        let mut state = lock(&self.state);
        state.segments.insert(active.segment.first, active.segment.clone());
        if let Some(view) = state.active.as_mut().filter(|v| v.first == active.segment.first) {
            view.blocks.truncate(from_block);
            view.blocks.extend_from_slice(active.blocks_from(from_block));
        }
    }

    /// Closes the segment for good as `segment` says; one without records is forgotten.
    pub(super) fn seal(&self, mut segment: Segment) {
        let mut state = lock(&self.state);
        if state.active.as_ref().is_some_and(|v| v.first == segment.first) {
            state.active = None;
        }
        segment.sealed = true;
        if segment.has_records() {
            state.segments.insert(segment.first, segment);
        } else {
            state.segments.remove(&segment.first);
        }
    }

    /// Replaces a segment by what could be salvaged of it, or by nothing.
    pub(super) fn replace(&self, first: u64, by: Option<Segment>) {
        let mut state = lock(&self.state);
        state.segments.remove(&first);
        if let Some(segment) = by {
            state.segments.insert(segment.first, segment);
        }
    }

    /// Forgets the view of the segment being written, so that its files can close.
    pub(super) fn let_go(&self) {
        let view = lock(&self.state).active.take();
        super::segment::let_go(view);
    }
}
