//! `[pictures]`: where pictures of passages are kept, how much, how long.

use std::time::Duration;

use super::super::problem::Findings;
use super::super::section::Section;
use super::super::value::{Located, Size, Span};
use super::Around;
use crate::state::settings::Pictures as Settings;

/// Folder of the pictures within the state folder, where none is named.
const FOLDER: &str = "pictures";
/// Their key, within the state folder.
const KEY: &str = "pictures.key";
/// Default quota: four days of 1,200 passages with 400 kB each.
const QUOTA: u64 = 2 << 30;
/// Smallest and largest quota: some hundred pictures, a disk.
const QUOTAS: Size = Size(64 << 20, 4 << 40);
const DAY: Duration = Duration::from_secs(86_400);
/// Default time: what video at gates is kept for (`domain.md` 144).
const KEEP_DAYS: u32 = 90;

pub(super) fn read(mut section: Section<'_>, around: &Around<'_>, out: &mut Findings) -> Settings {
    let dir = section.or("dir", &Located(around.dir), around.state_dir.join(FOLDER), out);
    let quota_bytes = section.or("quota", &QUOTAS, QUOTA, out);
    let keep = section.or("keep", &Span(DAY, DAY * 3660), DAY * KEEP_DAYS, out);
    section.finish(&[], out);
    // What is sent is the uplink's to say.
    let (key_file, send) = (around.state_dir.join(KEY), std::collections::BTreeSet::new());
    Settings { dir, key_file, quota_bytes, keep, send }
}
