//! The pictures of passages, from the cameras to their folder and into their passage's record.
//!
//! ```text
//!  camera listener ──mpsc, tried──▶ binder ──whose? (engine)──▶ ──mpsc, tried──▶ keeper ──file──▶ engine: on record, with its hash
//!        └──what is lost, and why──▶ binder ──whose?──▶ engine: on record as lost
//!                                                 keeper ◀──which is next, it is there──▶ sender (uplink/attach) ──▶ platform
//! ```
//!
//! Nothing here is in the way of a decision: the listener never waits, the engine only answers whose a picture is, and the disk
//! is the keeper's own. Where one of them is slow pictures are dropped, counted, and their passages say so. A picture whose read
//! the gates have not heard yet waits for it, [`BOUND_WITHIN`] at most. What the platform was to get and does not is told, in a
//! record of its own.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::super::gates::GateInput;
use crate::clock::Clock;
use crate::domain::gate::gates::PictureOf;
use crate::domain::gate::picture::{Fate, Lost, Missing, MissingPictures, Picture as Record, PictureKind};
use crate::domain::gate::word::PassageId;
use crate::domain::time::Mono;
use crate::lane::camera::Picture;
use crate::lane::coding::sha256;
use crate::state::pictures::{Album, Gone, Next, NotKept};
use crate::state::settings::Pictures as Settings;
use crate::uplink::attach::{self, Attachment, Ended};

/// Pictures on their way from the cameras: eight vehicles at the same moment, 24 MB at the worst. Beyond it they are lost.
const N_QUEUED: usize = 16;
/// What is lost, on its way to its passage's record: some hundred bytes each.
const N_LOST: usize = 256;
/// Pictures on their way to the disk. Beyond it they are lost.
const N_WRITING: usize = 8;
/// Pictures that wait for the gates to hear their read, which was on its way before them. Beyond it the oldest is nobody's.
const N_UNBOUND: usize = 8;
/// Questions of the sender and of the platform: each asks one at a time.
const N_ASKED: usize = 2;
/// So long a picture waits for that.
const BOUND_WITHIN: Duration = Duration::from_secs(5);
/// How often it asks meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How often it is looked which days are over: they are forgotten by whole days.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Kept.
    pub(super) kept: u64,
    /// Lost because others were still being kept.
    pub(super) busy: u64,
    /// Lost because the disk has no room for pictures.
    pub(super) disk_full: u64,
    /// Lost because the disk refused them.
    pub(super) failed: u64,
    /// Of reads that are no passage's of their own.
    pub(super) nobodys: u64,
    /// Of passages that have one of their kind.
    pub(super) more: u64,
    /// Older ones that went for the quota.
    pub(super) displaced: u64,
    /// Forgotten because their time was over.
    pub(super) forgotten: u64,
    /// Sent to the platform.
    pub(super) sent: u64,
    /// That it was to get and does not: it was told so.
    pub(super) missing: u64,
    /// That it does not have yet, now.
    pub(super) unsent: u64,
}

/// Where the cameras' listener leaves pictures.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    /// Those that came.
    pub(super) pictures: mpsc::Sender<Picture>,
    /// Those that are lost.
    pub(super) lost: mpsc::Sender<Picture>,
}

/// What the tasks are made of.
pub(super) struct Parts {
    pub(super) engine: mpsc::Sender<GateInput>,
    /// Where pictures are kept; nowhere: they are lost, until there is.
    pub(super) settings: watch::Receiver<Option<Settings>>,
    pub(super) counts: watch::Sender<Counts>,
    pub(super) clock: Clock,
}

/// What the sender asks.
enum Ask {
    /// Which is next?
    Next(oneshot::Sender<Option<Attachment>>),
    /// This one has an end.
    Ended(String, Ended),
    /// This one is to be sent.
    Want(PassageId, PictureKind, oneshot::Sender<Result<Option<String>, String>>),
}

/// The pictures as their sender sees them.
#[derive(Clone, Debug)]
pub(in crate::app) struct Shelf(mpsc::Sender<Ask>);

