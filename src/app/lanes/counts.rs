//! What was counted at the two doors that devices of the gates call, and of the pictures, as the metrics name it.

use tokio::sync::watch;

use super::pictures;
use crate::lane::camera::desk::Counts as Pushes;
use crate::lane::camera::session as cameras;
use crate::lane::jtt808::desk::Counts as Messages;
use crate::lane::jtt808::session as terminals;

/// All; a session that starts again counts from zero.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Counts {
    /// Pushes of cameras.
    pub(super) cameras: watch::Sender<cameras::Counts>,
    /// Messages of terminals.
    pub(super) terminals: watch::Sender<terminals::Counts>,
    /// What became of pictures.
    pub(super) pictures: watch::Sender<pictures::Counts>,
}

impl Counts {
    /// Returns all of them, by door and kind.
    pub(in crate::app) fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
        let of = |door, counts: Vec<(&'static str, u64)>| counts.into_iter().map(move |(what, n)| (door, what, n));
        let (cameras, terminals) = (*self.cameras.borrow(), *self.terminals.borrow());
        let pictures = of("pictures", of_pictures(*self.pictures.borrow()));
        of("cameras", of_cameras(cameras)).chain(of("terminals", of_terminals(terminals))).chain(pictures).collect()
    }
}

fn of_cameras(counts: cameras::Counts) -> Vec<(&'static str, u64)> {
    let cameras::Counts { desk, no_place, challenged, wrong, replayed, out_of_window, too_many, elsewhere, .. } =
        counts;
    let cameras::Counts { nowhere, too_large, slow, not_pushes, pictures_dropped, news, news_refused, .. } = counts;
    let Pushes { plates, resent, offline, stale, undecided, opened, strangers, pictures_refused } = desk;
    vec![
        ("plates", plates),
        ("resent", resent),
        ("offline", offline),
        ("stale", stale),
        ("undecided", undecided),
        ("opened", opened),
        ("strangers", strangers),
        ("pictures_refused", pictures_refused),
        ("pictures_dropped", pictures_dropped),
        ("no_place", no_place),
        ("challenged", challenged),
        ("wrong_proof", wrong),
        ("replayed", replayed),
        ("out_of_window", out_of_window),
        ("too_many", too_many),
        ("elsewhere", elsewhere),
        ("nowhere", nowhere),
        ("too_large", too_large),
        ("slow", slow),
        ("no_push", not_pushes),
        ("news", news),
        ("news_refused", news_refused),
    ]
}

fn of_terminals(counts: terminals::Counts) -> Vec<(&'static str, u64)> {
    let terminals::Counts { desk, no_place, stalled } = counts;
    let Messages { frames, bad, unknown, wrong, early, unsupported, given_up, silent } = desk;
    vec![
        ("frames", frames),
        ("bad", bad),
        ("unknown", unknown),
        ("wrong_code", wrong),
        ("early", early),
        ("unsupported", unsupported),
        ("given_up", given_up),
        ("silent", silent),
        ("no_place", no_place),
        ("stalled", stalled),
    ]
}

fn of_pictures(counts: pictures::Counts) -> Vec<(&'static str, u64)> {
    let pictures::Counts { kept, busy, disk_full, failed, nobodys, more, displaced, forgotten, sent, missing, unsent } =
        counts;
    vec![
        ("kept", kept),
        ("busy", busy),
        ("disk_full", disk_full),
        ("failed", failed),
        ("nobodys", nobodys),
        ("more", more),
        ("displaced", displaced),
        ("forgotten", forgotten),
        ("sent", sent),
        ("missing", missing),
        ("unsent", unsent),
    ]
}
