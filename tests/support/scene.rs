//! The stage of a story: a field, a broker, a platform, and the folder of a gateway between them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use parkgate::domain::record::Stream;
use parkgate::sim::load::folder::Folder;
use parkgate::sim::load::{Contents, Field, Layout, Seen, Spec};

use super::platform::{Manners, Platform};
use super::process::{Gateway, Mosquitto};
use super::wait::{SOON, eventually, free_port};

/// Everything but the gateway itself.
#[derive(Debug)]
pub struct Scene {
    /// The gateway's end, as the city sees it. Dropped first: it must not see the broker go.
    pub platform: Platform,
    /// The broker between them.
    pub broker: Mosquitto,
    /// The devices.
    pub field: Field,
    /// What the folder says.
    pub folder: Folder,
    /// The folder.
    pub dir: tempfile::TempDir,
}

impl Scene {
    /// Sets the stage: `devices` × `registers` that walk, the platform strict and acknowledging, the folder adjusted by
    /// `adjust` and written. `None` after a skip.
    pub fn set(devices: usize, registers: u16, adjust: impl FnOnce(&mut Folder)) -> Option<Self> {
        let broker = Mosquitto::start()?;
        let spec = Spec { devices, registers, contents: Contents::Walk, layout: Layout::PortEach, seed: 1 };
        let field = Field::start(&spec).unwrap();
        let mut folder = Folder::new(field.places(), registers, free_port()).with_uplink(broker.port());
        adjust(&mut folder);
        // On the disk of the build, not on a /tmp that may be memory.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        folder.write(dir.path()).unwrap();
        let manners = Manners { acks: true, strict: true };
        let platform = Platform::start(broker.port(), &folder.park, &folder.gateway, &manners);
        Some(Self { platform, broker, field, folder, dir })
    }

    /// Starts the gateway and waits until it is ready.
    pub fn gateway(&self) -> Gateway {
        Gateway::start_ready(self.dir.path(), self.folder.web_port)
    }

    /// Waits until the platform holds `polls` more polls of every device than it did.
    pub fn heard_from_all(&self, polls: u64) {
        let before = self.received();
        self.waits(&format!("{polls} more polls of every device at the platform"), || {
            self.received().iter().zip(&before).all(|(now, before)| *now >= before + polls)
        });
    }

    /// Waits until the platform holds a poll of every device made under this boot.
    pub fn heard_under_boot(&self, boot: u32) {
        let devices = self.folder.places.len();
        self.waits(&format!("every device under boot {boot}"), || {
            let desk = self.platform.desk();
            desk.counters.boots().values().filter(|boots| boots.contains(&boot)).count() == devices
        });
    }

    /// Waits until every device was asked `polls` more times than it was.
    pub fn asked_all(&self, polls: u64) {
        let before = self.field.seen();
        self.waits(&format!("{polls} more polls of every device"), || {
            self.field.seen().iter().zip(&before).all(|(now, before)| now.polls >= before.polls + polls)
        });
    }

    /// Waits until what waited has been delivered: one range from 1 on, reaching at least `beyond`, but for gaps.
    pub fn drained(&self, beyond: u64) {
        self.waits(&format!("everything up to {beyond} delivered without a hole"), || {
            let desk = self.platform.desk();
            let mut known = desk.account.held(Stream::Telemetry);
            let last = known.last().unwrap_or(0);
            for gap in desk.account.gaps(Stream::Telemetry).values().flat_map(|g| g.iter()) {
                known.insert(gap);
            }
            last >= beyond && known.covers(1..=last)
        });
    }

    /// Waits until the account closes by the `next` that the gateway told last.
    pub fn closes(&self) {
        self.waits("the account closes", || self.platform.close_by_state().is_some_and(|c| c.closes()));
    }

    /// Asserts that nothing is wrong with what was received so far, complete or not.
    pub fn nothing_is_wrong(&self) {
        let desk = self.platform.desk();
        let closing = desk.account.close([1; 6]);
        let blemishes = desk.account.blemishes();
        assert_eq!(
            (closing.order_faults, closing.changed, closing.refused),
            (0, 0, 0),
            "{blemishes:?} {:?}",
            desk.faults
        );
        assert!(desk.counters.tallies().values().all(|t| t.backwards == 0), "{:?}", desk.counters.tallies());
    }

    /// Asserts that the platform holds every poll the devices answered, from the first on; `in_flight` of each may have
    /// been on their way when the gateway stopped.
    pub fn holds_every_poll(&self, in_flight: u64) {
        let desk = self.platform.desk();
        let tallies = desk.counters.tallies();
        for (i, seen) in self.field.seen().iter().enumerate() {
            let device = Folder::device(i);
            let tally = tallies.get(device.as_str()).copied().unwrap_or_default();
            assert_eq!((tally.missing, tally.backwards), (0, 0), "{device}: {tally:?}");
            let short = seen.polls.saturating_sub(tally.received);
            assert!(short <= in_flight, "{device}: {short} polls of {} never arrived", seen.polls);
        }
    }

    /// What the devices have seen.
    pub fn seen(&self) -> Vec<Seen> {
        self.field.seen()
    }

    /// The account in words.
    pub fn account(&self) -> String {
        let closing = self.platform.close_by_state();
        let desk = self.platform.desk();
        let held = desk.account.held(Stream::Telemetry);
        let ranges: Vec<_> = held.iter().take(8).collect();
        format!(
            "telemetry held {} in {} ranges {ranges:?}; gaps {:?}; {:?}; blemishes {:?}; faults {:?}; closing {closing:?}",
            held.len(),
            held.n_ranges(),
            desk.account.gaps(Stream::Telemetry),
            desk.account.totals(),
            desk.account.blemishes().iter().take(5).collect::<Vec<_>>(),
            desk.faults,
        )
    }

    fn received(&self) -> Vec<u64> {
        let desk = self.platform.desk();
        (0..self.folder.places.len()).map(|i| desk.counters.received(&Folder::device(i))).collect()
    }

    fn waits(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let began = super::wait::now();
        while !condition() {
            if began.elapsed() > SOON {
                panic!("within {SOON:?} never came: {what}\n{}\n{}", self.account(), self.log_tail());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(super::process::log_of(self.dir.path())).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(30)).copied().collect::<Vec<_>>().join("\n")
    }
}

/// Runs the binary to its end.
pub fn parkgate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parkgate")).args(args).output().unwrap()
}

/// Replaces `from`, which must be there, by `to` in a file.
pub fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no `{from}`", file.display());
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

/// Waits until the log of a gateway says `words` once more than `before` times.
pub fn says(gateway: &Gateway, words: &str, before: usize) {
    eventually(SOON, words, || gateway.log().matches(words).count() > before);
}