impl Shelf {
    /// Marks a passage's picture to be sent, once more or at last. Returns its hash; `None`: there is none, or none any more.
    ///
    /// # Errors
    /// Why not, for the log.
    pub(in crate::app) async fn want(&self, passage: PassageId, kind: PictureKind) -> Result<Option<String>, String> {
        let ending = |_| "the gateway is ending".to_owned();
        let (answer, told) = oneshot::channel();
        self.0.send(Ask::Want(passage, kind, answer)).await.map_err(|_| ending(()))?;
        told.await.map_err(|_| ending(()))?
    }
}

impl attach::Shelf for Shelf {
    async fn next(&self) -> Option<Attachment> {
        let (answer, next) = oneshot::channel();
        // Without a keeper the gateway is ending.
        self.0.send(Ask::Next(answer)).await.ok()?;
        next.await.ok().flatten()
    }

    async fn ended(&self, sha256: String, how: Ended) {
        drop(self.0.send(Ask::Ended(sha256, how)).await);
    }
}

/// Makes the ways, and the task that serves them until nobody holds them any more.
pub(super) fn open(parts: Parts) -> (Ways, Shelf, impl Future<Output = Result<(), String>> + Send) {
    let (pictures, pictures_out) = mpsc::channel(N_QUEUED);
    let (lost, lost_out) = mpsc::channel(N_LOST);
    let (jobs, jobs_out) = mpsc::channel(N_WRITING);
    let (asks, asks_out) = mpsc::channel(N_ASKED);
    let Parts { engine, settings, counts, clock } = parts;
    let binder = Binder { engine: engine.clone(), jobs, counts: counts.clone(), clock: clock.clone() };
    let keeper = Keeper { engine, settings, counts, clock, album: None, fails: false };
    let serve = async {
        let (_, kept) = tokio::join!(binder.run(pictures_out, lost_out), keeper.run(jobs_out, asks_out));
        kept
    };
    (Ways { pictures, lost }, Shelf(asks), serve)
}

/// A picture whose passage is known.
struct Job {
    passage: PassageId,
    picture: Picture,
    jpeg: Vec<u8>,
}

struct Binder {
    engine: mpsc::Sender<GateInput>,
    jobs: mpsc::Sender<Job>,
    counts: watch::Sender<Counts>,
    clock: Clock,
}

impl Binder {
    async fn run(self, mut pictures: mpsc::Receiver<Picture>, mut lost: mpsc::Receiver<Picture>) {
        let mut unbound: VecDeque<(Mono, Picture)> = VecDeque::new();
        loop {
            let ask = (!unbound.is_empty()).then(|| self.clock.mono() + ASK_EVERY);
            let came = tokio::select! {
                Some(picture) = lost.recv() => Some(picture),
                Some(picture) = pictures.recv() => Some(picture),
                () = self.clock.sleep_until_opt(ask), if ask.is_some() => None,
                else => return,
            };
            let now = self.clock.mono();
            // Those that wait were first.
            let waiting = std::mem::take(&mut unbound).into_iter();
            for (until, picture) in waiting.chain(came.map(|picture| (now + BOUND_WITHIN, picture))) {
                if let Some(picture) = self.bind(picture).await {
                    unbound.push_back((until, picture));
                }
            }
            let before = unbound.len();
            unbound.retain(|(until, _)| *until > now);
            while unbound.len() > N_UNBOUND {
                unbound.pop_front();
            }
            let nobodys = before - unbound.len();
            self.count(|counts| counts.nobodys += u64::try_from(nobodys).unwrap_or(0));
        }
    }

    /// Passes a picture on to where its passage is known. Returns it when its read was not heard yet.
    async fn bind(&self, picture: Picture) -> Option<Picture> {
        let (answer, whose) = oneshot::channel();
        let ask = GateInput::PictureOf { lane: picture.lane.clone(), event: picture.event.clone(), answer };
        // Without an engine the gateway is ending, and nobody would know of the picture.
        self.engine.send(ask).await.ok()?;
        match whose.await.unwrap_or(PictureOf::Nobody) {
            PictureOf::NotYet => return Some(picture),
            PictureOf::Nobody => self.count(|counts| counts.nobodys += 1),
            PictureOf::Passage(passage) => self.pass_on(passage, picture).await,
        }
        None
    }

