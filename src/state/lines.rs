//! What grows by single things and is too much to be written anew with each of them, one line of JSON a thing: the events of who
//! is inside, the waybills. Appended and synced, read whole at a start, written anew now and then without what does not count any
//! more.
//!
//! A line that is not whole is the last one before a cut, which nobody was told is kept. The file is never changed in place: it
//! grows, or another one takes its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys::disk;

/// Lines written since the last look beyond which it is looked for folded ones: a week of a large park.
const LOOK_AFTER: usize = 50_000;

/// The open log. One owner: the keeper of the memory.
#[derive(Debug)]
pub struct LineLog<T> {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    /// Lines since the last look.
    fresh: usize,
    of: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> LineLog<T> {
    /// Opens the log `name` in `dir`, making both where they are missing, and returns what is in it.
    ///
    /// # Errors
    /// The file system refuses. Lines that are not understood are passed over, and counted in the log.
    pub fn open(dir: &Path, name: &str) -> io::Result<(Self, Vec<T>)> {
        fs::create_dir_all(dir)?;
        let path = dir.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(whole as u64)?;
        file.sync_all()?;
        disk::sync_dir(dir)?;
        let things = parsed(&path, bytes.get(..whole).unwrap_or_default());
        let of = PhantomData;
        Ok((Self { path, file, len: whole as u64, fresh: things.len(), of }, things))
    }

    /// Appends things; they are durable when this returns.
    ///
    /// # Errors
    /// The file system refuses. What was written in part is cut off by the next attempt, or the next start.
    pub fn append<'a>(&mut self, things: impl Iterator<Item = &'a T>) -> io::Result<()>
    where
        T: 'a,
    {
        let (mut lines, mut n) = (Vec::new(), 0);
        for thing in things {
            serde_json::to_writer(&mut lines, thing)?;
            lines.push(b'\n');
            n += 1;
        }
        if lines.is_empty() {
            return Ok(());
        }
        // What an attempt that failed has left of a line goes first.
        self.file.set_len(self.len)?;
        self.file.write_all(&lines)?;
        self.file.sync_data()?;
        (self.len, self.fresh) = (self.len + lines.len() as u64, self.fresh + n);
        Ok(())
    }

    /// Writes the log anew with what `left` leaves of it, when enough was written since the last time.
    ///
    /// # Errors
    /// The file system refuses; the log then is as it was.
    pub fn compact(&mut self, left: impl FnOnce(Vec<T>) -> Vec<T>) -> io::Result<()> {
        if self.fresh < LOOK_AFTER {
            return Ok(());
        }
        let mut lines = Vec::new();
        for thing in &left(parsed(&self.path, &fs::read(&self.path)?)) {
            serde_json::to_writer(&mut lines, thing)?;
            lines.push(b'\n');
        }
        disk::write_atomic(&self.path, &lines)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        (self.len, self.fresh) = (lines.len() as u64, 0);
        Ok(())
    }
}

fn parsed<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Vec<T> {
    let mut strange = 0_usize;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let things = lines.filter_map(|line| serde_json::from_slice(line).map_err(|_| strange += 1).ok()).collect();
    if strange > 0 {
        let path = path.display();
        tracing::error!(strange, %path, "Lines of the gates' memory are not understood: who is inside is to be counted, and the waybills looked at.");
    }
    things
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Actor;
    use crate::domain::gate::inside::Event;
    use crate::domain::gate::inside::event::Body;
    use crate::domain::gate::inside::{EventId, Source, Subject};
    use crate::domain::gate::word::{GatewayId, PersonRef};
    use crate::domain::time::{ClockTrust, Timestamp};

    fn event(n: u64) -> Event {
        let source = Source { gateway: GatewayId::new("gw-east"), boot: 1 };
        let subject = Subject::Person(PersonRef::new("p-1"));
        Event {
            seq: n,
            id: EventId { source: source.clone(), n },
            source,
            version: 1,
            at: Timestamp(1_795_507_200_000),
            clock: ClockTrust::Synced,
            body: Body::Reviewed { subject, actor: Actor::gateway(), reason: "看过".into() },
        }
    }

    const FILE: &str = "events.jsonl";

    fn open(dir: &Path) -> (LineLog<Event>, Vec<Event>) {
        LineLog::open(dir, FILE).unwrap()
    }

    fn newest(mut events: Vec<Event>) -> Vec<Event> {
        events.retain(|event| event.seq > 8);
        events
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart_and_half_a_line_costs_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, events) = open(dir.path());
        assert_eq!(events, []);
        log.append([event(1), event(2)].iter()).unwrap();
        drop(log);
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"source\":");
        fs::write(&path, bytes).unwrap();
        let (mut log, events) = open(dir.path());
        assert_eq!(events, [event(1), event(2)]);
        log.append([event(3)].iter()).unwrap();
        assert_eq!(numbers(&open(dir.path()).1), [1, 2, 3]);
    }

    #[test]
    fn what_is_folded_goes_when_enough_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path());
        let events: Vec<Event> = (1..=10).map(event).collect();
        log.append(events.iter()).unwrap();
        log.compact(newest).unwrap();
        assert_eq!(open(dir.path()).1.len(), 10, "it is not worth it yet");
        log.fresh = LOOK_AFTER;
        log.compact(newest).unwrap();
        log.append([event(11)].iter()).unwrap();
        assert_eq!(numbers(&open(dir.path()).1), [9, 10, 11]);
    }
}
