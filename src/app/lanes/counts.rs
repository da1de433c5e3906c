//! What was counted at the two doors that devices of the gates call, as the metrics name it.

use tokio::sync::watch;

use crate::lane::camera::desk::Counts as Pushes;
use crate::lane::camera::session as cameras;
use crate::lane::jtt808::desk::Counts as Messages;
use crate::lane::jtt808::session as terminals;

/// Both; a session that starts again counts from zero.
#[derive(Clone, Debug)]
pub(in crate::app) struct Counts {
    /// Pushes of cameras.
    pub(super) cameras: watch::Sender<cameras::Counts>,
    /// Messages of terminals.
    pub(super) terminals: watch::Sender<terminals::Counts>,
}

impl Counts {
    /// Returns all of them, by door and kind.
    pub(in crate::app) fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
        let of = |door, counts: Vec<(&'static str, u64)>| counts.into_iter().map(move |(what, n)| (door, what, n));
        let (cameras, terminals) = (*self.cameras.borrow(), *self.terminals.borrow());
        of("cameras", of_cameras(cameras)).chain(of("terminals", of_terminals(terminals))).collect()
    }
}

fn of_cameras(counts: cameras::Counts) -> Vec<(&'static str, u64)> {
    let cameras::Counts { desk, no_place, challenged, wrong, replayed, out_of_window, too_many, elsewhere, .. } =
        counts;
    let cameras::Counts { nowhere, too_large, slow, not_pushes, pictures_dropped, .. } = counts;
    let Pushes { plates, resent, offline, stale, undecided, opened, strangers, pictures_cut } = desk;
    vec![
        ("plates", plates),
        ("resent", resent),
        ("offline", offline),
        ("stale", stale),
        ("undecided", undecided),
        ("opened", opened),
        ("strangers", strangers),
        ("pictures_cut", pictures_cut),
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