    async fn pass_on(&self, passage: PassageId, mut picture: Picture) {
        let lost = match std::mem::replace(&mut picture.pushed.content, Err(Lost::Busy)) {
            Err(lost) => lost,
            Ok(jpeg) => match self.jobs.try_send(Job { passage: passage.clone(), picture: picture.clone(), jpeg }) {
                Ok(()) => return,
                Err(_) => {
                    self.count(|counts| counts.busy += 1);
                    Lost::Busy
                }
            },
        };
        let record = record_of(&picture, Fate::Lost { lost });
        drop(self.engine.send(GateInput::Picture(passage, record)).await);
    }

    fn count(&self, add: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(add);
    }
}

struct Keeper {
    engine: mpsc::Sender<GateInput>,
    settings: watch::Receiver<Option<Settings>>,
    counts: watch::Sender<Counts>,
    clock: Clock,
    album: Option<Album>,
    fails: bool,
}

impl Keeper {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>, mut asks: mpsc::Receiver<Ask>) -> Result<(), String> {
        let mut look_at = self.clock.mono();
        loop {
            tokio::select! {
                // Whoever sends waits for whoever brings.
                biased;
                job = jobs.recv() => match job {
                    Some(job) => self.keep(job).await?,
                    None => return Ok(()),
                },
                Some(ask) = asks.recv() => self.answer(ask).await?,
                () = self.clock.sleep_until(look_at) => {
                    look_at = self.clock.mono() + LOOK_EVERY;
                    self.forget().await?;
                }
            }
        }
    }

    async fn keep(&mut self, job: Job) -> Result<(), String> {
        let Job { passage, picture, jpeg } = job;
        let (now, kind) = (self.clock.now(), picture.pushed.kind);
        let (album, settings) = (self.album.take(), self.settings.borrow().clone());
        let of = passage.clone();
        let (album, kept) = blocking(move || {
            let (hash, bytes) = (sha256(&jpeg), u64::try_from(jpeg.len()).unwrap_or(u64::MAX));
            match opened(album, settings) {
                Ok(mut album) => {
                    let kept = album.keep(&of, kind, (&jpeg, &hash), now);
                    (Some(album), kept.map(|gone| (gone, Fate::Kept { sha256: hash, bytes })))
                }
                Err(error) => (None, Err(error)),
            }
        })
        .await?;
        self.album = album;
        let fate = match kept {
            Ok((Gone { pictures, unsent }, fate)) => {
                self.fails = false;
                self.counts.send_modify(|counts| {
                    counts.kept += 1;
                    counts.displaced += pictures;
                });
                self.missing(Missing::Displaced, unsent).await;
                fate
            }
            Err(NotKept::There) => {
                self.counts.send_modify(|counts| counts.more += 1);
                return Ok(());
            }
            Err(error) => Fate::Lost { lost: self.failed(error) },
        };
        drop(self.engine.send(GateInput::Picture(passage, record_of(&picture, fate))).await);
        Ok(())
    }

    async fn answer(&mut self, ask: Ask) -> Result<(), String> {
        let (settings, now) = (self.settings.borrow().clone(), self.clock.mono());
        let album = self.album.take();
        match ask {
            Ask::Next(answer) => {
                let (album, next) = blocking(move || match opened(album, settings) {
                    Ok(mut album) => {
                        let next = album.next_unsent(now);
                        (Some(album), next)
                    }
                    // The next picture that comes says what is wrong with the folder.
                    Err(_) => (None, Next::Nothing),
                })
                .await?;
                self.album = album;
                let next = match next {
                    Next::Picture { sha256, jpeg } => Some(Attachment { sha256, bytes: jpeg }),
                    Next::Damaged(sha256) => {
                        self.missing(Missing::Damaged, vec![sha256]).await;
                        None
                    }
                    Next::Nothing => None,
                };
                // It may have been stopped meanwhile.
                drop(answer.send(next));
            }
            Ask::Ended(sha256, how) => {
                let of = sha256.clone();
                self.album = blocking(move || {
                    let mut album = opened(album, settings).ok()?;
                    match how {
                        Ended::Held | Ended::Refused => album.ended(&of),
                        Ended::Aside => album.set_aside(&of, now),
                    }
                    Some(album)
                })
                .await?;
                match how {
                    Ended::Held => self.counts.send_modify(|counts| counts.sent += 1),
                    Ended::Refused => self.missing(Missing::Refused, vec![sha256]).await,
                    Ended::Aside => {}
                }
            }
            Ask::Want(passage, kind, answer) => {
                let (album, found) = blocking(move || match opened(album, settings) {
                    Ok(mut album) => {
                        let found = album.want(&passage, kind).map_err(|error| error.to_string());
                        (Some(album), found)
                    }
                    Err(error) => (None, Err(crate::cli::chain(error))),
                })
                .await?;
                self.album = album;
                drop(answer.send(found));
            }
        }
        let unsent = self.album.as_ref().map_or(0, Album::unsent);
        self.counts.send_modify(|counts| counts.unsent = u64::try_from(unsent).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Tells the platform of what it was to get and does not.
    async fn missing(&self, why: Missing, missing: Vec<String>) {
        if missing.is_empty() {
            return;
        }
        self.counts.send_modify(|counts| counts.missing += u64::try_from(missing.len()).unwrap_or(0));
        drop(self.engine.send(GateInput::MissingPictures(MissingPictures { why, missing })).await);
    }

    /// Counts what was not kept, and says the first of a row aloud.
    fn failed(&mut self, error: NotKept) -> Lost {
        let full = matches!(error, NotKept::Full);
        self.counts.send_modify(|counts| {
            let count = if full { &mut counts.disk_full } else { &mut counts.failed };
            *count += 1;
        });
        if !std::mem::replace(&mut self.fails, true) {
            let error = crate::cli::chain(error);
            tracing::warn!(%error, "Pictures of passages cannot be kept; the gates go on without them.");
        }
        if full { Lost::DiskFull } else { Lost::Failed }
    }

    async fn forget(&mut self) -> Result<(), String> {
        let (album, settings, now) = (self.album.take(), self.settings.borrow().clone(), self.clock.now());
        if settings.is_none() {
            return Ok(());
        }
        let (album, forgotten) = blocking(move || match opened(album, settings) {
            Ok(mut album) => {
                let forgotten = album.forget(now).map_err(NotKept::Failed);
                (Some(album), forgotten)
            }
            Err(error) => (None, Err(error)),
        })
        .await?;
        self.album = album;
        match forgotten {
            Ok(Gone { pictures: 0, unsent }) if unsent.is_empty() => {}
            Ok(Gone { pictures, unsent }) => {
                self.counts.send_modify(|counts| counts.forgotten += pictures);
                tracing::info!(n = pictures, "Pictures of passages whose time was over are forgotten.");
                self.missing(Missing::Forgotten, unsent).await;
            }
            Err(error) => {
                let error = crate::cli::chain(error);
                tracing::error!(%error, "Pictures whose time is over cannot be forgotten; the next look tries again.");
            }
        }
        Ok(())
    }
}

/// Returns the album as it is configured now. Blocks.
fn opened(album: Option<Album>, settings: Option<Settings>) -> Result<Album, NotKept> {
    let settings = settings.ok_or(NotKept::Full)?;
    match album.filter(|album| album.settings().dir == settings.dir) {
        Some(mut album) => {
            album.limit(settings);
            Ok(album)
        }
        None => Album::open(settings).map_err(NotKept::Failed),
    }
}

fn record_of(picture: &Picture, fate: Fate) -> Record {
    let Picture { device, device_time, pushed, .. } = picture;
    Record { kind: pushed.kind, device: device.clone(), device_time: *device_time, fate }
}

/// Reads a passage's picture, 0 the whole, 1 the plate; `None` where there is none any more.
pub(in crate::app) async fn read(settings: Settings, passage: String, number: u8) -> Option<Vec<u8>> {
    blocking(move || crate::state::pictures::read(&settings, &passage, number)).await.ok().flatten()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::hardware::CameraEvent;
    use crate::domain::gate::picture::PictureKind;
    use crate::domain::gate::word::LaneId;
    use crate::lane::camera::picture::Pushed;

    const SOON: Duration = Duration::from_secs(60);

    fn picture(number: u64, content: Result<Vec<u8>, Lost>) -> Picture {
        Picture {
            lane: LaneId::new("east-in"),
            device: "cam-1".to_owned(),
            event: CameraEvent { serial: "s".to_owned(), number },
            device_time: None,
            pushed: Pushed { kind: PictureKind::Whole, content },
        }
    }

    fn jpeg() -> Vec<u8> {
        vec![0xFF, 0xD8, 0xFF, 0xFF, 0xD9]
    }

    /// What the engine hears of pictures; it knows event 1 at once, event 2 at the second question, and no other.
    async fn told(inputs: &mut mpsc::Receiver<GateInput>, asked: &mut u32) -> (PassageId, Record) {
        loop {
            match tokio::time::timeout(SOON, inputs.recv()).await.unwrap().unwrap() {
                GateInput::PictureOf { event, answer, .. } => {
                    *asked += u32::from(event.number == 2);
                    let whose = match event.number {
                        2 if *asked < 2 => PictureOf::NotYet,
                        1 | 2 => PictureOf::Passage(PassageId::new(format!("p{}", event.number))),
                        _ => PictureOf::Nobody,
                    };
                    answer.send(whose).unwrap();
                }
                GateInput::Picture(passage, record) => return (passage, record),
                GateInput::Event(_)
                | GateInput::Receipt(_)
                | GateInput::Terminal(_)
                | GateInput::News(_)
                | GateInput::MissingPictures(_) => panic!("no picture"),
            }
        }
    }

    #[tokio::test]
    async fn a_picture_is_kept_for_its_passage_and_what_is_lost_is_on_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("pictures");
        let (keep, send) = (Duration::from_secs(86_400), std::collections::BTreeSet::new());
        let key_file = dir.path().join("pictures.key");
        let settings = Settings { dir: folder, key_file, quota_bytes: 1 << 20, keep, send };
        let (engine, mut inputs) = mpsc::channel(8);
        let of_settings = watch::Sender::new(Some(settings.clone()));
        let counts = watch::Sender::default();
        let parts = Parts { engine, settings: of_settings.subscribe(), counts: counts.clone(), clock: Clock::system() };
        let (ways, _, serve) = open(parts);
        let story = async {
            let mut asked = 0;
            ways.pictures.send(picture(9, Ok(jpeg()))).await.unwrap();
            ways.pictures.send(picture(2, Ok(jpeg()))).await.unwrap();
            let (passage, record) = told(&mut inputs, &mut asked).await;
            let kept = Fate::Kept { sha256: sha256(&jpeg()), bytes: 5 };
            assert_eq!((passage.as_str(), record.fate, asked), ("p2", kept, 2));
            assert_eq!(read(settings.clone(), "p2".to_owned(), 0).await, Some(jpeg()));
            ways.lost.send(picture(1, Err(Lost::NotJpeg))).await.unwrap();
            let (passage, record) = told(&mut inputs, &mut asked).await;
            assert_eq!((passage.as_str(), record.fate), ("p1", Fate::Lost { lost: Lost::NotJpeg }));

            of_settings.send_replace(None);
            ways.pictures.send(picture(1, Ok(jpeg()))).await.unwrap();
            let (_, record) = told(&mut inputs, &mut asked).await;
            assert_eq!(record.fate, Fate::Lost { lost: Lost::DiskFull });
            drop(ways);
        };
        let (ended, ()) = tokio::join!(serve, story);
        ended.unwrap();
        let Counts { kept, nobodys, disk_full, .. } = *counts.borrow();
        assert_eq!((kept, nobodys, disk_full), (1, 1, 1));
    }
}
